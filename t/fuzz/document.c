
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Documents and patches of them.  The input is a document and, behind a zero
 * byte, a patch: a merge patch, or, where it is an array, a JSON patch.
 *
 * What is accepted has a canonical form that is accepted itself and is its
 * own canonical form; it compiles as one that is in force, and knows all its
 * names, and its plan is read as a whole.
 */


#include "fuzz.h"

#include "ngx_http_gray_patch.h"
#include "ngx_http_gray_plan.h"


static ngx_http_gray_json_t *
parse(const ngx_str_t *text)
{
    ngx_str_t                    printed;
    ngx_http_gray_json_t        *tree, *again;
    ngx_http_gray_json_error_t   err;

    tree = ngx_http_gray_json_parse(text->data, text->len, &err);

    if (tree == NULL) {
        must(err.line);
        return NULL;
    }

    /* what is printed reads as what it was */

    must(ngx_http_gray_json_print(tree, text->len & 1, &printed) == NGX_OK);

    again = ngx_http_gray_json_parse(printed.data, printed.len, &err);

    must(again);
    must(ngx_http_gray_json_equal(tree, again));

    ngx_http_gray_json_free(again);
    free(printed.data);

    return tree;
}


/* what was judged has all that a plan needs, and no more than it can take */

static void
plan(const ngx_http_gray_json_t *rollout)
{
    ngx_uint_t                   i;
    ngx_http_gray_plan_t         plan;
    const ngx_http_gray_step_t  *step;

    if (rollout == NULL) {
        return;
    }

    must(ngx_http_gray_plan_read(&plan, rollout) == NGX_OK);
    must(plan.variant[0]);
    must(plan.alpha > 0 && plan.alpha < 1);
    must(plan.steps == ngx_http_gray_json_count(
                           ngx_http_gray_json_get(rollout, "steps")));
    must(plan.guards == ngx_http_gray_json_count(
                            ngx_http_gray_json_get(rollout, "guards")));
    must(plan.watches <= NGX_HTTP_GRAY_PLAN_WATCHES);

    for (i = 0; i < plan.steps; i++) {
        step = &plan.step[i];
        must(step->weight <= 1000000 && step->max_hold >= 1000);
        must(step->hold <= step->max_hold);
    }
}


static ngx_http_gray_json_t *
judge(const ngx_http_gray_json_t *input, const ngx_http_gray_json_t *current)
{
    ngx_int_t                rc;
    ngx_str_t                text, same, missed;
    ngx_http_gray_json_t    *doc, *again;
    ngx_http_gray_rules_t   *rules;
    ngx_http_gray_faults_t   faults;

    rc = fuzz_build(input, current, &doc, &text, &faults);

    must(rc != NGX_ERROR);

    if (rc != NGX_OK) {
        must(faults.n);

        /* where there is such a document in force, it serves all the same */

        rules = ngx_http_gray_compile(input, &fuzz_names, NULL, &fuzz_log);

        if (rules) {
            ngx_http_gray_rules_destroy(rules);
        }

        return NULL;
    }

    must(fuzz_build(doc, doc, &again, &same, &faults) == NGX_OK);
    must(text.len == same.len);
    must(ngx_memcmp(text.data, same.data, text.len) == 0);

    free(same.data);

    rules = ngx_http_gray_compile(doc, &fuzz_names, NULL, &fuzz_log);

    must(rules);
    must(ngx_http_gray_rules_missing(rules, &missed) == 0);

    plan(ngx_http_gray_json_get(doc, "rollout"));

    ngx_http_gray_rules_destroy(rules);
    ngx_http_gray_json_free(again);
    free(text.data);

    return doc;
}


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_init();

    return 0;
}


int
LLVMFuzzerTestOneInput(const u_char *data, size_t size)
{
    ngx_int_t                rc;
    ngx_str_t                part;
    ngx_http_gray_json_t    *input, *patch, *doc, *changed;
    ngx_http_gray_faults_t   faults;

    if (!fuzz_next(&data, &size, &part)) {
        return 0;
    }

    input = parse(&part);
    free(part.data);

    if (input == NULL) {
        return 0;
    }

    doc = judge(input, NULL);
    patch = NULL;

    if (fuzz_next(&data, &size, &part)) {
        patch = parse(&part);
        free(part.data);
    }

    if (patch) {
        changed = ngx_http_gray_json_copy(doc ? doc : input);
        faults.n = 0;

        if (ngx_http_gray_json_type(patch) == NGX_HTTP_GRAY_JSON_ARRAY) {
            rc = ngx_http_gray_patch_apply(&changed, patch, &faults);
            must(rc == NGX_OK || faults.n);

        } else {
            rc = ngx_http_gray_patch_merge(&changed, patch);
        }

        must(rc != NGX_ERROR);

        if (rc == NGX_OK) {
            ngx_http_gray_json_free(judge(changed, doc));
        }

        ngx_http_gray_json_free(changed);
    }

    ngx_http_gray_json_free(patch);
    ngx_http_gray_json_free(doc);
    ngx_http_gray_json_free(input);

    return 0;
}
