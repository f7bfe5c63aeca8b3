
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_NOTIFY_H_INCLUDED_
#define _NGX_HTTP_GRAY_NOTIFY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/*
 * Hooks of rollouts: what happened is posted as JSON to each URL of the plan
 * that wants it, one event after the other, at least once.
 */

/*
 * In the worker whose turn it is, once a second: sends what is due and not
 * under way in this process.  Never blocks, and never for long.
 */
void ngx_http_gray_notify_tick(ngx_http_gray_release_t *release,
    ngx_log_t *log);


#endif /* _NGX_HTTP_GRAY_NOTIFY_H_INCLUDED_ */
