
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The journal of a release, as it is written; it is read by
 * ngx_http_gray_lines.c, which says what a good line is.
 *
 * A write appends a line and syncs it before anybody learns of it.  What is
 * behind the last line feed is cut off by the next write.  A line that is not
 * good is damage: the file as it was is kept aside, and a new one is made of
 * all good lines.
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

#include "ngx_http_gray_failpoint.h"
#include "ngx_http_gray_journal.h"
#include "ngx_http_gray_lines.h"


#define NGX_HTTP_GRAY_JOURNAL_SUFFIX  ".jsonl"


typedef struct {
    int                             fd;
    off_t                           size;
    uint64_t                        last;       /* revision of the last one */
} ngx_http_gray_journal_file_t;


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
    ngx_http_gray_journal_file_t *file, ngx_http_gray_lines_tail_t *tail);
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
    ngx_http_gray_lines_t *lines, ngx_uint_t aside);
static ngx_int_t ngx_http_gray_journal_replace(
    ngx_http_gray_journal_t *journal, int fd,
    ngx_http_gray_lines_t *lines, ngx_uint_t first, ngx_uint_t aside,
    off_t *size);
static void ngx_http_gray_journal_compact(ngx_http_gray_journal_t *journal,
    ngx_http_gray_journal_file_t *file);
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
    ngx_int_t                   rc;
    ngx_http_gray_lines_tail_t  tail;

    if (journal->mark.size && !journal->mark.suspect) {
        file->last = journal->mark.revision;

        if (file->last <= journal->revision) {
            return NGX_OK;
        }
    }

    /* until it is mended */

    journal->mark.size = 0;

    rc = ngx_http_gray_lines_end(file->fd, file->size, &tail);

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
    ngx_http_gray_journal_file_t *file, ngx_http_gray_lines_tail_t *tail)
{
    ngx_int_t              rc;
    ngx_http_gray_lines_t  lines;

    if (ngx_http_gray_lines_load(file->fd, tail->end, &lines) != NGX_OK) {
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
                ngx_http_gray_lines_free(&lines);
                return ngx_http_gray_journal_fail(journal, "ftruncate()");
            }

            journal->torn = tail->torn;
            file->size = tail->end;
        }

        journal->mark.size = file->size;
        journal->mark.records = lines.nlines;
    }

    journal->mark.revision = tail->revision;

    ngx_http_gray_lines_free(&lines);

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
    ngx_http_gray_journal_file_t *file, ngx_http_gray_lines_t *lines,
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
    ngx_http_gray_lines_t *lines, ngx_uint_t first, ngx_uint_t aside,
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
    ngx_http_gray_lines_t  lines;

    if (ngx_http_gray_lines_load(file->fd, file->size, &lines) != NGX_OK) {
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

    ngx_http_gray_lines_free(&lines);
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
ngx_http_gray_journal_fail(ngx_http_gray_journal_t *journal, const char *call)
{
    journal->rc = NGX_ERROR;
    journal->err = ngx_errno;
    journal->failed = call;

    return NGX_ERROR;
}
