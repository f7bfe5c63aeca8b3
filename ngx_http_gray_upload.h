
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_UPLOAD_H_INCLUDED_
#define _NGX_HTTP_GRAY_UPLOAD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_lists.h"


/*
 * These change a list of a zone that has "state".  They are called once the
 * body was read, and return what a content handler returns; NGX_DONE where the
 * answer comes later.
 */

/* the body of the request becomes the list */
ngx_int_t ngx_http_gray_upload(ngx_http_request_t *r,
    ngx_http_gray_zone_t *zone, ngx_str_t *name, ngx_uint_t dry_run);

/* it is no more; refused where a release uses it */
ngx_int_t ngx_http_gray_upload_delete(ngx_http_request_t *r,
    ngx_http_gray_zone_t *zone, ngx_str_t *name, ngx_uint_t dry_run);


#endif /* _NGX_HTTP_GRAY_UPLOAD_H_INCLUDED_ */
