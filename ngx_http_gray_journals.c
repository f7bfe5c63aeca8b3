
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Journals and the zone.
 *
 * Who holds the lock DIR/.lock is alone with all journals of the directory,
 * among the workers of all zones and masters that have it.  A revision is
 * appended first and published then, so a journal that is newer than the zone
 * is one of a process that died in between, or of another zone: whoever takes
 * the lock next publishes it.  A zone that is newer than a journal is one whose
 * document nginx.conf declares, or one whose file was damaged or removed: its
 * document is appended.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_journals.h"
#include "ngx_http_gray_lines.h"
#include "ngx_http_gray_live.h"


#define NGX_HTTP_GRAY_JOURNALS_TRIES  100


static void ngx_http_gray_journals_cleanup(void *data);
static ngx_int_t ngx_http_gray_journals_base(ngx_http_gray_release_t *release,
    ngx_http_gray_journal_t *journal);
static void ngx_http_gray_journals_note(ngx_http_gray_journal_mark_t *known,
    ngx_http_gray_journal_mark_t *mark);
static void ngx_http_gray_journals_report(ngx_http_gray_release_t *release,
    ngx_http_gray_journal_t *journal, ngx_log_t *log);
static ngx_int_t ngx_http_gray_journals_adopt(
    ngx_http_gray_release_t *release, ngx_str_t *line, uint64_t revision,
    ngx_log_t *log);
static ngx_int_t ngx_http_gray_journals_judge(
    ngx_http_gray_release_t *release, ngx_http_gray_record_t *record,
    uint64_t revision, ngx_log_t *log);
static ngx_int_t ngx_http_gray_journals_publish(
    ngx_http_gray_release_t *release, ngx_http_gray_snapshot_t *snapshot);
static void ngx_http_gray_journals_raise(ngx_http_gray_release_t *release,
    ngx_str_t *line, uint64_t revision, ngx_log_t *log);
static ngx_int_t ngx_http_gray_journals_tail(ngx_http_gray_release_t *release,
    ngx_http_gray_lines_tail_t *tail, ngx_log_t *log);


ngx_int_t
ngx_http_gray_journals_create(ngx_conf_t *cf, ngx_http_gray_zone_t *zone)
{
    ngx_pool_cleanup_t        *cln;
    ngx_http_gray_journals_t  *journals;

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(ngx_http_gray_journals_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    journals = cln->data;
    ngx_memzero(journals, sizeof(ngx_http_gray_journals_t));

    journals->directory.path = zone->state;
    journals->directory.file = NGX_HTTP_GRAY_DIRECTORY_LOCK;
    journals->directory.fair = 1;
    journals->directory.lock = -1;

    ngx_queue_init(&journals->waiting);

    cln->handler = ngx_http_gray_journals_cleanup;

    zone->journals = journals;

    return NGX_OK;
}


static void
ngx_http_gray_journals_cleanup(void *data)
{
    ngx_http_gray_journals_t  *journals = data;

    ngx_http_gray_directory_close(&journals->directory);
}


ngx_int_t
ngx_http_gray_journals_record(uint64_t revision,
    ngx_http_gray_origin_e origin, ngx_str_t *author, ngx_str_t *user,
    ngx_str_t *comment, ngx_str_t *text, ngx_str_t *line)
{
    ngx_tm_t                 tm;
    u_char                   time[sizeof("1970-01-01T00:00:00.000Z")];
    ngx_time_t              *tp;
    ngx_http_gray_record_t   record;

    static ngx_str_t  declared = ngx_string("nginx.conf");

    ngx_memzero(&record, sizeof(ngx_http_gray_record_t));

    tp = ngx_timeofday();
    ngx_gmtime(tp->sec, &tm);

    record.time.data = time;
    record.time.len = ngx_sprintf(time, "%4d-%02d-%02dT%02d:%02d:%02d.%03MZ",
                                  tm.ngx_tm_year, tm.ngx_tm_mon,
                                  tm.ngx_tm_mday, tm.ngx_tm_hour,
                                  tm.ngx_tm_min, tm.ngx_tm_sec, tp->msec)
                      - time;

    record.revision = revision;
    record.origin.data = (u_char *) ngx_http_gray_release_origin(origin);
    record.origin.len = ngx_strlen(record.origin.data);
    record.document = *text;

    if (author) {
        record.author = *author;

    } else if (origin == NGX_HTTP_GRAY_DECLARED) {
        record.author = declared;
    }

    if (user) {
        record.user = *user;
    }

    if (comment) {
        record.comment = *comment;
    }

    return ngx_http_gray_record_print(&record, line);
}


ngx_int_t
ngx_http_gray_journals_visit(ngx_http_gray_release_t *release,
    ngx_http_gray_journal_t *journal)
{
    ngx_http_gray_block_t  *block;

    block = release->block;

    if (ngx_http_gray_journal_init(journal, &release->zone->state,
                                   &release->name)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    journal->history = release->zone->history;
    journal->mark = block->journal;
    journal->revision = ngx_http_gray_shm_word(block) >> 1;

    if (block->journal.revision != journal->revision
        || block->journal.suspect
        || ngx_http_gray_journal_moved(journal->path, &block->journal))
    {
        return ngx_http_gray_journals_base(release, journal);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_journals_base(ngx_http_gray_release_t *release,
    ngx_http_gray_journal_t *journal)
{
    ngx_int_t                  rc;
    ngx_http_gray_snapshot_t   snapshot;

    if (ngx_http_gray_shm_read(release->zone, release->block, &snapshot)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_http_gray_journals_record(snapshot.revision, snapshot.origin,
                                       NULL, NULL, NULL, &snapshot.text,
                                       &journal->base);
    free(snapshot.text.data);

    return rc;
}


ngx_int_t
ngx_http_gray_journals_visited_locked(ngx_http_gray_release_t *release,
    ngx_http_gray_journal_t *journal, ngx_log_t *log)
{
    uint64_t   revision;
    ngx_int_t  rc;

    ngx_http_gray_journals_report(release, journal, log);

    ngx_http_gray_journals_note(&release->block->journal, &journal->mark);

    if (journal->rc != NGX_DECLINED) {
        return journal->rc;
    }

    if (ngx_http_gray_record_judge(journal->found.data, journal->found.len,
                                   &revision)
        != NGX_HTTP_GRAY_RECORD_GOOD)
    {
        return NGX_ERROR;
    }

    /* told before it is in force */

    __atomic_store_n(&release->block->foreign, revision, __ATOMIC_SEQ_CST);

    rc = ngx_http_gray_journals_adopt(release, &journal->found, revision, log);

    if (rc == NGX_OK) {
        return NGX_DECLINED;
    }

    /* what cannot be used is so next time, but memory may be there again */

    if (rc == NGX_DECLINED) {
        release->block->journal.refused = revision;
        release->block->journal.error = NGX_HTTP_GRAY_JOURNAL_REFUSED;

    } else {
        release->block->journal.size = 0;
        journal->rc = NGX_ERROR;
    }

    return NGX_ERROR;
}


/* a process that dies in here leaves nothing that is known of the file */

static void
ngx_http_gray_journals_note(ngx_http_gray_journal_mark_t *known,
    ngx_http_gray_journal_mark_t *mark)
{
    uint64_t                      size;
    ngx_http_gray_journal_mark_t  note;

    size = mark->size;

    note = *mark;
    note.size = 0;

    __atomic_store_n(&known->size, 0, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    *known = note;

    __atomic_store_n(&known->size, size, __ATOMIC_RELEASE);
}


/* what is wrong is logged once, until it is something else */

static void
ngx_http_gray_journals_report(ngx_http_gray_release_t *release,
    ngx_http_gray_journal_t *journal, ngx_log_t *log)
{
    ngx_err_t                      err;
    ngx_http_gray_journal_mark_t  *mark;

    mark = &journal->mark;

    if (journal->torn) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "gray: \"%s\": cut off %uz bytes of a write that was "
                      "not finished", journal->path, journal->torn);
    }

    if (journal->damaged) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "gray: \"%s\": %ui lines are damaged, the file is kept "
                      "as \"%s\"", journal->path, journal->damaged,
                      journal->aside);
    }

    switch (journal->rc) {

    case NGX_ERROR:
        err = journal->err ? journal->err : NGX_ENOMEM;

        if (mark->error != (uint64_t) err) {
            ngx_log_error(NGX_LOG_ERR, log, err,
                          "gray: \"%s\": %s failed%s", journal->path,
                          journal->failed ? journal->failed : "malloc()",
                          journal->unknown ? ", and it could not be taken back"
                                           : "");
        }

        mark->error = err;
        break;

    case NGX_ABORT:
        if (mark->error != NGX_HTTP_GRAY_JOURNAL_NEWER) {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "gray: \"%s\" was written by a newer version of "
                          "the module, it is left alone, and release \"%V\" "
                          "cannot be changed", journal->path, &release->name);
        }

        mark->error = NGX_HTTP_GRAY_JOURNAL_NEWER;
        break;

    default:
        if (mark->error && mark->error != NGX_HTTP_GRAY_JOURNAL_REFUSED) {
            ngx_log_error(NGX_LOG_NOTICE, log, 0,
                          "gray: \"%s\" can be written again",
                          journal->path);
        }

        mark->error = 0;
        break;
    }
}


/* who has the lock by now may overwrite this: it knows better */

void
ngx_http_gray_journals_unknown(ngx_http_gray_release_t *release, ngx_err_t err)
{
    ngx_http_gray_journal_mark_t  *mark;

    mark = &release->block->journal;

    mark->error = err;
    mark->size = 0;
    mark->revision = 0;
}


const char *
ngx_http_gray_journals_error(ngx_http_gray_release_t *release, u_char *buf,
    size_t size)
{
    u_char    *p;
    uint64_t   error;

    error = release->block->journal.error;

    if (error == 0) {
        return NULL;
    }

    if (error == NGX_HTTP_GRAY_JOURNAL_NEWER) {
        return "written by a newer version of the module, and left alone";
    }

    if (error == NGX_HTTP_GRAY_JOURNAL_REFUSED) {
        return "has a revision that cannot be used, see the error log";
    }

    p = ngx_strerror((ngx_err_t) error, buf, size - 1);
    *p = '\0';

    return (char *) buf;
}


static ngx_int_t
ngx_http_gray_journals_adopt(ngx_http_gray_release_t *release,
    ngx_str_t *line, uint64_t revision, ngx_log_t *log)
{
    ngx_int_t                    rc;
    ngx_http_gray_record_t       record;
    ngx_http_gray_snapshot_t     snapshot;

    if (ngx_http_gray_record_parse(line->data, line->len, &record) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_gray_journals_judge(release, &record, revision, log);

    if (rc != NGX_OK) {
        ngx_http_gray_record_free(&record);
        return rc;
    }

    ngx_memzero(&snapshot, sizeof(ngx_http_gray_snapshot_t));

    snapshot.revision = revision;
    snapshot.text = record.document;
    snapshot.origin = ngx_http_gray_release_origin_of(&record.origin);

    rc = ngx_http_gray_journals_publish(release, &snapshot);

    ngx_http_gray_record_free(&record);

    if (rc == NGX_DECLINED && release->block->journal.refused != revision) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "gray: release \"%V\": revision %uL of the journal is "
                      "%uz bytes long, more than the zone takes: document=SIZE "
                      "of gray_zone", &release->name, revision,
                      snapshot.text.len);
    }

    if (rc == NGX_OK) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "gray: release \"%V\" revision %uL from the journal",
                      &release->name, revision);
    }

    return rc;
}


/*
 * A record may be one that somebody has made, or of another version: what it
 * names need not be there, but a document it must be.
 */

static ngx_int_t
ngx_http_gray_journals_judge(ngx_http_gray_release_t *release,
    ngx_http_gray_record_t *record, uint64_t revision, ngx_log_t *log)
{
    ngx_int_t                    rc;
    ngx_http_gray_json_t        *doc;
    ngx_http_gray_faults_t       faults;
    ngx_http_gray_schema_t       schema;
    ngx_http_gray_json_error_t   err;

    faults.n = 0;

    doc = ngx_http_gray_json_parse(record->document.data,
                                   record->document.len, &err);
    if (doc == NULL) {

        if (err.line == 0) {
            return NGX_ERROR;
        }

        ngx_http_gray_json_fault(&faults, NULL, "%s", err.detail);

    } else {
        schema.release = release->name;
        schema.kind = NGX_HTTP_GRAY_EITHER;

        rc = ngx_http_gray_schema_judge(&schema, doc, &faults);

        ngx_http_gray_json_free(doc);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    if (faults.n == 0) {
        return NGX_OK;
    }

    if (release->block->journal.refused != revision) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "gray: release \"%V\": revision %uL of the journal is no "
                      "document and is not used: %s%s%s", &release->name,
                      revision, faults.fault[0].pointer,
                      faults.fault[0].pointer[0] ? ": " : "",
                      faults.fault[0].detail);
    }

    return NGX_DECLINED;
}


/* others hold the zone's lock for a moment, unless they were stopped */

static ngx_int_t
ngx_http_gray_journals_publish(ngx_http_gray_release_t *release,
    ngx_http_gray_snapshot_t *snapshot)
{
    ngx_int_t   rc;
    ngx_uint_t  tries;

    for (tries = 0; tries < NGX_HTTP_GRAY_JOURNALS_TRIES; tries++) {

        if (ngx_http_gray_shm_lock(release->zone) == NGX_OK) {
            rc = ngx_http_gray_shm_adopt_locked(release->zone, release->block,
                                                snapshot);
            ngx_http_gray_shm_unlock(release->zone);
            return rc;
        }

        ngx_sched_yield();
    }

    return NGX_ERROR;
}


uint64_t
ngx_http_gray_journals_recover(ngx_http_gray_release_t *release,
    ngx_uint_t trusted, ngx_log_t *log)
{
    uint64_t                    revision, current;
    ngx_int_t                   rc;
    ngx_http_gray_lines_tail_t  tail;

    if (ngx_http_gray_journals_tail(release, &tail, log) != NGX_OK) {
        return 0;
    }

    current = ngx_http_gray_shm_word(release->block) >> 1;
    revision = tail.revision;

    /* what was damaged had numbers, not to be used again, if legible or not */

    if (tail.lost) {
        revision = ngx_max(revision + tail.lost, tail.seen) + 1;
    }

    if (tail.line.len) {

        if (current == 0 || (trusted && tail.revision > current)) {
            rc = ngx_http_gray_journals_adopt(release, &tail.line, revision,
                                              log);

            /* its number is taken, unless it may come into force later */

            revision = (rc == NGX_ERROR) ? 0 : revision + (rc != NGX_OK);

        } else if (!trusted && revision >= current) {
            ngx_http_gray_journals_raise(release, &tail.line, revision, log);
        }
    }

    if (tail.lost && current == 0) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "gray: release \"%V\": the end of its journal is "
                      "damaged, %s, as revision %uL", &release->name,
                      tail.line.len ? "the last good revision serves"
                                    : "what nginx.conf declares serves",
                      ngx_max(revision, 1));
    }

    free(tail.line.data);

    return revision;
}


/* a live document beside a journal that it has nothing to do with */

static void
ngx_http_gray_journals_raise(ngx_http_gray_release_t *release,
    ngx_str_t *line, uint64_t revision, ngx_log_t *log)
{
    ngx_uint_t                same;
    ngx_http_gray_record_t    record;
    ngx_http_gray_snapshot_t  snapshot;

    if (ngx_http_gray_shm_read(release->zone, release->block, &snapshot)
        != NGX_OK)
    {
        return;
    }

    same = 0;

    if (ngx_http_gray_record_parse(line->data, line->len, &record) == NGX_OK) {
        same = (record.revision == snapshot.revision
                && record.document.len == snapshot.text.len
                && ngx_memcmp(record.document.data, snapshot.text.data,
                              snapshot.text.len)
                   == 0);

        ngx_http_gray_record_free(&record);
    }

    if (!same) {
        snapshot.revision = revision + 1;

        if (ngx_http_gray_journals_publish(release, &snapshot) == NGX_OK) {
            ngx_log_error(NGX_LOG_NOTICE, log, 0,
                          "gray: release \"%V\" has a journal of other "
                          "revisions, its live document is revision %uL now",
                          &release->name, snapshot.revision);
        }
    }

    free(snapshot.text.data);
}


/* NGX_OK, or NGX_DECLINED where there is nothing to be used */

static ngx_int_t
ngx_http_gray_journals_tail(ngx_http_gray_release_t *release,
    ngx_http_gray_lines_tail_t *tail, ngx_log_t *log)
{
    ngx_int_t                rc;
    ngx_err_t                err;
    ngx_http_gray_journal_t  journal;

    if (ngx_http_gray_journal_init(&journal, &release->zone->state,
                                   &release->name)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    rc = ngx_http_gray_lines_tail(journal.path, tail);
    err = ngx_errno;

    if (rc == NGX_OK && tail->layout == NGX_HTTP_GRAY_RECORD_NEWER) {
        free(tail->line.data);
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "gray: \"%s\" was written by a newer version of the "
                      "module, it is left alone", journal.path);
        return NGX_DECLINED;
    }

    if (rc == NGX_ERROR) {
        ngx_log_error(NGX_LOG_ERR, log, err,
                      "gray: \"%s\" cannot be read", journal.path);
        return NGX_DECLINED;
    }

    return rc;
}


void
ngx_http_gray_journals_settle_locked(ngx_http_gray_release_t *release,
    ngx_uid_t uid, ngx_log_t *log)
{
    ngx_http_gray_journal_t  journal;

    if (ngx_http_gray_journals_visit(release, &journal) == NGX_OK) {

        if (journal.base.len) {
            journal.relaxed = 1;
            journal.uid = uid;

            ngx_http_gray_journal_write(&journal);

            (void) ngx_http_gray_journals_visited_locked(release, &journal,
                                                         log);
        }

        ngx_http_gray_journal_free(&journal);
    }
}


ngx_uint_t
ngx_http_gray_journals_moved(ngx_http_gray_release_t *release)
{
    ngx_http_gray_block_t    *block;
    ngx_http_gray_journal_t   journal;

    block = release->block;

    return ngx_http_gray_journal_init(&journal, &release->zone->state,
                                      &release->name)
           == NGX_OK
           && (block->journal.revision > ngx_http_gray_shm_word(block) >> 1
               || ngx_http_gray_journal_moved(journal.path, &block->journal));
}


ngx_http_gray_release_t *
ngx_http_gray_journals_behind(ngx_http_gray_main_conf_t *gmcf,
    ngx_http_gray_zone_t *zone)
{
    ngx_uint_t                  i;
    ngx_http_gray_release_t   **release;

    release = gmcf->releases.elts;

    for (i = 0; i < gmcf->releases.nelts; i++) {
        if (release[i]->zone == zone
            && ngx_http_gray_journals_moved(release[i]))
        {
            return release[i];
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_gray_journals_fits(ngx_http_gray_release_t *release, ngx_log_t *log)
{
    ngx_int_t                   rc;
    ngx_http_gray_record_t      record;
    ngx_http_gray_journal_t     journal;
    ngx_http_gray_lines_tail_t  tail;

    if (ngx_http_gray_journal_init(&journal, &release->zone->state,
                                   &release->name)
        != NGX_OK
        || ngx_http_gray_lines_tail(journal.path, &tail) != NGX_OK)
    {
        return NGX_OK;
    }

    rc = NGX_OK;

    if (tail.line.len > release->zone->document
        && ngx_http_gray_record_parse(tail.line.data, tail.line.len, &record)
           == NGX_OK)
    {
        rc = ngx_http_gray_live_fits(release, record.revision,
                                     record.document.len, log);
        ngx_http_gray_record_free(&record);
    }

    free(tail.line.data);

    return rc;
}
