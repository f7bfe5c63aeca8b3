
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_DOCUMENT_H_INCLUDED_
#define _NGX_HTTP_GRAY_DOCUMENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_json.h"
#include "ngx_http_gray_rules.h"
#include "ngx_http_gray_schema.h"


typedef struct {
    ngx_http_gray_schema_t           schema;
    size_t                           max;        /* bytes of canonical text */
    const ngx_http_gray_rules_env_t *env;        /* NULL: names are not known
                                                    yet, tests not judged */
    ngx_log_t                       *log;
} ngx_http_gray_document_t;


/*
 * Judges "input", a whole document as GET serves it or as directives build
 * it, and makes its canonical form: defaults filled in, members in order, no
 * read-only ones, and the allocation that moves nobody who need not, given
 * the canonical document in force ("current", or NULL).  An allocation in
 * "input" is taken if it fits the weights.
 *
 * NGX_OK with "*doc" and "text" (of at most "max" bytes) to be freed by
 * ngx_http_gray_json_free() and free(); NGX_DECLINED with faults; NGX_BUSY
 * with a fault where it is too large; NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_document_build(const ngx_http_gray_document_t *env,
    const ngx_http_gray_json_t *input, const ngx_http_gray_json_t *current,
    ngx_http_gray_json_t **doc, ngx_str_t *text,
    ngx_http_gray_faults_t *faults);

/* do two canonical documents say the same, whatever their allocations? */
ngx_uint_t ngx_http_gray_document_same(const ngx_http_gray_json_t *a,
    const ngx_http_gray_json_t *b);

/* a copy without its allocations, to be judged afresh; NULL (memory) */
ngx_http_gray_json_t *ngx_http_gray_document_bare(
    const ngx_http_gray_json_t *doc);

/* as GET serves it, from a canonical document; NULL (memory) */
ngx_http_gray_json_t *ngx_http_gray_document_present(
    const ngx_http_gray_json_t *doc, ngx_str_t *release, uint64_t revision,
    const char *origin, ngx_uint_t differs);


#endif /* _NGX_HTTP_GRAY_DOCUMENT_H_INCLUDED_ */
