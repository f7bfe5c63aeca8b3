
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_HISTORY_H_INCLUDED_
#define _NGX_HTTP_GRAY_HISTORY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_release.h"


/*
 * Sends the revisions that the journal of a release keeps, the last one first,
 * or number "revision" alone, if that is not 0.  The result is for
 * ngx_http_finalize_request().
 */
ngx_int_t ngx_http_gray_history(ngx_http_request_t *r,
    ngx_http_gray_release_t *release, uint64_t revision);

/* sends why there is no history: the zone has no "state" */
ngx_int_t ngx_http_gray_history_none(ngx_http_request_t *r,
    ngx_http_gray_release_t *release);

/* ... or that it cannot be read now */
ngx_int_t ngx_http_gray_history_unread(ngx_http_request_t *r);

/*
 * The document, with its allocation, of what "body" names: {"revision": N}.
 * NGX_OK with what is to be freed by ngx_http_gray_json_free(); NGX_DECLINED
 * with faults; NGX_BUSY where the journal cannot be read; NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_history_document(ngx_http_gray_release_t *release,
    const ngx_http_gray_json_t *body, ngx_http_gray_json_t **doc,
    ngx_http_gray_faults_t *faults);


#endif /* _NGX_HTTP_GRAY_HISTORY_H_INCLUDED_ */
