
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The rollout of a release, in the shared zone.
 *
 * The state lies there twice, and a word says which of them is in force: a
 * process that is killed while it writes has changed nothing.  It is written
 * with the zone's lock, by one process at a time, and read without one.  The
 * log of what happened is written before the state that it led to, so what
 * happened may be there twice, but is never lost; its readers look at a number
 * that is odd while it is written.
 *
 * Workers count for guards in records of their own, as in
 * ngx_http_gray_counters.c; what they go by lies beside the state: the revision
 * by which a request must have been decided to be of the step, and the limits
 * of times.  A plan that is not the one of the state is not counted by.
 *
 * Most requests are good: whether one may be bad to any guard is told by a mask
 * of classes in the plan and the least of the limits, before guards are asked.
 *
 * Keys.  Where the unit is a key, only its first bad request counts, for each
 * watch.  Which keys these were is kept in a Bloom filter of five bits a key,
 * all of one word: it holds no key, cannot be asked for one, and is right but
 * for the chance that it takes a new key for an old one, less than 1 in 16
 * while it is not half full; that happens to both arms alike.  For the split,
 * new keys are counted of a sixteenth of all, and once a quarter of it is full,
 * of less of these, and of slow ones for quantiles, lest they fill it.
 *
 * Whom another variant had is not new either.  Where such a variant loses
 * weight, all of its keys come to one arm, and none to the other: were they
 * counted, the split would be off though nothing is wrong.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <math.h>

#include "ngx_http_gray_trial.h"


#define NGX_HTTP_GRAY_TRIAL_WORKERS  16     /* more share them, by modulo */
#define NGX_HTTP_GRAY_TRIAL_ARMS     2
#define NGX_HTTP_GRAY_TRIAL_TRIES    100
#define NGX_HTTP_GRAY_TRIAL_NEVER    UINT64_MAX

/* what a request is that may count for a guard: bits */

#define NGX_HTTP_GRAY_TRIAL_CURRENT  1      /* of the step */
#define NGX_HTTP_GRAY_TRIAL_SLOW     2      /* to one of the guards */
#define NGX_HTTP_GRAY_TRIAL_SAMPLED  4      /* its key is, for the split */

#define NGX_HTTP_GRAY_TRIAL_WORDS    (NGX_HTTP_GRAY_TRIAL_FILTER / 8)

/*
 * What a key takes of the bits of a word that were clear: 1 - (63/64)^5; and
 * how many keys fill 1/4, and 3/8, of all bits: -ln (1 - part) / that, a word.
 */

#define NGX_HTTP_GRAY_TRIAL_TAKEN    0.0757244
#define NGX_HTTP_GRAY_TRIAL_KEYS_1   (NGX_HTTP_GRAY_TRIAL_WORDS * 38 / 10)
#define NGX_HTTP_GRAY_TRIAL_KEYS_2   (NGX_HTTP_GRAY_TRIAL_WORDS * 62 / 10)


struct ngx_http_gray_trial_s {
    uint64_t                  word;         /* states so far, shifted by one,
                                               and which is in force */
    ngx_http_gray_state_t     state[2];

    /* the log: odd while it is written */

    uint64_t                  turn;
    uint64_t                  events;
    ngx_http_gray_event_t     event[NGX_HTTP_GRAY_TRIAL_EVENTS];
    uint64_t                  told[NGX_HTTP_GRAY_PLAN_HOOKS];
    uint64_t                  transitions[NGX_HTTP_GRAY_STAGES]
                                         [NGX_HTTP_GRAY_CAUSES];

    /* for workers: by which plan, and from which revision on, they count */

    uint64_t                  plan;
    uint64_t                  from;
    uint32_t                  limit[NGX_HTTP_GRAY_PLAN_WATCHES]
                                   [NGX_HTTP_GRAY_TRIAL_ARMS];
    uint32_t                  least[NGX_HTTP_GRAY_TRIAL_ARMS];

    uint64_t                  keys;         /* in the filter, of each watch */

    uint64_t                  workers;
    size_t                    counts;       /* offsets in bytes, from here */
    size_t                    filter;       /* or 0 */
    size_t                    size;
};


static size_t ngx_http_gray_trial_layout(ngx_http_gray_trial_t *trial,
    ngx_uint_t workers, ngx_uint_t filter);
static void ngx_http_gray_trial_log_locked(ngx_http_gray_trial_t *trial,
    const ngx_http_gray_event_t *event);
static void ngx_http_gray_trial_store_locked(ngx_http_gray_trial_t *trial,
    const ngx_http_gray_state_t *state);
static void ngx_http_gray_trial_steer(ngx_http_gray_trial_t *trial,
    const ngx_http_gray_state_t *state);
static ngx_http_gray_sample_t *ngx_http_gray_trial_sample(
    ngx_http_gray_trial_t *trial, ngx_uint_t worker, ngx_uint_t arm);
static ngx_inline uint32_t ngx_http_gray_trial_least(
    ngx_http_gray_trial_t *trial, const ngx_http_gray_trial_request_t *request);
static void ngx_http_gray_trial_other(ngx_http_gray_trial_t *trial,
    const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_trial_request_t *request);
static void ngx_http_gray_trial_judge(ngx_http_gray_trial_t *trial,
    const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_trial_request_t *request,
    ngx_http_gray_sample_t *sample, uint64_t hash, ngx_uint_t is)
    __attribute__((noinline));
static void ngx_http_gray_trial_slow(ngx_http_gray_trial_t *trial,
    const ngx_http_gray_guard_t *guard,
    const ngx_http_gray_trial_request_t *request,
    ngx_http_gray_sample_t *sample, uint64_t hash, uint64_t mask);
static ngx_uint_t ngx_http_gray_trial_new(ngx_http_gray_trial_t *trial,
    ngx_uint_t watch, uint64_t hash, uint64_t mask);
static ngx_uint_t ngx_http_gray_trial_thinned(ngx_http_gray_trial_t *trial,
    uint64_t hash);
static ngx_inline ngx_uint_t ngx_http_gray_trial_first(
    ngx_http_gray_trial_t *trial, ngx_uint_t watch, uint64_t hash,
    uint64_t mask);
static ngx_inline uint64_t ngx_http_gray_trial_mix(uint64_t hash);
static ngx_inline uint64_t ngx_http_gray_trial_mask(uint64_t hash);
static ngx_inline uint64_t ngx_http_gray_trial_bit(uint64_t hash);
static ngx_inline ngx_uint_t ngx_http_gray_trial_add(
    ngx_http_gray_trial_t *trial, ngx_uint_t watch, uint64_t hash,
    uint64_t mask);


static ngx_inline void
ngx_http_gray_trial_inc(uint64_t *counter)
{
    (void) __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}


size_t
ngx_http_gray_trial_size(ngx_uint_t workers, ngx_uint_t filter)
{
    ngx_http_gray_trial_t  trial;

    return ngx_http_gray_trial_layout(&trial, workers, filter);
}


static size_t
ngx_http_gray_trial_layout(ngx_http_gray_trial_t *trial, ngx_uint_t workers,
    ngx_uint_t filter)
{
    workers = ngx_min(workers, NGX_HTTP_GRAY_TRIAL_WORKERS);
    workers = ngx_max(workers, 1);

    trial->workers = workers;
    trial->counts = ngx_align(sizeof(ngx_http_gray_trial_t), 64);
    trial->size = trial->counts
                  + workers * NGX_HTTP_GRAY_TRIAL_ARMS
                    * ngx_align(sizeof(ngx_http_gray_sample_t), 64);
    trial->filter = 0;

    if (filter) {
        trial->filter = trial->size;
        trial->size += NGX_HTTP_GRAY_TRIAL_FILTER;
    }

    return trial->size;
}


/* the filter takes no memory until it is used */

void
ngx_http_gray_trial_init(ngx_http_gray_trial_t *trial, ngx_uint_t workers,
    ngx_uint_t filter)
{
    size_t  size;

    size = ngx_http_gray_trial_size(workers, 0);

    ngx_memzero(trial, size);
    (void) ngx_http_gray_trial_layout(trial, workers, filter);

    trial->from = NGX_HTTP_GRAY_TRIAL_NEVER;
}


uint64_t
ngx_http_gray_trial_word(ngx_http_gray_trial_t *trial)
{
    return __atomic_load_n(&trial->word, __ATOMIC_ACQUIRE);
}


ngx_uint_t
ngx_http_gray_trial_begun(ngx_http_gray_trial_t *trial)
{
    return __atomic_load_n(&trial->events, __ATOMIC_RELAXED) != 0;
}


void
ngx_http_gray_trial_read(ngx_http_gray_trial_t *trial,
    ngx_http_gray_state_t *state)
{
    uint64_t    word;
    ngx_uint_t  tries;

    for (tries = 0; tries < NGX_HTTP_GRAY_TRIAL_TRIES; tries++) {
        word = ngx_http_gray_trial_word(trial);

        ngx_memcpy(state, &trial->state[word & 1],
                   sizeof(ngx_http_gray_state_t));

        __atomic_thread_fence(__ATOMIC_ACQUIRE);

        if (ngx_http_gray_trial_word(trial) == word) {
            return;
        }
    }
}


/* who died while he wrote has left an odd number: it is as good as it gets */

void
ngx_http_gray_trial_record(ngx_http_gray_trial_t *trial,
    ngx_http_gray_trial_record_t *record)
{
    uint64_t    turn;
    ngx_uint_t  tries;

    for (tries = 0; tries < NGX_HTTP_GRAY_TRIAL_TRIES; tries++) {
        turn = __atomic_load_n(&trial->turn, __ATOMIC_ACQUIRE);

        record->events = trial->events;
        ngx_memcpy(record->event, trial->event, sizeof(record->event));
        ngx_memcpy(record->told, trial->told, sizeof(record->told));
        ngx_memcpy(record->transitions, trial->transitions,
                   sizeof(record->transitions));

        ngx_http_gray_trial_read(trial, &record->state);

        __atomic_thread_fence(__ATOMIC_ACQUIRE);

        if ((turn & 1) == 0
            && __atomic_load_n(&trial->turn, __ATOMIC_RELAXED) == turn)
        {
            return;
        }
    }
}


void
ngx_http_gray_trial_write_locked(ngx_http_gray_trial_t *trial,
    const ngx_http_gray_state_t *state,
    const ngx_http_gray_outcomes_t *outcomes)
{
    ngx_uint_t  i;

    if (outcomes->events) {
        __atomic_store_n(&trial->turn, trial->turn | 1, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);

        for (i = 0; i < outcomes->events; i++) {
            ngx_http_gray_trial_log_locked(trial, &outcomes->event[i]);
        }

        __atomic_store_n(&trial->turn, trial->turn + 1, __ATOMIC_RELEASE);
    }

    ngx_http_gray_trial_store_locked(trial, state);
}


static void
ngx_http_gray_trial_log_locked(ngx_http_gray_trial_t *trial,
    const ngx_http_gray_event_t *event)
{
    uint64_t                id;
    ngx_http_gray_event_t  *slot;

    id = trial->events + 1;
    slot = &trial->event[id % NGX_HTTP_GRAY_TRIAL_EVENTS];

    *slot = *event;
    slot->id = id;

    __atomic_store_n(&trial->events, id, __ATOMIC_RELEASE);

    if (event->hook != NGX_HTTP_GRAY_HOOK_GATE) {
        ngx_http_gray_trial_inc(
                             &trial->transitions[event->to][event->cause]);
    }
}


static void
ngx_http_gray_trial_store_locked(ngx_http_gray_trial_t *trial,
    const ngx_http_gray_state_t *state)
{
    uint64_t    word;
    ngx_uint_t  next;

    word = trial->word;
    next = !(word & 1);

    /* a reader who sees a byte of this sees that the word is another, too */

    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    trial->state[next] = *state;

    __atomic_store_n(&trial->word, ((word >> 1) + 1) << 1 | next,
                     __ATOMIC_RELEASE);

    ngx_http_gray_trial_steer(trial, state);
}


/* what workers count by follows */

static void
ngx_http_gray_trial_steer(ngx_http_gray_trial_t *trial,
    const ngx_http_gray_state_t *state)
{
    uint32_t    limit, least;
    ngx_uint_t  i, arm;

    for (arm = 0; arm < NGX_HTTP_GRAY_TRIAL_ARMS; arm++) {
        least = NGX_HTTP_GRAY_GUARDS_NEVER;

        for (i = 0; i < NGX_HTTP_GRAY_PLAN_WATCHES; i++) {
            limit = state->cold ? NGX_HTTP_GRAY_GUARDS_NEVER
                                : state->guards.limit[i][arm];
            least = ngx_min(least, limit);

            __atomic_store_n(&trial->limit[i][arm], limit, __ATOMIC_RELAXED);
        }

        __atomic_store_n(&trial->least[arm], least, __ATOMIC_RELAXED);
    }

    __atomic_store_n(&trial->plan, state->plan, __ATOMIC_RELAXED);
    __atomic_store_n(&trial->from, ngx_http_gray_stage_active(state)
                                   ? state->from : NGX_HTTP_GRAY_TRIAL_NEVER,
                     __ATOMIC_RELEASE);
}


void
ngx_http_gray_trial_restore_locked(ngx_http_gray_trial_t *trial,
    const ngx_http_gray_trial_record_t *record)
{
    __atomic_store_n(&trial->turn, trial->turn | 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    trial->events = record->events;
    ngx_memcpy(trial->event, record->event, sizeof(record->event));
    ngx_memcpy(trial->told, record->told, sizeof(record->told));
    ngx_memcpy(trial->transitions, record->transitions,
               sizeof(record->transitions));

    __atomic_store_n(&trial->turn, trial->turn + 1, __ATOMIC_RELEASE);

    ngx_http_gray_trial_store_locked(trial, &record->state);
}


void
ngx_http_gray_trial_told(ngx_http_gray_trial_t *trial, ngx_uint_t i,
    uint64_t id)
{
    uint64_t  told;

    told = __atomic_load_n(&trial->told[i], __ATOMIC_RELAXED);

    while (told < id
           && !__atomic_compare_exchange_n(&trial->told[i], &told, id, 0,
                                           __ATOMIC_RELAXED, __ATOMIC_RELAXED))
    {
        /* void */
    }
}


void
ngx_http_gray_trial_sum(ngx_http_gray_trial_t *trial, ngx_uint_t arm,
    ngx_http_gray_sample_t *sample)
{
    uint64_t    *to, *from;
    ngx_uint_t   i, k;

    ngx_memzero(sample, sizeof(ngx_http_gray_sample_t));

    to = (uint64_t *) sample;

    for (i = 0; i < trial->workers; i++) {
        from = (uint64_t *) ngx_http_gray_trial_sample(trial, i, arm);

        for (k = 0; k < sizeof(ngx_http_gray_sample_t) / sizeof(uint64_t); k++)
        {
            to[k] += __atomic_load_n(&from[k], __ATOMIC_RELAXED);
        }
    }
}


static ngx_http_gray_sample_t *
ngx_http_gray_trial_sample(ngx_http_gray_trial_t *trial, ngx_uint_t worker,
    ngx_uint_t arm)
{
    ngx_uint_t  n;

    n = worker % trial->workers * NGX_HTTP_GRAY_TRIAL_ARMS
        + (arm - NGX_HTTP_GRAY_TRIAL_BASELINE);

    return (ngx_http_gray_sample_t *)
           ((u_char *) trial + trial->counts
            + n * ngx_align(sizeof(ngx_http_gray_sample_t), 64));
}


/*
 * Keys fall on words as in a Poisson distribution, so this is what is expected
 * of so many.  Those that were taken for old ones have set no bits.
 */

double
ngx_http_gray_trial_filled(ngx_http_gray_trial_t *trial)
{
    double  keys;

    if (trial->filter == 0) {
        return -1;
    }

    keys = (double) __atomic_load_n(&trial->keys, __ATOMIC_RELAXED);

    return 1 - exp(-keys / NGX_HTTP_GRAY_TRIAL_WORDS
                   * NGX_HTTP_GRAY_TRIAL_TAKEN);
}


/* a key that is added meanwhile may be counted, and be gone: there are many */

void
ngx_http_gray_trial_forget(ngx_http_gray_trial_t *trial)
{
    if (trial->filter && __atomic_load_n(&trial->keys, __ATOMIC_RELAXED)) {
        ngx_memzero((u_char *) trial + trial->filter,
                    NGX_HTTP_GRAY_TRIAL_FILTER);
        __atomic_store_n(&trial->keys, 0, __ATOMIC_RELAXED);
    }
}


void
ngx_http_gray_trial_count(ngx_http_gray_trial_t *trial,
    const ngx_http_gray_plan_t *plan, ngx_uint_t worker,
    const ngx_http_gray_trial_request_t *request)
{
    uint64_t                 from, hash;
    ngx_uint_t               bad, is;
    ngx_http_gray_sample_t  *sample;

    from = __atomic_load_n(&trial->from, __ATOMIC_ACQUIRE);

    if (from == NGX_HTTP_GRAY_TRIAL_NEVER
        || __atomic_load_n(&trial->plan, __ATOMIC_RELAXED) != plan->id)
    {
        return;
    }

    if (request->arm == NGX_HTTP_GRAY_TRIAL_OTHER) {

        if (request->drawn && request->revision >= from) {
            ngx_http_gray_trial_other(trial, plan, request);
        }

        return;
    }

    bad = plan->bad & (ngx_uint_t) 1 << request->code;

    /* who did not wait for an answer does not know that all is well */

    if (request->code == NGX_HTTP_GRAY_499
        && request->header == (ngx_msec_t) -1
        && !bad)
    {
        return;
    }

    sample = ngx_http_gray_trial_sample(trial, worker, request->arm);
    is = (request->drawn && request->revision >= from)
         ? NGX_HTTP_GRAY_TRIAL_CURRENT : 0;

    ngx_http_gray_trial_inc(&sample->all);

    if (is) {
        ngx_http_gray_trial_inc(&sample->step);
    }

    if (request->header != (ngx_msec_t) -1) {
        ngx_http_gray_trial_inc(&sample->all_timed);

        if (is) {
            ngx_http_gray_trial_inc(&sample->step_timed);
        }

        if (request->header > ngx_http_gray_trial_least(trial, request)) {
            is |= NGX_HTTP_GRAY_TRIAL_SLOW;
        }
    }

    /* a good request has no need of its key, but for the split */

    if (!bad && !plan->split && !(is & ~NGX_HTTP_GRAY_TRIAL_CURRENT)) {
        return;
    }

    hash = (plan->key && trial->filter)
           ? ngx_http_gray_trial_mix(request->hash) : 0;

    if (plan->split && hash && (hash & 15) == 0) {
        is |= NGX_HTTP_GRAY_TRIAL_SAMPLED;
    }

    if (bad || (is & ~NGX_HTTP_GRAY_TRIAL_CURRENT)) {
        ngx_http_gray_trial_judge(trial, plan, request, sample, hash, is);
    }
}


/* of neither arm: the key is known from now on */

static void
ngx_http_gray_trial_other(ngx_http_gray_trial_t *trial,
    const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_trial_request_t *request)
{
    uint64_t    hash;
    ngx_uint_t  i;

    if (!plan->split || !plan->key || trial->filter == 0) {
        return;
    }

    hash = ngx_http_gray_trial_mix(request->hash);

    if (hash == 0 || (hash & 15)) {
        return;
    }

    for (i = 0; i < plan->guards; i++) {

        if (plan->guard[i].kind == NGX_HTTP_GRAY_GUARD_SHARE) {
            (void) ngx_http_gray_trial_new(trial, plan->guard[i].watch, hash,
                                           ngx_http_gray_trial_mask(hash));
        }
    }
}


/* asks each guard; not inline, so that a good request saves no registers */

static void
ngx_http_gray_trial_judge(ngx_http_gray_trial_t *trial,
    const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_trial_request_t *request,
    ngx_http_gray_sample_t *sample, uint64_t hash, ngx_uint_t is)
{
    uint64_t                      mask;
    ngx_uint_t                    i, bad;
    const ngx_http_gray_guard_t  *guard;

    mask = ngx_http_gray_trial_mask(hash);
    bad = (ngx_uint_t) 1 << request->code;

    for (i = 0; i < plan->guards; i++) {
        guard = &plan->guard[i];

        if (!(is & NGX_HTTP_GRAY_TRIAL_CURRENT)
            && guard->kind != NGX_HTTP_GRAY_GUARD_ABSOLUTE
            && guard->kind != NGX_HTTP_GRAY_GUARD_SLOW)
        {
            continue;
        }

        if (guard->bad) {
            if ((guard->bad & bad)
                && ngx_http_gray_trial_first(trial, guard->watch, hash, mask))
            {
                ngx_http_gray_trial_inc(&sample->bad[guard->watch]);
            }

        } else if (guard->kind != NGX_HTTP_GRAY_GUARD_SHARE) {
            if (is & NGX_HTTP_GRAY_TRIAL_SLOW) {
                ngx_http_gray_trial_slow(trial, guard, request, sample, hash,
                                         mask);
            }

        } else if ((is & NGX_HTTP_GRAY_TRIAL_SAMPLED)
                   && ngx_http_gray_trial_new(trial, guard->watch, hash, mask))
        {
            ngx_http_gray_trial_inc(&sample->keys);
        }
    }
}


static ngx_inline uint32_t
ngx_http_gray_trial_least(ngx_http_gray_trial_t *trial,
    const ngx_http_gray_trial_request_t *request)
{
    return __atomic_load_n(&trial->least[request->arm
                                         - NGX_HTTP_GRAY_TRIAL_BASELINE],
                           __ATOMIC_RELAXED);
}


/* a request that is slower than the least of all limits */

static void
ngx_http_gray_trial_slow(ngx_http_gray_trial_t *trial,
    const ngx_http_gray_guard_t *guard,
    const ngx_http_gray_trial_request_t *request,
    ngx_http_gray_sample_t *sample, uint64_t hash, uint64_t mask)
{
    uint32_t    limit;
    ngx_uint_t  i, watch;

    if (hash
        && guard->kind == NGX_HTTP_GRAY_GUARD_LATENCY
        && !ngx_http_gray_trial_thinned(trial, hash))
    {
        return;
    }

    for (i = 0; i < guard->watches; i++) {
        watch = guard->watch + i;
        limit = __atomic_load_n(&trial->limit[watch]
                             [request->arm - NGX_HTTP_GRAY_TRIAL_BASELINE],
                                __ATOMIC_RELAXED);

        if (request->header > limit
            && limit != NGX_HTTP_GRAY_GUARDS_NEVER
            && ngx_http_gray_trial_first(trial, watch, hash, mask))
        {
            ngx_http_gray_trial_inc(&sample->bad[watch]);
        }
    }
}


/*
 * A key of the sixteenth, for the split, that has not come before.  It is
 * thinned by bits of the hash of which neither its word nor its mask is made.
 */

static ngx_uint_t
ngx_http_gray_trial_new(ngx_http_gray_trial_t *trial, ngx_uint_t watch,
    uint64_t hash, uint64_t mask)
{
    return ngx_http_gray_trial_thinned(trial, hash >> 22)
           && ngx_http_gray_trial_add(trial, watch, hash, mask);
}


/*
 * Of a quantile many keys are slow, if it is the median every other one, and
 * all keys are new once: there are to be fewer of them while the filter fills,
 * of both arms alike.
 */

static ngx_uint_t
ngx_http_gray_trial_thinned(ngx_http_gray_trial_t *trial, uint64_t hash)
{
    uint64_t  keys;

    keys = __atomic_load_n(&trial->keys, __ATOMIC_RELAXED);

    if (keys < NGX_HTTP_GRAY_TRIAL_KEYS_1) {
        return 1;
    }

    if (keys < NGX_HTTP_GRAY_TRIAL_KEYS_2) {
        return (hash & 15) == 0;
    }

    return (hash & 255) == 0;
}


/* does it count: is it the first one of its key, if that is the unit? */

static ngx_inline ngx_uint_t
ngx_http_gray_trial_first(ngx_http_gray_trial_t *trial, ngx_uint_t watch,
    uint64_t hash, uint64_t mask)
{
    return mask == 0 || ngx_http_gray_trial_add(trial, watch, hash, mask);
}


/* the finalizer of SplitMix64: of 0 it is 0 */

static ngx_inline uint64_t
ngx_http_gray_trial_mix(uint64_t hash)
{
    hash ^= hash >> 30;
    hash *= 0xbf58476d1ce4e5b9;
    hash ^= hash >> 27;
    hash *= 0x94d049bb133111eb;

    return hash ^ hash >> 31;
}


/* five bits by the high half of a hash; the low one has the word and samples */

static ngx_inline uint64_t
ngx_http_gray_trial_mask(uint64_t hash)
{
    if (hash == 0) {
        return 0;
    }

    hash >>= 32;

    return ngx_http_gray_trial_bit(hash) | ngx_http_gray_trial_bit(hash >> 6)
           | ngx_http_gray_trial_bit(hash >> 12)
           | ngx_http_gray_trial_bit(hash >> 18)
           | ngx_http_gray_trial_bit(hash >> 24);
}


static ngx_inline uint64_t
ngx_http_gray_trial_bit(uint64_t hash)
{
    return (uint64_t) 1 << (hash & 63);
}


/* 1 where it was not there; each watch has another word for it */

static ngx_inline ngx_uint_t
ngx_http_gray_trial_add(ngx_http_gray_trial_t *trial, ngx_uint_t watch,
    uint64_t hash, uint64_t mask)
{
    uint64_t  *word, old;

    word = (uint64_t *) ((u_char *) trial + trial->filter)
           + (hash >> 8 ^ watch << 10) % NGX_HTTP_GRAY_TRIAL_WORDS;

    old = __atomic_load_n(word, __ATOMIC_RELAXED);

    do {
        if ((mask & ~old) == 0) {
            return 0;
        }

    } while (!__atomic_compare_exchange_n(word, &old, old | mask, 0,
                                          __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));

    ngx_http_gray_trial_inc(&trial->keys);

    return 1;
}
