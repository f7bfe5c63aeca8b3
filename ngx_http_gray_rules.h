
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_RULES_H_INCLUDED_
#define _NGX_HTTP_GRAY_RULES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_json.h"
#include "ngx_http_gray_allocation.h"


typedef enum {
    NGX_HTTP_GRAY_DISABLED = 0,
    NGX_HTTP_GRAY_RULE,
    NGX_HTTP_GRAY_RULE_SPLIT,
    NGX_HTTP_GRAY_SPLIT,
    NGX_HTTP_GRAY_RANDOM,
    NGX_HTTP_GRAY_NO_KEY,
    NGX_HTTP_GRAY_DEGRADED
} ngx_http_gray_reason_e;


/* the names of the reasons, by ngx_http_gray_reason_e */

extern ngx_str_t  ngx_http_gray_reasons[];


/* an attribute of a request that a rule set reads: "$name" */

typedef struct {
    ngx_str_t                       name;
    void                           *source;      /* of env->attribute() */
} ngx_http_gray_attribute_t;


/* the bytes of "upstream" follow those of "name" and its NUL */

typedef struct {
    ngx_str_t                       name;
    ngx_str_t                       upstream;    /* empty in a switch */
    void                           *peer;        /* of env->upstream() */
} ngx_http_gray_variant_t;


/* "attributes" is what follows "name=id" in Set-Cookie, from its ";" on */

typedef struct {
    ngx_str_t                       name;
    ngx_str_t                       attributes;
} ngx_http_gray_cookie_t;


/*
 * What a document's names mean here.  Both return NGX_OK with a handle, or
 * NGX_DECLINED with a C string of what would be accepted in "why".
 */

#define NGX_HTTP_GRAY_WHY  320

typedef struct {
    void                           *data;

    ngx_int_t                     (*attribute)(void *data, ngx_str_t *name,
                                        void **source, char *why);
    ngx_int_t                     (*upstream)(void *data, ngx_str_t *name,
                                        void **peer, char *why);
} ngx_http_gray_rules_env_t;


/*
 * What a decision asks of its caller.
 *
 * get():     the attribute's value, which must stay as it is until the
 *            decision is made; NGX_OK, NGX_DECLINED (there is none) or
 *            NGX_ERROR (it cannot be told).
 * mint():    a new key for who has none; NGX_OK or NGX_DECLINED.
 * random():  a bucket by chance.
 */

typedef struct {
    ngx_int_t                     (*get)(void *ctx,
                                        ngx_http_gray_attribute_t *attribute,
                                        ngx_str_t *value);
    ngx_int_t                     (*mint)(void *ctx,
                                        ngx_http_gray_cookie_t *cookie,
                                        ngx_str_t *key);
    uint32_t                      (*random)(void *ctx);
} ngx_http_gray_rules_ops_t;


/* "rule" is NULL and "bucket" is -1 where there is none */

typedef struct {
    ngx_http_gray_variant_t        *variant;
    ngx_str_t                      *rule;
    ngx_http_gray_reason_e          reason;
    ngx_int_t                       bucket;
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
 * test cannot be evaluated.  "name" is the rule's name or position.
 */
ngx_uint_t ngx_http_gray_rules_count(ngx_http_gray_rules_t *rules);
ngx_int_t ngx_http_gray_rules_verdict(ngx_http_gray_rules_t *rules,
    ngx_uint_t i, const ngx_http_gray_rules_ops_t *ops, void *ctx,
    ngx_str_t **name);

ngx_http_gray_variant_t *ngx_http_gray_rules_baseline(
    ngx_http_gray_rules_t *rules);

/* "enabled" of the document, which may be taken back, too */
ngx_uint_t ngx_http_gray_rules_enabled(ngx_http_gray_rules_t *rules);
void ngx_http_gray_rules_disable(ngx_http_gray_rules_t *rules);

/* how many names of the document are unknown here, and the first of them */
ngx_uint_t ngx_http_gray_rules_missing(ngx_http_gray_rules_t *rules,
    ngx_str_t *name);

/*
 * bucket = (XXH64(key, seed = XXH64(salt, 0)) * 1000000) >> 64, the product
 * in 128 bits.  xxHash: Collet, https://xxhash.com
 */
uint64_t ngx_http_gray_rules_seed(const ngx_str_t *salt);
uint32_t ngx_http_gray_rules_bucket(const ngx_str_t *key, uint64_t seed);

/* percent in buckets, or NGX_ERROR where it is not 0 to 100 by 0.0001 */
ngx_int_t ngx_http_gray_rules_buckets(double percent);

/*
 * The partition that a document (or, with "rule", one of its rules) asks for
 * and holds: an arm for each variant, in their order, the baseline's filled
 * with the rest.  NGX_OK; NGX_DECLINED where the allocation is absent or does
 * not fit the weights (the intervals are then empty, the sizes right);
 * NGX_ERROR (memory).  To be freed with _arms_free() unless NGX_ERROR; the
 * names are the document's.
 */
typedef struct {
    ngx_http_gray_arm_t            *arm;
    ngx_uint_t                      n;
    ngx_uint_t                      baseline;
} ngx_http_gray_arms_t;

ngx_int_t ngx_http_gray_rules_arms(const ngx_http_gray_json_t *doc,
    const ngx_http_gray_json_t *rule, ngx_http_gray_arms_t *arms);
void ngx_http_gray_rules_arms_free(ngx_http_gray_arms_t *arms);


#endif /* _NGX_HTTP_GRAY_RULES_H_INCLUDED_ */
