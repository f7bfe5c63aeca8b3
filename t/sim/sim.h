
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _SIM_H_INCLUDED_
#define _SIM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <math.h>

#include "ngx_http_gray_stage.h"
#include "random.h"


#define SIM_STEPS     8
#define SIM_PHASES    4
#define SIM_HANG      60        /* s, the longest */
#define SIM_VALUES    40000     /* ms */
#define SIM_ALL       NGX_HTTP_GRAY_STAGE_ALL


/* users: none, each request by itself; or keys */

enum {
    SIM_STICKY = 1,             /* of 1 to 100 requests, and errors */
    SIM_CROWD,                  /* who come back; the split is watched */
    SIM_CROWD_OF_THREE          /* with a third variant, whose weight is set */
};


/* from a second on: the part of requests that are bad */

typedef struct {
    double       from;
    double       baseline;
    double       canary;
} sim_phase_t;


/* times to the header in ms: log-normal, or none where the median is 0 */

typedef struct {
    double       median;
    double       sigma;
    double       slower;        /* the canary: so many times as slow, */
    double       part;          /* and this part of its requests */
    double       by;            /* by so many ms more */
} sim_times_t;


typedef struct {
    const char  *name;
    const char  *text;

    /* traffic */

    double       rate;          /* requests a second */
    sim_phase_t  phase[SIM_PHASES];
    double       hang;          /* s that it takes for a request to be bad */
    ngx_uint_t   users;         /* SIM_STICKY ... */
    sim_times_t  times;

    /* the plan */

    double       step[SIM_STEPS];
    double       hold;          /* s; 0: for ever */
    double       ratio;
    double       floor;
    ngx_uint_t   guards;        /* 2: of errors; 3: latency, too */

    /* what is looked for */

    ngx_uint_t   runs;
    ngx_uint_t   quick;         /* runs of --quick, 0: not there */
    double       seconds;       /* of a run at most */

    double       most;          /* a part of runs that may be rolled back, or,
                                   with info, promoted; -1: all must be rolled
                                   back, since this second; with a crowd read
                                   paused for rolled back: */
    double       since;
    double       median;        /* s at most */
    double       p95;           /* s, likewise, or 0 */
    double       served;        /* the median of bad responses, or 0 */

    double       info;          /* nats that a step asks for */
} sim_row_t;


typedef struct {
    ngx_uint_t   runs;
    ngx_uint_t   ours;          /* rolled back */
    ngx_uint_t   promoted;
    ngx_uint_t   flagger;
    ngx_uint_t   peeking;
    double       median;        /* s; the rest is of ours */
    double       p95;
    double       served;
    double       flagger_median;
    double       peeking_median;
    ngx_uint_t   failed;        /* unsigned  failed:1; a "must" is not met */
    double       took;          /* s */
} sim_result_t;


/* what was there to be seen */

typedef struct {
    double       ours;          /* s since row->since, or INFINITY */
    double       flagger;
    double       peeking;
    double       served;        /* bad responses of the canary */
    ngx_uint_t   promoted;      /* unsigned  promoted:1; */
} sim_run_t;


/* what the engine is broken by, see broken.c; all are 0 here */

typedef struct {
    ngx_uint_t   floor;
    ngx_uint_t   restart;
    ngx_uint_t   threshold;
    ngx_uint_t   late;
    ngx_uint_t   keys;
    ngx_uint_t   others;
    ngx_uint_t   blind;
    ngx_uint_t   enough;
} sim_broken_t;


typedef struct sim_users_s  sim_users_t;
typedef struct sim_crowd_s  sim_crowd_t;


/* arms: 0 the baseline, 1 the canary */

typedef struct {
    const sim_row_t         *row;
    random_t                *random;

    ngx_http_gray_plan_t     plan;
    ngx_http_gray_state_t    state;
    ngx_http_gray_sample_t   sample[2];
    uint64_t                 times[NGX_HTTP_GRAY_HISTOGRAM];

    uint32_t                 weight;
    uint64_t                 revision;
    double                   now;           /* s */

    /* requests that hang, by the second in which they end */

    uint64_t                 hung[SIM_HANG][2];
    uint64_t                 by[SIM_HANG];  /* revision */

    /* s, and requests, of each step; 0: none are asked for */

    double                   max_hold;
    uint64_t                 min_requests;

    double                   part[2][NGX_HTTP_GRAY_HISTOGRAM];
    sim_users_t             *users;
    sim_crowd_t             *crowd;         /* or NULL */
} sim_world_t;


extern const sim_row_t   sim_rows[];
extern const ngx_uint_t  sim_rows_n;


/* what was said by sim_break(), which tells whether it knows the name */
const sim_broken_t *sim_broken(void);
ngx_uint_t sim_break(const char *name);

/* a world of a row, and rollouts in it, one after another */
void sim_open(sim_world_t *world, const sim_row_t *row, random_t *random);
void sim_run(sim_world_t *world, sim_run_t *run);
void sim_close(sim_world_t *world);

/* the crowd of a world: crowd.c */
void sim_crowd_open(sim_world_t *world);
void sim_crowd_close(sim_world_t *world);
void sim_crowd_begin(sim_world_t *world);
void sim_crowd_steer(sim_world_t *world,
    const ngx_http_gray_outcomes_t *outcomes);
double sim_crowd_filled(sim_world_t *world);
uint32_t sim_crowd_third(sim_world_t *world);
void sim_crowd(sim_world_t *world, const sim_phase_t *phase);

/* prints how long rollouts take */
void sim_pace(void);

const sim_phase_t *sim_phase(const sim_row_t *row, double now);

/* s until Flagger's rule rolls back, or INFINITY */
double sim_flagger(const sim_row_t *row, random_t *random);

/* would a z-test say that the canary is worse, at 1%? */
ngx_uint_t sim_peek(const ngx_http_gray_sample_t *canary,
    const ngx_http_gray_sample_t *baseline);


#endif /* _SIM_H_INCLUDED_ */
