
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sys/random.h>

#include "ngx_http_gray_cookie.h"


#define NGX_HTTP_GRAY_ID  16


ngx_http_gray_minted_t *
ngx_http_gray_cookie_mint(ngx_http_request_t *r,
    ngx_http_gray_cookie_t *cookie)
{
    u_char                  *p, random[NGX_HTTP_GRAY_ID];
    ngx_http_gray_minted_t  *minted;

    /* so few bytes are never cut short, nor waited for once there is entropy */

    if (getrandom(random, NGX_HTTP_GRAY_ID, GRND_NONBLOCK)
        != NGX_HTTP_GRAY_ID)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, ngx_errno,
                      "getrandom() failed, no cookie \"%V\" is sent",
                      &cookie->name);
        return NULL;
    }

    minted = ngx_pcalloc(r->pool, sizeof(ngx_http_gray_minted_t));
    if (minted == NULL) {
        return NULL;
    }

    minted->header.len = cookie->name.len + 1 + 2 * NGX_HTTP_GRAY_ID
                         + cookie->attributes.len;

    p = ngx_pnalloc(r->pool, minted->header.len);
    if (p == NULL) {
        return NULL;
    }

    minted->header.data = p;
    minted->name.data = p;
    minted->name.len = cookie->name.len;

    p = ngx_cpymem(p, cookie->name.data, cookie->name.len);
    *p++ = '=';

    minted->id.data = p;
    minted->id.len = 2 * NGX_HTTP_GRAY_ID;

    p = ngx_hex_dump(p, random, NGX_HTTP_GRAY_ID);
    ngx_memcpy(p, cookie->attributes.data, cookie->attributes.len);

    return minted;
}


ngx_int_t
ngx_http_gray_cookie_send(ngx_http_request_t *r,
    ngx_http_gray_minted_t *minted)
{
    ngx_table_elt_t  *header;

    if (minted->sent) {
        return NGX_OK;
    }

    header = ngx_list_push(&r->headers_out.headers);
    if (header == NULL) {
        return NGX_ERROR;
    }

    header->hash = 1;
#if (nginx_version >= 1023000)
    header->next = NULL;
#endif
    ngx_str_set(&header->key, "Set-Cookie");
    header->value = minted->header;

    minted->sent = 1;

    return NGX_OK;
}
