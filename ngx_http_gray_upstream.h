
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_UPSTREAM_H_INCLUDED_
#define _NGX_HTTP_GRAY_UPSTREAM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/*
 * Makes the release an upstream of its name, whether proxy_pass names it
 * before or after.  NGX_OK, or NGX_ERROR with a log line.
 */
ngx_int_t ngx_http_gray_upstream_add(ngx_conf_t *cf,
    ngx_http_gray_release_t *release);


#endif /* _NGX_HTTP_GRAY_UPSTREAM_H_INCLUDED_ */
