
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_TICK_H_INCLUDED_
#define _NGX_HTTP_GRAY_TICK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/*
 * In a worker, for a zone: the gauges are this process's from now on, and one
 * worker after the other turns the rings of its releases.
 */
ngx_int_t ngx_http_gray_tick_init_process(ngx_http_gray_main_conf_t *gmcf,
    ngx_http_gray_zone_t *zone, ngx_cycle_t *cycle);

/*
 * In a process that is its own master: a configuration goes, and its zones may
 * go with it, while it may have requests under way.
 */
void ngx_http_gray_tick_leave(ngx_http_gray_main_conf_t *gmcf);


#endif /* _NGX_HTTP_GRAY_TICK_H_INCLUDED_ */
