
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_account.h"
#include "ngx_http_gray_request.h"


/* a call of gRPC that goes on for so long behind its header is a stream */
#define NGX_HTTP_GRAY_STREAM_TIME  1000    /* ms */


static ngx_int_t ngx_http_gray_account_handler(ngx_http_request_t *r);
static void ngx_http_gray_account_decision(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision);
static ngx_http_gray_passed_t *ngx_http_gray_account_pass(
    ngx_http_request_t *r, ngx_http_gray_decision_t *decision);
static ngx_uint_t ngx_http_gray_account_body(ngx_http_request_t *r,
    ngx_http_upstream_t *u);
static void ngx_http_gray_account_answer(ngx_http_gray_decision_t *decision,
    ngx_http_gray_passed_t *pass);
static ngx_uint_t ngx_http_gray_account_attempts(ngx_http_gray_passed_t *pass,
    ngx_http_upstream_state_t **first);
static void ngx_http_gray_account_response(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision);
static ngx_uint_t ngx_http_gray_account_outcome(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_http_gray_passed_t *pass);
static void ngx_http_gray_account_count(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_http_request_t *passed,
    ngx_uint_t smooth);
static void ngx_http_gray_account_absent(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_http_gray_counts_t *counts);
static void ngx_http_gray_account_troubles(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_http_gray_counts_t *counts);
static ngx_uint_t ngx_http_gray_account_events(ngx_http_request_t *r);
static ngx_uint_t ngx_http_gray_account_long(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision);
static ngx_http_gray_failure_e ngx_http_gray_account_failure(
    ngx_http_gray_decision_t *decision, ngx_http_gray_passed_t *pass,
    ngx_http_upstream_state_t *state, ngx_uint_t last);
static ngx_http_gray_failure_e ngx_http_gray_account_cut(
    ngx_http_request_t *r, ngx_http_upstream_state_t *state);


/*
 * A subrequest comes here where it is logged, and closes itself only: all is
 * counted with its main request, as once.
 */

static ngx_int_t
ngx_http_gray_account_handler(ngx_http_request_t *r)
{
    ngx_http_gray_decision_t  *decision;

    decision = ngx_http_gray_request_close(r);

    for ( /* void */ ; decision; decision = decision->next) {

        if (decision->live && decision->release->live) {
            (void) __atomic_fetch_sub(decision->live, 1, __ATOMIC_RELAXED);
            decision->live = NULL;
        }

        if (decision->used) {
            ngx_http_gray_account_decision(r, decision);
        }
    }

    return NGX_OK;
}


static void
ngx_http_gray_account_decision(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision)
{
    ngx_uint_t               smooth;
    ngx_http_upstream_t     *u;
    ngx_http_gray_passed_t  *pass;

    pass = ngx_http_gray_account_pass(r, decision);
    smooth = 0;

    if (pass) {
        u = pass->request->upstream;

        /* the common case: one attempt, and nothing is wrong with it */

        if (pass->request->upstream_states->nelts == pass->first + 1
            && pass->end == (ngx_uint_t) -1
            && u->state->header_time != (ngx_msec_t) -1
            && ngx_http_gray_account_body(pass->request, u))
        {
            decision->status = u->state->status;
            decision->header = u->state->header_time;
            smooth = (pass->next == NULL);

        } else {
            ngx_http_gray_account_answer(decision, pass);
        }

    } else {
        ngx_http_gray_account_response(r, decision);
    }

    decision->counted = 1;
    decision->outcome = (decision->status >= 200 && decision->status < 300)
                        ? NGX_HTTP_GRAY_2XX
                        : ngx_http_gray_account_outcome(r, decision, pass);

    if (decision->release->counters) {
        ngx_http_gray_account_count(r, decision, pass ? pass->request : r,
                                    smooth);
    }
}


/*
 * That by which the request itself was answered, the first time: what an
 * "error_page" makes of that answer may come from the same variant.  Else the
 * last one of its subrequests.  Where "proxy_pass" has the variable with the
 * upstream's name, nothing was noted.
 */

static ngx_http_gray_passed_t *
ngx_http_gray_account_pass(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision)
{
    ngx_http_gray_passed_t  *pass, *last;

    last = NULL;

    for (pass = decision->passes; pass; pass = pass->next) {
        if (pass->request == r) {
            return pass;
        }

        last = pass;
    }

    if (last == NULL
        && decision->peer
        && r->upstream
        && r->upstream->upstream == decision->peer
        && r->upstream_states)
    {
        return ngx_http_gray_request_pass(r, decision, 0);
    }

    return last;
}


/*
 * Did nginx take the body for complete?  These are its own tests, as far as
 * what they look at is still there.
 */

static ngx_inline ngx_uint_t
ngx_http_gray_account_body(ngx_http_request_t *r, ngx_http_upstream_t *u)
{
    ngx_event_pipe_t  *p;

    if (u->buffering) {
        p = u->pipe;

        return p->upstream_done
               || (p->upstream_eof ? p->length == -1 : !p->upstream_error);
    }

    if (u->error) {
        return 0;
    }

    return u->length == 0
           || r->header_only
           || (u->length == -1 && !u->headers_in.chunked);
}


/* the last attempt tells the status, and all of them took their time */

static void
ngx_http_gray_account_answer(ngx_http_gray_decision_t *decision,
    ngx_http_gray_passed_t *pass)
{
    ngx_uint_t                  n;
    ngx_msec_t                  before;
    ngx_http_upstream_state_t  *state;

    decision->header = (ngx_msec_t) -1;

    n = ngx_http_gray_account_attempts(pass, &state);

    if (n == 0) {

        /* there was no peer to be tried at all */

        decision->status = pass->fell_back ? NGX_HTTP_BAD_GATEWAY : 0;
        return;
    }

    for (before = 0; --n; state++) {
        before += state->response_time;
    }

    decision->status = state->status;

    if (state->header_time != (ngx_msec_t) -1) {
        decision->header = before + state->header_time;
    }
}


/* how many were made by the pass, of the variant's peers, and the first one */

static ngx_uint_t
ngx_http_gray_account_attempts(ngx_http_gray_passed_t *pass,
    ngx_http_upstream_state_t **first)
{
    ngx_uint_t                  i, end;
    ngx_http_upstream_state_t  *state;

    end = ngx_min(pass->end, pass->request->upstream_states->nelts);

    state = pass->request->upstream_states->elts;
    *first = &state[pass->first];

    /* between two passes nginx has a state of zeroes */

    for (i = pass->first; i < end; i++) {
        if (state[i].peer == NULL && state[i].connect_time == 0) {
            break;
        }
    }

    return i - pass->first;
}


/*
 * It came to no peer of the variant.  One without an upstream is told by the
 * first that was tried, whatever it was, or by the response.
 */

static void
ngx_http_gray_account_response(ngx_http_request_t *r,
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

        ngx_http_gray_account_answer(decision, &pass);

    } else {
        decision->status = r->err_status ? r->err_status
                                         : r->headers_out.status;
    }
}


/* a class, or, behind all of these, why there is none */

static ngx_uint_t
ngx_http_gray_account_outcome(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_http_gray_passed_t *pass)
{
    ngx_uint_t  status;

    status = decision->status;

    if (status >= 100 && status < 600
        && (decision->header != (ngx_msec_t) -1
            || status != NGX_HTTP_CLIENT_CLOSED_REQUEST))
    {
        return status / 100 - 1;
    }

    /* a worker that must end closes connections, too */

    if (!r->connection->close
        && (r->connection->error
            || r->headers_out.status == NGX_HTTP_CLIENT_CLOSED_REQUEST))
    {
        return (pass || decision->peer == NULL)
               ? NGX_HTTP_GRAY_499
               : NGX_HTTP_GRAY_CODES + NGX_HTTP_GRAY_CLOSED;
    }

#if (NGX_HTTP_CACHE)

    if (r->upstream) {
        switch (r->upstream->cache_status) {

        case NGX_HTTP_CACHE_HIT:
        case NGX_HTTP_CACHE_STALE:
        case NGX_HTTP_CACHE_UPDATING:
        case NGX_HTTP_CACHE_REVALIDATED:
            return NGX_HTTP_GRAY_CODES + NGX_HTTP_GRAY_CACHED;
        }
    }

#endif

    return NGX_HTTP_GRAY_CODES + NGX_HTTP_GRAY_LOCAL;
}


/* "passed" is the request that came to the peers: maybe a subrequest */

static void
ngx_http_gray_account_count(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_http_request_t *passed,
    ngx_uint_t smooth)
{
    ngx_time_t               *tp;
    ngx_uint_t                slot;
    ngx_msec_int_t            total, header;
    ngx_http_gray_counts_t   *counts;
    ngx_http_gray_release_t  *release;

    release = decision->release;
    slot = decision->slot;

    /* the name may have lost its slot while the request went on */

    if (release->names[slot].mark != decision->mark) {
        slot = ngx_http_gray_counters_variants(release->counters);
    }

    counts = &release->counts[slot];

    if (decision->rule.len) {
        ngx_http_gray_count(&release->matches[decision->rule_slot], 1);
    }

    if (decision->outcome >= NGX_HTTP_GRAY_CODES) {
        ngx_http_gray_account_absent(r, decision, counts);
        return;
    }

    ngx_http_gray_count(&counts->requests[decision->reason]
                                         [decision->outcome], 1);
    ngx_http_gray_count(&counts->bytes_in, r->request_length);
    ngx_http_gray_count(&counts->bytes_out, r->connection->sent);

    if (!smooth) {
        ngx_http_gray_account_troubles(r, decision, counts);
    }

    /*
     * As $request_time, but that the time of day may have been set: it is not
     * less than what was told by a clock that cannot be.
     */

    tp = ngx_timeofday();
    header = (ngx_msec_int_t) decision->header;

    total = (ngx_msec_int_t) ((tp->sec - r->start_sec) * 1000
                              + (ngx_msec_int_t) (tp->msec - r->start_msec));

    total = ngx_max(total, header);

    if (passed->headers_out.content_type.len
        >= sizeof("text/event-stream") - 1
        && ngx_http_gray_account_events(passed))
    {
        ngx_http_gray_count(&counts->streams, 1);
        return;
    }

    if ((total >= header + NGX_HTTP_GRAY_STREAM_TIME
         || decision->status == NGX_HTTP_SWITCHING_PROTOCOLS)
        && ngx_http_gray_account_long(passed, decision))
    {
        ngx_http_gray_count(&counts->streams, 1);
        return;
    }

    if (header >= 0) {
        ngx_http_gray_count(
            &counts->header[ngx_http_gray_histogram_index(header)], 1);
        ngx_http_gray_count(&counts->header_ms, header);

    } else {
        total = ngx_max(total, 0);
    }

    ngx_http_gray_count(&counts->total[ngx_http_gray_histogram_index(total)],
                        1);
    ngx_http_gray_count(&counts->total_ms, total);
}


static void
ngx_http_gray_account_absent(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_http_gray_counts_t *counts)
{
    ngx_http_gray_count(&counts->absent[decision->outcome
                                        - NGX_HTTP_GRAY_CODES], 1);

    if (decision->passes) {
        ngx_http_gray_account_troubles(r, decision, counts);
    }
}


static void
ngx_http_gray_account_troubles(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_http_gray_counts_t *counts)
{
    ngx_uint_t               i, failures[NGX_HTTP_GRAY_KINDS];
    ngx_http_gray_passed_t  *pass;

    ngx_http_gray_account_failures(decision, failures);

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


/*
 * Events that are sent as they come, an upgraded connection, and a call of
 * gRPC that went on behind its header: how long they take says nothing.
 */

static ngx_uint_t
ngx_http_gray_account_events(ngx_http_request_t *r)
{
    return ngx_strncasecmp(r->headers_out.content_type.data,
                           (u_char *) "text/event-stream",
                           sizeof("text/event-stream") - 1)
           == 0;
}


static ngx_uint_t
ngx_http_gray_account_long(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision)
{
    ngx_table_elt_t  *type;

    if (decision->status == NGX_HTTP_SWITCHING_PROTOCOLS
        || (r->upstream && r->upstream->upgrade))
    {
        return 1;
    }

    type = r->headers_in.content_type;

    return type
           && decision->header != (ngx_msec_t) -1
           && type->value.len >= sizeof("application/grpc") - 1
           && ngx_strncasecmp(type->value.data, (u_char *) "application/grpc",
                              sizeof("application/grpc") - 1)
              == 0;
}


/* nginx does not keep the reasons, but has left its marks */

void
ngx_http_gray_account_failures(ngx_http_gray_decision_t *decision,
    ngx_uint_t *failures)
{
    ngx_uint_t                  i, n;
    ngx_http_gray_passed_t     *pass;
    ngx_http_gray_failure_e     failure;
    ngx_http_upstream_state_t  *state;

    ngx_memzero(failures, NGX_HTTP_GRAY_KINDS * sizeof(ngx_uint_t));

    for (pass = decision->passes; pass; pass = pass->next) {

        n = ngx_http_gray_account_attempts(pass, &state);

        for (i = 0; i < n; i++) {
            failure = ngx_http_gray_account_failure(decision, pass, &state[i],
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
ngx_http_gray_account_failure(ngx_http_gray_decision_t *decision,
    ngx_http_gray_passed_t *pass, ngx_http_upstream_state_t *state,
    ngx_uint_t last)
{
    ngx_str_t  *host;

    if (state->status == 0) {
        return NGX_HTTP_GRAY_KINDS;
    }

    if (state->header_time != (ngx_msec_t) -1) {
        return (last && !pass->fell_back)
               ? ngx_http_gray_account_cut(pass->request, state)
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
ngx_http_gray_account_cut(ngx_http_request_t *r,
    ngx_http_upstream_state_t *state)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (u->state != state
        || !u->header_sent
        || u->upgrade
        || r->connection->error
        || ngx_http_gray_account_body(r, u))
    {
        return NGX_HTTP_GRAY_KINDS;
    }

    /* nginx is lazy with timers: the one that runs may be a bit older */

    return (state->response_time - state->header_time + NGX_TIMER_LAZY_DELAY
            >= u->conf->read_timeout
            && !(u->buffering && u->pipe->upstream_eof))
           ? NGX_HTTP_GRAY_TIMEOUT : NGX_HTTP_GRAY_RESET;
}


ngx_int_t
ngx_http_gray_account_init(ngx_conf_t *cf)
{
    ngx_array_t                *handlers;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    handlers = &cmcf->phases[NGX_HTTP_LOG_PHASE].handlers;

    h = ngx_array_push(handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_gray_account_handler;

    return NGX_OK;
}


/*
 * The handler is to be the first, as variables that others ask for must find
 * decisions closed, and counted.  Others may have come to the front after it.
 */

void
ngx_http_gray_account_first(ngx_cycle_t *cycle)
{
    ngx_uint_t                  i;
    ngx_array_t                *handlers;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_core_module);

    if (cmcf == NULL) {
        return;
    }

    handlers = &cmcf->phases[NGX_HTTP_LOG_PHASE].handlers;
    h = handlers->elts;

    for (i = 0; i < handlers->nelts; i++) {

        if (h[i] == ngx_http_gray_account_handler) {
            ngx_memmove(&h[1], &h[0], i * sizeof(ngx_http_handler_pt));
            h[0] = ngx_http_gray_account_handler;
            return;
        }
    }
}
