
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_REQUEST_H_INCLUDED_
#define _NGX_HTTP_GRAY_REQUEST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/*
 * A request, or a subrequest, that was passed to the peers of the variant.
 * Its attempts are those of the request's upstream_states from "first" up to,
 * and without, "end"; where "end" is -1, up to a state without a peer, which
 * nginx has between two passes, or to the last one.
 */

typedef struct ngx_http_gray_passed_s  ngx_http_gray_passed_t;

struct ngx_http_gray_passed_s {
    ngx_http_request_t             *request;
    ngx_http_upstream_t            *upstream;    /* the request's, by then */

    ngx_uint_t                      first;
    ngx_uint_t                      end;

    unsigned                        fell_back:1;
    unsigned                        no_live:1;   /* when it did, at once */

    /*
     * The baseline's peers, while the request may still fall back to them, and
     * what they wrap: of a release with a fallback only
     */

    ngx_http_upstream_srv_conf_t   *fallback;    /* or NULL */
    ngx_uint_t                      tried;       /* without what was closed
                                                    while it was kept */
    ngx_uint_t                      tries;       /* as it was left */
    ngx_uint_t                      spare;       /* 1: "tries" has one more */

    ngx_event_get_peer_pt           get;
    ngx_event_free_peer_pt          free;
    ngx_event_notify_peer_pt        notify;
#if (NGX_HTTP_SSL)
    ngx_event_set_peer_session_pt   set_session;
    ngx_event_save_peer_session_pt  save_session;
#endif
    void                           *data;

    ngx_http_gray_passed_t         *next;
};


/* what was decided, in the request's pool: it outlives the rule set */

typedef struct ngx_http_gray_decision_s  ngx_http_gray_decision_t;

/* what is copied together lies together, in the order that it comes from */

struct ngx_http_gray_decision_s {
    ngx_http_upstream_srv_conf_t   *peer;        /* NULL in a switch */
    ngx_http_upstream_srv_conf_t   *fallback;    /* or NULL */
    ngx_http_gray_release_t        *release;

    ngx_str_t                       variant;
    ngx_str_t                       upstream;
    ngx_str_t                       rule;
    ngx_int_t                       bucket;      /* -1: none was drawn */
    uint64_t                        hash;        /* of the key, or 0 */
    uint64_t                        revision;
    ngx_http_gray_reason_e          reason;

    /* where it is counted: see ngx_http_gray_counters.h */

    ngx_uint_t                      slot;
    ngx_uint_t                      rule_slot;   /* if there is a rule */
    uint64_t                        mark;
    ngx_uint_t                      arm;         /* of a rollout, or 0 */
    ngx_msec_int_t                  ahead;       /* the clock of the day, when
                                                    it was made */

    /* once it was: a class, or NGX_HTTP_GRAY_CODES and an absence */

    ngx_uint_t                      outcome;
    ngx_uint_t                      status;      /* 0: there was none */
    ngx_msec_t                      header;      /* -1: likewise */

    unsigned                        used:1;      /* routed by, or read */
    unsigned                        counted:1;   /* as that */
    unsigned                        inner:1;     /* asked for by a rule of
                                                    the release itself */

    uint32_t                       *live;        /* NULL: not counted as
                                                    live */
    ngx_http_gray_passed_t         *passes;      /* in order, or NULL */
    ngx_http_gray_passed_t          pass;        /* the first of them */

    ngx_http_gray_decision_t       *next;
};


/*
 * The decision of the main request of "r" for "release", made if it is asked
 * for the first time.  NULL in the log phase, if none was made before, and
 * where memory is short.
 */
ngx_http_gray_decision_t *ngx_http_gray_request_decide(ngx_http_request_t *r,
    ngx_http_gray_release_t *release);

/* that decision, if it was made, or NULL */
ngx_http_gray_decision_t *ngx_http_gray_request_decided(
    ngx_http_request_t *r, ngx_http_gray_release_t *release);

/* memory for one more pass, or NULL */
ngx_http_gray_passed_t *ngx_http_gray_request_again(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision);

/*
 * In the log phase: none is made from now on.  Those of a main request; NULL
 * where there is none, and of others.
 */
ngx_http_gray_decision_t *ngx_http_gray_request_close(ngx_http_request_t *r);

/* adds the filter that sends cookies */
ngx_int_t ngx_http_gray_request_init(ngx_conf_t *cf);


/* it is used by a request that is under way: counted by the gauge, as one */

static ngx_inline void
ngx_http_gray_request_live(ngx_http_gray_decision_t *decision)
{
    if (decision->live == NULL && decision->release->live) {
        decision->live = &decision->release->live[decision->slot];

        (void) __atomic_fetch_add(decision->live, 1, __ATOMIC_RELAXED);
    }
}


/* how far the clock of the day, in ms, is ahead of the one that only counts */

static ngx_inline ngx_msec_int_t
ngx_http_gray_request_ahead(ngx_time_t *tp)
{
    return (ngx_msec_int_t) (tp->sec * 1000 + tp->msec - ngx_current_msec);
}


/*
 * Notes that "r" is passed to the peers of the variant, and that its attempts
 * begin with state number "first".  NULL (memory).
 */

static ngx_inline ngx_http_gray_passed_t *
ngx_http_gray_request_pass(ngx_http_request_t *r,
    ngx_http_gray_decision_t *decision, ngx_uint_t first)
{
    ngx_http_gray_passed_t  *pass;

    if (decision->passes == NULL) {
        pass = &decision->pass;
        decision->passes = pass;

    } else {
        pass = ngx_http_gray_request_again(r, decision);
        if (pass == NULL) {
            return NULL;
        }
    }

    pass->request = r;
    pass->upstream = r->upstream;
    pass->first = first;
    pass->end = (ngx_uint_t) -1;
    pass->fell_back = 0;
    pass->no_live = 0;
    pass->next = NULL;

    return pass;
}


#endif /* _NGX_HTTP_GRAY_REQUEST_H_INCLUDED_ */
