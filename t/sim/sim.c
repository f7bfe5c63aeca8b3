
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * sim [--quick] [--jobs=N] [--break=NAME] [ROW...]
 * sim [--jobs=N] --pace
 *
 * Simulates the rows of rows.c, and prints what came of them: run by util/sim.
 * It exits with 1 where something that must be is not.  With --pace it prints
 * how long rollouts take.
 */


#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"


static ngx_uint_t sim_selected(const sim_row_t *row, ngx_uint_t quick,
    char **names);
static void sim_rows_of(sim_result_t *results, const ngx_uint_t *list,
    ngx_uint_t n, ngx_uint_t quick, ngx_uint_t *next);
static void sim_row(const sim_row_t *row, ngx_uint_t runs,
    sim_result_t *result);
static uint64_t sim_seed(const char *name);
static void sim_result(const sim_row_t *row, const sim_run_t *run,
    ngx_uint_t runs, sim_result_t *result);
static double sim_at(double *values, ngx_uint_t n, double q);
static int sim_compare(const void *one, const void *two);
static ngx_uint_t sim_wait(pid_t *pid, ngx_uint_t jobs);
static void sim_print(const sim_row_t *row, const sim_result_t *result);
static char *sim_ours(const sim_row_t *row, const sim_result_t *result);
static char *sim_must(const sim_row_t *row);
static void sim_rival(ngx_uint_t n, ngx_uint_t runs, double median,
    char *text);


int
main(int argc, char **argv)
{
    int            i;
    pid_t          pid[64];
    ngx_uint_t     quick, jobs, n, k, failed, *list, *next;
    sim_result_t  *results;

    quick = 0;
    jobs = 2;

    for (i = 1; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {

        if (strcmp(argv[i], "--quick") == 0) {
            quick = 1;

        } else if (strcmp(argv[i], "--pace") == 0) {
            sim_pace();
            return 0;

        } else if (strncmp(argv[i], "--jobs=", 7) == 0) {
            jobs = ngx_min(ngx_max(atoi(argv[i] + 7), 1), 64);

        } else if (strncmp(argv[i], "--break=", 8) != 0
                   || !sim_break(argv[i] + 8))
        {
            fprintf(stderr, "sim: %s?\n", argv[i]);
            return 2;
        }
    }

    list = malloc(sim_rows_n * sizeof(ngx_uint_t));
    results = mmap(NULL, (sim_rows_n + 1) * sizeof(sim_result_t),
                   PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (list == NULL || results == MAP_FAILED) {
        perror("sim");
        return 2;
    }

    next = (ngx_uint_t *) &results[sim_rows_n];
    n = 0;

    for (k = 0; k < sim_rows_n; k++) {
        if (sim_selected(&sim_rows[k], quick, argv + i)) {
            list[n++] = k;
        }
    }

    if (n == 0) {
        fprintf(stderr, "sim: there is no such row\n");
        return 2;
    }

    for (k = 0; k < jobs; k++) {
        pid[k] = fork();

        if (pid[k] == 0) {
            sim_rows_of(results, list, n, quick, next);
            _exit(0);
        }
    }

    failed = !sim_wait(pid, jobs);

    printf("| row | case | must | runs | ours | Flagger's rule | z-test |\n"
           "|---|---|---|---|---|---|---|\n");

    for (k = 0; k < n; k++) {
        sim_print(&sim_rows[list[k]], &results[list[k]]);
        failed |= results[list[k]].failed;
    }

    return failed ? 1 : 0;
}


static ngx_uint_t
sim_selected(const sim_row_t *row, ngx_uint_t quick, char **names)
{
    if (*names == NULL) {
        return !quick || row->quick;
    }

    while (*names) {
        if (strcmp(*names++, row->name) == 0) {
            return 1;
        }
    }

    return 0;
}


/* what a process does: it takes the next row until there is none */

static void
sim_rows_of(sim_result_t *results, const ngx_uint_t *list, ngx_uint_t n,
    ngx_uint_t quick, ngx_uint_t *next)
{
    ngx_uint_t        i, row, runs;
    struct timespec   begin, end;

    while ((i = __sync_fetch_and_add(next, 1)) < n) {
        row = list[i];
        runs = quick && sim_rows[row].quick ? sim_rows[row].quick
                                            : sim_rows[row].runs;

        clock_gettime(CLOCK_MONOTONIC, &begin);
        sim_row(&sim_rows[row], runs, &results[row]);
        clock_gettime(CLOCK_MONOTONIC, &end);

        results[row].took = (double) (end.tv_sec - begin.tv_sec)
                            + (double) (end.tv_nsec - begin.tv_nsec) / 1e9;
    }
}


/* a run depends on the name of its row and on its number alone */

static void
sim_row(const sim_row_t *row, ngx_uint_t runs, sim_result_t *result)
{
    random_t     *random;
    ngx_uint_t    k;
    sim_run_t    *run;
    sim_world_t  *world;

    random = calloc(1, sizeof(random_t));
    world = malloc(sizeof(sim_world_t));
    run = calloc(runs, sizeof(sim_run_t));

    if (random == NULL || world == NULL || run == NULL) {
        abort();
    }

    sim_open(world, row, random);

    for (k = 0; k < runs; k++) {
        random->seed = sim_seed(row->name) + k;
        random->seed = random_next(random);

        sim_run(world, &run[k]);
    }

    sim_result(row, run, runs, result);

    sim_close(world);
    free(run);
    free(world);
}


/* FNV-1a */

static uint64_t
sim_seed(const char *name)
{
    uint64_t  hash;

    for (hash = 14695981039346656037ULL; *name; name++) {
        hash = (hash ^ (u_char) *name) * 1099511628211ULL;
    }

    return hash;
}


static void
sim_result(const sim_row_t *row, const sim_run_t *run, ngx_uint_t runs,
    sim_result_t *result)
{
    double      *ours, *flagger, *peeking, *served;
    ngx_uint_t   k;

    ours = malloc(runs * 4 * sizeof(double));

    if (ours == NULL) {
        abort();
    }

    flagger = ours + runs;
    peeking = flagger + runs;
    served = peeking + runs;

    result->runs = runs;

    for (k = 0; k < runs; k++) {
        ours[k] = run[k].ours;
        flagger[k] = run[k].flagger;
        peeking[k] = run[k].peeking;
        served[k] = run[k].served;

        result->ours += (ours[k] != INFINITY);
        result->promoted += run[k].promoted;
        result->flagger += (flagger[k] != INFINITY);
        result->peeking += (peeking[k] != INFINITY);
    }

    result->median = sim_at(ours, runs, 0.5);
    result->p95 = sim_at(ours, runs, 0.95);
    result->served = sim_at(served, runs, 0.5);
    result->flagger_median = sim_at(flagger, runs, 0.5);
    result->peeking_median = sim_at(peeking, runs, 0.5);

    free(ours);

    if (row->most >= 0) {
        result->failed = ((double) (row->info > 0 ? result->promoted
                                                  : result->ours)
                          > row->most * (double) runs);
        return;
    }

    result->failed = (result->ours < runs
                      || result->median > row->median
                      || (row->p95 > 0 && result->p95 > row->p95)
                      || (row->served > 0 && result->served > row->served));
}


static double
sim_at(double *values, ngx_uint_t n, double q)
{
    qsort(values, n, sizeof(double), sim_compare);

    return values[(ngx_uint_t) ((double) (n - 1) * q + 0.5)];
}


static int
sim_compare(const void *one, const void *two)
{
    double  a, b;

    a = *(const double *) one;
    b = *(const double *) two;

    return (a > b) - (a < b);
}


static ngx_uint_t
sim_wait(pid_t *pid, ngx_uint_t jobs)
{
    int         status;
    ngx_uint_t  k, good;

    good = 1;

    for (k = 0; k < jobs; k++) {
        if (pid[k] == -1
            || waitpid(pid[k], &status, 0) != pid[k]
            || status != 0)
        {
            good = 0;
        }
    }

    return good;
}


static void
sim_print(const sim_row_t *row, const sim_result_t *result)
{
    char        *ours, *must, flagger[64], peeking[64];
    ngx_uint_t   ours_alone;

    ours = sim_ours(row, result);
    must = sim_must(row);

    /* rivals know no keys nor latency, and do not wait for what comes late */

    ours_alone = (row->users || row->times.slower > 0 || row->times.part > 0
                  || row->since > 0);

    sim_rival(result->flagger, result->runs, result->flagger_median, flagger);
    sim_rival(result->peeking, result->runs, result->peeking_median, peeking);

    printf("| `%s` | %s | %s | %lu | %s%s | %s | %s |\n", row->name, row->text,
           must, (unsigned long) result->runs, ours,
           result->failed ? " **missed**" : "",
           ours_alone ? "" : flagger, ours_alone ? "" : peeking);

    fprintf(stderr, "%s: %.1f s\n", row->name, result->took);

    free(ours);
    free(must);
}


static char *
sim_ours(const sim_row_t *row, const sim_result_t *result)
{
    int      n;
    char    *text;
    double   part;

    text = malloc(256);

    if (text == NULL) {
        abort();
    }

    part = 100 * (double) result->ours / (double) result->runs;

    if (row->info > 0) {
        (void) snprintf(text, 256, "%.2f%% promoted, %.2f%% rolled back",
                        100 * (double) result->promoted
                        / (double) result->runs, part);
        return text;
    }

    if (row->most >= 0) {
        (void) snprintf(text, 256, "%.2f%%", part);
        return text;
    }

    n = snprintf(text, 256, "%.2f%%, median %.0f s, p95 %.0f s", part,
                 result->median, result->p95);

    if (row->served > 0) {
        (void) snprintf(text + n, 256 - n, ", %.0f bad responses",
                        result->served);
    }

    return text;
}


static char *
sim_must(const sim_row_t *row)
{
    int      n;
    char    *text;

    text = malloc(256);

    if (text == NULL) {
        abort();
    }

    if (row->most >= 0) {
        (void) snprintf(text, 256, "at most %.1f%%%s", 100 * row->most,
                        row->info > 0 ? " promoted" : "");
        return text;
    }

    n = snprintf(text, 256, "all, median %.0f s", row->median);

    if (row->p95 > 0) {
        n += snprintf(text + n, 256 - n, ", p95 %.0f s", row->p95);
    }

    if (row->served > 0) {
        (void) snprintf(text + n, 256 - n, ", %.0f bad responses",
                        row->served);
    }

    return text;
}


static void
sim_rival(ngx_uint_t n, ngx_uint_t runs, double median, char *text)
{
    int  k;

    k = sprintf(text, "%.1f%%", 100 * (double) n / (double) runs);

    if (median != INFINITY) {
        (void) sprintf(text + k, ", median %.0f s", median);
    }
}
