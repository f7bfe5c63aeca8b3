
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_act.h"
#include "ngx_http_gray_admin.h"
#include "ngx_http_gray_call.h"
#include "ngx_http_gray_change.h"
#include "ngx_http_gray_explain.h"
#include "ngx_http_gray_history.h"
#include "ngx_http_gray_listing.h"
#include "ngx_http_gray_location.h"
#include "ngx_http_gray_metrics.h"
#include "ngx_http_gray_progress.h"
#include "ngx_http_gray_release.h"
#include "ngx_http_gray_reply.h"
#include "ngx_http_gray_stats.h"
#include "ngx_http_gray_upload.h"
#include "ngx_http_gray_view.h"


/* in a path, "*" is the name of a release, or of a list */

typedef struct {
    ngx_uint_t                  methods;
    ngx_uint_t                  flags;
    ngx_str_t                   path;
    ngx_http_gray_call_pt       handler;
} ngx_http_gray_route_t;


static ngx_int_t ngx_http_gray_admin_begin(ngx_http_request_t *r,
    ngx_http_gray_call_t *call, ngx_int_t *answer);
static ngx_int_t ngx_http_gray_admin_route(ngx_http_request_t *r,
    ngx_http_gray_call_t *call, ngx_int_t *answer);
static ngx_int_t ngx_http_gray_admin_path(ngx_http_request_t *r,
    ngx_str_t *path);
static ngx_uint_t ngx_http_gray_admin_match(ngx_str_t *pattern,
    ngx_str_t *path, ngx_str_t *name);
static ngx_str_t ngx_http_gray_admin_last(ngx_str_t *path);
static ngx_int_t ngx_http_gray_admin_nothing(ngx_http_request_t *r,
    ngx_str_t *path);
static ngx_int_t ngx_http_gray_admin_unknown(ngx_http_request_t *r,
    ngx_str_t *name);
static void ngx_http_gray_admin_resume(ngx_http_request_t *r);
static ngx_int_t ngx_http_gray_admin_index(ngx_http_request_t *r,
    ngx_http_gray_call_t *call);
static ngx_int_t ngx_http_gray_admin_releases(ngx_http_request_t *r,
    ngx_http_gray_call_t *call);
static ngx_int_t ngx_http_gray_admin_release(ngx_http_request_t *r,
    ngx_http_gray_call_t *call);
static ngx_int_t ngx_http_gray_admin_change(ngx_http_request_t *r,
    ngx_http_gray_call_t *call);
static ngx_int_t ngx_http_gray_admin_history(ngx_http_request_t *r,
    ngx_http_gray_call_t *call);
static ngx_int_t ngx_http_gray_admin_explain(ngx_http_request_t *r,
    ngx_http_gray_call_t *call);
static ngx_int_t ngx_http_gray_admin_stats(ngx_http_request_t *r,
    ngx_http_gray_call_t *call);
static ngx_int_t ngx_http_gray_admin_reset(ngx_http_request_t *r,
    ngx_http_gray_call_t *call);
static ngx_int_t ngx_http_gray_admin_rollout(ngx_http_request_t *r,
    ngx_http_gray_call_t *call);
static ngx_int_t ngx_http_gray_admin_act(ngx_http_request_t *r,
    ngx_http_gray_call_t *call);
static ngx_int_t ngx_http_gray_admin_verdict(ngx_http_request_t *r,
    ngx_http_gray_call_t *call);
static ngx_int_t ngx_http_gray_admin_gate(ngx_http_request_t *r,
    ngx_http_gray_call_t *call);
static ngx_int_t ngx_http_gray_admin_lists(ngx_http_request_t *r,
    ngx_http_gray_call_t *call);
static ngx_int_t ngx_http_gray_admin_list(ngx_http_request_t *r,
    ngx_http_gray_call_t *call);
static ngx_int_t ngx_http_gray_admin_upload(ngx_http_request_t *r,
    ngx_http_gray_call_t *call);
static ngx_int_t ngx_http_gray_admin_remove(ngx_http_request_t *r,
    ngx_http_gray_call_t *call);
static ngx_int_t ngx_http_gray_admin_status(ngx_http_request_t *r,
    ngx_http_gray_call_t *call);
static ngx_int_t ngx_http_gray_admin_metrics(ngx_http_request_t *r,
    ngx_http_gray_call_t *call);


static ngx_http_gray_route_t  ngx_http_gray_routes[] = {

    { NGX_HTTP_GRAY_READS, 0,
      ngx_string(""), ngx_http_gray_admin_index },

    { NGX_HTTP_GRAY_READS, 0,
      ngx_string("releases"), ngx_http_gray_admin_releases },

    { NGX_HTTP_GRAY_READS, 0,
      ngx_string("releases/*"), ngx_http_gray_admin_release },

    { NGX_HTTP_PUT|NGX_HTTP_PATCH,
      NGX_HTTP_GRAY_WRITES|NGX_HTTP_GRAY_BODY|NGX_HTTP_GRAY_COMMENT,
      ngx_string("releases/*"), ngx_http_gray_admin_change },

    { NGX_HTTP_DELETE, NGX_HTTP_GRAY_WRITES|NGX_HTTP_GRAY_COMMENT,
      ngx_string("releases/*"), ngx_http_gray_admin_change },

    { NGX_HTTP_GRAY_READS, NGX_HTTP_GRAY_HISTORY|NGX_HTTP_GRAY_NUMBER,
      ngx_string("releases/*/history"), ngx_http_gray_admin_history },

    { NGX_HTTP_POST,
      NGX_HTTP_GRAY_WRITES|NGX_HTTP_GRAY_BODY|NGX_HTTP_GRAY_COMMENT
      |NGX_HTTP_GRAY_HISTORY,
      ngx_string("releases/*/revert"), ngx_http_gray_admin_change },

    { NGX_HTTP_POST, NGX_HTTP_GRAY_BODY,
      ngx_string("releases/*/explain"), ngx_http_gray_admin_explain },

    { NGX_HTTP_GRAY_READS, NGX_HTTP_GRAY_WINDOW,
      ngx_string("releases/*/stats"), ngx_http_gray_admin_stats },

    { NGX_HTTP_POST, NGX_HTTP_GRAY_RESETS,
      ngx_string("releases/*/stats/reset"), ngx_http_gray_admin_reset },

    { NGX_HTTP_GRAY_READS, 0,
      ngx_string("releases/*/rollout"), ngx_http_gray_admin_rollout },

    { NGX_HTTP_POST, NGX_HTTP_GRAY_ACTS|NGX_HTTP_GRAY_COMMENT,
      ngx_string("releases/*/rollout/start"), ngx_http_gray_admin_act },

    { NGX_HTTP_POST, NGX_HTTP_GRAY_ACTS|NGX_HTTP_GRAY_COMMENT,
      ngx_string("releases/*/rollout/pause"), ngx_http_gray_admin_act },

    { NGX_HTTP_POST, NGX_HTTP_GRAY_ACTS|NGX_HTTP_GRAY_COMMENT,
      ngx_string("releases/*/rollout/resume"), ngx_http_gray_admin_act },

    { NGX_HTTP_POST, NGX_HTTP_GRAY_ACTS|NGX_HTTP_GRAY_COMMENT,
      ngx_string("releases/*/rollout/approve"), ngx_http_gray_admin_act },

    { NGX_HTTP_POST, NGX_HTTP_GRAY_ACTS|NGX_HTTP_GRAY_COMMENT,
      ngx_string("releases/*/rollout/promote"), ngx_http_gray_admin_act },

    { NGX_HTTP_POST, NGX_HTTP_GRAY_ACTS|NGX_HTTP_GRAY_COMMENT,
      ngx_string("releases/*/rollout/rollback"), ngx_http_gray_admin_act },

    { NGX_HTTP_POST, NGX_HTTP_GRAY_ACTS|NGX_HTTP_GRAY_COMMENT,
      ngx_string("releases/*/rollout/abort"), ngx_http_gray_admin_act },

    { NGX_HTTP_GRAY_READS, NGX_HTTP_GRAY_WAIT,
      ngx_string("releases/*/rollout/verdict"), ngx_http_gray_admin_verdict },

    { NGX_HTTP_GRAY_READS|NGX_HTTP_POST, 0,
      ngx_string("releases/*/rollout/gate"), ngx_http_gray_admin_gate },

    { NGX_HTTP_GRAY_READS, NGX_HTTP_GRAY_LIST,
      ngx_string("lists"), ngx_http_gray_admin_lists },

    { NGX_HTTP_GRAY_READS, NGX_HTTP_GRAY_LIST,
      ngx_string("lists/*"), ngx_http_gray_admin_list },

    { NGX_HTTP_PUT,
      NGX_HTTP_GRAY_LIST|NGX_HTTP_GRAY_WRITES|NGX_HTTP_GRAY_BODY,
      ngx_string("lists/*"), ngx_http_gray_admin_upload },

    { NGX_HTTP_DELETE, NGX_HTTP_GRAY_LIST|NGX_HTTP_GRAY_WRITES,
      ngx_string("lists/*"), ngx_http_gray_admin_remove },

    { NGX_HTTP_GRAY_READS, 0,
      ngx_string("status"), ngx_http_gray_admin_status },

    { NGX_HTTP_GRAY_READS, 0,
      ngx_string("metrics"), ngx_http_gray_admin_metrics },

    { 0, 0, ngx_null_string, NULL }
};


ngx_int_t
ngx_http_gray_admin_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc, answer;
    ngx_http_gray_call_t   call;

    if (ngx_http_gray_admin_begin(r, &call, &answer) != NGX_OK) {
        return answer;
    }

    if (!(call.flags & (NGX_HTTP_GRAY_CHANGES|NGX_HTTP_GRAY_BODY))) {
        return call.handler(r, &call);
    }

    if (!(call.flags & NGX_HTTP_GRAY_LIST)
        && r->headers_in.content_length_n
           > (off_t) ngx_http_gray_call_limit(&call))
    {
        return ngx_http_gray_call_large(r, &call);
    }

    rc = ngx_http_read_client_request_body(r, ngx_http_gray_admin_resume);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


/*
 * All that is judged before the body is read; nothing is kept, as it costs
 * little to do it again.  NGX_OK, or NGX_DONE with an answer.
 */

static ngx_int_t
ngx_http_gray_admin_begin(ngx_http_request_t *r, ngx_http_gray_call_t *call,
    ngx_int_t *answer)
{
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_gray_loc_conf_t  *glcf;

    glcf = ngx_http_get_module_loc_conf(r, ngx_http_gray_module);

    ngx_memzero(call, sizeof(ngx_http_gray_call_t));

    if (ngx_http_gray_location_enter(r, answer) != NGX_OK) {
        return NGX_DONE;
    }

    /* nginx has judged the body, and led the request here again */

    if (r->err_status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        *answer = ngx_http_gray_reply_problem(r, r->err_status,
                                "the body is larger than "
                                "\"client_max_body_size\" of nginx.conf "
                                "allows here, %O bytes",
                                clcf->client_max_body_size);
        return NGX_DONE;
    }

    if (ngx_http_gray_admin_route(r, call, answer) != NGX_OK) {
        return NGX_DONE;
    }

    if (glcf->readonly && (call->flags & NGX_HTTP_GRAY_CHANGES)) {
        *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_FORBIDDEN,
                                "nothing can be changed here: the location "
                                "has \"gray_admin readonly\"");
        return NGX_DONE;
    }

    if (ngx_http_gray_call_arguments(r, call, answer) != NGX_OK) {
        return NGX_DONE;
    }

    if ((call->flags & NGX_HTTP_GRAY_LIST)
        && ngx_http_gray_call_zone(r, call, answer) != NGX_OK)
    {
        return NGX_DONE;
    }

    if ((call->flags & NGX_HTTP_GRAY_COMMENT)
        && ngx_http_gray_call_comment(r, call, answer) != NGX_OK)
    {
        return NGX_DONE;
    }

    if ((call->flags & NGX_HTTP_GRAY_HISTORY)
        && call->release->zone->journals == NULL)
    {
        *answer = ngx_http_gray_history_none(r, call->release);
        return NGX_DONE;
    }

    if (call->flags & NGX_HTTP_GRAY_BODY) {
        return ngx_http_gray_call_media(r, call, answer);
    }

    call->kind = NGX_HTTP_GRAY_CHANGE_RESET;

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_admin_route(ngx_http_request_t *r, ngx_http_gray_call_t *call,
    ngx_int_t *answer)
{
    ngx_str_t                   path, name;
    ngx_uint_t                  methods;
    ngx_http_gray_route_t      *route;
    ngx_http_gray_main_conf_t  *gmcf;

    methods = 0;
    ngx_str_null(&name);
    ngx_str_null(&path);

    if (ngx_http_gray_admin_path(r, &path) == NGX_OK) {

        for (route = ngx_http_gray_routes; route->methods; route++) {

            if (!ngx_http_gray_admin_match(&route->path, &path, &name)) {
                continue;
            }

            methods |= route->methods;

            if (route->methods & r->method) {
                call->flags = route->flags;
                call->handler = route->handler;
            }
        }
    }

    if (methods == 0) {
        *answer = ngx_http_gray_admin_nothing(r, &path);
        return NGX_DONE;
    }

    if (call->handler == NULL) {
        *answer = ngx_http_gray_reply_allow(r, methods);
        return NGX_DONE;
    }

    if (call->flags & NGX_HTTP_GRAY_LIST) {
        call->name = name;
        return NGX_OK;
    }

    call->action = ngx_http_gray_admin_last(&path);

    if (name.len) {
        gmcf = ngx_http_get_module_main_conf(r, ngx_http_gray_module);
        call->release = ngx_http_gray_release_find(gmcf, &name);

        if (call->release == NULL) {
            *answer = ngx_http_gray_admin_unknown(r, &name);
            return NGX_DONE;
        }
    }

    return NGX_OK;
}


/* what follows the location's prefix, without a slash between them */

static ngx_int_t
ngx_http_gray_admin_path(ngx_http_request_t *r, ngx_str_t *path)
{
    ngx_str_t                 *prefix;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    prefix = &clcf->name;

    if (r->uri.len < prefix->len
        || ngx_filename_cmp(r->uri.data, prefix->data, prefix->len) != 0)
    {
        return NGX_DECLINED;
    }

    path->data = r->uri.data + prefix->len;
    path->len = r->uri.len - prefix->len;

    if (path->len == 0
        || (prefix->len && prefix->data[prefix->len - 1] == '/'))
    {
        return NGX_OK;
    }

    if (path->data[0] != '/') {
        return NGX_DECLINED;
    }

    path->data++;
    path->len--;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_gray_admin_match(ngx_str_t *pattern, ngx_str_t *path,
    ngx_str_t *name)
{
    u_char  *p, *star, *last, *end;

    star = ngx_strlchr(pattern->data, pattern->data + pattern->len, '*');

    if (star == NULL) {
        return path->len == pattern->len
               && ngx_strncmp(path->data, pattern->data, path->len) == 0;
    }

    p = path->data + (star - pattern->data);
    last = path->data + path->len;

    if (p >= last
        || ngx_strncmp(path->data, pattern->data, star - pattern->data) != 0)
    {
        return 0;
    }

    end = ngx_strlchr(p, last, '/');

    if (end == NULL) {
        end = last;
    }

    star++;

    if (end == p
        || last - end != pattern->data + pattern->len - star
        || ngx_strncmp(end, star, last - end) != 0)
    {
        return 0;
    }

    name->data = p;
    name->len = end - p;

    return 1;
}


/* what follows the last slash */

static ngx_str_t
ngx_http_gray_admin_last(ngx_str_t *path)
{
    u_char     *p;
    ngx_str_t   last;

    p = path->data + path->len;

    while (p > path->data && p[-1] != '/') {
        p--;
    }

    last.data = p;
    last.len = path->data + path->len - p;

    return last;
}


static ngx_int_t
ngx_http_gray_admin_nothing(ngx_http_request_t *r, ngx_str_t *path)
{
    ngx_str_t  above, last, name;

    static ngx_str_t  rollout = ngx_string("releases/*/rollout/");

    last = ngx_http_gray_admin_last(path);
    above = *path;
    above.len -= last.len;

    if (ngx_http_gray_admin_match(&rollout, &above, &name)) {
        return ngx_http_gray_reply_problem(r, NGX_HTTP_NOT_FOUND,
                                "no action \"%*s\" of a rollout; there are "
                                "start, pause, resume, approve, promote, "
                                "rollback and abort, and beside them verdict "
                                "and gate", ngx_min(last.len, 80), last.data);
    }

    return ngx_http_gray_reply_problem(r, NGX_HTTP_NOT_FOUND,
                                "there are releases, releases/NAME, "
                                "releases/NAME/history, "
                                "releases/NAME/revert, "
                                "releases/NAME/explain, "
                                "releases/NAME/stats, "
                                "releases/NAME/stats/reset, "
                                "releases/NAME/rollout, "
                                "releases/NAME/rollout/ACTION, lists, "
                                "lists/NAME, status and metrics");
}


static ngx_int_t
ngx_http_gray_admin_unknown(ngx_http_request_t *r, ngx_str_t *name)
{
    u_char                     *p, *last, names[512];
    ngx_uint_t                  i;
    ngx_http_gray_release_t   **release;
    ngx_http_gray_main_conf_t  *gmcf;

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_gray_module);
    release = gmcf->releases.elts;

    p = names;
    last = names + sizeof(names) - 1;

    for (i = 0; i < gmcf->releases.nelts; i++) {
        p = ngx_slprintf(p, last, "%s%V", i ? ", " : "", &release[i]->name);
    }

    *p = '\0';

    return ngx_http_gray_reply_problem(r, NGX_HTTP_NOT_FOUND,
                                "no release \"%*s\"; there are %s",
                                ngx_min(name->len, NGX_HTTP_GRAY_NAME),
                                name->data,
                                p == names ? (u_char *) "none" : names);
}


static void
ngx_http_gray_admin_resume(ngx_http_request_t *r)
{
    ngx_int_t             rc, answer;
    ngx_http_gray_call_t  call;

    if (ngx_http_gray_admin_begin(r, &call, &answer) != NGX_OK
        || ngx_http_gray_call_body(r, &call, &answer) != NGX_OK)
    {
        ngx_http_finalize_request(r, answer);
        return;
    }

    rc = call.handler(r, &call);

    /* else it goes on by a timer */

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


static ngx_int_t
ngx_http_gray_admin_index(ngx_http_request_t *r, ngx_http_gray_call_t *call)
{
    return ngx_http_gray_view_index(r);
}


static ngx_int_t
ngx_http_gray_admin_releases(ngx_http_request_t *r,
    ngx_http_gray_call_t *call)
{
    return ngx_http_gray_view_releases(r);
}


static ngx_int_t
ngx_http_gray_admin_release(ngx_http_request_t *r, ngx_http_gray_call_t *call)
{
    return ngx_http_gray_view_release(r, call->release);
}


static ngx_int_t
ngx_http_gray_admin_change(ngx_http_request_t *r, ngx_http_gray_call_t *call)
{
    return ngx_http_gray_change(r, call->release, call->kind, &call->body,
                                &call->comment, call->dry_run);
}


static ngx_int_t
ngx_http_gray_admin_history(ngx_http_request_t *r, ngx_http_gray_call_t *call)
{
    return ngx_http_gray_history(r, call->release, call->revision);
}


static ngx_int_t
ngx_http_gray_admin_explain(ngx_http_request_t *r, ngx_http_gray_call_t *call)
{
    return ngx_http_gray_explain(r, call->release, &call->body);
}


static ngx_int_t
ngx_http_gray_admin_stats(ngx_http_request_t *r, ngx_http_gray_call_t *call)
{
    return ngx_http_gray_stats(r, call->release, call->window);
}


static ngx_int_t
ngx_http_gray_admin_reset(ngx_http_request_t *r, ngx_http_gray_call_t *call)
{
    return ngx_http_gray_stats_reset(r, call->release);
}


static ngx_int_t
ngx_http_gray_admin_rollout(ngx_http_request_t *r, ngx_http_gray_call_t *call)
{
    return ngx_http_gray_progress(r, call->release);
}


static ngx_int_t
ngx_http_gray_admin_act(ngx_http_request_t *r, ngx_http_gray_call_t *call)
{
    return ngx_http_gray_act(r, call->release, &call->action, &call->body,
                             &call->comment);
}


static ngx_int_t
ngx_http_gray_admin_verdict(ngx_http_request_t *r, ngx_http_gray_call_t *call)
{
    return ngx_http_gray_progress_verdict(r, call->release, call->wait);
}


static ngx_int_t
ngx_http_gray_admin_gate(ngx_http_request_t *r, ngx_http_gray_call_t *call)
{
    return ngx_http_gray_progress_gate(r, call->release);
}


static ngx_int_t
ngx_http_gray_admin_lists(ngx_http_request_t *r, ngx_http_gray_call_t *call)
{
    return ngx_http_gray_listing_index(r, call->zone);
}


static ngx_int_t
ngx_http_gray_admin_list(ngx_http_request_t *r, ngx_http_gray_call_t *call)
{
    return ngx_http_gray_listing_get(r, call->zone, &call->name);
}


static ngx_int_t
ngx_http_gray_admin_upload(ngx_http_request_t *r, ngx_http_gray_call_t *call)
{
    return ngx_http_gray_upload(r, call->zone, &call->name, call->dry_run);
}


static ngx_int_t
ngx_http_gray_admin_remove(ngx_http_request_t *r, ngx_http_gray_call_t *call)
{
    return ngx_http_gray_upload_delete(r, call->zone, &call->name,
                                       call->dry_run);
}


static ngx_int_t
ngx_http_gray_admin_status(ngx_http_request_t *r, ngx_http_gray_call_t *call)
{
    return ngx_http_gray_view_status(r);
}


static ngx_int_t
ngx_http_gray_admin_metrics(ngx_http_request_t *r, ngx_http_gray_call_t *call)
{
    return ngx_http_gray_metrics(r, 0);
}
