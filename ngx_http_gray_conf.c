
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_admin.h"
#include "ngx_http_gray_conf.h"
#include "ngx_http_gray_cycle.h"
#include "ngx_http_gray_declare.h"
#include "ngx_http_gray_device.h"
#include "ngx_http_gray_history.h"
#include "ngx_http_gray_journals.h"
#include "ngx_http_gray_lists.h"
#include "ngx_http_gray_location.h"
#include "ngx_http_gray_metrics.h"
#include "ngx_http_gray_scan.h"
#include "ngx_http_gray_task.h"
#include "ngx_http_gray_upstream.h"
#include "ngx_http_gray_variables.h"


#define NGX_HTTP_GRAY_DOCUMENT      65536
#define NGX_HTTP_GRAY_DOCUMENT_MIN  1024
#define NGX_HTTP_GRAY_DOCUMENT_MAX  1048576
#define NGX_HTTP_GRAY_STATE_MAX     1024
#define NGX_HTTP_GRAY_KEEP          32
#define NGX_HTTP_GRAY_KEEP_MIN      2
#define NGX_HTTP_GRAY_KEEP_MAX      1000


/* of gray_zone; "set": NGX_OK, NGX_BUSY if it was given, or NGX_ERROR */

typedef struct {
    ngx_str_t                   name;
    ngx_int_t                 (*set)(ngx_conf_t *cf,
                                     ngx_http_gray_zone_t *zone,
                                     ngx_str_t *value);
} ngx_http_gray_conf_parameter_t;


static ngx_int_t ngx_http_gray_conf_zone_name(ngx_conf_t *cf,
    ngx_str_t *name);
static ngx_int_t ngx_http_gray_conf_parameter(ngx_conf_t *cf,
    ngx_http_gray_zone_t *zone, ngx_str_t *word);
static ngx_int_t ngx_http_gray_conf_document(ngx_conf_t *cf,
    ngx_http_gray_zone_t *zone, ngx_str_t *value);
static ngx_int_t ngx_http_gray_conf_state(ngx_conf_t *cf,
    ngx_http_gray_zone_t *zone, ngx_str_t *value);
static ngx_int_t ngx_http_gray_conf_history(ngx_conf_t *cf,
    ngx_http_gray_zone_t *zone, ngx_str_t *value);
static ngx_int_t ngx_http_gray_conf_stats(ngx_conf_t *cf,
    ngx_http_gray_zone_t *zone, ngx_str_t *value);
static ngx_int_t ngx_http_gray_conf_keep(ngx_conf_t *cf,
    ngx_http_gray_zone_t *zone);
static ngx_http_gray_declare_t *ngx_http_gray_conf_create_block(ngx_conf_t *cf,
    ngx_http_gray_main_conf_t *gmcf);
static void ngx_http_gray_conf_cleanup(void *data);
static char *ngx_http_gray_conf_finish(ngx_conf_t *cf,
    ngx_http_gray_declare_t *block);
static ngx_int_t ngx_http_gray_conf_complete(ngx_conf_t *cf,
    ngx_http_gray_declare_t *block);
static ngx_int_t ngx_http_gray_conf_string(ngx_http_gray_declare_t *block,
    const char *member, ngx_str_t *value);
static ngx_int_t ngx_http_gray_conf_read(ngx_conf_t *cf,
    ngx_http_gray_declare_t *block);
static ngx_int_t ngx_http_gray_conf_addresses(ngx_conf_t *cf,
    ngx_http_gray_declare_t *block, ngx_http_gray_json_t *variants);
static void ngx_http_gray_conf_fault(ngx_conf_t *cf,
    ngx_http_gray_declare_t *block, ngx_http_gray_fault_t *fault);
static ngx_http_gray_zone_t *ngx_http_gray_conf_find_zone(
    ngx_http_gray_main_conf_t *gmcf, ngx_str_t *name);


static const ngx_http_gray_location_word_t  ngx_http_gray_admin_words[] = {
    { ngx_string("readonly"), offsetof(ngx_http_gray_loc_conf_t, readonly) },
    { ngx_string("remote"), offsetof(ngx_http_gray_loc_conf_t, remote) },
    { ngx_null_string, 0 }
};


static const ngx_http_gray_location_word_t  ngx_http_gray_metrics_words[] = {
    { ngx_string("remote"), offsetof(ngx_http_gray_loc_conf_t, remote) },
    { ngx_string("ingress_nginx"), offsetof(ngx_http_gray_loc_conf_t, alias) },
    { ngx_null_string, 0 }
};


static ngx_http_gray_conf_parameter_t  ngx_http_gray_zone_parameters[] = {
    { ngx_string("document="), ngx_http_gray_conf_document },
    { ngx_string("state="), ngx_http_gray_conf_state },
    { ngx_string("history="), ngx_http_gray_conf_history },
    { ngx_string("stats="), ngx_http_gray_conf_stats },
    { ngx_null_string, NULL }
};


void *
ngx_http_gray_conf_create_main(ngx_conf_t *cf)
{
    ngx_http_gray_main_conf_t  *gmcf;

    gmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_gray_main_conf_t));
    if (gmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&gmcf->releases, cf->pool, 4, sizeof(void *)) != NGX_OK
        || ngx_array_init(&gmcf->zones, cf->pool, 1, sizeof(void *)) != NGX_OK
        || ngx_array_init(&gmcf->blocks, cf->pool, 4, sizeof(void *))
           != NGX_OK)
    {
        return NULL;
    }

    /* what comes of it is known when zones are made */

    gmcf->core = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                                  ngx_core_module);

    /* here, as workers that come of it share the table then */

    ngx_http_gray_device_init();

    return gmcf;
}


char *
ngx_http_gray_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_gray_main_conf_t *gmcf = conf;

    ssize_t                size;
    ngx_str_t             *value;
    ngx_uint_t             i;
    ngx_http_gray_zone_t  *zone, **slot;

    value = cf->args->elts;

    if (ngx_http_gray_conf_zone_name(cf, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    size = ngx_parse_size(&value[2]);

    if (size == NGX_ERROR || size < (ssize_t) (8 * ngx_pagesize)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" of gray_zone \"%V\", must be "
                           "a size of at least %uzk", &value[2], &value[1],
                           8 * ngx_pagesize / 1024);
        return NGX_CONF_ERROR;
    }

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_http_gray_zone_t));
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->stats = NGX_CONF_UNSET_UINT;

    for (i = 3; i < cf->args->nelts; i++) {
        if (ngx_http_gray_conf_parameter(cf, zone, &value[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    zone->shm_zone = ngx_shared_memory_add(cf, &value[1], size,
                                           &ngx_http_gray_module);
    if (zone->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    if (zone->shm_zone->data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "duplicate gray_zone \"%V\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    slot = ngx_array_push(&gmcf->zones);
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = zone;

    if (zone->document == 0) {
        zone->document = NGX_HTTP_GRAY_DOCUMENT;
    }

    if (zone->stats == NGX_CONF_UNSET_UINT) {
        zone->stats = 1;
    }

    zone->data = gmcf;

    if (ngx_http_gray_conf_keep(cf, zone) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    zone->shm_zone->data = zone;
    zone->shm_zone->init = ngx_http_gray_cycle_init_zone;

    return NGX_CONF_OK;
}


/* a scrape with a label that is not UTF-8 would be refused as a whole */

static ngx_int_t
ngx_http_gray_conf_zone_name(ngx_conf_t *cf, ngx_str_t *name)
{
    size_t   n;
    u_char  *p, *last;

    last = name->data + name->len;

    for (p = name->data; p < last; p += n) {
        n = ngx_http_gray_scan_utf8(p, last);

        if (n == 0) {
            break;
        }
    }

    if (name->len && p == last) {
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid name \"%V\" of gray_zone, must be UTF-8, and "
                       "not empty", name);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_gray_conf_parameter(ngx_conf_t *cf, ngx_http_gray_zone_t *zone,
    ngx_str_t *word)
{
    ngx_int_t                        rc;
    ngx_str_t                        value;
    ngx_http_gray_conf_parameter_t  *parameter;

    for (parameter = ngx_http_gray_zone_parameters;
         parameter->name.len;
         parameter++)
    {
        if (word->len < parameter->name.len
            || ngx_strncmp(word->data, parameter->name.data,
                           parameter->name.len)
               != 0)
        {
            continue;
        }

        value.data = word->data + parameter->name.len;
        value.len = word->len - parameter->name.len;

        rc = parameter->set(cf, zone, &value);

        if (rc == NGX_BUSY) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate parameter \"%V\" of gray_zone",
                               word);
        }

        return rc;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of gray_zone, must be "
                       "document=SIZE, state=DIR, history=N or stats=on|off",
                       word);
    return NGX_ERROR;
}


static ngx_int_t
ngx_http_gray_conf_document(ngx_conf_t *cf, ngx_http_gray_zone_t *zone,
    ngx_str_t *value)
{
    ssize_t     size;
    ngx_str_t  *word;

    if (zone->document) {
        return NGX_BUSY;
    }

    size = ngx_parse_size(value);

    if (size == NGX_ERROR
        || size < NGX_HTTP_GRAY_DOCUMENT_MIN
        || size > NGX_HTTP_GRAY_DOCUMENT_MAX)
    {
        word = cf->args->elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid document size \"%V\" of gray_zone "
                           "\"%V\", must be a size from 1k to 1m",
                           value, &word[1]);
        return NGX_ERROR;
    }

    zone->document = size;

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_conf_state(ngx_conf_t *cf, ngx_http_gray_zone_t *zone,
    ngx_str_t *value)
{
    ngx_str_t  *word;

    if (zone->state.len) {
        return NGX_BUSY;
    }

    if (value->len == 0 || value->len > NGX_HTTP_GRAY_STATE_MAX) {
        word = cf->args->elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid state directory of gray_zone \"%V\", must "
                           "be a path of 1 to %d bytes",
                           &word[1], NGX_HTTP_GRAY_STATE_MAX);
        return NGX_ERROR;
    }

    zone->state = *value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_conf_history(ngx_conf_t *cf, ngx_http_gray_zone_t *zone,
    ngx_str_t *value)
{
    ngx_int_t   n;
    ngx_str_t  *word;

    if (zone->history) {
        return NGX_BUSY;
    }

    n = ngx_atoi(value->data, value->len);

    if (n == NGX_ERROR
        || n < NGX_HTTP_GRAY_KEEP_MIN || n > NGX_HTTP_GRAY_KEEP_MAX)
    {
        word = cf->args->elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid history \"%V\" of gray_zone \"%V\", must "
                           "be a number from %d to %d", value, &word[1],
                           NGX_HTTP_GRAY_KEEP_MIN, NGX_HTTP_GRAY_KEEP_MAX);
        return NGX_ERROR;
    }

    zone->history = n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_conf_stats(ngx_conf_t *cf, ngx_http_gray_zone_t *zone,
    ngx_str_t *value)
{
    ngx_str_t  *word;

    if (zone->stats != NGX_CONF_UNSET_UINT) {
        return NGX_BUSY;
    }

    if (value->len == 2 && ngx_strncmp(value->data, "on", 2) == 0) {
        zone->stats = 1;

    } else if (value->len == 3 && ngx_strncmp(value->data, "off", 3) == 0) {
        zone->stats = 0;

    } else {
        word = cf->args->elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid stats \"%V\" of gray_zone \"%V\", must be "
                           "on or off", value, &word[1]);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* what comes with a state directory */

static ngx_int_t
ngx_http_gray_conf_keep(ngx_conf_t *cf, ngx_http_gray_zone_t *zone)
{
    ngx_str_t  *word;

    if (zone->state.len == 0) {

        if (zone->history) {
            word = cf->args->elts;

            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "history of gray_zone \"%V\" needs state=DIR",
                               &word[1]);
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    if (zone->history == 0) {
        zone->history = NGX_HTTP_GRAY_KEEP;
    }

    zone->threads = ngx_http_gray_task_threads(cf);

    if (zone->threads == NULL
        || ngx_http_gray_history_gates(cf, zone) != NGX_OK
        || ngx_http_gray_lists_create(cf, zone) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_gray_journals_create(cf, zone);
}


char *
ngx_http_gray_conf_release(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_gray_main_conf_t *gmcf = conf;

    char                      *rv;
    ngx_str_t                 *value;
    const char                *why;
    ngx_conf_t                 save;
    ngx_http_conf_ctx_t       *ctx, *http;
    ngx_http_gray_declare_t      *block;

    value = cf->args->elts;
    why = ngx_http_gray_schema_reserved(&value[1]);

    if (why) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" of gray_release, %s",
                           &value[1], why);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_gray_release_find(gmcf, &value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate gray_release \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    block = ngx_http_gray_conf_create_block(cf, gmcf);
    ctx = ngx_pcalloc(cf->pool, sizeof(ngx_http_conf_ctx_t));

    if (block == NULL || ctx == NULL) {
        return NGX_CONF_ERROR;
    }

    block->release->name = value[1];
    block->release->file = cf->conf_file->file.name.data;
    block->release->line = cf->conf_file->line;

    http = cf->ctx;
    ctx->main_conf = http->main_conf;
    ctx->srv_conf = ngx_pcalloc(cf->pool,
                                sizeof(void *) * ngx_http_max_module);
    if (ctx->srv_conf == NULL) {
        return NGX_CONF_ERROR;
    }

    ctx->srv_conf[ngx_http_gray_module.ctx_index] = block;

    save = *cf;
    cf->ctx = ctx;
    cf->cmd_type = NGX_HTTP_GRAY_CONF;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_gray_conf_finish(cf, block);
}


static ngx_http_gray_declare_t *
ngx_http_gray_conf_create_block(ngx_conf_t *cf,
    ngx_http_gray_main_conf_t *gmcf)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_gray_declare_t   *block, **slot;

    block = ngx_pcalloc(cf->pool, sizeof(ngx_http_gray_declare_t));
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (block == NULL || cln == NULL
        || ngx_array_init(&block->places, cf->pool, 8,
                          sizeof(ngx_http_gray_place_t))
           != NGX_OK)
    {
        return NULL;
    }

    cln->handler = ngx_http_gray_conf_cleanup;
    cln->data = block;

    block->input = ngx_http_gray_json_object();
    block->release = ngx_http_gray_release_create(cf, gmcf);
    slot = ngx_array_push(&gmcf->blocks);

    if (block->input == NULL || block->release == NULL || slot == NULL) {
        return NULL;
    }

    *slot = block;

    return block;
}


static void
ngx_http_gray_conf_cleanup(void *data)
{
    ngx_http_gray_declare_t *block = data;

    ngx_http_gray_json_free(block->input);
    block->input = NULL;
}


/* what can be told at the end of the block, before all names are known */

static char *
ngx_http_gray_conf_finish(ngx_conf_t *cf, ngx_http_gray_declare_t *block)
{
    ngx_http_gray_json_t     *variants, *first;
    ngx_http_gray_faults_t    faults;
    ngx_http_gray_schema_t    schema;
    ngx_http_gray_release_t  *release;

    release = block->release;

    if (release->zone_name.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"zone\" in gray_release \"%V\"",
                           &release->name);
        return NGX_CONF_ERROR;
    }

    if (block->document.data) {
        if (ngx_http_gray_conf_read(cf, block) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

    } else if (ngx_http_gray_conf_complete(cf, block) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    schema.release = release->name;
    schema.kind = NGX_HTTP_GRAY_EITHER;
    faults.n = 0;

    if (ngx_http_gray_schema_judge(&schema, block->input, &faults)
        == NGX_ERROR)
    {
        return NGX_CONF_ERROR;
    }

    if (faults.n) {
        ngx_http_gray_conf_fault(cf, block, &faults.fault[0]);
        return NGX_CONF_ERROR;
    }

    variants = ngx_http_gray_json_get(block->input, "variants");
    first = ngx_http_gray_json_first(variants);

    release->kind = ngx_http_gray_json_get(first, "upstream")
                    ? NGX_HTTP_GRAY_ROUTED : NGX_HTTP_GRAY_SWITCH;

    if (release->kind == NGX_HTTP_GRAY_ROUTED
        && (ngx_http_gray_conf_addresses(cf, block, variants) != NGX_OK
            || ngx_http_gray_upstream_add(cf, release) != NGX_OK))
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_gray_variables_add(cf, release) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* what the directives leave out */

static ngx_int_t
ngx_http_gray_conf_complete(ngx_conf_t *cf, ngx_http_gray_declare_t *block)
{
    const char            *name;
    ngx_str_t              baseline;
    ngx_http_gray_json_t  *variants, *variant;

    variants = ngx_http_gray_json_get(block->input, "variants");

    if (variants == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"variant\" in gray_release \"%V\"",
                           &block->release->name);
        return NGX_ERROR;
    }

    baseline = block->baseline;

    if (baseline.data == NULL) {
        name = ngx_http_gray_json_key(ngx_http_gray_json_first(variants));
        baseline.len = ngx_strlen(name);
        baseline.data = (u_char *) name;
    }

    if (ngx_http_gray_conf_string(block, "baseline", &baseline) != NGX_OK
        || ngx_http_gray_conf_string(block, "fallback", &block->fallback)
           != NGX_OK
        || ngx_http_gray_conf_string(block, "salt", &block->salt) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (variant = ngx_http_gray_json_first(variants);
         variant;
         variant = ngx_http_gray_json_next(variant))
    {
        name = ngx_http_gray_json_key(variant);

        if (ngx_strcmp(name, baseline.data) != 0
            && ngx_http_gray_json_get(variant, "weight") == NULL
            && ngx_http_gray_json_set(variant, "weight",
                                      ngx_http_gray_json_number(0))
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_conf_string(ngx_http_gray_declare_t *block, const char *member,
    ngx_str_t *value)
{
    if (value->data == NULL) {
        return NGX_OK;
    }

    return ngx_http_gray_json_set(block->input, member,
                                  ngx_http_gray_json_string(value->data,
                                                            value->len));
}


static ngx_int_t
ngx_http_gray_conf_read(ngx_conf_t *cf, ngx_http_gray_declare_t *block)
{
    ssize_t                      n;
    u_char                      *data;
    ngx_str_t                    name;
    ngx_file_t                   file;
    ngx_file_info_t              fi;
    ngx_http_gray_json_error_t   err;

    if (ngx_http_gray_json_first(block->input)
        || block->baseline.data || block->fallback.data || block->salt.data)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"document\" of gray_release \"%V\" takes the "
                           "place of all other directives but \"zone\"",
                           &block->release->name);
        return NGX_ERROR;
    }

    name = block->document;

    if (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&file, sizeof(ngx_file_t));
    file.name = name;
    file.log = cf->log;
    file.fd = ngx_open_file(name.data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", &name);
        return NGX_ERROR;
    }

    if (ngx_fd_info(file.fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", &name);
        n = NGX_ERROR;

    } else if (!ngx_is_file(&fi)
               || ngx_file_size(&fi) > 4 * NGX_HTTP_GRAY_DOCUMENT_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is no document, must be a file of at most "
                           "%uik", &name,
                           (ngx_uint_t) 4 * NGX_HTTP_GRAY_DOCUMENT_MAX / 1024);
        n = NGX_ERROR;

    } else {
        data = ngx_pnalloc(cf->temp_pool, ngx_file_size(&fi) + 1);
        n = data ? ngx_read_file(&file, data, ngx_file_size(&fi), 0)
                 : NGX_ERROR;
    }

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", &name);
    }

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    ngx_http_gray_json_free(block->input);
    block->input = ngx_http_gray_json_parse(data, n, &err);

    if (block->input == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is no JSON, line %ui, column %ui: %s",
                           &name, err.line, err.column, err.detail);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Upstream blocks may come later and are looked up by name; an address is
 * made an upstream here, as proxy_pass does.
 */

static ngx_int_t
ngx_http_gray_conf_addresses(ngx_conf_t *cf, ngx_http_gray_declare_t *block,
    ngx_http_gray_json_t *variants)
{
    ngx_str_t              name;
    ngx_url_t              u;
    ngx_http_gray_json_t  *variant;

    for (variant = ngx_http_gray_json_first(variants);
         variant;
         variant = ngx_http_gray_json_next(variant))
    {
        name = ngx_http_gray_json_text(ngx_http_gray_json_get(variant,
                                                              "upstream"));

        if (ngx_strlchr(name.data, name.data + name.len, ':') == NULL) {
            continue;
        }

        ngx_memzero(&u, sizeof(ngx_url_t));

        u.url.len = name.len;
        u.url.data = ngx_pstrdup(cf->pool, &name);

        if (u.url.data == NULL || ngx_http_upstream_add(cf, &u, 0) == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* one line: the directive, the place in the document, what is accepted */

static void
ngx_http_gray_conf_fault(ngx_conf_t *cf, ngx_http_gray_declare_t *block,
    ngx_http_gray_fault_t *fault)
{
    size_t                  len;
    ngx_uint_t              i;
    const char             *colon;
    ngx_http_gray_place_t  *place, *found;

    /* the whole document has an empty pointer */

    colon = fault->pointer[0] ? ": " : "";

    place = block->places.elts;
    found = NULL;

    for (i = 0; i < block->places.nelts; i++) {
        len = place[i].pointer.len;

        if (ngx_strncmp(fault->pointer, place[i].pointer.data, len) == 0
            && (fault->pointer[len] == '\0' || fault->pointer[len] == '/')
            && (found == NULL || found->pointer.len < len))
        {
            found = &place[i];
        }
    }

    if (found) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "invalid \"%V\" in gray_release \"%V\": %s%s%s in "
                      "%s:%ui", &found->directive, &block->release->name,
                      fault->pointer, colon, fault->detail, found->file,
                      found->line);
        return;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "invalid gray_release \"%V\": %s%s%s in %s:%ui",
                  &block->release->name, fault->pointer, colon, fault->detail,
                  block->release->file, block->release->line);
}


char *
ngx_http_gray_conf_admin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_gray_loc_conf_t *glcf = conf;

    char                      *rv;
    ngx_http_core_loc_conf_t  *clcf;

    rv = ngx_http_gray_location_set(cf, glcf, ngx_http_gray_admin_handler,
                                    ngx_http_gray_admin_words);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    glcf->bodies = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

#if (NGX_PCRE)
    if (clcf->regex) {
        return "must be in a location that is given by a prefix, as the API's "
               "paths begin where it ends";
    }
#endif

    if (clcf->named) {
        return "must be in a location that is given by a prefix, as the API's "
               "paths begin where it ends";
    }

    if (clcf->name.len && clcf->name.data[clcf->name.len - 1] == '/') {
        clcf->auto_redirect = 1;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_gray_conf_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_gray_location_set(cf, conf, ngx_http_gray_metrics_handler,
                                      ngx_http_gray_metrics_words);
}


ngx_int_t
ngx_http_gray_conf_judge(ngx_conf_t *cf)
{
    ngx_int_t                   rc;
    ngx_uint_t                  i;
    ngx_http_gray_declare_t      **block;
    ngx_http_gray_faults_t      faults;
    ngx_http_gray_main_conf_t  *gmcf;

    gmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_gray_module);
    block = gmcf->blocks.elts;

    for (i = 0; i < gmcf->blocks.nelts; i++) {

        block[i]->release->zone = ngx_http_gray_conf_find_zone(gmcf,
                                              &block[i]->release->zone_name);

        if (block[i]->release->zone == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "no gray_zone \"%V\" for gray_release \"%V\" in "
                          "%s:%ui", &block[i]->release->zone_name,
                          &block[i]->release->name, block[i]->release->file,
                          block[i]->release->line);
            return NGX_ERROR;
        }

        faults.n = 0;

        rc = ngx_http_gray_release_declare(cf, block[i]->release,
                                           block[i]->input, &faults);

        ngx_http_gray_conf_cleanup(block[i]);

        if (rc != NGX_OK) {
            if (faults.n) {
                ngx_http_gray_conf_fault(cf, block[i], &faults.fault[0]);
            }

            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_http_gray_zone_t *
ngx_http_gray_conf_find_zone(ngx_http_gray_main_conf_t *gmcf, ngx_str_t *name)
{
    ngx_str_t              *s;
    ngx_uint_t              i;
    ngx_http_gray_zone_t  **zone;

    zone = gmcf->zones.elts;

    for (i = 0; i < gmcf->zones.nelts; i++) {
        s = &zone[i]->shm_zone->shm.name;

        if (s->len == name->len
            && ngx_strncmp(s->data, name->data, name->len) == 0)
        {
            return zone[i];
        }
    }

    return NULL;
}
