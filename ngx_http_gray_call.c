
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_call.h"
#include "ngx_http_gray_record.h"
#include "ngx_http_gray_reply.h"


#define NGX_HTTP_GRAY_SURPLUS  65536    /* bytes of a body over a document */

#define NGX_HTTP_GRAY_WINDOW_MIN  10    /* seconds */
#define NGX_HTTP_GRAY_WINDOW_MAX  3600

#define NGX_HTTP_GRAY_WAIT_MAX    3600  /* seconds */


/* an argument, of routes with that flag; "set": NULL, or what it must be */

typedef struct {
    ngx_uint_t                  flag;
    ngx_str_t                   name;
    const char               *(*set)(ngx_http_gray_call_t *call,
                                     ngx_str_t *value);
} ngx_http_gray_argument_t;


/* what a body may be, and how it changes a document */

typedef struct {
    ngx_uint_t                  methods;
    ngx_uint_t                  list;       /* unsigned  list:1; */
    ngx_str_t                   type;
    ngx_http_gray_change_e      kind;
} ngx_http_gray_media_t;


static ngx_http_gray_argument_t *ngx_http_gray_call_argument(
    ngx_http_gray_call_t *call, ngx_str_t *name);
static ngx_int_t ngx_http_gray_call_unknown(ngx_http_request_t *r,
    ngx_http_gray_call_t *call, ngx_str_t *name);
static const char *ngx_http_gray_call_set_dry_run(ngx_http_gray_call_t *call,
    ngx_str_t *value);
static const char *ngx_http_gray_call_set_zone(ngx_http_gray_call_t *call,
    ngx_str_t *value);
static const char *ngx_http_gray_call_set_comment(ngx_http_gray_call_t *call,
    ngx_str_t *value);
static const char *ngx_http_gray_call_set_revision(ngx_http_gray_call_t *call,
    ngx_str_t *value);
static const char *ngx_http_gray_call_set_window(ngx_http_gray_call_t *call,
    ngx_str_t *value);
static const char *ngx_http_gray_call_set_wait(ngx_http_gray_call_t *call,
    ngx_str_t *value);
static ngx_table_elt_t *ngx_http_gray_call_header(ngx_http_request_t *r,
    const char *name);
static off_t ngx_http_gray_call_received(ngx_http_request_t *r);
static u_char *ngx_http_gray_call_copy(ngx_buf_t *b, u_char *p);


static ngx_http_gray_argument_t  ngx_http_gray_arguments[] = {

    { NGX_HTTP_GRAY_WRITES, ngx_string("dry_run"),
      ngx_http_gray_call_set_dry_run },

    { NGX_HTTP_GRAY_LIST, ngx_string("zone"), ngx_http_gray_call_set_zone },

    { NGX_HTTP_GRAY_COMMENT, ngx_string("comment"),
      ngx_http_gray_call_set_comment },

    { NGX_HTTP_GRAY_NUMBER, ngx_string("revision"),
      ngx_http_gray_call_set_revision },

    { NGX_HTTP_GRAY_WINDOW, ngx_string("window"),
      ngx_http_gray_call_set_window },

    { NGX_HTTP_GRAY_WAIT, ngx_string("wait"), ngx_http_gray_call_set_wait },

    { 0, ngx_null_string, NULL }
};


static ngx_http_gray_media_t  ngx_http_gray_media[] = {

    { NGX_HTTP_POST, 0, ngx_string("application/json"),
      NGX_HTTP_GRAY_CHANGE_REVERT },

    { NGX_HTTP_PUT, 0, ngx_string("application/json"),
      NGX_HTTP_GRAY_CHANGE_REPLACE },

    { NGX_HTTP_PATCH, 0, ngx_string("application/json"),
      NGX_HTTP_GRAY_CHANGE_MERGE },

    { NGX_HTTP_PATCH, 0, ngx_string("application/merge-patch+json"),
      NGX_HTTP_GRAY_CHANGE_MERGE },

    { NGX_HTTP_PATCH, 0, ngx_string("application/json-patch+json"),
      NGX_HTTP_GRAY_CHANGE_PATCH },

    { NGX_HTTP_PUT, 1, ngx_string("text/plain"), 0 },

    { 0, 0, ngx_null_string, 0 }
};


ngx_int_t
ngx_http_gray_call_arguments(ngx_http_request_t *r,
    ngx_http_gray_call_t *call, ngx_int_t *answer)
{
    u_char                    *p, *last, *end, *sign;
    ngx_str_t                  name, value;
    const char                *accepted;
    ngx_uint_t                 given;
    ngx_http_gray_argument_t  *argument;

    p = r->args.data;
    last = p + r->args.len;
    given = 0;

    for ( /* void */ ; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '&');

        if (end == NULL) {
            end = last;
        }

        if (end == p) {
            continue;
        }

        sign = ngx_strlchr(p, end, '=');

        if (sign == NULL) {
            sign = end;
        }

        name.data = p;
        name.len = sign - p;
        value.data = ngx_min(sign + 1, end);
        value.len = end - value.data;

        argument = ngx_http_gray_call_argument(call, &name);

        if (argument == NULL) {
            *answer = ngx_http_gray_call_unknown(r, call, &name);
            return NGX_DONE;
        }

        if (given & argument->flag) {
            *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_BAD_REQUEST,
                                "the argument %V is given twice",
                                &argument->name);
            return NGX_DONE;
        }

        given |= argument->flag;

        accepted = argument->set(call, &value);

        if (accepted) {
            *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_BAD_REQUEST,
                                "invalid value \"%*s\" of the argument "
                                "%V, must be %s",
                                ngx_min(value.len, 80), value.data,
                                &argument->name, accepted);
            return NGX_DONE;
        }
    }

    return NGX_OK;
}


static ngx_http_gray_argument_t *
ngx_http_gray_call_argument(ngx_http_gray_call_t *call, ngx_str_t *name)
{
    ngx_http_gray_argument_t  *argument;

    for (argument = ngx_http_gray_arguments; argument->flag; argument++) {

        if ((argument->flag & call->flags)
            && argument->name.len == name->len
            && ngx_strncmp(argument->name.data, name->data, name->len) == 0)
        {
            return argument;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_gray_call_unknown(ngx_http_request_t *r, ngx_http_gray_call_t *call,
    ngx_str_t *name)
{
    u_char                    *p, *last, names[128];
    ngx_http_gray_argument_t  *argument;

    p = names;
    last = names + sizeof(names) - 1;

    for (argument = ngx_http_gray_arguments; argument->flag; argument++) {
        if (argument->flag & call->flags) {
            p = ngx_slprintf(p, last, "%s%V", p == names ? "" : ", ",
                             &argument->name);
        }
    }

    *p = '\0';

    return ngx_http_gray_reply_problem(r, NGX_HTTP_BAD_REQUEST,
                                "unknown argument \"%*s\"; there is %s",
                                ngx_min(name->len, 80), name->data,
                                p == names ? (u_char *) "none" : names);
}


static const char *
ngx_http_gray_call_set_dry_run(ngx_http_gray_call_t *call, ngx_str_t *value)
{
    if (value->len != 1 || (value->data[0] != '0' && value->data[0] != '1')) {
        return "0 or 1";
    }

    call->dry_run = (value->data[0] == '1');

    return NULL;
}


static const char *
ngx_http_gray_call_set_zone(ngx_http_gray_call_t *call, ngx_str_t *value)
{
    call->zone_name = *value;

    return NULL;
}


static const char *
ngx_http_gray_call_set_comment(ngx_http_gray_call_t *call, ngx_str_t *value)
{
    /* as it was sent: it is decoded once there is memory for it */

    call->comment = *value;

    return NULL;
}


static const char *
ngx_http_gray_call_set_revision(ngx_http_gray_call_t *call, ngx_str_t *value)
{
    off_t  n;

    n = ngx_atoof(value->data, value->len);

    if (n == NGX_ERROR || n == 0) {
        return "the number of a revision";
    }

    call->revision = n;

    return NULL;
}


/* a time as nginx.conf has it, but with a unit */

static const char *
ngx_http_gray_call_set_window(ngx_http_gray_call_t *call, ngx_str_t *value)
{
    u_char     last;
    ngx_int_t  n;

    last = value->len ? value->data[value->len - 1] : '0';
    n = ngx_parse_time(value, 1);

    if ((last >= '0' && last <= '9')
        || n < NGX_HTTP_GRAY_WINDOW_MIN
        || n > NGX_HTTP_GRAY_WINDOW_MAX)
    {
        return "10s to 1h";
    }

    call->window = n;

    return NULL;
}


/* likewise, but for 0, which is the same in all units */

static const char *
ngx_http_gray_call_set_wait(ngx_http_gray_call_t *call, ngx_str_t *value)
{
    u_char     last;
    ngx_int_t  n;

    last = value->len ? value->data[value->len - 1] : '0';
    n = ngx_parse_time(value, 1);

    if (n < 0 || n > NGX_HTTP_GRAY_WAIT_MAX
        || (n && last >= '0' && last <= '9'))
    {
        return "0 to 1h, as 30s or 5m";
    }

    call->wait = n;

    return NULL;
}


ngx_int_t
ngx_http_gray_call_comment(ngx_http_request_t *r, ngx_http_gray_call_t *call,
    ngx_int_t *answer)
{
    u_char           *p, *src;
    ngx_str_t         value;
    ngx_table_elt_t  *header;

    value = call->comment;

    if (value.len) {
        p = ngx_pnalloc(r->pool, value.len);

        if (p == NULL) {
            *answer = NGX_HTTP_SERVICE_UNAVAILABLE;
            return NGX_DONE;
        }

        src = value.data;
        value.data = p;

        for (src = call->comment.data;
             src < call->comment.data + call->comment.len;
             src++)
        {
            *p++ = (*src == '+') ? ' ' : *src;
        }

        src = value.data;
        p = value.data;

        ngx_unescape_uri(&p, &src, value.len, 0);

        value.len = p - value.data;

    } else {
        header = ngx_http_gray_call_header(r, "X-Gray-Comment");

        if (header) {
            value = header->value;
        }
    }

    if (value.len > NGX_HTTP_GRAY_RECORD_COMMENT) {
        *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_BAD_REQUEST,
                                "the comment is %uz bytes long, more than %d",
                                value.len, NGX_HTTP_GRAY_RECORD_COMMENT);
        return NGX_DONE;
    }

    call->comment = value;

    return NGX_OK;
}


static ngx_table_elt_t *
ngx_http_gray_call_header(ngx_http_request_t *r, const char *name)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    len = ngx_strlen(name);
    part = &r->headers_in.headers.part;
    header = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            header = part->elts;
            i = 0;
        }

        if (header[i].key.len == len
            && ngx_strncasecmp(header[i].key.data, (u_char *) name, len) == 0)
        {
            return &header[i];
        }
    }
}


/* that of the argument, or the only one that has lists */

ngx_int_t
ngx_http_gray_call_zone(ngx_http_request_t *r, ngx_http_gray_call_t *call,
    ngx_int_t *answer)
{
    u_char                     *p, *last, names[512];
    ngx_str_t                  *name;
    ngx_uint_t                  i, n;
    ngx_http_gray_zone_t      **zone;
    ngx_http_gray_main_conf_t  *gmcf;

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_gray_module);
    zone = gmcf->zones.elts;

    p = names;
    last = names + sizeof(names) - 1;
    n = 0;

    for (i = 0; i < gmcf->zones.nelts; i++) {

        if (zone[i]->lists == NULL) {
            continue;
        }

        name = &zone[i]->shm_zone->shm.name;
        p = ngx_slprintf(p, last, "%s%V", n ? ", " : "", name);

        if (call->zone_name.data == NULL
            || (call->zone_name.len == name->len
                && ngx_memcmp(call->zone_name.data, name->data, name->len)
                   == 0))
        {
            call->zone = zone[i];
            n += (call->zone_name.data == NULL);
        }
    }

    *p = '\0';

    if (p == names) {
        *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_CONFLICT,
                                "no zone has lists: they need \"state=DIR\" "
                                "of gray_zone");
        return NGX_DONE;
    }

    if (n > 1 && call->name.len == 0) {
        call->zone = NULL;
        return NGX_OK;
    }

    if (n > 1 || call->zone == NULL) {
        *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_BAD_REQUEST,
                                "the argument \"zone\" must be one of %s",
                                names);
        return NGX_DONE;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_call_media(ngx_http_request_t *r, ngx_http_gray_call_t *call,
    ngx_int_t *answer)
{
    u_char                 *p, *last, types[128];
    ngx_str_t               type;
    ngx_uint_t              list;
    ngx_http_gray_media_t  *media;

    ngx_str_null(&type);

    if (r->headers_in.content_type) {
        type = r->headers_in.content_type->value;
    }

    /* parameters, as a charset, do not matter: all is UTF-8 */

    p = ngx_strlchr(type.data, type.data + type.len, ';');

    if (p) {
        type.len = p - type.data;
    }

    while (type.len && (type.data[type.len - 1] == ' '
                        || type.data[type.len - 1] == '\t'))
    {
        type.len--;
    }

    p = types;
    last = types + sizeof(types) - 1;

    list = (call->flags & NGX_HTTP_GRAY_LIST) ? 1 : 0;

    for (media = ngx_http_gray_media; media->methods; media++) {

        if (!(media->methods & r->method) || media->list != list) {
            continue;
        }

        if (media->type.len == type.len
            && ngx_strncasecmp(media->type.data, type.data, type.len) == 0)
        {
            call->kind = media->kind;
            return NGX_OK;
        }

        p = ngx_slprintf(p, last, "%s%V", p == types ? "" : ", ",
                         &media->type);
    }

    *p = '\0';

    if (r->method == NGX_HTTP_PATCH
        && ngx_http_gray_reply_header(r, "Accept-Patch", "%s", types)
           != NGX_OK)
    {
        *answer = NGX_HTTP_SERVICE_UNAVAILABLE;
        return NGX_DONE;
    }

    *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                "the Content-Type must be %s; use curl %s",
                                types, list
                                ? "--data-binary @FILE "
                                  "-H 'Content-Type: text/plain'"
                                : "--json");
    return NGX_DONE;
}


/* a document with white space, or a patch of one */

size_t
ngx_http_gray_call_limit(ngx_http_gray_call_t *call)
{
    return 2 * call->release->zone->document + NGX_HTTP_GRAY_SURPLUS;
}


ngx_int_t
ngx_http_gray_call_large(ngx_http_request_t *r, ngx_http_gray_call_t *call)
{
    return ngx_http_gray_reply_problem(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                "the body must be at most %uz bytes long, as "
                                "documents are of at most %uz: document=SIZE "
                                "of gray_zone",
                                ngx_http_gray_call_limit(call),
                                call->release->zone->document);
}


ngx_int_t
ngx_http_gray_call_body(ngx_http_request_t *r, ngx_http_gray_call_t *call,
    ngx_int_t *answer)
{
    off_t         len;
    u_char       *p;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    len = ngx_http_gray_call_received(r);

    /* a list is taken from where the body is */

    if (call->flags & NGX_HTTP_GRAY_BODY
        && call->flags & NGX_HTTP_GRAY_LIST)
    {
        return NGX_OK;
    }

    if (call->release && len > (off_t) ngx_http_gray_call_limit(call)) {
        *answer = ngx_http_gray_call_large(r, call);
        return NGX_DONE;
    }

    if (len && !(call->flags & (NGX_HTTP_GRAY_BODY|NGX_HTTP_GRAY_ACTS))) {
        *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_BAD_REQUEST,
                                "%V takes no body", &r->method_name);
        return NGX_DONE;
    }

    ngx_str_null(&call->body);

    if (len == 0) {
        return NGX_OK;
    }

    if ((call->flags & NGX_HTTP_GRAY_ACTS)
        && ngx_http_gray_call_media(r, call, answer) != NGX_OK)
    {
        return NGX_DONE;
    }

    cl = r->request_body->bufs;
    b = cl->buf;

    if (cl->next == NULL && ngx_buf_in_memory(b)) {
        call->body.data = b->pos;
        call->body.len = b->last - b->pos;
        return NGX_OK;
    }

    call->body.len = len;
    call->body.data = ngx_pnalloc(r->pool, call->body.len);

    for (p = call->body.data; p && cl; cl = cl->next) {
        p = ngx_http_gray_call_copy(cl->buf, p);
    }

    if (p == NULL) {
        *answer = NGX_HTTP_SERVICE_UNAVAILABLE;
        return NGX_DONE;
    }

    return NGX_OK;
}


static off_t
ngx_http_gray_call_received(ngx_http_request_t *r)
{
    off_t         len;
    ngx_chain_t  *cl;

    len = 0;

    if (r->request_body) {
        for (cl = r->request_body->bufs; cl; cl = cl->next) {
            len += ngx_buf_size(cl->buf);
        }
    }

    return len;
}


static u_char *
ngx_http_gray_call_copy(ngx_buf_t *b, u_char *p)
{
    off_t    pos;
    ssize_t  n;

    if (ngx_buf_in_memory(b)) {
        return ngx_cpymem(p, b->pos, b->last - b->pos);
    }

    if (!b->in_file) {
        return p;
    }

    for (pos = b->file_pos; pos < b->file_last; pos += n) {

        n = ngx_read_file(b->file, p, (size_t) (b->file_last - pos), pos);

        if (n <= 0) {
            return NULL;
        }

        p += n;
    }

    return p;
}
