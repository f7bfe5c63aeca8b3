
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_TALLY_H_INCLUDED_
#define _NGX_HTTP_GRAY_TALLY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_histogram.h"
#include "ngx_http_gray_rules.h"


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


/*
 * A summary in little room, that of an interval: what does not fit in 32 bits
 * is the most that does.
 */

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


/* counts that others add to meanwhile are added to "sum" */
void ngx_http_gray_tally_sum(ngx_http_gray_counts_t *sum,
    ngx_http_gray_counts_t *counts);

/* what came after another sum */
void ngx_http_gray_tally_subtract(ngx_http_gray_counts_t *counts,
    ngx_http_gray_counts_t *before);

/* what is in "counts" is added to "summary" */
void ngx_http_gray_tally_add(ngx_http_gray_summary_t *summary,
    ngx_http_gray_counts_t *counts);

/* _unpack() adds, too */
void ngx_http_gray_tally_pack(ngx_http_gray_part_t *part,
    ngx_http_gray_summary_t *summary);
void ngx_http_gray_tally_unpack(ngx_http_gray_part_t *part,
    ngx_http_gray_summary_t *summary);


#endif /* _NGX_HTTP_GRAY_TALLY_H_INCLUDED_ */
