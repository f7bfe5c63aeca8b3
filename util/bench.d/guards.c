
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * guards CASE N
 *
 * N times what CASE says: a tick of all guards of a rollout, or a request that
 * is counted for them.  Called by util/bench-guards, alone and under callgrind.
 */


#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ngx_http_gray_trial.h"


#define WORKERS  4


typedef struct {
    const char  *name;
    ngx_uint_t   tick;             /* not a request */
    ngx_uint_t   key;              /* is the unit */
    ngx_uint_t   many;             /* eight guards, not those by default */
    ngx_uint_t   bad;              /* 1: bad; 2: and its key is another one
                                      each time */
} case_t;


static const case_t  cases[] = {
    { "tick", 1, 1, 0, 0 },
    { "tick-8", 1, 1, 1, 0 },
    { "request-good", 0, 0, 0, 0 },
    { "request-good-8", 0, 0, 1, 0 },
    { "request-bad", 0, 0, 0, 1 },
    { "request-bad-8", 0, 0, 1, 1 },
    { "good", 0, 1, 0, 0 },
    { "good-8", 0, 1, 1, 0 },
    { "bad", 0, 1, 0, 1 },
    { "bad-new", 0, 1, 0, 2 },
    { "bad-8", 0, 1, 1, 1 },
    { "bad-8-new", 0, 1, 1, 2 },
    { NULL, 0, 0, 0, 0 }
};


static ngx_http_gray_guard_t *
add(ngx_http_gray_plan_t *plan, ngx_http_gray_guard_e kind,
    ngx_uint_t watches)
{
    ngx_http_gray_guard_t  *guard;

    guard = &plan->guard[plan->guards++];

    guard->kind = kind;
    guard->action = NGX_HTTP_GRAY_PLAN_ROLLBACK;
    guard->watch = plan->watches;
    guard->watches = watches;
    guard->bad = (kind <= NGX_HTTP_GRAY_GUARD_ABSOLUTE)
                 ? 1 << NGX_HTTP_GRAY_5XX : 0;
    guard->max_ratio = 1.25;
    guard->floor = 0.0005;
    guard->max = 0.05;
    guard->min_delta = 5;
    guard->slower = 500;
    guard->quantile[0] = 0.5;
    guard->quantile[1] = 0.9;
    guard->quantile[2] = 0.99;

    plan->watches += watches;
    plan->bad |= guard->bad;
    plan->split |= (kind == NGX_HTTP_GRAY_GUARD_SHARE);

    return guard;
}


static void
make_plan(ngx_http_gray_plan_t *plan, ngx_uint_t key, ngx_uint_t many)
{
    plan->id = 1;
    plan->key = key;
    plan->alpha = 0.01;
    plan->detect_ratio = 3;
    plan->info_nats = 16;

    (void) add(plan, NGX_HTTP_GRAY_GUARD_RELATIVE, 1);
    add(plan, NGX_HTTP_GRAY_GUARD_ABSOLUTE, 1)->baseline_bad = 1;
    (void) add(plan, NGX_HTTP_GRAY_GUARD_LATENCY, 3);

    if (!many) {
        return;
    }

    (void) add(plan, NGX_HTTP_GRAY_GUARD_LATENCY, 3);
    (void) add(plan, NGX_HTTP_GRAY_GUARD_SLOW, 1);
    (void) add(plan, NGX_HTTP_GRAY_GUARD_SHARE, 1);
    add(plan, NGX_HTTP_GRAY_GUARD_RELATIVE, 1)->bad
                                             = 1 << NGX_HTTP_GRAY_4XX;
    (void) add(plan, NGX_HTTP_GRAY_GUARD_RELATIVE, 1);
}


/* a thousand requests a second, one of a hundred bad on both arms */

static void
ticks(const ngx_http_gray_plan_t *plan, uint64_t n)
{
    uint64_t                         i, w;
    uint64_t                         times[NGX_HTTP_GRAY_HISTOGRAM];
    ngx_http_gray_sample_t           canary, baseline;
    ngx_http_gray_guards_t           guards;
    ngx_http_gray_guards_tick_t      tick;
    ngx_http_gray_guards_verdict_t   verdict;

    ngx_memzero(times, sizeof(times));
    ngx_memzero(&canary, sizeof(canary));
    ngx_memzero(&baseline, sizeof(baseline));

    tick.canary = &canary;
    tick.baseline = &baseline;
    tick.times = times;
    tick.seconds = 1;
    tick.share = 0.05;
    tick.moved = 0;
    tick.warm = 1;

    ngx_http_gray_guards_begin(&guards, &tick);

    for (i = 0; i < n; i++) {
        canary.step += 50;
        canary.all += 50;
        canary.step_timed += 50;
        canary.all_timed += 50;
        canary.keys += 2;
        baseline.step += 950;
        baseline.all += 950;
        baseline.step_timed += 950;
        baseline.all_timed += 950;
        baseline.keys += 38;

        for (w = 0; w < plan->watches; w++) {
            canary.bad[w] += i & 1;
            baseline.bad[w] += 9;
        }

        for (w = 30; w < 50; w++) {
            times[w] += 50;
        }

        ngx_http_gray_guards_tick(plan, &guards, &tick, &verdict);
    }
}


static void
requests(const ngx_http_gray_plan_t *plan, uint64_t n, ngx_uint_t bad)
{
    uint64_t                        i, w;
    ngx_http_gray_trial_t          *trial;
    ngx_http_gray_state_t           state;
    ngx_http_gray_outcomes_t        outcomes;
    ngx_http_gray_trial_request_t   request;

    trial = calloc(1, ngx_http_gray_trial_size(WORKERS, 1));

    if (trial == NULL) {
        exit(1);
    }

    ngx_http_gray_trial_init(trial, WORKERS, 1);

    ngx_memzero(&state, sizeof(state));
    ngx_memzero(&outcomes, sizeof(outcomes));

    state.stage = NGX_HTTP_GRAY_STAGE_RUNNING;
    state.plan = plan->id;
    state.from = 1;

    for (w = 0; w < NGX_HTTP_GRAY_PLAN_WATCHES; w++) {
        state.guards.limit[w][0] = (w < 2) ? NGX_HTTP_GRAY_GUARDS_NEVER : 100;
        state.guards.limit[w][1] = (w < 2) ? NGX_HTTP_GRAY_GUARDS_NEVER : 120;
    }

    ngx_http_gray_trial_write_locked(trial, &state, &outcomes);

    request.arm = NGX_HTTP_GRAY_TRIAL_CANARY;
    request.drawn = 1;
    request.revision = 1;
    request.code = bad ? NGX_HTTP_GRAY_5XX : NGX_HTTP_GRAY_2XX;
    request.header = 10;
    request.hash = 0x9e3779b97f4a7c15;

    for (i = 0; i < n; i++) {
        request.hash += (bad == 2);
        ngx_http_gray_trial_count(trial, plan, 1, &request);
    }

    free(trial);
}


int
main(int argc, char **argv)
{
    uint64_t               n;
    const case_t          *c;
    struct timespec        from, to;
    ngx_http_gray_plan_t   plan;

    for (c = cases; argc == 3 && c->name; c++) {
        if (ngx_strcmp(argv[1], c->name) == 0) {
            break;
        }
    }

    if (argc != 3 || c->name == NULL) {
        fprintf(stderr, "guards CASE N\n");
        return 2;
    }

    n = strtoull(argv[2], NULL, 10);

    ngx_memzero(&plan, sizeof(plan));
    make_plan(&plan, c->key, c->many);

    (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);

    if (c->tick) {
        ticks(&plan, n);

    } else {
        requests(&plan, n, c->bad);
    }

    (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);

    printf("%.4f\n", ((double) (to.tv_sec - from.tv_sec) * 1e6
                      + (double) (to.tv_nsec - from.tv_nsec) / 1e3)
                     / (double) n);

    return 0;
}
