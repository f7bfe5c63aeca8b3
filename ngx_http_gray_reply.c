
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <math.h>

#include "ngx_http_gray_reply.h"


#define NGX_HTTP_GRAY_DETAIL  1024
#define NGX_HTTP_GRAY_RETRY   1      /* seconds */


typedef struct {
    ngx_uint_t                  status;
    ngx_str_t                   line;
} ngx_http_gray_status_t;


typedef struct {
    ngx_uint_t                  method;
    ngx_str_t                   name;
} ngx_http_gray_method_t;


static ngx_int_t ngx_http_gray_reply_status(ngx_http_request_t *r,
    ngx_uint_t status, const char *title, const char *detail,
    ngx_http_gray_json_error_t *err, ngx_http_gray_faults_t *faults,
    ngx_http_gray_json_t *more);
static ngx_http_gray_json_t *ngx_http_gray_reply_errors(
    ngx_http_gray_faults_t *faults);
static ngx_int_t ngx_http_gray_reply_more(ngx_http_gray_json_t *json,
    ngx_http_gray_json_t *more);
static void ngx_http_gray_reply_log(ngx_http_request_t *r,
    ngx_http_gray_status_t *status, const char *detail,
    ngx_http_gray_json_error_t *err, ngx_http_gray_faults_t *faults);
static ngx_int_t ngx_http_gray_reply_send(ngx_http_request_t *r,
    ngx_http_gray_status_t *status, const char *type,
    ngx_http_gray_json_t *json);
static ngx_int_t ngx_http_gray_reply_send_text(ngx_http_request_t *r,
    ngx_http_gray_status_t *status, const char *type, ngx_str_t *text);
static ngx_int_t ngx_http_gray_reply_send_chain(ngx_http_request_t *r,
    ngx_chain_t *out, off_t len);
static ngx_int_t ngx_http_gray_reply_headers(ngx_http_request_t *r,
    ngx_http_gray_status_t *status, const char *type);
static ngx_uint_t ngx_http_gray_reply_listed(ngx_str_t *list, ngx_str_t *tag,
    ngx_uint_t weak);
static ngx_http_gray_status_t *ngx_http_gray_reply_find(ngx_uint_t status);


/* the first is for what is not in the table */

static ngx_http_gray_status_t  ngx_http_gray_statuses[] = {
    { 503, ngx_string("503 Service Unavailable") },
    { 200, ngx_string("200 OK") },
    { 201, ngx_string("201 Created") },
    { 304, ngx_string("304 Not Modified") },
    { 400, ngx_string("400 Bad Request") },
    { 403, ngx_string("403 Forbidden") },
    { 404, ngx_string("404 Not Found") },
    { 405, ngx_string("405 Method Not Allowed") },
    { 409, ngx_string("409 Conflict") },
    { 412, ngx_string("412 Precondition Failed") },
    { 413, ngx_string("413 Content Too Large") },
    { 415, ngx_string("415 Unsupported Media Type") },
    { 422, ngx_string("422 Unprocessable Content") },
    { 504, ngx_string("504 Gateway Timeout") },
    { 0, ngx_null_string }
};


static ngx_http_gray_method_t  ngx_http_gray_methods[] = {
    { NGX_HTTP_GET, ngx_string("GET") },
    { NGX_HTTP_HEAD, ngx_string("HEAD") },
    { NGX_HTTP_POST, ngx_string("POST") },
    { NGX_HTTP_PUT, ngx_string("PUT") },
    { NGX_HTTP_PATCH, ngx_string("PATCH") },
    { NGX_HTTP_DELETE, ngx_string("DELETE") },
    { 0, ngx_null_string }
};


ngx_int_t
ngx_http_gray_reply_json(ngx_http_request_t *r, ngx_http_gray_json_t *json)
{
    return ngx_http_gray_reply_send(r, ngx_http_gray_reply_find(NGX_HTTP_OK),
                                    "application/json", json);
}


ngx_int_t
ngx_http_gray_reply_made(ngx_http_request_t *r, ngx_str_t *text)
{
    return ngx_http_gray_reply_send_text(r,
                                         ngx_http_gray_reply_find(NGX_HTTP_OK),
                                         "application/json", text);
}


ngx_int_t
ngx_http_gray_reply_created(ngx_http_request_t *r, ngx_http_gray_json_t *json)
{
    return ngx_http_gray_reply_send(r,
                                    ngx_http_gray_reply_find(NGX_HTTP_CREATED),
                                    "application/json", json);
}


ngx_int_t
ngx_http_gray_reply_file(ngx_http_request_t *r, const char *type, ngx_fd_t fd,
    off_t pos, off_t len)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);

    if (b == NULL
        || ngx_http_gray_reply_headers(r,
                                       ngx_http_gray_reply_find(NGX_HTTP_OK),
                                       type)
           != NGX_OK)
    {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    if (len) {
        b->file = ngx_pcalloc(r->pool, sizeof(ngx_file_t));
        if (b->file == NULL) {
            return NGX_HTTP_SERVICE_UNAVAILABLE;
        }

        b->file->fd = fd;
        b->file->log = r->connection->log;
        b->file_pos = pos;
        b->file_last = pos + len;
        b->in_file = 1;
    }

    r->headers_out.content_length_n = len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_http_gray_reply_not_modified(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_http_gray_status_t  *status;

    status = ngx_http_gray_reply_find(NGX_HTTP_NOT_MODIFIED);

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_gray_reply_headers(r, status, NULL) != NGX_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    r->header_only = 1;

    return ngx_http_send_header(r);
}


ngx_int_t
ngx_http_gray_reply_problem(ngx_http_request_t *r, ngx_uint_t status,
    const char *format, ...)
{
    u_char   *p, detail[NGX_HTTP_GRAY_DETAIL];
    va_list   args;

    va_start(args, format);
    p = ngx_vslprintf(detail, detail + sizeof(detail) - 1, format, args);
    va_end(args);

    *p = '\0';

    return ngx_http_gray_reply_status(r, status, NULL, (char *) detail, NULL,
                                      NULL, NULL);
}


ngx_int_t
ngx_http_gray_reply_detailed(ngx_http_request_t *r, ngx_uint_t status,
    ngx_http_gray_json_t *more, const char *format, ...)
{
    u_char     *p, detail[NGX_HTTP_GRAY_DETAIL];
    va_list     args;
    ngx_int_t   rc;

    if (more == NULL) {
        return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                           "memory is short");
    }

    va_start(args, format);
    p = ngx_vslprintf(detail, detail + sizeof(detail) - 1, format, args);
    va_end(args);

    *p = '\0';

    rc = ngx_http_gray_reply_status(r, status, NULL, (char *) detail, NULL,
                                    NULL, more);

    ngx_http_gray_json_free(more);

    return rc;
}


ngx_int_t
ngx_http_gray_reply_malformed(ngx_http_request_t *r,
    ngx_http_gray_json_error_t *err)
{
    if (err->line == 0) {
        return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                           "memory is short");
    }

    return ngx_http_gray_reply_status(r, NGX_HTTP_BAD_REQUEST,
                                      "Malformed JSON", err->detail, err,
                                      NULL, NULL);
}


ngx_int_t
ngx_http_gray_reply_faults(ngx_http_request_t *r, ngx_uint_t status,
    const char *title, ngx_http_gray_faults_t *faults)
{
    u_char  *p, detail[128];

    if (faults->n <= NGX_HTTP_GRAY_FAULTS) {
        return ngx_http_gray_reply_status(r, status, title, NULL, NULL,
                                          faults, NULL);
    }

    p = ngx_slprintf(detail, detail + sizeof(detail) - 1,
                     "%ui faults, of which the first %d are named", faults->n,
                     NGX_HTTP_GRAY_FAULTS);
    *p = '\0';

    return ngx_http_gray_reply_status(r, status, title, (char *) detail, NULL,
                                      faults, NULL);
}


ngx_int_t
ngx_http_gray_reply_allow(ngx_http_request_t *r, ngx_uint_t methods)
{
    u_char                  *p, *last, allow[64];
    ngx_http_gray_method_t  *method;

    p = allow;
    last = allow + sizeof(allow) - 1;

    for (method = ngx_http_gray_methods; method->method; method++) {
        if (methods & method->method) {
            p = ngx_slprintf(p, last, "%s%V", p == allow ? "" : ", ",
                             &method->name);
        }
    }

    *p = '\0';

    if (ngx_http_gray_reply_header(r, "Allow", "%s", allow) != NGX_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    return ngx_http_gray_reply_problem(r, NGX_HTTP_NOT_ALLOWED,
                                       "the methods are %s", allow);
}


/* RFC 9457 */

static ngx_int_t
ngx_http_gray_reply_status(ngx_http_request_t *r, ngx_uint_t status,
    const char *title, const char *detail, ngx_http_gray_json_error_t *err,
    ngx_http_gray_faults_t *faults, ngx_http_gray_json_t *more)
{
    ngx_http_gray_json_t    *json;
    ngx_http_gray_status_t  *st;

    st = ngx_http_gray_reply_find(status);

    ngx_http_gray_reply_log(r, st, detail, err, faults);

    if (title == NULL) {
        title = (char *) st->line.data + sizeof("400 ") - 1;
    }

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_reply_text(json, "title", title) != NGX_OK
        || ngx_http_gray_reply_number(json, "status", st->status) != NGX_OK
        || (detail
            && ngx_http_gray_reply_text(json, "detail", detail) != NGX_OK)
        || (err
            && ngx_http_gray_reply_number(json, "line", err->line) != NGX_OK)
        || (err
            && ngx_http_gray_reply_number(json, "column", err->column)
               != NGX_OK)
        || (faults
            && ngx_http_gray_json_set(json, "errors",
                                      ngx_http_gray_reply_errors(faults))
               != NGX_OK)
        || (more && ngx_http_gray_reply_more(json, more) != NGX_OK)
        || (status == NGX_HTTP_SERVICE_UNAVAILABLE
            && ngx_http_gray_reply_header(r, "Retry-After", "%d",
                                          NGX_HTTP_GRAY_RETRY)
               != NGX_OK))
    {
        ngx_http_gray_json_free(json);
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    return ngx_http_gray_reply_send(r, st, "application/problem+json", json);
}


static ngx_http_gray_json_t *
ngx_http_gray_reply_errors(ngx_http_gray_faults_t *faults)
{
    ngx_uint_t              i, n;
    ngx_http_gray_json_t   *list, *item;
    ngx_http_gray_fault_t  *fault;

    list = ngx_http_gray_json_array();
    n = ngx_min(faults->n, NGX_HTTP_GRAY_FAULTS);

    for (i = 0; list && i < n; i++) {
        fault = &faults->fault[i];
        item = ngx_http_gray_json_object();

        if (ngx_http_gray_reply_text(item, "pointer", fault->pointer)
            != NGX_OK
            || ngx_http_gray_reply_text(item, "detail", fault->detail)
               != NGX_OK)
        {
            ngx_http_gray_json_free(item);
            item = NULL;
        }

        if (ngx_http_gray_json_append(list, item) != NGX_OK) {
            ngx_http_gray_json_free(list);
            return NULL;
        }
    }

    return list;
}


static ngx_int_t
ngx_http_gray_reply_more(ngx_http_gray_json_t *json,
    ngx_http_gray_json_t *more)
{
    ngx_http_gray_json_t  *member;

    for (member = ngx_http_gray_json_first(more);
         member;
         member = ngx_http_gray_json_next(member))
    {
        if (ngx_http_gray_json_add(json, ngx_http_gray_json_key(member),
                                   ngx_http_gray_json_copy(member))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_gray_reply_log(ngx_http_request_t *r, ngx_http_gray_status_t *status,
    const char *detail, ngx_http_gray_json_error_t *err,
    ngx_http_gray_faults_t *faults)
{
    u_char      *p, *last, text[NGX_HTTP_GRAY_DETAIL];
    ngx_str_t    s;
    ngx_uint_t   level;

    p = text;
    last = text + sizeof(text);

    if (faults && faults->n) {
        p = ngx_slprintf(p, last, "\"%s\" %s%s", faults->fault[0].pointer,
                         faults->fault[0].detail, detail ? ", " : "");
    }

    if (detail) {
        p = ngx_slprintf(p, last, "%s", detail);
    }

    if (err) {
        p = ngx_slprintf(p, last, " in line %ui, column %ui", err->line,
                         err->column);
    }

    s.data = text;
    s.len = p - text;

    for (p = s.data; p < s.data + s.len; p++) {
        if (*p < ' ' || *p == 0x7f) {
            *p = '?';
        }
    }

    /* 504: what was asked for has not come yet */

    level = (status->status >= 500 && status->status != 504)
            ? NGX_LOG_WARN : NGX_LOG_INFO;

    ngx_log_error(level, r->connection->log, 0, "gray: %V: %V", &status->line,
                  &s);
}


static ngx_int_t
ngx_http_gray_reply_send(ngx_http_request_t *r,
    ngx_http_gray_status_t *status, const char *type,
    ngx_http_gray_json_t *json)
{
    ngx_str_t            text;
    ngx_pool_cleanup_t  *cln;

    if (json == NULL || ngx_http_gray_json_print(json, 1, &text) != NGX_OK) {
        ngx_http_gray_json_free(json);
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    ngx_http_gray_json_free(json);

    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (cln == NULL) {
        free(text.data);
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    cln->handler = free;
    cln->data = text.data;

    /* in the place of the NUL */

    text.data[text.len++] = '\n';

    return ngx_http_gray_reply_send_text(r, status, type, &text);
}


static ngx_int_t
ngx_http_gray_reply_send_text(ngx_http_request_t *r,
    ngx_http_gray_status_t *status, const char *type, ngx_str_t *text)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);

    if (b == NULL || ngx_http_gray_reply_headers(r, status, type) != NGX_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    b->pos = text->data;
    b->last = text->data + text->len;
    b->memory = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_gray_reply_send_chain(r, &out, text->len);
}


ngx_int_t
ngx_http_gray_reply_chain(ngx_http_request_t *r, ngx_str_t *type,
    ngx_chain_t *out, off_t len)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_gray_reply_headers(r, ngx_http_gray_reply_find(NGX_HTTP_OK),
                                    (char *) type->data)
        != NGX_OK)
    {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    /* of the media type alone: what it has behind it, gzip_types has not */

    r->headers_out.content_type_len = type->len;

#if (NGX_HTTP_GZIP)

    /* there is no ETag */

    r->gzip_tested = 0;

#endif

    return ngx_http_gray_reply_send_chain(r, out, len);
}


static ngx_int_t
ngx_http_gray_reply_send_chain(ngx_http_request_t *r, ngx_chain_t *out,
    off_t len)
{
    ngx_int_t     rc;
    ngx_chain_t  *last;

    r->headers_out.content_length_n = len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    for (last = out; last->next; last = last->next) { /* void */ }

    last->buf->last_buf = (r == r->main) ? 1 : 0;
    last->buf->last_in_chain = 1;

    return ngx_http_output_filter(r, out);
}


static ngx_int_t
ngx_http_gray_reply_headers(ngx_http_request_t *r,
    ngx_http_gray_status_t *status, const char *type)
{
    r->headers_out.status = status->status;
    r->headers_out.status_line = status->line;

    if (type) {
        r->headers_out.content_type.data = (u_char *) type;
        r->headers_out.content_type.len = ngx_strlen(type);
        r->headers_out.content_type_len = r->headers_out.content_type.len;
        r->headers_out.content_type_lowcase = NULL;
    }

    /* conditions were judged before a change, and its ETag is another one */

    r->disable_not_modified = 1;

#if (NGX_HTTP_GZIP)

    /* gzip would make a weak ETag, that no If-Match may name */

    r->gzip_tested = 1;
    r->gzip_ok = 0;

#endif

    if (ngx_http_gray_reply_header(r, "Cache-Control", "no-store") != NGX_OK
        || ngx_http_gray_reply_header(r, "X-Content-Type-Options", "nosniff")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_reply_etag(ngx_http_request_t *r, uint64_t revision)
{
    return ngx_http_gray_reply_header(r, "ETag", "\"%uL\"", revision);
}


ngx_int_t
ngx_http_gray_reply_header(ngx_http_request_t *r, const char *name,
    const char *format, ...)
{
    u_char           *p, value[256];
    va_list           args;
    ngx_table_elt_t  *h;

    va_start(args, format);
    p = ngx_vslprintf(value, value + sizeof(value), format, args);
    va_end(args);

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    /* not sent until it is whole */

    h->hash = 0;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);

#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    h->value.data = ngx_pnalloc(r->pool, p - value);
    if (h->value.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(h->value.data, value, p - value);
    h->value.len = p - value;
    h->hash = 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_reply_matches(ngx_http_request_t *r, const char *name,
    uint64_t revision, ngx_uint_t weak)
{
    size_t            len;
    ngx_int_t         rc;
    ngx_str_t         tag;
    u_char            buf[NGX_INT64_LEN + 2];
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    rc = NGX_DECLINED;
    len = ngx_strlen(name);

    tag.data = buf;
    tag.len = ngx_sprintf(buf, "\"%uL\"", revision) - buf;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len != len
                || ngx_strncasecmp(h[i].key.data, (u_char *) name, len) != 0)
            {
                continue;
            }

            if (ngx_http_gray_reply_listed(&h[i].value, &tag, weak)) {
                return 1;
            }

            rc = 0;
        }
    }

    return rc;
}


/* RFC 9110, 8.8.3 and 13.1: a list of entity tags, or "*" */

static ngx_uint_t
ngx_http_gray_reply_listed(ngx_str_t *list, ngx_str_t *tag, ngx_uint_t weak)
{
    u_char      *p, *start, *last;
    ngx_uint_t   comparable;

    p = list->data;
    last = p + list->len;

    if (list->len == 1 && *p == '*') {
        return 1;
    }

    while (p < last) {

        if (*p == ' ' || *p == '\t' || *p == ',') {
            p++;
            continue;
        }

        comparable = 1;

        if (last - p > 2 && p[0] == 'W' && p[1] == '/') {
            comparable = weak;
            p += 2;
        }

        if (*p != '"') {
            return 0;
        }

        start = p++;
        p = ngx_strlchr(p, last, '"');

        if (p == NULL) {
            return 0;
        }

        p++;

        if (comparable
            && (size_t) (p - start) == tag->len
            && ngx_memcmp(start, tag->data, tag->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_http_gray_status_t *
ngx_http_gray_reply_find(ngx_uint_t status)
{
    ngx_http_gray_status_t  *st;

    for (st = ngx_http_gray_statuses; st->status; st++) {
        if (st->status == status) {
            return st;
        }
    }

    return ngx_http_gray_statuses;
}


ngx_int_t
ngx_http_gray_reply_text(ngx_http_gray_json_t *object, const char *key,
    const char *text)
{
    return ngx_http_gray_json_set(object, key,
                     ngx_http_gray_json_string((u_char *) text,
                                               ngx_strlen(text)));
}


ngx_int_t
ngx_http_gray_reply_string(ngx_http_gray_json_t *object, const char *key,
    ngx_str_t *string)
{
    return ngx_http_gray_json_set(object, key,
                     ngx_http_gray_json_string(string->data, string->len));
}


ngx_int_t
ngx_http_gray_reply_number(ngx_http_gray_json_t *object, const char *key,
    double number)
{
    return ngx_http_gray_json_set(object, key,
                                  ngx_http_gray_json_number(number));
}


ngx_int_t
ngx_http_gray_reply_measure(ngx_http_gray_json_t *object, const char *key,
    double number)
{
    if (number < 0) {
        return ngx_http_gray_json_add(object, key, ngx_http_gray_json_null());
    }

    if (number < 1e9) {
        number = floor(number * 1e6 + 0.5) / 1e6;
    }

    return ngx_http_gray_json_add(object, key,
                                  ngx_http_gray_json_number(number));
}
