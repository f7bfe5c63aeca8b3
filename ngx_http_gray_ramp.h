
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_RAMP_H_INCLUDED_
#define _NGX_HTTP_GRAY_RAMP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_declare.h"


/* the context of directives inside of rollout */

#define NGX_HTTP_GRAY_RAMP_CONF  0x00400000


/*
 * The block "rollout" inside of gray_release, and the directives inside of it:
 * they make the member "rollout" of the document.  _text() and _number() set
 * the member that is named as the directive.
 */
char *ngx_http_gray_ramp_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_gray_ramp_text(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_gray_ramp_number(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_gray_ramp_step(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_gray_ramp_guard(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_gray_ramp_guards(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_gray_ramp_window(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_gray_ramp_notify(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* _NGX_HTTP_GRAY_RAMP_H_INCLUDED_ */
