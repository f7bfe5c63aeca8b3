
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * JSON, merge patch and JSON patch: tables of what is accepted and refused,
 * the tables of the two RFCs, random trees and texts from a fixed seed, and
 * every allocation failing once.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <locale.h>
#include <math.h>
#include <cmocka.h>

#include <cjson/cJSON.h>

#include "ngx_http_gray_json.h"
#include "ngx_http_gray_patch.h"


#define TEXT(s)  (s), sizeof(s) - 1
#define ITEMS(a)  (sizeof(a) / sizeof((a)[0]))


typedef struct {
    const char  *text;
    size_t       len;
    const char  *printed;
} accepted_t;


typedef struct {
    const char  *text;
    size_t       len;
    ngx_uint_t   line;
    ngx_uint_t   column;
    const char  *detail;
} refused_t;


typedef struct {
    const char  *target;
    const char  *patch;
    const char  *result;
} merge_t;


typedef struct {
    const char  *target;
    const char  *patch;
    ngx_int_t    rc;

    /* the result, or pointer and detail of the fault */
    const char  *result;
    const char  *detail;
} patch_t;


/* allocations so far, the one that fails, and blocks of cJSON not yet freed */

static ngx_uint_t  allocations;
static ngx_uint_t  failing;
static ngx_int_t   blocks;

/* what a locale has for a decimal point, where it is set */

static const char *point;

static uint64_t    seed;


void *__real_malloc(size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *p, size_t size);
double __real_strtod(const char *text, char **end);
double __wrap_strtod(const char *text, char **end);
int __wrap_snprintf(char *buf, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));


static ngx_uint_t
fails(void)
{
    return ++allocations == failing;
}


void *
__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}


void *
__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}


int
__wrap_snprintf(char *buf, size_t size, const char *fmt, ...)
{
    int      n;
    char    *p;
    va_list  args;

    va_start(args, fmt);
    n = vsnprintf(buf, size, fmt, args);
    va_end(args);

    p = point ? strchr(buf, '.') : NULL;

    if (p) {
        assert_in_range(n + strlen(point), 1, size);
        memmove(p + strlen(point), p + 1, strlen(p));
        memcpy(p, point, strlen(point));
        n += strlen(point) - 1;
    }

    return n;
}


double
__wrap_strtod(const char *text, char **end)
{
    char         buf[64];
    const char  *p;

    p = point ? strstr(text, point) : NULL;

    if (p == NULL) {
        return __real_strtod(text, end);
    }

    assert_null(end);
    sprintf(buf, "%.*s.%s", (int) (p - text), text, p + strlen(point));

    return __real_strtod(buf, NULL);
}


static void * CJSON_CDECL
cjson_malloc(size_t size)
{
    void  *p;

    p = fails() ? NULL : __real_malloc(size);

    blocks += (p != NULL);

    return p;
}


static void CJSON_CDECL
cjson_free(void *p)
{
    blocks -= (p != NULL);

    free(p);
}


static uint64_t
draw(uint64_t n)
{
    /* splitmix64 */

    uint64_t  z;

    seed += 0x9e3779b97f4a7c15ULL;

    z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    z ^= z >> 31;

    return z % n;
}


/* a copy of the exact size, so that a read behind the end is seen */

static ngx_http_gray_json_t *
parse_bytes(const char *text, size_t len, ngx_http_gray_json_error_t *err)
{
    u_char                *copy;
    ngx_http_gray_json_t  *tree;

    copy = __real_malloc(len ? len : 1);
    assert_non_null(copy);

    memcpy(copy, text, len);

    memset(err, 0x5a, sizeof(ngx_http_gray_json_error_t));

    tree = ngx_http_gray_json_parse(copy, len, err);

    free(copy);

    return tree;
}


static ngx_http_gray_json_t *
parse(const char *text)
{
    ngx_http_gray_json_t        *tree;
    ngx_http_gray_json_error_t   err;

    tree = parse_bytes(text, strlen(text), &err);

    if (tree == NULL) {
        fail_msg("%s: %s", text, err.detail);
    }

    return tree;
}


static void
assert_printed(const ngx_http_gray_json_t *node, ngx_uint_t pretty,
    const char *expected)
{
    ngx_str_t  text;

    assert_int_equal(ngx_http_gray_json_print(node, pretty, &text), NGX_OK);
    assert_string_equal((char *) text.data, expected);
    assert_int_equal(text.len, strlen(expected));

    free(text.data);
}


/* lists are whole: prev of the first is the last, only members have keys */

static void
assert_sound(const ngx_http_gray_json_t *node)
{
    const cJSON  *child, *prev;

    prev = NULL;

    for (child = node->child; child; child = child->next) {

        if (prev) {
            assert_ptr_equal(child->prev, prev);
        }

        if (cJSON_IsObject(node)) {
            assert_non_null(child->string);

        } else {
            assert_null(child->string);
        }

        assert_sound(child);
        prev = child;
    }

    if (prev) {
        assert_ptr_equal(node->child->prev, prev);
    }
}


static const accepted_t  accepted[] = {
    { TEXT("{}"), "{}" },
    { TEXT("[]"), "[]" },
    { TEXT("null"), "null" },
    { TEXT("true"), "true" },
    { TEXT("false"), "false" },
    { TEXT("\"\""), "\"\"" },
    { TEXT(" \t\r\n{ \"a\" : [ 1 , 2 ] } \n"), "{\"a\":[1,2]}" },
    { TEXT("{\"\":1}"), "{\"\":1}" },
    { TEXT("{\"a\":1,\"A\":2}"), "{\"a\":1,\"A\":2}" },
    { TEXT("{\"a\":{\"a\":{\"a\":1}}}"), "{\"a\":{\"a\":{\"a\":1}}}" },
    { TEXT("[{\"a\":1},{\"a\":2}]"), "[{\"a\":1},{\"a\":2}]" },

    { TEXT("0"), "0" },
    { TEXT("-0"), "0" },
    { TEXT("-0.0e0"), "0" },
    { TEXT("0e999"), "0" },
    { TEXT("0.000e-999"), "0" },
    { TEXT("1.5"), "1.5" },
    { TEXT("-1.5E+3"), "-1500" },
    { TEXT("1e-7"), "1e-07" },
    { TEXT("1e-300"), "1e-300" },
    { TEXT("0.1"), "0.1" },
    { TEXT("0.30000000000000004"), "0.30000000000000004" },
    { TEXT("5.00000000000000000000000"), "5" },
    { TEXT("500000000000000000000e-20"), "5" },
    { TEXT("0.1000000000000000055511151231257827021181583404541015625"),
      "0.1" },
    { TEXT("100.0000"), "100" },
    { TEXT("9007199254740991"), "9007199254740991" },
    { TEXT("9007199254740992"), "9007199254740992" },
    { TEXT("-9007199254740992"), "-9007199254740992" },
    { TEXT("9007199254740992.000"), "9007199254740992" },
    { TEXT("9.007199254740992e15"), "9007199254740992" },
    { TEXT("90071992547409920e-1"), "9007199254740992" },
    { TEXT("0.00009007199254740992e20"), "9007199254740992" },
    { TEXT("9e15"), "9000000000000000" },
    { TEXT("0.0000000000000000000000000000000000000000000000000000000000001"),
      "1e-61" },

    { TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
      "\"\\\"\\\\/\\u0008\\u000c\\n\\r\\t\"" },
    { TEXT("\"\\u0001\\u001F\\u007f\""), "\"\\u0001\\u001f\\u007f\"" },
    { TEXT("\"\x7f\""), "\"\\u007f\"" },
    { TEXT("\"\\u00e9\\u20AC\\ud83d\\uDE00\""),
      "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
    { TEXT("\"\xc2\x80\xdf\xbf\""), "\"\xc2\x80\xdf\xbf\"" },
    { TEXT("\"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\""),
      "\"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\"" },
    { TEXT("\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""),
      "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"" },
    { TEXT("\"\xef\xbb\xbf\""), "\"\xef\xbb\xbf\"" },
    { TEXT("\"\\ufeff\""), "\"\xef\xbb\xbf\"" },
    { TEXT("\"\\\\u0000\""), "\"\\\\u0000\"" },

    { TEXT("[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]"),
      "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]" },
    { TEXT("[[[[[[[[[[[[[[[[1,\"\"]]]]]]]]]]]]]]]]"),
      "[[[[[[[[[[[[[[[[1,\"\"]]]]]]]]]]]]]]]]" }
};


static void
test_accepted(void **state)
{
    ngx_uint_t                   i;
    const accepted_t            *test;
    ngx_http_gray_json_t        *tree;
    ngx_http_gray_json_error_t   err;

    (void) state;

    for (i = 0; i < ITEMS(accepted); i++) {
        test = &accepted[i];

        tree = parse_bytes(test->text, test->len, &err);

        if (tree == NULL) {
            fail_msg("%s: %lu:%lu: %s", test->text, (unsigned long) err.line,
                     (unsigned long) err.column, err.detail);
        }

        assert_sound(tree);
        assert_printed(tree, 0, test->printed);

        ngx_http_gray_json_free(tree);
    }
}


#define END        "unexpected end, expected "
#define VALUE      "expected a value"
#define KEY        "expected a key in double quotes"
#define RANGE      "number is not within -9007199254740992 to 9007199254740992"
#define DIGITS     "number has more digits than can be kept"
#define SMALL      "number is too close to 0, must be 0 or at least 1e-300"
#define LONG       "number is longer than 63 characters"
#define CONTROL    "control character in a string, must be written as "
#define ESCAPE     "invalid escape, must be one of "                          \
                   "\\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX"
#define HEX        "invalid escape, must be \\u and four hexadecimal digits"
#define SURROGATE  "lone surrogate, must be a high one followed by a low one"
#define BOM        "byte order mark, must be UTF-8 without it"
#define UTF8       "invalid UTF-8"
#define DEEP       "nested deeper than 16 levels"


static const refused_t  refused[] = {

    /* nothing, or too little */

    { TEXT(""), 1, 1, END "a value" },
    { TEXT(" \n\t "), 2, 3, END "a value" },
    { TEXT("["), 1, 2, END "a value or \"]\"" },
    { TEXT("[1"), 1, 3, END "\",\" or \"]\"" },
    { TEXT("[1,"), 1, 4, END "a value" },
    { TEXT("[1,\n"), 2, 1, END "a value" },
    { TEXT("{"), 1, 2, END "a key in double quotes or \"}\"" },
    { TEXT("{\"a"), 1, 4, END "the end of a string" },
    { TEXT("{\"a\""), 1, 5, END "\":\"" },
    { TEXT("{\"a\":"), 1, 6, END "a value" },
    { TEXT("{\"a\":1"), 1, 7, END "\",\" or \"}\"" },
    { TEXT("{\"a\":1,"), 1, 8, END "a key in double quotes" },
    { TEXT("\""), 1, 2, END "the end of a string" },
    { TEXT("\"\\"), 1, 2, ESCAPE },
    { TEXT("\"\\u12"), 1, 2, HEX },
    { TEXT("-"), 1, 2, END "a digit" },
    { TEXT("1."), 1, 3, END "a digit" },
    { TEXT("1e"), 1, 3, END "a digit" },
    { TEXT("1e+"), 1, 4, END "a digit" },
    { TEXT("tru"), 1, 1, VALUE },
    { TEXT("n"), 1, 1, VALUE },

    /* too much, or something else */

    { TEXT("{} {}"), 1, 4, "expected the end of the text" },
    { TEXT("{}\n{}\n"), 2, 1, "expected the end of the text" },
    { TEXT("1 2"), 1, 3, "expected the end of the text" },
    { TEXT("{}}"), 1, 3, "expected the end of the text" },
    { TEXT("{}\0"), 1, 3, "expected the end of the text" },
    { TEXT("{}\xef\xbb\xbf"), 1, 3, "expected the end of the text" },
    { TEXT("truex"), 1, 5, "expected the end of the text" },
    { TEXT("[1 2]"), 1, 4, "expected \",\" or \"]\"" },
    { TEXT("[1}"), 1, 3, "expected \",\" or \"]\"" },
    { TEXT("{\"a\":1]"), 1, 7, "expected \",\" or \"}\"" },
    { TEXT("{\"a\":1 \"b\":2}"), 1, 8, "expected \",\" or \"}\"" },
    { TEXT("{\"a\" 1}"), 1, 6, "expected \":\"" },
    { TEXT("{\"a\"=1}"), 1, 5, "expected \":\"" },
    { TEXT("{\n  \"a\": 1,\n}"), 3, 1, KEY },
    { TEXT("{,}"), 1, 2, KEY " or \"}\"" },
    { TEXT("{a:1}"), 1, 2, KEY " or \"}\"" },
    { TEXT("{'a':1}"), 1, 2, KEY " or \"}\"" },
    { TEXT("{1:1}"), 1, 2, KEY " or \"}\"" },
    { TEXT("{\"a\":1,,\"b\":2}"), 1, 8, KEY },
    { TEXT("{\"a\":}"), 1, 6, VALUE },
    { TEXT("[1,]"), 1, 4, VALUE },
    { TEXT("[,1]"), 1, 2, VALUE " or \"]\"" },
    { TEXT("]"), 1, 1, VALUE },
    { TEXT("NaN"), 1, 1, VALUE },
    { TEXT("[Infinity]"), 1, 2, VALUE " or \"]\"" },
    { TEXT("True"), 1, 1, VALUE },
    { TEXT("nil"), 1, 1, VALUE },
    { TEXT("'a'"), 1, 1, VALUE },
    { TEXT("\v1"), 1, 1, VALUE },
    { TEXT("\xc2\xa0" "1"), 1, 1, VALUE },
    { TEXT("\0"), 1, 1, VALUE },
    { TEXT("// note\n{}"), 1, 1, VALUE },
    { TEXT("[1, /* note */ 2]"), 1, 5, VALUE },
    { TEXT("{} # note"), 1, 4, "expected the end of the text" },

    /* numbers */

    { TEXT("01"), 1, 1, "leading zero in a number" },
    { TEXT("[-012]"), 1, 3, "leading zero in a number" },
    { TEXT("00"), 1, 1, "leading zero in a number" },
    { TEXT("+1"), 1, 1, VALUE },
    { TEXT(".5"), 1, 1, VALUE },
    { TEXT("-.5"), 1, 2, "expected a digit" },
    { TEXT("[1.]"), 1, 4, "expected a digit" },
    { TEXT("1.e5"), 1, 3, "expected a digit" },
    { TEXT("[1e]"), 1, 4, "expected a digit" },
    { TEXT("1e-x"), 1, 4, "expected a digit" },
    { TEXT("--1"), 1, 2, "expected a digit" },
    { TEXT("- 1"), 1, 2, "expected a digit" },
    { TEXT("-Infinity"), 1, 2, "expected a digit" },
    { TEXT("0x10"), 1, 2, "expected the end of the text" },
    { TEXT("1_000"), 1, 2, "expected the end of the text" },
    { TEXT("[1,5.5.5]"), 1, 7, "expected \",\" or \"]\"" },
    { TEXT("1e999"), 1, 1, RANGE },
    { TEXT("[0, -1e999]"), 1, 5, RANGE },
    { TEXT("1e99999999999999999999999999999"), 1, 1, RANGE },
    { TEXT("9007199254740993"), 1, 1, RANGE },
    { TEXT("-9007199254740993"), 1, 1, RANGE },
    { TEXT("9007199254740992.0001"), 1, 1, RANGE },
    { TEXT("9007199254740992000001e-6"), 1, 1, RANGE },
    { TEXT("9.0071992547409925e15"), 1, 1, RANGE },
    { TEXT("0.0009007199254740993e19"), 1, 1, RANGE },
    { TEXT("1e16"), 1, 1, RANGE },
    { TEXT("12345678901234567"), 1, 1, RANGE },
    { TEXT("5.0000000000000001"), 1, 1, DIGITS },
    { TEXT("5.0000000000000000001"), 1, 1, DIGITS },
    { TEXT("[-50000000000000000001e-19]"), 1, 2, DIGITS },
    { TEXT("0.300000000000000040001"), 1, 1, DIGITS },
    { TEXT("{\"weight\": 1e-999}"), 1, 12, SMALL },
    { TEXT("1e-302"), 1, 1, SMALL },
    { TEXT("1e-99999999999999999999999999999"), 1, 1, SMALL },
    { TEXT("0.00000000000000000000000000000000000000000000000000000000000001"),
      1, 1, LONG },

    /* strings */

    { TEXT("\"a\nb\""), 1, 3, CONTROL "\\u000a" },
    { TEXT("\"a\tb\""), 1, 3, CONTROL "\\u0009" },
    { TEXT("\"\0\""), 1, 2, CONTROL "\\u0000" },
    { TEXT("{\"\x1f\":1}"), 1, 3, CONTROL "\\u001f" },
    { TEXT("\"\\x41\""), 1, 2, ESCAPE },
    { TEXT("\"\\'\""), 1, 2, ESCAPE },
    { TEXT("\"\\U0041\""), 1, 2, ESCAPE },
    { TEXT("\"\\\0\""), 1, 2, ESCAPE },
    { TEXT("\"\\u12G4\""), 1, 2, HEX },
    { TEXT("\"\\u-123\""), 1, 2, HEX },
    { TEXT("\"\\u 123\""), 1, 2, HEX },
    { TEXT("\"ab\\u0000\""), 1, 4, "\\u0000 is not accepted" },
    { TEXT("{\"\\u0000\":1}"), 1, 3, "\\u0000 is not accepted" },
    { TEXT("\"\\ud800\""), 1, 2, SURROGATE },
    { TEXT("\"\\uDBFFx\""), 1, 2, SURROGATE },
    { TEXT("\"\\udc00\""), 1, 2, SURROGATE },
    { TEXT("\"\\ude00\\ud83d\""), 1, 2, SURROGATE },
    { TEXT("\"\\ud83d\\ud83d\""), 1, 2, SURROGATE },
    { TEXT("\"\\ud83d\\u0041\""), 1, 2, SURROGATE },
    { TEXT("\"\\ud83d\\ue000\""), 1, 2, SURROGATE },
    { TEXT("\"\\ud83d\\n\""), 1, 2, SURROGATE },

    /* bytes */

    { TEXT("\xef\xbb\xbf{}"), 1, 1, BOM },
    { TEXT("\xef\xbb\xbf"), 1, 1, BOM },
    { TEXT("\xef\xbb{}"), 1, 1, VALUE },
    { TEXT("\xff\xfe{\0}\0"), 1, 1, VALUE },
    { TEXT("[\0" "1\0]\0"), 1, 2, VALUE " or \"]\"" },
    { TEXT("\"\x80\""), 1, 2, UTF8 },
    { TEXT("\"\xbf\""), 1, 2, UTF8 },
    { TEXT("\"a\xe9z\""), 1, 3, UTF8 },
    { TEXT("\"\xc3\""), 1, 2, UTF8 },
    { TEXT("\"\xc3"), 1, 2, UTF8 },
    { TEXT("\"\xe2\x82\""), 1, 2, UTF8 },
    { TEXT("\"\xe2\x82"), 1, 2, UTF8 },
    { TEXT("\"\xf0\x9f\x98\""), 1, 2, UTF8 },
    { TEXT("\"\xf0\x9f\x98"), 1, 2, UTF8 },
    { TEXT("\"\xe2\x28\xa1\""), 1, 2, UTF8 },
    { TEXT("\"\xf0\x9f\x28\x80\""), 1, 2, UTF8 },
    { TEXT("\"\xc0\x80\""), 1, 2, UTF8 },
    { TEXT("\"\xc0\xaf\""), 1, 2, UTF8 },
    { TEXT("\"\xc1\xbf\""), 1, 2, UTF8 },
    { TEXT("\"\xe0\x80\xaf\""), 1, 2, UTF8 },
    { TEXT("\"\xe0\x9f\xbf\""), 1, 2, UTF8 },
    { TEXT("\"\xf0\x80\x80\xaf\""), 1, 2, UTF8 },
    { TEXT("\"\xf0\x8f\xbf\xbf\""), 1, 2, UTF8 },
    { TEXT("\"\xed\xa0\x80\""), 1, 2, UTF8 },
    { TEXT("\"\xed\xbf\xbf\""), 1, 2, UTF8 },
    { TEXT("\"\xf4\x90\x80\x80\""), 1, 2, UTF8 },
    { TEXT("\"\xf5\x80\x80\x80\""), 1, 2, UTF8 },
    { TEXT("\"\xfe\""), 1, 2, UTF8 },
    { TEXT("\"\xff\""), 1, 2, UTF8 },
    { TEXT("{\n\"\xc3\xa9\":\"\xff\"}"), 2, 7, UTF8 },

    /* duplicates */

    { TEXT("{\"a\":1,\"a\":1}"), 1, 8, "duplicate key \"a\"" },
    { TEXT("{\"a\":1,\"\\u0061\":2}"), 1, 8, "duplicate key \"\\u0061\"" },
    { TEXT("{\"\\u0061\":1,\n \"a\":2}"), 2, 2, "duplicate key \"a\"" },
    { TEXT("{\"\":1,\"b\":2,\"\":3}"), 1, 13, "duplicate key \"\"" },
    { TEXT("{\"a\":1,\"b\":2,\"b\":3,\"a\":4}"), 1, 14,
      "duplicate key \"b\"" },
    { TEXT("{\"b\":1,\"a\":2,\"a\":3,\"b\":4}"), 1, 14,
      "duplicate key \"a\"" },
    { TEXT("{\"x\":{\"a\":[{\"k\":1},\n{\"k\":2,\"j\":0,\"k\":3}]}}"), 2, 14,
      "duplicate key \"k\"" },
    { TEXT("{\"a\":{\"x\":1,\"y\":{}},\"b\":0,\"a\":2}"), 1, 27,
      "duplicate key \"a\"" },
    { TEXT("{\"\xc3\xa9\":1,\"\\u00e9\":2}"), 1, 9,
      "duplicate key \"\\u00e9\"" },
    { TEXT("{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}"), 1, 19,
      "duplicate key \"\xf0\x9f\x98\x80\"" },
    { TEXT("{\"a/b\":1,\"a\\/b\":2}"), 1, 10, "duplicate key \"a\\/b\"" },

    /* a key that is long is cut, not inside of a character */

#define K31  "0123456789012345678901234567890"
#define K95  K31 K31 K31 "01"

    { TEXT("{\"" K95 "\xc3\xa9z\":1,\"" K95 "\xc3\xa9z\":2}"), 1, 105,
      "duplicate key \"" K95 "\"" },
    { TEXT("{\"" K95 "yz\":1,\"" K95 "yz\":2}"), 1, 104,
      "duplicate key \"" K95 "y\"" },

    /* depth */

    { TEXT("[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]"), 1, 17, DEEP },
    { TEXT("[[[[[[[[[[[[[[[[{}]]]]]]]]]]]]]]]]"), 1, 17, DEEP },
    { TEXT("[[[[[[[[[[[[[[[[["), 1, 17, DEEP },
    { TEXT("{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":"
           "\n"
           "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{"),
      2, 41, DEEP }
};


static void
test_refused(void **state)
{
    ngx_uint_t                   i;
    const refused_t             *test;
    ngx_http_gray_json_t        *tree;
    ngx_http_gray_json_error_t   err;

    (void) state;

    for (i = 0; i < ITEMS(refused); i++) {
        test = &refused[i];

        tree = parse_bytes(test->text, test->len, &err);

        if (tree != NULL) {
            fail_msg("case %lu is accepted: %s", (unsigned long) i,
                     test->text);
        }

        if (err.line != test->line || err.column != test->column
            || strcmp(err.detail, test->detail) != 0)
        {
            fail_msg("case %lu: %s: %lu:%lu: %s", (unsigned long) i,
                     test->text, (unsigned long) err.line,
                     (unsigned long) err.column, err.detail);
        }
    }

    /* a body that is empty has no data either */

    assert_null(ngx_http_gray_json_parse(NULL, 0, &err));
    assert_int_equal(err.line, 1);
    assert_int_equal(err.column, 1);
    assert_string_equal(err.detail, END "a value");
}


/* every document that is cut off is refused at its end */

static void
test_cut_off(void **state)
{
    size_t                       len;
    ngx_http_gray_json_t        *tree;
    ngx_http_gray_json_error_t   err;

    static const char  text[] = "{\"a\": [1.5e3, true, null, {}],"
                                " \"\\u00e9\xc3\xa9\": \"x\"}";

    (void) state;

    for (len = 0; len < sizeof(text) - 1; len++) {
        tree = parse_bytes(text, len, &err);

        assert_null(tree);
        assert_int_equal(err.line, 1);
        assert_in_range(err.column, len > 6 ? len - 6 : 1, len + 1);
    }

    tree = parse_bytes(text, len, &err);
    assert_non_null(tree);
    ngx_http_gray_json_free(tree);
}


/* as many members as a document of 1 MB can hold, in the opposite order too */

static void
test_large(void **state)
{
    char                        *text[3], *p;
    ngx_uint_t                   i, n;
    ngx_http_gray_json_t        *tree, *other;
    ngx_http_gray_json_error_t   err;

    (void) state;

    n = 100000;

    for (i = 0; i < 3; i++) {
        text[i] = __real_malloc(n * 11 + 16);
        assert_non_null(text[i]);
    }

    p = text[0];

    for (i = 0; i < n; i++) {
        p += sprintf(p, "%s\"k%05lu\":1", i ? "," : "{", (unsigned long) i);
    }

    strcpy(p, "}");

    p = text[1];

    for (i = n; i > 0; i--) {
        p += sprintf(p, "%s\"k%05lu\":1", i < n ? "," : "{",
                     (unsigned long) i - 1);
    }

    strcpy(p, "}");

    sprintf(text[2], "%.*s,\"k00000\":1}", (int) strlen(text[0]) - 1,
            text[0]);

    tree = parse(text[0]);
    other = parse(text[1]);

    assert_int_equal(ngx_http_gray_json_count(tree), n);
    assert_true(ngx_http_gray_json_equal(tree, other));

    /* half of them replaced, then every one of them new */

    memset(strstr(text[1], "\"k49999"), ' ',
           strlen(strstr(text[1], "\"k49999")));
    *strrchr(text[1], ',') = '}';
    ngx_http_gray_json_free(other);
    other = parse(text[1]);

    assert_int_equal(ngx_http_gray_patch_merge(&tree, other), NGX_OK);
    assert_int_equal(ngx_http_gray_json_count(tree), n);

    ngx_http_gray_json_free(tree);
    tree = ngx_http_gray_json_null();
    assert_int_equal(ngx_http_gray_patch_merge(&tree, other), NGX_OK);
    assert_true(ngx_http_gray_json_equal(tree, other));

    ngx_http_gray_json_free(tree);
    ngx_http_gray_json_free(other);

    assert_null(parse_bytes(text[2], strlen(text[2]), &err));
    assert_int_equal(err.line, 1);
    assert_int_equal(err.column, strlen(text[0]) + 1);
    assert_string_equal(err.detail, "duplicate key \"k00000\"");

    for (i = 0; i < 3; i++) {
        free(text[i]);
    }
}


static void
test_readers(void **state)
{
    ngx_str_t              text;
    ngx_http_gray_json_t  *tree, *node;

    (void) state;

    tree = parse("{\"null\":null,\"no\":false,\"yes\":true,\"number\":-2.5,"
                 "\"string\":\"a\\u00e9\",\"array\":[1,[2],\"3\"],"
                 "\"object\":{\"\":0}}");

    assert_int_equal(ngx_http_gray_json_type(tree), NGX_HTTP_GRAY_JSON_OBJECT);
    assert_int_equal(ngx_http_gray_json_count(tree), 7);
    assert_null(ngx_http_gray_json_key(tree));

    node = ngx_http_gray_json_first(tree);
    assert_int_equal(ngx_http_gray_json_type(node), NGX_HTTP_GRAY_JSON_NULL);
    assert_string_equal(ngx_http_gray_json_key(node), "null");

    node = ngx_http_gray_json_next(node);
    assert_int_equal(ngx_http_gray_json_type(node),
                     NGX_HTTP_GRAY_JSON_BOOLEAN);
    assert_false(ngx_http_gray_json_true(node));

    node = ngx_http_gray_json_next(node);
    assert_int_equal(ngx_http_gray_json_type(node),
                     NGX_HTTP_GRAY_JSON_BOOLEAN);
    assert_int_equal(ngx_http_gray_json_true(node), 1);

    node = ngx_http_gray_json_next(node);
    assert_int_equal(ngx_http_gray_json_type(node), NGX_HTTP_GRAY_JSON_NUMBER);
    assert_true(ngx_http_gray_json_value(node) == -2.5);
    assert_false(ngx_http_gray_json_true(node));
    assert_null(ngx_http_gray_json_text(node).data);
    assert_int_equal(ngx_http_gray_json_text(node).len, 0);

    node = ngx_http_gray_json_next(node);
    assert_int_equal(ngx_http_gray_json_type(node), NGX_HTTP_GRAY_JSON_STRING);
    text = ngx_http_gray_json_text(node);
    assert_int_equal(text.len, 3);
    assert_string_equal((char *) text.data, "a\xc3\xa9");
    assert_true(ngx_http_gray_json_value(node) == 0);
    assert_null(ngx_http_gray_json_first(node));

    node = ngx_http_gray_json_next(node);
    assert_int_equal(ngx_http_gray_json_type(node), NGX_HTTP_GRAY_JSON_ARRAY);
    assert_int_equal(ngx_http_gray_json_count(node), 3);
    assert_printed(ngx_http_gray_json_item(node, 0), 0, "1");
    assert_printed(ngx_http_gray_json_item(node, 2), 0, "\"3\"");
    assert_null(ngx_http_gray_json_item(node, 3));
    assert_null(ngx_http_gray_json_key(ngx_http_gray_json_first(node)));
    assert_null(ngx_http_gray_json_get(node, ""));

    node = ngx_http_gray_json_next(node);
    assert_ptr_equal(node, ngx_http_gray_json_get(tree, "object"));
    assert_printed(ngx_http_gray_json_get(node, ""), 0, "0");
    assert_null(ngx_http_gray_json_item(node, 0));
    assert_null(ngx_http_gray_json_next(node));

    assert_null(ngx_http_gray_json_get(tree, "Object"));
    assert_null(ngx_http_gray_json_get(tree, "objec"));

    assert_int_equal(ngx_http_gray_json_type(NULL), NGX_HTTP_GRAY_JSON_NULL);
    assert_null(ngx_http_gray_json_key(NULL));
    assert_null(ngx_http_gray_json_text(NULL).data);
    assert_true(ngx_http_gray_json_value(NULL) == 0);
    assert_false(ngx_http_gray_json_true(NULL));
    assert_null(ngx_http_gray_json_first(NULL));
    assert_null(ngx_http_gray_json_next(NULL));
    assert_null(ngx_http_gray_json_get(NULL, "a"));
    assert_null(ngx_http_gray_json_item(NULL, 0));
    assert_int_equal(ngx_http_gray_json_count(NULL), 0);

    ngx_http_gray_json_free(tree);
    ngx_http_gray_json_free(NULL);
}


static void
test_writers(void **state)
{
    ngx_http_gray_json_t  *tree, *list, *node;

    (void) state;

    tree = ngx_http_gray_json_object();
    list = ngx_http_gray_json_array();

    assert_int_equal(ngx_http_gray_json_append(list,
                         ngx_http_gray_json_number(2)), NGX_OK);
    assert_int_equal(ngx_http_gray_json_append(list,
                         ngx_http_gray_json_null()), NGX_OK);
    assert_int_equal(ngx_http_gray_json_insert(list,
                         ngx_http_gray_json_first(list),
                         ngx_http_gray_json_number(1)), NGX_OK);
    assert_int_equal(ngx_http_gray_json_insert(list,
                         ngx_http_gray_json_item(list, 2),
                         ngx_http_gray_json_boolean(7)), NGX_OK);
    assert_int_equal(ngx_http_gray_json_insert(list, NULL,
                         ngx_http_gray_json_boolean(0)), NGX_OK);
    assert_sound(list);
    assert_printed(list, 0, "[1,2,true,null,false]");

    assert_int_equal(ngx_http_gray_json_set(tree, "b", list), NGX_OK);
    assert_int_equal(ngx_http_gray_json_add(tree, "a",
                         ngx_http_gray_json_object()), NGX_OK);
    assert_int_equal(ngx_http_gray_json_set(tree, "",
                         ngx_http_gray_json_string((u_char *) "xyz", 2)),
                     NGX_OK);
    assert_sound(tree);
    assert_printed(tree, 0,
                   "{\"b\":[1,2,true,null,false],\"a\":{},\"\":\"xy\"}");

    /* a member is replaced in its place, wherever that is */

    assert_int_equal(ngx_http_gray_json_set(tree, "b",
                         ngx_http_gray_json_number(1)), NGX_OK);
    assert_int_equal(ngx_http_gray_json_set(tree, "a",
                         ngx_http_gray_json_number(2)), NGX_OK);
    assert_int_equal(ngx_http_gray_json_set(tree, "",
                         ngx_http_gray_json_number(3)), NGX_OK);
    assert_sound(tree);
    assert_printed(tree, 0, "{\"b\":1,\"a\":2,\"\":3}");

    /* what is taken out has no key, nor has a copy */

    node = ngx_http_gray_json_copy(ngx_http_gray_json_get(tree, "a"));
    assert_null(ngx_http_gray_json_key(node));
    ngx_http_gray_json_free(node);

    node = ngx_http_gray_json_detach(tree, "");
    assert_null(ngx_http_gray_json_key(node));
    assert_null(ngx_http_gray_json_next(node));
    assert_null(ngx_http_gray_json_detach(tree, ""));
    assert_sound(tree);
    assert_int_equal(ngx_http_gray_json_set(tree, "c", node), NGX_OK);

    node = ngx_http_gray_json_take(tree, ngx_http_gray_json_first(tree));
    assert_null(ngx_http_gray_json_key(node));
    ngx_http_gray_json_free(node);
    assert_sound(tree);
    assert_printed(tree, 0, "{\"a\":2,\"c\":3}");

    /* what cannot be written is freed, and changes nothing */

    assert_int_equal(ngx_http_gray_json_set(tree, "a", NULL), NGX_ERROR);
    assert_int_equal(ngx_http_gray_json_set(tree, "z", NULL), NGX_ERROR);
    assert_int_equal(ngx_http_gray_json_append(tree,
                         ngx_http_gray_json_null()), NGX_ERROR);

    node = ngx_http_gray_json_get(tree, "a");
    assert_int_equal(ngx_http_gray_json_set(node, "z",
                         ngx_http_gray_json_null()), NGX_ERROR);
    assert_int_equal(ngx_http_gray_json_append(node, NULL), NGX_ERROR);
    assert_int_equal(ngx_http_gray_json_append(node,
                         ngx_http_gray_json_null()), NGX_ERROR);
    assert_sound(tree);
    assert_printed(tree, 0, "{\"a\":2,\"c\":3}");

    ngx_http_gray_json_free(tree);
}


static void
test_strings(void **state)
{
    ngx_uint_t             i;
    ngx_http_gray_json_t  *node;

    static const struct {
        const char  *data;
        size_t       len;
        const char  *printed;
    } strings[] = {
        { NULL, 0, "\"\"" },
        { TEXT("a\xc3\xa9"), "\"a\xc3\xa9\"" },
        { TEXT("a\0b"), "\"a\xef\xbf\xbd" "b\"" },
        { TEXT("\0"), "\"\xef\xbf\xbd\"" },
        { TEXT("\xff\xc3"), "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
        { TEXT("\xe2\x82z"), "\"\xef\xbf\xbd\xef\xbf\xbdz\"" },
        { TEXT("\n\x1b\""), "\"\\n\\u001b\\\"\"" }
    };

    (void) state;

    for (i = 0; i < ITEMS(strings); i++) {
        node = ngx_http_gray_json_string((u_char *) strings[i].data,
                                         strings[i].len);
        assert_printed(node, 0, strings[i].printed);
        ngx_http_gray_json_free(node);
    }
}


static void
test_equal(void **state)
{
    ngx_uint_t             i;
    ngx_http_gray_json_t  *a, *b;

    static const struct {
        const char  *a;
        const char  *b;
        ngx_uint_t   equal;
    } pairs[] = {
        { "null", "null", 1 },
        { "null", "false", 0 },
        { "true", "true", 1 },
        { "true", "false", 0 },
        { "1", "1.0", 1 },
        { "1", "10e-1", 1 },
        { "0", "-0", 1 },
        { "0.3", "0.30000000000000004", 0 },
        { "9007199254740991", "9007199254740992", 0 },
        { "1", "\"1\"", 0 },
        { "\"a\"", "\"\\u0061\"", 1 },
        { "\"a\"", "\"A\"", 0 },
        { "[]", "{}", 0 },
        { "[1,2]", "[1,2]", 1 },
        { "[1,2]", "[2,1]", 0 },
        { "[1,2]", "[1]", 0 },
        { "[1]", "[1,2]", 0 },
        { "{\"a\":1,\"b\":[{}]}", "{\"b\":[{}],\"a\":1}", 1 },
        { "{\"a\":1}", "{\"A\":1}", 0 },
        { "{\"a\":1}", "{\"a\":2}", 0 },
        { "{\"a\":1}", "{\"a\":1,\"b\":1}", 0 },
        { "{\"a\":null}", "{\"b\":null}", 0 },

        { "{\"a\":0,\"b\":1,\"c\":2,\"d\":3,\"e\":4,\"f\":5,\"g\":6,"
          "\"h\":7,\"i\":[1]}",
          "{\"i\":[1],\"h\":7,\"g\":6,\"f\":5,\"e\":4,\"d\":3,\"c\":2,"
          "\"b\":1,\"a\":0}", 1 },
        { "{\"a\":0,\"b\":1,\"c\":2,\"d\":3,\"e\":4,\"f\":5,\"g\":6,"
          "\"h\":7,\"i\":[1]}",
          "{\"i\":[2],\"h\":7,\"g\":6,\"f\":5,\"e\":4,\"d\":3,\"c\":2,"
          "\"b\":1,\"a\":0}", 0 },
        { "{\"a\":0,\"b\":1,\"c\":2,\"d\":3,\"e\":4,\"f\":5,\"g\":6,"
          "\"h\":7,\"i\":[1]}",
          "{\"j\":[1],\"h\":7,\"g\":6,\"f\":5,\"e\":4,\"d\":3,\"c\":2,"
          "\"b\":1,\"a\":0}", 0 }
    };

    (void) state;

    for (i = 0; i < ITEMS(pairs); i++) {
        a = parse(pairs[i].a);
        b = parse(pairs[i].b);

        if (ngx_http_gray_json_equal(a, b) != pairs[i].equal
            || ngx_http_gray_json_equal(b, a) != pairs[i].equal)
        {
            fail_msg("%s and %s", pairs[i].a, pairs[i].b);
        }

        ngx_http_gray_json_free(a);
        ngx_http_gray_json_free(b);
    }
}


static void
test_pretty(void **state)
{
    ngx_http_gray_json_t  *tree;

    (void) state;

    tree = parse("{\"a\":{},\"b\":[],\"c\":[1,\"x\",null],"
                 "\"d\":{\"e\":[[0,50000],[7,8]]},\"f\":[{\"g\":1}]}");

    assert_printed(tree, 1, "{\n"
                            "  \"a\": {},\n"
                            "  \"b\": [],\n"
                            "  \"c\": [1, \"x\", null],\n"
                            "  \"d\": {\n"
                            "    \"e\": [\n"
                            "      [0, 50000],\n"
                            "      [7, 8]\n"
                            "    ]\n"
                            "  },\n"
                            "  \"f\": [\n"
                            "    {\n"
                            "      \"g\": 1\n"
                            "    }\n"
                            "  ]\n"
                            "}");

    ngx_http_gray_json_free(tree);
}


static void
test_numbers(void **state)
{
    ngx_uint_t             i;
    ngx_http_gray_json_t  *node;

    static const struct {
        double       value;
        const char  *printed;
    } numbers[] = {
        { 0.0, "0" },
        { -0.0, "0" },
        { 1.0 / 3, "0.3333333333333333" },
        { 0.0001, "0.0001" },
        { 1e17, "100000000000000000" },
        { 1e18, "1e+18" },
        { -1.5e300, "-1.5e+300" },
        { NAN, "null" },
        { INFINITY, "null" },
        { -INFINITY, "null" }
    };

    (void) state;

    for (i = 0; i < ITEMS(numbers); i++) {
        node = ngx_http_gray_json_number(numbers[i].value);
        assert_printed(node, 0, numbers[i].printed);
        ngx_http_gray_json_free(node);
    }
}


/*
 * A locale that writes numbers with a comma, or with more than one byte,
 * changes nothing; nor does one that is installed, for cJSON too.
 */

static void
test_locale(void **state)
{
    ngx_uint_t             i;
    ngx_http_gray_json_t  *node;

    static const char  *points[] = { ",", "\xd9\xab" };
    static const char  *locales[] = {
        "de_DE.UTF-8", "fr_FR.UTF-8", "ru_RU.UTF-8", "de_DE", "fr_FR"
    };

    (void) state;

    node = parse("[1.5,-0.30000000000000004,0.0001,1e-50,1.5e-50]");

    for (i = 0; i < ITEMS(points); i++) {
        point = points[i];
        assert_printed(node, 0,
                       "[1.5,-0.30000000000000004,0.0001,1e-50,1.5e-50]");
    }

    point = NULL;

    ngx_http_gray_json_free(node);

    for (i = 0; i < ITEMS(locales); i++) {

        if (setlocale(LC_NUMERIC, locales[i]) == NULL) {
            continue;
        }

        node = parse("[1.5,-0.30000000000000004]");

        assert_true(ngx_http_gray_json_value(ngx_http_gray_json_first(node))
                    == 1.5);
        assert_printed(node, 0, "[1.5,-0.30000000000000004]");

        ngx_http_gray_json_free(node);
    }
}


static int
reset_locale(void **state)
{
    (void) state;

    point = NULL;

    return setlocale(LC_NUMERIC, "C") ? 0 : -1;
}


static ngx_http_gray_json_t *
random_string(char *key)
{
    char        buf[64], *p;
    ngx_uint_t  n;

    static const char  *pieces[] = {
        "a", "b", "A", "0", " ", "\"", "\\", "/", "~", "\n", "\t", "\x01",
        "\x1f", "\x7f", "\xc2\x80", "\xc3\xa9", "\xe2\x82\xac",
        "\xed\x9f\xbf", "\xef\xbf\xbf", "\xf0\x9f\x98\x80",
        "\xf4\x8f\xbf\xbf"
    };

    p = key ? key : buf;
    *p = '\0';

    for (n = draw(8); n > 0; n--) {
        strcat(p, pieces[draw(ITEMS(pieces))]);
    }

    return key ? NULL : ngx_http_gray_json_string((u_char *) p, strlen(p));
}


static double
random_number(void)
{
    double    value;
    uint64_t  bits;

    switch (draw(4)) {

    case 0:
        return (double) draw(101);

    case 1:
        return (double) draw(1000001) / 10000;

    case 2:
        return (double) draw(18014398509481985ULL) - 9007199254740992.0;

    default:
        do {
            bits = draw(UINT64_MAX);
            memcpy(&value, &bits, sizeof(double));
        } while (!isfinite(value) || fabs(value) > 9007199254740992.0
                 || fabs(value) < 1e-299);

        return value;
    }
}


static ngx_http_gray_json_t *
random_tree(ngx_uint_t depth)
{
    char                   key[64];
    ngx_uint_t             n;
    ngx_http_gray_json_t  *tree;

    switch (draw(depth < NGX_HTTP_GRAY_JSON_DEPTH ? 9 : 4)) {

    case 0:
        return ngx_http_gray_json_null();

    case 1:
        return ngx_http_gray_json_boolean(draw(2));

    case 2:
        return ngx_http_gray_json_number(random_number());

    case 3:
        return random_string(NULL);

    case 4:
    case 5:
        tree = ngx_http_gray_json_array();

        for (n = draw(5); n > 0; n--) {
            assert_int_equal(ngx_http_gray_json_append(tree,
                                 random_tree(depth + 1)), NGX_OK);
        }

        return tree;

    default:
        tree = ngx_http_gray_json_object();

        for (n = draw(draw(20) ? 5 : 20); n > 0; n--) {
            (void) random_string(key);
            assert_int_equal(ngx_http_gray_json_set(tree, key,
                                 random_tree(depth + 1)), NGX_OK);
        }

        return tree;
    }
}


static void
test_round_trips(void **state)
{
    ngx_str_t              one, two;
    ngx_uint_t             i, pretty;
    ngx_http_gray_json_t  *tree, *copy, *back;

    (void) state;

    seed = 20240229;

    for (i = 0; i < 5000; i++) {
        tree = random_tree(0);
        copy = ngx_http_gray_json_copy(tree);

        assert_sound(tree);
        assert_sound(copy);
        assert_true(ngx_http_gray_json_equal(tree, copy));

        for (pretty = 0; pretty < 2; pretty++) {
            assert_int_equal(ngx_http_gray_json_print(tree, pretty, &one),
                             NGX_OK);

            back = parse((char *) one.data);

            assert_sound(back);
            assert_true(ngx_http_gray_json_equal(tree, back));

            assert_int_equal(ngx_http_gray_json_print(back, pretty, &two),
                             NGX_OK);
            assert_string_equal((char *) one.data, (char *) two.data);

            free(one.data);
            free(two.data);
            ngx_http_gray_json_free(back);
        }

        ngx_http_gray_json_free(tree);
        ngx_http_gray_json_free(copy);
    }
}


/* texts with a byte or two changed: what is still taken is still one value */

static void
test_damaged(void **state)
{
    size_t                       n;
    ngx_str_t                    text, again;
    ngx_uint_t                   i, taken;
    ngx_http_gray_json_t        *tree, *back;
    ngx_http_gray_json_error_t   err;

    static const char  bytes[] = "{}[]\",:\\u0d8ce+-.\n\x7f\x80\xc3\xf0";

    (void) state;

    seed = 7;
    taken = 0;

    for (i = 0; i < 20000; i++) {
        tree = random_tree(NGX_HTTP_GRAY_JSON_DEPTH - 3);

        assert_int_equal(ngx_http_gray_json_print(tree, 0, &text), NGX_OK);
        ngx_http_gray_json_free(tree);

        for (n = draw(3); n > 0; n--) {
            text.data[draw(text.len)] = bytes[draw(sizeof(bytes))];
        }

        tree = parse_bytes((char *) text.data, text.len, &err);

        if (tree == NULL) {
            assert_in_range(err.line, 1, 1000);
            assert_in_range(err.column, 1, text.len + 1);
            assert_in_range(strlen(err.detail), 1, sizeof(err.detail) - 1);
            free(text.data);
            continue;
        }

        taken++;

        assert_sound(tree);
        assert_int_equal(ngx_http_gray_json_print(tree, 0, &again), NGX_OK);

        back = parse((char *) again.data);
        assert_true(ngx_http_gray_json_equal(tree, back));

        ngx_http_gray_json_free(tree);
        ngx_http_gray_json_free(back);
        free(text.data);
        free(again.data);
    }

    assert_in_range(taken, 1000, 19000);
}


static void
test_fault(void **state)
{
    char                    key[512];
    ngx_uint_t              i;
    ngx_http_gray_path_t    rules, index, name;
    ngx_http_gray_fault_t  *fault;

    static ngx_http_gray_faults_t  faults;

    (void) state;

    memset(&faults, 0x5a, sizeof(faults));
    faults.n = 0;

    rules.parent = NULL;
    rules.key = "rules";
    rules.index = 0;

    index.parent = &rules;
    index.key = NULL;
    index.index = 12;

    name.parent = &index;
    name.key = "a/b~c~1\xc3\xa9";
    name.index = 0;

    ngx_http_gray_json_fault(&faults, NULL, "must be an %s", "object");
    assert_string_equal(faults.fault[0].pointer, "");
    assert_string_equal(faults.fault[0].detail, "must be an object");

    ngx_http_gray_json_fault(&faults, &name, "%s", "");
    assert_string_equal(faults.fault[1].pointer,
                        "/rules/12/a~1b~0c~01\xc3\xa9");
    assert_string_equal(faults.fault[1].detail, "");

    name.key = "";
    ngx_http_gray_json_fault(&faults, &name, "%d", 101);
    assert_string_equal(faults.fault[2].pointer, "/rules/12/");
    assert_string_equal(faults.fault[2].detail, "101");

    /*
     * What does not fit is cut.  "/rules/12/" leaves 245 bytes: two bytes of
     * a character or an escape do not go in where one is left, and what
     * follows does not slip in behind.
     */

    rules.key = key;
    memset(key, 'x', sizeof(key));

    strcpy(key + 253, "~yz");
    ngx_http_gray_json_fault(&faults, &rules, "x");
    fault = &faults.fault[3];
    assert_int_equal(strlen(fault->pointer), 254);
    assert_string_equal(fault->pointer + 250, "xxxx");

    memset(key, 'x', sizeof(key));
    strcpy(key + 254, "~yz");
    ngx_http_gray_json_fault(&faults, &index, "x");
    fault = &faults.fault[4];
    assert_int_equal(strlen(fault->pointer), 255);
    assert_int_equal(fault->pointer[254], 'x');

    for (i = 0; i < 4; i++) {
        faults.n = 5;
        memset(key, 'x', sizeof(key));
        strcpy(key + 254 - i, "\xf0\x9f\x98\x80");
        ngx_http_gray_json_fault(&faults, &index, "x");
        fault = &faults.fault[5];
        assert_int_equal(strlen(fault->pointer), 255 - i);
        assert_int_equal(fault->pointer[254 - i], 'x');
    }

    for (i = 0; i < 6; i++) {
        faults.n = 5;
        memset(key, 'x', sizeof(key));
        strcpy(key + 383 - i, "\xf0\x9f\x98\x80z");
        ngx_http_gray_json_fault(&faults, NULL, "%s", key);
        fault = &faults.fault[5];

        if (i < 4) {
            assert_int_equal(strlen(fault->detail), 383 - i);
            assert_int_equal(fault->detail[382 - i], 'x');

        } else {
            assert_int_equal(strlen(fault->detail), 383);
            assert_memory_equal(fault->detail + 383 - i, key + 383 - i, i);
        }
    }

    /* all are counted, the first are kept */

    for (i = 6; i < 50; i++) {
        ngx_http_gray_json_fault(&faults, NULL, "fault %d", (int) i);
    }

    assert_int_equal(faults.n, 50);
    assert_string_equal(faults.fault[19].detail, "fault 19");
}


/* RFC 7396, appendix A, and some more */

static const merge_t  merges[] = {
    { "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
    { "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
    { "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
    { "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
    { "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
    { "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
    { "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}",
      "{\"a\":{\"b\":\"d\"}}" },
    { "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
    { "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
    { "{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]" },
    { "{\"a\":\"foo\"}", "null", "null" },
    { "{\"a\":\"foo\"}", "\"bar\"", "\"bar\"" },
    { "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
    { "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
    { "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },

    { "{\"a\":1}", "{}", "{\"a\":1}" },
    { "5", "{}", "{}" },
    { "{\"a\":1}", "{\"a\":{\"b\":null,\"c\":[null]}}",
      "{\"a\":{\"c\":[null]}}" },
    { "{\"a\":1,\"b\":2,\"c\":3}", "{\"c\":null,\"a\":null,\"d\":4}",
      "{\"b\":2,\"d\":4}" },
    { "{\"a\":1,\"b\":2,\"c\":3}", "{\"b\":{\"x\":0},\"\":1}",
      "{\"a\":1,\"b\":{\"x\":0},\"c\":3,\"\":1}" },
    { "{\"a\":1}", "{\"A\":null}", "{\"a\":1}" }
};


static void
test_merge(void **state)
{
    ngx_uint_t             i;
    ngx_http_gray_json_t  *target, *patch, *same;

    (void) state;

    for (i = 0; i < ITEMS(merges); i++) {
        target = parse(merges[i].target);
        patch = parse(merges[i].patch);
        same = ngx_http_gray_json_copy(patch);

        assert_int_equal(ngx_http_gray_patch_merge(&target, patch), NGX_OK);
        assert_sound(target);
        assert_printed(target, 0, merges[i].result);
        assert_true(ngx_http_gray_json_equal(patch, same));

        ngx_http_gray_json_free(target);
        ngx_http_gray_json_free(patch);
        ngx_http_gray_json_free(same);
    }
}


/* the rule of RFC 7396, section 2, word by word */

static ngx_http_gray_json_t *
merge_reference(const ngx_http_gray_json_t *target,
    const ngx_http_gray_json_t *patch)
{
    const char            *key;
    ngx_http_gray_json_t  *result, *child;

    if (ngx_http_gray_json_type(patch) != NGX_HTTP_GRAY_JSON_OBJECT) {
        return ngx_http_gray_json_copy(patch);
    }

    if (ngx_http_gray_json_type(target) == NGX_HTTP_GRAY_JSON_OBJECT) {
        result = ngx_http_gray_json_copy(target);

    } else {
        result = ngx_http_gray_json_object();
    }

    for (child = ngx_http_gray_json_first(patch);
         child;
         child = ngx_http_gray_json_next(child))
    {
        key = ngx_http_gray_json_key(child);

        if (ngx_http_gray_json_type(child) == NGX_HTTP_GRAY_JSON_NULL) {
            ngx_http_gray_json_free(ngx_http_gray_json_detach(result, key));
            continue;
        }

        assert_int_equal(ngx_http_gray_json_set(result, key,
                             merge_reference(ngx_http_gray_json_get(result,
                                                                    key),
                                             child)), NGX_OK);
    }

    return result;
}


static void
test_merge_random(void **state)
{
    ngx_str_t              one, two;
    ngx_uint_t             i;
    ngx_http_gray_json_t  *target, *patch, *result;

    (void) state;

    seed = 7396;

    for (i = 0; i < 5000; i++) {
        target = random_tree(NGX_HTTP_GRAY_JSON_DEPTH - 4);
        patch = random_tree(NGX_HTTP_GRAY_JSON_DEPTH - 4);
        result = merge_reference(target, patch);

        assert_int_equal(ngx_http_gray_patch_merge(&target, patch), NGX_OK);
        assert_sound(target);

        assert_int_equal(ngx_http_gray_json_print(target, 0, &one), NGX_OK);
        assert_int_equal(ngx_http_gray_json_print(result, 0, &two), NGX_OK);
        assert_string_equal((char *) one.data, (char *) two.data);

        free(one.data);
        free(two.data);
        ngx_http_gray_json_free(target);
        ngx_http_gray_json_free(patch);
        ngx_http_gray_json_free(result);
    }
}


#define OPS  "must be \"add\", \"remove\", \"replace\", \"move\", \"copy\" "  \
             "or \"test\""
#define IDX  " is no index, must be a number without leading zeros, or \"-\""
#define TOO_DEEP                                                              \
             "what is put there would be nested deeper than 16 levels"


static const patch_t  patches[] = {

    /* RFC 6902, appendix A */

    /* A.1 */
    { "{\"foo\":\"bar\"}",
      "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\"}]",
      NGX_OK, "{\"foo\":\"bar\",\"baz\":\"qux\"}", NULL },
    /* A.2 */
    { "{\"foo\":[\"bar\",\"baz\"]}",
      "[{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":\"qux\"}]",
      NGX_OK, "{\"foo\":[\"bar\",\"qux\",\"baz\"]}", NULL },
    /* A.3 */
    { "{\"baz\":\"qux\",\"foo\":\"bar\"}",
      "[{\"op\":\"remove\",\"path\":\"/baz\"}]",
      NGX_OK, "{\"foo\":\"bar\"}", NULL },
    /* A.4 */
    { "{\"foo\":[\"bar\",\"qux\",\"baz\"]}",
      "[{\"op\":\"remove\",\"path\":\"/foo/1\"}]",
      NGX_OK, "{\"foo\":[\"bar\",\"baz\"]}", NULL },
    /* A.5 */
    { "{\"baz\":\"qux\",\"foo\":\"bar\"}",
      "[{\"op\":\"replace\",\"path\":\"/baz\",\"value\":\"boo\"}]",
      NGX_OK, "{\"baz\":\"boo\",\"foo\":\"bar\"}", NULL },
    /* A.6 */
    { "{\"foo\":{\"bar\":\"baz\",\"waldo\":\"fred\"},"
      "\"qux\":{\"corge\":\"grault\"}}",
      "[{\"op\":\"move\",\"from\":\"/foo/waldo\",\"path\":\"/qux/thud\"}]",
      NGX_OK, "{\"foo\":{\"bar\":\"baz\"},"
      "\"qux\":{\"corge\":\"grault\",\"thud\":\"fred\"}}", NULL },
    /* A.7 */
    { "{\"foo\":[\"all\",\"grass\",\"cows\",\"eat\"]}",
      "[{\"op\":\"move\",\"from\":\"/foo/1\",\"path\":\"/foo/3\"}]",
      NGX_OK, "{\"foo\":[\"all\",\"cows\",\"eat\",\"grass\"]}", NULL },
    /* A.8 */
    { "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}",
      "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"qux\"},"
      "{\"op\":\"test\",\"path\":\"/foo/1\",\"value\":2}]",
      NGX_OK, "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}", NULL },
    /* A.9 */
    { "{\"baz\":\"qux\"}",
      "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"bar\"}]",
      NGX_ABORT, "/0/value", "the value there is \"qux\"" },
    /* A.10 */
    { "{\"foo\":\"bar\"}",
      "[{\"op\":\"add\",\"path\":\"/child\","
      "\"value\":{\"grandchild\":{}}}]",
      NGX_OK, "{\"foo\":\"bar\",\"child\":{\"grandchild\":{}}}", NULL },
    /* A.11 */
    { "{\"foo\":\"bar\"}",
      "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\",\"xyz\":123}]",
      NGX_OK, "{\"foo\":\"bar\",\"baz\":\"qux\"}", NULL },
    /* A.12 */
    { "{\"foo\":\"bar\"}",
      "[{\"op\":\"add\",\"path\":\"/baz/bat\",\"value\":\"qux\"}]",
      NGX_DECLINED, "/0/path", "there is no member \"baz\"" },
    /* A.13 is refused by the parser, see below */
    /* A.14 */
    { "{\"/\":9,\"~1\":10}",
      "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":10}]",
      NGX_OK, "{\"/\":9,\"~1\":10}", NULL },
    /* A.15 */
    { "{\"/\":9,\"~1\":10}",
      "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":\"10\"}]",
      NGX_ABORT, "/0/value", "the value there is 10" },
    /* A.16 */
    { "{\"foo\":[\"bar\"]}",
      "[{\"op\":\"add\",\"path\":\"/foo/-\",\"value\":[\"abc\",\"def\"]}]",
      NGX_OK, "{\"foo\":[\"bar\",[\"abc\",\"def\"]]}", NULL },

    /* places */

    { "{\"a\":1}", "[]", NGX_OK, "{\"a\":1}", NULL },
    { "{\"a\":1}", "[{\"op\":\"add\",\"path\":\"\",\"value\":[]}]",
      NGX_OK, "[]", NULL },
    { "{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":null}]",
      NGX_OK, "null", NULL },
    { "{\"a\":1}", "[{\"op\":\"test\",\"path\":\"\",\"value\":{\"a\":1}}]",
      NGX_OK, "{\"a\":1}", NULL },
    { "{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"\"}]",
      NGX_DECLINED, "/0/path", "the whole document cannot be removed" },
    { "{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/\",\"value\":2}]",
      NGX_OK, "{\"a\":1,\"\":2}", NULL },
    { "{\"\":{\"\":1}}", "[{\"op\":\"remove\",\"path\":\"//\"}]",
      NGX_OK, "{\"\":{}}", NULL },
    { "{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/a\",\"value\":null}]",
      NGX_OK, "{\"a\":null}", NULL },
    { "{\"a/b\":1,\"m~n\":2}",
      "[{\"op\":\"remove\",\"path\":\"/a~1b\"},"
      "{\"op\":\"replace\",\"path\":\"/m~0n\",\"value\":3},"
      "{\"op\":\"add\",\"path\":\"/~1~0~01\",\"value\":4}]",
      NGX_OK, "{\"m~n\":3,\"/~~1\":4}", NULL },
    { "{\"0\":1,\"-\":2,\"01\":3}",
      "[{\"op\":\"remove\",\"path\":\"/01\"},"
      "{\"op\":\"remove\",\"path\":\"/-\"},"
      "{\"op\":\"remove\",\"path\":\"/0\"}]",
      NGX_OK, "{}", NULL },

    { "[1,2]", "[{\"op\":\"add\",\"path\":\"/0\",\"value\":0}]",
      NGX_OK, "[0,1,2]", NULL },
    { "[1,2]", "[{\"op\":\"add\",\"path\":\"/2\",\"value\":3}]",
      NGX_OK, "[1,2,3]", NULL },
    { "[]", "[{\"op\":\"add\",\"path\":\"/0\",\"value\":1},"
      "{\"op\":\"add\",\"path\":\"/-\",\"value\":2}]",
      NGX_OK, "[1,2]", NULL },
    { "[1,2]", "[{\"op\":\"add\",\"path\":\"/3\",\"value\":3}]",
      NGX_DECLINED, "/0/path", "there is no item \"3\" in an array of 2" },
    { "[1,2]", "[{\"op\":\"replace\",\"path\":\"/2\",\"value\":3}]",
      NGX_DECLINED, "/0/path", "there is no item \"2\" in an array of 2" },
    { "[1,2]", "[{\"op\":\"replace\",\"path\":\"/1\",\"value\":3}]",
      NGX_OK, "[1,3]", NULL },
    { "[1,2]", "[{\"op\":\"replace\",\"path\":\"/0\",\"value\":3}]",
      NGX_OK, "[3,2]", NULL },
    { "[1]", "[{\"op\":\"replace\",\"path\":\"/0\",\"value\":3},"
      "{\"op\":\"add\",\"path\":\"/-\",\"value\":4}]",
      NGX_OK, "[3,4]", NULL },
    { "[1,2]", "[{\"op\":\"remove\",\"path\":\"/-\"}]",
      NGX_DECLINED, "/0/path", "there is no item \"-\" in an array of 2" },
    { "[1,2]", "[{\"op\":\"remove\",\"path\":\"/1\"},"
      "{\"op\":\"remove\",\"path\":\"/0\"}]",
      NGX_OK, "[]", NULL },
    { "[1,[2]]", "[{\"op\":\"add\",\"path\":\"/-/0\",\"value\":3}]",
      NGX_DECLINED, "/0/path", "there is no item \"-\" in an array of 2" },
    { "[1,2]", "[{\"op\":\"remove\",\"path\":\"/01\"}]",
      NGX_DECLINED, "/0/path", "\"01\"" IDX },
    { "[1,2]", "[{\"op\":\"add\",\"path\":\"/00\",\"value\":1}]",
      NGX_DECLINED, "/0/path", "\"00\"" IDX },
    { "[1,2]", "[{\"op\":\"add\",\"path\":\"/\",\"value\":1}]",
      NGX_DECLINED, "/0/path", "\"\"" IDX },
    { "[1,2]", "[{\"op\":\"add\",\"path\":\"/-1\",\"value\":1}]",
      NGX_DECLINED, "/0/path", "\"-1\"" IDX },
    { "[1,2]", "[{\"op\":\"add\",\"path\":\"/1e0\",\"value\":1}]",
      NGX_DECLINED, "/0/path", "\"1e0\"" IDX },
    { "[1,2]", "[{\"op\":\"add\",\"path\":\"/+1\",\"value\":1}]",
      NGX_DECLINED, "/0/path", "\"+1\"" IDX },
    { "[1,2]",
      "[{\"op\":\"remove\",\"path\":\"/18446744073709551617\"}]",
      NGX_DECLINED, "/0/path",
      "there is no item \"18446744073709551617\" in an array of 2" },

    { "{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/a/b\",\"value\":1}]",
      NGX_DECLINED, "/0/path", "there is no \"b\" in a number" },
    { "{\"a\":\"x\"}", "[{\"op\":\"add\",\"path\":\"/a/0\",\"value\":1}]",
      NGX_DECLINED, "/0/path", "there is no \"0\" in a string" },
    { "{\"a\":null}", "[{\"op\":\"remove\",\"path\":\"/a/b/c\"}]",
      NGX_DECLINED, "/0/path", "there is no \"b\" in null" },
    { "true", "[{\"op\":\"remove\",\"path\":\"/a\"}]",
      NGX_DECLINED, "/0/path", "there is no \"a\" in a boolean" },
    { "{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/A\"}]",
      NGX_DECLINED, "/0/path", "there is no member \"A\"" },
    { "{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/b\",\"value\":1}]",
      NGX_DECLINED, "/0/path", "there is no member \"b\"" },
    { "{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/a\"},"
      "{\"op\":\"remove\",\"path\":\"/a\"}]",
      NGX_DECLINED, "/1/path", "there is no member \"a\"" },

    /* move and copy */

    { "{\"a\":{\"b\":1}}",
      "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]",
      NGX_DECLINED, "/0/path", "must not be within what is moved, \"/a\"" },
    { "{\"a\":{\"b\":1}}",
      "[{\"op\":\"move\",\"from\":\"\",\"path\":\"/a\"}]",
      NGX_DECLINED, "/0/path", "must not be within what is moved, \"\"" },
    { "{\"a\":1,\"b\":2}",
      "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/ab\"}]",
      NGX_OK, "{\"b\":2,\"ab\":1}", NULL },
    { "{\"a\":1,\"b\":2}",
      "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a\"}]",
      NGX_OK, "{\"a\":1,\"b\":2}", NULL },
    { "{\"a\":1}", "[{\"op\":\"move\",\"from\":\"\",\"path\":\"\"}]",
      NGX_OK, "{\"a\":1}", NULL },
    { "{\"a\":1}", "[{\"op\":\"move\",\"from\":\"/b\",\"path\":\"/b\"}]",
      NGX_DECLINED, "/0/from", "there is no member \"b\"" },
    { "{\"a\":{\"b\":1}}",
      "[{\"op\":\"move\",\"from\":\"/a/b\",\"path\":\"/a\"}]",
      NGX_OK, "{\"a\":1}", NULL },
    { "{\"a\":{\"b\":1}}",
      "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"\"}]",
      NGX_OK, "{\"b\":1}", NULL },
    { "{\"a\":1,\"b\":2}",
      "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b\"}]",
      NGX_OK, "{\"b\":1}", NULL },
    { "[1,2,3]", "[{\"op\":\"move\",\"from\":\"/2\",\"path\":\"/0\"}]",
      NGX_OK, "[3,1,2]", NULL },
    { "[1,2,3]", "[{\"op\":\"move\",\"from\":\"/0\",\"path\":\"/-\"}]",
      NGX_OK, "[2,3,1]", NULL },
    { "[1,2,3]", "[{\"op\":\"move\",\"from\":\"/0\",\"path\":\"/3\"}]",
      NGX_DECLINED, "/0/path", "there is no item \"3\" in an array of 2" },
    { "[1,2,3]", "[{\"op\":\"move\",\"from\":\"/-\",\"path\":\"/0\"}]",
      NGX_DECLINED, "/0/from", "there is no item \"-\" in an array of 3" },
    { "{\"a\":[{\"b\":1}]}",
      "[{\"op\":\"move\",\"from\":\"/a/0/b\",\"path\":\"/a/0\"}]",
      NGX_OK, "{\"a\":[1,{}]}", NULL },

    { "{\"a\":{\"b\":1}}",
      "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/c\"},"
      "{\"op\":\"add\",\"path\":\"/c/b\",\"value\":2}]",
      NGX_OK, "{\"a\":{\"b\":1},\"c\":{\"b\":2}}", NULL },
    { "{\"a\":{\"b\":1}}",
      "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/b\"}]",
      NGX_OK, "{\"a\":{\"b\":{\"b\":1}}}", NULL },
    { "{\"a\":1}", "[{\"op\":\"copy\",\"from\":\"\",\"path\":\"/b\"}]",
      NGX_OK, "{\"a\":1,\"b\":{\"a\":1}}", NULL },
    { "{\"a\":[1]}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"\"}]",
      NGX_OK, "[1]", NULL },
    { "[1,2]", "[{\"op\":\"copy\",\"from\":\"/1\",\"path\":\"/0\"}]",
      NGX_OK, "[2,1,2]", NULL },
    { "[1,2]", "[{\"op\":\"copy\",\"from\":\"/2\",\"path\":\"/0\"}]",
      NGX_DECLINED, "/0/from", "there is no item \"2\" in an array of 2" },
    { "{\"a\":{}}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b/c\"}]",
      NGX_DECLINED, "/0/path", "there is no member \"b\"" },

    /* test */

    { "{\"a\":{\"x\":1,\"y\":[null]}}",
      "[{\"op\":\"test\",\"path\":\"/a\","
      "\"value\":{\"y\":[null],\"x\":1.0}}]",
      NGX_OK, "{\"a\":{\"x\":1,\"y\":[null]}}", NULL },
    { "{\"a\":null}",
      "[{\"op\":\"test\",\"path\":\"/a\",\"value\":null}]",
      NGX_OK, "{\"a\":null}", NULL },
    { "{}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":null}]",
      NGX_ABORT, "/0/path", "there is no member \"a\"" },
    { "[]", "[{\"op\":\"test\",\"path\":\"/0\",\"value\":null}]",
      NGX_ABORT, "/0/path", "there is no item \"0\" in an array of 0" },
    { "{\"a\":1}",
      "[{\"op\":\"add\",\"path\":\"/a\",\"value\":2},"
      "{\"op\":\"test\",\"path\":\"/a\",\"value\":1}]",
      NGX_ABORT, "/1/value", "the value there is 2" },

    /* depth */

    { "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
      "[{\"op\":\"add\",\"path\":\"/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/-\","
      "\"value\":1}]",
      NGX_OK, "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", NULL },
    { "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
      "[{\"op\":\"add\",\"path\":\"/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/-\","
      "\"value\":{}}]",
      NGX_DECLINED, "/0/path", TOO_DEEP },
    { "{\"a\":[[[[[[[[[]]]]]]]]],\"b\":[[[[[[[[[]]]]]]]]]}",
      "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b/0/0/0/0/0/0/-\"}]",
      NGX_DECLINED, "/0/path", TOO_DEEP },
    { "{\"a\":[[[[[[[[[]]]]]]]]],\"b\":[[[[[[[[[]]]]]]]]]}",
      "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b/0/0/0/0/0/-\"}]",
      NGX_OK, "{\"a\":[[[[[[[[[]]]]]]]]],"
      "\"b\":[[[[[[[[[]]],[[[[[[[[[]]]]]]]]]]]]]]]}", NULL },

    /* what is no patch */

    { "{}", "{}", NGX_DECLINED, "", "must be an array of operations" },
    { "{}", "null", NGX_DECLINED, "", "must be an array of operations" },
    { "{}", "[1]", NGX_DECLINED, "/0",
      "must be an object with \"op\" and \"path\"" },
    { "{}", "[{\"path\":\"\"}]", NGX_DECLINED, "/0", "\"op\" " OPS },
    { "{}", "[{\"op\":\"Add\",\"path\":\"\",\"value\":1}]",
      NGX_DECLINED, "/0/op", "it " OPS },
    { "{}", "[{\"op\":\"\",\"path\":\"\"}]",
      NGX_DECLINED, "/0/op", "it " OPS },
    { "{}", "[{\"op\":1,\"path\":\"\"}]", NGX_DECLINED, "/0/op", "it " OPS },
    { "{}", "[{\"op\":\"remove\"}]",
      NGX_DECLINED, "/0", "\"remove\" must have a \"path\"" },
    { "{}", "[{\"op\":\"remove\",\"path\":null}]",
      NGX_DECLINED, "/0/path", "must be a string" },
    { "{}", "[{\"op\":\"remove\",\"path\":\"a\"}]",
      NGX_DECLINED, "/0/path", "must be empty or begin with \"/\"" },
    { "{}", "[{\"op\":\"remove\",\"path\":\"#/a\"}]",
      NGX_DECLINED, "/0/path", "must be empty or begin with \"/\"" },
    { "{}", "[{\"op\":\"remove\",\"path\":\"/a~\"}]",
      NGX_DECLINED, "/0/path", "\"~\" must be followed by 0 or 1" },
    { "{}", "[{\"op\":\"remove\",\"path\":\"/a~2\"}]",
      NGX_DECLINED, "/0/path", "\"~\" must be followed by 0 or 1" },
    { "{}", "[{\"op\":\"add\",\"path\":\"/a\"}]",
      NGX_DECLINED, "/0", "\"add\" must have a \"value\"" },
    { "{}", "[{\"op\":\"replace\",\"path\":\"/a\"}]",
      NGX_DECLINED, "/0", "\"replace\" must have a \"value\"" },
    { "{}", "[{\"op\":\"test\",\"path\":\"/a\"}]",
      NGX_DECLINED, "/0", "\"test\" must have a \"value\"" },
    { "{}", "[{\"op\":\"move\",\"path\":\"/a\"}]",
      NGX_DECLINED, "/0", "\"move\" must have a \"from\"" },
    { "{}", "[{\"op\":\"copy\",\"path\":\"/a\",\"from\":[]}]",
      NGX_DECLINED, "/0/from", "must be a string" },
    { "{}", "[{\"op\":\"copy\",\"path\":\"/a\",\"from\":\"b/~\"}]",
      NGX_DECLINED, "/0/from", "must be empty or begin with \"/\"" }
};


static void
test_patch(void **state)
{
    ngx_int_t              rc;
    ngx_uint_t             i;
    const patch_t         *test;
    ngx_http_gray_json_t  *target, *patch, *same;

    static ngx_http_gray_faults_t  faults;

    (void) state;

    for (i = 0; i < ITEMS(patches); i++) {
        test = &patches[i];

        target = parse(test->target);
        patch = parse(test->patch);
        same = ngx_http_gray_json_copy(patch);

        faults.n = 0;

        rc = ngx_http_gray_patch_apply(&target, patch, &faults);

        if (rc != test->rc) {
            fail_msg("%s: %ld %s %s", test->patch, (long) rc,
                     faults.n ? faults.fault[0].pointer : "-",
                     faults.n ? faults.fault[0].detail : "-");
        }

        if (rc == NGX_OK) {
            assert_int_equal(faults.n, 0);
            assert_printed(target, 0, test->result);

        } else {
            assert_int_equal(faults.n, 1);
            assert_string_equal(faults.fault[0].pointer, test->result);
            assert_string_equal(faults.fault[0].detail, test->detail);
        }

        assert_sound(target);
        assert_true(ngx_http_gray_json_equal(patch, same));

        ngx_http_gray_json_free(target);
        ngx_http_gray_json_free(patch);
        ngx_http_gray_json_free(same);
    }
}


static void
test_patch_faults(void **state)
{
    ngx_http_gray_json_t        *target, *patch;
    ngx_http_gray_json_error_t   err;

    static ngx_http_gray_faults_t  faults;

    (void) state;

    /* every malformed operation is told, and none is applied */

    target = parse("{\"a\":1}");
    patch = parse("[{\"op\":\"remove\",\"path\":\"/a\"},"
                  "{\"op\":\"drop\",\"path\":\"/a\"},"
                  "{\"op\":\"remove\",\"path\":\"/nowhere\"},"
                  "{\"op\":\"move\",\"path\":\"/b\",\"from\":\"a\"}]");

    faults.n = 0;

    assert_int_equal(ngx_http_gray_patch_apply(&target, patch, &faults),
                     NGX_DECLINED);
    assert_int_equal(faults.n, 2);
    assert_string_equal(faults.fault[0].pointer, "/1/op");
    assert_string_equal(faults.fault[1].pointer, "/3/from");
    assert_printed(target, 0, "{\"a\":1}");

    ngx_http_gray_json_free(target);
    ngx_http_gray_json_free(patch);

    /* RFC 6902, A.13: which of the two was meant cannot be known */

    assert_null(parse_bytes(TEXT("[{\"op\":\"add\",\"path\":\"/baz\","
                                 "\"value\":\"qux\",\"op\":\"remove\"}]"),
                            &err));
    assert_string_equal(err.detail, "duplicate key \"op\"");
    assert_int_equal(err.column, 42);
}


static ngx_int_t
apply_many(ngx_http_gray_json_t **target, const char *op, ngx_uint_t n,
    ngx_http_gray_faults_t *faults)
{
    ngx_int_t              rc;
    ngx_uint_t             i;
    ngx_http_gray_json_t  *patch;

    patch = ngx_http_gray_json_array();

    for (i = 0; i < n; i++) {
        assert_int_equal(ngx_http_gray_json_append(patch, parse(op)), NGX_OK);
    }

    faults->n = 0;

    rc = ngx_http_gray_patch_apply(target, patch, faults);

    ngx_http_gray_json_free(patch);

    return rc;
}


static void
test_patch_bounds(void **state)
{
    char                  *text;
    ngx_uint_t             i;
    ngx_http_gray_json_t  *target;

    static ngx_http_gray_faults_t  faults;

    static const char  *more[] = {
        "{\"op\":\"add\",\"path\":\"/-\",\"value\":0}",
        "{\"op\":\"replace\",\"path\":\"/0\",\"value\":0}",
        "{\"op\":\"copy\",\"path\":\"/0\",\"from\":\"/1\"}"
    };

    (void) state;

#define TOO_MUCH                                                              \
    "the document and all that is added to it must be at most 131072 values " \
    "and 4194304 bytes"

    target = parse("[]");

    assert_int_equal(apply_many(&target, "{\"op\":\"add\",\"path\":\"/-\","
                                "\"value\":1}", 256, &faults), NGX_OK);
    assert_int_equal(ngx_http_gray_json_count(target), 256);

    assert_int_equal(apply_many(&target, "{\"op\":\"add\",\"path\":\"/-\","
                                "\"value\":1}", 257, &faults), NGX_DECLINED);
    assert_int_equal(faults.n, 1);
    assert_string_equal(faults.fault[0].pointer, "");
    assert_string_equal(faults.fault[0].detail,
                        "257 operations, must be at most 256");
    assert_int_equal(ngx_http_gray_json_count(target), 256);

    /* copies double: 4 values make 8, 16, ... */

    ngx_http_gray_json_free(target);
    target = parse("{\"a\":[1]}");

    assert_int_equal(apply_many(&target, "{\"op\":\"copy\",\"from\":\"/a\","
                                "\"path\":\"/a/-\"}", 256, &faults),
                     NGX_DECLINED);
    assert_string_equal(faults.fault[0].detail, TOO_DEEP);
    assert_string_equal(faults.fault[0].pointer, "/14/path");
    assert_sound(target);

    ngx_http_gray_json_free(target);
    target = parse("{\"a\":{\"b\":[1,2,3,4,5,6,7,8,9,10]},\"n\":[]}");

    assert_int_equal(apply_many(&target, "{\"op\":\"copy\",\"from\":\"/a\","
                                "\"path\":\"/n/-\"}", 256, &faults), NGX_OK);
    assert_int_equal(apply_many(&target, "{\"op\":\"copy\",\"from\":\"/n\","
                                "\"path\":\"/a/b/-\"}", 256, &faults),
                     NGX_DECLINED);
    assert_string_equal(faults.fault[0].pointer, "/41");
    assert_string_equal(faults.fault[0].detail, TOO_MUCH);

    /* what is removed again counts all the same: it was work */

    ngx_http_gray_json_free(target);
    text = __real_malloc(1024 * 1024 + 64);
    assert_non_null(text);

    memset(text, 'x', 1024 * 1024 + 64);
    memcpy(text, "{\"a\":\"", 6);
    strcpy(text + 6 + 1024 * 1024 - 2, "\"}");
    target = parse(text);

    assert_int_equal(apply_many(&target, "{\"op\":\"copy\",\"from\":\"/a\","
                                "\"path\":\"/b\"}", 3, &faults), NGX_OK);
    assert_int_equal(ngx_http_gray_json_count(target), 2);

    ngx_http_gray_json_free(ngx_http_gray_json_detach(target, "b"));

    assert_int_equal(apply_many(&target, "{\"op\":\"copy\",\"from\":\"/a\","
                                "\"path\":\"/b\"}", 4, &faults),
                     NGX_DECLINED);
    assert_string_equal(faults.fault[0].pointer, "/3");
    assert_string_equal(faults.fault[0].detail, TOO_MUCH);

    /* a value that a test shows is cut */

    assert_int_equal(apply_many(&target, "{\"op\":\"test\",\"path\":\"/a\","
                                "\"value\":1}", 1, &faults), NGX_ABORT);
    assert_int_equal(strlen(faults.fault[0].detail), 383);

    ngx_http_gray_json_free(target);
    free(text);

    /* as much as there may be, and one more: any operation is one too many */

    target = ngx_http_gray_json_array();

    for (i = 1; i < NGX_HTTP_GRAY_PATCH_NODES; i++) {
        assert_int_equal(ngx_http_gray_json_append(target,
                             ngx_http_gray_json_null()), NGX_OK);
    }

    assert_int_equal(apply_many(&target, "{\"op\":\"test\",\"path\":\"/0\","
                                "\"value\":null}", 1, &faults), NGX_OK);

    for (i = 0; i < ITEMS(more); i++) {
        assert_int_equal(apply_many(&target, more[i], 1, &faults),
                         NGX_DECLINED);
        assert_int_equal(faults.n, 1);
        assert_string_equal(faults.fault[0].pointer, "/0");
        assert_string_equal(faults.fault[0].detail, TOO_MUCH);
    }

    assert_int_equal(ngx_http_gray_json_append(target,
                         ngx_http_gray_json_null()), NGX_OK);

    assert_int_equal(apply_many(&target, "{\"op\":\"remove\","
                                "\"path\":\"/0\"}", 1, &faults),
                     NGX_DECLINED);
    assert_string_equal(faults.fault[0].pointer, "/0");
    assert_string_equal(faults.fault[0].detail, TOO_MUCH);
    assert_int_equal(ngx_http_gray_json_count(target),
                     NGX_HTTP_GRAY_PATCH_NODES);

    ngx_http_gray_json_free(target);
}


static ngx_http_gray_json_t *
pick(const char **strings, ngx_uint_t n)
{
    const char  *p;

    p = strings[draw(n)];

    return ngx_http_gray_json_string((u_char *) p, strlen(p));
}


/* random operations keep the tree whole, whatever comes of them */

static void
test_patch_random(void **state)
{
    ngx_str_t              text;
    ngx_int_t              rc;
    ngx_uint_t             i, applied;
    ngx_http_gray_json_t  *target, *patch, *op, *back;

    static ngx_http_gray_faults_t  faults;

    static const char  *ops[] = {
        "add", "add", "remove", "replace", "move", "copy", "test"
    };
    static const char  *paths[] = {
        "", "/a", "/b", "/a/0", "/a/-", "/a/1", "/b/a", "/b/b", "/a/0/a",
        "/b/a/0", "/b/a/-", "/a/1/0", "/b/b/a", "/~0", "/~1/a"
    };
    static const char  *values[] = {
        "1", "null", "[]", "{}", "[1,2]", "{\"a\":[],\"b\":{}}",
        "{\"~\":1,\"/\":{\"a\":2}}", "\"x\""
    };

    (void) state;

    seed = 6902;
    applied = 0;

    target = parse("{\"a\":[1,[2]],\"b\":{\"a\":[3],\"b\":{}}}");

    for (i = 0; i < 30000; i++) {

        op = ngx_http_gray_json_object();
        patch = ngx_http_gray_json_array();

        (void) ngx_http_gray_json_set(op, "op", pick(ops, ITEMS(ops)));
        (void) ngx_http_gray_json_set(op, "path",
                                      pick(paths, ITEMS(paths)));
        (void) ngx_http_gray_json_set(op, "from",
                                      pick(paths, ITEMS(paths)));
        (void) ngx_http_gray_json_set(op, "value",
                                      parse(values[draw(ITEMS(values))]));
        (void) ngx_http_gray_json_append(patch, op);

        faults.n = 0;
        rc = ngx_http_gray_patch_apply(&target, patch, &faults);

        assert_int_equal(faults.n, rc == NGX_OK ? 0 : 1);
        assert_true(rc == NGX_OK || rc == NGX_DECLINED || rc == NGX_ABORT);
        assert_sound(target);

        applied += (rc == NGX_OK);

        assert_int_equal(ngx_http_gray_json_print(target, 0, &text), NGX_OK);

        back = parse((char *) text.data);
        assert_true(ngx_http_gray_json_equal(target, back));

        if (text.len > 2000
            || ngx_http_gray_json_type(target) != NGX_HTTP_GRAY_JSON_OBJECT)
        {
            ngx_http_gray_json_free(target);
            target = parse("{\"a\":[1,[2]],\"b\":{\"a\":[3],\"b\":{}}}");
        }

        free(text.data);
        ngx_http_gray_json_free(patch);
        ngx_http_gray_json_free(back);
    }

    assert_in_range(applied, 5000, 29000);

    ngx_http_gray_json_free(target);
}


/*
 * One of everything.  Returns NGX_OK where all went well, NGX_ERROR where
 * something said that memory was short; nothing is left behind in both.
 */

static ngx_int_t
everything(void)
{
    ngx_int_t                    rc;
    ngx_str_t                    text;
    ngx_http_gray_json_t        *tree, *copy, *patch, *merge, *list;
    ngx_http_gray_json_error_t   err;

    static ngx_http_gray_faults_t  faults;

    static const char  document[] =
        "{\"a\":1,\"b\":[true,null,\"x\"],\"c\":{\"d\":{}},\"e\":4,\"f\":5,"
        "\"g\":6,\"h\":7,\"i\":8,\"j\":\"\\u00e9\"}";

    static const char  ops[] =
        "[{\"op\":\"add\",\"path\":\"/b/1\",\"value\":{\"y\":[0]}},"
        "{\"op\":\"add\",\"path\":\"/n\",\"value\":\"new\"},"
        "{\"op\":\"replace\",\"path\":\"/a\",\"value\":[2]},"
        "{\"op\":\"copy\",\"from\":\"/b\",\"path\":\"/c/d/k\"},"
        "{\"op\":\"move\",\"from\":\"/e\",\"path\":\"/c/e\"},"
        "{\"op\":\"move\",\"from\":\"/f\",\"path\":\"/f\"},"
        "{\"op\":\"test\",\"path\":\"/a/0\",\"value\":2},"
        "{\"op\":\"remove\",\"path\":\"/h\"},"
        "{\"op\":\"test\",\"path\":\"/a\",\"value\":3}]";

    static const char  hole[] =
        "{\"a\":null,\"b\":{\"z\":{\"zz\":null,\"zy\":1}},\"c\":{\"d\":[1]},"
        "\"new\":\"v\"}";

    static const char  twice[] = "{\"a\":1,\"b\":2,\"a\":3}";

    rc = NGX_ERROR;
    copy = NULL;
    patch = NULL;
    merge = NULL;
    list = NULL;

    tree = ngx_http_gray_json_parse((u_char *) document, sizeof(document) - 1,
                                    &err);
    if (tree == NULL) {
        assert_int_equal(err.line, 0);
        assert_string_equal(err.detail, "not enough memory");
        return NGX_ERROR;
    }

    assert_null(ngx_http_gray_json_parse((u_char *) twice, sizeof(twice) - 1,
                                         &err));
    if (err.line == 0) {
        assert_string_equal(err.detail, "not enough memory");
        goto failed;
    }

    assert_string_equal(err.detail, "duplicate key \"a\"");

    copy = ngx_http_gray_json_copy(tree);
    patch = ngx_http_gray_json_parse((u_char *) ops, sizeof(ops) - 1, &err);
    merge = ngx_http_gray_json_parse((u_char *) hole, sizeof(hole) - 1, &err);
    list = ngx_http_gray_json_array();

    if (!copy || !patch || !merge || !list) {
        goto failed;
    }

    /* comparing is never wrong, even where memory is short */

    assert_true(ngx_http_gray_json_equal(tree, copy));

    if (ngx_http_gray_json_append(list, ngx_http_gray_json_null()) != NGX_OK
        || ngx_http_gray_json_append(list, ngx_http_gray_json_boolean(1))
           != NGX_OK
        || ngx_http_gray_json_append(list, ngx_http_gray_json_number(1.5))
           != NGX_OK
        || ngx_http_gray_json_append(list,
               ngx_http_gray_json_string((u_char *) "s\xff", 2)) != NGX_OK
        || ngx_http_gray_json_set(copy, "a", ngx_http_gray_json_object())
           != NGX_OK
        || ngx_http_gray_json_set(copy, "list",
                                  ngx_http_gray_json_copy(list)) != NGX_OK
        || ngx_http_gray_json_add(copy, "last", ngx_http_gray_json_array())
           != NGX_OK)
    {
        assert_sound(copy);
        goto failed;
    }

    faults.n = 0;

    switch (ngx_http_gray_patch_apply(&copy, patch, &faults)) {

    case NGX_ERROR:
        assert_int_equal(faults.n, 0);
        assert_sound(copy);
        goto failed;

    case NGX_ABORT:
        assert_int_equal(faults.n, 1);
        assert_string_equal(faults.fault[0].pointer, "/8/value");
        assert_string_equal(faults.fault[0].detail, "the value there is [2]");
        break;

    default:
        fail();
    }

    if (ngx_http_gray_patch_merge(&copy, merge) != NGX_OK
        || ngx_http_gray_patch_merge(&list, merge) != NGX_OK)
    {
        assert_sound(copy);
        assert_sound(list);
        goto failed;
    }

    if (ngx_http_gray_json_set(copy, "copies", list) != NGX_OK) {
        list = NULL;
        goto failed;
    }

    list = NULL;

    if (ngx_http_gray_json_print(copy, 1, &text) != NGX_OK) {
        goto failed;
    }

    free(text.data);

    if (ngx_http_gray_json_print(copy, 0, &text) != NGX_OK) {
        goto failed;
    }

    assert_string_equal((char *) text.data,
        "{\"b\":{\"z\":{\"zy\":1}},\"c\":{\"d\":[1],\"e\":4},\"f\":5,\"g\":6,"
        "\"i\":8,\"j\":\"\xc3\xa9\","
        "\"list\":[null,true,1.5,\"s\xef\xbf\xbd\"],\"last\":[],"
        "\"n\":\"new\",\"new\":\"v\","
        "\"copies\":{\"b\":{\"z\":{\"zy\":1}},\"c\":{\"d\":[1]},"
        "\"new\":\"v\"}}");

    free(text.data);

    rc = NGX_OK;

failed:

    ngx_http_gray_json_free(tree);
    ngx_http_gray_json_free(copy);
    ngx_http_gray_json_free(patch);
    ngx_http_gray_json_free(merge);
    ngx_http_gray_json_free(list);

    return rc;
}


static void
test_memory(void **state)
{
    ngx_int_t    rc;
    ngx_uint_t   i, ours, total, survived;
    cJSON_Hooks  hooks;

    (void) state;

    /* our own allocations do come by here */

    failing = 0;
    allocations = 0;
    assert_int_equal(everything(), NGX_OK);
    ours = allocations;
    assert_in_range(ours, 10, 1000);

    hooks.malloc_fn = cjson_malloc;
    hooks.free_fn = cjson_free;
    cJSON_InitHooks(&hooks);

    allocations = 0;
    blocks = 0;
    assert_int_equal(everything(), NGX_OK);
    assert_int_equal(blocks, 0);

    total = allocations;
    assert_in_range(total, ours + 100, 10000);

    survived = 0;

    for (i = 1; i <= total; i++) {
        failing = i;
        allocations = 0;

        rc = everything();

        assert_true(allocations >= i);
        assert_int_equal(blocks, 0);

        if (rc == NGX_OK) {
            survived++;
        }
    }

    failing = 0;
    cJSON_InitHooks(NULL);

    /* only the two that a large comparison sorts by can be done without */

    assert_int_equal(survived, 2);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_readers),
        cmocka_unit_test(test_writers),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_pretty),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test_teardown(test_locale, reset_locale),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_fault),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_merge_random),
        cmocka_unit_test(test_patch),
        cmocka_unit_test(test_patch_faults),
        cmocka_unit_test(test_patch_bounds),
        cmocka_unit_test(test_patch_random),
        cmocka_unit_test(test_memory)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
