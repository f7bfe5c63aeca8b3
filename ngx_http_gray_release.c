
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_compile.h"
#include "ngx_http_gray_release.h"
#include "ngx_http_gray_lists.h"


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


ngx_http_gray_rules_t *
ngx_http_gray_release_compile(ngx_http_gray_release_t *release,
    const ngx_http_gray_json_t *doc)
{
    ngx_http_gray_names_t      names;
    ngx_http_gray_rules_env_t  env;

    ngx_http_gray_release_names(NULL, release, &names, &env);

    return ngx_http_gray_compile(doc, &env, NULL, ngx_cycle->log);
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
