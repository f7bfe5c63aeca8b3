
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * What fuzz targets share: a process that looks like nginx's, names that are
 * all known, and a request whose values come from the input.
 */


#ifndef _FUZZ_H_INCLUDED_
#define _FUZZ_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <stdio.h>

#include "ngx_http_gray_json.h"
#include "ngx_http_gray_compile.h"
#include "ngx_http_gray_document.h"
#include "lists.h"


/* what must be so */

#define must(what)                                                           \
    if (!(what)) {                                                           \
        (void) fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);    \
        abort();                                                             \
    }


int LLVMFuzzerTestOneInput(const u_char *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);


static ngx_log_t        fuzz_log;
static ngx_open_file_t  fuzz_file;


static ngx_inline void
fuzz_init(void)
{
    ngx_pagesize = getpagesize();
    ngx_cacheline_size = 64;
    ngx_time_init();

    fuzz_file.fd = NGX_INVALID_FILE;
    fuzz_log.file = &fuzz_file;

    if (lists_n == 0) {
        lists_add("vip", (u_char *) "a\nab\nuser-1", 11);
        lists_add("office", (u_char *) "10.0.0.0/8\n2001:db8::/32", 24);
    }
}


/* a copy of the exact size, so that a read behind its end is seen */

static ngx_inline ngx_str_t
fuzz_copy(const u_char *data, size_t size)
{
    ngx_str_t  s;

    s.len = size;
    s.data = malloc(size ? size : 1);

    must(s.data);

    ngx_memcpy(s.data, data, size);

    return s;
}


/* what stands before the next zero byte, or the rest; 0 where nothing is */

static ngx_inline ngx_uint_t
fuzz_next(const u_char **data, size_t *size, ngx_str_t *part)
{
    const u_char  *end;

    if (*size == 0) {
        return 0;
    }

    end = memchr(*data, '\0', *size);
    *part = fuzz_copy(*data, end ? (size_t) (end - *data) : *size);

    *size -= end ? part->len + 1 : part->len;
    *data += end ? part->len + 1 : part->len;

    return 1;
}


static ngx_inline ngx_int_t
fuzz_attribute(void *data, ngx_pool_t *pool,
    ngx_http_gray_attribute_t *attribute, char *why)
{
    if (attribute->name.len == 8
        && ngx_memcmp(attribute->name.data, "$nowhere", 8) == 0)
    {
        (void) snprintf(why, NGX_HTTP_GRAY_WHY, "no such variable");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_inline ngx_int_t
fuzz_upstream(void *data, ngx_str_t *name, void **peer, char *why)
{
    if (name->len && name->data[0] == 'g') {
        (void) snprintf(why, NGX_HTTP_GRAY_WHY, "no such upstream");
        return NGX_DECLINED;
    }

    *peer = &fuzz_log;
    return NGX_OK;
}


static const ngx_http_gray_rules_env_t  fuzz_names = {
    NULL, fuzz_attribute, fuzz_upstream, lists_find, 0
};


/* a document as it is judged where a release is not yet declared */

static ngx_inline ngx_int_t
fuzz_build(const ngx_http_gray_json_t *input,
    const ngx_http_gray_json_t *current, ngx_http_gray_json_t **doc,
    ngx_str_t *text, ngx_http_gray_faults_t *faults)
{
    ngx_http_gray_document_t  env;

    ngx_memzero(&env, sizeof(ngx_http_gray_document_t));
    ngx_str_set(&env.schema.release, "app");
    env.schema.kind = NGX_HTTP_GRAY_EITHER;
    env.max = 65536;
    env.env = &fuzz_names;
    env.log = &fuzz_log;

    faults->n = 0;

    return ngx_http_gray_document_build(&env, input, current, doc, text,
                                        faults);
}


#endif /* _FUZZ_H_INCLUDED_ */
