
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_EXPOSITION_H_INCLUDED_
#define _NGX_HTTP_GRAY_EXPOSITION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_histogram.h"


/* half octaves up to 2^16 ms, and the one without an edge */
#define NGX_HTTP_GRAY_EXPOSITION_BUCKETS  34


typedef enum {
    NGX_HTTP_GRAY_COUNTER = 0,
    NGX_HTTP_GRAY_GAUGE,
    NGX_HTTP_GRAY_TIMES,            /* a histogram, in seconds */
    NGX_HTTP_GRAY_INFO
} ngx_http_gray_exposition_type_e;


/* an edge of buckets, and which of these lie before it */

typedef struct {
    ngx_uint_t                      end;
    size_t                          len;
    u_char                          le[16];
} ngx_http_gray_exposition_edge_t;


/* a text that is being written, in buffers of a pool */

typedef struct {
    ngx_pool_t                     *pool;
    ngx_uint_t                      openmetrics;  /* unsigned  :1; */
    ngx_uint_t                      failed;       /* unsigned  :1; memory:
                                                     nothing is written then */
    ngx_chain_t                    *out;
    ngx_chain_t                    *last;
    u_char                         *pos;
    u_char                         *end;
    off_t                           len;          /* of all, once finished */

    ngx_str_t                       name;         /* of the family */

    u_char                         *head;         /* what samples begin with */
    size_t                          head_len;
    size_t                          head_size;

    ngx_uint_t                      nedges;
    ngx_http_gray_exposition_edge_t
                                  edges[NGX_HTTP_GRAY_EXPOSITION_BUCKETS];
} ngx_http_gray_exposition_t;


/* media types by "openmetrics"; the parameters are behind the length */

extern ngx_str_t  ngx_http_gray_exposition_types[];


/*
 * Labels, without braces: "p" is where the next one goes, and needs as many
 * bytes as _label_size() says.  "first" leaves out the comma.
 */
size_t ngx_http_gray_exposition_label_size(const char *name,
    ngx_str_t *value);
u_char *ngx_http_gray_exposition_label(u_char *p, ngx_uint_t first,
    const char *name, ngx_str_t *value);


/* begins a text */
void ngx_http_gray_exposition_init(ngx_http_gray_exposition_t *exposition,
    ngx_pool_t *pool, ngx_uint_t openmetrics);

/*
 * Begins a family: the name as its samples have it in the text format, that of
 * a counter with "_total", if it can have it.
 */
void ngx_http_gray_exposition_family(ngx_http_gray_exposition_t *exposition,
    ngx_str_t *name, ngx_http_gray_exposition_type_e type, const char *help);

/* what the samples that follow have in common: labels may be NULL */
void ngx_http_gray_exposition_begin(ngx_http_gray_exposition_t *exposition,
    const char *suffix, ngx_str_t *labels);
void ngx_http_gray_exposition_add(ngx_http_gray_exposition_t *exposition,
    const char *name, ngx_str_t *value);

/* a sample, with a label of its own, which needs no escapes, or NULL */
void ngx_http_gray_exposition_sample(ngx_http_gray_exposition_t *exposition,
    ngx_str_t *label, ngx_str_t *value, uint64_t n);

/* likewise without one, n / 10^digits */
void ngx_http_gray_exposition_decimal(ngx_http_gray_exposition_t *exposition,
    uint64_t n, ngx_uint_t digits);

/* likewise, a number that is not negative, to seven digits */
void ngx_http_gray_exposition_real(ngx_http_gray_exposition_t *exposition,
    double n);

/* a histogram of milliseconds; "ms" is their sum */
void ngx_http_gray_exposition_times(ngx_http_gray_exposition_t *exposition,
    ngx_str_t *labels, const uint64_t *counts, uint64_t ms);

/* ends the text: its buffers, or NULL (memory) */
ngx_chain_t *ngx_http_gray_exposition_finish(
    ngx_http_gray_exposition_t *exposition);


#endif /* _NGX_HTTP_GRAY_EXPOSITION_H_INCLUDED_ */
