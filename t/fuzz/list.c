
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Named lists.  The first byte of the input says what the rest is: the text
 * of a list, whose every entry must be found in what is made of it, or the
 * bytes of a file, which may be anything.
 */


#include "fuzz.h"

#define XXH_INLINE_ALL
#include <xxhash.h>


static void
look_up(ngx_http_gray_list_t *list, const ngx_str_t *text, ngx_uint_t entry)
{
    ngx_int_t              rc, family;
    ngx_http_gray_addr_t   addr;

    rc = ngx_http_gray_list_has(list, text, XXH3_64bits(text->data, text->len));

    must(rc == 1 || (!entry && rc == 0) || (!entry && rc == NGX_ERROR));

    family = ngx_http_gray_value_inet(text, &addr);

    if (family != NGX_ERROR) {
        rc = ngx_http_gray_list_covers(list, family, addr);

        must(rc == 1 || rc == 0 || rc == NGX_ERROR);
        must(rc == 1 || !entry || list->info.odd);
    }
}


/*
 * Entries as the text has them: LF ends one, with a CR before it or none;
 * blanks around it are no part of it, nor is a byte order mark.
 */

static void
each_line(ngx_http_gray_list_t *list, const u_char *text, size_t size)
{
    size_t         len;
    ngx_str_t      line;
    const u_char  *end, *first, *last;

    if (size >= 3 && ngx_memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        size -= 3;
    }

    while (size) {
        end = memchr(text, '\n', size);
        len = end ? (size_t) (end - text) : size;

        first = text;
        last = text + len;

        if (last > first && last[-1] == '\r') {
            last--;
        }

        while (first < last && (*first == ' ' || *first == '\t')) {
            first++;
        }

        while (last > first && (last[-1] == ' ' || last[-1] == '\t')) {
            last--;
        }

        if (first < last) {
            line = fuzz_copy(first, last - first);
            look_up(list, &line, 1);
            free(line.data);
        }

        len += (end != NULL);
        text += len;
        size -= len;
    }
}


static void
make(const u_char *data, size_t size)
{
    ngx_str_t             text;
    ngx_http_gray_list_t  list;

    text = fuzz_copy(data, size);

    if (lists_make(&list, text.data, text.len) == NGX_OK) {
        must(list.map);
        each_line(&list, text.data, text.len);
        ngx_http_gray_list_unmap(&list);
    }

    free(text.data);
}


static void
map(const u_char *data, size_t size)
{
    int                    fd;
    ngx_int_t              rc;
    ngx_uint_t             i;
    ngx_http_gray_list_t   list;

    static ngx_str_t       probes[] = {
        ngx_string("a"), ngx_string("ab"), ngx_string("user-1"),
        ngx_string("10.0.0.1"), ngx_string("255.255.255.255"),
        ngx_string("2001:db8::1"), ngx_string("::1"), ngx_string("x")
    };

    fd = memfd_create("list", MFD_CLOEXEC);
    must(fd != -1);
    must(write(fd, data, size) == (ssize_t) size);

    ngx_memzero(&list, sizeof(ngx_http_gray_list_t));
    list.generation = &lists_generation;

    rc = ngx_http_gray_list_map(&list, fd);

    (void) close(fd);

    for (i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
        look_up(&list, &probes[i], 0);
    }

    if (rc == NGX_OK) {
        ngx_http_gray_list_unmap(&list);
    }
}


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_init();

    return 0;
}


int
LLVMFuzzerTestOneInput(const u_char *data, size_t size)
{
    if (size == 0) {
        return 0;
    }

    if (data[0] == 'f') {
        map(data + 1, size - 1);

    } else {
        make(data + 1, size - 1);
    }

    return 0;
}
