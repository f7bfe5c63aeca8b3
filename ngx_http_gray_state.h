
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_STATE_H_INCLUDED_
#define _NGX_HTTP_GRAY_STATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_guards.h"


#define NGX_HTTP_GRAY_STAGE_REASON  NGX_HTTP_GRAY_GUARDS_TEXT
#define NGX_HTTP_GRAY_STAGE_EVENTS  4        /* of a step, at most */

/* buckets: all of them */
#define NGX_HTTP_GRAY_STAGE_ALL     1000000


typedef enum {
    NGX_HTTP_GRAY_STAGE_IDLE = 0,
    NGX_HTTP_GRAY_STAGE_SCHEDULED,
    NGX_HTTP_GRAY_STAGE_RUNNING,
    NGX_HTTP_GRAY_STAGE_PAUSED,
    NGX_HTTP_GRAY_STAGE_BAKING,
    NGX_HTTP_GRAY_STAGE_SUCCEEDED,
    NGX_HTTP_GRAY_STAGE_ROLLED_BACK,
    NGX_HTTP_GRAY_STAGE_ABORTED,
    NGX_HTTP_GRAY_STAGES
} ngx_http_gray_stage_e;


/* what a step waits for, once its hold is over */

typedef enum {
    NGX_HTTP_GRAY_WAITS_NOT = 0,
    NGX_HTTP_GRAY_WAITS_GATE,
    NGX_HTTP_GRAY_WAITS_WINDOW,
    NGX_HTTP_GRAY_WAITS_EVIDENCE,
    NGX_HTTP_GRAY_WAITS
} ngx_http_gray_waits_e;


/* why a state was left */

typedef enum {
    NGX_HTTP_GRAY_CAUSE_PLAN = 0,       /* as planned */
    NGX_HTTP_GRAY_CAUSE_OPERATOR,       /* an action of the API */
    NGX_HTTP_GRAY_CAUSE_GUARD,
    NGX_HTTP_GRAY_CAUSE_INCONCLUSIVE,   /* no evidence at max_hold */
    NGX_HTTP_GRAY_CAUSE_MANUAL,         /* the document was changed */
    NGX_HTTP_GRAY_CAUSE_FILTER,         /* too many keys */
    NGX_HTTP_GRAY_CAUSE_LOST,           /* the state was */
    NGX_HTTP_GRAY_CAUSES
} ngx_http_gray_cause_e;


typedef enum {
    NGX_HTTP_GRAY_STAGE_START = 0,
    NGX_HTTP_GRAY_STAGE_PAUSE,
    NGX_HTTP_GRAY_STAGE_RESUME,
    NGX_HTTP_GRAY_STAGE_APPROVE,
    NGX_HTTP_GRAY_STAGE_PROMOTE,
    NGX_HTTP_GRAY_STAGE_FULL,           /* straight to the last step */
    NGX_HTTP_GRAY_STAGE_ROLLBACK,
    NGX_HTTP_GRAY_STAGE_ABORT,
    NGX_HTTP_GRAY_STAGE_COMMANDS
} ngx_http_gray_command_e;


/* what the document is to become */

typedef enum {
    NGX_HTTP_GRAY_WISH_NONE = 0,
    NGX_HTTP_GRAY_WISH_WEIGHT,          /* state->weight for the variant */
    NGX_HTTP_GRAY_WISH_ROLLBACK,        /* 0 for it, in rules, too */
    NGX_HTTP_GRAY_WISH_PROMOTE          /* it is the baseline */
} ngx_http_gray_wish_e;


/* the names of these, with a NUL each; commands: FULL has none of its own */

extern ngx_str_t  ngx_http_gray_stages[];
extern ngx_str_t  ngx_http_gray_waits[];
extern ngx_str_t  ngx_http_gray_causes[];
extern ngx_str_t  ngx_http_gray_actions[];


/* a rollout between two ticks: no pointers, as it is kept in a file, too */

typedef struct {
    uint64_t                         plan;       /* its id */
    uint64_t                         serial;     /* moves with each change */
    char                             variant[NGX_HTTP_GRAY_PLAN_NAME + 1];

    uint32_t                         stage;
    uint32_t                         waits;
    uint32_t                         cause;      /* of the stage */
    uint32_t                         before;     /* a pause: the stage */

    uint32_t                         step;       /* from 0 */
    uint32_t                         approved;   /* step up to which gates are,
                                                    and 1; or 0 */
    uint32_t                         weight;     /* in buckets, as wished for */
    uint32_t                         wish;
    uint32_t                         old_weight; /* when the wish was made */
    uint32_t                         moved;      /* the weight: 1 when that is
                                                    seen, 2 a tick later */
    uint32_t                         cold;       /* ms that are left of the
                                                    warmup */
    uint32_t                         rest;       /* the baseline's weight */
    uint64_t                         wished;     /* revision, likewise */
    uint64_t                         from;       /* revision from which on a
                                                    decision is of the step */

    uint64_t                         tick;       /* ms; 0: none yet */
    uint64_t                         held;       /* ms of the step, or, rolled
                                                    back, of the cooldown */
    uint64_t                         requests;   /* the canary's in the step */
    int64_t                          started;    /* these are s of the epoch */
    int64_t                          since;      /* of the stage */
    int64_t                          entered;    /* of the step */

    ngx_http_gray_guards_t           guards;

    char                             reason[NGX_HTTP_GRAY_STAGE_REASON];
} ngx_http_gray_state_t;


/* what happened: hooks are told, and people */

typedef struct {
    uint64_t                         id;         /* from 1 on, set where it is
                                                    kept */
    int64_t                          time;       /* s of the epoch */
    uint32_t                         hook;       /* ngx_http_gray_hook_e */
    uint32_t                         from;       /* stages */
    uint32_t                         to;
    uint32_t                         cause;
    uint32_t                         step;
    uint32_t                         weight;     /* in buckets */

    /* where a guard fired; else no name */

    char                             guard[NGX_HTTP_GRAY_PLAN_NAME + 1];
    ngx_http_gray_seen_t             seen;
    double                           value;
    double                           limit;
    double                           evidence;   /* ln E */

    char                             reason[NGX_HTTP_GRAY_STAGE_REASON];
} ngx_http_gray_event_t;


/* the world at a tick, or at a command */

typedef struct {
    uint64_t                         now;        /* ms, of a clock that nobody
                                                    sets */
    int64_t                          time;       /* s of the epoch, for windows
                                                    and people */
    /* of the document in force */

    uint64_t                         revision;
    ngx_uint_t                       enabled;    /* unsigned  enabled:1; */
    ngx_uint_t                       gone;       /* unsigned  gone:1; it is not
                                                    what serves */
    ngx_uint_t                       promoted;   /* unsigned  promoted:1; the
                                                    variant is the baseline */
    uint32_t                         weight;     /* the variant's, in buckets */
    uint32_t                         rest;       /* the baseline's */
    ngx_uint_t                       spread;     /* unsigned  spread:1; a rule
                                                    has a weight for it */
    const char                      *testers;    /* rules that name it, for
                                                    people; "" where none */
    /* what was counted */

    const ngx_http_gray_sample_t    *canary;
    const ngx_http_gray_sample_t    *baseline;
    const uint64_t                  *times;      /* a histogram: of the
                                                    baseline, ever */
    double                           filled;     /* part of the filter's bits */
} ngx_http_gray_world_t;


typedef struct {
    ngx_uint_t                       events;
    ngx_http_gray_event_t            event[NGX_HTTP_GRAY_STAGE_EVENTS];
    ngx_uint_t                       forget;     /* unsigned  forget:1; clear
                                                    the filter of keys */
    char                             refused[NGX_HTTP_GRAY_STAGE_REASON];
} ngx_http_gray_outcomes_t;


#endif /* _NGX_HTTP_GRAY_STATE_H_INCLUDED_ */
