
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_tally.h"


#define NGX_HTTP_GRAY_COUNTS                                                  \
    (sizeof(ngx_http_gray_counts_t) / sizeof(uint64_t))


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


void
ngx_http_gray_tally_sum(ngx_http_gray_counts_t *sum,
    ngx_http_gray_counts_t *counts)
{
    uint64_t    *to, *from;
    ngx_uint_t   i;

    to = (uint64_t *) sum;
    from = (uint64_t *) counts;

    for (i = 0; i < NGX_HTTP_GRAY_COUNTS; i++) {
        to[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    }
}


/*
 * Counters wrap, and so do differences.  One that is negative is none: it is
 * of a slot that changes hands.
 */

void
ngx_http_gray_tally_subtract(ngx_http_gray_counts_t *counts,
    ngx_http_gray_counts_t *before)
{
    uint64_t    *to, *from;
    ngx_uint_t   i;

    to = (uint64_t *) counts;
    from = (uint64_t *) before;

    for (i = 0; i < NGX_HTTP_GRAY_COUNTS; i++) {
        to[i] -= from[i];

        if (to[i] > INT64_MAX) {
            to[i] = 0;
        }
    }
}


void
ngx_http_gray_tally_add(ngx_http_gray_summary_t *summary,
    ngx_http_gray_counts_t *counts)
{
    uint64_t    n;
    ngx_uint_t  i, k;

    for (i = 0; i < NGX_HTTP_GRAY_REASONS; i++) {
        for (k = 0; k < NGX_HTTP_GRAY_CODES; k++) {
            n = counts->requests[i][k];
            summary->codes[k] += n;

            if (i == NGX_HTTP_GRAY_SPLIT || i == NGX_HTTP_GRAY_RANDOM) {
                summary->drawn += n;
            }
        }
    }

    for (i = 0; i < NGX_HTTP_GRAY_ABSENCES; i++) {
        summary->absent += counts->absent[i];
    }

    for (i = 0; i < NGX_HTTP_GRAY_KINDS; i++) {
        summary->failures += counts->failures[i];
    }

    summary->fallbacks += counts->fallbacks;
    summary->streams += counts->streams;
    summary->header_ms += counts->header_ms;
    summary->total_ms += counts->total_ms;

    ngx_http_gray_histogram_merge(summary->header, counts->header);
    ngx_http_gray_histogram_merge(summary->total, counts->total);
}


void
ngx_http_gray_tally_pack(ngx_http_gray_part_t *part,
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


void
ngx_http_gray_tally_unpack(ngx_http_gray_part_t *part,
    ngx_http_gray_summary_t *summary)
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
