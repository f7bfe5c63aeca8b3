
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_TRIAL_H_INCLUDED_
#define _NGX_HTTP_GRAY_TRIAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_stage.h"
#include "ngx_http_gray_tally.h"


#define NGX_HTTP_GRAY_TRIAL_EVENTS   16      /* the last ones are kept */
#define NGX_HTTP_GRAY_TRIAL_FILTER   131072  /* bytes */


/*
 * Arms: of a variant, 0 where it is neither.  Where the split is looked at, it
 * matters who else is there: one who comes to the baseline from a variant that
 * gives up weight is not new.
 */

#define NGX_HTTP_GRAY_TRIAL_BASELINE  1
#define NGX_HTTP_GRAY_TRIAL_CANARY    2
#define NGX_HTTP_GRAY_TRIAL_OTHER     3


/*
 * The rollout of a release in shared memory: its state, what happened last,
 * what guards count, and the filter of keys.  No pointers, only sizes.
 */

typedef struct ngx_http_gray_trial_s  ngx_http_gray_trial_t;


/* a copy of all that is to be kept: what it was, and what has happened */

typedef struct {
    ngx_http_gray_state_t            state;
    uint64_t                         events;     /* ever: the id of the last */
    ngx_http_gray_event_t            event[NGX_HTTP_GRAY_TRIAL_EVENTS];
                                                 /* by id % that */
    uint64_t                         told[NGX_HTTP_GRAY_PLAN_HOOKS];
                                                 /* ids, of each hook */
    uint64_t                         transitions[NGX_HTTP_GRAY_STAGES]
                                                [NGX_HTTP_GRAY_CAUSES];
} ngx_http_gray_trial_record_t;


/* what a request that ends is to the trial */

typedef struct {
    ngx_uint_t                       arm;
    ngx_uint_t                       drawn;      /* by weight or chance */
    uint64_t                         revision;   /* by which it was decided */
    ngx_uint_t                       code;       /* ngx_http_gray_code_e */
    ngx_msec_t                       header;     /* ms, or -1 */
    uint64_t                         hash;       /* of the key, or 0 */
} ngx_http_gray_trial_request_t;


/* bytes, for so many workers, as they are declared */
size_t ngx_http_gray_trial_size(ngx_uint_t workers, ngx_uint_t filter);

/* of memory of that size */
void ngx_http_gray_trial_init(ngx_http_gray_trial_t *trial,
    ngx_uint_t workers, ngx_uint_t filter);

/*
 * The record, as a whole, without a lock.  _write_locked() with the zone's
 * lock: then "events" are added, if there are any, with ids.
 */
void ngx_http_gray_trial_read(ngx_http_gray_trial_t *trial,
    ngx_http_gray_state_t *state);
void ngx_http_gray_trial_record(ngx_http_gray_trial_t *trial,
    ngx_http_gray_trial_record_t *record);
void ngx_http_gray_trial_write_locked(ngx_http_gray_trial_t *trial,
    const ngx_http_gray_state_t *state,
    const ngx_http_gray_outcomes_t *outcomes);

/* what was kept elsewhere comes back: from a file, or another zone */
void ngx_http_gray_trial_restore_locked(ngx_http_gray_trial_t *trial,
    const ngx_http_gray_trial_record_t *record);

/* hook number "i" was told of the event, and those before */
void ngx_http_gray_trial_told(ngx_http_gray_trial_t *trial, ngx_uint_t i,
    uint64_t id);

/* moves with each state; 0 where none was ever written */
uint64_t ngx_http_gray_trial_word(ngx_http_gray_trial_t *trial);

/* has anything happened, ever? */
ngx_uint_t ngx_http_gray_trial_begun(ngx_http_gray_trial_t *trial);

/* sums of all workers, ever: by arm */
void ngx_http_gray_trial_sum(ngx_http_gray_trial_t *trial, ngx_uint_t arm,
    ngx_http_gray_sample_t *sample);

/*
 * The filter of keys: the part of its bits that is set, or -1 where there is
 * none; and a new one.
 */
double ngx_http_gray_trial_filled(ngx_http_gray_trial_t *trial);
void ngx_http_gray_trial_forget(ngx_http_gray_trial_t *trial);

/* counts a request, of worker number "worker" */
void ngx_http_gray_trial_count(ngx_http_gray_trial_t *trial,
    const ngx_http_gray_plan_t *plan, ngx_uint_t worker,
    const ngx_http_gray_trial_request_t *request);


#endif /* _NGX_HTTP_GRAY_TRIAL_H_INCLUDED_ */
