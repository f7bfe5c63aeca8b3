
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_listing.h"
#include "ngx_http_gray_live.h"
#include "ngx_http_gray_reply.h"


/* where a document uses a list */

typedef struct {
    const char                 *operator;   /* NULL: any */
    ngx_str_t                  *name;
    ngx_http_gray_faults_t     *faults;
    ngx_str_t                  *release;
} ngx_http_gray_listing_use_t;


static ngx_int_t ngx_http_gray_listing_unreadable(ngx_http_request_t *r,
    ngx_str_t *name);
static void ngx_http_gray_listing_walk(ngx_http_gray_listing_use_t *use,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node);


ngx_int_t
ngx_http_gray_listing_index(ngx_http_request_t *r, ngx_http_gray_zone_t *zone)
{
    ngx_str_t                   name;
    ngx_uint_t                  i, n;
    ngx_http_gray_json_t       *json, *list, *item;
    ngx_http_gray_zone_t      **zones;
    ngx_http_gray_list_info_t   info;
    ngx_http_gray_main_conf_t  *gmcf;

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_gray_module);
    zones = gmcf->zones.elts;

    json = ngx_http_gray_json_object();
    list = ngx_http_gray_json_array();

    for (n = 0; n < gmcf->zones.nelts; n++) {

        if (zone && zones[n] != zone) {
            continue;
        }

        for (i = 0;
             list && ngx_http_gray_lists_item(zones[n], i, &name, &info)
                     == NGX_OK;
             i++)
        {
            if (info.deleted) {
                continue;
            }

            item = ngx_http_gray_listing_json(&name, &info);

            if (ngx_http_gray_reply_string(item, "zone",
                                           &zones[n]->shm_zone->shm.name)
                != NGX_OK)
            {
                ngx_http_gray_json_free(item);
                item = NULL;
            }

            if (ngx_http_gray_json_append(list, item) != NGX_OK) {
                ngx_http_gray_json_free(list);
                list = NULL;
            }
        }
    }

    if (ngx_http_gray_json_set(json, "lists", list) != NGX_OK) {
        ngx_http_gray_json_free(json);
        json = NULL;
    }

    return ngx_http_gray_reply_json(r, json);
}


ngx_int_t
ngx_http_gray_listing_get(ngx_http_request_t *r, ngx_http_gray_zone_t *zone,
    ngx_str_t *name)
{
    int                         fd;
    ngx_int_t                   rc;
    ngx_pool_cleanup_t         *cln;
    ngx_pool_cleanup_file_t    *clnf;
    ngx_http_gray_revision_t   *entry;
    ngx_http_gray_list_info_t   info, known;

    if (!ngx_http_gray_directory_name(name)) {
        return ngx_http_gray_listing_unknown(r, zone, name);
    }

    /* of the table first: a file is never older than what it says */

    known.revision = 0;
    known.deleted = 1;

    entry = ngx_http_gray_revisions_find(ngx_http_gray_lists_table(zone),
                                         name);
    if (entry) {
        ngx_http_gray_revisions_read(entry, &known);
    }

    fd = ngx_http_gray_directory_open(ngx_http_gray_lists_directory(zone),
                                      name);
    if (fd == -1) {
        return known.deleted ? ngx_http_gray_listing_unknown(r, zone, name)
                             : ngx_http_gray_listing_unreadable(r, name);
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_pool_cleanup_file_t));

    if (cln == NULL) {
        (void) close(fd);
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    cln->handler = ngx_pool_cleanup_file;

    clnf = cln->data;
    clnf->fd = fd;
    clnf->name = (u_char *) "list";
    clnf->log = r->pool->log;

    rc = ngx_http_gray_list_stat(fd, &info);

    if (rc != NGX_OK || info.revision < known.revision) {
        return ngx_http_gray_listing_unreadable(r, name);
    }

    if (info.deleted) {
        return ngx_http_gray_listing_unknown(r, zone, name);
    }

    if (ngx_http_gray_reply_matches(r, "If-Match", info.revision, 0) == 0) {
        return ngx_http_gray_reply_problem(r, NGX_HTTP_PRECONDITION_FAILED,
                                "If-Match names another revision than the "
                                "current one, %uL", info.revision);
    }

    if (ngx_http_gray_reply_etag(r, info.revision) != NGX_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    if (ngx_http_gray_reply_matches(r, "If-None-Match", info.revision, 1)
        == 1)
    {
        return ngx_http_gray_reply_not_modified(r);
    }

    return ngx_http_gray_reply_file(r, "text/plain; charset=utf-8", fd,
                                    info.pos, info.bytes);
}


static ngx_int_t
ngx_http_gray_listing_unreadable(ngx_http_request_t *r, ngx_str_t *name)
{
    return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "the file \"%V.list\" in the state directory "
                                "cannot be read, is damaged, or is older than "
                                "what is in force", name);
}


ngx_int_t
ngx_http_gray_listing_unknown(ngx_http_request_t *r,
    ngx_http_gray_zone_t *zone, ngx_str_t *name)
{
    u_char  names[512];

    ngx_http_gray_lists_names(zone, names, names + sizeof(names));

    return ngx_http_gray_reply_problem(r, NGX_HTTP_NOT_FOUND,
                                "no list \"%*s\"; there are %s",
                                ngx_min(name->len, NGX_HTTP_GRAY_NAME),
                                name->data, names);
}


ngx_http_gray_json_t *
ngx_http_gray_listing_json(ngx_str_t *name, ngx_http_gray_list_info_t *info)
{
    ngx_http_gray_json_t  *json;

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_reply_string(json, "list", name) != NGX_OK
        || ngx_http_gray_reply_number(json, "revision", info->revision)
           != NGX_OK)
    {
        goto failed;
    }

    if (info->deleted) {
        if (ngx_http_gray_json_set(json, "deleted",
                                   ngx_http_gray_json_boolean(1))
            != NGX_OK)
        {
            goto failed;
        }

        return json;
    }

    if (ngx_http_gray_reply_number(json, "entries", info->entries) != NGX_OK
        || ngx_http_gray_reply_number(json, "bytes", info->bytes) != NGX_OK
        || ngx_http_gray_reply_number(json, "file", info->size) != NGX_OK
        || ngx_http_gray_json_set(json, "networks",
                                  ngx_http_gray_json_boolean(info->odd == 0))
           != NGX_OK
        || ngx_http_gray_reply_number(json, "time", info->time) != NGX_OK)
    {
        goto failed;
    }

    return json;

failed:

    ngx_http_gray_json_free(json);

    return NULL;
}


ngx_int_t
ngx_http_gray_listing_uses(ngx_http_gray_zone_t *zone, ngx_str_t *name,
    const char *operator, ngx_http_gray_faults_t *faults)
{
    ngx_uint_t                   i;
    ngx_http_gray_json_t        *doc;
    ngx_http_gray_release_t    **release;
    ngx_http_gray_snapshot_t     snapshot;
    ngx_http_gray_main_conf_t   *gmcf;
    ngx_http_gray_listing_use_t   use;

    gmcf = zone->data;
    release = gmcf->releases.elts;

    use.operator = operator;
    use.name = name;
    use.faults = faults;

    for (i = 0; i < gmcf->releases.nelts; i++) {

        if (release[i]->zone != zone) {
            continue;
        }

        if (ngx_http_gray_live_read(release[i], &snapshot, &doc) != NGX_OK)
        {
            return NGX_ERROR;
        }

        use.release = &release[i]->name;
        ngx_http_gray_listing_walk(&use, NULL, doc);

        ngx_http_gray_json_free(doc);
        free(snapshot.text.data);
    }

    return NGX_OK;
}


/* a document is not deeper than NGX_HTTP_GRAY_JSON_DEPTH */

static void
ngx_http_gray_listing_walk(ngx_http_gray_listing_use_t *use,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node)
{
    ngx_str_t                    text;
    ngx_uint_t                   i;
    ngx_http_gray_json_t        *child;
    ngx_http_gray_path_t         path;

    i = 0;

    for (child = ngx_http_gray_json_first(node);
         child;
         child = ngx_http_gray_json_next(child))
    {
        path.parent = parent;
        path.key = ngx_http_gray_json_key(child);
        path.index = i++;

        ngx_http_gray_listing_walk(use, &path, child);

        if (path.key == NULL
            || ngx_http_gray_json_type(child) != NGX_HTTP_GRAY_JSON_STRING
            || (use->operator ? ngx_strcmp(path.key, use->operator) != 0
                              : ngx_strcmp(path.key, "in_list") != 0
                                && ngx_strcmp(path.key, "cidr_list") != 0))
        {
            continue;
        }

        text = ngx_http_gray_json_text(child);

        if (text.len == use->name->len
            && ngx_memcmp(text.data, use->name->data, text.len) == 0)
        {
            ngx_http_gray_json_fault(use->faults, &path,
                                     "release \"%.*s\" uses it",
                                     (int) use->release->len,
                                     (char *) use->release->data);
        }
    }
}
