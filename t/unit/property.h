
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The world that random rollouts are in: a document that operators and the
 * rollout change, traffic, and two clocks.  Numbers are from a seed.
 */


#ifndef _PROPERTY_H_INCLUDED_
#define _PROPERTY_H_INCLUDED_


#include "rollout.h"

#include <math.h>


#define ARMS      3              /* stable, and the two that plans are for */
#define NO_PLAN   ARMS


/* a change of the rollout's that was begun, for the document of then */

typedef struct {
    ngx_uint_t                 wish;         /* ngx_http_gray_wish_e */
    ngx_uint_t                 arm;
    uint32_t                   weight;
    uint64_t                   revision;
} property_flight_t;


typedef struct {
    uint64_t                   first;        /* seed */
    uint64_t                   seed;

    /* the document */

    uint64_t                   revision;
    ngx_uint_t                 enabled;
    ngx_uint_t                 base;
    uint32_t                   weight[ARMS];
    ngx_uint_t                 spread[ARMS];
    ngx_http_gray_plan_t      *plan;         /* that, or NULL */
    ngx_http_gray_plan_t       made;
    uint64_t                   plans;

    property_flight_t          flight;
    ngx_uint_t                 stuck;        /* the disk is full, say */

    uint64_t                   now;          /* ms */
    int64_t                    time;         /* s */

    /* requests of a second, and bad ones of a million, of both */

    ngx_uint_t                 rate;
    ngx_uint_t                 bad[2];
    ngx_http_gray_sample_t     canary;
    ngx_http_gray_sample_t     baseline;
    uint64_t                   times[NGX_HTTP_GRAY_HISTOGRAM];
    double                     filled;

    ngx_http_gray_world_t      last;         /* as a tick has seen it */
} property_world_t;


/* from a stage to others, by a tick, or by commands: masks */

#define TO(stage)  (1 << NGX_HTTP_GRAY_STAGE_##stage)

#define ENDS  (TO(ROLLED_BACK) | TO(ABORTED))

static const ngx_uint_t  by_tick[NGX_HTTP_GRAY_STAGES] = {
    0,
    TO(RUNNING) | TO(BAKING) | TO(PAUSED) | ENDS,
    TO(RUNNING) | TO(BAKING) | TO(PAUSED) | TO(SUCCEEDED) | ENDS,
    ENDS,
    TO(RUNNING) | TO(BAKING) | TO(PAUSED) | TO(SUCCEEDED) | ENDS,
    0,
    TO(IDLE),
    0
};

static const ngx_uint_t  by_command[NGX_HTTP_GRAY_STAGES] = {
    TO(SCHEDULED),
    TO(RUNNING) | TO(BAKING) | TO(PAUSED) | TO(SUCCEEDED) | ENDS,
    TO(RUNNING) | TO(BAKING) | TO(PAUSED) | TO(SUCCEEDED) | ENDS,
    TO(SCHEDULED) | TO(RUNNING) | TO(BAKING) | TO(SUCCEEDED) | ENDS,
    TO(RUNNING) | TO(BAKING) | TO(PAUSED) | TO(SUCCEEDED) | ENDS,
    TO(SCHEDULED) | ENDS,
    TO(SCHEDULED),
    TO(SCHEDULED)
};


/* what may be wished for in a stage */

#define WISH(wish)  (1 << NGX_HTTP_GRAY_WISH_##wish)

static const ngx_uint_t  wishes[NGX_HTTP_GRAY_STAGES] = {
    WISH(NONE), WISH(NONE), WISH(NONE) | WISH(WEIGHT), WISH(NONE),
    WISH(NONE) | WISH(WEIGHT), WISH(NONE) | WISH(PROMOTE),
    WISH(NONE) | WISH(ROLLBACK), WISH(NONE)
};


static const char  *const property_names[] = { "stable", "one", "other" };


static ngx_inline ngx_uint_t
active(ngx_uint_t stage)
{
    return stage == NGX_HTTP_GRAY_STAGE_SCHEDULED
           || stage == NGX_HTTP_GRAY_STAGE_RUNNING
           || stage == NGX_HTTP_GRAY_STAGE_PAUSED
           || stage == NGX_HTTP_GRAY_STAGE_BAKING;
}


static ngx_inline ngx_uint_t
property_below(property_world_t *world, ngx_uint_t n)
{
    return draw(&world->seed) % n;
}


/* 1 in so many */

static ngx_inline ngx_uint_t
property_once(property_world_t *world, ngx_uint_t n)
{
    return property_below(world, n) == 0;
}


/* with all of them that are likely to be mistaken, and any others */

static ngx_inline double
property_percent(property_world_t *world)
{
    static const double  some[] = { 0, 0.0001, 1, 5, 10, 50, 99.9999, 100 };

    return property_once(world, 2)
           ? some[property_below(world, ITEMS(some))]
           : (double) property_below(world, NGX_HTTP_GRAY_STAGE_ALL + 1)
             / PERCENT;
}


static ngx_inline void
property_steps(property_world_t *world, ngx_http_gray_plan_t *plan)
{
    double                 percent;
    uint32_t               left;
    ngx_uint_t             i, n, other;
    ngx_http_gray_step_t  *step;

    other = strcmp(plan->variant, property_names[1]) == 0 ? 2 : 1;
    left = NGX_HTTP_GRAY_STAGE_ALL
           - (other == world->base ? 0 : world->weight[other]);

    n = 1 + property_below(world, property_once(world, 20)
                                  ? NGX_HTTP_GRAY_PLAN_STEPS : 6);

    for (i = 0; i < n; i++) {
        percent = property_percent(world);

        /* most rise, and most end at 100 */

        if (!property_once(world, 4)) {
            percent = (double) ((i + 1) * 100) / (double) n;
        }

        percent = ngx_min(percent, (double) left / PERCENT);

        step = add_step(plan, percent);
        step->gate = property_once(world, 4);
        step->hold = property_below(world, 30) * SECOND;
        step->max_hold = step->hold + property_below(world, 60) * SECOND;
        step->warmup = property_below(world, 15) * SECOND;
        step->min_requests = property_once(world, 3)
                             ? 0 : property_below(world, 400);
    }
}


static ngx_inline void
property_guards(property_world_t *world, ngx_http_gray_plan_t *plan)
{
    char                    name[8];
    ngx_uint_t              i, n, kind;
    ngx_http_gray_guard_t  *guard;

    n = property_below(world, NGX_HTTP_GRAY_PLAN_GUARDS + 1);

    for (i = 0; i < n; i++) {
        kind = property_below(world, NGX_HTTP_GRAY_GUARD_SHARE + 1);

        if (plan->watches + 3 > NGX_HTTP_GRAY_PLAN_WATCHES) {
            break;
        }

        (void) snprintf(name, sizeof(name), "g%u", (unsigned) i);

        guard = add_guard(plan, name, kind);
        guard->action = property_once(world, 2) ? NGX_HTTP_GRAY_PLAN_PAUSE
                                                : NGX_HTTP_GRAY_PLAN_ROLLBACK;

        if (kind == NGX_HTTP_GRAY_GUARD_ABSOLUTE
            || kind == NGX_HTTP_GRAY_GUARD_SLOW)
        {
            guard->baseline_bad = property_once(world, 2);
        }
    }
}


static ngx_inline void
property_windows(property_world_t *world, ngx_http_gray_plan_t *plan)
{
    ngx_uint_t               i, n;
    ngx_http_gray_window_t  *window;

    n = property_once(world, 3) ? 1 + property_below(world, 3) : 0;

    for (i = 0; i < n; i++) {
        window = &plan->window[plan->windows++];

        window->after = INT64_MIN;
        window->before = INT64_MAX;
        window->days = property_below(world, 128);
        window->from = (ngx_int_t) property_below(world, 86400);
        window->to = (ngx_int_t) property_below(world, 86400);
        window->offset = (ngx_int_t) property_below(world, 24) * 3600 - 43200;
    }
}


/* one that the document may have, for one of the variants */

static ngx_inline void
property_plan(property_world_t *world)
{
    ngx_http_gray_plan_t  *plan;

    static const double  nats[] = { 0, 0.1, 1, 16 };

    plan = &world->made;
    world->plan = plan;

    plan_init(plan);
    (void) snprintf(plan->variant, sizeof(plan->variant), "%s",
                    property_names[property_once(world, 4) ? 2 : 1]);

    plan->id = ++world->plans;
    plan->key = property_once(world, 2);
    plan->info_nats = nats[property_below(world, ITEMS(nats))];
    plan->on_inconclusive = property_once(world, 2) ? NGX_HTTP_GRAY_PLAN_NEXT
                            : property_once(world, 2)
                              ? NGX_HTTP_GRAY_PLAN_PAUSE
                              : NGX_HTTP_GRAY_PLAN_ROLLBACK;
    plan->on_success = property_once(world, 2) ? NGX_HTTP_GRAY_PLAN_PROMOTE
                                               : NGX_HTTP_GRAY_PLAN_KEEP;
    plan->cooldown = property_below(world, 60) * SECOND;

    property_steps(world, plan);
    property_guards(world, plan);
    property_windows(world, plan);

    world->filled = plan->key ? 0 : -1;
}


static ngx_inline void
property_world_init(property_world_t *world, uint64_t seed)
{
    memset(world, 0, sizeof(property_world_t));

    world->first = seed;
    world->seed = seed;
    world->revision = 1;
    world->enabled = 1;
    world->now = 5000 * SECOND;
    world->time = 1790000000;
    world->rate = 100;

    property_plan(world);
}


static ngx_inline ngx_uint_t
property_arm(const char *name)
{
    return strcmp(name, property_names[1]) == 0 ? 1 : 2;
}


/* what is left for the baseline, or more than all is taken */

static ngx_inline int64_t
property_rest(const property_world_t *world)
{
    int64_t     rest;
    ngx_uint_t  i;

    rest = NGX_HTTP_GRAY_STAGE_ALL;

    for (i = 0; i < ARMS; i++) {
        rest -= (i == world->base) ? 0 : world->weight[i];
    }

    return rest;
}


/* as ngx_http_gray_rollout.c shows it to a rollout */

static ngx_inline void
property_world_see(property_world_t *world, const ngx_http_gray_state_t *state,
    ngx_http_gray_world_t *seen)
{
    ngx_uint_t  arm;

    arm = 1;

    if (ngx_http_gray_stage_active(state)
        || state->wish != NGX_HTTP_GRAY_WISH_NONE)
    {
        arm = property_arm(state->variant);

    } else if (world->plan) {
        arm = property_arm(world->plan->variant);
    }

    memset(seen, 0, sizeof(ngx_http_gray_world_t));

    seen->now = world->now;
    seen->time = world->time;
    seen->revision = world->revision;
    seen->enabled = world->enabled;
    seen->promoted = (world->base == arm);
    seen->weight = seen->promoted ? 0 : world->weight[arm];
    seen->rest = (uint32_t) property_rest(world);
    seen->spread = world->spread[arm];
    seen->testers = property_once(world, 2) ? "testers, staff" : "";
    seen->canary = &world->canary;
    seen->baseline = &world->baseline;
    seen->times = world->times;
    seen->filled = world->filled;
}


/* ln of the evidence of a guard: the mean of its watches */

static ngx_inline double
property_evidence(const ngx_http_gray_guard_t *guard,
    const ngx_http_gray_guards_t *guards)
{
    double      sum;
    ngx_uint_t  k;

    sum = 0;

    for (k = 0; k < guard->watches; k++) {
        sum += exp(ngx_min(ngx_http_gray_evidence_value(
                                     &guards->evidence[guard->watch + k]),
                           600));
    }

    return log(sum / (double) guard->watches);
}


/*
 * No evidence that suffices was passed over, whatever the stage: what was
 * judged at a tick, and would roll back, has, and what would pause is paused.
 */

static ngx_inline ngx_uint_t
property_heard(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_state_t *before, const ngx_http_gray_state_t *state)
{
    ngx_uint_t                    i;
    const ngx_http_gray_guard_t  *guard;

    if (!active(state->stage)) {
        return 1;
    }

    for (i = 0; i < plan->guards; i++) {
        guard = &plan->guard[i];

        if (state->guards.evidence[guard->watch].ticks
            > before->guards.evidence[guard->watch].ticks
            && property_evidence(guard, &state->guards)
               > log((double) plan->guards / plan->alpha) + 1e-9
            && (guard->action == NGX_HTTP_GRAY_PLAN_ROLLBACK
                || state->stage != NGX_HTTP_GRAY_STAGE_PAUSED))
        {
            return 0;
        }
    }

    return 1;
}


static ngx_inline ngx_uint_t
property_fallen(const ngx_http_gray_sample_t *now,
    const ngx_http_gray_sample_t *before)
{
    size_t           i;
    const uint64_t  *one, *other;

    one = (const uint64_t *) now;
    other = (const uint64_t *) before;

    for (i = 0; i < sizeof(ngx_http_gray_sample_t) / sizeof(uint64_t); i++) {
        if (one[i] < other[i]) {
            return 1;
        }
    }

    return 0;
}


/* guards look at each tick in which time has passed, in every stage */

static ngx_inline ngx_uint_t
property_looked(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_world_t *seen, const ngx_http_gray_state_t *before,
    const ngx_http_gray_state_t *state)
{
    ngx_uint_t                     i, watch;
    const ngx_http_gray_guards_t  *guards;

    guards = &before->guards;

    if (!active(state->stage)
        || state->moved
        || state->plan != before->plan
        || property_fallen(seen->canary, &guards->canary)
        || property_fallen(seen->baseline, &guards->baseline))
    {
        return 1;
    }

    /* what was an incident of both arms is begun anew */

    for (i = 0; i < plan->guards; i++) {
        watch = plan->guard[i].watch;

        if (state->guards.evidence[watch].ticks
            != guards->evidence[watch].ticks + 1
            && !plan->guard[i].baseline_bad)
        {
            return 0;
        }
    }

    return 1;
}


/* where shares are others than at the last tick, what was decided is past */

static ngx_inline ngx_uint_t
property_epoch(property_world_t *world, const ngx_http_gray_world_t *seen,
    const ngx_http_gray_state_t *state)
{
    ngx_http_gray_world_t  last;

    last = world->last;
    world->last = *seen;

    return !active(state->stage)
           || (last.weight == seen->weight && last.rest == seen->rest)
           || state->from > last.revision;
}


static ngx_inline uint64_t
property_grown(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}


/* so many of n, about */

static ngx_inline uint64_t
property_part(property_world_t *world, uint64_t n, uint64_t million)
{
    return (n * million + property_below(world, 1000000)) / 1000000;
}


static ngx_inline void
property_count(property_world_t *world, ngx_http_gray_sample_t *sample,
    uint64_t n, ngx_uint_t bad)
{
    uint64_t    times;
    ngx_uint_t  i;

    sample->all += n;
    sample->all_timed += n;

    n = property_part(world, n, 900000);

    sample->step += n;
    sample->step_timed += n;
    sample->keys += property_part(world, n, 50000);

    for (i = 0; i < NGX_HTTP_GRAY_PLAN_WATCHES; i++) {
        times = property_part(world, n, bad);
        sample->bad[i] += ngx_min(times, n);
    }
}


static ngx_inline void
property_traffic(property_world_t *world)
{
    uint64_t    share, n;
    ngx_uint_t  arm;

    if (property_once(world, 300)) {
        world->rate = property_once(world, 4) ? 0
                      : 1 << property_below(world, 12);
    }

    if (property_once(world, 300)) {
        world->bad[0] = 1 << property_below(world, 20);
        world->bad[1] = property_once(world, 3)
                        ? (ngx_uint_t) 1 << property_below(world, 20)
                        : world->bad[0];
    }

    /* nginx was started again, without a state directory or with one */

    if (property_once(world, 5000)) {
        memset(&world->canary, 0, sizeof(world->canary));
        memset(&world->baseline, 0, sizeof(world->baseline));
        memset(world->times, 0, sizeof(world->times));
    }

    arm = world->plan ? property_arm(world->plan->variant) : 1;
    share = (arm == world->base) ? 0 : world->weight[arm];
    n = property_below(world, 2 * world->rate + 1);

    property_count(world, &world->canary, property_part(world, n, share),
                   world->bad[1]);
    property_count(world, &world->baseline,
                   property_part(world, n, (uint64_t) property_rest(world)),
                   world->bad[0]);

    world->times[10 + property_below(world, 30)] += n;

    if (world->plan && world->plan->key && property_once(world, 200)) {
        world->filled = (double) property_below(world, 100) / 150;
    }
}


static ngx_inline void
property_world_tick(property_world_t *world)
{
    uint64_t  ms;

    ms = 900 + property_below(world, 200);

    if (property_once(world, 500)) {
        ms = property_once(world, 2) ? property_below(world, 6000)
                                     : property_below(world, 3600 * SECOND);
    }

    world->now += ms;
    world->time += (int64_t) (ms / SECOND);

    /* the machine was started again; somebody has set the other clock */

    if (property_once(world, 20000)) {
        world->now = property_below(world, 100) * SECOND;
    }

    if (property_once(world, 5000)) {
        world->time += property_once(world, 2) ? 86400 : -86400;
    }

    property_traffic(world);
}


/* a change is begun, and mostly there at once */

static ngx_inline void
property_world_land(property_world_t *world)
{
    ngx_uint_t          before;
    uint32_t            weight;
    property_flight_t  *flight;

    flight = &world->flight;

    if (flight->wish == NGX_HTTP_GRAY_WISH_NONE
        || flight->revision != world->revision)
    {
        flight->wish = NGX_HTTP_GRAY_WISH_NONE;
        return;
    }

    if (world->stuck) {
        world->stuck = !property_once(world, 4);
        return;
    }

    before = world->base;
    weight = world->weight[flight->arm];

    switch (flight->wish) {

    case NGX_HTTP_GRAY_WISH_PROMOTE:
        world->base = flight->arm;
        world->weight[before] = 0;
        world->weight[flight->arm] = 0;
        world->spread[before] = 0;
        break;

    case NGX_HTTP_GRAY_WISH_ROLLBACK:
        world->weight[flight->arm] = 0;
        world->spread[flight->arm] = 0;
        break;

    default: /* NGX_HTTP_GRAY_WISH_WEIGHT */
        world->weight[flight->arm] = flight->weight;
    }

    flight->wish = NGX_HTTP_GRAY_WISH_NONE;

    /* such a document would not be valid */

    if (property_rest(world) < 0) {
        world->weight[flight->arm] = weight;
        return;
    }

    world->revision++;
}


static ngx_inline void
property_world_wish(property_world_t *world,
    const ngx_http_gray_state_t *state)
{
    if (state->wish == NGX_HTTP_GRAY_WISH_NONE
        || world->flight.wish != NGX_HTTP_GRAY_WISH_NONE
        || property_arm(state->variant) == world->base)
    {
        return;
    }

    world->flight.wish = state->wish;
    world->flight.arm = property_arm(state->variant);
    world->flight.weight = state->weight;
    world->flight.revision = world->revision;

    if (property_once(world, 200)) {
        world->stuck = 1;
    }

    if (!property_once(world, 4)) {
        property_world_land(world);
    }
}


/* anything that a document may become; says what */

static ngx_inline const char *
property_world_operator(property_world_t *world, ngx_uint_t calm)
{
    uint32_t     weight;
    ngx_uint_t   arm;

    world->revision++;

    /* what a rollout has come to is soon the past */

    if (property_once(world, 4)
        && (world->plan == NULL
            || property_arm(world->plan->variant) == world->base))
    {
        memset(world->weight, 0, sizeof(world->weight));
        world->base = 0;
        world->enabled = 1;
        property_plan(world);
        return "the next rollout";
    }

    switch (property_below(world, 16 * calm)) {

    case 0:
    case 1:
        arm = (world->base + 1 + property_below(world, 2)) % ARMS;
        weight = world->weight[arm];
        world->weight[arm] = (uint32_t) (property_percent(world) * PERCENT);

        if (property_rest(world) < 0) {
            world->weight[arm] = weight;
        }

        return "a weight";

    case 2:
        world->enabled = 0;
        return "disabled";

    case 3:
    case 4:
    case 5:
        world->enabled = 1;
        return "enabled";

    case 6:
        if (property_once(world, 4)) {
            world->plan = NULL;
            return "no plan";
        }

        /* fall through */

    case 7:
        property_plan(world);
        return "another plan";

    case 8:
        arm = (world->base + 1 + property_below(world, 2)) % ARMS;
        world->weight[world->base] = 0;
        world->base = arm;
        world->weight[arm] = 0;
        return "another baseline";

    case 9:
    case 10:
    case 11:
        world->weight[world->base] = 0;
        world->weight[0] = 0;
        world->base = 0;
        return "the old baseline";

    case 12:
        world->spread[1 + property_below(world, 2)] ^= 1;
        return "weights of a rule";

    default:
        return "something else";
    }
}


#endif /* _PROPERTY_H_INCLUDED_ */
