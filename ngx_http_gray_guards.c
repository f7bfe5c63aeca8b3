
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Guards: what was counted becomes evidence, and evidence a verdict.
 *
 * What is given are sums, ever, and what counts is how much they have grown
 * since the tick before.  A guard has a process of evidence, one of latency one
 * for each quantile, whose values are averaged: a mean of such processes is
 * one, too.  Alpha is split evenly over the guards, so that the chance that
 * any of them fires on a canary that is good stays below it.
 *
 * Latency.  The limit of the baseline is its quantile, by what was seen in
 * earlier ticks only: it is known before the requests that are judged by it.
 * Limits are edges of buckets, as it is whole buckets that a histogram tells.
 *
 * The baseline is bad, too, where of its requests of this tick, or of the last
 * half minute or so, more are bad than is allowed, and not just one or two: an
 * incident of both arms comes to both at once, while an old one is over.  Where
 * there is much traffic a tick is enough for a guard, so it must be for that.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <math.h>
#include <stdio.h>

#include "ngx_http_gray_guards.h"


#define NGX_HTTP_GRAY_GUARDS_RECENT   30.0   /* s, after which 1/e is left */
#define NGX_HTTP_GRAY_GUARDS_FEW      3      /* bad ones that say nothing */
#define NGX_HTTP_GRAY_GUARDS_BEYOND   10     /* requests beyond a quantile, for
                                                it to be known */


static uint64_t ngx_http_gray_guards_less(uint64_t one, uint64_t other);
static ngx_uint_t ngx_http_gray_guards_fallen(
    const ngx_http_gray_sample_t *now, const ngx_http_gray_sample_t *before);
static void ngx_http_gray_guards_grown(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_guards_t *guards, ngx_uint_t i, ngx_uint_t watch,
    const ngx_http_gray_guards_tick_t *tick, ngx_http_gray_seen_t *seen);
static void ngx_http_gray_guards_look(const ngx_http_gray_plan_t *plan,
    ngx_http_gray_guards_t *guards, ngx_uint_t i,
    const ngx_http_gray_guards_tick_t *tick);
static void ngx_http_gray_guards_inform(const ngx_http_gray_plan_t *plan,
    ngx_http_gray_guards_t *guards, ngx_uint_t i,
    const ngx_http_gray_evidence_counts_t *counts, double seconds);
static double ngx_http_gray_guards_value(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_guards_t *guards, ngx_uint_t i);
static double ngx_http_gray_guards_fires(const ngx_http_gray_plan_t *plan);
static ngx_uint_t ngx_http_gray_guards_both(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_guards_t *guards, ngx_uint_t i,
    const ngx_http_gray_guards_tick_t *tick);
static ngx_uint_t ngx_http_gray_guards_over(double bad, double n, double max);
static void ngx_http_gray_guards_limits(const ngx_http_gray_plan_t *plan,
    ngx_http_gray_guards_t *guards, const uint64_t *times);
static uint32_t ngx_http_gray_guards_quantile(const uint64_t *n, double q);
static double ngx_http_gray_guards_asks(const ngx_http_gray_plan_t *plan,
    ngx_uint_t i, double percent, double next);
static ngx_uint_t ngx_http_gray_guards_strongest(
    const ngx_http_gray_guard_t *guard, const ngx_http_gray_guards_t *guards);
static void ngx_http_gray_guards_text(const ngx_http_gray_guard_t *guard,
    const ngx_http_gray_standing_t *standing, char *text);
static char *ngx_http_gray_guards_add(char *text, char *last,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void ngx_http_gray_guards_percent(char *text, size_t size,
    double rate);


void
ngx_http_gray_guards_begin(ngx_http_gray_guards_t *guards,
    const ngx_http_gray_guards_tick_t *tick)
{
    ngx_uint_t  i;

    ngx_memzero(guards, sizeof(ngx_http_gray_guards_t));

    ngx_http_gray_histogram_pack(&guards->times, tick->times);

    for (i = 0; i < NGX_HTTP_GRAY_PLAN_WATCHES; i++) {
        guards->limit[i][0] = NGX_HTTP_GRAY_GUARDS_NEVER;
        guards->limit[i][1] = NGX_HTTP_GRAY_GUARDS_NEVER;
    }

    ngx_http_gray_guards_afresh(guards);
    ngx_http_gray_guards_skip(guards, tick);
}


void
ngx_http_gray_guards_afresh(ngx_http_gray_guards_t *guards)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_GRAY_PLAN_WATCHES; i++) {
        ngx_http_gray_evidence_init(&guards->evidence[i]);
    }

    ngx_memzero(guards->seen, sizeof(guards->seen));
    ngx_memzero(guards->known, sizeof(guards->known));
}


void
ngx_http_gray_guards_skip(ngx_http_gray_guards_t *guards,
    const ngx_http_gray_guards_tick_t *tick)
{
    guards->canary = *tick->canary;
    guards->baseline = *tick->baseline;
}


void
ngx_http_gray_guards_tick(const ngx_http_gray_plan_t *plan,
    ngx_http_gray_guards_t *guards, const ngx_http_gray_guards_tick_t *tick,
    ngx_http_gray_guards_verdict_t *verdict)
{
    double                        most, value;
    ngx_uint_t                    i, both;
    ngx_http_gray_plan_action_e   action;

    ngx_memzero(verdict, sizeof(ngx_http_gray_guards_verdict_t));

    /* counters that are made anew begin at 0 */

    if (ngx_http_gray_guards_fallen(tick->canary, &guards->canary)
        || ngx_http_gray_guards_fallen(tick->baseline, &guards->baseline))
    {
        ngx_http_gray_guards_skip(guards, tick);
        return;
    }

    most = 0;

    for (i = 0; i < plan->guards; i++) {
        ngx_http_gray_guards_look(plan, guards, i, tick);

        value = ngx_http_gray_guards_value(plan, guards, i);

        if (value < ngx_http_gray_guards_fires(plan)) {
            continue;
        }

        both = ngx_http_gray_guards_both(plan, guards, i, tick)
               && tick->share < 1;
        action = both ? NGX_HTTP_GRAY_PLAN_PAUSE : plan->guard[i].action;
        verdict->incident |= both << i;

        if (!verdict->fired
            || action > verdict->action
            || (action == verdict->action && value > most))
        {
            verdict->fired = 1;
            verdict->guard = i;
            verdict->action = action;
            verdict->both = both;
            most = value;
        }
    }

    ngx_http_gray_guards_skip(guards, tick);
    ngx_http_gray_guards_limits(plan, guards, tick->times);
}


static ngx_uint_t
ngx_http_gray_guards_fallen(const ngx_http_gray_sample_t *now,
    const ngx_http_gray_sample_t *before)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_GRAY_PLAN_WATCHES; i++) {
        if (now->bad[i] < before->bad[i]) {
            return 1;
        }
    }

    return now->step < before->step
           || now->step_timed < before->step_timed
           || now->all < before->all
           || now->all_timed < before->all_timed
           || now->keys < before->keys;
}


/* one guard, all that is to it */

static void
ngx_http_gray_guards_look(const ngx_http_gray_plan_t *plan,
    ngx_http_gray_guards_t *guards, ngx_uint_t i,
    const ngx_http_gray_guards_tick_t *tick)
{
    double                            keep, value;
    ngx_uint_t                        k, watch;
    ngx_http_gray_seen_t              grown, *seen;
    ngx_http_gray_known_t            *known;
    const ngx_http_gray_guard_t      *guard;
    ngx_http_gray_evidence_t         *evidence;
    ngx_http_gray_evidence_counts_t   counts;

    guard = &plan->guard[i];
    known = &guards->known[i];

    for (k = 0; k < guard->watches; k++) {
        watch = guard->watch + k;
        evidence = &guards->evidence[watch];
        seen = &guards->seen[watch];

        ngx_http_gray_guards_grown(plan, guards, i, watch, tick, &grown);

        seen->canary += grown.canary;
        seen->baseline += grown.baseline;
        seen->bad_canary += grown.bad_canary;
        seen->bad_baseline += grown.bad_baseline;

        counts.canary = (double) grown.canary;
        counts.baseline = (double) grown.baseline;
        counts.bad_canary = (double) grown.bad_canary;
        counts.bad_baseline = (double) grown.bad_baseline;
        counts.share = plan->key ? tick->share : -1;

        switch (guard->kind) {

        case NGX_HTTP_GRAY_GUARD_RELATIVE:
            value = ngx_http_gray_evidence_relative(evidence, &counts,
                                                    guard->max_ratio,
                                                    guard->floor, tick->moved);
            break;

        case NGX_HTTP_GRAY_GUARD_LATENCY:
            value = ngx_http_gray_evidence_relative(evidence, &counts, 1, 0,
                                                    tick->moved);
            break;

        case NGX_HTTP_GRAY_GUARD_SHARE:
            counts.share = tick->share;
            value = ngx_http_gray_evidence_share(evidence, &counts,
                                                 tick->moved);

            known->due += (counts.canary + counts.baseline) * tick->share;
            break;

        default: /* NGX_HTTP_GRAY_GUARD_ABSOLUTE, NGX_HTTP_GRAY_GUARD_SLOW */
            value = ngx_http_gray_evidence_absolute(evidence, &counts,
                                                    guard->max, tick->moved);

            keep = exp(-tick->seconds / NGX_HTTP_GRAY_GUARDS_RECENT);

            known->recent = known->recent * keep + counts.baseline;
            known->recent_bad = known->recent_bad * keep
                                + counts.bad_baseline;
        }

        /* what is no number any more would stay so, and is no evidence */

        if (!isfinite(value)) {
            ngx_http_gray_evidence_init(evidence);
        }

        ngx_http_gray_guards_inform(plan, guards, i, &counts, tick->seconds);
    }
}


/* what a watch has seen since the last tick */

static void
ngx_http_gray_guards_grown(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_guards_t *guards, ngx_uint_t i, ngx_uint_t watch,
    const ngx_http_gray_guards_tick_t *tick, ngx_http_gray_seen_t *seen)
{
    ngx_uint_t                     cold;
    const ngx_http_gray_sample_t  *c, *s, *c0, *s0;

    c = tick->canary;
    s = tick->baseline;
    c0 = &guards->canary;
    s0 = &guards->baseline;

    cold = 0;

    switch (plan->guard[i].kind) {

    case NGX_HTTP_GRAY_GUARD_RELATIVE:
        seen->canary = c->step - c0->step;
        seen->baseline = s->step - s0->step;
        break;

    case NGX_HTTP_GRAY_GUARD_LATENCY:
        seen->canary = c->step_timed - c0->step_timed;
        seen->baseline = s->step_timed - s0->step_timed;
        cold = !tick->warm
               || guards->limit[watch][1] == NGX_HTTP_GRAY_GUARDS_NEVER;
        break;

    case NGX_HTTP_GRAY_GUARD_SLOW:
        seen->canary = c->all_timed - c0->all_timed;
        seen->baseline = s->all_timed - s0->all_timed;
        cold = !tick->warm;
        break;

    case NGX_HTTP_GRAY_GUARD_SHARE:
        seen->canary = plan->key ? c->keys - c0->keys : c->step - c0->step;
        seen->baseline = plan->key ? s->keys - s0->keys : s->step - s0->step;
        break;

    default: /* NGX_HTTP_GRAY_GUARD_ABSOLUTE */
        seen->canary = c->all - c0->all;
        seen->baseline = s->all - s0->all;
    }

    /*
     * A request is counted as such first and then as a bad one, and a tick may
     * come in between; one that is bad is one.
     */

    seen->bad_canary = c->bad[watch] - c0->bad[watch];
    seen->bad_baseline = s->bad[watch] - s0->bad[watch];

    if (cold) {
        ngx_memzero(seen, sizeof(ngx_http_gray_seen_t));
        return;
    }

    seen->canary = ngx_max(seen->canary, seen->bad_canary);
    seen->baseline = ngx_max(seen->baseline, seen->bad_baseline);
}


static void
ngx_http_gray_guards_inform(const ngx_http_gray_plan_t *plan,
    ngx_http_gray_guards_t *guards, ngx_uint_t i,
    const ngx_http_gray_evidence_counts_t *counts, double seconds)
{
    double                        info, keep, rate;
    ngx_http_gray_seen_t         *seen;
    ngx_http_gray_known_t        *known;
    const ngx_http_gray_guard_t  *guard;

    guard = &plan->guard[i];
    known = &guards->known[i];
    seen = &guards->seen[guard->watch];

    switch (guard->kind) {

    case NGX_HTTP_GRAY_GUARD_RELATIVE:
        if (counts->canary == 0 || counts->baseline == 0) {
            info = 0;
            break;
        }

        rate = (double) seen->bad_baseline / (double) seen->baseline;
        info = ngx_http_gray_evidence_relative_info(counts, guard->max_ratio,
                                                    guard->floor,
                                                    plan->detect_ratio, rate);
        break;

    case NGX_HTTP_GRAY_GUARD_ABSOLUTE:
    case NGX_HTTP_GRAY_GUARD_SLOW:
        info = ngx_http_gray_evidence_absolute_info(counts, guard->max,
                                                    plan->detect_ratio);
        break;

    default:
        return;
    }

    known->info += info;

    keep = exp(-seconds / NGX_HTTP_GRAY_GUARDS_RECENT);
    known->pace = known->pace * keep
                  + (seconds > 0 ? info / seconds : 0) * (1 - keep);
}


/* ln E */

static double
ngx_http_gray_guards_value(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_guards_t *guards, ngx_uint_t i)
{
    double                        most, sum, value;
    ngx_uint_t                    k;
    const ngx_http_gray_guard_t  *guard;

    guard = &plan->guard[i];
    most = -INFINITY;
    sum = 0;

    for (k = 0; k < guard->watches; k++) {
        value = ngx_http_gray_evidence_value(
                                         &guards->evidence[guard->watch + k]);
        most = ngx_max(most, value);
    }

    for (k = 0; k < guard->watches; k++) {
        value = ngx_http_gray_evidence_value(
                                         &guards->evidence[guard->watch + k]);
        sum += exp(value - most);
    }

    return most + log(sum / (double) guard->watches);
}


static double
ngx_http_gray_guards_fires(const ngx_http_gray_plan_t *plan)
{
    return log((double) plan->guards / plan->alpha);
}


static ngx_uint_t
ngx_http_gray_guards_both(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_guards_t *guards, ngx_uint_t i,
    const ngx_http_gray_guards_tick_t *tick)
{
    ngx_http_gray_seen_t          grown;
    const ngx_http_gray_known_t  *known;
    const ngx_http_gray_guard_t  *guard;

    guard = &plan->guard[i];
    known = &guards->known[i];

    if (!guard->baseline_bad) {
        return 0;
    }

    ngx_http_gray_guards_grown(plan, guards, i, guard->watch, tick, &grown);

    return ngx_http_gray_guards_over((double) grown.bad_baseline,
                                     (double) grown.baseline, guard->max)
           || ngx_http_gray_guards_over(known->recent_bad, known->recent,
                                        guard->max);
}


static ngx_uint_t
ngx_http_gray_guards_over(double bad, double n, double max)
{
    return bad >= NGX_HTTP_GRAY_GUARDS_FEW && bad > max * n;
}


void
ngx_http_gray_guards_forgive(const ngx_http_gray_plan_t *plan,
    ngx_http_gray_guards_t *guards,
    const ngx_http_gray_guards_verdict_t *verdict)
{
    ngx_uint_t  i, watch;

    for (i = 0; i < plan->guards; i++) {

        if (verdict->incident & ((ngx_uint_t) 1 << i)) {
            watch = plan->guard[i].watch;
            ngx_http_gray_evidence_init(&guards->evidence[watch]);
        }
    }
}


/* by what was seen until now, for what comes */

static void
ngx_http_gray_guards_limits(const ngx_http_gray_plan_t *plan,
    ngx_http_gray_guards_t *guards, const uint64_t *times)
{
    double                        most;
    uint32_t                      limit;
    uint64_t                      n[NGX_HTTP_GRAY_HISTOGRAM];
    ngx_uint_t                    i, k, known, watch, bucket;
    const ngx_http_gray_guard_t  *guard;

    known = 0;

    for (i = 0; i < plan->guards; i++) {
        guard = &plan->guard[i];

        if (guard->kind == NGX_HTTP_GRAY_GUARD_SLOW) {
            guards->limit[guard->watch][0] = guard->slower;
            guards->limit[guard->watch][1] = guard->slower;
            continue;
        }

        if (guard->kind != NGX_HTTP_GRAY_GUARD_LATENCY) {
            continue;
        }

        if (!known) {
            known = 1;

            ngx_memzero(n, sizeof(n));
            ngx_http_gray_histogram_unpack(&guards->times, n);

            /* what is counted anew, after a restart, is all of it */

            if (ngx_http_gray_histogram_count(times)
                < ngx_http_gray_histogram_count(n))
            {
                ngx_memzero(&guards->times, sizeof(guards->times));
                ngx_memzero(n, sizeof(n));
            }

            for (k = 0; k < NGX_HTTP_GRAY_HISTOGRAM; k++) {
                n[k] = ngx_http_gray_guards_less(times[k], n[k]);
            }
        }

        for (k = 0; k < guard->watches; k++) {
            watch = guard->watch + k;
            limit = ngx_http_gray_guards_quantile(n, guard->quantile[k]);

            guards->limit[watch][0] = limit;
            guards->limit[watch][1] = NGX_HTTP_GRAY_GUARDS_NEVER;

            if (limit == NGX_HTTP_GRAY_GUARDS_NEVER) {
                continue;
            }

            most = ngx_max(limit * guard->max_ratio,
                           (double) limit + guard->min_delta);
            bucket = ngx_http_gray_histogram_index((uint64_t) ceil(most));

            if (bucket < NGX_HTTP_GRAY_HISTOGRAM - 1) {
                guards->limit[watch][1] =
                             (uint32_t) ngx_http_gray_histogram_edge(bucket);
            }
        }
    }
}


static uint64_t
ngx_http_gray_guards_less(uint64_t one, uint64_t other)
{
    return one > other ? one - other : 0;
}


/* the edge of its bucket, once enough is known */

static uint32_t
ngx_http_gray_guards_quantile(const uint64_t *n, double q)
{
    double      count, sum;
    ngx_uint_t  i;

    count = (double) ngx_http_gray_histogram_count(n);
    sum = 0;

    if (count * (1 - q) < NGX_HTTP_GRAY_GUARDS_BEYOND) {
        return NGX_HTTP_GRAY_GUARDS_NEVER;
    }

    for (i = 0; i < NGX_HTTP_GRAY_HISTOGRAM - 1; i++) {
        sum += (double) n[i];

        if (sum >= q * count) {
            return (uint32_t) ngx_http_gray_histogram_edge(i);
        }
    }

    return NGX_HTTP_GRAY_GUARDS_NEVER;
}


ngx_uint_t
ngx_http_gray_guards_enough(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_guards_t *guards, double percent, double next)
{
    ngx_uint_t  i;

    for (i = 0; i < plan->guards; i++) {
        if (guards->known[i].info
            < ngx_http_gray_guards_asks(plan, i, percent, next))
        {
            return 0;
        }
    }

    return 1;
}


/* nats that a guard wants to have seen; 0: it does not ask */

static double
ngx_http_gray_guards_asks(const ngx_http_gray_plan_t *plan, ngx_uint_t i,
    double percent, double next)
{
    if (percent <= 0 || next <= percent) {

        /* what is at 100 already is to be the baseline */

        if (percent < 100 || next < 100) {
            return 0;
        }
    }

    switch (plan->guard[i].kind) {

    case NGX_HTTP_GRAY_GUARD_RELATIVE:
        return percent < 100 ? plan->info_nats * next / 100 : 0;

    case NGX_HTTP_GRAY_GUARD_ABSOLUTE:
    case NGX_HTTP_GRAY_GUARD_SLOW:
        return plan->info_nats * next / 100;

    default:
        return 0;
    }
}


void
ngx_http_gray_guards_standing(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_guards_t *guards, ngx_uint_t i, double percent,
    double next, ngx_http_gray_standing_t *standing)
{
    double                        canary, baseline, left;
    ngx_uint_t                    watch;
    ngx_http_gray_seen_t         *seen;
    const ngx_http_gray_guard_t  *guard;
    const ngx_http_gray_known_t  *known;

    ngx_memzero(standing, sizeof(ngx_http_gray_standing_t));

    guard = &plan->guard[i];
    known = &guards->known[i];
    watch = ngx_http_gray_guards_strongest(guard, guards);

    seen = &standing->seen;
    *seen = guards->seen[watch];

    standing->quantile = watch - guard->watch;
    standing->slow[0] = guards->limit[watch][0];
    standing->slow[1] = guards->limit[watch][1];

    canary = seen->canary
             ? (double) seen->bad_canary / (double) seen->canary : -1;
    baseline = seen->baseline
               ? (double) seen->bad_baseline / (double) seen->baseline : -1;

    switch (guard->kind) {

    case NGX_HTTP_GRAY_GUARD_RELATIVE:
    case NGX_HTTP_GRAY_GUARD_LATENCY:
        standing->value = (canary >= 0 && baseline > 0) ? canary / baseline
                                                        : -1;
        standing->limit = (guard->kind == NGX_HTTP_GRAY_GUARD_LATENCY)
                          ? 1 : guard->max_ratio;
        break;

    case NGX_HTTP_GRAY_GUARD_SHARE:
        standing->value = (seen->canary + seen->baseline)
                          ? (double) seen->canary
                            / (double) (seen->canary + seen->baseline) : -1;

        /* it was counted in all steps, and that of other variants is not */

        standing->limit = known->due
                          ? known->due / (double) (seen->canary
                                                   + seen->baseline)
                          : percent / 100;
        break;

    default:
        standing->value = canary;
        standing->limit = guard->max;
    }

    standing->evidence = ngx_http_gray_guards_value(plan, guards, i);
    standing->needed = ngx_http_gray_guards_fires(plan);

    standing->info = known->info;
    standing->info_needed = ngx_http_gray_guards_asks(plan, i, percent, next);
    standing->seconds = -1;

    left = standing->info_needed - known->info;

    if (left <= 0) {
        standing->seconds = 0;

    } else if (known->pace > 0 && left / known->pace < 1e9) {
        standing->seconds = left / known->pace;
    }

    ngx_http_gray_guards_text(guard, standing, standing->text);
}


/* the watch with the most evidence */

static ngx_uint_t
ngx_http_gray_guards_strongest(const ngx_http_gray_guard_t *guard,
    const ngx_http_gray_guards_t *guards)
{
    double      value, most;
    ngx_uint_t  k, watch;

    watch = guard->watch;
    most = ngx_http_gray_evidence_value(&guards->evidence[watch]);

    for (k = 1; k < guard->watches; k++) {
        value = ngx_http_gray_evidence_value(
                                         &guards->evidence[guard->watch + k]);
        if (value > most) {
            most = value;
            watch = guard->watch + k;
        }
    }

    return watch;
}


static void
ngx_http_gray_guards_text(const ngx_http_gray_guard_t *guard,
    const ngx_http_gray_standing_t *standing, char *text)
{
    char                        *last, canary[16], baseline[16], evidence[64];
    double                       e;
    const ngx_http_gray_seen_t  *seen;

    seen = &standing->seen;

    ngx_http_gray_guards_percent(canary, sizeof(canary),
                                 seen->canary ? (double) seen->bad_canary
                                                / (double) seen->canary : -1);
    ngx_http_gray_guards_percent(baseline, sizeof(baseline),
                                 seen->baseline
                                 ? (double) seen->bad_baseline
                                   / (double) seen->baseline : -1);

    e = exp(ngx_min(standing->evidence, 20));

    (void) snprintf(evidence, sizeof(evidence),
                    "evidence %s%.*f of %.0f needed",
                    standing->evidence > 20 ? "over " : "",
                    e < 10 ? 1 : 0, e, ceil(exp(standing->needed) - 1e-6));

    last = text + NGX_HTTP_GRAY_GUARDS_TEXT;
    text = ngx_http_gray_guards_add(text, last, "%s: ", guard->name);

    switch (guard->kind) {

    case NGX_HTTP_GRAY_GUARD_RELATIVE:
        text = ngx_http_gray_guards_add(text, last,
                     "canary %lu of %lu (%s), baseline %lu of %lu (%s), ",
                     (unsigned long) seen->bad_canary,
                     (unsigned long) seen->canary, canary,
                     (unsigned long) seen->bad_baseline,
                     (unsigned long) seen->baseline, baseline);

        if (standing->value >= 0) {
            text = ngx_http_gray_guards_add(text, last, "%.*f times, ",
                            standing->value < 100 ? 2 : 0,
                            ngx_min(standing->value, 1e9));
        }

        (void) ngx_http_gray_guards_add(text, last, "limit %.4g, %s",
                                        standing->limit, evidence);
        break;

    case NGX_HTTP_GRAY_GUARD_LATENCY:

        if (standing->slow[1] == NGX_HTTP_GRAY_GUARDS_NEVER) {
            (void) ngx_http_gray_guards_add(text, last, "the baseline's times "
                                            "are not known yet");
            break;
        }

        (void) ngx_http_gray_guards_add(text, last,
                       "canary %lu of %lu (%s) slower than %u ms, baseline "
                       "%lu of %lu (%s) slower than %u ms "
                       "(p%.4g), %s",
                       (unsigned long) seen->bad_canary,
                       (unsigned long) seen->canary, canary,
                       (unsigned) standing->slow[1],
                       (unsigned long) seen->bad_baseline,
                       (unsigned long) seen->baseline, baseline,
                       (unsigned) standing->slow[0],
                       guard->quantile[standing->quantile] * 100, evidence);
        break;

    case NGX_HTTP_GRAY_GUARD_SHARE:
        ngx_http_gray_guards_percent(canary, sizeof(canary), standing->value);

        (void) ngx_http_gray_guards_add(text, last,
                       "canary %lu of %lu (%s), weights say %.4g%%, %s",
                       (unsigned long) seen->canary,
                       (unsigned long) (seen->canary + seen->baseline), canary,
                       standing->limit * 100, evidence);
        break;

    default:
        text = ngx_http_gray_guards_add(text, last, "canary %lu of %lu (%s)",
                        (unsigned long) seen->bad_canary,
                        (unsigned long) seen->canary, canary);

        if (guard->kind == NGX_HTTP_GRAY_GUARD_SLOW) {
            text = ngx_http_gray_guards_add(text, last, " slower than %u ms",
                            (unsigned) guard->slower);
        }

        (void) ngx_http_gray_guards_add(text, last, ", limit %.4g%%, %s",
                                        guard->max * 100, evidence);
    }
}


static char *
ngx_http_gray_guards_add(char *text, char *last, const char *fmt, ...)
{
    int      n;
    va_list  args;

    va_start(args, fmt);
    n = vsnprintf(text, last - text, fmt, args);
    va_end(args);

    return ngx_min(text + ngx_max(n, 0), last - 1);
}


static void
ngx_http_gray_guards_percent(char *text, size_t size, double rate)
{
    if (rate < 0) {
        (void) snprintf(text, size, "none");
        return;
    }

    rate *= 100;

    (void) snprintf(text, size, "%.*f%%", rate >= 0.1 || rate == 0 ? 1 : 3,
                    rate);
}
