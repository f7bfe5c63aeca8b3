
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * A libFuzzer target: the input is a file of gray_geoip.  It is refused, or
 * lookups of many addresses by several paths come back, each twice alike, and
 * what they tell can be read to the end.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <sanitizer/lsan_interface.h>

#include "ngx_http_gray_geo.h"


#define ADDRESSES  100


int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static const char  *paths[] = {
    "country.iso_code", "id", "latitude", "flag", "parts.1.code", "none.more",
    "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0", "parts.-1", "country", "u128"
};

#define PATHS  (sizeof(paths) / sizeof(paths[0]))


static char        name[64];
static int         file;
static ngx_log_t   silent;


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void) argc;
    (void) argv;

    ngx_use_stderr = 0;
    ngx_pagesize = (ngx_uint_t) getpagesize();
    ngx_time_init();

    if (ngx_strerror_init() != NGX_OK) {
        return 1;
    }

    file = memfd_create("fuzz", MFD_CLOEXEC);
    (void) snprintf(name, sizeof(name), "/proc/self/fd/%d", file);

    return file == -1;
}


/* what is told, all of it read */

static uint64_t
digest(ngx_http_gray_value_t *value)
{
    size_t    i;
    uint64_t  sum;

    sum = value->numeric;

    for (i = 0; i < value->text.len; i++) {
        sum = sum * 31 + value->text.data[i];
    }

    return sum;
}


static void
look_up(ngx_http_gray_geo_t *geo, ngx_http_gray_geo_path_t **path,
    ngx_int_t family, ngx_http_gray_addr_t addr)
{
    ngx_int_t              rc[2];
    uint64_t               sum[2];
    ngx_uint_t             i, j;
    ngx_http_gray_value_t  value;

    for (i = 0; i < PATHS; i++) {

        for (j = 0; j < 2; j++) {
            ngx_memzero(&value, sizeof(value));
            rc[j] = ngx_http_gray_geo_get(geo, family, addr, path[i], &value);
            sum[j] = (rc[j] == NGX_OK) ? digest(&value) : 0;
        }

        if (rc[0] != rc[1] || sum[0] != sum[1]) {
            abort();
        }
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                       why[NGX_HTTP_GRAY_GEO_WHY];
    uint64_t                   seed;
    ngx_int_t                  rc;
    ngx_str_t                  text;
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    ngx_http_gray_geo_t       *geo;
    ngx_http_gray_addr_t       addr;
    ngx_http_gray_geo_path_t  *path[PATHS];

    if (ftruncate(file, 0) == -1
        || pwrite(file, data, size, 0) != (ssize_t) size)
    {
        abort();
    }

    pool = ngx_create_pool(4096, &silent);
    geo = ngx_http_gray_geo_create(pool);

    text.data = (u_char *) name;
    text.len = ngx_strlen(name);

    /* some versions of the library lose memory over damaged metadata */

    __lsan_disable();
    rc = ngx_http_gray_geo_add(geo, &text, why);
    __lsan_enable();

    if (rc != NGX_OK) {

        if (why[0] == '\0') {
            abort();
        }

        ngx_destroy_pool(pool);
        return 0;
    }

    for (i = 0; i < PATHS; i++) {
        text.data = (u_char *) paths[i];
        text.len = ngx_strlen(paths[i]);
        path[i] = ngx_http_gray_geo_path(pool, &text, why, sizeof(why));
    }

    seed = size;

    for (i = 0; i < ADDRESSES; i++) {
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        addr = seed >> 32;

        if (i % 2) {
            addr = addr << 96 | (addr ^ seed);
        }

        if (i < 4) {
            addr = (i & 1) ? (ngx_http_gray_addr_t) 0x20010db8 << 96
                           : 0x01020304;
        }

        look_up(geo, path, (i % 2) ? AF_INET6 : AF_INET, addr);
    }

    ngx_destroy_pool(pool);

    return 0;
}
