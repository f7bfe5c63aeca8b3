
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Judging: what all kinds of objects in a document have in common.
 *
 * An object is walked by a table of the members that it may have.  A fault
 * is noted with the place where it is, and judging goes on, so that one answer
 * names them all.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_arms.h"
#include "ngx_http_gray_judge.h"


static void ngx_http_gray_judge_unknown(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, ngx_http_gray_member_t *members);


static const char  *ngx_http_gray_type_names[] = {
    "null", "true or false", "a number", "a string", "an array", "an object"
};


void
ngx_http_gray_judge_object(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *object,
    ngx_http_gray_member_t *members)
{
    ngx_http_gray_json_t        *node;
    ngx_http_gray_path_t         path;
    ngx_http_gray_member_t      *member;
    const ngx_http_gray_json_t  *outer;

    path.parent = parent;

    outer = judge->object;
    judge->object = object;

    for (node = ngx_http_gray_json_first(object);
         node;
         node = ngx_http_gray_json_next(node))
    {
        path.key = ngx_http_gray_json_key(node);

        for (member = members; member->name; member++) {
            if (ngx_strcmp(member->name, path.key) == 0) {
                break;
            }
        }

        if (member->name == NULL) {
            ngx_http_gray_judge_unknown(judge, &path, members);
            continue;
        }

        if (!(member->flags & NGX_HTTP_GRAY_ANY)
            && ngx_http_gray_json_type(node) != member->type)
        {
            ngx_http_gray_json_fault(judge->faults, &path, "must be %s",
                                     ngx_http_gray_type_names[member->type]);
            continue;
        }

        if (member->judge) {
            member->judge(judge, &path, node);
        }
    }

    for (member = members; member->name; member++) {

        if ((member->flags & NGX_HTTP_GRAY_REQUIRED)
            && ngx_http_gray_json_get(object, member->name) == NULL)
        {
            path.key = member->name;
            ngx_http_gray_json_fault(judge->faults, &path, "is missing");
        }
    }

    judge->object = outer;
}


static void
ngx_http_gray_judge_unknown(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, ngx_http_gray_member_t *members)
{
    u_char  *p, *last, names[256];

    p = names;
    last = names + sizeof(names) - 1;

    for ( /* void */ ; members->name; members++) {
        if (!(members->flags & NGX_HTTP_GRAY_READONLY)) {
            p = ngx_slprintf(p, last, "%s%s", p == names ? "" : ", ",
                             members->name);
        }
    }

    *p = '\0';

    ngx_http_gray_json_fault(judge->faults, path,
                             "unknown member; there are %s", names);
}


/* a name must be that of a variant */

void
ngx_http_gray_judge_refer(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, ngx_str_t name)
{
    u_char                *p, *last, names[256];
    ngx_http_gray_json_t  *variants, *variant;

    variants = ngx_http_gray_json_get(judge->root, "variants");

    if (ngx_http_gray_json_get(variants, (char *) name.data)) {
        return;
    }

    if (judge->faults->n >= NGX_HTTP_GRAY_FAULTS) {
        judge->faults->n++;
        return;
    }

    p = names;
    last = names + sizeof(names) - 1;

    for (variant = ngx_http_gray_json_first(variants);
         variant && ngx_http_gray_json_key(variant);
         variant = ngx_http_gray_json_next(variant))
    {
        p = ngx_slprintf(p, last, "%s%s", p == names ? "" : ", ",
                         ngx_http_gray_json_key(variant));
    }

    *p = '\0';

    ngx_http_gray_json_fault(judge->faults, path,
                             "no variant \"%s\"; there are %s", name.data,
                             p == names ? (u_char *) "none" : names);
}


ngx_uint_t
ngx_http_gray_judge_named(const char *name)
{
    ngx_uint_t   n;
    const char  *p;

    for (p = name, n = 0; *p; p++, n++) {

        if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')) {
            continue;
        }

        if (n && ((*p >= '0' && *p <= '9') || ngx_strchr("_-.", *p))) {
            continue;
        }

        return 0;
    }

    return n > 0 && n <= NGX_HTTP_GRAY_NAMES_MAX;
}


void
ngx_http_gray_judge_text(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    ngx_str_t  text;

    text = ngx_http_gray_json_text(node);

    if (text.len == 0 || text.len > NGX_HTTP_GRAY_TEXT_MAX) {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "must be a string of 1 to %d bytes",
                                 NGX_HTTP_GRAY_TEXT_MAX);
    }
}


void
ngx_http_gray_judge_weight(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    double  percent;

    percent = ngx_http_gray_json_value(node);

    if (!(percent >= 0 && percent <= 100)) {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "%.15g is not within 0 to 100", percent);

    } else if (ngx_http_gray_arms_buckets(percent) == NGX_ERROR) {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "%.15g has more than 4 decimals", percent);
    }
}


void
ngx_http_gray_judge_sum(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, ngx_int_t sum)
{
    if (sum > NGX_HTTP_GRAY_BUCKETS) {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "the weights sum to %.15g, must be at most "
                                 "100",
                                 (double) sum / (NGX_HTTP_GRAY_BUCKETS / 100));
    }
}
