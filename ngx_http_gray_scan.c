
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The grammar of JSON, RFC 8259, over bytes.
 *
 * The problem.  The parser that builds the tree is lenient and says no more
 * of an error than where it was.  A document that means one thing to us and
 * another to the tool that wrote it would move traffic.
 *
 * What is done about it.  Recursive descent, which the bound on depth keeps
 * short, knows line and column, and refuses what is not strictly JSON, what
 * is not UTF-8, and numbers that a double does not keep: those are judged by
 * their digits.  It builds nothing, allocates nothing, takes no lock, and is
 * linear in the length of the text.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_scan.h"


/* what cJSON takes of a number, and the largest with no neighbour lost */

#define NGX_HTTP_GRAY_SCAN_NUMBER  63
#define NGX_HTTP_GRAY_SCAN_MAX         "9007199254740992"
#define NGX_HTTP_GRAY_SCAN_MAX_LEN     (sizeof(NGX_HTTP_GRAY_SCAN_MAX) - 1)

/* a power of ten that no double close to zero falls short of */
#define NGX_HTTP_GRAY_SCAN_MIN_EXP     -300

/* what every double keeps */
#define NGX_HTTP_GRAY_SCAN_DIGITS      15


typedef struct {
    const u_char                *start;
    const u_char                *pos;
    const u_char                *last;
    ngx_uint_t                   depth;

    /* keys seen so far, and the number of the one that is a duplicate */
    ngx_uint_t                   keys;
    ngx_uint_t                   duplicate;

    ngx_http_gray_scan_error_t  *err;
} ngx_http_gray_scan_t;


/* a lead byte, its sequence's length, and the bounds of the second byte */

typedef struct {
    u_char                       first;
    u_char                       last;
    u_char                       len;
    u_char                       min;
    u_char                       max;
} ngx_http_gray_utf8_t;


static ngx_int_t ngx_http_gray_scan_value(ngx_http_gray_scan_t *scan,
    const char *expected);
static ngx_int_t ngx_http_gray_scan_object(ngx_http_gray_scan_t *scan);
static ngx_int_t ngx_http_gray_scan_member(ngx_http_gray_scan_t *scan,
    const char *expected);
static ngx_int_t ngx_http_gray_scan_array(ngx_http_gray_scan_t *scan);
static ngx_int_t ngx_http_gray_scan_string(ngx_http_gray_scan_t *scan);
static ngx_int_t ngx_http_gray_scan_escape(ngx_http_gray_scan_t *scan);
static ngx_int_t ngx_http_gray_scan_hex(const ngx_http_gray_scan_t *scan,
    const u_char *p);
static ngx_int_t ngx_http_gray_scan_number(ngx_http_gray_scan_t *scan);
static ngx_int_t ngx_http_gray_scan_digits(ngx_http_gray_scan_t *scan);
static ngx_int_t ngx_http_gray_scan_range(ngx_http_gray_scan_t *scan,
    const u_char *start);
static ngx_uint_t ngx_http_gray_scan_exact(const u_char *start,
    const u_char *last, const char *digits, size_t n);
static ngx_int_t ngx_http_gray_scan_literal(ngx_http_gray_scan_t *scan,
    const char *literal, const char *expected);
static void ngx_http_gray_scan_space(ngx_http_gray_scan_t *scan);
static ngx_int_t ngx_http_gray_scan_expected(ngx_http_gray_scan_t *scan,
    const char *expected);
static ngx_int_t ngx_http_gray_scan_error(ngx_http_gray_scan_t *scan,
    const u_char *pos, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));


/* the Unicode Standard, table 3-7 */

static const ngx_http_gray_utf8_t  ngx_http_gray_sequences[] = {
    { 0x00, 0x7f, 1, 0x00, 0x00 },
    { 0xc2, 0xdf, 2, 0x80, 0xbf },
    { 0xe0, 0xe0, 3, 0xa0, 0xbf },
    { 0xe1, 0xec, 3, 0x80, 0xbf },
    { 0xed, 0xed, 3, 0x80, 0x9f },
    { 0xee, 0xef, 3, 0x80, 0xbf },
    { 0xf0, 0xf0, 4, 0x90, 0xbf },
    { 0xf1, 0xf3, 4, 0x80, 0xbf },
    { 0xf4, 0xf4, 4, 0x80, 0x8f }
};


ngx_int_t
ngx_http_gray_scan(const u_char *text, size_t len, ngx_uint_t duplicate,
    ngx_http_gray_scan_error_t *err)
{
    ngx_http_gray_scan_t  scan;

    ngx_memzero(&scan, sizeof(ngx_http_gray_scan_t));

    scan.start = (text == NULL) ? (const u_char *) "" : text;
    scan.pos = scan.start;
    scan.last = scan.start + len;
    scan.duplicate = duplicate;
    scan.err = err;

    if (scan.last - scan.pos >= 3
        && ngx_memcmp(scan.pos, "\xef\xbb\xbf", 3) == 0)
    {
        return ngx_http_gray_scan_error(&scan, scan.pos,
                   "byte order mark, must be UTF-8 without it");
    }

    if (ngx_http_gray_scan_value(&scan, "a value") != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_http_gray_scan_space(&scan);

    if (scan.pos != scan.last) {
        return ngx_http_gray_scan_expected(&scan, "the end of the text");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_scan_value(ngx_http_gray_scan_t *scan,
    const char *expected)
{
    ngx_int_t  rc;

    ngx_http_gray_scan_space(scan);

    if (scan->pos == scan->last) {
        return ngx_http_gray_scan_expected(scan, expected);
    }

    switch (*scan->pos) {

    case '{':
    case '[':
        if (scan->depth == NGX_HTTP_GRAY_SCAN_DEPTH) {
            return ngx_http_gray_scan_error(scan, scan->pos,
                       "nested deeper than %d levels",
                       NGX_HTTP_GRAY_SCAN_DEPTH);
        }

        scan->depth++;

        rc = (*scan->pos == '{') ? ngx_http_gray_scan_object(scan)
                                 : ngx_http_gray_scan_array(scan);
        scan->depth--;

        return rc;

    case '"':
        return ngx_http_gray_scan_string(scan);

    case 't':
        return ngx_http_gray_scan_literal(scan, "true", expected);

    case 'f':
        return ngx_http_gray_scan_literal(scan, "false", expected);

    case 'n':
        return ngx_http_gray_scan_literal(scan, "null", expected);

    case '-':
    case '0': case '1': case '2': case '3': case '4':
    case '5': case '6': case '7': case '8': case '9':
        return ngx_http_gray_scan_number(scan);

    default:
        return ngx_http_gray_scan_expected(scan, expected);
    }
}


static ngx_int_t
ngx_http_gray_scan_object(ngx_http_gray_scan_t *scan)
{
    const char  *expected;

    scan->pos++;

    ngx_http_gray_scan_space(scan);

    if (scan->pos != scan->last && *scan->pos == '}') {
        scan->pos++;
        return NGX_OK;
    }

    expected = "a key in double quotes or \"}\"";

    for ( ;; ) {

        if (ngx_http_gray_scan_member(scan, expected) != NGX_OK) {
            return NGX_DECLINED;
        }

        if (scan->pos == scan->last
            || (*scan->pos != ',' && *scan->pos != '}'))
        {
            return ngx_http_gray_scan_expected(scan, "\",\" or \"}\"");
        }

        if (*scan->pos++ == '}') {
            return NGX_OK;
        }

        expected = "a key in double quotes";
    }
}


static ngx_int_t
ngx_http_gray_scan_member(ngx_http_gray_scan_t *scan,
    const char *expected)
{
    size_t         len;
    const u_char  *key;

    ngx_http_gray_scan_space(scan);

    if (scan->pos == scan->last || *scan->pos != '"') {
        return ngx_http_gray_scan_expected(scan, expected);
    }

    key = scan->pos;

    if (ngx_http_gray_scan_string(scan) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (scan->keys++ == scan->duplicate) {
        len = ngx_http_gray_scan_cut((const char *) key + 1,
                                     scan->pos - key - 2, 96);

        return ngx_http_gray_scan_error(scan, key,
                                             "duplicate key \"%.*s\"",
                                             (int) len, key + 1);
    }

    ngx_http_gray_scan_space(scan);

    if (scan->pos == scan->last || *scan->pos != ':') {
        return ngx_http_gray_scan_expected(scan, "\":\"");
    }

    scan->pos++;

    if (ngx_http_gray_scan_value(scan, "a value") != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_http_gray_scan_space(scan);

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_scan_array(ngx_http_gray_scan_t *scan)
{
    const char  *expected;

    scan->pos++;

    ngx_http_gray_scan_space(scan);

    if (scan->pos != scan->last && *scan->pos == ']') {
        scan->pos++;
        return NGX_OK;
    }

    expected = "a value or \"]\"";

    for ( ;; ) {

        if (ngx_http_gray_scan_value(scan, expected) != NGX_OK) {
            return NGX_DECLINED;
        }

        ngx_http_gray_scan_space(scan);

        if (scan->pos == scan->last
            || (*scan->pos != ',' && *scan->pos != ']'))
        {
            return ngx_http_gray_scan_expected(scan, "\",\" or \"]\"");
        }

        if (*scan->pos++ == ']') {
            return NGX_OK;
        }

        expected = "a value";
    }
}


static ngx_int_t
ngx_http_gray_scan_string(ngx_http_gray_scan_t *scan)
{
    u_char  ch;
    size_t  n;

    scan->pos++;

    while (scan->pos != scan->last) {

        ch = *scan->pos;

        if (ch == '"') {
            scan->pos++;
            return NGX_OK;
        }

        if (ch == '\\') {
            if (ngx_http_gray_scan_escape(scan) != NGX_OK) {
                return NGX_DECLINED;
            }

            continue;
        }

        if (ch < 0x20) {
            return ngx_http_gray_scan_error(scan, scan->pos,
                       "control character in a string, must be written as "
                       "\\u%04x", ch);
        }

        n = ngx_http_gray_scan_utf8(scan->pos, scan->last);

        if (n == 0) {
            return ngx_http_gray_scan_error(scan, scan->pos,
                                                 "invalid UTF-8");
        }

        scan->pos += n;
    }

    return ngx_http_gray_scan_expected(scan, "the end of a string");
}


static ngx_int_t
ngx_http_gray_scan_escape(ngx_http_gray_scan_t *scan)
{
    u_char         ch;
    ngx_int_t      code, low;
    const u_char  *p;

    p = scan->pos;

    ch = (scan->last - p > 1) ? p[1] : '\0';

    if (ch != 'u') {
        if (ch == '\0' || strchr("\"\\/bfnrt", ch) == NULL) {
            return ngx_http_gray_scan_error(scan, p,
                       "invalid escape, must be one of "
                       "\\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX");
        }

        scan->pos += 2;

        return NGX_OK;
    }

    code = ngx_http_gray_scan_hex(scan, p);

    if (code == NGX_ERROR) {
        return ngx_http_gray_scan_error(scan, p,
                   "invalid escape, must be \\u and four hexadecimal digits");
    }

    if (code == 0) {
        return ngx_http_gray_scan_error(scan, p,
                                             "\\u0000 is not accepted");
    }

    scan->pos += 6;

    if (code < 0xd800 || code > 0xdfff) {
        return NGX_OK;
    }

    if (code < 0xdc00) {
        low = ngx_http_gray_scan_hex(scan, scan->pos);

        if (low >= 0xdc00 && low <= 0xdfff) {
            scan->pos += 6;
            return NGX_OK;
        }
    }

    return ngx_http_gray_scan_error(scan, p,
               "lone surrogate, must be a high one followed by a low one");
}


/* the value of "\uXXXX" at "p", or NGX_ERROR where there is none */

static ngx_int_t
ngx_http_gray_scan_hex(const ngx_http_gray_scan_t *scan,
    const u_char *p)
{
    u_char      ch;
    ngx_int_t   code;
    ngx_uint_t  i;

    if (scan->last - p < 6 || p[0] != '\\' || p[1] != 'u') {
        return NGX_ERROR;
    }

    code = 0;

    for (i = 2; i < 6; i++) {
        ch = p[i];

        if (ch >= '0' && ch <= '9') {
            code = code * 16 + (ch - '0');
            continue;
        }

        ch |= 0x20;

        if (ch < 'a' || ch > 'f') {
            return NGX_ERROR;
        }

        code = code * 16 + (ch - 'a' + 10);
    }

    return code;
}


static ngx_int_t
ngx_http_gray_scan_number(ngx_http_gray_scan_t *scan)
{
    const u_char  *start, *digits;

    start = scan->pos;

    if (*scan->pos == '-') {
        scan->pos++;
    }

    digits = scan->pos;

    if (ngx_http_gray_scan_digits(scan) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (*digits == '0' && scan->pos - digits > 1) {
        return ngx_http_gray_scan_error(scan, digits,
                                             "leading zero in a number");
    }

    if (scan->pos != scan->last && *scan->pos == '.') {
        scan->pos++;

        if (ngx_http_gray_scan_digits(scan) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    if (scan->pos != scan->last && (*scan->pos == 'e' || *scan->pos == 'E')) {
        scan->pos++;

        if (scan->pos != scan->last
            && (*scan->pos == '-' || *scan->pos == '+'))
        {
            scan->pos++;
        }

        if (ngx_http_gray_scan_digits(scan) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    return ngx_http_gray_scan_range(scan, start);
}


static ngx_int_t
ngx_http_gray_scan_digits(ngx_http_gray_scan_t *scan)
{
    const u_char  *start;

    start = scan->pos;

    while (scan->pos != scan->last
           && *scan->pos >= '0' && *scan->pos <= '9')
    {
        scan->pos++;
    }

    if (scan->pos == start) {
        return ngx_http_gray_scan_expected(scan, "a digit");
    }

    return NGX_OK;
}


/*
 * Judges a number by its digits, since a double has forgotten whether it was
 * 2^53 or 2^53 + 1: the number is 0.DIGITS * 10^exp, the first not a zero.
 */

static ngx_int_t
ngx_http_gray_scan_range(ngx_http_gray_scan_t *scan,
    const u_char *start)
{
    int            rc;
    char           digits[NGX_HTTP_GRAY_SCAN_NUMBER + 1];
    size_t         n;
    ngx_int_t      exp, power, fraction;
    ngx_uint_t     minus;
    const u_char  *p;

    if (scan->pos - start > NGX_HTTP_GRAY_SCAN_NUMBER) {
        return ngx_http_gray_scan_error(scan, start,
                   "number is longer than %d characters",
                   NGX_HTTP_GRAY_SCAN_NUMBER);
    }

    ngx_memset(digits, '0', sizeof(digits));

    n = 0;
    exp = 0;
    power = 0;
    minus = 0;
    fraction = 0;

    for (p = start; p < scan->pos && (*p | 0x20) != 'e'; p++) {

        if (*p == '.') {
            fraction = 1;

        } else if (*p == '0' && n == 0) {
            exp -= fraction;

        } else if (*p != '-') {
            digits[n++] = (char) *p;
            exp += !fraction;
        }
    }

    if (n == 0) {
        return NGX_OK;
    }

    for ( /* void */ ; p < scan->pos; p++) {

        if (*p == '-') {
            minus = 1;

        } else if (*p >= '0' && *p <= '9' && power < 100000) {
            power = power * 10 + (*p - '0');
        }
    }

    exp += minus ? -power : power;

    if (exp < NGX_HTTP_GRAY_SCAN_MIN_EXP) {
        return ngx_http_gray_scan_error(scan, start,
                   "number is too close to 0, must be 0 or at least 1e%d",
                   NGX_HTTP_GRAY_SCAN_MIN_EXP);
    }

    rc = exp - (ngx_int_t) NGX_HTTP_GRAY_SCAN_MAX_LEN;

    if (rc == 0) {
        rc = ngx_memcmp(digits, NGX_HTTP_GRAY_SCAN_MAX,
                        NGX_HTTP_GRAY_SCAN_MAX_LEN);
    }

    if (rc == 0) {
        for (p = (const u_char *) digits + NGX_HTTP_GRAY_SCAN_MAX_LEN;
             p < (const u_char *) digits + n;
             p++)
        {
            rc += (*p != '0');
        }
    }

    if (rc > 0) {
        return ngx_http_gray_scan_error(scan, start,
                   "number is not within -%s to %s",
                   NGX_HTTP_GRAY_SCAN_MAX, NGX_HTTP_GRAY_SCAN_MAX);
    }

    if (!ngx_http_gray_scan_exact(start, scan->pos, digits, n)) {
        return ngx_http_gray_scan_error(scan, start,
                   "number has more digits than can be kept");
    }

    return NGX_OK;
}


/*
 * More digits than a double keeps would be rounded unseen: a number of many
 * digits must come back when it is printed with as many.
 */

static ngx_uint_t
ngx_http_gray_scan_exact(const u_char *start, const u_char *last,
    const char *digits, size_t n)
{
    char    text[NGX_HTTP_GRAY_SCAN_NUMBER + 1], *p;
    char    back[NGX_HTTP_GRAY_SCAN_NUMBER + 16];
    size_t  i;

    while (n && digits[n - 1] == '0') {
        n--;
    }

    if (n <= NGX_HTTP_GRAY_SCAN_DIGITS) {
        return 1;
    }

    ngx_memcpy(text, start, last - start);
    text[last - start] = '\0';

    (void) snprintf(back, sizeof(back), "%.*e", (int) n - 1,
                    strtod(text, NULL));

    for (p = back, i = 0; *p && *p != 'e'; p++) {

        if (*p >= '0' && *p <= '9' && *p != digits[i++]) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_gray_scan_literal(ngx_http_gray_scan_t *scan,
    const char *literal, const char *expected)
{
    size_t  len;

    len = ngx_strlen(literal);

    if ((size_t) (scan->last - scan->pos) < len
        || ngx_memcmp(scan->pos, literal, len) != 0)
    {
        return ngx_http_gray_scan_expected(scan, expected);
    }

    scan->pos += len;

    return NGX_OK;
}


static void
ngx_http_gray_scan_space(ngx_http_gray_scan_t *scan)
{
    while (scan->pos != scan->last
           && (*scan->pos == ' ' || *scan->pos == '\n'
               || *scan->pos == '\r' || *scan->pos == '\t'))
    {
        scan->pos++;
    }
}


static ngx_int_t
ngx_http_gray_scan_expected(ngx_http_gray_scan_t *scan,
    const char *expected)
{
    return ngx_http_gray_scan_error(scan, scan->pos, "%sexpected %s",
               (scan->pos == scan->last) ? "unexpected end, " : "", expected);
}


static ngx_int_t
ngx_http_gray_scan_error(ngx_http_gray_scan_t *scan,
    const u_char *pos, const char *fmt, ...)
{
    va_list        args;
    const u_char  *p, *line;

    scan->err->line = 1;
    line = scan->start;

    for (p = scan->start; p < pos; p++) {
        if (*p == '\n') {
            scan->err->line++;
            line = p + 1;
        }
    }

    scan->err->column = pos - line + 1;

    va_start(args, fmt);
    (void) vsnprintf(scan->err->detail, sizeof(scan->err->detail), fmt, args);
    va_end(args);

    return NGX_DECLINED;
}


/* the length of the sequence at "p", 0 where it is none; "p" is not "last" */

size_t
ngx_http_gray_scan_utf8(const u_char *p, const u_char *last)
{
    size_t                            i;
    const ngx_http_gray_utf8_t  *s;

    s = ngx_http_gray_sequences;

    for (i = 0; i < sizeof(ngx_http_gray_sequences) / sizeof(*s); i++) {
        if (*p >= s[i].first && *p <= s[i].last) {
            break;
        }
    }

    if (i == sizeof(ngx_http_gray_sequences) / sizeof(*s)
        || (size_t) (last - p) < s[i].len)
    {
        return 0;
    }

    s += i;

    if (s->len > 1 && (p[1] < s->min || p[1] > s->max)) {
        return 0;
    }

    for (i = 2; i < s->len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return s->len;
}


/* the length of "text" cut to at most "max" bytes, between two characters */

size_t
ngx_http_gray_scan_cut(const char *text, size_t len, size_t max)
{
    size_t         i;
    const u_char  *p;

    if (len <= max) {
        return len;
    }

    p = (const u_char *) text;

    /* a sequence that lost its end has its lead byte in the last 3 bytes */

    for (i = 1; i <= 3 && i <= max; i++) {

        if ((p[max - i] & 0xc0) != 0x80) {
            return ngx_http_gray_scan_utf8(p + max - i, p + max) ? max
                                                                 : max - i;
        }
    }

    return max;
}
