
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_PROGRESS_H_INCLUDED_
#define _NGX_HTTP_GRAY_PROGRESS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/*
 * How a rollout gets on, for people and for pipelines.  These send the
 * response, and return what a content handler returns.
 */

/* the rollout of a release: 404 where it never had one, nor has a plan */
ngx_int_t ngx_http_gray_progress(ngx_http_request_t *r,
    ngx_http_gray_release_t *release);

/*
 * Has it passed the step that it is in?  Waits for up to so many seconds; with
 * NGX_DONE it goes on by a timer, and the request is finalized then.
 */
ngx_int_t ngx_http_gray_progress_verdict(ngx_http_request_t *r,
    ngx_http_gray_release_t *release, ngx_uint_t wait);

/* 200 where all is well, 403 where it is not */
ngx_int_t ngx_http_gray_progress_gate(ngx_http_request_t *r,
    ngx_http_gray_release_t *release);

/*
 * Is there a rollout, or a plan of one?  NGX_OK, or NGX_DONE: then the response
 * is sent, and "answer" is what is to be passed on.
 */
ngx_int_t ngx_http_gray_progress_there(ngx_http_request_t *r,
    ngx_http_gray_release_t *release, ngx_int_t *answer);


#endif /* _NGX_HTTP_GRAY_PROGRESS_H_INCLUDED_ */
