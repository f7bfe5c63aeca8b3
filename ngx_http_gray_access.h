
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_ACCESS_H_INCLUDED_
#define _NGX_HTTP_GRAY_ACCESS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * A copy of the names of the server that "cf" is in: nginx frees its own once
 * the configuration is read.  To be called where location configurations are
 * merged, when all the names are known.  NULL (memory).
 */
ngx_array_t *ngx_http_gray_access_names(ngx_conf_t *cf);

/*
 * May this client use what operators use?  NULL, or a C string of why not and
 * what to do, to be served with 403.  Without "remote", only a client of this
 * machine may; a web page of another origin never may.  "names" are those of
 * the server, as _names() returned them.
 */
const char *ngx_http_gray_access_denied(ngx_http_request_t *r,
    ngx_array_t *names, ngx_uint_t remote);


#endif /* _NGX_HTTP_GRAY_ACCESS_H_INCLUDED_ */
