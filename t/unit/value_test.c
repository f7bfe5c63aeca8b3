
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Values: what is asked of them is worked out once, and is what strtod(),
 * XXH3 and inet_pton() make of the text.
 */


#include "unit.h"

#include <arpa/inet.h>
#include <math.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ngx_http_gray_value.h"


static uint64_t  seed;


static ngx_http_gray_value_t
text_value(const char *text)
{
    ngx_http_gray_value_t  value;

    memset(&value, 0, sizeof(ngx_http_gray_value_t));
    value.text = string(text);

    return value;
}


static ngx_http_gray_value_t
number_value(double number)
{
    ngx_http_gray_value_t  value;

    memset(&value, 0, sizeof(ngx_http_gray_value_t));
    value.number = number;
    value.numeric = NGX_HTTP_GRAY_IS;

    return value;
}


static void
test_once(void **state)
{
    u_char                 text[] = "10.0.0.1";
    ngx_str_t             *s;
    ngx_http_gray_value_t  value;

    (void) state;

    value = text_value((char *) text);

    assert_true(ngx_http_gray_value_hash(&value) == XXH3_64bits(text, 8));
    assert_int_equal(ngx_http_gray_value_number(&value), NGX_DECLINED);
    assert_int_equal(ngx_http_gray_value_address(&value), NGX_OK);
    assert_int_equal(value.family, AF_INET);
    assert_true(value.addr == 0x0a000001);

    /* what is known is not looked for again */

    memcpy(text, "87654321", 8);

    assert_true(ngx_http_gray_value_hash(&value) == XXH3_64bits("10.0.0.1", 8));
    assert_int_equal(ngx_http_gray_value_number(&value), NGX_DECLINED);
    assert_int_equal(ngx_http_gray_value_address(&value), NGX_OK);
    assert_true(value.addr == 0x0a000001);

    s = ngx_http_gray_value_string(&value);
    assert_ptr_equal(s, &value.text);
    assert_ptr_equal(s->data, text);

    value = text_value("5.50");

    assert_int_equal(ngx_http_gray_value_number(&value), NGX_OK);
    assert_true(value.number == 5.5);
    assert_int_equal(ngx_http_gray_value_address(&value), NGX_DECLINED);
    assert_int_equal(ngx_http_gray_value_address(&value), NGX_DECLINED);
    assert_int_equal(ngx_http_gray_value_number(&value), NGX_OK);

    /* an address that is known need not be that of the text */

    value = text_value("unix:");
    value.family = AF_INET6;
    value.addr = 1;

    assert_int_equal(ngx_http_gray_value_address(&value), NGX_OK);
    assert_int_equal(value.family, AF_INET6);
    assert_true(value.addr == 1);

    value = text_value("");

    assert_int_equal(ngx_http_gray_value_number(&value), NGX_DECLINED);
    assert_int_equal(ngx_http_gray_value_address(&value), NGX_DECLINED);
    assert_true(ngx_http_gray_value_hash(&value) == XXH3_64bits("", 0));

    memset(&value, 0, sizeof(ngx_http_gray_value_t));

    assert_null(ngx_http_gray_value_string(&value));
    assert_int_equal(ngx_http_gray_value_number(&value), NGX_DECLINED);
    assert_int_equal(ngx_http_gray_value_address(&value), NGX_DECLINED);
}


static void
test_numbers(void **state)
{
    ngx_str_t              *s;
    ngx_uint_t              i;
    ngx_http_gray_value_t   value;

    static const struct {
        double       number;
        const char  *text;
    } tests[] = {
        { 0, "0" },
        { -0.0, "0" },
        { 7, "7" },
        { -7, "-7" },
        { 4294967296.0, "4294967296" },
        { 9007199254740991.0, "9007199254740991" },
        { 9007199254740992.0, "9007199254740992" },
        { -9007199254740992.0, "-9007199254740992" },
        { 9007199254740994.0, NULL },
        { -9007199254740994.0, NULL },
        { 1e300, NULL },
        { INFINITY, NULL },
        { -INFINITY, NULL },
        { NAN, NULL },
        { 0.5, NULL },
        { -1e-300, NULL },
        { 4503599627370495.5, NULL }
    };

    (void) state;

    for (i = 0; i < ITEMS(tests); i++) {
        value = number_value(tests[i].number);
        s = ngx_http_gray_value_string(&value);

        assert_int_equal(ngx_http_gray_value_number(&value), NGX_OK);

        if (tests[i].text == NULL) {
            assert_null(s);
            assert_null(ngx_http_gray_value_string(&value));
            continue;
        }

        assert_non_null(s);
        assert_int_equal(s->len, strlen(tests[i].text));
        assert_memory_equal(s->data, tests[i].text, s->len);
        assert_true(ngx_http_gray_value_hash(&value)
                    == XXH3_64bits(tests[i].text, s->len));
        assert_ptr_equal(ngx_http_gray_value_string(&value), s);
        assert_int_equal(ngx_http_gray_value_address(&value), NGX_DECLINED);
        assert_true(value.number == tests[i].number);
    }
}


static void
test_decimals(void **state)
{
    double      number;
    ngx_str_t   s;
    ngx_uint_t  i;

    static const char *refused[] = {
        "", "-", ".", "-.", ".5", "5.", "-.5", "5.-", "+5", " 5", "5 ", "5e0",
        "0x5", "inf", "nan", "5.0.0", "--5", "5,0", "1_0",
        "1000000000000000000000000000000000000000000000000000000000000000"
    };

    static const char *accepted[] = {
        "0", "-0", "00", "5", "-5", "5.0", "005.500", "0.1", "0.3",
        "123456789012345", "1234567890123456", "0.123456789012345",
        "0.1234567890123456", "9007199254740993", "4.35", "0.000001",
        "99999999999999999999999999999999999999999999999999999999999999",
        "0.0000000000000000000000000000000000000000000000000000000000001"
    };

    (void) state;

    for (i = 0; i < ITEMS(refused); i++) {
        s = string(refused[i]);

        if (ngx_http_gray_value_decimal(&s, &number) != NGX_DECLINED) {
            fail_msg("\"%s\" is a number", refused[i]);
        }
    }

    s.data = (u_char *) "5\0" "5";
    s.len = 3;
    assert_int_equal(ngx_http_gray_value_decimal(&s, &number), NGX_DECLINED);

    for (i = 0; i < ITEMS(accepted); i++) {
        s = string(accepted[i]);

        assert_int_equal(ngx_http_gray_value_decimal(&s, &number), NGX_OK);

        if (number != strtod(accepted[i], NULL)) {
            fail_msg("\"%s\" is %.17g", accepted[i], number);
        }
    }
}


/* the family that inet_pton() takes a text for, which may hold a NUL */

static ngx_int_t
reference(const char *text, size_t len, ngx_http_gray_addr_t *addr)
{
    char                  copy[64];
    u_char                bytes[16];
    ngx_int_t             family;
    ngx_uint_t            i;
    ngx_http_gray_addr_t  a;

    if (len >= sizeof(copy) || memchr(text, '\0', len)) {
        return NGX_ERROR;
    }

    memcpy(copy, text, len);
    copy[len] = '\0';

    if (inet_pton(AF_INET, copy, bytes) == 1) {
        *addr = (uint32_t) bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8
                | bytes[3];
        return AF_INET;
    }

    if (inet_pton(AF_INET6, copy, bytes) != 1) {
        return NGX_ERROR;
    }

    for (i = 0, a = 0; i < 16; i++) {
        a = a << 8 | bytes[i];
    }

    family = (a >> 32 == 0xffff) ? AF_INET : AF_INET6;
    *addr = (family == AF_INET) ? (uint32_t) a : a;

    return family;
}


static ngx_int_t
compare(const char *text, size_t len)
{
    u_char                *copy;
    ngx_str_t              s;
    ngx_int_t              family, expected;
    ngx_http_gray_addr_t   addr, a;

    addr = 0;
    a = 0;

    /* of the exact size, so that a read behind the end is seen */

    copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);

    s.data = copy;
    s.len = len;

    expected = reference(text, len, &a);
    family = ngx_http_gray_value_inet(&s, &addr);

    free(copy);

    if (family != expected || addr != a) {
        fail_msg("\"%.*s\" (%lu): %ld, must be %ld", (int) len, text,
                 (unsigned long) len, (long) family, (long) expected);
    }

    return family;
}


static void
test_addresses(void **state)
{
    ngx_uint_t  i;

    static const char *texts[] = {
        "", ".", "...", "0.0.0.0", "255.255.255.255", "256.1.1.1",
        "1.256.1.1", "1.1.1.256", "1.1.1.1.", ".1.1.1.1", "1.1.1", "1.1.1.",
        "1.1.1.1.1", "01.1.1.1", "1.1.1.01", "00.0.0.0", "0.0.0.00",
        "1..1.1", "1.1.1.1 ", " 1.1.1.1", "1.1.1.1\n", "1.1.1.+1", "1.1.1.-1",
        "1.1.1.a", "0x1.1.1.1", "1.1.1.1000", "1.1.1.99999999999", "1,1,1,1",
        "4294967295", "1.1.1.1/32", "1.1.1.1:80", "\xff.1.1.1", "::", "::1",
        ":::", "1::2::3", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7", "::ffff:1.2.3.4",
        "::1.2.3.4", "::ffff:1.2.3", "::ffff:01.2.3.4", "::ffff:0102:0304",
        "::FFFF:102:304", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4",
        "fe80::1%eth0", "[::1]", "12345::", "::g", "2001:db8::",
        "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
        "0000:0000:0000:0000:0000:ffff:255.255.255.255",
        "0000:0000:0000:0000:0000:ffff:255.255.255.2550"
    };

    (void) state;

    for (i = 0; i < ITEMS(texts); i++) {
        (void) compare(texts[i], strlen(texts[i]));
    }

    assert_int_equal(compare("1.2.3.4\0", 8), NGX_ERROR);
    assert_int_equal(compare("1.2.3\0.4", 8), NGX_ERROR);
    assert_int_equal(compare("::1\0", 4), NGX_ERROR);
}


/* texts that are nearly addresses, of the characters that addresses have */

static void
test_addresses_random(void **state)
{
    char        text[64];
    size_t      len;
    ngx_int_t   family;
    ngx_uint_t  i, k, n, ipv4, ipv6, none;

    (void) state;

    seed = 1;
    ipv4 = 0;
    ipv6 = 0;
    none = 0;

    for (i = 0; i < 400000; i++) {

        if (i % 2) {
            len = sprintf(text, "%u.%u.%u.%u", (unsigned) (draw(&seed) % 270),
                          (unsigned) (draw(&seed) % 256),
                          (unsigned) (draw(&seed) % 20),
                          (unsigned) (draw(&seed) % 256));

        } else {
            len = 0;
            n = 1 + draw(&seed) % 8;

            for (k = 0; k < n; k++) {
                len += sprintf(text + len, "%s%x", k ? ":" : "",
                               (unsigned) (draw(&seed) >> (48
                                                     + draw(&seed) % 16)));
            }

            if (n < 8) {
                len += sprintf(text + len, "::");
            }
        }

        /* every other one is changed in a place */

        if (draw(&seed) % 2) {
            text[draw(&seed) % len] = "0123456789abcF:.% -/"[draw(&seed) % 20];
        }

        if (draw(&seed) % 4 == 0) {
            len -= draw(&seed) % 2 ? 1 : 0;
        }

        family = compare(text, len);

        ipv4 += (family == AF_INET);
        ipv6 += (family == AF_INET6);
        none += (family == NGX_ERROR);
    }

    assert_true(ipv4 > 50000);
    assert_true(ipv6 > 50000);
    assert_true(none > 50000);
}


/* all texts of up to 7 characters, of those that decide */

static void
test_addresses_short(void **state)
{
    char        text[8];
    size_t      len, j;
    ngx_uint_t  i, k, n, accepted;

    (void) state;

    accepted = 0;

    for (len = 0, n = 1; len <= 7; len++, n *= 5) {

        for (i = 0; i < n; i++) {

            for (j = 0, k = i; j < len; j++, k /= 5) {
                text[j] = "012.:"[k % 5];
            }

            accepted += (compare(text, len) != NGX_ERROR);
        }
    }

    assert_true(accepted > 100);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_decimals),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_addresses_random),
        cmocka_unit_test(test_addresses_short)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
