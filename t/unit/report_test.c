
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * JSON of rollouts: of one that never was, of one at each of its stages, as
 * ticks and commands lead there, of what has happened; and each allocation
 * that fails.
 */


#include "unit.h"
#include "memory.h"

#include "ngx_http_gray_planning.h"
#include "ngx_http_gray_report.h"

/*
 * The wrappers to be linked: __wrap_malloc, __wrap_calloc, __wrap_realloc,
 * __wrap_posix_memalign, __wrap_pcre2_compile_8,
 * __wrap_pcre2_match_data_create_8, __wrap_pcre2_match_context_create_8
 */


#define NOON  1796040000                    /* 2026-11-30T12:00:00Z */

#define PLAN                                                                  \
    "{'variant': 'canary', 'unit': 'request', 'steps': [{'weight': 5},"       \
    "  {'weight': 0.1234}, {'weight': 60, 'gate': 'manual'}],"                \
    " 'hold': '60s', 'max_hold': '10m', 'warmup': '0s', 'min_requests': 100," \
    " 'guards': [{'name': 'errors', 'bad': '5xx', 'max_ratio': 1.25},"        \
    "            {'name': 'quick', 'quantiles': [0.5, 0.99]},"                \
    "            {'name': 'slow', 'slower_than': '500ms', 'max': 0.01,"       \
    "             'action': 'pause'},"                                        \
    "            {'name': 'split', 'sample_ratio': true,"                     \
    "             'action': 'pause'}],"                                       \
    " 'on_success': 'keep'}"


static ngx_http_gray_plan_t          plan;
static ngx_http_gray_world_t         world;
static ngx_http_gray_sample_t        canary, baseline;
static ngx_http_gray_outcomes_t      outcomes;
static ngx_http_gray_trial_record_t  record;
static uint64_t                      times[NGX_HTTP_GRAY_HISTOGRAM];

static ngx_str_t                     release = ngx_string("checkout");


/* with ' in the place of ", so that it can be read */

static ngx_http_gray_json_t *
quoted(const char *text)
{
    char                   buf[4096], *p;
    ngx_http_gray_json_t  *json;

    assert_true(strlen(text) < sizeof(buf));
    strcpy(buf, text);

    for (p = buf; *p; p++) {
        if (*p == '\'') {
            *p = '"';
        }
    }

    json = parse(buf);
    assert_non_null(json);

    return json;
}


static void
assert_json(const ngx_http_gray_json_t *found, const char *expected)
{
    ngx_str_t              text;
    ngx_http_gray_json_t  *json;

    json = quoted(expected);

    if (!ngx_http_gray_json_equal(found, json)) {
        assert_int_equal(ngx_http_gray_json_print(found, 0, &text), NGX_OK);
        fail_msg("expected:\n%s\nfound:\n%s", expected, text.data);
    }

    ngx_http_gray_json_free(json);
}


/* members of a report that are there, one after another */

static void
assert_members(const ngx_http_gray_json_t *found, const char *expected)
{
    ngx_str_t              text, want;
    ngx_http_gray_json_t  *json, *node, *is;

    json = quoted(expected);

    for (node = ngx_http_gray_json_first(json);
         node;
         node = ngx_http_gray_json_next(node))
    {
        is = ngx_http_gray_json_get(found, ngx_http_gray_json_key(node));

        if (is == NULL || !ngx_http_gray_json_equal(is, node)) {
            assert_int_equal(ngx_http_gray_json_print(is, 0, &text), NGX_OK);
            assert_int_equal(ngx_http_gray_json_print(node, 0, &want), NGX_OK);
            fail_msg("%s: expected %s, found %s", ngx_http_gray_json_key(node),
                     want.data, text.data);
        }
    }

    ngx_http_gray_json_free(json);
}


static ngx_http_gray_json_t *
reported(void)
{
    ngx_http_gray_json_t  *json;

    json = ngx_http_gray_report_rollout(&release, &plan, &record, -1);
    assert_non_null(json);

    return json;
}


static void
assert_report(const char *members)
{
    ngx_http_gray_json_t  *json;

    json = reported();
    assert_members(json, members);
    ngx_http_gray_json_free(json);
}


static void
assert_guard(ngx_uint_t i, const char *members)
{
    ngx_http_gray_json_t  *json;

    json = reported();
    assert_members(ngx_http_gray_json_item(ngx_http_gray_json_get(json,
                                                           "guards"), i),
                   members);
    ngx_http_gray_json_free(json);
}


/* what has happened is kept as by the trial */

static void
keep(void)
{
    ngx_uint_t              i;
    ngx_http_gray_event_t  *event;

    for (i = 0; i < outcomes.events; i++) {
        event = &record.event[++record.events % NGX_HTTP_GRAY_TRIAL_EVENTS];
        *event = outcomes.event[i];
        event->id = record.events;
    }
}


static void
command(ngx_http_gray_command_e what)
{
    ngx_memzero(&outcomes, sizeof(outcomes));
    assert_int_equal(ngx_http_gray_stage_command(&plan, &record.state, &world,
                                                 what, "ann", &outcomes),
                     NGX_OK);
    keep();
}


/* a second, of so many requests and bad ones; wishes come true */

static void
tick(uint64_t n, uint64_t bad_canary, uint64_t bad_baseline)
{
    uint64_t    rest;
    ngx_uint_t  i;

    if (record.state.wish != NGX_HTTP_GRAY_WISH_NONE) {
        world.weight = record.state.wish == NGX_HTTP_GRAY_WISH_ROLLBACK
                       ? 0 : record.state.weight;
        world.rest = 1000000 - world.weight;
        world.revision++;
    }

    /* as the weights have it, so that no guard sees another split */

    rest = world.weight ? n * world.rest / world.weight : 10 * n;

    canary.step += n;
    canary.step_timed += n;
    canary.all += n;
    canary.all_timed += n;
    baseline.step += rest;
    baseline.step_timed += rest;
    baseline.all += rest;
    baseline.all_timed += rest;

    for (i = 0; i < plan.watches; i++) {
        canary.bad[i] += i == 0 ? bad_canary : 0;
        baseline.bad[i] += i == 0 ? bad_baseline : 0;
    }

    times[40] += rest;

    world.now += 1000;
    world.time++;

    ngx_http_gray_stage_tick(&plan, &record.state, &world, &outcomes);
    keep();
}


static int
setup(void **state)
{
    ngx_http_gray_json_t  *json, *filled;

    (void) state;

    ngx_memzero(&record, sizeof(record));
    ngx_memzero(&world, sizeof(world));
    ngx_memzero(&canary, sizeof(canary));
    ngx_memzero(&baseline, sizeof(baseline));
    ngx_memzero(times, sizeof(times));

    json = quoted(PLAN);
    filled = ngx_http_gray_planning_fill(NULL, json);
    assert_non_null(filled);
    assert_int_equal(ngx_http_gray_plan_read(&plan, filled), NGX_OK);

    ngx_http_gray_json_free(json);
    ngx_http_gray_json_free(filled);

    world.now = 1000000;
    world.time = NOON;
    world.revision = 7;
    world.enabled = 1;
    world.rest = 1000000;
    world.testers = "";
    world.canary = &canary;
    world.baseline = &baseline;
    world.times = times;
    world.filled = -1;

    times[40] = 1000;

    return 0;
}


static void
test_never(void **state)
{
    ngx_http_gray_json_t  *json;

    (void) state;

    json = ngx_http_gray_report_rollout(&release, NULL, &record, -1);

    assert_json(json,
        "{'release': 'checkout', 'variant': null, 'unit': null,"
        " 'filter_filled': null, 'state': 'idle', 'substate': null,"
        " 'cause': null, 'reason': null, 'since': null, 'started': null,"
        " 'weight': 0, 'step': null, 'step_since': null,"
        " 'held_seconds': null, 'hold_seconds': null,"
        " 'max_hold_seconds': null, 'requests': null, 'min_requests': null,"
        " 'next': null, 'pending': null, 'steps': [], 'guards': [],"
        " 'history': []}");

    ngx_http_gray_json_free(json);
}


/* a plan that nobody has started */

static void
test_planned(void **state)
{
    (void) state;

    assert_report(
        "{'variant': 'canary', 'unit': 'request', 'state': 'idle',"
        " 'step': null, 'next': null, 'history': [], 'steps': ["
        " {'weight': 5, 'gate': null, 'rising': true, 'current': false},"
        " {'weight': 0.1234, 'gate': null, 'rising': false,"
        "  'current': false},"
        " {'weight': 60, 'gate': 'manual', 'rising': true,"
        "  'current': false}],"
        " 'guards': ["
        " {'name': 'errors', 'kind': 'relative', 'action': 'rollback',"
        "  'counts': null, 'value': null, 'limit': 1.25, 'e_value': null,"
        "  'fires_at': null, 'info': null, 'text': null},"
        " {'name': 'quick', 'kind': 'latency', 'action': 'rollback',"
        "  'counts': null, 'value': null, 'limit': null, 'e_value': null,"
        "  'fires_at': null, 'info': null, 'text': null, 'quantile': null,"
        "  'slower_than_ms': {'canary': null, 'baseline': null}},"
        " {'name': 'slow', 'kind': 'slow', 'action': 'pause',"
        "  'counts': null, 'value': null, 'limit': 0.01, 'e_value': null,"
        "  'fires_at': null, 'info': null, 'text': null},"
        " {'name': 'split', 'kind': 'sample_ratio', 'action': 'pause',"
        "  'counts': null, 'value': null, 'limit': null, 'e_value': null,"
        "  'fires_at': null, 'info': null, 'text': null}]}");

    /* one that is as high as the one before does not rise */

    plan.step[1] = plan.step[0];

    assert_report(
        "{'steps': ["
        " {'weight': 5, 'gate': null, 'rising': true, 'current': false},"
        " {'weight': 5, 'gate': null, 'rising': false, 'current': false},"
        " {'weight': 60, 'gate': 'manual', 'rising': true,"
        "  'current': false}]}");
}


/* steps, what is waited for, and a pause */

static void
test_steps(void **state)
{
    ngx_uint_t  i;

    (void) state;

    command(NGX_HTTP_GRAY_STAGE_START);

    assert_report(
        "{'state': 'running', 'substate': null, 'cause': 'plan',"
        " 'started': '2026-11-30T12:00:00Z', 'step': 1, 'weight': 5,"
        " 'pending': {'change': 'weight', 'weight': 5},"
        " 'next': {'action': 'step', 'weight': 0.1234, 'waits_for': 'hold',"
        "          'hold_left_seconds': 60}}");

    tick(0, 0, 0);

    for (i = 0; i < 9; i++) {
        tick(1, 0, 0);
    }

    assert_report(
        "{'state': 'running', 'step': 1, 'pending': null, 'requests': 9,"
        " 'min_requests': 100, 'held_seconds': 9, 'hold_seconds': 60,"
        " 'max_hold_seconds': 600, 'step_since': '2026-11-30T12:00:00Z',"
        " 'next': {'action': 'step', 'weight': 0.1234, 'waits_for': 'hold',"
        "          'hold_left_seconds': 51}}");

    assert_guard(0,
        "{'counts': {'canary': {'requests': 9, 'bad': 0},"
        "            'baseline': {'requests': 171, 'bad': 0}},"
        " 'value': null, 'limit': 1.25, 'info': null}");

    for (i = 0; i < 51; i++) {
        tick(1, 0, 0);
    }

    /* a lower step asks for no evidence, but for requests */

    assert_report(
        "{'state': 'running', 'substate': 'waiting_evidence', 'step': 1,"
        " 'next': {'action': 'step', 'weight': 0.1234,"
        "          'waits_for': 'requests', 'hold_left_seconds': 0}}");

    tick(40, 0, 0);
    tick(0, 0, 0);

    assert_report("{'step': 2, 'weight': 0.1234, 'substate': null}");

    /* a higher one asks for both, and this one for an operator, too */

    for (i = 0; i < 60; i++) {
        tick(2, 0, 1);
    }

    assert_report(
        "{'step': 2, 'substate': 'waiting_evidence',"
        " 'next': {'action': 'step', 'weight': 60, 'waits_for': 'evidence',"
        "          'hold_left_seconds': 0}}");

    command(NGX_HTTP_GRAY_STAGE_PAUSE);

    assert_report(
        "{'state': 'paused', 'cause': 'operator', 'step': 2, 'weight': 0.1234,"
        " 'next': {'action': 'step', 'weight': 60, 'waits_for': 'resume',"
        "          'hold_left_seconds': 0}}");

    command(NGX_HTTP_GRAY_STAGE_RESUME);

    for (i = 0; i < 200; i++) {
        tick(100, 0, 0);
    }

    assert_report(
        "{'substate': 'waiting_gate',"
        " 'next': {'action': 'step', 'weight': 60, 'waits_for': 'approve',"
        "          'hold_left_seconds': 0}}");

    command(NGX_HTTP_GRAY_STAGE_APPROVE);
    tick(100, 0, 0);
    tick(100, 0, 0);
    tick(100, 0, 0);

    assert_report(
        "{'step': 3, 'weight': 60,"
        " 'steps': ["
        " {'weight': 5, 'gate': null, 'rising': true, 'current': false},"
        " {'weight': 0.1234, 'gate': null, 'rising': false,"
        "  'current': false},"
        " {'weight': 60, 'gate': 'manual', 'rising': true,"
        "  'current': true}],"
        " 'next': {'action': 'keep', 'weight': null, 'waits_for': 'hold',"
        "          'hold_left_seconds': 59}}");
}


/* who stops before the first step has not come to one */

static void
test_scheduled(void **state)
{
    (void) state;

    plan.step[0].gate = 1;

    command(NGX_HTTP_GRAY_STAGE_START);

    assert_report(
        "{'state': 'scheduled', 'substate': 'waiting_gate', 'step': null,"
        " 'requests': null, 'held_seconds': null, 'weight': 0,"
        " 'next': {'action': 'step', 'weight': 5, 'waits_for': 'approve',"
        "          'hold_left_seconds': 0}}");

    command(NGX_HTTP_GRAY_STAGE_PAUSE);

    assert_report(
        "{'state': 'paused', 'step': null,"
        " 'next': {'action': 'step', 'weight': 5, 'waits_for': 'resume',"
        "          'hold_left_seconds': 0}}");
}


/* a guard that fires: the event says by what */

static void
test_guard(void **state)
{
    double                 e;
    ngx_uint_t             i;
    ngx_http_gray_json_t  *json, *event, *guard;

    (void) state;

    command(NGX_HTTP_GRAY_STAGE_START);
    tick(0, 0, 0);

    for (i = 0; i < 20; i++) {
        tick(100, 0, 1);
    }

    assert_guard(0,
        "{'counts': {'canary': {'requests': 2000, 'bad': 0},"
        "            'baseline': {'requests': 38000, 'bad': 20}},"
        " 'value': 0, 'limit': 1.25, 'fires_at': 400}");

    for (i = 0; i < 10 && !outcomes.events; i++) {
        tick(1000, 1000, 0);
    }

    assert_true(outcomes.events > 0);

    assert_report(
        "{'state': 'rolled_back', 'cause': 'guard', 'weight': 0,"
        " 'pending': {'change': 'rollback', 'weight': 0}, 'next': null,"
        " 'held_seconds': null}");

    json = reported();
    event = ngx_http_gray_json_first(ngx_http_gray_json_get(json, "history"));

    assert_members(event,
        "{'id': 3, 'release': 'checkout', 'event': 'rollback',"
        " 'from': 'running', 'to': 'rolled_back', 'cause': 'guard',"
        " 'step': 1}");

    guard = ngx_http_gray_json_get(event, "guard");

    assert_members(guard,
        "{'name': 'errors', 'counts': {"
        "   'canary': {'requests': 3000, 'bad': 1000},"
        "   'baseline': {'requests': 57000, 'bad': 20}},"
        " 'value': 950, 'limit': 1.25}");

    e = ngx_http_gray_json_value(ngx_http_gray_json_get(guard, "e_value"));

    assert_true(e > 1e100 && e < 1e308);

    ngx_http_gray_json_free(json);
}


/* a plan that is another one than that of the state */

static void
test_another(void **state)
{
    (void) state;

    command(NGX_HTTP_GRAY_STAGE_START);
    tick(0, 0, 0);

    plan.id++;

    assert_report("{'state': 'running', 'step': 1, 'hold_seconds': null,"
                  " 'min_requests': null, 'next': null}");
    assert_guard(0, "{'counts': null, 'e_value': null}");
}


static void
test_history(void **state)
{
    uint64_t               id;
    ngx_uint_t             i, k;
    ngx_http_gray_json_t  *json, *event;

    (void) state;

    command(NGX_HTTP_GRAY_STAGE_START);

    for (i = 0; i < 10; i++) {
        command(NGX_HTTP_GRAY_STAGE_PAUSE);
        command(NGX_HTTP_GRAY_STAGE_RESUME);

        json = reported();
        id = record.events;

        for (event = ngx_http_gray_json_first(ngx_http_gray_json_get(json,
                                                                "history")),
             k = 0;
             event;
             event = ngx_http_gray_json_next(event), k++, id--)
        {
            assert_int_equal(ngx_http_gray_json_value(
                                      ngx_http_gray_json_get(event, "id")), id);
        }

        assert_int_equal(k, ngx_min(record.events,
                                    NGX_HTTP_GRAY_TRIAL_EVENTS));
        ngx_http_gray_json_free(json);
    }

    /* what is not there is left out */

    record.event[(record.events - 2) % NGX_HTTP_GRAY_TRIAL_EVENTS].id = 1;

    json = reported();
    assert_int_equal(ngx_http_gray_json_count(ngx_http_gray_json_get(json,
                                                                 "history")),
                     NGX_HTTP_GRAY_TRIAL_EVENTS - 1);
    ngx_http_gray_json_free(json);
}


static void
test_numbers(void **state)
{
    ngx_http_gray_json_t   *json;
    ngx_http_gray_event_t   event;

    (void) state;

    ngx_memzero(&event, sizeof(event));

    event.id = 9007199254740991;
    event.time = NOON;
    event.hook = NGX_HTTP_GRAY_HOOK_PAUSE;
    event.from = NGX_HTTP_GRAY_STAGE_SCHEDULED;
    event.to = NGX_HTTP_GRAY_STAGE_PAUSED;
    event.cause = NGX_HTTP_GRAY_CAUSE_GUARD;
    event.weight = 1;
    event.value = -1;
    event.limit = 1.0 / 3;
    event.evidence = 2.5;
    strcpy(event.guard, "a");
    strcpy(event.reason, "\"\xff\n");

    json = ngx_http_gray_report_event(&release, &event);
    assert_json(json,
        "{'id': 9007199254740991, 'time': '2026-11-30T12:00:00Z',"
        " 'release': 'checkout', 'event': 'pause', 'from': 'scheduled',"
        " 'to': 'paused', 'cause': 'guard', 'step': null, 'weight': 0.0001,"
        " 'reason': '\\\"\xef\xbf\xbd\\n',"
        " 'guard': {'name': 'a', 'counts': {"
        "     'canary': {'requests': 0, 'bad': 0},"
        "     'baseline': {'requests': 0, 'bad': 0}},"
        "   'value': null, 'limit': 0.333333, 'e_value': 12.1825}}");
    ngx_http_gray_json_free(json);
}


static void
test_memory(void **state)
{
    ngx_uint_t             i;
    ngx_http_gray_json_t  *json;

    (void) state;

    command(NGX_HTTP_GRAY_STAGE_START);
    tick(0, 0, 0);

    for (i = 0; i < 10 && record.events < 3; i++) {
        tick(1000, 1000, 0);
    }

    assert_int_equal(record.events, 3);

    for (i = 1; /* void */ ; i++) {
        count_allocations();
        failing = i;

        json = ngx_http_gray_report_rollout(&release, &plan, &record, 0.5);

        failing = 0;

        if (json) {
            break;
        }

        assert_int_equal(blocks, 0);
    }

    assert_true(i > 300);

    ngx_http_gray_json_free(json);
    assert_int_equal(blocks, 0);
    forget_allocations();
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup(test_never, setup),
        cmocka_unit_test_setup(test_planned, setup),
        cmocka_unit_test_setup(test_steps, setup),
        cmocka_unit_test_setup(test_scheduled, setup),
        cmocka_unit_test_setup(test_guard, setup),
        cmocka_unit_test_setup(test_another, setup),
        cmocka_unit_test_setup(test_history, setup),
        cmocka_unit_test_setup(test_numbers, setup),
        cmocka_unit_test_setup(test_memory, setup),
    };

    ngx_time_init();

    return cmocka_run_group_tests(tests, NULL, NULL);
}
