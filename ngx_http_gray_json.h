
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_JSON_H_INCLUDED_
#define _NGX_HTTP_GRAY_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_scan.h"


#define NGX_HTTP_GRAY_JSON_DEPTH   NGX_HTTP_GRAY_SCAN_DEPTH
#define NGX_HTTP_GRAY_FAULTS       20


typedef struct cJSON  ngx_http_gray_json_t;


typedef enum {
    NGX_HTTP_GRAY_JSON_NULL = 0,
    NGX_HTTP_GRAY_JSON_BOOLEAN,
    NGX_HTTP_GRAY_JSON_NUMBER,
    NGX_HTTP_GRAY_JSON_STRING,
    NGX_HTTP_GRAY_JSON_ARRAY,
    NGX_HTTP_GRAY_JSON_OBJECT
} ngx_http_gray_json_type_e;


typedef ngx_http_gray_scan_error_t  ngx_http_gray_json_error_t;


/*
 * A place in a document, as a chain of frames on the caller's stack: the
 * outermost frame has no parent; a frame with a NULL "key" is an index.
 */

typedef struct ngx_http_gray_path_s  ngx_http_gray_path_t;

struct ngx_http_gray_path_s {
    const ngx_http_gray_path_t *parent;
    const char                 *key;
    ngx_uint_t                  index;
};


/* one fault: RFC 6901 pointer and what would be accepted, both C strings */

typedef struct {
    char                        pointer[256];
    char                        detail[384];
} ngx_http_gray_fault_t;


/* "n" counts all the faults found, the first NGX_HTTP_GRAY_FAULTS are kept */

typedef struct {
    ngx_uint_t                  n;
    ngx_http_gray_fault_t       fault[NGX_HTTP_GRAY_FAULTS];
} ngx_http_gray_faults_t;


/*
 * Strict RFC 8259 parse of "len" bytes: exactly one value, valid UTF-8, no
 * byte order mark, no "\u0000", no lone surrogates, no duplicate keys, no
 * number of more than 63 characters, or whose magnitude is over 2^53 or would
 * become zero, arrays and objects nested not deeper than
 * NGX_HTTP_GRAY_JSON_DEPTH.  Returns a tree to be freed with _free(), or NULL
 * with "err" filled; err->line is 0 where memory was short.
 */
ngx_http_gray_json_t *ngx_http_gray_json_parse(const u_char *text, size_t len,
    ngx_http_gray_json_error_t *err);
void ngx_http_gray_json_free(ngx_http_gray_json_t *node);

/*
 * Constructors: NULL where memory is short.  Strings are copied; what is not
 * UTF-8 in them, and NUL, becomes U+FFFD.  A copy has no key.
 */
ngx_http_gray_json_t *ngx_http_gray_json_null(void);
ngx_http_gray_json_t *ngx_http_gray_json_boolean(ngx_uint_t value);
ngx_http_gray_json_t *ngx_http_gray_json_number(double value);
ngx_http_gray_json_t *ngx_http_gray_json_string(const u_char *data,
    size_t len);
ngx_http_gray_json_t *ngx_http_gray_json_array(void);
ngx_http_gray_json_t *ngx_http_gray_json_object(void);
ngx_http_gray_json_t *ngx_http_gray_json_copy(const ngx_http_gray_json_t *node);

/*
 * Readers.  A string is that of the tree, NUL-terminated, and lives as long.
 * _key() is the member's name, or NULL for what is not a member.  _get() is
 * case-sensitive, NULL where there is no such member or "object" is none;
 * _item() likewise.  Both, and _count(), walk the list: iterate by _first()
 * and _next().  A NULL node is read as a null with nothing in it.
 */
ngx_http_gray_json_type_e ngx_http_gray_json_type(
    const ngx_http_gray_json_t *node);
const char *ngx_http_gray_json_key(const ngx_http_gray_json_t *node);
ngx_str_t ngx_http_gray_json_text(const ngx_http_gray_json_t *node);
double ngx_http_gray_json_value(const ngx_http_gray_json_t *node);
ngx_uint_t ngx_http_gray_json_true(const ngx_http_gray_json_t *node);
ngx_http_gray_json_t *ngx_http_gray_json_first(
    const ngx_http_gray_json_t *node);
ngx_http_gray_json_t *ngx_http_gray_json_next(const ngx_http_gray_json_t *node);
ngx_uint_t ngx_http_gray_json_count(const ngx_http_gray_json_t *node);
ngx_http_gray_json_t *ngx_http_gray_json_get(
    const ngx_http_gray_json_t *object, const char *key);
ngx_http_gray_json_t *ngx_http_gray_json_item(
    const ngx_http_gray_json_t *array, ngx_uint_t index);

/* values alike: order of members does not matter, order of items does */
ngx_uint_t ngx_http_gray_json_equal(const ngx_http_gray_json_t *a,
    const ngx_http_gray_json_t *b);

/*
 * Writers own "child" from the call on, and free it where they fail; a NULL
 * child is such a failure, so that constructors nest.  _set() replaces a
 * member in its place, or appends; _add() appends without a look, for a key
 * that is known not to be there; _insert() puts before "next", or last where
 * it is NULL.  NGX_OK or NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_json_set(ngx_http_gray_json_t *object,
    const char *key, ngx_http_gray_json_t *child);
ngx_int_t ngx_http_gray_json_add(ngx_http_gray_json_t *object,
    const char *key, ngx_http_gray_json_t *child);
ngx_int_t ngx_http_gray_json_append(ngx_http_gray_json_t *array,
    ngx_http_gray_json_t *child);
ngx_int_t ngx_http_gray_json_insert(ngx_http_gray_json_t *array,
    ngx_http_gray_json_t *next, ngx_http_gray_json_t *child);

/* puts "child" in the place, and under the key, of "node", which is freed */
ngx_int_t ngx_http_gray_json_replace(ngx_http_gray_json_t *container,
    ngx_http_gray_json_t *node, ngx_http_gray_json_t *child);

/*
 * Take a child out of its container: it has no key any more, and the caller
 * owns it.  _detach() returns NULL where there is no such member.
 */
ngx_http_gray_json_t *ngx_http_gray_json_detach(ngx_http_gray_json_t *object,
    const char *key);
ngx_http_gray_json_t *ngx_http_gray_json_take(ngx_http_gray_json_t *container,
    ngx_http_gray_json_t *node);

/*
 * Writes "node" as JSON that _parse() takes back to an equal value, whatever
 * the locale: numbers are exact, in their shortest form.  "pretty" breaks
 * lines and indents by 2 spaces; arrays of scalars stay in one line, and no
 * line feed ends the text.  text->data is to be freed with free(); a NUL that
 * is not counted follows it.  NGX_OK or NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_json_print(const ngx_http_gray_json_t *node,
    ngx_uint_t pretty, ngx_str_t *text);

/*
 * Adds a fault at "path"; the format is that of printf(3).  What does not fit
 * is cut, never inside of a UTF-8 sequence.  Pointer and detail may hold
 * control characters, where a key or an argument does: escape them in logs.
 * Does nothing where "faults" is NULL.
 */
void ngx_http_gray_json_fault(ngx_http_gray_faults_t *faults,
    const ngx_http_gray_path_t *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));


#endif /* _NGX_HTTP_GRAY_JSON_H_INCLUDED_ */
