
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_request.h"
#include "ngx_http_gray_upstream.h"


static ngx_int_t ngx_http_gray_upstream_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
static void ngx_http_gray_upstream_wrap(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision);
static ngx_int_t ngx_http_gray_upstream_get(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_gray_upstream_free(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state);
static ngx_http_gray_failure_e ngx_http_gray_upstream_attempt(
    ngx_http_upstream_t *u);
static ngx_http_gray_failure_e ngx_http_gray_upstream_answer(
    ngx_http_upstream_t *u);
static void ngx_http_gray_upstream_failed(ngx_peer_connection_t *pc,
    ngx_http_gray_passed_t *pass, ngx_http_gray_failure_e failure);
static void ngx_http_gray_upstream_notify(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t type);
#if (NGX_HTTP_SSL)
static ngx_int_t ngx_http_gray_upstream_set_session(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_gray_upstream_save_session(ngx_peer_connection_t *pc,
    void *data);
#endif
static ngx_int_t ngx_http_gray_upstream_init(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us);


/*
 * The variant's own peer.init is called as if the variant's upstream had been
 * named directly, and it is looked up now: modules of the upstream block wrap
 * it, some of them after all blocks were read.
 */

static ngx_int_t
ngx_http_gray_upstream_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_int_t                      rc;
    ngx_http_upstream_t           *u;
    ngx_http_gray_release_t       *release;
    ngx_http_gray_decision_t      *decision;
    ngx_http_upstream_srv_conf_t  *peer;

    release = us->peer.data;
    decision = ngx_http_gray_request_decide(r, release);

    if (decision) {
        decision->used = 1;
        peer = decision->peer;

    } else {
        peer = release->fallback.peer;
    }

    u = r->upstream;

    u->upstream = peer;

#if (NGX_HTTP_SSL)
    u->ssl_name = peer->host;
#endif

    rc = peer->peer.init(r, peer);

    if (rc == NGX_OK && decision) {
        ngx_http_gray_upstream_wrap(r, decision);
        ngx_http_gray_request_live(decision);
    }

    return rc;
}


/*
 * The peers are wrapped as "keepalive" does it, to learn how attempts end.
 * Where memory is short, the request goes on unnoted.
 */

static void
ngx_http_gray_upstream_wrap(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision)
{
    ngx_http_gray_passed_t  *pass;
    ngx_peer_connection_t   *pc;

    if (decision->passes == NULL) {
        pass = &decision->pass;
        decision->passes = pass;

    } else {
        pass = ngx_palloc(r->pool, sizeof(ngx_http_gray_passed_t));
        if (pass == NULL) {
            return;
        }

        decision->last->next = pass;
    }

    decision->last = pass;

    pass->request = r;
    pass->first = r->upstream_states->nelts;
    pass->end = (ngx_uint_t) -1;
    pass->fell_back = 0;
    pass->failed = 0;
    pass->counted = 0;
    pass->next = NULL;

    ngx_memzero(pass->failures, sizeof(pass->failures));

    pc = &r->upstream->peer;

    pass->get = pc->get;
    pass->free = pc->free;
    pass->notify = pc->notify;
    pass->data = pc->data;

    pc->get = ngx_http_gray_upstream_get;
    pc->free = ngx_http_gray_upstream_free;
    pc->data = pass;

    if (pass->notify) {
        pc->notify = ngx_http_gray_upstream_notify;
    }

#if (NGX_HTTP_SSL)
    pass->set_session = pc->set_session;
    pass->save_session = pc->save_session;

    if (pass->set_session) {
        pc->set_session = ngx_http_gray_upstream_set_session;
    }

    if (pass->save_session) {
        pc->save_session = ngx_http_gray_upstream_save_session;
    }
#endif
}


static ngx_int_t
ngx_http_gray_upstream_get(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_gray_passed_t *pass = data;

    ngx_int_t  rc;

    pass->counted = 0;

    rc = pass->get(pc, pass->data);

    if (rc == NGX_OK || rc == NGX_DONE) {
        return rc;
    }

    ngx_http_gray_upstream_failed(pc, pass,
                                  rc == NGX_BUSY ? NGX_HTTP_GRAY_NO_LIVE
                                                 : NGX_HTTP_GRAY_CONNECT);

    return rc;
}


/*
 * nginx does not say why it gives up a peer, but has left the reason where it
 * had it from.  Where the client has gone, it is not to be found.
 */

static void
ngx_http_gray_upstream_free(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_gray_passed_t *pass = data;

    ngx_http_request_t       *r;
    ngx_http_gray_failure_e   failure;

    r = pass->request;

    failure = state ? ngx_http_gray_upstream_attempt(r->upstream)
                    : ngx_http_gray_upstream_answer(r->upstream);

    if (failure != NGX_HTTP_GRAY_KINDS
        && !pass->counted
        && !r->connection->error)
    {
        ngx_http_gray_upstream_failed(pc, pass, failure);
    }

    pass->free(pc, pass->data, state);
}


/* nginx has found a fault; NGX_HTTP_GRAY_KINDS: that is not the peer's */

static ngx_http_gray_failure_e
ngx_http_gray_upstream_attempt(ngx_http_upstream_t *u)
{
    ngx_connection_t  *c;

    c = u->peer.connection;

    if (c == NULL) {
        return NGX_HTTP_GRAY_CONNECT;
    }

    if (c->close) {

        /* by a worker that must end */

        return NGX_HTTP_GRAY_KINDS;
    }

    if (c->read->timedout || c->write->timedout) {
        return NGX_HTTP_GRAY_TIMEOUT;
    }

    if (!u->request_sent) {
        return NGX_HTTP_GRAY_CONNECT;
    }

    if (u->state->header_time != (ngx_msec_t) -1 && !u->header_sent) {
        return NGX_HTTP_GRAY_STATUS;
    }

    if (c->read->eof || c->read->error || c->write->error || u->header_sent) {
        return NGX_HTTP_GRAY_RESET;
    }

    return NGX_HTTP_GRAY_INVALID;
}


/*
 * nginx is through with the peer.  That of an upgraded connection may be
 * closed at any time; for others, the tests are those by which nginx takes a
 * body for complete.
 */

static ngx_http_gray_failure_e
ngx_http_gray_upstream_answer(ngx_http_upstream_t *u)
{
    ngx_uint_t         done, broken;
    ngx_event_t       *rev;
    ngx_event_pipe_t  *p;

    if (!u->header_sent || u->upgrade || u->peer.connection == NULL) {
        return NGX_HTTP_GRAY_KINDS;
    }

    rev = u->peer.connection->read;

    if (u->buffering) {
        p = u->pipe;

        done = p->upstream_done || (p->upstream_eof && p->length == -1);
        broken = p->upstream_eof || p->upstream_error;

    } else {
        done = u->length == 0 || (rev->eof && u->length == -1);
        broken = rev->eof || rev->error || u->error;
    }

    if (done) {
        return NGX_HTTP_GRAY_KINDS;
    }

    if (rev->timedout) {
        return NGX_HTTP_GRAY_TIMEOUT;
    }

    return broken ? NGX_HTTP_GRAY_RESET : NGX_HTTP_GRAY_KINDS;
}


static void
ngx_http_gray_upstream_failed(ngx_peer_connection_t *pc,
    ngx_http_gray_passed_t *pass, ngx_http_gray_failure_e failure)
{
    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, pc->log, 0,
                   "gray: attempt failed: %d", failure);

    pass->failures[failure]++;
    pass->failed = 1;
    pass->counted = 1;
}


static void
ngx_http_gray_upstream_notify(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t type)
{
    ngx_http_gray_passed_t *pass = data;

    pass->notify(pc, pass->data, type);
}


#if (NGX_HTTP_SSL)

static ngx_int_t
ngx_http_gray_upstream_set_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_gray_passed_t *pass = data;

    return pass->set_session(pc, pass->data);
}


static void
ngx_http_gray_upstream_save_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_gray_passed_t *pass = data;

    pass->save_session(pc, pass->data);
}

#endif


static ngx_int_t
ngx_http_gray_upstream_init(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us)
{
    us->peer.init = ngx_http_gray_upstream_init_peer;

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_upstream_add(ngx_conf_t *cf, ngx_http_gray_release_t *release)
{
    ngx_url_t                      u;
    ngx_http_upstream_srv_conf_t  *us;

    ngx_memzero(&u, sizeof(ngx_url_t));
    u.host = release->name;
    u.no_resolve = 1;
    u.no_port = 1;

    us = ngx_http_upstream_add(cf, &u, NGX_HTTP_UPSTREAM_CREATE);
    if (us == NULL) {
        return NGX_ERROR;
    }

    us->peer.init_upstream = ngx_http_gray_upstream_init;
    us->peer.data = release;

    return NGX_OK;
}
