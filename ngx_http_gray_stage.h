
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_STAGE_H_INCLUDED_
#define _NGX_HTTP_GRAY_STAGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_state.h"


/*
 * One tick: to be called every second or so while there is a rollout.  "plan"
 * is NULL where the document has none.  What is to be done besides is
 * state->wish, until the world shows that it was.
 */
void ngx_http_gray_stage_tick(const ngx_http_gray_plan_t *plan,
    ngx_http_gray_state_t *state, const ngx_http_gray_world_t *world,
    ngx_http_gray_outcomes_t *outcomes);

/*
 * An action of an operator, "who" for people: NGX_OK, also where it changes
 * nothing, or NGX_DECLINED with outcomes->refused.
 */
ngx_int_t ngx_http_gray_stage_command(const ngx_http_gray_plan_t *plan,
    ngx_http_gray_state_t *state, const ngx_http_gray_world_t *world,
    ngx_http_gray_command_e command, const char *who,
    ngx_http_gray_outcomes_t *outcomes);

/* is a rollout under way: scheduled, running, paused or baking? */
ngx_uint_t ngx_http_gray_stage_active(const ngx_http_gray_state_t *state);

/* how guard number "i" stands; plan->id must be state->plan */
void ngx_http_gray_stage_guard(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_state_t *state, ngx_uint_t i,
    ngx_http_gray_standing_t *standing);


#endif /* _NGX_HTTP_GRAY_STAGE_H_INCLUDED_ */
