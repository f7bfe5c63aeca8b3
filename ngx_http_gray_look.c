
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <stdio.h>

#include "ngx_http_gray_arms.h"
#include "ngx_http_gray_look.h"


static size_t ngx_http_gray_look_name(const ngx_http_gray_json_t *rule,
    ngx_uint_t i, const char *comma, char *p, size_t size);


void
ngx_http_gray_look(const ngx_http_gray_json_t *doc, const char *variant,
    ngx_http_gray_world_t *world, char *testers, size_t size)
{
    size_t                 n, len;
    ngx_str_t              baseline, name;
    ngx_int_t              weight;
    ngx_uint_t             i, more;
    ngx_http_gray_json_t  *member, *rule;

    ngx_memzero(world, sizeof(ngx_http_gray_world_t));

    baseline = ngx_http_gray_json_text(ngx_http_gray_json_get(doc,
                                                              "baseline"));

    world->enabled = ngx_http_gray_json_true(ngx_http_gray_json_get(doc,
                                                                  "enabled"));
    world->promoted = (ngx_strcmp(baseline.data, variant) == 0);
    world->rest = NGX_HTTP_GRAY_BUCKETS;
    world->testers = testers ? testers : "";

    for (member = ngx_http_gray_json_first(ngx_http_gray_json_get(doc,
                                                                "variants"));
         member;
         member = ngx_http_gray_json_next(member))
    {
        weight = ngx_http_gray_arms_buckets(ngx_http_gray_json_value(
                                    ngx_http_gray_json_get(member, "weight")));

        if (weight == NGX_ERROR) {
            continue;
        }

        world->rest -= weight;

        if (ngx_strcmp(ngx_http_gray_json_key(member), variant) == 0) {
            world->weight = weight;
        }
    }

    n = 0;
    i = 0;
    more = 0;

    if (size) {
        testers[0] = '\0';
    }

    for (rule = ngx_http_gray_json_first(ngx_http_gray_json_get(doc, "rules"));
         rule;
         rule = ngx_http_gray_json_next(rule), i++)
    {
        name = ngx_http_gray_json_text(ngx_http_gray_json_get(rule,
                                                              "variant"));

        if (ngx_http_gray_json_value(
                ngx_http_gray_json_get(ngx_http_gray_json_get(rule, "weights"),
                                       variant))
            > 0)
        {
            world->spread = 1;
        }

        if (size && name.len && ngx_strcmp(name.data, variant) == 0) {
            len = more ? 0 : ngx_http_gray_look_name(rule, i, n ? ", " : "",
                                                     &testers[n], size - n);
            n += len;
            more += !len;
        }
    }

    if (more && size - n >= NGX_INT_T_LEN + sizeof(" and  more")) {
        (void) snprintf(&testers[n], size - n, "%s%lu more", n ? " and " : "",
                        (unsigned long) more);
    }
}


/* its name, or position; 0 where it does not fit, with what is said then */

static size_t
ngx_http_gray_look_name(const ngx_http_gray_json_t *rule, ngx_uint_t i,
    const char *comma, char *p, size_t size)
{
    u_char     *last;
    ngx_str_t   name;

    name = ngx_http_gray_json_text(ngx_http_gray_json_get(rule, "name"));

    if (size < name.len + 2 * NGX_INT_T_LEN + sizeof(",  and  more")) {
        return 0;
    }

    last = name.len ? ngx_sprintf((u_char *) p, "%s%V", comma, &name)
                    : ngx_sprintf((u_char *) p, "%s%ui", comma, i);
    *last = '\0';

    return last - (u_char *) p;
}
