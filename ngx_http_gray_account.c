
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


/* what there is to be counted of a decision */

typedef struct {
    ngx_uint_t                  status;      /* 0: there was none */
    ngx_msec_t                  header;      /* -1: likewise */
    ngx_msec_t                  total;
    ngx_uint_t                  stream;      /* unsigned  stream:1; */
} ngx_http_gray_account_t;


static ngx_int_t ngx_http_gray_account_handler(ngx_http_request_t *r);
static void ngx_http_gray_account_decision(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_msec_t total);
static ngx_http_gray_passed_t *ngx_http_gray_account_pass(
    ngx_http_request_t *r, ngx_http_gray_decision_t *decision,
    ngx_http_gray_passed_t *direct);
static void ngx_http_gray_account_attempts(ngx_http_gray_passed_t *pass,
    ngx_http_gray_account_t *account);
static void ngx_http_gray_account_switch(ngx_http_request_t *r,
    ngx_http_gray_account_t *account);
static ngx_uint_t ngx_http_gray_account_outcome(ngx_http_request_t *r,
    ngx_http_gray_passed_t *pass, ngx_http_gray_account_t *account);
static ngx_uint_t ngx_http_gray_account_absence(ngx_http_request_t *r);
static ngx_uint_t ngx_http_gray_account_stream(ngx_http_request_t *r,
    ngx_http_gray_account_t *account);
static void ngx_http_gray_account_count(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_http_gray_account_t *account);
static void ngx_http_gray_account_failures(ngx_http_gray_decision_t *decision,
    ngx_http_gray_counts_t *counts);


/*
 * A subrequest comes here where it is logged, and closes itself only: all is
 * counted with its main request, as once.
 */

static ngx_int_t
ngx_http_gray_account_handler(ngx_http_request_t *r)
{
    ngx_msec_t                 total;
    ngx_http_gray_decision_t  *decision;

    decision = ngx_http_gray_request_close(r, &total);

    for ( /* void */ ; decision; decision = decision->next) {

        if (decision->live) {
            (void) __atomic_fetch_sub(decision->live, 1, __ATOMIC_RELAXED);
            decision->live = NULL;
        }

        if (decision->used) {
            ngx_http_gray_account_decision(r, decision, total);
        }
    }

    return NGX_OK;
}


static void
ngx_http_gray_account_decision(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_msec_t total)
{
    ngx_http_gray_passed_t   *pass, direct;
    ngx_http_gray_account_t   account;

    account.status = 0;
    account.header = (ngx_msec_t) -1;
    account.total = total;
    account.stream = 0;

    pass = ngx_http_gray_account_pass(r, decision, &direct);

    if (pass) {
        ngx_http_gray_account_attempts(pass, &account);

    } else if (decision->peer == NULL) {
        ngx_http_gray_account_switch(r, &account);
    }

    decision->outcome = ngx_http_gray_account_outcome(r, pass, &account);
    decision->header = account.header;
    decision->counted = 1;

    if (decision->release->counters) {
        account.stream = ngx_http_gray_account_stream(pass ? pass->request : r,
                                                      &account);
        ngx_http_gray_account_count(r, decision, &account);
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
    ngx_http_gray_decision_t *decision, ngx_http_gray_passed_t *direct)
{
    ngx_http_gray_passed_t  *pass;

    for (pass = decision->passes; pass; pass = pass->next) {
        if (pass->request == r) {
            return pass;
        }
    }

    if (decision->passes) {
        return decision->last;
    }

    if (decision->peer == NULL
        || r->upstream == NULL
        || r->upstream->upstream != decision->peer
        || r->upstream_states == NULL)
    {
        return NULL;
    }

    direct->request = r;
    direct->first = 0;
    direct->end = (ngx_uint_t) -1;
    direct->fell_back = 0;

    return direct;
}


/* the last attempt tells the status, and all of them took their time */

static void
ngx_http_gray_account_attempts(ngx_http_gray_passed_t *pass,
    ngx_http_gray_account_t *account)
{
    ngx_uint_t                  i, end;
    ngx_msec_t                  before;
    ngx_http_upstream_state_t  *state, *last;

    state = pass->request->upstream_states->elts;
    end = ngx_min(pass->end, pass->request->upstream_states->nelts);

    last = NULL;
    before = 0;

    for (i = pass->first; i < end; i++) {

        /* nginx has one of zeroes between two passes */

        if (state[i].peer == NULL && state[i].connect_time == 0) {
            break;
        }

        if (last) {
            before += last->response_time;
        }

        last = &state[i];
    }

    if (last) {
        account->status = last->status;

        if (last->header_time != (ngx_msec_t) -1) {
            account->header = before + last->header_time;
        }
    }

    /* there may have been no peer to be tried at all */

    if (account->status == 0 && pass->fell_back) {
        account->status = NGX_HTTP_BAD_GATEWAY;
    }
}


/* a variant without an upstream: by any that was tried, or by the response */

static void
ngx_http_gray_account_switch(ngx_http_request_t *r,
    ngx_http_gray_account_t *account)
{
    ngx_http_gray_passed_t  pass;

    if (r->upstream_states && r->upstream_states->nelts) {
        pass.request = r;
        pass.first = 0;
        pass.end = (ngx_uint_t) -1;
        pass.fell_back = 0;

        ngx_http_gray_account_attempts(&pass, account);

    } else {
        account->status = r->err_status ? r->err_status
                                        : r->headers_out.status;
    }
}


/* a class, or, behind all of these, why there is none */

static ngx_uint_t
ngx_http_gray_account_outcome(ngx_http_request_t *r,
    ngx_http_gray_passed_t *pass, ngx_http_gray_account_t *account)
{
    ngx_uint_t  gone;

    if (account->status >= 100 && account->status < 600
        && (pass || account->status != NGX_HTTP_CLIENT_CLOSED_REQUEST))
    {
        return NGX_HTTP_GRAY_1XX + account->status / 100 - 1;
    }

    /* a worker that must end closes connections, too */

    gone = (r->headers_out.status == NGX_HTTP_CLIENT_CLOSED_REQUEST
            || r->connection->error)
           && !r->connection->close;

    if (gone && (pass || account->status == NGX_HTTP_CLIENT_CLOSED_REQUEST)) {
        return NGX_HTTP_GRAY_499;
    }

    return NGX_HTTP_GRAY_CODES
           + (gone ? NGX_HTTP_GRAY_CLOSED : ngx_http_gray_account_absence(r));
}


static ngx_uint_t
ngx_http_gray_account_absence(ngx_http_request_t *r)
{
#if (NGX_HTTP_CACHE)

    if (r->upstream) {
        switch (r->upstream->cache_status) {

        case NGX_HTTP_CACHE_HIT:
        case NGX_HTTP_CACHE_STALE:
        case NGX_HTTP_CACHE_UPDATING:
        case NGX_HTTP_CACHE_REVALIDATED:
            return NGX_HTTP_GRAY_CACHED;
        }
    }

#endif

    return NGX_HTTP_GRAY_LOCAL;
}


/*
 * An upgraded connection, events that are sent as they come, and a call of
 * gRPC that went on behind its header: how long they take says nothing.
 */

static ngx_uint_t
ngx_http_gray_account_stream(ngx_http_request_t *r,
    ngx_http_gray_account_t *account)
{
    ngx_str_t        *type;
    ngx_table_elt_t  *header;

    if (account->status == NGX_HTTP_SWITCHING_PROTOCOLS
        || (r->upstream && r->upstream->upgrade))
    {
        return 1;
    }

    type = &r->headers_out.content_type;

    if (type->len >= sizeof("text/event-stream") - 1
        && ngx_strncasecmp(type->data, (u_char *) "text/event-stream",
                           sizeof("text/event-stream") - 1)
           == 0)
    {
        return 1;
    }

    if (account->header == (ngx_msec_t) -1
        || account->total < account->header + NGX_HTTP_GRAY_STREAM_TIME)
    {
        return 0;
    }

    header = r->headers_in.content_type;

    return header
           && header->value.len >= sizeof("application/grpc") - 1
           && ngx_strncasecmp(header->value.data,
                              (u_char *) "application/grpc",
                              sizeof("application/grpc") - 1)
              == 0;
}


static void
ngx_http_gray_account_count(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_http_gray_account_t *account)
{
    ngx_uint_t                slot;
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
        ngx_http_gray_count(&counts->absent[decision->outcome
                                            - NGX_HTTP_GRAY_CODES], 1);
        return;
    }

    ngx_http_gray_count(&counts->requests[decision->reason]
                                         [decision->outcome], 1);
    ngx_http_gray_count(&counts->bytes_in, r->request_length);
    ngx_http_gray_count(&counts->bytes_out, r->connection->sent);

    ngx_http_gray_account_failures(decision, counts);

    if (account->stream) {
        ngx_http_gray_count(&counts->streams, 1);
        return;
    }

    ngx_http_gray_count(
            &counts->total[ngx_http_gray_histogram_index(account->total)], 1);
    ngx_http_gray_count(&counts->total_ms, account->total);

    if (account->header != (ngx_msec_t) -1) {
        ngx_http_gray_count(
            &counts->header[ngx_http_gray_histogram_index(account->header)],
            1);
        ngx_http_gray_count(&counts->header_ms, account->header);
    }
}


static void
ngx_http_gray_account_failures(ngx_http_gray_decision_t *decision,
    ngx_http_gray_counts_t *counts)
{
    ngx_uint_t               i;
    ngx_http_gray_passed_t  *pass;

    for (pass = decision->passes; pass; pass = pass->next) {

        if (pass->failed) {
            for (i = 0; i < NGX_HTTP_GRAY_KINDS; i++) {
                if (pass->failures[i]) {
                    ngx_http_gray_count(&counts->failures[i],
                                        pass->failures[i]);
                }
            }
        }

        if (pass->fell_back) {
            ngx_http_gray_count(&counts->fallbacks, 1);
        }
    }
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
