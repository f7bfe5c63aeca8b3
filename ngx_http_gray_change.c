
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_change.h"
#include "ngx_http_gray_commit.h"
#include "ngx_http_gray_history.h"
#include "ngx_http_gray_live.h"
#include "ngx_http_gray_patch.h"
#include "ngx_http_gray_record.h"
#include "ngx_http_gray_reply.h"
#include "ngx_http_gray_rollout.h"


#define NGX_HTTP_GRAY_CHANGE_PAUSE    2       /* ms */
#define NGX_HTTP_GRAY_CHANGE_CONTEST  2000    /* ms, with other writers */


typedef struct {
    ngx_http_request_t         *request;
    ngx_http_gray_release_t    *release;
    ngx_http_gray_change_e      kind;
    ngx_http_gray_origin_e      origin;
    ngx_uint_t                  dry_run;
    ngx_http_gray_json_t       *body;
    ngx_str_t                   comment;

    ngx_http_gray_history_t    *history;    /* NULL: nothing was recalled */
    ngx_uint_t                  recalled;   /* unsigned  recalled:1; */

    /* one attempt: on top of a revision, to be the next one */

    ngx_http_gray_snapshot_t    snapshot;
    ngx_http_gray_json_t       *current;
    ngx_http_gray_json_t       *input;
    ngx_http_gray_json_t       *doc;
    ngx_str_t                   text;

    ngx_http_gray_commit_t     *commit;     /* NULL: nothing is under way */

    ngx_uint_t                  caught_up;  /* unsigned  caught_up:1; with the
                                               journal, when it began */
    ngx_uint_t                  attempts;
    ngx_event_t                 event;
    ngx_msec_t                  begun;
    ngx_msec_t                  since;      /* when it was too late first */
} ngx_http_gray_change_t;


typedef ngx_int_t (*ngx_http_gray_change_pt)(ngx_http_gray_change_t *change,
    ngx_http_gray_faults_t *faults);


static ngx_int_t ngx_http_gray_change_run(ngx_http_gray_change_t *change);
static ngx_int_t ngx_http_gray_change_prepare(ngx_http_gray_change_t *change,
    ngx_int_t *answer);
static ngx_int_t ngx_http_gray_change_compose(ngx_http_gray_change_t *change,
    ngx_int_t *answer);
static ngx_int_t ngx_http_gray_change_replace(ngx_http_gray_change_t *change,
    ngx_http_gray_faults_t *faults);
static ngx_int_t ngx_http_gray_change_merge(ngx_http_gray_change_t *change,
    ngx_http_gray_faults_t *faults);
static ngx_int_t ngx_http_gray_change_patch(ngx_http_gray_change_t *change,
    ngx_http_gray_faults_t *faults);
static ngx_int_t ngx_http_gray_change_seen(ngx_http_gray_change_t *change);
static ngx_int_t ngx_http_gray_change_revert(ngx_http_gray_change_t *change,
    ngx_http_gray_faults_t *faults);
static void ngx_http_gray_change_recalled(ngx_http_gray_history_t *history);
static ngx_int_t ngx_http_gray_change_reset(ngx_http_gray_change_t *change,
    ngx_http_gray_faults_t *faults);
static ngx_int_t ngx_http_gray_change_stale(ngx_http_gray_change_t *change,
    ngx_int_t *answer);
static ngx_int_t ngx_http_gray_change_build(ngx_http_gray_change_t *change,
    ngx_int_t *answer);
static ngx_int_t ngx_http_gray_change_catch_up(
    ngx_http_gray_change_t *change);
static ngx_http_gray_commit_t *ngx_http_gray_change_commit(
    ngx_http_gray_change_t *change);
static ngx_uint_t ngx_http_gray_change_holds(ngx_http_gray_commit_t *commit);
static ngx_int_t ngx_http_gray_change_copy(ngx_str_t *to,
    const ngx_str_t *from);
static void ngx_http_gray_change_done(ngx_http_gray_commit_t *commit,
    ngx_int_t rc);
static ngx_int_t ngx_http_gray_change_go_on(ngx_http_gray_change_t *change,
    ngx_int_t rc);
static ngx_int_t ngx_http_gray_change_written(ngx_http_gray_change_t *change,
    ngx_int_t rc);
static ngx_int_t ngx_http_gray_change_failed(ngx_http_gray_change_t *change);
static ngx_int_t ngx_http_gray_change_answer(ngx_http_gray_change_t *change,
    ngx_http_gray_json_t *doc, uint64_t revision,
    ngx_http_gray_origin_e origin);
static ngx_http_gray_json_t *ngx_http_gray_change_present(
    ngx_http_gray_change_t *change, ngx_http_gray_json_t *doc,
    uint64_t revision, ngx_http_gray_origin_e origin);
static ngx_int_t ngx_http_gray_change_short(ngx_http_gray_change_t *change);
static ngx_int_t ngx_http_gray_change_wait(ngx_http_gray_change_t *change);
static void ngx_http_gray_change_handler(ngx_event_t *ev);
static void ngx_http_gray_change_resume(ngx_http_gray_change_t *change);
static void ngx_http_gray_change_clear(ngx_http_gray_change_t *change);
static void ngx_http_gray_change_cleanup(void *data);


/* by ngx_http_gray_change_e */

static ngx_http_gray_change_pt  ngx_http_gray_changes[] = {
    ngx_http_gray_change_replace,
    ngx_http_gray_change_merge,
    ngx_http_gray_change_patch,
    ngx_http_gray_change_revert,
    ngx_http_gray_change_reset
};


ngx_int_t
ngx_http_gray_change(ngx_http_request_t *r, ngx_http_gray_release_t *release,
    ngx_http_gray_change_e kind, ngx_str_t *body, ngx_str_t *comment,
    ngx_uint_t dry_run)
{
    ngx_pool_cleanup_t          *cln;
    ngx_http_gray_change_t      *change;
    ngx_http_gray_json_error_t   err;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_gray_change_t));
    if (cln == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    change = cln->data;
    ngx_memzero(change, sizeof(ngx_http_gray_change_t));

    cln->handler = ngx_http_gray_change_cleanup;

    change->request = r;
    change->release = release;
    change->kind = kind;
    change->origin = (kind == NGX_HTTP_GRAY_CHANGE_RESET)
                     ? NGX_HTTP_GRAY_DECLARED : NGX_HTTP_GRAY_API;
    change->comment = *comment;
    change->dry_run = dry_run;
    change->begun = ngx_current_msec;

    if (kind != NGX_HTTP_GRAY_CHANGE_RESET) {
        change->body = ngx_http_gray_json_parse(body->data, body->len, &err);

        if (change->body == NULL) {
            return ngx_http_gray_reply_malformed(r, &err);
        }
    }

    return ngx_http_gray_change_run(change);
}


/* one attempt */

static ngx_int_t
ngx_http_gray_change_run(ngx_http_gray_change_t *change)
{
    ngx_int_t  rc, answer;

    ngx_http_gray_change_clear(change);

    if (!change->caught_up) {
        change->caught_up = 1;

        if (change->release->zone->journals
            && ngx_http_gray_journals_moved(change->release))
        {
            return ngx_http_gray_change_catch_up(change);
        }
    }

    if (ngx_http_gray_change_prepare(change, &answer) != NGX_OK) {
        return answer;
    }

    change->attempts++;
    change->commit = ngx_http_gray_change_commit(change);

    if (change->commit == NULL) {
        return ngx_http_gray_change_short(change);
    }

    rc = ngx_http_gray_commit_start(change->commit);

    return rc == NGX_DONE ? NGX_DONE : ngx_http_gray_change_go_on(change, rc);
}


/*
 * What another zone has made durable, before this began, must be known: also
 * where nothing is to be written in the end, as a condition does not hold, or
 * there is nothing to change.
 */

static ngx_int_t
ngx_http_gray_change_catch_up(ngx_http_gray_change_t *change)
{
    ngx_int_t  rc;

    change->commit = ngx_http_gray_commit_create(change->release);

    if (change->commit == NULL) {
        return ngx_http_gray_change_short(change);
    }

    change->commit->since = change->begun;
    change->commit->done = ngx_http_gray_change_done;
    change->commit->data = change;

    rc = ngx_http_gray_commit_start(change->commit);

    return rc == NGX_DONE ? NGX_DONE : ngx_http_gray_change_go_on(change, rc);
}


static ngx_http_gray_commit_t *
ngx_http_gray_change_commit(ngx_http_gray_change_t *change)
{
    ngx_http_request_t      *r;
    ngx_http_gray_commit_t  *commit;

    r = change->request;
    commit = ngx_http_gray_commit_create(change->release);

    if (commit == NULL) {
        return NULL;
    }

    commit->word = change->snapshot.word;
    commit->origin = change->origin;
    commit->holds = ngx_http_gray_change_holds;
    commit->since = change->begun;
    commit->done = ngx_http_gray_change_done;
    commit->data = change;

    commit->text = change->text;
    ngx_str_null(&change->text);

    if (ngx_http_gray_change_copy(&commit->author, &r->connection->addr_text)
        != NGX_OK
        || ngx_http_gray_change_copy(&commit->comment, &change->comment)
           != NGX_OK)
    {
        ngx_http_gray_commit_leave(commit);
        return NULL;
    }

    /* as for $remote_user */

    if (ngx_http_auth_basic_user(r) == NGX_OK) {

        if (ngx_http_gray_change_copy(&commit->user, &r->headers_in.user)
            != NGX_OK)
        {
            ngx_http_gray_commit_leave(commit);
            return NULL;
        }

        commit->user.len = ngx_min(commit->user.len,
                                   NGX_HTTP_GRAY_RECORD_USER);
    }

    return commit;
}


/* a list may be about to be deleted since the document was judged */

static ngx_uint_t
ngx_http_gray_change_holds(ngx_http_gray_commit_t *commit)
{
    ngx_http_gray_change_t  *change;

    change = commit->data;

    return ngx_http_gray_release_holds(change->release, change->doc,
                                       change->current);
}


static ngx_int_t
ngx_http_gray_change_copy(ngx_str_t *to, const ngx_str_t *from)
{
    if (from->len == 0) {
        return NGX_OK;
    }

    to->data = malloc(from->len);
    if (to->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(to->data, from->data, from->len);
    to->len = from->len;

    return NGX_OK;
}


static void
ngx_http_gray_change_done(ngx_http_gray_commit_t *commit, ngx_int_t rc)
{
    ngx_connection_t        *c;
    ngx_http_request_t      *r;
    ngx_http_gray_change_t  *change;

    change = commit->data;
    r = change->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = ngx_http_gray_change_go_on(change, rc);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_gray_change_go_on(ngx_http_gray_change_t *change, ngx_int_t rc)
{
    if (change->commit->text.data == NULL) {

        /* what is wrong with the journal is said where it matters */

        return rc == NGX_AGAIN ? ngx_http_gray_change_written(change, rc)
                               : ngx_http_gray_change_run(change);
    }

    if (rc != NGX_DECLINED) {
        return ngx_http_gray_change_written(change, rc);
    }

    /*
     * All conditions are judged anew, on top of the newer revision.  An
     * attempt may take long, and others are served in between.
     */

    ngx_http_gray_commit_leave(change->commit);
    change->commit = NULL;

    return ngx_http_gray_change_wait(change);
}


/* NGX_OK: there is something to be written; NGX_DONE: there is an answer */

static ngx_int_t
ngx_http_gray_change_prepare(ngx_http_gray_change_t *change,
    ngx_int_t *answer)
{
    uint64_t             revision;
    ngx_http_request_t  *r;

    r = change->request;

    if (ngx_http_gray_live_read(change->release, &change->snapshot,
                                &change->current)
        != NGX_OK)
    {
        change->snapshot.text.data = NULL;
        *answer = ngx_http_gray_change_short(change);
        return NGX_DONE;
    }

    /* what this process knows of nginx.conf is what that said before */

    if (ngx_http_gray_live_left(change->release)) {
        *answer = ngx_http_gray_change_written(change, NGX_ABORT);
        return NGX_DONE;
    }

    /* with a journal, the new nginx learns of it */

    if (change->release->zone->journals == NULL
        && ngx_http_gray_live_upgraded())
    {
        *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "nginx is being upgraded and this connection "
                                "is one to an old worker, connect again; it "
                                "has no \"state\" to share with the new one");
        return NGX_DONE;
    }

    revision = change->snapshot.revision;

    if (ngx_http_gray_reply_matches(r, "If-Match", revision, 0) == 0) {
        *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_PRECONDITION_FAILED,
                                "If-Match names another revision than the "
                                "current one, %uL", revision);
        return NGX_DONE;
    }

    if (ngx_http_gray_reply_matches(r, "If-None-Match", revision, 1) == 1) {
        *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_PRECONDITION_FAILED,
                                "If-None-Match names the current revision, "
                                "%uL, or \"*\": there is one", revision);
        return NGX_DONE;
    }

    if (ngx_http_gray_change_compose(change, answer) != NGX_OK
        || ngx_http_gray_change_stale(change, answer) != NGX_OK
        || ngx_http_gray_change_build(change, answer) != NGX_OK)
    {
        return NGX_DONE;
    }

    if (ngx_http_gray_json_equal(change->doc, change->current)
        && (change->origin == NGX_HTTP_GRAY_API
            || change->origin == change->snapshot.origin))
    {
        *answer = ngx_http_gray_change_answer(change, change->current,
                                              revision,
                                              change->snapshot.origin);
        return NGX_DONE;
    }

    if (change->dry_run) {
        *answer = ngx_http_gray_change_answer(change, change->doc,
                                              revision + 1, change->origin);
        return NGX_DONE;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_change_compose(ngx_http_gray_change_t *change,
    ngx_int_t *answer)
{
    ngx_int_t                rc;
    ngx_http_gray_faults_t   faults;

    faults.n = 0;

    rc = ngx_http_gray_changes[change->kind](change, &faults);

    switch (rc) {

    case NGX_OK:
        return NGX_OK;

    case NGX_DECLINED:
        *answer = ngx_http_gray_reply_faults(change->request, 422,
                                   change->kind == NGX_HTTP_GRAY_CHANGE_REVERT
                                   ? "Invalid revision" : "Invalid patch",
                                   &faults);
        break;

    case NGX_ABORT:
        *answer = ngx_http_gray_reply_faults(change->request,
                                             NGX_HTTP_CONFLICT, "Failed test",
                                             &faults);
        break;

    case NGX_BUSY:
        *answer = ngx_http_gray_history_busy(change->request, change->history);
        break;

    case NGX_DONE:
        *answer = NGX_DONE;
        break;

    default: /* NGX_ERROR */
        *answer = ngx_http_gray_change_short(change);
        break;
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_gray_change_replace(ngx_http_gray_change_t *change,
    ngx_http_gray_faults_t *faults)
{
    change->input = ngx_http_gray_json_copy(change->body);

    return change->input ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_gray_change_merge(ngx_http_gray_change_t *change,
    ngx_http_gray_faults_t *faults)
{
    if (ngx_http_gray_change_seen(change) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_gray_patch_merge(&change->input, change->body);
}


static ngx_int_t
ngx_http_gray_change_patch(ngx_http_gray_change_t *change,
    ngx_http_gray_faults_t *faults)
{
    if (ngx_http_gray_change_seen(change) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_gray_patch_apply(&change->input, change->body, faults);
}


/* what GET serves is what a client sees and patches */

static ngx_int_t
ngx_http_gray_change_seen(ngx_http_gray_change_t *change)
{
    change->input = ngx_http_gray_change_present(change, change->current,
                                                 change->snapshot.revision,
                                                 change->snapshot.origin);

    return change->input ? NGX_OK : NGX_ERROR;
}


/*
 * The document of that revision, with its allocation; NGX_DONE where it is
 * yet to be found.  It never changes, so it is looked for once.
 */

static ngx_int_t
ngx_http_gray_change_revert(ngx_http_gray_change_t *change,
    ngx_http_gray_faults_t *faults)
{
    ngx_int_t  rc;

    if (change->recalled) {
        return ngx_http_gray_history_document(change->history, &change->input,
                                              faults);
    }

    rc = ngx_http_gray_history_recall(change->release, change->body,
                                      ngx_http_gray_change_recalled, change,
                                      &change->history, faults);

    return rc == NGX_OK ? NGX_DONE : rc;
}


static void
ngx_http_gray_change_recalled(ngx_http_gray_history_t *history)
{
    ngx_http_gray_change_t  *change;

    change = history->data;
    change->recalled = 1;

    ngx_http_gray_change_resume(change);
}


/* there is no input: the document is the declared one */

static ngx_int_t
ngx_http_gray_change_reset(ngx_http_gray_change_t *change,
    ngx_http_gray_faults_t *faults)
{
    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_change_stale(ngx_http_gray_change_t *change, ngx_int_t *answer)
{
    double                 n;
    uint64_t               revision;
    ngx_http_gray_json_t  *member;

    member = ngx_http_gray_json_get(change->input, "revision");
    n = ngx_http_gray_json_value(member);
    revision = (n >= 1) ? (uint64_t) n : 0;

    /* a number that is no revision is a fault of the document */

    if (ngx_http_gray_json_type(member) != NGX_HTTP_GRAY_JSON_NUMBER
        || revision == 0
        || n != (double) revision
        || revision == change->snapshot.revision)
    {
        return NGX_OK;
    }

    *answer = ngx_http_gray_reply_problem(change->request, NGX_HTTP_CONFLICT,
                                "the document is of revision %uL, the current "
                                "one is %uL; get it and change that",
                                revision, change->snapshot.revision);
    return NGX_DONE;
}


static ngx_int_t
ngx_http_gray_change_build(ngx_http_gray_change_t *change, ngx_int_t *answer)
{
    ngx_int_t                rc;
    ngx_http_request_t      *r;
    ngx_http_gray_faults_t   faults;

    r = change->request;
    faults.n = 0;

    if (change->kind == NGX_HTTP_GRAY_CHANGE_RESET) {
        rc = ngx_http_gray_release_reset(change->release, change->current,
                                         &change->doc, &change->text,
                                         &faults);

    } else {
        rc = ngx_http_gray_release_build(NULL, change->release, change->input,
                                         change->current, &change->doc,
                                         &change->text, &faults);
    }

    switch (rc) {

    case NGX_OK:
        return NGX_OK;

    case NGX_DECLINED:
        *answer = ngx_http_gray_reply_faults(r, 422, "Invalid document",
                                             &faults);
        break;

    case NGX_BUSY:
        *answer = ngx_http_gray_reply_faults(r,
                                             NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                             "Document too large", &faults);
        break;

    default: /* NGX_ERROR */
        *answer = ngx_http_gray_change_short(change);
        break;
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_gray_change_written(ngx_http_gray_change_t *change, ngx_int_t rc)
{
    ngx_http_request_t  *r;

    r = change->request;

    switch (rc) {

    case NGX_OK:

        ngx_http_gray_rollout_replan(change->release, r->connection->log);
        break;

    case NGX_AGAIN:
        return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "another process writes to the zone "
                                "\"%V\" for %d ms",
                                &change->release->zone_name,
                                NGX_HTTP_GRAY_COMMIT_PATIENCE);

    case NGX_BUSY:
        return ngx_http_gray_reply_problem(r,
                                NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                "the document is %uz bytes long, more than "
                                "the zone \"%V\" takes: document=SIZE of "
                                "gray_zone", change->commit->text.len,
                                &change->release->zone_name);

    case NGX_ABORT:
        return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "nginx was reloaded and this connection is "
                                "one to an old worker, connect again");

    default: /* NGX_ERROR */
        return ngx_http_gray_change_failed(change);
    }

    ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                  "gray: release \"%V\" revision %uL by %V (%V)",
                  &change->release->name, change->snapshot.revision + 1,
                  &r->connection->addr_text, &r->method_name);

    return ngx_http_gray_change_answer(change, change->doc,
                                       change->snapshot.revision + 1,
                                       change->origin);
}


/* it was not made durable, or nobody knows */

static ngx_int_t
ngx_http_gray_change_failed(ngx_http_gray_change_t *change)
{
    u_char                   *p, reason[NGX_MAX_ERROR_STR];
    ngx_http_gray_journal_t  *journal;

    journal = &change->commit->journal;

    if (journal->unknown) {
        return ngx_http_gray_reply_problem(change->request,
                                NGX_HTTP_SERVICE_UNAVAILABLE,
                                "the outcome is unknown: the change is not in "
                                "force, and the state directory could neither "
                                "keep it nor take it back; it may come into "
                                "force with the next change, or a restart");
    }

    if (journal->rc == NGX_ABORT) {
        return ngx_http_gray_reply_problem(change->request,
                                NGX_HTTP_SERVICE_UNAVAILABLE,
                                "the journal of the release was written by a "
                                "newer version of the module, and is left "
                                "alone; nothing was changed");
    }

    if (journal->rc == NGX_DECLINED) {
        return ngx_http_gray_reply_problem(change->request,
                                NGX_HTTP_SERVICE_UNAVAILABLE,
                                "the journal of the release has a newer "
                                "revision that cannot be used, see the error "
                                "log; nothing was changed");
    }

    if (journal->err == 0) {
        return ngx_http_gray_change_short(change);
    }

    p = ngx_strerror(journal->err, reason, sizeof(reason) - 1);
    *p = '\0';

    return ngx_http_gray_reply_problem(change->request,
                                NGX_HTTP_SERVICE_UNAVAILABLE,
                                "the change cannot be written to the state "
                                "directory, nothing was changed: %s: %s",
                                journal->failed, reason);
}


static ngx_int_t
ngx_http_gray_change_answer(ngx_http_gray_change_t *change,
    ngx_http_gray_json_t *doc, uint64_t revision,
    ngx_http_gray_origin_e origin)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = change->request;

    /* a revision that is not there, and may become another's, has no tag */

    rc = change->dry_run ? ngx_http_gray_reply_header(r, "X-Gray-Dry-Run", "1")
                         : ngx_http_gray_reply_etag(r, revision);

    if (rc != NGX_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    return ngx_http_gray_reply_json(r,
                                    ngx_http_gray_change_present(change, doc,
                                                          revision, origin));
}


static ngx_http_gray_json_t *
ngx_http_gray_change_present(ngx_http_gray_change_t *change,
    ngx_http_gray_json_t *doc, uint64_t revision,
    ngx_http_gray_origin_e origin)
{
    ngx_http_gray_release_t  *release;

    release = change->release;

    return ngx_http_gray_document_present(doc, &release->name, revision,
                                  ngx_http_gray_release_origin(origin),
                                  ngx_http_gray_release_differs(release, doc));
}


static ngx_int_t
ngx_http_gray_change_short(ngx_http_gray_change_t *change)
{
    return ngx_http_gray_reply_problem(change->request,
                                       NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "memory is short, nothing was changed");
}


/*
 * The timer holds up a worker that shuts down, by intent: nothing else would
 * keep it until the request is answered, and it does not wait for long.
 */

static ngx_int_t
ngx_http_gray_change_wait(ngx_http_gray_change_t *change)
{
    ngx_event_t         *ev;
    ngx_http_request_t  *r;

    r = change->request;
    ev = &change->event;

    if (ev->handler == NULL) {
        ev->handler = ngx_http_gray_change_handler;
        ev->data = change;
        ev->log = r->connection->log;

        change->since = ngx_current_msec;
    }

    if (ngx_current_msec - change->since >= NGX_HTTP_GRAY_CHANGE_CONTEST) {
        return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "others change the release all the time, %ui "
                                "attempts were too late", change->attempts);
    }

    /* by chance, so that those who contend do not meet again */

    ngx_add_timer(ev, NGX_HTTP_GRAY_CHANGE_PAUSE + ngx_random()
                      % (5 * NGX_HTTP_GRAY_CHANGE_PAUSE));

    return NGX_DONE;
}


static void
ngx_http_gray_change_handler(ngx_event_t *ev)
{
    ngx_http_gray_change_resume(ev->data);
}


static void
ngx_http_gray_change_resume(ngx_http_gray_change_t *change)
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = change->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = ngx_http_gray_change_run(change);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_gray_change_clear(ngx_http_gray_change_t *change)
{
    if (change->commit) {
        ngx_http_gray_commit_leave(change->commit);
        change->commit = NULL;
    }

    free(change->snapshot.text.data);
    change->snapshot.text.data = NULL;

    ngx_http_gray_json_free(change->current);
    change->current = NULL;

    ngx_http_gray_json_free(change->input);
    change->input = NULL;

    ngx_http_gray_json_free(change->doc);
    change->doc = NULL;

    free(change->text.data);
    change->text.data = NULL;
}


static void
ngx_http_gray_change_cleanup(void *data)
{
    ngx_http_gray_change_t *change = data;

    if (change->event.timer_set) {
        ngx_del_timer(&change->event);
    }

    ngx_http_gray_change_clear(change);

    if (change->history) {
        ngx_http_gray_history_leave(change->history);
    }

    ngx_http_gray_json_free(change->body);
}
