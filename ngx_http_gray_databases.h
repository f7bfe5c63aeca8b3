
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_DATABASES_H_INCLUDED_
#define _NGX_HTTP_GRAY_DATABASES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/* gray_geoip FILE */
char *ngx_http_gray_databases_geoip(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* takes up what was replaced since nginx started, and watches the files */
void ngx_http_gray_databases_init_process(ngx_http_gray_main_conf_t *gmcf,
    ngx_cycle_t *cycle);


#endif /* _NGX_HTTP_GRAY_DATABASES_H_INCLUDED_ */
