
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_REVISIONS_H_INCLUDED_
#define _NGX_HTTP_GRAY_REVISIONS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_list.h"
#include "ngx_http_gray_shm.h"


#define NGX_HTTP_GRAY_REVISIONS      64      /* lists of a zone */


/*
 * The table in a zone that tells all processes of the revisions of its lists.
 * An entry has two places for a header and a word that says which of them is
 * active, as a block of ngx_http_gray_shm.c has, and is read without a lock by
 * the same protocol.
 */

typedef struct {
    uint64_t                        word;         /* a count, shifted by one,
                                                     and the active place */
    ngx_http_gray_list_info_t       info[2];

    /* the process that is about to delete it, or to give it other entries
       than networks: no document may begin to use it so; 0: none */

    uint64_t                        deleting;
    uint64_t                        changing;

    size_t                          len;
    u_char                          name[NGX_HTTP_GRAY_NAME + 1];
} ngx_http_gray_revision_t;


typedef struct {
    uint64_t                        generation;   /* moves with any list; 0:
                                                     was never loaded */
    uint64_t                        n;
    ngx_http_gray_revision_t        entry[NGX_HTTP_GRAY_REVISIONS];
} ngx_http_gray_revisions_t;


/* NULL where there is none of that name */
ngx_http_gray_revision_t *ngx_http_gray_revisions_find(
    ngx_http_gray_revisions_t *table, const ngx_str_t *name);

/* is a process that was noted, in "deleting" or "changing", still at it? */
ngx_uint_t ngx_http_gray_revisions_busy(const uint64_t *pid);

void ngx_http_gray_revisions_read(ngx_http_gray_revision_t *entry,
    ngx_http_gray_list_info_t *info);

/*
 * With the write lock of the directory, or before any process serves.  For all
 * processes at once: NGX_OK, or NGX_BUSY where the table is full.
 */
ngx_int_t ngx_http_gray_revisions_publish_locked(
    ngx_http_gray_revisions_t *table, const ngx_str_t *name,
    const ngx_http_gray_list_info_t *info);

/* what is mapped may be a file that was taken back: all look again */
void ngx_http_gray_revisions_recall_locked(ngx_http_gray_revisions_t *table);


#endif /* _NGX_HTTP_GRAY_REVISIONS_H_INCLUDED_ */
