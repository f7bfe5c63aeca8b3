
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_EVIDENCE_H_INCLUDED_
#define _NGX_HTTP_GRAY_EVIDENCE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* alternatives that a process weighs at a time */
#define NGX_HTTP_GRAY_EVIDENCE_RATIOS  8


/*
 * An e-process, which is a test that may be looked at after every tick: its
 * value E begins at 1, and where the null hypothesis holds in all ticks, the
 * chance that E ever comes to 1/alpha is at most alpha.  It begins anew with a
 * part of its capital at every tick, so that a late change is found as fast as
 * an early one.
 *
 * M_k = m[k] * exp(scale), so that nothing overflows.
 */

typedef struct {
    double                        m[NGX_HTTP_GRAY_EVIDENCE_RATIOS];
    double                        scale;
    double                        rest;       /* U: capital not yet put in */
    uint64_t                      ticks;      /* so far */
    uint64_t                      moves;      /* changes of weight, so far */
} ngx_http_gray_evidence_t;


/* what was seen in a tick: requests, and bad ones of these */

typedef struct {
    double                        canary;
    double                        baseline;
    double                        bad_canary;
    double                        bad_baseline;

    /* the canary's part of both that was designed, or -1: what was seen */
    double                        share;
} ngx_http_gray_evidence_counts_t;


void ngx_http_gray_evidence_init(ngx_http_gray_evidence_t *evidence);

/*
 * A tick each; "moved" is not 0 where the weight was changed since the last
 * one.  _relative(): the canary's bad rate is at most "ratio" times the
 * baseline's, and "floor".  _absolute(): it is at most "max"; the baseline is
 * not looked at.  _share(): the canary's share of requests is counts->share,
 * which must be given.  They return ln E.
 */
double ngx_http_gray_evidence_relative(ngx_http_gray_evidence_t *evidence,
    const ngx_http_gray_evidence_counts_t *counts, double ratio, double floor,
    ngx_uint_t moved);
double ngx_http_gray_evidence_absolute(ngx_http_gray_evidence_t *evidence,
    const ngx_http_gray_evidence_counts_t *counts, double max,
    ngx_uint_t moved);
double ngx_http_gray_evidence_share(ngx_http_gray_evidence_t *evidence,
    const ngx_http_gray_evidence_counts_t *counts, ngx_uint_t moved);

/* ln E, as of the last tick */
double ngx_http_gray_evidence_value(const ngx_http_gray_evidence_t *evidence);

/*
 * The ln of a likelihood ratio of one tick, against one alternative: "rho" is
 * the ratio of bad rates, "odds" that of odds.
 */
double ngx_http_gray_evidence_log_relative(
    const ngx_http_gray_evidence_counts_t *counts, double ratio, double floor,
    double rho);
double ngx_http_gray_evidence_log_absolute(
    const ngx_http_gray_evidence_counts_t *counts, double max, double odds);

/*
 * Information, in nats, that a tick adds: how much evidence a canary would have
 * given that is "detect" times as bad as it may be.  "rate" is the baseline's
 * bad rate so far.
 */
double ngx_http_gray_evidence_relative_info(
    const ngx_http_gray_evidence_counts_t *counts, double ratio, double floor,
    double detect, double rate);
double ngx_http_gray_evidence_absolute_info(
    const ngx_http_gray_evidence_counts_t *counts, double max, double detect);


#endif /* _NGX_HTTP_GRAY_EVIDENCE_H_INCLUDED_ */
