
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Networks as ranges of addresses.
 *
 * Those of one family are sorted and merged, so that they do not overlap and
 * the one that may hold an address is found by halving: the last that does
 * not begin behind it.  There is no branch but the loop's in that search, as
 * its outcome cannot be foretold.
 *
 * Nothing here uses a pool or keeps a state: any thread may call it.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_network.h"


static int ngx_libc_cdecl ngx_http_gray_network_cmp(const void *one,
    const void *two);


ngx_int_t
ngx_http_gray_network_parse(const ngx_str_t *text,
    ngx_http_gray_range_t *range, char *why, size_t size)
{
    u_char                *slash;
    ngx_int_t              family, bits, width;
    ngx_str_t              address;
    ngx_http_gray_addr_t   addr, host;

    address = *text;
    bits = -1;
    addr = 0;

    slash = text->len ? memchr(text->data, '/', text->len) : NULL;

    if (slash) {
        address.len = slash - text->data;
        bits = ngx_atoi(slash + 1, text->data + text->len - slash - 1);
    }

    family = ngx_http_gray_value_inet(&address, &addr);

    /* an IPv4-mapped network counts its bits from the IPv6 address's start */

    if (family == AF_INET && slash && memchr(address.data, ':', address.len)) {
        bits = (bits < 96) ? -1 : bits - 96;
    }

    width = (family == AF_INET) ? 32 : 128;

    if (family == NGX_ERROR || (slash && (bits < 0 || bits > width))) {
        (void) snprintf(why, size, "must be an IPv4 or IPv6 address or "
                        "network, as \"10.0.0.0/8\" or \"2001:db8::/32\"");

        return NGX_ERROR;
    }

    if (slash == NULL) {
        bits = width;
    }

    host = (bits == 0) ? ~(ngx_http_gray_addr_t) 0
                       : ((ngx_http_gray_addr_t) 1 << (width - bits)) - 1;

    if (family == AF_INET) {
        host &= 0xffffffff;
    }

    if (addr & host) {
        (void) snprintf(why, size, "\"%.*s\" has host bits set behind its "
                        "first %d bits, which must be zero",
                        (int) text->len, (char *) text->data, (int) bits);

        return NGX_ERROR;
    }

    range->first = addr;
    range->last = addr | host;

    return family;
}


ngx_uint_t
ngx_http_gray_network_merge(ngx_http_gray_range_t *ranges, ngx_uint_t n)
{
    ngx_uint_t              i;
    ngx_http_gray_addr_t    end;
    ngx_http_gray_range_t  *last;

    if (n == 0) {
        return 0;
    }

    qsort(ranges, n, sizeof(ngx_http_gray_range_t),
          ngx_http_gray_network_cmp);

    last = ranges;

    for (i = 1; i < n; i++) {

        /* what begins right behind the last belongs to it, too */

        end = last->last + 1;

        if (ranges[i].first <= end || end == 0) {
            last->last = ngx_max(last->last, ranges[i].last);
            continue;
        }

        *++last = ranges[i];
    }

    return last - ranges + 1;
}


static int ngx_libc_cdecl
ngx_http_gray_network_cmp(const void *one, const void *two)
{
    const ngx_http_gray_range_t  *a, *b;

    a = one;
    b = two;

    return (a->first > b->first) - (a->first < b->first);
}


ngx_uint_t
ngx_http_gray_network_find(const ngx_http_gray_range_t *ranges, ngx_uint_t n,
    ngx_http_gray_addr_t addr)
{
    size_t         step;
    const u_char  *p, *q;

    if (n == 0) {
        return 0;
    }

    /* either the first or the last "step" ranges, a power of 2 of them */

    step = (size_t) 1 << (8 * sizeof(long) - 1 - __builtin_clzl(n));

    if (addr >= ranges[n - step].first) {
        ranges += n - step;
    }

    p = (const u_char *) ranges;
    step *= sizeof(ngx_http_gray_range_t) / 2;

    for ( /* void */ ; step >= sizeof(ngx_http_gray_range_t); step /= 2) {
        q = p + step;
        p = (addr < ((const ngx_http_gray_range_t *) q)->first) ? p : q;
    }

    ranges = (const ngx_http_gray_range_t *) p;

    return addr >= ranges->first && addr <= ranges->last;
}
