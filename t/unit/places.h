
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Where a rollout may be.  Its steps are 5, 20 behind a gate, and 100, each is
 * held for 10 s, and the guard "errors" asks for no evidence.
 */


#ifndef _PLACES_H_INCLUDED_
#define _PLACES_H_INCLUDED_


#include "rollout.h"


static ngx_inline void
come_started(rollout_t *r, ngx_uint_t gate)
{
    rollout_init(r);

    add_step(&r->plan, 5)->gate = gate;
    add_step(&r->plan, 20)->gate = 1;
    add_step(&r->plan, 100);

    (void) add_guard(&r->plan, "errors", NGX_HTTP_GRAY_GUARD_RELATIVE);
    r->plan.info_nats = 0;

    assert_int_equal(rollout_command(r, NGX_HTTP_GRAY_STAGE_START), NGX_OK);
}


static ngx_inline void
come_idle(rollout_t *r)
{
    come_started(r, 0);
    memset(&r->state, 0, sizeof(r->state));
}


static ngx_inline void
come_off(rollout_t *r)
{
    come_idle(r);
    r->world.enabled = 0;
}


static ngx_inline void
come_scheduled(rollout_t *r)
{
    come_started(r, 1);
    assert_rollout(r, "scheduled waiting_gate 1: step 1, of 5%, is to be "
                      "approved");
}


/* its weight is not there yet */

static ngx_inline void
come_setting(rollout_t *r)
{
    come_started(r, 0);
    assert_int_equal(r->state.wish, NGX_HTTP_GRAY_WISH_WEIGHT);
}


static ngx_inline void
come_running(rollout_t *r)
{
    come_started(r, 0);
    rollout_pass(r, 5, 10);
    assert_rollout(r, "running 1: step 1 of 3, 5%: the first step");
}


static ngx_inline void
come_gate(rollout_t *r)
{
    come_started(r, 0);
    rollout_pass(r, 20, 10);
    assert_rollout(r, "running waiting_gate 1: step 2, of 20%, is to be "
                      "approved");
}


static ngx_inline void
come_approved(rollout_t *r)
{
    come_gate(r);
    assert_int_equal(rollout_command(r, NGX_HTTP_GRAY_STAGE_APPROVE), NGX_OK);
}


static ngx_inline void
come_paused(rollout_t *r)
{
    come_running(r);
    assert_int_equal(rollout_command(r, NGX_HTTP_GRAY_STAGE_PAUSE), NGX_OK);
    rollout_pass(r, 1, 10);
}


static ngx_inline void
come_disabled(rollout_t *r)
{
    come_running(r);
    r->world.enabled = 0;
    rollout_pass(r, 1, 10);
}


/* and no tick has been since */

static ngx_inline void
come_replanned(rollout_t *r)
{
    come_running(r);
    r->plan.id++;
}


static ngx_inline void
come_touched(rollout_t *r)
{
    come_running(r);
    set_weight(r, 7.5);
}


static ngx_inline void
come_baking(rollout_t *r)
{
    come_approved(r);
    rollout_pass(r, 17, 10);
    assert_rollout(r, "baking 3: step 3 of 3, 100%: step 2 of 3 was held for "
                      "10 s, 100 requests");
}


static ngx_inline void
come_succeeding(rollout_t *r)
{
    come_baking(r);
    rollout_pass(r, 6, 10);
    assert_int_equal(r->state.wish, NGX_HTTP_GRAY_WISH_PROMOTE);
}


static ngx_inline void
come_succeeded(rollout_t *r)
{
    come_succeeding(r);
    rollout_pass(r, 1, 10);
    assert_int_equal(r->state.wish, NGX_HTTP_GRAY_WISH_NONE);
}


static ngx_inline void
come_rolling_back(rollout_t *r)
{
    come_running(r);
    assert_int_equal(rollout_command(r, NGX_HTTP_GRAY_STAGE_ROLLBACK), NGX_OK);
    assert_int_equal(r->state.wish, NGX_HTTP_GRAY_WISH_ROLLBACK);
}


static ngx_inline void
come_rolled_back(rollout_t *r)
{
    come_rolling_back(r);
    rollout_pass(r, 30, 10);
    assert_int_equal(r->state.wish, NGX_HTTP_GRAY_WISH_NONE);
}


static ngx_inline void
come_cooled(rollout_t *r)
{
    come_rolling_back(r);
    rollout_pass(r, 600, 10);
    assert_int_equal(r->state.stage, NGX_HTTP_GRAY_STAGE_IDLE);
}


static ngx_inline void
come_aborted(rollout_t *r)
{
    come_running(r);
    assert_int_equal(rollout_command(r, NGX_HTTP_GRAY_STAGE_ABORT), NGX_OK);
}


/* "FROM TO CAUSE HOOK WEIGHT: REASON" */

static ngx_inline void
assert_event(const rollout_t *r, ngx_uint_t i, const char *expected)
{
    char                          found[NGX_HTTP_GRAY_STAGE_REASON + 128];
    const ngx_http_gray_event_t  *event;

    assert_true(i < r->outcomes.events);

    event = &r->outcomes.event[i];

    (void) snprintf(found, sizeof(found), "%s %s %s %s %.4g: %s",
                    (char *) ngx_http_gray_stages[event->from].data,
                    (char *) ngx_http_gray_stages[event->to].data,
                    (char *) ngx_http_gray_causes[event->cause].data,
                    (char *) ngx_http_gray_hooks[event->hook].data,
                    (double) event->weight / PERCENT, event->reason);

    assert_string_equal(found, expected);
}


#endif /* _PLACES_H_INCLUDED_ */
