
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Databases that are made here: all kinds of values, all sizes of records,
 * paths, replacement, and files that are damaged in any way.
 *
 * The wrappers of memory.h to be linked: __wrap_malloc, __wrap_calloc,
 * __wrap_realloc, __wrap_posix_memalign, __wrap_pcre2_compile_8,
 * __wrap_pcre2_match_data_create_8, __wrap_pcre2_match_context_create_8
 */


#include "unit.h"
#include "memory.h"
#include "ngx_http_gray_geo.h"

#include <math.h>
#include <maxminddb.h>
#include <sanitizer/lsan_interface.h>


#define SIZE   65536
#define NODES  512


/* a database that is being made */

typedef struct {
    ngx_uint_t   bits;
    ngx_uint_t   version;
    uint64_t     built;

    uint32_t     record[NODES][2];     /* 0: nothing, NODE + i, DATA + i */
    ngx_uint_t   nodes;

    u_char       data[SIZE];
    size_t       len;

    u_char       file[SIZE];
    size_t       size;
} maker_t;

#define NODE  0x40000000
#define DATA  0x20000000


MMDB_lookup_result_s __real_MMDB_lookup_sockaddr(const MMDB_s *mmdb,
    const struct sockaddr *sockaddr, int *error);
MMDB_lookup_result_s __wrap_MMDB_lookup_sockaddr(const MMDB_s *mmdb,
    const struct sockaddr *sockaddr, int *error);


static maker_t      maker;
static ngx_uint_t   lookups;
static ngx_uint_t   lines;
static char         line[4096];
static char         path[256];
static char         directory[128];


MMDB_lookup_result_s
__wrap_MMDB_lookup_sockaddr(const MMDB_s *mmdb,
    const struct sockaddr *sockaddr, int *error)
{
    lookups++;

    return __real_MMDB_lookup_sockaddr(mmdb, sockaddr, error);
}


/* -- how a database is made */

static void
put(maker_t *m, ngx_uint_t type, size_t size, const void *bytes, size_t n)
{
    u_char  *p;

    assert_true(m->len + n + 8 < SIZE);

    p = m->data + m->len;

    *p++ = (u_char) ((type < 8 ? type << 5 : 0)
                     | (size < 29 ? size : size < 285 ? 29 : 30));
    if (type > 7) {
        *p++ = (u_char) (type - 7);
    }

    if (size >= 285) {
        *p++ = (u_char) ((size - 285) >> 8);
        *p++ = (u_char) (size - 285);

    } else if (size >= 29) {
        *p++ = (u_char) (size - 29);
    }

    memcpy(p, bytes, n);
    m->len = p + n - m->data;
}


static void
put_string(maker_t *m, const char *text)
{
    put(m, 2, strlen(text), text, strlen(text));
}


static void
put_map(maker_t *m, size_t n)
{
    put(m, 7, n, "", 0);
}


static void
put_number(maker_t *m, ngx_uint_t type, uint64_t value, size_t n)
{
    size_t  i;
    u_char  bytes[16];

    for (i = 0; i < n; i++) {
        bytes[n - 1 - i] = (i < 8) ? (u_char) (value >> 8 * i) : 0;
    }

    put(m, type, n, bytes, n);
}


static void
put_double(maker_t *m, double value)
{
    uint64_t  bits;

    memcpy(&bits, &value, 8);
    put_number(m, 3, bits, 8);
}


static void
put_float(maker_t *m, float value)
{
    uint32_t  bits;

    memcpy(&bits, &value, 4);
    put_number(m, 15, bits, 4);
}


static void
put_pointer(maker_t *m, size_t offset)
{
    assert_true(offset < 2048);

    m->data[m->len++] = (u_char) (1 << 5 | offset >> 8);
    m->data[m->len++] = (u_char) offset;
}


static void
begin(maker_t *m, ngx_uint_t version, ngx_uint_t bits)
{
    memset(m, 0, sizeof(maker_t));

    m->version = version;
    m->bits = bits;
    m->built = 1700000000;
    m->nodes = 1;
}


/* the network of the first "n" bits has the data that begins at "offset" */

static void
add(maker_t *m, ngx_http_gray_addr_t network, ngx_uint_t n, size_t offset)
{
    ngx_uint_t  i, bit, width, node;

    width = (m->version == 4) ? 32 : 128;
    node = 0;

    for (i = 0; i < n; i++) {
        bit = (ngx_uint_t) (network >> (width - 1 - i)) & 1;

        if (i == n - 1) {
            m->record[node][bit] = DATA + offset;
            return;
        }

        if (m->record[node][bit] == 0) {
            assert_true(m->nodes < NODES);
            m->record[node][bit] = NODE + m->nodes++;
        }

        node = m->record[node][bit] - NODE;
    }
}


static uint32_t
record(maker_t *m, ngx_uint_t node, ngx_uint_t bit)
{
    uint32_t  value;

    value = m->record[node][bit];

    return (value & NODE) ? value - NODE
           : (value & DATA) ? value - DATA + m->nodes + 16
           : m->nodes;
}


static void
tree(maker_t *m)
{
    u_char      *p;
    uint32_t     left, right;
    ngx_uint_t   i, j;

    p = m->file;

    for (i = 0; i < m->nodes; i++) {
        left = record(m, i, 0);
        right = record(m, i, 1);

        if (m->bits == 28) {
            *p++ = (u_char) (left >> 16);
            *p++ = (u_char) (left >> 8);
            *p++ = (u_char) left;
            *p++ = (u_char) (left >> 24 << 4 | right >> 24);
            *p++ = (u_char) (right >> 16);
            *p++ = (u_char) (right >> 8);
            *p++ = (u_char) right;
            continue;
        }

        for (j = m->bits; j; j -= 8) {
            *p++ = (u_char) (left >> (j - 8));
        }

        for (j = m->bits; j; j -= 8) {
            *p++ = (u_char) (right >> (j - 8));
        }
    }

    memset(p, 0, 16);
    m->size = p + 16 - m->file;
}


static void
complete(maker_t *m)
{
    maker_t  meta;

    tree(m);

    memcpy(m->file + m->size, m->data, m->len);
    m->size += m->len;
    memcpy(m->file + m->size, "\xab\xcd\xef" "MaxMind.com", 14);
    m->size += 14;

    meta.len = 0;
    put_map(&meta, 9);
    put_string(&meta, "node_count");
    put_number(&meta, 6, m->nodes, 4);
    put_string(&meta, "record_size");
    put_number(&meta, 5, m->bits, 2);
    put_string(&meta, "ip_version");
    put_number(&meta, 5, m->version, 2);
    put_string(&meta, "database_type");
    put_string(&meta, "Test");
    put_string(&meta, "languages");
    put(&meta, 11, 0, "", 0);
    put_string(&meta, "binary_format_major_version");
    put_number(&meta, 5, 2, 2);
    put_string(&meta, "binary_format_minor_version");
    put_number(&meta, 5, 0, 2);
    put_string(&meta, "build_epoch");
    put_number(&meta, 9, m->built, 8);
    put_string(&meta, "description");
    put_map(&meta, 0);

    memcpy(m->file + m->size, meta.data, meta.len);
    m->size += meta.len;
}


static void
save(maker_t *m, const char *name)
{
    FILE  *f;

    (void) snprintf(path, sizeof(path), "%s/%s", directory, name);

    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(m->file, 1, m->size, f), m->size);
    assert_int_equal(fclose(f), 0);
}


static void
move(const char *from, const char *to)
{
    char  a[256], b[256];

    (void) snprintf(a, sizeof(a), "%s/%s", directory, from);
    (void) snprintf(b, sizeof(b), "%s/%s", directory, to);

    assert_int_equal(rename(a, b), 0);
}


/* one of IPv6 with networks of both families, in "country" */

static void
world(maker_t *m, ngx_uint_t version, ngx_uint_t bits, const char *country)
{
    size_t  key, german, text, french;

    begin(m, version, bits);

    german = m->len;
    put_map(m, 13);
    put_string(m, "country");
    put_map(m, 3);
    key = m->len;
    put_string(m, "iso_code");
    put_string(m, country);
    put_string(m, "is_in_european_union");
    put(m, 14, 1, "", 0);
    put_string(m, "is_far");
    put(m, 14, 0, "", 0);
    put_string(m, "location");
    put_map(m, 2);
    put_string(m, "latitude");
    put_double(m, -52.5);
    put_string(m, "accuracy_radius");
    put_number(m, 5, 100, 2);
    put_string(m, "subdivisions");
    put(m, 11, 2, "", 0);
    put_map(m, 1);
    put_pointer(m, key);
    put_string(m, "BE");
    put_map(m, 1);
    put_pointer(m, key);
    put_string(m, "a name that is longer than twenty-eight bytes");
    put_string(m, "u32");
    put_number(m, 6, 4294967295, 4);
    put_string(m, "i32");
    put_number(m, 8, (uint32_t) -5, 4);
    put_string(m, "u64");
    put_number(m, 9, (uint64_t) 1 << 60, 8);
    put_string(m, "odd");
    put_number(m, 9, ((uint64_t) 1 << 53) + 1, 8);
    put_string(m, "u128");
    put_number(m, 10, 7, 16);
    put_string(m, "float");
    put_float(m, 0.5f);
    put_string(m, "bytes");
    put(m, 4, 3, "abc", 3);
    put_string(m, "empty");
    put_string(m, "");
    put_string(m, "nan");
    put_double(m, NAN);
    put_string(m, "none");
    put_map(m, 0);

    french = m->len;
    put_map(m, 1);
    put_string(m, "country");
    put_map(m, 1);
    put_pointer(m, key);
    put_string(m, "FR");

    text = m->len;
    put_string(m, "neither map nor array");

    add(m, 0x01020300, (version == 4) ? 24 : 120, german);
    add(m, 0x05000000, (version == 4) ? 8 : 104, text);

    if (version == 4) {
        add(m, 0x0a000000, 8, french);

    } else {
        add(m, (ngx_http_gray_addr_t) 0x20010db8 << 96, 32, french);
    }

    complete(m);
}


/* -- lookups */

static void
writer(ngx_log_t *log, ngx_uint_t level, u_char *buf, size_t len)
{
    (void) log;
    (void) level;

    lines++;
    (void) snprintf(line, sizeof(line), "%.*s", (int) len, (char *) buf);
}


static ngx_log_t  silent = { .log_level = NGX_LOG_NOTICE, .writer = writer };


typedef struct {
    ngx_pool_t           *pool;
    ngx_http_gray_geo_t  *geo;
    char                  names[4][256];      /* they outlive the pool */
    ngx_uint_t            n;
} state_t;


static void
create(state_t *s)
{
    s->n = 0;
    s->pool = ngx_create_pool(4096, &silent);
    assert_non_null(s->pool);

    s->geo = ngx_http_gray_geo_create(s->pool);
    assert_non_null(s->geo);

    lookups = 0;
    lines = 0;
    line[0] = '\0';
}


static const char *
load(state_t *s, const char *name)
{
    char        *file_name;
    ngx_str_t    file;

    static char  why[NGX_HTTP_GRAY_GEO_WHY];

    file_name = s->names[s->n++];
    (void) snprintf(file_name, sizeof(s->names[0]), "%s/%s", directory, name);
    file = string(file_name);

    return ngx_http_gray_geo_add(s->geo, &file, why) == NGX_OK ? NULL : why;
}


static ngx_http_gray_geo_path_t *
at(state_t *s, const char *name)
{
    char                       why[160];
    ngx_str_t                  text;
    ngx_http_gray_geo_path_t  *p;

    text = string(name);
    p = ngx_http_gray_geo_path(s->pool, &text, why, sizeof(why));

    if (p == NULL) {
        fail_msg("%s: %s", name, why);
    }

    return p;
}


/* "text", number as "%.17g", "-" where there is none, "!" for an error */

static const char *
told(state_t *s, ngx_http_gray_geo_path_t *p, const char *address)
{
    ngx_int_t               rc, family;
    ngx_str_t               text;
    ngx_http_gray_addr_t    addr;
    ngx_http_gray_value_t   value;

    static char             answer[256];

    text = string(address);
    family = ngx_http_gray_value_inet(&text, &addr);
    assert_int_not_equal(family, NGX_ERROR);

    memset(&value, 0, sizeof(value));
    rc = ngx_http_gray_geo_get(s->geo, family, addr, p, &value);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? "-" : "!";
    }

    if (value.text.data) {
        assert_int_not_equal(value.numeric, NGX_HTTP_GRAY_IS);
        (void) snprintf(answer, sizeof(answer), "\"%.*s\"",
                        (int) value.text.len, (char *) value.text.data);

    } else {
        assert_int_equal(value.numeric, NGX_HTTP_GRAY_IS);
        (void) snprintf(answer, sizeof(answer), "%.17g", value.number);
    }

    return answer;
}


static void
test_values(void **state)
{
    state_t     s;
    ngx_uint_t  i, j, round;

    static const ngx_uint_t  bits[] = { 24, 28, 32 };

    static const struct {
        const char  *path;
        const char  *value;
    } expected[] = {
        { "country.iso_code", "\"DE\"" },
        { "country.is_in_european_union", "\"true\"" },
        { "country.is_far", "\"false\"" },
        { "location.latitude", "-52.5" },
        { "location.accuracy_radius", "100" },
        { "subdivisions.0.iso_code", "\"BE\"" },
        { "subdivisions.1.iso_code",
          "\"a name that is longer than twenty-eight bytes\"" },
        { "subdivisions.2.iso_code", "-" },
        { "subdivisions.first.iso_code", "-" },
        { "subdivisions", "!" },
        { "u32", "4294967295" },
        { "i32", "-5" },
        { "u64", "1.152921504606847e+18" },
        { "odd", "9007199254740994" },
        { "u128", "7" },
        { "float", "0.5" },
        { "nan", "!" },
        { "bytes", "!" },
        { "empty", "-" },
        { "none", "!" },
        { "none.more", "-" },
        { "country", "!" },
        { "country.iso_code.more", "-" },
        { "country.iso", "-" },
        { "Country.iso_code", "-" }
    };

    (void) state;

    for (i = 0; i < 2 * ITEMS(bits); i++) {

        world(&maker, (i % 2) ? 4 : 6, bits[i / 2], "DE");
        save(&maker, "a");
        create(&s);
        assert_null(load(&s, "a"));

        for (round = 0; round < 2; round++) {
            for (j = 0; j < ITEMS(expected); j++) {
                assert_string_equal(told(&s, at(&s, expected[j].path),
                                         "1.2.3.4"),
                                    expected[j].value);
            }
        }

        assert_string_equal(told(&s, at(&s, "country.iso_code"), "1.2.4.0"),
                            "-");
        assert_string_equal(told(&s, at(&s, "country.iso_code"), "5.6.7.8"),
                            "-");
        assert_string_equal(told(&s, at(&s, "country.iso_code"),
                                 "::ffff:1.2.3.255"), "\"DE\"");
        assert_string_equal(told(&s, at(&s, "country.iso_code"),
                                 "2001:db8::1"), (i % 2) ? "-" : "\"FR\"");
        assert_string_equal(told(&s, at(&s, "country.iso_code"),
                                 "2001:db9::"), "-");

        ngx_destroy_pool(s.pool);
    }
}


static void
test_paths(void **state)
{
    char        why[160];
    state_t     s;
    ngx_str_t   name;
    ngx_uint_t  i;

    static const char  *wrong[] = {
        "", ".", "a.", ".a", "a..b", "a.b.",
        "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17"
    };

    (void) state;

    create(&s);

    for (i = 0; i < ITEMS(wrong); i++) {
        name = string(wrong[i]);
        assert_null(ngx_http_gray_geo_path(s.pool, &name, why, sizeof(why)));
        assert_string_equal(why, "geo.PATH must have from 1 to 16 names with "
                            "points between them, as in "
                            "\"geo.country.iso_code\"");
    }

    name.data = (u_char *) "a\0b";
    name.len = 3;
    assert_null(ngx_http_gray_geo_path(s.pool, &name, why, sizeof(why)));

    (void) at(&s, "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16");

    /* no database */

    assert_string_equal(told(&s, at(&s, "a"), "1.2.3.4"), "!");

    ngx_destroy_pool(s.pool);
}


/* the first file whose record has the path; one lookup in each */

static void
test_several(void **state)
{
    state_t                    s;
    ngx_http_gray_geo_path_t  *country, *number, *radius;

    (void) state;

    world(&maker, 6, 28, "DE");
    save(&maker, "a");

    begin(&maker, 4, 24);
    put_map(&maker, 2);
    put_string(&maker, "country");
    put_map(&maker, 1);
    put_string(&maker, "iso_code");
    put_string(&maker, "XX");
    put_string(&maker, "number");
    put_number(&maker, 6, 64512, 4);
    add(&maker, 0x01000000, 8, 0);
    complete(&maker);
    save(&maker, "b");

    create(&s);
    assert_null(load(&s, "a"));
    assert_null(load(&s, "b"));
    assert_string_equal(load(&s, "a"), "is given twice");
    assert_int_equal(ngx_http_gray_geo_count(s.geo), 2);

    country = at(&s, "country.iso_code");
    radius = at(&s, "location.accuracy_radius");
    number = at(&s, "number");

    assert_string_equal(told(&s, country, "1.2.3.4"), "\"DE\"");
    assert_string_equal(told(&s, radius, "1.2.3.4"), "100");
    assert_int_equal(lookups, 1);
    assert_string_equal(told(&s, number, "1.2.3.4"), "64512");
    assert_string_equal(told(&s, number, "1.2.3.4"), "64512");
    assert_int_equal(lookups, 2);

    assert_string_equal(told(&s, country, "1.9.9.9"), "\"XX\"");
    assert_int_equal(lookups, 4);

    /* both are still known */

    assert_string_equal(told(&s, country, "1.2.3.4"), "\"DE\"");
    assert_string_equal(told(&s, country, "1.9.9.9"), "\"XX\"");
    assert_int_equal(lookups, 4);

    /* the same bits, and another family */

    assert_string_equal(told(&s, country, "::102:304"), "\"DE\"");
    assert_string_equal(told(&s, number, "::102:304"), "-");

    ngx_destroy_pool(s.pool);
}


/* -- replacement */

static ngx_uint_t
tick(state_t *s)
{
    if (!ngx_http_gray_geo_due(s->geo, 0, &silent)) {
        return 0;
    }

    ngx_http_gray_geo_load(s->geo, 0);
    ngx_http_gray_geo_swap(s->geo, 0, &silent);

    return 1;
}


static const char *
why(state_t *s)
{
    ngx_http_gray_geo_info_t  info;

    ngx_http_gray_geo_info(s->geo, 0, &info);

    return info.why ? info.why : "";
}


static void
test_replaced(void **state)
{
    state_t                    s;
    ngx_http_gray_geo_info_t   info;
    ngx_http_gray_geo_path_t  *country;

    (void) state;

    world(&maker, 6, 28, "DE");
    save(&maker, "a");
    create(&s);
    assert_null(load(&s, "a"));
    country = at(&s, "country.iso_code");

    ngx_http_gray_geo_info(s.geo, 0, &info);
    assert_int_equal(info.built, 1700000000);
    assert_int_equal(info.ip_version, 6);
    assert_int_equal(info.nodes, maker.nodes);
    assert_int_equal(info.type.len, 4);
    assert_memory_equal(info.type.data, "Test", 4);
    assert_null(info.why);

    assert_string_equal(told(&s, country, "1.2.3.4"), "\"DE\"");
    assert_int_equal(tick(&s), 0);

    world(&maker, 6, 28, "AT");
    save(&maker, "b");
    move("b", "a");
    assert_string_equal(told(&s, country, "1.2.3.4"), "\"DE\"");
    assert_int_equal(tick(&s), 1);
    assert_int_equal(lines, 1);
    assert_non_null(strstr(line, "was read again, built 1700000000"));
    assert_string_equal(told(&s, country, "1.2.3.4"), "\"AT\"");
    assert_int_equal(tick(&s), 0);

    /* gone: one line, and what was there goes on */

    move("a", "b");
    assert_int_equal(tick(&s), 0);
    assert_int_equal(tick(&s), 0);
    assert_int_equal(lines, 2);
    assert_non_null(strstr(line, "is gone, what was read before stays in "
                           "use: stat() failed (2: No such file"));
    assert_string_equal(why(&s),
                        "stat() failed (2: No such file or directory)");
    assert_string_equal(told(&s, country, "1.2.3.4"), "\"AT\"");

    move("b", "a");
    assert_int_equal(tick(&s), 1);
    assert_int_equal(tick(&s), 0);
    assert_string_equal(why(&s), "");
    assert_int_equal(lines, 3);

    ngx_destroy_pool(s.pool);
}


/* in place: not read before it rests; and never mapped */

static void
test_overwritten(void **state)
{
    size_t                     size;
    state_t                    s;
    ngx_http_gray_geo_path_t  *country;

    (void) state;

    world(&maker, 6, 28, "DE");
    save(&maker, "a");
    create(&s);
    assert_null(load(&s, "a"));
    country = at(&s, "country.iso_code");

    world(&maker, 6, 28, "AT");
    size = maker.size;
    maker.size = 100;
    save(&maker, "a");

    assert_string_equal(told(&s, country, "1.2.3.4"), "\"DE\"");
    assert_int_equal(tick(&s), 0);
    assert_string_equal(why(&s), "is being written");
    assert_int_equal(tick(&s), 1);
    assert_int_equal(tick(&s), 0);
    assert_int_equal(lines, 1);
    assert_non_null(strstr(line, "cannot be used, what was read before "
                           "stays in use: The MaxMind DB file contains "
                           "invalid metadata"));
    assert_string_equal(told(&s, country, "1.2.3.4"), "\"DE\"");

    maker.size = 0;
    save(&maker, "a");
    assert_int_equal(lines, 1);
    assert_int_equal(tick(&s), 0);
    assert_int_equal(tick(&s), 1);
    assert_int_equal(lines, 2);
    assert_string_equal(why(&s), "is empty");
    assert_string_equal(told(&s, country, "1.2.3.4"), "\"DE\"");

    maker.size = size;
    save(&maker, "a");
    assert_int_equal(tick(&s), 0);
    assert_int_equal(tick(&s), 1);
    assert_int_equal(lines, 3);
    assert_string_equal(why(&s), "");
    assert_string_equal(told(&s, country, "1.2.3.4"), "\"AT\"");

    ngx_destroy_pool(s.pool);
}


/* what is changed and changed back was never written */

static void
test_touched(void **state)
{
    state_t          s;
    struct stat      st;
    struct timespec  times[2];

    (void) state;

    world(&maker, 6, 28, "DE");
    save(&maker, "a");
    create(&s);
    assert_null(load(&s, "a"));

    assert_int_equal(stat(path, &st), 0);
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    times[1].tv_sec++;

    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_int_equal(tick(&s), 0);
    assert_string_equal(why(&s), "is being written");

    times[1] = st.st_mtim;
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_int_equal(tick(&s), 0);
    assert_string_equal(why(&s), "");
    assert_int_equal(lines, 0);

    ngx_destroy_pool(s.pool);
}


/* where the system was at fault, the same file is tried again, and again */

static void
test_tried_again(void **state)
{
    state_t                    s;
    ngx_uint_t                 i;
    ngx_http_gray_geo_path_t  *country;

    (void) state;

    world(&maker, 6, 28, "DE");
    save(&maker, "a");
    create(&s);
    assert_null(load(&s, "a"));
    country = at(&s, "country.iso_code");

    world(&maker, 6, 28, "AT");
    save(&maker, "b");
    move("b", "a");

    for (i = 0; i < 3; i++) {
        count_allocations();
        failing = 1;
        assert_int_equal(tick(&s), 1);
        forget_allocations();

        assert_non_null(strstr(why(&s), "emory"));
        assert_string_equal(told(&s, country, "1.2.3.4"), "\"DE\"");
        assert_int_equal(lines, 1);

        assert_int_equal(tick(&s), 0);
        ngx_current_msec += 9999;
        assert_int_equal(tick(&s), 0);
        ngx_current_msec += 1;
    }

    assert_int_equal(tick(&s), 1);
    assert_string_equal(why(&s), "");
    assert_string_equal(told(&s, country, "1.2.3.4"), "\"AT\"");
    assert_int_equal(lines, 2);

    ngx_current_msec += 100000;
    assert_int_equal(tick(&s), 0);

    /* but not one that is itself no good */

    memset(maker.file, 'x', maker.size);
    save(&maker, "b");
    move("b", "a");
    assert_int_equal(tick(&s), 1);
    assert_int_equal(lines, 3);
    ngx_current_msec += 100000;
    assert_int_equal(tick(&s), 0);

    ngx_destroy_pool(s.pool);
}


/* -- files that are none */

static void
refused(const char *because)
{
    state_t      s;
    const char  *answer;

    save(&maker, "bad");
    create(&s);
    answer = load(&s, "bad");

    assert_non_null(answer);

    if (strcmp(answer, because) != 0) {
        fail_msg("expected: %s\nfound: %s", because, answer);
    }

    assert_int_equal(ngx_http_gray_geo_count(s.geo), 0);
    ngx_destroy_pool(s.pool);
}


static void
nested(ngx_uint_t n)
{
    begin(&maker, 4, 24);

    while (n--) {
        put(&maker, 11, 1, "", 0);
    }

    put_string(&maker, "inside");
    add(&maker, 0x01000000, 8, 0);
    complete(&maker);
}


static void
data(const char *bytes, size_t n)
{
    begin(&maker, 4, 24);
    memcpy(maker.data, bytes, n);
    maker.len = n;
    add(&maker, 0x01000000, 8, 0);
    complete(&maker);
}


static void
test_refused(void **state)
{
    state_t     s;
    ngx_uint_t  i;

    static const struct {
        const char  *bytes;
        size_t       n;
        const char  *why;
    } wrong[] = {
        { "\x42" "a", 2, "a value leads out of the file" },
        { "\x00", 1, "a value leads out of the file" },
        { "\x5f\x00\x00", 3, "a value leads out of the file" },
        { "\xe1\x41" "a", 3, "a value leads out of the file" },
        { "\x20\x05\x41" "a", 4, "a value leads out of the file" },
        { "\x20\x02\x20\x00", 4, "a pointer leads to a pointer" },
        { "\xe1\xa1\x01\x41" "a", 5, "a key is no string" },
        { "\x60\x00", 2,
          "a value is of an unknown type, or has no size of its type" },
        { "\x00\x00", 2,
          "a value is of an unknown type, or has no size of its type" },
        { "\x00\x06", 2,
          "a value is of an unknown type, or has no size of its type" },
        { "\x00\x09", 2,
          "a value is of an unknown type, or has no size of its type" },
        { "\xa3\x01\x02\x03", 4,
          "a value is of an unknown type, or has no size of its type" }
    };

    (void) state;

    for (i = 0; i < ITEMS(wrong); i++) {
        data(wrong[i].bytes, wrong[i].n);
        refused(wrong[i].why);
    }

    nested(33);
    refused("the data is nested too deep");
    nested(30000);
    refused("the data is nested too deep");

    nested(32);
    save(&maker, "a");
    create(&s);
    assert_null(load(&s, "a"));
    assert_string_equal(told(&s, at(&s, "0.0"), "1.2.3.4"), "!");
    ngx_destroy_pool(s.pool);

    world(&maker, 5, 24, "DE");
    refused("The MaxMind DB file contains invalid metadata");

    world(&maker, 4, 24, "DE");
    maker.file[0] = 0xff;
    refused("the search tree leads out of the file");

    /* between the tree and the data */

    world(&maker, 4, 24, "DE");
    memcpy(maker.file, "\0\0\0", 3);
    maker.file[2] = (u_char) (maker.nodes + 15);
    refused("the search tree leads out of the file");

    memset(maker.file, 'x', maker.size);
    refused("The MaxMind DB file contains invalid metadata");

    create(&s);
    assert_string_equal(load(&s, "."), "is not a file");
    assert_string_equal(load(&s, "none"),
                        "open() failed (2: No such file or directory)");
    ngx_destroy_pool(s.pool);
}


/* whatever is changed, it is refused, or lookups come back */

static void
survive(void)
{
    state_t     s;
    ngx_uint_t  i;

    static const char  *paths[] = {
        "country.iso_code", "none.more", "subdivisions.1.iso_code", "nan"
    };

    save(&maker, "bad");

    /* some versions of the library lose memory over damaged metadata */

    __lsan_disable();

    create(&s);

    if (load(&s, "bad") == NULL) {
        for (i = 0; i < ITEMS(paths); i++) {
            (void) told(&s, at(&s, paths[i]), "1.2.3.4");
            (void) told(&s, at(&s, paths[i]), "5.6.7.8");
            (void) told(&s, at(&s, paths[i]), "2001:db8::1");
            (void) told(&s, at(&s, paths[i]), "255.255.255.255");
        }
    }

    ngx_destroy_pool(s.pool);

    __lsan_enable();
}


static void
test_damaged(void **state)
{
    size_t    i, j, size, at_least;
    u_char    ch;
    uint64_t  seed;

    static const u_char  change[] = { 0x01, 0x08, 0x20, 0x80, 0xff };

    (void) state;

    world(&maker, 4, 28, "DE");
    size = maker.size;

    for (i = 0; i < size; i++) {
        ch = maker.file[i];

        for (j = 0; j < ITEMS(change); j++) {
            maker.file[i] = ch ^ change[j];
            survive();
        }

        maker.file[i] = ch;
    }

    for (i = 0; i < size; i += 7) {
        maker.size = i;
        survive();
    }

    /* several at once, in the tree and the data */

    seed = 1;

    for (i = 0; i < 2000; i++) {
        world(&maker, 6, 24, "DE");
        at_least = 1 + draw(&seed) % 8;

        for (j = 0; j < at_least; j++) {
            maker.file[draw(&seed) % maker.size] = (u_char) draw(&seed);
        }

        survive();
    }
}


static void
test_memory(void **state)
{
    state_t      s;
    ngx_uint_t   n;
    const char  *answer;

    (void) state;

    world(&maker, 6, 28, "DE");
    save(&maker, "a");

    for (n = 1; ; n++) {
        create(&s);

        count_allocations();
        failing = n;
        answer = load(&s, "a");
        forget_allocations();

        if (answer == NULL) {
            break;
        }

        if (strstr(answer, "emory") == NULL) {
            fail_msg("%s", answer);
        }

        ngx_destroy_pool(s.pool);
    }

    assert_true(n > 3);
    ngx_destroy_pool(s.pool);
}


int
main(void)
{
    int   rc;
    char  command[256];

    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_overwritten),
        cmocka_unit_test(test_touched),
        cmocka_unit_test(test_tried_again),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_memory)
    };

    ngx_use_stderr = 0;
    ngx_pagesize = (ngx_uint_t) getpagesize();
    ngx_time_init();

    if (ngx_strerror_init() != NGX_OK) {
        return 1;
    }

    (void) snprintf(directory, sizeof(directory), "%s/gray.XXXXXX", P_tmpdir);

    if (mkdtemp(directory) == NULL) {
        return 1;
    }

    rc = cmocka_run_group_tests(tests, NULL, NULL);

    (void) snprintf(command, sizeof(command), "rm -rf %s", directory);

    return system(command) == 0 ? rc : 1;
}
