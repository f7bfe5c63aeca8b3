
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_COUNTERS_H_INCLUDED_
#define _NGX_HTTP_GRAY_COUNTERS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_histogram.h"
#include "ngx_http_gray_rules.h"
#include "ngx_http_gray_shm.h"


/* with counters of their own, at most */
#define NGX_HTTP_GRAY_COUNTED_VARIANTS  33
#define NGX_HTTP_GRAY_COUNTED_RULES     64

/* worker slots: more workers share them, by modulo */
#define NGX_HTTP_GRAY_COUNTED_WORKERS   16


/* the class of a status, with 499 as one of its own */

typedef enum {
    NGX_HTTP_GRAY_1XX = 0,
    NGX_HTTP_GRAY_2XX,
    NGX_HTTP_GRAY_3XX,
    NGX_HTTP_GRAY_4XX,
    NGX_HTTP_GRAY_5XX,
    NGX_HTTP_GRAY_499,
    NGX_HTTP_GRAY_CODES
} ngx_http_gray_code_e;


/* how an attempt at a peer failed */

typedef enum {
    NGX_HTTP_GRAY_CONNECT = 0,
    NGX_HTTP_GRAY_TIMEOUT,
    NGX_HTTP_GRAY_RESET,
    NGX_HTTP_GRAY_INVALID,          /* a header that nginx does not take */
    NGX_HTTP_GRAY_NO_LIVE,          /* there was no peer to be tried */
    NGX_HTTP_GRAY_STATUS,           /* for which another one was tried */
    NGX_HTTP_GRAY_KINDS
} ngx_http_gray_failure_e;


/* why a request came to none of the variant's peers */

typedef enum {
    NGX_HTTP_GRAY_CACHED = 0,       /* answered by nginx's cache */
    NGX_HTTP_GRAY_LOCAL,            /* by nginx itself, or by others */
    NGX_HTTP_GRAY_CLOSED,           /* the client was gone before */
    NGX_HTTP_GRAY_ABSENCES
} ngx_http_gray_absence_e;


/* the names of these, as they are served */

extern ngx_str_t  ngx_http_gray_codes[];
extern ngx_str_t  ngx_http_gray_failures[];
extern ngx_str_t  ngx_http_gray_absences[];


/*
 * What is counted for a variant: all of it 64-bit numbers, which a sum takes
 * for an array.  Times are whole milliseconds.
 */

typedef struct {
    uint64_t    requests[NGX_HTTP_GRAY_REASONS][NGX_HTTP_GRAY_CODES];
    uint64_t    absent[NGX_HTTP_GRAY_ABSENCES];
    uint64_t    failures[NGX_HTTP_GRAY_KINDS];
    uint64_t    fallbacks;
    uint64_t    streams;            /* of "requests" */
    uint64_t    bytes_in;
    uint64_t    bytes_out;
    uint64_t    header_ms;          /* the sums of what is in these: */
    uint64_t    total_ms;
    uint64_t    header[NGX_HTTP_GRAY_HISTOGRAM];
    uint64_t    total[NGX_HTTP_GRAY_HISTOGRAM];
} ngx_http_gray_counts_t;


/* a part of it, since a reset or for a window */

typedef struct {
    uint64_t    ms;                 /* how long a time this covers */
    uint64_t    codes[NGX_HTTP_GRAY_CODES];
    uint64_t    drawn;              /* of these, placed by weight or chance */
    uint64_t    absent;
    uint64_t    failures;
    uint64_t    fallbacks;
    uint64_t    streams;
    uint64_t    header_ms;
    uint64_t    total_ms;
    uint64_t    header[NGX_HTTP_GRAY_HISTOGRAM];
    uint64_t    total[NGX_HTTP_GRAY_HISTOGRAM];
} ngx_http_gray_summary_t;


/* a name, in its slot */

typedef struct {
    uint64_t    mark;               /* 0: the slot is free */
    uint64_t    time;               /* s, since when it counts */
    uint64_t    began;              /* ms */
    uint64_t    len;
    u_char      name[NGX_HTTP_GRAY_NAME + 1];
} ngx_http_gray_counted_t;


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

/* how many variants have a slot of their own; the slot behind is "_other" */
ngx_uint_t ngx_http_gray_counters_variants(ngx_http_gray_counters_t *counters);


/*
 * Slots for the names of a revision: slot[i] for name[i].  A name keeps the
 * slot that it has, whoever asks; a new one gets a free slot, or, where
 * "locked" says that the zone's lock is held, that of a name which is not
 * among these: what was counted there is gone.  Else, the one of "_other".
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
ngx_http_gray_counted_t *ngx_http_gray_counters_names(
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

/* since the last reset, or since the slot has its name: "since" is that time */
void ngx_http_gray_counters_since(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_msec_t now, ngx_http_gray_summary_t *summary,
    time_t *since);

/*
 * The last "seconds", 10 to 3600, or up to one interval more: of 10 seconds up
 * to a minute, and else of a minute; or less, where there is no more.
 * NGX_OK; NGX_DECLINED for the slot of "_other", which has no windows.
 */
ngx_int_t ngx_http_gray_counters_window(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_uint_t seconds, ngx_msec_t now,
    ngx_http_gray_summary_t *summary);

/* to be called every second or so, by one process at a time */
void ngx_http_gray_counters_tick(ngx_http_gray_counters_t *counters,
    ngx_msec_t now);

/* what _since() and _window() say begins anew; sums stay; with the lock */
void ngx_http_gray_counters_reset_locked(ngx_http_gray_counters_t *counters,
    time_t time, ngx_msec_t now);

/*
 * What was counted in another zone comes along, by the names.  "to" is new,
 * but for its own names, which it keeps.
 */
void ngx_http_gray_counters_inherit(ngx_http_gray_counters_t *to,
    ngx_http_gray_counters_t *from);


#endif /* _NGX_HTTP_GRAY_COUNTERS_H_INCLUDED_ */
