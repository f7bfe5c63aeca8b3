
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * What counters have come to, since a time.
 *
 * Turns.  A turn, by one process at a time and under the lock, sums up all
 * workers into a record that is not in use, writes what came since the last
 * turn into the ring, and then stores one word: the number of the turn, the
 * record of its sums, and that of the last reset.  A reset is a turn whose sums
 * are both.  Whoever dies before the store has changed nothing that is read,
 * and the turn is made again.  A ring has one place more than may be read, and
 * a reader looks at the word again when it is through.
 *
 * Rings.  Counts are those of an interval, in 32 bits, and histograms are
 * packed; a minute is the sum of six intervals.  One more of either is kept
 * than makes up a minute, or an hour: turns are late by a moment, and some
 * later than others.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_turns.h"


#define NGX_HTTP_GRAY_TURNS_INTERVAL  10000    /* ms */
#define NGX_HTTP_GRAY_TURNS_TRIES     10


/* the word: records of sums have two bits each */

#define ngx_http_gray_turns_word(turn, last, reset)                           \
    ((turn) << 4 | (reset) << 2 | (last))

#define ngx_http_gray_turns_turn(word)   ((word) >> 4)
#define ngx_http_gray_turns_reset(word)  ((word) >> 2 & 3)
#define ngx_http_gray_turns_last(word)   ((word) & 3)


/* a window, as far as it was read: from now backwards */

typedef struct {
    uint64_t    turn;               /* the next to be read, */
    uint64_t    from;               /* which ends then */
    uint64_t    start;              /* the turn at which all begins */
    uint64_t    target;             /* the time, likewise */
} ngx_http_gray_span_t;


static void ngx_http_gray_turns_read_since(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, uint64_t word, ngx_msec_t now,
    ngx_http_gray_counts_t *counts, uint64_t *ms, time_t *since);
static uint64_t ngx_http_gray_turns_load(ngx_http_gray_counters_t *counters);
static ngx_uint_t ngx_http_gray_turns_changed(
    ngx_http_gray_counters_t *counters, uint64_t word);
static uint64_t ngx_http_gray_turns_less(uint64_t one, uint64_t other);
static void ngx_http_gray_turns_read_window(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, uint64_t word, ngx_uint_t seconds, ngx_msec_t now,
    ngx_http_gray_summary_t *summary);
static void ngx_http_gray_turns_read_shorts(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_uint_t minutes, ngx_http_gray_span_t *span,
    ngx_http_gray_summary_t *summary);
static void ngx_http_gray_turns_read_longs(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_http_gray_span_t *span,
    ngx_http_gray_summary_t *summary);
static void ngx_http_gray_turns_make(ngx_http_gray_counters_t *counters,
    ngx_uint_t reset, time_t time, ngx_msec_t now);
static void ngx_http_gray_turns_interval(ngx_http_gray_counters_t *counters,
    uint64_t turn, ngx_uint_t next, ngx_uint_t last);
static void ngx_http_gray_turns_minute(ngx_http_gray_counters_t *counters,
    uint64_t turn, uint64_t start);


void
ngx_http_gray_turns_since(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_msec_t now, ngx_http_gray_counts_t *counts,
    uint64_t *ms, time_t *since)
{
    uint64_t    word;
    ngx_uint_t  tries;

    tries = 0;

    do {
        word = ngx_http_gray_turns_load(counters);

        ngx_http_gray_turns_read_since(counters, slot, word, now, counts, ms,
                                       since);

    } while (ngx_http_gray_turns_changed(counters, word)
             && ++tries < NGX_HTTP_GRAY_TURNS_TRIES);
}


static void
ngx_http_gray_turns_read_since(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, uint64_t word, ngx_msec_t now,
    ngx_http_gray_counts_t *counts, uint64_t *ms, time_t *since)
{
    ngx_uint_t              reset;
    ngx_http_gray_made_t   *made;
    ngx_http_gray_claim_t  *claim;

    reset = ngx_http_gray_turns_reset(word);
    made = &ngx_http_gray_counters_turns(counters)->made[reset];
    claim = &ngx_http_gray_counters_names(counters)[slot];

    ngx_http_gray_counters_sum(counters, slot, counts);
    ngx_http_gray_tally_subtract(counts,
                          ngx_http_gray_counters_sums(counters, reset, slot));

    /* by the clock of the day, what is later may be less */

    if (made->ms >= claim->began) {
        *ms = ngx_http_gray_turns_less(now, made->ms);
        *since = made->time;

    } else {
        *ms = ngx_http_gray_turns_less(now, claim->began);
        *since = claim->time;
    }
}


static uint64_t
ngx_http_gray_turns_load(ngx_http_gray_counters_t *counters)
{
    return __atomic_load_n(&ngx_http_gray_counters_turns(counters)->word,
                           __ATOMIC_ACQUIRE);
}


/* was what is read by the word overwritten meanwhile? */

static ngx_uint_t
ngx_http_gray_turns_changed(ngx_http_gray_counters_t *counters, uint64_t word)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);

    return ngx_http_gray_turns_load(counters) != word;
}


/* a clock may have been set back */

static uint64_t
ngx_http_gray_turns_less(uint64_t one, uint64_t other)
{
    return one > other ? one - other : 0;
}


ngx_int_t
ngx_http_gray_turns_window(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_uint_t seconds, ngx_msec_t now,
    ngx_http_gray_summary_t *summary)
{
    uint64_t    word;
    ngx_uint_t  tries;

    if (slot >= ngx_http_gray_counters_variants(counters)) {
        return NGX_DECLINED;
    }

    tries = 0;

    do {
        word = ngx_http_gray_turns_load(counters);

        ngx_http_gray_turns_read_window(counters, slot, word, seconds, now,
                                        summary);

    } while (ngx_http_gray_turns_changed(counters, word)
             && ++tries < NGX_HTTP_GRAY_TURNS_TRIES);

    return NGX_OK;
}


/* from now backwards: what came since the last turn, intervals, minutes */

static void
ngx_http_gray_turns_read_window(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, uint64_t word, ngx_uint_t seconds, ngx_msec_t now,
    ngx_http_gray_summary_t *summary)
{
    ngx_uint_t               last, minutes;
    ngx_http_gray_made_t    *made, *begun;
    ngx_http_gray_span_t     span;
    ngx_http_gray_claim_t   *claim;
    ngx_http_gray_counts_t   counts;

    made = ngx_http_gray_counters_turns(counters)->made;
    begun = &made[ngx_http_gray_turns_reset(word)];
    last = ngx_http_gray_turns_last(word);

    ngx_http_gray_counters_sum(counters, slot, &counts);
    ngx_http_gray_tally_subtract(&counts,
                           ngx_http_gray_counters_sums(counters, last, slot));

    ngx_memzero(summary, sizeof(ngx_http_gray_summary_t));
    ngx_http_gray_tally_add(summary, &counts);

    span.turn = ngx_http_gray_turns_turn(word);
    span.from = made[last].ms;
    span.start = begun->turn;
    span.target = ngx_http_gray_turns_less(now, (uint64_t) seconds * 1000);

    minutes = (seconds > 60);

    ngx_http_gray_turns_read_shorts(counters, slot, minutes, &span, summary);

    if (minutes) {
        ngx_http_gray_turns_read_longs(counters, slot, &span, summary);
    }

    claim = &ngx_http_gray_counters_names(counters)[slot];

    span.from = ngx_max(span.from, begun->ms);
    span.from = ngx_max(span.from, claim->began);

    summary->ms = ngx_http_gray_turns_less(now, span.from);
}


/* "minutes": up to where whole minutes begin */

static void
ngx_http_gray_turns_read_shorts(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_uint_t minutes, ngx_http_gray_span_t *span,
    ngx_http_gray_summary_t *summary)
{
    uint64_t  last, *ends;

    last = span->turn;
    ends = ngx_http_gray_counters_turns(counters)->short_ends;

    while (span->turn > span->start
           && span->from > span->target
           && last - span->turn < NGX_HTTP_GRAY_SHORTS - 1
           && !(minutes && span->turn % NGX_HTTP_GRAY_INTERVALS == 0))
    {
        ngx_http_gray_tally_unpack(
                     ngx_http_gray_counters_short(counters, span->turn, slot),
                     summary);

        span->turn--;
        span->from = ends[span->turn % NGX_HTTP_GRAY_SHORT_ENDS];
    }
}


static void
ngx_http_gray_turns_read_longs(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_http_gray_span_t *span,
    ngx_http_gray_summary_t *summary)
{
    uint64_t  minute, last, *ends;

    if (span->turn % NGX_HTTP_GRAY_INTERVALS) {
        return;
    }

    minute = span->turn / NGX_HTTP_GRAY_INTERVALS;
    last = minute;
    ends = ngx_http_gray_counters_turns(counters)->long_ends;

    while (minute * NGX_HTTP_GRAY_INTERVALS > span->start
           && span->from > span->target
           && last - minute < NGX_HTTP_GRAY_LONGS - 1)
    {
        ngx_http_gray_tally_unpack(
                          ngx_http_gray_counters_long(counters, minute, slot),
                          summary);

        minute--;
        span->from = ends[minute % NGX_HTTP_GRAY_LONG_ENDS];
    }
}


ngx_uint_t
ngx_http_gray_turns_due(ngx_http_gray_counters_t *counters, ngx_msec_t now,
    ngx_msec_t phase)
{
    uint64_t                word, end, shift;
    ngx_http_gray_turns_t  *turns;

    turns = ngx_http_gray_counters_turns(counters);
    word = ngx_http_gray_turns_load(counters);
    end = turns->made[ngx_http_gray_turns_last(word)].ms;

    shift = NGX_HTTP_GRAY_TURNS_INTERVAL
            - phase % NGX_HTTP_GRAY_TURNS_INTERVAL;

    return now > end
           && (now + shift) / NGX_HTTP_GRAY_TURNS_INTERVAL
              != (end + shift) / NGX_HTTP_GRAY_TURNS_INTERVAL;
}


void
ngx_http_gray_turns_tick(ngx_http_gray_counters_t *counters, ngx_msec_t now,
    ngx_msec_t phase)
{
    if (ngx_http_gray_turns_due(counters, now, phase)) {
        ngx_http_gray_turns_make(counters, 0, 0, now);
    }
}


void
ngx_http_gray_turns_reset_locked(ngx_http_gray_counters_t *counters,
    time_t time, ngx_msec_t now)
{
    ngx_http_gray_turns_make(counters, 1, time, now);
}


static void
ngx_http_gray_turns_make(ngx_http_gray_counters_t *counters,
    ngx_uint_t reset, time_t time, ngx_msec_t now)
{
    uint64_t                turn;
    ngx_uint_t              next, last, first;
    ngx_http_gray_turns_t  *turns;

    turns = ngx_http_gray_counters_turns(counters);

    turn = ngx_http_gray_turns_turn(turns->word) + 1;
    last = ngx_http_gray_turns_last(turns->word);
    first = ngx_http_gray_turns_reset(turns->word);

    for (next = 0; next == last || next == first; next++) { /* void */ }

    /* a reader who sees a byte of this sees that the word is another, too */

    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    turns->made[next].turn = turn;
    turns->made[next].ms = now;
    turns->made[next].time = time;

    if (reset) {
        first = next;
    }

    ngx_http_gray_turns_interval(counters, turn, next, last);

    turns->short_ends[turn % NGX_HTTP_GRAY_SHORT_ENDS] = now;

    if (turn % NGX_HTTP_GRAY_INTERVALS == 0) {
        ngx_http_gray_turns_minute(counters, turn, turns->made[first].turn);

        turns->long_ends[turn / NGX_HTTP_GRAY_INTERVALS
                         % NGX_HTTP_GRAY_LONG_ENDS] = now;
    }

    __atomic_store_n(&turns->word,
                     ngx_http_gray_turns_word(turn, next, first),
                     __ATOMIC_RELEASE);
}


static void
ngx_http_gray_turns_interval(ngx_http_gray_counters_t *counters,
    uint64_t turn, ngx_uint_t next, ngx_uint_t last)
{
    ngx_uint_t                i, n;
    ngx_http_gray_counts_t   *sum, counts;
    ngx_http_gray_summary_t   summary;

    n = ngx_http_gray_counters_variants(counters);

    for (i = 0; i <= n; i++) {
        sum = ngx_http_gray_counters_sums(counters, next, i);
        ngx_http_gray_counters_sum(counters, i, sum);

        /* "_other" has no rings */

        if (i == n) {
            break;
        }

        counts = *sum;
        ngx_http_gray_tally_subtract(&counts,
                              ngx_http_gray_counters_sums(counters, last, i));

        ngx_memzero(&summary, sizeof(ngx_http_gray_summary_t));
        ngx_http_gray_tally_add(&summary, &counts);
        ngx_http_gray_tally_pack(
                               ngx_http_gray_counters_short(counters, turn, i),
                               &summary);
    }
}


/* the intervals up to a turn, as far as there was no reset */

static void
ngx_http_gray_turns_minute(ngx_http_gray_counters_t *counters,
    uint64_t turn, uint64_t start)
{
    uint64_t                  i;
    ngx_uint_t                k;
    ngx_http_gray_summary_t   summary;

    for (k = 0; k < ngx_http_gray_counters_variants(counters); k++) {
        ngx_memzero(&summary, sizeof(ngx_http_gray_summary_t));

        for (i = turn; i > start && turn - i < NGX_HTTP_GRAY_INTERVALS; i--) {
            ngx_http_gray_tally_unpack(
                                  ngx_http_gray_counters_short(counters, i, k),
                                  &summary);
        }

        ngx_http_gray_tally_pack(
            ngx_http_gray_counters_long(counters,
                                        turn / NGX_HTTP_GRAY_INTERVALS, k),
            &summary);
    }
}

