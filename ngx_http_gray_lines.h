
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_LINES_H_INCLUDED_
#define _NGX_HTTP_GRAY_LINES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_record.h"


#define NGX_HTTP_GRAY_JOURNAL_BYTES  16777216   /* of what is kept */

/* a file is not read whole where it is longer than that */

#define NGX_HTTP_GRAY_JOURNAL_LOAD                                            \
    (2 * NGX_HTTP_GRAY_JOURNAL_BYTES + 2 * NGX_HTTP_GRAY_RECORD_MAX)


/*
 * Reads journals: see ngx_http_gray_journal.h.  Any thread may, without a lock.
 */


/* what the end of a file is like */

typedef struct {
    ngx_str_t                       line;       /* the last good one, without
                                                   its line feed, malloc()ed;
                                                   empty: there is none */
    uint64_t                        revision;   /* its, or 0 */
    ngx_uint_t                      lost;       /* damaged lines behind it, */
    uint64_t                        seen;       /* the last revision there */
    size_t                          torn;       /* bytes of an unfinished one */
    ngx_http_gray_record_e          layout;     /* _NEWER: leave it alone */
    off_t                           end;        /* of that line */
    off_t                           size;
} ngx_http_gray_lines_tail_t;


/* all good lines, in order */

typedef struct {
    u_char                         *data;
    ngx_uint_t                      nlines;
    ngx_str_t                      *line;       /* in "data", with no LF */
    uint64_t                       *revision;
    ngx_uint_t                      damaged;    /* lines that are not good */
} ngx_http_gray_lines_t;


/*
 * Is shown a good line, without its line feed, and its revision: NGX_OK, or
 * NGX_DONE where it wants to see no more, or NGX_ERROR with errno.
 */
typedef ngx_int_t (*ngx_http_gray_lines_visit_pt)(void *data, u_char *line,
    size_t len, uint64_t revision);


/*
 * Reads the end of the file, and changes nothing.  NGX_OK with what is to be
 * freed in tail->line; NGX_DECLINED where there is no file, or an empty one;
 * NGX_ERROR with errno, which may be 0 (no plain file).
 */
ngx_int_t ngx_http_gray_lines_tail(const char *path,
    ngx_http_gray_lines_tail_t *tail);

/*
 * Reads what is kept, without a lock, from the last line on.  NGX_OK;
 * NGX_DECLINED and NGX_ERROR as of _tail(), which may come after some lines
 * were visited; errno is EAGAIN where the file was cut meanwhile.
 */
ngx_int_t ngx_http_gray_lines_read(const char *path,
    ngx_http_gray_lines_visit_pt visit, void *data);

/* for who writes: the end of an open file of "size" bytes, likewise */
ngx_int_t ngx_http_gray_lines_end(int fd, off_t size,
    ngx_http_gray_lines_tail_t *tail);

/* ... and the good lines before "end", of the last bytes where it is long */
ngx_int_t ngx_http_gray_lines_load(int fd, off_t end,
    ngx_http_gray_lines_t *lines);
void ngx_http_gray_lines_free(ngx_http_gray_lines_t *lines);


#endif /* _NGX_HTTP_GRAY_LINES_H_INCLUDED_ */
