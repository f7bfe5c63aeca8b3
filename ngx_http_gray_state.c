
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_state.h"


ngx_str_t  ngx_http_gray_stages[] = {
    ngx_string("idle"),
    ngx_string("scheduled"),
    ngx_string("running"),
    ngx_string("paused"),
    ngx_string("baking"),
    ngx_string("succeeded"),
    ngx_string("rolled_back"),
    ngx_string("aborted"),
    ngx_null_string
};


ngx_str_t  ngx_http_gray_waits[] = {
    ngx_string(""),
    ngx_string("waiting_gate"),
    ngx_string("waiting_window"),
    ngx_string("waiting_evidence"),
    ngx_null_string
};


ngx_str_t  ngx_http_gray_causes[] = {
    ngx_string("plan"),
    ngx_string("operator"),
    ngx_string("guard"),
    ngx_string("inconclusive"),
    ngx_string("manual"),
    ngx_string("filter"),
    ngx_string("lost"),
    ngx_null_string
};


ngx_str_t  ngx_http_gray_actions[] = {
    ngx_string("start"),
    ngx_string("pause"),
    ngx_string("resume"),
    ngx_string("approve"),
    ngx_string("promote"),
    ngx_string("promote"),
    ngx_string("rollback"),
    ngx_string("abort"),
    ngx_null_string
};
