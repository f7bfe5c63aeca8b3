
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_gather.h"
#include "ngx_http_gray_live.h"


#define NGX_HTTP_GRAY_GATHER_POOL   65536
#define NGX_HTTP_GRAY_GATHER_TRIES  3


static ngx_int_t ngx_http_gray_gather_entered(ngx_http_gray_gather_t *gather);
static ngx_int_t ngx_http_gray_gather_release(ngx_http_gray_gather_t *gather,
    ngx_http_gray_gather_release_t *release, ngx_log_t *log);
static ngx_int_t ngx_http_gray_gather_slots(ngx_http_gray_gather_t *gather,
    ngx_http_gray_gather_release_t *release);
static ngx_http_gray_gather_variant_t *ngx_http_gray_gather_push(
    ngx_http_gray_gather_t *gather, ngx_http_gray_gather_release_t *release);
static ngx_int_t ngx_http_gray_gather_slot(ngx_http_gray_gather_t *gather,
    ngx_http_gray_gather_release_t *release, ngx_uint_t slot,
    ngx_http_gray_gather_variant_t *variant);
static uint64_t ngx_http_gray_gather_live(ngx_http_gray_gather_t *gather,
    ngx_http_gray_gather_release_t *release, ngx_uint_t slot);
static ngx_int_t ngx_http_gray_gather_document(ngx_http_gray_gather_t *gather,
    ngx_http_gray_gather_release_t *release);
static ngx_int_t ngx_http_gray_gather_trial(ngx_http_gray_gather_t *gather,
    ngx_http_gray_gather_release_t *release);
static void ngx_http_gray_gather_drop(ngx_http_gray_gather_release_t *release);
static ngx_uint_t ngx_http_gray_gather_nothing(
    ngx_http_gray_gather_variant_t *variant);


ngx_http_gray_gather_t *
ngx_http_gray_gather_create(ngx_http_gray_main_conf_t *gmcf,
    ngx_http_gray_release_t *only, ngx_log_t *log)
{
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    ngx_http_gray_gather_t    *gather;
    ngx_http_gray_release_t  **release;

    pool = ngx_create_pool(NGX_HTTP_GRAY_GATHER_POOL, log);
    if (pool == NULL) {
        return NULL;
    }

    gather = ngx_pcalloc(pool, sizeof(ngx_http_gray_gather_t));
    if (gather == NULL) {
        goto failed;
    }

    gather->pool = pool;
    gather->gmcf = gmcf;
    gather->n = only ? 1 : gmcf->releases.nelts;
    gather->releases = ngx_pcalloc(pool, gather->n
                                      * sizeof(ngx_http_gray_gather_release_t));

    if (gather->releases == NULL
        || ngx_http_gray_gather_entered(gather) != NGX_OK)
    {
        goto failed;
    }

    release = gmcf->releases.elts;

    for (i = 0; i < gather->n; i++) {
        gather->releases[i].release = only ? only : release[i];

        if (ngx_http_gray_gather_release(gather, &gather->releases[i], log)
            != NGX_OK)
        {
            goto failed;
        }
    }

    return gather;

failed:

    ngx_destroy_pool(pool);

    return NULL;
}


void
ngx_http_gray_gather_destroy(ngx_http_gray_gather_t *gather)
{
    ngx_destroy_pool(gather->pool);
}


ngx_uint_t
ngx_http_gray_gather_left(ngx_http_gray_gather_t *gather)
{
    ngx_uint_t                i;
    ngx_http_gray_release_t  *release;

    __atomic_thread_fence(__ATOMIC_ACQUIRE);

    for (i = 0; i < gather->n; i++) {
        release = gather->releases[i].release;

        if (release->block->moves != release->moves) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_gray_gather_entered(ngx_http_gray_gather_t *gather)
{
    ngx_uint_t              i, k, n, *entered;
    ngx_http_gray_zone_t  **zone;

    zone = gather->gmcf->zones.elts;
    n = gather->gmcf->zones.nelts;

    gather->entered = ngx_pcalloc(gather->pool,
                                 n * NGX_HTTP_GRAY_ENTRIES
                                 * sizeof(ngx_uint_t));
    if (gather->entered == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {

        if (!zone[i]->stats) {
            continue;
        }

        entered = &gather->entered[i * NGX_HTTP_GRAY_ENTRIES];

        for (k = 0; k < NGX_HTTP_GRAY_ENTRIES; k++) {
            entered[k] = ngx_http_gray_shm_entered(zone[i], k);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_gather_release(ngx_http_gray_gather_t *gather,
    ngx_http_gray_gather_release_t *release, ngx_log_t *log)
{
    ngx_http_gray_release_t  *r;

    r = release->release;

    release->last = &release->variants;
    release->rules = r->deciding ? r->rules
                                 : ngx_http_gray_live_rules(r, log);

    if (r->counters && ngx_http_gray_gather_slots(gather, release) != NGX_OK) {
        return NGX_ERROR;
    }

    if (release->rules
        && ngx_http_gray_gather_document(gather, release) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (r->trial && ngx_http_gray_gather_trial(gather, release) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_gray_gather_drop(release);

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_gather_slots(ngx_http_gray_gather_t *gather,
    ngx_http_gray_gather_release_t *release)
{
    ngx_int_t                       rc;
    ngx_str_t                       name;
    ngx_uint_t                      i, k;
    ngx_http_gray_counters_t       *counters;
    ngx_http_gray_gather_variant_t  *variant;

    counters = release->release->counters;

    for (i = 0; i <= ngx_http_gray_counters_variants(counters); i++) {

        if (ngx_http_gray_counters_variant(counters, i, &name) != NGX_OK) {
            continue;
        }

        variant = ngx_http_gray_gather_push(gather, release);
        if (variant == NULL) {
            return NGX_ERROR;
        }

        variant->counted = 1;
        variant->slot = i;

        for (k = 0; k < NGX_HTTP_GRAY_GATHER_TRIES; k++) {
            rc = ngx_http_gray_gather_slot(gather, release, i, variant);

            if (rc == NGX_ERROR) {
                return NGX_ERROR;
            }

            if (rc == NGX_OK) {
                break;
            }
        }

        if (k == NGX_HTTP_GRAY_GATHER_TRIES) {
            ngx_memzero(&variant->counts, sizeof(ngx_http_gray_counts_t));
            variant->live = 0;
        }
    }

    return NGX_OK;
}


/* it is of one page at most, so that a pool has it in one of its blocks */

static ngx_http_gray_gather_variant_t *
ngx_http_gray_gather_push(ngx_http_gray_gather_t *gather,
    ngx_http_gray_gather_release_t *release)
{
    ngx_http_gray_gather_variant_t  *variant;

    variant = ngx_palloc(gather->pool, sizeof(ngx_http_gray_gather_variant_t));

    if (variant) {
        ngx_memzero(variant, offsetof(ngx_http_gray_gather_variant_t, counts));

        *release->last = variant;
        release->last = &variant->next;
    }

    return variant;
}


/* NGX_AGAIN where the slot was given to another name meanwhile */

static ngx_int_t
ngx_http_gray_gather_slot(ngx_http_gray_gather_t *gather,
    ngx_http_gray_gather_release_t *release, ngx_uint_t slot,
    ngx_http_gray_gather_variant_t *variant)
{
    uint64_t                   mark;
    ngx_str_t                  name;
    ngx_http_gray_claim_t     *names;
    ngx_http_gray_counters_t  *counters;

    counters = release->release->counters;
    names = ngx_http_gray_counters_names(counters);

    mark = __atomic_load_n(&names[slot].mark, __ATOMIC_ACQUIRE);

    if (ngx_http_gray_counters_variant(counters, slot, &name) != NGX_OK) {
        return NGX_AGAIN;
    }

    variant->name.len = name.len;
    variant->name.data = ngx_pstrdup(gather->pool, &name);

    if (variant->name.data == NULL) {
        return NGX_ERROR;
    }

    variant->live = ngx_http_gray_gather_live(gather, release, slot);
    ngx_http_gray_counters_sum(counters, slot, &variant->counts);

    __atomic_thread_fence(__ATOMIC_ACQUIRE);

    return __atomic_load_n(&names[slot].mark, __ATOMIC_RELAXED) == mark
           ? NGX_OK : NGX_AGAIN;
}


static uint64_t
ngx_http_gray_gather_live(ngx_http_gray_gather_t *gather,
    ngx_http_gray_gather_release_t *release, ngx_uint_t slot)
{
    uint32_t                   *live;
    uint64_t                    n;
    ngx_uint_t                  i, *entered;
    ngx_http_gray_zone_t      **zone;
    ngx_http_gray_counters_t   *counters;

    counters = release->release->counters;
    zone = gather->gmcf->zones.elts;
    entered = gather->entered;

    for (i = 0; zone[i] != release->release->zone; i++) {
        entered += NGX_HTTP_GRAY_ENTRIES;
    }

    n = 0;

    for (i = 0; i < NGX_HTTP_GRAY_ENTRIES; i++) {
        if (entered[i]) {
            live = ngx_http_gray_counters_live(counters, i, slot);
            n += __atomic_load_n(live, __ATOMIC_RELAXED);
        }
    }

    return n;
}


static ngx_int_t
ngx_http_gray_gather_document(ngx_http_gray_gather_t *gather,
    ngx_http_gray_gather_release_t *release)
{
    ngx_uint_t                      i;
    ngx_http_gray_rules_t          *rules;
    ngx_http_gray_variant_t        *v;
    ngx_http_gray_gather_variant_t  *variant;

    rules = release->rules;

    for (i = 0; /* void */ ; i++) {
        v = ngx_http_gray_rules_variant(rules, i);

        if (v == NULL) {
            return NGX_OK;
        }

        variant = ngx_http_gray_gather_find(release, &v->name);

        if (variant == NULL) {
            variant = ngx_http_gray_gather_push(gather, release);
            if (variant == NULL) {
                return NGX_ERROR;
            }

            variant->name = v->name;
        }

        variant->present = 1;
        variant->baseline = (v == ngx_http_gray_rules_baseline(rules));
        variant->share = ngx_http_gray_rules_share(rules, i);
    }
}


ngx_http_gray_gather_variant_t *
ngx_http_gray_gather_find(ngx_http_gray_gather_release_t *release,
    ngx_str_t *name)
{
    ngx_http_gray_gather_variant_t  *variant;

    for (variant = release->variants; variant; variant = variant->next) {

        if (variant->name.len == name->len
            && ngx_memcmp(variant->name.data, name->data, name->len) == 0)
        {
            return variant;
        }
    }

    return NULL;
}


/* a copy, so that all lines of a scrape are of one moment */

static ngx_int_t
ngx_http_gray_gather_trial(ngx_http_gray_gather_t *gather,
    ngx_http_gray_gather_release_t *release)
{
    ngx_uint_t                     i;
    ngx_http_gray_plan_t          *plan;
    ngx_http_gray_trial_t         *trial;
    ngx_http_gray_gather_trial_t  *t;

    plan = release->release->plan;
    trial = release->release->trial;

    if (plan == NULL && !ngx_http_gray_trial_begun(trial)) {
        return NGX_OK;
    }

    t = ngx_palloc(gather->pool, sizeof(ngx_http_gray_gather_trial_t));
    if (t == NULL) {
        return NGX_ERROR;
    }

    ngx_http_gray_trial_record(trial, &t->record);

    t->plan = plan;
    t->guards = (plan && plan->id == t->record.state.plan) ? plan->guards : 0;

    for (i = 0; i < t->guards; i++) {
        ngx_http_gray_stage_guard(plan, &t->record.state, i, &t->guard[i]);
        t->guard[i].info = ngx_max(t->guard[i].info, 0);
    }

    release->trial = t;

    return NGX_OK;
}


/* names that are not in the document, and for which nothing was counted */

static void
ngx_http_gray_gather_drop(ngx_http_gray_gather_release_t *release)
{
    ngx_http_gray_gather_variant_t  **variant;

    variant = &release->variants;

    while (*variant) {

        if (!(*variant)->present && ngx_http_gray_gather_nothing(*variant)) {
            *variant = (*variant)->next;

        } else {
            variant = &(*variant)->next;
        }
    }
}


static ngx_uint_t
ngx_http_gray_gather_nothing(ngx_http_gray_gather_variant_t *variant)
{
    uint64_t    *n;
    ngx_uint_t   i;

    n = (uint64_t *) &variant->counts;

    for (i = 0; i < sizeof(ngx_http_gray_counts_t) / sizeof(uint64_t); i++) {
        if (n[i]) {
            return 0;
        }
    }

    return variant->live == 0;
}
