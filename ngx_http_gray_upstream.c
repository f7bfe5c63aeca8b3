
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
        (void) ngx_http_gray_request_pass(r, decision,
                                          r->upstream_states->nelts);
        ngx_http_gray_request_live(decision);
    }

    return rc;
}


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
