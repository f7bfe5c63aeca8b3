
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_FAILPOINT_H_INCLUDED_
#define _NGX_HTTP_GRAY_FAILPOINT_H_INCLUDED_

#define ngx_http_gray_fails(point)  0
#define ngx_http_gray_shortened(point, len)  (len)

#endif
