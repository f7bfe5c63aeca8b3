
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_given.h"
#include "ngx_http_gray_device.h"
#include "ngx_http_gray_window.h"


#define NGX_HTTP_GRAY_GIVEN_MAX  256    /* attributes */


static void ngx_http_gray_given_name(ngx_http_gray_given_t *given,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node,
    ngx_http_gray_faults_t *faults);
static void ngx_http_gray_given_value(const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *node, ngx_http_gray_faults_t *faults);
static void ngx_http_gray_given_time(ngx_http_gray_given_t *given,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node,
    ngx_http_gray_faults_t *faults);
static const ngx_http_gray_json_t *ngx_http_gray_given_find(
    ngx_http_gray_given_t *given, const ngx_str_t *name);
static ngx_int_t ngx_http_gray_given_variable(ngx_http_gray_given_t *given,
    ngx_http_gray_attribute_t *attribute, ngx_http_gray_value_t *value);
static ngx_int_t ngx_http_gray_given_values(ngx_http_gray_given_t *given,
    ngx_http_gray_attribute_t *attribute, const ngx_http_gray_json_t *node,
    ngx_http_gray_value_t *value);
static ngx_int_t ngx_http_gray_given_joined(ngx_http_gray_given_t *given,
    ngx_http_gray_attribute_t *attribute, const ngx_http_gray_json_t *node,
    ngx_http_gray_value_t *value);
static ngx_int_t ngx_http_gray_given_scalar(ngx_http_gray_given_t *given,
    ngx_http_gray_attribute_t *attribute, const ngx_http_gray_json_t *node,
    ngx_http_gray_value_t *value);
static ngx_int_t ngx_http_gray_given_geo(ngx_http_gray_given_t *given,
    ngx_http_gray_attribute_t *attribute, ngx_http_gray_value_t *value);
static ngx_int_t ngx_http_gray_given_device(ngx_http_gray_given_t *given,
    ngx_http_gray_attribute_t *attribute, ngx_http_gray_value_t *value);
static ngx_str_t ngx_http_gray_given_text(ngx_http_gray_given_t *given,
    const char *name);


void
ngx_http_gray_given_read(ngx_http_gray_given_t *given,
    const ngx_http_gray_json_t *input, ngx_http_gray_faults_t *faults)
{
    ngx_str_t              name;
    ngx_http_gray_path_t   path;
    ngx_http_gray_json_t  *node;

    given->input = input;
    given->time = ngx_time();

    if (ngx_http_gray_json_type(input) != NGX_HTTP_GRAY_JSON_OBJECT
        || ngx_http_gray_json_count(input) > NGX_HTTP_GRAY_GIVEN_MAX)
    {
        ngx_http_gray_json_fault(faults, NULL,
                                 "must be an object of at most %d attributes, "
                                 "as {\"$remote_addr\": \"192.0.2.1\"}",
                                 NGX_HTTP_GRAY_GIVEN_MAX);
        return;
    }

    path.parent = NULL;

    for (node = ngx_http_gray_json_first(input);
         node;
         node = ngx_http_gray_json_next(node))
    {
        path.key = ngx_http_gray_json_key(node);

        name.data = (u_char *) path.key;
        name.len = ngx_strlen(path.key);

        if (ngx_http_gray_given_find(given, &name) != node) {
            ngx_http_gray_json_fault(faults, &path,
                                     "is given twice, case does not matter "
                                     "in variables");
        }

        ngx_http_gray_given_name(given, &path, node, faults);
    }
}


static void
ngx_http_gray_given_name(ngx_http_gray_given_t *given,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node,
    ngx_http_gray_faults_t *faults)
{
    char                        why[NGX_HTTP_GRAY_WHY];
    ngx_str_t                   name, *unknown;
    ngx_http_gray_attribute_t   attribute;

    if (ngx_strcmp(path->key, "time") == 0) {
        ngx_http_gray_given_time(given, path, node, faults);
        return;
    }

    ngx_http_gray_given_value(path, node, faults);

    if (ngx_strcmp(path->key, "device") == 0
        || ngx_strncmp(path->key, "geo.", 4) == 0)
    {
        return;
    }

    if (path->key[0] != '$' || path->key[1] == '\0') {
        ngx_http_gray_json_fault(faults, path,
                                 "must be a variable of nginx, as "
                                 "\"$remote_addr\", or geo.PATH, device or "
                                 "time");
        return;
    }

    name.data = (u_char *) path->key;
    name.len = ngx_strlen(path->key);

    ngx_memzero(&attribute, sizeof(ngx_http_gray_attribute_t));
    attribute.name.data = ngx_pstrdup(given->pool, &name);
    attribute.name.len = name.len;

    if (attribute.name.data
        && ngx_http_gray_attribute_resolve(&given->env, given->pool,
                                           &attribute, &unknown, why)
           != NGX_OK)
    {
        ngx_http_gray_json_fault(faults, path, "%s", why);
    }
}


static void
ngx_http_gray_given_value(const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *node, ngx_http_gray_faults_t *faults)
{
    const ngx_http_gray_json_t  *item;

    item = node;

    if (ngx_http_gray_json_type(node) == NGX_HTTP_GRAY_JSON_ARRAY) {
        item = ngx_http_gray_json_first(node);
    }

    for ( /* void */ ; item; item = ngx_http_gray_json_next(item)) {

        switch (ngx_http_gray_json_type(item)) {

        case NGX_HTTP_GRAY_JSON_STRING:
        case NGX_HTTP_GRAY_JSON_NUMBER:
        case NGX_HTTP_GRAY_JSON_BOOLEAN:
            break;

        default:
            ngx_http_gray_json_fault(faults, path,
                                     "must be a string, a number, true or "
                                     "false, or an array of them");
            return;
        }

        if (item == node) {
            return;
        }
    }
}


static void
ngx_http_gray_given_time(ngx_http_gray_given_t *given,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node,
    ngx_http_gray_faults_t *faults)
{
    ngx_str_t  text;

    text = ngx_http_gray_json_text(node);

    if (ngx_http_gray_window_date(&text, &given->time) != NGX_OK) {
        ngx_http_gray_json_fault(faults, path,
                                 "must be a time of RFC 3339, as "
                                 "\"2026-01-31T12:00:00Z\"");
    }
}


static const ngx_http_gray_json_t *
ngx_http_gray_given_find(ngx_http_gray_given_t *given, const ngx_str_t *name)
{
    const char            *key;
    ngx_http_gray_json_t  *node;

    for (node = ngx_http_gray_json_first(given->input);
         node;
         node = ngx_http_gray_json_next(node))
    {
        key = ngx_http_gray_json_key(node);

        if (ngx_strlen(key) != name->len) {
            continue;
        }

        if (name->data[0] == '$'
            ? ngx_strncasecmp((u_char *) key, name->data, name->len) == 0
            : ngx_strncmp(key, name->data, name->len) == 0)
        {
            return node;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_gray_given_attribute(ngx_http_gray_given_t *given, ngx_pool_t *pool,
    ngx_http_gray_attribute_t *attribute, char *why)
{
    ngx_str_t  *unknown;

    if (ngx_http_gray_attribute_resolve(&given->env, pool, attribute,
                                        &unknown, why)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    /* of variables, it is the value that was given, once it is asked for */

    if (attribute->type == NGX_HTTP_GRAY_VARIABLE) {
        attribute->source = NULL;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_given_get(ngx_http_gray_given_t *given,
    ngx_http_gray_attribute_t *attribute, ngx_http_gray_value_t *value)
{
    const ngx_http_gray_json_t  *node;

    if (attribute->type == NGX_HTTP_GRAY_TIME) {
        value->number = (double) given->time;
        value->numeric = NGX_HTTP_GRAY_IS;

        return NGX_OK;
    }

    if (attribute->type == NGX_HTTP_GRAY_VARIABLE) {
        return ngx_http_gray_given_variable(given, attribute, value);
    }

    node = ngx_http_gray_given_find(given, &attribute->name);

    if (node) {
        return ngx_http_gray_given_values(given, attribute, node, value);
    }

    switch (attribute->type) {

    case NGX_HTTP_GRAY_GEO:
        return ngx_http_gray_given_geo(given, attribute, value);

    case NGX_HTTP_GRAY_DEVICE:
        return ngx_http_gray_given_device(given, attribute, value);

    default:
        return NGX_DECLINED;
    }
}


/* it is read anew for each rule, and may be large */

static ngx_int_t
ngx_http_gray_given_variable(ngx_http_gray_given_t *given,
    ngx_http_gray_attribute_t *attribute, ngx_http_gray_value_t *value)
{
    ngx_int_t                    rc;
    const ngx_http_gray_json_t  *node;

    if (attribute->source) {
        *value = *(ngx_http_gray_value_t *) attribute->source;
        return NGX_OK;
    }

    node = ngx_http_gray_given_find(given, &attribute->name);

    if (node == NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_http_gray_given_values(given, attribute, node, value);

    if (rc == NGX_OK) {
        attribute->source = ngx_palloc(given->pool,
                                       sizeof(ngx_http_gray_value_t));
        if (attribute->source == NULL) {
            return NGX_ERROR;
        }

        *(ngx_http_gray_value_t *) attribute->source = *value;
    }

    return rc;
}


static ngx_int_t
ngx_http_gray_given_values(ngx_http_gray_given_t *given,
    ngx_http_gray_attribute_t *attribute, const ngx_http_gray_json_t *node,
    ngx_http_gray_value_t *value)
{
    ngx_int_t                    n;
    ngx_http_gray_value_t        one, *last;
    const ngx_http_gray_json_t  *item;

    item = node;

    if (ngx_http_gray_json_type(node) == NGX_HTTP_GRAY_JSON_ARRAY) {

        if (attribute->values == NGX_HTTP_GRAY_AS_NGINX) {
            return ngx_http_gray_given_joined(given, attribute, node, value);
        }

        item = ngx_http_gray_json_first(node);
    }

    last = value;

    for (n = 0; item; item = ngx_http_gray_json_next(item)) {

        if (ngx_http_gray_given_scalar(given, attribute, item, &one)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (attribute->decode) {
            ngx_http_gray_attribute_decode(&one.text);
        }

        if (one.text.len) {

            if (n && attribute->values == NGX_HTTP_GRAY_ANY) {

                if (n >= NGX_HTTP_GRAY_VALUES) {
                    return NGX_ERROR;
                }

                last->next = ngx_palloc(given->pool,
                                        sizeof(ngx_http_gray_value_t));
                if (last->next == NULL) {
                    return NGX_ERROR;
                }

                last = last->next;
            }

            if (n == 0
                || attribute->values == NGX_HTTP_GRAY_ANY
                || attribute->values == NGX_HTTP_GRAY_LAST)
            {
                *last = one;
            }

            n++;
        }

        if (item == node) {
            break;
        }
    }

    return n ? NGX_OK : NGX_DECLINED;
}


/* what nginx makes of several: of headers all, since 1.23; else the first */

static ngx_int_t
ngx_http_gray_given_joined(ngx_http_gray_given_t *given,
    ngx_http_gray_attribute_t *attribute, const ngx_http_gray_json_t *node,
    ngx_http_gray_value_t *value)
{
    const ngx_http_gray_json_t  *item;
#if (nginx_version >= 1023000)
    u_char                      *p;
    ngx_str_t                    text;
    ngx_http_gray_value_t        one;
#endif

    item = ngx_http_gray_json_first(node);

    if (item == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_http_gray_given_scalar(given, attribute, item, value) != NGX_OK) {
        return NGX_ERROR;
    }

#if (nginx_version >= 1023000)

    if (ngx_strncasecmp(attribute->name.data, (u_char *) "$http_", 6) == 0) {

        while ((item = ngx_http_gray_json_next(item)) != NULL) {

            if (ngx_http_gray_given_scalar(given, attribute, item, &one)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            text.len = value->text.len + 2 + one.text.len;
            text.data = ngx_pnalloc(given->pool, text.len);

            if (text.data == NULL) {
                return NGX_ERROR;
            }

            p = ngx_cpymem(text.data, value->text.data, value->text.len);
            *p++ = ',';
            *p++ = ' ';
            ngx_memcpy(p, one.text.data, one.text.len);

            value->text = text;
        }
    }

#endif

    if (attribute->decode) {
        ngx_http_gray_attribute_decode(&value->text);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_given_scalar(ngx_http_gray_given_t *given,
    ngx_http_gray_attribute_t *attribute, const ngx_http_gray_json_t *node,
    ngx_http_gray_value_t *value)
{
    ngx_str_t  text;

    ngx_memzero(value, sizeof(ngx_http_gray_value_t));

    if (ngx_http_gray_json_type(node) == NGX_HTTP_GRAY_JSON_STRING) {
        value->text = ngx_http_gray_json_text(node);

        if (!attribute->decode) {
            return NGX_OK;
        }

        /* that is done in place */

        value->text.data = ngx_pstrdup(given->pool, &value->text);

    } else {
        if (ngx_http_gray_json_print(node, 0, &text) != NGX_OK) {
            return NGX_ERROR;
        }

        value->text.len = text.len;
        value->text.data = ngx_pstrdup(given->pool, &text);
        free(text.data);
    }

    return value->text.data ? NGX_OK : NGX_ERROR;
}


/* by the address that is given */

static ngx_int_t
ngx_http_gray_given_geo(ngx_http_gray_given_t *given,
    ngx_http_gray_attribute_t *attribute, ngx_http_gray_value_t *value)
{
    ngx_str_t              *name;
    ngx_http_gray_value_t   address;

    static ngx_str_t  client = ngx_string("$remote_addr");

    name = attribute->of.len ? &attribute->of : &client;

    ngx_memzero(&address, sizeof(ngx_http_gray_value_t));
    address.text = ngx_http_gray_given_text(given, (char *) name->data);

    if (address.text.len == 0) {
        return NGX_DECLINED;
    }

    return ngx_http_gray_attribute_locate(attribute, &address, value);
}


static ngx_int_t
ngx_http_gray_given_device(ngx_http_gray_given_t *given,
    ngx_http_gray_attribute_t *attribute, ngx_http_gray_value_t *value)
{
    ngx_str_t  mobile, platform, agent, *device;

    if (attribute->of.len) {
        ngx_str_null(&mobile);
        ngx_str_null(&platform);
        agent = ngx_http_gray_given_text(given, (char *) attribute->of.data);

    } else {
        mobile = ngx_http_gray_given_text(given, "$http_sec_ch_ua_mobile");
        platform = ngx_http_gray_given_text(given, "$http_sec_ch_ua_platform");
        agent = ngx_http_gray_given_text(given, "$http_user_agent");
    }

    device = ngx_http_gray_device(&mobile, &platform, &agent);

    if (device == NULL) {
        return NGX_DECLINED;
    }

    value->text = *device;

    return NGX_OK;
}


/* of several the first; empty where it is not given as a string */

static ngx_str_t
ngx_http_gray_given_text(ngx_http_gray_given_t *given, const char *name)
{
    ngx_str_t                    key;
    const ngx_http_gray_json_t  *node;

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);

    node = ngx_http_gray_given_find(given, &key);

    if (ngx_http_gray_json_type(node) == NGX_HTTP_GRAY_JSON_ARRAY) {
        node = ngx_http_gray_json_first(node);
    }

    return ngx_http_gray_json_text(node);
}
