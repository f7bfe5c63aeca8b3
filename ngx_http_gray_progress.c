
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_progress.h"
#include "ngx_http_gray_live.h"
#include "ngx_http_gray_look.h"
#include "ngx_http_gray_reply.h"
#include "ngx_http_gray_report.h"


#define NGX_HTTP_GRAY_PROGRESS_PAUSE    100  /* ms, between two looks */
#define NGX_HTTP_GRAY_PROGRESS_SETTLES  2    /* seconds */


/* a request for a verdict, and where the rollout was when it came */

typedef struct {
    ngx_http_request_t         *request;
    ngx_http_gray_release_t    *release;
    ngx_event_t                 event;
    ngx_msec_t                  begun;
    ngx_msec_t                  patience;

    uint64_t                    word;       /* of what was looked at last */
    int64_t                     started;
    uint32_t                    step;
} ngx_http_gray_progress_t;


static ngx_int_t ngx_http_gray_progress_available(ngx_http_request_t *r,
    ngx_http_gray_release_t *release, ngx_int_t *answer);
static ngx_http_gray_plan_t *ngx_http_gray_progress_plan(
    ngx_http_gray_release_t *release);
static ngx_int_t ngx_http_gray_progress_look(
    ngx_http_gray_progress_t *progress);
static ngx_uint_t ngx_http_gray_progress_settles(
    const ngx_http_gray_state_t *state);
static ngx_int_t ngx_http_gray_progress_judge(
    ngx_http_gray_progress_t *progress, const ngx_http_gray_state_t *state);
static ngx_int_t ngx_http_gray_progress_passed(
    ngx_http_gray_progress_t *progress);
static ngx_int_t ngx_http_gray_progress_failed(
    ngx_http_gray_progress_t *progress, const ngx_http_gray_state_t *state,
    const char *why);
static ngx_int_t ngx_http_gray_progress_pending(
    ngx_http_gray_progress_t *progress, const char *why);
static double ngx_http_gray_progress_left(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_state_t *state);
static ngx_http_gray_json_t *ngx_http_gray_progress_verdict_json(
    ngx_http_gray_release_t *release, const char *verdict);
static ngx_http_gray_json_t *ngx_http_gray_progress_json(
    ngx_http_gray_release_t *release);
static void ngx_http_gray_progress_weight(ngx_http_gray_release_t *release,
    ngx_http_gray_plan_t *plan, ngx_http_gray_state_t *state);
static ngx_int_t ngx_http_gray_progress_short(ngx_http_request_t *r);
static void ngx_http_gray_progress_handler(ngx_event_t *ev);
static void ngx_http_gray_progress_cleanup(void *data);
static ngx_uint_t ngx_http_gray_progress_well(
    const ngx_http_gray_state_t *state);


ngx_int_t
ngx_http_gray_progress(ngx_http_request_t *r, ngx_http_gray_release_t *release)
{
    ngx_int_t              answer;
    ngx_http_gray_json_t  *json;

    if (ngx_http_gray_progress_there(r, release, &answer) != NGX_OK) {
        return answer;
    }

    json = ngx_http_gray_progress_json(release);

    return json ? ngx_http_gray_reply_json(r, json)
                : ngx_http_gray_progress_short(r);
}


ngx_int_t
ngx_http_gray_progress_there(ngx_http_request_t *r,
    ngx_http_gray_release_t *release, ngx_int_t *answer)
{
    if (ngx_http_gray_progress_available(r, release, answer) != NGX_OK) {
        return NGX_DONE;
    }

    if (ngx_http_gray_progress_plan(release)
        || ngx_http_gray_trial_begun(release->trial))
    {
        return NGX_OK;
    }

    *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_NOT_FOUND,
                                "the release has no rollout: PATCH its "
                                "document with a member \"rollout\", which "
                                "needs a \"variant\" and \"steps\", and POST "
                                "releases/%V/rollout/start", &release->name);
    return NGX_DONE;
}


static ngx_int_t
ngx_http_gray_progress_available(ngx_http_request_t *r,
    ngx_http_gray_release_t *release, ngx_int_t *answer)
{
    if (!release->zone->stats) {
        *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_CONFLICT,
                                "there are no rollouts: gray_zone \"%V\" has "
                                "\"stats=off\"", &release->zone_name);
        return NGX_DONE;
    }

    if (release->trial == NULL) {
        *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_CONFLICT,
                                "there are no rollouts: gray_zone \"%V\" has "
                                "no memory for them until its size is changed "
                                "or nginx is restarted", &release->zone_name);
        return NGX_DONE;
    }

    /* as for statistics: what this process sees is not the others' */

    if (release->block->moves != release->moves) {
        *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "nginx was reloaded with another zone and "
                                "this connection is one to an old worker, "
                                "connect again");
        return NGX_DONE;
    }

    return NGX_OK;
}


/* that of the live document */

static ngx_http_gray_plan_t *
ngx_http_gray_progress_plan(ngx_http_gray_release_t *release)
{
    if (!release->deciding) {
        (void) ngx_http_gray_live_rules(release, ngx_cycle->log);
    }

    return release->plan;
}


ngx_int_t
ngx_http_gray_progress_verdict(ngx_http_request_t *r,
    ngx_http_gray_release_t *release, ngx_uint_t wait)
{
    ngx_int_t                  rc, answer;
    ngx_pool_cleanup_t        *cln;
    ngx_http_gray_state_t      state;
    ngx_http_gray_progress_t  *progress;

    if (ngx_http_gray_progress_there(r, release, &answer) != NGX_OK) {
        return answer;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_gray_progress_t));
    if (cln == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    progress = cln->data;
    ngx_memzero(progress, sizeof(ngx_http_gray_progress_t));

    cln->handler = ngx_http_gray_progress_cleanup;

    progress->request = r;
    progress->release = release;
    progress->begun = ngx_current_msec;
    progress->patience = (ngx_msec_t) wait * 1000;

    progress->event.handler = ngx_http_gray_progress_handler;
    progress->event.data = progress;
    progress->event.log = r->connection->log;

    ngx_http_gray_trial_read(release->trial, &state);

    /* any other: then the first look is one */

    progress->word = ~ngx_http_gray_trial_word(release->trial);
    progress->started = state.started;
    progress->step = state.step;

    rc = ngx_http_gray_progress_look(progress);

    if (rc == NGX_DONE) {
        r->main->count++;

        /* so that a client that goes is seen to */

        if (r->read_event_handler == ngx_http_block_reading) {
            r->read_event_handler = ngx_http_test_reading;
        }
    }

    return rc;
}


/* NGX_DONE: there is nothing to be said yet */

static ngx_int_t
ngx_http_gray_progress_look(ngx_http_gray_progress_t *progress)
{
    uint64_t               word;
    ngx_int_t              rc;
    ngx_msec_t             passed;
    ngx_uint_t             exiting;
    ngx_http_gray_state_t  state;

    word = ngx_http_gray_trial_word(progress->release->trial);
    passed = ngx_current_msec - progress->begun;
    exiting = (ngx_exiting || ngx_terminate || ngx_quit);

    if (word != progress->word) {
        ngx_http_gray_trial_read(progress->release->trial, &state);

        if (exiting || passed >= progress->patience
            || !ngx_http_gray_progress_settles(&state))
        {
            progress->word = word;

            rc = ngx_http_gray_progress_judge(progress, &state);

            if (rc != NGX_DECLINED) {
                return rc;
            }
        }
    }

    if (exiting) {
        return ngx_http_gray_progress_pending(progress,
                                "; this worker shuts down, ask again");
    }

    if (passed >= progress->patience) {
        return ngx_http_gray_progress_pending(progress, "");
    }

    /* it holds up a worker that shuts down until that was answered */

    ngx_add_timer(&progress->event,
                  ngx_min(progress->patience - passed,
                          NGX_HTTP_GRAY_PROGRESS_PAUSE));
    return NGX_DONE;
}


/* a rollback is in the document a moment later, and is told then */

static ngx_uint_t
ngx_http_gray_progress_settles(const ngx_http_gray_state_t *state)
{
    return state->wish == NGX_HTTP_GRAY_WISH_ROLLBACK
           && ngx_time() - state->since < NGX_HTTP_GRAY_PROGRESS_SETTLES;
}


/* NGX_DECLINED: it is in that step still */

static ngx_int_t
ngx_http_gray_progress_judge(ngx_http_gray_progress_t *progress,
    const ngx_http_gray_state_t *state)
{
    if (state->started != progress->started) {
        return ngx_http_gray_progress_failed(progress, state,
                                             "another rollout has begun");
    }

    switch (state->stage) {

    case NGX_HTTP_GRAY_STAGE_SCHEDULED:
    case NGX_HTTP_GRAY_STAGE_RUNNING:
    case NGX_HTTP_GRAY_STAGE_BAKING:

        return state->step > progress->step
               ? ngx_http_gray_progress_passed(progress)
               : NGX_DECLINED;

    case NGX_HTTP_GRAY_STAGE_SUCCEEDED:

        /* who deploys next goes by the baseline that the document has */

        return state->wish == NGX_HTTP_GRAY_WISH_NONE
               ? ngx_http_gray_progress_passed(progress)
               : NGX_DECLINED;

    case NGX_HTTP_GRAY_STAGE_PAUSED:
        return ngx_http_gray_progress_failed(progress, state, "paused");

    case NGX_HTTP_GRAY_STAGE_ROLLED_BACK:
        return ngx_http_gray_progress_failed(progress, state,
                             state->wish == NGX_HTTP_GRAY_WISH_NONE
                             ? "rolled back"
                             : "rolled back, but its weight is not 0 yet, as "
                               "the document could not be changed, which is "
                               "tried on");

    case NGX_HTTP_GRAY_STAGE_ABORTED:
        return ngx_http_gray_progress_failed(progress, state, "aborted");

    default: /* NGX_HTTP_GRAY_STAGE_IDLE */
        return ngx_http_gray_progress_failed(progress, state,
                                             "no rollout is under way");
    }
}


static ngx_int_t
ngx_http_gray_progress_passed(ngx_http_gray_progress_t *progress)
{
    ngx_http_gray_json_t  *json;

    json = ngx_http_gray_progress_verdict_json(progress->release, "passed");

    return json ? ngx_http_gray_reply_json(progress->request, json)
                : ngx_http_gray_progress_short(progress->request);
}


static ngx_int_t
ngx_http_gray_progress_failed(ngx_http_gray_progress_t *progress,
    const ngx_http_gray_state_t *state, const char *why)
{
    return ngx_http_gray_reply_detailed(progress->request, NGX_HTTP_CONFLICT,
                         ngx_http_gray_progress_verdict_json(progress->release,
                                                             "failed"),
                         "%s%s%s", why, state->reason[0] ? ": " : "",
                         state->reason);
}


static ngx_int_t
ngx_http_gray_progress_pending(ngx_http_gray_progress_t *progress,
    const char *why)
{
    u_char                 *p, *last, text[128];
    double                  left;
    ngx_http_gray_json_t   *json;
    ngx_http_gray_state_t   state;

    ngx_http_gray_trial_read(progress->release->trial, &state);

    left = ngx_http_gray_progress_left(
                              ngx_http_gray_progress_plan(progress->release),
                              &state);

    json = ngx_http_gray_progress_verdict_json(progress->release, "pending");

    if (ngx_http_gray_json_add(json, "seconds_left",
                               left < 0 ? ngx_http_gray_json_null()
                                        : ngx_http_gray_json_number(left))
        != NGX_OK)
    {
        ngx_http_gray_json_free(json);
        json = NULL;
    }

    if (state.stage == NGX_HTTP_GRAY_STAGE_SUCCEEDED) {
        return ngx_http_gray_reply_detailed(progress->request,
                                NGX_HTTP_GATEWAY_TIME_OUT, json,
                                "the rollout has succeeded, but its variant "
                                "is not the baseline yet, as the document "
                                "could not be changed, which is tried on%s",
                                why);
    }

    p = text;
    last = text + sizeof(text) - 1;

    if (state.waits) {
        p = ngx_slprintf(p, last, ", %V", &ngx_http_gray_waits[state.waits]);
    }

    if (left > 0) {
        p = ngx_slprintf(p, last, ", %.0f s to go at the present rate", left);
    }

    *p = '\0';

    return ngx_http_gray_reply_detailed(progress->request,
                                        NGX_HTTP_GATEWAY_TIME_OUT, json,
                                        "no evidence yet: the rollout is %V, "
                                        "step %uD%s%s",
                                        &ngx_http_gray_stages[state.stage],
                                        state.step + 1, text, why);
}


/* seconds until the step can be left, or -1 */

static double
ngx_http_gray_progress_left(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_state_t *state)
{
    double                       left, pace;
    ngx_uint_t                   i;
    ngx_http_gray_standing_t     standing;
    const ngx_http_gray_step_t  *step;

    if (plan == NULL || plan->id != state->plan || state->step >= plan->steps
        || state->stage == NGX_HTTP_GRAY_STAGE_SCHEDULED
        || state->waits == NGX_HTTP_GRAY_WAITS_GATE
        || state->waits == NGX_HTTP_GRAY_WAITS_WINDOW)
    {
        return -1;
    }

    step = &plan->step[state->step];

    left = (step->hold > state->held)
           ? (double) (step->hold - state->held) / 1000 : 0;

    if (step->weight && state->requests < step->min_requests) {

        if (state->requests == 0) {
            return -1;
        }

        pace = (double) state->held / 1000 / (double) state->requests;

        left = ngx_max(left, pace * (double) (step->min_requests
                                              - state->requests));
    }

    for (i = 0; i < plan->guards; i++) {
        ngx_http_gray_stage_guard(plan, state, i, &standing);

        if (standing.info >= standing.info_needed) {
            continue;
        }

        if (standing.seconds < 0) {
            return -1;
        }

        left = ngx_max(left, standing.seconds);
    }

    return left;
}


static ngx_http_gray_json_t *
ngx_http_gray_progress_verdict_json(ngx_http_gray_release_t *release,
    const char *verdict)
{
    ngx_http_gray_json_t  *json;

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_reply_text(json, "verdict", verdict) != NGX_OK
        || ngx_http_gray_json_add(json, "rollout",
                                  ngx_http_gray_progress_json(release))
           != NGX_OK)
    {
        ngx_http_gray_json_free(json);
        return NULL;
    }

    return json;
}


static ngx_http_gray_json_t *
ngx_http_gray_progress_json(ngx_http_gray_release_t *release)
{
    double                         filled;
    ngx_http_gray_json_t          *json;
    ngx_http_gray_plan_t          *plan;
    ngx_http_gray_trial_record_t  *record;

    record = malloc(sizeof(ngx_http_gray_trial_record_t));
    if (record == NULL) {
        return NULL;
    }

    plan = ngx_http_gray_progress_plan(release);
    filled = ngx_http_gray_trial_filled(release->trial);

    ngx_http_gray_trial_record(release->trial, record);

    ngx_http_gray_progress_weight(release, plan, &record->state);

    json = ngx_http_gray_report_rollout(&release->name, plan, record, filled);

    free(record);

    return json;
}


/* where none is under way, the weight is what others have made of it */

static void
ngx_http_gray_progress_weight(ngx_http_gray_release_t *release,
    ngx_http_gray_plan_t *plan, ngx_http_gray_state_t *state)
{
    const char                *variant;
    ngx_http_gray_json_t      *doc;
    ngx_http_gray_world_t      world;
    ngx_http_gray_snapshot_t   snapshot;

    if (ngx_http_gray_stage_active(state)
        || state->wish != NGX_HTTP_GRAY_WISH_NONE)
    {
        return;
    }

    variant = (plan && state->stage == NGX_HTTP_GRAY_STAGE_IDLE)
              ? plan->variant : state->variant;

    if (ngx_http_gray_live_read(release, &snapshot, &doc) != NGX_OK) {
        return;
    }

    ngx_http_gray_look(doc, variant, &world, NULL, 0);

    if (!world.promoted) {
        state->weight = world.weight;
    }

    ngx_http_gray_json_free(doc);
    free(snapshot.text.data);
}


static ngx_int_t
ngx_http_gray_progress_short(ngx_http_request_t *r)
{
    return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "memory is short");
}


static void
ngx_http_gray_progress_handler(ngx_event_t *ev)
{
    ngx_int_t                  rc;
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_gray_progress_t  *progress;

    progress = ev->data;
    r = progress->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = ngx_http_gray_progress_look(progress);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_gray_progress_cleanup(void *data)
{
    ngx_http_gray_progress_t *progress = data;

    if (progress->event.timer_set) {
        ngx_del_timer(&progress->event);
    }
}


ngx_int_t
ngx_http_gray_progress_gate(ngx_http_request_t *r,
    ngx_http_gray_release_t *release)
{
    ngx_str_t              *stage, *waits;
    ngx_http_gray_json_t   *json;
    ngx_http_gray_state_t   state;

    state.stage = NGX_HTTP_GRAY_STAGE_IDLE;
    state.waits = NGX_HTTP_GRAY_WAITS_NOT;
    state.reason[0] = '\0';

    if (release->trial) {
        ngx_http_gray_trial_read(release->trial, &state);
    }

    if (state.stage == NGX_HTTP_GRAY_STAGE_IDLE) {
        return ngx_http_gray_reply_problem(r, NGX_HTTP_FORBIDDEN,
                                "no rollout is under way%s%s",
                                state.reason[0] ? ": " : "", state.reason);
    }

    stage = &ngx_http_gray_stages[state.stage];
    waits = &ngx_http_gray_waits[state.waits];

    if (!ngx_http_gray_progress_well(&state)) {
        return ngx_http_gray_reply_problem(r, NGX_HTTP_FORBIDDEN,
                                "the rollout is %V%s%V%s%s", stage,
                                state.waits ? ", " : "", waits,
                                state.reason[0] ? ": " : "", state.reason);
    }

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_reply_string(json, "release", &release->name) != NGX_OK
        || ngx_http_gray_reply_string(json, "state", stage) != NGX_OK)
    {
        ngx_http_gray_json_free(json);
        return ngx_http_gray_progress_short(r);
    }

    return ngx_http_gray_reply_json(r, json);
}


/* at a gate it is an operator's turn */

static ngx_uint_t
ngx_http_gray_progress_well(const ngx_http_gray_state_t *state)
{
    switch (state->stage) {

    case NGX_HTTP_GRAY_STAGE_SCHEDULED:
    case NGX_HTTP_GRAY_STAGE_RUNNING:
    case NGX_HTTP_GRAY_STAGE_BAKING:
        return state->waits != NGX_HTTP_GRAY_WAITS_GATE;

    default:
        return state->stage == NGX_HTTP_GRAY_STAGE_SUCCEEDED;
    }
}
