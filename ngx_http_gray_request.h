
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_REQUEST_H_INCLUDED_
#define _NGX_HTTP_GRAY_REQUEST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/* what was decided, in the request's pool: it outlives the rule set */

typedef struct ngx_http_gray_decision_s  ngx_http_gray_decision_t;

struct ngx_http_gray_decision_s {
    ngx_http_gray_release_t        *release;
    ngx_http_upstream_srv_conf_t   *peer;        /* NULL in a switch */

    ngx_str_t                       variant;
    ngx_str_t                       upstream;
    ngx_str_t                       rule;
    ngx_int_t                       bucket;      /* -1: none was drawn */
    uint64_t                        revision;
    ngx_http_gray_reason_e          reason;

    unsigned                        used:1;      /* routed by, or read */
    unsigned                        inner:1;     /* asked for by a rule of
                                                    the release itself */

    ngx_http_gray_decision_t       *next;
};


/*
 * The decision of the main request of "r" for "release", made if it is asked
 * for the first time.  NULL in the log phase, if none was made before, and
 * where memory is short.
 */
ngx_http_gray_decision_t *ngx_http_gray_request_decide(ngx_http_request_t *r,
    ngx_http_gray_release_t *release);

/* adds the handler of the log phase and the filter that sends cookies */
ngx_int_t ngx_http_gray_request_init(ngx_conf_t *cf);

/* makes that handler the first, once all modules have added theirs */
void ngx_http_gray_request_first(ngx_cycle_t *cycle);


#endif /* _NGX_HTTP_GRAY_REQUEST_H_INCLUDED_ */
