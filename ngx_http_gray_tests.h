
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_TESTS_H_INCLUDED_
#define _NGX_HTTP_GRAY_TESTS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_json.h"
#include "ngx_http_gray_match.h"
#include "ngx_http_gray_operand.h"
#include "ngx_http_gray_value.h"


/* what the operand of an attribute may be */

typedef enum {
    NGX_HTTP_GRAY_TESTS_VALUE = 0,  /* a scalar, an array, or operators */
    NGX_HTTP_GRAY_TESTS_NUMBER,     /* percent: a number N, which is "lt": N,
                                       or lt, lte, gt, gte of 0 to 100 */
    NGX_HTTP_GRAY_TESTS_TIME        /* a window of time */
} ngx_http_gray_tests_e;


/*
 * Compiles a TEST of a document: a scalar, an array of scalars, or an object
 * of operators.  What it makes lives in cp->pool.  Members that are no
 * operators but say which value is meant ("modifiers", names with a NULL
 * behind the last, or NULL) are passed over.  Returns NULL, with a fault or
 * with cp->failed, where it cannot.
 */
ngx_http_gray_test_t *ngx_http_gray_tests_compile(
    ngx_http_gray_tests_compile_t *cp, ngx_http_gray_tests_e kind,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *json,
    const char **modifiers);

/*
 * Do all the tests hold for "value" (NULL: absent or empty)?  1, 0, or
 * NGX_ERROR where one cannot be evaluated.  Of several values, a test that is
 * not negated holds if it does for one of them, and a negated one ("ne",
 * "not_in") if it does for none.  Allocates nothing.
 */
ngx_int_t ngx_http_gray_tests_hold(ngx_http_gray_test_t *tests,
    ngx_http_gray_value_t *value);

/*
 * For explanations: the name of the operator of the first test that does not
 * hold, or cannot be evaluated; NULL where all hold.
 */
const char *ngx_http_gray_tests_failed(ngx_http_gray_test_t *tests,
    ngx_http_gray_value_t *value);

/*
 * For an index over rules: where the tests are but one "eq" or "in", calls
 * each() with all that it holds for, strings (in lower case, if "folded") and
 * numbers, which each() may copy.  NGX_OK; NGX_DECLINED where they are
 * something else, or more than "max"; what each() returns, unless that is
 * NGX_OK.
 */
typedef ngx_int_t (*ngx_http_gray_tests_each_pt)(void *data,
    const ngx_str_t *string, double number);

ngx_int_t ngx_http_gray_tests_keys(ngx_http_gray_test_t *tests,
    ngx_uint_t max, ngx_uint_t *folded, ngx_http_gray_tests_each_pt each,
    void *data);


#endif /* _NGX_HTTP_GRAY_TESTS_H_INCLUDED_ */
