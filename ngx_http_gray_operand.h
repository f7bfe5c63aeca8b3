
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_OPERAND_H_INCLUDED_
#define _NGX_HTTP_GRAY_OPERAND_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_json.h"
#include "ngx_http_gray_list.h"
#include "ngx_http_gray_match.h"


/*
 * "faults" may be NULL; "failed" is set where memory was short.  list() finds
 * a named list, of networks or of any entries: NGX_OK with a list, or
 * NGX_DECLINED with a C string of what would be accepted in "why", of "size"
 * bytes; NULL where lists are not known at all.
 */

typedef struct {
    ngx_pool_t                  *pool;
    ngx_http_gray_faults_t      *faults;

    void                        *data;
    ngx_int_t                  (*list)(void *data, ngx_str_t *name,
                                     ngx_uint_t networks,
                                     ngx_http_gray_list_t **list, char *why,
                                     size_t size);

    ngx_uint_t                  *limited;    /* matches that were given up */
    void                        *context;    /* of all the patterns */
    ngx_uint_t                   patterns;   /* so far */
    ngx_uint_t                   failed;     /* unsigned  failed:1; */
} ngx_http_gray_tests_compile_t;


/*
 * Reads the operand of a test, whose match and ignore_case are set.  NGX_OK;
 * NGX_ERROR with faults, or with cp->failed.
 */
typedef ngx_int_t (*ngx_http_gray_operand_pt)(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_http_gray_test_t *test);

ngx_int_t ngx_http_gray_operand_scalar(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_http_gray_test_t *test);
ngx_int_t ngx_http_gray_operand_scalars(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_http_gray_test_t *test);
ngx_int_t ngx_http_gray_operand_strings(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_http_gray_test_t *test);
ngx_int_t ngx_http_gray_operand_patterns(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_http_gray_test_t *test);
ngx_int_t ngx_http_gray_operand_networks(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_http_gray_test_t *test);
ngx_int_t ngx_http_gray_operand_number(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_http_gray_test_t *test);
ngx_int_t ngx_http_gray_operand_version(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_http_gray_test_t *test);
ngx_int_t ngx_http_gray_operand_named(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_http_gray_test_t *test);
ngx_int_t ngx_http_gray_operand_boolean(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_http_gray_test_t *test);
ngx_int_t ngx_http_gray_operand_window(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_http_gray_test_t *test);

/* zeroed memory of the pool; sets cp->failed where it is short */
void *ngx_http_gray_tests_alloc(ngx_http_gray_tests_compile_t *cp,
    size_t size);

/* a copy with a NUL behind it, for what takes C strings */
ngx_int_t ngx_http_gray_tests_copy(ngx_http_gray_tests_compile_t *cp,
    ngx_str_t *dst, ngx_str_t src);


#endif /* _NGX_HTTP_GRAY_OPERAND_H_INCLUDED_ */
