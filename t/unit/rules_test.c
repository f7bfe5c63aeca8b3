
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Rule sets: buckets against vectors of another implementation, decisions in
 * their order with all the reasons, and random rules against a slow evaluator
 * that is written anew here, over the document's tree.
 */


#include "unit.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <math.h>
#include <regex.h>

#include "ngx_http_gray_arms.h"
#include "bucket_vectors.h"

/*
 * The wrappers to be linked: __wrap_malloc, __wrap_calloc, __wrap_realloc,
 * __wrap_posix_memalign, __wrap_pcre2_compile_8,
 * __wrap_pcre2_match_data_create_8, __wrap_pcre2_match_context_create_8
 */

#include "memory.h"


#define UNJUDGED  NGX_ERROR


typedef struct {
    const char  *name;
    const char  *value;             /* NULL: get() cannot tell */
} attribute_t;


/* a request: attributes, ended by one without name; what it was asked for */

typedef struct {
    attribute_t  attributes[8];
    const char  *minted;            /* NULL: none can be */
    uint32_t     chance;
    char         asked[256];
} request_t;


typedef struct {
    const char  *doc;
    request_t    request;
    const char  *outcome;           /* VARIANT REASON RULE BUCKET */
    const char  *asked;
} decision_t;


static ngx_log_t   quiet;
static uint64_t    seed;


static ngx_int_t
get(void *ctx, ngx_http_gray_attribute_t *attribute,
    ngx_http_gray_value_t *value)
{
    request_t    *request;
    attribute_t  *a;

    request = ctx;

    assert_ptr_equal(attribute->source, attribute->name.data[1]);

    if (request->asked[0]) {
        strcat(request->asked, " ");
    }

    strncat(request->asked, (char *) attribute->name.data,
            attribute->name.len);

    for (a = request->attributes; a->name; a++) {

        if (strlen(a->name) == attribute->name.len
            && memcmp(a->name, attribute->name.data, attribute->name.len)
               == 0)
        {
            if (a->value == NULL) {
                return NGX_ERROR;
            }

            value->text = string(a->value);
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
mint(void *ctx, ngx_http_gray_cookie_t *cookie, ngx_str_t *key)
{
    request_t  *request;

    request = ctx;

    strcat(request->asked, request->asked[0] ? " +" : "+");
    strncat(request->asked, (char *) cookie->name.data, cookie->name.len);

    if (request->minted == NULL) {
        return NGX_DECLINED;
    }

    *key = string(request->minted);

    return NGX_OK;
}


static uint32_t
chance(void *ctx)
{
    request_t  *request;

    request = ctx;

    return request->chance;
}


static const ngx_http_gray_rules_ops_t  ops = { get, mint, chance };


/* without faults, as where a document is in force already */

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
decide(ngx_http_gray_rules_t *rules, request_t *request, char *result)
{
    ngx_http_gray_outcome_t  outcome;

    memset(&outcome, 0x5a, sizeof(ngx_http_gray_outcome_t));

    ngx_http_gray_rules_decide(rules, &ops, request, &outcome);

    sprintf(result, "%.*s %.*s %.*s %ld", (int) outcome.variant->name.len,
            (char *) outcome.variant->name.data,
            (int) ngx_http_gray_reasons[outcome.reason].len,
            (char *) ngx_http_gray_reasons[outcome.reason].data,
            outcome.rule ? (int) outcome.rule->len : 1,
            outcome.rule ? (char *) outcome.rule->data : "-",
            (long) outcome.bucket);
}


static void
bytes(uint64_t *state, u_char *p, size_t len)
{
    size_t    i;
    uint64_t  word;

    word = 0;

    for (i = 0; i < len; i++) {

        if (i % 8 == 0) {
            word = draw(state);
        }

        p[i] = (u_char) (word >> i % 8 * 8);
    }
}


static void
test_bucket(void **state)
{
    u_char                *data;
    uint32_t               bucket;
    uint64_t               words;
    ngx_str_t              salt, key;
    ngx_uint_t             i, large;
    const bucket_bytes_t  *v;

    (void) state;

    for (i = 0; i < ITEMS(bucket_texts); i++) {
        salt = string(bucket_texts[i].salt);
        key = string(bucket_texts[i].key);

        bucket = ngx_http_gray_rules_bucket(&key,
                                            ngx_http_gray_rules_seed(&salt));

        assert_int_equal(bucket, bucket_texts[i].bucket);
    }

    assert_true(ITEMS(bucket_bytes) >= 1000);

    large = 0;

    for (i = 0; i < ITEMS(bucket_bytes); i++) {
        v = &bucket_bytes[i];
        words = i;

        /* of the exact size, so that a read behind the end is seen */

        salt.len = v->salt;
        salt.data = malloc(v->salt + 1);
        key.len = v->key;
        data = malloc(v->key + 1);

        assert_non_null(salt.data);
        assert_non_null(data);

        /* a key need not be aligned */

        key.data = data + 1;

        bytes(&words, salt.data, salt.len);
        bytes(&words, key.data, key.len);

        bucket = ngx_http_gray_rules_bucket(&key,
                                            ngx_http_gray_rules_seed(&salt));

        if (bucket != v->bucket) {
            fail_msg("vector %lu: %u, must be %u", (unsigned long) i, bucket,
                     v->bucket);
        }

        large += (v->key >= 65536);

        free(salt.data);
        free(data);
    }

    assert_true(large >= 2);
}


static void
test_buckets(void **state)
{
    double     percent;
    ngx_int_t  i;

    (void) state;

    for (i = 0; i <= NGX_HTTP_GRAY_BUCKETS; i++) {
        char  text[32];

        /* every decimal is the number that its text is */

        if (i % 10000 < 3 || draw(&seed) % 100 == 0) {
            sprintf(text, "%ld.%04ld", (long) i / 10000, (long) i % 10000);
            assert_int_equal(ngx_http_gray_arms_buckets(strtod(text, NULL)),
                             i);
        }

        percent = (double) i / 10000;
        assert_int_equal(ngx_http_gray_arms_buckets(percent), i);
    }

    assert_int_equal(ngx_http_gray_arms_buckets(-0.0), 0);
    assert_int_equal(ngx_http_gray_arms_buckets(-0.0001), NGX_ERROR);
    assert_int_equal(ngx_http_gray_arms_buckets(100.0001), NGX_ERROR);
    assert_int_equal(ngx_http_gray_arms_buckets(0.00001), NGX_ERROR);
    assert_int_equal(ngx_http_gray_arms_buckets(33.33333), NGX_ERROR);
    assert_int_equal(ngx_http_gray_arms_buckets(5.00005), NGX_ERROR);
    assert_int_equal(ngx_http_gray_arms_buckets(1e300), NGX_ERROR);
    assert_int_equal(ngx_http_gray_arms_buckets(-1e300), NGX_ERROR);
    assert_int_equal(ngx_http_gray_arms_buckets(INFINITY), NGX_ERROR);
    assert_int_equal(ngx_http_gray_arms_buckets(NAN), NGX_ERROR);
}


/* "user-1" is in bucket 434193, "user-2" in 768133, "" in 49218 */

#define VARIANTS                                                              \
    "\"baseline\": \"stable\", \"salt\": \"checkout\", \"variants\": {"       \
    "\"stable\": {}, \"canary\": {\"weight\": 50}, \"blue\": {\"weight\": 5}}"
#define ALLOCATION                                                            \
    "\"allocation\": {\"canary\": [[0, 500000]], \"blue\": [[500000, 550000]]}"
#define HASH  "\"hash\": [\"$a\", \"$b\"]"
#define COOKIE  "\"cookie\": {\"name\": \"id\"}"

#define REQUEST(...)  { { __VA_ARGS__ }, NULL, 0, "" }
#define MINTED(key, ...)  { { __VA_ARGS__ }, key, 0, "" }
#define CHANCE(bucket)  { { { NULL, NULL } }, NULL, bucket, "" }
#define NOTHING  { NULL, NULL }


static const decision_t  decisions[] = {

    /* the weights */

    { "{" VARIANTS "," HASH "," ALLOCATION "}",
      REQUEST({ "$a", "user-1" }, { "$b", "user-2" }),
      "canary split - 434193", "$a" },

    { "{" VARIANTS "," HASH "," ALLOCATION "}",
      REQUEST({ "$a", "user-2" }), "stable split - 768133", "$a" },

    /* the first of the keys that is not empty and can be told */

    { "{" VARIANTS "," HASH "," ALLOCATION "}",
      REQUEST({ "$b", "user-1" }), "canary split - 434193", "$a $b" },

    { "{" VARIANTS "," HASH "," ALLOCATION "}",
      REQUEST({ "$a", "" }, { "$b", "user-2" }),
      "stable split - 768133", "$a $b" },

    { "{" VARIANTS "," HASH "," ALLOCATION "}",
      REQUEST({ "$a", NULL }, { "$b", "user-1" }),
      "canary split - 434193", "$a $b" },

    { "{" VARIANTS "," HASH "," ALLOCATION "}",
      MINTED("user-1", NOTHING), "stable no_key - -1", "$a $b" },

    { "{" VARIANTS "," HASH "," ALLOCATION "}",
      REQUEST({ "$a", "" }, { "$b", "" }), "stable no_key - -1", "$a $b" },

    /* the cookie: a key itself, after the others, and minted at the last */

    { "{" VARIANTS "," HASH "," COOKIE "," ALLOCATION "}",
      MINTED("user-2", { "$cookie_id", "user-1" }),
      "canary split - 434193", "$a $b $cookie_id" },

    { "{" VARIANTS "," HASH "," COOKIE "," ALLOCATION "}",
      MINTED("user-2", { "$b", "user-1" }, { "$cookie_id", "user-2" }),
      "canary split - 434193", "$a $b" },

    { "{" VARIANTS "," HASH "," COOKIE "," ALLOCATION "}",
      MINTED("user-2", NOTHING),
      "stable split - 768133", "$a $b $cookie_id +id" },

    { "{" VARIANTS "," COOKIE "," ALLOCATION "}",
      MINTED("user-1", NOTHING),
      "canary split - 434193", "$cookie_id +id" },

    { "{" VARIANTS "," COOKIE "," ALLOCATION "}",
      REQUEST(NOTHING), "stable no_key - -1", "$cookie_id +id" },

    /* by chance */

    { "{" VARIANTS "," ALLOCATION "}", CHANCE(499999),
      "canary random - -1", "" },
    { "{" VARIANTS "," ALLOCATION "}", CHANCE(500000),
      "blue random - -1", "" },
    { "{" VARIANTS "," ALLOCATION "}", CHANCE(550000),
      "stable random - -1", "" },

    /* no allocation, or one that does not fit the weights: the baseline */

    { "{" VARIANTS "}", CHANCE(1), "stable random - -1", "" },
    { "{" VARIANTS "," HASH ", \"allocation\": {\"canary\": [[0, 500000]]}}",
      REQUEST({ "$a", "user-1" }), "stable split - 434193", "$a" },

    /* disabled: nothing is asked for */

    { "{\"enabled\": false," VARIANTS "," HASH "," COOKIE "," ALLOCATION
      ", \"rules\": [{\"when\": {\"$a\": \"user-1\"}, "
      "\"variant\": \"canary\"}]}",
      MINTED("user-1", { "$a", "user-1" }), "stable disabled - -1", "" },

    { "{\"enabled\": true," VARIANTS "," HASH "," ALLOCATION "}",
      REQUEST({ "$a", "user-1" }), "canary split - 434193", "$a" },

    /* rules: the first that holds; what is behind it is not asked for */

    { "{" VARIANTS "," HASH "," ALLOCATION ", \"rules\": ["
      "{\"when\": {\"$x\": \"1\"}, \"variant\": \"canary\"},"
      "{\"name\": \"second\", \"when\": {\"$y\": \"1\"}, "
      "\"variant\": \"blue\"},"
      "{\"when\": {\"$z\": \"1\"}, \"variant\": \"canary\"}]}",
      REQUEST({ "$a", "user-2" }, { "$y", "1" }, { "$z", "1" }),
      "blue rule second -1", "$x $y" },

    { "{" VARIANTS "," HASH "," ALLOCATION ", \"rules\": ["
      "{\"when\": {\"$x\": \"1\"}, \"variant\": \"canary\"},"
      "{\"when\": {\"$x\": \"2\"}, \"variant\": \"blue\"},"
      "{\"when\": {\"$x\": \"2\"}, \"variant\": \"canary\"}]}",
      REQUEST({ "$x", "2" }), "blue rule 1 -1", "$x" },

    { "{" VARIANTS "," HASH "," ALLOCATION ", \"rules\": ["
      "{\"when\": {\"$x\": \"1\"}, \"variant\": \"canary\"}]}",
      REQUEST({ "$a", "user-2" }), "stable split - 768133", "$x $a" },

    /* a rule may name the baseline */

    { "{" VARIANTS "," HASH "," ALLOCATION ", \"rules\": ["
      "{\"when\": {\"$x\": \"1\"}, \"variant\": \"stable\"}]}",
      REQUEST({ "$a", "user-1" }, { "$x", "1" }), "stable rule 0 -1", "$x" },

    /* a rule's own weights: its allocation, the release's salt and key */

    { "{" VARIANTS "," HASH "," ALLOCATION ", \"rules\": ["
      "{\"name\": \"cn\", \"when\": {\"$x\": \"1\"}, "
      "\"weights\": {\"blue\": 30}, "
      "\"allocation\": {\"blue\": [[700000, 1000000]]}}]}",
      REQUEST({ "$a", "user-2" }, { "$x", "1" }),
      "blue rule_split cn 768133", "$x $a" },

    { "{" VARIANTS "," HASH "," ALLOCATION ", \"rules\": ["
      "{\"name\": \"cn\", \"when\": {\"$x\": \"1\"}, "
      "\"weights\": {\"blue\": 30}, "
      "\"allocation\": {\"blue\": [[700000, 1000000]]}}]}",
      REQUEST({ "$a", "user-1" }, { "$x", "1" }),
      "stable rule_split cn 434193", "$x $a" },

    { "{" VARIANTS "," HASH "," ALLOCATION ", \"rules\": ["
      "{\"name\": \"cn\", \"when\": {\"$x\": \"1\"}, "
      "\"weights\": {\"blue\": 30}, "
      "\"allocation\": {\"blue\": [[700000, 1000000]]}}]}",
      REQUEST({ "$x", "1" }), "stable no_key cn -1", "$x $a $b" },

    { "{" VARIANTS "," COOKIE "," ALLOCATION ", \"rules\": ["
      "{\"name\": \"cn\", \"when\": {\"$x\": \"1\"}, "
      "\"weights\": {\"blue\": 30}, "
      "\"allocation\": {\"blue\": [[700000, 1000000]]}}]}",
      MINTED("user-2", { "$x", "1" }),
      "blue rule_split cn 768133", "$x $cookie_id +id" },

    { "{" VARIANTS "," ALLOCATION ", \"rules\": ["
      "{\"name\": \"all\", \"when\": {\"$x\": {\"exists\": false}}, "
      "\"weights\": {\"blue\": 30}, "
      "\"allocation\": {\"blue\": [[700000, 1000000]]}}]}",
      CHANCE(700000), "blue rule_split all -1", "$x" },

    /* fetched once, for rules and keys, also where there is none */

    { "{" VARIANTS "," HASH "," ALLOCATION ", \"rules\": ["
      "{\"when\": {\"$a\": \"1\", \"$b\": \"1\"}, \"variant\": \"blue\"},"
      "{\"when\": {\"$b\": \"1\"}, \"variant\": \"blue\"},"
      "{\"when\": {\"any\": [{\"$b\": \"2\"}, {\"$b\": \"3\"}, "
      "{\"$a\": \"4\"}]}, \"variant\": \"blue\"}]}",
      REQUEST({ "$a", "user-1" }, { "$b", "" }),
      "canary split - 434193", "$a $b" }
};


static void
test_decisions(void **state)
{
    char                    result[128];
    request_t               request;
    ngx_uint_t              i, k;
    const decision_t       *test;
    ngx_http_gray_rules_t  *rules;

    (void) state;

    for (i = 0; i < ITEMS(decisions); i++) {
        test = &decisions[i];

        rules = compile(test->doc);

        /* every decision asks anew */

        for (k = 0; k < 3; k++) {
            request = test->request;

            decide(rules, &request, result);

            if (strcmp(result, test->outcome) != 0
                || strcmp(request.asked, test->asked) != 0)
            {
                fail_msg("%s: %s, asked for \"%s\", must be %s, \"%s\"",
                         test->doc, result, request.asked, test->outcome,
                         test->asked);
            }
        }

        ngx_http_gray_rules_destroy(rules);
    }
}


/* what is asked for in one decision is not used in the next */

static void
test_anew(void **state)
{
    char                    result[128];
    ngx_uint_t              i;
    ngx_http_gray_rules_t  *rules;

    request_t  one = REQUEST({ "$x", "1" }, { "$a", "user-2" });
    request_t  two = REQUEST({ "$x", "2" }, { "$a", "user-1" });
    request_t  none = REQUEST({ "$a", "user-1" });

    (void) state;

    rules = compile("{" VARIANTS "," HASH "," ALLOCATION ", \"rules\": ["
                    "{\"when\": {\"$x\": \"1\"}, \"variant\": \"canary\"},"
                    "{\"when\": {\"$x\": \"2\"}, \"variant\": \"blue\"}]}");

    for (i = 0; i < 3; i++) {
        one.asked[0] = '\0';
        two.asked[0] = '\0';
        none.asked[0] = '\0';

        decide(rules, &one, result);
        assert_string_equal(result, "canary rule 0 -1");
        decide(rules, &two, result);
        assert_string_equal(result, "blue rule 1 -1");
        decide(rules, &none, result);
        assert_string_equal(result, "canary split - 434193");
        assert_string_equal(none.asked, "$x $a");
    }

    ngx_http_gray_rules_destroy(rules);
}


/*
 * ALL, ANY and NOT over conditions that hold ("t"), do not ("f"), or cannot
 * be evaluated ("u"): $t is "1", $f is "2", $u is not to be told.
 */

#define T  "{\"$t\": \"1\"}"
#define F  "{\"$f\": \"1\"}"
#define U  "{\"$u\": \"1\"}"

static const struct {
    const char  *when;
    ngx_int_t    truth;
} truths[] = {
    { T, 1 },
    { F, 0 },
    { U, UNJUDGED },
    { "{\"not\": " T "}", 0 },
    { "{\"not\": " F "}", 1 },
    { "{\"not\": " U "}", UNJUDGED },
    { "{\"not\": {\"not\": " T "}}", 1 },
    { "{\"not\": {\"not\": " F "}}", 0 },
    { "{\"not\": {\"not\": " U "}}", UNJUDGED },

    { "{\"all\": [" T "," T "]}", 1 },
    { "{\"all\": [" T "," F "]}", 0 },
    { "{\"all\": [" T "," U "]}", UNJUDGED },
    { "{\"all\": [" F "," T "]}", 0 },
    { "{\"all\": [" F "," F "]}", 0 },
    { "{\"all\": [" F "," U "]}", 0 },
    { "{\"all\": [" U "," T "]}", UNJUDGED },
    { "{\"all\": [" U "," F "]}", UNJUDGED },
    { "{\"all\": [" U "," U "]}", UNJUDGED },

    { "{\"any\": [" T "," T "]}", 1 },
    { "{\"any\": [" T "," F "]}", 1 },
    { "{\"any\": [" T "," U "]}", 1 },
    { "{\"any\": [" F "," T "]}", 1 },
    { "{\"any\": [" F "," F "]}", 0 },
    { "{\"any\": [" F "," U "]}", UNJUDGED },
    { "{\"any\": [" U "," T "]}", UNJUDGED },
    { "{\"any\": [" U "," F "]}", UNJUDGED },
    { "{\"any\": [" U "," U "]}", UNJUDGED },

    { "{\"all\": [" T "]}", 1 },
    { "{\"any\": [" F "]}", 0 },
    { "{\"$t\": \"1\", \"$f\": \"2\"}", 1 },
    { "{\"$t\": \"1\", \"$f\": \"1\"}", 0 },
    { "{\"$t\": \"1\", \"$u\": \"1\"}", UNJUDGED },
    { "{\"$f\": \"1\", \"$u\": \"1\"}", 0 },
    { "{\"$t\": {\"eq\": \"1\", \"prefix\": \"1\"}}", 1 },
    { "{\"$t\": {\"eq\": \"1\", \"prefix\": \"2\"}}", 0 },
    { "{\"$t\": \"1\", \"not\": " F ", \"any\": [" F "," T "]}", 1 },
    { "{\"$t\": \"1\", \"not\": " T ", \"any\": [" U "]}", 0 },

    { "{\"not\": {\"any\": [" F "," U "]}}", UNJUDGED },
    { "{\"not\": {\"any\": [" T "," U "]}}", 0 },
    { "{\"not\": {\"all\": [" T "," U "]}}", UNJUDGED },
    { "{\"not\": {\"all\": [" F "," U "]}}", 1 },
    { "{\"any\": [{\"not\": " U "}," T "]}", UNJUDGED },
    { "{\"any\": [{\"not\": {\"all\": [" U "]}}," T "]}", UNJUDGED },
    { "{\"not\": {\"any\": [{\"not\": {\"all\": [" T ",{\"not\": "
      F "}]}}," F "]}}", 1 },
    { "{\"all\": [{\"all\": [{\"any\": [" F ",{\"all\": [" T "," T "]}]}]},"
      "{\"not\": {\"$f\": \"1\", \"$u\": \"1\"}}]}", 1 }
};


static void
test_truth(void **state)
{
    char                     text[1024], result[128];
    ngx_int_t                rc;
    ngx_str_t               *name;
    ngx_uint_t               i;
    ngx_http_gray_rules_t   *rules;
    ngx_http_gray_failed_t   failed;

    request_t  request = REQUEST({ "$t", "1" }, { "$f", "2" }, { "$u", NULL },
                                 { "$a", "user-2" });

    (void) state;

    for (i = 0; i < ITEMS(truths); i++) {

        sprintf(text, "{" VARIANTS "," HASH "," ALLOCATION ", \"rules\": ["
                "{\"name\": \"r\", \"when\": %s, \"variant\": \"blue\"},"
                "{\"when\": %s, \"variant\": \"canary\"}]}",
                truths[i].when, truths[i].when);

        rules = compile(text);
        request.asked[0] = '\0';

        assert_int_equal(ngx_http_gray_rules_count(rules), 2);

        rc = ngx_http_gray_rules_verdict(rules, 0, &ops, &request, &name,
                                         &failed);

        if (rc != truths[i].truth) {
            fail_msg("%s: %ld, must be %ld", truths[i].when, (long) rc,
                     (long) truths[i].truth);
        }

        assert_int_equal(name->len, 1);
        assert_memory_equal(name->data, "r", 1);

        rc = ngx_http_gray_rules_verdict(rules, 1, &ops, &request, &name,
                                         &failed);
        assert_int_equal(rc, truths[i].truth);
        assert_int_equal(name->len, 1);
        assert_memory_equal(name->data, "1", 1);

        request.asked[0] = '\0';
        decide(rules, &request, result);

        assert_string_equal(result, rc == 1 ? "blue rule r -1"
                                            : "stable split - 768133");

        ngx_http_gray_rules_destroy(rules);
    }
}


/* what the configuration in force does not know any more */

static void
test_missing(void **state)
{
    char                     result[128];
    ngx_str_t                name;
    ngx_http_gray_json_t    *doc;
    ngx_http_gray_rules_t   *rules;
    ngx_http_gray_faults_t   faults;
    ngx_http_gray_variant_t *baseline;
    ngx_http_gray_outcome_t  outcome;

    request_t  request = REQUEST({ "$x", "1" }, { "$a", "user-1" });
    request_t  nobody = REQUEST({ "$x", "2" });

    static const char  text[] =
        "{\"baseline\": \"stable\", \"hash\": [\"$nowhere\"], "
        "\"salt\": \"checkout\", \"variants\": {"
        "\"stable\": {\"upstream\": \"app_v1\"},"
        "\"canary\": {\"upstream\": \"gone\", \"weight\": 50}},"
        "\"rules\": ["
        "{\"when\": {\"$nowhere\": {\"ne\": \"1\"}}, \"variant\": \"canary\"},"
        "{\"when\": {\"not\": {\"$nowhere\": \"1\"}}, "
        "\"variant\": \"canary\"},"
        "{\"when\": {\"any\": [{\"$x\": \"1\"}, {\"$nowhere\": \"1\"}]}, "
        "\"variant\": \"canary\"},"
        "{\"name\": \"known\", \"when\": {\"$x\": \"1\"}, "
        "\"variant\": \"canary\"}],"
        "\"allocation\": {\"canary\": [[0, 500000]]}}";

    (void) state;

    rules = compile(text);

    /* a rule never holds that cannot be compiled as a whole */

    decide(rules, &request, result);
    assert_string_equal(result, "canary rule known -1");

    ngx_http_gray_rules_decide(rules, &ops, &request, &outcome);
    assert_null(outcome.variant->peer);
    assert_int_equal(outcome.variant->upstream.len, 4);
    assert_memory_equal(outcome.variant->upstream.data, "gone", 4);

    /* not by chance */

    decide(rules, &nobody, result);
    assert_string_equal(result, "stable no_key - -1");

    baseline = ngx_http_gray_rules_baseline(rules);
    assert_int_equal(baseline->name.len, 6);
    assert_memory_equal(baseline->name.data, "stable", 6);
    assert_ptr_equal(baseline->peer, 'a');

    assert_true(ngx_http_gray_rules_missing(rules, &name) >= 2);
    assert_int_equal(name.len, 4);
    assert_memory_equal(name.data, "gone", 4);

    ngx_http_gray_rules_destroy(rules);

    /* the keys that are known are used */

    rules = compile("{" VARIANTS "," ALLOCATION
                    ", \"hash\": [\"$nowhere\", \"$a\"]}");
    decide(rules, &request, result);
    assert_string_equal(result, "canary split - 434193");
    assert_int_equal(ngx_http_gray_rules_missing(rules, &name), 1);
    ngx_http_gray_rules_destroy(rules);

    rules = compile("{" VARIANTS "," ALLOCATION "," HASH "}");
    assert_int_equal(ngx_http_gray_rules_missing(rules, &name), 0);
    assert_int_equal(name.len, 0);
    ngx_http_gray_rules_destroy(rules);

    /* a test that an older version knew: the same */

    rules = compile("{" VARIANTS "," ALLOCATION "," HASH ", \"rules\": ["
                    "{\"when\": {\"$x\": {\"later\": 1}}, "
                    "\"variant\": \"blue\"},"
                    "{\"when\": {\"not\": {\"$x\": {\"regex\": \"(\"}}}, "
                    "\"variant\": \"blue\"},"
                    "{\"when\": {\"any\": [{\"$x\": \"1\"}, "
                    "{\"$x\": {\"cidr\": \"10.0.0.1/8\"}}]}, "
                    "\"variant\": \"blue\"}]}");
    decide(rules, &request, result);
    assert_string_equal(result, "canary split - 434193");
    ngx_http_gray_rules_destroy(rules);

    /* where a document is judged, each is a fault */

    doc = parse(text);
    faults.n = 0;

    assert_null(ngx_http_gray_compile(doc, &known, &faults, &quiet));
    assert_faults(text, &faults,
                  "/variants/canary/upstream " NO_UPSTREAM "\n"
                  "/hash/0 " NO_VARIABLE "\n"
                  "/rules/0/when/$nowhere " NO_VARIABLE "\n"
                  "/rules/1/when/not/$nowhere " NO_VARIABLE "\n"
                  "/rules/2/when/any/1/$nowhere " NO_VARIABLE);

    ngx_http_gray_json_free(doc);

    doc = parse("{\"baseline\": \"stable\", \"variants\": {\"stable\": {}}, "
                "\"rules\": [{\"when\": {}}, {\"when\": {\"all\": []}}, "
                "{\"when\": {\"any\": {}}}, {\"when\": {\"not\": []}}, "
                "{\"when\": {\"all\": [{\"$x\": null}, {}, 1]}}]}");
    faults.n = 0;

    assert_null(ngx_http_gray_compile(doc, &known, &faults, &quiet));
    assert_faults("when", &faults,
        "/rules/0/when must be an object with at least one condition\n"
        "/rules/1/when/all must be an array with at least one object of "
        "conditions\n"
        "/rules/2/when/any must be an array with at least one object of "
        "conditions\n"
        "/rules/3/when/not must be an object with at least one condition\n"
        "/rules/4/when/all/0/$x must be a string, a number, true or false\n"
        "/rules/4/when/all/1 must be an object with at least one condition\n"
        "/rules/4/when/all/2 must be an object with at least one condition");

    ngx_http_gray_json_free(doc);
}


/* who falls back, and to what; the peer of an upstream is its first letter */

static void
test_fallback(void **state)
{
    size_t                    i;
    char                      text[512];
    ngx_http_gray_rules_t    *rules;
    ngx_http_gray_outcome_t   outcome;

    request_t  request = REQUEST({ "$x", "1" });

    static const struct {
        const char  *members;
        const char  *upstream;
        int          peer;
    } cases[] = {
        { "", "app_v2", 0 },
        { "\"fallback\": \"off\",", "app_v2", 0 },
        { "\"fallback\": \"baseline\",", "b.example.test:80", 'a' },
        { "\"fallback\": \"baseline\", \"enabled\": false,",
          "b.example.test:80", 0 },
        { "\"fallback\": \"baseline\",", "app_v1", 0 },

        /* what a newer version may have */

        { "\"fallback\": \"any\",", "b.example.test:80", 0 },
        { "\"fallback\": [\"baseline\"],", "b.example.test:80", 0 }
    };

    (void) state;

    for (i = 0; i < ITEMS(cases); i++) {

        (void) snprintf(text, sizeof(text),
                        "{\"baseline\": \"stable\", %s \"variants\": {"
                        "\"stable\": {\"upstream\": \"app_v1\"},"
                        "\"canary\": {\"upstream\": \"%s\", \"weight\": 0}},"
                        "\"rules\": [{\"when\": {\"$x\": \"1\"}, "
                        "\"variant\": \"canary\"}]}",
                        cases[i].members, cases[i].upstream);

        rules = compile(text);

        ngx_http_gray_rules_decide(rules, &ops, &request, &outcome);
        assert_ptr_equal(outcome.variant->fallback, cases[i].peer);
        assert_null(ngx_http_gray_rules_baseline(rules)->fallback);

        ngx_http_gray_rules_destroy(rules);
    }
}


/* as many attributes as there may be, and one more */

static void
test_attributes(void **state)
{
    char                     *p, *text, expected[128];
    ngx_str_t                 name;
    ngx_uint_t                i, n;
    ngx_http_gray_json_t     *doc;
    ngx_http_gray_rules_t    *rules;
    ngx_http_gray_faults_t    faults;

    (void) state;

    text = malloc(100000);
    assert_non_null(text);

    for (n = 256; n <= 257; n++) {

        /* one of them is a key, too */

        p = text + sprintf(text, "{" VARIANTS ", \"hash\": [\"$a0\"], "
                           "\"rules\": [{\"when\": {");

        for (i = 0; i < n; i++) {
            p += sprintf(p, "%s\"$a%lu\": \"1\"", i ? ", " : "",
                         (unsigned long) i);
        }

        strcpy(p, "}, \"variant\": \"canary\"}]}");

        doc = parse(text);
        faults.n = 0;

        sprintf(expected, "/rules/0/when/$a%lu is one attribute too many, a "
                "document may have 256", (unsigned long) n - 1);

        rules = ngx_http_gray_compile(doc, &known, &faults, &quiet);

        assert_faults("attributes", &faults, n == 256 ? "" : expected);
        assert_int_equal(rules != NULL, n == 256);

        if (rules) {
            assert_int_equal(ngx_http_gray_rules_missing(rules, &name), 0);
            ngx_http_gray_rules_destroy(rules);
        }

        ngx_http_gray_json_free(doc);
    }

    free(text);
}


static const struct {
    const char  *cookie;
    const char  *attributes;
} cookies[] = {
    { "{\"name\": \"id\"}", "" },
    { "{\"name\": \"id\", \"path\": \"/\"}", "; Path=/" },
    { "{\"name\": \"id\", \"expires\": \"30d\", \"path\": \"/shop\"}",
      "; Path=/shop; Max-Age=2592000" },
    { "{\"name\": \"id\", \"expires\": \"1y\"}", "; Max-Age=31536000" },
    { "{\"name\": \"id\", \"expires\": \"1h 30m\"}", "; Max-Age=5400" },
    { "{\"name\": \"id\", \"secure\": true, \"httponly\": true}",
      "; Secure; HttpOnly" },
    { "{\"name\": \"id\", \"secure\": false, \"httponly\": false}", "" },
    { "{\"name\": \"id\", \"samesite\": \"lax\"}", "; SameSite=lax" },
    { "{\"samesite\": \"none\", \"httponly\": true, \"secure\": true, "
      "\"path\": \"/a\", \"domain\": \".example.com\", "
      "\"expires\": \"12h\", \"name\": \"id\"}",
      "; Path=/a; Domain=.example.com; Max-Age=43200; Secure; HttpOnly; "
      "SameSite=none" }
};


static ngx_int_t
keep(void *ctx, ngx_http_gray_cookie_t *cookie, ngx_str_t *key)
{
    (void) key;

    *(ngx_http_gray_cookie_t *) ctx = *cookie;

    return NGX_DECLINED;
}


static ngx_int_t
nothing(void *ctx, ngx_http_gray_attribute_t *attribute,
    ngx_http_gray_value_t *value)
{
    (void) ctx;
    (void) attribute;
    (void) value;

    return NGX_DECLINED;
}


static void
test_cookies(void **state)
{
    char                     text[512];
    ngx_uint_t               i;
    ngx_http_gray_rules_t   *rules;
    ngx_http_gray_cookie_t   cookie;
    ngx_http_gray_outcome_t  outcome;

    static const ngx_http_gray_rules_ops_t  keeping = {
        nothing, keep, chance
    };

    (void) state;

    for (i = 0; i < ITEMS(cookies); i++) {

        sprintf(text, "{" VARIANTS ", \"cookie\": %s}", cookies[i].cookie);

        rules = compile(text);
        memset(&cookie, 0, sizeof(ngx_http_gray_cookie_t));

        ngx_http_gray_rules_decide(rules, &keeping, &cookie, &outcome);

        assert_int_equal(outcome.reason, NGX_HTTP_GRAY_NO_KEY);
        assert_int_equal(cookie.name.len, 2);
        assert_memory_equal(cookie.name.data, "id", 2);

        if (cookie.attributes.len != strlen(cookies[i].attributes)
            || memcmp(cookie.attributes.data, cookies[i].attributes,
                      cookie.attributes.len)
               != 0)
        {
            fail_msg("%s: \"%.*s\"", cookies[i].cookie,
                     (int) cookie.attributes.len,
                     (char *) cookie.attributes.data);
        }

        ngx_http_gray_rules_destroy(rules);
    }
}


/* a bucket belongs to whose interval it is in, else to the baseline */

static const char *
owner(const ngx_http_gray_json_t *allocation, uint32_t bucket)
{
    double                 start, end;
    ngx_http_gray_json_t  *list, *pair;

    for (list = ngx_http_gray_json_first(allocation);
         list;
         list = ngx_http_gray_json_next(list))
    {
        for (pair = ngx_http_gray_json_first(list);
             pair;
             pair = ngx_http_gray_json_next(pair))
        {
            start = ngx_http_gray_json_value(
                                           ngx_http_gray_json_item(pair, 0));
            end = ngx_http_gray_json_value(ngx_http_gray_json_item(pair, 1));

            if (start <= bucket && bucket < end) {
                return ngx_http_gray_json_key(list);
            }
        }
    }

    return "v0";
}


/* a document with an allocation of random, not ascending intervals */

static void
scatter(char *text, uint32_t *edges, ngx_uint_t *n)
{
    char        *p, pair[64], rest[4096], list[8][4096];
    uint32_t     edge, sizes[8];
    ngx_uint_t   i, k, arms, owner;

    arms = 2 + draw(&seed) % 6;

    for (k = 0; k < arms; k++) {
        list[k][0] = '\0';
        sizes[k] = 0;
    }

    *n = 0;
    edges[(*n)++] = 0;

    for (edge = 0; edge < NGX_HTTP_GRAY_BUCKETS && *n < 60; /* void */) {
        edge += 1 + draw(&seed) % (draw(&seed) % 4 ? 60000 : 3);
        edge = ngx_min(edge, NGX_HTTP_GRAY_BUCKETS);
        edges[(*n)++] = edge;
    }

    for (i = 1; i < *n; i++) {
        owner = draw(&seed) % arms;

        if (owner == 0) {
            continue;
        }

        /* half of them in front of what there is */

        sprintf(pair, "[%u, %u]", edges[i - 1], edges[i]);
        strcpy(rest, list[owner]);
        sizes[owner] += edges[i] - edges[i - 1];

        if (draw(&seed) % 2) {
            sprintf(list[owner], "%s%s%s", pair, rest[0] ? ", " : "", rest);

        } else {
            sprintf(list[owner], "%s%s%s", rest, rest[0] ? ", " : "", pair);
        }
    }

    p = text + sprintf(text, "{\"baseline\": \"v0\", \"variants\": {");

    for (k = 1; k < arms; k++) {
        p += sprintf(p, "\"v%lu\": {\"weight\": %u.%04u}, ",
                     (unsigned long) k, sizes[k] / 10000, sizes[k] % 10000);
    }

    p += sprintf(p, "\"v0\": {}}, \"allocation\": {");

    for (k = 1; k < arms; k++) {
        p += sprintf(p, "%s\"v%lu\": [%s]", k == 1 ? "" : ", ",
                     (unsigned long) k, list[k]);
    }

    strcpy(p, "}}");
}


static void
test_segments(void **state)
{
    char                     text[40000];
    int32_t                  near;
    uint32_t                 edges[64];
    request_t                request;
    ngx_uint_t               i, k, n;
    ngx_http_gray_json_t    *doc, *allocation;
    ngx_http_gray_rules_t   *rules;
    ngx_http_gray_outcome_t  outcome;

    (void) state;

    seed = 1;
    memset(&request, 0, sizeof(request_t));

    for (i = 0; i < 500; i++) {
        scatter(text, edges, &n);

        doc = parse(text);
        allocation = ngx_http_gray_json_get(doc, "allocation");
        rules = compile(text);

        for (k = 0; k < n; k++) {
            for (near = -2; near <= 2; near++) {

                request.chance = edges[k] + near;

                if (request.chance >= NGX_HTTP_GRAY_BUCKETS) {
                    continue;
                }

                ngx_http_gray_rules_decide(rules, &ops, &request, &outcome);

                if (strcmp((char *) outcome.variant->name.data,
                           owner(allocation, request.chance))
                    != 0)
                {
                    fail_msg("%s: bucket %u: %s, must be %s", text,
                             request.chance, outcome.variant->name.data,
                             owner(allocation, request.chance));
                }
            }
        }

        ngx_http_gray_rules_destroy(rules);
        ngx_http_gray_json_free(doc);
    }
}


/*
 * The slow evaluator.  It knows nothing of how rules are compiled: it walks
 * the tree of the document for each request, byte by byte and bit by bit.
 */

static ngx_uint_t
same_bytes(const char *a, const char *b, size_t len, ngx_uint_t fold)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (fold ? tolower((u_char) a[i]) != tolower((u_char) b[i])
                 : a[i] != b[i])
        {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
slow_number(const char *value, double *number)
{
    regex_t     re;
    ngx_uint_t  bad;

    if (strlen(value) > 63) {
        return NGX_ERROR;
    }

    assert_int_equal(regcomp(&re, "^-?[0-9]+(\\.[0-9]+)?$",
                             REG_EXTENDED|REG_NOSUB),
                     0);
    bad = (regexec(&re, value, 0, NULL, 0) != 0);
    regfree(&re);

    if (bad) {
        return NGX_ERROR;
    }

    *number = strtod(value, NULL);

    return NGX_OK;
}


/* 16 bytes, of an IPv4 address the mapped one */

static ngx_int_t
slow_address(const char *text, u_char *addr)
{
    if (inet_pton(AF_INET6, text, addr) == 1) {
        return NGX_OK;
    }

    memset(addr, 0, 10);
    memset(addr + 10, 0xff, 2);

    return inet_pton(AF_INET, text, addr + 12) == 1 ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
slow_network(const char *operand, const char *value)
{
    int     bits, i;
    char    text[64], *slash;
    u_char  net[16], addr[16];

    if (slow_address(value, addr) != NGX_OK) {
        return NGX_ERROR;
    }

    strcpy(text, operand);
    slash = strchr(text, '/');
    bits = 128;

    if (slash) {
        *slash = '\0';
        bits = atoi(slash + 1) + (strchr(text, ':') ? 0 : 96);
    }

    assert_int_equal(slow_address(text, net), NGX_OK);

    /* ::/0 is IPv6 alone, and mapped addresses are IPv4 */

    if ((memcmp(addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0)
        != (memcmp(net, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0))
    {
        return 0;
    }

    for (i = 0; i < bits; i++) {
        if ((addr[i / 8] ^ net[i / 8]) >> (7 - i % 8) & 1) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
slow_scalar(const char *op, const ngx_http_gray_json_t *operand,
    const char *value, ngx_uint_t fold)
{
    char        text[256];
    double      number, other;
    size_t      len, i;
    regex_t     re;
    ngx_int_t   rc;
    ngx_str_t   s;

    if (ngx_http_gray_json_type(operand) == NGX_HTTP_GRAY_JSON_NUMBER) {
        other = ngx_http_gray_json_value(operand);

        if (slow_number(value, &number) != NGX_OK) {
            return NGX_ERROR;
        }

        return strcmp(op, "lt") == 0 ? number < other
               : strcmp(op, "lte") == 0 ? number <= other
               : strcmp(op, "gt") == 0 ? number > other
               : strcmp(op, "gte") == 0 ? number >= other
               : number == other;
    }

    s = ngx_http_gray_json_text(operand);
    strcpy(text, (char *) s.data);
    len = strlen(value);

    if (strcmp(op, "cidr") == 0) {
        return slow_network(text, value);
    }

    if (strcmp(op, "regex") == 0) {
        assert_int_equal(regcomp(&re, text, REG_EXTENDED|REG_NOSUB
                                            |(fold ? REG_ICASE : 0)),
                         0);
        rc = (regexec(&re, value, 0, NULL, 0) == 0);
        regfree(&re);

        return rc;
    }

    if (s.len > len) {
        return 0;
    }

    if (strcmp(op, "prefix") == 0) {
        return same_bytes(text, value, s.len, fold);
    }

    if (strcmp(op, "suffix") == 0) {
        return same_bytes(text, value + len - s.len, s.len, fold);
    }

    if (strcmp(op, "contains") == 0) {
        for (i = 0; i + s.len <= len; i++) {
            if (same_bytes(text, value + i, s.len, fold)) {
                return 1;
            }
        }

        return 0;
    }

    return s.len == len && same_bytes(text, value, len, fold);
}


/* strings are looked at before numbers, and one that is equal suffices */

static ngx_int_t
slow_operator(const char *op, const ngx_http_gray_json_t *operand,
    const char *value, ngx_uint_t fold)
{
    ngx_int_t              rc;
    ngx_uint_t             pass;
    ngx_http_gray_json_t  *item;

    if (strcmp(op, "exists") == 0) {
        return (value != NULL) == ngx_http_gray_json_true(operand);
    }

    if (strcmp(op, "ne") == 0 || strcmp(op, "not_in") == 0) {
        rc = slow_operator("in", operand, value, fold);
        return rc == NGX_ERROR ? rc : !rc;
    }

    if (value == NULL) {
        return 0;
    }

    if (ngx_http_gray_json_type(operand) != NGX_HTTP_GRAY_JSON_ARRAY) {
        return slow_scalar(op, operand, value, fold);
    }

    for (pass = 0; pass < 2; pass++) {
        for (item = ngx_http_gray_json_first(operand);
             item;
             item = ngx_http_gray_json_next(item))
        {
            if ((ngx_http_gray_json_type(item) == NGX_HTTP_GRAY_JSON_NUMBER)
                != pass)
            {
                continue;
            }

            rc = slow_scalar(op, item, value, fold);

            if (rc != 0) {
                return rc;
            }
        }
    }

    return 0;
}


static ngx_int_t
slow_test(const ngx_http_gray_json_t *test, const char *value)
{
    ngx_int_t              rc;
    ngx_uint_t             fold;
    ngx_http_gray_json_t  *op;

    if (ngx_http_gray_json_type(test) != NGX_HTTP_GRAY_JSON_OBJECT) {
        return slow_operator("in", test, value, 0);
    }

    op = ngx_http_gray_json_get(test, "ignore_case");
    fold = op && ngx_http_gray_json_true(op);

    for (op = ngx_http_gray_json_first(test);
         op;
         op = ngx_http_gray_json_next(op))
    {
        if (strcmp(ngx_http_gray_json_key(op), "ignore_case") == 0) {
            continue;
        }

        rc = slow_operator(ngx_http_gray_json_key(op), op, value, fold);

        if (rc != 1) {
            return rc;
        }
    }

    return 1;
}


static ngx_int_t
slow_when(const ngx_http_gray_json_t *when, request_t *request)
{
    ngx_int_t              rc;
    const char            *key, *value;
    attribute_t           *a;
    ngx_http_gray_json_t  *member, *item;

    for (member = ngx_http_gray_json_first(when);
         member;
         member = ngx_http_gray_json_next(member))
    {
        key = ngx_http_gray_json_key(member);
        rc = 1;

        if (strcmp(key, "not") == 0) {
            rc = slow_when(member, request);
            rc = (rc == NGX_ERROR) ? rc : !rc;

        } else if (strcmp(key, "all") == 0) {
            for (item = ngx_http_gray_json_first(member);
                 item && rc == 1;
                 item = ngx_http_gray_json_next(item))
            {
                rc = slow_when(item, request);
            }

        } else if (strcmp(key, "any") == 0) {
            rc = 0;

            for (item = ngx_http_gray_json_first(member);
                 item && rc == 0;
                 item = ngx_http_gray_json_next(item))
            {
                rc = slow_when(item, request);
            }

        } else {
            value = "";

            for (a = request->attributes; a->name; a++) {
                if (strcmp(a->name, key) == 0) {
                    value = a->value;
                }
            }

            rc = value ? slow_test(member, *value ? value : NULL) : NGX_ERROR;
        }

        if (rc != 1) {
            return rc;
        }
    }

    return 1;
}


/* values that are near to each other, so that tests do hold */

static const char  *values[] = {
    "", "", "a", "A", "b", "ab", "AB", "aB", "abc", "ABC", "abcabc", "aab",
    "foo", "FOO", "foobar", "Foo.Bar", "bar", "xfoox", "0", "-0", "1", "5",
    "5.0", "5.00", "05", "-5", "5.5", "5.25", "10", "1e1", "5.", ".5", " 5",
    "+5", "100", "0.1", "0.10", "123456789012345", "1234567890123456",
    "12345678901234567", "9007199254740993", "9007199254740992",
    "0.1000000000000000055511151231257827",
    "3.000000000000000000000000000000000000001",
    "10.0.0.1", "10.1.2.3", "10.255.255.255", "11.0.0.0", "0.0.0.0",
    "255.255.255.255", "192.168.1.1", "192.168.1.127", "192.168.1.128",
    "::ffff:10.0.0.1", "::ffff:a00:1", "::1", "::", "2001:db8::1",
    "2001:db8:0:1::1", "2001:DB8::1", "fe80::1", "10.0.0.1:80", "256.1.1.1",
    "1.2.3", "\xc3\xa9", "\xff", "a b"
};

static const char  *networks[] = {
    "10.0.0.0/8", "10.1.0.0/16", "10.0.0.1", "10.0.0.0/31", "0.0.0.0/0",
    "192.168.1.0/25", "192.168.1.128/25", "255.255.255.255", "::/0", "::1",
    "2001:db8::/32", "2001:db8::/64", "fe80::/10", "::ffff:10.0.0.0/104",
    "::ffff:0:0/96", "128.0.0.0/1", "8000::/1", "::/1"
};

static const char  *patterns[] = {
    "a", "^a", "b$", "^ab*c?", "[a-c]+", "^[a-c]+$", "(foo|bar)", "^foo.*r$",
    "fo+b", "^[0-9]+$", "o.B", "^(ab)+c$", "x?foo", "[.]", "^.$", "^..?$",
    "[^a-z]", "foo|^b"
};

static const char  *attributes[] = { "$p", "$q", "$r", "$s" };


static const char *
one_of(const char **list, ngx_uint_t n)
{
    return list[draw(&seed) % n];
}


/* of a value that is one, and that JSON takes: all its digits */

static char *
make_number(char *p, const char *value)
{
    double  number;

    if (slow_number(value, &number) != NGX_OK || number > 9007199254740992) {
        return NULL;
    }

    return p + sprintf(p, "%.17g", number);
}


/* a string that is not empty, sometimes a number */

static char *
make_scalar(char *p, ngx_uint_t numbers)
{
    char        *end;
    const char  *value;

    do {
        value = one_of(values, ITEMS(values));
    } while (*value == '\0' || *value == '\xff');

    end = (numbers && draw(&seed) % 3 == 0) ? make_number(p, value) : NULL;

    if (end) {
        return end;
    }

    return p + sprintf(p, "\"%s\"", value);
}


static char *
make_list(char *p, const char **list, ngx_uint_t n)
{
    ngx_uint_t  i, count;

    count = (draw(&seed) % 8) ? draw(&seed) % 4 : draw(&seed) % 20;

    if (list && count == 0) {
        return p + sprintf(p, "\"%s\"", one_of(list, n));
    }

    p += sprintf(p, "[");

    for (i = 0; i < ngx_max(count, 1); i++) {
        p += sprintf(p, "%s", i ? "," : "");
        p = list ? p + sprintf(p, "\"%s\"", one_of(list, n))
                 : make_scalar(p, n);
    }

    return p + sprintf(p, "]");
}


static char *
make_test(char *p)
{
    char       *end;
    ngx_uint_t  i, n, from;

    static const char *names[] = {
        "eq", "ne", "in", "not_in", "prefix", "suffix", "contains", "regex",
        "cidr", "lt", "lte", "gt", "gte", "exists"
    };

    switch (draw(&seed) % 6) {

    case 0:
        return make_scalar(p, 1);

    case 1:
        return make_list(p, NULL, 1);
    }

    p += sprintf(p, "{");

    n = (draw(&seed) % 3) ? 1 : 2;
    from = draw(&seed) % 7;

    /* a fold goes with the first eight */

    if (n == 2 && draw(&seed) % 2) {
        p += sprintf(p, "\"ignore_case\":%s,",
                     draw(&seed) % 4 ? "true" : "false");
    }

    for (i = 0; i < n; i++, from += 1 + draw(&seed) % 6) {

        if (n == 1) {
            from = draw(&seed) % ITEMS(names);

            if (from < 8 && draw(&seed) % 2) {
                p += sprintf(p, "\"ignore_case\":true,");
            }
        }

        p += sprintf(p, "%s\"%s\":", i ? "," : "", names[from]);

        switch (from) {

        case 0:
        case 1:
            p = make_scalar(p, 1);
            break;

        case 2:
        case 3:
            p = make_list(p, NULL, 1);
            break;

        case 4:
        case 5:
        case 6:
            p = make_list(p, NULL, 0);
            break;

        case 7:
            p = make_list(p, patterns, ITEMS(patterns));
            break;

        case 8:
            p = make_list(p, networks, ITEMS(networks));
            break;

        case 13:
            p += sprintf(p, "%s", draw(&seed) % 2 ? "true" : "false");
            break;

        default:
            do {
                end = make_number(p, one_of(values, ITEMS(values)));
            } while (end == NULL);

            p = end;
        }
    }

    return p + sprintf(p, "}");
}


static char *
make_when(char *p, ngx_uint_t depth)
{
    ngx_uint_t  i, k, n, members, used, kind;

    static const char *names[] = { "all", "any", "not" };

    p += sprintf(p, "{");

    members = (draw(&seed) % 2) ? 1 : 1 + draw(&seed) % 3;
    used = 0;

    for (i = 0; i < members; i++) {

        kind = draw(&seed) % (depth ? 7 : 4);

        if (used & 1 << kind) {
            continue;
        }

        p += sprintf(p, "%s", used ? "," : "");
        used |= 1 << kind;

        if (kind < 4) {
            p += sprintf(p, "\"%s\":", attributes[kind]);
            p = make_test(p);
            continue;
        }

        p += sprintf(p, "\"%s\":", names[kind - 4]);

        if (kind == 6) {
            p = make_when(p, depth - 1);
            continue;
        }

        p += sprintf(p, "[");
        n = 1 + draw(&seed) % 3;

        for (k = 0; k < n; k++) {
            p += sprintf(p, "%s", k ? "," : "");
            p = make_when(p, depth - 1);
        }

        p += sprintf(p, "]");
    }

    return p + sprintf(p, "}");
}


#define DOCUMENTS  4000
#define REQUESTS   25


static void
test_differential(void **state)
{
    char                    *p, *text, result[128], expected[128];
    request_t                request;
    ngx_int_t                rc, verdict;
    ngx_http_gray_failed_t   failed;
    ngx_str_t               *name;
    ngx_uint_t               i, j, k, n, seen[3], reached;
    ngx_http_gray_json_t    *doc, *rule;
    ngx_http_gray_rules_t   *rules;
    ngx_http_gray_faults_t   faults;

    (void) state;

    seed = 2;
    memset(seen, 0, sizeof(seen));
    reached = 0;

    text = malloc(1000000);
    assert_non_null(text);

    for (i = 0; i < DOCUMENTS; i++) {

        p = text + sprintf(text, "{" VARIANTS "," ALLOCATION ",\"rules\":[");
        n = 1 + draw(&seed) % 4;

        for (k = 0; k < n; k++) {
            p += sprintf(p, "%s{\"when\":", k ? "," : "");
            p = make_when(p, 3);
            p += sprintf(p, ",\"variant\":\"canary\"}");
        }

        strcpy(p, "]}");

        doc = parse(text);
        faults.n = 0;

        rules = ngx_http_gray_compile(doc, &known, &faults, &quiet);

        if (rules == NULL) {
            assert_faults(text, &faults, "");
        }

        assert_non_null(rules);

        for (j = 0; j < REQUESTS; j++) {

            memset(&request, 0, sizeof(request_t));
            request.chance = NGX_HTTP_GRAY_BUCKETS - 1;

            for (k = 0; k < 4; k++) {
                request.attributes[k].name = attributes[k];
                request.attributes[k].value = draw(&seed) % 40
                                        ? one_of(values, ITEMS(values)) : NULL;
            }

            strcpy(expected, "stable random - -1");
            verdict = 0;

            rule = ngx_http_gray_json_first(ngx_http_gray_json_get(doc,
                                                                   "rules"));

            for (k = 0; rule; k++, rule = ngx_http_gray_json_next(rule)) {

                rc = slow_when(ngx_http_gray_json_get(rule, "when"),
                               &request);
                seen[rc == NGX_ERROR ? 2 : rc]++;

                request.asked[0] = '\0';

                if (ngx_http_gray_rules_verdict(rules, k, &ops, &request,
                                                &name, &failed)
                    != rc)
                {
                    fail_msg("%s: rule %lu must be %ld for %s, %s, %s, %s",
                             text, (unsigned long) k, (long) rc,
                             request.attributes[0].value,
                             request.attributes[1].value,
                             request.attributes[2].value,
                             request.attributes[3].value);
                }

                if (rc == 1 && verdict == 0) {
                    sprintf(expected, "canary rule %lu -1",
                            (unsigned long) k);
                    verdict = 1;
                    reached++;
                }
            }

            request.asked[0] = '\0';
            decide(rules, &request, result);
            assert_string_equal(result, expected);
        }

        ngx_http_gray_rules_destroy(rules);
        ngx_http_gray_json_free(doc);
    }

    free(text);

    /* all of it did occur */

    assert_true(seen[0] > DOCUMENTS * REQUESTS / 4);
    assert_true(seen[1] > DOCUMENTS * REQUESTS / 4);
    assert_true(seen[2] > DOCUMENTS * REQUESTS / 4);
    assert_true(reached > DOCUMENTS * REQUESTS / 4);
}


static const char  whole[] =
    "{\"baseline\": \"stable\", \"salt\": \"checkout\", \"variants\": {"
    "\"stable\": {\"upstream\": \"app_v1\"},"
    "\"canary\": {\"upstream\": \"app_v2\", \"weight\": 50},"
    "\"blue\": {\"upstream\": \"app_v2\", \"weight\": 5}},"
    HASH ", \"cookie\": {\"name\": \"id\", \"expires\": \"1d\"}, \"rules\": ["
    "{\"when\": {\"$x\": [\"a\", \"b\", \"c\", \"d\", \"e\", 6]}, "
    "\"variant\": \"blue\"},"
    "{\"when\": {\"not\": {\"$y\": {\"regex\": [\"^a\", \"b$\"]}}}, "
    "\"variant\": \"blue\"},"
    "{\"when\": {\"any\": [{\"$y\": {\"cidr\": [\"10.0.0.0/8\", \"::1\"]}},"
    "{\"$x\": {\"in\": [\"A\", \"B\"], \"ignore_case\": true}}]}, "
    "\"variant\": \"blue\"},"
    "{\"name\": \"cn\", \"when\": {\"$z\": {\"gt\": 1}}, "
    "\"weights\": {\"blue\": 30}, "
    "\"allocation\": {\"blue\": [[700000, 1000000]]}}],"
    ALLOCATION "}";


/* NULL, or a rule set that decides as if nothing had been short */

static void
check_memory(ngx_uint_t strict)
{
    char                     result[128];
    ngx_uint_t               i, total, failed;
    ngx_http_gray_json_t    *doc;
    ngx_http_gray_rules_t   *rules;
    ngx_http_gray_faults_t   faults;

    /* no rule, a rule, its weights, the weights */

    static const struct {
        request_t    request;
        const char  *outcome;
    } tests[] = {
        { REQUEST({ "$x", "e" }), "blue rule 0 -1" },
        { REQUEST({ "$x", "z" }, { "$y", "xyz" }), "blue rule 1 -1" },
        { REQUEST({ "$x", "b" }, { "$y", "aaa" }, { "$z", "2" },
                  { "$a", "user-2" }), "blue rule 0 -1" },
        { REQUEST({ "$y", "ab" }, { "$z", "2" }, { "$a", "user-2" }),
          "blue rule_split cn 768133" },
        { REQUEST({ "$y", "ab" }, { "$a", "user-1" }),
          "canary split - 434193" }
    };

    doc = parse(whole);
    total = 0;
    failed = 0;

    for (i = 0; i == 0 || i <= total; i++) {
        request_t   request;
        ngx_uint_t  k;

        allocations = 0;
        failing = i;
        faults.n = 0;

        rules = ngx_http_gray_compile(doc, &known, strict ? &faults : NULL,
                                      &quiet);
        failing = 0;

        if (i == 0) {
            total = allocations;
            assert_non_null(rules);
            assert_in_range(total, 50, 1000);
        }

        if (faults.n) {
            fail_msg("allocation %lu of %lu: a fault: %s %s",
                     (unsigned long) i, (unsigned long) total,
                     faults.fault[0].pointer, faults.fault[0].detail);
        }

        if (rules == NULL) {
            failed++;
            continue;
        }

        for (k = 0; k < ITEMS(tests); k++) {
            request = tests[k].request;
            decide(rules, &request, result);

            if (strcmp(result, tests[k].outcome) != 0) {
                fail_msg("allocation %lu of %lu: %s, must be %s",
                         (unsigned long) i, (unsigned long) total, result,
                         tests[k].outcome);
            }
        }

        ngx_http_gray_rules_destroy(rules);
    }

    assert_true(failed > total - 10);

    ngx_http_gray_json_free(doc);
}


static void
test_memory(void **state)
{
    (void) state;

    check_memory(0);
}


static void
test_memory_strict(void **state)
{
    (void) state;

    check_memory(1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_bucket),
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_decisions),
        cmocka_unit_test(test_anew),
        cmocka_unit_test(test_truth),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_fallback),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_cookies),
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_differential),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_memory_strict)
    };

    ngx_pagesize = getpagesize();

    return cmocka_run_group_tests(tests, NULL, NULL);
}
