
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * An index over rules, so that many rules over one attribute cost what one
 * of them does.
 *
 * A rule whose "when" needs that an attribute equals one of some values (a
 * leaf of "eq" or "in", alone or a member of the outermost "all") can hold for
 * these values only.  Rules that need so of the same attribute make a group,
 * which has, for each value, the ascending list of the numbers of its rules:
 * strings and numbers apart, as a value can be both.  All other rules are in
 * one more list.
 *
 * A decision merges the lists of the values that the request has, and so sees
 * the rules that may hold in their order, each of which is then evaluated in
 * full.  Until the first rule of a group is reached, the group stands for it
 * by a list of that one number, and its attribute is not fetched.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ngx_http_gray_index.h"


#define NGX_HTTP_GRAY_INDEX_RULES  8     /* fewer are walked */
#define NGX_HTTP_GRAY_INDEX_GROUP  4     /* rules of a group at least */
#define NGX_HTTP_GRAY_INDEX_KEYS   64    /* values of a rule at most */


/* a number has no string; "hash" is of the string, or the number's bits */

typedef struct {
    ngx_str_t                    string;
    uint64_t                     hash;
    uint32_t                     rule;
} ngx_http_gray_index_key_t;


/* a value and the rules that need it */

typedef struct {
    uint64_t                     hash;
    ngx_str_t                    string;
    uint32_t                    *rules;
} ngx_http_gray_index_entry_t;


typedef struct {
    ngx_http_gray_slot_t        *slot;
    ngx_uint_t                   folded;
    ngx_uint_t                   nrules;
    uint32_t                     first[2];   /* its first rule, and the end */

    ngx_http_gray_index_key_t   *keys;       /* while it is made */
    ngx_uint_t                   nkeys;

    ngx_http_gray_index_entry_t *entries;    /* open addressing */
    ngx_uint_t                   mask;
    ngx_uint_t                   numbers;    /* unsigned  numbers:1; */
    size_t                       max;        /* the longest string */
    u_char                      *lower;      /* room for it, if folded */
} ngx_http_gray_index_group_t;


struct ngx_http_gray_index_s {
    uint32_t                    *others;
    ngx_http_gray_index_group_t *groups;
    ngx_uint_t                   n;
};


/* what of a rule's condition an index can use */

typedef struct {
    ngx_http_gray_condition_t   *leaf;       /* NULL: nothing */
    ngx_uint_t                   folded;
} ngx_http_gray_index_use_t;


typedef struct {
    ngx_http_gray_tests_compile_t *cp;
    ngx_http_gray_condition_t    **rules;
    ngx_uint_t                     nrules;
    ngx_http_gray_index_group_t   *groups;   /* all that are possible */
    ngx_uint_t                     n;
    ngx_uint_t                     room;
    ngx_uint_t                    *chosen;   /* by rule: group + 1, or 0 */
} ngx_http_gray_index_plan_t;


static ngx_int_t ngx_http_gray_index_plan(ngx_http_gray_index_plan_t *plan);
static ngx_http_gray_index_group_t *ngx_http_gray_index_group(
    ngx_http_gray_index_plan_t *plan, ngx_http_gray_slot_t *slot,
    ngx_uint_t folded);
static ngx_uint_t ngx_http_gray_index_usable(
    ngx_http_gray_condition_t *leaf, ngx_uint_t *folded);
static ngx_int_t ngx_http_gray_index_ignore(void *data,
    const ngx_str_t *string, double number);
static ngx_http_gray_condition_t *ngx_http_gray_index_leaf(
    ngx_http_gray_condition_t *rule, ngx_http_gray_condition_t *leaf);
static void ngx_http_gray_index_choose(ngx_http_gray_index_plan_t *plan);
static ngx_int_t ngx_http_gray_index_fill(ngx_http_gray_index_plan_t *plan,
    ngx_http_gray_index_t *index);
static ngx_int_t ngx_http_gray_index_fill_group(
    ngx_http_gray_index_plan_t *plan, ngx_uint_t number,
    ngx_http_gray_index_group_t *group);
static ngx_int_t ngx_http_gray_index_add(void *data, const ngx_str_t *string,
    double number);
static ngx_int_t ngx_http_gray_index_hash(ngx_http_gray_tests_compile_t *cp,
    ngx_http_gray_index_group_t *group);
static int ngx_libc_cdecl ngx_http_gray_index_cmp(const void *one,
    const void *two);
static ngx_int_t ngx_http_gray_index_order(
    const ngx_http_gray_index_key_t *one,
    const ngx_http_gray_index_key_t *two);
static void ngx_http_gray_index_look(ngx_http_gray_index_walk_t *walk,
    ngx_uint_t i, ngx_http_gray_pass_t *pass);
static const uint32_t *ngx_http_gray_index_string(
    const ngx_http_gray_index_group_t *group, ngx_http_gray_value_t *value);
static const uint32_t *ngx_http_gray_index_find(
    const ngx_http_gray_index_group_t *group, uint64_t hash,
    const u_char *data, size_t len);
static uint64_t ngx_http_gray_index_bits(double number);


static const uint32_t  ngx_http_gray_index_none[] = {
    NGX_HTTP_GRAY_INDEX_END
};


void
ngx_http_gray_index_begin(const ngx_http_gray_index_t *index,
    ngx_http_gray_index_walk_t *walk)
{
    ngx_uint_t  i;

    walk->index = index;
    walk->n = 1 + index->n;
    walk->known = 0;
    walk->cursor[0] = index->others;

    for (i = 0; i < index->n; i++) {
        walk->cursor[1 + i] = index->groups[i].first;
    }
}


uint32_t
ngx_http_gray_index_next(ngx_http_gray_index_walk_t *walk,
    ngx_http_gray_pass_t *pass)
{
    uint32_t    rule;
    ngx_uint_t  i, least;

    for ( ;; ) {

        least = 0;
        rule = *walk->cursor[0];

        for (i = 1; i < walk->n; i++) {
            if (*walk->cursor[i] < rule) {
                rule = *walk->cursor[i];
                least = i;
            }
        }

        if (rule == NGX_HTTP_GRAY_INDEX_END) {
            return rule;
        }

        if (least == 0 || least > walk->index->n
            || walk->known & ((ngx_uint_t) 1 << least))
        {
            walk->cursor[least]++;
            return rule;
        }

        walk->known |= (ngx_uint_t) 1 << least;

        ngx_http_gray_index_look(walk, least, pass);
    }
}


/* puts the lists of the value that the request has in the group's place */

static void
ngx_http_gray_index_look(ngx_http_gray_index_walk_t *walk, ngx_uint_t i,
    ngx_http_gray_pass_t *pass)
{
    uint64_t                            bits;
    ngx_http_gray_slot_t               *slot;
    const ngx_http_gray_index_group_t  *group;

    group = &walk->index->groups[i - 1];
    slot = group->slot;

    walk->cursor[i] = ngx_http_gray_index_none;

    ngx_http_gray_condition_fetch(pass, slot);

    if (slot->state != NGX_OK) {
        return;
    }

    walk->cursor[i] = ngx_http_gray_index_string(group, &slot->value);

    if (group->numbers && ngx_http_gray_value_number(&slot->value) == NGX_OK) {
        bits = ngx_http_gray_index_bits(slot->value.number);
        walk->cursor[walk->n++] = ngx_http_gray_index_find(group, bits, NULL,
                                                           0);
    }
}


static const uint32_t *
ngx_http_gray_index_string(const ngx_http_gray_index_group_t *group,
    ngx_http_gray_value_t *value)
{
    ngx_str_t  *text;

    text = value->text.data ? &value->text
                            : ngx_http_gray_value_string(value);

    if (text == NULL || text->len > group->max) {
        return ngx_http_gray_index_none;
    }

    if (!group->folded) {
        return ngx_http_gray_index_find(group, ngx_http_gray_value_hash(value),
                                        text->data, text->len);
    }

    ngx_strlow(group->lower, text->data, text->len);

    return ngx_http_gray_index_find(group, XXH3_64bits(group->lower, text->len),
                                    group->lower, text->len);
}


/* of a number, "len" is 0 and "hash" its bits */

static const uint32_t *
ngx_http_gray_index_find(const ngx_http_gray_index_group_t *group,
    uint64_t hash, const u_char *data, size_t len)
{
    ngx_uint_t                          i;
    const ngx_http_gray_index_entry_t  *entry;

    for (i = (hash ^ hash >> 32) & group->mask;
         group->entries[i].rules;
         i = (i + 1) & group->mask)
    {
        entry = &group->entries[i];

        if (entry->hash == hash
            && entry->string.len == len
            && (len == 0 || ngx_memcmp(entry->string.data, data, len) == 0))
        {
            return entry->rules;
        }
    }

    return ngx_http_gray_index_none;
}


/* equal numbers have equal bits, but for the two zeros */

static uint64_t
ngx_http_gray_index_bits(double number)
{
    uint64_t  bits;

    number += 0.0;
    ngx_memcpy(&bits, &number, sizeof(uint64_t));

    return bits;
}


ngx_http_gray_index_t *
ngx_http_gray_index_create(ngx_http_gray_tests_compile_t *cp,
    ngx_http_gray_condition_t **rules, ngx_uint_t n)
{
    ngx_http_gray_index_t       *index;
    ngx_http_gray_index_plan_t   plan;

    if (n < NGX_HTTP_GRAY_INDEX_RULES) {
        return NULL;
    }

    ngx_memzero(&plan, sizeof(ngx_http_gray_index_plan_t));
    plan.cp = cp;
    plan.rules = rules;
    plan.nrules = n;

    index = NULL;
    plan.chosen = calloc(n, sizeof(ngx_uint_t));

    if (plan.chosen == NULL || ngx_http_gray_index_plan(&plan) != NGX_OK) {
        cp->failed = 1;

    } else {
        ngx_http_gray_index_choose(&plan);

        if (plan.n) {
            index = ngx_http_gray_tests_alloc(cp,
                                              sizeof(ngx_http_gray_index_t));
        }

        if (index && ngx_http_gray_index_fill(&plan, index) != NGX_OK) {
            cp->failed = 1;
            index = NULL;
        }
    }

    free(plan.chosen);
    free(plan.groups);

    return index;
}


/* all the groups that there could be, with the number of rules of each */

static ngx_int_t
ngx_http_gray_index_plan(ngx_http_gray_index_plan_t *plan)
{
    ngx_uint_t                    i, folded;
    ngx_http_gray_condition_t    *leaf;
    ngx_http_gray_index_group_t  *group;

    for (i = 0; i < plan->nrules; i++) {

        for (leaf = ngx_http_gray_index_leaf(plan->rules[i], NULL);
             leaf;
             leaf = ngx_http_gray_index_leaf(plan->rules[i], leaf))
        {
            if (!ngx_http_gray_index_usable(leaf, &folded)) {
                continue;
            }

            group = ngx_http_gray_index_group(plan, leaf->slot, folded);

            if (group == NULL) {
                return NGX_ERROR;
            }

            group->nrules++;
        }
    }

    return NGX_OK;
}


static ngx_http_gray_index_group_t *
ngx_http_gray_index_group(ngx_http_gray_index_plan_t *plan,
    ngx_http_gray_slot_t *slot, ngx_uint_t folded)
{
    ngx_uint_t                    i;
    ngx_http_gray_index_group_t  *groups;

    for (i = 0; i < plan->n; i++) {
        if (plan->groups[i].slot == slot && plan->groups[i].folded == folded) {
            return &plan->groups[i];
        }
    }

    if (plan->n == plan->room) {
        plan->room = 2 * plan->room + 8;

        groups = realloc(plan->groups,
                         plan->room * sizeof(ngx_http_gray_index_group_t));
        if (groups == NULL) {
            return NULL;
        }

        plan->groups = groups;
    }

    groups = &plan->groups[plan->n++];

    ngx_memzero(groups, sizeof(ngx_http_gray_index_group_t));
    groups->slot = slot;
    groups->folded = folded;

    return groups;
}


static ngx_uint_t
ngx_http_gray_index_usable(ngx_http_gray_condition_t *leaf,
    ngx_uint_t *folded)
{
    return leaf->type == NGX_HTTP_GRAY_LEAF
           && leaf->slot->attribute.values != NGX_HTTP_GRAY_ANY
           && ngx_http_gray_tests_keys(leaf->tests, NGX_HTTP_GRAY_INDEX_KEYS,
                                       folded, ngx_http_gray_index_ignore,
                                       NULL)
              == NGX_OK;
}


static ngx_int_t
ngx_http_gray_index_ignore(void *data, const ngx_str_t *string, double number)
{
    (void) data;
    (void) string;
    (void) number;

    return NGX_OK;
}


/* what a rule needs, one after another; the first for a NULL "leaf" */

static ngx_http_gray_condition_t *
ngx_http_gray_index_leaf(ngx_http_gray_condition_t *rule,
    ngx_http_gray_condition_t *leaf)
{
    if (rule == NULL) {
        return NULL;
    }

    if (rule->type == NGX_HTTP_GRAY_ALL) {
        return leaf ? leaf->next : rule->children;
    }

    return leaf ? NULL : rule;
}


/*
 * Each rule goes to the largest group that it can be in, and the groups that
 * are the largest then are made.
 */

static void
ngx_http_gray_index_choose(ngx_http_gray_index_plan_t *plan)
{
    ngx_uint_t                   *chosen;
    ngx_uint_t                    i, k, best, n, folded;
    ngx_http_gray_condition_t    *leaf;
    ngx_http_gray_index_group_t  *group;

    for (i = 0; i < plan->nrules; i++) {
        chosen = &plan->chosen[i];

        for (leaf = ngx_http_gray_index_leaf(plan->rules[i], NULL);
             leaf;
             leaf = ngx_http_gray_index_leaf(plan->rules[i], leaf))
        {
            if (!ngx_http_gray_index_usable(leaf, &folded)) {
                continue;
            }

            group = ngx_http_gray_index_group(plan, leaf->slot, folded);
            k = group - plan->groups + 1;

            if (*chosen == 0
                || group->nrules > plan->groups[*chosen - 1].nrules)
            {
                *chosen = k;
            }
        }
    }

    for (k = 0; k < plan->n; k++) {
        plan->groups[k].nrules = 0;
    }

    for (i = 0; i < plan->nrules; i++) {
        if (plan->chosen[i]) {
            plan->groups[plan->chosen[i] - 1].nrules++;
        }
    }

    /* "first[0]" is the number, from 1, of a group that is to be made */

    for (n = 0; n < NGX_HTTP_GRAY_INDEX_GROUPS; n++) {

        best = plan->n;

        for (k = 0; k < plan->n; k++) {
            group = &plan->groups[k];

            if (group->first[0] == 0
                && group->nrules >= NGX_HTTP_GRAY_INDEX_GROUP
                && (best == plan->n
                    || group->nrules > plan->groups[best].nrules))
            {
                best = k;
            }
        }

        if (best == plan->n) {
            break;
        }

        plan->groups[best].first[0] = n + 1;
    }

    for (i = 0; i < plan->nrules; i++) {
        chosen = &plan->chosen[i];

        if (*chosen && plan->groups[*chosen - 1].first[0] == 0) {
            *chosen = 0;
        }
    }

    if (n == 0) {
        plan->n = 0;
    }
}


static ngx_int_t
ngx_http_gray_index_fill(ngx_http_gray_index_plan_t *plan,
    ngx_http_gray_index_t *index)
{
    uint32_t                     *p;
    ngx_uint_t                    i, k;
    ngx_http_gray_index_group_t  *group;

    index->others = ngx_http_gray_tests_alloc(plan->cp,
                                     (plan->nrules + 1) * sizeof(uint32_t));
    index->groups = ngx_http_gray_tests_alloc(plan->cp,
                                     NGX_HTTP_GRAY_INDEX_GROUPS
                                     * sizeof(ngx_http_gray_index_group_t));

    if (index->others == NULL || index->groups == NULL) {
        return NGX_ERROR;
    }

    p = index->others;

    for (i = 0; i < plan->nrules; i++) {
        if (plan->chosen[i] == 0) {
            *p++ = i;
        }
    }

    *p = NGX_HTTP_GRAY_INDEX_END;

    for (k = 0; k < plan->n; k++) {

        if (plan->groups[k].first[0] == 0) {
            continue;
        }

        group = &index->groups[index->n++];
        *group = plan->groups[k];

        if (ngx_http_gray_index_fill_group(plan, k + 1, group) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_gray_index_fill_group(ngx_http_gray_index_plan_t *plan,
    ngx_uint_t number, ngx_http_gray_index_group_t *group)
{
    ngx_int_t                   rc;
    ngx_uint_t                  i, folded;
    ngx_http_gray_condition_t  *leaf;

    group->keys = malloc(group->nrules * NGX_HTTP_GRAY_INDEX_KEYS
                         * sizeof(ngx_http_gray_index_key_t));
    if (group->keys == NULL) {
        return NGX_ERROR;
    }

    group->first[0] = NGX_HTTP_GRAY_INDEX_END;
    group->first[1] = NGX_HTTP_GRAY_INDEX_END;

    for (i = 0; i < plan->nrules; i++) {

        if (plan->chosen[i] != number) {
            continue;
        }

        if (group->first[0] == NGX_HTTP_GRAY_INDEX_END) {
            group->first[0] = i;
        }

        leaf = ngx_http_gray_index_leaf(plan->rules[i], NULL);

        while (leaf->slot != group->slot
               || !ngx_http_gray_index_usable(leaf, &folded)
               || folded != group->folded)
        {
            leaf = ngx_http_gray_index_leaf(plan->rules[i], leaf);
        }

        /* the number of the rule travels in the key behind the last */

        group->keys[group->nkeys].rule = i;

        (void) ngx_http_gray_tests_keys(leaf->tests, NGX_HTTP_GRAY_INDEX_KEYS,
                                        &folded, ngx_http_gray_index_add,
                                        group);
    }

    rc = ngx_http_gray_index_hash(plan->cp, group);

    free(group->keys);
    group->keys = NULL;

    return rc;
}


static ngx_int_t
ngx_http_gray_index_add(void *data, const ngx_str_t *string, double number)
{
    ngx_http_gray_index_group_t *group = data;

    uint32_t                    rule;
    ngx_http_gray_index_key_t  *key;

    key = &group->keys[group->nkeys];
    rule = key->rule;

    ngx_str_null(&key->string);

    if (string) {
        key->string = *string;
        key->hash = XXH3_64bits(string->data, string->len);
        group->max = ngx_max(group->max, string->len);

    } else {
        key->hash = ngx_http_gray_index_bits(number);
        group->numbers = 1;
    }

    group->nkeys++;

    if (group->nkeys < group->nrules * NGX_HTTP_GRAY_INDEX_KEYS) {
        group->keys[group->nkeys].rule = rule;
    }

    return NGX_OK;
}


/* equal keys follow one another when sorted, by rule: that is a list */

static ngx_int_t
ngx_http_gray_index_hash(ngx_http_gray_tests_compile_t *cp,
    ngx_http_gray_index_group_t *group)
{
    uint32_t                     *p;
    ngx_uint_t                    i, k, n;
    ngx_http_gray_index_key_t    *key;
    ngx_http_gray_index_entry_t  *entry;

    n = group->nkeys;

    qsort(group->keys, n, sizeof(ngx_http_gray_index_key_t),
          ngx_http_gray_index_cmp);

    for (group->mask = 8; group->mask < 2 * n; group->mask *= 2) { /* void */ }

    group->entries = ngx_http_gray_tests_alloc(cp,
                       group->mask * sizeof(ngx_http_gray_index_entry_t));
    group->lower = ngx_http_gray_tests_alloc(cp, group->max);
    p = ngx_http_gray_tests_alloc(cp, 2 * n * sizeof(uint32_t));

    if (group->entries == NULL || group->lower == NULL || p == NULL) {
        return NGX_ERROR;
    }

    group->mask--;

    for (i = 0; i < n; /* void */ ) {

        key = &group->keys[i];

        for (k = (key->hash ^ key->hash >> 32) & group->mask;
             group->entries[k].rules;
             k = (k + 1) & group->mask)
        {
            /* void */
        }

        entry = &group->entries[k];
        entry->hash = key->hash;
        entry->string = key->string;
        entry->rules = p;

        do {
            /* a rule may name a value twice */

            if (p == entry->rules || p[-1] != group->keys[i].rule) {
                *p++ = group->keys[i].rule;
            }

            i++;

        } while (i < n
                 && ngx_http_gray_index_order(key, &group->keys[i]) == 0);

        *p++ = NGX_HTTP_GRAY_INDEX_END;
    }

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_http_gray_index_cmp(const void *one, const void *two)
{
    ngx_int_t                         rc;
    const ngx_http_gray_index_key_t  *a, *b;

    a = one;
    b = two;

    rc = ngx_http_gray_index_order(a, b);

    return rc ? rc : (a->rule > b->rule) - (a->rule < b->rule);
}


static ngx_int_t
ngx_http_gray_index_order(const ngx_http_gray_index_key_t *one,
    const ngx_http_gray_index_key_t *two)
{
    if (one->hash != two->hash) {
        return one->hash < two->hash ? -1 : 1;
    }

    if (one->string.len != two->string.len) {
        return one->string.len < two->string.len ? -1 : 1;
    }

    return one->string.len ? ngx_memcmp(one->string.data, two->string.data,
                                        one->string.len)
                           : 0;
}
