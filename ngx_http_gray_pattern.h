
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_PATTERN_H_INCLUDED_
#define _NGX_HTTP_GRAY_PATTERN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_HTTP_GRAY_PATTERN_STEPS  20000   /* that a match may take */


/* a pattern of PCRE2, ready to be matched */

typedef struct {
    void                        *code;
    void                        *data;
    size_t                       repeat;     /* the largest count in it */
    uint32_t                     groups;     /* that it refers to */
} ngx_http_gray_pattern_t;


/*
 * What the patterns of a rule set share: a match context, freed with the
 * pool; NULL where memory is short.
 */
void *ngx_http_gray_pattern_context(ngx_pool_t *pool);

/*
 * Compiles a pattern, freed with the pool.  NGX_OK; NGX_DECLINED with a C
 * string of what is wrong in "why", of "size" bytes; NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_pattern_compile(ngx_http_gray_pattern_t *pattern,
    ngx_pool_t *pool, const ngx_str_t *text, ngx_uint_t ignore_case,
    char *why, size_t size);

/*
 * Does the text match?  1, 0, or NGX_ERROR where it cannot be told: it is not
 * the UTF-8 that the pattern wants, or the match took too much, and then
 * "limited", if not NULL, is increased.
 */
ngx_int_t ngx_http_gray_pattern_match(const ngx_http_gray_pattern_t *pattern,
    void *context, const ngx_str_t *text, ngx_uint_t *limited);

/*
 * Likewise, with "left" steps at most, NGX_HTTP_GRAY_PATTERN_STEPS of them for
 * this match; those that it took are taken off.
 */
ngx_int_t ngx_http_gray_pattern_try(const ngx_http_gray_pattern_t *pattern,
    void *context, const ngx_str_t *text, ngx_int_t *left,
    ngx_uint_t *limited);


#endif /* _NGX_HTTP_GRAY_PATTERN_H_INCLUDED_ */
