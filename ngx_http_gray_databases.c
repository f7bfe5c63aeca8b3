
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_databases.h"


#define NGX_HTTP_GRAY_DATABASES_INTERVAL  1000


typedef struct ngx_http_gray_databases_s  ngx_http_gray_databases_t;


/* one file; "busy" while a thread reads it */

typedef struct {
    ngx_http_gray_databases_t   *databases;
    ngx_uint_t                   i;
    ngx_uint_t                   busy;        /* unsigned  busy:1; */

#if (NGX_THREADS)
    ngx_thread_task_t            task;
#endif
} ngx_http_gray_databases_file_t;


/* "ident" is where nginx's debug log looks for the descriptor of an event */

struct ngx_http_gray_databases_s {
    void                            *unused[3];
    ngx_int_t                        ident;

    ngx_event_t                      event;
    ngx_log_t                       *log;
    ngx_http_gray_geo_t             *geo;
    ngx_http_gray_databases_file_t  *file;

#if (NGX_THREADS)
    ngx_thread_pool_t               *threads;
#endif
};


static void ngx_http_gray_databases_cleanup(void *data);
static void ngx_http_gray_databases_tick(ngx_event_t *ev);
static void ngx_http_gray_databases_read(ngx_http_gray_databases_file_t *file);
#if (NGX_THREADS)
static void ngx_http_gray_databases_thread(void *data, ngx_log_t *log);
static void ngx_http_gray_databases_done(ngx_event_t *ev);
#endif


char *
ngx_http_gray_databases_geoip(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_gray_main_conf_t *gmcf = conf;

    char        why[NGX_HTTP_GRAY_GEO_WHY];
    ngx_str_t  *value;

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "has an empty name of a file";
    }

    if (ngx_conf_full_name(cf->cycle, &value[1], 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (gmcf->geo == NULL) {
        gmcf->geo = ngx_http_gray_geo_create(cf->pool);

        if (gmcf->geo == NULL) {
            return NGX_CONF_ERROR;
        }
    }

#if (NGX_THREADS)

    if (ngx_thread_pool_add(cf, NULL) == NULL) {
        return NGX_CONF_ERROR;
    }

#endif

    if (ngx_http_gray_geo_add(gmcf->geo, &value[1], why) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "gray_geoip \"%V\": %s",
                           &value[1], why);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


void
ngx_http_gray_databases_init_process(ngx_http_gray_main_conf_t *gmcf,
    ngx_cycle_t *cycle)
{
    ngx_uint_t                       i, n;
    ngx_pool_cleanup_t              *cln;
    ngx_http_gray_databases_t       *databases;
    ngx_http_gray_databases_file_t  *file;

#if (NGX_THREADS)
    ngx_str_t                        name = ngx_string("default");
#endif

    n = ngx_http_gray_geo_count(gmcf->geo);

    if (n == 0) {
        return;
    }

    databases = ngx_pcalloc(cycle->pool, sizeof(ngx_http_gray_databases_t));
    file = ngx_pcalloc(cycle->pool,
                       n * sizeof(ngx_http_gray_databases_file_t));
    cln = ngx_pool_cleanup_add(cycle->pool, 0);

    if (databases == NULL || file == NULL || cln == NULL) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                      "files of gray_geoip are not watched, memory is short");
        return;
    }

    cln->handler = ngx_http_gray_databases_cleanup;
    cln->data = databases;

    databases->ident = -1;
    databases->log = cycle->log;
    databases->geo = gmcf->geo;
    databases->file = file;

#if (NGX_THREADS)
    databases->threads = ngx_thread_pool_get(cycle, &name);
#endif

    for (i = 0; i < n; i++) {
        file[i].databases = databases;
        file[i].i = i;

#if (NGX_THREADS)
        file[i].task.ctx = &file[i];
        file[i].task.handler = ngx_http_gray_databases_thread;
        file[i].task.event.data = &file[i];
        file[i].task.event.handler = ngx_http_gray_databases_done;
        file[i].task.event.log = cycle->log;
#endif

        /* a worker that was started anew has what the master has read */

        if (ngx_http_gray_geo_due(gmcf->geo, i, cycle->log)) {
            ngx_http_gray_geo_load(gmcf->geo, i);
            ngx_http_gray_geo_swap(gmcf->geo, i, cycle->log);
        }
    }

    databases->event.handler = ngx_http_gray_databases_tick;
    databases->event.data = databases;
    databases->event.log = cycle->log;
    databases->event.cancelable = 1;

    ngx_add_timer(&databases->event, NGX_HTTP_GRAY_DATABASES_INTERVAL);
}


static void
ngx_http_gray_databases_cleanup(void *data)
{
    ngx_http_gray_databases_t *databases = data;

    if (databases->event.timer_set) {
        ngx_del_timer(&databases->event);
    }
}


static void
ngx_http_gray_databases_tick(ngx_event_t *ev)
{
    ngx_uint_t                       i, n;
    ngx_http_gray_databases_t       *databases;
    ngx_http_gray_databases_file_t  *file;

    if (ngx_exiting) {
        return;
    }

    databases = ev->data;
    n = ngx_http_gray_geo_count(databases->geo);

    for (i = 0; i < n; i++) {
        file = &databases->file[i];

        if (!file->busy
            && ngx_http_gray_geo_due(databases->geo, i, databases->log))
        {
            ngx_http_gray_databases_read(file);
        }
    }

    ngx_add_timer(ev, NGX_HTTP_GRAY_DATABASES_INTERVAL);
}


static void
ngx_http_gray_databases_read(ngx_http_gray_databases_file_t *file)
{
    ngx_http_gray_databases_t  *databases;

    databases = file->databases;

#if (NGX_THREADS)

    if (databases->threads) {

        /* where the queue is full there will be another second */

        if (ngx_thread_task_post(databases->threads, &file->task) == NGX_OK) {
            file->busy = 1;
        }

        return;
    }

#endif

    ngx_http_gray_geo_load(databases->geo, file->i);
    ngx_http_gray_geo_swap(databases->geo, file->i, databases->log);
}


#if (NGX_THREADS)

static void
ngx_http_gray_databases_thread(void *data, ngx_log_t *log)
{
    ngx_http_gray_databases_file_t *file = data;

    (void) log;

    ngx_http_gray_geo_load(file->databases->geo, file->i);
}


static void
ngx_http_gray_databases_done(ngx_event_t *ev)
{
    ngx_http_gray_databases_file_t *file = ev->data;

    file->busy = 0;

    ngx_http_gray_geo_swap(file->databases->geo, file->i,
                           file->databases->log);
}

#endif
