
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Tests: the operators of a document, from JSON to a truth.
 *
 * A test holds, does not hold, or cannot be evaluated (NGX_ERROR): the value
 * is no number, no address, no version, has no text, makes a pattern reach its
 * limit, or there is no such list.  What is absent or empty holds no test but
 * "exists": false; "ne" and "not_in" are the exact negations of "eq" and "in".
 * Several values are looked at in their order, and only as far as needed.
 *
 * An operator is a row of ngx_http_gray_operators[]: its name, how its operand
 * is read, how it is matched.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_tests.h"


#define NGX_HTTP_GRAY_TESTS_NAMES  320    /* bytes */

/* what an operator goes with */

#define NGX_HTTP_GRAY_TESTS_CASED  1      /* "ignore_case" */
#define NGX_HTTP_GRAY_TESTS_PART   2      /* percent */


typedef struct {
    const char                      *name;
    ngx_http_gray_operand_pt         operand;
    ngx_http_gray_match_pt           match;
    ngx_uint_t                       negate;
    ngx_uint_t                       with;
} ngx_http_gray_operator_t;


static ngx_int_t ngx_http_gray_tests_values(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value);
static const ngx_http_gray_operator_t *ngx_http_gray_tests_find(
    const char *name);
static ngx_http_gray_test_t *ngx_http_gray_tests_object(
    ngx_http_gray_tests_compile_t *cp, ngx_http_gray_tests_e kind,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *object,
    const char **modifiers);
static const ngx_http_gray_operator_t *ngx_http_gray_tests_operator(
    ngx_http_gray_tests_compile_t *cp, ngx_http_gray_tests_e kind,
    const ngx_http_gray_path_t *path);
static ngx_uint_t ngx_http_gray_tests_modifier(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *member, const char **modifiers,
    ngx_uint_t cased, ngx_uint_t *bad);
static ngx_http_gray_test_t *ngx_http_gray_tests_one(
    ngx_http_gray_tests_compile_t *cp, ngx_http_gray_tests_e kind,
    const ngx_http_gray_path_t *path, const ngx_http_gray_operator_t *op,
    ngx_uint_t ignore_case, const ngx_http_gray_json_t *operand);
static ngx_uint_t ngx_http_gray_tests_percent(
    const ngx_http_gray_json_t *json);
static void ngx_http_gray_tests_names(char *buf, size_t size,
    ngx_uint_t with, const char *and);


static const ngx_http_gray_operator_t  ngx_http_gray_operators[] = {

    { "eq", ngx_http_gray_operand_scalar, ngx_http_gray_match_equal, 0,
      NGX_HTTP_GRAY_TESTS_CASED },
    { "ne", ngx_http_gray_operand_scalar, ngx_http_gray_match_equal, 1,
      NGX_HTTP_GRAY_TESTS_CASED },
    { "in", ngx_http_gray_operand_scalars, ngx_http_gray_match_equal, 0,
      NGX_HTTP_GRAY_TESTS_CASED },
    { "not_in", ngx_http_gray_operand_scalars, ngx_http_gray_match_equal, 1,
      NGX_HTTP_GRAY_TESTS_CASED },
    { "prefix", ngx_http_gray_operand_strings, ngx_http_gray_match_prefix, 0,
      NGX_HTTP_GRAY_TESTS_CASED },
    { "suffix", ngx_http_gray_operand_strings, ngx_http_gray_match_suffix, 0,
      NGX_HTTP_GRAY_TESTS_CASED },
    { "contains", ngx_http_gray_operand_strings, ngx_http_gray_match_contains,
      0, NGX_HTTP_GRAY_TESTS_CASED },
    { "regex", ngx_http_gray_operand_patterns, ngx_http_gray_match_regex, 0,
      NGX_HTTP_GRAY_TESTS_CASED },
    { "cidr", ngx_http_gray_operand_networks, ngx_http_gray_match_cidr, 0, 0 },
    { "lt", ngx_http_gray_operand_number, ngx_http_gray_match_lt, 0,
      NGX_HTTP_GRAY_TESTS_PART },
    { "lte", ngx_http_gray_operand_number, ngx_http_gray_match_lte, 0,
      NGX_HTTP_GRAY_TESTS_PART },
    { "gt", ngx_http_gray_operand_number, ngx_http_gray_match_gt, 0,
      NGX_HTTP_GRAY_TESTS_PART },
    { "gte", ngx_http_gray_operand_number, ngx_http_gray_match_gte, 0,
      NGX_HTTP_GRAY_TESTS_PART },
    { "version_lt", ngx_http_gray_operand_version,
      ngx_http_gray_match_version_lt, 0, 0 },
    { "version_lte", ngx_http_gray_operand_version,
      ngx_http_gray_match_version_lte, 0, 0 },
    { "version_gt", ngx_http_gray_operand_version,
      ngx_http_gray_match_version_gt, 0, 0 },
    { "version_gte", ngx_http_gray_operand_version,
      ngx_http_gray_match_version_gte, 0, 0 },
    { "in_list", ngx_http_gray_operand_named, ngx_http_gray_match_in_list,
      0, 0 },
    { "cidr_list", ngx_http_gray_operand_named, ngx_http_gray_match_cidr_list,
      0, 0 },
    { "exists", ngx_http_gray_operand_boolean, ngx_http_gray_match_exists,
      0, 0 },

    { NULL, NULL, NULL, 0, 0 }
};


static const ngx_http_gray_operator_t  ngx_http_gray_tests_window = {
    "time", ngx_http_gray_operand_window, ngx_http_gray_match_time, 0, 0
};


/* does one test hold, before it is negated? */

static ngx_inline ngx_int_t
ngx_http_gray_tests_match(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    if (value == NULL) {
        return 0;
    }

    return value->next ? ngx_http_gray_tests_values(test, value)
                       : test->match(test, value);
}


ngx_int_t
ngx_http_gray_tests_hold(ngx_http_gray_test_t *tests,
    ngx_http_gray_value_t *value)
{
    ngx_int_t  rc;

    /* what most tests are: one alone, not negated, and of one value */

    if (tests && value && !tests->next && !tests->negate && !value->next) {
        return tests->match(tests, value);
    }

    for ( /* void */ ; tests; tests = tests->next) {

        rc = ngx_http_gray_tests_match(tests, value);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == tests->negate) {
            return 0;
        }
    }

    return 1;
}


const char *
ngx_http_gray_tests_failed(ngx_http_gray_test_t *tests,
    ngx_http_gray_value_t *value)
{
    ngx_int_t  rc;

    for ( /* void */ ; tests; tests = tests->next) {

        rc = ngx_http_gray_tests_match(tests, value);

        if (rc == NGX_ERROR || rc == tests->negate) {
            return tests->name;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_gray_tests_keys(ngx_http_gray_test_t *tests, ngx_uint_t max,
    ngx_uint_t *folded, ngx_http_gray_tests_each_pt each, void *data)
{
    ngx_int_t                 rc;
    ngx_uint_t                i;
    ngx_http_gray_set_t      *strings;
    ngx_http_gray_numbers_t  *numbers;

    if (tests == NULL
        || tests->next
        || (tests->match != ngx_http_gray_match_equal
            && tests->match != ngx_http_gray_match_string
            && tests->match != ngx_http_gray_match_strings)
        || tests->negate)
    {
        return NGX_DECLINED;
    }

    strings = &tests->u.values.strings;
    numbers = &tests->u.values.numbers;

    if (strings->n + numbers->n > max) {
        return NGX_DECLINED;
    }

    *folded = (strings->n && strings->ignore_case);

    for (i = 0; i < strings->n; i++) {
        rc = each(data, &strings->elts[i], 0);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    for (i = 0; i < numbers->n; i++) {
        rc = each(data, NULL, numbers->elts[i]);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/*
 * What is empty among several values does not count.  Patterns take no more
 * steps for all the values than they may take for one.
 */

static ngx_int_t
ngx_http_gray_tests_values(ngx_http_gray_test_t *test,
    ngx_http_gray_value_t *value)
{
    ngx_int_t               rc;
    ngx_http_gray_match_pt  match;

    match = test->match;

    if (match == ngx_http_gray_match_regex) {
        test->u.patterns.left = test->u.patterns.n
                                * NGX_HTTP_GRAY_PATTERN_STEPS;
        match = ngx_http_gray_match_patterns;
    }

    for ( /* void */ ; value; value = value->next) {

        if (value->text.len == 0 && value->numeric != NGX_HTTP_GRAY_IS) {
            continue;
        }

        rc = match(test, value);

        if (rc != 0) {
            return rc;
        }
    }

    return 0;
}


ngx_http_gray_test_t *
ngx_http_gray_tests_compile(ngx_http_gray_tests_compile_t *cp,
    ngx_http_gray_tests_e kind, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *json, const char **modifiers)
{
    const char                 *name;
    ngx_http_gray_json_type_e   type;

    if (kind == NGX_HTTP_GRAY_TESTS_TIME) {
        return ngx_http_gray_tests_one(cp, kind, path,
                                       &ngx_http_gray_tests_window, 0, json);
    }

    type = ngx_http_gray_json_type(json);

    if (type == NGX_HTTP_GRAY_JSON_OBJECT) {
        return ngx_http_gray_tests_object(cp, kind, path, json, modifiers);
    }

    name = (kind == NGX_HTTP_GRAY_TESTS_NUMBER) ? "lt"
           : (type == NGX_HTTP_GRAY_JSON_ARRAY) ? "in" : "eq";

    return ngx_http_gray_tests_one(cp, kind, path,
                                   ngx_http_gray_tests_find(name), 0, json);
}


static const ngx_http_gray_operator_t *
ngx_http_gray_tests_find(const char *name)
{
    const ngx_http_gray_operator_t  *op;

    for (op = ngx_http_gray_operators; op->name; op++) {
        if (ngx_strcmp(op->name, name) == 0) {
            return op;
        }
    }

    return NULL;
}


static ngx_http_gray_test_t *
ngx_http_gray_tests_object(ngx_http_gray_tests_compile_t *cp,
    ngx_http_gray_tests_e kind, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *object, const char **modifiers)
{
    char                             names[NGX_HTTP_GRAY_TESTS_NAMES];
    ngx_uint_t                       ignore_case, with, bad;
    ngx_http_gray_test_t            *tests, *test, **last;
    ngx_http_gray_json_t            *member;
    ngx_http_gray_path_t             frame;
    const ngx_http_gray_operator_t  *op;

    frame.parent = path;
    frame.index = 0;

    tests = NULL;
    last = &tests;
    with = 0;
    bad = 0;

    ignore_case = (kind == NGX_HTTP_GRAY_TESTS_VALUE
                   && ngx_http_gray_json_true(
                          ngx_http_gray_json_get(object, "ignore_case")));

    for (member = ngx_http_gray_json_first(object);
         member;
         member = ngx_http_gray_json_next(member))
    {
        frame.key = ngx_http_gray_json_key(member);

        if (ngx_http_gray_tests_modifier(cp, &frame, member, modifiers,
                                         kind == NGX_HTTP_GRAY_TESTS_VALUE,
                                         &bad))
        {
            continue;
        }

        op = ngx_http_gray_tests_operator(cp, kind, &frame);

        test = op ? ngx_http_gray_tests_one(cp, kind, &frame, op, ignore_case,
                                            member)
                  : NULL;

        if (test == NULL) {
            bad = 1;
            continue;
        }

        with |= op->with;

        *last = test;
        last = &test->next;
    }

    if (bad) {
        return NULL;
    }

    if (tests == NULL) {
        ngx_http_gray_json_fault(cp->faults, path,
                                 "must have at least one operator");
        return NULL;
    }

    if (ignore_case && !(with & NGX_HTTP_GRAY_TESTS_CASED)) {
        frame.key = "ignore_case";

        ngx_http_gray_tests_names(names, sizeof(names),
                                  NGX_HTTP_GRAY_TESTS_CASED, " and ");

        ngx_http_gray_json_fault(cp->faults, &frame, "goes with %s", names);

        return NULL;
    }

    return tests;
}


static const ngx_http_gray_operator_t *
ngx_http_gray_tests_operator(ngx_http_gray_tests_compile_t *cp,
    ngx_http_gray_tests_e kind, const ngx_http_gray_path_t *path)
{
    char                             names[NGX_HTTP_GRAY_TESTS_NAMES];
    ngx_uint_t                       with;
    const ngx_http_gray_operator_t  *op;

    with = (kind == NGX_HTTP_GRAY_TESTS_NUMBER) ? NGX_HTTP_GRAY_TESTS_PART : 0;
    op = ngx_http_gray_tests_find(path->key);

    if (op && (op->with & with) == with) {
        return op;
    }

    ngx_http_gray_tests_names(names, sizeof(names), with, ", ");

    ngx_http_gray_json_fault(cp->faults, path,
                             "unknown operator; there are %s", names);
    return NULL;
}


/* is it a member that is no operator? */

static ngx_uint_t
ngx_http_gray_tests_modifier(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *member,
    const char **modifiers, ngx_uint_t cased, ngx_uint_t *bad)
{
    for ( /* void */ ; modifiers && *modifiers; modifiers++) {
        if (ngx_strcmp(path->key, *modifiers) == 0) {
            return 1;
        }
    }

    if (!cased || ngx_strcmp(path->key, "ignore_case") != 0) {
        return 0;
    }

    if (ngx_http_gray_json_type(member) != NGX_HTTP_GRAY_JSON_BOOLEAN) {
        *bad = 1;

        ngx_http_gray_json_fault(cp->faults, path, "must be true or false");
    }

    return 1;
}


static ngx_http_gray_test_t *
ngx_http_gray_tests_one(ngx_http_gray_tests_compile_t *cp,
    ngx_http_gray_tests_e kind, const ngx_http_gray_path_t *path,
    const ngx_http_gray_operator_t *op, ngx_uint_t ignore_case,
    const ngx_http_gray_json_t *operand)
{
    ngx_http_gray_test_t  *test;

    if (kind == NGX_HTTP_GRAY_TESTS_NUMBER
        && !ngx_http_gray_tests_percent(operand))
    {
        ngx_http_gray_json_fault(cp->faults, path,
                                 "must be a number within 0 to 100, of at "
                                 "most 4 decimals");

        return NULL;
    }

    test = ngx_http_gray_tests_alloc(cp, sizeof(ngx_http_gray_test_t));
    if (test == NULL) {
        return NULL;
    }

    test->name = op->name;
    test->match = op->match;
    test->negate = op->negate;
    test->ignore_case = ignore_case && (op->with & NGX_HTTP_GRAY_TESTS_CASED);

    if (op->operand(cp, path, operand, test) != NGX_OK) {
        return NULL;
    }

    return test;
}


/* a quotient of whole numbers rounds as the text of its decimals does */

static ngx_uint_t
ngx_http_gray_tests_percent(const ngx_http_gray_json_t *json)
{
    double  percent;

    if (ngx_http_gray_json_type(json) != NGX_HTTP_GRAY_JSON_NUMBER) {
        return 0;
    }

    percent = ngx_http_gray_json_value(json);

    return percent >= 0 && percent <= 100
           && (double) (int64_t) (percent * 10000 + 0.5) / 10000 == percent;
}


/* the names of the operators that go "with" it, or of all */

static void
ngx_http_gray_tests_names(char *buf, size_t size, ngx_uint_t with,
    const char *and)
{
    char                            *p, *last;
    ngx_uint_t                       n;
    const ngx_http_gray_operator_t  *op;

    p = buf;
    last = buf + size;
    n = 0;

    for (op = ngx_http_gray_operators; op->name; op++) {
        n += ((op->with & with) == with);
    }

    for (op = ngx_http_gray_operators; op->name; op++) {

        if ((op->with & with) != with) {
            continue;
        }

        p = (char *) ngx_slprintf((u_char *) p, (u_char *) last - 1, "%s%s",
                                  p == buf ? "" : n == 1 ? and : ", ",
                                  op->name);
        n--;
    }

    *p = '\0';
}
