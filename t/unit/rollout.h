
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * What tests of rollouts share: plans made in C, and a rollout with the world
 * that it is in.
 */


#ifndef _ROLLOUT_H_INCLUDED_
#define _ROLLOUT_H_INCLUDED_


#include "unit.h"

#include "ngx_http_gray_stage.h"
#include "ngx_http_gray_tally.h"


#define SECOND  1000
#define PERCENT (NGX_HTTP_GRAY_STAGE_ALL / 100)


typedef struct {
    ngx_http_gray_plan_t       plan;
    ngx_http_gray_state_t      state;
    ngx_http_gray_world_t      world;
    ngx_http_gray_sample_t     canary;
    ngx_http_gray_sample_t     baseline;
    uint64_t                   times[NGX_HTTP_GRAY_HISTOGRAM];
    ngx_http_gray_outcomes_t   outcomes;
} rollout_t;


/* held for 10 s, for 60 s at most, without a warmup or a least of requests */

static ngx_inline ngx_http_gray_step_t *
add_step(ngx_http_gray_plan_t *plan, double percent)
{
    ngx_http_gray_step_t  *step;

    step = &plan->step[plan->steps++];

    memset(step, 0, sizeof(ngx_http_gray_step_t));

    step->percent = percent;
    step->weight = (uint32_t) (percent * PERCENT + 0.5);
    step->hold = 10 * SECOND;
    step->max_hold = 60 * SECOND;

    return step;
}


/* with the numbers that a plan has for it by default */

static ngx_inline ngx_http_gray_guard_t *
add_guard(ngx_http_gray_plan_t *plan, const char *name,
    ngx_http_gray_guard_e kind)
{
    ngx_http_gray_guard_t  *guard;

    guard = &plan->guard[plan->guards++];

    memset(guard, 0, sizeof(ngx_http_gray_guard_t));
    strcpy(guard->name, name);

    guard->kind = kind;
    guard->action = NGX_HTTP_GRAY_PLAN_ROLLBACK;
    guard->watch = plan->watches;
    guard->watches = 1;

    switch (kind) {

    case NGX_HTTP_GRAY_GUARD_RELATIVE:
        guard->bad = 1 << NGX_HTTP_GRAY_5XX;
        guard->max_ratio = 1.25;
        guard->floor = 0.0005;
        break;

    case NGX_HTTP_GRAY_GUARD_ABSOLUTE:
        guard->bad = 1 << NGX_HTTP_GRAY_5XX;
        guard->max = 0.05;
        guard->baseline_bad = 1;
        break;

    case NGX_HTTP_GRAY_GUARD_LATENCY:
        guard->max_ratio = 1.1;
        guard->min_delta = 5;
        guard->quantile[0] = 0.5;
        guard->quantile[1] = 0.9;
        guard->quantile[2] = 0.99;
        guard->watches = 3;
        break;

    case NGX_HTTP_GRAY_GUARD_SLOW:
        guard->slower = 500;
        guard->max = 0.01;
        guard->action = NGX_HTTP_GRAY_PLAN_PAUSE;
        break;

    default: /* NGX_HTTP_GRAY_GUARD_SHARE */
        guard->action = NGX_HTTP_GRAY_PLAN_PAUSE;
    }

    plan->watches += guard->watches;
    plan->bad |= guard->bad;
    plan->split |= (kind == NGX_HTTP_GRAY_GUARD_SHARE);

    return guard;
}


/* no steps and no guards, all else by default, by requests */

static ngx_inline void
plan_init(ngx_http_gray_plan_t *plan)
{
    memset(plan, 0, sizeof(ngx_http_gray_plan_t));
    strcpy(plan->variant, "canary");

    plan->id = 1;
    plan->alpha = 0.01;
    plan->detect_ratio = 3;
    plan->info_nats = 16;
    plan->on_inconclusive = NGX_HTTP_GRAY_PLAN_PAUSE;
    plan->on_success = NGX_HTTP_GRAY_PLAN_PROMOTE;
    plan->cooldown = 600 * SECOND;
}


/* of no variant yet: a baseline takes all */

static ngx_inline void
rollout_init(rollout_t *r)
{
    memset(r, 0, sizeof(rollout_t));
    plan_init(&r->plan);

    r->world.now = 1000 * SECOND;
    r->world.time = 1790000000;
    r->world.revision = 1;
    r->world.enabled = 1;
    r->world.rest = NGX_HTTP_GRAY_STAGE_ALL;
    r->world.testers = "";
    r->world.canary = &r->canary;
    r->world.baseline = &r->baseline;
    r->world.times = r->times;
    r->world.filled = -1;
}


static ngx_inline ngx_int_t
rollout_command(rollout_t *r, ngx_http_gray_command_e command)
{
    return ngx_http_gray_stage_command(&r->plan, &r->state, &r->world, command,
                                       "amy", &r->outcomes);
}


static ngx_inline void
rollout_tick(rollout_t *r)
{
    r->world.now += SECOND;
    r->world.time++;

    ngx_http_gray_stage_tick(&r->plan, &r->state, &r->world, &r->outcomes);
}


/* by an operator */

static ngx_inline void
set_weight(rollout_t *r, double percent)
{
    r->world.weight = (uint32_t) (percent * PERCENT);
    r->world.rest = NGX_HTTP_GRAY_STAGE_ALL - r->world.weight;
    r->world.revision++;
}


/* the document becomes what is wished for */

static ngx_inline void
rollout_fulfil(rollout_t *r)
{
    switch (r->state.wish) {

    case NGX_HTTP_GRAY_WISH_NONE:
        return;

    case NGX_HTTP_GRAY_WISH_PROMOTE:
        r->world.promoted = 1;
        r->world.weight = 0;
        break;

    case NGX_HTTP_GRAY_WISH_ROLLBACK:
        r->world.weight = 0;
        r->world.spread = 0;
        break;

    default: /* NGX_HTTP_GRAY_WISH_WEIGHT */
        r->world.weight = r->state.weight;
    }

    r->world.rest = NGX_HTTP_GRAY_STAGE_ALL - r->world.weight;
    r->world.revision++;
}


/* ticks, each with what it wishes for, and so many requests of each arm */

static ngx_inline void
rollout_pass(rollout_t *r, ngx_uint_t seconds, uint64_t n)
{
    while (seconds--) {
        rollout_fulfil(r);

        r->canary.step += n;
        r->canary.all += n;
        r->baseline.step += n;
        r->baseline.all += n;

        rollout_tick(r);
    }
}


/* "STAGE SUBSTATE N: REASON", where N is the step, from 1 on */

static ngx_inline void
rollout_text(const rollout_t *r, char *text, size_t size)
{
    const ngx_http_gray_state_t  *state;

    state = &r->state;

    (void) snprintf(text, size, "%s%s%s %u: %s",
                    (char *) ngx_http_gray_stages[state->stage].data,
                    state->waits ? " " : "",
                    (char *) ngx_http_gray_waits[state->waits].data,
                    state->step + 1, state->reason);
}


static ngx_inline void
assert_rollout_at(const char *file, int line, const rollout_t *r,
    const char *expected)
{
    char  found[NGX_HTTP_GRAY_STAGE_REASON + 64];

    rollout_text(r, found, sizeof(found));

    if (strcmp(found, expected) != 0) {
        fail_msg("%s:%d:\nfound:    %s\nexpected: %s", file, line, found,
                 expected);
    }
}


#define assert_rollout(r, expected)                                           \
    assert_rollout_at(__FILE__, __LINE__, (r), (expected))


#endif /* _ROLLOUT_H_INCLUDED_ */
