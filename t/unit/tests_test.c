
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Operators: what operands are refused, and what holds for which value, or for
 * which of several.
 */


#include "operators.h"

#include <math.h>

/*
 * The wrappers to be linked: __wrap_malloc, __wrap_calloc, __wrap_realloc,
 * __wrap_posix_memalign, __wrap_pcre2_compile_8,
 * __wrap_pcre2_match_data_create_8, __wrap_pcre2_match_context_create_8;
 * __wrap_ngx_http_gray_list_has, __wrap_ngx_http_gray_list_covers
 */

#include "memory.h"


typedef struct {
    const char  *test;
    const char  *faults;
} refused_t;


static uint64_t  seed;


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

    /* true and false are strings */

    { "true", "true", 1 },
    { "true", "false", 0 },
    { "true", "True", 0 },
    { "true", "1", 0 },
    { "true", NULL, 0 },
    { "false", "false", 1 },
    { "false", NULL, 0 },
    { "[1, false]", "false", 1 },
    { "[1, false]", "1.0", 1 },
    { "[1, false]", "true", UNJUDGED },
    { "{\"eq\": true, \"ignore_case\": true}", "TRUE", 1 },
    { "{\"ne\": false}", "true", 1 },
    { "{\"ne\": false}", "false", 0 },

    { "{\"version_lt\": \"1.10\"}", "1.9", 1 },
    { "{\"version_lt\": \"1.10\"}", "1.10.0", 0 },
    { "{\"version_lt\": \"1.10\"}", "1.11", 0 },
    { "{\"version_lt\": \"1.10\"}", "x", UNJUDGED },
    { "{\"version_lt\": \"1.10\"}", NULL, 0 },
    { "{\"version_lte\": \"1.10\"}", "v1.10+5", 1 },
    { "{\"version_lte\": \"1.10\"}", "1.10.1", 0 },
    { "{\"version_lte\": \"1.10\"}", "1..1", UNJUDGED },
    { "{\"version_lte\": \"1.10\"}", NULL, 0 },
    { "{\"version_gt\": \"2.0.0-rc.1\"}", "2", 1 },
    { "{\"version_gt\": \"2.0.0-rc.1\"}", "2.0.0-rc.1", 0 },
    { "{\"version_gt\": \"2.0.0-rc.1\"}", "2.0.0-", UNJUDGED },
    { "{\"version_gt\": \"2.0.0-rc.1\"}", NULL, 0 },
    { "{\"version_gte\": \"2.0\"}", "2.0.0", 1 },
    { "{\"version_gte\": \"2.0\"}", "2.0.0-rc.9", 0 },
    { "{\"version_gte\": \"2.0\"}", "two", UNJUDGED },
    { "{\"version_gte\": \"2.0\"}", NULL, 0 },
    { "{\"version_gte\": \"2\", \"version_lt\": \"3\"}", "2.99", 1 },
    { "{\"version_gte\": \"2\", \"version_lt\": \"3\"}", "3", 0 },

    { "{\"in_list\": \"ids\"}", "u1", 1 },
    { "{\"in_list\": \"ids\"}", "u2", 1 },
    { "{\"in_list\": \"ids\"}", "u", 0 },
    { "{\"in_list\": \"ids\"}", "U1", 0 },
    { "{\"in_list\": \"ids\"}", NULL, 0 },
    { "{\"in_list\": \"gone\"}", "u1", UNJUDGED },
    { "{\"in_list\": \"gone\"}", NULL, 0 },
    { "{\"cidr_list\": \"nets\"}", "10.0.0.7", 1 },
    { "{\"cidr_list\": \"nets\"}", "::ffff:10.0.0.7", 1 },
    { "{\"cidr_list\": \"nets\"}", "10.0.0.8", 0 },
    { "{\"cidr_list\": \"nets\"}", "2001:db8::1", 1 },
    { "{\"cidr_list\": \"nets\"}", "2001:db8::2", 0 },
    { "{\"cidr_list\": \"nets\"}", "localhost", UNJUDGED },
    { "{\"cidr_list\": \"nets\"}", NULL, 0 },
    { "{\"cidr_list\": \"gone\"}", "10.0.0.7", UNJUDGED },

    /* what says which value is meant is no test */

    { "{\"of\": \"$x\", \"eq\": \"a\", \"values\": 5}", "a", 1 },
    { "{\"of\": \"$x\", \"eq\": \"a\", \"values\": 5}", "b", 0 },

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


/* what percent and time are compared with, and what lists there are */

static const struct {
    ngx_http_gray_tests_e   kind;
    const char             *test;
    const char             *faults;
} refused_kinds[] = {

#define PART  NGX_HTTP_GRAY_TESTS_NUMBER
#define TIME  NGX_HTTP_GRAY_TESTS_TIME
#define PARTS  " unknown operator; there are lt, lte, gt, gte"

    { PART, "\"10\"", "/$v" PERCENT },
    { PART, "[10]", "/$v" PERCENT },
    { PART, "true", "/$v" PERCENT },
    { PART, "null", "/$v" PERCENT },
    { PART, "-1", "/$v" PERCENT },
    { PART, "-0.0001", "/$v" PERCENT },
    { PART, "100.0001", "/$v" PERCENT },
    { PART, "101", "/$v" PERCENT },
    { PART, "0.00001", "/$v" PERCENT },
    { PART, "12.34567", "/$v" PERCENT },
    { PART, "{}", "/$v must have at least one operator" },
    { PART, "{\"of\": \"$x\"}", "/$v must have at least one operator" },
    { PART, "{\"eq\": 5}", "/$v/eq" PARTS },
    { PART, "{\"exists\": true}", "/$v/exists" PARTS },
    { PART, "{\"lt\": 5, \"ignore_case\": true}", "/$v/ignore_case" PARTS },
    { PART, "{\"lt\": 101, \"gte\": \"1\", \"gt\": null}",
      "/$v/lt" PERCENT "\n/$v/gte" PERCENT "\n/$v/gt" PERCENT },

    { TIME, "5",
      "/$v must be an object with at least one of after, before, days, from, "
      "to" },
    { TIME, "{}",
      "/$v must have at least one of after, before, days, from, to" },
    { TIME, "{\"eq\": 5}",
      "/$v/eq unknown member; there are after, before, days, from, to, "
      "utc_offset" }
};


static const refused_t  refused_lists[] = {
    { "{\"in_list\": \"vip\"}", "/$v/in_list no list \"vip\"" },
    { "{\"cidr_list\": \"ids\"}",
      "/$v/cidr_list no list \"ids\" of networks" }
};


static void
test_refused_kinds(void **state)
{
    ngx_uint_t                      i;
    ngx_http_gray_faults_t          faults;
    ngx_http_gray_tests_compile_t   cp;

    (void) state;

    for (i = 0; i < ITEMS(refused_kinds); i++) {
        faults.n = 0;

        assert_null(compile_as(&cp, &faults, refused_kinds[i].kind,
                               refused_kinds[i].test));
        assert_int_equal(cp.failed, 0);
        assert_faults(refused_kinds[i].test, &faults,
                      refused_kinds[i].faults);

        ngx_destroy_pool(cp.pool);

        assert_null(compile_as(&cp, NULL, refused_kinds[i].kind,
                               refused_kinds[i].test));
        ngx_destroy_pool(cp.pool);
    }
}


/* a list that there is not is no fault where it may come later */

static void
test_lists(void **state)
{
    ngx_uint_t                      i;
    ngx_http_gray_test_t           *test;
    ngx_http_gray_faults_t          faults;
    ngx_http_gray_tests_compile_t   cp;

    (void) state;

    for (i = 0; i < ITEMS(refused_lists); i++) {
        faults.n = 0;

        assert_null(compile(&cp, &faults, refused_lists[i].test));
        assert_faults(refused_lists[i].test, &faults,
                      refused_lists[i].faults);
        ngx_destroy_pool(cp.pool);

        test = compile(&cp, NULL, refused_lists[i].test);
        assert_non_null(test);
        ngx_destroy_pool(cp.pool);
    }

    test = compile(&cp, NULL, "{\"in_list\": \"vip\"}");
    assert_int_equal(hold(test, "u1", 2), UNJUDGED);
    ngx_destroy_pool(cp.pool);

    lists_known = 0;
    faults.n = 0;

    assert_null(compile(&cp, &faults, "{\"in_list\": \"ids\"}"));
    assert_faults("in_list", &faults, "/$v/in_list lists are not known here");
    ngx_destroy_pool(cp.pool);

    assert_null(compile(&cp, NULL, "{\"cidr_list\": \"nets\"}"));
    assert_int_equal(cp.failed, 0);
    ngx_destroy_pool(cp.pool);

    lists_known = 1;
}


/* values that are numbers, and no texts */

static const struct {
    ngx_http_gray_tests_e   kind;
    const char             *test;
    double                  number;
    ngx_int_t               truth;
} numeric[] = {

#define VALUE  NGX_HTTP_GRAY_TESTS_VALUE

    { VALUE, "5", 5, 1 },
    { VALUE, "5", 5.5, 0 },
    { VALUE, "5.5", 5.5, 1 },
    { VALUE, "\"5\"", 5, 1 },
    { VALUE, "\"5.0\"", 5, 0 },
    { VALUE, "\"-5\"", -5, 1 },
    { VALUE, "\"0\"", 0, 1 },
    { VALUE, "\"0\"", -0.0, 1 },
    { VALUE, "\"9007199254740992\"", 9007199254740992.0, 1 },
    { VALUE, "\"-9007199254740992\"", -9007199254740992.0, 1 },
    { VALUE, "\"9007199254740994\"", 9007199254740994.0, UNJUDGED },
    { VALUE, "\"5.5\"", 5.5, UNJUDGED },
    { VALUE, "{\"ne\": \"5.5\"}", 5.5, UNJUDGED },
    { VALUE, "{\"ne\": 5}", 5.5, 1 },
    { VALUE, "[\"a\", 5.5]", 5.5, 1 },
    { VALUE, "[\"a\", 5]", 5.5, UNJUDGED },
    { VALUE, "[\"a\", 5]", 6, 0 },
    { VALUE, "[\"a\", \"b\", \"c\", \"d\", \"4211\"]", 4211, 1 },
    { VALUE, "{\"prefix\": \"42\"}", 4211, 1 },
    { VALUE, "{\"prefix\": \"42\"}", 42.5, UNJUDGED },
    { VALUE, "{\"suffix\": \"11\"}", 4211, 1 },
    { VALUE, "{\"suffix\": \"5\"}", 42.5, UNJUDGED },
    { VALUE, "{\"contains\": \"21\"}", 4211, 1 },
    { VALUE, "{\"contains\": \".\"}", 42.5, UNJUDGED },
    { VALUE, "{\"regex\": \"^4.*1$\"}", 4211, 1 },
    { VALUE, "{\"regex\": \"^4\"}", 42.5, UNJUDGED },
    { VALUE, "{\"cidr\": \"0.0.0.0/0\"}", 5, UNJUDGED },
    { VALUE, "{\"lt\": 43}", 42.5, 1 },
    { VALUE, "{\"gte\": 42.5}", 42.5, 1 },
    { VALUE, "{\"gt\": 1e15}", 1e300, 1 },
    { VALUE, "{\"version_lt\": \"43.1\"}", 43, 1 },
    { VALUE, "{\"version_lt\": \"43.1\"}", 42.5, UNJUDGED },
    { VALUE, "{\"in_list\": \"ids\"}", 42, 1 },
    { VALUE, "{\"in_list\": \"ids\"}", 42.5, UNJUDGED },
    { VALUE, "{\"cidr_list\": \"nets\"}", 42, UNJUDGED },
    { VALUE, "{\"exists\": true}", 42.5, 1 },
    { VALUE, "{\"exists\": false}", 0, 0 },
    { VALUE, "{\"lt\": 5}", NAN, 0 },
    { VALUE, "\"nan\"", NAN, UNJUDGED },

    { PART, "0", 0, 0 },
    { PART, "100", 99.9999, 1 },
    { PART, "0.0001", 0, 1 },
    { PART, "0.0001", 0.0001, 0 },
    { PART, "33.3333", 33.3332, 1 },
    { PART, "33.3333", 33.3333, 0 },
    { PART, "{\"gte\": 10, \"lt\": 20}", 10, 1 },
    { PART, "{\"gte\": 10, \"lt\": 20}", 20, 0 },
    { PART, "{\"gt\": 10, \"lte\": 20, \"of\": \"$x\"}", 10, 0 },
    { PART, "{\"gt\": 10, \"lte\": 20, \"of\": \"$x\"}", 20, 1 },

    { TIME, "{\"after\": \"1970-01-01T00:01:40Z\"}", 100, 1 },
    { TIME, "{\"after\": \"1970-01-01T00:01:40Z\"}", 99, 0 },
    { TIME, "{\"days\": [\"thu\"], \"to\": \"12:00\"}", 43199, 1 },
    { TIME, "{\"days\": [\"thu\"], \"to\": \"12:00\"}", 43200, 0 }
};


static void
test_numeric(void **state)
{
    ngx_int_t                       rc;
    ngx_uint_t                      i, k, wrong;
    ngx_http_gray_test_t           *test;
    ngx_http_gray_value_t           value;
    ngx_http_gray_faults_t          faults;
    ngx_http_gray_tests_compile_t   cp;

    (void) state;

    wrong = 0;

    for (i = 0; i < ITEMS(numeric); i++) {
        faults.n = 0;

        test = compile_as(&cp, &faults, numeric[i].kind, numeric[i].test);
        assert_faults(numeric[i].test, &faults, "");
        assert_non_null(test);

        memset(&value, 0, sizeof(ngx_http_gray_value_t));
        value.number = numeric[i].number;
        value.numeric = NGX_HTTP_GRAY_IS;

        for (k = 0; k < 2; k++) {
            rc = ngx_http_gray_tests_hold(test, &value);

            if (rc != numeric[i].truth) {
                wrong++;
                print_error("%s, %.17g: %ld, must be %ld\n", numeric[i].test,
                            numeric[i].number, (long) rc,
                            (long) numeric[i].truth);
            }
        }

        ngx_destroy_pool(cp.pool);
    }

    assert_int_equal(wrong, 0);
}


/* several values, with a "|" between them, of which those that are empty do
   not count */

static const held_t  several[] = {
    { "\"b\"", "a|b", 1 },
    { "\"b\"", "a|c", 0 },
    { "\"b\"", "|b", 1 },
    { "\"b\"", "|", 0 },
    { "\"b\"", "||b", 1 },
    { "{\"ne\": \"b\"}", "a|b", 0 },
    { "{\"ne\": \"b\"}", "b|a", 0 },
    { "{\"ne\": \"b\"}", "a|c", 1 },
    { "{\"ne\": \"b\"}", "|", 1 },
    { "{\"in\": [\"a\", \"b\"]}", "c|d|a", 1 },
    { "{\"in\": [\"a\", \"b\"]}", "c|d|e", 0 },
    { "{\"not_in\": [\"a\", \"b\"]}", "c|d|a", 0 },
    { "{\"not_in\": [\"a\", \"b\"]}", "c|d|e", 1 },
    { "{\"prefix\": \"a\", \"suffix\": \"z\"}", "ab|yz", 1 },
    { "{\"prefix\": \"a\", \"suffix\": \"z\"}", "ab|zy", 0 },
    { "{\"regex\": \"^$\"}", "a|", 0 },
    { "{\"exists\": true}", "|", 0 },
    { "{\"exists\": true}", "|a", 1 },
    { "{\"exists\": false}", "|", 1 },
    { "{\"exists\": false}", "a|", 0 },

    /* in their order, as far as needed */

    { "{\"lt\": 5}", "4|x", 1 },
    { "{\"lt\": 5}", "x|4", UNJUDGED },
    { "{\"lt\": 5}", "6|4", 1 },
    { "{\"lt\": 5}", "6||x", UNJUDGED },
    { "{\"lt\": 5}", "|4", 1 },
    { "{\"ne\": 5}", "5|x", 0 },
    { "{\"ne\": 5}", "x|5", UNJUDGED },
    { "{\"ne\": 5}", "6|7", 1 },
    { "{\"cidr\": \"10.0.0.0/8\"}", "11.0.0.1|10.0.0.1", 1 },
    { "{\"in_list\": \"ids\"}", "u|u2", 1 },
    { "{\"version_gt\": \"2\"}", "1|2|3", 1 }
};


static ngx_int_t
hold_several(ngx_http_gray_test_t *test, const char *texts)
{
    char                   *text, *p;
    ngx_int_t               rc;
    ngx_uint_t              n;
    ngx_http_gray_value_t   values[8];

    memset(values, 0, sizeof(values));

    text = strdup(texts);
    assert_non_null(text);

    for (n = 0, p = text; p; n++) {
        assert_true(n < ITEMS(values));

        values[n].text.data = (u_char *) p;

        if (n) {
            values[n - 1].next = &values[n];
        }

        p = strchr(p, '|');

        if (p) {
            *p++ = '\0';
        }

        values[n].text.len = strlen((char *) values[n].text.data);
    }

    rc = ngx_http_gray_tests_hold(test, values);

    free(text);

    return rc;
}


static void
test_several(void **state)
{
    ngx_int_t                       rc;
    ngx_uint_t                      i, wrong;
    ngx_http_gray_test_t           *test;
    ngx_http_gray_tests_compile_t   cp;

    (void) state;

    wrong = 0;

    for (i = 0; i < ITEMS(several); i++) {

        test = compile(&cp, NULL, several[i].test);
        assert_non_null(test);

        rc = hold_several(test, several[i].value);

        if (rc != several[i].truth) {
            wrong++;
            print_error("%s, %s: %ld, must be %ld\n", several[i].test,
                        several[i].value, (long) rc,
                        (long) several[i].truth);
        }

        ngx_destroy_pool(cp.pool);
    }

    assert_int_equal(wrong, 0);
}


/* which test is to blame */

static void
test_failed(void **state)
{
    ngx_uint_t                      i;
    const char                     *name;
    ngx_http_gray_test_t           *test;
    ngx_http_gray_value_t           value;
    ngx_http_gray_tests_compile_t   cp;

    static const struct {
        ngx_http_gray_tests_e   kind;
        const char             *test;
        const char             *value;
        const char             *failed;
    } tests[] = {
        { VALUE, "\"a\"", "a", NULL },
        { VALUE, "\"a\"", "b", "eq" },
        { VALUE, "\"a\"", NULL, "eq" },
        { VALUE, "[\"a\"]", "b", "in" },
        { VALUE, "{\"prefix\": \"a\", \"lt\": 5}", "b", "prefix" },
        { VALUE, "{\"prefix\": \"a\", \"lt\": 5}", "a", "lt" },
        { VALUE, "{\"ne\": \"a\", \"not_in\": [\"b\"]}", "b", "not_in" },
        { VALUE, "{\"exists\": false}", "b", "exists" },
        { VALUE, "{\"exists\": false}", NULL, NULL },
        { VALUE, "{\"in_list\": \"gone\"}", "b", "in_list" },
        { PART, "5", "6", "lt" },
        { PART, "{\"gte\": 5, \"lt\": 6}", "6", "lt" },
        { TIME, "{\"to\": \"01:00\"}", "3600", "time" },
        { TIME, "{\"to\": \"01:00\"}", "3599", NULL }
    };

    (void) state;

    for (i = 0; i < ITEMS(tests); i++) {
        test = compile_as(&cp, NULL, tests[i].kind, tests[i].test);
        assert_non_null(test);

        memset(&value, 0, sizeof(ngx_http_gray_value_t));

        if (tests[i].value) {
            value.text = string(tests[i].value);
        }

        name = ngx_http_gray_tests_failed(test, tests[i].value ? &value
                                                               : NULL);

        if (tests[i].failed == NULL) {
            assert_null(name);

        } else {
            assert_non_null(name);
            assert_string_equal(name, tests[i].failed);
        }

        ngx_destroy_pool(cp.pool);
    }
}


/* the keys of an index, one behind another */

static ngx_int_t
note_key(void *data, const ngx_str_t *text, double number)
{
    char *notes = data;

    if (text && text->len == 4 && memcmp(text->data, "stop", 4) == 0) {
        return NGX_ABORT;
    }

    if (text) {
        sprintf(notes + strlen(notes), "%.*s,", (int) text->len,
                (char *) text->data);

    } else {
        sprintf(notes + strlen(notes), "#%g,", number);
    }

    return NGX_OK;
}


static void
test_keys(void **state)
{
    char                            notes[128];
    ngx_int_t                       rc;
    ngx_uint_t                      i, folded;
    ngx_http_gray_test_t           *test;
    ngx_http_gray_tests_compile_t   cp;

    static const struct {
        const char  *test;
        ngx_uint_t   max;
        ngx_int_t    rc;
        ngx_uint_t   folded;
        const char  *keys;
    } tests[] = {
        { "\"A\"", 1, NGX_OK, 0, "A," },
        { "5", 1, NGX_OK, 0, "#5," },
        { "true", 1, NGX_OK, 0, "true," },
        { "[\"b\", 7, \"a\", 5]", 4, NGX_OK, 0, "b,a,#5,#7," },
        { "[\"b\", 7, \"a\", 5]", 3, NGX_DECLINED, 0, "" },
        { "{\"in\": [\"B\", \"a\"], \"ignore_case\": true}", 9, NGX_OK, 1,
          "b,a," },
        { "{\"eq\": 5, \"ignore_case\": true}", 9, NGX_OK, 0, "#5," },
        { "[\"a\", \"stop\", \"b\"]", 9, NGX_ABORT, 0, "a," },
        { "{\"ne\": \"a\"}", 9, NGX_DECLINED, 0, "" },
        { "{\"not_in\": [\"a\"]}", 9, NGX_DECLINED, 0, "" },
        { "{\"prefix\": \"a\"}", 9, NGX_DECLINED, 0, "" },
        { "{\"exists\": true}", 9, NGX_DECLINED, 0, "" },
        { "{\"eq\": \"a\", \"exists\": true}", 9, NGX_DECLINED, 0, "" },
        { "{\"exists\": true, \"eq\": \"a\"}", 9, NGX_DECLINED, 0, "" },
        { "[\"e\", \"d\", \"c\", \"b\", \"a\"]", 5, NGX_OK, 0,
          "e,d,c,b,a," }
    };

    (void) state;

    for (i = 0; i < ITEMS(tests); i++) {
        test = compile(&cp, NULL, tests[i].test);
        assert_non_null(test);

        notes[0] = '\0';
        folded = 0;

        rc = ngx_http_gray_tests_keys(test, tests[i].max, &folded, note_key,
                                      notes);

        assert_int_equal(rc, tests[i].rc);
        assert_int_equal(folded, tests[i].folded);
        assert_string_equal(notes, tests[i].keys);

        ngx_destroy_pool(cp.pool);
    }

    assert_int_equal(ngx_http_gray_tests_keys(NULL, 9, &folded, note_key,
                                              notes),
                     NGX_DECLINED);
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
                         texts[k].text, (unsigned long) i,
                         (unsigned long) total,
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
        cmocka_unit_test(test_refused_kinds),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_numeric),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_failed),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_memory)
    };

    ngx_pagesize = getpagesize();

    return cmocka_run_group_tests(tests, NULL, NULL);
}
