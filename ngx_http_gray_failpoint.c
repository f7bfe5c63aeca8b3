
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_failpoint.h"


#if (NGX_HTTP_GRAY_FAILPOINTS)

#include <pthread.h>
#include <signal.h>

#if (NGX_HTTP_GRAY_COVERAGE)
#include <gcov.h>
#endif


#define NGX_HTTP_GRAY_FAILPOINT_FILE  8192
#define NGX_HTTP_GRAY_FAILPOINT_WORD  64
#define NGX_HTTP_GRAY_FAILPOINT_NAME  (NGX_MAX_PATH                           \
                                       + NGX_HTTP_GRAY_FAILPOINT_WORD + 8)


typedef struct {
    const char  *name;
    int          err;
} ngx_http_gray_failpoint_errno_t;


static void ngx_http_gray_failpoint_init(void);
static ssize_t ngx_http_gray_failpoint_read(char *text);
static ngx_uint_t ngx_http_gray_failpoint_next(char **text, const char *point,
    ngx_uint_t shorter, char *action);
static ngx_uint_t ngx_http_gray_failpoint_first(const char *point);
static void ngx_http_gray_failpoint_hit(const char *point);
static int ngx_http_gray_failpoint_act(const char *action);
static void ngx_http_gray_failpoint_refuse(const char *what,
    const char *value);


static ngx_http_gray_failpoint_errno_t  ngx_http_gray_failpoint_errors[] = {
    { "E2BIG", E2BIG },
    { "EACCES", EACCES },
    { "EAGAIN", EAGAIN },
    { "EBADF", EBADF },
    { "EBUSY", EBUSY },
    { "EDQUOT", EDQUOT },
    { "EEXIST", EEXIST },
    { "EFBIG", EFBIG },
    { "EINTR", EINTR },
    { "EINVAL", EINVAL },
    { "EIO", EIO },
    { "EISDIR", EISDIR },
    { "EMFILE", EMFILE },
    { "EMLINK", EMLINK },
    { "ENFILE", ENFILE },
    { "ENODEV", ENODEV },
    { "ENOENT", ENOENT },
    { "ENOLCK", ENOLCK },
    { "ENOMEM", ENOMEM },
    { "ENOSPC", ENOSPC },
    { "ENOTDIR", ENOTDIR },
    { "EPERM", EPERM },
    { "EROFS", EROFS },
    { "ESTALE", ESTALE },
    { NULL, 0 }
};


/* a copy, as nginx frees its environment at exit; empty: there is none */

static char            ngx_http_gray_failpoint_path[NGX_MAX_PATH];
static pthread_once_t  ngx_http_gray_failpoint_control = PTHREAD_ONCE_INIT;


ngx_uint_t
ngx_http_gray_fails(const char *point)
{
    int    err, saved;
    char  *p, action[NGX_HTTP_GRAY_FAILPOINT_WORD];
    char   text[NGX_HTTP_GRAY_FAILPOINT_FILE];

    saved = errno;
    err = 0;

    (void) pthread_once(&ngx_http_gray_failpoint_control,
                        ngx_http_gray_failpoint_init);

    ngx_http_gray_failpoint_hit(point);

    if (ngx_http_gray_failpoint_read(text) > 0) {
        p = text;

        while (err == 0 && ngx_http_gray_failpoint_next(&p, point, 0, action)) {
            err = ngx_http_gray_failpoint_act(action);
        }
    }

    errno = err ? err : saved;

    return err != 0;
}


size_t
ngx_http_gray_shortened(const char *point, size_t len)
{
    int     saved;
    char   *p, action[NGX_HTTP_GRAY_FAILPOINT_WORD];
    char    text[NGX_HTTP_GRAY_FAILPOINT_FILE];
    size_t  bytes;

    saved = errno;

    (void) pthread_once(&ngx_http_gray_failpoint_control,
                        ngx_http_gray_failpoint_init);

    if (ngx_http_gray_failpoint_read(text) > 0) {
        p = text;

        while (ngx_http_gray_failpoint_next(&p, point, 1, action)) {
            bytes = strtoul(action + sizeof("short=") - 1, NULL, 10);
            len = ngx_min(len, bytes);
        }
    }

    errno = saved;

    return len;
}


static void
ngx_http_gray_failpoint_init(void)
{
    char  *path;

    path = getenv("GRAY_FAILPOINTS");

    if (path == NULL) {
        return;
    }

    if (ngx_strlen(path) >= sizeof(ngx_http_gray_failpoint_path)) {
        ngx_http_gray_failpoint_refuse("path", path);
    }

    (void) strcpy(ngx_http_gray_failpoint_path, path);
}


/*
 * The file is replaced by a rename only, so what is read is whole.  Returns
 * its length, 0 where there is none.
 */

static ssize_t
ngx_http_gray_failpoint_read(char *text)
{
    int      fd;
    ssize_t  n;

    if (ngx_http_gray_failpoint_path[0] == '\0') {
        return 0;
    }

    fd = open(ngx_http_gray_failpoint_path, O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        return 0;
    }

    n = read(fd, text, NGX_HTTP_GRAY_FAILPOINT_FILE);

    (void) close(fd);

    if (n == NGX_HTTP_GRAY_FAILPOINT_FILE) {
        ngx_http_gray_failpoint_refuse("size of",
                                       ngx_http_gray_failpoint_path);
    }

    text[n > 0 ? n : 0] = '\0';

    return n;
}


/* the next line, from *text on, that is for the point, now */

static ngx_uint_t
ngx_http_gray_failpoint_next(char **text, const char *point,
    ngx_uint_t shorter, char *action)
{
    int          n;
    char        *line, name[NGX_HTTP_GRAY_FAILPOINT_WORD];
    char         once[NGX_HTTP_GRAY_FAILPOINT_WORD];
    ngx_uint_t   is_short;

    while ((line = strsep(text, "\n")) != NULL) {

        n = sscanf(line, "%63s %63s %63s", name, action, once);

        if (n < 2
            || (ngx_strcmp(name, "*") != 0 && ngx_strcmp(name, point) != 0))
        {
            continue;
        }

        if (n == 3 && ngx_strcmp(once, "once") != 0) {
            ngx_http_gray_failpoint_refuse("word", once);
        }

        is_short = (ngx_strncmp(action, "short=", sizeof("short=") - 1) == 0);

        if (is_short == shorter
            && (n == 2 || ngx_http_gray_failpoint_first(name)))
        {
            return 1;
        }
    }

    return 0;
}


/*
 * Of all threads and processes that come here at the same time, a single one
 * makes the file: that is what O_EXCL is for, and no process that is killed
 * right afterwards, nor its successor, can come a second time.
 */

static ngx_uint_t
ngx_http_gray_failpoint_first(const char *point)
{
    int   fd;
    char  path[NGX_HTTP_GRAY_FAILPOINT_NAME];

    (void) snprintf(path, sizeof(path), "%s.%s.once",
                    ngx_http_gray_failpoint_path, point);

    fd = open(path, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0666);

    if (fd == -1) {

        if (errno != EEXIST) {
            ngx_http_gray_failpoint_refuse("open()", path);
        }

        return 0;
    }

    (void) close(fd);

    return 1;
}


static void
ngx_http_gray_failpoint_hit(const char *point)
{
    int      fd;
    char     path[NGX_HTTP_GRAY_FAILPOINT_NAME];
    char     line[NGX_HTTP_GRAY_FAILPOINT_WORD];
    ssize_t  n;

    if (ngx_http_gray_failpoint_path[0] == '\0') {
        return;
    }

    (void) snprintf(path, sizeof(path), "%s.hits",
                    ngx_http_gray_failpoint_path);

    fd = open(path, O_WRONLY|O_APPEND|O_CLOEXEC);

    if (fd == -1) {
        return;
    }

    n = snprintf(line, sizeof(line), "%s\n", point);

    if (write(fd, line, n) != n) {
        ngx_http_gray_failpoint_refuse("write()", path);
    }

    (void) close(fd);
}


/* the error that the call has, or 0 */

static int
ngx_http_gray_failpoint_act(const char *action)
{
    long                              msec;
    struct timespec                   left;
    ngx_http_gray_failpoint_errno_t  *error;

    if (ngx_strcmp(action, "kill") == 0) {
#if (NGX_HTTP_GRAY_COVERAGE)
        __gcov_dump();
#endif
        (void) kill(getpid(), SIGKILL);
        return 0;
    }

    if (ngx_strcmp(action, "stop") == 0) {

        /* sent to this thread, so it does not go on for a moment */

        (void) raise(SIGSTOP);
        return 0;
    }

    if (ngx_strncmp(action, "sleep=", sizeof("sleep=") - 1) == 0) {
        msec = strtol(action + sizeof("sleep=") - 1, NULL, 10);

        left.tv_sec = msec / 1000;
        left.tv_nsec = msec % 1000 * 1000000;

        while (nanosleep(&left, &left) == -1 && errno == EINTR) { /* void */ }

        return 0;
    }

    for (error = ngx_http_gray_failpoint_errors; error->name; error++) {

        if (ngx_strcmp(action, error->name) == 0) {
            return error->err;
        }
    }

    ngx_http_gray_failpoint_refuse("action", action);

    return 0;
}


/* a test that does not do what it says must not pass */

static void
ngx_http_gray_failpoint_refuse(const char *what, const char *value)
{
    (void) fprintf(stderr, "gray: failpoints: bad %s \"%s\"\n", what, value);

    abort();
}


#endif /* NGX_HTTP_GRAY_FAILPOINTS */
