
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The world of a rollout: requests come, a document has weights, and what is
 * counted is counted as the module does.  Relative guards count what was
 * decided by a revision of the present step, absolute ones all; of a key that
 * is bad the first request counts, once in a rollout.  A crowd is in crowd.c.
 */


#include <string.h>

#include "sim.h"


#define SIM_USERS   4096
#define SIM_LONGEST 100


/* the watches of the plan */
enum { RELATIVE = 0, ABSOLUTE, LATENCY };


typedef struct {
    uint32_t     bucket;
    uint32_t     left;
    ngx_uint_t   bad;
    ngx_uint_t   counted;
} sim_user_t;


struct sim_users_s {
    ngx_uint_t   n;
    sim_user_t   user[SIM_USERS];
};


static void sim_plan(sim_world_t *world);
static void sim_guard(ngx_http_gray_plan_t *plan, const char *name,
    ngx_http_gray_guard_e kind, ngx_uint_t watches);
static ngx_uint_t sim_over(sim_world_t *world, sim_run_t *run);
static void sim_tick(sim_world_t *world, ngx_http_gray_outcomes_t *outcomes,
    ngx_uint_t start);
static void sim_document(sim_world_t *world, ngx_http_gray_world_t *seen);
static void sim_traffic(sim_world_t *world);
static void sim_requests(sim_world_t *world, const sim_phase_t *phase);
static void sim_hung(sim_world_t *world, const sim_phase_t *phase);
static void sim_timed(sim_world_t *world, ngx_uint_t arm, double rate);
static void sim_users(sim_world_t *world, const sim_phase_t *phase);
static void sim_user(sim_world_t *world, sim_user_t *user);
static void sim_bad(sim_world_t *world, ngx_uint_t arm, uint64_t n,
    uint64_t revision);
static void sim_times(sim_world_t *world, ngx_uint_t arm);
static double sim_normal(double p);


void
sim_open(sim_world_t *world, const sim_row_t *row, random_t *random)
{
    memset(world, 0, sizeof(sim_world_t));

    world->row = row;
    world->random = random;

    if (row->times.median > 0) {
        sim_times(world, 0);
        sim_times(world, 1);
    }

    world->users = malloc(sizeof(sim_users_t));

    if (world->users == NULL) {
        abort();
    }

    if (row->users >= SIM_CROWD) {
        sim_crowd_open(world);
    }
}


void
sim_close(sim_world_t *world)
{
    if (world->crowd) {
        sim_crowd_close(world);
    }

    free(world->users);
}


void
sim_run(sim_world_t *world, sim_run_t *run)
{
    uint64_t                   before;
    const sim_row_t           *row;
    ngx_http_gray_outcomes_t   outcomes;

    row = world->row;

    memset(&world->state, 0, sizeof(world->state));
    memset(world->sample, 0, sizeof(world->sample));
    memset(world->times, 0, sizeof(world->times));
    memset(world->hung, 0, sizeof(world->hung));

    world->weight = 0;
    world->revision = 1;
    world->now = 0;
    world->users->n = 0;

    sim_plan(world);

    if (world->crowd) {
        sim_crowd_begin(world);
    }

    run->ours = INFINITY;
    run->peeking = INFINITY;
    run->flagger = sim_flagger(row, world->random);

    before = 0;

    sim_tick(world, &outcomes, 1);

    while (world->now < row->seconds) {
        sim_traffic(world);

        world->now++;

        if (run->peeking == INFINITY
            && sim_peek(&world->sample[1], &world->sample[0]))
        {
            run->peeking = world->now - row->since;
        }

        if (world->now <= row->since) {
            before = world->sample[1].bad[ABSOLUTE];
        }

        sim_tick(world, &outcomes, 0);

        if (sim_over(world, run)) {
            break;
        }
    }

    run->promoted = (world->state.stage == NGX_HTTP_GRAY_STAGE_SUCCEEDED);
    run->served = (double) (world->sample[1].bad[ABSOLUTE] - before);
}


/* the guard of the split pauses, and so does a filter of keys that is full */

static ngx_uint_t
sim_over(sim_world_t *world, sim_run_t *run)
{
    ngx_uint_t  paused;

    paused = (world->state.stage == NGX_HTTP_GRAY_STAGE_PAUSED);

    if (world->state.stage == NGX_HTTP_GRAY_STAGE_ROLLED_BACK
        || (world->crowd && paused))
    {
        run->ours = world->now - world->row->since;
        return 1;
    }

    return !ngx_http_gray_stage_active(&world->state)
           || (world->max_hold > 0 && paused);
}


/*
 * A tick of the module, and a document that becomes what it wishes for; it is
 * looked at once more at once.
 */

static void
sim_tick(sim_world_t *world, ngx_http_gray_outcomes_t *outcomes,
    ngx_uint_t start)
{
    ngx_http_gray_world_t  seen;

    memset(&seen, 0, sizeof(seen));

    seen.now = (uint64_t) (world->now * 1000) + 1000;
    seen.time = (int64_t) world->now;
    seen.enabled = 1;
    seen.testers = "";
    seen.canary = &world->sample[1];
    seen.baseline = &world->sample[0];
    seen.times = world->times;

    sim_document(world, &seen);

    if (start) {
        (void) ngx_http_gray_stage_command(&world->plan, &world->state, &seen,
                                           NGX_HTTP_GRAY_STAGE_START, "sim",
                                           outcomes);
    } else {
        ngx_http_gray_stage_tick(&world->plan, &world->state, &seen, outcomes);
    }

    if (world->state.wish != NGX_HTTP_GRAY_WISH_NONE) {
        world->weight = world->state.weight;
        world->revision++;

        sim_document(world, &seen);

        ngx_http_gray_stage_tick(&world->plan, &world->state, &seen, outcomes);
    }

    if (world->crowd) {
        sim_crowd_steer(world, outcomes);
    }
}


static void
sim_document(sim_world_t *world, ngx_http_gray_world_t *seen)
{
    seen->revision = world->revision;
    seen->weight = world->weight;
    seen->rest = SIM_ALL - world->weight;

    if (world->crowd) {
        seen->rest -= sim_crowd_third(world);
        seen->filled = sim_crowd_filled(world);
    }
}


static void
sim_plan(sim_world_t *world)
{
    ngx_uint_t             i, k;
    const sim_row_t       *row;
    ngx_http_gray_plan_t  *plan;

    static const double  quantiles[] = { 0.5, 0.9, 0.99 };

    row = world->row;
    plan = &world->plan;

    memset(plan, 0, sizeof(ngx_http_gray_plan_t));
    strcpy(plan->variant, "canary");

    plan->id = 1;
    plan->key = (row->users != 0);
    plan->alpha = 0.01;
    plan->detect_ratio = 3;
    plan->info_nats = row->info;
    plan->cooldown = 600000;
    plan->on_inconclusive = NGX_HTTP_GRAY_PLAN_PAUSE;
    plan->on_success = NGX_HTTP_GRAY_PLAN_KEEP;

    for (i = 0; i < SIM_STEPS && row->step[i] > 0; i++) {
        plan->step[i].percent = row->step[i];
        plan->step[i].weight = (uint32_t) (row->step[i] * SIM_ALL / 100);
        plan->step[i].hold = row->hold ? (uint64_t) (row->hold * 1000)
                                       : UINT64_MAX;
        plan->step[i].max_hold = world->max_hold
                                 ? (uint64_t) (world->max_hold * 1000)
                                 : UINT64_MAX;
        plan->step[i].min_requests = world->min_requests;
        plan->step[i].warmup = 10000;
    }

    plan->steps = i;

    sim_guard(plan, "errors", NGX_HTTP_GRAY_GUARD_RELATIVE, 1);
    plan->guard[0].max_ratio = row->ratio;
    plan->guard[0].floor = row->floor;

    sim_guard(plan, "errors_abs", NGX_HTTP_GRAY_GUARD_ABSOLUTE, 1);
    plan->guard[1].max = 0.05;
    plan->guard[1].baseline_bad = 1;

    if (row->guards > 2) {
        sim_guard(plan, "latency", NGX_HTTP_GRAY_GUARD_LATENCY, 3);
        plan->guard[2].max_ratio = 1.1;
        plan->guard[2].min_delta = 5;

        for (k = 0; k < 3; k++) {
            plan->guard[2].quantile[k] = quantiles[k];
        }
    }

    if (row->users >= SIM_CROWD) {
        sim_guard(plan, "split", NGX_HTTP_GRAY_GUARD_SHARE, 1);
        plan->guard[plan->guards - 1].action = NGX_HTTP_GRAY_PLAN_PAUSE;
        plan->split = 1;
    }
}


static void
sim_guard(ngx_http_gray_plan_t *plan, const char *name,
    ngx_http_gray_guard_e kind, ngx_uint_t watches)
{
    ngx_http_gray_guard_t  *guard;

    guard = &plan->guard[plan->guards++];

    strcpy(guard->name, name);
    guard->kind = kind;
    guard->action = NGX_HTTP_GRAY_PLAN_ROLLBACK;
    guard->watch = plan->watches;
    guard->watches = watches;

    plan->watches += watches;
}


const sim_phase_t *
sim_phase(const sim_row_t *row, double now)
{
    ngx_uint_t  i;

    for (i = SIM_PHASES - 1; i > 0; i--) {
        if (row->phase[i].from > 0 && now >= row->phase[i].from) {
            break;
        }
    }

    return &row->phase[i];
}


/* a second of it */

static void
sim_traffic(sim_world_t *world)
{
    const sim_phase_t  *phase;

    phase = sim_phase(world->row, world->now);

    if (world->crowd) {
        sim_crowd(world, phase);
        return;
    }

    if (world->row->users) {
        sim_users(world, phase);
        return;
    }

    if (world->row->hang > 0) {
        sim_hung(world, phase);
        return;
    }

    sim_requests(world, phase);
}


static void
sim_requests(sim_world_t *world, const sim_phase_t *phase)
{
    double      rate, bad;
    uint64_t    n;
    ngx_uint_t  arm;

    for (arm = 0; arm < 2; arm++) {
        rate = world->row->rate
               * (arm ? world->weight : SIM_ALL - world->weight) / SIM_ALL;
        bad = arm ? phase->canary : phase->baseline;

        sim_bad(world, arm, random_poisson(world->random, rate * bad),
                world->revision);

        if (world->row->times.median > 0) {
            sim_timed(world, arm, rate * (1 - bad));
            continue;
        }

        n = random_poisson(world->random, rate * (1 - bad));
        world->sample[arm].step += n;
        world->sample[arm].all += n;
    }
}


/* bad ones hang, and end later */

static void
sim_hung(sim_world_t *world, const sim_phase_t *phase)
{
    double      rate, bad;
    uint64_t    n;
    ngx_uint_t  arm, i;

    i = (ngx_uint_t) world->now % (ngx_uint_t) world->row->hang;

    for (arm = 0; arm < 2; arm++) {
        rate = world->row->rate
               * (arm ? world->weight : SIM_ALL - world->weight) / SIM_ALL;
        bad = arm ? phase->canary : phase->baseline;

        sim_bad(world, arm, world->hung[i][arm], world->by[i]);

        n = random_poisson(world->random, rate * (1 - bad));
        world->sample[arm].step += n;
        world->sample[arm].all += n;

        world->hung[i][arm] = random_poisson(world->random, rate * bad);
    }

    world->by[i] = world->revision;
}


/* "n" requests end that were bad, and were decided by a revision */

static void
sim_bad(sim_world_t *world, ngx_uint_t arm, uint64_t n, uint64_t revision)
{
    ngx_http_gray_sample_t  *sample;

    sample = &world->sample[arm];

    sample->all += n;
    sample->bad[ABSOLUTE] += n;

    if (revision >= world->state.from || sim_broken()->late) {
        sample->step += n;
        sample->bad[RELATIVE] += n;
    }
}


/* requests by the time that they take; limits are edges of buckets */

static void
sim_timed(sim_world_t *world, ngx_uint_t arm, double rate)
{
    uint64_t                 n, edge;
    ngx_uint_t               i, k;
    ngx_http_gray_sample_t  *sample;

    sample = &world->sample[arm];

    for (i = 0; i < NGX_HTTP_GRAY_HISTOGRAM; i++) {

        if (world->part[arm][i] == 0) {
            continue;
        }

        n = random_poisson(world->random, rate * world->part[arm][i]);

        if (n == 0) {
            continue;
        }

        sample->step += n;
        sample->all += n;
        sample->step_timed += n;
        sample->all_timed += n;

        edge = ngx_http_gray_histogram_edge(i);

        for (k = 0; k < 3; k++) {
            if (edge > world->state.guards.limit[LATENCY + k][arm]) {
                sample->bad[LATENCY + k] += n;
            }
        }

        if (arm == 0) {
            world->times[i] += n;
        }
    }
}


/*
 * The part of times in each bucket.  A time is a difference of two readings of
 * a clock of milliseconds, so that it is one or the other of two whole numbers.
 */

static void
sim_times(sim_world_t *world, ngx_uint_t arm)
{
    double              ms, p, low, weight[2], more[2];
    ngx_uint_t          i, k, n;
    const sim_times_t  *t;

    t = &world->row->times;
    n = 4000;

    memset(world->part[arm], 0, sizeof(world->part[arm]));

    weight[0] = (arm && t->part > 0) ? 1 - t->part : 1;
    weight[1] = 1 - weight[0];
    more[0] = 0;
    more[1] = t->by;

    for (i = 0; i < n; i++) {
        p = ((double) i + 0.5) / (double) n;

        for (k = 0; k < 2; k++) {
            ms = t->median * exp(t->sigma * sim_normal(p))
                 * ((arm && t->slower > 0) ? t->slower : 1) + more[k];
            low = floor(ms);

            world->part[arm][ngx_http_gray_histogram_index((uint64_t) low)] +=
                                (1 - (ms - low)) * weight[k] / (double) n;
            world->part[arm][ngx_http_gray_histogram_index((uint64_t) low
                                                           + 1)] +=
                                (ms - low) * weight[k] / (double) n;
        }
    }
}


/* the quantile of the normal distribution, by bisection */

static double
sim_normal(double p)
{
    double      low, high, x;
    ngx_uint_t  i;

    low = -10;
    high = 10;

    for (i = 0; i < 60; i++) {
        x = (low + high) / 2;

        if (0.5 * erfc(-x / sqrt(2)) < p) {
            low = x;
        } else {
            high = x;
        }
    }

    return (low + high) / 2;
}


/* users come, and send a request each second; of some all of these are bad */

static void
sim_users(sim_world_t *world, const sim_phase_t *phase)
{
    uint64_t      n;
    ngx_uint_t    i;
    sim_user_t   *user;
    sim_users_t  *users;

    users = world->users;

    n = random_poisson(world->random,
                       world->row->rate / ((1 + SIM_LONGEST) / 2.0));

    while (n-- && users->n < SIM_USERS) {
        user = &users->user[users->n++];

        user->bucket = (uint32_t) (random_part(world->random) * SIM_ALL);
        user->left = 1 + (uint32_t) (random_part(world->random) * SIM_LONGEST);
        user->bad = random_part(world->random) < phase->baseline;
        user->counted = 0;
    }

    for (i = 0; i < users->n; /* void */) {
        sim_user(world, &users->user[i]);

        if (users->user[i].left == 0) {
            users->user[i] = users->user[--users->n];
        } else {
            i++;
        }
    }
}


static void
sim_user(sim_world_t *world, sim_user_t *user)
{
    ngx_http_gray_sample_t  *sample;

    sample = &world->sample[user->bucket < world->weight];

    user->left--;
    sample->step++;
    sample->all++;

    if (user->bad && (!user->counted || sim_broken()->keys)) {
        user->counted = 1;
        sample->bad[RELATIVE]++;
        sample->bad[ABSOLUTE]++;
    }
}
