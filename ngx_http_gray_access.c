
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_access.h"


typedef struct {
    ngx_http_request_t         *r;
    ngx_array_t                *names;
} ngx_http_gray_access_t;


/* "denies" is 1 where the client is to be refused because of "why" */

typedef struct {
    ngx_uint_t                  remote;     /* also where "remote" is set */
    ngx_uint_t                (*denies)(ngx_http_gray_access_t *access);
    const char                 *why;
} ngx_http_gray_access_check_t;


static ngx_uint_t ngx_http_gray_access_peer(ngx_http_gray_access_t *access);
static ngx_uint_t ngx_http_gray_access_client(ngx_http_gray_access_t *access);
static ngx_uint_t ngx_http_gray_access_proxied(ngx_http_gray_access_t *access);
static ngx_uint_t ngx_http_gray_access_forwarded(
    ngx_http_gray_access_t *access);
static ngx_uint_t ngx_http_gray_access_host(ngx_http_gray_access_t *access);
static ngx_uint_t ngx_http_gray_access_origin(ngx_http_gray_access_t *access);
static ngx_uint_t ngx_http_gray_access_site(ngx_http_gray_access_t *access);
static ngx_uint_t ngx_http_gray_access_local(struct sockaddr *sockaddr);
static ngx_uint_t ngx_http_gray_access_address(ngx_str_t *host);
static ngx_uint_t ngx_http_gray_access_match(ngx_http_server_name_t *name,
    ngx_str_t *host);
static ngx_uint_t ngx_http_gray_access_foreign(ngx_http_request_t *r,
    ngx_str_t *origin);
static ngx_table_elt_t *ngx_http_gray_access_header(ngx_http_request_t *r,
    ngx_str_t *name, ngx_uint_t *i);


static ngx_http_gray_access_check_t  ngx_http_gray_access_checks[] = {

    { 0, ngx_http_gray_access_peer,
      "only clients of this machine are let in, and the connection is not "
      "from one; connect to a loopback address or a unix socket, or allow "
      "others with the parameter \"remote\"" },

    { 0, ngx_http_gray_access_client,
      "only clients of this machine are let in, and the client is not one by "
      "the address that the realip module has set; allow others with the "
      "parameter \"remote\"" },

    { 0, ngx_http_gray_access_proxied,
      "only clients of this machine are let in, and behind the PROXY protocol "
      "it cannot be told who is one; use a listener without it, or allow "
      "others with the parameter \"remote\"" },

    { 0, ngx_http_gray_access_forwarded,
      "only clients of this machine are let in, and the request was forwarded "
      "by a proxy: it has one of the headers Forwarded, X-Forwarded-For, "
      "X-Real-IP, Via; connect directly, or allow others with the parameter "
      "\"remote\"" },

    { 1, ngx_http_gray_access_host,
      "the Host is no address, not \"localhost\" and no name of the server; "
      "use an address, or add the name to \"server_name\"" },

    { 1, ngx_http_gray_access_site,
      "the request was made by a page of another site: it has "
      "\"Sec-Fetch-Site: cross-site\"; use a page of this server, or a "
      "client that is no browser" },

    { 1, ngx_http_gray_access_origin,
      "the request was made by a page of another origin: its Origin is not "
      "that of the Host; use a page of this server, or a client that is no "
      "browser" },

    { 0, NULL, NULL }
};


static ngx_str_t  ngx_http_gray_access_forwarders[] = {
    ngx_string("Forwarded"),
    ngx_string("X-Forwarded-For"),
    ngx_string("X-Real-IP"),
    ngx_string("Via"),
    ngx_null_string
};


static ngx_str_t  ngx_http_gray_origin_name = ngx_string("Origin");
static ngx_str_t  ngx_http_gray_site_name = ngx_string("Sec-Fetch-Site");


const char *
ngx_http_gray_access_denied(ngx_http_request_t *r, ngx_array_t *names,
    ngx_uint_t remote)
{
    ngx_http_gray_access_t         access;
    ngx_http_gray_access_check_t  *check;

    access.r = r;
    access.names = names;

    for (check = ngx_http_gray_access_checks; check->denies; check++) {

        if (remote && !check->remote) {
            continue;
        }

        if (check->denies(&access)) {
            return check->why;
        }
    }

    return NULL;
}


/*
 * realip has replaced c->sockaddr.  A QUIC stream has no socket whose peer
 * could be asked for, and is remote.
 */

static ngx_uint_t
ngx_http_gray_access_peer(ngx_http_gray_access_t *access)
{
    socklen_t       len;
    ngx_sockaddr_t  sa;

    len = sizeof(ngx_sockaddr_t);
    ngx_memzero(&sa, sizeof(ngx_sockaddr_t));

    if (getpeername(access->r->connection->fd, &sa.sockaddr, &len) == -1) {
        return 1;
    }

    return !ngx_http_gray_access_local(&sa.sockaddr);
}


static ngx_uint_t
ngx_http_gray_access_client(ngx_http_gray_access_t *access)
{
    return !ngx_http_gray_access_local(access->r->connection->sockaddr);
}


/*
 * Of the listener, too: "PROXY UNKNOWN" leaves nothing in the connection.  A
 * subrequest has no http_connection of its own.
 */

static ngx_uint_t
ngx_http_gray_access_proxied(ngx_http_gray_access_t *access)
{
    ngx_http_request_t  *r;

    r = access->r;

    return r->connection->proxy_protocol
           || r->main->http_connection->addr_conf->proxy_protocol;
}


static ngx_uint_t
ngx_http_gray_access_forwarded(ngx_http_gray_access_t *access)
{
    ngx_str_t   *name;
    ngx_uint_t   i;

    for (name = ngx_http_gray_access_forwarders; name->len; name++) {
        i = 0;

        if (ngx_http_gray_access_header(access->r, name, &i)) {
            return 1;
        }
    }

    return 0;
}


/* a browser whose DNS was rebound says the name that it was rebound from */

static ngx_uint_t
ngx_http_gray_access_host(ngx_http_gray_access_t *access)
{
    ngx_str_t               *host;
    ngx_uint_t               i;
    ngx_http_server_name_t  *name;

    host = &access->r->headers_in.server;

    if (host->len == 0
        || ngx_http_gray_access_address(host)
        || (host->len == sizeof("localhost") - 1
            && ngx_strncasecmp(host->data, (u_char *) "localhost",
                               host->len) == 0))
    {
        return 0;
    }

    name = access->names->elts;

    for (i = 0; i < access->names->nelts; i++) {
        if (ngx_http_gray_access_match(&name[i], host)) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_http_gray_access_site(ngx_http_gray_access_t *access)
{
    ngx_uint_t        i;
    ngx_table_elt_t  *h;

    i = 0;

    while ((h = ngx_http_gray_access_header(access->r,
                                            &ngx_http_gray_site_name, &i))
           != NULL)
    {
        if (h->value.len == sizeof("cross-site") - 1
            && ngx_strncasecmp(h->value.data, (u_char *) "cross-site",
                               h->value.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_gray_access_origin(ngx_http_gray_access_t *access)
{
    ngx_uint_t        i;
    ngx_table_elt_t  *h;

    i = 0;

    while ((h = ngx_http_gray_access_header(access->r,
                                            &ngx_http_gray_origin_name, &i))
           != NULL)
    {
        if (ngx_http_gray_access_foreign(access->r, &h->value)) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_gray_access_local(struct sockaddr *sockaddr)
{
    in_addr_t             addr;
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    u_char               *p;
    struct sockaddr_in6  *sin6;
#endif

    switch (sockaddr->sa_family) {

#if (NGX_HAVE_UNIX_DOMAIN)
    case AF_UNIX:
        return 1;
#endif

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sockaddr;

        if (IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr)) {
            return 1;
        }

        p = sin6->sin6_addr.s6_addr;

        return IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr) && p[12] == 127;
#endif

    case AF_INET:
        sin = (struct sockaddr_in *) sockaddr;
        addr = ntohl(sin->sin_addr.s_addr);

        return (addr >> 24) == 127;

    default:
        return 0;
    }
}


static ngx_uint_t
ngx_http_gray_access_address(ngx_str_t *host)
{
#if (NGX_HAVE_INET6)
    u_char  addr[16];

    if (host->len > 2 && host->data[0] == '['
        && host->data[host->len - 1] == ']')
    {
        return ngx_inet6_addr(host->data + 1, host->len - 2, addr) == NGX_OK;
    }
#endif

    return ngx_inet_addr(host->data, host->len) != INADDR_NONE;
}


/* the forms that "server_name" has; names are in lower case, as is "host" */

static ngx_uint_t
ngx_http_gray_access_match(ngx_http_server_name_t *name, ngx_str_t *host)
{
    size_t   len;
    u_char  *p;

#if (NGX_PCRE)
    if (name->regex) {
        return ngx_regex_exec(name->regex->regex, host, NULL, 0) >= 0;
    }
#endif

    p = name->name.data;
    len = name->name.len;

    if (len > 2 && p[len - 1] == '*') {

        /* "www.example.*" */

        len--;

        return host->len > len && ngx_strncmp(host->data, p, len) == 0;
    }

    if (len > 1 && p[0] == '.'
        && host->len == len - 1
        && ngx_strncmp(host->data, p + 1, len - 1) == 0)
    {
        return 1;
    }

    if (len > 1 && (p[0] == '.' || p[0] == '*')) {

        /* ".example.com", "*.example.com" */

        if (p[0] == '*') {
            p++;
            len--;
        }

        return host->len > len
               && ngx_strncmp(host->data + host->len - len, p, len) == 0;
    }

    return len && host->len == len && ngx_strncmp(host->data, p, len) == 0;
}


/* the authority of the origin must be that of the request; "null" is none */

static ngx_uint_t
ngx_http_gray_access_foreign(ngx_http_request_t *r, ngx_str_t *origin)
{
    size_t      len;
    u_char     *p;
    ngx_str_t   host;

    if (r->headers_in.host) {
        host = r->headers_in.host->value;

    } else {
        host.data = r->host_start;
        host.len = r->host_start ? r->host_end - r->host_start : 0;
    }

    p = ngx_strlcasestrn(origin->data, origin->data + origin->len,
                         (u_char *) "://", sizeof("://") - 2);

    if (p == NULL || host.len == 0) {
        return 1;
    }

    p += sizeof("://") - 1;
    len = origin->data + origin->len - p;

    return len != host.len || ngx_strncasecmp(p, host.data, len) != 0;
}


/* the next one of that name, "i" counts all those that were looked at */

static ngx_table_elt_t *
ngx_http_gray_access_header(ngx_http_request_t *r, ngx_str_t *name,
    ngx_uint_t *i)
{
    ngx_uint_t        n, k;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    n = 0;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (k = 0; k < part->nelts; k++) {

            if (n++ < *i) {
                continue;
            }

            if (h[k].key.len == name->len
                && ngx_strncasecmp(h[k].key.data, name->data, name->len) == 0)
            {
                *i = n;
                return &h[k];
            }
        }
    }

    return NULL;
}


ngx_array_t *
ngx_http_gray_access_names(ngx_conf_t *cf)
{
    ngx_array_t               *names;
    ngx_http_server_name_t    *name;
    ngx_http_core_srv_conf_t  *cscf;

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    names = ngx_array_create(cf->pool, cscf->server_names.nelts + 1,
                             sizeof(ngx_http_server_name_t));
    if (names == NULL) {
        return NULL;
    }

    name = ngx_array_push_n(names, cscf->server_names.nelts);
    if (name == NULL) {
        return NULL;
    }

    ngx_memcpy(name, cscf->server_names.elts,
               cscf->server_names.nelts * sizeof(ngx_http_server_name_t));

    return names;
}
