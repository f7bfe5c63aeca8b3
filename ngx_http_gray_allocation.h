
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_ALLOCATION_H_INCLUDED_
#define _NGX_HTTP_GRAY_ALLOCATION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_HTTP_GRAY_BUCKETS  1000000


/* buckets from "start" up to, but not with, "end" */

typedef struct {
    uint32_t                      start;
    uint32_t                      end;
} ngx_http_gray_interval_t;


/*
 * What one variant holds: "size" buckets, in "n" intervals, in the order in
 * which they were taken.  "intervals" is malloc()ed, NULL where n is 0.
 */

typedef struct {
    ngx_str_t                     name;
    uint32_t                      size;
    uint32_t                      n;
    ngx_http_gray_interval_t     *intervals;
} ngx_http_gray_arm_t;


/* a run of buckets that ends before "end" and belongs to arm number "arm" */

typedef struct {
    uint32_t                      end;
    uint32_t                      arm;
} ngx_http_gray_segment_t;


/*
 * Do the arms hold exactly their sizes: every interval not empty and within
 * 0 to NGX_HTTP_GRAY_BUCKETS, none overlapping another, of this arm or any?
 * The arm number "rest" is left out (ngx_http_gray_allocation_rest() fills
 * it); give n for none.  NGX_OK, NGX_DECLINED, or NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_allocation_fits(const ngx_http_gray_arm_t *arms,
    ngx_uint_t n, ngx_uint_t rest);

/*
 * Gives arm number "rest" all buckets that no other arm holds, as sorted
 * intervals, and sets its size.  The arms must not overlap.  NGX_OK or
 * NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_allocation_rest(ngx_http_gray_arm_t *arms,
    ngx_uint_t n, ngx_uint_t rest);

/*
 * Gives every arm of "arms" its size, moving nobody who need not: "old" is
 * the whole partition that was in force (sizes sum to NGX_HTTP_GRAY_BUCKETS;
 * n_old is 0 where there was none), arms are the same by name.  The sizes of
 * "arms" sum to NGX_HTTP_GRAY_BUCKETS, their intervals are overwritten.  Arm
 * number "rest" is the baseline.  NGX_OK or NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_allocation_move(const ngx_http_gray_arm_t *old,
    ngx_uint_t n_old, ngx_http_gray_arm_t *arms, ngx_uint_t n,
    ngx_uint_t rest);

void ngx_http_gray_allocation_free(ngx_http_gray_arm_t *arms, ngx_uint_t n);

/*
 * The whole partition as segments in ascending order, for looking up.
 * Returns how many there are and writes at most "max" of them (call with 0
 * first).  Neighbours of one arm are one segment.  NGX_ERROR is (memory).
 */
ngx_int_t ngx_http_gray_allocation_segments(const ngx_http_gray_arm_t *arms,
    ngx_uint_t n, ngx_http_gray_segment_t *segments, ngx_uint_t max);

/* the arm that holds "bucket"; "segments" must cover all the buckets */
ngx_uint_t ngx_http_gray_allocation_find(
    const ngx_http_gray_segment_t *segments, ngx_uint_t n, uint32_t bucket);


#endif /* _NGX_HTTP_GRAY_ALLOCATION_H_INCLUDED_ */
