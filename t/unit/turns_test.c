
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Windows and resets, against a list of all that was counted; turns that are
 * not ended; readers beside a writer; a clock that is set back.
 */


#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "ngx_http_gray_turns.h"


#define SLOTS      3
#define WORKERS    4
#define STEPS      15000
#define NOW        987654321

#define SECONDS    1000
#define MINUTES    (60 * SECONDS)
#define INTERVAL   (10 * SECONDS)

/* a histogram that was packed twice: of its count, and its quantiles */
#define PACKED     (2.0 / 32768)
#define BOUND      1.0906

/* how late a turn may be that is called for every second and a half */
#define LATE       1500


void __real_ngx_http_gray_tally_sum(ngx_http_gray_counts_t *sum,
    ngx_http_gray_counts_t *counts);
void __wrap_ngx_http_gray_tally_sum(ngx_http_gray_counts_t *sum,
    ngx_http_gray_counts_t *counts);
void __real_ngx_http_gray_tally_pack(ngx_http_gray_part_t *part,
    ngx_http_gray_summary_t *summary);
void __wrap_ngx_http_gray_tally_pack(ngx_http_gray_part_t *part,
    ngx_http_gray_summary_t *summary);


/* something that was counted, "n" times */

typedef struct {
    ngx_uint_t                  slot;
    ngx_uint_t                  reason;
    ngx_uint_t                  code;
    uint64_t                    n;
    uint64_t                    header;
    uint64_t                    total;
    ngx_uint_t                  failures;
} event_t;


/* a turn, and what was counted before */

typedef struct {
    ngx_msec_t                  ms;
    ngx_uint_t                  events;
} turn_t;


typedef struct {
    uint64_t                    seed;
    ngx_msec_t                  now;
    ngx_http_gray_counters_t   *counters;

    event_t                    *events;
    ngx_uint_t                  n;
    ngx_uint_t                  size;

    turn_t                      turns[STEPS + 1];
    ngx_uint_t                  last;
    ngx_uint_t                  reset;

    char                        names[SLOTS][32];
    turn_t                      claims[SLOTS];
    uint64_t                    begins;
    ngx_msec_t                  phase;
} model_t;


/* how often, of 100,000 steps */

typedef struct {
    const char                 *name;
    ngx_uint_t                  resets;
    ngx_uint_t                  gaps;
    ngx_uint_t                  renames;
    uint64_t                    begins;     /* what counters have at first */
    ngx_msec_t                  phase;
} kind_t;


static const kind_t  kinds[] = {
    { "steady", 7, 0, 0, 0, 0 },
    { "gaps", 200, 500, 50, 0, 3000 },
    { "busy", 3000, 200, 1000, 0, 9000 },
    { "wrapping", 200, 100, 0, (uint64_t) -1000, 9999 }
};


/* all that can be asked of counters, to be compared */

typedef struct {
    ngx_http_gray_summary_t     window[SLOTS][4];
    ngx_http_gray_counts_t      since[SLOTS + 1];
    uint64_t                    ms[SLOTS + 1];
    time_t                      time[SLOTS + 1];
} answers_t;


/* calls in a turn, and the one in which it ends (0: none) */

static ngx_uint_t  calls;
static ngx_uint_t  ending;
static sigjmp_buf  ended;


void
__wrap_ngx_http_gray_tally_sum(ngx_http_gray_counts_t *sum,
    ngx_http_gray_counts_t *counts)
{
    if (ending && ++calls == ending) {
        siglongjmp(ended, 1);
    }

    __real_ngx_http_gray_tally_sum(sum, counts);
}


void
__wrap_ngx_http_gray_tally_pack(ngx_http_gray_part_t *part,
    ngx_http_gray_summary_t *summary)
{
    if (ending && ++calls == ending) {
        siglongjmp(ended, 1);
    }

    __real_ngx_http_gray_tally_pack(part, summary);

    if (ending && ++calls == ending) {
        siglongjmp(ended, 1);
    }
}


static void
die(int signo)
{
    (void) signo;

    siglongjmp(ended, 1);
}


static void
set_clock(ngx_msec_t ms)
{
    static ngx_time_t  cached;

    cached.sec = ms / 1000;

    ngx_cached_time = &cached;
    ngx_current_msec = ms;
}


static ngx_http_gray_counters_t *
map(size_t size)
{
    void  *p;

    p = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_ANON|MAP_SHARED, -1, 0);
    assert_ptr_not_equal(p, MAP_FAILED);

    return p;
}


static ngx_http_gray_counters_t *
create(ngx_msec_t now)
{
    ngx_uint_t                 i, slot;
    ngx_str_t                  name, *names;
    ngx_http_gray_counters_t  *counters;

    static const char *texts[] = { "a", "b", "c" };

    set_clock(now);

    counters = map(ngx_http_gray_counters_size(SLOTS, WORKERS));
    ngx_http_gray_counters_init(counters, SLOTS, WORKERS, ngx_time(), now);

    for (i = 0; i < SLOTS; i++) {
        name = string(texts[i]);
        names = &name;
        ngx_http_gray_counters_assign_variants(counters, &names, 1, &slot, 0);
        assert_int_equal(slot, i);
    }

    return counters;
}


static void
destroy(ngx_http_gray_counters_t *counters)
{
    assert_int_equal(munmap(counters,
                            ngx_http_gray_counters_size(SLOTS, WORKERS)), 0);
}


static void
count(ngx_http_gray_counters_t *counters, ngx_uint_t worker, event_t *event)
{
    ngx_http_gray_counts_t  *counts;

    counts = ngx_http_gray_counters_counts(counters, worker, event->slot);

    ngx_http_gray_count(&counts->requests[event->reason][event->code],
                        event->n);
    ngx_http_gray_count(&counts->absent[event->code % NGX_HTTP_GRAY_ABSENCES],
                        event->n);
    ngx_http_gray_count(&counts->failures[event->code], event->failures);
    ngx_http_gray_count(&counts->fallbacks, event->n);
    ngx_http_gray_count(&counts->streams, event->n);
    ngx_http_gray_count(&counts->header_ms, event->n * event->header);
    ngx_http_gray_count(&counts->total_ms, event->n * event->total);
    ngx_http_gray_count(
               &counts->header[ngx_http_gray_histogram_index(event->header)],
               event->n);
    ngx_http_gray_count(
                 &counts->total[ngx_http_gray_histogram_index(event->total)],
                 event->n);
}


static void
add(model_t *model)
{
    event_t  *event;

    if (model->n == model->size) {
        model->size = 2 * model->size + 1000;
        model->events = realloc(model->events, model->size * sizeof(event_t));
        assert_non_null(model->events);
    }

    event = &model->events[model->n++];

    event->slot = draw(&model->seed) % SLOTS;
    event->reason = draw(&model->seed) % NGX_HTTP_GRAY_REASONS;
    event->code = draw(&model->seed) % NGX_HTTP_GRAY_CODES;
    event->n = draw(&model->seed) % 20 ? 1 : draw(&model->seed) % 1000000;
    event->header = draw(&model->seed) % (1 << draw(&model->seed) % 20);
    event->total = event->header + draw(&model->seed) % 1000;
    event->failures = draw(&model->seed) % 3;

    count(model->counters, draw(&model->seed) % (2 * WORKERS), event);
}


static void
begin(model_t *model, const kind_t *kind, uint64_t seed)
{
    uint64_t    *counts;
    ngx_uint_t   i, k;

    memset(model, 0, sizeof(model_t));

    model->seed = seed;
    model->now = NOW;
    model->counters = create(NOW);
    model->turns[0].ms = NOW;
    model->begins = kind->begins;
    model->phase = kind->phase;

    for (i = 0; i < SLOTS; i++) {
        (void) sprintf(model->names[i], "%c", (int) ('a' + i));
        model->claims[i].ms = NOW;

        counts = (uint64_t *) ngx_http_gray_counters_counts(model->counters, 0,
                                                            i);

        for (k = 0;
             k < sizeof(ngx_http_gray_counts_t) / sizeof(uint64_t);
             k++)
        {
            counts[k] = kind->begins;
        }
    }

    if (kind->begins) {
        ngx_http_gray_turns_reset_locked(model->counters, ngx_time(), NOW);
        model->turns[++model->last] = model->turns[0];
        model->reset = 1;
    }
}


static void
end(model_t *model)
{
    destroy(model->counters);
    free(model->events);
}


static void
tick(model_t *model)
{
    ngx_uint_t  due;
    ngx_msec_t  ms, shift;

    due = ngx_http_gray_turns_due(model->counters, model->now, model->phase);
    ngx_http_gray_turns_tick(model->counters, model->now, model->phase);

    ms = model->turns[model->last].ms;

    /* turns end at 10 s, and so many ms, from 0 */

    shift = 2 * INTERVAL - model->phase;

    if ((model->now + shift) / INTERVAL == (ms + shift) / INTERVAL) {
        assert_int_equal(due, 0);

    } else {
        assert_int_equal(due, 1);
        model->turns[++model->last].ms = model->now;
        model->turns[model->last].events = model->n;
    }
}


static void
reset(model_t *model)
{
    ngx_http_gray_turns_reset_locked(model->counters, ngx_time(), model->now);

    model->turns[++model->last].ms = model->now;
    model->turns[model->last].events = model->n;
    model->reset = model->last;
}


static void
rename_one(model_t *model, ngx_uint_t step)
{
    ngx_str_t   names[SLOTS], *name[SLOTS];
    ngx_uint_t  i, old, slot[SLOTS];

    old = draw(&model->seed) % SLOTS;
    (void) sprintf(model->names[old], "name-%lu", (unsigned long) step);

    for (i = 0; i < SLOTS; i++) {
        names[i] = string(model->names[i]);
        name[i] = &names[i];
    }

    ngx_http_gray_counters_assign_variants(model->counters, name, SLOTS, slot,
                                           1);

    for (i = 0; i < SLOTS; i++) {
        assert_int_equal(slot[i], i);
    }

    model->claims[old].ms = model->now;
    model->claims[old].events = model->n;
}


/*
 * Where a window begins: with the last turn that is old enough, of those that
 * are kept since the reset; else with the oldest of them.  For more than a
 * minute, those are every sixth one, and what came after the last of these.
 */

static turn_t
where(model_t *model, ngx_uint_t slot, ngx_uint_t seconds)
{
    turn_t      from, *claim;
    ngx_uint_t  i, lowest, six, sixth, kept;

    six = seconds > 60 ? 6 : 1;
    kept = seconds > 60 ? 61 * 6 : 7;

    sixth = model->last / six * six;
    lowest = sixth > kept ? sixth - kept : 0;
    lowest = ngx_max(model->reset, lowest);

    for (i = model->last; i > lowest; i--) {

        if (i < sixth && i % six) {
            continue;
        }

        if (model->turns[i].ms + seconds * SECONDS <= model->now) {
            break;
        }
    }

    from = model->turns[i];
    claim = &model->claims[slot];

    from.ms = ngx_max(from.ms, claim->ms);
    from.events = ngx_max(from.events, claim->events);

    return from;
}


/* what came since then */

static void
summarize(model_t *model, ngx_uint_t slot, ngx_uint_t from,
    ngx_http_gray_summary_t *summary)
{
    event_t     *event;
    ngx_uint_t   i;

    memset(summary, 0, sizeof(ngx_http_gray_summary_t));

    for (i = from; i < model->n; i++) {
        event = &model->events[i];

        if (event->slot != slot) {
            continue;
        }

        summary->codes[event->code] += event->n;

        if (event->reason == NGX_HTTP_GRAY_SPLIT
            || event->reason == NGX_HTTP_GRAY_RANDOM)
        {
            summary->drawn += event->n;
        }

        summary->absent += event->n;
        summary->failures += event->failures;
        summary->fallbacks += event->n;
        summary->streams += event->n;
        summary->header_ms += event->n * event->header;
        summary->total_ms += event->n * event->total;

        summary->header[ngx_http_gray_histogram_index(event->header)]
                                                                 += event->n;
        summary->total[ngx_http_gray_histogram_index(event->total)]
                                                                 += event->n;
    }
}


static void
assert_histogram(const uint64_t *found, const uint64_t *expected)
{
    double      q, low, high, count, off, sum;
    ngx_uint_t  i;

    count = (double) ngx_http_gray_histogram_count(expected);

    sum = 0;
    off = 0;

    for (i = 0; i < NGX_HTTP_GRAY_HISTOGRAM; i++) {
        sum += (double) expected[i];
        off += (double) expected[i] - (double) found[i];

        if (off < 0 || off > count * PACKED) {
            fail_msg("%.0f of %.0f up to bucket %lu, of %.0f, are missing",
                     off, sum, (unsigned long) i, count);
        }
    }

    for (q = 0.5; q < 1; q += 0.49) {
        sum = ngx_http_gray_histogram_quantile(found, q);
        low = ngx_http_gray_histogram_quantile(expected,
                                               ngx_max(q - PACKED, 0));
        high = ngx_http_gray_histogram_quantile(expected,
                                                ngx_min(q + PACKED, 1));

        if (count && (sum < low / BOUND || sum > high * BOUND)) {
            fail_msg("quantile %.2f is %f, not from %f to %f", q, sum, low,
                     high);
        }
    }
}


static void
check_window(model_t *model, ngx_uint_t slot, ngx_uint_t seconds)
{
    turn_t                   from;
    ngx_http_gray_summary_t  found, expected;

    assert_int_equal(ngx_http_gray_turns_window(model->counters, slot, seconds,
                                                model->now, &found),
                     NGX_OK);

    from = where(model, slot, seconds);
    assert_int_equal(found.ms, model->now - from.ms);

    summarize(model, slot, from.events, &expected);

    assert_histogram(found.header, expected.header);
    assert_histogram(found.total, expected.total);

    /* all else is as it was counted */

    expected.ms = found.ms;
    memcpy(found.header, expected.header, sizeof(found.header));
    memcpy(found.total, expected.total, sizeof(found.total));

    assert_memory_equal(&found, &expected, sizeof(found));
}


/* as it is promised: not less, and not more than an interval beyond */

static void
check_promise(model_t *model, ngx_uint_t slot, ngx_uint_t seconds)
{
    uint64_t                 all, most;
    ngx_http_gray_summary_t  found;

    (void) ngx_http_gray_turns_window(model->counters, slot, seconds,
                                      model->now, &found);

    all = model->now - model->turns[model->reset].ms;
    most = seconds * SECONDS + (seconds > 60 ? MINUTES : INTERVAL) + LATE;

    assert_true(found.ms >= ngx_min(seconds * SECONDS, all));
    assert_true(found.ms <= most);
}


static void
check_since(model_t *model, ngx_uint_t slot)
{
    time_t                   since;
    turn_t                  *reset, *claim;
    uint64_t                 ms, *count, *total;
    ngx_uint_t               i;
    ngx_http_gray_counts_t   counts, sum, before;
    ngx_http_gray_summary_t  found, expected;

    ngx_http_gray_turns_since(model->counters, slot, model->now, &counts, &ms,
                              &since);

    reset = &model->turns[model->reset];
    claim = &model->claims[slot];

    assert_int_equal(ms, model->now - ngx_max(reset->ms, claim->ms));
    assert_int_equal(since, ngx_max(reset->ms, claim->ms) / 1000);

    memset(&found, 0, sizeof(found));
    ngx_http_gray_tally_add(&found, &counts);
    summarize(model, slot, ngx_max(reset->events, claim->events), &expected);

    assert_memory_equal(&found, &expected, sizeof(found));

    /* and the sum is that of before, and these */

    if (model->reset == 0 || claim->events > reset->events) {
        ngx_http_gray_counters_sum(model->counters, slot, &sum);

        count = (uint64_t *) &counts;
        total = (uint64_t *) &sum;
        memset(&before, 0, sizeof(before));

        for (i = 0; i < sizeof(sum) / sizeof(uint64_t); i++) {
            assert_int_equal(total[i], count[i]);
        }
    }
}


static void
run(const kind_t *kind, uint64_t seed)
{
    ngx_uint_t       i, slot, seconds;
    static model_t   model;

    /* the last one is more than there is */

    static const ngx_uint_t  limits[] = { 10, 60, 61, 3600, 5000 };

    begin(&model, kind, seed);

    for (i = 0; i < STEPS; i++) {

        model.now += draw(&model.seed) % (LATE + 1);

        if (draw(&model.seed) % 100000 < kind->gaps) {
            model.now += draw(&model.seed)
                         % (draw(&model.seed) % 2 ? 600 : 20000) * SECONDS;
        }

        set_clock(model.now);

        if (draw(&model.seed) % 100000 < kind->renames) {
            rename_one(&model, i);
        }

        for (slot = draw(&model.seed) % 3; slot; slot--) {
            add(&model);
        }

        if (draw(&model.seed) % 100000 < kind->resets) {
            reset(&model);

        } else {
            tick(&model);
        }

        slot = draw(&model.seed) % SLOTS;
        seconds = 10 + draw(&model.seed)
                       % (draw(&model.seed) % 2 ? 60 : 3591);

        if (draw(&model.seed) % 4 == 0) {
            seconds = limits[draw(&model.seed) % ITEMS(limits)];
        }

        check_window(&model, slot, seconds);
        check_since(&model, slot);

        if (kind->gaps + kind->renames == 0 && seconds <= 3600) {
            check_promise(&model, slot, seconds);
        }
    }

    end(&model);
}


static void
test_history(void **state)
{
    ngx_uint_t  i;

    (void) state;

    for (i = 0; i < ITEMS(kinds); i++) {
        run(&kinds[i], i + 1);
    }
}


static void
ask(ngx_http_gray_counters_t *counters, ngx_msec_t now, answers_t *answers)
{
    ngx_uint_t  i, k;

    static const ngx_uint_t  seconds[] = { 10, 60, 300, 3600 };

    memset(answers, 0, sizeof(answers_t));

    for (i = 0; i <= SLOTS; i++) {
        for (k = 0; i < SLOTS && k < ITEMS(seconds); k++) {
            (void) ngx_http_gray_turns_window(counters, i, seconds[k], now,
                                              &answers->window[i][k]);
        }

        ngx_http_gray_turns_since(counters, i, now, &answers->since[i],
                                  &answers->ms[i], &answers->time[i]);
    }
}


static void
act(ngx_http_gray_counters_t *counters, ngx_uint_t resets, ngx_msec_t now)
{
    if (resets) {
        ngx_http_gray_turns_reset_locked(counters, ngx_time(), now);

    } else {
        ngx_http_gray_turns_tick(counters, now, 0);
    }
}


/*
 * A turn that ends early: at one of its calls, or where it writes first to a
 * page.  What is asked is answered as before, and another turn makes up for
 * it.  Returns 0 where it did not end.
 */

static ngx_uint_t
act_and_die(ngx_http_gray_counters_t *counters, ngx_uint_t resets,
    ngx_msec_t now, ngx_uint_t call, ngx_uint_t page, answers_t *before,
    answers_t *after)
{
    u_char               *p;
    answers_t             found;
    volatile ngx_uint_t   died;

    p = (u_char *) counters + page * ngx_pagesize;

    calls = 0;
    ending = call;
    died = 1;

    if (call == 0) {
        assert_int_equal(mprotect(p, ngx_pagesize, PROT_READ), 0);
    }

    if (sigsetjmp(ended, 1) == 0) {
        act(counters, resets, now);
        died = 0;
    }

    ending = 0;
    assert_int_equal(mprotect(p, ngx_pagesize, PROT_READ|PROT_WRITE), 0);

    if (died) {
        ask(counters, now, &found);
        assert_memory_equal(&found, before, sizeof(found));

        act(counters, resets, now);
    }

    ask(counters, now, &found);
    assert_memory_equal(&found, after, sizeof(found));

    return died;
}


static void
test_killed(void **state)
{
    size_t                     size;
    u_char                    *saved;
    event_t                    event;
    uint64_t                   seed;
    answers_t                  before, after;
    ngx_msec_t                 now;
    ngx_uint_t                 i, k, n, resets, pages, deaths;
    struct sigaction           sa, old;
    ngx_http_gray_counters_t  *counters;

    (void) state;

    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = die;
    assert_int_equal(sigaction(SIGSEGV, &sa, &old), 0);

    size = ngx_http_gray_counters_size(SLOTS, WORKERS);
    pages = (size + ngx_pagesize - 1) / ngx_pagesize;
    saved = malloc(size);
    assert_non_null(saved);

    counters = create(NOW);
    seed = 1;

    for (n = 1; n < 80; n++) {
        now = NOW + n * INTERVAL;
        set_clock(now);

        for (i = 0; i < 20; i++) {
            memset(&event, 0, sizeof(event));
            event.slot = draw(&seed) % SLOTS;
            event.reason = draw(&seed) % NGX_HTTP_GRAY_REASONS;
            event.code = draw(&seed) % NGX_HTTP_GRAY_CODES;
            event.n = 1 + draw(&seed) % 100;
            event.header = draw(&seed) % 10000;
            event.total = draw(&seed) % 10000;
            count(counters, i, &event);
        }

        if (n % 17 == 0) {
            ngx_http_gray_turns_reset_locked(counters, ngx_time(),
                                             now - INTERVAL / 2);
        }

        /* six turns, one of which ends a minute */

        for (resets = 0; n >= 72 && resets < 2; resets++) {
            memcpy(saved, counters, size);
            ask(counters, now, &before);
            act(counters, resets, now);
            ask(counters, now, &after);

            /* a turn alone changes nothing that is asked here */

            assert_int_equal(memcmp(&before, &after, sizeof(after)) != 0,
                             resets);

            deaths = 0;

            for (k = 0; k < pages; k++) {
                memcpy(counters, saved, size);
                deaths += act_and_die(counters, resets, now, 0, k, &before,
                                      &after);
            }

            assert_true(deaths > 3);

            for (k = 1; /* void */ ; k++) {
                memcpy(counters, saved, size);

                if (!act_and_die(counters, resets, now, k, 0, &before,
                                 &after))
                {
                    break;
                }
            }

            assert_true(k > (SLOTS + 1) * WORKERS);

            memcpy(counters, saved, size);
        }

        ngx_http_gray_turns_tick(counters, now, 0);
    }

    assert_int_equal(sigaction(SIGSEGV, &old, NULL), 0);

    free(saved);
    destroy(counters);
}


/* what was counted before all the turns is in the window of each of them */

typedef struct {
    ngx_http_gray_counters_t  *counters;
    uint64_t                   now;
    ngx_atomic_t               done;
    ngx_atomic_t               started;
    ngx_uint_t                 wrong;
    ngx_uint_t                 reads;
} beside_t;


static void *
read_beside(void *data)
{
    beside_t *beside = data;

    uint64_t                 now;
    ngx_http_gray_summary_t  summary;

    __atomic_store_n(&beside->started, 1, __ATOMIC_SEQ_CST);

    while (!__atomic_load_n(&beside->done, __ATOMIC_SEQ_CST)) {
        now = __atomic_load_n(&beside->now, __ATOMIC_SEQ_CST);

        (void) ngx_http_gray_turns_window(beside->counters, 1, 3600, now,
                                          &summary);

        beside->reads++;
        beside->wrong += (summary.codes[1] != 1000
                          || summary.fallbacks != 1000
                          || summary.header[9] != 1000);
    }

    return NULL;
}


static void
test_beside(void **state)
{
    event_t     event;
    beside_t    beside;
    pthread_t   tid;
    ngx_uint_t  i;

    (void) state;

    memset(&event, 0, sizeof(event));
    event.slot = 1;
    event.code = 1;
    event.n = 1000;
    event.header = 2;

    memset(&beside, 0, sizeof(beside));
    beside.counters = create(NOW);
    beside.now = NOW;
    count(beside.counters, 0, &event);


    assert_int_equal(ngx_http_gray_histogram_index(2), 9);
    assert_int_equal(pthread_create(&tid, NULL, read_beside, &beside), 0);

    while (!__atomic_load_n(&beside.started, __ATOMIC_SEQ_CST)) {
        sched_yield();
    }

    for (i = 0; i < 350; i++) {
        ngx_http_gray_turns_tick(beside.counters, NOW + i * INTERVAL, 0);
        __atomic_store_n(&beside.now, NOW + i * INTERVAL, __ATOMIC_SEQ_CST);
        usleep(1000);
    }

    __atomic_store_n(&beside.done, 1, __ATOMIC_SEQ_CST);
    assert_int_equal(pthread_join(tid, NULL), 0);

    assert_true(beside.reads > 100);
    assert_int_equal(beside.wrong, 0);

    destroy(beside.counters);
}


static void
test_saturation(void **state)
{
    event_t                    event;
    ngx_uint_t                 i;
    ngx_http_gray_summary_t    summary;
    ngx_http_gray_counters_t  *counters;

    static const uint64_t  n = 5000000000;

    (void) state;

    counters = create(NOW);

    memset(&event, 0, sizeof(event));
    event.reason = NGX_HTTP_GRAY_SPLIT;
    event.n = n;
    event.header = 7;
    count(counters, 0, &event);

    (void) ngx_http_gray_turns_window(counters, 0, 60, NOW + 1, &summary);
    assert_int_equal(summary.codes[0], n);
    assert_int_equal(summary.drawn, n);

    for (i = 1; i < 20; i++) {
        ngx_http_gray_turns_tick(counters, NOW + i * INTERVAL, 0);

        (void) ngx_http_gray_turns_window(counters, 0, 600,
                                          NOW + i * INTERVAL, &summary);

        assert_int_equal(summary.codes[0], UINT32_MAX);
        assert_int_equal(summary.drawn, UINT32_MAX);
        assert_int_equal(summary.absent, UINT32_MAX);
        assert_int_equal(summary.fallbacks, UINT32_MAX);
        assert_int_equal(summary.streams, UINT32_MAX);
        assert_int_equal(summary.failures, 0);
        assert_int_equal(summary.header_ms, 7 * n);
        assert_in_range(ngx_http_gray_histogram_count(summary.header),
                        n - n / 16384, n);
    }

    destroy(counters);
}


static void
test_back(void **state)
{
    time_t                     since;
    event_t                    event;
    uint64_t                   ms;
    ngx_uint_t                 i;
    ngx_http_gray_counts_t     counts;
    ngx_http_gray_summary_t    summary;
    ngx_http_gray_counters_t  *counters;

    (void) state;

    counters = create(NOW);

    memset(&event, 0, sizeof(event));
    event.n = 1;

    for (i = 1; i < 100; i++) {
        count(counters, 0, &event);
        ngx_http_gray_turns_tick(counters, NOW + i * INTERVAL, 0);
    }

    /* by a minute, and to before all that */

    count(counters, 0, &event);

    ngx_http_gray_turns_tick(counters, NOW + 93 * INTERVAL, 0);
    ngx_http_gray_turns_tick(counters, 1, 0);
    ngx_http_gray_turns_tick(counters, 0, 0);

    (void) ngx_http_gray_turns_window(counters, 0, 60, NOW + 93 * INTERVAL,
                                      &summary);
    assert_int_equal(summary.codes[0], 8);
    assert_int_equal(summary.ms, INTERVAL);

    (void) ngx_http_gray_turns_window(counters, 0, 3600, 0, &summary);
    assert_int_equal(summary.codes[0], 100);
    assert_int_equal(summary.ms, 0);

    ngx_http_gray_turns_since(counters, 0, 5, &counts, &ms, &since);
    assert_int_equal(counts.fallbacks, 100);
    assert_int_equal(ms, 0);

    /* it comes to where it was: no turn was made, and none is missing */

    (void) ngx_http_gray_turns_window(counters, 0, 60, NOW + 99 * INTERVAL,
                                      &summary);
    assert_int_equal(summary.codes[0], 7);
    assert_int_equal(summary.ms, 60000);

    /* a reset then, and on from there */

    ngx_http_gray_turns_reset_locked(counters, 7, 1000);
    count(counters, 0, &event);

    for (i = 1; i < 20; i++) {
        ngx_http_gray_turns_tick(counters, i * INTERVAL, 0);
    }

    (void) ngx_http_gray_turns_window(counters, 1, 3600, 200000, &summary);
    assert_int_equal(summary.ms, 0);

    (void) ngx_http_gray_turns_window(counters, 0, 3600, 200000, &summary);
    assert_int_equal(summary.codes[0], 1);

    destroy(counters);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_beside),
        cmocka_unit_test(test_saturation),
        cmocka_unit_test(test_back),
    };

    ngx_time_init();
    ngx_pagesize = getpagesize();

    return cmocka_run_group_tests_name("turns", tests, NULL, NULL);
}
