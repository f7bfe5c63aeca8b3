
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Watching: the member "guards" of a plan.
 *
 * What a guard is, is told by what it has, see ngx_http_gray_plan_kind(), and
 * each kind has members that go with it, and defaults.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_plan.h"
#include "ngx_http_gray_terms.h"
#include "ngx_http_gray_watching.h"


/* of each kind of guard: the member that tells it, and others */

typedef struct {
    const char                        *told;
    const char                        *needs;
    const char                        *members[7];
    ngx_http_gray_terms_default_t   defaults[4];
} ngx_http_gray_watching_kind_t;


static ngx_uint_t ngx_http_gray_watching_watched(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node);
static void ngx_http_gray_watching_kind(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *guard);
static ngx_uint_t ngx_http_gray_watching_goes(
    const ngx_http_gray_watching_kind_t *kind, const char *name);
static void ngx_http_gray_watching_distinct(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *guards,
    const ngx_http_gray_json_t *guard);
static void ngx_http_gray_watching_name(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);
static void ngx_http_gray_watching_bad(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node);
static void ngx_http_gray_watching_code(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);
static void ngx_http_gray_watching_quantiles(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node);
static void ngx_http_gray_watching_sample(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);


static ngx_http_gray_member_t  ngx_http_gray_watching_members[] = {

    { "name", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_REQUIRED,
      ngx_http_gray_watching_name },

    { "bad", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_ANY,
      ngx_http_gray_watching_bad },

    { "quantiles", NGX_HTTP_GRAY_JSON_ARRAY, 0,
      ngx_http_gray_watching_quantiles },

    { "slower_than", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_ANY,
      ngx_http_gray_terms_time },

    { "sample_ratio", NGX_HTTP_GRAY_JSON_BOOLEAN, 0,
      ngx_http_gray_watching_sample },

    { "max_ratio", NGX_HTTP_GRAY_JSON_NUMBER, 0,
      ngx_http_gray_terms_number },

    { "floor", NGX_HTTP_GRAY_JSON_NUMBER, 0, ngx_http_gray_terms_number },

    { "min_delta", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_ANY,
      ngx_http_gray_terms_time },

    { "max", NGX_HTTP_GRAY_JSON_NUMBER, 0, ngx_http_gray_terms_number },

    { "action", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_ANY,
      ngx_http_gray_terms_word },

    { "if_baseline_bad", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_ANY,
      ngx_http_gray_terms_word },

    { NULL, 0, 0, NULL }
};


/* in the order of ngx_http_gray_guard_e */

static const ngx_http_gray_watching_kind_t  ngx_http_gray_watching_kinds[] = {

    { "max_ratio", NULL,
      { "name", "bad", "max_ratio", "floor", "action", NULL },
      { { "bad", "\"5xx\"" }, { "floor", "0.0005" },
        { "action", "\"rollback\"" }, { NULL, NULL } } },

    { "max", NULL,
      { "name", "bad", "max", "action", "if_baseline_bad", NULL },
      { { "bad", "\"5xx\"" }, { "action", "\"rollback\"" },
        { NULL, NULL } } },

    { "quantiles", NULL,
      { "name", "quantiles", "max_ratio", "min_delta", "action", NULL },
      { { "max_ratio", "1.1" }, { "min_delta", "\"5ms\"" },
        { "action", "\"rollback\"" }, { NULL, NULL } } },

    { "slower_than", "max",
      { "name", "slower_than", "max", "action", "if_baseline_bad", NULL },
      { { "action", "\"pause\"" }, { NULL, NULL } } },

    { "sample_ratio", NULL,
      { "name", "sample_ratio", "action", NULL },
      { { "action", "\"pause\"" }, { NULL, NULL } } }
};


void
ngx_http_gray_watching_guards(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node)
{
    ngx_uint_t             watches;
    ngx_http_gray_path_t   path;
    ngx_http_gray_json_t  *guard, *quantiles;

    if (!ngx_http_gray_watching_watched(judge, parent, node)
        || ngx_http_gray_terms_many(judge, parent, node, "guards", 0,
                                       NGX_HTTP_GRAY_PLAN_GUARDS))
    {
        return;
    }

    path.parent = parent;
    path.key = NULL;
    path.index = 0;
    watches = 0;

    for (guard = ngx_http_gray_json_first(node);
         guard;
         guard = ngx_http_gray_json_next(guard), path.index++)
    {
        if (ngx_http_gray_terms_object(judge, &path, guard,
                                        ngx_http_gray_watching_members))
        {
            ngx_http_gray_watching_kind(judge, &path, guard);
            ngx_http_gray_watching_distinct(judge, &path, node, guard);
        }

        quantiles = ngx_http_gray_json_get(guard, "quantiles");
        watches += quantiles ? ngx_http_gray_json_count(quantiles) : 1;
    }

    if (watches > NGX_HTTP_GRAY_PLAN_WATCHES) {
        ngx_http_gray_json_fault(judge->faults, parent,
                                 "watches %lu things, may watch %d: each "
                                 "quantile is one, and each other guard",
                                 (unsigned long) watches,
                                 NGX_HTTP_GRAY_PLAN_WATCHES);
    }
}


/* 1 where there is something to be watched, or nothing that watches */

static ngx_uint_t
ngx_http_gray_watching_watched(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node)
{
    ngx_http_gray_json_t  *variant;

    for (variant = ngx_http_gray_json_first(ngx_http_gray_json_get(judge->root,
                                                                "variants"));
         variant;
         variant = ngx_http_gray_json_next(variant))
    {
        if (ngx_http_gray_json_get(variant, "upstream")) {
            return 1;
        }
    }

    if (node && ngx_http_gray_json_first(node) == NULL) {
        return 1;
    }

    ngx_http_gray_json_fault(judge->faults, parent,
                             "must be [], as the variants have no upstreams "
                             "that guards could watch");
    return 0;
}


/* has it what it needs, and nothing of another kind? */

static void
ngx_http_gray_watching_kind(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *guard)
{
    ngx_http_gray_path_t                  path;
    ngx_http_gray_json_t                 *member;
    const ngx_http_gray_watching_kind_t  *kind;

    kind = &ngx_http_gray_watching_kinds[ngx_http_gray_plan_kind(guard)];

    if (ngx_http_gray_json_get(guard, kind->told) == NULL) {
        ngx_http_gray_json_fault(judge->faults, parent,
                                 "must have one of \"max_ratio\", \"max\", "
                                 "\"quantiles\", \"slower_than\" with \"max\", "
                                 "\"sample_ratio\"");
        return;
    }

    path.parent = parent;

    for (member = ngx_http_gray_json_first(guard);
         member;
         member = ngx_http_gray_json_next(member))
    {
        path.key = ngx_http_gray_json_key(member);

        if (!ngx_http_gray_watching_goes(kind, path.key)) {
            ngx_http_gray_json_fault(judge->faults, &path,
                                     "does not go with \"%s\"", kind->told);
        }
    }

    path.key = kind->needs;

    if (path.key && ngx_http_gray_json_get(guard, path.key) == NULL) {
        ngx_http_gray_json_fault(judge->faults, &path,
                                 "is missing, goes with \"%s\"", kind->told);
    }
}


/* a member of that kind, or of none, which is a fault already */

static ngx_uint_t
ngx_http_gray_watching_goes(const ngx_http_gray_watching_kind_t *kind,
    const char *name)
{
    ngx_uint_t               i;
    ngx_http_gray_member_t  *member;

    for (i = 0; kind->members[i]; i++) {
        if (ngx_strcmp(kind->members[i], name) == 0) {
            return 1;
        }
    }

    for (member = ngx_http_gray_watching_members; member->name; member++) {
        if (ngx_strcmp(member->name, name) == 0) {
            return 0;
        }
    }

    return 1;
}


static void
ngx_http_gray_watching_distinct(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *guards,
    const ngx_http_gray_json_t *guard)
{
    ngx_str_t              name, other;
    ngx_uint_t             i;
    ngx_http_gray_path_t   path;
    ngx_http_gray_json_t  *item;

    name = ngx_http_gray_json_text(ngx_http_gray_json_get(guard, "name"));

    if (name.len == 0) {
        return;
    }

    path.parent = parent;
    path.key = "name";
    i = 0;

    for (item = ngx_http_gray_json_first(guards);
         item != guard;
         item = ngx_http_gray_json_next(item), i++)
    {
        other = ngx_http_gray_json_text(ngx_http_gray_json_get(item, "name"));

        if (other.len && ngx_strcmp(other.data, name.data) == 0) {
            ngx_http_gray_json_fault(judge->faults, &path,
                                     "is also the name of guard %lu",
                                     (unsigned long) i);
            return;
        }
    }
}


static void
ngx_http_gray_watching_name(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    if (!ngx_http_gray_judge_named(
                                (char *) ngx_http_gray_json_text(node).data))
    {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "a guard's name must be a letter, then "
                                 "letters, digits, \"_\", \"-\" or \".\", at "
                                 "most %d in all", NGX_HTTP_GRAY_NAMES_MAX);
    }
}


static void
ngx_http_gray_watching_bad(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node)
{
    ngx_http_gray_path_t   path;
    ngx_http_gray_json_t  *item;

    item = ngx_http_gray_json_first(node);

    if (ngx_http_gray_json_type(node) != NGX_HTTP_GRAY_JSON_ARRAY
        || item == NULL)
    {
        ngx_http_gray_watching_code(judge, parent, node);
        return;
    }

    path.parent = parent;
    path.key = NULL;
    path.index = 0;

    for ( /* void */ ; item; item = ngx_http_gray_json_next(item)) {
        ngx_http_gray_watching_code(judge, &path, item);
        path.index++;
    }
}


static void
ngx_http_gray_watching_code(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    ngx_str_t  text;

    text = ngx_http_gray_json_text(node);

    if (ngx_http_gray_plan_code(&text) == NGX_DECLINED) {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "must be \"1xx\", \"2xx\", \"3xx\", \"4xx\", "
                                 "\"5xx\" or \"499\"%s",
                                 path->key ? ", or an array of these" : "");
    }
}


static void
ngx_http_gray_watching_quantiles(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node)
{
    ngx_http_gray_path_t   path;
    ngx_http_gray_json_t  *item;

    if (ngx_http_gray_terms_many(judge, parent, node, "quantiles", 1,
                                    NGX_HTTP_GRAY_PLAN_QUANTILES))
    {
        return;
    }

    path.parent = parent;
    path.key = NULL;
    path.index = 0;

    for (item = ngx_http_gray_json_first(node);
         item;
         item = ngx_http_gray_json_next(item), path.index++)
    {
        /* what is no number has the value 0 */

        ngx_http_gray_terms_within(judge, &path, parent->key,
                                      ngx_http_gray_json_value(item));
    }
}


static void
ngx_http_gray_watching_sample(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    if (!ngx_http_gray_json_true(node)) {
        ngx_http_gray_json_fault(judge->faults, path, "must be true");
    }
}


ngx_http_gray_json_t *
ngx_http_gray_watching_fill(const ngx_http_gray_json_t *guards)
{
    ngx_uint_t             kind;
    ngx_http_gray_json_t  *array, *guard;

    array = ngx_http_gray_json_array();

    for (guard = ngx_http_gray_json_first(guards);
         array && guard;
         guard = ngx_http_gray_json_next(guard))
    {
        kind = ngx_http_gray_plan_kind(guard);

        if (ngx_http_gray_json_append(array,
                         ngx_http_gray_terms_made(guard,
                             ngx_http_gray_watching_members,
                             ngx_http_gray_watching_kinds[kind].defaults))
            != NGX_OK)
        {
            ngx_http_gray_json_free(array);
            return NULL;
        }
    }

    return array;
}
