
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_VARIABLES_H_INCLUDED_
#define _NGX_HTTP_GRAY_VARIABLES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/* $gray_decisions, before nginx.conf is read */
ngx_int_t ngx_http_gray_variables_init(ngx_conf_t *cf);

/* $gray_NAME and its sisters; NGX_OK, or NGX_ERROR with a log line */
ngx_int_t ngx_http_gray_variables_add(ngx_conf_t *cf,
    ngx_http_gray_release_t *release);


#endif /* _NGX_HTTP_GRAY_VARIABLES_H_INCLUDED_ */
