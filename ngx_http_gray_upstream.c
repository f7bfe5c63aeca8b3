
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
static void ngx_http_gray_upstream_wrap(ngx_http_gray_passed_t *pass,
    ngx_http_upstream_srv_conf_t *fallback);
static void ngx_http_gray_upstream_take(ngx_http_gray_passed_t *pass,
    ngx_peer_connection_t *pc);
static void ngx_http_gray_upstream_spare(ngx_http_gray_passed_t *pass,
    ngx_peer_connection_t *pc);
static ngx_int_t ngx_http_gray_upstream_get(ngx_peer_connection_t *pc,
    void *data);
static ngx_int_t ngx_http_gray_upstream_try(ngx_peer_connection_t *pc,
    ngx_http_gray_passed_t *pass);
static ngx_int_t ngx_http_gray_upstream_fall_back(ngx_peer_connection_t *pc,
    ngx_http_gray_passed_t *pass);
static void ngx_http_gray_upstream_free(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state);
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
    ngx_http_gray_passed_t        *pass;
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

    if (rc != NGX_OK || decision == NULL) {
        return rc;
    }

    ngx_http_gray_request_live(decision);

    pass = ngx_http_gray_request_pass(r, decision, r->upstream_states->nelts);

    if (pass && decision->fallback) {
        ngx_http_gray_upstream_wrap(pass, decision->fallback);
    }

    return NGX_OK;
}


/* as "keepalive" does it */

static void
ngx_http_gray_upstream_wrap(ngx_http_gray_passed_t *pass,
    ngx_http_upstream_srv_conf_t *fallback)
{
    ngx_peer_connection_t  *pc;

    pc = &pass->request->upstream->peer;

    ngx_http_gray_upstream_take(pass, pc);

    pc->get = ngx_http_gray_upstream_get;
    pc->free = ngx_http_gray_upstream_free;
    pc->notify = ngx_http_gray_upstream_notify;
#if (NGX_HTTP_SSL)
    pc->set_session = ngx_http_gray_upstream_set_session;
    pc->save_session = ngx_http_gray_upstream_save_session;
#endif
    pc->data = pass;

    pass->fallback = fallback;

    pass->tried = 0;
    ngx_http_gray_upstream_spare(pass, pc);
}


static void
ngx_http_gray_upstream_take(ngx_http_gray_passed_t *pass,
    ngx_peer_connection_t *pc)
{
    pass->get = pc->get;
    pass->free = pc->free;
    pass->notify = pc->notify;
#if (NGX_HTTP_SSL)
    pass->set_session = pc->set_session;
    pass->save_session = pc->save_session;
#endif
    pass->data = pc->data;
}


/*
 * nginx goes on while there are tries, so it is told of one more than the
 * variant's peers have, if it may have so many; they themselves never see it.
 */

static void
ngx_http_gray_upstream_spare(ngx_http_gray_passed_t *pass,
    ngx_peer_connection_t *pc)
{
    ngx_uint_t  most;

    most = pass->request->upstream->conf->next_upstream_tries;

    pass->spare = (most == 0 || most > pass->tried + pc->tries);

    pc->tries += pass->spare;
    pass->tries = pc->tries;
}


static ngx_int_t
ngx_http_gray_upstream_get(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_gray_passed_t *pass = data;

    return pass->fallback ? ngx_http_gray_upstream_try(pc, pass)
                          : pass->get(pc, pass->data);
}


static ngx_int_t
ngx_http_gray_upstream_try(ngx_peer_connection_t *pc,
    ngx_http_gray_passed_t *pass)
{
    ngx_int_t  rc;

    if (pass->tried) {

        if (pc->tries > pass->tries) {

            /* nginx adds one where a kept connection was closed */

            pass->tried--;
        }

        if (pc->tries == pass->spare) {
            return ngx_http_gray_upstream_fall_back(pc, pass);
        }
    }

    pc->tries -= pass->spare;

    rc = pass->get(pc, pass->data);

    pc->tries += pass->spare;

    if (rc == NGX_BUSY) {
        pass->no_live = 1;
        return ngx_http_gray_upstream_fall_back(pc, pass);
    }

    pass->tried++;
    pass->tries = pc->tries;

    return rc;
}


/*
 * The peers of the baseline take the place of the wrapped ones, and have what
 * is left of the tries.  Where memory is short, it is as if none was alive.
 */

static ngx_int_t
ngx_http_gray_upstream_fall_back(ngx_peer_connection_t *pc,
    ngx_http_gray_passed_t *pass)
{
    ngx_int_t                      rc;
    ngx_uint_t                     most;
    ngx_http_request_t            *r;
    ngx_http_upstream_t           *u;
    ngx_peer_connection_t          wrap;
    ngx_http_upstream_srv_conf_t  *peers;

    r = pass->request;
    u = r->upstream;
    peers = pass->fallback;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, pc->log, 0,
                   "gray: falls back to \"%V\"", &peers->host);

    /* what is tried now has its state already */

    pass->end = r->upstream_states->nelts - 1;
    pass->fell_back = 1;
    pass->fallback = NULL;

    u->upstream = peers;

#if (NGX_HTTP_SSL)
    u->ssl_name = peers->host;
#endif

    wrap = *pc;

    pc->sockaddr = NULL;
    pc->notify = NULL;
    pc->data = NULL;

    rc = peers->peer.init(r, peers);

    if (rc == NGX_OK) {
        ngx_http_gray_upstream_take(pass, pc);

        most = u->conf->next_upstream_tries;

        if (most) {
            most = (most > pass->tried) ? most - pass->tried : 1;
            pc->tries = ngx_min(pc->tries, most);
        }

    } else {
        pc->name = &peers->host;
        pc->tries = 0;
    }

    pc->get = wrap.get;
    pc->free = wrap.free;
    pc->notify = wrap.notify;
#if (NGX_HTTP_SSL)
    pc->set_session = wrap.set_session;
    pc->save_session = wrap.save_session;
#endif
    pc->data = wrap.data;

    return (rc == NGX_OK) ? pass->get(pc, pass->data) : NGX_BUSY;
}


static void
ngx_http_gray_upstream_free(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_gray_passed_t *pass = data;

    if (pass->fallback == NULL) {
        pass->free(pc, pass->data, state);
        return;
    }

    pc->tries -= pass->spare;

    pass->free(pc, pass->data, state);

    if (pass->request->upstream->header_sent) {
        pass->fallback = NULL;

    } else {
        ngx_http_gray_upstream_spare(pass, pc);
    }
}


static void
ngx_http_gray_upstream_notify(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t type)
{
    ngx_http_gray_passed_t *pass = data;

    if (pass->notify) {
        pass->notify(pc, pass->data, type);
    }
}


#if (NGX_HTTP_SSL)

static ngx_int_t
ngx_http_gray_upstream_set_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_gray_passed_t *pass = data;

    return pass->set_session ? pass->set_session(pc, pass->data) : NGX_OK;
}


static void
ngx_http_gray_upstream_save_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_gray_passed_t *pass = data;

    if (pass->save_session) {
        pass->save_session(pc, pass->data);
    }
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
