
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_DECLARE_H_INCLUDED_
#define _NGX_HTTP_GRAY_DECLARE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/* the context of directives inside of gray_release */

#define NGX_HTTP_GRAY_CONF  0x00200000


/* which directive a part of the document came from */

typedef struct {
    ngx_str_t                   pointer;
    ngx_str_t                   directive;
    u_char                     *file;
    ngx_uint_t                  line;
} ngx_http_gray_place_t;


/* a gray_release block while nginx.conf is read */

typedef struct {
    ngx_http_gray_release_t    *release;
    ngx_http_gray_json_t       *input;

    ngx_str_t                   baseline;
    ngx_str_t                   fallback;
    ngx_str_t                   salt;
    ngx_str_t                   document;

    ngx_array_t                 places;      /* ngx_http_gray_place_t */
} ngx_http_gray_declare_t;


/*
 * Setters of the directives inside of gray_release: each adds to the JSON
 * that the same validator judges as what comes by the admin API.
 */
char *ngx_http_gray_declare_zone_name(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_gray_declare_text(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_gray_declare_hash(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_gray_declare_cookie(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_gray_declare_variant(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_gray_declare_match(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* what is a number in JSON; NULL for what is none */
ngx_http_gray_json_t *ngx_http_gray_declare_number(u_char *data, size_t len);

/* notes where a part of the document comes from, which must be UTF-8 */
ngx_int_t ngx_http_gray_declare_place(ngx_conf_t *cf,
    ngx_http_gray_declare_t *block, ngx_str_t *pointer);


#endif /* _NGX_HTTP_GRAY_DECLARE_H_INCLUDED_ */
