
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_account.h"
#include "ngx_http_gray_conf.h"
#include "ngx_http_gray_cycle.h"
#include "ngx_http_gray_databases.h"
#include "ngx_http_gray_declare.h"
#include "ngx_http_gray_location.h"
#include "ngx_http_gray_ramp.h"
#include "ngx_http_gray_request.h"
#include "ngx_http_gray_variables.h"


static ngx_int_t ngx_http_gray_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_gray_init_module(ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_gray_commands[] = {

    { ngx_string("gray_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_gray_conf_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("gray_release"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_gray_conf_release,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("gray_geoip"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_gray_databases_geoip,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("gray_admin"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE12,
      ngx_http_gray_conf_admin,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("gray_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE12,
      ngx_http_gray_conf_metrics,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    /* inside of gray_release */

    { ngx_string("zone"),
      NGX_HTTP_GRAY_CONF|NGX_CONF_TAKE1,
      ngx_http_gray_declare_zone_name,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("hash"),
      NGX_HTTP_GRAY_CONF|NGX_CONF_1MORE,
      ngx_http_gray_declare_hash,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("cookie"),
      NGX_HTTP_GRAY_CONF|NGX_CONF_1MORE,
      ngx_http_gray_declare_cookie,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("salt"),
      NGX_HTTP_GRAY_CONF|NGX_CONF_TAKE1,
      ngx_http_gray_declare_text,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_gray_declare_t, salt),
      NULL },

    { ngx_string("baseline"),
      NGX_HTTP_GRAY_CONF|NGX_CONF_TAKE1,
      ngx_http_gray_declare_text,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_gray_declare_t, baseline),
      NULL },

    { ngx_string("fallback"),
      NGX_HTTP_GRAY_CONF|NGX_CONF_TAKE1,
      ngx_http_gray_declare_text,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_gray_declare_t, fallback),
      NULL },

    { ngx_string("variant"),
      NGX_HTTP_GRAY_CONF|NGX_CONF_TAKE123,
      ngx_http_gray_declare_variant,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("match"),
      NGX_HTTP_GRAY_CONF|NGX_CONF_2MORE,
      ngx_http_gray_declare_match,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("document"),
      NGX_HTTP_GRAY_CONF|NGX_CONF_TAKE1,
      ngx_http_gray_declare_text,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_gray_declare_t, document),
      NULL },

    { ngx_string("rollout"),
      NGX_HTTP_GRAY_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_gray_ramp_block,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("unit"),
      NGX_HTTP_GRAY_RAMP_CONF|NGX_CONF_TAKE1,
      ngx_http_gray_ramp_text,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("alpha"),
      NGX_HTTP_GRAY_RAMP_CONF|NGX_CONF_TAKE1,
      ngx_http_gray_ramp_number,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("step"),
      NGX_HTTP_GRAY_RAMP_CONF|NGX_CONF_1MORE,
      ngx_http_gray_ramp_step,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("hold"),
      NGX_HTTP_GRAY_RAMP_CONF|NGX_CONF_TAKE1,
      ngx_http_gray_ramp_text,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("max_hold"),
      NGX_HTTP_GRAY_RAMP_CONF|NGX_CONF_TAKE1,
      ngx_http_gray_ramp_text,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("warmup"),
      NGX_HTTP_GRAY_RAMP_CONF|NGX_CONF_TAKE1,
      ngx_http_gray_ramp_text,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("min_requests"),
      NGX_HTTP_GRAY_RAMP_CONF|NGX_CONF_TAKE1,
      ngx_http_gray_ramp_number,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("detect_ratio"),
      NGX_HTTP_GRAY_RAMP_CONF|NGX_CONF_TAKE1,
      ngx_http_gray_ramp_number,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("info_nats"),
      NGX_HTTP_GRAY_RAMP_CONF|NGX_CONF_TAKE1,
      ngx_http_gray_ramp_number,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("guard"),
      NGX_HTTP_GRAY_RAMP_CONF|NGX_CONF_2MORE,
      ngx_http_gray_ramp_guard,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("guards"),
      NGX_HTTP_GRAY_RAMP_CONF|NGX_CONF_TAKE1,
      ngx_http_gray_ramp_guards,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("on_inconclusive"),
      NGX_HTTP_GRAY_RAMP_CONF|NGX_CONF_TAKE1,
      ngx_http_gray_ramp_text,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("on_success"),
      NGX_HTTP_GRAY_RAMP_CONF|NGX_CONF_TAKE1,
      ngx_http_gray_ramp_text,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("cooldown"),
      NGX_HTTP_GRAY_RAMP_CONF|NGX_CONF_TAKE1,
      ngx_http_gray_ramp_text,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("window"),
      NGX_HTTP_GRAY_RAMP_CONF|NGX_CONF_1MORE,
      ngx_http_gray_ramp_window,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("notify"),
      NGX_HTTP_GRAY_RAMP_CONF|NGX_CONF_TAKE12,
      ngx_http_gray_ramp_notify,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("include"),
      NGX_HTTP_GRAY_CONF|NGX_HTTP_GRAY_RAMP_CONF|NGX_CONF_TAKE1,
      ngx_conf_include,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_gray_module_ctx = {
    ngx_http_gray_variables_init,          /* preconfiguration */
    ngx_http_gray_postconfiguration,       /* postconfiguration */

    ngx_http_gray_conf_create_main,        /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_gray_location_create_conf,    /* create location configuration */
    ngx_http_gray_location_merge_conf      /* merge location configuration */
};


ngx_module_t  ngx_http_gray_module = {
    NGX_MODULE_V1,
    &ngx_http_gray_module_ctx,             /* module context */
    ngx_http_gray_commands,                /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_gray_init_module,             /* init module */
    ngx_http_gray_cycle_init_process,      /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_gray_postconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_gray_conf_judge(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_gray_request_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_gray_account_init(cf);
}


static ngx_int_t
ngx_http_gray_init_module(ngx_cycle_t *cycle)
{
    ngx_http_gray_account_first(cycle);

    return ngx_http_gray_cycle_init_module(cycle);
}
