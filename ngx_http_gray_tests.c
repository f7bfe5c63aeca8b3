
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Tests: the operators of a document, from their operands in JSON to a truth.
 *
 * A test is an operator with its operand in the form in which it is quickest
 * to hold a value against: strings in a hash table (in lower case, where case
 * does not matter), networks as sorted ranges of addresses without overlap,
 * patterns compiled by PCRE2.  All of it lives in the pool of the rule set;
 * what PCRE2 holds is freed by the pool's cleanups.
 *
 * A test holds, does not hold, or cannot be evaluated (NGX_ERROR): the value
 * is no number, no address, or makes a pattern reach its match limit.  What
 * is absent or empty holds no test but "exists": false; "ne" and "not_in"
 * are the exact negations of "eq" and "in".
 *
 * An operator is a row of ngx_http_gray_operators[]: its name, how its operand
 * is read, how it is matched.  Matching allocates nothing and takes no lock.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#define PCRE2_CODE_UNIT_WIDTH  8
#include <pcre2.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ngx_http_gray_tests.h"


/*
 * What a pattern may cost.  The match limit of PCRE2 is counted anew at each
 * character that a match may begin with, so it bounds nothing.  Instead, each
 * item of a pattern has a callout, and a match may make so many of them: less
 * than a millisecond for the worst patterns known, with the JIT compiler
 * of PCRE2 as with its interpreter.
 */
#define NGX_HTTP_GRAY_MATCH_STEPS     20000
#define NGX_HTTP_GRAY_MATCH_HEAP      1024      /* kilobytes */
#define NGX_HTTP_GRAY_PATTERN_SIZE    65536     /* bytes, compiled */
#define NGX_HTTP_GRAY_PATTERN_GROUPS  100
#define NGX_HTTP_GRAY_PATTERNS        256       /* of a document */

/* sets of more strings than this are hashed */
#define NGX_HTTP_GRAY_FEW          4


typedef ngx_int_t (*ngx_http_gray_test_pt)(ngx_http_gray_test_t *test,
    ngx_str_t *value);


typedef struct {
    ngx_str_t                   *elts;
    ngx_uint_t                   n;
    size_t                       max;        /* the longest, in bytes */

    uint32_t                    *table;      /* index + 1; NULL if few */
    uint32_t                     mask;

    u_char                      *lower;      /* room for "max", or NULL */
} ngx_http_gray_strings_t;


typedef struct {
    double                      *elts;
    ngx_uint_t                   n;
} ngx_http_gray_numbers_t;


/* pools align to a word only */

typedef unsigned __int128  ngx_http_gray_addr_t __attribute__((aligned(8)));

typedef struct {
    ngx_http_gray_addr_t         first;
    ngx_http_gray_addr_t         last;
} ngx_http_gray_range_t;

typedef struct {
    ngx_http_gray_range_t       *elts;
    ngx_uint_t                   n;
} ngx_http_gray_ranges_t;


typedef struct {
    pcre2_code                  *code;
    pcre2_match_data            *data;
} ngx_http_gray_pattern_t;


/* what is left for a match, and where its last callout was */

typedef struct {
    ngx_int_t                    left;
    size_t                       position;
} ngx_http_gray_budget_t;


struct ngx_http_gray_test_s {
    ngx_http_gray_test_pt        match;
    ngx_uint_t                   negate;     /* unsigned  negate:1; */
    ngx_uint_t                   ignore_case;

    ngx_http_gray_strings_t      strings;
    ngx_http_gray_numbers_t      numbers;
    ngx_http_gray_ranges_t       v4;
    ngx_http_gray_ranges_t       v6;
    ngx_http_gray_pattern_t     *patterns;
    ngx_uint_t                   npatterns;
    pcre2_match_context         *context;

    ngx_http_gray_test_t        *next;
};


typedef ngx_int_t (*ngx_http_gray_operand_pt)(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_http_gray_test_t *test);

typedef struct {
    const char                  *name;
    ngx_http_gray_operand_pt     operand;
    ngx_http_gray_test_pt        match;
    ngx_uint_t                   negate;
    ngx_uint_t                   cased;      /* takes "ignore_case" */
} ngx_http_gray_operator_t;


static ngx_int_t ngx_http_gray_test_equal(ngx_http_gray_test_t *test,
    ngx_str_t *value);
static ngx_int_t ngx_http_gray_test_prefix(ngx_http_gray_test_t *test,
    ngx_str_t *value);
static ngx_int_t ngx_http_gray_test_suffix(ngx_http_gray_test_t *test,
    ngx_str_t *value);
static ngx_int_t ngx_http_gray_test_contains(ngx_http_gray_test_t *test,
    ngx_str_t *value);
static ngx_int_t ngx_http_gray_test_regex(ngx_http_gray_test_t *test,
    ngx_str_t *value);
static int ngx_http_gray_test_callout(pcre2_callout_block *block, void *data);
static ngx_int_t ngx_http_gray_test_cidr(ngx_http_gray_test_t *test,
    ngx_str_t *value);
static ngx_int_t ngx_http_gray_test_lt(ngx_http_gray_test_t *test,
    ngx_str_t *value);
static ngx_int_t ngx_http_gray_test_lte(ngx_http_gray_test_t *test,
    ngx_str_t *value);
static ngx_int_t ngx_http_gray_test_gt(ngx_http_gray_test_t *test,
    ngx_str_t *value);
static ngx_int_t ngx_http_gray_test_gte(ngx_http_gray_test_t *test,
    ngx_str_t *value);
static ngx_int_t ngx_http_gray_test_exists(ngx_http_gray_test_t *test,
    ngx_str_t *value);
static ngx_int_t ngx_http_gray_test_decimal(ngx_str_t *value, double *number);
static ngx_int_t ngx_http_gray_test_address(ngx_str_t *value,
    ngx_http_gray_addr_t *addr);
static ngx_http_gray_operator_t *ngx_http_gray_tests_find(const char *name);
static ngx_http_gray_test_t *ngx_http_gray_tests_object(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *object);
static ngx_http_gray_test_t *ngx_http_gray_tests_one(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_operator_t *op, ngx_uint_t ignore_case,
    const ngx_http_gray_json_t *operand);
static ngx_int_t ngx_http_gray_operand_scalar(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_http_gray_test_t *test);
static ngx_int_t ngx_http_gray_operand_scalars(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_http_gray_test_t *test);
static ngx_int_t ngx_http_gray_operand_strings(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_http_gray_test_t *test);
static ngx_int_t ngx_http_gray_operand_values(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *first, ngx_uint_t n, ngx_uint_t numbers,
    ngx_http_gray_test_t *test);
static ngx_int_t ngx_http_gray_operand_hash(ngx_http_gray_tests_compile_t *cp,
    ngx_http_gray_test_t *test);
static ngx_int_t ngx_http_gray_operand_patterns(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_http_gray_test_t *test);
static ngx_int_t ngx_http_gray_operand_pattern(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    ngx_str_t *text, ngx_http_gray_test_t *test);
static ngx_int_t ngx_http_gray_operand_networks(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_http_gray_test_t *test);
static ngx_int_t ngx_http_gray_operand_network(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    ngx_str_t *text, ngx_http_gray_test_t *test);
static void ngx_http_gray_operand_merge(ngx_http_gray_ranges_t *ranges);
static int ngx_libc_cdecl ngx_http_gray_operand_cmp(const void *one,
    const void *two);
static ngx_int_t ngx_http_gray_operand_number(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_http_gray_test_t *test);
static ngx_int_t ngx_http_gray_operand_boolean(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_http_gray_test_t *test);
static const ngx_http_gray_json_t *ngx_http_gray_operand_list(
    ngx_http_gray_tests_compile_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *operand, ngx_uint_t *n);
static void ngx_http_gray_operand_free_code(void *data);
static void ngx_http_gray_operand_free_data(void *data);
static void ngx_http_gray_operand_free_context(void *data);


static ngx_http_gray_operator_t  ngx_http_gray_operators[] = {

    { "eq", ngx_http_gray_operand_scalar, ngx_http_gray_test_equal, 0, 1 },
    { "ne", ngx_http_gray_operand_scalar, ngx_http_gray_test_equal, 1, 1 },
    { "in", ngx_http_gray_operand_scalars, ngx_http_gray_test_equal, 0, 1 },
    { "not_in", ngx_http_gray_operand_scalars, ngx_http_gray_test_equal,
      1, 1 },
    { "prefix", ngx_http_gray_operand_strings, ngx_http_gray_test_prefix,
      0, 1 },
    { "suffix", ngx_http_gray_operand_strings, ngx_http_gray_test_suffix,
      0, 1 },
    { "contains", ngx_http_gray_operand_strings, ngx_http_gray_test_contains,
      0, 1 },
    { "regex", ngx_http_gray_operand_patterns, ngx_http_gray_test_regex,
      0, 1 },
    { "cidr", ngx_http_gray_operand_networks, ngx_http_gray_test_cidr, 0, 0 },
    { "lt", ngx_http_gray_operand_number, ngx_http_gray_test_lt, 0, 0 },
    { "lte", ngx_http_gray_operand_number, ngx_http_gray_test_lte, 0, 0 },
    { "gt", ngx_http_gray_operand_number, ngx_http_gray_test_gt, 0, 0 },
    { "gte", ngx_http_gray_operand_number, ngx_http_gray_test_gte, 0, 0 },
    { "exists", ngx_http_gray_operand_boolean, ngx_http_gray_test_exists,
      0, 0 },

    { NULL, NULL, NULL, 0, 0 }
};


ngx_int_t
ngx_http_gray_tests_hold(ngx_http_gray_test_t *test, ngx_str_t *value)
{
    ngx_int_t  rc;

    for ( /* void */ ; test; test = test->next) {

        if (value == NULL && test->match != ngx_http_gray_test_exists) {
            rc = 0;

        } else {
            rc = test->match(test, value);

            if (rc == NGX_ERROR) {
                return NGX_ERROR;
            }
        }

        if (rc == (ngx_int_t) test->negate) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_gray_test_equal(ngx_http_gray_test_t *test, ngx_str_t *value)
{
    u_char                   *data;
    double                    number;
    uint32_t                  i;
    ngx_str_t                *s;
    ngx_uint_t                k;
    ngx_http_gray_strings_t  *set;

    set = &test->strings;

    if (value->len <= set->max) {

        data = value->data;

        if (test->ignore_case) {
            ngx_strlow(set->lower, data, value->len);
            data = set->lower;
        }

        if (set->table) {
            i = (uint32_t) XXH64(data, value->len, 0) & set->mask;

            while (set->table[i]) {
                s = &set->elts[set->table[i] - 1];

                if (s->len == value->len
                    && ngx_memcmp(s->data, data, s->len) == 0)
                {
                    return 1;
                }

                i = (i + 1) & set->mask;
            }

        } else {
            for (k = 0; k < set->n; k++) {
                s = &set->elts[k];

                if (s->len == value->len
                    && ngx_memcmp(s->data, data, s->len) == 0)
                {
                    return 1;
                }
            }
        }
    }

    if (test->numbers.n == 0) {
        return 0;
    }

    if (ngx_http_gray_test_decimal(value, &number) != NGX_OK) {
        return NGX_ERROR;
    }

    for (k = 0; k < test->numbers.n; k++) {
        if (test->numbers.elts[k] == number) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_gray_test_prefix(ngx_http_gray_test_t *test, ngx_str_t *value)
{
    ngx_str_t   *s;
    ngx_uint_t   i;

    for (i = 0; i < test->strings.n; i++) {
        s = &test->strings.elts[i];

        if (s->len > value->len) {
            continue;
        }

        if (test->ignore_case
            ? ngx_strncasecmp(s->data, value->data, s->len) == 0
            : ngx_memcmp(s->data, value->data, s->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_gray_test_suffix(ngx_http_gray_test_t *test, ngx_str_t *value)
{
    u_char      *end;
    ngx_str_t   *s;
    ngx_uint_t   i;

    for (i = 0; i < test->strings.n; i++) {
        s = &test->strings.elts[i];

        if (s->len > value->len) {
            continue;
        }

        end = value->data + value->len - s->len;

        if (test->ignore_case ? ngx_strncasecmp(s->data, end, s->len) == 0
                              : ngx_memcmp(s->data, end, s->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_gray_test_contains(ngx_http_gray_test_t *test, ngx_str_t *value)
{
    u_char      *p, *last;
    ngx_str_t   *s;
    ngx_uint_t   i;

    for (i = 0; i < test->strings.n; i++) {
        s = &test->strings.elts[i];

        if (s->len > value->len) {
            continue;
        }

        if (!test->ignore_case) {
            if (memmem(value->data, value->len, s->data, s->len)) {
                return 1;
            }

            continue;
        }

        last = value->data + value->len - s->len;

        for (p = value->data; p <= last; p++) {
            if (ngx_strncasecmp(s->data, p, s->len) == 0) {
                return 1;
            }
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_gray_test_regex(ngx_http_gray_test_t *test, ngx_str_t *value)
{
    int                       rc;
    ngx_uint_t                i;
    ngx_http_gray_budget_t    budget;
    ngx_http_gray_pattern_t  *pattern;

    for (i = 0; i < test->npatterns; i++) {
        pattern = &test->patterns[i];

        budget.left = NGX_HTTP_GRAY_MATCH_STEPS;
        budget.position = 0;

        (void) pcre2_set_callout(test->context, ngx_http_gray_test_callout,
                                 &budget);

        rc = pcre2_match(pattern->code, value->data, value->len, 0, 0,
                         pattern->data, test->context);

        if (rc >= 0) {
            return 1;
        }

        if (rc != PCRE2_ERROR_NOMATCH) {
            return NGX_ERROR;
        }
    }

    return 0;
}


/* called before each item of a pattern; what was skipped at once is cheap */

static int
ngx_http_gray_test_callout(pcre2_callout_block *block, void *data)
{
    ssize_t                  skipped;
    ngx_http_gray_budget_t  *budget = data;

    skipped = (ssize_t) (block->current_position - budget->position);

    budget->left -= 1 + (ngx_abs(skipped) >> 4);
    budget->position = block->current_position;

    return budget->left < 0 ? PCRE2_ERROR_MATCHLIMIT : 0;
}


static ngx_int_t
ngx_http_gray_test_cidr(ngx_http_gray_test_t *test, ngx_str_t *value)
{
    ngx_int_t                family;
    ngx_uint_t               low, high, middle;
    ngx_http_gray_addr_t     addr;
    ngx_http_gray_ranges_t  *ranges;

    family = ngx_http_gray_test_address(value, &addr);

    if (family == NGX_ERROR) {
        return NGX_ERROR;
    }

    ranges = (family == AF_INET) ? &test->v4 : &test->v6;

    low = 0;
    high = ranges->n;

    while (low < high) {
        middle = (low + high) / 2;

        if (addr < ranges->elts[middle].first) {
            high = middle;

        } else if (addr > ranges->elts[middle].last) {
            low = middle + 1;

        } else {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_gray_test_lt(ngx_http_gray_test_t *test, ngx_str_t *value)
{
    double  number;

    if (ngx_http_gray_test_decimal(value, &number) != NGX_OK) {
        return NGX_ERROR;
    }

    return number < test->numbers.elts[0];
}


static ngx_int_t
ngx_http_gray_test_lte(ngx_http_gray_test_t *test, ngx_str_t *value)
{
    double  number;

    if (ngx_http_gray_test_decimal(value, &number) != NGX_OK) {
        return NGX_ERROR;
    }

    return number <= test->numbers.elts[0];
}


static ngx_int_t
ngx_http_gray_test_gt(ngx_http_gray_test_t *test, ngx_str_t *value)
{
    double  number;

    if (ngx_http_gray_test_decimal(value, &number) != NGX_OK) {
        return NGX_ERROR;
    }

    return number > test->numbers.elts[0];
}


static ngx_int_t
ngx_http_gray_test_gte(ngx_http_gray_test_t *test, ngx_str_t *value)
{
    double  number;

    if (ngx_http_gray_test_decimal(value, &number) != NGX_OK) {
        return NGX_ERROR;
    }

    return number >= test->numbers.elts[0];
}


static ngx_int_t
ngx_http_gray_test_exists(ngx_http_gray_test_t *test, ngx_str_t *value)
{
    (void) test;

    return value != NULL;
}


/*
 * A decimal number: an optional minus, digits, optionally a point and digits.
 * Up to 15 digits in all, mantissa and power of ten are exact and so is their
 * quotient's rounding; the rest is strtod()'s.
 */

static ngx_int_t
ngx_http_gray_test_decimal(ngx_str_t *value, double *number)
{
    u_char         *p, *last, buf[64];
    int64_t         mantissa;
    ngx_uint_t      digits, fraction, point, negative;

    static double   power[] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8,
                                1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };

    if (value->len >= sizeof(buf)) {
        return NGX_DECLINED;
    }

    p = value->data;
    last = p + value->len;

    negative = (p < last && *p == '-');
    p += negative;

    mantissa = 0;
    digits = 0;
    fraction = 0;
    point = 0;

    for ( /* void */ ; p < last; p++) {

        if (*p == '.' && digits && !point) {
            point = 1;
            continue;
        }

        if (*p < '0' || *p > '9') {
            return NGX_DECLINED;
        }

        if (++digits <= 15) {
            mantissa = mantissa * 10 + (*p - '0');
        }

        fraction += point;
    }

    if (digits == 0 || (point && fraction == 0)) {
        return NGX_DECLINED;
    }

    if (digits <= 15) {
        *number = (double) mantissa / power[fraction];

        if (negative) {
            *number = - *number;
        }

        return NGX_OK;
    }

    ngx_memcpy(buf, value->data, value->len);
    buf[value->len] = '\0';

    *number = strtod((char *) buf, NULL);

    return NGX_OK;
}


/* the family, with IPv4-mapped IPv6 addresses as IPv4, or NGX_ERROR */

static ngx_int_t
ngx_http_gray_test_address(ngx_str_t *value, ngx_http_gray_addr_t *addr)
{
    int                   family;
    char                  text[INET6_ADDRSTRLEN];
    u_char                bytes[16];
    ngx_uint_t            i, n;
    ngx_http_gray_addr_t  a;

    if (value->len >= sizeof(text)) {
        return NGX_ERROR;
    }

    ngx_memcpy(text, value->data, value->len);
    text[value->len] = '\0';

    if (ngx_strlen(text) != value->len) {
        return NGX_ERROR;
    }

    family = ngx_strchr(text, ':') ? AF_INET6 : AF_INET;
    n = (family == AF_INET6) ? 16 : 4;

    if (inet_pton(family, text, bytes) != 1) {
        return NGX_ERROR;
    }

    a = 0;

    for (i = 0; i < n; i++) {
        a = a << 8 | bytes[i];
    }

    if (family == AF_INET6 && a >> 32 == 0xffff) {
        family = AF_INET;
        a &= 0xffffffff;
    }

    *addr = a;

    return family;
}


ngx_http_gray_test_t *
ngx_http_gray_tests_compile(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *json)
{
    switch (ngx_http_gray_json_type(json)) {

    case NGX_HTTP_GRAY_JSON_OBJECT:
        return ngx_http_gray_tests_object(cp, path, json);

    case NGX_HTTP_GRAY_JSON_ARRAY:
        return ngx_http_gray_tests_one(cp, path,
                                       ngx_http_gray_tests_find("in"), 0,
                                       json);

    default:
        return ngx_http_gray_tests_one(cp, path,
                                       ngx_http_gray_tests_find("eq"), 0,
                                       json);
    }
}


static ngx_http_gray_operator_t *
ngx_http_gray_tests_find(const char *name)
{
    ngx_http_gray_operator_t  *op;

    for (op = ngx_http_gray_operators; op->name; op++) {
        if (ngx_strcmp(op->name, name) == 0) {
            return op;
        }
    }

    return NULL;
}


static ngx_http_gray_test_t *
ngx_http_gray_tests_object(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *object)
{
    ngx_uint_t                 ignore_case, cased, bad;
    ngx_http_gray_test_t      *tests, *test, **last;
    ngx_http_gray_json_t      *member;
    ngx_http_gray_path_t       frame;
    ngx_http_gray_operator_t  *op;

    frame.parent = path;

    tests = NULL;
    last = &tests;
    cased = 0;
    bad = 0;

    member = ngx_http_gray_json_get(object, "ignore_case");
    ignore_case = member && ngx_http_gray_json_true(member);

    for (member = ngx_http_gray_json_first(object);
         member;
         member = ngx_http_gray_json_next(member))
    {
        frame.key = ngx_http_gray_json_key(member);

        if (ngx_strcmp(frame.key, "ignore_case") == 0) {

            if (ngx_http_gray_json_type(member)
                != NGX_HTTP_GRAY_JSON_BOOLEAN)
            {
                bad = 1;

                ngx_http_gray_json_fault(cp->faults, &frame,
                                         "must be true or false");
            }

            continue;
        }

        op = ngx_http_gray_tests_find(frame.key);

        if (op == NULL) {
            bad = 1;

            ngx_http_gray_json_fault(cp->faults, &frame,
                      "unknown operator; there are eq, ne, in, not_in, "
                      "prefix, suffix, contains, regex, cidr, lt, lte, "
                      "gt, gte, exists");

            continue;
        }

        cased |= op->cased;

        test = ngx_http_gray_tests_one(cp, &frame, op, ignore_case, member);

        if (test == NULL) {
            bad = 1;
            continue;
        }

        *last = test;
        last = &test->next;
    }

    if (bad) {
        return NULL;
    }

    if (tests == NULL) {
        ngx_http_gray_json_fault(cp->faults, path,
                                 "must have at least one operator");

        return NULL;
    }

    if (ignore_case && !cased) {
        frame.key = "ignore_case";
        ngx_http_gray_json_fault(cp->faults, &frame,
                      "goes with eq, ne, in, not_in, prefix, suffix, "
                      "contains and regex");

        return NULL;
    }

    return tests;
}


static ngx_http_gray_test_t *
ngx_http_gray_tests_one(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_operator_t *op,
    ngx_uint_t ignore_case, const ngx_http_gray_json_t *operand)
{
    ngx_http_gray_test_t  *test;

    test = ngx_http_gray_tests_alloc(cp, sizeof(ngx_http_gray_test_t));
    if (test == NULL) {
        return NULL;
    }

    test->match = op->match;
    test->negate = op->negate;
    test->ignore_case = ignore_case && op->cased;

    if (op->operand(cp, path, operand, test) != NGX_OK) {
        return NULL;
    }

    return test;
}


void *
ngx_http_gray_tests_alloc(ngx_http_gray_tests_compile_t *cp, size_t size)
{
    void  *p;

    p = ngx_pcalloc(cp->pool, size ? size : 1);

    if (p == NULL) {
        cp->failed = 1;
    }

    return p;
}


ngx_int_t
ngx_http_gray_tests_copy(ngx_http_gray_tests_compile_t *cp, ngx_str_t *dst,
    ngx_str_t src)
{
    dst->data = ngx_http_gray_tests_alloc(cp, src.len + 1);
    if (dst->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(dst->data, src.data, src.len);
    dst->len = src.len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_operand_scalar(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *operand,
    ngx_http_gray_test_t *test)
{
    if (ngx_http_gray_json_type(operand) == NGX_HTTP_GRAY_JSON_STRING
        || ngx_http_gray_json_type(operand) == NGX_HTTP_GRAY_JSON_NUMBER)
    {
        return ngx_http_gray_operand_values(cp, path, operand, 1, 1, test);
    }

    ngx_http_gray_json_fault(cp->faults, path,
                             "must be a string or a number");

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_gray_operand_scalars(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *operand,
    ngx_http_gray_test_t *test)
{
    ngx_uint_t  n;

    n = ngx_http_gray_json_count(operand);

    if (ngx_http_gray_json_type(operand) == NGX_HTTP_GRAY_JSON_ARRAY && n) {
        return ngx_http_gray_operand_values(cp, path,
                                            ngx_http_gray_json_first(operand),
                                            n, 1, test);
    }

    ngx_http_gray_json_fault(cp->faults, path,
                             "must be an array of strings and numbers, "
                             "not empty");

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_gray_operand_strings(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *operand,
    ngx_http_gray_test_t *test)
{
    ngx_uint_t                   n;
    const ngx_http_gray_json_t  *first;

    first = ngx_http_gray_operand_list(cp, path, operand, &n);

    if (first == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_gray_operand_values(cp, path, first, n, 0, test);
}


/*
 * "path" is that of the operand: of an item it is one frame longer, where
 * the operand is an array.
 */

static ngx_int_t
ngx_http_gray_operand_values(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *first,
    ngx_uint_t n, ngx_uint_t numbers, ngx_http_gray_test_t *test)
{
    ngx_str_t                    text, *s;
    ngx_int_t                    rc;
    const ngx_http_gray_path_t  *place;
    ngx_http_gray_path_t         frame;
    ngx_http_gray_json_type_e    type;
    const ngx_http_gray_json_t  *item;

    test->strings.elts = ngx_http_gray_tests_alloc(cp, n * sizeof(ngx_str_t));
    test->numbers.elts = ngx_http_gray_tests_alloc(cp, n * sizeof(double));

    if (test->strings.elts == NULL || test->numbers.elts == NULL) {
        return NGX_ERROR;
    }

    frame.parent = path;
    frame.key = NULL;
    frame.index = 0;

    /* an item of an array is no member: it has no name */

    place = ngx_http_gray_json_key(first) ? path : &frame;
    rc = NGX_OK;

    for (item = first; n; item = ngx_http_gray_json_next(item), n--) {

        type = ngx_http_gray_json_type(item);
        text = ngx_http_gray_json_text(item);

        if (type == NGX_HTTP_GRAY_JSON_NUMBER && numbers) {
            test->numbers.elts[test->numbers.n++] =
                                               ngx_http_gray_json_value(item);

        } else if (type == NGX_HTTP_GRAY_JSON_STRING && text.len) {

            s = &test->strings.elts[test->strings.n++];

            if (ngx_http_gray_tests_copy(cp, s, text) != NGX_OK) {
                return NGX_ERROR;
            }

            if (test->ignore_case) {
                ngx_strlow(s->data, s->data, s->len);
            }

            test->strings.max = ngx_max(test->strings.max, s->len);

        } else {
            rc = NGX_ERROR;

            ngx_http_gray_json_fault(cp->faults, place,
                type == NGX_HTTP_GRAY_JSON_STRING
                ? "must not be empty; absent or empty is "
                  "{\"exists\": false}"
                : numbers ? "must be a string or a number"
                          : "must be a string");
        }

        frame.index++;
    }

    if (rc != NGX_OK || test->match != ngx_http_gray_test_equal) {
        return rc;
    }

    return ngx_http_gray_operand_hash(cp, test);
}


static ngx_int_t
ngx_http_gray_operand_hash(ngx_http_gray_tests_compile_t *cp,
    ngx_http_gray_test_t *test)
{
    uint32_t                  i, size;
    ngx_uint_t                k;
    ngx_http_gray_strings_t  *set;

    set = &test->strings;

    if (test->ignore_case) {
        set->lower = ngx_http_gray_tests_alloc(cp, set->max + 1);
        if (set->lower == NULL) {
            return NGX_ERROR;
        }
    }

    if (set->n <= NGX_HTTP_GRAY_FEW) {
        return NGX_OK;
    }

    for (size = 8; size < 2 * set->n; size *= 2) { /* void */ }

    set->table = ngx_http_gray_tests_alloc(cp, size * sizeof(uint32_t));
    if (set->table == NULL) {
        return NGX_ERROR;
    }

    set->mask = size - 1;

    for (k = 0; k < set->n; k++) {
        i = (uint32_t) XXH64(set->elts[k].data, set->elts[k].len, 0)
            & set->mask;

        while (set->table[i]) {
            i = (i + 1) & set->mask;
        }

        set->table[i] = k + 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_operand_patterns(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *operand,
    ngx_http_gray_test_t *test)
{
    ngx_str_t                    text;
    ngx_int_t                    rc;
    ngx_uint_t                   n;
    ngx_pool_cleanup_t          *cln;
    const ngx_http_gray_path_t  *place;
    ngx_http_gray_path_t         frame;
    const ngx_http_gray_json_t  *item;

    item = ngx_http_gray_operand_list(cp, path, operand, &n);

    if (item == NULL) {
        return NGX_ERROR;
    }

    if (cp->context == NULL) {
        cln = ngx_pool_cleanup_add(cp->pool, 0);
        cp->context = pcre2_match_context_create(NULL);

        if (cp->context && cln) {
            cln->handler = ngx_http_gray_operand_free_context;
            cln->data = cp->context;

        } else {
            pcre2_match_context_free(cp->context);
            cp->context = NULL;
            cp->failed = 1;
            return NGX_ERROR;
        }

        (void) pcre2_set_heap_limit(cp->context, NGX_HTTP_GRAY_MATCH_HEAP);
    }

    test->context = cp->context;
    test->patterns = ngx_http_gray_tests_alloc(cp,
                                        n * sizeof(ngx_http_gray_pattern_t));
    if (test->patterns == NULL) {
        return NGX_ERROR;
    }

    frame.parent = path;
    frame.key = NULL;
    frame.index = 0;

    place = (item == operand) ? path : &frame;
    rc = NGX_OK;

    for ( /* void */ ; n; item = ngx_http_gray_json_next(item), n--) {

        text = ngx_http_gray_json_text(item);

        if (ngx_http_gray_operand_pattern(cp, place, &text, test) != NGX_OK) {
            rc = NGX_ERROR;
        }

        frame.index++;
    }

    return rc;
}


static ngx_int_t
ngx_http_gray_operand_pattern(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, ngx_str_t *text,
    ngx_http_gray_test_t *test)
{
    int                       code;
    u_char                    message[128];
    size_t                    size;
    uint32_t                  groups;
    PCRE2_SIZE                offset;
    ngx_pool_cleanup_t       *cln[2];
    ngx_http_gray_pattern_t  *pattern;

    if (text->len == 0) {
        ngx_http_gray_json_fault(cp->faults, path,
                                 "must be a pattern, a string that is not "
                                 "empty");

        return NGX_ERROR;
    }

    cln[0] = ngx_pool_cleanup_add(cp->pool, 0);
    cln[1] = ngx_pool_cleanup_add(cp->pool, 0);

    if (cln[0] == NULL || cln[1] == NULL) {
        cp->failed = 1;
        return NGX_ERROR;
    }

    pattern = &test->patterns[test->npatterns];

    pattern->code = pcre2_compile(text->data, text->len,
                                  PCRE2_AUTO_CALLOUT
                                  | (test->ignore_case ? PCRE2_CASELESS : 0),
                                  &code, &offset, NULL);

    if (pattern->code == NULL && code == PCRE2_ERROR_HEAP_FAILED) {
        cp->failed = 1;
        return NGX_ERROR;
    }

    if (pattern->code == NULL) {
        if (pcre2_get_error_message(code, message, sizeof(message)) < 0) {
            message[0] = '\0';
        }

        ngx_http_gray_json_fault(cp->faults, path,
                                 "invalid pattern at offset %lu: %s",
                                 (unsigned long) offset, message);

        return NGX_ERROR;
    }

    cln[0]->handler = ngx_http_gray_operand_free_code;
    cln[0]->data = pattern->code;

    (void) pcre2_pattern_info(pattern->code, PCRE2_INFO_SIZE, &size);
    (void) pcre2_pattern_info(pattern->code, PCRE2_INFO_CAPTURECOUNT,
                              &groups);

    if (size > NGX_HTTP_GRAY_PATTERN_SIZE
        || groups > NGX_HTTP_GRAY_PATTERN_GROUPS)
    {
        ngx_http_gray_json_fault(cp->faults, path,
                                 "the pattern is too large, with %lu bytes "
                                 "and %lu groups when compiled; at most %d "
                                 "and %d are taken", (unsigned long) size,
                                 (unsigned long) groups,
                                 NGX_HTTP_GRAY_PATTERN_SIZE,
                                 NGX_HTTP_GRAY_PATTERN_GROUPS);
        return NGX_ERROR;
    }

    /* where there is no JIT, or not for this pattern, it is interpreted */

    if (pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE)
        == PCRE2_ERROR_NOMEMORY)
    {
        cp->failed = 1;
        return NGX_ERROR;
    }

    if (cp->patterns++ == NGX_HTTP_GRAY_PATTERNS) {
        ngx_http_gray_json_fault(cp->faults, path,
                                 "is one pattern too many, a document may "
                                 "have %d", NGX_HTTP_GRAY_PATTERNS);
        return NGX_ERROR;
    }

    pattern->data = pcre2_match_data_create(1, NULL);

    if (pattern->data == NULL) {
        cp->failed = 1;
        return NGX_ERROR;
    }

    cln[1]->handler = ngx_http_gray_operand_free_data;
    cln[1]->data = pattern->data;

    test->npatterns++;

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_operand_networks(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *operand,
    ngx_http_gray_test_t *test)
{
    ngx_str_t                    text;
    ngx_int_t                    rc;
    ngx_uint_t                   n;
    const ngx_http_gray_path_t  *place;
    ngx_http_gray_path_t         frame;
    const ngx_http_gray_json_t  *item;

    item = ngx_http_gray_operand_list(cp, path, operand, &n);

    if (item == NULL) {
        return NGX_ERROR;
    }

    test->v4.elts = ngx_http_gray_tests_alloc(cp,
                                          n * sizeof(ngx_http_gray_range_t));
    test->v6.elts = ngx_http_gray_tests_alloc(cp,
                                          n * sizeof(ngx_http_gray_range_t));

    if (test->v4.elts == NULL || test->v6.elts == NULL) {
        return NGX_ERROR;
    }

    frame.parent = path;
    frame.key = NULL;
    frame.index = 0;

    place = (item == operand) ? path : &frame;
    rc = NGX_OK;

    for ( /* void */ ; n; item = ngx_http_gray_json_next(item), n--) {

        text = ngx_http_gray_json_text(item);

        if (ngx_http_gray_operand_network(cp, place, &text, test) != NGX_OK) {
            rc = NGX_ERROR;
        }

        frame.index++;
    }

    ngx_http_gray_operand_merge(&test->v4);
    ngx_http_gray_operand_merge(&test->v6);

    return rc;
}


static ngx_int_t
ngx_http_gray_operand_network(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, ngx_str_t *text,
    ngx_http_gray_test_t *test)
{
    u_char                   *slash;
    ngx_int_t                 family, bits, width;
    ngx_str_t                 address;
    ngx_http_gray_addr_t      addr, host;
    ngx_http_gray_range_t    *range;
    ngx_http_gray_ranges_t   *ranges;

    address = *text;
    bits = -1;

    slash = text->len ? ngx_strlchr(text->data, text->data + text->len, '/')
                      : NULL;

    if (slash) {
        address.len = slash - text->data;
        bits = ngx_atoi(slash + 1, text->data + text->len - slash - 1);
    }

    family = text->len ? ngx_http_gray_test_address(&address, &addr)
                       : NGX_ERROR;

    /* an IPv4-mapped network counts its bits from the IPv6 address's start */

    if (family == AF_INET && slash && ngx_strlchr(address.data, slash, ':')) {
        bits = (bits < 96) ? -1 : bits - 96;
    }

    width = (family == AF_INET) ? 32 : 128;

    if (family == NGX_ERROR || (slash && (bits < 0 || bits > width))) {
        ngx_http_gray_json_fault(cp->faults, path,
                                 "must be an IPv4 or IPv6 address or "
                                 "network, as \"10.0.0.0/8\" or "
                                 "\"2001:db8::/32\"");

        return NGX_ERROR;
    }

    if (slash == NULL) {
        bits = width;
    }

    host = (bits == 0) ? ~(ngx_http_gray_addr_t) 0
                       : ((ngx_http_gray_addr_t) 1 << (width - bits)) - 1;

    if (family == AF_INET) {
        host &= 0xffffffff;
    }

    if (addr & host) {
        ngx_http_gray_json_fault(cp->faults, path,
                                 "\"%s\" has host bits set behind its "
                                 "first %d bits, which must be zero",
                                 text->data, (int) bits);

        return NGX_ERROR;
    }

    ranges = (family == AF_INET) ? &test->v4 : &test->v6;

    range = &ranges->elts[ranges->n++];
    range->first = addr;
    range->last = addr | host;

    return NGX_OK;
}


/* sorted and without overlap, so that a binary search finds an address */

static void
ngx_http_gray_operand_merge(ngx_http_gray_ranges_t *ranges)
{
    ngx_uint_t              i, n;
    ngx_http_gray_range_t  *range;

    if (ranges->n == 0) {
        return;
    }

    range = ranges->elts;

    ngx_qsort(range, ranges->n, sizeof(ngx_http_gray_range_t),
              ngx_http_gray_operand_cmp);

    for (i = 1, n = 0; i < ranges->n; i++) {

        if (range[i].first <= range[n].last) {
            range[n].last = ngx_max(range[n].last, range[i].last);
            continue;
        }

        range[++n] = range[i];
    }

    ranges->n = n + 1;
}


static int ngx_libc_cdecl
ngx_http_gray_operand_cmp(const void *one, const void *two)
{
    const ngx_http_gray_range_t  *a, *b;

    a = one;
    b = two;

    return (a->first > b->first) - (a->first < b->first);
}


static ngx_int_t
ngx_http_gray_operand_number(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *operand,
    ngx_http_gray_test_t *test)
{
    if (ngx_http_gray_json_type(operand) != NGX_HTTP_GRAY_JSON_NUMBER) {
        ngx_http_gray_json_fault(cp->faults, path, "must be a number");

        return NGX_ERROR;
    }

    return ngx_http_gray_operand_values(cp, path, operand, 1, 1, test);
}


static ngx_int_t
ngx_http_gray_operand_boolean(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *operand,
    ngx_http_gray_test_t *test)
{
    if (ngx_http_gray_json_type(operand) != NGX_HTTP_GRAY_JSON_BOOLEAN) {
        ngx_http_gray_json_fault(cp->faults, path,
                                 "must be true or false");

        return NGX_ERROR;
    }

    test->negate = !ngx_http_gray_json_true(operand);

    return NGX_OK;
}


/* a string, or an array of them: the first and how many, NULL for neither */

static const ngx_http_gray_json_t *
ngx_http_gray_operand_list(ngx_http_gray_tests_compile_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *operand,
    ngx_uint_t *n)
{
    if (ngx_http_gray_json_type(operand) == NGX_HTTP_GRAY_JSON_STRING) {
        *n = 1;
        return operand;
    }

    *n = ngx_http_gray_json_count(operand);

    if (ngx_http_gray_json_type(operand) == NGX_HTTP_GRAY_JSON_ARRAY && *n) {
        return ngx_http_gray_json_first(operand);
    }

    ngx_http_gray_json_fault(cp->faults, path,
                             "must be a string, or an array of strings "
                             "that is not empty");

    return NULL;
}


static void
ngx_http_gray_operand_free_code(void *data)
{
    pcre2_code_free(data);
}


static void
ngx_http_gray_operand_free_data(void *data)
{
    pcre2_match_data_free(data);
}


static void
ngx_http_gray_operand_free_context(void *data)
{
    pcre2_match_context_free(data);
}
