
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_MMDB_H_INCLUDED_
#define _NGX_HTTP_GRAY_MMDB_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Reads all of a MaxMind DB: "tree" has "nodes" nodes of two records of "bits"
 * bits each, which are 24, 28 or 32; behind them and 16 bytes are "size" bytes
 * of data.  NULL, or a C string that says what is wrong; errno is set where
 * memory is short.  Takes a bit of memory for each byte of data while it runs;
 * may run in a thread.
 */
const char *ngx_http_gray_mmdb_verify(const u_char *tree, uint32_t nodes,
    ngx_uint_t bits, size_t size);


#endif /* _NGX_HTTP_GRAY_MMDB_H_INCLUDED_ */
