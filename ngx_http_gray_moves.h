
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_MOVES_H_INCLUDED_
#define _NGX_HTTP_GRAY_MOVES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_state.h"


/* who calls, and what he has been told so far */

typedef struct {
    const ngx_http_gray_plan_t   *plan;
    ngx_http_gray_state_t        *state;
    const ngx_http_gray_world_t  *world;
    ngx_http_gray_outcomes_t     *outcomes;
} ngx_http_gray_staging_t;


/*
 * These are what leads from one state to another, for ngx_http_gray_stage.c;
 * each that changes the stage or the step adds an event.
 */

/* is the document what is wished for? */
ngx_uint_t ngx_http_gray_move_fulfilled(ngx_http_gray_staging_t *st);

/* may a step not come yet: by a gate, or as no window is open? */
ngx_uint_t ngx_http_gray_move_blocked(ngx_http_gray_staging_t *st,
    ngx_uint_t step);

/* are all windows over, for good? */
ngx_uint_t ngx_http_gray_move_shut(ngx_http_gray_staging_t *st);

void ngx_http_gray_move_enter(ngx_http_gray_staging_t *st,
    ngx_uint_t step, ngx_http_gray_cause_e cause, const char *why);

/* the first half of that: the step begins, and its warmup */
void ngx_http_gray_move_step(ngx_http_gray_staging_t *st, ngx_uint_t step);

/* of a step with that weight */
ngx_http_gray_stage_e ngx_http_gray_move_stage(uint32_t weight);

void ngx_http_gray_move_succeed(ngx_http_gray_staging_t *st,
    ngx_http_gray_cause_e cause, const char *why);

void ngx_http_gray_move_pause(ngx_http_gray_staging_t *st,
    ngx_http_gray_cause_e cause, const char *why);

void ngx_http_gray_move_rollback(ngx_http_gray_staging_t *st,
    ngx_http_gray_cause_e cause, const char *why);

void ngx_http_gray_move_abort(ngx_http_gray_staging_t *st,
    ngx_http_gray_cause_e cause, const char *why);

/* what is wished for is noted, unless it is so already */
void ngx_http_gray_move_wish(ngx_http_gray_staging_t *st,
    ngx_http_gray_wish_e wish, uint32_t weight);

/* what is not there yet is no longer wished for */
void ngx_http_gray_move_withdraw(ngx_http_gray_staging_t *st);

/* another sub-state, and reason */
void ngx_http_gray_move_wait(ngx_http_gray_staging_t *st,
    ngx_http_gray_waits_e waits, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

ngx_http_gray_event_t *ngx_http_gray_move_change(
    ngx_http_gray_staging_t *st, ngx_http_gray_stage_e stage,
    ngx_http_gray_cause_e cause, ngx_http_gray_hook_e hook, const char *fmt,
    ...) __attribute__((format(printf, 5, 6)));


#endif /* _NGX_HTTP_GRAY_MOVES_H_INCLUDED_ */
