
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_declare.h"


/* an operator of "match": what it is in JSON */

typedef struct {
    const char                 *word;
    const char                 *one;         /* for one value, or NULL */
    const char                 *many;        /* for an array, or NULL */
    unsigned                    number:1;
    unsigned                    nothing:1;   /* takes no value */
    unsigned                    ignore_case:1;
    unsigned                    negate:1;
} ngx_http_gray_word_t;


static ngx_int_t ngx_http_gray_declare_cookie_parameter(ngx_conf_t *cf,
    ngx_http_gray_json_t *cookie, ngx_str_t *value);
static ngx_http_gray_json_t *ngx_http_gray_declare_percent(ngx_str_t *value);
static ngx_int_t ngx_http_gray_declare_condition(ngx_conf_t *cf,
    ngx_http_gray_json_t *all, ngx_str_t *word, ngx_uint_t n);
static ngx_http_gray_json_t *ngx_http_gray_declare_test(
    ngx_http_gray_word_t *op, ngx_str_t *value, ngx_uint_t n);
static ngx_int_t ngx_http_gray_declare_when(ngx_http_gray_json_t *rule);
static ngx_int_t ngx_http_gray_declare_own_place(ngx_conf_t *cf,
    ngx_http_gray_declare_t *block);


static ngx_http_gray_word_t  ngx_http_gray_words[] = {
    { "=", "eq", "in", 0, 0, 0, 0 },
    { "!=", "ne", "not_in", 0, 0, 0, 0 },
    { "~", "regex", "regex", 0, 0, 0, 0 },
    { "~*", "regex", "regex", 0, 0, 1, 0 },
    { "!~", "regex", "regex", 0, 0, 0, 1 },
    { "!~*", "regex", "regex", 0, 0, 1, 1 },
    { "in", NULL, "in", 0, 0, 0, 0 },
    { "!in", NULL, "not_in", 0, 0, 0, 0 },
    { "prefix", "prefix", "prefix", 0, 0, 0, 0 },
    { "suffix", "suffix", "suffix", 0, 0, 0, 0 },
    { "cidr", "cidr", "cidr", 0, 0, 0, 0 },
    { "<", "lt", NULL, 1, 0, 0, 0 },
    { "<=", "lte", NULL, 1, 0, 0, 0 },
    { ">", "gt", NULL, 1, 0, 0, 0 },
    { ">=", "gte", NULL, 1, 0, 0, 0 },
    { "version_lt", "version_lt", NULL, 0, 0, 0, 0 },
    { "version_lte", "version_lte", NULL, 0, 0, 0, 0 },
    { "version_gt", "version_gt", NULL, 0, 0, 0, 0 },
    { "version_gte", "version_gte", NULL, 0, 0, 0, 0 },
    { "in_list", "in_list", NULL, 0, 0, 0, 0 },
    { "cidr_list", "cidr_list", NULL, 0, 0, 0, 0 },
    { "exists", "exists", NULL, 0, 1, 0, 0 },
    { NULL, NULL, NULL, 0, 0, 0, 0 }
};


static ngx_str_t  ngx_http_gray_cookie_flags[] = {
    ngx_string("secure"),
    ngx_string("httponly"),
    ngx_null_string
};


static ngx_str_t  ngx_http_gray_cookie_values[] = {
    ngx_string("expires="),
    ngx_string("domain="),
    ngx_string("path="),
    ngx_string("samesite="),
    ngx_null_string
};


char *
ngx_http_gray_declare_zone_name(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_gray_declare_t *block = conf;

    ngx_str_t  *value;

    if (block->release->zone_name.len) {
        return "is duplicate";
    }

    value = cf->args->elts;
    block->release->zone_name = value[1];

    return NGX_CONF_OK;
}


char *
ngx_http_gray_declare_text(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *rv;

    rv = ngx_conf_set_str_slot(cf, cmd, conf);

    if (rv == NGX_CONF_OK
        && ngx_http_gray_declare_own_place(cf, conf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return rv;
}


char *
ngx_http_gray_declare_hash(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_gray_declare_t *block = conf;

    ngx_str_t             *value;
    ngx_uint_t             i;
    ngx_http_gray_json_t  *hash;

    if (ngx_http_gray_json_get(block->input, "hash")) {
        return "is duplicate";
    }

    value = cf->args->elts;
    hash = ngx_http_gray_json_array();

    for (i = 1; hash && i < cf->args->nelts; i++) {
        if (ngx_http_gray_json_append(hash,
                                      ngx_http_gray_json_string(value[i].data,
                                                                value[i].len))
            != NGX_OK)
        {
            ngx_http_gray_json_free(hash);
            hash = NULL;
        }
    }

    if (ngx_http_gray_json_set(block->input, "hash", hash) != NGX_OK
        || ngx_http_gray_declare_own_place(cf, block) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_gray_declare_cookie(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_gray_declare_t *block = conf;

    ngx_str_t             *value;
    ngx_uint_t             i;
    ngx_http_gray_json_t  *cookie;

    if (ngx_http_gray_json_get(block->input, "cookie")) {
        return "is duplicate";
    }

    value = cf->args->elts;
    cookie = ngx_http_gray_json_object();

    if (ngx_http_gray_json_set(block->input, "cookie", cookie) != NGX_OK
        || ngx_http_gray_json_set(cookie, "name",
                                  ngx_http_gray_json_string(value[1].data,
                                                            value[1].len))
           != NGX_OK
        || ngx_http_gray_declare_own_place(cf, block) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_gray_declare_cookie_parameter(cf, cookie, &value[i])
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_gray_declare_cookie_parameter(ngx_conf_t *cf,
    ngx_http_gray_json_t *cookie, ngx_str_t *value)
{
    char        name[16];
    size_t      len;
    ngx_str_t  *s;

    for (s = ngx_http_gray_cookie_flags; s->len; s++) {

        if (value->len == s->len
            && ngx_strncmp(value->data, s->data, s->len) == 0)
        {
            if (ngx_http_gray_json_get(cookie, (char *) s->data)) {
                goto duplicate;
            }

            return ngx_http_gray_json_set(cookie, (char *) s->data,
                                          ngx_http_gray_json_boolean(1));
        }
    }

    for (s = ngx_http_gray_cookie_values; s->len; s++) {

        if (ngx_strncmp(value->data, s->data, s->len) != 0) {
            continue;
        }

        len = s->len - 1;
        ngx_memcpy(name, s->data, len);
        name[len] = '\0';

        if (ngx_http_gray_json_get(cookie, name)) {
            goto duplicate;
        }

        return ngx_http_gray_json_set(cookie, name,
                          ngx_http_gray_json_string(value->data + s->len,
                                                    value->len - s->len));
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of \"cookie\", must be "
                       "expires=TIME, domain=DOMAIN, path=PATH, secure, "
                       "httponly or samesite=lax|strict|none", value);

    return NGX_ERROR;

duplicate:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "duplicate parameter \"%V\" of \"cookie\"", value);

    return NGX_ERROR;
}


char *
ngx_http_gray_declare_variant(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_gray_declare_t *block = conf;

    u_char                *p, ch;
    ngx_str_t             *value, pointer;
    ngx_uint_t             i;
    ngx_http_gray_json_t  *variants, *variant, *weight;

    value = cf->args->elts;

    variants = ngx_http_gray_json_get(block->input, "variants");

    if (variants == NULL) {
        variants = ngx_http_gray_json_object();

        if (ngx_http_gray_json_set(block->input, "variants", variants)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_http_gray_json_get(variants, (char *) value[1].data)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "duplicate variant \"%V\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    variant = ngx_http_gray_json_object();

    /* as a token of a JSON Pointer, in which "~" and "/" are escaped */

    pointer.data = ngx_pnalloc(cf->pool,
                               sizeof("/variants/") - 1 + 2 * value[1].len);

    if (pointer.data == NULL
        || ngx_http_gray_json_set(variants, (char *) value[1].data, variant)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    p = ngx_cpymem(pointer.data, "/variants/", sizeof("/variants/") - 1);

    for (i = 0; i < value[1].len; i++) {
        ch = value[1].data[i];

        if (ch == '~' || ch == '/') {
            *p++ = '~';
            ch = (ch == '~') ? '0' : '1';
        }

        *p++ = ch;
    }

    pointer.len = p - pointer.data;

    if (ngx_http_gray_declare_place(cf, block, &pointer) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "weight=", 7) == 0) {

            weight = ngx_http_gray_declare_percent(&value[i]);

            if (weight == NULL || ngx_http_gray_json_get(variant, "weight")) {
                ngx_http_gray_json_free(weight);
                goto invalid;
            }

            if (ngx_http_gray_json_set(variant, "weight", weight) != NGX_OK) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (i > 2) {
            goto invalid;
        }

        if (ngx_http_gray_json_set(variant, "upstream",
                                   ngx_http_gray_json_string(value[i].data,
                                                             value[i].len))
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of variant \"%V\", must be "
                       "an upstream, then weight=N%% from 0%% to 100%%",
                       &value[i], &value[1]);

    return NGX_CONF_ERROR;
}


/* "weight=12.5%" as a number; NULL for what is none */

static ngx_http_gray_json_t *
ngx_http_gray_declare_percent(ngx_str_t *value)
{
    size_t  len;

    len = value->len - (sizeof("weight=") - 1);

    if (len < 2 || value->data[value->len - 1] != '%') {
        return NULL;
    }

    return ngx_http_gray_declare_number(value->data + sizeof("weight=") - 1,
                                     len - 1);
}


ngx_http_gray_json_t *
ngx_http_gray_declare_number(u_char *data, size_t len)
{
    ngx_http_gray_json_t        *number;
    ngx_http_gray_json_error_t   err;

    number = ngx_http_gray_json_parse(data, len, &err);

    if (number
        && ngx_http_gray_json_type(number) != NGX_HTTP_GRAY_JSON_NUMBER)
    {
        ngx_http_gray_json_free(number);
        number = NULL;
    }

    return number;
}


/* match VARIANT ATTRIBUTE OP VALUE... [and ATTRIBUTE OP VALUE...] [name=R] */

char *
ngx_http_gray_declare_match(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_gray_declare_t *block = conf;

    ngx_str_t             *value, pointer;
    ngx_uint_t             i, start, last;
    ngx_http_gray_json_t  *rules, *rule, *all;

    value = cf->args->elts;
    last = cf->args->nelts;

    rules = ngx_http_gray_json_get(block->input, "rules");

    if (rules == NULL) {
        rules = ngx_http_gray_json_array();

        if (ngx_http_gray_json_set(block->input, "rules", rules) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    pointer.data = ngx_pnalloc(cf->pool,
                               sizeof("/rules/") - 1 + NGX_INT_T_LEN);
    if (pointer.data == NULL) {
        return NGX_CONF_ERROR;
    }

    pointer.len = ngx_sprintf(pointer.data, "/rules/%ui",
                              ngx_http_gray_json_count(rules))
                  - pointer.data;

    rule = ngx_http_gray_json_object();

    if (ngx_http_gray_json_append(rules, rule) != NGX_OK
        || ngx_http_gray_declare_place(cf, block, &pointer) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_strncmp(value[last - 1].data, "name=", 5) == 0) {
        last--;

        if (ngx_http_gray_json_set(rule, "name",
                              ngx_http_gray_json_string(value[last].data + 5,
                                                        value[last].len - 5))
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    all = ngx_http_gray_json_array();

    if (ngx_http_gray_json_set(rule, "when", all) != NGX_OK
        || ngx_http_gray_json_set(rule, "variant",
                                  ngx_http_gray_json_string(value[1].data,
                                                            value[1].len))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 2, start = 2; i <= last; i++) {

        if (i < last && ngx_strcmp(value[i].data, "and") != 0) {
            continue;
        }

        if (ngx_http_gray_declare_condition(cf, all, &value[start], i - start)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

        start = i + 1;
    }

    if (ngx_http_gray_declare_when(rule) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* appends the condition as an object of one member */

static ngx_int_t
ngx_http_gray_declare_condition(ngx_conf_t *cf, ngx_http_gray_json_t *all,
    ngx_str_t *word, ngx_uint_t n)
{
    ngx_http_gray_json_t  *condition, *test, *not;
    ngx_http_gray_word_t  *op;

    op = NULL;

    if (n >= 2) {
        for (op = ngx_http_gray_words; op->word; op++) {
            if (ngx_strcmp(op->word, word[1].data) == 0) {
                break;
            }
        }
    }

    if (op == NULL || op->word == NULL
        || (op->nothing ? n != 2 : n < 3)
        || (op->many == NULL && n > 3))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid condition \"%s %s\" in \"match\", must "
                           "be ATTRIBUTE OPERATOR VALUE, where the operator "
                           "is one of = != ~ ~* !~ !~* in !in prefix suffix "
                           "cidr < <= > >= version_lt version_lte version_gt "
                           "version_gte in_list cidr_list with a value, or "
                           "exists with none",
                           n ? (char *) word[0].data : "",
                           n > 1 ? (char *) word[1].data : "");
        return NGX_ERROR;
    }

    test = ngx_http_gray_declare_test(op, word + 2, n - 2);

    if (test == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" of \"%V %V\" in \"match\", "
                           "must be a number",
                           &word[2], &word[0], &word[1]);
        return NGX_ERROR;
    }

    condition = ngx_http_gray_json_object();

    if (ngx_http_gray_json_set(condition, (char *) word[0].data, test)
        != NGX_OK)
    {
        ngx_http_gray_json_free(condition);
        return NGX_ERROR;
    }

    if (op->negate) {
        not = ngx_http_gray_json_object();

        if (ngx_http_gray_json_set(not, "not", condition) != NGX_OK) {
            ngx_http_gray_json_free(not);
            return NGX_ERROR;
        }

        condition = not;
    }

    return ngx_http_gray_json_append(all, condition);
}


static ngx_http_gray_json_t *
ngx_http_gray_declare_test(ngx_http_gray_word_t *op, ngx_str_t *value,
    ngx_uint_t n)
{
    ngx_uint_t             i;
    ngx_http_gray_json_t  *test, *operand;

    if (op->nothing) {
        operand = ngx_http_gray_json_boolean(1);

    } else if (op->number) {
        operand = ngx_http_gray_declare_number(value[0].data, value[0].len);

    } else if (n == 1 && op->one) {
        operand = ngx_http_gray_json_string(value[0].data, value[0].len);

        if (ngx_strcmp(op->one, "eq") == 0) {
            return operand;
        }

    } else {
        operand = ngx_http_gray_json_array();

        for (i = 0; operand && i < n; i++) {
            if (ngx_http_gray_json_append(operand,
                                    ngx_http_gray_json_string(value[i].data,
                                                              value[i].len))
                != NGX_OK)
            {
                ngx_http_gray_json_free(operand);
                operand = NULL;
            }
        }
    }

    test = ngx_http_gray_json_object();

    if (ngx_http_gray_json_set(test, (n > 1 || op->one == NULL) ? op->many
                                                                : op->one,
                               operand)
        != NGX_OK
        || (op->ignore_case
            && ngx_http_gray_json_set(test, "ignore_case",
                                      ngx_http_gray_json_boolean(1))
               != NGX_OK))
    {
        ngx_http_gray_json_free(test);
        return NULL;
    }

    return test;
}


/* one object, where no member comes twice; else all of them */

static ngx_int_t
ngx_http_gray_declare_when(ngx_http_gray_json_t *rule)
{
    ngx_uint_t             twice;
    ngx_http_gray_json_t  *all, *item, *when, *member;

    all = ngx_http_gray_json_get(rule, "when");
    when = ngx_http_gray_json_object();
    twice = 0;

    for (item = ngx_http_gray_json_first(all);
         when && item;
         item = ngx_http_gray_json_next(item))
    {
        member = ngx_http_gray_json_first(item);

        if (ngx_http_gray_json_get(when, ngx_http_gray_json_key(member))) {
            twice = 1;
            break;
        }

        if (ngx_http_gray_json_set(when, ngx_http_gray_json_key(member),
                                   ngx_http_gray_json_copy(member))
            != NGX_OK)
        {
            ngx_http_gray_json_free(when);
            return NGX_ERROR;
        }
    }

    if (twice) {
        ngx_http_gray_json_free(when);
        when = ngx_http_gray_json_object();

        if (ngx_http_gray_json_set(when, "all", ngx_http_gray_json_copy(all))
            != NGX_OK)
        {
            ngx_http_gray_json_free(when);
            return NGX_ERROR;
        }
    }

    return ngx_http_gray_json_set(rule, "when", when);
}


ngx_int_t
ngx_http_gray_declare_place(ngx_conf_t *cf, ngx_http_gray_declare_t *block,
    ngx_str_t *pointer)
{
    u_char                 *p, *last;
    size_t                  n;
    ngx_str_t              *value;
    ngx_uint_t              i;
    ngx_http_gray_place_t  *place;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        last = value[i].data + value[i].len;

        for (p = value[i].data; p < last; p += n) {
            n = ngx_http_gray_scan_utf8(p, last);

            if (n == 0) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid \"%V\" in gray_release \"%V\": "
                                   "\"%V\" is not UTF-8", &value[0],
                                   &block->release->name, &value[i]);
                return NGX_ERROR;
            }
        }
    }

    place = ngx_array_push(&block->places);
    if (place == NULL) {
        return NGX_ERROR;
    }

    place->pointer = *pointer;
    place->directive = value[0];
    place->file = cf->conf_file->file.name.data;
    place->line = cf->conf_file->line;

    return NGX_OK;
}


/* the pointer to the member whose name is that of the directive */

static ngx_int_t
ngx_http_gray_declare_own_place(ngx_conf_t *cf, ngx_http_gray_declare_t *block)
{
    ngx_str_t  *value, pointer;

    value = cf->args->elts;

    pointer.len = value[0].len + 1;
    pointer.data = ngx_pnalloc(cf->pool, pointer.len);
    if (pointer.data == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(pointer.data, "/%V", &value[0]);

    return ngx_http_gray_declare_place(cf, block, &pointer);
}
