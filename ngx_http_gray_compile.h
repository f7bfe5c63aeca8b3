
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_COMPILE_H_INCLUDED_
#define _NGX_HTTP_GRAY_COMPILE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_json.h"
#include "ngx_http_gray_rules.h"


/*
 * Compiles a canonical document into a rule set with a pool of its own.
 *
 * With "faults", names that env does not know and tests that are malformed
 * are faults, and the result is NULL if there is one; other members must have
 * been judged already: what is malformed there is passed over.  Without,
 * such a test cannot be evaluated (so its rule never holds), such a variant
 * has a NULL peer, and the result is NULL only where memory was short.
 *
 * "doc" need not outlive the call.
 */
ngx_http_gray_rules_t *ngx_http_gray_compile(
    const ngx_http_gray_json_t *doc, const ngx_http_gray_rules_env_t *env,
    ngx_http_gray_faults_t *faults, ngx_log_t *log);


#endif /* _NGX_HTTP_GRAY_COMPILE_H_INCLUDED_ */
