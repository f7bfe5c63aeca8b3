
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Conditions: "when" of a rule, as a tree.
 *
 * ALL and ANY_OF stand over children, NOT over one, and leaves hold the slot
 * of an attribute and a list of tests, all of which must hold.  Each attribute
 * that a document names has one slot, however many tests read it: it is
 * fetched when the first of them asks, and marked with the number of the
 * decision, so that a slot needs no clearing.
 *
 * Truth.  A test holds, does not hold, or cannot be evaluated (NGX_ERROR: no
 * number, no address, the match limit of a pattern, an unknown variable).
 * Trees are evaluated in the document's order and only as far as needed; the
 * first test that cannot be evaluated ends its rule, which then does not
 * hold, whatever "not" stands around the test.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_condition.h"


#define NGX_HTTP_GRAY_ATTRIBUTES  256


static ngx_int_t ngx_http_gray_condition_leaf(ngx_http_gray_pass_t *pass,
    ngx_http_gray_condition_t *condition);
static ngx_int_t ngx_http_gray_condition_explain_any(
    ngx_http_gray_pass_t *pass, ngx_http_gray_condition_t *condition,
    ngx_http_gray_failed_t *failed);
static ngx_int_t ngx_http_gray_condition_explain_leaf(
    ngx_http_gray_pass_t *pass, ngx_http_gray_condition_t *condition,
    ngx_http_gray_failed_t *failed);
static ngx_http_gray_condition_t *ngx_http_gray_condition_member(
    ngx_http_gray_conditions_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *member);
static ngx_http_gray_condition_t *ngx_http_gray_condition_list(
    ngx_http_gray_conditions_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *list, ngx_http_gray_condition_e type);
static ngx_http_gray_condition_t *ngx_http_gray_condition_attribute(
    ngx_http_gray_conditions_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *test);
static ngx_http_gray_condition_t *ngx_http_gray_condition_create(
    ngx_http_gray_conditions_t *cp, ngx_http_gray_condition_e type);
static const ngx_http_gray_path_t *ngx_http_gray_condition_place(
    ngx_http_gray_conditions_t *cp, const ngx_http_gray_path_t *path);
static ngx_int_t ngx_http_gray_condition_type(ngx_http_gray_conditions_t *cp,
    const ngx_http_gray_path_t *path, ngx_http_gray_attribute_t *attribute);
static ngx_int_t ngx_http_gray_condition_modifiers(
    ngx_http_gray_conditions_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *test, ngx_http_gray_attribute_t *attribute);
static ngx_int_t ngx_http_gray_condition_modifier(
    ngx_http_gray_conditions_t *cp, const ngx_http_gray_path_t *path,
    const ngx_http_gray_json_t *node, ngx_http_gray_attribute_t *attribute);
static const char *ngx_http_gray_condition_values(
    const ngx_http_gray_json_t *node, ngx_http_gray_attribute_t *attribute);
static ngx_http_gray_slot_t *ngx_http_gray_condition_slot(
    ngx_http_gray_conditions_t *cp, const ngx_http_gray_path_t *path,
    ngx_http_gray_attribute_t *attribute);
static ngx_int_t ngx_http_gray_condition_resolve(
    ngx_http_gray_conditions_t *cp, const ngx_http_gray_path_t *path,
    ngx_http_gray_slot_t *slot);
static ngx_uint_t ngx_http_gray_condition_same(const ngx_str_t *one,
    const ngx_str_t *two);
static ngx_uint_t ngx_http_gray_condition_named(const ngx_str_t *one,
    const ngx_str_t *two);
static ngx_uint_t ngx_http_gray_condition_begins(const ngx_str_t *name,
    const char *prefix);


/* what may stand beside the operators and says which value is meant */

static const char  *ngx_http_gray_modifiers[] = {
    "of", "decode", "values", "salt", NULL
};


ngx_int_t
ngx_http_gray_condition_holds(ngx_http_gray_pass_t *pass,
    ngx_http_gray_condition_t *condition)
{
    ngx_int_t  rc;

    if (condition == NULL) {
        return NGX_ERROR;
    }

    switch (condition->type) {

    case NGX_HTTP_GRAY_LEAF:
        return ngx_http_gray_condition_leaf(pass, condition);

    case NGX_HTTP_GRAY_NOT:
        rc = ngx_http_gray_condition_holds(pass, condition->children);
        return rc == NGX_ERROR ? NGX_ERROR : !rc;

    case NGX_HTTP_GRAY_ANY_OF:
        rc = 0;

        for (condition = condition->children;
             condition && rc == 0;
             condition = condition->next)
        {
            rc = ngx_http_gray_condition_holds(pass, condition);
        }

        return rc;

    default: /* NGX_HTTP_GRAY_ALL */
        rc = 1;

        for (condition = condition->children;
             condition && rc == 1;
             condition = condition->next)
        {
            rc = (condition->type == NGX_HTTP_GRAY_LEAF)
                 ? ngx_http_gray_condition_leaf(pass, condition)
                 : ngx_http_gray_condition_holds(pass, condition);
        }

        return rc;
    }
}


static ngx_inline ngx_int_t
ngx_http_gray_condition_leaf(ngx_http_gray_pass_t *pass,
    ngx_http_gray_condition_t *condition)
{
    ngx_int_t              rc;
    ngx_http_gray_slot_t  *slot;
    ngx_http_gray_test_t  *tests;

    slot = condition->slot;
    tests = condition->tests;

    ngx_http_gray_condition_fetch(pass, slot);

    /* what most are: one test of one value */

    if (slot->state == NGX_OK && !tests->next && !slot->value.next) {
        rc = tests->match(tests, &slot->value);

        return rc < 0 ? NGX_ERROR : rc ^ tests->negate;
    }

    if (slot->state == NGX_ERROR) {
        return NGX_ERROR;
    }

    return ngx_http_gray_tests_hold(tests, slot->state == NGX_OK ? &slot->value
                                                                 : NULL);
}


void
ngx_http_gray_condition_load(ngx_http_gray_pass_t *pass,
    ngx_http_gray_slot_t *slot)
{
    ngx_http_gray_value_t  *value;

    value = &slot->value;

    ngx_http_gray_value_reset(value);

    slot->state = (slot->attribute.type == NGX_HTTP_GRAY_PERCENT)
                  ? pass->percent(pass, slot, value)
                  : pass->ops->get(pass->ctx, &slot->attribute, value);

    /* what is empty is absent */

    if (slot->state == NGX_OK
        && value->text.len == 0
        && value->numeric != NGX_HTTP_GRAY_IS
        && value->next == NULL)
    {
        slot->state = NGX_DECLINED;
    }

    slot->decision = pass->decision;
}


ngx_int_t
ngx_http_gray_condition_explain(ngx_http_gray_pass_t *pass,
    ngx_http_gray_condition_t *condition, ngx_http_gray_failed_t *failed)
{
    ngx_int_t  rc;

    if (condition == NULL) {
        ngx_memzero(failed, sizeof(ngx_http_gray_failed_t));
        return NGX_ERROR;
    }

    switch (condition->type) {

    case NGX_HTTP_GRAY_LEAF:
        return ngx_http_gray_condition_explain_leaf(pass, condition, failed);

    case NGX_HTTP_GRAY_NOT:
        rc = ngx_http_gray_condition_explain(pass, condition->children,
                                             failed);
        return rc == NGX_ERROR ? NGX_ERROR : !rc;

    case NGX_HTTP_GRAY_ANY_OF:
        return ngx_http_gray_condition_explain_any(pass, condition, failed);

    default: /* NGX_HTTP_GRAY_ALL */
        rc = 1;

        for (condition = condition->children;
             condition && rc == 1;
             condition = condition->next)
        {
            rc = ngx_http_gray_condition_explain(pass, condition, failed);
        }

        return rc;
    }
}


/* where none holds, it is the first that is to blame */

static ngx_int_t
ngx_http_gray_condition_explain_any(ngx_http_gray_pass_t *pass,
    ngx_http_gray_condition_t *condition, ngx_http_gray_failed_t *failed)
{
    ngx_int_t                rc;
    ngx_uint_t               n;
    ngx_http_gray_failed_t   first;

    ngx_memzero(&first, sizeof(ngx_http_gray_failed_t));
    n = 0;

    for (condition = condition->children;
         condition;
         condition = condition->next)
    {
        rc = ngx_http_gray_condition_explain(pass, condition, failed);

        if (rc != 0) {
            return rc;
        }

        if (n++ == 0) {
            first = *failed;
        }
    }

    if (n) {
        *failed = first;
    }

    return 0;
}


static ngx_int_t
ngx_http_gray_condition_explain_leaf(ngx_http_gray_pass_t *pass,
    ngx_http_gray_condition_t *condition, ngx_http_gray_failed_t *failed)
{
    ngx_int_t              rc;
    ngx_http_gray_slot_t  *slot;

    rc = ngx_http_gray_condition_leaf(pass, condition);

    slot = condition->slot;

    failed->path = condition->path;
    failed->attribute = &slot->attribute;
    failed->state = slot->state;
    failed->value = (slot->state == NGX_OK) ? &slot->value : NULL;
    failed->op = (slot->state == NGX_ERROR || rc == 1) ? NULL
                 : ngx_http_gray_tests_failed(condition->tests,
                                              failed->value);
    return rc;
}


ngx_http_gray_condition_t *
ngx_http_gray_condition_compile(ngx_http_gray_conditions_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *when)
{
    ngx_http_gray_path_t         frame;
    ngx_http_gray_json_t        *member;
    ngx_http_gray_condition_t   *condition, *child, **last;

    if (ngx_http_gray_json_type(when) != NGX_HTTP_GRAY_JSON_OBJECT
        || ngx_http_gray_json_first(when) == NULL)
    {
        ngx_http_gray_json_fault(cp->tests.faults, path,
                                 "must be an object with at least one "
                                 "condition");

        return NULL;
    }

    condition = ngx_http_gray_condition_create(cp, NGX_HTTP_GRAY_ALL);
    if (condition == NULL) {
        return NULL;
    }

    last = &condition->children;
    frame.parent = path;

    for (member = ngx_http_gray_json_first(when);
         member;
         member = ngx_http_gray_json_next(member))
    {
        frame.key = ngx_http_gray_json_key(member);

        child = ngx_http_gray_condition_member(cp, &frame, member);

        if (child == NULL) {
            if (cp->tests.faults && !cp->tests.failed) {
                continue;
            }

            return NULL;
        }

        *last = child;
        last = &child->next;
    }

    if (condition->children && condition->children->next == NULL) {
        return condition->children;
    }

    return condition;
}


static ngx_http_gray_condition_t *
ngx_http_gray_condition_member(ngx_http_gray_conditions_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *member)
{
    ngx_http_gray_condition_t  *condition;

    if (ngx_strcmp(path->key, "all") == 0) {
        return ngx_http_gray_condition_list(cp, path, member,
                                            NGX_HTTP_GRAY_ALL);
    }

    if (ngx_strcmp(path->key, "any") == 0) {
        return ngx_http_gray_condition_list(cp, path, member,
                                            NGX_HTTP_GRAY_ANY_OF);
    }

    if (ngx_strcmp(path->key, "not") == 0) {

        condition = ngx_http_gray_condition_create(cp, NGX_HTTP_GRAY_NOT);
        if (condition == NULL) {
            return NULL;
        }

        condition->children = ngx_http_gray_condition_compile(cp, path,
                                                              member);

        return condition->children ? condition : NULL;
    }

    return ngx_http_gray_condition_attribute(cp, path, member);
}


static ngx_http_gray_condition_t *
ngx_http_gray_condition_list(ngx_http_gray_conditions_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *list,
    ngx_http_gray_condition_e type)
{
    ngx_http_gray_path_t         frame;
    ngx_http_gray_json_t        *item;
    ngx_http_gray_condition_t   *condition, *child, **last;

    if (ngx_http_gray_json_type(list) != NGX_HTTP_GRAY_JSON_ARRAY
        || ngx_http_gray_json_first(list) == NULL)
    {
        ngx_http_gray_json_fault(cp->tests.faults, path,
                                 "must be an array with at least one "
                                 "object of conditions");

        return NULL;
    }

    condition = ngx_http_gray_condition_create(cp, type);
    if (condition == NULL) {
        return NULL;
    }

    last = &condition->children;
    frame.parent = path;
    frame.key = NULL;
    frame.index = 0;

    for (item = ngx_http_gray_json_first(list);
         item;
         item = ngx_http_gray_json_next(item), frame.index++)
    {
        child = ngx_http_gray_condition_compile(cp, &frame, item);

        if (child == NULL) {
            if (cp->tests.faults && !cp->tests.failed) {
                continue;
            }

            return NULL;
        }

        *last = child;
        last = &child->next;
    }

    return condition;
}


static ngx_http_gray_condition_t *
ngx_http_gray_condition_attribute(ngx_http_gray_conditions_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *test)
{
    ngx_http_gray_tests_e       kind;
    ngx_http_gray_attribute_t   attribute;
    ngx_http_gray_condition_t  *condition;

    ngx_memzero(&attribute, sizeof(ngx_http_gray_attribute_t));

    attribute.name.data = (u_char *) path->key;
    attribute.name.len = ngx_strlen(path->key);

    if (ngx_http_gray_condition_type(cp, path, &attribute) != NGX_OK
        || ngx_http_gray_condition_modifiers(cp, path, test, &attribute)
           != NGX_OK)
    {
        return NULL;
    }

    condition = ngx_http_gray_condition_create(cp, NGX_HTTP_GRAY_LEAF);
    if (condition == NULL) {
        return NULL;
    }

    condition->slot = ngx_http_gray_condition_slot(cp, path, &attribute);
    if (condition->slot == NULL) {
        return NULL;
    }

    switch (attribute.type) {

    case NGX_HTTP_GRAY_TIME:
        kind = NGX_HTTP_GRAY_TESTS_TIME;
        break;

    case NGX_HTTP_GRAY_PERCENT:
        kind = NGX_HTTP_GRAY_TESTS_NUMBER;
        break;

    default:
        kind = NGX_HTTP_GRAY_TESTS_VALUE;
    }

    condition->tests = ngx_http_gray_tests_compile(&cp->tests, kind, path,
                               test,
                               kind == NGX_HTTP_GRAY_TESTS_TIME ? NULL
                               : ngx_http_gray_modifiers);

    if (condition->tests == NULL) {
        return NULL;
    }

    if (cp->env->explain) {
        condition->path = ngx_http_gray_condition_place(cp, path);

        if (condition->path == NULL) {
            return NULL;
        }
    }

    return condition;
}


static ngx_http_gray_condition_t *
ngx_http_gray_condition_create(ngx_http_gray_conditions_t *cp,
    ngx_http_gray_condition_e type)
{
    ngx_http_gray_condition_t  *condition;

    condition = ngx_http_gray_tests_alloc(&cp->tests,
                                          sizeof(ngx_http_gray_condition_t));
    if (condition) {
        condition->type = type;
    }

    return condition;
}


/* a copy of the frames, whose keys are the document's */

static const ngx_http_gray_path_t *
ngx_http_gray_condition_place(ngx_http_gray_conditions_t *cp,
    const ngx_http_gray_path_t *path)
{
    ngx_http_gray_path_t  *copy;

    copy = ngx_http_gray_tests_alloc(&cp->tests, sizeof(ngx_http_gray_path_t));
    if (copy == NULL) {
        return NULL;
    }

    *copy = *path;

    if (path->parent) {
        copy->parent = ngx_http_gray_condition_place(cp, path->parent);

        if (copy->parent == NULL) {
            return NULL;
        }
    }

    return copy;
}


static ngx_int_t
ngx_http_gray_condition_type(ngx_http_gray_conditions_t *cp,
    const ngx_http_gray_path_t *path, ngx_http_gray_attribute_t *attribute)
{
    ngx_str_t  *name;

    name = &attribute->name;

    if (name->len && name->data[0] == '$') {
        attribute->type = NGX_HTTP_GRAY_VARIABLE;

    } else if (ngx_strncmp(path->key, "geo.", 4) == 0) {
        attribute->type = NGX_HTTP_GRAY_GEO;

    } else if (ngx_strcmp(path->key, "device") == 0) {
        attribute->type = NGX_HTTP_GRAY_DEVICE;

    } else if (ngx_strcmp(path->key, "time") == 0) {
        attribute->type = NGX_HTTP_GRAY_TIME;

    } else if (ngx_strcmp(path->key, "percent") == 0) {
        attribute->type = NGX_HTTP_GRAY_PERCENT;

    } else {
        ngx_http_gray_json_fault(cp->tests.faults, path,
                                 "unknown attribute \"%.80s\"; there are "
                                 "variables of nginx, as \"$remote_addr\", "
                                 "geo.PATH, device, time and percent",
                                 path->key);
        ngx_http_gray_condition_miss(cp, name);

        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_condition_modifiers(ngx_http_gray_conditions_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *test,
    ngx_http_gray_attribute_t *attribute)
{
    ngx_int_t              rc;
    ngx_uint_t             i;
    ngx_http_gray_path_t   frame;
    ngx_http_gray_json_t  *node;

    if (attribute->type == NGX_HTTP_GRAY_TIME
        || ngx_http_gray_json_type(test) != NGX_HTTP_GRAY_JSON_OBJECT)
    {
        return NGX_OK;
    }

    rc = NGX_OK;
    frame.parent = path;

    for (i = 0; ngx_http_gray_modifiers[i]; i++) {

        frame.key = ngx_http_gray_modifiers[i];
        node = ngx_http_gray_json_get(test, frame.key);

        if (node
            && ngx_http_gray_condition_modifier(cp, &frame, node, attribute)
               != NGX_OK)
        {
            rc = NGX_DECLINED;
        }
    }

    return rc;
}


static ngx_int_t
ngx_http_gray_condition_modifier(ngx_http_gray_conditions_t *cp,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node,
    ngx_http_gray_attribute_t *attribute)
{
    ngx_str_t    text;
    ngx_uint_t   variable, arg;
    const char  *why;

    text = ngx_http_gray_json_text(node);
    variable = (attribute->type == NGX_HTTP_GRAY_VARIABLE);
    arg = variable && ngx_http_gray_condition_begins(&attribute->name,
                                                     "$arg_");
    why = NULL;

    switch (path->key[0]) {

    case 'o': /* of */
        if (variable) {
            why = "goes with geo.PATH, device and percent";

        } else if (text.len < 2 || text.data[0] != '$') {
            why = "must be a variable of nginx, as \"$http_x_real_ip\"";
        }

        attribute->of = text;
        break;

    case 'd': /* decode */
        if (!arg) {
            why = "goes with $arg_NAME";

        } else if (ngx_http_gray_json_type(node)
                   != NGX_HTTP_GRAY_JSON_BOOLEAN)
        {
            why = "must be true or false";
        }

        attribute->decode = ngx_http_gray_json_true(node);
        break;

    case 'v': /* values */
        why = ngx_http_gray_condition_values(node, attribute);
        break;

    default: /* salt */
        if (attribute->type != NGX_HTTP_GRAY_PERCENT) {
            why = "goes with percent";

        } else if (ngx_http_gray_json_type(node) != NGX_HTTP_GRAY_JSON_STRING)
        {
            why = "must be a string";
        }

        attribute->salt = text;
    }

    if (why == NULL) {
        return NGX_OK;
    }

    ngx_http_gray_json_fault(cp->tests.faults, path, "%s", why);

    return NGX_DECLINED;
}


static const char *
ngx_http_gray_condition_values(const ngx_http_gray_json_t *node,
    ngx_http_gray_attribute_t *attribute)
{
    ngx_str_t   text;
    ngx_str_t  *name;

    static ngx_str_t  first = ngx_string("first");
    static ngx_str_t  last = ngx_string("last");
    static ngx_str_t  any = ngx_string("any");

    name = &attribute->name;

    if (!ngx_http_gray_condition_begins(name, "$arg_")
        && !ngx_http_gray_condition_begins(name, "$http_")
        && !ngx_http_gray_condition_begins(name, "$cookie_"))
    {
        return "goes with $cookie_NAME, $http_NAME and $arg_NAME";
    }

    text = ngx_http_gray_json_text(node);

    if (ngx_http_gray_condition_same(&text, &first)) {
        attribute->values = NGX_HTTP_GRAY_FIRST;

    } else if (ngx_http_gray_condition_same(&text, &last)) {
        attribute->values = NGX_HTTP_GRAY_LAST;

    } else if (ngx_http_gray_condition_same(&text, &any)) {
        attribute->values = NGX_HTTP_GRAY_ANY;

    } else {
        return "must be \"first\", \"last\" or \"any\"";
    }

    return NULL;
}


ngx_http_gray_slot_t *
ngx_http_gray_condition_variable(ngx_http_gray_conditions_t *cp,
    const ngx_http_gray_path_t *path, ngx_str_t *name)
{
    ngx_http_gray_attribute_t  attribute;

    ngx_memzero(&attribute, sizeof(ngx_http_gray_attribute_t));
    attribute.name = *name;

    return ngx_http_gray_condition_slot(cp, path, &attribute);
}


static ngx_http_gray_slot_t *
ngx_http_gray_condition_slot(ngx_http_gray_conditions_t *cp,
    const ngx_http_gray_path_t *path, ngx_http_gray_attribute_t *attribute)
{
    ngx_http_gray_slot_t       *slot;
    ngx_http_gray_attribute_t  *other;

    for (slot = cp->slots; slot; slot = slot->next) {
        other = &slot->attribute;

        if (other->type == attribute->type
            && other->values == attribute->values
            && other->decode == attribute->decode
            && ngx_http_gray_condition_named(&other->name, &attribute->name)
            && ngx_http_gray_condition_named(&other->of, &attribute->of)
            && ngx_http_gray_condition_same(&other->salt, &attribute->salt))
        {
            return slot->unknown ? NULL : slot;
        }
    }

    if (cp->nslots >= NGX_HTTP_GRAY_ATTRIBUTES) {
        ngx_http_gray_json_fault(cp->tests.faults, path,
                                 "is one attribute too many, a document may "
                                 "have %d", NGX_HTTP_GRAY_ATTRIBUTES);
        return NULL;
    }

    slot = ngx_http_gray_tests_alloc(&cp->tests, sizeof(ngx_http_gray_slot_t));
    if (slot == NULL) {
        return NULL;
    }

    slot->attribute = *attribute;
    other = &slot->attribute;

    if (ngx_http_gray_tests_copy(&cp->tests, &other->name, attribute->name)
        != NGX_OK
        || ngx_http_gray_tests_copy(&cp->tests, &other->of, attribute->of)
           != NGX_OK
        || ngx_http_gray_tests_copy(&cp->tests, &other->salt, attribute->salt)
           != NGX_OK)
    {
        return NULL;
    }

    if (ngx_http_gray_condition_resolve(cp, path, slot) == NGX_OK) {
        cp->nslots++;

    } else if (cp->tests.faults) {

        /* wherever it stands, it is a fault */

        return NULL;

    } else {
        slot->unknown = 1;
    }

    slot->next = cp->slots;
    cp->slots = slot;

    return slot->unknown ? NULL : slot;
}


static ngx_int_t
ngx_http_gray_condition_resolve(ngx_http_gray_conditions_t *cp,
    const ngx_http_gray_path_t *path, ngx_http_gray_slot_t *slot)
{
    char                        why[NGX_HTTP_GRAY_WHY];
    ngx_http_gray_attribute_t  *attribute;

    attribute = &slot->attribute;

    if (attribute->type == NGX_HTTP_GRAY_PERCENT) {

        if (attribute->of.len == 0) {
            return NGX_OK;
        }

        slot->of = ngx_http_gray_condition_variable(cp, path, &attribute->of);

        return slot->of ? NGX_OK : NGX_DECLINED;
    }

    if (cp->env->attribute(cp->env->data, cp->tests.pool, attribute, why)
        == NGX_OK)
    {
        return NGX_OK;
    }

    ngx_http_gray_json_fault(cp->tests.faults, path, "%s", why);
    ngx_http_gray_condition_miss(cp, &attribute->name);

    return NGX_DECLINED;
}


void
ngx_http_gray_condition_miss(ngx_http_gray_conditions_t *cp, ngx_str_t *name)
{
    if (cp->missing++ == 0) {

        /* without memory for it the rule set is not made at all */

        (void) ngx_http_gray_tests_copy(&cp->tests, &cp->missed, *name);
    }
}


static ngx_uint_t
ngx_http_gray_condition_same(const ngx_str_t *one, const ngx_str_t *two)
{
    return one->len == two->len
           && (one->len == 0
               || ngx_memcmp(one->data, two->data, one->len) == 0);
}


/* names of variables are the same in any case, others are not */

static ngx_uint_t
ngx_http_gray_condition_named(const ngx_str_t *one, const ngx_str_t *two)
{
    if (one->len == 0 || one->data[0] != '$') {
        return ngx_http_gray_condition_same(one, two);
    }

    return one->len == two->len
           && ngx_strncasecmp(one->data, two->data, one->len) == 0;
}


static ngx_uint_t
ngx_http_gray_condition_begins(const ngx_str_t *name, const char *prefix)
{
    return ngx_strncasecmp(name->data, (u_char *) prefix, ngx_strlen(prefix))
           == 0;
}
