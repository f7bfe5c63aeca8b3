
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Attributes of a request: variables of nginx, all the values of a cookie, a
 * header or an argument, the place of an address, the kind of a device, and
 * the time.
 *
 * The source of a variable is its index, shifted and with the lowest bit set,
 * or a pointer to the variable.  Whatever is indexed is read by its index, so
 * that all its readers see the same value of a request.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_attribute.h"
#include "ngx_http_gray_device.h"


/* the source of geo.PATH */

typedef struct {
    ngx_http_gray_geo_t            *geo;
    ngx_http_gray_geo_path_t       *path;
} ngx_http_gray_place_t;


/* the values of one name, as they are found */

typedef struct {
    ngx_http_request_t             *request;
    ngx_http_gray_attribute_t      *attribute;
    ngx_http_gray_value_t          *value;       /* the first */
    ngx_http_gray_value_t          *last;
    ngx_str_t                       name;
    ngx_uint_t                      n;
    ngx_uint_t                      failed;      /* unsigned  failed:1; */
} ngx_http_gray_found_t;


static ngx_int_t ngx_http_gray_attribute_variable(
    const ngx_http_gray_attribute_env_t *env, ngx_str_t *name, void **source,
    char *why);
static ngx_int_t ngx_http_gray_attribute_name(ngx_str_t *name, char *why);
static ngx_http_variable_t *ngx_http_gray_attribute_known(
    const ngx_http_gray_attribute_env_t *env, ngx_str_t *name,
    ngx_int_t *index);
static ngx_http_variable_t *ngx_http_gray_attribute_prefix(
    const ngx_http_gray_attribute_env_t *env, ngx_str_t *name);
static ngx_int_t ngx_http_gray_attribute_place(
    const ngx_http_gray_attribute_env_t *env, ngx_pool_t *pool,
    ngx_http_gray_attribute_t *attribute, char *why);
static ngx_int_t ngx_http_gray_attribute_text(ngx_http_request_t *r,
    ngx_str_t *name, void *source, ngx_str_t *text);
static ngx_int_t ngx_http_gray_attribute_plain(ngx_http_request_t *r,
    ngx_http_gray_attribute_t *attribute, ngx_http_gray_value_t *value);
static ngx_int_t ngx_http_gray_attribute_values(ngx_http_request_t *r,
    ngx_http_gray_attribute_t *attribute, ngx_http_gray_value_t *value);
static void ngx_http_gray_attribute_headers(ngx_http_gray_found_t *found,
    void (*each)(ngx_http_gray_found_t *found, ngx_str_t *value));
static void ngx_http_gray_attribute_cookies(ngx_http_gray_found_t *found,
    ngx_str_t *header);
static void ngx_http_gray_attribute_arguments(ngx_http_gray_found_t *found);
static void ngx_http_gray_attribute_pair(ngx_http_gray_found_t *found,
    ngx_str_t *name, u_char *start, u_char *end);
static void ngx_http_gray_attribute_found(ngx_http_gray_found_t *found,
    ngx_str_t *text);
static ngx_int_t ngx_http_gray_attribute_decoded(ngx_http_request_t *r,
    ngx_str_t *text);
static ngx_int_t ngx_http_gray_attribute_geo(ngx_http_request_t *r,
    ngx_http_gray_attribute_t *attribute, ngx_http_gray_value_t *value);
static void ngx_http_gray_attribute_client(ngx_http_request_t *r,
    ngx_http_gray_value_t *value);
static ngx_int_t ngx_http_gray_attribute_device(ngx_http_request_t *r,
    ngx_http_gray_attribute_t *attribute, ngx_http_gray_value_t *value);
static void ngx_http_gray_attribute_header(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);


ngx_int_t
ngx_http_gray_attribute_resolve(const ngx_http_gray_attribute_env_t *env,
    ngx_pool_t *pool, ngx_http_gray_attribute_t *attribute,
    ngx_str_t **unknown, char *why)
{
    ngx_int_t  rc;

    *unknown = &attribute->of;

    if (attribute->of.len) {
        rc = ngx_http_gray_attribute_variable(env, &attribute->of,
                                              &attribute->of_source, why);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    *unknown = &attribute->name;

    switch (attribute->type) {

    case NGX_HTTP_GRAY_VARIABLE:
        return ngx_http_gray_attribute_variable(env, &attribute->name,
                                                &attribute->source, why);

    case NGX_HTTP_GRAY_GEO:
        return ngx_http_gray_attribute_place(env, pool, attribute, why);

    default:
        return NGX_OK;
    }
}


static ngx_int_t
ngx_http_gray_attribute_variable(const ngx_http_gray_attribute_env_t *env,
    ngx_str_t *name, void **source, char *why)
{
    ngx_int_t             index;
    ngx_str_t             bare;
    ngx_http_variable_t  *v;

    *source = NULL;

    if (ngx_http_gray_attribute_name(name, why) != NGX_OK) {
        return NGX_ABORT;
    }

    bare.len = name->len - 1;
    bare.data = name->data + 1;

    v = ngx_http_gray_attribute_known(env, &bare, &index);

    if (v == NULL) {
        ngx_snprintf((u_char *) why, NGX_HTTP_GRAY_WHY,
                     "unknown variable \"%*s\", this nginx has none of that "
                     "name%Z", ngx_min(name->len, 80), name->data);
        return NGX_DECLINED;
    }

    /* the variables of a release have it as their data */

    if ((env->own && v->data == (uintptr_t) env->own)
        || (bare.len == sizeof("gray_decisions") - 1
            && ngx_strncmp(bare.data, "gray_decisions", bare.len) == 0))
    {
        ngx_snprintf((u_char *) why, NGX_HTTP_GRAY_WHY,
                     "\"%*s\" is what the release itself decides%Z",
                     ngx_min(name->len, 80), name->data);
        return NGX_ABORT;
    }

    if (env->cf) {
        index = ngx_http_get_variable_index(env->cf, &bare);

        if (index == NGX_ERROR) {
            ngx_sprintf((u_char *) why, "cannot be indexed%Z");
            return NGX_ABORT;
        }
    }

    *source = (index == NGX_ERROR) ? (void *) v
                                   : (void *) ((uintptr_t) index << 1 | 1);

    return NGX_OK;
}


/* in lower case, but for the names of cookies */

static ngx_int_t
ngx_http_gray_attribute_name(ngx_str_t *name, char *why)
{
    u_char      ch;
    ngx_uint_t  i;

    for (i = 1; i < name->len; i++) {
        ch = name->data[i] = ngx_tolower(name->data[i]);

        if ((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '_'
            || ngx_strncmp(name->data, "$cookie_", 8) == 0)
        {
            continue;
        }

        break;
    }

    if (i == name->len && i > 1) {
        return NGX_OK;
    }

    ngx_snprintf((u_char *) why, NGX_HTTP_GRAY_WHY,
                 "\"%*s\" is no variable, must be \"$\", then letters, "
                 "digits or \"_\"%Z", ngx_min(name->len, 80), name->data);

    return NGX_DECLINED;
}


/* NULL where there is none; "index" is NGX_ERROR where it is not indexed */

static ngx_http_variable_t *
ngx_http_gray_attribute_known(const ngx_http_gray_attribute_env_t *env,
    ngx_str_t *name, ngx_int_t *index)
{
    ngx_uint_t            i;
    ngx_hash_key_t       *key;
    ngx_http_variable_t  *v;

    *index = NGX_ERROR;

    if (env->cf) {

        /* an index may still be of nothing */

        key = env->cmcf->variables_keys->keys.elts;

        for (i = 0; i < env->cmcf->variables_keys->keys.nelts; i++) {
            if (key[i].key.len == name->len
                && ngx_strncmp(key[i].key.data, name->data, name->len) == 0)
            {
                return key[i].value;
            }
        }

        return ngx_http_gray_attribute_prefix(env, name);
    }

    v = env->cmcf->variables.elts;

    for (i = 0; i < env->cmcf->variables.nelts; i++) {
        if (v[i].name.len == name->len
            && ngx_strncmp(v[i].name.data, name->data, name->len) == 0)
        {
            *index = i;
            return &v[i];
        }
    }

    v = ngx_hash_find(&env->cmcf->variables_hash,
                      ngx_hash_key(name->data, name->len), name->data,
                      name->len);

    return v ? v : ngx_http_gray_attribute_prefix(env, name);
}


static ngx_http_variable_t *
ngx_http_gray_attribute_prefix(const ngx_http_gray_attribute_env_t *env,
    ngx_str_t *name)
{
    size_t                len;
    ngx_uint_t            i;
    ngx_http_variable_t  *v, *found;

    found = NULL;
    v = env->cmcf->prefix_variables.elts;
    len = 0;

    for (i = 0; i < env->cmcf->prefix_variables.nelts; i++) {
        if (name->len >= v[i].name.len && v[i].name.len > len
            && ngx_strncmp(name->data, v[i].name.data, v[i].name.len) == 0)
        {
            len = v[i].name.len;
            found = &v[i];
        }
    }

    return found;
}


static ngx_int_t
ngx_http_gray_attribute_place(const ngx_http_gray_attribute_env_t *env,
    ngx_pool_t *pool, ngx_http_gray_attribute_t *attribute, char *why)
{
    ngx_str_t               name;
    ngx_http_gray_place_t  *place;

    place = ngx_palloc(pool, sizeof(ngx_http_gray_place_t));

    if (place == NULL) {
        ngx_sprintf((u_char *) why, "cannot be read, memory is short%Z");
        return NGX_ABORT;
    }

    name.data = attribute->name.data + sizeof("geo.") - 1;
    name.len = attribute->name.len - (sizeof("geo.") - 1);

    place->geo = env->geo;
    place->path = ngx_http_gray_geo_path(pool, &name, why, NGX_HTTP_GRAY_WHY);

    if (place->path == NULL) {
        return NGX_ABORT;
    }

    if (env->geo == NULL) {
        ngx_snprintf((u_char *) why, NGX_HTTP_GRAY_WHY,
                     "\"%*s\" needs a database: \"gray_geoip FILE\" in "
                     "nginx.conf%Z", ngx_min(attribute->name.len, 80),
                     attribute->name.data);
        return NGX_DECLINED;
    }

    attribute->source = place;

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_attribute_get(ngx_http_request_t *r,
    ngx_http_gray_attribute_t *attribute, ngx_http_gray_value_t *value)
{
    switch (attribute->type) {

    case NGX_HTTP_GRAY_VARIABLE:
        return attribute->values == NGX_HTTP_GRAY_AS_NGINX
               ? ngx_http_gray_attribute_plain(r, attribute, value)
               : ngx_http_gray_attribute_values(r, attribute, value);

    case NGX_HTTP_GRAY_GEO:
        return ngx_http_gray_attribute_geo(r, attribute, value);

    case NGX_HTTP_GRAY_DEVICE:
        return ngx_http_gray_attribute_device(r, attribute, value);

    default: /* NGX_HTTP_GRAY_TIME */
        value->number = (double) ngx_time();
        value->numeric = NGX_HTTP_GRAY_IS;

        return NGX_OK;
    }
}


static ngx_inline ngx_int_t
ngx_http_gray_attribute_text(ngx_http_request_t *r, ngx_str_t *name,
    void *source, ngx_str_t *text)
{
    ngx_str_t                   bare;
    ngx_http_variable_t        *v;
    ngx_http_variable_value_t  *vv, own;

    if ((uintptr_t) source & 1) {
        vv = ngx_http_get_flushed_variable(r, (uintptr_t) source >> 1);

        if (vv == NULL) {
            return NGX_ERROR;
        }

    } else {
        v = source;
        vv = &own;

        ngx_memzero(vv, sizeof(ngx_http_variable_value_t));

        bare.len = name->len - 1;
        bare.data = name->data + 1;

        if (v->get_handler(r, vv, (v->flags & NGX_HTTP_VAR_PREFIX)
                                  ? (uintptr_t) &bare : v->data)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (vv->not_found || !vv->valid) {
        return NGX_DECLINED;
    }

    text->len = vv->len;
    text->data = vv->data;

    return NGX_OK;
}


static ngx_inline ngx_int_t
ngx_http_gray_attribute_plain(ngx_http_request_t *r,
    ngx_http_gray_attribute_t *attribute, ngx_http_gray_value_t *value)
{
    ngx_int_t   rc;
    ngx_str_t  *name;

    name = &attribute->name;

    rc = ngx_http_gray_attribute_text(r, name, attribute->source,
                                      &value->text);
    if (rc != NGX_OK) {
        return rc;
    }

    if (attribute->decode) {
        return ngx_http_gray_attribute_decoded(r, &value->text);
    }

    /* an address need not be read from its text */

    if (name->len == sizeof("$remote_addr") - 1
        && ngx_memcmp(name->data, "$remote_addr", name->len) == 0)
    {
        ngx_http_gray_attribute_client(r, value);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_attribute_values(ngx_http_request_t *r,
    ngx_http_gray_attribute_t *attribute, ngx_http_gray_value_t *value)
{
    ngx_http_gray_found_t   found;

    ngx_memzero(&found, sizeof(ngx_http_gray_found_t));
    found.request = r;
    found.attribute = attribute;
    found.value = value;

    /* $cookie_NAME, $http_NAME, or $arg_NAME */

    switch (attribute->name.data[1]) {

    case 'c':
        ngx_str_set(&found.name, "cookie");
        ngx_http_gray_attribute_headers(&found,
                                        ngx_http_gray_attribute_cookies);
        break;

    case 'h':
        found.name.data = attribute->name.data + sizeof("$http_") - 1;
        found.name.len = attribute->name.len - (sizeof("$http_") - 1);
        ngx_http_gray_attribute_headers(&found,
                                        ngx_http_gray_attribute_found);
        break;

    default:
        ngx_http_gray_attribute_arguments(&found);
    }

    if (found.failed) {
        return NGX_ERROR;
    }

    return found.n ? NGX_OK : NGX_DECLINED;
}


static void
ngx_http_gray_attribute_headers(ngx_http_gray_found_t *found,
    void (*each)(ngx_http_gray_found_t *found, ngx_str_t *value))
{
    u_char            ch;
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &found->request->headers_in.headers.part;
         part;
         part = part->next)
    {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].hash == 0 || h[i].key.len != found->name.len) {
                continue;
            }

            for (n = 0; n < found->name.len; n++) {
                ch = h[i].lowcase_key[n];

                if ((ch == '-' ? '_' : ch) != found->name.data[n]) {
                    break;
                }
            }

            if (n == found->name.len) {
                each(found, &h[i].value);
            }
        }
    }
}


static void
ngx_http_gray_attribute_cookies(ngx_http_gray_found_t *found,
    ngx_str_t *header)
{
    u_char     *p, *last, *end;
    ngx_str_t   name;

    name.data = found->attribute->name.data + sizeof("$cookie_") - 1;
    name.len = found->attribute->name.len - (sizeof("$cookie_") - 1);

    last = header->data + header->len;

    for (p = header->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, ';');

        if (end == NULL) {
            end = last;
        }

        while (p < end && (*p == ' ' || *p == '\t')) {
            p++;
        }

        ngx_http_gray_attribute_pair(found, &name, p, end);
    }
}


static void
ngx_http_gray_attribute_arguments(ngx_http_gray_found_t *found)
{
    u_char     *p, *last, *end;
    ngx_str_t   name;

    name.data = found->attribute->name.data + sizeof("$arg_") - 1;
    name.len = found->attribute->name.len - (sizeof("$arg_") - 1);

    p = found->request->args.data;
    last = p + found->request->args.len;

    for ( /* void */ ; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '&');

        if (end == NULL) {
            end = last;
        }

        ngx_http_gray_attribute_pair(found, &name, p, end);
    }
}


/* NAME=VALUE, where nginx does not look at the case of the name either */

static void
ngx_http_gray_attribute_pair(ngx_http_gray_found_t *found, ngx_str_t *name,
    u_char *start, u_char *end)
{
    ngx_str_t  text;

    if ((size_t) (end - start) <= name->len
        || start[name->len] != '='
        || ngx_strncasecmp(start, name->data, name->len) != 0)
    {
        return;
    }

    text.data = start + name->len + 1;

    while (end > text.data && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }

    text.len = end - text.data;

    ngx_http_gray_attribute_found(found, &text);
}


/* what is empty does not count */

static void
ngx_http_gray_attribute_found(ngx_http_gray_found_t *found, ngx_str_t *text)
{
    ngx_http_gray_value_t      *value;
    ngx_http_gray_attribute_t  *attribute;

    attribute = found->attribute;

    if (text->len == 0
        || (attribute->values == NGX_HTTP_GRAY_FIRST && found->n))
    {
        return;
    }

    value = found->value;

    if (attribute->values == NGX_HTTP_GRAY_ANY && found->n) {

        if (found->n >= NGX_HTTP_GRAY_VALUES) {
            found->failed = 1;
            return;
        }

        value = ngx_pcalloc(found->request->pool,
                            sizeof(ngx_http_gray_value_t));
        if (value == NULL) {
            found->failed = 1;
            return;
        }

        found->last->next = value;
    }

    value->text = *text;

    found->last = value;
    found->n++;

    if (attribute->decode
        && ngx_http_gray_attribute_decoded(found->request, &value->text)
           != NGX_OK)
    {
        found->failed = 1;
    }
}


static ngx_int_t
ngx_http_gray_attribute_decoded(ngx_http_request_t *r, ngx_str_t *text)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, text->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, text->data, text->len);
    text->data = p;

    ngx_http_gray_attribute_decode(text);

    return NGX_OK;
}


void
ngx_http_gray_attribute_decode(ngx_str_t *text)
{
    u_char     *p, *last, *dst;
    ngx_int_t   ch;

    dst = text->data;
    last = text->data + text->len;

    for (p = text->data; p < last; p++) {

        if (*p == '%' && last - p > 2) {
            ch = ngx_hextoi(p + 1, 2);

            if (ch != NGX_ERROR) {
                *dst++ = (u_char) ch;
                p += 2;
                continue;
            }
        }

        *dst++ = (*p == '+') ? ' ' : *p;
    }

    text->len = dst - text->data;
}


static ngx_int_t
ngx_http_gray_attribute_geo(ngx_http_request_t *r,
    ngx_http_gray_attribute_t *attribute, ngx_http_gray_value_t *value)
{
    ngx_int_t              rc;
    ngx_http_gray_value_t  client;

    ngx_memzero(&client, sizeof(ngx_http_gray_value_t));

    if (attribute->of.len == 0) {
        ngx_http_gray_attribute_client(r, &client);

        if (client.address != NGX_HTTP_GRAY_IS) {
            return NGX_DECLINED;
        }

    } else {
        rc = ngx_http_gray_attribute_text(r, &attribute->of,
                                          attribute->of_source, &client.text);

        if (rc != NGX_OK || client.text.len == 0) {
            return rc == NGX_ERROR ? NGX_ERROR : NGX_DECLINED;
        }
    }

    return ngx_http_gray_attribute_locate(attribute, &client, value);
}


ngx_int_t
ngx_http_gray_attribute_locate(ngx_http_gray_attribute_t *attribute,
    ngx_http_gray_value_t *address, ngx_http_gray_value_t *value)
{
    ngx_http_gray_place_t  *place;

    place = attribute->source;

    if (place == NULL || ngx_http_gray_value_address(address) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_gray_geo_get(place->geo, address->family, address->addr,
                                 place->path, value);
}


/* the address of the client, as realip leaves it; none on a unix socket */

static void
ngx_http_gray_attribute_client(ngx_http_request_t *r,
    ngx_http_gray_value_t *value)
{
    u_char               *p;
    ngx_uint_t            i;
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    switch (r->connection->sockaddr->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) r->connection->sockaddr;

        value->addr = ntohl(sin->sin_addr.s_addr);
        value->family = AF_INET;
        value->address = NGX_HTTP_GRAY_IS;
        break;

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) r->connection->sockaddr;
        p = sin6->sin6_addr.s6_addr;

        value->addr = 0;

        for (i = 0; i < 16; i++) {
            value->addr = value->addr << 8 | p[i];
        }

        value->family = AF_INET6;
        value->address = NGX_HTTP_GRAY_IS;

        if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
            value->addr &= 0xffffffff;
            value->family = AF_INET;
        }

        break;
#endif

    default:
        break;
    }
}


static ngx_int_t
ngx_http_gray_attribute_device(ngx_http_request_t *r,
    ngx_http_gray_attribute_t *attribute, ngx_http_gray_value_t *value)
{
    ngx_int_t   rc;
    ngx_str_t   mobile, platform, agent, *device;

    ngx_str_null(&mobile);
    ngx_str_null(&platform);
    ngx_str_null(&agent);

    if (attribute->of.len) {
        rc = ngx_http_gray_attribute_text(r, &attribute->of,
                                          attribute->of_source, &agent);
        if (rc != NGX_OK) {
            return rc;
        }

    } else {
        ngx_http_gray_attribute_header(r, "sec-ch-ua-mobile", &mobile);
        ngx_http_gray_attribute_header(r, "sec-ch-ua-platform", &platform);

        if (r->headers_in.user_agent) {
            agent = r->headers_in.user_agent->value;
        }
    }

    device = ngx_http_gray_device(&mobile, &platform, &agent);

    if (device == NULL) {
        return NGX_DECLINED;
    }

    value->text = *device;

    return NGX_OK;
}


/* the first header of a name, in lower case */

static void
ngx_http_gray_attribute_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].hash
                && h[i].key.len == len
                && ngx_memcmp(h[i].lowcase_key, name, len) == 0)
            {
                *value = h[i].value;
                return;
            }
        }
    }
}
