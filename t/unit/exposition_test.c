
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The text of metrics: numbers against printf(), buckets against the values
 * that were counted, counters near 2^64, lines across the ends of buffers, and
 * each allocation that fails; and which format Accept prefers.
 */


#include "unit.h"

#include <inttypes.h>
#include <math.h>
#include <sys/mman.h>

/*
 * The wrappers to be linked: __wrap_malloc, __wrap_calloc, __wrap_realloc,
 * __wrap_posix_memalign, __wrap_pcre2_compile_8,
 * __wrap_pcre2_match_data_create_8, __wrap_pcre2_match_context_create_8
 */

#include "memory.h"

#include "ngx_http_gray_accept.h"
#include "ngx_http_gray_exposition.h"


#define BUCKETS    NGX_HTTP_GRAY_HISTOGRAM
#define VALUES     20000
#define LINES      20000
#define LONGEST    200000
#define SEEDS      20000

#define TEXT_TYPE  "text/plain"
#define OPEN_TYPE  "application/openmetrics-text"


void *__wrap_mmap64(void *at, size_t size, int protection, int flags,
    int fd, off_t offset);
int __wrap_munmap(void *p, size_t size);


static ngx_log_t                    quiet;
static ngx_pool_t                  *pool;
static ngx_http_gray_exposition_t   e;


/* mmap(), by its name for long offsets: who writes behind the end is seen */

void *
__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd,
    off_t offset)
{
    void  *p;

    assert_null(at);
    assert_int_equal(flags, MAP_PRIVATE|MAP_ANONYMOUS);

    p = malloc(size);

    return p ? p : MAP_FAILED;
}


int
__wrap_munmap(void *p, size_t size)
{
    (void) size;

    free(p);

    return 0;
}


static void
begin(ngx_uint_t openmetrics)
{
    pool = ngx_create_pool(4096, &quiet);
    assert_non_null(pool);

    ngx_http_gray_exposition_init(&e, pool, openmetrics);
}


/* the whole text, to be freed, and no pool any more */

static char *
finish(void)
{
    char         *text, *p;
    size_t        len;
    ngx_chain_t  *cl;

    cl = ngx_http_gray_exposition_finish(&e);
    assert_non_null(cl);

    text = malloc(e.len + 1);
    assert_non_null(text);

    for (p = text; cl; cl = cl->next) {
        len = cl->buf->last - cl->buf->pos;
        assert_true(len <= (size_t) (cl->buf->end - cl->buf->start));
        assert_true(p + len <= text + e.len);

        memcpy(p, cl->buf->pos, len);
        p += len;
    }

    assert_ptr_equal(p, text + e.len);
    *p = '\0';

    ngx_destroy_pool(pool);

    return text;
}


static void
family(const char *name, ngx_http_gray_exposition_type_e type)
{
    ngx_str_t  s;

    s = string(name);
    ngx_http_gray_exposition_family(&e, &s, type, "Some help.");
}


/* the text of a sample with that value, or with n / 10^digits */

static void
check_number(uint64_t n, ngx_uint_t digits)
{
    int         i, len;
    char       *text, expected[256];
    uint64_t    scale;
    ngx_str_t   labels;
    ngx_uint_t  k;

    begin(0);

    labels = string("a=\"b\"");
    family("x", NGX_HTTP_GRAY_GAUGE);
    ngx_http_gray_exposition_begin(&e, "", &labels);

    if (digits) {
        ngx_http_gray_exposition_decimal(&e, n, digits);

    } else {
        ngx_http_gray_exposition_sample(&e, NULL, NULL, n);
    }

    for (scale = 1, k = 0; k < digits; k++) {
        scale *= 10;
    }

    len = snprintf(expected, sizeof(expected),
                   "# HELP x Some help.\n# TYPE x gauge\nx{a=\"b\"} %" PRIu64,
                   n / scale);

    if (n % scale) {
        len += snprintf(expected + len, sizeof(expected) - len,
                        ".%0*" PRIu64, (int) digits, n % scale);

        for (i = len - 1; expected[i] == '0'; i--) {
            expected[i] = '\0';
            len--;
        }
    }

    expected[len] = '\n';
    expected[len + 1] = '\0';

    text = finish();
    assert_string_equal(text, expected);
    free(text);
}


static void
test_numbers(void **state)
{
    uint64_t    n, seed;
    ngx_uint_t  i, digits;

    static const ngx_uint_t  places[] = { 0, 3, 6 };

    (void) state;

    seed = 1;

    for (i = 0; i < ITEMS(places); i++) {
        digits = places[i];

        for (n = 0; n < 1200; n++) {
            check_number(n, digits);
            check_number(UINT64_MAX - n, digits);
        }

        for (n = 1; n <= UINT64_MAX / 10; n *= 10) {
            check_number(n - 1, digits);
            check_number(n, digits);
            check_number(n + 1, digits);
            check_number(9 * n, digits);
        }

        for (n = 0; n < 2000; n++) {
            check_number(draw(&seed) >> (draw(&seed) % 64), digits);
        }
    }
}


/* within half a unit of the seventh digit, as a plain number where it can be */

static void
check_real(double n)
{
    char    *text, *value, *end;
    double   got;

    begin(0);

    family("x", NGX_HTTP_GRAY_GAUGE);
    ngx_http_gray_exposition_begin(&e, "", NULL);
    ngx_http_gray_exposition_real(&e, n);

    text = finish();
    value = strstr(text, "x{} ");
    assert_non_null(value);
    value += sizeof("x{} ") - 1;

    got = strtod(value, &end);
    assert_string_equal(end, "\n");
    assert_true(fabs(got - n) <= 5.1e-7 * n);

    if (n >= 1e-5 && n < 1e6) {
        assert_null(strchr(value, 'e'));
    }

    free(text);
}


static void
test_real(void **state)
{
    int  i;

    static const double numbers[] = {
        0, 1, 0.5, 0.1, 1.25, 9.9999999, 99999.996, 999999.96, 9999999.6, 1e6,
        1e7, 1e-4, 1e-6, 9.9999999e-7, 1e-290, 1e300, 9.99999996e299, 0.3
    };

    (void) state;

    for (i = 0; i < (int) (sizeof(numbers) / sizeof(numbers[0])); i++) {
        check_real(numbers[i]);
    }

    for (i = -2800; i <= 2990; i++) {
        check_real(pow(10, i / 10.0));
        check_real(pow(10, i / 10.0) * (1 - 1e-9));
        check_real(pow(10, i / 10.0) * (1 - 4e-8));
    }
}


static void
test_labels(void **state)
{
    char       *text, value[256], *p;
    u_char     *label, *last;
    size_t      size;
    ngx_str_t   s, none, first, second;
    ngx_uint_t  i;

    (void) state;

    /* each byte: three have an escape */

    for (i = 0; i < 256; i++) {
        value[i] = (char) i;
    }

    s.data = (u_char *) value;
    s.len = sizeof(value);

    size = ngx_http_gray_exposition_label_size("name", &s);
    label = malloc(size);
    assert_non_null(label);

    last = ngx_http_gray_exposition_label(label, 1, "name", &s);
    assert_true((size_t) (last - label) <= size);
    assert_int_equal(last - label, sizeof("name=\"\"") - 1 + 256 + 3);
    assert_memory_equal(label, "name=\"", 6);

    p = (char *) label + 6;

    for (i = 0; i < 256; i++) {
        switch (i) {
        case '\n':
            assert_memory_equal(p, "\\n", 2);
            p += 2;
            break;
        case '"':
            assert_memory_equal(p, "\\\"", 2);
            p += 2;
            break;
        case '\\':
            assert_memory_equal(p, "\\\\", 2);
            p += 2;
            break;
        default:
            assert_int_equal((u_char) *p, i);
            p++;
        }
    }

    assert_memory_equal(p, "\"", 1);
    free(label);

    /* nothing but what has an escape takes all the room that was asked for */

    s = string("\"\\\n\"");
    size = ngx_http_gray_exposition_label_size("l", &s);
    label = malloc(size);
    assert_non_null(label);

    last = ngx_http_gray_exposition_label(label, 0, "l", &s);
    assert_int_equal(last - label, size);
    assert_memory_equal(label, ",l=\"\\\"\\\\\\n\\\"\"", size);
    free(label);

    /* where there are none, and where there are some */

    begin(0);
    family("x", NGX_HTTP_GRAY_GAUGE);

    none = string("");
    first = string("a=\"1\"");
    second = string("two\n");
    s = string("c");

    ngx_http_gray_exposition_begin(&e, "", NULL);
    ngx_http_gray_exposition_add(&e, "b", &second);
    ngx_http_gray_exposition_add(&e, "b2", &none);
    ngx_http_gray_exposition_sample(&e, NULL, NULL, 1);

    ngx_http_gray_exposition_begin(&e, "_y", &first);
    ngx_http_gray_exposition_add(&e, "b", &second);
    ngx_http_gray_exposition_sample(&e, &s, &first, 2);

    text = finish();
    assert_string_equal(text, "# HELP x Some help.\n# TYPE x gauge\n"
                              "x{b=\"two\\n\",b2=\"\"} 1\n"
                              "x_y{a=\"1\",b=\"two\\n\",c=\"a=\"1\"\"} 2\n");
    free(text);
}


static void
test_families(void **state)
{
    char        *text, expected[256];
    ngx_uint_t   i, open;

    static const struct {
        const char                       *name;
        ngx_http_gray_exposition_type_e   type;
        const char                       *family[2];
        const char                       *is[2];
    } types[] = {
        { "a_total", NGX_HTTP_GRAY_COUNTER, { "a_total", "a" },
          { "counter", "counter" } },
        { "a_requests", NGX_HTTP_GRAY_COUNTER, { "a_requests", "a_requests" },
          { "counter", "unknown" } },
        { "_total", NGX_HTTP_GRAY_COUNTER, { "_total", "_total" },
          { "counter", "unknown" } },
        { "a", NGX_HTTP_GRAY_COUNTER, { "a", "a" }, { "counter", "unknown" } },
        { "a_total", NGX_HTTP_GRAY_GAUGE, { "a_total", "a_total" },
          { "gauge", "gauge" } },
        { "a_total", NGX_HTTP_GRAY_TIMES, { "a_total", "a_total" },
          { "histogram", "histogram" } },
        { "a_info", NGX_HTTP_GRAY_INFO, { "a_info", "a" },
          { "gauge", "info" } }
    };

    (void) state;

    for (i = 0; i < ITEMS(types); i++) {
        for (open = 0; open < 2; open++) {
            begin(open);
            family(types[i].name, types[i].type);
            ngx_http_gray_exposition_begin(&e, "", NULL);
            ngx_http_gray_exposition_add(&e, "b", &(ngx_str_t) { 0, NULL });
            ngx_http_gray_exposition_sample(&e, NULL, NULL, 1);

            (void) snprintf(expected, sizeof(expected),
                            "# HELP %s Some help.\n# TYPE %s %s\n"
                            "%s{b=\"\"} 1\n%s", types[i].family[open],
                            types[i].family[open], types[i].is[open],
                            types[i].name, open ? "# EOF\n" : "");

            text = finish();
            assert_string_equal(text, expected);
            free(text);
        }
    }
}


/* half octaves, rounded down: k from 0 to 32 by floor(sqrt(2^k)) */

static ngx_uint_t
edges(uint64_t *edge)
{
    uint64_t    root;
    ngx_uint_t  k, n;

    n = 0;
    root = 1;

    for (k = 0; k <= 32; k++) {

        while ((root + 1) * (root + 1) <= (uint64_t) 1 << k) {
            root++;
        }

        if (n == 0 || edge[n - 1] != root) {
            edge[n++] = root;
        }
    }

    return n;
}


/* the lines of a histogram, as they are to be */

static char *
expect(const uint64_t *edge, ngx_uint_t n, const uint64_t *counts,
    uint64_t count, uint64_t ms)
{
    int         len;
    char       *text, number[32];
    ngx_uint_t  i, k;

    text = malloc(8192);
    assert_non_null(text);

    len = sprintf(text, "# HELP h Some help.\n# TYPE h histogram\n");

    for (i = 0; i < n; i++) {
        k = sprintf(number, "%" PRIu64 ".%03" PRIu64, edge[i] / 1000,
                    edge[i] % 1000);

        while (number[k - 1] == '0') {
            number[--k] = '\0';
        }

        len += sprintf(text + len, "h_bucket{r=\"s\",le=\"%s\"} %" PRIu64 "\n",
                       number, counts[i]);
    }

    len += sprintf(text + len, "h_bucket{r=\"s\",le=\"+Inf\"} %" PRIu64 "\n",
                   count);

    k = sprintf(number, "%" PRIu64 ".%03" PRIu64, ms / 1000, ms % 1000);

    while (number[k - 1] == '0') {
        number[--k] = '\0';
    }

    if (number[k - 1] == '.') {
        number[--k] = '\0';
    }

    (void) sprintf(text + len, "h_sum{r=\"s\"} %s\nh_count{r=\"s\"} %" PRIu64
                   "\n", number, count);

    return text;
}


static void
check_times(const uint64_t *n, const uint64_t *counts, uint64_t count,
    uint64_t ms)
{
    char       *text, *expected;
    uint64_t    edge[64];
    ngx_str_t   labels;
    ngx_uint_t  nedges;

    nedges = edges(edge);
    assert_int_equal(nedges, 31);

    begin(0);
    labels = string("r=\"s\"");
    family("h", NGX_HTTP_GRAY_TIMES);
    ngx_http_gray_exposition_times(&e, &labels, n, ms);

    text = finish();
    expected = expect(edge, nedges, counts, count, ms);
    assert_string_equal(text, expected);
    free(text);
    free(expected);
}


/* what is counted for each edge are the values up to it, and no others */

static void
test_times(void **state)
{
    uint64_t     n[BUCKETS], counts[64], edge[64], v, ms, seed;
    ngx_uint_t   i, k, nedges, round;

    (void) state;

    seed = 3;
    nedges = edges(edge);

    for (round = 0; round < 20; round++) {
        ms = 0;
        memset(n, 0, sizeof(n));
        memset(counts, 0, sizeof(counts));

        for (i = 0; i < (round ? VALUES : 0); i++) {

            /* many that are on an edge, or one beside it */

            v = (round % 2) ? draw(&seed) >> (40 + draw(&seed) % 24)
                            : edge[draw(&seed) % nedges] + draw(&seed) % 3 - 1;

            ms += v;
            n[ngx_http_gray_histogram_index(v)]++;

            for (k = 0; k < nedges; k++) {
                counts[k] += (v <= edge[k]);
            }
        }

        check_times(n, counts, i, ms);
    }
}


/* sums do not begin anew, whatever is in the buckets */

static void
test_saturated(void **state)
{
    uint64_t    n[BUCKETS], counts[64], edge[64], left;
    ngx_uint_t  i, k, nedges, round;

    (void) state;

    nedges = edges(edge);

    for (round = 0; round < 4; round++) {
        memset(n, 0, sizeof(n));

        for (i = 0; i < BUCKETS; i++) {

            /* some can hold no whole number */

            if (ngx_http_gray_histogram_index(ngx_http_gray_histogram_edge(i))
                != i)
            {
                continue;
            }

            n[i] = (round == 0) ? UINT64_MAX
                   : (round == 1) ? UINT64_MAX / 100
                   : (round == 2) ? (i == 0 ? UINT64_MAX - 1 : 0)
                   : (i == BUCKETS - 1 ? UINT64_MAX : 1);
        }

        left = UINT64_MAX;
        i = 0;

        for (k = 0; k < nedges; k++) {
            for ( /* void */ ;
                 i < BUCKETS
                 && ngx_http_gray_histogram_edge(i) <= edge[k];
                 i++)
            {
                left -= ngx_min(left, n[i]);
            }

            counts[k] = UINT64_MAX - left;
        }

        for ( /* void */ ; i < BUCKETS; i++) {
            left -= ngx_min(left, n[i]);
        }

        check_times(n, counts, UINT64_MAX - left, UINT64_MAX - round);
    }
}


/* how long the two labels of a line are: some do not fit in any buffer */

static void
lengths(ngx_uint_t i, uint64_t *seed, size_t *first, size_t *second)
{
    *first = (i == 5000 || i == 5001) ? LONGEST : draw(seed) % 300;
    *second = (i == 7000) ? LONGEST / 3 : i % 7;
}


static void
write_lines(const char *value)
{
    uint64_t    seed;
    ngx_str_t   first, second, label;
    ngx_uint_t  i;

    seed = 7;
    label = string("l");
    first.data = (u_char *) value;
    second.data = (u_char *) value;

    begin(1);
    family("x", NGX_HTTP_GRAY_GAUGE);

    for (i = 0; i < LINES; i++) {
        lengths(i, &seed, &first.len, &second.len);

        ngx_http_gray_exposition_begin(&e, "", NULL);
        ngx_http_gray_exposition_add(&e, "a", &first);
        ngx_http_gray_exposition_sample(&e, &label, &second, i);
    }
}


static void
test_buffers(void **state)
{
    char         *text, *p, *value, *line;
    size_t        first, second;
    uint64_t      seed;
    ngx_uint_t    i, len, buffers;
    ngx_chain_t  *cl;

    (void) state;

    value = malloc(LONGEST);
    line = malloc(2 * LONGEST);
    assert_non_null(value);
    assert_non_null(line);
    memset(value, 'v', LONGEST);

    /* none is empty, and there are no more of them than are needed */

    write_lines(value);
    buffers = 0;

    for (cl = ngx_http_gray_exposition_finish(&e); cl; cl = cl->next) {
        assert_true(cl->buf->last > cl->buf->pos);
        buffers++;
    }

    assert_true(buffers > 5 && buffers <= (ngx_uint_t) e.len / 260000 + 6);
    ngx_destroy_pool(pool);

    write_lines(value);
    text = finish();

    seed = 7;
    p = text + strlen("# HELP x Some help.\n# TYPE x gauge\n");

    for (i = 0; i < LINES; i++) {
        lengths(i, &seed, &first, &second);

        len = sprintf(line, "x{a=\"%.*s\",l=\"%.*s\"} %lu\n", (int) first,
                      value, (int) second, value, (unsigned long) i);

        if (strncmp(p, line, len) != 0) {
            fail_msg("line %lu is not as it was written", (unsigned long) i);
        }

        p += len;
    }

    assert_string_equal(p, "# EOF\n");

    free(text);
    free(line);
    free(value);
}


/* a text, with a label that does not fit into what there was before */

static ngx_chain_t *
write_all(void)
{
    char         value[5000];
    uint64_t     n[BUCKETS];
    ngx_str_t    s, labels;
    ngx_uint_t   i;

    pool = ngx_create_pool(256, &quiet);

    if (pool == NULL) {
        return NULL;
    }

    memset(n, 0, sizeof(n));
    memset(value, 'v', sizeof(value));

    ngx_http_gray_exposition_init(&e, pool, 1);

    labels = string("r=\"s\"");
    s.data = (u_char *) value;

    for (i = 0; i < 40; i++) {
        s.len = 120 * i;

        family("h", NGX_HTTP_GRAY_TIMES);
        ngx_http_gray_exposition_times(&e, &labels, n, i);
        ngx_http_gray_exposition_begin(&e, "", NULL);
        ngx_http_gray_exposition_add(&e, "a", &s);
        ngx_http_gray_exposition_sample(&e, NULL, NULL, i);
        ngx_http_gray_exposition_decimal(&e, i, 3);
    }

    return ngx_http_gray_exposition_finish(&e);
}


static void
test_memory(void **state)
{
    ngx_uint_t    i, all;
    ngx_chain_t  *cl;

    (void) state;

    count_allocations();

    cl = write_all();
    assert_non_null(cl);
    ngx_destroy_pool(pool);

    all = allocations;
    assert_true(all >= 8);

    for (i = 1; i <= all; i++) {
        allocations = 0;
        failing = i;

        cl = write_all();
        failing = 0;

        assert_null(cl);

        if (pool) {
            ngx_destroy_pool(pool);
        }
    }

    forget_allocations();
}


static ngx_uint_t
prefers(const char *value)
{
    u_char                  *copy;
    ngx_str_t                s;
    ngx_http_gray_accept_t   accept;

    /* nothing behind it may be read */

    s.len = strlen(value);
    copy = malloc(s.len ? s.len : 1);
    assert_non_null(copy);
    memcpy(copy, value, s.len);
    s.data = copy;

    memset(&accept, 0, sizeof(accept));
    ngx_http_gray_accept_header(&accept, &s);
    free(copy);

    return ngx_http_gray_accept_openmetrics(&accept);
}


static void
test_accept(void **state)
{
    ngx_uint_t  i;

    static const struct {
        const char  *value;
        ngx_uint_t   open;
    } headers[] = {
        { "", 0 },
        { "*/*", 0 },
        { TEXT_TYPE, 0 },
        { OPEN_TYPE, 1 },
        { " " OPEN_TYPE "\t", 1 },
        { OPEN_TYPE ";q=0", 0 },
        { OPEN_TYPE ";q=0.", 0 },
        { OPEN_TYPE ";q=0.001", 1 },
        { OPEN_TYPE ";q=0.0001", 0 },
        { OPEN_TYPE ";q=1.", 1 },
        { OPEN_TYPE ";q=1.000", 1 },
        { OPEN_TYPE ";q=1.001", 0 },
        { OPEN_TYPE ";q=2", 0 },
        { OPEN_TYPE ";q=10", 0 },
        { OPEN_TYPE ";q=\"0.5\"", 1 },
        { OPEN_TYPE ";Q=0.5", 1 },
        { OPEN_TYPE "; q = 0.5", 1 },
        { OPEN_TYPE ";version=1.0.0", 1 },
        { OPEN_TYPE ";version=\"1.0.0\"", 1 },
        { OPEN_TYPE ";version=1.0.0;q=0.4," TEXT_TYPE ";q=0.5", 0 },
        { OPEN_TYPE ";version=1.0.0;q=0.5," TEXT_TYPE ";q=0.4", 1 },
        { OPEN_TYPE ";version=0.0.1," TEXT_TYPE ";q=0.4", 0 },
        { OPEN_TYPE ";version=", 1 },
        { OPEN_TYPE "," TEXT_TYPE, 0 },
        { OPEN_TYPE ",*/*", 1 },
        { OPEN_TYPE ";q=0.9,*/*", 0 },
        { OPEN_TYPE ";q=0,*/*;q=0", 0 },
        { "application/*,text/*;q=0.9", 1 },
        { "application/*;q=0.9,text/*", 0 },
        { "application/*;q=0.1," OPEN_TYPE ",text/*;q=0.9", 1 },
        { OPEN_TYPE ";q=0.1,application/*,text/*;q=0.9", 0 },
        { "a/b;c=\"," OPEN_TYPE, 0 },
        { "a/b;c=\"\\\",\"," OPEN_TYPE, 1 },
        { "a/b;c=\"\\", 0 },
        { ";;;=,=;q=1,," OPEN_TYPE, 1 },
        { "\"" OPEN_TYPE "\"", 1 }
    };

    (void) state;

    for (i = 0; i < ITEMS(headers); i++) {
        if (prefers(headers[i].value) != headers[i].open) {
            fail_msg("\"%s\" is taken to prefer the other one",
                     headers[i].value);
        }
    }
}


/* whatever comes: it ends, and reads nothing else */

static void
test_accept_any(void **state)
{
    char        value[80];
    uint64_t    seed;
    ngx_uint_t  i, len, open;

    static const char *const  parts[] = {
        OPEN_TYPE, TEXT_TYPE, "*/*", "application/*", ";", ",", "=", "\"",
        "\\", "q", "version", "1.0.0", "0.5", "0", "1", ".", " ", "\t", "\x01"
    };

    (void) state;

    seed = 11;
    open = 0;

    for (i = 0; i < SEEDS; i++) {
        len = 0;

        for ( ;; ) {
            const char *part = parts[draw(&seed) % ITEMS(parts)];

            if (len + strlen(part) >= sizeof(value) || draw(&seed) % 16 == 0) {
                break;
            }

            memcpy(value + len, part, strlen(part));
            len += strlen(part);
        }

        value[len] = '\0';
        open += prefers(value);
    }

    assert_true(open > SEEDS / 100 && open < SEEDS / 2);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_real),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_saturated),
        cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_accept),
        cmocka_unit_test(test_accept_any)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
