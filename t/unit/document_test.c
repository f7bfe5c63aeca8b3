
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Documents: the canonical form and that it is one, allocations along random
 * histories, damaged documents, and every allocation of memory failing once.
 */


#include "unit.h"

#include "ngx_http_gray_document.h"

/*
 * The wrappers to be linked: __wrap_malloc, __wrap_calloc, __wrap_realloc,
 * __wrap_posix_memalign, __wrap_pcre2_compile_8,
 * __wrap_pcre2_match_data_create_8, __wrap_pcre2_match_context_create_8
 */

#include "memory.h"


typedef struct {
    const char  *current;           /* canonical, or NULL */
    const char  *input;
    const char  *text;
} built_t;


static ngx_log_t                 quiet;
static ngx_http_gray_document_t  env;
static uint64_t                  seed;


static void
assert_same(const char *input, const ngx_str_t *text, const char *expected)
{
    if (text->len != strlen(expected)
        || memcmp(text->data, expected, text->len) != 0)
    {
        fail_msg("%s\nexpected:\n%s\nfound:\n%s", input, expected, text->data);
    }

    assert_int_equal(text->data[text->len], '\0');
}


/* a document without a fault */

static ngx_http_gray_json_t *
build(const ngx_http_gray_json_t *input, const ngx_http_gray_json_t *current,
    ngx_str_t *text)
{
    ngx_int_t                rc;
    ngx_http_gray_json_t    *doc;
    ngx_http_gray_faults_t   faults;

    faults.n = 0;
    rc = ngx_http_gray_document_build(&env, input, current, &doc, text,
                                      &faults);

    assert_faults("input", &faults, "");
    assert_int_equal(rc, NGX_OK);
    assert_non_null(doc);

    return doc;
}


/* what is canonical is its own canonical form, whatever is in force */

static void
assert_canonical(const ngx_http_gray_json_t *doc, const ngx_str_t *text,
    const ngx_http_gray_json_t *current)
{
    ngx_str_t              again;
    ngx_http_gray_json_t  *copy;

    copy = build(doc, current, &again);
    assert_same("canonical", &again, (char *) text->data);

    ngx_http_gray_json_free(copy);
    free(again.data);
}


#define STABLE  "\"stable\":{\"upstream\":\"app_v1\"}"
#define CANARY(weight)                                                        \
    "\"canary\":{\"upstream\":\"app_v2\",\"weight\":" weight "}"
#define BLUE(weight)                                                          \
    "\"blue\":{\"upstream\":\"app_v2\",\"weight\":" weight "}"
#define HEAD  "{\"enabled\":true,\"baseline\":\"stable\","
#define SALT  "\"salt\":\"checkout\","
#define TWO(weight)  "\"variants\":{" STABLE "," CANARY(weight) "}"
#define THREE(canary, blue)                                                   \
    "\"variants\":{" STABLE "," CANARY(canary) "," BLUE(blue) "}"
#define GIVEN(weight, allocation)                                             \
    HEAD SALT TWO(weight) ",\"rules\":[],\"allocation\":" allocation "}"
#define INPUT(weight)  "{\"baseline\":\"stable\"," TWO(weight) "}"
#define RULE(name, weights)                                                   \
    "{\"name\":\"" name "\",\"when\":{\"$x\":\"1\"},\"weights\":" weights "}"
#define RULED(name, weights, allocation)                                      \
    "{\"name\":\"" name "\",\"when\":{\"$x\":\"1\"},\"weights\":" weights     \
    ",\"allocation\":" allocation "}"


static const built_t  built[] = {

    /* defaults, and the order of the members */

    { NULL, "{\"variants\":{" STABLE "},\"baseline\":\"stable\"}",
      HEAD SALT "\"variants\":{" STABLE "},\"rules\":[],\"allocation\":{}}" },

    { NULL, "{ \"baseline\" : \"s\",\n \"variants\" : { \"s\" : {} } }",
      "{\"enabled\":true,\"baseline\":\"s\"," SALT "\"variants\":{\"s\":{}},"
      "\"rules\":[],\"allocation\":{}}" },

    { NULL, "{\"allocation\":{\"canary\":[[7,50007]]},"
      "\"rules\":[{\"variant\":\"canary\",\"when\":"
      "{\"not\":{\"$z\":{\"suffix\":\"b\",\"prefix\":\"a\"}},\"$z\":1,"
      "\"all\":[{\"$y\":1,\"$x\":1},{\"$b\":1}],\"$a\":2},"
      "\"name\":\"r\"}],"
      "\"variants\":{\"canary\":{\"weight\":5,\"upstream\":\"app_v2\"},"
      STABLE "},"
      "\"salt\":\"s\",\"cookie\":{\"samesite\":\"none\",\"httponly\":true,"
      "\"secure\":true,\"path\":\"/a\",\"domain\":\"d\",\"expires\":\"1h\","
      "\"name\":\"id\"},\"hash\":[\"$b\",\"$a\"],\"baseline\":\"stable\","
      "\"enabled\":false}",
      "{\"enabled\":false,\"baseline\":\"stable\",\"hash\":[\"$b\",\"$a\"],"
      "\"cookie\":{\"name\":\"id\",\"expires\":\"1h\",\"domain\":\"d\","
      "\"path\":\"/a\",\"secure\":true,\"httponly\":true,"
      "\"samesite\":\"none\"},\"salt\":\"s\",\"variants\":{"
      "\"canary\":{\"upstream\":\"app_v2\",\"weight\":5}," STABLE "},"
      "\"rules\":[{\"name\":\"r\",\"when\":"
      "{\"$a\":2,\"$z\":1,\"all\":[{\"$x\":1,\"$y\":1},{\"$b\":1}],"
      "\"not\":{\"$z\":{\"prefix\":\"a\",\"suffix\":\"b\"}}},"
      "\"variant\":\"canary\"}],\"allocation\":{\"canary\":[[7,50007]]}}" },

    /* what is said of the baseline twice */

    { NULL, "{\"fallback\":\"baseline\",\"baseline\":\"stable\"," TWO("0")
      "}",
      HEAD "\"fallback\":\"baseline\"," SALT TWO("0")
      ",\"rules\":[],\"allocation\":{}}" },
    { NULL, "{\"hash\":[\"$a\"],\"fallback\":\"off\","
      "\"baseline\":\"stable\"," TWO("0") "}",
      HEAD "\"fallback\":\"off\",\"hash\":[\"$a\"]," SALT TWO("0")
      ",\"rules\":[],\"allocation\":{}}" },

    /* the path of a cookie stands where it would have been given */

    { NULL, "{\"baseline\":\"stable\"," TWO("0")
      ",\"cookie\":{\"name\":\"id\",\"secure\":true,\"domain\":\"d\"}}",
      HEAD "\"cookie\":{\"name\":\"id\",\"domain\":\"d\",\"path\":\"/\","
      "\"secure\":true}," SALT TWO("0") ",\"rules\":[],\"allocation\":{}}" },

    /* what is read-only is left out, one number has one form */

    { NULL, "{\"release\":\"checkout\",\"revision\":3,\"baseline\":\"stable\","
      "\"origin\":\"api\",\"declared_differs\":true," TWO("5.0000") "}",
      GIVEN("5", "{\"canary\":[[0,50000]]}") },

    { NULL, INPUT("33.3333"), GIVEN("33.3333", "{\"canary\":[[0,333333]]}") },
    { NULL, INPUT("1e-4"), GIVEN("0.0001", "{\"canary\":[[0,1]]}") },
    { NULL, INPUT("100"), GIVEN("100", "{\"canary\":[[0,1000000]]}") },
    { NULL, INPUT("0"), GIVEN("0", "{}") },
    { NULL, INPUT("-0.0"), GIVEN("0", "{}") },

    /* growing takes the lowest of the baseline, shrinking gives back */

    { GIVEN("5", "{\"canary\":[[0,50000]]}"), INPUT("20"),
      GIVEN("20", "{\"canary\":[[0,200000]]}") },
    { GIVEN("20", "{\"canary\":[[0,200000]]}"), INPUT("5"),
      GIVEN("5", "{\"canary\":[[0,50000]]}") },
    { GIVEN("5", "{\"canary\":[[100000,150000]]}"), INPUT("10"),
      GIVEN("10", "{\"canary\":[[100000,150000],[0,50000]]}") },
    { GIVEN("5", "{\"canary\":[[100000,150000]]}"), INPUT("5"),
      GIVEN("5", "{\"canary\":[[100000,150000]]}") },

    /* what is given is taken, if it fits */

    { NULL, GIVEN("5", "{\"canary\":[[700000,750000]]}"),
      GIVEN("5", "{\"canary\":[[700000,750000]]}") },
    { GIVEN("5", "{\"canary\":[[0,50000]]}"),
      GIVEN("5", "{\"canary\":[[700000,725000],[0,25000]]}"),
      GIVEN("5", "{\"canary\":[[700000,725000],[0,25000]]}") },

    /* too few, too many, overlapping, of nobody: derived */

    { GIVEN("5", "{\"canary\":[[100000,150000]]}"),
      GIVEN("5", "{\"canary\":[[700000,749999]]}"),
      GIVEN("5", "{\"canary\":[[100000,150000]]}") },
    { GIVEN("5", "{\"canary\":[[100000,150000]]}"),
      GIVEN("5", "{\"canary\":[[700000,750001]]}"),
      GIVEN("5", "{\"canary\":[[100000,150000]]}") },
    { GIVEN("5", "{\"canary\":[[100000,150000]]}"),
      GIVEN("5", "{\"canary\":[[0,25000],[24999,49999]]}"),
      GIVEN("5", "{\"canary\":[[100000,150000]]}") },
    { GIVEN("5", "{\"canary\":[[100000,150000]]}"), GIVEN("5", "{}"),
      GIVEN("5", "{\"canary\":[[100000,150000]]}") },
    { NULL, GIVEN("5", "{\"canary\":[[0,25000],[24999,49999]]}"),
      GIVEN("5", "{\"canary\":[[0,50000]]}") },

    /* what is read, edited and written back */

    { GIVEN("5", "{\"canary\":[[100000,150000]]}"),
      GIVEN("6", "{\"canary\":[[100000,150000]]}"),
      GIVEN("6", "{\"canary\":[[100000,150000],[0,10000]]}") },

    /* an order of variants is no change */

    { HEAD SALT THREE("5", "5") ",\"rules\":[],\"allocation\":"
      "{\"canary\":[[100000,150000]],\"blue\":[[0,50000]]}}",
      "{\"baseline\":\"stable\",\"variants\":{" BLUE("5") "," CANARY("5") ","
      STABLE "}}",
      HEAD SALT "\"variants\":{" BLUE("5") "," CANARY("5") "," STABLE "},"
      "\"rules\":[],\"allocation\":{\"blue\":[[0,50000]],"
      "\"canary\":[[100000,150000]]}}" },

    /* from one to the other: just these */

    { HEAD SALT THREE("5", "5") ",\"rules\":[],\"allocation\":"
      "{\"canary\":[[0,50000]],\"blue\":[[50000,100000]]}}",
      "{\"baseline\":\"stable\"," THREE("0", "10") "}",
      HEAD SALT THREE("0", "10") ",\"rules\":[],\"allocation\":"
      "{\"blue\":[[50000,100000],[0,50000]]}}" },

    /* a variant that is gone leaves its users to the baseline */

    { HEAD SALT THREE("5", "5") ",\"rules\":[],\"allocation\":"
      "{\"canary\":[[0,50000]],\"blue\":[[50000,100000]]}}", INPUT("5"),
      GIVEN("5", "{\"canary\":[[0,50000]]}") },

    /* a promotion: roles change, users stay */

    { GIVEN("30", "{\"canary\":[[0,300000]]}"),
      "{\"baseline\":\"canary\",\"variants\":{"
      "\"stable\":{\"upstream\":\"app_v1\",\"weight\":70},"
      "\"canary\":{\"upstream\":\"app_v2\"}}}",
      "{\"enabled\":true,\"baseline\":\"canary\"," SALT "\"variants\":{"
      "\"stable\":{\"upstream\":\"app_v1\",\"weight\":70},"
      "\"canary\":{\"upstream\":\"app_v2\"}},\"rules\":[],"
      "\"allocation\":{\"stable\":[[300000,1000000]]}}" },

    /* the rules have their own, which go by their names */

    { NULL, "{\"baseline\":\"stable\"," TWO("5") ",\"rules\":["
      RULE("a", "{\"canary\":20}") "," RULE("b", "{\"canary\":0}") "]}",
      HEAD SALT TWO("5") ",\"rules\":["
      RULED("a", "{\"canary\":20}", "{\"canary\":[[0,200000]]}") ","
      RULED("b", "{\"canary\":0}", "{}") "],"
      "\"allocation\":{\"canary\":[[0,50000]]}}" },

    { HEAD SALT TWO("5") ",\"rules\":["
      RULED("a", "{\"canary\":20}", "{\"canary\":[[400000,600000]]}") ","
      RULED("b", "{\"canary\":30}", "{\"canary\":[[100000,400000]]}") "],"
      "\"allocation\":{\"canary\":[[0,50000]]}}",
      "{\"baseline\":\"stable\"," TWO("5") ",\"rules\":["
      RULE("c", "{\"canary\":10}") "," RULE("b", "{\"canary\":40}") ","
      "{\"when\":{\"$x\":\"1\"},\"variant\":\"canary\"},"
      RULE("a", "{\"canary\":10}") "]}",
      HEAD SALT TWO("5") ",\"rules\":["
      RULED("c", "{\"canary\":10}", "{\"canary\":[[0,100000]]}") ","
      RULED("b", "{\"canary\":40}", "{\"canary\":[[100000,400000],"
            "[0,100000]]}") ","
      "{\"when\":{\"$x\":\"1\"},\"variant\":\"canary\"},"
      RULED("a", "{\"canary\":10}", "{\"canary\":[[400000,500000]]}") "],"
      "\"allocation\":{\"canary\":[[0,50000]]}}" },

    { HEAD SALT TWO("5") ",\"rules\":["
      RULED("a", "{\"canary\":20}", "{\"canary\":[[400000,600000]]}") "],"
      "\"allocation\":{\"canary\":[[0,50000]]}}",
      "{\"baseline\":\"stable\"," TWO("5") ",\"rules\":["
      RULED("a", "{\"canary\":20}", "{\"canary\":[[1,200001]]}") "]}",
      HEAD SALT TWO("5") ",\"rules\":["
      RULED("a", "{\"canary\":20}", "{\"canary\":[[1,200001]]}") "],"
      "\"allocation\":{\"canary\":[[0,50000]]}}" },

    { HEAD SALT TWO("5") ",\"rules\":["
      RULED("a", "{\"canary\":20}", "{\"canary\":[[400000,600000]]}") "],"
      "\"allocation\":{\"canary\":[[0,50000]]}}",
      "{\"baseline\":\"stable\"," TWO("5") ",\"rules\":["
      RULED("a", "{\"canary\":20}", "{\"canary\":[[1,200000]]}") "]}",
      HEAD SALT TWO("5") ",\"rules\":["
      RULED("a", "{\"canary\":20}", "{\"canary\":[[400000,600000]]}") "],"
      "\"allocation\":{\"canary\":[[0,50000]]}}" },

    /* a rule that is new begins anew, wherever the release's users are */

    { HEAD SALT TWO("5") ",\"rules\":[],"
      "\"allocation\":{\"canary\":[[700000,750000]]}}",
      "{\"baseline\":\"stable\"," TWO("5") ",\"rules\":["
      RULE("a", "{\"canary\":5}") "]}",
      HEAD SALT TWO("5") ",\"rules\":["
      RULED("a", "{\"canary\":5}", "{\"canary\":[[0,50000]]}") "],"
      "\"allocation\":{\"canary\":[[700000,750000]]}}" },

    /* what is in force had no allocation that fits */

    { HEAD SALT TWO("5") ",\"rules\":[]}", INPUT("5"),
      GIVEN("5", "{\"canary\":[[0,50000]]}") },
    { GIVEN("5", "{\"canary\":[[0,1]]}"), INPUT("5"),
      GIVEN("5", "{\"canary\":[[0,50000]]}") }
};


static void
test_built(void **state)
{
    ngx_str_t              text;
    ngx_uint_t             i;
    const built_t         *test;
    ngx_http_gray_json_t  *input, *current, *doc, *parsed;

    (void) state;

    for (i = 0; i < ITEMS(built); i++) {
        test = &built[i];

        input = parse(test->input);
        current = test->current ? parse(test->current) : NULL;

        doc = build(input, current, &text);

        assert_same(test->input, &text, test->text);

        parsed = parse((char *) text.data);
        assert_true(ngx_http_gray_json_equal(doc, parsed));

        assert_canonical(doc, &text, NULL);
        assert_canonical(parsed, &text, current);
        assert_canonical(parsed, &text, doc);

        ngx_http_gray_json_free(input);
        ngx_http_gray_json_free(current);
        ngx_http_gray_json_free(doc);
        ngx_http_gray_json_free(parsed);
        free(text.data);
    }
}


/* both who judges members and who compiles names tell, in one answer */

static void
test_refused(void **state)
{
    ngx_int_t                  rc;
    ngx_str_t                  text;
    ngx_uint_t                 i;
    ngx_http_gray_json_t      *input, *doc;
    ngx_http_gray_faults_t     faults;
    ngx_http_gray_document_t   nameless;

    static const struct {
        const char  *input;
        const char  *faults;

        /* where names are not known */
        const char  *nameless;
    } tests[] = {
        { "5", " must be an object", " must be an object" },

        { "{\"baseline\":\"stable\",\"hash\":[\"$nowhere\"],"
          "\"cookie\":{\"name\":\"id\"},\"variants\":{" STABLE ","
          "\"canary\":{\"upstream\":\"gone\",\"weight\":101}},"
          "\"rules\":[{\"when\":{\"$x\":{\"regex\":\"(\"},\"$nowhere\":1},"
          "\"variant\":\"blue\"}]}",
          "/variants/canary/weight 101 is not within 0 to 100\n"
          "/rules/0/variant no variant \"blue\"; there are stable, canary\n"
          "/variants/canary/upstream " NO_UPSTREAM "\n"
          "/hash/0 " NO_VARIABLE "\n"
          "/rules/0/when/$x/regex invalid pattern at offset 1: missing "
          "closing parenthesis\n"
          "/rules/0/when/$nowhere " NO_VARIABLE,
          "/variants/canary/weight 101 is not within 0 to 100\n"
          "/rules/0/variant no variant \"blue\"; there are stable, canary" }
    };

    (void) state;

    nameless = env;
    nameless.env = NULL;

    for (i = 0; i < ITEMS(tests); i++) {
        input = parse(tests[i].input);

        faults.n = 0;
        rc = ngx_http_gray_document_build(&env, input, NULL, &doc, &text,
                                          &faults);

        assert_int_equal(rc, NGX_DECLINED);
        assert_null(doc);
        assert_null(text.data);
        assert_faults(tests[i].input, &faults, tests[i].faults);

        faults.n = 0;
        rc = ngx_http_gray_document_build(&nameless, input, NULL, &doc, &text,
                                          &faults);

        assert_int_equal(rc, NGX_DECLINED);
        assert_faults(tests[i].input, &faults, tests[i].nameless);

        ngx_http_gray_json_free(input);
    }

    /* what is known only later is no fault before */

    input = parse("{\"baseline\":\"s\",\"hash\":[\"$nowhere\"],\"variants\":"
                  "{\"s\":{\"upstream\":\"gone\"}},\"rules\":[{\"when\":"
                  "{\"$nowhere\":{\"later\":1}},\"variant\":\"s\"}]}");
    faults.n = 0;
    rc = ngx_http_gray_document_build(&nameless, input, NULL, &doc, &text,
                                      &faults);
    assert_int_equal(rc, NGX_OK);
    assert_int_equal(faults.n, 0);

    ngx_http_gray_json_free(input);
    ngx_http_gray_json_free(doc);
    free(text.data);
}


/* one fault is told once */

static void
test_once(void **state)
{
    ngx_str_t                text;
    ngx_uint_t               i, wrong;
    ngx_http_gray_json_t    *input, *doc;
    ngx_http_gray_faults_t   faults;

    static const char *tests[] = {
        "{\"baseline\":\"s\",\"variants\":{\"s\":{}},"
        "\"rules\":[{\"when\":[],\"variant\":\"s\"}]}",
        "{\"baseline\":\"s\",\"variants\":{\"s\":{}},\"hash\":[\"cookie\"]}",
        "{\"baseline\":\"s\",\"variants\":{\"s\":{}},\"hash\":[5]}",
        "{\"baseline\":\"s\",\"variants\":{\"s\":{\"upstream\":\"\"}}}",
        "{\"baseline\":\"s\",\"variants\":{\"s\":{\"upstream\":5}}}",
        "{\"baseline\":\"s\",\"variants\":{\"s\":{}},"
        "\"cookie\":{\"name\":\"\"}}",
        "{\"baseline\":\"s\",\"variants\":{\"s\":{}},"
        "\"rules\":[{\"when\":{\"x\":1},\"variant\":\"s\"}]}",
        "{\"baseline\":\"s\",\"variants\":{\"s\":{}},"
        "\"rules\":[{\"when\":{},\"variant\":\"s\"}]}"
    };

    (void) state;

    wrong = 0;

    for (i = 0; i < ITEMS(tests); i++) {
        input = parse(tests[i]);
        faults.n = 0;

        assert_int_equal(ngx_http_gray_document_build(&env, input, NULL, &doc,
                                                      &text, &faults),
                         NGX_DECLINED);

        if (faults.n != 1) {
            print_error("%s: %lu faults, %s %s, %s %s\n", tests[i],
                        (unsigned long) faults.n,
                        faults.fault[0].pointer, faults.fault[0].detail,
                        faults.fault[1].pointer, faults.fault[1].detail);
            wrong++;
        }

        ngx_http_gray_json_free(input);
    }

    assert_int_equal(wrong, 0);
}


static void
test_too_large(void **state)
{
    char                       detail[128];
    ngx_int_t                  rc;
    ngx_str_t                  text;
    ngx_http_gray_json_t      *input, *doc;
    ngx_http_gray_faults_t     faults;
    ngx_http_gray_document_t   small;

    static const char  canonical[] = GIVEN("5", "{\"canary\":[[0,50000]]}");

    (void) state;

    input = parse(INPUT("5"));
    small = env;

    faults.n = 0;
    small.max = sizeof(canonical) - 1;
    rc = ngx_http_gray_document_build(&small, input, NULL, &doc, &text,
                                      &faults);
    assert_int_equal(rc, NGX_OK);
    assert_same("", &text, canonical);

    ngx_http_gray_json_free(doc);
    free(text.data);

    small.max--;
    rc = ngx_http_gray_document_build(&small, input, NULL, &doc, &text,
                                      &faults);
    assert_int_equal(rc, NGX_BUSY);
    assert_null(doc);
    assert_null(text.data);

    sprintf(detail, " is %lu bytes long, the zone takes documents of at most "
            "%lu: document=SIZE of gray_zone",
            (unsigned long) sizeof(canonical) - 1,
            (unsigned long) sizeof(canonical) - 2);
    assert_faults("", &faults, detail);

    ngx_http_gray_json_free(input);
}


static void
test_same(void **state)
{
    ngx_uint_t             i;
    ngx_str_t              name, text;
    ngx_http_gray_json_t  *a, *b, *bare, *shown;

    static const struct {
        const char  *a;
        const char  *b;
        ngx_uint_t   same;
    } tests[] = {
        { GIVEN("5", "{\"canary\":[[0,50000]]}"), GIVEN("5", "{}"), 1 },
        { GIVEN("5", "{}"), GIVEN("6", "{}"), 0 },
        { "{\"rules\":[" RULED("a", "{\"c\":5}", "{\"c\":[[0,50000]]}") "]}",
          "{\"rules\":[" RULE("a", "{\"c\":5}") "]}", 1 },
        { "{\"rules\":[" RULED("a", "{\"c\":5}", "{\"c\":[[0,50000]]}") "]}",
          "{\"rules\":[" RULED("a", "{\"c\":5}", "{\"c\":[[1,50001]]}") "]}",
          1 },
        { "{\"rules\":[" RULE("a", "{\"c\":5}") "," RULE("b", "{\"c\":5}")
          "]}",
          "{\"rules\":[" RULE("b", "{\"c\":5}") "," RULE("a", "{\"c\":5}")
          "]}", 0 }
    };

    (void) state;

    for (i = 0; i < ITEMS(tests); i++) {
        a = parse(tests[i].a);
        b = parse(tests[i].b);

        assert_int_equal(ngx_http_gray_document_same(a, b), tests[i].same);
        assert_int_equal(ngx_http_gray_document_same(b, a), tests[i].same);

        ngx_http_gray_json_free(a);
        ngx_http_gray_json_free(b);
    }

    a = parse("{\"allocation\":{\"c\":[]},\"rules\":["
              RULED("a", "{\"c\":5}", "{}") ",{\"variant\":\"c\"}]}");
    bare = ngx_http_gray_document_bare(a);
    assert_int_equal(ngx_http_gray_json_print(bare, 0, &text), NGX_OK);
    assert_same("bare", &text, "{\"rules\":[" RULE("a", "{\"c\":5}")
                               ",{\"variant\":\"c\"}]}");
    free(text.data);
    ngx_http_gray_json_free(bare);
    ngx_http_gray_json_free(a);

    /* what is shown is taken back */

    a = parse(GIVEN("5", "{\"canary\":[[700000,750000]]}"));
    name = string("checkout");
    shown = ngx_http_gray_document_present(a, &name, 4503599627370496, "api",
                                           1);
    assert_int_equal(ngx_http_gray_json_print(shown, 0, &text), NGX_OK);
    assert_same("present", &text,
                "{\"release\":\"checkout\",\"revision\":4503599627370496,"
                "\"enabled\":true,\"baseline\":\"stable\"," SALT TWO("5")
                ",\"rules\":[],\"allocation\":{\"canary\":[[700000,750000]]},"
                "\"origin\":\"api\",\"declared_differs\":true}");
    free(text.data);

    b = build(shown, a, &text);
    assert_same("present", &text,
                GIVEN("5", "{\"canary\":[[700000,750000]]}"));
    free(text.data);

    ngx_http_gray_json_free(a);
    ngx_http_gray_json_free(b);
    ngx_http_gray_json_free(shown);
}


/* whose are the buckets: numbers of the letters that are the names */

static void
paint(const ngx_http_gray_json_t *doc, const ngx_http_gray_json_t *rule,
    u_char *owners, ngx_uint_t *sizes)
{
    double                 start, end;
    ngx_uint_t             i, arm;
    ngx_http_gray_json_t  *list, *pair;

    i = *ngx_http_gray_json_text(ngx_http_gray_json_get(doc, "baseline")).data;

    memset(owners, i - 'a', NGX_HTTP_GRAY_BUCKETS);
    memset(sizes, 0, 26 * sizeof(ngx_uint_t));

    list = ngx_http_gray_json_get(rule ? rule : doc, "allocation");

    for (list = ngx_http_gray_json_first(list);
         list;
         list = ngx_http_gray_json_next(list))
    {
        arm = *ngx_http_gray_json_key(list) - 'a';

        for (pair = ngx_http_gray_json_first(list);
             pair;
             pair = ngx_http_gray_json_next(pair))
        {
            start = ngx_http_gray_json_value(
                                           ngx_http_gray_json_item(pair, 0));
            end = ngx_http_gray_json_value(ngx_http_gray_json_item(pair, 1));

            memset(owners + (size_t) start, arm, end - start);
        }
    }

    for (i = 0; i < NGX_HTTP_GRAY_BUCKETS; i++) {
        sizes[owners[i]]++;
    }
}


/* just as many change hands as the growing grow by, and weights are met */

static void
assert_least(const ngx_http_gray_json_t *doc,
    const ngx_http_gray_json_t *rule, const ngx_http_gray_json_t *current,
    const ngx_http_gray_json_t *before)
{
    double                 weight;
    ngx_uint_t             i, moved, needed, was[26], is[26];
    const char            *name;
    ngx_http_gray_json_t  *member, *weights;

    static u_char  old[NGX_HTTP_GRAY_BUCKETS], new[NGX_HTTP_GRAY_BUCKETS];

    paint(current, before, old, was);
    paint(doc, rule, new, is);

    moved = 0;
    needed = 0;

    for (i = 0; i < NGX_HTTP_GRAY_BUCKETS; i++) {
        moved += (old[i] != new[i]);
    }

    for (i = 0; i < 26; i++) {
        needed += (is[i] > was[i]) ? is[i] - was[i] : 0;
    }

    assert_int_equal(moved, needed);

    weights = ngx_http_gray_json_get(rule, "weights");
    name = (char *) ngx_http_gray_json_text(
                               ngx_http_gray_json_get(doc, "baseline")).data;

    for (member = ngx_http_gray_json_first(ngx_http_gray_json_get(doc,
                                                                 "variants"));
         member;
         member = ngx_http_gray_json_next(member))
    {
        if (strcmp(ngx_http_gray_json_key(member), name) == 0) {
            continue;
        }

        weight = ngx_http_gray_json_value(
                     rule ? ngx_http_gray_json_get(weights,
                                             ngx_http_gray_json_key(member))
                          : ngx_http_gray_json_get(member, "weight"));

        assert_int_equal(is[*ngx_http_gray_json_key(member) - 'a'],
                         (ngx_uint_t) (weight * 10000 + 0.5));
    }
}


/* weights of n variants, that sum to 100 at most */

static void
divide(ngx_uint_t *weights, ngx_uint_t n)
{
    ngx_uint_t  i, left, part;

    left = NGX_HTTP_GRAY_BUCKETS;

    for (i = 0; i < n; i++) {

        switch (draw(&seed) % 4) {

        case 0:
            weights[i] = 0;
            break;

        case 1:
            weights[i] = draw(&seed) % (left + 1);
            break;

        default:
            part = draw(&seed) % 30 * 10000;
            weights[i] = ngx_min(part, left);
        }

        left -= weights[i];
    }
}


static ngx_http_gray_json_t *
change(const ngx_http_gray_json_t *current)
{
    char                   text[8192], *p;
    ngx_str_t              canonical;
    ngx_uint_t             i, k, n, rules, comma, weights[6];
    ngx_http_gray_json_t  *input, *doc, *allocation;

    char  names[6];

    /* some of six variants, in any order, any of them the baseline */

    n = 1 + draw(&seed) % 6;

    for (i = 0; i < 6; i++) {
        names[i] = 'a' + i;
    }

    for (i = 0; i < n; i++) {
        char  c;

        k = i + draw(&seed) % (6 - i);
        c = names[i];
        names[i] = names[k];
        names[k] = c;
    }

    divide(weights, n);

    p = text + sprintf(text, "{\"baseline\": \"%c\", \"variants\": {"
                       "\"%c\": {}", names[0], names[0]);

    for (i = 1; i < n; i++) {
        p += sprintf(p, ", \"%c\": {\"weight\": %lu.%04lu}", names[i],
                     (unsigned long) weights[i] / 10000,
                     (unsigned long) weights[i] % 10000);
    }

    p += sprintf(p, "}, \"rules\": [");

    rules = n > 1 ? draw(&seed) % 4 : 0;

    for (k = 0; k < rules; k++) {
        divide(weights, n);

        p += sprintf(p, "%s{\"name\": \"r%lu\", \"when\": {\"$x\": 1}, "
                     "\"weights\": {", k ? ", " : "",
                     (unsigned long) (k + draw(&seed) % 2 * 3));
        comma = 0;

        for (i = 1; i < n; i++) {
            if (i == 1 || draw(&seed) % 4) {
                p += sprintf(p, "%s\"%c\": %lu.%04lu", comma ? ", " : "",
                             names[i], (unsigned long) weights[i] / 10000,
                             (unsigned long) weights[i] % 10000);
                comma = 1;
            }
        }

        p += sprintf(p, "}}");
    }

    strcpy(p, "]}");

    input = parse(text);

    /* what was read is written back with it, as far as it is judged */

    allocation = ngx_http_gray_json_get(current, "allocation");

    if (allocation && n == 6 && draw(&seed) % 2) {
        assert_int_equal(ngx_http_gray_json_set(input, "allocation",
                                       ngx_http_gray_json_copy(allocation)),
                         NGX_OK);
    }

    doc = build(input, current, &canonical);

    assert_canonical(doc, &canonical, NULL);
    assert_canonical(doc, &canonical, current);

    ngx_http_gray_json_free(input);
    free(canonical.data);

    return doc;
}


static ngx_http_gray_json_t *
rule_named(const ngx_http_gray_json_t *doc, const char *name)
{
    ngx_http_gray_json_t  *rule;

    for (rule = ngx_http_gray_json_first(ngx_http_gray_json_get(doc,
                                                                "rules"));
         rule;
         rule = ngx_http_gray_json_next(rule))
    {
        if (strcmp((char *) ngx_http_gray_json_text(
                       ngx_http_gray_json_get(rule, "name")).data, name)
            == 0)
        {
            return rule;
        }
    }

    return NULL;
}


static void
test_histories(void **state)
{
    ngx_uint_t             i, k, kept;
    ngx_http_gray_json_t  *current, *doc, *rule, *before;

    (void) state;

    seed = 6;
    kept = 0;

    for (i = 0; i < 20; i++) {
        current = change(NULL);

        for (k = 0; k < 20; k++) {
            doc = change(current);

            assert_least(doc, NULL, current, NULL);

            for (rule = ngx_http_gray_json_first(
                                       ngx_http_gray_json_get(doc, "rules"));
                 rule;
                 rule = ngx_http_gray_json_next(rule))
            {
                before = rule_named(current,
                             (char *) ngx_http_gray_json_text(
                                 ngx_http_gray_json_get(rule, "name")).data);

                if (before) {
                    assert_least(doc, rule, current, before);
                    kept++;
                }
            }

            ngx_http_gray_json_free(current);
            current = doc;
        }

        ngx_http_gray_json_free(current);
    }

    assert_true(kept > 50);
}


static const char  whole[] =
    "{\"release\": \"checkout\", \"revision\": 3, \"enabled\": true,"
    "\"baseline\": \"stable\", \"hash\": [\"$a\", \"$b\"],"
    "\"cookie\": {\"name\": \"id\", \"expires\": \"1d\", \"secure\": true},"
    "\"variants\": {\"stable\": {\"upstream\": \"app_v1\"},"
    "\"canary\": {\"upstream\": \"app_v2\", \"weight\": 50},"
    "\"blue\": {\"upstream\": \"app_v2\", \"weight\": 5}},"
    "\"rules\": ["
    "{\"when\": {\"$x\": [\"a\", \"b\", \"c\", \"d\", \"e\", 6]}, "
    "\"variant\": \"blue\"},"
    "{\"name\": \"n\", \"when\": {\"not\": {\"$y\": {\"regex\": \"^a\"}}}, "
    "\"variant\": \"blue\"},"
    "{\"name\": \"m\", \"when\": {\"any\": [{\"$y\": {\"cidr\": "
    "[\"10.0.0.0/8\", \"::1\"]}}, {\"$x\": {\"in\": [\"A\"], "
    "\"ignore_case\": true}}]}, \"variant\": \"blue\"},"
    "{\"name\": \"cn\", \"when\": {\"all\": [{\"$z\": {\"gt\": 1}}]}, "
    "\"weights\": {\"blue\": 30}, "
    "\"allocation\": {\"blue\": [[700000, 1000000]]}},"
    "{\"name\": \"de\", \"when\": {\"$z\": {\"lt\": 1}}, "
    "\"weights\": {\"blue\": 20}}],"
    "\"allocation\": {\"canary\": [[10, 500010]], "
    "\"blue\": [[500010, 550010]]}}";

static const char  in_force[] =
    "{\"enabled\":true,\"baseline\":\"canary\",\"salt\":\"checkout\","
    "\"variants\":{\"canary\":{\"upstream\":\"app_v2\"},"
    "\"stable\":{\"upstream\":\"app_v1\",\"weight\":40},"
    "\"blue\":{\"upstream\":\"app_v2\",\"weight\":10}},"
    "\"rules\":[{\"name\":\"cn\",\"when\":{\"$z\":1},"
    "\"weights\":{\"stable\":30},\"allocation\":{\"stable\":[[5,300005]]}},"
    "{\"name\":\"de\",\"when\":{\"$z\":1},\"weights\":{\"blue\":30},"
    "\"allocation\":{\"blue\":[[400000,700000]]}}],"
    "\"allocation\":{\"stable\":[[0,400000]],\"blue\":[[800000,900000]]}}";


/*
 * NGX_ERROR, no fault and nothing left, wherever memory is short; where it
 * could be done without, the very same document.
 */

static void
check_memory(ngx_uint_t derived)
{
    ngx_int_t                rc;
    ngx_str_t                text, expected, before, after;
    ngx_uint_t               i, total, survived, wrong;
    ngx_http_gray_json_t    *input, *current, *doc;
    ngx_http_gray_faults_t   faults;

    input = parse(whole);
    current = parse(in_force);

    if (derived) {
        ngx_http_gray_json_free(ngx_http_gray_json_detach(input,
                                                          "allocation"));
    }

    assert_int_equal(ngx_http_gray_json_print(input, 0, &before), NGX_OK);

    ngx_str_null(&expected);

    total = 0;
    survived = 0;
    wrong = 0;

    for (i = 0; i <= total; i++) {

        count_allocations();
        failing = i;
        faults.n = 0;

        rc = ngx_http_gray_document_build(&env, input, current, &doc, &text,
                                          &faults);
        failing = 0;

        if (i == 0) {
            total = allocations;
            assert_in_range(total, 200, 5000);
            assert_int_equal(rc, NGX_OK);
            expected = text;

        } else if (faults.n) {
            wrong++;
            print_error("allocation %lu of %lu: a fault: %s %s\n",
                        (unsigned long) i, (unsigned long) total,
                        faults.fault[0].pointer, faults.fault[0].detail);

        } else if (rc == NGX_OK) {
            survived++;

            if (text.len != expected.len
                || memcmp(text.data, expected.data, text.len) != 0)
            {
                wrong++;
                print_error("allocation %lu of %lu: another document\n%s\n",
                            (unsigned long) i, (unsigned long) total,
                            text.data);
            }

            free(text.data);

        } else {
            assert_int_equal(rc, NGX_ERROR);
            assert_null(doc);
            assert_null(text.data);
        }

        ngx_http_gray_json_free(doc);

        assert_int_equal(blocks, 0);
    }

    forget_allocations();

    assert_int_equal(ngx_http_gray_json_print(input, 0, &after), NGX_OK);
    assert_string_equal((char *) before.data, (char *) after.data);

    free(before.data);
    free(after.data);
    free(expected.data);

    ngx_http_gray_json_free(input);
    ngx_http_gray_json_free(current);

    assert_int_equal(wrong, 0);
    assert_true(survived < total / 20);
}


static void
test_memory_given(void **state)
{
    (void) state;

    check_memory(0);
}


static void
test_memory_derived(void **state)
{
    (void) state;

    check_memory(1);
}


static void
test_memory_shown(void **state)
{
    ngx_str_t              name;
    ngx_uint_t             i, total;
    ngx_http_gray_json_t  *current, *copy;

    (void) state;

    current = parse(in_force);
    name = string("checkout");
    total = 0;

    for (i = 0; i <= total; i++) {
        count_allocations();
        failing = i;

        copy = ngx_http_gray_document_present(current, &name, 7, "api", 0);

        failing = 0;
        total = i ? total : allocations;

        assert_int_equal(copy == NULL, i > 0);
        ngx_http_gray_json_free(copy);
        assert_int_equal(blocks, 0);
    }

    assert_true(total > 50);
    total = 0;

    for (i = 0; i <= total; i++) {
        count_allocations();
        failing = i;

        copy = ngx_http_gray_document_bare(current);

        failing = 0;
        total = i ? total : allocations;

        assert_int_equal(copy == NULL, i > 0);
        ngx_http_gray_json_free(copy);
        assert_int_equal(blocks, 0);
    }

    forget_allocations();

    assert_true(total > 30);

    ngx_http_gray_json_free(current);
}


/* any node of a tree */

static ngx_http_gray_json_t *
pick(ngx_http_gray_json_t *node, ngx_http_gray_json_t **container)
{
    ngx_uint_t             n, i;
    ngx_http_gray_json_t  *child;

    n = 0;

    for (child = ngx_http_gray_json_first(node);
         child;
         child = ngx_http_gray_json_next(child))
    {
        n++;
    }

    if (n == 0) {
        return NULL;
    }

    child = ngx_http_gray_json_first(node);

    for (i = draw(&seed) % n; i; i--) {
        child = ngx_http_gray_json_next(child);
    }

    if (ngx_http_gray_json_first(child) && draw(&seed) % 4) {
        return pick(child, container);
    }

    *container = node;

    return child;
}


static ngx_http_gray_json_t *
anything(const ngx_http_gray_json_t *tree)
{
    ngx_http_gray_json_t  *container, *node;

    static const char *texts[] = {
        "null", "true", "false", "0", "-1", "100", "5.5", "1e15", "\"\"",
        "\"x\"", "\"$x\"", "\"$nowhere\"", "\"stable\"", "\"gone\"", "[]",
        "{}", "[[]]", "[{}]", "{\"\": {}}", "[[0, 1]]", "[null]",
        "{\"stable\": null}", "{\"canary\": {\"weight\": 5}}",
        "{\"regex\": \"(\"}", "{\"not\": {}}", "{\"any\": [1]}",
        "[1, \"a\", null, [], {}]", "\"9999999999999999999999d\""
    };

    if (draw(&seed) % 3 == 0) {
        node = pick((ngx_http_gray_json_t *) tree, &container);
        return ngx_http_gray_json_copy(node);
    }

    return parse(texts[draw(&seed) % ITEMS(texts)]);
}


static ngx_int_t
get(void *ctx, ngx_http_gray_attribute_t *attribute,
    ngx_http_gray_value_t *value)
{
    (void) ctx;

    if (attribute->name.len % 2) {
        return NGX_DECLINED;
    }

    value->text = attribute->name;

    return NGX_OK;
}


static ngx_int_t
mint(void *ctx, ngx_http_gray_cookie_t *cookie, ngx_str_t *key)
{
    (void) ctx;

    *key = cookie->name;

    return NGX_OK;
}


static uint32_t
chance(void *ctx)
{
    (void) ctx;

    return draw(&seed) % NGX_HTTP_GRAY_BUCKETS;
}


/* what is malformed is passed over, where nobody wants to know */

static void
tolerate(const ngx_http_gray_json_t *input)
{
    ngx_uint_t                i;
    ngx_http_gray_rules_t    *rules;
    ngx_http_gray_outcome_t   outcome;

    static const ngx_http_gray_rules_ops_t  ops = { get, mint, chance };

    if (ngx_http_gray_json_count(ngx_http_gray_json_get(input, "variants"))
        == 0)
    {
        return;
    }

    rules = ngx_http_gray_compile(input, &known, NULL, &quiet);

    if (rules == NULL) {
        return;
    }

    for (i = 0; i < 3; i++) {
        ngx_http_gray_rules_decide(rules, &ops, NULL, &outcome);
        assert_in_range(outcome.reason, NGX_HTTP_GRAY_DISABLED,
                        NGX_HTTP_GRAY_NO_KEY);
        assert_in_range(outcome.variant->name.len, 0, 255);
    }

    ngx_http_gray_rules_destroy(rules);
}


/*
 * Documents that are nearly one: whatever they are, they are either refused
 * with a fault or have a canonical form that compiles.  Those in force may
 * be anything, too.
 */

static void
test_damaged(void **state)
{
    ngx_int_t                rc;
    ngx_str_t                text;
    ngx_uint_t               i, k, n, good, bad;
    ngx_http_gray_json_t    *tree, *input, *current, *node, *container, *doc;
    ngx_http_gray_rules_t   *rules;
    ngx_http_gray_faults_t   faults;

    static const char *members[] = {
        "release", "revision", "enabled", "baseline", "fallback", "hash",
        "cookie", "salt", "variants", "rules", "allocation", "weights",
        "weight", "when", "variant", "name", "upstream", "all", "any", "not",
        "eq", "regex", "cidr", "ignore_case", "stable", "canary", "x", ""
    };

    (void) state;

    seed = 7;
    good = 0;
    bad = 0;

    tree = parse(whole);

    for (i = 0; i < 10000; i++) {

        input = ngx_http_gray_json_copy(tree);
        current = parse(in_force);
        n = 1 + draw(&seed) % 3;

        for (k = 0; k < n; k++) {
            doc = draw(&seed) % 5 ? input : current;
            node = pick(doc, &container);

            switch (node ? draw(&seed) % 4 : 3) {

            case 0:
                ngx_http_gray_json_free(ngx_http_gray_json_take(container,
                                                                node));
                break;

            case 1:
            case 2:
                assert_int_equal(ngx_http_gray_json_replace(container, node,
                                                            anything(tree)),
                                 NGX_OK);
                break;

            default:
                if (node == NULL
                    || ngx_http_gray_json_type(container)
                       != NGX_HTTP_GRAY_JSON_OBJECT)
                {
                    break;
                }

                assert_int_equal(ngx_http_gray_json_set(container,
                                     members[draw(&seed) % ITEMS(members)],
                                     anything(tree)),
                                 NGX_OK);
            }
        }

        faults.n = 0;
        rc = ngx_http_gray_document_build(&env, input, current, &doc, &text,
                                          &faults);

        if (rc == NGX_OK) {
            good++;
            assert_int_equal(faults.n, 0);

            rules = ngx_http_gray_compile(doc, &known, &faults, &quiet);
            assert_faults((char *) text.data, &faults, "");
            assert_non_null(rules);
            ngx_http_gray_rules_destroy(rules);

            assert_canonical(doc, &text, NULL);
            assert_canonical(doc, &text, current);

            ngx_http_gray_json_free(doc);
            free(text.data);

        } else {
            bad++;

            if (rc != NGX_DECLINED || faults.n == 0) {
                (void) ngx_http_gray_json_print(input, 0, &text);
                fail_msg("%ld, %lu faults: %s", (long) rc,
                         (unsigned long) faults.n, text.data);
            }

            assert_null(doc);
            assert_null(text.data);
        }

        tolerate(input);

        ngx_http_gray_json_free(input);
        ngx_http_gray_json_free(current);
    }

    ngx_http_gray_json_free(tree);

    assert_true(good > 500);
    assert_true(bad > 5000);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_built),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_histories),
        cmocka_unit_test(test_memory_given),
        cmocka_unit_test(test_memory_derived),
        cmocka_unit_test(test_memory_shown),
        cmocka_unit_test(test_damaged)
    };

    ngx_pagesize = getpagesize();

    env.schema.release = string("checkout");
    env.schema.kind = NGX_HTTP_GRAY_EITHER;
    env.max = 65536;
    env.env = &known;
    env.log = &quiet;

    return cmocka_run_group_tests(tests, NULL, NULL);
}
