
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Versions, as https://semver.org orders them, with numbers as many and as
 * long as one likes.
 *
 * Numbers are compared as texts: without the zeros before them the longer one
 * is the greater.  So nothing overflows, and nothing is allocated.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_version.h"


typedef struct {
    ngx_str_t                    numbers;    /* "1.2.3" */
    ngx_str_t                    release;    /* what is behind "-", if any */
} ngx_http_gray_version_t;


static ngx_int_t ngx_http_gray_version_read(const ngx_str_t *text,
    ngx_http_gray_version_t *version);
static u_char *ngx_http_gray_version_identifiers(u_char *p, u_char *last);
static ngx_int_t ngx_http_gray_version_numbers(ngx_str_t one, ngx_str_t two);
static ngx_int_t ngx_http_gray_version_release(ngx_str_t one, ngx_str_t two);
static ngx_int_t ngx_http_gray_version_identifier(const ngx_str_t *one,
    const ngx_str_t *two);
static ngx_int_t ngx_http_gray_version_number(ngx_str_t one, ngx_str_t two);
static ngx_str_t ngx_http_gray_version_next(ngx_str_t *text);
static ngx_uint_t ngx_http_gray_version_digits(const ngx_str_t *text);


ngx_int_t
ngx_http_gray_version_check(const ngx_str_t *text)
{
    ngx_http_gray_version_t  version;

    return ngx_http_gray_version_read(text, &version);
}


ngx_int_t
ngx_http_gray_version_compare(const ngx_str_t *one, const ngx_str_t *two,
    ngx_int_t *order)
{
    ngx_http_gray_version_t  a, b;

    if (ngx_http_gray_version_read(one, &a) != NGX_OK
        || ngx_http_gray_version_read(two, &b) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    *order = ngx_http_gray_version_numbers(a.numbers, b.numbers);

    if (*order == 0) {
        *order = ngx_http_gray_version_release(a.release, b.release);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_version_read(const ngx_str_t *text,
    ngx_http_gray_version_t *version)
{
    u_char  *p, *last, *start;

    p = text->data;
    last = p + text->len;

    if (p < last && *p == 'v') {
        p++;
    }

    version->numbers.data = p;
    ngx_str_null(&version->release);

    do {
        start = p;

        while (p < last && *p >= '0' && *p <= '9') {
            p++;
        }

        if (p == start) {
            return NGX_DECLINED;
        }

    } while (p < last && *p++ == '.');

    /* one character behind the numbers has been read, if there is one */

    if (p[-1] >= '0' && p[-1] <= '9') {
        version->numbers.len = p - version->numbers.data;
        return NGX_OK;
    }

    p--;
    version->numbers.len = p - version->numbers.data;

    if (*p == '-') {
        start = p + 1;
        p = ngx_http_gray_version_identifiers(start, last);

        if (p == NULL) {
            return NGX_DECLINED;
        }

        version->release.data = start;
        version->release.len = p - start;
    }

    if (p < last && *p == '+') {
        p = ngx_http_gray_version_identifiers(p + 1, last);
    }

    return p == last ? NGX_OK : NGX_DECLINED;
}


/* behind the identifiers and the points between them; NULL if there is none */

static u_char *
ngx_http_gray_version_identifiers(u_char *p, u_char *last)
{
    u_char  ch, *start;

    for (start = p; p < last; p++) {

        ch = *p | 0x20;

        if ((ch >= 'a' && ch <= 'z') || (*p >= '0' && *p <= '9')
            || *p == '-')
        {
            continue;
        }

        if (*p != '.' || p == start) {
            break;
        }

        start = p + 1;
    }

    return p == start ? NULL : p;
}


static ngx_int_t
ngx_http_gray_version_numbers(ngx_str_t one, ngx_str_t two)
{
    ngx_int_t  order;

    do {
        order = ngx_http_gray_version_number(ngx_http_gray_version_next(&one),
                                            ngx_http_gray_version_next(&two));

    } while (order == 0 && (one.len || two.len));

    return order;
}


static ngx_int_t
ngx_http_gray_version_release(ngx_str_t one, ngx_str_t two)
{
    ngx_int_t  order;
    ngx_str_t  a, b;

    /* what has no prerelease is the later, who has more of it, too */

    if (one.len == 0 || two.len == 0) {
        return (one.len == 0) - (two.len == 0);
    }

    do {
        a = ngx_http_gray_version_next(&one);
        b = ngx_http_gray_version_next(&two);

        order = ngx_http_gray_version_identifier(&a, &b);

    } while (order == 0 && one.len && two.len);

    return order ? order : (one.len != 0) - (two.len != 0);
}


static ngx_int_t
ngx_http_gray_version_identifier(const ngx_str_t *one, const ngx_str_t *two)
{
    ngx_int_t   order;
    ngx_uint_t  a, b;

    a = ngx_http_gray_version_digits(one);
    b = ngx_http_gray_version_digits(two);

    if (a && b) {
        return ngx_http_gray_version_number(*one, *two);
    }

    if (a != b) {
        return (ngx_int_t) b - (ngx_int_t) a;
    }

    order = ngx_memcmp(one->data, two->data, ngx_min(one->len, two->len));

    return order ? order : (one->len > two->len) - (one->len < two->len);
}


static ngx_int_t
ngx_http_gray_version_number(ngx_str_t one, ngx_str_t two)
{
    while (one.len && *one.data == '0') {
        one.data++;
        one.len--;
    }

    while (two.len && *two.data == '0') {
        two.data++;
        two.len--;
    }

    if (one.len != two.len) {
        return one.len < two.len ? -1 : 1;
    }

    return one.len ? ngx_memcmp(one.data, two.data, one.len) : 0;
}


/* cuts off what is before the next point: nothing, where nothing is left */

static ngx_str_t
ngx_http_gray_version_next(ngx_str_t *text)
{
    u_char     *p, *last;
    ngx_str_t   part;

    p = text->data;
    last = p + text->len;

    while (p < last && *p != '.') {
        p++;
    }

    part.data = text->data;
    part.len = p - text->data;

    text->data = (p < last) ? p + 1 : p;
    text->len = last - text->data;

    return part;
}


static ngx_uint_t
ngx_http_gray_version_digits(const ngx_str_t *text)
{
    ngx_uint_t  i;

    for (i = 0; i < text->len; i++) {
        if (text->data[i] < '0' || text->data[i] > '9') {
            return 0;
        }
    }

    return 1;
}
