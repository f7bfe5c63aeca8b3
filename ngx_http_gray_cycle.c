
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_cycle.h"
#include "ngx_http_gray_databases.h"
#include "ngx_http_gray_follow.h"
#include "ngx_http_gray_journals.h"
#include "ngx_http_gray_lists.h"
#include "ngx_http_gray_live.h"
#include "ngx_http_gray_tick.h"


#define NGX_HTTP_GRAY_LOCK_TRIES  100


static ngx_uint_t ngx_http_gray_cycle_slots(ngx_http_gray_release_t *release);
static size_t ngx_http_gray_cycle_counters(ngx_http_gray_release_t *release);
static ngx_uint_t ngx_http_gray_cycle_keyed(ngx_http_gray_release_t *release);
static ngx_int_t ngx_http_gray_cycle_add(ngx_http_gray_release_t *release);
static ngx_int_t ngx_http_gray_cycle_fits(ngx_http_gray_zone_t *zone);
static void ngx_http_gray_cycle_small(ngx_http_gray_zone_t *zone,
    size_t pages);
static ngx_http_gray_block_t *ngx_http_gray_cycle_block(
    ngx_http_gray_zone_t *zone, ngx_str_t *name, size_t counters);
static ngx_http_gray_block_t *ngx_http_gray_cycle_spare(
    ngx_http_gray_main_conf_t *gmcf, ngx_http_gray_zone_t *zone,
    ngx_str_t *name, size_t counters);
static void ngx_http_gray_cycle_begin(ngx_cycle_t *cycle,
    ngx_http_gray_zone_t *zone, ngx_http_gray_main_conf_t *before);
static void ngx_http_gray_cycle_begin_release(
    ngx_http_gray_release_t *release, ngx_http_gray_main_conf_t *before,
    ngx_uint_t locked, ngx_uid_t user, ngx_log_t *log);
static ngx_uint_t ngx_http_gray_cycle_trusted(ngx_http_gray_zone_t *zone,
    ngx_http_gray_release_t *old, ngx_http_gray_main_conf_t *before);
static ngx_uint_t ngx_http_gray_cycle_same(ngx_http_gray_zone_t *one,
    ngx_http_gray_zone_t *other);
static ngx_uint_t ngx_http_gray_cycle_lock_journals(
    ngx_http_gray_journals_t *journals, ngx_uint_t first, ngx_log_t *log);
static void ngx_http_gray_cycle_other(ngx_cycle_t *cycle);
static ngx_http_gray_main_conf_t *ngx_http_gray_cycle_main_conf(
    ngx_cycle_t *cycle);
static void ngx_http_gray_cycle_inherit(ngx_http_gray_release_t *release,
    ngx_http_gray_release_t *old, ngx_log_t *log);
static void ngx_http_gray_cycle_accept(ngx_http_gray_release_t *release,
    uint64_t least, ngx_log_t *log);
static ngx_int_t ngx_http_gray_cycle_first(ngx_http_gray_release_t *release,
    uint64_t least);
static ngx_int_t ngx_http_gray_cycle_take_up(ngx_http_gray_release_t *release,
    ngx_log_t *log);
static ngx_uint_t ngx_http_gray_cycle_lock(ngx_http_gray_zone_t *zone);


ngx_int_t
ngx_http_gray_cycle_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    size_t                      size, pages;
    ngx_uint_t                  i;
    ngx_http_gray_zone_t       *zone;
    ngx_http_gray_release_t   **release;
    ngx_http_gray_main_conf_t  *gmcf;

    zone = shm_zone->data;
    gmcf = zone->data;

    pages = 0;
    release = gmcf->releases.elts;

    if (ngx_http_gray_shm_attach(zone) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < gmcf->releases.nelts; i++) {

        if (release[i]->zone == zone) {
            size = ngx_http_gray_cycle_counters(release[i]);
            release[i]->block = ngx_http_gray_cycle_block(zone,
                                                          &release[i]->name,
                                                          size);
        }
    }

    for (i = 0; i < gmcf->releases.nelts; i++) {

        if (release[i]->zone == zone && release[i]->block == NULL) {
            size = ngx_http_gray_cycle_counters(release[i]);
            release[i]->block = ngx_http_gray_cycle_spare(gmcf, zone,
                                                          &release[i]->name,
                                                          size);
            if (release[i]->block == NULL) {
                pages += ngx_http_gray_shm_pages(zone, size);
            }
        }
    }

    /* all or none: the zone may be one that is in use, and goes on to be */

    if (!ngx_http_gray_shm_fits(zone, pages)) {
        ngx_http_gray_cycle_small(zone, pages);
        return NGX_ERROR;
    }

    if (ngx_http_gray_cycle_fits(zone) != NGX_OK
        || ngx_http_gray_lists_init_zone(zone, data) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < gmcf->releases.nelts; i++) {

        if (release[i]->zone == zone
            && ngx_http_gray_cycle_add(release[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* one more than are declared: a change at run time may bring another variant */

static ngx_uint_t
ngx_http_gray_cycle_slots(ngx_http_gray_release_t *release)
{
    ngx_uint_t             n;
    ngx_http_gray_json_t  *variant;

    n = 1;
    variant = ngx_http_gray_json_first(
                        ngx_http_gray_json_get(release->declared, "variants"));

    for ( /* void */ ; variant; variant = ngx_http_gray_json_next(variant)) {
        n++;
    }

    return ngx_min(n, NGX_HTTP_GRAY_COUNTED_VARIANTS);
}


/* bytes that they are to have, with the trial of a rollout behind them */

static size_t
ngx_http_gray_cycle_counters(ngx_http_gray_release_t *release)
{
    ngx_http_gray_main_conf_t  *gmcf;

    if (!release->zone->stats) {
        return 0;
    }

    gmcf = release->zone->data;

    return ngx_align(
               ngx_http_gray_counters_size(ngx_http_gray_cycle_slots(release),
                                           gmcf->core->worker_processes), 64)
           + ngx_http_gray_trial_size(gmcf->core->worker_processes,
                                      ngx_http_gray_cycle_keyed(release));
}


/* only where users are told apart may a rollout ask for it */

static ngx_uint_t
ngx_http_gray_cycle_keyed(ngx_http_gray_release_t *release)
{
    return ngx_http_gray_json_get(release->declared, "hash")
           || ngx_http_gray_json_get(release->declared, "cookie");
}


/* the block, if there is none yet, and what it is to hold */

static ngx_int_t
ngx_http_gray_cycle_add(ngx_http_gray_release_t *release)
{
    size_t                      size;
    ngx_log_t                  *log;
    ngx_str_t                  *zone_name;
    ngx_uint_t                  fresh;
    ngx_http_gray_zone_t       *zone;
    ngx_http_gray_main_conf_t  *gmcf;

    zone = release->zone;
    gmcf = zone->data;
    zone_name = &zone->shm_zone->shm.name;
    log = zone->shm_zone->shm.log;

    size = ngx_http_gray_cycle_counters(release);

    if (release->block == NULL) {
        release->block = ngx_http_gray_shm_add(zone, &release->name, size);
    }

    if (release->block == NULL) {
        ngx_log_error(NGX_LOG_ALERT, log, 0,
                      "gray_zone \"%V\" has no memory for release \"%V\"",
                      zone_name, &release->name);
        return NGX_ERROR;
    }

    fresh = (ngx_http_gray_shm_word(release->block) == 0);

    if (release->block->size != zone->document) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "gray_zone \"%V\": release \"%V\" keeps its document "
                      "size of %uz bytes until the zone's size is changed or "
                      "nginx is restarted", zone_name, &release->name,
                      release->block->size);
    }

    release->counters = ngx_http_gray_shm_counters(zone, release->block);

    if (release->counters && fresh) {
        ngx_http_gray_counters_init(release->counters,
                                    ngx_http_gray_cycle_slots(release),
                                    gmcf->core->worker_processes, ngx_time(),
                                    ngx_current_msec);

        ngx_http_gray_trial_init(ngx_http_gray_release_trial(release),
                                 gmcf->core->worker_processes,
                                 ngx_http_gray_cycle_keyed(release));
    }

    if (!zone->stats) {
        release->counters = NULL;

    } else if (release->counters) {
        release->trial = ngx_http_gray_release_trial(release);

    } else {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "gray_zone \"%V\": release \"%V\" has no memory for "
                      "statistics until the zone's size is changed or nginx "
                      "is restarted", zone_name, &release->name);
    }

    return NGX_OK;
}


/* live documents that are to come along, of an old zone and of journals */

static ngx_int_t
ngx_http_gray_cycle_fits(ngx_http_gray_zone_t *zone)
{
    ngx_int_t                   rc;
    ngx_log_t                  *log;
    ngx_uint_t                  i;
    ngx_http_gray_release_t    *old, **release;
    ngx_http_gray_snapshot_t    snapshot;
    ngx_http_gray_main_conf_t  *gmcf, *before;

    gmcf = zone->data;
    log = zone->shm_zone->shm.log;

    /* the configuration in force is the one before, if there is one */

    before = ngx_http_gray_cycle_main_conf((ngx_cycle_t *) ngx_cycle);
    release = gmcf->releases.elts;

    for (i = 0; i < gmcf->releases.nelts; i++) {

        if (release[i]->zone != zone) {
            continue;
        }

        old = before ? ngx_http_gray_release_find(before, &release[i]->name)
                     : NULL;

        if (old && old->block && old->block != release[i]->block
            && ngx_http_gray_shm_read(old->zone, old->block, &snapshot)
               == NGX_OK)
        {
            free(snapshot.text.data);

            rc = ngx_http_gray_live_fits(release[i], snapshot.revision,
                                         snapshot.text.len, log);
            if (rc != NGX_OK) {
                return NGX_ERROR;
            }
        }

        if (zone->journals
            && (release[i]->block == NULL
                || ngx_http_gray_shm_word(release[i]->block) == 0)
            && ngx_http_gray_journals_fits(release[i], log) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* what was taken out of nginx.conf keeps its place in a zone that goes on */

static void
ngx_http_gray_cycle_small(ngx_http_gray_zone_t *zone, size_t pages)
{
    u_char                     *p, *last, names[512];
    size_t                      need;
    ngx_str_t                   name;
    ngx_uint_t                  more;
    ngx_http_gray_block_t      *block;
    ngx_http_gray_release_t    *release;
    ngx_http_gray_main_conf_t  *gmcf;

    gmcf = zone->data;
    need = (ngx_http_gray_shm_need(zone, pages) + 1023) / 1024;

    p = names;
    last = names + sizeof(names) - sizeof(" and more, 4294967295 in all");
    more = 0;

    for (block = ngx_http_gray_shm_next(zone, NULL);
         block;
         block = ngx_http_gray_shm_next(zone, block))
    {
        name.len = block->len;
        name.data = block->name;

        release = ngx_http_gray_release_find(gmcf, &name);

        if (name.len == 0 || (release && release->zone == zone)) {
            continue;
        }

        if (more++ && (size_t) (last - p) < name.len + sizeof(", \"\"")) {
            last = p;
            continue;
        }

        p = ngx_slprintf(p, last, "%s\"%V\"", p == names ? "" : ", ", &name);
    }

    if (last == p) {
        p = ngx_sprintf(p, " and more, %ui in all", more);
    }

    *p = '\0';

    if (p == names) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm_zone->shm.log, 0,
                      "gray_zone \"%V\" is too small, it needs %uzk for what "
                      "is declared", &zone->shm_zone->shm.name, need);
        return;
    }

    ngx_log_error(NGX_LOG_EMERG, zone->shm_zone->shm.log, 0,
                  "gray_zone \"%V\" is too small, it needs %uzk for what is "
                  "declared and for releases that were taken out: %s; with "
                  "any other size, and after a restart, these are left out",
                  &zone->shm_zone->shm.name, need, names);
}


/*
 * What was published is kept, whatever its size.  A block that is empty and of
 * another size was added for a configuration that was refused: it becomes a
 * spare one, without a name.
 */

static ngx_http_gray_block_t *
ngx_http_gray_cycle_block(ngx_http_gray_zone_t *zone, ngx_str_t *name,
    size_t counters)
{
    ngx_str_t               none = ngx_null_string;
    ngx_http_gray_block_t  *block;

    block = ngx_http_gray_shm_find(zone, name);

    if (block && ngx_http_gray_shm_word(block) == 0
        && (block->size != zone->document
            || block->counters_size != counters))
    {
        ngx_http_gray_shm_rename(block, &none);
        return NULL;
    }

    return block;
}


/* a block that was added for a configuration which was refused afterwards */

static ngx_http_gray_block_t *
ngx_http_gray_cycle_spare(ngx_http_gray_main_conf_t *gmcf,
    ngx_http_gray_zone_t *zone, ngx_str_t *name, size_t counters)
{
    ngx_uint_t                 i;
    ngx_http_gray_block_t     *block;
    ngx_http_gray_release_t  **release;

    release = gmcf->releases.elts;

    for (block = ngx_http_gray_shm_next(zone, NULL);
         block;
         block = ngx_http_gray_shm_next(zone, block))
    {
        if (ngx_http_gray_shm_word(block)
            || block->size != zone->document
            || block->counters_size != counters)
        {
            continue;
        }

        for (i = 0; i < gmcf->releases.nelts; i++) {
            if (release[i]->block == block) {
                break;
            }
        }

        if (i == gmcf->releases.nelts) {
            ngx_http_gray_shm_rename(block, name);
            return block;
        }
    }

    return NULL;
}


/* what must happen once, for a configuration that was accepted */

ngx_int_t
ngx_http_gray_cycle_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t                  i;
    ngx_http_gray_zone_t      **zone;
    ngx_http_gray_main_conf_t  *gmcf, *before;

    if (ngx_test_config) {
        return NGX_OK;
    }

    gmcf = ngx_http_gray_cycle_main_conf(cycle);

    if (gmcf == NULL) {
        return NGX_OK;
    }

    before = ngx_http_gray_cycle_main_conf(cycle->old_cycle);

    if (before == NULL) {
        ngx_http_gray_cycle_other(cycle);
    }

    zone = gmcf->zones.elts;

    for (i = 0; i < gmcf->zones.nelts; i++) {
        ngx_http_gray_shm_begin(zone[i]);
        ngx_http_gray_cycle_begin(cycle, zone[i], before);
    }

    if (before && ngx_process == NGX_PROCESS_SINGLE) {
        ngx_http_gray_tick_leave(before);
    }

    return NGX_OK;
}


static void
ngx_http_gray_cycle_begin(ngx_cycle_t *cycle, ngx_http_gray_zone_t *zone,
    ngx_http_gray_main_conf_t *before)
{
    ngx_uint_t                  i, locked;
    ngx_core_conf_t            *ccf;
    ngx_http_gray_journals_t   *journals;
    ngx_http_gray_release_t   **release;
    ngx_http_gray_main_conf_t  *gmcf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    gmcf = zone->data;
    release = gmcf->releases.elts;

    journals = zone->journals;
    locked = 0;

    if (journals) {
        locked = ngx_http_gray_cycle_lock_journals(journals, before == NULL,
                                                   cycle->log);

    } else if (before == NULL && gmcf->releases.nelts) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "gray: gray_zone \"%V\" has no \"state=DIR\": what is "
                      "changed at run time is forgotten by a restart",
                      &zone->shm_zone->shm.name);
    }

    for (i = 0; i < gmcf->releases.nelts; i++) {

        if (release[i]->zone == zone) {
            ngx_http_gray_cycle_begin_release(release[i], before, locked,
                                              ccf->user, cycle->log);
        }
    }

    if (journals == NULL) {
        return;
    }

    /* workers that are forked must not come to share it */

    ngx_http_gray_directory_close(&journals->directory);

    if (geteuid() == 0 && ccf->user != (ngx_uid_t) NGX_CONF_UNSET_UINT) {
        ngx_http_gray_directory_own(&journals->directory, ccf->user,
                                    cycle->log);
    }
}


static void
ngx_http_gray_cycle_begin_release(ngx_http_gray_release_t *release,
    ngx_http_gray_main_conf_t *before, ngx_uint_t locked, ngx_uid_t user,
    ngx_log_t *log)
{
    uint64_t                  least;
    ngx_uint_t                trusted;
    ngx_http_gray_release_t  *old;

    old = before ? ngx_http_gray_release_find(before, &release->name) : NULL;

    if (old) {
        ngx_http_gray_cycle_inherit(release, old, log);
    }

    least = 0;

    if (release->zone->journals
        && (locked || ngx_http_gray_shm_word(release->block) == 0))
    {
        trusted = before
                  && ngx_http_gray_cycle_trusted(release->zone, old, before);

        least = ngx_http_gray_journals_recover(release, trusted, log);
    }

    /* without the lock, a worker may be about to publish the next revision */

    if (release->zone->journals && !locked
        && ngx_http_gray_shm_word(release->block))
    {
        release->moves = release->block->moves;
        release->due = 1;
        return;
    }

    ngx_http_gray_cycle_accept(release, least, log);

    if (locked) {
        ngx_http_gray_journals_settle_locked(release,
                                             geteuid() ? (ngx_uid_t) -1 : user,
                                             log);
    }
}


/* a journal in another directory has nothing to do with what is live */

static ngx_uint_t
ngx_http_gray_cycle_trusted(ngx_http_gray_zone_t *zone,
    ngx_http_gray_release_t *old, ngx_http_gray_main_conf_t *before)
{
    ngx_str_t              *name;
    ngx_uint_t              i;
    ngx_http_gray_zone_t  **zones;

    if (old) {
        return ngx_http_gray_cycle_same(old->zone, zone);
    }

    /* a release that comes back may have its document in the zone still */

    zones = before->zones.elts;

    for (i = 0; i < before->zones.nelts; i++) {
        name = &zones[i]->shm_zone->shm.name;

        if (name->len == zone->shm_zone->shm.name.len
            && ngx_memcmp(name->data, zone->shm_zone->shm.name.data, name->len)
               == 0)
        {
            return ngx_http_gray_cycle_same(zones[i], zone);
        }
    }

    return 0;
}


/* have they one state directory, or none? */

static ngx_uint_t
ngx_http_gray_cycle_same(ngx_http_gray_zone_t *one,
    ngx_http_gray_zone_t *other)
{
    ngx_file_info_t  this, that;

    if (one->state.len == 0 || other->state.len == 0) {
        return one->state.len == other->state.len;
    }

    if (one->state.len == other->state.len
        && ngx_memcmp(one->state.data, other->state.data, one->state.len) == 0)
    {
        return 1;
    }

    /* by another name, perhaps */

    return ngx_file_info(one->state.data, &this) != NGX_FILE_ERROR
           && ngx_file_info(other->state.data, &that) != NGX_FILE_ERROR
           && this.st_dev == that.st_dev
           && this.st_ino == that.st_ino;
}


/*
 * A write of a worker may be under way, which takes as long as the disk does.
 * Without the lock the journals are as they are, and workers see to them.  When
 * nginx starts there is time: nobody serves by this zone yet, and what is being
 * written may be taken back.
 */

static ngx_uint_t
ngx_http_gray_cycle_lock_journals(ngx_http_gray_journals_t *journals,
    ngx_uint_t first, ngx_log_t *log)
{
    ngx_uint_t  tries, n;

    n = (first ? 50 : 10) * NGX_HTTP_GRAY_LOCK_TRIES;

    for (tries = 0; tries < n; tries++) {

        ngx_time_update();

        switch (ngx_http_gray_directory_lock(&journals->directory, log)) {

        case NGX_OK:
            return 1;

        case NGX_ERROR:
            return 0;

        default: /* NGX_AGAIN */
            ngx_msleep(1);
            break;
        }
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "gray: \"%V/.lock\" is held by another process, workers "
                  "will take up what nginx.conf declares",
                  &journals->directory.path);

    return 0;
}


/* a module of our name, loaded from another path, has zones of its own */

static void
ngx_http_gray_cycle_other(ngx_cycle_t *cycle)
{
    ngx_uint_t     i;
    ngx_module_t  *other;

    if (cycle->old_cycle == NULL || cycle->old_cycle->modules == NULL) {
        return;
    }

    for (i = 0; cycle->old_cycle->modules[i]; i++) {
        other = cycle->old_cycle->modules[i];

        if (other != &ngx_http_gray_module
            && ngx_strcmp(other->name, ngx_http_gray_module.name) == 0)
        {
            ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                          "gray: the module was loaded from another path "
                          "before, what was changed at run time is lost; "
                          "what nginx.conf declares serves");
            return;
        }
    }
}


/* NULL where the module or http{} is not in the cycle */

static ngx_http_gray_main_conf_t *
ngx_http_gray_cycle_main_conf(ngx_cycle_t *cycle)
{
    ngx_uint_t  i;

    if (cycle == NULL || cycle->conf_ctx == NULL || cycle->modules == NULL) {
        return NULL;
    }

    for (i = 0; cycle->modules[i]; i++) {
        if (cycle->modules[i] == &ngx_http_gray_module) {
            return ngx_http_cycle_get_module_main_conf(cycle,
                                                       ngx_http_gray_module);
        }
    }

    return NULL;
}


/*
 * A zone of another size, or of another name, is another memory: the live
 * document comes along, and what was counted.  Workers of the old configuration
 * keep what they have and can no longer write, as nobody would read it.
 */

static void
ngx_http_gray_cycle_inherit(ngx_http_gray_release_t *release,
    ngx_http_gray_release_t *old, ngx_log_t *log)
{
    ngx_int_t                  rc;
    ngx_uint_t                 locked;
    ngx_http_gray_journals_t  *journals;
    ngx_http_gray_snapshot_t   snapshot;
    ngx_http_gray_trial_record_t   record;

    if (old->block == NULL || old->block == release->block) {
        return;
    }

    /* what is being written to another directory is to come along, too */

    journals = old->zone->journals;

    if (journals && ngx_http_gray_cycle_same(old->zone, release->zone)) {
        journals = NULL;
    }

    if (journals && !journals->given_up) {
        journals->given_up = !ngx_http_gray_cycle_lock_journals(journals, 0,
                                                                log);
    }

    locked = ngx_http_gray_cycle_lock(old->zone);

    old->block->moves++;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    rc = ngx_http_gray_shm_read(old->zone, old->block, &snapshot);

    if (old->counters && release->counters) {
        ngx_http_gray_counters_inherit(release->counters, old->counters);

        /* else it may be that nobody has read yet what is kept of it */

        if (ngx_http_gray_trial_word(old->trial)) {
            ngx_http_gray_trial_record(old->trial, &record);
            ngx_http_gray_trial_restore_locked(release->trial, &record);
        }
    }

    release->block->degraded = old->block->degraded;
    release->block->limited = old->block->limited;

    if (locked) {
        ngx_http_gray_shm_unlock(old->zone);
    }

    if (journals) {
        ngx_http_gray_directory_close(&journals->directory);
    }

    if (rc != NGX_OK) {
        return;
    }

    locked = ngx_http_gray_cycle_lock(release->zone);

    rc = ngx_http_gray_shm_adopt_locked(release->zone, release->block,
                                        &snapshot);

    if (locked) {
        ngx_http_gray_shm_unlock(release->zone);
    }

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "gray: release \"%V\": the live document of revision "
                      "%uL is %uz bytes long, more than the new zone takes, "
                      "and is lost; what nginx.conf declares serves",
                      &release->name, snapshot.revision, snapshot.text.len);
    }

    free(snapshot.text.data);
}


/*
 * A release that nobody changed at run time takes up what nginx.conf declares
 * now.  Nothing here may refuse the configuration: it is in force already.
 */

static void
ngx_http_gray_cycle_accept(ngx_http_gray_release_t *release, uint64_t least,
    ngx_log_t *log)
{
    ngx_int_t   rc;
    ngx_uint_t  tries;

    /* it may be one that was left for another zone, long ago */

    release->moves = release->block->moves;
    rc = NGX_AGAIN;

    for (tries = 0; tries < NGX_HTTP_GRAY_LOCK_TRIES; tries++) {

        rc = ngx_http_gray_shm_word(release->block)
             ? ngx_http_gray_cycle_take_up(release, log)

             /* nobody can change what nobody can read: no lock is needed */

             : ngx_http_gray_cycle_first(release, least);
        if (rc == NGX_OK) {
            return;
        }

        if (rc != NGX_AGAIN && rc != NGX_DECLINED) {
            break;
        }

        ngx_msleep(1);
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "gray: release \"%V\" could not take up what nginx.conf "
                  "declares, %s", &release->name,
                  rc == NGX_AGAIN ? "another process holds the zone's lock, "
                                    "reload again"
                                  : "its live document serves");
}


static ngx_int_t
ngx_http_gray_cycle_first(ngx_http_gray_release_t *release, uint64_t least)
{
    ngx_http_gray_snapshot_t  snapshot;

    ngx_memzero(&snapshot, sizeof(ngx_http_gray_snapshot_t));

    snapshot.revision = least;
    snapshot.text = release->declared_text;
    snapshot.origin = NGX_HTTP_GRAY_DECLARED;

    return ngx_http_gray_shm_adopt_locked(release->zone, release->block,
                                          &snapshot);
}


/* NGX_OK, also where the live document is kept, or as the write was */

static ngx_int_t
ngx_http_gray_cycle_take_up(ngx_http_gray_release_t *release, ngx_log_t *log)
{
    uint64_t   word;
    ngx_int_t  rc;
    ngx_str_t  text;

    rc = ngx_http_gray_live_due(release, &word, &text, log);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    rc = ngx_http_gray_live_write(release, word, &text,
                                  NGX_HTTP_GRAY_DECLARED, log);
    free(text.data);

    return rc;
}


/*
 * The master may wait for a moment, but not for a worker that was stopped:
 * without the lock it goes on, as that worker sees that the block moved next.
 */

static ngx_uint_t
ngx_http_gray_cycle_lock(ngx_http_gray_zone_t *zone)
{
    ngx_uint_t  tries;

    for (tries = 0; tries < NGX_HTTP_GRAY_LOCK_TRIES; tries++) {

        if (ngx_http_gray_shm_lock(zone) == NGX_OK) {
            return 1;
        }

        ngx_msleep(1);
    }

    return 0;
}


ngx_int_t
ngx_http_gray_cycle_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                  i;
    ngx_http_gray_zone_t      **zone;
    ngx_http_gray_release_t   **release;
    ngx_http_gray_main_conf_t  *gmcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    gmcf = ngx_http_gray_cycle_main_conf(cycle);

    if (gmcf == NULL) {
        return NGX_OK;
    }

    zone = gmcf->zones.elts;

    for (i = 0; i < gmcf->zones.nelts; i++) {
        ngx_http_gray_lists_init_process(zone[i], cycle);

        if (ngx_http_gray_follow_init_process(gmcf, zone[i], cycle)
            != NGX_OK
            || ngx_http_gray_tick_init_process(gmcf, zone[i], cycle)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ngx_http_gray_databases_init_process(gmcf, cycle);

    release = gmcf->releases.elts;

    for (i = 0; i < gmcf->releases.nelts; i++) {
        (void) ngx_http_gray_live_rules(release[i], cycle->log);
    }

    return NGX_OK;
}
