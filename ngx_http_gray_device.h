
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_DEVICE_H_INCLUDED_
#define _NGX_HTTP_GRAY_DEVICE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * "bot", "tablet", "mobile" or "desktop", by the client hints (the values of
 * Sec-CH-UA-Mobile and Sec-CH-UA-Platform) and then by the User-Agent; each
 * may be empty.  NULL where none of them tells.
 */
ngx_str_t *ngx_http_gray_device(const ngx_str_t *mobile,
    const ngx_str_t *platform, const ngx_str_t *agent);

/*
 * Prepares the table, which the first call of the above does otherwise.
 * Called before processes are forked, it is theirs together.
 */
void ngx_http_gray_device_init(void);


#endif /* _NGX_HTTP_GRAY_DEVICE_H_INCLUDED_ */
