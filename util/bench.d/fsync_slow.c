
/*
 * Copyright (C) the nginx gray module authors
 */


/* To be preloaded: fdatasync() takes GRAY_FSYNC_SLOW microseconds longer. */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>


static struct timespec  slow;


/* nginx clears the environment of its workers */

__attribute__((constructor)) static void
init(void)
{
    long         us;
    const char  *text;

    text = getenv("GRAY_FSYNC_SLOW");
    us = text ? strtol(text, NULL, 10) : 0;

    slow.tv_sec = us / 1000000;
    slow.tv_nsec = us % 1000000 * 1000;
}


int
fdatasync(int fd)
{
    int  (*next)(int fd);

    (void) nanosleep(&slow, NULL);

    next = (int (*)(int)) dlsym(RTLD_NEXT, "fdatasync");

    return next(fd);
}
