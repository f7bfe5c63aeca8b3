
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * What is counted, for Prometheus.
 *
 * A scrape is made in one go: the counters are added up, once for each
 * variant, and then the table of families is walked, as the lines of one must
 * stand together.  Nothing is locked, and what a slow client holds is the text
 * alone.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_accept.h"
#include "ngx_http_gray_families.h"
#include "ngx_http_gray_location.h"
#include "ngx_http_gray_metrics.h"
#include "ngx_http_gray_reply.h"


static ngx_uint_t ngx_http_gray_metrics_negotiate(ngx_http_request_t *r);
static ngx_int_t ngx_http_gray_metrics_labels(ngx_http_gray_gather_t *gather);
static u_char *ngx_http_gray_metrics_label(ngx_http_gray_gather_t *gather,
    ngx_str_t *labels, const char *name, ngx_str_t *value, size_t more);
static ngx_int_t ngx_http_gray_metrics_variant(ngx_http_gray_gather_t *gather,
    ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant);


ngx_int_t
ngx_http_gray_metrics_handler(ngx_http_request_t *r)
{
    ngx_int_t                  answer;
    ngx_http_gray_loc_conf_t  *glcf;

    if (ngx_http_gray_location_enter(r, &answer) != NGX_OK) {
        return answer;
    }

    if (!(r->method & NGX_HTTP_GRAY_READS)) {
        return ngx_http_gray_reply_allow(r, NGX_HTTP_GRAY_READS);
    }

    glcf = ngx_http_get_module_loc_conf(r, ngx_http_gray_module);

    return ngx_http_gray_metrics(r, glcf->alias);
}


ngx_int_t
ngx_http_gray_metrics(ngx_http_request_t *r, ngx_uint_t alias)
{
    ngx_uint_t                   left, openmetrics;
    ngx_chain_t                 *out;
    ngx_http_gray_gather_t       *gather;
    ngx_http_gray_main_conf_t   *gmcf;
    ngx_http_gray_exposition_t   exposition;

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_gray_module);
    openmetrics = ngx_http_gray_metrics_negotiate(r);

    out = NULL;
    left = 0;
    gather = ngx_http_gray_gather_create(gmcf, NULL, r->connection->log);

    if (gather) {

        if (ngx_http_gray_metrics_labels(gather) == NGX_OK) {
            ngx_http_gray_exposition_init(&exposition, r->pool, openmetrics);
            ngx_http_gray_families_write(&exposition, gather, alias);
            out = ngx_http_gray_exposition_finish(&exposition);
            left = ngx_http_gray_gather_left(gather);
        }

        ngx_http_gray_gather_destroy(gather);
    }

    if (left) {
        return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "nginx was reloaded and this connection is "
                                "one to an old worker, connect again");
    }

    if (out == NULL
        || ngx_http_gray_reply_header(r, "Vary", "Accept") != NGX_OK)
    {
        return ngx_http_gray_reply_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                           "memory is short");
    }

    return ngx_http_gray_reply_chain(r,
                                  &ngx_http_gray_exposition_types[openmetrics],
                                  out, exposition.len);
}


/* is it to be OpenMetrics? */

static ngx_uint_t
ngx_http_gray_metrics_negotiate(ngx_http_request_t *r)
{
    ngx_uint_t               i;
    ngx_list_part_t         *part;
    ngx_table_elt_t         *h;
    ngx_http_gray_accept_t   accept;

    ngx_memzero(&accept, sizeof(ngx_http_gray_accept_t));

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len == sizeof("Accept") - 1
                && ngx_strncasecmp(h[i].key.data, (u_char *) "Accept",
                                   sizeof("Accept") - 1)
                   == 0)
            {
                ngx_http_gray_accept_header(&accept, &h[i].value);
            }
        }
    }

    return ngx_http_gray_accept_openmetrics(&accept);
}


/* those of a variant begin with its release's */

static ngx_int_t
ngx_http_gray_metrics_labels(ngx_http_gray_gather_t *gather)
{
    ngx_uint_t                      i;
    ngx_http_gray_gather_release_t  *release;
    ngx_http_gray_gather_variant_t  *variant;

    for (i = 0; i < gather->n; i++) {
        release = &gather->releases[i];

        if (ngx_http_gray_metrics_label(gather, &release->labels, "release",
                                        &release->release->name, 0)
            == NULL)
        {
            return NGX_ERROR;
        }

        for (variant = release->variants; variant; variant = variant->next) {

            if (ngx_http_gray_metrics_variant(gather, release, variant)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


/* the first label, and room for more: where these go, or NULL */

static u_char *
ngx_http_gray_metrics_label(ngx_http_gray_gather_t *gather, ngx_str_t *labels,
    const char *name, ngx_str_t *value, size_t more)
{
    u_char  *p;

    p = ngx_pnalloc(gather->pool,
                    ngx_http_gray_exposition_label_size(name, value) + more);
    if (p == NULL) {
        return NULL;
    }

    labels->data = p;
    p = ngx_http_gray_exposition_label(p, 1, name, value);
    labels->len = p - labels->data;

    return p;
}


/*
 * A request for another variant than the baseline is one for a "canary", as
 * ingress-nginx has it.  Who is the baseline may change: without the variant's
 * name a series would go on with what was counted for another one.
 */

static ngx_int_t
ngx_http_gray_metrics_variant(ngx_http_gray_gather_t *gather,
    ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant)
{
    u_char     *p;
    size_t      size;
    ngx_str_t   canary, *name;

    name = &release->release->name;
    size = ngx_http_gray_exposition_label_size("variant", &variant->name);

    p = ngx_http_gray_metrics_label(gather, &variant->labels, "release", name,
                                    size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = ngx_http_gray_exposition_label(p, 0, "variant", &variant->name);
    variant->labels.len = p - variant->labels.data;

    canary = variant->name;

    if (variant->baseline) {
        canary.len = 0;
    }

    size = ngx_http_gray_exposition_label_size("service", &variant->name)
           + ngx_http_gray_exposition_label_size("canary", &canary);

    p = ngx_http_gray_metrics_label(gather, &variant->alias, "ingress", name,
                                    size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = ngx_http_gray_exposition_label(p, 0, "service", &variant->name);
    p = ngx_http_gray_exposition_label(p, 0, "canary", &canary);
    variant->alias.len = p - variant->alias.data;

    return NGX_OK;
}
