
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Operands: from JSON to the form in which a test is quickest to match.
 *
 * All of it lives in the pool of the rule set.  All faults of an operand are
 * told, each at its place: that of the operand or, in an array, of the item.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_operand.h"
#include "ngx_http_gray_version.h"


#define NGX_HTTP_GRAY_PATTERNS     256    /* of a document */
#define NGX_HTTP_GRAY_OPERAND_WHY  320    /* bytes */


static ngx_int_t ngx_http_gray_operand_values(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *first, ngx_uint_t n, ngx_uint_t scalars,
    ngx_http_gray_test_t *test);
static ngx_int_t ngx_http_gray_operand_value(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *item, ngx_uint_t scalars,
    ngx_http_gray_test_t *test);
static ngx_int_t ngx_http_gray_operand_ready(
    ngx_http_gray_tests_compile_t *cp, ngx_http_gray_test_t *test);
static ngx_int_t ngx_http_gray_operand_pattern(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *item, ngx_http_gray_test_t *test);
static ngx_int_t ngx_http_gray_operand_network(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *item, ngx_http_gray_test_t *test);
static ngx_int_t ngx_http_gray_operand_each(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_http_gray_test_t *test,
    ngx_http_gray_operand_pt each);
static const ngx_http_gray_json_t *ngx_http_gray_operand_list(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_uint_t *n);


void *
ngx_http_gray_tests_alloc(ngx_http_gray_tests_compile_t *cp, size_t size)
{
    void  *p;

    p = ngx_pcalloc(cp->pool, size ? size : 1);

    if (p == NULL) {
        cp->failed = 1;
    }

    return p;
}


ngx_int_t
ngx_http_gray_tests_copy(ngx_http_gray_tests_compile_t *cp, ngx_str_t *dst,
    ngx_str_t src)
{
    dst->data = ngx_http_gray_tests_alloc(cp, src.len + 1);
    if (dst->data == NULL) {
        return NGX_ERROR;
    }

    if (src.len) {
        ngx_memcpy(dst->data, src.data, src.len);
    }

    dst->len = src.len;

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_operand_scalar(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *operand,
    ngx_http_gray_test_t *test)
{
    return ngx_http_gray_operand_values(cp, path, operand, 1, 1, test);
}


ngx_int_t
ngx_http_gray_operand_scalars(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *operand,
    ngx_http_gray_test_t *test)
{
    ngx_uint_t  n;

    n = ngx_http_gray_json_count(operand);

    if (ngx_http_gray_json_type(operand) == NGX_HTTP_GRAY_JSON_ARRAY && n) {
        return ngx_http_gray_operand_values(cp, path,
                                            ngx_http_gray_json_first(operand),
                                            n, 1, test);
    }

    ngx_http_gray_json_fault(cp->faults, path,
                             "must be an array of strings, numbers, true and "
                             "false, not empty");

    return NGX_ERROR;
}


ngx_int_t
ngx_http_gray_operand_strings(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *operand,
    ngx_http_gray_test_t *test)
{
    ngx_uint_t                   n;
    const ngx_http_gray_json_t  *first;

    first = ngx_http_gray_operand_list(cp, path, operand, &n);

    if (first == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_gray_operand_values(cp, path, first, n, 0, test);
}


/*
 * "path" is that of the operand: of an item it is one frame longer, where
 * the operand is an array.
 */

static ngx_int_t
ngx_http_gray_operand_values(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *first,
    ngx_uint_t n, ngx_uint_t scalars, ngx_http_gray_test_t *test)
{
    ngx_int_t                    rc;
    const ngx_http_gray_path_t  *place;
    ngx_http_gray_path_t         frame;
    const ngx_http_gray_json_t  *item;

    test->u.values.strings.elts = ngx_http_gray_tests_alloc(cp,
                                                      n * sizeof(ngx_str_t));
    test->u.values.numbers.elts = scalars
                     ? ngx_http_gray_tests_alloc(cp, n * sizeof(double))
                     : NULL;

    if (cp->failed) {
        return NGX_ERROR;
    }

    frame.parent = path;
    frame.key = NULL;
    frame.index = 0;

    /* an item of an array is no member: it has no name */

    place = ngx_http_gray_json_key(first) ? path : &frame;
    rc = NGX_OK;

    for (item = first; n; item = ngx_http_gray_json_next(item), n--) {

        if (ngx_http_gray_operand_value(cp, place, item, scalars, test)
            != NGX_OK)
        {
            rc = NGX_ERROR;
        }

        frame.index++;
    }

    return rc == NGX_OK ? ngx_http_gray_operand_ready(cp, test) : NGX_ERROR;
}


static ngx_int_t
ngx_http_gray_operand_value(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *item,
    ngx_uint_t scalars, ngx_http_gray_test_t *test)
{
    ngx_str_t                   text;
    ngx_http_gray_set_t        *strings;
    ngx_http_gray_numbers_t    *numbers;
    ngx_http_gray_json_type_e   type;

    strings = &test->u.values.strings;
    numbers = &test->u.values.numbers;

    type = ngx_http_gray_json_type(item);
    text = ngx_http_gray_json_text(item);

    if (scalars && type == NGX_HTTP_GRAY_JSON_NUMBER) {
        numbers->elts[numbers->n++] = ngx_http_gray_json_value(item);
        return NGX_OK;
    }

    if (scalars && type == NGX_HTTP_GRAY_JSON_BOOLEAN) {
        if (ngx_http_gray_json_true(item)) {
            ngx_str_set(&text, "true");

        } else {
            ngx_str_set(&text, "false");
        }

    } else if (type != NGX_HTTP_GRAY_JSON_STRING) {
        ngx_http_gray_json_fault(cp->faults, path,
                                 scalars ? "must be a string, a number, true "
                                           "or false"
                                         : "must be a string");
        return NGX_ERROR;
    }

    if (text.len == 0) {
        ngx_http_gray_json_fault(cp->faults, path,
                                 "must not be empty; absent or empty is "
                                 "{\"exists\": false}");
        return NGX_ERROR;
    }

    return ngx_http_gray_tests_copy(cp, &strings->elts[strings->n++], text);
}


static ngx_int_t
ngx_http_gray_operand_ready(ngx_http_gray_tests_compile_t *cp,
    ngx_http_gray_test_t *test)
{
    ngx_int_t             rc;
    ngx_http_gray_set_t  *strings;

    strings = &test->u.values.strings;
    strings->ignore_case = test->ignore_case;

    if (test->match == ngx_http_gray_match_equal) {
        ngx_http_gray_set_sort(&test->u.values.numbers);
        rc = ngx_http_gray_set_hash(strings, cp->pool);

        if (test->u.values.numbers.n || strings->ignore_case) {
            /* void */

        } else if (strings->n == 1) {
            test->match = ngx_http_gray_match_string;

        } else if (strings->table) {
            test->match = ngx_http_gray_match_strings;
        }

    } else if (test->match == ngx_http_gray_match_prefix) {
        rc = ngx_http_gray_set_prefixes(strings, cp->pool);

    } else if (test->match == ngx_http_gray_match_suffix) {
        rc = ngx_http_gray_set_suffixes(strings, cp->pool);

    } else {
        ngx_http_gray_set_fold(strings);
        rc = NGX_OK;
    }

    if (rc != NGX_OK) {
        cp->failed = 1;
    }

    return rc;
}


ngx_int_t
ngx_http_gray_operand_patterns(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *operand,
    ngx_http_gray_test_t *test)
{
    ngx_uint_t  n;

    if (ngx_http_gray_operand_list(cp, path, operand, &n) == NULL) {
        return NGX_ERROR;
    }

    if (cp->context == NULL) {
        cp->context = ngx_http_gray_pattern_context(cp->pool);

        if (cp->context == NULL) {
            cp->failed = 1;
            return NGX_ERROR;
        }
    }

    test->u.patterns.context = cp->context;
    test->u.patterns.limited = cp->limited;
    test->u.patterns.elts = ngx_http_gray_tests_alloc(cp,
                                        n * sizeof(ngx_http_gray_pattern_t));

    if (test->u.patterns.elts == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_gray_operand_each(cp, path, operand, test,
                                      ngx_http_gray_operand_pattern);
}


static ngx_int_t
ngx_http_gray_operand_pattern(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *item,
    ngx_http_gray_test_t *test)
{
    char                      why[NGX_HTTP_GRAY_OPERAND_WHY];
    ngx_int_t                 rc;
    ngx_str_t                 text;
    ngx_http_gray_pattern_t  *pattern;

    text = ngx_http_gray_json_text(item);

    if (text.len == 0) {
        ngx_http_gray_json_fault(cp->faults, path,
                                 "must be a pattern, a string that is not "
                                 "empty");
        return NGX_ERROR;
    }

    pattern = &test->u.patterns.elts[test->u.patterns.n];

    rc = ngx_http_gray_pattern_compile(pattern, cp->pool, &text,
                                       test->ignore_case, why, sizeof(why));

    if (rc == NGX_DECLINED) {
        ngx_http_gray_json_fault(cp->faults, path, "%s", why);
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        cp->failed = 1;
        return NGX_ERROR;
    }

    if (cp->patterns++ == NGX_HTTP_GRAY_PATTERNS) {
        ngx_http_gray_json_fault(cp->faults, path,
                                 "is one pattern too many, a document may "
                                 "have %d", NGX_HTTP_GRAY_PATTERNS);
        return NGX_ERROR;
    }

    test->u.patterns.n++;

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_operand_networks(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *operand,
    ngx_http_gray_test_t *test)
{
    ngx_uint_t               n;
    ngx_http_gray_ranges_t  *v4, *v6;

    if (ngx_http_gray_operand_list(cp, path, operand, &n) == NULL) {
        return NGX_ERROR;
    }

    v4 = &test->u.networks.v4;
    v6 = &test->u.networks.v6;

    v4->elts = ngx_http_gray_tests_alloc(cp,
                                         n * sizeof(ngx_http_gray_range_t));
    v6->elts = ngx_http_gray_tests_alloc(cp,
                                         n * sizeof(ngx_http_gray_range_t));

    if (v4->elts == NULL || v6->elts == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_gray_operand_each(cp, path, operand, test,
                                   ngx_http_gray_operand_network)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    v4->n = ngx_http_gray_network_merge(v4->elts, v4->n);
    v6->n = ngx_http_gray_network_merge(v6->elts, v6->n);

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_operand_network(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *item,
    ngx_http_gray_test_t *test)
{
    char                     why[NGX_HTTP_GRAY_OPERAND_WHY];
    ngx_int_t                family;
    ngx_str_t                text;
    ngx_http_gray_range_t    range;
    ngx_http_gray_ranges_t  *ranges;

    text = ngx_http_gray_json_text(item);

    family = ngx_http_gray_network_parse(&text, &range, why, sizeof(why));

    if (family == NGX_ERROR) {
        ngx_http_gray_json_fault(cp->faults, path, "%s", why);
        return NGX_ERROR;
    }

    ranges = (family == AF_INET) ? &test->u.networks.v4
                                 : &test->u.networks.v6;

    ranges->elts[ranges->n++] = range;

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_operand_number(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *operand,
    ngx_http_gray_test_t *test)
{
    if (ngx_http_gray_json_type(operand) != NGX_HTTP_GRAY_JSON_NUMBER) {
        ngx_http_gray_json_fault(cp->faults, path, "must be a number");
        return NGX_ERROR;
    }

    test->u.number = ngx_http_gray_json_value(operand);

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_operand_version(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *operand,
    ngx_http_gray_test_t *test)
{
    ngx_str_t  text;

    text = ngx_http_gray_json_text(operand);

    if (ngx_http_gray_json_type(operand) != NGX_HTTP_GRAY_JSON_STRING
        || ngx_http_gray_version_check(&text) != NGX_OK)
    {
        ngx_http_gray_json_fault(cp->faults, path,
                                 "must be a version, a string as \"2.10\" or "
                                 "\"1.0.0-rc.1\"");
        return NGX_ERROR;
    }

    return ngx_http_gray_tests_copy(cp, &test->u.version, text);
}


/* the name of a list */

ngx_int_t
ngx_http_gray_operand_named(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *operand,
    ngx_http_gray_test_t *test)
{
    char       why[NGX_HTTP_GRAY_OPERAND_WHY];
    ngx_int_t  rc;
    ngx_str_t  name;

    name = ngx_http_gray_json_text(operand);

    if (ngx_http_gray_json_type(operand) != NGX_HTTP_GRAY_JSON_STRING
        || name.len == 0)
    {
        ngx_http_gray_json_fault(cp->faults, path,
                                 "must be the name of a list");
        return NGX_ERROR;
    }

    if (cp->list == NULL) {
        ngx_http_gray_json_fault(cp->faults, path,
                                 "lists are not known here");
        return NGX_ERROR;
    }

    rc = cp->list(cp->data, &name, test->match == ngx_http_gray_match_cidr_list,
                  &test->u.list, why, sizeof(why));

    if (rc == NGX_DECLINED) {
        ngx_http_gray_json_fault(cp->faults, path, "%s", why);

    } else if (rc != NGX_OK) {
        cp->failed = 1;
    }

    return rc == NGX_OK ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_gray_operand_boolean(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *operand,
    ngx_http_gray_test_t *test)
{
    if (ngx_http_gray_json_type(operand) != NGX_HTTP_GRAY_JSON_BOOLEAN) {
        ngx_http_gray_json_fault(cp->faults, path,
                                 "must be true or false");
        return NGX_ERROR;
    }

    test->negate = !ngx_http_gray_json_true(operand);

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_operand_window(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *operand,
    ngx_http_gray_test_t *test)
{
    return ngx_http_gray_window_read(&test->u.window, path, operand,
                                     cp->faults);
}


/* reads each string of an operand: all that are bad are told */

static ngx_int_t
ngx_http_gray_operand_each(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *operand,
    ngx_http_gray_test_t *test, ngx_http_gray_operand_pt each)
{
    ngx_int_t                    rc;
    ngx_uint_t                   n;
    const ngx_http_gray_path_t  *place;
    ngx_http_gray_path_t         frame;
    const ngx_http_gray_json_t  *item;

    item = ngx_http_gray_operand_list(cp, path, operand, &n);

    frame.parent = path;
    frame.key = NULL;
    frame.index = 0;

    place = (item == operand) ? path : &frame;
    rc = NGX_OK;

    for ( /* void */ ; n; item = ngx_http_gray_json_next(item), n--) {

        if (each(cp, place, item, test) != NGX_OK) {
            rc = NGX_ERROR;
        }

        frame.index++;
    }

    return rc;
}


/* a string, or an array of them: the first and how many, NULL for neither */

static const ngx_http_gray_json_t *
ngx_http_gray_operand_list(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *operand,
    ngx_uint_t *n)
{
    if (ngx_http_gray_json_type(operand) == NGX_HTTP_GRAY_JSON_STRING) {
        *n = 1;
        return operand;
    }

    *n = ngx_http_gray_json_count(operand);

    if (ngx_http_gray_json_type(operand) == NGX_HTTP_GRAY_JSON_ARRAY && *n) {
        return ngx_http_gray_json_first(operand);
    }

    ngx_http_gray_json_fault(cp->faults, path,
                             "must be a string, or an array of strings "
                             "that is not empty");

    return NULL;
}
