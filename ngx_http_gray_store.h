
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_STORE_H_INCLUDED_
#define _NGX_HTTP_GRAY_STORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_directory.h"
#include "ngx_http_gray_list.h"


/*
 * A list on its way from a body to its file.  What takes long is done here;
 * but for _create(), any thread may call it: no pool, no log and no global is
 * used.
 */

typedef struct {
    ngx_uint_t                   remove;     /* unsigned  remove:1; */
    ngx_uint_t                   dry_run;    /* unsigned  dry_run:1; */

    /* the body: in memory that malloc() gave, or in a file */

    u_char                      *text;
    size_t                       len;
    off_t                        pos;
    int                          body;       /* -1: in memory */

    /* what it takes the place of, and as what; known under the lock */

    ngx_http_gray_list_info_t    present;
    ngx_uint_t                   exists;     /* unsigned  exists:1; */
    uint64_t                     revision;
    time_t                       time;

    /* what was made of it */

    ngx_http_gray_list_build_t   build;
    int                          fd;         /* of the temporary file, or -1 */
    ngx_uint_t                   named;      /* unsigned  named:1; */

    /* how the last step ended; with NGX_ERROR "err" may be 0 (memory) */

    ngx_int_t                    rc;
    ngx_err_t                    err;
    const char                  *failed;     /* the call, or NULL */
    ngx_uint_t                   unknown;    /* unsigned  unknown:1;
                                                it could not be taken back */

    char                         file[NGX_MAX_PATH];
    char                         temp[NGX_MAX_PATH];
    char                         old[NGX_MAX_PATH];
    char                         dir[NGX_MAX_PATH];
} ngx_http_gray_store_t;


/* NGX_OK or NGX_ERROR (a path is too long) */
ngx_int_t ngx_http_gray_store_create(ngx_http_gray_store_t *store,
    ngx_http_gray_directory_t *dir, ngx_str_t *name);

/*
 * The body becomes a temporary file without a header; with "dry_run", none.
 * store->rc: NGX_OK; NGX_DECLINED with faults in the build; NGX_ERROR.
 */
void ngx_http_gray_store_make(ngx_http_gray_store_t *store);

/*
 * With the lock: it becomes the list, and memory is given back.  store->rc:
 * NGX_OK; NGX_DECLINED where the list has these entries already; NGX_ERROR.
 */
void ngx_http_gray_store_write(ngx_http_gray_store_t *store);

/* the temporary file, if there still is one, goes */
void ngx_http_gray_store_leave(ngx_http_gray_store_t *store);

/* the body and the memory go */
void ngx_http_gray_store_free(ngx_http_gray_store_t *store);


#endif /* _NGX_HTTP_GRAY_STORE_H_INCLUDED_ */
