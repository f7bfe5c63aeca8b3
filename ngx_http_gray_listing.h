
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_LISTING_H_INCLUDED_
#define _NGX_HTTP_GRAY_LISTING_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_json.h"
#include "ngx_http_gray_lists.h"


/*
 * What GET serves: all lists of all zones, or of one; the entries of one, with
 * conditions by the ETag.  They return what a content handler returns.
 */
ngx_int_t ngx_http_gray_listing_index(ngx_http_request_t *r,
    ngx_http_gray_zone_t *zone);
ngx_int_t ngx_http_gray_listing_get(ngx_http_request_t *r,
    ngx_http_gray_zone_t *zone, ngx_str_t *name);

/* the answer that there is no such list */
ngx_int_t ngx_http_gray_listing_unknown(ngx_http_request_t *r,
    ngx_http_gray_zone_t *zone, ngx_str_t *name);

/* what is said of a list; NULL where memory is short */
ngx_http_gray_json_t *ngx_http_gray_listing_json(ngx_str_t *name,
    ngx_http_gray_list_info_t *info);

/*
 * A fault for each place in a live document of the zone's releases that uses
 * the list, by that operator or, with NULL, by any.  NGX_OK or NGX_ERROR
 * (memory).
 */
ngx_int_t ngx_http_gray_listing_uses(ngx_http_gray_zone_t *zone,
    ngx_str_t *name, const char *operator, ngx_http_gray_faults_t *faults);


#endif /* _NGX_HTTP_GRAY_LISTING_H_INCLUDED_ */
