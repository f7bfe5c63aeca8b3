
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Named lists for programs without nginx, made and mapped as the module does,
 * in files that have no name.
 */


#ifndef _LISTS_H_INCLUDED_
#define _LISTS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <sys/mman.h>

#include "ngx_http_gray_condition.h"
#include "ngx_http_gray_list.h"


#define LISTS  32


typedef struct {
    char                   name[64];
    ngx_http_gray_list_t   list;
} lists_t;


static lists_t     lists[LISTS];
static ngx_uint_t  lists_n;
static uint64_t    lists_generation;


/* the text as a file of a list, mapped; NGX_OK, or what _build() returned */

static ngx_inline ngx_int_t
lists_make(ngx_http_gray_list_t *list, const u_char *text, size_t len)
{
    int                         fd;
    ngx_int_t                   rc;
    ngx_http_gray_list_build_t  build;

    ngx_memzero(list, sizeof(ngx_http_gray_list_t));
    list->generation = &lists_generation;

    rc = ngx_http_gray_list_build(&build, text, len);

    if (rc == NGX_OK) {
        fd = memfd_create("list", MFD_CLOEXEC);

        if (fd == -1
            || ngx_http_gray_list_write(&build, fd) != NGX_OK
            || ngx_http_gray_list_seal(&build, fd, 1, 0) != NGX_OK
            || ngx_http_gray_list_map(list, fd) != NGX_OK)
        {
            perror("list");
            abort();
        }

        (void) close(fd);
    }

    ngx_http_gray_list_discard(&build);

    return rc;
}


static ngx_inline void
lists_add(const char *name, const u_char *text, size_t len)
{
    lists_t  *l;

    if (lists_n == LISTS || strlen(name) >= sizeof(l->name)) {
        abort();
    }

    l = &lists[lists_n++];
    strcpy(l->name, name);

    if (lists_make(&l->list, text, len) != NGX_OK) {
        (void) fprintf(stderr, "list \"%s\" cannot be made\n", name);
        exit(2);
    }
}


/* for env->list */

static ngx_inline ngx_int_t
lists_find(void *data, ngx_str_t *name, ngx_uint_t networks,
    ngx_http_gray_list_t **list, char *why, size_t size)
{
    ngx_uint_t  i;

    for (i = 0; i < lists_n; i++) {

        if (strlen(lists[i].name) != name->len
            || ngx_memcmp(lists[i].name, name->data, name->len) != 0)
        {
            continue;
        }

        if (networks && lists[i].list.info.odd) {
            break;
        }

        *list = &lists[i].list;
        return NGX_OK;
    }

    (void) snprintf(why, size, "there is no such list");

    return NGX_DECLINED;
}


static ngx_inline void
lists_free(void)
{
    while (lists_n) {
        ngx_http_gray_list_unmap(&lists[--lists_n].list);
    }
}


#endif /* _LISTS_H_INCLUDED_ */
