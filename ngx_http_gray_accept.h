
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_ACCEPT_H_INCLUDED_
#define _NGX_HTTP_GRAY_ACCEPT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* how much a type is wanted, in thousandths, and how closely it was named */

typedef struct {
    ngx_uint_t                    q;
    ngx_uint_t                    named;
} ngx_http_gray_accept_range_t;


/* what was read of Accept so far; zeroed first */

typedef struct {
    ngx_http_gray_accept_range_t  text;
    ngx_http_gray_accept_range_t  openmetrics;
} ngx_http_gray_accept_t;


/* a header of a request; there may be several */
void ngx_http_gray_accept_header(ngx_http_gray_accept_t *accept,
    ngx_str_t *value);

/* is OpenMetrics preferred to the text format of Prometheus? */
ngx_uint_t ngx_http_gray_accept_openmetrics(ngx_http_gray_accept_t *accept);


#endif /* _NGX_HTTP_GRAY_ACCEPT_H_INCLUDED_ */
