
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Operators: what operands are refused, and what holds for which value, or for
 * which of several.  Addresses are compared with those of inet_pton(), and no
 * pattern of those that are known to explode may take long.
 */


#include "unit.h"

#include <arpa/inet.h>
#include <time.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ngx_http_gray_tests.h"

/*
 * The wrappers to be linked: __wrap_malloc, __wrap_calloc, __wrap_realloc,
 * __wrap_posix_memalign, __wrap_pcre2_compile_8,
 * __wrap_pcre2_match_data_create_8, __wrap_pcre2_match_context_create_8; and
 * below, __wrap_ngx_http_gray_list_has and __wrap_ngx_http_gray_list_covers
 */

#include "memory.h"


#define UNJUDGED  NGX_ERROR


typedef struct {
    const char  *test;
    const char  *faults;
} refused_t;


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
static uint64_t    seed;
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

    assert_true(hash == XXH64(text->data, text->len, 0));

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

static ngx_int_t
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


static ngx_http_gray_test_t *
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


static ngx_http_gray_test_t *
compile(ngx_http_gray_tests_compile_t *cp, ngx_http_gray_faults_t *faults,
    const char *text)
{
    return compile_as(cp, faults, NGX_HTTP_GRAY_TESTS_VALUE, text);
}


/*
 * A value of the exact size, so that a read behind the end is seen.  What it
 * is by now, it must be when it is asked again.
 */

static ngx_int_t
hold(ngx_http_gray_test_t *test, const char *text, size_t len)
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

    assert_int_equal(ngx_http_gray_tests_hold(test, &value), rc);
    assert_int_equal(ngx_http_gray_tests_failed(test, &value) == NULL,
                     rc == 1);

    assert_ptr_equal(value.text.data, s.data);
    assert_memory_equal(s.data, text, len);
    free(s.data);

    return rc;
}


/* all that is wrong in a table is told */

static void
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


#define SCALAR  " must be a string, a number, true or false"
#define STRING  " must be a string"
#define SCALARS                                                               \
    " must be an array of strings, numbers, true and false, not empty"
#define STRINGS                                                               \
    " must be a string, or an array of strings that is not empty"
#define EMPTY  " must not be empty; absent or empty is {\"exists\": false}"
#define PATTERN  " must be a pattern, a string that is not empty"
#define NETWORK                                                               \
    " must be an IPv4 or IPv6 address or network, as \"10.0.0.0/8\" or "      \
    "\"2001:db8::/32\""
#define NUMBER  " must be a number"
#define BOOLEAN  " must be true or false"
#define UNKNOWN                                                               \
    " unknown operator; there are eq, ne, in, not_in, prefix, suffix, "       \
    "contains, regex, cidr, lt, lte, gt, gte, version_lt, version_lte, "      \
    "version_gt, version_gte, in_list, cidr_list, exists"
#define VERSION                                                               \
    " must be a version, a string as \"2.10\" or \"1.0.0-rc.1\""
#define NAME  " must be the name of a list"
#define PERCENT  " must be a number within 0 to 100, of at most 4 decimals"
#define HOST(n)                                                               \
    " has host bits set behind its first " n " bits, which must be zero"


static const refused_t  refused[] = {

    /* the short forms */

    { "null", "/$v" SCALAR },
    { "\"\"", "/$v" EMPTY },
    { "[]", "/$v" SCALARS },
    { "[\"a\", \"\"]", "/$v/1" EMPTY },
    { "[null]", "/$v/0" SCALAR },
    { "[\"a\", [\"b\"], 1, {}]", "/$v/1" SCALAR "\n/$v/3" SCALAR },

    /* objects */

    { "{}", "/$v must have at least one operator" },
    { "{\"ignore_case\": true}", "/$v must have at least one operator" },
    { "{\"equals\": 1}", "/$v/equals" UNKNOWN },
    { "{\"EQ\": 1}", "/$v/EQ" UNKNOWN },
    { "{\"\": 1}", "/$v/" UNKNOWN },
    { "{\"a/b~c\": 1}", "/$v/a~1b~0c" UNKNOWN },
    { "{\"time\": {}}", "/$v/time" UNKNOWN },
    { "{\"of\": \"$x\"}", "/$v must have at least one operator" },
    { "{\"of\": \"$x\", \"off\": 1}", "/$v/off" UNKNOWN },
    { "{\"eq\": \"a\", \"ignore_case\": 1}", "/$v/ignore_case" BOOLEAN },
    { "{\"eq\": \"a\", \"ignore_case\": \"true\"}",
      "/$v/ignore_case" BOOLEAN },
    { "{\"lt\": 5, \"ignore_case\": true}",
      "/$v/ignore_case goes with eq, ne, in, not_in, prefix, suffix, "
      "contains and regex" },
    { "{\"exists\": true, \"cidr\": \"::1\", \"ignore_case\": true}",
      "/$v/ignore_case goes with eq, ne, in, not_in, prefix, suffix, "
      "contains and regex" },
    { "{\"eq\": null, \"x\": 1, \"lt\": \"5\", \"regex\": \"(\"}",
      "/$v/eq" SCALAR "\n/$v/x" UNKNOWN "\n/$v/lt" NUMBER "\n"
      "/$v/regex invalid pattern at offset 1: missing closing parenthesis" },

    /* eq, ne */

    { "{\"eq\": [\"a\"]}", "/$v/eq" SCALAR },
    { "{\"eq\": {\"a\": 1}}", "/$v/eq" SCALAR },
    { "{\"eq\": \"\"}", "/$v/eq" EMPTY },
    { "{\"ne\": null}", "/$v/ne" SCALAR },
    { "{\"ne\": \"\"}", "/$v/ne" EMPTY },

    /* in, not_in */

    { "{\"in\": \"a\"}", "/$v/in" SCALARS },
    { "{\"in\": []}", "/$v/in" SCALARS },
    { "{\"in\": {\"a\": \"b\"}}", "/$v/in" SCALARS },
    { "{\"not_in\": 5}", "/$v/not_in" SCALARS },
    { "{\"not_in\": [1, null, \"\"]}",
      "/$v/not_in/1" SCALAR "\n/$v/not_in/2" EMPTY },

    /* prefix, suffix, contains */

    { "{\"prefix\": 5}", "/$v/prefix" STRINGS },
    { "{\"prefix\": true}", "/$v/prefix" STRINGS },
    { "{\"prefix\": [true]}", "/$v/prefix/0" STRING },
    { "{\"prefix\": []}", "/$v/prefix" STRINGS },
    { "{\"prefix\": \"\"}", "/$v/prefix" EMPTY },
    { "{\"prefix\": [\"a\", 5]}", "/$v/prefix/1" STRING },
    { "{\"suffix\": null}", "/$v/suffix" STRINGS },
    { "{\"suffix\": [\"\"]}", "/$v/suffix/0" EMPTY },
    { "{\"contains\": {\"a\": \"b\"}}", "/$v/contains" STRINGS },
    { "{\"contains\": [[\"a\"]]}", "/$v/contains/0" STRING },

    /* regex */

    { "{\"regex\": 5}", "/$v/regex" STRINGS },
    { "{\"regex\": []}", "/$v/regex" STRINGS },
    { "{\"regex\": \"\"}", "/$v/regex" PATTERN },
    { "{\"regex\": [\"a\", \"\", 5]}",
      "/$v/regex/1" PATTERN "\n/$v/regex/2" PATTERN },
    { "{\"regex\": \"a(b\"}",
      "/$v/regex invalid pattern at offset 3: missing closing parenthesis" },
    { "{\"regex\": [\"a\", \"(b\"]}",
      "/$v/regex/1 invalid pattern at offset 2: missing closing parenthesis" },
    { "{\"regex\": \"a\\\\\"}",
      "/$v/regex invalid pattern at offset 2: \\ at end of pattern" },

    /* cidr */

    { "{\"cidr\": 5}", "/$v/cidr" STRINGS },
    { "{\"cidr\": []}", "/$v/cidr" STRINGS },
    { "{\"cidr\": \"\"}", "/$v/cidr" NETWORK },
    { "{\"cidr\": [\"::1\", 5, \"x\"]}",
      "/$v/cidr/1" NETWORK "\n/$v/cidr/2" NETWORK },
    { "{\"cidr\": \"10.0.0.0/33\"}", "/$v/cidr" NETWORK },
    { "{\"cidr\": \"10.0.0.0/-1\"}", "/$v/cidr" NETWORK },
    { "{\"cidr\": \"10.0.0.0/\"}", "/$v/cidr" NETWORK },
    { "{\"cidr\": \"10.0.0.0/8/8\"}", "/$v/cidr" NETWORK },
    { "{\"cidr\": \"10.0.0.0/255.0.0.0\"}", "/$v/cidr" NETWORK },
    { "{\"cidr\": \"10.0.0.0 /8\"}", "/$v/cidr" NETWORK },
    { "{\"cidr\": \"10.0.0.0/ 8\"}", "/$v/cidr" NETWORK },
    { "{\"cidr\": \"10.0.0.0/99999999999999999999\"}", "/$v/cidr" NETWORK },
    { "{\"cidr\": \"/8\"}", "/$v/cidr" NETWORK },
    { "{\"cidr\": \"10.0.0\"}", "/$v/cidr" NETWORK },
    { "{\"cidr\": \"10.0.0.256\"}", "/$v/cidr" NETWORK },
    { "{\"cidr\": \"10.0.0.0.0\"}", "/$v/cidr" NETWORK },
    { "{\"cidr\": \"localhost\"}", "/$v/cidr" NETWORK },
    { "{\"cidr\": \"1.2.3.4:80\"}", "/$v/cidr" NETWORK },
    { "{\"cidr\": \"::1/129\"}", "/$v/cidr" NETWORK },
    { "{\"cidr\": \"[::1]\"}", "/$v/cidr" NETWORK },
    { "{\"cidr\": \"2001:db8::g\"}", "/$v/cidr" NETWORK },
    { "{\"cidr\": \"fe80::1%eth0\"}", "/$v/cidr" NETWORK },
    { "{\"cidr\": \"10.0.0.1/8\"}", "/$v/cidr \"10.0.0.1/8\"" HOST("8") },
    { "{\"cidr\": \"10.0.0.1/31\"}", "/$v/cidr \"10.0.0.1/31\"" HOST("31") },
    { "{\"cidr\": \"128.0.0.0/0\"}", "/$v/cidr \"128.0.0.0/0\"" HOST("0") },
    { "{\"cidr\": \"::1/0\"}", "/$v/cidr \"::1/0\"" HOST("0") },
    { "{\"cidr\": \"2001:db8::1/64\"}",
      "/$v/cidr \"2001:db8::1/64\"" HOST("64") },
    { "{\"cidr\": [\"10.0.0.0/8\", \"::3/127\"]}",
      "/$v/cidr/1 \"::3/127\"" HOST("127") },

    /* lt, lte, gt, gte */

    { "{\"lt\": \"5\"}", "/$v/lt" NUMBER },
    { "{\"lte\": null}", "/$v/lte" NUMBER },
    { "{\"gt\": [5]}", "/$v/gt" NUMBER },
    { "{\"gte\": true}", "/$v/gte" NUMBER },

    /* versions */

    { "{\"version_lt\": 1.2}", "/$v/version_lt" VERSION },
    { "{\"version_lte\": \"\"}", "/$v/version_lte" VERSION },
    { "{\"version_gt\": \"1.x\"}", "/$v/version_gt" VERSION },
    { "{\"version_gte\": [\"1\"]}", "/$v/version_gte" VERSION },
    { "{\"version_lt\": \"1\", \"ignore_case\": true}",
      "/$v/ignore_case goes with eq, ne, in, not_in, prefix, suffix, "
      "contains and regex" },

    /* lists */

    { "{\"in_list\": 5}", "/$v/in_list" NAME },
    { "{\"in_list\": \"\"}", "/$v/in_list" NAME },
    { "{\"in_list\": [\"ids\"]}", "/$v/in_list" NAME },
    { "{\"cidr_list\": null}", "/$v/cidr_list" NAME },

    /* exists */

    { "{\"exists\": 1}", "/$v/exists" BOOLEAN },
    { "{\"exists\": \"false\"}", "/$v/exists" BOOLEAN },
    { "{\"exists\": null}", "/$v/exists" BOOLEAN }
};


static void
test_refused(void **state)
{
    ngx_uint_t                      i;
    ngx_http_gray_faults_t          faults;
    ngx_http_gray_tests_compile_t   cp;

    (void) state;

    for (i = 0; i < ITEMS(refused); i++) {
        faults.n = 0;

        assert_null(compile(&cp, &faults, refused[i].test));
        assert_int_equal(cp.failed, 0);
        assert_faults(refused[i].test, &faults, refused[i].faults);

        ngx_destroy_pool(cp.pool);

        /* nobody wants to know */

        assert_null(compile(&cp, NULL, refused[i].test));
        assert_int_equal(cp.failed, 0);

        ngx_destroy_pool(cp.pool);
    }
}


/* of a mapped network, the first 96 bits are no part of a prefix to choose */

static void
test_refused_mapped(void **state)
{
    ngx_uint_t                      i, wrong;
    ngx_http_gray_faults_t          faults;
    ngx_http_gray_tests_compile_t   cp;

    static const char *texts[] = {
        "{\"cidr\": \"::ffff:10.0.0.1/104\"}",
        "{\"cidr\": \"::ffff:10.0.0.0/8\"}",
        "{\"cidr\": \"::ffff:10.0.0.0/24\"}",
        "{\"cidr\": \"::ffff:0.0.0.0/95\"}",
        "{\"cidr\": \"::ffff:0:0/0\"}",
        "{\"cidr\": \"::ffff:0:0/32\"}",
        "{\"cidr\": \"::ffff:10.0.0.0/129\"}"
    };

    (void) state;

    wrong = 0;

    for (i = 0; i < ITEMS(texts); i++) {
        faults.n = 0;

        if (compile(&cp, &faults, texts[i]) != NULL) {
            print_error("%s is accepted\n", texts[i]);
            wrong++;

        } else {
            assert_int_equal(faults.n, 1);
            assert_string_equal(faults.fault[0].pointer, "/$v/cidr");
        }

        ngx_destroy_pool(cp.pool);
    }

    assert_int_equal(wrong, 0);
}


static const held_t  held[] = {

    /* the short forms */

    { "\"a\"", "a", 1 },
    { "\"a\"", "b", 0 },
    { "\"a\"", "A", 0 },
    { "\"a\"", "aa", 0 },
    { "\"aa\"", "a", 0 },
    { "\"a\"", NULL, 0 },
    { "5", "5", 1 },
    { "5", "6", 0 },
    { "5", "x", UNJUDGED },
    { "5", NULL, 0 },
    { "[\"a\", \"b\"]", "b", 1 },
    { "[\"a\", \"b\"]", "c", 0 },
    { "[\"a\", \"b\"]", NULL, 0 },
    { "[\"a\", 5]", "5.0", 1 },
    { "[\"a\", 5]", "a", 1 },
    { "[\"a\", 5]", "b", UNJUDGED },
    { "[5, 6, 7]", "7", 1 },
    { "[5, 6, 7]", "8", 0 },

    /* a string is no number */

    { "\"5\"", "5", 1 },
    { "\"5\"", "5.0", 0 },
    { "\"5\"", "x", 0 },

    { "{\"eq\": \"a\"}", "a", 1 },
    { "{\"eq\": \"a\"}", "A", 0 },
    { "{\"eq\": \"a\"}", NULL, 0 },
    { "{\"eq\": \"aB\", \"ignore_case\": true}", "Ab", 1 },
    { "{\"eq\": \"aB\", \"ignore_case\": true}", "Abc", 0 },
    { "{\"eq\": \"aB\", \"ignore_case\": true}", "A", 0 },
    { "{\"eq\": \"aB\", \"ignore_case\": false}", "Ab", 0 },
    { "{\"ignore_case\": true, \"eq\": \"[\"}", "{", 0 },
    { "{\"eq\": \"\xc3\xa9\", \"ignore_case\": true}", "\xc3\x89", 0 },
    { "{\"eq\": \"\xc3\xa9\", \"ignore_case\": true}", "\xc3\xa9", 1 },
    { "{\"eq\": 5, \"ignore_case\": true}", "5.0", 1 },

    { "{\"ne\": \"a\"}", "a", 0 },
    { "{\"ne\": \"a\"}", "b", 1 },
    { "{\"ne\": \"a\"}", NULL, 1 },
    { "{\"ne\": \"aB\", \"ignore_case\": true}", "AB", 0 },
    { "{\"ne\": 5}", "5.0", 0 },
    { "{\"ne\": 5}", "6", 1 },
    { "{\"ne\": 5}", "x", UNJUDGED },
    { "{\"ne\": 5}", NULL, 1 },

    { "{\"in\": [\"a\", \"b\"]}", "b", 1 },
    { "{\"in\": [\"a\", \"b\"]}", "c", 0 },
    { "{\"in\": [\"a\", \"b\"]}", NULL, 0 },
    { "{\"in\": [\"a\", \"a\"]}", "a", 1 },
    { "{\"in\": [\"a\", \"B\"], \"ignore_case\": true}", "b", 1 },

    /* more than a few are hashed */

    { "{\"in\": [\"a\", \"b\", \"c\", \"d\", \"e\"]}", "a", 1 },
    { "{\"in\": [\"a\", \"b\", \"c\", \"d\", \"e\"]}", "e", 1 },
    { "{\"in\": [\"a\", \"b\", \"c\", \"d\", \"e\"]}", "f", 0 },
    { "{\"in\": [\"a\", \"b\", \"c\", \"d\", \"e\"]}", "ab", 0 },
    { "{\"in\": [\"a\", \"a\", \"a\", \"a\", \"a\"]}", "a", 1 },
    { "{\"in\": [\"a\", \"a\", \"a\", \"a\", \"a\"]}", "b", 0 },
    { "{\"in\": [\"A\", \"B\", \"C\", \"D\", \"E\"], "
      "\"ignore_case\": true}", "d", 1 },
    { "{\"in\": [\"A\", \"B\", \"C\", \"D\", \"E\", 6], "
      "\"ignore_case\": true}", "6.0", 1 },

    { "{\"not_in\": [\"a\", \"b\"]}", "b", 0 },
    { "{\"not_in\": [\"a\", \"b\"]}", "c", 1 },
    { "{\"not_in\": [\"a\", \"b\"]}", NULL, 1 },
    { "{\"not_in\": [\"a\", 5]}", "b", UNJUDGED },
    { "{\"not_in\": [\"a\", 5]}", "a", 0 },
    { "{\"not_in\": [\"a\", \"b\", \"c\", \"d\", \"e\"]}", "c", 0 },

    { "{\"prefix\": \"ab\"}", "ab", 1 },
    { "{\"prefix\": \"ab\"}", "abc", 1 },
    { "{\"prefix\": \"ab\"}", "a", 0 },
    { "{\"prefix\": \"ab\"}", "xab", 0 },
    { "{\"prefix\": \"ab\"}", "ABc", 0 },
    { "{\"prefix\": \"ab\", \"ignore_case\": true}", "ABc", 1 },
    { "{\"prefix\": [\"x\", \"abcdef\", \"ab\"]}", "abc", 1 },
    { "{\"prefix\": \"ab\"}", NULL, 0 },

    { "{\"suffix\": \"bc\"}", "bc", 1 },
    { "{\"suffix\": \"bc\"}", "abc", 1 },
    { "{\"suffix\": \"bc\"}", "c", 0 },
    { "{\"suffix\": \"bc\"}", "bcd", 0 },
    { "{\"suffix\": \"bc\"}", "aBC", 0 },
    { "{\"suffix\": \"bc\", \"ignore_case\": true}", "aBC", 1 },
    { "{\"suffix\": [\"x\", \"bc\"]}", "abc", 1 },
    { "{\"suffix\": \"bc\"}", NULL, 0 },

    { "{\"contains\": \"bc\"}", "bc", 1 },
    { "{\"contains\": \"bc\"}", "abcd", 1 },
    { "{\"contains\": \"bc\"}", "bbc", 1 },
    { "{\"contains\": \"bc\"}", "b", 0 },
    { "{\"contains\": \"bc\"}", "bxc", 0 },
    { "{\"contains\": \"bc\"}", "aBCd", 0 },
    { "{\"contains\": \"bc\", \"ignore_case\": true}", "aBCd", 1 },
    { "{\"contains\": \"bc\", \"ignore_case\": true}", "aBC", 1 },
    { "{\"contains\": \"bc\", \"ignore_case\": true}", "BC", 1 },
    { "{\"contains\": \"bc\", \"ignore_case\": true}", "aB", 0 },
    { "{\"contains\": [\"x\", \"cd\"]}", "abcd", 1 },
    { "{\"contains\": \"bc\"}", NULL, 0 },

    { "{\"regex\": \"b+\"}", "abba", 1 },
    { "{\"regex\": \"^b+\"}", "abba", 0 },
    { "{\"regex\": \"b$\"}", "ab", 1 },
    { "{\"regex\": \"B\"}", "abba", 0 },
    { "{\"regex\": \"B\", \"ignore_case\": true}", "abba", 1 },
    { "{\"regex\": \"(?i)B\"}", "abba", 1 },
    { "{\"regex\": [\"x\", \"^a\"]}", "abba", 1 },
    { "{\"regex\": [\"x\", \"y\"]}", "abba", 0 },
    { "{\"regex\": \"^$\"}", NULL, 0 },
    { "{\"regex\": \"^.$\"}", "\xc3\xa9", 0 },
    { "{\"regex\": \"(*UTF)^.$\"}", "\xc3\xa9", 1 },
    { "{\"regex\": \"(*UTF)^.$\"}", "\xff", UNJUDGED },

    { "{\"lt\": 5}", "4.9", 1 },
    { "{\"lt\": 5}", "5", 0 },
    { "{\"lt\": 5}", "x", UNJUDGED },
    { "{\"lt\": 5}", NULL, 0 },
    { "{\"lte\": 5}", "5.0", 1 },
    { "{\"lte\": 5}", "5.1", 0 },
    { "{\"lte\": 5}", "x", UNJUDGED },
    { "{\"lte\": 5}", NULL, 0 },
    { "{\"gt\": 5}", "5.1", 1 },
    { "{\"gt\": 5}", "5", 0 },
    { "{\"gt\": 5}", "x", UNJUDGED },
    { "{\"gt\": 5}", NULL, 0 },
    { "{\"gte\": 5}", "5", 1 },
    { "{\"gte\": 5}", "4.99", 0 },
    { "{\"gte\": 5}", "x", UNJUDGED },
    { "{\"gte\": 5}", NULL, 0 },

    { "{\"exists\": true}", "a", 1 },
    { "{\"exists\": true}", NULL, 0 },
    { "{\"exists\": false}", "a", 0 },
    { "{\"exists\": false}", NULL, 1 },

    /* all of them must hold, in their order */

    { "{\"gte\": 5, \"lt\": 10}", "7", 1 },
    { "{\"gte\": 5, \"lt\": 10}", "10", 0 },
    { "{\"gte\": 5, \"lt\": 10}", "4", 0 },
    { "{\"prefix\": \"a\", \"lt\": 10}", "b", 0 },
    { "{\"prefix\": \"a\", \"lt\": 10}", "a", UNJUDGED },
    { "{\"lt\": 10, \"prefix\": \"a\"}", "b", UNJUDGED },
    { "{\"ne\": \"a\", \"exists\": true}", NULL, 0 },
    { "{\"ne\": \"a\", \"exists\": true}", "b", 1 },
    { "{\"ne\": \"a\", \"lt\": 10}", NULL, 0 }
};


static void
test_held(void **state)
{
    (void) state;

    check(held, ITEMS(held));
}


static const held_t  decimals[] = {
    { "5", "5", 1 },
    { "5", "5.0", 1 },
    { "5", "5.000000000000000000000000000000000000000000000000000000000000",
      1 },
    { "5", "05", 1 },
    { "5", "0000000000000000000000000000000000000005", 1 },
    { "5", "5.", UNJUDGED },
    { "5", ".5", UNJUDGED },
    { "5", "+5", UNJUDGED },
    { "5", " 5", UNJUDGED },
    { "5", "5 ", UNJUDGED },
    { "5", "5\n", UNJUDGED },
    { "5", "5,0", UNJUDGED },
    { "5", "5.0.0", UNJUDGED },
    { "5", "--5", UNJUDGED },
    { "5", "-", UNJUDGED },
    { "5", ".", UNJUDGED },
    { "5", "-.", UNJUDGED },
    { "5", "-.5", UNJUDGED },
    { "5", "5-", UNJUDGED },
    { "5", "5e0", UNJUDGED },
    { "1000", "1e3", UNJUDGED },
    { "5", "0x5", UNJUDGED },
    { "5", "inf", UNJUDGED },
    { "5", "nan", UNJUDGED },
    { "5", "\xd9\xa5", UNJUDGED },
    { "-5", "-5", 1 },
    { "-5", "-5.0", 1 },
    { "-5", "5", 0 },
    { "0", "-0", 1 },
    { "0", "-0.00", 1 },
    { "0", "0.0", 1 },
    { "-0", "0", 1 },
    { "{\"lt\": 0}", "-0", 0 },
    { "{\"gte\": 0}", "-0", 1 },
    { "{\"gte\": 0}", "-0.000000000000000000000000000000000000001", 0 },
    { "0.1", "0.1", 1 },
    { "0.1", "0.10", 1 },
    { "0.1", "0.1000000000000000055511151231257827", 1 },
    { "0.1", "0.1000000000000001", 0 },
    { "0.3", "0.3", 1 },
    { "0.30000000000000004", "0.3", 0 },
    { "123456789012345", "123456789012345", 1 },
    { "1234567890123456", "1234567890123456", 1 },
    { "1234567890123456", "1234567890123457", 0 },
    { "9007199254740992", "9007199254740992", 1 },
    { "9007199254740991", "9007199254740992", 0 },
    { "{\"gt\": 9007199254740992}",
      "1234567890123456789012345678901234567890", 1 },
    { "{\"lt\": -9007199254740992}",
      "-1234567890123456789012345678901234567890", 1 },
    { "{\"lt\": 5}", "4.999999999999999", 1 },
    { "{\"lt\": 5}", "4.99999999999999", 1 },
    { "{\"gt\": 5}", "5.000000000000001", 1 },
    { "{\"gt\": 0}", "0.000000000000000000000000000000000000000001", 1 },

    /* 63 characters are a number, 64 are not */

    { "{\"gt\": 5}",
      "100000000000000000000000000000000000000000000000000000000000000", 1 },
    { "{\"gt\": 5}",
      "1000000000000000000000000000000000000000000000000000000000000000",
      UNJUDGED }
};


static void
test_decimals(void **state)
{
    (void) state;

    check(decimals, ITEMS(decimals));
}


/* every short decimal is the number that strtod() has for it */

static void
test_decimals_random(void **state)
{
    char                            text[64], operand[64];
    double                          number;
    ngx_uint_t                      i, digits, point, k;
    ngx_http_gray_test_t           *test;
    ngx_http_gray_tests_compile_t   cp;

    (void) state;

    seed = 3;

    for (i = 0; i < 20000; i++) {
        digits = 1 + draw(&seed) % 17;
        point = draw(&seed) % (digits + 1);

        for (k = 0; k < digits; k++) {
            text[k] = '0' + draw(&seed) % 10;
        }

        if (point > 0 && point < digits) {
            memmove(text + point + 1, text + point, digits - point);
            text[point] = '.';
            digits++;
        }

        text[digits] = '\0';
        number = strtod(text, NULL);

        if (number > 9007199254740992) {
            continue;
        }

        sprintf(operand, "%.17g", number);

        test = compile(&cp, NULL, operand);
        assert_non_null(test);

        if (hold(test, text, digits) != 1) {
            fail_msg("%s is not %s", text, operand);
        }

        ngx_destroy_pool(cp.pool);
    }
}


static const held_t  networks[] = {
    { "{\"cidr\": \"10.0.0.0/8\"}", "10.0.0.0", 1 },
    { "{\"cidr\": \"10.0.0.0/8\"}", "10.255.255.255", 1 },
    { "{\"cidr\": \"10.0.0.0/8\"}", "9.255.255.255", 0 },
    { "{\"cidr\": \"10.0.0.0/8\"}", "11.0.0.0", 0 },
    { "{\"cidr\": \"10.0.0.0/8\"}", NULL, 0 },
    { "{\"cidr\": \"10.0.0.0/08\"}", "10.1.1.1", 1 },
    { "{\"cidr\": \"10.0.0.7\"}", "10.0.0.7", 1 },
    { "{\"cidr\": \"10.0.0.7\"}", "10.0.0.6", 0 },
    { "{\"cidr\": \"10.0.0.7/32\"}", "10.0.0.7", 1 },
    { "{\"cidr\": \"10.0.0.6/31\"}", "10.0.0.7", 1 },
    { "{\"cidr\": \"10.0.0.6/31\"}", "10.0.0.8", 0 },

    { "{\"cidr\": \"0.0.0.0/0\"}", "0.0.0.0", 1 },
    { "{\"cidr\": \"0.0.0.0/0\"}", "255.255.255.255", 1 },
    { "{\"cidr\": \"0.0.0.0/0\"}", "::", 0 },
    { "{\"cidr\": \"0.0.0.0/0\"}", "::1", 0 },
    { "{\"cidr\": \"0.0.0.0/0\"}", "::ffff:1.2.3.4", 1 },
    { "{\"cidr\": \"255.255.255.255\"}", "255.255.255.255", 1 },
    { "{\"cidr\": \"255.255.255.255\"}", "255.255.255.254", 0 },
    { "{\"cidr\": \"255.255.255.255/32\"}", "::ffff:255.255.255.255", 1 },
    { "{\"cidr\": \"128.0.0.0/1\"}", "255.255.255.255", 1 },
    { "{\"cidr\": \"128.0.0.0/1\"}", "127.255.255.255", 0 },

    { "{\"cidr\": \"::/0\"}", "::", 1 },
    { "{\"cidr\": \"::/0\"}", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1 },
    { "{\"cidr\": \"::/0\"}", "1.2.3.4", 0 },
    { "{\"cidr\": \"::/0\"}", "::ffff:1.2.3.4", 0 },
    { "{\"cidr\": \"::/0\"}", "::fffe:1.2.3.4", 1 },
    { "{\"cidr\": \"::1\"}", "::1", 1 },
    { "{\"cidr\": \"::1\"}", "0:0:0:0:0:0:0:1", 1 },
    { "{\"cidr\": \"::1\"}", "::2", 0 },
    { "{\"cidr\": \"::1/128\"}", "::1", 1 },
    { "{\"cidr\": \"2001:db8::/32\"}", "2001:db8::", 1 },
    { "{\"cidr\": \"2001:db8::/32\"}",
      "2001:DB8:ffff:ffff:ffff:ffff:ffff:ffff", 1 },
    { "{\"cidr\": \"2001:db8::/32\"}", "2001:db9::", 0 },
    { "{\"cidr\": \"2001:db8::/32\"}", "2001:db7:ffff::", 0 },
    { "{\"cidr\": \"8000::/1\"}", "ffff::", 1 },
    { "{\"cidr\": \"8000::/1\"}", "7fff::", 0 },

    /* mapped addresses are IPv4, wherever they stand */

    { "{\"cidr\": \"10.0.0.0/8\"}", "::ffff:10.1.2.3", 1 },
    { "{\"cidr\": \"10.0.0.0/8\"}", "::ffff:a01:203", 1 },
    { "{\"cidr\": \"10.0.0.0/8\"}", "::FFFF:0b01:203", 0 },
    { "{\"cidr\": \"::ffff:10.0.0.0/104\"}", "10.1.2.3", 1 },
    { "{\"cidr\": \"::ffff:10.0.0.0/104\"}", "::ffff:10.1.2.3", 1 },
    { "{\"cidr\": \"::ffff:10.0.0.0/104\"}", "11.1.2.3", 0 },
    { "{\"cidr\": \"::ffff:a00:0/104\"}", "10.1.2.3", 1 },
    { "{\"cidr\": \"::ffff:0:0/96\"}", "1.2.3.4", 1 },
    { "{\"cidr\": \"::ffff:0:0/96\"}", "::1", 0 },
    { "{\"cidr\": \"::ffff:10.1.2.3\"}", "10.1.2.3", 1 },
    { "{\"cidr\": \"::ffff:10.1.2.3/128\"}", "10.1.2.3", 1 },

    /* many, of both kinds, that overlap, touch, and hold each other */

    { "{\"cidr\": [\"10.1.0.0/16\", \"::1\", \"10.0.0.0/8\", \"10.2.0.0/16\"]}",
      "10.200.0.1", 1 },
    { "{\"cidr\": [\"10.1.0.0/16\", \"::1\", \"10.0.0.0/8\", \"10.2.0.0/16\"]}",
      "::1", 1 },
    { "{\"cidr\": [\"10.1.0.0/16\", \"::1\", \"10.0.0.0/8\", \"10.2.0.0/16\"]}",
      "11.0.0.1", 0 },
    { "{\"cidr\": [\"1.0.0.2\", \"1.0.0.0\", \"1.0.0.4\", \"1.0.0.2\"]}",
      "1.0.0.2", 1 },
    { "{\"cidr\": [\"1.0.0.2\", \"1.0.0.0\", \"1.0.0.4\", \"1.0.0.2\"]}",
      "1.0.0.4", 1 },
    { "{\"cidr\": [\"1.0.0.2\", \"1.0.0.0\", \"1.0.0.4\", \"1.0.0.2\"]}",
      "1.0.0.3", 0 },

    /* what is no address */

    { "{\"cidr\": \"0.0.0.0/0\"}", "1.2.3.4:80", UNJUDGED },
    { "{\"cidr\": \"0.0.0.0/0\"}", "1.2.3", UNJUDGED },
    { "{\"cidr\": \"0.0.0.0/0\"}", "1.2.3.4.5", UNJUDGED },
    { "{\"cidr\": \"0.0.0.0/0\"}", "1.2.3.256", UNJUDGED },
    { "{\"cidr\": \"0.0.0.0/0\"}", "1.2.3.-4", UNJUDGED },
    { "{\"cidr\": \"0.0.0.0/0\"}", " 1.2.3.4", UNJUDGED },
    { "{\"cidr\": \"0.0.0.0/0\"}", "1.2.3.4 ", UNJUDGED },
    { "{\"cidr\": \"0.0.0.0/0\"}", "1.2.3.4/32", UNJUDGED },
    { "{\"cidr\": \"0.0.0.0/0\"}", "1.2.3.4, 5.6.7.8", UNJUDGED },
    { "{\"cidr\": \"0.0.0.0/0\"}", "0x1.2.3.4", UNJUDGED },
    { "{\"cidr\": \"0.0.0.0/0\"}", "unix:", UNJUDGED },
    { "{\"cidr\": \"0.0.0.0/0\"}", "x", UNJUDGED },
    { "{\"cidr\": \"::/0\"}", "[::1]", UNJUDGED },
    { "{\"cidr\": \"::/0\"}", "[::1]:80", UNJUDGED },
    { "{\"cidr\": \"::/0\"}", "fe80::1%eth0", UNJUDGED },
    { "{\"cidr\": \"::/0\"}", "1::2::3", UNJUDGED },
    { "{\"cidr\": \"::/0\"}", "1:2:3:4:5:6:7", UNJUDGED },
    { "{\"cidr\": \"::/0\"}", "1:2:3:4:5:6:7:8:9", UNJUDGED },
    { "{\"cidr\": \"::/0\"}", "12345::", UNJUDGED },
    { "{\"cidr\": \"::/0\"}", ":::", UNJUDGED },
    { "{\"cidr\": \"::/0\"}", ":", UNJUDGED },
    { "{\"cidr\": \"::/0\"}", "::g", UNJUDGED }
};


static void
test_networks(void **state)
{
    (void) state;

    check(networks, ITEMS(networks));
}


/* what inet_pton() refuses is no address, in values and in operands */

static const held_t  malformed[] = {
    { "{\"cidr\": \"0.0.0.0/0\"}", "...", UNJUDGED },
    { "{\"cidr\": \"0.0.0.0/0\"}", "10...", UNJUDGED },
    { "{\"cidr\": \"0.0.0.0/0\"}", "1.2.3.", UNJUDGED },
    { "{\"cidr\": \"0.0.0.0/0\"}", ".1.2.3", UNJUDGED },
    { "{\"cidr\": \"0.0.0.0/0\"}", "1..2.3", UNJUDGED },
    { "{\"cidr\": \"0.0.0.0/0\"}", "010.1.2.3", UNJUDGED },
    { "{\"cidr\": \"0.0.0.0/0\"}", "1.2.3.00000000004", UNJUDGED },
    { "{\"cidr\": \"::/0\"}", "::1:", UNJUDGED },
    { "{\"cidr\": \"::/0\"}", "1:2:3:4:5:6:7:", UNJUDGED },
    { "{\"cidr\": \"::/0\"}", ":1:2:3:4:5:6:7", UNJUDGED },
    { "{\"cidr\": \"::/0\"}", "::00001", UNJUDGED },
    { "{\"cidr\": \"0.0.0.0/0\"}", "::ffff:1.2.3", UNJUDGED },
    { "{\"cidr\": \"0.0.0.0/0\"}", "::ffff:1.2..3", UNJUDGED },
    { "{\"cidr\": \"0.0.0.0/0\"}", "::ffff:...", UNJUDGED }
};


static void
test_malformed(void **state)
{
    ngx_uint_t                      i;
    ngx_http_gray_test_t           *test;
    ngx_http_gray_tests_compile_t   cp;

    /* nor does an address end at a NUL, or where a buffer does */

    static const struct {
        const char  *value;
        size_t       len;
    } values[] = {
        { "1.2.3.4\0", 8 },
        { "1.2.3.4\0.5", 10 },
        { "::1\0", 4 },
        { "0000:0000:0000:0000:0000:ffff:255.255.255.2550", 46 },
        { "0000:0000:0000:0000:0000:0000:0000:00000000000", 46 },
        { "1.2.3.4                                       ", 46 }
    };

    (void) state;

    test = compile(&cp, NULL, "{\"cidr\": [\"0.0.0.0/0\", \"::/0\"]}");
    assert_non_null(test);

    for (i = 0; i < ITEMS(values); i++) {
        assert_int_equal(hold(test, values[i].value, values[i].len),
                         UNJUDGED);
    }

    assert_int_equal(hold(test,
                          "0000:0000:0000:0000:0000:ffff:255.255.255.254",
                          45),
                     1);

    ngx_destroy_pool(cp.pool);

    check(malformed, ITEMS(malformed));
}


/* random texts that look like addresses, beside inet_pton() */

static void
test_addresses(void **state)
{
    char                            text[64];
    u_char                          addr[16];
    ngx_int_t                       rc, expected;
    ngx_uint_t                      i, k, n, wrong, valid;
    const char                     *part;
    ngx_http_gray_test_t           *test;
    ngx_http_gray_tests_compile_t   cp;

    static const char *parts[] = {
        "::", ":", "0", "1", "ffff", "abcd", "12345", "::ffff:", "::ffff:0:0",
        "1.2.3.4", ".", "1.2", "255", "256", "10.0.0.1", "2001:db8:", "fe80::",
        "1:2:3:4:5:6:", "1:2:3:4:5:6:7:8", "1:2:3", "00", "01", "g", "0.0.0.0"
    };

    (void) state;

    seed = 4;
    wrong = 0;
    valid = 0;

    test = compile(&cp, NULL, "{\"cidr\": [\"0.0.0.0/0\", \"::/0\"]}");
    assert_non_null(test);

    for (i = 0; i < 200000; i++) {

        n = 1 + draw(&seed) % 4;
        text[0] = '\0';

        for (k = 0; k < n; k++) {
            part = parts[draw(&seed) % ITEMS(parts)];

            if (strlen(text) + strlen(part) < 46) {
                strcat(text, part);
            }
        }

        expected = (inet_pton(AF_INET, text, addr) == 1
                    || inet_pton(AF_INET6, text, addr) == 1)
                   ? 1 : UNJUDGED;
        valid += (expected == 1);

        rc = hold(test, text, strlen(text));

        if (rc != expected && wrong++ < 20) {
            print_error("\"%s\": %ld, must be %ld\n", text, (long) rc,
                        (long) expected);
        }
    }

    ngx_destroy_pool(cp.pool);

    assert_true(valid > 10000);
    assert_int_equal(wrong, 0);
}


/* sets of many strings and networks, beside a walk through all of them */

static void
test_sets(void **state)
{
    char                            *p, *text, value[64];
    uint32_t                         addr, nets[300];
    ngx_uint_t                       i, k, n, bits[300], found, in, out;
    ngx_http_gray_test_t            *test;
    ngx_http_gray_tests_compile_t    cp;

    (void) state;

    seed = 5;
    in = 0;
    out = 0;

    text = malloc(100000);
    assert_non_null(text);

    for (i = 0; i < 200; i++) {

        n = 1 + draw(&seed) % ITEMS(nets);
        p = text + sprintf(text, "{\"cidr\": [");

        for (k = 0; k < n; k++) {
            bits[k] = 8 + draw(&seed) % 25;
            nets[k] = (uint32_t) draw(&seed) & 0x7fffffff;
            nets[k] &= 0xffffffffU << (32 - bits[k]);

            p += sprintf(p, "%s\"%u.%u.%u.%u/%lu\"", k ? ", " : "",
                         nets[k] >> 24, nets[k] >> 16 & 255,
                         nets[k] >> 8 & 255, nets[k] & 255,
                         (unsigned long) bits[k]);
        }

        strcpy(p, "]}");

        test = compile(&cp, NULL, text);
        assert_non_null(test);

        for (k = 0; k < 200; k++) {
            ngx_uint_t  j;

            /* near to one of the edges, mostly */

            j = draw(&seed) % n;
            addr = draw(&seed) % 4 ? nets[j] : (uint32_t) draw(&seed);
            addr += draw(&seed) % 2 ? 0 : 1U << (32 - bits[j]);
            addr += draw(&seed) % 3 - 1;

            found = 0;

            for (j = 0; j < n; j++) {
                found |= ((addr ^ nets[j]) >> (32 - bits[j])) == 0;
            }

            sprintf(value, "%u.%u.%u.%u", addr >> 24, addr >> 16 & 255,
                    addr >> 8 & 255, addr & 255);

            if (hold(test, value, strlen(value)) != (ngx_int_t) found) {
                fail_msg("%s, %s: must be %lu", text, value,
                         (unsigned long) found);
            }

            in += found;
            out += !found;
        }

        ngx_destroy_pool(cp.pool);

        /* n strings of a range, every other one */

        p = text + sprintf(text, "{\"in\": [");

        for (k = 0; k < n; k++) {
            p += sprintf(p, "%s\"k%lu\"", k ? ", " : "",
                         (unsigned long) k * 2);
        }

        strcpy(p, "], \"ignore_case\": true}");

        test = compile(&cp, NULL, text);
        assert_non_null(test);

        for (k = 0; k < 2 * n + 20; k++) {
            sprintf(value, "%c%lu", k % 3 ? 'k' : 'K', (unsigned long) k);
            assert_int_equal(hold(test, value, strlen(value)),
                             k % 2 == 0 && k < 2 * n);
        }

        ngx_destroy_pool(cp.pool);
    }

    free(text);

    assert_true(in > 5000);
    assert_true(out > 5000);
}


/*
 * Patterns and values of which each does something often: iterations within
 * iterations, alternatives that begin alike, an end that is never reached from
 * any of the places to start at, references, assertions.
 */

static const struct {
    const char  *pattern;
    const char  *unit;
    const char  *end;
} explosive[] = {
    { "(a+)+$", "a", "b" },
    { "^(a+)+$", "a", "b" },
    { "(a|aa)+$", "a", "b" },
    { "(a|a?)+$", "a", "b" },
    { "(.*)*[xy]", "a", "b" },
    { "(?:(?:a*)*)*[xy]", "a", "c" },
    { "([a-z]+\\\\.)+(com|org)$", "abc.", "" },
    { "(?:[^,]*,)*[^,]*(x|y)", "ab,", "" },
    { "(?:a?){30}a{30}[xy]", "a", "" },
    { "(?:a{0,500}){0,500}[xy]", "a", "c" },
    { "a*a*[xy]", "a", "c" },
    { "a*a*a*a*[xy]", "a", "c" },
    { "^a*a*a*a*[xy]", "a", "c" },
    { "(?<=a)a*a*[xy]", "a", "c" },
    { "a*?a*?a*?[xy]", "a", "c" },
    { ".*.*=.*[;,]", "a=", "" },
    { "\\\\s+$", " ", "x" },
    { "a.*b.*c.*[de]", "abc", "" },
    { "(a*)\\\\1*[xy]", "a", "c" },
    { "(a+)\\\\1+[xy]", "a", "c" },
    { "(?=(a+))a*[xy]\\\\1", "a", "c" },
    { "a*(?=a*+b)", "a", "c" },
    { "(?:a*(?=a*b)|a*(?!a*c))*[xy]", "a", "c" },
    { "((?=a*b)|a)*[xy]", "a", "c" },
    { "(?:(?!a*b)a)*[xy]", "a", "c" },
    { "(?>a*)*[xy]", "a", "c" },
    { "(?R)?a+[xy]", "a", "c" },
    { "(*UTF)\\\\X*[xy]", "a", "b" },
    { "(*LIMIT_MATCH=4000000000)(a+)+$", "a", "b" }
};


static ngx_uint_t
cpu_usec(void)
{
    struct timespec  ts;

    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts), 0);

    return ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


/*
 * How long this processor, as busy as it is now, takes for what takes a
 * millisecond of one that nobody else uses: a million dependent additions and
 * multiplications, which no sanitizer makes slower.
 */

static ngx_uint_t
reference_usec(void)
{
    uint64_t    n;
    ngx_uint_t  i, usec;

    n = 1;
    usec = cpu_usec();

    for (i = 0; i < 1000000; i++) {
        n = n * 3 + 1;
        __asm__ volatile ("" : "+r" (n));
    }

    return ngx_max(cpu_usec() - usec, 1);
}


static void
test_match_limit(void **state)
{
    char                            value[1100], text[128];
    size_t                          len;
    ngx_int_t                       rc;
    ngx_uint_t                      i, k, try, usec, wrong;
    double                          ratio, best;
    ngx_http_gray_test_t           *test;
    ngx_http_gray_faults_t          faults;
    ngx_http_gray_tests_compile_t   cp;

    static const size_t  sizes[] = { 60, 500, 1016 };

    (void) state;

    wrong = 0;

    for (i = 0; i < ITEMS(explosive); i++) {

        sprintf(text, "{\"regex\": \"%s\"}", explosive[i].pattern);

        faults.n = 0;
        test = compile(&cp, &faults, text);
        assert_faults(text, &faults, "");
        assert_non_null(test);

        for (k = 0; k < ITEMS(sizes); k++) {

            for (len = 0; len < sizes[k]; len += strlen(explosive[i].unit)) {
                strcpy(value + len, explosive[i].unit);
            }

            strcpy(value + len, explosive[i].end);
            len += strlen(explosive[i].end);

            best = 1000;

            /* the least of some, for others use the processor, too */

            for (try = 0; try < 3 || (try < 30 && best > 3); try++) {
                usec = cpu_usec();
                rc = hold(test, value, len);
                usec = cpu_usec() - usec;

                ratio = (double) usec / reference_usec();
                best = ngx_min(best, ratio);

                if (rc == 1) {
                    fail_msg("%s holds", text);
                }
            }

            /* 1 ms, and as much again as a sanitizer takes in the callout */

            if (best > 3) {
                wrong++;
                print_error("%s: %.1f ms for %lu bytes\n",
                            explosive[i].pattern, best, (unsigned long) len);
            }
        }

        ngx_destroy_pool(cp.pool);
    }

    assert_int_equal(wrong, 0);
}


/* whether or not it is under "not", or beside others */

static const held_t  unending[] = {
    { "{\"regex\": \"(a+)+$\"}",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
      UNJUDGED },
    { "{\"regex\": [\"x\", \"(a+)+$\", \"b\"]}",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
      UNJUDGED },
    { "{\"regex\": [\"b\", \"(a+)+$\"]}",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", 1 },
    { "{\"prefix\": \"a\", \"regex\": \"(a+)+$\"}",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
      UNJUDGED },
    { "{\"prefix\": \"b\", \"regex\": \"(a+)+$\"}",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", 0 },
    { "{\"regex\": \"(*LIMIT_MATCH=4000000000)(a+)+$\"}",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
      UNJUDGED },

    /* what people do write is within the limit */

    { "{\"regex\": "
      "\"(Mozilla|Opera).*(Windows|Linux).*(Chrome|Safari)/[0-9]+\"}",
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, "
      "like Gecko) Chrome/118.0.0.0 Safari/537.36", 1 },
    { "{\"regex\": \"^[^@ ]+@([a-z0-9-]+[.])+[a-z]{2,}$\"}",
      "somebody.with.a.long.name@mail.subdomain.department.example.com", 1 },
    { "{\"regex\": \"(bot|crawl|spider|slurp)\", \"ignore_case\": true}",
      "Mozilla/5.0 (compatible; ExampleBot/2.1; +http://example.com/bot.html)",
      1 },
    { "{\"regex\": \"(bot|crawl|spider|slurp)\", \"ignore_case\": true}",
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, "
      "like Gecko) Chrome/118.0.0.0 Safari/537.36", 0 },
    { "{\"regex\": \"^/api/v[0-9]+/(users|orders)/[0-9a-f-]{36}(/|$)\"}",
      "/api/v2/orders/123e4567-e89b-12d3-a456-426614174000/items", 1 }
};


static void
test_unending(void **state)
{
    (void) state;

    check(unending, ITEMS(unending));
}


/* values as long as a header may be by default are matched like short ones */

static void
test_long(void **state)
{
    static char                     value[8000];
    ngx_uint_t                      i;
    ngx_http_gray_test_t           *test;
    ngx_http_gray_tests_compile_t   cp;

    static const struct {
        const char  *test;
        ngx_int_t    truth;
    } tests[] = {
        { "{\"regex\": \"^a\"}", 1 },
        { "{\"regex\": \"^b\"}", 0 },
        { "{\"regex\": [\"^b\", \"a$\"]}", 1 },
        { "{\"regex\": \"bot|crawl|spider\"}", 0 },
        { "{\"regex\": \"(*NO_JIT)^a+$\"}", 1 },
        { "{\"regex\": \"[ab]*[ac]*[yz]\"}", UNJUDGED },
        { "{\"prefix\": \"a\"}", 1 },
        { "{\"suffix\": \"a\", \"contains\": \"aaaa\"}", 1 },
        { "{\"ne\": \"a\", \"not_in\": [\"b\"]}", 1 }
    };

    (void) state;

    memset(value, 'a', sizeof(value));

    for (i = 0; i < ITEMS(tests); i++) {
        test = compile(&cp, NULL, tests[i].test);
        assert_non_null(test);

        assert_int_equal(hold(test, value, sizeof(value)), tests[i].truth);

        ngx_destroy_pool(cp.pool);
    }
}


/* patterns that cost much before there is any value */

static void
test_large(void **state)
{
    char                            *p, *text;
    ngx_uint_t                       i, n;
    ngx_http_gray_test_t            *test;
    ngx_http_gray_faults_t           faults;
    ngx_http_gray_tests_compile_t    cp;

    (void) state;

    text = malloc(200000);
    assert_non_null(text);

    /* repetitions are code */

    faults.n = 0;
    assert_null(compile(&cp, &faults,
                        "{\"regex\": \"((a{100}){100}){60}\"}"));
    assert_int_equal(faults.n, 1);
    assert_string_equal(faults.fault[0].pointer, "/$v/regex");
    ngx_destroy_pool(cp.pool);

    /* groups */

    for (n = 100; n <= 101; n++) {
        p = text + sprintf(text, "{\"regex\": \"");

        for (i = 0; i < n; i++) {
            p += sprintf(p, "(a)?");
        }

        strcpy(p, "\"}");
        faults.n = 0;

        test = compile(&cp, &faults, text);

        assert_int_equal(test != NULL, n == 100);
        assert_int_equal(faults.n, n == 100 ? 0 : 1);

        ngx_destroy_pool(cp.pool);
    }

    /* in one document, however they are spread */

    for (n = 256; n <= 257; n++) {
        p = text + sprintf(text, "{\"regex\": [");

        for (i = 0; i < n; i++) {
            p += sprintf(p, "%s\"a%lu\"", i ? ", " : "", (unsigned long) i);
        }

        strcpy(p, "]}");
        faults.n = 0;

        test = compile(&cp, &faults, text);

        assert_int_equal(test != NULL, n == 256);
        assert_faults("patterns", &faults,
                      n == 256 ? ""
                               : "/$v/regex/256 is one pattern too many, a "
                                 "document may have 256");

        ngx_destroy_pool(cp.pool);
    }

    free(text);
}


/* what fails for want of memory is no fault of the document */

static void
test_memory(void **state)
{
    ngx_uint_t                      i, k, total;
    ngx_http_gray_json_t           *json;
    ngx_http_gray_path_t            path;
    ngx_http_gray_test_t           *test;
    ngx_http_gray_faults_t          faults;
    ngx_http_gray_tests_compile_t   cp;

    static const struct {
        ngx_http_gray_tests_e   kind;
        const char             *text;
    } texts[] = {
        { NGX_HTTP_GRAY_TESTS_VALUE, "\"a\"" },
        { NGX_HTTP_GRAY_TESTS_VALUE, "5" },
        { NGX_HTTP_GRAY_TESTS_VALUE,
          "[\"a\", \"b\", \"c\", \"d\", \"e\", 6, true]" },
        { NGX_HTTP_GRAY_TESTS_VALUE,
          "{\"in\": [\"a\", \"b\", \"c\", \"d\", \"e\"], "
          "\"ignore_case\": true}" },
        { NGX_HTTP_GRAY_TESTS_VALUE,
          "{\"prefix\": [\"a\", \"b\"], \"suffix\": \"c\", "
          "\"contains\": \"d\"}" },
        { NGX_HTTP_GRAY_TESTS_VALUE,
          "{\"regex\": [\"a\", \"b\"], \"cidr\": [\"10.0.0.0/8\", \"::1\"]}" },
        { NGX_HTTP_GRAY_TESTS_VALUE,
          "{\"lt\": 5, \"gte\": 6, \"version_lt\": \"1.2\", "
          "\"exists\": true}" },
        { NGX_HTTP_GRAY_TESTS_NUMBER, "12.5" },
        { NGX_HTTP_GRAY_TESTS_NUMBER, "{\"gte\": 10, \"lt\": 20}" },
        { NGX_HTTP_GRAY_TESTS_TIME,
          "{\"after\": \"2026-03-01T00:00:00Z\", \"days\": [\"mon\"]}" }
    };

    (void) state;

    path.parent = NULL;
    path.key = "$v";

    for (k = 0; k < ITEMS(texts); k++) {

        json = parse(texts[k].text);
        total = 1;

        for (i = 0; i <= total; i++) {

            memset(&cp, 0, sizeof(ngx_http_gray_tests_compile_t));
            faults.n = 0;
            cp.faults = &faults;
            cp.pool = ngx_create_pool(4096, &quiet);
            assert_non_null(cp.pool);

            allocations = 0;
            failing = i;

            test = ngx_http_gray_tests_compile(&cp, texts[k].kind, &path,
                                               json, NULL);

            failing = 0;

            if (i == 0) {
                total = allocations;
                assert_in_range(total, 1, 100);
            }

            assert_faults(texts[k].text, &faults, "");

            if ((test == NULL) != (i > 0) || cp.failed != (i > 0)) {
                fail_msg("%s, allocation %lu of %lu: %s, failed:%lu",
                         texts[k].text, (unsigned long) i, (unsigned long) total,
                         test ? "made" : "not made",
                         (unsigned long) cp.failed);
            }

            ngx_destroy_pool(cp.pool);
        }

        ngx_http_gray_json_free(json);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refused_mapped),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_decimals),
        cmocka_unit_test(test_decimals_random),
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_match_limit),
        cmocka_unit_test(test_unending),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_memory)
    };

    ngx_pagesize = getpagesize();

    return cmocka_run_group_tests(tests, NULL, NULL);
}
