
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <math.h>
#include <maxminddb.h>

#include "ngx_http_gray_geo.h"
#include "ngx_http_gray_mmdb.h"


/*
 * MaxMind DB files: what they have on an address, and how one takes the place
 * of another while requests are served.
 *
 * The library maps the file that it opens.  If somebody truncates a mapped
 * file, who reads behind the new end gets a SIGBUS; and who writes into it
 * changes what is read under the reader's hands.  So a file is never mapped
 * where it lies: it is copied into an anonymous one, which nobody else can
 * open, and that is what the library maps.  A file that changes while it is
 * copied is refused, and the copy is read as a whole (ngx_http_gray_mmdb.h)
 * before it is used.  The copy costs as much memory as the file has bytes:
 * once for those processes that were forked since it was made, and once in
 * each worker for a file that was replaced since.
 *
 * A lookup is a walk down a tree, and a path in the record that it leads to.
 * Both are remembered: the records of the last four addresses, and for each
 * path what the last records of its eight places had there, as most addresses
 * share few records.  "generation" goes up with each replacement, so that
 * nothing is remembered of a file that is gone.
 */


#define NGX_HTTP_GRAY_GEO_DEPTH      16
#define NGX_HTTP_GRAY_GEO_ADDRESSES  4
#define NGX_HTTP_GRAY_GEO_PLACES     8
#define NGX_HTTP_GRAY_GEO_BUFFER     131072
#define NGX_HTTP_GRAY_GEO_NAME       64


/* by which another file is known */

typedef struct {
    dev_t                        device;
    ino_t                        inode;
    off_t                        size;
    struct timespec              mtime;
} ngx_http_gray_geo_stamp_t;


typedef struct {
    ngx_str_t                    name;
    MMDB_s                      *mmdb;

    ngx_http_gray_geo_stamp_t    tried;       /* whatever came of it */
    ngx_http_gray_geo_stamp_t    written;     /* while it is being written */
    ngx_uint_t                   gone;        /* unsigned  gone:1; */
    char                         why[NGX_HTTP_GRAY_GEO_WHY];

    /* what load() leaves for swap() */

    MMDB_s                      *loaded;
    ngx_http_gray_geo_stamp_t    stamp;
    ngx_uint_t                   unsettled;   /* unsigned  unsettled:1; */
    char                         failure[NGX_HTTP_GRAY_GEO_WHY];
} ngx_http_gray_geo_file_t;


/* the record of an address in each file */

typedef enum {
    NGX_HTTP_GRAY_GEO_UNKNOWN = 0,
    NGX_HTTP_GRAY_GEO_FOUND,
    NGX_HTTP_GRAY_GEO_NONE,
    NGX_HTTP_GRAY_GEO_FAILED
} ngx_http_gray_geo_state_e;


typedef struct {
    ngx_http_gray_addr_t         addr;
    ngx_int_t                    family;      /* 0: of no address */
    uint32_t                     offset[NGX_HTTP_GRAY_GEO_FILES];
    uint8_t                      state[NGX_HTTP_GRAY_GEO_FILES];
} ngx_http_gray_geo_record_t;


struct ngx_http_gray_geo_s {
    ngx_http_gray_geo_file_t    *file[NGX_HTTP_GRAY_GEO_FILES];
    ngx_uint_t                   n;
    ngx_pool_t                  *pool;

    uint32_t                     generation;  /* from 1 */
    ngx_uint_t                   last;        /* record that was asked for */
    ngx_uint_t                   next;        /* record to be overwritten */
    ngx_http_gray_geo_record_t   record[NGX_HTTP_GRAY_GEO_ADDRESSES];
};


/* what a record has at a path */

typedef struct {
    uint32_t                     generation;
    uint32_t                     offset;
    uint16_t                     file;
    uint16_t                     numeric;
    ngx_int_t                    rc;
    ngx_str_t                    text;
    double                       number;
} ngx_http_gray_geo_place_t;


struct ngx_http_gray_geo_path_s {
    const char                  *key[NGX_HTTP_GRAY_GEO_DEPTH + 1];
    ngx_http_gray_geo_place_t    place[NGX_HTTP_GRAY_GEO_PLACES];
};


static ngx_http_gray_geo_record_t *ngx_http_gray_geo_record(
    ngx_http_gray_geo_t *geo, ngx_int_t family, ngx_http_gray_addr_t addr);
static void ngx_http_gray_geo_lookup(ngx_http_gray_geo_t *geo,
    ngx_http_gray_geo_record_t *record, ngx_uint_t i);
static void ngx_http_gray_geo_fetch(ngx_http_gray_geo_t *geo, ngx_uint_t i,
    uint32_t offset, ngx_http_gray_geo_path_t *path,
    ngx_http_gray_geo_place_t *place);
static ngx_int_t ngx_http_gray_geo_value(MMDB_entry_data_s *data,
    ngx_http_gray_geo_place_t *place);
static void ngx_http_gray_geo_cleanup(void *data);
static void ngx_http_gray_geo_close(MMDB_s *mmdb);
static void ngx_http_gray_geo_forget(ngx_http_gray_geo_t *geo);
static void ngx_http_gray_geo_read(ngx_http_gray_geo_file_t *file, int fd);
static int ngx_http_gray_geo_anonymous(char *name, ngx_uint_t *unlinked);
static ngx_int_t ngx_http_gray_geo_copy(int from, int to, off_t size);
static void ngx_http_gray_geo_open(ngx_http_gray_geo_file_t *file,
    const char *name);
static const char *ngx_http_gray_geo_verify(MMDB_s *mmdb);
static void ngx_http_gray_geo_failure(ngx_http_gray_geo_file_t *file,
    ngx_err_t err, const char *what);
static void ngx_http_gray_geo_stamp(ngx_file_info_t *fi,
    ngx_http_gray_geo_stamp_t *stamp);
static ngx_uint_t ngx_http_gray_geo_same(ngx_http_gray_geo_stamp_t *one,
    ngx_http_gray_geo_stamp_t *two);


static const ngx_str_t  ngx_http_gray_geo_booleans[] = {
    ngx_string("false"),
    ngx_string("true")
};


ngx_http_gray_geo_path_t *
ngx_http_gray_geo_path(ngx_pool_t *pool, const ngx_str_t *name, char *why,
    size_t size)
{
    char                      *p, *last;
    ngx_uint_t                 n;
    ngx_http_gray_geo_path_t  *path;

    path = ngx_pcalloc(pool, sizeof(ngx_http_gray_geo_path_t));
    p = ngx_pnalloc(pool, name->len + 1);

    if (path == NULL || p == NULL) {
        (void) snprintf(why, size, "memory is short");
        return NULL;
    }

    ngx_memcpy(p, name->data, name->len);
    last = p + name->len;
    *last = '\0';

    for (n = 0; n < NGX_HTTP_GRAY_GEO_DEPTH; n++) {
        path->key[n] = p;

        while (p < last && *p != '.' && *p != '\0') {
            p++;
        }

        if (p == path->key[n] || (p < last && *p == '\0')) {
            break;
        }

        if (p == last) {
            return path;
        }

        *p++ = '\0';
    }

    (void) snprintf(why, size, "geo.PATH must have from 1 to %d names with "
                    "points between them, as in \"geo.country.iso_code\"",
                    NGX_HTTP_GRAY_GEO_DEPTH);

    return NULL;
}


ngx_int_t
ngx_http_gray_geo_get(ngx_http_gray_geo_t *geo, ngx_int_t family,
    ngx_http_gray_addr_t addr, ngx_http_gray_geo_path_t *path,
    ngx_http_gray_value_t *value)
{
    uint32_t                     offset;
    ngx_uint_t                   i;
    ngx_http_gray_geo_place_t   *place;
    ngx_http_gray_geo_record_t  *record;

    if (geo == NULL || geo->n == 0
        || (family != AF_INET && family != AF_INET6))
    {
        return NGX_ERROR;
    }

    record = &geo->record[geo->last];

    if (record->addr != addr || record->family != family) {
        record = ngx_http_gray_geo_record(geo, family, addr);
    }

    for (i = 0; i < geo->n; i++) {

        if (record->state[i] == NGX_HTTP_GRAY_GEO_UNKNOWN) {
            ngx_http_gray_geo_lookup(geo, record, i);
        }

        if (record->state[i] == NGX_HTTP_GRAY_GEO_NONE) {
            continue;
        }

        if (record->state[i] == NGX_HTTP_GRAY_GEO_FAILED) {
            return NGX_ERROR;
        }

        offset = record->offset[i];
        place = &path->place[(offset * 2654435769U >> 16)
                             % NGX_HTTP_GRAY_GEO_PLACES];

        if (place->offset != offset || place->file != i
            || place->generation != geo->generation)
        {
            ngx_http_gray_geo_fetch(geo, i, offset, path, place);
        }

        if (place->rc == NGX_DECLINED) {
            continue;
        }

        value->text = place->text;
        value->number = place->number;
        value->numeric = (uint8_t) place->numeric;

        return place->rc;
    }

    return NGX_DECLINED;
}


/* an address is found again, or takes the place of the one first looked up */

static ngx_http_gray_geo_record_t *
ngx_http_gray_geo_record(ngx_http_gray_geo_t *geo, ngx_int_t family,
    ngx_http_gray_addr_t addr)
{
    ngx_uint_t                   i;
    ngx_http_gray_geo_record_t  *record;

    for (i = 0; i < NGX_HTTP_GRAY_GEO_ADDRESSES; i++) {
        record = &geo->record[i];

        if (record->addr == addr && record->family == family) {
            geo->last = i;
            return record;
        }
    }

    record = &geo->record[geo->next];
    geo->last = geo->next;
    geo->next = (geo->next + 1) % NGX_HTTP_GRAY_GEO_ADDRESSES;

    record->addr = addr;
    record->family = family;
    ngx_memzero(record->state, geo->n);

    return record;
}


static void
ngx_http_gray_geo_lookup(ngx_http_gray_geo_t *geo,
    ngx_http_gray_geo_record_t *record, ngx_uint_t i)
{
    int                   error;
    uint64_t              half[2];
    MMDB_lookup_result_s  result;

    union {
        struct sockaddr      sa;
        struct sockaddr_in   in;
        struct sockaddr_in6  in6;
    } u;

    u.sa.sa_family = (sa_family_t) record->family;

    if (record->family == AF_INET) {
        u.in.sin_addr.s_addr = htonl((uint32_t) record->addr);

    } else {
        half[0] = (uint64_t) (record->addr >> 64);
        half[1] = (uint64_t) record->addr;

#if (NGX_HAVE_LITTLE_ENDIAN)
        half[0] = __builtin_bswap64(half[0]);
        half[1] = __builtin_bswap64(half[1]);
#endif

        ngx_memcpy(&u.in6.sin6_addr, half, sizeof(half));
    }

    result = MMDB_lookup_sockaddr(geo->file[i]->mmdb, &u.sa, &error);

    /* a database of IPv4 has no record of an address of IPv6 */

    if (error == MMDB_IPV6_LOOKUP_IN_IPV4_DATABASE_ERROR) {
        record->state[i] = NGX_HTTP_GRAY_GEO_NONE;

    } else if (error != MMDB_SUCCESS) {
        record->state[i] = NGX_HTTP_GRAY_GEO_FAILED;

    } else if (!result.found_entry) {
        record->state[i] = NGX_HTTP_GRAY_GEO_NONE;

    } else {
        record->state[i] = NGX_HTTP_GRAY_GEO_FOUND;
        record->offset[i] = result.entry.offset;
    }
}


static void
ngx_http_gray_geo_fetch(ngx_http_gray_geo_t *geo, ngx_uint_t i,
    uint32_t offset, ngx_http_gray_geo_path_t *path,
    ngx_http_gray_geo_place_t *place)
{
    int                error;
    MMDB_entry_s       entry;
    MMDB_entry_data_s  data;

    ngx_memzero(place, sizeof(ngx_http_gray_geo_place_t));

    place->generation = geo->generation;
    place->offset = offset;
    place->file = (uint16_t) i;

    entry.mmdb = geo->file[i]->mmdb;
    entry.offset = offset;

    error = MMDB_aget_value(&entry, &data, path->key);

    switch (error) {

    case MMDB_SUCCESS:
        place->rc = data.has_data ? ngx_http_gray_geo_value(&data, place)
                                  : NGX_DECLINED;
        break;

    case MMDB_LOOKUP_PATH_DOES_NOT_MATCH_DATA_ERROR:
    case MMDB_INVALID_LOOKUP_PATH_ERROR:
        place->rc = NGX_DECLINED;
        break;

    default:
        place->rc = NGX_ERROR;
    }
}


static ngx_int_t
ngx_http_gray_geo_value(MMDB_entry_data_s *data,
    ngx_http_gray_geo_place_t *place)
{
    switch (data->type) {

    case MMDB_DATA_TYPE_UTF8_STRING:
        place->text.data = (u_char *) data->utf8_string;
        place->text.len = data->data_size;
        return data->data_size ? NGX_OK : NGX_DECLINED;

    case MMDB_DATA_TYPE_BOOLEAN:
        place->text = ngx_http_gray_geo_booleans[data->boolean ? 1 : 0];
        return NGX_OK;

    case MMDB_DATA_TYPE_DOUBLE:
        place->number = data->double_value;
        break;

    case MMDB_DATA_TYPE_FLOAT:
        place->number = (double) data->float_value;
        break;

    case MMDB_DATA_TYPE_UINT16:
        place->number = data->uint16;
        break;

    case MMDB_DATA_TYPE_UINT32:
        place->number = data->uint32;
        break;

    case MMDB_DATA_TYPE_INT32:
        place->number = data->int32;
        break;

    case MMDB_DATA_TYPE_UINT64:
        place->number = (double) data->uint64;
        break;

    case MMDB_DATA_TYPE_UINT128:
#if (MMDB_UINT128_IS_BYTE_ARRAY)
        return NGX_ERROR;
#else
        place->number = (double) data->uint128;
        break;
#endif

    default:
        return NGX_ERROR;
    }

    /* not a number, or beyond all numbers: nothing compares with it */

    if (!isfinite(place->number)) {
        return NGX_ERROR;
    }

    place->numeric = NGX_HTTP_GRAY_IS;

    return NGX_OK;
}


ngx_http_gray_geo_t *
ngx_http_gray_geo_create(ngx_pool_t *pool)
{
    ngx_pool_cleanup_t   *cln;
    ngx_http_gray_geo_t  *geo;

    geo = ngx_pcalloc(pool, sizeof(ngx_http_gray_geo_t));
    cln = ngx_pool_cleanup_add(pool, 0);

    if (geo == NULL || cln == NULL) {
        return NULL;
    }

    geo->pool = pool;
    geo->generation = 1;

    cln->handler = ngx_http_gray_geo_cleanup;
    cln->data = geo;

    return geo;
}


static void
ngx_http_gray_geo_cleanup(void *data)
{
    ngx_http_gray_geo_t *geo = data;

    ngx_uint_t  i;

    for (i = 0; i < geo->n; i++) {
        ngx_http_gray_geo_close(geo->file[i]->mmdb);
        ngx_http_gray_geo_close(geo->file[i]->loaded);
    }

    geo->n = 0;
}


static void
ngx_http_gray_geo_close(MMDB_s *mmdb)
{
    if (mmdb) {
        MMDB_close(mmdb);
        free(mmdb);
    }
}


static void
ngx_http_gray_geo_forget(ngx_http_gray_geo_t *geo)
{
    ngx_memzero(geo->record, sizeof(geo->record));

    /* 0 is what a place has that was never filled */

    if (++geo->generation == 0) {
        geo->generation = 1;
    }
}


ngx_int_t
ngx_http_gray_geo_add(ngx_http_gray_geo_t *geo, ngx_str_t *name, char *why)
{
    ngx_uint_t                 i;
    ngx_http_gray_geo_file_t  *file;

    for (i = 0; i < geo->n; i++) {
        if (ngx_strcmp(geo->file[i]->name.data, name->data) == 0) {
            (void) snprintf(why, NGX_HTTP_GRAY_GEO_WHY, "is given twice");
            return NGX_ERROR;
        }
    }

    if (geo->n == NGX_HTTP_GRAY_GEO_FILES) {
        (void) snprintf(why, NGX_HTTP_GRAY_GEO_WHY,
                        "is one too many, there can be %d",
                        NGX_HTTP_GRAY_GEO_FILES);
        return NGX_ERROR;
    }

    file = ngx_pcalloc(geo->pool, sizeof(ngx_http_gray_geo_file_t));

    if (file == NULL) {
        (void) snprintf(why, NGX_HTTP_GRAY_GEO_WHY, "memory is short");
        return NGX_ERROR;
    }

    file->name = *name;
    geo->file[geo->n] = file;

    ngx_http_gray_geo_load(geo, geo->n);

    if (file->loaded == NULL) {
        ngx_memcpy(why, file->failure, NGX_HTTP_GRAY_GEO_WHY);
        return NGX_ERROR;
    }

    file->mmdb = file->loaded;
    file->loaded = NULL;
    file->tried = file->stamp;
    geo->n++;

    return NGX_OK;
}


ngx_uint_t
ngx_http_gray_geo_count(ngx_http_gray_geo_t *geo)
{
    return geo ? geo->n : 0;
}


void
ngx_http_gray_geo_info(ngx_http_gray_geo_t *geo, ngx_uint_t i,
    ngx_http_gray_geo_info_t *info)
{
    MMDB_metadata_s           *metadata;
    ngx_http_gray_geo_file_t  *file;

    file = geo->file[i];
    metadata = &file->mmdb->metadata;

    info->file = file->name;
    info->type.data = (u_char *) metadata->database_type;
    info->type.len = ngx_strlen(metadata->database_type);
    info->built = metadata->build_epoch;
    info->ip_version = metadata->ip_version;
    info->nodes = metadata->node_count;
    info->why = file->why[0] ? file->why : NULL;
}


ngx_uint_t
ngx_http_gray_geo_due(ngx_http_gray_geo_t *geo, ngx_uint_t i, ngx_log_t *log)
{
    ngx_err_t                   err;
    ngx_file_info_t             fi;
    ngx_http_gray_geo_file_t   *file;
    ngx_http_gray_geo_stamp_t   stamp;

    file = geo->file[i];

    if (ngx_file_info(file->name.data, &fi) == NGX_FILE_ERROR) {
        err = ngx_errno;

        if (!file->gone) {
            file->gone = 1;
            ngx_memzero(&file->tried, sizeof(ngx_http_gray_geo_stamp_t));

            ngx_http_gray_geo_failure(file, err, "stat() failed");
            ngx_memcpy(file->why, file->failure, NGX_HTTP_GRAY_GEO_WHY);

            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "gray_geoip \"%V\" is gone, what was read before "
                          "stays in use: %s", &file->name, file->why);
        }

        return 0;
    }

    file->gone = 0;
    ngx_http_gray_geo_stamp(&fi, &stamp);

    if (ngx_http_gray_geo_same(&stamp, &file->tried)) {
        return 0;
    }

    /* one that is written in place is left alone until it stays as it is */

    if (stamp.inode == file->tried.inode && stamp.device == file->tried.device
        && !ngx_http_gray_geo_same(&stamp, &file->written))
    {
        file->written = stamp;
        (void) snprintf(file->why, NGX_HTTP_GRAY_GEO_WHY,
                        "is being written");
        return 0;
    }

    /* should it be gone when it is opened, then this one was tried */

    file->stamp = stamp;

    return 1;
}


void
ngx_http_gray_geo_swap(ngx_http_gray_geo_t *geo, ngx_uint_t i, ngx_log_t *log)
{
    ngx_http_gray_geo_file_t  *file;

    file = geo->file[i];
    file->tried = file->stamp;

    if (file->loaded) {
        ngx_http_gray_geo_close(file->mmdb);
        ngx_http_gray_geo_forget(geo);

        file->mmdb = file->loaded;
        file->loaded = NULL;
        file->why[0] = '\0';

        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "gray_geoip \"%V\" was read again, built %uL",
                      &file->name,
                      (uint64_t) file->mmdb->metadata.build_epoch);
        return;
    }

    ngx_memcpy(file->why, file->failure, NGX_HTTP_GRAY_GEO_WHY);

    /* it is due again, when it stays as it is */

    if (file->unsettled) {
        return;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "gray_geoip \"%V\" cannot be used, what was read before "
                  "stays in use: %s", &file->name, file->why);
}


/* writes to what is for swap() alone, and logs nothing */

void
ngx_http_gray_geo_load(ngx_http_gray_geo_t *geo, ngx_uint_t i)
{
    int                        fd;
    ngx_http_gray_geo_file_t  *file;

    file = geo->file[i];

    file->loaded = NULL;
    file->unsettled = 0;
    file->failure[0] = '\0';

    fd = open((char *) file->name.data, O_RDONLY|O_NONBLOCK|O_CLOEXEC);

    if (fd == -1) {
        ngx_http_gray_geo_failure(file, ngx_errno, "open() failed");
        return;
    }

    ngx_http_gray_geo_read(file, fd);

    (void) close(fd);
}


static void
ngx_http_gray_geo_read(ngx_http_gray_geo_file_t *file, int fd)
{
    int                         copy;
    char                        name[NGX_HTTP_GRAY_GEO_NAME];
    ngx_int_t                   rc;
    ngx_uint_t                  unlinked;
    ngx_file_info_t             fi;
    ngx_http_gray_geo_stamp_t   stamp;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_http_gray_geo_failure(file, ngx_errno, "fstat() failed");
        return;
    }

    ngx_http_gray_geo_stamp(&fi, &file->stamp);

    if (!ngx_is_file(&fi)) {
        ngx_http_gray_geo_failure(file, 0, "is not a file");
        return;
    }

    if (ngx_file_size(&fi) == 0) {
        ngx_http_gray_geo_failure(file, 0, "is empty");
        return;
    }

    copy = ngx_http_gray_geo_anonymous(name, &unlinked);

    if (copy == -1) {
        ngx_http_gray_geo_failure(file, ngx_errno, "no file for a copy");
        return;
    }

    rc = ngx_http_gray_geo_copy(fd, copy, ngx_file_size(&fi));

    if (rc == NGX_ERROR) {
        ngx_http_gray_geo_failure(file, ngx_errno, "copying failed");

    } else if (rc == NGX_OK && ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_http_gray_geo_failure(file, ngx_errno, "fstat() failed");

    } else {
        ngx_http_gray_geo_stamp(&fi, &stamp);

        if (rc == NGX_OK && ngx_http_gray_geo_same(&stamp, &file->stamp)) {
            ngx_http_gray_geo_open(file, name);

        } else {
            ngx_http_gray_geo_failure(file, 0, "changed while it was read");
            file->unsettled = 1;
        }
    }

    if (unlinked) {
        (void) unlink(name);
    }

    (void) close(copy);
}


/* a file that nobody else has; -1 with errno, if there is none to be had */

static int
ngx_http_gray_geo_anonymous(char *name, ngx_uint_t *unlinked)
{
    int  fd;

    *unlinked = 0;

#ifdef MFD_ALLOW_SEALING

    fd = memfd_create("gray_geoip", MFD_CLOEXEC|MFD_ALLOW_SEALING);

    if (fd != -1) {
        (void) snprintf(name, NGX_HTTP_GRAY_GEO_NAME, "/proc/self/fd/%d", fd);

        if (access(name, R_OK) == 0) {
            return fd;
        }

        (void) close(fd);
    }

#endif

    (void) snprintf(name, NGX_HTTP_GRAY_GEO_NAME, "%s/gray_geoip.XXXXXX",
                    P_tmpdir);

    fd = mkstemp(name);

    if (fd != -1) {
        *unlinked = 1;
        (void) fcntl(fd, F_SETFD, FD_CLOEXEC);
    }

    return fd;
}


/* NGX_DECLINED: there was less of it, or more; NGX_ERROR with errno */

static ngx_int_t
ngx_http_gray_geo_copy(int from, int to, off_t size)
{
    int      err;
    char    *buffer;
    off_t    done;
    ssize_t  n, written, m;

    buffer = malloc(NGX_HTTP_GRAY_GEO_BUFFER);

    if (buffer == NULL) {
        ngx_set_errno(NGX_ENOMEM);
        return NGX_ERROR;
    }

    for (done = 0; done <= size; done += n) {
        n = read(from, buffer, NGX_HTTP_GRAY_GEO_BUFFER);

        if (n == 0) {
            break;
        }

        for (written = 0; written < n; written += m) {
            m = write(to, buffer + written, n - written);

            if (m == -1) {
                break;
            }
        }

        if (n == -1 || written < n) {
            err = ngx_errno;
            free(buffer);
            ngx_set_errno(err);
            return NGX_ERROR;
        }
    }

    free(buffer);

#ifdef F_SEAL_WRITE

    /* a file on disk has no seals, nor a name that others know */

    (void) fcntl(to, F_ADD_SEALS,
                 F_SEAL_SEAL|F_SEAL_SHRINK|F_SEAL_GROW|F_SEAL_WRITE);

#endif

    return (done == size) ? NGX_OK : NGX_DECLINED;
}


static void
ngx_http_gray_geo_open(ngx_http_gray_geo_file_t *file, const char *name)
{
    int          status;
    MMDB_s      *mmdb;
    const char  *fault;

    mmdb = malloc(sizeof(MMDB_s));

    if (mmdb == NULL) {
        ngx_http_gray_geo_failure(file, 0, "memory is short");
        return;
    }

    status = MMDB_open(name, MMDB_MODE_MMAP, mmdb);

    if (status != MMDB_SUCCESS) {
        ngx_http_gray_geo_failure(file,
                                  (status == MMDB_IO_ERROR) ? ngx_errno : 0,
                                  MMDB_strerror(status));
        free(mmdb);
        return;
    }

    fault = ngx_http_gray_geo_verify(mmdb);

    if (fault) {
        ngx_http_gray_geo_failure(file, 0, fault);
        ngx_http_gray_geo_close(mmdb);
        return;
    }

    file->loaded = mmdb;
}


/* NULL, or what is wrong */

static const char *
ngx_http_gray_geo_verify(MMDB_s *mmdb)
{
    size_t            tree, end;
    MMDB_metadata_s  *metadata;

    metadata = &mmdb->metadata;

    /* the library may multiply with 32 bits */

    tree = (size_t) metadata->node_count * (metadata->record_size / 4) + 16;
    end = mmdb->metadata_section - mmdb->file_content
          - (sizeof("\xab\xcd\xef" "MaxMind.com") - 1);

    if (metadata->node_count == 0 || tree > end) {
        return "the search tree does not fit in";
    }

    return ngx_http_gray_mmdb_verify(mmdb->file_content, metadata->node_count,
                                     metadata->record_size, end - tree);
}


static void
ngx_http_gray_geo_failure(ngx_http_gray_geo_file_t *file, ngx_err_t err,
    const char *what)
{
    u_char  *p, *last;

    last = (u_char *) file->failure + NGX_HTTP_GRAY_GEO_WHY - 1;
    p = ngx_slprintf((u_char *) file->failure, last, "%s", what);

    if (err) {
        p = ngx_slprintf(p, last, " (%d: ", err);
        p = ngx_strerror(err, p, last - p);
        p = ngx_slprintf(p, last, ")");
    }

    *p = '\0';
}


static void
ngx_http_gray_geo_stamp(ngx_file_info_t *fi, ngx_http_gray_geo_stamp_t *stamp)
{
    stamp->device = fi->st_dev;
    stamp->inode = fi->st_ino;
    stamp->size = fi->st_size;

#if (NGX_DARWIN)
    stamp->mtime = fi->st_mtimespec;
#else
    stamp->mtime = fi->st_mtim;
#endif
}


static ngx_uint_t
ngx_http_gray_geo_same(ngx_http_gray_geo_stamp_t *one,
    ngx_http_gray_geo_stamp_t *two)
{
    return one->device == two->device
           && one->inode == two->inode
           && one->size == two->size
           && one->mtime.tv_sec == two->mtime.tv_sec
           && one->mtime.tv_nsec == two->mtime.tv_nsec;
}
