
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The counters of a release, in the shared zone.
 *
 * Layout.  A header; a table of names of variants, and one of rules; for each
 * worker and each variant a record of counters, and for each worker and each
 * rule one counter; for each variant three records of sums; rings of what came
 * in, of 10 seconds and of a minute each; and for each process that the zone
 * knows and each variant the number of its requests under way.  All of it is
 * allocated with the release, and lies at offsets that the header has.
 *
 * Counting is a relaxed atomic addition in the record of the worker: there is
 * no lock, and a process that dies between two additions has made one of
 * them.  Processes of one worker number overlap in a reload, so a plain
 * addition would not do.  Readers add up the records.
 *
 * Names.  Slots are claimed as ngx_http_gray_claim.c says.  Names that came
 * when all slots were taken share a last one, "_other".  A name that is out of
 * use loses its slot to a new one, under the lock of the zone: who has decided
 * by the old name sees that the mark is another one by then.
 *
 * Sums and rings are of ngx_http_gray_turns.c.
 *
 * Memory.  With 3 slots for variants and 4 workers 222 KB, of which the rings
 * are 134.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_claim.h"
#include "ngx_http_gray_counters.h"


#define NGX_HTTP_GRAY_COUNTERS_TRIES  10


/* offsets are in bytes, from here */

struct ngx_http_gray_counters_s {
    uint32_t                  variants;   /* without "_other" */
    uint32_t                  workers;

    ngx_http_gray_turns_t     turns;

    size_t                    names;
    size_t                    rules;
    size_t                    counts;
    size_t                    matches;
    size_t                    sums;
    size_t                    shorts;
    size_t                    longs;
    size_t                    live;       /* the last one */
    size_t                    size;
};


static size_t ngx_http_gray_counters_layout(
    ngx_http_gray_counters_t *counters, ngx_uint_t variants,
    ngx_uint_t workers);
static void ngx_http_gray_counters_clear(ngx_http_gray_counters_t *counters,
    size_t size, time_t time, ngx_msec_t now);
static ngx_http_gray_claim_t *ngx_http_gray_counters_rules(
    ngx_http_gray_counters_t *counters);
static void ngx_http_gray_counters_forget_variant(
    ngx_http_gray_counters_t *counters, ngx_uint_t slot);
static void ngx_http_gray_counters_copy(ngx_http_gray_counters_t *to,
    ngx_http_gray_counters_t *from);
static void ngx_http_gray_counters_copy_variant(ngx_http_gray_counters_t *to,
    ngx_uint_t slot, ngx_http_gray_counters_t *from, ngx_uint_t old);
static void ngx_http_gray_counters_copy_rule(ngx_http_gray_counters_t *to,
    ngx_http_gray_counters_t *from, ngx_uint_t old);


static ngx_str_t  ngx_http_gray_counters_other = ngx_string("_other");


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
    counters->rules = counters->names + all * sizeof(ngx_http_gray_claim_t);
    counters->counts = ngx_align(counters->rules
                                 + (NGX_HTTP_GRAY_COUNTED_RULES + 1)
                                   * sizeof(ngx_http_gray_claim_t), 64);
    counters->matches = counters->counts
                        + workers * all * sizeof(ngx_http_gray_counts_t);
    counters->sums = counters->matches
                     + workers * (NGX_HTTP_GRAY_COUNTED_RULES + 1)
                       * sizeof(uint64_t);
    counters->shorts = counters->sums + NGX_HTTP_GRAY_SUMS * all
                                        * sizeof(ngx_http_gray_counts_t);
    counters->longs = counters->shorts + NGX_HTTP_GRAY_SHORTS * variants
                                         * sizeof(ngx_http_gray_part_t);
    counters->live = counters->longs + NGX_HTTP_GRAY_LONGS * variants
                                       * sizeof(ngx_http_gray_part_t);
    counters->size = counters->live
                     + NGX_HTTP_GRAY_ENTRIES * all * sizeof(uint32_t);

    return counters->size;
}


void
ngx_http_gray_counters_init(ngx_http_gray_counters_t *counters,
    ngx_uint_t variants, ngx_uint_t workers, time_t time, ngx_msec_t now)
{
    (void) ngx_http_gray_counters_layout(counters, variants, workers);

    ngx_http_gray_counters_clear(counters, counters->size, time, now);
}


/* all that the layout has room for, up to "size" bytes */

static void
ngx_http_gray_counters_clear(ngx_http_gray_counters_t *counters, size_t size,
    time_t time, ngx_msec_t now)
{
    ngx_uint_t              variants, workers;
    ngx_http_gray_claim_t  *names;

    variants = counters->variants;
    workers = counters->workers;

    ngx_memzero(counters, size);
    (void) ngx_http_gray_counters_layout(counters, variants, workers);

    counters->turns.made[0].ms = now;
    counters->turns.made[0].time = time;
    counters->turns.short_ends[0] = now;
    counters->turns.long_ends[0] = now;

    /* "_other" is nobody's claim: its mark says that it is free */

    names = ngx_http_gray_counters_names(counters);
    names[variants].time = time;
    names[variants].began = now;
}


size_t
ngx_http_gray_counters_bytes(ngx_http_gray_counters_t *counters)
{
    return counters->size;
}


ngx_uint_t
ngx_http_gray_counters_variants(ngx_http_gray_counters_t *counters)
{
    return counters->variants;
}


ngx_http_gray_claim_t *
ngx_http_gray_counters_names(ngx_http_gray_counters_t *counters)
{
    return ngx_http_gray_counters_at(counters, ngx_http_gray_claim_t, names);
}


static ngx_http_gray_claim_t *
ngx_http_gray_counters_rules(ngx_http_gray_counters_t *counters)
{
    return ngx_http_gray_counters_at(counters, ngx_http_gray_claim_t, rules);
}


void
ngx_http_gray_counters_assign_variants(ngx_http_gray_counters_t *counters,
    ngx_str_t **name, ngx_uint_t n, ngx_uint_t *slot, ngx_uint_t locked)
{
    ngx_uint_t              i, k;
    ngx_http_gray_claim_t  *names;

    names = ngx_http_gray_counters_names(counters);

    for (i = 0; i < n; i++) {
        slot[i] = ngx_http_gray_claim(names, counters->variants, name[i]);

        if (slot[i] < counters->variants || !locked) {
            continue;
        }

        k = ngx_http_gray_claim_take(names, counters->variants, name, n);

        if (k < counters->variants) {
            ngx_http_gray_counters_forget_variant(counters, k);
            ngx_http_gray_claim_give(names, k, name[i]);
        }

        slot[i] = k;
    }
}


/* but for the gauge: who is under way is to leave it yet */

static void
ngx_http_gray_counters_forget_variant(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot)
{
    ngx_uint_t  i;

    for (i = 0; i < counters->workers; i++) {
        ngx_memzero(ngx_http_gray_counters_counts(counters, i, slot),
                    sizeof(ngx_http_gray_counts_t));
    }

    for (i = 0; i < NGX_HTTP_GRAY_SUMS; i++) {
        ngx_memzero(ngx_http_gray_counters_sums(counters, i, slot),
                    sizeof(ngx_http_gray_counts_t));
    }

    for (i = 0; i < NGX_HTTP_GRAY_SHORTS; i++) {
        ngx_memzero(ngx_http_gray_counters_short(counters, i, slot),
                    sizeof(ngx_http_gray_part_t));
    }

    for (i = 0; i < NGX_HTTP_GRAY_LONGS; i++) {
        ngx_memzero(ngx_http_gray_counters_long(counters, i, slot),
                    sizeof(ngx_http_gray_part_t));
    }
}


void
ngx_http_gray_counters_assign_rules(ngx_http_gray_counters_t *counters,
    ngx_str_t **name, ngx_uint_t n, ngx_uint_t *slot, ngx_uint_t locked)
{
    ngx_uint_t              i, k, w;
    ngx_http_gray_claim_t  *rules;

    rules = ngx_http_gray_counters_rules(counters);

    for (i = 0; i < n; i++) {
        slot[i] = ngx_http_gray_claim(rules, NGX_HTTP_GRAY_COUNTED_RULES,
                                      name[i]);

        if (slot[i] < NGX_HTTP_GRAY_COUNTED_RULES || !locked) {
            continue;
        }

        k = ngx_http_gray_claim_take(rules, NGX_HTTP_GRAY_COUNTED_RULES, name,
                                     n);

        if (k < NGX_HTTP_GRAY_COUNTED_RULES) {

            for (w = 0; w < counters->workers; w++) {
                *ngx_http_gray_counters_matches(counters, w, k) = 0;
            }

            ngx_http_gray_claim_give(rules, k, name[i]);
        }

        slot[i] = k;
    }
}


ngx_int_t
ngx_http_gray_counters_variant(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_str_t *name)
{
    if (slot == counters->variants) {
        *name = ngx_http_gray_counters_other;
        return NGX_OK;
    }

    return ngx_http_gray_claim_name(ngx_http_gray_counters_names(counters),
                                    slot, name);
}


ngx_int_t
ngx_http_gray_counters_rule(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_str_t *name)
{
    if (slot == NGX_HTTP_GRAY_COUNTED_RULES) {
        *name = ngx_http_gray_counters_other;
        return NGX_OK;
    }

    return ngx_http_gray_claim_name(ngx_http_gray_counters_rules(counters),
                                    slot, name);
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
    ngx_uint_t  i;

    ngx_memzero(counts, sizeof(ngx_http_gray_counts_t));

    for (i = 0; i < counters->workers; i++) {
        ngx_http_gray_tally_sum(counts,
                            ngx_http_gray_counters_counts(counters, i, slot));
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


ngx_http_gray_turns_t *
ngx_http_gray_counters_turns(ngx_http_gray_counters_t *counters)
{
    return &counters->turns;
}


ngx_http_gray_counts_t *
ngx_http_gray_counters_sums(ngx_http_gray_counters_t *counters,
    ngx_uint_t which, ngx_uint_t slot)
{
    ngx_http_gray_counts_t  *sums;

    sums = ngx_http_gray_counters_at(counters, ngx_http_gray_counts_t, sums);

    return &sums[which * (counters->variants + 1) + slot];
}


ngx_http_gray_part_t *
ngx_http_gray_counters_short(ngx_http_gray_counters_t *counters,
    uint64_t turn, ngx_uint_t slot)
{
    ngx_http_gray_part_t  *parts;

    parts = ngx_http_gray_counters_at(counters, ngx_http_gray_part_t, shorts);

    return &parts[turn % NGX_HTTP_GRAY_SHORTS * counters->variants + slot];
}


ngx_http_gray_part_t *
ngx_http_gray_counters_long(ngx_http_gray_counters_t *counters,
    uint64_t minute, ngx_uint_t slot)
{
    ngx_http_gray_part_t  *parts;

    parts = ngx_http_gray_counters_at(counters, ngx_http_gray_part_t, longs);

    return &parts[minute % NGX_HTTP_GRAY_LONGS * counters->variants + slot];
}


void
ngx_http_gray_counters_inherit(ngx_http_gray_counters_t *to,
    ngx_http_gray_counters_t *from)
{
    uint64_t    word;
    ngx_uint_t  tries;

    tries = 0;

    do {
        word = __atomic_load_n(&from->turns.word, __ATOMIC_ACQUIRE);

        ngx_http_gray_counters_clear(to, to->live, ngx_time(),
                                     ngx_current_msec);

        to->turns = from->turns;
        to->turns.word = word;

        ngx_http_gray_counters_copy(to, from);

        __atomic_thread_fence(__ATOMIC_ACQUIRE);

    } while (__atomic_load_n(&from->turns.word, __ATOMIC_RELAXED) != word
             && ++tries < NGX_HTTP_GRAY_COUNTERS_TRIES);
}


static void
ngx_http_gray_counters_copy(ngx_http_gray_counters_t *to,
    ngx_http_gray_counters_t *from)
{
    ngx_str_t               name;
    ngx_uint_t              i, slot;
    ngx_http_gray_claim_t  *names, *old;

    names = ngx_http_gray_counters_names(to);
    old = ngx_http_gray_counters_names(from);

    names[to->variants] = old[from->variants];

    for (i = 0; i < from->variants; i++) {

        if (ngx_http_gray_claim_name(old, i, &name) == NGX_OK) {
            slot = ngx_http_gray_claim(names, to->variants, &name);
            ngx_http_gray_counters_copy_variant(to, slot, from, i);
        }
    }

    ngx_http_gray_counters_copy_variant(to, to->variants, from,
                                        from->variants);

    for (i = 0; i <= NGX_HTTP_GRAY_COUNTED_RULES; i++) {
        ngx_http_gray_counters_copy_rule(to, from, i);
    }
}


/* sums go to the first worker; what comes to "_other" has no rings there */

static void
ngx_http_gray_counters_copy_variant(ngx_http_gray_counters_t *to,
    ngx_uint_t slot, ngx_http_gray_counters_t *from, ngx_uint_t old)
{
    ngx_uint_t              i;
    ngx_http_gray_claim_t  *name, *before;

    for (i = 0; i < from->workers; i++) {
        ngx_http_gray_tally_sum(ngx_http_gray_counters_counts(to, 0, slot),
                               ngx_http_gray_counters_counts(from, i, old));
    }

    for (i = 0; i < NGX_HTTP_GRAY_SUMS; i++) {
        ngx_http_gray_tally_sum(ngx_http_gray_counters_sums(to, i, slot),
                                ngx_http_gray_counters_sums(from, i, old));
    }

    if (slot == to->variants) {
        return;
    }

    name = &ngx_http_gray_counters_names(to)[slot];
    before = &ngx_http_gray_counters_names(from)[old];

    name->time = before->time;
    name->began = before->began;

    for (i = 0; i < NGX_HTTP_GRAY_SHORTS; i++) {
        *ngx_http_gray_counters_short(to, i, slot)
                               = *ngx_http_gray_counters_short(from, i, old);
    }

    for (i = 0; i < NGX_HTTP_GRAY_LONGS; i++) {
        *ngx_http_gray_counters_long(to, i, slot)
                               = *ngx_http_gray_counters_long(from, i, old);
    }
}


static void
ngx_http_gray_counters_copy_rule(ngx_http_gray_counters_t *to,
    ngx_http_gray_counters_t *from, ngx_uint_t old)
{
    ngx_str_t   name;
    ngx_uint_t  slot;

    if (ngx_http_gray_counters_rule(from, old, &name) != NGX_OK) {
        return;
    }

    slot = old;

    if (old < NGX_HTTP_GRAY_COUNTED_RULES) {
        slot = ngx_http_gray_claim(ngx_http_gray_counters_rules(to),
                                   NGX_HTTP_GRAY_COUNTED_RULES, &name);
    }

    *ngx_http_gray_counters_matches(to, 0, slot)
                                += ngx_http_gray_counters_matched(from, old);
}
