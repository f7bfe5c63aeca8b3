
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Lines of a journal: what is printed is judged good and parsed back, what is
 * not quite that is damaged, and checksums are those of XXH64 as its
 * specification has it.
 */


#include "unit.h"
#include "memory.h"

#include "ngx_http_gray_record.h"

/*
 * The wrappers to be linked: __wrap_malloc, __wrap_calloc, __wrap_realloc,
 * __wrap_posix_memalign, __wrap_pcre2_compile_8,
 * __wrap_pcre2_match_data_create_8, __wrap_pcre2_match_context_create_8
 */


#define HEAD    (sizeof("{\"checksum\":\"") - 1)
#define SUMMED  (HEAD + 16 + 2)

#define P1  0x9e3779b185ebca87ULL
#define P2  0xc2b2ae3d27d4eb4fULL
#define P3  0x165667b19e3779f9ULL
#define P4  0x85ebca77c2b2ae63ULL
#define P5  0x27d4eb2f165667c5ULL


static uint64_t  seed;


static uint64_t
rotated(uint64_t v, ngx_uint_t n)
{
    return v << n | v >> (64 - n);
}


static uint64_t
word(const u_char *p, ngx_uint_t n)
{
    uint64_t  v;

    for (v = 0; n; n--) {
        v = v << 8 | p[n - 1];
    }

    return v;
}


static uint64_t
mixed(uint64_t acc, uint64_t v)
{
    return rotated(acc + v * P2, 31) * P1;
}


/* XXH64 with seed 0, by the steps of its specification */

static uint64_t
xxh64(const u_char *p, size_t len)
{
    size_t      left;
    uint64_t    h, v[4];
    ngx_uint_t  i;

    left = len;

    if (len >= 32) {
        v[0] = P1 + P2;
        v[1] = P2;
        v[2] = 0;
        v[3] = -P1;

        for ( /* void */ ; left >= 32; left -= 32) {
            for (i = 0; i < 4; i++, p += 8) {
                v[i] = mixed(v[i], word(p, 8));
            }
        }

        h = rotated(v[0], 1) + rotated(v[1], 7) + rotated(v[2], 12)
            + rotated(v[3], 18);

        for (i = 0; i < 4; i++) {
            h = (h ^ mixed(0, v[i])) * P1 + P4;
        }

    } else {
        h = P5;
    }

    h += len;

    for ( /* void */ ; left >= 8; left -= 8, p += 8) {
        h = rotated(h ^ mixed(0, word(p, 8)), 27) * P1 + P4;
    }

    if (left >= 4) {
        h = rotated(h ^ word(p, 4) * P1, 23) * P2 + P3;
        left -= 4;
        p += 4;
    }

    for ( /* void */ ; left; left--, p++) {
        h = rotated(h ^ *p * P5, 11) * P1;
    }

    h = (h ^ h >> 33) * P2;
    h = (h ^ h >> 29) * P3;

    return h ^ h >> 32;
}


/* a line with whatever is behind the checksum, which is right */

static size_t
summed(char *line, const char *rest)
{
    char  digits[17];

    sprintf(line, "{\"checksum\":\"0123456789abcdef\",%s", rest);
    sprintf(digits, "%016llx", (unsigned long long)
            xxh64((u_char *) line + SUMMED, strlen(line + SUMMED)));
    memcpy(line + HEAD, digits, 16);

    return strlen(line);
}


static ngx_http_gray_record_e
judged(const char *rest, uint64_t *revision)
{
    char  line[1024];

    return ngx_http_gray_record_judge((u_char *) line, summed(line, rest),
                                      revision);
}


static void
test_xxh64(void **state)
{
    (void) state;

    /* of the reference implementation */

    assert_true(xxh64((u_char *) "", 0) == 0xef46db3751d8e999ULL);
    assert_true(xxh64((u_char *) "a", 1) == 0xd24ec4f1a98c6e5bULL);
    assert_true(xxh64((u_char *) "abc", 3) == 0x44bc2cf5ad770999ULL);
}


/* bytes of several kinds, up to "max" of them; or nothing */

static ngx_str_t
text(u_char *p, size_t max)
{
    size_t      i;
    ngx_str_t   s = ngx_null_string;
    ngx_uint_t  kind;

    static const char  *nasty[] = {
        "\"", "\\", ",\"document\":", "\",\"document\":{}}", "\n", "\r", "\t",
        "\x01", "\x7f", "\xc3\xa4", "\xe2\x80\xa8", "\xf0\x9f\x98\x80", "\xff",
        "\xc0\x80", "\xed\xa0\x80", "\xe4\xbd", "{\"checksum\":\"",
        "\"revision\":9", "\\u0000", "</script>"
    };

    kind = draw(&seed) % 5;

    if (kind == 0) {
        return s;
    }

    s.data = p;
    s.len = draw(&seed) % 8 ? draw(&seed) % (draw(&seed) % 2 ? max : 12) : max;

    for (i = 0; i < s.len; i++) {
        p[i] = kind == 1 ? ' ' + draw(&seed) % 95 : (u_char) draw(&seed);
    }

    if (kind == 4) {
        for (i = 0; i < s.len; /* void */ ) {
            const char  *n = nasty[draw(&seed) % ITEMS(nasty)];
            size_t       len = ngx_min(strlen(n), s.len - i);

            memcpy(p + i, n, len);
            i += len;
        }
    }

    return s;
}


/* one line of JSON with strings like those of text() */

static ngx_str_t
document(u_char *p, size_t max)
{
    ngx_str_t              s, out;
    ngx_uint_t             i, n;
    ngx_http_gray_json_t  *json;

    json = ngx_http_gray_json_object();
    n = draw(&seed) % 6;

    for (i = 0; i < n; i++) {
        char  key[16];

        s = text(p, max);
        sprintf(key, "%sk%lu", draw(&seed) % 3 ? "" : "\"", (unsigned long) i);
        assert_int_equal(ngx_http_gray_json_set(json, key, s.data
                                ? ngx_http_gray_json_string(s.data, s.len)
                                : ngx_http_gray_json_number(i)), NGX_OK);
    }

    assert_int_equal(ngx_http_gray_json_print(json, 0, &out), NGX_OK);
    ngx_http_gray_json_free(json);

    return out;
}


/* as it is to be read back: what is not UTF-8 was replaced */

static void
assert_text(ngx_str_t *found, ngx_str_t *given, const ngx_http_gray_json_t *in)
{
    ngx_str_t              expected;
    ngx_http_gray_json_t  *json;

    if (given->data == NULL) {
        assert_null(found->data);
        assert_int_equal(ngx_http_gray_json_type(in), NGX_HTTP_GRAY_JSON_NULL);
        return;
    }

    json = ngx_http_gray_json_string(given->data, given->len);
    expected = ngx_http_gray_json_text(json);

    assert_non_null(found->data);
    assert_int_equal(found->len, expected.len);
    assert_memory_equal(found->data, expected.data, expected.len);

    assert_true(ngx_http_gray_json_equal(json, in));

    ngx_http_gray_json_free(json);
}


static void
test_round_trip(void **state)
{
    char                         digits[17];
    u_char                       user[128], comment[512], author[64], big[2000];
    uint64_t                     revision;
    ngx_str_t                    line, rest;
    ngx_uint_t                   round;
    ngx_http_gray_json_t        *json, *doc;
    ngx_http_gray_record_t       record, back;
    ngx_http_gray_json_error_t   err;

    (void) state;

    seed = 11;

    for (round = 0; round < 2000; round++) {
        memset(&record, 0, sizeof(record));

        record.revision = draw(&seed) % 4 ? draw(&seed) % 100000
                                          : draw(&seed) % (1ULL << 53);
        record.time = string("2026-11-29T18:02:03.123Z");
        record.origin = string(draw(&seed) % 2 ? "api" : "nginx.conf");
        record.author = text(author, sizeof(author));
        record.user = text(user, sizeof(user));
        record.comment = text(comment, sizeof(comment));
        record.document = document(big, sizeof(big));

        assert_int_equal(ngx_http_gray_record_print(&record, &line), NGX_OK);

        assert_int_equal(line.data[line.len - 1], LF);
        assert_null(memchr(line.data, LF, line.len - 1));
        assert_true(line.len <= NGX_HTTP_GRAY_RECORD_MAX);

        line.len--;

        assert_int_equal(ngx_http_gray_record_judge(line.data, line.len,
                                                    &revision),
                         NGX_HTTP_GRAY_RECORD_GOOD);
        assert_true(revision == record.revision);

        sprintf(digits, "%016llx", (unsigned long long)
                xxh64(line.data + SUMMED, line.len - SUMMED));
        assert_memory_equal(line.data + HEAD, digits, 16);

        /* as others read it: a line is JSON */

        json = ngx_http_gray_json_parse(line.data, line.len, &err);
        assert_non_null(json);
        assert_int_equal(ngx_http_gray_json_count(json), 9);

        assert_int_equal(ngx_http_gray_record_parse(line.data, line.len,
                                                    &back),
                         NGX_OK);

        assert_true(back.revision == record.revision);
        assert_text(&back.time, &record.time,
                    ngx_http_gray_json_get(json, "time"));
        assert_text(&back.origin, &record.origin,
                    ngx_http_gray_json_get(json, "origin"));
        assert_text(&back.author, &record.author,
                    ngx_http_gray_json_get(json, "author"));
        assert_text(&back.user, &record.user,
                    ngx_http_gray_json_get(json, "user"));
        assert_text(&back.comment, &record.comment,
                    ngx_http_gray_json_get(json, "comment"));

        assert_int_equal(back.document.len, record.document.len);
        assert_memory_equal(back.document.data, record.document.data,
                            record.document.len);

        doc = ngx_http_gray_json_parse(back.document.data, back.document.len,
                                       &err);
        assert_true(ngx_http_gray_json_equal(doc,
                                     ngx_http_gray_json_get(json, "document")));
        ngx_http_gray_json_free(doc);
        ngx_http_gray_json_free(json);

        ngx_http_gray_record_rest(line.data, line.len, &rest);
        assert_memory_equal(rest.data, "\"revision\":", 11);
        assert_ptr_equal(rest.data + rest.len, line.data + line.len);

        ngx_http_gray_record_free(&back);
        free(record.document.data);
        free(line.data);
    }
}


/* all that may be longest at once, and what a journal takes for a line */

static void
test_longest(void **state)
{
    u_char                  *doc, user[NGX_HTTP_GRAY_RECORD_USER],
                             comment[NGX_HTTP_GRAY_RECORD_COMMENT];
    uint64_t                 revision;
    ngx_str_t                line;
    ngx_http_gray_record_t   record, back;

    (void) state;

    doc = malloc(1048577);
    assert_non_null(doc);

    memset(doc, 'x', 1048577);
    memcpy(doc, "{\"x\":\"", 6);
    memcpy(doc + 1048575, "\"}", 2);

    memset(user, 1, sizeof(user));
    memset(comment, 1, sizeof(comment));

    memset(&record, 0, sizeof(record));

    record.revision = (1ULL << 53) - 1;
    record.time = string("2026-11-29T18:02:03.123Z");
    record.origin = string("nginx.conf");
    record.author = string("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255");
    record.user.data = user;
    record.user.len = sizeof(user);
    record.comment.data = comment;
    record.comment.len = sizeof(comment);
    record.document.data = doc;
    record.document.len = 1048577;

    assert_int_equal(ngx_http_gray_record_print(&record, &line), NGX_OK);
    assert_true(line.len <= NGX_HTTP_GRAY_RECORD_MAX);
    assert_int_equal(ngx_http_gray_record_judge(line.data, line.len - 1,
                                                &revision),
                     NGX_HTTP_GRAY_RECORD_GOOD);
    assert_true(revision == record.revision);

    assert_int_equal(ngx_http_gray_record_parse(line.data, line.len - 1, &back),
                     NGX_OK);
    assert_int_equal(back.document.len, record.document.len);
    assert_memory_equal(back.document.data, doc, record.document.len);
    assert_int_equal(back.comment.len, sizeof(comment));

    ngx_http_gray_record_free(&back);
    free(line.data);
    free(doc);
}


static ngx_str_t
printed(void)
{
    ngx_str_t               line;
    ngx_http_gray_record_t  record;

    memset(&record, 0, sizeof(record));

    record.revision = 7;
    record.time = string("2026-11-29T18:02:03.123Z");
    record.origin = string("api");
    record.author = string("127.0.0.1");
    record.comment = string("more for v2");
    record.document = string("{\"weights\":{\"v1\":90,\"v2\":10}}");

    assert_int_equal(ngx_http_gray_record_print(&record, &line), NGX_OK);

    line.len--;

    return line;
}


static void
assert_damaged(u_char *line, size_t len, const char *what, ngx_uint_t n)
{
    uint64_t                revision;
    ngx_http_gray_record_e  found;

    found = ngx_http_gray_record_judge(line, len, &revision);

    if (found != NGX_HTTP_GRAY_RECORD_DAMAGED) {
        fail_msg("%s %lu: judged %d: %.*s", what, (unsigned long) n, found,
                 (int) len, (char *) line);
    }
}


/* each bit and each cut, by copies of just that length, so that ASan sees */

static void
test_damaged(void **state)
{
    size_t      i;
    u_char     *copy;
    ngx_str_t   line;
    ngx_uint_t  bit;

    (void) state;

    line = printed();

    for (i = 0; i < line.len; i++) {
        for (bit = 0; bit < 8; bit++) {
            line.data[i] ^= 1 << bit;
            assert_damaged(line.data, line.len, "bit", 8 * i + bit);
            line.data[i] ^= 1 << bit;
        }

        copy = malloc(i + 1);
        assert_non_null(copy);

        memcpy(copy, line.data, i);
        assert_damaged(copy, i, "first bytes", i);

        free(copy);

        if (i) {
            assert_damaged(line.data + i, line.len - i, "without", i);
        }

        /* a byte that is missing, or is there twice */

        copy = malloc(line.len + 1);
        assert_non_null(copy);

        memcpy(copy, line.data, i);
        memcpy(copy + i, line.data + i + 1, line.len - i - 1);
        assert_damaged(copy, line.len - 1, "without byte", i);

        memcpy(copy, line.data, i + 1);
        memcpy(copy + i + 1, line.data + i, line.len - i);
        assert_damaged(copy, line.len + 1, "twice byte", i);

        free(copy);
    }

    free(line.data);
}


static void
test_layouts(void **state)
{
    uint64_t    revision;
    ngx_uint_t  i;

    static const char  *newer[] = {
        "\"layout\":2,\"revision\":1}",
        "\"layout\":2}",
        "\"layout\":10,",
        "\"layout\":999999999999999999 and what they may think of"
    };

    static const char  *damaged[] = {
        "",
        "\"",
        "\"layout\":",
        "\"layout\":,\"revision\":1}",
        "\"layout\":x,\"revision\":1}",
        "\"layout\":-2,\"revision\":1}",
        "\"layout\":1000000000000000000,\"revision\":1}",
        "\"layout\":1",
        "\"layout\":1}",
        "\"layout\":1,\"revision\":",
        "\"layout\":1,\"revision\":}",
        "\"layout\":1,\"revision\":\"1\"}",
        "\"layout\":1,\"revision\":1000000000000000000}",
        "\"layout\":1,\"revision\":9007199254740992}",
        "\"layout\": 1,\"revision\":1}",
        "\"Layout\":1,\"revision\":1}",
        "\"revision\":1,\"layout\":1}"
    };

    (void) state;

    for (i = 0; i < ITEMS(newer); i++) {
        assert_int_equal(judged(newer[i], &revision),
                         NGX_HTTP_GRAY_RECORD_NEWER);
    }

    for (i = 0; i < ITEMS(damaged); i++) {
        if (judged(damaged[i], &revision) != NGX_HTTP_GRAY_RECORD_DAMAGED) {
            fail_msg("%s: is not damaged", damaged[i]);
        }
    }

    assert_int_equal(judged("\"layout\":1,\"revision\":12}", &revision),
                     NGX_HTTP_GRAY_RECORD_GOOD);
    assert_int_equal(revision, 12);
}


/* the sum is right, but it is no record: what people may make by hand */

static void
test_parse_refused(void **state)
{
    char                     line[1024];
    size_t                   len;
    ngx_uint_t               i;
    ngx_http_gray_record_t   record;

    static const char  *rests[] = {
        "\"layout\":1,\"revision\":12}",
        "\"layout\":1,\"revision\":12,\"document\"}",
        "\"layout\":1,\"revision\":12,\"document\":",
        "\"layout\":1,\"revision\":12,\"document\":}",
        "\"layout\":1,\"revision\":12,\"document\":{} ",
        "\"layout\":1,\"revision\":12,\"comment\":\"\xff\",\"document\":{}}",
        "\"layout\":1,\"revision\":12,\"comment\",\"document\":{}}"
    };

    (void) state;

    for (i = 0; i < ITEMS(rests); i++) {
        len = summed(line, rests[i]);

        if (ngx_http_gray_record_parse((u_char *) line, len, &record)
            != NGX_ERROR)
        {
            fail_msg("%s: was parsed, with a document of %lu bytes", rests[i],
                     (unsigned long) record.document.len);
        }

        assert_null(record.meta);
    }
}


static void
assert_value(ngx_str_t *found, const char *expected)
{
    if (expected == NULL) {
        assert_null(found->data);
        return;
    }

    assert_non_null(found->data);
    assert_int_equal(found->len, strlen(expected));
    assert_memory_equal(found->data, expected, found->len);
}


/*
 * t/journal/layout1.jsonl was made by other code than ours, and stays as it
 * is: it is to be read by all versions to come.
 */

static void
test_layout_1(void **state)
{
    FILE                    *file;
    char                     text[4096], *p, *end;
    uint64_t                 revision;
    ngx_str_t                line;
    ngx_uint_t               n;
    ngx_http_gray_record_t   record;

    static const struct {
        uint64_t     revision;
        const char  *author, *user, *comment, *document;
    } expected[] = {
        { 1, "nginx.conf", NULL, NULL, "{\"enabled\":true," },
        { 2, "127.0.0.1", "bob", "10 % for v2", "{\"enabled\":true," },
        { 3, "unix:", NULL, "\"quoted\", \\ and \t\n\x01, ,\"document\":{} "
          "\xe2\x80\x93 Z\xc3\xbcrich \xf0\x9f\x98\x80",
          "{\"enabled\":true," },
        { 7, "2001:db8::1", "", NULL, "{\"enabled\":false}" },
        { 1000000000000, NULL, NULL, "", "{}" }
    };

    (void) state;

    file = fopen("t/journal/layout1.jsonl", "r");
    assert_non_null(file);

    n = fread(text, 1, sizeof(text) - 1, file);
    text[n] = '\0';
    (void) fclose(file);

    for (p = text, n = 0; *p; p = end + 1, n++) {
        end = strchr(p, '\n');
        assert_non_null(end);
        assert_true(n < ITEMS(expected));

        assert_int_equal(ngx_http_gray_record_judge((u_char *) p, end - p,
                                                    &revision),
                         NGX_HTTP_GRAY_RECORD_GOOD);
        assert_int_equal(revision, expected[n].revision);

        assert_int_equal(ngx_http_gray_record_parse((u_char *) p, end - p,
                                                    &record),
                         NGX_OK);

        assert_int_equal(record.revision, revision);
        assert_int_equal(record.time.len, 24);
        assert_value(&record.origin, n ? "api" : "nginx.conf");
        assert_value(&record.author, expected[n].author);
        assert_value(&record.user, expected[n].user);
        assert_value(&record.comment, expected[n].comment);
        assert_memory_equal(record.document.data, expected[n].document,
                            strlen(expected[n].document));
        assert_ptr_equal(record.document.data + record.document.len, end - 1);

        /* as long as it is the layout that is written */

        if (NGX_HTTP_GRAY_RECORD_LAYOUT == 1) {
            assert_int_equal(ngx_http_gray_record_print(&record, &line),
                             NGX_OK);
            assert_int_equal(line.len, end + 1 - p);
            assert_memory_equal(line.data, p, line.len);
            free(line.data);
        }

        ngx_http_gray_record_free(&record);
    }

    assert_int_equal(n, ITEMS(expected));
}


static void
test_memory(void **state)
{
    ngx_str_t                line;
    ngx_uint_t               n;
    ngx_http_gray_record_t   record, back;

    (void) state;

    memset(&record, 0, sizeof(record));

    record.revision = 7;
    record.time = string("2026-11-29T18:02:03.123Z");
    record.origin = string("api");
    record.user = string("bob");
    record.document = string("{}");

    for (n = 1; ; n++) {
        count_allocations();
        failing = n;

        if (ngx_http_gray_record_print(&record, &line) == NGX_OK) {
            break;
        }

        assert_int_equal(blocks, 0);
    }

    assert_true(n > 10);
    assert_int_equal(blocks, 0);

    for (n = 1; ; n++) {
        count_allocations();
        failing = n;

        if (ngx_http_gray_record_parse(line.data, line.len - 1, &back)
            == NGX_OK)
        {
            break;
        }

        assert_int_equal(blocks, 0);
    }

    assert_true(n > 5);

    ngx_http_gray_record_free(&back);
    assert_int_equal(blocks, 0);

    forget_allocations();
    free(line.data);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_xxh64),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_parse_refused),
        cmocka_unit_test(test_layout_1),
        cmocka_unit_test(test_memory)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
