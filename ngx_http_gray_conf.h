
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_CONF_H_INCLUDED_
#define _NGX_HTTP_GRAY_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


char *ngx_http_gray_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_gray_conf_release(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_gray_conf_admin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_gray_conf_metrics(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

void *ngx_http_gray_conf_create_main(ngx_conf_t *cf);

/* once everything is read: judges each release by the names that there are */
ngx_int_t ngx_http_gray_conf_judge(ngx_conf_t *cf);


#endif /* _NGX_HTTP_GRAY_CONF_H_INCLUDED_ */
