
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Evidence that may be looked at after every tick.
 *
 * A tick gives, for each of eight alternatives to the null hypothesis, a
 * likelihood ratio LR_k.  Capital of 1 in all is put on these, a part pi_t / 8
 * on each at tick t, and from then on it grows and shrinks with LR_k:
 *
 *     M_k = (M_k + pi_t / 8) * LR_k,    U = U - pi_t,    E = U + sum of M_k.
 *
 * Where LR_k has an expectation of 1 at most under the null hypothesis, given
 * all that was before, E is a nonnegative supermartingale that begins at 1, and
 * by Ville's inequality the chance that it is ever 1 / alpha or more is at most
 * alpha.  It does not matter how often it is looked at, when one stops, or how
 * rates, weights and traffic go up and down meanwhile.  As pi_t is never 0, the
 * test is begun anew at each tick: what went well for an hour does not hide
 * what goes wrong then.
 *
 *     pi_t = 0.3 at the first tick, + 0.3 / (j * (j + 1)) at the j-th change of
 *            weight, + 0.4 * (600 / (t + 600) - 600 / (t + 601))
 *
 * sums up to 1.  U is worked out from the parts of the sum that are left, so
 * that it is never negative, and does not drift.
 *
 * Relative: of n_c and n_s requests x_c and x_s are bad.  The null hypothesis
 * is that of the canary's at most r * p + floor are, where p is the baseline's
 * rate of that tick, whatever it is.  With w = n_c / (n_c + n_s), with an
 * alternative rho = r * g, and with d(r) = w * r + 1 - w, a bad request is the
 * canary's with a chance of w * r / d(r), or of w * rho / d(rho), so that
 *
 *     b = d(r) / d(rho),    a = g * b,
 *     LR = a^x_c * b^x_s * exp(-floor * n_c * (a - 1)).
 *
 * As E(a^x) <= exp(n * p * (a - 1)), the expectation of LR is at most exp() of
 *
 *     p * (n_c * r * (a - 1) + n_s * (b - 1))
 *         + floor * n_c * (a - 1) - floor * n_c * (a - 1),
 *
 * which is 0, since n_c * r * (a - 1) = n_s * (1 - b).  For b < 1 < a it is
 * less where the canary is better than that.
 *
 * Absolute, and share: with odds g times those of p0
 *
 *     p1 / p0 = g / c,    (1 - p1) / (1 - p0) = 1 / c,    c = 1 + (g - 1) * p0,
 *
 * so that LR = g^x / c^n, in which nothing is divided by 0 nor is the logarithm
 * of 0 taken, whatever p0 is.  Its expectation is ((1 - p + g * p) / c)^n; that
 * is 1 at p = p0, and less below for g > 1.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <math.h>

#include "ngx_http_gray_evidence.h"


#define NGX_HTTP_GRAY_EVIDENCE_FIRST  0.3
#define NGX_HTTP_GRAY_EVIDENCE_MOVES  0.3
#define NGX_HTTP_GRAY_EVIDENCE_TICKS  0.4

/* ticks after which half of what is for ticks was put in */
#define NGX_HTTP_GRAY_EVIDENCE_HALF   600.0


static double ngx_http_gray_evidence_tick(ngx_http_gray_evidence_t *evidence,
    const double *ratios, ngx_uint_t moved);
static double ngx_http_gray_evidence_put(ngx_http_gray_evidence_t *evidence,
    ngx_uint_t moved);
static void ngx_http_gray_evidence_scale(ngx_http_gray_evidence_t *evidence);
static double ngx_http_gray_evidence_odds(double n, double x, double p,
    double odds);
static double ngx_http_gray_evidence_log_b(
    const ngx_http_gray_evidence_counts_t *counts, double ratio, double rho);
static ngx_uint_t ngx_http_gray_evidence_compares(
    const ngx_http_gray_evidence_counts_t *counts);


/* times as bad as may be: from what needs long to what takes a second */

static const double
    ngx_http_gray_evidence_worse[NGX_HTTP_GRAY_EVIDENCE_RATIOS] = {
    1.25, 1.5, 2, 3, 5, 8, 16, 50
};


/*
 * Odds of a share.  To either side, as a canary that is shunned, or whose
 * requests vanish, is as wrong as one that is flooded.  Where u is the
 * logarithm of the odds over that of the true ones, evidence grows at
 * 2 * u - u * u of the pace of the best alternative: from 1.1 to 2 one of these
 * has over 83% of it, and what is worse takes seconds by the last.  Less than
 * 1.1 would take hours to see, and harms nobody.
 */

static const double
    ngx_http_gray_evidence_shares[NGX_HTTP_GRAY_EVIDENCE_RATIOS] = {
    1 / 2.0, 1 / 1.5, 1 / 1.25, 1 / 1.1, 1.1, 1.25, 1.5, 2
};


void
ngx_http_gray_evidence_init(ngx_http_gray_evidence_t *evidence)
{
    ngx_memzero(evidence, sizeof(ngx_http_gray_evidence_t));

    evidence->rest = 1;
}


double
ngx_http_gray_evidence_relative(ngx_http_gray_evidence_t *evidence,
    const ngx_http_gray_evidence_counts_t *counts, double ratio, double floor,
    ngx_uint_t moved)
{
    double      ratios[NGX_HTTP_GRAY_EVIDENCE_RATIOS];
    ngx_uint_t  k;

    for (k = 0; k < NGX_HTTP_GRAY_EVIDENCE_RATIOS; k++) {
        ratios[k] = ngx_http_gray_evidence_log_relative(counts, ratio, floor,
                                       ratio * ngx_http_gray_evidence_worse[k]);
    }

    return ngx_http_gray_evidence_tick(evidence, ratios, moved);
}


double
ngx_http_gray_evidence_absolute(ngx_http_gray_evidence_t *evidence,
    const ngx_http_gray_evidence_counts_t *counts, double max,
    ngx_uint_t moved)
{
    double      ratios[NGX_HTTP_GRAY_EVIDENCE_RATIOS];
    ngx_uint_t  k;

    for (k = 0; k < NGX_HTTP_GRAY_EVIDENCE_RATIOS; k++) {
        ratios[k] = ngx_http_gray_evidence_log_absolute(counts, max,
                                               ngx_http_gray_evidence_worse[k]);
    }

    return ngx_http_gray_evidence_tick(evidence, ratios, moved);
}


double
ngx_http_gray_evidence_share(ngx_http_gray_evidence_t *evidence,
    const ngx_http_gray_evidence_counts_t *counts, ngx_uint_t moved)
{
    double      ratios[NGX_HTTP_GRAY_EVIDENCE_RATIOS];
    ngx_uint_t  k;

    for (k = 0; k < NGX_HTTP_GRAY_EVIDENCE_RATIOS; k++) {
        ratios[k] = ngx_http_gray_evidence_odds(
                                           counts->canary + counts->baseline,
                                           counts->canary, counts->share,
                                           ngx_http_gray_evidence_shares[k]);
    }

    return ngx_http_gray_evidence_tick(evidence, ratios, moved);
}


static double
ngx_http_gray_evidence_tick(ngx_http_gray_evidence_t *evidence,
    const double *ratios, ngx_uint_t moved)
{
    double      put, top;
    ngx_uint_t  k;

    put = ngx_http_gray_evidence_put(evidence, moved)
          / NGX_HTTP_GRAY_EVIDENCE_RATIOS * exp(-evidence->scale);

    top = ratios[0];

    for (k = 1; k < NGX_HTTP_GRAY_EVIDENCE_RATIOS; k++) {
        top = ngx_max(top, ratios[k]);
    }

    for (k = 0; k < NGX_HTTP_GRAY_EVIDENCE_RATIOS; k++) {
        evidence->m[k] = (evidence->m[k] + put) * exp(ratios[k] - top);
    }

    evidence->scale += top;

    ngx_http_gray_evidence_scale(evidence);

    return ngx_http_gray_evidence_value(evidence);
}


/* the part of the capital that is put in at this tick */

static double
ngx_http_gray_evidence_put(ngx_http_gray_evidence_t *evidence,
    ngx_uint_t moved)
{
    double  put, t, j;

    t = (double) evidence->ticks + NGX_HTTP_GRAY_EVIDENCE_HALF;

    put = NGX_HTTP_GRAY_EVIDENCE_TICKS * NGX_HTTP_GRAY_EVIDENCE_HALF
          / (t * (t + 1));

    if (evidence->ticks == 0) {
        put += NGX_HTTP_GRAY_EVIDENCE_FIRST;
    }

    evidence->ticks++;

    if (moved) {
        evidence->moves++;

        j = (double) evidence->moves;
        put += NGX_HTTP_GRAY_EVIDENCE_MOVES / (j * (j + 1));
    }

    evidence->rest = NGX_HTTP_GRAY_EVIDENCE_TICKS * NGX_HTTP_GRAY_EVIDENCE_HALF
                     / (t + 1)
                     + NGX_HTTP_GRAY_EVIDENCE_MOVES
                       / ((double) evidence->moves + 1);

    return put;
}


/*
 * Keeps the largest m at 1, or less where scale is 0: with one of less than 0
 * what is put in would overflow.  What is lost at the small end is less than
 * a part in e^700 of E.
 */

static void
ngx_http_gray_evidence_scale(ngx_http_gray_evidence_t *evidence)
{
    double      top, by;
    ngx_uint_t  k;

    top = 0;

    for (k = 0; k < NGX_HTTP_GRAY_EVIDENCE_RATIOS; k++) {
        top = ngx_max(top, evidence->m[k]);
    }

    if (top == 0) {
        evidence->scale = 0;
        return;
    }

    by = ngx_max(log(top), -evidence->scale);

    /* exp() of more than that is no number; the rest comes with a next tick */

    by = ngx_max(by, -700);

    if (by == 0) {
        return;
    }

    for (k = 0; k < NGX_HTTP_GRAY_EVIDENCE_RATIOS; k++) {
        evidence->m[k] *= exp(-by);
    }

    evidence->scale += by;
}


double
ngx_http_gray_evidence_value(const ngx_http_gray_evidence_t *evidence)
{
    double      sum;
    ngx_uint_t  k;

    sum = evidence->rest * exp(-evidence->scale);

    for (k = 0; k < NGX_HTTP_GRAY_EVIDENCE_RATIOS; k++) {
        sum += evidence->m[k];
    }

    return log(sum) + evidence->scale;
}


double
ngx_http_gray_evidence_log_relative(
    const ngx_http_gray_evidence_counts_t *counts, double ratio, double floor,
    double rho)
{
    double  log_a, log_b;

    if (!ngx_http_gray_evidence_compares(counts)) {
        return 0;
    }

    log_b = ngx_http_gray_evidence_log_b(counts, ratio, rho);
    log_a = log(rho / ratio) + log_b;

    return counts->bad_canary * log_a + counts->bad_baseline * log_b
           - floor * counts->canary * expm1(log_a);
}


double
ngx_http_gray_evidence_log_absolute(
    const ngx_http_gray_evidence_counts_t *counts, double max, double odds)
{
    return ngx_http_gray_evidence_odds(counts->canary, counts->bad_canary, max,
                                       odds);
}


/* x of n, where a part of p is expected, against odds so many times as large */

static double
ngx_http_gray_evidence_odds(double n, double x, double p, double odds)
{
    n = ngx_max(n, x);
    p = ngx_min(ngx_max(p, 0), 1);

    return x * log(odds) - n * log1p((odds - 1) * p);
}


double
ngx_http_gray_evidence_relative_info(
    const ngx_http_gray_evidence_counts_t *counts, double ratio, double floor,
    double detect, double rate)
{
    double  log_a, log_b;

    if (!ngx_http_gray_evidence_compares(counts)) {
        return 0;
    }

    log_b = ngx_http_gray_evidence_log_b(counts, ratio, detect * ratio);
    log_a = log(detect) + log_b;

    return counts->canary * detect * (ratio * rate + floor) * log_a
           + counts->bad_baseline * log_b
           - floor * counts->canary * expm1(log_a);
}


/* ln b; ln a is ln g more, and neither has a pole for shares from 0 to 1 */

static double
ngx_http_gray_evidence_log_b(const ngx_http_gray_evidence_counts_t *counts,
    double ratio, double rho)
{
    double  w;

    w = counts->share;

    if (w < 0) {
        w = counts->canary / (counts->canary + counts->baseline);
    }

    w = ngx_min(w, 1);

    return log((w * ratio + (1 - w)) / (w * rho + (1 - w)));
}


/* with one arm alone there is nothing to be said of a ratio */

static ngx_uint_t
ngx_http_gray_evidence_compares(const ngx_http_gray_evidence_counts_t *counts)
{
    return counts->canary > 0 && counts->baseline > 0;
}


double
ngx_http_gray_evidence_absolute_info(
    const ngx_http_gray_evidence_counts_t *counts, double max, double detect)
{
    double  c, p;

    p = ngx_min(ngx_max(max, 0), 1);
    c = 1 + (detect - 1) * p;

    return counts->canary * (detect * p / c * log(detect) - log(c));
}
