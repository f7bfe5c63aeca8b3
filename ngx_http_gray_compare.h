
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_COMPARE_H_INCLUDED_
#define _NGX_HTTP_GRAY_COMPARE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/* a variant, and what was counted of it */

typedef struct {
    ngx_str_t                  *name;
    uint32_t                    share;      /* buckets */
    ngx_http_gray_summary_t    *summary;    /* NULL: it has no counters */
} ngx_http_gray_compare_arm_t;


/*
 * The members of statistics that are for pipelines: both arms in a few numbers,
 * whether these are enough, and what the rollout has come to.  "canary" may be
 * NULL.  NGX_OK or NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_compare(ngx_http_gray_json_t *json,
    ngx_http_gray_release_t *release, ngx_http_gray_compare_arm_t *baseline,
    ngx_http_gray_compare_arm_t *canary);


#endif /* _NGX_HTTP_GRAY_COMPARE_H_INCLUDED_ */
