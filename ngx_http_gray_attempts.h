
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_ATTEMPTS_H_INCLUDED_
#define _NGX_HTTP_GRAY_ATTEMPTS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_counters.h"
#include "ngx_http_gray_request.h"


/*
 * What has come of a pass is put into the decision: the status of the last
 * attempt, and the time that all of them took to a header.
 */
void ngx_http_gray_attempts_answer(ngx_http_gray_decision_t *decision,
    ngx_http_gray_passed_t *pass);

/* likewise, where it came to no peer of the variant */
void ngx_http_gray_attempts_response(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision);

/* the final status, where what is there came before it */
void ngx_http_gray_attempts_final(ngx_http_gray_decision_t *decision,
    ngx_http_gray_passed_t *pass);

/*
 * The pass that tells what has come of the request, of those that there are;
 * NULL: it came to no peer of the variant.
 */
ngx_http_gray_passed_t *ngx_http_gray_attempts_pass(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision);

/*
 * What attempts at the variant's peers have failed by, in the log phase: the
 * number of each kind, of NGX_HTTP_GRAY_KINDS.
 */
void ngx_http_gray_attempts_failures(ngx_http_gray_decision_t *decision,
    ngx_uint_t *failures);

/* counts these, and fallbacks */
void ngx_http_gray_attempts_count(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_http_gray_counts_t *counts);

/*
 * The connection to the peer, which was closed: what has ended it is in its
 * events.  NULL where it was kept, or where another one has its place since.
 */
ngx_connection_t *ngx_http_gray_attempts_closed(ngx_http_upstream_t *u);


/*
 * Did nginx take the body for complete?  These are its own tests, as far as
 * what they look at is still there.
 */

static ngx_inline ngx_uint_t
ngx_http_gray_attempts_whole(ngx_http_request_t *r, ngx_http_upstream_t *u)
{
    ngx_connection_t  *c;
    ngx_event_pipe_t  *p;

    if (u->buffering) {
        p = u->pipe;

        if (p->upstream_done) {
            return 1;
        }

        if (p->upstream_eof) {
            return p->length == -1;
        }

        /* nobody was to read it, or has done so to its end */

        return !u->header_sent || r->header_only || u->upgrade;
    }

    if (u->length == 0 || r->header_only) {
        return !u->error;
    }

    if (u->error || u->length != -1 || u->headers_in.chunked) {
        return 0;
    }

    c = ngx_http_gray_attempts_closed(u);

    return c == NULL || !c->read->error;
}


#endif /* _NGX_HTTP_GRAY_ATTEMPTS_H_INCLUDED_ */
