
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_CONDITION_H_INCLUDED_
#define _NGX_HTTP_GRAY_CONDITION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_json.h"
#include "ngx_http_gray_list.h"
#include "ngx_http_gray_tests.h"
#include "ngx_http_gray_value.h"


/* what attribute of a request a rule set reads */

typedef enum {
    NGX_HTTP_GRAY_VARIABLE = 0,     /* "$name" */
    NGX_HTTP_GRAY_GEO,              /* "geo.PATH" */
    NGX_HTTP_GRAY_DEVICE,           /* "device" */
    NGX_HTTP_GRAY_TIME,             /* "time" */
    NGX_HTTP_GRAY_PERCENT           /* "percent": rules work it out alone */
} ngx_http_gray_attribute_e;


/* which of several values counts */

typedef enum {
    NGX_HTTP_GRAY_AS_NGINX = 0,     /* the one that nginx takes */
    NGX_HTTP_GRAY_FIRST,
    NGX_HTTP_GRAY_LAST,
    NGX_HTTP_GRAY_ANY               /* value->next leads to the others */
} ngx_http_gray_values_e;

/* who sends more of one name is not judged */

#define NGX_HTTP_GRAY_VALUES  256


typedef struct {
    ngx_http_gray_attribute_e       type;
    ngx_http_gray_values_e          values;
    ngx_uint_t                      decode;      /* unsigned  decode:1; */
    ngx_str_t                       name;        /* as in the document */
    ngx_str_t                       of;          /* "$name", or empty */
    ngx_str_t                       salt;        /* of percent */

    void                           *source;      /* of env->attribute() */
    void                           *of_source;
} ngx_http_gray_attribute_t;


/* "attributes" is what follows "name=id" in Set-Cookie, from its ";" on */

typedef struct {
    ngx_str_t                       name;
    ngx_str_t                       attributes;
} ngx_http_gray_cookie_t;


/*
 * What a document's names mean here.  All return NGX_OK with a handle, or
 * NGX_DECLINED with a C string of what would be accepted in "why".
 * attribute() fills in the sources, which may live in "pool"; list() is as in
 * ngx_http_gray_tests.h, and NULL where lists are not known.  With "explain"
 * the places of conditions are kept, and the document must outlive them.
 */

#define NGX_HTTP_GRAY_WHY  320

typedef struct {
    void                           *data;

    ngx_int_t                     (*attribute)(void *data, ngx_pool_t *pool,
                                        ngx_http_gray_attribute_t *attribute,
                                        char *why);
    ngx_int_t                     (*upstream)(void *data, ngx_str_t *name,
                                        void **peer, char *why);
    ngx_int_t                     (*list)(void *data, ngx_str_t *name,
                                        ngx_uint_t networks,
                                        ngx_http_gray_list_t **list,
                                        char *why, size_t size);
    ngx_uint_t                      explain;     /* unsigned  explain:1; */
} ngx_http_gray_rules_env_t;


/*
 * What a decision asks of its caller.
 *
 * get():     the attribute's value, zeroed before, which must stay as it is
 *            until the decision is made; NGX_OK, NGX_DECLINED (there is
 *            none) or NGX_ERROR (it cannot be told).
 * mint():    a new key for who has none; NGX_OK, NGX_DECLINED, or NGX_ERROR
 *            (there would be one, but it cannot be told).
 * random():  a bucket by chance; NGX_HTTP_GRAY_BUCKETS where it cannot be
 *            told.
 */

typedef struct {
    ngx_int_t                     (*get)(void *ctx,
                                        ngx_http_gray_attribute_t *attribute,
                                        ngx_http_gray_value_t *value);
    ngx_int_t                     (*mint)(void *ctx,
                                        ngx_http_gray_cookie_t *cookie,
                                        ngx_str_t *key);
    uint32_t                      (*random)(void *ctx);
} ngx_http_gray_rules_ops_t;


/*
 * An attribute of a rule set, however many conditions read it: its value is
 * fetched when the first of them asks, and kept for that decision.
 */

typedef struct ngx_http_gray_slot_s  ngx_http_gray_slot_t;

struct ngx_http_gray_slot_s {
    ngx_http_gray_attribute_t       attribute;
    ngx_http_gray_slot_t           *of;          /* of percent, or NULL */
    uint64_t                        seed;        /* of percent */
    ngx_uint_t                      unknown;     /* unsigned  unknown:1; */

    ngx_uint_t                      decision;
    ngx_int_t                       state;       /* what get() returned */
    ngx_http_gray_value_t           value;

    ngx_http_gray_slot_t           *next;
};


/* a decision under way */

typedef struct ngx_http_gray_pass_s  ngx_http_gray_pass_t;

struct ngx_http_gray_pass_s {
    const ngx_http_gray_rules_ops_t
                                   *ops;
    void                           *ctx;
    ngx_uint_t                      decision;    /* its number */

    /* the value of percent, as of ops->get(); "data" is for it */
    ngx_int_t                     (*percent)(ngx_http_gray_pass_t *pass,
                                        ngx_http_gray_slot_t *slot,
                                        ngx_http_gray_value_t *value);
    void                           *data;
};


/* a condition: "when" of a rule, or a part of it */

typedef enum {
    NGX_HTTP_GRAY_ALL = 0,
    NGX_HTTP_GRAY_ANY_OF,
    NGX_HTTP_GRAY_NOT,
    NGX_HTTP_GRAY_LEAF
} ngx_http_gray_condition_e;


typedef struct ngx_http_gray_condition_s  ngx_http_gray_condition_t;

struct ngx_http_gray_condition_s {
    ngx_http_gray_condition_e       type;
    ngx_http_gray_slot_t           *slot;        /* of a leaf */
    ngx_http_gray_test_t           *tests;
    ngx_http_gray_condition_t      *children;
    ngx_http_gray_condition_t      *next;
    const ngx_http_gray_path_t     *path;        /* to be explained, or NULL */
};


/* the condition that made a rule not hold, and what it saw */

typedef struct {
    const ngx_http_gray_path_t     *path;        /* NULL: the rule cannot be
                                                    evaluated at all */
    ngx_http_gray_attribute_t      *attribute;
    ngx_http_gray_value_t          *value;       /* NULL: absent or empty */
    ngx_int_t                       state;       /* what get() returned */
    const char                     *op;          /* the operator; NULL where
                                                    it held below a "not" */
} ngx_http_gray_failed_t;


typedef struct {
    ngx_http_gray_tests_compile_t   tests;
    const ngx_http_gray_rules_env_t
                                   *env;
    ngx_http_gray_slot_t           *slots;
    ngx_uint_t                      nslots;

    ngx_uint_t                      missing;     /* unknown names, */
    ngx_str_t                       missed;      /* the first of them */
} ngx_http_gray_conditions_t;


/*
 * Compiles "when".  Without cp->tests.faults what is malformed makes the whole
 * of it NULL.  NULL, with a fault or with cp->tests.failed, where it cannot.
 */
ngx_http_gray_condition_t *ngx_http_gray_condition_compile(
    ngx_http_gray_conditions_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *when);

/* the slot of "$name"; NULL, with a fault or with cp->tests.failed */
ngx_http_gray_slot_t *ngx_http_gray_condition_variable(
    ngx_http_gray_conditions_t *cp, const ngx_http_gray_path_t *path,
    ngx_str_t *name);

/* counts a name that is unknown here */
void ngx_http_gray_condition_miss(ngx_http_gray_conditions_t *cp,
    ngx_str_t *name);

/*
 * Does it hold?  1, 0, or NGX_ERROR where a test cannot be evaluated: trees
 * are evaluated in the document's order and only as far as needed.  A NULL
 * condition is such an error.
 */
ngx_int_t ngx_http_gray_condition_holds(ngx_http_gray_pass_t *pass,
    ngx_http_gray_condition_t *condition);

/* likewise; "failed" is the leaf that decided about it */
ngx_int_t ngx_http_gray_condition_explain(ngx_http_gray_pass_t *pass,
    ngx_http_gray_condition_t *condition, ngx_http_gray_failed_t *failed);

void ngx_http_gray_condition_load(ngx_http_gray_pass_t *pass,
    ngx_http_gray_slot_t *slot);


/* the slot's value for this decision is in it afterwards */

static ngx_inline void
ngx_http_gray_condition_fetch(ngx_http_gray_pass_t *pass,
    ngx_http_gray_slot_t *slot)
{
    if (slot->decision != pass->decision) {
        ngx_http_gray_condition_load(pass, slot);
    }
}


#endif /* _NGX_HTTP_GRAY_CONDITION_H_INCLUDED_ */
