
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The plan as it is read: each member, what a step has in common with others,
 * watches over all guards, times, names, and that another plan has another id.
 */


#include "unit.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ngx_http_gray_plan.h"
#include "ngx_http_gray_planning.h"
#include "ngx_http_gray_tally.h"

/*
 * The wrappers to be linked: __wrap_malloc, __wrap_calloc, __wrap_realloc,
 * __wrap_posix_memalign, __wrap_pcre2_compile_8,
 * __wrap_pcre2_match_data_create_8, __wrap_pcre2_match_context_create_8
 */

#include "memory.h"


#define MINUTE  60000


static const char  whole[] =
    "{\"variant\": \"c\", \"unit\": \"key\", \"alpha\": 0.02,"
    " \"steps\": [{\"weight\": 0}, {\"weight\": 12.3456, \"gate\": \"manual\","
    " \"hold\": \"2h30m\", \"max_hold\": \"1d\", \"warmup\": \"500ms\","
    " \"min_requests\": 7}, {\"weight\": 100, \"warmup\": \"0s\"}],"
    " \"hold\": \"1m\", \"max_hold\": \"10m\", \"warmup\": \"5s\","
    " \"min_requests\": 100, \"detect_ratio\": 4, \"info_nats\": 8,"
    " \"guards\": ["
    "{\"name\": \"split\", \"sample_ratio\": true},"
    "{\"name\": \"errors\", \"max_ratio\": 1.5, \"floor\": 0.001,"
    " \"bad\": [\"5xx\", \"499\"]},"
    "{\"name\": \"latency\", \"quantiles\": [0.5, 0.9, 0.99],"
    " \"max_ratio\": 1.2, \"min_delta\": \"3ms\", \"action\": \"pause\"},"
    "{\"name\": \"slow\", \"slower_than\": \"1s500ms\", \"max\": 0.01},"
    "{\"name\": \"abs\", \"max\": 0.05, \"if_baseline_bad\": \"pause\"}],"
    " \"on_inconclusive\": \"next\", \"on_success\": \"keep\","
    " \"cooldown\": \"1h\","
    " \"windows\": [{\"days\": [\"mon\"], \"from\": \"09:00\","
    " \"to\": \"17:00\"}, {\"before\": \"1970-01-02T00:00:00Z\"}],"
    " \"notify\": [{\"url\": \"http://127.0.0.1:9000/hook\"},"
    " {\"url\": \"http://[::1]/\", \"on\": [\"started\", \"step\"]}]}";

static const char  least[] =
    "{\"variant\": \"canary\", \"steps\": [{\"weight\": 5}]}";


/* the plan of a rollout, with defaults filled in */

static void
read_plan(ngx_http_gray_plan_t *plan, const char *text)
{
    ngx_http_gray_json_t  *doc, *rollout, *full;

    doc = parse("{}");
    rollout = parse(text);
    full = ngx_http_gray_planning_fill(doc, rollout);

    assert_non_null(full);

    /* what was there before is not */

    memset(plan, 0xa5, sizeof(ngx_http_gray_plan_t));
    assert_int_equal(ngx_http_gray_plan_read(plan, full), NGX_OK);

    ngx_http_gray_json_free(full);
    ngx_http_gray_json_free(rollout);
    ngx_http_gray_json_free(doc);
}


static void
assert_step(const ngx_http_gray_step_t *step, double percent, ngx_uint_t gate,
    uint64_t hold, uint64_t max_hold, uint64_t warmup, uint64_t requests)
{
    assert_true(step->percent == percent);
    assert_int_equal(step->weight, (uint32_t) (percent * 10000 + 0.5));
    assert_int_equal(step->gate, gate);
    assert_int_equal(step->hold, hold);
    assert_int_equal(step->max_hold, max_hold);
    assert_int_equal(step->warmup, warmup);
    assert_int_equal(step->min_requests, requests);
}


static void
assert_guard(const ngx_http_gray_guard_t *guard, const char *name,
    ngx_http_gray_guard_e kind, ngx_http_gray_plan_action_e action,
    ngx_uint_t watch, ngx_uint_t watches)
{
    assert_string_equal(guard->name, name);
    assert_int_equal(guard->kind, kind);
    assert_int_equal(guard->action, action);
    assert_int_equal(guard->watch, watch);
    assert_int_equal(guard->watches, watches);
}


static void
test_whole(void **state)
{
    ngx_http_gray_plan_t  plan;

    (void) state;

    read_plan(&plan, whole);

    assert_string_equal(plan.variant, "c");
    assert_int_equal(plan.key, 1);
    assert_true(plan.alpha == 0.02);
    assert_true(plan.detect_ratio == 4);
    assert_true(plan.info_nats == 8);
    assert_int_equal(plan.on_inconclusive, NGX_HTTP_GRAY_PLAN_NEXT);
    assert_int_equal(plan.on_success, NGX_HTTP_GRAY_PLAN_KEEP);
    assert_int_equal(plan.cooldown, 60 * MINUTE);

    assert_int_equal(plan.steps, 3);
    assert_step(&plan.step[0], 0, 0, MINUTE, 10 * MINUTE, 5000, 100);
    assert_step(&plan.step[1], 12.3456, 1, 150 * MINUTE, 1440 * MINUTE, 500,
                7);
    assert_step(&plan.step[2], 100, 0, MINUTE, 10 * MINUTE, 0, 100);

    assert_int_equal(plan.guards, 5);
    assert_int_equal(plan.watches, 7);
    assert_guard(&plan.guard[0], "split", NGX_HTTP_GRAY_GUARD_SHARE,
                 NGX_HTTP_GRAY_PLAN_PAUSE, 0, 1);
    assert_guard(&plan.guard[1], "errors", NGX_HTTP_GRAY_GUARD_RELATIVE,
                 NGX_HTTP_GRAY_PLAN_ROLLBACK, 1, 1);
    assert_guard(&plan.guard[2], "latency", NGX_HTTP_GRAY_GUARD_LATENCY,
                 NGX_HTTP_GRAY_PLAN_PAUSE, 2, 3);
    assert_guard(&plan.guard[3], "slow", NGX_HTTP_GRAY_GUARD_SLOW,
                 NGX_HTTP_GRAY_PLAN_PAUSE, 5, 1);
    assert_guard(&plan.guard[4], "abs", NGX_HTTP_GRAY_GUARD_ABSOLUTE,
                 NGX_HTTP_GRAY_PLAN_ROLLBACK, 6, 1);

    assert_true(plan.guard[1].max_ratio == 1.5);
    assert_true(plan.guard[1].floor == 0.001);
    assert_int_equal(plan.guard[1].bad, 1 << NGX_HTTP_GRAY_5XX
                                        | 1 << NGX_HTTP_GRAY_499);
    assert_int_equal(plan.guard[1].baseline_bad, 0);

    assert_true(plan.guard[2].quantile[0] == 0.5);
    assert_true(plan.guard[2].quantile[2] == 0.99);
    assert_true(plan.guard[2].max_ratio == 1.2);
    assert_int_equal(plan.guard[2].min_delta, 3);

    assert_int_equal(plan.guard[3].slower, 1500);
    assert_true(plan.guard[3].max == 0.01);

    assert_true(plan.guard[4].max == 0.05);
    assert_int_equal(plan.guard[4].bad, 1 << NGX_HTTP_GRAY_5XX);
    assert_int_equal(plan.guard[4].baseline_bad, 1);

    assert_int_equal(plan.windows, 2);
    assert_int_equal(plan.window[0].days, 1);
    assert_int_equal(plan.window[0].from, 9 * 3600);
    assert_int_equal(plan.window[1].before, 86400);
    assert_int_equal(plan.window[1].from, -1);

    assert_int_equal(plan.hooks, 2);
    assert_string_equal(plan.hook[0].url, "http://127.0.0.1:9000/hook");
    assert_int_equal(plan.hook[0].on, 1 << NGX_HTTP_GRAY_HOOK_ROLLBACK
                                      | 1 << NGX_HTTP_GRAY_HOOK_PAUSE
                                      | 1 << NGX_HTTP_GRAY_HOOK_PROMOTED);
    assert_int_equal(plan.hook[1].on, 1 << NGX_HTTP_GRAY_HOOK_STARTED
                                      | 1 << NGX_HTTP_GRAY_HOOK_STEP);
}


static void
test_least(void **state)
{
    ngx_http_gray_plan_t  plan;

    (void) state;

    read_plan(&plan, least);

    assert_string_equal(plan.variant, "canary");
    assert_int_equal(plan.key, 0);
    assert_true(plan.alpha == 0.01);
    assert_true(plan.detect_ratio == 3);
    assert_true(plan.info_nats == 16);
    assert_int_equal(plan.on_inconclusive, NGX_HTTP_GRAY_PLAN_PAUSE);
    assert_int_equal(plan.on_success, NGX_HTTP_GRAY_PLAN_PROMOTE);
    assert_int_equal(plan.cooldown, 10 * MINUTE);

    assert_int_equal(plan.steps, 1);
    assert_step(&plan.step[0], 5, 0, 5 * MINUTE, 60 * MINUTE, 10000, 200);

    assert_int_equal(plan.guards, 3);
    assert_int_equal(plan.watches, 5);
    assert_guard(&plan.guard[0], "errors", NGX_HTTP_GRAY_GUARD_RELATIVE,
                 NGX_HTTP_GRAY_PLAN_ROLLBACK, 0, 1);
    assert_guard(&plan.guard[1], "errors_abs", NGX_HTTP_GRAY_GUARD_ABSOLUTE,
                 NGX_HTTP_GRAY_PLAN_ROLLBACK, 1, 1);
    assert_guard(&plan.guard[2], "latency", NGX_HTTP_GRAY_GUARD_LATENCY,
                 NGX_HTTP_GRAY_PLAN_ROLLBACK, 2, 3);

    assert_true(plan.guard[0].max_ratio == 1.25);
    assert_true(plan.guard[0].floor == 0.0005);
    assert_true(plan.guard[1].max == 0.05);
    assert_int_equal(plan.guard[1].baseline_bad, 1);
    assert_true(plan.guard[2].max_ratio == 1.1);
    assert_int_equal(plan.guard[2].min_delta, 5);

    assert_int_equal(plan.windows, 0);
    assert_int_equal(plan.hooks, 0);
}


/* the id is that of the text, which the plan's place in a document is not */

static void
test_id(void **state)
{
    ngx_str_t              text;
    ngx_http_gray_json_t  *json;
    ngx_http_gray_plan_t   plan, other;

    (void) state;

    json = parse(least);
    assert_int_equal(ngx_http_gray_plan_read(&plan, json), NGX_OK);
    assert_int_equal(ngx_http_gray_json_print(json, 0, &text), NGX_OK);
    assert_int_equal(plan.id, XXH64(text.data, text.len, 0));

    free(text.data);
    ngx_http_gray_json_free(json);

    read_plan(&plan, least);
    read_plan(&other, "{\"steps\": [{\"weight\": 5.0}],"
                      " \"variant\": \"canary\", \"alpha\": 1e-2}");

    assert_memory_equal(&plan, &other, sizeof(ngx_http_gray_plan_t));

    read_plan(&other, "{\"variant\": \"canary\","
                      " \"steps\": [{\"weight\": 5.0001}]}");

    assert_true(plan.id != other.id);
}


/* of the document, its variant's upstream matters, and no other */

static void
test_bind(void **state)
{
    ngx_uint_t             i;
    ngx_http_gray_json_t  *json;
    ngx_http_gray_plan_t   plan[4];

    static const char  *docs[] = {
        "{\"variants\": {\"stable\": {\"upstream\": \"v1\"},"
        " \"canary\": {\"upstream\": \"v2\"}}}",

        "{\"variants\": {\"stable\": {\"upstream\": \"v3\"},"
        " \"canary\": {\"upstream\": \"v2\"}}}",

        "{\"variants\": {\"stable\": {\"upstream\": \"v1\"},"
        " \"canary\": {\"upstream\": \"v3\"}}}",

        "{\"variants\": {\"stable\": {}, \"canary\": {}}}"
    };

    (void) state;

    for (i = 0; i < 4; i++) {
        read_plan(&plan[i], least);

        json = parse(docs[i]);
        ngx_http_gray_plan_bind(&plan[i], json);
        ngx_http_gray_json_free(json);
    }

    assert_true(plan[0].id == plan[1].id);
    assert_true(plan[0].id != plan[2].id);
    assert_true(plan[0].id != plan[3].id);

    read_plan(&plan[0], least);
    assert_true(plan[0].id == plan[3].id);
}


/* 32 steps, 8 guards, 12 watches, 8 windows, 4 hooks, the longest names */

static void
test_most(void **state)
{
    char                   text[8192], *p;
    ngx_uint_t             i;
    ngx_http_gray_plan_t   plan;

    (void) state;

    p = text + sprintf(text, "{\"variant\": \"%063d\", \"steps\": [", 0);

    for (i = 0; i < NGX_HTTP_GRAY_PLAN_STEPS; i++) {
        p += sprintf(p, "%s{\"weight\": %d}", i ? "," : "", (int) i);
    }

    p += sprintf(p, "], \"guards\": [");

    for (i = 0; i < NGX_HTTP_GRAY_PLAN_GUARDS; i++) {
        p += sprintf(p, "%s{\"name\": \"%063d\", %s}", i ? "," : "", (int) i,
                     i == 7 ? "\"quantiles\": [0.1, 0.2, 0.3, 0.4]"
                            : i == 3 ? "\"quantiles\": [0.5, 0.6]"
                                     : "\"max\": 0.5");
    }

    p += sprintf(p, "], \"windows\": [");

    for (i = 0; i < NGX_HTTP_GRAY_PLAN_WINDOWS; i++) {
        p += sprintf(p, "%s{\"from\": \"0%d:00\"}", i ? "," : "", (int) i);
    }

    p += sprintf(p, "], \"notify\": [");

    for (i = 0; i < NGX_HTTP_GRAY_PLAN_HOOKS; i++) {
        p += sprintf(p, "%s{\"url\": \"http://[::1]/%0242d\"}", i ? "," : "",
                     (int) i);
    }

    (void) sprintf(p, "]}");

    read_plan(&plan, text);

    assert_int_equal(strlen(plan.variant), NGX_HTTP_GRAY_PLAN_NAME);
    assert_int_equal(plan.steps, NGX_HTTP_GRAY_PLAN_STEPS);
    assert_true(plan.step[31].percent == 31);
    assert_int_equal(plan.guards, NGX_HTTP_GRAY_PLAN_GUARDS);
    assert_int_equal(plan.watches, NGX_HTTP_GRAY_PLAN_WATCHES);
    assert_int_equal(strlen(plan.guard[7].name), NGX_HTTP_GRAY_PLAN_NAME);
    assert_int_equal(plan.guard[4].watch, 5);
    assert_int_equal(plan.guard[7].watch, 8);
    assert_true(plan.guard[7].quantile[3] == 0.4);
    assert_int_equal(plan.windows, NGX_HTTP_GRAY_PLAN_WINDOWS);
    assert_int_equal(plan.window[7].from, 7 * 3600);
    assert_int_equal(plan.hooks, NGX_HTTP_GRAY_PLAN_HOOKS);
    assert_int_equal(strlen(plan.hook[3].url), NGX_HTTP_GRAY_PLAN_URL);
    assert_int_equal(plan.hook[3].url[NGX_HTTP_GRAY_PLAN_URL - 1], '3');
}


typedef struct {
    const char  *text;
    uint64_t     ms;
} time_test_t;


static void
test_time(void **state)
{
    uint64_t    ms;
    ngx_str_t   text;
    ngx_uint_t  i;

    static const time_test_t  good[] = {
        { "0s", 0 }, { "1ms", 1 }, { "500ms", 500 }, { "10s", 10000 },
        { "5m", 300000 }, { "2h30m", 9000000 }, { "1d", 86400000 },
        { "1d2h3m4s5ms", 93784005 }, { "1d5ms", 86400005 },
        { "007s", 7000 }, { "90m", 5400000 }, { "1m0s", 60000 },
        { "999999999d", 999999999 * (uint64_t) 86400000 }
    };

    static const char  *bad[] = {
        "", "5", "s", "ms", "5x", "5 s", " 5s", "5s ", "-5s", "+5s", "5.5s",
        "5S", "5s5", "5s5m", "5ms5s", "1h1h", "0s0s", "1w", "1y", "1d 2h",
        "9999999999s", "0x5s", "1e3s", "5mss", "5sm"
    };

    (void) state;

    for (i = 0; i < ITEMS(good); i++) {
        text = string(good[i].text);
        ms = 1;

        assert_int_equal(ngx_http_gray_plan_time(&text, &ms), NGX_OK);
        assert_int_equal(ms, good[i].ms);
    }

    for (i = 0; i < ITEMS(bad); i++) {
        text = string(bad[i]);

        if (ngx_http_gray_plan_time(&text, &ms) != NGX_DECLINED) {
            fail_msg("\"%s\" is no time", bad[i]);
        }
    }

    ngx_str_null(&text);
    assert_int_equal(ngx_http_gray_plan_time(&text, &ms), NGX_DECLINED);
}


/* numbers are those of what counts */

static void
test_names(void **state)
{
    ngx_int_t  i;
    ngx_str_t  text;

    (void) state;

    for (i = 0; i < NGX_HTTP_GRAY_CODES; i++) {
        assert_int_equal(ngx_http_gray_plan_code(&ngx_http_gray_codes[i]), i);
    }

    for (i = 0; i < NGX_HTTP_GRAY_HOOKS; i++) {
        assert_int_equal(ngx_http_gray_plan_hook(&ngx_http_gray_hooks[i]), i);
        assert_int_equal(ngx_http_gray_hooks[i].data
                         [ngx_http_gray_hooks[i].len], '\0');
    }

    text = string("rollback");
    assert_int_equal(ngx_http_gray_plan_hook(&text),
                     NGX_HTTP_GRAY_HOOK_ROLLBACK);

    text = string("rollbac");
    assert_int_equal(ngx_http_gray_plan_hook(&text), NGX_DECLINED);

    text = string("5x");
    assert_int_equal(ngx_http_gray_plan_code(&text), NGX_DECLINED);
}


/* only the text, of which the id is made, takes memory */

static void
test_memory(void **state)
{
    ngx_int_t              rc;
    ngx_uint_t             i, total;
    ngx_http_gray_json_t  *json;
    ngx_http_gray_plan_t   plan;

    (void) state;

    count_allocations();

    json = parse(whole);
    total = 0;

    for (i = 0; i <= total; i++) {
        allocations = 0;
        blocks = 0;
        failing = i;

        rc = ngx_http_gray_plan_read(&plan, json);

        failing = 0;

        if (i == 0) {
            total = allocations;
            assert_true(total > 0);
        }

        assert_int_equal(rc, i ? NGX_ERROR : NGX_OK);
        assert_int_equal(blocks, 0);
    }

    ngx_http_gray_json_free(json);
    forget_allocations();
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_least),
        cmocka_unit_test(test_id),
        cmocka_unit_test(test_bind),
        cmocka_unit_test(test_most),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_memory)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
