
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_cookie.h"
#include "ngx_http_gray_live.h"
#include "ngx_http_gray_request.h"


/*
 * The context of a main request, allocated with its first decision.  It has a
 * pool cleanup, by which it is found again after an internal redirect has
 * cleared the contexts of all modules.
 */

typedef struct {
    ngx_pool_cleanup_t              cleanup;
    ngx_http_gray_decision_t       *decisions;
    ngx_http_gray_minted_t         *minted;
    ngx_uint_t                      closed;      /* unsigned  closed:1; */

    ngx_http_gray_decision_t        first;
} ngx_http_gray_ctx_t;


/* a decision while it is made, maybe for a rule of another release's */

typedef struct ngx_http_gray_deciding_s  ngx_http_gray_deciding_t;

struct ngx_http_gray_deciding_s {
    ngx_http_request_t             *request;
    ngx_http_gray_minted_t         *minted;
    ngx_http_gray_deciding_t       *outer;
};


static ngx_http_gray_ctx_t *ngx_http_gray_request_lost(ngx_http_request_t *r);
static void ngx_http_gray_request_cleanup(void *data);
static ngx_http_gray_decision_t *ngx_http_gray_request_remember(
    ngx_http_request_t *r, ngx_http_gray_release_t *release,
    ngx_http_gray_outcome_t *outcome, ngx_http_gray_minted_t *minted);
static ngx_inline void ngx_http_gray_request_fill(
    ngx_http_gray_decision_t *decision, u_char *p,
    ngx_http_gray_release_t *release, ngx_http_gray_outcome_t *outcome);
static ngx_http_gray_decision_t *ngx_http_gray_request_inner(
    ngx_http_request_t *r, ngx_http_gray_release_t *release);
static u_char *ngx_http_gray_request_valid(ngx_http_request_t *r);
static void ngx_http_gray_request_forget(ngx_http_request_t *r,
    ngx_http_gray_release_t *release);
static ngx_http_gray_decision_t *ngx_http_gray_request_degrade(
    ngx_http_request_t *r, ngx_http_gray_release_t *release);
static void ngx_http_gray_request_warn(ngx_http_request_t *r,
    ngx_http_gray_release_t *release, ngx_http_gray_variant_t *variant);
static void ngx_http_gray_request_limited(ngx_http_request_t *r,
    ngx_http_gray_release_t *release);
static ngx_int_t ngx_http_gray_request_get(void *ctx,
    ngx_http_gray_attribute_t *attribute, ngx_http_gray_value_t *value);
static ngx_int_t ngx_http_gray_request_mint(void *data,
    ngx_http_gray_cookie_t *cookie, ngx_str_t *key);
static ngx_http_gray_minted_t *ngx_http_gray_request_minted(
    ngx_http_request_t *r, ngx_str_t *name);
static ngx_uint_t ngx_http_gray_request_same(const ngx_str_t *one,
    const ngx_str_t *two);
static uint32_t ngx_http_gray_request_random(void *ctx);
static ngx_int_t ngx_http_gray_request_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_gray_request_cookies(ngx_http_request_t *r,
    ngx_http_gray_minted_t *minted);
static void ngx_http_gray_request_part(ngx_http_request_t *r);


static ngx_http_gray_rules_ops_t  ngx_http_gray_request_ops = {
    ngx_http_gray_request_get,
    ngx_http_gray_request_mint,
    ngx_http_gray_request_random
};


/*
 * The context of a main request that came to its log phase without a decision,
 * and of any subrequest that came to its own: that has no other.
 */

static ngx_http_gray_ctx_t  ngx_http_gray_request_closed = {
    .closed = 1
};


/* the innermost of the decisions under way, or NULL */

static ngx_http_gray_deciding_t  *ngx_http_gray_request_deciding;


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


static ngx_inline ngx_http_gray_ctx_t *
ngx_http_gray_request_ctx(ngx_http_request_t *r)
{
    ngx_http_gray_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_gray_module);

    if (ctx || !(r->internal || r->filter_finalize)) {
        return ctx;
    }

    return ngx_http_gray_request_lost(r);
}


ngx_http_gray_decision_t *
ngx_http_gray_request_decide(ngx_http_request_t *r,
    ngx_http_gray_release_t *release)
{
    ngx_uint_t                 logged;
    ngx_http_gray_ctx_t       *ctx;
    ngx_http_gray_rules_t     *rules;
    ngx_http_gray_outcome_t    outcome;
    ngx_http_gray_decision_t  *decision;
    ngx_http_gray_deciding_t   deciding;

    logged = 0;

    if (r != r->main) {

        /* the bit is set behind the log phase of a subrequest */

        logged = (!r->logged
                  && ngx_http_get_module_ctx(r, ngx_http_gray_module));
        r = r->main;
    }

    ctx = ngx_http_gray_request_ctx(r);

    if (ctx) {
        for (decision = ctx->decisions; decision; decision = decision->next) {
            if (decision->release == release) {
                return decision;
            }
        }

        logged |= ctx->closed;
    }

    if (logged) {
        return NULL;
    }

    if (release->deciding) {
        return ngx_http_gray_request_inner(r, release);
    }

    rules = ngx_http_gray_live_rules(release, r->connection->log);

    if (rules == NULL) {
        return ngx_http_gray_request_degrade(r, release);
    }

    deciding.request = r;
    deciding.minted = NULL;
    deciding.outer = ngx_http_gray_request_deciding;

    ngx_http_gray_request_deciding = &deciding;
    release->deciding = 1;

    ngx_http_gray_rules_decide(rules, &ngx_http_gray_request_ops, &deciding,
                               &outcome);

    release->deciding = 0;
    ngx_http_gray_request_deciding = deciding.outer;

    if (ngx_http_gray_rules_limited(rules) != release->limited) {
        ngx_http_gray_request_limited(r, release);
    }

    if (release->nested) {
        ngx_http_gray_request_warn(r, release, NULL);
        ngx_http_gray_request_forget(r, release);
    }

    if (outcome.variant->peer == NULL
        && release->kind == NGX_HTTP_GRAY_ROUTED)
    {
        ngx_http_gray_request_warn(r, release, outcome.variant);

        outcome.variant = ngx_http_gray_rules_baseline(rules);
        outcome.reason = NGX_HTTP_GRAY_DEGRADED;
    }

    decision = ngx_http_gray_request_remember(r, release, &outcome,
                                              deciding.minted);

    if (decision) {
        ngx_log_debug4(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                       "gray: %V bucket:%i %V %V", &release->name,
                       decision->bucket, &decision->variant,
                       &ngx_http_gray_reasons[decision->reason]);
    }

    return decision;
}


ngx_http_gray_decision_t *
ngx_http_gray_request_decided(ngx_http_request_t *r,
    ngx_http_gray_release_t *release)
{
    ngx_http_gray_ctx_t       *ctx;
    ngx_http_gray_decision_t  *decision;

    ctx = ngx_http_gray_request_ctx(r->main);

    for (decision = ctx ? ctx->decisions : NULL;
         decision;
         decision = decision->next)
    {
        if (decision->release == release) {
            return decision;
        }
    }

    return NULL;
}


/* after an internal redirect, and where a filter has begun a new response */

static ngx_http_gray_ctx_t *
ngx_http_gray_request_lost(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t   *cln;
    ngx_http_gray_ctx_t  *ctx;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {

        if (cln->handler == ngx_http_gray_request_cleanup) {
            ctx = cln->data;
            ngx_http_set_ctx(r, ctx, ngx_http_gray_module);
            return ctx;
        }
    }

    return NULL;
}


/* only marks the context's cleanup */

static void
ngx_http_gray_request_cleanup(void *data)
{
    return;
}


/*
 * Names are copied, as the rule set is freed when a new revision comes, and
 * a request may last for days.
 */

static ngx_http_gray_decision_t *
ngx_http_gray_request_remember(ngx_http_request_t *r,
    ngx_http_gray_release_t *release, ngx_http_gray_outcome_t *outcome,
    ngx_http_gray_minted_t *minted)
{
    u_char                    *p;
    size_t                     len;
    ngx_http_gray_ctx_t       *ctx;
    ngx_http_gray_decision_t  *decision;

    len = outcome->variant->name.len + 1 + outcome->variant->upstream.len
          + (outcome->rule ? outcome->rule->len : 0);

    /* another decision may have come in between */

    ctx = ngx_http_get_module_ctx(r, ngx_http_gray_module);

    if (ctx == NULL) {
        ctx = ngx_palloc(r->pool, sizeof(ngx_http_gray_ctx_t) + len);
        if (ctx == NULL) {
            return NULL;
        }

        ctx->cleanup.handler = ngx_http_gray_request_cleanup;
        ctx->cleanup.data = ctx;
        ctx->cleanup.next = r->pool->cleanup;
        r->pool->cleanup = &ctx->cleanup;

        ctx->decisions = NULL;
        ctx->minted = NULL;
        ctx->closed = 0;

        ngx_http_set_ctx(r, ctx, ngx_http_gray_module);

        decision = &ctx->first;
        p = (u_char *) ctx + sizeof(ngx_http_gray_ctx_t);

    } else {
        decision = ngx_palloc(r->pool, sizeof(ngx_http_gray_decision_t) + len);
        if (decision == NULL) {
            return NULL;
        }

        p = (u_char *) decision + sizeof(ngx_http_gray_decision_t);
    }

    ngx_http_gray_request_fill(decision, p, release, outcome);

    decision->next = ctx->decisions;
    ctx->decisions = decision;

    if (minted) {
        minted->next = ctx->minted;
        ctx->minted = minted;
    }

    return decision;
}


static ngx_inline void
ngx_http_gray_request_fill(ngx_http_gray_decision_t *decision, u_char *p,
    ngx_http_gray_release_t *release, ngx_http_gray_outcome_t *outcome)
{
    size_t                    len;
    ngx_http_gray_variant_t  *variant;

    variant = outcome->variant;

    decision->peer = variant->peer;
    decision->fallback = variant->fallback;
    decision->release = release;
    decision->bucket = outcome->bucket;
    decision->hash = outcome->hash;
    decision->revision = release->revision;
    decision->reason = outcome->reason;
    decision->slot = variant->slot;
    decision->mark = variant->mark;
    decision->arm = variant->arm;
    decision->ahead = ngx_http_gray_request_ahead(ngx_timeofday());
    decision->used = 0;
    decision->counted = 0;
    decision->inner = 0;
    decision->live = NULL;
    decision->passes = NULL;

    /* name, a NUL, and the upstream's name lie in one piece */

    len = variant->name.len + 1 + variant->upstream.len;

    decision->variant.len = variant->name.len;
    decision->variant.data = p;

    decision->upstream.len = variant->upstream.len;
    decision->upstream.data = p + variant->name.len + 1;

    p = ngx_cpymem(p, variant->name.data, len);

    decision->rule.len = 0;
    decision->rule.data = p;

    if (outcome->rule) {
        decision->rule_slot = outcome->rule_slot;
        decision->rule.len = outcome->rule->len;
        ngx_memcpy(p, outcome->rule->data, outcome->rule->len);
    }
}


/*
 * A rule of the release reads, by a variable of another module, what the
 * release is about to decide: that reader gets the baseline, and nobody else
 * ever sees it.
 */

static ngx_http_gray_decision_t *
ngx_http_gray_request_inner(ngx_http_request_t *r,
    ngx_http_gray_release_t *release)
{
    ngx_http_gray_outcome_t    outcome;
    ngx_http_gray_decision_t  *decision;

    if (release->nested == NULL) {
        release->nested = ngx_http_gray_request_valid(r);

        if (release->nested == NULL) {
            return NULL;
        }
    }

    outcome.variant = ngx_http_gray_rules_baseline(release->rules);
    outcome.rule = NULL;
    outcome.bucket = -1;
    outcome.hash = 0;
    outcome.reason = NGX_HTTP_GRAY_DEGRADED;

    decision = ngx_palloc(r->pool, sizeof(ngx_http_gray_decision_t)
                                   + outcome.variant->name.len + 1
                                   + outcome.variant->upstream.len);
    if (decision == NULL) {
        return NULL;
    }

    ngx_http_gray_request_fill(decision, (u_char *) decision
                                         + sizeof(ngx_http_gray_decision_t),
                               release, &outcome);
    decision->inner = 1;

    return decision;
}


/* which variables have a value before the inner decision is seen by any */

static u_char *
ngx_http_gray_request_valid(ngx_http_request_t *r)
{
    u_char                     *valid;
    ngx_uint_t                  i;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    valid = ngx_palloc(r->pool, cmcf->variables.nelts + 1);
    if (valid == NULL) {
        return NULL;
    }

    for (i = 0; i < cmcf->variables.nelts; i++) {
        valid[i] = r->variables[i].valid || r->variables[i].not_found;
    }

    return valid;
}


/* all that came after may have been made of it, by a map say */

static void
ngx_http_gray_request_forget(ngx_http_request_t *r,
    ngx_http_gray_release_t *release)
{
    ngx_uint_t                  i;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    for (i = 0; i < cmcf->variables.nelts; i++) {
        if (!release->nested[i]) {
            r->variables[i].valid = 0;
            r->variables[i].not_found = 0;
        }
    }

    release->nested = NULL;
}


static ngx_http_gray_decision_t *
ngx_http_gray_request_degrade(ngx_http_request_t *r,
    ngx_http_gray_release_t *release)
{
    ngx_http_gray_outcome_t  outcome;

    (void) ngx_atomic_fetch_add(&release->block->degraded, 1);

    outcome.variant = &release->fallback;
    outcome.rule = NULL;
    outcome.bucket = -1;
    outcome.hash = 0;
    outcome.reason = NGX_HTTP_GRAY_DEGRADED;

    return ngx_http_gray_request_remember(r, release, &outcome, NULL);
}


static void
ngx_http_gray_request_warn(ngx_http_request_t *r,
    ngx_http_gray_release_t *release, ngx_http_gray_variant_t *variant)
{
    (void) ngx_atomic_fetch_add(&release->block->degraded, 1);

    if (release->warned) {
        return;
    }

    release->warned = 1;

    if (variant) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "gray: release \"%V\": the upstream \"%V\" of variant "
                      "\"%V\" is gone, its share gets the baseline",
                      &release->name, &variant->upstream, &variant->name);

    } else {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "gray: release \"%V\": a rule depends on the release's "
                      "own decision, it reads the baseline there",
                      &release->name);
    }
}


/* counted always, said once for a revision */

static void
ngx_http_gray_request_limited(ngx_http_request_t *r,
    ngx_http_gray_release_t *release)
{
    ngx_uint_t  limited;

    limited = ngx_http_gray_rules_limited(release->rules);

    (void) ngx_atomic_fetch_add(&release->block->limited,
                                limited - release->limited);

    if (release->limited == 0) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "gray: release \"%V\": a pattern took too many steps "
                      "for a value, so its rule did not hold",
                      &release->name);
    }

    release->limited = limited;
}


static ngx_int_t
ngx_http_gray_request_get(void *ctx, ngx_http_gray_attribute_t *attribute,
    ngx_http_gray_value_t *value)
{
    ngx_http_gray_deciding_t *deciding = ctx;

    return ngx_http_gray_attribute_get(deciding->request, attribute, value);
}


/*
 * Two releases with the same cookie share the id.  Once the header is out no
 * cookie can be sent, and who would be drawn afresh next time is not drawn.
 */

static ngx_int_t
ngx_http_gray_request_mint(void *data, ngx_http_gray_cookie_t *cookie,
    ngx_str_t *key)
{
    ngx_http_gray_deciding_t *deciding = data;

    ngx_http_request_t      *r;
    ngx_http_gray_minted_t  *minted;

    r = deciding->request;
    minted = ngx_http_gray_request_minted(r, &cookie->name);

    if (minted) {
        *key = minted->id;
        return NGX_OK;
    }

    if (r->header_sent) {
        return NGX_DECLINED;
    }

    minted = ngx_http_gray_cookie_mint(r, cookie);
    if (minted == NULL) {
        return NGX_DECLINED;
    }

    deciding->minted = minted;
    *key = minted->id;

    return NGX_OK;
}


/* the id that there is for a cookie: of a decision, or of one under way */

static ngx_http_gray_minted_t *
ngx_http_gray_request_minted(ngx_http_request_t *r, ngx_str_t *name)
{
    ngx_http_gray_ctx_t       *ctx;
    ngx_http_gray_minted_t    *minted;
    ngx_http_gray_deciding_t  *deciding;

    ctx = ngx_http_gray_request_ctx(r);

    for (minted = ctx ? ctx->minted : NULL; minted; minted = minted->next) {
        if (ngx_http_gray_request_same(&minted->name, name)) {
            return minted;
        }
    }

    for (deciding = ngx_http_gray_request_deciding;
         deciding;
         deciding = deciding->outer)
    {
        if (deciding->request == r
            && deciding->minted
            && ngx_http_gray_request_same(&deciding->minted->name, name))
        {
            return deciding->minted;
        }
    }

    return NULL;
}


/* $cookie_NAME finds a cookie whatever its case */

static ngx_uint_t
ngx_http_gray_request_same(const ngx_str_t *one, const ngx_str_t *two)
{
    return one->len == two->len
           && ngx_strncasecmp(one->data, two->data, one->len) == 0;
}


static uint32_t
ngx_http_gray_request_random(void *ctx)
{
    (void) ctx;

    /* 31 bits */

    return (uint32_t) (((uint64_t) (ngx_random() & 0x7fffffff)
                        * NGX_HTTP_GRAY_BUCKETS) >> 31);
}


static ngx_int_t
ngx_http_gray_request_header_filter(ngx_http_request_t *r)
{
    ngx_http_gray_ctx_t  *ctx;

    if (r == r->main) {
        ctx = ngx_http_gray_request_ctx(r);

        if (ctx && ctx->minted) {
            return ngx_http_gray_request_cookies(r, ctx->minted);
        }
    }

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_http_gray_request_cookies(ngx_http_request_t *r,
    ngx_http_gray_minted_t *minted)
{
    for ( /* void */ ; minted; minted = minted->next) {
        if (ngx_http_gray_cookie_send(r, minted) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_next_header_filter(r);
}


/* the first one has its place in the decision */

ngx_http_gray_passed_t *
ngx_http_gray_request_again(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision)
{
    ngx_http_gray_passed_t  *pass, *last;

    pass = ngx_palloc(r->pool, sizeof(ngx_http_gray_passed_t));
    if (pass == NULL) {
        return NULL;
    }

    for (last = decision->passes; last->next; last = last->next) {
        /* void */
    }

    last->next = pass;

    return pass;
}


ngx_http_gray_decision_t *
ngx_http_gray_request_close(ngx_http_request_t *r)
{
    ngx_http_gray_ctx_t  *ctx;

    ctx = NULL;

    if (r == r->main) {
        ctx = ngx_http_gray_request_ctx(r);

    } else {
        ngx_http_gray_request_part(r);
    }

    if (ctx == NULL) {
        ngx_http_set_ctx(r, &ngx_http_gray_request_closed,
                         ngx_http_gray_module);
        return NULL;
    }

    ctx->closed = 1;

    return ctx->decisions;
}


/*
 * A subrequest has the variables of its request, which goes on: what its log
 * does not find must not be kept there, so it gets variables of its own.
 */

static void
ngx_http_gray_request_part(ngx_http_request_t *r)
{
    size_t                      size;
    ngx_http_core_main_conf_t  *cmcf;
    ngx_http_variable_value_t  *variables;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    size = cmcf->variables.nelts * sizeof(ngx_http_variable_value_t);

    variables = ngx_palloc(r->pool, size);

    if (variables) {
        ngx_memcpy(variables, r->variables, size);
        r->variables = variables;
    }
}


ngx_int_t
ngx_http_gray_request_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_gray_request_header_filter;

    return NGX_OK;
}
