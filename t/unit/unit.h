
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * What unit tests of documents and rules share: numbers from a fixed seed,
 * documents from texts, and an environment that knows some names.
 */


#ifndef _UNIT_H_INCLUDED_
#define _UNIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "ngx_http_gray_json.h"
#include "ngx_http_gray_compile.h"


#define ITEMS(a)  (sizeof(a) / sizeof((a)[0]))


/*
 * Every variable "$..." is known but for "$nowhere", every upstream but for
 * "gone"; a handle is the number of the variable's or upstream's first letter.
 */

#define NO_VARIABLE  "no variable \"$nowhere\""
#define NO_UPSTREAM  "no upstream \"gone\"; there are app_v1, app_v2"


/* splitmix64: Steele, Lea, Flood, https://doi.org/10.1145/2714064.2660195 */

static ngx_inline uint64_t
draw(uint64_t *seed)
{
    uint64_t  z;

    *seed += 0x9e3779b97f4a7c15ULL;

    z = *seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;

    return z ^ (z >> 31);
}


static ngx_inline ngx_http_gray_json_t *
parse(const char *text)
{
    ngx_http_gray_json_t        *tree;
    ngx_http_gray_json_error_t   err;

    tree = ngx_http_gray_json_parse((const u_char *) text, strlen(text), &err);

    if (tree == NULL) {
        fail_msg("%s: %lu:%lu: %s", text, (unsigned long) err.line,
                 (unsigned long) err.column, err.detail);
    }

    return tree;
}


static ngx_inline ngx_str_t
string(const char *text)
{
    ngx_str_t  s;

    s.data = (u_char *) text;
    s.len = strlen(text);

    return s;
}


static ngx_inline ngx_int_t
known_attribute(void *data, ngx_pool_t *pool,
    ngx_http_gray_attribute_t *attribute, char *why)
{
    ngx_str_t  *name;

    (void) data;
    (void) pool;

    name = &attribute->name;

    if (name->len < 2
        || (name->len == 8 && memcmp(name->data, "$nowhere", 8) == 0))
    {
        (void) snprintf(why, NGX_HTTP_GRAY_WHY, "no variable \"%.*s\"",
                        (int) name->len, (char *) name->data);
        return NGX_DECLINED;
    }

    attribute->source = (void *) (uintptr_t) name->data[1];

    return NGX_OK;
}


static ngx_inline ngx_int_t
known_upstream(void *data, ngx_str_t *name, void **peer, char *why)
{
    (void) data;

    if (name->len == 4 && memcmp(name->data, "gone", 4) == 0) {
        (void) snprintf(why, NGX_HTTP_GRAY_WHY, NO_UPSTREAM);
        return NGX_DECLINED;
    }

    *peer = (void *) (uintptr_t) name->data[0];

    return NGX_OK;
}


static const ngx_http_gray_rules_env_t  known = {
    NULL, known_attribute, known_upstream, NULL, 0
};


/* "POINTER DETAIL" lines of all the faults that were kept */

static ngx_inline void
assert_faults(const char *input, ngx_http_gray_faults_t *faults,
    const char *expected)
{
    char        *p, lines[NGX_HTTP_GRAY_FAULTS
                          * (sizeof(ngx_http_gray_fault_t) + 2)];
    ngx_uint_t   i;

    p = lines;
    *p = '\0';

    for (i = 0; i < ngx_min(faults->n, NGX_HTTP_GRAY_FAULTS); i++) {
        p += sprintf(p, "%s%s %s", i ? "\n" : "", faults->fault[i].pointer,
                     faults->fault[i].detail);
    }

    if (strcmp(lines, expected) != 0) {
        fail_msg("%s\nexpected:\n%s\nfound:\n%s", input, expected, lines);
    }
}


#endif /* _UNIT_H_INCLUDED_ */
