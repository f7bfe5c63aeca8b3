
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Matching: a value is held against the operand of a test.
 *
 * Each operator has a function, which asks the value for what it needs of it
 * (the text, the number, the address), and the operand, which is in the form
 * in which that is quickest.  A value that has not what is needed cannot be
 * judged.  Nothing is allocated, and no lock is taken.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ngx_http_gray_match.h"
#include "ngx_http_gray_version.h"


static ngx_inline ngx_str_t *
ngx_http_gray_match_text(ngx_http_gray_value_t *value)
{
    return value->text.data ? &value->text
                            : ngx_http_gray_value_string(value);
}


static ngx_inline ngx_int_t
ngx_http_gray_match_number(ngx_http_gray_value_t *value)
{
    return value->numeric == NGX_HTTP_GRAY_IS
           ? NGX_OK : ngx_http_gray_value_number(value);
}


ngx_int_t
ngx_http_gray_match_equal(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    ngx_str_t  *text;

    text = ngx_http_gray_match_text(value);

    if (text && ngx_http_gray_set_has(&test->u.values.strings, value)) {
        return 1;
    }

    if (test->u.values.numbers.n) {

        if (ngx_http_gray_match_number(value) != NGX_OK) {
            return NGX_ERROR;
        }

        if (ngx_http_gray_set_number(&test->u.values.numbers, value->number)) {
            return 1;
        }
    }

    /* a number without a text cannot be held against strings */

    return (text || test->u.values.strings.n == 0) ? 0 : NGX_ERROR;
}


/* likewise, of many strings, and of one, as most tests are */

ngx_int_t
ngx_http_gray_match_strings(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    if (value->text.data == NULL) {
        return ngx_http_gray_match_equal(test, value);
    }

    return ngx_http_gray_set_among(&test->u.values.strings, value);
}


ngx_int_t
ngx_http_gray_match_string(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    if (value->text.data == NULL) {
        return ngx_http_gray_match_equal(test, value);
    }

    return ngx_http_gray_set_is(test->u.values.strings.elts, &value->text);
}


ngx_int_t
ngx_http_gray_match_prefix(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    ngx_str_t  *text;

    text = ngx_http_gray_match_text(value);

    return text ? (ngx_int_t) ngx_http_gray_set_begins(&test->u.values.strings,
                                                       text)
                : NGX_ERROR;
}


ngx_int_t
ngx_http_gray_match_suffix(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    ngx_str_t  *text;

    text = ngx_http_gray_match_text(value);

    return text ? (ngx_int_t) ngx_http_gray_set_ends(&test->u.values.strings,
                                                     text)
                : NGX_ERROR;
}


ngx_int_t
ngx_http_gray_match_contains(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    ngx_str_t  *text;

    text = ngx_http_gray_match_text(value);

    return text ? (ngx_int_t) ngx_http_gray_set_within(&test->u.values.strings,
                                                       text)
                : NGX_ERROR;
}


ngx_int_t
ngx_http_gray_match_regex(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    test->u.patterns.left = test->u.patterns.n * NGX_HTTP_GRAY_PATTERN_STEPS;

    return ngx_http_gray_match_patterns(test, value);
}


/* likewise, with the steps that are left: for one of several values */

ngx_int_t
ngx_http_gray_match_patterns(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    ngx_int_t    rc;
    ngx_str_t   *text;
    ngx_uint_t   i;

    text = ngx_http_gray_match_text(value);

    if (text == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < test->u.patterns.n; i++) {
        rc = ngx_http_gray_pattern_try(&test->u.patterns.elts[i],
                                       test->u.patterns.context, text,
                                       &test->u.patterns.left,
                                       test->u.patterns.limited);
        if (rc != 0) {
            return rc;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_gray_match_cidr(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    ngx_http_gray_ranges_t  *ranges;

    if (value->address != NGX_HTTP_GRAY_IS
        && ngx_http_gray_value_address(value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ranges = (value->family == AF_INET) ? &test->u.networks.v4
                                        : &test->u.networks.v6;

    return ngx_http_gray_network_find(ranges->elts, ranges->n, value->addr);
}


ngx_int_t
ngx_http_gray_match_lt(ngx_http_gray_test_t *test, ngx_http_gray_value_t *value)
{
    return ngx_http_gray_match_number(value) == NGX_OK
           ? value->number < test->u.number : NGX_ERROR;
}


ngx_int_t
ngx_http_gray_match_lte(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    return ngx_http_gray_match_number(value) == NGX_OK
           ? value->number <= test->u.number : NGX_ERROR;
}


ngx_int_t
ngx_http_gray_match_gt(ngx_http_gray_test_t *test, ngx_http_gray_value_t *value)
{
    return ngx_http_gray_match_number(value) == NGX_OK
           ? value->number > test->u.number : NGX_ERROR;
}


ngx_int_t
ngx_http_gray_match_gte(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    return ngx_http_gray_match_number(value) == NGX_OK
           ? value->number >= test->u.number : NGX_ERROR;
}


static ngx_inline ngx_int_t
ngx_http_gray_match_version(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value, ngx_int_t *order)
{
    ngx_str_t  *text;

    text = ngx_http_gray_match_text(value);

    return text ? ngx_http_gray_version_compare(text, &test->u.version, order)
                : NGX_DECLINED;
}


ngx_int_t
ngx_http_gray_match_version_lt(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    ngx_int_t  order;

    return ngx_http_gray_match_version(test, value, &order) == NGX_OK
           ? order < 0 : NGX_ERROR;
}


ngx_int_t
ngx_http_gray_match_version_lte(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    ngx_int_t  order;

    return ngx_http_gray_match_version(test, value, &order) == NGX_OK
           ? order <= 0 : NGX_ERROR;
}


ngx_int_t
ngx_http_gray_match_version_gt(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    ngx_int_t  order;

    return ngx_http_gray_match_version(test, value, &order) == NGX_OK
           ? order > 0 : NGX_ERROR;
}


ngx_int_t
ngx_http_gray_match_version_gte(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    ngx_int_t  order;

    return ngx_http_gray_match_version(test, value, &order) == NGX_OK
           ? order >= 0 : NGX_ERROR;
}


ngx_int_t
ngx_http_gray_match_in_list(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    ngx_str_t  *text;

    text = ngx_http_gray_match_text(value);

    /* there is none where nginx.conf has lost "state", say */

    if (text == NULL || test->u.list == NULL) {
        return NGX_ERROR;
    }

    if (!value->hashed) {
        value->hash = XXH3_64bits(text->data, text->len);
        value->hashed = 1;
    }

    return ngx_http_gray_list_has(test->u.list, text, value->hash);
}


ngx_int_t
ngx_http_gray_match_cidr_list(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    if (test->u.list == NULL
        || (value->address != NGX_HTTP_GRAY_IS
            && ngx_http_gray_value_address(value) != NGX_OK))
    {
        return NGX_ERROR;
    }

    return ngx_http_gray_list_covers(test->u.list, value->family,
                                     value->addr);
}


ngx_int_t
ngx_http_gray_match_exists(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    (void) test;
    (void) value;

    return 1;
}


ngx_int_t
ngx_http_gray_match_time(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    return ngx_http_gray_match_number(value) == NGX_OK
           ? (ngx_int_t) ngx_http_gray_window_open(&test->u.window,
                                                   (int64_t) value->number)
           : NGX_ERROR;
}
