
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Slots of the variants and rules of a set, where a process is late: what is
 * in force by then, and what others count by, is not touched.
 */


#include "zone.h"

#include "ngx_http_gray_slots.h"


#define SLOTS  3


static ngx_http_gray_zone_t       zone;
static ngx_http_gray_block_t     *block;
static ngx_http_gray_counters_t  *counters;
static ngx_http_gray_variant_t    fallback;


/* with three variants, of which the third one has that name */

static ngx_http_gray_rules_t *
compile(const char *other)
{
    char                    text[256];
    ngx_http_gray_json_t   *doc;
    ngx_http_gray_rules_t  *rules;

    sprintf(text, "{\"baseline\": \"stable\", \"variants\": {\"stable\": {}, "
                  "\"canary\": {}, \"%s\": {}}}", other);

    doc = parse(text);

    rules = ngx_http_gray_compile(doc, &known, NULL, &quiet);
    assert_non_null(rules);

    ngx_http_gray_json_free(doc);

    return rules;
}


static uint64_t
publish(void)
{
    ngx_str_t  text;

    text = string("{}");

    assert_int_equal(ngx_http_gray_shm_lock(&zone), NGX_OK);
    assert_int_equal(ngx_http_gray_shm_publish_locked(&zone, block, &text,
                                                      NGX_HTTP_GRAY_API),
                     NGX_OK);
    ngx_http_gray_shm_unlock(&zone);

    return ngx_http_gray_shm_word(block);
}


static ngx_int_t
assign(ngx_http_gray_rules_t *rules, uint64_t word, ngx_uint_t *uncounted)
{
    return ngx_http_gray_slots_assign(&zone, block, word, rules, &fallback,
                                      uncounted);
}


/* does it count by the name that the slot has? */

static ngx_uint_t
counts(ngx_http_gray_rules_t *rules, ngx_uint_t i)
{
    ngx_str_t                 name;
    ngx_http_gray_claim_t    *names;
    ngx_http_gray_variant_t  *variant;

    names = ngx_http_gray_counters_names(counters);
    variant = ngx_http_gray_rules_variant(rules, i);

    if (variant->slot == SLOTS || names[variant->slot].mark != variant->mark) {
        return 0;
    }

    assert_int_equal(ngx_http_gray_counters_variant(counters, variant->slot,
                                                    &name),
                     NGX_OK);
    assert_int_equal(name.len, variant->name.len);
    assert_memory_equal(name.data, variant->name.data, name.len);

    return 1;
}


static void
begin(void)
{
    size_t  size;

    size = ngx_http_gray_counters_size(SLOTS, 1);

    create(&zone, 1024 * 1024, 1024);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);

    block = block_with(&zone, "app", size);
    counters = ngx_http_gray_shm_counters(&zone, block);
    ngx_http_gray_counters_init(counters, SLOTS, 1, ngx_time(),
                                ngx_current_msec);

    fallback.name = string("stable");
}


/* one that is late does not take a slot from who is not */

static void
test_late(void **state)
{
    uint64_t                before, word;
    ngx_uint_t              i, uncounted;
    ngx_http_gray_rules_t  *first, *one, *other;

    (void) state;

    begin();

    first = compile("before");
    before = publish();
    assert_int_equal(assign(first, before, &uncounted), NGX_OK);
    assert_int_equal(uncounted, 0);

    one = compile("one");
    before = publish();

    other = compile("other");
    word = publish();

    assert_int_equal(assign(other, word, &uncounted), NGX_OK);
    assert_int_equal(uncounted, 0);
    assert_int_equal(assign(one, before, &uncounted), NGX_AGAIN);

    for (i = 0; i < SLOTS; i++) {
        assert_true(counts(other, i));
        assert_int_equal(counts(one, i), strcmp((char *)
                         ngx_http_gray_rules_variant(one, i)->name.data, "one")
                         != 0);
    }

    /* it gets one once it is in force again */

    before = publish();
    assert_int_equal(assign(one, before, &uncounted), NGX_OK);
    assert_int_equal(uncounted, 0);

    for (i = 0; i < SLOTS; i++) {
        assert_true(counts(one, i));
    }

    ngx_http_gray_rules_destroy(first);
    ngx_http_gray_rules_destroy(one);
    ngx_http_gray_rules_destroy(other);
    destroy();
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_late)
    };

    prepare();

    return cmocka_run_group_tests(tests, NULL, NULL);
}
