
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_APPLY_H_INCLUDED_
#define _NGX_HTTP_GRAY_APPLY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/*
 * What a rollout wishes for becomes a revision of the document, with "rollout"
 * as its author and the reason as its comment.
 */

typedef struct ngx_http_gray_apply_s  ngx_http_gray_apply_t;

/*
 * NGX_OK: the document is so, now or already; NGX_AGAIN: another process holds
 * the lock, or has written meanwhile; NGX_ABORT: this is a worker of an
 * nginx.conf that was replaced; NGX_ERROR: it cannot be, as "why" says.
 */
typedef void (*ngx_http_gray_apply_pt)(void *data, ngx_int_t rc,
    const char *why);

/*
 * For the state of the trial as it is now.  done() is called always, maybe
 * before this returns; then the result is NULL.
 */
ngx_http_gray_apply_t *ngx_http_gray_apply(ngx_http_gray_release_t *release,
    ngx_http_gray_apply_pt done, void *data);

/* done() is not to be called any more; what has begun goes on */
void ngx_http_gray_apply_leave(ngx_http_gray_apply_t *apply);


#endif /* _NGX_HTTP_GRAY_APPLY_H_INCLUDED_ */
