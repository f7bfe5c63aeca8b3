
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_CALL_H_INCLUDED_
#define _NGX_HTTP_GRAY_CALL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_change.h"
#include "ngx_http_gray_release.h"


#define NGX_HTTP_GRAY_WRITES   1        /* changes a release or a list */
#define NGX_HTTP_GRAY_BODY     2        /* must have a body */
#define NGX_HTTP_GRAY_LIST     4        /* of lists, in a zone with state */
#define NGX_HTTP_GRAY_COMMENT  8        /* may have a comment */
#define NGX_HTTP_GRAY_HISTORY  16       /* needs a zone with state */
#define NGX_HTTP_GRAY_NUMBER   32       /* may name a revision */
#define NGX_HTTP_GRAY_WINDOW   64       /* may name a window of time */
#define NGX_HTTP_GRAY_RESETS   128      /* changes what was counted */
#define NGX_HTTP_GRAY_ACTS     256      /* on a rollout; may have a body */
#define NGX_HTTP_GRAY_WAIT     512      /* may say how long to wait */

/* of these, a "readonly" location has none, and the body is read */
#define NGX_HTTP_GRAY_CHANGES                                                 \
    (NGX_HTTP_GRAY_WRITES|NGX_HTTP_GRAY_RESETS|NGX_HTTP_GRAY_ACTS)


typedef struct ngx_http_gray_call_s  ngx_http_gray_call_t;

typedef ngx_int_t (*ngx_http_gray_call_pt)(ngx_http_request_t *r,
    ngx_http_gray_call_t *call);


/* what a request asks of the API: the first five are set by its route */

struct ngx_http_gray_call_s {
    ngx_uint_t                  flags;
    ngx_http_gray_call_pt       handler;
    ngx_http_gray_release_t    *release;    /* NULL: none in the path */
    ngx_str_t                   name;       /* of a list */
    ngx_str_t                   action;     /* the last part of the path */

    ngx_http_gray_zone_t       *zone;       /* of lists; NULL: all zones */
    ngx_str_t                   zone_name;  /* as it was asked for */
    ngx_http_gray_change_e      kind;
    ngx_uint_t                  dry_run;    /* unsigned  dry_run:1; */
    ngx_str_t                   comment;
    uint64_t                    revision;   /* 0: none was named */
    ngx_uint_t                  window;     /* seconds; 0: likewise */
    ngx_uint_t                  wait;       /* seconds */
    ngx_str_t                   body;
};


/*
 * These read a part of the request into "call".  NGX_OK, or NGX_DONE where it
 * is refused: then the response is sent, and "answer" is what is to be passed
 * on to ngx_http_finalize_request().
 */

ngx_int_t ngx_http_gray_call_arguments(ngx_http_request_t *r,
    ngx_http_gray_call_t *call, ngx_int_t *answer);

/* the zone of the argument, or the only one that has lists */
ngx_int_t ngx_http_gray_call_zone(ngx_http_request_t *r,
    ngx_http_gray_call_t *call, ngx_int_t *answer);

/* the comment of the argument, or of the header X-Gray-Comment */
ngx_int_t ngx_http_gray_call_comment(ngx_http_request_t *r,
    ngx_http_gray_call_t *call, ngx_int_t *answer);

/* by its Content-Type: what kind of change the body is */
ngx_int_t ngx_http_gray_call_media(ngx_http_request_t *r,
    ngx_http_gray_call_t *call, ngx_int_t *answer);

/* the body, once it was read, in one piece; not that of a list */
ngx_int_t ngx_http_gray_call_body(ngx_http_request_t *r,
    ngx_http_gray_call_t *call, ngx_int_t *answer);


/* how long a body may be, of a call with a release */
size_t ngx_http_gray_call_limit(ngx_http_gray_call_t *call);

/* sends 413 */
ngx_int_t ngx_http_gray_call_large(ngx_http_request_t *r,
    ngx_http_gray_call_t *call);


#endif /* _NGX_HTTP_GRAY_CALL_H_INCLUDED_ */
