
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_HISTORY_H_INCLUDED_
#define _NGX_HTTP_GRAY_HISTORY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"
#include "ngx_http_gray_task.h"


/*
 * Who waits to read journals of a zone, in this process.  Lists, which take
 * long, do not hold up those that are after a single revision.
 */

#define NGX_HTTP_GRAY_HISTORY_GATES  2

typedef struct {
    ngx_queue_t                 waiting;
    ngx_uint_t                  admitted;
} ngx_http_gray_history_gate_t;


/*
 * A look into the journal of a release, by a thread.  It owns what it works
 * on, so that who has asked for it may go.
 */

typedef struct ngx_http_gray_history_s  ngx_http_gray_history_t;

typedef void (*ngx_http_gray_history_pt)(ngx_http_gray_history_t *history);

struct ngx_http_gray_history_s {
    uint64_t                       revision;   /* 0: all of them */

    ngx_http_gray_history_pt       done;       /* NULL: nobody waits */
    void                          *data;

    /*
     * NGX_OK; NGX_DECLINED: no such revision; NGX_BUSY: it cannot be read now;
     * NGX_ERROR: memory
     */
    ngx_int_t                      rc;

    /* of history.c */

    ngx_uint_t                     kind;
    ngx_http_gray_history_gate_t  *gate;
    ngx_http_gray_block_t         *block;
    ngx_uint_t                     most;       /* that are shown */
    void                          *threads;
    ngx_http_gray_task_t           task;
    ngx_queue_t                    queue;
    ngx_uint_t                     queued;     /* unsigned  queued:1; */
    ngx_uint_t                     admitted;   /* unsigned  admitted:1; */
    ngx_err_t                      err;
    const char                    *why;        /* of NGX_BUSY; NULL: "err" */

    uint64_t                       word;       /* what is in force */
    ngx_uint_t                     above;      /* records that are not, */
    ngx_uint_t                     shown;      /* ... and that are */
    uint64_t                       oldest;
    uint64_t                       newest;

    ngx_str_t                      text;
    size_t                         mapped;

    ngx_str_t                      name;
    u_char                         buffer[NGX_HTTP_GRAY_NAME];
    char                           path[NGX_MAX_PATH];
};


/* once nginx reads its configuration: NGX_OK or NGX_ERROR (memory) */
ngx_int_t ngx_http_gray_history_gates(ngx_conf_t *cf,
    ngx_http_gray_zone_t *zone);

/*
 * Sends the revisions that the journal of a release keeps, the last one first,
 * or number "revision" alone, if that is not 0.  The result is for a content
 * handler to be returned.
 */
ngx_int_t ngx_http_gray_history(ngx_http_request_t *r,
    ngx_http_gray_release_t *release, uint64_t revision);

/* sends why there is no history: the zone has no "state" */
ngx_int_t ngx_http_gray_history_none(ngx_http_request_t *r,
    ngx_http_gray_release_t *release);

/*
 * Begins to look for the revision that "body" names: {"revision": N}.  NGX_OK
 * with what is to be ended by _leave(), and calls done() later; NGX_DECLINED
 * with faults; NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_history_recall(ngx_http_gray_release_t *release,
    const ngx_http_gray_json_t *body, ngx_http_gray_history_pt done,
    void *data, ngx_http_gray_history_t **history,
    ngx_http_gray_faults_t *faults);

/*
 * Once that is done: its document, with its allocation, to be freed by
 * ngx_http_gray_json_free().  NGX_OK; NGX_DECLINED with faults; NGX_BUSY,
 * for ngx_http_gray_history_busy(); NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_history_document(ngx_http_gray_history_t *history,
    ngx_http_gray_json_t **doc, ngx_http_gray_faults_t *faults);

/* sends that the journal cannot be read now, and why */
ngx_int_t ngx_http_gray_history_busy(ngx_http_request_t *r,
    ngx_http_gray_history_t *history);

/* what a thread has begun goes on by itself */
void ngx_http_gray_history_leave(ngx_http_gray_history_t *history);


#endif /* _NGX_HTTP_GRAY_HISTORY_H_INCLUDED_ */
