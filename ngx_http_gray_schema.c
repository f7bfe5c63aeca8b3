
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The schema: which members a document has, and what each of them may be.
 *
 * Directives and the admin API both end here.  Judging walks the input by
 * tables of members, one table for each kind of object, and goes on after a
 * fault, so that one answer names them all.  Operators, variables and
 * upstreams are judged where they are compiled, see ngx_http_gray_tests.c and
 * ngx_http_gray_compile.c.
 *
 * The order of a table is the order of the members in the canonical form.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_arms.h"
#include "ngx_http_gray_judge.h"
#include "ngx_http_gray_planning.h"
#include "ngx_http_gray_schema.h"


#define NGX_HTTP_GRAY_HASH_MAX  16


typedef struct {
    const char                      *name;
    ngx_uint_t                       index;
} ngx_http_gray_rule_name_t;


static ngx_uint_t ngx_http_gray_schema_many(const ngx_http_gray_json_t *input,
    const char *member, ngx_uint_t max, ngx_http_gray_faults_t *faults);
static void ngx_http_gray_schema_release(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);
static void ngx_http_gray_schema_revision(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);
static void ngx_http_gray_schema_baseline(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);
static void ngx_http_gray_schema_fallback(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);
static void ngx_http_gray_schema_hash(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node);
static void ngx_http_gray_schema_cookie(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);
static void ngx_http_gray_schema_token(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);
static void ngx_http_gray_schema_time(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);
static void ngx_http_gray_schema_attribute(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);
static void ngx_http_gray_schema_samesite(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);
static void ngx_http_gray_schema_variants(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node);
static ngx_uint_t ngx_http_gray_schema_routed(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *variant);
static void ngx_http_gray_schema_rules(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node);
static void ngx_http_gray_schema_distinct(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *rules);
static int ngx_libc_cdecl ngx_http_gray_schema_cmp_names(const void *one,
    const void *two);
static void ngx_http_gray_schema_name(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);
static void ngx_http_gray_schema_variant(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);
static void ngx_http_gray_schema_weights(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node);
static void ngx_http_gray_schema_allocation(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node);


ngx_http_gray_member_t  ngx_http_gray_document_members[] = {

    { "release", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_READONLY,
      ngx_http_gray_schema_release },

    { "revision", NGX_HTTP_GRAY_JSON_NUMBER, NGX_HTTP_GRAY_READONLY,
      ngx_http_gray_schema_revision },

    { "enabled", NGX_HTTP_GRAY_JSON_BOOLEAN, 0, NULL },

    { "baseline", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_REQUIRED,
      ngx_http_gray_schema_baseline },

    { "fallback", NGX_HTTP_GRAY_JSON_STRING, 0,
      ngx_http_gray_schema_fallback },

    { "hash", NGX_HTTP_GRAY_JSON_ARRAY, 0, ngx_http_gray_schema_hash },

    { "cookie", NGX_HTTP_GRAY_JSON_OBJECT, 0, ngx_http_gray_schema_cookie },

    { "salt", NGX_HTTP_GRAY_JSON_STRING, 0, ngx_http_gray_judge_text },

    { "variants", NGX_HTTP_GRAY_JSON_OBJECT, NGX_HTTP_GRAY_REQUIRED,
      ngx_http_gray_schema_variants },

    { "rules", NGX_HTTP_GRAY_JSON_ARRAY, 0, ngx_http_gray_schema_rules },

    { "rollout", NGX_HTTP_GRAY_JSON_OBJECT, 0,
      ngx_http_gray_planning_judge },

    { "allocation", NGX_HTTP_GRAY_JSON_OBJECT, 0,
      ngx_http_gray_schema_allocation },

    { "origin", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_READONLY, NULL },

    { "declared_differs", NGX_HTTP_GRAY_JSON_BOOLEAN, NGX_HTTP_GRAY_READONLY,
      NULL },

    { NULL, 0, 0, NULL }
};


ngx_http_gray_member_t  ngx_http_gray_cookie_members[] = {

    { "name", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_REQUIRED,
      ngx_http_gray_schema_token },

    { "expires", NGX_HTTP_GRAY_JSON_STRING, 0, ngx_http_gray_schema_time },

    { "domain", NGX_HTTP_GRAY_JSON_STRING, 0,
      ngx_http_gray_schema_attribute },

    { "path", NGX_HTTP_GRAY_JSON_STRING, 0, ngx_http_gray_schema_attribute },

    { "secure", NGX_HTTP_GRAY_JSON_BOOLEAN, 0, NULL },

    { "httponly", NGX_HTTP_GRAY_JSON_BOOLEAN, 0, NULL },

    { "samesite", NGX_HTTP_GRAY_JSON_STRING, 0,
      ngx_http_gray_schema_samesite },

    { NULL, 0, 0, NULL }
};


ngx_http_gray_member_t  ngx_http_gray_variant_members[] = {

    { "upstream", NGX_HTTP_GRAY_JSON_STRING, 0,
      ngx_http_gray_judge_text },

    { "weight", NGX_HTTP_GRAY_JSON_NUMBER, 0, ngx_http_gray_judge_weight },

    { NULL, 0, 0, NULL }
};


ngx_http_gray_member_t  ngx_http_gray_rule_members[] = {

    { "name", NGX_HTTP_GRAY_JSON_STRING, 0, ngx_http_gray_schema_name },

    { "when", NGX_HTTP_GRAY_JSON_OBJECT,
      NGX_HTTP_GRAY_REQUIRED|NGX_HTTP_GRAY_UNORDERED, NULL },

    { "variant", NGX_HTTP_GRAY_JSON_STRING, 0,
      ngx_http_gray_schema_variant },

    { "weights", NGX_HTTP_GRAY_JSON_OBJECT, NGX_HTTP_GRAY_UNORDERED,
      ngx_http_gray_schema_weights },

    { "allocation", NGX_HTTP_GRAY_JSON_OBJECT, 0,
      ngx_http_gray_schema_allocation },

    { NULL, 0, 0, NULL }
};


ngx_int_t
ngx_http_gray_schema_judge(const ngx_http_gray_schema_t *schema,
    const ngx_http_gray_json_t *input, ngx_http_gray_faults_t *faults)
{
    ngx_http_gray_judge_t  judge;

    if (ngx_http_gray_json_type(input) != NGX_HTTP_GRAY_JSON_OBJECT) {
        ngx_http_gray_json_fault(faults, NULL, "must be an object");
        return NGX_DECLINED;
    }

    /* first of all, as what follows takes time by the product of these */

    if (ngx_http_gray_schema_many(input, "variants",
                                  NGX_HTTP_GRAY_VARIANTS_MAX, faults)
        || ngx_http_gray_schema_many(input, "rules", NGX_HTTP_GRAY_RULES_MAX,
                                     faults))
    {
        return NGX_DECLINED;
    }

    judge.schema = schema;
    judge.root = input;
    judge.object = NULL;
    judge.faults = faults;
    judge.failed = 0;

    ngx_http_gray_judge_object(&judge, NULL, input,
                                ngx_http_gray_document_members);

    return judge.failed ? NGX_ERROR : NGX_OK;
}


static ngx_uint_t
ngx_http_gray_schema_many(const ngx_http_gray_json_t *input,
    const char *member, ngx_uint_t max, ngx_http_gray_faults_t *faults)
{
    ngx_uint_t            n;
    ngx_http_gray_path_t  path;

    n = ngx_http_gray_json_count(ngx_http_gray_json_get(input, member));

    if (n <= max) {
        return 0;
    }

    path.parent = NULL;
    path.key = member;

    ngx_http_gray_json_fault(faults, &path, "has %lu %s, may have %lu",
                             (unsigned long) n, member, (unsigned long) max);

    return 1;
}


static void
ngx_http_gray_schema_release(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    ngx_str_t  name;

    name = ngx_http_gray_json_text(node);

    if (name.len != judge->schema->release.len
        || ngx_strncmp(name.data, judge->schema->release.data, name.len) != 0)
    {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "must be \"%.*s\", the release's name",
                                 (int) judge->schema->release.len,
                                 (char *) judge->schema->release.data);
    }
}


static void
ngx_http_gray_schema_revision(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    double  n;

    n = ngx_http_gray_json_value(node);

    if (n < 1 || n != (double) (uint64_t) n) {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "must be a whole number from 1 on");
    }
}


static void
ngx_http_gray_schema_baseline(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    ngx_http_gray_judge_refer(judge, path, ngx_http_gray_json_text(node));
}


static void
ngx_http_gray_schema_fallback(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    char                  *text;
    ngx_http_gray_json_t  *variant;

    text = (char *) ngx_http_gray_json_text(node).data;

    if (ngx_strcmp(text, "off") == 0) {
        return;
    }

    if (ngx_strcmp(text, "baseline") != 0) {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "must be \"off\" or \"baseline\"");
        return;
    }

    for (variant = ngx_http_gray_json_first(ngx_http_gray_json_get(judge->root,
                                                                "variants"));
         variant;
         variant = ngx_http_gray_json_next(variant))
    {
        if (ngx_http_gray_json_get(variant, "upstream")) {
            return;
        }
    }

    ngx_http_gray_json_fault(judge->faults, path,
                             "\"baseline\" needs variants with upstreams");
}


static void
ngx_http_gray_schema_hash(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node)
{
    ngx_str_t              name;
    ngx_http_gray_path_t   path;
    ngx_http_gray_json_t  *item;

    path.parent = parent;
    path.key = NULL;
    path.index = 0;

    for (item = ngx_http_gray_json_first(node);
         item;
         item = ngx_http_gray_json_next(item), path.index++)
    {
        name = ngx_http_gray_json_text(item);

        if (name.len < 2 || name.data[0] != '$') {
            ngx_http_gray_json_fault(judge->faults, &path,
                                     "must be a variable, as "
                                     "\"$cookie_uid\"");
        }
    }

    if (path.index == 0 || path.index > NGX_HTTP_GRAY_HASH_MAX) {
        ngx_http_gray_json_fault(judge->faults, parent,
                                 "must have 1 to %d variables",
                                 NGX_HTTP_GRAY_HASH_MAX);
    }
}


static void
ngx_http_gray_schema_cookie(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    ngx_http_gray_judge_object(judge, path, node,
                                 ngx_http_gray_cookie_members);
}


static void
ngx_http_gray_schema_token(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    u_char      ch;
    ngx_str_t   name;
    ngx_uint_t  i;

    name = ngx_http_gray_json_text(node);

    for (i = 0; i < name.len; i++) {
        ch = name.data[i];

        if (ch <= ' ' || ch >= 0x7f
            || ngx_strchr("()<>@,;:\\\"/[]?={}", ch))
        {
            break;
        }
    }

    if (name.len == 0 || i < name.len || name.len > NGX_HTTP_GRAY_NAMES_MAX) {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "must be a cookie's name of 1 to %d "
                                 "characters, without separators",
                                 NGX_HTTP_GRAY_NAMES_MAX);
    }
}


static void
ngx_http_gray_schema_time(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    ngx_int_t  seconds;
    ngx_str_t  text;

    text = ngx_http_gray_json_text(node);
    seconds = text.len ? ngx_parse_time(&text, 1) : NGX_ERROR;

    if (seconds == NGX_ERROR || seconds <= 0) {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "must be a time with a unit, as \"30d\" or "
                                 "\"12h\"");
    }
}


static void
ngx_http_gray_schema_attribute(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    u_char      ch;
    ngx_str_t   text;
    ngx_uint_t  i;

    text = ngx_http_gray_json_text(node);

    for (i = 0; i < text.len; i++) {
        ch = text.data[i];

        if (ch <= ' ' || ch >= 0x7f || ch == ';' || ch == ',') {
            break;
        }
    }

    if (text.len == 0 || i < text.len || text.len > NGX_HTTP_GRAY_TEXT_MAX) {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "must be 1 to %d printable characters "
                                 "without space, \";\" and \",\"",
                                 NGX_HTTP_GRAY_TEXT_MAX);
    }
}


static void
ngx_http_gray_schema_samesite(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    char                  *text;
    ngx_http_gray_json_t  *secure;

    text = (char *) ngx_http_gray_json_text(node).data;

    if (ngx_strcmp(text, "lax") == 0 || ngx_strcmp(text, "strict") == 0) {
        return;
    }

    if (ngx_strcmp(text, "none") != 0) {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "must be \"lax\", \"strict\" or \"none\"");
        return;
    }

    secure = ngx_http_gray_json_get(judge->object, "secure");

    if (secure == NULL || !ngx_http_gray_json_true(secure)) {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "\"none\" needs \"secure\": browsers drop "
                                 "the cookie otherwise");
    }
}


static void
ngx_http_gray_schema_variants(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node)
{
    ngx_int_t               n, sum;
    ngx_str_t               baseline;
    ngx_uint_t              count, with, weight;
    ngx_http_gray_path_t    path, frame;
    ngx_http_gray_json_t   *variant, *member;

    path.parent = parent;
    frame.parent = &path;

    baseline = ngx_http_gray_json_text(ngx_http_gray_json_get(judge->root,
                                                              "baseline"));
    count = 0;
    with = 0;
    sum = 0;

    for (variant = ngx_http_gray_json_first(node);
         variant;
         variant = ngx_http_gray_json_next(variant))
    {
        path.key = ngx_http_gray_json_key(variant);
        count++;

        if (!ngx_http_gray_judge_named(path.key)) {
            ngx_http_gray_json_fault(judge->faults, &path,
                                     "a variant's name must be a letter, then "
                                     "letters, digits, \"_\", \"-\" or \".\", "
                                     "at most %d in all",
                                     NGX_HTTP_GRAY_NAMES_MAX);
        }

        if (ngx_http_gray_json_type(variant) != NGX_HTTP_GRAY_JSON_OBJECT) {
            ngx_http_gray_json_fault(judge->faults, &path,
                                     "must be an object");
            continue;
        }

        ngx_http_gray_judge_object(judge, &path, variant,
                                     ngx_http_gray_variant_members);

        with += ngx_http_gray_schema_routed(judge, &path, variant);

        member = ngx_http_gray_json_get(variant, "weight");
        weight = (baseline.len == 0
                  || ngx_strcmp(baseline.data, path.key) != 0);

        frame.key = "weight";

        if (member && !weight) {
            ngx_http_gray_json_fault(judge->faults, &frame,
                                     "the baseline has no weight, it takes "
                                     "what the others leave");

        } else if (member == NULL && weight && baseline.len) {
            ngx_http_gray_json_fault(judge->faults, &frame,
                                     "is missing; every variant but the "
                                     "baseline has one");

        } else if (member) {
            n = ngx_http_gray_arms_buckets(ngx_http_gray_json_value(member));
            sum += (n == NGX_ERROR) ? 0 : n;
        }
    }

    if (count == 0) {
        ngx_http_gray_json_fault(judge->faults, parent,
                                 "must have 1 to %d variants",
                                 NGX_HTTP_GRAY_VARIANTS_MAX);
    }

    ngx_http_gray_judge_sum(judge, parent, sum);

    if (judge->schema->kind == NGX_HTTP_GRAY_EITHER && with && with < count) {
        ngx_http_gray_json_fault(judge->faults, parent,
                                 "must all have an upstream, or none");
    }
}


/* 1 where the variant has an upstream */

static ngx_uint_t
ngx_http_gray_schema_routed(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *variant)
{
    ngx_uint_t            with;
    ngx_http_gray_path_t  path;

    path.parent = parent;
    path.key = "upstream";

    with = (ngx_http_gray_json_get(variant, "upstream") != NULL);

    if (judge->schema->kind == NGX_HTTP_GRAY_ROUTED && !with) {
        ngx_http_gray_json_fault(judge->faults, &path, "is missing");
    }

    if (judge->schema->kind == NGX_HTTP_GRAY_SWITCH && with) {
        ngx_http_gray_json_fault(judge->faults, &path,
                                 "must not be given, nginx.conf declares the "
                                 "release without upstreams");
    }

    return with;
}


static void
ngx_http_gray_schema_rules(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node)
{
    ngx_http_gray_path_t   path, frame;
    ngx_http_gray_json_t  *rule;

    path.parent = parent;
    path.key = NULL;
    path.index = 0;
    frame.parent = &path;

    for (rule = ngx_http_gray_json_first(node);
         rule;
         rule = ngx_http_gray_json_next(rule), path.index++)
    {
        if (ngx_http_gray_json_type(rule) != NGX_HTTP_GRAY_JSON_OBJECT) {
            ngx_http_gray_json_fault(judge->faults, &path,
                                     "must be an object");
            continue;
        }

        ngx_http_gray_judge_object(judge, &path, rule,
                                     ngx_http_gray_rule_members);

        if ((ngx_http_gray_json_get(rule, "variant") == NULL)
            == (ngx_http_gray_json_get(rule, "weights") == NULL))
        {
            ngx_http_gray_json_fault(judge->faults, &path,
                                     "must have either \"variant\" or "
                                     "\"weights\"");
        }

        frame.key = "name";

        if (ngx_http_gray_json_get(rule, "weights")
            && ngx_http_gray_json_get(rule, "name") == NULL)
        {
            ngx_http_gray_json_fault(judge->faults, &frame,
                                     "is missing; a rule with \"weights\" "
                                     "keeps its users by its name");
        }

    }

    ngx_http_gray_schema_distinct(judge, parent, node);
}


static void
ngx_http_gray_schema_distinct(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *rules)
{
    ngx_str_t                   name;
    ngx_uint_t                  i, n, index;
    ngx_http_gray_path_t        path, frame;
    ngx_http_gray_json_t       *rule;
    ngx_http_gray_rule_name_t  *names;

    names = malloc((ngx_http_gray_json_count(rules) + 1)
                   * sizeof(ngx_http_gray_rule_name_t));

    if (names == NULL) {
        judge->failed = 1;
        return;
    }

    n = 0;
    index = 0;

    for (rule = ngx_http_gray_json_first(rules);
         rule;
         rule = ngx_http_gray_json_next(rule), index++)
    {
        name = ngx_http_gray_json_text(ngx_http_gray_json_get(rule, "name"));

        if (name.len) {
            names[n].name = (char *) name.data;
            names[n++].index = index;
        }
    }

    qsort(names, n, sizeof(ngx_http_gray_rule_name_t),
          ngx_http_gray_schema_cmp_names);

    path.parent = parent;
    path.key = NULL;
    frame.parent = &path;
    frame.key = "name";

    for (i = 1; i < n; i++) {
        if (ngx_strcmp(names[i - 1].name, names[i].name) == 0) {
            path.index = names[i].index;
            ngx_http_gray_json_fault(judge->faults, &frame,
                                     "is also the name of rule %lu",
                                     (unsigned long) names[i - 1].index);
        }
    }

    free(names);
}


static int ngx_libc_cdecl
ngx_http_gray_schema_cmp_names(const void *one, const void *two)
{
    int                               rc;
    const ngx_http_gray_rule_name_t  *a, *b;

    a = one;
    b = two;

    rc = ngx_strcmp(a->name, b->name);

    return rc ? rc : (a->index > b->index) - (a->index < b->index);
}


static void
ngx_http_gray_schema_name(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    if (!ngx_http_gray_judge_named(
                                (char *) ngx_http_gray_json_text(node).data))
    {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "a rule's name must be a letter, then "
                                 "letters, digits, \"_\", \"-\" or \".\", at "
                                 "most %d in all", NGX_HTTP_GRAY_NAMES_MAX);
    }
}


static void
ngx_http_gray_schema_variant(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    ngx_http_gray_judge_refer(judge, path, ngx_http_gray_json_text(node));
}


static void
ngx_http_gray_schema_weights(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node)
{
    ngx_int_t              n, sum;
    ngx_str_t              baseline, name;
    ngx_http_gray_path_t   path;
    ngx_http_gray_json_t  *weight;

    baseline = ngx_http_gray_json_text(ngx_http_gray_json_get(judge->root,
                                                              "baseline"));
    path.parent = parent;
    sum = 0;

    for (weight = ngx_http_gray_json_first(node);
         weight;
         weight = ngx_http_gray_json_next(weight))
    {
        path.key = ngx_http_gray_json_key(weight);

        name.data = (u_char *) path.key;
        name.len = ngx_strlen(path.key);

        ngx_http_gray_judge_refer(judge, &path, name);

        if (ngx_http_gray_json_type(weight) != NGX_HTTP_GRAY_JSON_NUMBER) {
            ngx_http_gray_json_fault(judge->faults, &path,
                                     "must be a number");
            continue;
        }

        if (baseline.len && ngx_strcmp(baseline.data, path.key) == 0) {
            ngx_http_gray_json_fault(judge->faults, &path,
                                     "the baseline has no weight, it takes "
                                     "what the others leave");
        }

        ngx_http_gray_judge_weight(judge, &path, weight);

        n = ngx_http_gray_arms_buckets(ngx_http_gray_json_value(weight));
        sum += (n == NGX_ERROR) ? 0 : n;
    }

    if (ngx_http_gray_json_first(node) == NULL) {
        ngx_http_gray_json_fault(judge->faults, parent,
                                 "must have at least one variant's weight");
    }

    ngx_http_gray_judge_sum(judge, parent, sum);
}


/*
 * That of a variant that is gone, or of a rule without weights, is what GET
 * served before a change was made: like all that does not fit it is dropped.
 */

static void
ngx_http_gray_schema_allocation(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node)
{
    double                 start, end;
    ngx_http_gray_path_t   path, frame;
    ngx_http_gray_json_t  *list, *pair, *first;

    path.parent = parent;
    frame.parent = &path;
    frame.key = NULL;

    for (list = ngx_http_gray_json_first(node);
         list;
         list = ngx_http_gray_json_next(list))
    {
        path.key = ngx_http_gray_json_key(list);

        if (ngx_http_gray_json_type(list) != NGX_HTTP_GRAY_JSON_ARRAY) {
            ngx_http_gray_json_fault(judge->faults, &path,
                                     "must be an array of intervals");
            continue;
        }

        frame.index = 0;

        for (pair = ngx_http_gray_json_first(list);
             pair;
             pair = ngx_http_gray_json_next(pair), frame.index++)
        {
            first = ngx_http_gray_json_first(pair);
            start = ngx_http_gray_json_value(first);
            end = ngx_http_gray_json_value(ngx_http_gray_json_next(first));

            if (ngx_http_gray_json_type(pair) != NGX_HTTP_GRAY_JSON_ARRAY
                || ngx_http_gray_json_count(pair) != 2
                || ngx_http_gray_json_type(first) != NGX_HTTP_GRAY_JSON_NUMBER
                || ngx_http_gray_json_type(ngx_http_gray_json_next(first))
                   != NGX_HTTP_GRAY_JSON_NUMBER
                || !(start >= 0 && start < end
                     && end <= NGX_HTTP_GRAY_BUCKETS)
                || start != (double) (uint32_t) start
                || end != (double) (uint32_t) end)
            {
                ngx_http_gray_json_fault(judge->faults, &frame,
                                     "must be [START, END], buckets from 0 to "
                                     "%d, START less than END",
                                     NGX_HTTP_GRAY_BUCKETS);
            }
        }
    }
}


const char *
ngx_http_gray_schema_reserved(ngx_str_t *name)
{
    u_char       ch;
    ngx_str_t   *suffix;
    ngx_uint_t   i;

    static ngx_str_t  suffixes[] = {
        ngx_string("_upstream"),
        ngx_string("_reason"),
        ngx_string("_rule"),
        ngx_string("_bucket"),
        ngx_string("_revision"),
        ngx_string("_outcome"),
        ngx_string("_failures"),
        ngx_string("_ttfb"),
        ngx_null_string
    };

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if ((ch >= 'a' && ch <= 'z')
            || (i && ((ch >= '0' && ch <= '9') || ch == '_')))
        {
            continue;
        }

        break;
    }

    if (name->len == 0 || i < name->len || i > NGX_HTTP_GRAY_NAMES_MAX) {
        return "must be a lower-case letter, then lower-case letters, digits "
               "or \"_\", at most 63 in all";
    }

    if ((name->len == sizeof("decisions") - 1
         && ngx_strncmp(name->data, "decisions", name->len) == 0)
        || (name->len >= 3 && ngx_strncmp(name->data, "geo", 3) == 0))
    {
        return "must not be \"decisions\" nor begin with \"geo\", which name "
               "other variables";
    }

    for (suffix = suffixes; suffix->len; suffix++) {

        if (name->len > suffix->len
            && ngx_strncmp(name->data + name->len - suffix->len, suffix->data,
                           suffix->len) == 0)
        {
            return "must not end in \"_upstream\", \"_reason\", \"_rule\", "
                   "\"_bucket\", \"_revision\", \"_outcome\", \"_failures\" "
                   "or \"_ttfb\", which name other variables";
        }
    }

    return NULL;
}
