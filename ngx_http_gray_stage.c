
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Stages of a rollout: what is known at a tick, and what an operator says,
 * lead from one state to the next.  No clock, no lock, no memory: nginx, the
 * unit tests and the simulator call the same two functions.
 *
 *     idle -> scheduled -> running <-> paused -> ... -> baking -> succeeded
 *
 * and from any of those under way to rolled_back or aborted.  Guards are asked
 * in all of them.  A rollback goes before a pause, and a pause before a step.
 *
 * Wishes.  The document is changed by others, may refuse, and a process may be
 * killed at any time.  So a state says what it wishes the document to be, and
 * looks at every tick whether it is so.  Until then no time of a step passes.
 * What the document says that was not wished for was done by an operator.
 *
 * Time.  A step is held for so many seconds of ticks.  Where there was none for
 * more than a few seconds, nothing is made up for: nginx was stopped, say.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <stdarg.h>
#include <stdio.h>

#include "ngx_http_gray_moves.h"
#include "ngx_http_gray_stage.h"


#define NGX_HTTP_GRAY_STAGE_GAP   5000       /* ms */
#define NGX_HTTP_GRAY_STAGE_FULL_FILTER  0.5


static ngx_uint_t ngx_http_gray_stage_document(ngx_http_gray_staging_t *st);
static void ngx_http_gray_stage_replan(ngx_http_gray_staging_t *st);
static uint64_t ngx_http_gray_stage_time(ngx_http_gray_staging_t *st);
static void ngx_http_gray_stage_given(ngx_http_gray_staging_t *st,
    double seconds, ngx_http_gray_guards_tick_t *tick);
static ngx_uint_t ngx_http_gray_stage_guarded(ngx_http_gray_staging_t *st,
    const ngx_http_gray_guards_tick_t *tick);
static void ngx_http_gray_stage_advance(ngx_http_gray_staging_t *st);
static ngx_uint_t ngx_http_gray_stage_sure(ngx_http_gray_staging_t *st);
static void ngx_http_gray_stage_inconclusive(ngx_http_gray_staging_t *st);
static void ngx_http_gray_stage_begin(ngx_http_gray_staging_t *st,
    const char *who);
static void ngx_http_gray_stage_resume(ngx_http_gray_staging_t *st,
    const char *who);
static void ngx_http_gray_stage_promote(ngx_http_gray_staging_t *st,
    ngx_uint_t full, const char *who);
static void ngx_http_gray_stage_next(ngx_http_gray_staging_t *st,
    ngx_http_gray_cause_e cause, const char *why);
static ngx_uint_t ngx_http_gray_stage_step_at(ngx_http_gray_staging_t *st,
    uint32_t weight);
static double ngx_http_gray_stage_next_percent(
    const ngx_http_gray_plan_t *plan, const ngx_http_gray_state_t *state);
static ngx_int_t ngx_http_gray_stage_refuse(ngx_http_gray_staging_t *st,
    const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static ngx_int_t ngx_http_gray_stage_may_start(ngx_http_gray_staging_t *st);


ngx_uint_t
ngx_http_gray_stage_active(const ngx_http_gray_state_t *state)
{
    return state->stage == NGX_HTTP_GRAY_STAGE_SCHEDULED
           || state->stage == NGX_HTTP_GRAY_STAGE_RUNNING
           || state->stage == NGX_HTTP_GRAY_STAGE_PAUSED
           || state->stage == NGX_HTTP_GRAY_STAGE_BAKING;
}


void
ngx_http_gray_stage_tick(const ngx_http_gray_plan_t *plan,
    ngx_http_gray_state_t *state, const ngx_http_gray_world_t *world,
    ngx_http_gray_outcomes_t *outcomes)
{
    uint64_t                      passed;
    ngx_http_gray_staging_t       st;
    ngx_http_gray_guards_tick_t   tick;

    st.plan = plan;
    st.state = state;
    st.world = world;
    st.outcomes = outcomes;

    ngx_memzero(outcomes, sizeof(ngx_http_gray_outcomes_t));

    passed = ngx_http_gray_stage_time(&st);

    if (!ngx_http_gray_stage_document(&st)) {
        return;
    }

    if (state->stage == NGX_HTTP_GRAY_STAGE_ROLLED_BACK) {
        state->held += passed;

        if (state->wish == NGX_HTTP_GRAY_WISH_NONE
            && (plan == NULL || state->held >= plan->cooldown))
        {
            state->stage = NGX_HTTP_GRAY_STAGE_IDLE;
            state->serial++;
        }

        return;
    }

    if (!ngx_http_gray_stage_active(state)) {
        return;
    }

    ngx_http_gray_stage_given(&st, (double) passed / 1000, &tick);

    /* what ended since the last tick may be of the step before */

    if (passed == 0 || state->moved == 1) {
        ngx_http_gray_guards_skip(&state->guards, &tick);
        state->moved = state->moved ? 2 : 0;
        return;
    }

    state->requests += (tick.canary->step > state->guards.canary.step)
                       ? tick.canary->step - state->guards.canary.step : 0;
    state->moved = 0;

    if (ngx_http_gray_stage_guarded(&st, &tick)) {
        return;
    }

    if (world->filled > NGX_HTTP_GRAY_STAGE_FULL_FILTER
        && plan->key
        && state->stage != NGX_HTTP_GRAY_STAGE_PAUSED)
    {
        ngx_http_gray_move_pause(&st, NGX_HTTP_GRAY_CAUSE_FILTER,
                                  "more keys have failed than the filter of "
                                  "keys can tell apart; \"resume\" clears it");
        return;
    }

    if (state->stage == NGX_HTTP_GRAY_STAGE_PAUSED
        || state->wish != NGX_HTTP_GRAY_WISH_NONE)
    {
        return;
    }

    state->held += passed;
    state->cold = (state->stage != NGX_HTTP_GRAY_STAGE_SCHEDULED
                   && state->held < plan->step[state->step].warmup);

    ngx_http_gray_stage_advance(&st);
}


/* ms since the last tick; 0 for the first one, and where there was a gap */

static uint64_t
ngx_http_gray_stage_time(ngx_http_gray_staging_t *st)
{
    uint64_t  now, last;

    now = st->world->now;
    last = st->state->tick;

    st->state->tick = now;

    if (last == 0 || now <= last || now - last > NGX_HTTP_GRAY_STAGE_GAP) {
        return 0;
    }

    return now - last;
}


/* what the document has come to: 1 where the tick may go on */

static ngx_uint_t
ngx_http_gray_stage_document(ngx_http_gray_staging_t *st)
{
    char                          why[NGX_HTTP_GRAY_STAGE_REASON];
    ngx_http_gray_state_t        *state;
    const ngx_http_gray_world_t  *world;

    state = st->state;
    world = st->world;

    if (state->wish != NGX_HTTP_GRAY_WISH_NONE
        && ngx_http_gray_move_fulfilled(st))
    {
        state->wish = NGX_HTTP_GRAY_WISH_NONE;
        state->from = world->revision;
        state->moved = 1;
        state->serial++;
    }

    if (!ngx_http_gray_stage_active(state)) {

        /* somebody has gone on from there */

        if (state->wish == NGX_HTTP_GRAY_WISH_PROMOTE
            && world->revision != state->wished
            && world->weight != state->weight)
        {
            state->wish = NGX_HTTP_GRAY_WISH_NONE;
            state->serial++;
        }

        return 1;
    }

    if (st->plan == NULL
        || ngx_strcmp(st->plan->variant, state->variant) != 0)
    {
        ngx_http_gray_move_abort(st, NGX_HTTP_GRAY_CAUSE_MANUAL,
                                  st->plan ? "the plan is for another variant "
                                             "now"
                                           : "the plan was removed");
        return 0;
    }

    if (world->promoted) {
        ngx_http_gray_move_abort(st, NGX_HTTP_GRAY_CAUSE_MANUAL,
                                  "the variant is the baseline now");
        return 0;
    }

    if (st->plan->id != state->plan) {
        ngx_http_gray_stage_replan(st);
        return 0;
    }

    if (!world->enabled && state->stage != NGX_HTTP_GRAY_STAGE_PAUSED) {
        ngx_http_gray_move_pause(st, NGX_HTTP_GRAY_CAUSE_MANUAL,
                                  "the release was disabled");
        return 0;
    }

    /* until the wish is fulfilled, what was there before may be there, too */

    if (world->weight == state->weight
        || (state->wish == NGX_HTTP_GRAY_WISH_WEIGHT
            && world->weight == state->old_weight))
    {
        return 1;
    }

    (void) snprintf(why, sizeof(why),
                    "the weight was changed to %.4f%% by revision %lu",
                    (double) world->weight / 10000,
                    (unsigned long) world->revision);

    state->wish = NGX_HTTP_GRAY_WISH_NONE;
    state->weight = world->weight;
    state->from = world->revision;
    state->moved = 1;

    if (state->stage != NGX_HTTP_GRAY_STAGE_PAUSED) {
        ngx_http_gray_move_pause(st, NGX_HTTP_GRAY_CAUSE_MANUAL, why);
        return 0;
    }

    state->serial++;

    return 1;
}


/* what its guards have counted is of another plan */

static void
ngx_http_gray_stage_replan(ngx_http_gray_staging_t *st)
{
    ngx_http_gray_state_t        *state;
    ngx_http_gray_guards_tick_t   tick;

    state = st->state;

    ngx_http_gray_stage_given(st, 0, &tick);
    ngx_http_gray_guards_begin(&state->guards, &tick);

    state->plan = st->plan->id;
    state->approved = 0;
    state->weight = st->world->weight;
    state->wish = NGX_HTTP_GRAY_WISH_NONE;
    state->from = st->world->revision;
    state->step = ngx_http_gray_stage_step_at(st, state->weight);
    state->requests = 0;
    state->held = 0;

    if (state->stage != NGX_HTTP_GRAY_STAGE_PAUSED) {
        ngx_http_gray_move_pause(st, NGX_HTTP_GRAY_CAUSE_MANUAL,
                                  "the plan was changed");
    }

    state->serial++;
}


static void
ngx_http_gray_stage_given(ngx_http_gray_staging_t *st, double seconds,
    ngx_http_gray_guards_tick_t *tick)
{
    double                        both;
    ngx_http_gray_state_t        *state;
    const ngx_http_gray_world_t  *world;

    state = st->state;
    world = st->world;

    both = (double) world->weight + world->rest;

    tick->canary = world->canary;
    tick->baseline = world->baseline;
    tick->times = world->times;
    tick->seconds = seconds;
    tick->share = both > 0 ? world->weight / both : 0;
    tick->moved = (state->moved == 2);
    tick->warm = !state->cold;
}


/* 1 where a guard has decided */

static ngx_uint_t
ngx_http_gray_stage_guarded(ngx_http_gray_staging_t *st,
    const ngx_http_gray_guards_tick_t *tick)
{
    ngx_uint_t                       n, watch;
    ngx_http_gray_event_t           *event;
    ngx_http_gray_state_t           *state;
    const ngx_http_gray_plan_t      *plan;
    ngx_http_gray_standing_t         standing;
    ngx_http_gray_guards_verdict_t   verdict;

    plan = st->plan;
    state = st->state;

    ngx_http_gray_guards_tick(plan, &state->guards, tick, &verdict);

    if (!verdict.fired) {
        return 0;
    }

    ngx_http_gray_stage_guard(plan, state, verdict.guard, &standing);

    /* what was seen of an incident is not held against it afterwards */

    if (verdict.both) {
        watch = plan->guard[verdict.guard].watch;
        ngx_http_gray_evidence_init(&state->guards.evidence[watch]);
    }

    n = st->outcomes->events;

    if (verdict.action == NGX_HTTP_GRAY_PLAN_ROLLBACK) {
        ngx_http_gray_move_rollback(st, NGX_HTTP_GRAY_CAUSE_GUARD,
                                     standing.text);

    } else if (state->stage != NGX_HTTP_GRAY_STAGE_PAUSED) {
        ngx_http_gray_move_pause(st, NGX_HTTP_GRAY_CAUSE_GUARD,
                                  standing.text);
        if (verdict.both) {
            event = &st->outcomes->event[n];
            (void) snprintf(event->reason, sizeof(event->reason),
                            "the baseline is bad, too; %.220s", standing.text);
            ngx_memcpy(state->reason, event->reason, sizeof(state->reason));
        }
    }

    if (st->outcomes->events == n) {
        return 0;
    }

    event = &st->outcomes->event[n];

    ngx_memcpy(event->guard, plan->guard[verdict.guard].name,
               sizeof(event->guard));
    event->seen = standing.seen;
    event->value = standing.value;
    event->limit = standing.limit;
    event->evidence = standing.evidence;

    return 1;
}


static void
ngx_http_gray_stage_advance(ngx_http_gray_staging_t *st)
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

    if (!ngx_http_gray_stage_sure(st)) {
        ngx_http_gray_move_wait(st, NGX_HTTP_GRAY_WAITS_EVIDENCE, "%s",
                                 state->reason);

        if (state->held >= step->max_hold) {
            ngx_http_gray_stage_inconclusive(st);
        }

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

    ngx_http_gray_stage_next(st, NGX_HTTP_GRAY_CAUSE_PLAN, why);
}


/* has the step seen so much that the next one may come? */

static ngx_uint_t
ngx_http_gray_stage_sure(ngx_http_gray_staging_t *st)
{
    double                       next;
    const ngx_http_gray_step_t  *step;

    step = &st->plan->step[st->state->step];
    next = ngx_http_gray_stage_next_percent(st->plan, st->state);

    return (step->weight == 0 || st->state->requests >= step->min_requests)
           && ngx_http_gray_guards_enough(st->plan, &st->state->guards,
                                          step->percent, next);
}


/* what is not known never makes it the baseline, nor gives it everybody */

static void
ngx_http_gray_stage_inconclusive(ngx_http_gray_staging_t *st)
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
            ngx_http_gray_stage_next(st, NGX_HTTP_GRAY_CAUSE_INCONCLUSIVE,
                                     why);
        }

        return;
    }

    /* when it goes on, it has as much time again */

    state->held = st->plan->step[state->step].hold;

    ngx_http_gray_move_pause(st, NGX_HTTP_GRAY_CAUSE_INCONCLUSIVE, why);
}


ngx_int_t
ngx_http_gray_stage_command(const ngx_http_gray_plan_t *plan,
    ngx_http_gray_state_t *state, const ngx_http_gray_world_t *world,
    ngx_http_gray_command_e command, const char *who,
    ngx_http_gray_outcomes_t *outcomes)
{
    char                     why[NGX_HTTP_GRAY_STAGE_REASON];
    ngx_uint_t               active;
    ngx_http_gray_staging_t  st;

    st.plan = plan;
    st.state = state;
    st.world = world;
    st.outcomes = outcomes;

    ngx_memzero(outcomes, sizeof(ngx_http_gray_outcomes_t));

    active = ngx_http_gray_stage_active(state);

    if (command == NGX_HTTP_GRAY_STAGE_START) {

        if (active) {
            return NGX_OK;
        }

        if (ngx_http_gray_stage_may_start(&st) != NGX_OK) {
            return NGX_DECLINED;
        }

        ngx_http_gray_stage_begin(&st, who);
        return NGX_OK;
    }

    /* what was done already is done */

    if ((command == NGX_HTTP_GRAY_STAGE_ROLLBACK
         && state->stage == NGX_HTTP_GRAY_STAGE_ROLLED_BACK)
        || (command == NGX_HTTP_GRAY_STAGE_ABORT
            && state->stage == NGX_HTTP_GRAY_STAGE_ABORTED)
        || (command == NGX_HTTP_GRAY_STAGE_FULL
            && state->stage == NGX_HTTP_GRAY_STAGE_SUCCEEDED))
    {
        return NGX_OK;
    }

    if (!active) {
        return ngx_http_gray_stage_refuse(&st, "the rollout is %s, there is "
                                "none under way",
                                (char *) ngx_http_gray_stages[state->stage]
                                         .data);
    }

    (void) snprintf(why, sizeof(why), "by %s", who);

    /* these need no plan, and must work always */

    if (command == NGX_HTTP_GRAY_STAGE_ROLLBACK) {
        ngx_http_gray_move_rollback(&st, NGX_HTTP_GRAY_CAUSE_OPERATOR, why);
        return NGX_OK;
    }

    if (command == NGX_HTTP_GRAY_STAGE_ABORT) {
        ngx_http_gray_move_abort(&st, NGX_HTTP_GRAY_CAUSE_OPERATOR, why);
        return NGX_OK;
    }

    if (plan == NULL || plan->id != state->plan) {
        return ngx_http_gray_stage_refuse(&st, "the plan was changed, or "
                                "removed, a moment ago; try again");
    }

    switch (command) {

    case NGX_HTTP_GRAY_STAGE_PAUSE:

        if (state->stage != NGX_HTTP_GRAY_STAGE_PAUSED) {
            ngx_http_gray_move_pause(&st, NGX_HTTP_GRAY_CAUSE_OPERATOR, why);
        }

        return NGX_OK;

    case NGX_HTTP_GRAY_STAGE_RESUME:

        if (state->stage != NGX_HTTP_GRAY_STAGE_PAUSED) {
            return NGX_OK;
        }

        if (!world->enabled) {
            return ngx_http_gray_stage_refuse(&st, "the release is disabled; "
                                    "enable it first");
        }

        ngx_http_gray_stage_resume(&st, who);
        return NGX_OK;

    case NGX_HTTP_GRAY_STAGE_APPROVE:

        if (state->waits == NGX_HTTP_GRAY_WAITS_GATE
            && state->stage != NGX_HTTP_GRAY_STAGE_PAUSED)
        {
            state->approved = (state->stage == NGX_HTTP_GRAY_STAGE_SCHEDULED)
                              ? 1 : state->step + 2;
            ngx_http_gray_move_wait(&st, NGX_HTTP_GRAY_WAITS_NOT,
                                     "step %lu was approved by %s",
                                     (unsigned long) state->approved, who);
            state->serial++;
            return NGX_OK;
        }

        if (state->approved > state->step) {
            return NGX_OK;
        }

        return ngx_http_gray_stage_refuse(&st, "no gate is waited at%s",
                                state->stage == NGX_HTTP_GRAY_STAGE_PAUSED
                                ? ", the rollout is paused" : "");

    default: /* NGX_HTTP_GRAY_STAGE_PROMOTE, NGX_HTTP_GRAY_STAGE_FULL */

        if (!world->enabled) {
            return ngx_http_gray_stage_refuse(&st, "the release is disabled; "
                                    "enable it first");
        }

        ngx_http_gray_stage_promote(&st,
                                    command == NGX_HTTP_GRAY_STAGE_FULL, who);
        return NGX_OK;
    }
}


static ngx_int_t
ngx_http_gray_stage_may_start(ngx_http_gray_staging_t *st)
{
    uint64_t                left;
    ngx_http_gray_state_t  *state;

    state = st->state;

    if (st->plan == NULL) {
        return ngx_http_gray_stage_refuse(st, "the release has no plan: its "
                                "document needs a member \"rollout\"");
    }

    if (state->stage == NGX_HTTP_GRAY_STAGE_ROLLED_BACK
        && state->held < st->plan->cooldown)
    {
        left = st->plan->cooldown - state->held;

        return ngx_http_gray_stage_refuse(st, "it was rolled back, and cools "
                                "down for %lu s more: %.160s",
                                (unsigned long) ((left + 999) / 1000),
                                state->reason);
    }

    if (st->world->promoted) {
        return ngx_http_gray_stage_refuse(st, "the variant \"%s\" is the "
                                "baseline already; plan for another one",
                                st->plan->variant);
    }

    if (!st->world->enabled) {
        return ngx_http_gray_stage_refuse(st, "the release is disabled; "
                                "enable it first");
    }

    if (st->plan->key && st->world->filled < 0) {
        return ngx_http_gray_stage_refuse(st, "the zone has no filter of keys "
                                "for the release, as nginx.conf declares "
                                "neither \"hash\" nor \"cookie\" for it: the "
                                "plan needs \"unit\": \"request\"");
    }

    return NGX_OK;
}


static void
ngx_http_gray_stage_begin(ngx_http_gray_staging_t *st, const char *who)
{
    uint64_t                      serial;
    ngx_http_gray_state_t        *state;
    ngx_http_gray_guards_tick_t   tick;

    state = st->state;
    serial = state->serial;

    ngx_memzero(state, sizeof(ngx_http_gray_state_t));

    state->serial = serial;
    state->plan = st->plan->id;
    ngx_memcpy(state->variant, st->plan->variant, sizeof(state->variant));

    ngx_http_gray_stage_given(st, 0, &tick);
    ngx_http_gray_guards_begin(&state->guards, &tick);

    state->tick = st->world->now;
    state->started = st->world->time;
    state->entered = st->world->time;
    state->weight = st->world->weight;
    state->from = st->world->revision;

    st->outcomes->forget = 1;

    (void) ngx_http_gray_move_change(st, NGX_HTTP_GRAY_STAGE_SCHEDULED,
                                      NGX_HTTP_GRAY_CAUSE_OPERATOR,
                                      NGX_HTTP_GRAY_HOOK_STARTED,
                                      "started by %s", who);

    ngx_http_gray_stage_advance(st);
}


static void
ngx_http_gray_stage_resume(ngx_http_gray_staging_t *st, const char *who)
{
    ngx_uint_t               step, stage;
    ngx_http_gray_state_t   *state;

    state = st->state;

    if (state->cause == NGX_HTTP_GRAY_CAUSE_GUARD) {
        ngx_http_gray_guards_afresh(&state->guards);
    }

    if (st->world->filled > NGX_HTTP_GRAY_STAGE_FULL_FILTER) {
        st->outcomes->forget = 1;
    }

    stage = state->before;
    step = state->step;

    (void) ngx_http_gray_move_change(st, stage, NGX_HTTP_GRAY_CAUSE_OPERATOR,
                                      NGX_HTTP_GRAY_HOOK_RESUMED,
                                      "resumed by %s", who);

    if (stage == NGX_HTTP_GRAY_STAGE_SCHEDULED) {
        return;
    }

    /* an operator may have set any weight: it goes on from there */

    if (state->weight != st->plan->step[step].weight) {
        step = ngx_http_gray_stage_step_at(st, state->weight);

        if (step != state->step) {
            state->step = step;
            state->entered = st->world->time;
            state->held = 0;
            state->requests = 0;
        }

        state->stage = (st->plan->step[step].weight == NGX_HTTP_GRAY_STAGE_ALL)
                       ? NGX_HTTP_GRAY_STAGE_BAKING
                       : NGX_HTTP_GRAY_STAGE_RUNNING;

        ngx_http_gray_move_wish(st, NGX_HTTP_GRAY_WISH_WEIGHT,
                                 st->plan->step[step].weight);
    }
}


/* over gates, windows and evidence: an operator takes it upon himself */

static void
ngx_http_gray_stage_promote(ngx_http_gray_staging_t *st, ngx_uint_t full,
    const char *who)
{
    char                    why[NGX_HTTP_GRAY_STAGE_REASON];
    ngx_uint_t              next;
    ngx_http_gray_state_t  *state;

    state = st->state;

    next = (state->stage == NGX_HTTP_GRAY_STAGE_SCHEDULED
            || (state->stage == NGX_HTTP_GRAY_STAGE_PAUSED
                && state->before == NGX_HTTP_GRAY_STAGE_SCHEDULED))
           ? 0 : state->step + 1;

    if (full && next < st->plan->steps) {
        next = st->plan->steps - 1;

        if (st->plan->step[next].weight < NGX_HTTP_GRAY_STAGE_ALL) {
            next = st->plan->steps;
        }
    }

    state->approved = ngx_max(state->approved, next + 1);

    if (state->stage == NGX_HTTP_GRAY_STAGE_PAUSED
        && state->cause == NGX_HTTP_GRAY_CAUSE_GUARD)
    {
        ngx_http_gray_guards_afresh(&state->guards);
    }

    (void) snprintf(why, sizeof(why), "promoted by %s", who);

    if (next < st->plan->steps) {
        ngx_http_gray_move_enter(st, next, NGX_HTTP_GRAY_CAUSE_OPERATOR, why);
        return;
    }

    ngx_http_gray_move_succeed(st, NGX_HTTP_GRAY_CAUSE_OPERATOR, why);
}


static void
ngx_http_gray_stage_next(ngx_http_gray_staging_t *st,
    ngx_http_gray_cause_e cause, const char *why)
{
    if (st->state->step + 1 < st->plan->steps) {
        ngx_http_gray_move_enter(st, st->state->step + 1, cause, why);
        return;
    }

    ngx_http_gray_move_succeed(st, cause, why);
}


/* the last step that is not above a weight, nor behind a gate */

static ngx_uint_t
ngx_http_gray_stage_step_at(ngx_http_gray_staging_t *st, uint32_t weight)
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


void
ngx_http_gray_stage_guard(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_state_t *state, ngx_uint_t i,
    ngx_http_gray_standing_t *standing)
{
    ngx_http_gray_guards_standing(plan, &state->guards, i,
                                  (double) state->weight / 10000,
                                  ngx_http_gray_stage_next_percent(plan,
                                                                   state),
                                  standing);
}


/* of the step that comes; the last one leads to all of them */

static double
ngx_http_gray_stage_next_percent(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_state_t *state)
{
    ngx_uint_t  next;

    next = state->step + 1;

    return next < plan->steps ? plan->step[next].percent : 100;
}


static ngx_int_t
ngx_http_gray_stage_refuse(ngx_http_gray_staging_t *st, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(st->outcomes->refused, sizeof(st->outcomes->refused), fmt,
                     args);
    va_end(args);

    return NGX_DECLINED;
}
