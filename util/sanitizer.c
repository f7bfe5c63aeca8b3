
/*
 * Linked into the nginx of "make asan".  gcc has UBSan in a library of its
 * own, whose log_path is set in that of ASan by mistake (they have a symbol
 * of one name), so that its reports would go to stderr, that is to wherever
 * error_log is at the time.  Here they are sent beside those of ASan.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <stdlib.h>


void __ubsan_handle_add_overflow(void *, void *, void *);


static void __attribute__((constructor))
report_to_file(void)
{
    char     *path;
    void     *lib;
    void    (*set)(const char *);
    Dl_info   info;

    path = getenv("TEST_SANITIZER_LOG");

    if (path == NULL
        || dladdr((void *) __ubsan_handle_add_overflow, &info) == 0)
    {
        return;
    }

    lib = dlopen(info.dli_fname, RTLD_LAZY|RTLD_NOLOAD);

    if (lib == NULL) {
        return;
    }

    *(void **) &set = dlsym(lib, "__sanitizer_set_report_path");

    if (set) {
        set(path);
    }
}
