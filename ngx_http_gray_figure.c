
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <math.h>

#include "ngx_http_gray_allocation.h"
#include "ngx_http_gray_figure.h"


/* ln E above which E is not told from any other that is enormous */

#define NGX_HTTP_GRAY_FIGURE_ENORMOUS  690.0

/* 2^53: numbers up to that are counts */

#define NGX_HTTP_GRAY_FIGURE_WHOLE     9007199254740992.0


static ngx_http_gray_json_t *ngx_http_gray_figure_count(uint64_t requests,
    uint64_t bad);


ngx_int_t
ngx_http_gray_figure_text(ngx_http_gray_json_t *json, const char *key,
    const char *text)
{
    return ngx_http_gray_json_add(json, key,
                                  *text == '\0'
                                  ? ngx_http_gray_json_null()
                                  : ngx_http_gray_json_string((u_char *) text,
                                                         ngx_strlen(text)));
}


ngx_int_t
ngx_http_gray_figure_number(ngx_http_gray_json_t *json, const char *key,
    double number)
{
    char  text[32];

    if (!(number >= 0)) {
        return ngx_http_gray_json_add(json, key, ngx_http_gray_json_null());
    }

    if (number != floor(number) || number > NGX_HTTP_GRAY_FIGURE_WHOLE) {
        (void) snprintf(text, sizeof(text), "%.6g", number);
        number = strtod(text, NULL);
    }

    return ngx_http_gray_json_add(json, key,
                                  ngx_http_gray_json_number(number));
}


ngx_int_t
ngx_http_gray_figure_flag(ngx_http_gray_json_t *json, const char *key,
    ngx_uint_t flag)
{
    return ngx_http_gray_json_add(json, key, ngx_http_gray_json_boolean(flag));
}


ngx_int_t
ngx_http_gray_figure_time(ngx_http_gray_json_t *json, const char *key,
    int64_t time)
{
    u_char    text[sizeof("1970-01-01T00:00:00Z")];
    ngx_tm_t  tm;

    if (time == 0) {
        return ngx_http_gray_json_add(json, key, ngx_http_gray_json_null());
    }

    ngx_gmtime((time_t) time, &tm);

    ngx_sprintf(text, "%4d-%02d-%02dT%02d:%02d:%02dZ%Z",
                tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec);

    return ngx_http_gray_figure_text(json, key, (char *) text);
}


ngx_http_gray_json_t *
ngx_http_gray_figure_counts(const ngx_http_gray_seen_t *seen)
{
    ngx_http_gray_json_t  *json;

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_json_add(json, "canary",
                               ngx_http_gray_figure_count(seen->canary,
                                                          seen->bad_canary))
        != NGX_OK
        || ngx_http_gray_json_add(json, "baseline",
                               ngx_http_gray_figure_count(seen->baseline,
                                                         seen->bad_baseline))
           != NGX_OK)
    {
        ngx_http_gray_json_free(json);
        return NULL;
    }

    return json;
}


static ngx_http_gray_json_t *
ngx_http_gray_figure_count(uint64_t requests, uint64_t bad)
{
    ngx_http_gray_json_t  *json;

    json = ngx_http_gray_json_object();

    if (ngx_http_gray_figure_number(json, "requests", (double) requests)
        != NGX_OK
        || ngx_http_gray_figure_number(json, "bad", (double) bad) != NGX_OK)
    {
        ngx_http_gray_json_free(json);
        return NULL;
    }

    return json;
}


double
ngx_http_gray_figure_exp(double evidence)
{
    return exp(ngx_min(evidence, NGX_HTTP_GRAY_FIGURE_ENORMOUS));
}


double
ngx_http_gray_figure_percent(uint32_t buckets)
{
    return (double) buckets * 100 / NGX_HTTP_GRAY_BUCKETS;
}
