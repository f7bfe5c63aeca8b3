
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Values of attributes, and what they are: a text, its hash, a number, an
 * address.
 *
 * Each of these facets is worked out when it is asked for the first time, and
 * kept in the value with the answer that there is none, so that any number of
 * tests costs as much as the first.  Nothing is allocated: the text that a
 * number has is written into the value itself.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ngx_http_gray_value.h"


/* whole numbers up to 2^53 are exact, those beyond may be rounded ones */
#define NGX_HTTP_GRAY_VALUE_EXACT  9007199254740992.0


static ngx_int_t ngx_http_gray_value_inet4(const u_char *p,
    const u_char *last, ngx_http_gray_addr_t *addr);
static ngx_int_t ngx_http_gray_value_inet6(const ngx_str_t *text,
    ngx_http_gray_addr_t *addr);


ngx_str_t *
ngx_http_gray_value_string(ngx_http_gray_value_t *value)
{
    double  number;

    if (value->text.data) {
        return &value->text;
    }

    number = value->number;

    if (value->numeric != NGX_HTTP_GRAY_IS
        || !(number >= -NGX_HTTP_GRAY_VALUE_EXACT
             && number <= NGX_HTTP_GRAY_VALUE_EXACT)
        || number != (double) (int64_t) number)
    {
        return NULL;
    }

    value->text.data = value->digits;
    value->text.len = ngx_sprintf(value->digits, "%L", (int64_t) number)
                      - value->digits;

    return &value->text;
}


uint64_t
ngx_http_gray_value_hash(ngx_http_gray_value_t *value)
{
    ngx_str_t  *text;

    if (!value->hashed) {
        text = value->text.data ? &value->text
                                : ngx_http_gray_value_string(value);

        value->hash = text ? XXH3_64bits(text->data, text->len) : 0;
        value->hashed = 1;
    }

    return value->hash;
}


ngx_int_t
ngx_http_gray_value_number(ngx_http_gray_value_t *value)
{
    if (value->numeric == NGX_HTTP_GRAY_UNKNOWN) {
        value->numeric =
            ngx_http_gray_value_decimal(&value->text, &value->number)
            == NGX_OK ? NGX_HTTP_GRAY_IS : NGX_HTTP_GRAY_IS_NOT;
    }

    return value->numeric == NGX_HTTP_GRAY_IS ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_gray_value_address(ngx_http_gray_value_t *value)
{
    ngx_int_t  family;

    if (value->address == NGX_HTTP_GRAY_UNKNOWN) {

        /* a number has no points, so its text is none either */

        family = value->family;

        if (family == 0) {
            family = ngx_http_gray_value_inet(&value->text, &value->addr);
        }

        if (family == NGX_ERROR) {
            value->address = NGX_HTTP_GRAY_IS_NOT;

        } else {
            value->address = NGX_HTTP_GRAY_IS;
            value->family = family;
        }
    }

    return value->address == NGX_HTTP_GRAY_IS ? NGX_OK : NGX_DECLINED;
}


/*
 * Up to 15 digits in all, mantissa and power of ten are exact and so is their
 * quotient's rounding; the rest is strtod()'s.
 */

ngx_int_t
ngx_http_gray_value_decimal(const ngx_str_t *text, double *number)
{
    u_char         *p, *last, buf[64];
    int64_t         mantissa;
    ngx_uint_t      digits, fraction, point, negative;

    static double   power[] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8,
                                1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };

    if (text->len == 0 || text->len >= sizeof(buf)) {
        return NGX_DECLINED;
    }

    p = text->data;
    last = p + text->len;

    negative = (*p == '-');
    p += negative;

    mantissa = 0;
    digits = 0;
    fraction = 0;
    point = 0;

    for ( /* void */ ; p < last; p++) {

        if (*p == '.' && digits && !point) {
            point = 1;
            continue;
        }

        if (*p < '0' || *p > '9') {
            return NGX_DECLINED;
        }

        if (++digits <= 15) {
            mantissa = mantissa * 10 + (*p - '0');
        }

        fraction += point;
    }

    if (digits == 0 || (point && fraction == 0)) {
        return NGX_DECLINED;
    }

    if (digits <= 15) {
        *number = (double) mantissa / power[fraction];

        if (negative) {
            *number = - *number;
        }

        return NGX_OK;
    }

    ngx_memcpy(buf, text->data, text->len);
    buf[text->len] = '\0';

    *number = strtod((char *) buf, NULL);

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_value_inet(const ngx_str_t *text, ngx_http_gray_addr_t *addr)
{
    if (text->len == 0 || text->len >= INET6_ADDRSTRLEN) {
        return NGX_ERROR;
    }

    if (ngx_http_gray_value_inet4(text->data, text->data + text->len, addr)
        == NGX_OK)
    {
        return AF_INET;
    }

    return ngx_http_gray_value_inet6(text, addr);
}


/* as inet_pton(): four numbers of 0 to 255, without zeros before them */

static ngx_int_t
ngx_http_gray_value_inet4(const u_char *p, const u_char *last,
    ngx_http_gray_addr_t *addr)
{
    uint32_t    a, octet, ch;
    ngx_uint_t  n;

    a = 0;

    for (n = 1; /* void */ ; n++) {

        if (p == last) {
            return NGX_DECLINED;
        }

        octet = (uint32_t) *p++ - '0';

        if (octet > 9) {
            return NGX_DECLINED;
        }

        for ( /* void */ ; p < last; p++) {

            ch = (uint32_t) *p - '0';

            if (ch > 9) {
                break;
            }

            if (octet == 0) {
                return NGX_DECLINED;
            }

            octet = octet * 10 + ch;

            if (octet > 255) {
                return NGX_DECLINED;
            }
        }

        a = a << 8 | octet;

        if (n == 4) {
            break;
        }

        if (p == last || *p++ != '.') {
            return NGX_DECLINED;
        }
    }

    if (p != last) {
        return NGX_DECLINED;
    }

    *addr = a;

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_value_inet6(const ngx_str_t *text, ngx_http_gray_addr_t *addr)
{
    char                  buf[INET6_ADDRSTRLEN];
    u_char                bytes[16];
    ngx_uint_t            i;
    ngx_http_gray_addr_t  a;

    /* neither a NUL nor anything that is no address with a NUL behind it */

    if (memchr(text->data, ':', text->len) == NULL
        || memchr(text->data, '\0', text->len))
    {
        return NGX_ERROR;
    }

    ngx_memcpy(buf, text->data, text->len);
    buf[text->len] = '\0';

    if (inet_pton(AF_INET6, buf, bytes) != 1) {
        return NGX_ERROR;
    }

    a = 0;

    for (i = 0; i < 16; i++) {
        a = a << 8 | bytes[i];
    }

    if (a >> 32 == 0xffff) {
        *addr = a & 0xffffffff;
        return AF_INET;
    }

    *addr = a;

    return AF_INET6;
}
