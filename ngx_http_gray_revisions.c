
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <signal.h>

#include "ngx_http_gray_revisions.h"


ngx_http_gray_revision_t *
ngx_http_gray_revisions_find(ngx_http_gray_revisions_t *table,
    const ngx_str_t *name)
{
    uint64_t                   i, n;
    ngx_http_gray_revision_t  *entry;

    n = __atomic_load_n(&table->n, __ATOMIC_ACQUIRE);

    for (i = 0; i < n; i++) {
        entry = &table->entry[i];

        if (entry->len == name->len
            && ngx_memcmp(entry->name, name->data, name->len) == 0)
        {
            return entry;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_http_gray_revisions_busy(const uint64_t *pid)
{
    uint64_t  owner;

    owner = __atomic_load_n(pid, __ATOMIC_SEQ_CST);

    return owner && (kill((pid_t) owner, 0) == 0 || ngx_errno != NGX_ESRCH);
}


/* a writer needs a whole file to overtake a reader, so this ends */

void
ngx_http_gray_revisions_read(ngx_http_gray_revision_t *entry,
    ngx_http_gray_list_info_t *info)
{
    uint64_t  word;

    do {
        word = __atomic_load_n(&entry->word, __ATOMIC_ACQUIRE);
        *info = entry->info[word & 1];

        __atomic_thread_fence(__ATOMIC_ACQUIRE);

    } while (__atomic_load_n(&entry->word, __ATOMIC_RELAXED) != word);
}


ngx_int_t
ngx_http_gray_revisions_publish_locked(ngx_http_gray_revisions_t *table,
    const ngx_str_t *name, const ngx_http_gray_list_info_t *info)
{
    uint64_t                   active;
    ngx_uint_t                 added;
    ngx_http_gray_revision_t  *entry;

    entry = ngx_http_gray_revisions_find(table, name);
    added = (entry == NULL);

    if (added) {
        if (table->n == NGX_HTTP_GRAY_REVISIONS) {
            return NGX_BUSY;
        }

        /* a process may have died here, so there may be something */

        entry = &table->entry[table->n];
        ngx_memzero(entry, sizeof(ngx_http_gray_revision_t));

        entry->len = name->len;
        ngx_memcpy(entry->name, name->data, name->len);
    }

    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    active = !(entry->word & 1);
    entry->info[active] = *info;

    __atomic_store_n(&entry->word, ((entry->word >> 1) + 1) << 1 | active,
                     __ATOMIC_RELEASE);

    if (added) {
        __atomic_store_n(&table->n, table->n + 1, __ATOMIC_RELEASE);
    }

    ngx_http_gray_revisions_recall_locked(table);

    return NGX_OK;
}


void
ngx_http_gray_revisions_recall_locked(ngx_http_gray_revisions_t *table)
{
    (void) __atomic_fetch_add(&table->generation, 1, __ATOMIC_ACQ_REL);
}
