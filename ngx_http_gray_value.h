
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_VALUE_H_INCLUDED_
#define _NGX_HTTP_GRAY_VALUE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* IPv4 in the low 32 bits; pools align to a word only */

typedef unsigned __int128  ngx_http_gray_addr_t __attribute__((aligned(8)));


typedef enum {
    NGX_HTTP_GRAY_UNKNOWN = 0,      /* nobody has asked yet */
    NGX_HTTP_GRAY_IS,
    NGX_HTTP_GRAY_IS_NOT
} ngx_http_gray_facet_e;


/*
 * The value of an attribute, as a request has it.  What tests need of it (its
 * hash, the number or the address that it is) is worked out when the first
 * test asks, and kept.
 *
 * Who makes a value zeroes it and sets "text", or "number" and "numeric"
 * where it has no text; and "family" and "address" if they are known.  Where
 * an attribute has several values, "next" leads to the further ones.
 */

typedef struct ngx_http_gray_value_s  ngx_http_gray_value_t;

struct ngx_http_gray_value_s {
    ngx_str_t                    text;       /* data is NULL: a number only */
    uint64_t                     hash;       /* XXH3 of the text */
    double                       number;
    ngx_http_gray_addr_t         addr;

    uint8_t                      hashed;     /* unsigned  hashed:1; */
    uint8_t                      numeric;    /* ngx_http_gray_facet_e */
    uint8_t                      address;    /* ngx_http_gray_facet_e */
    uint8_t                      family;     /* AF_INET or AF_INET6 */

    u_char                       digits[24]; /* "text" of a whole number */

    ngx_http_gray_value_t       *next;
};


/* as zeroed, but for what nobody reads before it is set */

static ngx_inline void
ngx_http_gray_value_reset(ngx_http_gray_value_t *value)
{
    ngx_str_null(&value->text);

    value->hashed = 0;
    value->numeric = NGX_HTTP_GRAY_UNKNOWN;
    value->address = NGX_HTTP_GRAY_UNKNOWN;
    value->family = 0;
    value->next = NULL;
}


/*
 * The text, or NULL where the value is a number that is not whole, or is
 * beyond 2^53 and so has no one text.
 */
ngx_str_t *ngx_http_gray_value_string(ngx_http_gray_value_t *value);

/* the 64 bits of XXH3 of the text; only for what has a text */
uint64_t ngx_http_gray_value_hash(ngx_http_gray_value_t *value);

/* NGX_OK with value->number, or NGX_DECLINED */
ngx_int_t ngx_http_gray_value_number(ngx_http_gray_value_t *value);

/*
 * NGX_OK with value->family and ->addr, or NGX_DECLINED.  IPv4-mapped IPv6
 * addresses are IPv4.
 */
ngx_int_t ngx_http_gray_value_address(ngx_http_gray_value_t *value);

/*
 * A decimal number: an optional minus, digits, optionally a point and digits,
 * at most 63 characters.  NGX_OK or NGX_DECLINED.
 */
ngx_int_t ngx_http_gray_value_decimal(const ngx_str_t *text, double *number);

/* the family of an address, or NGX_ERROR */
ngx_int_t ngx_http_gray_value_inet(const ngx_str_t *text,
    ngx_http_gray_addr_t *addr);


#endif /* _NGX_HTTP_GRAY_VALUE_H_INCLUDED_ */
