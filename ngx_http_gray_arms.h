
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_ARMS_H_INCLUDED_
#define _NGX_HTTP_GRAY_ARMS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_allocation.h"
#include "ngx_http_gray_json.h"


/* percent in buckets, or NGX_ERROR where it is not 0 to 100 by 0.0001 */
ngx_int_t ngx_http_gray_arms_buckets(double percent);

/*
 * The partition that a document (or, with "rule", one of its rules) asks for
 * and holds: an arm for each variant, in their order, the baseline's filled
 * with the rest.  NGX_OK; NGX_DECLINED where the allocation is absent or does
 * not fit the weights (the intervals are then empty, the sizes right);
 * NGX_ERROR (memory).  To be freed with _arms_free() unless NGX_ERROR; the
 * names are the document's.
 */
typedef struct {
    ngx_http_gray_arm_t            *arm;
    ngx_uint_t                      n;
    ngx_uint_t                      baseline;
} ngx_http_gray_arms_t;

ngx_int_t ngx_http_gray_arms_read(const ngx_http_gray_json_t *doc,
    const ngx_http_gray_json_t *rule, ngx_http_gray_arms_t *arms);
void ngx_http_gray_arms_free(ngx_http_gray_arms_t *arms);


#endif /* _NGX_HTTP_GRAY_ARMS_H_INCLUDED_ */
