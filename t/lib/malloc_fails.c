
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * To be preloaded: malloc() fails where the module calls it, in the workers,
 * as long as there is the file that GRAY_MALLOC_FAILS names, which grows by a
 * byte each time.  What the module calls, nginx and libraries, has memory.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


/* glibc's own */

void *__libc_malloc(size_t size);


static pid_t  master;
static char   file[4096];


static void __attribute__((constructor))
begin(void)
{
    const char  *name;

    /* nginx writes the titles of its processes over the environment */

    name = getenv("GRAY_MALLOC_FAILS");

    if (name && strlen(name) < sizeof(file)) {
        strcpy(file, name);
    }

    master = getpid();
}


static int
fails(void *caller)
{
    int      fd;
    Dl_info  info;

    if (dladdr(caller, &info) == 0
        || info.dli_fname == NULL
        || strstr(info.dli_fname, "/ngx_http_gray_module.so") == NULL)
    {
        return 0;
    }

    fd = open(file, O_WRONLY|O_APPEND);

    if (fd == -1) {
        return 0;
    }

    (void) !write(fd, ".", 1);
    (void) close(fd);

    return 1;
}


void *
malloc(size_t size)
{
    int                  failed;
    static __thread int  inside;

    failed = 0;

    if (file[0] && !inside && getpid() != master) {
        inside = 1;
        failed = fails(__builtin_return_address(0));
        inside = 0;
    }

    return failed ? NULL : __libc_malloc(size);
}
