
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Decisions.  The input is a document and, each behind a zero byte, values;
 * which one an attribute has is told by its name.  The decision must be what
 * the verdicts of the rules say, in whatever order they are asked for, and
 * the same when it is made again.
 */


#include "fuzz.h"


#define VALUES  8


typedef struct {
    ngx_str_t               text[VALUES];
    ngx_http_gray_value_t   more[VALUES];
    ngx_uint_t              n;
} request_t;


static ngx_int_t
get(void *ctx, ngx_http_gray_attribute_t *attribute,
    ngx_http_gray_value_t *value)
{
    request_t    *request;
    ngx_uint_t    i, first;
    ngx_str_t    *text;

    request = ctx;

    if (attribute->type == NGX_HTTP_GRAY_TIME) {
        value->number = 1709164800;
        value->numeric = NGX_HTTP_GRAY_IS;
        return NGX_OK;
    }

    if (request->n == 0) {
        return NGX_DECLINED;
    }

    first = ngx_hash_key(attribute->name.data, attribute->name.len)
            % request->n;
    text = &request->text[first];

    if (text->len == 1 && text->data[0] == '!') {
        return NGX_ERROR;
    }

    if (attribute->type == NGX_HTTP_GRAY_GEO
        && ngx_http_gray_value_decimal(text, &value->number) == NGX_OK)
    {
        value->numeric = NGX_HTTP_GRAY_IS;
        return NGX_OK;
    }

    value->text = *text;

    if (attribute->values == NGX_HTTP_GRAY_ANY) {

        for (i = first + 1; i < request->n; i++) {
            ngx_memzero(&request->more[i], sizeof(ngx_http_gray_value_t));
            request->more[i].text = request->text[i];
            value->next = &request->more[i];
            value = value->next;
        }
    }

    return NGX_OK;
}


static ngx_int_t
mint(void *ctx, ngx_http_gray_cookie_t *cookie, ngx_str_t *key)
{
    ngx_str_set(key, "0902614b3d61d3893f0ccc736e1233a6");

    return NGX_OK;
}


static uint32_t
chance(void *ctx)
{
    return NGX_HTTP_GRAY_BUCKETS - 1;
}


static const ngx_http_gray_rules_ops_t  ops = { get, mint, chance };


static void
decide(ngx_http_gray_rules_t *rules, request_t *request)
{
    ngx_int_t                 rc;
    ngx_str_t                *name, *held;
    ngx_uint_t                i, n;
    ngx_http_gray_failed_t    failed;
    ngx_http_gray_outcome_t   outcome, again;

    ngx_http_gray_rules_decide(rules, &ops, request, &outcome);

    must(outcome.variant);
    must(outcome.reason <= NGX_HTTP_GRAY_DEGRADED);
    must(outcome.bucket >= -1 && outcome.bucket < NGX_HTTP_GRAY_BUCKETS);

    held = NULL;
    n = ngx_http_gray_rules_count(rules);

    for (i = n; i-- > 0; /* void */ ) {
        rc = ngx_http_gray_rules_verdict(rules, i, &ops, request, &name,
                                         &failed);

        must(rc == 1 || rc == 0 || rc == NGX_ERROR);
        must(name && name->len);

        if (rc == 1) {
            held = name;
        }
    }

    if (outcome.reason == NGX_HTTP_GRAY_DISABLED) {
        must(!ngx_http_gray_rules_enabled(rules));
        must(outcome.rule == NULL);

    } else {
        must((outcome.rule == NULL) == (held == NULL));
        must(held == NULL
             || (held->len == outcome.rule->len
                 && ngx_memcmp(held->data, outcome.rule->data, held->len)
                    == 0));
    }

    ngx_http_gray_rules_decide(rules, &ops, request, &again);

    must(again.variant == outcome.variant);
    must(again.rule == outcome.rule);
    must(again.reason == outcome.reason);
    must(again.bucket == outcome.bucket);
}


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_init();

    return 0;
}


static ngx_http_gray_rules_t *
compile(const ngx_str_t *text, ngx_http_gray_json_t **doc)
{
    ngx_str_t                    canonical;
    ngx_http_gray_json_t        *input;
    ngx_http_gray_rules_t       *rules;
    ngx_http_gray_faults_t       faults;
    ngx_http_gray_rules_env_t    names;
    ngx_http_gray_json_error_t   err;

    *doc = NULL;
    input = ngx_http_gray_json_parse(text->data, text->len, &err);

    if (input == NULL) {
        return NULL;
    }

    if (fuzz_build(input, NULL, doc, &canonical, &faults) == NGX_OK) {
        free(canonical.data);
        ngx_http_gray_json_free(input);

    } else {
        *doc = NULL;
        ngx_http_gray_json_free(input);
        return NULL;
    }

    names = fuzz_names;
    names.explain = 1;

    rules = ngx_http_gray_compile(*doc, &names, NULL, &fuzz_log);

    must(rules);

    return rules;
}


int
LLVMFuzzerTestOneInput(const u_char *data, size_t size)
{
    ngx_str_t               text;
    request_t               request;
    ngx_http_gray_json_t   *doc;
    ngx_http_gray_rules_t  *rules;

    if (!fuzz_next(&data, &size, &text)) {
        return 0;
    }

    rules = compile(&text, &doc);
    free(text.data);

    if (rules) {
        request.n = 0;
        decide(rules, &request);

        while (request.n < VALUES
               && fuzz_next(&data, &size, &request.text[request.n]))
        {
            request.n++;
        }

        decide(rules, &request);

        while (request.n) {
            free(request.text[--request.n].data);
        }

        ngx_http_gray_rules_destroy(rules);
    }

    ngx_http_gray_json_free(doc);

    return 0;
}
