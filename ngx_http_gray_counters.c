
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The counters of a release, in the shared zone.
 *
 * Layout.  A header; a table of names of variants, and one of rules; for each
 * worker and each variant a record of counters, and for each worker and each
 * rule one counter; for each process that the zone knows and each variant the
 * number of its requests under way; for each variant two records of sums and
 * one of what a reset has left behind; and rings of what came in, of 10
 * seconds and of a minute each.  All of it is allocated with the release, and
 * lies at offsets that the header has.
 *
 * Counting is a relaxed atomic addition in the record of the worker: there is
 * no lock, and a process that dies between two additions has made one of
 * them.  Processes of one worker number overlap in a reload, so a plain
 * addition would not do.  Readers add up the records.
 *
 * Names.  A slot is claimed by a store of the hash of its name, the mark, with
 * compare-and-swap; who finds his mark there writes the same bytes again, so
 * that nobody depends on another who may have died before he wrote them.  A
 * reader takes a name whose hash is the mark.  Names that came when all slots
 * were taken share a last one, "_other".  A name that is out of use loses its
 * slot to a new one, under the lock of the zone: who has decided by the old
 * name still sees that the mark is another one by then.
 *
 * Rings.  A turn, by one process at a time and under the lock, adds up the
 * records, writes the difference to the sums of the turn before into the ring,
 * and the sums themselves into the record of the side that is not current;
 * then it stores one word, the number of the turn and the side.  Whoever dies
 * before the store has changed nothing.  There is one place more in a ring
 * than there are turns to be read, and a reader looks at the word again when
 * he is through.  Counts in a ring are those of an interval, in 32 bits, and
 * its histograms are packed; a minute is the sum of six intervals.
 *
 * Memory.  With 3 slots for variants and 4 workers 220 KB, of which the rings
 * are 130.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ngx_http_gray_counters.h"


#define NGX_HTTP_GRAY_INTERVAL      10000    /* ms */

#define NGX_HTTP_GRAY_INTERVALS     6        /* in a minute */
#define NGX_HTTP_GRAY_MINUTES       60

/* places of rings, and of the times at which their turns ended */
#define NGX_HTTP_GRAY_SHORT         (NGX_HTTP_GRAY_INTERVALS + 1)
#define NGX_HTTP_GRAY_LONG          (NGX_HTTP_GRAY_MINUTES + 1)
#define NGX_HTTP_GRAY_SHORT_TIMES   (NGX_HTTP_GRAY_INTERVALS + 2)
#define NGX_HTTP_GRAY_LONG_TIMES    (NGX_HTTP_GRAY_MINUTES + 2)

#define NGX_HTTP_GRAY_COUNTERS_TRIES  10

#define NGX_HTTP_GRAY_COUNTS                                                  \
    (sizeof(ngx_http_gray_counts_t) / sizeof(uint64_t))


/* what came in during an interval, or a minute */

typedef struct {
    uint32_t                          codes[NGX_HTTP_GRAY_CODES];
    uint32_t                          drawn;
    uint32_t                          absent;
    uint32_t                          failures;
    uint32_t                          fallbacks;
    uint32_t                          streams;
    uint64_t                          header_ms;
    uint64_t                          total_ms;
    ngx_http_gray_histogram_packed_t  header;
    ngx_http_gray_histogram_packed_t  total;
} ngx_http_gray_part_t;


/* offsets are in bytes, from here */

struct ngx_http_gray_counters_s {
    uint32_t                          variants;   /* without "_other" */
    uint32_t                          workers;

    uint64_t                          turn;       /* << 1 | side */
    uint64_t                          start;      /* the turn at which windows
                                                     begin, and its time */
    uint64_t                          began;
    uint64_t                          short_ends[NGX_HTTP_GRAY_SHORT_TIMES];
    uint64_t                          long_ends[NGX_HTTP_GRAY_LONG_TIMES];

    size_t                            names;
    size_t                            rules;
    size_t                            counts;
    size_t                            matches;
    size_t                            live;
    size_t                            sums;
    size_t                            shorts;
    size_t                            longs;
    size_t                            size;
};


static size_t ngx_http_gray_counters_layout(
    ngx_http_gray_counters_t *counters, ngx_uint_t variants,
    ngx_uint_t workers);
static void ngx_http_gray_counters_assign(ngx_http_gray_counters_t *counters,
    ngx_http_gray_counted_t *table, ngx_uint_t slots, ngx_str_t **name,
    ngx_uint_t n, ngx_uint_t *slot, ngx_uint_t locked);
static uint64_t ngx_http_gray_counters_hash(u_char *name, size_t len);
static ngx_uint_t ngx_http_gray_counters_find(ngx_http_gray_counted_t *table,
    ngx_uint_t slots, uint64_t mark);
static ngx_uint_t ngx_http_gray_counters_claim(
    ngx_http_gray_counted_t *table, ngx_uint_t slots, ngx_str_t *name);
static ngx_uint_t ngx_http_gray_counters_take(
    ngx_http_gray_counters_t *counters, ngx_http_gray_counted_t *table,
    ngx_uint_t slots, ngx_str_t **name, ngx_uint_t n, ngx_str_t *new);
static void ngx_http_gray_counters_clear(ngx_http_gray_counters_t *counters,
    ngx_http_gray_counted_t *table, ngx_uint_t slot);
static void ngx_http_gray_counters_write(ngx_http_gray_counted_t *counted,
    ngx_str_t *name);
static ngx_int_t ngx_http_gray_counters_name(ngx_http_gray_counted_t *table,
    ngx_uint_t slots, ngx_uint_t slot, ngx_str_t *name);
static void ngx_http_gray_counters_add(ngx_http_gray_summary_t *summary,
    ngx_http_gray_counts_t *now, ngx_http_gray_counts_t *before);
static void ngx_http_gray_counters_add_part(ngx_http_gray_summary_t *summary,
    ngx_http_gray_part_t *part);
static void ngx_http_gray_counters_part(ngx_http_gray_part_t *part,
    ngx_http_gray_summary_t *summary);
static void ngx_http_gray_counters_read(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_uint_t seconds, ngx_msec_t now, uint64_t word,
    ngx_http_gray_summary_t *summary);
static void ngx_http_gray_counters_turn(ngx_http_gray_counters_t *counters,
    uint64_t word, ngx_msec_t now, ngx_uint_t reset);
static void ngx_http_gray_counters_minute(ngx_http_gray_counters_t *counters,
    uint64_t n, ngx_uint_t slot);
static void ngx_http_gray_counters_move(ngx_http_gray_counters_t *to,
    ngx_uint_t slot, ngx_http_gray_counters_t *from, ngx_uint_t old);
static void ngx_http_gray_counters_merge(ngx_http_gray_counts_t *to,
    ngx_http_gray_counts_t *from);
static ngx_http_gray_counts_t *ngx_http_gray_counters_sums(
    ngx_http_gray_counters_t *counters, ngx_uint_t which, ngx_uint_t slot);
static uint64_t ngx_http_gray_counters_less(uint64_t one, uint64_t other);


ngx_str_t  ngx_http_gray_codes[] = {
    ngx_string("1xx"),
    ngx_string("2xx"),
    ngx_string("3xx"),
    ngx_string("4xx"),
    ngx_string("5xx"),
    ngx_string("499")
};


ngx_str_t  ngx_http_gray_failures[] = {
    ngx_string("connect"),
    ngx_string("timeout"),
    ngx_string("reset"),
    ngx_string("invalid"),
    ngx_string("no_live"),
    ngx_string("status")
};


ngx_str_t  ngx_http_gray_absences[] = {
    ngx_string("cached"),
    ngx_string("local"),
    ngx_string("closed")
};


static ngx_str_t  ngx_http_gray_counters_other = ngx_string("_other");


/* arrays in the area: of variants, also as [first][variant] */

#define ngx_http_gray_counters_at(counters, type, array)                      \
    ((type *) ((u_char *) (counters) + (counters)->array))


size_t
ngx_http_gray_counters_size(ngx_uint_t variants, ngx_uint_t workers)
{
    ngx_http_gray_counters_t  counters;

    return ngx_http_gray_counters_layout(&counters, variants, workers);
}


static size_t
ngx_http_gray_counters_layout(ngx_http_gray_counters_t *counters,
    ngx_uint_t variants, ngx_uint_t workers)
{
    size_t  all;

    workers = ngx_min(workers, NGX_HTTP_GRAY_COUNTED_WORKERS);
    workers = ngx_max(workers, 1);

    all = variants + 1;

    counters->variants = variants;
    counters->workers = workers;

    counters->names = ngx_align(sizeof(ngx_http_gray_counters_t), 64);
    counters->rules = counters->names
                      + all * sizeof(ngx_http_gray_counted_t);
    counters->counts = ngx_align(counters->rules
                                 + (NGX_HTTP_GRAY_COUNTED_RULES + 1)
                                   * sizeof(ngx_http_gray_counted_t), 64);
    counters->matches = counters->counts
                        + workers * all * sizeof(ngx_http_gray_counts_t);
    counters->sums = counters->matches
                     + workers * (NGX_HTTP_GRAY_COUNTED_RULES + 1)
                       * sizeof(uint64_t);
    counters->shorts = counters->sums
                       + 3 * all * sizeof(ngx_http_gray_counts_t);
    counters->longs = counters->shorts + NGX_HTTP_GRAY_SHORT * variants
                                         * sizeof(ngx_http_gray_part_t);
    counters->live = counters->longs + NGX_HTTP_GRAY_LONG * variants
                                       * sizeof(ngx_http_gray_part_t);
    counters->size = counters->live
                     + NGX_HTTP_GRAY_ENTRIES * all * sizeof(uint32_t);

    return counters->size;
}


void
ngx_http_gray_counters_init(ngx_http_gray_counters_t *counters,
    ngx_uint_t variants, ngx_uint_t workers, time_t time, ngx_msec_t now)
{
    ngx_http_gray_counted_t  *other;

    ngx_memzero(counters, ngx_http_gray_counters_size(variants, workers));
    (void) ngx_http_gray_counters_layout(counters, variants, workers);

    counters->began = now;
    counters->short_ends[0] = now;
    counters->long_ends[0] = now;

    other = ngx_http_gray_counters_at(counters, ngx_http_gray_counted_t, names);
    other += variants;
    other->time = time;
    other->began = now;
    ngx_http_gray_counters_write(other, &ngx_http_gray_counters_other);

    other = ngx_http_gray_counters_at(counters, ngx_http_gray_counted_t, rules);
    other += NGX_HTTP_GRAY_COUNTED_RULES;
    ngx_http_gray_counters_write(other, &ngx_http_gray_counters_other);
}


ngx_uint_t
ngx_http_gray_counters_variants(ngx_http_gray_counters_t *counters)
{
    return counters->variants;
}


void
ngx_http_gray_counters_assign_variants(ngx_http_gray_counters_t *counters,
    ngx_str_t **name, ngx_uint_t n, ngx_uint_t *slot, ngx_uint_t locked)
{
    ngx_http_gray_counted_t  *table;

    table = ngx_http_gray_counters_at(counters, ngx_http_gray_counted_t, names);

    ngx_http_gray_counters_assign(counters, table, counters->variants, name, n,
                                  slot, locked);
}


void
ngx_http_gray_counters_assign_rules(ngx_http_gray_counters_t *counters,
    ngx_str_t **name, ngx_uint_t n, ngx_uint_t *slot, ngx_uint_t locked)
{
    ngx_http_gray_counted_t  *table;

    table = ngx_http_gray_counters_at(counters, ngx_http_gray_counted_t, rules);

    ngx_http_gray_counters_assign(counters, table,
                                  NGX_HTTP_GRAY_COUNTED_RULES, name, n, slot,
                                  locked);
}


static void
ngx_http_gray_counters_assign(ngx_http_gray_counters_t *counters,
    ngx_http_gray_counted_t *table, ngx_uint_t slots, ngx_str_t **name,
    ngx_uint_t n, ngx_uint_t *slot, ngx_uint_t locked)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        slot[i] = ngx_http_gray_counters_claim(table, slots, name[i]);

        if (slot[i] == slots && locked) {
            slot[i] = ngx_http_gray_counters_take(counters, table, slots, name,
                                                  n, name[i]);

            /* none is to be had for those that follow, either */

            locked = (slot[i] != slots);
        }
    }
}


/* XXH64, as of buckets; never 0 */

static uint64_t
ngx_http_gray_counters_hash(u_char *name, size_t len)
{
    uint64_t  hash;

    hash = XXH64(name, len, 0);

    return hash ? hash : 1;
}


static ngx_uint_t
ngx_http_gray_counters_find(ngx_http_gray_counted_t *table, ngx_uint_t slots,
    uint64_t mark)
{
    ngx_uint_t  i;

    for (i = 0; i < slots; i++) {
        if (__atomic_load_n(&table[i].mark, __ATOMIC_ACQUIRE) == mark) {
            break;
        }
    }

    return i;
}


/* the slot that the name has, or a free one; else "slots" */

static ngx_uint_t
ngx_http_gray_counters_claim(ngx_http_gray_counted_t *table, ngx_uint_t slots,
    ngx_str_t *name)
{
    uint64_t                  mark, none;
    ngx_uint_t                i;
    ngx_http_gray_counted_t  *counted;

    mark = ngx_http_gray_counters_hash(name->data, name->len);
    i = ngx_http_gray_counters_find(table, slots, mark);

    if (i < slots) {
        ngx_http_gray_counters_write(&table[i], name);
        return i;
    }

    for (i = 0; i < slots; i++) {
        counted = &table[i];
        none = 0;

        if (__atomic_compare_exchange_n(&counted->mark, &none, mark, 0,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
            || none == mark)
        {
            ngx_http_gray_counters_write(counted, name);
            return i;
        }
    }

    return slots;
}


/* that of a name which the revision does not have; else "slots" */

static ngx_uint_t
ngx_http_gray_counters_take(ngx_http_gray_counters_t *counters,
    ngx_http_gray_counted_t *table, ngx_uint_t slots, ngx_str_t **name,
    ngx_uint_t n, ngx_str_t *new)
{
    uint64_t    mark;
    ngx_uint_t  i, k;

    for (i = 0; i < slots; i++) {

        for (k = 0; k < n; k++) {
            mark = ngx_http_gray_counters_hash(name[k]->data, name[k]->len);

            if (mark == table[i].mark) {
                break;
            }
        }

        if (k < n) {
            continue;
        }

        mark = ngx_http_gray_counters_hash(new->data, new->len);

        ngx_http_gray_counters_clear(counters, table, i);
        __atomic_store_n(&table[i].mark, mark, __ATOMIC_RELEASE);

        table[i].len = 0;
        ngx_http_gray_counters_write(&table[i], new);

        return i;
    }

    return slots;
}


static void
ngx_http_gray_counters_clear(ngx_http_gray_counters_t *counters,
    ngx_http_gray_counted_t *table, ngx_uint_t slot)
{
    ngx_uint_t             i;
    ngx_http_gray_part_t  *parts;

    if (table == ngx_http_gray_counters_at(counters, ngx_http_gray_counted_t,
                                           rules))
    {
        for (i = 0; i < counters->workers; i++) {
            *ngx_http_gray_counters_matches(counters, i, slot) = 0;
        }

        return;
    }

    for (i = 0; i < counters->workers; i++) {
        ngx_memzero(ngx_http_gray_counters_counts(counters, i, slot),
                    sizeof(ngx_http_gray_counts_t));
    }

    for (i = 0; i < 3; i++) {
        ngx_memzero(ngx_http_gray_counters_sums(counters, i, slot),
                    sizeof(ngx_http_gray_counts_t));
    }

    parts = ngx_http_gray_counters_at(counters, ngx_http_gray_part_t, shorts);

    for (i = 0; i < NGX_HTTP_GRAY_SHORT + NGX_HTTP_GRAY_LONG; i++) {
        ngx_memzero(&parts[i * counters->variants + slot],
                    sizeof(ngx_http_gray_part_t));
    }

    table[slot].time = 0;
    table[slot].began = 0;
}


/* whoever writes at the same time writes the same */

static void
ngx_http_gray_counters_write(ngx_http_gray_counted_t *counted, ngx_str_t *name)
{
    size_t  len;

    len = ngx_min(name->len, NGX_HTTP_GRAY_NAME);

    if (counted->len == len
        && ngx_memcmp(counted->name, name->data, len) == 0)
    {
        return;
    }

    ngx_memcpy(counted->name, name->data, len);
    counted->name[len] = '\0';

    if (counted->began == 0) {
        counted->began = ngx_current_msec;
        counted->time = ngx_time();
    }

    counted->len = len;
}


ngx_int_t
ngx_http_gray_counters_variant(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_str_t *name)
{
    return ngx_http_gray_counters_name(
               ngx_http_gray_counters_at(counters, ngx_http_gray_counted_t,
                                         names),
               counters->variants, slot, name);
}


ngx_int_t
ngx_http_gray_counters_rule(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_str_t *name)
{
    return ngx_http_gray_counters_name(
               ngx_http_gray_counters_at(counters, ngx_http_gray_counted_t,
                                         rules),
               NGX_HTTP_GRAY_COUNTED_RULES, slot, name);
}


static ngx_int_t
ngx_http_gray_counters_name(ngx_http_gray_counted_t *table, ngx_uint_t slots,
    ngx_uint_t slot, ngx_str_t *name)
{
    uint64_t                  mark;
    ngx_http_gray_counted_t  *counted;

    if (slot > slots) {
        return NGX_DECLINED;
    }

    counted = &table[slot];
    mark = __atomic_load_n(&counted->mark, __ATOMIC_ACQUIRE);

    name->len = ngx_min(counted->len, NGX_HTTP_GRAY_NAME);
    name->data = counted->name;

    if (slot == slots) {
        return NGX_OK;
    }

    return (mark
            && ngx_http_gray_counters_hash(name->data, name->len) == mark)
           ? NGX_OK : NGX_DECLINED;
}


ngx_http_gray_counted_t *
ngx_http_gray_counters_names(ngx_http_gray_counters_t *counters)
{
    return ngx_http_gray_counters_at(counters, ngx_http_gray_counted_t, names);
}


ngx_http_gray_counts_t *
ngx_http_gray_counters_counts(ngx_http_gray_counters_t *counters,
    ngx_uint_t worker, ngx_uint_t slot)
{
    ngx_http_gray_counts_t  *counts;

    counts = ngx_http_gray_counters_at(counters, ngx_http_gray_counts_t,
                                       counts);

    return &counts[worker % counters->workers * (counters->variants + 1)
                   + slot];
}


uint64_t *
ngx_http_gray_counters_matches(ngx_http_gray_counters_t *counters,
    ngx_uint_t worker, ngx_uint_t slot)
{
    uint64_t  *matches;

    matches = ngx_http_gray_counters_at(counters, uint64_t, matches);

    return &matches[worker % counters->workers
                    * (NGX_HTTP_GRAY_COUNTED_RULES + 1) + slot];
}


uint32_t *
ngx_http_gray_counters_live(ngx_http_gray_counters_t *counters,
    ngx_uint_t entry, ngx_uint_t slot)
{
    uint32_t  *live;

    live = ngx_http_gray_counters_at(counters, uint32_t, live);

    return &live[entry * (counters->variants + 1) + slot];
}


void
ngx_http_gray_counters_forget(ngx_http_gray_counters_t *counters,
    ngx_uint_t entry)
{
    ngx_memzero(ngx_http_gray_counters_live(counters, entry, 0),
                (counters->variants + 1) * sizeof(uint32_t));
}


void
ngx_http_gray_counters_sum(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_http_gray_counts_t *counts)
{
    uint64_t    *sum, *part;
    ngx_uint_t   i, k;

    ngx_memzero(counts, sizeof(ngx_http_gray_counts_t));
    sum = (uint64_t *) counts;

    for (i = 0; i < counters->workers; i++) {
        part = (uint64_t *) ngx_http_gray_counters_counts(counters, i, slot);

        for (k = 0; k < NGX_HTTP_GRAY_COUNTS; k++) {
            sum[k] += __atomic_load_n(&part[k], __ATOMIC_RELAXED);
        }
    }
}


uint64_t
ngx_http_gray_counters_matched(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot)
{
    uint64_t    n;
    ngx_uint_t  i;

    n = 0;

    for (i = 0; i < counters->workers; i++) {
        n += __atomic_load_n(ngx_http_gray_counters_matches(counters, i, slot),
                             __ATOMIC_RELAXED);
    }

    return n;
}


void
ngx_http_gray_counters_since(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_msec_t now, ngx_http_gray_summary_t *summary,
    time_t *since)
{
    ngx_http_gray_counts_t    counts;
    ngx_http_gray_counted_t  *table;

    table = ngx_http_gray_counters_at(counters, ngx_http_gray_counted_t, names);

    ngx_http_gray_counters_sum(counters, slot, &counts);

    ngx_memzero(summary, sizeof(ngx_http_gray_summary_t));
    ngx_http_gray_counters_add(summary, &counts,
                               ngx_http_gray_counters_sums(counters, 2, slot));

    summary->ms = ngx_http_gray_counters_less(now, table[slot].began);
    *since = table[slot].time;
}


/* additions under way may have been seen in one sum and not in the other */

static uint64_t
ngx_http_gray_counters_less(uint64_t one, uint64_t other)
{
    return one > other ? one - other : 0;
}


static void
ngx_http_gray_counters_add(ngx_http_gray_summary_t *summary,
    ngx_http_gray_counts_t *now, ngx_http_gray_counts_t *before)
{
    uint64_t    n;
    ngx_uint_t  i, k;

#define ngx_http_gray_counters_differ(member)                                 \
    ngx_http_gray_counters_less(now->member, before->member)

    for (i = 0; i < NGX_HTTP_GRAY_REASONS; i++) {
        for (k = 0; k < NGX_HTTP_GRAY_CODES; k++) {
            n = ngx_http_gray_counters_differ(requests[i][k]);
            summary->codes[k] += n;

            if (i == NGX_HTTP_GRAY_SPLIT || i == NGX_HTTP_GRAY_RANDOM) {
                summary->drawn += n;
            }
        }
    }

    for (i = 0; i < NGX_HTTP_GRAY_ABSENCES; i++) {
        summary->absent += ngx_http_gray_counters_differ(absent[i]);
    }

    for (i = 0; i < NGX_HTTP_GRAY_KINDS; i++) {
        summary->failures += ngx_http_gray_counters_differ(failures[i]);
    }

    summary->fallbacks += ngx_http_gray_counters_differ(fallbacks);
    summary->streams += ngx_http_gray_counters_differ(streams);
    summary->header_ms += ngx_http_gray_counters_differ(header_ms);
    summary->total_ms += ngx_http_gray_counters_differ(total_ms);

    for (i = 0; i < NGX_HTTP_GRAY_HISTOGRAM; i++) {
        summary->header[i] += ngx_http_gray_counters_differ(header[i]);
        summary->total[i] += ngx_http_gray_counters_differ(total[i]);
    }

#undef ngx_http_gray_counters_differ
}


static void
ngx_http_gray_counters_add_part(ngx_http_gray_summary_t *summary,
    ngx_http_gray_part_t *part)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_GRAY_CODES; i++) {
        summary->codes[i] += part->codes[i];
    }

    summary->drawn += part->drawn;
    summary->absent += part->absent;
    summary->failures += part->failures;
    summary->fallbacks += part->fallbacks;
    summary->streams += part->streams;
    summary->header_ms += part->header_ms;
    summary->total_ms += part->total_ms;

    ngx_http_gray_histogram_unpack(&part->header, summary->header);
    ngx_http_gray_histogram_unpack(&part->total, summary->total);
}


static void
ngx_http_gray_counters_part(ngx_http_gray_part_t *part,
    ngx_http_gray_summary_t *summary)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_GRAY_CODES; i++) {
        part->codes[i] = ngx_min(summary->codes[i], UINT32_MAX);
    }

    part->drawn = ngx_min(summary->drawn, UINT32_MAX);
    part->absent = ngx_min(summary->absent, UINT32_MAX);
    part->failures = ngx_min(summary->failures, UINT32_MAX);
    part->fallbacks = ngx_min(summary->fallbacks, UINT32_MAX);
    part->streams = ngx_min(summary->streams, UINT32_MAX);
    part->header_ms = summary->header_ms;
    part->total_ms = summary->total_ms;

    ngx_http_gray_histogram_pack(&part->header, summary->header);
    ngx_http_gray_histogram_pack(&part->total, summary->total);
}


ngx_int_t
ngx_http_gray_counters_window(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_uint_t seconds, ngx_msec_t now,
    ngx_http_gray_summary_t *summary)
{
    uint64_t    word;
    ngx_uint_t  i;

    if (slot >= counters->variants) {
        return NGX_DECLINED;
    }

    for (i = 0; i < NGX_HTTP_GRAY_COUNTERS_TRIES; i++) {

        word = __atomic_load_n(&counters->turn, __ATOMIC_ACQUIRE);

        ngx_http_gray_counters_read(counters, slot, seconds, now, word,
                                    summary);

        __atomic_thread_fence(__ATOMIC_ACQUIRE);

        if (__atomic_load_n(&counters->turn, __ATOMIC_RELAXED) == word) {
            break;
        }
    }

    return NGX_OK;
}


/* from now backwards: what came since the last turn, intervals, minutes */

static void
ngx_http_gray_counters_read(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_uint_t seconds, ngx_msec_t now, uint64_t word,
    ngx_http_gray_summary_t *summary)
{
    uint64_t                  i, n, start, from, target;
    ngx_uint_t                brief;
    ngx_http_gray_part_t     *shorts, *longs;
    ngx_http_gray_counts_t    counts;
    ngx_http_gray_counted_t  *table;

    table = ngx_http_gray_counters_at(counters, ngx_http_gray_counted_t, names);
    shorts = ngx_http_gray_counters_at(counters, ngx_http_gray_part_t, shorts);
    longs = ngx_http_gray_counters_at(counters, ngx_http_gray_part_t, longs);

    n = word >> 1;
    start = counters->start;
    brief = (seconds <= NGX_HTTP_GRAY_INTERVALS * NGX_HTTP_GRAY_INTERVAL / 1000);
    target = ngx_http_gray_counters_less(now, (uint64_t) seconds * 1000);

    ngx_memzero(summary, sizeof(ngx_http_gray_summary_t));

    ngx_http_gray_counters_sum(counters, slot, &counts);
    ngx_http_gray_counters_add(summary, &counts,
                               ngx_http_gray_counters_sums(counters, word & 1,
                                                           slot));

    from = counters->short_ends[n % NGX_HTTP_GRAY_SHORT_TIMES];

    for (i = n;
         i > start
         && i + NGX_HTTP_GRAY_INTERVALS > n
         && from > target
         && (brief || i % NGX_HTTP_GRAY_INTERVALS);
         i--)
    {
        ngx_http_gray_counters_add_part(summary,
            &shorts[i % NGX_HTTP_GRAY_SHORT * counters->variants + slot]);
        from = counters->short_ends[(i - 1) % NGX_HTTP_GRAY_SHORT_TIMES];
    }

    if (!brief && i % NGX_HTTP_GRAY_INTERVALS == 0) {

        n = i / NGX_HTTP_GRAY_INTERVALS;

        for (i = n;
             i * NGX_HTTP_GRAY_INTERVALS > start
             && i + NGX_HTTP_GRAY_MINUTES > n
             && from > target;
             i--)
        {
            ngx_http_gray_counters_add_part(summary,
                &longs[i % NGX_HTTP_GRAY_LONG * counters->variants + slot]);
            from = counters->long_ends[(i - 1) % NGX_HTTP_GRAY_LONG_TIMES];
        }
    }

    from = ngx_max(from, counters->began);
    from = ngx_max(from, table[slot].began);

    summary->ms = ngx_http_gray_counters_less(now, from);
}


void
ngx_http_gray_counters_tick(ngx_http_gray_counters_t *counters, ngx_msec_t now)
{
    uint64_t  word, end;

    word = counters->turn;
    end = counters->short_ends[(word >> 1) % NGX_HTTP_GRAY_SHORT_TIMES];

    if (now > end
        && now / NGX_HTTP_GRAY_INTERVAL != end / NGX_HTTP_GRAY_INTERVAL)
    {
        ngx_http_gray_counters_turn(counters, word, now, 0);
    }
}


static void
ngx_http_gray_counters_turn(ngx_http_gray_counters_t *counters, uint64_t word,
    ngx_msec_t now, ngx_uint_t reset)
{
    uint64_t                  n;
    ngx_uint_t                i, side;
    ngx_http_gray_part_t     *shorts;
    ngx_http_gray_counts_t   *sum, *last;
    ngx_http_gray_summary_t   summary;

    n = (word >> 1) + 1;
    side = !(word & 1);

    shorts = ngx_http_gray_counters_at(counters, ngx_http_gray_part_t, shorts);
    shorts += n % NGX_HTTP_GRAY_SHORT * counters->variants;

    /* a reader who sees a byte of this sees that the word is another, too */

    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    for (i = 0; i < counters->variants; i++) {
        sum = ngx_http_gray_counters_sums(counters, side, i);
        last = ngx_http_gray_counters_sums(counters, !side, i);

        ngx_http_gray_counters_sum(counters, i, sum);

        ngx_memzero(&summary, sizeof(ngx_http_gray_summary_t));
        ngx_http_gray_counters_add(&summary, sum, last);
        ngx_http_gray_counters_part(&shorts[i], &summary);
    }

    counters->short_ends[n % NGX_HTTP_GRAY_SHORT_TIMES] = now;

    if (reset) {
        counters->start = n;
        counters->began = now;
    }

    if (n % NGX_HTTP_GRAY_INTERVALS == 0) {

        for (i = 0; i < counters->variants; i++) {
            ngx_http_gray_counters_minute(counters, n, i);
        }

        counters->long_ends[n / NGX_HTTP_GRAY_INTERVALS
                            % NGX_HTTP_GRAY_LONG_TIMES] = now;
    }

    __atomic_store_n(&counters->turn, n << 1 | side, __ATOMIC_RELEASE);
}


/* the intervals that end with turn "n", as far as there was no reset */

static void
ngx_http_gray_counters_minute(ngx_http_gray_counters_t *counters, uint64_t n,
    ngx_uint_t slot)
{
    uint64_t                  i;
    ngx_http_gray_part_t     *shorts, *longs;
    ngx_http_gray_summary_t   summary;

    shorts = ngx_http_gray_counters_at(counters, ngx_http_gray_part_t, shorts);
    longs = ngx_http_gray_counters_at(counters, ngx_http_gray_part_t, longs);
    longs += n / NGX_HTTP_GRAY_INTERVALS % NGX_HTTP_GRAY_LONG
             * counters->variants;

    ngx_memzero(&summary, sizeof(ngx_http_gray_summary_t));

    for (i = n;
         i > counters->start && i + NGX_HTTP_GRAY_INTERVALS > n;
         i--)
    {
        ngx_http_gray_counters_add_part(&summary,
            &shorts[i % NGX_HTTP_GRAY_SHORT * counters->variants + slot]);
    }

    ngx_http_gray_counters_part(&longs[slot], &summary);
}


void
ngx_http_gray_counters_reset_locked(ngx_http_gray_counters_t *counters,
    time_t time, ngx_msec_t now)
{
    ngx_uint_t                i;
    ngx_http_gray_counted_t  *table;

    table = ngx_http_gray_counters_at(counters, ngx_http_gray_counted_t, names);

    ngx_http_gray_counters_turn(counters, counters->turn, now, 1);

    for (i = 0; i <= counters->variants; i++) {
        ngx_http_gray_counters_sum(counters, i,
                                ngx_http_gray_counters_sums(counters, 2, i));
        table[i].time = time;
        table[i].began = now;
    }
}


void
ngx_http_gray_counters_inherit(ngx_http_gray_counters_t *to,
    ngx_http_gray_counters_t *from)
{
    ngx_str_t                 name;
    ngx_uint_t                i, slot;
    ngx_http_gray_counted_t  *table;

    ngx_http_gray_counters_init(to, to->variants, to->workers, ngx_time(),
                                ngx_current_msec);

    to->turn = from->turn;
    to->start = from->start;
    to->began = from->began;

    ngx_memcpy(to->short_ends, from->short_ends, sizeof(to->short_ends));
    ngx_memcpy(to->long_ends, from->long_ends, sizeof(to->long_ends));

    table = ngx_http_gray_counters_at(to, ngx_http_gray_counted_t, names);

    for (i = 0; i <= from->variants; i++) {

        if (ngx_http_gray_counters_variant(from, i, &name) == NGX_OK) {
            slot = i < from->variants
                   ? ngx_http_gray_counters_claim(table, to->variants, &name)
                   : to->variants;
            ngx_http_gray_counters_move(to, slot, from, i);
        }
    }

    table = ngx_http_gray_counters_at(to, ngx_http_gray_counted_t, rules);

    for (i = 0; i <= NGX_HTTP_GRAY_COUNTED_RULES; i++) {

        if (ngx_http_gray_counters_rule(from, i, &name) == NGX_OK) {
            slot = i < NGX_HTTP_GRAY_COUNTED_RULES
                   ? ngx_http_gray_counters_claim(table,
                                          NGX_HTTP_GRAY_COUNTED_RULES, &name)
                   : i;
            *ngx_http_gray_counters_matches(to, 0, slot) +=
                                      ngx_http_gray_counters_matched(from, i);
        }
    }
}


/* the sums to the first worker; what comes to "_other" has no rings there */

static void
ngx_http_gray_counters_move(ngx_http_gray_counters_t *to, ngx_uint_t slot,
    ngx_http_gray_counters_t *from, ngx_uint_t old)
{
    ngx_uint_t                i;
    ngx_http_gray_part_t     *place, *parts;
    ngx_http_gray_counts_t    sum;
    ngx_http_gray_counted_t  *name, *names;

    ngx_http_gray_counters_sum(from, old, &sum);
    ngx_http_gray_counters_merge(ngx_http_gray_counters_counts(to, 0, slot),
                                 &sum);

    /* both sides of sums, and what a reset has left behind */

    for (i = 0; i < 3; i++) {
        ngx_http_gray_counters_merge(
                               ngx_http_gray_counters_sums(to, i, slot),
                               ngx_http_gray_counters_sums(from, i, old));
    }

    name = ngx_http_gray_counters_at(to, ngx_http_gray_counted_t, names);
    names = ngx_http_gray_counters_at(from, ngx_http_gray_counted_t, names);

    name[slot].time = names[old].time;
    name[slot].began = names[old].began;

    if (slot == to->variants || old == from->variants) {
        return;
    }

    place = ngx_http_gray_counters_at(to, ngx_http_gray_part_t, shorts);
    parts = ngx_http_gray_counters_at(from, ngx_http_gray_part_t, shorts);

    for (i = 0; i < NGX_HTTP_GRAY_SHORT + NGX_HTTP_GRAY_LONG; i++) {
        place[i * to->variants + slot] = parts[i * from->variants + old];
    }
}


static void
ngx_http_gray_counters_merge(ngx_http_gray_counts_t *to,
    ngx_http_gray_counts_t *from)
{
    uint64_t    *sum, *part;
    ngx_uint_t   i;

    sum = (uint64_t *) to;
    part = (uint64_t *) from;

    for (i = 0; i < NGX_HTTP_GRAY_COUNTS; i++) {
        sum[i] += part[i];
    }
}


/* of the turn before, by its side, or, with 2, of the last reset */

static ngx_http_gray_counts_t *
ngx_http_gray_counters_sums(ngx_http_gray_counters_t *counters,
    ngx_uint_t which, ngx_uint_t slot)
{
    ngx_http_gray_counts_t  *sums;

    sums = ngx_http_gray_counters_at(counters, ngx_http_gray_counts_t, sums);

    return &sums[which * (counters->variants + 1) + slot];
}
