
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Rule sets: what a document means, in a form that decides quickly.
 *
 * A document is compiled once for each of its revisions, by each worker, into
 * an immutable set that lives in a pool of its own, see
 * ngx_http_gray_compile.c; destroying the pool frees the set and all that
 * foreign libraries (PCRE2) hold for it.
 *
 * A decision is made in one go.  The slots and the pass are the one part of
 * the set that changes, and why a set must not be entered twice at a time.
 *
 * Nothing is locked: the set is private to its process.  A decision allocates
 * nothing and cannot fail.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ngx_http_gray_rules.h"


static ngx_http_gray_rule_t *ngx_http_gray_rules_first(
    ngx_http_gray_rules_t *rules);
static ngx_str_t *ngx_http_gray_rules_key(ngx_http_gray_rules_t *rules);
static ngx_str_t *ngx_http_gray_rules_given(ngx_http_gray_rules_t *rules);
static ngx_str_t *ngx_http_gray_rules_mint(ngx_http_gray_rules_t *rules);
static ngx_int_t ngx_http_gray_rules_percent(ngx_http_gray_pass_t *pass,
    ngx_http_gray_slot_t *slot, ngx_http_gray_value_t *value);


ngx_str_t  ngx_http_gray_reasons[] = {
    ngx_string("disabled"),
    ngx_string("rule"),
    ngx_string("rule_split"),
    ngx_string("split"),
    ngx_string("random"),
    ngx_string("no_key"),
    ngx_string("degraded")
};


static ngx_inline uint64_t
ngx_http_gray_rules_hash(const ngx_str_t *key, uint64_t seed)
{
    return XXH64(key->data, key->len, seed);
}


static ngx_inline uint32_t
ngx_http_gray_rules_place(uint64_t hash)
{
    unsigned __int128  product;

    product = hash;
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

    outcome->variant = rules->baseline;
    outcome->rule = NULL;
    outcome->bucket = -1;
    outcome->hash = 0;

    if (!rules->enabled) {
        outcome->reason = NGX_HTTP_GRAY_DISABLED;
        return;
    }

    rules->pass.ops = ops;
    rules->pass.ctx = ctx;
    rules->pass.decision++;

    split = &rules->split;
    rule = rules->nrules ? ngx_http_gray_rules_first(rules) : NULL;

    if (rule) {
        outcome->rule = &rule->name;
        outcome->rule_slot = rule->slot;

        if (rule->variant) {
            outcome->variant = rule->variant;
            outcome->reason = NGX_HTTP_GRAY_RULE;

            /* whose request it is matters to a rollout */

            if (rule->variant->arm) {
                key = ngx_http_gray_rules_given(rules);

                if (key) {
                    outcome->hash = ngx_http_gray_rules_hash(key, rules->seed);
                }
            }

            return;
        }

        split = &rule->split;
    }

    if (rules->keyed) {
        key = ngx_http_gray_rules_key(rules);

        if (key == NULL) {
            outcome->reason = NGX_HTTP_GRAY_NO_KEY;
            return;
        }

        outcome->reason = rule ? NGX_HTTP_GRAY_RULE_SPLIT
                               : NGX_HTTP_GRAY_SPLIT;
        outcome->hash = ngx_http_gray_rules_hash(key, rules->seed);
        bucket = ngx_http_gray_rules_place(outcome->hash);
        outcome->bucket = bucket;

    } else {
        outcome->reason = rule ? NGX_HTTP_GRAY_RULE_SPLIT
                               : NGX_HTTP_GRAY_RANDOM;
        bucket = ops->random(ctx);
    }

    if (split->n) {
        i = ngx_http_gray_allocation_find(split->segments, split->n, bucket);
        outcome->variant = &rules->variants[i];
    }
}


/* the first rule that holds, or NULL */

static ngx_http_gray_rule_t *
ngx_http_gray_rules_first(ngx_http_gray_rules_t *rules)
{
    ngx_uint_t                   i;
    ngx_http_gray_rule_t        *rule;
    ngx_http_gray_index_walk_t   walk;

    if (rules->index == NULL) {

        for (i = 0; i < rules->nrules; i++) {
            rule = &rules->rules[i];

            if (ngx_http_gray_condition_holds(&rules->pass, rule->when) == 1) {
                return rule;
            }
        }

        return NULL;
    }

    ngx_http_gray_index_begin(rules->index, &walk);

    for ( ;; ) {
        i = ngx_http_gray_index_next(&walk, &rules->pass);

        if (i == NGX_HTTP_GRAY_INDEX_END) {
            return NULL;
        }

        rule = &rules->rules[i];

        if (ngx_http_gray_condition_holds(&rules->pass, rule->when) == 1) {
            return rule;
        }
    }
}


static ngx_inline ngx_str_t *
ngx_http_gray_rules_key(ngx_http_gray_rules_t *rules)
{
    ngx_str_t  *key;

    key = ngx_http_gray_rules_given(rules);

    return key ? key : ngx_http_gray_rules_mint(rules);
}


/* by the request: NULL where there is none */

static ngx_inline ngx_str_t *
ngx_http_gray_rules_given(ngx_http_gray_rules_t *rules)
{
    ngx_uint_t             i;
    ngx_http_gray_slot_t  *slot;

    for (i = 0; i < rules->nkeys; i++) {
        slot = rules->keys[i];

        ngx_http_gray_condition_fetch(&rules->pass, slot);

        if (slot->state == NGX_OK) {
            return &slot->value.text;
        }
    }

    return NULL;
}


/* percent may have asked for it already: nobody gets two ids */

static ngx_str_t *
ngx_http_gray_rules_mint(ngx_http_gray_rules_t *rules)
{
    if (rules->minted_of != rules->pass.decision) {
        rules->minted_of = rules->pass.decision;
        rules->keyless = rules->cookie.name.len
                         ? rules->pass.ops->mint(rules->pass.ctx,
                                                 &rules->cookie,
                                                 &rules->minted)
                         : NGX_DECLINED;
    }

    return rules->keyless == NGX_OK ? &rules->minted : NULL;
}


/*
 * The place of a key, in percent.  Where there are no keys at all, it is drawn
 * by chance as the weights are.
 */

static ngx_int_t
ngx_http_gray_rules_percent(ngx_http_gray_pass_t *pass,
    ngx_http_gray_slot_t *slot, ngx_http_gray_value_t *value)
{
    ngx_http_gray_rules_t *rules = pass->data;

    uint32_t    bucket;
    ngx_str_t  *key;

    key = NULL;

    if (slot->of) {
        ngx_http_gray_condition_fetch(pass, slot->of);

        if (slot->of->state != NGX_OK) {
            return slot->of->state;
        }

        key = &slot->of->value.text;

    } else if (rules->keyed) {
        key = ngx_http_gray_rules_key(rules);

        if (key == NULL) {
            return rules->keyless;
        }
    }

    bucket = key ? ngx_http_gray_rules_place(
                                     ngx_http_gray_rules_hash(key, slot->seed))
                 : pass->ops->random(pass->ctx);

    if (bucket >= NGX_HTTP_GRAY_BUCKETS) {
        return NGX_ERROR;
    }

    value->number = (double) bucket / (NGX_HTTP_GRAY_BUCKETS / 100);
    value->numeric = NGX_HTTP_GRAY_IS;

    return NGX_OK;
}


ngx_http_gray_rules_t *
ngx_http_gray_rules_create(ngx_log_t *log)
{
    ngx_pool_t             *pool;
    ngx_http_gray_rules_t  *rules;

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

    rules->pass.percent = ngx_http_gray_rules_percent;
    rules->pass.data = rules;

    return rules;
}


void
ngx_http_gray_rules_destroy(ngx_http_gray_rules_t *rules)
{
    ngx_destroy_pool(rules->pool);
}


ngx_uint_t
ngx_http_gray_rules_count(ngx_http_gray_rules_t *rules)
{
    return rules->nrules;
}


ngx_http_gray_variant_t *
ngx_http_gray_rules_variant(ngx_http_gray_rules_t *rules, ngx_uint_t i)
{
    return i < rules->nvariants ? &rules->variants[i] : NULL;
}


ngx_str_t *
ngx_http_gray_rules_rule(ngx_http_gray_rules_t *rules, ngx_uint_t i)
{
    return i < rules->nrules ? &rules->rules[i].name : NULL;
}


void
ngx_http_gray_rules_set_slot(ngx_http_gray_rules_t *rules, ngx_uint_t i,
    ngx_uint_t slot)
{
    rules->rules[i].slot = slot;
}


uint32_t
ngx_http_gray_rules_share(ngx_http_gray_rules_t *rules, ngx_uint_t i)
{
    uint32_t                  n, start;
    ngx_uint_t                k;
    ngx_http_gray_segment_t  *segment;

    if (rules->split.n == 0) {
        return &rules->variants[i] == rules->baseline ? NGX_HTTP_GRAY_BUCKETS
                                                      : 0;
    }

    n = 0;
    start = 0;

    for (k = 0; k < rules->split.n; k++) {
        segment = &rules->split.segments[k];

        if (segment->arm == i) {
            n += segment->end - start;
        }

        start = segment->end;
    }

    return n;
}


ngx_uint_t
ngx_http_gray_rules_keyed(ngx_http_gray_rules_t *rules)
{
    return rules->keyed;
}


ngx_int_t
ngx_http_gray_rules_verdict(ngx_http_gray_rules_t *rules, ngx_uint_t i,
    const ngx_http_gray_rules_ops_t *ops, void *ctx, ngx_str_t **name,
    ngx_http_gray_failed_t *failed)
{
    rules->pass.ops = ops;
    rules->pass.ctx = ctx;
    rules->pass.decision++;

    *name = &rules->rules[i].name;

    return ngx_http_gray_condition_explain(&rules->pass, rules->rules[i].when,
                                           failed);
}


ngx_uint_t
ngx_http_gray_rules_limited(ngx_http_gray_rules_t *rules)
{
    return rules->limited;
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
ngx_http_gray_rules_enable(ngx_http_gray_rules_t *rules, ngx_uint_t enabled)
{
    rules->enabled = enabled;
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


uint64_t
ngx_http_gray_rules_percent_seed(const ngx_str_t *salt)
{
    return XXH64(salt->data, salt->len, 1);
}


uint32_t
ngx_http_gray_rules_bucket(const ngx_str_t *key, uint64_t seed)
{
    return ngx_http_gray_rules_place(ngx_http_gray_rules_hash(key, seed));
}
