
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_act.h"
#include "ngx_http_gray_commit.h"
#include "ngx_http_gray_progress.h"
#include "ngx_http_gray_reply.h"
#include "ngx_http_gray_rollout.h"


typedef struct {
    ngx_http_request_t         *request;
    ngx_str_t                   action;
    uint64_t                    revision;    /* that If-Match does not name, */
    ngx_uint_t                  none;        /* unsigned  none:1; or that
                                                If-None-Match does */
    ngx_uint_t                  under_way;   /* unsigned  under_way:1; */
    ngx_http_gray_rollout_t     rollout;
} ngx_http_gray_act_t;


static ngx_http_gray_command_e ngx_http_gray_act_command(ngx_str_t *action);
static ngx_int_t ngx_http_gray_act_body(ngx_http_request_t *r,
    ngx_http_gray_command_e *command, ngx_str_t *body, ngx_int_t *answer);
static void ngx_http_gray_act_judge(const ngx_http_gray_json_t *json,
    ngx_http_gray_command_e *command, ngx_http_gray_faults_t *faults);
static void ngx_http_gray_act_who(ngx_http_request_t *r, ngx_str_t *comment,
    char *who, size_t size);
static u_char *ngx_http_gray_act_escape(u_char *p, u_char *last,
    ngx_str_t *text);
static ngx_uint_t ngx_http_gray_act_holds(ngx_http_gray_rollout_t *rollout,
    uint64_t revision);
static void ngx_http_gray_act_done(ngx_http_gray_rollout_t *rollout,
    ngx_int_t rc);
static ngx_int_t ngx_http_gray_act_answer(ngx_http_gray_act_t *act,
    ngx_int_t rc);
static void ngx_http_gray_act_cleanup(void *data);


ngx_int_t
ngx_http_gray_act(ngx_http_request_t *r, ngx_http_gray_release_t *release,
    ngx_str_t *action, ngx_str_t *body, ngx_str_t *comment)
{
    ngx_int_t                 rc, answer;
    ngx_pool_cleanup_t       *cln;
    ngx_http_gray_act_t      *act;
    ngx_http_gray_command_e   command;

    command = ngx_http_gray_act_command(action);

    if (ngx_http_gray_act_body(r, &command, body, &answer) != NGX_OK
        || ngx_http_gray_progress_there(r, release, &answer) != NGX_OK)
    {
        return answer;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_gray_act_t));
    if (cln == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    act = cln->data;
    ngx_memzero(act, sizeof(ngx_http_gray_act_t));

    cln->handler = ngx_http_gray_act_cleanup;

    act->request = r;
    act->action = *action;
    act->rollout.release = release;
    act->rollout.command = command;
    act->rollout.holds = ngx_http_gray_act_holds;
    act->rollout.done = ngx_http_gray_act_done;
    act->rollout.data = act;

    ngx_http_gray_act_who(r, comment, act->rollout.who,
                          sizeof(act->rollout.who));

    act->under_way = 1;

    rc = ngx_http_gray_rollout_start(&act->rollout);

    return rc == NGX_DONE ? NGX_DONE : ngx_http_gray_act_answer(act, rc);
}


static ngx_http_gray_command_e
ngx_http_gray_act_command(ngx_str_t *action)
{
    ngx_str_t   *name;
    ngx_uint_t   i;

    for (i = 0; i < NGX_HTTP_GRAY_STAGE_COMMANDS; i++) {
        name = &ngx_http_gray_actions[i];

        if (i != NGX_HTTP_GRAY_STAGE_FULL
            && name->len == action->len
            && ngx_strncmp(name->data, action->data, action->len) == 0)
        {
            break;
        }
    }

    return i;
}


/* NGX_OK, or NGX_DONE with an answer */

static ngx_int_t
ngx_http_gray_act_body(ngx_http_request_t *r,
    ngx_http_gray_command_e *command, ngx_str_t *body, ngx_int_t *answer)
{
    ngx_http_gray_json_t        *json;
    ngx_http_gray_faults_t       faults;
    ngx_http_gray_json_error_t   err;

    if (body->len == 0) {
        return NGX_OK;
    }

    json = ngx_http_gray_json_parse(body->data, body->len, &err);

    if (json == NULL) {
        *answer = ngx_http_gray_reply_malformed(r, &err);
        return NGX_DONE;
    }

    faults.n = 0;

    ngx_http_gray_act_judge(json, command, &faults);

    ngx_http_gray_json_free(json);

    if (faults.n == 0) {
        return NGX_OK;
    }

    *answer = ngx_http_gray_reply_faults(r, 422, "Invalid action", &faults);

    return NGX_DONE;
}


static void
ngx_http_gray_act_judge(const ngx_http_gray_json_t *json,
    ngx_http_gray_command_e *command, ngx_http_gray_faults_t *faults)
{
    ngx_uint_t             promote;
    ngx_http_gray_path_t   path;
    ngx_http_gray_json_t  *member;

    promote = (*command == NGX_HTTP_GRAY_STAGE_PROMOTE);

    if (ngx_http_gray_json_type(json) != NGX_HTTP_GRAY_JSON_OBJECT) {
        ngx_http_gray_json_fault(faults, NULL, "must be an object");
        return;
    }

    path.parent = NULL;

    for (member = ngx_http_gray_json_first(json);
         member;
         member = ngx_http_gray_json_next(member))
    {
        path.key = ngx_http_gray_json_key(member);

        if (!promote || ngx_strcmp(path.key, "full") != 0) {
            ngx_http_gray_json_fault(faults, &path, "unknown member; there is "
                                     "%s", promote ? "full" : "none");

        } else if (ngx_http_gray_json_type(member)
                   != NGX_HTTP_GRAY_JSON_BOOLEAN)
        {
            ngx_http_gray_json_fault(faults, &path, "must be true or false");

        } else if (ngx_http_gray_json_true(member)) {
            *command = NGX_HTTP_GRAY_STAGE_FULL;
        }
    }
}


/* "USER (ADDRESS): COMMENT", of which there may be the address alone */

static void
ngx_http_gray_act_who(ngx_http_request_t *r, ngx_str_t *comment, char *who,
    size_t size)
{
    u_char     *p, *last;
    ngx_str_t  *address;

    p = (u_char *) who;
    last = p + size - 1;
    address = &r->connection->addr_text;

    /* as for $remote_user */

    if (ngx_http_auth_basic_user(r) == NGX_OK) {

        /* the address is not what is cut */

        p = ngx_http_gray_act_escape(p, last - address->len - 3,
                                     &r->headers_in.user);
        p = ngx_slprintf(p, last, " (%V)", address);

    } else {
        p = ngx_slprintf(p, last, "%V", address);
    }

    if (comment->len) {
        p = ngx_slprintf(p, last, ": ");
        p = ngx_http_gray_act_escape(p, last, comment);
    }

    *p = '\0';
}


/* what does not fit is cut, but never inside of a character of UTF-8 */

static u_char *
ngx_http_gray_act_escape(u_char *p, u_char *last, ngx_str_t *text)
{
    size_t  i, len;
    u_char  c;

    for (i = 0; i < text->len; i += len) {
        c = text->data[i];

        if (c < ' ' || c == 0x7f) {

            if (last - p < 4) {
                return p;
            }

            p = ngx_slprintf(p, last, "\\x%02xd", c);
            len = 1;
            continue;
        }

        len = 1;

        while (i + len < text->len && (text->data[i + len] & 0xc0) == 0x80) {
            len++;
        }

        if ((size_t) (last - p) < len) {
            return p;
        }

        p = ngx_cpymem(p, &text->data[i], len);
    }

    return p;
}


/*
 * The document's revision, which moves with each step: who asks again, as an
 * answer was lost, does not approve the next gate, too.
 */

static ngx_uint_t
ngx_http_gray_act_holds(ngx_http_gray_rollout_t *rollout, uint64_t revision)
{
    ngx_http_gray_act_t  *act;

    act = rollout->data;

    act->none = (ngx_http_gray_reply_matches(act->request, "If-None-Match",
                                             revision, 1)
                 == 1);

    if (!act->none
        && ngx_http_gray_reply_matches(act->request, "If-Match", revision, 0)
           != 0)
    {
        return 1;
    }

    act->revision = revision;

    return 0;
}


static void
ngx_http_gray_act_done(ngx_http_gray_rollout_t *rollout, ngx_int_t rc)
{
    ngx_connection_t     *c;
    ngx_http_request_t   *r;
    ngx_http_gray_act_t  *act;

    act = rollout->data;
    r = act->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_finalize_request(r, ngx_http_gray_act_answer(act, rc));

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_gray_act_answer(ngx_http_gray_act_t *act, ngx_int_t rc)
{
    ngx_http_request_t       *r;
    ngx_http_gray_release_t  *release;

    r = act->request;
    release = act->rollout.release;

    act->under_way = 0;

    switch (rc) {

    case NGX_OK:
        break;

    case NGX_DECLINED:

        if (act->revision) {
            return ngx_http_gray_reply_problem(r,
                                NGX_HTTP_PRECONDITION_FAILED, act->none
                                ? "If-None-Match names the current revision, "
                                  "%uL, or \"*\": there is one"
                                : "If-Match names another revision than the "
                                  "current one, %uL", act->revision);
        }

        return ngx_http_gray_reply_problem(r, NGX_HTTP_CONFLICT, "%s",
                                           act->rollout.refused);

    case NGX_AGAIN:
        return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "another process writes to the zone \"%V\" "
                                "for %d ms", &release->zone_name,
                                NGX_HTTP_GRAY_COMMIT_PATIENCE);

    case NGX_ABORT:
        return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "nginx was reloaded and this connection is "
                                "one to an old worker, connect again");

    default: /* NGX_ERROR */
        return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "the rollout has changed, but %s",
                                act->rollout.refused);
    }

    ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                  "gray: release \"%V\" rollout %V by %s", &release->name,
                  &act->action, act->rollout.who);

    return ngx_http_gray_progress(r, release);
}


static void
ngx_http_gray_act_cleanup(void *data)
{
    ngx_http_gray_act_t *act = data;

    if (act->under_way) {
        ngx_http_gray_rollout_leave(&act->rollout);
    }
}
