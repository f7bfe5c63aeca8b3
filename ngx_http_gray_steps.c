
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Steps: whether the one that is there may be left, and which is the next.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <stdio.h>

#include "ngx_http_gray_moves.h"
#include "ngx_http_gray_steps.h"


static ngx_uint_t ngx_http_gray_steps_sure(ngx_http_gray_staging_t *st);
static void ngx_http_gray_steps_inconclusive(ngx_http_gray_staging_t *st);
static void ngx_http_gray_steps_next(ngx_http_gray_staging_t *st,
    ngx_http_gray_cause_e cause, const char *why);


void
ngx_http_gray_steps_advance(ngx_http_gray_staging_t *st)
{
    char                         why[NGX_HTTP_GRAY_STAGE_REASON];
    ngx_uint_t                   next;
    ngx_http_gray_state_t       *state;
    const ngx_http_gray_step_t  *step;

    state = st->state;

    if (state->stage == NGX_HTTP_GRAY_STAGE_SCHEDULED) {

        if (!ngx_http_gray_move_blocked(st, 0)) {
            ngx_http_gray_move_enter(st, 0, NGX_HTTP_GRAY_CAUSE_PLAN,
                                      "the first step");
        }

        return;
    }

    step = &st->plan->step[state->step];
    next = state->step + 1;

    if (state->held < step->hold) {
        ngx_http_gray_move_wait(st, NGX_HTTP_GRAY_WAITS_NOT, "%s",
                                 state->reason);
        return;
    }

    /* who has come to a gate stays there, whatever comes to light meanwhile */

    if (state->waits == NGX_HTTP_GRAY_WAITS_GATE
        && ngx_http_gray_move_blocked(st, next))
    {
        return;
    }

    if (!ngx_http_gray_steps_sure(st)) {

        if (state->held >= step->max_hold) {
            ngx_http_gray_steps_inconclusive(st);
            return;
        }

        ngx_http_gray_move_wait(st, NGX_HTTP_GRAY_WAITS_EVIDENCE, "%s",
                                 state->reason);
        return;
    }

    if (ngx_http_gray_move_blocked(st, next)) {
        return;
    }

    (void) snprintf(why, sizeof(why),
                    "step %lu of %lu was held for %lu s, %lu requests",
                    (unsigned long) next, (unsigned long) st->plan->steps,
                    (unsigned long) (state->held / 1000),
                    (unsigned long) state->requests);

    ngx_http_gray_steps_next(st, NGX_HTTP_GRAY_CAUSE_PLAN, why);
}


/* has the step seen so much that the next one may come? */

static ngx_uint_t
ngx_http_gray_steps_sure(ngx_http_gray_staging_t *st)
{
    double                       next;
    const ngx_http_gray_step_t  *step;

    step = &st->plan->step[st->state->step];
    next = ngx_http_gray_steps_percent(st->plan, st->state);

    return (step->weight == 0 || st->state->requests >= step->min_requests)
           && ngx_http_gray_guards_enough(st->plan, &st->state->guards,
                                          step->percent, next);
}


/* what is not known never makes it the baseline, nor gives it everybody */

static void
ngx_http_gray_steps_inconclusive(ngx_http_gray_staging_t *st)
{
    char                    why[NGX_HTTP_GRAY_STAGE_REASON];
    ngx_uint_t              next, last;
    ngx_http_gray_state_t  *state;

    state = st->state;
    next = state->step + 1;

    last = (next >= st->plan->steps
            || st->plan->step[next].weight == NGX_HTTP_GRAY_STAGE_ALL);

    (void) snprintf(why, sizeof(why),
                    "not enough evidence in step %lu after %lu s, %lu requests"
                    "%s", (unsigned long) next,
                    (unsigned long) (state->held / 1000),
                    (unsigned long) state->requests,
                    (last && st->plan->on_inconclusive
                             == NGX_HTTP_GRAY_PLAN_NEXT)
                    ? ", and without it nothing is promoted" : "");

    if (st->plan->on_inconclusive == NGX_HTTP_GRAY_PLAN_ROLLBACK) {
        ngx_http_gray_move_rollback(st, NGX_HTTP_GRAY_CAUSE_INCONCLUSIVE,
                                     why);
        return;
    }

    if (st->plan->on_inconclusive == NGX_HTTP_GRAY_PLAN_NEXT && !last) {

        if (!ngx_http_gray_move_blocked(st, next)) {
            ngx_http_gray_steps_next(st, NGX_HTTP_GRAY_CAUSE_INCONCLUSIVE,
                                     why);
        }

        return;
    }

    /* when it goes on, it has as much time again */

    state->held = st->plan->step[state->step].hold;

    ngx_http_gray_move_pause(st, NGX_HTTP_GRAY_CAUSE_INCONCLUSIVE, why);
}


static void
ngx_http_gray_steps_next(ngx_http_gray_staging_t *st,
    ngx_http_gray_cause_e cause, const char *why)
{
    if (st->state->step + 1 < st->plan->steps) {
        ngx_http_gray_move_enter(st, st->state->step + 1, cause, why);
        return;
    }

    ngx_http_gray_move_succeed(st, cause, why);
}


ngx_uint_t
ngx_http_gray_steps_at(ngx_http_gray_staging_t *st, uint32_t weight)
{
    ngx_uint_t                   i, at;
    const ngx_http_gray_step_t  *step;

    at = 0;

    for (i = 0; i < st->plan->steps; i++) {
        step = &st->plan->step[i];

        if (i && step->gate && st->state->approved <= i) {
            break;
        }

        if (step->weight <= weight) {
            at = i;
        }
    }

    return at;
}


ngx_uint_t
ngx_http_gray_steps_ahead(ngx_http_gray_staging_t *st)
{
    ngx_http_gray_state_t  *state;

    state = st->state;

    return state->held == 0
           && state->weight == state->old_weight
           && state->weight != st->plan->step[state->step].weight;
}


double
ngx_http_gray_steps_percent(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_state_t *state)
{
    ngx_uint_t  next;

    next = state->step + 1;

    return next < plan->steps ? plan->step[next].percent : 100;
}
