
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_PLANNING_H_INCLUDED_
#define _NGX_HTTP_GRAY_PLANNING_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_judge.h"


/* judges the member "rollout", for the table of the document's members */
void ngx_http_gray_planning_judge(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);

/*
 * The canonical form of a plan without a fault: members in order, all defaults
 * filled in; "doc" is the document that it is in.  NULL (memory).
 */
ngx_http_gray_json_t *ngx_http_gray_planning_fill(
    const ngx_http_gray_json_t *doc, const ngx_http_gray_json_t *rollout);


#endif /* _NGX_HTTP_GRAY_PLANNING_H_INCLUDED_ */
