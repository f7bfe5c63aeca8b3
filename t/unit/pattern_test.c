
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Patterns: none of those that are known to explode may take long, and what is
 * given up is counted.
 */


#include "operators.h"

#include <time.h>

/*
 * The wrappers to be linked: __wrap_ngx_http_gray_list_has,
 * __wrap_ngx_http_gray_list_covers
 */


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
 * millisecond of one that nobody else uses: additions and multiplications,
 * which no sanitizer makes slower.  Four at a time do not wait for each other,
 * as a match does not for most of what it does, so that whoever shares the
 * units of a core with it makes both slower.
 */

static ngx_uint_t
reference_usec(void)
{
    uint64_t    a, b, c, d;
    ngx_uint_t  i, usec;

    a = 1;
    b = 2;
    c = 3;
    d = 4;
    usec = cpu_usec();

    for (i = 0; i < 660000; i++) {
        a = a * 3 + 1;
        b = b * 5 + 1;
        c = c * 7 + 1;
        d = d * 9 + 1;
        __asm__ volatile ("" : "+r" (a), "+r" (b), "+r" (c), "+r" (d));
    }

    return ngx_max(cpu_usec() - usec, 1);
}


/*
 * What a match that does not hold takes, in times of the reference: the least
 * of some, for others use the processor, too.  1 is a millisecond, and as much
 * again is what a sanitizer takes in the callout.
 */

static double
match_takes(ngx_http_gray_test_t *test, const char *what, const char *value,
    size_t len, double enough)
{
    double      ratio, best;
    ngx_int_t   rc;
    ngx_uint_t  try, usec;

    best = 1000;

    for (try = 0; try < 3 || (try < 300 && best > enough); try++) {
        usec = cpu_usec();
        rc = hold_once(test, value, len, 0);
        usec = cpu_usec() - usec;

        ratio = (double) usec / reference_usec();
        best = ngx_min(best, ratio);

        if (rc == 1) {
            fail_msg("%s holds", what);
        }
    }

    return best;
}


static void
test_match_limit(void **state)
{
    char                            value[1100], text[128];
    size_t                          len;
    double                          best;
    ngx_uint_t                      i, k, wrong;
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

            best = match_takes(test, text, value, len, 3);

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


/*
 * What looks at many bytes without a callout: counts and back references.
 * "item" is repeated, with the number of the
 * alternative behind it, or stands alone where "n" is 0.  The value is "run"
 * times "unit" and then a "-", over and over, or "once": so an item ends just
 * before it would hold.
 */

static const struct {
    const char  *options;
    const char  *item;
    ngx_uint_t   n;
    const char  *unit;
    ngx_uint_t   run;
    ngx_uint_t   once;
} unseen[] = {
    { "", "[a-z]{3000}", 1, "a", 2999, 0 },
    { "", "[a-z]{3000}", 10, "a", 2999, 0 },
    { "", "[a-z]{3000}", 80, "a", 7900, 0 },
    { "", "[a-z]{2000}", 30, "a", 1999, 0 },
    { "", "[a-z]{500}", 30, "a", 499, 0 },
    { "", "[a-z]{100}", 90, "a", 99, 0 },
    { "", "[a-z]{63}", 90, "a", 62, 0 },
    { "", "[a-z]{1,3000}", 10, "a", 2999, 0 },
    { "", "[a-z]{3000,}", 10, "a", 2999, 0 },
    { "", "(?:[a-z]{3000})", 10, "a", 2999, 0 },
    { "(?i)", "[a-z]{2000}", 30, "A", 1999, 0 },
    { "(*NO_JIT)", "[a-z]{3000}", 10, "a", 2999, 0 },
    { "(*UTF)(*UCP)", "\\\\p{L}{2500}", 4, "\xc3\xa4", 2400, 0 },
    { "(*UTF)(*UCP)", "[\\\\p{L}\\\\p{N}]{2500}", 4, "\xc3\xa4", 2400,
      0 },

    { "", "(a+-).*?\\\\1", 0, "a", 1000, 1 },
    { "", "(a+-).*?\\\\1", 0, "a", 2000, 1 },
    { "(?i)", "(a+-).*?\\\\1", 0, "a", 2000, 1 },
    { "", "(?<n>a+-).*?\\\\k<n>", 0, "a", 2000, 1 },
    { "", "(a+-).*?(?:\\\\1|\\\\1|\\\\1)", 0, "a", 2000, 1 },
    { "", "(x)?(a+-).*?\\\\2", 0, "a", 2000, 1 },
    { "", "^(?=(a*)-)a*?(?:\\\\1c|\\\\1d|\\\\1e|\\\\1f|\\\\1g)", 0, "a",
      4000, 1 },
    { "(*UTF)(?i)", "^(?=(a*)-)a*?(?:\\\\1c|\\\\1d|\\\\1e|\\\\1f)", 0, "a",
      4000, 1 },
    { "", "(aa).*?\\\\1{1000}[xy]", 0, "a", 1999, 0 },
    { "", "(a{60}).*?\\\\1{65}[xy]", 0, "a", 3900, 0 }
};


static void
test_unseen(void **state)
{
    char                           *p, value[8000], text[4096];
    size_t                          len, unit;
    double                          best;
    ngx_uint_t                      i, k, wrong;
    ngx_http_gray_test_t           *test;
    ngx_http_gray_faults_t          faults;
    ngx_http_gray_tests_compile_t   cp;

    (void) state;

    wrong = 0;

    for (i = 0; i < ITEMS(unseen); i++) {
        p = text + sprintf(text, "{\"regex\": \"%s", unseen[i].options);

        if (unseen[i].n == 0) {
            p += sprintf(p, "%s", unseen[i].item);
        }

        for (k = 0; k < unseen[i].n; k++) {
            p += sprintf(p, "%s%s%lu", k ? "|" : "", unseen[i].item,
                         (unsigned long) k);
        }

        strcpy(p, "\"}");

        unit = strlen(unseen[i].unit);

        for (len = 0, k = 0; len + unit <= 7900; k++) {

            if (k == unseen[i].run) {
                value[len++] = '-';
                k = unseen[i].once ? 7900 : 0;
            }

            memcpy(value + len, unseen[i].unit, unit);
            len += unit;
        }

        faults.n = 0;
        test = compile(&cp, &faults, text);
        assert_faults(text, &faults, "");
        assert_non_null(test);

        best = match_takes(test, text, value, len, 6);

        /* a look at a byte may take longer than a callout for it */

        if (best > 6) {
            wrong++;
            print_error("%s%s, %lu times: %.1f ms for %lu bytes\n",
                        unseen[i].options, unseen[i].item,
                        (unsigned long) unseen[i].n, best,
                        (unsigned long) len);
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
      "/api/v2/orders/123e4567-e89b-12d3-a456-426614174000/items", 1 },

    /* what the JIT of PCRE2 cannot do */

    { "{\"regex\": \"^(?(?=a)ab|cd)$\"}", "ab", 1 },
    { "{\"regex\": \"^(?(?=a)ab|cd)$\"}", "cd", 1 },
    { "{\"regex\": \"^(?(?<!x)ab|cd)$\"}", "ac", 0 },
    { "{\"regex\": \"(?(?=a)(a+)+b|a)$\"}",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac",
      UNJUDGED }
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


/*
 * What takes a step or two for a byte is within the limit, and within the
 * stack that PCRE2 has for it: "unit" over and over, of "len" bytes in all.
 */

static const struct {
    const char  *test;
    const char  *unit;
    size_t       len;
    ngx_int_t    truth;
} linear[] = {
    { "{\"regex\": \"^(a|b)+$\"}", "a", 3000, 1 },
    { "{\"regex\": \"^(a|b)+$\"}", "ab", 7000, 1 },
    { "{\"regex\": \"^(a|b)+$\"}", "ac", 7000, 0 },
    { "{\"regex\": \"^(?:a|b)*$\"}", "ab", 7900, 1 },
    { "{\"regex\": \"(*NO_JIT)^(a|b)+$\"}", "a", 3000, 1 },
    { "{\"regex\": \"^(?:\\\\w+=\\\\w*&?)+$\"}", "a=1&", 7000, 1 },
    { "{\"regex\": \"^(?:\\\\w+=\\\\w*&?)+$\"}", "name=value&", 7700, 1 },
    { "{\"regex\": \"^(?:[a-z]+;)*$\"}", "abc;", 7900, 1 },

    /* counts, of what is everywhere, and nowhere */

    { "{\"regex\": \"[a-f0-9]{64}\"}", "0123456789abcdef", 7900, 1 },
    { "{\"regex\": \"[a-f0-9]{64}\"}", "g", 7900, 0 },
    { "{\"regex\": \"[a-f0-9]{64}\"}", "ag", 7900, 0 },
    { "{\"regex\": \"[a-f0-9]{64}\"}",
      "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde-",
      7900, 0 },

    /* back references */

    { "{\"regex\": \"^([a-z]{120}).*\\\\1$\"}", "a", 360, 1 },
    { "{\"regex\": \"(['=]).*?\\\\1$\"}", "=a'", 4500, 1 },
    { "{\"regex\": \"^.*?<(b)>.*</\\\\1>$\"}", "a <b>b</b>", 7900, 1 }
};


static void
test_linear(void **state)
{
    char                            value[8000];
    size_t                          len, unit;
    ngx_int_t                       rc;
    ngx_uint_t                      i, wrong;
    ngx_http_gray_test_t           *test;
    ngx_http_gray_tests_compile_t   cp;

    (void) state;

    wrong = 0;
    limited = 0;

    for (i = 0; i < ITEMS(linear); i++) {
        unit = strlen(linear[i].unit);

        for (len = 0; len < linear[i].len; len++) {
            value[len] = linear[i].unit[len % unit];
        }

        test = compile(&cp, NULL, linear[i].test);
        assert_non_null(test);

        rc = hold(test, value, len);

        if (rc != linear[i].truth) {
            wrong++;
            print_error("%s, %s...: %ld, must be %ld\n", linear[i].test,
                        linear[i].unit, (long) rc, (long) linear[i].truth);
        }

        ngx_destroy_pool(cp.pool);
    }

    assert_int_equal(wrong, 0);
    assert_int_equal(limited, 0);
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

    /* what looks back from each place */

    faults.n = 0;
    test = compile(&cp, &faults,
                   "{\"regex\": [\"a\\\\\\\\X\", \"a\\\\X\"]}");
    assert_null(test);
    assert_faults("X", &faults,
                  "/$v/regex/1 the pattern has \\X at offset 1, which is not "
                  "taken");
    ngx_destroy_pool(cp.pool);

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


/* what was given up is counted, what is no UTF-8 is not */

static void
test_limited(void **state)
{
    ngx_uint_t                      i;
    ngx_http_gray_test_t           *test;
    ngx_http_gray_value_t           value;
    ngx_http_gray_tests_compile_t   cp;

    static const struct {
        const char  *test;
        const char  *value;
        ngx_int_t    truth;
        ngx_uint_t   limited;
    } tests[] = {
        { "{\"regex\": \"(a+)+$\"}",
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", UNJUDGED, 1 },
        { "{\"regex\": [\"b$\", \"(a+)+$\"]}",
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", 1, 0 },
        { "{\"regex\": \"(a+)+$\"}", "aaab", 0, 0 },
        { "{\"regex\": \"(*UTF)^.$\"}", "\xff", UNJUDGED, 0 }
    };

    (void) state;

    for (i = 0; i < ITEMS(tests); i++) {
        test = compile(&cp, NULL, tests[i].test);
        assert_non_null(test);

        memset(&value, 0, sizeof(ngx_http_gray_value_t));
        value.text = string(tests[i].value);
        limited = 0;

        assert_int_equal(ngx_http_gray_tests_hold(test, &value),
                         tests[i].truth);
        assert_int_equal(limited, tests[i].limited);

        ngx_destroy_pool(cp.pool);
    }

    limited = 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_match_limit),
        cmocka_unit_test(test_unseen),
        cmocka_unit_test(test_unending),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_limited)
    };

    ngx_pagesize = getpagesize();

    return cmocka_run_group_tests(tests, NULL, NULL);
}
