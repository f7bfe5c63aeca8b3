
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_WINDOW_H_INCLUDED_
#define _NGX_HTTP_GRAY_WINDOW_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_json.h"


/* a window of time: what "time" in a document says */

typedef struct {
    int64_t                      after;      /* seconds since the epoch; */
    int64_t                      before;     /* INT64_MIN and _MAX: none */
    ngx_uint_t                   days;       /* bit 0: Monday; 0: all */
    ngx_int_t                    from;       /* seconds of a day, or -1 */
    ngx_int_t                    to;
    ngx_int_t                    offset;     /* seconds east of UTC */
} ngx_http_gray_window_t;


/*
 * Reads {"after": RFC 3339, "before": ..., "days": ["mon"], "from": "09:00",
 * "to": "17:00", "utc_offset": "+08:00"}.  NGX_OK, or NGX_DECLINED with
 * faults ("faults" may be NULL).
 */
ngx_int_t ngx_http_gray_window_read(ngx_http_gray_window_t *window,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *json,
    ngx_http_gray_faults_t *faults);

/* is it open at "now", in seconds since the epoch? */
ngx_uint_t ngx_http_gray_window_open(const ngx_http_gray_window_t *window,
    int64_t now);

/* will it be, or was it, open at all: a day between its dates may be none */
ngx_uint_t ngx_http_gray_window_opens(const ngx_http_gray_window_t *window);

/* RFC 3339 in seconds since the epoch: NGX_OK or NGX_DECLINED */
ngx_int_t ngx_http_gray_window_date(const ngx_str_t *text, int64_t *seconds);


#endif /* _NGX_HTTP_GRAY_WINDOW_H_INCLUDED_ */
