
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <stdarg.h>
#include <stdio.h>

#include "ngx_http_gray_moves.h"


static ngx_uint_t ngx_http_gray_move_open(ngx_http_gray_staging_t *st);
static ngx_http_gray_event_t *ngx_http_gray_move_event(
    ngx_http_gray_staging_t *st, ngx_uint_t from, ngx_http_gray_cause_e cause,
    ngx_http_gray_hook_e hook);


ngx_uint_t
ngx_http_gray_move_fulfilled(ngx_http_gray_staging_t *st)
{
    const ngx_http_gray_world_t  *world;

    world = st->world;

    switch (st->state->wish) {

    case NGX_HTTP_GRAY_WISH_WEIGHT:
        return world->weight == st->state->weight;

    case NGX_HTTP_GRAY_WISH_ROLLBACK:
        return (world->weight == 0 && !world->spread) || world->promoted;

    default: /* NGX_HTTP_GRAY_WISH_PROMOTE */
        return world->promoted;
    }
}


ngx_uint_t
ngx_http_gray_move_blocked(ngx_http_gray_staging_t *st, ngx_uint_t step)
{
    ngx_uint_t              gate;
    ngx_http_gray_event_t  *event;
    ngx_http_gray_state_t  *state;

    state = st->state;

    gate = (step < st->plan->steps
            && st->plan->step[step].gate
            && state->approved <= step);

    if (gate) {

        if (state->waits != NGX_HTTP_GRAY_WAITS_GATE) {
            ngx_http_gray_move_wait(st, NGX_HTTP_GRAY_WAITS_GATE,
                                     "step %lu, of %.7g%%, is to be approved",
                                     (unsigned long) step + 1,
                                     st->plan->step[step].percent);

            event = ngx_http_gray_move_event(st, state->stage,
                                              NGX_HTTP_GRAY_CAUSE_PLAN,
                                              NGX_HTTP_GRAY_HOOK_GATE);
            event->step = step;
        }

        return 1;
    }

    if (!ngx_http_gray_move_open(st)) {
        ngx_http_gray_move_wait(st, NGX_HTTP_GRAY_WAITS_WINDOW,
                                 "no window of the plan is open%s",
                                 ngx_http_gray_move_shut(st)
                                 ? ", nor will one be again" : "");
        return 1;
    }

    return 0;
}


static ngx_uint_t
ngx_http_gray_move_open(ngx_http_gray_staging_t *st)
{
    ngx_uint_t  i;

    for (i = 0; i < st->plan->windows; i++) {
        if (ngx_http_gray_window_open(&st->plan->window[i], st->world->time)) {
            return 1;
        }
    }

    return st->plan->windows == 0;
}


/* dates are judged by the clock of the day, not when they are written */

ngx_uint_t
ngx_http_gray_move_shut(ngx_http_gray_staging_t *st)
{
    ngx_uint_t              i;
    ngx_http_gray_window_t  window;

    for (i = 0; i < st->plan->windows; i++) {
        window = st->plan->window[i];
        window.after = ngx_max(window.after, st->world->time);

        if (window.after < window.before
            && ngx_http_gray_window_opens(&window))
        {
            return 0;
        }
    }

    return st->plan->windows != 0;
}


void
ngx_http_gray_move_enter(ngx_http_gray_staging_t *st, ngx_uint_t step,
    ngx_http_gray_cause_e cause, const char *why)
{
    uint32_t  weight;

    weight = st->plan->step[step].weight;

    ngx_http_gray_move_step(st, step);

    (void) ngx_http_gray_move_change(st, ngx_http_gray_move_stage(weight),
                                      cause, NGX_HTTP_GRAY_HOOK_STEP,
                                      "step %lu of %lu, %.7g%%: %s",
                                      (unsigned long) step + 1,
                                      (unsigned long) st->plan->steps,
                                      st->plan->step[step].percent, why);

    ngx_http_gray_move_wish(st, NGX_HTTP_GRAY_WISH_WEIGHT, weight);

    st->outcomes->event[st->outcomes->events - 1].weight = weight;
}


void
ngx_http_gray_move_step(ngx_http_gray_staging_t *st, ngx_uint_t step)
{
    ngx_http_gray_state_t  *state;

    state = st->state;

    state->step = step;
    state->held = 0;
    state->cold = (uint32_t) ngx_min(st->plan->step[step].warmup, UINT32_MAX);
    state->requests = 0;
    state->entered = st->world->time;
}


ngx_http_gray_stage_e
ngx_http_gray_move_stage(uint32_t weight)
{
    return weight == NGX_HTTP_GRAY_STAGE_ALL ? NGX_HTTP_GRAY_STAGE_BAKING
                                             : NGX_HTTP_GRAY_STAGE_RUNNING;
}


void
ngx_http_gray_move_succeed(ngx_http_gray_staging_t *st,
    ngx_http_gray_cause_e cause, const char *why)
{
    ngx_uint_t  promote;

    promote = (st->plan->on_success == NGX_HTTP_GRAY_PLAN_PROMOTE);

    ngx_http_gray_move_withdraw(st);

    (void) ngx_http_gray_move_change(st, NGX_HTTP_GRAY_STAGE_SUCCEEDED, cause,
                                      NGX_HTTP_GRAY_HOOK_PROMOTED, "%s: %s",
                                      promote ? "it becomes the baseline"
                                              : "it keeps its weight", why);

    if (promote) {
        ngx_http_gray_move_wish(st, NGX_HTTP_GRAY_WISH_PROMOTE,
                                 st->world->weight);
    }
}


void
ngx_http_gray_move_pause(ngx_http_gray_staging_t *st,
    ngx_http_gray_cause_e cause, const char *why)
{
    ngx_http_gray_move_withdraw(st);

    st->state->before = st->state->stage;

    (void) ngx_http_gray_move_change(st, NGX_HTTP_GRAY_STAGE_PAUSED, cause,
                                      NGX_HTTP_GRAY_HOOK_PAUSE, "%s", why);
}


void
ngx_http_gray_move_rollback(ngx_http_gray_staging_t *st,
    ngx_http_gray_cause_e cause, const char *why)
{
    ngx_uint_t                    testers;
    const ngx_http_gray_world_t  *world;

    world = st->world;
    testers = (world->testers && world->testers[0]);

    (void) ngx_http_gray_move_change(st, NGX_HTTP_GRAY_STAGE_ROLLED_BACK,
                                      cause, NGX_HTTP_GRAY_HOOK_ROLLBACK,
                                      "%s%s%s", why,
                                      testers ? "; rules that name it stay: "
                                              : "",
                                      testers ? world->testers : "");
    st->state->held = 0;

    ngx_http_gray_move_wish(st, NGX_HTTP_GRAY_WISH_ROLLBACK, 0);

    st->outcomes->event[st->outcomes->events - 1].weight = 0;
}


void
ngx_http_gray_move_abort(ngx_http_gray_staging_t *st,
    ngx_http_gray_cause_e cause, const char *why)
{
    ngx_http_gray_move_withdraw(st);

    (void) ngx_http_gray_move_change(st, NGX_HTTP_GRAY_STAGE_ABORTED, cause,
                                      NGX_HTTP_GRAY_HOOK_ABORTED,
                                      "%s, weights stay as they are", why);
}


void
ngx_http_gray_move_wish(ngx_http_gray_staging_t *st,
    ngx_http_gray_wish_e wish, uint32_t weight)
{
    ngx_http_gray_state_t  *state;

    state = st->state;

    state->wish = wish;
    state->weight = weight;
    state->old_weight = st->world->weight;
    state->wished = st->world->revision;

    if (ngx_http_gray_move_fulfilled(st)) {
        state->wish = NGX_HTTP_GRAY_WISH_NONE;
        state->from = st->world->revision;
    }
}


/* what the document says is what it is, whether it came to it or not */

void
ngx_http_gray_move_withdraw(ngx_http_gray_staging_t *st)
{
    ngx_http_gray_state_t  *state;

    state = st->state;

    if (state->wish == NGX_HTTP_GRAY_WISH_NONE) {
        return;
    }

    state->wish = NGX_HTTP_GRAY_WISH_NONE;
    state->weight = st->world->weight;
    state->from = st->world->revision;
    state->moved = 1;
}


void
ngx_http_gray_move_wait(ngx_http_gray_staging_t *st,
    ngx_http_gray_waits_e waits, const char *fmt, ...)
{
    char                    reason[NGX_HTTP_GRAY_STAGE_REASON];
    va_list                 args;
    ngx_http_gray_state_t  *state;

    state = st->state;

    /* all of it is kept in a file */

    ngx_memzero(reason, sizeof(reason));

    va_start(args, fmt);
    (void) vsnprintf(reason, sizeof(reason), fmt, args);
    va_end(args);

    if (state->waits != waits) {
        state->waits = waits;
        state->serial++;
    }

    ngx_memcpy(state->reason, reason, sizeof(reason));
}


/* another stage, or another step, and an event that tells of it */

ngx_http_gray_event_t *
ngx_http_gray_move_change(ngx_http_gray_staging_t *st,
    ngx_http_gray_stage_e stage, ngx_http_gray_cause_e cause,
    ngx_http_gray_hook_e hook, const char *fmt, ...)
{
    char                    reason[NGX_HTTP_GRAY_STAGE_REASON];
    va_list                 args;
    ngx_uint_t              from;
    ngx_http_gray_state_t  *state;

    state = st->state;
    from = state->stage;

    ngx_memzero(reason, sizeof(reason));

    va_start(args, fmt);
    (void) vsnprintf(reason, sizeof(reason), fmt, args);
    va_end(args);

    ngx_memcpy(state->reason, reason, sizeof(reason));

    state->stage = stage;
    state->cause = cause;
    state->waits = NGX_HTTP_GRAY_WAITS_NOT;
    state->since = st->world->time;
    state->serial++;

    return ngx_http_gray_move_event(st, from, cause, hook);
}


static ngx_http_gray_event_t *
ngx_http_gray_move_event(ngx_http_gray_staging_t *st, ngx_uint_t from,
    ngx_http_gray_cause_e cause, ngx_http_gray_hook_e hook)
{
    ngx_http_gray_event_t  *event;
    ngx_http_gray_state_t  *state;

    state = st->state;

    /* a start and a step are the most that come at once */

    event = &st->outcomes->event[ngx_min(st->outcomes->events,
                                         NGX_HTTP_GRAY_STAGE_EVENTS - 1)];

    st->outcomes->events = (event - st->outcomes->event) + 1;

    ngx_memzero(event, sizeof(ngx_http_gray_event_t));

    event->time = st->world->time;
    event->hook = hook;
    event->from = from;
    event->to = state->stage;
    event->cause = cause;
    event->step = state->step;
    event->weight = state->weight;
    event->value = -1;

    ngx_memcpy(event->reason, state->reason, sizeof(event->reason));

    return event;
}
