
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The lines of a journal.
 *
 * The last good line is what is in force: a line is good by its checksum, and
 * ends with a line feed.  What is behind the last line feed is a write that
 * was not finished; a line that is not good is damage.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <sys/mman.h>

#include "ngx_http_gray_failpoint.h"
#include "ngx_http_gray_lines.h"


/* the end of a file is read in such pieces, the first one is small */

#define NGX_HTTP_GRAY_LINES_FIRST   65536
#define NGX_HTTP_GRAY_LINES_PIECE   4194304
#define NGX_HTTP_GRAY_LINES_AGAIN   64

/* a number of a revision that is larger is damage */

#define NGX_HTTP_GRAY_LINES_REVISION  1000000000000


static ngx_int_t ngx_http_gray_lines_peek(const char *path, int *fd,
    off_t *size);
static ngx_int_t ngx_http_gray_lines_piece(u_char *data, size_t len,
    size_t stop, size_t *pos, ngx_http_gray_lines_tail_t *tail);
static ngx_int_t ngx_http_gray_lines_behind(int fd, u_char *data,
    ngx_http_gray_lines_tail_t *tail);
static void ngx_http_gray_lines_damage(u_char *data, size_t len,
    ngx_http_gray_lines_tail_t *tail);
static ngx_int_t ngx_http_gray_lines_backwards(int fd, off_t size,
    ngx_http_gray_lines_visit_pt visit, void *data);
static ngx_int_t ngx_http_gray_lines_visit(u_char *data, size_t *len,
    ngx_uint_t whole, ngx_http_gray_lines_visit_pt visit, void *ctx);
static ngx_int_t ngx_http_gray_lines_get(int fd, u_char *data, size_t len,
    off_t offset);


ngx_int_t
ngx_http_gray_lines_tail(const char *path,
    ngx_http_gray_lines_tail_t *tail)
{
    int        fd;
    off_t      size;
    ngx_int_t  rc;
    ngx_err_t  err;

    rc = ngx_http_gray_lines_peek(path, &fd, &size);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = (size == 0) ? NGX_DECLINED
                     : ngx_http_gray_lines_end(fd, size, tail);
    err = ngx_errno;

    (void) close(fd);

    ngx_set_errno(err);

    return rc;
}


/* opened for reading; for what is no plain file there is no errno */

static ngx_int_t
ngx_http_gray_lines_peek(const char *path, int *fd, off_t *size)
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

ngx_int_t
ngx_http_gray_lines_end(int fd, off_t size,
    ngx_http_gray_lines_tail_t *tail)
{
    off_t       from, to;
    size_t      pos, len, want;
    u_char     *data;
    ngx_int_t   rc;

    pos = 0;
    ngx_memzero(tail, sizeof(ngx_http_gray_lines_tail_t));

    tail->size = size;

    /* and a byte in front, which says whether a line begins there */

    data = malloc(1 + NGX_HTTP_GRAY_LINES_PIECE + NGX_HTTP_GRAY_RECORD_MAX);

    if (data == NULL) {
        ngx_set_errno(NGX_ENOMEM);
        return NGX_ERROR;
    }

    want = NGX_HTTP_GRAY_LINES_FIRST;
    rc = NGX_DECLINED;

    for (to = size; to > 0 && rc == NGX_DECLINED; to = from) {

        from = (to > (off_t) want) ? to - (off_t) want : 0;
        len = ngx_min(size - from,
                      to - from + (off_t) NGX_HTTP_GRAY_RECORD_MAX);

        if (from == 0) {
            data[0] = LF;
            rc = ngx_http_gray_lines_get(fd, data + 1, len, 0);

        } else {
            rc = ngx_http_gray_lines_get(fd, data, len + 1, from - 1);
        }

        if (rc == NGX_OK) {
            rc = ngx_http_gray_lines_piece(data, len + 1, to - from, &pos,
                                           tail);
            if (rc == NGX_OK && tail->line.len) {
                tail->end = from + pos;
            }
        }

        want = NGX_HTTP_GRAY_LINES_PIECE;
    }

    if (rc != NGX_ERROR && tail->layout != NGX_HTTP_GRAY_RECORD_NEWER) {
        rc = ngx_http_gray_lines_behind(fd, data, tail);
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
ngx_http_gray_lines_piece(u_char *data, size_t len, size_t stop,
    size_t *pos, ngx_http_gray_lines_tail_t *tail)
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
ngx_http_gray_lines_behind(int fd, u_char *data,
    ngx_http_gray_lines_tail_t *tail)
{
    size_t     len, again;
    off_t      pos;
    u_char    *p, *first, *last;
    uint64_t   revision;

    tail->torn = tail->size - tail->end;

    for (pos = tail->end; pos < tail->size; pos += len) {
        len = ngx_min(tail->size - pos, NGX_HTTP_GRAY_LINES_PIECE);

        /* a revision may stand on the edge of two pieces */

        again = ngx_min(pos - tail->end, NGX_HTTP_GRAY_LINES_AGAIN);

        if (ngx_http_gray_lines_get(fd, data, again + len, pos - again)
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

        ngx_http_gray_lines_damage(data, again + len, tail);
    }

    /* a whole record whose line feed is something else now */

    if (tail->torn > 1 && tail->torn <= NGX_HTTP_GRAY_RECORD_MAX) {

        if (ngx_http_gray_lines_get(fd, data, tail->torn,
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
ngx_http_gray_lines_damage(u_char *data, size_t len,
    ngx_http_gray_lines_tail_t *tail)
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
             && revision < NGX_HTTP_GRAY_LINES_REVISION;
             p++)
        {
            revision = revision * 10 + (*p - '0');
        }

        if (revision < NGX_HTTP_GRAY_LINES_REVISION) {
            tail->seen = ngx_max(tail->seen, revision);
        }
    }
}


ngx_int_t
ngx_http_gray_lines_read(const char *path,
    ngx_http_gray_lines_visit_pt visit, void *data)
{
    int        fd;
    off_t      size;
    ngx_int_t  rc;
    ngx_err_t  err;

    rc = ngx_http_gray_lines_peek(path, &fd, &size);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_gray_lines_backwards(fd, size, visit, data);
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
ngx_http_gray_lines_backwards(int fd, off_t size,
    ngx_http_gray_lines_visit_pt visit, void *ctx)
{
    off_t       from, to, first;
    size_t      want, len;
    u_char     *data;
    ngx_int_t   rc;

    /* mapped, as what threads get by malloc() stays theirs */

    data = mmap(NULL, NGX_HTTP_GRAY_LINES_PIECE, PROT_READ|PROT_WRITE,
                MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);

    if (data == MAP_FAILED) {
        return NGX_ERROR;
    }

    first = size - ngx_min(size, (off_t) NGX_HTTP_GRAY_JOURNAL_LOAD);
    want = NGX_HTTP_GRAY_LINES_FIRST;
    rc = NGX_OK;

    for (to = size; to > first && rc == NGX_OK; to = from + len) {

        from = ngx_max(first, to - (off_t) want);
        len = to - from;

        rc = ngx_http_gray_lines_get(fd, data, len, from);

        if (rc == NGX_OK) {
            rc = ngx_http_gray_lines_visit(data, &len, from == 0, visit,
                                           ctx);
        }

        if (from == first) {
            break;
        }

        /* no line is as long as the largest piece: it is passed over */

        if (from + (off_t) len == to && want == NGX_HTTP_GRAY_LINES_PIECE) {
            len = 0;
        }

        want = NGX_HTTP_GRAY_LINES_PIECE;
    }

    (void) munmap(data, NGX_HTTP_GRAY_LINES_PIECE);

    return rc == NGX_DONE ? NGX_OK : rc;
}


/*
 * Visits the lines that begin behind a line feed, or where the bytes are
 * "whole"; "len" becomes that of what is in front of them.
 */

static ngx_int_t
ngx_http_gray_lines_visit(u_char *data, size_t *len, ngx_uint_t whole,
    ngx_http_gray_lines_visit_pt visit, void *ctx)
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


ngx_int_t
ngx_http_gray_lines_load(int fd, off_t end,
    ngx_http_gray_lines_t *lines)
{
    off_t       from;
    size_t      len;
    u_char     *p, *next, *last;
    uint64_t    revision;
    ngx_uint_t  n;

    ngx_memzero(lines, sizeof(ngx_http_gray_lines_t));

    len = ngx_min(end, (off_t) NGX_HTTP_GRAY_JOURNAL_LOAD);
    from = end - len;

    lines->data = malloc(len + 1);

    if (lines->data == NULL) {
        ngx_set_errno(NGX_ENOMEM);
        return NGX_ERROR;
    }

    if (ngx_http_gray_lines_get(fd, lines->data, len, from) != NGX_OK) {
        ngx_http_gray_lines_free(lines);
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
        ngx_http_gray_lines_free(lines);
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


void
ngx_http_gray_lines_free(ngx_http_gray_lines_t *lines)
{
    free(lines->data);
    free(lines->line);
    free(lines->revision);

    ngx_memzero(lines, sizeof(ngx_http_gray_lines_t));
}


static ngx_int_t
ngx_http_gray_lines_get(int fd, u_char *data, size_t len, off_t offset)
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
