
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_FAILPOINT_H_INCLUDED_
#define _NGX_HTTP_GRAY_FAILPOINT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Points at which a test has a call fail, or the process stopped or killed.
 * Only "make test FAILPOINTS=1" builds with them; else they are constants, and
 * no code is left of them.
 *
 * The environment variable GRAY_FAILPOINTS names a file, which nginx.conf has
 * to pass on ("env GRAY_FAILPOINTS;").  Where it exists, each point reads it:
 *
 *     POINT ACTION [once]
 *
 * POINT is a name, or "*" for all.  ACTION is one of
 *
 *     kill         SIGKILL to the process
 *     stop         SIGSTOP, until somebody sends SIGCONT
 *     sleep=MS     the thread waits
 *     ERRNO        EIO, ENOSPC, ...: the call is not made, and fails with it
 *     short=BYTES  the call is made for so many bytes at most
 *
 * With "once" it happens once in all processes together: FILE.POINT.once is
 * there then.  If FILE.hits exists, the names of points that are passed are
 * appended to it, a line each.
 *
 * Any thread may call these.
 */

#if (NGX_HTTP_GRAY_FAILPOINTS)

/*
 * Stands before a call: 1 with errno where it is to fail; else 0, with errno
 * as it was.
 */
ngx_uint_t ngx_http_gray_fails(const char *point);

/*
 * The length for a call that may do less than it was asked for.  It goes with
 * an ngx_http_gray_fails() of the same name, which records that the point was
 * passed.
 */
size_t ngx_http_gray_shortened(const char *point, size_t len);

#else

#define ngx_http_gray_fails(point)           0
#define ngx_http_gray_shortened(point, len)  (len)

#endif


#endif /* _NGX_HTTP_GRAY_FAILPOINT_H_INCLUDED_ */
