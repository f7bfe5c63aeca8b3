
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Histograms: the bucket of every value up to 2^20 and of many beyond, against
 * the eighth power of the value; quantiles of a million values of a kind,
 * against those of the values themselves; packing, against sums of 128 bits.
 */


#include "unit.h"

#include <math.h>

#include "ngx_http_gray_histogram.h"


#define BUCKETS   NGX_HTTP_GRAY_HISTOGRAM
#define LAST      (BUCKETS - 1)
#define TOP       ((uint64_t) 1 << NGX_HTTP_GRAY_HISTOGRAM_TOP)

#define VALUES    1000000
#define WORKERS   4
#define TIMES     1000
#define LONGEST   (1 << 20)

/* 2^(1/8) - 1, rounded up */
#define BOUND     0.090507733

/* where values are spread evenly in a bucket: half a ms, the least is 19 */
#define SMOOTH    (0.5 / 19)


typedef unsigned __int128  wide_t;


typedef struct {
    const char                 *name;
    double                    (*draw)(uint64_t *seed);
    uint64_t                    seed;
} kind_t;


static double log_normal(uint64_t *seed);
static double exponential(uint64_t *seed);
static double bimodal(uint64_t *seed);


static const double  quantiles[] = { 0.5, 0.9, 0.99, 0.999 };


static const kind_t  kinds[] = {
    { "log-normal", log_normal, 1 },
    { "exponential", exponential, 2 },
    { "bimodal", bimodal, 3 }
};


/* how many values there are of each, the last is for all that are larger */

static uint32_t  exact[LONGEST + 1];


/* the least k with v^8 <= 2^k, by multiplication */

static ngx_uint_t
bucket(uint64_t v)
{
    wide_t      product;
    uint64_t    power[8];
    ngx_uint_t  i, k, bit, bits, highest;

    if (v == 0) {
        return 0;
    }

    memset(power, 0, sizeof(power));
    power[0] = 1;

    for (i = 0; i < 8; i++) {
        product = 0;

        for (k = 0; k <= i; k++) {
            product = (wide_t) power[k] * v + (uint64_t) (product >> 64);
            power[k] = (uint64_t) product;
        }

        assert_true(product >> 64 == 0);
    }

    bits = 0;
    highest = 0;

    for (i = 0; i < 8; i++) {
        if (power[i] == 0) {
            continue;
        }

        for (bit = 0; power[i] >> bit > 1; bit++) { /* void */ }

        bits += (power[i] == (uint64_t) 1 << bit) ? 1 : 2;
        highest = 64 * i + bit;
    }

    k = highest + (bits > 1);

    return ngx_min(1 + k, LAST);
}


static void
check_index(uint64_t v)
{
    ngx_uint_t  found, expected;

    found = ngx_http_gray_histogram_index(v);
    expected = bucket(v);

    if (found != expected) {
        fail_msg("%llu is in bucket %lu, not in %lu", (unsigned long long) v,
                 (unsigned long) found, (unsigned long) expected);
    }
}


static void
test_index(void **state)
{
    uint64_t    v, seed;
    ngx_uint_t  i;

    (void) state;

    for (v = 0; v <= LONGEST; v++) {
        check_index(v);
    }

    for (i = 0; i < 64; i++) {
        v = (uint64_t) 1 << i;

        check_index(v - 1);
        check_index(v);
        check_index(v + 1);
        check_index(0 - v);
    }

    seed = 4;

    for (i = 0; i < 100000; i++) {
        v = draw(&seed);
        check_index(v >> draw(&seed) % 64);
    }

    assert_int_equal(ngx_http_gray_histogram_index(0), 0);
    assert_int_equal(ngx_http_gray_histogram_index(1), 1);
    assert_int_equal(ngx_http_gray_histogram_index(TOP), 145);
    assert_int_equal(ngx_http_gray_histogram_index(TOP + 1), LAST);
    assert_int_equal(ngx_http_gray_histogram_index(UINT64_MAX), LAST);
}


static void
test_edges(void **state)
{
    uint64_t    edge;
    ngx_uint_t  i;

    (void) state;

    for (i = 0; i < LAST; i++) {
        edge = ngx_http_gray_histogram_edge(i);

        assert_true(bucket(edge) <= i);
        assert_true(bucket(edge + 1) > i);

        if (i) {
            assert_true(edge >= ngx_http_gray_histogram_edge(i - 1));
        }
    }

    assert_true(ngx_http_gray_histogram_edge(0) == 0);
    assert_true(ngx_http_gray_histogram_edge(1) == 1);
    assert_true(ngx_http_gray_histogram_edge(145) == TOP);
    assert_true(ngx_http_gray_histogram_edge(LAST) == UINT64_MAX);
}


static void
test_sums(void **state)
{
    uint64_t    to[BUCKETS], from[BUCKETS];
    ngx_uint_t  i;

    (void) state;

    for (i = 0; i < BUCKETS; i++) {
        to[i] = i;
        from[i] = 1000 * i;
    }

    assert_true(ngx_http_gray_histogram_count(to) == 147 * 146 / 2);

    ngx_http_gray_histogram_merge(to, from);

    for (i = 0; i < BUCKETS; i++) {
        assert_true(to[i] == 1001 * i);
        assert_true(from[i] == 1000 * i);
    }

    memset(to, 0, sizeof(to));
    memset(from, 0, sizeof(from));

    assert_true(ngx_http_gray_histogram_count(to) == 0);

    to[0] = UINT64_MAX - 1;
    from[0] = 1;
    to[7] = UINT64_MAX;
    from[7] = 1;
    to[LAST] = 1;
    from[LAST] = UINT64_MAX;

    ngx_http_gray_histogram_merge(to, from);

    assert_true(to[0] == UINT64_MAX);
    assert_true(to[7] == UINT64_MAX);
    assert_true(to[LAST] == UINT64_MAX);
    assert_true(ngx_http_gray_histogram_count(to) == UINT64_MAX);

    memset(to, 0, sizeof(to));

    to[3] = UINT64_MAX - 1;
    to[LAST] = 1;

    assert_true(ngx_http_gray_histogram_count(to) == UINT64_MAX);

    to[LAST] = 2;

    assert_true(ngx_http_gray_histogram_count(to) == UINT64_MAX);
}


static void
test_one(void **state)
{
    double                            q, found;
    uint64_t                          v, n[BUCKETS];
    ngx_uint_t                        i;
    ngx_http_gray_histogram_packed_t  packed;

    (void) state;

    memset(n, 0, sizeof(n));

    assert_true(ngx_http_gray_histogram_quantile(n, 0.5) == -1);

    ngx_http_gray_histogram_pack(&packed, n);
    ngx_http_gray_histogram_unpack(&packed, n);

    assert_true(ngx_http_gray_histogram_quantile(n, 0) == -1);
    assert_true(ngx_http_gray_histogram_quantile(n, 1) == -1);

    for (v = 0; v <= TOP + 1; v += 1 + v / 100) {
        i = ngx_http_gray_histogram_index(v);
        n[i] = 1;

        for (q = 0; q <= 1; q += 0.125) {
            found = ngx_http_gray_histogram_quantile(n, q);

            if (v < 15) {
                assert_true(found == (double) v);

            } else if (v <= TOP) {
                assert_true(bucket((uint64_t) floor(found)) == i
                            && bucket((uint64_t) ceil(found)) == i);

            } else {
                assert_true(found == (double) TOP);
            }
        }

        n[i] = 0;
    }

    /* what a bucket holds, and there is another one beside it */

    n[ngx_http_gray_histogram_index(17)] = 1;
    n[LAST] = 1;

    assert_true(ngx_http_gray_histogram_quantile(n, 0) == 17);
    assert_true(ngx_http_gray_histogram_quantile(n, 0.5) == 17);
    assert_true(ngx_http_gray_histogram_quantile(n, 0.51) == (double) TOP);
    assert_true(ngx_http_gray_histogram_quantile(n, 1) == (double) TOP);
}


/*
 * The same number of each value from 1 to 10: every rank is known.  Then all
 * in one bucket, where each rank has a quantile of its own.
 */

static void
test_ranks(void **state)
{
    double      found, expected;
    uint64_t    v, count, n[BUCKETS];
    ngx_uint_t  i;

    (void) state;

    memset(n, 0, sizeof(n));

    for (count = 10; count < 10000000000; count *= 10) {

        for (v = 1; v <= 10; v++) {
            n[ngx_http_gray_histogram_index(v)] = count / 10;
        }

        for (i = 0; i <= 1000; i++) {
            found = ngx_http_gray_histogram_quantile(n, (double) i / 1000);
            expected = (double) ngx_max((i + 99) / 100, 1);

            if (found != expected) {
                fail_msg("%lu/1000 of %llu is %g, not %g", (unsigned long) i,
                         (unsigned long long) count, found, expected);
            }
        }
    }

    memset(n, 0, sizeof(n));

    for (count = 1; count <= 1000; count++) {
        n[ngx_http_gray_histogram_index(27)] = count;

        for (i = 1; i <= count; i++) {
            found = ngx_http_gray_histogram_quantile(n, (double) i / count);
            found = (found - 27) / 2 * count + 0.5;

            if (fabs(found - (double) i) > 0.001) {
                fail_msg("%lu/%llu is number %g", (unsigned long) i,
                         (unsigned long long) count, found);
            }
        }
    }
}


static void
test_within(void **state)
{
    double      q, found, before;
    uint64_t    n[BUCKETS];
    ngx_uint_t  i;

    (void) state;

    memset(n, 0, sizeof(n));

    /* 27, 28 and 29 share a bucket */

    i = ngx_http_gray_histogram_index(27);
    n[i] = 4;

    assert_true(ngx_http_gray_histogram_quantile(n, 0) == 27.25);
    assert_true(ngx_http_gray_histogram_quantile(n, 0.25) == 27.25);
    assert_true(ngx_http_gray_histogram_quantile(n, 0.26) == 27.75);
    assert_true(ngx_http_gray_histogram_quantile(n, 0.75) == 28.25);
    assert_true(ngx_http_gray_histogram_quantile(n, 1) == 28.75);

    n[0] = 4;
    n[i + 1] = 1;

    assert_true(ngx_http_gray_histogram_quantile(n, 4. / 9) == 0);
    assert_true(ngx_http_gray_histogram_quantile(n, 5. / 9) == 27.25);
    assert_true(ngx_http_gray_histogram_quantile(n, 8. / 9) == 28.75);
    assert_true(ngx_http_gray_histogram_quantile(n, 1) == 31);

    /* never falls */

    for (i = 0; i < BUCKETS; i++) {
        n[i] = i % 3;
    }

    before = 0;

    for (q = 0; q <= 1; q += 0.0001) {
        found = ngx_http_gray_histogram_quantile(n, q);
        assert_true(found >= before);
        before = found;
    }
}


/* counts that no sum of 64 bits holds */

static void
test_many(void **state)
{
    double      found;
    uint64_t    n[BUCKETS];
    ngx_uint_t  i;

    (void) state;

    for (i = 0; i < BUCKETS; i++) {
        n[i] = UINT64_MAX;
    }

    for (i = 0; i < LAST; i++) {
        found = ngx_http_gray_histogram_quantile(n, (i + 0.5) / BUCKETS);

        if (i == 0
            || ngx_http_gray_histogram_edge(i)
               == ngx_http_gray_histogram_edge(i - 1))
        {
            continue;
        }

        assert_int_equal(bucket((uint64_t) found), i);
        assert_int_equal(bucket((uint64_t) ceil(found)), i);
    }

    assert_true(ngx_http_gray_histogram_quantile(n, 0) == 0);
    assert_true(ngx_http_gray_histogram_quantile(n, 1) == (double) TOP);

    /* a double takes the next sum for 2^60 + 256 */

    memset(n, 0, sizeof(n));
    n[0] = (uint64_t) 1 << 60;
    n[100] = 129;

    found = ngx_http_gray_histogram_quantile(n, 1);

    assert_int_equal(bucket((uint64_t) floor(found)), 100);
    assert_int_equal(bucket((uint64_t) ceil(found)), 100);

    /* and this one for 2^60 */

    n[100] = 1;

    found = ngx_http_gray_histogram_quantile(n, 1);

    assert_true(found >= 0);
    assert_true(found <= (double) ngx_http_gray_histogram_edge(100));
}


/* the i-th value in order, the first is number 1 */

static uint64_t
ranked(uint64_t i)
{
    uint64_t  v, sum;

    sum = exact[0];

    for (v = 0; sum < i; /* void */ ) {
        sum += exact[++v];
    }

    assert_true(v < LONGEST);

    return v;
}


/* the worst deviation of quantiles, within that of some rank near by */

static double
deviation(const uint64_t *n, uint64_t near)
{
    double      found, off, worst;
    uint64_t    rank, low, high;
    ngx_uint_t  i;

    worst = 0;

    for (i = 0; i < ITEMS(quantiles); i++) {
        found = ngx_http_gray_histogram_quantile(n, quantiles[i]);

        rank = (uint64_t) llround(quantiles[i] * VALUES);
        low = ranked(rank - near);
        high = ranked(rank + near);

        off = 0;

        if (found < (double) low) {
            off = 1 - found / (double) low;
        }

        if (found > (double) high) {
            off = found / (double) high - 1;
        }

        worst = ngx_max(worst, off);
    }

    return worst;
}


static void
check_kind(const kind_t *kind)
{
    double                            v, plain, again;
    uint64_t                          seed, near, whole[BUCKETS], sum[BUCKETS],
                                      n[WORKERS][BUCKETS];
    ngx_uint_t                        i, k;
    ngx_http_gray_histogram_packed_t  packed;

    memset(exact, 0, sizeof(exact));
    memset(n, 0, sizeof(n));
    memset(whole, 0, sizeof(whole));

    seed = kind->seed;

    for (i = 0; i < VALUES; i++) {
        v = kind->draw(&seed);
        v = ngx_min(v, LONGEST);

        exact[(uint32_t) v]++;

        k = ngx_http_gray_histogram_index((uint64_t) v);
        whole[k]++;
        n[draw(&seed) % WORKERS][k]++;
    }

    memset(sum, 0, sizeof(sum));

    for (i = 0; i < WORKERS; i++) {
        ngx_http_gray_histogram_merge(sum, n[i]);
    }

    assert_memory_equal(sum, whole, sizeof(sum));
    assert_true(ngx_http_gray_histogram_count(sum) == VALUES);

    plain = deviation(whole, 0);

    /* a ring of windows, and one of many times as much, which has a shift */

    memset(sum, 0, sizeof(sum));

    for (i = 0; i < WORKERS; i++) {
        ngx_http_gray_histogram_pack(&packed, n[i]);
        ngx_http_gray_histogram_unpack(&packed, sum);

        assert_int_equal(packed.shift, 0);
    }

    assert_memory_equal(sum, whole, sizeof(sum));

    for (i = 0; i < BUCKETS; i++) {
        whole[i] *= TIMES;
    }

    memset(sum, 0, sizeof(sum));
    ngx_http_gray_histogram_pack(&packed, whole);
    ngx_http_gray_histogram_unpack(&packed, sum);

    assert_in_range(packed.shift, 8, 16);

    near = ((uint64_t) 1 << packed.shift) / TIMES + 1;
    assert_true(deviation(sum, near) < BOUND);

    again = deviation(sum, 0);

    print_message("# %s: off by %.3f%% at most, %.3f%% after packing\n",
                  kind->name, 100 * plain, 100 * again);

    assert_true(plain < BOUND);
    assert_true(again < BOUND);

    assert_true(plain < SMOOTH);
    assert_true(again < SMOOTH);
}


static void
test_kinds(void **state)
{
    ngx_uint_t  i;

    (void) state;

    for (i = 0; i < ITEMS(kinds); i++) {
        check_kind(&kinds[i]);
    }
}


/* above 0, not above 1 */

static double
uniform(uint64_t *seed)
{
    return (double) ((draw(seed) >> 11) + 1) * 0x1p-53;
}


/* the median is 80 ms */

static double
log_normal(uint64_t *seed)
{
    double  radius, angle;

    radius = sqrt(-2 * log(uniform(seed)));
    angle = 2 * M_PI * uniform(seed);

    return 80 * exp(0.9 * radius * cos(angle));
}


static double
exponential(uint64_t *seed)
{
    return -35 * log(uniform(seed));
}


/* a cache and, for 3 of 10, what is behind it, by Pareto's law */

static double
bimodal(uint64_t *seed)
{
    if (uniform(seed) > 0.3) {
        return log_normal(seed) / 7;
    }

    return 200 * pow(uniform(seed), -1 / 1.3);
}


/*
 * The worst case of the bound: all values are the smallest ones of their
 * buckets, or the largest.
 */

static void
test_worst(void **state)
{
    double      found, off, worst;
    uint64_t    low, high, n[BUCKETS];
    ngx_uint_t  i;

    (void) state;

    memset(n, 0, sizeof(n));
    worst = 0;

    for (i = 1; i < LAST; i++) {
        low = ngx_http_gray_histogram_edge(i - 1) + 1;
        high = ngx_http_gray_histogram_edge(i);

        if (low > high) {
            continue;
        }

        n[i] = VALUES;

        found = ngx_http_gray_histogram_quantile(n, 1);
        off = found / (double) low - 1;
        worst = ngx_max(worst, off);

        assert_true(off < BOUND);
        assert_true(found <= (double) high);

        found = ngx_http_gray_histogram_quantile(n, 0);
        off = 1 - found / (double) high;
        worst = ngx_max(worst, off);

        assert_true(off < BOUND);
        assert_true(found >= (double) low);

        n[i] = 0;
    }

    print_message("# at worst off by %.3f%%\n", 100 * worst);

    assert_true(worst > 0.09);
}


/* what would be stored with a shift, by its definition; is it all 16 bits? */

static ngx_uint_t
fits(const uint64_t *n, ngx_uint_t shift,
    ngx_http_gray_histogram_packed_t *packed)
{
    wide_t      sum, before, count;
    ngx_uint_t  i;

    sum = 0;
    packed->shift = (uint16_t) shift;

    for (i = 0; i < BUCKETS; i++) {
        before = sum;
        sum += n[i];

        count = (sum >> shift) - (before >> shift);

        if (count > 65535) {
            return 0;
        }

        packed->n[i] = (uint16_t) count;
    }

    return 1;
}


static void
check_packed(const uint64_t *n)
{
    wide_t                            count, sum, stored;
    uint64_t                          got[BUCKETS], base[BUCKETS];
    ngx_uint_t                        i;
    ngx_http_gray_histogram_packed_t  packed, expected;

    memset(&packed, 0xa5, sizeof(packed));
    ngx_http_gray_histogram_pack(&packed, n);

    assert_true(fits(n, packed.shift, &expected));
    assert_memory_equal(packed.n, expected.n, sizeof(packed.n));

    if (packed.shift) {
        assert_false(fits(n, packed.shift - 1, &expected));
    }

    for (i = 0; i < BUCKETS; i++) {
        got[i] = base[i] = (i % 5) ? i : UINT64_MAX - i;
    }

    ngx_http_gray_histogram_unpack(&packed, got);

    sum = 0;
    stored = 0;

    for (i = 0; i < BUCKETS; i++) {
        count = (wide_t) packed.n[i] << packed.shift;

        assert_true(got[i] == ngx_min(base[i] + count, UINT64_MAX));

        sum += n[i];
        stored += count;

        assert_true(stored <= sum);
        assert_true(sum - stored < (wide_t) 1 << packed.shift);

        if (packed.shift == 0) {
            assert_true(count == n[i]);
        }

        if (n[i] == 0) {
            assert_true(count == 0);
        }
    }
}


static void
test_pack(void **state)
{
    uint64_t                          seed, n[BUCKETS];
    ngx_uint_t                        i, k, bits;
    ngx_http_gray_histogram_packed_t  packed;

    (void) state;

    seed = 5;

    for (i = 0; i < 20000; i++) {
        bits = draw(&seed) % 65;

        for (k = 0; k < BUCKETS; k++) {
            n[k] = draw(&seed);

            if (draw(&seed) % 4 < i % 4) {
                n[k] = 0;

            } else if (bits == 0) {
                n[k] = UINT64_MAX - n[k] % 3;

            } else {
                n[k] >>= 64 - bits;

                /* as large as it gets: a carry may be too much */

                n[k] |= (i % 8 < 4) ? (UINT64_MAX >> (64 - bits)) << 1 : 0;
                n[k] &= UINT64_MAX >> (64 - bits);
            }
        }

        check_packed(n);
    }

    memset(n, 0, sizeof(n));
    check_packed(n);

    n[5] = 65535;
    check_packed(n);
    ngx_http_gray_histogram_pack(&packed, n);
    assert_int_equal(packed.shift, 0);

    n[5] = 65536;
    check_packed(n);
    ngx_http_gray_histogram_pack(&packed, n);
    assert_int_equal(packed.shift, 1);

    /* it would fit if nothing was carried */

    n[3] = 1;
    n[5] = 131071;
    check_packed(n);
    ngx_http_gray_histogram_pack(&packed, n);
    assert_int_equal(packed.shift, 2);
    assert_int_equal(packed.n[3], 0);
    assert_int_equal(packed.n[5], 32768);

    for (k = 0; k < BUCKETS; k++) {
        n[k] = UINT64_MAX;
    }

    check_packed(n);
    ngx_http_gray_histogram_pack(&packed, n);
    assert_int_equal(packed.shift, 49);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_index),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_one),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_within),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_worst),
        cmocka_unit_test(test_pack)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
