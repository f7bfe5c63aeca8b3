
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_GEO_H_INCLUDED_
#define _NGX_HTTP_GRAY_GEO_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_value.h"


#define NGX_HTTP_GRAY_GEO_FILES  16
#define NGX_HTTP_GRAY_GEO_WHY    512


/* the databases of a configuration, as this process has them open */

typedef struct ngx_http_gray_geo_s       ngx_http_gray_geo_t;

/* a path in a record, ready for lookups */

typedef struct ngx_http_gray_geo_path_s  ngx_http_gray_geo_path_t;


/* what a database says of itself, and where it is from */

typedef struct {
    ngx_str_t                 file;
    ngx_str_t                 type;
    uint64_t                  built;       /* seconds since 1970 */
    ngx_uint_t                ip_version;
    ngx_uint_t                nodes;
    const char               *why;         /* what lies there now is not used,
                                              and why; or NULL */
} ngx_http_gray_geo_info_t;


/*
 * Reads "country.iso_code", what follows "geo." in the name of an attribute.
 * NULL with a C string of what would be accepted in "why", of "size" bytes.
 */
ngx_http_gray_geo_path_t *ngx_http_gray_geo_path(ngx_pool_t *pool,
    const ngx_str_t *name, char *why, size_t size);

/*
 * What the record of the address has there: a string, a number, or a boolean
 * as "true" or "false".  The text is that of the database and stays as it is
 * until the event loop goes on.  NGX_OK; NGX_DECLINED where there is none;
 * NGX_ERROR where it cannot be told: no database, no address, a map.  An
 * address is looked up once however many paths are asked for.
 */
ngx_int_t ngx_http_gray_geo_get(ngx_http_gray_geo_t *geo, ngx_int_t family,
    ngx_http_gray_addr_t addr, ngx_http_gray_geo_path_t *path,
    ngx_http_gray_value_t *value);


/* no databases so far; what will be opened is closed with the pool */
ngx_http_gray_geo_t *ngx_http_gray_geo_create(ngx_pool_t *pool);

/*
 * Opens one more, "name" being a full path with a NUL behind it that outlives
 * the databases.  NGX_OK, or NGX_ERROR with a C string in "why", of
 * NGX_HTTP_GRAY_GEO_WHY bytes.
 */
ngx_int_t ngx_http_gray_geo_add(ngx_http_gray_geo_t *geo, ngx_str_t *name,
    char *why);

ngx_uint_t ngx_http_gray_geo_count(ngx_http_gray_geo_t *geo);
void ngx_http_gray_geo_info(ngx_http_gray_geo_t *geo, ngx_uint_t i,
    ngx_http_gray_geo_info_t *info);


/*
 * The replacement of database number "i", in three steps.
 *
 * due():   1 if another file lies there than the one that was tried last, and
 *          it is not being written just now; logs that it has vanished.
 * load():  opens it.  May run in a thread, while the process makes lookups.
 * swap():  puts what was loaded in the place of the one before, or logs why
 *          that goes on.
 */
ngx_uint_t ngx_http_gray_geo_due(ngx_http_gray_geo_t *geo, ngx_uint_t i,
    ngx_log_t *log);
void ngx_http_gray_geo_load(ngx_http_gray_geo_t *geo, ngx_uint_t i);
void ngx_http_gray_geo_swap(ngx_http_gray_geo_t *geo, ngx_uint_t i,
    ngx_log_t *log);


#endif /* _NGX_HTTP_GRAY_GEO_H_INCLUDED_ */
