
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_ACCOUNT_H_INCLUDED_
#define _NGX_HTTP_GRAY_ACCOUNT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_request.h"


/*
 * What attempts at the variant's peers have failed by, in the log phase: the
 * number of each kind, of NGX_HTTP_GRAY_KINDS.
 */
void ngx_http_gray_account_failures(ngx_http_gray_decision_t *decision,
    ngx_uint_t *failures);

/* adds the handler of the log phase, which counts */
ngx_int_t ngx_http_gray_account_init(ngx_conf_t *cf);

/* makes that handler the first, once all modules have added theirs */
void ngx_http_gray_account_first(ngx_cycle_t *cycle);


#endif /* _NGX_HTTP_GRAY_ACCOUNT_H_INCLUDED_ */
