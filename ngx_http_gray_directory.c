
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <dirent.h>
#include <signal.h>

#include "ngx_http_gray_directory.h"


#define NGX_HTTP_GRAY_DIRECTORY_STALE   3600     /* s, for temporary files */

#define NGX_HTTP_GRAY_DIRECTORY_SUFFIX   ".list"
#define NGX_HTTP_GRAY_DIRECTORY_JOURNAL  ".jsonl"
#define NGX_HTTP_GRAY_DIRECTORY_ROLLOUT  ".rollout"


/* bytes of the lock file, which has none */

#define NGX_HTTP_GRAY_DIRECTORY_HELD     0
#define NGX_HTTP_GRAY_DIRECTORY_NEXT     1

#define NGX_HTTP_GRAY_DIRECTORY_PASS     50      /* ms */


/*
 * A lock of the process would be gone with any descriptor of the file that is
 * closed, and would not keep two zones apart that have one directory.
 */

#ifdef F_OFD_SETLK
#define NGX_HTTP_GRAY_DIRECTORY_SETLK   F_OFD_SETLK
#else
#define NGX_HTTP_GRAY_DIRECTORY_SETLK   F_SETLK
#endif


static ngx_int_t ngx_http_gray_directory_try(ngx_http_gray_directory_t *dir);
static ngx_int_t ngx_http_gray_directory_queue(
    ngx_http_gray_directory_t *dir);
static ngx_int_t ngx_http_gray_directory_set(ngx_http_gray_directory_t *dir,
    int type, off_t place);
static ngx_uint_t ngx_http_gray_directory_ours(const char *name);
static void ngx_http_gray_directory_own_file(int dir, const char *name,
    ngx_uid_t uid, ngx_log_t *log);
static void ngx_http_gray_directory_temp(ngx_http_gray_directory_scan_t *scan,
    const char *file);


ngx_uint_t
ngx_http_gray_directory_name(ngx_str_t *name)
{
    u_char      c;
    ngx_uint_t  i;

    if (name->len == 0 || name->len > NGX_HTTP_GRAY_NAME
        || name->data[0] < 'a' || name->data[0] > 'z')
    {
        return 0;
    }

    for (i = 1; i < name->len; i++) {
        c = name->data[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_') {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
ngx_http_gray_directory_path(ngx_http_gray_directory_t *dir, ngx_str_t *name,
    const char *prefix, const char *suffix, char *path, size_t size)
{
    int  n;

    n = snprintf(path, size, "%.*s/%s%.*s" NGX_HTTP_GRAY_DIRECTORY_SUFFIX "%s",
                 (int) dir->path.len, (char *) dir->path.data, prefix,
                 (int) name->len, (char *) name->data, suffix);

    return (n > 0 && (size_t) n < size) ? NGX_OK : NGX_DECLINED;
}


int
ngx_http_gray_directory_open(ngx_http_gray_directory_t *dir, ngx_str_t *name)
{
    char  path[NGX_MAX_PATH];

    if (ngx_http_gray_directory_path(dir, name, "", "", path, sizeof(path))
        != NGX_OK)
    {
        errno = ENAMETOOLONG;
        return -1;
    }

    /* not to wait for a pipe that somebody put there */

    return open(path, O_RDONLY|O_CLOEXEC|O_NONBLOCK);
}


ngx_int_t
ngx_http_gray_directory_file(ngx_http_gray_directory_t *dir, ngx_str_t *name,
    ngx_http_gray_list_info_t *info)
{
    int        fd;
    ngx_int_t  rc;
    ngx_err_t  err;

    fd = ngx_http_gray_directory_open(dir, name);

    if (fd == -1) {
        return ngx_errno == NGX_ENOENT ? NGX_DECLINED : NGX_ERROR;
    }

    rc = ngx_http_gray_list_stat(fd, info);
    err = (rc == NGX_ERROR) ? ngx_errno : 0;

    (void) close(fd);

    if (rc != NGX_OK) {
        ngx_set_errno(err);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_directory_lock(ngx_http_gray_directory_t *dir, ngx_log_t *log)
{
    ngx_int_t   rc;
    ngx_err_t   err;
    ngx_uint_t  tries;

    if (dir->locked) {
        return NGX_AGAIN;
    }

    rc = NGX_DECLINED;

    for (tries = 0; rc == NGX_DECLINED && tries < 2; tries++) {
        rc = ngx_http_gray_directory_try(dir);
    }

    if (rc == NGX_ERROR) {
        err = ngx_errno;

        if (!dir->lock_failed) {
            ngx_log_error(NGX_LOG_ERR, log, err,
                          "gray: \"%V/%s\" cannot be locked", &dir->path,
                          dir->file);
        }

        dir->lock_failed = 1;

        return NGX_ERROR;
    }

    dir->lock_failed = 0;

    return rc == NGX_OK ? NGX_OK : NGX_AGAIN;
}


/* NGX_DECLINED: the file was replaced, and is to be opened anew */

static ngx_int_t
ngx_http_gray_directory_try(ngx_http_gray_directory_t *dir)
{
    char          path[NGX_MAX_PATH];
    ngx_int_t     rc;
    ngx_err_t     err;
    struct stat   st, now;

    (void) snprintf(path, sizeof(path), "%.*s/%s", (int) dir->path.len,
                    (char *) dir->path.data, dir->file);

    if (dir->lock == -1) {
        dir->lock = open(path, O_RDWR|O_CREAT|O_CLOEXEC|O_NOFOLLOW, 0600);

        if (dir->lock == -1) {
            return NGX_ERROR;
        }
    }

    rc = dir->fair ? ngx_http_gray_directory_queue(dir) : NGX_OK;

    if (rc == NGX_OK) {
        rc = ngx_http_gray_directory_set(dir, F_WRLCK,
                                         NGX_HTTP_GRAY_DIRECTORY_HELD);
    }

    err = ngx_errno;

    /* nobody else would meet us at a file that has no name any more */

    if (fstat(dir->lock, &st) == -1
        || lstat(path, &now) == -1
        || st.st_dev != now.st_dev
        || st.st_ino != now.st_ino)
    {
        ngx_http_gray_directory_close(dir);
        return NGX_DECLINED;
    }

    if (rc != NGX_OK) {
        ngx_set_errno(err);
        return rc;
    }

    dir->locked = 1;

    ngx_http_gray_directory_give_up(dir);

    return NGX_OK;
}


/*
 * Who gives the lock back and wants it again at once would have it for ever, as
 * others only look now and then.  So there is a place for the one who is next,
 * and nobody locks without it; but one who was stopped there is passed by.
 */

static ngx_int_t
ngx_http_gray_directory_queue(ngx_http_gray_directory_t *dir)
{
    ngx_int_t  rc;

    if (dir->next) {
        return NGX_OK;
    }

    rc = ngx_http_gray_directory_set(dir, F_WRLCK,
                                     NGX_HTTP_GRAY_DIRECTORY_NEXT);
    if (rc == NGX_OK) {
        dir->next = 1;
    }

    if (rc != NGX_AGAIN) {
        return rc;
    }

    if (dir->since == 0) {
        dir->since = ngx_current_msec ? ngx_current_msec : 1;
    }

    return ngx_current_msec - dir->since < NGX_HTTP_GRAY_DIRECTORY_PASS
           ? NGX_AGAIN : NGX_OK;
}


static ngx_int_t
ngx_http_gray_directory_set(ngx_http_gray_directory_t *dir, int type,
    off_t place)
{
    struct flock  fl;

    ngx_memzero(&fl, sizeof(struct flock));
    fl.l_type = type;
    fl.l_whence = SEEK_SET;
    fl.l_start = place;
    fl.l_len = 1;

    if (fcntl(dir->lock, NGX_HTTP_GRAY_DIRECTORY_SETLK, &fl) != -1) {
        return NGX_OK;
    }

    return (ngx_errno == NGX_EAGAIN || ngx_errno == NGX_EACCES) ? NGX_AGAIN
                                                                : NGX_ERROR;
}


void
ngx_http_gray_directory_unlock(ngx_http_gray_directory_t *dir)
{
    if (ngx_http_gray_directory_set(dir, F_UNLCK, NGX_HTTP_GRAY_DIRECTORY_HELD)
        != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      "gray: fcntl(F_UNLCK) \"%V/%s\" failed", &dir->path,
                      dir->file);
    }

    dir->locked = 0;
}


void
ngx_http_gray_directory_give_up(ngx_http_gray_directory_t *dir)
{
    if (dir->next) {
        (void) ngx_http_gray_directory_set(dir, F_UNLCK,
                                           NGX_HTTP_GRAY_DIRECTORY_NEXT);
    }

    dir->next = 0;
    dir->since = 0;
}


void
ngx_http_gray_directory_close(ngx_http_gray_directory_t *dir)
{
    if (dir->lock != -1) {
        (void) close(dir->lock);
        dir->lock = -1;
    }

    dir->locked = 0;
    dir->next = 0;
    dir->since = 0;
}


void
ngx_http_gray_directory_own(ngx_http_gray_directory_t *dir, ngx_uid_t uid,
    ngx_log_t *log)
{
    int             fd;
    DIR            *stream;
    char            path[NGX_MAX_PATH];
    struct dirent  *entry;

    (void) snprintf(path, sizeof(path), "%.*s", (int) dir->path.len,
                    (char *) dir->path.data);

    fd = open(path, O_RDONLY|O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC);
    stream = (fd == -1) ? NULL : fdopendir(fd);

    if (stream == NULL) {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "gray: files in \"%s\" cannot be given to the user of "
                      "workers", path);
        if (fd != -1) {
            (void) close(fd);
        }

        return;
    }

    while ((entry = readdir(stream)) != NULL) {
        ngx_http_gray_directory_own_file(dirfd(stream), entry->d_name, uid,
                                         log);
    }

    (void) closedir(stream);
}


/* what is made anew under a name with a process id is its maker's */

static ngx_uint_t
ngx_http_gray_directory_ours(const char *name)
{
    ngx_uint_t  i;
    ngx_str_t   stem;

    static const char  *suffix[] = {
        NGX_HTTP_GRAY_DIRECTORY_SUFFIX,
        NGX_HTTP_GRAY_DIRECTORY_JOURNAL,
        NGX_HTTP_GRAY_DIRECTORY_JOURNAL ".bad",
        NGX_HTTP_GRAY_DIRECTORY_ROLLOUT
    };

    if (ngx_strcmp(name, NGX_HTTP_GRAY_DIRECTORY_LOCK) == 0
        || ngx_strcmp(name, NGX_HTTP_GRAY_DIRECTORY_LISTS_LOCK) == 0)
    {
        return 1;
    }

    stem.data = (u_char *) name;
    stem.len = strcspn(name, ".");

    for (i = 0; i < sizeof(suffix) / sizeof(suffix[0]); i++) {
        if (ngx_strcmp(name + stem.len, suffix[i]) == 0) {
            return ngx_http_gray_directory_name(&stem);
        }
    }

    return 0;
}


/*
 * The directory is that of an unprivileged user, who may have put anything
 * there: so only plain files that have no other name, and not by a symlink.
 */

static void
ngx_http_gray_directory_own_file(int dir, const char *name, ngx_uid_t uid,
    ngx_log_t *log)
{
    int          fd;
    struct stat  st;

    if (!ngx_http_gray_directory_ours(name)) {
        return;
    }

    fd = openat(dir, name, O_RDONLY|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK);

    if (fd == -1) {
        return;
    }

    if (fstat(fd, &st) == 0
        && S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid != uid
        && fchown(fd, uid, (gid_t) -1) == -1)
    {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "gray: fchown() of \"%s\" failed", name);
    }

    (void) close(fd);
}


ngx_int_t
ngx_http_gray_directory_scan(ngx_http_gray_directory_scan_t *scan)
{
    DIR            *stream;
    size_t          len;
    char            path[NGX_MAX_PATH];
    ngx_str_t       name;
    struct dirent  *entry;

    (void) snprintf(path, sizeof(path), "%.*s", (int) scan->dir->path.len,
                    (char *) scan->dir->path.data);

    stream = opendir(path);

    if (stream == NULL) {

        if (!scan->dir->scan_failed) {
            ngx_log_error(NGX_LOG_ERR, scan->log, ngx_errno,
                          "gray: opendir() \"%s\" failed", path);
        }

        scan->dir->scan_failed = 1;

        return NGX_ERROR;
    }

    scan->dir->scan_failed = 0;

    while ((entry = readdir(stream)) != NULL) {

        if (entry->d_name[0] == '.') {
            ngx_http_gray_directory_temp(scan, entry->d_name);
            continue;
        }

        len = ngx_strlen(entry->d_name);

        if (len < sizeof(NGX_HTTP_GRAY_DIRECTORY_SUFFIX) - 1) {
            continue;
        }

        name.data = (u_char *) entry->d_name;
        name.len = len - (sizeof(NGX_HTTP_GRAY_DIRECTORY_SUFFIX) - 1);

        if (ngx_strcmp(name.data + name.len, NGX_HTTP_GRAY_DIRECTORY_SUFFIX)
            == 0
            && ngx_http_gray_directory_name(&name))
        {
            scan->list(scan, &name);
        }
    }

    (void) closedir(stream);

    return NGX_OK;
}


/* .NAME.list.PID.N, and so on, of a process that is no more, or of long ago */

static void
ngx_http_gray_directory_temp(ngx_http_gray_directory_scan_t *scan,
    const char *file)
{
    char                        path[NGX_MAX_PATH];
    long                        pid;
    const char                 *p;
    ngx_uint_t                  i;
    struct stat                 st;
    ngx_http_gray_directory_t  *dir;

    static const char  *suffix[] = {
        NGX_HTTP_GRAY_DIRECTORY_SUFFIX ".",
        NGX_HTTP_GRAY_DIRECTORY_JOURNAL ".",
        NGX_HTTP_GRAY_DIRECTORY_ROLLOUT "."
    };

    dir = scan->dir;
    p = NULL;

    for (i = 0; p == NULL && i < sizeof(suffix) / sizeof(suffix[0]); i++) {
        p = strstr(file, suffix[i]);

        if (p) {
            p += ngx_strlen(suffix[i]);
        }
    }

    if (p == NULL) {
        return;
    }

    pid = strtol(p, NULL, 10);

    if (pid <= 0
        || snprintf(path, sizeof(path), "%.*s/%s", (int) dir->path.len,
                    (char *) dir->path.data, file)
           >= (int) sizeof(path))
    {
        return;
    }

    if ((kill((pid_t) pid, 0) == 0 || ngx_errno != NGX_ESRCH)
        && (stat(path, &st) == -1
            || ngx_time() - st.st_mtime < NGX_HTTP_GRAY_DIRECTORY_STALE))
    {
        scan->unfinished++;
        return;
    }

    if (!scan->publish) {
        scan->found++;
        return;
    }

    /* not when zones are initialised: there nothing is changed */

    if (dir->locked && unlink(path) == 0) {
        ngx_log_error(NGX_LOG_NOTICE, scan->log, 0,
                      "gray: removed \"%s\", which was never finished", path);
    }
}
