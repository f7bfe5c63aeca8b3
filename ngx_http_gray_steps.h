
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_STEPS_H_INCLUDED_
#define _NGX_HTTP_GRAY_STEPS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_moves.h"


/* a tick of a rollout that is not paused, and waits for no document */
void ngx_http_gray_steps_advance(ngx_http_gray_staging_t *st);

/* the last step that is not above a weight, nor behind a gate */
ngx_uint_t ngx_http_gray_steps_at(ngx_http_gray_staging_t *st,
    uint32_t weight);

/* a pause has come before the weight of its step has */
ngx_uint_t ngx_http_gray_steps_ahead(ngx_http_gray_staging_t *st);

/* of the step that comes; the last one leads to all of them */
double ngx_http_gray_steps_percent(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_state_t *state);


#endif /* _NGX_HTTP_GRAY_STEPS_H_INCLUDED_ */
