
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ngx_http_gray_record.h"


#define NGX_HTTP_GRAY_RECORD_HEAD      "{\"checksum\":\""
#define NGX_HTTP_GRAY_RECORD_DIGITS    16
#define NGX_HTTP_GRAY_RECORD_LABEL     "\",\"layout\":"
#define NGX_HTTP_GRAY_RECORD_NEXT      ",\"revision\":"

/* what a double holds, as all numbers of JSON are here */

#define NGX_HTTP_GRAY_RECORD_REVISION  9007199254740991ULL

/* no string holds this, as quotes are escaped there */

#define NGX_HTTP_GRAY_RECORD_DOCUMENT  ",\"document\":"

/* where the bytes begin that the checksum is of: behind the comma */

#define NGX_HTTP_GRAY_RECORD_SUMMED                                           \
    (sizeof(NGX_HTTP_GRAY_RECORD_HEAD) - 1 + NGX_HTTP_GRAY_RECORD_DIGITS + 2)


static ngx_http_gray_json_t *ngx_http_gray_record_text(
    const ngx_str_t *text);
static ngx_str_t ngx_http_gray_record_member(ngx_http_gray_json_t *meta,
    const char *name);
static const u_char *ngx_http_gray_record_number(const u_char *p,
    const u_char *last, uint64_t *number);
static void ngx_http_gray_record_sum(const u_char *line, size_t len,
    u_char *digits);


ngx_int_t
ngx_http_gray_record_print(const ngx_http_gray_record_t *record,
    ngx_str_t *line)
{
    u_char                *p, *data;
    ngx_str_t              meta;
    ngx_http_gray_json_t  *json;

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_json_set(json, "time",
                               ngx_http_gray_record_text(&record->time))
        != NGX_OK
        || ngx_http_gray_json_set(json, "origin",
                                  ngx_http_gray_record_text(&record->origin))
           != NGX_OK
        || ngx_http_gray_json_set(json, "author",
                                  ngx_http_gray_record_text(&record->author))
           != NGX_OK
        || ngx_http_gray_json_set(json, "user",
                                  ngx_http_gray_record_text(&record->user))
           != NGX_OK
        || ngx_http_gray_json_set(json, "comment",
                                  ngx_http_gray_record_text(&record->comment))
           != NGX_OK
        || ngx_http_gray_json_print(json, 0, &meta) != NGX_OK)
    {
        ngx_http_gray_json_free(json);
        return NGX_ERROR;
    }

    ngx_http_gray_json_free(json);

    data = malloc(NGX_HTTP_GRAY_RECORD_SUMMED
                  + sizeof(NGX_HTTP_GRAY_RECORD_LABEL)
                  + sizeof(NGX_HTTP_GRAY_RECORD_NEXT)
                  + sizeof(NGX_HTTP_GRAY_RECORD_DOCUMENT)
                  + 2 * NGX_INT64_LEN + meta.len + record->document.len + 8);

    if (data == NULL) {
        free(meta.data);
        return NGX_ERROR;
    }

    meta.len--;

    p = ngx_sprintf(data, NGX_HTTP_GRAY_RECORD_HEAD "0123456789abcdef"
                    NGX_HTTP_GRAY_RECORD_LABEL "%d"
                    NGX_HTTP_GRAY_RECORD_NEXT "%uL,",
                    NGX_HTTP_GRAY_RECORD_LAYOUT, record->revision);

    p = ngx_cpymem(p, meta.data + 1, meta.len - 1);
    p = ngx_cpymem(p, NGX_HTTP_GRAY_RECORD_DOCUMENT,
                   sizeof(NGX_HTTP_GRAY_RECORD_DOCUMENT) - 1);
    p = ngx_cpymem(p, record->document.data, record->document.len);
    *p++ = '}';

    ngx_http_gray_record_sum(data, p - data,
                             data + sizeof(NGX_HTTP_GRAY_RECORD_HEAD) - 1);
    *p++ = LF;

    free(meta.data);

    line->data = data;
    line->len = p - data;

    return NGX_OK;
}


static ngx_http_gray_json_t *
ngx_http_gray_record_text(const ngx_str_t *text)
{
    return text->data ? ngx_http_gray_json_string(text->data, text->len)
                      : ngx_http_gray_json_null();
}


ngx_http_gray_record_e
ngx_http_gray_record_judge(const u_char *line, size_t len, uint64_t *revision)
{
    u_char         digits[NGX_HTTP_GRAY_RECORD_DIGITS];
    uint64_t       layout;
    const u_char  *p, *last;

    p = line + sizeof(NGX_HTTP_GRAY_RECORD_HEAD) - 1;
    last = line + len;

    if (len < NGX_HTTP_GRAY_RECORD_SUMMED
        || ngx_memcmp(line, NGX_HTTP_GRAY_RECORD_HEAD,
                      sizeof(NGX_HTTP_GRAY_RECORD_HEAD) - 1)
           != 0)
    {
        return NGX_HTTP_GRAY_RECORD_DAMAGED;
    }

    ngx_http_gray_record_sum(line, len, digits);

    if (ngx_memcmp(p, digits, NGX_HTTP_GRAY_RECORD_DIGITS) != 0) {
        return NGX_HTTP_GRAY_RECORD_DAMAGED;
    }

    p += NGX_HTTP_GRAY_RECORD_DIGITS;

    /* the quote and the comma are not in the sum */

    if ((size_t) (last - p) < sizeof(NGX_HTTP_GRAY_RECORD_LABEL)
        || ngx_memcmp(p, NGX_HTTP_GRAY_RECORD_LABEL,
                      sizeof(NGX_HTTP_GRAY_RECORD_LABEL) - 1)
           != 0)
    {
        return NGX_HTTP_GRAY_RECORD_DAMAGED;
    }

    p = ngx_http_gray_record_number(p + sizeof(NGX_HTTP_GRAY_RECORD_LABEL) - 1,
                                    last, &layout);

    if (p && layout > NGX_HTTP_GRAY_RECORD_LAYOUT) {
        return NGX_HTTP_GRAY_RECORD_NEWER;
    }

    if (p == NULL
        || (size_t) (last - p) < sizeof(NGX_HTTP_GRAY_RECORD_NEXT)
        || ngx_memcmp(p, NGX_HTTP_GRAY_RECORD_NEXT,
                      sizeof(NGX_HTTP_GRAY_RECORD_NEXT) - 1)
           != 0
        || ngx_http_gray_record_number(p
                                       + sizeof(NGX_HTTP_GRAY_RECORD_NEXT) - 1,
                                       last, revision)
           == NULL
        || *revision > NGX_HTTP_GRAY_RECORD_REVISION)
    {
        return NGX_HTTP_GRAY_RECORD_DAMAGED;
    }

    return NGX_HTTP_GRAY_RECORD_GOOD;
}


/* of 1 to 18 digits: what follows it, or NULL */

static const u_char *
ngx_http_gray_record_number(const u_char *p, const u_char *last,
    uint64_t *number)
{
    const u_char  *start;

    *number = 0;

    for (start = p; p < last && *p >= '0' && *p <= '9'; p++) {
        if (p - start == 18) {
            return NULL;
        }

        *number = *number * 10 + (*p - '0');
    }

    return p == start ? NULL : p;
}


static void
ngx_http_gray_record_sum(const u_char *line, size_t len, u_char *digits)
{
    uint64_t    sum;
    ngx_uint_t  i;

    static const u_char  hex[] = "0123456789abcdef";

    sum = XXH64(line + NGX_HTTP_GRAY_RECORD_SUMMED,
                len - NGX_HTTP_GRAY_RECORD_SUMMED, 0);

    for (i = 0; i < NGX_HTTP_GRAY_RECORD_DIGITS; i++) {
        digits[i] = hex[sum >> (60 - 4 * i) & 15];
    }
}


ngx_int_t
ngx_http_gray_record_parse(u_char *line, size_t len,
    ngx_http_gray_record_t *record)
{
    size_t                       n;
    u_char                      *p, *text;
    ngx_http_gray_json_error_t   err;

    ngx_memzero(record, sizeof(ngx_http_gray_record_t));

    p = ngx_strlcasestrn(line, line + len,
                         (u_char *) NGX_HTTP_GRAY_RECORD_DOCUMENT,
                         sizeof(NGX_HTTP_GRAY_RECORD_DOCUMENT) - 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    record->document.data = p + sizeof(NGX_HTTP_GRAY_RECORD_DOCUMENT) - 1;

    /* a sum may be right, and the line be made by somebody else */

    if (line + len - record->document.data < 2 || line[len - 1] != '}') {
        return NGX_ERROR;
    }

    record->document.len = line + len - 1 - record->document.data;

    n = p - line;
    text = malloc(n + 1);

    if (text == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(text, line, n);
    text[n] = '}';

    record->meta = ngx_http_gray_json_parse(text, n + 1, &err);

    free(text);

    if (record->meta == NULL) {
        return NGX_ERROR;
    }

    record->revision = (uint64_t) ngx_http_gray_json_value(
                          ngx_http_gray_json_get(record->meta, "revision"));

    record->time = ngx_http_gray_record_member(record->meta, "time");
    record->origin = ngx_http_gray_record_member(record->meta, "origin");
    record->author = ngx_http_gray_record_member(record->meta, "author");
    record->user = ngx_http_gray_record_member(record->meta, "user");
    record->comment = ngx_http_gray_record_member(record->meta, "comment");

    return NGX_OK;
}


static ngx_str_t
ngx_http_gray_record_member(ngx_http_gray_json_t *meta, const char *name)
{
    ngx_str_t              none = ngx_null_string;
    ngx_http_gray_json_t  *member;

    member = ngx_http_gray_json_get(meta, name);

    return ngx_http_gray_json_type(member) == NGX_HTTP_GRAY_JSON_STRING
           ? ngx_http_gray_json_text(member) : none;
}


void
ngx_http_gray_record_free(ngx_http_gray_record_t *record)
{
    ngx_http_gray_json_free(record->meta);
    record->meta = NULL;
}


void
ngx_http_gray_record_rest(const u_char *line, size_t len, ngx_str_t *rest)
{
    const u_char  *p, *last;

    last = line + len;

    for (p = line + NGX_HTTP_GRAY_RECORD_SUMMED; p < last && *p != ','; p++) {
        /* void */
    }

    p++;

    rest->data = (u_char *) p;
    rest->len = (p < last) ? last - p : 0;
}
