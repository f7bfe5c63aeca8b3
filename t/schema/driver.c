
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * What the module says of documents, without a process of nginx.  Reads
 * documents, one a line, and answers each with a line of JSON: the faults,
 * [POINTER, DETAIL] each, with null as the pointer of what is no JSON that is
 * taken.
 *
 * Names are known if they are well-formed, but for the variable "$nowhere",
 * the upstream "gone" and the list "nowhere".
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <stdio.h>

#include "ngx_http_gray_json.h"
#include "ngx_http_gray_geo.h"
#include "ngx_http_gray_rules.h"
#include "ngx_http_gray_schema.h"
#include "ngx_http_gray_document.h"


#define SIZE  1048576               /* of a document */


static ngx_uint_t
known_name(ngx_str_t *name, const char *unknown)
{
    return name->len != strlen(unknown)
           || ngx_memcmp(name->data, unknown, name->len) != 0;
}


/* as nginx.conf has them: of cookies, the name may be anything */

static ngx_int_t
known_variable(ngx_str_t *name, char *why)
{
    u_char      ch;
    ngx_uint_t  i;

    for (i = 1; i < name->len; i++) {
        ch = ngx_tolower(name->data[i]);

        if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9')
              || ch == '_'))
        {
            break;
        }
    }

    if (i < 2
        || (i < name->len
            && (i < 8 || ngx_strncasecmp(name->data, (u_char *) "$cookie_", 8)
                         != 0)))
    {
        (void) snprintf(why, NGX_HTTP_GRAY_WHY, "is no variable");
        return NGX_DECLINED;
    }

    if (known_name(name, "$nowhere")) {
        return NGX_OK;
    }

    (void) snprintf(why, NGX_HTTP_GRAY_WHY, "unknown variable \"$nowhere\"");

    return NGX_DECLINED;
}


static ngx_int_t
known_attribute(void *data, ngx_pool_t *pool,
    ngx_http_gray_attribute_t *attribute, char *why)
{
    ngx_str_t  path;

    if (attribute->of.len && known_variable(&attribute->of, why) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (attribute->type == NGX_HTTP_GRAY_VARIABLE) {
        return known_variable(&attribute->name, why);
    }

    if (attribute->type == NGX_HTTP_GRAY_GEO) {
        path.data = attribute->name.data + sizeof("geo.") - 1;
        path.len = attribute->name.len - (sizeof("geo.") - 1);

        if (ngx_http_gray_geo_path(pool, &path, why, NGX_HTTP_GRAY_WHY)
            == NULL)
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
known_upstream(void *data, ngx_str_t *name, void **peer, char *why)
{
    *peer = data;

    if (known_name(name, "gone")) {
        return NGX_OK;
    }

    (void) snprintf(why, NGX_HTTP_GRAY_WHY, "no upstream \"gone\"");

    return NGX_DECLINED;
}


static ngx_int_t
known_list(void *data, ngx_str_t *name, ngx_uint_t networks,
    ngx_http_gray_list_t **list, char *why, size_t size)
{
    u_char      ch;
    ngx_uint_t  i;

    static ngx_http_gray_list_t  some;

    *list = &some;

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if (!((ch >= 'a' && ch <= 'z')
              || (i && ((ch >= '0' && ch <= '9') || ch == '_'))))
        {
            break;
        }
    }

    if (i < name->len || i > NGX_HTTP_GRAY_NAMES_MAX) {
        (void) snprintf(why, size, "no list can have that name");
        return NGX_DECLINED;
    }

    if (known_name(name, "nowhere")) {
        return NGX_OK;
    }

    (void) snprintf(why, size, "no list \"nowhere\"");

    return NGX_DECLINED;
}


/* "text" may be NULL */

static void
add(ngx_http_gray_json_t *pair, const char *text)
{
    ngx_http_gray_json_t        *node;
    ngx_http_gray_json_error_t   err;

    static const u_char  null[] = "null";

    node = text ? ngx_http_gray_json_string((u_char *) text, strlen(text))
                : ngx_http_gray_json_parse(null, sizeof(null) - 1, &err);

    if (ngx_http_gray_json_append(pair, node) != NGX_OK) {
        abort();
    }
}


static void
tell(ngx_http_gray_json_t *faults, const char *pointer, const char *detail)
{
    ngx_http_gray_json_t  *pair;

    pair = ngx_http_gray_json_array();

    add(pair, pointer);
    add(pair, detail);

    if (ngx_http_gray_json_append(faults, pair) != NGX_OK) {
        abort();
    }
}


static void
judge(const char *text, size_t len, ngx_http_gray_json_t *told,
    ngx_log_t *log)
{
    ngx_int_t                    rc;
    ngx_str_t                    canonical;
    ngx_uint_t                   i;
    ngx_http_gray_json_t        *input, *doc;
    ngx_http_gray_faults_t       faults;
    ngx_http_gray_document_t     env;
    ngx_http_gray_rules_env_t    names;
    ngx_http_gray_json_error_t   err;

    input = ngx_http_gray_json_parse((u_char *) text, len, &err);

    if (input == NULL) {
        tell(told, NULL, err.detail);
        return;
    }

    ngx_memzero(&names, sizeof(ngx_http_gray_rules_env_t));
    names.attribute = known_attribute;
    names.upstream = known_upstream;
    names.list = known_list;

    ngx_memzero(&env, sizeof(ngx_http_gray_document_t));
    ngx_str_set(&env.schema.release, "checkout");
    env.schema.kind = NGX_HTTP_GRAY_EITHER;
    env.max = SIZE;
    env.env = &names;
    env.log = log;

    faults.n = 0;

    rc = ngx_http_gray_document_build(&env, input, NULL, &doc, &canonical,
                                      &faults);

    if (rc == NGX_OK) {
        ngx_http_gray_json_free(doc);
        free(canonical.data);

    } else if (faults.n == 0) {
        abort();
    }

    for (i = 0; i < ngx_min(faults.n, NGX_HTTP_GRAY_FAULTS); i++) {
        tell(told, faults.fault[i].pointer, faults.fault[i].detail);
    }

    ngx_http_gray_json_free(input);
}


int
main(void)
{
    char                  *line;
    size_t                 size;
    ssize_t                len;
    ngx_log_t              log;
    ngx_str_t              answer;
    ngx_http_gray_json_t  *told;

    ngx_memzero(&log, sizeof(ngx_log_t));
    ngx_pagesize = getpagesize();

    line = NULL;
    size = 0;

    while ((len = getline(&line, &size, stdin)) > 0) {

        told = ngx_http_gray_json_array();

        judge(line, len - (line[len - 1] == '\n'), told, &log);

        if (ngx_http_gray_json_print(told, 0, &answer) != NGX_OK) {
            abort();
        }

        (void) printf("%s\n", (char *) answer.data);
        (void) fflush(stdout);

        free(answer.data);
        ngx_http_gray_json_free(told);
    }

    free(line);

    return 0;
}
