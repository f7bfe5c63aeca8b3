
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_geofile.h"
#include "ngx_http_gray_mmdb.h"


/*
 * A MaxMind DB file, and how another one takes its place while requests are
 * served.
 *
 * The library maps the file that it opens.  If somebody truncates a mapped
 * file, who reads behind the new end gets a SIGBUS; and who writes into it
 * changes what is read under the reader's hands.  So a file is never mapped
 * where it lies: it is copied into an anonymous one, which nobody else can
 * open, and that is what the library maps.  A file that changes while it is
 * copied is refused, and the copy is read as a whole (ngx_http_gray_mmdb.h)
 * before it is used.  The copy costs as much memory as the file has bytes:
 * once for those processes that were forked since it was made, and once in
 * each worker for a file that was replaced since.
 *
 * A file that is no good is not looked at again before it changes.  Where the
 * system is at fault (no permission, no memory, no descriptor), the same one is
 * tried again after a while, and logged again only if the reason is another.
 */


#define NGX_HTTP_GRAY_GEOFILE_AGAIN   10000         /* milliseconds */
#define NGX_HTTP_GRAY_GEOFILE_BUFFER  16384         /* on the stack */
#define NGX_HTTP_GRAY_GEOFILE_NAME    64


static void ngx_http_gray_geofile_read(ngx_http_gray_geofile_t *file, int fd);
static int ngx_http_gray_geofile_anonymous(char *name, ngx_uint_t *linked);
static ngx_int_t ngx_http_gray_geofile_copy(ngx_http_gray_geofile_t *file,
    int from, int to);
static ngx_int_t ngx_http_gray_geofile_bytes(int from, int to, off_t size);
static MMDB_s *ngx_http_gray_geofile_open(ngx_http_gray_geofile_t *file,
    const char *name);
static const char *ngx_http_gray_geofile_verify(MMDB_s *mmdb);
static void ngx_http_gray_geofile_free(MMDB_s *mmdb);
static void ngx_http_gray_geofile_failure(ngx_http_gray_geofile_t *file,
    ngx_err_t err, const char *what);
static void ngx_http_gray_geofile_stamp(ngx_file_info_t *fi,
    ngx_http_gray_geofile_stamp_t *stamp);
static ngx_uint_t ngx_http_gray_geofile_same(
    ngx_http_gray_geofile_stamp_t *one, ngx_http_gray_geofile_stamp_t *two);


ngx_uint_t
ngx_http_gray_geofile_due(ngx_http_gray_geofile_t *file, ngx_log_t *log)
{
    ngx_err_t                       err;
    ngx_file_info_t                 fi;
    ngx_http_gray_geofile_stamp_t   stamp;

    if (ngx_file_info(file->name.data, &fi) == NGX_FILE_ERROR) {
        err = ngx_errno;

        if (!file->gone) {
            file->gone = 1;
            file->writing = 0;
            ngx_memzero(&file->tried, sizeof(ngx_http_gray_geofile_stamp_t));

            ngx_http_gray_geofile_failure(file, err, "stat() failed");
            ngx_memcpy(file->why, file->failure, NGX_HTTP_GRAY_GEOFILE_WHY);

            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "gray_geoip \"%V\" is gone, what was read before "
                          "stays in use: %s", &file->name, file->why);
        }

        return 0;
    }

    file->gone = 0;
    ngx_http_gray_geofile_stamp(&fi, &stamp);

    if (ngx_http_gray_geofile_same(&stamp, &file->tried)) {
        file->writing = 0;

        if (!file->passing
            || (ngx_msec_int_t) (ngx_current_msec - file->again) < 0)
        {
            return 0;
        }

    } else if (stamp.inode == file->tried.inode
               && stamp.device == file->tried.device
               && !(file->writing
                    && ngx_http_gray_geofile_same(&stamp, &file->written)))
    {
        /* one that is written in place is left alone until it stays as it is */

        file->written = stamp;
        file->writing = 1;
        return 0;
    }

    /* should it be gone when it is opened, then this one was tried */

    file->stamp = stamp;

    return 1;
}


/* writes to what is for swap() alone, and logs nothing */

void
ngx_http_gray_geofile_load(ngx_http_gray_geofile_t *file)
{
    int  fd;

    file->loaded = NULL;
    file->unsettled = 0;
    file->passing = 0;
    file->failure[0] = '\0';

    fd = open((char *) file->name.data, O_RDONLY|O_NONBLOCK|O_NOCTTY|O_CLOEXEC);

    if (fd == -1) {
        ngx_http_gray_geofile_failure(file, ngx_errno, "open() failed");
        return;
    }

    ngx_http_gray_geofile_read(file, fd);

    (void) close(fd);
}


static void
ngx_http_gray_geofile_read(ngx_http_gray_geofile_t *file, int fd)
{
    int               copy;
    char              name[NGX_HTTP_GRAY_GEOFILE_NAME];
    MMDB_s           *mmdb;
    ngx_uint_t        linked;
    const char       *fault;
    ngx_file_info_t   fi;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_http_gray_geofile_failure(file, ngx_errno, "fstat() failed");
        return;
    }

    ngx_http_gray_geofile_stamp(&fi, &file->stamp);

    if (!ngx_is_file(&fi)) {
        ngx_http_gray_geofile_failure(file, 0, "is not a file");
        return;
    }

    if (ngx_file_size(&fi) == 0) {
        ngx_http_gray_geofile_failure(file, 0, "is empty");
        return;
    }

    copy = ngx_http_gray_geofile_anonymous(name, &linked);

    if (copy == -1) {
        ngx_http_gray_geofile_failure(file, ngx_errno, "no file for a copy");
        return;
    }

    mmdb = NULL;

    if (ngx_http_gray_geofile_copy(file, fd, copy) == NGX_OK) {
        mmdb = ngx_http_gray_geofile_open(file, name);
    }

    if (linked) {
        (void) unlink(name);
    }

    (void) close(copy);

    if (mmdb == NULL) {
        return;
    }

    ngx_set_errno(0);
    fault = ngx_http_gray_geofile_verify(mmdb);

    if (fault) {
        ngx_http_gray_geofile_failure(file, ngx_errno, fault);
        ngx_http_gray_geofile_free(mmdb);
        return;
    }

    file->loaded = mmdb;
}


/* a file that nobody else has; -1 with errno, if there is none to be had */

static int
ngx_http_gray_geofile_anonymous(char *name, ngx_uint_t *linked)
{
    int  fd;

    *linked = 0;

#ifdef MFD_ALLOW_SEALING

    fd = memfd_create("gray_geoip", MFD_CLOEXEC|MFD_ALLOW_SEALING);

    if (fd != -1) {
        (void) snprintf(name, NGX_HTTP_GRAY_GEOFILE_NAME, "/proc/self/fd/%d",
                        fd);

        if (access(name, R_OK) == 0) {
            return fd;
        }

        (void) close(fd);
    }

#endif

    (void) snprintf(name, NGX_HTTP_GRAY_GEOFILE_NAME, "%s/gray_geoip.XXXXXX",
                    P_tmpdir);

    fd = mkstemp(name);

    if (fd != -1) {
        *linked = 1;
        (void) fcntl(fd, F_SETFD, FD_CLOEXEC);
    }

    return fd;
}


/* NGX_OK, if the file is now what it was when its size was asked for */

static ngx_int_t
ngx_http_gray_geofile_copy(ngx_http_gray_geofile_t *file, int from, int to)
{
    ngx_int_t                       rc;
    ngx_file_info_t                 fi;
    ngx_http_gray_geofile_stamp_t   stamp;

    rc = ngx_http_gray_geofile_bytes(from, to, file->stamp.size);

    if (rc == NGX_ERROR) {
        ngx_http_gray_geofile_failure(file, ngx_errno, "copying failed");
        return NGX_ERROR;
    }

    if (ngx_fd_info(from, &fi) == NGX_FILE_ERROR) {
        ngx_http_gray_geofile_failure(file, ngx_errno, "fstat() failed");
        return NGX_ERROR;
    }

    ngx_http_gray_geofile_stamp(&fi, &stamp);

    if (rc == NGX_OK && ngx_http_gray_geofile_same(&stamp, &file->stamp)) {
        return NGX_OK;
    }

    ngx_http_gray_geofile_failure(file, 0, "changed while it was read");
    file->unsettled = 1;

    return NGX_ERROR;
}


/* NGX_DECLINED: there was less of it, or more; NGX_ERROR with errno */

static ngx_int_t
ngx_http_gray_geofile_bytes(int from, int to, off_t size)
{
    char     buffer[NGX_HTTP_GRAY_GEOFILE_BUFFER];
    off_t    done;
    ssize_t  n, written, m;

    for (done = 0; done <= size; done += n) {
        n = read(from, buffer, NGX_HTTP_GRAY_GEOFILE_BUFFER);

        if (n == 0) {
            break;
        }

        if (n == -1) {
            return NGX_ERROR;
        }

        for (written = 0; written < n; written += m) {
            m = write(to, buffer + written, n - written);

            if (m == -1) {
                return NGX_ERROR;
            }
        }
    }

#ifdef F_SEAL_WRITE

    /* a file on disk has no seals, nor a name that others know */

    (void) fcntl(to, F_ADD_SEALS,
                 F_SEAL_SEAL|F_SEAL_SHRINK|F_SEAL_GROW|F_SEAL_WRITE);

#endif

    return (done == size) ? NGX_OK : NGX_DECLINED;
}


static MMDB_s *
ngx_http_gray_geofile_open(ngx_http_gray_geofile_t *file, const char *name)
{
    int         status;
    MMDB_s     *mmdb;
    ngx_err_t   err;

    mmdb = malloc(sizeof(MMDB_s));

    if (mmdb == NULL) {
        ngx_http_gray_geofile_failure(file, NGX_ENOMEM, "memory is short");
        return NULL;
    }

    status = MMDB_open(name, MMDB_MODE_MMAP, mmdb);

    if (status == MMDB_SUCCESS) {
        return mmdb;
    }

    switch (status) {

    case MMDB_FILE_OPEN_ERROR:
    case MMDB_IO_ERROR:
        err = ngx_errno;
        break;

    case MMDB_OUT_OF_MEMORY_ERROR:
        err = NGX_ENOMEM;
        break;

    default:
        err = 0;
    }

    ngx_http_gray_geofile_failure(file, err, MMDB_strerror(status));
    free(mmdb);

    return NULL;
}


/* NULL, or what is wrong, with errno if that is the system */

static const char *
ngx_http_gray_geofile_verify(MMDB_s *mmdb)
{
    size_t            tree, end;
    MMDB_metadata_s  *metadata;

    metadata = &mmdb->metadata;

    /* the library may multiply with 32 bits */

    tree = (size_t) metadata->node_count * (metadata->record_size / 4) + 16;
    end = mmdb->metadata_section - mmdb->file_content
          - (sizeof("\xab\xcd\xef" "MaxMind.com") - 1);

    if (metadata->node_count == 0 || tree > end) {
        return "the search tree does not fit in";
    }

    if (end > UINT32_MAX) {
        return "is too large";
    }

    return ngx_http_gray_mmdb_verify(mmdb->file_content, metadata->node_count,
                                     metadata->record_size, end - tree);
}


static void
ngx_http_gray_geofile_free(MMDB_s *mmdb)
{
    if (mmdb) {
        MMDB_close(mmdb);
        free(mmdb);
    }
}


ngx_int_t
ngx_http_gray_geofile_take(ngx_http_gray_geofile_t *file)
{
    file->tried = file->stamp;
    file->writing = 0;

    if (file->loaded == NULL) {
        return NGX_ERROR;
    }

    ngx_http_gray_geofile_free(file->mmdb);

    file->mmdb = file->loaded;
    file->loaded = NULL;
    file->why[0] = '\0';

    return NGX_OK;
}


ngx_uint_t
ngx_http_gray_geofile_swap(ngx_http_gray_geofile_t *file, ngx_log_t *log)
{
    ngx_uint_t  told;

    told = ngx_http_gray_geofile_same(&file->stamp, &file->tried)
           && ngx_strcmp(file->why, file->failure) == 0;

    if (ngx_http_gray_geofile_take(file) == NGX_OK) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "gray_geoip \"%V\" was read again, built %uL",
                      &file->name,
                      (uint64_t) file->mmdb->metadata.build_epoch);
        return 1;
    }

    ngx_memcpy(file->why, file->failure, NGX_HTTP_GRAY_GEOFILE_WHY);
    file->again = ngx_current_msec + NGX_HTTP_GRAY_GEOFILE_AGAIN;

    /* what was unsettled is due again, when it stays as it is */

    if (!file->unsettled && !told) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "gray_geoip \"%V\" cannot be used, what was read before "
                      "stays in use: %s", &file->name, file->why);
    }

    return 0;
}


void
ngx_http_gray_geofile_close(ngx_http_gray_geofile_t *file)
{
    ngx_http_gray_geofile_free(file->mmdb);
    ngx_http_gray_geofile_free(file->loaded);

    file->mmdb = NULL;
    file->loaded = NULL;
}


const char *
ngx_http_gray_geofile_why(ngx_http_gray_geofile_t *file)
{
    if (file->writing) {
        return "is being written";
    }

    return file->why[0] ? file->why : NULL;
}


static void
ngx_http_gray_geofile_failure(ngx_http_gray_geofile_t *file, ngx_err_t err,
    const char *what)
{
    u_char  *p, *last;

    file->passing = (err != 0);

    last = (u_char *) file->failure + NGX_HTTP_GRAY_GEOFILE_WHY - 1;
    p = ngx_slprintf((u_char *) file->failure, last, "%s", what);

    if (err) {
        p = ngx_slprintf(p, last, " (%d: ", err);
        p = ngx_strerror(err, p, last - p);
        p = ngx_slprintf(p, last, ")");
    }

    *p = '\0';
}


static void
ngx_http_gray_geofile_stamp(ngx_file_info_t *fi,
    ngx_http_gray_geofile_stamp_t *stamp)
{
    stamp->device = fi->st_dev;
    stamp->inode = fi->st_ino;
    stamp->size = fi->st_size;

#if (NGX_DARWIN)
    stamp->mtime = fi->st_mtimespec;
#else
    stamp->mtime = fi->st_mtim;
#endif
}


static ngx_uint_t
ngx_http_gray_geofile_same(ngx_http_gray_geofile_stamp_t *one,
    ngx_http_gray_geofile_stamp_t *two)
{
    return one->device == two->device
           && one->inode == two->inode
           && one->size == two->size
           && one->mtime.tv_sec == two->mtime.tv_sec
           && one->mtime.tv_nsec == two->mtime.tv_nsec;
}
