
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The text that Prometheus reads, in two formats: its own, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/), and
 * OpenMetrics 1.0 (https://github.com/OpenObservability/OpenMetrics).  They
 * differ in how families are named, and in the last line.
 *
 * There are tens of thousands of lines where there are hundreds of releases,
 * so a line is three copies and a number: what the samples of a series have in
 * common is put together once, in "head", and what a bucket adds to it, once
 * for the whole text.  Buffers are never copied or made larger: one that is
 * full is followed by another one.  They are mapped, so that what many slow
 * clients have held goes back to the system, and no holes are left in a heap.
 *
 * Buckets are every fourth one of the histogram, so edges are half octaves:
 * 1, 1.41, 2, 2.83, 4, 5.66... milliseconds.  As times are whole numbers, "le"
 * is the largest of them that a bucket holds, and the count is exact there.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <math.h>
#include <sys/mman.h>

#include "ngx_http_gray_exposition.h"


#define NGX_HTTP_GRAY_EXPOSITION_FIRST  65536
#define NGX_HTTP_GRAY_EXPOSITION_CHUNK  262144
#define NGX_HTTP_GRAY_EXPOSITION_LAST   129      /* the bucket of 2^16 ms */

/* a number, also one with a point, and the end of the line */
#define NGX_HTTP_GRAY_EXPOSITION_VALUE  (NGX_INT64_LEN + 8)

#define ngx_http_gray_exposition_copy(p, s)                                   \
    ngx_cpymem(p, s, sizeof(s) - 1)


static void ngx_http_gray_exposition_edges(
    ngx_http_gray_exposition_t *exposition);
static ngx_uint_t ngx_http_gray_exposition_reserve(
    ngx_http_gray_exposition_t *exposition, size_t size);
static ngx_buf_t *ngx_http_gray_exposition_map(ngx_pool_t *pool, size_t size);
static void ngx_http_gray_exposition_unmap(void *data);
static void ngx_http_gray_exposition_close(
    ngx_http_gray_exposition_t *exposition);
static u_char *ngx_http_gray_exposition_head(
    ngx_http_gray_exposition_t *exposition, size_t size);
static u_char *ngx_http_gray_exposition_number(u_char *p, uint64_t n);
static u_char *ngx_http_gray_exposition_fixed(u_char *p, uint64_t n,
    ngx_uint_t digits);


ngx_str_t  ngx_http_gray_exposition_types[] = {
    { sizeof("text/plain") - 1,
      (u_char *) "text/plain; version=0.0.4; charset=utf-8" },
    { sizeof("application/openmetrics-text") - 1,
      (u_char *) "application/openmetrics-text; version=1.0.0; "
                 "charset=utf-8" }
};


/* by ngx_http_gray_exposition_type_e, and what the text format has for it */

static const char  *ngx_http_gray_exposition_names[][2] = {
    { "counter", "counter" },
    { "gauge", "gauge" },
    { "histogram", "histogram" },
    { "gauge", "info" }
};


void
ngx_http_gray_exposition_init(ngx_http_gray_exposition_t *exposition,
    ngx_pool_t *pool, ngx_uint_t openmetrics)
{
    ngx_memzero(exposition, sizeof(ngx_http_gray_exposition_t));

    exposition->pool = pool;
    exposition->openmetrics = openmetrics;

    ngx_http_gray_exposition_edges(exposition);
}


static void
ngx_http_gray_exposition_edges(ngx_http_gray_exposition_t *exposition)
{
    u_char                           *p;
    uint64_t                          ms, last;
    ngx_uint_t                        i;
    ngx_http_gray_exposition_edge_t  *edge;

    last = 0;

    for (i = 1; i <= NGX_HTTP_GRAY_EXPOSITION_LAST; i += 4) {
        ms = ngx_http_gray_histogram_edge(i);

        if (ms == last) {
            continue;
        }

        last = ms;
        edge = &exposition->edges[exposition->nedges++];

        p = ngx_http_gray_exposition_copy(edge->le, ",le=\"");
        p = ngx_http_gray_exposition_fixed(p, ms, 3);
        p = ngx_http_gray_exposition_copy(p, "\"} ");

        edge->end = i + 1;
        edge->len = p - edge->le;
    }

    edge = &exposition->edges[exposition->nedges++];

    p = ngx_http_gray_exposition_copy(edge->le, ",le=\"+Inf\"} ");

    edge->end = NGX_HTTP_GRAY_HISTOGRAM;
    edge->len = p - edge->le;
}


/* room for so many bytes in one piece */

static ngx_uint_t
ngx_http_gray_exposition_reserve(ngx_http_gray_exposition_t *exposition,
    size_t size)
{
    size_t        least;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (size <= (size_t) (exposition->end - exposition->pos)) {
        return 1;
    }

    if (exposition->failed) {
        return 0;
    }

    ngx_http_gray_exposition_close(exposition);

    least = exposition->last ? NGX_HTTP_GRAY_EXPOSITION_CHUNK
                             : NGX_HTTP_GRAY_EXPOSITION_FIRST;

    b = ngx_http_gray_exposition_map(exposition->pool, ngx_max(size, least));
    cl = ngx_alloc_chain_link(exposition->pool);

    if (b == NULL || cl == NULL) {
        exposition->failed = 1;
        exposition->pos = NULL;
        exposition->end = NULL;
        return 0;
    }

    cl->buf = b;
    cl->next = NULL;

    if (exposition->last) {
        exposition->last->next = cl;

    } else {
        exposition->out = cl;
    }

    exposition->last = cl;
    exposition->pos = b->pos;
    exposition->end = b->end;

    return 1;
}


static ngx_buf_t *
ngx_http_gray_exposition_map(ngx_pool_t *pool, size_t size)
{
    ngx_buf_t           *b, **data;
    ngx_pool_cleanup_t  *cln;

    b = ngx_calloc_buf(pool);
    cln = ngx_pool_cleanup_add(pool, sizeof(ngx_buf_t *));

    if (b == NULL || cln == NULL) {
        return NULL;
    }

    b->start = mmap(NULL, size, PROT_READ|PROT_WRITE,
                    MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);

    if (b->start == MAP_FAILED) {
        return NULL;
    }

    b->pos = b->start;
    b->last = b->start;
    b->end = b->start + size;
    b->temporary = 1;

    data = cln->data;
    *data = b;
    cln->handler = ngx_http_gray_exposition_unmap;

    return b;
}


static void
ngx_http_gray_exposition_unmap(void *data)
{
    ngx_buf_t **b = data;

    (void) munmap((*b)->start, (*b)->end - (*b)->start);
}


static void
ngx_http_gray_exposition_close(ngx_http_gray_exposition_t *exposition)
{
    ngx_buf_t  *b;

    if (exposition->last) {
        b = exposition->last->buf;
        b->last = exposition->pos;
        exposition->len += b->last - b->pos;
    }
}


/*
 * OpenMetrics calls a family without what its samples end in, and has no
 * counters that do not end in "_total": these are of unknown type there.
 */

void
ngx_http_gray_exposition_family(ngx_http_gray_exposition_t *exposition,
    ngx_str_t *name, ngx_http_gray_exposition_type_e type, const char *help)
{
    u_char      *p;
    size_t       len;
    ngx_str_t    family;
    const char  *type_name;

    static ngx_str_t  ends[] = { ngx_string("_total"), ngx_string("_info") };

    ngx_str_t  *end;

    exposition->name = *name;

    family = *name;
    type_name = ngx_http_gray_exposition_names[type][exposition->openmetrics];

    if (exposition->openmetrics
        && (type == NGX_HTTP_GRAY_COUNTER || type == NGX_HTTP_GRAY_INFO))
    {
        end = &ends[type == NGX_HTTP_GRAY_INFO];

        if (family.len > end->len
            && ngx_memcmp(family.data + family.len - end->len, end->data,
                          end->len)
               == 0)
        {
            family.len -= end->len;

        } else {
            type_name = "unknown";
        }
    }

    len = sizeof("# HELP  \n# TYPE  \n") - 1 + 2 * family.len
          + ngx_strlen(help) + ngx_strlen(type_name);

    if (!ngx_http_gray_exposition_reserve(exposition, len)) {
        return;
    }

    p = ngx_http_gray_exposition_copy(exposition->pos, "# HELP ");
    p = ngx_cpymem(p, family.data, family.len);
    *p++ = ' ';
    p = ngx_cpymem(p, help, ngx_strlen(help));
    p = ngx_http_gray_exposition_copy(p, "\n# TYPE ");
    p = ngx_cpymem(p, family.data, family.len);
    *p++ = ' ';
    p = ngx_cpymem(p, type_name, ngx_strlen(type_name));
    *p++ = '\n';

    exposition->pos = p;
}


size_t
ngx_http_gray_exposition_label_size(const char *name, ngx_str_t *value)
{
    return sizeof(",=\"\"") - 1 + ngx_strlen(name) + 2 * value->len;
}


u_char *
ngx_http_gray_exposition_label(u_char *p, ngx_uint_t first, const char *name,
    ngx_str_t *value)
{
    size_t  i;

    if (!first) {
        *p++ = ',';
    }

    p = ngx_cpymem(p, name, ngx_strlen(name));
    *p++ = '=';
    *p++ = '"';

    for (i = 0; i < value->len; i++) {

        switch (value->data[i]) {

        case '\n':
            *p++ = '\\';
            *p++ = 'n';
            break;

        case '\\':
        case '"':
            *p++ = '\\';

            /* fall through */

        default:
            *p++ = value->data[i];
        }
    }

    *p++ = '"';

    return p;
}


void
ngx_http_gray_exposition_begin(ngx_http_gray_exposition_t *exposition,
    const char *suffix, ngx_str_t *labels)
{
    u_char  *p;
    size_t   len;

    len = ngx_strlen(suffix);
    exposition->head_len = 0;

    p = ngx_http_gray_exposition_head(exposition,
                                      exposition->name.len + len + 1
                                      + (labels ? labels->len : 0));
    if (p == NULL) {
        return;
    }

    p = ngx_cpymem(p, exposition->name.data, exposition->name.len);
    p = ngx_cpymem(p, suffix, len);
    *p++ = '{';

    if (labels) {
        p = ngx_cpymem(p, labels->data, labels->len);
    }

    exposition->head_len = p - exposition->head;
}


void
ngx_http_gray_exposition_add(ngx_http_gray_exposition_t *exposition,
    const char *name, ngx_str_t *value)
{
    u_char  *p;

    p = ngx_http_gray_exposition_head(exposition,
                          ngx_http_gray_exposition_label_size(name, value));
    if (p == NULL) {
        return;
    }

    p = ngx_http_gray_exposition_label(p, p[-1] == '{', name, value);

    exposition->head_len = p - exposition->head;
}


/* where so many bytes more go, or NULL */

static u_char *
ngx_http_gray_exposition_head(ngx_http_gray_exposition_t *exposition,
    size_t size)
{
    u_char  *head;

    size += exposition->head_len;

    if (exposition->failed) {
        return NULL;
    }

    if (size > exposition->head_size) {

        head = ngx_pnalloc(exposition->pool, 2 * size);
        if (head == NULL) {
            exposition->failed = 1;
            exposition->pos = NULL;
            exposition->end = NULL;
            return NULL;
        }

        if (exposition->head_len) {
            ngx_memcpy(head, exposition->head, exposition->head_len);
        }

        exposition->head = head;
        exposition->head_size = 2 * size;
    }

    return exposition->head + exposition->head_len;
}


void
ngx_http_gray_exposition_sample(ngx_http_gray_exposition_t *exposition,
    ngx_str_t *label, ngx_str_t *value, uint64_t n)
{
    u_char  *p;
    size_t   len;

    len = exposition->head_len + NGX_HTTP_GRAY_EXPOSITION_VALUE;

    if (label) {
        len += sizeof(",=\"\"") - 1 + label->len + value->len;
    }

    if (!ngx_http_gray_exposition_reserve(exposition, len)) {
        return;
    }

    p = ngx_cpymem(exposition->pos, exposition->head, exposition->head_len);

    if (label) {
        *p++ = ',';
        p = ngx_cpymem(p, label->data, label->len);
        *p++ = '=';
        *p++ = '"';
        p = ngx_cpymem(p, value->data, value->len);
        *p++ = '"';
    }

    *p++ = '}';
    *p++ = ' ';
    p = ngx_http_gray_exposition_number(p, n);
    *p++ = '\n';

    exposition->pos = p;
}


void
ngx_http_gray_exposition_decimal(ngx_http_gray_exposition_t *exposition,
    uint64_t n, ngx_uint_t digits)
{
    u_char  *p;

    if (!ngx_http_gray_exposition_reserve(exposition,
                                          exposition->head_len
                                          + NGX_HTTP_GRAY_EXPOSITION_VALUE))
    {
        return;
    }

    p = ngx_cpymem(exposition->pos, exposition->head, exposition->head_len);
    *p++ = '}';
    *p++ = ' ';
    p = ngx_http_gray_exposition_fixed(p, n, digits);
    *p++ = '\n';

    exposition->pos = p;
}


void
ngx_http_gray_exposition_real(ngx_http_gray_exposition_t *exposition, double n)
{
    u_char     *p;
    uint64_t    m;
    ngx_int_t   e;

    if (!ngx_http_gray_exposition_reserve(exposition,
                                          exposition->head_len
                                          + NGX_HTTP_GRAY_EXPOSITION_VALUE))
    {
        return;
    }

    /* n = m * 10^(e - 6), where m has seven digits */

    m = 0;
    e = 0;

    if (n > 1e-300) {
        e = (ngx_int_t) floor(log10(n));
        m = (uint64_t) (n / pow(10, (double) e) * 1e6 + 0.5);

        if (m >= 10000000) {
            m = (m + 5) / 10;
            e++;
        }
    }

    p = ngx_cpymem(exposition->pos, exposition->head, exposition->head_len);
    *p++ = '}';
    *p++ = ' ';

    if (e >= -6 && e <= 6) {
        p = ngx_http_gray_exposition_fixed(p, m, 6 - e);

    } else {
        p = ngx_http_gray_exposition_fixed(p, m, 6);
        *p++ = 'e';
        *p++ = (e < 0) ? '-' : '+';
        p = ngx_http_gray_exposition_number(p, e < 0 ? -e : e);
    }

    *p++ = '\n';

    exposition->pos = p;
}


/* sums saturate: none is less than the one before */

void
ngx_http_gray_exposition_times(ngx_http_gray_exposition_t *exposition,
    ngx_str_t *labels, const uint64_t *counts, uint64_t ms)
{
    u_char                           *p;
    uint64_t                          n;
    ngx_uint_t                        i, bucket;
    ngx_http_gray_exposition_edge_t  *edge;

    ngx_http_gray_exposition_begin(exposition, "_bucket", labels);

    n = 0;
    bucket = 0;

    for (i = 0; i < exposition->nedges; i++) {
        edge = &exposition->edges[i];

        for ( /* void */ ; bucket < edge->end; bucket++) {
            n = (counts[bucket] > UINT64_MAX - n) ? UINT64_MAX
                                                  : n + counts[bucket];
        }

        if (!ngx_http_gray_exposition_reserve(exposition,
                                              exposition->head_len + edge->len
                                              + NGX_HTTP_GRAY_EXPOSITION_VALUE))
        {
            return;
        }

        p = ngx_cpymem(exposition->pos, exposition->head,
                       exposition->head_len);
        p = ngx_cpymem(p, edge->le, edge->len);
        p = ngx_http_gray_exposition_number(p, n);
        *p++ = '\n';

        exposition->pos = p;
    }

    ngx_http_gray_exposition_begin(exposition, "_sum", labels);
    ngx_http_gray_exposition_decimal(exposition, ms, 3);

    ngx_http_gray_exposition_begin(exposition, "_count", labels);
    ngx_http_gray_exposition_sample(exposition, NULL, NULL, n);
}


/* from the last digit to the first one */

static u_char *
ngx_http_gray_exposition_number(u_char *p, uint64_t n)
{
    u_char  *digit, digits[NGX_INT64_LEN];

    if (n < 10) {
        *p++ = (u_char) ('0' + n);
        return p;
    }

    digit = digits + sizeof(digits);

    do {
        *--digit = (u_char) ('0' + n % 10);
        n /= 10;
    } while (n);

    return ngx_cpymem(p, digit, digits + sizeof(digits) - digit);
}


/* n / 10^digits, without zeros behind the last digit that is none */

static u_char *
ngx_http_gray_exposition_fixed(u_char *p, uint64_t n, ngx_uint_t digits)
{
    u_char      *last;
    uint64_t     part, scale;
    ngx_uint_t   i;

    scale = 1;

    for (i = 0; i < digits; i++) {
        scale *= 10;
    }

    p = ngx_http_gray_exposition_number(p, n / scale);

    part = n % scale;

    if (part == 0) {
        return p;
    }

    *p = '.';
    last = p;

    for (i = 0; i < digits; i++) {
        scale /= 10;
        *++p = (u_char) ('0' + part / scale % 10);

        if (*p != '0') {
            last = p;
        }
    }

    return last + 1;
}


ngx_chain_t *
ngx_http_gray_exposition_finish(ngx_http_gray_exposition_t *exposition)
{
    if (exposition->openmetrics
        && ngx_http_gray_exposition_reserve(exposition,
                                            sizeof("# EOF\n") - 1))
    {
        exposition->pos = ngx_http_gray_exposition_copy(exposition->pos,
                                                        "# EOF\n");
    }

    if (exposition->failed) {
        return NULL;
    }

    ngx_http_gray_exposition_close(exposition);

    return exposition->out;
}
