
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_ADMIN_H_INCLUDED_
#define _NGX_HTTP_GRAY_ADMIN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* a location's configuration: "gray_admin [readonly] [remote]" sets it */

typedef struct {
    ngx_uint_t                  enabled;    /* unsigned  enabled:1; */
    ngx_uint_t                  readonly;   /* unsigned  readonly:1; */
    ngx_uint_t                  remote;     /* unsigned  remote:1; */

    ngx_array_t                *names;      /* of the server, see access.h */
} ngx_http_gray_loc_conf_t;


/*
 * Nothing is inherited by other locations, but "limit_except" and "if" inside
 * of an admin location belong to it.
 */
void *ngx_http_gray_admin_create_conf(ngx_conf_t *cf);
char *ngx_http_gray_admin_merge_conf(ngx_conf_t *cf, void *parent,
    void *child);

/* the content handler of an admin location, which must be a prefix or exact */
ngx_int_t ngx_http_gray_admin_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_GRAY_ADMIN_H_INCLUDED_ */
