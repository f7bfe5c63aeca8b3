
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The schema: each member that a document may have, with what is refused and
 * where, documents without a fault, and names of releases.
 */


#include "unit.h"

#include "ngx_http_gray_schema.h"


#define VARIANTS                                                              \
    "\"baseline\": \"s\", \"variants\": {\"s\": {}, \"c\": {\"weight\": 5}}"
#define DOC(members)  "{" VARIANTS ", " members "}"
#define ROUTED(members)                                                       \
    "{\"baseline\": \"s\", "                                                  \
    "\"variants\": {\"s\": {\"upstream\": \"u\"}}, " members "}"
#define COOKIE(members)  DOC("\"cookie\": {" members "}")
#define RULE(members)  DOC("\"rules\": [{" members "}]")
#define WHEN  "\"when\": {\"$x\": \"1\"}"

#define MEMBERS                                                               \
    " unknown member; there are enabled, baseline, fallback, hash, cookie, "  \
    "salt, variants, rules, rollout, allocation"
#define COOKIES                                                               \
    " unknown member; there are name, expires, domain, path, secure, "        \
    "httponly, samesite"
#define NAME                                                                  \
    " a variant's name must be a letter, then letters, digits, \"_\", \"-\" " \
    "or \".\", at most 63 in all"
#define RULENAME                                                              \
    " a rule's name must be a letter, then letters, digits, \"_\", \"-\" or " \
    "\".\", at most 63 in all"
#define VARIABLE  " must be a variable, as \"$cookie_uid\""
#define TIME  " must be a time with a unit, as \"30d\" or \"12h\""
#define PRINTABLE                                                             \
    " must be 1 to 255 printable characters without space, \";\" and \",\""
#define TOKEN                                                                 \
    " must be a cookie's name of 1 to 63 characters, without separators"
#define TEXT  " must be a string of 1 to 255 bytes"
#define FALLBACK  " must be \"off\" or \"baseline\""
#define REST  " the baseline has no weight, it takes what the others leave"
#define NOWEIGHT  " is missing; every variant but the baseline has one"
#define INTERVAL                                                              \
    " must be [START, END], buckets from 0 to 1000000, START less than END"
#define EITHER  " must have either \"variant\" or \"weights\""

#define X63  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X255  X63 X63 X63 X63 "xxx"


typedef struct {
    const char  *doc;
    const char  *faults;
} refused_t;


static const refused_t  refused[] = {

    /* the document */

    { "null", " must be an object" },
    { "[]", " must be an object" },
    { "\"checkout\"", " must be an object" },
    { "{}", "/baseline is missing\n/variants is missing" },
    { "{\"baseline\": \"s\"}",
      "/baseline no variant \"s\"; there are none\n/variants is missing" },
    { "{\"variants\": {\"s\": {}}}", "/baseline is missing" },
    { DOC("\"weight\": 5"), "/weight" MEMBERS },
    { DOC("\"Enabled\": true"), "/Enabled" MEMBERS },
    { DOC("\"\": 1"), "/" MEMBERS },
    { DOC("\"a/b~c\": 1"), "/a~1b~0c" MEMBERS },
    { DOC("\"fall_back\": \"baseline\""), "/fall_back" MEMBERS },
    { DOC("\"enabled\": 1"), "/enabled must be true or false" },
    { DOC("\"enabled\": null"), "/enabled must be true or false" },
    { DOC("\"enabled\": \"false\""), "/enabled must be true or false" },

    /* what is read-only, is nevertheless true */

    { DOC("\"release\": \"search\""),
      "/release must be \"checkout\", the release's name" },
    { DOC("\"release\": \"checkout2\""),
      "/release must be \"checkout\", the release's name" },
    { DOC("\"release\": \"\""),
      "/release must be \"checkout\", the release's name" },
    { DOC("\"release\": 5"), "/release must be a string" },
    { DOC("\"revision\": 0"), "/revision must be a whole number from 1 on" },
    { DOC("\"revision\": -1"), "/revision must be a whole number from 1 on" },
    { DOC("\"revision\": 1.5"), "/revision must be a whole number from 1 on" },
    { DOC("\"revision\": \"7\""), "/revision must be a number" },
    { DOC("\"origin\": 1"), "/origin must be a string" },
    { DOC("\"declared_differs\": \"no\""),
      "/declared_differs must be true or false" },

    /* baseline */

    { "{\"baseline\": null, \"variants\": {\"s\": {}}}",
      "/baseline must be a string" },
    { "{\"baseline\": \"\", \"variants\": {\"s\": {}}}",
      "/baseline no variant \"\"; there are s" },
    { "{\"baseline\": \"S\", \"variants\": {\"s\": {}, "
      "\"c\": {\"weight\": 5}}}",
      "/baseline no variant \"S\"; there are s, c\n"
      "/variants/s/weight" NOWEIGHT },

    /* a baseline alone is changed: everybody would move */

    { "{\"baseline\": \"c\", \"variants\": {\"s\": {}, "
      "\"c\": {\"weight\": 5}}}",
      "/variants/s/weight" NOWEIGHT "\n/variants/c/weight" REST },

    /* variants */

    { "{\"baseline\": \"s\", \"variants\": []}",
      "/baseline no variant \"s\"; there are none\n"
      "/variants must be an object" },
    { "{\"baseline\": \"s\", \"variants\": [{\"s\": {}}]}",
      "/baseline no variant \"s\"; there are none\n"
      "/variants must be an object" },
    { "{\"baseline\": \"s\", \"variants\": {}}",
      "/baseline no variant \"s\"; there are none\n"
      "/variants must have 1 to 32 variants" },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": \"app_v1\"}}",
      "/variants/s must be an object" },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
      "\"a b\": {\"weight\": 1}}}", "/variants/a b" NAME },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
      "\"1a\": {\"weight\": 1}}}", "/variants/1a" NAME },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
      "\"\": {\"weight\": 1}}}", "/variants/" NAME },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
      "\"a/b~\": {\"weight\": 1}}}", "/variants/a~1b~0" NAME },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
      "\"\xc3\xa9\": {\"weight\": 1}}}", "/variants/\xc3\xa9" NAME },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {}, \"" X63 "x\": "
      "{\"weight\": 1}}}", "/variants/" X63 "x" NAME },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {\"color\": \"red\"}}}",
      "/variants/s/color unknown member; there are upstream, weight" },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {\"upstream\": 5}}}",
      "/variants/s/upstream must be a string" },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {\"upstream\": \"\"}}}",
      "/variants/s/upstream" TEXT },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {\"upstream\": \"" X255
      "x\"}}}", "/variants/s/upstream" TEXT },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {\"upstream\": \"u\"}, "
      "\"c\": {\"weight\": 5}}}",
      "/variants must all have an upstream, or none" },

    /* weights */

    { "{\"baseline\": \"s\", \"variants\": {\"s\": {\"weight\": 95}, "
      "\"c\": {\"weight\": 5}}}", "/variants/s/weight" REST },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {}, \"c\": {}}}",
      "/variants/c/weight" NOWEIGHT },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
      "\"c\": {\"weight\": \"5\"}}}", "/variants/c/weight must be a number" },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
      "\"c\": {\"weight\": \"5%\"}}}", "/variants/c/weight must be a number" },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
      "\"c\": {\"weight\": null}}}", "/variants/c/weight must be a number" },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
      "\"c\": {\"weight\": 101}}}",
      "/variants/c/weight 101 is not within 0 to 100" },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
      "\"c\": {\"weight\": 100.0001}}}",
      "/variants/c/weight 100.0001 is not within 0 to 100" },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
      "\"c\": {\"weight\": -0.0001}}}",
      "/variants/c/weight -0.0001 is not within 0 to 100" },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
      "\"c\": {\"weight\": 5.00001}}}",
      "/variants/c/weight 5.00001 has more than 4 decimals" },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
      "\"c\": {\"weight\": 0.00001}}}",
      "/variants/c/weight 1e-05 has more than 4 decimals" },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
      "\"a\": {\"weight\": 50}, \"b\": {\"weight\": 50.0001}}}",
      "/variants the weights sum to 100.0001, must be at most 100" },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
      "\"a\": {\"weight\": 100}, \"b\": {\"weight\": 100}, "
      "\"c\": {\"weight\": 100}}}",
      "/variants the weights sum to 300, must be at most 100" },

    /* fallback */

    { ROUTED("\"fallback\": true"), "/fallback must be a string" },
    { ROUTED("\"fallback\": null"), "/fallback must be a string" },
    { ROUTED("\"fallback\": \"\""), "/fallback" FALLBACK },
    { ROUTED("\"fallback\": \"on\""), "/fallback" FALLBACK },
    { ROUTED("\"fallback\": \"s\""), "/fallback" FALLBACK },
    { ROUTED("\"fallback\": \"OFF\""), "/fallback" FALLBACK },
    { ROUTED("\"fallback\": \"baselines\""), "/fallback" FALLBACK },
    { DOC("\"fallback\": \"baseline\""),
      "/fallback \"baseline\" needs variants with upstreams" },

    /* hash, salt */

    { DOC("\"hash\": \"$cookie_uid\""), "/hash must be an array" },
    { DOC("\"hash\": []"), "/hash must have 1 to 16 variables" },
    { DOC("\"hash\": [\"cookie_uid\", \"$a\", \"$\", \"\", 5, null]"),
      "/hash/0" VARIABLE "\n/hash/2" VARIABLE "\n/hash/3" VARIABLE "\n"
      "/hash/4" VARIABLE "\n/hash/5" VARIABLE },
    { DOC("\"hash\": [\"$a\", \"$a\", \"$a\", \"$a\", \"$a\", \"$a\", "
          "\"$a\", \"$a\", \"$a\", \"$a\", \"$a\", \"$a\", \"$a\", \"$a\", "
          "\"$a\", \"$a\", \"$a\"]"), "/hash must have 1 to 16 variables" },
    { DOC("\"salt\": 5"), "/salt must be a string" },
    { DOC("\"salt\": \"\""), "/salt" TEXT },
    { DOC("\"salt\": \"" X255 "x\""), "/salt" TEXT },

    /* cookie */

    { DOC("\"cookie\": \"gray_uid\""), "/cookie must be an object" },
    { DOC("\"cookie\": {}"), "/cookie/name is missing" },
    { COOKIE("\"name\": \"id\", \"age\": 5"), "/cookie/age" COOKIES },
    { COOKIE("\"name\": 5"), "/cookie/name must be a string" },
    { COOKIE("\"name\": \"\""), "/cookie/name" TOKEN },
    { COOKIE("\"name\": \"a b\""), "/cookie/name" TOKEN },
    { COOKIE("\"name\": \"a=b\""), "/cookie/name" TOKEN },
    { COOKIE("\"name\": \"a;b\""), "/cookie/name" TOKEN },
    { COOKIE("\"name\": \"a\\nb\""), "/cookie/name" TOKEN },
    { COOKIE("\"name\": \"\xc3\xa9\""), "/cookie/name" TOKEN },
    { COOKIE("\"name\": \"" X63 "x\""), "/cookie/name" TOKEN },
    { COOKIE("\"name\": \"id\", \"expires\": 30"),
      "/cookie/expires must be a string" },
    { COOKIE("\"name\": \"id\", \"expires\": \"\""), "/cookie/expires" TIME },
    { COOKIE("\"name\": \"id\", \"expires\": \"soon\""),
      "/cookie/expires" TIME },
    { COOKIE("\"name\": \"id\", \"expires\": \"0\""), "/cookie/expires" TIME },
    { COOKIE("\"name\": \"id\", \"expires\": \"-1d\""),
      "/cookie/expires" TIME },
    { COOKIE("\"name\": \"id\", \"expires\": \"30 days\""),
      "/cookie/expires" TIME },
    { COOKIE("\"name\": \"id\", \"expires\": \"99999999999999999999y\""),
      "/cookie/expires" TIME },
    { COOKIE("\"name\": \"id\", \"domain\": \"\""),
      "/cookie/domain" PRINTABLE },
    { COOKIE("\"name\": \"id\", \"domain\": \"a.com; secure\""),
      "/cookie/domain" PRINTABLE },
    { COOKIE("\"name\": \"id\", \"path\": \"/a\\r\\nSet-Cookie: x=y\""),
      "/cookie/path" PRINTABLE },
    { COOKIE("\"name\": \"id\", \"path\": \"/" X255 "\""),
      "/cookie/path" PRINTABLE },
    { COOKIE("\"name\": \"id\", \"secure\": \"true\""),
      "/cookie/secure must be true or false" },
    { COOKIE("\"name\": \"id\", \"httponly\": 1"),
      "/cookie/httponly must be true or false" },
    { COOKIE("\"name\": \"id\", \"samesite\": \"Lax\""),
      "/cookie/samesite must be \"lax\", \"strict\" or \"none\"" },
    { COOKIE("\"name\": \"id\", \"samesite\": \"none\""),
      "/cookie/samesite \"none\" needs \"secure\": browsers drop the cookie "
      "otherwise" },
    { COOKIE("\"name\": \"id\", \"samesite\": \"none\", \"secure\": false"),
      "/cookie/samesite \"none\" needs \"secure\": browsers drop the cookie "
      "otherwise" },

    /* rules */

    { DOC("\"rules\": {}"), "/rules must be an array" },
    { DOC("\"rules\": [5, null]"),
      "/rules/0 must be an object\n/rules/1 must be an object" },
    { RULE(""), "/rules/0/when is missing\n/rules/0" EITHER },
    { RULE(WHEN), "/rules/0" EITHER },
    { RULE("\"variant\": \"c\""), "/rules/0/when is missing" },
    { RULE("\"when\": [], \"variant\": \"c\""),
      "/rules/0/when must be an object" },
    { RULE(WHEN ", \"variant\": \"d\""),
      "/rules/0/variant no variant \"d\"; there are s, c" },
    { RULE(WHEN ", \"variant\": 5"), "/rules/0/variant must be a string" },
    { RULE(WHEN ", \"variant\": \"c\", \"weights\": {\"c\": 5}, "
           "\"name\": \"r\""), "/rules/0" EITHER },
    { RULE(WHEN ", \"variant\": \"c\", \"then\": 1"),
      "/rules/0/then unknown member; there are name, when, variant, weights, "
      "allocation" },
    { RULE(WHEN ", \"variant\": \"c\", \"name\": 5"),
      "/rules/0/name must be a string" },
    { RULE(WHEN ", \"variant\": \"c\", \"name\": \"\""),
      "/rules/0/name" RULENAME },
    { RULE(WHEN ", \"variant\": \"c\", \"name\": \"0\""),
      "/rules/0/name" RULENAME },
    { RULE(WHEN ", \"variant\": \"c\", \"name\": \"a/b\""),
      "/rules/0/name" RULENAME },
    { RULE(WHEN ", \"variant\": \"c\", \"name\": \"" X63 "x\""),
      "/rules/0/name" RULENAME },
    { DOC("\"rules\": ["
          "{\"name\": \"b\", " WHEN ", \"variant\": \"c\"},"
          "{\"name\": \"a\", " WHEN ", \"variant\": \"c\"},"
          "{\"name\": \"b\", " WHEN ", \"variant\": \"c\"},"
          "{\"name\": \"B\", " WHEN ", \"variant\": \"c\"},"
          "{\"name\": \"b\", " WHEN ", \"variant\": \"c\"}]"),
      "/rules/2/name is also the name of rule 0\n"
      "/rules/4/name is also the name of rule 2" },

    /* a rule's own weights */

    { RULE(WHEN ", \"weights\": {\"c\": 5}"),
      "/rules/0/name is missing; a rule with \"weights\" keeps its users by "
      "its name" },
    { RULE(WHEN ", \"name\": \"r\", \"weights\": 5"),
      "/rules/0/weights must be an object" },
    { RULE(WHEN ", \"name\": \"r\", \"weights\": {}"),
      "/rules/0/weights must have at least one variant's weight" },
    { RULE(WHEN ", \"name\": \"r\", \"weights\": {\"d\": 5}"),
      "/rules/0/weights/d no variant \"d\"; there are s, c" },
    { RULE(WHEN ", \"name\": \"r\", \"weights\": {\"c\": \"5\"}"),
      "/rules/0/weights/c must be a number" },
    { RULE(WHEN ", \"name\": \"r\", \"weights\": {\"s\": 5}"),
      "/rules/0/weights/s" REST },
    { RULE(WHEN ", \"name\": \"r\", \"weights\": {\"c\": 5.12345}"),
      "/rules/0/weights/c 5.12345 has more than 4 decimals" },
    { RULE(WHEN ", \"name\": \"r\", \"weights\": {\"c\": -5}"),
      "/rules/0/weights/c -5 is not within 0 to 100" },
    { "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
      "\"a\": {\"weight\": 5}, \"b\": {\"weight\": 5}}, \"rules\": "
      "[{\"name\": \"r\", " WHEN ", \"weights\": {\"a\": 60, \"b\": 60}}]}",
      "/rules/0/weights the weights sum to 120, must be at most 100" },
    /* allocation */

    { DOC("\"allocation\": []"), "/allocation must be an object" },
    { DOC("\"allocation\": {\"c\": 5}"),
      "/allocation/c must be an array of intervals" },
    { DOC("\"allocation\": {\"c\": [5, [], [1], [1, 2, 3], [\"0\", 5], "
          "[0, null], {\"a\": 0, \"b\": 5}]}"),
      "/allocation/c/0" INTERVAL "\n/allocation/c/1" INTERVAL "\n"
      "/allocation/c/2" INTERVAL "\n/allocation/c/3" INTERVAL "\n"
      "/allocation/c/4" INTERVAL "\n/allocation/c/5" INTERVAL "\n"
      "/allocation/c/6" INTERVAL },
    { DOC("\"allocation\": {\"c\": [[5, 5], [6, 5], [-1, 5], [0, 1000001], "
          "[0.5, 5], [0, 5.5], [0, 9007199254740992]]}"),
      "/allocation/c/0" INTERVAL "\n/allocation/c/1" INTERVAL "\n"
      "/allocation/c/2" INTERVAL "\n/allocation/c/3" INTERVAL "\n"
      "/allocation/c/4" INTERVAL "\n/allocation/c/5" INTERVAL "\n"
      "/allocation/c/6" INTERVAL },
    { RULE(WHEN ", \"name\": \"r\", \"weights\": {\"c\": 5}, "
           "\"allocation\": {\"d\": 5}"),
      "/rules/0/allocation/d must be an array of intervals" },

    /* all of them, in the order of the document, then what is missing */

    { "{\"salt\": 5, \"variants\": {\"s\": {\"weight\": 5, \"x\": 1}}, "
      "\"colour\": 1}",
      "/salt must be a string\n"
      "/variants/s/x unknown member; there are upstream, weight\n"
      "/colour" MEMBERS "\n"
      "/baseline is missing" }
};


static void
judge(const char *text, ngx_http_gray_kind_e kind,
    ngx_http_gray_faults_t *faults)
{
    ngx_http_gray_json_t    *doc;
    ngx_http_gray_schema_t   schema;

    schema.release = string("checkout");
    schema.kind = kind;

    faults->n = 0;
    doc = parse(text);

    ngx_http_gray_schema_judge(&schema, doc, faults);

    ngx_http_gray_json_free(doc);
}


static void
test_refused(void **state)
{
    ngx_uint_t              i;
    ngx_http_gray_faults_t  faults;

    (void) state;

    assert_true(ITEMS(refused) >= 60);

    for (i = 0; i < ITEMS(refused); i++) {
        judge(refused[i].doc, NGX_HTTP_GRAY_EITHER, &faults);
        assert_faults(refused[i].doc, &faults, refused[i].faults);
    }
}


static const char  *accepted[] = {
    "{\"baseline\": \"s\", \"variants\": {\"s\": {}}}",
    "{\"variants\": {\"s\": {}}, \"baseline\": \"s\"}",
    "{\"baseline\": \"s\", \"variants\": {\"s\": {\"upstream\": \"u\"}}}",
    "{\"baseline\": \"c\", \"variants\": {\"s\": {\"weight\": 0}, "
    "\"c\": {}}}",
    "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
    "\"c\": {\"weight\": 100}}}",
    "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
    "\"c\": {\"weight\": 0.0001}}}",
    "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
    "\"c\": {\"weight\": 99.9999}, \"d\": {\"weight\": 0.0001}}}",
    "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
    "\"c\": {\"weight\": 33.3333}, \"d\": {\"weight\": 33.3333}, "
    "\"e\": {\"weight\": 33.3334}}}",
    "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
    "\"c\": {\"weight\": 5.0000000}, \"d\": {\"weight\": 5e-1}}}",
    "{\"baseline\": \"s\", \"variants\": {\"s\": {\"upstream\": \"u1\"}, "
    "\"c\": {\"upstream\": \"127.0.0.1:80\", \"weight\": 5}}}",
    "{\"baseline\": \"s\", \"variants\": {\"s\": {}, "
    "\"v2.0-rc_1\": {\"weight\": 5}, \"V\": {\"weight\": 5}}}",
    "{\"baseline\": \"" X63 "\", \"variants\": {\"" X63 "\": {}}}",

    DOC("\"enabled\": false"),
    DOC("\"enabled\": true, \"salt\": \"x\""),
    DOC("\"salt\": \"" X255 "\""),
    DOC("\"release\": \"checkout\", \"revision\": 7, \"origin\": \"api\", "
        "\"declared_differs\": true"),
    DOC("\"fallback\": \"off\""),
    ROUTED("\"fallback\": \"off\""),
    ROUTED("\"fallback\": \"baseline\""),
    DOC("\"hash\": [\"$cookie_uid\"]"),
    DOC("\"hash\": [\"$a\", \"$a\", \"$a\", \"$a\", \"$a\", \"$a\", \"$a\", "
        "\"$a\", \"$a\", \"$a\", \"$a\", \"$a\", \"$a\", \"$a\", \"$a\", "
        "\"$a\"]"),

    COOKIE("\"name\": \"" X63 "\""),
    COOKIE("\"name\": \"__Host-gray.uid\", \"secure\": true, "
           "\"httponly\": false, \"samesite\": \"lax\""),
    COOKIE("\"name\": \"id\", \"expires\": \"30d\", \"domain\": "
           "\".example.com\", \"path\": \"/shop\", \"samesite\": \"strict\""),
    COOKIE("\"samesite\": \"none\", \"name\": \"id\", \"secure\": true"),
    COOKIE("\"name\": \"id\", \"path\": \"" X255 "\""),

    DOC("\"rules\": []"),
    RULE(WHEN ", \"variant\": \"c\""),
    RULE(WHEN ", \"variant\": \"s\", \"name\": \"testers\""),
    RULE(WHEN ", \"weights\": {\"c\": 100}, \"name\": \"" X63 "\""),
    RULE(WHEN ", \"weights\": {\"c\": 0}, \"name\": \"r\", "
         "\"allocation\": {}"),
    RULE("\"when\": {}, \"variant\": \"c\""),
    DOC("\"rules\": [{\"name\": \"a\", " WHEN ", \"variant\": \"c\"},"
        "{\"name\": \"A\", " WHEN ", \"variant\": \"c\"}]"),

    DOC("\"allocation\": {}"),
    DOC("\"allocation\": {\"c\": []}"),
    DOC("\"allocation\": {\"c\": [[0, 50000]]}"),
    DOC("\"allocation\": {\"c\": [[999999, 1000000], [0, 1]]}"),

    /* that it does not fit the weights is no fault */

    DOC("\"allocation\": {\"c\": [[0, 1], [0, 1]], \"s\": [[0, 1000000]]}"),
    DOC("\"allocation\": {\"gone\": [[0, 1]], \"no name\": []}"),
    RULE(WHEN ", \"variant\": \"c\", \"allocation\": {\"c\": [[0, 1]]}")
};


static void
test_accepted(void **state)
{
    ngx_uint_t              i;
    ngx_http_gray_faults_t  faults;

    (void) state;

    assert_true(ITEMS(accepted) >= 20);

    for (i = 0; i < ITEMS(accepted); i++) {
        judge(accepted[i], NGX_HTTP_GRAY_EITHER, &faults);
        assert_faults(accepted[i], &faults, "");
        assert_int_equal(faults.n, 0);
    }
}


/* a release is declared with upstreams, or without them */

static void
test_kinds(void **state)
{
    ngx_http_gray_faults_t  faults;

    static const char  with[] =
        "{\"baseline\": \"s\", \"variants\": {\"s\": {\"upstream\": \"u\"}, "
        "\"c\": {\"upstream\": \"v\", \"weight\": 5}}}";
    static const char  half[] =
        "{\"baseline\": \"s\", \"variants\": {\"s\": {\"upstream\": \"u\"}, "
        "\"c\": {\"weight\": 5}}}";
    static const char  without[] = "{" VARIANTS "}";

    (void) state;

    judge(with, NGX_HTTP_GRAY_ROUTED, &faults);
    assert_faults(with, &faults, "");

    judge(half, NGX_HTTP_GRAY_ROUTED, &faults);
    assert_faults(half, &faults, "/variants/c/upstream is missing");

    judge(without, NGX_HTTP_GRAY_ROUTED, &faults);
    assert_faults(without, &faults, "/variants/s/upstream is missing\n"
                                    "/variants/c/upstream is missing");

    judge(without, NGX_HTTP_GRAY_SWITCH, &faults);
    assert_faults(without, &faults, "");

    judge(half, NGX_HTTP_GRAY_SWITCH, &faults);
    assert_faults(half, &faults,
                  "/variants/s/upstream must not be given, nginx.conf "
                  "declares the release without upstreams");
}


/* all of them are counted, so many are told */

static void
test_many(void **state)
{
    char                    *p, *text, expected[128];
    ngx_uint_t               i, k;
    ngx_http_gray_faults_t   faults;

    (void) state;

    text = malloc(2000000);
    assert_non_null(text);

    p = text + sprintf(text, "{" VARIANTS);

    for (i = 0; i < 1000; i++) {
        p += sprintf(p, ", \"m%lu\": 1", (unsigned long) i);
    }

    strcpy(p, "}");

    judge(text, NGX_HTTP_GRAY_EITHER, &faults);

    assert_int_equal(faults.n, 1000);
    assert_string_equal(faults.fault[0].pointer, "/m0");
    assert_string_equal(faults.fault[NGX_HTTP_GRAY_FAULTS - 1].pointer,
                        "/m19");

    /* as many variants, and rules, as there may be, and one more */

    for (i = NGX_HTTP_GRAY_VARIANTS_MAX;
         i <= NGX_HTTP_GRAY_VARIANTS_MAX + 1;
         i++)
    {
        p = text + sprintf(text, "{\"baseline\": \"v0\", \"variants\": {"
                           "\"v0\": {}");

        for (k = 1; k < i; k++) {
            p += sprintf(p, ", \"v%lu\": {\"weight\": 1}", (unsigned long) k);
        }

        strcpy(p, "}}");

        sprintf(expected, "/variants has %d variants, may have %d",
                NGX_HTTP_GRAY_VARIANTS_MAX + 1, NGX_HTTP_GRAY_VARIANTS_MAX);

        judge(text, NGX_HTTP_GRAY_EITHER, &faults);
        assert_faults("variants", &faults,
                      i == NGX_HTTP_GRAY_VARIANTS_MAX ? "" : expected);
    }

    for (i = NGX_HTTP_GRAY_RULES_MAX; i <= NGX_HTTP_GRAY_RULES_MAX + 1; i++) {

        p = text + sprintf(text, "{" VARIANTS ", \"rules\": [");

        for (k = 0; k < i; k++) {
            p += sprintf(p, "%s{\"name\": \"r%lu\", " WHEN
                         ", \"variant\": \"c\"}", k ? ", " : "",
                         (unsigned long) k);
        }

        strcpy(p, "]}");

        sprintf(expected, "/rules has %d rules, may have %d",
                NGX_HTTP_GRAY_RULES_MAX + 1, NGX_HTTP_GRAY_RULES_MAX);

        judge(text, NGX_HTTP_GRAY_EITHER, &faults);
        assert_faults("rules", &faults,
                      i == NGX_HTTP_GRAY_RULES_MAX ? "" : expected);
    }

    free(text);
}


#define LOWER                                                                 \
    "must be a lower-case letter, then lower-case letters, digits or \"_\", " \
    "at most 63 in all"
#define OTHER                                                                 \
    "must not be \"decisions\" nor begin with \"geo\", which name other "     \
    "variables"
#define SUFFIX                                                                \
    "must not end in \"_upstream\", \"_reason\", \"_rule\", \"_bucket\", "    \
    "\"_revision\", \"_outcome\", \"_failures\" or \"_ttfb\", which "   \
    "name other variables"

static const struct {
    const char  *name;
    const char  *must;
} names[] = {
    { "a", NULL },
    { "checkout", NULL },
    { "check_out2", NULL },
    { "a_", NULL },
    { X63, NULL },
    { "decision", NULL },
    { "decisions2", NULL },
    { "ge", NULL },
    { "ageo", NULL },
    { "upstream", NULL },
    { "rule", NULL },
    { "my_rules", NULL },
    { "a_bucket_b", NULL },

    { "", LOWER },
    { "A", LOWER },
    { "checkOut", LOWER },
    { "1a", LOWER },
    { "_a", LOWER },
    { "a-b", LOWER },
    { "a.b", LOWER },
    { "a b", LOWER },
    { "\xc3\xa9", LOWER },
    { X63 "x", LOWER },

    { "decisions", OTHER },
    { "geo", OTHER },
    { "geo_x", OTHER },
    { "geography", OTHER },

    { "a_upstream", SUFFIX },
    { "a_reason", SUFFIX },
    { "a_rule", SUFFIX },
    { "a_bucket", SUFFIX },
    { "a_revision", SUFFIX },
    { "a_outcome", SUFFIX },
    { "a_failures", SUFFIX },
    { "a_ttfb", SUFFIX },
    { "a_b_rule", SUFFIX }
};


static void
test_reserved(void **state)
{
    ngx_str_t    name;
    ngx_uint_t   i;
    const char  *must;

    (void) state;

    for (i = 0; i < ITEMS(names); i++) {
        name = string(names[i].name);
        must = ngx_http_gray_schema_reserved(&name);

        if (must == NULL || names[i].must == NULL) {
            if (must != names[i].must) {
                fail_msg("%s: %s", names[i].name, must);
            }

            continue;
        }

        assert_string_equal(must, names[i].must);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_reserved)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
