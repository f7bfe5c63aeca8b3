
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The ramp: the block "rollout" of gray_release, as the member "rollout" of
 * the document.  What is judged there is not judged here: a word is only made
 * a member, and where that is so is noted for errors.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_ramp.h"


typedef enum {
    NGX_HTTP_GRAY_RAMP_TEXT = 0,
    NGX_HTTP_GRAY_RAMP_NUMBER,
    NGX_HTTP_GRAY_RAMP_TEXTS,               /* an array */
    NGX_HTTP_GRAY_RAMP_NUMBERS,
    NGX_HTTP_GRAY_RAMP_EITHER,              /* a text, or an array of them */
    NGX_HTTP_GRAY_RAMP_FLAG                 /* has no value */
} ngx_http_gray_ramp_e;


typedef struct {
    ngx_str_t                   name;       /* with a NUL */
    ngx_http_gray_ramp_e        type;
} ngx_http_gray_ramp_word_t;


static ngx_http_gray_json_t *ngx_http_gray_ramp_item(ngx_conf_t *cf,
    ngx_http_gray_declare_t *block, const char *member);
static ngx_int_t ngx_http_gray_ramp_place(ngx_conf_t *cf,
    ngx_http_gray_declare_t *block, const char *member, ngx_uint_t index);
static ngx_int_t ngx_http_gray_ramp_words(ngx_conf_t *cf,
    ngx_http_gray_json_t *object, ngx_uint_t i,
    const ngx_http_gray_ramp_word_t *words);
static ngx_int_t ngx_http_gray_ramp_word(ngx_conf_t *cf,
    ngx_http_gray_json_t *object, ngx_str_t *value,
    const ngx_http_gray_ramp_word_t *words);
static const ngx_http_gray_ramp_word_t *ngx_http_gray_ramp_find(
    ngx_str_t *value, const ngx_http_gray_ramp_word_t *words);
static ngx_http_gray_json_t *ngx_http_gray_ramp_value(
    ngx_http_gray_ramp_e type, u_char *data, size_t len);
static ngx_http_gray_json_t *ngx_http_gray_ramp_list(
    ngx_http_gray_ramp_e type, u_char *data, size_t len);
static ngx_int_t ngx_http_gray_ramp_unknown(ngx_conf_t *cf, ngx_str_t *value,
    const ngx_http_gray_ramp_word_t *words);


static const ngx_http_gray_ramp_word_t  ngx_http_gray_ramp_step_words[] = {
    { ngx_string("hold"), NGX_HTTP_GRAY_RAMP_TEXT },
    { ngx_string("max_hold"), NGX_HTTP_GRAY_RAMP_TEXT },
    { ngx_string("warmup"), NGX_HTTP_GRAY_RAMP_TEXT },
    { ngx_string("min_requests"), NGX_HTTP_GRAY_RAMP_NUMBER },
    { ngx_string("gate"), NGX_HTTP_GRAY_RAMP_TEXT },
    { ngx_null_string, 0 }
};


static const ngx_http_gray_ramp_word_t  ngx_http_gray_ramp_guard_words[] = {
    { ngx_string("bad"), NGX_HTTP_GRAY_RAMP_EITHER },
    { ngx_string("max_ratio"), NGX_HTTP_GRAY_RAMP_NUMBER },
    { ngx_string("floor"), NGX_HTTP_GRAY_RAMP_NUMBER },
    { ngx_string("max"), NGX_HTTP_GRAY_RAMP_NUMBER },
    { ngx_string("quantiles"), NGX_HTTP_GRAY_RAMP_NUMBERS },
    { ngx_string("min_delta"), NGX_HTTP_GRAY_RAMP_TEXT },
    { ngx_string("slower_than"), NGX_HTTP_GRAY_RAMP_TEXT },
    { ngx_string("sample_ratio"), NGX_HTTP_GRAY_RAMP_FLAG },
    { ngx_string("action"), NGX_HTTP_GRAY_RAMP_TEXT },
    { ngx_string("if_baseline_bad"), NGX_HTTP_GRAY_RAMP_TEXT },
    { ngx_null_string, 0 }
};


static const ngx_http_gray_ramp_word_t  ngx_http_gray_ramp_window_words[] = {
    { ngx_string("after"), NGX_HTTP_GRAY_RAMP_TEXT },
    { ngx_string("before"), NGX_HTTP_GRAY_RAMP_TEXT },
    { ngx_string("days"), NGX_HTTP_GRAY_RAMP_TEXTS },
    { ngx_string("from"), NGX_HTTP_GRAY_RAMP_TEXT },
    { ngx_string("to"), NGX_HTTP_GRAY_RAMP_TEXT },
    { ngx_string("utc_offset"), NGX_HTTP_GRAY_RAMP_TEXT },
    { ngx_null_string, 0 }
};


static const ngx_http_gray_ramp_word_t  ngx_http_gray_ramp_notify_words[] = {
    { ngx_string("on"), NGX_HTTP_GRAY_RAMP_TEXTS },
    { ngx_null_string, 0 }
};


char *
ngx_http_gray_ramp_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_gray_declare_t *block = conf;

    char                  *rv;
    ngx_str_t             *value;
    ngx_conf_t             save;
    ngx_http_gray_json_t  *rollout;

    if (ngx_http_gray_json_get(block->input, "rollout")) {
        return "is duplicate";
    }

    value = cf->args->elts;
    rollout = ngx_http_gray_json_object();

    if (ngx_http_gray_json_set(block->input, "rollout", rollout) != NGX_OK
        || ngx_http_gray_json_set(rollout, "variant",
                                  ngx_http_gray_json_string(value[1].data,
                                                            value[1].len))
           != NGX_OK
        || ngx_http_gray_ramp_place(cf, block, NULL, 0) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    save = *cf;
    cf->cmd_type = NGX_HTTP_GRAY_RAMP_CONF;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    return rv;
}


char *
ngx_http_gray_ramp_text(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_gray_declare_t *block = conf;

    ngx_str_t             *value;
    ngx_http_gray_json_t  *rollout;

    value = cf->args->elts;
    rollout = ngx_http_gray_json_get(block->input, "rollout");

    if (ngx_http_gray_json_get(rollout, (char *) value[0].data)) {
        return "is duplicate";
    }

    if (ngx_http_gray_json_set(rollout, (char *) value[0].data,
                               ngx_http_gray_json_string(value[1].data,
                                                         value[1].len))
        != NGX_OK
        || ngx_http_gray_ramp_place(cf, block, (char *) value[0].data, 0)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_gray_ramp_number(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_gray_declare_t *block = conf;

    ngx_str_t             *value;
    ngx_http_gray_json_t  *rollout, *number;

    value = cf->args->elts;
    rollout = ngx_http_gray_json_get(block->input, "rollout");

    if (ngx_http_gray_json_get(rollout, (char *) value[0].data)) {
        return "is duplicate";
    }

    number = ngx_http_gray_declare_number(value[1].data, value[1].len);

    if (number == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" of \"%V\", must be a number",
                           &value[1], &value[0]);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_gray_json_set(rollout, (char *) value[0].data, number)
        != NGX_OK
        || ngx_http_gray_ramp_place(cf, block, (char *) value[0].data, 0)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_gray_ramp_step(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_gray_declare_t *block = conf;

    ngx_str_t             *value;
    ngx_http_gray_json_t  *step, *weight;

    value = cf->args->elts;
    step = ngx_http_gray_ramp_item(cf, block, "steps");

    if (step == NULL) {
        return NGX_CONF_ERROR;
    }

    weight = NULL;

    if (value[1].len > 1 && value[1].data[value[1].len - 1] == '%') {
        weight = ngx_http_gray_declare_number(value[1].data,
                                              value[1].len - 1);
    }

    if (weight == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid weight \"%V\" of \"step\", must be a "
                           "number from 0%% to 100%%, as \"5%%\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_gray_json_set(step, "weight", weight) != NGX_OK
        || ngx_http_gray_ramp_words(cf, step, 2,
                                    ngx_http_gray_ramp_step_words)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_gray_ramp_guard(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_gray_declare_t *block = conf;

    ngx_str_t             *value;
    ngx_http_gray_json_t  *guards, *guard;

    guards = ngx_http_gray_json_get(ngx_http_gray_json_get(block->input,
                                                           "rollout"),
                                    "guards");

    if (guards && ngx_http_gray_json_first(guards) == NULL) {
        return "does not go with \"guards off\"";
    }

    value = cf->args->elts;
    guard = ngx_http_gray_ramp_item(cf, block, "guards");

    if (guard == NULL
        || ngx_http_gray_json_set(guard, "name",
                                  ngx_http_gray_json_string(value[1].data,
                                                            value[1].len))
           != NGX_OK
        || ngx_http_gray_ramp_words(cf, guard, 2,
                                    ngx_http_gray_ramp_guard_words)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_gray_ramp_guards(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_gray_declare_t *block = conf;

    ngx_str_t             *value;
    ngx_http_gray_json_t  *rollout, *guards;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" of \"guards\", must be "
                           "\"off\": each guard has a directive \"guard\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    rollout = ngx_http_gray_json_get(block->input, "rollout");
    guards = ngx_http_gray_json_get(rollout, "guards");

    if (guards) {
        return ngx_http_gray_json_first(guards)
               ? "does not go with \"guard\"" : "is duplicate";
    }

    if (ngx_http_gray_json_set(rollout, "guards", ngx_http_gray_json_array())
        != NGX_OK
        || ngx_http_gray_ramp_place(cf, block, "guards", 0) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_gray_ramp_window(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_gray_json_t  *window;

    window = ngx_http_gray_ramp_item(cf, conf, "windows");

    if (window == NULL
        || ngx_http_gray_ramp_words(cf, window, 1,
                                    ngx_http_gray_ramp_window_words)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_gray_ramp_notify(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t             *value;
    ngx_http_gray_json_t  *hook;

    value = cf->args->elts;
    hook = ngx_http_gray_ramp_item(cf, conf, "notify");

    if (hook == NULL
        || ngx_http_gray_json_set(hook, "url",
                                  ngx_http_gray_json_string(value[1].data,
                                                            value[1].len))
           != NGX_OK
        || ngx_http_gray_ramp_words(cf, hook, 2,
                                    ngx_http_gray_ramp_notify_words)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* another object in the array of that name, and its place; NULL (memory) */

static ngx_http_gray_json_t *
ngx_http_gray_ramp_item(ngx_conf_t *cf, ngx_http_gray_declare_t *block,
    const char *member)
{
    ngx_uint_t             n;
    ngx_http_gray_json_t  *rollout, *array, *item;

    rollout = ngx_http_gray_json_get(block->input, "rollout");
    array = ngx_http_gray_json_get(rollout, member);

    if (array == NULL) {
        array = ngx_http_gray_json_array();

        if (ngx_http_gray_json_set(rollout, member, array) != NGX_OK) {
            return NULL;
        }
    }

    n = ngx_http_gray_json_count(array);
    item = ngx_http_gray_json_object();

    if (ngx_http_gray_json_append(array, item) != NGX_OK
        || ngx_http_gray_ramp_place(cf, block, member, n) != NGX_OK)
    {
        return NULL;
    }

    return item;
}


/* of the rollout, of a member of it, or of an item of an array */

static ngx_int_t
ngx_http_gray_ramp_place(ngx_conf_t *cf, ngx_http_gray_declare_t *block,
    const char *member, ngx_uint_t index)
{
    ngx_str_t              pointer;
    ngx_http_gray_json_t  *array;

    pointer.data = ngx_pnalloc(cf->pool,
                               sizeof("/rollout//") - 1 + NGX_INT_T_LEN
                               + (member ? ngx_strlen(member) : 0));
    if (pointer.data == NULL) {
        return NGX_ERROR;
    }

    pointer.len = ngx_sprintf(pointer.data, "/rollout%s%s", member ? "/" : "",
                              member ? member : "")
                  - pointer.data;

    array = member ? ngx_http_gray_json_get(
                         ngx_http_gray_json_get(block->input, "rollout"),
                         member)
                   : NULL;

    if (ngx_http_gray_json_first(array)) {
        pointer.len = ngx_sprintf(pointer.data + pointer.len, "/%ui", index)
                      - pointer.data;
    }

    return ngx_http_gray_declare_place(cf, block, &pointer);
}


/* NAME=VALUE words from word "i" on, each a member of the object */

static ngx_int_t
ngx_http_gray_ramp_words(ngx_conf_t *cf, ngx_http_gray_json_t *object,
    ngx_uint_t i, const ngx_http_gray_ramp_word_t *words)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    for ( /* void */ ; i < cf->args->nelts; i++) {
        if (ngx_http_gray_ramp_word(cf, object, &value[i], words) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_ramp_word(ngx_conf_t *cf, ngx_http_gray_json_t *object,
    ngx_str_t *value, const ngx_http_gray_ramp_word_t *words)
{
    size_t                            skip;
    ngx_str_t                        *directive;
    ngx_http_gray_json_t             *member;
    const ngx_http_gray_ramp_word_t  *word;

    directive = cf->args->elts;
    word = ngx_http_gray_ramp_find(value, words);

    if (word == NULL) {
        return ngx_http_gray_ramp_unknown(cf, value, words);
    }

    if (ngx_http_gray_json_get(object, (char *) word->name.data)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate parameter \"%V\" of \"%V\"", value,
                           directive);
        return NGX_ERROR;
    }

    skip = ngx_min(word->name.len + 1, value->len);
    member = ngx_http_gray_ramp_value(word->type, value->data + skip,
                                      value->len - skip);

    if (member == NULL
        && (word->type == NGX_HTTP_GRAY_RAMP_NUMBER
            || word->type == NGX_HTTP_GRAY_RAMP_NUMBERS))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"%V\", must be a "
                           "number%s", value, directive,
                           word->type == NGX_HTTP_GRAY_RAMP_NUMBERS
                           ? ", or several with \",\" between them" : "");
        return NGX_ERROR;
    }

    return ngx_http_gray_json_set(object, (char *) word->name.data, member);
}


static const ngx_http_gray_ramp_word_t *
ngx_http_gray_ramp_find(ngx_str_t *value,
    const ngx_http_gray_ramp_word_t *words)
{
    size_t  len;

    for ( /* void */ ; words->name.len; words++) {
        len = words->name.len;

        if (value->len < len
            || ngx_strncmp(value->data, words->name.data, len) != 0)
        {
            continue;
        }

        if (words->type == NGX_HTTP_GRAY_RAMP_FLAG ? value->len == len
                                                   : value->data[len] == '=')
        {
            return words;
        }
    }

    return NULL;
}


static ngx_http_gray_json_t *
ngx_http_gray_ramp_value(ngx_http_gray_ramp_e type, u_char *data, size_t len)
{
    switch (type) {

    case NGX_HTTP_GRAY_RAMP_FLAG:
        return ngx_http_gray_json_boolean(1);

    case NGX_HTTP_GRAY_RAMP_TEXT:
        return ngx_http_gray_json_string(data, len);

    case NGX_HTTP_GRAY_RAMP_NUMBER:
        return ngx_http_gray_declare_number(data, len);

    case NGX_HTTP_GRAY_RAMP_EITHER:

        if (ngx_strlchr(data, data + len, ',') == NULL) {
            return ngx_http_gray_json_string(data, len);
        }

        /* fall through */

    default:
        return ngx_http_gray_ramp_list(type, data, len);
    }
}


static ngx_http_gray_json_t *
ngx_http_gray_ramp_list(ngx_http_gray_ramp_e type, u_char *data, size_t len)
{
    u_char                *p, *last, *comma;
    ngx_http_gray_json_t  *array, *item;

    last = data + len;
    array = ngx_http_gray_json_array();

    for (p = data; array && p <= last; p = comma + 1) {
        comma = ngx_strlchr(p, last, ',');
        comma = comma ? comma : last;

        item = (type == NGX_HTTP_GRAY_RAMP_NUMBERS)
               ? ngx_http_gray_declare_number(p, comma - p)
               : ngx_http_gray_json_string(p, comma - p);

        if (ngx_http_gray_json_append(array, item) != NGX_OK) {
            ngx_http_gray_json_free(array);
            return NULL;
        }
    }

    return array;
}


static ngx_int_t
ngx_http_gray_ramp_unknown(ngx_conf_t *cf, ngx_str_t *value,
    const ngx_http_gray_ramp_word_t *words)
{
    u_char     *p, *last, accepted[256];
    ngx_str_t  *directive;

    directive = cf->args->elts;

    p = accepted;
    last = accepted + sizeof(accepted) - 1;

    for ( /* void */ ; words->name.len; words++) {
        p = ngx_slprintf(p, last, "%s%V%s", p == accepted ? "" : ", ",
                         &words->name,
                         words->type == NGX_HTTP_GRAY_RAMP_FLAG ? "" : "=");
    }

    *p = '\0';

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of \"%V\"; there are %s",
                       value, directive, accepted);

    return NGX_ERROR;
}
