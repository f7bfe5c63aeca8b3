
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_TASK_H_INCLUDED_
#define _NGX_HTTP_GRAY_TASK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef void (*ngx_http_gray_task_pt)(void *data);


/*
 * Work of which steps are done by a thread, as they take long, and what
 * follows each of them by the event loop.  Without threads in nginx, all is
 * done by the event loop.  A worker that shuts down waits for a step.
 */

typedef struct {
    void                       *data;
    ngx_http_gray_task_pt       step;      /* knows no pool, log or global */
    ngx_http_gray_task_pt       next;
    ngx_uint_t                  running;   /* unsigned  running:1; */
    ngx_event_t                 event;     /* free for other use meanwhile, if
                                              it is not running */
#if (NGX_THREADS)
    ngx_thread_task_t           task;
#endif
} ngx_http_gray_task_t;


/*
 * Once nginx reads its configuration: NULL where memory is short, and what is
 * not to be looked at where nginx has no threads.
 */
void *ngx_http_gray_task_threads(ngx_conf_t *cf);

/*
 * Has "step" done, then "next"; "task" must stay until then.  NGX_OK, or
 * NGX_ERROR where the queue of threads is full.
 */
ngx_int_t ngx_http_gray_task_post(ngx_http_gray_task_t *task, void *threads,
    ngx_http_gray_task_pt step, ngx_http_gray_task_pt next);


#endif /* _NGX_HTTP_GRAY_TASK_H_INCLUDED_ */
