
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Planning: each member that a plan may have, with what is refused and where,
 * the canonical form with its defaults, that it is one, and changes of it by
 * members.
 */


#include "unit.h"

#include "ngx_http_gray_document.h"
#include "ngx_http_gray_patch.h"
#include "ngx_http_gray_planning.h"

/*
 * The wrappers to be linked: __wrap_malloc, __wrap_calloc, __wrap_realloc,
 * __wrap_posix_memalign, __wrap_pcre2_compile_8,
 * __wrap_pcre2_match_data_create_8, __wrap_pcre2_match_context_create_8
 */

#include "memory.h"


/* a document whose plan says that */

#define ROUTED                                                                \
    "\"baseline\": \"s\", \"variants\": {\"s\": {\"upstream\": \"u\"}, "      \
    "\"c\": {\"upstream\": \"v\", \"weight\": 5}, "                           \
    "\"d\": {\"upstream\": \"w\", \"weight\": 50}}"
#define KEYED  "\"cookie\": {\"name\": \"uid\"}, "
#define SWITCH                                                                \
    "\"baseline\": \"s\", \"variants\": {\"s\": {}, \"c\": {\"weight\": 5}}"

#define PLAN(members)  "{" KEYED ROUTED ", \"rollout\": {" members "}}"
#define BASE  "\"variant\": \"c\", \"steps\": [{\"weight\": 5}]"
#define WITH(members)  PLAN(BASE ", " members)
#define STEP(members)                                                         \
    PLAN("\"variant\": \"c\", \"steps\": [{" members "}]")
#define GUARD(members)  WITH("\"guards\": [{" members "}]")
#define GUARDS(list)  WITH("\"guards\": [" list "]")
#define WINDOW(members)  WITH("\"windows\": [{" members "}]")
#define HOOK(members)  WITH("\"notify\": [{" members "}]")
#define URL(url)  HOOK("\"url\": \"" url "\"")

#define MEMBERS                                                               \
    " unknown member; there are variant, unit, alpha, steps, hold, "          \
    "max_hold, warmup, min_requests, detect_ratio, info_nats, guards, "       \
    "on_inconclusive, on_success, cooldown, windows, notify"
#define STEPS                                                                 \
    " unknown member; there are weight, gate, hold, max_hold, warmup, "       \
    "min_requests"
#define GUARDED                                                               \
    " unknown member; there are name, bad, quantiles, slower_than, "          \
    "sample_ratio, max_ratio, floor, min_delta, max, action, "                \
    "if_baseline_bad"
#define TIME                                                                  \
    " must be a time with units, as \"500ms\", \"10s\" or \"2h30m\""
#define PART  " must be more than 0 and less than 1"
#define RATIO  " must be from 1 to 1000"
#define COUNT  " must be a whole number from 0 to 1000000000"
#define ONE                                                                   \
    " must have one of \"max_ratio\", \"max\", \"quantiles\", "               \
    "\"slower_than\" with \"max\", \"sample_ratio\""
#define NAMED                                                                 \
    " a guard's name must be a letter, then letters, digits, \"_\", \"-\" "   \
    "or \".\", at most 63 in all"
#define CODE                                                                  \
    " must be \"1xx\", \"2xx\", \"3xx\", \"4xx\", \"5xx\" or \"499\""
#define QUANTILE  " must be a number of more than 0 and less than 1"
#define ACTION  " must be \"rollback\" or \"pause\""
#define ADDRESS                                                               \
    "/rollout/notify/0/url must be http://ADDRESS[:PORT]/PATH of at most 255 "\
    "characters, the address IPv4, IPv6 in brackets or \"localhost\", as "    \
    "\"http://127.0.0.1:9000/hook\""
#define TLS                                                                   \
    "/rollout/notify/0/url must begin with \"http://\": a location of nginx " \
    "with proxy_pass can go on by https"
#define EVENTS                                                                \
    "started, step, gate, pause, resumed, rollback, aborted, promoted"
#define NEVER                                                                 \
    "/rollout/windows/0 never opens: none of the days is between \"after\" "  \
    "and \"before\""
#define UNWATCHED                                                             \
    "/rollout/guards must be [], as the variants have no upstreams that "     \
    "guards could watch"

#define W8                                                                    \
    "{\"weight\": 1}, {\"weight\": 1}, {\"weight\": 1}, {\"weight\": 1}, "    \
    "{\"weight\": 1}, {\"weight\": 1}, {\"weight\": 1}, {\"weight\": 1}"
#define W32  W8 ", " W8 ", " W8 ", " W8
#define G(name)  "{\"name\": \"" name "\", \"max\": 0.5}"
#define Q(name)                                                               \
    "{\"name\": \"" name "\", \"quantiles\": [0.2, 0.4, 0.6, 0.8]}"
#define DAY  "{\"days\": [\"mon\"]}"
#define TOLD  "{\"url\": \"http://127.0.0.1/\"}"
#define X63  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"


typedef struct {
    const char  *doc;
    const char  *faults;
} refused_t;


static const refused_t  refused[] = {

    /* the plan */

    { "{" ROUTED ", \"rollout\": null}", "/rollout must be an object" },
    { "{" ROUTED ", \"rollout\": []}", "/rollout must be an object" },
    { PLAN(""), "/rollout/variant is missing\n/rollout/steps is missing" },
    { WITH("\"guard\": []"), "/rollout/guard" MEMBERS },

    { PLAN("\"variant\": \"e\", \"steps\": [{\"weight\": 5}]"),
      "/rollout/variant no variant \"e\"; there are s, c, d" },
    { PLAN("\"variant\": \"\", \"steps\": [{\"weight\": 5}]"),
      "/rollout/variant no variant \"\"; there are s, c, d" },
    { PLAN("\"variant\": 5, \"steps\": [{\"weight\": 5}]"),
      "/rollout/variant must be a string" },

    { WITH("\"unit\": \"user\""),
      "/rollout/unit must be \"key\" or \"request\"" },
    { "{" ROUTED ", \"rollout\": {" BASE ", \"unit\": \"key\"}}",
      "/rollout/unit \"key\" needs \"hash\" or \"cookie\" in the document, "
      "\"request\" does not" },

    { WITH("\"alpha\": 0"), "/rollout/alpha" PART },
    { WITH("\"alpha\": 1"), "/rollout/alpha" PART },
    { WITH("\"alpha\": -0.01"), "/rollout/alpha" PART },
    { WITH("\"alpha\": \"1%\""), "/rollout/alpha must be a number" },

    /* steps */

    { PLAN("\"variant\": \"c\""), "/rollout/steps is missing" },
    { PLAN("\"variant\": \"c\", \"steps\": {}"),
      "/rollout/steps must be an array" },
    { PLAN("\"variant\": \"c\", \"steps\": []"),
      "/rollout/steps has 0 steps, must have 1 to 32" },
    { PLAN("\"variant\": \"c\", \"steps\": [" W32 ", {\"weight\": 1}]"),
      "/rollout/steps has 33 steps, must have 1 to 32" },
    { PLAN("\"variant\": \"c\", \"steps\": [5]"),
      "/rollout/steps/0 must be an object with \"weight\"" },
    { STEP(""), "/rollout/steps/0/weight is missing" },
    { STEP("\"weight\": 0"),
      "/rollout/steps/0/weight must not be 0 in the last step, from which the "
      "variant is promoted, unless \"on_success\" is \"keep\"" },
    { STEP("\"weight\": 5, \"percent\": 5"), "/rollout/steps/0/percent" STEPS },
    { STEP("\"weight\": \"5%\""),
      "/rollout/steps/0/weight must be a number" },
    { STEP("\"weight\": 101"),
      "/rollout/steps/0/weight 101 is not within 0 to 100" },
    { STEP("\"weight\": -1"),
      "/rollout/steps/0/weight -1 is not within 0 to 100" },
    { STEP("\"weight\": 5.00001"),
      "/rollout/steps/0/weight 5.00001 has more than 4 decimals" },
    { PLAN("\"variant\": \"c\", \"steps\": [{\"weight\": 50}, "
           "{\"weight\": 50.0001}]"),
      "/rollout/steps/1/weight 50.0001 is more than other variants leave, "
      "which is 50" },
    { STEP("\"weight\": 5, \"gate\": \"auto\""),
      "/rollout/steps/0/gate must be \"manual\"" },
    { STEP("\"weight\": 5, \"gate\": true"),
      "/rollout/steps/0/gate must be \"manual\"" },
    { STEP("\"weight\": 5, \"hold\": \"5\", \"max_hold\": \"\", "
           "\"warmup\": \"1.5s\", \"min_requests\": -1"),
      "/rollout/steps/0/hold" TIME "\n/rollout/steps/0/max_hold" TIME "\n"
      "/rollout/steps/0/warmup" TIME "\n/rollout/steps/0/min_requests" COUNT },

    /* times */

    { WITH("\"hold\": 5"), "/rollout/hold" TIME },
    { WITH("\"cooldown\": {}, \"on_success\": true, \"on_inconclusive\": 1"),
      "/rollout/cooldown" TIME "\n/rollout/on_success must be \"promote\" or "
      "\"keep\"\n/rollout/on_inconclusive must be \"pause\", \"next\" or "
      "\"rollback\"" },
    { WITH("\"hold\": \"5\""), "/rollout/hold" TIME },
    { WITH("\"hold\": \"m\""), "/rollout/hold" TIME },
    { WITH("\"hold\": \"5 m\""), "/rollout/hold" TIME },
    { WITH("\"hold\": \"-5m\""), "/rollout/hold" TIME },
    { WITH("\"hold\": \"5M\""), "/rollout/hold" TIME },
    { WITH("\"hold\": \"30m1h\""), "/rollout/hold" TIME },
    { WITH("\"hold\": \"1m1m\""), "/rollout/hold" TIME },
    { WITH("\"hold\": \"366d\", \"max_hold\": \"365d1ms\""),
      "/rollout/hold must be at most 365d\n"
      "/rollout/max_hold must be from 1s to 365d\n"
      "/rollout/max_hold must not be shorter than \"hold\", which is "
      "\"366d\"" },
    { WITH("\"hold\": \"0s\", \"max_hold\": \"999ms\""),
      "/rollout/max_hold must be from 1s to 365d" },
    { WITH("\"cooldown\": \"10\""), "/rollout/cooldown" TIME },
    { WITH("\"cooldown\": \"366d\""),
      "/rollout/cooldown must be at most 365d" },
    { WITH("\"warmup\": \"x\""), "/rollout/warmup" TIME },

    /* one that is over before it can be over; also by a default */

    { WITH("\"hold\": \"10m\", \"max_hold\": \"9m59s\""),
      "/rollout/max_hold must not be shorter than \"hold\", which is "
      "\"10m\"" },
    { WITH("\"hold\": \"1h1s\""),
      "/rollout/hold must not be longer than \"max_hold\", which is \"60m\"" },
    { WITH("\"max_hold\": \"299s\""),
      "/rollout/max_hold must not be shorter than \"hold\", which is \"5m\"" },
    { STEP("\"weight\": 5, \"hold\": \"2h\""),
      "/rollout/steps/0/hold must not be longer than \"max_hold\", which is "
      "\"60m\"" },
    { STEP("\"weight\": 5, \"hold\": \"2h\", \"max_hold\": \"1h\""),
      "/rollout/steps/0/max_hold must not be shorter than \"hold\", which is "
      "\"2h\"" },
    { PLAN("\"variant\": \"c\", \"hold\": \"20m\", \"steps\": "
           "[{\"weight\": 5, \"max_hold\": \"10m\"}]"),
      "/rollout/steps/0/max_hold must not be shorter than \"hold\", which is "
      "\"20m\"" },

    /* numbers */

    { WITH("\"min_requests\": 0.5"), "/rollout/min_requests" COUNT },
    { WITH("\"min_requests\": 1000000001"), "/rollout/min_requests" COUNT },
    { WITH("\"detect_ratio\": 1"),
      "/rollout/detect_ratio must be more than 1 and at most 1000" },
    { WITH("\"detect_ratio\": 1001"),
      "/rollout/detect_ratio must be more than 1 and at most 1000" },
    { WITH("\"info_nats\": -1"),
      "/rollout/info_nats must be from 0 to 1000" },
    { WITH("\"info_nats\": 1000.5"),
      "/rollout/info_nats must be from 0 to 1000" },

    /* words */

    { WITH("\"on_inconclusive\": \"promote\""),
      "/rollout/on_inconclusive must be \"pause\", \"next\" or \"rollback\"" },
    { WITH("\"on_success\": \"rollback\""),
      "/rollout/on_success must be \"promote\" or \"keep\"" },
    { WITH("\"on_success\": \"\""),
      "/rollout/on_success must be \"promote\" or \"keep\"" },

    /* guards: how many */

    { WITH("\"guards\": null"), "/rollout/guards must be an array" },
    { GUARDS(G("a") ", " G("b") ", " G("c") ", " G("d") ", " G("e") ", "
             G("f") ", " G("g") ", " G("h") ", " G("i")),
      "/rollout/guards has 9 guards, may have 8" },
    { GUARDS(Q("a") ", " Q("b") ", " Q("c") ", " G("d")),
      "/rollout/guards watches 13 things, may watch 12: each quantile is one, "
      "and each other guard" },
    { GUARDS("\"errors\""),
      "/rollout/guards/0 must be an object with \"name\"" },

    /* names */

    { GUARD("\"max\": 0.5"), "/rollout/guards/0/name is missing" },
    { GUARD("\"max\": 0.5, \"name\": \"\""), "/rollout/guards/0/name" NAMED },
    { GUARD("\"max\": 0.5, \"name\": \"5xx\""),
      "/rollout/guards/0/name" NAMED },
    { GUARD("\"max\": 0.5, \"name\": \"x" X63 "\""),
      "/rollout/guards/0/name" NAMED },
    { GUARDS(G("a") ", " G("b") ", " G("a") ", " G("a")),
      "/rollout/guards/2/name is also the name of guard 0\n"
      "/rollout/guards/3/name is also the name of guard 0" },

    /* what they are */

    { GUARD("\"name\": \"g\""), "/rollout/guards/0" ONE },
    { GUARD("\"name\": \"g\", \"bad\": \"5xx\", \"floor\": 0"),
      "/rollout/guards/0" ONE },
    { GUARD("\"name\": \"g\", \"max\": 0.5, \"ratio\": 5"),
      "/rollout/guards/0/ratio" GUARDED },
    { GUARD("\"name\": \"g\", \"max\": 0.5, \"max_ratio\": 2"),
      "/rollout/guards/0/max_ratio does not go with \"max\"" },
    { GUARD("\"name\": \"g\", \"quantiles\": [0.5], \"max\": 0.5"),
      "/rollout/guards/0/max does not go with \"quantiles\"" },
    { GUARD("\"name\": \"g\", \"quantiles\": [0.5], \"floor\": 0, "
            "\"bad\": \"5xx\""),
      "/rollout/guards/0/floor does not go with \"quantiles\"\n"
      "/rollout/guards/0/bad does not go with \"quantiles\"" },
    { GUARD("\"name\": \"g\", \"max_ratio\": 2, \"min_delta\": \"5ms\""),
      "/rollout/guards/0/min_delta does not go with \"max_ratio\"" },
    { GUARD("\"name\": \"g\", \"slower_than\": \"1s\""),
      "/rollout/guards/0/max is missing, goes with \"slower_than\"" },
    { GUARD("\"name\": \"g\", \"slower_than\": \"1s\", \"max_ratio\": 2"),
      "/rollout/guards/0/max_ratio does not go with \"slower_than\"\n"
      "/rollout/guards/0/max is missing, goes with \"slower_than\"" },
    { GUARD("\"name\": \"g\", \"slower_than\": \"1s\", \"quantiles\": [0.5]"),
      "/rollout/guards/0/slower_than does not go with \"quantiles\"" },
    { GUARD("\"name\": \"g\", \"sample_ratio\": true, \"max\": 0.5"),
      "/rollout/guards/0/max does not go with \"sample_ratio\"" },
    { GUARD("\"name\": \"g\", \"sample_ratio\": false"),
      "/rollout/guards/0/sample_ratio must be true" },
    { GUARD("\"name\": \"g\", \"sample_ratio\": 1"),
      "/rollout/guards/0/sample_ratio must be true or false" },

    /* their limits */

    { GUARD("\"name\": \"g\", \"max_ratio\": 0.99"),
      "/rollout/guards/0/max_ratio" RATIO },
    { GUARD("\"name\": \"g\", \"max_ratio\": 1001"),
      "/rollout/guards/0/max_ratio" RATIO },
    { GUARD("\"name\": \"g\", \"quantiles\": [0.5], \"max_ratio\": 0.5"),
      "/rollout/guards/0/max_ratio" RATIO },
    { GUARD("\"name\": \"g\", \"max_ratio\": 2, \"floor\": 1"),
      "/rollout/guards/0/floor must be from 0 up to, but not, 1" },
    { GUARD("\"name\": \"g\", \"max_ratio\": 2, \"floor\": -0.1"),
      "/rollout/guards/0/floor must be from 0 up to, but not, 1" },
    { GUARD("\"name\": \"g\", \"max\": 0"), "/rollout/guards/0/max" PART },
    { GUARD("\"name\": \"g\", \"max\": 1"), "/rollout/guards/0/max" PART },
    { GUARD("\"name\": \"g\", \"quantiles\": [0.5], \"min_delta\": \"2h\""),
      "/rollout/guards/0/min_delta must be at most 1h" },
    { GUARD("\"name\": \"g\", \"max\": 0.5, \"slower_than\": \"0ms\""),
      "/rollout/guards/0/slower_than must be from 1ms to 1h" },

    { GUARD("\"name\": \"g\", \"quantiles\": []"),
      "/rollout/guards/0/quantiles has 0 quantiles, must have 1 to 4" },
    { GUARD("\"name\": \"g\", \"quantiles\": [0.1, 0.2, 0.3, 0.4, 0.5]"),
      "/rollout/guards/0/quantiles has 5 quantiles, must have 1 to 4" },
    { GUARD("\"name\": \"g\", \"quantiles\": 0.5"),
      "/rollout/guards/0/quantiles must be an array" },
    { GUARD("\"name\": \"g\", \"quantiles\": [0, 1, 99, \"0.5\"]"),
      "/rollout/guards/0/quantiles/0" QUANTILE "\n"
      "/rollout/guards/0/quantiles/1" QUANTILE "\n"
      "/rollout/guards/0/quantiles/2" QUANTILE "\n"
      "/rollout/guards/0/quantiles/3" QUANTILE },

    { GUARD("\"name\": \"g\", \"max\": 0.5, \"bad\": \"500\""),
      "/rollout/guards/0/bad" CODE ", or an array of these" },
    { GUARD("\"name\": \"g\", \"max\": 0.5, \"bad\": 499"),
      "/rollout/guards/0/bad" CODE ", or an array of these" },
    { GUARD("\"name\": \"g\", \"max\": 0.5, \"bad\": []"),
      "/rollout/guards/0/bad" CODE ", or an array of these" },
    { GUARD("\"name\": \"g\", \"max\": 0.5, \"bad\": [\"5xx\", \"6xx\", 499]"),
      "/rollout/guards/0/bad/1" CODE "\n/rollout/guards/0/bad/2" CODE },

    { GUARD("\"name\": \"g\", \"max\": 0.5, \"action\": \"abort\""),
      "/rollout/guards/0/action" ACTION },
    { GUARD("\"name\": \"g\", \"sample_ratio\": true, \"action\": \"\""),
      "/rollout/guards/0/action" ACTION },
    { GUARD("\"name\": \"g\", \"max\": 0.5, "
            "\"if_baseline_bad\": \"rollback\""),
      "/rollout/guards/0/if_baseline_bad must be \"pause\"" },
    { GUARD("\"name\": \"g\", \"max_ratio\": 2, "
            "\"if_baseline_bad\": \"pause\""),
      "/rollout/guards/0/if_baseline_bad does not go with \"max_ratio\"" },

    /* a switch is not watched, and has to say so */

    { "{" SWITCH ", \"rollout\": {" BASE "}}", UNWATCHED },
    { "{" SWITCH ", \"rollout\": {" BASE ", \"guards\": [" G("a") "]}}",
      UNWATCHED },

    /* windows */

    { WITH("\"windows\": {}"), "/rollout/windows must be an array" },
    { WITH("\"windows\": [" DAY ", " DAY ", " DAY ", " DAY ", " DAY ", "
           DAY ", " DAY ", " DAY ", " DAY "]"),
      "/rollout/windows has 9 windows, may have 8" },
    { WINDOW(""),
      "/rollout/windows/0 must have at least one of after, before, days, "
      "from, to" },
    { WINDOW("\"days\": []"),
      "/rollout/windows/0/days must be an array of days, not empty; there are "
      "mon, tue, wed, thu, fri, sat, sun" },
    { WINDOW("\"days\": [\"mo\"]"),
      "/rollout/windows/0/days/0 must be one of mon, tue, wed, thu, fri, sat, "
      "sun" },
    { WINDOW("\"from\": \"09:00\", \"to\": \"09:00\""),
      "/rollout/windows/0/to must not be the same as \"from\"" },
    { WINDOW("\"after\": \"2026-03-02T00:00:00Z\", "
             "\"before\": \"2026-03-01T00:00:00Z\""),
      "/rollout/windows/0/before must be later than \"after\"" },

    /* the 2nd of March 2026 was a Monday */

    { WINDOW("\"after\": \"2026-03-02T00:00:00Z\", "
             "\"before\": \"2026-03-07T00:00:00Z\", \"days\": [\"sat\"]"),
      NEVER },
    { WINDOW("\"after\": \"2026-03-02T10:00:00Z\", "
             "\"before\": \"2026-03-03T09:00:00Z\", "
             "\"from\": \"09:00\", \"to\": \"10:00\""),
      NEVER },
    { WINDOW("\"after\": \"2026-03-02T10:00:00Z\", "
             "\"before\": \"2026-03-09T09:00:00Z\", \"days\": [\"mon\"], "
             "\"from\": \"09:00\", \"to\": \"10:00\""),
      NEVER },
    { WINDOW("\"after\": \"2026-03-02T16:00:00Z\", "
             "\"before\": \"2026-03-03T00:00:00Z\", \"days\": [\"mon\"], "
             "\"utc_offset\": \"+08:00\""),
      NEVER },

    /* hooks */

    { WITH("\"notify\": \"http://127.0.0.1/\""),
      "/rollout/notify must be an array" },
    { WITH("\"notify\": [" TOLD ", " TOLD ", " TOLD ", " TOLD ", " TOLD "]"),
      "/rollout/notify has 5 hooks, may have 4" },
    { WITH("\"notify\": [\"http://127.0.0.1/\"]"),
      "/rollout/notify/0 must be an object with \"url\"" },
    { HOOK(""), "/rollout/notify/0/url is missing" },
    { HOOK("\"url\": \"http://127.0.0.1/\", \"event\": 1"),
      "/rollout/notify/0/event unknown member; there are url, on" },
    { URL("https://127.0.0.1/"), TLS },
    { URL("https://hooks.example.com/x"), TLS },
    { URL(""), ADDRESS },
    { URL("127.0.0.1:9000/hook"), ADDRESS },
    { URL("http://"), ADDRESS },
    { URL("http:///"), ADDRESS },
    { URL("http://127.0.0.1"), ADDRESS },
    { URL("http://127.0.0.1:9000"), ADDRESS },
    { URL("http://127.0.0.1:/"), ADDRESS },
    { URL("http://127.0.0.1:0/"), ADDRESS },
    { URL("http://127.0.0.1:65536/"), ADDRESS },
    { URL("http://127.0.0.1:80x/"), ADDRESS },
    { URL("http://127.0.0.256/"), ADDRESS },
    { URL("http://127.1/"), ADDRESS },
    { URL("http://127..0.1/"), ADDRESS },
    { URL("http://127.0.0.01/"), ADDRESS },
    { URL("http://hooks.example.com/"), ADDRESS },
    { URL("http://localhost.localdomain/"), ADDRESS },
    { URL("http://user@127.0.0.1/"), ADDRESS },
    { URL("http://::1/"), ADDRESS },
    { URL("http://[::1/"), ADDRESS },
    { URL("http://[]/"), ADDRESS },
    { URL("http://[127.0.0.1]/"), ADDRESS },
    { URL("http://[localhost]/"), ADDRESS },
    { URL("http://[::1]80/"), ADDRESS },
    { URL("http://[::1]x/"), ADDRESS },
    { URL("http://[::1]:/"), ADDRESS },
    { URL("http://127.0.0.1/a b"), ADDRESS },
    { URL("http://127.0.0.1/a#b"), ADDRESS },
    { URL("http://127.0.0.1/\\r\\nHost: x"), ADDRESS },
    { URL("http://127.0.0.1/\\u00e9"), ADDRESS },
    { URL("http://127.0.0.1/" X63 X63 X63 X63), ADDRESS },
    { URL("unix:/var/run/hook"), ADDRESS },
    { HOOK("\"url\": \"http://127.0.0.1/\", \"on\": []"),
      "/rollout/notify/0/on must not be empty; there are " EVENTS },
    { HOOK("\"url\": \"http://127.0.0.1/\", \"on\": \"rollback\""),
      "/rollout/notify/0/on must be an array" },
    { HOOK("\"url\": \"http://127.0.0.1/\", \"on\": [\"rollback\", "
           "\"rolled_back\", 5]"),
      "/rollout/notify/0/on/1 must be one of " EVENTS "\n"
      "/rollout/notify/0/on/2 must be one of " EVENTS }
};


static void
judge(const char *text, ngx_http_gray_faults_t *faults)
{
    ngx_http_gray_json_t    *doc;
    ngx_http_gray_schema_t   schema;

    schema.release = string("checkout");
    schema.kind = NGX_HTTP_GRAY_EITHER;

    faults->n = 0;
    doc = parse(text);

    assert_int_equal(ngx_http_gray_schema_judge(&schema, doc, faults), NGX_OK);

    ngx_http_gray_json_free(doc);
}


static void
test_refused(void **state)
{
    ngx_uint_t              i;
    ngx_http_gray_faults_t  faults;

    (void) state;

    for (i = 0; i < ITEMS(refused); i++) {
        judge(refused[i].doc, &faults);
        assert_faults(refused[i].doc, &faults, refused[i].faults);
    }
}


static const char  *accepted[] = {
    WITH("\"alpha\": 0.5, \"unit\": \"key\""),
    "{\"hash\": [\"$x\"], " ROUTED ", \"rollout\": {" BASE
    ", \"unit\": \"key\"}}",
    "{" ROUTED ", \"rollout\": {" BASE ", \"unit\": \"request\"}}",

    PLAN("\"variant\": \"c\", \"steps\": [" W32 "]"),
    PLAN("\"variant\": \"c\", \"steps\": [{\"weight\": 0}, "
         "{\"weight\": 50}, {\"weight\": 20.0001}]"),
    STEP("\"weight\": 5, \"gate\": \"manual\", \"hold\": \"0s\", "
         "\"max_hold\": \"1s\", \"warmup\": \"0ms\", \"min_requests\": 0"),

    /* a variant that is the baseline by now may have had all */

    PLAN("\"variant\": \"s\", \"steps\": [{\"weight\": 100}]"),

    WITH("\"hold\": \"365d\", \"max_hold\": \"365d\""),
    WITH("\"hold\": \"1d2h3m4s5ms\", \"max_hold\": \"1d2h3m4s5ms\""),
    STEP("\"weight\": 5, \"hold\": \"2h\", \"max_hold\": \"120m\""),
    WITH("\"detect_ratio\": 1.01, \"info_nats\": 0, "
         "\"min_requests\": 1000000000"),
    WITH("\"on_inconclusive\": \"rollback\", \"on_success\": \"keep\""),

    WITH("\"guards\": []"),
    GUARDS(G("a") ", " G("b") ", " G("c") ", " G("d") ", " G("e") ", "
           G("f") ", " G("g") ", " G("h")),
    GUARDS(Q("a") ", " Q("b") ", " Q("c")),
    GUARD("\"name\": \"" X63 "\", \"max_ratio\": 1, \"floor\": 0, "
          "\"bad\": [\"1xx\", \"2xx\", \"3xx\", \"4xx\", \"5xx\", \"499\"]"),
    GUARD("\"name\": \"g\", \"slower_than\": \"1h\", \"max\": 0.999, "
          "\"action\": \"rollback\", \"if_baseline_bad\": \"pause\""),
    GUARD("\"name\": \"g\", \"quantiles\": [0.9999], \"max_ratio\": 1, "
          "\"min_delta\": \"0ms\", \"action\": \"pause\""),
    GUARD("\"name\": \"g\", \"sample_ratio\": true"),
    "{" SWITCH ", \"rollout\": {" BASE ", \"guards\": []}}",

    WINDOW("\"days\": [\"sat\", \"sun\"], \"from\": \"22:00\", "
           "\"to\": \"06:00\", \"utc_offset\": \"-03:30\""),
    WINDOW("\"before\": \"2026-03-01T00:00:00Z\""),
    WINDOW("\"after\": \"2026-03-02T00:00:00Z\", "
           "\"before\": \"2026-03-07T00:00:01Z\", \"days\": [\"sat\"]"),
    WINDOW("\"after\": \"2026-03-02T10:00:00Z\", "
           "\"before\": \"2026-03-03T09:01:00Z\", "
           "\"from\": \"09:00\", \"to\": \"10:00\""),
    WINDOW("\"after\": \"2026-03-02T09:59:59Z\", "
           "\"before\": \"2026-03-03T09:00:00Z\", "
           "\"from\": \"09:00\", \"to\": \"10:00\""),
    WINDOW("\"after\": \"2026-03-02T15:59:59Z\", "
           "\"before\": \"2026-03-03T00:00:00Z\", \"days\": [\"mon\"], "
           "\"utc_offset\": \"+08:00\""),
    WINDOW("\"after\": \"2026-03-02T20:00:00Z\", "
           "\"before\": \"2026-03-03T01:30:00Z\", \"from\": \"09:00\", "
           "\"to\": \"10:00\", \"utc_offset\": \"+08:00\""),
    WINDOW("\"after\": \"1969-12-28T23:00:00Z\", "
           "\"before\": \"1969-12-29T01:00:00Z\", \"days\": [\"mon\"], "
           "\"from\": \"00:30\", \"to\": \"01:00\""),

    URL("http://127.0.0.1/"), URL("http://127.0.0.1:65535/a/b?c=d&e"),
    URL("http://[::1]/"), URL("http://[2001:db8::1]:9000/hook"),
    URL("http://localhost/x"), URL("http://localhost:8080/x"),
    HOOK("\"url\": \"http://10.0.0.1:1/\", \"on\": [\"started\", \"step\", "
         "\"gate\", \"pause\", \"resumed\", \"rollback\", \"aborted\", "
         "\"promoted\"]"),
    WITH("\"notify\": [" TOLD ", " TOLD ", " TOLD ", " TOLD "]")
};


static void
test_accepted(void **state)
{
    ngx_uint_t              i;
    ngx_http_gray_faults_t  faults;

    (void) state;

    for (i = 0; i < ITEMS(accepted); i++) {
        judge(accepted[i], &faults);
        assert_faults(accepted[i], &faults, "");
    }
}


/* the canonical form; its parts in their order */

#define RELATIVE                                                              \
    "{\"name\":\"errors\",\"bad\":\"5xx\",\"max_ratio\":1.25,"                \
    "\"floor\":0.0005,\"action\":\"rollback\"}"
#define ABSOLUTE                                                              \
    "{\"name\":\"errors_abs\",\"bad\":\"5xx\",\"max\":0.05,"                  \
    "\"action\":\"rollback\",\"if_baseline_bad\":\"pause\"}"
#define LATENCY                                                               \
    "{\"name\":\"latency\",\"quantiles\":[0.5,0.9,0.99],\"max_ratio\":1.1,"   \
    "\"min_delta\":\"5ms\",\"action\":\"rollback\"}"

#define FORM(unit, steps, hold, requests, guards, windows, notify)            \
    "{\"variant\":\"c\",\"unit\":\"" unit "\",\"alpha\":0.01,"                \
    "\"steps\":[" steps "],\"hold\":\"" hold "\",\"max_hold\":\"60m\","       \
    "\"warmup\":\"10s\",\"min_requests\":" requests ",\"detect_ratio\":3,"    \
    "\"info_nats\":16,\"guards\":[" guards "],"                               \
    "\"on_inconclusive\":\"pause\",\"on_success\":\"promote\","               \
    "\"cooldown\":\"10m\",\"windows\":[" windows "],\"notify\":[" notify "]}"
#define USUAL  RELATIVE "," ABSOLUTE "," LATENCY
#define FIVE  "{\"weight\":5}"


typedef struct {
    const char  *doc;
    const char  *text;
} filled_t;


static const filled_t  filled[] = {

    { PLAN(BASE), FORM("key", FIVE, "5m", "200", USUAL, "", "") },

    { "{" ROUTED ", \"rollout\": {" BASE "}}",
      FORM("request", FIVE, "5m", "200", USUAL, "", "") },

    { "{\"hash\": [\"$x\"], " ROUTED ", \"rollout\": {" BASE "}}",
      FORM("key", FIVE, "5m", "200", USUAL, "", "") },

    { WITH("\"unit\": \"request\""),
      FORM("request", FIVE, "5m", "200", USUAL, "", "") },

    /* without guards, time alone counts, unless it is said otherwise */

    { WITH("\"guards\": []"), FORM("key", FIVE, "5m", "0", "", "", "") },

    { WITH("\"min_requests\": 7, \"guards\": []"),
      FORM("key", FIVE, "5m", "7", "", "", "") },

    { "{" SWITCH ", \"rollout\": {" BASE ", \"guards\": []}}",
      FORM("request", FIVE, "5m", "0", "", "", "") },

    /* in order, however they come; a step has its own only */

    { PLAN("\"hold\": \"30s\", \"steps\": [{\"min_requests\": 5, "
           "\"warmup\": \"1s\", \"max_hold\": \"2m\", \"hold\": \"1m\", "
           "\"gate\": \"manual\", \"weight\": 5}, {\"weight\": 1}], "
           "\"variant\": \"c\""),
      FORM("key", "{\"weight\":5,\"gate\":\"manual\",\"hold\":\"1m\","
           "\"max_hold\":\"2m\",\"warmup\":\"1s\",\"min_requests\":5},"
           "{\"weight\":1}", "30s", "200", USUAL, "", "") },

    { GUARDS("{\"max\": 0.1, \"name\": \"a\"}, "
             "{\"floor\": 0, \"max_ratio\": 2, \"bad\": [\"5xx\", \"499\"], "
             "\"name\": \"b\", \"action\": \"pause\"}, "
             "{\"name\": \"c\", \"quantiles\": [0.5]}, "
             "{\"max\": 0.1, \"slower_than\": \"1s\", \"name\": \"d\"}, "
             "{\"sample_ratio\": true, \"name\": \"e\"}"),
      FORM("key", FIVE, "5m", "200",
           "{\"name\":\"a\",\"bad\":\"5xx\",\"max\":0.1,"
           "\"action\":\"rollback\"},"
           "{\"name\":\"b\",\"bad\":[\"5xx\",\"499\"],\"max_ratio\":2,"
           "\"floor\":0,\"action\":\"pause\"},"
           "{\"name\":\"c\",\"quantiles\":[0.5],\"max_ratio\":1.1,"
           "\"min_delta\":\"5ms\",\"action\":\"rollback\"},"
           "{\"name\":\"d\",\"slower_than\":\"1s\",\"max\":0.1,"
           "\"action\":\"pause\"},"
           "{\"name\":\"e\",\"sample_ratio\":true,\"action\":\"pause\"}",
           "", "") },

    { WITH("\"windows\": [{\"utc_offset\": \"Z\", \"to\": \"17:00\", "
           "\"from\": \"09:00\", \"days\": [\"tue\", \"mon\"]}], "
           "\"notify\": [{\"on\": [\"step\"], \"url\": \"http://[::1]/\"}, "
           TOLD "]"),
      FORM("key", FIVE, "5m", "200", USUAL,
           "{\"days\":[\"tue\",\"mon\"],\"from\":\"09:00\",\"to\":\"17:00\","
           "\"utc_offset\":\"Z\"}",
           "{\"url\":\"http://[::1]/\",\"on\":[\"step\"]},"
           "{\"url\":\"http://127.0.0.1/\","
           "\"on\":[\"rollback\",\"pause\",\"promoted\"]}") }
};


/* of the document's plan; what is filled in is not filled in again */

static void
assert_filled(const ngx_http_gray_json_t *doc, const char *expected)
{
    ngx_str_t              text;
    ngx_uint_t             i;
    ngx_http_gray_json_t  *plan, *again;

    plan = ngx_http_gray_planning_fill(doc, ngx_http_gray_json_get(doc,
                                                                "rollout"));

    for (i = 0; i < 2; i++) {
        assert_non_null(plan);
        assert_int_equal(ngx_http_gray_json_print(plan, 0, &text), NGX_OK);
        assert_string_equal((char *) text.data, expected);
        free(text.data);

        again = ngx_http_gray_planning_fill(doc, plan);
        ngx_http_gray_json_free(plan);
        plan = again;
    }

    ngx_http_gray_json_free(plan);
}


static void
test_filled(void **state)
{
    ngx_uint_t              i;
    ngx_http_gray_json_t   *doc;
    ngx_http_gray_faults_t  faults;

    (void) state;

    for (i = 0; i < ITEMS(filled); i++) {
        judge(filled[i].doc, &faults);
        assert_faults(filled[i].doc, &faults, "");

        doc = parse(filled[i].doc);
        assert_filled(doc, filled[i].text);
        ngx_http_gray_json_free(doc);
    }
}


/* builds the document: its text is to be freed, where there is no fault */

static ngx_http_gray_json_t *
build(const ngx_http_gray_json_t *input, ngx_str_t *text,
    ngx_http_gray_faults_t *faults)
{
    ngx_http_gray_json_t      *doc;
    ngx_http_gray_document_t   env;

    ngx_memzero(&env, sizeof(ngx_http_gray_document_t));

    env.schema.release = string("checkout");
    env.schema.kind = NGX_HTTP_GRAY_EITHER;
    env.max = 65536;

    faults->n = 0;
    (void) ngx_http_gray_document_build(&env, input, NULL, &doc, text, faults);

    return doc;
}


typedef struct {
    const char  *patch;
    const char  *faults;
    const char  *text;                  /* of the plan; "": none */
} merged_t;


static const merged_t  merged[] = {

    { "{\"rollout\": {\"hold\": \"1m\"}}", "",
      FORM("key", FIVE, "1m", "200", USUAL, "", "") },

    /* null is the default again, and no rollout at all */

    { "{\"rollout\": {\"hold\": null, \"guards\": []}}", "",
      FORM("key", FIVE, "5m", "200", "", "", "") },

    { "{\"rollout\": {\"guards\": null}}", "",
      FORM("key", FIVE, "5m", "200", USUAL, "", "") },

    { "{\"rollout\": null}", "", "" },

    { "{\"rollout\": {\"hold\": \"2h\"}}",
      "/rollout/max_hold must not be shorter than \"hold\", which is \"2h\"",
      NULL },

    { "{\"rollout\": {\"steps\": null}}", "/rollout/steps is missing", NULL },

    /* what is elsewhere in the document may no longer go with the plan */

    { "{\"cookie\": null}",
      "/rollout/unit \"key\" needs \"hash\" or \"cookie\" in the document, "
      "\"request\" does not", NULL },

    { "{\"variants\": {\"d\": {\"weight\": 95.5}, \"c\": {\"weight\": 0}}}",
      "/rollout/steps/0/weight 5 is more than other variants leave, which is "
      "4.5", NULL }
};


static void
test_merged(void **state)
{
    ngx_str_t                text, plan;
    ngx_uint_t               i;
    ngx_http_gray_json_t    *doc, *patch, *next;
    ngx_http_gray_faults_t   faults;

    (void) state;

    for (i = 0; i < ITEMS(merged); i++) {
        next = parse(PLAN(BASE));
        doc = build(next, &text, &faults);
        ngx_http_gray_json_free(next);
        free(text.data);

        patch = parse(merged[i].patch);
        assert_int_equal(ngx_http_gray_patch_merge(&doc, patch), NGX_OK);
        ngx_http_gray_json_free(patch);

        next = build(doc, &text, &faults);

        assert_faults(merged[i].patch, &faults, merged[i].faults);

        if (merged[i].text == NULL) {
            assert_null(next);

        } else if (merged[i].text[0] == '\0') {
            assert_null(ngx_http_gray_json_get(next, "rollout"));
            assert_null(strstr((char *) text.data, "rollout"));

        } else {
            assert_int_equal(ngx_http_gray_json_print(
                                     ngx_http_gray_json_get(next, "rollout"),
                                     0, &plan),
                             NGX_OK);
            assert_string_equal((char *) plan.data, merged[i].text);
            free(plan.data);
        }

        ngx_http_gray_json_free(doc);
        ngx_http_gray_json_free(next);
        free(text.data);
    }
}


/* it stands between the rules and the allocation, and is a part of what is
   compared */

static void
test_document(void **state)
{
    char                    *rules, *rollout, *allocation;
    ngx_str_t                text, other_text;
    ngx_http_gray_json_t    *input, *doc, *other;
    ngx_http_gray_faults_t   faults;

    (void) state;

    input = parse(PLAN(BASE));
    doc = build(input, &text, &faults);
    ngx_http_gray_json_free(input);

    rules = strstr((char *) text.data, "\"rules\":");
    rollout = strstr((char *) text.data, "\"rollout\":");
    allocation = strstr((char *) text.data, "\"allocation\":");

    assert_true(rules && rules < rollout && rollout < allocation);

    /* the same, said in full */

    input = parse(WITH("\"hold\": \"5m\", \"alpha\": 0.01"));
    other = build(input, &other_text, &faults);
    ngx_http_gray_json_free(input);

    assert_string_equal((char *) text.data, (char *) other_text.data);
    assert_true(ngx_http_gray_document_same(doc, other));

    ngx_http_gray_json_free(other);
    free(other_text.data);

    input = parse(WITH("\"hold\": \"4m\""));
    other = build(input, &other_text, &faults);
    ngx_http_gray_json_free(input);

    assert_false(ngx_http_gray_document_same(doc, other));

    ngx_http_gray_json_free(other);
    free(other_text.data);
    ngx_http_gray_json_free(doc);
    free(text.data);
}


/* each allocation fails once: nothing is left behind, nothing is left out */

static void
test_memory(void **state)
{
    ngx_uint_t             i, total, failed;
    ngx_http_gray_json_t  *doc, *rollout, *plan;

    (void) state;

    count_allocations();

    doc = parse(WITH("\"windows\": [" DAY "], \"notify\": [" TOLD "]"));
    rollout = ngx_http_gray_json_get(doc, "rollout");

    total = 0;
    failed = 0;

    for (i = 0; i <= total; i++) {
        allocations = 0;
        blocks = 0;
        failing = i;

        plan = ngx_http_gray_planning_fill(doc, rollout);

        failing = 0;

        if (i == 0) {
            total = allocations;
            assert_in_range(total, 50, 1000);
            assert_non_null(plan);

        } else {
            failed += (plan == NULL);
        }

        ngx_http_gray_json_free(plan);
        assert_int_equal(blocks, 0);
    }

    assert_int_equal(failed, total);

    ngx_http_gray_json_free(doc);
    forget_allocations();
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_filled),
        cmocka_unit_test(test_merged),
        cmocka_unit_test(test_document),
        cmocka_unit_test(test_memory)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
