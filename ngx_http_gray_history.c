
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_history.h"
#include "ngx_http_gray_reply.h"


#define NGX_HTTP_GRAY_HISTORY_MAX  9007199254740992.0    /* 2^53 */


static ngx_int_t ngx_http_gray_history_read(ngx_http_gray_release_t *release,
    ngx_http_gray_journal_lines_t *lines, ngx_uint_t *first);
static ngx_str_t *ngx_http_gray_history_find(
    ngx_http_gray_journal_lines_t *lines, ngx_uint_t first,
    uint64_t revision);
static ngx_int_t ngx_http_gray_history_list(ngx_http_request_t *r,
    ngx_http_gray_release_t *release, ngx_http_gray_journal_lines_t *lines,
    ngx_uint_t first);
static ngx_int_t ngx_http_gray_history_one(ngx_http_request_t *r,
    ngx_str_t *line);
static u_char *ngx_http_gray_history_item(u_char *p, ngx_str_t *line);
static ngx_int_t ngx_http_gray_history_revision(
    const ngx_http_gray_json_t *body, uint64_t *revision,
    ngx_http_gray_faults_t *faults);


ngx_int_t
ngx_http_gray_history(ngx_http_request_t *r, ngx_http_gray_release_t *release,
    uint64_t revision)
{
    ngx_int_t                      rc;
    ngx_str_t                     *line;
    ngx_uint_t                     first;
    ngx_http_gray_journal_lines_t  lines;

    if (ngx_http_gray_history_read(release, &lines, &first) != NGX_OK) {
        return ngx_http_gray_history_unread(r);
    }

    if (revision == 0) {
        rc = ngx_http_gray_history_list(r, release, &lines, first);

    } else {
        line = ngx_http_gray_history_find(&lines, first, revision);

        rc = line ? ngx_http_gray_history_one(r, line)
                  : ngx_http_gray_reply_problem(r, NGX_HTTP_NOT_FOUND,
                                "no revision %uL in the history", revision);
    }

    ngx_http_gray_journal_lines_free(&lines);

    return rc;
}


ngx_int_t
ngx_http_gray_history_unread(ngx_http_request_t *r)
{
    return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "the journal of the release cannot be read, "
                                "see the error log");
}


ngx_int_t
ngx_http_gray_history_none(ngx_http_request_t *r,
    ngx_http_gray_release_t *release)
{
    return ngx_http_gray_reply_problem(r, NGX_HTTP_CONFLICT,
                                "there is no history: it needs \"state=DIR\" "
                                "of gray_zone \"%V\"", &release->zone_name);
}


/* there is a journal since nginx started; "first" is the first to be shown */

static ngx_int_t
ngx_http_gray_history_read(ngx_http_gray_release_t *release,
    ngx_http_gray_journal_lines_t *lines, ngx_uint_t *first)
{
    uint64_t                 revision;
    ngx_int_t                rc;
    ngx_uint_t               tries;
    ngx_http_gray_journal_t  journal;

    ngx_memzero(lines, sizeof(ngx_http_gray_journal_lines_t));
    *first = 0;

    if (ngx_http_gray_journal_init(&journal, &release->zone->state,
                                   &release->name)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* a writer may cut it meanwhile, as he takes back what cannot be synced */

    tries = 0;

    do {
        rc = ngx_http_gray_journal_lines(journal.path, lines);

    } while (rc == NGX_ERROR && ngx_errno == NGX_EAGAIN && tries++ < 3);

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_errno,
                      "gray: \"%s\" cannot be read", journal.path);
        return NGX_ERROR;
    }

    /* what is not in force may never be */

    revision = ngx_http_gray_shm_word(release->block) >> 1;

    while (lines->nlines && lines->revision[lines->nlines - 1] > revision) {
        lines->nlines--;
    }

    if (lines->nlines > release->zone->history) {
        *first = lines->nlines - release->zone->history;
    }

    return NGX_OK;
}


static ngx_str_t *
ngx_http_gray_history_find(ngx_http_gray_journal_lines_t *lines,
    ngx_uint_t first, uint64_t revision)
{
    ngx_uint_t  i;

    for (i = lines->nlines; i > first; i--) {
        if (lines->revision[i - 1] == revision) {
            return &lines->line[i - 1];
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_gray_history_list(ngx_http_request_t *r,
    ngx_http_gray_release_t *release, ngx_http_gray_journal_lines_t *lines,
    ngx_uint_t first)
{
    u_char      *p;
    size_t       len;
    ngx_str_t    text;
    ngx_uint_t   i;

    len = sizeof("{\n  \"release\": \"\",\n  \"revisions\": [\n  ]\n}\n")
          + release->name.len;

    for (i = first; i < lines->nlines; i++) {
        len += sizeof("\n    {,") + lines->line[i].len;
    }

    text.data = malloc(len);

    if (text.data == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    p = ngx_sprintf(text.data, "{\n  \"release\": \"%V\",\n  \"revisions\": [",
                    &release->name);

    for (i = lines->nlines; i > first; i--) {

        if (i < lines->nlines) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, "\n    ", sizeof("\n    ") - 1);
        p = ngx_http_gray_history_item(p, &lines->line[i - 1]);
    }

    if (lines->nlines) {
        p = ngx_cpymem(p, "\n  ", sizeof("\n  ") - 1);
    }

    p = ngx_cpymem(p, "]\n}\n", sizeof("]\n}\n") - 1);

    text.len = p - text.data;

    return ngx_http_gray_reply_made(r, &text);
}


static ngx_int_t
ngx_http_gray_history_one(ngx_http_request_t *r, ngx_str_t *line)
{
    u_char     *p;
    ngx_str_t   text;

    text.data = malloc(line->len + 2);

    if (text.data == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    p = ngx_http_gray_history_item(text.data, line);
    *p++ = LF;

    text.len = p - text.data;

    return ngx_http_gray_reply_made(r, &text);
}


static u_char *
ngx_http_gray_history_item(u_char *p, ngx_str_t *line)
{
    ngx_str_t  rest;

    ngx_http_gray_record_rest(line->data, line->len, &rest);

    *p++ = '{';

    return ngx_cpymem(p, rest.data, rest.len);
}


ngx_int_t
ngx_http_gray_history_document(ngx_http_gray_release_t *release,
    const ngx_http_gray_json_t *body, ngx_http_gray_json_t **doc,
    ngx_http_gray_faults_t *faults)
{
    uint64_t                       revision;
    ngx_int_t                      rc;
    ngx_str_t                     *line;
    ngx_uint_t                     first;
    ngx_http_gray_path_t           path;
    ngx_http_gray_record_t         record;
    ngx_http_gray_json_error_t     err;
    ngx_http_gray_journal_lines_t  lines;

    if (ngx_http_gray_history_revision(body, &revision, faults) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_http_gray_history_read(release, &lines, &first) != NGX_OK) {
        return NGX_BUSY;
    }

    rc = NGX_ERROR;
    line = ngx_http_gray_history_find(&lines, first, revision);

    if (line == NULL) {
        path.parent = NULL;
        path.key = "revision";

        if (lines.nlines) {
            ngx_http_gray_json_fault(faults, &path, "no revision %llu in the "
                                "history, which goes from %llu to %llu",
                                (unsigned long long) revision,
                                (unsigned long long) lines.revision[first],
                                (unsigned long long)
                                lines.revision[lines.nlines - 1]);

        } else {
            ngx_http_gray_json_fault(faults, &path, "no revision %llu in the "
                                "history, which is empty",
                                (unsigned long long) revision);
        }

        rc = NGX_DECLINED;

    } else if (ngx_http_gray_record_parse(line->data, line->len, &record)
               == NGX_OK)
    {
        *doc = ngx_http_gray_json_parse(record.document.data,
                                        record.document.len, &err);
        ngx_http_gray_record_free(&record);

        rc = *doc ? NGX_OK : NGX_ERROR;
    }

    ngx_http_gray_journal_lines_free(&lines);

    return rc;
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
