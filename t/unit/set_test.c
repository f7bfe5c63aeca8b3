
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Sets of strings and numbers, and of networks: what is found must be what one
 * finds by looking at each.
 */


#include "operators.h"

/*
 * The wrappers to be linked: __wrap_ngx_http_gray_list_has,
 * __wrap_ngx_http_gray_list_covers
 */


static uint64_t  seed;


/* sets of many strings and networks, beside a walk through all of them */

static void
test_sets(void **state)
{
    char                            *p, *text, value[64];
    uint32_t                         addr, nets[300];
    ngx_uint_t                       i, k, n, bits[300], found, in, out;
    ngx_http_gray_test_t            *test;
    ngx_http_gray_tests_compile_t    cp;

    (void) state;

    seed = 5;
    in = 0;
    out = 0;

    text = malloc(100000);
    assert_non_null(text);

    for (i = 0; i < 200; i++) {

        n = 1 + draw(&seed) % ITEMS(nets);
        p = text + sprintf(text, "{\"cidr\": [");

        for (k = 0; k < n; k++) {
            bits[k] = 8 + draw(&seed) % 25;
            nets[k] = (uint32_t) draw(&seed) & 0x7fffffff;
            nets[k] &= 0xffffffffU << (32 - bits[k]);

            p += sprintf(p, "%s\"%u.%u.%u.%u/%lu\"", k ? ", " : "",
                         nets[k] >> 24, nets[k] >> 16 & 255,
                         nets[k] >> 8 & 255, nets[k] & 255,
                         (unsigned long) bits[k]);
        }

        strcpy(p, "]}");

        test = compile(&cp, NULL, text);
        assert_non_null(test);

        for (k = 0; k < 200; k++) {
            ngx_uint_t  j;

            /* near to one of the edges, mostly */

            j = draw(&seed) % n;
            addr = draw(&seed) % 4 ? nets[j] : (uint32_t) draw(&seed);
            addr += draw(&seed) % 2 ? 0 : 1U << (32 - bits[j]);
            addr += draw(&seed) % 3 - 1;

            found = 0;

            for (j = 0; j < n; j++) {
                found |= ((addr ^ nets[j]) >> (32 - bits[j])) == 0;
            }

            sprintf(value, "%u.%u.%u.%u", addr >> 24, addr >> 16 & 255,
                    addr >> 8 & 255, addr & 255);

            if (hold(test, value, strlen(value)) != (ngx_int_t) found) {
                fail_msg("%s, %s: must be %lu", text, value,
                         (unsigned long) found);
            }

            in += found;
            out += !found;
        }

        ngx_destroy_pool(cp.pool);

        /* n strings of a range, every other one */

        p = text + sprintf(text, "{\"in\": [");

        for (k = 0; k < n; k++) {
            p += sprintf(p, "%s\"k%lu\"", k ? ", " : "",
                         (unsigned long) k * 2);
        }

        strcpy(p, "], \"ignore_case\": true}");

        test = compile(&cp, NULL, text);
        assert_non_null(test);

        for (k = 0; k < 2 * n + 20; k++) {
            sprintf(value, "%c%lu", k % 3 ? 'k' : 'K', (unsigned long) k);
            assert_int_equal(hold(test, value, strlen(value)),
                             k % 2 == 0 && k < 2 * n);
        }

        ngx_destroy_pool(cp.pool);
    }

    free(text);

    assert_true(in > 5000);
    assert_true(out > 5000);
}


/*
 * Sets of up to 60 short strings, or with much in common, of few letters: what
 * is found must be what one finds by looking at each.
 */

static ngx_uint_t
letters(u_char *p, ngx_uint_t cased)
{
    ngx_uint_t  i, len, stem;

    stem = draw(&seed) % 3 ? 0 : draw(&seed) % 20;

    for (i = 0; i < stem; i++) {
        p[i] = "stem-of-many-strings"[i];
    }

    len = stem + 1 + draw(&seed) % (draw(&seed) % 4 ? 4 : 20);

    for ( /* void */ ; i < len; i++) {
        p[i] = (cased ? "aBAb@[`{" : "ab@[z")[draw(&seed) % (cased ? 8 : 5)];
    }

    return len;
}


static ngx_uint_t
alike(const u_char *one, const u_char *two, size_t len, ngx_uint_t folded)
{
    return folded ? strncasecmp((char *) one, (char *) two, len) == 0
                  : memcmp(one, two, len) == 0;
}


static ngx_uint_t
is_found(const char *op, u_char (*strings)[64], size_t *lens, ngx_uint_t n,
    const u_char *value, size_t len, ngx_uint_t folded)
{
    size_t      from;
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {

        if (lens[i] > len) {
            continue;
        }

        for (from = 0; from <= len - lens[i]; from++) {

            if (!alike(strings[i], value + from, lens[i], folded)) {
                continue;
            }

            if ((op[0] == 'i' && lens[i] == len)
                || (op[0] == 'p' && from == 0)
                || (op[0] == 's' && from == len - lens[i])
                || op[0] == 'c')
            {
                return 1;
            }
        }
    }

    return 0;
}


static void
test_sets_random(void **state)
{
    char                            text[8192], *p;
    size_t                          lens[60], len;
    u_char                          strings[60][64], value[128];
    ngx_uint_t                      i, k, n, folded, expected, hits, misses;
    const char                     *op;
    ngx_http_gray_test_t           *test;
    ngx_http_gray_tests_compile_t   cp;

    static const char *ops[] = { "in", "prefix", "suffix", "contains" };

    (void) state;

    seed = 11;
    hits = 0;
    misses = 0;

    for (i = 0; i < 1200; i++) {
        op = ops[i % ITEMS(ops)];
        folded = draw(&seed) % 2;
        n = 1 + draw(&seed) % (draw(&seed) % 2 ? 60 : 5);

        p = text + sprintf(text, "{\"%s\": [", op);

        for (k = 0; k < n; k++) {
            lens[k] = letters(strings[k], folded);
            p += sprintf(p, "%s\"%.*s\"", k ? "," : "", (int) lens[k],
                         (char *) strings[k]);
        }

        sprintf(p, "], \"ignore_case\": %s}", folded ? "true" : "false");

        test = compile(&cp, NULL, text);
        assert_non_null(test);

        for (k = 0; k < 100; k++) {

            /* one of them, maybe with something around, or nothing of it */

            len = draw(&seed) % 2 ? letters(value, folded) : 0;

            if (draw(&seed) % 4) {
                n = ngx_max(n, 1);
                memcpy(value + len, strings[k % n], lens[k % n]);
                len += lens[k % n];
            }

            if (draw(&seed) % 3 == 0 || len == 0) {
                len += letters(value + len, folded);
            }

            expected = is_found(op, strings, lens, n, value, len, folded);

            if (hold(test, (char *) value, len) != (ngx_int_t) expected) {
                fail_msg("%s, %.*s: must be %lu", text, (int) len,
                         (char *) value, (unsigned long) expected);
            }

            hits += expected;
            misses += !expected;
        }

        ngx_destroy_pool(cp.pool);
    }

    assert_true(hits > 20000);
    assert_true(misses > 20000);
}


/* numbers are found wherever they are among the others */

static void
test_numbers(void **state)
{
    char                            text[4096], value[32], *p;
    ngx_uint_t                      i, n;
    ngx_http_gray_test_t           *test;
    ngx_http_gray_tests_compile_t   cp;

    (void) state;

    for (n = 1; n < 80; n += 2) {
        p = text + sprintf(text, "[");

        /* 0.5, 3.5, ... in some order, some of them twice */

        for (i = 0; i < n; i++) {
            p += sprintf(p, "%s%lu.5", i ? "," : "",
                         (unsigned long) (i * 64 % n) * 3);

            if (i % 5 == 0) {
                p += sprintf(p, ",%lu.50", (unsigned long) i * 3);
            }
        }

        strcpy(p, "]");

        test = compile(&cp, NULL, text);
        assert_non_null(test);

        for (i = 0; i < 3 * n + 3; i++) {
            sprintf(value, "%lu.500", (unsigned long) i);

            assert_int_equal(hold(test, value, strlen(value)),
                             i % 3 == 0 && i / 3 < n);
        }

        ngx_destroy_pool(cp.pool);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_sets_random),
        cmocka_unit_test(test_numbers)
    };

    ngx_pagesize = getpagesize();

    return cmocka_run_group_tests(tests, NULL, NULL);
}
