
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_compile.h"
#include "ngx_http_gray_explain.h"
#include "ngx_http_gray_given.h"
#include "ngx_http_gray_lists.h"
#include "ngx_http_gray_live.h"
#include "ngx_http_gray_reply.h"


/* of what a rule saw, so much is shown */

#define NGX_HTTP_GRAY_EXPLAIN_TEXT    256    /* bytes */
#define NGX_HTTP_GRAY_EXPLAIN_VALUES  16


typedef struct {
    ngx_http_request_t         *request;
    ngx_http_gray_release_t    *release;

    ngx_http_gray_json_t       *input;
    ngx_http_gray_given_t       given;

    ngx_http_gray_snapshot_t    snapshot;
    ngx_http_gray_json_t       *doc;
    ngx_http_gray_rules_t      *rules;

    ngx_http_gray_outcome_t     outcome;
    ngx_uint_t                  minted;     /* unsigned  minted:1; */
    ngx_uint_t                  drawn;      /* unsigned  drawn:1; */
    ngx_uint_t                  open;       /* unsigned  open:1; */
} ngx_http_gray_explain_t;


static ngx_int_t ngx_http_gray_explain_compile(
    ngx_http_gray_explain_t *explain);
static ngx_http_gray_json_t *ngx_http_gray_explain_outcome(
    ngx_http_gray_explain_t *explain);
static ngx_int_t ngx_http_gray_explain_chosen(ngx_http_gray_json_t *json,
    ngx_http_gray_explain_t *explain);
static ngx_uint_t ngx_http_gray_explain_drawn(
    ngx_http_gray_explain_t *explain);
static const char *ngx_http_gray_explain_detail(
    ngx_http_gray_explain_t *explain);
static ngx_http_gray_json_t *ngx_http_gray_explain_rules(
    ngx_http_gray_explain_t *explain);
static ngx_int_t ngx_http_gray_explain_get(void *ctx,
    ngx_http_gray_attribute_t *attribute, ngx_http_gray_value_t *value);
static ngx_int_t ngx_http_gray_explain_mint(void *ctx,
    ngx_http_gray_cookie_t *cookie, ngx_str_t *key);
static uint32_t ngx_http_gray_explain_random(void *ctx);
static ngx_int_t ngx_http_gray_explain_attribute(void *data, ngx_pool_t *pool,
    ngx_http_gray_attribute_t *attribute, char *why);
static ngx_int_t ngx_http_gray_explain_upstream(void *data, ngx_str_t *name,
    void **peer, char *why);
static ngx_int_t ngx_http_gray_explain_list(void *data, ngx_str_t *name,
    ngx_uint_t networks, ngx_http_gray_list_t **list, char *why, size_t size);
static ngx_http_gray_json_t *ngx_http_gray_explain_rule(
    ngx_http_gray_explain_t *explain, ngx_uint_t i, ngx_uint_t *reached);
static ngx_http_gray_json_t *ngx_http_gray_explain_failed(
    ngx_http_gray_failed_t *failed, ngx_int_t holds);
static ngx_http_gray_json_t *ngx_http_gray_explain_seen(
    ngx_http_gray_failed_t *failed);
static ngx_http_gray_json_t *ngx_http_gray_explain_value(
    ngx_http_gray_value_t *value);
static ngx_int_t ngx_http_gray_explain_string(ngx_http_gray_json_t *json,
    const char *key, ngx_str_t *string);
static void ngx_http_gray_explain_cleanup(void *data);


static ngx_http_gray_rules_ops_t  ngx_http_gray_explain_ops = {
    ngx_http_gray_explain_get,
    ngx_http_gray_explain_mint,
    ngx_http_gray_explain_random
};


ngx_int_t
ngx_http_gray_explain(ngx_http_request_t *r, ngx_http_gray_release_t *release,
    ngx_str_t *body)
{
    ngx_pool_cleanup_t          *cln;
    ngx_http_gray_faults_t       faults;
    ngx_http_gray_explain_t     *explain;
    ngx_http_gray_json_error_t   err;
    ngx_http_gray_main_conf_t   *gmcf;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_gray_explain_t));
    if (cln == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    explain = cln->data;
    ngx_memzero(explain, sizeof(ngx_http_gray_explain_t));

    cln->handler = ngx_http_gray_explain_cleanup;

    explain->request = r;
    explain->release = release;
    explain->input = ngx_http_gray_json_parse(body->data, body->len, &err);

    if (explain->input == NULL) {
        return ngx_http_gray_reply_malformed(r, &err);
    }

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_gray_module);

    explain->given.pool = r->pool;
    explain->given.env.cmcf = ngx_http_get_module_main_conf(r,
                                                       ngx_http_core_module);
    explain->given.env.geo = gmcf->geo;

    faults.n = 0;

    ngx_http_gray_given_read(&explain->given, explain->input, &faults);

    if (faults.n) {
        return ngx_http_gray_reply_faults(r, 422, "Invalid attributes",
                                          &faults);
    }

    if (ngx_http_gray_explain_compile(explain) != NGX_OK) {
        return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                           "memory is short");
    }

    return ngx_http_gray_reply_json(r, ngx_http_gray_explain_outcome(explain));
}


/*
 * The rule set that serves reads attributes of requests only, so there is one
 * of its own, in which all names are known.  Where the baseline's upstream is
 * gone, it is the declared document that serves.
 */

static ngx_int_t
ngx_http_gray_explain_compile(ngx_http_gray_explain_t *explain)
{
    ngx_log_t                  *log;
    ngx_http_gray_json_t       *doc;
    ngx_http_gray_release_t    *release;
    ngx_http_gray_rules_env_t   env;

    release = explain->release;
    log = explain->request->connection->log;

    if (ngx_http_gray_live_read(release, &explain->snapshot, &explain->doc)
        != NGX_OK)
    {
        explain->snapshot.text.data = NULL;
        return NGX_ERROR;
    }

    if (!release->deciding) {
        (void) ngx_http_gray_live_rules(release, log);
    }

    doc = (release->health == NGX_HTTP_GRAY_BASELINE_GONE) ? release->declared
                                                           : explain->doc;

    env.data = explain;
    env.attribute = ngx_http_gray_explain_attribute;
    env.upstream = ngx_http_gray_explain_upstream;
    env.list = ngx_http_gray_explain_list;
    env.explain = 1;

    explain->rules = ngx_http_gray_compile(doc, &env, NULL, log);

    return explain->rules ? NGX_OK : NGX_ERROR;
}


static ngx_http_gray_json_t *
ngx_http_gray_explain_outcome(ngx_http_gray_explain_t *explain)
{
    const char               *detail;
    ngx_http_gray_json_t     *json, *rules;
    ngx_http_gray_outcome_t  *outcome;

    outcome = &explain->outcome;

    ngx_http_gray_rules_decide(explain->rules, &ngx_http_gray_explain_ops,
                               explain, outcome);

    rules = ngx_http_gray_explain_rules(explain);
    detail = ngx_http_gray_explain_detail(explain);

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_explain_string(json, "release", &explain->release->name)
        != NGX_OK
        || ngx_http_gray_reply_number(json, "revision",
                                      explain->snapshot.revision)
           != NGX_OK
        || ngx_http_gray_explain_chosen(json, explain) != NGX_OK
        || ngx_http_gray_json_set(json, "bucket",
                                  outcome->bucket < 0
                                  ? ngx_http_gray_json_null()
                                  : ngx_http_gray_json_number(outcome->bucket))
           != NGX_OK
        || (detail
            && ngx_http_gray_reply_text(json, "detail", detail) != NGX_OK))
    {
        ngx_http_gray_json_free(rules);
        ngx_http_gray_json_free(json);
        return NULL;
    }

    if (ngx_http_gray_json_set(json, "rules", rules) != NGX_OK) {
        ngx_http_gray_json_free(json);
        return NULL;
    }

    return json;
}


static ngx_int_t
ngx_http_gray_explain_chosen(ngx_http_gray_json_t *json,
    ngx_http_gray_explain_t *explain)
{
    ngx_str_t                *variant, *upstream, *reason, *rule;
    ngx_http_gray_outcome_t  *outcome;

    outcome = &explain->outcome;

    variant = &outcome->variant->name;
    upstream = &outcome->variant->upstream;
    reason = &ngx_http_gray_reasons[outcome->reason];
    rule = outcome->rule;

    /* a decision without a key is not the one that a new id would get */

    if (outcome->reason == NGX_HTTP_GRAY_NO_KEY && explain->minted) {
        reason = &ngx_http_gray_reasons[rule ? NGX_HTTP_GRAY_RULE_SPLIT
                                             : NGX_HTTP_GRAY_SPLIT];
    }

    if (ngx_http_gray_explain_drawn(explain)) {
        variant = NULL;
        upstream = NULL;
    }

    if (explain->open) {
        reason = NULL;
        rule = NULL;
    }

    if (ngx_http_gray_explain_string(json, "variant", variant) != NGX_OK
        || ngx_http_gray_explain_string(json, "upstream",
                                        upstream && upstream->len ? upstream
                                                                  : NULL)
           != NGX_OK
        || ngx_http_gray_explain_string(json, "reason", reason) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_gray_explain_string(json, "rule", rule);
}


/* does the variant depend on what is drawn: an id, or a number? */

static ngx_uint_t
ngx_http_gray_explain_drawn(ngx_http_gray_explain_t *explain)
{
    if (explain->open) {
        return 1;
    }

    switch (explain->outcome.reason) {

    case NGX_HTTP_GRAY_DISABLED:
    case NGX_HTTP_GRAY_RULE:
        return 0;

    default:
        return explain->outcome.bucket < 0
               && (explain->minted || explain->drawn);
    }
}


static const char *
ngx_http_gray_explain_detail(ngx_http_gray_explain_t *explain)
{
    if (explain->open) {
        return "none of the keys is given: a rule that looks at \"percent\" "
               "may hold for what would be drawn, and then it decides";
    }

    if (explain->minted && ngx_http_gray_explain_drawn(explain)) {
        return "none of the keys is given: the variant is that of the bucket "
               "of a new id, which would be drawn and sent in the cookie";
    }

    if (ngx_http_gray_explain_drawn(explain)) {
        return "there is no key: the variant would be drawn by chance, each "
               "time anew";
    }

    if (explain->release->health == NGX_HTTP_GRAY_BASELINE_GONE) {
        return "the baseline's upstream is gone from nginx.conf: what that "
               "declares serves, and is explained here";
    }

    if (explain->release->health == NGX_HTTP_GRAY_OUTDATED) {
        return "this worker is of the nginx.conf before a reload and goes on "
               "by an older revision; what is explained is the live one";
    }

    if (explain->release->health == NGX_HTTP_GRAY_MISSING) {
        return "the document names what nginx.conf does not have: a rule with "
               "an unknown variable never holds, an unknown upstream sends "
               "to the baseline";
    }

    return NULL;
}


static ngx_http_gray_json_t *
ngx_http_gray_explain_rules(ngx_http_gray_explain_t *explain)
{
    ngx_uint_t             i, reached;
    ngx_http_gray_json_t  *list;

    list = ngx_http_gray_json_array();

    reached = (explain->outcome.reason != NGX_HTTP_GRAY_DISABLED);

    for (i = 0;
         list && i < ngx_http_gray_rules_count(explain->rules);
         i++)
    {
        if (ngx_http_gray_json_append(list,
                                      ngx_http_gray_explain_rule(explain, i,
                                                                 &reached))
            != NGX_OK)
        {
            ngx_http_gray_json_free(list);
            list = NULL;
        }
    }

    return list;
}


/* "reached" is 1 up to the rule that decides */

static ngx_http_gray_json_t *
ngx_http_gray_explain_rule(ngx_http_gray_explain_t *explain, ngx_uint_t i,
    ngx_uint_t *reached)
{
    ngx_int_t                holds;
    ngx_str_t               *name;
    ngx_http_gray_json_t    *item;
    ngx_http_gray_failed_t   failed;

    holds = ngx_http_gray_rules_verdict(explain->rules, i,
                                        &ngx_http_gray_explain_ops, explain,
                                        &name, &failed);

    if (name == explain->outcome.rule) {
        *reached = 0;
    }

    if (*reached
        && holds == NGX_ERROR
        && failed.path
        && failed.state == NGX_ERROR
        && failed.attribute->type == NGX_HTTP_GRAY_PERCENT)
    {
        explain->open = 1;
    }

    item = ngx_http_gray_json_object();

    if (ngx_http_gray_explain_string(item, "rule", name) != NGX_OK
        || ngx_http_gray_json_set(item, "holds",
                                  holds == NGX_ERROR
                                  ? ngx_http_gray_json_null()
                                  : ngx_http_gray_json_boolean(holds))
           != NGX_OK
        || (holds != 1
            && ngx_http_gray_json_set(item, "failed",
                                      ngx_http_gray_explain_failed(&failed,
                                                                   holds))
               != NGX_OK))
    {
        ngx_http_gray_json_free(item);
        return NULL;
    }

    return item;
}


/* the condition that made a rule not hold */

static ngx_http_gray_json_t *
ngx_http_gray_explain_failed(ngx_http_gray_failed_t *failed, ngx_int_t holds)
{
    const char              *detail;
    ngx_http_gray_json_t    *json;
    ngx_http_gray_faults_t   place;

    json = ngx_http_gray_json_object();

    if (failed->path == NULL) {
        detail = "the rule names what is not known here";

    } else if (failed->state == NGX_ERROR) {
        detail = "the attribute cannot be told";

    } else if (holds == NGX_ERROR) {
        detail = "the test cannot be evaluated for this value";

    } else if (failed->op == NULL) {
        detail = "the test holds, below \"not\"";

    } else {
        detail = NULL;
    }

    place.n = 0;

    if (failed->path) {
        ngx_http_gray_json_fault(&place, failed->path, "%s", "");
    }

    if ((place.n
         && (ngx_http_gray_reply_text(json, "pointer", place.fault[0].pointer)
             != NGX_OK
             || ngx_http_gray_reply_string(json, "attribute",
                                           &failed->attribute->name)
                != NGX_OK
             || ngx_http_gray_json_set(json, "value",
                                       ngx_http_gray_explain_seen(failed))
                != NGX_OK))
        || (failed->path && failed->op
            && ngx_http_gray_reply_text(json, "operator", failed->op)
               != NGX_OK)
        || (detail
            && ngx_http_gray_reply_text(json, "detail", detail) != NGX_OK))
    {
        ngx_http_gray_json_free(json);
        return NULL;
    }

    return json;
}


/* null where there is none, an array where there are several */

static ngx_http_gray_json_t *
ngx_http_gray_explain_seen(ngx_http_gray_failed_t *failed)
{
    u_char                  text[sizeof("1970-01-01T00:00:00Z") + 16], *last;
    ngx_tm_t                tm;
    ngx_uint_t              n;
    ngx_http_gray_json_t   *list;
    ngx_http_gray_value_t  *value;

    value = failed->value;

    if (value == NULL) {
        return ngx_http_gray_json_null();
    }

    if (failed->attribute->type == NGX_HTTP_GRAY_TIME) {
        ngx_gmtime((time_t) value->number, &tm);

        last = ngx_snprintf(text, sizeof(text), "%4d-%02d-%02dT%02d:%02d:%02dZ",
                            tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                            tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec);

        return ngx_http_gray_json_string(text, last - text);
    }

    if (value->next == NULL) {
        return ngx_http_gray_explain_value(value);
    }

    list = ngx_http_gray_json_array();

    for (n = 0;
         list && value && n < NGX_HTTP_GRAY_EXPLAIN_VALUES;
         value = value->next, n++)
    {
        if (ngx_http_gray_json_append(list, ngx_http_gray_explain_value(value))
            != NGX_OK)
        {
            ngx_http_gray_json_free(list);
            list = NULL;
        }
    }

    return list;
}


static ngx_http_gray_json_t *
ngx_http_gray_explain_value(ngx_http_gray_value_t *value)
{
    return value->text.data
           ? ngx_http_gray_json_string(value->text.data,
                                       ngx_min(value->text.len,
                                               NGX_HTTP_GRAY_EXPLAIN_TEXT))
           : ngx_http_gray_json_number(value->number);
}


static ngx_int_t
ngx_http_gray_explain_get(void *ctx, ngx_http_gray_attribute_t *attribute,
    ngx_http_gray_value_t *value)
{
    ngx_http_gray_explain_t *explain = ctx;

    return ngx_http_gray_given_get(&explain->given, attribute, value);
}


static ngx_int_t
ngx_http_gray_explain_mint(void *ctx, ngx_http_gray_cookie_t *cookie,
    ngx_str_t *key)
{
    ngx_http_gray_explain_t *explain = ctx;

    explain->minted = 1;

    return NGX_ERROR;
}


static uint32_t
ngx_http_gray_explain_random(void *ctx)
{
    ngx_http_gray_explain_t *explain = ctx;

    explain->drawn = 1;

    return NGX_HTTP_GRAY_BUCKETS;
}


static ngx_int_t
ngx_http_gray_explain_attribute(void *data, ngx_pool_t *pool,
    ngx_http_gray_attribute_t *attribute, char *why)
{
    ngx_http_gray_explain_t *explain = data;

    return ngx_http_gray_given_attribute(&explain->given, pool, attribute,
                                         why);
}


static ngx_int_t
ngx_http_gray_explain_upstream(void *data, ngx_str_t *name, void **peer,
    char *why)
{
    *peer = NULL;

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_explain_list(void *data, ngx_str_t *name, ngx_uint_t networks,
    ngx_http_gray_list_t **list, char *why, size_t size)
{
    ngx_http_gray_explain_t *explain = data;

    *list = ngx_http_gray_lists_get(explain->release->zone, name);

    return NGX_OK;
}


/* null where it is NULL */

static ngx_int_t
ngx_http_gray_explain_string(ngx_http_gray_json_t *json, const char *key,
    ngx_str_t *string)
{
    return string ? ngx_http_gray_reply_string(json, key, string)
                  : ngx_http_gray_json_set(json, key,
                                           ngx_http_gray_json_null());
}


static void
ngx_http_gray_explain_cleanup(void *data)
{
    ngx_http_gray_explain_t *explain = data;

    if (explain->rules) {
        ngx_http_gray_rules_destroy(explain->rules);
    }

    ngx_http_gray_json_free(explain->doc);
    ngx_http_gray_json_free(explain->input);
    free(explain->snapshot.text.data);
}
