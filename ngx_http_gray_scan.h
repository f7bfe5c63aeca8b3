
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_SCAN_H_INCLUDED_
#define _NGX_HTTP_GRAY_SCAN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_HTTP_GRAY_SCAN_DEPTH   16
#define NGX_HTTP_GRAY_SCAN_NO_KEY  ((ngx_uint_t) -1)


/* where a text stops being JSON: line and column count from 1, in bytes */

typedef struct {
    ngx_uint_t                  line;
    ngx_uint_t                  column;
    char                        detail[128];
} ngx_http_gray_scan_error_t;


/*
 * Is the text one value of strict RFC 8259: UTF-8, no byte order mark, no
 * "\u0000", numbers that a double keeps and whose magnitude is at most 2^53,
 * not deeper than NGX_HTTP_GRAY_SCAN_DEPTH?  Key number "duplicate", counted
 * from 0 in the order of the text, is refused as a duplicate; give
 * NGX_HTTP_GRAY_SCAN_NO_KEY for none.  NGX_OK, or NGX_DECLINED with "err".
 */
ngx_int_t ngx_http_gray_scan(const u_char *text, size_t len,
    ngx_uint_t duplicate, ngx_http_gray_scan_error_t *err);

/* the length of the UTF-8 sequence at "p", or 0 where there is none */
size_t ngx_http_gray_scan_utf8(const u_char *p, const u_char *last);

/* of "len" bytes as many as fit into "max" without cutting a sequence */
size_t ngx_http_gray_scan_cut(const char *text, size_t len, size_t max);


#endif /* _NGX_HTTP_GRAY_SCAN_H_INCLUDED_ */
