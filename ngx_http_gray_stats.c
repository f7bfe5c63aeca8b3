
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_compare.h"
#include "ngx_http_gray_gather.h"
#include "ngx_http_gray_reply.h"
#include "ngx_http_gray_stats.h"
#include "ngx_http_gray_turns.h"


#define NGX_HTTP_GRAY_STATS_PAUSE     2      /* ms */
#define NGX_HTTP_GRAY_STATS_PATIENCE  100    /* ms, for the zone's lock */

#define NGX_HTTP_GRAY_STATS_NUMBERS   9      /* of a variant, but its weight */


/* a variant, and what is shown of it */

typedef struct {
    ngx_http_gray_gather_variant_t  *variant;
    ngx_uint_t                       known;      /* unsigned  known:1; it has
                                                    counters, and a window */
    ngx_http_gray_summary_t          summary;
    ngx_http_gray_counts_t           counts;     /* where there is no window; */
    time_t                           since;      /* likewise */
} ngx_http_gray_stats_item_t;


typedef struct {
    ngx_http_gray_release_t         *release;
    ngx_http_gray_gather_release_t  *gathered;
    ngx_uint_t                       window;     /* seconds, or 0 */
    ngx_msec_t                       now;

    ngx_http_gray_stats_item_t      *items;
    ngx_uint_t                       n;

    uint64_t                         drawn;      /* of all variants */
    uint64_t                         ms;         /* that the window covers */
} ngx_http_gray_stats_t;


/* a reset that waits for the lock */

typedef struct {
    ngx_http_request_t              *request;
    ngx_http_gray_release_t         *release;
    ngx_event_t                      event;
    ngx_msec_t                       since;
} ngx_http_gray_stats_reset_t;


static ngx_int_t ngx_http_gray_stats_refused(ngx_http_request_t *r,
    ngx_http_gray_release_t *release, ngx_int_t *answer);
static ngx_int_t ngx_http_gray_stats_items(ngx_http_gray_stats_t *stats,
    ngx_pool_t *pool);
static void ngx_http_gray_stats_item(ngx_http_gray_stats_t *stats,
    ngx_http_gray_gather_variant_t *variant);
static ngx_http_gray_json_t *ngx_http_gray_stats_json(
    ngx_http_gray_stats_t *stats);
static ngx_int_t ngx_http_gray_stats_compare(ngx_http_gray_stats_t *stats,
    ngx_http_gray_json_t *json);
static void ngx_http_gray_stats_arm(ngx_http_gray_stats_item_t *item,
    ngx_http_gray_compare_arm_t *arm);
static ngx_http_gray_json_t *ngx_http_gray_stats_window(
    ngx_http_gray_stats_t *stats);
static ngx_int_t ngx_http_gray_stats_since(ngx_http_gray_stats_t *stats,
    ngx_http_gray_json_t *json);
static ngx_int_t ngx_http_gray_stats_time(ngx_http_gray_json_t *json,
    time_t time);
static ngx_http_gray_json_t *ngx_http_gray_stats_variants(
    ngx_http_gray_stats_t *stats);
static ngx_http_gray_json_t *ngx_http_gray_stats_variant(
    ngx_http_gray_stats_t *stats, ngx_http_gray_stats_item_t *item);
static ngx_int_t ngx_http_gray_stats_numbers(ngx_http_gray_stats_t *stats,
    ngx_http_gray_stats_item_t *item, ngx_http_gray_json_t *json);
static double ngx_http_gray_stats_weight(ngx_http_gray_stats_t *stats,
    ngx_http_gray_gather_variant_t *variant);
static ngx_int_t ngx_http_gray_stats_details(ngx_http_gray_json_t *json,
    ngx_http_gray_stats_item_t *item);
static ngx_http_gray_json_t *ngx_http_gray_stats_reasons(
    ngx_http_gray_counts_t *counts);
static ngx_http_gray_json_t *ngx_http_gray_stats_named(ngx_str_t *name,
    uint64_t *count, ngx_uint_t n);
static ngx_http_gray_json_t *ngx_http_gray_stats_times(uint64_t *histogram,
    uint64_t ms);
static ngx_int_t ngx_http_gray_stats_try(ngx_http_gray_stats_reset_t *reset);
static void ngx_http_gray_stats_handler(ngx_event_t *ev);
static void ngx_http_gray_stats_cleanup(void *data);


ngx_int_t
ngx_http_gray_stats(ngx_http_request_t *r, ngx_http_gray_release_t *release,
    ngx_uint_t window)
{
    ngx_int_t                   answer;
    ngx_http_gray_json_t       *json;
    ngx_http_gray_stats_t       stats;
    ngx_http_gray_gather_t     *gather;
    ngx_http_gray_main_conf_t  *gmcf;

    if (ngx_http_gray_stats_refused(r, release, &answer) != NGX_OK) {
        return answer;
    }

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_gray_module);

    gather = ngx_http_gray_gather_create(gmcf, release, r->connection->log);
    json = NULL;

    if (gather) {
        ngx_memzero(&stats, sizeof(ngx_http_gray_stats_t));

        stats.release = release;
        stats.gathered = &gather->releases[0];
        stats.window = window;
        stats.now = ngx_current_msec;

        if (stats.gathered->rules
            && ngx_http_gray_stats_items(&stats, gather->pool) == NGX_OK)
        {
            json = ngx_http_gray_stats_json(&stats);
        }

        ngx_http_gray_gather_destroy(gather);
    }

    if (json == NULL) {
        return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                           "memory is short");
    }

    return ngx_http_gray_reply_json(r, json);
}


/* NGX_OK, or NGX_DONE with an answer */

static ngx_int_t
ngx_http_gray_stats_refused(ngx_http_request_t *r,
    ngx_http_gray_release_t *release, ngx_int_t *answer)
{
    if (!release->zone->stats) {
        *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_CONFLICT,
                                "there are no statistics: gray_zone \"%V\" "
                                "has \"stats=off\"", &release->zone_name);
        return NGX_DONE;
    }

    if (release->counters == NULL) {
        *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_CONFLICT,
                                "there are no statistics: gray_zone \"%V\" "
                                "has no memory for them until its size is "
                                "changed or nginx is restarted",
                                &release->zone_name);
        return NGX_DONE;
    }

    /* workers of an older nginx.conf share the counters, but for this */

    if (release->block->moves != release->moves) {
        *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "nginx was reloaded with another zone and "
                                "this connection is one to an old worker, "
                                "connect again");
        return NGX_DONE;
    }

    return NGX_OK;
}


/* those of the document, in its order, and others that were counted */

static ngx_int_t
ngx_http_gray_stats_items(ngx_http_gray_stats_t *stats, ngx_pool_t *pool)
{
    ngx_uint_t                       i, n;
    ngx_http_gray_variant_t         *v;
    ngx_http_gray_gather_variant_t  *variant;

    n = 0;

    for (variant = stats->gathered->variants; variant; variant = variant->next)
    {
        n++;
    }

    stats->items = ngx_palloc(pool, n * sizeof(ngx_http_gray_stats_item_t));
    if (stats->items == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; /* void */ ; i++) {
        v = ngx_http_gray_rules_variant(stats->gathered->rules, i);

        if (v == NULL) {
            break;
        }

        ngx_http_gray_stats_item(stats,
                       ngx_http_gray_gather_find(stats->gathered, &v->name));
    }

    for (variant = stats->gathered->variants; variant; variant = variant->next)
    {
        if (!variant->present) {
            ngx_http_gray_stats_item(stats, variant);
        }
    }

    return NGX_OK;
}


static void
ngx_http_gray_stats_item(ngx_http_gray_stats_t *stats,
    ngx_http_gray_gather_variant_t *variant)
{
    ngx_http_gray_summary_t     *summary;
    ngx_http_gray_stats_item_t  *item;

    item = &stats->items[stats->n++];
    summary = &item->summary;

    item->variant = variant;
    item->known = variant->counted;

    ngx_memzero(summary, sizeof(ngx_http_gray_summary_t));

    if (!variant->counted) {
        return;
    }

    if (stats->window) {
        item->known = (ngx_http_gray_turns_window(stats->release->counters,
                                                  variant->slot,
                                                  stats->window, stats->now,
                                                  summary)
                       == NGX_OK);

    } else {
        ngx_http_gray_turns_since(stats->release->counters, variant->slot,
                                  stats->now, &item->counts, &summary->ms,
                                  &item->since);
        ngx_http_gray_tally_add(summary, &item->counts);
    }

    stats->drawn += summary->drawn;
    stats->ms = ngx_max(stats->ms, summary->ms);
}


static ngx_http_gray_json_t *
ngx_http_gray_stats_json(ngx_http_gray_stats_t *stats)
{
    ngx_http_gray_json_t     *json;
    ngx_http_gray_rules_t    *rules;
    ngx_http_gray_release_t  *release;

    release = stats->release;
    rules = stats->gathered->rules;

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_reply_string(json, "release", &release->name) != NGX_OK
        || ngx_http_gray_reply_number(json, "revision", release->revision)
           != NGX_OK
        || ngx_http_gray_json_set(json, "enabled",
                                  ngx_http_gray_json_boolean(
                                         ngx_http_gray_rules_enabled(rules)))
           != NGX_OK
        || ngx_http_gray_stats_compare(stats, json) != NGX_OK
        || ngx_http_gray_json_set(json, "window",
                                  ngx_http_gray_stats_window(stats))
           != NGX_OK
        || ngx_http_gray_stats_since(stats, json) != NGX_OK
        || ngx_http_gray_json_set(json, "variants",
                                  ngx_http_gray_stats_variants(stats))
           != NGX_OK)
    {
        ngx_http_gray_json_free(json);
        return NULL;
    }

    return json;
}


/* the two that a rollout is about, if it is clear which these are */

static ngx_int_t
ngx_http_gray_stats_compare(ngx_http_gray_stats_t *stats,
    ngx_http_gray_json_t *json)
{
    ngx_str_t                    *name;
    ngx_uint_t                    i, n;
    ngx_http_gray_plan_t         *plan;
    ngx_http_gray_stats_item_t   *item;
    ngx_http_gray_compare_arm_t   arm[2], *canary;

    plan = stats->release->plan;
    canary = &arm[1];
    n = 0;

    ngx_memzero(arm, sizeof(arm));

    for (i = 0; i < stats->n; i++) {
        item = &stats->items[i];

        if (!item->variant->present) {
            continue;
        }

        if (item->variant->baseline) {
            ngx_http_gray_stats_arm(item, &arm[0]);
        }

        name = &item->variant->name;

        if (plan ? name->len == ngx_strlen(plan->variant)
                   && ngx_memcmp(name->data, plan->variant, name->len) == 0
                 : !item->variant->baseline)
        {
            ngx_http_gray_stats_arm(item, canary);
            n++;
        }
    }

    return ngx_http_gray_compare(json, stats->release, &arm[0],
                                 n == 1 ? canary : NULL);
}


static void
ngx_http_gray_stats_arm(ngx_http_gray_stats_item_t *item,
    ngx_http_gray_compare_arm_t *arm)
{
    arm->name = &item->variant->name;
    arm->share = item->variant->share;
    arm->summary = item->known ? &item->summary : NULL;
}


/* a variant that came later may cover less of it */

static ngx_http_gray_json_t *
ngx_http_gray_stats_window(ngx_http_gray_stats_t *stats)
{
    ngx_http_gray_json_t  *json;

    if (stats->window == 0) {
        return ngx_http_gray_json_null();
    }

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_reply_number(json, "asked", stats->window) != NGX_OK
        || ngx_http_gray_reply_measure(json, "seconds",
                                      (double) stats->ms / 1000)
           != NGX_OK)
    {
        ngx_http_gray_json_free(json);
        return NULL;
    }

    return json;
}


/* that of "_other": it was there from the beginning */

static ngx_int_t
ngx_http_gray_stats_since(ngx_http_gray_stats_t *stats,
    ngx_http_gray_json_t *json)
{
    time_t                     since;
    uint64_t                   ms;
    ngx_http_gray_counts_t     counts;
    ngx_http_gray_counters_t  *counters;

    counters = stats->release->counters;

    ngx_http_gray_turns_since(counters,
                              ngx_http_gray_counters_variants(counters),
                              stats->now, &counts, &ms, &since);

    return ngx_http_gray_stats_time(json, since);
}


static ngx_int_t
ngx_http_gray_stats_time(ngx_http_gray_json_t *json, time_t time)
{
    u_char    text[sizeof("1970-01-01T00:00:00Z")];
    ngx_tm_t  tm;

    ngx_gmtime(time, &tm);

    ngx_sprintf(text, "%4d-%02d-%02dT%02d:%02d:%02dZ%Z",
                tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec);

    return ngx_http_gray_reply_text(json, "since", (char *) text);
}


static ngx_http_gray_json_t *
ngx_http_gray_stats_variants(ngx_http_gray_stats_t *stats)
{
    ngx_str_t                   *name;
    ngx_uint_t                   i;
    ngx_http_gray_json_t        *json, *child;
    ngx_http_gray_stats_item_t  *item;
    char                         key[NGX_HTTP_GRAY_NAME + 1];

    json = ngx_http_gray_json_object();

    for (i = 0; json && i < stats->n; i++) {
        item = &stats->items[i];
        name = &item->variant->name;

        /* what it has to do with the document is known all the same */

        child = (item->known || item->variant->present)
                ? ngx_http_gray_stats_variant(stats, item)
                : ngx_http_gray_json_null();

        (void) ngx_snprintf((u_char *) key, sizeof(key), "%V%Z", name);

        if (ngx_http_gray_json_add(json, key, child) != NGX_OK) {
            ngx_http_gray_json_free(json);
            return NULL;
        }
    }

    return json;
}


/* a variant that is counted as "_other" has nulls, but for its weight */

static ngx_http_gray_json_t *
ngx_http_gray_stats_variant(ngx_http_gray_stats_t *stats,
    ngx_http_gray_stats_item_t *item)
{
    ngx_int_t                 rc;
    ngx_http_gray_json_t     *json;
    ngx_http_gray_summary_t  *summary;

    summary = &item->summary;
    json = ngx_http_gray_json_object();

    rc = ngx_http_gray_stats_numbers(stats, item, json);

    if (rc == NGX_OK) {
        rc = ngx_http_gray_json_set(json, "codes",
                  ngx_http_gray_stats_named(ngx_http_gray_codes,
                                            item->known ? summary->codes : NULL,
                                            NGX_HTTP_GRAY_CODES));
    }

    if (rc == NGX_OK) {
        rc = ngx_http_gray_json_set(json, "header",
                                    ngx_http_gray_stats_times(summary->header,
                                                         summary->header_ms));
    }

    if (rc == NGX_OK) {
        rc = ngx_http_gray_json_set(json, "total",
                                    ngx_http_gray_stats_times(summary->total,
                                                          summary->total_ms));
    }

    if (rc == NGX_OK && item->known && stats->window == 0) {
        rc = ngx_http_gray_stats_details(json, item);
    }

    if (rc != NGX_OK) {
        ngx_http_gray_json_free(json);
        return NULL;
    }

    return json;
}


/* -1 is null */

static ngx_int_t
ngx_http_gray_stats_numbers(ngx_http_gray_stats_t *stats,
    ngx_http_gray_stats_item_t *item, ngx_http_gray_json_t *json)
{
    double                    n, errors, drawn, all, seconds;
    double                    value[NGX_HTTP_GRAY_STATS_NUMBERS];
    ngx_uint_t                i;
    ngx_http_gray_summary_t  *summary;

    static const char *key[NGX_HTTP_GRAY_STATS_NUMBERS] = {
        "requests", "rate", "share", "error_ratio", "absent", "failures",
        "fallbacks", "streams", "live"
    };

    summary = &item->summary;

    errors = (double) summary->codes[NGX_HTTP_GRAY_5XX];
    drawn = (double) summary->drawn;
    all = (double) stats->drawn;
    seconds = (double) summary->ms / 1000;

    n = 0;

    for (i = 0; i < NGX_HTTP_GRAY_CODES; i++) {
        n += (double) summary->codes[i];
    }

    i = 0;

    value[i++] = n;
    value[i++] = seconds > 0 ? n / seconds : -1;
    value[i++] = all > 0 ? drawn / all : -1;
    value[i++] = n > 0 ? errors / n : -1;
    value[i++] = (double) summary->absent;
    value[i++] = (double) summary->failures;
    value[i++] = (double) summary->fallbacks;
    value[i++] = (double) summary->streams;
    value[i++] = (double) item->variant->live;

    for (i = 0; i < NGX_HTTP_GRAY_STATS_NUMBERS; i++) {

        if (ngx_http_gray_reply_measure(json, key[i],
                                       item->known ? value[i] : -1)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_gray_reply_measure(json, "weight",
                            ngx_http_gray_stats_weight(stats, item->variant));
}


/* what it has of all that is placed, in percent */

static double
ngx_http_gray_stats_weight(ngx_http_gray_stats_t *stats,
    ngx_http_gray_gather_variant_t *variant)
{
    if (!variant->present) {
        return -1;
    }

    if (!ngx_http_gray_rules_enabled(stats->gathered->rules)) {
        return variant->baseline ? 100 : 0;
    }

    return (double) variant->share * 100 / NGX_HTTP_GRAY_BUCKETS;
}


static ngx_int_t
ngx_http_gray_stats_details(ngx_http_gray_json_t *json,
    ngx_http_gray_stats_item_t *item)
{
    ngx_http_gray_counts_t  *counts;

    counts = &item->counts;

    if (ngx_http_gray_stats_time(json, item->since) != NGX_OK
        || ngx_http_gray_json_set(json, "reasons",
                                  ngx_http_gray_stats_reasons(counts))
           != NGX_OK
        || ngx_http_gray_json_set(json, "failure_kinds",
                             ngx_http_gray_stats_named(ngx_http_gray_failures,
                                                       counts->failures,
                                                       NGX_HTTP_GRAY_KINDS))
           != NGX_OK
        || ngx_http_gray_json_set(json, "absences",
                             ngx_http_gray_stats_named(ngx_http_gray_absences,
                                                       counts->absent,
                                                       NGX_HTTP_GRAY_ABSENCES))
           != NGX_OK
        || ngx_http_gray_reply_measure(json, "bytes_in",
                                      (double) counts->bytes_in)
           != NGX_OK
        || ngx_http_gray_reply_measure(json, "bytes_out",
                                      (double) counts->bytes_out)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_http_gray_json_t *
ngx_http_gray_stats_reasons(ngx_http_gray_counts_t *counts)
{
    uint64_t    n[NGX_HTTP_GRAY_REASONS];
    ngx_uint_t  i, k;

    for (i = 0; i < NGX_HTTP_GRAY_REASONS; i++) {
        n[i] = 0;

        for (k = 0; k < NGX_HTTP_GRAY_CODES; k++) {
            n[i] += counts->requests[i][k];
        }
    }

    return ngx_http_gray_stats_named(ngx_http_gray_reasons, n,
                                     NGX_HTTP_GRAY_REASONS);
}


/* null without counts; the names end with a NUL */

static ngx_http_gray_json_t *
ngx_http_gray_stats_named(ngx_str_t *name, uint64_t *count, ngx_uint_t n)
{
    ngx_uint_t             i;
    ngx_http_gray_json_t  *json;

    if (count == NULL) {
        return ngx_http_gray_json_null();
    }

    json = ngx_http_gray_json_object();

    for (i = 0; i < n; i++) {

        if (ngx_http_gray_reply_measure(json, (char *) name[i].data,
                                       (double) count[i])
            != NGX_OK)
        {
            ngx_http_gray_json_free(json);
            return NULL;
        }
    }

    return json;
}


/* null where nothing took its time */

static ngx_http_gray_json_t *
ngx_http_gray_stats_times(uint64_t *histogram, uint64_t ms)
{
    double                 count;
    ngx_uint_t             i;
    ngx_http_gray_json_t  *json;

    static const struct {
        const char  *key;
        double       q;
    } quantiles[] = {
        { "p50_ms", 0.5 },
        { "p90_ms", 0.9 },
        { "p99_ms", 0.99 }
    };

    count = (double) ngx_http_gray_histogram_count(histogram);

    if (count == 0) {
        return ngx_http_gray_json_null();
    }

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_reply_measure(json, "count", count) != NGX_OK
        || ngx_http_gray_reply_measure(json, "mean_ms", (double) ms / count)
           != NGX_OK)
    {
        goto failed;
    }

    for (i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {

        if (ngx_http_gray_reply_measure(json, quantiles[i].key,
                                  ngx_http_gray_histogram_quantile(histogram,
                                                          quantiles[i].q))
            != NGX_OK)
        {
            goto failed;
        }
    }

    return json;

failed:

    ngx_http_gray_json_free(json);

    return NULL;
}


ngx_int_t
ngx_http_gray_stats_reset(ngx_http_request_t *r,
    ngx_http_gray_release_t *release)
{
    ngx_int_t                     answer;
    ngx_pool_cleanup_t           *cln;
    ngx_http_gray_stats_reset_t  *reset;

    if (ngx_http_gray_stats_refused(r, release, &answer) != NGX_OK) {
        return answer;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_gray_stats_reset_t));
    if (cln == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    reset = cln->data;
    ngx_memzero(reset, sizeof(ngx_http_gray_stats_reset_t));

    cln->handler = ngx_http_gray_stats_cleanup;

    reset->request = r;
    reset->release = release;
    reset->since = ngx_current_msec;

    reset->event.handler = ngx_http_gray_stats_handler;
    reset->event.data = reset;
    reset->event.log = r->connection->log;

    return ngx_http_gray_stats_try(reset);
}


static ngx_int_t
ngx_http_gray_stats_try(ngx_http_gray_stats_reset_t *reset)
{
    ngx_http_request_t       *r;
    ngx_http_gray_release_t  *release;

    r = reset->request;
    release = reset->release;

    if (ngx_http_gray_shm_lock(release->zone) == NGX_OK) {

        ngx_http_gray_turns_reset_locked(release->counters, ngx_time(),
                                         ngx_current_msec);
        ngx_http_gray_shm_unlock(release->zone);

        ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                      "gray: release \"%V\": statistics begin anew, by %V",
                      &release->name, &r->connection->addr_text);

        return ngx_http_gray_stats(r, release, 0);
    }

    if (ngx_current_msec - reset->since >= NGX_HTTP_GRAY_STATS_PATIENCE) {
        return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "another process writes to the zone \"%V\" "
                                "for %d ms", &release->zone_name,
                                NGX_HTTP_GRAY_STATS_PATIENCE);
    }

    ngx_add_timer(&reset->event, NGX_HTTP_GRAY_STATS_PAUSE
                  + ngx_random() % (5 * NGX_HTTP_GRAY_STATS_PAUSE));

    return NGX_DONE;
}


static void
ngx_http_gray_stats_handler(ngx_event_t *ev)
{
    ngx_int_t                     rc;
    ngx_connection_t             *c;
    ngx_http_request_t           *r;
    ngx_http_gray_stats_reset_t  *reset;

    reset = ev->data;
    r = reset->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = ngx_http_gray_stats_try(reset);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_gray_stats_cleanup(void *data)
{
    ngx_http_gray_stats_reset_t *reset = data;

    if (reset->event.timer_set) {
        ngx_del_timer(&reset->event);
    }
}
