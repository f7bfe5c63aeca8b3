
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_WATCHING_H_INCLUDED_
#define _NGX_HTTP_GRAY_WATCHING_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_judge.h"


/* those of a plan that says nothing of them, in JSON */
#define NGX_HTTP_GRAY_WATCHING_DEFAULT                                        \
    "[{\"name\": \"errors\", \"max_ratio\": 1.25},"                           \
    " {\"name\": \"errors_abs\", \"max\": 0.05,"                              \
    " \"if_baseline_bad\": \"pause\"},"                                       \
    " {\"name\": \"latency\", \"quantiles\": [0.5, 0.9, 0.99]}]"


/* judges the member "guards" of a plan; "node" is NULL where it has none */
void ngx_http_gray_watching_guards(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node);

/* the canonical form of guards without a fault; NULL (memory) */
ngx_http_gray_json_t *ngx_http_gray_watching_fill(
    const ngx_http_gray_json_t *guards);


#endif /* _NGX_HTTP_GRAY_WATCHING_H_INCLUDED_ */
