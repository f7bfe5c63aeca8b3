
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The two ways to say what is to change in a document.
 *
 * A merge patch (RFC 7396) is a document with holes: members replace members,
 * null removes, and anything but an object is taken as it is.  It is applied
 * in one walk over the patch.  The members of the object that is changed are
 * sorted once, so that a patch of many members costs n log n and not n * m.
 *
 * A JSON patch (RFC 6902) is a list of operations on places, which are JSON
 * pointers (RFC 6901).  All operations are judged by their form before the
 * first is applied, so that every malformed one is reported; from then on the
 * first fault ends it.  A place is looked up anew for each operation, since
 * each may have moved what the next one names.
 *
 * Two hundred "copy" of a container into itself would fill any machine.  So
 * what the document holds at first, and all that is added and copied to it,
 * are counted together and bounded, in values and in bytes of keys and
 * strings; what is removed is not given back.  That bounds time as well.
 * Depth is bounded where a value is put, to what the parser would accept.
 *
 * The trees belong to the caller; nothing here outlives a call, or locks.
 * On failure the target is a whole tree, but half changed.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_gray_json.h"
#include "ngx_http_gray_patch.h"


typedef struct ngx_http_gray_patch_op_s  ngx_http_gray_patch_op_t;


typedef struct {
    ngx_http_gray_json_t           **target;
    ngx_http_gray_faults_t          *faults;

    /* what the document held at first, and all that came to it */
    ngx_uint_t                       nodes;
    size_t                           bytes;

    /* the operation that is applied */
    const ngx_http_gray_patch_op_t  *op;
    ngx_uint_t                       index;
    const char                      *path;
    const char                      *from;
    const ngx_http_gray_json_t      *value;
} ngx_http_gray_patch_ctx_t;


struct ngx_http_gray_patch_op_s {
    const char                      *name;
    ngx_uint_t                       from;
    ngx_uint_t                       value;
    ngx_int_t                      (*handler)(ngx_http_gray_patch_ctx_t *ctx);
};


/*
 * Where a pointer leads: "container" is NULL for the whole document.  "node"
 * is NULL where nothing is there; "vacant" says that it could be: a member
 * not yet there, or the place after the last item.
 */

typedef struct {
    ngx_http_gray_json_t            *container;
    ngx_http_gray_json_t            *node;
    ngx_uint_t                       vacant;
    ngx_uint_t                       depth;

    /* the last token, in "buffer" */
    const char                      *token;
    char                            *buffer;
} ngx_http_gray_patch_place_t;


typedef struct {
    ngx_uint_t                       nodes;
    ngx_uint_t                       depth;
    size_t                           bytes;
} ngx_http_gray_patch_size_t;


static ngx_int_t ngx_http_gray_patch_merge_members(
    ngx_http_gray_json_t *target, const ngx_http_gray_json_t *patch);
static ngx_int_t ngx_http_gray_patch_merge_member(
    ngx_http_gray_json_t *target, ngx_http_gray_json_t *node,
    const ngx_http_gray_json_t *patch);
static int ngx_http_gray_patch_compare(const void *one, const void *two);
static int ngx_http_gray_patch_find(const void *key, const void *member);
static ngx_int_t ngx_http_gray_patch_read(ngx_http_gray_patch_ctx_t *ctx,
    const ngx_http_gray_json_t *node);
static const char *ngx_http_gray_patch_read_pointer(
    ngx_http_gray_patch_ctx_t *ctx, const ngx_http_gray_json_t *node,
    const char *name);
static ngx_int_t ngx_http_gray_patch_add(ngx_http_gray_patch_ctx_t *ctx);
static ngx_int_t ngx_http_gray_patch_remove(ngx_http_gray_patch_ctx_t *ctx);
static ngx_int_t ngx_http_gray_patch_replace(ngx_http_gray_patch_ctx_t *ctx);
static ngx_int_t ngx_http_gray_patch_move(ngx_http_gray_patch_ctx_t *ctx);
static ngx_int_t ngx_http_gray_patch_copy(ngx_http_gray_patch_ctx_t *ctx);
static ngx_int_t ngx_http_gray_patch_test(ngx_http_gray_patch_ctx_t *ctx);
static ngx_int_t ngx_http_gray_patch_put(ngx_http_gray_patch_ctx_t *ctx,
    ngx_http_gray_json_t *child);
static ngx_int_t ngx_http_gray_patch_put_at(ngx_http_gray_patch_ctx_t *ctx,
    ngx_http_gray_patch_place_t *place, ngx_uint_t insert,
    ngx_http_gray_json_t *child);
static ngx_int_t ngx_http_gray_patch_take(ngx_http_gray_patch_ctx_t *ctx,
    ngx_uint_t from, ngx_http_gray_json_t **node);
static ngx_int_t ngx_http_gray_patch_count(ngx_http_gray_patch_ctx_t *ctx,
    const ngx_http_gray_json_t *node);
static void ngx_http_gray_patch_measure(const ngx_http_gray_json_t *node,
    ngx_uint_t depth, ngx_http_gray_patch_size_t *size);
static ngx_int_t ngx_http_gray_patch_locate(ngx_http_gray_patch_ctx_t *ctx,
    ngx_uint_t from, ngx_uint_t vacant, ngx_http_gray_patch_place_t *place);
static ngx_int_t ngx_http_gray_patch_step(ngx_http_gray_patch_ctx_t *ctx,
    ngx_uint_t from, ngx_http_gray_patch_place_t *place);
static void ngx_http_gray_patch_missing(ngx_http_gray_patch_ctx_t *ctx,
    ngx_uint_t from, ngx_http_gray_patch_place_t *place);
static char *ngx_http_gray_patch_token(char *p);
static ngx_int_t ngx_http_gray_patch_index(const char *token);
static void ngx_http_gray_patch_fault(ngx_http_gray_patch_ctx_t *ctx,
    const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));


static const ngx_http_gray_patch_op_t  ngx_http_gray_patch_ops[] = {
    { "add",     0, 1, ngx_http_gray_patch_add },
    { "remove",  0, 0, ngx_http_gray_patch_remove },
    { "replace", 0, 1, ngx_http_gray_patch_replace },
    { "move",    1, 0, ngx_http_gray_patch_move },
    { "copy",    1, 0, ngx_http_gray_patch_copy },
    { "test",    0, 1, ngx_http_gray_patch_test },
    { NULL,      0, 0, NULL }
};


/* by ngx_http_gray_json_type_e */

static const char  *ngx_http_gray_patch_types[] = {
    "null", "a boolean", "a number", "a string", "an array", "an object"
};


ngx_int_t
ngx_http_gray_patch_merge(ngx_http_gray_json_t **target,
    const ngx_http_gray_json_t *patch)
{
    ngx_http_gray_json_t       *node;
    ngx_http_gray_json_type_e   type;

    type = ngx_http_gray_json_type(patch);

    if (type == NGX_HTTP_GRAY_JSON_OBJECT
        && ngx_http_gray_json_type(*target) == NGX_HTTP_GRAY_JSON_OBJECT)
    {
        return ngx_http_gray_patch_merge_members(*target, patch);
    }

    if (type == NGX_HTTP_GRAY_JSON_OBJECT) {
        node = ngx_http_gray_json_object();

    } else {
        node = ngx_http_gray_json_copy(patch);
    }

    if (node == NULL) {
        return NGX_ERROR;
    }

    ngx_http_gray_json_free(*target);
    *target = node;

    if (type == NGX_HTTP_GRAY_JSON_OBJECT) {
        return ngx_http_gray_patch_merge_members(node, patch);
    }

    return NGX_OK;
}


/*
 * All members are looked up before the first is changed, as what is sorted
 * goes with the members.  A patch names none twice, so what is appended for
 * one need not be found for another.
 */

static ngx_int_t
ngx_http_gray_patch_merge_members(ngx_http_gray_json_t *target,
    const ngx_http_gray_json_t *patch)
{
    ngx_int_t                    rc;
    ngx_uint_t                   i, n, n_patch;
    ngx_http_gray_json_t        *node, **members, **found, **match;
    const ngx_http_gray_json_t  *first;

    n = ngx_http_gray_json_count(target);
    n_patch = ngx_http_gray_json_count(patch);

    if (n_patch == 0) {
        return NGX_OK;
    }

    members = malloc((n + n_patch) * sizeof(ngx_http_gray_json_t *));
    if (members == NULL) {
        return NGX_ERROR;
    }

    found = members + n;
    i = 0;

    for (node = ngx_http_gray_json_first(target);
         node;
         node = ngx_http_gray_json_next(node))
    {
        members[i++] = node;
    }

    qsort(members, n, sizeof(ngx_http_gray_json_t *),
          ngx_http_gray_patch_compare);

    first = ngx_http_gray_json_first(patch);
    i = 0;

    for (patch = first; patch; patch = ngx_http_gray_json_next(patch)) {
        match = bsearch(ngx_http_gray_json_key(patch), members, n,
                        sizeof(ngx_http_gray_json_t *),
                        ngx_http_gray_patch_find);

        found[i++] = match ? *match : NULL;
    }

    rc = NGX_OK;
    i = 0;

    for (patch = first;
         patch && rc == NGX_OK;
         patch = ngx_http_gray_json_next(patch))
    {
        rc = ngx_http_gray_patch_merge_member(target, found[i++], patch);
    }

    free(members);

    return rc;
}


static ngx_int_t
ngx_http_gray_patch_merge_member(ngx_http_gray_json_t *target,
    ngx_http_gray_json_t *node, const ngx_http_gray_json_t *patch)
{
    ngx_http_gray_json_t       *child;
    ngx_http_gray_json_type_e   type;

    type = ngx_http_gray_json_type(patch);

    if (type == NGX_HTTP_GRAY_JSON_NULL) {
        if (node != NULL) {
            ngx_http_gray_json_free(ngx_http_gray_json_take(target, node));
        }

        return NGX_OK;
    }

    if (type != NGX_HTTP_GRAY_JSON_OBJECT) {
        child = ngx_http_gray_json_copy(patch);

    } else if (ngx_http_gray_json_type(node) == NGX_HTTP_GRAY_JSON_OBJECT) {
        return ngx_http_gray_patch_merge_members(node, patch);

    } else {
        child = ngx_http_gray_json_object();

        if (child != NULL
            && ngx_http_gray_patch_merge_members(child, patch) != NGX_OK)
        {
            ngx_http_gray_json_free(child);
            return NGX_ERROR;
        }
    }

    if (node != NULL) {
        return ngx_http_gray_json_replace(target, node, child);
    }

    return ngx_http_gray_json_add(target, ngx_http_gray_json_key(patch),
                                  child);
}


static int
ngx_http_gray_patch_compare(const void *one, const void *two)
{
    const ngx_http_gray_json_t *const  *a, *const *b;

    a = one;
    b = two;

    return ngx_strcmp(ngx_http_gray_json_key(*a), ngx_http_gray_json_key(*b));
}


static int
ngx_http_gray_patch_find(const void *key, const void *member)
{
    const ngx_http_gray_json_t *const  *node;

    node = member;

    return ngx_strcmp(key, ngx_http_gray_json_key(*node));
}


ngx_int_t
ngx_http_gray_patch_apply(ngx_http_gray_json_t **target,
    const ngx_http_gray_json_t *patch, ngx_http_gray_faults_t *faults)
{
    ngx_int_t                   rc;
    ngx_uint_t                  n;
    ngx_http_gray_json_t       *node;
    ngx_http_gray_patch_ctx_t   ctx;

    if (ngx_http_gray_json_type(patch) != NGX_HTTP_GRAY_JSON_ARRAY) {
        ngx_http_gray_json_fault(faults, NULL,
                                 "must be an array of operations");
        return NGX_DECLINED;
    }

    n = ngx_http_gray_json_count(patch);

    if (n > NGX_HTTP_GRAY_PATCH_OPS) {
        ngx_http_gray_json_fault(faults, NULL,
                                 "%lu operations, must be at most %d",
                                 (unsigned long) n, NGX_HTTP_GRAY_PATCH_OPS);
        return NGX_DECLINED;
    }

    ngx_memzero(&ctx, sizeof(ngx_http_gray_patch_ctx_t));

    ctx.target = target;
    ctx.faults = faults;

    rc = NGX_OK;

    for (node = ngx_http_gray_json_first(patch);
         node;
         node = ngx_http_gray_json_next(node))
    {
        if (ngx_http_gray_patch_read(&ctx, node) != NGX_OK) {
            rc = NGX_DECLINED;
        }

        ctx.index++;
    }

    if (rc != NGX_OK || n == 0) {
        return rc;
    }

    ctx.index = 0;

    if (ngx_http_gray_patch_count(&ctx, *target) != NGX_OK) {
        return NGX_DECLINED;
    }

    for (node = ngx_http_gray_json_first(patch);
         node;
         node = ngx_http_gray_json_next(node))
    {
        (void) ngx_http_gray_patch_read(&ctx, node);

        rc = ctx.op->handler(&ctx);

        if (rc != NGX_OK) {
            return rc;
        }

        ctx.index++;
    }

    return NGX_OK;
}


/* members that the operation does not know are no fault, RFC 6902 says */

static ngx_int_t
ngx_http_gray_patch_read(ngx_http_gray_patch_ctx_t *ctx,
    const ngx_http_gray_json_t *node)
{
    ngx_str_t                        name;
    ngx_http_gray_json_t            *op;
    const ngx_http_gray_patch_op_t  *known;

    if (ngx_http_gray_json_type(node) != NGX_HTTP_GRAY_JSON_OBJECT) {
        ngx_http_gray_patch_fault(ctx, NULL,
            "must be an object with \"op\" and \"path\"");
        return NGX_DECLINED;
    }

    op = ngx_http_gray_json_get(node, "op");
    name = ngx_http_gray_json_text(op);

    for (known = ngx_http_gray_patch_ops; known->name; known++) {
        if (name.data && ngx_strcmp(known->name, name.data) == 0) {
            break;
        }
    }

    if (known->name == NULL) {
        ngx_http_gray_patch_fault(ctx, op ? "op" : NULL, "%s must be \"add\", "
            "\"remove\", \"replace\", \"move\", \"copy\" or \"test\"",
            op ? "it" : "\"op\"");
        return NGX_DECLINED;
    }

    ctx->op = known;
    ctx->path = ngx_http_gray_patch_read_pointer(ctx, node, "path");
    ctx->from = NULL;
    ctx->value = NULL;

    if (ctx->path == NULL) {
        return NGX_DECLINED;
    }

    if (known->from) {
        ctx->from = ngx_http_gray_patch_read_pointer(ctx, node, "from");

        if (ctx->from == NULL) {
            return NGX_DECLINED;
        }
    }

    if (known->value) {
        ctx->value = ngx_http_gray_json_get(node, "value");

        if (ctx->value == NULL) {
            ngx_http_gray_patch_fault(ctx, NULL, "\"%s\" must have a \"value\"",
                                      known->name);
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static const char *
ngx_http_gray_patch_read_pointer(ngx_http_gray_patch_ctx_t *ctx,
    const ngx_http_gray_json_t *node, const char *name)
{
    ngx_str_t    text;
    const char  *p;

    node = ngx_http_gray_json_get(node, name);

    if (node == NULL) {
        ngx_http_gray_patch_fault(ctx, NULL, "\"%s\" must have a \"%s\"",
                                  ctx->op->name, name);
        return NULL;
    }

    text = ngx_http_gray_json_text(node);

    if (text.data == NULL) {
        ngx_http_gray_patch_fault(ctx, name, "must be a string");
        return NULL;
    }

    if (text.len > 0 && text.data[0] != '/') {
        ngx_http_gray_patch_fault(ctx, name,
                                  "must be empty or begin with \"/\"");
        return NULL;
    }

    for (p = (const char *) text.data; *p; p++) {
        if (*p == '~' && p[1] != '0' && p[1] != '1') {
            ngx_http_gray_patch_fault(ctx, name,
                "\"~\" must be followed by 0 or 1");
            return NULL;
        }
    }

    return (const char *) text.data;
}


static ngx_int_t
ngx_http_gray_patch_add(ngx_http_gray_patch_ctx_t *ctx)
{
    ngx_http_gray_json_t  *child;

    if (ngx_http_gray_patch_count(ctx, ctx->value) != NGX_OK) {
        return NGX_DECLINED;
    }

    child = ngx_http_gray_json_copy(ctx->value);
    if (child == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_gray_patch_put(ctx, child);
}


static ngx_int_t
ngx_http_gray_patch_remove(ngx_http_gray_patch_ctx_t *ctx)
{
    ngx_int_t              rc;
    ngx_http_gray_json_t  *node;

    rc = ngx_http_gray_patch_take(ctx, 0, &node);

    if (rc == NGX_OK) {
        ngx_http_gray_json_free(node);
    }

    return rc;
}


static ngx_int_t
ngx_http_gray_patch_replace(ngx_http_gray_patch_ctx_t *ctx)
{
    ngx_int_t                     rc;
    ngx_http_gray_json_t         *child;
    ngx_http_gray_patch_place_t   place;

    if (ngx_http_gray_patch_count(ctx, ctx->value) != NGX_OK) {
        return NGX_DECLINED;
    }

    rc = ngx_http_gray_patch_locate(ctx, 0, 0, &place);

    if (rc != NGX_OK) {
        return rc;
    }

    child = ngx_http_gray_json_copy(ctx->value);

    if (child == NULL) {
        rc = NGX_ERROR;

    } else {
        rc = ngx_http_gray_patch_put_at(ctx, &place, 0, child);
    }

    free(place.buffer);

    return rc;
}


/*
 * An index has one spelling, and so has a key: a place that is within another
 * has a pointer that begins with the other's.
 */

static ngx_int_t
ngx_http_gray_patch_move(ngx_http_gray_patch_ctx_t *ctx)
{
    size_t                        len;
    ngx_int_t                     rc;
    ngx_http_gray_json_t         *node;
    ngx_http_gray_patch_place_t   place;

    len = ngx_strlen(ctx->from);

    if (ngx_strncmp(ctx->from, ctx->path, len) == 0) {

        if (ctx->path[len] == '/') {
            ngx_http_gray_patch_fault(ctx, "path",
                "must not be within what is moved, \"%s\"", ctx->from);
            return NGX_DECLINED;
        }

        if (ctx->path[len] == '\0') {
            rc = ngx_http_gray_patch_locate(ctx, 1, 0, &place);

            if (rc == NGX_OK) {
                free(place.buffer);
            }

            return rc;
        }
    }

    rc = ngx_http_gray_patch_take(ctx, 1, &node);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_gray_patch_put(ctx, node);
}


static ngx_int_t
ngx_http_gray_patch_copy(ngx_http_gray_patch_ctx_t *ctx)
{
    ngx_int_t                     rc;
    ngx_http_gray_json_t         *child;
    ngx_http_gray_patch_place_t   place;

    rc = ngx_http_gray_patch_locate(ctx, 1, 0, &place);

    if (rc != NGX_OK) {
        return rc;
    }

    free(place.buffer);

    if (ngx_http_gray_patch_count(ctx, place.node) != NGX_OK) {
        return NGX_DECLINED;
    }

    child = ngx_http_gray_json_copy(place.node);
    if (child == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_gray_patch_put(ctx, child);
}


static ngx_int_t
ngx_http_gray_patch_test(ngx_http_gray_patch_ctx_t *ctx)
{
    ngx_int_t                    rc;
    ngx_str_t                    text;
    ngx_http_gray_patch_place_t  place;

    rc = ngx_http_gray_patch_locate(ctx, 0, 0, &place);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_ABORT : rc;
    }

    free(place.buffer);

    if (ngx_http_gray_json_equal(place.node, ctx->value)) {
        return NGX_OK;
    }

    if (ngx_http_gray_json_print(place.node, 0, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_gray_patch_fault(ctx, "value", "the value there is %s",
                              (char *) text.data);
    free(text.data);

    return NGX_ABORT;
}


/* puts "child" at "path", or frees it */

static ngx_int_t
ngx_http_gray_patch_put(ngx_http_gray_patch_ctx_t *ctx,
    ngx_http_gray_json_t *child)
{
    ngx_int_t                    rc;
    ngx_http_gray_patch_place_t  place;

    rc = ngx_http_gray_patch_locate(ctx, 0, 1, &place);

    if (rc != NGX_OK) {
        ngx_http_gray_json_free(child);
        return rc;
    }

    rc = ngx_http_gray_patch_put_at(ctx, &place, 1, child);

    free(place.buffer);

    return rc;
}


/* where "insert" is set, an item is put before that of the place */

static ngx_int_t
ngx_http_gray_patch_put_at(ngx_http_gray_patch_ctx_t *ctx,
    ngx_http_gray_patch_place_t *place, ngx_uint_t insert,
    ngx_http_gray_json_t *child)
{
    ngx_http_gray_patch_size_t  size;

    ngx_memzero(&size, sizeof(ngx_http_gray_patch_size_t));

    ngx_http_gray_patch_measure(child, place->depth, &size);

    if (size.depth > NGX_HTTP_GRAY_JSON_DEPTH) {
        ngx_http_gray_patch_fault(ctx, "path",
                                  "what is put there would be nested deeper "
                                  "than %d levels", NGX_HTTP_GRAY_JSON_DEPTH);
        ngx_http_gray_json_free(child);
        return NGX_DECLINED;
    }

    if (place->container == NULL) {
        ngx_http_gray_json_free(*ctx->target);
        *ctx->target = child;
        return NGX_OK;
    }

    if (ngx_http_gray_json_type(place->container) == NGX_HTTP_GRAY_JSON_ARRAY
        && (insert || place->node == NULL))
    {
        return ngx_http_gray_json_insert(place->container, place->node, child);
    }

    if (place->node == NULL) {
        return ngx_http_gray_json_add(place->container, place->token, child);
    }

    return ngx_http_gray_json_replace(place->container, place->node, child);
}


/* takes what is at the place out of the document */

static ngx_int_t
ngx_http_gray_patch_take(ngx_http_gray_patch_ctx_t *ctx, ngx_uint_t from,
    ngx_http_gray_json_t **node)
{
    ngx_int_t                    rc;
    ngx_http_gray_patch_place_t  place;

    rc = ngx_http_gray_patch_locate(ctx, from, 0, &place);

    if (rc != NGX_OK) {
        return rc;
    }

    free(place.buffer);

    if (place.container == NULL) {
        ngx_http_gray_patch_fault(ctx, from ? "from" : "path",
            "the whole document cannot be removed");
        return NGX_DECLINED;
    }

    *node = ngx_http_gray_json_take(place.container, place.node);

    return NGX_OK;
}


/* counts what is in the document or comes to it, against the bounds */

static ngx_int_t
ngx_http_gray_patch_count(ngx_http_gray_patch_ctx_t *ctx,
    const ngx_http_gray_json_t *node)
{
    ngx_http_gray_patch_size_t  size;

    ngx_memzero(&size, sizeof(ngx_http_gray_patch_size_t));

    ngx_http_gray_patch_measure(node, 0, &size);

    ctx->nodes += size.nodes;
    ctx->bytes += size.bytes;

    if (ctx->nodes > NGX_HTTP_GRAY_PATCH_NODES
        || ctx->bytes > NGX_HTTP_GRAY_PATCH_BYTES)
    {
        ngx_http_gray_patch_fault(ctx, NULL,
            "the document and all that is added to it must be at most %d "
            "values and %d bytes",
            NGX_HTTP_GRAY_PATCH_NODES, NGX_HTTP_GRAY_PATCH_BYTES);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* adds up "node", which is within "depth" arrays and objects */

static void
ngx_http_gray_patch_measure(const ngx_http_gray_json_t *node,
    ngx_uint_t depth, ngx_http_gray_patch_size_t *size)
{
    const char                 *key;
    ngx_http_gray_json_type_e   type;

    type = ngx_http_gray_json_type(node);
    key = ngx_http_gray_json_key(node);

    size->nodes++;
    size->bytes += (key ? ngx_strlen(key) : 0)
                   + ngx_http_gray_json_text(node).len;

    if (type == NGX_HTTP_GRAY_JSON_ARRAY || type == NGX_HTTP_GRAY_JSON_OBJECT)
    {
        depth++;
    }

    size->depth = ngx_max(size->depth, depth);

    for (node = ngx_http_gray_json_first(node);
         node;
         node = ngx_http_gray_json_next(node))
    {
        ngx_http_gray_patch_measure(node, depth, size);
    }
}


/*
 * Follows "from" or else "path".  With "vacant", a place will do where
 * nothing is yet.  On NGX_OK place->buffer is to be freed with free().
 */

static ngx_int_t
ngx_http_gray_patch_locate(ngx_http_gray_patch_ctx_t *ctx, ngx_uint_t from,
    ngx_uint_t vacant, ngx_http_gray_patch_place_t *place)
{
    char        *p, *next;
    size_t       size;
    ngx_int_t    rc;
    const char  *pointer;

    pointer = from ? ctx->from : ctx->path;
    size = ngx_strlen(pointer) + 1;

    ngx_memzero(place, sizeof(ngx_http_gray_patch_place_t));

    place->node = *ctx->target;
    place->buffer = malloc(size);

    if (place->buffer == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(place->buffer, pointer, size);

    rc = NGX_OK;
    p = (size > 1) ? place->buffer + 1 : NULL;

    while (p && rc == NGX_OK) {
        next = ngx_http_gray_patch_token(p);

        place->token = p;
        rc = ngx_http_gray_patch_step(ctx, from, place);

        if (rc == NGX_OK
            && place->node == NULL
            && (next || !vacant || !place->vacant))
        {
            ngx_http_gray_patch_missing(ctx, from, place);
            rc = NGX_DECLINED;
        }

        p = next;
    }

    if (rc != NGX_OK) {
        free(place->buffer);
    }

    return rc;
}


static ngx_int_t
ngx_http_gray_patch_step(ngx_http_gray_patch_ctx_t *ctx, ngx_uint_t from,
    ngx_http_gray_patch_place_t *place)
{
    ngx_int_t                  index;
    ngx_http_gray_json_type_e  type;

    type = ngx_http_gray_json_type(place->node);

    if (type != NGX_HTTP_GRAY_JSON_OBJECT && type != NGX_HTTP_GRAY_JSON_ARRAY)
    {
        ngx_http_gray_patch_fault(ctx, from ? "from" : "path",
                                  "there is no \"%s\" in %s", place->token,
                                  ngx_http_gray_patch_types[type]);
        return NGX_DECLINED;
    }

    place->container = place->node;
    place->depth++;

    if (type == NGX_HTTP_GRAY_JSON_OBJECT) {
        place->node = ngx_http_gray_json_get(place->container, place->token);
        place->vacant = 1;
        return NGX_OK;
    }

    if (ngx_strcmp(place->token, "-") == 0) {
        place->node = NULL;
        place->vacant = 1;
        return NGX_OK;
    }

    index = ngx_http_gray_patch_index(place->token);

    if (index == NGX_ERROR) {
        ngx_http_gray_patch_fault(ctx, from ? "from" : "path",
            "\"%s\" is no index, must be a number without leading zeros, "
            "or \"-\"", place->token);
        return NGX_DECLINED;
    }

    place->node = ngx_http_gray_json_item(place->container, index);
    place->vacant = (index == (ngx_int_t)
                              ngx_http_gray_json_count(place->container));

    return NGX_OK;
}


static void
ngx_http_gray_patch_missing(ngx_http_gray_patch_ctx_t *ctx, ngx_uint_t from,
    ngx_http_gray_patch_place_t *place)
{
    ngx_uint_t  n;

    if (ngx_http_gray_json_type(place->container) == NGX_HTTP_GRAY_JSON_OBJECT)
    {
        ngx_http_gray_patch_fault(ctx, from ? "from" : "path",
                                  "there is no member \"%s\"", place->token);
        return;
    }

    n = ngx_http_gray_json_count(place->container);

    ngx_http_gray_patch_fault(ctx, from ? "from" : "path",
                              "there is no item \"%s\" in an array of %lu",
                              place->token, (unsigned long) n);
}


/* unescapes one token in place; returns the next one, NULL after the last */

static char *
ngx_http_gray_patch_token(char *p)
{
    char  *dst;

    for (dst = p; *p && *p != '/'; p++) {

        if (*p == '~') {
            p++;
            *dst++ = (*p == '0') ? '~' : '/';

        } else {
            *dst++ = *p;
        }
    }

    if (*p == '\0') {
        *dst = '\0';
        return NULL;
    }

    *dst = '\0';

    return p + 1;
}


/* larger than any array where there are too many digits */

static ngx_int_t
ngx_http_gray_patch_index(const char *token)
{
    ngx_int_t    index;
    const char  *p;

    if (*token == '\0' || (*token == '0' && token[1] != '\0')) {
        return NGX_ERROR;
    }

    index = 0;

    for (p = token; *p; p++) {

        if (*p < '0' || *p > '9') {
            return NGX_ERROR;
        }

        index = (p - token < 9) ? index * 10 + (*p - '0') : NGX_MAX_INT32_VALUE;
    }

    return index;
}


/* a fault in the operation itself, or in its member "name" */

static void
ngx_http_gray_patch_fault(ngx_http_gray_patch_ctx_t *ctx, const char *name,
    const char *fmt, ...)
{
    char                  detail[sizeof(((ngx_http_gray_fault_t *) 0)->detail)];
    va_list               args;
    ngx_http_gray_path_t  operation, member;

    operation.parent = NULL;
    operation.key = NULL;
    operation.index = ctx->index;

    member.parent = &operation;
    member.key = name;
    member.index = 0;

    va_start(args, fmt);
    (void) vsnprintf(detail, sizeof(detail), fmt, args);
    va_end(args);

    ngx_http_gray_json_fault(ctx->faults, name ? &member : &operation, "%s",
                             detail);
}
