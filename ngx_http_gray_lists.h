
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_LISTS_H_INCLUDED_
#define _NGX_HTTP_GRAY_LISTS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_directory.h"
#include "ngx_http_gray_list.h"
#include "ngx_http_gray_revisions.h"
#include "ngx_http_gray_shm.h"


#define NGX_HTTP_GRAY_LISTS_DAMAGED  8       /* that are remembered */


/*
 * The named lists of a zone that has "state": files, the table that tells all
 * processes of their revisions, and what this process has mapped.
 */

typedef struct ngx_http_gray_lists_s  ngx_http_gray_lists_t;


/* files in the directory that are no lists, by their names */

typedef struct {
    ngx_uint_t                  n;
    u_char                      name[NGX_HTTP_GRAY_LISTS_DAMAGED]
                                    [NGX_HTTP_GRAY_NAME + 1];
} ngx_http_gray_lists_damaged_t;


/*
 * Prepares a zone for lists, once zone->state is set: the directory is made,
 * or found, by nginx.  NGX_OK, or NGX_ERROR with a log line.
 */
ngx_int_t ngx_http_gray_lists_create(ngx_conf_t *cf,
    ngx_http_gray_zone_t *zone);

/*
 * For the init handler of nginx's zones, once the zone fits; "before" is the
 * zone that had the memory, or NULL.  Reads the directory, and changes nothing
 * in it.  NGX_OK, or NGX_ERROR with a log line.
 */
ngx_int_t ngx_http_gray_lists_init_zone(ngx_http_gray_zone_t *zone,
    ngx_http_gray_zone_t *before);

/* for a process that serves: maps what rules use, follows the directory */
void ngx_http_gray_lists_init_process(ngx_http_gray_zone_t *zone,
    ngx_cycle_t *cycle);


/*
 * The list of that name, for lookups: there need not be such a list yet.  It
 * lives as long as the configuration.  NULL where the zone has no lists, there
 * are too many, or memory is short.
 */
ngx_http_gray_list_t *ngx_http_gray_lists_get(ngx_http_gray_zone_t *zone,
    ngx_str_t *name);

/*
 * Is there such a list, and are, with "networks", all of its entries that?
 * NGX_OK, or NGX_DECLINED with a C string of what would be accepted in "why".
 */
ngx_int_t ngx_http_gray_lists_known(ngx_http_gray_zone_t *zone,
    ngx_str_t *name, ngx_uint_t networks, char *why, size_t size);

/*
 * Likewise, by its file alone, of which another zone may know more: 1 or 0.
 */
ngx_uint_t ngx_http_gray_lists_there(ngx_http_gray_zone_t *zone,
    ngx_str_t *name, ngx_uint_t networks);

/* list number "i", deleted ones too: NGX_OK, or NGX_DECLINED behind the last */
ngx_int_t ngx_http_gray_lists_item(ngx_http_gray_zone_t *zone, ngx_uint_t i,
    ngx_str_t *name, ngx_http_gray_list_info_t *info);

/* the names of all that are not deleted, "a, b" or "none", with a NUL */
void ngx_http_gray_lists_names(ngx_http_gray_zone_t *zone, u_char *p,
    u_char *last);

ngx_http_gray_lists_damaged_t *ngx_http_gray_lists_damaged(
    ngx_http_gray_zone_t *zone);


/* NULL where the zone has no lists; the table comes with the zone's memory */
ngx_http_gray_directory_t *ngx_http_gray_lists_directory(
    ngx_http_gray_zone_t *zone);
ngx_http_gray_revisions_t *ngx_http_gray_lists_table(
    ngx_http_gray_zone_t *zone);

/*
 * What there is, from the file and the table; what only the file has is
 * published.  NGX_OK, with info->deleted for what was deleted; NGX_DECLINED
 * where there never was such a list; NGX_BUSY where, further, the table is
 * full; NGX_ERROR where the file cannot be read, or is no list.
 */
ngx_int_t ngx_http_gray_lists_present_locked(ngx_http_gray_zone_t *zone,
    ngx_str_t *name, ngx_http_gray_list_info_t *info);


#endif /* _NGX_HTTP_GRAY_LISTS_H_INCLUDED_ */
