
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Versions: rows of https://semver.org and of dotted numbers in their order,
 * of which each is held against each.
 */


#include "unit.h"

#include "ngx_http_gray_version.h"


/* in rising order; those with a "|" between them are the same */

static const char *rising[] = {
    "0.0-0|0-0",
    "0.0.0-a",
    "0|0.0|v0.0.0.0.0|00|0+x|0+0-0.5",
    "0.0.0.0.0.0.0.1",
    "0.1",
    "0.9|0.09",
    "0.10",
    "1.0.0-0|1-00",
    "1.0.0-1|v1-1+2|1-01",
    "1.0.0-2",
    "1.0.0-10",
    "1.0.0-99999999999999999999999999999999",
    "1.0.0-100000000000000000000000000000000",
    "1.0.0--",
    "1.0.0--1",
    "1.0.0-0a",
    "1.0.0-1a",
    "1.0.0-RC",
    "1.0.0-alpha",
    "1.0.0-alpha.1|1.0-alpha.1+build.5",
    "1.0.0-alpha.1.0",
    "1.0.0-alpha.beta",
    "1.0.0-alpha-",
    "1.0.0-alpha1",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0|1|v1|1.0|1.0.0.0|1+5|1.0.0+20130313144700|01.00",
    "1.0.0.1-rc",
    "1.0.0.1",
    "1.9",
    "1.10-rc",
    "1.10|1.10.0",
    "1.10.1",
    "2.0.0-rc.1",
    "2",
    "10.0",
    "2024.1.5|2024.01.05",
    "2024.12.01",
    "18446744073709551615",
    "18446744073709551616",
    "18446744073709551616.1",
    "340282366920938463463374607431768211456"
};


static const char *refused[] = {
    "", "v", ".", "1.", ".1", "1..1", "1.x", "x", "V1", "vv1", "v.1", "-1",
    "+1", "1-", "1+", "1.-a", "1-a..b", "1-.a", "1-a.", "1+.", "1+a.", "1-+5",
    "1-a+", "1+a+b", "1-a_b", "1 ", " 1", "1\n", "1-\xc3\xa9", "1-a b",
    "1.0/2", "1,0", "1-@", "1-[", "1-`", "1-{", "v1.2.3v", "1~a", "^1", "*"
};


/* the texts of a row: how many */

static ngx_uint_t
split(const char *row, ngx_str_t *texts)
{
    ngx_uint_t   n;
    const char  *p;

    for (n = 0; row; n++) {
        p = strchr(row, '|');

        texts[n].data = (u_char *) row;
        texts[n].len = p ? (size_t) (p - row) : strlen(row);

        row = p ? p + 1 : NULL;
    }

    return n;
}


static void
test_order(void **state)
{
    ngx_int_t   order, expected;
    ngx_str_t   one[10], two[10];
    ngx_uint_t  i, k, j, l, n, m, wrong;

    (void) state;

    wrong = 0;

    for (i = 0; i < ITEMS(rising); i++) {
        n = split(rising[i], one);

        for (k = 0; k < ITEMS(rising); k++) {
            m = split(rising[k], two);

            expected = (i > k) - (i < k);

            for (j = 0; j < n * m; j++) {
                l = j % m;

                assert_int_equal(ngx_http_gray_version_compare(&one[j / m],
                                                               &two[l],
                                                               &order),
                                 NGX_OK);

                order = (order > 0) - (order < 0);

                if (order != expected) {
                    wrong++;
                    print_error("%.*s and %.*s: %ld, must be %ld\n",
                                (int) one[j / m].len,
                                (char *) one[j / m].data,
                                (int) two[l].len, (char *) two[l].data,
                                (long) order, (long) expected);
                }
            }
        }
    }

    assert_int_equal(wrong, 0);
}


static void
test_refused(void **state)
{
    u_char      *copy;
    ngx_int_t    order;
    ngx_str_t    s, good;
    ngx_uint_t   i;

    (void) state;

    good = string("1.0");

    assert_int_equal(ngx_http_gray_version_check(&good), NGX_OK);

    for (i = 0; i < ITEMS(refused); i++) {

        /* of the exact size, so that a read behind the end is seen */

        s.len = strlen(refused[i]);
        copy = malloc(s.len ? s.len : 1);
        assert_non_null(copy);
        memcpy(copy, refused[i], s.len);
        s.data = copy;

        if (ngx_http_gray_version_check(&s) != NGX_DECLINED) {
            fail_msg("\"%s\" is a version", refused[i]);
        }

        assert_int_equal(ngx_http_gray_version_compare(&s, &good, &order),
                         NGX_DECLINED);
        assert_int_equal(ngx_http_gray_version_compare(&good, &s, &order),
                         NGX_DECLINED);

        free(copy);
    }

    s.data = (u_char *) "1\0.2";
    s.len = 4;
    assert_int_equal(ngx_http_gray_version_check(&s), NGX_DECLINED);

    ngx_str_null(&s);
    assert_int_equal(ngx_http_gray_version_check(&s), NGX_DECLINED);
}


/* as many numbers, and as long, as a header may be */

static void
test_long(void **state)
{
    u_char      *one, *two;
    ngx_int_t    order;
    ngx_str_t    a, b;
    ngx_uint_t   i;

    enum { SIZE = 8000 };

    (void) state;

    one = malloc(SIZE);
    two = malloc(SIZE);
    assert_non_null(one);
    assert_non_null(two);

    for (i = 0; i < SIZE; i++) {
        one[i] = (i % 2) ? '.' : '7';
    }

    one[SIZE - 1] = '7';
    memcpy(two, one, SIZE);

    a.data = one;
    a.len = SIZE;
    b.data = two;
    b.len = SIZE;

    assert_int_equal(ngx_http_gray_version_compare(&a, &b, &order), NGX_OK);
    assert_int_equal(order, 0);

    two[SIZE - 1] = '8';

    assert_int_equal(ngx_http_gray_version_compare(&a, &b, &order), NGX_OK);
    assert_true(order < 0);

    memset(one, '9', SIZE);
    memset(two, '9', SIZE);
    one[0] = '1';

    assert_int_equal(ngx_http_gray_version_compare(&a, &b, &order), NGX_OK);
    assert_true(order < 0);

    memset(two, '0', SIZE - 1);

    assert_int_equal(ngx_http_gray_version_compare(&a, &b, &order), NGX_OK);
    assert_true(order > 0);

    free(one);
    free(two);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_long)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
