
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * How long requests took, in little room.
 *
 * The problem.  Whether a new variant is slower than the old one is told by
 * its quantiles: half of the requests took less than so many milliseconds,
 * 99% less than so many.  To know them exactly, each time had to be kept.
 * And workers count for themselves, minute by minute; what is asked for is
 * the quantile of all workers for the last hour, and no quantile of a union
 * can be worked out from quantiles of its parts.  So times are counted in
 * buckets.  Counts can be added, and then tell any quantile within the width
 * of a bucket.
 *
 * The layout is that of exponential histograms of OpenTelemetry, scale 3
 * (https://opentelemetry.io/docs/specs/otel/metrics/data-model/), and of
 * native histograms of Prometheus, schema 3: the upper edges of buckets are
 * the powers of base 2^(2^-3) = 2^(1/8) = 1.0905..., and belong to their
 * bucket, as "le" has it, so any set of edges may be shown to those who want
 * fewer buckets, without an error.  They are the same always and everywhere:
 * histograms of two variants, two hosts or two releases of this module can be
 * added or compared, bucket by bucket.
 *
 *    bucket  0   1   2..8   9   10..13   14     15..16   17   ...   145    146
 *    k           0   1..7   8    9..12   13     14..15   16         144
 *    edge    0   1          2            3.08            4          2^18
 *    holds   0   1   none   2    none    3      none     4                 more
 *
 * As values are whole numbers of milliseconds, 18 of the buckets below 10
 * never hold one, and up to 14 each number has a bucket for itself.  The last
 * edge, 2^18 ms, is 262 s.
 *
 * The bound.  A quantile is the exact one by nearest rank, ceil(q * count),
 * but for what of its bucket lies between the two: less than a factor of
 * 2^(1/8), 9.05%, whatever the distribution is.  Within the bucket it is
 * interpolated, as if the values were spread evenly over the whole numbers
 * there; where that is about true, which it is of a smooth distribution, the
 * error is much smaller.  There is no bound in the last bucket: 2^18 says
 * "longer than that".
 *
 * The bucket of a value (_index(), in the header, as each request wants it
 * twice) is exact, as no floating point is used.  A value is shifted, so
 * that its leading bit is bit 18; nothing gets lost, as larger ones are in
 * the last bucket.  Now the edges are eight numbers, 2^(18 + j/8), and the
 * bucket is told by how many of them are less than the value.  They are 9%
 * apart, so there is one at most in each sixteenth of the octave, and which
 * one, the four bits behind the leading one tell.  The comparison with it is
 * a subtraction: above the 19 bits of a value and a bit for the borrow stands
 * j + 1, and the borrow leaves j of it.  All that is one number for each
 * sixteenth, which is added: 64 bytes, a line of the cache.
 *
 * Packed.  A histogram of the last minutes is a ring of many.  A packed one
 * has 16 bits for a count, and one shift for all, the smallest by which they
 * fit.  What is cut off of a count is carried to the next one: the sum of the
 * first i counts, for each i, is that of before rounded down to a multiple of
 * 2^shift.  So roundings do not add up, it is the sums by which quantiles are
 * found, and a bucket that was empty remains so.  The largest count has 15
 * bits at least where there is a shift at all, so a rank is off by less than a
 * 32,767th of the count.
 *
 * Counts saturate where they are added, and anything is allowed in them.
 * Nothing here allocates, locks, or fails.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <math.h>

#include "ngx_http_gray_histogram.h"


/* 2^(18 + j/8), rounded down */

#define NGX_HTTP_GRAY_HISTOGRAM_0  262144
#define NGX_HTTP_GRAY_HISTOGRAM_1  285870
#define NGX_HTTP_GRAY_HISTOGRAM_2  311743
#define NGX_HTTP_GRAY_HISTOGRAM_3  339958
#define NGX_HTTP_GRAY_HISTOGRAM_4  370727
#define NGX_HTTP_GRAY_HISTOGRAM_5  404281
#define NGX_HTTP_GRAY_HISTOGRAM_6  440871
#define NGX_HTTP_GRAY_HISTOGRAM_7  480774


/* a value has 19 bits; what is above bit 19 is j, or j + 1 if it is larger */

#define ngx_http_gray_histogram_step(j)                                       \
    (((j + 1) << (NGX_HTTP_GRAY_HISTOGRAM_TOP + 2))                           \
     - NGX_HTTP_GRAY_HISTOGRAM_##j - 1)


/*
 * For each sixteenth of an octave the last edge that is not behind it; where
 * that lies before, all values are larger.
 */

const uint32_t  ngx_http_gray_histogram_steps[16] = {
    ngx_http_gray_histogram_step(0),
    ngx_http_gray_histogram_step(1),
    ngx_http_gray_histogram_step(1),
    ngx_http_gray_histogram_step(2),
    ngx_http_gray_histogram_step(3),
    ngx_http_gray_histogram_step(3),
    ngx_http_gray_histogram_step(4),
    ngx_http_gray_histogram_step(4),
    ngx_http_gray_histogram_step(5),
    ngx_http_gray_histogram_step(5),
    ngx_http_gray_histogram_step(6),
    ngx_http_gray_histogram_step(6),
    ngx_http_gray_histogram_step(6),
    ngx_http_gray_histogram_step(7),
    ngx_http_gray_histogram_step(7),
    ngx_http_gray_histogram_step(7)
};


static const uint32_t  ngx_http_gray_histogram_edges[8] = {
    NGX_HTTP_GRAY_HISTOGRAM_0,
    NGX_HTTP_GRAY_HISTOGRAM_1,
    NGX_HTTP_GRAY_HISTOGRAM_2,
    NGX_HTTP_GRAY_HISTOGRAM_3,
    NGX_HTTP_GRAY_HISTOGRAM_4,
    NGX_HTTP_GRAY_HISTOGRAM_5,
    NGX_HTTP_GRAY_HISTOGRAM_6,
    NGX_HTTP_GRAY_HISTOGRAM_7
};


static double ngx_http_gray_histogram_within(ngx_uint_t i, double share);
static uint64_t ngx_http_gray_histogram_add(uint64_t one, uint64_t two);


uint64_t
ngx_http_gray_histogram_edge(ngx_uint_t i)
{
    if (i == 0) {
        return 0;
    }

    if (i >= NGX_HTTP_GRAY_HISTOGRAM - 1) {
        return UINT64_MAX;
    }

    i--;

    return ngx_http_gray_histogram_edges[i % 8]
           >> (NGX_HTTP_GRAY_HISTOGRAM_TOP - i / 8);
}


void
ngx_http_gray_histogram_merge(uint64_t *to, const uint64_t *from)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_GRAY_HISTOGRAM; i++) {
        to[i] = ngx_http_gray_histogram_add(to[i], from[i]);
    }
}


uint64_t
ngx_http_gray_histogram_count(const uint64_t *n)
{
    uint64_t    count;
    ngx_uint_t  i;

    count = 0;

    for (i = 0; i < NGX_HTTP_GRAY_HISTOGRAM; i++) {
        count = ngx_http_gray_histogram_add(count, n[i]);
    }

    return count;
}


/*
 * Sums are doubles, which do not wrap.  They are exact up to 2^53; above, both
 * loops round in the same way, and a rank may be off by 2^-50 of the count.
 */

double
ngx_http_gray_histogram_quantile(const uint64_t *n, double q)
{
    double      sum, count, rank, share;
    ngx_uint_t  i, last;

    count = 0;
    last = 0;

    for (i = 0; i < NGX_HTTP_GRAY_HISTOGRAM; i++) {
        if (n[i]) {
            count += (double) n[i];
            last = i;
        }
    }

    if (count == 0) {
        return -1;
    }

    /* 0.07 of 100 is 7, but in binary it is more: 7.000000000000001 */

    rank = (q < 1) ? ceil(q * count * (1 - 0x1p-50)) : count;

    if (!(rank >= 1)) {
        rank = 1;
    }

    sum = 0;

    for (i = 0; i < last; i++) {
        if (sum + (double) n[i] >= rank) {
            break;
        }

        sum += (double) n[i];
    }

    share = (rank - sum - 0.5) / (double) n[i];

    return ngx_http_gray_histogram_within(i, ngx_min(share, 1));
}


static double
ngx_http_gray_histogram_within(ngx_uint_t i, double share)
{
    double  low, high;

    if (i == 0) {
        return 0;
    }

    if (i == NGX_HTTP_GRAY_HISTOGRAM - 1) {
        return (uint64_t) 1 << NGX_HTTP_GRAY_HISTOGRAM_TOP;
    }

    high = (double) ngx_http_gray_histogram_edge(i);
    low = (double) ngx_http_gray_histogram_edge(i - 1) + 1;

    /* no value belongs to the bucket, and yet it was counted */
    low = ngx_min(low, high);

    return low + (high - low) * share;
}


void
ngx_http_gray_histogram_pack(ngx_http_gray_histogram_packed_t *packed,
    const uint64_t *n)
{
    uint64_t    max, mask, carry, count;
    ngx_uint_t  i, shift;

    max = 0;

    for (i = 0; i < NGX_HTTP_GRAY_HISTOGRAM; i++) {
        max = ngx_max(max, n[i]);
    }

    for (shift = 0; max >> shift > UINT16_MAX; shift++) { /* void */ }

again:

    mask = ((uint64_t) 1 << shift) - 1;
    carry = 0;

    for (i = 0; i < NGX_HTTP_GRAY_HISTOGRAM; i++) {
        carry += n[i] & mask;
        count = (n[i] >> shift) + (carry >> shift);
        carry &= mask;

        if (count > UINT16_MAX) {

            /* the carry was too much; it will not be twice */

            shift++;
            goto again;
        }

        packed->n[i] = (uint16_t) count;
    }

    packed->shift = (uint16_t) shift;
}


void
ngx_http_gray_histogram_unpack(const ngx_http_gray_histogram_packed_t *packed,
    uint64_t *n)
{
    uint64_t    count;
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_GRAY_HISTOGRAM; i++) {
        count = packed->n[i];

        /* a count near 2^64 may have been rounded to it */

        if (count > UINT64_MAX >> packed->shift) {
            count = UINT64_MAX;

        } else {
            count <<= packed->shift;
        }

        n[i] = ngx_http_gray_histogram_add(n[i], count);
    }
}


static uint64_t
ngx_http_gray_histogram_add(uint64_t one, uint64_t two)
{
    return (one > UINT64_MAX - two) ? UINT64_MAX : one + two;
}
