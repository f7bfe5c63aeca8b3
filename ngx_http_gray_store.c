
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <sys/mman.h>

#include "ngx_http_gray_failpoint.h"
#include "ngx_http_gray_store.h"


static ngx_int_t ngx_http_gray_store_sync(ngx_http_gray_store_t *store);
static void ngx_http_gray_store_rename(ngx_http_gray_store_t *store);
static void ngx_http_gray_store_fail(ngx_http_gray_store_t *store,
    const char *call);


ngx_int_t
ngx_http_gray_store_create(ngx_http_gray_store_t *store,
    ngx_http_gray_directory_t *dir, ngx_str_t *name)
{
    int   n;
    char  suffix[NGX_INT64_LEN * 2 + 3];

    ngx_memzero(store, sizeof(ngx_http_gray_store_t));

    store->body = -1;
    store->fd = -1;

    (void) snprintf(suffix, sizeof(suffix), ".%ld.%lu", (long) ngx_pid,
                    (unsigned long) ngx_random());

    n = snprintf(store->dir, sizeof(store->dir), "%.*s", (int) dir->path.len,
                 (char *) dir->path.data);

    if (n >= (int) sizeof(store->dir)
        || ngx_http_gray_directory_path(dir, name, "", "", store->file,
                                        sizeof(store->file))
           != NGX_OK
        || ngx_http_gray_directory_path(dir, name, ".", suffix, store->temp,
                                        sizeof(store->temp))
           != NGX_OK
        || ngx_http_gray_directory_path(dir, name, ".old.", suffix,
                                        store->old, sizeof(store->old))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_gray_store_make(ngx_http_gray_store_t *store)
{
    off_t    skip;
    size_t   size;
    u_char  *map, *text;

    map = NULL;
    text = store->text;
    size = 0;
    skip = 0;

    if (store->body != -1 && store->len) {
        skip = store->pos % ngx_pagesize;
        size = store->len + skip;

        map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, store->body,
                   store->pos - skip);

        if (map == MAP_FAILED) {
            ngx_http_gray_store_fail(store, "mmap()");
            return;
        }

        (void) madvise(map, size, MADV_SEQUENTIAL);

        text = map + skip;
    }

    store->rc = ngx_http_gray_list_build(&store->build, text, store->len);

    if (store->rc == NGX_ERROR) {
        ngx_http_gray_store_fail(store, "mmap()");
    }

    if (map) {
        (void) munmap(map, size);
    }

    store->build.info.deleted = store->remove;

    if (store->rc != NGX_OK || store->dry_run) {
        return;
    }

    /* for reading only, so that no editor writes into what is mapped */

    store->fd = ngx_http_gray_fails("list_open")
                ? -1 : open(store->temp, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC,
                            0444);

    if (store->fd == -1) {
        ngx_http_gray_store_fail(store, "open()");
        return;
    }

    store->named = 1;

    if (ngx_http_gray_list_write(&store->build, store->fd) != NGX_OK) {
        ngx_http_gray_store_fail(store, "write()");
    }
}


void
ngx_http_gray_store_write(ngx_http_gray_store_t *store)
{
    ngx_http_gray_store_rename(store);

    ngx_http_gray_list_discard(&store->build);

    ngx_http_gray_store_leave(store);
}


/* NGX_DECLINED: the list has these entries already */

static void
ngx_http_gray_store_rename(ngx_http_gray_store_t *store)
{
    int                        fd;
    ngx_uint_t                 same;
    ngx_http_gray_list_info_t  info;

    store->rc = NGX_OK;

    if (store->exists && !store->remove) {

        fd = open(store->file, O_RDONLY|O_CLOEXEC);

        if (fd != -1) {

            /* an older file that was put back is not what is in force */

            same = ngx_http_gray_list_stat(fd, &info) == NGX_OK
                   && info.revision == store->present.revision
                   && info.sum == store->present.sum
                   && ngx_http_gray_list_same(&store->build, fd);

            (void) close(fd);

            if (same) {
                store->rc = NGX_DECLINED;
                return;
            }
        }
    }

    if (store->dry_run) {
        store->build.info.revision = store->revision;
        store->build.info.time = store->time;
        return;
    }

    if (ngx_http_gray_list_seal(&store->build, store->fd, store->revision,
                                store->time)
        != NGX_OK)
    {
        ngx_http_gray_store_fail(store, "write()");
        return;
    }

    if (ngx_http_gray_store_sync(store) == NGX_OK) {
        store->named = 0;
    }
}


/*
 * The rename is durable once the directory is synced.  Where that fails it is
 * taken back: the file that was there before is kept by another name for the
 * time.
 */

static ngx_int_t
ngx_http_gray_store_sync(ngx_http_gray_store_t *store)
{
    int         dir;
    ngx_uint_t  kept;

    dir = ngx_http_gray_fails("list_directory")
          ? -1 : open(store->dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (dir == -1) {
        ngx_http_gray_store_fail(store, "open()");
        return NGX_ERROR;
    }

    kept = (link(store->file, store->old) == 0);

    if (ngx_http_gray_fails("list_rename")
        || rename(store->temp, store->file) == -1)
    {
        ngx_http_gray_store_fail(store, "rename()");

    } else if (ngx_http_gray_fails("list_sync") || fsync(dir) == -1) {
        ngx_http_gray_store_fail(store, "fsync()");

        if (ngx_http_gray_fails("list_back")) {
            store->unknown = 1;

        } else if (kept) {
            store->unknown = (rename(store->old, store->file) == -1);
            kept = store->unknown;

        } else {
            store->unknown = (store->present.revision != 0
                              || unlink(store->file) == -1);
        }
    }

    if (kept) {
        (void) unlink(store->old);
    }

    (void) close(dir);

    return store->rc;
}


void
ngx_http_gray_store_leave(ngx_http_gray_store_t *store)
{
    if (store->fd != -1) {
        (void) close(store->fd);
        store->fd = -1;
    }

    if (store->named) {
        (void) unlink(store->temp);
        store->named = 0;
    }
}


void
ngx_http_gray_store_free(ngx_http_gray_store_t *store)
{
    if (store->body != -1) {
        (void) close(store->body);
        store->body = -1;
    }

    ngx_http_gray_list_discard(&store->build);

    free(store->text);
    store->text = NULL;
}


static void
ngx_http_gray_store_fail(ngx_http_gray_store_t *store, const char *call)
{
    store->rc = NGX_ERROR;
    store->err = ngx_errno;
    store->failed = call;
}
