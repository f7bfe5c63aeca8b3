
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_explain.h"
#include "ngx_http_gray_reply.h"


#define NGX_HTTP_GRAY_EXPLAIN_MAX  256    /* attributes */


typedef struct {
    ngx_str_t                   name;
    ngx_str_t                   value;
} ngx_http_gray_given_t;


typedef struct {
    ngx_http_request_t         *request;
    ngx_http_gray_release_t    *release;

    ngx_http_gray_json_t       *input;
    ngx_http_gray_given_t      *given;
    ngx_uint_t                  n;

    ngx_http_gray_snapshot_t    snapshot;
    ngx_http_gray_json_t       *doc;
    ngx_http_gray_rules_t      *rules;

    ngx_uint_t                  minted;     /* unsigned  minted:1; */
    ngx_uint_t                  drawn;      /* unsigned  drawn:1; */
} ngx_http_gray_explain_t;


static void ngx_http_gray_explain_given(ngx_http_gray_explain_t *explain,
    ngx_http_gray_faults_t *faults);
static ngx_int_t ngx_http_gray_explain_value(ngx_http_gray_explain_t *explain,
    const ngx_http_gray_path_t *path, ngx_http_gray_json_t *node,
    ngx_str_t *value, ngx_http_gray_faults_t *faults);
static ngx_int_t ngx_http_gray_explain_compile(
    ngx_http_gray_explain_t *explain);
static ngx_http_gray_json_t *ngx_http_gray_explain_outcome(
    ngx_http_gray_explain_t *explain);
static ngx_int_t ngx_http_gray_explain_chosen(ngx_http_gray_json_t *json,
    ngx_http_gray_explain_t *explain, ngx_http_gray_outcome_t *outcome);
static const char *ngx_http_gray_explain_detail(
    ngx_http_gray_explain_t *explain);
static ngx_http_gray_json_t *ngx_http_gray_explain_rules(
    ngx_http_gray_explain_t *explain);
static ngx_int_t ngx_http_gray_explain_get(void *ctx,
    ngx_http_gray_attribute_t *attribute, ngx_str_t *value);
static ngx_int_t ngx_http_gray_explain_mint(void *ctx,
    ngx_http_gray_cookie_t *cookie, ngx_str_t *key);
static uint32_t ngx_http_gray_explain_random(void *ctx);
static ngx_int_t ngx_http_gray_explain_known(void *data, ngx_str_t *name,
    void **handle, char *why);
static ngx_int_t ngx_http_gray_explain_string(ngx_http_gray_json_t *json,
    const char *key, ngx_str_t *string);
static void ngx_http_gray_explain_cleanup(void *data);


static ngx_http_gray_rules_ops_t  ngx_http_gray_explain_ops = {
    ngx_http_gray_explain_get,
    ngx_http_gray_explain_mint,
    ngx_http_gray_explain_random
};


static ngx_http_gray_rules_env_t  ngx_http_gray_explain_env = {
    NULL,
    ngx_http_gray_explain_known,
    ngx_http_gray_explain_known
};


ngx_int_t
ngx_http_gray_explain(ngx_http_request_t *r, ngx_http_gray_release_t *release,
    ngx_str_t *body)
{
    ngx_pool_cleanup_t          *cln;
    ngx_http_gray_faults_t       faults;
    ngx_http_gray_explain_t     *explain;
    ngx_http_gray_json_error_t   err;

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

    faults.n = 0;

    ngx_http_gray_explain_given(explain, &faults);

    if (faults.n) {
        return ngx_http_gray_reply_faults(r, 422, "Invalid attributes",
                                          &faults);
    }

    if (explain->given == NULL
        || ngx_http_gray_explain_compile(explain) != NGX_OK)
    {
        return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                           "memory is short");
    }

    return ngx_http_gray_reply_json(r, ngx_http_gray_explain_outcome(explain));
}


static void
ngx_http_gray_explain_given(ngx_http_gray_explain_t *explain,
    ngx_http_gray_faults_t *faults)
{
    ngx_str_t             *name;
    ngx_uint_t             i;
    ngx_http_gray_json_t  *node;
    ngx_http_gray_path_t   path;

    if (ngx_http_gray_json_type(explain->input) != NGX_HTTP_GRAY_JSON_OBJECT
        || ngx_http_gray_json_count(explain->input)
           > NGX_HTTP_GRAY_EXPLAIN_MAX)
    {
        ngx_http_gray_json_fault(faults, NULL,
                                 "must be an object of at most %d attributes, "
                                 "as {\"$remote_addr\": \"192.0.2.1\"}",
                                 NGX_HTTP_GRAY_EXPLAIN_MAX);
        return;
    }

    explain->given = ngx_pcalloc(explain->request->pool,
                                 (ngx_http_gray_json_count(explain->input) + 1)
                                 * sizeof(ngx_http_gray_given_t));
    if (explain->given == NULL) {
        return;
    }

    path.parent = NULL;

    for (node = ngx_http_gray_json_first(explain->input);
         node;
         node = ngx_http_gray_json_next(node))
    {
        path.key = ngx_http_gray_json_key(node);
        name = &explain->given[explain->n].name;

        name->data = (u_char *) path.key;
        name->len = ngx_strlen(path.key);

        if (name->len < 2 || name->data[0] != '$') {
            ngx_http_gray_json_fault(faults, &path,
                                     "must be a variable of nginx, as "
                                     "\"$remote_addr\"");
        }

        for (i = 0; i < explain->n; i++) {
            if (ngx_strcasecmp(explain->given[i].name.data, name->data) == 0) {
                ngx_http_gray_json_fault(faults, &path,
                                         "is given twice, case does not "
                                         "matter in variables");
                break;
            }
        }

        if (ngx_http_gray_explain_value(explain, &path, node,
                                        &explain->given[explain->n].value,
                                        faults)
            != NGX_OK)
        {
            explain->given = NULL;
            return;
        }

        explain->n++;
    }
}


static ngx_int_t
ngx_http_gray_explain_value(ngx_http_gray_explain_t *explain,
    const ngx_http_gray_path_t *path, ngx_http_gray_json_t *node,
    ngx_str_t *value, ngx_http_gray_faults_t *faults)
{
    ngx_str_t  text;

    switch (ngx_http_gray_json_type(node)) {

    case NGX_HTTP_GRAY_JSON_STRING:
        *value = ngx_http_gray_json_text(node);
        return NGX_OK;

    case NGX_HTTP_GRAY_JSON_NUMBER:
        if (ngx_http_gray_json_print(node, 0, &text) != NGX_OK) {
            return NGX_ERROR;
        }

        value->data = ngx_pstrdup(explain->request->pool, &text);
        value->len = text.len;

        free(text.data);

        return value->data ? NGX_OK : NGX_ERROR;

    default:
        ngx_http_gray_json_fault(faults, path, "must be a string or a number");
        return NGX_OK;
    }
}


/*
 * The rule set that serves reads attributes of requests only, so there is one
 * of its own, in which all names are known.  Where the baseline's upstream is
 * gone, it is the declared document that serves.
 */

static ngx_int_t
ngx_http_gray_explain_compile(ngx_http_gray_explain_t *explain)
{
    ngx_log_t                *log;
    ngx_http_gray_json_t     *doc;
    ngx_http_gray_release_t  *release;

    release = explain->release;
    log = explain->request->connection->log;

    if (ngx_http_gray_release_read(release, &explain->snapshot, &explain->doc)
        != NGX_OK)
    {
        explain->snapshot.text.data = NULL;
        return NGX_ERROR;
    }

    if (!release->deciding) {
        (void) ngx_http_gray_release_rules(release, log);
    }

    doc = (release->health == NGX_HTTP_GRAY_BASELINE_GONE) ? release->declared
                                                           : explain->doc;

    explain->rules = ngx_http_gray_rules_compile(doc,
                                                 &ngx_http_gray_explain_env,
                                                 NULL, log);

    return explain->rules ? NGX_OK : NGX_ERROR;
}


static ngx_http_gray_json_t *
ngx_http_gray_explain_outcome(ngx_http_gray_explain_t *explain)
{
    const char               *detail;
    ngx_http_gray_json_t     *json;
    ngx_http_gray_outcome_t   outcome;

    ngx_http_gray_rules_decide(explain->rules, &ngx_http_gray_explain_ops,
                               explain, &outcome);

    detail = ngx_http_gray_explain_detail(explain);

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_explain_string(json, "release", &explain->release->name)
        != NGX_OK
        || ngx_http_gray_reply_number(json, "revision",
                                      explain->snapshot.revision)
           != NGX_OK
        || ngx_http_gray_explain_chosen(json, explain, &outcome) != NGX_OK
        || ngx_http_gray_explain_string(json, "rule", outcome.rule) != NGX_OK
        || ngx_http_gray_json_set(json, "bucket",
                                  outcome.bucket < 0
                                  ? ngx_http_gray_json_null()
                                  : ngx_http_gray_json_number(outcome.bucket))
           != NGX_OK
        || (detail
            && ngx_http_gray_reply_text(json, "detail", detail) != NGX_OK)
        || ngx_http_gray_json_set(json, "rules",
                                  ngx_http_gray_explain_rules(explain))
           != NGX_OK)
    {
        ngx_http_gray_json_free(json);
        return NULL;
    }

    return json;
}


static ngx_int_t
ngx_http_gray_explain_chosen(ngx_http_gray_json_t *json,
    ngx_http_gray_explain_t *explain, ngx_http_gray_outcome_t *outcome)
{
    ngx_str_t               *variant, *upstream;
    ngx_http_gray_reason_e   reason;

    reason = outcome->reason;
    variant = &outcome->variant->name;
    upstream = &outcome->variant->upstream;

    /* a decision without a key is not the one that a new id would get */

    if (explain->minted) {
        reason = outcome->rule ? NGX_HTTP_GRAY_RULE_SPLIT
                               : NGX_HTTP_GRAY_SPLIT;
    }

    if (explain->minted || explain->drawn) {
        variant = NULL;
        upstream = NULL;
    }

    if (ngx_http_gray_explain_string(json, "variant", variant) != NGX_OK
        || ngx_http_gray_explain_string(json, "upstream",
                                        upstream && upstream->len ? upstream
                                                                  : NULL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_gray_explain_string(json, "reason",
                                        &ngx_http_gray_reasons[reason]);
}


static const char *
ngx_http_gray_explain_detail(ngx_http_gray_explain_t *explain)
{
    if (explain->minted) {
        return "none of the keys is given: the variant is that of the bucket "
               "of a new id, which would be drawn and sent in the cookie";
    }

    if (explain->drawn) {
        return "there is no key: the variant would be drawn by chance, each "
               "time anew";
    }

    if (explain->release->health == NGX_HTTP_GRAY_BASELINE_GONE) {
        return "the baseline's upstream is gone from nginx.conf: what that "
               "declares serves, and is explained here";
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
    ngx_int_t              holds;
    ngx_str_t             *name;
    ngx_uint_t             i;
    ngx_http_gray_json_t  *list, *item;

    list = ngx_http_gray_json_array();

    for (i = 0;
         list && i < ngx_http_gray_rules_count(explain->rules);
         i++)
    {
        holds = ngx_http_gray_rules_verdict(explain->rules, i,
                                            &ngx_http_gray_explain_ops,
                                            explain, &name);

        item = ngx_http_gray_json_object();

        if (ngx_http_gray_explain_string(item, "rule", name) != NGX_OK
            || ngx_http_gray_json_set(item, "holds",
                                      holds == NGX_ERROR
                                      ? ngx_http_gray_json_null()
                                      : ngx_http_gray_json_boolean(holds))
               != NGX_OK
            || (holds == NGX_ERROR
                && ngx_http_gray_reply_text(item, "detail",
                                            "a test cannot be evaluated")
                   != NGX_OK))
        {
            ngx_http_gray_json_free(item);
            item = NULL;
        }

        if (ngx_http_gray_json_append(list, item) != NGX_OK) {
            ngx_http_gray_json_free(list);
            list = NULL;
        }
    }

    return list;
}


static ngx_int_t
ngx_http_gray_explain_get(void *ctx, ngx_http_gray_attribute_t *attribute,
    ngx_str_t *value)
{
    ngx_http_gray_explain_t *explain = ctx;

    ngx_uint_t              i;
    ngx_http_gray_given_t  *given;

    for (i = 0; i < explain->n; i++) {
        given = &explain->given[i];

        if (given->name.len == attribute->name.len
            && ngx_strncasecmp(given->name.data, attribute->name.data,
                               given->name.len) == 0)
        {
            *value = given->value;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_gray_explain_mint(void *ctx, ngx_http_gray_cookie_t *cookie,
    ngx_str_t *key)
{
    ngx_http_gray_explain_t *explain = ctx;

    explain->minted = 1;

    return NGX_DECLINED;
}


static uint32_t
ngx_http_gray_explain_random(void *ctx)
{
    ngx_http_gray_explain_t *explain = ctx;

    explain->drawn = 1;

    return 0;
}


static ngx_int_t
ngx_http_gray_explain_known(void *data, ngx_str_t *name, void **handle,
    char *why)
{
    *handle = NULL;

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
