
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


typedef struct {
    ngx_conf_t                     *cf;          /* NULL: at run time */
    ngx_http_gray_release_t        *release;
    const ngx_http_gray_json_t     *current;     /* or NULL */
    ngx_http_gray_main_conf_t      *gmcf;
    ngx_http_core_main_conf_t      *cmcf;
    ngx_http_upstream_main_conf_t  *umcf;
} ngx_http_gray_names_t;


static void ngx_http_gray_release_cleanup(void *data);
static void ngx_http_gray_release_names(ngx_conf_t *cf,
    ngx_http_gray_release_t *release, ngx_http_gray_names_t *names,
    ngx_http_gray_rules_env_t *env);
static ngx_int_t ngx_http_gray_release_attribute(void *data, ngx_str_t *name,
    void **source, char *why);
static ngx_http_variable_t *ngx_http_gray_release_known(
    ngx_http_gray_names_t *names, ngx_str_t *name, ngx_int_t *index);
static ngx_int_t ngx_http_gray_release_upstream(void *data, ngx_str_t *name,
    void **peer, char *why);
static ngx_uint_t ngx_http_gray_release_reads(const ngx_http_gray_json_t *node,
    ngx_str_t *variable);
static ngx_uint_t ngx_http_gray_release_routes(const ngx_http_gray_json_t *doc,
    ngx_str_t *upstream);
static ngx_uint_t ngx_http_gray_release_named(ngx_http_gray_main_conf_t *gmcf,
    ngx_str_t *name, ngx_http_gray_kind_e kind);
static void ngx_http_gray_release_upstreams(ngx_http_gray_names_t *names,
    ngx_str_t *name, char *why);
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

    ngx_http_gray_json_free(release->declared);
    free(release->declared_text.data);
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

    document.schema.release = release->name;
    document.schema.kind = release->kind;
    document.max = release->block ? release->block->size
                                  : release->zone->document;
    document.env = &env;
    document.log = cf ? cf->log : ngx_cycle->log;

    return ngx_http_gray_document_build(&document, input, current, doc, text,
                                        faults);
}


static void
ngx_http_gray_release_names(ngx_conf_t *cf, ngx_http_gray_release_t *release,
    ngx_http_gray_names_t *names, ngx_http_gray_rules_env_t *env)
{
    ngx_cycle_t  *cycle;

    names->cf = cf;
    names->release = release;
    names->current = NULL;

    if (cf) {
        names->gmcf = ngx_http_conf_get_module_main_conf(cf,
                                                       ngx_http_gray_module);
        names->cmcf = ngx_http_conf_get_module_main_conf(cf,
                                                       ngx_http_core_module);
        names->umcf = ngx_http_conf_get_module_main_conf(cf,
                                                   ngx_http_upstream_module);

    } else {
        cycle = (ngx_cycle_t *) ngx_cycle;

        names->gmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                                       ngx_http_gray_module);
        names->cmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                                       ngx_http_core_module);
        names->umcf = ngx_http_cycle_get_module_main_conf(cycle,
                                                   ngx_http_upstream_module);
    }

    env->data = names;
    env->attribute = ngx_http_gray_release_attribute;
    env->upstream = ngx_http_gray_release_upstream;
}


/*
 * A source is the index of an indexed variable, shifted and with its lowest
 * bit set, or a pointer to the variable.  Whatever is indexed is read by its
 * index, so that all its readers see the same value of a request.
 */

static ngx_int_t
ngx_http_gray_release_attribute(void *data, ngx_str_t *name, void **source,
    char *why)
{
    ngx_http_gray_names_t *names = data;

    u_char                ch;
    ngx_int_t             index;
    ngx_uint_t            i;
    ngx_str_t             bare;
    ngx_http_variable_t  *v;

    *source = NULL;

    if (name->len < 2 || name->data[0] != '$') {
        ngx_snprintf((u_char *) why, NGX_HTTP_GRAY_WHY,
                     "unknown attribute \"%*s\"; an attribute is a variable "
                     "of nginx, as \"$remote_addr\"%Z",
                     ngx_min(name->len, 80), name->data);
        return NGX_DECLINED;
    }

    for (i = 1; i < name->len; i++) {
        ch = name->data[i] = ngx_tolower(name->data[i]);

        if ((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '_'
            || ngx_strncmp(name->data, "$cookie_", 8) == 0)
        {
            continue;
        }

        ngx_snprintf((u_char *) why, NGX_HTTP_GRAY_WHY,
                     "\"%*s\" is no variable, must be \"$\", then letters, "
                     "digits or \"_\"%Z", ngx_min(name->len, 80),
                     name->data);
        return NGX_DECLINED;
    }

    bare.len = name->len - 1;
    bare.data = name->data + 1;

    v = ngx_http_gray_release_known(names, &bare, &index);

    if (v == NULL) {

        if (ngx_http_gray_release_reads(names->current, name)) {
            return NGX_OK;
        }

        ngx_snprintf((u_char *) why, NGX_HTTP_GRAY_WHY,
                     "unknown variable \"%*s\", this nginx has none of that "
                     "name%Z", ngx_min(name->len, 80), name->data);
        return NGX_DECLINED;
    }

    /* the variables of a release have it as their data */

    if (v->data == (uintptr_t) names->release
        || (bare.len == sizeof("gray_decisions") - 1
            && ngx_strncmp(bare.data, "gray_decisions", bare.len) == 0))
    {
        ngx_snprintf((u_char *) why, NGX_HTTP_GRAY_WHY,
                     "\"%*s\" is what the release itself decides%Z",
                     ngx_min(name->len, 80), name->data);
        return NGX_DECLINED;
    }

    if (names->cf) {
        index = ngx_http_get_variable_index(names->cf, &bare);

        if (index == NGX_ERROR) {
            ngx_sprintf((u_char *) why, "cannot be indexed%Z");
            return NGX_DECLINED;
        }
    }

    *source = (index == NGX_ERROR) ? (void *) v
                                   : (void *) ((uintptr_t) index << 1 | 1);

    return NGX_OK;
}


/* NULL where there is none; "index" is NGX_ERROR where it is not indexed */

static ngx_http_variable_t *
ngx_http_gray_release_known(ngx_http_gray_names_t *names, ngx_str_t *name,
    ngx_int_t *index)
{
    size_t                len;
    ngx_uint_t            i;
    ngx_hash_key_t       *key;
    ngx_http_variable_t  *v, *found;

    *index = NGX_ERROR;

    if (names->cf) {

        /* an index may still be of nothing */

        key = names->cmcf->variables_keys->keys.elts;

        for (i = 0; i < names->cmcf->variables_keys->keys.nelts; i++) {
            if (key[i].key.len == name->len
                && ngx_strncmp(key[i].key.data, name->data, name->len) == 0)
            {
                return key[i].value;
            }
        }

    } else {
        v = names->cmcf->variables.elts;

        for (i = 0; i < names->cmcf->variables.nelts; i++) {
            if (v[i].name.len == name->len
                && ngx_strncmp(v[i].name.data, name->data, name->len) == 0)
            {
                *index = i;
                return &v[i];
            }
        }

        found = ngx_hash_find(&names->cmcf->variables_hash,
                              ngx_hash_key(name->data, name->len), name->data,
                              name->len);
        if (found) {
            return found;
        }
    }

    found = NULL;
    v = names->cmcf->prefix_variables.elts;
    len = 0;

    for (i = 0; i < names->cmcf->prefix_variables.nelts; i++) {
        if (name->len >= v[i].name.len && v[i].name.len > len
            && ngx_strncmp(name->data, v[i].name.data, v[i].name.len) == 0)
        {
            len = v[i].name.len;
            found = &v[i];
        }
    }

    return found;
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
 * Variables are keys in rules and items of "hash", and nothing else begins
 * with a "$" there.
 */

static ngx_uint_t
ngx_http_gray_release_reads(const ngx_http_gray_json_t *node,
    ngx_str_t *variable)
{
    ngx_str_t                    text;
    const char                  *key;
    const ngx_http_gray_json_t  *child;

    for (child = ngx_http_gray_json_first(node);
         child;
         child = ngx_http_gray_json_next(child))
    {
        key = ngx_http_gray_json_key(child);

        if (key) {
            text.data = (u_char *) key;
            text.len = ngx_strlen(key);

        } else {
            text = ngx_http_gray_json_text(child);
        }

        if ((text.len == variable->len
             && ngx_strncasecmp(text.data, variable->data, text.len) == 0)
            || ngx_http_gray_release_reads(child, variable))
        {
            return 1;
        }
    }

    return 0;
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
    ngx_int_t                   rc;
    ngx_str_t                   name;
    ngx_http_gray_json_t       *variants, *variant, *baseline;
    ngx_http_gray_names_t       names;
    ngx_http_gray_rules_env_t   env;

    rc = ngx_http_gray_release_build(cf, release, input, NULL,
                                     &release->declared,
                                     &release->declared_text, faults);
    if (rc != NGX_OK) {
        return rc;
    }

    baseline = ngx_http_gray_json_get(release->declared, "baseline");
    release->baseline = ngx_http_gray_json_text(baseline);

    variants = ngx_http_gray_json_get(release->declared, "variants");
    variant = ngx_http_gray_json_get(variants,
                                     (char *) release->baseline.data);

    name = ngx_http_gray_json_text(ngx_http_gray_json_get(variant,
                                                          "upstream"));
    if (name.len == 0) {
        return NGX_OK;
    }

    ngx_http_gray_release_names(cf, release, &names, &env);

    return ngx_http_gray_release_upstream(&names, &name,
                                          (void **) &release->peer, why);
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

    if (release->block->closed) {
        rc = NGX_ABORT;

    } else if (ngx_http_gray_shm_word(release->block) != word) {
        rc = NGX_DECLINED;

    } else {
        rc = ngx_http_gray_shm_publish_locked(release->zone, release->block,
                                              text, origin);
        if (rc == NGX_DECLINED) {
            rc = NGX_BUSY;
        }

        /* a process that was stopped here may find itself left behind */

        __atomic_thread_fence(__ATOMIC_SEQ_CST);

        if (release->block->closed) {
            rc = NGX_ABORT;
        }
    }

    ngx_http_gray_shm_unlock(release->zone);

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, log, 0,
                   "gray: write %V after word %uL: %i",
                   &release->name, word, rc);

    return rc;
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


void
ngx_http_gray_release_refresh(ngx_http_gray_release_t *release, ngx_log_t *log)
{
    ngx_str_t                  missed;
    ngx_uint_t                 missing, enabled;
    ngx_http_gray_json_t      *doc;
    ngx_http_gray_rules_t     *rules;
    ngx_http_gray_names_t      names;
    ngx_http_gray_health_e     health;
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

    ngx_http_gray_json_free(doc);
    free(snapshot.text.data);

    if (rules == NULL) {
        ngx_http_gray_release_uncompiled(release, log);
        return;
    }

    missing = ngx_http_gray_rules_missing(rules, &missed);
    health = missing ? NGX_HTTP_GRAY_MISSING : NGX_HTTP_GRAY_HEALTHY;

    if (missing) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "gray: release \"%V\" revision %uL: %ui names are "
                      "unknown to nginx.conf, the first is \"%V\"",
                      &release->name, snapshot.revision, missing, &missed);
    }

    if (release->kind == NGX_HTTP_GRAY_ROUTED
        && ngx_http_gray_rules_baseline(rules)->peer == NULL)
    {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "gray: release \"%V\" revision %uL: the baseline's "
                      "upstream \"%V\" is gone, what nginx.conf declares "
                      "serves", &release->name, snapshot.revision,
                      &ngx_http_gray_rules_baseline(rules)->upstream);

        enabled = ngx_http_gray_rules_enabled(rules);
        ngx_http_gray_rules_destroy(rules);

        health = NGX_HTTP_GRAY_BASELINE_GONE;
        rules = ngx_http_gray_rules_compile(release->declared, &env, NULL,
                                            ngx_cycle->log);
        if (rules == NULL) {
            ngx_http_gray_release_uncompiled(release, log);
            return;
        }

        if (!enabled) {
            ngx_http_gray_rules_disable(rules);
        }
    }

    if (release->rules) {
        ngx_http_gray_rules_destroy(release->rules);
    }

    release->rules = rules;
    release->word = snapshot.word;
    release->health = health;
    release->warned = 0;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, log, 0,
                   "gray: release \"%V\" compiled revision %uL",
                   &release->name, snapshot.revision);
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


ngx_int_t
ngx_http_gray_release_variable(ngx_http_request_t *r,
    ngx_http_gray_attribute_t *attribute, ngx_str_t *value)
{
    uintptr_t                   source;
    ngx_str_t                   name;
    ngx_http_variable_t        *v;
    ngx_http_variable_value_t  *vv, own;

    source = (uintptr_t) attribute->source;

    if (source & 1) {
        vv = ngx_http_get_flushed_variable(r, source >> 1);

        if (vv == NULL) {
            return NGX_ERROR;
        }

    } else {
        v = attribute->source;
        vv = &own;

        ngx_memzero(vv, sizeof(ngx_http_variable_value_t));

        name.len = attribute->name.len - 1;
        name.data = attribute->name.data + 1;

        if (v->get_handler(r, vv, (v->flags & NGX_HTTP_VAR_PREFIX)
                                  ? (uintptr_t) &name : v->data)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (vv->not_found || !vv->valid) {
        return NGX_DECLINED;
    }

    value->len = vv->len;
    value->data = vv->data;

    return NGX_OK;
}
