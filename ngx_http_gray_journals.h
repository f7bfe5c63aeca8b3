
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_JOURNALS_H_INCLUDED_
#define _NGX_HTTP_GRAY_JOURNALS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_directory.h"
#include "ngx_http_gray_release.h"


/* the journals of a zone that has "state", as this process uses them */

typedef struct {
    ngx_http_gray_directory_t    directory;
    ngx_queue_t                  waiting;    /* writes of this process */
    ngx_uint_t                   listing;    /* lists that wait for the lock */
    ngx_uint_t                   given_up;   /* unsigned  given_up:1; a master
                                                that replaces it has waited */
} ngx_http_gray_journals_t;


/* for a zone whose directory is there: NGX_OK or NGX_ERROR (memory) */
ngx_int_t ngx_http_gray_journals_create(ngx_conf_t *cf,
    ngx_http_gray_zone_t *zone);

/*
 * The record of a document: "commit" may be NULL where nginx.conf is the
 * author.  NGX_OK with what is to be freed by free(), or NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_journals_record(uint64_t revision,
    ngx_http_gray_origin_e origin, ngx_str_t *author, ngx_str_t *user,
    ngx_str_t *comment, ngx_str_t *text, ngx_str_t *line);

/*
 * Makes a visit to the journal of a release ready, of a process that holds the
 * lock: with the record of what is in force, if the file may be behind.
 * NGX_OK or NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_journals_visit(ngx_http_gray_release_t *release,
    ngx_http_gray_journal_t *journal);

/*
 * After the visit, with the lock: the zone learns what the file is like, and
 * of a newer record.  NGX_OK; NGX_DECLINED where that is in force now;
 * NGX_ABORT where the file is of a layout to come; NGX_ERROR.
 */
ngx_int_t ngx_http_gray_journals_visited_locked(
    ngx_http_gray_release_t *release, ngx_http_gray_journal_t *journal,
    ngx_log_t *log);

/*
 * In the process that forks workers, for a configuration in force: what the
 * journal has that is newer than the zone comes into force, if "trusted", or
 * if there is nothing in the zone; otherwise the zone's document is made newer
 * than the journal.  With the lock, unless nobody can use the zone yet.
 * Returns the revision that a first document must be newer than.
 */
uint64_t ngx_http_gray_journals_recover(ngx_http_gray_release_t *release,
    ngx_uint_t trusted, ngx_log_t *log);

/* there, with the lock: the journal gets what is in force */
void ngx_http_gray_journals_settle_locked(ngx_http_gray_release_t *release,
    ngx_uid_t uid, ngx_log_t *log);

/* does the journal of a release look as if it had something else? */
ngx_uint_t ngx_http_gray_journals_moved(ngx_http_gray_release_t *release);

/*
 * With the lock: a release whose journal has more than the zone, or looks as if
 * it might, or NULL.
 */
ngx_http_gray_release_t *ngx_http_gray_journals_behind(
    ngx_http_gray_main_conf_t *gmcf, ngx_http_gray_zone_t *zone);

/* may the document that the journal has last be too long for the zone? */
ngx_int_t ngx_http_gray_journals_fits(ngx_http_gray_release_t *release,
    ngx_log_t *log);

/* without the lock, as that cannot be had: the next one looks at the file */
void ngx_http_gray_journals_unknown(ngx_http_gray_release_t *release,
    ngx_err_t err);

/* of the last visit of any process: a text for people, NULL if it was fine */
const char *ngx_http_gray_journals_error(ngx_http_gray_release_t *release,
    u_char *buf, size_t size);


#endif /* _NGX_HTTP_GRAY_JOURNALS_H_INCLUDED_ */
