
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * What this process knows of the lists of a zone, and how it follows them.
 *
 * Who writes holds the lock: renames a file, then puts its header into the
 * table in the zone, then moves the zone's generation.  A lookup compares the
 * generation with the one it has seen, and maps the file anew where its list
 * has moved.
 *
 * A process that dies between the rename and the table leaves a file that is
 * newer than the table.  Whoever takes the lock for that list next publishes
 * it; and each worker looks once a second whether the directory has changed,
 * by which it follows the workers of another zone, too: those of another size
 * of it, before and after a reload, and those of another binary.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sys/mman.h>

#include "ngx_http_gray_lists.h"


#define NGX_HTTP_GRAY_LISTS_POLL    1000     /* ms */
#define NGX_HTTP_GRAY_LISTS_SETTLE  2        /* s: a time of modification that
                                                is not older may come twice */
#define NGX_HTTP_GRAY_LISTS_ITEMS   256      /* names that rules may have */


typedef struct {
    ngx_http_gray_list_t            list;         /* must be the first */
    ngx_http_gray_lists_t          *lists;
    ngx_str_t                       name;
    ngx_uint_t                      failed;       /* unsigned  failed:1; */
    u_char                          data[NGX_HTTP_GRAY_NAME + 1];
} ngx_http_gray_lists_item_t;


struct ngx_http_gray_lists_s {
    ngx_http_gray_zone_t           *zone;
    ngx_http_gray_revisions_t      *table;        /* NULL: not there yet */

    ngx_uint_t                      nitems;
    ngx_http_gray_lists_item_t     *item[NGX_HTTP_GRAY_LISTS_ITEMS];

    uint64_t                        none;         /* a generation */

    ngx_http_gray_directory_t       directory;

    ngx_event_t                     event;
    struct timespec                 mtime;        /* of what was looked at */
    ngx_uint_t                      settled;      /* unsigned  settled:1; */
    ngx_http_gray_lists_damaged_t   damaged;
};


#if (NGX_THREADS)

/* what a thread is to unmap */

typedef struct {
    ngx_thread_task_t               task;
    u_char                         *map;
    size_t                          mapped;
} ngx_http_gray_lists_unmap_t;

#endif


typedef struct {
    ngx_http_gray_directory_scan_t  scan;         /* must be the first */
    ngx_http_gray_zone_t           *zone;
    ngx_http_gray_lists_damaged_t   damaged;
} ngx_http_gray_lists_scan_t;


static void ngx_http_gray_lists_cleanup(void *data);
static void ngx_http_gray_lists_refresh(ngx_http_gray_list_t *list);
static void ngx_http_gray_lists_map(ngx_http_gray_lists_item_t *item,
    uint64_t revision);
#if (NGX_THREADS)
static void ngx_http_gray_lists_release(ngx_http_gray_list_t *list,
    u_char *map, size_t mapped);
static void ngx_http_gray_lists_unmap(void *data, ngx_log_t *log);
static void ngx_http_gray_lists_unmapped(ngx_event_t *ev);
#endif
static void ngx_http_gray_lists_handler(ngx_event_t *ev);
static void ngx_http_gray_lists_poll(ngx_http_gray_zone_t *zone,
    ngx_log_t *log);
static ngx_int_t ngx_http_gray_lists_scan(ngx_http_gray_lists_scan_t *scan,
    ngx_http_gray_zone_t *zone, ngx_log_t *log, ngx_uint_t publish);
static void ngx_http_gray_lists_scan_file(ngx_http_gray_directory_scan_t *scan,
    ngx_str_t *name);
static void ngx_http_gray_lists_scan_damaged(ngx_http_gray_lists_scan_t *scan,
    ngx_str_t *name);


ngx_int_t
ngx_http_gray_lists_create(ngx_conf_t *cf, ngx_http_gray_zone_t *zone)
{
    ngx_path_t             *path;
    ngx_pool_cleanup_t     *cln;
    ngx_http_gray_lists_t  *lists;

    if (zone->state.len > 1 && zone->state.data[zone->state.len - 1] == '/') {
        zone->state.len--;
    }

    if (ngx_conf_full_name(cf->cycle, &zone->state, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
    cln = ngx_pool_cleanup_add(cf->pool, sizeof(ngx_http_gray_lists_t));

    if (path == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    lists = cln->data;
    ngx_memzero(lists, sizeof(ngx_http_gray_lists_t));

    lists->zone = zone;
    lists->directory.path = zone->state;
    lists->directory.file = NGX_HTTP_GRAY_DIRECTORY_LISTS_LOCK;
    lists->directory.lock = -1;

    cln->handler = ngx_http_gray_lists_cleanup;

    zone->lists = lists;
    zone->area = sizeof(ngx_http_gray_revisions_t);

    /* nobody else's: nginx refuses a path that has other data */

    path->name = zone->state;
    path->data = zone;
    path->conf_file = cf->conf_file->file.name.data;
    path->line = cf->conf_file->line;

    if (ngx_add_path(cf, &path) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_gray_lists_cleanup(void *data)
{
    ngx_http_gray_lists_t *lists = data;

    ngx_uint_t  i;

    for (i = 0; i < lists->nitems; i++) {
        lists->item[i]->list.release = NULL;
        ngx_http_gray_list_unmap(&lists->item[i]->list);
        free(lists->item[i]);
    }

    lists->nitems = 0;

    if (lists->event.timer_set) {
        ngx_del_timer(&lists->event);
    }

    ngx_http_gray_directory_close(&lists->directory);
}


ngx_int_t
ngx_http_gray_lists_init_zone(ngx_http_gray_zone_t *zone,
    ngx_http_gray_zone_t *before)
{
    ngx_log_t                   *log;
    ngx_uint_t                   i;
    ngx_http_gray_lists_t       *lists;
    ngx_http_gray_revisions_t   *table;
    ngx_http_gray_lists_scan_t   scan;

    lists = zone->lists;
    log = zone->shm_zone->shm.log;

    if (lists == NULL) {
        return NGX_OK;
    }

    if (before && before->state.len
        && (before->state.len != zone->state.len
            || ngx_strncmp(before->state.data, zone->state.data,
                           zone->state.len) != 0))
    {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "gray_zone \"%V\" has the state directory \"%V\" while "
                      "previously it had \"%V\": that can be changed together "
                      "with the size of the zone, or by a restart",
                      &zone->shm_zone->shm.name, &zone->state,
                      &before->state);
        return NGX_ERROR;
    }

    table = ngx_http_gray_shm_area(zone);

    if (table == NULL) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "gray_zone \"%V\" has no memory for lists",
                      &zone->shm_zone->shm.name);
        return NGX_ERROR;
    }

    lists->table = table;

    /* nobody can use the table of a zone that had no state, till now */

    if (before == NULL || before->state.len == 0) {
        ngx_memzero(table, sizeof(ngx_http_gray_revisions_t));
    }

    if (table->generation == 0) {
        (void) ngx_http_gray_lists_scan(&scan, zone, log, 1);

        lists->damaged = scan.damaged;
        table->generation++;
    }

    for (i = 0; i < lists->nitems; i++) {
        lists->item[i]->list.generation = &table->generation;
        lists->item[i]->list.seen = 0;
    }

    return NGX_OK;
}


void
ngx_http_gray_lists_init_process(ngx_http_gray_zone_t *zone,
    ngx_cycle_t *cycle)
{
    ngx_uint_t              i;
    ngx_http_gray_lists_t  *lists;

    lists = zone->lists;

    if (lists == NULL || lists->table == NULL) {
        return;
    }

    /* from the directory as it is now: it may have changed since it was read */

    ngx_http_gray_lists_poll(zone, cycle->log);

    for (i = 0; i < lists->nitems; i++) {
        ngx_http_gray_lists_refresh(&lists->item[i]->list);
    }

    lists->event.handler = ngx_http_gray_lists_handler;
    lists->event.data = lists;
    lists->event.log = cycle->log;
    lists->event.cancelable = 1;

    ngx_add_timer(&lists->event, NGX_HTTP_GRAY_LISTS_POLL);
}


ngx_http_gray_list_t *
ngx_http_gray_lists_get(ngx_http_gray_zone_t *zone, ngx_str_t *name)
{
    ngx_uint_t                   i;
    ngx_http_gray_lists_t       *lists;
    ngx_http_gray_lists_item_t  *item;

    lists = zone->lists;

    if (lists == NULL || !ngx_http_gray_directory_name(name)) {
        return NULL;
    }

    for (i = 0; i < lists->nitems; i++) {
        item = lists->item[i];

        if (item->name.len == name->len
            && ngx_memcmp(item->name.data, name->data, name->len) == 0)
        {
            return &item->list;
        }
    }

    if (lists->nitems == NGX_HTTP_GRAY_LISTS_ITEMS) {
        return NULL;
    }

    item = calloc(1, sizeof(ngx_http_gray_lists_item_t));
    if (item == NULL) {
        return NULL;
    }

    item->lists = lists;
    item->name.data = item->data;
    item->name.len = name->len;
    ngx_memcpy(item->data, name->data, name->len);

    item->list.refresh = ngx_http_gray_lists_refresh;
#if (NGX_THREADS)
    item->list.release = ngx_http_gray_lists_release;
#endif
    item->list.generation = lists->table ? &lists->table->generation
                                         : &lists->none;

    lists->item[lists->nitems++] = item;

    return &item->list;
}


ngx_int_t
ngx_http_gray_lists_known(ngx_http_gray_zone_t *zone, ngx_str_t *name,
    ngx_uint_t networks, char *why, size_t size)
{
    u_char                      names[200];
    ngx_int_t                   rc;
    ngx_http_gray_revision_t   *entry;
    ngx_http_gray_revisions_t  *table;
    ngx_http_gray_list_info_t   info;

    if (zone->lists == NULL) {
        (void) snprintf(why, size, "lists need \"state=DIR\" of gray_zone "
                        "\"%.*s\"", (int) zone->shm_zone->shm.name.len,
                        (char *) zone->shm_zone->shm.name.data);
        return NGX_DECLINED;
    }

    /* while nginx reads its configuration there is no table, but the files */

    table = ngx_http_gray_lists_table(zone);
    entry = table ? ngx_http_gray_revisions_find(table, name) : NULL;

    if (entry) {
        ngx_http_gray_revisions_read(entry, &info);
        rc = NGX_OK;

    } else if (table == NULL && ngx_http_gray_directory_name(name)) {
        rc = ngx_http_gray_directory_file(ngx_http_gray_lists_directory(zone),
                                          name, &info);

    } else {
        rc = NGX_DECLINED;
    }

    if (rc != NGX_OK || info.deleted) {
        if (table) {
            ngx_http_gray_lists_names(zone, names, names + sizeof(names));

        } else {
            ngx_memcpy(names, "those of \"state=DIR\"",
                       sizeof("those of \"state=DIR\""));
        }

        (void) snprintf(why, size, "no list \"%.*s\"; there are %s",
                        (int) ngx_min(name->len, NGX_HTTP_GRAY_NAME),
                        (char *) name->data, (char *) names);
        return NGX_DECLINED;
    }

    if (entry && ngx_http_gray_revisions_busy(&entry->deleting)) {
        (void) snprintf(why, size, "list \"%.*s\" is just being deleted",
                        (int) name->len, (char *) name->data);
        return NGX_DECLINED;
    }

    if (entry && networks && ngx_http_gray_revisions_busy(&entry->changing)) {
        (void) snprintf(why, size, "list \"%.*s\" is just being replaced by "
                        "one that is not of networks", (int) name->len,
                        (char *) name->data);
        return NGX_DECLINED;
    }

    if (networks && info.odd) {
        (void) snprintf(why, size, "list \"%.*s\" is not one of networks, its "
                        "line %llu is none", (int) name->len,
                        (char *) name->data, (unsigned long long) info.odd);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_gray_lists_there(ngx_http_gray_zone_t *zone, ngx_str_t *name,
    ngx_uint_t networks)
{
    ngx_http_gray_list_info_t  info;

    return zone->lists
           && ngx_http_gray_directory_file(ngx_http_gray_lists_directory(zone),
                                           name, &info)
              == NGX_OK
           && !info.deleted
           && !(networks && info.odd);
}


ngx_http_gray_directory_t *
ngx_http_gray_lists_directory(ngx_http_gray_zone_t *zone)
{
    ngx_http_gray_lists_t  *lists;

    lists = zone->lists;

    return lists ? &lists->directory : NULL;
}


ngx_http_gray_revisions_t *
ngx_http_gray_lists_table(ngx_http_gray_zone_t *zone)
{
    ngx_http_gray_lists_t  *lists;

    lists = zone->lists;

    return lists ? lists->table : NULL;
}


ngx_int_t
ngx_http_gray_lists_item(ngx_http_gray_zone_t *zone, ngx_uint_t i,
    ngx_str_t *name, ngx_http_gray_list_info_t *info)
{
    ngx_http_gray_revisions_t  *table;

    table = ngx_http_gray_lists_table(zone);

    if (table == NULL || i >= __atomic_load_n(&table->n, __ATOMIC_ACQUIRE)) {
        return NGX_DECLINED;
    }

    name->data = table->entry[i].name;
    name->len = table->entry[i].len;

    ngx_http_gray_revisions_read(&table->entry[i], info);

    return NGX_OK;
}


void
ngx_http_gray_lists_names(ngx_http_gray_zone_t *zone, u_char *p, u_char *last)
{
    u_char                     *start;
    ngx_str_t                   name;
    ngx_uint_t                  i;
    ngx_http_gray_list_info_t   info;

    start = p;
    last--;

    for (i = 0; ngx_http_gray_lists_item(zone, i, &name, &info) == NGX_OK; i++)
    {
        if (!info.deleted) {
            p = ngx_slprintf(p, last, "%s%V", p == start ? "" : ", ", &name);
        }
    }

    if (p == start) {
        p = ngx_slprintf(p, last, "none");
    }

    *p = '\0';
}


ngx_http_gray_lists_damaged_t *
ngx_http_gray_lists_damaged(ngx_http_gray_zone_t *zone)
{
    ngx_http_gray_lists_t  *lists;

    lists = zone->lists;

    return &lists->damaged;
}


static void
ngx_http_gray_lists_refresh(ngx_http_gray_list_t *list)
{
    uint64_t                     generation;
    ngx_http_gray_revision_t    *entry;
    ngx_http_gray_revisions_t   *table;
    ngx_http_gray_list_info_t    info;
    ngx_http_gray_lists_item_t  *item;

    item = (ngx_http_gray_lists_item_t *) list;
    table = item->lists->table;

    if (table == NULL) {
        return;
    }

    generation = __atomic_load_n(&table->generation, __ATOMIC_ACQUIRE);
    entry = ngx_http_gray_revisions_find(table, &item->name);

    list->seen = generation;

    if (entry == NULL) {
        return;
    }

    ngx_http_gray_revisions_read(entry, &info);

    if (info.deleted) {
        ngx_http_gray_list_unmap(list);
        return;
    }

    if (list->map == NULL
        || list->info.revision != info.revision
        || list->info.sum != info.sum)
    {
        ngx_http_gray_lists_map(item, info.revision);
    }
}


/* where it fails, what is mapped serves, and the timer tries again */

static void
ngx_http_gray_lists_map(ngx_http_gray_lists_item_t *item, uint64_t revision)
{
    int                         fd;
    ngx_int_t                   rc;
    ngx_err_t                   err;
    ngx_http_gray_list_t       *list;
    ngx_http_gray_list_info_t   info;

    list = &item->list;
    rc = NGX_ERROR;

    fd = ngx_http_gray_directory_open(&item->lists->directory, &item->name);

    if (fd != -1) {
        rc = ngx_http_gray_list_stat(fd, &info);

        /* a newer one is about to be published, an older one was put back */

        if (rc == NGX_OK) {
            rc = (info.revision < revision) ? NGX_DECLINED
                                            : ngx_http_gray_list_map(list, fd);
        }
    }

    err = (rc == NGX_ERROR) ? ngx_errno : 0;

    if (fd != -1) {
        (void) close(fd);
    }

    if (rc == NGX_OK) {
        item->failed = 0;
        return;
    }

    if (!item->failed) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                      "gray: list \"%V\": revision %uL in \"%V\" cannot be "
                      "read, %s", &item->name, revision,
                      &item->lists->zone->state,
                      list->map ? "the one before serves"
                                : "rules that use it do not hold");
    }

    item->failed = 1;
}


#if (NGX_THREADS)

/*
 * The last process that unmaps a file which was replaced has it removed from
 * memory and disk: that may take some dozens of milliseconds.
 */

static void
ngx_http_gray_lists_release(ngx_http_gray_list_t *list, u_char *map,
    size_t mapped)
{
    ngx_thread_task_t            *task;
    ngx_http_gray_lists_item_t   *item;
    ngx_http_gray_lists_unmap_t  *unmap;

    item = (ngx_http_gray_lists_item_t *) list;
    unmap = calloc(1, sizeof(ngx_http_gray_lists_unmap_t));

    if (unmap) {
        unmap->map = map;
        unmap->mapped = mapped;

        task = &unmap->task;

        task->ctx = unmap;
        task->handler = ngx_http_gray_lists_unmap;
        task->event.data = unmap;
        task->event.handler = ngx_http_gray_lists_unmapped;

        if (ngx_thread_task_post(item->lists->zone->threads, task) == NGX_OK) {
            return;
        }

        free(unmap);
    }

    (void) munmap(map, mapped);
}


static void
ngx_http_gray_lists_unmap(void *data, ngx_log_t *log)
{
    ngx_http_gray_lists_unmap_t *unmap = data;

    (void) munmap(unmap->map, unmap->mapped);
}


static void
ngx_http_gray_lists_unmapped(ngx_event_t *ev)
{
    free(ev->data);
}

#endif


ngx_int_t
ngx_http_gray_lists_present_locked(ngx_http_gray_zone_t *zone,
    ngx_str_t *name, ngx_http_gray_list_info_t *info)
{
    ngx_int_t                   rc;
    ngx_http_gray_revision_t   *entry;
    ngx_http_gray_revisions_t  *table;
    ngx_http_gray_list_info_t   file;

    table = ngx_http_gray_lists_table(zone);
    entry = ngx_http_gray_revisions_find(table, name);

    ngx_memzero(info, sizeof(ngx_http_gray_list_info_t));

    if (entry) {
        ngx_http_gray_revisions_read(entry, info);
    }

    rc = ngx_http_gray_directory_file(ngx_http_gray_lists_directory(zone), name,
                                      &file);
    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_OK && file.revision > info->revision) {
        *info = file;

        if (entry == NULL && table->n == NGX_HTTP_GRAY_REVISIONS) {
            return NGX_BUSY;
        }

        if (entry || !file.deleted) {
            (void) ngx_http_gray_revisions_publish_locked(table, name, &file);
        }

        return NGX_OK;
    }

    if (entry) {
        return NGX_OK;
    }

    return table->n == NGX_HTTP_GRAY_REVISIONS ? NGX_BUSY : NGX_DECLINED;
}


static void
ngx_http_gray_lists_handler(ngx_event_t *ev)
{
    ngx_uint_t              i;
    ngx_http_gray_lists_t  *lists;

    lists = ev->data;

    ngx_http_gray_lists_poll(lists->zone, ev->log);

    for (i = 0; i < lists->nitems; i++) {
        if (lists->item[i]->failed) {
            ngx_http_gray_lists_refresh(&lists->item[i]->list);
        }
    }

    ngx_add_timer(ev, NGX_HTTP_GRAY_LISTS_POLL);
}


static void
ngx_http_gray_lists_poll(ngx_http_gray_zone_t *zone, ngx_log_t *log)
{
    char                         path[NGX_MAX_PATH];
    struct stat                  st;
    ngx_http_gray_lists_t       *lists;
    ngx_http_gray_lists_scan_t   scan;

    lists = zone->lists;

    (void) snprintf(path, sizeof(path), "%.*s", (int) zone->state.len,
                    (char *) zone->state.data);

    if (stat(path, &st) == -1
        || (lists->settled
            && st.st_mtim.tv_sec == lists->mtime.tv_sec
            && st.st_mtim.tv_nsec == lists->mtime.tv_nsec))
    {
        return;
    }

    if (ngx_http_gray_lists_scan(&scan, zone, log, 0) != NGX_OK) {
        return;
    }

    if (scan.scan.found) {

        if (ngx_http_gray_directory_lock(&lists->directory, log) != NGX_OK) {
            return;
        }

        (void) ngx_http_gray_lists_scan(&scan, zone, log, 1);

        ngx_http_gray_directory_unlock(&lists->directory);
    }

    lists->damaged = scan.damaged;
    lists->mtime = st.st_mtim;
    lists->settled = (scan.scan.unfinished == 0
                      && ngx_abs(ngx_time() - st.st_mtim.tv_sec)
                         > NGX_HTTP_GRAY_LISTS_SETTLE);
}


static ngx_int_t
ngx_http_gray_lists_scan(ngx_http_gray_lists_scan_t *scan,
    ngx_http_gray_zone_t *zone, ngx_log_t *log, ngx_uint_t publish)
{
    ngx_memzero(scan, sizeof(ngx_http_gray_lists_scan_t));

    scan->zone = zone;
    scan->scan.dir = ngx_http_gray_lists_directory(zone);
    scan->scan.log = log;
    scan->scan.publish = publish;
    scan->scan.list = ngx_http_gray_lists_scan_file;

    return ngx_http_gray_directory_scan(&scan->scan);
}


static void
ngx_http_gray_lists_scan_file(ngx_http_gray_directory_scan_t *scan,
    ngx_str_t *name)
{
    ngx_http_gray_zone_t        *zone;
    ngx_http_gray_revision_t    *entry;
    ngx_http_gray_revisions_t   *table;
    ngx_http_gray_list_info_t    file, info;
    ngx_http_gray_lists_scan_t  *ls;

    ls = (ngx_http_gray_lists_scan_t *) scan;
    zone = ls->zone;

    switch (ngx_http_gray_directory_file(scan->dir, name, &file)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        return;

    default: /* NGX_ERROR */
        ngx_http_gray_lists_scan_damaged(ls, name);
        return;
    }

    table = ngx_http_gray_lists_table(zone);
    entry = ngx_http_gray_revisions_find(table, name);

    if (entry) {
        ngx_http_gray_revisions_read(entry, &info);
    }

    /* what is deleted and not known need not be known */

    if (entry ? file.revision <= info.revision : file.deleted) {
        return;
    }

    if (!scan->publish) {
        scan->found++;
        return;
    }

    if (ngx_http_gray_revisions_publish_locked(table, name, &file) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, scan->log, 0,
                      "gray: list \"%V\" is one too many for gray_zone "
                      "\"%V\", which has at most %d", name,
                      &zone->shm_zone->shm.name, NGX_HTTP_GRAY_REVISIONS);
    }
}


/* left alone, and told of once */

static void
ngx_http_gray_lists_scan_damaged(ngx_http_gray_lists_scan_t *scan,
    ngx_str_t *name)
{
    ngx_err_t                       err;
    ngx_uint_t                      i;
    ngx_http_gray_lists_damaged_t  *now, *before;

    err = ngx_errno;
    now = &scan->damaged;
    before = ngx_http_gray_lists_damaged(scan->zone);

    if (now->n < NGX_HTTP_GRAY_LISTS_DAMAGED) {
        (void) ngx_cpystrn(now->name[now->n++], name->data, name->len + 1);
    }

    for (i = 0; i < before->n; i++) {
        if (ngx_strlen(before->name[i]) == name->len
            && ngx_strncmp(before->name[i], name->data, name->len) == 0)
        {
            return;
        }
    }

    ngx_log_error(NGX_LOG_ERR, scan->scan.log, err,
                  "gray: \"%V/%V.list\" is no list, is damaged, or is of "
                  "another machine or version; it is left alone",
                  &scan->zone->state, name);
}
