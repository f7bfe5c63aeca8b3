
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Documents: what a release is, as JSON.
 *
 * A document without a fault gets its canonical form: members in the order of
 * the schema, defaults filled in, read-only members left out.  Two documents
 * that say the same have the same canonical form but for the allocation, which
 * depends on what was in force before: see ngx_http_gray_allocation.c.
 *
 * Nothing here is shared, locked or kept; on any failure the input and the
 * document in force are as they were.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_arms.h"
#include "ngx_http_gray_compile.h"
#include "ngx_http_gray_document.h"
#include "ngx_http_gray_planning.h"
#include "ngx_http_gray_shm.h"


/* a rule with weights, to be found by its name */

typedef struct {
    ngx_str_t              name;
    ngx_http_gray_json_t  *rule;
} ngx_http_gray_document_named_t;


static ngx_http_gray_json_t *ngx_http_gray_document_canonical(
    const ngx_http_gray_document_t *env, const ngx_http_gray_json_t *input);
static ngx_http_gray_json_t *ngx_http_gray_document_object(
    const ngx_http_gray_json_t *input, ngx_http_gray_member_t *members);
static ngx_http_gray_json_t *ngx_http_gray_document_ordered(
    const ngx_http_gray_json_t *node);
static int ngx_libc_cdecl ngx_http_gray_document_cmp_keys(const void *one,
    const void *two);
static ngx_uint_t ngx_http_gray_document_combines(const char *key);
static ngx_http_gray_json_t *ngx_http_gray_document_map(
    const ngx_http_gray_json_t *input, ngx_http_gray_member_t *members);
static ngx_http_gray_json_t *ngx_http_gray_document_array(
    const ngx_http_gray_json_t *input, ngx_http_gray_member_t *members);
static ngx_int_t ngx_http_gray_document_allocate(ngx_http_gray_json_t *doc,
    const ngx_http_gray_json_t *input, const ngx_http_gray_json_t *current);
static ngx_http_gray_document_named_t *ngx_http_gray_document_sorted(
    const ngx_http_gray_json_t *doc, ngx_uint_t *n);
static int ngx_libc_cdecl ngx_http_gray_document_cmp(const void *one,
    const void *two);
static ngx_int_t ngx_http_gray_document_derive(ngx_http_gray_json_t *doc,
    ngx_http_gray_json_t *rule, const ngx_http_gray_json_t *given,
    const ngx_http_gray_json_t *current, const ngx_http_gray_json_t *before);
static void ngx_http_gray_document_rest(ngx_http_gray_arms_t *arms);
static ngx_http_gray_json_t *ngx_http_gray_document_intervals(
    ngx_http_gray_arms_t *arms);


ngx_int_t
ngx_http_gray_document_build(const ngx_http_gray_document_t *env,
    const ngx_http_gray_json_t *input, const ngx_http_gray_json_t *current,
    ngx_http_gray_json_t **doc, ngx_str_t *text,
    ngx_http_gray_faults_t *faults)
{
    size_t                  max;
    ngx_int_t               rc;
    ngx_http_gray_rules_t  *rules;

    *doc = NULL;
    text->data = NULL;

    rc = ngx_http_gray_schema_judge(&env->schema, input, faults);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_OK && env->env) {
        rules = ngx_http_gray_compile(input, env->env, faults, env->log);

        if (rules) {
            ngx_http_gray_rules_destroy(rules);

        } else if (faults->n == 0) {
            return NGX_ERROR;
        }
    }

    if (faults->n) {
        return NGX_DECLINED;
    }

    *doc = ngx_http_gray_document_canonical(env, input);

    if (*doc == NULL
        || ngx_http_gray_document_allocate(*doc, input, current) != NGX_OK
        || ngx_http_gray_json_print(*doc, 0, text) != NGX_OK)
    {
        rc = NGX_ERROR;
        goto failed;
    }

    /* the kill switch works in a document that fills its place, too */

    max = env->max;

    if (!ngx_http_gray_json_true(ngx_http_gray_json_get(*doc, "enabled"))) {
        max += NGX_HTTP_GRAY_MORE_DISABLED;
    }

    if (text->len > max) {
        ngx_http_gray_json_fault(faults, NULL,
                                 "is %lu bytes long, the zone takes documents "
                                 "of at most %lu: document=SIZE of gray_zone",
                                 (unsigned long) text->len,
                                 (unsigned long) max);
        rc = NGX_BUSY;
        goto failed;
    }

    return NGX_OK;

failed:

    ngx_http_gray_json_free(*doc);
    free(text->data);

    *doc = NULL;
    text->data = NULL;

    return rc;
}


static ngx_http_gray_json_t *
ngx_http_gray_document_canonical(const ngx_http_gray_document_t *env,
    const ngx_http_gray_json_t *input)
{
    ngx_http_gray_json_t    *doc, *member, *copy;
    ngx_http_gray_member_t  *m;

    doc = ngx_http_gray_json_object();
    if (doc == NULL) {
        return NULL;
    }

    for (m = ngx_http_gray_document_members; m->name; m++) {

        if ((m->flags & NGX_HTTP_GRAY_READONLY)
            || ngx_strcmp(m->name, "allocation") == 0)
        {
            continue;
        }

        member = ngx_http_gray_json_get(input, m->name);

        if (ngx_strcmp(m->name, "rules") == 0) {
            copy = ngx_http_gray_document_array(member,
                                                ngx_http_gray_rule_members);

        } else if (member && ngx_strcmp(m->name, "variants") == 0) {
            copy = ngx_http_gray_document_map(member,
                                              ngx_http_gray_variant_members);

        } else if (member && ngx_strcmp(m->name, "cookie") == 0) {
            copy = ngx_http_gray_document_object(member,
                                                ngx_http_gray_cookie_members);

        } else if (member && ngx_strcmp(m->name, "rollout") == 0) {
            copy = ngx_http_gray_planning_fill(input, member);

        } else if (member) {
            copy = ngx_http_gray_json_copy(member);

        } else if (ngx_strcmp(m->name, "enabled") == 0) {
            copy = ngx_http_gray_json_boolean(1);

        } else if (ngx_strcmp(m->name, "salt") == 0) {
            copy = ngx_http_gray_json_string(env->schema.release.data,
                                             env->schema.release.len);

        } else {
            continue;
        }

        if (ngx_http_gray_json_set(doc, m->name, copy) != NGX_OK) {
            ngx_http_gray_json_free(doc);
            return NULL;
        }
    }

    return doc;
}


/* members in the order of the table, without "allocation" */

static ngx_http_gray_json_t *
ngx_http_gray_document_object(const ngx_http_gray_json_t *input,
    ngx_http_gray_member_t *members)
{
    ngx_http_gray_json_t    *object, *member, *copy;
    ngx_http_gray_member_t  *m;

    object = ngx_http_gray_json_object();
    if (object == NULL) {
        return NULL;
    }

    for (m = members; m->name; m++) {
        member = ngx_http_gray_json_get(input, m->name);

        if (member && (m->flags & NGX_HTTP_GRAY_UNORDERED)) {
            copy = ngx_http_gray_document_ordered(member);

        } else if (member && ngx_strcmp(m->name, "allocation") != 0) {
            copy = ngx_http_gray_json_copy(member);

        } else if (members == ngx_http_gray_cookie_members
                   && ngx_strcmp(m->name, "path") == 0)
        {
            copy = ngx_http_gray_json_string((u_char *) "/", 1);

        } else {
            continue;
        }

        if (ngx_http_gray_json_set(object, m->name, copy) != NGX_OK) {
            ngx_http_gray_json_free(object);
            return NULL;
        }
    }

    return object;
}


/*
 * A copy whose objects have their members by name, "all", "any" and "not"
 * last.  Conditions are evaluated in their order, and members of an object
 * have none that a client could be held to.
 */

static ngx_http_gray_json_t *
ngx_http_gray_document_ordered(const ngx_http_gray_json_t *node)
{
    ngx_int_t                     rc;
    ngx_uint_t                    i, n;
    ngx_http_gray_json_t         *copy, *child;
    const ngx_http_gray_json_t  **member;

    switch (ngx_http_gray_json_type(node)) {

    case NGX_HTTP_GRAY_JSON_OBJECT:
        copy = ngx_http_gray_json_object();
        break;

    case NGX_HTTP_GRAY_JSON_ARRAY:
        copy = ngx_http_gray_json_array();
        break;

    default:
        return ngx_http_gray_json_copy(node);
    }

    n = ngx_http_gray_json_count(node);
    member = malloc((n + 1) * sizeof(ngx_http_gray_json_t *));

    if (copy == NULL || member == NULL) {
        ngx_http_gray_json_free(copy);
        free(member);
        return NULL;
    }

    n = 0;

    for (child = ngx_http_gray_json_first(node);
         child;
         child = ngx_http_gray_json_next(child))
    {
        member[n++] = child;
    }

    if (ngx_http_gray_json_type(node) == NGX_HTTP_GRAY_JSON_OBJECT) {
        qsort(member, n, sizeof(ngx_http_gray_json_t *),
              ngx_http_gray_document_cmp_keys);
    }

    rc = NGX_OK;

    for (i = 0; rc == NGX_OK && i < n; i++) {
        child = ngx_http_gray_document_ordered(member[i]);

        rc = ngx_http_gray_json_key(member[i])
             ? ngx_http_gray_json_add(copy, ngx_http_gray_json_key(member[i]),
                                      child)
             : ngx_http_gray_json_append(copy, child);
    }

    free(member);

    if (rc != NGX_OK) {
        ngx_http_gray_json_free(copy);
        return NULL;
    }

    return copy;
}


static int ngx_libc_cdecl
ngx_http_gray_document_cmp_keys(const void *one, const void *two)
{
    const char                          *a, *b;
    ngx_uint_t                           last_a, last_b;
    const ngx_http_gray_json_t * const  *first = one;
    const ngx_http_gray_json_t * const  *second = two;

    a = ngx_http_gray_json_key(*first);
    b = ngx_http_gray_json_key(*second);

    last_a = ngx_http_gray_document_combines(a);
    last_b = ngx_http_gray_document_combines(b);

    return (last_a == last_b) ? ngx_strcmp(a, b) : (int) last_a - (int) last_b;
}


static ngx_uint_t
ngx_http_gray_document_combines(const char *key)
{
    return ngx_strcmp(key, "all") == 0
           || ngx_strcmp(key, "any") == 0
           || ngx_strcmp(key, "not") == 0;
}


static ngx_http_gray_json_t *
ngx_http_gray_document_map(const ngx_http_gray_json_t *input,
    ngx_http_gray_member_t *members)
{
    ngx_http_gray_json_t  *map, *member;

    map = ngx_http_gray_json_object();

    for (member = ngx_http_gray_json_first(input);
         map && member;
         member = ngx_http_gray_json_next(member))
    {
        if (ngx_http_gray_json_set(map, ngx_http_gray_json_key(member),
                               ngx_http_gray_document_object(member, members))
            != NGX_OK)
        {
            ngx_http_gray_json_free(map);
            return NULL;
        }
    }

    return map;
}


static ngx_http_gray_json_t *
ngx_http_gray_document_array(const ngx_http_gray_json_t *input,
    ngx_http_gray_member_t *members)
{
    ngx_http_gray_json_t  *array, *item;

    array = ngx_http_gray_json_array();

    for (item = ngx_http_gray_json_first(input);
         array && item;
         item = ngx_http_gray_json_next(item))
    {
        if (ngx_http_gray_json_append(array,
                                 ngx_http_gray_document_object(item, members))
            != NGX_OK)
        {
            ngx_http_gray_json_free(array);
            return NULL;
        }
    }

    return array;
}


static ngx_int_t
ngx_http_gray_document_allocate(ngx_http_gray_json_t *doc,
    const ngx_http_gray_json_t *input, const ngx_http_gray_json_t *current)
{
    ngx_int_t                        rc;
    ngx_uint_t                       n;
    ngx_http_gray_json_t            *rule, *given, *before;
    ngx_http_gray_document_named_t   name, *named, *found;

    if (ngx_http_gray_document_derive(doc, NULL,
                                  ngx_http_gray_json_get(input, "allocation"),
                                  current, NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    named = ngx_http_gray_document_sorted(current, &n);
    if (named == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_OK;

    rule = ngx_http_gray_json_first(ngx_http_gray_json_get(doc, "rules"));
    given = ngx_http_gray_json_first(ngx_http_gray_json_get(input, "rules"));

    for ( /* void */ ; rc == NGX_OK && rule;
          rule = ngx_http_gray_json_next(rule),
          given = ngx_http_gray_json_next(given))
    {
        if (ngx_http_gray_json_get(rule, "weights") == NULL) {
            continue;
        }

        /* a rule keeps its users by its name, wherever it stands */

        name.name = ngx_http_gray_json_text(ngx_http_gray_json_get(rule,
                                                                   "name"));

        found = bsearch(&name, named, n,
                        sizeof(ngx_http_gray_document_named_t),
                        ngx_http_gray_document_cmp);
        before = found ? found->rule : NULL;

        rc = ngx_http_gray_document_derive(doc, rule,
                                  ngx_http_gray_json_get(given, "allocation"),
                                  before ? current : NULL, before);
    }

    free(named);

    return rc;
}


/* the rules with weights, by their names; NULL where memory is short */

static ngx_http_gray_document_named_t *
ngx_http_gray_document_sorted(const ngx_http_gray_json_t *doc, ngx_uint_t *n)
{
    ngx_http_gray_json_t            *rules, *rule;
    ngx_http_gray_document_named_t  *named;

    rules = ngx_http_gray_json_get(doc, "rules");

    named = malloc((ngx_http_gray_json_count(rules) + 1)
                   * sizeof(ngx_http_gray_document_named_t));
    if (named == NULL) {
        return NULL;
    }

    *n = 0;

    for (rule = ngx_http_gray_json_first(rules);
         rule;
         rule = ngx_http_gray_json_next(rule))
    {
        if (ngx_http_gray_json_get(rule, "weights") == NULL) {
            continue;
        }

        named[*n].rule = rule;
        named[*n].name = ngx_http_gray_json_text(ngx_http_gray_json_get(rule,
                                                                   "name"));
        (*n)++;
    }

    qsort(named, *n, sizeof(ngx_http_gray_document_named_t),
          ngx_http_gray_document_cmp);

    return named;
}


static int ngx_libc_cdecl
ngx_http_gray_document_cmp(const void *one, const void *two)
{
    const ngx_http_gray_document_named_t *a = one;
    const ngx_http_gray_document_named_t *b = two;

    if (a->name.len != b->name.len) {
        return a->name.len < b->name.len ? -1 : 1;
    }

    return a->name.len ? ngx_memcmp(a->name.data, b->name.data, a->name.len)
                       : 0;
}


/*
 * Sets the allocation of "doc", or of its rule: the given one if it fits,
 * else the nearest to that of "current" (or of its rule "before").
 */

static ngx_int_t
ngx_http_gray_document_derive(ngx_http_gray_json_t *doc,
    ngx_http_gray_json_t *rule, const ngx_http_gray_json_t *given,
    const ngx_http_gray_json_t *current, const ngx_http_gray_json_t *before)
{
    ngx_int_t              rc;
    ngx_http_gray_arms_t   arms, old;
    ngx_http_gray_json_t  *owner;

    owner = rule ? rule : doc;

    if (given
        && ngx_http_gray_json_set(owner, "allocation",
                                  ngx_http_gray_json_copy(given))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_http_gray_arms_read(doc, rule, &arms);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED || given == NULL) {

        old.arm = NULL;
        old.n = 0;

        rc = current ? ngx_http_gray_arms_read(current, before, &old)
                     : NGX_DECLINED;

        if (rc == NGX_ERROR) {
            ngx_http_gray_arms_free(&arms);
            return NGX_ERROR;
        }

        ngx_http_gray_document_rest(&arms);

        rc = ngx_http_gray_allocation_move(old.arm,
                                           rc == NGX_OK ? old.n : 0,
                                           arms.arm, arms.n, arms.baseline);

        if (old.arm) {
            ngx_http_gray_arms_free(&old);
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_http_gray_json_set(owner, "allocation",
                                    ngx_http_gray_document_intervals(&arms));
    }

    ngx_http_gray_arms_free(&arms);

    return rc;
}


/* intervals are to be overwritten, and the baseline's size is what is left */

static void
ngx_http_gray_document_rest(ngx_http_gray_arms_t *arms)
{
    uint32_t    sum;
    ngx_uint_t  i;

    sum = 0;

    ngx_http_gray_allocation_free(arms->arm, arms->n);

    for (i = 0; i < arms->n; i++) {
        if (i != arms->baseline) {
            sum += arms->arm[i].size;
        }
    }

    arms->arm[arms->baseline].size = NGX_HTTP_GRAY_BUCKETS - sum;
}


static ngx_http_gray_json_t *
ngx_http_gray_document_intervals(ngx_http_gray_arms_t *arms)
{
    ngx_int_t                  rc;
    ngx_uint_t                 i, k;
    ngx_http_gray_arm_t       *arm;
    ngx_http_gray_json_t      *object, *list, *pair;
    ngx_http_gray_interval_t  *interval;

    object = ngx_http_gray_json_object();

    for (i = 0; object && i < arms->n; i++) {
        arm = &arms->arm[i];

        if (i == arms->baseline || arm->n == 0) {
            continue;
        }

        list = ngx_http_gray_json_array();
        rc = list ? NGX_OK : NGX_ERROR;

        for (k = 0; rc == NGX_OK && k < arm->n; k++) {
            interval = &arm->intervals[k];
            pair = ngx_http_gray_json_array();

            if (pair == NULL
                || ngx_http_gray_json_append(pair,
                                    ngx_http_gray_json_number(interval->start))
                   != NGX_OK
                || ngx_http_gray_json_append(pair,
                                      ngx_http_gray_json_number(interval->end))
                   != NGX_OK)
            {
                ngx_http_gray_json_free(pair);
                pair = NULL;
            }

            rc = ngx_http_gray_json_append(list, pair);
        }

        if (rc != NGX_OK) {
            ngx_http_gray_json_free(list);
            list = NULL;
        }

        if (ngx_http_gray_json_set(object, (char *) arm->name.data, list)
            != NGX_OK)
        {
            ngx_http_gray_json_free(object);
            return NULL;
        }
    }

    return object;
}


ngx_uint_t
ngx_http_gray_document_same(const ngx_http_gray_json_t *a,
    const ngx_http_gray_json_t *b)
{
    ngx_uint_t             same;
    ngx_http_gray_json_t  *one, *two;

    one = ngx_http_gray_document_bare(a);
    two = ngx_http_gray_document_bare(b);

    same = one && two && ngx_http_gray_json_equal(one, two);

    ngx_http_gray_json_free(one);
    ngx_http_gray_json_free(two);

    return same;
}


ngx_http_gray_json_t *
ngx_http_gray_document_bare(const ngx_http_gray_json_t *doc)
{
    ngx_http_gray_json_t  *copy, *rule;

    copy = ngx_http_gray_json_copy(doc);

    if (copy == NULL) {
        return NULL;
    }

    ngx_http_gray_json_free(ngx_http_gray_json_detach(copy, "allocation"));

    for (rule = ngx_http_gray_json_first(ngx_http_gray_json_get(copy,
                                                                "rules"));
         rule;
         rule = ngx_http_gray_json_next(rule))
    {
        ngx_http_gray_json_free(ngx_http_gray_json_detach(rule,
                                                          "allocation"));
    }

    return copy;
}


ngx_http_gray_json_t *
ngx_http_gray_document_present(const ngx_http_gray_json_t *doc,
    ngx_str_t *release, uint64_t revision, const char *origin,
    ngx_uint_t differs)
{
    ngx_int_t              rc;
    ngx_http_gray_json_t  *result, *member;

    result = ngx_http_gray_json_object();
    if (result == NULL) {
        return NULL;
    }

    rc = ngx_http_gray_json_set(result, "release",
                     ngx_http_gray_json_string(release->data, release->len));

    if (rc == NGX_OK) {
        rc = ngx_http_gray_json_set(result, "revision",
                                ngx_http_gray_json_number((double) revision));
    }

    for (member = ngx_http_gray_json_first(doc);
         rc == NGX_OK && member;
         member = ngx_http_gray_json_next(member))
    {
        rc = ngx_http_gray_json_set(result, ngx_http_gray_json_key(member),
                                    ngx_http_gray_json_copy(member));
    }

    if (rc == NGX_OK) {
        rc = ngx_http_gray_json_set(result, "origin",
                     ngx_http_gray_json_string((u_char *) origin,
                                               ngx_strlen(origin)));
    }

    if (rc == NGX_OK) {
        rc = ngx_http_gray_json_set(result, "declared_differs",
                                    ngx_http_gray_json_boolean(differs));
    }

    if (rc != NGX_OK) {
        ngx_http_gray_json_free(result);
        return NULL;
    }

    return result;
}
