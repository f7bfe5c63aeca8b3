
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

#include "ngx_http_gray_commit.h"
#include "ngx_http_gray_journals.h"
#include "ngx_http_gray_listing.h"
#include "ngx_http_gray_release.h"
#include "ngx_http_gray_reply.h"
#include "ngx_http_gray_store.h"
#include "ngx_http_gray_task.h"
#include "ngx_http_gray_upload.h"


#define NGX_HTTP_GRAY_UPLOAD_PAUSE     10      /* ms */
#define NGX_HTTP_GRAY_UPLOAD_PATIENCE  2000    /* ms, for the lock */
#define NGX_HTTP_GRAY_UPLOAD_GUARD     60000   /* ms */


typedef struct ngx_http_gray_upload_s  ngx_http_gray_upload_t;

typedef void (*ngx_http_gray_upload_step_pt)(ngx_http_gray_store_t *store);
typedef void (*ngx_http_gray_upload_pt)(ngx_http_gray_upload_t *job);

struct ngx_http_gray_upload_s {
    ngx_http_request_t           *request;  /* NULL: the client has gone */
    ngx_http_gray_zone_t         *zone;
    ngx_str_t                     name;
    ngx_http_gray_store_t         store;
    ngx_uint_t                    locked;   /* unsigned  locked:1; */
    ngx_uint_t                    listing;  /* unsigned  listing:1; it waits
                                               for the lock of journals, */
    ngx_uint_t                    passed;   /* unsigned  passed:1; or has it, */
    ngx_uint_t                    levelled; /* unsigned  levelled:1; and knows
                                               what they have */
    ngx_http_gray_release_t      *behind;   /* whose journal is looked at */
    ngx_http_gray_journal_t      *visit;

    ngx_http_gray_task_t          task;
    ngx_http_gray_upload_step_pt  step;
    ngx_http_gray_upload_pt       next;
    ngx_msec_t                    since;

    u_char                        data[NGX_HTTP_GRAY_NAME + 1];
};


static ngx_http_gray_upload_t *ngx_http_gray_upload_create(
    ngx_http_request_t *r, ngx_http_gray_zone_t *zone, ngx_str_t *name,
    ngx_uint_t dry_run);
static ngx_int_t ngx_http_gray_upload_body(ngx_http_gray_upload_t *job);
static ngx_int_t ngx_http_gray_upload_start(ngx_http_gray_upload_t *job,
    ngx_http_gray_upload_step_pt step, ngx_http_gray_upload_pt next);
static ngx_int_t ngx_http_gray_upload_post(ngx_http_gray_upload_t *job,
    ngx_http_gray_upload_step_pt step, ngx_http_gray_upload_pt next);
static void ngx_http_gray_upload_step(void *data);
static void ngx_http_gray_upload_done(void *data);
static void ngx_http_gray_upload_made(ngx_http_gray_upload_t *job);
static void ngx_http_gray_upload_retry(ngx_event_t *ev);
static void ngx_http_gray_upload_commit(ngx_http_gray_upload_t *job);
static ngx_int_t ngx_http_gray_upload_judge(ngx_http_gray_upload_t *job,
    ngx_int_t *answer);
static ngx_int_t ngx_http_gray_upload_pass(ngx_http_gray_upload_t *job);
static ngx_int_t ngx_http_gray_upload_level(ngx_http_gray_upload_t *job);
static void ngx_http_gray_upload_visit(void *data);
static void ngx_http_gray_upload_visited(ngx_http_gray_upload_t *job);
static void ngx_http_gray_upload_visit_free(ngx_http_gray_upload_t *job);
static void ngx_http_gray_upload_passed(ngx_http_gray_upload_t *job);
static void ngx_http_gray_upload_note(ngx_http_gray_upload_t *job,
    ngx_pid_t pid);
static ngx_int_t ngx_http_gray_upload_judge_put(ngx_http_gray_upload_t *job,
    ngx_int_t *answer);
static ngx_int_t ngx_http_gray_upload_judge_delete(ngx_http_gray_upload_t *job,
    ngx_int_t *answer);
static void ngx_http_gray_upload_written(ngx_http_gray_upload_t *job);
static ngx_int_t ngx_http_gray_upload_answer(ngx_http_gray_upload_t *job,
    ngx_http_gray_list_info_t *info, ngx_uint_t created);
static ngx_int_t ngx_http_gray_upload_failure(ngx_http_gray_upload_t *job);
static void ngx_http_gray_upload_finish(ngx_http_gray_upload_t *job,
    ngx_int_t rc);
static void ngx_http_gray_upload_leave(ngx_http_gray_upload_t *job);
static void ngx_http_gray_upload_unlock(ngx_http_gray_upload_t *job);
static void ngx_http_gray_upload_late(ngx_event_t *ev);
static void ngx_http_gray_upload_free(ngx_http_gray_upload_t *job);
static void ngx_http_gray_upload_cleanup(void *data);
static ngx_log_t *ngx_http_gray_upload_log(ngx_http_gray_upload_t *job);


ngx_int_t
ngx_http_gray_upload(ngx_http_request_t *r, ngx_http_gray_zone_t *zone,
    ngx_str_t *name, ngx_uint_t dry_run)
{
    ngx_http_gray_upload_t  *job;

    if (!ngx_http_gray_directory_name(name)) {
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

    return ngx_http_gray_upload_start(job, ngx_http_gray_store_make,
                                      ngx_http_gray_upload_made);
}


ngx_int_t
ngx_http_gray_upload_delete(ngx_http_request_t *r, ngx_http_gray_zone_t *zone,
    ngx_str_t *name, ngx_uint_t dry_run)
{
    ngx_http_gray_upload_t  *job;

    if (!ngx_http_gray_directory_name(name)) {
        return ngx_http_gray_listing_unknown(r, zone, name);
    }

    job = ngx_http_gray_upload_create(r, zone, name, dry_run);

    if (job == NULL) {
        return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                     "memory is short, nothing was changed");
    }

    job->store.remove = 1;

    return ngx_http_gray_upload_start(job, ngx_http_gray_store_make,
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

    cln->handler = ngx_http_gray_upload_cleanup;
    cln->data = job;

    job->request = r;
    job->zone = zone;
    job->task.data = job;

    job->name.data = job->data;
    job->name.len = name->len;
    ngx_memcpy(job->data, name->data, name->len);

    if (ngx_http_gray_store_create(&job->store,
                                   ngx_http_gray_lists_directory(zone), name)
        != NGX_OK)
    {
        return NULL;
    }

    job->store.dry_run = dry_run;

    return job;
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

        job->store.body = fcntl(b->file->fd, F_DUPFD_CLOEXEC, 0);
        job->store.pos = b->file_pos;
        job->store.len = (size_t) (b->file_last - b->file_pos);

        return job->store.body == -1 ? NGX_ERROR : NGX_OK;
    }

    for (cl = bufs; cl; cl = cl->next) {
        job->store.len += (size_t) ngx_buf_size(cl->buf);
    }

    job->store.text = malloc(job->store.len + 1);
    if (job->store.text == NULL) {
        return NGX_ERROR;
    }

    p = job->store.text;

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
    ngx_http_gray_upload_step_pt step, ngx_http_gray_upload_pt next)
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
    ngx_http_gray_upload_step_pt step, ngx_http_gray_upload_pt next)
{
    job->step = step;
    job->next = next;

    return ngx_http_gray_task_post(&job->task, job->zone->threads,
                                   ngx_http_gray_upload_step,
                                   ngx_http_gray_upload_done);
}


static void
ngx_http_gray_upload_step(void *data)
{
    ngx_http_gray_upload_t *job = data;

    job->step(&job->store);
}


static void
ngx_http_gray_upload_done(void *data)
{
    ngx_connection_t        *c;
    ngx_http_gray_upload_t  *job;

    job = data;
    c = job->request ? job->request->connection : NULL;

    if (c) {
        ngx_http_set_log_request(c->log, job->request);
    }

    job->next(job);

    if (c) {
        ngx_http_run_posted_requests(c);
    }
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

    if (job->store.rc == NGX_DECLINED) {
        rc = ngx_http_gray_reply_faults(r, 422, "Invalid list",
                                        &job->store.build.faults);
        ngx_http_gray_upload_finish(job, rc);
        return;
    }

    if (job->store.rc != NGX_OK) {
        rc = ngx_http_gray_upload_failure(job);
        ngx_http_gray_upload_finish(job, rc);
        return;
    }

    ngx_memzero(&job->task.event, sizeof(ngx_event_t));

    job->task.event.data = job;
    job->task.event.log = ngx_cycle->log;
    job->task.event.handler = ngx_http_gray_upload_retry;
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
    rc = NGX_OK;

    if (!job->locked) {
        rc = ngx_http_gray_directory_lock(
                                    ngx_http_gray_lists_directory(job->zone),
                                    r->connection->log);
        job->locked = (rc == NGX_OK);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_gray_upload_pass(job);
    }

    if (rc == NGX_DONE) {
        return;
    }

    if (rc == NGX_AGAIN
        && ngx_current_msec - job->since < NGX_HTTP_GRAY_UPLOAD_PATIENCE)
    {
        ngx_add_timer(&job->task.event, NGX_HTTP_GRAY_UPLOAD_PAUSE
                      + ngx_random() % NGX_HTTP_GRAY_UPLOAD_PAUSE);
        return;
    }

    if (rc != NGX_OK) {
        rc = ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                rc == NGX_AGAIN
                                ? "another process writes lists of the zone "
                                  "for seconds, nothing was changed"
                                : "the state directory cannot be locked, or "
                                  "memory or threads are short, nothing was "
                                  "changed");
        ngx_http_gray_upload_finish(job, rc);
        return;
    }

    if (ngx_http_gray_upload_judge(job, &rc) == NGX_OK) {

        rc = ngx_http_gray_upload_start(job, ngx_http_gray_store_write,
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
                                            &job->store.present);

    if (rc == NGX_ERROR) {
        *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "the file \"%V.list\" in the state directory "
                                "cannot be read, or is damaged: see the error "
                                "log, and move it away", &job->name);
        return NGX_DONE;
    }

    job->store.exists = (rc == NGX_OK && !job->store.present.deleted);
    job->store.revision = job->store.present.revision + 1;
    job->store.time = ngx_time();

    if (job->store.exists) {
        match = ngx_http_gray_reply_matches(r, "If-Match",
                                            job->store.present.revision, 0);
        none = ngx_http_gray_reply_matches(r, "If-None-Match",
                                           job->store.present.revision, 0);

    } else {
        /* not even "*" names what there is not */

        match = ngx_http_gray_reply_matches(r, "If-Match", 0, 0);
        match = (match == NGX_DECLINED) ? match : 0;
        none = 0;
    }

    if (job->store.remove && !job->store.exists) {
        *answer = ngx_http_gray_listing_unknown(r, job->zone, &job->name);
        return NGX_DONE;
    }

    if (match == 0 || none == 1) {
        *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_PRECONDITION_FAILED,
                                job->store.exists
                                ? "the condition does not hold, the current "
                                  "revision is %uL"
                                : "the condition does not hold, there is no "
                                  "such list", job->store.present.revision);
        return NGX_DONE;
    }

    if (rc == NGX_BUSY) {
        *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_CONFLICT,
                                "a zone has at most %d lists; those that were "
                                "deleted count until nginx is restarted",
                                NGX_HTTP_GRAY_REVISIONS);
        return NGX_DONE;
    }

    return job->store.remove ? ngx_http_gray_upload_judge_delete(job, answer)
                       : ngx_http_gray_upload_judge_put(job, answer);
}


/*
 * Documents that use the list may be on their way, or known to another zone
 * only.  So from here on, until it is gone, nobody writes a document; and this
 * zone has to know of all that were written.  NGX_OK, NGX_AGAIN or NGX_ERROR,
 * as of the lock.
 */

static ngx_int_t
ngx_http_gray_upload_pass(ngx_http_gray_upload_t *job)
{
    ngx_int_t                  rc;
    ngx_http_gray_journals_t  *journals;

    if (job->levelled || job->store.dry_run
        || (!job->store.remove && job->store.build.odd == 0))
    {
        return NGX_OK;
    }

    journals = job->zone->journals;

    if (!job->listing) {
        ngx_http_gray_upload_note(job, ngx_pid);

        job->listing = 1;
        journals->listing++;
    }

    if (!job->passed) {
        rc = ngx_http_gray_directory_lock(&journals->directory,
                                          ngx_http_gray_upload_log(job));
        if (rc != NGX_OK) {
            return rc;
        }

        job->passed = 1;
    }

    return ngx_http_gray_upload_level(job);
}


/*
 * What journals have that the zone does not know of, one after the other:
 * NGX_OK where there is no more, NGX_DONE where a thread is at it.
 */

static ngx_int_t
ngx_http_gray_upload_level(ngx_http_gray_upload_t *job)
{
    job->behind = ngx_http_gray_journals_behind(job->zone->data, job->zone);

    if (job->behind == NULL) {
        job->levelled = 1;
        return NGX_OK;
    }

    job->visit = calloc(1, sizeof(ngx_http_gray_journal_t));

    if (job->visit == NULL
        || ngx_http_gray_journals_visit(job->behind, job->visit) != NGX_OK)
    {
        ngx_http_gray_upload_visit_free(job);
        return NGX_ERROR;
    }

    job->next = ngx_http_gray_upload_visited;

    if (ngx_http_gray_task_post(&job->task, job->zone->threads,
                                ngx_http_gray_upload_visit,
                                ngx_http_gray_upload_done)
        != NGX_OK)
    {
        ngx_http_gray_upload_visit_free(job);
        return NGX_ERROR;
    }

    return NGX_DONE;
}


static void
ngx_http_gray_upload_visit(void *data)
{
    ngx_http_gray_upload_t *job = data;

    ngx_http_gray_journal_write(job->visit);
}


static void
ngx_http_gray_upload_visited(ngx_http_gray_upload_t *job)
{
    ngx_int_t  rc;

    rc = ngx_http_gray_journals_visited_locked(job->behind, job->visit,
                                               ngx_http_gray_upload_log(job));

    ngx_http_gray_upload_visit_free(job);

    if (job->request == NULL) {
        ngx_http_gray_upload_finish(job, NGX_DONE);
        return;
    }

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        rc = ngx_http_gray_reply_problem(job->request,
                                NGX_HTTP_SERVICE_UNAVAILABLE,
                                "the journal of release \"%V\", which may use "
                                "the list, cannot be read; nothing was changed",
                                &job->behind->name);
        ngx_http_gray_upload_finish(job, rc);
        return;
    }

    job->task.event.data = job;
    job->task.event.handler = ngx_http_gray_upload_retry;

    ngx_http_gray_upload_commit(job);
}


static void
ngx_http_gray_upload_visit_free(ngx_http_gray_upload_t *job)
{
    if (job->visit) {
        ngx_http_gray_journal_free(job->visit);
        free(job->visit);
        job->visit = NULL;
    }
}


static void
ngx_http_gray_upload_passed(ngx_http_gray_upload_t *job)
{
    ngx_http_gray_journals_t  *journals;

    if (!job->listing) {
        return;
    }

    journals = job->zone->journals;

    job->listing = 0;
    journals->listing--;

    if (job->passed) {
        job->passed = 0;
        ngx_http_gray_directory_unlock(&journals->directory);

    } else {
        ngx_http_gray_directory_give_up(&journals->directory);
    }

    ngx_http_gray_commit_wake(job->zone);
}


static void
ngx_http_gray_upload_note(ngx_http_gray_upload_t *job, ngx_pid_t pid)
{
    ngx_http_gray_revision_t  *entry;

    entry = ngx_http_gray_revisions_find(ngx_http_gray_lists_table(job->zone),
                                         &job->name);
    if (entry == NULL) {
        return;
    }

    __atomic_store_n(job->store.remove ? &entry->deleting : &entry->changing,
                     (uint64_t) pid, __ATOMIC_SEQ_CST);
}


static ngx_int_t
ngx_http_gray_upload_judge_put(ngx_http_gray_upload_t *job,
    ngx_int_t *answer)
{
    ngx_http_gray_faults_t  faults;

    if (job->store.build.odd) {
        faults.n = 0;

        if (ngx_http_gray_listing_uses(job->zone, &job->name, "cidr_list",
                                       &faults)
            != NGX_OK)
        {
            *answer = ngx_http_gray_upload_failure(job);
            return NGX_DONE;
        }

        if (faults.n) {
            *answer = ngx_http_gray_reply_problem(job->request, 422,
                                "line %ui is no address and no network, and "
                                "the list is one of networks: %s",
                                job->store.build.odd, faults.fault[0].detail);
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

    if (ngx_http_gray_listing_uses(job->zone, &job->name, NULL, &faults)
        != NGX_OK)
    {
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


static void
ngx_http_gray_upload_written(ngx_http_gray_upload_t *job)
{
    ngx_int_t                   rc;
    ngx_http_request_t         *r;
    ngx_http_gray_list_info_t  *info;

    r = job->request;
    info = (job->store.rc == NGX_DECLINED) ? &job->store.present
                                           : &job->store.build.info;

    if (job->store.rc == NGX_OK && !job->store.dry_run) {
        (void) ngx_http_gray_revisions_publish_locked(
                                       ngx_http_gray_lists_table(job->zone),
                                       &job->name, info);

        ngx_log_error(NGX_LOG_NOTICE, ngx_http_gray_upload_log(job), 0,
                      "gray: list \"%V\" revision %uL, %uL entries%s",
                      &job->name, info->revision, info->entries,
                      job->store.remove ? ", is deleted" : "");

    } else if (job->store.rc == NGX_ERROR) {
        ngx_http_gray_revisions_recall_locked(
                                       ngx_http_gray_lists_table(job->zone));
    }

    ngx_http_gray_upload_unlock(job);

    rc = NGX_DONE;

    if (r) {
        rc = (job->store.rc == NGX_ERROR)
             ? ngx_http_gray_upload_failure(job)
             : ngx_http_gray_upload_answer(job, info, !job->store.exists);
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

    rc = NGX_OK;

    if (job->store.dry_run) {
        rc = ngx_http_gray_reply_header(r, "X-Gray-Dry-Run", "1");
    }

    if (rc == NGX_OK && !job->store.dry_run && !job->store.remove) {
        rc = ngx_http_gray_reply_etag(r, info->revision);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    json = ngx_http_gray_listing_json(&job->name, info);

    if (json && !job->store.remove
        && ngx_http_gray_reply_number(json, "duplicates",
                                      job->store.build.duplicates)
           != NGX_OK)
    {
        ngx_http_gray_json_free(json);
        json = NULL;
    }

    return (created && !job->store.remove)
           ? ngx_http_gray_reply_created(r, json)
           : ngx_http_gray_reply_json(r, json);
}


static ngx_int_t
ngx_http_gray_upload_failure(ngx_http_gray_upload_t *job)
{
    u_char     *p, reason[NGX_MAX_ERROR_STR];
    ngx_err_t   err;

    err = job->store.err ? job->store.err : NGX_ENOMEM;

    ngx_log_error(NGX_LOG_ERR, ngx_http_gray_upload_log(job), err,
                  "gray: list \"%V\": %s in \"%V\" failed", &job->name,
                  job->store.failed ? job->store.failed : "malloc()",
                  &job->zone->state);

    p = ngx_strerror(err, reason, sizeof(reason) - 1);
    *p = '\0';

    if (job->store.unknown) {
        return ngx_http_gray_reply_problem(job->request,
                                NGX_HTTP_SERVICE_UNAVAILABLE,
                                "the outcome is unknown: the state directory "
                                "could neither keep the list nor take it back, "
                                "and it may come into force: %s", reason);
    }

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
        job->task.event.data = job;
        ngx_http_gray_upload_late(&job->task.event);
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
    if (job->task.event.timer_set) {
        ngx_del_timer(&job->task.event);
    }

    ngx_http_gray_store_leave(&job->store);

    if (job->locked) {
        ngx_http_gray_upload_unlock(job);
    }
}


static void
ngx_http_gray_upload_unlock(ngx_http_gray_upload_t *job)
{
    ngx_http_gray_revision_t  *entry;

    entry = ngx_http_gray_revisions_find(ngx_http_gray_lists_table(job->zone),
                                         &job->name);
    if (entry) {
        __atomic_store_n(&entry->deleting, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&entry->changing, 0, __ATOMIC_SEQ_CST);
    }

    ngx_http_gray_directory_unlock(ngx_http_gray_lists_directory(job->zone));
    job->locked = 0;

    ngx_http_gray_upload_passed(job);
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

    if (job->task.running) {
        return;
    }

    ngx_http_gray_upload_leave(job);

    if (job->store.body == -1) {
        ngx_http_gray_upload_free(job);
        return;
    }

    ev = &job->task.event;
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

    if (job->store.body == -1
        || ngx_http_gray_upload_post(job, ngx_http_gray_store_free,
                                     ngx_http_gray_upload_free)
           != NGX_OK)
    {
        ngx_http_gray_upload_free(job);
    }
}


static void
ngx_http_gray_upload_free(ngx_http_gray_upload_t *job)
{
    ngx_http_gray_store_free(&job->store);
    free(job);
}


static ngx_log_t *
ngx_http_gray_upload_log(ngx_http_gray_upload_t *job)
{
    return job->request ? job->request->connection->log : ngx_cycle->log;
}
