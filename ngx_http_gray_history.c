
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * What a journal keeps, for GET and to go back to.
 *
 * A thread reads the file, from its end on and no more of it than is needed,
 * and makes the answer of it, or finds the document.  Four at a time do so for
 * a zone in a process; others wait in a queue, for two seconds at most.  A
 * long answer counts until it is sent: it takes memory until then.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sys/mman.h>

#include "ngx_http_gray_history.h"
#include "ngx_http_gray_lines.h"
#include "ngx_http_gray_record.h"
#include "ngx_http_gray_reply.h"


#define NGX_HTTP_GRAY_HISTORY_MAX       9007199254740992.0    /* 2^53 */

#define NGX_HTTP_GRAY_HISTORY_ADMITTED  4
#define NGX_HTTP_GRAY_HISTORY_PATIENCE  2000    /* ms */
#define NGX_HTTP_GRAY_HISTORY_TRIES     4

/* an answer that is shorter is one as any other */

#define NGX_HTTP_GRAY_HISTORY_LONG      (2 * NGX_HTTP_GRAY_RECORD_MAX)

/* bytes around a record at most, and around all of them */

#define NGX_HTTP_GRAY_HISTORY_AROUND    16
#define NGX_HTTP_GRAY_HISTORY_FRAME     256


typedef enum {
    NGX_HTTP_GRAY_HISTORY_LIST = 0,
    NGX_HTTP_GRAY_HISTORY_ONE,
    NGX_HTTP_GRAY_HISTORY_DOCUMENT
} ngx_http_gray_history_e;


static ngx_http_gray_history_t *ngx_http_gray_history_create(
    ngx_http_gray_release_t *release, ngx_uint_t kind, uint64_t revision);
static void ngx_http_gray_history_start(ngx_http_gray_history_t *history);
static void ngx_http_gray_history_handler(ngx_event_t *ev);
static void ngx_http_gray_history_discharge(ngx_http_gray_history_t *history);
static void ngx_http_gray_history_step(void *data);
static ngx_int_t ngx_http_gray_history_visit(void *data, u_char *line,
    size_t len, uint64_t revision);
static ngx_int_t ngx_http_gray_history_recalled(
    ngx_http_gray_history_t *history, u_char *line, size_t len);
static ngx_int_t ngx_http_gray_history_item(ngx_http_gray_history_t *history,
    u_char *line, size_t len);
static ngx_int_t ngx_http_gray_history_begin(ngx_http_gray_history_t *history);
static void ngx_http_gray_history_end(ngx_http_gray_history_t *history);
static void ngx_http_gray_history_clear(ngx_http_gray_history_t *history);
static void ngx_http_gray_history_ready(void *data);
static void ngx_http_gray_history_send(ngx_http_gray_history_t *history);
static ngx_int_t ngx_http_gray_history_answer(ngx_http_request_t *r,
    ngx_http_gray_history_t *history);
static void ngx_http_gray_history_cleanup(void *data);
static ngx_int_t ngx_http_gray_history_revision(
    const ngx_http_gray_json_t *body, uint64_t *revision,
    ngx_http_gray_faults_t *faults);


ngx_int_t
ngx_http_gray_history_gates(ngx_conf_t *cf, ngx_http_gray_zone_t *zone)
{
    ngx_uint_t                     i;
    ngx_http_gray_history_gate_t  *gates;

    gates = ngx_pcalloc(cf->pool, NGX_HTTP_GRAY_HISTORY_GATES
                                  * sizeof(ngx_http_gray_history_gate_t));
    if (gates == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_HTTP_GRAY_HISTORY_GATES; i++) {
        ngx_queue_init(&gates[i].waiting);
    }

    zone->gates = gates;

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_history(ngx_http_request_t *r, ngx_http_gray_release_t *release,
    uint64_t revision)
{
    ngx_pool_cleanup_t       *cln;
    ngx_http_gray_history_t  *history;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    history = ngx_http_gray_history_create(release,
                                           revision ? NGX_HTTP_GRAY_HISTORY_ONE
                                           : NGX_HTTP_GRAY_HISTORY_LIST,
                                           revision);
    if (history == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    cln->handler = ngx_http_gray_history_cleanup;
    cln->data = history;

    history->done = ngx_http_gray_history_send;
    history->data = r;

    r->main->count++;

    ngx_http_gray_history_start(history);

    return NGX_DONE;
}


ngx_int_t
ngx_http_gray_history_none(ngx_http_request_t *r,
    ngx_http_gray_release_t *release)
{
    return ngx_http_gray_reply_problem(r, NGX_HTTP_CONFLICT,
                                "there is no history: it needs \"state=DIR\" "
                                "of gray_zone \"%V\"", &release->zone_name);
}


ngx_int_t
ngx_http_gray_history_recall(ngx_http_gray_release_t *release,
    const ngx_http_gray_json_t *body, ngx_http_gray_history_pt done,
    void *data, ngx_http_gray_history_t **history,
    ngx_http_gray_faults_t *faults)
{
    uint64_t                  revision;
    ngx_http_gray_history_t  *recall;

    if (ngx_http_gray_history_revision(body, &revision, faults) != NGX_OK) {
        return NGX_DECLINED;
    }

    recall = ngx_http_gray_history_create(release,
                                          NGX_HTTP_GRAY_HISTORY_DOCUMENT,
                                          revision);
    if (recall == NULL) {
        return NGX_ERROR;
    }

    recall->done = done;
    recall->data = data;

    *history = recall;

    ngx_http_gray_history_start(recall);

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_history_document(ngx_http_gray_history_t *history,
    ngx_http_gray_json_t **doc, ngx_http_gray_faults_t *faults)
{
    ngx_http_gray_path_t        path;
    ngx_http_gray_json_error_t  err;

    if (history->rc == NGX_OK) {
        *doc = ngx_http_gray_json_parse(history->text.data, history->text.len,
                                        &err);
        return *doc ? NGX_OK : NGX_ERROR;
    }

    if (history->rc != NGX_DECLINED) {
        return history->rc;
    }

    path.parent = NULL;
    path.key = "revision";

    if (history->shown) {
        ngx_http_gray_json_fault(faults, &path, "no revision %llu in the "
                                 "history, which goes from %llu to %llu",
                                 (unsigned long long) history->revision,
                                 (unsigned long long) history->oldest,
                                 (unsigned long long) history->newest);

    } else {
        ngx_http_gray_json_fault(faults, &path, "no revision %llu in the "
                                 "history, which is empty",
                                 (unsigned long long) history->revision);
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_gray_history_busy(ngx_http_request_t *r,
    ngx_http_gray_history_t *history)
{
    return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE, "%s",
                                history->why ? history->why
                                : "the journal of the release cannot be read, "
                                  "see the error log");
}


static ngx_http_gray_history_t *
ngx_http_gray_history_create(ngx_http_gray_release_t *release, ngx_uint_t kind,
    uint64_t revision)
{
    ngx_http_gray_journal_t       *journal;
    ngx_http_gray_history_t       *history;
    ngx_http_gray_history_gate_t  *gates;

    history = calloc(1, sizeof(ngx_http_gray_history_t));
    journal = malloc(sizeof(ngx_http_gray_journal_t));

    if (history == NULL || journal == NULL) {
        free(history);
        free(journal);
        return NULL;
    }

    /* the path was not too long when nginx started */

    (void) ngx_http_gray_journal_init(journal, &release->zone->state,
                                      &release->name);
    ngx_memcpy(history->path, journal->path, NGX_MAX_PATH);

    free(journal);

    gates = release->zone->gates;

    history->kind = kind;
    history->gate = &gates[kind != NGX_HTTP_GRAY_HISTORY_LIST];
    history->revision = revision;
    history->block = release->block;
    history->most = release->zone->history;
    history->threads = release->zone->threads;
    history->task.data = history;

    history->name.data = history->buffer;
    history->name.len = release->name.len;
    ngx_memcpy(history->buffer, release->name.data, release->name.len);

    return history;
}


/* done() is never called from here */

static void
ngx_http_gray_history_start(ngx_http_gray_history_t *history)
{
    ngx_event_t                   *ev;
    ngx_http_gray_history_gate_t  *gate;

    ev = &history->task.event;

    ev->data = history;
    ev->log = ngx_cycle->log;
    ev->handler = ngx_http_gray_history_handler;

    gate = history->gate;

    if (gate->admitted == NGX_HTTP_GRAY_HISTORY_ADMITTED) {
        ngx_queue_insert_tail(&gate->waiting, &history->queue);
        history->queued = 1;

        ngx_add_timer(ev, NGX_HTTP_GRAY_HISTORY_PATIENCE);
        return;
    }

    gate->admitted++;
    history->admitted = 1;

    ngx_add_timer(ev, 0);
}


/* it is its turn, or it has waited for too long */

static void
ngx_http_gray_history_handler(ngx_event_t *ev)
{
    ngx_http_gray_history_t *history = ev->data;

    if (history->queued) {
        ngx_queue_remove(&history->queue);
        history->queued = 0;

        history->why = "others read histories just now";

    } else if (ngx_http_gray_task_post(&history->task, history->threads,
                                       ngx_http_gray_history_step,
                                       ngx_http_gray_history_ready)
               == NGX_OK)
    {
        return;

    } else {
        history->why = "the history cannot be read now, the queue of threads "
                       "is full";
    }

    history->rc = NGX_BUSY;

    ngx_http_gray_history_ready(history);
}


/* who has waited for longest takes the place */

static void
ngx_http_gray_history_discharge(ngx_http_gray_history_t *history)
{
    ngx_queue_t                   *head;
    ngx_http_gray_history_t       *next;
    ngx_http_gray_history_gate_t  *gate;

    if (!history->admitted) {
        return;
    }

    history->admitted = 0;
    gate = history->gate;

    if (ngx_queue_empty(&gate->waiting)) {
        gate->admitted--;
        return;
    }

    head = ngx_queue_head(&gate->waiting);
    next = ngx_queue_data(head, ngx_http_gray_history_t, queue);

    ngx_queue_remove(head);
    next->queued = 0;
    next->admitted = 1;

    /* not here: a request may be about to end */

    ngx_del_timer(&next->task.event);
    ngx_add_timer(&next->task.event, 0);
}


static void
ngx_http_gray_history_step(void *data)
{
    ngx_http_gray_history_t *history = data;

    ngx_int_t   rc;
    ngx_uint_t  again, tries;

    tries = 0;

    do {
        ngx_http_gray_history_clear(history);

        history->rc = (history->kind == NGX_HTTP_GRAY_HISTORY_LIST)
                      ? NGX_OK : NGX_DECLINED;
        history->word = ngx_http_gray_shm_word(history->block) >> 1;

        rc = ngx_http_gray_lines_read(history->path,
                                      ngx_http_gray_history_visit, history);

        history->err = (rc == NGX_OK) ? 0 : ngx_errno;

        /*
         * A writer may cut the file meanwhile, as he takes back what cannot be
         * synced, or make a new one in which all is newer.
         */

        again = (rc == NGX_OK)
                ? history->above
                  && ngx_http_gray_shm_word(history->block) >> 1
                     != history->word
                : history->err == NGX_EAGAIN;

    } while (again && ++tries < NGX_HTTP_GRAY_HISTORY_TRIES);

    if (rc != NGX_OK) {
        history->rc = NGX_BUSY;

    } else if (history->rc == NGX_OK) {
        ngx_http_gray_history_end(history);
    }
}


static ngx_int_t
ngx_http_gray_history_visit(void *data, u_char *line, size_t len,
    uint64_t revision)
{
    ngx_http_gray_history_t *history = data;

    /* what is not in force may never be */

    if (history->shown == 0 && revision > history->word) {
        history->above = 1;
        return NGX_OK;
    }

    if (history->shown++ == 0) {
        history->newest = revision;
    }

    history->oldest = revision;

    if (history->kind == NGX_HTTP_GRAY_HISTORY_LIST) {
        history->rc = ngx_http_gray_history_item(history, line, len);

    } else if (revision == history->revision) {
        history->rc = (history->kind == NGX_HTTP_GRAY_HISTORY_ONE)
                      ? ngx_http_gray_history_item(history, line, len)
                      : ngx_http_gray_history_recalled(history, line, len);
        return NGX_DONE;
    }

    return (history->rc == NGX_ERROR || history->shown == history->most)
           ? NGX_DONE : NGX_OK;
}


static ngx_int_t
ngx_http_gray_history_recalled(ngx_http_gray_history_t *history,
    u_char *line, size_t len)
{
    ngx_http_gray_record_t  record;

    if (ngx_http_gray_history_begin(history) != NGX_OK
        || ngx_http_gray_record_parse(line, len, &record) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(history->text.data, record.document.data, record.document.len);
    history->text.len = record.document.len;

    ngx_http_gray_record_free(&record);

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_history_item(ngx_http_gray_history_t *history, u_char *line,
    size_t len)
{
    u_char     *p;
    ngx_str_t   rest;

    if (ngx_http_gray_history_begin(history) != NGX_OK) {
        return NGX_ERROR;
    }

    p = history->text.data + history->text.len;

    if (history->kind == NGX_HTTP_GRAY_HISTORY_LIST) {

        if (history->shown > 1) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, "\n    ", sizeof("\n    ") - 1);
    }

    ngx_http_gray_record_rest(line, len, &rest);

    *p++ = '{';
    p = ngx_cpymem(p, rest.data, rest.len);

    history->text.len = p - history->text.data;

    return NGX_OK;
}


/*
 * There is room for all that a journal may have: what is not used of it is
 * never in memory.  It is mapped, so that it is given back at once.
 */

static ngx_int_t
ngx_http_gray_history_begin(ngx_http_gray_history_t *history)
{
    u_char  *p;

    if (history->text.data) {
        return NGX_OK;
    }

    history->mapped = NGX_HTTP_GRAY_JOURNAL_LOAD
                      + history->most * NGX_HTTP_GRAY_HISTORY_AROUND
                      + NGX_HTTP_GRAY_HISTORY_FRAME;

    p = mmap(NULL, history->mapped, PROT_READ|PROT_WRITE,
             MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        return NGX_ERROR;
    }

    history->text.data = p;

    if (history->kind == NGX_HTTP_GRAY_HISTORY_LIST) {
        p = ngx_sprintf(p, "{\n  \"release\": \"%V\",\n  \"revisions\": [",
                        &history->name);
    }

    history->text.len = p - history->text.data;

    return NGX_OK;
}


static void
ngx_http_gray_history_end(ngx_http_gray_history_t *history)
{
    size_t   used;
    u_char  *p;

    if (ngx_http_gray_history_begin(history) != NGX_OK) {
        history->rc = NGX_ERROR;
        return;
    }

    p = history->text.data + history->text.len;

    if (history->kind == NGX_HTTP_GRAY_HISTORY_LIST) {

        if (history->shown) {
            p = ngx_cpymem(p, "\n  ", sizeof("\n  ") - 1);
        }

        p = ngx_cpymem(p, "]\n}", sizeof("]\n}") - 1);
    }

    if (history->kind != NGX_HTTP_GRAY_HISTORY_DOCUMENT) {
        *p++ = LF;
    }

    history->text.len = p - history->text.data;

    used = ngx_align(history->text.len, ngx_pagesize);

    if (used < history->mapped) {
        (void) munmap(history->text.data + used, history->mapped - used);
        history->mapped = used;
    }
}


static void
ngx_http_gray_history_clear(ngx_http_gray_history_t *history)
{
    if (history->text.data) {
        (void) munmap(history->text.data, history->mapped);
        ngx_str_null(&history->text);
    }

    history->above = 0;
    history->shown = 0;
}


static void
ngx_http_gray_history_ready(void *data)
{
    ngx_http_gray_history_t *history = data;

    if (history->done == NULL) {
        ngx_http_gray_history_leave(history);
        return;
    }

    if (history->text.len <= NGX_HTTP_GRAY_HISTORY_LONG) {
        ngx_http_gray_history_discharge(history);
    }

    if (history->rc == NGX_BUSY && history->why == NULL) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, history->err,
                      "gray: \"%s\" cannot be read", history->path);
    }

    history->done(history);
}


static void
ngx_http_gray_history_send(ngx_http_gray_history_t *history)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = history->data;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_finalize_request(r, ngx_http_gray_history_answer(r, history));

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_gray_history_answer(ngx_http_request_t *r,
    ngx_http_gray_history_t *history)
{
    switch (history->rc) {

    case NGX_OK:
        return ngx_http_gray_reply_made(r, &history->text);

    case NGX_DECLINED:
        return ngx_http_gray_reply_problem(r, NGX_HTTP_NOT_FOUND,
                                "no revision %uL in the history",
                                history->revision);

    case NGX_BUSY:
        return ngx_http_gray_history_busy(r, history);

    default: /* NGX_ERROR */
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }
}


void
ngx_http_gray_history_leave(ngx_http_gray_history_t *history)
{
    history->done = NULL;

    if (history->task.running) {
        return;
    }

    if (history->task.event.timer_set) {
        ngx_del_timer(&history->task.event);
    }

    if (history->queued) {
        ngx_queue_remove(&history->queue);
    }

    ngx_http_gray_history_discharge(history);
    ngx_http_gray_history_clear(history);

    free(history);
}


static void
ngx_http_gray_history_cleanup(void *data)
{
    ngx_http_gray_history_leave(data);
}


static ngx_int_t
ngx_http_gray_history_revision(const ngx_http_gray_json_t *body,
    uint64_t *revision, ngx_http_gray_faults_t *faults)
{
    double                       value;
    const char                  *key;
    ngx_uint_t                   n;
    ngx_http_gray_path_t         path;
    const ngx_http_gray_json_t  *member;

    path.parent = NULL;
    n = faults->n;

    if (ngx_http_gray_json_type(body) != NGX_HTTP_GRAY_JSON_OBJECT) {
        ngx_http_gray_json_fault(faults, NULL, "must be an object with the "
                                 "member \"revision\"");
        return NGX_ERROR;
    }

    for (member = ngx_http_gray_json_first(body);
         member;
         member = ngx_http_gray_json_next(member))
    {
        key = ngx_http_gray_json_key(member);

        if (ngx_strcmp(key, "revision") != 0) {
            path.key = key;
            ngx_http_gray_json_fault(faults, &path, "unknown member; there is "
                                     "\"revision\"");
        }
    }

    member = ngx_http_gray_json_get(body, "revision");
    value = ngx_http_gray_json_value(member);
    path.key = "revision";

    if (ngx_http_gray_json_type(member) != NGX_HTTP_GRAY_JSON_NUMBER
        || value < 1 || value >= NGX_HTTP_GRAY_HISTORY_MAX
        || value != (double) (uint64_t) value)
    {
        ngx_http_gray_json_fault(faults, &path, "must be the number of a "
                                 "revision");
    }

    *revision = (uint64_t) value;

    return faults->n == n ? NGX_OK : NGX_ERROR;
}
