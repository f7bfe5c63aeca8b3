
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_SHM_H_INCLUDED_
#define _NGX_HTTP_GRAY_SHM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_journal.h"


#define NGX_HTTP_GRAY_NAME  63

/* processes that use a zone at a time and are told apart there */
#define NGX_HTTP_GRAY_ENTRIES  64

/* bytes by which a document may be longer while it is disabled */

#define NGX_HTTP_GRAY_MORE_DISABLED  (sizeof("false") - sizeof("true"))


/* who wrote a document */

typedef enum {
    NGX_HTTP_GRAY_DECLARED = 0,
    NGX_HTTP_GRAY_API
} ngx_http_gray_origin_e;


/* what is to be done by one process at a time */

typedef enum {
    NGX_HTTP_GRAY_TURN_FOLLOW = 0,
    NGX_HTTP_GRAY_TURN_TICK,
    NGX_HTTP_GRAY_TURNS
} ngx_http_gray_turn_e;


typedef struct ngx_http_gray_arena_s  ngx_http_gray_arena_t;


/*
 * The shared state of one release.  "word" is the revision, shifted by one,
 * and the number of the active arena; 0 where nothing was published yet.
 */

typedef struct {
    volatile uint64_t           word;
    ngx_atomic_t                degraded;    /* requests, ever */
    ngx_atomic_t                limited;     /* matches given up, ever */
    ngx_atomic_t                moves;       /* how often another block took
                                                its place: changed under the
                                                lock */

    ngx_http_gray_journal_mark_t  journal;
    volatile uint64_t           foreign;     /* last revision that came from a
                                                journal of another zone */

    size_t                      size;        /* bytes of document at most */
    size_t                      next;        /* offset in the zone, or 0 */
    size_t                      arena[2];    /* offsets in the zone */
    size_t                      counters;    /* likewise, or 0 */
    size_t                      counters_size;

    size_t                      len;
    u_char                      name[NGX_HTTP_GRAY_NAME + 1];
} ngx_http_gray_block_t;


typedef struct ngx_http_gray_shared_s  ngx_http_gray_shared_t;


/* a zone as this process sees it */

typedef struct {
    ngx_shm_zone_t             *shm_zone;
    ngx_slab_pool_t            *shpool;
    ngx_http_gray_shared_t     *shared;
    uint64_t                    generation;  /* of the configuration */
    size_t                      document;    /* as declared */
    size_t                      area;        /* bytes of shared memory that
                                                the owner has use for, or 0 */
    ngx_int_t                   entry;       /* of this process, or
                                                NGX_DECLINED */
    ngx_uint_t                  stats;       /* unsigned  stats:1; are there
                                                to be counters? */
    ngx_str_t                   state;       /* a directory, or empty */
    ngx_uint_t                  history;     /* revisions that are kept there */
    void                       *lists;       /* of ngx_http_gray_lists.h */
    void                       *journals;    /* of ngx_http_gray_journals.h */
    void                       *threads;     /* of ngx_http_gray_task.h */
    void                       *gates;       /* of ngx_http_gray_history.h */
    void                       *data;        /* the owner's */
} ngx_http_gray_zone_t;


/* a copy of a revision; "text" is malloc()ed, with a NUL behind it */

typedef struct {
    uint64_t                    word;
    uint64_t                    revision;
    ngx_http_gray_origin_e      origin;
    ngx_str_t                   text;
} ngx_http_gray_snapshot_t;


/*
 * Attaches "zone" to its memory, which must be mapped: for the init handler
 * of nginx's zones.  NGX_OK, or NGX_ERROR with a log line.
 */
ngx_int_t ngx_http_gray_shm_attach(ngx_http_gray_zone_t *zone);

/*
 * For a configuration that is in force from now on, in the process that forks
 * its workers: those of the configurations before are outdated.
 */
void ngx_http_gray_shm_begin(ngx_http_gray_zone_t *zone);
ngx_uint_t ngx_http_gray_shm_outdated(ngx_http_gray_zone_t *zone);

/* the block of a release, or NULL */
ngx_http_gray_block_t *ngx_http_gray_shm_find(ngx_http_gray_zone_t *zone,
    ngx_str_t *name);

/*
 * Adds the block of a release that has none, with so many bytes for counters:
 * only to be called where zones are initialised.  NULL where the zone is full.
 */
ngx_http_gray_block_t *ngx_http_gray_shm_add(ngx_http_gray_zone_t *zone,
    ngx_str_t *name, size_t counters);

/* the counters of a release, or NULL */
void *ngx_http_gray_shm_counters(ngx_http_gray_zone_t *zone,
    ngx_http_gray_block_t *block);

/* for a block in which nothing was ever published */
void ngx_http_gray_shm_rename(ngx_http_gray_block_t *block, ngx_str_t *name);

/*
 * The owner's area, zeroed when it was made: once the zone fits, and where
 * zones are initialised.  NULL where it has another size than the one there.
 */
void *ngx_http_gray_shm_area(ngx_http_gray_zone_t *zone);

/* what a block takes that has so many bytes for counters, in pages */
size_t ngx_http_gray_shm_pages(ngx_http_gray_zone_t *zone, size_t counters);

/* is there room for blocks of so many pages, and the area? */
ngx_uint_t ngx_http_gray_shm_fits(ngx_http_gray_zone_t *zone, size_t pages);

/* the zone size, in bytes, that takes what there is and so many pages more */
size_t ngx_http_gray_shm_need(ngx_http_gray_zone_t *zone, size_t pages);

/* all blocks, of releases that are no longer declared, too; NULL at the end */
ngx_http_gray_block_t *ngx_http_gray_shm_next(ngx_http_gray_zone_t *zone,
    ngx_http_gray_block_t *block);

/* bytes of the zone that are free, in pages */
size_t ngx_http_gray_shm_free(ngx_http_gray_zone_t *zone);


/* the word, by which a process knows whether what it compiled is current */

static ngx_inline uint64_t
ngx_http_gray_shm_word(ngx_http_gray_block_t *block)
{
    return __atomic_load_n(&block->word, __ATOMIC_ACQUIRE);
}


/*
 * A whole revision, without any lock.  NGX_OK; NGX_DECLINED where nothing was
 * published; NGX_AGAIN where writers were too fast; NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_shm_read(ngx_http_gray_zone_t *zone,
    ngx_http_gray_block_t *block, ngx_http_gray_snapshot_t *snapshot);

/*
 * The lock of the zone, which never waits: NGX_OK, or NGX_AGAIN where another
 * living process holds it.  That of a dead one is taken over.
 */
ngx_int_t ngx_http_gray_shm_lock(ngx_http_gray_zone_t *zone);
void ngx_http_gray_shm_unlock(ngx_http_gray_zone_t *zone);

/*
 * Makes "text" the next revision, at once and for every process.  NGX_OK, or
 * NGX_DECLINED where it is longer than the block takes.
 */
ngx_int_t ngx_http_gray_shm_publish_locked(ngx_http_gray_zone_t *zone,
    ngx_http_gray_block_t *block, ngx_str_t *text,
    ngx_http_gray_origin_e origin);

/*
 * What is to be done by one process at a time, and not more often than every
 * "interval" of milliseconds: is it this one's turn?
 */
ngx_uint_t ngx_http_gray_shm_turn(ngx_http_gray_zone_t *zone,
    ngx_http_gray_turn_e turn, ngx_msec_t interval);

/*
 * An entry that is this process's until it ends, however it does: zone->entry.
 * NGX_OK, with what was there of another process still, unless it has one
 * already: NGX_DONE; NGX_DECLINED where all are taken.
 */
ngx_int_t ngx_http_gray_shm_enter(ngx_http_gray_zone_t *zone);

/* for a process that outlives the zone */
void ngx_http_gray_shm_leave(ngx_http_gray_zone_t *zone);

/* is there a process of that entry? */
ngx_uint_t ngx_http_gray_shm_entered(ngx_http_gray_zone_t *zone,
    ngx_uint_t entry);

/*
 * Publishes what came from another place, with its revision unless the block
 * is ahead of it.  NGX_OK, or NGX_DECLINED where it is longer than the block
 * takes.
 */
ngx_int_t ngx_http_gray_shm_adopt_locked(ngx_http_gray_zone_t *zone,
    ngx_http_gray_block_t *block, ngx_http_gray_snapshot_t *snapshot);


#endif /* _NGX_HTTP_GRAY_SHM_H_INCLUDED_ */
