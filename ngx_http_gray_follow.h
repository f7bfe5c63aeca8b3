
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_FOLLOW_H_INCLUDED_
#define _NGX_HTTP_GRAY_FOLLOW_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/*
 * For a process that serves: from now on one of all those of the zone looks
 * at its journals, several times a second, and makes zone and journal alike
 * where they are not.  NGX_OK or NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_follow_init_process(ngx_http_gray_main_conf_t *gmcf,
    ngx_http_gray_zone_t *zone, ngx_cycle_t *cycle);


#endif /* _NGX_HTTP_GRAY_FOLLOW_H_INCLUDED_ */
