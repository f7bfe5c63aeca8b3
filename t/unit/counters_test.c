
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Counters: the layout, by what each part may be overwritten with; sums; slots
 * of names; and what another zone takes along.  Windows are of turns_test.c.
 */


#include "unit.h"

#include <pthread.h>

#include "ngx_http_gray_counters.h"
#include "ngx_http_gray_turns.h"


#define COUNTS   (sizeof(ngx_http_gray_counts_t) / sizeof(uint64_t))
#define RULES    NGX_HTTP_GRAY_COUNTED_RULES
#define ENTRIES  NGX_HTTP_GRAY_ENTRIES

/* what a release with two variants may take, and one more to come */
#define BUDGET   (256 * 1024)

#define NOW      123456789


/* NOW is the second 1000 */

static void
set_clock(ngx_msec_t ms)
{
    static ngx_time_t  cached;

    cached.sec = 1000 + (time_t) (ms - NOW) / 1000;

    ngx_cached_time = &cached;
    ngx_current_msec = ms;
}


static ngx_http_gray_counters_t *
create(ngx_uint_t variants, ngx_uint_t workers)
{
    size_t                     size;
    ngx_http_gray_counters_t  *counters;

    size = ngx_http_gray_counters_size(variants, workers);

    counters = malloc(size);
    assert_non_null(counters);
    memset(counters, 0xa5, size);

    ngx_http_gray_counters_init(counters, variants, workers, 1000, NOW);

    return counters;
}


static ngx_uint_t
assign(ngx_http_gray_counters_t *counters, const char *text, ngx_uint_t locked)
{
    ngx_str_t   s, *name;
    ngx_uint_t  slot;

    s = string(text);
    name = &s;

    ngx_http_gray_counters_assign_variants(counters, &name, 1, &slot, locked);

    return slot;
}


static ngx_uint_t
assign_rule(ngx_http_gray_counters_t *counters, const char *text)
{
    ngx_str_t   s, *name;
    ngx_uint_t  slot;

    s = string(text);
    name = &s;

    ngx_http_gray_counters_assign_rules(counters, &name, 1, &slot, 0);

    return slot;
}


/* each counter by another number, which tells the slot as well */

static void
fill(ngx_http_gray_counters_t *counters, ngx_uint_t worker, ngx_uint_t slot,
    uint64_t n)
{
    uint64_t    *counts;
    ngx_uint_t   i;

    counts = (uint64_t *) ngx_http_gray_counters_counts(counters, worker,
                                                        slot);

    for (i = 0; i < COUNTS; i++) {
        ngx_http_gray_count(&counts[i], n * (i + 1));
    }
}


static void
assert_filled(ngx_http_gray_counts_t *counts, uint64_t n)
{
    uint64_t    *number;
    ngx_uint_t   i;

    number = (uint64_t *) counts;

    for (i = 0; i < COUNTS; i++) {
        if (number[i] != n * (i + 1)) {
            fail_msg("counter %lu is %lu, not %lu", (unsigned long) i,
                     (unsigned long) number[i],
                     (unsigned long) (n * (i + 1)));
        }
    }
}


static void
assert_sum(ngx_http_gray_counters_t *counters, ngx_uint_t slot, uint64_t n)
{
    ngx_http_gray_counts_t  counts;

    ngx_http_gray_counters_sum(counters, slot, &counts);
    assert_filled(&counts, n);
}


static void
assert_since(ngx_http_gray_counters_t *counters, ngx_uint_t slot,
    ngx_msec_t now, uint64_t n, uint64_t ms, time_t since)
{
    time_t                  from;
    uint64_t                time;
    ngx_http_gray_counts_t  counts;

    ngx_http_gray_turns_since(counters, slot, now, &counts, &time, &from);

    assert_filled(&counts, n);
    assert_int_equal(time, ms);
    assert_int_equal(from, since);
}


static void
test_size(void **state)
{
    size_t      size, last;
    ngx_uint_t  i, k;

    static const ngx_uint_t  variants[] = { 2, 3, 5, 33 };
    static const ngx_uint_t  workers[] = { 1, 4, 16, 64 };

    (void) state;

    for (i = 0; i < ITEMS(variants); i++) {
        for (k = 0; k < ITEMS(workers); k++) {
            print_message("# %2lu variants, %2lu workers: %7lu bytes\n",
                          (unsigned long) variants[i],
                          (unsigned long) workers[k],
                          (unsigned long) ngx_http_gray_counters_size(
                                                 variants[i], workers[k]));
        }
    }

    assert_true(ngx_http_gray_counters_size(3, 4) <= BUDGET);

    /* as it is told to administrators */

    for (i = 1; i <= NGX_HTTP_GRAY_COUNTED_VARIANTS; i++) {
        last = 0;

        for (k = 1; k <= NGX_HTTP_GRAY_COUNTED_WORKERS; k++) {
            size = ngx_http_gray_counters_size(i, k);
            assert_true(size > last);
            last = size;
        }

        assert_int_equal(ngx_http_gray_counters_size(i, 64), last);
        assert_int_equal(ngx_http_gray_counters_size(i, 0),
                         ngx_http_gray_counters_size(i, 1));
    }
}


static void
test_init(void **state)
{
    ngx_str_t                  name;
    ngx_uint_t                 i, k;
    ngx_http_gray_summary_t    summary, none;
    ngx_http_gray_counters_t  *counters;

    (void) state;

    counters = create(3, 4);
    memset(&none, 0, sizeof(none));

    assert_int_equal(ngx_http_gray_counters_variants(counters), 3);

    for (i = 0; i < 4; i++) {
        assert_sum(counters, i, 0);
        assert_since(counters, i, NOW + 500, 0, 500, 1000);

        for (k = 0; k < ENTRIES; k++) {
            assert_int_equal(*ngx_http_gray_counters_live(counters, k, i), 0);
        }

        assert_int_equal(ngx_http_gray_turns_window(counters, i, 3600,
                                                    NOW + 500, &summary),
                         i < 3 ? NGX_OK : NGX_DECLINED);
        if (i < 3) {
            none.ms = 500;
            assert_memory_equal(&summary, &none, sizeof(none));
        }

        assert_int_equal(ngx_http_gray_counters_variant(counters, i, &name),
                         i < 3 ? NGX_DECLINED : NGX_OK);
    }

    assert_string_equal((char *) name.data, "_other");

    for (i = 0; i <= RULES; i++) {
        assert_int_equal(ngx_http_gray_counters_matched(counters, i), 0);
        assert_int_equal(ngx_http_gray_counters_rule(counters, i, &name),
                         i < RULES ? NGX_DECLINED : NGX_OK);
    }

    assert_string_equal((char *) name.data, "_other");

    free(counters);
}


/* whatever is counted where, nothing else changes: all parts lie apart */

static void
test_apart(void **state)
{
    uint64_t                   n;
    ngx_uint_t                 i, k, round;
    ngx_http_gray_counters_t  *counters;

    (void) state;

    counters = create(3, 4);

    for (round = 1; round <= 2; round++) {

        for (i = 0; i < 4; i++) {
            for (k = 0; k < 4; k++) {
                fill(counters, i, k, 1 + 10 * i + 100 * k);
            }

            for (k = 0; k <= RULES; k++) {
                ngx_http_gray_count(
                       ngx_http_gray_counters_matches(counters, i, k), k + i);
            }
        }

        for (i = 0; i < ENTRIES; i++) {
            for (k = 0; k < 4; k++) {
                *ngx_http_gray_counters_live(counters, i, k) += 4 * i + k;
            }
        }

        for (i = 0; i < 100; i++) {
            ngx_http_gray_turns_tick(counters, NOW + (100 * round + i)
                                                     * 10000, 0);
        }

        for (k = 0; k < 4; k++) {
            n = round * (4 + 60 + 400 * k);
            assert_sum(counters, k, n);
        }

        for (k = 0; k <= RULES; k++) {
            assert_int_equal(ngx_http_gray_counters_matched(counters, k),
                             round * (4 * k + 6));
        }

        for (i = 0; i < ENTRIES; i++) {
            for (k = 0; k < 4; k++) {
                assert_int_equal(*ngx_http_gray_counters_live(counters, i, k),
                                 round * (4 * i + k));
            }
        }
    }

    ngx_http_gray_counters_forget(counters, 1);

    for (i = 0; i < 3; i++) {
        for (k = 0; k < 4; k++) {
            assert_int_equal(*ngx_http_gray_counters_live(counters, i, k),
                             i == 1 ? 0 : 2 * (4 * i + k));
        }
    }

    free(counters);
}


static void
test_workers(void **state)
{
    ngx_uint_t                 i;
    ngx_http_gray_counters_t  *counters;

    (void) state;

    counters = create(2, 64);

    assert_ptr_equal(ngx_http_gray_counters_counts(counters, 17, 1),
                     ngx_http_gray_counters_counts(counters, 1, 1));
    assert_ptr_equal(ngx_http_gray_counters_matches(counters, 63, 5),
                     ngx_http_gray_counters_matches(counters, 15, 5));

    for (i = 0; i < 64; i++) {
        fill(counters, i, 1, i);
    }

    assert_sum(counters, 1, 63 * 64 / 2);
    assert_sum(counters, 0, 0);
    assert_sum(counters, 2, 0);

    free(counters);
}


/* sums go on, and "since" begins anew; with counters that wrap, too */

static void
test_reset(void **state)
{
    ngx_uint_t                 i, k;
    ngx_http_gray_counters_t  *counters;

    static const uint64_t  begins[] = { 0, (uint64_t) -20 };

    (void) state;

    for (i = 0; i < ITEMS(begins); i++) {
        counters = create(2, 4);

        for (k = 0; k < 3; k++) {
            fill(counters, 3, k, begins[i]);
        }

        ngx_http_gray_turns_reset_locked(counters, 2000, NOW + 1000);

        for (k = 0; k < 3; k++) {
            assert_since(counters, k, NOW + 3000, 0, 2000, 2000);
            fill(counters, 1, k, 7);
            assert_since(counters, k, NOW + 3000, 7, 2000, 2000);
            assert_sum(counters, k, begins[i] + 7);
        }

        /* turns do not matter, and resets of which two follow each other */

        for (k = 1; k < 1000; k++) {
            ngx_http_gray_turns_tick(counters, NOW + k * 10000, 0);
            assert_since(counters, k % 3, NOW + k * 10000, 7,
                         k * 10000 - 1000, 2000);
        }

        fill(counters, 2, 1, 30);
        assert_since(counters, 1, NOW + 10000000, 37, 9999000, 2000);
        assert_sum(counters, 1, begins[i] + 37);

        ngx_http_gray_turns_reset_locked(counters, 3000, NOW + 10000000);
        fill(counters, 2, 1, 1);
        ngx_http_gray_turns_reset_locked(counters, 4000, NOW + 10000000);
        fill(counters, 0, 1, 2);

        assert_since(counters, 1, NOW + 10000001, 2, 1, 4000);
        assert_sum(counters, 1, begins[i] + 40);

        free(counters);
    }
}


static void
test_names(void **state)
{
    ngx_str_t                  text[3], *name[3], found;
    ngx_uint_t                 i, slot[3];
    ngx_http_gray_summary_t    summary;
    ngx_http_gray_counters_t  *counters;

    (void) state;

    counters = create(2, 2);
    set_clock(NOW);

    assert_int_equal(assign(counters, "stable", 0), 0);
    assert_int_equal(assign(counters, "canary", 0), 1);
    assert_int_equal(assign(counters, "canary", 0), 1);
    assert_int_equal(assign(counters, "next", 0), 2);

    fill(counters, 0, 0, 5);
    fill(counters, 1, 1, 6);
    fill(counters, 1, 2, 7);
    *ngx_http_gray_counters_live(counters, 3, 1) = 8;

    for (i = 1; i < 20; i++) {
        ngx_http_gray_turns_tick(counters, NOW + i * 10000, 0);
    }

    ngx_http_gray_turns_reset_locked(counters, 1195, NOW + 195000);
    fill(counters, 0, 1, 9);

    /* "canary" is out of use, but nobody has the lock */

    text[0] = string("stable");
    text[1] = string("next");
    name[0] = &text[0];
    name[1] = &text[1];

    ngx_http_gray_counters_assign_variants(counters, name, 2, slot, 0);
    assert_int_equal(slot[0], 0);
    assert_int_equal(slot[1], 2);
    assert_sum(counters, 1, 15);

    set_clock(NOW + 200000);

    ngx_http_gray_counters_assign_variants(counters, name, 2, slot, 1);
    assert_int_equal(slot[0], 0);
    assert_int_equal(slot[1], 1);

    /* all that was counted there is gone, but for who is under way */

    assert_sum(counters, 0, 5);
    assert_sum(counters, 1, 0);
    assert_sum(counters, 2, 7);
    assert_since(counters, 1, NOW + 201000, 0, 1000, 1200);
    assert_since(counters, 0, NOW + 201000, 0, 6000, 1195);
    assert_int_equal(*ngx_http_gray_counters_live(counters, 3, 1), 8);

    assert_int_equal(ngx_http_gray_turns_window(counters, 1, 3600,
                                                NOW + 201000, &summary),
                     NGX_OK);
    assert_int_equal(summary.ms, 1000);
    assert_int_equal(summary.codes[0], 0);

    assert_int_equal(ngx_http_gray_counters_variant(counters, 1, &found),
                     NGX_OK);
    assert_string_equal((char *) found.data, "next");

    /* three do not fit in two: none loses its slot */

    text[2] = string("third");
    name[2] = &text[2];

    ngx_http_gray_counters_assign_variants(counters, name, 3, slot, 1);
    assert_int_equal(slot[0], 0);
    assert_int_equal(slot[1], 1);
    assert_int_equal(slot[2], 2);

    free(counters);
}


static void
test_rules(void **state)
{
    char                       text[RULES + 2][16];
    ngx_str_t                  s[RULES], *name[RULES], found;
    ngx_uint_t                 i, slot[RULES];
    ngx_http_gray_counters_t  *counters;

    (void) state;

    counters = create(2, 2);

    for (i = 0; i < RULES + 2; i++) {
        (void) sprintf(text[i], "rule-%lu", (unsigned long) i);
        assert_int_equal(assign_rule(counters, text[i]), ngx_min(i, RULES));
    }

    for (i = 0; i <= RULES; i++) {
        ngx_http_gray_count(ngx_http_gray_counters_matches(counters, i, i), i);
    }

    /* the first two are replaced by the last two */

    for (i = 0; i < RULES; i++) {
        s[i] = string(text[i + 2]);
        name[i] = &s[i];
    }

    ngx_http_gray_counters_assign_rules(counters, name, RULES, slot, 1);

    for (i = 0; i < RULES; i++) {
        assert_int_equal(slot[i], (i + 2) % RULES);
        assert_int_equal(ngx_http_gray_counters_rule(counters, slot[i],
                                                     &found),
                         NGX_OK);
        assert_string_equal((char *) found.data, text[i + 2]);
        assert_int_equal(ngx_http_gray_counters_matched(counters, slot[i]),
                         i < RULES - 2 ? i + 2 : 0);
    }

    assert_int_equal(ngx_http_gray_counters_matched(counters, RULES), RULES);

    free(counters);
}


/* to more, as many, and fewer slots, of more and of fewer workers */

static void
test_inherit(void **state)
{
    uint64_t                   n[4], other, first_codes;
    ngx_uint_t                 i, k, slot;
    ngx_http_gray_summary_t    before[3], after;
    ngx_http_gray_counters_t  *from, *to;

    static const char *names[] = { "stable", "canary", "next", "_other" };

    static const ngx_uint_t  variants[] = { 5, 3, 2, 1 };
    static const ngx_uint_t  workers[] = { 1, 4, 16, 3 };

    (void) state;

    from = create(3, 4);
    set_clock(NOW);
    first_codes = 0;

    for (i = 0; i < NGX_HTTP_GRAY_REASONS; i++) {
        first_codes += i * NGX_HTTP_GRAY_CODES + 1;
    }

    for (i = 0; i < 3; i++) {
        assert_int_equal(assign(from, names[i], 0), i);
    }

    (void) assign_rule(from, "first");
    (void) assign_rule(from, "second");

    for (k = 0; k < 50; k++) {
        for (i = 0; i < 4; i++) {
            fill(from, k, i, (i + 1) * (k + 1));
        }

        ngx_http_gray_count(ngx_http_gray_counters_matches(from, k, 1), k);
        ngx_http_gray_count(ngx_http_gray_counters_matches(from, k, RULES), 1);

        ngx_http_gray_turns_tick(from, NOW + k * 10000, 0);

        if (k == 9) {
            ngx_http_gray_turns_reset_locked(from, 1095, NOW + 95000);
        }
    }

    for (i = 0; i < 4; i++) {
        n[i] = (i + 1) * 50 * 51 / 2;
    }

    for (i = 0; i < 3; i++) {
        (void) ngx_http_gray_turns_window(from, i, 120, NOW + 495000,
                                          &before[i]);
        assert_true(before[i].codes[1] > 0 && before[i].ms >= 120000);
    }

    for (k = 0; k < ITEMS(variants); k++) {
        to = create(variants[k], workers[k]);
        set_clock(NOW + 490000);

        /* something of an older time, and of one who is there */

        assert_int_equal(assign(to, "older", 0), 0);
        fill(to, 0, 0, 77);
        fill(to, 0, variants[k], 78);
        *ngx_http_gray_counters_live(to, 5, 0) = 9;

        ngx_http_gray_counters_inherit(to, from);

        other = n[3];

        for (i = 0; i < 3; i++) {
            slot = assign(to, names[i], 0);

            if (i >= variants[k]) {
                assert_int_equal(slot, variants[k]);
                other += n[i];
                continue;
            }

            assert_sum(to, slot, n[i]);
            assert_since(to, slot, NOW + 495000, n[i] - (i + 1) * 55, 400000,
                         1095);
            (void) ngx_http_gray_turns_window(to, slot, 120, NOW + 495000,
                                              &after);
            assert_memory_equal(&after, &before[i], sizeof(after));
        }

        assert_sum(to, variants[k], other);
        assert_since(to, variants[k], NOW + 495000,
                     other - other / (50 * 51 / 2) * 55, 400000, 1095);
        assert_int_equal(*ngx_http_gray_counters_live(to, 5, 0), 9);

        assert_int_equal(assign_rule(to, "second"), 1);
        assert_int_equal(ngx_http_gray_counters_matched(to, 0), 0);
        assert_int_equal(ngx_http_gray_counters_matched(to, 1), 49 * 50 / 2);
        assert_int_equal(ngx_http_gray_counters_matched(to, RULES), 50);

        /* and it goes on as any */

        fill(to, 7, 0, 1);
        ngx_http_gray_turns_tick(to, NOW + 500000, 0);
        (void) ngx_http_gray_turns_window(to, 0, 10, NOW + 500000, &after);

        assert_int_equal(after.ms, 10000);
        assert_int_equal(after.codes[0], first_codes);
        assert_sum(to, 0, n[0] + 1);

        free(to);
    }

    free(from);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_apart),
        cmocka_unit_test(test_workers),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_inherit),
    };

    ngx_time_init();

    return cmocka_run_group_tests_name("counters", tests, NULL, NULL);
}
