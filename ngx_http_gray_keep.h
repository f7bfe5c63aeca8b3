
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_KEEP_H_INCLUDED_
#define _NGX_HTTP_GRAY_KEEP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/*
 * Rollouts in the state directory: DIR/NAME.rollout holds the record of the
 * release's trial, with a checksum, and is replaced as a whole.
 */

typedef void (*ngx_http_gray_keep_pt)(void *data, ngx_int_t rc);


/*
 * Writes what the trial is now, by a thread, and calls done(), if it is not
 * NULL: NGX_OK; NGX_ERROR where it is not durable; NGX_BUSY where too many
 * wait for it: try again.  One at a time for a release in this process: what
 * comes meanwhile is written next.  In a zone without a state directory it is
 * done at once.
 */
void ngx_http_gray_keep_write(ngx_http_gray_release_t *release,
    ngx_http_gray_keep_pt done, void *data);

/* done() with that "data" is not to be called any more */
void ngx_http_gray_keep_leave(ngx_http_gray_release_t *release, void *data);

/*
 * What was kept, if it is newer than the trial, comes back into it.  NGX_OK;
 * NGX_DECLINED: there is none, or none that is newer; NGX_AGAIN: the zone's
 * lock is not to be had; NGX_ERROR, with a log line, where it cannot be read.
 */
ngx_int_t ngx_http_gray_keep_read(ngx_http_gray_release_t *release,
    ngx_log_t *log);


#endif /* _NGX_HTTP_GRAY_KEEP_H_INCLUDED_ */
