
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Rollouts under random events, and what must hold whatever happens.
 *
 * Each life is a day of ticks, with as many events as come to it: operators
 * who do anything at any time, documents that become what is wished for late,
 * never or by others, plans of all kinds that are replaced, counters that grow,
 * stall and fall to 0, clocks that jump.  What is checked after each event
 * are the rules of rollouts, worked out from the document and the clocks, not
 * from what the state says of itself.
 *
 * EVENTS=N are so many (200,000 by default), SEED=N is another beginning; a
 * life that fails says which one it was, and the last of what happened.
 */


#include "rollout.h"

#include <math.h>
#include <stdio.h>

#include "property.h"


#define DAY           86400
#define EVENTS        200000
#define LIFE_EVENTS   100000         /* of a day */
#define GAP           5000           /* ms: there was no tick */


typedef enum {
    TICK = 0,
    COMMAND,
    LAND,                            /* a change by the rollout comes */
    OPERATOR                         /* or one by somebody else */
} event_e;


/* what is known of a rollout without asking it */

typedef struct {
    uint64_t                   held;         /* ms at the weight of its step */
    uint64_t                   requests;     /* of the canary, likewise */
    uint64_t                   cooled;       /* ms since it was rolled back */
    ngx_uint_t                 approved;     /* gates of so many steps */
    ngx_uint_t                 gates;        /* events since it moved */
} known_t;


typedef struct {
    property_world_t           world;
    ngx_http_gray_state_t      state;
    ngx_http_gray_outcomes_t   outcomes;
    ngx_http_gray_world_t      seen;
    known_t                    known;
    uint64_t                   tick;         /* when the last one was */
    uint64_t                   passed;       /* ms before this one */
    ngx_uint_t                 calm;         /* so seldom there are commands */
    uint64_t                   number;       /* of the event */
    const char                *what;
} life_t;


static void life_begin(life_t *life, uint64_t seed);
static void life_event(life_t *life);
static void life_tick(life_t *life);
static void life_command(life_t *life);
static void check_gates(life_t *life, const ngx_http_gray_state_t *before,
    ngx_http_gray_command_e command);
static void check_twice(life_t *life, ngx_http_gray_command_e command);
static void check_refused(life_t *life, const ngx_http_gray_state_t *before,
    ngx_http_gray_command_e command);
static void check(life_t *life, const ngx_http_gray_state_t *before,
    event_e event);
static void check_path(life_t *life, const ngx_http_gray_state_t *before,
    event_e event);
static void check_form(life_t *life, const ngx_http_gray_state_t *before);
static void check_wish(life_t *life, const ngx_http_gray_state_t *before);
static void check_tick(life_t *life, const ngx_http_gray_state_t *before);
static void check_manual(life_t *life, const ngx_http_gray_state_t *before);
static void check_step(life_t *life, const ngx_http_gray_state_t *before);
static void check_left(life_t *life, const ngx_http_gray_state_t *before,
    const ngx_http_gray_event_t *event);
static void check_guard(life_t *life, const ngx_http_gray_event_t *event);
static void check_final(life_t *life, const ngx_http_gray_state_t *before);
static void check_evidence(life_t *life);
static void know(life_t *life, const ngx_http_gray_state_t *before,
    event_e event);
static void know_step(life_t *life, const ngx_http_gray_state_t *before);
static void violated(life_t *life, const char *rule, int line);


#define must(rule)  if (!(rule)) { violated(life, #rule, __LINE__); }


static ngx_uint_t  seen_stages;
static uint64_t    seen_ticks[NGX_HTTP_GRAY_STAGES];
static uint64_t    seen_events[NGX_HTTP_GRAY_HOOKS][NGX_HTTP_GRAY_CAUSES];


static uint64_t
number_of(const char *name, uint64_t otherwise)
{
    const char  *text;

    text = getenv(name);

    return text && text[0] ? strtoull(text, NULL, 10) : otherwise;
}


static void
test_lives(void **state)
{
    uint64_t     events, done, seed;
    ngx_uint_t   i, k;
    static life_t  life;

    events = number_of("EVENTS", EVENTS);
    seed = number_of("SEED", 1);

    for (done = 0; done < events; done += life.number, seed++) {
        life_begin(&life, seed);

        while (life.number < LIFE_EVENTS && done + life.number < events) {
            life_event(&life);
        }
    }

    print_message("# seeds %lu to %lu, %lu events\n",
                  (unsigned long) number_of("SEED", 1),
                  (unsigned long) seed - 1, (unsigned long) done);

    for (i = 0; i < NGX_HTTP_GRAY_STAGES; i++) {
        print_message("# ticks %s: %lu\n",
                      (char *) ngx_http_gray_stages[i].data,
                      (unsigned long) seen_ticks[i]);
    }

    /* whatever may happen has */

    assert_int_equal(seen_stages, (1 << NGX_HTTP_GRAY_STAGES) - 1);

    for (i = 0; i < NGX_HTTP_GRAY_HOOKS; i++) {
        done = 0;

        for (k = 0; k < NGX_HTTP_GRAY_CAUSES; k++) {
            done += seen_events[i][k];

            if (seen_events[i][k]) {
                print_message("# %s by %s: %lu\n",
                              (char *) ngx_http_gray_hooks[i].data,
                              (char *) ngx_http_gray_causes[k].data,
                              (unsigned long) seen_events[i][k]);
            }
        }

        assert_true(done > 0);
    }
}


static void
life_begin(life_t *life, uint64_t seed)
{
    memset(life, 0, sizeof(life_t));

    property_world_init(&life->world, seed);

    /* some are hectic, and in some nearly nothing happens but time */

    life->calm = 2 << property_below(&life->world, 6);
}


static void
life_event(life_t *life)
{
    ngx_uint_t              dice;
    property_world_t       *world;
    ngx_http_gray_state_t   before;

    world = &life->world;
    life->number++;

    dice = property_below(world, 1000);

    if (dice < DAY * 1000 / LIFE_EVENTS) {
        life_tick(life);
        return;
    }

    /* a life without a rollout is not what this is about */

    if (property_once(world, active(life->state.stage) ? life->calm : 4)) {
        life_command(life);
        return;
    }

    before = life->state;
    life->outcomes.events = 0;

    if (property_once(world, 2)) {
        life->what = "land";
        property_world_land(world);
        check(life, &before, LAND);
        return;
    }

    life->what = property_world_operator(world, life->calm);
    check(life, &before, OPERATOR);
}


static void
life_tick(life_t *life)
{
    ngx_http_gray_state_t  before;

    life->what = "tick";
    seen_ticks[life->state.stage]++;

    property_world_tick(&life->world);
    property_world_see(&life->world, &life->state, &life->seen);

    life->passed = 0;

    if (life->tick
        && life->seen.now > life->tick
        && life->seen.now - life->tick <= GAP)
    {
        life->passed = life->seen.now - life->tick;
    }

    before = life->state;

    ngx_http_gray_stage_tick(life->world.plan, &life->state, &life->seen,
                             &life->outcomes);

    check(life, &before, TICK);

    life->tick = life->seen.now;

    property_world_wish(&life->world, &life->state);
}


static void
life_command(life_t *life)
{
    ngx_int_t                rc;
    ngx_http_gray_state_t    before;
    ngx_http_gray_command_e  command;

    /* rollouts are to be begun again, and to come to an end */

    static const ngx_http_gray_command_e  said[] = {
        NGX_HTTP_GRAY_STAGE_START, NGX_HTTP_GRAY_STAGE_START,
        NGX_HTTP_GRAY_STAGE_START, NGX_HTTP_GRAY_STAGE_START,
        NGX_HTTP_GRAY_STAGE_RESUME, NGX_HTTP_GRAY_STAGE_RESUME,
        NGX_HTTP_GRAY_STAGE_RESUME, NGX_HTTP_GRAY_STAGE_RESUME,
        NGX_HTTP_GRAY_STAGE_APPROVE, NGX_HTTP_GRAY_STAGE_APPROVE,
        NGX_HTTP_GRAY_STAGE_APPROVE, NGX_HTTP_GRAY_STAGE_APPROVE,
        NGX_HTTP_GRAY_STAGE_PROMOTE, NGX_HTTP_GRAY_STAGE_PROMOTE,
        NGX_HTTP_GRAY_STAGE_PAUSE, NGX_HTTP_GRAY_STAGE_PAUSE,
        NGX_HTTP_GRAY_STAGE_FULL, NGX_HTTP_GRAY_STAGE_ROLLBACK,
        NGX_HTTP_GRAY_STAGE_ABORT
    };

    command = said[property_below(&life->world, ITEMS(said))];

    if (!active(life->state.stage) && property_once(&life->world, 2)) {
        command = NGX_HTTP_GRAY_STAGE_START;
    }

    life->what = (char *) ngx_http_gray_actions[command].data;

    property_world_see(&life->world, &life->state, &life->seen);

    before = life->state;

    rc = ngx_http_gray_stage_command(life->world.plan, &life->state,
                                     &life->seen, command, "amy",
                                     &life->outcomes);

    must(rc == NGX_OK || rc == NGX_DECLINED);

    if (life->outcomes.forget) {
        must(command == NGX_HTTP_GRAY_STAGE_START
             || command == NGX_HTTP_GRAY_STAGE_RESUME
             || command == NGX_HTTP_GRAY_STAGE_PROMOTE
             || command == NGX_HTTP_GRAY_STAGE_FULL);

        life->world.filled = life->world.plan->key ? 0 : -1;
    }

    if (rc == NGX_DECLINED) {
        check_refused(life, &before, command);
        return;
    }

    if (command == NGX_HTTP_GRAY_STAGE_START && !active(before.stage)) {
        life->tick = life->seen.now;
        life->world.last.revision = 0;
        ngx_memzero(&life->known, sizeof(known_t));
    }

    check_gates(life, &before, command);
    check(life, &before, COMMAND);
    check_twice(life, command);

    property_world_wish(&life->world, &life->state);
}


/* an approval is for the gate that is waited at, a promotion for its step */

static void
check_gates(life_t *life, const ngx_http_gray_state_t *before,
    ngx_http_gray_command_e command)
{
    ngx_uint_t                    i;
    const ngx_http_gray_state_t  *state;

    state = &life->state;

    must(!active(state->stage)
         || state->wish != NGX_HTTP_GRAY_WISH_WEIGHT
         || state->step == before->step
         || !life->world.plan->step[state->step].gate
         || state->approved > state->step);

    if (command == NGX_HTTP_GRAY_STAGE_RESUME) {
        for (i = before->step + 1; i <= state->step; i++) {
            must(!life->world.plan->step[i].gate || life->known.approved > i);
        }
    }

    if (state->approved <= before->approved) {
        return;
    }

    if (command == NGX_HTTP_GRAY_STAGE_APPROVE) {
        must(before->waits == NGX_HTTP_GRAY_WAITS_GATE);
        must(state->stage == before->stage && state->step == before->step);
        must(state->approved == (state->stage == NGX_HTTP_GRAY_STAGE_SCHEDULED
                                 ? 1 : state->step + 2));

    } else {
        must(command == NGX_HTTP_GRAY_STAGE_PROMOTE
             || command == NGX_HTTP_GRAY_STAGE_FULL);
        must(state->stage == NGX_HTTP_GRAY_STAGE_SUCCEEDED
             || state->approved == state->step + 1);
    }

    life->known.approved = state->approved;
    life->known.gates = 0;
}


/* what was done already is answered likewise, and changes nothing */

static void
check_twice(life_t *life, ngx_http_gray_command_e command)
{
    ngx_int_t                 rc;
    ngx_http_gray_state_t     again;
    ngx_http_gray_outcomes_t  outcomes;

    /* a step that is there already is another one */

    if (command == NGX_HTTP_GRAY_STAGE_PROMOTE
        && life->state.wish != NGX_HTTP_GRAY_WISH_WEIGHT)
    {
        return;
    }

    again = life->state;

    rc = ngx_http_gray_stage_command(life->world.plan, &again, &life->seen,
                                     command, "bob", &outcomes);

    must(rc == NGX_OK);
    must(outcomes.events == 0 && !outcomes.forget);
    must(memcmp(&again, &life->state, sizeof(ngx_http_gray_state_t)) == 0);
}


static void
check_refused(life_t *life, const ngx_http_gray_state_t *before,
    ngx_http_gray_command_e command)
{
    const char  *refused;

    refused = life->outcomes.refused;

    must(refused[0] != '\0');
    must(memchr(refused, '\0', NGX_HTTP_GRAY_STAGE_REASON) != NULL);
    must(life->outcomes.events == 0 && !life->outcomes.forget);
    must(memcmp(before, &life->state, sizeof(ngx_http_gray_state_t)) == 0);

    /* these work in whatever state, and with whatever document */

    must((!active(before->stage)
          && (before->wish != NGX_HTTP_GRAY_WISH_PROMOTE
              || life->seen.promoted))
         || (command != NGX_HTTP_GRAY_STAGE_ROLLBACK
             && command != NGX_HTTP_GRAY_STAGE_ABORT));
}


static void
check(life_t *life, const ngx_http_gray_state_t *before, event_e event)
{
    seen_stages |= 1 << life->state.stage;

    if (event == LAND || event == OPERATOR) {
        return;
    }

    know(life, before, event);

    check_form(life, before);
    check_path(life, before, event);
    check_wish(life, before);
    check_final(life, before);

    if (event == TICK) {
        check_tick(life, before);
        check_evidence(life);
    }

    know_step(life, before);
}


/* reasons are texts, and what has changed can be seen by its serial */

static void
check_form(life_t *life, const ngx_http_gray_state_t *before)
{
    const ngx_http_gray_state_t  *state;

    state = &life->state;

    must(state->stage < NGX_HTTP_GRAY_STAGES);
    must(state->waits < NGX_HTTP_GRAY_WAITS);
    must(state->cause < NGX_HTTP_GRAY_CAUSES);
    must(memchr(state->reason, '\0', sizeof(state->reason)) != NULL);
    must(state->reason[0] || state->serial == 0);
    must(state->serial >= before->serial);

    must(state->serial > before->serial
         || (state->stage == before->stage
             && state->step == before->step
             && state->waits == before->waits
             && state->wish == before->wish
             && state->weight == before->weight
             && state->approved == before->approved
             && state->plan == before->plan));

    must(state->waits == NGX_HTTP_GRAY_WAITS_NOT
         || state->stage == NGX_HTTP_GRAY_STAGE_SCHEDULED
         || state->stage == NGX_HTTP_GRAY_STAGE_RUNNING
         || state->stage == NGX_HTTP_GRAY_STAGE_BAKING);
}


/* what is told of are all the changes there are, and these are legal */

static void
check_path(life_t *life, const ngx_http_gray_state_t *before, event_e event)
{
    ngx_uint_t                    i, at, legal;
    const ngx_http_gray_event_t  *e;

    at = before->stage;

    must(life->outcomes.events < NGX_HTTP_GRAY_STAGE_EVENTS);

    for (i = 0; i < life->outcomes.events; i++) {
        e = &life->outcomes.event[i];

        must(e->from == at);
        must(e->hook < NGX_HTTP_GRAY_HOOKS);
        must(e->cause < NGX_HTTP_GRAY_CAUSES);
        must(e->reason[0] && memchr(e->reason, '\0', sizeof(e->reason)));
        must(e->time == life->seen.time);

        seen_events[e->hook][e->cause]++;

        if (e->hook == NGX_HTTP_GRAY_HOOK_GATE) {
            must(e->to == at);
            continue;
        }

        legal = (event == TICK) ? by_tick[at] : by_command[at];

        /* what is the baseline is not sent back */

        if (at == NGX_HTTP_GRAY_STAGE_SUCCEEDED
            && before->wish != NGX_HTTP_GRAY_WISH_PROMOTE)
        {
            legal &= ~ENDS;
        }

        /* its own step follows a start at once */

        if (i && life->outcomes.event[0].hook == NGX_HTTP_GRAY_HOOK_STARTED) {
            legal = by_tick[at];
        }

        must(legal & ((ngx_uint_t) 1 << e->to));

        at = e->to;
    }

    if (at != life->state.stage) {
        must(event == TICK);
        must(at == NGX_HTTP_GRAY_STAGE_ROLLED_BACK);
        must(life->state.stage == NGX_HTTP_GRAY_STAGE_IDLE);
    }

    /* one gate is told of once, until something else happens */

    must(life->known.gates <= 1);
}


/* weights are those of the plan, and nothing moves unless it may */

static void
check_wish(life_t *life, const ngx_http_gray_state_t *before)
{
    uint32_t                      weight;
    const ngx_http_gray_plan_t   *plan;
    const ngx_http_gray_state_t  *state;

    state = &life->state;
    plan = life->world.plan;

    must(wishes[state->stage] & (1 << state->wish));

    if (!active(state->stage) || plan == NULL || plan->id != state->plan) {
        return;
    }

    must(state->step < plan->steps);

    weight = plan->step[state->step].weight;

    if (state->wish == NGX_HTTP_GRAY_WISH_WEIGHT) {
        must(state->weight == weight);
    }

    if (state->stage == NGX_HTTP_GRAY_STAGE_RUNNING) {
        must(weight != NGX_HTTP_GRAY_STAGE_ALL);
    }

    if (state->stage == NGX_HTTP_GRAY_STAGE_BAKING) {
        must(weight == NGX_HTTP_GRAY_STAGE_ALL);
    }

    /* no time passes where nothing was tried */

    if (state->step == before->step
        && before->stage == state->stage
        && state->wish != NGX_HTTP_GRAY_WISH_NONE
        && before->wish != NGX_HTTP_GRAY_WISH_NONE)
    {
        must(state->held == before->held);
        must(state->requests == before->requests);
    }

    if (state->stage == NGX_HTTP_GRAY_STAGE_PAUSED
        && before->stage == NGX_HTTP_GRAY_STAGE_PAUSED)
    {
        must(state->held == before->held || state->plan != before->plan);
    }
}


static void
check_tick(life_t *life, const ngx_http_gray_state_t *before)
{
    ngx_uint_t                    i, steps;
    const ngx_http_gray_event_t  *e;
    const ngx_http_gray_state_t  *state;

    state = &life->state;
    steps = 0;

    must(!life->outcomes.forget && !life->outcomes.refused[0]);

    for (i = 0; i < life->outcomes.events; i++) {
        e = &life->outcomes.event[i];

        if (e->hook == NGX_HTTP_GRAY_HOOK_STEP) {
            steps++;
            check_step(life, before);
        }

        if (e->hook == NGX_HTTP_GRAY_HOOK_STEP
            || e->hook == NGX_HTTP_GRAY_HOOK_PROMOTED)
        {
            check_left(life, before, e);
        }

        if (e->cause == NGX_HTTP_GRAY_CAUSE_GUARD) {
            check_guard(life, e);
        }

        must(e->cause != NGX_HTTP_GRAY_CAUSE_OPERATOR);
    }

    must(life->passed == 0 || life->outcomes.events
         || property_looked(life->world.plan, &life->seen, before, state));
    must(property_heard(life->world.plan, before, state));
    must(property_epoch(&life->world, &life->seen, state));
    must(steps <= 1);
    must(state->step == before->step || steps || state->plan != before->plan);

    /* no gate opens by itself; who is where another plan has him may stay */

    if (state->plan == before->plan) {
        must(state->approved <= before->approved);

    } else if (state->approved) {
        must(state->stage == NGX_HTTP_GRAY_STAGE_PAUSED);
        must(before->stage != NGX_HTTP_GRAY_STAGE_SCHEDULED);
        must(before->stage != NGX_HTTP_GRAY_STAGE_PAUSED
             || before->before != NGX_HTTP_GRAY_STAGE_SCHEDULED);
        must(state->step == before->step);
        must(state->approved == state->step + 1);
        must(life->world.plan->step[state->step].weight
             == life->seen.weight);
    }

    if (active(before->stage)) {
        check_manual(life, before);
    }
}


/* what others do to the document is seen, and has been respected */

static void
check_manual(life_t *life, const ngx_http_gray_state_t *before)
{
    ngx_uint_t                    manual;
    const ngx_http_gray_plan_t   *plan;
    const ngx_http_gray_state_t  *state;
    const ngx_http_gray_world_t  *seen;

    plan = life->world.plan;
    state = &life->state;
    seen = &life->seen;

    if (plan == NULL
        || strcmp(plan->variant, before->variant) != 0
        || seen->promoted)
    {
        must(state->stage == NGX_HTTP_GRAY_STAGE_ABORTED);
        must(state->cause == NGX_HTTP_GRAY_CAUSE_MANUAL);
        return;
    }

    must(state->stage != NGX_HTTP_GRAY_STAGE_ABORTED);
    must(state->plan == plan->id);

    if (!active(state->stage)) {
        return;
    }

    /* it is known what there is, or that it is to be another */

    if (state->wish == NGX_HTTP_GRAY_WISH_NONE) {
        must(state->weight == seen->weight);
    }

    if (before->plan != plan->id || !seen->enabled) {
        must(state->stage == NGX_HTTP_GRAY_STAGE_PAUSED);
    }

    manual = (seen->weight != before->weight
              && (before->wish != NGX_HTTP_GRAY_WISH_WEIGHT
                  || seen->weight != before->old_weight));

    if (manual) {
        must(state->stage == NGX_HTTP_GRAY_STAGE_PAUSED);
        must(before->stage == NGX_HTTP_GRAY_STAGE_PAUSED
             || state->cause == NGX_HTTP_GRAY_CAUSE_MANUAL);
    }

    if (state->stage == NGX_HTTP_GRAY_STAGE_PAUSED
        && before->stage != NGX_HTTP_GRAY_STAGE_PAUSED
        && state->cause == NGX_HTTP_GRAY_CAUSE_MANUAL)
    {
        must(manual || before->plan != plan->id || !seen->enabled);
    }
}


/* a step is the next one, its gate is approved, and a window is open */

static void
check_step(life_t *life, const ngx_http_gray_state_t *before)
{
    const ngx_http_gray_plan_t   *plan;
    const ngx_http_gray_state_t  *state;

    plan = life->world.plan;
    state = &life->state;

    must(state->step == (before->stage == NGX_HTTP_GRAY_STAGE_SCHEDULED
                         ? 0 : before->step + 1));
    must(!plan->step[state->step].gate
         || life->known.approved > state->step);
    must(state->held == 0 && state->requests == 0);
    must(state->weight == plan->step[state->step].weight);
}


/* it was held, and the evidence suffices; or a plan says that it need not */

static void
check_left(life_t *life, const ngx_http_gray_state_t *before,
    const ngx_http_gray_event_t *event)
{
    double                       next;
    ngx_uint_t                   i, open;
    const ngx_http_gray_step_t  *step;
    const ngx_http_gray_plan_t  *plan;

    plan = life->world.plan;
    open = (plan->windows == 0);

    for (i = 0; i < plan->windows; i++) {
        open |= ngx_http_gray_window_open(&plan->window[i], life->seen.time);
    }

    must(open);
    must(before->wish == NGX_HTTP_GRAY_WISH_NONE
         || life->seen.weight == before->weight);

    if (before->stage == NGX_HTTP_GRAY_STAGE_SCHEDULED) {
        return;
    }

    step = &plan->step[before->step];

    must(life->known.held >= step->hold);

    if (event->cause == NGX_HTTP_GRAY_CAUSE_INCONCLUSIVE) {
        must(plan->on_inconclusive == NGX_HTTP_GRAY_PLAN_NEXT);
        must(event->hook == NGX_HTTP_GRAY_HOOK_STEP);
        must(life->known.held >= step->max_hold);
        must(plan->step[before->step + 1].weight < NGX_HTTP_GRAY_STAGE_ALL);
        return;
    }

    must(event->cause == NGX_HTTP_GRAY_CAUSE_PLAN);
    must(step->weight == 0 || life->known.requests >= step->min_requests);

    if (event->hook == NGX_HTTP_GRAY_HOOK_PROMOTED) {
        must(before->step == plan->steps - 1);
    }

    next = (before->step + 1 < plan->steps)
           ? plan->step[before->step + 1].percent : 100;

    if (step->percent == 0 || next < step->percent) {
        return;
    }

    for (i = 0; i < plan->guards; i++) {

        if (plan->guard[i].kind == NGX_HTTP_GRAY_GUARD_LATENCY
            || plan->guard[i].kind == NGX_HTTP_GRAY_GUARD_SHARE
            || (plan->guard[i].kind == NGX_HTTP_GRAY_GUARD_RELATIVE
                && step->percent == 100)
            || (next == step->percent && next < 100))
        {
            continue;
        }

        must(life->state.guards.known[i].info
             >= plan->info_nats * next / 100);
    }
}


/* a guard that acts has the evidence for it, and does what the plan says */

static void
check_guard(life_t *life, const ngx_http_gray_event_t *event)
{
    ngx_uint_t                   i;
    const ngx_http_gray_plan_t  *plan;

    plan = life->world.plan;

    for (i = 0; i < plan->guards; i++) {
        if (strcmp(plan->guard[i].name, event->guard) == 0) {
            break;
        }
    }

    must(i < plan->guards);
    must(event->evidence >= log((double) plan->guards / plan->alpha) - 1e-9);

    if (event->hook == NGX_HTTP_GRAY_HOOK_ROLLBACK) {
        must(plan->guard[i].action == NGX_HTTP_GRAY_PLAN_ROLLBACK);

    } else {
        must(event->hook == NGX_HTTP_GRAY_HOOK_PAUSE);
        must(plan->guard[i].action == NGX_HTTP_GRAY_PLAN_PAUSE
             || plan->guard[i].baseline_bad);
    }
}


/* what was rolled back stays so: until it is done, and has cooled down */

static void
check_final(life_t *life, const ngx_http_gray_state_t *before)
{
    ngx_uint_t                    there;
    const ngx_http_gray_state_t  *state;

    state = &life->state;

    there = (life->seen.weight || life->seen.spread) && !life->seen.promoted;

    if (before->stage != NGX_HTTP_GRAY_STAGE_ROLLED_BACK) {
        must(state->stage != NGX_HTTP_GRAY_STAGE_ROLLED_BACK
             || life->outcomes.event[life->outcomes.events - 1].hook
                == NGX_HTTP_GRAY_HOOK_ROLLBACK);
        must(state->stage != NGX_HTTP_GRAY_STAGE_ROLLED_BACK
             || !there
             || state->wish == NGX_HTTP_GRAY_WISH_ROLLBACK);
        return;
    }

    if (before->wish == NGX_HTTP_GRAY_WISH_ROLLBACK && there) {
        must(state->stage == NGX_HTTP_GRAY_STAGE_ROLLED_BACK);
        must(state->wish == NGX_HTTP_GRAY_WISH_ROLLBACK);
    }

    if (state->stage != NGX_HTTP_GRAY_STAGE_ROLLED_BACK) {
        must(life->world.plan == NULL
             || life->known.cooled >= life->world.plan->cooldown
             || state->stage != NGX_HTTP_GRAY_STAGE_IDLE);
    }
}


static void
check_evidence(life_t *life)
{
    double                           value;
    ngx_uint_t                       i;
    const ngx_http_gray_plan_t      *plan;
    const ngx_http_gray_guards_t    *guards;
    const ngx_http_gray_evidence_t  *evidence;

    plan = life->world.plan;
    guards = &life->state.guards;

    if (plan == NULL || plan->id != life->state.plan) {
        return;
    }

    for (i = 0; i < plan->watches; i++) {
        evidence = &guards->evidence[i];
        value = ngx_http_gray_evidence_value(evidence);

        must(isfinite(value));
        must(evidence->rest >= 0 && evidence->rest <= 1);
        must(guards->seen[i].bad_canary <= guards->seen[i].canary);
        must(guards->seen[i].bad_baseline <= guards->seen[i].baseline);
    }

    for (i = 0; i < plan->guards; i++) {
        must(isfinite(guards->known[i].info));
        must(isfinite(guards->known[i].pace));
        must(guards->known[i].recent_bad <= guards->known[i].recent + 1e-6);
    }
}


/* the clocks of the rollout, once more: an upper bound of what may count */

static void
know(life_t *life, const ngx_http_gray_state_t *before, event_e event)
{
    known_t                      *known;
    ngx_uint_t                    i;
    const ngx_http_gray_event_t  *e;
    const ngx_http_gray_state_t  *state;

    known = &life->known;
    state = &life->state;

    if (event == TICK) {

        if ((before->stage == NGX_HTTP_GRAY_STAGE_RUNNING
             || before->stage == NGX_HTTP_GRAY_STAGE_BAKING)
            && life->seen.weight == before->weight)
        {
            known->held += life->passed;
        }

        if (active(before->stage) && life->seen.weight == before->weight) {
            known->requests += property_grown(life->seen.canary->step,
                                              before->guards.canary.step);
        }

        if (before->stage == NGX_HTTP_GRAY_STAGE_ROLLED_BACK) {
            known->cooled += life->passed;
        }
    }

    if (state->stage == NGX_HTTP_GRAY_STAGE_ROLLED_BACK
        && before->stage != NGX_HTTP_GRAY_STAGE_ROLLED_BACK)
    {
        known->cooled = 0;
    }

    for (i = 0; i < life->outcomes.events; i++) {
        e = &life->outcomes.event[i];

        if (e->hook == NGX_HTTP_GRAY_HOOK_GATE) {
            known->gates++;

        } else {
            known->gates = 0;
        }
    }

    if (event == TICK && state->plan != before->plan) {
        known->approved = state->approved;
    }
}


/* what counts is of the step that it is in now */

static void
know_step(life_t *life, const ngx_http_gray_state_t *before)
{
    ngx_uint_t                    i;
    const ngx_http_gray_state_t  *state;

    state = &life->state;

    if (state->step != before->step || state->plan != before->plan) {
        life->known.held = 0;
        life->known.requests = 0;
    }

    for (i = 0; i < life->outcomes.events; i++) {
        if (life->outcomes.event[i].hook == NGX_HTTP_GRAY_HOOK_STEP) {
            life->known.held = 0;
            life->known.requests = 0;
        }
    }
}


static void
violated(life_t *life, const char *rule, int line)
{
    const ngx_http_gray_state_t  *state;

    state = &life->state;

    fail_msg("SEED=%lu, event %lu, \"%s\": line %d: %s\n"
             "stage %s, %s, step %u of %lu, wish %u, weight %u, document %u, "
             "plan %lx, reason \"%s\", refused \"%s\"",
             (unsigned long) life->world.first, (unsigned long) life->number,
             life->what, line, rule,
             (char *) ngx_http_gray_stages[state->stage].data,
             (char *) ngx_http_gray_waits[state->waits].data,
             state->step, life->world.plan
                          ? (unsigned long) life->world.plan->steps : 0,
             state->wish, state->weight, life->seen.weight,
             (unsigned long) state->plan, state->reason,
             life->outcomes.refused);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_lives)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
