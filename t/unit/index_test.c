
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The index over rules: the rule that a decision finds by it is the first that
 * holds by itself, whatever the rules, the values and their order; nothing is
 * fetched before its time; and memory that is short at any place does no harm.
 */


#include "unit.h"

/*
 * The wrappers to be linked: __wrap_malloc, __wrap_calloc, __wrap_realloc,
 * __wrap_posix_memalign, __wrap_pcre2_compile_8,
 * __wrap_pcre2_match_data_create_8, __wrap_pcre2_match_context_create_8
 */

#include "memory.h"

#include "ngx_http_gray_index.h"


#define ATTRIBUTES  24              /* $xa, $xb, ... */
#define RULES       80
#define DOCUMENTS   1500
#define REQUESTS    40

#define HEAD                                                                  \
    "{\"baseline\": \"off\", \"salt\": \"s\", \"variants\": {\"off\": {},"    \
    "\"on\": {}}, \"rules\": ["


/* what an attribute is: texts, and a number for "$number" */

typedef struct {
    const char             *text[ATTRIBUTES][3];
    ngx_int_t               state[ATTRIBUTES];
    double                  number;
    ngx_http_gray_value_t   more[2 * ATTRIBUTES];
    ngx_uint_t              nmore;
    char                    asked[256];
} request_t;


static ngx_log_t   quiet;
static uint64_t    seed = 20;
static char       *p;


static const char  *texts[] = {
    "a", "A", "b", "ab", "Ab", "aB", "abcdefghij", "ABCDEFGHIJ", "0", "-0",
    "1", "1.0", "01", "5.5", "-7", "9007199254740992", "5.50", "", "true",
    "\xc3\xa9", "b c"
};


static ngx_int_t
get(void *ctx, ngx_http_gray_attribute_t *attribute,
    ngx_http_gray_value_t *value)
{
    ngx_uint_t   i, k;
    request_t   *request;

    request = ctx;

    if (strlen(request->asked) < 200) {
        strncat(request->asked, (char *) attribute->name.data,
                attribute->name.len);
    }

    if (memcmp(attribute->name.data, "$number", attribute->name.len) == 0) {
        value->number = request->number;
        value->numeric = NGX_HTTP_GRAY_IS;

        return NGX_OK;
    }

    i = attribute->name.data[attribute->name.len - 1] - 'a';
    value->text = string(request->text[i][0]);

    if (attribute->values == NGX_HTTP_GRAY_ANY) {

        for (k = 1; k < 3 && request->text[i][k]; k++) {
            value->next = &request->more[request->nmore++
                                         % ITEMS(request->more)];
            value = value->next;

            memset(value, 0, sizeof(ngx_http_gray_value_t));
            value->text = string(request->text[i][k]);
        }
    }

    return request->state[i];
}


static ngx_int_t
mint(void *ctx, ngx_http_gray_cookie_t *cookie, ngx_str_t *key)
{
    return NGX_DECLINED;
}


static uint32_t
chance(void *ctx)
{
    return 0;
}


static const ngx_http_gray_rules_ops_t  ops = { get, mint, chance };


static ngx_uint_t
below(ngx_uint_t n)
{
    return draw(&seed) % n;
}


static void
put(const char *format, ...)
{
    va_list  args;

    va_start(args, format);
    p += vsprintf(p, format, args);
    va_end(args);
}


static void
put_scalar(void)
{
    static const char  *numbers[] = { "0", "1", "5.5", "-7", "-0",
                                      "9007199254740992" };

    if (below(3) == 0) {
        put("%s", numbers[below(ITEMS(numbers))]);

    } else {
        const char  *text;

        do {
            text = texts[below(ITEMS(texts))];
        } while (text[0] == '\0');

        put("\"%s\"", text);
    }
}


/* the first attributes are those that many rules need */

static void
put_test(void)
{
    ngx_uint_t  i, n;

    if (below(12) == 0) {
        put("\"$number\": ");

    } else {
        n = below(3) ? 3 : ATTRIBUTES;
        put("\"$x%c\": ", (int) ('a' + below(n)));
    }

    switch (below(10)) {

    case 0:
        put("{\"prefix\": \"a\"}");
        break;

    case 1:
        put("{\"exists\": %s}", below(2) ? "true" : "false");
        break;

    case 2:
        put("{\"ne\": ");
        put_scalar();
        put("}");
        break;

    case 3:
        put("{\"gt\": 0}");
        break;

    case 4:
    case 5:
        put("{\"in\": [");
        n = below(20) == 0 ? 70 : 1 + below(8);

        for (i = 0; i < n; i++) {
            put(i ? ", " : "");
            put_scalar();
        }

        put("]%s}", below(2) ? ", \"ignore_case\": true" : "");
        break;

    case 6:
        put("{\"eq\": ");
        put_scalar();
        put(", \"ignore_case\": true}");
        break;

    default:
        put_scalar();
    }
}


static void
put_when(ngx_uint_t depth)
{
    ngx_uint_t  i, n;

    static const char  *lists[] = { "all", "any" };

    put("{");

    switch (depth ? below(6) : 0) {

    case 1:
    case 2:
        put("\"%s\": [", lists[below(2)]);
        n = 1 + below(3);

        for (i = 0; i < n; i++) {
            put(i ? ", " : "");
            put_when(depth - 1);
        }

        put("]");
        break;

    case 3:
        put("\"not\": ");
        put_when(depth - 1);
        break;

    default:
        put_test();
    }

    put("}");
}


static void
fill(request_t *request)
{
    ngx_uint_t  i, k;

    static const double  numbers[] = { 0, -0.0, 1, 5.5, -7, 0.1, 1e300,
                                       9007199254740992.0 };

    memset(request, 0, sizeof(request_t));

    request->number = numbers[below(ITEMS(numbers))];

    for (i = 0; i < ATTRIBUTES; i++) {

        request->state[i] = below(8) ? NGX_OK
                            : below(2) ? NGX_DECLINED : NGX_ERROR;

        for (k = 0; k < 3; k++) {
            request->text[i][k] = (k == 0 || below(2))
                                  ? texts[below(ITEMS(texts))] : NULL;
        }
    }
}


/* by the index, and each rule by itself in the order of the document */

static ngx_int_t
found(ngx_http_gray_rules_t *rules, request_t *request)
{
    ngx_http_gray_outcome_t  outcome;

    ngx_http_gray_rules_decide(rules, &ops, request, &outcome);

    return outcome.rule ? atoi((char *) outcome.rule->data) : -1;
}


static ngx_int_t
first(ngx_http_gray_rules_t *rules, request_t *request)
{
    ngx_str_t               *name;
    ngx_uint_t               i;
    ngx_http_gray_failed_t   failed;

    for (i = 0; i < ngx_http_gray_rules_count(rules); i++) {

        if (ngx_http_gray_rules_verdict(rules, i, &ops, request, &name,
                                        &failed)
            == 1)
        {
            return i;
        }
    }

    return -1;
}


static ngx_http_gray_rules_t *
compile(const char *text)
{
    ngx_http_gray_json_t   *doc;
    ngx_http_gray_rules_t  *rules;

    doc = parse(text);

    rules = ngx_http_gray_compile(doc, &known, NULL, &quiet);
    assert_non_null(rules);

    ngx_http_gray_json_free(doc);

    return rules;
}


static void
test_linear(void **state)
{
    char                   *text;
    request_t               request;
    ngx_int_t               one, two;
    ngx_uint_t              i, k, n, none, late;
    ngx_http_gray_rules_t  *rules;

    (void) state;

    text = malloc(1024 * 1024);
    assert_non_null(text);

    none = 0;
    late = 0;

    for (i = 0; i < DOCUMENTS; i++) {

        p = text;
        put(HEAD);
        n = 1 + below(RULES);

        for (k = 0; k < n; k++) {
            put("%s{\"variant\": \"on\", \"when\": ", k ? ", " : "");

            if (below(4)) {

                /* what can be indexed, and what makes it rare */

                put("{");
                put_test();
                put(", \"any\": [{\"$xa\": \"%s\"}, {\"$xb\": [\"%s\", %d]}]}",
                    texts[below(17)], texts[below(17)], (int) below(3));

            } else {
                put_when(3);
            }

            put("}");
        }

        put("]}");

        rules = compile(text);

        for (k = 0; k < REQUESTS; k++) {
            fill(&request);

            one = found(rules, &request);
            two = first(rules, &request);

            if (one != two) {
                fail_msg("%s\nrule %ld by the index, %ld without", text,
                         (long) one, (long) two);
            }

            none += (two == -1);
            late += (two > 8);
        }

        ngx_http_gray_rules_destroy(rules);
    }

    free(text);

    assert_true(none > DOCUMENTS * REQUESTS / 50);
    assert_true(late > DOCUMENTS * REQUESTS / 50);
}


/*
 * There is an index: attributes of rules that it leaves out are not asked for,
 * nor is the one of a group whose first rule is behind the one that holds.
 */

static void
test_asked(void **state)
{
    char                    text[16384];
    request_t               request;
    ngx_uint_t              i;
    ngx_http_gray_rules_t  *rules;

    (void) state;

    p = text;
    put(HEAD);

    for (i = 0; i < 40; i++) {
        put("%s{\"variant\": \"on\", \"when\": {\"$xz\": {\"exists\": true}, "
            "\"$x%c\": \"v%d\"}}", i ? ", " : "", i < 20 ? 'a' : 'b', (int) i);
    }

    put("]}");

    /* "z" is not among the attributes of fill() */

    assert_true(ATTRIBUTES < 26);

    rules = compile(text);

    fill(&request);
    request.state[0] = NGX_OK;
    request.text[0][0] = "none";
    request.state[1] = NGX_OK;
    request.text[1][0] = "none";

    assert_int_equal(found(rules, &request), -1);
    assert_string_equal(request.asked, "$xa$xb");

    ngx_http_gray_rules_destroy(rules);
}


/* a group for each of many attributes, of which so many can be made only */

static void
test_groups(void **state)
{
    char                   *text;
    request_t               request;
    ngx_uint_t              i, n, group;
    ngx_http_gray_rules_t  *rules;

    (void) state;

    text = malloc(1024 * 1024);
    assert_non_null(text);

    p = text;
    put(HEAD);
    n = 0;

    for (group = 0; group < ATTRIBUTES; group++) {

        for (i = 0; i < 5 + group; i++, n++) {
            put("%s{\"variant\": \"on\", \"when\": {\"$x%c\": {\"in\": "
                "[\"r%d\", %d, \"%d\"]%s}}}", n ? ", " : "",
                (int) ('a' + group), (int) n, (int) n, (int) n,
                group % 2 ? ", \"ignore_case\": true" : "");
        }
    }

    put("]}");

    rules = compile(text);

    for (i = 0; i < n; i++) {
        char  name[16];

        fill(&request);

        for (group = 0; group < ATTRIBUTES; group++) {
            sprintf(name, below(2) ? "r%d" : "%d", (int) i);
            request.state[group] = NGX_OK;
            request.text[group][0] = name;
        }

        assert_int_equal(found(rules, &request), i);
        assert_int_equal(first(rules, &request), i);
    }

    ngx_http_gray_rules_destroy(rules);
    free(text);
}


static void
test_memory(void **state)
{
    char                    text[8192];
    request_t               request;
    ngx_uint_t              i, total, failed;
    ngx_http_gray_json_t   *doc;
    ngx_http_gray_rules_t  *rules;

    (void) state;

    p = text;
    put(HEAD);

    for (i = 0; i < 30; i++) {
        put("%s{\"variant\": \"on\", \"when\": {\"$x%c\": [\"v%d\", %d]}}",
            i ? ", " : "", (int) ('a' + i % 3), (int) i, (int) i);
    }

    put("]}");

    doc = parse(text);
    total = 0;
    failed = 0;

    for (i = 0; i == 0 || i <= total; i++) {

        allocations = 0;
        failing = i;

        rules = ngx_http_gray_compile(doc, &known, NULL, &quiet);

        failing = 0;

        if (i == 0) {
            total = allocations;
            assert_non_null(rules);
            assert_in_range(total, 20, 1000);
        }

        if (rules == NULL) {
            failed++;
            continue;
        }

        fill(&request);
        request.state[0] = NGX_DECLINED;
        request.state[1] = NGX_OK;
        request.text[1][0] = "28.0";
        request.state[2] = NGX_OK;
        request.text[2][0] = "v29";

        assert_int_equal(found(rules, &request), 28);

        ngx_http_gray_rules_destroy(rules);
    }

    assert_int_equal(failed, total);

    ngx_http_gray_json_free(doc);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_asked),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_memory)
    };

    ngx_pagesize = getpagesize();

    return cmocka_run_group_tests(tests, NULL, NULL);
}
