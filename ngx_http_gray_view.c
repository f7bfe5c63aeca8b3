
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_journals.h"
#include "ngx_http_gray_lists.h"
#include "ngx_http_gray_live.h"
#include "ngx_http_gray_reply.h"
#include "ngx_http_gray_view.h"


static ngx_http_gray_json_t *ngx_http_gray_view_names(
    ngx_http_gray_main_conf_t *gmcf);
static ngx_http_gray_json_t *ngx_http_gray_view_document(
    ngx_http_gray_release_t *release, uint64_t *revision);
static ngx_http_gray_json_t *ngx_http_gray_view_zones(
    ngx_http_gray_main_conf_t *gmcf);
static ngx_http_gray_json_t *ngx_http_gray_view_zone(
    ngx_http_gray_main_conf_t *gmcf, ngx_http_gray_zone_t *zone);
static ngx_http_gray_json_t *ngx_http_gray_view_undeclared(
    ngx_http_gray_main_conf_t *gmcf, ngx_http_gray_zone_t *zone);
static ngx_int_t ngx_http_gray_view_lists(ngx_http_gray_json_t *json,
    ngx_http_gray_zone_t *zone);
static ngx_http_gray_json_t *ngx_http_gray_view_databases(
    ngx_http_gray_main_conf_t *gmcf);
static ngx_http_gray_json_t *ngx_http_gray_view_database(
    ngx_http_gray_geo_info_t *info);
static ngx_http_gray_json_t *ngx_http_gray_view_states(ngx_http_request_t *r,
    ngx_http_gray_main_conf_t *gmcf);
static ngx_http_gray_json_t *ngx_http_gray_view_state(ngx_http_request_t *r,
    ngx_http_gray_release_t *release);
static ngx_int_t ngx_http_gray_view_journal(ngx_http_gray_json_t *json,
    ngx_http_gray_release_t *release);
static void ngx_http_gray_view_append(ngx_http_gray_json_t **list,
    ngx_http_gray_json_t *item);


/* by ngx_http_gray_health_e */

static const char  *ngx_http_gray_healths[] = {
    "ok",
    "the document names what nginx.conf does not have",
    "the baseline's upstream is gone, what nginx.conf declares serves",
    "this worker is of the nginx.conf before, an older revision serves",
    "the document is not compiled, memory is short"
};


ngx_int_t
ngx_http_gray_view_index(ngx_http_request_t *r)
{
    ngx_http_gray_json_t       *json;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_gray_main_conf_t  *gmcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    gmcf = ngx_http_get_module_main_conf(r, ngx_http_gray_module);

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_reply_text(json, "module", "ngx_http_gray_module")
        != NGX_OK
        || ngx_http_gray_reply_text(json, "version", NGX_HTTP_GRAY_VERSION)
           != NGX_OK
        || ngx_http_gray_reply_string(json, "location", &clcf->name) != NGX_OK
        || ngx_http_gray_json_set(json, "releases",
                                  ngx_http_gray_view_names(gmcf))
           != NGX_OK)
    {
        ngx_http_gray_json_free(json);
        json = NULL;
    }

    return ngx_http_gray_reply_json(r, json);
}


static ngx_http_gray_json_t *
ngx_http_gray_view_names(ngx_http_gray_main_conf_t *gmcf)
{
    ngx_str_t                 *name;
    ngx_uint_t                 i;
    ngx_http_gray_json_t      *list;
    ngx_http_gray_release_t  **release;

    list = ngx_http_gray_json_array();
    release = gmcf->releases.elts;

    for (i = 0; list && i < gmcf->releases.nelts; i++) {
        name = &release[i]->name;

        ngx_http_gray_view_append(&list,
                            ngx_http_gray_json_string(name->data, name->len));
    }

    return list;
}


ngx_int_t
ngx_http_gray_view_releases(ngx_http_request_t *r)
{
    uint64_t                    revision;
    ngx_uint_t                  i;
    ngx_http_gray_json_t       *json, *list;
    ngx_http_gray_release_t   **release;
    ngx_http_gray_main_conf_t  *gmcf;

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_gray_module);
    release = gmcf->releases.elts;

    list = ngx_http_gray_json_array();

    for (i = 0; list && i < gmcf->releases.nelts; i++) {
        ngx_http_gray_view_append(&list,
                           ngx_http_gray_view_document(release[i], &revision));
    }

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_json_set(json, "releases", list) != NGX_OK) {
        ngx_http_gray_json_free(json);
        json = NULL;
    }

    return ngx_http_gray_reply_json(r, json);
}


ngx_int_t
ngx_http_gray_view_release(ngx_http_request_t *r,
    ngx_http_gray_release_t *release)
{
    ngx_int_t              matches;
    uint64_t               revision;
    ngx_http_gray_json_t  *json;

    json = ngx_http_gray_view_document(release, &revision);

    if (json == NULL) {
        return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                           "memory is short");
    }

    if (ngx_http_gray_reply_matches(r, "If-Match", revision, 0) == 0) {
        ngx_http_gray_json_free(json);
        return ngx_http_gray_reply_problem(r, NGX_HTTP_PRECONDITION_FAILED,
                                "If-Match names another revision than the "
                                "current one, %uL", revision);
    }

    if (ngx_http_gray_reply_etag(r, revision) != NGX_OK) {
        ngx_http_gray_json_free(json);
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    matches = ngx_http_gray_reply_matches(r, "If-None-Match", revision, 1);

    if (matches == 1) {
        ngx_http_gray_json_free(json);
        return ngx_http_gray_reply_not_modified(r);
    }

    return ngx_http_gray_reply_json(r, json);
}


static ngx_http_gray_json_t *
ngx_http_gray_view_document(ngx_http_gray_release_t *release,
    uint64_t *revision)
{
    ngx_http_gray_json_t      *doc, *json;
    ngx_http_gray_snapshot_t   snapshot;

    if (ngx_http_gray_live_read(release, &snapshot, &doc) != NGX_OK) {
        return NULL;
    }

    json = ngx_http_gray_document_present(doc, &release->name,
                               snapshot.revision,
                               ngx_http_gray_release_origin(snapshot.origin),
                               ngx_http_gray_release_differs(release, doc));

    *revision = snapshot.revision;

    ngx_http_gray_json_free(doc);
    free(snapshot.text.data);

    return json;
}


ngx_int_t
ngx_http_gray_view_status(ngx_http_request_t *r)
{
    ngx_core_conf_t            *ccf;
    ngx_http_gray_json_t       *json;
    ngx_http_gray_main_conf_t  *gmcf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);
    gmcf = ngx_http_get_module_main_conf(r, ngx_http_gray_module);

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_reply_text(json, "version", NGX_HTTP_GRAY_VERSION)
        != NGX_OK
        || ngx_http_gray_reply_text(json, "nginx", NGINX_VERSION) != NGX_OK
        || ngx_http_gray_reply_number(json, "pid", ngx_pid) != NGX_OK
        || ngx_http_gray_reply_number(json, "worker", ngx_worker) != NGX_OK
        || ngx_http_gray_reply_number(json, "workers", ccf->worker_processes)
           != NGX_OK
        || ngx_http_gray_json_set(json, "zones",
                                  ngx_http_gray_view_zones(gmcf))
           != NGX_OK
        || ngx_http_gray_json_set(json, "geoip",
                                  ngx_http_gray_view_databases(gmcf))
           != NGX_OK
        || ngx_http_gray_json_set(json, "releases",
                                  ngx_http_gray_view_states(r, gmcf))
           != NGX_OK)
    {
        ngx_http_gray_json_free(json);
        json = NULL;
    }

    return ngx_http_gray_reply_json(r, json);
}


static ngx_http_gray_json_t *
ngx_http_gray_view_zones(ngx_http_gray_main_conf_t *gmcf)
{
    ngx_uint_t              i;
    ngx_http_gray_json_t   *list;
    ngx_http_gray_zone_t  **zone;

    list = ngx_http_gray_json_array();
    zone = gmcf->zones.elts;

    for (i = 0; list && i < gmcf->zones.nelts; i++) {
        ngx_http_gray_view_append(&list,
                                       ngx_http_gray_view_zone(gmcf, zone[i]));
    }

    return list;
}


static ngx_http_gray_json_t *
ngx_http_gray_view_zone(ngx_http_gray_main_conf_t *gmcf,
    ngx_http_gray_zone_t *zone)
{
    ngx_shm_t             *shm;
    ngx_http_gray_json_t  *json;

    shm = &zone->shm_zone->shm;
    json = ngx_http_gray_json_object();

    if (ngx_http_gray_reply_string(json, "zone", &shm->name) != NGX_OK
        || ngx_http_gray_reply_number(json, "size", shm->size) != NGX_OK
        || ngx_http_gray_reply_number(json, "free",
                                      ngx_http_gray_shm_free(zone))
           != NGX_OK
        || ngx_http_gray_reply_number(json, "document", zone->document)
           != NGX_OK
        || ngx_http_gray_json_set(json, "undeclared",
                                  ngx_http_gray_view_undeclared(gmcf, zone))
           != NGX_OK
        || (zone->lists && ngx_http_gray_view_lists(json, zone) != NGX_OK))
    {
        ngx_http_gray_json_free(json);
        return NULL;
    }

    return json;
}


/* the directory, and how much the lists in it are */

static ngx_int_t
ngx_http_gray_view_lists(ngx_http_gray_json_t *json,
    ngx_http_gray_zone_t *zone)
{
    u_char                         *p;
    uint64_t                        n, entries, size;
    ngx_str_t                       name;
    ngx_uint_t                      i;
    ngx_http_gray_json_t           *list;
    ngx_http_gray_list_info_t       info;
    ngx_http_gray_lists_damaged_t  *damaged;

    n = 0;
    entries = 0;
    size = 0;

    for (i = 0; ngx_http_gray_lists_item(zone, i, &name, &info) == NGX_OK; i++)
    {
        if (!info.deleted) {
            n++;
            entries += info.entries;
            size += info.size;
        }
    }

    damaged = ngx_http_gray_lists_damaged(zone);
    list = ngx_http_gray_json_array();

    for (i = 0; list && i < damaged->n; i++) {
        p = damaged->name[i];
        ngx_http_gray_view_append(&list,
                                 ngx_http_gray_json_string(p, ngx_strlen(p)));
    }

    if (ngx_http_gray_reply_string(json, "state", &zone->state) != NGX_OK
        || ngx_http_gray_reply_number(json, "history", zone->history)
           != NGX_OK
        || ngx_http_gray_reply_number(json, "lists", n) != NGX_OK
        || ngx_http_gray_reply_number(json, "list_entries", entries) != NGX_OK
        || ngx_http_gray_reply_number(json, "list_bytes", size) != NGX_OK)
    {
        ngx_http_gray_json_free(list);
        return NGX_ERROR;
    }

    if (ngx_http_gray_json_set(json, "damaged_lists", list) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* releases that have memory in the zone, and are in nginx.conf no more */

static ngx_http_gray_json_t *
ngx_http_gray_view_undeclared(ngx_http_gray_main_conf_t *gmcf,
    ngx_http_gray_zone_t *zone)
{
    ngx_str_t                 name;
    ngx_http_gray_json_t     *list;
    ngx_http_gray_block_t    *block;
    ngx_http_gray_release_t  *release;

    list = ngx_http_gray_json_array();

    for (block = ngx_http_gray_shm_next(zone, NULL);
         list && block;
         block = ngx_http_gray_shm_next(zone, block))
    {
        /* one that was added for a configuration which was refused */

        if (ngx_http_gray_shm_word(block) == 0) {
            continue;
        }

        name.data = block->name;
        name.len = block->len;

        release = ngx_http_gray_release_find(gmcf, &name);

        if (release && release->zone == zone) {
            continue;
        }

        ngx_http_gray_view_append(&list,
                              ngx_http_gray_json_string(name.data, name.len));
    }

    return list;
}


static ngx_http_gray_json_t *
ngx_http_gray_view_databases(ngx_http_gray_main_conf_t *gmcf)
{
    ngx_uint_t                 i, n;
    ngx_http_gray_json_t      *list;
    ngx_http_gray_geo_info_t   info;

    list = ngx_http_gray_json_array();
    n = ngx_http_gray_geo_count(gmcf->geo);

    for (i = 0; list && i < n; i++) {
        ngx_http_gray_geo_info(gmcf->geo, i, &info);
        ngx_http_gray_view_append(&list, ngx_http_gray_view_database(&info));
    }

    return list;
}


static ngx_http_gray_json_t *
ngx_http_gray_view_database(ngx_http_gray_geo_info_t *info)
{
    ngx_http_gray_json_t  *json;

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_reply_string(json, "file", &info->file) != NGX_OK
        || ngx_http_gray_reply_string(json, "type", &info->type) != NGX_OK
        || ngx_http_gray_reply_number(json, "build_epoch", info->built)
           != NGX_OK
        || ngx_http_gray_reply_number(json, "ip_version", info->ip_version)
           != NGX_OK
        || ngx_http_gray_reply_number(json, "nodes", info->nodes) != NGX_OK
        || (info->why && ngx_http_gray_reply_text(json, "not_used", info->why)
                         != NGX_OK))
    {
        ngx_http_gray_json_free(json);
        return NULL;
    }

    return json;
}


static ngx_http_gray_json_t *
ngx_http_gray_view_states(ngx_http_request_t *r,
    ngx_http_gray_main_conf_t *gmcf)
{
    ngx_uint_t                 i;
    ngx_http_gray_json_t      *list;
    ngx_http_gray_release_t  **release;

    list = ngx_http_gray_json_array();
    release = gmcf->releases.elts;

    for (i = 0; list && i < gmcf->releases.nelts; i++) {
        ngx_http_gray_view_append(&list,
                                      ngx_http_gray_view_state(r, release[i]));
    }

    return list;
}


static ngx_http_gray_json_t *
ngx_http_gray_view_state(ngx_http_request_t *r,
    ngx_http_gray_release_t *release)
{
    ngx_uint_t                 differs;
    ngx_http_gray_json_t      *json, *doc;
    ngx_http_gray_snapshot_t   snapshot;

    if (ngx_http_gray_live_read(release, &snapshot, &doc) != NGX_OK) {
        return NULL;
    }

    differs = ngx_http_gray_release_differs(release, doc);

    ngx_http_gray_json_free(doc);
    free(snapshot.text.data);

    /* what it is compiled to is known once it is compiled */

    if (!release->deciding) {
        (void) ngx_http_gray_live_rules(release, r->connection->log);
    }

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_reply_string(json, "release", &release->name) != NGX_OK
        || ngx_http_gray_reply_string(json, "zone", &release->zone_name)
           != NGX_OK
        || ngx_http_gray_reply_number(json, "revision", snapshot.revision)
           != NGX_OK
        || ngx_http_gray_reply_text(json, "origin",
                               ngx_http_gray_release_origin(snapshot.origin))
           != NGX_OK
        || ngx_http_gray_json_set(json, "declared_differs",
                                  ngx_http_gray_json_boolean(differs))
           != NGX_OK
        || ngx_http_gray_reply_text(json, "health",
                                    ngx_http_gray_healths[release->health])
           != NGX_OK
        || ngx_http_gray_reply_number(json, "degraded",
                                      release->block->degraded)
           != NGX_OK
        || ngx_http_gray_reply_number(json, "limited",
                                      release->block->limited)
           != NGX_OK
        || (release->uncounted
            && ngx_http_gray_reply_number(json, "uncounted",
                                          release->uncounted)
               != NGX_OK)
        || (release->zone->journals
            && ngx_http_gray_view_journal(json, release) != NGX_OK))
    {
        ngx_http_gray_json_free(json);
        return NULL;
    }

    return json;
}


/* how the last visit of any process to the journal ended */

static ngx_int_t
ngx_http_gray_view_journal(ngx_http_gray_json_t *json,
    ngx_http_gray_release_t *release)
{
    u_char       reason[NGX_MAX_ERROR_STR];
    const char  *error;

    error = ngx_http_gray_journals_error(release, reason, sizeof(reason));

    return ngx_http_gray_reply_text(json, "journal", error ? error : "ok");
}


/* frees the list, and forgets it, where it fails */

static void
ngx_http_gray_view_append(ngx_http_gray_json_t **list,
    ngx_http_gray_json_t *item)
{
    if (ngx_http_gray_json_append(*list, item) != NGX_OK) {
        ngx_http_gray_json_free(*list);
        *list = NULL;
    }
}
