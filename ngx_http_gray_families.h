
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_FAMILIES_H_INCLUDED_
#define _NGX_HTTP_GRAY_FAMILIES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_exposition.h"
#include "ngx_http_gray_gather.h"


/*
 * Writes all families of metrics, with "alias" also those by which tools ask
 * ingress-nginx.  Labels of releases and variants must have been set.
 */
void ngx_http_gray_families_write(ngx_http_gray_exposition_t *exposition,
    ngx_http_gray_gather_t *gather, ngx_uint_t alias);


#endif /* _NGX_HTTP_GRAY_FAMILIES_H_INCLUDED_ */
