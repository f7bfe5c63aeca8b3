
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * An engine that is broken, by --break=NAME, for t/sim.t to see that the rows
 * of the table would tell: functions of the module are replaced by these at
 * link time, and the world counts what it must not.
 *
 * floor      there is none
 * restart    all capital is put in at the first tick
 * threshold  a guard fires at a tenth of what it takes
 * late       what was decided in the step before counts in this one
 * keys       of a key all requests count; of a crowd, one each second
 * others     who comes to the baseline from a third variant is new
 * blind      what comes of the split is what was meant to
 * enough     evidence always suffices to go on
 */


#include <string.h>

#include "sim.h"


static sim_broken_t *sim_state(void);


double __real_ngx_http_gray_evidence_relative(
    ngx_http_gray_evidence_t *evidence,
    const ngx_http_gray_evidence_counts_t *counts, double ratio, double floor,
    ngx_uint_t moved);
double __wrap_ngx_http_gray_evidence_relative(
    ngx_http_gray_evidence_t *evidence,
    const ngx_http_gray_evidence_counts_t *counts, double ratio, double floor,
    ngx_uint_t moved);
double __real_ngx_http_gray_evidence_share(ngx_http_gray_evidence_t *evidence,
    const ngx_http_gray_evidence_counts_t *counts, ngx_uint_t moved);
double __wrap_ngx_http_gray_evidence_share(ngx_http_gray_evidence_t *evidence,
    const ngx_http_gray_evidence_counts_t *counts, ngx_uint_t moved);
void __real_ngx_http_gray_guards_tick(const ngx_http_gray_plan_t *plan,
    ngx_http_gray_guards_t *guards, const ngx_http_gray_guards_tick_t *tick,
    ngx_http_gray_guards_verdict_t *verdict);
void __wrap_ngx_http_gray_guards_tick(const ngx_http_gray_plan_t *plan,
    ngx_http_gray_guards_t *guards, const ngx_http_gray_guards_tick_t *tick,
    ngx_http_gray_guards_verdict_t *verdict);
ngx_uint_t __real_ngx_http_gray_guards_enough(
    const ngx_http_gray_plan_t *plan, const ngx_http_gray_guards_t *guards,
    double percent, double next);
ngx_uint_t __wrap_ngx_http_gray_guards_enough(
    const ngx_http_gray_plan_t *plan, const ngx_http_gray_guards_t *guards,
    double percent, double next);


double
__wrap_ngx_http_gray_evidence_relative(ngx_http_gray_evidence_t *evidence,
    const ngx_http_gray_evidence_counts_t *counts, double ratio, double floor,
    ngx_uint_t moved)
{
    if (sim_broken()->restart && evidence->ticks) {
        evidence->ticks = (uint64_t) 1 << 60;
        moved = 0;
    }

    return __real_ngx_http_gray_evidence_relative(evidence, counts, ratio,
                                           sim_broken()->floor ? 0 : floor,
                                           moved);
}


double
__wrap_ngx_http_gray_evidence_share(ngx_http_gray_evidence_t *evidence,
    const ngx_http_gray_evidence_counts_t *counts, ngx_uint_t moved)
{
    double                            n;
    ngx_http_gray_evidence_counts_t   seen;

    seen = *counts;
    n = counts->canary + counts->baseline;

    if (sim_broken()->blind && n > 0) {
        seen.share = counts->canary / n;
    }

    return __real_ngx_http_gray_evidence_share(evidence, &seen, moved);
}


void
__wrap_ngx_http_gray_guards_tick(const ngx_http_gray_plan_t *plan,
    ngx_http_gray_guards_t *guards, const ngx_http_gray_guards_tick_t *tick,
    ngx_http_gray_guards_verdict_t *verdict)
{
    ngx_http_gray_plan_t  eager;

    eager = *plan;

    if (sim_broken()->threshold) {
        eager.alpha *= 10;
    }

    __real_ngx_http_gray_guards_tick(&eager, guards, tick, verdict);
}


ngx_uint_t
__wrap_ngx_http_gray_guards_enough(const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_guards_t *guards, double percent, double next)
{
    return sim_broken()->enough
           || __real_ngx_http_gray_guards_enough(plan, guards, percent, next);
}


const sim_broken_t *
sim_broken(void)
{
    return sim_state();
}


ngx_uint_t
sim_break(const char *name)
{
    ngx_uint_t  i;

    const struct {
        const char  *name;
        ngx_uint_t  *broken;
    } names[] = {
        { "floor", &sim_state()->floor },
        { "restart", &sim_state()->restart },
        { "threshold", &sim_state()->threshold },
        { "late", &sim_state()->late },
        { "keys", &sim_state()->keys },
        { "others", &sim_state()->others },
        { "blind", &sim_state()->blind },
        { "enough", &sim_state()->enough }
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i].name) == 0) {
            *names[i].broken = 1;
            return 1;
        }
    }

    return 0;
}


static sim_broken_t *
sim_state(void)
{
    static sim_broken_t  broken;

    return &broken;
}
