
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_NETWORK_H_INCLUDED_
#define _NGX_HTTP_GRAY_NETWORK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_value.h"


/* a network, as its first and its last address */

typedef struct {
    ngx_http_gray_addr_t         first;
    ngx_http_gray_addr_t         last;
} ngx_http_gray_range_t;


/*
 * Reads an address or a network, IPv4 or IPv6; "why" is set to what would be
 * accepted where it is none.  The family, or NGX_ERROR.
 */
ngx_int_t ngx_http_gray_network_parse(const ngx_str_t *text,
    ngx_http_gray_range_t *range, char *why, size_t size);

/*
 * Sorts ranges of one family and merges those that overlap; how many are
 * left.  Uses no pool and no global, so any thread may call it.
 */
ngx_uint_t ngx_http_gray_network_merge(ngx_http_gray_range_t *ranges,
    ngx_uint_t n);

/* is "addr" in one of the merged ranges? */
ngx_uint_t ngx_http_gray_network_find(const ngx_http_gray_range_t *ranges,
    ngx_uint_t n, ngx_http_gray_addr_t addr);


#endif /* _NGX_HTTP_GRAY_NETWORK_H_INCLUDED_ */
