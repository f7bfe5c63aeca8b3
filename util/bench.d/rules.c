
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * rules prepare DIR [quick]    makes the lists
 * rules run DIR [quick]        decides
 *
 * What decisions cost by the size of what they look into.  To be run under
 * callgrind, which counts what is spent within ngx_http_gray_rules_decide()
 * (and bare_lookup()), and dumps once for each case, as "NAME SIZE".
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <arpa/inet.h>
#include <maxminddb.h>
#include <valgrind/callgrind.h>

#include "ngx_http_gray_geo.h"
#include "ngx_http_gray_json.h"
#include "ngx_http_gray_list.h"
#include "ngx_http_gray_compile.h"


#define DECISIONS  1000

/* operands from this one on are in no document and no list */

#define MISSING    5000000


/* what is asked for, and what an operand of number "i" is */

typedef enum {
    ID = 0,
    INET,
    INET6
} kind_e;


typedef struct {
    const char             *name;
    kind_e                  kind;
    const char             *rule;        /* of each rule, with "%s": operand */
    const char             *first;       /* of one rule over all operands, */
    const char             *each;        /* which stand between the two */
    const char             *last;
    ngx_uint_t              most;
    ngx_uint_t              list;        /* unsigned  list:1; */
} case_t;


typedef struct {
    ngx_http_gray_value_t   values[DECISIONS];
    u_char                  text[DECISIONS][64];
    ngx_uint_t              i;
    ngx_http_gray_geo_t    *geo;
} request_t;


static ngx_log_t             quiet;
static ngx_http_gray_list_t  list;


static const case_t  cases[] = {

    { "nothing", ID, "{\"when\":{\"$b\":\"no\"},\"variant\":\"c\"}",
      NULL, NULL, NULL, 1, 0 },

    { "conditions", ID, NULL, "{\"when\":{\"all\":[",
      "{\"$a\":{\"ne\":\"%s\"}}", "]},\"variant\":\"c\"}", 10000, 0 },

    { "in", ID, NULL, "{\"when\":{\"$a\":[", "\"%s\"",
      "]},\"variant\":\"c\"}", 10000, 0 },

    { "in_list", ID, NULL, "{\"when\":{\"$a\":{\"in_list\":\"l\"}},"
      "\"variant\":\"c\"}", NULL, NULL, 1000000, 1 },

    { "prefix", ID, NULL, "{\"when\":{\"$a\":{\"prefix\":[", "\"%s\"",
      "]}},\"variant\":\"c\"}", 10000, 0 },

    { "cidr, IPv4", INET, NULL,
      "{\"when\":{\"$remote_addr\":{\"cidr\":[", "\"%s\"",
      "]}},\"variant\":\"c\"}", 10000, 0 },

    { "cidr, IPv6", INET6, NULL,
      "{\"when\":{\"$remote_addr\":{\"cidr\":[", "\"%s\"",
      "]}},\"variant\":\"c\"}", 10000, 0 },

    { "cidr_list, IPv4", INET, NULL, "{\"when\":{\"$remote_addr\":"
      "{\"cidr_list\":\"l\"}},\"variant\":\"c\"}", NULL, NULL,
      1000000, 1 },

    { "cidr_list, IPv6", INET6, NULL, "{\"when\":{\"$remote_addr\":"
      "{\"cidr_list\":\"l\"}},\"variant\":\"c\"}", NULL, NULL,
      1000000, 1 },

    { "cidr_list, IPv4, of a header", INET, NULL, "{\"when\":{\"$a\":"
      "{\"cidr_list\":\"l\"}},\"variant\":\"c\"}", NULL, NULL, 1000, 1 },

    { "cidr_list, IPv6, of a header", INET6, NULL, "{\"when\":{\"$a\":"
      "{\"cidr_list\":\"l\"}},\"variant\":\"c\"}", NULL, NULL, 1000, 1 },

    { "rules of one equality", ID, "{\"when\":{\"$a\":\"%s\"},"
      "\"variant\":\"c\"}", NULL, NULL, NULL, 10000, 0 },

    { "rules of one prefix", ID, "{\"when\":{\"$a\":{\"prefix\":\"%s\"}},"
      "\"variant\":\"c\"}", NULL, NULL, NULL, 10000, 0 },

    { "geo rules", INET, "{\"when\":{\"geo.country.iso_code\":\"%s\"},"
      "\"variant\":\"c\"}", NULL, NULL, NULL, 2, 0 }
};


static void
fail(const char *what)
{
    (void) fprintf(stderr, "rules: %s\n", what);
    exit(1);
}


/* operand number "i": neighbours have nothing in common */

static size_t
operand(kind_e kind, uint64_t i, ngx_uint_t network, char *text)
{
    u_char    addr[16];
    uint64_t  z;

    z = (i + 1) * 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z ^= z >> 27;

    switch (kind) {

    case ID:
        return sprintf(text, "%016lx", (unsigned long) z);

    case INET:

        /* 2^20 networks of 16 addresses each, of every two the first one */

        i = (i * 0x9e3779b1 & 0xfffff) << 1 | (i >= MISSING);

        return sprintf(text, network ? "%u.%u.%u.%u/28" : "%u.%u.%u.%u",
                       (unsigned) (i >> 20 & 0xff) + 16,
                       (unsigned) (i >> 12 & 0xff),
                       (unsigned) (i >> 4 & 0xff),
                       (unsigned) (i << 4 & 0xff) + (network ? 0 : 3));

    default:
        ngx_memzero(addr, 16);
        addr[0] = 0x2a;
        ngx_memcpy(addr + 1, &z, network ? 5 : 8);

        (void) inet_ntop(AF_INET6, addr, text, 64);

        return strlen(text) + (network ? sprintf(strchr(text, '\0'), "/48")
                                       : 0);
    }
}


static ngx_int_t
known_attribute(void *data, ngx_pool_t *pool,
    ngx_http_gray_attribute_t *attribute, char *why)
{
    ngx_str_t  path;

    /* of $remote_addr, the address comes with the text, and need not be read */

    if (attribute->name.len == sizeof("$remote_addr") - 1) {
        attribute->source = &list;
    }

    if (attribute->type == NGX_HTTP_GRAY_GEO) {
        path.data = attribute->name.data + 4;
        path.len = attribute->name.len - 4;

        attribute->source = ngx_http_gray_geo_path(pool, &path, why,
                                                   NGX_HTTP_GRAY_WHY);
    }

    return NGX_OK;
}


static ngx_int_t
known_upstream(void *data, ngx_str_t *name, void **peer, char *why)
{
    return NGX_OK;
}


static ngx_int_t
known_list(void *data, ngx_str_t *name, ngx_uint_t networks,
    ngx_http_gray_list_t **found, char *why, size_t size)
{
    *found = &list;

    return NGX_OK;
}


static ngx_int_t
get(void *ctx, ngx_http_gray_attribute_t *attribute,
    ngx_http_gray_value_t *value)
{
    request_t             *request;
    ngx_http_gray_addr_t   addr;

    request = ctx;

    if (attribute->type == NGX_HTTP_GRAY_GEO) {

        /* as of a client: its address needs no reading */

        ngx_memcpy(&addr, request->text[request->i], sizeof(addr));

        return ngx_http_gray_geo_get(request->geo, AF_INET, addr,
                                     attribute->source, value);
    }

    if (attribute->source) {
        *value = request->values[request->i];

    } else {
        value->text = request->values[request->i].text;
    }

    return NGX_OK;
}


static ngx_int_t
mint(void *ctx, ngx_http_gray_cookie_t *cookie, ngx_str_t *key)
{
    return NGX_DECLINED;
}


static uint32_t
chance(void *ctx)
{
    return 999999;
}


static const ngx_http_gray_rules_ops_t  ops = { get, mint, chance };


/* a document with rules for "n" operands */

static ngx_http_gray_rules_t *
compile(const case_t *c, ngx_uint_t n)
{
    char                        *text, *p, one[64];
    ngx_uint_t                   i;
    ngx_http_gray_json_t        *doc;
    ngx_http_gray_rules_t       *rules;
    ngx_http_gray_faults_t       faults;
    ngx_http_gray_rules_env_t    names;
    ngx_http_gray_json_error_t   err;

    text = malloc(1024 + n * 256);

    if (text == NULL) {
        fail("no memory");
    }

    p = text + sprintf(text, "{\"release\":\"app\",\"baseline\":\"s\","
                       "\"variants\":{\"s\":{},\"c\":{\"weight\":5}},"
                       "\"allocation\":{\"c\":[[0,50000]]},\"rules\":[%s",
                       c->first ? c->first : "");

    for (i = 0; i < n && (c->rule || c->each); i++) {
        (void) operand(c->kind, i, 1, one);

        p += sprintf(p, "%s", i ? "," : "");
        p += sprintf(p, c->rule ? c->rule : c->each, one);
    }

    p += sprintf(p, "%s]}", c->last ? c->last : "");

    doc = ngx_http_gray_json_parse((u_char *) text, p - text, &err);

    if (doc == NULL) {
        fail(err.detail);
    }

    ngx_memzero(&names, sizeof(ngx_http_gray_rules_env_t));
    names.attribute = known_attribute;
    names.upstream = known_upstream;
    names.list = known_list;

    faults.n = 0;
    rules = ngx_http_gray_compile(doc, &names, &faults, &quiet);

    if (rules == NULL) {
        fail(faults.fault[0].detail);
    }

    ngx_http_gray_json_free(doc);
    free(text);

    return rules;
}


/*
 * Every second value is one of the operands, for which something holds; but
 * conditions are to be looked at to the last.
 */

static void
draw(const case_t *c, ngx_uint_t n, request_t *request)
{
    uint64_t                k;
    ngx_uint_t              i;
    ngx_http_gray_value_t  *value;

    for (i = 0; i < DECISIONS; i++) {
        k = i * 0x9e3779b1ULL % n;

        if (i % 2 || strcmp(c->name, "conditions") == 0) {
            k += MISSING;
        }

        value = &request->values[i];

        ngx_memzero(value, sizeof(ngx_http_gray_value_t));
        value->text.data = request->text[i];
        value->text.len = operand(c->kind, k, 0, (char *) request->text[i]);

        if (c->kind != ID && ngx_http_gray_value_address(value) != NGX_OK) {
            fail("no address");
        }

        if (strcmp(c->name, "rules of one prefix") == 0) {
            value->text.data[0] = 'x';
        }
    }
}


static void
decide(const char *name, ngx_uint_t n, ngx_http_gray_rules_t *rules,
    request_t *request)
{
    char                      label[128];
    ngx_uint_t                i, decisions, held;
    ngx_http_gray_outcome_t   outcome;

    decisions = n >= 1000 ? DECISIONS : DECISIONS / 4;

    for (request->i = 0; request->i < 10; request->i++) {
        ngx_http_gray_rules_decide(rules, &ops, request, &outcome);
    }

    held = 0;

    CALLGRIND_ZERO_STATS;

    for (i = 0; i < decisions; i++) {
        request->i = i;
        ngx_http_gray_rules_decide(rules, &ops, request, &outcome);
        held += (outcome.rule != NULL);
    }

    (void) sprintf(label, "%s %lu %lu", name, (unsigned long) n,
                   (unsigned long) decisions);

    CALLGRIND_DUMP_STATS_AT(label);

    (void) printf("%s: %lu held\n", label, (unsigned long) held);
}


static const char *
list_name(const char *dir, const case_t *c, ngx_uint_t n)
{
    static char  name[4096];

    (void) snprintf(name, sizeof(name), "%s/%d.%lu", dir, (int) c->kind,
                    (unsigned long) n);

    return name;
}


static void
make_list(const char *dir, const case_t *c, ngx_uint_t n)
{
    int                          fd;
    char                        *text, *p;
    ngx_uint_t                   i;
    ngx_http_gray_list_build_t   build;

    text = malloc(n * 64);

    if (text == NULL) {
        fail("no memory");
    }

    for (i = 0, p = text; i < n; i++) {
        p += operand(c->kind, i, 1, p);
        *p++ = '\n';
    }

    fd = open(list_name(dir, c, n), O_RDWR|O_CREAT|O_TRUNC, 0644);

    if (fd == -1
        || ngx_http_gray_list_build(&build, (u_char *) text, p - text)
           != NGX_OK
        || ngx_http_gray_list_write(&build, fd) != NGX_OK
        || ngx_http_gray_list_seal(&build, fd, 1, 0) != NGX_OK)
    {
        fail("a list cannot be made");
    }

    (void) printf("%s: %lu entries, %lu bytes\n", c->name,
                  (unsigned long) n, (unsigned long) build.info.size);

    ngx_http_gray_list_discard(&build);
    (void) close(fd);
    free(text);
}


static void
map_list(const char *dir, const case_t *c, ngx_uint_t n)
{
    int              fd;

    static uint64_t  generation;

    list.generation = &generation;

    fd = open(list_name(dir, c, n), O_RDONLY);

    if (fd == -1 || ngx_http_gray_list_map(&list, fd) != NGX_OK) {
        fail("a list cannot be mapped");
    }

    (void) close(fd);
}


/* what a geo rule is measured by: the lookup, and the value */

void bare_lookup(MMDB_s *mmdb, struct sockaddr *sa);


__attribute__((noinline)) void
bare_lookup(MMDB_s *mmdb, struct sockaddr *sa)
{
    int                    error;
    MMDB_entry_data_s      data;
    MMDB_lookup_result_s   result;

    result = MMDB_lookup_sockaddr(mmdb, sa, &error);

    if (result.found_entry) {
        (void) MMDB_get_value(&result.entry, &data, "country", "iso_code",
                              NULL);
    }
}


static void
geo(const char *dir, const case_t *c, request_t *request)
{
    char                   *name, label[64], why[NGX_HTTP_GRAY_GEO_WHY];
    MMDB_s                  mmdb;
    ngx_str_t               file;
    ngx_uint_t              i, n;
    in_addr_t               inet[DECISIONS];
    ngx_pool_t             *pool;
    struct sockaddr_in      sin;
    ngx_http_gray_addr_t    addr;

    name = malloc(strlen(dir) + sizeof("/geo.mmdb"));
    pool = ngx_create_pool(4096, &quiet);

    file.data = (u_char *) name;
    file.len = sprintf(name, "%s/geo.mmdb", dir);

    request->geo = ngx_http_gray_geo_create(pool);

    if (ngx_http_gray_geo_add(request->geo, &file, why) != NGX_OK) {
        fail(why);
    }

    if (MMDB_open(name, MMDB_MODE_MMAP, &mmdb) != MMDB_SUCCESS) {
        fail("a database cannot be opened");
    }

    for (i = 0; i < DECISIONS; i++) {
        inet[i] = htonl((uint32_t) (i * 0x9e3779b1) % 0xdf000000 + 0x1000000);
        addr = ntohl(inet[i]);
        ngx_memcpy(request->text[i], &addr, sizeof(addr));
    }

    ngx_memzero(&sin, sizeof(struct sockaddr_in));
    sin.sin_family = AF_INET;

    bare_lookup(&mmdb, (struct sockaddr *) &sin);

    CALLGRIND_ZERO_STATS;

    for (i = 0; i < DECISIONS / 4; i++) {
        sin.sin_addr.s_addr = inet[i];
        bare_lookup(&mmdb, (struct sockaddr *) &sin);
    }

    (void) sprintf(label, "bare lookup 1 %d", DECISIONS / 4);
    CALLGRIND_DUMP_STATS_AT(label);

    for (n = 1; n <= c->most; n++) {
        decide(c->name, n, compile(c, n), request);
    }

    MMDB_close(&mmdb);
    ngx_destroy_pool(pool);
}


static ngx_uint_t
wanted(ngx_uint_t n, ngx_uint_t quick)
{
    return !quick || n == 1 || n == 1000 || n == 10000 || n == 100000
           || n == 1000000;
}


int
main(int argc, char **argv)
{
    ngx_uint_t              i, n, prepare, quick;
    const case_t           *c;
    ngx_http_gray_rules_t  *rules;

    static request_t        request;

    if (argc < 3) {
        fail("usage: rules prepare|run DIR [quick]");
    }

    prepare = (strcmp(argv[1], "prepare") == 0);
    quick = (argc > 3);

    ngx_pagesize = getpagesize();
    ngx_cacheline_size = 64;
    ngx_time_init();

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        c = &cases[i];

        if (strcmp(c->name, "geo rules") == 0) {
            if (!prepare) {
                geo(argv[2], c, &request);
            }

            continue;
        }

        for (n = 1; n <= c->most; n *= 10) {

            if (!wanted(n, quick) || (prepare && !c->list)) {
                continue;
            }

            if (prepare) {
                make_list(argv[2], c, n);
                continue;
            }

            if (c->list) {
                map_list(argv[2], c, n);
            }

            rules = compile(c, n);
            draw(c, n, &request);
            decide(c->name, n, rules, &request);

            ngx_http_gray_rules_destroy(rules);
            ngx_http_gray_list_unmap(&list);
        }
    }

    return 0;
}
