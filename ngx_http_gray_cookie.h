
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_COOKIE_H_INCLUDED_
#define _NGX_HTTP_GRAY_COOKIE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_rules.h"


/* an id that was made for who had no key, in the request's pool */

typedef struct ngx_http_gray_minted_s  ngx_http_gray_minted_t;

struct ngx_http_gray_minted_s {
    ngx_str_t                   name;
    ngx_str_t                   id;          /* 32 hexadecimal digits */
    ngx_str_t                   header;      /* the value of Set-Cookie */
    ngx_uint_t                  sent;        /* unsigned  sent:1; */
    ngx_http_gray_minted_t     *next;
};


/* 128 random bits of the kernel's; NULL where it has none, or no memory */
ngx_http_gray_minted_t *ngx_http_gray_cookie_mint(ngx_http_request_t *r,
    ngx_http_gray_cookie_t *cookie);

/* adds Set-Cookie to the response, once; NGX_OK or NGX_ERROR (memory) */
ngx_int_t ngx_http_gray_cookie_send(ngx_http_request_t *r,
    ngx_http_gray_minted_t *minted);


#endif /* _NGX_HTTP_GRAY_COOKIE_H_INCLUDED_ */
