
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_HISTOGRAM_H_INCLUDED_
#define _NGX_HTTP_GRAY_HISTOGRAM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A histogram of whole milliseconds is an array of this many counts: bucket 0
 * holds the value 0, bucket 1 + k, for k from 0 to 144, the values v with
 * 2^((k-1)/8) < v <= 2^(k/8), the last one all that is larger.
 */

#define NGX_HTTP_GRAY_HISTOGRAM      147

/* the largest value that is not in the last bucket, as a power of 2 */

#define NGX_HTTP_GRAY_HISTOGRAM_TOP  18


/* a count is n << shift; 296 bytes instead of 1176 */

typedef struct {
    uint16_t                      shift;
    uint16_t                      n[NGX_HTTP_GRAY_HISTOGRAM];
} ngx_http_gray_histogram_packed_t;


/* what is added for each sixteenth of an octave, see the .c */

extern const uint32_t  ngx_http_gray_histogram_steps[16];


/* the largest value of a bucket, or of those before where it holds none */
uint64_t ngx_http_gray_histogram_edge(ngx_uint_t i);

/* these two saturate: no sum is larger than UINT64_MAX */
void ngx_http_gray_histogram_merge(uint64_t *to, const uint64_t *from);
uint64_t ngx_http_gray_histogram_count(const uint64_t *n);

/*
 * The value of which a share q, from 0 to 1, is not larger, in milliseconds:
 * off by a factor of less than 2^(1/8), exact below 15 ms.  It is -1 where
 * nothing was counted, and 2^18 where all that is known is that it is larger.
 */
double ngx_http_gray_histogram_quantile(const uint64_t *n, double q);

/* _unpack() adds to the counts that are there */
void ngx_http_gray_histogram_pack(ngx_http_gray_histogram_packed_t *packed,
    const uint64_t *n);
void ngx_http_gray_histogram_unpack(
    const ngx_http_gray_histogram_packed_t *packed, uint64_t *n);


/* the bucket of a value */

static ngx_inline ngx_uint_t
ngx_http_gray_histogram_index(uint64_t ms)
{
    uint32_t    octave, scaled;
    ngx_uint_t  slot;

    if (ms - 1 >= (uint64_t) 1 << NGX_HTTP_GRAY_HISTOGRAM_TOP) {
        return ms ? NGX_HTTP_GRAY_HISTOGRAM - 1 : 0;
    }

    octave = 31 ^ (uint32_t) __builtin_clz((uint32_t) ms);
    scaled = (uint32_t) ms << (NGX_HTTP_GRAY_HISTOGRAM_TOP - octave);

    /* its leading bit and four more, from 16 to 31 */
    slot = scaled >> (NGX_HTTP_GRAY_HISTOGRAM_TOP - 4);

    scaled += ngx_http_gray_histogram_steps[slot - 16];

    return 1 + 8 * octave + (scaled >> (NGX_HTTP_GRAY_HISTOGRAM_TOP + 2));
}


#endif /* _NGX_HTTP_GRAY_HISTOGRAM_H_INCLUDED_ */
