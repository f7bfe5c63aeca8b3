
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_LIVE_H_INCLUDED_
#define _NGX_HTTP_GRAY_LIVE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/*
 * The live document and its snapshot: snapshot->text.data is to be freed by
 * free(), *doc by ngx_http_gray_json_free().  NGX_OK, or NGX_ERROR.
 */
ngx_int_t ngx_http_gray_live_read(ngx_http_gray_release_t *release,
    ngx_http_gray_snapshot_t *snapshot, ngx_http_gray_json_t **doc);

/*
 * Publishes "text" as the revision after the one of "word", for every worker
 * at once.  NGX_OK; NGX_DECLINED where there is a newer one already;
 * NGX_AGAIN where another process is writing: try again in a moment;
 * NGX_BUSY where the document is longer than the zone takes; NGX_ABORT where
 * there is a newer nginx.conf, which this process cannot judge by: it is on its
 * way out.
 */
ngx_int_t ngx_http_gray_live_write(ngx_http_gray_release_t *release,
    uint64_t word, ngx_str_t *text, ngx_http_gray_origin_e origin,
    ngx_log_t *log);

/*
 * Likewise, for who holds the lock of the journals and has made "text" durable
 * there: whatever nginx.conf says meanwhile, it is the next revision.
 */
ngx_int_t ngx_http_gray_live_publish(ngx_http_gray_release_t *release,
    uint64_t word, ngx_str_t *text, ngx_http_gray_origin_e origin);

/*
 * What is to be published after the revision of "word", as nginx.conf declares
 * it and nobody has changed it at run time: NGX_OK with a text to be freed by
 * free(); NGX_DECLINED where the live document is kept, with a log line if it
 * says another thing; else NGX_BUSY or NGX_ERROR.
 */
ngx_int_t ngx_http_gray_live_due(ngx_http_gray_release_t *release,
    uint64_t *word, ngx_str_t *text, ngx_log_t *log);

/* is there a newer nginx.conf, or was the release moved to another zone? */
ngx_uint_t ngx_http_gray_live_left(ngx_http_gray_release_t *release);

/* is this a process of an nginx beside which there is an upgraded one? */
ngx_uint_t ngx_http_gray_live_upgraded(void);

/*
 * May a live document of "len" bytes come into the release's zone?  NGX_OK, or
 * NGX_ERROR with a log line.
 */
ngx_int_t ngx_http_gray_live_fits(ngx_http_gray_release_t *release,
    uint64_t revision, size_t len, ngx_log_t *log);

/* compiles the current revision, unless that failed a moment ago */
void ngx_http_gray_live_refresh(ngx_http_gray_release_t *release,
    ngx_log_t *log);

/* looks for slots of counters again, where the zone's lock was not to be had */
void ngx_http_gray_live_recount(ngx_http_gray_release_t *release,
    ngx_log_t *log);


/*
 * The rule set of the current revision, compiled if it is new.  NULL only
 * where nothing could be compiled ever (memory).  Must not be called while
 * release->deciding: a decision under way keeps its rule set.
 */
static ngx_inline ngx_http_gray_rules_t *
ngx_http_gray_live_rules(ngx_http_gray_release_t *release, ngx_log_t *log)
{
    if (ngx_http_gray_shm_word(release->block) != release->word) {
        ngx_http_gray_live_refresh(release, log);
    }

    return release->rules;
}


#endif /* _NGX_HTTP_GRAY_LIVE_H_INCLUDED_ */
