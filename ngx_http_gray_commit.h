
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_COMMIT_H_INCLUDED_
#define _NGX_HTTP_GRAY_COMMIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_journals.h"
#include "ngx_http_gray_release.h"
#include "ngx_http_gray_task.h"


#define NGX_HTTP_GRAY_COMMIT_PATIENCE  100     /* ms, for another process, */
#define NGX_HTTP_GRAY_COMMIT_QUIET     500     /* ... where nobody waits; */
#define NGX_HTTP_GRAY_COMMIT_QUEUE     2000    /* ms, for others of this one */


/*
 * One document on its way to be the next revision of a release: under the
 * lock, by the journal where the zone has one, and then for all processes.  It
 * owns what it works on, so that who has asked for it may go.
 */

typedef struct ngx_http_gray_commit_s  ngx_http_gray_commit_t;

/*
 * NGX_OK; NGX_DECLINED: there is a newer revision already; NGX_AGAIN: another
 * process has held the lock for too long; NGX_BUSY: the document is longer
 * than the zone takes; NGX_ABORT: there is a newer nginx.conf, which this
 * process cannot judge by; NGX_ERROR: memory, or it cannot be made durable, as
 * commit->journal says.
 */
typedef void (*ngx_http_gray_commit_pt)(ngx_http_gray_commit_t *commit,
    ngx_int_t rc);

struct ngx_http_gray_commit_s {
    ngx_http_gray_release_t    *release;
    uint64_t                    word;       /* that it is built on */
    ngx_str_t                   text;       /* malloc()ed; with no data there
                                               is nothing new, and zone and
                                               journal become alike */
    ngx_http_gray_origin_e      origin;
    ngx_str_t                   author;     /* these three malloc()ed, or */
    ngx_str_t                   user;       /* with no data */
    ngx_str_t                   comment;

    /* asked under the lock of journals: is what it was judged by still so? */
    ngx_uint_t                (*holds)(ngx_http_gray_commit_t *commit);

    ngx_uint_t                  quiet;      /* unsigned  quiet:1; no client
                                               waits for it */
    ngx_http_gray_commit_pt     done;       /* NULL: nobody is interested */
    void                       *data;

    ngx_http_gray_journal_t     journal;

    ngx_msec_t                  since;      /* when it began to wait, if that
                                               was before; else 0 */

    /* of commit.c */

    ngx_http_gray_task_t        task;
    ngx_queue_t                 queue;
    ngx_msec_t                  tried;      /* when it waited first for another
                                               process, */
    ngx_msec_t                  patience;   /* and for how long it may */
    ngx_uint_t                  queued;     /* unsigned  queued:1; */
    ngx_uint_t                  locked;     /* unsigned  locked:1; */
    ngx_uint_t                  held;       /* unsigned  held:1; it was */
};


/* zeroed; NULL (memory) */
ngx_http_gray_commit_t *ngx_http_gray_commit_create(
    ngx_http_gray_release_t *release);

/* what done() is told, if that is known at once; else NGX_DONE */
ngx_int_t ngx_http_gray_commit_start(ngx_http_gray_commit_t *commit);

/* for who has held the lock of the journals: those that wait may go on */
void ngx_http_gray_commit_wake(ngx_http_gray_zone_t *zone);

/*
 * To be called in the end by who has created it: what was not begun is left,
 * and what was begun goes on without him.
 */
void ngx_http_gray_commit_leave(ngx_http_gray_commit_t *commit);


#endif /* _NGX_HTTP_GRAY_COMMIT_H_INCLUDED_ */
