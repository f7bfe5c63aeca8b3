
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_TURNS_H_INCLUDED_
#define _NGX_HTTP_GRAY_TURNS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_counters.h"


/* since the last reset, or since the slot has its name: in s, and for "ms" */
void ngx_http_gray_turns_since(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_msec_t now, ngx_http_gray_counts_t *counts,
    uint64_t *ms, time_t *since);

/*
 * The last "seconds", 10 to 3600, or up to one interval more: of 10 seconds up
 * to a minute, and else of a minute; or less, where there is no more.
 * NGX_OK; NGX_DECLINED for the slot of "_other", which has no windows.
 */
ngx_int_t ngx_http_gray_turns_window(ngx_http_gray_counters_t *counters,
    ngx_uint_t slot, ngx_uint_t seconds, ngx_msec_t now,
    ngx_http_gray_summary_t *summary);

/*
 * To be called every second or so: is there a turn to be made, every 10 seconds
 * and "phase" milliseconds?  _tick() makes it, if so, with the lock.
 */
ngx_uint_t ngx_http_gray_turns_due(ngx_http_gray_counters_t *counters,
    ngx_msec_t now, ngx_msec_t phase);
void ngx_http_gray_turns_tick(ngx_http_gray_counters_t *counters,
    ngx_msec_t now, ngx_msec_t phase);

/* what _since() and _window() say begins anew; sums stay; with the lock */
void ngx_http_gray_turns_reset_locked(ngx_http_gray_counters_t *counters,
    time_t time, ngx_msec_t now);


#endif /* _NGX_HTTP_GRAY_TURNS_H_INCLUDED_ */
