
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The plan of a rollout, out of the member "rollout" of a document.
 *
 * What a plan may say, and what it says where it says nothing, is known to
 * ngx_http_gray_planning.c: what is read here has no fault, and all of its
 * members.  A step may leave out what it has in common with the others.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ngx_http_gray_arms.h"
#include "ngx_http_gray_plan.h"


#define NGX_HTTP_GRAY_PLAN_SECOND  ((uint64_t) 1000)
#define NGX_HTTP_GRAY_PLAN_MINUTE  (60 * NGX_HTTP_GRAY_PLAN_SECOND)
#define NGX_HTTP_GRAY_PLAN_HOUR    (60 * NGX_HTTP_GRAY_PLAN_MINUTE)
#define NGX_HTTP_GRAY_PLAN_DAY     (24 * NGX_HTTP_GRAY_PLAN_HOUR)

/* digits of a number in a time, so that nothing overflows */
#define NGX_HTTP_GRAY_PLAN_DIGITS  9


typedef struct {
    const char                  *name;
    size_t                       len;
    uint64_t                     ms;
} ngx_http_gray_plan_unit_t;


static void ngx_http_gray_plan_lists(ngx_http_gray_plan_t *plan,
    const ngx_http_gray_json_t *rollout);
static ngx_int_t ngx_http_gray_plan_id(ngx_http_gray_plan_t *plan,
    const ngx_http_gray_json_t *rollout);
static void ngx_http_gray_plan_step(ngx_http_gray_step_t *step,
    const ngx_http_gray_json_t *json, const ngx_http_gray_json_t *rollout);
static const ngx_http_gray_json_t *ngx_http_gray_plan_either(
    const ngx_http_gray_json_t *json, const ngx_http_gray_json_t *rollout,
    const char *key);
static void ngx_http_gray_plan_guard(ngx_http_gray_plan_t *plan,
    const ngx_http_gray_json_t *json);
static ngx_uint_t ngx_http_gray_plan_bad(const ngx_http_gray_json_t *json);
static void ngx_http_gray_plan_quantiles(ngx_http_gray_guard_t *guard,
    const ngx_http_gray_json_t *json);
static void ngx_http_gray_plan_notify(ngx_http_gray_plan_hook_t *hook,
    const ngx_http_gray_json_t *json);
static ngx_http_gray_plan_action_e ngx_http_gray_plan_action(
    const ngx_http_gray_json_t *json, const char *key);
static ngx_uint_t ngx_http_gray_plan_is(const ngx_http_gray_json_t *json,
    const char *key, const char *text);
static uint64_t ngx_http_gray_plan_ms(const ngx_http_gray_json_t *json);
static double ngx_http_gray_plan_number(const ngx_http_gray_json_t *json,
    const char *key);
static void ngx_http_gray_plan_text(char *to, size_t size,
    const ngx_http_gray_json_t *json, const char *key);
static const ngx_http_gray_plan_unit_t *ngx_http_gray_plan_unit(
    const u_char *p, const u_char *last);


ngx_str_t  ngx_http_gray_hooks[] = {
    ngx_string("started"),
    ngx_string("step"),
    ngx_string("gate"),
    ngx_string("pause"),
    ngx_string("resumed"),
    ngx_string("rollback"),
    ngx_string("aborted"),
    ngx_string("promoted")
};


/* in the order of ngx_http_gray_plan_action_e */

static const char  *ngx_http_gray_plan_actions[] = {
    "pause", "rollback", "next", "promote", "keep", NULL
};


/* in the order of ngx_http_gray_code_e */

static const char  *ngx_http_gray_plan_codes[] = {
    "1xx", "2xx", "3xx", "4xx", "5xx", "499", NULL
};


/* "ms" before "m", which it begins with */

static const ngx_http_gray_plan_unit_t  ngx_http_gray_plan_units[] = {
    { "ms", 2, 1 },
    { "d", 1, NGX_HTTP_GRAY_PLAN_DAY },
    { "h", 1, NGX_HTTP_GRAY_PLAN_HOUR },
    { "m", 1, NGX_HTTP_GRAY_PLAN_MINUTE },
    { "s", 1, NGX_HTTP_GRAY_PLAN_SECOND },
    { NULL, 0, 0 }
};


ngx_int_t
ngx_http_gray_plan_read(ngx_http_gray_plan_t *plan,
    const ngx_http_gray_json_t *rollout)
{
    ngx_memzero(plan, sizeof(ngx_http_gray_plan_t));

    ngx_http_gray_plan_text(plan->variant, sizeof(plan->variant), rollout,
                            "variant");

    plan->key = ngx_http_gray_plan_is(rollout, "unit", "key");
    plan->alpha = ngx_http_gray_plan_number(rollout, "alpha");
    plan->detect_ratio = ngx_http_gray_plan_number(rollout, "detect_ratio");
    plan->info_nats = ngx_http_gray_plan_number(rollout, "info_nats");
    plan->on_inconclusive = ngx_http_gray_plan_action(rollout,
                                                      "on_inconclusive");
    plan->on_success = ngx_http_gray_plan_action(rollout, "on_success");
    plan->cooldown = ngx_http_gray_plan_ms(ngx_http_gray_json_get(rollout,
                                                                "cooldown"));

    ngx_http_gray_plan_lists(plan, rollout);

    return ngx_http_gray_plan_id(plan, rollout);
}


static void
ngx_http_gray_plan_lists(ngx_http_gray_plan_t *plan,
    const ngx_http_gray_json_t *rollout)
{
    ngx_http_gray_json_t  *json;

    for (json = ngx_http_gray_json_first(ngx_http_gray_json_get(rollout,
                                                                "steps"));
         json && plan->steps < NGX_HTTP_GRAY_PLAN_STEPS;
         json = ngx_http_gray_json_next(json))
    {
        ngx_http_gray_plan_step(&plan->step[plan->steps++], json, rollout);
    }

    for (json = ngx_http_gray_json_first(ngx_http_gray_json_get(rollout,
                                                                "guards"));
         json && plan->guards < NGX_HTTP_GRAY_PLAN_GUARDS;
         json = ngx_http_gray_json_next(json))
    {
        ngx_http_gray_plan_guard(plan, json);
    }

    for (json = ngx_http_gray_json_first(ngx_http_gray_json_get(rollout,
                                                                "windows"));
         json && plan->windows < NGX_HTTP_GRAY_PLAN_WINDOWS;
         json = ngx_http_gray_json_next(json))
    {
        (void) ngx_http_gray_window_read(&plan->window[plan->windows++], NULL,
                                         json, NULL);
    }

    for (json = ngx_http_gray_json_first(ngx_http_gray_json_get(rollout,
                                                                "notify"));
         json && plan->hooks < NGX_HTTP_GRAY_PLAN_HOOKS;
         json = ngx_http_gray_json_next(json))
    {
        ngx_http_gray_plan_notify(&plan->hook[plan->hooks++], json);
    }
}


static ngx_int_t
ngx_http_gray_plan_id(ngx_http_gray_plan_t *plan,
    const ngx_http_gray_json_t *rollout)
{
    ngx_str_t  text;

    if (ngx_http_gray_json_print(rollout, 0, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    plan->id = XXH64(text.data, text.len, 0);

    free(text.data);

    return NGX_OK;
}


/* what was seen of another version says nothing of this one */

void
ngx_http_gray_plan_bind(ngx_http_gray_plan_t *plan,
    const ngx_http_gray_json_t *doc)
{
    ngx_str_t              upstream;
    ngx_http_gray_json_t  *variant;

    variant = ngx_http_gray_json_get(ngx_http_gray_json_get(doc, "variants"),
                                     plan->variant);
    upstream = ngx_http_gray_json_text(ngx_http_gray_json_get(variant,
                                                              "upstream"));

    if (upstream.len) {
        plan->id = XXH64(upstream.data, upstream.len, plan->id);
    }
}


static void
ngx_http_gray_plan_step(ngx_http_gray_step_t *step,
    const ngx_http_gray_json_t *json, const ngx_http_gray_json_t *rollout)
{
    step->percent = ngx_http_gray_plan_number(json, "weight");
    step->weight = ngx_http_gray_arms_buckets(step->percent);
    step->gate = ngx_http_gray_plan_is(json, "gate", "manual");

    step->hold = ngx_http_gray_plan_ms(
                           ngx_http_gray_plan_either(json, rollout, "hold"));
    step->max_hold = ngx_http_gray_plan_ms(
                       ngx_http_gray_plan_either(json, rollout, "max_hold"));
    step->warmup = ngx_http_gray_plan_ms(
                         ngx_http_gray_plan_either(json, rollout, "warmup"));
    step->min_requests = ngx_http_gray_json_value(
                   ngx_http_gray_plan_either(json, rollout, "min_requests"));
}


/* a member of the step, or else what the plan says for all of them */

static const ngx_http_gray_json_t *
ngx_http_gray_plan_either(const ngx_http_gray_json_t *json,
    const ngx_http_gray_json_t *rollout, const char *key)
{
    const ngx_http_gray_json_t  *own;

    own = ngx_http_gray_json_get(json, key);

    return own ? own : ngx_http_gray_json_get(rollout, key);
}


static void
ngx_http_gray_plan_guard(ngx_http_gray_plan_t *plan,
    const ngx_http_gray_json_t *json)
{
    ngx_http_gray_guard_t  *guard;

    guard = &plan->guard[plan->guards];

    ngx_http_gray_plan_text(guard->name, sizeof(guard->name), json, "name");

    guard->kind = ngx_http_gray_plan_kind(json);
    guard->action = ngx_http_gray_plan_action(json, "action");
    guard->baseline_bad = ngx_http_gray_plan_is(json, "if_baseline_bad",
                                                "pause");
    guard->bad = ngx_http_gray_plan_bad(ngx_http_gray_json_get(json, "bad"));
    guard->max_ratio = ngx_http_gray_plan_number(json, "max_ratio");
    guard->floor = ngx_http_gray_plan_number(json, "floor");
    guard->max = ngx_http_gray_plan_number(json, "max");
    guard->min_delta = ngx_http_gray_plan_ms(ngx_http_gray_json_get(json,
                                                               "min_delta"));
    guard->slower = ngx_http_gray_plan_ms(ngx_http_gray_json_get(json,
                                                             "slower_than"));
    guard->watch = plan->watches;
    guard->watches = 1;

    if (guard->kind == NGX_HTTP_GRAY_GUARD_LATENCY) {
        ngx_http_gray_plan_quantiles(guard,
                                     ngx_http_gray_json_get(json,
                                                            "quantiles"));
    }

    if (plan->watches + guard->watches > NGX_HTTP_GRAY_PLAN_WATCHES) {
        return;
    }

    plan->watches += guard->watches;
    plan->bad |= guard->bad;
    plan->split |= (guard->kind == NGX_HTTP_GRAY_GUARD_SHARE);
    plan->guards++;
}


ngx_http_gray_guard_e
ngx_http_gray_plan_kind(const ngx_http_gray_json_t *guard)
{
    if (ngx_http_gray_json_get(guard, "sample_ratio")) {
        return NGX_HTTP_GRAY_GUARD_SHARE;
    }

    if (ngx_http_gray_json_get(guard, "quantiles")) {
        return NGX_HTTP_GRAY_GUARD_LATENCY;
    }

    if (ngx_http_gray_json_get(guard, "slower_than")) {
        return NGX_HTTP_GRAY_GUARD_SLOW;
    }

    if (ngx_http_gray_json_get(guard, "max")) {
        return NGX_HTTP_GRAY_GUARD_ABSOLUTE;
    }

    return NGX_HTTP_GRAY_GUARD_RELATIVE;
}


/* one class, or an array of them */

static ngx_uint_t
ngx_http_gray_plan_bad(const ngx_http_gray_json_t *json)
{
    ngx_int_t              code;
    ngx_str_t              text;
    ngx_uint_t             bad;
    ngx_http_gray_json_t  *item;

    if (ngx_http_gray_json_type(json) == NGX_HTTP_GRAY_JSON_STRING) {
        text = ngx_http_gray_json_text(json);
        code = ngx_http_gray_plan_code(&text);

        return (code == NGX_DECLINED) ? 0 : (ngx_uint_t) 1 << code;
    }

    bad = 0;

    for (item = ngx_http_gray_json_first(json);
         item;
         item = ngx_http_gray_json_next(item))
    {
        text = ngx_http_gray_json_text(item);
        code = ngx_http_gray_plan_code(&text);

        if (code != NGX_DECLINED) {
            bad |= (ngx_uint_t) 1 << code;
        }
    }

    return bad;
}


static void
ngx_http_gray_plan_quantiles(ngx_http_gray_guard_t *guard,
    const ngx_http_gray_json_t *json)
{
    ngx_http_gray_json_t  *item;

    guard->watches = 0;

    for (item = ngx_http_gray_json_first(json);
         item && guard->watches < NGX_HTTP_GRAY_PLAN_QUANTILES;
         item = ngx_http_gray_json_next(item))
    {
        guard->quantile[guard->watches++] = ngx_http_gray_json_value(item);
    }
}


static void
ngx_http_gray_plan_notify(ngx_http_gray_plan_hook_t *hook,
    const ngx_http_gray_json_t *json)
{
    ngx_int_t              n;
    ngx_str_t              text;
    ngx_http_gray_json_t  *item;

    ngx_http_gray_plan_text(hook->url, sizeof(hook->url), json, "url");

    for (item = ngx_http_gray_json_first(ngx_http_gray_json_get(json, "on"));
         item;
         item = ngx_http_gray_json_next(item))
    {
        text = ngx_http_gray_json_text(item);
        n = ngx_http_gray_plan_hook(&text);

        if (n != NGX_DECLINED) {
            hook->on |= (ngx_uint_t) 1 << n;
        }
    }
}


static ngx_http_gray_plan_action_e
ngx_http_gray_plan_action(const ngx_http_gray_json_t *json, const char *key)
{
    ngx_uint_t  i;

    for (i = 0; ngx_http_gray_plan_actions[i]; i++) {
        if (ngx_http_gray_plan_is(json, key, ngx_http_gray_plan_actions[i])) {
            return i;
        }
    }

    return NGX_HTTP_GRAY_PLAN_PAUSE;
}


static ngx_uint_t
ngx_http_gray_plan_is(const ngx_http_gray_json_t *json, const char *key,
    const char *text)
{
    ngx_str_t  value;

    value = ngx_http_gray_json_text(ngx_http_gray_json_get(json, key));

    return value.len && ngx_strcmp(value.data, text) == 0;
}


static uint64_t
ngx_http_gray_plan_ms(const ngx_http_gray_json_t *json)
{
    uint64_t   ms;
    ngx_str_t  text;

    text = ngx_http_gray_json_text(json);

    return (ngx_http_gray_plan_time(&text, &ms) == NGX_OK) ? ms : 0;
}


static double
ngx_http_gray_plan_number(const ngx_http_gray_json_t *json, const char *key)
{
    return ngx_http_gray_json_value(ngx_http_gray_json_get(json, key));
}


static void
ngx_http_gray_plan_text(char *to, size_t size,
    const ngx_http_gray_json_t *json, const char *key)
{
    ngx_str_t  text;

    text = ngx_http_gray_json_text(ngx_http_gray_json_get(json, key));

    if (text.len && text.len < size) {
        ngx_memcpy(to, text.data, text.len);
    }
}


ngx_int_t
ngx_http_gray_plan_code(const ngx_str_t *text)
{
    ngx_int_t  i;

    for (i = 0; text->len && ngx_http_gray_plan_codes[i]; i++) {
        if (ngx_strcmp(text->data, ngx_http_gray_plan_codes[i]) == 0) {
            return i;
        }
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_gray_plan_hook(const ngx_str_t *text)
{
    ngx_int_t   i;
    ngx_str_t  *name;

    for (i = 0; i < NGX_HTTP_GRAY_HOOKS; i++) {
        name = &ngx_http_gray_hooks[i];

        if (text->len == name->len
            && ngx_memcmp(text->data, name->data, name->len) == 0)
        {
            return i;
        }
    }

    return NGX_DECLINED;
}


/* numbers with units, which go down: "1d12h", but not "12h1d" or "1h1h" */

ngx_int_t
ngx_http_gray_plan_time(const ngx_str_t *text, uint64_t *ms)
{
    u_char                           *p, *last, *start;
    uint64_t                          n, before;
    const ngx_http_gray_plan_unit_t  *unit;

    *ms = 0;

    if (text->len == 0) {
        return NGX_DECLINED;
    }

    p = text->data;
    last = text->data + text->len;
    before = 0;

    while (p < last) {
        n = 0;

        for (start = p; p < last && *p >= '0' && *p <= '9'; p++) {

            if (p - start == NGX_HTTP_GRAY_PLAN_DIGITS) {
                return NGX_DECLINED;
            }

            n = n * 10 + (*p - '0');
        }

        unit = ngx_http_gray_plan_unit(p, last);

        if (p == start || unit == NULL || (before && unit->ms >= before)) {
            return NGX_DECLINED;
        }

        *ms += n * unit->ms;

        before = unit->ms;
        p += unit->len;
    }

    return NGX_OK;
}


static const ngx_http_gray_plan_unit_t *
ngx_http_gray_plan_unit(const u_char *p, const u_char *last)
{
    const ngx_http_gray_plan_unit_t  *unit;

    for (unit = ngx_http_gray_plan_units; unit->name; unit++) {

        if ((size_t) (last - p) >= unit->len
            && ngx_memcmp(p, unit->name, unit->len) == 0)
        {
            return unit;
        }
    }

    return NULL;
}
