
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Journals on a disk that loses what was not synced.
 *
 * The calls by which a journal is written are made, and also kept in a model of
 * a disk.  At each of them the power goes off: all that the model allows then
 * to be on the disk is put into another directory, as far as it is few, and a
 * part of it by chance else.  What a restart finds there must be all that was
 * acknowledged, or more, but nothing else.
 *
 * What was not synced may be there or not: each sector of each write by itself,
 * the size of the file as of any moment since the last sync, with zeros where
 * there is nothing else; names as of any moment since the last sync of the
 * directory.  What a sync failed for is not synced by the next one, as Linux
 * takes its pages for clean, unless they are written again.
 *
 * Each of "flaws" takes something away that makes journals durable, and then
 * something must be found.
 */


#include "unit.h"

#include <dirent.h>
#include <fcntl.h>

#include "ngx_http_gray_journal.h"
#include "ngx_http_gray_lines.h"
#include "lines.h"

#define XXH_INLINE_ALL
#include <xxhash.h>


#define SECTOR   512
#define PAGE     4096
#define OPS      600         /* not synced, of a file */
#define ROOM     131072      /* bytes of a file */
#define INODES   400
#define NAMES    3
#define LINKS    64          /* changes of names that are not synced */
#define HISTORY  4
#define WRITES   100
#define SEEN     65536
#define PIECE    4194304     /* as in ngx_http_gray_lines.c */


int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
ssize_t __real_pwrite64(int fd, const void *data, size_t size, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t size, off_t offset);
int __real_ftruncate64(int fd, off_t size);
int __wrap_ftruncate64(int fd, off_t size);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);
int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void __real_free(void *p);
void __wrap_free(void *p);
ngx_http_gray_record_e __real_ngx_http_gray_record_judge(const u_char *line,
    size_t len, uint64_t *revision);
ngx_http_gray_record_e __wrap_ngx_http_gray_record_judge(const u_char *line,
    size_t len, uint64_t *revision);


typedef enum {
    NONE = 0,
    NO_SYNC,                 /* of what is appended */
    NO_SYNC_DIR,
    NO_SYNC_TEMP,            /* before a file takes the place of another */
    NO_CHECKSUM,
    NO_CUT,                  /* of what was appended, where its sync fails */
    NO_CONFIRMATION          /* of a record of one who died, but by a sync */
} flaw_e;


typedef struct {
    off_t        offset;
    off_t        len;        /* -1: the file ends at "offset" */
    u_char       data[SECTOR];
    off_t        size;       /* of the file, from then on */
    ngx_uint_t   clean;      /* a sync failed for it */
} op_t;


typedef struct {
    u_char      *disk;       /* as it is for sure */
    off_t        size;
    off_t        cached;     /* size that programs see */
    op_t        *op;
    ngx_uint_t   nops;
} inode_t;


typedef struct {
    ngx_uint_t   name;
    ngx_int_t    inode;      /* -1: it is gone */
    ngx_uint_t   joined;     /* ... with the next one, as one change */
} link_t;


static char              live[64], after[64];
static flaw_e            flaw;

static inode_t           inodes[INODES];
static ngx_uint_t        ninodes;
static ngx_int_t         durable[NAMES], names[NAMES];
static link_t            links[LINKS];
static ngx_uint_t        nlinks;
static ngx_int_t         of_fd[1024];      /* inode, -2: the directory */

static ngx_uint_t        recording;
static ngx_uint_t        calls, failing, dead, sync_fails, cut_fails;
static uint64_t          seed;

/* what was acknowledged; what may come up beside the next one */

static uint64_t          acked[2 * WRITES];
static ngx_uint_t        nacked;
static uint64_t          possible[WRITES];
static ngx_uint_t        npossible;

static ngx_uint_t        states, checked, violations, compactions, asides;
static ngx_uint_t        found, unknown, failed;
static char              first_violation[256];
static uint64_t          seen[SEEN];


/* what a file is read to is used again: ASan would take its time for each */

static void        *large;
static ngx_uint_t   large_used;


void *
__wrap_malloc(size_t size)
{
    if (size < PIECE || size > 2 * PIECE || large_used) {
        return __real_malloc(size);
    }

    if (large == NULL) {
        large = __real_malloc(2 * PIECE);
    }

    large_used = (large != NULL);

    return large;
}


void
__wrap_free(void *p)
{
    if (p && p == large) {
        large_used = 0;
        return;
    }

    __real_free(p);
}


static ngx_int_t
name_of(const char *path)
{
    size_t  len;

    len = strlen(path);

    if (strncmp(path, live, strlen(live)) != 0) {
        return -1;
    }

    if (path[strlen(live)] == '\0') {
        return -2;
    }

    if (strcmp(path + len - 8, "/r.jsonl") == 0) {
        return 0;
    }

    return strcmp(path + len - 4, ".bad") == 0 ? 2 : 1;
}


static void
violated(const char *what)
{
    if (violations++ == 0) {
        (void) snprintf(first_violation, sizeof(first_violation),
                        "call %lu, revision %lu: %s", (unsigned long) calls,
                        (unsigned long) nacked, what);
    }
}


/* a change of names: all of a rename at once */

static void
renamed(ngx_uint_t name, ngx_int_t inode, ngx_uint_t joined)
{
    assert_true(nlinks < LINKS);

    links[nlinks].name = name;
    links[nlinks].inode = inode;
    links[nlinks].joined = joined;
    nlinks++;

    names[name] = inode;
}


static op_t *
new_op(inode_t *inode)
{
    op_t  *op;

    assert_true(inode->nops < OPS);

    op = &inode->op[inode->nops++];
    memset(op, 0, sizeof(op_t));

    return op;
}


/* who writes to a page writes all of it later */

static void
dirty(inode_t *inode, off_t from, off_t to)
{
    ngx_uint_t  i;

    for (i = 0; i < inode->nops; i++) {
        if (inode->op[i].offset / PAGE >= from / PAGE
            && inode->op[i].offset / PAGE <= to / PAGE)
        {
            inode->op[i].clean = 0;
        }
    }
}


static void
apply(u_char *data, op_t *op)
{
    if (op->len == -1) {
        memset(data + op->offset, 0, ROOM - op->offset);
        return;
    }

    memcpy(data + op->offset, op->data, op->len);
}


static void
synced(inode_t *inode, ngx_uint_t ok)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < inode->nops; i++) {

        if (!ok) {
            inode->op[i].clean |= inode->op[i].len != -1;

        } else if (!inode->op[i].clean) {
            apply(inode->disk, &inode->op[i]);

        } else if (inode->op[i].offset < inode->cached) {
            inode->op[n] = inode->op[i];
            inode->op[n++].size = inode->cached;
        }
    }

    if (ok) {
        inode->nops = n;
        inode->size = inode->cached;
    }
}


static void crash(void);


/* is this call to fail, as a call, or as the process was killed before? */

static ngx_uint_t
fails(void)
{
    if (!recording) {
        return 0;
    }

    calls++;

    if (dead && --dead == 1) {
        dead = 2;
        errno = EIO;
        return 1;
    }

    if (failing && --failing == 0) {
        errno = EIO;
        return 1;
    }

    return 0;
}


int
__wrap_open64(const char *path, int flags, ...)
{
    int        fd;
    ngx_int_t  name;

    name = recording ? name_of(path) : -1;

    if (name != -1 && fails()) {
        return -1;
    }

    fd = __real_open64(path, flags, 0600);

    if (fd < 0) {
        return fd;
    }

    assert_true(fd < 1024);
    of_fd[fd] = -1;

    if (name == -2) {
        of_fd[fd] = -2;

    } else if (name >= 0) {

        if (flags & O_CREAT) {
            assert_true(ninodes < INODES);
            inodes[ninodes].disk = calloc(1, ROOM);
            inodes[ninodes].op = malloc(OPS * sizeof(op_t));
            assert_non_null(inodes[ninodes].disk);
            assert_non_null(inodes[ninodes].op);

            renamed(name, ninodes++, 0);
        }

        of_fd[fd] = names[name];

        if (flags & O_CREAT) {
            crash();
        }
    }

    return fd;
}


ssize_t
__wrap_pwrite64(int fd, const void *data, size_t size, off_t offset)
{
    op_t          *op;
    off_t          n, end;
    ssize_t        rc;
    inode_t       *inode;
    const u_char  *p;

    if (fails()) {
        return -1;
    }

    /* short ones, too */

    if (recording && size > 1000 && draw(&seed) % 8 == 0) {
        size = 1 + draw(&seed) % size;
    }

    rc = __real_pwrite64(fd, data, size, offset);

    if (!recording || of_fd[fd] < 0) {
        return rc;
    }

    assert_int_equal(rc, size);
    assert_true(offset + size <= ROOM);

    inode = &inodes[of_fd[fd]];

    if (flaw == NO_CONFIRMATION && offset + (off_t) size <= inode->cached) {
        return rc;
    }

    p = data;
    end = offset + size;

    dirty(inode, offset, end - 1);

    for ( /* void */ ; offset < end; offset += n, p += n) {
        n = ngx_min(SECTOR - offset % SECTOR, end - offset);

        op = new_op(inode);
        op->offset = offset;
        op->len = n;
        memcpy(op->data, p, n);

        inode->cached = ngx_max(inode->cached, offset + n);
        op->size = inode->cached;
    }

    crash();

    return rc;
}


int
__wrap_ftruncate64(int fd, off_t size)
{
    int       rc;
    op_t     *op;
    inode_t  *inode;

    if (recording && cut_fails) {
        cut_fails = 0;
        errno = EIO;
        return -1;
    }

    if (fails()) {
        return -1;
    }

    if (recording && flaw == NO_CUT) {
        return 0;
    }

    rc = __real_ftruncate64(fd, size);

    if (recording && rc == 0 && of_fd[fd] >= 0) {
        inode = &inodes[of_fd[fd]];

        if (size % PAGE) {
            dirty(inode, size, size);
        }

        op = new_op(inode);
        op->offset = size;
        op->len = -1;
        op->size = size;
        inode->cached = size;

        crash();
    }

    return rc;
}


static int
sync_file(int fd)
{
    inode_t  *inode;

    if (!recording || of_fd[fd] == -1) {
        return 0;
    }

    if (fails()) {

        /* who is dead has not called it */

        if (!dead && of_fd[fd] >= 0) {
            synced(&inodes[of_fd[fd]], 0);
        }

        return -1;
    }

    if (of_fd[fd] == -2) {

        if (flaw != NO_SYNC_DIR) {
            memcpy(durable, names, sizeof(durable));
            nlinks = 0;
        }

        crash();

        return 0;
    }

    inode = &inodes[of_fd[fd]];

    if (sync_fails) {
        sync_fails--;
        synced(inode, 0);
        errno = EIO;
        return -1;
    }

    if (flaw == NO_SYNC_TEMP ? of_fd[fd] != names[1] : flaw != NO_SYNC) {
        synced(inode, 1);
    }

    crash();

    return 0;
}


int
__wrap_fdatasync(int fd)
{
    return sync_file(fd);
}


int
__wrap_fsync(int fd)
{
    return sync_file(fd);
}


int
__wrap_rename(const char *from, const char *to)
{
    int  rc;

    if (fails()) {
        return -1;
    }

    rc = __real_rename(from, to);

    if (recording && rc == 0) {
        renamed(name_of(to), names[name_of(from)], 1);
        renamed(name_of(from), -1, 0);
        crash();
    }

    return rc;
}


int
__wrap_link(const char *from, const char *to)
{
    int  rc;

    if (fails()) {
        return -1;
    }

    rc = __real_link(from, to);

    if (recording && rc == 0) {
        renamed(name_of(to), names[name_of(from)], 0);
        crash();
    }

    return rc;
}


int
__wrap_unlink(const char *path)
{
    int  rc;

    if (fails()) {
        return -1;
    }

    rc = __real_unlink(path);

    if (recording && rc == 0) {
        renamed(name_of(path), -1, 0);
        crash();
    }

    return rc;
}


ngx_http_gray_record_e
__wrap_ngx_http_gray_record_judge(const u_char *line, size_t len,
    uint64_t *revision)
{
    static const u_char  head[] = "{\"checksum\":\"0123456789abcdef\","
                                  "\"layout\":1,\"revision\":";

    if (flaw != NO_CHECKSUM) {
        return __real_ngx_http_gray_record_judge(line, len, revision);
    }

    if (len < sizeof(head) + 2 || memcmp(line, head, 13) != 0
        || line[len - 1] != '}')
    {
        return NGX_HTTP_GRAY_RECORD_DAMAGED;
    }

    *revision = strtoull((const char *) line + sizeof(head) - 1, NULL, 10);

    return NGX_HTTP_GRAY_RECORD_GOOD;
}


/* documents differ, each is that of one attempt */

static ngx_str_t
record(uint64_t revision, uint64_t id, size_t len)
{
    char                    doc[32768];
    size_t                  n;
    ngx_str_t               line;
    ngx_http_gray_record_t  r;

    n = sprintf(doc, "{\"id\":%llu,\"x\":\"", (unsigned long long) id);

    for ( /* void */ ; n < len; n++) {
        doc[n] = 'a' + draw(&seed) % 26;
    }

    n += sprintf(doc + n, "\"}");

    memset(&r, 0, sizeof(r));

    r.revision = revision;
    r.time = string("2026-11-29T18:02:03.123Z");
    r.origin = string("api");
    r.document.data = (u_char *) doc;
    r.document.len = n;

    assert_int_equal(ngx_http_gray_record_print(&r, &line), NGX_OK);

    return line;
}


/* 0: it is none of ours */

static uint64_t
id_of(ngx_str_t *line)
{
    u_char    *p;
    uint64_t   revision;

    if (__real_ngx_http_gray_record_judge(line->data, line->len, &revision)
        != NGX_HTTP_GRAY_RECORD_GOOD)
    {
        return 0;
    }

    p = ngx_strnstr(line->data, "{\"id\":", line->len);

    return p ? strtoull((char *) p + 6, NULL, 10) : 0;
}


static void
visit(ngx_http_gray_journal_t *journal, const char *dir)
{
    ngx_str_t  path, name;

    path = string(dir);
    name = string("r");

    assert_int_equal(ngx_http_gray_journal_init(journal, &path, &name),
                     NGX_OK);
    journal->history = HISTORY;
}


static ngx_uint_t
is_possible(uint64_t id)
{
    ngx_uint_t  i;

    for (i = 0; i < npossible && possible[i] != id; i++) { /* void */ }

    return i < npossible;
}


/* of all lines the last ones, then perhaps one that nobody was told of */

static void
check_lines(ngx_http_gray_journal_t *journal, uint64_t last)
{
    ngx_uint_t                     i, n, want;
    lines_t  lines;

    if (read_lines(journal->path, &lines) != NGX_OK) {
        violated("the history cannot be read");
        return;
    }

    n = lines.nlines;
    want = ngx_min(nacked, HISTORY);

    if (is_possible(last)) {
        n--;
        want -= (want == HISTORY);
    }

    if (n < want) {
        violated("the history is too short");
        want = 0;
    }

    for (i = 0; i < want; i++) {
        if (id_of(&lines.line[n - 1 - i]) != acked[nacked - 1 - i]) {
            violated("the history lacks what was acknowledged");
            break;
        }
    }

    free_lines(&lines);
}


/* what happens when nginx starts */

static void
restart(void)
{
    uint64_t                    id, revision;
    ngx_int_t                   rc;
    ngx_uint_t                  lost;
    ngx_http_gray_journal_t    *journal, visited;
    ngx_http_gray_lines_tail_t  tail;

    checked++;

    journal = &visited;
    visit(journal, after);

    rc = ngx_http_gray_lines_tail(journal->path, &tail);

    if (rc == NGX_ERROR) {
        violated("the file cannot be read");
        return;
    }

    id = 0;
    lost = 0;
    revision = 0;

    if (rc == NGX_OK) {
        id = tail.line.len ? id_of(&tail.line) : 0;
        lost = tail.lost;
        revision = tail.revision;

        if (lost) {
            revision = ngx_max(revision + lost, tail.seen + 1);
        }

        if (tail.line.len && id == 0) {
            violated("what is no record serves");
        }

        free(tail.line.data);
    }

    if (id != (nacked ? acked[nacked - 1] : 0) && !is_possible(id)) {
        violated(id ? "another record serves" : "no record serves");
        return;
    }

    if (id) {
        check_lines(journal, id);
    }

    /* the document comes into force, and one write follows */

    if (id) {
        journal->revision = revision;
        journal->base = record(revision, id, 100);
    }

    journal->line = record(revision + 1, 1000000, 700);

    ngx_http_gray_journal_write(journal);

    if (journal->rc != NGX_OK) {
        violated("a restarted nginx cannot write");
    }

    if ((journal->damaged != 0) != (access(journal->aside, F_OK) == 0)) {
        violated("what is damaged is not set aside");
    }

    ngx_http_gray_journal_free(journal);

    rc = ngx_http_gray_lines_tail(journal->path, &tail);

    if (rc != NGX_OK || id_of(&tail.line) != 1000000 || tail.lost || tail.torn
        || tail.revision != revision + 1)
    {
        violated("a write after a restart is not there");
    }

    if (rc == NGX_OK) {
        free(tail.line.data);
    }
}


/* one of the states that a file may be in; of "how" see crash() */

static off_t
state_of(inode_t *inode, ngx_uint_t how, u_char *data)
{
    off_t       size;
    uint64_t    set;
    ngx_uint_t  i, n, sizes, k, kept;

    memcpy(data, inode->disk, ROOM);

    n = inode->nops;
    size = inode->size;

    if (n == 0) {
        return size;
    }

    set = 0;
    k = how % (n + 1);

    if (n <= 3) {

        /* all subsets and all sizes */

        sizes = k;
        set = how / (n + 1);

    } else if (how < 2 * (n + 1)) {

        /* the first ones, of the size with or without the rest */

        sizes = how <= n ? k : n;

    } else if (how < 4 * (n + 1)) {

        /* all but one, and just one */

        sizes = n;

    } else {
        sizes = draw(&seed) % 2 ? n : draw(&seed) % (n + 1);
    }

    for (i = 0; i < n; i++) {

        if (n <= 3) {
            kept = set >> i & 1;

        } else if (how < 2 * (n + 1)) {
            kept = i < k;

        } else if (how < 4 * (n + 1)) {
            kept = (i == k) == (how >= 3 * (n + 1));

        } else {
            kept = draw(&seed) % 2;
        }

        /* the end of a file is one of its sizes */

        if (inode->op[i].len == -1) {
            kept = i < sizes;
        }

        if (kept) {
            apply(data, &inode->op[i]);
        }
    }

    if (sizes) {
        size = inode->op[sizes - 1].size;
    }

    memset(data + size, 0, ROOM - size);

    return size;
}


static ngx_uint_t
states_of(inode_t *inode)
{
    ngx_uint_t  n;

    n = inode->nops;

    return n == 0 ? 1 : n <= 3 ? (n + 1) << n : 4 * (n + 1) + 8;
}


/* puts names and files of a state into the other directory, if it is new */

static void
crashed(ngx_int_t *dir, ngx_uint_t how)
{
    int            fd;
    char           path[128];
    off_t          size[NAMES];
    uint64_t       hash;
    ngx_uint_t     i, k;

    static char    *file[] = { "r.jsonl", ".r.jsonl.1.0", "r.jsonl.bad" };
    static u_char   data[NAMES][ROOM];

    states++;
    hash = nacked << 32 | npossible << 16 | flaw;

    if (npossible) {
        hash ^= possible[npossible - 1] << 48;
    }

    for (i = 0; i < NAMES; i++) {

        if (dir[i] == -1) {
            size[i] = -1;
            hash = XXH64("", 0, hash);
            continue;
        }

        for (k = 0; k < i && dir[k] != dir[i]; k++) { /* void */ }

        if (k < i) {
            size[i] = size[k];
            memcpy(data[i], data[k], size[i]);

        } else {
            size[i] = state_of(&inodes[dir[i]], i ? draw(&seed) : how, data[i]);
        }

        /* a file that is not finished is nobody's */

        if (i == 0) {
            hash = XXH64(data[i], size[i], hash + 1);
        }
    }

    for (k = hash % SEEN; seen[k]; k = (k + 1) % SEEN) {
        if (seen[k] == hash) {
            return;
        }
    }

    assert_true(checked < SEEN / 2);
    seen[k] = hash;

    for (i = 0; i < NAMES; i++) {
        (void) snprintf(path, sizeof(path), "%s/%s", after, file[i]);
        (void) __real_unlink(path);

        /* .bad of before would not tell whether it is made */

        if (size[i] == -1 || i == 2) {
            continue;
        }

        fd = __real_open64(path, O_RDWR|O_CREAT|O_TRUNC, 0600);
        assert_int_not_equal(fd, -1);
        assert_int_equal(__real_pwrite64(fd, data[i], size[i], 0), size[i]);
        (void) close(fd);
    }

    restart();
}


/* the power goes off */

static void
crash(void)
{
    ngx_int_t    dir[NAMES];
    ngx_uint_t   n, how, i, all;

    if (flaw && violations) {
        return;
    }

    recording = 0;

    for (n = 0; n <= nlinks; n++) {

        if (n && links[n - 1].joined) {
            continue;
        }

        memcpy(dir, durable, sizeof(dir));

        for (i = 0; i < n; i++) {
            dir[links[i].name] = links[i].inode;
        }

        all = dir[0] == -1 ? 1 : states_of(&inodes[dir[0]]);

        /* of many it is a part, but the first and the last ones */

        for (how = 0; how < all; how++) {
            if (all > 40 && how > 3 && draw(&seed) % all > 30) {
                continue;
            }

            crashed(dir, how);
        }
    }

    recording = 1;
}


static void
empty(const char *path)
{
    DIR            *dir;
    char            name[512];
    struct dirent  *entry;

    dir = opendir(path);
    assert_non_null(dir);

    while ((entry = readdir(dir)) != NULL) {
        (void) snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        (void) __real_unlink(name);
    }

    (void) closedir(dir);
}


/* a bit of the file is another one from now on, for all who read it */

static void
damage(void)
{
    int          fd;
    char         path[128];
    off_t        at;
    u_char       byte;
    inode_t     *inode;
    ngx_uint_t   n;

    if (names[0] == -1 || inodes[names[0]].nops) {
        return;
    }

    inode = &inodes[names[0]];

    /* of the first record, which is not to be one of those that are kept */

    for (n = 0, at = 0; at < inode->size; at++) {
        n += (inode->disk[at] == LF);
    }

    if (n <= HISTORY) {
        return;
    }

    at = draw(&seed) % 200;
    byte = inode->disk[at] ^= 4;

    (void) snprintf(path, sizeof(path), "%s/r.jsonl", live);
    fd = __real_open64(path, O_RDWR);
    assert_int_not_equal(fd, -1);
    assert_int_equal(__real_pwrite64(fd, &byte, 1, at), 1);
    (void) close(fd);
}


/* 100 writes, many of which go wrong */

static void
run(flaw_e without, uint64_t from)
{
    uint64_t                       id, base;
    ngx_uint_t                     i, was, died;
    ngx_http_gray_journal_t       *journal, visited;
    ngx_http_gray_journal_mark_t   mark;

    journal = &visited;
    flaw = without;
    seed = from;

    empty(live);
    empty(after);

    for (i = 0; i < ninodes; i++) {
        free(inodes[i].disk);
        free(inodes[i].op);
    }

    memset(inodes, 0, sizeof(inodes));
    memset(durable, 0xff, sizeof(durable));
    memset(names, 0xff, sizeof(names));
    memset(seen, 0, sizeof(seen));
    memset(&mark, 0, sizeof(mark));

    ninodes = 0;
    nlinks = 0;
    nacked = 0;
    npossible = 0;
    calls = 0;
    states = 0;
    checked = 0;
    violations = 0;
    compactions = 0;
    asides = 0;
    found = 0;
    unknown = 0;
    failed = 0;

    base = 0;
    died = 0;

    for (i = 0; i < WRITES && !(flaw && violations); i++) {

        id = i + 1;

        /* a zone that knows nothing of the file, as after a restart */

        if (draw(&seed) % 12 == 0) {
            if (draw(&seed) % 2) {
                damage();
            }

            memset(&mark, 0, sizeof(mark));
        }

        visit(journal, live);
        journal->mark = mark;
        journal->revision = nacked;

        if (nacked && (mark.suspect || draw(&seed) % 2 || mark.size == 0)) {
            journal->base = record(nacked, base, 200);
        }

        journal->line = record(nacked + 1, id, draw(&seed) % 10 == 0
                               ? 5000 + draw(&seed) % 4000
                               : 100 + draw(&seed) % 1500);

        failing = draw(&seed) % 4 == 0 ? 1 + draw(&seed) % 14 : 0;
        dead = draw(&seed) % 10 == 0 ? 2 + draw(&seed) % 8 : 0;
        sync_fails = draw(&seed) % (died ? 2 : 8) == 0
                     ? 1 + draw(&seed) % 2 : 0;
        cut_fails = draw(&seed) % 3 == 0 && sync_fails;

        was = npossible;
        possible[npossible++] = id;

        recording = 1;
        ngx_http_gray_journal_write(journal);
        recording = 0;

        compactions += journal->compacted;
        asides += journal->damaged != 0;

        died = (dead == 2);
        dead = 0;

        /* else nobody has heard of it, and it stays in the file */

        if (!died) {
            mark = journal->mark;

            switch (journal->rc) {

            case NGX_OK:
                acked[nacked++] = id;
                base = id;
                npossible = 0;
                break;

            case NGX_DECLINED:
                found++;
                base = id_of(&journal->found);

                if (!is_possible(base)) {
                    violated("a record of nobody is found");
                }

                acked[nacked++] = base;
                npossible = 0;
                break;

            default:
                failed++;
                unknown += journal->unknown;

                if (!journal->unknown) {
                    npossible = was;
                }
            }
        }

        ngx_http_gray_journal_free(journal);

        failing = 0;
        sync_fails = 0;
        cut_fails = 0;

        recording = 1;
        crash();
        recording = 0;
    }
}


static void
test_crashes(void **state)
{
    uint64_t  from;

    (void) state;

    for (from = 1; from <= 6; from++) {
        run(NONE, from);

        print_message("# seed %lu: %lu calls, %lu states, %lu of them "
                      "different; %lu revisions, %lu failures (%lu unknown), "
                      "%lu found, %lu compactions, %lu files set aside\n",
                      (unsigned long) from, (unsigned long) calls,
                      (unsigned long) states, (unsigned long) checked,
                      (unsigned long) nacked, (unsigned long) failed,
                      (unsigned long) unknown, (unsigned long) found,
                      (unsigned long) compactions, (unsigned long) asides);

        if (violations) {
            fail_msg("%lu states are wrong: %s", (unsigned long) violations,
                     first_violation);
        }

        assert_in_range(nacked, 40, WRITES);
        assert_in_range(failed, 10, WRITES);
        assert_in_range(unknown, 1, WRITES);
        assert_in_range(found, 1, WRITES);
        assert_in_range(compactions, 3, WRITES);
        assert_in_range(asides, 1, WRITES);
    }
}


/* without what makes it durable it must not seem to be so */

static void
test_flaws(void **state)
{
    ngx_uint_t  i, from;

    static const struct {
        flaw_e       flaw;
        const char  *name;
    } flaws[] = {
        { NO_SYNC, "no sync of what is appended" },
        { NO_SYNC_DIR, "no sync of the directory" },
        { NO_SYNC_TEMP, "a rename before the sync" },
        { NO_CHECKSUM, "no checksum" },
        { NO_CUT, "what failed is not cut off" },
        { NO_CONFIRMATION, "what is found is not written again" }
    };

    (void) state;

    for (i = 0; i < ITEMS(flaws); i++) {

        for (from = 1; from <= 8; from++) {
            run(flaws[i].flaw, from);

            if (violations) {
                break;
            }
        }

        print_message("# %s: %s, after %lu states\n", flaws[i].name,
                      violations ? first_violation : "nothing",
                      (unsigned long) checked);

        if (violations == 0) {
            fail_msg("%s: is not noticed", flaws[i].name);
        }
    }
}


static int
set_up(void **state)
{
    static char  live_name[] = "/tmp/gray-crash-XXXXXX";
    static char  after_name[] = "/tmp/gray-crash-XXXXXX";

    (void) state;

    ngx_pid = 1;

    strcpy(live, mkdtemp(live_name));
    strcpy(after, mkdtemp(after_name));

    return 0;
}


static int
tear_down(void **state)
{
    ngx_uint_t  i;

    (void) state;

    for (i = 0; i < ninodes; i++) {
        free(inodes[i].disk);
        free(inodes[i].op);
    }

    __real_free(large);

    empty(live);
    empty(after);

    return rmdir(live) || rmdir(after);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_crashes),
        cmocka_unit_test(test_flaws)
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
