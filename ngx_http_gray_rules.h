
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_RULES_H_INCLUDED_
#define _NGX_HTTP_GRAY_RULES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_json.h"
#include "ngx_http_gray_arms.h"
#include "ngx_http_gray_condition.h"


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
    uint64_t                        hash;        /* of the key, if there is a
                                                    bucket */
} ngx_http_gray_outcome_t;


typedef struct ngx_http_gray_rules_s  ngx_http_gray_rules_t;


/*
 * Compiles a canonical document into a rule set with a pool of its own.
 *
 * With "faults", names that env does not know and tests that are malformed
 * are faults, and the result is NULL if there is one; other members must have
 * been judged already: what is malformed there is passed over.  Without,
 * such a test cannot be evaluated (so its rule never holds), such a variant
 * has a NULL peer, and the result is NULL only where memory was short.
 *
 * "doc" need not outlive the call.
 */
ngx_http_gray_rules_t *ngx_http_gray_rules_compile(
    const ngx_http_gray_json_t *doc, const ngx_http_gray_rules_env_t *env,
    ngx_http_gray_faults_t *faults, ngx_log_t *log);
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


#endif /* _NGX_HTTP_GRAY_RULES_H_INCLUDED_ */
