
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The journal of a release.
 *
 * A write appends a line and syncs it before anybody learns of it.  The last
 * good line is what is in force: a line is good by its checksum, and ends
 * with a line feed.  What is behind the last line feed is a write that was
 * not finished, and is cut off by the next one.  A line that is not good is
 * damage: the file as it was is kept aside, and a new one is made of all good
 * lines.
 *
 * Where a sync fails, the append is taken back.  Where that fails, too, the
 * file is suspect: Linux takes pages whose sync failed for clean, so what can
 * be read may never reach the disk.  Then a new file is made, also of what was
 * not acknowledged, as it may be on the disk.
 *
 * A file that has become too long is made anew of its last lines.  All new
 * files are synced, renamed, and then the directory is synced.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <sys/mman.h>

#include "ngx_http_gray_failpoint.h"
#include "ngx_http_gray_journal.h"


#define NGX_HTTP_GRAY_JOURNAL_SUFFIX  ".jsonl"

/* the end of a file is read in such pieces, the first one is small */

#define NGX_HTTP_GRAY_JOURNAL_FIRST   65536
#define NGX_HTTP_GRAY_JOURNAL_PIECE   4194304
#define NGX_HTTP_GRAY_JOURNAL_AGAIN   64

/* a number of a revision that is larger is damage */

#define NGX_HTTP_GRAY_JOURNAL_REVISION  1000000000000

typedef struct {
    int                             fd;
    off_t                           size;
    uint64_t                        last;       /* revision of the last one */
} ngx_http_gray_journal_file_t;


/* all good lines, in order */

typedef struct {
    u_char                         *data;
    ngx_uint_t                      nlines;
    ngx_str_t                      *line;       /* in "data", with no LF */
    uint64_t                       *revision;
    ngx_uint_t                      damaged;    /* lines that are not good */
} ngx_http_gray_journal_lines_t;


static void ngx_http_gray_journal_seal(ngx_http_gray_journal_t *journal,
    ngx_http_gray_journal_file_t *file);
static uint64_t ngx_http_gray_journal_mtime(const struct stat *st);
static ngx_int_t ngx_http_gray_journal_open(ngx_http_gray_journal_t *journal,
    ngx_http_gray_journal_file_t *file);
static ngx_int_t ngx_http_gray_journal_look(ngx_http_gray_journal_t *journal,
    ngx_http_gray_journal_file_t *file);
static ngx_int_t ngx_http_gray_journal_confirm(
    ngx_http_gray_journal_t *journal, ngx_http_gray_journal_file_t *file,
    ngx_str_t *line);
static ngx_int_t ngx_http_gray_journal_mend(ngx_http_gray_journal_t *journal,
    ngx_http_gray_journal_file_t *file, ngx_http_gray_journal_tail_t *tail);
static ngx_int_t ngx_http_gray_journal_append(ngx_http_gray_journal_t *journal,
    ngx_http_gray_journal_file_t *file);
static void ngx_http_gray_journal_back(ngx_http_gray_journal_t *journal,
    ngx_http_gray_journal_file_t *file);
static ngx_int_t ngx_http_gray_journal_put(ngx_http_gray_journal_t *journal,
    int fd, const u_char *data, size_t len, off_t offset);
static ngx_int_t ngx_http_gray_journal_sync_dir(
    ngx_http_gray_journal_t *journal);
static ngx_int_t ngx_http_gray_journal_rewrite(
    ngx_http_gray_journal_t *journal, ngx_http_gray_journal_file_t *file,
    ngx_http_gray_journal_lines_t *lines, ngx_uint_t aside);
static ngx_int_t ngx_http_gray_journal_replace(
    ngx_http_gray_journal_t *journal, int fd,
    ngx_http_gray_journal_lines_t *lines, ngx_uint_t first, ngx_uint_t aside,
    off_t *size);
static void ngx_http_gray_journal_compact(ngx_http_gray_journal_t *journal,
    ngx_http_gray_journal_file_t *file);
static ngx_int_t ngx_http_gray_journal_peek(const char *path, int *fd,
    off_t *size);
static ngx_int_t ngx_http_gray_journal_end(int fd, off_t size,
    ngx_http_gray_journal_tail_t *tail);
static ngx_int_t ngx_http_gray_journal_piece(u_char *data, size_t len,
    size_t stop, size_t *pos, ngx_http_gray_journal_tail_t *tail);
static ngx_int_t ngx_http_gray_journal_behind(int fd, u_char *data,
    ngx_http_gray_journal_tail_t *tail);
static void ngx_http_gray_journal_damage(u_char *data, size_t len,
    ngx_http_gray_journal_tail_t *tail);
static ngx_int_t ngx_http_gray_journal_load(int fd, off_t end,
    ngx_http_gray_journal_lines_t *lines);
static void ngx_http_gray_journal_lines_free(
    ngx_http_gray_journal_lines_t *lines);
static ngx_int_t ngx_http_gray_journal_backwards(int fd, off_t size,
    ngx_http_gray_journal_visit_pt visit, void *data);
static ngx_int_t ngx_http_gray_journal_visit(u_char *data, size_t *len,
    ngx_uint_t whole, ngx_http_gray_journal_visit_pt visit, void *ctx);
static ngx_int_t ngx_http_gray_journal_get(int fd, u_char *data, size_t len,
    off_t offset);
static ngx_int_t ngx_http_gray_journal_fail(ngx_http_gray_journal_t *journal,
    const char *call);


ngx_int_t
ngx_http_gray_journal_init(ngx_http_gray_journal_t *journal,
    const ngx_str_t *dir, const ngx_str_t *name)
{
    int  n, len;

    ngx_memzero(journal, sizeof(ngx_http_gray_journal_t));

    journal->uid = (ngx_uid_t) -1;

    len = sizeof(journal->dir);
    n = snprintf(journal->dir, len, "%.*s", (int) dir->len,
                 (char *) dir->data);

    if (n < len) {
        n = snprintf(journal->path, len, "%s/%.*s"
                     NGX_HTTP_GRAY_JOURNAL_SUFFIX, journal->dir,
                     (int) name->len, (char *) name->data);
    }

    if (n < len) {
        n = snprintf(journal->aside, len, "%s.bad", journal->path);
    }

    if (n < len) {
        n = snprintf(journal->temp, len, "%s/.%.*s"
                     NGX_HTTP_GRAY_JOURNAL_SUFFIX ".%ld.0", journal->dir,
                     (int) name->len, (char *) name->data, (long) ngx_pid);
    }

    return n < len ? NGX_OK : NGX_DECLINED;
}


void
ngx_http_gray_journal_write(ngx_http_gray_journal_t *journal)
{
    ngx_http_gray_journal_file_t  file;

    file.fd = -1;

    if (ngx_http_gray_journal_open(journal, &file) != NGX_OK) {

        /* once it can be opened, be it the same file, it is looked at */

        journal->mark.size = 0;
        journal->mark.revision = 0;

    } else if (ngx_http_gray_journal_look(journal, &file) == NGX_OK
               && ngx_http_gray_journal_append(journal, &file) == NGX_OK)
    {
        journal->rc = NGX_OK;

        if (!journal->relaxed
            && (journal->mark.records > 2 * journal->history
                || journal->mark.size > 2 * NGX_HTTP_GRAY_JOURNAL_BYTES))
        {
            ngx_http_gray_journal_compact(journal, &file);
        }
    }

    if (file.fd != -1) {
        ngx_http_gray_journal_seal(journal, &file);
        (void) close(file.fd);
    }

    /* it is looked at once more, to be synced */

    if (journal->relaxed) {
        journal->mark.size = 0;
    }
}


/* what is written there by others, be it as long, shows by the time */

static void
ngx_http_gray_journal_seal(ngx_http_gray_journal_t *journal,
    ngx_http_gray_journal_file_t *file)
{
    struct stat                    st;
    ngx_http_gray_journal_mark_t  *mark;

    mark = &journal->mark;

    if (fstat(file->fd, &st) == 0
        && mark->dev == (uint64_t) st.st_dev
        && mark->ino == (uint64_t) st.st_ino
        && mark->size == (uint64_t) st.st_size)
    {
        mark->mtime = ngx_http_gray_journal_mtime(&st);
    }
}


static uint64_t
ngx_http_gray_journal_mtime(const struct stat *st)
{
    return (uint64_t) st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}


void
ngx_http_gray_journal_free(ngx_http_gray_journal_t *journal)
{
    free(journal->base.data);
    ngx_str_null(&journal->base);

    free(journal->line.data);
    ngx_str_null(&journal->line);

    free(journal->found.data);
    ngx_str_null(&journal->found);
}


static ngx_int_t
ngx_http_gray_journal_open(ngx_http_gray_journal_t *journal,
    ngx_http_gray_journal_file_t *file)
{
    int          flags;
    struct stat  st;

    /* not by a symlink, and not to wait for a pipe that somebody put there */

    flags = O_RDWR|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK;

    file->fd = ngx_http_gray_fails("journal_open")
               ? -1 : open(journal->path, flags);

    if (file->fd == -1 && ngx_errno == NGX_ENOENT) {

        journal->mark.named = 0;

        file->fd = ngx_http_gray_fails("journal_create")
                   ? -1 : open(journal->path, flags|O_CREAT|O_EXCL, 0600);

        if (file->fd != -1 && journal->uid != (ngx_uid_t) -1
            && fchown(file->fd, journal->uid, (gid_t) -1) == -1)
        {
            return ngx_http_gray_journal_fail(journal, "fchown()");
        }
    }

    if (file->fd == -1) {
        return ngx_http_gray_journal_fail(journal, "open()");
    }

    if (fstat(file->fd, &st) == -1) {
        return ngx_http_gray_journal_fail(journal, "fstat()");
    }

    if (!S_ISREG(st.st_mode)) {
        ngx_set_errno(NGX_EINVAL);
        return ngx_http_gray_journal_fail(journal, "open() of a plain file");
    }

    file->size = st.st_size;

    if (journal->mark.dev != (uint64_t) st.st_dev
        || journal->mark.ino != (uint64_t) st.st_ino
        || journal->mark.size != (uint64_t) st.st_size
        || journal->mark.mtime != ngx_http_gray_journal_mtime(&st))
    {
        journal->mark.dev = st.st_dev;
        journal->mark.ino = st.st_ino;
        journal->mark.size = 0;
        journal->mark.named = 0;
    }

    return NGX_OK;
}


/* what the file has, unless the zone knows; NGX_DONE: there is nothing to do */

static ngx_int_t
ngx_http_gray_journal_look(ngx_http_gray_journal_t *journal,
    ngx_http_gray_journal_file_t *file)
{
    ngx_int_t                     rc;
    ngx_http_gray_journal_tail_t  tail;

    if (journal->mark.size && !journal->mark.suspect) {
        file->last = journal->mark.revision;

        if (file->last <= journal->revision) {
            return NGX_OK;
        }
    }

    /* until it is mended */

    journal->mark.size = 0;

    rc = ngx_http_gray_journal_end(file->fd, file->size, &tail);

    if (rc == NGX_ERROR) {
        return ngx_http_gray_journal_fail(journal, "read()");
    }

    if (tail.layout == NGX_HTTP_GRAY_RECORD_NEWER) {
        free(tail.line.data);
        journal->rc = NGX_ABORT;
        return NGX_DONE;
    }

    if (ngx_http_gray_journal_mend(journal, file, &tail) != NGX_OK) {
        free(tail.line.data);
        return NGX_DONE;
    }

    file->last = tail.revision;

    if (tail.line.len && !journal->relaxed
        && ngx_http_gray_journal_confirm(journal, file, &tail.line) != NGX_OK)
    {
        /* the next one has to do it */

        journal->mark.size = 0;

        free(tail.line.data);
        return NGX_DONE;
    }

    if (tail.revision <= journal->revision) {
        free(tail.line.data);
        return NGX_OK;
    }

    /* of one who died before he could tell, or of another zone */

    journal->found = tail.line;
    journal->rc = NGX_DECLINED;

    return NGX_DONE;
}


/*
 * The last line is to be durable.  Its sync may have failed for him who wrote
 * it, so that another one would do nothing: it is written again, with the line
 * feed in front of it.
 */

static ngx_int_t
ngx_http_gray_journal_confirm(ngx_http_gray_journal_t *journal,
    ngx_http_gray_journal_file_t *file, ngx_str_t *line)
{
    off_t         offset;
    ngx_int_t     rc;
    const u_char  lf = LF;

    offset = file->size - line->len - 1;

    if (offset
        && ngx_http_gray_journal_put(journal, file->fd, &lf, 1, offset - 1)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_gray_journal_put(journal, file->fd, line->data, line->len + 1,
                                  offset)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_gray_fails("journal_found") || fdatasync(file->fd) == -1) {
        return ngx_http_gray_journal_fail(journal, "fdatasync()");
    }

    if (journal->mark.named) {
        return NGX_OK;
    }

    rc = ngx_http_gray_journal_sync_dir(journal);
    journal->mark.named = (rc == NGX_OK);

    return rc;
}


/* makes the file one of whole and good lines, and counts them */

static ngx_int_t
ngx_http_gray_journal_mend(ngx_http_gray_journal_t *journal,
    ngx_http_gray_journal_file_t *file, ngx_http_gray_journal_tail_t *tail)
{
    ngx_int_t                      rc;
    ngx_http_gray_journal_lines_t  lines;

    if (ngx_http_gray_journal_load(file->fd, tail->end, &lines) != NGX_OK) {
        return ngx_http_gray_journal_fail(journal, "read()");
    }

    lines.damaged += tail->lost;
    rc = NGX_OK;

    if (lines.damaged || journal->mark.suspect
        || tail->end > (off_t) NGX_HTTP_GRAY_JOURNAL_LOAD)
    {
        rc = ngx_http_gray_journal_rewrite(journal, file, &lines,
                                           lines.damaged != 0);
        if (rc == NGX_OK) {
            journal->damaged = lines.damaged;
        }

    } else {

        if (tail->torn) {

            if (ngx_http_gray_fails("journal_cut")
                || ftruncate(file->fd, tail->end) == -1)
            {
                ngx_http_gray_journal_lines_free(&lines);
                return ngx_http_gray_journal_fail(journal, "ftruncate()");
            }

            journal->torn = tail->torn;
            file->size = tail->end;
        }

        journal->mark.size = file->size;
        journal->mark.records = lines.nlines;
    }

    journal->mark.revision = tail->revision;

    ngx_http_gray_journal_lines_free(&lines);

    return rc;
}


static ngx_int_t
ngx_http_gray_journal_append(ngx_http_gray_journal_t *journal,
    ngx_http_gray_journal_file_t *file)
{
    off_t                         size;
    ngx_str_t                    *base;
    ngx_int_t                     rc;
    ngx_http_gray_journal_mark_t *mark;

    mark = &journal->mark;
    size = file->size;
    rc = NGX_OK;

    base = (file->last < journal->revision) ? &journal->base : NULL;

    if ((base == NULL || base->len == 0) && journal->line.len == 0) {
        return NGX_OK;
    }

    if (base && base->len) {
        rc = ngx_http_gray_journal_put(journal, file->fd, base->data,
                                       base->len, size);
        size += base->len;
    }

    if (rc == NGX_OK && journal->line.len) {
        rc = ngx_http_gray_journal_put(journal, file->fd, journal->line.data,
                                       journal->line.len, size);
        size += journal->line.len;
    }

    if (rc == NGX_OK && !journal->relaxed) {

        if (ngx_http_gray_fails("journal_sync")
            || fdatasync(file->fd) == -1)
        {
            rc = ngx_http_gray_journal_fail(journal, "fdatasync()");

        } else if (!mark->named) {
            rc = ngx_http_gray_journal_sync_dir(journal);
            mark->named = (rc == NGX_OK);
        }
    }

    if (rc != NGX_OK) {
        ngx_http_gray_journal_back(journal, file);
        return rc;
    }

    if (base && base->len) {
        mark->records++;
        mark->revision = journal->revision;
    }

    if (journal->line.len) {
        mark->records++;
        mark->revision = journal->revision + 1;
    }

    mark->size = size;
    file->size = size;

    (void) ngx_http_gray_fails("journal_appended");

    return NGX_OK;
}


/* takes back what was appended: the file is durable as it was, or suspect */

static void
ngx_http_gray_journal_back(ngx_http_gray_journal_t *journal,
    ngx_http_gray_journal_file_t *file)
{
    if (ngx_http_gray_fails("journal_back")
        || ftruncate(file->fd, file->size) == -1
        || (!journal->relaxed
            && (ngx_http_gray_fails("journal_back_sync")
                || fdatasync(file->fd) == -1)))
    {
        journal->unknown = 1;
        journal->mark.suspect = 1;
        journal->mark.size = 0;
        return;
    }

    /* of an empty file nothing is known, as of none */

    journal->mark.size = file->size;
}


static ngx_int_t
ngx_http_gray_journal_put(ngx_http_gray_journal_t *journal, int fd,
    const u_char *data, size_t len, off_t offset)
{
    size_t   size;
    ssize_t  n;

    while (len) {
        size = ngx_http_gray_shortened("journal_write", len);

        n = ngx_http_gray_fails("journal_write")
            ? -1 : pwrite(fd, data, size, offset);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }

        if (n <= 0) {
            return ngx_http_gray_journal_fail(journal, "write()");
        }

        data += n;
        len -= n;
        offset += n;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_journal_sync_dir(ngx_http_gray_journal_t *journal)
{
    int        fd;
    ngx_int_t  rc;

    fd = ngx_http_gray_fails("journal_open_dir")
         ? -1 : open(journal->dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1) {
        return ngx_http_gray_journal_fail(journal, "open() of the directory");
    }

    rc = NGX_OK;

    if (ngx_http_gray_fails("journal_sync_dir") || fsync(fd) == -1) {
        rc = ngx_http_gray_journal_fail(journal, "fsync() of the directory");
    }

    (void) close(fd);

    return rc;
}


/* a new file of the last lines takes the place of the one that is open */

static ngx_int_t
ngx_http_gray_journal_rewrite(ngx_http_gray_journal_t *journal,
    ngx_http_gray_journal_file_t *file, ngx_http_gray_journal_lines_t *lines,
    ngx_uint_t aside)
{
    int          fd;
    off_t        size;
    size_t       bytes;
    ngx_int_t    rc;
    ngx_uint_t   first;
    struct stat  st;

    size = 0;
    bytes = 0;

    for (first = lines->nlines; first; first--) {
        bytes += lines->line[first - 1].len + 1;

        if (lines->nlines - first == journal->history
            || (bytes > NGX_HTTP_GRAY_JOURNAL_BYTES
                && first < lines->nlines))
        {
            break;
        }
    }

    /* one that is left of a process which had our id is nobody's */

    (void) unlink(journal->temp);

    fd = ngx_http_gray_fails("journal_temp")
         ? -1 : open(journal->temp,
                     O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC|O_NOFOLLOW, 0600);

    if (fd == -1) {
        return ngx_http_gray_journal_fail(journal, "open()");
    }

    if (fstat(fd, &st) == -1) {
        rc = ngx_http_gray_journal_fail(journal, "fstat()");

    } else {
        rc = ngx_http_gray_journal_replace(journal, fd, lines, first, aside,
                                           &size);
    }

    if (rc != NGX_OK) {
        (void) unlink(journal->temp);
        (void) close(fd);
        return NGX_ERROR;
    }

    (void) close(file->fd);

    file->fd = fd;
    file->size = size;

    journal->mark.dev = st.st_dev;
    journal->mark.ino = st.st_ino;
    journal->mark.size = size;
    journal->mark.records = lines->nlines - first;
    journal->mark.named = 1;
    journal->mark.suspect = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_journal_replace(ngx_http_gray_journal_t *journal, int fd,
    ngx_http_gray_journal_lines_t *lines, ngx_uint_t first, ngx_uint_t aside,
    off_t *size)
{
    u_char  *p;
    size_t   len;

    *size = 0;

    for ( /* void */ ; first < lines->nlines; first++) {

        /* with the line feed behind it */

        p = lines->line[first].data;
        len = lines->line[first].len + 1;

        if (ngx_http_gray_journal_put(journal, fd, p, len, *size) != NGX_OK) {
            return NGX_ERROR;
        }

        *size += len;
    }

    if (journal->uid != (ngx_uid_t) -1
        && fchown(fd, journal->uid, (gid_t) -1) == -1)
    {
        return ngx_http_gray_journal_fail(journal, "fchown()");
    }

    if (ngx_http_gray_fails("journal_temp_sync") || fsync(fd) == -1) {
        return ngx_http_gray_journal_fail(journal, "fsync()");
    }

    /* the damaged file has two names, until the first one is the new one's */

    if (aside) {
        (void) unlink(journal->aside);

        if (ngx_http_gray_fails("journal_aside")
            || link(journal->path, journal->aside) == -1)
        {
            return ngx_http_gray_journal_fail(journal, "link()");
        }
    }

    if (ngx_http_gray_fails("journal_rename")
        || rename(journal->temp, journal->path) == -1)
    {
        return ngx_http_gray_journal_fail(journal, "rename()");
    }

    return ngx_http_gray_journal_sync_dir(journal);
}


/* what fails here is tried again with the next write */

static void
ngx_http_gray_journal_compact(ngx_http_gray_journal_t *journal,
    ngx_http_gray_journal_file_t *file)
{
    ngx_http_gray_journal_lines_t  lines;

    if (ngx_http_gray_journal_load(file->fd, file->size, &lines) != NGX_OK) {
        return;
    }

    /* nobody has read it since it was damaged: it is kept then, too */

    if (ngx_http_gray_journal_rewrite(journal, file, &lines,
                                      lines.damaged != 0)
        == NGX_OK)
    {
        journal->compacted = 1;
        journal->damaged += lines.damaged;

    } else {
        journal->rc = NGX_OK;
    }

    ngx_http_gray_journal_lines_free(&lines);
}


ngx_int_t
ngx_http_gray_journal_tail(const char *path,
    ngx_http_gray_journal_tail_t *tail)
{
    int        fd;
    off_t      size;
    ngx_int_t  rc;
    ngx_err_t  err;

    rc = ngx_http_gray_journal_peek(path, &fd, &size);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = (size == 0) ? NGX_DECLINED
                     : ngx_http_gray_journal_end(fd, size, tail);
    err = ngx_errno;

    (void) close(fd);

    ngx_set_errno(err);

    return rc;
}


/* opened for reading; for what is no plain file there is no errno */

static ngx_int_t
ngx_http_gray_journal_peek(const char *path, int *fd, off_t *size)
{
    ngx_err_t    err;
    struct stat  st;

    *fd = open(path, O_RDONLY|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK);

    if (*fd == -1) {
        return ngx_errno == NGX_ENOENT ? NGX_DECLINED : NGX_ERROR;
    }

    err = (fstat(*fd, &st) == -1) ? ngx_errno : 0;

    if (err == 0 && S_ISREG(st.st_mode)) {
        *size = st.st_size;
        return NGX_OK;
    }

    (void) close(*fd);

    ngx_set_errno(err);

    return NGX_ERROR;
}


/*
 * Looks for the last good line, from the end on, in pieces: each with as much
 * behind it as a line that begins in it may take.
 */

static ngx_int_t
ngx_http_gray_journal_end(int fd, off_t size,
    ngx_http_gray_journal_tail_t *tail)
{
    off_t       from, to;
    size_t      pos, len, want;
    u_char     *data;
    ngx_int_t   rc;

    pos = 0;
    ngx_memzero(tail, sizeof(ngx_http_gray_journal_tail_t));

    tail->size = size;

    /* and a byte in front, which says whether a line begins there */

    data = malloc(1 + NGX_HTTP_GRAY_JOURNAL_PIECE + NGX_HTTP_GRAY_RECORD_MAX);

    if (data == NULL) {
        ngx_set_errno(NGX_ENOMEM);
        return NGX_ERROR;
    }

    want = NGX_HTTP_GRAY_JOURNAL_FIRST;
    rc = NGX_DECLINED;

    for (to = size; to > 0 && rc == NGX_DECLINED; to = from) {

        from = (to > (off_t) want) ? to - (off_t) want : 0;
        len = ngx_min(size - from,
                      to - from + (off_t) NGX_HTTP_GRAY_RECORD_MAX);

        if (from == 0) {
            data[0] = LF;
            rc = ngx_http_gray_journal_get(fd, data + 1, len, 0);

        } else {
            rc = ngx_http_gray_journal_get(fd, data, len + 1, from - 1);
        }

        if (rc == NGX_OK) {
            rc = ngx_http_gray_journal_piece(data, len + 1, to - from, &pos,
                                             tail);
            if (rc == NGX_OK && tail->line.len) {
                tail->end = from + pos;
            }
        }

        want = NGX_HTTP_GRAY_JOURNAL_PIECE;
    }

    if (rc != NGX_ERROR && tail->layout != NGX_HTTP_GRAY_RECORD_NEWER) {
        rc = ngx_http_gray_journal_behind(fd, data, tail);
    }

    free(data);

    if (rc == NGX_ERROR) {
        free(tail->line.data);
        ngx_str_null(&tail->line);
    }

    return rc;
}


/*
 * The last good line that begins within "stop" bytes: NGX_OK with where it
 * ends, behind its line feed; NGX_DECLINED where there is none.
 */

static ngx_int_t
ngx_http_gray_journal_piece(u_char *data, size_t len, size_t stop,
    size_t *pos, ngx_http_gray_journal_tail_t *tail)
{
    u_char                  *p, *next, *end;
    uint64_t                 revision;
    ngx_http_gray_record_e   judged;

    end = data + len;

    /* "next" is a line feed, or the end; "p" the one before */

    for (next = end; next > data; next = p) {

        p = memrchr(data, LF, next - data);

        if (p == NULL) {
            break;
        }

        /* what no line feed follows is not finished, or not all here */

        if (next == end || (size_t) (p - data) >= stop) {
            continue;
        }

        judged = ngx_http_gray_record_judge(p + 1, next - p - 1, &revision);

        if (judged == NGX_HTTP_GRAY_RECORD_DAMAGED) {
            continue;
        }

        tail->layout = judged;

        if (judged == NGX_HTTP_GRAY_RECORD_NEWER) {
            return NGX_OK;
        }

        tail->revision = revision;
        tail->line.len = next - p - 1;
        tail->line.data = malloc(tail->line.len + 1);

        if (tail->line.data == NULL) {
            ngx_set_errno(NGX_ENOMEM);
            return NGX_ERROR;
        }

        ngx_memcpy(tail->line.data, p + 1, tail->line.len + 1);
        *pos = next - data;

        return NGX_OK;
    }

    return NGX_DECLINED;
}


/* what stands behind the last good line */

static ngx_int_t
ngx_http_gray_journal_behind(int fd, u_char *data,
    ngx_http_gray_journal_tail_t *tail)
{
    size_t     len, again;
    off_t      pos;
    u_char    *p, *first, *last;
    uint64_t   revision;

    tail->torn = tail->size - tail->end;

    for (pos = tail->end; pos < tail->size; pos += len) {
        len = ngx_min(tail->size - pos, NGX_HTTP_GRAY_JOURNAL_PIECE);

        /* a revision may stand on the edge of two pieces */

        again = ngx_min(pos - tail->end, NGX_HTTP_GRAY_JOURNAL_AGAIN);

        if (ngx_http_gray_journal_get(fd, data, again + len, pos - again)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        first = data + again;
        last = first + len;

        for (p = first; p < last; p++) {
            p = memchr(p, LF, last - p);

            if (p == NULL) {
                break;
            }

            tail->lost++;
            tail->torn = tail->size - (pos + (p - first) + 1);
        }

        ngx_http_gray_journal_damage(data, again + len, tail);
    }

    /* a whole record whose line feed is something else now */

    if (tail->torn > 1 && tail->torn <= NGX_HTTP_GRAY_RECORD_MAX) {

        if (ngx_http_gray_journal_get(fd, data, tail->torn,
                                      tail->size - tail->torn)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (ngx_http_gray_record_judge(data, tail->torn - 1, &revision)
            != NGX_HTTP_GRAY_RECORD_DAMAGED)
        {
            tail->lost++;
            tail->torn = 0;
        }
    }

    /* not even a beginning of ours: whatever it was, it is kept aside */

    if (tail->end == 0 && tail->size && tail->seen == 0) {
        tail->lost++;
    }

    /* a line that was never finished was not acknowledged either */

    if (tail->lost == 0) {
        tail->seen = 0;
    }

    return NGX_OK;
}


/* revisions that damaged lines had: their numbers must not come again */

static void
ngx_http_gray_journal_damage(u_char *data, size_t len,
    ngx_http_gray_journal_tail_t *tail)
{
    u_char    *p, *last;
    uint64_t   revision;

    static u_char  name[] = "\"revision\":";

    last = data + len;

    for (p = data; p < last; p++) {
        p = memchr(p, name[0], last - p);

        if (p == NULL) {
            return;
        }

        if ((size_t) (last - p) < sizeof(name)
            || ngx_memcmp(p, name, sizeof(name) - 1) != 0)
        {
            continue;
        }

        revision = 0;

        for (p += sizeof(name) - 1;
             p < last && *p >= '0' && *p <= '9'
             && revision < NGX_HTTP_GRAY_JOURNAL_REVISION;
             p++)
        {
            revision = revision * 10 + (*p - '0');
        }

        if (revision < NGX_HTTP_GRAY_JOURNAL_REVISION) {
            tail->seen = ngx_max(tail->seen, revision);
        }
    }
}


ngx_int_t
ngx_http_gray_journal_read(const char *path,
    ngx_http_gray_journal_visit_pt visit, void *data)
{
    int        fd;
    off_t      size;
    ngx_int_t  rc;
    ngx_err_t  err;

    rc = ngx_http_gray_journal_peek(path, &fd, &size);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_gray_journal_backwards(fd, size, visit, data);
    err = ngx_errno;

    (void) close(fd);

    ngx_set_errno(err);

    return rc;
}


/*
 * In pieces, the first one small.  The line in which a piece begins is read
 * again with the piece before it.
 */

static ngx_int_t
ngx_http_gray_journal_backwards(int fd, off_t size,
    ngx_http_gray_journal_visit_pt visit, void *ctx)
{
    off_t       from, to, first;
    size_t      want, len;
    u_char     *data;
    ngx_int_t   rc;

    /* mapped, as what threads get by malloc() stays theirs */

    data = mmap(NULL, NGX_HTTP_GRAY_JOURNAL_PIECE, PROT_READ|PROT_WRITE,
                MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);

    if (data == MAP_FAILED) {
        return NGX_ERROR;
    }

    first = size - ngx_min(size, (off_t) NGX_HTTP_GRAY_JOURNAL_LOAD);
    want = NGX_HTTP_GRAY_JOURNAL_FIRST;
    rc = NGX_OK;

    for (to = size; to > first && rc == NGX_OK; to = from + len) {

        from = ngx_max(first, to - (off_t) want);
        len = to - from;

        rc = ngx_http_gray_journal_get(fd, data, len, from);

        if (rc == NGX_OK) {
            rc = ngx_http_gray_journal_visit(data, &len, from == 0, visit,
                                             ctx);
        }

        if (from == first) {
            break;
        }

        /* no line is as long as the largest piece: it is passed over */

        if (from + (off_t) len == to && want == NGX_HTTP_GRAY_JOURNAL_PIECE) {
            len = 0;
        }

        want = NGX_HTTP_GRAY_JOURNAL_PIECE;
    }

    (void) munmap(data, NGX_HTTP_GRAY_JOURNAL_PIECE);

    return rc == NGX_DONE ? NGX_OK : rc;
}


/*
 * Visits the lines that begin behind a line feed, or where the bytes are
 * "whole"; "len" becomes that of what is in front of them.
 */

static ngx_int_t
ngx_http_gray_journal_visit(u_char *data, size_t *len, ngx_uint_t whole,
    ngx_http_gray_journal_visit_pt visit, void *ctx)
{
    u_char     *p, *next, *line;
    uint64_t    revision;
    ngx_int_t   rc;

    /* what no line feed follows is not finished */

    for (next = memrchr(data, LF, *len); next; next = p) {

        p = memrchr(data, LF, next - data);

        if (p == NULL && !whole) {
            *len = next + 1 - data;
            break;
        }

        line = p ? p + 1 : data;

        if (ngx_http_gray_record_judge(line, next - line, &revision)
            != NGX_HTTP_GRAY_RECORD_GOOD)
        {
            continue;
        }

        rc = visit(ctx, line, next - line, revision);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/* the good lines before "end", of the last bytes where these are too many */

static ngx_int_t
ngx_http_gray_journal_load(int fd, off_t end,
    ngx_http_gray_journal_lines_t *lines)
{
    off_t       from;
    size_t      len;
    u_char     *p, *next, *last;
    uint64_t    revision;
    ngx_uint_t  n;

    ngx_memzero(lines, sizeof(ngx_http_gray_journal_lines_t));

    len = ngx_min(end, (off_t) NGX_HTTP_GRAY_JOURNAL_LOAD);
    from = end - len;

    lines->data = malloc(len + 1);

    if (lines->data == NULL) {
        ngx_set_errno(NGX_ENOMEM);
        return NGX_ERROR;
    }

    if (ngx_http_gray_journal_get(fd, lines->data, len, from) != NGX_OK) {
        ngx_http_gray_journal_lines_free(lines);
        return NGX_ERROR;
    }

    last = lines->data + len;
    p = lines->data;

    if (from) {
        p = ngx_strlchr(p, last, LF);
        p = p ? p + 1 : last;
    }

    n = 0;

    for (next = p; next < last; next++) {
        next = ngx_strlchr(next, last, LF);

        if (next == NULL) {
            break;
        }

        n++;
    }

    lines->line = malloc((n + 1) * sizeof(ngx_str_t));
    lines->revision = malloc((n + 1) * sizeof(uint64_t));

    if (lines->line == NULL || lines->revision == NULL) {
        ngx_http_gray_journal_lines_free(lines);
        ngx_set_errno(NGX_ENOMEM);
        return NGX_ERROR;
    }

    for ( /* void */ ; p < last; p = next + 1) {
        next = ngx_strlchr(p, last, LF);

        if (next == NULL) {
            break;
        }

        if (ngx_http_gray_record_judge(p, next - p, &revision)
            != NGX_HTTP_GRAY_RECORD_GOOD)
        {
            lines->damaged++;
            continue;
        }

        lines->line[lines->nlines].data = p;
        lines->line[lines->nlines].len = next - p;
        lines->revision[lines->nlines++] = revision;
    }

    return NGX_OK;
}


static void
ngx_http_gray_journal_lines_free(ngx_http_gray_journal_lines_t *lines)
{
    free(lines->data);
    free(lines->line);
    free(lines->revision);

    ngx_memzero(lines, sizeof(ngx_http_gray_journal_lines_t));
}


ngx_uint_t
ngx_http_gray_journal_moved(const char *path,
    const ngx_http_gray_journal_mark_t *mark)
{
    struct stat  st;

    return mark->size == 0
           || lstat(path, &st) == -1
           || mark->size != (uint64_t) st.st_size
           || mark->dev != (uint64_t) st.st_dev
           || mark->ino != (uint64_t) st.st_ino
           || mark->mtime != ngx_http_gray_journal_mtime(&st);
}


static ngx_int_t
ngx_http_gray_journal_get(int fd, u_char *data, size_t len, off_t offset)
{
    ssize_t  n;

    while (len) {
        n = ngx_http_gray_fails("journal_read")
            ? -1 : pread(fd, data, len, offset);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }

        if (n <= 0) {

            /* somebody has cut it meanwhile: nothing to be relied on */

            if (n == 0) {
                ngx_set_errno(NGX_EAGAIN);
            }

            return NGX_ERROR;
        }

        data += n;
        len -= n;
        offset += n;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_journal_fail(ngx_http_gray_journal_t *journal, const char *call)
{
    journal->rc = NGX_ERROR;
    journal->err = ngx_errno;
    journal->failed = call;

    return NGX_ERROR;
}
