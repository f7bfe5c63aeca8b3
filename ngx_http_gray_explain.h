
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_EXPLAIN_H_INCLUDED_
#define _NGX_HTTP_GRAY_EXPLAIN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/*
 * Sends how the live document decides for a request that has the attributes
 * of "body", an object of "$name": value.  Nothing is changed, drawn or
 * counted.  Returns what is to be passed on to ngx_http_finalize_request().
 */
ngx_int_t ngx_http_gray_explain(ngx_http_request_t *r,
    ngx_http_gray_release_t *release, ngx_str_t *body);


#endif /* _NGX_HTTP_GRAY_EXPLAIN_H_INCLUDED_ */
