
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * A crowd, for the guard of the split: users by their hashes, who are counted
 * by the module's own code, with its filter of keys.  Some are new, the others
 * have been there before: in this step, in an earlier one, or before there was
 * a rollout.  What is bad in a phase of the row is the part of the users of an
 * arm that never reach it.  With hang, every other request takes so long.
 */


#include <string.h>

#include "ngx_http_gray_trial.h"
#include "sim.h"


#define SIM_KNOWN   16384       /* users who may come back, the last ones */
#define SIM_FRESH   0.25        /* the part of requests that new ones make */
#define SIM_SLOW    0.5         /* and that of those that hang */

#define SIM_THIRD   (SIM_ALL / 5)
#define SIM_GIVES   1250        /* s, after which it has but half of that */


typedef struct {
    uint64_t                hash;
    uint64_t                revision;
    ngx_uint_t              arm;
} sim_visit_t;


typedef struct {
    ngx_uint_t              n;
    ngx_uint_t              size;
    sim_visit_t            *visit;
} sim_visits_t;


struct sim_crowd_s {
    ngx_http_gray_trial_t  *trial;
    sim_visits_t            hung[SIM_HANG + 1];  /* by when they end */
    ngx_uint_t              next;                /* user[] that is the oldest */
    uint64_t                user[SIM_KNOWN];
};


static void sim_crowd_visit(sim_world_t *world, uint64_t hash,
    const sim_phase_t *phase);
static void sim_crowd_hang(sim_world_t *world, const sim_visit_t *visit);
static void sim_crowd_ends(sim_world_t *world, const sim_visit_t *visit);


void
sim_crowd_open(sim_world_t *world)
{
    sim_crowd_t  *crowd;

    crowd = calloc(1, sizeof(sim_crowd_t));

    if (crowd == NULL) {
        abort();
    }

    crowd->trial = calloc(1, ngx_http_gray_trial_size(1, 1));

    if (crowd->trial == NULL) {
        abort();
    }

    world->crowd = crowd;
}


void
sim_crowd_close(sim_world_t *world)
{
    ngx_uint_t  i;

    for (i = 0; i <= SIM_HANG; i++) {
        free(world->crowd->hung[i].visit);
    }

    free(world->crowd->trial);
    free(world->crowd);
}


void
sim_crowd_begin(sim_world_t *world)
{
    ngx_uint_t    i;
    sim_crowd_t  *crowd;

    crowd = world->crowd;

    ngx_http_gray_trial_forget(crowd->trial);
    ngx_http_gray_trial_init(crowd->trial, 1, 1);

    for (i = 0; i < SIM_KNOWN; i++) {
        crowd->user[i] = random_next(world->random);
    }

    for (i = 0; i <= SIM_HANG; i++) {
        crowd->hung[i].n = 0;
    }

    crowd->next = 0;
}


/* what a tick has come to is what is counted by */

void
sim_crowd_steer(sim_world_t *world, const ngx_http_gray_outcomes_t *outcomes)
{
    if (outcomes->forget || sim_broken()->keys) {
        ngx_http_gray_trial_forget(world->crowd->trial);
    }

    ngx_http_gray_trial_write_locked(world->crowd->trial, &world->state,
                                     outcomes);
}


double
sim_crowd_filled(sim_world_t *world)
{
    return ngx_http_gray_trial_filled(world->crowd->trial);
}


uint32_t
sim_crowd_third(sim_world_t *world)
{
    if (world->row->users != SIM_CROWD_OF_THREE) {
        return 0;
    }

    return world->now < SIM_GIVES ? SIM_THIRD : SIM_THIRD / 2;
}


/* a second of it */

void
sim_crowd(sim_world_t *world, const sim_phase_t *phase)
{
    uint64_t       n;
    ngx_uint_t     i;
    sim_crowd_t   *crowd;
    sim_visits_t  *hung;

    crowd = world->crowd;
    hung = &crowd->hung[(ngx_uint_t) world->now % (SIM_HANG + 1)];

    for (i = 0; i < hung->n; i++) {
        sim_crowd_ends(world, &hung->visit[i]);
    }

    hung->n = 0;

    for (n = random_poisson(world->random, world->row->rate); n; n--) {
        i = random_next(world->random) % SIM_KNOWN;

        if (random_part(world->random) < SIM_FRESH) {
            i = crowd->next++ % SIM_KNOWN;
            crowd->user[i] = random_next(world->random);
        }

        sim_crowd_visit(world, crowd->user[i], phase);
    }

    ngx_http_gray_trial_sum(crowd->trial, NGX_HTTP_GRAY_TRIAL_BASELINE,
                            &world->sample[0]);
    ngx_http_gray_trial_sum(crowd->trial, NGX_HTTP_GRAY_TRIAL_CANARY,
                            &world->sample[1]);
}


/* buckets: the canary's, the baseline's, and those of a third variant */

static void
sim_crowd_visit(sim_world_t *world, uint64_t hash, const sim_phase_t *phase)
{
    double             lost;
    uint32_t           bucket;
    sim_visit_t        visit;
    unsigned __int128  product;

    product = hash;
    product *= SIM_ALL;
    bucket = (uint32_t) (product >> 64);

    visit.hash = hash;
    visit.revision = world->revision;
    visit.arm = bucket < world->weight
                ? NGX_HTTP_GRAY_TRIAL_CANARY
                : bucket < SIM_ALL - sim_crowd_third(world)
                ? NGX_HTTP_GRAY_TRIAL_BASELINE : NGX_HTTP_GRAY_TRIAL_OTHER;

    if (visit.arm == NGX_HTTP_GRAY_TRIAL_OTHER && sim_broken()->others) {
        return;
    }

    /* for good: low bits of the hash say nothing of the bucket */

    lost = visit.arm == NGX_HTTP_GRAY_TRIAL_CANARY ? phase->canary
                                                   : phase->baseline;

    if ((double) (hash & 0xffffff) < lost * 0x1000000) {
        return;
    }

    if (world->row->hang > 0 && random_part(world->random) < SIM_SLOW) {
        sim_crowd_hang(world, &visit);
        return;
    }

    sim_crowd_ends(world, &visit);
}


static void
sim_crowd_hang(sim_world_t *world, const sim_visit_t *visit)
{
    ngx_uint_t     end;
    sim_visits_t  *hung;

    end = (ngx_uint_t) (world->now + world->row->hang);
    hung = &world->crowd->hung[end % (SIM_HANG + 1)];

    if (hung->n == hung->size) {
        hung->size = 2 * hung->size + 16;
        hung->visit = realloc(hung->visit, hung->size * sizeof(sim_visit_t));

        if (hung->visit == NULL) {
            abort();
        }
    }

    hung->visit[hung->n++] = *visit;
}


static void
sim_crowd_ends(sim_world_t *world, const sim_visit_t *visit)
{
    ngx_http_gray_trial_request_t  request;

    request.arm = visit->arm;
    request.drawn = 1;
    request.revision = sim_broken()->late ? world->revision : visit->revision;
    request.code = NGX_HTTP_GRAY_2XX;
    request.header = 1;
    request.hash = visit->hash;

    ngx_http_gray_trial_count(world->crowd->trial, &world->plan, 0, &request);
}
