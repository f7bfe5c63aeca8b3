
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_INDEX_H_INCLUDED_
#define _NGX_HTTP_GRAY_INDEX_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_condition.h"


#define NGX_HTTP_GRAY_INDEX_GROUPS  16
#define NGX_HTTP_GRAY_INDEX_END     ((uint32_t) -1)


typedef struct ngx_http_gray_index_s  ngx_http_gray_index_t;


/*
 * Of the rules that may hold for a request, the numbers, ascending: each
 * cursor is an ascending list that ends with NGX_HTTP_GRAY_INDEX_END.
 */

typedef struct {
    const ngx_http_gray_index_t    *index;
    ngx_uint_t                      n;
    ngx_uint_t                      known;       /* groups looked up, bits */
    const uint32_t                 *cursor[1 + 2 * NGX_HTTP_GRAY_INDEX_GROUPS];
} ngx_http_gray_index_walk_t;


/*
 * Makes an index over "n" rules, each given by its condition, in cp's pool.
 * Returns NULL where there is nothing to be gained, or with cp->failed.
 */
ngx_http_gray_index_t *ngx_http_gray_index_create(
    ngx_http_gray_tests_compile_t *cp, ngx_http_gray_condition_t **rules,
    ngx_uint_t n);

void ngx_http_gray_index_begin(const ngx_http_gray_index_t *index,
    ngx_http_gray_index_walk_t *walk);

/*
 * The number of the next rule that may hold, or NGX_HTTP_GRAY_INDEX_END.  The
 * attribute of a group of rules is fetched when the first of them is reached.
 */
uint32_t ngx_http_gray_index_next(ngx_http_gray_index_walk_t *walk,
    ngx_http_gray_pass_t *pass);


#endif /* _NGX_HTTP_GRAY_INDEX_H_INCLUDED_ */
