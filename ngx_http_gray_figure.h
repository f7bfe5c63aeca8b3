
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_FIGURE_H_INCLUDED_
#define _NGX_HTTP_GRAY_FIGURE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_guards.h"
#include "ngx_http_gray_json.h"


/*
 * Members of what is reported, for people and programs.  NGX_OK, or NGX_ERROR
 * (memory); the object may be NULL, which is that, too.
 */

/* null where it is empty */
ngx_int_t ngx_http_gray_figure_text(ngx_http_gray_json_t *json,
    const char *key, const char *text);

/* whole ones as they are, others to 6 digits; null where it is less than 0 */
ngx_int_t ngx_http_gray_figure_number(ngx_http_gray_json_t *json,
    const char *key, double number);

ngx_int_t ngx_http_gray_figure_flag(ngx_http_gray_json_t *json,
    const char *key, ngx_uint_t flag);

/* RFC 3339; null for the beginning of the epoch, which is none */
ngx_int_t ngx_http_gray_figure_time(ngx_http_gray_json_t *json,
    const char *key, int64_t time);

/* requests of both arms, and bad ones: NULL (memory) */
ngx_http_gray_json_t *ngx_http_gray_figure_counts(
    const ngx_http_gray_seen_t *seen);

/* E of ln E, or a number that is as enormous; buckets as a weight */
double ngx_http_gray_figure_exp(double evidence);
double ngx_http_gray_figure_percent(uint32_t buckets);


#endif /* _NGX_HTTP_GRAY_FIGURE_H_INCLUDED_ */
