
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Journals: what is found in files that were cut, damaged, or are none, what is
 * kept of long ones, and what becomes of a file where calls fail.
 */


#include "unit.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <fcntl.h>

#include "ngx_http_gray_journal.h"
#include "ngx_http_gray_lines.h"
#include "lines.h"

#define XXH_INLINE_ALL
#include <xxhash.h>


#define FIRST  65536         /* as in ngx_http_gray_lines.c */
#define PIECE  4194304


/* as they are linked with files of 64 bits */

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
ssize_t __real_pwrite64(int fd, const void *data, size_t size, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t size, off_t offset);
ssize_t __real_pread64(int fd, void *data, size_t size, off_t offset);
ssize_t __wrap_pread64(int fd, void *data, size_t size, off_t offset);
int __real_ftruncate64(int fd, off_t size);
int __wrap_ftruncate64(int fd, off_t size);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fstat64(int fd, struct stat64 *st);
int __wrap_fstat64(int fd, struct stat64 *st);
int __real_fchown(int fd, uid_t uid, gid_t gid);
int __wrap_fchown(int fd, uid_t uid, gid_t gid);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);
int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
void *__real_mmap64(void *addr, size_t size, int prot, int flags, int fd,
    off_t offset);
void *__wrap_mmap64(void *addr, size_t size, int prot, int flags, int fd,
    off_t offset);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

/* in builds that have failpoints each of these is a call that fails, too */

ngx_uint_t __wrap_ngx_http_gray_fails(const char *point);


static char        dir[] = "/tmp/gray-journal-XXXXXX";
static char        path[128], bad[128], temp[128];
static uint64_t    seed;

/* the call that fails, and one more; whether all after it do; short writes */

static ngx_uint_t  calls, failing, failing_too, for_good, shortened;

/* calls of these */

static ngx_uint_t  syncs, reads;

/* reads and writes until a signal comes, or until there is nothing to read */

static ngx_uint_t  until_signal, until_end;


static ngx_uint_t
counted_down(ngx_uint_t *n)
{
    return *n && --*n == 0;
}


static ngx_uint_t
fails(void)
{
    calls++;

    if (failing && (calls == failing || calls == failing_too
                    || (for_good && calls > failing)))
    {
        errno = EIO;
        return 1;
    }

    return 0;
}


int
__wrap_open64(const char *name, int flags, ...)
{
    return fails() ? -1 : __real_open64(name, flags, 0600);
}


ssize_t
__wrap_pwrite64(int fd, const void *data, size_t size, off_t offset)
{
    if (counted_down(&until_signal)) {
        errno = EINTR;
        return -1;
    }

    if (fails()) {

        /* as a disk that becomes full does */

        if (shortened && size > 1) {
            return __real_pwrite64(fd, data, size / 2, offset);
        }

        return -1;
    }

    return __real_pwrite64(fd, data, size, offset);
}


ssize_t
__wrap_pread64(int fd, void *data, size_t size, off_t offset)
{
    reads++;

    if (counted_down(&until_signal)) {
        errno = EINTR;
        return -1;
    }

    if (counted_down(&until_end)) {
        return 0;
    }

    if (fails()) {
        return shortened ? __real_pread64(fd, data, (size + 1) / 2, offset)
                         : -1;
    }

    return __real_pread64(fd, data, size, offset);
}


int
__wrap_ftruncate64(int fd, off_t size)
{
    return fails() ? -1 : __real_ftruncate64(fd, size);
}


int
__wrap_fdatasync(int fd)
{
    syncs++;

    return fails() ? -1 : 0;
}


int
__wrap_fsync(int fd)
{
    syncs++;

    return fails() ? -1 : 0;
}


int
__wrap_fstat64(int fd, struct stat64 *st)
{
    return fails() ? -1 : __real_fstat64(fd, st);
}


int
__wrap_fchown(int fd, uid_t uid, gid_t gid)
{
    return fails() ? -1 : __real_fchown(fd, uid, gid);
}


int
__wrap_rename(const char *from, const char *to)
{
    return fails() ? -1 : __real_rename(from, to);
}


int
__wrap_link(const char *from, const char *to)
{
    return fails() ? -1 : __real_link(from, to);
}


int
__wrap_unlink(const char *name)
{
    return fails() ? -1 : __real_unlink(name);
}


void *
__wrap_mmap64(void *addr, size_t size, int prot, int flags, int fd,
    off_t offset)
{
    return fails() ? MAP_FAILED
                   : __real_mmap64(addr, size, prot, flags, fd, offset);
}


void *
__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}


ngx_uint_t
__wrap_ngx_http_gray_fails(const char *point)
{
    (void) point;

    return fails();
}


static void
works(void)
{
    calls = 0;
    failing = 0;
    failing_too = 0;
    for_good = 0;
    shortened = 0;
    until_signal = 0;
    until_end = 0;
}


/* a record whose document is of "len" bytes and says the revision and "id" */

static ngx_str_t
record(uint64_t revision, ngx_uint_t id, size_t len)
{
    char                    *doc;
    size_t                   n;
    ngx_str_t                line;
    ngx_http_gray_record_t   r;

    doc = malloc(len + 100);
    assert_non_null(doc);

    n = sprintf(doc, "{\"id\":%lu,\"x\":\"", (unsigned long) id);

    for ( /* void */ ; n + 2 < len; n++) {
        doc[n] = 'a' + draw(&seed) % 26;
    }

    n += sprintf(doc + n, "\"}");

    memset(&r, 0, sizeof(r));

    r.revision = revision;
    r.time = string("2026-11-29T18:02:03.123Z");
    r.origin = string("api");
    r.comment = string("\"revision\":9999 of no record");
    r.document.data = (u_char *) doc;
    r.document.len = n;

    assert_int_equal(ngx_http_gray_record_print(&r, &line), NGX_OK);

    free(doc);

    return line;
}


/* ... of just so many bytes, with its line feed */

static ngx_str_t
record_of(uint64_t revision, size_t len)
{
    size_t     least;
    ngx_str_t  line;

    line = record(revision, 1, 100);
    least = line.len - 100;
    free(line.data);

    line = record(revision, 1, len - least);
    assert_int_equal(line.len, len);

    return line;
}


static void
put(const char *name, const u_char *data, size_t len)
{
    int  fd;

    (void) __real_unlink(name);
    fd = __real_open64(name, O_RDWR|O_CREAT|O_TRUNC, 0600);
    assert_int_not_equal(fd, -1);
    assert_int_equal(__real_pwrite64(fd, data, len, 0), len);
    (void) close(fd);
}


static size_t
get(const char *name, u_char *data, size_t len)
{
    int      fd;
    ssize_t  n;

    fd = __real_open64(name, O_RDONLY);
    assert_int_not_equal(fd, -1);
    n = __real_pread64(fd, data, len, 0);
    assert_true(n >= 0);
    (void) close(fd);

    return n;
}


/* a file of records 1 to n, or of one that is "damaged" */

static size_t
file(u_char *data, ngx_uint_t n, size_t *ends)
{
    size_t      len;
    ngx_str_t   line;
    ngx_uint_t  i;

    for (i = 0, len = 0; i < n; i++) {
        line = record(i + 1, i + 1, 40);
        memcpy(data + len, line.data, line.len);
        len += line.len;
        ends[i] = len;
        free(line.data);
    }

    return len;
}


static void
visit(ngx_http_gray_journal_t *journal, uint64_t revision)
{
    ngx_str_t  where, name;

    where = string(dir);
    name = string("r");

    assert_int_equal(ngx_http_gray_journal_init(journal, &where, &name),
                     NGX_OK);

    journal->history = 100;
    journal->revision = revision;
}


/* a write of one revision, of a zone that knows nothing of the file */

static ngx_int_t
write_next(uint64_t revision)
{
    ngx_int_t                rc;
    ngx_http_gray_journal_t  journal;

    visit(&journal, revision);
    journal.line = record(revision + 1, 77, 40);

    ngx_http_gray_journal_write(&journal);
    rc = journal.rc;
    ngx_http_gray_journal_free(&journal);

    return rc;
}


/* what a zone knows of a file that it has left like this */

static void
know(ngx_http_gray_journal_mark_t *mark, uint64_t revision, uint64_t records)
{
    struct stat  st;

    assert_int_equal(stat(path, &st), 0);

    memset(mark, 0, sizeof(ngx_http_gray_journal_mark_t));

    mark->dev = st.st_dev;
    mark->ino = st.st_ino;
    mark->size = st.st_size;
    mark->mtime = (uint64_t) st.st_mtim.tv_sec * 1000000000
                  + st.st_mtim.tv_nsec;
    mark->revision = revision;
    mark->records = records;
    mark->named = 1;
}


/* revision of the last good line; "tail" without the line */

static uint64_t
tail_of(ngx_http_gray_lines_tail_t *tail)
{
    assert_int_equal(ngx_http_gray_lines_tail(path, tail), NGX_OK);
    free(tail->line.data);

    return tail->revision;
}


static ngx_int_t
stop_at(void *data, u_char *line, size_t len, uint64_t revision)
{
    ngx_uint_t *n = data;

    (*n)++;

    return NGX_DONE;
}


static void
assert_revisions(ngx_uint_t from, ngx_uint_t to)
{
    ngx_uint_t                     i;
    lines_t  lines;

    assert_int_equal(read_lines(path, &lines), NGX_OK);
    assert_int_equal(lines.nlines, to + 1 - from);
    assert_int_equal(lines.damaged, 0);

    for (i = 0; i < lines.nlines; i++) {
        assert_int_equal(lines.revision[i], from + i);
    }

    free_lines(&lines);
}


static void
test_cut(void **state)
{
    u_char                      data[4096];
    size_t                      i, len, ends[6];
    ngx_uint_t                  whole;
    ngx_http_gray_lines_tail_t  tail;

    (void) state;

    len = file(data, 6, ends);

    for (i = ends[2]; i <= len; i++) {
        put(path, data, i);

        for (whole = 0; whole < 6 && ends[whole] <= i; whole++) { /* void */ }

        assert_int_equal(tail_of(&tail), whole);
        assert_int_equal(tail.end, ends[whole - 1]);
        assert_int_equal(tail.torn, i - ends[whole - 1]);
        assert_int_equal(tail.lost, 0);
        assert_int_equal(tail.seen, 0);

        assert_int_equal(write_next(whole), NGX_OK);
        assert_revisions(1, whole + 1);
        assert_int_equal(access(bad, F_OK), -1);
    }
}


/* one bit: all other records are there, and the file as it was is kept */

static void
test_flipped(void **state)
{
    u_char                      data[4096], back[4096];
    size_t                      i, len, ends[5];
    ngx_uint_t                  hit, last, gone;
    ngx_http_gray_journal_t     journal;
    ngx_http_gray_lines_tail_t  tail;
    lines_t                     lines;

    (void) state;

    len = file(data, 5, ends);

    for (i = 0; i < len; i++) {
        data[i] ^= 1 << (i % 8);
        put(path, data, len);

        for (hit = 1; ends[hit - 1] <= i; hit++) { /* void */ }

        /* without a line feed two are one */

        gone = 1 + (i == ends[hit - 1] - 1 && hit < 5);
        last = (hit + gone > 5) ? hit - 1 : 5;

        assert_int_equal(tail_of(&tail), last);
        assert_int_equal(tail.torn, 0);
        assert_int_equal(tail.lost, (last < 5)
                                    + (data[i] == LF && i > ends[3]));

        if (tail.lost && ngx_strnstr(data + tail.end, "\"revision\":5,",
                                     len - tail.end))
        {
            assert_int_equal(tail.seen, 5);
        }

        visit(&journal, last);
        journal.line = record(6, 6, 40);

        ngx_http_gray_journal_write(&journal);
        assert_int_equal(journal.rc, NGX_OK);

        assert_int_equal(read_lines(path, &lines), NGX_OK);
        assert_int_equal(lines.damaged, 0);
        assert_int_equal(lines.nlines, 5 - gone + 1);
        assert_int_equal(lines.revision[lines.nlines - 1], 6);
        free_lines(&lines);

        assert_true(journal.damaged > 0);
        assert_int_equal(get(bad, back, sizeof(back)), len);
        assert_memory_equal(back, data, len);
        assert_int_equal(__real_unlink(bad), 0);
        assert_int_equal(access(temp, F_OK), -1);

        ngx_http_gray_journal_free(&journal);
        data[i] ^= 1 << (i % 8);
    }
}


static void
test_garbage(void **state)
{
    u_char                      data[4096], copy[4096];
    size_t                      len, ends[3];
    ngx_uint_t                  i;
    ngx_http_gray_lines_tail_t  tail;

    static const struct {
        const char  *text;
        size_t       len;
        ngx_uint_t   lost, seen, torn;
    } garbage[] = {
        { "x", 1, 0, 0, 1 },
        { "\n", 1, 1, 0, 0 },
        { "\n\n\n", 3, 3, 0, 0 },
        { "x\ny\nz", 5, 2, 0, 1 },
        { "\0\0\0\0\0\0\0\0", 8, 0, 0, 8 },
        { "\0\0\0\n", 4, 1, 0, 0 },
        { "\"revision\":9}\n", 14, 1, 9, 0 },
        { "\"revision\":9}\n\"revision\":8,", 27, 1, 9, 13 },
        { "\"revision\":9", 12, 0, 0, 12 },
        { "\"revision\":1000000000000\n", 25, 1, 0, 0 },
        { "\"revision\":999999999999999999999999\n", 36, 1, 0, 0 },
        { "\"revision\":\n", 12, 1, 0, 0 },
        { "\"revision\":\"7\"\n\"revision\":\"8\"", 29, 1, 0, 14 },
        { "{\"checksum\":\"0123456789abcdef\",\"layout\":2\n", 42, 1, 0, 0 }
    };

    (void) state;

    len = file(data, 3, ends);

    for (i = 0; i < ITEMS(garbage); i++) {
        memcpy(copy, data, len);
        memcpy(copy + len, garbage[i].text, garbage[i].len);
        put(path, copy, len + garbage[i].len);

        assert_int_equal(tail_of(&tail), 3);
        assert_int_equal(tail.end, len);
        assert_int_equal(tail.lost, garbage[i].lost);
        assert_int_equal(tail.seen, garbage[i].seen);
        assert_int_equal(tail.torn, garbage[i].torn);

        assert_int_equal(write_next(3), NGX_OK);
        assert_revisions(1, 4);
        assert_int_equal(access(bad, F_OK), garbage[i].lost ? 0 : -1);
        (void) __real_unlink(bad);

        /* nothing else is there */

        put(path, (u_char *) garbage[i].text, garbage[i].len);

        assert_int_equal(tail_of(&tail), 0);
        assert_int_equal(tail.end, 0);
        assert_true(tail.lost > 0 || strstr(garbage[i].text, "\"revision\":9"));

        assert_int_equal(write_next(0), NGX_OK);
        assert_revisions(1, 1);
        assert_int_equal(access(bad, F_OK), tail.lost ? 0 : -1);
        (void) __real_unlink(bad);
    }
}


static void
test_sparse(void **state)
{
    u_char                      data[4096];
    size_t                      len, ends[3];
    ngx_http_gray_lines_tail_t  tail;

    (void) state;

    len = file(data, 3, ends);
    put(path, data, len);
    assert_int_equal(truncate(path, 1024 * 1024 * 1024), 0);

    assert_int_equal(tail_of(&tail), 3);
    assert_int_equal(tail.torn, 1024 * 1024 * 1024 - len);
    assert_int_equal(tail.lost, 0);

    assert_int_equal(write_next(3), NGX_OK);
    assert_revisions(1, 4);
    assert_int_equal(access(bad, F_OK), -1);
}


static void
test_no_file(void **state)
{
    char                        other[160];
    u_char                      data[4096];
    size_t                      len, ends[2];
    struct stat                 st;
    ngx_http_gray_journal_t     journal;
    ngx_http_gray_lines_tail_t  tail;
    lines_t                     lines;

    (void) state;

    (void) __real_unlink(path);
    assert_int_equal(ngx_http_gray_lines_tail(path, &tail), NGX_DECLINED);
    assert_int_equal(read_lines(path, &lines), NGX_DECLINED);

    put(path, data, 0);
    assert_int_equal(ngx_http_gray_lines_tail(path, &tail), NGX_DECLINED);
    assert_int_equal(read_lines(path, &lines), NGX_OK);
    assert_int_equal(lines.nlines, 0);
    free_lines(&lines);
    assert_int_equal(write_next(0), NGX_OK);
    assert_revisions(1, 1);

    (void) __real_unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(ngx_http_gray_lines_tail(path, &tail), NGX_ERROR);
    assert_int_equal(read_lines(path, &lines), NGX_ERROR);
    assert_int_equal(write_next(1), NGX_ERROR);
    assert_int_equal(rmdir(path), 0);

    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(ngx_http_gray_lines_tail(path, &tail), NGX_ERROR);
    assert_int_equal(errno, 0);
    assert_int_equal(read_lines(path, &lines), NGX_ERROR);
    assert_int_equal(write_next(1), NGX_ERROR);

    /* ... be it in the place of a file that is known */

    assert_int_equal(__real_unlink(path), 0);
    len = file(data, 2, ends);
    put(path, data, len);
    visit(&journal, 2);
    know(&journal.mark, 2, 2);
    (void) snprintf(other, sizeof(other), "%s/other", dir);
    assert_int_equal(__real_rename(path, other), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    journal.line = record(3, 3, 40);
    ngx_http_gray_journal_write(&journal);
    assert_int_equal(journal.rc, NGX_ERROR);
    assert_int_equal(journal.mark.size, 0);
    ngx_http_gray_journal_free(&journal);
    assert_int_equal(__real_unlink(other), 0);
    assert_int_equal(__real_unlink(path), 0);

    /* neither read nor written by another name */

    len = file(data, 2, ends);
    (void) snprintf(other, sizeof(other), "%s/other", dir);
    put(other, data, len);
    assert_int_equal(symlink(other, path), 0);

    assert_int_equal(ngx_http_gray_lines_tail(path, &tail), NGX_ERROR);
    assert_int_equal(errno, ELOOP);
    assert_int_equal(read_lines(path, &lines), NGX_ERROR);
    assert_int_equal(write_next(2), NGX_ERROR);

    assert_int_equal(stat(other, &st), 0);
    assert_int_equal(st.st_size, len);
    assert_int_equal(__real_unlink(path), 0);
    assert_int_equal(__real_unlink(other), 0);
}


/* a file of a layout to come stays as it is, whatever is behind it */

static void
test_newer(void **state)
{
    char                        digits[17];
    u_char                      data[4096], back[4096];
    size_t                      len, n, ends[2];
    ngx_uint_t                  i;
    ngx_http_gray_lines_tail_t  tail;

    static const char  rest[] = "\"layout\":2,\"revision\":3,\"new\":[]}";
    static const char  *behind[] = { "", "x", "x\n", "\n\n", "{\"checksum\":" };

    (void) state;

    len = file(data, 2, ends);
    len += sprintf((char *) data + len,
                   "{\"checksum\":\"0123456789abcdef\",%s\n", rest);
    sprintf(digits, "%016llx", (unsigned long long)
            XXH64(rest, sizeof(rest) - 1, 0));
    memcpy(data + ends[1] + 13, digits, 16);

    for (i = 0; i < ITEMS(behind); i++) {
        n = len + sprintf((char *) data + len, "%s", behind[i]);
        put(path, data, n);

        assert_int_equal(ngx_http_gray_lines_tail(path, &tail), NGX_OK);
        assert_int_equal(tail.layout, NGX_HTTP_GRAY_RECORD_NEWER);
        assert_null(tail.line.data);

        assert_int_equal(write_next(2), NGX_ABORT);
        assert_int_equal(write_next(9), NGX_ABORT);

        assert_int_equal(get(path, back, sizeof(back)), n);
        assert_memory_equal(back, data, n);
        assert_int_equal(access(bad, F_OK), -1);
    }
}


/* what an older version has written goes on */

static void
test_layout_1(void **state)
{
    u_char                      data[4096], back[4096];
    size_t                      len;
    ngx_http_gray_lines_tail_t  tail;
    lines_t                     lines;

    (void) state;

    len = get("t/journal/layout1.jsonl", data, sizeof(data));
    put(path, data, len);

    assert_int_equal(tail_of(&tail), 1000000000000);
    assert_int_equal(write_next(1000000000000), NGX_OK);

    assert_int_equal(read_lines(path, &lines), NGX_OK);
    assert_int_equal(lines.nlines, 6);
    assert_int_equal(lines.damaged, 0);
    free_lines(&lines);

    assert_true(get(path, back, sizeof(back)) > len);
    assert_memory_equal(back, data, len);
}


/*
 * The last good line begins or ends at the edges of what is read at once, or
 * beside them; behind it are lines that are none.
 */

static void
test_windows(void **state)
{
    u_char                     *data;
    size_t                      i, len, at, behind;
    ngx_int_t                   edge;
    ngx_str_t                   first, line;
    ngx_uint_t                  k, n;
    lines_t                     lines;
    ngx_http_gray_lines_tail_t  tail;

    static const size_t  edges[] = { FIRST, FIRST + PIECE };
    static const size_t  lens[] = { 300, 4096, 300000,
                                    NGX_HTTP_GRAY_RECORD_MAX };

    (void) state;

    data = malloc(PIECE + 4 * NGX_HTTP_GRAY_RECORD_MAX + FIRST);
    assert_non_null(data);

    first = record_of(1, 500);

    for (k = 0; k < ITEMS(edges); k++) {
        for (n = 0; n < ITEMS(lens); n++) {

            line = record_of(2, lens[n]);

            for (edge = -2; edge <= 2; edge++) {
                for (at = 0; at < 3; at++) {

                    /* its begin, its end, or its middle is at the edge */

                    behind = edges[k] + edge
                             - (at == 0 ? ngx_min(line.len, edges[k] - 2)
                                        : at == 1 ? 0
                                        : ngx_min(line.len / 2, edges[k] - 2));

                    memcpy(data, first.data, first.len);
                    len = first.len;
                    memcpy(data + len, line.data, line.len);
                    len += line.len;

                    for (i = 0; i < behind; i++) {
                        data[len + i] = (i % 1000 == 999) ? LF : '{';
                    }

                    put(path, data, len + behind);

                    if (tail_of(&tail) != 2 || (size_t) tail.end != len
                        || tail.lost != behind / 1000
                        || tail.torn != behind % 1000)
                    {
                        fail_msg("edge %lu%+ld, %lu bytes, %lu: revision %lu",
                                 (unsigned long) edges[k], (long) edge,
                                 (unsigned long) lens[n], (unsigned long) at,
                                 (unsigned long) tail.revision);
                    }

                    assert_int_equal(read_lines(path, &lines), NGX_OK);

                    if (lines.nlines != 2
                        || lines.revision[0] != 1
                        || lines.revision[1] != 2
                        || lines.line[1].len != line.len - 1
                        || memcmp(lines.line[1].data, line.data, line.len - 1)
                           != 0)
                    {
                        fail_msg("edge %lu%+ld, %lu bytes, %lu: %lu lines",
                                 (unsigned long) edges[k], (long) edge,
                                 (unsigned long) lens[n], (unsigned long) at,
                                 (unsigned long) lines.nlines);
                    }

                    free_lines(&lines);
                }
            }

            free(line.data);
        }
    }

    /* a line that is longer than any can be is none, wherever it begins */

    line = record_of(2, NGX_HTTP_GRAY_RECORD_MAX + 10000);
    memcpy(data + first.len, line.data, line.len);
    len = first.len + line.len;
    memset(data + len, 'x', FIRST);

    for (behind = 0; behind < FIRST; behind += 977) {
        put(path, data, len + behind);
        n = tail_of(&tail);
        assert_in_range(n, 1, 2);
    }

    free(line.data);
    free(first.data);
    free(data);
}


/*
 * Lines of all lengths, in many pieces, and one between them that is longer
 * than a piece: each that is good is visited once, the last one first.
 */

static void
test_pieces(void **state)
{
    FILE        *out;
    char        *junk;
    lines_t      lines;
    ngx_str_t    line[61];
    ngx_uint_t   i, k, n;

    static const size_t  junks[] = { 1, 1000, FIRST, PIECE - 1, PIECE,
                                     PIECE + 1, 2 * PIECE + 77 };
    (void) state;

    for (n = 1; n <= 60; n++) {
        line[n] = record_of(n, 300 + (n * 7919 * 37) % 600000);
    }

    for (k = 0; k < ITEMS(junks); k++) {

        junk = malloc(junks[k]);
        assert_non_null(junk);
        memset(junk, 'x', junks[k]);
        junk[junks[k] - 1] = LF;

        out = fopen(path, "w");
        assert_non_null(out);

        for (n = 1; n <= 60; n++) {
            assert_int_equal(fwrite(line[n].data, line[n].len, 1, out), 1);

            if (n == 30) {
                assert_int_equal(fwrite(junk, junks[k], 1, out), 1);
            }
        }

        assert_int_equal(fclose(out), 0);
        free(junk);

        assert_int_equal(read_lines(path, &lines), NGX_OK);
        assert_int_equal(lines.nlines, 60);
        assert_int_equal(lines.damaged, 1);

        for (i = 0; i < 60; i++) {
            assert_int_equal(lines.revision[i], i + 1);
            assert_int_equal(lines.line[i].len, line[i + 1].len - 1);
            assert_memory_equal(lines.line[i].data, line[i + 1].data,
                                lines.line[i].len);
        }

        free_lines(&lines);
    }

    /* who is content with what is at the end does not read the rest */

    reads = 0;
    n = 0;
    assert_int_equal(ngx_http_gray_lines_read(path, stop_at, &n), NGX_OK);
    assert_int_equal(n, 1);
    assert_in_range(reads, 1, 2);

    for (n = 1; n <= 60; n++) {
        free(line[n].data);
    }
}


/* numbers of damaged lines are found, wherever pieces begin and end */

static void
test_seen(void **state)
{
    u_char                     *data;
    size_t                      i, len;
    ngx_str_t                   line;
    ngx_http_gray_lines_tail_t  tail;

    static const char  number[] = "\"revision\":123456,";

    (void) state;

    data = malloc(PIECE + 3000);
    assert_non_null(data);

    line = record_of(2, 300);
    memcpy(data, line.data, line.len);
    len = line.len + PIECE + 1000;

    for (i = 0; i <= sizeof(number); i++) {
        memset(data + line.len, '{', PIECE + 1000);
        memcpy(data + line.len + PIECE - i, number, sizeof(number) - 1);
        data[len] = LF;
        put(path, data, len + 1);

        assert_int_equal(tail_of(&tail), 2);
        assert_int_equal(tail.lost, 1);

        if (tail.seen != 123456) {
            fail_msg("%lu bytes before the edge: %lu", (unsigned long) i,
                     (unsigned long) tail.seen);
        }
    }

    free(line.data);
    free(data);
}


/* a zone that goes on: every revision by what it knows of the file */

static void
test_compaction(void **state)
{
    ngx_uint_t                     i, n, compacted;
    struct stat                    st;
    ngx_http_gray_journal_t        journal;
    ngx_http_gray_journal_mark_t   mark;

    static const struct {
        size_t      len;
        ngx_uint_t  history;
        ngx_uint_t  writes;
    } runs[] = {
        { 100, 1, 20 }, { 100, 5, 60 }, { 1000000, 100, 80 },
        { 1048500, 1, 8 }
    };

    (void) state;

    for (n = 0; n < ITEMS(runs); n++) {
        (void) __real_unlink(path);
        memset(&mark, 0, sizeof(mark));
        compacted = 0;

        for (i = 0; i < runs[n].writes; i++) {
            visit(&journal, i);
            journal.mark = mark;
            journal.history = runs[n].history;
            journal.line = record(i + 1, i, runs[n].len);

            ngx_http_gray_journal_write(&journal);

            assert_int_equal(journal.rc, NGX_OK);
            assert_int_equal(journal.mark.revision, i + 1);
            assert_int_equal(ngx_http_gray_journal_moved(path, &journal.mark),
                             0);
            assert_in_range(journal.mark.records, 1, 2 * runs[n].history);
            assert_true(journal.mark.size <= 2 * NGX_HTTP_GRAY_JOURNAL_BYTES);

            assert_int_equal(stat(path, &st), 0);
            assert_int_equal(st.st_size, journal.mark.size);
            assert_int_equal(st.st_mode & 07777, 0600);

            if (journal.compacted) {
                compacted++;

                if (runs[n].len > 100 && runs[n].history > 1) {
                    assert_true(st.st_size <= NGX_HTTP_GRAY_JOURNAL_BYTES);
                    assert_true(st.st_size > NGX_HTTP_GRAY_JOURNAL_BYTES
                                             - (off_t) runs[n].len - 1000);

                } else {
                    assert_int_equal(journal.mark.records, runs[n].history);
                }

                assert_revisions(i + 2 - journal.mark.records, i + 1);
            }

            mark = journal.mark;
            ngx_http_gray_journal_free(&journal);
        }

        assert_true(compacted > 1);
        assert_int_equal(access(bad, F_OK), -1);
        assert_int_equal(access(temp, F_OK), -1);
    }
}


/* a file that is longer than what is read of it is made anew of its end */

static void
test_too_long(void **state)
{
    FILE                     *out;
    ngx_str_t                 line;
    ngx_uint_t                n;
    struct stat               st;
    ngx_http_gray_journal_t   journal;

    (void) state;

    (void) __real_unlink(path);
    out = fopen(path, "w");
    assert_non_null(out);

    for (n = 1; n <= 60; n++) {
        line = record(n, n, 1000000);
        assert_int_equal(fwrite(line.data, line.len, 1, out), 1);
        free(line.data);
    }

    assert_int_equal(fclose(out), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size > 3 * NGX_HTTP_GRAY_JOURNAL_BYTES);

    visit(&journal, 60);
    journal.line = record(61, 61, 40);
    ngx_http_gray_journal_write(&journal);

    assert_int_equal(journal.rc, NGX_OK);
    assert_int_equal(journal.damaged, 0);
    assert_int_equal(journal.torn, 0);
    assert_int_equal(journal.compacted, 0);
    assert_int_equal(stat(path, &st), 0);
    assert_in_range(st.st_size, NGX_HTTP_GRAY_JOURNAL_BYTES - 1000000,
                    NGX_HTTP_GRAY_JOURNAL_BYTES + 1100000);
    assert_int_equal(st.st_size, journal.mark.size);
    assert_revisions(62 - journal.mark.records, 61);
    assert_int_equal(access(bad, F_OK), -1);
    assert_int_equal(access(temp, F_OK), -1);

    ngx_http_gray_journal_free(&journal);
}


/* nothing is synced, be it that a write is taken back */

static void
test_relaxed(void **state)
{
    u_char                    data[4096], back[4096];
    size_t                    len, ends[3];
    ngx_uint_t                n, done, taken;
    ngx_http_gray_journal_t   journal;

    (void) state;

    for (n = 1, done = 0, taken = 0; !done; n++) {
        len = file(data, 3, ends);
        put(path, data, len);

        visit(&journal, 3);
        know(&journal.mark, 3, 3);
        journal.line = record(4, 77, 40);
        journal.relaxed = 1;

        works();
        syncs = 0;
        failing = n;
        ngx_http_gray_journal_write(&journal);
        done = calls < n;
        works();

        assert_int_equal(syncs, 0);
        assert_int_equal(journal.unknown, 0);
        assert_int_equal(journal.mark.size, 0);

        if (journal.rc != NGX_OK) {
            assert_string_not_equal(journal.failed, "");
            assert_int_equal(get(path, back, sizeof(back)), len);
            assert_memory_equal(back, data, len);
            taken += (strcmp(journal.failed, "write()") == 0);
        }

        ngx_http_gray_journal_free(&journal);
    }

    assert_true(taken > 0);
    assert_revisions(1, 4);
}


/* damage that nobody has seen before is not thrown away */

static void
test_compaction_damaged(void **state)
{
    u_char                         data[4096], back[4096];
    size_t                         len, ends[5];
    ngx_http_gray_journal_t        journal;

    (void) state;

    len = file(data, 4, ends);
    data[10] ^= 1;
    put(path, data, len);

    visit(&journal, 4);
    journal.history = 2;
    know(&journal.mark, 4, 4);
    journal.line = record(5, 5, 40);

    ngx_http_gray_journal_write(&journal);

    assert_int_equal(journal.rc, NGX_OK);
    assert_int_equal(journal.compacted, 1);
    assert_int_equal(journal.damaged, 1);
    assert_revisions(4, 5);

    assert_true(get(bad, back, sizeof(back)) > len);
    assert_memory_equal(back, data, len);
    assert_int_equal(__real_unlink(bad), 0);

    ngx_http_gray_journal_free(&journal);
}


static void
test_marks(void **state)
{
    u_char                      data[4096];
    size_t                      len, ends[5];
    uint64_t                    revision;
    ngx_uint_t                  i, n;
    ngx_http_gray_journal_t     journal;
    ngx_http_gray_lines_tail_t  tail;

    (void) state;

    len = file(data, 3, ends);

    /* what is known is believed; what differs is read: revision 3 is newer */

    for (i = 0; i < 6; i++) {
        put(path, data, len);

        visit(&journal, 2);
        know(&journal.mark, 2 + (i == 5), 2);
        journal.mark.dev += (i == 1);
        journal.mark.ino += (i == 2);
        journal.mark.size += (i == 3);
        journal.mark.mtime += (i == 4);
        journal.line = record(3, 99, 40);

        assert_int_equal(ngx_http_gray_journal_moved(path, &journal.mark),
                         i >= 1 && i <= 4);

        syncs = 0;
        ngx_http_gray_journal_write(&journal);

        assert_int_equal(journal.rc, i ? NGX_DECLINED : NGX_OK);
        assert_int_equal(syncs, (i >= 1 && i <= 4) ? 2 : 1);
        assert_int_equal(journal.mark.named, 1);
        assert_int_equal(ngx_http_gray_journal_moved(path, &journal.mark), 0);

        if (i) {
            assert_int_equal(journal.found.len, ends[2] - ends[1] - 1);
            assert_memory_equal(journal.found.data, data + ends[1],
                                journal.found.len);
            assert_int_equal(ngx_http_gray_record_judge(journal.found.data,
                                          journal.found.len, &revision),
                             NGX_HTTP_GRAY_RECORD_GOOD);
            assert_revisions(1, 3);
        }

        ngx_http_gray_journal_free(&journal);
    }

    assert_int_equal(__real_unlink(path), 0);
    memset(&journal.mark, 0, sizeof(journal.mark));
    assert_int_equal(ngx_http_gray_journal_moved(path, &journal.mark), 1);
    journal.mark.size = 1;
    assert_int_equal(ngx_http_gray_journal_moved(path, &journal.mark), 1);

    /* with and without what is in force, relaxed or not; a new file's name */

    for (n = 0; n < 8; n++) {
        put(path, data, len);

        if (n & 4) {
            (void) __real_unlink(path);
        }

        visit(&journal, 7);
        journal.relaxed = n & 1;
        journal.base = record(7, 7, 40);

        if (n & 2) {
            journal.line = record(8, 8, 40);
        }

        syncs = 0;
        ngx_http_gray_journal_write(&journal);

        assert_int_equal(journal.rc, NGX_OK);
        /* what was there is synced, too, as nobody knows whether it was */

        assert_int_equal(syncs, (n & 1) ? 0 : (n & 4) ? 2 : 3);
        assert_int_equal(journal.mark.size == 0, n & 1);
        assert_int_equal(journal.mark.named, !(n & 1));
        assert_int_equal(journal.mark.records, 1 + !(n & 4) * 3
                                               + (n & 2) / 2);
        assert_int_equal(journal.mark.revision, 7 + (n & 2) / 2);
        assert_int_equal(tail_of(&tail), 7 + (n & 2) / 2);

        /* another one has nothing to do */

        journal.line.len = 0;
        journal.revision = journal.mark.revision;
        syncs = 0;
        ngx_http_gray_journal_write(&journal);
        assert_int_equal(journal.rc, NGX_OK);
        assert_int_equal(syncs, 0);

        ngx_http_gray_journal_free(&journal);
    }
}


/*
 * Each call fails, once or from then on, or with one of the next, or does a
 * half of it: then others come who know what is known, and who know nothing.
 */

typedef enum {
    KNOWN = 0,               /* to the zone */
    READ,                    /* as the zone knows nothing */
    MISSING,
    BEHIND,                  /* the zone's document is newer */
    TORN,
    DAMAGED,
    LONG,
    SUSPECT,
    NEWER,                   /* than the zone */
    KINDS
} kind_e;


static uint64_t
prepare(kind_e kind, ngx_http_gray_journal_t *journal)
{
    u_char       data[8192];
    size_t       len, ends[12];
    uint64_t     revision;

    works();

    (void) __real_unlink(bad);
    (void) __real_unlink(temp);
    (void) __real_unlink(path);

    revision = (kind == MISSING) ? 0 : 8;
    len = file(data, revision, ends);

    if (kind == TORN) {
        len += sprintf((char *) data + len, "{\"checksum\":");
    }

    if (kind == DAMAGED) {
        data[20] ^= 1;
    }

    if (kind != MISSING) {
        put(path, data, len);
    }

    visit(journal, revision + (kind == BEHIND) - (kind == NEWER));
    journal->uid = getuid();

    if (kind == KNOWN || kind == LONG || kind == SUSPECT) {
        know(&journal->mark, revision, revision);
        journal->mark.suspect = (kind == SUSPECT);
    }

    journal->history = (kind == LONG) ? 4 : 8;

    if (kind == BEHIND || kind == SUSPECT) {
        journal->base = record(journal->revision, journal->revision, 40);
    }

    journal->line = record(journal->revision + 1, 77, 40);

    return revision;
}


/* document of the last line: the "id" */

static ngx_uint_t
last_id(void)
{
    u_char                     *p;
    ngx_int_t                   rc;
    ngx_uint_t                  id;
    ngx_http_gray_lines_tail_t  tail;

    rc = ngx_http_gray_lines_tail(path, &tail);

    if (rc == NGX_DECLINED) {
        return 0;
    }

    assert_int_equal(rc, NGX_OK);

    if (tail.line.len == 0) {
        return 0;
    }

    p = ngx_strnstr(tail.line.data, "{\"id\":", tail.line.len);
    id = atoi((char *) p + 6);
    free(tail.line.data);

    return id;
}


static void
test_failures(void **state)
{
    uint64_t                       revision, want;
    ngx_int_t                      rc;
    ngx_uint_t                     kind, mode, n, id, uncertain, all;
    ngx_http_gray_journal_t        journal, next;
    lines_t  lines;

    (void) state;

    uncertain = 0;
    all = 0;

    for (kind = 0; kind < KINDS; kind++) {
        for (mode = 0; mode < 8; mode++) {
            for (n = 1; ; n++) {

                revision = prepare(kind, &journal);

                calls = 0;
                failing = n;
                failing_too = (mode < 4) ? 0 : n + mode - 3;
                for_good = (mode < 4) ? mode & 1 : 0;
                shortened = (mode < 4) ? mode >> 1 : 0;

                ngx_http_gray_journal_write(&journal);

                rc = journal.rc;
                id = calls;
                works();

                if (id < n) {
                    assert_true(n > 3);
                    ngx_http_gray_journal_free(&journal);
                    break;
                }

                all++;
                id = last_id();

                if (rc == NGX_OK) {
                    want = 77;

                } else if (rc == NGX_DECLINED) {
                    assert_int_equal(kind, NEWER);
                    assert_true(journal.found.len > 0);
                    want = revision;

                } else {
                    assert_int_equal(rc, NGX_ERROR);
                    assert_true(journal.err == 0 || journal.failed);

                    uncertain += journal.unknown;
                    want = (journal.unknown && id >= 77) ? 77 : revision;

                    /* as base is no news, it may be there */

                    if (kind == BEHIND && journal.unknown && id == 9) {
                        want = 9;
                    }
                }

                if (id != want) {
                    fail_msg("kind %lu, mode %lu, call %lu: rc %ld (%s), "
                             "unknown %lu: %lu is there, not %lu",
                             (unsigned long) kind, (unsigned long) mode,
                             (unsigned long) n, (long) rc,
                             journal.failed ? journal.failed : "",
                             (unsigned long) journal.unknown,
                             (unsigned long) id, (unsigned long) want);
                }

                /* the next one, by the mark or without */

                visit(&next, journal.revision
                             + (rc == NGX_OK || rc == NGX_DECLINED));
                next.line = record(next.revision + 1, 88, 40);

                if (mode & 1) {
                    next.mark = journal.mark;
                }

                ngx_http_gray_journal_write(&next);

                if (next.rc == NGX_DECLINED) {
                    assert_true(journal.unknown || kind == NEWER);
                    assert_int_equal(last_id(), kind == NEWER ? 8 : 77);

                } else {
                    assert_int_equal(next.rc, NGX_OK);
                    assert_int_equal(last_id(), 88);
                }

                assert_int_equal(read_lines(path, &lines),
                                 NGX_OK);
                assert_int_equal(lines.damaged, 0);
                assert_true(lines.nlines >= (kind == MISSING ? 1 : 4));
                free_lines(&lines);

                ngx_http_gray_journal_free(&journal);
                ngx_http_gray_journal_free(&next);
            }
        }
    }

    (void) __real_unlink(bad);
    (void) __real_unlink(temp);

    print_message("# %lu failures, %lu of them unknown\n", (unsigned long) all,
                  (unsigned long) uncertain);

    assert_true(all > 300);
    assert_true(uncertain > 10);
}


/*
 * What the zone did not come to publish is read again, and found to be damaged
 * and torn; mending fails.  The next one must not believe in what was known.
 */

static void
test_not_mended(void **state)
{
    u_char                         data[4096];
    size_t                         len, ends[3];
    ngx_uint_t                     n, done;
    ngx_http_gray_journal_t        journal, next;
    lines_t  lines;

    (void) state;

    for (n = 1, done = 0; !done; n++) {
        len = file(data, 3, ends);
        data[20] ^= 1;
        len -= 5;
        put(path, data, len);

        visit(&journal, 2);
        know(&journal.mark, 3, 3);
        journal.line = record(3, 77, 40);

        works();
        failing = n;
        ngx_http_gray_journal_write(&journal);
        done = calls < n;
        works();

        visit(&next, 2 + (journal.rc == NGX_OK));
        next.mark = journal.mark;
        next.line = record(next.revision + 1, 88, 40);

        ngx_http_gray_journal_write(&next);

        assert_int_equal(next.rc, NGX_OK);
        assert_int_equal(last_id(), 88);

        assert_int_equal(read_lines(path, &lines), NGX_OK);
        assert_int_equal(lines.nlines, 2 + (journal.rc == NGX_OK));
        free_lines(&lines);

        ngx_http_gray_journal_free(&journal);
        ngx_http_gray_journal_free(&next);
        (void) __real_unlink(bad);
    }

    assert_true(n > 15);
}


/* a signal at each read and write: nothing comes of it */

static void
test_interrupted(void **state)
{
    uint64_t                       revision;
    ngx_uint_t                     kind, n, done;
    ngx_http_gray_journal_t        journal;
    lines_t                        lines;

    (void) state;

    for (kind = 0; kind < KINDS; kind++) {
        for (n = 1, done = 0; !done; n++) {
            revision = prepare(kind, &journal);

            until_signal = n;
            ngx_http_gray_journal_write(&journal);
            done = until_signal > 0;
            works();

            assert_int_equal(journal.rc, kind == NEWER ? NGX_DECLINED : NGX_OK);
            assert_int_equal(last_id(), kind == NEWER ? revision : 77);
            assert_int_equal(journal.unknown, 0);

            assert_int_equal(read_lines(path, &lines), NGX_OK);
            assert_int_equal(lines.damaged, 0);
            assert_int_equal(lines.nlines, journal.mark.records);
            free_lines(&lines);

            ngx_http_gray_journal_free(&journal);
        }

        assert_true(n > (kind == MISSING ? 1 : 2));
    }

    (void) __real_unlink(bad);
}


/* somebody cuts the file while it is read */

static void
test_cut_meanwhile(void **state)
{
    u_char                      data[4096], back[4096];
    size_t                      len, ends[3];
    ngx_int_t                   rc;
    ngx_uint_t                  n, done;
    ngx_http_gray_journal_t     journal;
    ngx_http_gray_lines_tail_t  tail;
    lines_t                     lines;

    (void) state;

    len = file(data, 3, ends);
    len += sprintf((char *) data + len, "torn");
    put(path, data, len);

    for (n = 1, done = 0; !done; n++) {
        works();
        until_end = n;
        rc = ngx_http_gray_lines_tail(path, &tail);
        done = until_end > 0;

        assert_int_equal(rc, done ? NGX_OK : NGX_ERROR);

        if (!done) {
            assert_int_equal(errno, EAGAIN);
        }
    }

    free(tail.line.data);
    assert_true(n > 3);

    works();
    until_end = 1;
    assert_int_equal(read_lines(path, &lines), NGX_ERROR);
    assert_int_equal(errno, EAGAIN);

    /* nothing is written then */

    for (n = 1, done = 0; !done; n++) {
        visit(&journal, 3);
        journal.line = record(4, 77, 40);

        works();
        until_end = n;
        ngx_http_gray_journal_write(&journal);
        done = until_end > 0;
        works();

        if (done) {
            assert_int_equal(journal.rc, NGX_OK);

        } else {
            assert_int_equal(journal.rc, NGX_ERROR);
            assert_int_equal(journal.err, EAGAIN);
            assert_string_equal(journal.failed, "read()");
            assert_int_equal(journal.mark.size, 0);
            assert_int_equal(get(path, back, sizeof(back)), len);
            assert_memory_equal(back, data, len);
        }

        ngx_http_gray_journal_free(&journal);
    }

    assert_true(n > 4);
    assert_revisions(1, 4);

    /* it was to be made shorter: that is for the next one then */

    (void) prepare(LONG, &journal);
    until_end = 1;
    ngx_http_gray_journal_write(&journal);
    works();

    assert_int_equal(journal.rc, NGX_OK);
    assert_int_equal(journal.compacted, 0);
    assert_int_equal(journal.mark.records, 9);
    ngx_http_gray_journal_free(&journal);
}


/* a new file is his who is to write it, also one that replaces another */

static void
test_owner(void **state)
{
    uid_t                     uid;
    ngx_uint_t                i;
    struct stat               st;
    ngx_http_gray_journal_t   journal;

    static const kind_e  kinds[] = { MISSING, LONG, DAMAGED };

    (void) state;

    uid = getuid() ? getuid() : 65534;

    for (i = 0; i < ITEMS(kinds); i++) {
        (void) prepare(kinds[i], &journal);
        journal.uid = uid;

        ngx_http_gray_journal_write(&journal);
        assert_int_equal(journal.rc, NGX_OK);

        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_uid, uid);
        assert_int_equal(st.st_mode & 07777, 0600);

        ngx_http_gray_journal_free(&journal);
    }

    (void) __real_unlink(bad);
}


static void
test_read_failures(void **state)
{
    u_char                      data[4096];
    size_t                      len, ends[3];
    ngx_int_t                   rc;
    ngx_uint_t                  n, ok;
    ngx_http_gray_lines_tail_t  tail;
    lines_t                     lines;

    (void) state;

    len = file(data, 3, ends);
    len += sprintf((char *) data + len, "torn");
    put(path, data, len);

    for (n = 1, ok = 0; !ok; n++) {
        works();
        failing = n;
        rc = ngx_http_gray_lines_tail(path, &tail);
        ok = calls < n;
        works();

        assert_int_equal(rc, ok ? NGX_OK : NGX_ERROR);
    }

    free(tail.line.data);
    assert_true(n > 5);

    for (n = 1, ok = 0; !ok; n++) {
        works();
        failing = n;
        rc = read_lines(path, &lines);
        ok = calls < n;
        works();

        assert_int_equal(rc, ok ? NGX_OK : NGX_ERROR);
    }

    assert_int_equal(lines.nlines, 3);
    free_lines(&lines);
    assert_true(n > 5);

    /* in many pieces */

    for (n = 1; n < 8; n++) {
        works();
        failing = n;
        for_good = 1;
        shortened = 1;

        if (ngx_http_gray_lines_tail(path, &tail) == NGX_OK) {
            assert_int_equal(tail.revision, 3);
            free(tail.line.data);
        }

        works();
    }
}


static void
test_paths(void **state)
{
    char                      *text;
    ngx_str_t                  where, name;
    ngx_uint_t                 n;
    ngx_http_gray_journal_t    journal;

    (void) state;

    text = malloc(NGX_MAX_PATH + 10);
    assert_non_null(text);
    memset(text, 'd', NGX_MAX_PATH + 10);

    name = string("r");
    where.data = (u_char *) text;

    for (n = NGX_MAX_PATH - 40; n < NGX_MAX_PATH + 10; n++) {
        where.len = n;

        if (ngx_http_gray_journal_init(&journal, &where, &name) == NGX_OK) {
            assert_int_equal(strlen(journal.dir), n);
            assert_memory_equal(journal.path + n, "/r.jsonl", 9);
            assert_memory_equal(journal.aside + n, "/r.jsonl.bad", 13);
            assert_memory_equal(journal.temp + n, "/.r.jsonl.1.0", 14);
            assert_true(n + 14 <= NGX_MAX_PATH);

        } else {
            assert_true(n + 14 > NGX_MAX_PATH);
        }
    }

    free(text);
}


static int
set_up(void **state)
{
    (void) state;

    ngx_pid = 1;

    if (mkdtemp(dir) == NULL) {
        return -1;
    }

    sprintf(path, "%s/r.jsonl", dir);
    sprintf(bad, "%s/r.jsonl.bad", dir);
    sprintf(temp, "%s/.r.jsonl.1.0", dir);

    return 0;
}


static int
tear_down(void **state)
{
    (void) state;

    works();

    (void) __real_unlink(path);
    (void) __real_unlink(bad);
    (void) __real_unlink(temp);

    return rmdir(dir);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_flipped),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_sparse),
        cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_newer),
        cmocka_unit_test(test_layout_1),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_seen),
        cmocka_unit_test(test_compaction),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_relaxed),
        cmocka_unit_test(test_compaction_damaged),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_not_mended),
        cmocka_unit_test(test_interrupted),
        cmocka_unit_test(test_cut_meanwhile),
        cmocka_unit_test(test_owner),
        cmocka_unit_test(test_read_failures),
        cmocka_unit_test(test_paths)
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
