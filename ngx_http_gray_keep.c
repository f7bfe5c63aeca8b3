
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Rollouts outlive nginx by a file each, beside the journal of the release.
 * It is a header and the record as it lies in memory: another version of the
 * module may have another form of it, and then it cannot be read.
 *
 * A thread writes a new file, syncs it, and renames it.  Where the file that
 * is there says more than what is to be written, another process was faster,
 * and it stays.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ngx_http_gray_failpoint.h"
#include "ngx_http_gray_keep.h"
#include "ngx_http_gray_task.h"


#define NGX_HTTP_GRAY_KEEP_MAGIC    0x31306c6c6f725f67   /* "g_roll01" */
#define NGX_HTTP_GRAY_KEEP_RETRY    5000                 /* ms */
#define NGX_HTTP_GRAY_KEEP_WAITERS  16


typedef struct {
    uint64_t                       magic;
    uint64_t                       size;
    uint64_t                       checksum;   /* XXH64, seed 0 */
    ngx_http_gray_trial_record_t   record;
} ngx_http_gray_keep_file_t;


typedef struct {
    ngx_http_gray_keep_pt          done;       /* NULL: nobody */
    void                          *data;
} ngx_http_gray_keep_waiter_t;


/* of a release in this process */

typedef struct {
    ngx_http_gray_release_t       *release;
    ngx_http_gray_task_t           task;
    ngx_uint_t                     again;      /* unsigned  again:1; */
    ngx_http_gray_keep_file_t      file;

    ngx_http_gray_keep_waiter_t    waiting[NGX_HTTP_GRAY_KEEP_WAITERS];
    ngx_http_gray_keep_waiter_t    next[NGX_HTTP_GRAY_KEEP_WAITERS];

    ngx_err_t                      err;        /* 0: it is durable */
    const char                    *failed;
    ngx_err_t                      said;       /* in the log */
    ngx_event_t                    retry;

    char                           path[NGX_MAX_PATH];
    char                           temp[NGX_MAX_PATH];
    char                           dir[NGX_MAX_PATH];
} ngx_http_gray_keep_t;


static ngx_http_gray_keep_t *ngx_http_gray_keep_create(
    ngx_http_gray_release_t *release);
static void ngx_http_gray_keep_cleanup(void *data);
static void ngx_http_gray_keep_post(ngx_http_gray_keep_t *keep);
static void ngx_http_gray_keep_step(void *data);
static ngx_int_t ngx_http_gray_keep_save(ngx_http_gray_keep_t *keep);
static void ngx_http_gray_keep_saved(void *data);
static void ngx_http_gray_keep_retry(ngx_event_t *ev);
static void ngx_http_gray_keep_say(ngx_http_gray_keep_t *keep);
static void ngx_http_gray_keep_tell(ngx_http_gray_keep_waiter_t *waiting,
    ngx_int_t rc);
static ngx_int_t ngx_http_gray_keep_take_locked(
    ngx_http_gray_release_t *release,
    const ngx_http_gray_trial_record_t *record);
static ngx_int_t ngx_http_gray_keep_load(const char *path,
    ngx_http_gray_keep_file_t *file);


void
ngx_http_gray_keep_write(ngx_http_gray_release_t *release,
    ngx_http_gray_keep_pt done, void *data)
{
    ngx_uint_t                    i;
    ngx_http_gray_keep_t         *keep;
    ngx_http_gray_keep_waiter_t  *waiter;

    if (release->zone->journals == NULL) {
        if (done) {
            done(data, NGX_OK);
        }

        return;
    }

    keep = ngx_http_gray_keep_create(release);

    if (keep == NULL) {
        if (done) {
            done(data, NGX_ERROR);
        }

        return;
    }

    waiter = keep->task.running ? keep->next : keep->waiting;

    for (i = 0; done && i < NGX_HTTP_GRAY_KEEP_WAITERS; i++) {

        if (waiter[i].done == NULL) {
            waiter[i].done = done;
            waiter[i].data = data;
            break;
        }
    }

    if (i == NGX_HTTP_GRAY_KEEP_WAITERS) {
        done(data, NGX_BUSY);
        return;
    }

    if (keep->task.running) {
        keep->again = 1;
        return;
    }

    ngx_http_gray_keep_post(keep);
}


/* it is there as long as the configuration */

static ngx_http_gray_keep_t *
ngx_http_gray_keep_create(ngx_http_gray_release_t *release)
{
    int                    n;
    ngx_pool_cleanup_t    *cln;
    ngx_http_gray_keep_t  *keep;

    if (release->keep) {
        return release->keep;
    }

    cln = ngx_pool_cleanup_add(ngx_cycle->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    keep = calloc(1, sizeof(ngx_http_gray_keep_t));
    if (keep == NULL) {
        return NULL;
    }

    keep->release = release;
    keep->task.data = keep;
    keep->retry.handler = ngx_http_gray_keep_retry;
    keep->retry.data = keep;
    keep->retry.log = ngx_cycle->log;
    keep->retry.cancelable = 1;

    n = snprintf(keep->path, sizeof(keep->path), "%.*s/%.*s.rollout",
                 (int) release->zone->state.len,
                 (char *) release->zone->state.data, (int) release->name.len,
                 (char *) release->name.data);

    if ((size_t) n + 2 * NGX_INT64_LEN >= sizeof(keep->path)) {
        free(keep);
        return NULL;
    }

    (void) snprintf(keep->dir, sizeof(keep->dir), "%.*s",
                    (int) release->zone->state.len,
                    (char *) release->zone->state.data);

    cln->handler = ngx_http_gray_keep_cleanup;
    cln->data = keep;

    release->keep = keep;

    return keep;
}


/* a single process may reload while a thread is at it */

static void
ngx_http_gray_keep_cleanup(void *data)
{
    ngx_http_gray_keep_t *keep = data;

    if (keep->retry.timer_set) {
        ngx_del_timer(&keep->retry);
    }

    keep->release = NULL;

    if (!keep->task.running) {
        free(keep);
    }
}


static void
ngx_http_gray_keep_post(ngx_http_gray_keep_t *keep)
{
    ngx_http_gray_keep_file_t  *file;

    file = &keep->file;

    ngx_http_gray_trial_record(keep->release->trial, &file->record);

    file->magic = NGX_HTTP_GRAY_KEEP_MAGIC;
    file->size = sizeof(ngx_http_gray_keep_file_t);
    file->checksum = XXH64(&file->record, sizeof(file->record), 0);

    (void) ngx_snprintf((u_char *) keep->temp, sizeof(keep->temp),
                        "%s/.%V.rollout.%P.%ui%Z", keep->dir,
                        &keep->release->name, ngx_pid,
                        (ngx_uint_t) ngx_random());

    keep->err = 0;

    if (ngx_http_gray_task_post(&keep->task, keep->release->zone->threads,
                                ngx_http_gray_keep_step,
                                ngx_http_gray_keep_saved)
        != NGX_OK)
    {
        keep->err = NGX_EAGAIN;
        keep->failed = "the queue of threads";
        ngx_http_gray_keep_saved(keep);
    }
}


static void
ngx_http_gray_keep_step(void *data)
{
    ngx_http_gray_keep_t *keep = data;

    if (ngx_http_gray_keep_save(keep) != NGX_OK) {
        keep->err = errno ? errno : NGX_EINVAL;
        (void) unlink(keep->temp);
    }
}


static ngx_int_t
ngx_http_gray_keep_save(ngx_http_gray_keep_t *keep)
{
    int                         fd;
    ssize_t                     n;
    ngx_int_t                   rc;
    ngx_http_gray_keep_file_t   there;

    if (ngx_http_gray_keep_load(keep->path, &there) == NGX_OK
        && there.record.state.serial > keep->file.record.state.serial)
    {
        return NGX_OK;
    }

    keep->failed = "open()";

    fd = ngx_http_gray_fails("keep_open")
         ? -1 : open(keep->temp, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0600);

    if (fd == -1) {
        return NGX_ERROR;
    }

    keep->failed = "write()";

    n = ngx_http_gray_fails("keep_write")
        ? -1 : write(fd, &keep->file, sizeof(keep->file));

    rc = (n == (ssize_t) sizeof(keep->file)) ? NGX_OK : NGX_ERROR;

    if (rc == NGX_OK) {
        keep->failed = "fdatasync()";
        rc = (ngx_http_gray_fails("keep_sync") || fdatasync(fd) == -1)
             ? NGX_ERROR : NGX_OK;
    }

    if (close(fd) == -1 || rc != NGX_OK) {
        return NGX_ERROR;
    }

    keep->failed = "rename()";

    if (ngx_http_gray_fails("keep_rename")
        || rename(keep->temp, keep->path) == -1)
    {
        return NGX_ERROR;
    }

    keep->failed = "fsync()";

    fd = open(keep->dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    if (fd == -1) {
        return NGX_ERROR;
    }

    rc = fsync(fd);

    (void) close(fd);

    return rc == -1 ? NGX_ERROR : NGX_OK;
}


static void
ngx_http_gray_keep_saved(void *data)
{
    ngx_http_gray_keep_t *keep = data;

    ngx_int_t                     rc;
    ngx_http_gray_keep_waiter_t   waiting[NGX_HTTP_GRAY_KEEP_WAITERS];

    if (keep->release == NULL) {
        free(keep);
        return;
    }

    rc = keep->err ? NGX_ERROR : NGX_OK;

    ngx_http_gray_keep_say(keep);

    ngx_memcpy(waiting, keep->waiting, sizeof(waiting));
    ngx_memcpy(keep->waiting, keep->next, sizeof(waiting));
    ngx_memzero(keep->next, sizeof(waiting));

    if (keep->again) {
        keep->again = 0;
        ngx_http_gray_keep_post(keep);

    } else if (rc != NGX_OK && !keep->retry.timer_set) {
        ngx_add_timer(&keep->retry, NGX_HTTP_GRAY_KEEP_RETRY);
    }

    ngx_http_gray_keep_tell(waiting, rc);
}


/* what is over has no ticks any more that would do so */

static void
ngx_http_gray_keep_retry(ngx_event_t *ev)
{
    ngx_http_gray_keep_t  *keep;

    keep = ev->data;

    if (keep->release->trial && !keep->task.running) {
        ngx_http_gray_keep_post(keep);
    }
}


/* the same error is not said every few seconds */

static void
ngx_http_gray_keep_say(ngx_http_gray_keep_t *keep)
{
    if (keep->err == keep->said) {
        return;
    }

    keep->said = keep->err;

    if (keep->err) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, keep->err,
                      "gray: release \"%V\": %s \"%s\" failed, its rollout "
                      "would not survive a restart", &keep->release->name,
                      keep->failed, keep->path);

    } else {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "gray: release \"%V\": its rollout is kept again in "
                      "\"%s\"", &keep->release->name, keep->path);
    }
}


static void
ngx_http_gray_keep_tell(ngx_http_gray_keep_waiter_t *waiting, ngx_int_t rc)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_GRAY_KEEP_WAITERS; i++) {
        if (waiting[i].done) {
            waiting[i].done(waiting[i].data, rc);
        }
    }
}


void
ngx_http_gray_keep_leave(ngx_http_gray_release_t *release, void *data)
{
    ngx_uint_t             i;
    ngx_http_gray_keep_t  *keep;

    keep = release->keep;

    for (i = 0; keep && i < NGX_HTTP_GRAY_KEEP_WAITERS; i++) {

        if (keep->waiting[i].data == data) {
            keep->waiting[i].done = NULL;
        }

        if (keep->next[i].data == data) {
            keep->next[i].done = NULL;
        }
    }
}


ngx_int_t
ngx_http_gray_keep_read(ngx_http_gray_release_t *release, ngx_log_t *log)
{
    ngx_int_t                    rc;
    ngx_http_gray_keep_t        *keep;
    ngx_http_gray_keep_file_t   *file;

    if (release->zone->journals == NULL) {
        return NGX_DECLINED;
    }

    keep = ngx_http_gray_keep_create(release);
    file = malloc(sizeof(ngx_http_gray_keep_file_t));

    if (keep == NULL || file == NULL) {
        free(file);
        return NGX_AGAIN;
    }

    rc = ngx_http_gray_keep_load(keep->path, file);

    if (rc == NGX_ERROR) {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "gray: release \"%V\": \"%s\" cannot be read, or is of "
                      "another version, or damaged", &release->name,
                      keep->path);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_gray_shm_lock(release->zone);

        if (rc == NGX_OK) {
            rc = ngx_http_gray_keep_take_locked(release, &file->record);
            ngx_http_gray_shm_unlock(release->zone);
        }
    }

    free(file);

    return rc;
}


/* another worker may have done so meanwhile, and have gone on */

static ngx_int_t
ngx_http_gray_keep_take_locked(ngx_http_gray_release_t *release,
    const ngx_http_gray_trial_record_t *record)
{
    ngx_http_gray_state_t  state;

    if (ngx_http_gray_trial_word(release->trial)) {
        ngx_http_gray_trial_read(release->trial, &state);

        if (record->state.serial <= state.serial) {
            return NGX_DECLINED;
        }
    }

    ngx_http_gray_trial_restore_locked(release->trial, record);

    return NGX_OK;
}


/* NGX_OK, NGX_DECLINED where there is none, or NGX_ERROR */

static ngx_int_t
ngx_http_gray_keep_load(const char *path, ngx_http_gray_keep_file_t *file)
{
    int      fd;
    ssize_t  n;

    fd = open(path, O_RDONLY|O_CLOEXEC|O_NONBLOCK);

    if (fd == -1) {
        return errno == ENOENT ? NGX_DECLINED : NGX_ERROR;
    }

    n = read(fd, file, sizeof(ngx_http_gray_keep_file_t));

    (void) close(fd);

    if (n != (ssize_t) sizeof(ngx_http_gray_keep_file_t)
        || file->magic != NGX_HTTP_GRAY_KEEP_MAGIC
        || file->size != sizeof(ngx_http_gray_keep_file_t)
        || file->checksum != XXH64(&file->record, sizeof(file->record), 0)
        || file->record.state.stage >= NGX_HTTP_GRAY_STAGES)
    {
        errno = 0;
        return NGX_ERROR;
    }

    return NGX_OK;
}
