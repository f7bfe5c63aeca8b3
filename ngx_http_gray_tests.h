
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_TESTS_H_INCLUDED_
#define _NGX_HTTP_GRAY_TESTS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_json.h"


typedef struct ngx_http_gray_test_s  ngx_http_gray_test_t;


/* "faults" may be NULL; "failed" is set where memory was short */

typedef struct {
    ngx_pool_t                  *pool;
    ngx_http_gray_faults_t      *faults;
    void                        *context;    /* of all the patterns */
    ngx_uint_t                   patterns;   /* so far */
    ngx_uint_t                   failed;     /* unsigned  failed:1; */
} ngx_http_gray_tests_compile_t;


/*
 * Compiles a TEST of a document: a scalar, an array of scalars, or an object
 * of operators.  What it makes lives in cp->pool.  Returns NULL, with a fault
 * or with cp->failed, where it cannot.
 */
ngx_http_gray_test_t *ngx_http_gray_tests_compile(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *json);

/*
 * Do all the tests hold for "value" (NULL: absent or empty)?  1, 0, or
 * NGX_ERROR where one cannot be evaluated.  Allocates nothing.
 */
ngx_int_t ngx_http_gray_tests_hold(ngx_http_gray_test_t *tests,
    ngx_str_t *value);

/* zeroed memory of the pool; sets cp->failed where it is short */
void *ngx_http_gray_tests_alloc(ngx_http_gray_tests_compile_t *cp,
    size_t size);

/* a copy with a NUL behind it, for what takes C strings */
ngx_int_t ngx_http_gray_tests_copy(ngx_http_gray_tests_compile_t *cp,
    ngx_str_t *dst, ngx_str_t src);


#endif /* _NGX_HTTP_GRAY_TESTS_H_INCLUDED_ */
