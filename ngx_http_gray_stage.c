
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
#include "ngx_http_gray_steps.h"


#define NGX_HTTP_GRAY_STAGE_GAP   5000       /* ms */
#define NGX_HTTP_GRAY_STAGE_FULL_FILTER  0.5

#define NGX_HTTP_GRAY_STAGE_NO_FILTER                                         \
    "the zone has no filter of keys for the release, as nginx.conf declares " \
    "neither \"hash\" nor \"cookie\" for it: the plan needs \"unit\": "       \
    "\"request\""

#define NGX_HTTP_GRAY_STAGE_GONE                                              \
    "the baseline's upstream is gone, what nginx.conf declares serves"


static ngx_uint_t ngx_http_gray_stage_document(ngx_http_gray_staging_t *st);
static ngx_uint_t ngx_http_gray_stage_set(ngx_http_gray_staging_t *st);
static void ngx_http_gray_stage_replan(ngx_http_gray_staging_t *st);
static ngx_uint_t ngx_http_gray_stage_stays(ngx_http_gray_staging_t *st);
static uint64_t ngx_http_gray_stage_time(ngx_http_gray_staging_t *st);
static void ngx_http_gray_stage_given(ngx_http_gray_staging_t *st,
    double seconds, ngx_http_gray_guards_tick_t *tick);
static ngx_uint_t ngx_http_gray_stage_guarded(ngx_http_gray_staging_t *st,
    const ngx_http_gray_guards_tick_t *tick);
static void ngx_http_gray_stage_begin(ngx_http_gray_staging_t *st,
    const char *who);
static void ngx_http_gray_stage_resume(ngx_http_gray_staging_t *st,
    const char *who);
static void ngx_http_gray_stage_accept(ngx_http_gray_staging_t *st);
static ngx_int_t ngx_http_gray_stage_promote(ngx_http_gray_staging_t *st,
    ngx_uint_t full, const char *who);
static ngx_int_t ngx_http_gray_stage_refuse(ngx_http_gray_staging_t *st,
    const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static ngx_int_t ngx_http_gray_stage_may_start(ngx_http_gray_staging_t *st);
static ngx_int_t ngx_http_gray_stage_serves(ngx_http_gray_staging_t *st);


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
            state->since = world->time;
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

    if (state->wish == NGX_HTTP_GRAY_WISH_NONE) {
        state->requests += (tick.canary->step > state->guards.canary.step)
                           ? tick.canary->step - state->guards.canary.step : 0;
        state->cold -= ngx_min(state->cold, passed);
    }

    state->moved = 0;

    if (ngx_http_gray_stage_guarded(&st, &tick)) {
        return;
    }

    if (plan->key
        && (world->filled < 0
            || world->filled > NGX_HTTP_GRAY_STAGE_FULL_FILTER)
        && state->stage != NGX_HTTP_GRAY_STAGE_PAUSED)
    {
        ngx_http_gray_move_pause(&st, NGX_HTTP_GRAY_CAUSE_FILTER,
                                  world->filled < 0
                                  ? NGX_HTTP_GRAY_STAGE_NO_FILTER
                                  : "more keys have failed than the filter of "
                                    "keys can tell apart; \"resume\" clears "
                                    "it");
        return;
    }

    if (state->stage == NGX_HTTP_GRAY_STAGE_PAUSED
        || state->wish != NGX_HTTP_GRAY_WISH_NONE)
    {
        return;
    }

    state->held += passed;

    ngx_http_gray_steps_advance(&st);
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
    ngx_uint_t                    paused, set;
    ngx_http_gray_state_t        *state;
    const ngx_http_gray_world_t  *world;

    state = st->state;
    world = st->world;
    paused = (state->stage == NGX_HTTP_GRAY_STAGE_PAUSED);

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

    /* other shares, by another variant's weight: as if it were its own */

    if (world->rest != state->rest) {
        state->rest = world->rest;
        state->from = world->revision;
        state->moved = 1;
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

    set = ngx_http_gray_stage_set(st);

    if ((!world->enabled || world->gone) && !paused) {
        ngx_http_gray_move_pause(st, NGX_HTTP_GRAY_CAUSE_MANUAL,
                                  world->gone ? NGX_HTTP_GRAY_STAGE_GONE
                                              : "the release was disabled");
        return 0;
    }

    if (!set) {
        return 1;
    }

    (void) snprintf(why, sizeof(why),
                    "the weight was changed to %.7g%% by revision %lu",
                    (double) world->weight / 10000,
                    (unsigned long) world->revision);

    if (!paused) {
        ngx_http_gray_move_pause(st, NGX_HTTP_GRAY_CAUSE_MANUAL, why);
        return 0;
    }

    state->serial++;

    return 1;
}


/* 1 where an operator has set the weight: then that is what it is */

static ngx_uint_t
ngx_http_gray_stage_set(ngx_http_gray_staging_t *st)
{
    ngx_http_gray_state_t        *state;
    const ngx_http_gray_world_t  *world;

    state = st->state;
    world = st->world;

    /* until the wish is fulfilled, what was there before may be there, too */

    if (world->weight == state->weight
        || (state->wish == NGX_HTTP_GRAY_WISH_WEIGHT
            && world->weight == state->old_weight))
    {
        return 0;
    }

    state->wish = NGX_HTTP_GRAY_WISH_NONE;
    state->weight = world->weight;
    state->from = world->revision;
    state->moved = 1;

    return 1;
}


/* what its guards have counted is of another plan */

static void
ngx_http_gray_stage_replan(ngx_http_gray_staging_t *st)
{
    ngx_uint_t                    step, gate;
    ngx_http_gray_state_t        *state;
    ngx_http_gray_guards_tick_t   tick;

    state = st->state;
    gate = 0;

    ngx_http_gray_stage_given(st, 0, &tick);
    ngx_http_gray_guards_begin(&state->guards, &tick);

    state->plan = st->plan->id;
    state->approved = 0;
    state->weight = st->world->weight;
    state->wish = NGX_HTTP_GRAY_WISH_NONE;
    state->from = st->world->revision;

    if (ngx_http_gray_stage_stays(st)) {
        step = state->step;
        state->approved = step + 1;

    } else if (st->plan->step[0].gate) {
        step = 0;
        gate = 1;

    } else {
        step = ngx_http_gray_steps_at(st, state->weight);
    }

    ngx_http_gray_move_step(st, step);

    if (state->stage != NGX_HTTP_GRAY_STAGE_PAUSED) {
        ngx_http_gray_move_pause(st, NGX_HTTP_GRAY_CAUSE_MANUAL,
                                  "the plan was changed, or the upstream of "
                                  "its variant");
    }

    /* all of its steps are behind that one, whatever the weight is */

    if (gate) {
        state->before = NGX_HTTP_GRAY_STAGE_SCHEDULED;
    }

    state->serial++;
}


/*
 * Is the step that it was in as it was?  Its gate, and those before it, were
 * passed then, and nobody is to move who need not.
 */

static ngx_uint_t
ngx_http_gray_stage_stays(ngx_http_gray_staging_t *st)
{
    ngx_http_gray_state_t  *state;

    state = st->state;

    return state->stage != NGX_HTTP_GRAY_STAGE_SCHEDULED
           && (state->stage != NGX_HTTP_GRAY_STAGE_PAUSED
               || state->before != NGX_HTTP_GRAY_STAGE_SCHEDULED)
           && state->step < st->plan->steps
           && st->plan->step[state->step].weight == state->weight;
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
    ngx_uint_t                       n;
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

    ngx_http_gray_guards_forgive(plan, &state->guards, &verdict);

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


ngx_int_t
ngx_http_gray_stage_command(const ngx_http_gray_plan_t *plan,
    ngx_http_gray_state_t *state, const ngx_http_gray_world_t *world,
    ngx_http_gray_command_e command, const char *who,
    ngx_http_gray_outcomes_t *outcomes)
{
    char                     why[NGX_HTTP_GRAY_STAGE_REASON];
    ngx_uint_t               active, under_way;
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

    /* it has succeeded, but is not the baseline before the document says so */

    under_way = active
                || (state->wish == NGX_HTTP_GRAY_WISH_PROMOTE
                    && !world->promoted
                    && (command == NGX_HTTP_GRAY_STAGE_ROLLBACK
                        || command == NGX_HTTP_GRAY_STAGE_ABORT));

    if (!under_way) {
        return ngx_http_gray_stage_refuse(&st, "the rollout is %s, there is "
                                "none under way%s",
                                (char *) ngx_http_gray_stages[state->stage]
                                         .data,
                                command == NGX_HTTP_GRAY_STAGE_ROLLBACK
                                ? ": to go back, PATCH baseline and weights, "
                                  "or revert to a revision before it" : "");
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

    /* the plan may be another one than that which was started */

    if (plan->key && world->filled < 0
        && command != NGX_HTTP_GRAY_STAGE_PAUSE)
    {
        return ngx_http_gray_stage_refuse(&st, NGX_HTTP_GRAY_STAGE_NO_FILTER);
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

        if (ngx_http_gray_stage_serves(&st) != NGX_OK) {
            return NGX_DECLINED;
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

        /* what "promote", or another plan, has gone past may be no gate */

        if (state->approved > state->step
            && state->approved <= plan->steps
            && plan->step[state->approved - 1].gate)
        {
            return NGX_OK;
        }

        return ngx_http_gray_stage_refuse(&st, "no gate is waited at%s",
                                state->stage == NGX_HTTP_GRAY_STAGE_PAUSED
                                ? ", the rollout is paused" : "");

    default: /* NGX_HTTP_GRAY_STAGE_PROMOTE, NGX_HTTP_GRAY_STAGE_FULL */

        if (ngx_http_gray_stage_serves(&st) != NGX_OK) {
            return NGX_DECLINED;
        }

        return ngx_http_gray_stage_promote(&st, command
                                                == NGX_HTTP_GRAY_STAGE_FULL,
                                           who);
    }
}


static ngx_int_t
ngx_http_gray_stage_may_start(ngx_http_gray_staging_t *st)
{
    uint64_t                left;
    ngx_http_gray_state_t  *state;

    state = st->state;

    if (state->wish != NGX_HTTP_GRAY_WISH_NONE) {
        return ngx_http_gray_stage_refuse(st, "the rollout is %s, and the "
                                "document is not yet what it is to become; "
                                "try again",
                                (char *) ngx_http_gray_stages[state->stage]
                                         .data);
    }

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

    if (ngx_http_gray_stage_serves(st) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_http_gray_move_shut(st)) {
        return ngx_http_gray_stage_refuse(st, "the windows of the plan are "
                                "over, none will open again");
    }

    if (st->plan->key && st->world->filled < 0) {
        return ngx_http_gray_stage_refuse(st, NGX_HTTP_GRAY_STAGE_NO_FILTER);
    }

    return NGX_OK;
}


/* does what the document says decide requests? */

static ngx_int_t
ngx_http_gray_stage_serves(ngx_http_gray_staging_t *st)
{
    if (!st->world->enabled) {
        return ngx_http_gray_stage_refuse(st, "the release is disabled; "
                                "enable it first");
    }

    if (st->world->gone) {
        return ngx_http_gray_stage_refuse(st, NGX_HTTP_GRAY_STAGE_GONE);
    }

    return NGX_OK;
}


static void
ngx_http_gray_stage_begin(ngx_http_gray_staging_t *st, const char *who)
{
    uint32_t                      stage;
    uint64_t                      serial;
    ngx_http_gray_state_t        *state;
    ngx_http_gray_guards_tick_t   tick;

    state = st->state;
    stage = state->stage;
    serial = state->serial;

    ngx_memzero(state, sizeof(ngx_http_gray_state_t));

    state->stage = stage;
    state->serial = serial;
    state->plan = st->plan->id;
    ngx_memcpy(state->variant, st->plan->variant, sizeof(state->variant));

    ngx_http_gray_stage_given(st, 0, &tick);
    ngx_http_gray_guards_begin(&state->guards, &tick);

    state->tick = st->world->now;
    state->started = st->world->time;
    state->entered = st->world->time;
    state->weight = st->world->weight;
    state->rest = st->world->rest;
    state->from = st->world->revision;

    st->outcomes->forget = 1;

    (void) ngx_http_gray_move_change(st, NGX_HTTP_GRAY_STAGE_SCHEDULED,
                                      NGX_HTTP_GRAY_CAUSE_OPERATOR,
                                      NGX_HTTP_GRAY_HOOK_STARTED,
                                      "started by %s", who);

    ngx_http_gray_steps_advance(st);
}


static void
ngx_http_gray_stage_resume(ngx_http_gray_staging_t *st, const char *who)
{
    uint32_t                weight;
    ngx_uint_t              step;
    ngx_http_gray_state_t  *state;

    state = st->state;
    step = state->step;

    ngx_http_gray_stage_accept(st);

    if (state->before == NGX_HTTP_GRAY_STAGE_SCHEDULED) {
        (void) ngx_http_gray_move_change(st, NGX_HTTP_GRAY_STAGE_SCHEDULED,
                                          NGX_HTTP_GRAY_CAUSE_OPERATOR,
                                          NGX_HTTP_GRAY_HOOK_RESUMED,
                                          "resumed by %s", who);
        return;
    }

    /* an operator may have set any weight: it goes on from there */

    if (state->weight != st->plan->step[step].weight
        && !ngx_http_gray_steps_ahead(st))
    {
        step = ngx_http_gray_steps_at(st, state->weight);
    }

    if (step != state->step) {
        ngx_http_gray_move_step(st, step);
    }

    weight = st->plan->step[step].weight;

    (void) ngx_http_gray_move_change(st, ngx_http_gray_move_stage(weight),
                                      NGX_HTTP_GRAY_CAUSE_OPERATOR,
                                      NGX_HTTP_GRAY_HOOK_RESUMED,
                                      "resumed by %s", who);

    if (state->weight != weight) {
        ngx_http_gray_move_wish(st, NGX_HTTP_GRAY_WISH_WEIGHT, weight);
    }
}


/* who goes on after a pause has seen what it was for */

static void
ngx_http_gray_stage_accept(ngx_http_gray_staging_t *st)
{
    ngx_http_gray_guards_tick_t  tick;

    (void) ngx_http_gray_stage_set(st);

    if (st->world->filled > NGX_HTTP_GRAY_STAGE_FULL_FILTER) {
        st->outcomes->forget = 1;
    }

    /* keys that are forgotten would count again for what they did before */

    if (st->outcomes->forget
        || st->state->cause == NGX_HTTP_GRAY_CAUSE_GUARD)
    {
        ngx_http_gray_guards_afresh(&st->state->guards);

        /* what has ended since the last tick is of before, too */

        ngx_http_gray_stage_given(st, 0, &tick);
        ngx_http_gray_guards_skip(&st->state->guards, &tick);
    }
}


/* over gates, windows and evidence: an operator takes it upon himself */

static ngx_int_t
ngx_http_gray_stage_promote(ngx_http_gray_staging_t *st, ngx_uint_t full,
    const char *who)
{
    char                         why[NGX_HTTP_GRAY_STAGE_REASON];
    ngx_uint_t                   next, end, paused;
    ngx_http_gray_state_t       *state;
    const ngx_http_gray_plan_t  *plan;

    plan = st->plan;
    state = st->state;
    paused = (state->stage == NGX_HTTP_GRAY_STAGE_PAUSED);

    /* "full" leads to all of them: by the last step, or as the baseline */

    end = plan->steps - 1;

    if (plan->step[end].weight < NGX_HTTP_GRAY_STAGE_ALL
        && plan->on_success == NGX_HTTP_GRAY_PLAN_PROMOTE)
    {
        end = plan->steps;
    }

    /* a step that is about to come is the next one: do not take two */

    if (!paused && state->wish == NGX_HTTP_GRAY_WISH_WEIGHT) {

        if (!full || state->step >= end) {
            return NGX_OK;
        }

        return ngx_http_gray_stage_refuse(st, "the weight of step %lu is "
                                "being set; try again",
                                (unsigned long) state->step + 1);
    }

    if (paused) {
        ngx_http_gray_stage_accept(st);

    } else if (st->world->weight != state->weight) {
        return ngx_http_gray_stage_refuse(st, "the weight was changed by "
                                "revision %lu a moment ago; try again",
                                (unsigned long) st->world->revision);
    }

    next = (state->stage == NGX_HTTP_GRAY_STAGE_SCHEDULED
            || (paused && state->before == NGX_HTTP_GRAY_STAGE_SCHEDULED)
            || (paused && ngx_http_gray_steps_ahead(st)))
           ? state->step : state->step + 1;

    if (full) {

        if (next > end && !paused) {
            return NGX_OK;
        }

        next = end;
    }

    state->approved = ngx_max(state->approved, next + 1);

    (void) snprintf(why, sizeof(why), "promoted by %s", who);

    if (next < plan->steps) {
        ngx_http_gray_move_enter(st, next, NGX_HTTP_GRAY_CAUSE_OPERATOR, why);

    } else {
        ngx_http_gray_move_succeed(st, NGX_HTTP_GRAY_CAUSE_OPERATOR, why);
    }

    return NGX_OK;
}


void
ngx_http_gray_stage_guard(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_state_t *state, ngx_uint_t i,
    ngx_http_gray_standing_t *standing)
{
    ngx_http_gray_guards_standing(plan, &state->guards, i,
                                  (double) state->weight / 10000,
                                  ngx_http_gray_steps_percent(plan,
                                                                   state),
                                  standing);
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
