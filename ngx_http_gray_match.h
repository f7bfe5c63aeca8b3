
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_MATCH_H_INCLUDED_
#define _NGX_HTTP_GRAY_MATCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_list.h"
#include "ngx_http_gray_network.h"
#include "ngx_http_gray_pattern.h"
#include "ngx_http_gray_set.h"
#include "ngx_http_gray_value.h"
#include "ngx_http_gray_window.h"


typedef struct ngx_http_gray_test_s  ngx_http_gray_test_t;


/*
 * Does a test hold for a value that is there and not empty, before it is
 * negated?  1, 0, or NGX_ERROR where it cannot be evaluated.
 */
typedef ngx_int_t (*ngx_http_gray_match_pt)(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);


typedef struct {
    ngx_http_gray_range_t           *elts;
    ngx_uint_t                       n;
} ngx_http_gray_ranges_t;


/* an operator with its operand */

struct ngx_http_gray_test_s {
    ngx_http_gray_match_pt           match;
    ngx_int_t                        negate;     /* unsigned  negate:1; */
    ngx_http_gray_test_t            *next;
    const char                      *name;       /* of the operator */
    ngx_uint_t                       ignore_case;

    union {
        struct {
            ngx_http_gray_set_t      strings;
            ngx_http_gray_numbers_t  numbers;
        } values;

        struct {
            ngx_http_gray_pattern_t *elts;
            ngx_uint_t               n;
            void                    *context;
            ngx_int_t                left;       /* steps, for all values */
            ngx_uint_t              *limited;    /* or NULL */
        } patterns;

        struct {
            ngx_http_gray_ranges_t   v4;
            ngx_http_gray_ranges_t   v6;
        } networks;

        double                       number;
        ngx_str_t                    version;
        ngx_http_gray_list_t        *list;
        ngx_http_gray_window_t       window;
    } u;
};


ngx_int_t ngx_http_gray_match_equal(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
ngx_int_t ngx_http_gray_match_strings(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
ngx_int_t ngx_http_gray_match_string(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
ngx_int_t ngx_http_gray_match_prefix(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
ngx_int_t ngx_http_gray_match_suffix(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
ngx_int_t ngx_http_gray_match_contains(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
ngx_int_t ngx_http_gray_match_regex(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
ngx_int_t ngx_http_gray_match_patterns(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
ngx_int_t ngx_http_gray_match_cidr(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
ngx_int_t ngx_http_gray_match_lt(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
ngx_int_t ngx_http_gray_match_lte(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
ngx_int_t ngx_http_gray_match_gt(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
ngx_int_t ngx_http_gray_match_gte(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
ngx_int_t ngx_http_gray_match_version_lt(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
ngx_int_t ngx_http_gray_match_version_lte(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
ngx_int_t ngx_http_gray_match_version_gt(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
ngx_int_t ngx_http_gray_match_version_gte(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
ngx_int_t ngx_http_gray_match_in_list(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
ngx_int_t ngx_http_gray_match_cidr_list(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
ngx_int_t ngx_http_gray_match_exists(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
ngx_int_t ngx_http_gray_match_time(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);


#endif /* _NGX_HTTP_GRAY_MATCH_H_INCLUDED_ */
