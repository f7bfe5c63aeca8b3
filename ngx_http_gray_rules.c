
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Rule sets: what a document means, in a form that decides quickly.
 *
 * A document is compiled once for each of its revisions, by each worker, into
 * an immutable set that lives in a pool of its own; destroying the pool frees
 * the set and all that foreign libraries (PCRE2) hold for it.
 *
 * Layout.  Each attribute that the document names has one slot, however many
 * tests read it.  A rule's "when" is a tree: ALL and ANY over children, NOT
 * over one, and leaves that hold an attribute's slot and a list of tests, all
 * of which must hold.  A split (of the weights, or of a rule) is an ascending
 * array of segments of buckets, see ngx_http_gray_allocation.c.
 *
 * A decision is made in one go: attributes are fetched when the first test
 * asks for them and kept in their slots, marked with the number of the
 * decision, so that a slot needs no clearing.  This is the one part of the
 * set that changes, and why a set must not be entered twice at a time.
 *
 * Truth.  A test holds, does not hold, or cannot be evaluated (NGX_ERROR: no
 * number, no address, the match limit of a pattern, an unknown variable).
 * Trees are evaluated in the document's order and only as far as needed; the
 * first test that cannot be evaluated ends its rule, which then does not
 * hold, whatever "not" stands around the test.
 *
 * Nothing is locked: the set is private to its process.  A decision allocates
 * nothing and cannot fail.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ngx_http_gray_rules.h"
#include "ngx_http_gray_tests.h"


#define NGX_HTTP_GRAY_ATTRIBUTES  256


typedef struct ngx_http_gray_node_s  ngx_http_gray_node_t;

typedef enum {
    NGX_HTTP_GRAY_NODE_ALL = 0,
    NGX_HTTP_GRAY_NODE_ANY,
    NGX_HTTP_GRAY_NODE_NOT,
    NGX_HTTP_GRAY_NODE_LEAF
} ngx_http_gray_node_e;


typedef struct ngx_http_gray_slot_s  ngx_http_gray_slot_t;

struct ngx_http_gray_slot_s {
    ngx_http_gray_attribute_t    attribute;

    ngx_uint_t                   decision;
    ngx_int_t                    state;      /* what get() returned */
    ngx_str_t                    value;

    ngx_http_gray_slot_t        *next;
};


struct ngx_http_gray_node_s {
    ngx_http_gray_node_e         type;
    ngx_http_gray_slot_t        *slot;
    ngx_http_gray_test_t        *tests;
    ngx_http_gray_node_t        *children;
    ngx_http_gray_node_t        *next;
};


typedef struct {
    ngx_http_gray_segment_t     *segments;
    ngx_uint_t                   n;
} ngx_http_gray_split_t;


typedef struct {
    ngx_str_t                    name;
    ngx_http_gray_node_t        *when;       /* NULL: never holds */
    ngx_http_gray_variant_t     *variant;    /* NULL: by "split" */
    ngx_http_gray_split_t        split;
} ngx_http_gray_rule_t;


struct ngx_http_gray_rules_s {
    ngx_pool_t                  *pool;

    ngx_uint_t                   enabled;    /* unsigned  enabled:1; */

    ngx_http_gray_variant_t     *variants;
    ngx_uint_t                   nvariants;
    ngx_http_gray_variant_t     *baseline;

    ngx_http_gray_rule_t        *rules;
    ngx_uint_t                   nrules;

    ngx_http_gray_split_t        split;
    uint64_t                     seed;

    ngx_uint_t                   keyed;      /* unsigned  keyed:1; */
    ngx_http_gray_slot_t       **keys;
    ngx_uint_t                   nkeys;
    ngx_http_gray_cookie_t       cookie;     /* no name: no cookie */
    ngx_str_t                    minted;

    ngx_http_gray_slot_t        *slots;
    ngx_uint_t                   decision;

    ngx_uint_t                   missing;
    ngx_str_t                    missed;
};


typedef struct {
    ngx_http_gray_rules_t           *rules;
    const ngx_http_gray_rules_env_t *env;
    ngx_http_gray_tests_compile_t    tests;
} ngx_http_gray_compile_t;


static ngx_str_t *ngx_http_gray_rules_key(ngx_http_gray_rules_t *rules,
    const ngx_http_gray_rules_ops_t *ops, void *ctx);
static ngx_int_t ngx_http_gray_rules_eval(ngx_http_gray_rules_t *rules,
    ngx_http_gray_node_t *node, const ngx_http_gray_rules_ops_t *ops,
    void *ctx);
static ngx_int_t ngx_http_gray_rules_leaf(ngx_http_gray_rules_t *rules,
    ngx_http_gray_node_t *node, const ngx_http_gray_rules_ops_t *ops,
    void *ctx);
static ngx_http_gray_slot_t *ngx_http_gray_rules_fetch(
    ngx_http_gray_rules_t *rules, ngx_http_gray_slot_t *slot,
    const ngx_http_gray_rules_ops_t *ops, void *ctx);
static ngx_int_t ngx_http_gray_rules_variants(ngx_http_gray_compile_t *cp,
    const ngx_http_gray_json_t *doc);
static ngx_int_t ngx_http_gray_rules_keys(ngx_http_gray_compile_t *cp,
    const ngx_http_gray_json_t *doc);
static ngx_int_t ngx_http_gray_rules_cookie(ngx_http_gray_compile_t *cp,
    const ngx_http_gray_json_t *doc);
static ngx_int_t ngx_http_gray_rules_rules(ngx_http_gray_compile_t *cp,
    const ngx_http_gray_json_t *doc);
static ngx_int_t ngx_http_gray_rules_split(ngx_http_gray_compile_t *cp,
    const ngx_http_gray_json_t *doc, const ngx_http_gray_json_t *rule,
    ngx_http_gray_split_t *split);
static ngx_http_gray_node_t *ngx_http_gray_rules_when(
    ngx_http_gray_compile_t *cp, ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *when);
static ngx_http_gray_node_t *ngx_http_gray_rules_member(
    ngx_http_gray_compile_t *cp, ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *member);
static ngx_http_gray_node_t *ngx_http_gray_rules_list(
    ngx_http_gray_compile_t *cp, ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *list, ngx_http_gray_node_e type);
static ngx_http_gray_node_t *ngx_http_gray_rules_attribute(
    ngx_http_gray_compile_t *cp, ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *test);
static ngx_http_gray_slot_t *ngx_http_gray_rules_slot(
    ngx_http_gray_compile_t *cp, ngx_http_gray_path_t *path, ngx_str_t *name);
static ngx_http_gray_node_t *ngx_http_gray_rules_node(
    ngx_http_gray_compile_t *cp, ngx_http_gray_node_e type);
static void ngx_http_gray_rules_miss(ngx_http_gray_compile_t *cp,
    ngx_str_t *name);
static ngx_int_t ngx_http_gray_rules_arm(const ngx_http_gray_json_t *list,
    ngx_http_gray_arm_t *arm);


ngx_str_t  ngx_http_gray_reasons[] = {
    ngx_string("disabled"),
    ngx_string("rule"),
    ngx_string("rule_split"),
    ngx_string("split"),
    ngx_string("random"),
    ngx_string("no_key"),
    ngx_string("degraded")
};


static ngx_inline uint32_t
ngx_http_gray_rules_hash(const ngx_str_t *key, uint64_t seed)
{
    unsigned __int128  product;

    product = XXH64(key->data, key->len, seed);
    product *= NGX_HTTP_GRAY_BUCKETS;

    return (uint32_t) (product >> 64);
}


void
ngx_http_gray_rules_decide(ngx_http_gray_rules_t *rules,
    const ngx_http_gray_rules_ops_t *ops, void *ctx,
    ngx_http_gray_outcome_t *outcome)
{
    uint32_t                bucket;
    ngx_str_t              *key;
    ngx_uint_t              i;
    ngx_http_gray_rule_t   *rule;
    ngx_http_gray_split_t  *split;
    ngx_http_gray_reason_e  reason;

    outcome->variant = rules->baseline;
    outcome->rule = NULL;
    outcome->bucket = -1;

    if (!rules->enabled) {
        outcome->reason = NGX_HTTP_GRAY_DISABLED;
        return;
    }

    rules->decision++;

    split = &rules->split;
    reason = NGX_HTTP_GRAY_SPLIT;

    for (i = 0; i < rules->nrules; i++) {
        rule = &rules->rules[i];

        if (ngx_http_gray_rules_eval(rules, rule->when, ops, ctx) != 1) {
            continue;
        }

        outcome->rule = &rule->name;

        if (rule->variant) {
            outcome->variant = rule->variant;
            outcome->reason = NGX_HTTP_GRAY_RULE;
            return;
        }

        split = &rule->split;
        reason = NGX_HTTP_GRAY_RULE_SPLIT;

        break;
    }

    if (rules->keyed) {
        key = ngx_http_gray_rules_key(rules, ops, ctx);

        if (key == NULL) {
            outcome->reason = NGX_HTTP_GRAY_NO_KEY;
            return;
        }

        outcome->reason = reason;
        bucket = ngx_http_gray_rules_hash(key, rules->seed);
        outcome->bucket = bucket;

    } else {
        outcome->reason = outcome->rule ? NGX_HTTP_GRAY_RULE_SPLIT
                                        : NGX_HTTP_GRAY_RANDOM;
        bucket = ops->random(ctx);
    }

    if (split->n) {
        i = ngx_http_gray_allocation_find(split->segments, split->n, bucket);
        outcome->variant = &rules->variants[i];
    }
}


static ngx_str_t *
ngx_http_gray_rules_key(ngx_http_gray_rules_t *rules,
    const ngx_http_gray_rules_ops_t *ops, void *ctx)
{
    ngx_uint_t             i;
    ngx_http_gray_slot_t  *slot;

    for (i = 0; i < rules->nkeys; i++) {
        slot = ngx_http_gray_rules_fetch(rules, rules->keys[i], ops, ctx);

        if (slot->state == NGX_OK) {
            return &slot->value;
        }
    }

    if (rules->cookie.name.len == 0
        || ops->mint(ctx, &rules->cookie, &rules->minted) != NGX_OK)
    {
        return NULL;
    }

    return &rules->minted;
}


ngx_uint_t
ngx_http_gray_rules_count(ngx_http_gray_rules_t *rules)
{
    return rules->nrules;
}


ngx_int_t
ngx_http_gray_rules_verdict(ngx_http_gray_rules_t *rules, ngx_uint_t i,
    const ngx_http_gray_rules_ops_t *ops, void *ctx, ngx_str_t **name)
{
    rules->decision++;

    *name = &rules->rules[i].name;

    return ngx_http_gray_rules_eval(rules, rules->rules[i].when, ops, ctx);
}


ngx_http_gray_variant_t *
ngx_http_gray_rules_baseline(ngx_http_gray_rules_t *rules)
{
    return rules->baseline;
}


ngx_uint_t
ngx_http_gray_rules_enabled(ngx_http_gray_rules_t *rules)
{
    return rules->enabled;
}


void
ngx_http_gray_rules_disable(ngx_http_gray_rules_t *rules)
{
    rules->enabled = 0;
}


ngx_uint_t
ngx_http_gray_rules_missing(ngx_http_gray_rules_t *rules, ngx_str_t *name)
{
    *name = rules->missed;

    return rules->missing;
}


uint64_t
ngx_http_gray_rules_seed(const ngx_str_t *salt)
{
    return XXH64(salt->data, salt->len, 0);
}


uint32_t
ngx_http_gray_rules_bucket(const ngx_str_t *key, uint64_t seed)
{
    return ngx_http_gray_rules_hash(key, seed);
}


static ngx_int_t
ngx_http_gray_rules_eval(ngx_http_gray_rules_t *rules,
    ngx_http_gray_node_t *node, const ngx_http_gray_rules_ops_t *ops,
    void *ctx)
{
    ngx_int_t  rc;

    if (node == NULL) {
        return NGX_ERROR;
    }

    switch (node->type) {

    case NGX_HTTP_GRAY_NODE_LEAF:
        return ngx_http_gray_rules_leaf(rules, node, ops, ctx);

    case NGX_HTTP_GRAY_NODE_NOT:
        rc = ngx_http_gray_rules_eval(rules, node->children, ops, ctx);
        return rc == NGX_ERROR ? NGX_ERROR : !rc;

    case NGX_HTTP_GRAY_NODE_ANY:
        for (node = node->children; node; node = node->next) {
            rc = ngx_http_gray_rules_eval(rules, node, ops, ctx);
            if (rc != 0) {
                return rc;
            }
        }

        return 0;

    default: /* NGX_HTTP_GRAY_NODE_ALL */
        for (node = node->children; node; node = node->next) {
            rc = ngx_http_gray_rules_eval(rules, node, ops, ctx);
            if (rc != 1) {
                return rc;
            }
        }

        return 1;
    }
}


static ngx_int_t
ngx_http_gray_rules_leaf(ngx_http_gray_rules_t *rules,
    ngx_http_gray_node_t *node, const ngx_http_gray_rules_ops_t *ops,
    void *ctx)
{
    ngx_http_gray_slot_t  *slot;

    slot = ngx_http_gray_rules_fetch(rules, node->slot, ops, ctx);

    if (slot->state == NGX_ERROR) {
        return NGX_ERROR;
    }

    return ngx_http_gray_tests_hold(node->tests,
                              slot->state == NGX_OK ? &slot->value : NULL);
}


static ngx_http_gray_slot_t *
ngx_http_gray_rules_fetch(ngx_http_gray_rules_t *rules,
    ngx_http_gray_slot_t *slot, const ngx_http_gray_rules_ops_t *ops,
    void *ctx)
{
    if (slot->decision == rules->decision) {
        return slot;
    }

    slot->state = ops->get(ctx, &slot->attribute, &slot->value);

    if (slot->state == NGX_OK && slot->value.len == 0) {
        slot->state = NGX_DECLINED;
    }

    slot->decision = rules->decision;

    return slot;
}


ngx_http_gray_rules_t *
ngx_http_gray_rules_compile(const ngx_http_gray_json_t *doc,
    const ngx_http_gray_rules_env_t *env, ngx_http_gray_faults_t *faults,
    ngx_log_t *log)
{
    ngx_uint_t                    before;
    ngx_str_t                     salt;
    ngx_pool_t                   *pool;
    ngx_http_gray_json_t         *member;
    ngx_http_gray_rules_t        *rules;
    ngx_http_gray_compile_t       cp;

    before = faults ? faults->n : 0;

    pool = ngx_create_pool(4096, log);
    if (pool == NULL) {
        return NULL;
    }

    rules = ngx_pcalloc(pool, sizeof(ngx_http_gray_rules_t));
    if (rules == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    rules->pool = pool;

    ngx_memzero(&cp, sizeof(ngx_http_gray_compile_t));
    cp.rules = rules;
    cp.env = env;
    cp.tests.faults = faults;
    cp.tests.pool = pool;

    member = ngx_http_gray_json_get(doc, "enabled");
    rules->enabled = (member == NULL || ngx_http_gray_json_true(member));

    member = ngx_http_gray_json_get(doc, "salt");
    if (member) {
        salt = ngx_http_gray_json_text(member);
        rules->seed = ngx_http_gray_rules_seed(&salt);
    }

    if (ngx_http_gray_rules_variants(&cp, doc) != NGX_OK
        || ngx_http_gray_rules_keys(&cp, doc) != NGX_OK
        || ngx_http_gray_rules_cookie(&cp, doc) != NGX_OK
        || ngx_http_gray_rules_rules(&cp, doc) != NGX_OK
        || ngx_http_gray_rules_split(&cp, doc, NULL, &rules->split) != NGX_OK
        || cp.tests.failed
        || (faults && faults->n > before))
    {
        ngx_destroy_pool(pool);
        return NULL;
    }

    return rules;
}


void
ngx_http_gray_rules_destroy(ngx_http_gray_rules_t *rules)
{
    ngx_destroy_pool(rules->pool);
}


static ngx_int_t
ngx_http_gray_rules_variants(ngx_http_gray_compile_t *cp,
    const ngx_http_gray_json_t *doc)
{
    char                      why[NGX_HTTP_GRAY_WHY];
    u_char                   *p;
    ngx_str_t                 name, baseline, upstream;
    ngx_http_gray_json_t     *variants, *member;
    ngx_http_gray_path_t      path[3];
    ngx_http_gray_rules_t    *rules;
    ngx_http_gray_variant_t  *v;

    rules = cp->rules;

    variants = ngx_http_gray_json_get(doc, "variants");
    baseline = ngx_http_gray_json_text(ngx_http_gray_json_get(doc,
                                                              "baseline"));

    rules->variants = ngx_http_gray_tests_alloc(&cp->tests,
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

        p = ngx_http_gray_tests_alloc(&cp->tests, name.len + upstream.len + 2);
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
            || cp->env->upstream(cp->env->data, &v->upstream, &v->peer, why)
               == NGX_OK)
        {
            continue;
        }

        v->peer = NULL;
        path[1].key = (char *) v->name.data;

        ngx_http_gray_json_fault(cp->tests.faults, &path[2], "%s", why);

        ngx_http_gray_rules_miss(cp, &v->upstream);
    }

    if (rules->baseline == NULL) {
        rules->baseline = rules->variants;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_rules_keys(ngx_http_gray_compile_t *cp,
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

    rules->keys = ngx_http_gray_tests_alloc(&cp->tests,
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

        slot = ngx_http_gray_rules_slot(cp, &path[1], &name);

        /* an unknown variable is no reason to split by chance */

        rules->keyed = 1;

        if (slot) {
            rules->keys[rules->nkeys++] = slot;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_rules_cookie(ngx_http_gray_compile_t *cp,
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

    if (ngx_http_gray_tests_copy(&cp->tests, &rules->cookie.name, value)
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

    p = ngx_http_gray_tests_alloc(&cp->tests, len);
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
    name.data = ngx_http_gray_tests_alloc(&cp->tests, name.len);
    if (name.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(name.data, "$cookie_", sizeof("$cookie_") - 1);
    ngx_memcpy(p, rules->cookie.name.data, rules->cookie.name.len);

    path[0].parent = NULL;
    path[0].key = "cookie";
    path[1].parent = &path[0];
    path[1].key = "name";

    slot = ngx_http_gray_rules_slot(cp, &path[1], &name);

    rules->keyed = 1;

    if (slot) {
        rules->keys[rules->nkeys++] = slot;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_rules_rules(ngx_http_gray_compile_t *cp,
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

    rules->rules = ngx_http_gray_tests_alloc(&cp->tests,
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
            if (ngx_http_gray_tests_copy(&cp->tests, name, text) != NGX_OK) {
                return NGX_ERROR;
            }

        } else {
            name->data = ngx_http_gray_tests_alloc(&cp->tests, NGX_INT_T_LEN);
            if (name->data == NULL) {
                return NGX_ERROR;
            }

            name->len = ngx_sprintf(name->data, "%ui", path[1].index)
                        - name->data;
        }

        when = ngx_http_gray_json_get(item, "when");

        if (ngx_http_gray_json_type(when) == NGX_HTTP_GRAY_JSON_OBJECT) {
            rule->when = ngx_http_gray_rules_when(cp, &path[2], when);
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
            && ngx_http_gray_rules_split(cp, doc, item, &rule->split)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_rules_split(ngx_http_gray_compile_t *cp,
    const ngx_http_gray_json_t *doc, const ngx_http_gray_json_t *rule,
    ngx_http_gray_split_t *split)
{
    ngx_int_t             n, rc;
    ngx_http_gray_arms_t  arms;

    rc = ngx_http_gray_rules_arms(doc, rule, &arms);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_OK) {
        n = ngx_http_gray_allocation_segments(arms.arm, arms.n, NULL, 0);

        if (n > 0) {
            split->segments = ngx_http_gray_tests_alloc(&cp->tests,
                                        n * sizeof(ngx_http_gray_segment_t));
        }

        if (split->segments == NULL
            || ngx_http_gray_allocation_segments(arms.arm, arms.n,
                                                 split->segments, n) != n)
        {
            ngx_http_gray_rules_arms_free(&arms);
            return NGX_ERROR;
        }

        split->n = n;
    }

    ngx_http_gray_rules_arms_free(&arms);

    return NGX_OK;
}


static ngx_http_gray_node_t *
ngx_http_gray_rules_when(ngx_http_gray_compile_t *cp,
    ngx_http_gray_path_t *path, const ngx_http_gray_json_t *when)
{
    ngx_http_gray_json_t   *member;
    ngx_http_gray_node_t   *node, *child, **last;
    ngx_http_gray_path_t    frame;

    if (ngx_http_gray_json_type(when) != NGX_HTTP_GRAY_JSON_OBJECT
        || ngx_http_gray_json_first(when) == NULL)
    {
        ngx_http_gray_json_fault(cp->tests.faults, path,
                                 "must be an object with at least one "
                                 "condition");

        return NULL;
    }

    node = ngx_http_gray_rules_node(cp, NGX_HTTP_GRAY_NODE_ALL);
    if (node == NULL) {
        return NULL;
    }

    last = &node->children;
    frame.parent = path;

    for (member = ngx_http_gray_json_first(when);
         member;
         member = ngx_http_gray_json_next(member))
    {
        frame.key = ngx_http_gray_json_key(member);

        child = ngx_http_gray_rules_member(cp, &frame, member);

        if (child == NULL) {
            if (cp->tests.faults && !cp->tests.failed) {
                continue;
            }

            return NULL;
        }

        *last = child;
        last = &child->next;
    }

    if (node->children && node->children->next == NULL) {
        return node->children;
    }

    return node;
}


static ngx_http_gray_node_t *
ngx_http_gray_rules_member(ngx_http_gray_compile_t *cp,
    ngx_http_gray_path_t *path, const ngx_http_gray_json_t *member)
{
    ngx_http_gray_node_t  *node;

    if (ngx_strcmp(path->key, "all") == 0) {
        return ngx_http_gray_rules_list(cp, path, member,
                                        NGX_HTTP_GRAY_NODE_ALL);
    }

    if (ngx_strcmp(path->key, "any") == 0) {
        return ngx_http_gray_rules_list(cp, path, member,
                                        NGX_HTTP_GRAY_NODE_ANY);
    }

    if (ngx_strcmp(path->key, "not") == 0) {

        node = ngx_http_gray_rules_node(cp, NGX_HTTP_GRAY_NODE_NOT);
        if (node == NULL) {
            return NULL;
        }

        node->children = ngx_http_gray_rules_when(cp, path, member);

        return node->children ? node : NULL;
    }

    return ngx_http_gray_rules_attribute(cp, path, member);
}


static ngx_http_gray_node_t *
ngx_http_gray_rules_list(ngx_http_gray_compile_t *cp,
    ngx_http_gray_path_t *path, const ngx_http_gray_json_t *list,
    ngx_http_gray_node_e type)
{
    ngx_http_gray_json_t   *item;
    ngx_http_gray_node_t   *node, *child, **last;
    ngx_http_gray_path_t    frame;

    if (ngx_http_gray_json_type(list) != NGX_HTTP_GRAY_JSON_ARRAY
        || ngx_http_gray_json_first(list) == NULL)
    {
        ngx_http_gray_json_fault(cp->tests.faults, path,
                                 "must be an array with at least one "
                                 "object of conditions");

        return NULL;
    }

    node = ngx_http_gray_rules_node(cp, type);
    if (node == NULL) {
        return NULL;
    }

    last = &node->children;
    frame.parent = path;
    frame.key = NULL;
    frame.index = 0;

    for (item = ngx_http_gray_json_first(list);
         item;
         item = ngx_http_gray_json_next(item), frame.index++)
    {
        child = ngx_http_gray_rules_when(cp, &frame, item);

        if (child == NULL) {
            if (cp->tests.faults && !cp->tests.failed) {
                continue;
            }

            return NULL;
        }

        *last = child;
        last = &child->next;
    }

    return node;
}


static ngx_http_gray_node_t *
ngx_http_gray_rules_attribute(ngx_http_gray_compile_t *cp,
    ngx_http_gray_path_t *path, const ngx_http_gray_json_t *test)
{
    ngx_str_t              name;
    ngx_http_gray_node_t  *node;
    ngx_http_gray_slot_t  *slot;

    name.data = (u_char *) path->key;
    name.len = ngx_strlen(path->key);

    slot = ngx_http_gray_rules_slot(cp, path, &name);
    if (slot == NULL) {
        return NULL;
    }

    node = ngx_http_gray_rules_node(cp, NGX_HTTP_GRAY_NODE_LEAF);
    if (node == NULL) {
        return NULL;
    }

    node->slot = slot;
    node->tests = ngx_http_gray_tests_compile(&cp->tests, path, test);

    return node->tests ? node : NULL;
}


static ngx_http_gray_slot_t *
ngx_http_gray_rules_slot(ngx_http_gray_compile_t *cp,
    ngx_http_gray_path_t *path, ngx_str_t *name)
{
    char                        why[NGX_HTTP_GRAY_WHY];
    ngx_uint_t                  n;
    ngx_http_gray_slot_t       *slot;
    ngx_http_gray_attribute_t  *attribute;

    n = 0;

    for (slot = cp->rules->slots; slot; slot = slot->next, n++) {
        attribute = &slot->attribute;

        if (attribute->name.len == name->len
            && ngx_strncmp(attribute->name.data, name->data, name->len) == 0)
        {
            return slot;
        }
    }

    if (n == NGX_HTTP_GRAY_ATTRIBUTES) {
        ngx_http_gray_json_fault(cp->tests.faults, path,
                                 "is one attribute too many, a document may "
                                 "have %d", NGX_HTTP_GRAY_ATTRIBUTES);
        return NULL;
    }

    slot = ngx_http_gray_tests_alloc(&cp->tests, sizeof(ngx_http_gray_slot_t));
    if (slot == NULL) {
        return NULL;
    }

    attribute = &slot->attribute;

    if (ngx_http_gray_tests_copy(&cp->tests, &attribute->name, *name)
        != NGX_OK)
    {
        return NULL;
    }

    if (cp->env->attribute(cp->env->data, &attribute->name,
                           &attribute->source, why)
        != NGX_OK)
    {
        ngx_http_gray_json_fault(cp->tests.faults, path, "%s", why);
        ngx_http_gray_rules_miss(cp, &attribute->name);

        return NULL;
    }

    slot->next = cp->rules->slots;
    cp->rules->slots = slot;

    return slot;
}


static ngx_http_gray_node_t *
ngx_http_gray_rules_node(ngx_http_gray_compile_t *cp,
    ngx_http_gray_node_e type)
{
    ngx_http_gray_node_t  *node;

    node = ngx_http_gray_tests_alloc(&cp->tests, sizeof(ngx_http_gray_node_t));

    if (node) {
        node->type = type;
    }

    return node;
}


static void
ngx_http_gray_rules_miss(ngx_http_gray_compile_t *cp, ngx_str_t *name)
{
    if (cp->rules->missing++ == 0) {
        cp->rules->missed = *name;
    }
}


ngx_int_t
ngx_http_gray_rules_buckets(double percent)
{
    ngx_int_t  n;

    if (!(percent >= 0 && percent <= 100)) {
        return NGX_ERROR;
    }

    n = (ngx_int_t) (percent * (NGX_HTTP_GRAY_BUCKETS / 100) + 0.5);

    /* a quotient of whole numbers rounds as the text of its decimals does */

    if ((double) n / (NGX_HTTP_GRAY_BUCKETS / 100) != percent) {
        return NGX_ERROR;
    }

    return n;
}


ngx_int_t
ngx_http_gray_rules_arms(const ngx_http_gray_json_t *doc,
    const ngx_http_gray_json_t *rule, ngx_http_gray_arms_t *arms)
{
    ngx_int_t              rc, n;
    ngx_str_t              baseline;
    ngx_http_gray_arm_t   *arm;
    ngx_http_gray_json_t  *variants, *variant, *weight, *weights, *allocation;

    variants = ngx_http_gray_json_get(doc, "variants");
    baseline = ngx_http_gray_json_text(ngx_http_gray_json_get(doc,
                                                              "baseline"));
    weights = ngx_http_gray_json_get(rule, "weights");
    allocation = ngx_http_gray_json_get(rule ? rule : doc, "allocation");

    arms->n = 0;
    arms->baseline = 0;
    arms->arm = calloc(ngx_http_gray_json_count(variants) + 1,
                       sizeof(ngx_http_gray_arm_t));

    if (arms->arm == NULL) {
        return NGX_ERROR;
    }

    for (variant = ngx_http_gray_json_first(variants);
         variant;
         variant = ngx_http_gray_json_next(variant))
    {
        arm = &arms->arm[arms->n];

        arm->name.data = (u_char *) ngx_http_gray_json_key(variant);
        arm->name.len = arm->name.data ? ngx_strlen(arm->name.data) : 0;

        if (baseline.len
            && arm->name.len == baseline.len
            && ngx_strncmp(arm->name.data, baseline.data, baseline.len) == 0)
        {
            arms->baseline = arms->n;

        } else {
            weight = rule ? ngx_http_gray_json_get(weights,
                                                   (char *) arm->name.data)
                          : ngx_http_gray_json_get(variant, "weight");

            n = weight ? ngx_http_gray_rules_buckets(
                                             ngx_http_gray_json_value(weight))
                       : 0;

            arm->size = (n == NGX_ERROR) ? 0 : n;

            if (ngx_http_gray_rules_arm(ngx_http_gray_json_get(allocation,
                                                     (char *) arm->name.data),
                                        arm)
                != NGX_OK)
            {
                arms->n++;
                ngx_http_gray_rules_arms_free(arms);
                return NGX_ERROR;
            }
        }

        arms->n++;
    }

    rc = arms->n ? ngx_http_gray_allocation_fits(arms->arm, arms->n,
                                                 arms->baseline)
                 : NGX_DECLINED;

    if (rc == NGX_OK) {
        rc = ngx_http_gray_allocation_rest(arms->arm, arms->n,
                                           arms->baseline);
    }

    if (rc == NGX_DECLINED) {
        ngx_http_gray_allocation_free(arms->arm, arms->n);
    }

    if (rc == NGX_ERROR) {
        ngx_http_gray_rules_arms_free(arms);
    }

    return rc;
}


/* what is no list of pairs of numbers is no interval, and fits nothing */

static ngx_int_t
ngx_http_gray_rules_arm(const ngx_http_gray_json_t *list,
    ngx_http_gray_arm_t *arm)
{
    double                     start, end;
    ngx_uint_t                 n;
    ngx_http_gray_json_t      *pair;
    ngx_http_gray_interval_t  *interval;

    n = ngx_http_gray_json_count(list);

    if (n == 0) {
        return NGX_OK;
    }

    arm->intervals = calloc(n, sizeof(ngx_http_gray_interval_t));
    if (arm->intervals == NULL) {
        return NGX_ERROR;
    }

    for (pair = ngx_http_gray_json_first(list);
         pair;
         pair = ngx_http_gray_json_next(pair))
    {
        if (ngx_http_gray_json_count(pair) != 2) {
            continue;
        }

        start = ngx_http_gray_json_value(ngx_http_gray_json_first(pair));
        end = ngx_http_gray_json_value(
                     ngx_http_gray_json_next(ngx_http_gray_json_first(pair)));

        if (!(start >= 0 && start < end && end <= NGX_HTTP_GRAY_BUCKETS)) {
            continue;
        }

        interval = &arm->intervals[arm->n++];
        interval->start = (uint32_t) start;
        interval->end = (uint32_t) end;
    }

    if (arm->n == 0) {
        free(arm->intervals);
        arm->intervals = NULL;
    }

    return NGX_OK;
}


void
ngx_http_gray_rules_arms_free(ngx_http_gray_arms_t *arms)
{
    ngx_http_gray_allocation_free(arms->arm, arms->n);

    free(arms->arm);
    arms->arm = NULL;
}
