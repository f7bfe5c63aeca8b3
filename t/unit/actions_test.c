
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Actions: each one in every state of a rollout, word by word.
 */


#include "places.h"


/* a rollout that has come to somewhere, and what each action leads to there */

typedef struct {
    const char  *name;
    void       (*come)(rollout_t *r);
    const char  *actions[NGX_HTTP_GRAY_STAGE_COMMANDS];
} place_t;


#define IDLE_REFUSES                                                          \
    "refused: the rollout is idle, there is none under way"
#define SUCCEEDED_REFUSES                                                     \
    "refused: the rollout is succeeded, there is none under way"
#define ROLLED_BACK_REFUSES                                                   \
    "refused: the rollout is rolled_back, there is none under way"
#define ABORTED_REFUSES                                                       \
    "refused: the rollout is aborted, there is none under way"
#define DISABLED_REFUSES                                                      \
    "refused: the release is disabled; enable it first"
#define REPLANNED_REFUSES                                                     \
    "refused: the plan was changed, or removed, a moment ago; try again"
#define TOUCHED_REFUSES                                                       \
    "refused: the weight was changed by revision 3 a moment ago; try again"


/* at night, who wants to go back is told how */

#define BACK                                                                  \
    ": to go back, PATCH baseline and weights, or revert to a revision "      \
    "before it"


/* of steps of 5, 20 behind a gate, and 100 */

static const place_t  places[] = {
    { "idle", come_idle, {
      "running 1: step 1 of 3, 5%: the first step",
      IDLE_REFUSES,
      IDLE_REFUSES,
      IDLE_REFUSES,
      IDLE_REFUSES,
      IDLE_REFUSES,
      IDLE_REFUSES BACK,
      IDLE_REFUSES } },

    { "idle, and disabled", come_off, {
      DISABLED_REFUSES,
      IDLE_REFUSES,
      IDLE_REFUSES,
      IDLE_REFUSES,
      IDLE_REFUSES,
      IDLE_REFUSES,
      IDLE_REFUSES BACK,
      IDLE_REFUSES } },

    { "at the first gate", come_scheduled, {
      "scheduled waiting_gate 1: step 1, of 5%, is to be approved",
      "paused 1: by amy",
      "scheduled waiting_gate 1: step 1, of 5%, is to be approved",
      "scheduled 1: step 1 was approved by amy",
      "running 1: step 1 of 3, 5%: promoted by amy",
      "baking 3: step 3 of 3, 100%: promoted by amy",
      "rolled_back 1: by amy",
      "aborted 1: by amy, weights stay as they are" } },

    { "a weight is being set", come_setting, {
      "running 1: step 1 of 3, 5%: the first step",
      "paused 1: by amy",
      "running 1: step 1 of 3, 5%: the first step",
      "refused: no gate is waited at",
      "running 1: step 1 of 3, 5%: the first step",
      "refused: the weight of step 1 is being set; try again",
      "rolled_back 1: by amy",
      "aborted 1: by amy, weights stay as they are" } },

    { "running", come_running, {
      "running 1: step 1 of 3, 5%: the first step",
      "paused 1: by amy",
      "running 1: step 1 of 3, 5%: the first step",
      "refused: no gate is waited at",
      "running 2: step 2 of 3, 20%: promoted by amy",
      "baking 3: step 3 of 3, 100%: promoted by amy",
      "rolled_back 1: by amy",
      "aborted 1: by amy, weights stay as they are" } },

    { "at a gate", come_gate, {
      "running waiting_gate 1: step 2, of 20%, is to be approved",
      "paused 1: by amy",
      "running waiting_gate 1: step 2, of 20%, is to be approved",
      "running 1: step 2 was approved by amy",
      "running 2: step 2 of 3, 20%: promoted by amy",
      "baking 3: step 3 of 3, 100%: promoted by amy",
      "rolled_back 1: by amy",
      "aborted 1: by amy, weights stay as they are" } },

    { "a gate is approved", come_approved, {
      "running 1: step 2 was approved by amy",
      "paused 1: by amy",
      "running 1: step 2 was approved by amy",
      "running 1: step 2 was approved by amy",
      "running 2: step 2 of 3, 20%: promoted by amy",
      "baking 3: step 3 of 3, 100%: promoted by amy",
      "rolled_back 1: by amy",
      "aborted 1: by amy, weights stay as they are" } },

    { "paused", come_paused, {
      "paused 1: by amy",
      "paused 1: by amy",
      "running 1: resumed by amy",
      "refused: no gate is waited at, the rollout is paused",
      "running 2: step 2 of 3, 20%: promoted by amy",
      "baking 3: step 3 of 3, 100%: promoted by amy",
      "rolled_back 1: by amy",
      "aborted 1: by amy, weights stay as they are" } },

    { "paused, and disabled", come_disabled, {
      "paused 1: the release was disabled",
      "paused 1: the release was disabled",
      DISABLED_REFUSES,
      "refused: no gate is waited at, the rollout is paused",
      DISABLED_REFUSES,
      DISABLED_REFUSES,
      "rolled_back 1: by amy",
      "aborted 1: by amy, weights stay as they are" } },

    { "the plan was changed", come_replanned, {
      "running 1: step 1 of 3, 5%: the first step",
      REPLANNED_REFUSES,
      REPLANNED_REFUSES,
      REPLANNED_REFUSES,
      REPLANNED_REFUSES,
      REPLANNED_REFUSES,
      "rolled_back 1: by amy",
      "aborted 1: by amy, weights stay as they are" } },

    { "the weight was changed", come_touched, {
      "running 1: step 1 of 3, 5%: the first step",
      "paused 1: by amy",
      "running 1: step 1 of 3, 5%: the first step",
      "refused: no gate is waited at",
      TOUCHED_REFUSES,
      TOUCHED_REFUSES,
      "rolled_back 1: by amy",
      "aborted 1: by amy, weights stay as they are" } },

    { "baking", come_baking, {
      "baking 3: step 3 of 3, 100%: step 2 of 3 was held for 10 s, 100 "
      "requests",
      "paused 3: by amy",
      "baking 3: step 3 of 3, 100%: step 2 of 3 was held for 10 s, 100 "
      "requests",
      "refused: no gate is waited at",
      "succeeded 3: it becomes the baseline: promoted by amy",
      "baking 3: step 3 of 3, 100%: step 2 of 3 was held for 10 s, 100 "
      "requests",
      "rolled_back 3: by amy",
      "aborted 3: by amy, weights stay as they are" } },

    { "succeeding", come_succeeding, {
      "refused: the rollout is succeeded, and the document is not yet what "
      "it is to become; try again",
      SUCCEEDED_REFUSES,
      SUCCEEDED_REFUSES,
      SUCCEEDED_REFUSES,
      SUCCEEDED_REFUSES,
      "succeeded 3: it becomes the baseline: step 3 of 3 was held for 10 "
      "s, 100 requests",
      "rolled_back 3: by amy",
      "aborted 3: by amy, weights stay as they are" } },

    { "succeeded", come_succeeded, {
      "refused: the variant \"canary\" is the baseline already; plan for "
      "another one",
      SUCCEEDED_REFUSES,
      SUCCEEDED_REFUSES,
      SUCCEEDED_REFUSES,
      SUCCEEDED_REFUSES,
      "succeeded 3: it becomes the baseline: step 3 of 3 was held for 10 "
      "s, 100 requests",
      SUCCEEDED_REFUSES BACK,
      SUCCEEDED_REFUSES } },

    { "rolling back", come_rolling_back, {
      "refused: the rollout is rolled_back, and the document is not yet "
      "what it is to become; try again",
      ROLLED_BACK_REFUSES,
      ROLLED_BACK_REFUSES,
      ROLLED_BACK_REFUSES,
      ROLLED_BACK_REFUSES,
      ROLLED_BACK_REFUSES,
      "rolled_back 1: by amy",
      ROLLED_BACK_REFUSES } },

    { "cooling down", come_rolled_back, {
      "refused: it was rolled back, and cools down for 570 s more: by amy",
      ROLLED_BACK_REFUSES,
      ROLLED_BACK_REFUSES,
      ROLLED_BACK_REFUSES,
      ROLLED_BACK_REFUSES,
      ROLLED_BACK_REFUSES,
      "rolled_back 1: by amy",
      ROLLED_BACK_REFUSES } },

    { "cooled down", come_cooled, {
      "running 1: step 1 of 3, 5%: the first step",
      IDLE_REFUSES,
      IDLE_REFUSES,
      IDLE_REFUSES,
      IDLE_REFUSES,
      IDLE_REFUSES,
      IDLE_REFUSES BACK,
      IDLE_REFUSES } },

    { "aborted", come_aborted, {
      "running 1: step 1 of 3, 5%: the first step",
      ABORTED_REFUSES,
      ABORTED_REFUSES,
      ABORTED_REFUSES,
      ABORTED_REFUSES,
      ABORTED_REFUSES,
      ABORTED_REFUSES BACK,
      "aborted 1: by amy, weights stay as they are" } }
};


static void
test_actions(void **state)
{
    char        found[NGX_HTTP_GRAY_STAGE_REASON + 64];
    ngx_int_t   rc;
    ngx_uint_t  i, k;
    rollout_t   r;

    for (i = 0; i < ITEMS(places); i++) {
        for (k = 0; k < NGX_HTTP_GRAY_STAGE_COMMANDS; k++) {
            places[i].come(&r);

            rc = rollout_command(&r, k);

            if (rc == NGX_DECLINED) {
                (void) snprintf(found, sizeof(found), "refused: %s",
                                r.outcomes.refused);

            } else {
                assert_int_equal(rc, NGX_OK);
                rollout_text(&r, found, sizeof(found));
            }

            if (places[i].actions[k] == NULL
                || strcmp(found, places[i].actions[k]) != 0)
            {
                fail_msg("%s, %s%s:\nfound:    %s\nexpected: %s",
                         places[i].name,
                         (char *) ngx_http_gray_actions[k].data,
                         k == NGX_HTTP_GRAY_STAGE_FULL ? " full" : "", found,
                         places[i].actions[k]);
            }
        }
    }
}


/* idle: the state of a zone that is new, and a release without a plan */

static void
test_no_plan(void **state)
{
    ngx_uint_t  k;
    rollout_t   r;

    for (k = 0; k < NGX_HTTP_GRAY_STAGE_COMMANDS; k++) {
        come_idle(&r);

        assert_int_equal(ngx_http_gray_stage_command(NULL, &r.state, &r.world,
                                                     k, "amy", &r.outcomes),
                         NGX_DECLINED);
        assert_string_equal(r.outcomes.refused, k == NGX_HTTP_GRAY_STAGE_START
                            ? "the release has no plan: its document needs a "
                              "member \"rollout\""
                            : k == NGX_HTTP_GRAY_STAGE_ROLLBACK
                            ? "the rollout is idle, there is none under way"
                              BACK
                            : "the rollout is idle, there is none under way");
    }

    /* what is under way can be ended without one, and ends */

    come_running(&r);
    assert_int_equal(ngx_http_gray_stage_command(NULL, &r.state, &r.world,
                                                 NGX_HTTP_GRAY_STAGE_PAUSE,
                                                 "amy", &r.outcomes),
                     NGX_DECLINED);
    assert_string_equal(r.outcomes.refused, "the plan was changed, or removed, "
                                            "a moment ago; try again");
    assert_int_equal(ngx_http_gray_stage_command(NULL, &r.state, &r.world,
                                                 NGX_HTTP_GRAY_STAGE_ROLLBACK,
                                                 "amy", &r.outcomes),
                     NGX_OK);
    assert_rollout(&r, "rolled_back 1: by amy");

    come_running(&r);
    r.world.now += SECOND;
    ngx_http_gray_stage_tick(NULL, &r.state, &r.world, &r.outcomes);
    assert_rollout(&r, "aborted 1: the plan was removed, weights stay as they "
                       "are");
    assert_event(&r, 0, "running aborted manual aborted 5: the plan was "
                        "removed, weights stay as they are");

    come_running(&r);
    strcpy(r.plan.variant, "other");
    rollout_tick(&r);
    assert_rollout(&r, "aborted 1: the plan is for another variant now, "
                       "weights stay as they are");

    come_running(&r);
    r.world.promoted = 1;
    rollout_tick(&r);
    assert_rollout(&r, "aborted 1: the variant is the baseline now, weights "
                       "stay as they are");
}


static void
test_refused_start(void **state)
{
    rollout_t  r;

    come_idle(&r);
    r.plan.key = 1;
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_START),
                     NGX_DECLINED);
    assert_string_equal(r.outcomes.refused,
                        "the zone has no filter of keys for the release, as "
                        "nginx.conf declares neither \"hash\" nor \"cookie\" "
                        "for it: the plan needs \"unit\": \"request\"");

    r.world.filled = 0;
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_START), NGX_OK);
    assert_int_equal(r.outcomes.forget, 1);

    /* nor does it go on, by another plan or in another zone */

    come_running(&r);
    r.plan.key = 1;
    rollout_pass(&r, 2, 10);
    assert_rollout(&r, "paused 1: the zone has no filter of keys for the "
                       "release, as nginx.conf declares neither \"hash\" nor "
                       "\"cookie\" for it: the plan needs \"unit\": "
                       "\"request\"");
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME),
                     NGX_DECLINED);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_PROMOTE),
                     NGX_DECLINED);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_PAUSE), NGX_OK);

    r.world.filled = 0;
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_RESUME), NGX_OK);
    assert_rollout(&r, "running 1: resumed by amy");
}


/* nobody is to believe that a gate is open which is yet to come */

static void
test_approve_early(void **state)
{
    rollout_t  r;

    come_running(&r);
    r.plan.step[1].gate = 0;
    r.plan.step[2].gate = 1;
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_PROMOTE), NGX_OK);
    rollout_pass(&r, 2, 10);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_APPROVE),
                     NGX_DECLINED);
    assert_string_equal(r.outcomes.refused, "no gate is waited at");

    /* one that was passed is done already, whoever has opened it */

    come_gate(&r);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_PROMOTE), NGX_OK);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_APPROVE), NGX_OK);
    assert_rollout(&r, "running 2: step 2 of 3, 20%: promoted by amy");
}


/* "full" leads to 100, and no further; where no step does, by the end */

static void
test_full(void **state)
{
    rollout_t  r;

    come_running(&r);
    r.plan.steps = 2;
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_FULL), NGX_OK);
    assert_rollout(&r, "succeeded 1: it becomes the baseline: promoted by amy");
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_PROMOTE);

    come_running(&r);
    r.plan.steps = 2;
    r.plan.on_success = NGX_HTTP_GRAY_PLAN_KEEP;
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_FULL), NGX_OK);
    assert_rollout(&r, "running 2: step 2 of 2, 20%: promoted by amy");

    /* while that is being set, and once it is */

    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_FULL), NGX_OK);
    rollout_pass(&r, 2, 10);
    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_FULL), NGX_OK);
    assert_int_equal(r.outcomes.events, 0);
    assert_rollout(&r, "running 2: step 2 of 2, 20%: promoted by amy");

    /* one step further is the end */

    assert_int_equal(rollout_command(&r, NGX_HTTP_GRAY_STAGE_PROMOTE), NGX_OK);
    assert_rollout(&r, "succeeded 2: it keeps its weight: promoted by amy");
    assert_int_equal(r.state.wish, NGX_HTTP_GRAY_WISH_NONE);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_actions),
        cmocka_unit_test(test_no_plan),
        cmocka_unit_test(test_refused_start),
        cmocka_unit_test(test_approve_early),
        cmocka_unit_test(test_full)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
