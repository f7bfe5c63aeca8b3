
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_ADMIN_H_INCLUDED_
#define _NGX_HTTP_GRAY_ADMIN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* the content handler of an admin location, which must be a prefix or exact */
ngx_int_t ngx_http_gray_admin_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_GRAY_ADMIN_H_INCLUDED_ */
