
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_REPLY_H_INCLUDED_
#define _NGX_HTTP_GRAY_REPLY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_json.h"


#define NGX_HTTP_GRAY_READS  (NGX_HTTP_GET|NGX_HTTP_HEAD)


/*
 * These send a whole response, and discard what was not read of the request's
 * body.  The result is for ngx_http_finalize_request(), or to be returned by
 * a content handler; where memory is short it is NGX_HTTP_SERVICE_UNAVAILABLE.
 */

/* 200 with "json", which is freed, and may be NULL where memory was short */
ngx_int_t ngx_http_gray_reply_json(ngx_http_request_t *r,
    ngx_http_gray_json_t *json);

/* likewise, with a JSON text that must stay until the request's pool goes */
ngx_int_t ngx_http_gray_reply_made(ngx_http_request_t *r, ngx_str_t *text);

/* 201 with "json" */
ngx_int_t ngx_http_gray_reply_created(ngx_http_request_t *r,
    ngx_http_gray_json_t *json);

/* 200 with "len" bytes of an open file, which must stay open; "type" static */
ngx_int_t ngx_http_gray_reply_file(ngx_http_request_t *r, const char *type,
    ngx_fd_t fd, off_t pos, off_t len);

/*
 * 200 with "len" bytes of text in buffers, which must stay until the request's
 * pool goes.  "type" is static, and ends with a NUL; parameters may stand
 * between its length and that.
 */
ngx_int_t ngx_http_gray_reply_chain(ngx_http_request_t *r, ngx_str_t *type,
    ngx_chain_t *out, off_t len);

ngx_int_t ngx_http_gray_reply_not_modified(ngx_http_request_t *r);

/* "format", not NULL, is that of ngx_sprintf(), for the member "detail" */
ngx_int_t ngx_http_gray_reply_problem(ngx_http_request_t *r,
    ngx_uint_t status, const char *format, ...);

/*
 * Likewise, with the members of "more" besides, which is freed, and may be
 * NULL where memory was short.
 */
ngx_int_t ngx_http_gray_reply_detailed(ngx_http_request_t *r,
    ngx_uint_t status, ngx_http_gray_json_t *more, const char *format, ...);

/* 405, with these in "Allow" */
ngx_int_t ngx_http_gray_reply_allow(ngx_http_request_t *r,
    ngx_uint_t methods);

/* a text that is no JSON: 400 */
ngx_int_t ngx_http_gray_reply_malformed(ngx_http_request_t *r,
    ngx_http_gray_json_error_t *err);

/* "title" may be NULL: that of the status */
ngx_int_t ngx_http_gray_reply_faults(ngx_http_request_t *r, ngx_uint_t status,
    const char *title, ngx_http_gray_faults_t *faults);

/*
 * Adds a header to the response that is to be sent; "name" must be static.
 * NGX_OK or NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_reply_header(ngx_http_request_t *r, const char *name,
    const char *format, ...);

/* "revision" as an entity tag */
ngx_int_t ngx_http_gray_reply_etag(ngx_http_request_t *r, uint64_t revision);

/*
 * Does the header "name", If-Match or If-None-Match, name that entity tag, or
 * "*"?  1, 0, or NGX_DECLINED where there is no such header.  "weak" lets
 * weak tags match.
 */
ngx_int_t ngx_http_gray_reply_matches(ngx_http_request_t *r, const char *name,
    uint64_t revision, ngx_uint_t weak);


/* members of an object; NGX_OK or NGX_ERROR (memory) */

ngx_int_t ngx_http_gray_reply_text(ngx_http_gray_json_t *object,
    const char *key, const char *text);
ngx_int_t ngx_http_gray_reply_string(ngx_http_gray_json_t *object,
    const char *key, ngx_str_t *string);
ngx_int_t ngx_http_gray_reply_number(ngx_http_gray_json_t *object,
    const char *key, double number);

/* likewise, what was measured: to a millionth; null where it is less than 0 */
ngx_int_t ngx_http_gray_reply_measure(ngx_http_gray_json_t *object,
    const char *key, double number);


#endif /* _NGX_HTTP_GRAY_REPLY_H_INCLUDED_ */
