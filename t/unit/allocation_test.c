
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Partitions are checked against what was promised, never against what the
 * code does: that they are exact, and that nobody moved who need not.  Where
 * all sizes are whole percents, the places too are checked, against a model
 * that moves one percent after another.
 *
 * To be linked with --wrap=malloc, --wrap=calloc and --wrap=realloc.
 */


#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ngx_http_gray_allocation.h"


#define BUCKETS       NGX_HTTP_GRAY_BUCKETS
#define PERCENT       (BUCKETS / 100)

#define ARMS          8
#define NAMES         12
#define PIECES        16384

#define HISTORIES     1000
#define CHANGES       200
#define LONG_CHANGES  10000

/* 17 bytes each, these are 1/8 of a document of 64k */
#define FEW           480


typedef struct {
    uint32_t                    start;
    uint32_t                    end;
    ngx_uint_t                  id;
} piece_t;


/* "id" is a number of a name */

typedef struct {
    ngx_uint_t                  n;
    ngx_uint_t                  rest;
    ngx_uint_t                  id[ARMS];
    uint32_t                    size[ARMS];
} plan_t;


typedef struct {
    plan_t                      plan;
    ngx_http_gray_arm_t         arms[ARMS];
    ngx_uint_t                  n_pieces;
    piece_t                     pieces[PIECES];
} partition_t;


typedef struct {
    ngx_uint_t                  changes;
    ngx_uint_t                  max;
    uint64_t                    sum;
} tally_t;


typedef struct {
    const char                 *what;
    ngx_uint_t                  n;
    ngx_uint_t                  rest;
    ngx_int_t                   rc;
    struct {
        uint32_t                size;
        ngx_uint_t              n;
        ngx_http_gray_interval_t  intervals[4];
    } arms[3];
} fits_t;


void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);


static uint64_t     seed;
static ngx_uint_t   history, change;
static ngx_uint_t   calls, failing;

static partition_t  one, two, kept;

static uint8_t      owner_before[BUCKETS];
static uint8_t      owner_after[BUCKETS];


/* twice, so that names which are alike do not lie in one place */

static u_char  names[2][NAMES][8] = {
    { "a", "ab", "abc", "b", "ba", "stable", "stably", "canary", "c", "d",
      "cd", "dc" },
    { "a", "ab", "abc", "b", "ba", "stable", "stably", "canary", "c", "d",
      "cd", "dc" }
};


static fits_t  fits[] = {

    { "nothing at all", 0, 0, NGX_OK, { { 0, 0, { { 0, 0 } } } } },

    { "an arm of none", 1, 1, NGX_OK, { { 0, 0, { { 0, 0 } } } } },

    { "everything", 1, 1, NGX_OK, { { BUCKETS, 1, { { 0, BUCKETS } } } } },

    { "neighbours, not in order", 2, 2, NGX_OK,
      { { 20, 2, { { 10, 20 }, { 0, 10 } } }, { 5, 1, { { 20, 25 } } } } },

    { "first and last bucket", 2, 2, NGX_OK,
      { { 1, 1, { { BUCKETS - 1, BUCKETS } } }, { 1, 1, { { 0, 1 } } } } },

    { "the rest is not looked at", 2, 1, NGX_OK,
      { { 5, 1, { { 0, 5 } } }, { 3, 1, { { 0, 7 } } } } },

    { "the rest comes first", 2, 0, NGX_DECLINED,
      { { 3, 1, { { 0, 7 } } }, { 4, 1, { { 0, 5 } } } } },

    { "empty", 1, 1, NGX_DECLINED, { { 0, 1, { { 7, 7 } } } } },

    { "empty beside another", 1, 1, NGX_DECLINED,
      { { 3, 2, { { 0, 3 }, { 7, 7 } } } } },

    { "backwards", 1, 1, NGX_DECLINED, { { 0, 1, { { 8, 7 } } } } },

    { "backwards, with a sum", 1, 1, NGX_DECLINED,
      { { UINT32_MAX, 1, { { 8, 7 } } } } },

    { "one past the end", 1, 1, NGX_DECLINED,
      { { 2, 1, { { BUCKETS - 1, BUCKETS + 1 } } } } },

    { "far past the end", 1, 1, NGX_DECLINED,
      { { 1, 1, { { UINT32_MAX - 1, UINT32_MAX } } } } },

    { "too few", 1, 1, NGX_DECLINED, { { 6, 1, { { 0, 5 } } } } },

    { "too many", 1, 1, NGX_DECLINED, { { 4, 1, { { 0, 5 } } } } },

    { "none of some", 1, 1, NGX_DECLINED, { { 4, 0, { { 0, 0 } } } } },

    { "some of none", 1, 1, NGX_DECLINED, { { 0, 1, { { 0, 5 } } } } },

    { "the sum is right, but not of each", 2, 2, NGX_DECLINED,
      { { 4, 1, { { 0, 5 } } }, { 6, 1, { { 5, 10 } } } } },

    { "an overlap within an arm", 1, 1, NGX_DECLINED,
      { { 10, 2, { { 0, 6 }, { 5, 9 } } } } },

    { "an overlap of two arms", 2, 2, NGX_DECLINED,
      { { 6, 1, { { 4, 10 } } }, { 5, 1, { { 0, 5 } } } } },

    { "the same twice", 2, 2, NGX_DECLINED,
      { { 5, 1, { { 3, 8 } } }, { 5, 1, { { 3, 8 } } } } },

    { "one inside of another", 3, 3, NGX_DECLINED,
      { { 10, 1, { { 0, 10 } } }, { 1, 1, { { 4, 5 } } },
        { 1, 1, { { 20, 21 } } } } },

    { "more than there is", 2, 2, NGX_DECLINED,
      { { BUCKETS, 1, { { 0, BUCKETS } } }, { 1, 1, { { 9, 10 } } } } }
};


void *
__wrap_malloc(size_t size)
{
    return (++calls == failing) ? NULL : __real_malloc(size);
}


void *
__wrap_calloc(size_t n, size_t size)
{
    return (++calls == failing) ? NULL : __real_calloc(n, size);
}


void *
__wrap_realloc(void *p, size_t size)
{
    return (++calls == failing) ? NULL : __real_realloc(p, size);
}


#define broken(...)                                                          \
    do {                                                                     \
        print_error("history %lu, change %lu: ", (unsigned long) history,    \
                    (unsigned long) change);                                 \
        fail_msg(__VA_ARGS__);                                               \
    } while (0)


static uint32_t
below(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return (seed >> 16) % n;
}


static int
cmp_pieces(const void *a, const void *b)
{
    const piece_t  *first, *second;

    first = a;
    second = b;

    return (first->start > second->start) - (first->start < second->start);
}


static uint32_t
size_of(const plan_t *plan, ngx_uint_t id)
{
    ngx_uint_t  i;

    for (i = 0; i < plan->n; i++) {
        if (plan->id[i] == id) {
            return plan->size[i];
        }
    }

    return 0;
}


static ngx_uint_t
stored(const partition_t *p)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < p->plan.n; i++) {
        if (i != p->plan.rest) {
            n += p->arms[i].n;
        }
    }

    return n;
}


/* arms of the planned names and sizes, which hold nothing yet */

static void
prepare(partition_t *p, const plan_t *plan)
{
    ngx_uint_t  i, copy;

    p->plan = *plan;
    p->n_pieces = 0;

    copy = (p == &one);

    for (i = 0; i < plan->n; i++) {
        p->arms[i].name.data = names[copy][plan->id[i]];
        p->arms[i].name.len = strlen((char *) names[copy][plan->id[i]]);
        p->arms[i].size = plan->size[i];
        p->arms[i].n = 0;
        p->arms[i].intervals = NULL;
    }
}


static void
drop(partition_t *p)
{
    ngx_http_gray_allocation_free(p->arms, p->plan.n);
    p->plan.n = 0;
    p->n_pieces = 0;
}


static void
set(partition_t *p, ngx_uint_t arm, ngx_uint_t n,
    const ngx_http_gray_interval_t *intervals)
{
    p->arms[arm].n = n;
    p->arms[arm].intervals = NULL;

    if (n) {
        p->arms[arm].intervals = malloc(n * sizeof(*intervals));
        assert_non_null(p->arms[arm].intervals);
        memcpy(p->arms[arm].intervals, intervals, n * sizeof(*intervals));
    }
}


/* what a document keeps: all but the rest */

static void
copy(partition_t *dst, const partition_t *src)
{
    ngx_uint_t  i;

    prepare(dst, &src->plan);

    for (i = 0; i < src->plan.n; i++) {
        if (i != src->plan.rest) {
            set(dst, i, src->arms[i].n, src->arms[i].intervals);
        }
    }
}


/* the arms are whole, have their sizes, and cover everything once */

static void
check_partition(partition_t *p)
{
    uint32_t              sum, end;
    ngx_uint_t            i, k;
    ngx_http_gray_arm_t  *arm;

    p->n_pieces = 0;

    for (i = 0; i < p->plan.n; i++) {
        arm = &p->arms[i];
        sum = 0;

        if ((arm->n == 0) != (arm->intervals == NULL)) {
            broken("%s: n and intervals differ", arm->name.data);
        }

        if (arm->n > PIECES - p->n_pieces) {
            broken("%s: too many intervals", arm->name.data);
        }

        for (k = 0; k < arm->n; k++) {
            p->pieces[p->n_pieces].start = arm->intervals[k].start;
            p->pieces[p->n_pieces].end = arm->intervals[k].end;
            p->pieces[p->n_pieces++].id = p->plan.id[i];

            sum += arm->intervals[k].end - arm->intervals[k].start;

            if (i == p->plan.rest && k
                && arm->intervals[k].start <= arm->intervals[k - 1].end)
            {
                broken("the rest is not ascending");
            }

            if (k && arm->intervals[k].start == arm->intervals[k - 1].end) {
                broken("%s: two intervals that are one", arm->name.data);
            }
        }

        if (sum != p->plan.size[i] || arm->size != p->plan.size[i]) {
            broken("%s: %u buckets, size %u, not %u", arm->name.data, sum,
                   arm->size, p->plan.size[i]);
        }
    }

    qsort(p->pieces, p->n_pieces, sizeof(piece_t), cmp_pieces);

    end = 0;

    for (i = 0; i < p->n_pieces; i++) {
        if (p->pieces[i].start != end || p->pieces[i].end <= end) {
            broken("hole, overlap or empty interval at %u", end);
        }

        end = p->pieces[i].end;
    }

    if (end != BUCKETS) {
        broken("ends at %u", end);
    }
}


static void
check_move(const plan_t *before, const plan_t *after, ngx_uint_t from,
    ngx_uint_t to)
{
    if (size_of(after, from) >= size_of(before, from)) {
        broken("\"%s\" does not shrink, but was left for \"%s\"",
               names[0][from], names[0][to]);
    }

    if (size_of(after, to) <= size_of(before, to)) {
        broken("\"%s\" does not grow, but was entered from \"%s\"",
               names[0][to], names[0][from]);
    }
}


static uint32_t
least_moves(const plan_t *before, const plan_t *after)
{
    uint32_t    least, held;
    ngx_uint_t  i;

    least = 0;

    for (i = 0; i < after->n; i++) {
        held = size_of(before, after->id[i]);

        if (after->size[i] > held) {
            least += after->size[i] - held;
        }
    }

    return least;
}


/* both were checked by check_partition() */

static void
check_change(const partition_t *before, const partition_t *after)
{
    uint32_t        at, end, moved;
    const piece_t  *a, *b;

    a = before->pieces;
    b = after->pieces;
    moved = 0;

    for (at = 0; at < BUCKETS; at = end) {
        end = (a->end < b->end) ? a->end : b->end;

        if (a->id != b->id) {
            check_move(&before->plan, &after->plan, a->id, b->id);
            moved += end - at;
        }

        if (a->end == end) {
            a++;
        }

        if (b->end == end) {
            b++;
        }
    }

    if (moved != least_moves(&before->plan, &after->plan)) {
        broken("%u moved, not %u", moved,
               least_moves(&before->plan, &after->plan));
    }
}


static int
cmp_numbers(const void *a, const void *b)
{
    return *(const int *) a - *(const int *) b;
}


/* the percents that an arm holds, in its order */

static int
percents(const partition_t *p, ngx_uint_t id, int *list)
{
    int                        n;
    uint32_t                   at;
    ngx_uint_t                 i, k;
    ngx_http_gray_interval_t  *interval;

    n = 0;

    for (i = 0; i < p->plan.n; i++) {

        if (p->plan.id[i] != id) {
            continue;
        }

        for (k = 0; k < p->arms[i].n; k++) {
            interval = &p->arms[i].intervals[k];

            for (at = interval->start; at < interval->end; at += PERCENT) {
                if (at % PERCENT || n == 100) {
                    broken("%u is not where a percent begins", at);
                }

                list[n++] = at / PERCENT;
            }
        }
    }

    return n;
}


/* where all sizes are whole percents: the promised buckets, in order */

static void
check_places(const partition_t *before, const partition_t *after)
{
    int            i, k, n[ARMS], size, need, taken, n_pool, n_held, n_got;
    int            list[ARMS][100], pool[100], held[100], got[100];
    ngx_uint_t     id;
    const plan_t  *plan;

    plan = &after->plan;
    n_pool = 0;
    n_held = 0;
    need = 0;
    memset(n, 0, sizeof(n));

    for (id = 0; id < NAMES; id++) {
        n_got = percents(before, id, got);

        for (i = 0; i < (int) plan->n && plan->id[i] != id; i++) {
            /* void */
        }

        if (i == (int) plan->rest) {
            memcpy(held, got, sizeof(held));
            n_held = n_got;
            continue;
        }

        size = size_of(plan, id) / PERCENT;

        while (n_got > size) {
            pool[n_pool++] = got[--n_got];
        }

        if (i < (int) plan->n) {
            memcpy(list[i], got, n_got * sizeof(int));
            n[i] = n_got;
            need += size - n_got;
        }
    }

    qsort(held, n_held, sizeof(int), cmp_numbers);

    for (k = 0; n_pool < need; k++) {
        pool[n_pool++] = held[k];
    }

    qsort(pool, n_pool, sizeof(int), cmp_numbers);

    taken = 0;

    for (i = 0; i < (int) plan->n; i++) {

        if (i == (int) plan->rest) {
            continue;
        }

        while (n[i] < (int) (plan->size[i] / PERCENT)) {
            list[i][n[i]++] = pool[taken++];
        }

        n_got = percents(after, plan->id[i], got);

        if (n_got != n[i] || memcmp(got, list[i], n_got * sizeof(int))) {
            broken("\"%s\" has not what it should", names[0][plan->id[i]]);
        }
    }
}


static void
check_stored(partition_t *p, tally_t *tally)
{
    ngx_uint_t  n;

    n = stored(p);

    tally->changes++;
    tally->sum += n;
    tally->max = (n > tally->max) ? n : tally->max;

    if (ngx_http_gray_allocation_fits(p->arms, p->plan.n, p->plan.n)
        != NGX_OK)
    {
        broken("does not fit");
    }
}


/* makes "after" of "before", which is empty at first, and checks it */

static void
make(partition_t *before, partition_t *after, const plan_t *plan)
{
    prepare(after, plan);

    if (ngx_http_gray_allocation_move(before->arms, before->plan.n,
                                      after->arms, plan->n, plan->rest)
        != NGX_OK)
    {
        broken("failed");
    }

    check_partition(after);

    if (before->plan.n) {
        check_change(before, after);
    }
}


static void
give(plan_t *plan, ngx_uint_t from, ngx_uint_t to, uint32_t size)
{
    if (size > plan->size[from]) {
        size = plan->size[from];
    }

    plan->size[from] -= size;
    plan->size[to] += size;
}


static ngx_uint_t
other(const plan_t *plan, ngx_uint_t arm)
{
    return (arm + 1 + below(plan->n - 1)) % plan->n;
}


static void
start(plan_t *plan, ngx_uint_t n)
{
    ngx_uint_t  i;

    memset(plan, 0, sizeof(plan_t));

    plan->n = n;
    plan->rest = below(n);
    plan->size[plan->rest] = BUCKETS;

    for (i = 0; i < n; i++) {
        plan->id[i] = i;
    }
}


static void
plan_weight(plan_t *plan, uint32_t unit)
{
    ngx_uint_t  arm;
    uint32_t    size;

    arm = other(plan, plan->rest);

    give(plan, arm, plan->rest, BUCKETS);
    size = below(plan->size[plan->rest] / unit + 1) * unit;
    give(plan, plan->rest, arm, size);
}


static void
plan_weights(plan_t *plan, uint32_t unit)
{
    ngx_uint_t  i;

    for (i = 0; i < plan->n; i++) {
        give(plan, i, plan->rest, (i == plan->rest) ? 0 : BUCKETS);
    }

    for (i = 0; i < plan->n; i++) {
        give(plan, plan->rest, i, below(BUCKETS / plan->n / unit * 3 / 2)
                                  * unit);
    }
}


static void
plan_pair(plan_t *plan, uint32_t unit)
{
    ngx_uint_t  arm;

    arm = below(plan->n);
    give(plan, arm, other(plan, arm), (1 + below(3)) * unit);
}


static void
plan_wander(plan_t *plan, uint32_t unit)
{
    ngx_uint_t  i;
    uint32_t    size;

    for (i = 0; i < plan->n; i++) {
        size = below(unit == 1 ? 2000 : 2) * unit;

        if (below(2)) {
            give(plan, i, plan->rest, size);

        } else {
            give(plan, plan->rest, i, size);
        }
    }
}


static void
plan_off(plan_t *plan, uint32_t unit)
{
    (void) unit;

    give(plan, other(plan, plan->rest), plan->rest, BUCKETS);
}


static void
plan_add(plan_t *plan, uint32_t unit)
{
    ngx_uint_t  i;

    if (plan->n == ARMS) {
        return;
    }

    plan->id[plan->n] = below(NAMES);

    for (i = 0; i < plan->n; i++) {
        if (plan->id[i] == plan->id[plan->n]) {
            return;
        }
    }

    plan->size[plan->n++] = 0;

    give(plan, below(plan->n), plan->n - 1, below(BUCKETS / unit) * unit);
}


static void
plan_swap(plan_t *plan, ngx_uint_t a, ngx_uint_t b)
{
    uint32_t    size;
    ngx_uint_t  id;

    id = plan->id[a];
    plan->id[a] = plan->id[b];
    plan->id[b] = id;

    size = plan->size[a];
    plan->size[a] = plan->size[b];
    plan->size[b] = size;

    plan->rest = (plan->rest == a) ? b : (plan->rest == b) ? a : plan->rest;
}


static void
plan_baseline(plan_t *plan, uint32_t unit)
{
    plan->rest = other(plan, plan->rest);

    if (below(2)) {
        plan_weights(plan, unit);
    }
}


static void
plan_remove(plan_t *plan, uint32_t unit)
{
    ngx_uint_t  arm;

    (void) unit;

    if (plan->n == 2) {
        return;
    }

    arm = below(plan->n);

    if (arm == plan->rest) {
        plan->rest = other(plan, arm);
    }

    give(plan, arm, below(2) ? plan->rest : other(plan, arm), BUCKETS);
    plan_swap(plan, arm, plan->n - 1);
    plan->n--;
}


static void
plan_order(plan_t *plan, uint32_t unit)
{
    ngx_uint_t  arm;

    (void) unit;

    arm = below(plan->n);
    plan_swap(plan, arm, other(plan, arm));
}


static void  (*plans[])(plan_t *plan, uint32_t unit) = {
    plan_weight, plan_weight, plan_weights, plan_pair, plan_wander, plan_off,
    plan_add, plan_remove, plan_baseline, plan_order
};


static void
test_fits(void **state)
{
    partition_t          *p;
    ngx_uint_t            i, k;
    plan_t                plan;
    const fits_t         *f;

    (void) state;

    p = &one;

    for (i = 0; i < sizeof(fits) / sizeof(fits[0]); i++) {
        f = &fits[i];

        memset(&plan, 0, sizeof(plan_t));
        plan.n = f->n;

        for (k = 0; k < f->n; k++) {
            plan.id[k] = k;
            plan.size[k] = f->arms[k].size;
        }

        prepare(p, &plan);

        for (k = 0; k < f->n; k++) {
            set(p, k, f->arms[k].n, f->arms[k].intervals);
        }

        if (ngx_http_gray_allocation_fits(p->arms, f->n, f->rest) != f->rc) {
            fail_msg("%s: not %d", f->what, (int) f->rc);
        }

        drop(p);
    }
}


/* a sum that is right modulo 2^32 */

static void
test_fits_wraps(void **state)
{
    uint64_t                   sum;
    ngx_uint_t                 i, n;
    ngx_http_gray_arm_t        arm;
    ngx_http_gray_interval_t  *intervals;

    (void) state;

    n = ((uint64_t) 1 << 32) / BUCKETS + 1;

    intervals = malloc(n * sizeof(ngx_http_gray_interval_t));
    assert_non_null(intervals);

    sum = 0;

    for (i = 0; i < n; i++) {
        intervals[i].start = 0;
        intervals[i].end = BUCKETS;
        sum += BUCKETS;
    }

    memset(&arm, 0, sizeof(arm));
    arm.name.data = names[0][0];
    arm.name.len = 1;
    arm.size = (uint32_t) sum;
    arm.n = n;
    arm.intervals = intervals;

    assert_true(sum != arm.size);
    assert_int_equal(ngx_http_gray_allocation_fits(&arm, 1, 1), NGX_DECLINED);

    free(intervals);
}


/* random intervals of small numbers, against a flag for each bucket */

static void
test_fits_random(void **state)
{
    ngx_int_t                 rc;
    ngx_uint_t                i, k, n, turn, good, seen[3];
    ngx_http_gray_arm_t       arms[3];
    ngx_http_gray_interval_t  intervals[3][4], *p;
    uint8_t                   held[64];

    (void) state;

    memset(seen, 0, sizeof(seen));
    memset(arms, 0, sizeof(arms));
    seed = 20;

    for (turn = 0; turn < 100000; turn++) {
        memset(held, 0, sizeof(held));
        good = 1;

        for (i = 0; i < 3; i++) {
            arms[i].n = below(3);
            arms[i].intervals = intervals[i];
            arms[i].size = (below(20) == 0);

            if (arms[i].size && i != 1) {
                good = 0;
            }

            for (k = 0; k < arms[i].n; k++) {
                p = &intervals[i][k];
                p->start = below(60);
                p->end = p->start + below(12);

                if (p->end > 63) {
                    p->end = 63;
                }

                arms[i].size += p->end - p->start;

                if (i == 1) {
                    continue;
                }

                if (p->start == p->end) {
                    good = 0;
                }

                for (n = p->start; n < p->end; n++) {
                    good &= (held[n]++ == 0);
                }
            }
        }

        rc = ngx_http_gray_allocation_fits(arms, 3, 1);

        if (rc != (good ? NGX_OK : NGX_DECLINED)) {
            fail_msg("turn %lu: %d", (unsigned long) turn, (int) rc);
        }

        seen[good]++;
    }

    assert_true(seen[0] > 1000 && seen[1] > 1000);
}


static void
paint(const partition_t *p, uint8_t *owner)
{
    uint32_t    at;
    ngx_uint_t  i, k;

    memset(owner, 0xff, BUCKETS);

    for (i = 0; i < p->plan.n; i++) {
        for (k = 0; k < p->arms[i].n; k++) {
            for (at = p->arms[i].intervals[k].start;
                 at < p->arms[i].intervals[k].end;
                 at++)
            {
                if (owner[at] != 0xff) {
                    broken("%u is held twice", at);
                }

                owner[at] = p->plan.id[i];
            }
        }
    }
}


static void
check_find(const partition_t *p, const uint8_t *owner)
{
    uint32_t                  at;
    ngx_int_t                 n, again;
    ngx_uint_t                i, runs;
    ngx_http_gray_segment_t  *segments;

    n = ngx_http_gray_allocation_segments(p->arms, p->plan.n, NULL, 0);
    assert_true(n > 0);

    segments = malloc((n + 1) * sizeof(ngx_http_gray_segment_t));
    assert_non_null(segments);
    memset(segments, 0xa5, (n + 1) * sizeof(ngx_http_gray_segment_t));

    /* one that does not fit is counted, but not written */

    again = ngx_http_gray_allocation_segments(p->arms, p->plan.n, segments,
                                              n - 1);
    assert_int_equal(again, n);
    assert_int_equal(segments[n - 1].end, 0xa5a5a5a5);

    again = ngx_http_gray_allocation_segments(p->arms, p->plan.n, segments,
                                              n + 1);
    assert_int_equal(again, n);
    assert_int_equal(segments[n].end, 0xa5a5a5a5);
    assert_int_equal(segments[n - 1].end, BUCKETS);

    runs = 1;

    for (at = 0; at < BUCKETS; at++) {

        if (at && owner[at] != owner[at - 1]) {
            runs++;

        } else if (at % 97 && at != BUCKETS - 1
                   && owner[at] == owner[at + 1])
        {
            continue;
        }

        i = ngx_http_gray_allocation_find(segments, n, at);

        if (i >= p->plan.n || p->plan.id[i] != owner[at]) {
            broken("%u is found in %lu", at, (unsigned long) i);
        }
    }

    assert_int_equal(runs, n);

    free(segments);
}


/* bucket by bucket, and all that is looked up */

static void
test_buckets(void **state)
{
    uint32_t     at, moved;
    plan_t       plan;
    partition_t  *before, *after, *swap;

    (void) state;

    seed = 30;

    for (history = 0; history < 7; history++) {
        before = &one;
        after = &two;
        before->plan.n = 0;

        start(&plan, 2 + history % (ARMS - 1));

        for (change = 0; change < 12; change++) {
            make(before, after, &plan);

            paint(after, owner_after);

            assert_null(memchr(owner_after, 0xff, BUCKETS));

            check_find(after, owner_after);

            moved = 0;

            for (at = 0; change && at < BUCKETS; at++) {
                if (owner_before[at] != owner_after[at]) {
                    check_move(&before->plan, &after->plan, owner_before[at],
                               owner_after[at]);
                    moved++;
                }
            }

            if (change) {
                assert_int_equal(moved, least_moves(&before->plan, &plan));
            }

            memcpy(owner_before, owner_after, BUCKETS);

            drop(before);
            swap = before;
            before = after;
            after = swap;

            plan_weights(&plan, 1);
            plans[below(sizeof(plans) / sizeof(plans[0]))](&plan, 1);
        }

        drop(before);
    }
}


/* every bucket of a small range has a random owner, or none */

static void
test_rest(void **state)
{
    uint32_t                   at;
    ngx_uint_t                 i, turn;
    plan_t                     plan;
    ngx_http_gray_arm_t       *arm;

    (void) state;

    seed = 40;

    for (turn = 0; turn < 60; turn++) {
        start(&plan, 4);
        prepare(&one, &plan);

        for (i = 0; i < 4; i++) {
            one.arms[i].intervals = malloc(64 * sizeof(*arm->intervals));
            assert_non_null(one.arms[i].intervals);
            one.arms[i].size = 0;
        }

        at = below(2) ? 0 : BUCKETS - 60;

        for (i = 0; i < 60; i++) {
            arm = &one.arms[below(4)];
            arm->intervals[arm->n].start = at + i;
            arm->intervals[arm->n++].end = at + i + 1;
            arm->size++;
        }

        one.plan.size[0] = one.arms[0].size;
        one.plan.size[1] = one.arms[1].size;
        one.plan.size[2] = one.arms[2].size;
        one.plan.size[3] = one.arms[3].size;

        one.plan.size[plan.rest] += BUCKETS - 60;

        /* what it held before does not matter */

        one.arms[plan.rest].size = below(99);
        free(one.arms[plan.rest].intervals);
        one.arms[plan.rest].intervals = NULL;
        one.arms[plan.rest].n = 0;

        if (turn % 2) {
            set(&one, plan.rest, 1,
                (ngx_http_gray_interval_t[]) { { 3, 1000 } });
        }

        assert_int_equal(ngx_http_gray_allocation_rest(one.arms, 4, plan.rest),
                         NGX_OK);

        for (i = 0; i < 4; i++) {
            if (i != plan.rest) {
                assert_int_equal(one.arms[i].size, one.plan.size[i]);
            }
        }

        assert_int_equal(one.arms[plan.rest].size, one.plan.size[plan.rest]);

        paint(&one, owner_after);
        assert_null(memchr(owner_after, 0xff, BUCKETS));

        arm = &one.arms[plan.rest];

        for (i = 1; i < arm->n; i++) {
            assert_true(arm->intervals[i - 1].end < arm->intervals[i].start);
        }

        drop(&one);
    }
}


static void
test_rest_ends(void **state)
{
    plan_t  plan;

    (void) state;

    /* all of it */

    start(&plan, 2);
    prepare(&one, &plan);
    one.arms[1 - plan.rest].size = 0;

    assert_int_equal(ngx_http_gray_allocation_rest(one.arms, 2, plan.rest),
                     NGX_OK);
    check_partition(&one);
    drop(&one);

    /* none of it */

    give(&plan, plan.rest, 1 - plan.rest, BUCKETS);
    prepare(&one, &plan);
    set(&one, 1 - plan.rest, 2,
        (ngx_http_gray_interval_t[]) { { 77, BUCKETS }, { 0, 77 } });

    assert_int_equal(ngx_http_gray_allocation_rest(one.arms, 2, plan.rest),
                     NGX_OK);
    check_partition(&one);
    drop(&one);
}


static void
expect(ngx_uint_t arm, ngx_uint_t n, const ngx_http_gray_interval_t *intervals)
{
    ngx_uint_t  i;

    assert_int_equal(one.arms[arm].n, n);

    for (i = 0; i < n; i++) {
        assert_int_equal(one.arms[arm].intervals[i].start,
                         intervals[i].start);
        assert_int_equal(one.arms[arm].intervals[i].end, intervals[i].end);
    }
}


/* the next partition of arms 0 (the baseline), 1 and 2 into "one" */

static void
next(plan_t *plan, uint32_t first, uint32_t second)
{
    partition_t  *before;

    before = &two;
    *before = one;

    plan->size[1] = first;
    plan->size[2] = second;
    plan->size[0] = BUCKETS - first - second;

    make(before, &one, plan);
    drop(before);
}


#define list(...)  (ngx_http_gray_interval_t[]) { __VA_ARGS__ }


/* one after another, as an operator would */

static void
test_ramp(void **state)
{
    plan_t  plan;

    (void) state;

    seed = 1;
    start(&plan, 3);
    plan.rest = 0;
    one.plan.n = 0;

    next(&plan, 50000, 0);
    expect(0, 1, list({ 50000, BUCKETS }));
    expect(1, 1, list({ 0, 50000 }));

    /* what adjoins is one */

    next(&plan, 60000, 0);
    expect(1, 1, list({ 0, 60000 }));

    next(&plan, 60000, 10000);
    expect(2, 1, list({ 60000, 70000 }));

    next(&plan, 100000, 10000);
    expect(1, 2, list({ 0, 60000 }, { 70000, 110000 }));

    /* what was taken last goes first */

    next(&plan, 70000, 10000);
    expect(1, 2, list({ 0, 60000 }, { 70000, 80000 }));

    next(&plan, 55000, 10000);
    expect(1, 1, list({ 0, 55000 }));
    expect(0, 2, list({ 55000, 60000 }, { 70000, BUCKETS }));

    /* the lowest of the baseline come back out of order */

    next(&plan, 55000, 20000);
    expect(2, 3, list({ 60000, 70000 }, { 55000, 60000 }, { 70000, 75000 }));

    /* what one gives back the other takes, the remainder is the baseline's */

    next(&plan, 57000, 11000);
    expect(1, 2, list({ 0, 55000 }, { 56000, 58000 }));
    expect(0, 2, list({ 58000, 60000 }, { 70000, BUCKETS }));
    expect(2, 2, list({ 60000, 70000 }, { 55000, 56000 }));
    drop(&one);
}


static void
test_ramp_pools(void **state)
{
    plan_t  plan;

    (void) state;

    seed = 1;
    start(&plan, 3);
    plan.rest = 0;
    one.plan.n = 0;

    next(&plan, 300000, 200000);
    expect(1, 1, list({ 0, 300000 }));
    expect(2, 1, list({ 300000, 500000 }));

    /* 1 gives 100000, 2 takes them and 50000 of the baseline */

    next(&plan, 200000, 350000);
    expect(1, 1, list({ 0, 200000 }));
    expect(2, 3, list({ 300000, 500000 }, { 200000, 300000 },
                      { 500000, 550000 }));

    /* off, the other as before: exactly what it had taken for it */

    next(&plan, 0, 200000);
    expect(0, 2, list({ 0, 300000 }, { 500000, BUCKETS }));
    expect(1, 0, NULL);
    expect(2, 1, list({ 300000, 500000 }));

    /* 2 becomes the baseline, the old one an arm with what it held */

    plan_swap(&plan, 0, 2);
    plan.rest = 0;

    next(&plan, 0, 800000);
    expect(0, 1, list({ 300000, 500000 }));
    expect(2, 2, list({ 0, 300000 }, { 500000, BUCKETS }));

    next(&plan, 30000, 770000);
    expect(1, 1, list({ 970000, BUCKETS }));
    expect(2, 2, list({ 0, 300000 }, { 500000, 970000 }));
    drop(&one);
}


/* the first of all: in order of the arms, whichever is the baseline */

static void
test_first(void **state)
{
    plan_t  plan;

    (void) state;

    for (seed = 1, history = 0; history < 3; history++) {
        start(&plan, 3);
        plan.rest = history;
        one.plan.n = 0;

        next(&plan, 300000, 200000);

        expect(0, 1, (history == 0) ? list({ 500000, BUCKETS })
                                    : list({ 0, 500000 }));
        expect(1, 1, (history == 0) ? list({ 0, 300000 })
                     : (history == 1) ? list({ 700000, BUCKETS })
                                      : list({ 500000, 800000 }));
        expect(2, 1, (history == 0) ? list({ 300000, 500000 })
                     : (history == 1) ? list({ 500000, 700000 })
                                      : list({ 800000, BUCKETS }));
        drop(&one);
    }
}


/* a baseline that was not there takes what is left */

static void
test_strangers(void **state)
{
    plan_t  plan;

    (void) state;

    seed = 1;
    start(&plan, 3);
    plan.rest = 0;
    one.plan.n = 0;

    next(&plan, 300000, 200000);

    plan.id[0] = 7;
    plan.id[1] = 8;

    next(&plan, 100000, 250000);
    expect(2, 2, list({ 300000, 500000 }, { 100000, 150000 }));
    expect(1, 1, list({ 0, 100000 }));
    expect(0, 2, list({ 150000, 300000 }, { 500000, BUCKETS }));
    drop(&one);
}


/* sizes that are not everything, and old ones that were not */

static void
test_mistakes(void **state)
{
    plan_t                    plan;
    ngx_http_gray_arm_t       old[2];
    ngx_http_gray_interval_t  half = { 0, BUCKETS / 2 };

    (void) state;

    seed = 1;
    start(&plan, 2);
    plan.rest = 0;

    plan.size[0] = BUCKETS - 1;
    prepare(&two, &plan);
    assert_int_equal(ngx_http_gray_allocation_move(NULL, 0, two.arms, 2, 0),
                     NGX_ERROR);
    assert_null(two.arms[0].intervals);
    assert_null(two.arms[1].intervals);

    plan.size[0] = UINT32_MAX;
    plan.size[1] = BUCKETS + 1;
    prepare(&two, &plan);
    assert_int_equal(ngx_http_gray_allocation_move(NULL, 0, two.arms, 2, 0),
                     NGX_ERROR);

    plan.size[0] = 0;
    plan.size[1] = BUCKETS;
    prepare(&two, &plan);

    memset(old, 0, sizeof(old));
    old[0].name = two.arms[0].name;
    old[0].size = BUCKETS / 2;
    old[0].n = 1;
    old[0].intervals = &half;
    old[1].name = two.arms[1].name;

    assert_int_equal(ngx_http_gray_allocation_move(old, 2, two.arms, 2, 0),
                     NGX_ERROR);
    assert_null(two.arms[0].intervals);
    assert_null(two.arms[1].intervals);
    assert_int_equal(two.arms[1].n, 0);
    drop(&two);
}


/* what one revert does: kept intervals, and the rest from them */

static void
restore(partition_t *p)
{
    drop(p);
    copy(p, &kept);

    if (ngx_http_gray_allocation_fits(p->arms, p->plan.n, p->plan.rest)
        != NGX_OK
        || ngx_http_gray_allocation_rest(p->arms, p->plan.n, p->plan.rest)
           != NGX_OK)
    {
        broken("cannot be restored");
    }

    check_partition(p);

    if (p->n_pieces != kept.n_pieces
        || memcmp(p->pieces, kept.pieces, p->n_pieces * sizeof(piece_t)))
    {
        broken("is restored to other buckets");
    }
}


static void
keep(const partition_t *p)
{
    drop(&kept);
    copy(&kept, p);

    kept.n_pieces = p->n_pieces;
    memcpy(kept.pieces, p->pieces, p->n_pieces * sizeof(piece_t));
}


/*
 * If an arm grows at the baseline's cost and nothing else changes, the
 * buckets are the lowest of the baseline; if it shrinks again, all is as
 * before, in the same order but for intervals that have become one.
 */

static void
check_return(const partition_t *before, partition_t *grown)
{
    uint32_t         lowest;
    ngx_uint_t       i, arm;
    plan_t           plan;
    partition_t     *back;

    /* so few that it is done the usual way for sure */

    if (stored(before) > 60) {
        return;
    }

    plan = before->plan;
    arm = other(&plan, plan.rest);

    give(&plan, plan.rest, arm, 1 + below(BUCKETS));

    prepare(grown, &plan);
    assert_int_equal(ngx_http_gray_allocation_move(before->arms, plan.n,
                                                   grown->arms, plan.n,
                                                   plan.rest),
                     NGX_OK);
    check_partition(grown);
    check_change(before, grown);

    lowest = plan.size[plan.rest]
             ? grown->arms[plan.rest].intervals[0].start : BUCKETS;

    for (i = 0; i < before->arms[plan.rest].n; i++) {
        if (before->arms[plan.rest].intervals[i].start < lowest) {
            plan.size[arm] -= before->arms[plan.rest].intervals[i].end < lowest
                              ? before->arms[plan.rest].intervals[i].end
                                - before->arms[plan.rest].intervals[i].start
                              : lowest
                                - before->arms[plan.rest].intervals[i].start;
        }
    }

    if (plan.size[arm] != before->plan.size[arm]) {
        broken("has not taken the lowest");
    }

    back = malloc(sizeof(partition_t));
    assert_non_null(back);

    prepare(back, &before->plan);
    assert_int_equal(ngx_http_gray_allocation_move(grown->arms, plan.n,
                                                   back->arms, plan.n,
                                                   plan.rest),
                     NGX_OK);
    check_partition(back);

    if (back->n_pieces != before->n_pieces
        || memcmp(back->pieces, before->pieces,
                  back->n_pieces * sizeof(piece_t)))
    {
        broken("has not given back what it took");
    }

    drop(back);
    free(back);
    drop(grown);
}


/* an allocation in splinters, which may come with a document */

static void
shatter(partition_t *p, plan_t *plan, ngx_uint_t n, uint32_t size)
{
    uint32_t                   at;
    ngx_uint_t                 i;
    ngx_http_gray_arm_t       *arm;

    start(plan, 4);
    plan->rest = 3;
    plan->size[3] = BUCKETS;

    for (i = 0; i < 3; i++) {
        plan->size[i] = n * size;
        plan->size[3] -= n * size;
    }

    prepare(p, plan);

    for (i = 0; i < 3; i++) {
        arm = &p->arms[i];
        arm->intervals = malloc(n * sizeof(ngx_http_gray_interval_t));
        assert_non_null(arm->intervals);

        for (arm->n = 0; arm->n < n; arm->n++) {
            at = (4 * (n - arm->n - 1) + i) * size;
            arm->intervals[arm->n].start = at;
            arm->intervals[arm->n].end = at + size;
        }
    }

    assert_int_equal(ngx_http_gray_allocation_rest(p->arms, 4, 3), NGX_OK);
}


/* a history of n variants at first, or of splinters where n is 0 */

static void
run(ngx_uint_t n, uint32_t unit, tally_t *tally)
{
    plan_t        plan, then;
    ngx_uint_t    times;
    partition_t  *before, *after, *swap;

    before = &one;
    after = &two;
    before->plan.n = 0;

    start(&plan, n ? n : ARMS);

    for (change = 0; change < CHANGES; change++) {

        if (n == 0 && change % 8 == 0) {
            drop(before);
            shatter(before, &plan, 50 + below(150), 1000);
            check_partition(before);
        }

        for (times = 1 + below(2); times; times--) {
            plans[below(sizeof(plans) / sizeof(plans[0]))](&plan, unit);
        }

        make(before, after, &plan);
        check_stored(after, tally);

        if (change && unit == PERCENT) {
            check_places(before, after);
        }

        drop(before);
        swap = before;
        before = after;
        after = swap;

        if (below(16) == 0) {
            check_return(before, after);
        }

        if (below(32) == 0) {
            keep(before);

        } else if (kept.plan.n && below(32) == 0) {
            then = plan;
            restore(before);
            plan = kept.plan;

            /* and on, as if nothing had been */

            if (below(2)) {
                make(before, after, &then);
                drop(after);
            }
        }
    }

    drop(before);
    drop(&kept);
}


static void
report(const char *what, const tally_t *tally)
{
    print_message("%s: %lu changes, at most %lu intervals, %.1f on average\n",
                  what, (unsigned long) tally->changes,
                  (unsigned long) tally->max,
                  (double) tally->sum / tally->changes);
}


static void
test_histories(void **state)
{
    tally_t  odd, whole, splinters;

    (void) state;

    memset(&odd, 0, sizeof(odd));
    memset(&whole, 0, sizeof(whole));
    memset(&splinters, 0, sizeof(splinters));

    for (history = 0; history < HISTORIES; history++) {
        seed = 1000003 * (history + 1);

        if (history % 2) {
            run(2 + below(ARMS - 1), PERCENT, &whole);

        } else {
            run(2 + below(ARMS - 1), 1, &odd);
        }
    }

    for ( /* void */ ; history < HISTORIES + HISTORIES / 10; history++) {
        seed = 1000003 * (history + 1);
        run(0, 1, &splinters);
    }

    report("odd sizes", &odd);
    report("from splinters", &splinters);
    report("whole percents", &whole);

    assert_true(odd.max <= FEW);

    /* 100 percents have not more, whatever happens */
    assert_true(whole.max <= 100);
}


static void
long_wander(plan_t *plan)
{
    plan_wander(plan, 1);
}


static void
long_wander_one(plan_t *plan)
{
    ngx_uint_t  arm;

    arm = other(plan, plan->rest);

    if (below(2)) {
        give(plan, arm, plan->rest, below(2000));

    } else if (plan->size[arm] < BUCKETS / plan->n) {
        give(plan, plan->rest, arm, below(2000));
    }
}


/* all but the baseline grow by turns */

static void
long_ramp(plan_t *plan)
{
    ngx_uint_t  arm;

    arm = change % plan->n;
    give(plan, plan->rest, arm, 10);
}


static void
long_pairs(plan_t *plan)
{
    ngx_uint_t       arm;
    static uint32_t  sizes[] = { 1, 1, 10, 1000, 50000 };

    arm = below(plan->n);
    give(plan, arm, other(plan, arm), sizes[below(5)]);
}


/* a splinter from everybody to everybody, and a big arm in between */

static void
long_splinters(plan_t *plan)
{
    ngx_uint_t  arm;

    arm = change % plan->n;

    if (change % 2) {
        give(plan, arm, other(plan, arm), BUCKETS);

    } else {
        give(plan, other(plan, arm), arm, 1 + below(3));
    }
}


static void
long_weights(plan_t *plan)
{
    plan_weight(plan, 1);
}


static struct {
    const char                 *what;
    void                      (*pt)(plan_t *plan);
} longs[] = {
    { "all wander", long_wander },
    { "one wanders", long_wander_one },
    { "ramps by turns", long_ramp },
    { "pairs", long_pairs },
    { "splinters", long_splinters },
    { "weights", long_weights }
};


static void
test_long(void **state)
{
    plan_t        plan;
    tally_t       tally;
    ngx_uint_t    i;
    partition_t  *before, *after, *swap;

    (void) state;

    for (i = 0; i < sizeof(longs) / sizeof(longs[0]); i++) {
        memset(&tally, 0, sizeof(tally));

        history = i;
        seed = 50 + i;

        before = &one;
        after = &two;
        before->plan.n = 0;

        start(&plan, 6);

        for (change = 0; change < LONG_CHANGES; change++) {
            longs[i].pt(&plan);

            make(before, after, &plan);
            check_stored(after, &tally);

            drop(before);
            swap = before;
            before = after;
            after = swap;
        }

        drop(before);

        report(longs[i].what, &tally);
        assert_true(tally.max <= FEW);
    }
}


static void
test_splinters(void **state)
{
    plan_t        plan;
    tally_t       tally;
    ngx_uint_t    n;
    partition_t  *before, *after, *swap;

    (void) state;

    seed = 60;
    memset(&tally, 0, sizeof(tally));

    before = &one;
    after = &two;

    shatter(before, &plan, 1000, 250);
    check_partition(before);
    check_stored(before, &tally);
    assert_int_equal(tally.max, 3000);

    for (change = 0; change < 300; change++) {
        plan_pair(&plan, 1 + below(100));

        make(before, after, &plan);
        check_stored(after, &tally);

        drop(before);
        swap = before;
        before = after;
        after = swap;
    }

    report("from splinters", &tally);
    assert_true(tally.max <= 3000 + 6);

    /* an arm that goes leaves no splinters where its neighbours grow */

    n = stored(before);
    give(&plan, 1, 0, BUCKETS);
    make(before, after, &plan);
    assert_true(stored(after) < n / 4 * 3);

    drop(before);
    drop(after);
}


/* arm 3 is the rest */

static void
extra(partition_t *p, plan_t *plan, ngx_uint_t i, uint32_t at, uint32_t end)
{
    ngx_http_gray_arm_t  *arm;

    arm = &p->arms[i];

    arm->intervals = realloc(arm->intervals, (arm->n + 1)
                                             * sizeof(*arm->intervals));
    assert_non_null(arm->intervals);

    arm->intervals[arm->n].start = at;
    arm->intervals[arm->n++].end = end;

    arm->size += end - at;
    give(plan, 3, i, end - at);

    assert_int_equal(ngx_http_gray_allocation_rest(p->arms, 4, 3), NGX_OK);

    p->plan = *plan;
    check_partition(p);
}


/* what is given where nothing is left but the place to choose */

static void
test_tidy(void **state)
{
    plan_t  plan;

    (void) state;

    seed = 80;

    /* 0 and 2 are not side by side, but here, where 0 has more to give */

    shatter(&one, &plan, 50, 1000);
    extra(&one, &plan, 2, 600000, 601000);
    extra(&one, &plan, 0, 601000, 603000);
    extra(&one, &plan, 2, 603000, 604000);
    assert_int_equal(stored(&one), 153);

    give(&plan, 0, 2, 2000);
    make(&one, &two, &plan);
    assert_int_equal(stored(&two), 151);

    drop(&one);
    drop(&two);

    /* they are nowhere: whole intervals, and no cut in the long one */

    shatter(&one, &plan, 50, 1000);
    extra(&one, &plan, 0, 500000, 600000);
    assert_int_equal(stored(&one), 151);

    give(&plan, 0, 2, 5000);
    make(&one, &two, &plan);
    assert_int_equal(stored(&two), 151);

    drop(&one);

    /* no whole one fits: the long one is cut in the middle, once for all */

    extra(&two, &plan, 0, 700000, 700500);
    assert_int_equal(stored(&two), 152);

    give(&plan, 0, 2, 1);
    make(&two, &one, &plan);
    assert_int_equal(stored(&one), 154);

    give(&plan, 0, 2, 499);
    make(&one, &kept, &plan);
    assert_int_equal(stored(&kept), 154);

    drop(&one);
    drop(&two);
    drop(&kept);
}


/* each allocation that the call makes fails once */

static void
test_memory(void **state)
{
    ngx_int_t    rc;
    ngx_uint_t   i, n, turn, made;
    plan_t       plan;

    (void) state;

    for (turn = 0; turn < 3; turn++) {

        /* nothing before, the usual way, the tidy way */

        seed = 70;
        one.plan.n = 0;
        start(&plan, 4);
        plan.rest = 3;

        if (turn) {
            shatter(&one, &plan, (turn == 1) ? 20 : 200, 1000);
            check_partition(&one);
        }

        plan_weights(&plan, 1);

        for (made = 1, rc = NGX_ERROR; rc != NGX_OK; made++) {
            prepare(&two, &plan);

            calls = 0;
            failing = made;

            rc = ngx_http_gray_allocation_move(one.arms, one.plan.n, two.arms,
                                               plan.n, plan.rest);
            failing = 0;

            if (rc == NGX_OK) {
                assert_true(calls < made);
                break;
            }

            assert_int_equal(rc, NGX_ERROR);
            assert_true(calls >= made);

            for (i = 0; i < plan.n; i++) {
                assert_int_equal(two.arms[i].n, 0);
                assert_null(two.arms[i].intervals);
                assert_int_equal(two.arms[i].size, plan.size[i]);
            }
        }

        print_message("move: %lu allocations\n", (unsigned long) made - 1);
        assert_true(made - 1 > 4);

        check_partition(&two);

        if (turn) {
            check_partition(&one);
            check_change(&one, &two);
            assert_int_equal(made - 1 > 10, turn == 2);
        }

        drop(&one);
        drop(&two);
    }

    shatter(&one, &plan, 20, 1000);
    check_partition(&one);
    n = one.arms[3].n;

    for (made = 1; made < 3; made++) {
        calls = 0;
        failing = made;
        rc = ngx_http_gray_allocation_rest(one.arms, 4, 3);
        failing = 0;

        assert_int_equal(rc, NGX_ERROR);
        assert_int_equal(one.arms[3].n, n);
        check_partition(&one);
    }

    calls = 0;
    assert_int_equal(ngx_http_gray_allocation_rest(one.arms, 4, 3), NGX_OK);
    assert_int_equal(calls, 2);

    calls = 0;
    failing = 1;
    assert_int_equal(ngx_http_gray_allocation_fits(one.arms, 4, 3), NGX_ERROR);

    calls = 0;
    assert_int_equal(ngx_http_gray_allocation_segments(one.arms, 4, NULL, 0),
                     NGX_ERROR);
    failing = 0;

    calls = 0;
    assert_int_equal(ngx_http_gray_allocation_fits(one.arms, 4, 3), NGX_OK);
    assert_int_equal(calls, 1);

    calls = 0;
    assert_true(ngx_http_gray_allocation_segments(one.arms, 4, NULL, 0) > 60);
    assert_int_equal(calls, 1);

    drop(&one);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_fits),
        cmocka_unit_test(test_fits_wraps),
        cmocka_unit_test(test_fits_random),
        cmocka_unit_test(test_rest),
        cmocka_unit_test(test_rest_ends),
        cmocka_unit_test(test_first),
        cmocka_unit_test(test_ramp),
        cmocka_unit_test(test_ramp_pools),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_splinters),
        cmocka_unit_test(test_tidy),
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_histories),
        cmocka_unit_test(test_long)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
