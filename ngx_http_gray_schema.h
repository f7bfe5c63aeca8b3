
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_SCHEMA_H_INCLUDED_
#define _NGX_HTTP_GRAY_SCHEMA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_json.h"
#include "ngx_http_gray_judge.h"


#define NGX_HTTP_GRAY_VARIANTS_MAX  32
#define NGX_HTTP_GRAY_RULES_MAX     10000


extern ngx_http_gray_member_t  ngx_http_gray_document_members[];
extern ngx_http_gray_member_t  ngx_http_gray_cookie_members[];
extern ngx_http_gray_member_t  ngx_http_gray_variant_members[];
extern ngx_http_gray_member_t  ngx_http_gray_rule_members[];


/*
 * Adds a fault for everything in "input" that no document may have, but for
 * what only a compilation can tell: operators, variables, upstreams.  NGX_OK,
 * or NGX_DECLINED where there is so much in it that it was not judged further,
 * and should not be compiled, or NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_schema_judge(const ngx_http_gray_schema_t *schema,
    const ngx_http_gray_json_t *input, ngx_http_gray_faults_t *faults);

/*
 * Is "name" a name of a release: [a-z][a-z0-9_]*, at most 63 characters, none
 * that the variables need?  NULL, or what it must be.
 */
const char *ngx_http_gray_schema_reserved(ngx_str_t *name);


#endif /* _NGX_HTTP_GRAY_SCHEMA_H_INCLUDED_ */
