
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_GEOFILE_H_INCLUDED_
#define _NGX_HTTP_GRAY_GEOFILE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <maxminddb.h>


#define NGX_HTTP_GRAY_GEOFILE_WHY  512


/* by which another file is known */

typedef struct {
    dev_t                          device;
    ino_t                          inode;
    off_t                          size;
    struct timespec                mtime;
} ngx_http_gray_geofile_stamp_t;


/* a database; who makes it zeroes it, and sets the name, with a NUL behind */

typedef struct {
    ngx_str_t                      name;
    MMDB_s                        *mmdb;        /* in use, or NULL */

    ngx_http_gray_geofile_stamp_t  tried;       /* whatever came of it */
    ngx_http_gray_geofile_stamp_t  written;     /* while it is being written */
    ngx_msec_t                     again;       /* when, if it may be better */
    ngx_uint_t                     gone;        /* unsigned  gone:1; */
    ngx_uint_t                     writing;     /* unsigned  writing:1; */
    char                           why[NGX_HTTP_GRAY_GEOFILE_WHY];

    /* what load() leaves for swap() */

    MMDB_s                        *loaded;
    ngx_http_gray_geofile_stamp_t  stamp;
    ngx_uint_t                     unsettled;   /* unsigned  unsettled:1; */
    ngx_uint_t                     passing;     /* unsigned  passing:1; */
    char                           failure[NGX_HTTP_GRAY_GEOFILE_WHY];
} ngx_http_gray_geofile_t;


/*
 * The first time: load(), and take().  NGX_ERROR of take() with a C string in
 * "failure".
 *
 * Later, in three steps:
 *
 * due():   1 if another file lies there than the one that was tried last, and
 *          it is not being written just now; or if it is time to try the same
 *          again, where the system was at fault.  Logs that it has vanished.
 * load():  opens it.  May run in a thread, while the process makes lookups.
 * swap():  1 if what was loaded is in the place of the one before; logs that,
 *          or why the one before goes on.
 */
ngx_uint_t ngx_http_gray_geofile_due(ngx_http_gray_geofile_t *file,
    ngx_log_t *log);
void ngx_http_gray_geofile_load(ngx_http_gray_geofile_t *file);
ngx_int_t ngx_http_gray_geofile_take(ngx_http_gray_geofile_t *file);
ngx_uint_t ngx_http_gray_geofile_swap(ngx_http_gray_geofile_t *file,
    ngx_log_t *log);
void ngx_http_gray_geofile_close(ngx_http_gray_geofile_t *file);

/* why what lies there is not used; NULL where it is */
const char *ngx_http_gray_geofile_why(ngx_http_gray_geofile_t *file);


#endif /* _NGX_HTTP_GRAY_GEOFILE_H_INCLUDED_ */
