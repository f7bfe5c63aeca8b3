
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_METRICS_H_INCLUDED_
#define _NGX_HTTP_GRAY_METRICS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * What Prometheus scrapes, of all releases: with "alias", the names by which
 * tools ask ingress-nginx, too.  The result is as of ngx_http_gray_reply_...
 */
ngx_int_t ngx_http_gray_metrics(ngx_http_request_t *r, ngx_uint_t alias);

/* the content handler of a location with "gray_metrics" */
ngx_int_t ngx_http_gray_metrics_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_GRAY_METRICS_H_INCLUDED_ */
