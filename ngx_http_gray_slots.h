
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_SLOTS_H_INCLUDED_
#define _NGX_HTTP_GRAY_SLOTS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_counters.h"
#include "ngx_http_gray_rules.h"
#include "ngx_http_gray_shm.h"


/*
 * Gives the variants and rules of a set, made of the revision of "word", and
 * "fallback" the slots by which they are counted, and tells how many variants
 * have none of their own.  NGX_OK, or NGX_AGAIN where the zone's lock was
 * wanted and not to be had, or another revision is in force by now: what has no
 * slot now may get one later.
 */
ngx_int_t ngx_http_gray_slots_assign(ngx_http_gray_zone_t *zone,
    ngx_http_gray_block_t *block, uint64_t word,
    ngx_http_gray_rules_t *rules, ngx_http_gray_variant_t *fallback,
    ngx_uint_t *uncounted);


#endif /* _NGX_HTTP_GRAY_SLOTS_H_INCLUDED_ */
