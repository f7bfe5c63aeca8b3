
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Stages of a rollout: what happens at a tick, word by word.
 */


#include "places.h"


/* all of it, each event */

static void
test_whole(void **state)
{
    rollout_t  r;

    come_started(&r, 0);

    assert_int_equal(r.outcomes.events, 2);
    assert_event(&r, 0, "idle scheduled operator started 0: started by amy");
    assert_event(&r, 1, "scheduled running plan step 5: step 1 of 3, 5%: the "
                        "first step");

    rollout_pass(&r, 11, 10);
    assert_int_equal(r.outcomes.events, 1);
    assert_event(&r, 0, "running running plan gate 5: step 2, of 20%, is to be "
                        "approved");
    assert_int_equal(r.outcomes.event[0].step, 1);

    rollout_pass(&r, 100, 10);
    assert_int_equal(r.outcomes.events, 0);

    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_APPROVE), NGX_OK);
    assert_rollout(&r, "running 1: step 2 was approved by amy");
    assert_int_equal(r.outcomes.events, 0);

    rollout_pass(&r, 1, 10);
    assert_event(&r, 0, "running running plan step 20: step 2 of 3, 20%: step "
                        "1 of 3 was held for 111 s, 1110 requests");

    rollout_pass(&r, 11, 10);
    assert_event(&r, 0, "running baking plan step 100: step 3 of 3, 100%: step "
                        "2 of 3 was held for 10 s, 100 requests");

    rollout_pass(&r, 11, 10);
    assert_event(&r, 0, "baking succeeded plan promoted 100: it becomes the "
                        "baseline: step 3 of 3 was held for 10 s, 100 "
                        "requests");

    rollout_pass(&r, 1, 10);
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_NONE);
    assert_int_equal(r.outcomes.events, 0);

    /* what keeps its weight wishes for nothing, and can be begun anew */

    come_baking(&r);
    r.plan.on_success = NGX_HTTP_GRAY_PLAN_KEEP;
    rollout_pass(&r, 8, 10);
    assert_rollout(&r, "succeeded 3: it keeps its weight: step 3 of 3 was held "
                       "for 10 s, 100 requests");
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_NONE);

    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_START), NGX_OK);
    assert_event(&r, 0, "succeeded scheduled operator started 100: started by "
                        "amy");
}


/* somebody has gone on from there */

static void
test_outdated_promotion(void **state)
{
    rollout_t  r;

    come_succeeding(&r);

    r.world.revision++;
    rollout_tick(&r);
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_PROMOTE);

    set_weight(&r, 30);
    rollout_tick(&r);
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_NONE);
    assert_int_equal(r.state.stage, NGX_HTTP_GRAY_STAGE_SUCCEEDED);
}


/* it is not the baseline yet, as the disk is full, and is to go back */

static void
test_pending_promotion(void **state)
{
    rollout_t  r;

    come_succeeding(&r);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_ROLLBACK), NGX_OK);
    assert_event(&r, 0, "succeeded rolled_back operator rollback 0: by amy");
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_ROLLBACK);

    rollout_pass(&r, 1, 10);
    assert_int_equal(r.world.weight, 0);
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_NONE);
    assert_int_equal(r.state.stage, NGX_HTTP_GRAY_STAGE_ROLLED_BACK);

    come_succeeding(&r);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_ABORT), NGX_OK);
    assert_event(&r, 0, "succeeded aborted operator aborted 100: by amy, "
                        "weights stay as they are");
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_NONE);

    rollout_pass(&r, 10, 10);
    assert_int_equal(r.world.promoted, 0);

    /* it is, if nobody has looked since */

    come_succeeding(&r);
    r.world.promoted = 1;
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_ROLLBACK),
                     NGX_DECLINED);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_ABORT),
                     NGX_DECLINED);
}


static void
test_window(void **state)
{
    rollout_t  r;

    come_running(&r);

    r.plan.windows = 1;
    r.plan.window[0].after = r.world.time + 40;
    r.plan.window[0].before = INT64_MAX;
    r.plan.window[0].from = -1;
    r.plan.window[0].to = -1;
    r.plan.step[1].gate = 0;

    rollout_pass(&r, 30, 10);
    assert_rollout(&r, "running waiting_window 1: no window of the plan is "
                       "open");
    rollout_pass(&r, 9, 10);
    assert_rollout(&r, "running waiting_window 1: no window of the plan is "
                       "open");
    rollout_pass(&r, 1, 10);
    assert_rollout(&r, "running 2: step 2 of 3, 20%: step 1 of 3 was held for "
                       "44 s, 440 requests");

    /* one that is over, and not only shut, is waited for in vain */

    r.plan.window[0].before = r.world.time + 10;
    rollout_pass(&r, 70, 10);
    assert_rollout(&r, "running waiting_window 2: no window of the plan is "
                       "open, nor will one be again");

    /* but who goes on all the same may do so, or paused here there is no way */

    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_PAUSE), NGX_OK);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME), NGX_OK);
    assert_rollout(&r, "running 2: resumed by amy");
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_PROMOTE), NGX_OK);
    assert_rollout(&r, "baking 3: step 3 of 3, 100%: promoted by amy");
    rollout_pass(&r, 2, 10);

    /* a rollback does not wait for one */

    r.plan.window[0].after = INT64_MAX;
    r.plan.window[0].before = INT64_MAX;
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_ROLLBACK), NGX_OK);
    assert_rollout(&r, "rolled_back 3: by amy");
}


/* at 0% nobody is there who could be asked for */

static void
test_zero(void **state)
{
    rollout_t  r;

    rollout_init(&r);
    add_step(&r.plan, 0)->min_requests = 200;
    add_step(&r.plan, 100)->min_requests = 200;
    (void) add_guard(&r.plan, "errors", NGX_HTTP_GRAY_GUARD_RELATIVE);
    (void) add_guard(&r.plan, "errors_abs", NGX_HTTP_GRAY_GUARD_ABSOLUTE);

    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_START), NGX_OK);
    rollout_pass(&r, 12, 0);
    assert_rollout(&r, "baking 2: step 2 of 2, 100%: step 1 of 2 was held for "
                       "10 s, 0 requests");

    /* but at 100% there is */

    rollout_pass(&r, 30, 0);
    assert_rollout(&r, "baking waiting_evidence 2: step 2 of 2, 100%: step 1 "
                       "of 2 was held for 10 s, 0 requests");
}


/* what serves is not the document, as the baseline's upstream is gone */

static void
test_gone(void **state)
{
    rollout_t  r;

    come_running(&r);
    r.world.gone = 1;
    rollout_tick(&r);
    assert_event(&r, 0, "running paused manual pause 5: the baseline's "
                        "upstream is gone, what nginx.conf declares serves");
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME),
                     NGX_DECLINED);
    r.world.gone = 0;
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME), NGX_OK);
}


/* without evidence, for one reason or another */

static void
test_inconclusive(void **state)
{
    rollout_t  r;

    come_running(&r);
    r.plan.step[0].min_requests = 100000;
    rollout_pass(&r, 40, 10);
    assert_rollout(&r, "running waiting_evidence 1: step 1 of 3, 5%: the first "
                       "step");
    rollout_pass(&r, 16, 10);
    assert_event(&r, 0, "running paused inconclusive pause 5: not enough "
                        "evidence in step 1 after 60 s, 600 requests");

    /* it has as much time again after the hold, and what it saw is not lost */

    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME), NGX_OK);
    rollout_pass(&r, 49, 10);
    assert_int_equal(r.state.waits, NGX_HTTP_GRAY_WAITS_EVIDENCE);
    rollout_pass(&r, 1, 10);
    assert_rollout(&r, "paused 1: not enough evidence in step 1 after 60 s, "
                       "1100 requests");

    come_running(&r);
    r.plan.step[0].min_requests = 100000;
    r.plan.on_inconclusive = NGX_HTTP_GRAY_PLAN_ROLLBACK;
    rollout_pass(&r, 56, 10);
    assert_event(&r, 0, "running rolled_back inconclusive rollback 0: not "
                        "enough evidence in step 1 after 60 s, 600 requests");

    come_running(&r);
    r.plan.step[0].min_requests = 100000;
    r.plan.step[1].gate = 0;
    r.plan.on_inconclusive = NGX_HTTP_GRAY_PLAN_NEXT;
    rollout_pass(&r, 56, 10);
    assert_event(&r, 0, "running running inconclusive step 20: step 2 of 3, "
                        "20%: not enough evidence in step 1 after 60 s, 600 "
                        "requests");

    /* "next" neither gives it everybody nor makes it the baseline */

    r.plan.step[1].min_requests = 100000;
    rollout_pass(&r, 61, 10);
    assert_event(&r, 0, "running paused inconclusive pause 20: not enough "
                        "evidence in step 2 after 60 s, 600 requests, and "
                        "without it nothing is promoted");
}


/* its gate is told of once, not at each tick */

static void
test_inconclusive_gate(void **state)
{
    ngx_uint_t  i;
    rollout_t   r;

    come_running(&r);
    r.plan.step[0].min_requests = 100000;
    r.plan.on_inconclusive = NGX_HTTP_GRAY_PLAN_NEXT;
    rollout_pass(&r, 56, 10);
    assert_event(&r, 0, "running running plan gate 5: step 2, of 20%, is to be "
                        "approved");

    for (i = 0; i < 10; i++) {
        rollout_pass(&r, 1, 10);
        assert_int_equal(r.outcomes.events, 0);
        assert_int_equal(r.state.waits, NGX_HTTP_GRAY_WAITS_GATE);
    }

    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_APPROVE), NGX_OK);
    rollout_pass(&r, 1, 10);
    assert_int_equal(r.state.step, 1);
}


/* what waits at a gate waits there, though its evidence has become less */

static void
test_evidence_at_gate(void **state)
{
    rollout_t  r;

    come_gate(&r);
    r.plan.step[0].min_requests = 100000;
    rollout_pass(&r, 100, 10);
    assert_rollout(&r, "running waiting_gate 1: step 2, of 20%, is to be "
                       "approved");
    assert_int_equal(r.outcomes.events, 0);

    /* but it does not pass without it */

    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_APPROVE), NGX_OK);
    rollout_pass(&r, 1, 10);
    assert_rollout(&r, "paused 1: not enough evidence in step 1 after 120 s, "
                       "1200 requests");
}


/* 5 errors of 10 requests a second, until that leads to something */

static void
fail_canary(rollout_t *r, ngx_uint_t seconds, ngx_uint_t baseline)
{
    ngx_uint_t  stage;

    stage = r->state.stage;

    while (seconds-- && r->state.stage == stage) {
        r->canary.bad[0] += 5;
        r->baseline.bad[0] += baseline;
        rollout_pass(r, 1, 10);
    }
}


static void
test_guard(void **state)
{
    rollout_t                     r;
    const ngx_http_gray_event_t  *event;

    come_running(&r);
    r.world.testers = "staff, beta";
    fail_canary(&r, 10, 0);

    assert_event(&r, 0, "running rolled_back guard rollback 0: errors: canary "
                        "15 of 70 (21.4%), baseline 0 of 70 (0.0%), limit "
                        "1.25, evidence 617 of 100 needed; rules that name it "
                        "stay: staff, beta");

    event = &r.outcomes.event[0];
    assert_string_equal(event->guard, "errors");
    assert_int_equal(event->seen.bad_canary, 15);
    assert_int_equal(event->seen.canary, 70);
    assert_true(event->value < 0);
    assert_true(event->limit == 1.25);

    /* in every state that is under way */

    come_paused(&r);
    fail_canary(&r, 10, 0);
    assert_int_equal(r.state.stage, NGX_HTTP_GRAY_STAGE_ROLLED_BACK);
    assert_int_equal(r.outcomes.event[0].from, NGX_HTTP_GRAY_STAGE_PAUSED);

    come_gate(&r);
    fail_canary(&r, 20, 0);
    assert_int_equal(r.state.stage, NGX_HTTP_GRAY_STAGE_ROLLED_BACK);

    /* a document that does not change is no reason to go on */

    rollout_tick(&r);
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_ROLLBACK);
    r.world.spread = 1;
    r.world.weight = 0;
    rollout_tick(&r);
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_ROLLBACK);
    r.world.spread = 0;
    rollout_tick(&r);
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_NONE);
}


/* a reason is as long as it may be, and no longer */

static void
test_testers(void **state)
{
    char       testers[1024];
    rollout_t  r;

    memset(testers, 'x', sizeof(testers));
    testers[sizeof(testers) - 1] = '\0';

    come_running(&r);
    r.world.testers = testers;
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_ROLLBACK), NGX_OK);
    assert_int_equal(strlen(r.state.reason), NGX_HTTP_GRAY_STAGE_REASON - 1);
    assert_memory_equal(r.state.reason, "by amy; rules that name it stay: xxx",
                        36);
    assert_string_equal(r.outcomes.event[0].reason, r.state.reason);
}


/* resume takes it that a guard was right: nothing of that is left */

static void
test_acknowledged(void **state)
{
    rollout_t  r;

    come_running(&r);
    r.plan.guard[0].action = NGX_HTTP_GRAY_PLAN_PAUSE;
    fail_canary(&r, 10, 0);
    assert_event(&r, 0, "running paused guard pause 5: errors: canary 15 of 70 "
                        "(21.4%), baseline 0 of 70 (0.0%), limit 1.25, "
                        "evidence 617 of 100 needed");

    /* it is said once */

    rollout_pass(&r, 10, 10);
    assert_int_equal(r.outcomes.events, 0);

    /* nor of what has ended since the last tick */

    r.canary.step += 1000;
    r.canary.all += 1000;
    r.canary.bad[0] += 1000;

    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME), NGX_OK);
    assert_event(&r, 0, "paused running operator resumed 5: resumed by amy");
    assert_int_equal(r.state.guards.seen[0].canary, 0);
    assert_true(ngx_http_gray_evidence_value(&r.state.guards.evidence[0]) == 0);
    rollout_pass(&r, 3, 10);
    assert_int_equal(r.state.guards.seen[0].canary, 30);
    assert_int_equal(r.state.guards.seen[0].bad_canary, 0);
    assert_rollout(&r, "running 1: resumed by amy");

    /* and so does promote */

    fail_canary(&r, 10, 0);
    assert_int_equal(r.state.stage, NGX_HTTP_GRAY_STAGE_PAUSED);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_PROMOTE), NGX_OK);
    assert_event(&r, 0, "paused running operator step 20: step 2 of 3, 20%: "
                        "promoted by amy");
    assert_int_equal(r.state.guards.seen[0].canary, 0);

    /* after an operator's pause it is kept */

    come_paused(&r);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME), NGX_OK);
    assert_true(r.state.guards.seen[0].canary > 0);
}


/* an incident of both arms pauses it, and is not held against it */

static void
test_both(void **state)
{
    rollout_t               r;
    ngx_http_gray_guard_t  *guard;

    come_running(&r);

    guard = &r.plan.guard[0];
    guard->kind = NGX_HTTP_GRAY_GUARD_ABSOLUTE;
    guard->max = 0.05;
    guard->baseline_bad = 1;

    fail_canary(&r, 10, 5);
    assert_event(&r, 0, "running paused guard pause 5: the baseline is bad, "
                        "too; errors: canary 5 of 50 (10.0%), limit 5%, "
                        "evidence 417 of 100 needed");
    assert_string_equal(r.state.reason, r.outcomes.event[0].reason);
    assert_true(ngx_http_gray_evidence_value(&r.state.guards.evidence[0]) == 0);

    /* while it lasts it has no say, and afterwards there is nothing left */

    fail_canary(&r, 30, 5);
    assert_int_equal(r.state.stage, NGX_HTTP_GRAY_STAGE_PAUSED);
    rollout_pass(&r, 300, 10);
    assert_int_equal(r.state.stage, NGX_HTTP_GRAY_STAGE_PAUSED);

    /* but where the canary alone is bad then, it goes */

    fail_canary(&r, 30, 0);
    assert_int_equal(r.state.stage, NGX_HTTP_GRAY_STAGE_ROLLED_BACK);
}


static void
test_filter(void **state)
{
    rollout_t  r;

    come_running(&r);
    r.plan.key = 1;
    r.world.filled = 0.5;
    rollout_pass(&r, 1, 10);
    assert_int_equal(r.state.stage, NGX_HTTP_GRAY_STAGE_RUNNING);

    r.world.filled = 0.5001;
    rollout_pass(&r, 1, 10);
    assert_event(&r, 0, "running paused filter pause 5: more keys have failed "
                        "than the filter of keys can tell apart; \"resume\" "
                        "clears it");
    assert_int_equal(r.outcomes.forget, 0);

    /* keys that are forgotten count again, so what they did does not */

    assert_true(r.state.guards.seen[0].canary > 0);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME), NGX_OK);
    assert_int_equal(r.outcomes.forget, 1);
    assert_int_equal(r.state.guards.seen[0].canary, 0);

    rollout_pass(&r, 1, 10);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_PROMOTE), NGX_OK);
    assert_int_equal(r.outcomes.forget, 1);
}


/* a pause between a step and its weight: that does not come, until resume */

static void
test_withdrawn(void **state)
{
    rollout_t  r;

    come_approved(&r);
    rollout_pass(&r, 1, 10);
    assert_int_equal(r.state.step, 1);
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_WEIGHT);

    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_PAUSE), NGX_OK);
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_NONE);
    assert_int_equal(r.state.weight, 5 * PERCENT);
    assert_event(&r, 0, "running paused operator pause 5: by amy");

    rollout_pass(&r, 30, 10);
    assert_int_equal(r.world.weight, 5 * PERCENT);

    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME), NGX_OK);
    assert_rollout(&r, "running 2: resumed by amy");
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_WEIGHT);
    assert_int_equal(r.state.weight, 20 * PERCENT);

    /* it was under way, and comes: the pause is at its weight then */

    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_PAUSE), NGX_OK);
    set_weight(&r, 20);
    rollout_tick(&r);
    assert_rollout(&r, "paused 2: by amy");
    assert_int_equal(r.state.weight, 20 * PERCENT);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME), NGX_OK);
    assert_rollout(&r, "running 2: resumed by amy");
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_NONE);

    /* promote in between goes to that step, not over it */

    come_approved(&r);
    rollout_pass(&r, 1, 10);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_PAUSE), NGX_OK);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_PROMOTE), NGX_OK);
    assert_rollout(&r, "running 2: step 2 of 3, 20%: promoted by amy");
}


/* what is counted before the weight of a step is there is not of it */

static void
test_late_document(void **state)
{
    ngx_uint_t  i;
    rollout_t   r;

    come_approved(&r);
    rollout_pass(&r, 1, 10);
    assert_int_equal(r.state.step, 1);

    for (i = 0; i < 100; i++) {
        r.canary.step += 10;
        rollout_tick(&r);
    }

    assert_rollout(&r, "running 2: step 2 of 3, 20%: step 1 of 3 was held for "
                       "20 s, 200 requests");
    assert_int_equal(r.state.held, 0);
    assert_int_equal(r.state.requests, 0);
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_WEIGHT);

    /* a tick in which it has come is passed over, as it is both */

    rollout_pass(&r, 1, 10);
    assert_int_equal(r.state.requests, 0);
    assert_int_equal(r.state.from, r.world.revision);
    rollout_pass(&r, 1, 10);
    assert_int_equal(r.state.requests, 10);
    assert_int_equal(r.state.held, SECOND);
}


static void
test_manual(void **state)
{
    rollout_t  r;

    come_running(&r);
    set_weight(&r, 30);
    rollout_tick(&r);
    assert_event(&r, 0, "running paused manual pause 30: the weight was "
                        "changed to 30% by revision 3");
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_NONE);

    /* again, while it is paused: it is known, and nothing else */

    set_weight(&r, 25);
    rollout_pass(&r, 3, 10);
    assert_int_equal(r.outcomes.events, 0);
    assert_int_equal(r.state.weight, 25 * PERCENT);
    assert_int_equal(r.world.weight, 25 * PERCENT);

    /* it goes on from the step that is not above, nor behind a gate */

    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME), NGX_OK);
    assert_rollout(&r, "running 1: resumed by amy");
    assert_int_equal(r.state.weight, 5 * PERCENT);

    come_approved(&r);
    set_weight(&r, 25);
    rollout_tick(&r);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME), NGX_OK);
    assert_rollout(&r, "running 2: resumed by amy");
    assert_int_equal(r.state.held, 0);

    /* a weight that no tick has seen is respected by who resumes */

    come_paused(&r);
    set_weight(&r, 100);
    r.state.approved = 2;
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME), NGX_OK);
    assert_rollout(&r, "baking 3: resumed by amy");
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_NONE);
    assert_event(&r, 0, "paused baking operator resumed 100: resumed by amy");
}


static void
test_replan(void **state)
{
    rollout_t  r;

    come_baking(&r);
    r.plan.id++;
    set_weight(&r, 20);
    rollout_tick(&r);
    assert_event(&r, 0, "baking paused manual pause 20: the plan was changed, "
                        "or the upstream of its variant");
    assert_int_equal(r.state.approved, 0);

    /* the gate of the second step is to be passed once more */

    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME), NGX_OK);
    assert_rollout(&r, "running 1: resumed by amy");
    assert_int_equal(r.state.weight, 5 * PERCENT);

    come_baking(&r);
    r.plan.id++;
    r.plan.step[1].gate = 0;
    set_weight(&r, 20);
    rollout_tick(&r);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME), NGX_OK);
    assert_rollout(&r, "running 2: resumed by amy");
    assert_int_equal(r.state.guards.seen[0].canary, 0);

    /* where the step is as it was, its gate was passed, and nobody moves */

    come_baking(&r);
    r.plan.id++;
    r.plan.step[2].warmup = 4 * SECOND;
    rollout_tick(&r);
    assert_event(&r, 0, "baking paused manual pause 100: the plan was changed, "
                        "or the upstream of its variant");
    assert_int_equal(r.state.cold, 4 * SECOND);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME), NGX_OK);
    assert_rollout(&r, "baking 3: resumed by amy");
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_NONE);
    assert_int_equal(r.state.weight, 100 * PERCENT);

    come_approved(&r);
    rollout_pass(&r, 5, 10);
    r.plan.id++;
    r.plan.step[2].gate = 1;
    rollout_tick(&r);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME), NGX_OK);
    rollout_pass(&r, 20, 10);
    assert_rollout(&r, "running waiting_gate 2: step 3, of 100%, is to be "
                       "approved");

    /* a gate before the first step is to be passed, too, and nobody moves */

    come_baking(&r);
    r.plan.id++;
    r.plan.step[0].gate = 1;
    r.plan.step[1].gate = 0;
    set_weight(&r, 1);
    rollout_tick(&r);
    assert_event(&r, 0, "baking paused manual pause 1: the plan was changed, "
                        "or the upstream of its variant");
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME), NGX_OK);
    rollout_pass(&r, 2, 10);
    assert_rollout(&r, "scheduled waiting_gate 1: step 1, of 5%, is to be "
                       "approved");
    assert_int_equal(r.world.weight, 1 * PERCENT);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_APPROVE), NGX_OK);
    rollout_pass(&r, 2, 10);
    assert_rollout(&r, "running 1: step 1 of 3, 5%: the first step");
    assert_int_equal(r.world.weight, 5 * PERCENT);

    /* what waits for its first step has passed none, whatever its weight */

    come_scheduled(&r);
    r.plan.id++;
    set_weight(&r, 5);
    rollout_tick(&r);
    assert_int_equal(r.state.approved, 0);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME), NGX_OK);
    rollout_pass(&r, 2, 10);
    assert_rollout(&r, "scheduled waiting_gate 1: step 1, of 5%, is to be "
                       "approved");
}


/* of a warmup, latency alone: it is over though the rollout is paused */

static void
test_warmup(void **state)
{
    rollout_t              r;
    ngx_http_gray_seen_t  *seen;

    rollout_init(&r);
    (void) add_guard(&r.plan, "slow", NGX_HTTP_GRAY_GUARD_SLOW);
    (void) add_guard(&r.plan, "errors", NGX_HTTP_GRAY_GUARD_ABSOLUTE);
    seen = r.state.guards.seen;
    add_step(&r.plan, 5)->warmup = 10 * SECOND;
    add_step(&r.plan, 100)->warmup = 3 * SECOND;
    r.plan.info_nats = 0;

    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_START), NGX_OK);
    rollout_tick(&r);
    assert_int_equal(r.state.cold, 10 * SECOND);

    rollout_pass(&r, 3, 10);
    r.canary.all_timed += 30;
    rollout_pass(&r, 1, 10);
    assert_int_equal(r.state.cold, 7 * SECOND);
    assert_int_equal(seen[0].canary, 0);
    assert_int_equal(seen[1].canary, 30);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_PAUSE), NGX_OK);
    rollout_pass(&r, 7, 10);
    assert_int_equal(r.state.cold, 0);
    assert_int_equal(r.state.held, 3 * SECOND);
    assert_int_equal(seen[0].canary, 0);

    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME), NGX_OK);
    r.canary.all_timed += 5;
    rollout_pass(&r, 8, 10);
    assert_int_equal(seen[0].canary, 5);
    assert_rollout(&r, "baking 2: step 2 of 2, 100%: step 1 of 2 was held for "
                       "10 s, 170 requests");
    assert_int_equal(r.state.cold, 3 * SECOND);
}


/* another variant's weight changes the baseline's */

static void
test_shares(void **state)
{
    uint64_t                  from;
    rollout_t                 r;
    ngx_http_gray_evidence_t  one;

    static const ngx_http_gray_evidence_counts_t  half = { 10, 10, 2, 1, 0.5 };

    come_running(&r);
    from = r.state.from;

    r.world.revision += 5;
    rollout_pass(&r, 1, 10);
    assert_int_equal(r.state.from, from);

    r.world.rest -= 10 * PERCENT;
    rollout_pass(&r, 1, 10);
    assert_int_equal(r.state.from, r.world.revision);
    assert_int_equal(r.state.moved, 2);
    assert_rollout(&r, "running 1: step 1 of 3, 5%: the first step");

    /* by keys, the part that is designed is that of these two alone */

    come_running(&r);
    r.plan.key = 1;
    r.world.filled = 0;
    r.world.rest = 5 * PERCENT;
    rollout_pass(&r, 1, 0);
    ngx_http_gray_evidence_init(&r.state.guards.evidence[0]);
    r.canary.bad[0] += 2;
    r.baseline.bad[0] += 1;
    rollout_pass(&r, 1, 10);

    ngx_http_gray_evidence_init(&one);
    assert_true(ngx_http_gray_evidence_value(&r.state.guards.evidence[0])
                == ngx_http_gray_evidence_relative(&one, &half, 1.25, 0.0005,
                                                   1));
}


static void
test_clocks(void **state)
{
    uint64_t   held;
    rollout_t  r;

    come_running(&r);
    held = r.state.held;

    /* the clock of people */

    r.world.time += 86400;
    rollout_pass(&r, 1, 10);
    r.world.time -= 2 * 86400;
    rollout_pass(&r, 1, 10);
    assert_int_equal(r.state.held, held + 2 * SECOND);
    held += 2 * SECOND;

    /* five seconds without a tick are a gap */

    r.world.now += 4 * SECOND;
    rollout_pass(&r, 1, 10);
    assert_int_equal(r.state.held, held + 5 * SECOND);
    held += 5 * SECOND;

    r.world.now += 4 * SECOND + 1;
    rollout_pass(&r, 1, 10);
    r.world.now += 86400 * SECOND;
    rollout_pass(&r, 1, 10);
    assert_int_equal(r.state.held, held);

    /* the machine was started again */

    r.world.now = 0;
    rollout_pass(&r, 1, 10);
    assert_int_equal(r.state.held, held);
    rollout_pass(&r, 1, 10);
    assert_int_equal(r.state.held, held + SECOND);

    /* what was counted in a gap is nobody's */

    r.world.now += 3600 * SECOND;
    r.canary.bad[0] += 1000;
    r.canary.step += 1000;
    rollout_pass(&r, 1, 10);
    assert_int_equal(r.state.guards.seen[0].bad_canary, 0);
    assert_int_equal(r.state.stage, NGX_HTTP_GRAY_STAGE_RUNNING);
}


static void
test_cooldown(void **state)
{
    uint64_t   serial;
    rollout_t  r;

    come_rolled_back(&r);
    serial = r.state.serial;

    rollout_pass(&r, 569, 10);
    assert_int_equal(r.state.stage, NGX_HTTP_GRAY_STAGE_ROLLED_BACK);
    rollout_pass(&r, 1, 10);
    assert_rollout(&r, "idle 1: by amy");
    assert_int_equal(r.state.serial, serial + 1);
    assert_int_equal(r.state.since, r.world.time);
    assert_int_equal(r.outcomes.events, 0);

    /* until the document is at 0 it is not over, however long that takes */

    come_rolling_back(&r);

    while (r.state.held < 2 * r.plan.cooldown) {
        rollout_tick(&r);
    }

    assert_int_equal(r.state.stage, NGX_HTTP_GRAY_STAGE_ROLLED_BACK);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_START),
                     NGX_DECLINED);
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_ROLLBACK);

    rollout_pass(&r, 1, 10);
    assert_int_equal(r.state.stage, NGX_HTTP_GRAY_STAGE_IDLE);
}


/* how long it will take is known from the start */

static void
test_standing(void **state)
{
    rollout_t                  r;
    ngx_http_gray_standing_t   standing;

    come_running(&r);
    r.plan.info_nats = 16;

    ngx_http_gray_stage_guard(&r.plan, &r.state, 0, &standing);
    assert_true(standing.info_needed == 16 * 20.0 / 100);
    assert_true(standing.info > 0 && standing.seconds > 0);

    /* with 10 requests a second it does take a while */

    rollout_pass(&r, 40, 10);
    assert_int_equal(r.state.waits, NGX_HTTP_GRAY_WAITS_EVIDENCE);
    ngx_http_gray_stage_guard(&r.plan, &r.state, 0, &standing);
    assert_true(standing.info < standing.info_needed);

    r.plan.step[0].max_hold = 86400 * SECOND;
    rollout_pass(&r, (ngx_uint_t) standing.seconds + 1, 10);
    ngx_http_gray_stage_guard(&r.plan, &r.state, 0, &standing);
    assert_true(standing.info >= standing.info_needed);
    assert_true(standing.seconds == 0);
    assert_int_equal(r.state.waits, NGX_HTTP_GRAY_WAITS_GATE);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_outdated_promotion),
        cmocka_unit_test(test_pending_promotion),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_zero),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_inconclusive),
        cmocka_unit_test(test_inconclusive_gate),
        cmocka_unit_test(test_evidence_at_gate),
        cmocka_unit_test(test_guard),
        cmocka_unit_test(test_testers),
        cmocka_unit_test(test_acknowledged),
        cmocka_unit_test(test_both),
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_withdrawn),
        cmocka_unit_test(test_late_document),
        cmocka_unit_test(test_manual),
        cmocka_unit_test(test_replan),
        cmocka_unit_test(test_warmup),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_cooldown),
        cmocka_unit_test(test_standing)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
