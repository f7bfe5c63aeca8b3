
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * To be preloaded: malloc(), calloc() and realloc() fail where the module calls
 * them, in the workers, as long as there is the file that GRAY_MALLOC_FAILS
 * names, which grows by a byte with each call.  What the module calls, nginx
 * and libraries, has memory, but for the libraries whose names stand in
 * GRAY_MALLOC_LIBRARIES.
 *
 * The file may begin with a number: then only that call fails, the first one
 * is 1; or with a number and "+": then all do from that one on.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


/* glibc's own */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);


static pid_t         master;
static char          file[4096];
static char          libraries[256];
static __thread int  inside;


static void __attribute__((constructor))
begin(void)
{
    const char  *name;

    /* nginx writes the titles of its processes over the environment */

    name = getenv("GRAY_MALLOC_FAILS");

    if (name && strlen(name) < sizeof(file)) {
        strcpy(file, name);
    }

    name = getenv("GRAY_MALLOC_LIBRARIES");

    if (name && strlen(name) < sizeof(libraries)) {
        strcpy(libraries, name);
    }

    master = getpid();
}


static int
is_meant(void *caller)
{
    char        *name, *last, text[sizeof(libraries)];
    Dl_info      info;

    if (dladdr(caller, &info) == 0 || info.dli_fname == NULL) {
        return 0;
    }

    if (strstr(info.dli_fname, "/ngx_http_gray_module.so")) {
        return 1;
    }

    strcpy(text, libraries);

    for (name = strtok_r(text, " ", &last);
         name;
         name = strtok_r(NULL, " ", &last))
    {
        if (strstr(info.dli_fname, name)) {
            return 1;
        }
    }

    return 0;
}


static int
fails_now(void)
{
    int       fd;
    char      text[32], *end;
    long      call, first;
    ssize_t   n;

    fd = open(file, O_RDWR|O_APPEND);

    if (fd == -1) {
        return 0;
    }

    n = read(fd, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';

    first = strtol(text, &end, 10);

    if (*end == '+') {
        end++;
    }

    /* where the byte is says which call this is, of any thread */

    (void) !write(fd, ".", 1);
    call = lseek(fd, 0, SEEK_CUR) - (end - text);

    (void) close(fd);

    return end == text ? 1
           : end[-1] == '+' ? call >= first
           : call == first;
}


static int
fails(void *caller)
{
    int  failed;

    if (file[0] == '\0' || inside || getpid() == master) {
        return 0;
    }

    inside = 1;
    failed = is_meant(caller) && fails_now();
    inside = 0;

    return failed;
}


void *
malloc(size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}


void *
calloc(size_t n, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL
                                              : __libc_calloc(n, size);
}


void *
realloc(void *p, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL
                                              : __libc_realloc(p, size);
}
