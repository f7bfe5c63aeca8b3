
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_JOURNAL_H_INCLUDED_
#define _NGX_HTTP_GRAY_JOURNAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* in place of an errno: the file is of a layout to come */

#define NGX_HTTP_GRAY_JOURNAL_NEWER    1000000

/* likewise: its last revision cannot come into force in the zone */

#define NGX_HTTP_GRAY_JOURNAL_REFUSED  1000001


/*
 * The journal of a release: a file with a line for each revision, the last
 * one last.  Nothing here knows of zones, of http, or of nginx's log; any
 * thread may call it, but one at a time for a file where it writes.
 */


/*
 * What a zone knows of the file, so that it need not be read for each write:
 * only who holds the write lock of the directory changes it, and a file that
 * looks otherwise is read anew.
 */

typedef struct {
    uint64_t                        dev;
    uint64_t                        ino;
    uint64_t                        size;       /* 0: nothing is known */
    uint64_t                        mtime;      /* ns */
    uint64_t                        revision;   /* of the last record */
    uint64_t                        records;
    uint64_t                        named;      /* the directory was synced */
    uint64_t                        suspect;    /* a sync failed: what can be
                                                   read need not be on disk */
    uint64_t                        refused;    /* a revision that cannot come
                                                   into force in the zone */
    uint64_t                        error;      /* that the last visit ended
                                                   with, or 0 */
} ngx_http_gray_journal_mark_t;


/* one visit to the file */

typedef struct {

    /* set by who calls: C strings */

    char                            dir[NGX_MAX_PATH];
    char                            path[NGX_MAX_PATH];
    char                            temp[NGX_MAX_PATH];
    char                            aside[NGX_MAX_PATH];

    uint64_t                        revision;   /* that is in force, or 0 */
    ngx_str_t                       base;       /* the record of that: written
                                                   where the file is behind */
    ngx_str_t                       line;       /* the one after it; or empty */
    ngx_uint_t                      history;    /* records to be kept */
    ngx_uint_t                      relaxed;    /* unsigned  relaxed:1;
                                                   nothing is synced */
    ngx_uid_t                       uid;        /* of a file that is made, or
                                                   -1 */

    ngx_http_gray_journal_mark_t    mark;       /* ... and what it is now */

    /* what came of it */

    ngx_int_t                       rc;
    ngx_err_t                       err;        /* of NGX_ERROR; 0: memory */
    const char                     *failed;     /* the call, or NULL */
    ngx_uint_t                      unknown;    /* unsigned  unknown:1; */
    ngx_uint_t                      compacted;  /* unsigned  compacted:1; */
    size_t                          torn;       /* bytes that were cut off */
    ngx_uint_t                      damaged;    /* lines that were set aside */
    ngx_str_t                       found;      /* a newer record, malloc()ed */
} ngx_http_gray_journal_t;


/*
 * Paths of the journal of release "name" in the directory "dir": NGX_OK, or
 * NGX_DECLINED where one is too long.
 */
ngx_int_t ngx_http_gray_journal_init(ngx_http_gray_journal_t *journal,
    const ngx_str_t *dir, const ngx_str_t *name);

/*
 * With the write lock.  Mends what can be mended, then appends "base" where
 * the file has nothing as new as "revision", then "line", and syncs.
 *
 * rc: NGX_OK; NGX_DECLINED where the file has a record that is newer than
 * "revision", which is durable now, and nothing was appended; NGX_ABORT where
 * the file is of a layout to come, and was left alone; NGX_ERROR, and the file
 * is as it was, unless "unknown": then the record may be found there later.
 */
void ngx_http_gray_journal_write(ngx_http_gray_journal_t *journal);

/* what write() allocated, and was given */
void ngx_http_gray_journal_free(ngx_http_gray_journal_t *journal);

/* is nothing known of the file, or does it look otherwise than "mark" says? */
ngx_uint_t ngx_http_gray_journal_moved(const char *path,
    const ngx_http_gray_journal_mark_t *mark);


#endif /* _NGX_HTTP_GRAY_JOURNAL_H_INCLUDED_ */
