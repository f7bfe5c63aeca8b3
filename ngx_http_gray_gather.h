
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_GATHER_H_INCLUDED_
#define _NGX_HTTP_GRAY_GATHER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


typedef struct ngx_http_gray_gather_variant_s  ngx_http_gray_gather_variant_t;


/* a variant that is in the document of its release, or was counted, or both */

struct ngx_http_gray_gather_variant_s {
    ngx_http_gray_gather_variant_t  *next;

    ngx_str_t                       name;
    ngx_str_t                       labels;     /* these two are for whom it */
    ngx_str_t                       alias;      /* is made */

    ngx_uint_t                      present;    /* unsigned  present:1; it is
                                                   in the document */
    ngx_uint_t                      baseline;   /* unsigned  baseline:1; */
    uint32_t                        share;      /* buckets */

    ngx_uint_t                      counted;    /* unsigned  counted:1; it has
                                                   counters: */
    ngx_uint_t                      slot;
    uint64_t                        live;
    ngx_http_gray_counts_t          counts;     /* of all workers */
};


/* a rollout, or a plan of one */

typedef struct {
    ngx_http_gray_plan_t           *plan;       /* NULL: there is none */
    ngx_http_gray_trial_record_t    record;
    ngx_uint_t                      guards;     /* of the plan, if it is the
                                                   one that is followed */
    ngx_http_gray_standing_t        guard[NGX_HTTP_GRAY_PLAN_GUARDS];
} ngx_http_gray_gather_trial_t;


typedef struct {
    ngx_http_gray_release_t        *release;
    ngx_http_gray_rules_t          *rules;      /* of the live document, or
                                                   NULL (memory) */
    ngx_str_t                       labels;
    ngx_http_gray_gather_variant_t  *variants;
    ngx_http_gray_gather_variant_t **last;
    ngx_http_gray_gather_trial_t   *trial;      /* NULL: nothing of the kind */
} ngx_http_gray_gather_release_t;


/* the releases of a configuration, in their order */

typedef struct {
    ngx_pool_t                     *pool;       /* its own */
    ngx_http_gray_main_conf_t      *gmcf;
    ngx_http_gray_gather_release_t  *releases;
    ngx_uint_t                      n;

    /* processes that are there, for each zone in its order */
    ngx_uint_t                     *entered;
} ngx_http_gray_gather_t;


/*
 * Adds up what was counted until now, of all releases or of one "only",
 * without a lock.  NULL (memory); to be freed by _destroy() before another
 * event is handled.
 */
ngx_http_gray_gather_t *ngx_http_gray_gather_create(
    ngx_http_gray_main_conf_t *gmcf, ngx_http_gray_release_t *only,
    ngx_log_t *log);
void ngx_http_gray_gather_destroy(ngx_http_gray_gather_t *gather);

/* a variant by its name, or NULL */
ngx_http_gray_gather_variant_t *ngx_http_gray_gather_find(
    ngx_http_gray_gather_release_t *release, ngx_str_t *name);

/*
 * To be asked when all was read: has a release another zone by now?  Then this
 * is an old worker, and what it counts is not in the zone of the new ones, who
 * may have less.
 */
ngx_uint_t ngx_http_gray_gather_left(ngx_http_gray_gather_t *gather);


#endif /* _NGX_HTTP_GRAY_GATHER_H_INCLUDED_ */
