
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Rollouts in shared memory: a state is read as a whole whoever dies while it
 * is written, each request is counted where it belongs, each key once.
 */


#include "rollout.h"

#include <math.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ngx_http_gray_trial.h"


#define WORKERS   4
#define FILTER    NGX_HTTP_GRAY_TRIAL_FILTER
#define BEYOND    4096           /* bytes behind a trial, which are nobody's */

#define KILLS     150            /* at least, */
#define READS     200            /* and so many states by each reader */


typedef struct {
    ngx_http_gray_trial_t           *trial;
    size_t                           size;
    ngx_http_gray_plan_t             plan;
    ngx_http_gray_state_t            state;
    ngx_http_gray_outcomes_t         outcomes;
    ngx_http_gray_trial_request_t    request;
} trial_t;


typedef struct {
    int         stop;            /* one of them has seen what must not be, or
                                    it is over */
    uint64_t    read[2];         /* states */
} readers_t;


static void begin(trial_t *t, ngx_uint_t workers, ngx_uint_t filter);
static void end(trial_t *t);
static void steer(trial_t *t);
static void count(trial_t *t, ngx_uint_t worker);
static ngx_http_gray_sample_t sum(trial_t *t, ngx_uint_t arm);
static void write_states(ngx_http_gray_trial_t *trial);
static int read_states(ngx_http_gray_trial_t *trial, readers_t *readers,
    ngx_uint_t i);
static ngx_uint_t have_read(readers_t *readers);
static uint64_t whole(const ngx_http_gray_state_t *state);


static void
begin(trial_t *t, ngx_uint_t workers, ngx_uint_t filter)
{
    memset(t, 0, sizeof(trial_t));

    t->size = ngx_http_gray_trial_size(workers, filter);

    t->trial = mmap(NULL, t->size + BEYOND, PROT_READ|PROT_WRITE,
                    MAP_ANON|MAP_SHARED, -1, 0);
    assert_ptr_not_equal(t->trial, MAP_FAILED);

    memset((u_char *) t->trial + t->size, 0xa5, BEYOND);

    ngx_http_gray_trial_init(t->trial, workers, filter);

    plan_init(&t->plan);

    t->request.arm = NGX_HTTP_GRAY_TRIAL_CANARY;
    t->request.drawn = 1;
    t->request.revision = 10;
    t->request.code = NGX_HTTP_GRAY_5XX;
    t->request.header = 100;
}


static void
end(trial_t *t)
{
    ngx_uint_t   i;
    u_char      *beyond;

    beyond = (u_char *) t->trial + t->size;

    for (i = 0; i < BEYOND; i++) {
        assert_int_equal(beyond[i], 0xa5);
    }

    assert_int_equal(munmap(t->trial, t->size + BEYOND), 0);
}


/* a rollout of the plan, from revision 10 on, with limits of 40 and 50 ms */

static void
steer(trial_t *t)
{
    ngx_uint_t  i;

    t->state.stage = NGX_HTTP_GRAY_STAGE_RUNNING;
    t->state.plan = t->plan.id;
    t->state.from = 10;

    for (i = 0; i < NGX_HTTP_GRAY_PLAN_WATCHES; i++) {
        t->state.guards.limit[i][0] = 40;
        t->state.guards.limit[i][1] = 50;
    }

    ngx_http_gray_trial_write_locked(t->trial, &t->state, &t->outcomes);
}


static void
count(trial_t *t, ngx_uint_t worker)
{
    ngx_http_gray_trial_count(t->trial, &t->plan, worker, &t->request);
}


static ngx_http_gray_sample_t
sum(trial_t *t, ngx_uint_t arm)
{
    ngx_http_gray_sample_t  sample;

    ngx_http_gray_trial_sum(t->trial, arm, &sample);

    return sample;
}


/* what a release takes of its zone */

static void
test_sizes(void **state)
{
    size_t  one, two;

    print_message("# state %lu bytes, trial of 1 worker %lu, of 16 %lu\n",
                  (unsigned long) sizeof(ngx_http_gray_state_t),
                  (unsigned long) ngx_http_gray_trial_size(1, 0),
                  (unsigned long) ngx_http_gray_trial_size(16, 0));

    assert_true(2 * sizeof(ngx_http_gray_state_t) < 8192);

    one = ngx_http_gray_trial_size(1, 0);
    two = ngx_http_gray_trial_size(2, 0);

    assert_true(one < 20000);
    assert_true(two - one < 512);
    assert_int_equal(ngx_http_gray_trial_size(0, 0), one);
    assert_int_equal(ngx_http_gray_trial_size(16, 0) - one, 15 * (two - one));
    assert_int_equal(ngx_http_gray_trial_size(64, 0),
                     ngx_http_gray_trial_size(16, 0));
    assert_int_equal(ngx_http_gray_trial_size(1, 1), one + FILTER);
}


/* no rollout, one that is over, and one of another plan: nothing is counted */

static void
test_idle(void **state)
{
    trial_t     t;
    ngx_uint_t  stage, counted;

    begin(&t, WORKERS, 0);
    (void) add_guard(&t.plan, "errors", NGX_HTTP_GRAY_GUARD_RELATIVE);

    assert_int_equal(ngx_http_gray_trial_word(t.trial), 0);
    assert_true(ngx_http_gray_trial_filled(t.trial) == -1);
    assert_true(ngx_http_gray_trial_filled(t.trial) == -1);
    ngx_http_gray_trial_forget(t.trial);

    count(&t, 0);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).all, 0);

    counted = 0;

    for (stage = 0; stage < NGX_HTTP_GRAY_STAGES; stage++) {
        t.state.plan = t.plan.id;
        t.state.stage = stage;
        ngx_http_gray_trial_write_locked(t.trial, &t.state, &t.outcomes);

        count(&t, 0);
        counted += ngx_http_gray_stage_active(&t.state);
        assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).all, counted);
    }

    assert_int_equal(counted, 4);

    steer(&t);
    t.plan.id++;
    count(&t, 0);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).all, counted);

    end(&t);
}


/* what was decided in a step before is of the variant, but not of the step */

static void
test_epochs(void **state)
{
    trial_t                 t;
    ngx_http_gray_sample_t  sample;

    begin(&t, WORKERS, 0);
    (void) add_guard(&t.plan, "relative", NGX_HTTP_GRAY_GUARD_RELATIVE);
    (void) add_guard(&t.plan, "absolute", NGX_HTTP_GRAY_GUARD_ABSOLUTE);
    (void) add_guard(&t.plan, "latency", NGX_HTTP_GRAY_GUARD_LATENCY);
    (void) add_guard(&t.plan, "slow", NGX_HTTP_GRAY_GUARD_SLOW);
    steer(&t);

    count(&t, 0);
    sample = sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY);
    assert_int_equal(sample.step, 1);
    assert_int_equal(sample.step_timed, 1);
    assert_int_equal(sample.all, 1);
    assert_int_equal(sample.all_timed, 1);
    assert_int_equal(sample.bad[0], 1);
    assert_int_equal(sample.bad[1], 1);
    assert_int_equal(sample.bad[2], 1);
    assert_int_equal(sample.bad[3], 1);
    assert_int_equal(sample.bad[4], 1);
    assert_int_equal(sample.bad[5], 1);

    /* late, and placed by a rule: for absolute guards alone */

    t.request.revision = 9;
    count(&t, 0);
    t.request.revision = 10;
    t.request.drawn = 0;
    count(&t, 0);
    sample = sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY);
    assert_int_equal(sample.step, 1);
    assert_int_equal(sample.step_timed, 1);
    assert_int_equal(sample.all, 3);
    assert_int_equal(sample.all_timed, 3);
    assert_int_equal(sample.bad[0], 1);
    assert_int_equal(sample.bad[1], 3);
    assert_int_equal(sample.bad[2], 1);
    assert_int_equal(sample.bad[3], 1);
    assert_int_equal(sample.bad[4], 1);
    assert_int_equal(sample.bad[5], 3);

    /* a revision that changes something else is of the step, too */

    t.request.drawn = 1;
    t.request.revision = 99;
    count(&t, 0);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).step, 2);

    /* the next step */

    t.state.from = 100;
    ngx_http_gray_trial_write_locked(t.trial, &t.state, &t.outcomes);
    count(&t, 0);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).step, 2);
    t.request.revision = 100;
    count(&t, 0);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).step, 3);

    end(&t);
}


/* by class, by limits of each arm, and not in a warmup */

static void
test_bad(void **state)
{
    trial_t     t;
    ngx_uint_t  code, arm, ms;

    begin(&t, WORKERS, 0);
    (void) add_guard(&t.plan, "errors", NGX_HTTP_GRAY_GUARD_RELATIVE);
    (void) add_guard(&t.plan, "latency", NGX_HTTP_GRAY_GUARD_LATENCY);
    t.plan.guard[0].bad = 1 << NGX_HTTP_GRAY_5XX | 1 << NGX_HTTP_GRAY_499;
    t.plan.bad = t.plan.guard[0].bad;
    steer(&t);

    /* so that one is looked at which is at the edge of another limit */

    t.state.guards.limit[2][0] = 35;
    t.state.guards.limit[2][1] = 45;
    ngx_http_gray_trial_write_locked(t.trial, &t.state, &t.outcomes);

    t.request.header = (ngx_msec_t) -1;

    for (code = 0; code < NGX_HTTP_GRAY_CODES; code++) {
        t.request.code = code;
        count(&t, 0);
    }

    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[0], 2);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).step,
                     NGX_HTTP_GRAY_CODES);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).step_timed, 0);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[1], 0);

    t.request.code = NGX_HTTP_GRAY_2XX;

    for (arm = NGX_HTTP_GRAY_TRIAL_BASELINE;
         arm <= NGX_HTTP_GRAY_TRIAL_CANARY;
         arm++)
    {
        t.request.arm = arm;

        for (ms = 31; ms <= 60; ms++) {
            t.request.header = ms;
            count(&t, 0);
        }
    }

    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_BASELINE).bad[1], 20);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[1], 10);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_BASELINE).bad[2], 25);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[2], 15);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_BASELINE).bad[0], 0);

    t.state.cold = 1;
    ngx_http_gray_trial_write_locked(t.trial, &t.state, &t.outcomes);
    t.request.header = 100000;
    count(&t, 0);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[1], 10);

    /* a limit that nothing is slower than */

    t.state.cold = 0;
    t.state.guards.limit[1][1] = NGX_HTTP_GRAY_GUARDS_NEVER;
    ngx_http_gray_trial_write_locked(t.trial, &t.state, &t.outcomes);
    t.request.header = (ngx_msec_t) 1 << 40;
    count(&t, 0);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[1], 10);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[2], 16);

    end(&t);
}


/* more workers than there are records share them, and none is lost */

static void
test_workers(void **state)
{
    trial_t     t;
    ngx_uint_t  workers, i;

    for (workers = 1; workers <= 40; workers++) {
        begin(&t, workers, workers & 1);
        (void) add_guard(&t.plan, "errors", NGX_HTTP_GRAY_GUARD_RELATIVE);
        steer(&t);

        /* a reload may have made more of them than were declared */

        for (i = 0; i < workers + 30; i++) {
            t.request.arm = NGX_HTTP_GRAY_TRIAL_CANARY;
            count(&t, i);
            t.request.arm = NGX_HTTP_GRAY_TRIAL_BASELINE;
            count(&t, i);
            count(&t, i);
        }

        assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).step,
                         workers + 30);
        assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[0],
                         workers + 30);
        assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_BASELINE).step,
                         2 * (workers + 30));

        end(&t);
    }
}


/* of a key the first bad request, once for each watch */

static void
test_keys(void **state)
{
    trial_t     t;
    uint64_t    seed;
    ngx_uint_t  i;

    begin(&t, WORKERS, 1);
    (void) add_guard(&t.plan, "one", NGX_HTTP_GRAY_GUARD_RELATIVE);
    (void) add_guard(&t.plan, "two", NGX_HTTP_GRAY_GUARD_ABSOLUTE);
    (void) add_guard(&t.plan, "latency", NGX_HTTP_GRAY_GUARD_LATENCY);
    t.plan.key = 1;
    steer(&t);

    assert_true(ngx_http_gray_trial_filled(t.trial) == 0);

    for (i = 0; i < 5; i++) {
        t.request.hash = 0x123456789abcdef0;
        count(&t, i);
    }

    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).step, 5);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[0], 1);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[1], 1);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[2], 1);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[4], 1);

    /* what has no key counts each time */

    t.request.hash = 0;
    count(&t, 0);
    count(&t, 0);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[0], 3);

    /* forgotten ones are new */

    ngx_http_gray_trial_forget(t.trial);
    assert_true(ngx_http_gray_trial_filled(t.trial) == 0);
    t.request.hash = 0x123456789abcdef0;
    count(&t, 0);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[0], 4);

    /* where requests are the unit, and where there is no filter, all count */

    t.plan.key = 0;
    count(&t, 0);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[0], 5);

    /* requests that are good leave nothing there */

    ngx_http_gray_trial_forget(t.trial);
    t.plan.key = 1;
    t.request.code = NGX_HTTP_GRAY_2XX;
    t.request.header = 1;
    seed = 1;

    for (i = 0; i < 1000; i++) {
        t.request.hash = draw(&seed);
        count(&t, 0);
    }

    assert_true(ngx_http_gray_trial_filled(t.trial) == 0);

    end(&t);
}


/* keys in order, and at random: few of them are taken for others */

static void
test_filter(void **state)
{
    trial_t     t;
    double      filled, missed;
    uint64_t    seed, bad, n, i, k, random;
    uint64_t   *bits;
    u_char     *half;

    for (random = 0; random < 2; random++) {
        begin(&t, WORKERS, 1);
        (void) add_guard(&t.plan, "errors", NGX_HTTP_GRAY_GUARD_RELATIVE);
        t.plan.key = 1;
        steer(&t);

        seed = 1;

        for (n = 0; ngx_http_gray_trial_filled(t.trial) < 0.5; n++) {
            t.request.hash = random ? draw(&seed) : n + 1;
            count(&t, 0);
        }

        assert_true(n > 130000 && n < 160000);

        missed = (double) (n - sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[0]);
        assert_true(missed / (double) n < 0.02);

        /* of new ones, which do not fill it further */

        half = malloc(t.size);
        assert_non_null(half);
        memcpy(half, t.trial, t.size);

        bad = sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[0];
        missed = 0;

        for (i = 0; i < 20000; i++) {
            t.request.hash = random ? draw(&seed) : n + i + 1;
            count(&t, 0);

            if (sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[0] == bad) {
                missed++;
            }

            if (i % 100 == 99) {
                memcpy(t.trial, half, t.size);
            }

            bad = sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[0];
        }

        free(half);

        print_message("# %s keys: %lu fill a half, of new ones %.2f%% are "
                      "taken for old\n", random ? "random" : "ordered",
                      (unsigned long) n, missed / 200);
        assert_true(missed / 20000 < 0.07);
        assert_true(missed / 20000 > 0.03);

        /* what it says is what is in there */

        filled = ngx_http_gray_trial_filled(t.trial);
        bits = (uint64_t *) ((u_char *) t.trial + t.size - FILTER);

        for (i = 0, k = 0; i < FILTER / 8; i++) {
            k += (uint64_t) __builtin_popcountll(bits[i]);
        }

        assert_true(fabs(filled - (double) k / (FILTER * 8)) < 0.005);

        end(&t);
    }
}


/*
 * Slow keys, and new ones, fill the filter less and less; errors are counted
 * all the same.
 */

static void
test_thinned(void **state)
{
    trial_t                 t;
    uint64_t                seed, slow, bad, keys;
    ngx_uint_t              i, k, n;
    ngx_http_gray_guard_t  *guard;

    static const struct {
        double  filled;
        double  part;
    } stages[] = {
        { 0, 1 },
        { 0.25, 1 / 16.0 },
        { 0.375, 1 / 256.0 }
    };

    for (k = 0; k < 3; k++) {
        begin(&t, WORKERS, 1);
        (void) add_guard(&t.plan, "errors", NGX_HTTP_GRAY_GUARD_RELATIVE);
        guard = add_guard(&t.plan, "latency", NGX_HTTP_GRAY_GUARD_LATENCY);
        (void) add_guard(&t.plan, "split", NGX_HTTP_GRAY_GUARD_SHARE);
        t.plan.key = 1;
        steer(&t);

        seed = 1;
        t.request.header = 10;

        while (ngx_http_gray_trial_filled(t.trial) < stages[k].filled) {
            t.request.hash = draw(&seed);
            count(&t, 0);
        }

        bad = sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[0];

        t.request.header = 100;
        n = 10000;

        for (i = 0; i < n; i++) {
            t.request.hash = draw(&seed);
            count(&t, 0);
        }

        slow = sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[guard->watch];
        bad = sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).bad[0] - bad;

        assert_true((double) slow / n < stages[k].part * 1.4 + 1e-9);
        assert_true((double) slow / n > stages[k].part * 0.6);
        assert_true((double) bad / n > 0.9);

        /* of a sixteenth of all that are new it is that part */

        t.request.code = NGX_HTTP_GRAY_2XX;
        t.request.header = 10;
        keys = sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).keys;
        n = k ? 1000000 : 100000;

        for (i = 0; i < n; i++) {
            t.request.hash = draw(&seed);
            count(&t, 0);
        }

        keys = sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).keys - keys;

        assert_true((double) keys * 16 / n < stages[k].part * 1.4);
        assert_true((double) keys * 16 / n > stages[k].part * 0.6);
        assert_true(ngx_http_gray_trial_filled(t.trial) < 0.5);

        end(&t);
    }
}


/* for the split, a sixteenth of all keys is looked at, each once */

static void
test_split(void **state)
{
    trial_t     t;
    uint64_t    seed, keys;
    ngx_uint_t  i, turn;

    begin(&t, WORKERS, 1);
    (void) add_guard(&t.plan, "split", NGX_HTTP_GRAY_GUARD_SHARE);
    t.plan.key = 1;
    steer(&t);

    t.request.code = NGX_HTTP_GRAY_2XX;
    keys = 0;

    for (turn = 0; turn < 3; turn++) {
        seed = 1;

        for (i = 0; i < 16000; i++) {
            t.request.hash = draw(&seed);
            count(&t, 0);
        }

        if (turn == 0) {
            keys = sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).keys;
            assert_true(keys > 850 && keys < 1150);
        }

        assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).keys, keys);
    }

    t.request.hash = 0;
    count(&t, 0);
    assert_int_equal(sum(&t, NGX_HTTP_GRAY_TRIAL_CANARY).keys, keys);

    end(&t);
}


/* who was at a third variant is not new at the baseline, and counts nowhere */

static void
test_others(void **state)
{
    trial_t                  t;
    uint64_t                 seed, keys, new;
    ngx_uint_t               i, turn;

    ngx_http_gray_sample_t   seen;

    static const ngx_http_gray_sample_t  nothing;

    begin(&t, WORKERS, 1);
    (void) add_guard(&t.plan, "errors", NGX_HTTP_GRAY_GUARD_RELATIVE);
    (void) add_guard(&t.plan, "split", NGX_HTTP_GRAY_GUARD_SHARE);
    t.plan.key = 1;
    steer(&t);

    keys = 0;

    /* by a rule, by a revision of before, and then as is to be known */

    for (turn = 0; turn < 3; turn++) {
        t.request.arm = NGX_HTTP_GRAY_TRIAL_OTHER;
        t.request.drawn = (turn != 0);
        t.request.revision = (turn == 1) ? 9 : 10;
        seed = turn + 1;

        for (i = 0; i < 16000; i++) {
            t.request.hash = draw(&seed);
            count(&t, 0);
        }

        for (i = NGX_HTTP_GRAY_TRIAL_BASELINE;
             turn == 0 && i <= NGX_HTTP_GRAY_TRIAL_CANARY;
             i++)
        {
            seen = sum(&t, i);
            assert_memory_equal(&seen, &nothing, sizeof(seen));
        }

        t.request.arm = NGX_HTTP_GRAY_TRIAL_BASELINE;
        t.request.drawn = 1;
        t.request.revision = 10;
        seed = turn + 1;

        for (i = 0; i < 16000; i++) {
            t.request.hash = draw(&seed);
            count(&t, 0);
        }

        new = sum(&t, NGX_HTTP_GRAY_TRIAL_BASELINE).keys - keys;
        keys += new;

        if (turn < 2) {
            assert_true(new > 850 && new < 1150);

        } else {
            assert_int_equal(new, 0);
        }
    }

    assert_true(sum(&t, NGX_HTTP_GRAY_TRIAL_BASELINE).bad[0] > 47000);

    end(&t);
}


/* the last events are kept, all are numbered, and hooks go forward only */

static void
test_log(void **state)
{
    trial_t                        t;
    uint64_t                       id;
    ngx_uint_t                     i;
    ngx_http_gray_event_t         *event;
    ngx_http_gray_trial_record_t   record, again;

    begin(&t, WORKERS, 0);

    for (i = 1; i <= 40; i++) {
        t.outcomes.events = 2;

        event = &t.outcomes.event[0];
        event->to = NGX_HTTP_GRAY_STAGE_PAUSED;
        event->cause = NGX_HTTP_GRAY_CAUSE_GUARD;
        event->hook = NGX_HTTP_GRAY_HOOK_PAUSE;
        event->step = 2 * i - 1;

        event = &t.outcomes.event[1];
        event->to = NGX_HTTP_GRAY_STAGE_RUNNING;
        event->cause = NGX_HTTP_GRAY_CAUSE_PLAN;
        event->hook = (i & 1) ? NGX_HTTP_GRAY_HOOK_GATE
                              : NGX_HTTP_GRAY_HOOK_STEP;
        event->step = 2 * i;

        t.state.serial = i;
        ngx_http_gray_trial_write_locked(t.trial, &t.state, &t.outcomes);
    }

    ngx_http_gray_trial_record(t.trial, &record);
    assert_int_equal(record.events, 80);
    assert_int_equal(record.state.serial, 40);

    for (id = 80 - NGX_HTTP_GRAY_TRIAL_EVENTS + 1; id <= 80; id++) {
        event = &record.event[id % NGX_HTTP_GRAY_TRIAL_EVENTS];
        assert_int_equal(event->id, id);
        assert_int_equal(event->step, id);
    }

    /* to wait at a gate is no other stage */

    assert_int_equal(record.transitions[NGX_HTTP_GRAY_STAGE_PAUSED]
                                       [NGX_HTTP_GRAY_CAUSE_GUARD], 40);
    assert_int_equal(record.transitions[NGX_HTTP_GRAY_STAGE_RUNNING]
                                       [NGX_HTTP_GRAY_CAUSE_PLAN], 20);

    ngx_http_gray_trial_told(t.trial, 2, 70);
    ngx_http_gray_trial_told(t.trial, 2, 60);
    ngx_http_gray_trial_record(t.trial, &record);
    assert_int_equal(record.told[2], 70);
    assert_int_equal(record.told[0], 0);

    end(&t);

    /* in another zone */

    begin(&t, WORKERS, 0);
    ngx_http_gray_trial_restore_locked(t.trial, &record);
    ngx_http_gray_trial_record(t.trial, &again);
    assert_memory_equal(&again, &record, sizeof(record));
    assert_true(ngx_http_gray_trial_word(t.trial) != 0);
    end(&t);
}


/*
 * Writers are killed at any moment, hundreds of them, while others read: what
 * is read was written, all of it, and is never older than what was read before.
 */

static void
test_killed(void **state)
{
    int                     status;
    trial_t                 t;
    pid_t                   writer, reader[2];
    uint64_t                seed, n, last;
    readers_t              *readers;
    ngx_uint_t              i, k;
    ngx_http_gray_state_t   read;

    begin(&t, WORKERS, 0);

    readers = mmap(NULL, sizeof(readers_t), PROT_READ|PROT_WRITE,
                   MAP_ANON|MAP_SHARED, -1, 0);
    assert_ptr_not_equal(readers, MAP_FAILED);

    for (i = 0; i < 2; i++) {
        reader[i] = fork();
        assert_true(reader[i] >= 0);

        if (reader[i] == 0) {
            alarm(120);
            _exit(read_states(t.trial, readers, i));
        }
    }

    seed = 1;
    last = 0;

    for (k = 0; k < KILLS || !have_read(readers); k++) {
        writer = fork();
        assert_true(writer >= 0);

        if (writer == 0) {
            alarm(120);
            write_states(t.trial);
        }

        /* once it has written */

        do {
            ngx_http_gray_trial_read(t.trial, &read);
            n = whole(&read);
            assert_true(n != (uint64_t) -1);
        } while (n == last);

        (void) usleep(draw(&seed) % 500);

        assert_int_equal(kill(writer, SIGKILL), 0);
        assert_int_equal(waitpid(writer, &status, 0), writer);
        assert_true(WIFSIGNALED(status));

        ngx_http_gray_trial_read(t.trial, &read);
        n = whole(&read);
        assert_true(n != (uint64_t) -1 && n > last);
        last = n;
    }

    __atomic_store_n(&readers->stop, 1, __ATOMIC_RELAXED);

    for (i = 0; i < 2; i++) {
        assert_int_equal(waitpid(reader[i], &status, 0), reader[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }

    print_message("# %lu states, %lu writers killed\n", (unsigned long) last,
                  (unsigned long) k);

    assert_int_equal(munmap(readers, sizeof(readers_t)), 0);
    end(&t);
}


/*
 * All words of a state are its number.  It rests now and then, as a reader, for
 * whom each line comes from another processor, may be slower than a writer who
 * never does, and tries so often only.
 */

static void
write_states(ngx_http_gray_trial_t *trial)
{
    size_t                     i;
    uint64_t                  *words;
    ngx_uint_t                 k;
    ngx_http_gray_state_t      state;
    ngx_http_gray_outcomes_t   outcomes;

    ngx_http_gray_trial_read(trial, &state);

    words = (uint64_t *) &state;
    outcomes.events = 0;

    for (k = 1; /* void */ ; k++) {
        for (i = 0; i < sizeof(state) / sizeof(uint64_t); i++) {
            words[i]++;
        }

        ngx_http_gray_trial_write_locked(trial, &state, &outcomes);

        if (k % 64 == 0) {
            (void) usleep(1);
        }
    }
}


static int
read_states(ngx_http_gray_trial_t *trial, readers_t *readers, ngx_uint_t i)
{
    uint64_t               n, before;
    ngx_http_gray_state_t  state;

    before = 0;

    while (!__atomic_load_n(&readers->stop, __ATOMIC_RELAXED)) {
        ngx_http_gray_trial_read(trial, &state);

        n = whole(&state);

        if (n == (uint64_t) -1 || n < before) {
            __atomic_store_n(&readers->stop, 1, __ATOMIC_RELAXED);
            return 1;
        }

        if (n != before) {
            (void) __atomic_fetch_add(&readers->read[i], 1, __ATOMIC_RELAXED);
        }

        before = n;
    }

    return 0;
}


static ngx_uint_t
have_read(readers_t *readers)
{
    return __atomic_load_n(&readers->stop, __ATOMIC_RELAXED)
           || (__atomic_load_n(&readers->read[0], __ATOMIC_RELAXED) >= READS
               && __atomic_load_n(&readers->read[1], __ATOMIC_RELAXED)
                  >= READS);
}


static uint64_t
whole(const ngx_http_gray_state_t *state)
{
    size_t           i;
    const uint64_t  *words;

    words = (const uint64_t *) state;

    for (i = 1; i < sizeof(ngx_http_gray_state_t) / sizeof(uint64_t); i++) {
        if (words[i] != words[0]) {
            return (uint64_t) -1;
        }
    }

    return words[0];
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_workers),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_thinned),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_killed)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
