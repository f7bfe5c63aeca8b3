
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * A document becomes a rule set.
 *
 * Layout.  A rule's "when" is a tree of conditions over the slots of the
 * attributes, see ngx_http_gray_condition.c; many rules have an index, see
 * ngx_http_gray_index.c.  A split (of the weights, or of a rule) is an
 * ascending array of segments of buckets, see ngx_http_gray_allocation.c.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_arms.h"
#include "ngx_http_gray_compile.h"


typedef struct {
    ngx_http_gray_rules_t       *rules;
    ngx_http_gray_conditions_t   conditions;
} ngx_http_gray_compile_t;


static ngx_int_t ngx_http_gray_compile_variants(ngx_http_gray_compile_t *cp,
    const ngx_http_gray_json_t *doc);
static void ngx_http_gray_compile_fallback(ngx_http_gray_compile_t *cp,
    const ngx_http_gray_json_t *doc);
static ngx_int_t ngx_http_gray_compile_keys(ngx_http_gray_compile_t *cp,
    const ngx_http_gray_json_t *doc);
static ngx_int_t ngx_http_gray_compile_cookie(ngx_http_gray_compile_t *cp,
    const ngx_http_gray_json_t *doc);
static ngx_int_t ngx_http_gray_compile_rules(ngx_http_gray_compile_t *cp,
    const ngx_http_gray_json_t *doc);
static ngx_int_t ngx_http_gray_compile_split(ngx_http_gray_compile_t *cp,
    const ngx_http_gray_json_t *doc, const ngx_http_gray_json_t *rule,
    ngx_http_gray_split_t *split);
static ngx_int_t ngx_http_gray_compile_index(ngx_http_gray_compile_t *cp);
static void ngx_http_gray_compile_seeds(ngx_http_gray_compile_t *cp,
    const ngx_str_t *salt);


ngx_http_gray_rules_t *
ngx_http_gray_compile(const ngx_http_gray_json_t *doc,
    const ngx_http_gray_rules_env_t *env, ngx_http_gray_faults_t *faults,
    ngx_log_t *log)
{
    ngx_str_t                    salt;
    ngx_uint_t                   before;
    ngx_http_gray_json_t        *member;
    ngx_http_gray_rules_t       *rules;
    ngx_http_gray_compile_t      cp;
    ngx_http_gray_conditions_t  *conditions;

    before = faults ? faults->n : 0;

    rules = ngx_http_gray_rules_create(log);
    if (rules == NULL) {
        return NULL;
    }

    ngx_memzero(&cp, sizeof(ngx_http_gray_compile_t));
    cp.rules = rules;

    conditions = &cp.conditions;
    conditions->env = env;
    conditions->tests.faults = faults;
    conditions->tests.pool = rules->pool;
    conditions->tests.data = env->data;
    conditions->tests.list = env->list;
    conditions->tests.limited = &rules->limited;

    member = ngx_http_gray_json_get(doc, "enabled");
    rules->enabled = (member == NULL || ngx_http_gray_json_true(member));

    salt = ngx_http_gray_json_text(ngx_http_gray_json_get(doc, "salt"));
    rules->seed = ngx_http_gray_rules_seed(&salt);

    if (ngx_http_gray_compile_variants(&cp, doc) != NGX_OK
        || ngx_http_gray_compile_keys(&cp, doc) != NGX_OK
        || ngx_http_gray_compile_cookie(&cp, doc) != NGX_OK
        || ngx_http_gray_compile_rules(&cp, doc) != NGX_OK
        || ngx_http_gray_compile_split(&cp, doc, NULL, &rules->split) != NGX_OK
        || conditions->tests.failed
        || (faults && faults->n > before)
        || ngx_http_gray_compile_index(&cp) != NGX_OK)
    {
        ngx_http_gray_rules_destroy(rules);
        return NULL;
    }

    ngx_http_gray_compile_seeds(&cp, &salt);
    ngx_http_gray_compile_fallback(&cp, doc);

    rules->missing = conditions->missing;
    rules->missed = conditions->missed;

    return rules;
}


static ngx_int_t
ngx_http_gray_compile_variants(ngx_http_gray_compile_t *cp,
    const ngx_http_gray_json_t *doc)
{
    char                      why[NGX_HTTP_GRAY_WHY];
    u_char                   *p;
    ngx_str_t                 name, baseline, upstream;
    ngx_http_gray_json_t     *variants, *member;
    ngx_http_gray_path_t      path[3];
    ngx_http_gray_rules_t    *rules;
    ngx_http_gray_variant_t  *v;

    const ngx_http_gray_rules_env_t  *env;

    env = cp->conditions.env;
    rules = cp->rules;

    variants = ngx_http_gray_json_get(doc, "variants");
    baseline = ngx_http_gray_json_text(ngx_http_gray_json_get(doc,
                                                              "baseline"));

    rules->variants = ngx_http_gray_tests_alloc(&cp->conditions.tests,
                                 ngx_http_gray_json_count(variants)
                                 * sizeof(ngx_http_gray_variant_t));
    if (rules->variants == NULL) {
        return NGX_ERROR;
    }

    path[0].parent = NULL;
    path[0].key = "variants";
    path[1].parent = &path[0];
    path[2].parent = &path[1];
    path[2].key = "upstream";

    for (member = ngx_http_gray_json_first(variants);
         member;
         member = ngx_http_gray_json_next(member))
    {
        v = &rules->variants[rules->nvariants++];

        name.data = (u_char *) ngx_http_gray_json_key(member);

        if (name.data == NULL) {
            continue;
        }

        name.len = ngx_strlen(name.data);

        upstream = ngx_http_gray_json_text(ngx_http_gray_json_get(member,
                                                                "upstream"));

        p = ngx_http_gray_tests_alloc(&cp->conditions.tests,
                                      name.len + upstream.len + 2);
        if (p == NULL) {
            return NGX_ERROR;
        }

        v->name.data = p;
        v->name.len = name.len;
        p = ngx_cpymem(p, name.data, name.len) + 1;

        v->upstream.data = p;
        v->upstream.len = upstream.len;

        if (upstream.len) {
            ngx_memcpy(p, upstream.data, upstream.len);
        }

        if (baseline.len
            && name.len == baseline.len
            && ngx_strncmp(name.data, baseline.data, name.len) == 0)
        {
            rules->baseline = v;
        }

        if (v->upstream.len == 0
            || env->upstream(env->data, &v->upstream, &v->peer, why) == NGX_OK)
        {
            continue;
        }

        v->peer = NULL;
        path[1].key = (char *) v->name.data;

        ngx_http_gray_json_fault(cp->conditions.tests.faults, &path[2],
                                 "%s", why);

        ngx_http_gray_condition_miss(&cp->conditions, &v->upstream);
    }

    if (rules->baseline == NULL) {
        rules->baseline = rules->variants;
    }

    /* what is judged has a fault for that already */

    if (rules->nvariants == 0 && cp->conditions.tests.faults == NULL) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_gray_compile_fallback(ngx_http_gray_compile_t *cp,
    const ngx_http_gray_json_t *doc)
{
    ngx_str_t               fallback;
    ngx_uint_t              i;
    ngx_http_gray_rules_t  *rules;

    fallback = ngx_http_gray_json_text(ngx_http_gray_json_get(doc,
                                                              "fallback"));

    if (fallback.len == 0 || ngx_strcmp(fallback.data, "baseline") != 0) {
        return;
    }

    rules = cp->rules;

    for (i = 0; i < rules->nvariants; i++) {
        if (rules->variants[i].peer != rules->baseline->peer) {
            rules->variants[i].fallback = rules->baseline->peer;
        }
    }
}


static ngx_int_t
ngx_http_gray_compile_keys(ngx_http_gray_compile_t *cp,
    const ngx_http_gray_json_t *doc)
{
    ngx_str_t               name;
    ngx_http_gray_json_t   *hash, *item;
    ngx_http_gray_path_t    path[2];
    ngx_http_gray_slot_t   *slot;
    ngx_http_gray_rules_t  *rules;

    rules = cp->rules;
    hash = ngx_http_gray_json_get(doc, "hash");

    /* one more for the cookie */

    rules->keys = ngx_http_gray_tests_alloc(&cp->conditions.tests,
                                       (ngx_http_gray_json_count(hash) + 1)
                                       * sizeof(ngx_http_gray_slot_t *));
    if (rules->keys == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_gray_json_type(hash) != NGX_HTTP_GRAY_JSON_ARRAY) {
        return NGX_OK;
    }

    path[0].parent = NULL;
    path[0].key = "hash";
    path[1].parent = &path[0];
    path[1].key = NULL;
    path[1].index = 0;

    for (item = ngx_http_gray_json_first(hash);
         item;
         item = ngx_http_gray_json_next(item), path[1].index++)
    {
        name = ngx_http_gray_json_text(item);

        if (name.len < 2 || name.data[0] != '$') {
            continue;
        }

        slot = ngx_http_gray_condition_variable(&cp->conditions, &path[1],
                                                &name);

        /* an unknown variable is no reason to split by chance */

        rules->keyed = 1;

        if (slot) {
            rules->keys[rules->nkeys++] = slot;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_compile_cookie(ngx_http_gray_compile_t *cp,
    const ngx_http_gray_json_t *doc)
{
    u_char                  *p;
    size_t                   len;
    ngx_str_t                name, value;
    ngx_int_t                seconds;
    ngx_uint_t               i;
    ngx_http_gray_slot_t    *slot;
    ngx_http_gray_json_t    *cookie, *member;
    ngx_http_gray_path_t     path[2];
    ngx_http_gray_rules_t   *rules;

    static struct {
        const char          *member;
        const char          *attribute;
    } attributes[] = {
        { "path", "; Path=" },
        { "domain", "; Domain=" },
        { "expires", "; Max-Age=" },
        { "secure", "; Secure" },
        { "httponly", "; HttpOnly" },
        { "samesite", "; SameSite=" },
        { NULL, NULL }
    };

    rules = cp->rules;
    cookie = ngx_http_gray_json_get(doc, "cookie");
    value = ngx_http_gray_json_text(ngx_http_gray_json_get(cookie, "name"));

    if (value.len == 0) {
        return NGX_OK;
    }

    if (ngx_http_gray_tests_copy(&cp->conditions.tests, &rules->cookie.name,
                                 value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    len = 0;

    for (i = 0; attributes[i].member; i++) {
        member = ngx_http_gray_json_get(cookie, attributes[i].member);
        value = ngx_http_gray_json_text(member);
        len += ngx_strlen(attributes[i].attribute) + value.len
               + NGX_INT_T_LEN;
    }

    p = ngx_http_gray_tests_alloc(&cp->conditions.tests, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    rules->cookie.attributes.data = p;

    for (i = 0; attributes[i].member; i++) {
        member = ngx_http_gray_json_get(cookie, attributes[i].member);

        if (member == NULL
            || (ngx_http_gray_json_type(member) == NGX_HTTP_GRAY_JSON_BOOLEAN
                && !ngx_http_gray_json_true(member)))
        {
            continue;
        }

        value = ngx_http_gray_json_text(member);
        p = ngx_cpymem(p, attributes[i].attribute,
                       ngx_strlen(attributes[i].attribute));

        if (ngx_strcmp(attributes[i].member, "expires") == 0) {
            seconds = ngx_parse_time(&value, 1);
            p = ngx_sprintf(p, "%i", seconds == NGX_ERROR ? 0 : seconds);

        } else if (value.len) {
            p = ngx_cpymem(p, value.data, value.len);
        }
    }

    rules->cookie.attributes.len = p - rules->cookie.attributes.data;

    /* the cookie's own value is the last of the keys */

    name.len = sizeof("$cookie_") - 1 + rules->cookie.name.len;
    name.data = ngx_http_gray_tests_alloc(&cp->conditions.tests, name.len);
    if (name.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(name.data, "$cookie_", sizeof("$cookie_") - 1);
    ngx_memcpy(p, rules->cookie.name.data, rules->cookie.name.len);

    path[0].parent = NULL;
    path[0].key = "cookie";
    path[1].parent = &path[0];
    path[1].key = "name";

    slot = ngx_http_gray_condition_variable(&cp->conditions, &path[1], &name);

    rules->keyed = 1;

    if (slot) {
        rules->keys[rules->nkeys++] = slot;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_compile_rules(ngx_http_gray_compile_t *cp,
    const ngx_http_gray_json_t *doc)
{
    ngx_str_t              *name, text;
    ngx_uint_t              i;
    ngx_http_gray_rule_t   *rule;
    ngx_http_gray_json_t   *list, *item, *when;
    ngx_http_gray_path_t    path[3];
    ngx_http_gray_rules_t  *rules;

    rules = cp->rules;
    list = ngx_http_gray_json_get(doc, "rules");

    if (ngx_http_gray_json_type(list) != NGX_HTTP_GRAY_JSON_ARRAY) {
        return NGX_OK;
    }

    rules->rules = ngx_http_gray_tests_alloc(&cp->conditions.tests,
                                             ngx_http_gray_json_count(list)
                                             * sizeof(ngx_http_gray_rule_t));
    if (rules->rules == NULL) {
        return NGX_ERROR;
    }

    path[0].parent = NULL;
    path[0].key = "rules";
    path[1].parent = &path[0];
    path[1].key = NULL;
    path[2].parent = &path[1];
    path[2].key = "when";

    for (item = ngx_http_gray_json_first(list);
         item;
         item = ngx_http_gray_json_next(item))
    {
        path[1].index = rules->nrules;
        rule = &rules->rules[rules->nrules++];
        name = &rule->name;

        text = ngx_http_gray_json_text(ngx_http_gray_json_get(item, "name"));

        if (text.len) {
            if (ngx_http_gray_tests_copy(&cp->conditions.tests, name, text)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

        } else {
            name->data = ngx_http_gray_tests_alloc(&cp->conditions.tests,
                                                   NGX_INT_T_LEN);
            if (name->data == NULL) {
                return NGX_ERROR;
            }

            name->len = ngx_sprintf(name->data, "%ui", path[1].index)
                        - name->data;
        }

        when = ngx_http_gray_json_get(item, "when");

        if (ngx_http_gray_json_type(when) == NGX_HTTP_GRAY_JSON_OBJECT) {
            rule->when = ngx_http_gray_condition_compile(&cp->conditions,
                                                         &path[2], when);
        }

        text = ngx_http_gray_json_text(ngx_http_gray_json_get(item,
                                                              "variant"));

        for (i = 0; i < rules->nvariants; i++) {
            if (text.len
                && text.len == rules->variants[i].name.len
                && ngx_strncmp(text.data, rules->variants[i].name.data,
                               text.len) == 0)
            {
                rule->variant = &rules->variants[i];
            }
        }

        if (rule->variant == NULL
            && ngx_http_gray_compile_split(cp, doc, item, &rule->split)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_compile_split(ngx_http_gray_compile_t *cp,
    const ngx_http_gray_json_t *doc, const ngx_http_gray_json_t *rule,
    ngx_http_gray_split_t *split)
{
    ngx_int_t             n, rc;
    ngx_http_gray_arms_t  arms;

    rc = ngx_http_gray_arms_read(doc, rule, &arms);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_OK) {
        n = ngx_http_gray_allocation_segments(arms.arm, arms.n, NULL, 0);

        if (n > 0) {
            split->segments = ngx_http_gray_tests_alloc(&cp->conditions.tests,
                                        n * sizeof(ngx_http_gray_segment_t));
        }

        if (split->segments == NULL
            || ngx_http_gray_allocation_segments(arms.arm, arms.n,
                                                 split->segments, n) != n)
        {
            ngx_http_gray_arms_free(&arms);
            return NGX_ERROR;
        }

        split->n = n;
    }

    ngx_http_gray_arms_free(&arms);

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_compile_index(ngx_http_gray_compile_t *cp)
{
    ngx_uint_t                   i;
    ngx_http_gray_rules_t       *rules;
    ngx_http_gray_condition_t  **when;

    rules = cp->rules;

    when = malloc((rules->nrules + 1) * sizeof(ngx_http_gray_condition_t *));
    if (when == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < rules->nrules; i++) {
        when[i] = rules->rules[i].when;
    }

    rules->index = ngx_http_gray_index_create(&cp->conditions.tests, when,
                                              rules->nrules);
    free(when);

    return cp->conditions.tests.failed ? NGX_ERROR : NGX_OK;
}


/* percent is drawn by another seed than the weights are */

static void
ngx_http_gray_compile_seeds(ngx_http_gray_compile_t *cp, const ngx_str_t *salt)
{
    ngx_http_gray_slot_t  *slot;

    for (slot = cp->conditions.slots; slot; slot = slot->next) {

        if (slot->attribute.type != NGX_HTTP_GRAY_PERCENT) {
            continue;
        }

        slot->seed = ngx_http_gray_rules_percent_seed(
                                                slot->attribute.salt.len
                                                ? &slot->attribute.salt : salt);
    }
}
