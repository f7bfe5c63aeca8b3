
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_POST_H_INCLUDED_
#define _NGX_HTTP_GRAY_POST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>


#define NGX_HTTP_GRAY_POST_WHY  128


/*
 * A POST of JSON to an address, by the event loop.  Of the answer only the
 * status counts.  A worker that shuts down does not wait for it.
 */

typedef struct ngx_http_gray_post_s  ngx_http_gray_post_t;

/*
 * Once, and never before _start() returns; "post" is gone by then.  NGX_OK: it
 * was answered by a 2xx; NGX_ABORT: the process shuts down, or has another
 * configuration now; NGX_ERROR: neither, as "why" says.
 */
typedef void (*ngx_http_gray_post_pt)(void *data, ngx_int_t rc,
    const char *why);


/*
 * "url" is http:// with an address, "localhost" or unix:PATH:; "header" are
 * lines that are sent, too.  All of it is copied.  NULL with "why", of
 * NGX_HTTP_GRAY_POST_WHY bytes, where it cannot begin.
 */
ngx_http_gray_post_t *ngx_http_gray_post_start(const ngx_str_t *url,
    const ngx_str_t *header, const ngx_str_t *body,
    ngx_http_gray_post_pt done, void *data, char *why);

/* done() is not called any more */
void ngx_http_gray_post_cancel(ngx_http_gray_post_t *post);


#endif /* _NGX_HTTP_GRAY_POST_H_INCLUDED_ */
