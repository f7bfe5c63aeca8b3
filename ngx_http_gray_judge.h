
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_JUDGE_H_INCLUDED_
#define _NGX_HTTP_GRAY_JUDGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_json.h"


#define NGX_HTTP_GRAY_NAMES_MAX     63
#define NGX_HTTP_GRAY_TEXT_MAX      255

#define NGX_HTTP_GRAY_REQUIRED      1
#define NGX_HTTP_GRAY_READONLY      2
#define NGX_HTTP_GRAY_UNORDERED     4       /* canonical by name */
#define NGX_HTTP_GRAY_ANY           8       /* its judge looks at the type */


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


/*
 * Adds a fault for each member of "object", whose place is "parent", that is
 * in no row of "members" or of another type, for each required one that is
 * missing, and for what the rows' own judges find.
 */
void ngx_http_gray_judge_object(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *object,
    ngx_http_gray_member_t *members);

/* a fault at "path", unless "name" is that of a variant of the document */
void ngx_http_gray_judge_refer(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, ngx_str_t name);

/* is it a name of a variant or of a rule: [A-Za-z][A-Za-z0-9_.-]{0,62}? */
ngx_uint_t ngx_http_gray_judge_named(const char *name);

/* a string of 1 to NGX_HTTP_GRAY_TEXT_MAX bytes */
void ngx_http_gray_judge_text(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);

/* a number of percent that is a whole number of buckets */
void ngx_http_gray_judge_weight(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);

/* "sum" is in buckets, and at most all of them */
void ngx_http_gray_judge_sum(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, ngx_int_t sum);


#endif /* _NGX_HTTP_GRAY_JUDGE_H_INCLUDED_ */
