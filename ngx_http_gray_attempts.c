
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * What nginx has left, in the log phase, of the attempts of a request at its
 * peers: it does not keep the reasons of failures, but their marks.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_attempts.h"


static ngx_uint_t ngx_http_gray_attempts_of(ngx_http_gray_passed_t *pass,
    ngx_http_upstream_state_t **first);
static ngx_uint_t ngx_http_gray_attempts_gap(ngx_http_upstream_state_t *state);
static ngx_uint_t ngx_http_gray_attempts_told(
    ngx_http_upstream_state_t *state);
static ngx_uint_t ngx_http_gray_attempts_redirected(
    ngx_http_gray_passed_t *pass);
static ngx_http_gray_passed_t *ngx_http_gray_attempts_unnoted(
    ngx_http_request_t *r, ngx_http_gray_decision_t *decision);
static ngx_http_gray_failure_e ngx_http_gray_attempts_failure(
    ngx_http_gray_decision_t *decision, ngx_http_gray_passed_t *pass,
    ngx_http_upstream_state_t *state, ngx_uint_t last);
static ngx_http_gray_failure_e ngx_http_gray_attempts_cut(
    ngx_http_gray_passed_t *pass, ngx_http_upstream_state_t *state);


void
ngx_http_gray_attempts_answer(ngx_http_gray_decision_t *decision,
    ngx_http_gray_passed_t *pass)
{
    ngx_uint_t                  n;
    ngx_msec_t                  before;
    ngx_http_upstream_state_t  *state;

    decision->header = (ngx_msec_t) -1;

    n = ngx_http_gray_attempts_of(pass, &state);

    if (n == 0) {

        /* there was no peer to be tried at all */

        decision->status = pass->fell_back ? NGX_HTTP_BAD_GATEWAY : 0;
        return;
    }

    for (before = 0; --n; state++) {
        before += state->response_time;
    }

    decision->status = ngx_http_gray_attempts_told(state) ? state->status : 0;

    if (state->header_time != (ngx_msec_t) -1) {
        decision->header = before + state->header_time;
    }
}


/* how many were made by the pass, of the variant's peers, and the first one */

static ngx_uint_t
ngx_http_gray_attempts_of(ngx_http_gray_passed_t *pass,
    ngx_http_upstream_state_t **first)
{
    ngx_uint_t                  i, end;
    ngx_http_upstream_state_t  *state;

    end = ngx_min(pass->end, pass->request->upstream_states->nelts);

    state = pass->request->upstream_states->elts;
    *first = &state[pass->first];

    for (i = pass->first; i < end; i++) {
        if (ngx_http_gray_attempts_gap(&state[i])) {
            break;
        }
    }

    return i - pass->first;
}


/* between two passes nginx has a state of zeroes */

static ngx_uint_t
ngx_http_gray_attempts_gap(ngx_http_upstream_state_t *state)
{
    return state->peer == NULL && state->connect_time == 0;
}


/*
 * Without a whole header it is nginx that tells what an attempt was: a status
 * line may have come, but then the client was gone.
 */

static ngx_uint_t
ngx_http_gray_attempts_told(ngx_http_upstream_state_t *state)
{
    return state->header_time != (ngx_msec_t) -1
           || state->status == NGX_HTTP_BAD_GATEWAY
           || state->status == NGX_HTTP_GATEWAY_TIME_OUT;
}


/*
 * One without an upstream is told by the first that was tried, whatever it
 * was, or by the response.
 */

void
ngx_http_gray_attempts_response(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision)
{
    ngx_http_gray_passed_t  pass;

    decision->status = 0;
    decision->header = (ngx_msec_t) -1;

    if (decision->peer) {
        return;
    }

    if (r->upstream_states && r->upstream_states->nelts) {
        pass.request = r;
        pass.first = 0;
        pass.end = (ngx_uint_t) -1;
        pass.fell_back = 0;

        ngx_http_gray_attempts_answer(decision, &pass);

    } else {
        decision->status = r->err_status ? r->err_status
                                         : r->headers_out.status;
    }
}


/*
 * Since 1.29.0 nginx reads on behind "103 Early Hints", and has it in the state
 * yet where the final status should be.
 */

void
ngx_http_gray_attempts_final(ngx_http_gray_decision_t *decision,
    ngx_http_gray_passed_t *pass)
{
    if (decision->header != (ngx_msec_t) -1
        && !pass->fell_back
        && pass->upstream->headers_in.status_n)
    {
        decision->status = pass->upstream->headers_in.status_n;
    }
}


/*
 * That by which the request itself was answered, the first time: what an
 * "error_page" makes of that answer may come from the same variant.  Else the
 * last one of its subrequests.
 */

ngx_http_gray_passed_t *
ngx_http_gray_attempts_pass(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision)
{
    ngx_http_gray_passed_t  *pass, *own, *last;

    own = NULL;
    last = NULL;

    for (pass = decision->passes; pass; pass = pass->next) {

        if (pass->request == r) {
            own = pass;

            if (!ngx_http_gray_attempts_redirected(pass)) {
                break;
            }
        }

        last = pass;
    }

    if (own) {
        return own;
    }

    return last ? last : ngx_http_gray_attempts_unnoted(r, decision);
}


/* by "X-Accel-Redirect", if it was passed on */

static ngx_uint_t
ngx_http_gray_attempts_redirected(ngx_http_gray_passed_t *pass)
{
    ngx_uint_t                  n;
    ngx_http_upstream_state_t  *state;

    n = ngx_http_gray_attempts_of(pass, &state);

    if (n == 0 || pass->fell_back || pass->request->post_action) {
        return 0;
    }

    state += n - 1;

    return state->header_time != (ngx_msec_t) -1
           && state->status < NGX_HTTP_SPECIAL_RESPONSE;
}


/* where "proxy_pass" has the variable with the upstream's name */

static ngx_http_gray_passed_t *
ngx_http_gray_attempts_unnoted(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision)
{
    ngx_uint_t                  first;
    ngx_http_upstream_state_t  *state;

    if (decision->peer == NULL
        || r->upstream == NULL
        || r->upstream->upstream != decision->peer
        || r->upstream_states == NULL)
    {
        return NULL;
    }

    /* of several, the last one is that of the upstream which is still there */

    state = r->upstream_states->elts;
    first = r->upstream_states->nelts;

    while (first && !ngx_http_gray_attempts_gap(&state[first - 1])) {
        first--;
    }

    return ngx_http_gray_request_pass(r, decision, first);
}


void
ngx_http_gray_attempts_failures(ngx_http_gray_decision_t *decision,
    ngx_uint_t *failures)
{
    ngx_uint_t                  i, n;
    ngx_http_gray_passed_t     *pass;
    ngx_http_gray_failure_e     failure;
    ngx_http_upstream_state_t  *state;

    ngx_memzero(failures, NGX_HTTP_GRAY_KINDS * sizeof(ngx_uint_t));

    for (pass = decision->passes; pass; pass = pass->next) {

        n = ngx_http_gray_attempts_of(pass, &state);

        for (i = 0; i < n; i++) {
            failure = ngx_http_gray_attempts_failure(decision, pass, &state[i],
                                                     i == n - 1);
            if (failure != NGX_HTTP_GRAY_KINDS) {
                failures[failure]++;
            }
        }

        if (pass->no_live) {
            failures[NGX_HTTP_GRAY_NO_LIVE]++;
        }
    }
}


/* NGX_HTTP_GRAY_KINDS: that was none, or none of the peer's */

static ngx_http_gray_failure_e
ngx_http_gray_attempts_failure(ngx_http_gray_decision_t *decision,
    ngx_http_gray_passed_t *pass, ngx_http_upstream_state_t *state,
    ngx_uint_t last)
{
    ngx_str_t  *host;

    if (!ngx_http_gray_attempts_told(state)) {
        return NGX_HTTP_GRAY_KINDS;
    }

    if (state->header_time != (ngx_msec_t) -1) {
        return (last && !pass->fell_back)
               ? ngx_http_gray_attempts_cut(pass, state)
               : NGX_HTTP_GRAY_STATUS;
    }

    if (state->status == NGX_HTTP_GATEWAY_TIME_OUT) {
        return NGX_HTTP_GRAY_TIMEOUT;
    }

    if (state->connect_time == (ngx_msec_t) -1) {

        /* the balancer gives the name of all of them where it has none */

        host = &decision->peer->host;

        return (state->peer
                && state->peer->len == host->len
                && ngx_memcmp(state->peer->data, host->data, host->len) == 0)
               ? NGX_HTTP_GRAY_NO_LIVE : NGX_HTTP_GRAY_CONNECT;
    }

    return state->bytes_received ? NGX_HTTP_GRAY_INVALID
                                 : NGX_HTTP_GRAY_RESET;
}


/* in its body; not where the client was the reason, or a worker's end */

static ngx_http_gray_failure_e
ngx_http_gray_attempts_cut(ngx_http_gray_passed_t *pass,
    ngx_http_upstream_state_t *state)
{
    ngx_connection_t     *c;
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = pass->request;
    u = pass->upstream;

    if (u->state != state
        || !u->header_sent
        || u->upgrade
        || (u->buffering && u->pipe->downstream_error)
        || r->connection->error
        || r->connection->timedout
        || ngx_http_gray_attempts_whole(r, u))
    {
        return NGX_HTTP_GRAY_KINDS;
    }

    c = ngx_http_gray_attempts_closed(u);

    if (c) {
        if (c->read->timedout) {
            return NGX_HTTP_GRAY_TIMEOUT;
        }

        return (c->read->eof || c->read->error) ? NGX_HTTP_GRAY_RESET
                                                : NGX_HTTP_GRAY_INVALID;
    }

    /* nginx is lazy with timers: the one that runs may be a bit older */

    return (state->response_time - state->header_time + NGX_TIMER_LAZY_DELAY
            >= u->conf->read_timeout
            && !(u->buffering && u->pipe->upstream_eof))
           ? NGX_HTTP_GRAY_TIMEOUT : NGX_HTTP_GRAY_RESET;
}


void
ngx_http_gray_attempts_count(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_http_gray_counts_t *counts)
{
    ngx_uint_t               i, failures[NGX_HTTP_GRAY_KINDS];
    ngx_http_gray_passed_t  *pass;

    ngx_http_gray_attempts_failures(decision, failures);

    for (i = 0; i < NGX_HTTP_GRAY_KINDS; i++) {
        if (failures[i]) {
            ngx_http_gray_count(&counts->failures[i], failures[i]);

            ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                           "gray: %V %V failures: %ui", &decision->variant,
                           &ngx_http_gray_failures[i], failures[i]);
        }
    }

    for (pass = decision->passes; pass; pass = pass->next) {
        if (pass->fell_back) {
            ngx_http_gray_count(&counts->fallbacks, 1);
        }
    }
}


/* one that was made later on has begun later */

ngx_connection_t *
ngx_http_gray_attempts_closed(ngx_http_upstream_t *u)
{
    ngx_connection_t  *c;

    c = u->writer.connection;

    return (c
            && c->fd == (ngx_socket_t) -1
            && (ngx_msec_int_t) (u->start_time - c->start_time) >= 0)
           ? c : NULL;
}
