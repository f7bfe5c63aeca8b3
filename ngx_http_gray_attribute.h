
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_ATTRIBUTE_H_INCLUDED_
#define _NGX_HTTP_GRAY_ATTRIBUTE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_condition.h"
#include "ngx_http_gray_geo.h"


/* what attributes are resolved against */

typedef struct {
    ngx_conf_t                     *cf;          /* NULL: at run time */
    ngx_http_core_main_conf_t      *cmcf;
    ngx_http_gray_geo_t            *geo;         /* NULL: no database */
    void                           *own;         /* the data of variables that
                                                    may not be read */
} ngx_http_gray_attribute_env_t;


/*
 * Fills in the sources of an attribute, which live in "pool", and turns its
 * names into lower case.  NGX_OK; NGX_DECLINED where "unknown", one of its
 * names, is not known here; NGX_ABORT where it can never be read.  Both with
 * a C string of what would be accepted in "why", of NGX_HTTP_GRAY_WHY bytes.
 */
ngx_int_t ngx_http_gray_attribute_resolve(
    const ngx_http_gray_attribute_env_t *env, ngx_pool_t *pool,
    ngx_http_gray_attribute_t *attribute, ngx_str_t **unknown, char *why);

/* the value for a request; as get() of ngx_http_gray_condition.h */
ngx_int_t ngx_http_gray_attribute_get(ngx_http_request_t *r,
    ngx_http_gray_attribute_t *attribute, ngx_http_gray_value_t *value);

/*
 * What geo.PATH is for an address, given as a text or known already.  NGX_OK,
 * NGX_DECLINED, or NGX_ERROR where it is no address.
 */
ngx_int_t ngx_http_gray_attribute_locate(ngx_http_gray_attribute_t *attribute,
    ngx_http_gray_value_t *address, ngx_http_gray_value_t *value);

/* percent-decodes in place, with "+" as a space; what is malformed stays */
void ngx_http_gray_attribute_decode(ngx_str_t *text);


#endif /* _NGX_HTTP_GRAY_ATTRIBUTE_H_INCLUDED_ */
