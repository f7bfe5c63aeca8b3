
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * JSON as the module takes and gives it.  This is the only file that knows
 * cJSON: everybody else sees a node and the functions of the header.
 *
 * The problem.  cJSON is a fine tree and a lenient parser: it lets through a
 * byte order mark, bytes that are not UTF-8, control characters in strings,
 * leading zeros, "\u0000" (which cuts a C string short), duplicate keys (the
 * first wins here, the last elsewhere) and a thousand levels of nesting; it
 * takes numbers by strtod(), so that 9007199254740993 becomes its neighbour
 * and 1e999 infinity; and it says no more of an error than where it was.  Its
 * printer loses the last digit of large numbers.  A document that means one
 * thing to us and another to the tool that wrote it would move traffic.
 *
 * What is done about it.  A text passes three gates:
 *
 *     recognizer   the grammar of RFC 8259 over the bytes, see
 *                  ngx_http_gray_scan.c: it knows line and column
 *     cJSON        builds the tree; what it still refuses is want of memory
 *     duplicates   the members of each object, sorted by key.  The place of
 *                  the one that was found is had by running the recognizer
 *                  again, up to the key of the same number
 *
 * and a tree is printed by a writer of our own.
 *
 * Invariants of a tree.  Every string is valid UTF-8 without NUL.  Every
 * member has a key of its own, no two of an object the same, and nothing else
 * has a key.  The children of a node are a list: next is NULL at the end, and
 * prev of the first is the last, which makes appending cost nothing, and
 * finding, counting and indexing linear.
 *
 * Cost.  Parsing, printing, copying and comparing are n log n at worst in the
 * length of the text, whatever it holds.  All memory is malloc()ed, by cJSON
 * through its hooks, which stay as they are; on failure nothing is left
 * behind, and what was given to a writer is freed.  No locks and no state.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_gray_json.h"

#include <cjson/cJSON.h>
#include <math.h>


/* objects up to this size are searched, larger ones sorted */
#define NGX_HTTP_GRAY_JSON_FEW  8


typedef struct {
    const ngx_http_gray_json_t  *node;
    ngx_uint_t                   order;
} ngx_http_gray_json_member_t;


typedef struct {
    u_char                      *data;
    size_t                       len;
    size_t                       size;
    ngx_uint_t                   pretty;
    ngx_uint_t                   failed;
} ngx_http_gray_json_writer_t;


static ngx_int_t ngx_http_gray_json_duplicate(const ngx_http_gray_json_t *node,
    const ngx_http_gray_json_t **found);
static ngx_uint_t ngx_http_gray_json_number_of_key(
    const ngx_http_gray_json_t *node, const ngx_http_gray_json_t *member,
    ngx_uint_t *keys);
static ngx_http_gray_json_member_t *ngx_http_gray_json_sort(
    const ngx_http_gray_json_t *object, ngx_uint_t n);
static int ngx_http_gray_json_compare(const void *one, const void *two);
static ngx_uint_t ngx_http_gray_json_equal_members(
    const ngx_http_gray_json_t *a, const ngx_http_gray_json_t *b);
static void ngx_http_gray_json_write_value(ngx_http_gray_json_writer_t *w,
    const ngx_http_gray_json_t *node, ngx_uint_t level);
static ngx_uint_t ngx_http_gray_json_flat(const ngx_http_gray_json_t *node);
static void ngx_http_gray_json_write_line(ngx_http_gray_json_writer_t *w,
    ngx_uint_t level);
static void ngx_http_gray_json_write_string(ngx_http_gray_json_writer_t *w,
    const char *text);
static void ngx_http_gray_json_write_number(ngx_http_gray_json_writer_t *w,
    double value);
static void ngx_http_gray_json_write(ngx_http_gray_json_writer_t *w,
    const void *data, size_t len);
static char *ngx_http_gray_json_pointer(char *p, char **last,
    const ngx_http_gray_path_t *path);


ngx_http_gray_json_t *
ngx_http_gray_json_parse(const u_char *text, size_t len,
    ngx_http_gray_json_error_t *err)
{
    ngx_int_t                    rc;
    ngx_uint_t                   keys;
    ngx_http_gray_json_t        *tree;
    const ngx_http_gray_json_t  *member;

    if (ngx_http_gray_scan(text, len, NGX_HTTP_GRAY_SCAN_NO_KEY, err)
        != NGX_OK)
    {
        return NULL;
    }

    tree = cJSON_ParseWithLength((const char *) text, len);
    if (tree == NULL) {
        goto failed;
    }

    rc = ngx_http_gray_json_duplicate(tree, &member);

    if (rc == NGX_OK) {
        return tree;
    }

    if (rc == NGX_ERROR) {
        goto failed;
    }

    keys = 0;
    (void) ngx_http_gray_json_number_of_key(tree, member, &keys);

    cJSON_Delete(tree);

    (void) ngx_http_gray_scan(text, len, keys, err);

    return NULL;

failed:

    cJSON_Delete(tree);

    err->line = 0;
    err->column = 0;
    (void) snprintf(err->detail, sizeof(err->detail), "not enough memory");

    return NULL;
}


/*
 * NGX_OK where there are no duplicate keys; NGX_DECLINED where "*found" is
 * one, the second of its kind; NGX_ERROR (memory).
 */

static ngx_int_t
ngx_http_gray_json_duplicate(const ngx_http_gray_json_t *node,
    const ngx_http_gray_json_t **found)
{
    ngx_int_t                     rc;
    ngx_uint_t                    i, n, order;
    ngx_http_gray_json_t         *child;
    ngx_http_gray_json_member_t  *members;

    n = cJSON_IsObject(node) ? ngx_http_gray_json_count(node) : 0;

    if (n > 1) {
        members = ngx_http_gray_json_sort(node, n);
        if (members == NULL) {
            return NGX_ERROR;
        }

        order = n;

        for (i = 1; i < n; i++) {
            if (ngx_strcmp(members[i - 1].node->string,
                           members[i].node->string)
                == 0
                && members[i].order < order)
            {
                order = members[i].order;
                *found = members[i].node;
            }
        }

        free(members);

        if (order != n) {
            return NGX_DECLINED;
        }
    }

    for (child = node->child; child; child = child->next) {
        rc = ngx_http_gray_json_duplicate(child, found);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/* counts keys in the order of the text, up to that of "member" */

static ngx_uint_t
ngx_http_gray_json_number_of_key(const ngx_http_gray_json_t *node,
    const ngx_http_gray_json_t *member, ngx_uint_t *keys)
{
    ngx_http_gray_json_t  *child;

    for (child = node->child; child; child = child->next) {

        if (child == member) {
            return 1;
        }

        *keys += (child->string != NULL);

        if (ngx_http_gray_json_number_of_key(child, member, keys)) {
            return 1;
        }
    }

    return 0;
}


/* to be freed with free(); NULL where memory is short */

static ngx_http_gray_json_member_t *
ngx_http_gray_json_sort(const ngx_http_gray_json_t *object, ngx_uint_t n)
{
    ngx_uint_t                    i;
    ngx_http_gray_json_t         *child;
    ngx_http_gray_json_member_t  *members;

    members = malloc(n * sizeof(ngx_http_gray_json_member_t));
    if (members == NULL) {
        return NULL;
    }

    i = 0;

    for (child = object->child; child; child = child->next) {
        members[i].node = child;
        members[i].order = i;
        i++;
    }

    qsort(members, n, sizeof(ngx_http_gray_json_member_t),
          ngx_http_gray_json_compare);

    return members;
}


static int
ngx_http_gray_json_compare(const void *one, const void *two)
{
    int                                 rc;
    const ngx_http_gray_json_member_t  *a, *b;

    a = one;
    b = two;

    rc = ngx_strcmp(a->node->string, b->node->string);

    if (rc != 0) {
        return rc;
    }

    return (a->order > b->order) - (a->order < b->order);
}


void
ngx_http_gray_json_free(ngx_http_gray_json_t *node)
{
    cJSON_Delete(node);
}


ngx_http_gray_json_t *
ngx_http_gray_json_null(void)
{
    return cJSON_CreateNull();
}


ngx_http_gray_json_t *
ngx_http_gray_json_boolean(ngx_uint_t value)
{
    return cJSON_CreateBool(value != 0);
}


ngx_http_gray_json_t *
ngx_http_gray_json_number(double value)
{
    return cJSON_CreateNumber(value);
}


ngx_http_gray_json_t *
ngx_http_gray_json_string(const u_char *data, size_t len)
{
    char                  *p;
    size_t                 n, size;
    const u_char          *s, *last;
    ngx_http_gray_json_t  *node;

    last = data + len;
    size = 1;

    for (s = data; s < last; s += n ? n : 1) {
        n = *s ? ngx_http_gray_scan_utf8(s, last) : 0;
        size += n ? n : 3;
    }

    node = cJSON_CreateNull();
    if (node == NULL) {
        return NULL;
    }

    p = cJSON_malloc(size);
    if (p == NULL) {
        cJSON_Delete(node);
        return NULL;
    }

    node->type = cJSON_String;
    node->valuestring = p;

    for (s = data; s < last; s += n ? n : 1) {
        n = *s ? ngx_http_gray_scan_utf8(s, last) : 0;

        if (n) {
            p = (char *) ngx_cpymem(p, s, n);

        } else {
            p = (char *) ngx_cpymem(p, "\xef\xbf\xbd", 3);
        }
    }

    *p = '\0';

    return node;
}


ngx_http_gray_json_t *
ngx_http_gray_json_array(void)
{
    return cJSON_CreateArray();
}


ngx_http_gray_json_t *
ngx_http_gray_json_object(void)
{
    return cJSON_CreateObject();
}


ngx_http_gray_json_t *
ngx_http_gray_json_copy(const ngx_http_gray_json_t *node)
{
    ngx_http_gray_json_t  *copy;

    copy = cJSON_Duplicate(node, 1);

    if (copy != NULL && copy->string != NULL) {
        cJSON_free(copy->string);
        copy->string = NULL;
    }

    return copy;
}


ngx_http_gray_json_type_e
ngx_http_gray_json_type(const ngx_http_gray_json_t *node)
{
    if (node == NULL) {
        return NGX_HTTP_GRAY_JSON_NULL;
    }

    switch (node->type & 0xff) {

    case cJSON_False:
    case cJSON_True:
        return NGX_HTTP_GRAY_JSON_BOOLEAN;

    case cJSON_Number:
        return NGX_HTTP_GRAY_JSON_NUMBER;

    case cJSON_String:
        return NGX_HTTP_GRAY_JSON_STRING;

    case cJSON_Array:
        return NGX_HTTP_GRAY_JSON_ARRAY;

    case cJSON_Object:
        return NGX_HTTP_GRAY_JSON_OBJECT;

    default: /* cJSON_NULL */
        return NGX_HTTP_GRAY_JSON_NULL;
    }
}


const char *
ngx_http_gray_json_key(const ngx_http_gray_json_t *node)
{
    return (node == NULL) ? NULL : node->string;
}


ngx_str_t
ngx_http_gray_json_text(const ngx_http_gray_json_t *node)
{
    ngx_str_t  text;

    if (!cJSON_IsString(node)) {
        ngx_str_null(&text);
        return text;
    }

    text.len = ngx_strlen(node->valuestring);
    text.data = (u_char *) node->valuestring;

    return text;
}


double
ngx_http_gray_json_value(const ngx_http_gray_json_t *node)
{
    return cJSON_IsNumber(node) ? node->valuedouble : 0;
}


ngx_uint_t
ngx_http_gray_json_true(const ngx_http_gray_json_t *node)
{
    return cJSON_IsTrue(node) ? 1 : 0;
}


ngx_http_gray_json_t *
ngx_http_gray_json_first(const ngx_http_gray_json_t *node)
{
    return (node == NULL) ? NULL : node->child;
}


ngx_http_gray_json_t *
ngx_http_gray_json_next(const ngx_http_gray_json_t *node)
{
    return (node == NULL) ? NULL : node->next;
}


ngx_uint_t
ngx_http_gray_json_count(const ngx_http_gray_json_t *node)
{
    return (node == NULL) ? 0 : (ngx_uint_t) cJSON_GetArraySize(node);
}


ngx_http_gray_json_t *
ngx_http_gray_json_get(const ngx_http_gray_json_t *object, const char *key)
{
    if (!cJSON_IsObject(object)) {
        return NULL;
    }

    return cJSON_GetObjectItemCaseSensitive(object, key);
}


ngx_http_gray_json_t *
ngx_http_gray_json_item(const ngx_http_gray_json_t *array, ngx_uint_t index)
{
    ngx_http_gray_json_t  *item;

    if (!cJSON_IsArray(array)) {
        return NULL;
    }

    for (item = array->child; item && index; item = item->next) {
        index--;
    }

    return item;
}


ngx_uint_t
ngx_http_gray_json_equal(const ngx_http_gray_json_t *a,
    const ngx_http_gray_json_t *b)
{
    ngx_http_gray_json_type_e  type;

    type = ngx_http_gray_json_type(a);

    if (type != ngx_http_gray_json_type(b)) {
        return 0;
    }

    switch (type) {

    case NGX_HTTP_GRAY_JSON_BOOLEAN:
        return ngx_http_gray_json_true(a) == ngx_http_gray_json_true(b);

    case NGX_HTTP_GRAY_JSON_NUMBER:
        return a->valuedouble == b->valuedouble;

    case NGX_HTTP_GRAY_JSON_STRING:
        return ngx_strcmp(a->valuestring, b->valuestring) == 0;

    case NGX_HTTP_GRAY_JSON_ARRAY:

        a = a->child;
        b = b->child;

        while (a && b) {
            if (!ngx_http_gray_json_equal(a, b)) {
                return 0;
            }

            a = a->next;
            b = b->next;
        }

        return a == b;

    case NGX_HTTP_GRAY_JSON_OBJECT:
        return ngx_http_gray_json_equal_members(a, b);

    default: /* NGX_HTTP_GRAY_JSON_NULL */
        return 1;
    }
}


/* where there is no memory to sort large objects, they are searched too */

static ngx_uint_t
ngx_http_gray_json_equal_members(const ngx_http_gray_json_t *a,
    const ngx_http_gray_json_t *b)
{
    ngx_uint_t                    i, n, equal;
    ngx_http_gray_json_t         *child, *other;
    ngx_http_gray_json_member_t  *one, *two;

    n = ngx_http_gray_json_count(a);

    if (n != ngx_http_gray_json_count(b)) {
        return 0;
    }

    one = NULL;
    two = NULL;
    equal = 1;

    if (n > NGX_HTTP_GRAY_JSON_FEW) {
        one = ngx_http_gray_json_sort(a, n);
        two = ngx_http_gray_json_sort(b, n);
    }

    if (one && two) {
        for (i = 0; i < n && equal; i++) {
            equal = ngx_strcmp(one[i].node->string, two[i].node->string) == 0
                    && ngx_http_gray_json_equal(one[i].node, two[i].node);
        }

    } else {
        for (child = a->child; child && equal; child = child->next) {
            other = ngx_http_gray_json_get(b, child->string);
            equal = other && ngx_http_gray_json_equal(child, other);
        }
    }

    free(one);
    free(two);

    return equal;
}


ngx_int_t
ngx_http_gray_json_set(ngx_http_gray_json_t *object, const char *key,
    ngx_http_gray_json_t *child)
{
    ngx_http_gray_json_t  *node;

    node = ngx_http_gray_json_get(object, key);

    if (node == NULL) {
        return ngx_http_gray_json_add(object, key, child);
    }

    return ngx_http_gray_json_replace(object, node, child);
}


ngx_int_t
ngx_http_gray_json_add(ngx_http_gray_json_t *object, const char *key,
    ngx_http_gray_json_t *child)
{
    if (child == NULL) {
        return NGX_ERROR;
    }

    if (!cJSON_IsObject(object) || !cJSON_AddItemToObject(object, key, child))
    {
        cJSON_Delete(child);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_gray_json_append(ngx_http_gray_json_t *array,
    ngx_http_gray_json_t *child)
{
    return ngx_http_gray_json_insert(array, NULL, child);
}


/* cJSON inserts by index only, which is to walk the list once more */

ngx_int_t
ngx_http_gray_json_insert(ngx_http_gray_json_t *array,
    ngx_http_gray_json_t *next, ngx_http_gray_json_t *child)
{
    if (child == NULL) {
        return NGX_ERROR;
    }

    if (!cJSON_IsArray(array)) {
        goto failed;
    }

    if (next == NULL) {
        if (!cJSON_AddItemToArray(array, child)) {
            goto failed;
        }

        return NGX_OK;
    }

    child->next = next;
    child->prev = next->prev;
    next->prev = child;

    if (array->child == next) {
        array->child = child;

    } else {
        child->prev->next = child;
    }

    return NGX_OK;

failed:

    cJSON_Delete(child);

    return NGX_ERROR;
}


/* the key moves over: cJSON's way would copy it, and lose it out of memory */

ngx_int_t
ngx_http_gray_json_replace(ngx_http_gray_json_t *container,
    ngx_http_gray_json_t *node, ngx_http_gray_json_t *child)
{
    char  *key;

    if (child == NULL) {
        return NGX_ERROR;
    }

    key = child->string;
    child->string = node->string;
    node->string = key;

    if (!cJSON_ReplaceItemViaPointer(container, node, child)) {
        node->string = child->string;
        child->string = key;
        cJSON_Delete(child);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_http_gray_json_t *
ngx_http_gray_json_detach(ngx_http_gray_json_t *object, const char *key)
{
    return ngx_http_gray_json_take(object, ngx_http_gray_json_get(object, key));
}


ngx_http_gray_json_t *
ngx_http_gray_json_take(ngx_http_gray_json_t *container,
    ngx_http_gray_json_t *node)
{
    node = cJSON_DetachItemViaPointer(container, node);

    if (node != NULL && node->string != NULL) {
        cJSON_free(node->string);
        node->string = NULL;
    }

    return node;
}


ngx_int_t
ngx_http_gray_json_print(const ngx_http_gray_json_t *node, ngx_uint_t pretty,
    ngx_str_t *text)
{
    ngx_http_gray_json_writer_t  w;

    ngx_memzero(&w, sizeof(ngx_http_gray_json_writer_t));

    w.pretty = pretty;

    ngx_http_gray_json_write_value(&w, node, 0);
    ngx_http_gray_json_write(&w, "", 1);

    if (w.failed) {
        free(w.data);
        return NGX_ERROR;
    }

    text->len = w.len - 1;
    text->data = w.data;

    return NGX_OK;
}


static void
ngx_http_gray_json_write_value(ngx_http_gray_json_writer_t *w,
    const ngx_http_gray_json_t *node, ngx_uint_t level)
{
    ngx_uint_t                  flat;
    ngx_http_gray_json_t       *child;
    ngx_http_gray_json_type_e   type;

    type = ngx_http_gray_json_type(node);

    switch (type) {

    case NGX_HTTP_GRAY_JSON_NULL:
        ngx_http_gray_json_write(w, "null", 4);
        return;

    case NGX_HTTP_GRAY_JSON_BOOLEAN:
        if (ngx_http_gray_json_true(node)) {
            ngx_http_gray_json_write(w, "true", 4);

        } else {
            ngx_http_gray_json_write(w, "false", 5);
        }

        return;

    case NGX_HTTP_GRAY_JSON_NUMBER:
        ngx_http_gray_json_write_number(w, node->valuedouble);
        return;

    case NGX_HTTP_GRAY_JSON_STRING:
        ngx_http_gray_json_write_string(w, node->valuestring);
        return;

    case NGX_HTTP_GRAY_JSON_ARRAY:
    case NGX_HTTP_GRAY_JSON_OBJECT:
        break;
    }

    flat = !w->pretty || ngx_http_gray_json_flat(node);

    ngx_http_gray_json_write(w,
                             (type == NGX_HTTP_GRAY_JSON_ARRAY) ? "[" : "{",
                             1);

    for (child = node->child; child; child = child->next) {

        if (!flat) {
            ngx_http_gray_json_write_line(w, level + 1);
        }

        if (child->string != NULL) {
            ngx_http_gray_json_write_string(w, child->string);
            ngx_http_gray_json_write(w, ": ", w->pretty ? 2 : 1);
        }

        ngx_http_gray_json_write_value(w, child, level + 1);

        if (child->next) {
            ngx_http_gray_json_write(w, ", ", (flat && w->pretty) ? 2 : 1);
        }
    }

    if (!flat) {
        ngx_http_gray_json_write_line(w, level);
    }

    ngx_http_gray_json_write(w,
                             (type == NGX_HTTP_GRAY_JSON_ARRAY) ? "]" : "}",
                             1);
}


/* is it an empty object or an array of scalars */

static ngx_uint_t
ngx_http_gray_json_flat(const ngx_http_gray_json_t *node)
{
    ngx_http_gray_json_t  *child;

    for (child = node->child; child; child = child->next) {
        if (child->string != NULL || child->child != NULL) {
            return 0;
        }
    }

    return 1;
}


static void
ngx_http_gray_json_write_line(ngx_http_gray_json_writer_t *w,
    ngx_uint_t level)
{
    ngx_http_gray_json_write(w, "\n", 1);

    while (level--) {
        ngx_http_gray_json_write(w, "  ", 2);
    }
}


static void
ngx_http_gray_json_write_string(ngx_http_gray_json_writer_t *w,
    const char *text)
{
    char           buf[sizeof("\\u0000")];
    size_t         len;
    const u_char  *p, *start;

    ngx_http_gray_json_write(w, "\"", 1);

    start = (const u_char *) text;

    for (p = start; *p; p++) {

        switch (*p) {

        case '"':
        case '\\':
            len = snprintf(buf, sizeof(buf), "\\%c", *p);
            break;

        case '\n':
            len = snprintf(buf, sizeof(buf), "\\n");
            break;

        case '\r':
            len = snprintf(buf, sizeof(buf), "\\r");
            break;

        case '\t':
            len = snprintf(buf, sizeof(buf), "\\t");
            break;

        default:
            if (*p >= 0x20 && *p != 0x7f) {
                continue;
            }

            len = snprintf(buf, sizeof(buf), "\\u%04x", *p);
        }

        ngx_http_gray_json_write(w, start, p - start);
        ngx_http_gray_json_write(w, buf, len);

        start = p + 1;
    }

    ngx_http_gray_json_write(w, start, p - start);
    ngx_http_gray_json_write(w, "\"", 1);
}


static void
ngx_http_gray_json_write_number(ngx_http_gray_json_writer_t *w, double value)
{
    int   digits;
    char  buf[64], *p, *last;

    if (!isfinite(value)) {
        ngx_http_gray_json_write(w, "null", 4);
        return;
    }

    if (value > -1e18 && value < 1e18 && value == (double) (int64_t) value) {
        ngx_http_gray_json_write(w, buf, snprintf(buf, sizeof(buf), "%lld",
                                                  (long long) value));
        return;
    }

    for (digits = 15; digits <= 17; digits++) {
        (void) snprintf(buf, sizeof(buf), "%.*g", digits, value);

        if (strtod(buf, NULL) == value) {
            break;
        }
    }

    /* whatever stands for the point in this locale, in one byte or more */

    last = buf;

    for (p = buf; *p; p++) {

        if ((*p >= '0' && *p <= '9') || *p == '-' || *p == '+' || *p == 'e') {
            *last++ = *p;

        } else if (last[-1] != '.') {
            *last++ = '.';
        }
    }

    ngx_http_gray_json_write(w, buf, last - buf);
}


static void
ngx_http_gray_json_write(ngx_http_gray_json_writer_t *w, const void *data,
    size_t len)
{
    size_t   size;
    u_char  *p;

    if (w->failed || len == 0) {
        return;
    }

    if (w->size - w->len < len) {
        size = w->size ? w->size * 2 : 256;

        while (size - w->len < len) {
            size *= 2;
        }

        p = realloc(w->data, size);
        if (p == NULL) {
            w->failed = 1;
            return;
        }

        w->data = p;
        w->size = size;
    }

    ngx_memcpy(w->data + w->len, data, len);
    w->len += len;
}


void
ngx_http_gray_json_fault(ngx_http_gray_faults_t *faults,
    const ngx_http_gray_path_t *path, const char *fmt, ...)
{
    int                     n;
    char                   *p, *last;
    va_list                 args;
    ngx_http_gray_fault_t  *fault;

    if (faults == NULL || faults->n++ >= NGX_HTTP_GRAY_FAULTS) {
        return;
    }

    fault = &faults->fault[faults->n - 1];

    last = fault->pointer + sizeof(fault->pointer) - 1;
    p = ngx_http_gray_json_pointer(fault->pointer, &last, path);
    *p = '\0';

    va_start(args, fmt);
    n = vsnprintf(fault->detail, sizeof(fault->detail), fmt, args);
    va_end(args);

    if (n < 0) {
        n = 0;
    }

    fault->detail[ngx_http_gray_scan_cut(fault->detail, n,
                                         sizeof(fault->detail) - 1)] = '\0';
}


/* RFC 6901; what was cut once is full: "last" comes down to its end */

static char *
ngx_http_gray_json_pointer(char *p, char **last,
    const ngx_http_gray_path_t *path)
{
    char         buf[sizeof("18446744073709551615")];
    size_t       n;
    const char  *s, *end;

    if (path == NULL) {
        return p;
    }

    p = ngx_http_gray_json_pointer(p, last, path->parent);

    s = path->key;

    if (s == NULL) {
        (void) snprintf(buf, sizeof(buf), "%lu", (unsigned long) path->index);
        s = buf;
    }

    if (*last - p < 1) {
        *last = p;
        return p;
    }

    *p++ = '/';

    end = s + ngx_strlen(s);

    while (s < end) {
        n = ngx_http_gray_scan_utf8((const u_char *) s, (const u_char *) end);
        n = n ? n : 1;

        if (*last - p < (ssize_t) ((*s == '~' || *s == '/') ? 2 : n)) {
            *last = p;
            return p;
        }

        if (*s == '~' || *s == '/') {
            *p++ = '~';
            *p++ = (*s == '~') ? '0' : '1';

        } else {
            p = (char *) ngx_cpymem(p, s, n);
        }

        s += n;
    }

    return p;
}
