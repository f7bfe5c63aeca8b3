
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_account.h"
#include "ngx_http_gray_attempts.h"
#include "ngx_http_gray_request.h"


/* a call of gRPC that goes on for so long behind its header is a stream */
#define NGX_HTTP_GRAY_STREAM_TIME  1000    /* ms */

/* two clocks that nobody has set differ by less, where one is read coarsely */
#define NGX_HTTP_GRAY_CLOCK_GRAIN  100     /* ms */


static ngx_int_t ngx_http_gray_account_handler(ngx_http_request_t *r);
static void ngx_http_gray_account_decision(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision);
static ngx_uint_t ngx_http_gray_account_outcome(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_http_gray_passed_t *pass);
static ngx_uint_t ngx_http_gray_account_ended(ngx_http_request_t *r);
static ngx_uint_t ngx_http_gray_account_absence(ngx_http_request_t *r);
static ngx_uint_t ngx_http_gray_account_count(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_http_request_t *passed,
    ngx_uint_t smooth);
static ngx_msec_int_t ngx_http_gray_account_set(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_msec_int_t total);
static void ngx_http_gray_account_trial(ngx_http_gray_decision_t *decision,
    ngx_uint_t timed)
    __attribute__((noinline, cold));
static ngx_uint_t ngx_http_gray_account_still(
    ngx_http_gray_decision_t *decision);
static ngx_uint_t ngx_http_gray_account_is(ngx_http_gray_decision_t *decision,
    ngx_str_t *name);
static void ngx_http_gray_account_absent(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_http_gray_counts_t *counts);
static ngx_uint_t ngx_http_gray_account_events(ngx_http_request_t *r);
static ngx_uint_t ngx_http_gray_account_long(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision);


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
    ngx_uint_t               smooth, timed;
    ngx_http_request_t      *passed;
    ngx_http_upstream_t     *u;
    ngx_http_gray_passed_t  *pass;

    pass = decision->passes;

    if (pass == NULL || pass->next) {
        pass = ngx_http_gray_attempts_pass(r, decision);
    }

    smooth = 0;
    passed = r;

    if (pass) {
        passed = pass->request;
        u = pass->upstream;

        /* the common case: one attempt, and nothing is wrong with it */

        if (passed->upstream_states->nelts == pass->first + 1
            && pass->end == (ngx_uint_t) -1
            && u->state->header_time != (ngx_msec_t) -1
            && ngx_http_gray_attempts_whole(passed, u))
        {
            decision->status = u->state->status;
            decision->header = u->state->header_time;
            smooth = (decision->passes->next == NULL);

        } else {
            ngx_http_gray_attempts_answer(decision, pass);
        }

    } else {
        ngx_http_gray_attempts_response(r, decision);
    }

    decision->counted = 1;
    decision->outcome = (decision->status >= 200 && decision->status < 300)
                        ? NGX_HTTP_GRAY_2XX
                        : ngx_http_gray_account_outcome(r, decision, pass);

    if (decision->release->counters) {
        timed = ngx_http_gray_account_count(r, decision, passed, smooth);

        if (decision->arm) {
            ngx_http_gray_account_trial(decision, timed);
        }
    }
}


/* a class, or, behind all of these, why there is none */

static ngx_uint_t
ngx_http_gray_account_outcome(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_http_gray_passed_t *pass)
{
    ngx_uint_t  status, gone;

    if (pass && decision->status < NGX_HTTP_OK) {
        ngx_http_gray_attempts_final(decision, pass);
    }

    status = decision->status;

    if (status >= 100 && status < 600
        && (decision->header != (ngx_msec_t) -1
            || status != NGX_HTTP_CLIENT_CLOSED_REQUEST))
    {
        return status / 100 - 1;
    }

    gone = !ngx_http_gray_account_ended(r)
           && (r->connection->error
               || r->headers_out.status == NGX_HTTP_CLIENT_CLOSED_REQUEST);

    if (gone && (pass || decision->peer == NULL)) {
        return NGX_HTTP_GRAY_499;
    }

    if (gone && !r->header_sent) {
        return NGX_HTTP_GRAY_CODES + NGX_HTTP_GRAY_CLOSED;
    }

    return NGX_HTTP_GRAY_CODES + ngx_http_gray_account_absence(r);
}


/* a worker that must end closes connections, too: is it that, then? */

static ngx_uint_t
ngx_http_gray_account_ended(ngx_http_request_t *r)
{
#if (NGX_HTTP_V2)
    ngx_connection_t  *c;

    if (r->stream) {

        /* nginx has cleared the bit, but a client would have left its marks */

        c = r->stream->connection->connection;

        return ngx_exiting && c->error
               && !c->read->eof && !c->read->error && !c->write->error;
    }

#endif

    return r->connection->close;
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
 * "passed" is the request that came to the peers: maybe a subrequest.  Returns
 * 1 where its times count, too.
 */

static ngx_uint_t
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
        return 0;
    }

    ngx_http_gray_count(&counts->requests[decision->reason]
                                         [decision->outcome], 1);
    ngx_http_gray_count(&counts->bytes_in, r->request_length);
    ngx_http_gray_count(&counts->bytes_out, r->connection->sent);

    if (!smooth) {
        ngx_http_gray_attempts_count(r, decision, counts);
    }

    /* $request_time, where it can be that */

    tp = ngx_timeofday();
    header = (ngx_msec_int_t) decision->header;

    total = (ngx_msec_int_t) ((tp->sec - r->start_sec) * 1000
                              + (ngx_msec_int_t) (tp->msec - r->start_msec));

    if ((ngx_msec_t) (total - header) > NGX_HTTP_GRAY_CLOCK_GRAIN) {
        total = ngx_http_gray_account_set(r, decision, total);
    }

    if (passed->headers_out.content_type.len
        >= sizeof("text/event-stream") - 1
        && ngx_http_gray_account_events(passed))
    {
        ngx_http_gray_count(&counts->streams, 1);
        return 0;
    }

    if ((total >= header + NGX_HTTP_GRAY_STREAM_TIME
         || decision->status == NGX_HTTP_SWITCHING_PROTOCOLS)
        && ngx_http_gray_account_long(passed, decision))
    {
        ngx_http_gray_count(&counts->streams, 1);
        return 0;
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

    return 1;
}


/*
 * The clock of the day may have been set meanwhile: by how much is known from
 * the decision on.  Until then, there was the connection at least.
 */

static ngx_msec_int_t
ngx_http_gray_account_set(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_msec_int_t total)
{
    ngx_msec_int_t  set, most;

    set = ngx_http_gray_request_ahead(ngx_timeofday()) - decision->ahead;

    if (ngx_abs(set) > NGX_HTTP_GRAY_CLOCK_GRAIN) {
        total -= set;
    }

    most = (ngx_msec_int_t) (ngx_current_msec - r->connection->start_time);

    if (total > most + NGX_HTTP_GRAY_CLOCK_GRAIN) {
        total = most;
    }

    return ngx_max(total, (ngx_msec_int_t) decision->header);
}


/*
 * For the guards of a rollout, if it was planned when this was decided.  What
 * has taken long may be of a plan before, and of a variant that was an arm
 * then.
 */

static void
ngx_http_gray_account_trial(ngx_http_gray_decision_t *decision,
    ngx_uint_t timed)
{
    ngx_http_gray_release_t        *release;
    ngx_http_gray_trial_request_t   request;

    release = decision->release;

    if (decision->outcome >= NGX_HTTP_GRAY_CODES
        || release->plan == NULL
        || release->trial == NULL
        || (decision->revision != release->revision
            && !ngx_http_gray_account_still(decision)))
    {
        return;
    }

    request.arm = decision->arm;
    request.drawn = (decision->reason == NGX_HTTP_GRAY_SPLIT
                     || decision->reason == NGX_HTTP_GRAY_RANDOM);
    request.revision = decision->revision;
    request.code = decision->outcome;
    request.header = timed ? decision->header : (ngx_msec_t) -1;
    request.hash = decision->hash;

    ngx_http_gray_trial_count(release->trial, release->plan, ngx_worker,
                              &request);
}


/* is its variant the same arm still? */

static ngx_uint_t
ngx_http_gray_account_still(ngx_http_gray_decision_t *decision)
{
    ngx_str_t                 canary, *baseline;
    ngx_http_gray_release_t  *release;

    release = decision->release;

    canary.data = (u_char *) release->plan->variant;
    canary.len = ngx_strlen(release->plan->variant);

    if (ngx_http_gray_account_is(decision, &canary)) {
        return decision->arm == NGX_HTTP_GRAY_TRIAL_CANARY;
    }

    baseline = &ngx_http_gray_rules_baseline(release->rules)->name;

    if (ngx_http_gray_account_is(decision, baseline)) {
        return decision->arm == NGX_HTTP_GRAY_TRIAL_BASELINE;
    }

    return decision->arm == NGX_HTTP_GRAY_TRIAL_OTHER;
}


static ngx_uint_t
ngx_http_gray_account_is(ngx_http_gray_decision_t *decision, ngx_str_t *name)
{
    return decision->variant.len == name->len
           && ngx_memcmp(decision->variant.data, name->data, name->len) == 0;
}


static void
ngx_http_gray_account_absent(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_http_gray_counts_t *counts)
{
    ngx_http_gray_count(&counts->absent[decision->outcome
                                        - NGX_HTTP_GRAY_CODES], 1);

    if (decision->passes) {
        ngx_http_gray_attempts_count(r, decision, counts);
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
