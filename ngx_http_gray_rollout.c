
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Rollouts in nginx: a tick of each by the worker whose turn it is, and actions
 * by the worker that got the request.  Both do the same: copy the state, ask
 * ngx_http_gray_stage.c, and write it back under the zone's lock unless another
 * process has done so meanwhile.  Then the state is kept in a file, and the
 * document is made what is wished for; both by threads.  In that order: if all
 * processes are killed in between, a change that nobody knows of would look
 * like one by an operator.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_apply.h"
#include "ngx_http_gray_keep.h"
#include "ngx_http_gray_live.h"
#include "ngx_http_gray_look.h"
#include "ngx_http_gray_rollout.h"


#define NGX_HTTP_GRAY_ROLLOUT_KEEP      5000   /* ms, between files */
#define NGX_HTTP_GRAY_ROLLOUT_PAUSE     10     /* ms */
#define NGX_HTTP_GRAY_ROLLOUT_PATIENCE  100    /* ms, for the lock; */
#define NGX_HTTP_GRAY_ROLLOUT_WRITERS   2000   /* ms, for other writers */
#define NGX_HTTP_GRAY_ROLLOUT_SAY       60000  /* ms, between log lines */
#define NGX_HTTP_GRAY_ROLLOUT_GAP       1500   /* ms: a tick was left out */
#define NGX_HTTP_GRAY_ROLLOUT_BEHIND    5000   /* ms, for the document */


/* all that is copied for a tick or an action */

typedef struct {
    uint64_t                    word;
    ngx_http_gray_state_t       state;
    ngx_http_gray_world_t       world;
    ngx_http_gray_sample_t      canary;
    ngx_http_gray_sample_t      baseline;
    ngx_http_gray_counts_t      counts;
    ngx_http_gray_outcomes_t    outcomes;
    char                        testers[NGX_HTTP_GRAY_TESTERS];
} ngx_http_gray_rollout_scene_t;


static ngx_int_t ngx_http_gray_rollout_restore(
    ngx_http_gray_release_t *release, ngx_log_t *log);
static void ngx_http_gray_rollout_lost(ngx_http_gray_release_t *release,
    ngx_http_gray_rollout_scene_t *scene);
static ngx_int_t ngx_http_gray_rollout_scene(ngx_http_gray_release_t *release,
    ngx_http_gray_rollout_scene_t *scene, ngx_log_t *log);
static ngx_int_t ngx_http_gray_rollout_document(
    ngx_http_gray_release_t *release, ngx_http_gray_rollout_scene_t *scene);
static ngx_uint_t ngx_http_gray_rollout_behind(
    ngx_http_gray_release_t *release, ngx_http_gray_rollout_scene_t *scene);
static ngx_int_t ngx_http_gray_rollout_write(ngx_http_gray_release_t *release,
    ngx_http_gray_rollout_scene_t *scene, ngx_log_t *log);
static void ngx_http_gray_rollout_apply(void *data, ngx_int_t rc);
static void ngx_http_gray_rollout_applied(void *data, ngx_int_t rc,
    const char *why);
static ngx_int_t ngx_http_gray_rollout_command(
    ngx_http_gray_rollout_t *rollout);
static ngx_int_t ngx_http_gray_rollout_wait(ngx_http_gray_rollout_t *rollout,
    ngx_msec_t patience);
static void ngx_http_gray_rollout_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_gray_rollout_keep(ngx_http_gray_rollout_t *rollout);
static void ngx_http_gray_rollout_kept(void *data, ngx_int_t rc);
static ngx_int_t ngx_http_gray_rollout_wishes(
    ngx_http_gray_rollout_t *rollout);
static void ngx_http_gray_rollout_fulfilled(void *data, ngx_int_t rc,
    const char *why);
static void ngx_http_gray_rollout_end(ngx_http_gray_rollout_t *rollout,
    ngx_int_t rc);


void
ngx_http_gray_rollout_init(ngx_http_gray_release_t *release, ngx_log_t *log)
{
    if (release->trial) {
        (void) ngx_http_gray_rollout_restore(release, log);
    }
}


void
ngx_http_gray_rollout_tick(ngx_http_gray_release_t *release, ngx_log_t *log)
{
    ngx_uint_t                     wish;
    ngx_http_gray_rollout_scene_t  scene;

    if (release->trial == NULL
        || ngx_http_gray_rollout_restore(release, log) != NGX_OK)
    {
        return;
    }

    if (ngx_http_gray_live_rules(release, log) == NULL
        || release->word != ngx_http_gray_shm_word(release->block))
    {
        return;
    }

    ngx_http_gray_trial_read(release->trial, &scene.state);

    if (!ngx_http_gray_stage_active(&scene.state)
        && scene.state.wish == NGX_HTTP_GRAY_WISH_NONE
        && scene.state.stage != NGX_HTTP_GRAY_STAGE_ROLLED_BACK)
    {
        return;
    }

    /* beside an upgraded nginx it is that one's */

    if (ngx_http_gray_live_upgraded()) {
        return;
    }

    /* and where that is gone again, it has left word */

    if (ngx_current_msec - scene.state.tick > NGX_HTTP_GRAY_ROLLOUT_GAP) {
        (void) ngx_http_gray_keep_read(release, log);
    }

    if (ngx_http_gray_rollout_scene(release, &scene, log) != NGX_OK
        || ngx_http_gray_rollout_behind(release, &scene))
    {
        return;
    }

    ngx_http_gray_stage_tick(release->plan, &scene.state, &scene.world,
                             &scene.outcomes);

    if (ngx_http_gray_rollout_write(release, &scene, log) != NGX_OK) {
        return;
    }

    wish = (scene.state.wish != NGX_HTTP_GRAY_WISH_NONE
            && release->applying == NULL);

    /* not NULL, lest it is begun again while it begins */

    if (wish) {
        release->applying = release;
    }

    if (scene.outcomes.events
        || ngx_current_msec - release->kept >= NGX_HTTP_GRAY_ROLLOUT_KEEP)
    {
        release->kept = ngx_current_msec;
        ngx_http_gray_keep_write(release, wish ? ngx_http_gray_rollout_apply
                                               : NULL, release);

    } else if (wish) {
        ngx_http_gray_rollout_apply(release, NGX_OK);
    }
}


/*
 * What has come of another plan, or of none, is known before who has changed
 * it gets his answer: otherwise one that is taken out and put in again would
 * be one that goes on.  Other changes are seen by the next tick: a tick for
 * each new weight would count nothing, where they come without a pause.
 */

void
ngx_http_gray_rollout_replan(ngx_http_gray_release_t *release, ngx_log_t *log)
{
    ngx_http_gray_state_t  state;

    if (release->trial == NULL
        || ngx_http_gray_live_rules(release, log) == NULL)
    {
        return;
    }

    ngx_http_gray_trial_read(release->trial, &state);

    if (ngx_http_gray_stage_active(&state)
        && (release->plan == NULL || release->plan->id != state.plan))
    {
        ngx_http_gray_rollout_tick(release, log);
    }
}


/*
 * A zone is new: what was kept comes back into it, or a rollout that cannot be
 * read waits for an operator.  NGX_OK, or NGX_AGAIN.
 */

static ngx_int_t
ngx_http_gray_rollout_restore(ngx_http_gray_release_t *release, ngx_log_t *log)
{
    ngx_int_t                       rc;
    ngx_http_gray_rollout_scene_t   scene;

    if (ngx_http_gray_trial_word(release->trial)) {
        return NGX_OK;
    }

    rc = ngx_http_gray_keep_read(release, log);

    if (rc == NGX_OK || rc == NGX_AGAIN) {
        return rc;
    }

    if (ngx_http_gray_live_rules(release, log) == NULL
        || ngx_http_gray_rollout_scene(release, &scene, log) != NGX_OK)
    {
        return NGX_AGAIN;
    }

    /* another worker was faster */

    if (scene.word) {
        return NGX_OK;
    }

    ngx_memzero(&scene.state, sizeof(ngx_http_gray_state_t));
    ngx_memzero(&scene.outcomes, sizeof(ngx_http_gray_outcomes_t));

    if (rc == NGX_ERROR && release->plan && !scene.world.promoted) {
        ngx_http_gray_rollout_lost(release, &scene);
    }

    return ngx_http_gray_rollout_write(release, &scene, log);
}


static void
ngx_http_gray_rollout_lost(ngx_http_gray_release_t *release,
    ngx_http_gray_rollout_scene_t *scene)
{
    ngx_http_gray_state_t     *state;
    ngx_http_gray_event_t     *event;
    ngx_http_gray_outcomes_t   none;

    static const char reason[] = "its state could not be read, see the error "
                                 "log; abort it, or resume it from the weight "
                                 "that there is";

    state = &scene->state;

    ngx_memcpy(state->variant, release->plan->variant, sizeof(state->variant));
    ngx_memcpy(state->reason, reason, sizeof(reason));

    state->serial = 1;
    state->stage = NGX_HTTP_GRAY_STAGE_PAUSED;
    state->before = NGX_HTTP_GRAY_STAGE_RUNNING;
    state->cause = NGX_HTTP_GRAY_CAUSE_LOST;
    state->weight = scene->world.weight;
    state->since = scene->world.time;

    event = &scene->outcomes.event[0];

    ngx_memzero(event, sizeof(ngx_http_gray_event_t));
    ngx_memcpy(event->reason, reason, sizeof(reason));

    event->time = scene->world.time;
    event->hook = NGX_HTTP_GRAY_HOOK_PAUSE;
    event->to = state->stage;
    event->cause = state->cause;
    event->weight = state->weight;
    event->value = -1;

    scene->outcomes.events = 1;

    /* it is of no plan, so it is taken up by the one that there is */

    ngx_http_gray_stage_tick(release->plan, state, &scene->world, &none);

    event->step = state->step;
}


/* the state, and the world that it is in */

static ngx_int_t
ngx_http_gray_rollout_scene(ngx_http_gray_release_t *release,
    ngx_http_gray_rollout_scene_t *scene, ngx_log_t *log)
{
    ngx_http_gray_world_t    *world;
    ngx_http_gray_variant_t  *baseline;

    world = &scene->world;

    scene->word = ngx_http_gray_trial_word(release->trial);
    ngx_http_gray_trial_read(release->trial, &scene->state);

    *world = release->world;
    world->testers = release->testers;
    world->revision = release->revision;

    /* the plan may be gone, or be another one's, before that is over */

    if ((ngx_http_gray_stage_active(&scene->state)
         || scene->state.wish != NGX_HTTP_GRAY_WISH_NONE)
        && (release->plan == NULL
            || ngx_strcmp(release->plan->variant, scene->state.variant) != 0)
        && ngx_http_gray_rollout_document(release, scene) != NGX_OK)
    {
        return NGX_ERROR;
    }

    world->now = ngx_current_msec;
    world->time = ngx_time();

    ngx_http_gray_trial_sum(release->trial, NGX_HTTP_GRAY_TRIAL_CANARY,
                            &scene->canary);
    ngx_http_gray_trial_sum(release->trial, NGX_HTTP_GRAY_TRIAL_BASELINE,
                            &scene->baseline);

    baseline = ngx_http_gray_rules_baseline(release->rules);

    ngx_http_gray_counters_sum(release->counters, baseline->slot,
                               &scene->counts);

    world->canary = &scene->canary;
    world->baseline = &scene->baseline;
    world->times = scene->counts.header;
    world->filled = ngx_http_gray_trial_filled(release->trial);

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_rollout_document(ngx_http_gray_release_t *release,
    ngx_http_gray_rollout_scene_t *scene)
{
    ngx_http_gray_json_t      *doc;
    ngx_http_gray_snapshot_t   snapshot;

    if (ngx_http_gray_live_read(release, &snapshot, &doc) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_gray_look(doc, scene->state.variant, &scene->world,
                       scene->testers, sizeof(scene->testers));

    scene->world.testers = scene->testers;
    scene->world.revision = snapshot.revision;

    ngx_http_gray_json_free(doc);
    free(snapshot.text.data);

    return NGX_OK;
}


/*
 * 1 where the state is newer than the document that is known here, as it is
 * where another nginx has left it: what was there before would look like a
 * change by an operator.  Workers follow the journal soon; if they do not, that
 * has lost revisions.
 */

static ngx_uint_t
ngx_http_gray_rollout_behind(ngx_http_gray_release_t *release,
    ngx_http_gray_rollout_scene_t *scene)
{
    if (scene->world.revision >= scene->state.from) {
        return 0;
    }

    if (release->behind != scene->state.from) {
        release->behind = scene->state.from;
        release->noticed = ngx_current_msec;
    }

    return ngx_current_msec - release->noticed < NGX_HTTP_GRAY_ROLLOUT_BEHIND;
}


/* NGX_OK; NGX_AGAIN where the lock is not to be had, or it was too late */

static ngx_int_t
ngx_http_gray_rollout_write(ngx_http_gray_release_t *release,
    ngx_http_gray_rollout_scene_t *scene, ngx_log_t *log)
{
    ngx_uint_t              i, level;
    ngx_http_gray_event_t  *event;

    if (ngx_http_gray_shm_lock(release->zone) != NGX_OK) {
        return NGX_AGAIN;
    }

    if (ngx_http_gray_trial_word(release->trial) != scene->word
        || release->block->moves != release->moves)
    {
        ngx_http_gray_shm_unlock(release->zone);
        return NGX_AGAIN;
    }

    if (scene->outcomes.forget) {
        ngx_http_gray_trial_forget(release->trial);
    }

    ngx_http_gray_trial_write_locked(release->trial, &scene->state,
                                     &scene->outcomes);

    ngx_http_gray_shm_unlock(release->zone);

    for (i = 0; i < scene->outcomes.events; i++) {
        event = &scene->outcomes.event[i];

        level = (event->hook == NGX_HTTP_GRAY_HOOK_ROLLBACK
                 || event->hook == NGX_HTTP_GRAY_HOOK_PAUSE)
                ? NGX_LOG_WARN : NGX_LOG_NOTICE;

        ngx_log_error(level, log, 0,
                      "gray: release \"%V\": rollout %V: %s", &release->name,
                      &ngx_http_gray_stages[event->to], event->reason);
    }

    return NGX_OK;
}


static void
ngx_http_gray_rollout_apply(void *data, ngx_int_t rc)
{
    ngx_http_gray_release_t *release = data;

    release->applying = ngx_http_gray_apply(release,
                                            ngx_http_gray_rollout_applied,
                                            release);
}


/*
 * What the document is now is looked at soon, as counting begins with it, and
 * is kept, lest what an operator does next is taken for what was there before.
 */

static void
ngx_http_gray_rollout_applied(void *data, ngx_int_t rc, const char *why)
{
    ngx_http_gray_release_t *release = data;

    release->applying = NULL;

    if (rc == NGX_OK) {
        release->failing = 0;
        release->kept = ngx_current_msec - NGX_HTTP_GRAY_ROLLOUT_KEEP;
        ngx_http_gray_rollout_tick(release, ngx_cycle->log);

    } else if (rc == NGX_ERROR
               && (!release->failing
                   || ngx_current_msec - release->failed
                      >= NGX_HTTP_GRAY_ROLLOUT_SAY))
    {
        /* it is tried each second, and said once in a while */

        release->failing = 1;
        release->failed = ngx_current_msec;

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "gray: release \"%V\": its rollout could not change the "
                      "document, which is tried again: %s", &release->name,
                      why);
    }
}


ngx_int_t
ngx_http_gray_rollout_start(ngx_http_gray_rollout_t *rollout)
{
    rollout->since = ngx_current_msec;
    rollout->apply = NULL;

    ngx_memzero(&rollout->event, sizeof(ngx_event_t));

    rollout->event.handler = ngx_http_gray_rollout_handler;
    rollout->event.data = rollout;
    rollout->event.log = ngx_cycle->log;

    rollout->step = ngx_http_gray_rollout_command;

    return ngx_http_gray_rollout_command(rollout);
}


static ngx_int_t
ngx_http_gray_rollout_command(ngx_http_gray_rollout_t *rollout)
{
    ngx_int_t                       rc;
    ngx_log_t                      *log;
    ngx_http_gray_release_t        *release;
    ngx_http_gray_rollout_scene_t   scene;

    release = rollout->release;
    log = ngx_cycle->log;

    if (ngx_http_gray_live_left(release)
        || ngx_http_gray_live_upgraded())
    {
        return NGX_ABORT;
    }

    if (ngx_http_gray_rollout_restore(release, log) != NGX_OK) {
        return ngx_http_gray_rollout_wait(rollout,
                                          NGX_HTTP_GRAY_ROLLOUT_PATIENCE);
    }

    if (ngx_http_gray_live_rules(release, log) == NULL
        || ngx_http_gray_rollout_scene(release, &scene, log) != NGX_OK)
    {
        return NGX_AGAIN;
    }

    if (rollout->holds && !rollout->holds(rollout, scene.world.revision)) {
        return NGX_DECLINED;
    }

    rc = ngx_http_gray_stage_command(release->plan, &scene.state,
                                     &scene.world, rollout->command,
                                     rollout->who, &scene.outcomes);

    if (rc == NGX_DECLINED) {
        ngx_memcpy(rollout->refused, scene.outcomes.refused,
                   sizeof(rollout->refused));
        return NGX_DECLINED;
    }

    if (ngx_http_gray_rollout_write(release, &scene, log) != NGX_OK) {
        return ngx_http_gray_rollout_wait(rollout,
                                          NGX_HTTP_GRAY_ROLLOUT_PATIENCE);
    }

    return ngx_http_gray_rollout_keep(rollout);
}


/* NGX_DONE, or NGX_AGAIN where it has waited for too long */

static ngx_int_t
ngx_http_gray_rollout_wait(ngx_http_gray_rollout_t *rollout,
    ngx_msec_t patience)
{
    if (ngx_current_msec - rollout->since >= patience) {
        return NGX_AGAIN;
    }

    ngx_add_timer(&rollout->event, 1 + ngx_random()
                                       % NGX_HTTP_GRAY_ROLLOUT_PAUSE);

    return NGX_DONE;
}


static void
ngx_http_gray_rollout_handler(ngx_event_t *ev)
{
    ngx_int_t                 rc;
    ngx_http_gray_rollout_t  *rollout;

    rollout = ev->data;

    rc = rollout->step(rollout);

    if (rc != NGX_DONE) {
        ngx_http_gray_rollout_end(rollout, rc);
    }
}


/* the state has changed: it is kept, */

static ngx_int_t
ngx_http_gray_rollout_keep(ngx_http_gray_rollout_t *rollout)
{
    ngx_uint_t  inside;

    inside = rollout->inside;

    rollout->answer = NGX_DONE;
    rollout->inside = 1;

    ngx_http_gray_keep_write(rollout->release, ngx_http_gray_rollout_kept,
                             rollout);

    rollout->inside = inside;

    return rollout->answer;
}


static void
ngx_http_gray_rollout_kept(void *data, ngx_int_t rc)
{
    ngx_http_gray_rollout_t *rollout = data;

    /* others of this process are about to be kept */

    if (rc == NGX_BUSY) {
        rollout->step = ngx_http_gray_rollout_keep;

        if (ngx_http_gray_rollout_wait(rollout, NGX_HTTP_GRAY_ROLLOUT_WRITERS)
            == NGX_DONE)
        {
            return;
        }
    }

    /* it is so all the same, and the document follows */

    rollout->unkept = (rc != NGX_OK);

    rollout->since = ngx_current_msec;
    rollout->step = ngx_http_gray_rollout_wishes;

    rc = ngx_http_gray_rollout_wishes(rollout);

    if (rollout->inside) {
        rollout->answer = rc;

    } else if (rc != NGX_DONE) {
        ngx_http_gray_rollout_end(rollout, rc);
    }
}


/* and then the document changes, if it is to be another one */

static ngx_int_t
ngx_http_gray_rollout_wishes(ngx_http_gray_rollout_t *rollout)
{
    void        *apply;
    ngx_uint_t   inside;

    inside = rollout->inside;

    rollout->answer = NGX_DONE;
    rollout->inside = 1;

    apply = ngx_http_gray_apply(rollout->release,
                                ngx_http_gray_rollout_fulfilled, rollout);

    rollout->inside = inside;

    if (apply) {
        rollout->apply = apply;
        return NGX_DONE;
    }

    return rollout->answer;
}


static void
ngx_http_gray_rollout_fulfilled(void *data, ngx_int_t rc, const char *why)
{
    ngx_http_gray_rollout_t *rollout = data;

    const char  *what;

    rollout->apply = NULL;
    what = "its document could not be, which is tried on: ";

    switch (rc) {

    case NGX_OK:
        rollout->release->kept = ngx_current_msec - NGX_HTTP_GRAY_ROLLOUT_KEEP;
        ngx_http_gray_rollout_tick(rollout->release, ngx_cycle->log);

        if (rollout->unkept) {
            what = "";
            why = "cannot be kept in the state directory, see the error log; "
                  "that is tried on, and until then it would not survive a "
                  "restart";
            rc = NGX_ERROR;
        }

        break;

    case NGX_AGAIN:
        rc = ngx_http_gray_rollout_wait(rollout,
                                        NGX_HTTP_GRAY_ROLLOUT_WRITERS);

        if (rc == NGX_AGAIN) {
            why = "others change the release all the time";
            rc = NGX_ERROR;
        }

        break;

    case NGX_ABORT:
        why = "nginx was reloaded, and its new workers go on";
        rc = NGX_ERROR;
        break;

    default: /* NGX_ERROR */
        break;
    }

    if (rc == NGX_ERROR) {
        (void) snprintf(rollout->refused, sizeof(rollout->refused), "%s%s",
                        what, why ? why : "memory is short");
    }

    if (rollout->inside) {
        rollout->answer = rc;
        return;
    }

    if (rc != NGX_DONE) {
        ngx_http_gray_rollout_end(rollout, rc);
    }
}


static void
ngx_http_gray_rollout_end(ngx_http_gray_rollout_t *rollout, ngx_int_t rc)
{
    rollout->done(rollout, rc);
}


void
ngx_http_gray_rollout_leave(ngx_http_gray_rollout_t *rollout)
{
    if (rollout->event.timer_set) {
        ngx_del_timer(&rollout->event);
    }

    if (rollout->apply) {
        ngx_http_gray_apply_leave(rollout->apply);
    }

    ngx_http_gray_keep_leave(rollout->release, rollout);
}
