
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Guards: what they count, what they say, when they act, and what they have to
 * know before a step.
 */


#include "rollout.h"

#include <math.h>


typedef struct {
    ngx_http_gray_plan_t             plan;
    ngx_http_gray_guards_t           guards;
    ngx_http_gray_sample_t           canary;
    ngx_http_gray_sample_t           baseline;
    uint64_t                         times[NGX_HTTP_GRAY_HISTOGRAM];
    ngx_http_gray_guards_tick_t      tick;
    ngx_http_gray_guards_verdict_t   verdict;
} guarded_t;


/* a guard whose counts and evidence are given, and what it says then */

typedef struct {
    ngx_http_gray_guard_e    kind;
    ngx_http_gray_seen_t     seen;
    double                   e;
    const char              *text;
} text_t;


static void begin(guarded_t *g);
static void pass(guarded_t *g, uint64_t canary, uint64_t baseline,
    uint64_t bad_canary, uint64_t bad_baseline);
static void set_evidence(ngx_http_gray_guards_t *guards, ngx_uint_t watch,
    double e);
static void assert_close(double found, double expected);


/* an alpha of 0.01, and two guards: 200 is needed of each */

static const text_t  texts[] = {

    { NGX_HTTP_GRAY_GUARD_RELATIVE, { 1480, 28110, 41, 283 }, 412,
      "guard: canary 41 of 1480 (2.8%), baseline 283 of 28110 (1.0%), 2.75 "
      "times, limit 1.25, evidence 412 of 200 needed" },

    { NGX_HTTP_GRAY_GUARD_RELATIVE, { 0, 0, 0, 0 }, 1,
      "guard: canary 0 of 0 (none), baseline 0 of 0 (none), limit 1.25, "
      "evidence 1.0 of 200 needed" },

    { NGX_HTTP_GRAY_GUARD_RELATIVE, { 10, 100, 3, 0 }, 9.99,
      "guard: canary 3 of 10 (30.0%), baseline 0 of 100 (0.0%), limit 1.25, "
      "evidence 10.0 of 200 needed" },

    { NGX_HTTP_GRAY_GUARD_RELATIVE, { 10, 100000, 10, 1 }, 1e9,
      "guard: canary 10 of 10 (100.0%), baseline 1 of 100000 (0.001%), 100000 "
      "times, limit 1.25, evidence over 485165195 of 200 needed" },

    { NGX_HTTP_GRAY_GUARD_RELATIVE, { 1000, 1000, 1, 1000 }, 0.01,
      "guard: canary 1 of 1000 (0.1%), baseline 1000 of 1000 (100.0%), 0.00 "
      "times, limit 1.25, evidence 0.0 of 200 needed" },

    { NGX_HTTP_GRAY_GUARD_ABSOLUTE, { 200, 5000, 19, 7 }, 250,
      "guard: canary 19 of 200 (9.5%), limit 5%, evidence 250 of 200 needed" },

    { NGX_HTTP_GRAY_GUARD_ABSOLUTE, { 0, 5000, 0, 7 }, 1,
      "guard: canary 0 of 0 (none), limit 5%, evidence 1.0 of 200 needed" },

    { NGX_HTTP_GRAY_GUARD_SLOW, { 200, 5000, 19, 7 }, 199.4,
      "guard: canary 19 of 200 (9.5%) slower than 500 ms, limit 1%, evidence "
      "199 of 200 needed" },

    { NGX_HTTP_GRAY_GUARD_LATENCY, { 1000, 9000, 731, 897 }, 213,
      "guard: canary 731 of 1000 (73.1%) slower than 13 ms, baseline 897 of "
      "9000 (10.0%) slower than 7 ms (p90), evidence 71 of 200 needed" },

    { NGX_HTTP_GRAY_GUARD_SHARE, { 700, 9300, 0, 0 }, 3.14,
      "guard: canary 700 of 10000 (7.0%), weights say 5%, evidence 3.1 of 200 "
      "needed" },

    { NGX_HTTP_GRAY_GUARD_SHARE, { 0, 0, 0, 0 }, 1,
      "guard: canary 0 of 0 (none), weights say 5%, evidence 1.0 of 200 "
      "needed" }
};


static void
test_texts(void **state)
{
    ngx_uint_t                 i, k, watch;
    guarded_t                  g;
    const text_t              *t;
    ngx_http_gray_standing_t   standing;

    for (i = 0; i < ITEMS(texts); i++) {
        t = &texts[i];

        plan_init(&g.plan);
        (void) add_guard(&g.plan, "other", NGX_HTTP_GRAY_GUARD_RELATIVE);
        (void) add_guard(&g.plan, "guard", t->kind);
        begin(&g);

        /* of latency it is the quantile that has most to say */

        for (k = 0; k < g.plan.guard[1].watches; k++) {
            watch = g.plan.guard[1].watch + k;
            g.guards.limit[watch][0] = 6 + k;
            g.guards.limit[watch][1] = 12 + k;
            set_evidence(&g.guards, watch, 0);
        }

        watch = g.plan.guard[1].watch + (g.plan.guard[1].watches > 1);
        g.guards.seen[watch] = t->seen;
        set_evidence(&g.guards, watch, t->e);

        ngx_http_gray_guards_standing(&g.plan, &g.guards, 1, 5, 20, &standing);

        assert_string_equal(standing.text, t->text);
        assert_memory_equal(&standing.seen, &t->seen, sizeof(t->seen));
        assert_close(standing.needed, log(200));
    }
}


/* E, at this very moment */

static void
set_evidence(ngx_http_gray_guards_t *guards, ngx_uint_t watch, double e)
{
    ngx_http_gray_evidence_init(&guards->evidence[watch]);

    guards->evidence[watch].rest = e;
}


/* names are as long as they may be, and so are numbers */

static void
test_long_text(void **state)
{
    ngx_uint_t                 kind;
    guarded_t                  g;
    ngx_http_gray_standing_t   standing;

    for (kind = 0; kind <= NGX_HTTP_GRAY_GUARD_SHARE; kind++) {
        plan_init(&g.plan);
        (void) add_guard(&g.plan, "012345678901234567890123456789012345678901"
                                  "234567890123456789012", kind);
        begin(&g);
        memset(g.guards.seen, 0xff, sizeof(g.guards.seen));
        g.guards.limit[0][0] = 0xfffffffe;
        g.guards.limit[0][1] = 0xfffffffe;

        ngx_http_gray_guards_standing(&g.plan, &g.guards, 0, 5, 20, &standing);

        assert_true(strlen(standing.text) < NGX_HTTP_GRAY_GUARDS_TEXT);
        assert_memory_equal(standing.text, g.plan.guard[0].name, 63);
    }
}


static void
begin(guarded_t *g)
{
    ngx_http_gray_plan_t  plan;

    plan = g->plan;
    memset(g, 0, sizeof(guarded_t));
    g->plan = plan;

    g->tick.canary = &g->canary;
    g->tick.baseline = &g->baseline;
    g->tick.times = g->times;
    g->tick.seconds = 1;
    g->tick.share = 0.05;
    g->tick.warm = 1;

    ngx_http_gray_guards_begin(&g->guards, &g->tick);
}


/* a second: bad ones are bad for each watch */

static void
pass(guarded_t *g, uint64_t canary, uint64_t baseline, uint64_t bad_canary,
    uint64_t bad_baseline)
{
    ngx_uint_t  i;

    g->canary.step += canary;
    g->canary.all += canary;
    g->canary.step_timed += canary;
    g->canary.all_timed += canary;
    g->baseline.step += baseline;
    g->baseline.all += baseline;
    g->baseline.step_timed += baseline;
    g->baseline.all_timed += baseline;

    for (i = 0; i < g->plan.watches; i++) {
        g->canary.bad[i] += bad_canary;
        g->baseline.bad[i] += bad_baseline;
    }

    ngx_http_gray_guards_tick(&g->plan, &g->guards, &g->tick, &g->verdict);
}


static void
assert_close(double found, double expected)
{
    if (!(fabs(found - expected) <= 1e-9 * ngx_max(1, fabs(expected)))) {
        fail_msg("%.17g, expected %.17g", found, expected);
    }
}


/* each kind by what is its own: of the step or all of it, timed or not, keys */

static void
test_counts(void **state)
{
    guarded_t             g;
    ngx_http_gray_seen_t  *seen;

    plan_init(&g.plan);
    (void) add_guard(&g.plan, "relative", NGX_HTTP_GRAY_GUARD_RELATIVE);
    (void) add_guard(&g.plan, "absolute", NGX_HTTP_GRAY_GUARD_ABSOLUTE);
    (void) add_guard(&g.plan, "slow", NGX_HTTP_GRAY_GUARD_SLOW);
    (void) add_guard(&g.plan, "share", NGX_HTTP_GRAY_GUARD_SHARE);
    begin(&g);

    g.canary.step = 10;
    g.canary.step_timed = 9;
    g.canary.all = 20;
    g.canary.all_timed = 18;
    g.canary.keys = 2;
    g.baseline.step = 100;
    g.baseline.step_timed = 90;
    g.baseline.all = 200;
    g.baseline.all_timed = 180;
    g.baseline.keys = 7;

    pass(&g, 0, 0, 0, 0);

    seen = g.guards.seen;
    assert_int_equal(seen[0].canary, 10);
    assert_int_equal(seen[0].baseline, 100);
    assert_int_equal(seen[1].canary, 20);
    assert_int_equal(seen[1].baseline, 200);
    assert_int_equal(seen[2].canary, 18);
    assert_int_equal(seen[2].baseline, 180);
    assert_int_equal(seen[3].canary, 10);
    assert_int_equal(seen[3].baseline, 100);

    g.plan.key = 1;
    begin(&g);
    g.canary.keys = 2;
    g.baseline.keys = 7;
    pass(&g, 0, 0, 0, 0);
    assert_int_equal(seen[3].canary, 2);
    assert_int_equal(seen[3].baseline, 7);
}


/* what the weights have given is told, and not what they would give now */

static void
test_due(void **state)
{
    guarded_t                 g;
    ngx_http_gray_standing_t  standing;

    plan_init(&g.plan);
    (void) add_guard(&g.plan, "split", NGX_HTTP_GRAY_GUARD_SHARE);
    begin(&g);

    pass(&g, 50, 950, 0, 0);
    g.tick.share = 0.5;
    pass(&g, 50, 50, 0, 0);

    ngx_http_gray_guards_standing(&g.plan, &g.guards, 0, 30, 100, &standing);

    assert_close(standing.value, 100 / 1100.0);
    assert_close(standing.limit, 100 / 1100.0);
}


/* what a request adds is seen in parts where a tick comes in between */

static void
test_between(void **state)
{
    guarded_t  g;

    plan_init(&g.plan);
    (void) add_guard(&g.plan, "absolute", NGX_HTTP_GRAY_GUARD_ABSOLUTE);
    begin(&g);

    pass(&g, 1, 1, 0, 0);
    pass(&g, 0, 0, 1, 1);

    assert_int_equal(g.guards.seen[0].canary, 2);
    assert_int_equal(g.guards.seen[0].bad_canary, 1);
    assert_true(isfinite(ngx_http_gray_evidence_value(&g.guards.evidence[0])));
}


/* counters that are made anew, whichever of them */

static void
test_fallen(void **state)
{
    size_t      i;
    guarded_t   g;
    uint64_t   *counters;

    counters = (uint64_t *) &g.canary;

    for (i = 0; i < sizeof(ngx_http_gray_sample_t) / sizeof(uint64_t); i++) {
        plan_init(&g.plan);
        (void) add_guard(&g.plan, "relative", NGX_HTTP_GRAY_GUARD_RELATIVE);
        begin(&g);
        g.canary.keys = 100;
        memset(g.canary.bad, 1, sizeof(g.canary.bad));
        ngx_http_gray_guards_begin(&g.guards, &g.tick);
        pass(&g, 1000, 1000, 0, 0);

        counters[i]--;
        pass(&g, 0, 50, 0, 50);
        assert_int_equal(g.guards.seen[0].baseline, 1000);
        assert_int_equal(g.guards.seen[0].bad_baseline, 0);

        pass(&g, 5, 5, 0, 0);
        assert_int_equal(g.guards.seen[0].baseline, 1005);
        assert_int_equal(g.guards.seen[0].canary, 1005);
    }

    begin(&g);
    pass(&g, 1000, 1000, 0, 0);
    memset(&g.baseline, 0, sizeof(g.baseline));
    pass(&g, 10, 10, 10, 0);
    assert_int_equal(g.guards.seen[0].canary, 1000);
    pass(&g, 10, 10, 0, 0);
    assert_int_equal(g.guards.seen[0].canary, 1010);
}


/* limits are known once enough is, by what was seen since it began */

static void
test_limits(void **state)
{
    guarded_t                 g;
    uint32_t                (*limit)[2];
    ngx_http_gray_standing_t  standing;

    plan_init(&g.plan);
    (void) add_guard(&g.plan, "latency", NGX_HTTP_GRAY_GUARD_LATENCY);
    (void) add_guard(&g.plan, "slow", NGX_HTTP_GRAY_GUARD_SLOW);
    begin(&g);

    limit = g.guards.limit;

    /* before it began all was much slower */

    g.times[ngx_http_gray_histogram_index(4000)] = 100000;
    ngx_http_gray_guards_begin(&g.guards, &g.tick);

    /* of 999 there are less than ten beyond the 99th */

    g.times[ngx_http_gray_histogram_index(7)] = 499;
    g.times[ngx_http_gray_histogram_index(100)] = 500;
    pass(&g, 50, 950, 50, 950);
    assert_int_equal(limit[0][0], 107);
    assert_int_equal(limit[1][0], 107);
    assert_int_equal(limit[2][0], NGX_HTTP_GRAY_GUARDS_NEVER);
    assert_int_equal(limit[2][1], NGX_HTTP_GRAY_GUARDS_NEVER);
    assert_int_equal(limit[3][0], 500);
    assert_int_equal(limit[3][1], 500);

    /* what was counted without a limit is nothing */

    assert_int_equal(g.guards.seen[0].canary, 0);
    assert_int_equal(g.guards.seen[2].canary, 0);
    ngx_http_gray_guards_standing(&g.plan, &g.guards, 0, 5, 20, &standing);
    assert_int_equal(standing.seconds, 0);

    /* min_delta, and max_ratio, each to an edge */

    g.times[ngx_http_gray_histogram_index(7)] += 2;
    pass(&g, 50, 950, 0, 0);
    assert_int_equal(limit[0][0], 7);
    assert_int_equal(limit[0][1],
                     ngx_http_gray_histogram_edge(
                                       ngx_http_gray_histogram_index(12)));
    assert_true(limit[0][1] >= 12 && limit[0][1] < 14);
    assert_int_equal(limit[1][0], 107);
    assert_true(limit[1][1] >= 118 && limit[1][1] < 130);
    assert_int_equal(limit[2][0], 107);

    pass(&g, 50, 950, 10, 100);
    assert_int_equal(g.guards.seen[2].canary, 50);
    assert_int_equal(g.guards.seen[2].bad_canary, 10);

    /* times that are counted anew, after a restart, are all there are */

    memset(g.times, 0, sizeof(g.times));
    g.times[ngx_http_gray_histogram_index(1)] = 1000;
    pass(&g, 50, 950, 0, 0);
    assert_int_equal(limit[0][0], 1);
    assert_int_equal(limit[2][0], 1);

    /* slower than anything is no limit */

    memset(&g.guards.times, 0, sizeof(g.guards.times));
    memset(g.times, 0, sizeof(g.times));
    g.times[NGX_HTTP_GRAY_HISTOGRAM - 1] = 1000;
    pass(&g, 50, 950, 0, 0);
    assert_int_equal(limit[0][0], NGX_HTTP_GRAY_GUARDS_NEVER);
    assert_int_equal(limit[0][1], NGX_HTTP_GRAY_GUARDS_NEVER);
}


/* a warmup is left out of times, and of nothing else */

static void
test_warmup(void **state)
{
    guarded_t  g;

    plan_init(&g.plan);
    (void) add_guard(&g.plan, "latency", NGX_HTTP_GRAY_GUARD_LATENCY);
    (void) add_guard(&g.plan, "slow", NGX_HTTP_GRAY_GUARD_SLOW);
    (void) add_guard(&g.plan, "errors", NGX_HTTP_GRAY_GUARD_RELATIVE);
    (void) add_guard(&g.plan, "errors_abs", NGX_HTTP_GRAY_GUARD_ABSOLUTE);
    begin(&g);

    g.times[1] = 2000;
    pass(&g, 50, 950, 0, 0);

    g.tick.warm = 0;
    pass(&g, 50, 950, 50, 0);
    assert_int_equal(g.guards.seen[0].canary, 0);
    assert_int_equal(g.guards.seen[3].canary, 50);
    assert_int_equal(g.guards.seen[3].bad_canary, 0);
    assert_int_equal(g.guards.seen[4].canary, 100);
    assert_int_equal(g.guards.seen[4].bad_canary, 50);
    assert_int_equal(g.guards.seen[5].canary, 100);
    assert_int_equal(g.guards.seen[5].bad_canary, 50);

    g.tick.warm = 1;
    pass(&g, 50, 950, 5, 0);
    assert_int_equal(g.guards.seen[0].bad_canary, 5);
    assert_int_equal(g.guards.seen[3].bad_canary, 5);
}


/* the limits say how much slower it may be: no more are slow, and no floor */

static void
test_slow(void **state)
{
    guarded_t                         g;
    ngx_http_gray_evidence_t          one;
    ngx_http_gray_evidence_counts_t   counts;

    plan_init(&g.plan);
    (void) add_guard(&g.plan, "latency", NGX_HTTP_GRAY_GUARD_LATENCY);
    begin(&g);

    g.times[1] = 2000;
    pass(&g, 0, 0, 0, 0);
    pass(&g, 50, 950, 30, 475);

    counts.canary = 0;
    counts.baseline = 0;
    counts.bad_canary = 0;
    counts.bad_baseline = 0;
    counts.share = -1;

    ngx_http_gray_evidence_init(&one);
    (void) ngx_http_gray_evidence_relative(&one, &counts, 1, 0, 0);

    counts.canary = 50;
    counts.baseline = 950;
    counts.bad_canary = 30;
    counts.bad_baseline = 475;

    assert_close(ngx_http_gray_evidence_value(&g.guards.evidence[0]),
                 ngx_http_gray_evidence_relative(&one, &counts, 1, 0, 0));
}


/* alpha is split, and the quantiles of latency are one guard */

static void
test_fires(void **state)
{
    guarded_t  g;

    plan_init(&g.plan);
    (void) add_guard(&g.plan, "one", NGX_HTTP_GRAY_GUARD_LATENCY);
    (void) add_guard(&g.plan, "two", NGX_HTTP_GRAY_GUARD_RELATIVE);
    begin(&g);

    /* 200 is needed: of the mean */

    set_evidence(&g.guards, 1, 599 - 2);
    set_evidence(&g.guards, 0, 1);
    set_evidence(&g.guards, 2, 1);
    g.guards.evidence[0].ticks = g.guards.evidence[1].ticks = 1;

    assert_true(ngx_http_gray_evidence_value(&g.guards.evidence[1])
                < log(600));

    pass(&g, 0, 0, 0, 0);
    assert_int_equal(g.verdict.fired, 0);

    /* one that has been overwhelmed and then not stays a number */

    g.guards.evidence[1].m[0] = 600;
    g.guards.evidence[1].scale = 0;
    pass(&g, 0, 0, 0, 0);
    assert_int_equal(g.verdict.fired, 1);
    assert_int_equal(g.verdict.guard, 0);
    assert_int_equal(g.verdict.action, NGX_HTTP_GRAY_PLAN_ROLLBACK);
}


/* rollback goes before pause, and what has most to say before the rest */

static void
test_priority(void **state)
{
    guarded_t  g;

    plan_init(&g.plan);
    (void) add_guard(&g.plan, "a", NGX_HTTP_GRAY_GUARD_RELATIVE);
    (void) add_guard(&g.plan, "b", NGX_HTTP_GRAY_GUARD_RELATIVE);
    (void) add_guard(&g.plan, "c", NGX_HTTP_GRAY_GUARD_RELATIVE);
    g.plan.guard[0].action = NGX_HTTP_GRAY_PLAN_PAUSE;
    begin(&g);

    g.guards.evidence[0].m[0] = 1e9;
    g.guards.evidence[1].m[0] = 1e4;
    g.guards.evidence[2].m[0] = 1e5;
    pass(&g, 0, 0, 0, 0);
    assert_int_equal(g.verdict.fired, 1);
    assert_int_equal(g.verdict.guard, 2);
    assert_int_equal(g.verdict.action, NGX_HTTP_GRAY_PLAN_ROLLBACK);
}


/*
 * The baseline is bad, too: at once, however long it was good, and with so much
 * traffic that the first tick decides.
 */

static void
test_both(void **state)
{
    ngx_uint_t  i;
    guarded_t   g;

    plan_init(&g.plan);
    (void) add_guard(&g.plan, "one", NGX_HTTP_GRAY_GUARD_ABSOLUTE);
    (void) add_guard(&g.plan, "two", NGX_HTTP_GRAY_GUARD_ABSOLUTE);
    g.plan.guard[1].max = 0.02;
    begin(&g);

    for (i = 0; i < 20; i++) {
        pass(&g, 50, 50, 0, 0);
    }

    pass(&g, 50, 50, 25, 25);

    assert_int_equal(g.verdict.fired, 1);
    assert_int_equal(g.verdict.both, 1);
    assert_int_equal(g.verdict.action, NGX_HTTP_GRAY_PLAN_PAUSE);

    assert_int_equal(g.verdict.incident, 3);

    ngx_http_gray_guards_forgive(&g.plan, &g.guards, &g.verdict);
    assert_close(ngx_http_gray_evidence_value(&g.guards.evidence[0]), 0);
    assert_close(ngx_http_gray_evidence_value(&g.guards.evidence[1]), 0);

    /* at 100 percent there is no other arm to compare with */

    g.tick.share = 1;

    do {
        pass(&g, 50, 50, 25, 25);
    } while (!g.verdict.fired);

    assert_int_equal(g.verdict.both, 0);
    assert_int_equal(g.verdict.incident, 0);
    assert_int_equal(g.verdict.action, NGX_HTTP_GRAY_PLAN_ROLLBACK);
}


/* an incident of two minutes ago, and one or two bad ones, are none */

static void
test_not_both(void **state)
{
    ngx_uint_t  i;
    guarded_t   g;

    plan_init(&g.plan);
    (void) add_guard(&g.plan, "one", NGX_HTTP_GRAY_GUARD_ABSOLUTE);
    begin(&g);

    for (i = 0; i < 10; i++) {
        pass(&g, 0, 50, 0, 50);
    }

    for (i = 0; i < 120; i++) {
        pass(&g, 50, 50, 0, 0);
        assert_int_equal(g.verdict.fired, 0);
    }

    do {
        pass(&g, 50, 50, 25, 0);
    } while (!g.verdict.fired);

    assert_int_equal(g.verdict.both, 0);

    begin(&g);
    pass(&g, 0, 2, 0, 2);

    do {
        pass(&g, 50, 0, 25, 0);
    } while (!g.verdict.fired);

    assert_int_equal(g.verdict.both, 0);
}


/* at 5 a step to 20 asks for a fifth of it, and so on */

static void
test_enough(void **state)
{
    ngx_uint_t                 i;
    guarded_t                  g;
    ngx_http_gray_standing_t   standing;

    static const struct {
        double  percent;
        double  next;
        double  needed[3];
    } steps[] = {
        { 0, 5, { 0, 0, 0 } },
        { 0, 100, { 0, 0, 0 } },
        { 5, 20, { 3.2, 3.2, 0 } },
        { 5, 100, { 16, 16, 0 } },
        { 20, 5, { 0, 0, 0 } },
        { 20, 20, { 0, 0, 0 } },
        { 60, 100, { 16, 16, 0 } },
        { 100, 50, { 0, 0, 0 } },
        { 100, 100, { 0, 16, 0 } }
    };

    plan_init(&g.plan);
    (void) add_guard(&g.plan, "relative", NGX_HTTP_GRAY_GUARD_RELATIVE);
    (void) add_guard(&g.plan, "absolute", NGX_HTTP_GRAY_GUARD_ABSOLUTE);
    (void) add_guard(&g.plan, "latency", NGX_HTTP_GRAY_GUARD_LATENCY);
    begin(&g);

    for (i = 0; i < ITEMS(steps) * 3; i++) {
        ngx_http_gray_guards_standing(&g.plan, &g.guards, i % 3,
                                      steps[i / 3].percent, steps[i / 3].next,
                                      &standing);
        assert_close(standing.info_needed, steps[i / 3].needed[i % 3]);
        assert_int_equal(standing.seconds,
                         steps[i / 3].needed[i % 3] > 0 ? -1 : 0);
    }

    g.guards.known[0].info = 3.19;
    g.guards.known[1].info = 3.2;
    assert_int_equal(ngx_http_gray_guards_enough(&g.plan, &g.guards, 5, 20),
                     0);
    g.guards.known[0].info = 3.2;
    assert_int_equal(ngx_http_gray_guards_enough(&g.plan, &g.guards, 5, 20),
                     1);
    assert_int_equal(ngx_http_gray_guards_enough(&g.plan, &g.guards, 5, 40),
                     0);

    /* what is known is put away with the evidence */

    ngx_http_gray_guards_afresh(&g.guards);
    assert_int_equal(ngx_http_gray_guards_enough(&g.plan, &g.guards, 5, 20),
                     0);

    g.plan.info_nats = 0;
    assert_int_equal(ngx_http_gray_guards_enough(&g.plan, &g.guards, 5, 100),
                     1);
}


/*
 * Information is as it is defined, and the time that is left is what it takes
 * at the pace of late: with traffic as before it comes true.
 */

static void
test_info(void **state)
{
    double                     w, q, theta, rho, r, p, info, before;
    ngx_uint_t                 i;
    guarded_t                  g;
    ngx_http_gray_standing_t   standing;

    plan_init(&g.plan);
    (void) add_guard(&g.plan, "relative", NGX_HTTP_GRAY_GUARD_RELATIVE);
    (void) add_guard(&g.plan, "absolute", NGX_HTTP_GRAY_GUARD_ABSOLUTE);
    begin(&g);

    r = 1.25;
    rho = 3 * r;
    w = 0.05;
    theta = w * r / (w * r + 1 - w);
    q = w * rho / (w * rho + 1 - w);
    info = 0;

    for (i = 0; i < 100; i++) {
        pass(&g, 50, 950, 0, i % 10 == 0);

        p = (double) (1 + i / 10) / (950.0 * (double) (i + 1));
        info += 50 * rho * (p + 0.0005 / r) * log(q / theta)
                + (i % 10 == 0) * log((1 - q) / (1 - theta))
                - 0.0005 * 50 * (q / theta - 1);

        assert_close(g.guards.known[0].info, info);
    }

    p = 3 * 0.05 / (1 + 2 * 0.05);
    assert_close(g.guards.known[1].info,
                 100 * 50 * (p * log(p / 0.05)
                             + (1 - p) * log((1 - p) / 0.95)));

    ngx_http_gray_guards_standing(&g.plan, &g.guards, 0, 5, 100, &standing);
    assert_close(standing.info, g.guards.known[0].info);
    assert_true(standing.seconds > 60);

    before = standing.seconds;

    for (i = 0; i < (ngx_uint_t) before; i++) {
        pass(&g, 50, 950, 0, i % 10 == 0);
    }

    ngx_http_gray_guards_standing(&g.plan, &g.guards, 0, 5, 100, &standing);
    assert_true(standing.seconds < before / 5);

    /* without traffic nothing is known of when */

    for (i = 0; i < 10000; i++) {
        pass(&g, 0, 0, 0, 0);
    }

    g.guards.known[0].info = 0;
    ngx_http_gray_guards_standing(&g.plan, &g.guards, 0, 5, 100, &standing);
    assert_true(standing.seconds == -1);
}


/* by keys, the share that was designed is what is expected */

static void
test_designed(void **state)
{
    double     requests, keys;
    guarded_t  g;

    plan_init(&g.plan);
    (void) add_guard(&g.plan, "errors", NGX_HTTP_GRAY_GUARD_RELATIVE);
    begin(&g);
    g.tick.share = 0.5;

    /* few who ask much: by requests that is much worse than by keys */

    pass(&g, 100, 10000, 10, 10);
    requests = ngx_http_gray_evidence_value(&g.guards.evidence[0]);

    g.plan.key = 1;
    begin(&g);
    g.tick.share = 0.5;
    pass(&g, 100, 10000, 10, 10);
    keys = ngx_http_gray_evidence_value(&g.guards.evidence[0]);

    assert_true(requests > 5);
    assert_true(keys < 0);
}


/* numbers that have left their range do not make a guard fire, or deaf */

static void
test_no_number(void **state)
{
    ngx_uint_t  i;
    guarded_t   g;

    plan_init(&g.plan);
    (void) add_guard(&g.plan, "errors", NGX_HTTP_GRAY_GUARD_RELATIVE);
    begin(&g);

    g.guards.evidence[0].m[0] = NAN;
    g.guards.evidence[0].m[7] = INFINITY;
    pass(&g, 50, 950, 0, 0);
    assert_int_equal(g.verdict.fired, 0);
    assert_close(ngx_http_gray_evidence_value(&g.guards.evidence[0]), 0);

    for (i = 0; i < 5 && !g.verdict.fired; i++) {
        pass(&g, 50, 950, 25, 1);
    }

    assert_int_equal(g.verdict.fired, 1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_long_text),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_due),
        cmocka_unit_test(test_between),
        cmocka_unit_test(test_fallen),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_warmup),
        cmocka_unit_test(test_slow),
        cmocka_unit_test(test_fires),
        cmocka_unit_test(test_priority),
        cmocka_unit_test(test_both),
        cmocka_unit_test(test_not_both),
        cmocka_unit_test(test_enough),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_designed),
        cmocka_unit_test(test_no_number)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
