
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_compare.h"
#include "ngx_http_gray_reply.h"


/* where there is no plan that says so */

#define NGX_HTTP_GRAY_COMPARE_ENOUGH  200


static double ngx_http_gray_compare_least(ngx_http_gray_release_t *release,
    const ngx_http_gray_state_t *state);
static ngx_uint_t ngx_http_gray_compare_enough(
    ngx_http_gray_compare_arm_t *baseline,
    ngx_http_gray_compare_arm_t *canary, double least);
static double ngx_http_gray_compare_requests(
    ngx_http_gray_compare_arm_t *arm);
static ngx_http_gray_json_t *ngx_http_gray_compare_arm(
    ngx_http_gray_compare_arm_t *arm);
static ngx_http_gray_json_t *ngx_http_gray_compare_verdict(
    const ngx_http_gray_state_t *state, ngx_uint_t enough);


ngx_int_t
ngx_http_gray_compare(ngx_http_gray_json_t *json,
    ngx_http_gray_release_t *release, ngx_http_gray_compare_arm_t *baseline,
    ngx_http_gray_compare_arm_t *canary)
{
    ngx_uint_t              enough;
    ngx_http_gray_state_t   state;

    if (release->trial) {
        ngx_http_gray_trial_read(release->trial, &state);

    } else {
        ngx_memzero(&state, sizeof(ngx_http_gray_state_t));
    }

    enough = ngx_http_gray_compare_enough(baseline, canary,
                               ngx_http_gray_compare_least(release, &state));

    if (ngx_http_gray_json_add(json, "enough_data",
                               ngx_http_gray_json_boolean(enough))
        != NGX_OK
        || ngx_http_gray_json_add(json, "canary",
                                  ngx_http_gray_compare_arm(canary))
           != NGX_OK
        || ngx_http_gray_json_add(json, "baseline",
                                  ngx_http_gray_compare_arm(baseline))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_gray_json_add(json, "verdict",
                              ngx_http_gray_compare_verdict(&state, enough));
}


/* requests that are asked for: of the step, where there is one */

static double
ngx_http_gray_compare_least(ngx_http_gray_release_t *release,
    const ngx_http_gray_state_t *state)
{
    ngx_uint_t             step;
    ngx_http_gray_plan_t  *plan;

    plan = release->plan;

    if (plan == NULL || plan->steps == 0) {
        return NGX_HTTP_GRAY_COMPARE_ENOUGH;
    }

    step = (state->plan == plan->id && state->step < plan->steps)
           ? state->step : 0;

    return (double) plan->step[step].min_requests;
}


/* a baseline without any weight has no traffic to compare with */

static ngx_uint_t
ngx_http_gray_compare_enough(ngx_http_gray_compare_arm_t *baseline,
    ngx_http_gray_compare_arm_t *canary, double least)
{
    return canary
           && ngx_http_gray_compare_requests(canary) >= least
           && (baseline->share == 0
               || ngx_http_gray_compare_requests(baseline) >= least);
}


/* -1: nobody knows */

static double
ngx_http_gray_compare_requests(ngx_http_gray_compare_arm_t *arm)
{
    double      n;
    ngx_uint_t  i;

    if (arm->summary == NULL) {
        return -1;
    }

    n = 0;

    for (i = 0; i < NGX_HTTP_GRAY_CODES; i++) {
        n += (double) arm->summary->codes[i];
    }

    return n;
}


static ngx_http_gray_json_t *
ngx_http_gray_compare_arm(ngx_http_gray_compare_arm_t *arm)
{
    double                 n, errors, p99;
    ngx_http_gray_json_t  *json;

    if (arm == NULL || arm->name == NULL) {
        return ngx_http_gray_json_null();
    }

    n = ngx_http_gray_compare_requests(arm);
    errors = -1;
    p99 = -1;

    if (n > 0) {
        errors = (double) arm->summary->codes[NGX_HTTP_GRAY_5XX] / n;

        if (ngx_http_gray_histogram_count(arm->summary->header)) {
            p99 = ngx_http_gray_histogram_quantile(arm->summary->header, 0.99);
        }
    }

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_reply_string(json, "name", arm->name) != NGX_OK
        || ngx_http_gray_reply_measure(json, "requests", n) != NGX_OK
        || ngx_http_gray_reply_measure(json, "error_rate", errors) != NGX_OK
        || ngx_http_gray_reply_measure(json, "p99_ms", p99) != NGX_OK)
    {
        ngx_http_gray_json_free(json);
        return NULL;
    }

    return json;
}


/* a pause says nothing of the canary, but for that of a guard */

static ngx_http_gray_json_t *
ngx_http_gray_compare_verdict(const ngx_http_gray_state_t *state,
    ngx_uint_t enough)
{
    const char  *verdict;

    verdict = "pending";

    switch (state->stage) {

    case NGX_HTTP_GRAY_STAGE_IDLE:
        return ngx_http_gray_json_null();

    case NGX_HTTP_GRAY_STAGE_ROLLED_BACK:
    case NGX_HTTP_GRAY_STAGE_ABORTED:
        verdict = "fail";
        break;

    case NGX_HTTP_GRAY_STAGE_PAUSED:
        if (state->cause == NGX_HTTP_GRAY_CAUSE_GUARD) {
            verdict = "fail";
        }

        break;

    case NGX_HTTP_GRAY_STAGE_SUCCEEDED:
        verdict = "pass";
        break;

    case NGX_HTTP_GRAY_STAGE_RUNNING:
    case NGX_HTTP_GRAY_STAGE_BAKING:
        if (enough) {
            verdict = "pass";
        }

        break;

    default: /* NGX_HTTP_GRAY_STAGE_SCHEDULED */
        break;
    }

    return ngx_http_gray_json_string((u_char *) verdict, ngx_strlen(verdict));
}
