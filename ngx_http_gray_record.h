
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_RECORD_H_INCLUDED_
#define _NGX_HTTP_GRAY_RECORD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_json.h"


#define NGX_HTTP_GRAY_RECORD_LAYOUT   1
#define NGX_HTTP_GRAY_RECORD_COMMENT  512      /* bytes of a comment */
#define NGX_HTTP_GRAY_RECORD_USER     128      /* ... of who wrote it */

/* bytes of a line at most: all of the above escaped, and a document of 1m */

#define NGX_HTTP_GRAY_RECORD_MAX      (1048576 + 8192)


/*
 * A revision in the journal of a release is a line of JSON:
 *
 *   {"checksum":"0123456789abcdef","layout":1,"revision":7,"time":"...",
 *    "origin":"api","author":"127.0.0.1","user":null,"comment":null,
 *    "document":{...}}
 *
 * (without the breaks), with a line feed behind it.  The checksum is XXH64,
 * seed 0, of the bytes behind its comma and before the line feed.  Members
 * come in this order, in layouts to come the first three, too.
 */

typedef struct {
    uint64_t                    revision;
    ngx_str_t                   time;        /* RFC 3339 */
    ngx_str_t                   origin;      /* "api", "nginx.conf" */
    ngx_str_t                   author;      /* an address, or "nginx.conf";
                                                like the next two null where
                                                "data" is NULL */
    ngx_str_t                   user;        /* $remote_user */
    ngx_str_t                   comment;
    ngx_str_t                   document;    /* JSON in one line */

    ngx_http_gray_json_t       *meta;        /* where they are, once parsed */
} ngx_http_gray_record_t;


typedef enum {
    NGX_HTTP_GRAY_RECORD_GOOD = 0,
    NGX_HTTP_GRAY_RECORD_DAMAGED,
    NGX_HTTP_GRAY_RECORD_NEWER               /* of a layout to come */
} ngx_http_gray_record_e;


/*
 * The line, with its line feed; line->data is to be freed by free().  NGX_OK
 * or NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_record_print(const ngx_http_gray_record_t *record,
    ngx_str_t *line);

/*
 * Judges a line without its line feed; "revision" is set where it is good.
 * Any thread may call this.
 */
ngx_http_gray_record_e ngx_http_gray_record_judge(const u_char *line,
    size_t len, uint64_t *revision);

/*
 * Reads a good line, which must outlive the record.  NGX_OK, with what is to
 * be freed by _free(), or NGX_ERROR (memory, or it is no record after all).
 */
ngx_int_t ngx_http_gray_record_parse(u_char *line, size_t len,
    ngx_http_gray_record_t *record);
void ngx_http_gray_record_free(ngx_http_gray_record_t *record);

/* what stands behind checksum and layout, as JSON without its first brace */
void ngx_http_gray_record_rest(const u_char *line, size_t len,
    ngx_str_t *rest);


#endif /* _NGX_HTTP_GRAY_RECORD_H_INCLUDED_ */
