
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_SCHEMA_H_INCLUDED_
#define _NGX_HTTP_GRAY_SCHEMA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_json.h"


#define NGX_HTTP_GRAY_NAMES_MAX     63
#define NGX_HTTP_GRAY_VARIANTS_MAX  32
#define NGX_HTTP_GRAY_RULES_MAX     10000

#define NGX_HTTP_GRAY_REQUIRED      1
#define NGX_HTTP_GRAY_READONLY      2


/* do the variants of the release have upstreams? */

typedef enum {
    NGX_HTTP_GRAY_SWITCH = 0,       /* none has */
    NGX_HTTP_GRAY_ROUTED,           /* each has */
    NGX_HTTP_GRAY_EITHER            /* all or none: not yet declared */
} ngx_http_gray_kind_e;


typedef struct {
    ngx_str_t                        release;
    ngx_http_gray_kind_e             kind;
} ngx_http_gray_schema_t;


typedef struct {
    const ngx_http_gray_schema_t    *schema;
    const ngx_http_gray_json_t      *root;
    const ngx_http_gray_json_t      *object;     /* the member's container */
    ngx_http_gray_faults_t          *faults;
    ngx_uint_t                       failed;     /* memory was short */
} ngx_http_gray_judge_t;


typedef void (*ngx_http_gray_judge_pt)(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);


/* a row of a table of members, which ends with a NULL "name" */

typedef struct {
    const char                      *name;
    ngx_http_gray_json_type_e        type;
    ngx_uint_t                       flags;
    ngx_http_gray_judge_pt           judge;
} ngx_http_gray_member_t;


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
