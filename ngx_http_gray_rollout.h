
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_ROLLOUT_H_INCLUDED_
#define _NGX_HTTP_GRAY_ROLLOUT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/*
 * An action on its way: done() is called once the state has changed, is kept in
 * the state directory, and the document has what is wished for.
 */

typedef struct ngx_http_gray_rollout_s  ngx_http_gray_rollout_t;

/*
 * NGX_OK; NGX_DECLINED: the state does not allow it, as rollout->refused says,
 * or it does not hold;
 * NGX_AGAIN: another process holds a lock for too long, nothing has changed;
 * NGX_ABORT: this is a worker of an nginx.conf that was replaced, likewise;
 * NGX_ERROR: the state has changed, but the document could not be, or it could
 * not be kept, and it is tried on: rollout->refused says which, and why.
 */
typedef void (*ngx_http_gray_rollout_pt)(ngx_http_gray_rollout_t *rollout,
    ngx_int_t rc);

struct ngx_http_gray_rollout_s {
    ngx_http_gray_release_t    *release;
    ngx_http_gray_command_e     command;
    char                        who[128];   /* for people, with a NUL */
    ngx_http_gray_rollout_pt    done;
    void                       *data;

    /* if not NULL: 0 where it is not for that revision of the document */
    ngx_uint_t                (*holds)(ngx_http_gray_rollout_t *rollout,
                                       uint64_t revision);

    char                        refused[NGX_HTTP_GRAY_STAGE_REASON];

    /* of rollout.c */

    ngx_int_t                 (*step)(ngx_http_gray_rollout_t *rollout);
    void                       *apply;
    ngx_event_t                 event;
    ngx_msec_t                  since;
    ngx_uint_t                  unkept;     /* unsigned  unkept:1; */
    ngx_int_t                   answer;     /* of what has ended at once, */
    ngx_uint_t                  inside;     /* unsigned  inside:1; while it
                                               may */
};


/* what done() is told, if that is known at once; else NGX_DONE */
ngx_int_t ngx_http_gray_rollout_start(ngx_http_gray_rollout_t *rollout);

/* who has started it is gone: what has begun goes on */
void ngx_http_gray_rollout_leave(ngx_http_gray_rollout_t *rollout);

/* in a worker that begins: where the zone is new, what was kept comes back */
void ngx_http_gray_rollout_init(ngx_http_gray_release_t *release,
    ngx_log_t *log);

/* one tick of a release, in the worker whose turn it is */
void ngx_http_gray_rollout_tick(ngx_http_gray_release_t *release,
    ngx_log_t *log);

/* one at once, if the document that this worker has changed has another plan */
void ngx_http_gray_rollout_replan(ngx_http_gray_release_t *release,
    ngx_log_t *log);


#endif /* _NGX_HTTP_GRAY_ROLLOUT_H_INCLUDED_ */
