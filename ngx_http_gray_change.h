
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_CHANGE_H_INCLUDED_
#define _NGX_HTTP_GRAY_CHANGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/* what the body of a request is to the document */

typedef enum {
    NGX_HTTP_GRAY_CHANGE_REPLACE = 0,
    NGX_HTTP_GRAY_CHANGE_MERGE,         /* RFC 7396 */
    NGX_HTTP_GRAY_CHANGE_PATCH,         /* RFC 6902 */
    NGX_HTTP_GRAY_CHANGE_REVERT,        /* names a revision to go back to */
    NGX_HTTP_GRAY_CHANGE_RESET          /* nothing: back to nginx.conf's */
} ngx_http_gray_change_e;


/*
 * Makes a new revision of the release, or with "dry_run" only says what it
 * would be, and sends the response.  "comment", which may be empty, goes into
 * the history.  The request's body must have been read,
 * and its reference is held on to.  Returns what is to be passed on to
 * ngx_http_finalize_request(), or NGX_DONE where the change goes on by itself
 * and finalizes the request.
 */
ngx_int_t ngx_http_gray_change(ngx_http_request_t *r,
    ngx_http_gray_release_t *release, ngx_http_gray_change_e kind,
    ngx_str_t *body, ngx_str_t *comment, ngx_uint_t dry_run);


#endif /* _NGX_HTTP_GRAY_CHANGE_H_INCLUDED_ */
