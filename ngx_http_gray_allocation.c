
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Which buckets belong to which variant.
 *
 * The problem.  A key falls into one of NGX_HTTP_GRAY_BUCKETS buckets, and a
 * bucket belongs to exactly one variant, so that a variant with 5% of the
 * traffic holds 50,000 of them.  If the owners were worked out from the
 * weights alone, a change of one weight would push users around between
 * variants whose weights nobody touched.  So the owners are remembered, and a
 * new partition is made from the one before it: a user leaves a variant only
 * where that variant shrinks, and enters one only where that one grows.
 *
 * The data.  An arm is a variant with its size and its intervals, which are
 * half-open and lie in the order in which the arm took them, each as low in
 * the range as was possible then.  One of the arms is "rest", the baseline:
 * it holds what the others leave, so its intervals need not be kept, and in a
 * result they are ascending.  Arms of two partitions are the same if they
 * have the same name.
 *
 *        0         50000     70000         120000               1000000
 *        |    a    |    b    |      a      |        rest        |
 *
 *        a: [0, 50000] [70000, 120000]      grew to 10% after b came
 *        b: [50000, 70000]
 *
 * A change, the usual way.  An arm that shrinks gives back what it took last.
 * What is given back is the pool; if the arms that grow need more than that,
 * the baseline adds its lowest buckets.  The arms that grow are served in
 * their order, each with the lowest buckets of the pool, and what is left of
 * the pool is the baseline's.  So an arm that grows alone takes the lowest
 * buckets of the baseline, and gives back just these if it shrinks again.
 *
 * A change, the tidy way.  The above cuts intervals, and while many weights
 * wander by odd steps for months, nothing joins the pieces again; but the
 * intervals are a part of a document, whose size is limited.  Therefore, if
 * the usual way leads to more than NGX_HTTP_GRAY_MANY intervals, what it did
 * is dropped and the same change is made anew: as few buckets move, but they
 * are chosen by place.  First the borders between an arm that shrinks and one
 * that grows are shifted, then whole intervals are handed over, both beginning
 * with the shortest, so that intervals vanish; and only what is still to move
 * is cut out of the longest.  That makes a border to be shifted next time; it
 * is done in the middle of a long interval, which saves the borders it has.
 * The price is that the order of taking is forgotten: after that, intervals
 * are ascending.
 *
 * The tidy way has no bound either, and no way has one that moves nobody in
 * vain: of an arm that appears, cut out of another, and then must leave all
 * to a third, which is not beside it, a splinter stays, every time.  But it
 * takes an adversary who looks at the places, for thousands of changes, to
 * come to a thousand intervals.  Who stores them must be ready to refuse.
 *
 * Invariants, of every partition that is given or made: intervals are not
 * empty and do not overlap, and together they are all the buckets; an arm's
 * intervals sum to its size.  Of every change: each arm that does not grow
 * holds a subset of what it held, and each arm that does not shrink holds a
 * superset, so the number of buckets that change hands is the sum of what the
 * growing arms grow by, and no partition of these sizes has fewer.
 *
 * Cost.  With i intervals of n arms a change takes O(i log i + n * (i + n)),
 * all else but the lookup O(i log i), and as much memory as there are
 * intervals; the number of buckets plays no part.  A lookup is a binary search
 * in segments.  There is no state and no lock, and nothing here but
 * ngx_http_gray_allocation_find() is for the way of a request.
 *
 * Failure.  Memory is the only thing that can be short.  Then a partition
 * that was to be made has no intervals, what was given is as it was, and
 * nothing is left to be freed.  Sizes that do not sum to all the buckets are
 * a mistake of the caller, and fail in the same way.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_gray_allocation.h"


/*
 * An interval takes at most 17 bytes of JSON.  Where all sizes are whole
 * percents there are never more than 100.
 */

#define NGX_HTTP_GRAY_MANY  128

/* what is left of an interval that is worth being cut in the middle */

#define NGX_HTTP_GRAY_LONG  (NGX_HTTP_GRAY_BUCKETS / 64)


/*
 * An interval and whose it is.  The neighbours, with a sentinel between the
 * last and the first, are those of the tidy way.
 */

typedef struct ngx_http_gray_piece_s  ngx_http_gray_piece_t;

struct ngx_http_gray_piece_s {
    ngx_http_gray_interval_t      at;
    ngx_uint_t                    arm;
    ngx_http_gray_piece_t        *prev;
    ngx_http_gray_piece_t        *next;
};


/*
 * The tidy way at work.  Arms are numbered as in the new partition; number n
 * is that of all which are gone, and n + 1 nobody's, the sentinel's.  "spare"
 * is what an arm has to give, below 0 what it has to get.  "order" has the
 * pieces that may have to give, the shortest first.
 */

typedef struct {
    int32_t                      *spare;
    ngx_uint_t                    n;
    ngx_http_gray_piece_t        *pieces;
    ngx_uint_t                    n_pieces;
    ngx_http_gray_piece_t       **order;
    ngx_uint_t                    n_order;
} ngx_http_gray_tidy_t;


static ngx_int_t ngx_http_gray_allocation_usual(const ngx_http_gray_arm_t *old,
    ngx_uint_t n_old, ngx_http_gray_arm_t *arms, ngx_uint_t n,
    ngx_uint_t rest);
static ngx_uint_t ngx_http_gray_allocation_pool(const ngx_http_gray_arm_t *old,
    ngx_uint_t n_old, const ngx_http_gray_arm_t *arms, ngx_uint_t n,
    ngx_uint_t rest, ngx_http_gray_interval_t *pool);
static ngx_uint_t ngx_http_gray_allocation_lowest(
    ngx_http_gray_interval_t *intervals, ngx_uint_t n, uint32_t size);
static ngx_int_t ngx_http_gray_allocation_take(ngx_http_gray_arm_t *arm,
    const ngx_http_gray_arm_t *held, ngx_http_gray_interval_t **pool,
    ngx_http_gray_interval_t *last);
static void ngx_http_gray_allocation_append(ngx_http_gray_arm_t *arm,
    uint32_t start, uint32_t end);
static ngx_int_t ngx_http_gray_allocation_tidy(const ngx_http_gray_arm_t *old,
    ngx_uint_t n_old, ngx_http_gray_arm_t *arms, ngx_uint_t n);
static void ngx_http_gray_allocation_tidy_init(ngx_http_gray_tidy_t *tidy,
    const ngx_http_gray_arm_t *old, ngx_uint_t n_old,
    const ngx_http_gray_arm_t *arms, ngx_uint_t n);
static void ngx_http_gray_allocation_tidy_shift(ngx_http_gray_tidy_t *tidy,
    ngx_http_gray_piece_t *piece);
static void ngx_http_gray_allocation_tidy_hand(ngx_http_gray_tidy_t *tidy,
    ngx_http_gray_piece_t *piece);
static void ngx_http_gray_allocation_tidy_cut(ngx_http_gray_tidy_t *tidy,
    ngx_http_gray_piece_t *piece);
static ngx_http_gray_piece_t *ngx_http_gray_allocation_tidy_split(
    ngx_http_gray_tidy_t *tidy, ngx_http_gray_piece_t *piece, ngx_uint_t arm,
    uint32_t size);
static ngx_int_t ngx_http_gray_allocation_tidy_collect(
    ngx_http_gray_tidy_t *tidy, ngx_http_gray_arm_t *arms);
static void ngx_http_gray_allocation_insert(ngx_http_gray_piece_t *piece,
    ngx_http_gray_piece_t *next);
static void ngx_http_gray_allocation_remove(ngx_http_gray_piece_t *piece);
static ngx_http_gray_piece_t *ngx_http_gray_allocation_pieces(
    const ngx_http_gray_arm_t *arms, ngx_uint_t n, ngx_uint_t except,
    ngx_uint_t *count);
static ngx_uint_t ngx_http_gray_allocation_same(
    const ngx_http_gray_arm_t *arms, ngx_uint_t n, const ngx_str_t *name);
static ngx_uint_t ngx_http_gray_allocation_count(
    const ngx_http_gray_arm_t *arms, ngx_uint_t n, ngx_uint_t except);
static int ngx_libc_cdecl ngx_http_gray_allocation_cmp_starts(
    const void *one, const void *two);
static int ngx_libc_cdecl ngx_http_gray_allocation_cmp_sizes(
    const void *one, const void *two);


ngx_int_t
ngx_http_gray_allocation_fits(const ngx_http_gray_arm_t *arms, ngx_uint_t n,
    ngx_uint_t rest)
{
    uint32_t                         sum;
    ngx_int_t                        rc;
    ngx_uint_t                       i, k, count;
    ngx_http_gray_piece_t           *pieces;
    const ngx_http_gray_interval_t  *interval;

    for (i = 0; i < n; i++) {

        if (i == rest) {
            continue;
        }

        /* a sum that exceeds 32 bits has overlaps, which are found below */

        sum = 0;

        for (k = 0; k < arms[i].n; k++) {
            interval = &arms[i].intervals[k];

            if (interval->start >= interval->end
                || interval->end > NGX_HTTP_GRAY_BUCKETS)
            {
                return NGX_DECLINED;
            }

            sum += interval->end - interval->start;
        }

        if (sum != arms[i].size) {
            return NGX_DECLINED;
        }
    }

    pieces = ngx_http_gray_allocation_pieces(arms, n, rest, &count);
    if (pieces == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_OK;

    for (i = 1; i < count; i++) {
        if (pieces[i].at.start < pieces[i - 1].at.end) {
            rc = NGX_DECLINED;
            break;
        }
    }

    free(pieces);

    return rc;
}


ngx_int_t
ngx_http_gray_allocation_rest(ngx_http_gray_arm_t *arms, ngx_uint_t n,
    ngx_uint_t rest)
{
    uint32_t                   start, end;
    ngx_uint_t                 i, count;
    ngx_http_gray_arm_t        arm;
    ngx_http_gray_piece_t     *pieces;

    pieces = ngx_http_gray_allocation_pieces(arms, n, rest, &count);
    if (pieces == NULL) {
        return NGX_ERROR;
    }

    arm.name = arms[rest].name;
    arm.size = 0;
    arm.n = 0;

    arm.intervals = malloc((count + 1) * sizeof(ngx_http_gray_interval_t));
    if (arm.intervals == NULL) {
        free(pieces);
        return NGX_ERROR;
    }

    start = 0;

    for (i = 0; i <= count; i++) {
        end = (i < count) ? pieces[i].at.start : NGX_HTTP_GRAY_BUCKETS;

        if (start < end) {
            ngx_http_gray_allocation_append(&arm, start, end);
            arm.size += end - start;
        }

        if (i < count) {
            start = pieces[i].at.end;
        }
    }

    free(pieces);

    if (arm.n == 0) {
        free(arm.intervals);
        arm.intervals = NULL;
    }

    free(arms[rest].intervals);
    arms[rest] = arm;

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_allocation_move(const ngx_http_gray_arm_t *old, ngx_uint_t n_old,
    ngx_http_gray_arm_t *arms, ngx_uint_t n, ngx_uint_t rest)
{
    uint64_t                   total;
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    ngx_http_gray_arm_t        whole;
    ngx_http_gray_interval_t   all;

    total = 0;

    for (i = 0; i < n; i++) {
        arms[i].n = 0;
        arms[i].intervals = NULL;
        total += arms[i].size;
    }

    if (total != NGX_HTTP_GRAY_BUCKETS) {
        return NGX_ERROR;
    }

    if (n_old == 0) {
        all.start = 0;
        all.end = NGX_HTTP_GRAY_BUCKETS;

        whole.name = arms[rest].name;
        whole.size = NGX_HTTP_GRAY_BUCKETS;
        whole.n = 1;
        whole.intervals = &all;

        old = &whole;
        n_old = 1;
    }

    rc = ngx_http_gray_allocation_usual(old, n_old, arms, n, rest);

    if (rc == NGX_OK
        && ngx_http_gray_allocation_count(arms, n, rest) > NGX_HTTP_GRAY_MANY)
    {
        ngx_http_gray_allocation_free(arms, n);
        rc = ngx_http_gray_allocation_tidy(old, n_old, arms, n);
    }

    if (rc != NGX_OK) {
        ngx_http_gray_allocation_free(arms, n);
    }

    return rc;
}


static ngx_int_t
ngx_http_gray_allocation_usual(const ngx_http_gray_arm_t *old,
    ngx_uint_t n_old, ngx_http_gray_arm_t *arms, ngx_uint_t n, ngx_uint_t rest)
{
    ngx_int_t                  rc;
    ngx_uint_t                 i, k, count;
    ngx_http_gray_interval_t  *pool, *p;

    count = ngx_http_gray_allocation_count(old, n_old, n_old);

    pool = malloc((count + 1) * sizeof(ngx_http_gray_interval_t));
    if (pool == NULL) {
        return NGX_ERROR;
    }

    count = ngx_http_gray_allocation_pool(old, n_old, arms, n, rest, pool);

    rc = NGX_OK;
    p = pool;

    for (i = 0; i < n && rc == NGX_OK; i++) {

        if (i == rest) {
            continue;
        }

        k = ngx_http_gray_allocation_same(old, n_old, &arms[i].name);

        rc = ngx_http_gray_allocation_take(&arms[i],
                                           (k < n_old) ? &old[k] : NULL,
                                           &p, pool + count);
    }

    free(pool);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_gray_allocation_rest(arms, n, rest);
}


/*
 * What is to change hands, ascending: "pool" has room for all old intervals.
 * The baseline's own are put behind the others first, and then cut to what
 * it must add.
 */

static ngx_uint_t
ngx_http_gray_allocation_pool(const ngx_http_gray_arm_t *old,
    ngx_uint_t n_old, const ngx_http_gray_arm_t *arms, ngx_uint_t n,
    ngx_uint_t rest, ngx_http_gray_interval_t *pool)
{
    uint32_t                         keep, part, add;
    ngx_uint_t                       i, k, count, arm;
    ngx_http_gray_interval_t         interval;
    const ngx_http_gray_arm_t       *held;

    held = NULL;
    count = 0;

    /* what the others will hold less what they held, modulo 2^32 */
    add = NGX_HTTP_GRAY_BUCKETS - arms[rest].size;

    for (i = 0; i < n_old; i++) {
        arm = ngx_http_gray_allocation_same(arms, n, &old[i].name);

        if (arm == rest) {
            held = &old[i];
            continue;
        }

        keep = (arm < n) ? arms[arm].size : 0;

        for (k = 0; k < old[i].n; k++) {
            interval = old[i].intervals[k];
            add -= interval.end - interval.start;

            part = ngx_min(keep, interval.end - interval.start);
            keep -= part;
            interval.start += part;

            if (interval.start < interval.end) {
                pool[count++] = interval;
            }
        }
    }

    if (held && held->n && (int32_t) add > 0) {
        ngx_memcpy(&pool[count], held->intervals,
                   held->n * sizeof(ngx_http_gray_interval_t));

        count += ngx_http_gray_allocation_lowest(&pool[count], held->n, add);
    }

    qsort(pool, (size_t) count, sizeof(ngx_http_gray_interval_t),
          ngx_http_gray_allocation_cmp_starts);

    return count;
}


static ngx_uint_t
ngx_http_gray_allocation_lowest(ngx_http_gray_interval_t *intervals,
    ngx_uint_t n, uint32_t size)
{
    uint32_t    part;
    ngx_uint_t  i;

    qsort(intervals, (size_t) n, sizeof(ngx_http_gray_interval_t),
          ngx_http_gray_allocation_cmp_starts);

    for (i = 0; i < n && size; i++) {
        part = ngx_min(size, intervals[i].end - intervals[i].start);
        intervals[i].end = intervals[i].start + part;
        size -= part;
    }

    return i;
}


/* an arm keeps of what it held, first what it took first, and takes more */

static ngx_int_t
ngx_http_gray_allocation_take(ngx_http_gray_arm_t *arm,
    const ngx_http_gray_arm_t *held, ngx_http_gray_interval_t **pool,
    ngx_http_gray_interval_t *last)
{
    uint32_t                         need, part;
    ngx_uint_t                       i, count;
    ngx_http_gray_interval_t        *p;
    const ngx_http_gray_interval_t  *interval;

    need = arm->size;

    if (need == 0) {
        return NGX_OK;
    }

    p = *pool;
    count = (held ? held->n : 0) + (last - p);

    arm->intervals = malloc((count + 1) * sizeof(ngx_http_gray_interval_t));
    if (arm->intervals == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; held && i < held->n && need; i++) {
        interval = &held->intervals[i];
        part = ngx_min(need, interval->end - interval->start);
        ngx_http_gray_allocation_append(arm, interval->start,
                                        interval->start + part);
        need -= part;
    }

    while (need && p < last) {
        part = ngx_min(need, p->end - p->start);
        ngx_http_gray_allocation_append(arm, p->start, p->start + part);
        need -= part;

        p->start += part;

        if (p->start == p->end) {
            p++;
        }
    }

    *pool = p;

    return need ? NGX_ERROR : NGX_OK;
}


static void
ngx_http_gray_allocation_append(ngx_http_gray_arm_t *arm, uint32_t start,
    uint32_t end)
{
    ngx_http_gray_interval_t  *interval;

    interval = &arm->intervals[arm->n];

    if (arm->n && interval[-1].end == start) {
        interval[-1].end = end;
        return;
    }

    interval->start = start;
    interval->end = end;

    arm->n++;
}


static ngx_int_t
ngx_http_gray_allocation_tidy(const ngx_http_gray_arm_t *old,
    ngx_uint_t n_old, ngx_http_gray_arm_t *arms, ngx_uint_t n)
{
    ngx_int_t             rc;
    ngx_uint_t            i, all, count;
    ngx_http_gray_tidy_t  tidy;

    count = ngx_http_gray_allocation_count(old, n_old, n_old);

    /*
     * A cut uses up a piece or the surplus or need of an arm, and adds a
     * piece; if it is in the middle, it uses up no piece, and adds two.
     */

    all = count + 3 * (n + 1);

    tidy.spare = calloc(n + 2, sizeof(int32_t));
    tidy.pieces = calloc(1 + count + all, sizeof(ngx_http_gray_piece_t));
    tidy.order = calloc(1 + all, sizeof(ngx_http_gray_piece_t *));

    if (tidy.spare == NULL || tidy.pieces == NULL || tidy.order == NULL) {
        rc = NGX_ERROR;

    } else {
        ngx_http_gray_allocation_tidy_init(&tidy, old, n_old, arms, n);

        for (i = 0; i < tidy.n_order; i++) {
            ngx_http_gray_allocation_tidy_shift(&tidy, tidy.order[i]);
        }

        for (i = 0; i < tidy.n_order; i++) {
            ngx_http_gray_allocation_tidy_hand(&tidy, tidy.order[i]);
        }

        while (tidy.n_order) {
            ngx_http_gray_allocation_tidy_cut(&tidy,
                                              tidy.order[--tidy.n_order]);
        }

        rc = ngx_http_gray_allocation_tidy_collect(&tidy, arms);
    }

    free(tidy.spare);
    free(tidy.pieces);
    free(tidy.order);

    return rc;
}


static void
ngx_http_gray_allocation_tidy_init(ngx_http_gray_tidy_t *tidy,
    const ngx_http_gray_arm_t *old, ngx_uint_t n_old,
    const ngx_http_gray_arm_t *arms, ngx_uint_t n)
{
    ngx_uint_t              i, k, arm;
    ngx_http_gray_piece_t  *piece, *sentinel;

    for (i = 0; i < n; i++) {
        tidy->spare[i] = -(int32_t) arms[i].size;
    }

    tidy->n = n;

    sentinel = &tidy->pieces[0];
    piece = sentinel;

    for (i = 0; i < n_old; i++) {
        arm = ngx_http_gray_allocation_same(arms, n, &old[i].name);

        for (k = 0; k < old[i].n; k++) {
            piece++;
            piece->at = old[i].intervals[k];
            piece->arm = arm;

            tidy->spare[arm] += piece->at.end - piece->at.start;
        }
    }

    tidy->n_pieces = piece - sentinel + 1;

    qsort(sentinel + 1, tidy->n_pieces - 1, sizeof(ngx_http_gray_piece_t),
          ngx_http_gray_allocation_cmp_starts);

    sentinel->arm = n + 1;
    sentinel->prev = sentinel;
    sentinel->next = sentinel;

    for (i = 1; i < tidy->n_pieces; i++) {
        piece = &tidy->pieces[i];

        if (sentinel->prev->arm == piece->arm) {
            sentinel->prev->at.end = piece->at.end;
            continue;
        }

        ngx_http_gray_allocation_insert(piece, sentinel);
    }

    tidy->n_order = 0;

    for (piece = sentinel->next; piece != sentinel; piece = piece->next) {
        tidy->order[tidy->n_order++] = piece;
    }

    qsort(tidy->order, tidy->n_order, sizeof(ngx_http_gray_piece_t *),
          ngx_http_gray_allocation_cmp_sizes);
}


/* gives of the piece to its neighbours what they need */

static void
ngx_http_gray_allocation_tidy_shift(ngx_http_gray_tidy_t *tidy,
    ngx_http_gray_piece_t *piece)
{
    uint32_t                size;
    int32_t                *spare;
    ngx_uint_t              i;
    ngx_http_gray_piece_t  *to;

    spare = tidy->spare;

    for (i = 0; i < 2; i++) {
        to = (i == 0) ? piece->prev : piece->next;
        size = piece->at.end - piece->at.start;

        if (size == 0 || spare[piece->arm] <= 0 || spare[to->arm] >= 0) {
            continue;
        }

        size = ngx_min(size, (uint32_t) spare[piece->arm]);
        size = ngx_min(size, (uint32_t) -spare[to->arm]);

        spare[piece->arm] -= size;
        spare[to->arm] += size;

        if (i == 0) {
            to->at.end += size;
            piece->at.start += size;

        } else {
            to->at.start -= size;
            piece->at.end -= size;
        }

        if (piece->at.start == piece->at.end) {
            ngx_http_gray_allocation_remove(piece);
        }
    }
}


/* gives the whole piece to an arm that needs as much, if there is one */

static void
ngx_http_gray_allocation_tidy_hand(ngx_http_gray_tidy_t *tidy,
    ngx_http_gray_piece_t *piece)
{
    int32_t     size, *spare;
    ngx_uint_t  i;

    ngx_http_gray_allocation_tidy_shift(tidy, piece);

    spare = tidy->spare;
    size = piece->at.end - piece->at.start;

    if (size == 0 || spare[piece->arm] < size) {
        return;
    }

    for (i = 0; i < tidy->n; i++) {
        if (-spare[i] >= size) {
            spare[piece->arm] -= size;
            spare[i] += size;
            piece->arm = i;
            return;
        }
    }
}


/* gives of the piece to all who need it, until one of the three runs out */

static void
ngx_http_gray_allocation_tidy_cut(ngx_http_gray_tidy_t *tidy,
    ngx_http_gray_piece_t *piece)
{
    int32_t                 size, left, *spare;
    ngx_uint_t              i;

    spare = tidy->spare;
    i = 0;

    for ( ;; ) {
        ngx_http_gray_allocation_tidy_shift(tidy, piece);

        size = piece->at.end - piece->at.start;

        if (size == 0 || spare[piece->arm] <= 0) {
            return;
        }

        while (i < tidy->n && spare[i] >= 0) {
            i++;
        }

        if (i == tidy->n) {
            return;
        }

        left = size - ngx_min(spare[piece->arm], -spare[i]);

        if (left >= NGX_HTTP_GRAY_LONG) {
            tidy->order[tidy->n_order++] =
                ngx_http_gray_allocation_tidy_split(tidy, piece, piece->arm,
                                                    left / 2);
        }

        /* an empty neighbour, for the shift to fill */

        (void) ngx_http_gray_allocation_tidy_split(tidy, piece, i, 0);
    }
}


/* makes the first "size" buckets of a piece a new one of "arm" */

static ngx_http_gray_piece_t *
ngx_http_gray_allocation_tidy_split(ngx_http_gray_tidy_t *tidy,
    ngx_http_gray_piece_t *piece, ngx_uint_t arm, uint32_t size)
{
    ngx_http_gray_piece_t  *split;

    split = &tidy->pieces[tidy->n_pieces++];

    split->arm = arm;
    split->at.start = piece->at.start;
    split->at.end = piece->at.start + size;

    piece->at.start = split->at.end;

    ngx_http_gray_allocation_insert(split, piece);

    return split;
}


static ngx_int_t
ngx_http_gray_allocation_tidy_collect(ngx_http_gray_tidy_t *tidy,
    ngx_http_gray_arm_t *arms)
{
    ngx_uint_t              i;
    ngx_http_gray_arm_t    *arm;
    ngx_http_gray_piece_t  *piece, *sentinel;

    sentinel = &tidy->pieces[0];

    for (piece = sentinel->next; piece != sentinel; piece = piece->next) {

        if (piece->arm == tidy->n) {
            return NGX_ERROR;
        }

        if (piece->arm == piece->prev->arm) {
            piece->at.start = piece->prev->at.start;
            ngx_http_gray_allocation_remove(piece->prev);

        } else {
            arms[piece->arm].n++;
        }
    }

    for (i = 0; i < tidy->n; i++) {

        if (tidy->spare[i] != 0) {
            return NGX_ERROR;
        }

        if (arms[i].n == 0) {
            continue;
        }

        arms[i].intervals = malloc(arms[i].n
                                   * sizeof(ngx_http_gray_interval_t));
        if (arms[i].intervals == NULL) {
            return NGX_ERROR;
        }

        arms[i].n = 0;
    }

    for (piece = sentinel->next; piece != sentinel; piece = piece->next) {
        arm = &arms[piece->arm];
        arm->intervals[arm->n++] = piece->at;
    }

    return NGX_OK;
}


static void
ngx_http_gray_allocation_insert(ngx_http_gray_piece_t *piece,
    ngx_http_gray_piece_t *next)
{
    piece->prev = next->prev;
    piece->next = next;
    next->prev->next = piece;
    next->prev = piece;
}


static void
ngx_http_gray_allocation_remove(ngx_http_gray_piece_t *piece)
{
    piece->prev->next = piece->next;
    piece->next->prev = piece->prev;
}


void
ngx_http_gray_allocation_free(ngx_http_gray_arm_t *arms, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        free(arms[i].intervals);

        arms[i].n = 0;
        arms[i].intervals = NULL;
    }
}


ngx_int_t
ngx_http_gray_allocation_segments(const ngx_http_gray_arm_t *arms,
    ngx_uint_t n, ngx_http_gray_segment_t *segments, ngx_uint_t max)
{
    ngx_uint_t              i, k, count;
    ngx_http_gray_piece_t  *pieces;

    pieces = ngx_http_gray_allocation_pieces(arms, n, n, &count);
    if (pieces == NULL) {
        return NGX_ERROR;
    }

    k = 0;

    for (i = 0; i < count; i++) {

        if (i + 1 < count && pieces[i + 1].arm == pieces[i].arm) {
            continue;
        }

        if (k < max) {
            segments[k].end = pieces[i].at.end;
            segments[k].arm = pieces[i].arm;
        }

        k++;
    }

    free(pieces);

    return k;
}


ngx_uint_t
ngx_http_gray_allocation_find(const ngx_http_gray_segment_t *segments,
    ngx_uint_t n, uint32_t bucket)
{
    ngx_uint_t  half;

    /* the segment is one of the n that begin at "segments" */

    while (n > 1) {
        half = n / 2;

        if (segments[half - 1].end <= bucket) {
            segments += half;
            n -= half;

        } else {
            n = half;
        }
    }

    return segments->arm;
}


/* the intervals of all arms but one, ascending */

static ngx_http_gray_piece_t *
ngx_http_gray_allocation_pieces(const ngx_http_gray_arm_t *arms, ngx_uint_t n,
    ngx_uint_t except, ngx_uint_t *count)
{
    ngx_uint_t              i, k;
    ngx_http_gray_piece_t  *pieces, *piece;

    *count = ngx_http_gray_allocation_count(arms, n, except);

    pieces = malloc((*count + 1) * sizeof(ngx_http_gray_piece_t));
    if (pieces == NULL) {
        return NULL;
    }

    piece = pieces;

    for (i = 0; i < n; i++) {

        if (i == except) {
            continue;
        }

        for (k = 0; k < arms[i].n; k++) {
            piece->at = arms[i].intervals[k];
            piece->arm = i;
            piece++;
        }
    }

    qsort(pieces, (size_t) *count, sizeof(ngx_http_gray_piece_t),
          ngx_http_gray_allocation_cmp_starts);

    return pieces;
}


/* the arm of that name, or n */

static ngx_uint_t
ngx_http_gray_allocation_same(const ngx_http_gray_arm_t *arms, ngx_uint_t n,
    const ngx_str_t *name)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (arms[i].name.len == name->len
            && ngx_memcmp(arms[i].name.data, name->data, name->len) == 0)
        {
            break;
        }
    }

    return i;
}


static ngx_uint_t
ngx_http_gray_allocation_count(const ngx_http_gray_arm_t *arms, ngx_uint_t n,
    ngx_uint_t except)
{
    ngx_uint_t  i, count;

    count = 0;

    for (i = 0; i < n; i++) {
        if (i != except) {
            count += arms[i].n;
        }
    }

    return count;
}


/* of intervals, and of pieces, which begin with one */

static int ngx_libc_cdecl
ngx_http_gray_allocation_cmp_starts(const void *one, const void *two)
{
    const ngx_http_gray_interval_t  *first, *second;

    first = one;
    second = two;

    return (first->start > second->start) - (first->start < second->start);
}


/* by place where the size is equal: qsort() keeps no order */

static int ngx_libc_cdecl
ngx_http_gray_allocation_cmp_sizes(const void *one, const void *two)
{
    uint32_t                      a, b;
    const ngx_http_gray_piece_t  *first, *second;

    first = *(ngx_http_gray_piece_t * const *) one;
    second = *(ngx_http_gray_piece_t * const *) two;

    a = first->at.end - first->at.start;
    b = second->at.end - second->at.start;

    if (a == b) {
        return ngx_http_gray_allocation_cmp_starts(&first->at, &second->at);
    }

    return (a > b) - (a < b);
}
