
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_TERMS_H_INCLUDED_
#define _NGX_HTTP_GRAY_TERMS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_judge.h"


/* what a member is where it is left out, as JSON; the last row has no name */

typedef struct {
    const char                      *name;
    const char                      *text;
} ngx_http_gray_terms_default_t;


/* these judge a member by its name: its limits, or the words that it may be */
void ngx_http_gray_terms_time(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);
void ngx_http_gray_terms_number(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);
void ngx_http_gray_terms_word(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);

/* a number at "path" that is one of those of the member "name" */
void ngx_http_gray_terms_within(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const char *name, double value);

/* 1, and a fault, where it has too few or too many items to be looked at */
ngx_uint_t ngx_http_gray_terms_many(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node,
    const char *what, ngx_uint_t min, ngx_uint_t max);

/* judges what must be an object: 1 where it is one, whatever faults it has */
ngx_uint_t ngx_http_gray_terms_object(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node,
    ngx_http_gray_member_t *members);

/*
 * A copy with members in the order of the table, and with defaults ("defaults"
 * may be NULL); and an array of such copies.  NULL (memory).
 */
ngx_http_gray_json_t *ngx_http_gray_terms_made(
    const ngx_http_gray_json_t *input, ngx_http_gray_member_t *members,
    const ngx_http_gray_terms_default_t *defaults);
ngx_http_gray_json_t *ngx_http_gray_terms_array(
    const ngx_http_gray_json_t *input, ngx_http_gray_member_t *members,
    const ngx_http_gray_terms_default_t *defaults);


#endif /* _NGX_HTTP_GRAY_TERMS_H_INCLUDED_ */
