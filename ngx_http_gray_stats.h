
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_STATS_H_INCLUDED_
#define _NGX_HTTP_GRAY_STATS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/*
 * What was counted for the variants of a release, in JSON.  These return what
 * a content handler returns; NGX_DONE of _reset() means that it goes on by a
 * timer.
 */

/* in the last "window" seconds, or, where that is 0, since the last reset */
ngx_int_t ngx_http_gray_stats(ngx_http_request_t *r,
    ngx_http_gray_release_t *release, ngx_uint_t window);

/* begins anew, and sends what there is then */
ngx_int_t ngx_http_gray_stats_reset(ngx_http_request_t *r,
    ngx_http_gray_release_t *release);


#endif /* _NGX_HTTP_GRAY_STATS_H_INCLUDED_ */
