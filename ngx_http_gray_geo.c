
/*
 * Copyright (C) the nginx gray module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <math.h>

#include "ngx_http_gray_geo.h"
#include "ngx_http_gray_geofile.h"


/*
 * What MaxMind DB files have on an address.
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
#define NGX_HTTP_GRAY_GEO_EXACT      9007199254740992.0    /* 2^53 */


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
    ngx_http_gray_geofile_t     *file[NGX_HTTP_GRAY_GEO_FILES];
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
static void ngx_http_gray_geo_forget(ngx_http_gray_geo_t *geo);


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

        /* what is next to 2^53 would become that, which is a number for sure */

        if (place->number == NGX_HTTP_GRAY_GEO_EXACT
            && data->uint64 != (uint64_t) NGX_HTTP_GRAY_GEO_EXACT)
        {
            place->number += 2;
        }

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
        ngx_http_gray_geofile_close(geo->file[i]);
    }

    geo->n = 0;
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
    ngx_uint_t                i;
    ngx_http_gray_geofile_t  *file;

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

    file = ngx_pcalloc(geo->pool, sizeof(ngx_http_gray_geofile_t));

    if (file == NULL) {
        (void) snprintf(why, NGX_HTTP_GRAY_GEO_WHY, "memory is short");
        return NGX_ERROR;
    }

    file->name = *name;

    ngx_http_gray_geofile_load(file);

    if (ngx_http_gray_geofile_take(file) != NGX_OK) {
        (void) snprintf(why, NGX_HTTP_GRAY_GEO_WHY, "%s", file->failure);
        return NGX_ERROR;
    }

    geo->file[geo->n++] = file;

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
    MMDB_metadata_s          *metadata;
    ngx_http_gray_geofile_t  *file;

    file = geo->file[i];
    metadata = &file->mmdb->metadata;

    info->file = file->name;
    info->type.data = (u_char *) metadata->database_type;
    info->type.len = ngx_strlen(metadata->database_type);
    info->built = metadata->build_epoch;
    info->ip_version = metadata->ip_version;
    info->nodes = metadata->node_count;
    info->why = ngx_http_gray_geofile_why(file);
}


ngx_uint_t
ngx_http_gray_geo_due(ngx_http_gray_geo_t *geo, ngx_uint_t i, ngx_log_t *log)
{
    return ngx_http_gray_geofile_due(geo->file[i], log);
}


void
ngx_http_gray_geo_load(ngx_http_gray_geo_t *geo, ngx_uint_t i)
{
    ngx_http_gray_geofile_load(geo->file[i]);
}


void
ngx_http_gray_geo_swap(ngx_http_gray_geo_t *geo, ngx_uint_t i, ngx_log_t *log)
{
    if (ngx_http_gray_geofile_swap(geo->file[i], log)) {
        ngx_http_gray_geo_forget(geo);
    }
}
