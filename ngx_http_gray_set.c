
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Sets: is a text one of many strings, does it begin with or end in one of
 * them, is a number one of many?
 *
 * Equality.  A few strings are compared one by one.  More are in a hash table
 * with open addressing, at most half full, by the hash that a value keeps; an
 * entry has a part of the hash, so that other strings are hardly ever looked
 * at.  Where case is ignored, the strings are in lower case and have a hash of
 * their own, for which texts are put in lower case word by word: there is no
 * copy of a text.
 *
 * Prefixes.  They are sorted, and those that begin with another one are left
 * out.  What is left has no prefix of another in it, so the only one that a
 * text can begin with is its predecessor: the last that is not greater.  It is
 * found by halving.  What all have in common is compared once, and the 8
 * bytes behind it, as a number, decide most comparisons.  Suffixes are the
 * same for texts that are read backwards.
 *
 * Letters are those of ASCII.  Nothing but the making allocates.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ngx_http_gray_set.h"


/* more than this are hashed */
#define NGX_HTTP_GRAY_SET_FEW  4

#define NGX_HTTP_GRAY_SET_EACH(b)  ((uint64_t) (b) * 0x0101010101010101ULL)


typedef enum {
    NGX_HTTP_GRAY_SET_FORWARDS = 0,
    NGX_HTTP_GRAY_SET_BACKWARDS
} ngx_http_gray_set_way_e;


static ngx_uint_t ngx_http_gray_set_find(const ngx_http_gray_set_t *set,
    const ngx_str_t *text, uint64_t hash, ngx_uint_t fold);
static uint64_t ngx_http_gray_set_folded(const u_char *data, size_t len);
static ngx_int_t ngx_http_gray_set_order(const ngx_str_t *one,
    const ngx_str_t *two, size_t skip, ngx_http_gray_set_way_e way,
    ngx_uint_t fold);
static ngx_int_t ngx_http_gray_set_sorted(ngx_http_gray_set_t *set,
    ngx_pool_t *pool, ngx_http_gray_set_way_e way);
static int ngx_libc_cdecl ngx_http_gray_set_cmp_forwards(const void *one,
    const void *two);
static int ngx_libc_cdecl ngx_http_gray_set_cmp_backwards(const void *one,
    const void *two);
static int ngx_libc_cdecl ngx_http_gray_set_cmp_numbers(const void *one,
    const void *two);


static ngx_inline uint64_t
ngx_http_gray_set_load(const u_char *p)
{
    uint64_t  word;

    ngx_memcpy(&word, p, sizeof(uint64_t));

    return word;
}


/* 4 to 7 bytes: the first and the last 4 of them, which may overlap */

static ngx_inline uint64_t
ngx_http_gray_set_short(const u_char *p, size_t len)
{
    uint32_t  first, last;

    ngx_memcpy(&first, p, sizeof(uint32_t));
    ngx_memcpy(&last, p + len - 4, sizeof(uint32_t));

    return (uint64_t) first << 32 | last;
}


/* the letters of 8 bytes in lower case; a carry never leaves its byte */

static ngx_inline uint64_t
ngx_http_gray_set_lower(uint64_t word)
{
    uint64_t  low, from, behind;

    low = word & NGX_HTTP_GRAY_SET_EACH(0x7f);
    from = low + NGX_HTTP_GRAY_SET_EACH(0x80 - 'A');
    behind = low + NGX_HTTP_GRAY_SET_EACH(0x7f - 'Z');

    return word
           | ((from ^ behind) & ~word & NGX_HTTP_GRAY_SET_EACH(0x80)) >> 2;
}


/* are the bytes of a string those of a text? */

static ngx_inline ngx_uint_t
ngx_http_gray_set_equal(const u_char *string, const u_char *text, size_t len,
    ngx_uint_t fold)
{
    size_t    i, last;
    uint64_t  word;

    if (len < 4) {

        for (i = 0; i < len; i++) {
            if (string[i] != (fold ? ngx_tolower(text[i]) : text[i])) {
                return 0;
            }
        }

        return 1;
    }

    if (len < 8) {
        word = ngx_http_gray_set_short(text, len);

        if (fold) {
            word = ngx_http_gray_set_lower(word);
        }

        return word == ngx_http_gray_set_short(string, len);
    }

    last = len - 8;

    for (i = 0; i < last; i += 8) {
        word = ngx_http_gray_set_load(text + i);

        if (fold) {
            word = ngx_http_gray_set_lower(word);
        }

        if (word != ngx_http_gray_set_load(string + i)) {
            return 0;
        }
    }

    /* these may overlap those before */

    word = ngx_http_gray_set_load(text + last);

    if (fold) {
        word = ngx_http_gray_set_lower(word);
    }

    return word == ngx_http_gray_set_load(string + last);
}


ngx_uint_t
ngx_http_gray_set_is(const ngx_str_t *string, const ngx_str_t *text)
{
    return string->len == text->len
           && ngx_http_gray_set_equal(string->data, text->data, text->len, 0);
}


ngx_uint_t
ngx_http_gray_set_has(const ngx_http_gray_set_t *set,
    ngx_http_gray_value_t *value)
{
    uint64_t          hash;
    ngx_uint_t        i;
    const ngx_str_t  *s, *text;

    text = &value->text;

    if (text->len > set->max) {
        return 0;
    }

    if (set->table) {
        hash = set->ignore_case
               ? ngx_http_gray_set_folded(text->data, text->len)
               : value->hashed ? value->hash
                               : ngx_http_gray_value_hash(value);

        return ngx_http_gray_set_find(set, text, hash, set->ignore_case);
    }

    for (i = 0; i < set->n; i++) {
        s = &set->elts[i];

        if (s->len != text->len) {
            continue;
        }

        if (set->ignore_case
            ? ngx_http_gray_set_equal(s->data, text->data, text->len, 1)
            : ngx_http_gray_set_equal(s->data, text->data, text->len, 0))
        {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_gray_set_among(const ngx_http_gray_set_t *set,
    ngx_http_gray_value_t *value)
{
    if (value->text.len > set->max) {
        return 0;
    }

    return ngx_http_gray_set_find(set, &value->text,
                                  value->hashed
                                  ? value->hash
                                  : ngx_http_gray_value_hash(value), 0);
}


static ngx_inline ngx_uint_t
ngx_http_gray_set_find(const ngx_http_gray_set_t *set, const ngx_str_t *text,
    uint64_t hash, ngx_uint_t fold)
{
    uint32_t                          tag;
    uint64_t                          i;
    const ngx_str_t                  *s;
    const ngx_http_gray_set_entry_t  *entry;

    tag = (uint32_t) (hash >> 32);

    for (i = hash & set->mask; /* void */ ; i = (i + 1) & set->mask) {

        entry = &set->table[i];

        if (entry->number == 0) {
            return 0;
        }

        if (entry->tag != tag) {
            continue;
        }

        s = &set->elts[entry->number - 1];

        if (s->len == text->len
            && ngx_http_gray_set_equal(s->data, text->data, text->len, fold))
        {
            return 1;
        }
    }
}


/* a hash of the bytes in lower case */

static uint64_t
ngx_http_gray_set_folded(const u_char *data, size_t len)
{
    uint64_t  hash, word;

    hash = (uint64_t) len * 0x9e3779b97f4a7c15ULL;

    for ( /* void */ ; len >= 8; len -= 8, data += 8) {
        word = ngx_http_gray_set_load(data);

        hash = (hash ^ ngx_http_gray_set_lower(word)) * 0xff51afd7ed558ccdULL;
        hash ^= hash >> 32;
    }

    for (word = 0; len; len--) {
        word = word << 8 | *data++;
    }

    hash = (hash ^ ngx_http_gray_set_lower(word)) * 0xc4ceb9fe1a85ec53ULL;

    return hash ^ hash >> 29;
}


/*
 * Of what is behind the first "skip" bytes, as one reads, the next 8: a number
 * that is ordered as they are.  Where there are less, zeros follow.
 */

static ngx_inline uint64_t
ngx_http_gray_set_key(const ngx_str_t *text, size_t skip,
    ngx_http_gray_set_way_e way, ngx_uint_t fold)
{
    size_t         i, left;
    uint64_t       key;
    const u_char  *p;

    left = text->len - skip;

    if (left >= 8) {
        p = text->data + (way == NGX_HTTP_GRAY_SET_FORWARDS ? skip : left - 8);
        key = ngx_http_gray_set_load(p);

#if (NGX_HAVE_LITTLE_ENDIAN)

        if (way == NGX_HTTP_GRAY_SET_FORWARDS) {
            key = __builtin_bswap64(key);
        }

#else

        if (way == NGX_HTTP_GRAY_SET_BACKWARDS) {
            key = __builtin_bswap64(key);
        }

#endif

    } else {
        key = 0;

        for (i = 0; i < left; i++) {
            p = text->data + (way == NGX_HTTP_GRAY_SET_FORWARDS ? skip + i
                                                          : left - 1 - i);
            key |= (uint64_t) *p << (56 - 8 * i);
        }
    }

    return fold ? ngx_http_gray_set_lower(key) : key;
}


/* of "two", letters may be in any case; both begin alike up to "skip" */

static ngx_int_t
ngx_http_gray_set_order(const ngx_str_t *one, const ngx_str_t *two,
    size_t skip, ngx_http_gray_set_way_e way, ngx_uint_t fold)
{
    uint64_t  a, b;

    for ( /* void */ ; skip < one->len && skip < two->len; skip += 8) {

        a = ngx_http_gray_set_key(one, skip, way, 0);
        b = ngx_http_gray_set_key(two, skip, way, fold);

        if (a != b) {
            return a < b ? -1 : 1;
        }
    }

    return (one->len > two->len) - (one->len < two->len);
}


static ngx_inline ngx_uint_t
ngx_http_gray_set_begun(const ngx_str_t *string, const ngx_str_t *text,
    size_t len, ngx_http_gray_set_way_e way, ngx_uint_t fold)
{
    const u_char  *s, *t;

    s = string->data;
    t = text->data;

    if (way == NGX_HTTP_GRAY_SET_BACKWARDS) {
        s += string->len - len;
        t += text->len - len;
    }

    return ngx_http_gray_set_equal(s, t, len, fold);
}


static ngx_inline ngx_uint_t
ngx_http_gray_set_search(const ngx_http_gray_set_t *set,
    const ngx_str_t *text, ngx_http_gray_set_way_e way, ngx_uint_t fold)
{
    uint64_t          key;
    ngx_uint_t        i, n, half;
    const ngx_str_t  *s;

    if (text->len < set->common
        || !ngx_http_gray_set_begun(set->elts, text, set->common, way, fold))
    {
        return 0;
    }

    if (set->n == 1) {
        return 1;
    }

    key = ngx_http_gray_set_key(text, set->common, way, fold);
    i = 0;

    for (n = set->n; n > 1; n -= half) {
        half = n / 2;

        if (set->keys[i + half] < key
            || (set->keys[i + half] == key
                && ngx_http_gray_set_order(&set->elts[i + half], text,
                                           set->common, way, fold)
                   <= 0))
        {
            i += half;
        }
    }

    s = &set->elts[i];

    return s->len <= text->len
           && ngx_http_gray_set_begun(s, text, s->len, way, fold);
}


ngx_uint_t
ngx_http_gray_set_begins(const ngx_http_gray_set_t *set,
    const ngx_str_t *text)
{
    return set->ignore_case
           ? ngx_http_gray_set_search(set, text, NGX_HTTP_GRAY_SET_FORWARDS, 1)
           : ngx_http_gray_set_search(set, text, NGX_HTTP_GRAY_SET_FORWARDS,
                                      0);
}


ngx_uint_t
ngx_http_gray_set_ends(const ngx_http_gray_set_t *set, const ngx_str_t *text)
{
    return set->ignore_case
           ? ngx_http_gray_set_search(set, text, NGX_HTTP_GRAY_SET_BACKWARDS,
                                      1)
           : ngx_http_gray_set_search(set, text, NGX_HTTP_GRAY_SET_BACKWARDS,
                                      0);
}


ngx_uint_t
ngx_http_gray_set_within(const ngx_http_gray_set_t *set,
    const ngx_str_t *text)
{
    u_char      *p, *last;
    ngx_str_t   *s;
    ngx_uint_t   i;

    for (i = 0; i < set->n; i++) {
        s = &set->elts[i];

        if (s->len > text->len) {
            continue;
        }

        if (!set->ignore_case) {
            if (memmem(text->data, text->len, s->data, s->len)) {
                return 1;
            }

            continue;
        }

        last = text->data + text->len - s->len;

        for (p = text->data; p <= last; p++) {
            if (ngx_tolower(*p) == *s->data
                && ngx_http_gray_set_equal(s->data, p, s->len, 1))
            {
                return 1;
            }
        }
    }

    return 0;
}


ngx_int_t
ngx_http_gray_set_hash(ngx_http_gray_set_t *set, ngx_pool_t *pool)
{
    uint64_t     hash, i;
    ngx_str_t   *s;
    ngx_uint_t   k, size;

    ngx_http_gray_set_fold(set);

    for (k = 0; k < set->n; k++) {
        set->max = ngx_max(set->max, set->elts[k].len);
    }

    if (set->n <= NGX_HTTP_GRAY_SET_FEW) {
        return NGX_OK;
    }

    for (size = 8; size < 2 * set->n; size *= 2) { /* void */ }

    set->table = ngx_pcalloc(pool, size * sizeof(ngx_http_gray_set_entry_t));
    if (set->table == NULL) {
        return NGX_ERROR;
    }

    set->mask = size - 1;

    for (k = 0; k < set->n; k++) {
        s = &set->elts[k];

        hash = set->ignore_case ? ngx_http_gray_set_folded(s->data, s->len)
                                : XXH3_64bits(s->data, s->len);

        if (ngx_http_gray_set_find(set, s, hash, set->ignore_case)) {
            continue;
        }

        for (i = hash & set->mask;
             set->table[i].number;
             i = (i + 1) & set->mask)
        {
            /* void */
        }

        set->table[i].number = k + 1;
        set->table[i].tag = (uint32_t) (hash >> 32);
    }

    return NGX_OK;
}


void
ngx_http_gray_set_fold(ngx_http_gray_set_t *set)
{
    ngx_str_t   *s;
    ngx_uint_t   i;

    if (set->ignore_case) {
        for (i = 0; i < set->n; i++) {
            s = &set->elts[i];
            ngx_strlow(s->data, s->data, s->len);
        }
    }
}


ngx_int_t
ngx_http_gray_set_prefixes(ngx_http_gray_set_t *set, ngx_pool_t *pool)
{
    return ngx_http_gray_set_sorted(set, pool, NGX_HTTP_GRAY_SET_FORWARDS);
}


ngx_int_t
ngx_http_gray_set_suffixes(ngx_http_gray_set_t *set, ngx_pool_t *pool)
{
    return ngx_http_gray_set_sorted(set, pool, NGX_HTTP_GRAY_SET_BACKWARDS);
}


static ngx_int_t
ngx_http_gray_set_sorted(ngx_http_gray_set_t *set, ngx_pool_t *pool,
    ngx_http_gray_set_way_e way)
{
    size_t       len;
    ngx_str_t   *s, *last;
    ngx_uint_t   i;

    ngx_http_gray_set_fold(set);

    qsort(set->elts, set->n, sizeof(ngx_str_t),
          way == NGX_HTTP_GRAY_SET_FORWARDS
          ? ngx_http_gray_set_cmp_forwards
          : ngx_http_gray_set_cmp_backwards);

    last = set->elts;

    for (i = 1; i < set->n; i++) {
        s = &set->elts[i];

        if (s->len < last->len
            || !ngx_http_gray_set_begun(last, s, last->len, way, 0))
        {
            *++last = *s;
        }
    }

    set->n = last - set->elts + 1;

    /* what the first and the last have in common, all have */

    s = set->elts;
    len = 0;

    while (len < s->len
           && len < last->len
           && (way == NGX_HTTP_GRAY_SET_FORWARDS
               ? s->data[len] == last->data[len]
               : s->data[s->len - 1 - len] == last->data[last->len - 1 - len]))
    {
        len++;
    }

    set->common = len;

    set->keys = ngx_palloc(pool, set->n * sizeof(uint64_t));
    if (set->keys == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < set->n; i++) {
        set->keys[i] = ngx_http_gray_set_key(&set->elts[i], len, way, 0);
    }

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_http_gray_set_cmp_forwards(const void *one, const void *two)
{
    return (int) ngx_http_gray_set_order(one, two, 0,
                                         NGX_HTTP_GRAY_SET_FORWARDS, 0);
}


static int ngx_libc_cdecl
ngx_http_gray_set_cmp_backwards(const void *one, const void *two)
{
    return (int) ngx_http_gray_set_order(one, two, 0,
                                         NGX_HTTP_GRAY_SET_BACKWARDS, 0);
}


void
ngx_http_gray_set_sort(ngx_http_gray_numbers_t *numbers)
{
    qsort(numbers->elts, numbers->n, sizeof(double),
          ngx_http_gray_set_cmp_numbers);
}


static int ngx_libc_cdecl
ngx_http_gray_set_cmp_numbers(const void *one, const void *two)
{
    double  a, b;

    a = *(const double *) one;
    b = *(const double *) two;

    return (a > b) - (a < b);
}


ngx_uint_t
ngx_http_gray_set_number(const ngx_http_gray_numbers_t *numbers,
    double number)
{
    ngx_uint_t     n, half;
    const double  *p;

    p = numbers->elts;
    n = numbers->n;

    if (n == 0) {
        return 0;
    }

    for ( /* void */ ; n > 1; n -= half) {
        half = n / 2;
        p += (p[half] <= number) ? half : 0;
    }

    return *p == number;
}
