
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <sys/mman.h>

#include "ngx_http_gray_mmdb.h"


/*
 * Is what a file says of itself true?  https://maxmind.github.io/MaxMind-DB/
 *
 * A library that reads a record for a request relies on the file, more or
 * less: it looks at bounds, but follows how maps are nested as deep as the
 * file has it, on the stack.  So a file is read once as a whole before it is
 * used.  Each record of the tree has to be a node, nothing, or the place of a
 * value; each value has to be of a known type, with a size that the type can
 * have, and within the data; maps have strings for keys; pointers lead to
 * values that are no pointers; and nothing is nested deeper than 32.
 *
 * A value is read from where the tree or a pointer says that one begins, and
 * once only: "seen" has a bit for each byte where one was begun, "queue" has
 * those that are still to be read.  A value inside of another may be begun for
 * itself, too, if a pointer leads there; so a byte is read as often as values
 * are nested there, at most.  Files that need more are refused, so the time is
 * linear in the size, whatever the file.
 *
 * "seen" is mapped for itself: what threads get by malloc() stays theirs when
 * it is freed, and each file may be read by another thread.
 */


#define NGX_HTTP_GRAY_MMDB_DEPTH  32

#define NGX_HTTP_GRAY_MMDB_POINTER  1
#define NGX_HTTP_GRAY_MMDB_STRING   2
#define NGX_HTTP_GRAY_MMDB_MAP      7
#define NGX_HTTP_GRAY_MMDB_ARRAY    11
#define NGX_HTTP_GRAY_MMDB_BOOLEAN  14
#define NGX_HTTP_GRAY_MMDB_TYPES    16


typedef struct {
    const u_char  *data;
    size_t         size;

    u_char        *seen;
    uint32_t      *queue;
    size_t         queued;
    size_t         room;

    uint64_t       left;            /* values that may still be read */
    const char    *fault;
} ngx_http_gray_mmdb_t;


typedef struct {
    ngx_uint_t     type;
    size_t         size;            /* of a pointer: where it leads */
    size_t         next;            /* behind the control bytes */
} ngx_http_gray_mmdb_value_t;


static void ngx_http_gray_mmdb_tree(ngx_http_gray_mmdb_t *m,
    const u_char *tree, uint32_t nodes, ngx_uint_t bits);
static void ngx_http_gray_mmdb_begin(ngx_http_gray_mmdb_t *m, size_t offset);
static void ngx_http_gray_mmdb_read(ngx_http_gray_mmdb_t *m, size_t offset);
static ngx_int_t ngx_http_gray_mmdb_control(ngx_http_gray_mmdb_t *m,
    size_t offset, ngx_http_gray_mmdb_value_t *value);
static ngx_int_t ngx_http_gray_mmdb_follow(ngx_http_gray_mmdb_t *m,
    ngx_http_gray_mmdb_value_t *value, ngx_uint_t key);
static uint64_t ngx_http_gray_mmdb_number(const u_char *p, ngx_uint_t n);


/* the smallest and the largest size, by type; no size: no such type */

static const struct {
    size_t         min;
    size_t         max;
} ngx_http_gray_mmdb_sizes[NGX_HTTP_GRAY_MMDB_TYPES] = {
    { 1, 0 },                       /* extended, which is no type */
    { 0, UINT32_MAX },              /* pointer */
    { 0, UINT32_MAX },              /* string */
    { 8, 8 },                       /* double */
    { 0, UINT32_MAX },              /* bytes */
    { 0, 2 },                       /* unsigned, 16 bits */
    { 0, 4 },                       /* unsigned, 32 bits */
    { 0, UINT32_MAX },              /* map */
    { 0, 4 },                       /* signed, 32 bits */
    { 0, 8 },                       /* unsigned, 64 bits */
    { 0, 16 },                      /* unsigned, 128 bits */
    { 0, UINT32_MAX },              /* array */
    { 1, 0 },                       /* cache container, of no file */
    { 1, 0 },                       /* end marker, of no file */
    { 0, 1 },                       /* boolean */
    { 4, 4 }                        /* float */
};


const char *
ngx_http_gray_mmdb_verify(const u_char *tree, uint32_t nodes, ngx_uint_t bits,
    size_t size)
{
    size_t                bytes;
    ngx_http_gray_mmdb_t  m;

    memset(&m, 0, sizeof(ngx_http_gray_mmdb_t));

    m.data = tree + (size_t) nodes * (bits / 4) + 16;
    m.size = size;
    m.left = (uint64_t) size * (NGX_HTTP_GRAY_MMDB_DEPTH + 1);

    bytes = size / 8 + 1;
    m.seen = mmap(NULL, bytes, PROT_READ|PROT_WRITE,
                  MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);

    if (m.seen == MAP_FAILED) {
        return "memory is short";
    }

    ngx_http_gray_mmdb_tree(&m, tree, nodes, bits);

    free(m.queue);
    (void) munmap(m.seen, bytes);

    return m.fault;
}


static void
ngx_http_gray_mmdb_tree(ngx_http_gray_mmdb_t *m, const u_char *tree,
    uint32_t nodes, ngx_uint_t bits)
{
    uint64_t       record[2];
    uint32_t       i;
    ngx_uint_t     j, n;
    const u_char  *p;

    n = bits / 8;

    for (i = 0; i < nodes; i++) {
        p = tree + (size_t) i * (bits / 4);

        if (bits == 28) {
            record[0] = ngx_http_gray_mmdb_number(p, 3) | (p[3] & 0xf0) << 20;
            record[1] = ngx_http_gray_mmdb_number(p + 3, 4) & 0xfffffff;

        } else {
            record[0] = ngx_http_gray_mmdb_number(p, n);
            record[1] = ngx_http_gray_mmdb_number(p + n, n);
        }

        for (j = 0; j < 2; j++) {

            if (record[j] <= nodes) {
                continue;
            }

            if (record[j] - nodes < 16 || record[j] - nodes - 16 >= m->size) {
                m->fault = "the search tree leads out of the file";
                return;
            }

            ngx_http_gray_mmdb_begin(m, record[j] - nodes - 16);

            while (m->queued && m->fault == NULL) {
                ngx_http_gray_mmdb_read(m, m->queue[--m->queued]);
            }

            if (m->fault) {
                return;
            }
        }
    }
}


/* a value begins here, which is to be read unless it was */

static void
ngx_http_gray_mmdb_begin(ngx_http_gray_mmdb_t *m, size_t offset)
{
    size_t     room;
    uint32_t  *queue;

    if (m->seen[offset / 8] & (1 << offset % 8)) {
        return;
    }

    if (m->queued == m->room) {
        room = m->room ? m->room * 2 : 256;
        queue = realloc(m->queue, room * sizeof(uint32_t));

        if (queue == NULL) {
            m->fault = "memory is short";
            return;
        }

        m->queue = queue;
        m->room = room;
    }

    m->seen[offset / 8] |= (u_char) (1 << offset % 8);
    m->queue[m->queued++] = (uint32_t) offset;
}


/* reads a value with all that is in it, but for what pointers lead to */

static void
ngx_http_gray_mmdb_read(ngx_http_gray_mmdb_t *m, size_t offset)
{
    size_t                       left[NGX_HTTP_GRAY_MMDB_DEPTH];
    ngx_uint_t                   depth, key;
    ngx_uint_t                   map[NGX_HTTP_GRAY_MMDB_DEPTH];
    ngx_http_gray_mmdb_value_t   value;

    depth = 0;

    for ( ;; ) {

        if (m->left-- == 0) {
            m->fault = "the data is too entangled";
            return;
        }

        key = depth && map[depth - 1] && left[depth - 1] % 2 == 0;

        if (depth) {
            left[depth - 1]--;
        }

        if (ngx_http_gray_mmdb_control(m, offset, &value) != NGX_OK
            || ngx_http_gray_mmdb_follow(m, &value, key) != NGX_OK)
        {
            return;
        }

        offset = value.next;

        if (value.type == NGX_HTTP_GRAY_MMDB_MAP
            || value.type == NGX_HTTP_GRAY_MMDB_ARRAY)
        {
            if (depth == NGX_HTTP_GRAY_MMDB_DEPTH) {
                m->fault = "the data is nested too deep";
                return;
            }

            map[depth] = (value.type == NGX_HTTP_GRAY_MMDB_MAP);
            left[depth] = map[depth] ? 2 * value.size : value.size;
            depth++;

        } else if (value.type != NGX_HTTP_GRAY_MMDB_POINTER
                   && value.type != NGX_HTTP_GRAY_MMDB_BOOLEAN)
        {
            offset += value.size;
        }

        while (depth && left[depth - 1] == 0) {
            depth--;
        }

        if (depth == 0) {
            return;
        }
    }
}


static ngx_int_t
ngx_http_gray_mmdb_control(ngx_http_gray_mmdb_t *m, size_t offset,
    ngx_http_gray_mmdb_value_t *value)
{
    u_char      ch;
    size_t      rest, base;
    ngx_uint_t  n;

    /* pointers are relative to these by their size; so are the sizes */

    static const uint32_t  pointers[] = { 0, 2048, 526336, 0 };
    static const uint32_t  sizes[] = { 29, 285, 65821 };

    m->fault = "a value leads out of the file";

    if (offset >= m->size) {
        return NGX_ERROR;
    }

    rest = m->size - offset - 1;
    ch = m->data[offset++];
    value->type = ch >> 5;

    if (value->type == 0) {
        if (rest-- == 0) {
            return NGX_ERROR;
        }

        value->type = 7 + m->data[offset++];

        if (value->type <= 7) {
            value->type = 0;
        }
    }

    if (value->type == NGX_HTTP_GRAY_MMDB_POINTER) {
        n = (ch >> 3 & 3) + 1;
        base = (n < 4) ? (size_t) (ch & 7) << 8 * n : 0;
        base += pointers[n - 1];

    } else {
        n = ((ch & 31) < 29) ? 0 : (ch & 31) - 28;
        base = n ? sizes[n - 1] : (size_t) (ch & 31);
    }

    if (n > rest) {
        return NGX_ERROR;
    }

    value->size = base + ngx_http_gray_mmdb_number(m->data + offset, n);
    value->next = offset + n;

    if (value->type >= NGX_HTTP_GRAY_MMDB_TYPES
        || value->size < ngx_http_gray_mmdb_sizes[value->type].min
        || value->size > ngx_http_gray_mmdb_sizes[value->type].max)
    {
        m->fault = "a value is of an unknown type, or has no size of its type";
        return NGX_ERROR;
    }

    /* an entry takes a byte at least */

    if (value->type != NGX_HTTP_GRAY_MMDB_POINTER
        && value->type != NGX_HTTP_GRAY_MMDB_BOOLEAN
        && value->size > rest - n)
    {
        return NGX_ERROR;
    }

    m->fault = NULL;

    return NGX_OK;
}


/* where a pointer leads to; is it a key, if it has to be? */

static ngx_int_t
ngx_http_gray_mmdb_follow(ngx_http_gray_mmdb_t *m,
    ngx_http_gray_mmdb_value_t *value, ngx_uint_t key)
{
    ngx_uint_t                   type;
    ngx_http_gray_mmdb_value_t   target;

    type = value->type;

    if (type == NGX_HTTP_GRAY_MMDB_POINTER) {

        if (ngx_http_gray_mmdb_control(m, value->size, &target) != NGX_OK) {
            return NGX_ERROR;
        }

        type = target.type;

        if (type == NGX_HTTP_GRAY_MMDB_POINTER) {
            m->fault = "a pointer leads to a pointer";
            return NGX_ERROR;
        }

        ngx_http_gray_mmdb_begin(m, value->size);
    }

    if (key && type != NGX_HTTP_GRAY_MMDB_STRING && m->fault == NULL) {
        m->fault = "a key is no string";
    }

    return m->fault ? NGX_ERROR : NGX_OK;
}


/* the first byte is the highest */

static uint64_t
ngx_http_gray_mmdb_number(const u_char *p, ngx_uint_t n)
{
    uint64_t  number;

    for (number = 0; n; n--) {
        number = number << 8 | *p++;
    }

    return number;
}
