
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Which events a hook was told of is in the trial; what is under way, and how
 * long to wait after a failure, is known to this process alone.  Another one
 * that takes over begins at once, and with what was not told yet.  So an event
 * comes at least once, and twice where a process goes while it posts.
 *
 * Once all are told that is kept in the file, too: rollouts write it when
 * something happens, and every few seconds only while they are under way.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_keep.h"
#include "ngx_http_gray_live.h"
#include "ngx_http_gray_notify.h"
#include "ngx_http_gray_post.h"
#include "ngx_http_gray_report.h"


#define NGX_HTTP_GRAY_NOTIFY_PAUSE  1000     /* ms, after a first failure; */
#define NGX_HTTP_GRAY_NOTIFY_LONG   60000    /* and after many */
#define NGX_HTTP_GRAY_NOTIFY_AGE    86400    /* s: older ones are given up */


typedef struct {
    ngx_http_gray_release_t  *release;
    ngx_cycle_t              *cycle;
    ngx_uint_t                i;          /* number of the hook */

    ngx_http_gray_post_t     *post;       /* under way, or NULL */
    uint64_t                  id;         /* of the event there */
    uint64_t                  plan;       /* from which the URL is */
    u_char                    url[NGX_HTTP_GRAY_PLAN_URL + 1];

    ngx_uint_t                failures;   /* of that URL, one after another */
    ngx_msec_t                due;        /* then not before that */
} ngx_http_gray_notify_hook_t;


static ngx_uint_t ngx_http_gray_notify_left(ngx_http_gray_release_t *release);
static void ngx_http_gray_notify_told(ngx_http_gray_release_t *release,
    ngx_uint_t i, uint64_t id, ngx_http_gray_trial_record_t *record);
static ngx_http_gray_notify_hook_t *ngx_http_gray_notify_create(
    ngx_http_gray_release_t *release);
static void ngx_http_gray_notify_cleanup(void *data);
static void ngx_http_gray_notify_hook(ngx_http_gray_notify_hook_t *hook,
    const ngx_http_gray_plan_t *plan,
    ngx_http_gray_trial_record_t *record, ngx_log_t *log);
static void ngx_http_gray_notify_plan(ngx_http_gray_notify_hook_t *hook,
    const ngx_http_gray_plan_t *plan);
static const ngx_http_gray_event_t *ngx_http_gray_notify_next(
    ngx_http_gray_notify_hook_t *hook, ngx_uint_t on,
    ngx_http_gray_trial_record_t *record, ngx_log_t *log);
static ngx_uint_t ngx_http_gray_notify_old(ngx_http_gray_notify_hook_t *hook,
    const ngx_http_gray_event_t *event, ngx_log_t *log);
static void ngx_http_gray_notify_send(ngx_http_gray_notify_hook_t *hook,
    const ngx_http_gray_event_t *event, ngx_log_t *log);
static void ngx_http_gray_notify_done(void *data, ngx_int_t rc,
    const char *why);
static void ngx_http_gray_notify_more(ngx_http_gray_notify_hook_t *hook,
    ngx_log_t *log);
static void ngx_http_gray_notify_failed(ngx_http_gray_notify_hook_t *hook,
    const char *why, ngx_log_t *log);


void
ngx_http_gray_notify_tick(ngx_http_gray_release_t *release, ngx_log_t *log)
{
    ngx_uint_t                     i, n;
    const ngx_http_gray_plan_t    *plan;
    ngx_http_gray_notify_hook_t   *hooks;
    ngx_http_gray_trial_record_t   record;

    if (ngx_http_gray_notify_left(release)
        || ngx_http_gray_trial_word(release->trial) == 0)
    {
        return;
    }

    ngx_http_gray_trial_record(release->trial, &record);

    plan = release->plan;
    n = plan ? plan->hooks : 0;

    /* who is to be told later need not hear of what was before */

    for (i = n; i < NGX_HTTP_GRAY_PLAN_HOOKS; i++) {
        if (record.told[i] < record.events) {
            ngx_http_gray_notify_told(release, i, record.events, &record);
        }
    }

    if (n == 0) {
        return;
    }

    hooks = ngx_http_gray_notify_create(release);

    for (i = 0; hooks && i < n; i++) {
        if (hooks[i].post == NULL && record.told[i] < record.events) {
            ngx_http_gray_notify_hook(&hooks[i], plan, &record, log);
        }
    }
}


/*
 * Not in a process that is on its way out, nor where an upgraded nginx has
 * taken over from the state directory.
 */

static ngx_uint_t
ngx_http_gray_notify_left(ngx_http_gray_release_t *release)
{
    return ngx_exiting || release->trial == NULL
           || ngx_http_gray_shm_outdated(release->zone)
           || (release->zone->journals && ngx_http_gray_live_upgraded());
}


/* "record" is what there was a moment ago */

static void
ngx_http_gray_notify_told(ngx_http_gray_release_t *release, ngx_uint_t i,
    uint64_t id, ngx_http_gray_trial_record_t *record)
{
    ngx_http_gray_trial_told(release->trial, i, id);

    if (id >= record->events) {
        ngx_http_gray_keep_write(release, NULL, NULL);
    }
}


/* they are there as long as the configuration */

static ngx_http_gray_notify_hook_t *
ngx_http_gray_notify_create(ngx_http_gray_release_t *release)
{
    ngx_uint_t                    i;
    ngx_pool_cleanup_t           *cln;
    ngx_http_gray_notify_hook_t  *hooks;

    if (release->notify) {
        return release->notify;
    }

    cln = ngx_pool_cleanup_add(ngx_cycle->pool, NGX_HTTP_GRAY_PLAN_HOOKS
                                       * sizeof(ngx_http_gray_notify_hook_t));
    if (cln == NULL) {
        return NULL;
    }

    hooks = cln->data;
    ngx_memzero(hooks, NGX_HTTP_GRAY_PLAN_HOOKS
                       * sizeof(ngx_http_gray_notify_hook_t));

    for (i = 0; i < NGX_HTTP_GRAY_PLAN_HOOKS; i++) {
        hooks[i].release = release;
        hooks[i].cycle = (ngx_cycle_t *) ngx_cycle;
        hooks[i].i = i;
    }

    cln->handler = ngx_http_gray_notify_cleanup;
    release->notify = hooks;

    return hooks;
}


/* a process that ends at once: nobody waits for what is under way */

static void
ngx_http_gray_notify_cleanup(void *data)
{
    ngx_http_gray_notify_hook_t *hooks = data;

    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_GRAY_PLAN_HOOKS; i++) {
        if (hooks[i].post) {
            ngx_http_gray_post_cancel(hooks[i].post);
        }
    }
}


static void
ngx_http_gray_notify_hook(ngx_http_gray_notify_hook_t *hook,
    const ngx_http_gray_plan_t *plan,
    ngx_http_gray_trial_record_t *record, ngx_log_t *log)
{
    const ngx_http_gray_event_t  *event;

    ngx_http_gray_notify_plan(hook, plan);

    if (hook->failures && (ngx_msec_int_t) (ngx_current_msec - hook->due) < 0)
    {
        return;
    }

    event = ngx_http_gray_notify_next(hook, plan->hook[hook->i].on, record,
                                      log);
    if (event) {
        ngx_http_gray_notify_send(hook, event, log);
    }
}


/* what another URL has failed by is not this one's fault */

static void
ngx_http_gray_notify_plan(ngx_http_gray_notify_hook_t *hook,
    const ngx_http_gray_plan_t *plan)
{
    const char  *url;

    if (hook->plan == plan->id) {
        return;
    }

    url = plan->hook[hook->i].url;

    if (ngx_strcmp(hook->url, url) != 0) {
        ngx_cpystrn(hook->url, (u_char *) url, sizeof(hook->url));
        hook->failures = 0;
    }

    hook->plan = plan->id;
}


/* the first event that it was not told of and is to be, or NULL */

static const ngx_http_gray_event_t *
ngx_http_gray_notify_next(ngx_http_gray_notify_hook_t *hook, ngx_uint_t on,
    ngx_http_gray_trial_record_t *record, ngx_log_t *log)
{
    uint64_t                      id, told, lost;
    const ngx_http_gray_event_t  *event, *found;

    told = record->told[hook->i];
    lost = 0;
    found = NULL;
    id = told + 1;

    if (record->events - told > NGX_HTTP_GRAY_TRIAL_EVENTS) {
        lost = record->events - told - NGX_HTTP_GRAY_TRIAL_EVENTS;
        id += lost;
    }

    for ( /* void */ ; id <= record->events; id++) {
        event = &record->event[id % NGX_HTTP_GRAY_TRIAL_EVENTS];

        if (event->id != id) {
            lost++;

        } else if ((on & (ngx_uint_t) 1 << event->hook)
                   && !ngx_http_gray_notify_old(hook, event, log))
        {
            found = event;
            break;
        }
    }

    if (lost) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "gray: release \"%V\": %uL events from number %uL on are "
                      "kept no more, and %s was not told of them",
                      &hook->release->name, lost, told + 1, hook->url);
    }

    if (id - 1 > told) {
        ngx_http_gray_notify_told(hook->release, hook->i, id - 1, record);
    }

    return found;
}


static ngx_uint_t
ngx_http_gray_notify_old(ngx_http_gray_notify_hook_t *hook,
    const ngx_http_gray_event_t *event, ngx_log_t *log)
{
    if (ngx_time() - event->time < NGX_HTTP_GRAY_NOTIFY_AGE) {
        return 0;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "gray: release \"%V\": event %uL, \"%V\", is a day old, and "
                  "%s is not told of it any more", &hook->release->name,
                  event->id, &ngx_http_gray_hooks[event->hook], hook->url);

    return 1;
}


static void
ngx_http_gray_notify_send(ngx_http_gray_notify_hook_t *hook,
    const ngx_http_gray_event_t *event, ngx_log_t *log)
{
    u_char                *p, lines[sizeof("X-Gray-Event-Id: " CRLF)
                                    + NGX_INT64_LEN];
    ngx_int_t              rc;
    ngx_str_t              url, header, body;
    ngx_http_gray_json_t  *json;
    char                   why[NGX_HTTP_GRAY_POST_WHY];

    json = ngx_http_gray_report_event(&hook->release->name, event);
    rc = json ? ngx_http_gray_json_print(json, 0, &body) : NGX_ERROR;
    ngx_http_gray_json_free(json);

    hook->id = event->id;

    if (rc != NGX_OK) {
        ngx_http_gray_notify_failed(hook, "memory is short", log);
        return;
    }

    url.data = hook->url;
    url.len = ngx_strlen(hook->url);

    p = ngx_sprintf(lines, "X-Gray-Event-Id: %uL" CRLF, event->id);
    header.data = lines;
    header.len = p - lines;

    hook->post = ngx_http_gray_post_start(&url, &header, &body,
                                          ngx_http_gray_notify_done, hook,
                                          why);
    free(body.data);

    if (hook->post == NULL) {
        ngx_http_gray_notify_failed(hook, why, log);
    }
}


static void
ngx_http_gray_notify_done(void *data, ngx_int_t rc, const char *why)
{
    ngx_http_gray_notify_hook_t *hook = data;

    ngx_log_t  *log;

    hook->post = NULL;

    /* a single process that has reloaded: the zone may be no more */

    if (rc == NGX_ABORT || hook->cycle != ngx_cycle) {
        return;
    }

    log = hook->cycle->log;

    if (rc != NGX_OK) {
        ngx_http_gray_notify_failed(hook, why, log);
        return;
    }

    if (hook->failures) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "gray: release \"%V\": %s was told of event %uL, after "
                      "%ui failures", &hook->release->name, hook->url,
                      hook->id, hook->failures);
    }

    hook->failures = 0;

    ngx_http_gray_notify_more(hook, log);
}


/* one after another, without a tick between them */

static void
ngx_http_gray_notify_more(ngx_http_gray_notify_hook_t *hook, ngx_log_t *log)
{
    const ngx_http_gray_plan_t    *plan;
    ngx_http_gray_release_t       *release;
    ngx_http_gray_trial_record_t   record;

    release = hook->release;
    plan = release->plan;

    ngx_http_gray_trial_record(release->trial, &record);
    ngx_http_gray_notify_told(release, hook->i, hook->id, &record);

    record.told[hook->i] = ngx_max(record.told[hook->i], hook->id);

    if (record.told[hook->i] < record.events
        && plan && hook->i < plan->hooks
        && !ngx_http_gray_notify_left(release))
    {
        ngx_http_gray_notify_hook(hook, plan, &record, log);
    }
}


/* so many ms that not all of several begin again in the same moment */

static void
ngx_http_gray_notify_failed(ngx_http_gray_notify_hook_t *hook,
    const char *why, ngx_log_t *log)
{
    ngx_msec_t  pause;

    if (hook->failures++ == 0) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "gray: release \"%V\": %s was not told of event %uL: "
                      "%s; this is tried again", &hook->release->name,
                      hook->url, hook->id, why);
    }

    pause = NGX_HTTP_GRAY_NOTIFY_PAUSE << ngx_min(hook->failures - 1, 6);
    pause = ngx_min(pause, NGX_HTTP_GRAY_NOTIFY_LONG);

    hook->due = ngx_current_msec + pause - ngx_random() % (pause / 4);
}
