
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_LOCATION_H_INCLUDED_
#define _NGX_HTTP_GRAY_LOCATION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* a location's configuration: "gray_admin" or "gray_metrics" sets it */

typedef struct {
    ngx_http_handler_pt         handler;    /* NULL: it has neither */
    ngx_uint_t                  bodies;     /* unsigned  bodies:1; larger ones
                                               than nginx takes are answered
                                               by the handler, too */
    ngx_uint_t                  readonly;   /* unsigned  readonly:1; */
    ngx_uint_t                  remote;     /* unsigned  remote:1; */
    ngx_uint_t                  alias;      /* unsigned  alias:1; names of
                                               ingress-nginx, too */

    ngx_array_t                *names;      /* of the server, see access.h */
} ngx_http_gray_loc_conf_t;


/* a word behind a directive, and the member that it sets */

typedef struct {
    ngx_str_t                   name;
    ngx_uint_t                  offset;
} ngx_http_gray_location_word_t;


/*
 * Nothing is inherited by other locations, but "limit_except" and "if" inside
 * of a location of ours belong to it.
 */
void *ngx_http_gray_location_create_conf(ngx_conf_t *cf);
char *ngx_http_gray_location_merge_conf(ngx_conf_t *cf, void *parent,
    void *child);

/*
 * A directive that makes the location one of ours: the words are a table that
 * ends with an empty name.  NULL, or what nginx is to say.
 */
char *ngx_http_gray_location_set(ngx_conf_t *cf,
    ngx_http_gray_loc_conf_t *glcf, ngx_http_handler_pt handler,
    const ngx_http_gray_location_word_t *words);

/*
 * Is the client let in?  NGX_OK, or NGX_DONE: then 403 was sent, and "answer"
 * is what is to be passed on to ngx_http_finalize_request().
 */
ngx_int_t ngx_http_gray_location_enter(ngx_http_request_t *r,
    ngx_int_t *answer);


#endif /* _NGX_HTTP_GRAY_LOCATION_H_INCLUDED_ */
