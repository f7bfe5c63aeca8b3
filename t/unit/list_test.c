
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Files of named lists: what text makes which entries, lookups against the
 * text itself, and files that are cut, damaged or cannot be written.
 */


#include "unit.h"

#include <sys/mman.h>

#include "ngx_http_gray_list.h"

#define XXH_INLINE_ALL
#include <xxhash.h>


/* mmap() and pwrite(), as they are linked with files of 64 bits */

void *__real_mmap64(void *addr, size_t len, int prot, int flags, int fd,
    off_t offset);
void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd,
    off_t offset);
ssize_t __real_pwrite64(int fd, const void *data, size_t size, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t size, off_t offset);


typedef struct {
    const char  *text;
    const char  *blob;           /* NULL: there are faults */
    ngx_uint_t   duplicates;
    ngx_uint_t   odd;            /* the line */
    const char  *faults;
} text_case_t;


static ngx_uint_t                    maps, failing_map;
static ngx_uint_t                    writes, failing_write;
static uint64_t                      seed = 4;
static uint64_t                      generation = 1;
static ngx_http_gray_list_build_t    build;


void *
__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
    if (++maps == failing_map) {
        errno = ENOMEM;
        return MAP_FAILED;
    }

    return __real_mmap64(addr, len, prot, flags, fd, offset);
}


ssize_t
__wrap_pwrite64(int fd, const void *data, size_t size, off_t offset)
{
    if (++writes == failing_write) {
        errno = ENOSPC;
        return -1;
    }

    /* in pieces, as it may come */

    return __real_pwrite64(fd, data, (size > 100000) ? size / 2 : size, offset);
}


static int
new_file(void)
{
    int   fd;
    char  name[] = "/tmp/gray-list-XXXXXX";

    fd = mkstemp(name);
    assert_int_not_equal(fd, -1);
    assert_int_equal(unlink(name), 0);

    return fd;
}


static int
make(const char *text, size_t len, uint64_t revision)
{
    int  fd;

    fd = new_file();

    assert_int_equal(ngx_http_gray_list_build(&build, (u_char *) text, len),
                     NGX_OK);
    assert_int_equal(ngx_http_gray_list_write(&build, fd), NGX_OK);
    assert_int_equal(ngx_http_gray_list_seal(&build, fd, revision, 1700000000),
                     NGX_OK);

    return fd;
}


static void
open_list(ngx_http_gray_list_t *list, int fd)
{
    memset(list, 0, sizeof(ngx_http_gray_list_t));

    list->generation = &generation;
    list->seen = generation;

    assert_int_equal(ngx_http_gray_list_map(list, fd), NGX_OK);
}


static ngx_int_t
has(ngx_http_gray_list_t *list, const char *text, size_t len)
{
    ngx_str_t  s;

    s.data = (u_char *) text;
    s.len = len;

    return ngx_http_gray_list_has(list, &s, XXH3_64bits(text, len));
}


static ngx_int_t
covers(ngx_http_gray_list_t *list, const char *text)
{
    char                   why[320];
    ngx_int_t              family;
    ngx_str_t              s;
    ngx_http_gray_range_t  range;

    s = string(text);
    family = ngx_http_gray_network_parse(&s, &range, why, sizeof(why));
    assert_int_not_equal(family, NGX_ERROR);

    return ngx_http_gray_list_covers(list, family, range.first);
}


static const text_case_t  texts[] = {
    { "", "", 0, 0, NULL },
    { "\n\n  \n\t\r\n", "", 0, 0, NULL },
    { "\xef\xbb\xbf", "", 0, 0, NULL },
    { "a", "a\n", 0, 1, NULL },
    { "a\n", "a\n", 0, 1, NULL },
    { "\xef\xbb\xbf" "a\r\nb\r\n", "a\nb\n", 0, 1, NULL },
    { "a\r", "a\n", 0, 1, NULL },
    { " a \r\n\tb c\t\n", "a\nb c\n", 0, 1, NULL },
    { "b\na\nb\nb\na\n", "b\na\n", 3, 1, NULL },
    { "a\nab\nb", "a\nab\nb\n", 0, 1, NULL },
    { "A\na\n", "A\na\n", 0, 1, NULL },
    { "# no comment\n", "# no comment\n", 0, 1, NULL },
    { "\xe4\xbd\xa0\xe5\xa5\xbd\n\xf0\x9f\x98\x80", "\xe4\xbd\xa0\xe5\xa5\xbd\n"
      "\xf0\x9f\x98\x80\n", 0, 1, NULL },
    { "10.0.0.0/8\n::1\n", "10.0.0.0/8\n::1\n", 0, 0, NULL },
    { "10.0.0.1\n\n10.0.0.1\nbob\n::1\n", "10.0.0.1\nbob\n::1\n", 1, 4, NULL },

    { "a\xff\n", NULL, 0, 0, " line 1 is not UTF-8 at byte 2" },
    { "\xc0\x80\n", NULL, 0, 0, " line 1 is not UTF-8 at byte 1" },
    { "\xed\xa0\x80\n", NULL, 0, 0, " line 1 is not UTF-8 at byte 1" },
    { "a\n\xe4\xbd\n", NULL, 0, 0, " line 2 is not UTF-8 at byte 1" },
    { "a\rb\n", NULL, 0, 0,
      " line 1 has the control character 0x0d at byte 2" },
    { "a\tb\n\x7f\n", NULL, 0, 0,
      " line 1 has the control character 0x09 at byte 2\n"
      " line 2 has the control character 0x7f at byte 1" },
    { "\xfe\xff\n", NULL, 0, 0, " line 1 is not UTF-8 at byte 1" }
};


static void
test_texts(void **state)
{
    int                   fd;
    char                 *p;
    ngx_uint_t            i;
    const text_case_t    *tc;
    ngx_http_gray_list_t  list;

    (void) state;

    for (i = 0; i < ITEMS(texts); i++) {
        tc = &texts[i];

        if (tc->blob == NULL) {
            assert_int_equal(ngx_http_gray_list_build(&build,
                                     (u_char *) tc->text, strlen(tc->text)),
                             NGX_DECLINED);
            assert_faults(tc->text, &build.faults, tc->faults);
            ngx_http_gray_list_discard(&build);
            continue;
        }

        fd = make(tc->text, strlen(tc->text), i + 1);

        assert_int_equal(build.duplicates, tc->duplicates);
        assert_int_equal(build.odd, tc->odd);

        open_list(&list, fd);

        assert_int_equal(list.info.revision, i + 1);
        assert_int_equal(list.info.time, 1700000000);
        assert_int_equal(list.info.bytes, strlen(tc->blob));
        assert_memory_equal(list.blob, tc->blob, list.info.bytes);

        for (p = (char *) tc->blob; *p; p = strchr(p, '\n') + 1) {
            assert_int_equal(has(&list, p, strchr(p, '\n') - p), 1);
        }

        assert_int_equal(has(&list, "", 0), 0);
        assert_int_equal(has(&list, "nobody", 6), 0);
        assert_int_equal(covers(&list, "11.0.0.1"),
                         tc->odd ? NGX_ERROR : 0);

        assert_int_equal(ngx_http_gray_list_same(&build, fd), 1);

        ngx_http_gray_list_unmap(&list);
        ngx_http_gray_list_discard(&build);
        close(fd);
    }
}


/*
 * The eight bytes whose XXH3 is "hash": each step is undone.  What the secret
 * of XXH3 puts in is known from the hash of zeros.
 */

static uint64_t
unmixed(uint64_t hash)
{
    uint64_t    inverse, prime;
    ngx_uint_t  i;

    prime = 0x9fb21c651e98df25;
    inverse = prime;

    for (i = 0; i < 5; i++) {
        inverse *= 2 - prime * inverse;
    }

    hash ^= hash >> 28 ^ hash >> 56;
    hash *= inverse;
    hash ^= (hash >> 35) + 8;
    hash *= inverse;

    /* a mix of three rotations is undone by 63 more of them */

    for (i = 0; i < 63; i++) {
        hash ^= (hash << 49 | hash >> 15) ^ (hash << 24 | hash >> 40);
    }

    return hash;
}


static uint64_t
preimage(uint64_t hash)
{
    uint64_t  bytes;

    static const u_char  zeros[8];

    bytes = unmixed(hash) ^ unmixed(XXH3_64bits(zeros, 8));

    return bytes << 32 | bytes >> 32;
}


/* entries that were made to begin at one slot; others are not hindered */

static void
test_collisions(void **state)
{
    int                   fd;
    char                 *text, *p;
    uint64_t              i, bytes;
    ngx_uint_t            n, k;
    ngx_http_gray_list_t  list;

    (void) state;

    text = malloc(3000 * 9);
    assert_non_null(text);

    p = text;

    for (n = 0, i = 0; n < 3000; i++) {

        bytes = preimage((uint64_t) 0x123 << 52 | i);
        memcpy(p, &bytes, 8);

        for (k = 0; k < 8 && p[k] > 0x20 && p[k] < 0x7f; k++) { /* void */ }

        if (k == 8) {
            assert_int_equal(XXH3_64bits(p, 8) >> 52, 0x123);
            p[8] = '\n';
            p += 9;
            n++;
        }
    }

    assert_int_equal(ngx_http_gray_list_build(&build, (u_char *) text,
                                              3000 * 9),
                     NGX_DECLINED);
    assert_int_equal(build.faults.n, 3000 - 256);
    assert_string_equal(build.faults.fault[0].detail,
                        "line 257 has a hash like those of 256 other entries, "
                        "as if it was made for that");
    ngx_http_gray_list_discard(&build);

    fd = make(text, 256 * 9, 1);
    open_list(&list, fd);

    assert_int_equal(has(&list, text + 255 * 9, 8), 1);
    assert_int_equal(has(&list, text + 256 * 9, 8), 0);

    ngx_http_gray_list_unmap(&list);
    ngx_http_gray_list_discard(&build);
    close(fd);
    free(text);
}


static void
test_nul(void **state)
{
    (void) state;

    assert_int_equal(ngx_http_gray_list_build(&build, (u_char *) "a\0b\n", 4),
                     NGX_DECLINED);
    assert_faults("NUL", &build.faults,
                  " line 1 has the control character 0x00 at byte 2");
    ngx_http_gray_list_discard(&build);
}


static void
test_long_lines(void **state)
{
    int                    fd;
    char                  *text;
    ngx_http_gray_list_t   list;

    (void) state;

    text = malloc(10 * 1024 * 1024);
    assert_non_null(text);
    memset(text, 'x', 10 * 1024 * 1024);

    fd = make(text, NGX_HTTP_GRAY_LIST_LINE, 1);
    open_list(&list, fd);

    assert_int_equal(has(&list, text, NGX_HTTP_GRAY_LIST_LINE), 1);
    assert_int_equal(has(&list, text, NGX_HTTP_GRAY_LIST_LINE - 1), 0);
    assert_int_equal(has(&list, text, NGX_HTTP_GRAY_LIST_LINE + 1), 0);

    ngx_http_gray_list_unmap(&list);
    ngx_http_gray_list_discard(&build);
    close(fd);

    assert_int_equal(ngx_http_gray_list_build(&build, (u_char *) text,
                                              NGX_HTTP_GRAY_LIST_LINE + 1),
                     NGX_DECLINED);
    assert_faults("one too many", &build.faults,
                  " line 1 has 1025 bytes, an entry has at most 1024");
    ngx_http_gray_list_discard(&build);

    assert_int_equal(ngx_http_gray_list_build(&build, (u_char *) text,
                                              10 * 1024 * 1024),
                     NGX_DECLINED);
    assert_faults("10 MB", &build.faults,
                  " line 1 has 10485760 bytes, an entry has at most 1024");
    ngx_http_gray_list_discard(&build);

    free(text);
}


static void
test_most_entries(void **state)
{
    int                    fd;
    char                  *text, *p, name[32];
    ngx_uint_t             i, n;
    ngx_http_gray_list_t   list;

    (void) state;

    n = NGX_HTTP_GRAY_LIST_ENTRIES;
    text = malloc(17 * (n + 1) + 1);
    assert_non_null(text);

    for (p = text, i = 0; i <= n; i++) {
        p += sprintf(p, "user-%011lu\n", (unsigned long) i);
    }

    fd = make(text, 17 * n, 1);
    open_list(&list, fd);

    assert_int_equal(list.info.entries, n);
    assert_true(list.info.size <= 40 * 1000 * 1000);

    for (i = 0; i < n; i += 7) {
        assert_int_equal(has(&list, text + 17 * i, 16), 1);

        sprintf(name, "user-%011lu", (unsigned long) (i + n));
        assert_int_equal(has(&list, name, 16), 0);
    }

    ngx_http_gray_list_unmap(&list);
    ngx_http_gray_list_discard(&build);
    close(fd);

    /* a duplicate is none too many, another one is */

    memcpy(text + 17 * n, text, 17);
    assert_int_equal(ngx_http_gray_list_build(&build, (u_char *) text,
                                              17 * (n + 1)),
                     NGX_OK);
    assert_int_equal(build.duplicates, 1);
    ngx_http_gray_list_discard(&build);

    memcpy(text + 17 * n, "another", 7);
    assert_int_equal(ngx_http_gray_list_build(&build, (u_char *) text,
                                              17 * (n + 1)),
                     NGX_DECLINED);
    assert_faults("too many", &build.faults,
                  " line 1000001 is one entry too many, a list has at most "
                  "1000000");
    ngx_http_gray_list_discard(&build);

    free(text);
}


static void
test_many_faults(void **state)
{
    char        *text;
    ngx_uint_t   i;

    (void) state;

    text = malloc(200);
    assert_non_null(text);

    for (i = 0; i < 100; i++) {
        memcpy(text + 2 * i, "\x01\n", 2);
    }

    assert_int_equal(ngx_http_gray_list_build(&build, (u_char *) text, 200),
                     NGX_DECLINED);
    assert_int_equal(build.faults.n, 100);

    ngx_http_gray_list_discard(&build);
    free(text);
}


static void
test_networks(void **state)
{
    int                    fd;
    char                  *text, *p, name[64];
    uint32_t               ip, base;
    ngx_int_t              expected;
    ngx_uint_t             i, j, n;
    ngx_http_gray_list_t   list;

    static const char  few[] =
        "10.0.0.0/8\n192.168.1.7\n0.0.0.0/32\n255.255.255.255\n"
        "2001:db8::/32\n::1\n10.1.0.0/16\n";

    (void) state;

    fd = make(few, strlen(few), 1);
    open_list(&list, fd);

    assert_int_equal(covers(&list, "10.0.0.0"), 1);
    assert_int_equal(covers(&list, "10.255.255.255"), 1);
    assert_int_equal(covers(&list, "9.255.255.255"), 0);
    assert_int_equal(covers(&list, "11.0.0.0"), 0);
    assert_int_equal(covers(&list, "192.168.1.7"), 1);
    assert_int_equal(covers(&list, "192.168.1.8"), 0);
    assert_int_equal(covers(&list, "0.0.0.0"), 1);
    assert_int_equal(covers(&list, "0.0.0.1"), 0);
    assert_int_equal(covers(&list, "255.255.255.255"), 1);
    assert_int_equal(covers(&list, "2001:db8:1::5"), 1);
    assert_int_equal(covers(&list, "2001:db9::"), 0);
    assert_int_equal(covers(&list, "::1"), 1);
    assert_int_equal(covers(&list, "::2"), 0);
    assert_int_equal(has(&list, "10.0.0.0/8", 10), 1);
    assert_int_equal(has(&list, "10.0.0.1", 8), 0);

    ngx_http_gray_list_unmap(&list);
    ngx_http_gray_list_discard(&build);
    close(fd);

    /* every number of ranges up to 40: networks of 16, 48 apart */

    text = malloc(40 * 20);
    assert_non_null(text);

    for (n = 0; n <= 40; n++) {
        p = text;

        for (i = 0; i < n; i++) {
            base = 0x0a000000 + 48 * ((i * 7) % 41);
            p += sprintf(p, "%u.%u.%u.%u/28\n", base >> 24,
                         base >> 16 & 255, base >> 8 & 255, base & 255);
        }

        fd = make(text, p - text, 1);
        open_list(&list, fd);

        for (ip = 0x0a000000 - 1; ip < 0x0a000000 + 48 * 41; ip++) {
            expected = 0;

            for (j = 0; j < n; j++) {
                base = 0x0a000000 + 48 * ((j * 7) % 41);
                expected |= (ip >= base && ip < base + 16);
            }

            sprintf(name, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255,
                    ip >> 8 & 255, ip & 255);
            assert_int_equal(covers(&list, name), expected);
        }

        ngx_http_gray_list_unmap(&list);
        ngx_http_gray_list_discard(&build);
        close(fd);
    }

    free(text);
}


static void
test_same(void **state)
{
    int  fd;

    (void) state;

    fd = make("a\nb\n", 4, 1);
    ngx_http_gray_list_discard(&build);

    assert_int_equal(ngx_http_gray_list_build(&build, (u_char *) "b\na", 3),
                     NGX_OK);
    assert_int_equal(ngx_http_gray_list_same(&build, fd), 0);
    ngx_http_gray_list_discard(&build);

    assert_int_equal(ngx_http_gray_list_build(&build, (u_char *) "a\nb\na", 5),
                     NGX_OK);
    assert_int_equal(ngx_http_gray_list_same(&build, fd), 1);

    build.info.deleted = 1;
    assert_int_equal(ngx_http_gray_list_same(&build, fd), 0);
    ngx_http_gray_list_discard(&build);

    close(fd);
}


static void
test_deleted(void **state)
{
    int                    fd;
    ngx_http_gray_list_t   list;

    (void) state;

    fd = new_file();

    assert_int_equal(ngx_http_gray_list_build(&build, NULL, 0), NGX_OK);
    build.info.deleted = 1;
    assert_int_equal(ngx_http_gray_list_write(&build, fd), NGX_OK);
    assert_int_equal(ngx_http_gray_list_seal(&build, fd, 9, 0), NGX_OK);
    ngx_http_gray_list_discard(&build);

    open_list(&list, fd);

    assert_int_equal(list.info.revision, 9);
    assert_int_equal(has(&list, "a", 1), NGX_ERROR);
    assert_int_equal(covers(&list, "::1"), NGX_ERROR);

    ngx_http_gray_list_unmap(&list);
    close(fd);
}


/* what is no list stays out, and what was mapped stays */

static void
test_no_list(void **state)
{
    int                         fd, good;
    u_char                      byte;
    ngx_uint_t                  i;
    ngx_http_gray_list_t        list;
    ngx_http_gray_list_info_t   info;

    (void) state;

    good = make("a\n10.0.0.1\n", 11, 3);
    open_list(&list, good);

    fd = new_file();
    assert_int_equal(ngx_http_gray_list_map(&list, fd), NGX_DECLINED);

    /* without its header it is none */

    assert_int_equal(ngx_http_gray_list_write(&build, fd), NGX_OK);
    assert_int_equal(ngx_http_gray_list_map(&list, fd), NGX_DECLINED);

    assert_int_equal(ngx_http_gray_list_seal(&build, fd, 4, 0), NGX_OK);
    assert_int_equal(ngx_http_gray_list_stat(fd, &info), NGX_OK);

    for (i = 0; i < 150; i++) {
        assert_int_equal(pread(fd, &byte, 1, i), 1);
        byte ^= 1 << (i % 8);
        assert_int_equal(pwrite(fd, &byte, 1, i), 1);

        assert_int_equal(ngx_http_gray_list_stat(fd, &info), NGX_DECLINED);

        byte ^= 1 << (i % 8);
        assert_int_equal(pwrite(fd, &byte, 1, i), 1);
    }

    assert_int_equal(ngx_http_gray_list_stat(fd, &info), NGX_OK);

    for (i = info.size; i > 0; i--) {
        assert_int_equal(ftruncate(fd, i - 1), 0);
        assert_int_equal(ngx_http_gray_list_map(&list, fd), NGX_DECLINED);
    }

    assert_int_equal(list.info.revision, 3);
    assert_int_equal(has(&list, "a", 1), 1);

    close(fd);
    assert_int_equal(ngx_http_gray_list_map(&list, fd), NGX_ERROR);

    ngx_http_gray_list_unmap(&list);
    assert_int_equal(has(&list, "a", 1), NGX_ERROR);

    ngx_http_gray_list_discard(&build);
    close(good);
}


/* behind a whole header anything may be: lookups end, within the file */

static void
test_damaged(void **state)
{
    int                    fd;
    char                   name[32], text[4000], *p;
    off_t                  head;
    u_char                 noise[64];
    ngx_uint_t             i, j, round;
    ngx_http_gray_list_t   list;

    (void) state;

    for (p = text, i = 0; i < 200; i++) {
        p += sprintf(p, "10.%lu.0.0/16\n", (unsigned long) i);
    }

    p += sprintf(p, "2001:db8::/32\n");

    for (round = 0; round < 300; round++) {

        fd = make(text, p - text, 1);
        open_list(&list, fd);

        head = (u_char *) list.slots - list.map;

        for (i = 0; i < 40; i++) {
            for (j = 0; j < sizeof(noise); j++) {
                noise[j] = (round % 3) ? (u_char) draw(&seed) : 0xff;
            }

            (void) __real_pwrite64(fd, noise, sizeof(noise),
                                   head + draw(&seed) % (list.info.size - head
                                                         - sizeof(noise)));
        }

        for (i = 0; i < 300; i++) {
            sprintf(name, "10.%lu.0.0/16", (unsigned long) i);
            (void) has(&list, name, strlen(name));
            (void) ngx_http_gray_list_covers(&list, AF_INET, draw(&seed));
            (void) ngx_http_gray_list_covers(&list, AF_INET6, draw(&seed));
        }

        ngx_http_gray_list_unmap(&list);
        ngx_http_gray_list_discard(&build);
        close(fd);
    }
}


static void
test_failures(void **state)
{
    int                    fd;
    ngx_http_gray_list_t   list;

    (void) state;

    for (failing_map = 1; failing_map <= 2; failing_map++) {
        maps = 0;
        assert_int_equal(ngx_http_gray_list_build(&build, (u_char *) "a", 1),
                         NGX_ERROR);
        ngx_http_gray_list_discard(&build);
    }

    failing_map = 0;

    for (failing_write = 1; failing_write <= 2; failing_write++) {
        writes = 0;
        fd = new_file();

        assert_int_equal(ngx_http_gray_list_build(&build, (u_char *) "a", 1),
                         NGX_OK);
        assert_int_equal(ngx_http_gray_list_write(&build, fd),
                         failing_write == 1 ? NGX_ERROR : NGX_OK);

        if (failing_write == 2) {
            assert_int_equal(ngx_http_gray_list_seal(&build, fd, 1, 0),
                             NGX_ERROR);
        }

        assert_int_equal(errno, ENOSPC);
        assert_int_equal(ngx_http_gray_list_stat(fd, &build.info),
                         NGX_DECLINED);

        ngx_http_gray_list_discard(&build);
        close(fd);
    }

    failing_write = 0;

    fd = make("a", 1, 1);
    ngx_http_gray_list_discard(&build);
    open_list(&list, fd);

    failing_map = maps + 1;
    assert_int_equal(ngx_http_gray_list_map(&list, fd), NGX_ERROR);
    failing_map = 0;

    assert_int_equal(has(&list, "a", 1), 1);

    ngx_http_gray_list_unmap(&list);
    close(fd);
}


static void
refreshed(ngx_http_gray_list_t *list)
{
    list->seen = generation;
    list->usable = 0;
    list->networks = 0;
}


static void
test_refresh(void **state)
{
    int                    fd;
    ngx_http_gray_list_t   list;

    (void) state;

    fd = make("::1", 3, 1);
    ngx_http_gray_list_discard(&build);
    open_list(&list, fd);
    list.refresh = refreshed;

    assert_int_equal(has(&list, "::1", 3), 1);
    assert_int_equal(covers(&list, "::1"), 1);

    generation++;
    assert_int_equal(has(&list, "::1", 3), NGX_ERROR);

    list.usable = 1;
    list.networks = 1;
    assert_int_equal(covers(&list, "::1"), 1);

    generation++;
    assert_int_equal(covers(&list, "::1"), NGX_ERROR);

    ngx_http_gray_list_unmap(&list);
    close(fd);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_collisions),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_most_entries),
        cmocka_unit_test(test_many_faults),
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_deleted),
        cmocka_unit_test(test_no_list),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_refresh)
    };

    ngx_pagesize = getpagesize();

    return cmocka_run_group_tests(tests, NULL, NULL);
}
