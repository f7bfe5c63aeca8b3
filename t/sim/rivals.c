
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * What others do, on traffic of the same kind.
 *
 * Flagger, with the numbers of its own examples: each 60 s of a step the rate
 * of success of the canary must be 99% at least; 5 times that it is not, or
 * that there was no traffic, over the whole rollout, and it is rolled back.
 * Each time that it is, the weight becomes 5 more, up to 50, and then it is
 * promoted.
 *
 * Peeking: a z-test of two proportions, one-sided at 1%, of all that was seen
 * since the beginning, after every second.
 */


#include "sim.h"


#define FLAGGER_SECONDS    60
#define FLAGGER_SUCCESS    0.99
#define FLAGGER_FAILURES   5
#define FLAGGER_STEP       5
#define FLAGGER_MOST       50

#define PEEK_Z             2.326


double
sim_flagger(const sim_row_t *row, random_t *random)
{
    double              now, weight, failed, rate;
    uint64_t            bad, good;
    const sim_phase_t  *phase;

    failed = 0;
    weight = FLAGGER_STEP;

    for (now = 0; weight <= FLAGGER_MOST; now += FLAGGER_SECONDS) {
        phase = sim_phase(row, now);
        rate = row->rate * FLAGGER_SECONDS * weight / 100;

        bad = random_poisson(random, rate * phase->canary);
        good = random_poisson(random, rate * (1 - phase->canary));

        if ((double) good < FLAGGER_SUCCESS * (double) (good + bad)
            || good + bad == 0)
        {
            if (++failed == FLAGGER_FAILURES) {
                return now + FLAGGER_SECONDS - row->since;
            }

            continue;
        }

        weight += FLAGGER_STEP;
    }

    return INFINITY;
}


ngx_uint_t
sim_peek(const ngx_http_gray_sample_t *canary,
    const ngx_http_gray_sample_t *baseline)
{
    double  n, m, x, y, p;

    n = (double) canary->step;
    m = (double) baseline->step;
    x = (double) canary->bad[0];
    y = (double) baseline->bad[0];

    if (n == 0 || m == 0 || x + y == 0) {
        return 0;
    }

    p = (x + y) / (n + m);

    return x / n - y / m > PEEK_Z * sqrt(p * (1 - p) * (1 / n + 1 / m));
}
