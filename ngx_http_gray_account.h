
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_ACCOUNT_H_INCLUDED_
#define _NGX_HTTP_GRAY_ACCOUNT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_request.h"


/* adds the handler of the log phase, which counts */
ngx_int_t ngx_http_gray_account_init(ngx_conf_t *cf);

/* makes that handler the first, once all modules have added theirs */
void ngx_http_gray_account_first(ngx_cycle_t *cycle);


#endif /* _NGX_HTTP_GRAY_ACCOUNT_H_INCLUDED_ */
