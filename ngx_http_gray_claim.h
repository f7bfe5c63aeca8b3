
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_CLAIM_H_INCLUDED_
#define _NGX_HTTP_GRAY_CLAIM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_shm.h"


/* the mark of a slot that is free, and of one that changes hands */

#define NGX_HTTP_GRAY_CLAIM_FREE   0
#define NGX_HTTP_GRAY_CLAIM_TAKEN  1


/* one of a table in shared memory, which begins as zeroes */

typedef struct {
    uint64_t    mark;               /* the hash of the name */
    uint64_t    time;               /* s, since when it has the slot */
    uint64_t    began;              /* ms, likewise */
    uint64_t    len;
    u_char      name[NGX_HTTP_GRAY_NAME + 1];
} ngx_http_gray_claim_t;


/* the slot that the name has, or a free one that it gets; else "slots" */
ngx_uint_t ngx_http_gray_claim(ngx_http_gray_claim_t *claims,
    ngx_uint_t slots, ngx_str_t *name);

/* that of the slot of a name, as long as it has one */
uint64_t ngx_http_gray_claim_mark(ngx_str_t *name);

/*
 * With a lock: takes the slot of a name that is not one of these, the one that
 * has it for longest, and then gives it to another one.  In between nobody
 * counts there, and whoever dies leaves a slot that is taken first the next
 * time.  "slots" where all names are among these.
 */
ngx_uint_t ngx_http_gray_claim_take(ngx_http_gray_claim_t *claims,
    ngx_uint_t slots, ngx_str_t **keep, ngx_uint_t n);
void ngx_http_gray_claim_give(ngx_http_gray_claim_t *claims, ngx_uint_t slot,
    ngx_str_t *name);

/* the name of a slot, in the table: NGX_OK, or NGX_DECLINED */
ngx_int_t ngx_http_gray_claim_name(ngx_http_gray_claim_t *claims,
    ngx_uint_t slot, ngx_str_t *name);


#endif /* _NGX_HTTP_GRAY_CLAIM_H_INCLUDED_ */
