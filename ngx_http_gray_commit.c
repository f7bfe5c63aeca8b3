
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * How a document becomes the next revision.
 *
 * Without a state directory: the zone's lock, a look whether the revision is
 * still the one it is built on, and the copy.
 *
 * With one: the lock of the directory, the same look, a record that a thread
 * appends to the journal and syncs, and then the copy, while the directory is
 * still locked.  Nobody waits for a lock in the kernel.  Writes of one process
 * queue up, and the first of them tries by a timer to get the lock from other
 * processes; for longer than 100 ms it does not.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_commit.h"
#include "ngx_http_gray_failpoint.h"
#include "ngx_http_gray_live.h"


#define NGX_HTTP_GRAY_COMMIT_PAUSE    2      /* ms */
#define NGX_HTTP_GRAY_COMMIT_LISTING  20     /* ms */


static ngx_int_t ngx_http_gray_commit_try(ngx_http_gray_commit_t *commit);
static ngx_int_t ngx_http_gray_commit_plain(ngx_http_gray_commit_t *commit);
static ngx_int_t ngx_http_gray_commit_durable(ngx_http_gray_commit_t *commit);
static void ngx_http_gray_commit_hurry(ngx_http_gray_journals_t *journals);
static ngx_int_t ngx_http_gray_commit_begin(ngx_http_gray_commit_t *commit);
static void ngx_http_gray_commit_step(void *data);
static void ngx_http_gray_commit_synced(void *data);
static ngx_int_t ngx_http_gray_commit_publish(ngx_http_gray_commit_t *commit);
static void ngx_http_gray_commit_publish_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_gray_commit_wait(ngx_http_gray_commit_t *commit,
    ngx_event_handler_pt handler);
static void ngx_http_gray_commit_handler(ngx_event_t *ev);
static void ngx_http_gray_commit_end(ngx_http_gray_commit_t *commit,
    ngx_int_t rc);
static void ngx_http_gray_commit_unlock(ngx_http_gray_commit_t *commit);
static void ngx_http_gray_commit_unqueue(ngx_http_gray_commit_t *commit);
static void ngx_http_gray_commit_next(ngx_http_gray_journals_t *journals,
    ngx_uint_t held);
static void ngx_http_gray_commit_free(ngx_http_gray_commit_t *commit);
static ngx_http_gray_journals_t *ngx_http_gray_commit_journals(
    ngx_http_gray_commit_t *commit);


ngx_http_gray_commit_t *
ngx_http_gray_commit_create(ngx_http_gray_release_t *release)
{
    ngx_http_gray_commit_t  *commit;

    commit = calloc(1, sizeof(ngx_http_gray_commit_t));
    if (commit == NULL) {
        return NULL;
    }

    commit->release = release;
    commit->task.data = commit;

    return commit;
}


ngx_int_t
ngx_http_gray_commit_start(ngx_http_gray_commit_t *commit)
{
    if (commit->since == 0) {
        commit->since = ngx_current_msec;
    }

    commit->tried = ngx_current_msec;
    commit->patience = commit->quiet ? NGX_HTTP_GRAY_COMMIT_QUIET
                                     : NGX_HTTP_GRAY_COMMIT_PATIENCE;

    ngx_memzero(&commit->task.event, sizeof(ngx_event_t));

    commit->task.event.data = commit;
    commit->task.event.log = ngx_cycle->log;
    commit->task.event.handler = ngx_http_gray_commit_handler;

    return ngx_http_gray_commit_try(commit);
}


static ngx_int_t
ngx_http_gray_commit_try(ngx_http_gray_commit_t *commit)
{
    return commit->release->zone->journals
           ? ngx_http_gray_commit_durable(commit)
           : ngx_http_gray_commit_plain(commit);
}


static ngx_int_t
ngx_http_gray_commit_plain(ngx_http_gray_commit_t *commit)
{
    ngx_int_t  rc;

    rc = ngx_http_gray_live_write(commit->release, commit->word,
                                  &commit->text, commit->origin,
                                  ngx_cycle->log);
    if (rc != NGX_AGAIN) {
        return rc;
    }

    return ngx_http_gray_commit_wait(commit, ngx_http_gray_commit_handler);
}


static ngx_int_t
ngx_http_gray_commit_durable(ngx_http_gray_commit_t *commit)
{
    ngx_int_t                  rc;
    ngx_http_gray_journals_t  *journals;

    journals = ngx_http_gray_commit_journals(commit);

    if (!commit->queued) {
        ngx_http_gray_commit_hurry(journals);

        ngx_queue_insert_tail(&journals->waiting, &commit->queue);
        commit->queued = 1;
    }

    /* who is in front of it wakes it up */

    if (journals->directory.locked
        || ngx_queue_head(&journals->waiting) != &commit->queue)
    {
        ngx_add_timer(&commit->task.event, NGX_HTTP_GRAY_COMMIT_QUEUE);
        return NGX_DONE;
    }

    rc = ngx_http_gray_directory_lock(&journals->directory, ngx_cycle->log);

    if (rc == NGX_AGAIN) {
        rc = ngx_http_gray_commit_wait(commit, ngx_http_gray_commit_handler);
        if (rc == NGX_AGAIN) {
            ngx_http_gray_commit_unqueue(commit);
        }

        return rc;
    }

    if (rc == NGX_OK) {
        commit->locked = 1;
        commit->held = 1;
        rc = ngx_http_gray_commit_begin(commit);

    } else {
        commit->journal.err = ngx_errno;
        commit->journal.failed = "the lock";

        ngx_http_gray_journals_unknown(commit->release, commit->journal.err);
    }

    if (rc != NGX_DONE) {
        ngx_http_gray_commit_unlock(commit);
        ngx_http_gray_commit_unqueue(commit);
    }

    return rc;
}


/* somebody comes to wait behind one that has time */

static void
ngx_http_gray_commit_hurry(ngx_http_gray_journals_t *journals)
{
    ngx_queue_t             *head;
    ngx_http_gray_commit_t  *first;

    if (ngx_queue_empty(&journals->waiting)) {
        return;
    }

    head = ngx_queue_head(&journals->waiting);
    first = ngx_queue_data(head, ngx_http_gray_commit_t, queue);

    first->patience = NGX_HTTP_GRAY_COMMIT_PATIENCE;
}


static ngx_int_t
ngx_http_gray_commit_begin(ngx_http_gray_commit_t *commit)
{
    ngx_http_gray_release_t  *release;
    ngx_http_gray_journal_t  *journal;

    release = commit->release;
    journal = &commit->journal;

    (void) ngx_http_gray_fails("commit_locked");

    if (commit->text.data) {

        if (ngx_http_gray_live_left(release)) {
            return NGX_ABORT;
        }

        if (ngx_http_gray_shm_word(release->block) != commit->word
            || (commit->holds && !commit->holds(commit)))
        {
            return NGX_DECLINED;
        }

        if (commit->text.len
            > release->block->size + NGX_HTTP_GRAY_MORE_DISABLED)
        {
            return NGX_BUSY;
        }
    }

    if (ngx_http_gray_journals_visit(release, journal) != NGX_OK) {
        return NGX_ERROR;
    }

    if (commit->text.data == NULL) {

        /* another process may have done it meanwhile */

        if (journal->base.len == 0) {
            return NGX_OK;
        }

    } else if (ngx_http_gray_journals_record(journal->revision + 1,
                                             commit->origin, &commit->author,
                                             &commit->user, &commit->comment,
                                             &commit->text, &journal->line)
               != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_gray_task_post(&commit->task, release->zone->threads,
                                ngx_http_gray_commit_step,
                                ngx_http_gray_commit_synced)
        != NGX_OK)
    {
        journal->err = NGX_EAGAIN;
        journal->failed = "the queue of threads";
        return NGX_ERROR;
    }

    return NGX_DONE;
}


static void
ngx_http_gray_commit_step(void *data)
{
    ngx_http_gray_commit_t *commit = data;

    ngx_http_gray_journal_write(&commit->journal);
}


static void
ngx_http_gray_commit_synced(void *data)
{
    ngx_http_gray_commit_t *commit = data;

    ngx_int_t  rc;

    rc = ngx_http_gray_journals_visited_locked(commit->release,
                                               &commit->journal,
                                               ngx_cycle->log);

    if (rc == NGX_OK && commit->text.data) {
        commit->task.event.data = commit;
        commit->tried = ngx_current_msec;
        rc = ngx_http_gray_commit_publish(commit);

    } else if (rc == NGX_ABORT) {
        commit->journal.failed = "a newer version";
        rc = NGX_ERROR;
    }

    if (rc != NGX_DONE) {
        ngx_http_gray_commit_end(commit, rc);
    }
}


/* it is durable: from here on it is the next revision, come what may */

static ngx_int_t
ngx_http_gray_commit_publish(ngx_http_gray_commit_t *commit)
{
    ngx_int_t  rc;

    (void) ngx_http_gray_fails("commit_publish");

    rc = ngx_http_gray_live_publish(commit->release, commit->word,
                                    &commit->text, commit->origin);

    if (rc == NGX_AGAIN) {
        rc = ngx_http_gray_commit_wait(commit,
                                       ngx_http_gray_commit_publish_handler);
    }

    (void) ngx_http_gray_fails("commit_published");

    /* the master did not wait for us, and has taken along what was before */

    if (rc == NGX_OK
        && commit->release->block->moves != commit->release->moves)
    {
        rc = NGX_ABORT;
    }

    if (rc != NGX_OK && rc != NGX_DONE) {
        commit->journal.unknown = 1;
        commit->journal.failed = "the zone's lock";
        rc = NGX_ERROR;
    }

    return rc;
}


static void
ngx_http_gray_commit_publish_handler(ngx_event_t *ev)
{
    ngx_http_gray_commit_t *commit = ev->data;

    ngx_int_t  rc;

    rc = ngx_http_gray_commit_publish(commit);

    if (rc != NGX_DONE) {
        ngx_http_gray_commit_end(commit, rc);
    }
}


/*
 * NGX_DONE, or NGX_AGAIN where it has been waiting for too long.  The timer
 * holds up a worker that shuts down, by intent: it does not wait for long.
 */

static ngx_int_t
ngx_http_gray_commit_wait(ngx_http_gray_commit_t *commit,
    ngx_event_handler_pt handler)
{
    if (ngx_current_msec - commit->tried >= commit->patience) {
        return NGX_AGAIN;
    }

    commit->task.event.handler = handler;

    /* by chance, so that those who contend do not meet again */

    ngx_add_timer(&commit->task.event, NGX_HTTP_GRAY_COMMIT_PAUSE
                  + ngx_random() % (5 * NGX_HTTP_GRAY_COMMIT_PAUSE));

    return NGX_DONE;
}


static void
ngx_http_gray_commit_handler(ngx_event_t *ev)
{
    ngx_http_gray_commit_t *commit = ev->data;

    ngx_int_t  rc;

    if (commit->queued
        && ngx_current_msec - commit->since >= NGX_HTTP_GRAY_COMMIT_QUEUE)
    {
        rc = NGX_AGAIN;

    } else {
        rc = ngx_http_gray_commit_try(commit);
    }

    if (rc != NGX_DONE) {
        ngx_http_gray_commit_end(commit, rc);
    }
}


static void
ngx_http_gray_commit_end(ngx_http_gray_commit_t *commit, ngx_int_t rc)
{
    ngx_http_gray_commit_unlock(commit);
    ngx_http_gray_commit_unqueue(commit);

    if (commit->done) {
        commit->done(commit, rc);
        return;
    }

    ngx_http_gray_commit_free(commit);
}


static void
ngx_http_gray_commit_unlock(ngx_http_gray_commit_t *commit)
{
    if (commit->locked) {
        ngx_http_gray_directory_unlock(
                          &ngx_http_gray_commit_journals(commit)->directory);
        commit->locked = 0;
    }
}


static void
ngx_http_gray_commit_unqueue(ngx_http_gray_commit_t *commit)
{
    ngx_uint_t                 first;
    ngx_http_gray_journals_t  *journals;

    if (!commit->queued) {
        return;
    }

    journals = ngx_http_gray_commit_journals(commit);
    first = (ngx_queue_head(&journals->waiting) == &commit->queue);

    ngx_queue_remove(&commit->queue);
    commit->queued = 0;

    if (!first) {
        return;
    }

    /* whoever of this process comes next has to try for it himself */

    if (!commit->held) {
        ngx_http_gray_directory_give_up(&journals->directory);
    }

    ngx_http_gray_commit_next(journals, commit->held);
}


void
ngx_http_gray_commit_wake(ngx_http_gray_zone_t *zone)
{
    ngx_http_gray_commit_next(zone->journals, 1);
}


/* who has waited for one of this process has not waited for another one yet */

static void
ngx_http_gray_commit_next(ngx_http_gray_journals_t *journals, ngx_uint_t held)
{
    ngx_queue_t             *head;
    ngx_http_gray_commit_t  *next;

    if (journals->directory.locked || ngx_queue_empty(&journals->waiting)) {
        return;
    }

    head = ngx_queue_head(&journals->waiting);
    next = ngx_queue_data(head, ngx_http_gray_commit_t, queue);

    if (held) {
        next->tried = ngx_current_msec;
    }

    if (next->queue.next != ngx_queue_sentinel(&journals->waiting)) {
        next->patience = NGX_HTTP_GRAY_COMMIT_PATIENCE;
    }

    next->task.event.handler = ngx_http_gray_commit_handler;

    if (next->task.event.timer_set) {
        ngx_del_timer(&next->task.event);
    }

    /* a list that is to be deleted needs the lock, too, for a moment */

    ngx_add_timer(&next->task.event,
                  journals->listing ? NGX_HTTP_GRAY_COMMIT_LISTING : 0);
}


void
ngx_http_gray_commit_leave(ngx_http_gray_commit_t *commit)
{
    commit->done = NULL;

    /* what is durable, or about to be, is to be told to all processes */

    if (commit->locked) {
        return;
    }

    if (commit->task.event.timer_set) {
        ngx_del_timer(&commit->task.event);
    }

    ngx_http_gray_commit_unqueue(commit);
    ngx_http_gray_commit_free(commit);
}


static void
ngx_http_gray_commit_free(ngx_http_gray_commit_t *commit)
{
    ngx_http_gray_journal_free(&commit->journal);

    free(commit->text.data);
    free(commit->author.data);
    free(commit->user.data);
    free(commit->comment.data);
    free(commit);
}


static ngx_http_gray_journals_t *
ngx_http_gray_commit_journals(ngx_http_gray_commit_t *commit)
{
    return commit->release->zone->journals;
}
