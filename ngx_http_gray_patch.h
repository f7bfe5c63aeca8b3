
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_PATCH_H_INCLUDED_
#define _NGX_HTTP_GRAY_PATCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_gray_json.h"


#define NGX_HTTP_GRAY_PATCH_OPS    256
#define NGX_HTTP_GRAY_PATCH_NODES  131072
#define NGX_HTTP_GRAY_PATCH_BYTES  4194304


/*
 * RFC 7396.  "*target" is changed in place or replaced; "patch" stays the
 * caller's.  NGX_OK, or NGX_ERROR (memory) with "*target" half changed and
 * still to be freed.
 */
ngx_int_t ngx_http_gray_patch_merge(ngx_http_gray_json_t **target,
    const ngx_http_gray_json_t *patch);

/*
 * RFC 6902, at most NGX_HTTP_GRAY_PATCH_OPS operations, applied in order to
 * "*target" (on a fault it is left half changed, and still to be freed: give
 * a copy).  The document, and all that is added and copied by and by, are
 * together bounded to NGX_HTTP_GRAY_PATCH_NODES values and
 * NGX_HTTP_GRAY_PATCH_BYTES bytes of keys and strings; the result is bounded
 * to the usual depth.
 *
 * NGX_OK; NGX_DECLINED with faults (pointers into the patch, "/3/path") where
 * the patch is malformed, in any of its operations, or names a place that is
 * not there; NGX_ABORT with a fault where a "test" failed, also because its
 * place is not there; NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_patch_apply(ngx_http_gray_json_t **target,
    const ngx_http_gray_json_t *patch, ngx_http_gray_faults_t *faults);


#endif /* _NGX_HTTP_GRAY_PATCH_H_INCLUDED_ */
