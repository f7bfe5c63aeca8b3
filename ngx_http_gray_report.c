
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_figure.h"
#include "ngx_http_gray_report.h"


/* what is known of a rollout, to be put into JSON */

typedef struct {
    const ngx_str_t                     *release;
    const ngx_http_gray_plan_t          *plan;      /* or NULL */
    const ngx_http_gray_state_t         *state;
    const ngx_http_gray_trial_record_t  *record;
    double                               filled;

    ngx_uint_t                           active;    /* these unsigned :1; */
    ngx_uint_t                           begun;     /* there is a step, */
    const ngx_http_gray_step_t          *step;      /* of this plan, or NULL */
} ngx_http_gray_report_t;


static ngx_int_t ngx_http_gray_report_fired(ngx_http_gray_json_t *json,
    const ngx_http_gray_event_t *event);
static ngx_uint_t ngx_http_gray_report_begun(uint32_t stage, uint32_t before);
static ngx_int_t ngx_http_gray_report_stage(ngx_http_gray_json_t *json,
    const ngx_http_gray_report_t *report);
static ngx_int_t ngx_http_gray_report_variant(ngx_http_gray_json_t *json,
    const ngx_http_gray_report_t *report);
static ngx_int_t ngx_http_gray_report_step(ngx_http_gray_json_t *json,
    const ngx_http_gray_report_t *report);
static ngx_http_gray_json_t *ngx_http_gray_report_steps(
    const ngx_http_gray_report_t *report);
static ngx_http_gray_json_t *ngx_http_gray_report_next(
    const ngx_http_gray_report_t *report);
static const char *ngx_http_gray_report_waits(
    const ngx_http_gray_report_t *report);
static ngx_http_gray_json_t *ngx_http_gray_report_pending(
    const ngx_http_gray_state_t *state);
static ngx_http_gray_json_t *ngx_http_gray_report_guards(
    const ngx_http_gray_report_t *report);
static ngx_http_gray_json_t *ngx_http_gray_report_guard(
    const ngx_http_gray_report_t *report, ngx_uint_t i);
static ngx_int_t ngx_http_gray_report_standing(ngx_http_gray_json_t *json,
    const ngx_http_gray_guard_t *guard, const ngx_http_gray_standing_t *s);
static ngx_int_t ngx_http_gray_report_latency(ngx_http_gray_json_t *json,
    const ngx_http_gray_guard_t *guard, const ngx_http_gray_standing_t *s);
static ngx_http_gray_json_t *ngx_http_gray_report_info(
    const ngx_http_gray_standing_t *standing);
static ngx_http_gray_json_t *ngx_http_gray_report_history(
    const ngx_http_gray_report_t *report);


/* by number of ngx_http_gray_guard_e */

static const char  *ngx_http_gray_report_kinds[] = {
    "relative", "absolute", "latency", "slow", "sample_ratio"
};

/* of ngx_http_gray_plan_action_e */

static const char  *ngx_http_gray_report_actions[] = {
    "pause", "rollback", "next", "promote", "keep"
};

/* of ngx_http_gray_wish_e */

static const char  *ngx_http_gray_report_wishes[] = {
    NULL, "weight", "rollback", "promote"
};


ngx_http_gray_json_t *
ngx_http_gray_report_event(const ngx_str_t *release,
    const ngx_http_gray_event_t *event)
{
    ngx_uint_t             begun;
    ngx_http_gray_json_t  *json;

    json = ngx_http_gray_json_object();

    begun = ngx_http_gray_report_begun(event->to,
                                       event->to == NGX_HTTP_GRAY_STAGE_RUNNING
                                       || event->to
                                          == NGX_HTTP_GRAY_STAGE_BAKING
                                       ? event->to : event->from);

    if (ngx_http_gray_figure_number(json, "id", (double) event->id) != NGX_OK
        || ngx_http_gray_figure_time(json, "time", event->time) != NGX_OK
        || ngx_http_gray_json_add(json, "release",
                                  ngx_http_gray_json_string(release->data,
                                                            release->len))
           != NGX_OK
        || ngx_http_gray_figure_text(json, "event",
                              (char *) ngx_http_gray_hooks[event->hook].data)
           != NGX_OK
        || ngx_http_gray_figure_text(json, "from",
                             (char *) ngx_http_gray_stages[event->from].data)
           != NGX_OK
        || ngx_http_gray_figure_text(json, "to",
                               (char *) ngx_http_gray_stages[event->to].data)
           != NGX_OK
        || ngx_http_gray_figure_text(json, "cause",
                            (char *) ngx_http_gray_causes[event->cause].data)
           != NGX_OK
        || ngx_http_gray_figure_number(json, "step",
                                       begun ? (double) event->step + 1 : -1)
           != NGX_OK
        || ngx_http_gray_figure_number(json, "weight",
                                 ngx_http_gray_figure_percent(event->weight))
           != NGX_OK
        || ngx_http_gray_figure_text(json, "reason", event->reason) != NGX_OK
        || ngx_http_gray_report_fired(json, event) != NGX_OK)
    {
        ngx_http_gray_json_free(json);
        return NULL;
    }

    return json;
}


/* the guard because of which it happened, if there was one */

static ngx_int_t
ngx_http_gray_report_fired(ngx_http_gray_json_t *json,
    const ngx_http_gray_event_t *event)
{
    ngx_http_gray_json_t  *guard;

    if (event->guard[0] == '\0') {
        return NGX_OK;
    }

    guard = ngx_http_gray_json_object();

    if (ngx_http_gray_figure_text(guard, "name", event->guard) != NGX_OK
        || ngx_http_gray_json_add(guard, "counts",
                                  ngx_http_gray_figure_counts(&event->seen))
           != NGX_OK
        || ngx_http_gray_figure_number(guard, "value", event->value) != NGX_OK
        || ngx_http_gray_figure_number(guard, "limit", event->limit) != NGX_OK
        || ngx_http_gray_figure_number(guard, "e_value",
                                   ngx_http_gray_figure_exp(event->evidence))
           != NGX_OK)
    {
        ngx_http_gray_json_free(guard);
        return NGX_ERROR;
    }

    return ngx_http_gray_json_add(json, "guard", guard);
}


/* is there a step? not before the first, though it may be paused there */

static ngx_uint_t
ngx_http_gray_report_begun(uint32_t stage, uint32_t before)
{
    return stage != NGX_HTTP_GRAY_STAGE_IDLE
           && stage != NGX_HTTP_GRAY_STAGE_SCHEDULED
           && before != NGX_HTTP_GRAY_STAGE_SCHEDULED;
}


ngx_http_gray_json_t *
ngx_http_gray_report_rollout(const ngx_str_t *release,
    const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_trial_record_t *record, double filled)
{
    ngx_http_gray_json_t          *json;
    ngx_http_gray_report_t         report;
    const ngx_http_gray_state_t   *state;

    state = &record->state;

    report.release = release;
    report.plan = plan;
    report.state = state;
    report.record = record;
    report.filled = filled;
    report.active = ngx_http_gray_stage_active(state);
    report.begun = ngx_http_gray_report_begun(state->stage,
                             state->stage == NGX_HTTP_GRAY_STAGE_PAUSED
                             ? state->before : state->stage);
    report.step = (report.begun && plan && plan->id == state->plan
                   && state->step < plan->steps)
                  ? &plan->step[state->step] : NULL;

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_report_stage(json, &report) != NGX_OK
        || ngx_http_gray_report_step(json, &report) != NGX_OK
        || ngx_http_gray_json_add(json, "next",
                                  report.active
                                  ? ngx_http_gray_report_next(&report)
                                  : ngx_http_gray_json_null())
           != NGX_OK
        || ngx_http_gray_json_add(json, "pending",
                                  ngx_http_gray_report_pending(state))
           != NGX_OK
        || ngx_http_gray_json_add(json, "steps",
                                  ngx_http_gray_report_steps(&report))
           != NGX_OK
        || ngx_http_gray_json_add(json, "guards",
                                  ngx_http_gray_report_guards(&report))
           != NGX_OK
        || ngx_http_gray_json_add(json, "history",
                                  ngx_http_gray_report_history(&report))
           != NGX_OK)
    {
        ngx_http_gray_json_free(json);
        return NULL;
    }

    return json;
}


static ngx_int_t
ngx_http_gray_report_stage(ngx_http_gray_json_t *json,
    const ngx_http_gray_report_t *report)
{
    const ngx_http_gray_state_t  *state;

    state = report->state;

    if (ngx_http_gray_json_add(json, "release",
                           ngx_http_gray_json_string(report->release->data,
                                                     report->release->len))
        != NGX_OK
        || ngx_http_gray_report_variant(json, report) != NGX_OK
        || ngx_http_gray_figure_text(json, "state",
                            (char *) ngx_http_gray_stages[state->stage].data)
           != NGX_OK
        || ngx_http_gray_figure_text(json, "substate",
                                     state->waits
                             ? (char *) ngx_http_gray_waits[state->waits].data
                             : "")
           != NGX_OK
        || ngx_http_gray_figure_text(json, "cause",
                                     state->since
                            ? (char *) ngx_http_gray_causes[state->cause].data
                            : "")
           != NGX_OK
        || ngx_http_gray_figure_text(json, "reason", state->reason) != NGX_OK
        || ngx_http_gray_figure_time(json, "since", state->since) != NGX_OK
        || ngx_http_gray_figure_time(json, "started", state->started)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* where none is under way, what a start would be of */

static ngx_int_t
ngx_http_gray_report_variant(ngx_http_gray_json_t *json,
    const ngx_http_gray_report_t *report)
{
    const char                  *variant, *unit;
    const ngx_http_gray_plan_t  *plan;

    plan = report->plan;

    variant = (plan && report->state->stage == NGX_HTTP_GRAY_STAGE_IDLE)
              ? plan->variant : report->state->variant;

    unit = "";

    if (plan) {
        unit = plan->key ? "key" : "request";
    }

    if (ngx_http_gray_figure_text(json, "variant", variant) != NGX_OK
        || ngx_http_gray_figure_text(json, "unit", unit) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* what is known of the keys is of use to who counts by them */

    return ngx_http_gray_figure_number(json, "filter_filled",
                                       report->filled);
}


static ngx_int_t
ngx_http_gray_report_step(ngx_http_gray_json_t *json,
    const ngx_http_gray_report_t *report)
{
    double                        step, held, requests;
    const ngx_http_gray_step_t   *of;
    const ngx_http_gray_state_t  *state;

    of = report->step;
    state = report->state;

    step = -1;
    held = -1;
    requests = -1;

    if (report->begun) {
        step = (double) state->step + 1;
        requests = (double) state->requests;
    }

    /* after a rollback it is the cooldown that is held */

    if (report->active && report->begun) {
        held = (double) state->held / 1000;
    }

    if (ngx_http_gray_figure_number(json, "weight",
                                 ngx_http_gray_figure_percent(state->weight))
        != NGX_OK
        || ngx_http_gray_figure_number(json, "step", step) != NGX_OK
        || ngx_http_gray_figure_time(json, "step_since",
                                     report->begun ? state->entered : 0)
           != NGX_OK
        || ngx_http_gray_figure_number(json, "held_seconds", held) != NGX_OK
        || ngx_http_gray_figure_number(json, "hold_seconds",
                                       of ? (double) of->hold / 1000 : -1)
           != NGX_OK
        || ngx_http_gray_figure_number(json, "max_hold_seconds",
                                       of ? (double) of->max_hold / 1000 : -1)
           != NGX_OK
        || ngx_http_gray_figure_number(json, "requests", requests) != NGX_OK
        || ngx_http_gray_figure_number(json, "min_requests",
                                       of ? (double) of->min_requests : -1)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* a step that does not rise asks for no evidence before it */

static ngx_http_gray_json_t *
ngx_http_gray_report_steps(const ngx_http_gray_report_t *report)
{
    uint32_t                     before;
    ngx_uint_t                   i, n;
    ngx_http_gray_json_t        *json, *item;
    const ngx_http_gray_step_t  *step;

    json = ngx_http_gray_json_array();
    n = report->plan ? report->plan->steps : 0;
    before = 0;

    for (i = 0; i < n; i++) {
        step = &report->plan->step[i];
        item = ngx_http_gray_json_object();

        if (ngx_http_gray_figure_number(item, "weight", step->percent)
            != NGX_OK
            || ngx_http_gray_figure_text(item, "gate",
                                         step->gate ? "manual" : "")
               != NGX_OK
            || ngx_http_gray_figure_flag(item, "rising",
                                         step->weight > before)
               != NGX_OK
            || ngx_http_gray_figure_flag(item, "current",
                                         report->active
                                         && step == report->step)
               != NGX_OK)
        {
            ngx_http_gray_json_free(item);
            item = NULL;
        }

        if (ngx_http_gray_json_append(json, item) != NGX_OK) {
            ngx_http_gray_json_free(json);
            return NULL;
        }

        before = step->weight;
    }

    return json;
}


/* what comes after the step, and what it is waiting for */

static ngx_http_gray_json_t *
ngx_http_gray_report_next(const ngx_http_gray_report_t *report)
{
    double                       weight, left;
    const char                  *action;
    ngx_uint_t                   next;
    ngx_http_gray_json_t        *json;
    const ngx_http_gray_plan_t  *plan;

    plan = report->plan;

    if (plan == NULL || plan->id != report->state->plan) {
        return ngx_http_gray_json_null();
    }

    next = report->begun ? report->state->step + 1 : 0;
    weight = -1;
    left = 0;

    if (next < plan->steps) {
        action = "step";
        weight = plan->step[next].percent;

    } else {
        action = ngx_http_gray_report_actions[plan->on_success];
    }

    if (report->step && report->step->hold > report->state->held) {
        left = (double) (report->step->hold - report->state->held) / 1000;
    }

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_figure_text(json, "action", action) != NGX_OK
        || ngx_http_gray_figure_number(json, "weight", weight) != NGX_OK
        || ngx_http_gray_figure_text(json, "waits_for",
                                     ngx_http_gray_report_waits(report))
           != NGX_OK
        || ngx_http_gray_figure_number(json, "hold_left_seconds", left)
           != NGX_OK)
    {
        ngx_http_gray_json_free(json);
        return NULL;
    }

    return json;
}


static const char *
ngx_http_gray_report_waits(const ngx_http_gray_report_t *report)
{
    const ngx_http_gray_state_t  *state;

    state = report->state;

    if (state->stage == NGX_HTTP_GRAY_STAGE_PAUSED) {
        return "resume";
    }

    switch (state->waits) {

    case NGX_HTTP_GRAY_WAITS_GATE:
        return "approve";

    case NGX_HTTP_GRAY_WAITS_WINDOW:
        return "window";

    case NGX_HTTP_GRAY_WAITS_EVIDENCE:
        return (report->step && state->requests < report->step->min_requests)
               ? "requests" : "evidence";

    default:
        return "hold";
    }
}


/* null where the document is as it is to be */

static ngx_http_gray_json_t *
ngx_http_gray_report_pending(const ngx_http_gray_state_t *state)
{
    ngx_http_gray_json_t  *json;

    if (state->wish == NGX_HTTP_GRAY_WISH_NONE) {
        return ngx_http_gray_json_null();
    }

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_figure_text(json, "change",
                                  ngx_http_gray_report_wishes[state->wish])
        != NGX_OK
        || ngx_http_gray_figure_number(json, "weight",
                                 ngx_http_gray_figure_percent(state->weight))
           != NGX_OK)
    {
        ngx_http_gray_json_free(json);
        return NULL;
    }

    return json;
}


static ngx_http_gray_json_t *
ngx_http_gray_report_guards(const ngx_http_gray_report_t *report)
{
    ngx_uint_t             i, n;
    ngx_http_gray_json_t  *json;

    json = ngx_http_gray_json_array();
    n = report->plan ? report->plan->guards : 0;

    for (i = 0; i < n; i++) {

        if (ngx_http_gray_json_append(json,
                                      ngx_http_gray_report_guard(report, i))
            != NGX_OK)
        {
            ngx_http_gray_json_free(json);
            return NULL;
        }
    }

    return json;
}


/* of a plan that has not begun, all that is known is its limit */

static ngx_http_gray_json_t *
ngx_http_gray_report_guard(const ngx_http_gray_report_t *report, ngx_uint_t i)
{
    ngx_int_t                     rc;
    ngx_http_gray_json_t         *json;
    const ngx_http_gray_plan_t   *plan;
    const ngx_http_gray_guard_t  *guard;
    ngx_http_gray_standing_t      standing, *s;

    plan = report->plan;
    guard = &plan->guard[i];
    s = NULL;

    if (plan->id == report->state->plan) {
        ngx_http_gray_stage_guard(plan, report->state, i, &standing);
        s = &standing;
    }

    json = ngx_http_gray_json_object();

    rc = ngx_http_gray_figure_text(json, "name", guard->name);

    if (rc == NGX_OK) {
        rc = ngx_http_gray_figure_text(json, "kind",
                                 ngx_http_gray_report_kinds[guard->kind]);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_gray_figure_text(json, "action",
                                 ngx_http_gray_report_actions[guard->action]);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_gray_report_standing(json, guard, s);
    }

    if (rc == NGX_OK && guard->kind == NGX_HTTP_GRAY_GUARD_LATENCY) {
        rc = ngx_http_gray_report_latency(json, guard, s);
    }

    if (rc != NGX_OK) {
        ngx_http_gray_json_free(json);
        return NULL;
    }

    return json;
}


static ngx_int_t
ngx_http_gray_report_standing(ngx_http_gray_json_t *json,
    const ngx_http_gray_guard_t *guard, const ngx_http_gray_standing_t *s)
{
    double  limit;

    switch (guard->kind) {

    case NGX_HTTP_GRAY_GUARD_RELATIVE:
        limit = guard->max_ratio;
        break;

    case NGX_HTTP_GRAY_GUARD_ABSOLUTE:
    case NGX_HTTP_GRAY_GUARD_SLOW:
        limit = guard->max;
        break;

    default:
        limit = -1;
    }

    if (ngx_http_gray_json_add(json, "counts",
                               s ? ngx_http_gray_figure_counts(&s->seen)
                                 : ngx_http_gray_json_null())
        != NGX_OK
        || ngx_http_gray_figure_number(json, "value", s ? s->value : -1)
           != NGX_OK
        || ngx_http_gray_figure_number(json, "limit", s ? s->limit : limit)
           != NGX_OK
        || ngx_http_gray_figure_number(json, "e_value",
                              s ? ngx_http_gray_figure_exp(s->evidence) : -1)
           != NGX_OK
        || ngx_http_gray_figure_number(json, "fires_at",
                                s ? ngx_http_gray_figure_exp(s->needed) : -1)
           != NGX_OK
        || ngx_http_gray_json_add(json, "info",
                                  s ? ngx_http_gray_report_info(s)
                                    : ngx_http_gray_json_null())
           != NGX_OK
        || ngx_http_gray_figure_text(json, "text", s ? s->text : "")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* the quantile with the most evidence, and what is slow there */

static ngx_int_t
ngx_http_gray_report_latency(ngx_http_gray_json_t *json,
    const ngx_http_gray_guard_t *guard, const ngx_http_gray_standing_t *s)
{
    double                 slow[2];
    ngx_uint_t             i;
    ngx_http_gray_json_t  *limits;

    for (i = 0; i < 2; i++) {
        slow[i] = (s && s->slow[i] != NGX_HTTP_GRAY_GUARDS_NEVER)
                  ? (double) s->slow[i] : -1;
    }

    if (ngx_http_gray_figure_number(json, "quantile",
                                    s ? guard->quantile[s->quantile] : -1)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    limits = ngx_http_gray_json_object();

    if (ngx_http_gray_figure_number(limits, "canary", slow[1]) != NGX_OK
        || ngx_http_gray_figure_number(limits, "baseline", slow[0]) != NGX_OK)
    {
        ngx_http_gray_json_free(limits);
        return NGX_ERROR;
    }

    return ngx_http_gray_json_add(json, "slower_than_ms", limits);
}


/* null where the guard asks for none before the next step */

static ngx_http_gray_json_t *
ngx_http_gray_report_info(const ngx_http_gray_standing_t *standing)
{
    ngx_http_gray_json_t  *json;

    if (standing->info_needed <= 0) {
        return ngx_http_gray_json_null();
    }

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_figure_number(json, "have", ngx_max(standing->info, 0))
        != NGX_OK
        || ngx_http_gray_figure_number(json, "needed", standing->info_needed)
           != NGX_OK
        || ngx_http_gray_figure_number(json, "seconds_left",
                                       standing->seconds)
           != NGX_OK)
    {
        ngx_http_gray_json_free(json);
        return NULL;
    }

    return json;
}


/* the last one first; where a slot has not the event, it is lost */

static ngx_http_gray_json_t *
ngx_http_gray_report_history(const ngx_http_gray_report_t *report)
{
    uint64_t                      id;
    ngx_uint_t                    i;
    ngx_http_gray_json_t         *json;
    const ngx_http_gray_event_t  *event;

    json = ngx_http_gray_json_array();
    id = report->record->events;

    for (i = 0; i < NGX_HTTP_GRAY_TRIAL_EVENTS && id > 0; i++, id--) {
        event = &report->record->event[id % NGX_HTTP_GRAY_TRIAL_EVENTS];

        if (event->id != id) {
            continue;
        }

        if (ngx_http_gray_json_append(json,
                                      ngx_http_gray_report_event(
                                                    report->release, event))
            != NGX_OK)
        {
            ngx_http_gray_json_free(json);
            return NULL;
        }
    }

    return json;
}
