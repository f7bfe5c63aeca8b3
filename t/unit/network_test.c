
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Networks: what is read, and that merging and searching ranges gives what
 * one finds by looking at each of them.
 */


#include "unit.h"

#include "ngx_http_gray_network.h"


#define RANGES  64
#define ALL  (~(ngx_http_gray_addr_t) 0)


static uint64_t  seed;


static void
test_parse(void **state)
{
    char                    why[160];
    ngx_int_t               family;
    ngx_str_t               text;
    ngx_uint_t              i;
    ngx_http_gray_range_t   range;

    static const struct {
        const char  *text;
        ngx_int_t    family;
        uint64_t     first[2];
        uint64_t     last[2];
    } tests[] = {
        { "10.0.0.0/8", AF_INET, { 0, 0x0a000000 }, { 0, 0x0affffff } },
        { "10.0.0.7", AF_INET, { 0, 0x0a000007 }, { 0, 0x0a000007 } },
        { "0.0.0.0/0", AF_INET, { 0, 0 }, { 0, 0xffffffff } },
        { "255.255.255.255/32", AF_INET, { 0, 0xffffffff },
          { 0, 0xffffffff } },
        { "::/0", AF_INET6, { 0, 0 }, { UINT64_MAX, UINT64_MAX } },
        { "::1", AF_INET6, { 0, 1 }, { 0, 1 } },
        { "2001:db8::/32", AF_INET6, { 0x20010db800000000, 0 },
          { 0x20010db8ffffffff, UINT64_MAX } },
        { "2001:db8::/64", AF_INET6, { 0x20010db800000000, 0 },
          { 0x20010db800000000, UINT64_MAX } },
        { "::ffff:10.0.0.0/104", AF_INET, { 0, 0x0a000000 },
          { 0, 0x0affffff } }
    };

    static const struct {
        const char  *text;
        const char  *why;
    } refused[] = {
#define NETWORK                                                               \
    "must be an IPv4 or IPv6 address or network, as \"10.0.0.0/8\" or "       \
    "\"2001:db8::/32\""
        { "", NETWORK },
        { "/", NETWORK },
        { "/8", NETWORK },
        { "x", NETWORK },
        { "10.0.0.0/", NETWORK },
        { "10.0.0.0/33", NETWORK },
        { "10.0.0.0/-1", NETWORK },
        { "10.0.0.0/8/8", NETWORK },
        { "10.0.0/8", NETWORK },
        { "::/129", NETWORK },
        { "::ffff:0:0/95", NETWORK },
        { "10.0.0.1/8",
          "\"10.0.0.1/8\" has host bits set behind its first 8 bits, which "
          "must be zero" },
        { "2001:db8::1/64",
          "\"2001:db8::1/64\" has host bits set behind its first 64 bits, "
          "which must be zero" }
    };

    (void) state;

    for (i = 0; i < ITEMS(tests); i++) {
        text = string(tests[i].text);
        family = ngx_http_gray_network_parse(&text, &range, why, sizeof(why));

        assert_int_equal(family, tests[i].family);
        assert_true((uint64_t) (range.first >> 64) == tests[i].first[0]);
        assert_true((uint64_t) range.first == tests[i].first[1]);
        assert_true((uint64_t) (range.last >> 64) == tests[i].last[0]);
        assert_true((uint64_t) range.last == tests[i].last[1]);
    }

    for (i = 0; i < ITEMS(refused); i++) {
        text = string(refused[i].text);

        assert_int_equal(ngx_http_gray_network_parse(&text, &range, why,
                                                     sizeof(why)),
                         NGX_ERROR);
        assert_string_equal(why, refused[i].why);

        /* a small buffer is not overrun */

        memset(why, 'x', sizeof(why));

        (void) ngx_http_gray_network_parse(&text, &range, why, 8);
        assert_int_equal(why[7], '\0');
        assert_int_equal(why[8], 'x');
    }

    /* a line of a file has no NUL behind it */

    text.data = (u_char *) "10.0.0.1/81";
    text.len = sizeof("10.0.0.1/8") - 1;

    assert_int_equal(ngx_http_gray_network_parse(&text, &range, why,
                                                 sizeof(why)),
                     NGX_ERROR);
    assert_string_equal(why, "\"10.0.0.1/8\" has host bits set behind its "
                             "first 8 bits, which must be zero");
}


static void
test_merge(void **state)
{
    ngx_uint_t              n;
    ngx_http_gray_range_t   r[4];

    (void) state;

    assert_int_equal(ngx_http_gray_network_merge(NULL, 0), 0);
    assert_int_equal(ngx_http_gray_network_find(NULL, 0, 5), 0);

    /* neighbours become one, also at both ends */

    r[0].first = ALL;
    r[0].last = ALL;
    r[1].first = 1;
    r[1].last = 5;
    r[2].first = 0;
    r[2].last = 0;
    r[3].first = 6;
    r[3].last = 6;

    n = ngx_http_gray_network_merge(r, 4);

    assert_int_equal(n, 2);
    assert_true(r[0].first == 0 && r[0].last == 6);
    assert_true(r[1].first == ALL && r[1].last == ALL);

    assert_int_equal(ngx_http_gray_network_find(r, n, ALL), 1);
    assert_int_equal(ngx_http_gray_network_find(r, n, ALL - 1), 0);
    assert_int_equal(ngx_http_gray_network_find(r, n, 6), 1);
    assert_int_equal(ngx_http_gray_network_find(r, n, 7), 0);
    assert_int_equal(ngx_http_gray_network_find(r, n, 0), 1);

    /* what holds all holds what is behind it, too */

    r[0].first = 7;
    r[0].last = 9;
    r[1].first = 0;
    r[1].last = ALL;
    r[2].first = ALL;
    r[2].last = ALL;

    n = ngx_http_gray_network_merge(r, 3);

    assert_int_equal(n, 1);
    assert_true(r[0].first == 0 && r[0].last == ALL);
}


static void
test_random(void **state)
{
    ngx_uint_t              i, k, j, n, merged, found, in, out;
    ngx_http_gray_addr_t    addr;
    ngx_http_gray_range_t   r[RANGES], m[RANGES];

    (void) state;

    seed = 2;
    in = 0;
    out = 0;

    for (i = 0; i < 2000; i++) {
        n = 1 + draw(&seed) % RANGES;

        for (k = 0; k < n; k++) {
            r[k].first = draw(&seed) % 1000;

            if (i % 2) {
                r[k].first <<= 100;
            }

            r[k].last = r[k].first + draw(&seed) % 20;
        }

        memcpy(m, r, sizeof(r));
        merged = ngx_http_gray_network_merge(m, n);

        assert_in_range(merged, 1, n);

        for (k = 1; k < merged; k++) {
            assert_true(m[k].first > m[k - 1].last + 1);
        }

        for (k = 0; k < 200; k++) {
            addr = r[draw(&seed) % n].first + draw(&seed) % 40 - 10;
            found = 0;

            for (j = 0; j < n; j++) {
                found |= (addr >= r[j].first && addr <= r[j].last);
            }

            assert_int_equal(ngx_http_gray_network_find(m, merged, addr),
                             found);
            in += found;
            out += !found;
        }
    }

    assert_true(in > 100000);
    assert_true(out > 100000);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_random)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
