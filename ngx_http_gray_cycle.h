
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_CYCLE_H_INCLUDED_
#define _NGX_HTTP_GRAY_CYCLE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Finds or adds the blocks of the zone's releases.  It also runs for "-t" and
 * for configurations that are refused afterwards, so it changes nothing else.
 */
ngx_int_t ngx_http_gray_cycle_init_zone(ngx_shm_zone_t *shm_zone, void *data);

/*
 * What must happen once for a configuration that was accepted: releases take
 * along their live documents, or take up what is declared.
 */
ngx_int_t ngx_http_gray_cycle_init_module(ngx_cycle_t *cycle);

/* compiles what is live, so that no request has to */
ngx_int_t ngx_http_gray_cycle_init_process(ngx_cycle_t *cycle);


#endif /* _NGX_HTTP_GRAY_CYCLE_H_INCLUDED_ */
