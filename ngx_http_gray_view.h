
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_VIEW_H_INCLUDED_
#define _NGX_HTTP_GRAY_VIEW_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/*
 * What GET serves; nothing is changed.  These return what a content handler
 * returns.
 */

/* the names of the releases */
ngx_int_t ngx_http_gray_view_index(ngx_http_request_t *r);

/* all the documents */
ngx_int_t ngx_http_gray_view_releases(ngx_http_request_t *r);

/* a document, with conditions by its ETag */
ngx_int_t ngx_http_gray_view_release(ngx_http_request_t *r,
    ngx_http_gray_release_t *release);

/* zones, workers, and what is wrong */
ngx_int_t ngx_http_gray_view_status(ngx_http_request_t *r);


#endif /* _NGX_HTTP_GRAY_VIEW_H_INCLUDED_ */
