
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * What of a release is live: the document in the zone, which is the same for
 * all processes, and the rule set that this process has made of it.
 *
 * A process compiles a revision when it meets its word for the first time, and
 * decides by the set from then on, without a lock.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_failpoint.h"
#include "ngx_http_gray_live.h"
#include "ngx_http_gray_look.h"
#include "ngx_http_gray_slots.h"


static ngx_int_t ngx_http_gray_live_publish_locked(
    ngx_http_gray_release_t *release, uint64_t word, ngx_str_t *text,
    ngx_http_gray_origin_e origin);
static ngx_uint_t ngx_http_gray_live_keeps(ngx_http_gray_release_t *release,
    const ngx_http_gray_json_t *live, ngx_http_gray_snapshot_t *snapshot,
    ngx_log_t *log);
static ngx_http_gray_kind_e ngx_http_gray_live_kind_of(
    const ngx_http_gray_json_t *doc);
static ngx_int_t ngx_http_gray_live_plan(ngx_http_gray_release_t *release,
    const ngx_http_gray_json_t *doc, ngx_http_gray_plan_t **plan);
static ngx_uint_t ngx_http_gray_live_adopt(ngx_http_gray_release_t *release,
    ngx_http_gray_rules_t *rules, ngx_http_gray_snapshot_t *snapshot,
    ngx_log_t *log);
static void ngx_http_gray_live_arms(ngx_http_gray_release_t *release,
    ngx_http_gray_plan_t *plan);
static void ngx_http_gray_live_slots(ngx_http_gray_release_t *release,
    ngx_log_t *log);
static void ngx_http_gray_live_stay(ngx_http_gray_release_t *release,
    ngx_http_gray_rules_t *rules, ngx_http_gray_snapshot_t *snapshot,
    ngx_log_t *log);
static void ngx_http_gray_live_uncompiled(ngx_http_gray_release_t *release,
    ngx_log_t *log);


ngx_int_t
ngx_http_gray_live_read(ngx_http_gray_release_t *release,
    ngx_http_gray_snapshot_t *snapshot, ngx_http_gray_json_t **doc)
{
    ngx_http_gray_json_error_t  err;

    if (ngx_http_gray_shm_read(release->zone, release->block, snapshot)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    *doc = ngx_http_gray_json_parse(snapshot->text.data, snapshot->text.len,
                                    &err);
    if (*doc) {
        return NGX_OK;
    }

    if (err.line) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "gray: release \"%V\" revision %uL is no JSON: %s in "
                      "line %ui, column %ui", &release->name,
                      snapshot->revision, err.detail, err.line, err.column);
    }

    free(snapshot->text.data);

    return NGX_ERROR;
}


ngx_int_t
ngx_http_gray_live_write(ngx_http_gray_release_t *release, uint64_t word,
    ngx_str_t *text, ngx_http_gray_origin_e origin, ngx_log_t *log)
{
    ngx_int_t  rc;

    if (ngx_http_gray_shm_lock(release->zone) != NGX_OK) {
        return NGX_AGAIN;
    }

    if (ngx_http_gray_live_left(release)) {
        rc = NGX_ABORT;

    } else {
        rc = ngx_http_gray_live_publish_locked(release, word, text, origin);

        /* a process that was stopped here may find itself left behind */

        __atomic_thread_fence(__ATOMIC_SEQ_CST);

        if (release->block->moves != release->moves) {
            rc = NGX_ABORT;
        }
    }

    ngx_http_gray_shm_unlock(release->zone);

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, log, 0,
                   "gray: write %V after word %uL: %i",
                   &release->name, word, rc);

    return rc;
}


ngx_int_t
ngx_http_gray_live_publish(ngx_http_gray_release_t *release, uint64_t word,
    ngx_str_t *text, ngx_http_gray_origin_e origin)
{
    ngx_int_t  rc;

    if (ngx_http_gray_shm_lock(release->zone) != NGX_OK) {
        return NGX_AGAIN;
    }

    rc = ngx_http_gray_live_publish_locked(release, word, text, origin);

    ngx_http_gray_shm_unlock(release->zone);

    return rc;
}


static ngx_int_t
ngx_http_gray_live_publish_locked(ngx_http_gray_release_t *release,
    uint64_t word, ngx_str_t *text, ngx_http_gray_origin_e origin)
{
    if (ngx_http_gray_shm_word(release->block) != word) {
        return NGX_DECLINED;
    }

    return ngx_http_gray_shm_publish_locked(release->zone, release->block,
                                            text, origin)
           == NGX_OK ? NGX_OK : NGX_BUSY;
}


ngx_int_t
ngx_http_gray_live_due(ngx_http_gray_release_t *release, uint64_t *word,
    ngx_str_t *text, ngx_log_t *log)
{
    ngx_int_t                  rc;
    ngx_http_gray_json_t      *live, *doc;
    ngx_http_gray_faults_t     faults;
    ngx_http_gray_snapshot_t   snapshot;

    if (ngx_http_gray_live_read(release, &snapshot, &live) != NGX_OK) {
        return NGX_ERROR;
    }

    free(snapshot.text.data);

    *word = snapshot.word;
    rc = NGX_DECLINED;

    if (!ngx_http_gray_live_keeps(release, live, &snapshot, log)) {
        faults.n = 0;

        rc = ngx_http_gray_release_reset(release, live, &doc, text, &faults);

        if (rc == NGX_OK) {
            ngx_http_gray_json_free(doc);
        }
    }

    ngx_http_gray_json_free(live);

    return rc;
}


static ngx_uint_t
ngx_http_gray_live_keeps(ngx_http_gray_release_t *release,
    const ngx_http_gray_json_t *live, ngx_http_gray_snapshot_t *snapshot,
    ngx_log_t *log)
{
    if (!ngx_http_gray_release_differs(release, live)) {
        return 1;
    }

    if (ngx_http_gray_live_kind_of(live) != release->kind) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "gray: release \"%V\" %s, so its revision %uL is "
                      "replaced by what nginx.conf declares", &release->name,
                      release->kind == NGX_HTTP_GRAY_ROUTED
                      ? "has upstreams now" : "has no upstreams now",
                      snapshot->revision);
        return 0;
    }

    if (snapshot->origin == NGX_HTTP_GRAY_DECLARED) {
        return 0;
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "gray: release \"%V\" was changed at run time and keeps its "
                  "revision %uL, which differs from nginx.conf; DELETE it to "
                  "take up what is declared",
                  &release->name, snapshot->revision);

    return 1;
}


static ngx_http_gray_kind_e
ngx_http_gray_live_kind_of(const ngx_http_gray_json_t *doc)
{
    ngx_http_gray_json_t  *variant;

    variant = ngx_http_gray_json_first(ngx_http_gray_json_get(doc,
                                                              "variants"));

    return ngx_http_gray_json_get(variant, "upstream") ? NGX_HTTP_GRAY_ROUTED
                                                       : NGX_HTTP_GRAY_SWITCH;
}


ngx_uint_t
ngx_http_gray_live_left(ngx_http_gray_release_t *release)
{
    return release->block->moves != release->moves
           || ngx_http_gray_shm_outdated(release->zone);
}


/*
 * The master renames its pid file then, and renames it back where the new one
 * is gone.
 */

ngx_uint_t
ngx_http_gray_live_upgraded(void)
{
    int               fd;
    char              text[NGX_INT64_LEN + 2];
    ssize_t           n;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);

    fd = open((char *) ccf->oldpid.data, O_RDONLY|O_CLOEXEC|O_NONBLOCK);

    if (fd == -1) {
        return 0;
    }

    n = read(fd, text, sizeof(text) - 1);

    (void) close(fd);

    if (n <= 0) {
        return 0;
    }

    text[n] = '\0';

    return strtol(text, NULL, 10) == (long) ngx_parent;
}


ngx_int_t
ngx_http_gray_live_fits(ngx_http_gray_release_t *release,
    uint64_t revision, size_t len, ngx_log_t *log)
{
    if (len <= release->zone->document + NGX_HTTP_GRAY_MORE_DISABLED) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, log, 0,
                  "gray_zone \"%V\": release \"%V\" has a live document of "
                  "%uz bytes, revision %uL: document=SIZE must be at least "
                  "%uzk", &release->zone_name, &release->name, len, revision,
                  (len - NGX_HTTP_GRAY_MORE_DISABLED + 1023) / 1024);

    return NGX_ERROR;
}


void
ngx_http_gray_live_refresh(ngx_http_gray_release_t *release, ngx_log_t *log)
{
    ngx_int_t                  rc;
    ngx_http_gray_json_t      *doc;
    ngx_http_gray_plan_t      *plan;
    ngx_http_gray_rules_t     *rules;
    ngx_http_gray_snapshot_t   snapshot;

    if (release->health == NGX_HTTP_GRAY_UNCOMPILED
        && ngx_time() < release->retry)
    {
        return;
    }

    if (ngx_http_gray_live_read(release, &snapshot, &doc) != NGX_OK) {
        ngx_http_gray_live_uncompiled(release, log);
        return;
    }

    rules = ngx_http_gray_release_compile(release, doc);
    rc = ngx_http_gray_live_plan(release, doc, &plan);

    ngx_http_gray_json_free(doc);
    free(snapshot.text.data);

    if (rules == NULL || rc != NGX_OK) {
        ngx_http_gray_live_uncompiled(release, log);

        if (rules) {
            ngx_http_gray_rules_destroy(rules);
        }

        free(plan);
        return;
    }

    if (!ngx_http_gray_live_adopt(release, rules, &snapshot, log)) {
        free(plan);
        return;
    }

    ngx_http_gray_live_arms(release, plan);
}


/* NULL where the document has none: it must not look so for want of memory */

static ngx_int_t
ngx_http_gray_live_plan(ngx_http_gray_release_t *release,
    const ngx_http_gray_json_t *doc, ngx_http_gray_plan_t **plan)
{
    ngx_http_gray_json_t  *rollout;

    *plan = NULL;

    rollout = ngx_http_gray_json_get(doc, "rollout");

    if (rollout == NULL || release->trial == NULL) {
        return NGX_OK;
    }

    *plan = ngx_http_gray_fails("live_plan")
            ? NULL : malloc(sizeof(ngx_http_gray_plan_t));

    if (*plan == NULL || ngx_http_gray_plan_read(*plan, rollout) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_gray_plan_bind(*plan, doc);

    ngx_http_gray_look(doc, (*plan)->variant, &release->world,
                       release->testers, sizeof(release->testers));

    return NGX_OK;
}


/* 1 where "rules" are in force now; they are freed sooner or later */

static ngx_uint_t
ngx_http_gray_live_adopt(ngx_http_gray_release_t *release,
    ngx_http_gray_rules_t *rules, ngx_http_gray_snapshot_t *snapshot,
    ngx_log_t *log)
{
    ngx_str_t               missed;
    ngx_uint_t              missing, gone, enabled;
    ngx_http_gray_health_e  health;

    missing = ngx_http_gray_rules_missing(rules, &missed);
    health = missing ? NGX_HTTP_GRAY_MISSING : NGX_HTTP_GRAY_HEALTHY;

    gone = (release->kind == NGX_HTTP_GRAY_ROUTED
            && ngx_http_gray_rules_baseline(rules)->peer == NULL);

    if ((missing || gone)
        && release->rules
        && (ngx_http_gray_live_left(release)
            || (release->block->foreign == snapshot->revision
                && ngx_http_gray_live_upgraded())))
    {
        ngx_http_gray_live_stay(release, rules, snapshot, log);
        return 0;
    }

    if (missing) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "gray: release \"%V\" revision %uL: %ui names are "
                      "unknown to nginx.conf, the first is \"%V\"",
                      &release->name, snapshot->revision, missing, &missed);
    }

    if (gone) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "gray: release \"%V\" revision %uL: the baseline's "
                      "upstream \"%V\" is gone, what nginx.conf declares "
                      "serves", &release->name, snapshot->revision,
                      &ngx_http_gray_rules_baseline(rules)->upstream);

        enabled = ngx_http_gray_rules_enabled(rules);
        ngx_http_gray_rules_destroy(rules);

        health = NGX_HTTP_GRAY_BASELINE_GONE;
        rules = ngx_http_gray_release_compile(release, release->declared);

        if (rules == NULL) {
            ngx_http_gray_live_uncompiled(release, log);
            return 0;
        }

        if (!enabled) {
            ngx_http_gray_rules_enable(rules, 0);
        }
    }

    if (release->rules) {
        ngx_http_gray_rules_destroy(release->rules);
    }

    release->rules = rules;
    release->word = snapshot->word;
    release->revision = snapshot->revision;
    release->compiled = snapshot->revision;
    release->enabled = ngx_http_gray_rules_enabled(rules);
    release->health = health;
    release->warned = 0;
    release->limited = 0;

    if (release->counters) {
        ngx_http_gray_live_slots(release, log);
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, log, 0,
                   "gray: release \"%V\" compiled revision %uL",
                   &release->name, snapshot->revision);

    return 1;
}


/* requests to these two are counted for guards */

static void
ngx_http_gray_live_arms(ngx_http_gray_release_t *release,
    ngx_http_gray_plan_t *plan)
{
    ngx_uint_t                i;
    ngx_http_gray_variant_t  *variant, *canary, *baseline;

    free(release->plan);
    release->plan = plan;

    release->world.gone = (release->health == NGX_HTTP_GRAY_BASELINE_GONE);

    canary = NULL;
    baseline = ngx_http_gray_rules_baseline(release->rules);

    for (i = 0; plan; i++) {
        variant = ngx_http_gray_rules_variant(release->rules, i);

        if (variant == NULL) {
            break;
        }

        if (ngx_strcmp(variant->name.data, plan->variant) == 0) {
            canary = variant;
        }
    }

    /* by other weights than the document's, there is nothing to compare */

    if (canary == NULL || canary == baseline || release->world.gone) {
        return;
    }

    for (i = 0; plan->split; i++) {
        variant = ngx_http_gray_rules_variant(release->rules, i);

        if (variant == NULL) {
            break;
        }

        variant->arm = NGX_HTTP_GRAY_TRIAL_OTHER;
    }

    canary->arm = NGX_HTTP_GRAY_TRIAL_CANARY;
    baseline->arm = NGX_HTTP_GRAY_TRIAL_BASELINE;
}


static void
ngx_http_gray_live_slots(ngx_http_gray_release_t *release,
    ngx_log_t *log)
{
    ngx_int_t   rc;
    ngx_uint_t  n;

    rc = ngx_http_gray_slots_assign(release->zone, release->block,
                                    release->word, release->rules,
                                    &release->fallback, &n);

    if (rc == NGX_OK && n && n != release->uncounted) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "gray: release \"%V\" has memory for the statistics of "
                      "%ui variants, %ui more are counted as \"_other\"; "
                      "declare them in nginx.conf, and change the zone's "
                      "size", &release->name,
                      ngx_http_gray_counters_variants(release->counters), n);
    }

    if (rc == NGX_OK) {
        release->uncounted = n;
    }

    release->recount = (rc != NGX_OK);
}


void
ngx_http_gray_live_recount(ngx_http_gray_release_t *release,
    ngx_log_t *log)
{
    if (release->recount) {
        ngx_http_gray_live_slots(release, log);
    }
}


/*
 * A worker of a configuration that was replaced meets a revision for the one
 * after it, with names that it cannot know: it ends by what it had, so that
 * nobody moves.  The kill switch works there, too.
 */

static void
ngx_http_gray_live_stay(ngx_http_gray_release_t *release,
    ngx_http_gray_rules_t *rules, ngx_http_gray_snapshot_t *snapshot,
    ngx_log_t *log)
{
    ngx_uint_t  killed;

    killed = (release->enabled && !ngx_http_gray_rules_enabled(rules));

    ngx_http_gray_rules_enable(release->rules, release->enabled && !killed);
    ngx_http_gray_rules_destroy(rules);

    release->revision = killed ? snapshot->revision : release->compiled;
    release->health = NGX_HTTP_GRAY_OUTDATED;
    release->word = snapshot->word;
    release->recount = 0;

    ngx_log_error(NGX_LOG_INFO, log, 0,
                  "gray: release \"%V\" revision %uL is for a newer "
                  "nginx.conf, revision %uL serves until this process ends",
                  &release->name, snapshot->revision, release->compiled);
}


static void
ngx_http_gray_live_uncompiled(ngx_http_gray_release_t *release,
    ngx_log_t *log)
{
    if (release->health != NGX_HTTP_GRAY_UNCOMPILED) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "gray: release \"%V\": the new revision could not be "
                      "compiled, %s, tried again every second",
                      &release->name,
                      release->rules ? "the one before serves"
                                     : "everybody gets the baseline");
    }

    release->health = NGX_HTTP_GRAY_UNCOMPILED;
    release->retry = ngx_time() + 1;
}
