
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Journals that somebody else writes: workers of another zone, as of another
 * size of it, before and after a reload; those of another binary; and people
 * who put back or remove a file.  A look is a stat() of each journal, by a
 * thread.  Where a file does not look as this zone has left it, or is behind
 * the zone, a commit of nothing makes them alike.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_commit.h"
#include "ngx_http_gray_follow.h"
#include "ngx_http_gray_live.h"


#define NGX_HTTP_GRAY_FOLLOW_INTERVAL  400    /* ms, between looks of all */
#define NGX_HTTP_GRAY_FOLLOW_TICK      100    /* ms */


typedef struct {
    ngx_http_gray_release_t    *release;
    char                       *path;
    ngx_uint_t                  moved;      /* unsigned  moved:1; */
} ngx_http_gray_follow_item_t;


typedef struct {
    ngx_cycle_t                *cycle;
    ngx_http_gray_zone_t       *zone;
    ngx_http_gray_task_t        task;
    ngx_event_t                 event;
    ngx_uint_t                  nitems;
    ngx_http_gray_follow_item_t *item;
    ngx_uint_t                  next;       /* item that is to be looked at */
} ngx_http_gray_follow_t;


static void ngx_http_gray_follow_handler(ngx_event_t *ev);
static void ngx_http_gray_follow_look(void *data);
static void ngx_http_gray_follow_looked(void *data);
static void ngx_http_gray_follow_go_on(ngx_http_gray_follow_t *follow);
static ngx_http_gray_commit_t *ngx_http_gray_follow_commit(
    ngx_http_gray_release_t *release);
static void ngx_http_gray_follow_done(ngx_http_gray_commit_t *commit,
    ngx_int_t rc);


ngx_int_t
ngx_http_gray_follow_init_process(ngx_http_gray_main_conf_t *gmcf,
    ngx_http_gray_zone_t *zone, ngx_cycle_t *cycle)
{
    ngx_str_t                     path;
    ngx_uint_t                    i;
    ngx_http_gray_follow_t       *follow;
    ngx_http_gray_release_t     **release;
    ngx_http_gray_follow_item_t  *item;

    if (zone->journals == NULL) {
        return NGX_OK;
    }

    follow = ngx_pcalloc(cycle->pool, sizeof(ngx_http_gray_follow_t));
    item = ngx_pcalloc(cycle->pool, (gmcf->releases.nelts + 1)
                                    * sizeof(ngx_http_gray_follow_item_t));

    if (follow == NULL || item == NULL) {
        return NGX_ERROR;
    }

    follow->cycle = cycle;
    follow->zone = zone;
    follow->item = item;
    follow->task.data = follow;

    release = gmcf->releases.elts;

    for (i = 0; i < gmcf->releases.nelts; i++) {

        if (release[i]->zone != zone) {
            continue;
        }

        path.len = zone->state.len + release[i]->name.len
                   + sizeof("/.jsonl");
        path.data = ngx_pnalloc(cycle->pool, path.len);

        if (path.data == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_sprintf(path.data, "%V/%V.jsonl%Z", &zone->state,
                           &release[i]->name);

        item->release = release[i];
        item->path = (char *) path.data;

        follow->nitems++;
        item++;
    }

    follow->event.handler = ngx_http_gray_follow_handler;
    follow->event.data = follow;
    follow->event.log = cycle->log;
    follow->event.cancelable = 1;

    ngx_add_timer(&follow->event, NGX_HTTP_GRAY_FOLLOW_TICK);

    return NGX_OK;
}


static void
ngx_http_gray_follow_handler(ngx_event_t *ev)
{
    ngx_http_gray_follow_t  *follow;

    follow = ev->data;

    /* a single process that has reloaded: the zone may be no more */

    if (follow->cycle != ngx_cycle) {
        return;
    }

    /* who is on his way out may not even be let into the directory */

    if (!ngx_http_gray_shm_outdated(follow->zone)
        && ngx_http_gray_shm_turn(follow->zone, NGX_HTTP_GRAY_TURN_FOLLOW,
                                  NGX_HTTP_GRAY_FOLLOW_INTERVAL)
        && ngx_http_gray_task_post(&follow->task, follow->zone->threads,
                                   ngx_http_gray_follow_look,
                                   ngx_http_gray_follow_looked)
           == NGX_OK)
    {
        return;
    }

    ngx_add_timer(ev, NGX_HTTP_GRAY_FOLLOW_TICK);
}


static void
ngx_http_gray_follow_look(void *data)
{
    ngx_http_gray_follow_t *follow = data;

    uint64_t                      revision;
    ngx_uint_t                    i;
    ngx_http_gray_block_t        *block;
    ngx_http_gray_follow_item_t  *item;

    for (i = 0; i < follow->nitems; i++) {
        item = &follow->item[i];
        block = item->release->block;

        revision = ngx_http_gray_shm_word(block) >> 1;

        item->moved = (revision != block->journal.revision
                       && block->journal.revision != block->journal.refused)
                      || block->journal.suspect
                      || ngx_http_gray_journal_moved(item->path,
                                                     &block->journal);
    }
}


static void
ngx_http_gray_follow_looked(void *data)
{
    ngx_http_gray_follow_t *follow = data;

    follow->next = 0;

    ngx_http_gray_follow_go_on(follow);
}


/* one after the other, so that writes of people come in between */

static void
ngx_http_gray_follow_go_on(ngx_http_gray_follow_t *follow)
{
    ngx_int_t                     rc;
    ngx_http_gray_commit_t       *commit;
    ngx_http_gray_follow_item_t  *item;

    while (follow->next < follow->nitems) {

        item = &follow->item[follow->next++];

        if (!item->moved && !item->release->due) {
            continue;
        }

        commit = ngx_http_gray_follow_commit(item->release);

        if (commit == NULL) {
            break;
        }

        commit->done = ngx_http_gray_follow_done;
        commit->data = follow;

        rc = ngx_http_gray_commit_start(commit);

        if (rc == NGX_DONE) {
            return;
        }

        ngx_http_gray_commit_leave(commit);

        if (rc == NGX_AGAIN) {
            break;
        }
    }

    ngx_add_timer(&follow->event, NGX_HTTP_GRAY_FOLLOW_TICK);
}


/*
 * Of nothing, or of what nginx.conf declares, where the master did not get the
 * lock to publish that.
 */

static ngx_http_gray_commit_t *
ngx_http_gray_follow_commit(ngx_http_gray_release_t *release)
{
    ngx_int_t                rc;
    ngx_http_gray_commit_t  *commit;

    commit = ngx_http_gray_commit_create(release);

    if (commit) {
        commit->quiet = 1;
    }

    if (commit == NULL || !release->due) {
        return commit;
    }

    rc = ngx_http_gray_live_due(release, &commit->word, &commit->text,
                                ngx_cycle->log);
    if (rc == NGX_OK) {
        commit->origin = NGX_HTTP_GRAY_DECLARED;

    } else {
        ngx_str_null(&commit->text);
        release->due = (rc != NGX_DECLINED);
    }

    return commit;
}


static void
ngx_http_gray_follow_done(ngx_http_gray_commit_t *commit, ngx_int_t rc)
{
    ngx_http_gray_follow_t  *follow;

    follow = commit->data;

    ngx_http_gray_commit_leave(commit);

    /* somebody else writes: the rest waits until the next look */

    if (rc == NGX_AGAIN) {
        follow->next = follow->nitems;
    }

    ngx_http_gray_follow_go_on(follow);
}
