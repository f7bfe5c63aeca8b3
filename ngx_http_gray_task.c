
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_task.h"


#define NGX_HTTP_GRAY_TASK_GUARD  60000    /* ms */


#if (NGX_THREADS)
static void ngx_http_gray_task_thread(void *data, ngx_log_t *log);
static void ngx_http_gray_task_guard(ngx_event_t *ev);
#else
static void ngx_http_gray_task_inline(ngx_event_t *ev);
#endif
static void ngx_http_gray_task_done(ngx_event_t *ev);


void *
ngx_http_gray_task_threads(ngx_conf_t *cf)
{
#if (NGX_THREADS)
    return ngx_thread_pool_add(cf, NULL);
#else
    return cf;
#endif
}


ngx_int_t
ngx_http_gray_task_post(ngx_http_gray_task_t *task, void *threads,
    ngx_http_gray_task_pt step, ngx_http_gray_task_pt next)
{
#if (NGX_THREADS)
    ngx_thread_task_t  *tt;
#endif

    task->step = step;
    task->next = next;

    ngx_memzero(&task->event, sizeof(ngx_event_t));

    task->event.data = task;
    task->event.log = ngx_cycle->log;

#if (NGX_THREADS)

    tt = &task->task;
    ngx_memzero(tt, sizeof(ngx_thread_task_t));

    tt->ctx = task;
    tt->handler = ngx_http_gray_task_thread;
    tt->event.data = task;
    tt->event.handler = ngx_http_gray_task_done;
    tt->event.log = ngx_cycle->log;

    if (ngx_thread_task_post(threads, tt) != NGX_OK) {
        return NGX_ERROR;
    }

    /* else a worker that shuts down would not wait for the thread */

    task->event.handler = ngx_http_gray_task_guard;
    ngx_add_timer(&task->event, NGX_HTTP_GRAY_TASK_GUARD);

#else

    task->event.handler = ngx_http_gray_task_inline;
    ngx_add_timer(&task->event, 0);

#endif

    task->running = 1;

    return NGX_OK;
}


#if (NGX_THREADS)

static void
ngx_http_gray_task_thread(void *data, ngx_log_t *log)
{
    ngx_http_gray_task_t *task = data;

    task->step(task->data);
}


static void
ngx_http_gray_task_guard(ngx_event_t *ev)
{
    ngx_add_timer(ev, NGX_HTTP_GRAY_TASK_GUARD);
}

#else

static void
ngx_http_gray_task_inline(ngx_event_t *ev)
{
    ngx_http_gray_task_t *task = ev->data;

    task->step(task->data);

    ngx_http_gray_task_done(ev);
}

#endif


static void
ngx_http_gray_task_done(ngx_event_t *ev)
{
    ngx_http_gray_task_t  *task;

    task = ev->data;

    if (task->event.timer_set) {
        ngx_del_timer(&task->event);
    }

    task->running = 0;
    task->next(task->data);
}
