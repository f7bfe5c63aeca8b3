
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_LOOK_H_INCLUDED_
#define _NGX_HTTP_GRAY_LOOK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_json.h"
#include "ngx_http_gray_state.h"


/*
 * What a canonical document says of the variant of a rollout: all of "world"
 * but its clocks, its revision and what was counted.  "testers", of "size"
 * bytes, gets the names of rules that send to the variant; it may be NULL.
 */
void ngx_http_gray_look(const ngx_http_gray_json_t *doc, const char *variant,
    ngx_http_gray_world_t *world, char *testers, size_t size);


#endif /* _NGX_HTTP_GRAY_LOOK_H_INCLUDED_ */
