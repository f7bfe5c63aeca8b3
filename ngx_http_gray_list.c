
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The file of a named list: up to a million entries, looked up where they lie.
 *
 * Layout.  A header; a hash table of 64-bit slots; the entries as they were
 * given, each ended by a line feed, in the order of their first appearance;
 * and, where all of them are networks, sorted ranges that do not overlap, of
 * IPv4 as pairs of 32 bits and of IPv6 as ngx_http_gray_range_t.  Numbers are
 * in the machine's byte order: a file of another one has another magic.
 *
 * A slot is 0, or has the low 32 bits of the XXH3 of an entry below, and
 * above, plus one, where the entry begins.  An entry's first slot is its hash,
 * multiplied by the number of slots, above 2^64; from there on the next ones
 * follow.  Half of the slots are empty, so a lookup reads one or two, and then
 * the entry: at most a few cache misses, whatever the size.  Of a million
 * entries the worst takes some 60 slots; where one takes more than
 * NGX_HTTP_GRAY_LIST_PROBES, somebody has chosen entries for their hashes.
 *
 * A file never changes.  It is made under another name, synced without its
 * header, then sealed with it and renamed, so a file that has a header is a
 * whole one.  The header has a checksum of its own and the size of the file;
 * the rest is not read as a whole before it serves, so lookups believe no
 * offset and no count: a damaged file can answer wrong, but not crash.
 *
 * Memory is mapped and unmapped, not allocated: of some dozens of megabytes
 * for a moment, malloc() would keep a part.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <sys/mman.h>

#include "ngx_http_gray_failpoint.h"
#include "ngx_http_gray_list.h"

#define XXH_INLINE_ALL
#include <xxhash.h>


#define NGX_HTTP_GRAY_LIST_MAGIC    0x3174736c79617267     /* "graylst1" */
#define NGX_HTTP_GRAY_LIST_VERSION  1
#define NGX_HTTP_GRAY_LIST_ALIGN    64
#define NGX_HTTP_GRAY_LIST_PROBES   256

#define NGX_HTTP_GRAY_LIST_WHY      320


typedef struct {
    uint64_t                     magic;
    uint64_t                     version;
    ngx_http_gray_list_info_t    info;

    uint64_t                     slots;      /* offset */
    uint64_t                     nslots;
    uint64_t                     probes;     /* slots that a lookup reads */
    uint64_t                     inet;       /* offset */
    uint64_t                     ninet;
    uint64_t                     inet6;      /* offset */
    uint64_t                     ninet6;

    uint64_t                     sum;        /* XXH64 of all above */
} ngx_http_gray_list_header_t;


#define NGX_HTTP_GRAY_LIST_HEAD                                               \
    ngx_align(sizeof(ngx_http_gray_list_header_t), NGX_HTTP_GRAY_LIST_ALIGN)


static ngx_int_t ngx_http_gray_list_header(int fd,
    ngx_http_gray_list_header_t *header);
static ngx_uint_t ngx_http_gray_list_within(uint64_t offset, uint64_t n,
    size_t each, uint64_t size);
static ngx_int_t ngx_http_gray_list_prepare(ngx_http_gray_list_build_t *build,
    const u_char *p, const u_char *last);
static ngx_uint_t ngx_http_gray_list_lines(const u_char *p,
    const u_char *last);
static void ngx_http_gray_list_trim(ngx_str_t *entry);
static ngx_uint_t ngx_http_gray_list_valid(ngx_http_gray_list_build_t *build,
    ngx_uint_t line, const ngx_str_t *entry);
static ngx_int_t ngx_http_gray_list_insert(ngx_http_gray_list_build_t *build,
    const ngx_str_t *entry);
static void ngx_http_gray_list_network(ngx_http_gray_list_build_t *build,
    ngx_uint_t line, const ngx_str_t *entry);
static void ngx_http_gray_list_ranges(ngx_http_gray_list_build_t *build);
static void ngx_http_gray_list_layout(ngx_http_gray_list_build_t *build,
    ngx_http_gray_list_header_t *header);
static void *ngx_http_gray_list_reserve(size_t size);
static ngx_int_t ngx_http_gray_list_put(int fd, const u_char *data,
    size_t size, off_t offset);


static ngx_inline uint64_t
ngx_http_gray_list_first(uint64_t hash, uint64_t nslots)
{
    return (uint64_t) (((unsigned __int128) hash * nslots) >> 64);
}


ngx_int_t
ngx_http_gray_list_has(ngx_http_gray_list_t *list, const ngx_str_t *text,
    uint64_t hash)
{
    uint64_t  i, n, slot, pos;

    if (__atomic_load_n(list->generation, __ATOMIC_ACQUIRE) != list->seen) {
        list->refresh(list);
    }

    if (!list->usable) {
        return NGX_ERROR;
    }

    i = ngx_http_gray_list_first(hash, list->nslots);

    for (n = list->probes; n; n--) {
        slot = list->slots[i];

        if (slot == 0) {
            return 0;
        }

        if ((uint32_t) slot == (uint32_t) hash) {
            pos = (slot >> 32) - 1;

            if (pos < list->info.bytes
                && text->len < list->info.bytes - pos
                && list->blob[pos + text->len] == '\n'
                && ngx_memcmp(&list->blob[pos], text->data, text->len) == 0)
            {
                return 1;
            }
        }

        i++;

        if (i == list->nslots) {
            i = 0;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_gray_list_covers(ngx_http_gray_list_t *list, ngx_int_t family,
    ngx_http_gray_addr_t addr)
{
    uint32_t         ip;
    uint64_t         n, half;
    const uint32_t  *range;

    if (__atomic_load_n(list->generation, __ATOMIC_ACQUIRE) != list->seen) {
        list->refresh(list);
    }

    if (!list->networks) {
        return NGX_ERROR;
    }

    if (family != AF_INET) {
        return ngx_http_gray_network_find(list->inet6, list->ninet6, addr);
    }

    if (list->ninet == 0) {
        return 0;
    }

    ip = (uint32_t) addr;
    range = list->inet;

    /* the last range that does not begin behind the address */

    for (n = list->ninet; n > 1; n -= half) {
        half = n / 2;
        range += (range[2 * half] <= ip) ? 2 * half : 0;
    }

    return range[0] <= ip && ip <= range[1];
}


ngx_int_t
ngx_http_gray_list_stat(int fd, ngx_http_gray_list_info_t *info)
{
    ngx_int_t                    rc;
    ngx_http_gray_list_header_t  header;

    rc = ngx_http_gray_list_header(fd, &header);

    if (rc == NGX_OK) {
        *info = header.info;
    }

    return rc;
}


static ngx_int_t
ngx_http_gray_list_header(int fd, ngx_http_gray_list_header_t *header)
{
    ssize_t                     n;
    uint64_t                    size;
    struct stat                 st;
    ngx_http_gray_list_info_t  *info;

    if (fstat(fd, &st) == -1) {
        return NGX_ERROR;
    }

    n = pread(fd, header, sizeof(ngx_http_gray_list_header_t), 0);

    if (n == -1) {
        return NGX_ERROR;
    }

    info = &header->info;
    size = info->size;

    if (n != sizeof(ngx_http_gray_list_header_t)
        || header->magic != NGX_HTTP_GRAY_LIST_MAGIC
        || header->version != NGX_HTTP_GRAY_LIST_VERSION
        || header->sum != XXH64(header,
                               offsetof(ngx_http_gray_list_header_t, sum), 0)
        || size != (uint64_t) st.st_size
        || !ngx_http_gray_list_within(header->slots, header->nslots,
                                      sizeof(uint64_t), size)
        || !ngx_http_gray_list_within(info->pos, info->bytes, 1, size)
        || !ngx_http_gray_list_within(header->inet, header->ninet,
                                      2 * sizeof(uint32_t), size)
        || !ngx_http_gray_list_within(header->inet6, header->ninet6,
                                      sizeof(ngx_http_gray_range_t), size)
        || header->probes > header->nslots)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_gray_list_within(uint64_t offset, uint64_t n, size_t each,
    uint64_t size)
{
    return offset <= size && n <= (size - offset) / each
           && (each == 1 || offset % NGX_HTTP_GRAY_LIST_ALIGN == 0);
}


ngx_int_t
ngx_http_gray_list_map(ngx_http_gray_list_t *list, int fd)
{
    u_char                       *map;
    ngx_int_t                     rc;
    ngx_http_gray_list_header_t   header;

    rc = ngx_http_gray_list_header(fd, &header);

    if (rc != NGX_OK) {
        return rc;
    }

    map = mmap(NULL, header.info.size, PROT_READ, MAP_SHARED, fd, 0);

    if (map == MAP_FAILED) {
        return NGX_ERROR;
    }

    /* read ahead, if it is not in memory; lookups do not wait for it */

    (void) madvise(map, header.info.size, MADV_WILLNEED);

    ngx_http_gray_list_unmap(list);

    list->map = map;
    list->mapped = header.info.size;
    list->info = header.info;
    list->usable = !header.info.deleted;
    list->networks = (list->usable && !header.info.odd);

    list->slots = (uint64_t *) (map + header.slots);
    list->nslots = header.nslots;
    list->probes = header.probes;
    list->blob = map + header.info.pos;
    list->inet = (uint32_t *) (map + header.inet);
    list->ninet = header.ninet;
    list->inet6 = (ngx_http_gray_range_t *) (map + header.inet6);
    list->ninet6 = header.ninet6;

    return NGX_OK;
}


void
ngx_http_gray_list_unmap(ngx_http_gray_list_t *list)
{
    u_char  *map;

    map = list->map;
    list->map = NULL;
    list->usable = 0;
    list->networks = 0;

    if (map && list->release) {
        list->release(list, map, list->mapped);

    } else if (map) {
        (void) munmap(map, list->mapped);
    }
}


ngx_int_t
ngx_http_gray_list_build(ngx_http_gray_list_build_t *build,
    const u_char *text, size_t len)
{
    ngx_str_t      entry;
    ngx_uint_t     line;
    const u_char  *p, *end, *last;

    ngx_memzero(build, sizeof(ngx_http_gray_list_build_t));

    p = text;
    last = text + len;

    /* a byte order mark is no part of the first entry */

    if (len >= 3 && ngx_memcmp(p, "\xef\xbb\xbf", 3) == 0) {
        p += 3;
    }

    if (ngx_http_gray_list_prepare(build, p, last) != NGX_OK) {
        return NGX_ERROR;
    }

    for (line = 1; p < last; line++) {

        end = memchr(p, '\n', last - p);

        if (end == NULL) {
            end = last;
        }

        entry.data = (u_char *) p;
        entry.len = end - p;
        p = end + 1;

        ngx_http_gray_list_trim(&entry);

        if (entry.len == 0
            || !ngx_http_gray_list_valid(build, line, &entry))
        {
            continue;
        }

        switch (ngx_http_gray_list_insert(build, &entry)) {

        case NGX_OK:
            if (build->odd == 0) {
                ngx_http_gray_list_network(build, line, &entry);
            }

            break;

        case NGX_DECLINED:
            build->duplicates++;
            break;

        case NGX_ABORT:
            ngx_http_gray_json_fault(&build->faults, NULL,
                                     "line %lu has a hash like those of %d "
                                     "other entries, as if it was made for "
                                     "that", (unsigned long) line,
                                     NGX_HTTP_GRAY_LIST_PROBES);
            break;

        default: /* NGX_BUSY */
            ngx_http_gray_json_fault(&build->faults, NULL,
                                     "line %lu is one entry too many, a list "
                                     "has at most %d", (unsigned long) line,
                                     NGX_HTTP_GRAY_LIST_ENTRIES);
            return NGX_DECLINED;
        }
    }

    if (build->faults.n) {
        return NGX_DECLINED;
    }

    build->info.sum = XXH64(build->data + build->info.pos, build->info.bytes,
                            0);

    ngx_http_gray_list_ranges(build);

    return NGX_OK;
}


/* memory for what the text has at most; it is taken when it is touched */

static ngx_int_t
ngx_http_gray_list_prepare(ngx_http_gray_list_build_t *build, const u_char *p,
    const u_char *last)
{
    ngx_uint_t  n;

    n = ngx_http_gray_list_lines(p, last);
    n = ngx_min(n, NGX_HTTP_GRAY_LIST_ENTRIES);

    build->nslots = 2 * n;
    build->nranges = n;
    build->info.pos = NGX_HTTP_GRAY_LIST_HEAD
                      + build->nslots * sizeof(uint64_t);
    build->reserved = build->info.pos + (last - p) + 1
                      + n * sizeof(ngx_http_gray_range_t)
                      + 2 * NGX_HTTP_GRAY_LIST_ALIGN;

    build->data = ngx_http_gray_list_reserve(build->reserved);

    if (build->data == NULL) {
        return NGX_ERROR;
    }

    if (n) {
        build->ranges = ngx_http_gray_list_reserve(n
                                            * sizeof(ngx_http_gray_range_t));
        if (build->ranges == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* lines that are not empty: as many entries there are at most */

static ngx_uint_t
ngx_http_gray_list_lines(const u_char *p, const u_char *last)
{
    ngx_uint_t     n;
    const u_char  *end;

    for (n = 0; p < last; p = end + 1) {

        end = memchr(p, '\n', last - p);

        if (end == NULL) {
            end = last;
        }

        n += (end != p);
    }

    return n;
}


static void
ngx_http_gray_list_trim(ngx_str_t *entry)
{
    u_char  c;

    if (entry->len && entry->data[entry->len - 1] == '\r') {
        entry->len--;
    }

    while (entry->len) {
        c = entry->data[entry->len - 1];

        if (c != ' ' && c != '\t') {
            break;
        }

        entry->len--;
    }

    while (entry->len && (*entry->data == ' ' || *entry->data == '\t')) {
        entry->data++;
        entry->len--;
    }
}


static ngx_uint_t
ngx_http_gray_list_valid(ngx_http_gray_list_build_t *build, ngx_uint_t line,
    const ngx_str_t *entry)
{
    size_t         n;
    const u_char  *p, *last;

    if (entry->len > NGX_HTTP_GRAY_LIST_LINE) {
        ngx_http_gray_json_fault(&build->faults, NULL,
                                 "line %lu has %zu bytes, an entry has at "
                                 "most %d", (unsigned long) line, entry->len,
                                 NGX_HTTP_GRAY_LIST_LINE);
        return 0;
    }

    p = entry->data;
    last = p + entry->len;

    while (p < last) {

        if (*p >= 0x20 && *p < 0x7f) {
            p++;
            continue;
        }

        if (*p < 0x80) {
            ngx_http_gray_json_fault(&build->faults, NULL,
                                     "line %lu has the control character "
                                     "0x%02x at byte %lu",
                                     (unsigned long) line, *p,
                                     (unsigned long) (p - entry->data + 1));
            return 0;
        }

        n = ngx_http_gray_scan_utf8(p, last);

        if (n == 0) {
            ngx_http_gray_json_fault(&build->faults, NULL,
                                     "line %lu is not UTF-8 at byte %lu",
                                     (unsigned long) line,
                                     (unsigned long) (p - entry->data + 1));
            return 0;
        }

        p += n;
    }

    return 1;
}


/*
 * NGX_OK; NGX_DECLINED: it is there already; NGX_BUSY: there are too many;
 * NGX_ABORT: too many that have nearly the same hash.
 */

static ngx_int_t
ngx_http_gray_list_insert(ngx_http_gray_list_build_t *build,
    const ngx_str_t *entry)
{
    u_char    *blob, *p;
    uint64_t   hash, i, n, *slots;

    slots = (uint64_t *) (build->data + NGX_HTTP_GRAY_LIST_HEAD);
    blob = build->data + build->info.pos;

    hash = XXH3_64bits(entry->data, entry->len);
    i = ngx_http_gray_list_first(hash, build->nslots);

    for (n = 1; slots[i]; n++) {

        if ((uint32_t) slots[i] == (uint32_t) hash) {
            p = blob + (slots[i] >> 32) - 1;

            /* what was put there last has no byte behind its line feed */

            if ((size_t) (blob + build->info.bytes - p) > entry->len
                && p[entry->len] == '\n'
                && ngx_memcmp(p, entry->data, entry->len) == 0)
            {
                return NGX_DECLINED;
            }
        }

        i++;

        if (i == build->nslots) {
            i = 0;
        }
    }

    if (build->info.entries == NGX_HTTP_GRAY_LIST_ENTRIES) {
        return NGX_BUSY;
    }

    if (n > NGX_HTTP_GRAY_LIST_PROBES) {
        return NGX_ABORT;
    }

    build->info.entries++;
    build->probes = ngx_max(build->probes, n);

    slots[i] = (build->info.bytes + 1) << 32 | (uint32_t) hash;

    p = ngx_cpymem(blob + build->info.bytes, entry->data, entry->len);
    *p = '\n';

    build->info.bytes += entry->len + 1;

    return NGX_OK;
}


static void
ngx_http_gray_list_network(ngx_http_gray_list_build_t *build, ngx_uint_t line,
    const ngx_str_t *entry)
{
    char                    why[NGX_HTTP_GRAY_LIST_WHY];
    ngx_http_gray_range_t   range;

    switch (ngx_http_gray_network_parse(entry, &range, why, sizeof(why))) {

    case AF_INET:
        build->ranges[build->ninet++] = range;
        return;

    case NGX_ERROR:
        build->odd = line;
        build->info.odd = build->info.entries;
        return;

    default: /* AF_INET6 */
        build->ranges[build->nranges - ++build->ninet6] = range;
        return;
    }
}


static void
ngx_http_gray_list_ranges(ngx_http_gray_list_build_t *build)
{
    uint64_t                      i;
    uint32_t                     *inet;
    ngx_http_gray_range_t        *ranges;
    ngx_http_gray_list_header_t   header;

    if (build->odd) {
        build->ninet = 0;
        build->ninet6 = 0;
        ngx_http_gray_list_layout(build, &header);
        return;
    }

    ranges = build->ranges + build->nranges - build->ninet6;

    if (build->ninet) {
        build->ninet = ngx_http_gray_network_merge(build->ranges,
                                                   build->ninet);
    }

    if (build->ninet6) {
        build->ninet6 = ngx_http_gray_network_merge(ranges, build->ninet6);
    }

    ngx_http_gray_list_layout(build, &header);

    inet = (uint32_t *) (build->data + header.inet);

    for (i = 0; i < build->ninet; i++) {
        *inet++ = (uint32_t) build->ranges[i].first;
        *inet++ = (uint32_t) build->ranges[i].last;
    }

    if (build->ninet6) {
        ngx_memcpy(build->data + header.inet6, ranges,
                   build->ninet6 * sizeof(ngx_http_gray_range_t));
    }
}


/* the header of what was built, and the size of the file */

static void
ngx_http_gray_list_layout(ngx_http_gray_list_build_t *build,
    ngx_http_gray_list_header_t *header)
{
    ngx_memzero(header, sizeof(ngx_http_gray_list_header_t));

    header->magic = NGX_HTTP_GRAY_LIST_MAGIC;
    header->version = NGX_HTTP_GRAY_LIST_VERSION;

    header->slots = NGX_HTTP_GRAY_LIST_HEAD;
    header->nslots = build->nslots;
    header->probes = build->probes;

    header->inet = ngx_align(build->info.pos + build->info.bytes,
                             NGX_HTTP_GRAY_LIST_ALIGN);
    header->ninet = build->ninet;

    header->inet6 = ngx_align(header->inet
                              + build->ninet * 2 * sizeof(uint32_t),
                              NGX_HTTP_GRAY_LIST_ALIGN);
    header->ninet6 = build->ninet6;

    build->info.size = header->inet6
                       + build->ninet6 * sizeof(ngx_http_gray_range_t);

    header->info = build->info;
    header->sum = XXH64(header, offsetof(ngx_http_gray_list_header_t, sum), 0);
}


void
ngx_http_gray_list_discard(ngx_http_gray_list_build_t *build)
{
    if (build->data) {
        (void) munmap(build->data, build->reserved);
        build->data = NULL;
    }

    if (build->ranges) {
        (void) munmap(build->ranges,
                      build->nranges * sizeof(ngx_http_gray_range_t));
        build->ranges = NULL;
    }
}


static void *
ngx_http_gray_list_reserve(size_t size)
{
    void  *p;

    p = mmap(NULL, size, PROT_READ|PROT_WRITE,
             MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}


ngx_int_t
ngx_http_gray_list_write(ngx_http_gray_list_build_t *build, int fd)
{
    if (ngx_http_gray_list_put(fd, build->data + NGX_HTTP_GRAY_LIST_HEAD,
                               build->info.size - NGX_HTTP_GRAY_LIST_HEAD,
                               NGX_HTTP_GRAY_LIST_HEAD)
        != NGX_OK
        || ngx_http_gray_fails("list_flush")
        || fdatasync(fd) == -1)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_list_seal(ngx_http_gray_list_build_t *build, int fd,
    uint64_t revision, time_t time)
{
    u_char                       head[NGX_HTTP_GRAY_LIST_HEAD];
    ngx_http_gray_list_header_t  header;

    build->info.revision = revision;
    build->info.time = time;

    ngx_http_gray_list_layout(build, &header);

    ngx_memzero(head, sizeof(head));
    ngx_memcpy(head, &header, sizeof(header));

    if (ngx_http_gray_fails("list_seal")
        || ngx_http_gray_list_put(fd, head, sizeof(head), 0) != NGX_OK
        || ngx_http_gray_fails("list_seal_flush")
        || fdatasync(fd) == -1)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_list_put(int fd, const u_char *data, size_t size, off_t offset)
{
    ssize_t  n;

    while (size) {

        n = ngx_http_gray_fails("list_write")
            ? -1 : pwrite(fd, data, ngx_http_gray_shortened("list_write", size),
                          offset);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == 0) {
            errno = ENOSPC;
            return NGX_ERROR;
        }

        if (n == -1) {
            return NGX_ERROR;
        }

        data += n;
        size -= n;
        offset += n;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_gray_list_same(ngx_http_gray_list_build_t *build, int fd)
{
    u_char                       chunk[16384];
    size_t                       size;
    ssize_t                      n;
    uint64_t                     done;
    ngx_http_gray_list_header_t  header;

    if (ngx_http_gray_list_header(fd, &header) != NGX_OK
        || header.info.deleted != build->info.deleted
        || header.info.entries != build->info.entries
        || header.info.bytes != build->info.bytes
        || header.info.sum != build->info.sum)
    {
        return 0;
    }

    for (done = 0; done < build->info.bytes; done += n) {

        size = ngx_min(sizeof(chunk), build->info.bytes - done);

        n = pread(fd, chunk, size, header.info.pos + done);

        if (n <= 0
            || ngx_memcmp(chunk, build->data + build->info.pos + done, n) != 0)
        {
            return 0;
        }
    }

    return 1;
}
