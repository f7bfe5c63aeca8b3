
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_live.h"
#include "ngx_http_gray_notify.h"
#include "ngx_http_gray_rollout.h"
#include "ngx_http_gray_tick.h"
#include "ngx_http_gray_turns.h"


#define NGX_HTTP_GRAY_TICK_INTERVAL  1000    /* ms */


typedef struct {
    ngx_cycle_t                *cycle;
    ngx_http_gray_zone_t       *zone;
    ngx_http_gray_main_conf_t  *gmcf;
    ngx_event_t                 event;
} ngx_http_gray_tick_t;


static void ngx_http_gray_tick_enter(ngx_http_gray_zone_t *zone,
    ngx_log_t *log);
static void ngx_http_gray_tick_places(ngx_http_gray_main_conf_t *gmcf,
    ngx_http_gray_zone_t *zone);
static void ngx_http_gray_tick_handler(ngx_event_t *ev);
static void ngx_http_gray_tick_turn(ngx_http_gray_release_t *release,
    ngx_msec_t phase);


ngx_int_t
ngx_http_gray_tick_init_process(ngx_http_gray_main_conf_t *gmcf,
    ngx_http_gray_zone_t *zone, ngx_cycle_t *cycle)
{
    ngx_uint_t                 i;
    ngx_http_gray_tick_t      *tick;
    ngx_http_gray_release_t  **release;

    if (!zone->stats) {
        return NGX_OK;
    }

    ngx_http_gray_tick_enter(zone, cycle->log);
    ngx_http_gray_tick_places(gmcf, zone);

    tick = ngx_pcalloc(cycle->pool, sizeof(ngx_http_gray_tick_t));
    if (tick == NULL) {
        return NGX_ERROR;
    }

    release = gmcf->releases.elts;

    for (i = 0; i < gmcf->releases.nelts; i++) {
        if (release[i]->zone == zone) {
            ngx_http_gray_rollout_init(release[i], cycle->log);
        }
    }

    tick->cycle = cycle;
    tick->zone = zone;
    tick->gmcf = gmcf;

    tick->event.handler = ngx_http_gray_tick_handler;
    tick->event.data = tick;
    tick->event.log = cycle->log;
    tick->event.cancelable = 1;

    ngx_add_timer(&tick->event, NGX_HTTP_GRAY_TICK_INTERVAL);

    return NGX_OK;
}


/* what a process has left there that was killed counts no more */

static void
ngx_http_gray_tick_enter(ngx_http_gray_zone_t *zone, ngx_log_t *log)
{
    void                   *counters;
    ngx_int_t               rc;
    ngx_http_gray_block_t  *block;

    rc = ngx_http_gray_shm_enter(zone);

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "gray_zone \"%V\" has %d processes already, requests "
                      "under way are not counted in this one",
                      &zone->shm_zone->shm.name, NGX_HTTP_GRAY_ENTRIES);
    }

    if (rc != NGX_OK) {
        return;
    }

    for (block = ngx_http_gray_shm_next(zone, NULL);
         block;
         block = ngx_http_gray_shm_next(zone, block))
    {
        counters = ngx_http_gray_shm_counters(zone, block);

        if (counters) {
            ngx_http_gray_counters_forget(counters, zone->entry);
        }
    }
}


/* where this process counts */

static void
ngx_http_gray_tick_places(ngx_http_gray_main_conf_t *gmcf,
    ngx_http_gray_zone_t *zone)
{
    ngx_uint_t                  i;
    ngx_http_gray_release_t   **release;
    ngx_http_gray_counters_t   *counters;

    release = gmcf->releases.elts;

    for (i = 0; i < gmcf->releases.nelts; i++) {
        counters = release[i]->counters;

        if (release[i]->zone != zone || counters == NULL) {
            continue;
        }

        release[i]->names = ngx_http_gray_counters_names(counters);
        release[i]->counts = ngx_http_gray_counters_counts(counters,
                                                           ngx_worker, 0);
        release[i]->matches = ngx_http_gray_counters_matches(counters,
                                                             ngx_worker, 0);

        /* where nothing can be compiled, for want of memory, say */

        release[i]->fallback.slot = ngx_http_gray_counters_variants(counters);

        if (zone->entry != NGX_DECLINED) {
            release[i]->live = ngx_http_gray_counters_live(counters,
                                                           zone->entry, 0);
        }
    }
}


void
ngx_http_gray_tick_leave(ngx_http_gray_main_conf_t *gmcf)
{
    ngx_uint_t                 i;
    ngx_http_gray_zone_t     **zone;
    ngx_http_gray_release_t  **release;

    zone = gmcf->zones.elts;

    for (i = 0; i < gmcf->zones.nelts; i++) {
        ngx_http_gray_shm_leave(zone[i]);
    }

    release = gmcf->releases.elts;

    for (i = 0; i < gmcf->releases.nelts; i++) {
        release[i]->counters = NULL;
        release[i]->trial = NULL;
        release[i]->live = NULL;
    }
}


static void
ngx_http_gray_tick_handler(ngx_event_t *ev)
{
    ngx_uint_t                 i;
    ngx_http_gray_tick_t      *tick;
    ngx_http_gray_zone_t      *zone;
    ngx_http_gray_release_t  **release;

    tick = ev->data;
    zone = tick->zone;

    /* a single process that has reloaded: the zone may be no more */

    if (tick->cycle != ngx_cycle) {
        return;
    }

    ngx_add_timer(ev, NGX_HTTP_GRAY_TICK_INTERVAL);

    release = tick->gmcf->releases.elts;

    for (i = 0; i < tick->gmcf->releases.nelts; i++) {
        if (release[i]->zone == zone) {
            ngx_http_gray_live_recount(release[i], ev->log);
        }
    }

    if (ngx_http_gray_shm_outdated(zone)
        || !ngx_http_gray_shm_turn(zone, NGX_HTTP_GRAY_TURN_TICK,
                                   NGX_HTTP_GRAY_TICK_INTERVAL))
    {
        return;
    }

    for (i = 0; i < tick->gmcf->releases.nelts; i++) {

        if (release[i]->zone == zone && release[i]->counters) {
            ngx_http_gray_tick_turn(release[i],
                                    i * NGX_HTTP_GRAY_TICK_INTERVAL);
            ngx_http_gray_rollout_tick(release[i], ev->log);
            ngx_http_gray_notify_tick(release[i], ev->log);
        }
    }
}


/*
 * A turn takes some 10 to 40 us.  Where there are many releases, not all have
 * it in the same second, and nobody waits for the lock until all have had it.
 * One that cannot be made now is, a second later.
 */

static void
ngx_http_gray_tick_turn(ngx_http_gray_release_t *release, ngx_msec_t phase)
{
    if (ngx_http_gray_turns_due(release->counters, ngx_current_msec, phase)
        && ngx_http_gray_shm_lock(release->zone) == NGX_OK)
    {
        ngx_http_gray_turns_tick(release->counters, ngx_current_msec, phase);
        ngx_http_gray_shm_unlock(release->zone);
    }
}
