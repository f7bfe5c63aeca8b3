
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * PUT and DELETE of a named list.
 *
 * A job owns all that it works on, so that it does not need the request: the
 * client may go at any time.  Its steps alternate between a thread, which
 * does what takes long (reading the body, making the file, syncing) and knows
 * neither nginx's pools nor its log, and the event loop, which does what takes
 * decisions:
 *
 *     thread  the body becomes DIR/.NAME.list.PID.N, without a header
 *     loop    the write lock; conditions, as of what there is now
 *     thread  the header, the rename, the directory
 *     loop    the table; the lock is given back; the answer
 *
 * Without threads in nginx, all of that is done by the event loop.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sys/mman.h>

#include "ngx_http_gray_release.h"
#include "ngx_http_gray_reply.h"
#include "ngx_http_gray_upload.h"


#define NGX_HTTP_GRAY_UPLOAD_PAUSE     10      /* ms */
#define NGX_HTTP_GRAY_UPLOAD_PATIENCE  2000    /* ms, for the lock */
#define NGX_HTTP_GRAY_UPLOAD_GUARD     60000   /* ms */


typedef struct ngx_http_gray_upload_s  ngx_http_gray_upload_t;

typedef void (*ngx_http_gray_upload_pt)(ngx_http_gray_upload_t *job);

struct ngx_http_gray_upload_s {
    ngx_http_request_t         *request;    /* NULL: the client has gone */
    ngx_http_gray_zone_t       *zone;
    ngx_str_t                   name;
    ngx_uint_t                  remove;     /* unsigned  remove:1; */
    ngx_uint_t                  dry_run;    /* unsigned  dry_run:1; */

    /* the body: in memory, or in a file */

    u_char                     *text;
    size_t                      len;
    off_t                       pos;
    int                         body;       /* -1: in memory */

    /* what is made of it */

    ngx_http_gray_list_build_t  build;
    ngx_http_gray_list_info_t   present;    /* that it takes the place of */
    ngx_uint_t                  exists;     /* unsigned  exists:1; */
    uint64_t                    revision;
    time_t                      time;
    int                         fd;         /* of the temporary file, or -1 */
    ngx_uint_t                  named;      /* unsigned  named:1; */
    ngx_uint_t                  locked;     /* unsigned  locked:1; */
    ngx_uint_t                  running;    /* unsigned  running:1; */

    /* of a thread's step */

    ngx_int_t                   rc;
    ngx_err_t                   err;
    const char                 *failed;     /* the call */

    ngx_http_gray_upload_pt     step;
    ngx_http_gray_upload_pt     next;
    ngx_event_t                 event;
    ngx_msec_t                  since;
#if (NGX_THREADS)
    ngx_thread_task_t           task;
#endif

    char                        file[NGX_MAX_PATH];
    char                        temp[NGX_MAX_PATH];
    char                        old[NGX_MAX_PATH];
    char                        dir[NGX_MAX_PATH];
    u_char                      data[NGX_HTTP_GRAY_NAME + 1];
};


/* where a document uses a list */

typedef struct {
    const char                 *operator;   /* NULL: any */
    ngx_str_t                  *name;
    ngx_http_gray_faults_t     *faults;
    ngx_str_t                  *release;
} ngx_http_gray_upload_use_t;


static ngx_http_gray_upload_t *ngx_http_gray_upload_create(
    ngx_http_request_t *r, ngx_http_gray_zone_t *zone, ngx_str_t *name,
    ngx_uint_t dry_run);
static ngx_int_t ngx_http_gray_upload_paths(ngx_http_gray_upload_t *job);
static ngx_int_t ngx_http_gray_upload_body(ngx_http_gray_upload_t *job);
static ngx_int_t ngx_http_gray_upload_start(ngx_http_gray_upload_t *job,
    ngx_http_gray_upload_pt step, ngx_http_gray_upload_pt next);
static ngx_int_t ngx_http_gray_upload_post(ngx_http_gray_upload_t *job,
    ngx_http_gray_upload_pt step, ngx_http_gray_upload_pt next);
#if (NGX_THREADS)
static void ngx_http_gray_upload_thread(void *data, ngx_log_t *log);
static void ngx_http_gray_upload_guard(ngx_event_t *ev);
#else
static void ngx_http_gray_upload_inline(ngx_event_t *ev);
#endif
static void ngx_http_gray_upload_done(ngx_event_t *ev);
static void ngx_http_gray_upload_make(ngx_http_gray_upload_t *job);
static void ngx_http_gray_upload_fail(ngx_http_gray_upload_t *job,
    const char *call);
static void ngx_http_gray_upload_made(ngx_http_gray_upload_t *job);
static void ngx_http_gray_upload_retry(ngx_event_t *ev);
static void ngx_http_gray_upload_commit(ngx_http_gray_upload_t *job);
static ngx_int_t ngx_http_gray_upload_judge(ngx_http_gray_upload_t *job,
    ngx_int_t *answer);
static ngx_int_t ngx_http_gray_upload_judge_put(ngx_http_gray_upload_t *job,
    ngx_int_t *answer);
static ngx_int_t ngx_http_gray_upload_judge_delete(ngx_http_gray_upload_t *job,
    ngx_int_t *answer);
static void ngx_http_gray_upload_write(ngx_http_gray_upload_t *job);
static void ngx_http_gray_upload_rename(ngx_http_gray_upload_t *job);
static ngx_int_t ngx_http_gray_upload_sync(ngx_http_gray_upload_t *job);
static void ngx_http_gray_upload_written(ngx_http_gray_upload_t *job);
static ngx_int_t ngx_http_gray_upload_answer(ngx_http_gray_upload_t *job,
    ngx_http_gray_list_info_t *info, ngx_uint_t created);
static ngx_int_t ngx_http_gray_upload_failure(ngx_http_gray_upload_t *job);
static void ngx_http_gray_upload_finish(ngx_http_gray_upload_t *job,
    ngx_int_t rc);
static void ngx_http_gray_upload_leave(ngx_http_gray_upload_t *job);
static void ngx_http_gray_upload_late(ngx_event_t *ev);
static void ngx_http_gray_upload_close(ngx_http_gray_upload_t *job);
static void ngx_http_gray_upload_free(ngx_http_gray_upload_t *job);
static void ngx_http_gray_upload_cleanup(void *data);
static ngx_log_t *ngx_http_gray_upload_log(ngx_http_gray_upload_t *job);
static ngx_int_t ngx_http_gray_upload_uses(ngx_http_gray_upload_t *job,
    const char *operator, ngx_http_gray_faults_t *faults);
static void ngx_http_gray_upload_walk(ngx_http_gray_upload_use_t *use,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node);
static ngx_int_t ngx_http_gray_upload_unknown(ngx_http_request_t *r,
    ngx_http_gray_zone_t *zone, ngx_str_t *name);
static ngx_http_gray_json_t *ngx_http_gray_upload_json(ngx_str_t *name,
    ngx_http_gray_list_info_t *info);


ngx_int_t
ngx_http_gray_upload(ngx_http_request_t *r, ngx_http_gray_zone_t *zone,
    ngx_str_t *name, ngx_uint_t dry_run)
{
    ngx_http_gray_upload_t  *job;

    if (!ngx_http_gray_lists_name(name)) {
        return ngx_http_gray_reply_problem(r, NGX_HTTP_BAD_REQUEST,
                                "invalid name of a list, must be a letter "
                                "from a to z, then letters, digits and \"_\", "
                                "at most %d in all", NGX_HTTP_GRAY_NAME);
    }

    job = ngx_http_gray_upload_create(r, zone, name, dry_run);

    if (job == NULL || ngx_http_gray_upload_body(job) != NGX_OK) {
        return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                     "memory is short, nothing was changed");
    }

    return ngx_http_gray_upload_start(job, ngx_http_gray_upload_make,
                                      ngx_http_gray_upload_made);
}


ngx_int_t
ngx_http_gray_upload_delete(ngx_http_request_t *r, ngx_http_gray_zone_t *zone,
    ngx_str_t *name, ngx_uint_t dry_run)
{
    ngx_http_gray_upload_t  *job;

    if (!ngx_http_gray_lists_name(name)) {
        return ngx_http_gray_upload_unknown(r, zone, name);
    }

    job = ngx_http_gray_upload_create(r, zone, name, dry_run);

    if (job == NULL) {
        return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                     "memory is short, nothing was changed");
    }

    job->remove = 1;

    return ngx_http_gray_upload_start(job, ngx_http_gray_upload_make,
                                      ngx_http_gray_upload_made);
}


/* it goes with the request, or with a thread that outlives that */

static ngx_http_gray_upload_t *
ngx_http_gray_upload_create(ngx_http_request_t *r, ngx_http_gray_zone_t *zone,
    ngx_str_t *name, ngx_uint_t dry_run)
{
    ngx_pool_cleanup_t      *cln;
    ngx_http_gray_upload_t  *job;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    job = calloc(1, sizeof(ngx_http_gray_upload_t));

    if (cln == NULL || job == NULL) {
        free(job);
        return NULL;
    }

    job->request = r;
    job->zone = zone;
    job->dry_run = dry_run;
    job->body = -1;
    job->fd = -1;

    job->name.data = job->data;
    job->name.len = name->len;
    ngx_memcpy(job->data, name->data, name->len);

    cln->handler = ngx_http_gray_upload_cleanup;
    cln->data = job;

    return ngx_http_gray_upload_paths(job) == NGX_OK ? job : NULL;
}


static ngx_int_t
ngx_http_gray_upload_paths(ngx_http_gray_upload_t *job)
{
    int                    n;
    char                   suffix[NGX_INT64_LEN * 2 + 3];
    ngx_http_gray_zone_t  *zone;

    zone = job->zone;

    (void) snprintf(suffix, sizeof(suffix), ".%ld.%lu", (long) ngx_pid,
                    (unsigned long) ngx_random());

    n = snprintf(job->dir, sizeof(job->dir), "%.*s", (int) zone->state.len,
                 (char *) zone->state.data);

    if (n >= (int) sizeof(job->dir)
        || ngx_http_gray_lists_path(zone, &job->name, "", "", job->file,
                                    sizeof(job->file))
           != NGX_OK
        || ngx_http_gray_lists_path(zone, &job->name, ".", suffix, job->temp,
                                    sizeof(job->temp))
           != NGX_OK
        || ngx_http_gray_lists_path(zone, &job->name, ".old.", suffix,
                                    job->old, sizeof(job->old))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * A body in a file stays there, under a descriptor of our own; one in memory
 * is copied, as it is the request's.
 */

static ngx_int_t
ngx_http_gray_upload_body(ngx_http_gray_upload_t *job)
{
    u_char       *p;
    ssize_t       n;
    ngx_buf_t    *b;
    ngx_chain_t  *cl, *bufs;

    bufs = job->request->request_body ? job->request->request_body->bufs
                                      : NULL;

    if (bufs && bufs->next == NULL && !ngx_buf_in_memory(bufs->buf)
        && bufs->buf->in_file)
    {
        b = bufs->buf;

        job->body = fcntl(b->file->fd, F_DUPFD_CLOEXEC, 0);
        job->pos = b->file_pos;
        job->len = (size_t) (b->file_last - b->file_pos);

        return job->body == -1 ? NGX_ERROR : NGX_OK;
    }

    for (cl = bufs; cl; cl = cl->next) {
        job->len += (size_t) ngx_buf_size(cl->buf);
    }

    job->text = malloc(job->len + 1);
    if (job->text == NULL) {
        return NGX_ERROR;
    }

    p = job->text;

    for (cl = bufs; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b)) {
            p = ngx_cpymem(p, b->pos, b->last - b->pos);
            continue;
        }

        if (b->in_file) {
            n = ngx_read_file(b->file, p, (size_t) ngx_buf_size(b),
                              b->file_pos);

            if (n != ngx_buf_size(b)) {
                return NGX_ERROR;
            }

            p += n;
        }
    }

    return NGX_OK;
}


/* NGX_DONE, or an answer where it cannot start */

static ngx_int_t
ngx_http_gray_upload_start(ngx_http_gray_upload_t *job,
    ngx_http_gray_upload_pt step, ngx_http_gray_upload_pt next)
{
    if (ngx_http_gray_upload_post(job, step, next) != NGX_OK) {
        return ngx_http_gray_reply_problem(job->request,
                                NGX_HTTP_SERVICE_UNAVAILABLE,
                                "the queue of threads is full, nothing was "
                                "changed");
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_gray_upload_post(ngx_http_gray_upload_t *job,
    ngx_http_gray_upload_pt step, ngx_http_gray_upload_pt next)
{
#if (NGX_THREADS)
    ngx_thread_task_t  *task;
#endif

    job->step = step;
    job->next = next;

    ngx_memzero(&job->event, sizeof(ngx_event_t));

    job->event.data = job;
    job->event.log = ngx_cycle->log;

#if (NGX_THREADS)

    task = &job->task;
    ngx_memzero(task, sizeof(ngx_thread_task_t));

    task->ctx = job;
    task->handler = ngx_http_gray_upload_thread;
    task->event.data = job;
    task->event.handler = ngx_http_gray_upload_done;
    task->event.log = ngx_cycle->log;

    if (ngx_thread_task_post(ngx_http_gray_lists_threads(job->zone), task)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* else a worker that shuts down would not wait for the thread */

    job->event.handler = ngx_http_gray_upload_guard;
    ngx_add_timer(&job->event, NGX_HTTP_GRAY_UPLOAD_GUARD);

#else

    job->event.handler = ngx_http_gray_upload_inline;
    ngx_add_timer(&job->event, 0);

#endif

    job->running = 1;

    return NGX_OK;
}


#if (NGX_THREADS)

static void
ngx_http_gray_upload_thread(void *data, ngx_log_t *log)
{
    ngx_http_gray_upload_t *job = data;

    job->step(job);
}


static void
ngx_http_gray_upload_guard(ngx_event_t *ev)
{
    ngx_add_timer(ev, NGX_HTTP_GRAY_UPLOAD_GUARD);
}

#else

static void
ngx_http_gray_upload_inline(ngx_event_t *ev)
{
    ngx_http_gray_upload_t *job = ev->data;

    job->step(job);

    ngx_http_gray_upload_done(ev);
}

#endif


static void
ngx_http_gray_upload_done(ngx_event_t *ev)
{
    ngx_connection_t        *c;
    ngx_http_gray_upload_t  *job;

    job = ev->data;

    if (job->event.timer_set) {
        ngx_del_timer(&job->event);
    }

    job->running = 0;

    c = job->request ? job->request->connection : NULL;

    if (c) {
        ngx_http_set_log_request(c->log, job->request);
    }

    job->next(job);

    if (c) {
        ngx_http_run_posted_requests(c);
    }
}


/* by a thread */

static void
ngx_http_gray_upload_make(ngx_http_gray_upload_t *job)
{
    off_t    skip;
    size_t   size;
    u_char  *map, *text;

    map = NULL;
    text = job->text;
    size = 0;
    skip = 0;

    if (job->body != -1 && job->len) {
        skip = job->pos % ngx_pagesize;
        size = job->len + skip;

        map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, job->body,
                   job->pos - skip);

        if (map == MAP_FAILED) {
            ngx_http_gray_upload_fail(job, "mmap()");
            return;
        }

        (void) madvise(map, size, MADV_SEQUENTIAL);

        text = map + skip;
    }

    job->rc = ngx_http_gray_list_build(&job->build, text, job->len);

    if (job->rc == NGX_ERROR) {
        ngx_http_gray_upload_fail(job, "mmap()");
    }

    if (map) {
        (void) munmap(map, size);
    }

    job->build.info.deleted = job->remove;

    if (job->rc != NGX_OK || job->dry_run) {
        return;
    }

    /* for reading only, so that no editor writes into what is mapped */

    job->fd = open(job->temp, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0444);

    if (job->fd == -1) {
        ngx_http_gray_upload_fail(job, "open()");
        return;
    }

    job->named = 1;

    if (ngx_http_gray_list_write(&job->build, job->fd) != NGX_OK) {
        ngx_http_gray_upload_fail(job, "write()");
    }
}


static void
ngx_http_gray_upload_fail(ngx_http_gray_upload_t *job, const char *call)
{
    job->rc = NGX_ERROR;
    job->err = ngx_errno;
    job->failed = call;
}


static void
ngx_http_gray_upload_made(ngx_http_gray_upload_t *job)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = job->request;

    if (r == NULL) {
        ngx_http_gray_upload_finish(job, NGX_DONE);
        return;
    }

    if (job->rc == NGX_DECLINED) {
        rc = ngx_http_gray_reply_faults(r, 422, "Invalid list",
                                        &job->build.faults);
        ngx_http_gray_upload_finish(job, rc);
        return;
    }

    if (job->rc != NGX_OK) {
        rc = ngx_http_gray_upload_failure(job);
        ngx_http_gray_upload_finish(job, rc);
        return;
    }

    ngx_memzero(&job->event, sizeof(ngx_event_t));

    job->event.data = job;
    job->event.log = ngx_cycle->log;
    job->event.handler = ngx_http_gray_upload_retry;
    job->since = ngx_current_msec;

    ngx_http_gray_upload_commit(job);
}


static void
ngx_http_gray_upload_retry(ngx_event_t *ev)
{
    ngx_connection_t        *c;
    ngx_http_gray_upload_t  *job;

    job = ev->data;
    c = job->request->connection;

    ngx_http_set_log_request(c->log, job->request);

    ngx_http_gray_upload_commit(job);

    ngx_http_run_posted_requests(c);
}


/* the timer holds up a worker that shuts down, by intent */

static void
ngx_http_gray_upload_commit(ngx_http_gray_upload_t *job)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = job->request;

    rc = ngx_http_gray_lists_lock(job->zone, r->connection->log);

    if (rc == NGX_AGAIN
        && ngx_current_msec - job->since < NGX_HTTP_GRAY_UPLOAD_PATIENCE)
    {
        ngx_add_timer(&job->event, NGX_HTTP_GRAY_UPLOAD_PAUSE + ngx_random()
                                   % NGX_HTTP_GRAY_UPLOAD_PAUSE);
        return;
    }

    if (rc != NGX_OK) {
        rc = ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                rc == NGX_AGAIN
                                ? "another process writes lists of the zone "
                                  "for seconds, nothing was changed"
                                : "the state directory cannot be locked, "
                                  "nothing was changed");
        ngx_http_gray_upload_finish(job, rc);
        return;
    }

    job->locked = 1;

    if (ngx_http_gray_upload_judge(job, &rc) == NGX_OK) {

        rc = ngx_http_gray_upload_start(job, ngx_http_gray_upload_write,
                                        ngx_http_gray_upload_written);
        if (rc == NGX_DONE) {
            return;
        }
    }

    ngx_http_gray_upload_finish(job, rc);
}


/* NGX_OK: it is to be written; NGX_DONE: there is an answer */

static ngx_int_t
ngx_http_gray_upload_judge(ngx_http_gray_upload_t *job,
    ngx_int_t *answer)
{
    ngx_int_t            rc, match, none;
    ngx_http_request_t  *r;

    r = job->request;

    rc = ngx_http_gray_lists_present_locked(job->zone, &job->name,
                                            &job->present);

    if (rc == NGX_ERROR) {
        *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "the file \"%V.list\" in the state directory "
                                "cannot be read, or is damaged: see the error "
                                "log, and move it away", &job->name);
        return NGX_DONE;
    }

    job->exists = (rc == NGX_OK && !job->present.deleted);
    job->revision = job->present.revision + 1;
    job->time = ngx_time();

    if (job->exists) {
        match = ngx_http_gray_reply_matches(r, "If-Match",
                                            job->present.revision, 0);
        none = ngx_http_gray_reply_matches(r, "If-None-Match",
                                           job->present.revision, 0);

    } else {
        /* not even "*" names what there is not */

        match = ngx_http_gray_reply_matches(r, "If-Match", 0, 0);
        match = (match == NGX_DECLINED) ? match : 0;
        none = 0;
    }

    if (job->remove && !job->exists) {
        *answer = ngx_http_gray_upload_unknown(r, job->zone, &job->name);
        return NGX_DONE;
    }

    if (match == 0 || none == 1) {
        *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_PRECONDITION_FAILED,
                                job->exists
                                ? "the condition does not hold, the current "
                                  "revision is %uL"
                                : "the condition does not hold, there is no "
                                  "such list", job->present.revision);
        return NGX_DONE;
    }

    if (rc == NGX_BUSY) {
        *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_CONFLICT,
                                "a zone has at most %d lists; those that were "
                                "deleted count until nginx is restarted",
                                NGX_HTTP_GRAY_LISTS);
        return NGX_DONE;
    }

    return job->remove ? ngx_http_gray_upload_judge_delete(job, answer)
                       : ngx_http_gray_upload_judge_put(job, answer);
}


static ngx_int_t
ngx_http_gray_upload_judge_put(ngx_http_gray_upload_t *job,
    ngx_int_t *answer)
{
    ngx_http_gray_faults_t  faults;

    if (job->build.odd) {
        faults.n = 0;

        if (ngx_http_gray_upload_uses(job, "cidr_list", &faults) != NGX_OK) {
            *answer = ngx_http_gray_upload_failure(job);
            return NGX_DONE;
        }

        if (faults.n) {
            *answer = ngx_http_gray_reply_problem(job->request, 422,
                                "line %ui is no address and no network, and "
                                "the list is one of networks: %s",
                                job->build.odd, faults.fault[0].detail);
            return NGX_DONE;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_upload_judge_delete(ngx_http_gray_upload_t *job,
    ngx_int_t *answer)
{
    ngx_http_gray_faults_t  faults;

    faults.n = 0;

    if (ngx_http_gray_upload_uses(job, NULL, &faults) != NGX_OK) {
        *answer = ngx_http_gray_upload_failure(job);
        return NGX_DONE;
    }

    if (faults.n) {
        *answer = ngx_http_gray_reply_faults(job->request, NGX_HTTP_CONFLICT,
                                          "List in use", &faults);
        return NGX_DONE;
    }

    return NGX_OK;
}


/* by a thread, under the lock; memory is given back there, too */

static void
ngx_http_gray_upload_write(ngx_http_gray_upload_t *job)
{
    ngx_http_gray_upload_rename(job);

    ngx_http_gray_list_discard(&job->build);

    if (job->fd != -1) {
        (void) close(job->fd);
        job->fd = -1;
    }

    if (job->named) {
        (void) unlink(job->temp);
        job->named = 0;
    }
}


/* NGX_DECLINED: the list has these entries already */

static void
ngx_http_gray_upload_rename(ngx_http_gray_upload_t *job)
{
    int         fd;
    ngx_uint_t  same;

    job->rc = NGX_OK;

    if (job->exists && !job->remove) {

        fd = open(job->file, O_RDONLY|O_CLOEXEC);

        if (fd != -1) {
            same = ngx_http_gray_list_same(&job->build, fd);
            (void) close(fd);

            if (same) {
                job->rc = NGX_DECLINED;
                return;
            }
        }
    }

    if (job->dry_run) {
        job->build.info.revision = job->revision;
        job->build.info.time = job->time;
        return;
    }

    if (ngx_http_gray_list_seal(&job->build, job->fd, job->revision,
                                job->time)
        != NGX_OK)
    {
        ngx_http_gray_upload_fail(job, "write()");
        return;
    }

    if (ngx_http_gray_upload_sync(job) == NGX_OK) {
        job->named = 0;
    }
}


/*
 * The rename is durable once the directory is synced.  Where that fails it is
 * taken back: the file that was there before is kept by another name for the
 * time.
 */

static ngx_int_t
ngx_http_gray_upload_sync(ngx_http_gray_upload_t *job)
{
    int         dir;
    ngx_uint_t  kept;

    dir = open(job->dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (dir == -1) {
        ngx_http_gray_upload_fail(job, "open()");
        return NGX_ERROR;
    }

    kept = (link(job->file, job->old) == 0);

    if (rename(job->temp, job->file) == -1) {
        ngx_http_gray_upload_fail(job, "rename()");

    } else if (fsync(dir) == -1) {
        ngx_http_gray_upload_fail(job, "fsync()");

        if (kept) {
            (void) rename(job->old, job->file);
            kept = 0;

        } else if (job->present.revision == 0) {
            (void) unlink(job->file);
        }
    }

    if (kept) {
        (void) unlink(job->old);
    }

    (void) close(dir);

    return job->rc;
}


static void
ngx_http_gray_upload_written(ngx_http_gray_upload_t *job)
{
    ngx_int_t                   rc;
    ngx_http_request_t         *r;
    ngx_http_gray_list_info_t  *info;

    r = job->request;
    info = (job->rc == NGX_DECLINED) ? &job->present : &job->build.info;

    if (job->rc == NGX_OK && !job->dry_run) {
        (void) ngx_http_gray_lists_publish_locked(job->zone, &job->name, info);

        ngx_log_error(NGX_LOG_NOTICE, ngx_http_gray_upload_log(job), 0,
                      "gray: list \"%V\" revision %uL, %uL entries%s",
                      &job->name, info->revision, info->entries,
                      job->remove ? ", is deleted" : "");

    } else if (job->rc == NGX_ERROR) {
        ngx_http_gray_lists_recall_locked(job->zone);
    }

    ngx_http_gray_lists_unlock(job->zone);
    job->locked = 0;

    rc = NGX_DONE;

    if (r) {
        rc = (job->rc == NGX_ERROR)
             ? ngx_http_gray_upload_failure(job)
             : ngx_http_gray_upload_answer(job, info, !job->exists);
    }

    ngx_http_gray_upload_finish(job, rc);
}


static ngx_int_t
ngx_http_gray_upload_answer(ngx_http_gray_upload_t *job,
    ngx_http_gray_list_info_t *info, ngx_uint_t created)
{
    ngx_int_t              rc;
    ngx_http_request_t    *r;
    ngx_http_gray_json_t  *json;

    r = job->request;

    rc = job->dry_run ? ngx_http_gray_reply_header(r, "X-Gray-Dry-Run", "1")
                      : NGX_OK;

    if (rc == NGX_OK && !job->dry_run && !job->remove) {
        rc = ngx_http_gray_reply_etag(r, info->revision);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    json = ngx_http_gray_upload_json(&job->name, info);

    if (json && !job->remove
        && ngx_http_gray_reply_number(json, "duplicates",
                                      job->build.duplicates)
           != NGX_OK)
    {
        ngx_http_gray_json_free(json);
        json = NULL;
    }

    return (created && !job->remove) ? ngx_http_gray_reply_created(r, json)
                                     : ngx_http_gray_reply_json(r, json);
}


static ngx_int_t
ngx_http_gray_upload_failure(ngx_http_gray_upload_t *job)
{
    u_char     *p, reason[NGX_MAX_ERROR_STR];
    ngx_err_t   err;

    err = job->err ? job->err : NGX_ENOMEM;

    ngx_log_error(NGX_LOG_ERR, ngx_http_gray_upload_log(job), err,
                  "gray: list \"%V\": %s in \"%V\" failed", &job->name,
                  job->failed ? job->failed : "malloc()", &job->zone->state);

    p = ngx_strerror(err, reason, sizeof(reason) - 1);
    *p = '\0';

    return ngx_http_gray_reply_problem(job->request,
                                NGX_HTTP_SERVICE_UNAVAILABLE,
                                "the list cannot be written to the state "
                                "directory, nothing was changed: %s", reason);
}


/* ends the request with "rc", unless that is NGX_DONE, and then the job */

static void
ngx_http_gray_upload_finish(ngx_http_gray_upload_t *job, ngx_int_t rc)
{
    ngx_http_request_t  *r;

    ngx_http_gray_upload_leave(job);

    r = job->request;

    if (r == NULL) {
        ngx_http_gray_upload_late(&job->event);
        return;
    }

    /* the job goes with the request */

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


/* what others wait for */

static void
ngx_http_gray_upload_leave(ngx_http_gray_upload_t *job)
{
    if (job->event.timer_set) {
        ngx_del_timer(&job->event);
    }

    if (job->fd != -1) {
        (void) close(job->fd);
        job->fd = -1;
    }

    if (job->named) {
        (void) unlink(job->temp);
        job->named = 0;
    }

    if (job->locked) {
        ngx_http_gray_lists_unlock(job->zone);
        job->locked = 0;
    }
}


/*
 * The request goes; what a thread has begun goes on without it.  The file of
 * the body is nginx's until a moment later, and who closes it last has it
 * removed from memory and disk, which takes long: so that is left to a thread.
 */

static void
ngx_http_gray_upload_cleanup(void *data)
{
    ngx_event_t             *ev;
    ngx_http_gray_upload_t  *job;

    job = data;
    job->request = NULL;

    if (job->running) {
        return;
    }

    ngx_http_gray_upload_leave(job);

    if (job->body == -1) {
        ngx_http_gray_upload_free(job);
        return;
    }

    ev = &job->event;
    ngx_memzero(ev, sizeof(ngx_event_t));

    ev->data = job;
    ev->log = ngx_cycle->log;
    ev->handler = ngx_http_gray_upload_late;

    ngx_post_event(ev, &ngx_posted_next_events);
}


static void
ngx_http_gray_upload_late(ngx_event_t *ev)
{
    ngx_http_gray_upload_t *job = ev->data;

    if (job->body == -1
        || ngx_http_gray_upload_post(job, ngx_http_gray_upload_close,
                                     ngx_http_gray_upload_free)
           != NGX_OK)
    {
        ngx_http_gray_upload_free(job);
    }
}


/* by a thread */

static void
ngx_http_gray_upload_close(ngx_http_gray_upload_t *job)
{
    (void) close(job->body);
    job->body = -1;

    ngx_http_gray_list_discard(&job->build);
}


static void
ngx_http_gray_upload_free(ngx_http_gray_upload_t *job)
{
    if (job->body != -1) {
        (void) close(job->body);
    }

    ngx_http_gray_list_discard(&job->build);

    free(job->text);
    free(job);
}


static ngx_log_t *
ngx_http_gray_upload_log(ngx_http_gray_upload_t *job)
{
    return job->request ? job->request->connection->log : ngx_cycle->log;
}


/*
 * A fault for each place in a live document of the zone's releases that uses
 * the list, by that operator or by any.  NGX_OK or NGX_ERROR (memory).
 */

static ngx_int_t
ngx_http_gray_upload_uses(ngx_http_gray_upload_t *job, const char *operator,
    ngx_http_gray_faults_t *faults)
{
    ngx_uint_t                   i;
    ngx_http_gray_json_t        *doc;
    ngx_http_gray_release_t    **release;
    ngx_http_gray_snapshot_t     snapshot;
    ngx_http_gray_main_conf_t   *gmcf;
    ngx_http_gray_upload_use_t   use;

    gmcf = job->zone->data;
    release = gmcf->releases.elts;

    use.operator = operator;
    use.name = &job->name;
    use.faults = faults;

    for (i = 0; i < gmcf->releases.nelts; i++) {

        if (release[i]->zone != job->zone) {
            continue;
        }

        if (ngx_http_gray_release_read(release[i], &snapshot, &doc) != NGX_OK)
        {
            return NGX_ERROR;
        }

        use.release = &release[i]->name;
        ngx_http_gray_upload_walk(&use, NULL, doc);

        ngx_http_gray_json_free(doc);
        free(snapshot.text.data);
    }

    return NGX_OK;
}


/* a document is not deeper than NGX_HTTP_GRAY_JSON_DEPTH */

static void
ngx_http_gray_upload_walk(ngx_http_gray_upload_use_t *use,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node)
{
    ngx_str_t                    text;
    ngx_uint_t                   i;
    ngx_http_gray_json_t        *child;
    ngx_http_gray_path_t         path;

    i = 0;

    for (child = ngx_http_gray_json_first(node);
         child;
         child = ngx_http_gray_json_next(child))
    {
        path.parent = parent;
        path.key = ngx_http_gray_json_key(child);
        path.index = i++;

        ngx_http_gray_upload_walk(use, &path, child);

        if (path.key == NULL
            || ngx_http_gray_json_type(child) != NGX_HTTP_GRAY_JSON_STRING
            || (use->operator ? ngx_strcmp(path.key, use->operator) != 0
                              : ngx_strcmp(path.key, "in_list") != 0
                                && ngx_strcmp(path.key, "cidr_list") != 0))
        {
            continue;
        }

        text = ngx_http_gray_json_text(child);

        if (text.len == use->name->len
            && ngx_memcmp(text.data, use->name->data, text.len) == 0)
        {
            ngx_http_gray_json_fault(use->faults, &path,
                                     "release \"%.*s\" uses it",
                                     (int) use->release->len,
                                     (char *) use->release->data);
        }
    }
}


static ngx_int_t
ngx_http_gray_upload_unknown(ngx_http_request_t *r,
    ngx_http_gray_zone_t *zone, ngx_str_t *name)
{
    u_char  names[512];

    ngx_http_gray_lists_names(zone, names, names + sizeof(names));

    return ngx_http_gray_reply_problem(r, NGX_HTTP_NOT_FOUND,
                                "no list \"%*s\"; there are %s",
                                ngx_min(name->len, NGX_HTTP_GRAY_NAME),
                                name->data, names);
}


static ngx_http_gray_json_t *
ngx_http_gray_upload_json(ngx_str_t *name, ngx_http_gray_list_info_t *info)
{
    ngx_http_gray_json_t  *json;

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_reply_string(json, "list", name) != NGX_OK
        || ngx_http_gray_reply_number(json, "revision", info->revision)
           != NGX_OK)
    {
        goto failed;
    }

    if (info->deleted) {
        if (ngx_http_gray_json_set(json, "deleted",
                                   ngx_http_gray_json_boolean(1))
            != NGX_OK)
        {
            goto failed;
        }

        return json;
    }

    if (ngx_http_gray_reply_number(json, "entries", info->entries) != NGX_OK
        || ngx_http_gray_reply_number(json, "bytes", info->bytes) != NGX_OK
        || ngx_http_gray_reply_number(json, "file", info->size) != NGX_OK
        || ngx_http_gray_json_set(json, "networks",
                                  ngx_http_gray_json_boolean(info->odd == 0))
           != NGX_OK
        || ngx_http_gray_reply_number(json, "time", info->time) != NGX_OK)
    {
        goto failed;
    }

    return json;

failed:

    ngx_http_gray_json_free(json);

    return NULL;
}


ngx_int_t
ngx_http_gray_upload_index(ngx_http_request_t *r, ngx_http_gray_zone_t *zone)
{
    ngx_str_t                   name;
    ngx_uint_t                  i, n;
    ngx_http_gray_json_t       *json, *list, *item;
    ngx_http_gray_zone_t      **zones;
    ngx_http_gray_list_info_t   info;
    ngx_http_gray_main_conf_t  *gmcf;

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_gray_module);
    zones = gmcf->zones.elts;

    json = ngx_http_gray_json_object();
    list = ngx_http_gray_json_array();

    for (n = 0; n < gmcf->zones.nelts; n++) {

        if (zone && zones[n] != zone) {
            continue;
        }

        for (i = 0;
             list && ngx_http_gray_lists_item(zones[n], i, &name, &info)
                     == NGX_OK;
             i++)
        {
            if (info.deleted) {
                continue;
            }

            item = ngx_http_gray_upload_json(&name, &info);

            if (ngx_http_gray_reply_string(item, "zone",
                                           &zones[n]->shm_zone->shm.name)
                != NGX_OK)
            {
                ngx_http_gray_json_free(item);
                item = NULL;
            }

            if (ngx_http_gray_json_append(list, item) != NGX_OK) {
                ngx_http_gray_json_free(list);
                list = NULL;
            }
        }
    }

    if (ngx_http_gray_json_set(json, "lists", list) != NGX_OK) {
        ngx_http_gray_json_free(json);
        json = NULL;
    }

    return ngx_http_gray_reply_json(r, json);
}


ngx_int_t
ngx_http_gray_upload_get(ngx_http_request_t *r, ngx_http_gray_zone_t *zone,
    ngx_str_t *name)
{
    int                         fd;
    ngx_int_t                   rc;
    ngx_pool_cleanup_t         *cln;
    ngx_pool_cleanup_file_t    *clnf;
    ngx_http_gray_list_info_t   info;

    fd = ngx_http_gray_lists_name(name) ? ngx_http_gray_lists_open(zone, name)
                                        : -1;

    if (fd == -1) {
        return ngx_http_gray_upload_unknown(r, zone, name);
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_pool_cleanup_file_t));

    if (cln == NULL) {
        (void) close(fd);
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    cln->handler = ngx_pool_cleanup_file;

    clnf = cln->data;
    clnf->fd = fd;
    clnf->name = (u_char *) "list";
    clnf->log = r->pool->log;

    rc = ngx_http_gray_list_stat(fd, &info);

    if (rc != NGX_OK) {
        return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "the file \"%V.list\" in the state directory "
                                "cannot be read, or is damaged", name);
    }

    if (info.deleted) {
        return ngx_http_gray_upload_unknown(r, zone, name);
    }

    if (ngx_http_gray_reply_matches(r, "If-Match", info.revision, 0) == 0) {
        return ngx_http_gray_reply_problem(r, NGX_HTTP_PRECONDITION_FAILED,
                                "If-Match names another revision than the "
                                "current one, %uL", info.revision);
    }

    if (ngx_http_gray_reply_etag(r, info.revision) != NGX_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    if (ngx_http_gray_reply_matches(r, "If-None-Match", info.revision, 1)
        == 1)
    {
        return ngx_http_gray_reply_not_modified(r);
    }

    return ngx_http_gray_reply_file(r, "text/plain; charset=utf-8", fd,
                                    info.pos, info.bytes);
}
