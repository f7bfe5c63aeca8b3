
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_GUARDS_H_INCLUDED_
#define _NGX_HTTP_GRAY_GUARDS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_evidence.h"
#include "ngx_http_gray_histogram.h"
#include "ngx_http_gray_plan.h"


#define NGX_HTTP_GRAY_GUARDS_TEXT   256         /* bytes, with a NUL */

/* a limit that nothing is slower than */
#define NGX_HTTP_GRAY_GUARDS_NEVER  0xffffffff


/*
 * What was counted of an arm, ever.  Of the step: decided in the present step,
 * by weight or chance; all: of the variant, whatever placed it there.  Timed
 * are those that have a time to their header.
 */

typedef struct {
    uint64_t    step;
    uint64_t    step_timed;
    uint64_t    all;
    uint64_t    all_timed;
    uint64_t    keys;               /* new ones of a sample, of the step */
    uint64_t    bad[NGX_HTTP_GRAY_PLAN_WATCHES];
} ngx_http_gray_sample_t;


/* of a watch, since the evidence is fresh: by requests, or keys */

typedef struct {
    uint64_t    canary;
    uint64_t    baseline;
    uint64_t    bad_canary;
    uint64_t    bad_baseline;
} ngx_http_gray_seen_t;


/* what is known of a guard besides */

typedef struct {
    double      info;               /* nats */
    double      pace;               /* nats a second, of late */
    double      recent;             /* the baseline's requests of late, */
    double      recent_bad;         /* and bad ones */
    double      due;                /* of a sample, what is the canary's by the
                                       weights at that time */
} ngx_http_gray_known_t;


/*
 * What guards have seen, between two ticks, and the evidence that it is to
 * them: no pointers, as it is kept in a file, too.
 */

typedef struct {
    ngx_http_gray_sample_t           canary;     /* as of the last tick */
    ngx_http_gray_sample_t           baseline;

    /* times to the header of the baseline before the rollout began */
    ngx_http_gray_histogram_packed_t times;

    /* of a watch: slower than that, in ms, is bad, of baseline and canary */
    uint32_t                         limit[NGX_HTTP_GRAY_PLAN_WATCHES][2];

    ngx_http_gray_evidence_t         evidence[NGX_HTTP_GRAY_PLAN_WATCHES];
    ngx_http_gray_seen_t             seen[NGX_HTTP_GRAY_PLAN_WATCHES];
    ngx_http_gray_known_t            known[NGX_HTTP_GRAY_PLAN_GUARDS];
} ngx_http_gray_guards_t;


/* what was counted up to a tick, and how */

typedef struct {
    const ngx_http_gray_sample_t    *canary;
    const ngx_http_gray_sample_t    *baseline;
    const uint64_t                  *times;      /* a histogram: the time to
                                                    the header of the baseline,
                                                    ever */
    double                           seconds;    /* since the last tick */
    double                           share;      /* the canary's of both arms,
                                                    by the weights, 0 to 1 */
    ngx_uint_t                       moved;      /* these unsigned :1; the
                                                    weight, since then */
    ngx_uint_t                       warm;       /* it is not a warmup */
} ngx_http_gray_guards_tick_t;


/* the one that has most to say; none where "fired" is 0 */

typedef struct {
    ngx_uint_t                       fired;      /* unsigned  fired:1; */
    ngx_uint_t                       guard;      /* which */
    ngx_http_gray_plan_action_e      action;     /* rollback or pause */
    ngx_uint_t                       both;       /* unsigned  both:1; the
                                                    baseline is bad, too */
    ngx_uint_t                       incident;   /* a mask: for these it is */
} ngx_http_gray_guards_verdict_t;


/* a guard as it stands, for people */

typedef struct {
    ngx_http_gray_seen_t             seen;       /* latency: of the quantile
                                                    with the most evidence */
    double                           value;      /* -1: nothing to say; else a
                                                    ratio, or a rate, */
    double                           limit;      /* and its limit */
    double                           evidence;   /* ln E, and what it */
    double                           needed;     /* fires at */
    double                           info;       /* nats to go on, and how many
                                                    are needed now, or 0 */
    double                           info_needed;
    double                           seconds;    /* until then, or -1 */
    ngx_uint_t                       quantile;   /* of latency: which */
    uint32_t                         slow[2];    /* ms: limits of that one */
    char                             text[NGX_HTTP_GRAY_GUARDS_TEXT];
} ngx_http_gray_standing_t;


/* a rollout begins, by what was counted until now */
void ngx_http_gray_guards_begin(ngx_http_gray_guards_t *guards,
    const ngx_http_gray_guards_tick_t *tick);

/* all evidence is put away: nothing was seen */
void ngx_http_gray_guards_afresh(ngx_http_gray_guards_t *guards);

/* what was counted since the last tick is passed over */
void ngx_http_gray_guards_skip(ngx_http_gray_guards_t *guards,
    const ngx_http_gray_guards_tick_t *tick);

void ngx_http_gray_guards_tick(const ngx_http_gray_plan_t *plan,
    ngx_http_gray_guards_t *guards, const ngx_http_gray_guards_tick_t *tick,
    ngx_http_gray_guards_verdict_t *verdict);

/* what was seen of an incident of both arms is not evidence afterwards */
void ngx_http_gray_guards_forgive(const ngx_http_gray_plan_t *plan,
    ngx_http_gray_guards_t *guards,
    const ngx_http_gray_guards_verdict_t *verdict);

/*
 * Would a canary that is too bad have shown by now?  Asked at a weight of
 * "percent", before a step to one of "next".
 */
ngx_uint_t ngx_http_gray_guards_enough(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_guards_t *guards, double percent, double next);

/* how guard number "i" stands; the last two as above */
void ngx_http_gray_guards_standing(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_guards_t *guards, ngx_uint_t i, double percent,
    double next, ngx_http_gray_standing_t *standing);


#endif /* _NGX_HTTP_GRAY_GUARDS_H_INCLUDED_ */
