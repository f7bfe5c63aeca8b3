
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Arms: the parts of the traffic that the variants of a document have, from
 * its weights and its allocation in JSON.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_arms.h"


static ngx_int_t ngx_http_gray_arms_intervals(const ngx_http_gray_json_t *list,
    ngx_http_gray_arm_t *arm);


ngx_int_t
ngx_http_gray_arms_buckets(double percent)
{
    ngx_int_t  n;

    if (!(percent >= 0 && percent <= 100)) {
        return NGX_ERROR;
    }

    n = (ngx_int_t) (percent * (NGX_HTTP_GRAY_BUCKETS / 100) + 0.5);

    /* a quotient of whole numbers rounds as the text of its decimals does */

    if ((double) n / (NGX_HTTP_GRAY_BUCKETS / 100) != percent) {
        return NGX_ERROR;
    }

    return n;
}


ngx_int_t
ngx_http_gray_arms_read(const ngx_http_gray_json_t *doc,
    const ngx_http_gray_json_t *rule, ngx_http_gray_arms_t *arms)
{
    ngx_int_t              rc, n;
    ngx_str_t              baseline;
    ngx_http_gray_arm_t   *arm;
    ngx_http_gray_json_t  *variants, *variant, *weight, *weights, *allocation;

    variants = ngx_http_gray_json_get(doc, "variants");
    baseline = ngx_http_gray_json_text(ngx_http_gray_json_get(doc,
                                                              "baseline"));
    weights = ngx_http_gray_json_get(rule, "weights");
    allocation = ngx_http_gray_json_get(rule ? rule : doc, "allocation");

    arms->n = 0;
    arms->baseline = 0;
    arms->arm = calloc(ngx_http_gray_json_count(variants) + 1,
                       sizeof(ngx_http_gray_arm_t));

    if (arms->arm == NULL) {
        return NGX_ERROR;
    }

    for (variant = ngx_http_gray_json_first(variants);
         variant;
         variant = ngx_http_gray_json_next(variant))
    {
        arm = &arms->arm[arms->n];

        arm->name.data = (u_char *) ngx_http_gray_json_key(variant);
        arm->name.len = arm->name.data ? ngx_strlen(arm->name.data) : 0;

        if (baseline.len
            && arm->name.len == baseline.len
            && ngx_strncmp(arm->name.data, baseline.data, baseline.len) == 0)
        {
            arms->baseline = arms->n;

        } else {
            weight = rule ? ngx_http_gray_json_get(weights,
                                                   (char *) arm->name.data)
                          : ngx_http_gray_json_get(variant, "weight");

            n = weight ? ngx_http_gray_arms_buckets(
                                             ngx_http_gray_json_value(weight))
                       : 0;

            arm->size = (n == NGX_ERROR) ? 0 : n;

            if (ngx_http_gray_arms_intervals(ngx_http_gray_json_get(allocation,
                                                     (char *) arm->name.data),
                                        arm)
                != NGX_OK)
            {
                arms->n++;
                ngx_http_gray_arms_free(arms);
                return NGX_ERROR;
            }
        }

        arms->n++;
    }

    rc = arms->n ? ngx_http_gray_allocation_fits(arms->arm, arms->n,
                                                 arms->baseline)
                 : NGX_DECLINED;

    if (rc == NGX_OK) {
        rc = ngx_http_gray_allocation_rest(arms->arm, arms->n,
                                           arms->baseline);
    }

    if (rc == NGX_DECLINED) {
        ngx_http_gray_allocation_free(arms->arm, arms->n);
    }

    if (rc == NGX_ERROR) {
        ngx_http_gray_arms_free(arms);
    }

    return rc;
}


/* what is no list of pairs of numbers is no interval, and fits nothing */

static ngx_int_t
ngx_http_gray_arms_intervals(const ngx_http_gray_json_t *list,
    ngx_http_gray_arm_t *arm)
{
    double                     start, end;
    ngx_uint_t                 n;
    ngx_http_gray_json_t      *pair;
    ngx_http_gray_interval_t  *interval;

    n = ngx_http_gray_json_count(list);

    if (n == 0) {
        return NGX_OK;
    }

    arm->intervals = calloc(n, sizeof(ngx_http_gray_interval_t));
    if (arm->intervals == NULL) {
        return NGX_ERROR;
    }

    for (pair = ngx_http_gray_json_first(list);
         pair;
         pair = ngx_http_gray_json_next(pair))
    {
        if (ngx_http_gray_json_count(pair) != 2) {
            continue;
        }

        start = ngx_http_gray_json_value(ngx_http_gray_json_first(pair));
        end = ngx_http_gray_json_value(
                     ngx_http_gray_json_next(ngx_http_gray_json_first(pair)));

        if (!(start >= 0 && start < end && end <= NGX_HTTP_GRAY_BUCKETS)) {
            continue;
        }

        /* two that were taken one after the other are one */

        if (arm->n && arm->intervals[arm->n - 1].end == (uint32_t) start) {
            arm->intervals[arm->n - 1].end = (uint32_t) end;
            continue;
        }

        interval = &arm->intervals[arm->n++];
        interval->start = (uint32_t) start;
        interval->end = (uint32_t) end;
    }

    if (arm->n == 0) {
        free(arm->intervals);
        arm->intervals = NULL;
    }

    return NGX_OK;
}


void
ngx_http_gray_arms_free(ngx_http_gray_arms_t *arms)
{
    ngx_http_gray_allocation_free(arms->arm, arms->n);

    free(arms->arm);
    arms->arm = NULL;
}
