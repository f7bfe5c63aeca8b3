
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The shared zone: documents as bytes, with a revision number.
 *
 * Layout.  A header, found through the slab pool's "data", and a list of
 * blocks, one for each release, all linked by offsets from the start of the
 * zone.  A block has two arenas, each large enough for a document, and one
 * 64-bit word that says which of them is active and what revision it holds.
 * Everything is allocated while nginx reads its configuration; nothing while
 * it serves, so a zone can be too small only there.  Blocks are never freed:
 * that of a release which is no longer declared is found again by its name.
 *
 * Publishing fills the arena that is not active, then stores the word.  A
 * writer that dies before the store has changed nothing, after it everything.
 *
 * Reading takes no lock: load the word, copy its arena, load the word again.
 * Only the second revision after the one being copied writes into the same
 * arena, and the full fence between a store of the word and the first byte of
 * the next revision makes sure that whoever could see such a byte sees a new
 * word, too.  A length may be torn until then, so it is bounded before use.
 *
 * The lock is a robust mutex of POSIX, and is only ever tried.  It is held for
 * a copy of one document.  The kernel tells of an owner that was killed; its
 * half-filled arena is not the active one and does no harm.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <pthread.h>

#include "ngx_http_gray_shm.h"


#define NGX_HTTP_GRAY_SHM_MAGIC  0x376d68735f796172     /* "ray_shm7" */

/* the smallest size of a slab, in nginx's ngx_cycle.c */
#define NGX_HTTP_GRAY_SHM_MIN_SHIFT  3

/* a reader is overtaken twice by writers only if they do nothing else */
#define NGX_HTTP_GRAY_SHM_TRIES  100


/* held as long as the process lives */

typedef struct {
    pthread_mutex_t             mutex;
    ngx_pid_t                   pid;
} ngx_http_gray_entry_t;


struct ngx_http_gray_shared_s {
    uint64_t                    magic;
    pthread_mutex_t             mutex;
    uint64_t                    generation;  /* configurations so far */
    uint64_t                    turn[NGX_HTTP_GRAY_TURNS];
                                             /* ms, when the last one was */
    ngx_http_gray_entry_t       entry[NGX_HTTP_GRAY_ENTRIES];
    size_t                      first;       /* offset, or 0 */
    size_t                      area;        /* offset, or 0 */
    size_t                      area_size;
};


/* what follows a block begins a line of the processor's cache */
#define NGX_HTTP_GRAY_SHM_BLOCK                                               \
    ngx_align(sizeof(ngx_http_gray_block_t), NGX_ALIGNMENT * 8)


struct ngx_http_gray_arena_s {
    uint64_t                    revision;
    uint32_t                    origin;
    uint32_t                    len;
    u_char                      data[1];
};


static ngx_int_t ngx_http_gray_shm_mutex(pthread_mutex_t *mutex);
static size_t ngx_http_gray_shm_usable(size_t size);
static size_t ngx_http_gray_shm_arena_size(size_t document);
static size_t ngx_http_gray_shm_block_size(size_t document, size_t counters);
static size_t ngx_http_gray_shm_block_pages(size_t document,
    size_t counters);
static size_t ngx_http_gray_shm_area_pages(ngx_http_gray_zone_t *zone);
static void ngx_http_gray_shm_store(ngx_http_gray_zone_t *zone,
    ngx_http_gray_block_t *block, uint64_t revision, ngx_str_t *text,
    ngx_http_gray_origin_e origin);
static size_t ngx_http_gray_shm_room(ngx_http_gray_block_t *block);
static ngx_http_gray_arena_t *ngx_http_gray_shm_arena(
    ngx_http_gray_zone_t *zone, ngx_http_gray_block_t *block, ngx_uint_t n);


ngx_int_t
ngx_http_gray_shm_attach(ngx_http_gray_zone_t *zone)
{
    ngx_int_t                rc;
    ngx_uint_t               i;
    ngx_slab_pool_t         *shpool;
    ngx_http_gray_shared_t  *shared;

    zone->entry = NGX_DECLINED;

    shpool = (ngx_slab_pool_t *) zone->shm_zone->shm.addr;

    zone->shpool = shpool;

    if (shpool->data) {
        shared = shpool->data;

        if (shared->magic != NGX_HTTP_GRAY_SHM_MAGIC) {
            ngx_log_error(NGX_LOG_EMERG, zone->shm_zone->shm.log, 0,
                          "gray_zone \"%V\" holds data of another layout, "
                          "restart nginx", &zone->shm_zone->shm.name);
            return NGX_ERROR;
        }

        zone->shared = shared;

        return NGX_OK;
    }

    /* a zone that is full is reported by its user, with the size needed */

    shpool->log_nomem = 0;

    shared = ngx_slab_calloc(shpool, sizeof(ngx_http_gray_shared_t));
    if (shared == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_gray_shm_mutex(&shared->mutex);

    for (i = 0; rc == NGX_OK && i < NGX_HTTP_GRAY_ENTRIES; i++) {
        rc = ngx_http_gray_shm_mutex(&shared->entry[i].mutex);
    }

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm_zone->shm.log, 0,
                      "gray_zone \"%V\": this system has no robust mutexes",
                      &zone->shm_zone->shm.name);
        return NGX_ERROR;
    }

    shared->magic = NGX_HTTP_GRAY_SHM_MAGIC;

    shpool->data = shared;
    zone->shared = shared;

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_shm_mutex(pthread_mutex_t *mutex)
{
    ngx_int_t            rc;
    pthread_mutexattr_t  attr;

    if (pthread_mutexattr_init(&attr) != 0) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) == 0
        && pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST) == 0
        && pthread_mutex_init(mutex, &attr) == 0)
    {
        rc = NGX_OK;
    }

    (void) pthread_mutexattr_destroy(&attr);

    return rc;
}


void
ngx_http_gray_shm_begin(ngx_http_gray_zone_t *zone)
{
    zone->generation = __atomic_add_fetch(&zone->shared->generation, 1,
                                          __ATOMIC_SEQ_CST);
}


ngx_uint_t
ngx_http_gray_shm_outdated(ngx_http_gray_zone_t *zone)
{
    return __atomic_load_n(&zone->shared->generation, __ATOMIC_SEQ_CST)
           != zone->generation;
}


ngx_http_gray_block_t *
ngx_http_gray_shm_find(ngx_http_gray_zone_t *zone, ngx_str_t *name)
{
    ngx_http_gray_block_t  *block;

    for (block = ngx_http_gray_shm_next(zone, NULL);
         block;
         block = ngx_http_gray_shm_next(zone, block))
    {
        if (block->len == name->len
            && ngx_strncmp(block->name, name->data, name->len) == 0)
        {
            return block;
        }
    }

    return NULL;
}


ngx_http_gray_block_t *
ngx_http_gray_shm_add(ngx_http_gray_zone_t *zone, ngx_str_t *name,
    size_t counters)
{
    u_char                 *base;
    size_t                 *link;
    ngx_http_gray_block_t  *block, *last;

    base = (u_char *) zone->shpool;

    block = ngx_slab_alloc(zone->shpool,
                           ngx_http_gray_shm_block_size(zone->document,
                                                        counters));
    if (block == NULL) {
        return NULL;
    }

    /* arenas are left alone, so that they take no memory until they are used */

    ngx_memzero(block, sizeof(ngx_http_gray_block_t));

    block->size = zone->document;
    block->len = name->len;
    ngx_memcpy(block->name, name->data, name->len);

    block->arena[0] = (u_char *) block - base + NGX_HTTP_GRAY_SHM_BLOCK;
    block->arena[1] = block->arena[0]
                      + ngx_http_gray_shm_arena_size(zone->document);

    if (counters) {
        block->counters = block->arena[1]
                          + ngx_http_gray_shm_arena_size(zone->document);
        block->counters_size = counters;
    }

    link = &zone->shared->first;

    for (last = ngx_http_gray_shm_next(zone, NULL);
         last;
         last = ngx_http_gray_shm_next(zone, last))
    {
        link = &last->next;
    }

    /* workers may walk the list meanwhile */

    __atomic_store_n(link, (size_t) ((u_char *) block - base),
                     __ATOMIC_RELEASE);

    return block;
}


void *
ngx_http_gray_shm_counters(ngx_http_gray_zone_t *zone,
    ngx_http_gray_block_t *block)
{
    return block->counters ? (u_char *) zone->shpool + block->counters : NULL;
}


void
ngx_http_gray_shm_rename(ngx_http_gray_block_t *block, ngx_str_t *name)
{
    ngx_memzero(block->name, sizeof(block->name));

    block->len = name->len;

    if (name->len) {
        ngx_memcpy(block->name, name->data, name->len);
    }
}


ngx_uint_t
ngx_http_gray_shm_fits(ngx_http_gray_zone_t *zone, size_t pages)
{
    if (zone->shared->area == 0) {
        pages += ngx_http_gray_shm_area_pages(zone);
    }

    return pages <= zone->shpool->pfree;
}


void *
ngx_http_gray_shm_area(ngx_http_gray_zone_t *zone)
{
    u_char                  *area;
    ngx_http_gray_shared_t  *shared;

    shared = zone->shared;

    if (shared->area) {
        return shared->area_size == zone->area
               ? (u_char *) zone->shpool + shared->area : NULL;
    }

    area = ngx_slab_calloc(zone->shpool, zone->area);
    if (area == NULL) {
        return NULL;
    }

    shared->area_size = zone->area;
    shared->area = area - (u_char *) zone->shpool;

    return area;
}


ngx_http_gray_block_t *
ngx_http_gray_shm_next(ngx_http_gray_zone_t *zone,
    ngx_http_gray_block_t *block)
{
    size_t  offset;

    offset = __atomic_load_n(block ? &block->next : &zone->shared->first,
                             __ATOMIC_ACQUIRE);

    return offset ? (ngx_http_gray_block_t *)
                    ((u_char *) zone->shpool + offset)
                  : NULL;
}


size_t
ngx_http_gray_shm_need(ngx_http_gray_zone_t *zone, size_t pages)
{
    size_t                  size;
    ngx_http_gray_block_t  *block;

    /* one page for the header */

    pages += 1 + ngx_http_gray_shm_area_pages(zone);

    for (block = zone->shared ? ngx_http_gray_shm_next(zone, NULL) : NULL;
         block;
         block = ngx_http_gray_shm_next(zone, block))
    {
        pages += ngx_http_gray_shm_block_pages(block->size,
                                               block->counters_size);
    }

    size = pages * ngx_pagesize;

    while (ngx_http_gray_shm_usable(size) < pages) {
        size += ngx_pagesize;
    }

    return size;
}


/* the pages that ngx_slab_init() leaves of a zone */

static size_t
ngx_http_gray_shm_usable(size_t size)
{
    size_t  header, pages, used;

    header = sizeof(ngx_slab_pool_t)
             + (ngx_pagesize_shift - NGX_HTTP_GRAY_SHM_MIN_SHIFT)
               * (sizeof(ngx_slab_page_t) + sizeof(ngx_slab_stat_t));

    if (size < header) {
        return 0;
    }

    pages = (size - header) / (ngx_pagesize + sizeof(ngx_slab_page_t));

    used = ngx_align(header + pages * sizeof(ngx_slab_page_t), ngx_pagesize);

    return ngx_min(pages, (size - used) / ngx_pagesize);
}


static size_t
ngx_http_gray_shm_arena_size(size_t document)
{
    return ngx_align(sizeof(ngx_http_gray_arena_t) + document
                     + NGX_HTTP_GRAY_MORE_DISABLED, NGX_ALIGNMENT * 8);
}


static size_t
ngx_http_gray_shm_block_size(size_t document, size_t counters)
{
    return NGX_HTTP_GRAY_SHM_BLOCK
           + 2 * ngx_http_gray_shm_arena_size(document) + counters;
}


static size_t
ngx_http_gray_shm_block_pages(size_t document, size_t counters)
{
    return (ngx_http_gray_shm_block_size(document, counters)
            + ngx_pagesize - 1)
           / ngx_pagesize;
}


size_t
ngx_http_gray_shm_pages(ngx_http_gray_zone_t *zone, size_t counters)
{
    return ngx_http_gray_shm_block_pages(zone->document, counters);
}


/* that of the memory, if it is there, even if nobody has use for it now */

static size_t
ngx_http_gray_shm_area_pages(ngx_http_gray_zone_t *zone)
{
    size_t  size;

    size = (zone->shared && zone->shared->area) ? zone->shared->area_size
                                                : zone->area;

    return (size + ngx_pagesize - 1) / ngx_pagesize;
}


size_t
ngx_http_gray_shm_free(ngx_http_gray_zone_t *zone)
{
    return zone->shpool->pfree * ngx_pagesize;
}


ngx_int_t
ngx_http_gray_shm_read(ngx_http_gray_zone_t *zone,
    ngx_http_gray_block_t *block, ngx_http_gray_snapshot_t *snapshot)
{
    size_t                  len;
    u_char                 *data;
    uint64_t                word;
    ngx_uint_t              i;
    ngx_http_gray_arena_t  *arena;

    for (i = 0; i < NGX_HTTP_GRAY_SHM_TRIES; i++) {

        word = ngx_http_gray_shm_word(block);

        if (word == 0) {
            return NGX_DECLINED;
        }

        arena = ngx_http_gray_shm_arena(zone, block, word & 1);
        len = ngx_min(arena->len, ngx_http_gray_shm_room(block));

        data = malloc(len + 1);
        if (data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(data, arena->data, len);
        data[len] = '\0';

        snapshot->word = word;
        snapshot->revision = word >> 1;
        snapshot->origin = arena->origin;
        snapshot->text.data = data;
        snapshot->text.len = len;

        __atomic_thread_fence(__ATOMIC_ACQUIRE);

        if (ngx_http_gray_shm_word(block) == word) {
            return NGX_OK;
        }

        free(data);
    }

    return NGX_AGAIN;
}


ngx_int_t
ngx_http_gray_shm_lock(ngx_http_gray_zone_t *zone)
{
    switch (pthread_mutex_trylock(&zone->shared->mutex)) {

    case 0:
        return NGX_OK;

    case EOWNERDEAD:
        (void) pthread_mutex_consistent(&zone->shared->mutex);
        return NGX_OK;

    default:
        return NGX_AGAIN;
    }
}


void
ngx_http_gray_shm_unlock(ngx_http_gray_zone_t *zone)
{
    (void) pthread_mutex_unlock(&zone->shared->mutex);
}


ngx_uint_t
ngx_http_gray_shm_turn(ngx_http_gray_zone_t *zone, ngx_http_gray_turn_e turn,
    ngx_msec_t interval)
{
    uint64_t  now, last;

    now = ngx_current_msec;
    last = __atomic_load_n(&zone->shared->turn[turn], __ATOMIC_RELAXED);

    if (last && now < last + interval) {
        return 0;
    }

    return __atomic_compare_exchange_n(&zone->shared->turn[turn], &last,
                                       now, 0, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED);
}


/* one that a dead process has held is as free as any */

ngx_int_t
ngx_http_gray_shm_enter(ngx_http_gray_zone_t *zone)
{
    ngx_int_t               i;
    ngx_http_gray_entry_t  *entry;

    entry = zone->shared->entry;
    zone->entry = NGX_DECLINED;

    for (i = 0; i < NGX_HTTP_GRAY_ENTRIES; i++) {

        switch (pthread_mutex_trylock(&entry[i].mutex)) {

        case EOWNERDEAD:
            (void) pthread_mutex_consistent(&entry[i].mutex);

            /* fall through */

        case 0:
            entry[i].pid = ngx_pid;
            zone->entry = i;
            return NGX_OK;

        default:

            /* a single process, after a reload */

            if (entry[i].pid == ngx_pid) {
                zone->entry = i;
                return NGX_DONE;
            }
        }
    }

    return NGX_DECLINED;
}


/* the kernel, and the next lock, look at what a process holds */

void
ngx_http_gray_shm_leave(ngx_http_gray_zone_t *zone)
{
    if (zone->entry != NGX_DECLINED) {
        (void) pthread_mutex_unlock(&zone->shared->entry[zone->entry].mutex);
        zone->entry = NGX_DECLINED;
    }
}


ngx_uint_t
ngx_http_gray_shm_entered(ngx_http_gray_zone_t *zone, ngx_uint_t entry)
{
    pthread_mutex_t  *mutex;

    mutex = &zone->shared->entry[entry].mutex;

    switch (pthread_mutex_trylock(mutex)) {

    case EOWNERDEAD:
        (void) pthread_mutex_consistent(mutex);

        /* fall through */

    case 0:
        /* for another reader, which meets this one here */

        zone->shared->entry[entry].pid = 0;

        (void) pthread_mutex_unlock(mutex);
        return 0;

    default:
        return zone->shared->entry[entry].pid != 0;
    }
}


ngx_int_t
ngx_http_gray_shm_publish_locked(ngx_http_gray_zone_t *zone,
    ngx_http_gray_block_t *block, ngx_str_t *text,
    ngx_http_gray_origin_e origin)
{
    if (text->len > ngx_http_gray_shm_room(block)) {
        return NGX_DECLINED;
    }

    ngx_http_gray_shm_store(zone, block, (block->word >> 1) + 1, text, origin);

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_shm_adopt_locked(ngx_http_gray_zone_t *zone,
    ngx_http_gray_block_t *block, ngx_http_gray_snapshot_t *snapshot)
{
    uint64_t  revision;

    if (snapshot->text.len > ngx_http_gray_shm_room(block)) {
        return NGX_DECLINED;
    }

    revision = (block->word >> 1) + 1;

    ngx_http_gray_shm_store(zone, block,
                            ngx_max(revision, snapshot->revision),
                            &snapshot->text, snapshot->origin);

    return NGX_OK;
}


static void
ngx_http_gray_shm_store(ngx_http_gray_zone_t *zone,
    ngx_http_gray_block_t *block, uint64_t revision, ngx_str_t *text,
    ngx_http_gray_origin_e origin)
{
    ngx_uint_t              active;
    ngx_http_gray_arena_t  *arena;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    active = !(block->word & 1);
    arena = ngx_http_gray_shm_arena(zone, block, active);

    arena->revision = revision;
    arena->origin = origin;
    arena->len = text->len;
    ngx_memcpy(arena->data, text->data, text->len);

    __atomic_store_n(&block->word, revision << 1 | active, __ATOMIC_RELEASE);
}


/* for a text, in either arena */

static size_t
ngx_http_gray_shm_room(ngx_http_gray_block_t *block)
{
    return block->size + NGX_HTTP_GRAY_MORE_DISABLED;
}


static ngx_http_gray_arena_t *
ngx_http_gray_shm_arena(ngx_http_gray_zone_t *zone,
    ngx_http_gray_block_t *block, ngx_uint_t n)
{
    return (ngx_http_gray_arena_t *)
           ((u_char *) zone->shpool + block->arena[n]);
}
