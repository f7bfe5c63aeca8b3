
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_attempts.h"
#include "ngx_http_gray_request.h"
#include "ngx_http_gray_variables.h"


static ngx_http_gray_decision_t *ngx_http_gray_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void ngx_http_gray_variable_text(ngx_http_variable_value_t *v,
    ngx_str_t *text);
static ngx_int_t ngx_http_gray_variable_number(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uint64_t number);
static ngx_int_t ngx_http_gray_variable_variant(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_gray_variable_upstream(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_gray_variable_reason(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_gray_variable_rule(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_gray_variable_bucket(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_gray_variable_revision(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_http_gray_decision_t *ngx_http_gray_variable_counted(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_gray_variable_outcome(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_gray_variable_failures(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_gray_variable_ttfb(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_gray_variable_decisions(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_variable_t  ngx_http_gray_vars[] = {

    { ngx_string(""), NULL, ngx_http_gray_variable_variant, 0, 0, 0 },

    { ngx_string("_upstream"), NULL, ngx_http_gray_variable_upstream,
      0, 0, 0 },

    { ngx_string("_reason"), NULL, ngx_http_gray_variable_reason, 0, 0, 0 },

    { ngx_string("_rule"), NULL, ngx_http_gray_variable_rule, 0, 0, 0 },

    { ngx_string("_bucket"), NULL, ngx_http_gray_variable_bucket, 0, 0, 0 },

    { ngx_string("_revision"), NULL, ngx_http_gray_variable_revision,
      0, 0, 0 },

    { ngx_string("_outcome"), NULL, ngx_http_gray_variable_outcome,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("_failures"), NULL, ngx_http_gray_variable_failures,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("_ttfb"), NULL, ngx_http_gray_variable_ttfb,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 }
};


static ngx_str_t  ngx_http_gray_decisions = ngx_string("gray_decisions");


/* the decision whose release is the variable's data; NULL: not found */

static ngx_http_gray_decision_t *
ngx_http_gray_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_http_gray_decision_t  *decision;

    decision = ngx_http_gray_request_decide(r,
                                            (ngx_http_gray_release_t *) data);
    if (decision == NULL) {
        v->no_cacheable = 1;
        v->not_found = 1;
        return NULL;
    }

    decision->used = 1;

    v->valid = 1;
    v->no_cacheable = decision->inner;
    v->not_found = 0;

    return decision;
}


static void
ngx_http_gray_variable_text(ngx_http_variable_value_t *v, ngx_str_t *text)
{
    if (text->len == 0) {
        v->valid = 0;
        v->not_found = 1;
        return;
    }

    v->len = text->len;
    v->data = text->data;
}


static ngx_int_t
ngx_http_gray_variable_number(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uint64_t number)
{
    v->data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    v->len = ngx_sprintf(v->data, "%uL", number) - v->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_variable_variant(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_gray_decision_t  *decision;

    decision = ngx_http_gray_variable(r, v, data);

    if (decision) {
        ngx_http_gray_variable_text(v, &decision->variant);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_variable_upstream(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_gray_decision_t  *decision;

    decision = ngx_http_gray_variable(r, v, data);

    if (decision) {
        ngx_http_gray_variable_text(v, &decision->upstream);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_variable_reason(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_gray_decision_t  *decision;

    decision = ngx_http_gray_variable(r, v, data);

    if (decision) {
        ngx_http_gray_variable_text(v,
                                    &ngx_http_gray_reasons[decision->reason]);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_variable_rule(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_gray_decision_t  *decision;

    decision = ngx_http_gray_variable(r, v, data);

    if (decision) {
        ngx_http_gray_variable_text(v, &decision->rule);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_variable_bucket(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_gray_decision_t  *decision;

    decision = ngx_http_gray_variable(r, v, data);

    if (decision == NULL) {
        return NGX_OK;
    }

    if (decision->bucket < 0) {
        v->valid = 0;
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_gray_variable_number(r, v, decision->bucket);
}


static ngx_int_t
ngx_http_gray_variable_revision(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_gray_decision_t  *decision;

    decision = ngx_http_gray_variable(r, v, data);

    if (decision == NULL) {
        return NGX_OK;
    }

    return ngx_http_gray_variable_number(r, v, decision->revision);
}


/*
 * Where it was counted, what for; NULL and not found, as it is before the log
 * phase.  To ask makes no decision, and does not use one.
 */

static ngx_http_gray_decision_t *
ngx_http_gray_variable_counted(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_gray_decision_t  *decision;

    decision = ngx_http_gray_request_decided(r,
                                             (ngx_http_gray_release_t *) data);

    v->no_cacheable = 1;

    if (decision == NULL || !decision->counted) {
        v->not_found = 1;
        return NULL;
    }

    v->valid = 1;
    v->not_found = 0;

    return decision;
}


static ngx_int_t
ngx_http_gray_variable_outcome(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_uint_t                 outcome;
    ngx_http_gray_decision_t  *decision;

    decision = ngx_http_gray_variable_counted(r, v, data);

    if (decision) {
        outcome = decision->outcome;

        ngx_http_gray_variable_text(v,
            outcome < NGX_HTTP_GRAY_CODES
            ? &ngx_http_gray_codes[outcome]
            : &ngx_http_gray_absences[outcome - NGX_HTTP_GRAY_CODES]);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_variable_failures(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                    *p;
    size_t                     len;
    ngx_str_t                  text;
    ngx_uint_t                 i, failures[NGX_HTTP_GRAY_KINDS];
    ngx_http_gray_decision_t  *decision;

    decision = ngx_http_gray_variable_counted(r, v, data);

    if (decision == NULL) {
        return NGX_OK;
    }

    ngx_http_gray_attempts_failures(decision, failures);

    len = 0;

    for (i = 0; i < NGX_HTTP_GRAY_KINDS; i++) {
        if (failures[i]) {
            len += ngx_http_gray_failures[i].len + 1;
        }
    }

    ngx_str_null(&text);

    if (len) {
        p = ngx_pnalloc(r->pool, len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        text.data = p;

        for (i = 0; i < NGX_HTTP_GRAY_KINDS; i++) {
            if (failures[i]) {
                p = ngx_sprintf(p, "%s%V", p == text.data ? "" : ",",
                                &ngx_http_gray_failures[i]);
            }
        }

        text.len = p - text.data;
    }

    ngx_http_gray_variable_text(v, &text);

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_variable_ttfb(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_gray_decision_t  *decision;

    decision = ngx_http_gray_variable_counted(r, v, data);

    if (decision == NULL) {
        return NGX_OK;
    }

    if (decision->header == (ngx_msec_t) -1) {
        v->valid = 0;
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = ngx_pnalloc(r->pool, NGX_TIME_T_LEN + 4);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    v->len = ngx_sprintf(v->data, "%T.%03M", (time_t) decision->header / 1000,
                         decision->header % 1000)
             - v->data;

    return NGX_OK;
}


/* decides every release, but uses none of the decisions */

static ngx_int_t
ngx_http_gray_variable_decisions(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                      *p;
    size_t                       len;
    ngx_uint_t                   i, n;
    ngx_http_gray_release_t    **release;
    ngx_http_gray_decision_t   **decision;
    ngx_http_gray_main_conf_t   *gmcf;

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_gray_module);

    release = gmcf->releases.elts;
    n = gmcf->releases.nelts;

    decision = ngx_palloc(r->pool,
                          (n + 1) * sizeof(ngx_http_gray_decision_t *));
    if (decision == NULL) {
        return NGX_ERROR;
    }

    len = 0;
    v->no_cacheable = 0;

    for (i = 0; i < n; i++) {
        decision[i] = ngx_http_gray_request_decide(r, release[i]);

        if (decision[i]) {
            len += release[i]->name.len + 1 + decision[i]->variant.len + 1;
            v->no_cacheable |= decision[i]->inner;

        } else {
            v->no_cacheable = 1;
        }
    }

    if (len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;

    for (i = 0; i < n; i++) {
        if (decision[i]) {
            p = ngx_sprintf(p, "%V=%V,", &release[i]->name,
                            &decision[i]->variant);
        }
    }

    v->len = p - v->data - 1;
    v->valid = 1;
    v->not_found = 0;

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_variables_init(ngx_conf_t *cf)
{
    ngx_http_variable_t  *v;

    v = ngx_http_add_variable(cf, &ngx_http_gray_decisions, 0);
    if (v == NULL) {
        return NGX_ERROR;
    }

    v->get_handler = ngx_http_gray_variable_decisions;

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_variables_add(ngx_conf_t *cf, ngx_http_gray_release_t *release)
{
    ngx_str_t             name;
    ngx_uint_t            i;
    ngx_http_variable_t  *v, *var;

    for (i = 0; i < sizeof(ngx_http_gray_vars) / sizeof(ngx_http_variable_t);
         i++)
    {
        var = &ngx_http_gray_vars[i];

        name.len = sizeof("gray_") - 1 + release->name.len + var->name.len;
        name.data = ngx_pnalloc(cf->pool, name.len);
        if (name.data == NULL) {
            return NGX_ERROR;
        }

        ngx_sprintf(name.data, "gray_%V%V", &release->name, &var->name);

        v = ngx_http_add_variable(cf, &name, 0);
        if (v == NULL) {
            return NGX_ERROR;
        }

        /* a "set" or "map" that stands before the release */

        if (v->get_handler) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "the variable \"$%V\" is that of gray_release "
                               "\"%V\", it cannot be given another value",
                               &name, &release->name);
            return NGX_ERROR;
        }

        v->get_handler = var->get_handler;
        v->flags |= var->flags;
        v->data = (uintptr_t) release;
    }

    return NGX_OK;
}
