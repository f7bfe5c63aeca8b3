
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_ACT_H_INCLUDED_
#define _NGX_HTTP_GRAY_ACT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/*
 * Does "action", which must be one of ngx_http_gray_actions, on the rollout of
 * the release, and sends the response.  The request's body must have been read,
 * and its reference is held on to.  Returns what is to be passed on to
 * ngx_http_finalize_request(), or NGX_DONE where it goes on by itself and
 * finalizes the request.
 */
ngx_int_t ngx_http_gray_act(ngx_http_request_t *r,
    ngx_http_gray_release_t *release, ngx_str_t *action, ngx_str_t *body,
    ngx_str_t *comment);


#endif /* _NGX_HTTP_GRAY_ACT_H_INCLUDED_ */
