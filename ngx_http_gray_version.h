
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_VERSION_H_INCLUDED_
#define _NGX_HTTP_GRAY_VERSION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A version: numbers with points between them, as many and as long as one
 * likes, maybe with a "v" before, a prerelease ("-rc.1") and build metadata
 * ("+5") behind; they compare as https://semver.org says, with missing
 * numbers as 0.  NGX_OK, or NGX_DECLINED where it is none.
 */
ngx_int_t ngx_http_gray_version_check(const ngx_str_t *text);

/*
 * NGX_OK with "order" less than, equal to or greater than 0, or NGX_DECLINED
 * where one of them is no version.  Allocates nothing.
 */
ngx_int_t ngx_http_gray_version_compare(const ngx_str_t *one,
    const ngx_str_t *two, ngx_int_t *order);


#endif /* _NGX_HTTP_GRAY_VERSION_H_INCLUDED_ */
