
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Evidence: ticks and whole runs as another implementation has them, a million
 * ticks of a kind, counts out of all proportion, and how often a true null
 * hypothesis is refused, which is the promise.
 */


#include "unit.h"

#include <math.h>

#include "evidence_vectors.h"


#define MILLION  1000000

/* of the Monte Carlo */
#define RUNS     1500
#define TICKS    400
#define ALPHA    0.05


/* rates that change with the tick */

typedef struct {
    const char  *name;
    char         kind;
    double       canary;            /* requests of a tick */
    double       baseline;
    double       limit;
    double       floor;
    double       rate[2];           /* the baseline's, in turns of 50 ticks */
    double       add;               /* the canary's is limit * that + this */
} null_t;


static double one(ngx_http_gray_evidence_t *evidence, char kind,
    const ngx_http_gray_evidence_counts_t *counts, double limit, double floor,
    ngx_uint_t moved);
static void assert_near(const char *what, ngx_uint_t i, double found,
    double expected);
static double bad_of(uint64_t *seed, double n, ngx_uint_t most);
static ngx_uint_t refused(const null_t *null, uint64_t seed, double factor);
static double binomial(uint64_t *seed, double n, double p);


static const null_t  nulls[] = {
    { "at the limit", 'r', 20, 80, 1.25, 0, { 0.01, 0.01 }, 0 },
    { "rates that move", 'r', 20, 80, 1.25, 0, { 0.002, 0.2 }, 0 },
    { "at the floor", 'r', 50, 50, 1.25, 0.005, { 0.0001, 0.02 }, 0.005 },
    { "absolute", 'a', 50, 0, 0.05, 0, { 0, 0 }, 0.05 },
    { "share", 's', 20, 80, 0, 0, { 0, 0 }, 0 }
};


static void
test_ticks(void **state)
{
    ngx_uint_t              i;
    const evidence_tick_t  *t;

    for (i = 0; i < ITEMS(evidence_relative); i++) {
        t = &evidence_relative[i];
        assert_near("relative", i,
                    ngx_http_gray_evidence_log_relative(&t->counts, t->limit,
                                              t->floor, t->limit * t->times),
                    t->value);
    }

    for (i = 0; i < ITEMS(evidence_absolute); i++) {
        t = &evidence_absolute[i];
        assert_near("absolute", i,
                    ngx_http_gray_evidence_log_absolute(&t->counts, t->limit,
                                                        t->times),
                    t->value);
    }

    for (i = 0; i < ITEMS(evidence_info); i++) {
        t = &evidence_info[i];
        assert_near("info", i,
                    ngx_http_gray_evidence_relative_info(&t->counts, t->limit,
                                                t->floor, t->times, t->rate),
                    t->value);
    }
}


static void
test_runs(void **state)
{
    double                            value, info, requests, bad;
    uint64_t                          seed;
    ngx_uint_t                        i, t, moved;
    const evidence_run_t             *r;
    ngx_http_gray_evidence_t          evidence;
    ngx_http_gray_evidence_counts_t   counts;

    for (i = 0; i < ITEMS(evidence_runs); i++) {
        r = &evidence_runs[i];

        ngx_http_gray_evidence_init(&evidence);
        assert_near("begin", i, ngx_http_gray_evidence_value(&evidence), 0);

        seed = i;
        value = 0;
        info = 0;
        requests = 0;
        bad = 0;

        for (t = 0; t < r->ticks; t++) {
            counts.share = r->share;
            counts.canary = (double) (draw(&seed) % (r->most[0] + 1));
            counts.baseline = (double) (draw(&seed) % (r->most[1] + 1));
            counts.bad_canary = bad_of(&seed, counts.canary, r->most[2]);
            counts.bad_baseline = bad_of(&seed, counts.baseline, r->most[3]);

            moved = r->each && t % r->each == r->each - 1;
            requests += counts.baseline;
            bad += counts.bad_baseline;

            value = one(&evidence, r->kind, &counts, r->limit, r->floor, moved);

            if (r->kind == 'r') {
                info += ngx_http_gray_evidence_relative_info(&counts, r->limit,
                                      r->floor, 3, requests ? bad / requests
                                                            : 0);

            } else if (r->kind == 'a') {
                info += ngx_http_gray_evidence_absolute_info(&counts, r->limit,
                                                             3);
            }
        }

        assert_near("run", i, value, r->value);
        assert_near("value", i, ngx_http_gray_evidence_value(&evidence), value);
        assert_near("info of run", i, info, r->info);
        assert_int_equal(evidence.ticks, r->ticks);
    }
}


static double
bad_of(uint64_t *seed, double n, ngx_uint_t most)
{
    return (double) ((uint64_t) n * (draw(seed) % (most + 1)) / 1000);
}


static void
test_million(void **state)
{
    double                     value;
    ngx_uint_t                 i, part, t;
    const evidence_long_t     *l;
    ngx_http_gray_evidence_t   evidence;

    for (i = 0; i < ITEMS(evidence_longs); i++) {
        l = &evidence_longs[i];
        value = 0;

        ngx_http_gray_evidence_init(&evidence);

        for (part = 0; part < 2; part++) {
            for (t = 0; t < l->ticks[part]; t++) {
                value = one(&evidence, l->kind, &l->counts[part], l->limit,
                            l->floor, 0);
            }
        }

        assert_near("long run", i, value, l->value);
    }
}


/* a change of weight each tick: U never is less than nothing */

static void
test_moves(void **state)
{
    double                            value;
    ngx_uint_t                        t;
    ngx_http_gray_evidence_t          evidence;
    ngx_http_gray_evidence_counts_t   none = { 0, 0, 0, 0, -1 };

    ngx_http_gray_evidence_init(&evidence);

    for (t = 0; t < MILLION; t++) {
        value = one(&evidence, 'r', &none, 1.25, 0.0005, 1);

        if (!(fabs(value) < 1e-9) || !(evidence.rest > 0)) {
            fail_msg("tick %lu: ln E is %g, U %g", (unsigned long) t, value,
                     evidence.rest);
        }
    }
}


/* whatever comes, E is a number, and what comes after is felt */

static void
test_extremes(void **state)
{
    double                           value, last;
    ngx_uint_t                       i, k, t;
    ngx_http_gray_evidence_t         evidence;

    static const char  kinds[] = { 'r', 'a', 's' };
    static const ngx_http_gray_evidence_counts_t  extremes[] = {
        { 1e15, 1e15, 1e15, 0, 0.5 },
        { 1e15, 1e15, 0, 1e15, 0.5 },
        { 1e15, 1, 1e15, 1, 0 },
        { 1, 1e15, 1, 1e15, 1 },
        { 3, 1e15, 9, 0, 0.25 },
        { 1e15, 0, 0, 0, 0.75 },
        { 0, 1e15, 0, 0, 1e-300 },
        { 0, 0, 0, 0, 0.5 },
        { 1, 1, 1, 1, 2 }
    };
    static const ngx_http_gray_evidence_counts_t  good = {
        1e4, 1e4, 0, 1e3, 0.5
    };
    static const ngx_http_gray_evidence_counts_t  bad = {
        900, 100, 900, 1, 0.1
    };

    for (k = 0; k < ITEMS(kinds); k++) {
        for (i = 0; i < ITEMS(extremes) * 8; i++) {
            ngx_http_gray_evidence_init(&evidence);

            for (t = 0; t < 20; t++) {
                value = one(&evidence, kinds[k],
                            &extremes[(i >> t % 3) % ITEMS(extremes)],
                            i % 8 ? 0.25 * (double) (i % 8) : 1e-300,
                            0.0005, t % 2);

                if (!isfinite(value)) {
                    fail_msg("%c, %lu, tick %lu: ln E is %g", kinds[k],
                             (unsigned long) i, (unsigned long) t, value);
                }
            }
        }

        /* from far above, and from below, it comes back */

        ngx_http_gray_evidence_init(&evidence);

        for (t = 0; t < 100; t++) {
            last = one(&evidence, kinds[k], &bad, 0.25, 0, 0);
        }

        assert_true(last > 10000);

        if (kinds[k] == 's') {
            continue;
        }

        for (t = 0; t < 100000; t++) {
            value = one(&evidence, kinds[k], &good, 0.25, 0, 0);
        }

        assert_true(value < 0);
        assert_true(one(&evidence, kinds[k], &bad, 0.25, 0, 0) > 10);
    }
}


/*
 * Ville: of true null hypotheses not more than alpha are ever refused, looked
 * at after each tick; 3 is for chance.  And false ones are.
 */

static void
test_ville(void **state)
{
    double       most;
    uint64_t     seed;
    ngx_uint_t   i, run, n, found;

    most = ALPHA * RUNS + 3 * sqrt(ALPHA * (1 - ALPHA) * RUNS);

    for (i = 0; i < ITEMS(nulls); i++) {
        n = 0;
        found = 0;
        seed = i;

        for (run = 0; run < RUNS; run++) {
            n += refused(&nulls[i], draw(&seed), 1);
        }

        for (run = 0; run < RUNS / 100; run++) {
            found += refused(&nulls[i], draw(&seed), 3);
        }

        print_message("# %s: %lu of %d refused\n", nulls[i].name,
                      (unsigned long) n, RUNS);

        if ((double) n > most) {
            fail_msg("%s: %lu of %d were refused, %g at most may be",
                     nulls[i].name, (unsigned long) n, RUNS, most);
        }

        if (found != RUNS / 100) {
            fail_msg("%s: of %d that are wrong %lu were found", nulls[i].name,
                     RUNS / 100, (unsigned long) found);
        }
    }
}


/* a canary that is "factor" times as bad, or has as many requests */

static ngx_uint_t
refused(const null_t *null, uint64_t seed, double factor)
{
    double                            rate, value, n;
    ngx_uint_t                        t;
    ngx_http_gray_evidence_t          evidence;
    ngx_http_gray_evidence_counts_t   counts;

    ngx_http_gray_evidence_init(&evidence);

    for (t = 0; t < TICKS; t++) {
        rate = null->rate[t / 50 % 2];

        counts.canary = null->canary;
        counts.baseline = null->baseline;
        counts.share = -1;

        if (null->kind == 's') {
            n = null->canary + null->baseline;
            counts.share = null->canary / n;
            counts.canary = binomial(&seed, n, factor * counts.share);
            counts.baseline = n - counts.canary;
        }

        counts.bad_baseline = binomial(&seed, counts.baseline, rate);
        counts.bad_canary = binomial(&seed, counts.canary,
                                factor * (null->limit * rate + null->add));

        if (null->kind == 'a') {
            counts.bad_canary = binomial(&seed, counts.canary,
                                         factor * null->limit);
        }

        value = one(&evidence, null->kind, &counts, null->limit, null->floor,
                    t % 100 == 99);

        if (value >= -log(ALPHA)) {
            return 1;
        }
    }

    return 0;
}


static double
binomial(uint64_t *seed, double n, double p)
{
    double  x;

    for (x = 0; n > 0; n--) {
        x += (double) (draw(seed) >> 11) / 9007199254740992.0 < p;
    }

    return x;
}


static double
one(ngx_http_gray_evidence_t *evidence, char kind,
    const ngx_http_gray_evidence_counts_t *counts, double limit, double floor,
    ngx_uint_t moved)
{
    switch (kind) {

    case 'r':
        return ngx_http_gray_evidence_relative(evidence, counts, limit, floor,
                                               moved);
    case 'a':
        return ngx_http_gray_evidence_absolute(evidence, counts, limit, moved);

    default:
        return ngx_http_gray_evidence_share(evidence, counts, moved);
    }
}


static void
assert_near(const char *what, ngx_uint_t i, double found, double expected)
{
    if (!(fabs(found - expected) <= 1e-10 + 1e-10 * fabs(expected))) {
        fail_msg("%s %lu: %.17g instead of %.17g", what,
                 (unsigned long) i, found, expected);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_ticks),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_million),
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_ville)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
