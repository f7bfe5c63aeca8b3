
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * How long a rollout takes whose canary is as good as the baseline: minutes
 * from its start to its success, by requests a second and by the part of them
 * that is bad, of both arms.  All is as it is by default, but for the steps,
 * which have no default, and latency, which asks for no evidence.
 */


#include <stdio.h>
#include <string.h>

#include "sim.h"


#define SIM_PACES    31         /* rollouts of a cell */
#define SIM_LONGEST  86400      /* s */


static void sim_pace_cell(double rate, double bad, char *text, size_t size);
static int sim_pace_compare(const void *one, const void *two);


static const double  sim_pace_rates[] = { 1, 2, 5, 10, 20, 50, 100, 500 };
static const double  sim_pace_bad[] = { 0, 0.0001, 0.0005, 0.001, 0.005, 0.01 };


void
sim_pace(void)
{
    char        text[64];
    ngx_uint_t  i, k;

    printf("| requests a second |");

    for (k = 0; k < sizeof(sim_pace_bad) / sizeof(double); k++) {
        printf(" %.4g%% |", 100 * sim_pace_bad[k]);
    }

    printf("\n|---|");

    for (k = 0; k < sizeof(sim_pace_bad) / sizeof(double); k++) {
        printf("---|");
    }

    printf("\n");

    for (i = 0; i < sizeof(sim_pace_rates) / sizeof(double); i++) {
        printf("| %.4g |", sim_pace_rates[i]);

        for (k = 0; k < sizeof(sim_pace_bad) / sizeof(double); k++) {
            sim_pace_cell(sim_pace_rates[i], sim_pace_bad[k], text,
                          sizeof(text));
            printf(" %s |", text);
        }

        printf("\n");
    }
}


/* the median, or, where most of them do not get to the end, how far they do */

static void
sim_pace_cell(double rate, double bad, char *text, size_t size)
{
    double        took[SIM_PACES], at[SIM_PACES];
    random_t      random;
    sim_row_t     row;
    sim_run_t     run;
    ngx_uint_t    k, n, stuck;
    sim_world_t  *world;

    static const double  ramp[] = { 5, 10, 20, 40, 60, 100 };

    memset(&random, 0, sizeof(random));
    memset(&row, 0, sizeof(row));

    row.name = "pace";
    row.rate = rate;
    row.phase[0].baseline = bad;
    row.phase[0].canary = bad;
    row.hold = 300;
    row.ratio = 1.25;
    row.floor = 0.0005;
    row.guards = 2;
    row.seconds = SIM_LONGEST;
    row.info = 16;

    memcpy(row.step, ramp, sizeof(ramp));

    world = malloc(sizeof(sim_world_t));

    if (world == NULL) {
        abort();
    }

    sim_open(world, &row, &random);

    world->max_hold = 3600;
    world->min_requests = 200;

    n = 0;
    stuck = 0;

    for (k = 0; k < SIM_PACES; k++) {
        random.seed = k + 1;
        random.seed = random_next(&random);

        sim_run(world, &run);

        if (run.promoted) {
            took[n++] = world->now;

        } else if (world->state.stage == NGX_HTTP_GRAY_STAGE_PAUSED) {
            at[stuck++] = world->plan.step[world->state.step].percent;
        }
    }

    if (n > SIM_PACES / 2) {
        qsort(took, n, sizeof(double), sim_pace_compare);
        (void) snprintf(text, size, "%.0f", took[n / 2] / 60);

    } else {
        qsort(at, stuck, sizeof(double), sim_pace_compare);
        (void) snprintf(text, size, "paused at %.0f%%", at[stuck / 2]);
    }

    sim_close(world);
    free(world);
}


static int
sim_pace_compare(const void *one, const void *two)
{
    double  a, b;

    a = *(const double *) one;
    b = *(const double *) two;

    return (a > b) - (a < b);
}
