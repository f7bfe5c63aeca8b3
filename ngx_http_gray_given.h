
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_GIVEN_H_INCLUDED_
#define _NGX_HTTP_GRAY_GIVEN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_attribute.h"
#include "ngx_http_gray_json.h"


/* attributes that a person gives, in place of a request that has them */

typedef struct {
    ngx_pool_t                     *pool;
    const ngx_http_gray_json_t     *input;
    ngx_http_gray_attribute_env_t   env;
    int64_t                         time;        /* seconds of the epoch */
} ngx_http_gray_given_t;


/*
 * Takes {"$remote_addr": "192.0.2.1", ...}: a string, a number, true or false,
 * or, for several values of one name, an array of them.  "input" must outlive
 * what is made of it.  Adds faults for what is no attribute.
 */
void ngx_http_gray_given_read(ngx_http_gray_given_t *given,
    const ngx_http_gray_json_t *input, ngx_http_gray_faults_t *faults);

/* as those of ngx_http_gray_condition.h */
ngx_int_t ngx_http_gray_given_attribute(ngx_http_gray_given_t *given,
    ngx_pool_t *pool, ngx_http_gray_attribute_t *attribute, char *why);
ngx_int_t ngx_http_gray_given_get(ngx_http_gray_given_t *given,
    ngx_http_gray_attribute_t *attribute, ngx_http_gray_value_t *value);


#endif /* _NGX_HTTP_GRAY_GIVEN_H_INCLUDED_ */
