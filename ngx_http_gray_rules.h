
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_RULES_H_INCLUDED_
#define _NGX_HTTP_GRAY_RULES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_allocation.h"
#include "ngx_http_gray_condition.h"
#include "ngx_http_gray_index.h"
#include "ngx_http_gray_json.h"


typedef enum {
    NGX_HTTP_GRAY_DISABLED = 0,
    NGX_HTTP_GRAY_RULE,
    NGX_HTTP_GRAY_RULE_SPLIT,
    NGX_HTTP_GRAY_SPLIT,
    NGX_HTTP_GRAY_RANDOM,
    NGX_HTTP_GRAY_NO_KEY,
    NGX_HTTP_GRAY_DEGRADED,
    NGX_HTTP_GRAY_REASONS
} ngx_http_gray_reason_e;


/* the names of the reasons, by ngx_http_gray_reason_e */

extern ngx_str_t  ngx_http_gray_reasons[];


/* the bytes of "upstream" follow those of "name" and its NUL */

typedef struct {
    ngx_str_t                       name;
    ngx_str_t                       upstream;    /* empty in a switch */
    void                           *peer;        /* of env->upstream() */
    void                           *fallback;    /* the baseline's, if another
                                                    and wanted, or NULL */
    ngx_uint_t                      slot;        /* of its counters, and */
    uint64_t                        mark;        /* what marks these */
    ngx_uint_t                      arm;         /* of a rollout, or 0: see
                                                    ngx_http_gray_trial.h */
} ngx_http_gray_variant_t;


/* "rule" is NULL and "bucket" is -1 where there is none */

typedef struct {
    ngx_http_gray_variant_t        *variant;
    ngx_str_t                      *rule;
    ngx_uint_t                      rule_slot;   /* of its counter */
    ngx_http_gray_reason_e          reason;
    ngx_int_t                       bucket;
    uint64_t                        hash;        /* of the key; 0 where none
                                                    was looked at */
} ngx_http_gray_outcome_t;


typedef struct {
    ngx_http_gray_segment_t     *segments;
    ngx_uint_t                   n;
} ngx_http_gray_split_t;


typedef struct {
    ngx_str_t                    name;
    ngx_uint_t                   slot;
    ngx_http_gray_condition_t   *when;       /* NULL: never holds */
    ngx_http_gray_variant_t     *variant;    /* NULL: by "split" */
    ngx_http_gray_split_t        split;
} ngx_http_gray_rule_t;


/* for who compiles one; others ask by what follows */

typedef struct {
    ngx_pool_t                  *pool;

    ngx_uint_t                   enabled;    /* unsigned  enabled:1; */

    ngx_http_gray_variant_t     *variants;
    ngx_uint_t                   nvariants;
    ngx_http_gray_variant_t     *baseline;

    ngx_http_gray_rule_t        *rules;
    ngx_uint_t                   nrules;
    ngx_http_gray_index_t       *index;      /* NULL: there are few */

    ngx_http_gray_split_t        split;
    uint64_t                     seed;

    ngx_uint_t                   keyed;      /* unsigned  keyed:1; */
    ngx_http_gray_slot_t       **keys;
    ngx_uint_t                   nkeys;
    ngx_http_gray_cookie_t       cookie;     /* no name: no cookie */
    ngx_str_t                    minted;
    ngx_uint_t                   minted_of;  /* the decision of these */
    ngx_int_t                    keyless;    /* what mint() returned */

    ngx_http_gray_pass_t         pass;

    ngx_uint_t                   limited;
    ngx_uint_t                   missing;
    ngx_str_t                    missed;
} ngx_http_gray_rules_t;


/* an empty one, to be filled in by ngx_http_gray_compile(), or NULL (memory) */
ngx_http_gray_rules_t *ngx_http_gray_rules_create(ngx_log_t *log);
void ngx_http_gray_rules_destroy(ngx_http_gray_rules_t *rules);

/* decides; cannot fail; must not be entered again for the same rule set */
void ngx_http_gray_rules_decide(ngx_http_gray_rules_t *rules,
    const ngx_http_gray_rules_ops_t *ops, void *ctx,
    ngx_http_gray_outcome_t *outcome);

/*
 * For explanations: does rule number "i" hold?  1, 0, or NGX_ERROR where a
 * test cannot be evaluated.  "name" is the rule's name or position.  Where it
 * does not hold, and the set was compiled to be explained, "failed" is the
 * condition that made it so.
 */
ngx_uint_t ngx_http_gray_rules_count(ngx_http_gray_rules_t *rules);
ngx_int_t ngx_http_gray_rules_verdict(ngx_http_gray_rules_t *rules,
    ngx_uint_t i, const ngx_http_gray_rules_ops_t *ops, void *ctx,
    ngx_str_t **name, ngx_http_gray_failed_t *failed);

/* those that there are, by number, or NULL: to be given slots of counters */
ngx_http_gray_variant_t *ngx_http_gray_rules_variant(
    ngx_http_gray_rules_t *rules, ngx_uint_t i);
ngx_str_t *ngx_http_gray_rules_rule(ngx_http_gray_rules_t *rules,
    ngx_uint_t i);
void ngx_http_gray_rules_set_slot(ngx_http_gray_rules_t *rules, ngx_uint_t i,
    ngx_uint_t slot);

/* how many buckets variant number "i" has by the weights */
uint32_t ngx_http_gray_rules_share(ngx_http_gray_rules_t *rules,
    ngx_uint_t i);

/* are users told apart, or is every request drawn by chance? */
ngx_uint_t ngx_http_gray_rules_keyed(ngx_http_gray_rules_t *rules);

/* how many matches of patterns were given up, as they took too long */
ngx_uint_t ngx_http_gray_rules_limited(ngx_http_gray_rules_t *rules);

ngx_http_gray_variant_t *ngx_http_gray_rules_baseline(
    ngx_http_gray_rules_t *rules);

/* "enabled" of the document, which may be taken back, too */
ngx_uint_t ngx_http_gray_rules_enabled(ngx_http_gray_rules_t *rules);
void ngx_http_gray_rules_enable(ngx_http_gray_rules_t *rules,
    ngx_uint_t enabled);

/* how many names of the document are unknown here, and the first of them */
ngx_uint_t ngx_http_gray_rules_missing(ngx_http_gray_rules_t *rules,
    ngx_str_t *name);

/*
 * bucket = (XXH64(key, seed = XXH64(salt, 0)) * 1000000) >> 64, the product
 * in 128 bits.  xxHash: Collet, https://xxhash.com
 */
uint64_t ngx_http_gray_rules_seed(const ngx_str_t *salt);
uint32_t ngx_http_gray_rules_bucket(const ngx_str_t *key, uint64_t seed);

/* the same for percent, which is drawn by another seed than the weights are */
uint64_t ngx_http_gray_rules_percent_seed(const ngx_str_t *salt);


#endif /* _NGX_HTTP_GRAY_RULES_H_INCLUDED_ */
