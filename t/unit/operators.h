
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * What unit tests of operators share: tests from texts, values of the exact
 * size, tables of what holds, and lists.  A test that includes this names the
 * wrappers __wrap_ngx_http_gray_list_has and __wrap_ngx_http_gray_list_covers,
 * so that they are linked.
 */


#ifndef _OPERATORS_H_INCLUDED_
#define _OPERATORS_H_INCLUDED_


#include "unit.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ngx_http_gray_tests.h"


#define UNJUDGED  NGX_ERROR


/* a NULL value is absent */

typedef struct {
    const char  *test;
    const char  *value;
    ngx_int_t    truth;
} held_t;


/* the lists are "ids", "nets", and "gone", which cannot be read */

typedef struct {
    const char  *name;
    const char  *entries;
    ngx_uint_t   networks;
} list_t;


static ngx_log_t   quiet;
static ngx_uint_t  limited;
static ngx_uint_t  lists_known = 1;


static list_t  lists[] = {
    { "ids", " u1 u2 42 ", 0 },
    { "nets", " 10.0.0.7 2001:db8::1 ", 1 },
    { "gone", NULL, 0 }
};


ngx_int_t __wrap_ngx_http_gray_list_has(ngx_http_gray_list_t *list,
    const ngx_str_t *text, uint64_t hash);
ngx_int_t __wrap_ngx_http_gray_list_covers(ngx_http_gray_list_t *list,
    ngx_int_t family, ngx_http_gray_addr_t addr);


ngx_int_t
__wrap_ngx_http_gray_list_has(ngx_http_gray_list_t *list,
    const ngx_str_t *text, uint64_t hash)
{
    char     entry[64];
    list_t  *known_as;

    known_as = (list_t *) list;

    assert_true(hash == XXH3_64bits(text->data, text->len));

    (void) snprintf(entry, sizeof(entry), " %.*s ", (int) text->len,
                    (char *) text->data);

    return known_as->entries ? strstr(known_as->entries, entry) != NULL
                             : NGX_ERROR;
}


ngx_int_t
__wrap_ngx_http_gray_list_covers(ngx_http_gray_list_t *list,
    ngx_int_t family, ngx_http_gray_addr_t addr)
{
    ngx_str_t             text;
    ngx_http_gray_addr_t  entry;

    if (((list_t *) list)->entries == NULL) {
        return NGX_ERROR;
    }

    text = string(family == AF_INET ? "10.0.0.7" : "2001:db8::1");

    assert_int_equal(ngx_http_gray_value_inet(&text, &entry), family);

    return addr == entry;
}


/* where nobody wants to know of faults, a list may come later */

static ngx_inline ngx_int_t
known_list(void *data, ngx_str_t *name, ngx_uint_t networks,
    ngx_http_gray_list_t **list, char *why, size_t size)
{
    ngx_uint_t                      i;
    ngx_http_gray_tests_compile_t  *cp = data;

    for (i = 0; i < ITEMS(lists); i++) {

        if (strlen(lists[i].name) == name->len
            && memcmp(lists[i].name, name->data, name->len) == 0
            && (lists[i].networks || !networks || !cp->faults
                || lists[i].entries == NULL))
        {
            *list = (ngx_http_gray_list_t *) &lists[i];
            return NGX_OK;
        }
    }

    if (cp->faults == NULL) {
        *list = (ngx_http_gray_list_t *) &lists[2];
        return NGX_OK;
    }

    (void) snprintf(why, size, "no list \"%.*s\"%s", (int) name->len,
                    (char *) name->data, networks ? " of networks" : "");

    return NGX_DECLINED;
}


static ngx_inline ngx_http_gray_test_t *
compile_as(ngx_http_gray_tests_compile_t *cp, ngx_http_gray_faults_t *faults,
    ngx_http_gray_tests_e kind, const char *text)
{
    char                  *member;
    ngx_http_gray_json_t  *json;
    ngx_http_gray_path_t   path;
    ngx_http_gray_test_t  *test;

    static const char     *modifiers[] = { "of", "values", NULL };

    memset(cp, 0, sizeof(ngx_http_gray_tests_compile_t));

    cp->pool = ngx_create_pool(4096, &quiet);
    assert_non_null(cp->pool);
    cp->faults = faults;
    cp->limited = &limited;

    if (lists_known) {
        cp->data = cp;
        cp->list = known_list;
    }

    path.parent = NULL;
    path.key = "$v";

    member = malloc(strlen(text) + sizeof("{\"$v\": }"));
    assert_non_null(member);

    sprintf(member, "{\"$v\": %s}", text);
    json = parse(member);

    test = ngx_http_gray_tests_compile(cp, kind, &path,
                                       ngx_http_gray_json_first(json),
                                       kind == NGX_HTTP_GRAY_TESTS_TIME
                                       ? NULL : modifiers);

    ngx_http_gray_json_free(json);
    free(member);

    return test;
}


static ngx_inline ngx_http_gray_test_t *
compile(ngx_http_gray_tests_compile_t *cp, ngx_http_gray_faults_t *faults,
    const char *text)
{
    return compile_as(cp, faults, NGX_HTTP_GRAY_TESTS_VALUE, text);
}


/* a value of the exact size, so that a read behind the end is seen */

static ngx_inline ngx_int_t
hold_once(ngx_http_gray_test_t *test, const char *text, size_t len,
    ngx_uint_t again)
{
    ngx_int_t               rc;
    ngx_str_t               s;
    ngx_http_gray_value_t   value;

    if (text == NULL) {
        return ngx_http_gray_tests_hold(test, NULL);
    }

    s.len = len;
    s.data = malloc(len);
    assert_non_null(s.data);

    memcpy(s.data, text, len);

    memset(&value, 0, sizeof(ngx_http_gray_value_t));
    value.text = s;

    rc = ngx_http_gray_tests_hold(test, &value);

    /* what is known of the value by now changes nothing */

    if (again) {
        assert_int_equal(ngx_http_gray_tests_hold(test, &value), rc);
        assert_int_equal(ngx_http_gray_tests_failed(test, &value) == NULL,
                         rc == 1);
    }

    assert_ptr_equal(value.text.data, s.data);
    assert_memory_equal(s.data, text, len);
    free(s.data);

    return rc;
}


static ngx_inline ngx_int_t
hold(ngx_http_gray_test_t *test, const char *text, size_t len)
{
    return hold_once(test, text, len, 1);
}


/* all that is wrong in a table is told */

static ngx_inline void
check(const held_t *tests, ngx_uint_t n)
{
    ngx_int_t                       rc;
    ngx_uint_t                      i, wrong;
    ngx_http_gray_test_t           *test;
    ngx_http_gray_faults_t          faults;
    ngx_http_gray_tests_compile_t   cp;

    wrong = 0;

    for (i = 0; i < n; i++) {
        faults.n = 0;

        test = compile(&cp, &faults, tests[i].test);
        assert_faults(tests[i].test, &faults, "");
        assert_non_null(test);

        rc = hold(test, tests[i].value,
                  tests[i].value ? strlen(tests[i].value) : 0);

        if (rc != tests[i].truth) {
            wrong++;
            print_error("%s, \"%s\": %ld, must be %ld\n", tests[i].test,
                        tests[i].value ? tests[i].value : "(absent)",
                        (long) rc, (long) tests[i].truth);
        }

        ngx_destroy_pool(cp.pool);
    }

    assert_int_equal(wrong, 0);
}


#endif /* _OPERATORS_H_INCLUDED_ */
