
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Variants and rules are counted by name, and a request that ends must not
 * look for names: slots are found once, when a revision is compiled.  The
 * zone's lock is needed only where a name that is out of use is to make room;
 * and only the revision in force tells which are: a process that was late
 * would take slots from names that others count by already.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_slots.h"


static ngx_uint_t ngx_http_gray_slots_variants(
    ngx_http_gray_counters_t *counters, ngx_http_gray_rules_t *rules,
    ngx_http_gray_variant_t *fallback, ngx_uint_t locked);
static void ngx_http_gray_slots_give(ngx_http_gray_counters_t *counters,
    ngx_http_gray_variant_t *variant, ngx_uint_t slot);
static ngx_uint_t ngx_http_gray_slots_rules(
    ngx_http_gray_counters_t *counters, ngx_http_gray_rules_t *rules,
    ngx_uint_t locked);


ngx_int_t
ngx_http_gray_slots_assign(ngx_http_gray_zone_t *zone,
    ngx_http_gray_block_t *block, uint64_t word,
    ngx_http_gray_rules_t *rules, ngx_http_gray_variant_t *fallback,
    ngx_uint_t *uncounted)
{
    ngx_uint_t                 names;
    ngx_http_gray_counters_t  *counters;

    counters = ngx_http_gray_shm_counters(zone, block);

    *uncounted = ngx_http_gray_slots_variants(counters, rules, fallback, 0);
    names = ngx_http_gray_slots_rules(counters, rules, 0);

    if (*uncounted + names == 0) {
        return NGX_OK;
    }

    if (ngx_http_gray_shm_lock(zone) != NGX_OK) {
        return NGX_AGAIN;
    }

    if (ngx_http_gray_shm_word(block) != word) {
        ngx_http_gray_shm_unlock(zone);
        return NGX_AGAIN;
    }

    *uncounted = ngx_http_gray_slots_variants(counters, rules, fallback, 1);
    (void) ngx_http_gray_slots_rules(counters, rules, 1);

    ngx_http_gray_shm_unlock(zone);

    return NGX_OK;
}


/* how many have no slot of their own */

static ngx_uint_t
ngx_http_gray_slots_variants(ngx_http_gray_counters_t *counters,
    ngx_http_gray_rules_t *rules, ngx_http_gray_variant_t *fallback,
    ngx_uint_t locked)
{
    ngx_str_t                *name[NGX_HTTP_GRAY_COUNTED_VARIANTS + 1];
    ngx_uint_t                i, n, other;
    ngx_uint_t                slot[NGX_HTTP_GRAY_COUNTED_VARIANTS + 1];
    ngx_http_gray_variant_t  *variant;

    for (n = 0; n < NGX_HTTP_GRAY_COUNTED_VARIANTS; n++) {
        variant = ngx_http_gray_rules_variant(rules, n);

        if (variant == NULL) {
            break;
        }

        name[n] = &variant->name;
    }

    name[n] = &fallback->name;

    ngx_http_gray_counters_assign_variants(counters, name, n + 1, slot,
                                           locked);

    ngx_http_gray_slots_give(counters, fallback, slot[n]);

    other = 0;

    for (i = 0; i < n; i++) {
        variant = ngx_http_gray_rules_variant(rules, i);

        ngx_http_gray_slots_give(counters, variant, slot[i]);

        other += (slot[i] == ngx_http_gray_counters_variants(counters));
    }

    return other;
}


/* the mark is not read there: by now, it may be that of another name */

static void
ngx_http_gray_slots_give(ngx_http_gray_counters_t *counters,
    ngx_http_gray_variant_t *variant, ngx_uint_t slot)
{
    variant->slot = slot;
    variant->mark = (slot < ngx_http_gray_counters_variants(counters))
                    ? ngx_http_gray_claim_mark(&variant->name)
                    : NGX_HTTP_GRAY_CLAIM_FREE;
}


/* the first ones, if there are many; how many of them have none */

static ngx_uint_t
ngx_http_gray_slots_rules(ngx_http_gray_counters_t *counters,
    ngx_http_gray_rules_t *rules, ngx_uint_t locked)
{
    ngx_str_t   *name[NGX_HTTP_GRAY_COUNTED_RULES];
    ngx_uint_t   i, n, other, slot[NGX_HTTP_GRAY_COUNTED_RULES];

    for (n = 0; n < NGX_HTTP_GRAY_COUNTED_RULES; n++) {
        name[n] = ngx_http_gray_rules_rule(rules, n);

        if (name[n] == NULL) {
            break;
        }
    }

    ngx_http_gray_counters_assign_rules(counters, name, n, slot, locked);

    other = 0;

    for (i = 0; ngx_http_gray_rules_rule(rules, i); i++) {
        ngx_http_gray_rules_set_slot(rules, i,
                                     i < n ? slot[i]
                                           : NGX_HTTP_GRAY_COUNTED_RULES);

        other += (i < n && slot[i] == NGX_HTTP_GRAY_COUNTED_RULES);
    }

    return other;
}
