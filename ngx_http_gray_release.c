
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"
#include "ngx_http_gray_lists.h"
#include "ngx_http_gray_look.h"
#include "ngx_http_gray_slots.h"


typedef struct {
    ngx_conf_t                     *cf;          /* NULL: at run time */
    ngx_http_gray_release_t        *release;
    const ngx_http_gray_json_t     *current;     /* or NULL */
    ngx_uint_t                      judging;     /* unsigned  judging:1; */
    ngx_http_gray_main_conf_t      *gmcf;
    ngx_http_upstream_main_conf_t  *umcf;
    ngx_http_gray_attribute_env_t   attributes;
} ngx_http_gray_names_t;


static void ngx_http_gray_release_cleanup(void *data);
static void ngx_http_gray_release_names(ngx_conf_t *cf,
    ngx_http_gray_release_t *release, ngx_http_gray_names_t *names,
    ngx_http_gray_rules_env_t *env);
static ngx_int_t ngx_http_gray_release_attribute(void *data, ngx_pool_t *pool,
    ngx_http_gray_attribute_t *attribute, char *why);
static ngx_int_t ngx_http_gray_release_list(void *data, ngx_str_t *name,
    ngx_uint_t networks, ngx_http_gray_list_t **list, char *why, size_t size);
static ngx_int_t ngx_http_gray_release_upstream(void *data, ngx_str_t *name,
    void **peer, char *why);
static ngx_uint_t ngx_http_gray_release_reads(const ngx_http_gray_json_t *node,
    ngx_str_t *name);
static ngx_uint_t ngx_http_gray_release_lists(const ngx_http_gray_json_t *node,
    ngx_str_t *list);
static ngx_uint_t ngx_http_gray_release_routes(const ngx_http_gray_json_t *doc,
    ngx_str_t *upstream);
static ngx_uint_t ngx_http_gray_release_named(ngx_http_gray_main_conf_t *gmcf,
    ngx_str_t *name, ngx_http_gray_kind_e kind);
static void ngx_http_gray_release_upstreams(ngx_http_gray_names_t *names,
    ngx_str_t *name, char *why);
static ngx_uint_t ngx_http_gray_release_keeps(
    ngx_http_gray_release_t *release, const ngx_http_gray_json_t *live,
    ngx_http_gray_snapshot_t *snapshot, ngx_log_t *log);
static ngx_http_gray_kind_e ngx_http_gray_release_kind_of(
    const ngx_http_gray_json_t *doc);
static ngx_int_t ngx_http_gray_release_publish_locked(
    ngx_http_gray_release_t *release, uint64_t word, ngx_str_t *text,
    ngx_http_gray_origin_e origin);
static ngx_http_gray_plan_t *ngx_http_gray_release_plan(
    ngx_http_gray_release_t *release, const ngx_http_gray_json_t *doc);
static ngx_uint_t ngx_http_gray_release_adopt(
    ngx_http_gray_release_t *release, ngx_http_gray_rules_t *rules,
    ngx_http_gray_snapshot_t *snapshot, ngx_http_gray_rules_env_t *env,
    ngx_log_t *log);
static void ngx_http_gray_release_arms(ngx_http_gray_release_t *release,
    ngx_http_gray_plan_t *plan);
static void ngx_http_gray_release_slots(ngx_http_gray_release_t *release,
    ngx_log_t *log);
static void ngx_http_gray_release_stay(ngx_http_gray_release_t *release,
    ngx_http_gray_rules_t *rules, ngx_http_gray_snapshot_t *snapshot,
    ngx_log_t *log);
static void ngx_http_gray_release_uncompiled(ngx_http_gray_release_t *release,
    ngx_log_t *log);


ngx_http_gray_release_t *
ngx_http_gray_release_create(ngx_conf_t *cf, ngx_http_gray_main_conf_t *gmcf)
{
    ngx_pool_cleanup_t        *cln;
    ngx_http_gray_release_t   *release, **slot;

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(ngx_http_gray_release_t));
    if (cln == NULL) {
        return NULL;
    }

    release = cln->data;
    ngx_memzero(release, sizeof(ngx_http_gray_release_t));

    cln->handler = ngx_http_gray_release_cleanup;

    slot = ngx_array_push(&gmcf->releases);
    if (slot == NULL) {
        return NULL;
    }

    *slot = release;

    return release;
}


static void
ngx_http_gray_release_cleanup(void *data)
{
    ngx_http_gray_release_t  *release = data;

    if (release->rules) {
        ngx_http_gray_rules_destroy(release->rules);
    }

    free(release->plan);

    ngx_http_gray_json_free(release->declared);
    free(release->declared_text.data);
}


ngx_http_gray_trial_t *
ngx_http_gray_release_trial(ngx_http_gray_release_t *release)
{
    size_t  size;

    size = ngx_align(ngx_http_gray_counters_bytes(release->counters), 64);

    return (ngx_http_gray_trial_t *) ((u_char *) release->counters + size);
}


ngx_http_gray_release_t *
ngx_http_gray_release_find(ngx_http_gray_main_conf_t *gmcf, ngx_str_t *name)
{
    ngx_uint_t                 i;
    ngx_http_gray_release_t  **release;

    release = gmcf->releases.elts;

    for (i = 0; i < gmcf->releases.nelts; i++) {
        if (release[i]->name.len == name->len
            && ngx_strncmp(release[i]->name.data, name->data, name->len) == 0)
        {
            return release[i];
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_gray_release_build(ngx_conf_t *cf, ngx_http_gray_release_t *release,
    const ngx_http_gray_json_t *input, const ngx_http_gray_json_t *current,
    ngx_http_gray_json_t **doc, ngx_str_t *text,
    ngx_http_gray_faults_t *faults)
{
    ngx_http_gray_names_t      names;
    ngx_http_gray_document_t   document;
    ngx_http_gray_rules_env_t  env;

    ngx_http_gray_release_names(cf, release, &names, &env);
    names.current = current;
    names.judging = 1;

    document.schema.release = release->name;
    document.schema.kind = release->kind;
    document.max = release->block ? release->block->size
                                  : release->zone->document;
    document.env = &env;
    document.log = cf ? cf->log : ngx_cycle->log;

    return ngx_http_gray_document_build(&document, input, current, doc, text,
                                        faults);
}


ngx_int_t
ngx_http_gray_release_reset(ngx_http_gray_release_t *release,
    const ngx_http_gray_json_t *current, ngx_http_gray_json_t **doc,
    ngx_str_t *text, ngx_http_gray_faults_t *faults)
{
    ngx_int_t                  rc;
    ngx_http_gray_json_t      *bare;
    ngx_http_gray_document_t   document;

    bare = ngx_http_gray_document_bare(release->declared);
    if (bare == NULL) {
        return NGX_ERROR;
    }

    /* its names were judged when nginx.conf was read */

    document.schema.release = release->name;
    document.schema.kind = release->kind;
    document.max = release->block->size;
    document.env = NULL;
    document.log = ngx_cycle->log;

    rc = ngx_http_gray_document_build(&document, bare, current, doc, text,
                                      faults);

    if (rc == NGX_BUSY && current) {
        faults->n = 0;
        rc = ngx_http_gray_document_build(&document, bare, NULL, doc, text,
                                          faults);
    }

    ngx_http_gray_json_free(bare);

    return rc;
}


static void
ngx_http_gray_release_names(ngx_conf_t *cf, ngx_http_gray_release_t *release,
    ngx_http_gray_names_t *names, ngx_http_gray_rules_env_t *env)
{
    ngx_cycle_t                    *cycle;
    ngx_http_gray_attribute_env_t  *attributes;

    attributes = &names->attributes;

    names->cf = cf;
    names->release = release;
    names->current = NULL;
    names->judging = 0;

    if (cf) {
        names->gmcf = ngx_http_conf_get_module_main_conf(cf,
                                                       ngx_http_gray_module);
        attributes->cmcf = ngx_http_conf_get_module_main_conf(cf,
                                                       ngx_http_core_module);
        names->umcf = ngx_http_conf_get_module_main_conf(cf,
                                                   ngx_http_upstream_module);

    } else {
        cycle = (ngx_cycle_t *) ngx_cycle;

        names->gmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                                       ngx_http_gray_module);
        attributes->cmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                                       ngx_http_core_module);
        names->umcf = ngx_http_cycle_get_module_main_conf(cycle,
                                                   ngx_http_upstream_module);
    }

    attributes->cf = cf;
    attributes->geo = names->gmcf->geo;
    attributes->own = release;

    env->data = names;
    env->attribute = ngx_http_gray_release_attribute;
    env->upstream = ngx_http_gray_release_upstream;
    env->list = ngx_http_gray_release_list;
    env->explain = 0;
}


static ngx_int_t
ngx_http_gray_release_attribute(void *data, ngx_pool_t *pool,
    ngx_http_gray_attribute_t *attribute, char *why)
{
    ngx_http_gray_names_t *names = data;

    ngx_int_t   rc;
    ngx_str_t  *unknown;

    rc = ngx_http_gray_attribute_resolve(&names->attributes, pool, attribute,
                                         &unknown, why);

    if (rc == NGX_DECLINED
        && ngx_http_gray_release_reads(names->current, unknown))
    {
        return NGX_OK;
    }

    return rc == NGX_OK ? NGX_OK : NGX_DECLINED;
}


/*
 * What nginx.conf declares may name lists that are put later, when it runs,
 * and at run time a list is looked up whenever it is asked.
 */

static ngx_int_t
ngx_http_gray_release_list(void *data, ngx_str_t *name, ngx_uint_t networks,
    ngx_http_gray_list_t **list, char *why, size_t size)
{
    ngx_http_gray_names_t *names = data;

    ngx_http_gray_zone_t  *zone;

    *list = NULL;

    zone = names->release->zone;

    if (!names->judging) {
        *list = ngx_http_gray_lists_get(zone, name);
        return NGX_OK;
    }

    if (ngx_http_gray_lists_known(zone, name, networks, why, size) == NGX_OK
        || ngx_http_gray_release_lists(names->current, name))
    {
        return NGX_OK;
    }

    if (names->cf && zone->lists && ngx_http_gray_directory_name(name)) {
        ngx_log_error(NGX_LOG_WARN, names->cf->log, 0,
                      "gray: release \"%V\": %s; until there is one, its "
                      "rules do not hold", &names->release->name, why);
        return NGX_OK;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_gray_release_upstream(void *data, ngx_str_t *name, void **peer,
    char *why)
{
    ngx_http_gray_names_t *names = data;

    ngx_url_t                       u;
    ngx_uint_t                      i, blocks;
    ngx_pool_t                     *pool;
    ngx_http_upstream_srv_conf_t  **uscfp;

    *peer = NULL;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        ngx_sprintf((u_char *) why, "cannot be looked up, memory is short%Z");
        return NGX_DECLINED;
    }

    ngx_memzero(&u, sizeof(ngx_url_t));
    u.url = *name;
    u.no_resolve = 1;

    if (ngx_parse_url(pool, &u) == NGX_OK) {

        /* a name without a port is that of an upstream block */

        blocks = (u.no_port && u.family != AF_UNIX);
        uscfp = names->umcf->upstreams.elts;

        for (i = 0; i < names->umcf->upstreams.nelts; i++) {

            if (uscfp[i]->host.len == u.host.len
                && ngx_strncasecmp(uscfp[i]->host.data, u.host.data,
                                   u.host.len) == 0
                && (blocks ? uscfp[i]->flags & NGX_HTTP_UPSTREAM_CREATE
                           : uscfp[i]->port == u.port)
                && uscfp[i]->peer.init
                && !ngx_http_gray_release_named(names->gmcf, &uscfp[i]->host,
                                                NGX_HTTP_GRAY_ROUTED))
            {
                *peer = uscfp[i];
                break;
            }
        }
    }

    ngx_destroy_pool(pool);

    if (*peer || ngx_http_gray_release_routes(names->current, name)) {
        return NGX_OK;
    }

    if (ngx_http_gray_release_named(names->gmcf, name, NGX_HTTP_GRAY_EITHER)) {
        ngx_snprintf((u_char *) why, NGX_HTTP_GRAY_WHY,
                     "\"%*s\" is a release; a variant needs an upstream or "
                     "an address%Z", ngx_min(name->len, 80), name->data);

    } else {
        ngx_http_gray_release_upstreams(names, name, why);
    }

    return NGX_DECLINED;
}


/*
 * A name that the live document has may stay although nginx.conf has lost it:
 * who wants to get out of that must be able to change weights or to disable.
 * Attributes are keys in rules, what "of" says, and items of "hash".
 */

static ngx_uint_t
ngx_http_gray_release_reads(const ngx_http_gray_json_t *node, ngx_str_t *name)
{
    ngx_str_t                    text;
    const char                  *key;
    const ngx_http_gray_json_t  *child;

    for (child = ngx_http_gray_json_first(node);
         child;
         child = ngx_http_gray_json_next(child))
    {
        key = ngx_http_gray_json_key(child);

        if (key && ngx_strcmp(key, "of") != 0) {
            text.data = (u_char *) key;
            text.len = ngx_strlen(key);

        } else {
            text = ngx_http_gray_json_text(child);
        }

        if ((text.len == name->len
             && ngx_strncasecmp(text.data, name->data, text.len) == 0)
            || ngx_http_gray_release_reads(child, name))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_gray_release_lists(const ngx_http_gray_json_t *node, ngx_str_t *list)
{
    ngx_str_t                    text;
    const char                  *key;
    const ngx_http_gray_json_t  *child;

    for (child = ngx_http_gray_json_first(node);
         child;
         child = ngx_http_gray_json_next(child))
    {
        key = ngx_http_gray_json_key(child);
        text = ngx_http_gray_json_text(child);

        if ((key && (ngx_strcmp(key, "in_list") == 0
                     || ngx_strcmp(key, "cidr_list") == 0)
             && text.len == list->len
             && ngx_strncmp(text.data, list->data, text.len) == 0)
            || ngx_http_gray_release_lists(child, list))
        {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_gray_release_holds(ngx_http_gray_release_t *release,
    const ngx_http_gray_json_t *doc, const ngx_http_gray_json_t *current)
{
    char                         why[NGX_HTTP_GRAY_WHY];
    ngx_str_t                    text;
    const char                  *key;
    ngx_uint_t                   networks;
    const ngx_http_gray_json_t  *child;

    for (child = ngx_http_gray_json_first(doc);
         child;
         child = ngx_http_gray_json_next(child))
    {
        key = ngx_http_gray_json_key(child);
        networks = (key && ngx_strcmp(key, "cidr_list") == 0);

        if (networks || (key && ngx_strcmp(key, "in_list") == 0)) {
            text = ngx_http_gray_json_text(child);

            if (!ngx_http_gray_release_lists(current, &text)
                && (ngx_http_gray_lists_known(release->zone, &text, networks,
                                              why, sizeof(why))
                    != NGX_OK
                    || !ngx_http_gray_lists_there(release->zone, &text,
                                                  networks)))
            {
                return 0;
            }
        }

        if (!ngx_http_gray_release_holds(release, child, current)) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_http_gray_release_routes(const ngx_http_gray_json_t *doc,
    ngx_str_t *upstream)
{
    ngx_str_t              text;
    ngx_http_gray_json_t  *variant;

    variant = ngx_http_gray_json_first(ngx_http_gray_json_get(doc,
                                                              "variants"));

    for ( /* void */ ; variant; variant = ngx_http_gray_json_next(variant)) {

        text = ngx_http_gray_json_text(ngx_http_gray_json_get(variant,
                                                              "upstream"));

        if (text.len == upstream->len
            && ngx_strncmp(text.data, upstream->data, text.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* nginx finds upstreams whatever their case: a release is found so, too */

static ngx_uint_t
ngx_http_gray_release_named(ngx_http_gray_main_conf_t *gmcf, ngx_str_t *name,
    ngx_http_gray_kind_e kind)
{
    ngx_uint_t                 i;
    ngx_http_gray_release_t  **release;

    release = gmcf->releases.elts;

    for (i = 0; i < gmcf->releases.nelts; i++) {
        if ((kind == NGX_HTTP_GRAY_EITHER || kind == release[i]->kind)
            && release[i]->name.len == name->len
            && ngx_strncasecmp(release[i]->name.data, name->data, name->len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_gray_release_upstreams(ngx_http_gray_names_t *names, ngx_str_t *name,
    char *why)
{
    u_char                         *p, *last;
    ngx_uint_t                      i, n;
    ngx_http_upstream_srv_conf_t  **uscfp;

    p = (u_char *) why;
    last = p + NGX_HTTP_GRAY_WHY - 1;

    p = ngx_slprintf(p, last, "no upstream \"%*s\"; there are ",
                     ngx_min(name->len, 80), name->data);

    uscfp = names->umcf->upstreams.elts;

    for (i = 0, n = 0; i < names->umcf->upstreams.nelts; i++) {

        if ((uscfp[i]->flags & NGX_HTTP_UPSTREAM_CREATE)
            && !ngx_http_gray_release_named(names->gmcf, &uscfp[i]->host,
                                            NGX_HTTP_GRAY_ROUTED))
        {
            p = ngx_slprintf(p, last, "%s%V", n++ ? ", " : "",
                             &uscfp[i]->host);
        }
    }

    if (n == 0) {
        p = ngx_slprintf(p, last, "none");
    }

    *p = '\0';
}


ngx_int_t
ngx_http_gray_release_declare(ngx_conf_t *cf, ngx_http_gray_release_t *release,
    const ngx_http_gray_json_t *input, ngx_http_gray_faults_t *faults)
{
    char                        why[NGX_HTTP_GRAY_WHY];
    u_char                     *p;
    ngx_int_t                   rc;
    ngx_str_t                   name, upstream;
    ngx_http_gray_json_t       *variants, *variant;
    ngx_http_gray_names_t       names;
    ngx_http_gray_variant_t    *fallback;
    ngx_http_gray_rules_env_t   env;

    rc = ngx_http_gray_release_build(cf, release, input, NULL,
                                     &release->declared,
                                     &release->declared_text, faults);
    if (rc != NGX_OK) {
        return rc;
    }

    name = ngx_http_gray_json_text(ngx_http_gray_json_get(release->declared,
                                                          "baseline"));
    variants = ngx_http_gray_json_get(release->declared, "variants");
    variant = ngx_http_gray_json_get(variants, (char *) name.data);

    upstream = ngx_http_gray_json_text(ngx_http_gray_json_get(variant,
                                                              "upstream"));
    fallback = &release->fallback;

    p = ngx_pcalloc(cf->pool, name.len + 1 + upstream.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    fallback->name.data = p;
    fallback->name.len = name.len;
    p = ngx_cpymem(p, name.data, name.len) + 1;

    fallback->upstream.data = p;
    fallback->upstream.len = upstream.len;

    if (upstream.len == 0) {
        return NGX_OK;
    }

    ngx_memcpy(p, upstream.data, upstream.len);

    ngx_http_gray_release_names(cf, release, &names, &env);

    return ngx_http_gray_release_upstream(&names, &fallback->upstream,
                                          &fallback->peer, why);
}


ngx_int_t
ngx_http_gray_release_due(ngx_http_gray_release_t *release, uint64_t *word,
    ngx_str_t *text, ngx_log_t *log)
{
    ngx_int_t                  rc;
    ngx_http_gray_json_t      *live, *doc;
    ngx_http_gray_faults_t     faults;
    ngx_http_gray_snapshot_t   snapshot;

    if (ngx_http_gray_release_read(release, &snapshot, &live) != NGX_OK) {
        return NGX_ERROR;
    }

    free(snapshot.text.data);

    *word = snapshot.word;
    rc = NGX_DECLINED;

    if (!ngx_http_gray_release_keeps(release, live, &snapshot, log)) {
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
ngx_http_gray_release_keeps(ngx_http_gray_release_t *release,
    const ngx_http_gray_json_t *live, ngx_http_gray_snapshot_t *snapshot,
    ngx_log_t *log)
{
    if (!ngx_http_gray_release_differs(release, live)) {
        return 1;
    }

    if (ngx_http_gray_release_kind_of(live) != release->kind) {
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
ngx_http_gray_release_kind_of(const ngx_http_gray_json_t *doc)
{
    ngx_http_gray_json_t  *variant;

    variant = ngx_http_gray_json_first(ngx_http_gray_json_get(doc,
                                                              "variants"));

    return ngx_http_gray_json_get(variant, "upstream") ? NGX_HTTP_GRAY_ROUTED
                                                       : NGX_HTTP_GRAY_SWITCH;
}


ngx_int_t
ngx_http_gray_release_read(ngx_http_gray_release_t *release,
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
ngx_http_gray_release_write(ngx_http_gray_release_t *release, uint64_t word,
    ngx_str_t *text, ngx_http_gray_origin_e origin, ngx_log_t *log)
{
    ngx_int_t  rc;

    if (ngx_http_gray_shm_lock(release->zone) != NGX_OK) {
        return NGX_AGAIN;
    }

    if (ngx_http_gray_release_left(release)) {
        rc = NGX_ABORT;

    } else {
        rc = ngx_http_gray_release_publish_locked(release, word, text, origin);

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
ngx_http_gray_release_publish(ngx_http_gray_release_t *release, uint64_t word,
    ngx_str_t *text, ngx_http_gray_origin_e origin)
{
    ngx_int_t  rc;

    if (ngx_http_gray_shm_lock(release->zone) != NGX_OK) {
        return NGX_AGAIN;
    }

    rc = ngx_http_gray_release_publish_locked(release, word, text, origin);

    ngx_http_gray_shm_unlock(release->zone);

    return rc;
}


static ngx_int_t
ngx_http_gray_release_publish_locked(ngx_http_gray_release_t *release,
    uint64_t word, ngx_str_t *text, ngx_http_gray_origin_e origin)
{
    if (ngx_http_gray_shm_word(release->block) != word) {
        return NGX_DECLINED;
    }

    return ngx_http_gray_shm_publish_locked(release->zone, release->block,
                                            text, origin)
           == NGX_OK ? NGX_OK : NGX_BUSY;
}


ngx_uint_t
ngx_http_gray_release_left(ngx_http_gray_release_t *release)
{
    return release->block->moves != release->moves
           || ngx_http_gray_shm_outdated(release->zone);
}


/*
 * The master renames its pid file then, and renames it back where the new one
 * is gone.
 */

ngx_uint_t
ngx_http_gray_release_upgraded(void)
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
ngx_http_gray_release_fits(ngx_http_gray_release_t *release,
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


ngx_uint_t
ngx_http_gray_release_differs(ngx_http_gray_release_t *release,
    const ngx_http_gray_json_t *doc)
{
    return !ngx_http_gray_document_same(doc, release->declared);
}


const char *
ngx_http_gray_release_origin(ngx_http_gray_origin_e origin)
{
    return origin == NGX_HTTP_GRAY_API ? "api" : "nginx.conf";
}


ngx_http_gray_origin_e
ngx_http_gray_release_origin_of(ngx_str_t *name)
{
    return (name->len == 3 && ngx_strncmp(name->data, "api", 3) == 0)
           ? NGX_HTTP_GRAY_API : NGX_HTTP_GRAY_DECLARED;
}


void
ngx_http_gray_release_refresh(ngx_http_gray_release_t *release, ngx_log_t *log)
{
    ngx_http_gray_json_t      *doc;
    ngx_http_gray_plan_t      *plan;
    ngx_http_gray_rules_t     *rules;
    ngx_http_gray_names_t      names;
    ngx_http_gray_snapshot_t   snapshot;
    ngx_http_gray_rules_env_t  env;

    if (release->health == NGX_HTTP_GRAY_UNCOMPILED
        && ngx_time() < release->retry)
    {
        return;
    }

    if (ngx_http_gray_release_read(release, &snapshot, &doc) != NGX_OK) {
        ngx_http_gray_release_uncompiled(release, log);
        return;
    }

    ngx_http_gray_release_names(NULL, release, &names, &env);

    rules = ngx_http_gray_rules_compile(doc, &env, NULL, ngx_cycle->log);
    plan = ngx_http_gray_release_plan(release, doc);

    ngx_http_gray_json_free(doc);
    free(snapshot.text.data);

    if (rules == NULL) {
        ngx_http_gray_release_uncompiled(release, log);
        free(plan);
        return;
    }

    if (!ngx_http_gray_release_adopt(release, rules, &snapshot, &env, log)) {
        free(plan);
        return;
    }

    ngx_http_gray_release_arms(release, plan);
}


/* NULL where there is none; without memory there are no guards, for a while */

static ngx_http_gray_plan_t *
ngx_http_gray_release_plan(ngx_http_gray_release_t *release,
    const ngx_http_gray_json_t *doc)
{
    ngx_http_gray_json_t  *rollout;
    ngx_http_gray_plan_t  *plan;

    rollout = ngx_http_gray_json_get(doc, "rollout");

    if (rollout == NULL || release->trial == NULL) {
        return NULL;
    }

    plan = malloc(sizeof(ngx_http_gray_plan_t));

    if (plan && ngx_http_gray_plan_read(plan, rollout) != NGX_OK) {
        free(plan);
        return NULL;
    }

    if (plan) {
        ngx_http_gray_look(doc, plan->variant, &release->world,
                           release->testers, sizeof(release->testers));
    }

    return plan;
}


/* requests to these two are counted for guards */

static void
ngx_http_gray_release_arms(ngx_http_gray_release_t *release,
    ngx_http_gray_plan_t *plan)
{
    ngx_uint_t                i;
    ngx_http_gray_variant_t  *variant, *canary, *baseline;

    free(release->plan);
    release->plan = plan;

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

    if (canary && canary != baseline) {
        canary->arm = NGX_HTTP_GRAY_TRIAL_CANARY;
        baseline->arm = NGX_HTTP_GRAY_TRIAL_BASELINE;
    }
}


/* 1 where "rules" are in force now; they are freed sooner or later */

static ngx_uint_t
ngx_http_gray_release_adopt(ngx_http_gray_release_t *release,
    ngx_http_gray_rules_t *rules, ngx_http_gray_snapshot_t *snapshot,
    ngx_http_gray_rules_env_t *env, ngx_log_t *log)
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
        && (ngx_http_gray_release_left(release)
            || (release->block->foreign == snapshot->revision
                && ngx_http_gray_release_upgraded())))
    {
        ngx_http_gray_release_stay(release, rules, snapshot, log);
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
        rules = ngx_http_gray_rules_compile(release->declared, env, NULL,
                                            ngx_cycle->log);
        if (rules == NULL) {
            ngx_http_gray_release_uncompiled(release, log);
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
        ngx_http_gray_release_slots(release, log);
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, log, 0,
                   "gray: release \"%V\" compiled revision %uL",
                   &release->name, snapshot->revision);

    return 1;
}


static void
ngx_http_gray_release_slots(ngx_http_gray_release_t *release,
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
ngx_http_gray_release_recount(ngx_http_gray_release_t *release,
    ngx_log_t *log)
{
    if (release->recount) {
        ngx_http_gray_release_slots(release, log);
    }
}


/*
 * A worker of a configuration that was replaced meets a revision for the one
 * after it, with names that it cannot know: it ends by what it had, so that
 * nobody moves.  The kill switch works there, too.
 */

static void
ngx_http_gray_release_stay(ngx_http_gray_release_t *release,
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
ngx_http_gray_release_uncompiled(ngx_http_gray_release_t *release,
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
