
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_DIRECTORY_H_INCLUDED_
#define _NGX_HTTP_GRAY_DIRECTORY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_list.h"
#include "ngx_http_gray_shm.h"


/*
 * A state directory: DIR/NAME.list is the last revision of a list (of one that
 * was deleted, too, so that revisions never come twice), DIR/NAME.jsonl is the
 * journal of a release, DIR/.NAME.list.PID.N and DIR/.NAME.jsonl.PID.N are
 * such files that a process makes, DIR/.lock and DIR/.lists.lock are the lock
 * files for journals and for lists.
 */

#define NGX_HTTP_GRAY_DIRECTORY_LOCK        ".lock"
#define NGX_HTTP_GRAY_DIRECTORY_LISTS_LOCK  ".lists.lock"


typedef struct {
    ngx_str_t                    path;
    const char                  *file;       /* name of the lock file */
    ngx_uint_t                   fair;       /* unsigned  fair:1; who waits is
                                                next */
    ngx_uint_t                   next;       /* unsigned  next:1; this process
                                                is */
    ngx_msec_t                   since;      /* another one is, or 0 */
    int                          lock;       /* the lock file, or -1 */
    ngx_uint_t                   locked;     /* unsigned  locked:1; */

    /* what was logged, not to be logged again */

    ngx_uint_t                   lock_failed;    /* unsigned  :1; */
    ngx_uint_t                   scan_failed;    /* unsigned  :1; */
} ngx_http_gray_directory_t;


typedef struct ngx_http_gray_directory_scan_s  ngx_http_gray_directory_scan_t;

struct ngx_http_gray_directory_scan_s {
    ngx_http_gray_directory_t   *dir;
    ngx_log_t                   *log;
    ngx_uint_t                   publish;    /* unsigned  publish:1; */
    ngx_uint_t                   found;      /* things to be done under the
                                                lock, with "publish" */
    ngx_uint_t                   unfinished; /* temporary files in use */

    /* called for each file that has the name of a list */
    void                       (*list)(ngx_http_gray_directory_scan_t *scan,
                                     ngx_str_t *name);
    void                        *data;
};


/* [a-z][a-z0-9_]*, at most 63 characters */
ngx_uint_t ngx_http_gray_directory_name(ngx_str_t *name);

/*
 * The name of a list's file, a C string: "prefix" and "suffix" are put around
 * NAME.list.  NGX_OK or NGX_DECLINED (too long).
 */
ngx_int_t ngx_http_gray_directory_path(ngx_http_gray_directory_t *dir,
    ngx_str_t *name, const char *prefix, const char *suffix, char *path,
    size_t size);

/* opens the file of a list: a descriptor, or -1 with errno */
int ngx_http_gray_directory_open(ngx_http_gray_directory_t *dir,
    ngx_str_t *name);

/*
 * Reads the header of the file of a list: NGX_OK; NGX_DECLINED where there is
 * none; NGX_ERROR with errno, or with 0 there where it is no list.
 */
ngx_int_t ngx_http_gray_directory_file(ngx_http_gray_directory_t *dir,
    ngx_str_t *name, ngx_http_gray_list_info_t *info);

/*
 * The write lock "file", among all processes and within this one; it is tried
 * only.  NGX_OK; NGX_AGAIN where somebody else has it; NGX_ERROR
 * with a log line.
 */
ngx_int_t ngx_http_gray_directory_lock(ngx_http_gray_directory_t *dir,
    ngx_log_t *log);
void ngx_http_gray_directory_unlock(ngx_http_gray_directory_t *dir);

/* for who has tried to lock it, and will not try again */
void ngx_http_gray_directory_give_up(ngx_http_gray_directory_t *dir);

void ngx_http_gray_directory_close(ngx_http_gray_directory_t *dir);

/*
 * For a master that is root, of a configuration that is in force: files that
 * it made, or that are of workers that ran as another user, become "uid"'s.
 */
void ngx_http_gray_directory_own(ngx_http_gray_directory_t *dir,
    ngx_uid_t uid, ngx_log_t *log);

/*
 * Goes through all files.  What processes have left that are no more is
 * removed, if "publish" is set and the lock is held, and else only counted.
 * NGX_OK, or NGX_ERROR with a log line.
 */
ngx_int_t ngx_http_gray_directory_scan(ngx_http_gray_directory_scan_t *scan);


#endif /* _NGX_HTTP_GRAY_DIRECTORY_H_INCLUDED_ */
