
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_apply.h"
#include "ngx_http_gray_commit.h"
#include "ngx_http_gray_live.h"
#include "ngx_http_gray_look.h"


#define NGX_HTTP_GRAY_APPLY_AUTHOR  "rollout"


struct ngx_http_gray_apply_s {
    ngx_http_gray_release_t    *release;
    ngx_http_gray_commit_t     *commit;
    ngx_http_gray_apply_pt      done;       /* NULL: nobody is interested */
    void                       *data;
    uint64_t                    revision;   /* that it makes, */
    uint32_t                    wish;       /* of what was wished for then */
    uint32_t                    weight;
    char                        reason[NGX_HTTP_GRAY_STAGE_REASON];
};


static ngx_int_t ngx_http_gray_apply_prepare(ngx_http_gray_apply_t *apply,
    const char **why, char *buf, size_t size);
static ngx_uint_t ngx_http_gray_apply_holds(ngx_http_gray_commit_t *commit);
static ngx_int_t ngx_http_gray_apply_build(ngx_http_gray_apply_t *apply,
    ngx_http_gray_state_t *state, ngx_http_gray_json_t *current,
    ngx_str_t *text, const char **why, char *buf, size_t size);
static ngx_uint_t ngx_http_gray_apply_set(ngx_http_gray_state_t *state,
    ngx_http_gray_world_t *world);
static ngx_http_gray_json_t *ngx_http_gray_apply_compose(
    ngx_http_gray_state_t *state, ngx_http_gray_json_t *current);
static ngx_int_t ngx_http_gray_apply_promote(ngx_http_gray_json_t *doc,
    const char *variant);
static ngx_int_t ngx_http_gray_apply_zero(ngx_http_gray_json_t *doc,
    const char *variant);
static void ngx_http_gray_apply_reason(ngx_http_gray_apply_t *apply);
static ngx_int_t ngx_http_gray_apply_text(ngx_str_t *to, const char *from);
static void ngx_http_gray_apply_done(ngx_http_gray_commit_t *commit,
    ngx_int_t rc);
static void ngx_http_gray_apply_end(ngx_http_gray_apply_t *apply,
    ngx_int_t rc);


ngx_http_gray_apply_t *
ngx_http_gray_apply(ngx_http_gray_release_t *release,
    ngx_http_gray_apply_pt done, void *data)
{
    char                    buf[NGX_HTTP_GRAY_STAGE_REASON];
    ngx_int_t               rc;
    const char             *why;
    ngx_http_gray_apply_t  *apply;

    why = "memory is short";

    apply = calloc(1, sizeof(ngx_http_gray_apply_t));
    if (apply == NULL) {
        done(data, NGX_ERROR, why);
        return NULL;
    }

    apply->release = release;

    rc = ngx_http_gray_apply_prepare(apply, &why, buf, sizeof(buf));

    if (rc != NGX_DONE) {
        free(apply);
        done(data, rc, why);
        return NULL;
    }

    apply->done = done;
    apply->data = data;

    rc = ngx_http_gray_commit_start(apply->commit);

    if (rc == NGX_DONE) {
        return apply;
    }

    ngx_http_gray_apply_end(apply, rc);

    return NULL;
}


/* NGX_DONE: there is something to be committed */

static ngx_int_t
ngx_http_gray_apply_prepare(ngx_http_gray_apply_t *apply, const char **why,
    char *buf, size_t size)
{
    ngx_int_t                  rc;
    ngx_str_t                  text;
    ngx_http_gray_json_t      *current;
    ngx_http_gray_state_t      state;
    ngx_http_gray_commit_t    *commit;
    ngx_http_gray_release_t   *release;
    ngx_http_gray_snapshot_t   snapshot;

    release = apply->release;

    if (ngx_http_gray_live_left(release)) {
        return NGX_ABORT;
    }

    ngx_http_gray_trial_read(release->trial, &state);

    if (ngx_http_gray_live_read(release, &snapshot, &current) != NGX_OK) {
        return NGX_ERROR;
    }

    free(snapshot.text.data);

    apply->revision = snapshot.revision + 1;
    apply->wish = state.wish;
    apply->weight = state.weight;

    rc = ngx_http_gray_apply_build(apply, &state, current, &text, why, buf,
                                   size);

    ngx_http_gray_json_free(current);

    if (rc != NGX_DONE) {
        return rc;
    }

    ngx_http_gray_apply_reason(apply);

    commit = ngx_http_gray_commit_create(release);

    if (commit == NULL) {
        free(text.data);
        return NGX_ERROR;
    }

    apply->commit = commit;

    commit->word = snapshot.word;
    commit->text = text;
    commit->origin = NGX_HTTP_GRAY_API;
    commit->holds = ngx_http_gray_apply_holds;
    commit->done = ngx_http_gray_apply_done;
    commit->data = apply;

    if (ngx_http_gray_apply_text(&commit->author, NGX_HTTP_GRAY_APPLY_AUTHOR)
        != NGX_OK
        || ngx_http_gray_apply_text(&commit->comment, apply->reason) != NGX_OK)
    {
        ngx_http_gray_commit_leave(commit);
        return NGX_ERROR;
    }

    return NGX_DONE;
}


/* it may have waited for the lock, and another thing be wished for by now */

static ngx_uint_t
ngx_http_gray_apply_holds(ngx_http_gray_commit_t *commit)
{
    ngx_http_gray_apply_t  *apply;
    ngx_http_gray_state_t   state;

    apply = commit->data;

    ngx_http_gray_trial_read(apply->release->trial, &state);

    return state.wish == apply->wish && state.weight == apply->weight;
}


static ngx_int_t
ngx_http_gray_apply_build(ngx_http_gray_apply_t *apply,
    ngx_http_gray_state_t *state, ngx_http_gray_json_t *current,
    ngx_str_t *text, const char **why, char *buf, size_t size)
{
    ngx_int_t                rc;
    ngx_uint_t               same;
    ngx_http_gray_json_t    *input, *doc;
    ngx_http_gray_world_t    world;
    ngx_http_gray_faults_t   faults;

    ngx_http_gray_look(current, state->variant, &world, NULL, 0);

    if (state->wish == NGX_HTTP_GRAY_WISH_NONE
        || (state->wish == NGX_HTTP_GRAY_WISH_WEIGHT
            && world.weight == state->weight)
        || world.promoted)
    {
        return NGX_OK;
    }

    if (ngx_http_gray_apply_set(state, &world)) {
        return NGX_AGAIN;
    }

    input = ngx_http_gray_apply_compose(state, current);
    if (input == NULL) {
        return NGX_ERROR;
    }

    faults.n = 0;

    rc = ngx_http_gray_release_build(NULL, apply->release, input, current,
                                     &doc, text, &faults);

    ngx_http_gray_json_free(input);

    if (rc == NGX_DECLINED || rc == NGX_BUSY) {
        (void) ngx_snprintf((u_char *) buf, size - 1,
                            "the document would not be valid: %s%s%s%Z",
                            faults.fault[0].pointer,
                            faults.fault[0].pointer[0] ? " " : "",
                            faults.fault[0].detail);
        buf[size - 1] = '\0';
        *why = buf;
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    same = ngx_http_gray_json_equal(doc, current);

    ngx_http_gray_json_free(doc);

    if (same) {
        free(text->data);
        return NGX_OK;
    }

    return NGX_DONE;
}


/*
 * An operator has set another weight meanwhile: that is not to be overwritten,
 * and the next tick sees it.  A rollback goes before all.
 */

static ngx_uint_t
ngx_http_gray_apply_set(ngx_http_gray_state_t *state,
    ngx_http_gray_world_t *world)
{
    switch (state->wish) {

    case NGX_HTTP_GRAY_WISH_WEIGHT:
        return world->weight != state->old_weight;

    case NGX_HTTP_GRAY_WISH_PROMOTE:
        return world->weight != state->weight;

    default: /* NGX_HTTP_GRAY_WISH_ROLLBACK */
        return 0;
    }
}


/* allocations are derived anew, so that nobody moves who need not */

static ngx_http_gray_json_t *
ngx_http_gray_apply_compose(ngx_http_gray_state_t *state,
    ngx_http_gray_json_t *current)
{
    ngx_int_t              rc;
    ngx_http_gray_json_t  *doc, *variant;

    doc = ngx_http_gray_document_bare(current);

    variant = ngx_http_gray_json_get(ngx_http_gray_json_get(doc, "variants"),
                                     state->variant);

    if (variant == NULL) {
        ngx_http_gray_json_free(doc);
        return NULL;
    }

    switch (state->wish) {

    case NGX_HTTP_GRAY_WISH_PROMOTE:
        rc = ngx_http_gray_apply_promote(doc, state->variant);
        break;

    case NGX_HTTP_GRAY_WISH_ROLLBACK:
        rc = ngx_http_gray_json_set(variant, "weight",
                                    ngx_http_gray_json_number(0));
        if (rc == NGX_OK) {
            rc = ngx_http_gray_apply_zero(doc, state->variant);
        }

        break;

    default: /* NGX_HTTP_GRAY_WISH_WEIGHT */
        rc = ngx_http_gray_json_set(variant, "weight",
                                    ngx_http_gray_json_number(
                                              (double) state->weight
                                              / (NGX_HTTP_GRAY_BUCKETS / 100)));
    }

    if (rc != NGX_OK) {
        ngx_http_gray_json_free(doc);
        return NULL;
    }

    return doc;
}


/* the old baseline becomes a variant without weight, and in rules likewise */

static ngx_int_t
ngx_http_gray_apply_promote(ngx_http_gray_json_t *doc, const char *variant)
{
    ngx_str_t              old;
    ngx_http_gray_json_t  *variants, *rule, *weights;

    variants = ngx_http_gray_json_get(doc, "variants");
    old = ngx_http_gray_json_text(ngx_http_gray_json_get(doc, "baseline"));

    ngx_http_gray_json_free(ngx_http_gray_json_detach(
                                   ngx_http_gray_json_get(variants, variant),
                                   "weight"));

    if (ngx_http_gray_json_set(ngx_http_gray_json_get(variants,
                                                      (char *) old.data),
                               "weight", ngx_http_gray_json_number(0))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (rule = ngx_http_gray_json_first(ngx_http_gray_json_get(doc, "rules"));
         rule;
         rule = ngx_http_gray_json_next(rule))
    {
        weights = ngx_http_gray_json_get(rule, "weights");

        if (weights == NULL) {
            continue;
        }

        ngx_http_gray_json_free(ngx_http_gray_json_detach(weights, variant));

        if (ngx_http_gray_json_set(weights, (char *) old.data,
                                   ngx_http_gray_json_number(0))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_gray_json_set(doc, "baseline",
                                  ngx_http_gray_json_string((u_char *) variant,
                                                        ngx_strlen(variant)));
}


/* in rules with weights of their own */

static ngx_int_t
ngx_http_gray_apply_zero(ngx_http_gray_json_t *doc, const char *variant)
{
    ngx_http_gray_json_t  *rule, *weights;

    for (rule = ngx_http_gray_json_first(ngx_http_gray_json_get(doc, "rules"));
         rule;
         rule = ngx_http_gray_json_next(rule))
    {
        weights = ngx_http_gray_json_get(rule, "weights");

        if (ngx_http_gray_json_get(weights, variant)
            && ngx_http_gray_json_set(weights, variant,
                                      ngx_http_gray_json_number(0))
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* what led to the state, as it was logged last */

static void
ngx_http_gray_apply_reason(ngx_http_gray_apply_t *apply)
{
    ngx_http_gray_event_t         *event;
    ngx_http_gray_trial_record_t   record;

    ngx_http_gray_trial_record(apply->release->trial, &record);

    event = &record.event[record.events % NGX_HTTP_GRAY_TRIAL_EVENTS];

    ngx_memcpy(apply->reason, event->reason, sizeof(apply->reason));
    apply->reason[sizeof(apply->reason) - 1] = '\0';
}


static ngx_int_t
ngx_http_gray_apply_text(ngx_str_t *to, const char *from)
{
    size_t  len;

    len = ngx_strlen(from);

    to->data = malloc(len + 1);
    if (to->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(to->data, from, len + 1);
    to->len = len;

    return NGX_OK;
}


static void
ngx_http_gray_apply_done(ngx_http_gray_commit_t *commit, ngx_int_t rc)
{
    ngx_http_gray_apply_end(commit->data, rc);
}


static void
ngx_http_gray_apply_end(ngx_http_gray_apply_t *apply, ngx_int_t rc)
{
    char                    buf[NGX_HTTP_GRAY_STAGE_REASON];
    const char             *why;
    ngx_http_gray_apply_pt  done;
    ngx_http_gray_commit_t *commit;

    commit = apply->commit;
    done = apply->done;
    why = NULL;

    switch (rc) {

    case NGX_OK:
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "gray: release \"%V\" revision %uL by its rollout: %s",
                      &apply->release->name, apply->revision, apply->reason);
        break;

    case NGX_DECLINED:
    case NGX_AGAIN:
        rc = NGX_AGAIN;
        break;

    case NGX_ABORT:
        break;

    case NGX_BUSY:
        rc = NGX_ERROR;
        why = "the document is longer than the zone takes";
        break;

    default: /* NGX_ERROR */
        rc = NGX_ERROR;
        (void) ngx_snprintf((u_char *) buf, sizeof(buf),
                            "it cannot be written to the state directory: "
                            "%s%Z", commit->journal.failed
                                    ? commit->journal.failed : "memory");
        buf[sizeof(buf) - 1] = '\0';
        why = buf;
    }

    ngx_http_gray_commit_leave(commit);

    if (done) {
        done(apply->data, rc, why);
    }

    free(apply);
}


void
ngx_http_gray_apply_leave(ngx_http_gray_apply_t *apply)
{
    apply->done = NULL;
}
