
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_access.h"
#include "ngx_http_gray_location.h"
#include "ngx_http_gray_release.h"
#include "ngx_http_gray_reply.h"


static const ngx_http_gray_location_word_t *ngx_http_gray_location_word(
    const ngx_http_gray_location_word_t *words, ngx_str_t *value);
static char *ngx_http_gray_location_invalid(ngx_conf_t *cf,
    const ngx_http_gray_location_word_t *words, ngx_str_t *value);
static ngx_int_t ngx_http_gray_location_error_page(ngx_conf_t *cf,
    ngx_http_core_loc_conf_t *clcf);


void *
ngx_http_gray_location_create_conf(ngx_conf_t *cf)
{
    /* all is off and empty */

    return ngx_pcalloc(cf->pool, sizeof(ngx_http_gray_loc_conf_t));
}


char *
ngx_http_gray_location_set(ngx_conf_t *cf, ngx_http_gray_loc_conf_t *glcf,
    ngx_http_handler_pt handler, const ngx_http_gray_location_word_t *words)
{
    ngx_str_t                            *value;
    ngx_uint_t                            i, *flag;
    ngx_http_core_loc_conf_t             *clcf;
    const ngx_http_gray_location_word_t  *word;

    if (glcf->handler == handler) {
        return "is duplicate";
    }

    if (glcf->handler) {
        return "must be in a location of its own, without the other one of "
               "\"gray_admin\" and \"gray_metrics\"";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        word = ngx_http_gray_location_word(words, &value[i]);

        if (word == NULL) {
            return ngx_http_gray_location_invalid(cf, words, &value[i]);
        }

        flag = (ngx_uint_t *) ((u_char *) glcf + word->offset);

        if (*flag) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate parameter \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        *flag = 1;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    clcf->handler = handler;
    glcf->handler = handler;

    return NGX_CONF_OK;
}


static const ngx_http_gray_location_word_t *
ngx_http_gray_location_word(const ngx_http_gray_location_word_t *words,
    ngx_str_t *value)
{
    const ngx_http_gray_location_word_t  *word;

    for (word = words; word->name.len; word++) {

        if (word->name.len == value->len
            && ngx_strncmp(word->name.data, value->data, value->len) == 0)
        {
            return word;
        }
    }

    return NULL;
}


/* each directive has two words */

static char *
ngx_http_gray_location_invalid(ngx_conf_t *cf,
    const ngx_http_gray_location_word_t *words, ngx_str_t *value)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\", must be \"%V\" or \"%V\"",
                       value, &words[0].name, &words[1].name);

    return NGX_CONF_ERROR;
}


char *
ngx_http_gray_location_merge_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_gray_loc_conf_t *prev = parent;
    ngx_http_gray_loc_conf_t *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (prev->handler && conf->handler == NULL && clcf->noname) {
        *conf = *prev;

        if (clcf->lmt_excpt && clcf->handler == NULL) {
            clcf->handler = conf->handler;
        }
    }

    if (conf->handler == NULL) {
        return NGX_CONF_OK;
    }

    if (conf->names == NULL) {
        conf->names = ngx_http_gray_access_names(cf);

        if (conf->names == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (conf->bodies
        && ngx_http_gray_location_error_page(cf, clcf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/*
 * nginx refuses what is larger than client_max_body_size before a handler
 * can: as with "error_page 413", which is left alone where it is given, the
 * request comes back to the location and is answered by the module.
 */

static ngx_int_t
ngx_http_gray_location_error_page(ngx_conf_t *cf,
    ngx_http_core_loc_conf_t *clcf)
{
    ngx_uint_t            i, n;
    ngx_array_t          *pages;
    ngx_http_err_page_t  *page;

    page = NULL;
    n = 0;

    if (clcf->error_pages) {
        page = clcf->error_pages->elts;
        n = clcf->error_pages->nelts;
    }

    for (i = 0; i < n; i++) {
        if (page[i].status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
            return NGX_OK;
        }
    }

    /* the array may be that of other locations, too */

    pages = ngx_array_create(cf->pool, n + 1, sizeof(ngx_http_err_page_t));
    if (pages == NULL) {
        return NGX_ERROR;
    }

    if (n) {
        ngx_memcpy(ngx_array_push_n(pages, n), page,
                   n * sizeof(ngx_http_err_page_t));
    }

    page = ngx_array_push(pages);
    ngx_memzero(page, sizeof(ngx_http_err_page_t));

    page->status = NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    page->overwrite = -1;
    page->value.value = clcf->name;

    clcf->error_pages = pages;

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_location_enter(ngx_http_request_t *r, ngx_int_t *answer)
{
    const char                *why;
    ngx_http_gray_loc_conf_t  *glcf;

    glcf = ngx_http_get_module_loc_conf(r, ngx_http_gray_module);

    why = ngx_http_gray_access_denied(r, glcf->names, glcf->remote);

    if (why == NULL) {
        return NGX_OK;
    }

    /* in place of what nginx may have judged before */

    r->err_status = 0;

    *answer = ngx_http_gray_reply_problem(r, NGX_HTTP_FORBIDDEN, "%s", why);

    return NGX_DONE;
}
