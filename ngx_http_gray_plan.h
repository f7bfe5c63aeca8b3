
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_PLAN_H_INCLUDED_
#define _NGX_HTTP_GRAY_PLAN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_json.h"
#include "ngx_http_gray_window.h"


/* of a plan, at most */
#define NGX_HTTP_GRAY_PLAN_STEPS      32
#define NGX_HTTP_GRAY_PLAN_GUARDS     8
#define NGX_HTTP_GRAY_PLAN_QUANTILES  4      /* of a guard */
#define NGX_HTTP_GRAY_PLAN_WATCHES    12     /* quantiles and other guards */
#define NGX_HTTP_GRAY_PLAN_WINDOWS    8
#define NGX_HTTP_GRAY_PLAN_HOOKS      4

#define NGX_HTTP_GRAY_PLAN_NAME       63     /* bytes */
#define NGX_HTTP_GRAY_PLAN_URL        255


/* what a guard looks at */

typedef enum {
    NGX_HTTP_GRAY_GUARD_RELATIVE = 0,   /* bad ones, against the baseline's */
    NGX_HTTP_GRAY_GUARD_ABSOLUTE,       /* bad ones, against a number */
    NGX_HTTP_GRAY_GUARD_LATENCY,        /* quantiles, against the baseline's */
    NGX_HTTP_GRAY_GUARD_SLOW,           /* slow ones, against a number */
    NGX_HTTP_GRAY_GUARD_SHARE           /* the split, against the weights */
} ngx_http_gray_guard_e;


/* what is to be done */

typedef enum {
    NGX_HTTP_GRAY_PLAN_PAUSE = 0,
    NGX_HTTP_GRAY_PLAN_ROLLBACK,
    NGX_HTTP_GRAY_PLAN_NEXT,
    NGX_HTTP_GRAY_PLAN_PROMOTE,
    NGX_HTTP_GRAY_PLAN_KEEP
} ngx_http_gray_plan_action_e;


/* what a hook is to be told of; in a mask, 1 << that */

typedef enum {
    NGX_HTTP_GRAY_HOOK_STARTED = 0,
    NGX_HTTP_GRAY_HOOK_STEP,
    NGX_HTTP_GRAY_HOOK_GATE,            /* one is waited at */
    NGX_HTTP_GRAY_HOOK_PAUSE,
    NGX_HTTP_GRAY_HOOK_RESUMED,
    NGX_HTTP_GRAY_HOOK_ROLLBACK,
    NGX_HTTP_GRAY_HOOK_ABORTED,
    NGX_HTTP_GRAY_HOOK_PROMOTED,        /* or kept, at the end */
    NGX_HTTP_GRAY_HOOKS
} ngx_http_gray_hook_e;

/* the names of these, with a NUL each */
extern ngx_str_t  ngx_http_gray_hooks[];


/*
 * A watch counts bad requests, in one way: a guard has one, and that of latency
 * one for each quantile.
 */

typedef struct {
    char                          name[NGX_HTTP_GRAY_PLAN_NAME + 1];
    ngx_http_gray_guard_e         kind;
    ngx_http_gray_plan_action_e   action;
    ngx_uint_t                    baseline_bad;  /* unsigned  baseline_bad:1;
                                                    pause, where it is, too */
    ngx_uint_t                    bad;           /* classes: 1 << of
                                                    ngx_http_gray_code_e */
    double                        max_ratio;
    double                        floor;
    double                        max;
    uint32_t                      min_delta;     /* ms */
    uint32_t                      slower;        /* ms */
    double                        quantile[NGX_HTTP_GRAY_PLAN_QUANTILES];

    ngx_uint_t                    watch;         /* the first, */
    ngx_uint_t                    watches;       /* and how many */
} ngx_http_gray_guard_t;


/* times are in ms */

typedef struct {
    double                        percent;
    uint32_t                      weight;        /* in buckets */
    ngx_uint_t                    gate;          /* unsigned  gate:1; to be
                                                    approved before */
    uint64_t                      hold;
    uint64_t                      max_hold;
    uint64_t                      warmup;
    uint64_t                      min_requests;
} ngx_http_gray_step_t;


typedef struct {
    char                          url[NGX_HTTP_GRAY_PLAN_URL + 1];
    ngx_uint_t                    on;            /* a mask of hooks */
} ngx_http_gray_plan_hook_t;


/* the member "rollout" of a document, as it is worked with: no pointers */

typedef struct {
    uint64_t                      id;            /* XXH64 of its text and its
                                                    variant's upstream: another
                                                    plan has another one */
    char                          variant[NGX_HTTP_GRAY_PLAN_NAME + 1];
    ngx_uint_t                    key;           /* unsigned  key:1; the unit */
    double                        alpha;         /* of all guards */
    double                        detect_ratio;
    double                        info_nats;

    ngx_http_gray_step_t          step[NGX_HTTP_GRAY_PLAN_STEPS];
    ngx_uint_t                    steps;

    ngx_http_gray_guard_t         guard[NGX_HTTP_GRAY_PLAN_GUARDS];
    ngx_uint_t                    guards;
    ngx_uint_t                    watches;       /* of all of them */
    ngx_uint_t                    bad;           /* likewise: classes */
    ngx_uint_t                    split;         /* unsigned  split:1; one
                                                    looks at the split */

    ngx_http_gray_window_t        window[NGX_HTTP_GRAY_PLAN_WINDOWS];
    ngx_uint_t                    windows;       /* 0: always open */

    ngx_http_gray_plan_hook_t     hook[NGX_HTTP_GRAY_PLAN_HOOKS];
    ngx_uint_t                    hooks;

    ngx_http_gray_plan_action_e   on_inconclusive;
    ngx_http_gray_plan_action_e   on_success;
    uint64_t                      cooldown;
} ngx_http_gray_plan_t;


/*
 * Reads the member "rollout" of a canonical document: judged before, with all
 * defaults filled in.  NGX_OK, or NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_plan_read(ngx_http_gray_plan_t *plan,
    const ngx_http_gray_json_t *rollout);

/* with another upstream of its variant, in "doc", it is another plan, too */
void ngx_http_gray_plan_bind(ngx_http_gray_plan_t *plan,
    const ngx_http_gray_json_t *doc);

/*
 * What a guard is, by the members that it has.  What has none, or such as do
 * not go together, is no guard, which is judged by ngx_http_gray_planning.c.
 */
ngx_http_gray_guard_e ngx_http_gray_plan_kind(
    const ngx_http_gray_json_t *guard);

/* "5xx", "499": its ngx_http_gray_code_e, or NGX_DECLINED */
ngx_int_t ngx_http_gray_plan_code(const ngx_str_t *text);

/* a name of ngx_http_gray_hooks: its place there, or NGX_DECLINED */
ngx_int_t ngx_http_gray_plan_hook(const ngx_str_t *text);

/* "500ms", "10s", "5m", "2h30m" in ms: NGX_OK, or NGX_DECLINED */
ngx_int_t ngx_http_gray_plan_time(const ngx_str_t *text, uint64_t *ms);


#endif /* _NGX_HTTP_GRAY_PLAN_H_INCLUDED_ */
