
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Names that have slots in shared memory, without a lock.
 *
 * A slot is claimed by a store of the hash of its name, the mark, with
 * compare-and-swap.  Then the name is written; who finds its mark without it
 * writes it again, so that nobody depends on another, who may have died in
 * between.  No slot becomes free again, so a name that two claim at a time
 * gets one slot: both of them go through the slots in the same order.
 *
 * A reader takes a name whose hash is the mark.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ngx_http_gray_claim.h"


static uint64_t ngx_http_gray_claim_hash(u_char *name, size_t len);
static ngx_uint_t ngx_http_gray_claim_find(ngx_http_gray_claim_t *claims,
    ngx_uint_t slots, uint64_t mark);
static void ngx_http_gray_claim_mend(ngx_http_gray_claim_t *slot,
    uint64_t mark, ngx_str_t *name);
static void ngx_http_gray_claim_write(ngx_http_gray_claim_t *slot,
    ngx_str_t *name);
static ngx_uint_t ngx_http_gray_claim_among(uint64_t mark, ngx_str_t **name,
    ngx_uint_t n);


ngx_uint_t
ngx_http_gray_claim(ngx_http_gray_claim_t *claims, ngx_uint_t slots,
    ngx_str_t *name)
{
    uint64_t    mark, found;
    ngx_uint_t  i;

    mark = ngx_http_gray_claim_hash(name->data, name->len);
    i = ngx_http_gray_claim_find(claims, slots, mark);

    if (i == slots) {
        for (i = 0; i < slots; i++) {
            found = NGX_HTTP_GRAY_CLAIM_FREE;

            if (__atomic_compare_exchange_n(&claims[i].mark, &found, mark, 0,
                                            __ATOMIC_ACQ_REL,
                                            __ATOMIC_ACQUIRE)
                || found == mark)
            {
                break;
            }
        }
    }

    if (i < slots) {
        ngx_http_gray_claim_mend(&claims[i], mark, name);
    }

    return i;
}


/* XXH64, as of buckets; never one of the marks that are none */

static uint64_t
ngx_http_gray_claim_hash(u_char *name, size_t len)
{
    uint64_t  hash;

    hash = XXH64(name, ngx_min(len, NGX_HTTP_GRAY_NAME), 0);

    return hash > NGX_HTTP_GRAY_CLAIM_TAKEN ? hash : ~hash;
}


static ngx_uint_t
ngx_http_gray_claim_find(ngx_http_gray_claim_t *claims, ngx_uint_t slots,
    uint64_t mark)
{
    ngx_uint_t  i;

    for (i = 0; i < slots; i++) {
        if (__atomic_load_n(&claims[i].mark, __ATOMIC_ACQUIRE) == mark) {
            break;
        }
    }

    return i;
}


/* unless the slot was taken by another name meanwhile */

static void
ngx_http_gray_claim_mend(ngx_http_gray_claim_t *slot, uint64_t mark,
    ngx_str_t *name)
{
    ngx_str_t  written;

    if (ngx_http_gray_claim_name(slot, 0, &written) != NGX_OK
        && __atomic_load_n(&slot->mark, __ATOMIC_ACQUIRE) == mark)
    {
        ngx_http_gray_claim_write(slot, name);
    }
}


/* whoever writes at the same time writes the same */

static void
ngx_http_gray_claim_write(ngx_http_gray_claim_t *slot, ngx_str_t *name)
{
    size_t  len;

    len = ngx_min(name->len, NGX_HTTP_GRAY_NAME);

    ngx_memcpy(slot->name, name->data, len);
    slot->name[len] = '\0';

    slot->time = ngx_time();
    slot->began = ngx_current_msec;

    __atomic_store_n(&slot->len, len, __ATOMIC_RELEASE);
}


uint64_t
ngx_http_gray_claim_mark(ngx_str_t *name)
{
    return ngx_http_gray_claim_hash(name->data, name->len);
}


ngx_uint_t
ngx_http_gray_claim_take(ngx_http_gray_claim_t *claims, ngx_uint_t slots,
    ngx_str_t **keep, ngx_uint_t n)
{
    uint64_t    mark;
    ngx_uint_t  i, oldest;

    oldest = slots;

    for (i = 0; i < slots; i++) {
        mark = claims[i].mark;

        /* whoever took it has died */

        if (mark == NGX_HTTP_GRAY_CLAIM_TAKEN) {
            oldest = i;
            break;
        }

        if (!ngx_http_gray_claim_among(mark, keep, n)
            && (oldest == slots || claims[i].began < claims[oldest].began))
        {
            oldest = i;
        }
    }

    if (oldest < slots) {
        __atomic_store_n(&claims[oldest].mark, NGX_HTTP_GRAY_CLAIM_TAKEN,
                         __ATOMIC_SEQ_CST);
    }

    return oldest;
}


static ngx_uint_t
ngx_http_gray_claim_among(uint64_t mark, ngx_str_t **name, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (ngx_http_gray_claim_hash(name[i]->data, name[i]->len) == mark) {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_gray_claim_give(ngx_http_gray_claim_t *claims, ngx_uint_t slot,
    ngx_str_t *name)
{
    ngx_http_gray_claim_write(&claims[slot], name);

    __atomic_store_n(&claims[slot].mark,
                     ngx_http_gray_claim_hash(name->data, name->len),
                     __ATOMIC_RELEASE);
}


ngx_int_t
ngx_http_gray_claim_name(ngx_http_gray_claim_t *claims, ngx_uint_t slot,
    ngx_str_t *name)
{
    uint64_t  mark;

    mark = __atomic_load_n(&claims[slot].mark, __ATOMIC_ACQUIRE);

    if (mark == NGX_HTTP_GRAY_CLAIM_FREE) {
        return NGX_DECLINED;
    }

    name->len = __atomic_load_n(&claims[slot].len, __ATOMIC_ACQUIRE);
    name->len = ngx_min(name->len, NGX_HTTP_GRAY_NAME);
    name->data = claims[slot].name;

    return ngx_http_gray_claim_hash(name->data, name->len) == mark
           ? NGX_OK : NGX_DECLINED;
}
