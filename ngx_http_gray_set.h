
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_SET_H_INCLUDED_
#define _NGX_HTTP_GRAY_SET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_value.h"


typedef struct {
    uint32_t                     number;     /* of the string, from 1 */
    uint32_t                     tag;        /* a part of its hash */
} ngx_http_gray_set_entry_t;


/*
 * Strings, of which none is empty or has a NUL in it.  Who makes a set zeroes
 * it and sets "elts", "n" and "ignore_case"; the strings are put in lower case
 * where it is ignored, and may be sorted.
 */

typedef struct {
    ngx_str_t                   *elts;
    ngx_uint_t                   n;
    ngx_uint_t                   ignore_case;

    ngx_http_gray_set_entry_t   *table;      /* NULL: they are few */
    uint64_t                     mask;
    size_t                       max;        /* the longest, in bytes */

    uint64_t                    *keys;       /* of prefixes and suffixes */
    size_t                       common;
} ngx_http_gray_set_t;


typedef struct {
    double                      *elts;
    ngx_uint_t                   n;
} ngx_http_gray_numbers_t;


/*
 * Make a set ready for one of the questions below; what they need lives in
 * the pool.  NGX_OK or NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_set_hash(ngx_http_gray_set_t *set, ngx_pool_t *pool);
ngx_int_t ngx_http_gray_set_prefixes(ngx_http_gray_set_t *set,
    ngx_pool_t *pool);
ngx_int_t ngx_http_gray_set_suffixes(ngx_http_gray_set_t *set,
    ngx_pool_t *pool);
void ngx_http_gray_set_fold(ngx_http_gray_set_t *set);

/* is the value's text, which it must have, one of the hashed strings? */
ngx_uint_t ngx_http_gray_set_has(const ngx_http_gray_set_t *set,
    ngx_http_gray_value_t *value);

/* is a text that string, without a set? */
ngx_uint_t ngx_http_gray_set_is(const ngx_str_t *string,
    const ngx_str_t *text);

/* likewise, of strings that are many and whose case matters */
ngx_uint_t ngx_http_gray_set_among(const ngx_http_gray_set_t *set,
    ngx_http_gray_value_t *value);

/* does the text begin with a prefix, end in a suffix, or have a string? */
ngx_uint_t ngx_http_gray_set_begins(const ngx_http_gray_set_t *set,
    const ngx_str_t *text);
ngx_uint_t ngx_http_gray_set_ends(const ngx_http_gray_set_t *set,
    const ngx_str_t *text);
ngx_uint_t ngx_http_gray_set_within(const ngx_http_gray_set_t *set,
    const ngx_str_t *text);

/* numbers, none of them NaN: to be sorted before they are searched */
void ngx_http_gray_set_sort(ngx_http_gray_numbers_t *numbers);
ngx_uint_t ngx_http_gray_set_number(const ngx_http_gray_numbers_t *numbers,
    double number);


#endif /* _NGX_HTTP_GRAY_SET_H_INCLUDED_ */
