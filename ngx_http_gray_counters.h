
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_COUNTERS_H_INCLUDED_
#define _NGX_HTTP_GRAY_COUNTERS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_claim.h"
#include "ngx_http_gray_tally.h"


/* with counters of their own, at most */
#define NGX_HTTP_GRAY_COUNTED_VARIANTS  33
#define NGX_HTTP_GRAY_COUNTED_RULES     64

/* worker slots: more workers share them, by modulo */
#define NGX_HTTP_GRAY_COUNTED_WORKERS   16


/* places of rings: see ngx_http_gray_turns.c */

#define NGX_HTTP_GRAY_INTERVALS   6        /* in a minute */
#define NGX_HTTP_GRAY_MINUTES     60

#define NGX_HTTP_GRAY_SHORTS      (NGX_HTTP_GRAY_INTERVALS + 2)
#define NGX_HTTP_GRAY_LONGS       (NGX_HTTP_GRAY_MINUTES + 2)
#define NGX_HTTP_GRAY_SHORT_ENDS  (NGX_HTTP_GRAY_SHORTS + 1)
#define NGX_HTTP_GRAY_LONG_ENDS   (NGX_HTTP_GRAY_LONGS + 1)

#define NGX_HTTP_GRAY_SUMS        3


/* the state of these, which begins as zeroes but for times */

typedef struct {
    uint64_t    turn;
    uint64_t    ms;
    uint64_t    time;               /* s, of a reset */
} ngx_http_gray_made_t;

typedef struct {
    uint64_t                  word;
    ngx_http_gray_made_t      made[NGX_HTTP_GRAY_SUMS];
    uint64_t                  short_ends[NGX_HTTP_GRAY_SHORT_ENDS];
    uint64_t                  long_ends[NGX_HTTP_GRAY_LONG_ENDS];
} ngx_http_gray_turns_t;


/* the counters of a release, in shared memory: no pointers, only sizes */

typedef struct ngx_http_gray_counters_s  ngx_http_gray_counters_t;


/* bytes for so many variants and workers; the latter as they are declared */
size_t ngx_http_gray_counters_size(ngx_uint_t variants, ngx_uint_t workers);

/*
 * Makes counters of zeroed or of any memory of that size.  "time" is seconds
 * since 1970, "now" milliseconds of nginx's clock, as everywhere below.
 */
void ngx_http_gray_counters_init(ngx_http_gray_counters_t *counters,
    ngx_uint_t variants, ngx_uint_t workers, time_t time, ngx_msec_t now);

/* bytes that they take */
size_t ngx_http_gray_counters_bytes(ngx_http_gray_counters_t *counters);

/* how many variants have a slot of their own; the slot behind is "_other" */
ngx_uint_t ngx_http_gray_counters_variants(ngx_http_gray_counters_t *counters);


/*
 * Slots for the names of a revision: slot[i] for name[i].  A name keeps the
 * slot that it has, whoever asks; a new one gets a free slot, or, where
 * "locked" says that the zone's lock is held, that of a name which is not
 * among these: what was counted there is gone, but for the gauge.  Else, the
 * one of "_other".
 */
void ngx_http_gray_counters_assign_variants(
    ngx_http_gray_counters_t *counters, ngx_str_t **name, ngx_uint_t n,
    ngx_uint_t *slot, ngx_uint_t locked);
void ngx_http_gray_counters_assign_rules(ngx_http_gray_counters_t *counters,
    ngx_str_t **name, ngx_uint_t n, ngx_uint_t *slot, ngx_uint_t locked);

/*
 * The name of a slot, in the zone: NGX_OK, or NGX_DECLINED where it has none.
 * "_other" is not among them, but for its own slot.
 */
ngx_int_t ngx_http_gray_counters_variant(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_str_t *name);
ngx_int_t ngx_http_gray_counters_rule(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_str_t *name);

/* those of variants; a mark is another one once the name is */
ngx_http_gray_claim_t *ngx_http_gray_counters_names(
    ngx_http_gray_counters_t *counters);


/*
 * Where a worker counts, by ngx_worker: slots follow each other in memory.
 * Additions are atomic, as another process may have the same number for a
 * while, and relaxed.
 */

ngx_http_gray_counts_t *ngx_http_gray_counters_counts(
    ngx_http_gray_counters_t *counters, ngx_uint_t worker, ngx_uint_t slot);
uint64_t *ngx_http_gray_counters_matches(ngx_http_gray_counters_t *counters,
    ngx_uint_t worker, ngx_uint_t slot);

static ngx_inline void
ngx_http_gray_count(uint64_t *counter, uint64_t n)
{
    (void) __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}


/* requests under way of a process, by its entry in the zone */
uint32_t *ngx_http_gray_counters_live(ngx_http_gray_counters_t *counters,
    ngx_uint_t entry, ngx_uint_t slot);

/* for an entry whose process is gone */
void ngx_http_gray_counters_forget(ngx_http_gray_counters_t *counters,
    ngx_uint_t entry);


/* sums of all workers, ever: of a zone, and never less than before */
void ngx_http_gray_counters_sum(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_http_gray_counts_t *counts);
uint64_t ngx_http_gray_counters_matched(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot);

/* for ngx_http_gray_turns.c, by its numbers of turns and of minutes */

ngx_http_gray_turns_t *ngx_http_gray_counters_turns(
    ngx_http_gray_counters_t *counters);
ngx_http_gray_counts_t *ngx_http_gray_counters_sums(
    ngx_http_gray_counters_t *counters, ngx_uint_t which, ngx_uint_t slot);
ngx_http_gray_part_t *ngx_http_gray_counters_short(
    ngx_http_gray_counters_t *counters, uint64_t turn, ngx_uint_t slot);
ngx_http_gray_part_t *ngx_http_gray_counters_long(
    ngx_http_gray_counters_t *counters, uint64_t minute, ngx_uint_t slot);


/*
 * What was counted in another zone comes along, by the names; what is in "to"
 * is gone, but for its gauges.  With the lock of "from", or else it may miss
 * what is counted there just now.
 */
void ngx_http_gray_counters_inherit(ngx_http_gray_counters_t *to,
    ngx_http_gray_counters_t *from);


#endif /* _NGX_HTTP_GRAY_COUNTERS_H_INCLUDED_ */
