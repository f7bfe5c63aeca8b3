
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Which of two formats Accept prefers, by RFC 9110, 12.5.1: of the ranges that
 * a type is in, the one that names it most closely says how much it is wanted.
 * What is malformed there is passed over.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_accept.h"


/* a type, the range of all like it, and the version that is served */

typedef struct {
    const char                 *type;
    const char                 *like;
    const char                 *version;
} ngx_http_gray_accept_media_t;


static void ngx_http_gray_accept_element(ngx_http_gray_accept_t *accept,
    u_char *p, u_char *last);
static u_char *ngx_http_gray_accept_until(u_char *p, u_char *last,
    u_char stop);
static void ngx_http_gray_accept_trim(ngx_str_t *s);
static ngx_uint_t ngx_http_gray_accept_is(ngx_str_t *s, const char *other);
static ngx_int_t ngx_http_gray_accept_q(ngx_str_t *value);
static void ngx_http_gray_accept_take(ngx_http_gray_accept_range_t *range,
    const ngx_http_gray_accept_media_t *media, ngx_str_t *type,
    ngx_str_t *version, ngx_uint_t q);


static const ngx_http_gray_accept_media_t  ngx_http_gray_accept_text =
    { "text/plain", "text/*", "0.0.4" };

static const ngx_http_gray_accept_media_t  ngx_http_gray_accept_open =
    { "application/openmetrics-text", "application/*", "1.0.0" };


void
ngx_http_gray_accept_header(ngx_http_gray_accept_t *accept, ngx_str_t *value)
{
    u_char  *p, *end, *last;

    p = value->data;
    last = p + value->len;

    while (p < last) {
        end = ngx_http_gray_accept_until(p, last, ',');
        ngx_http_gray_accept_element(accept, p, end);
        p = end + 1;
    }
}


static void
ngx_http_gray_accept_element(ngx_http_gray_accept_t *accept, u_char *p,
    u_char *last)
{
    u_char     *end, *equal;
    ngx_int_t   q;
    ngx_str_t   type, name, value, version;

    q = 1000;
    ngx_str_null(&version);

    end = ngx_http_gray_accept_until(p, last, ';');

    type.data = p;
    type.len = end - p;
    ngx_http_gray_accept_trim(&type);

    /* others, as "charset" and "escaping", are true of whatever is served */

    for (p = end + 1; p < last; p = end + 1) {
        end = ngx_http_gray_accept_until(p, last, ';');
        equal = ngx_http_gray_accept_until(p, end, '=');

        name.data = p;
        name.len = equal - p;
        ngx_http_gray_accept_trim(&name);

        value.data = ngx_min(equal + 1, end);
        value.len = end - value.data;
        ngx_http_gray_accept_trim(&value);

        if (ngx_http_gray_accept_is(&name, "q")) {
            q = ngx_http_gray_accept_q(&value);

            if (q == NGX_ERROR) {
                return;
            }

        } else if (ngx_http_gray_accept_is(&name, "version")) {
            version = value;
        }
    }

    ngx_http_gray_accept_take(&accept->text, &ngx_http_gray_accept_text,
                              &type, &version, q);
    ngx_http_gray_accept_take(&accept->openmetrics,
                              &ngx_http_gray_accept_open, &type, &version, q);
}


/* the next such character that is in no quotes, or the end */

static u_char *
ngx_http_gray_accept_until(u_char *p, u_char *last, u_char stop)
{
    ngx_uint_t  quoted;

    quoted = 0;

    for ( /* void */ ; p < last; p++) {

        if (*p == '"') {
            quoted = !quoted;

        } else if (quoted && *p == '\\') {
            p++;

        } else if (!quoted && *p == stop) {
            return p;
        }
    }

    return last;
}


/* without space, and without quotes */

static void
ngx_http_gray_accept_trim(ngx_str_t *s)
{
    while (s->len && (s->data[0] == ' ' || s->data[0] == '\t')) {
        s->data++;
        s->len--;
    }

    while (s->len
           && (s->data[s->len - 1] == ' ' || s->data[s->len - 1] == '\t'))
    {
        s->len--;
    }

    if (s->len > 1 && s->data[0] == '"' && s->data[s->len - 1] == '"') {
        s->data++;
        s->len -= 2;
    }
}


static ngx_uint_t
ngx_http_gray_accept_is(ngx_str_t *s, const char *other)
{
    return s->len == ngx_strlen(other)
           && ngx_strncasecmp(s->data, (u_char *) other, s->len) == 0;
}


/* in thousandths: more digits than three say nothing */

static ngx_int_t
ngx_http_gray_accept_q(ngx_str_t *value)
{
    size_t     i;
    ngx_int_t  q, scale;

    if (value->len == 0
        || (value->data[0] != '0' && value->data[0] != '1')
        || (value->len > 1 && value->data[1] != '.'))
    {
        return NGX_ERROR;
    }

    q = (value->data[0] - '0') * 1000;
    scale = 100;

    for (i = 2; i < value->len; i++) {

        if (value->data[i] < '0' || value->data[i] > '9'
            || (value->data[0] == '1' && value->data[i] != '0'))
        {
            return NGX_ERROR;
        }

        q += (value->data[i] - '0') * scale;
        scale /= 10;
    }

    return q;
}


static void
ngx_http_gray_accept_take(ngx_http_gray_accept_range_t *range,
    const ngx_http_gray_accept_media_t *media, ngx_str_t *type,
    ngx_str_t *version, ngx_uint_t q)
{
    ngx_uint_t  named;

    if (ngx_http_gray_accept_is(type, media->type)) {

        if (version->len
            && !ngx_http_gray_accept_is(version, media->version))
        {
            return;
        }

        named = version->len ? 4 : 3;

    } else if (ngx_http_gray_accept_is(type, media->like)) {
        named = 2;

    } else if (ngx_http_gray_accept_is(type, "*/*")) {
        named = 1;

    } else {
        return;
    }

    if (named > range->named || (named == range->named && q > range->q)) {
        range->named = named;
        range->q = q;
    }
}


/* who has no preference gets the text, as does who accepts neither */

ngx_uint_t
ngx_http_gray_accept_openmetrics(ngx_http_gray_accept_t *accept)
{
    ngx_http_gray_accept_range_t  *open, *text;

    open = &accept->openmetrics;
    text = &accept->text;

    return open->q > text->q
           || (open->q && open->q == text->q && open->named > text->named);
}
