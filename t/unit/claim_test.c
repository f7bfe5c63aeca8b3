
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Claims of names: by threads and by processes at a time, while slots change
 * hands, and where somebody dies in between.
 */


#include "unit.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "ngx_http_gray_claim.h"


#define SLOTS     33
#define CLAIMERS  8
#define ROUNDS    100
#define CHANGES   5000


typedef struct {
    ngx_http_gray_claim_t   claims[SLOTS + 1];
    ngx_uint_t              slot[CLAIMERS][SLOTS];
    ngx_atomic_t            ready;
    ngx_atomic_t            done;
} shared_t;


typedef struct {
    shared_t               *shared;
    ngx_uint_t              number;
    uint64_t                seed;
} claimer_t;


static char       texts[2 * SLOTS][32];
static ngx_str_t  names[2 * SLOTS];


static void
make_names(void)
{
    ngx_uint_t  i;

    for (i = 0; i < ITEMS(names); i++) {
        (void) sprintf(texts[i], "name-%lu", (unsigned long) i);
        names[i] = string(texts[i]);
    }
}


static shared_t *
create(void)
{
    shared_t  *shared;

    shared = mmap(NULL, sizeof(shared_t), PROT_READ|PROT_WRITE,
                  MAP_ANON|MAP_SHARED, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);

    return shared;
}


static void
destroy(shared_t *shared)
{
    assert_int_equal(munmap(shared, sizeof(shared_t)), 0);
}


/* each name that has a slot has one, and it is found there */

static void
assert_table(ngx_http_gray_claim_t *claims, ngx_uint_t slots)
{
    ngx_str_t   name, other;
    ngx_uint_t  i, k;

    for (i = 0; i < slots; i++) {

        if (claims[i].mark == NGX_HTTP_GRAY_CLAIM_FREE) {
            continue;
        }

        assert_int_equal(ngx_http_gray_claim_name(claims, i, &name), NGX_OK);
        assert_true(claims[i].time != 0 && claims[i].began != 0);
        assert_int_equal(ngx_http_gray_claim(claims, slots, &name), i);

        for (k = 0; k < i; k++) {
            if (ngx_http_gray_claim_name(claims, k, &other) == NGX_OK
                && other.len == name.len
                && memcmp(other.data, name.data, name.len) == 0)
            {
                fail_msg("\"%s\" has slots %lu and %lu", (char *) name.data,
                         (unsigned long) k, (unsigned long) i);
            }
        }
    }
}


static void
test_claim(void **state)
{
    u_char                 longest[2 * NGX_HTTP_GRAY_NAME];
    ngx_str_t              name;
    ngx_uint_t             i;
    ngx_http_gray_claim_t  claims[4];

    (void) state;

    memset(claims, 0, sizeof(claims));

    assert_int_equal(ngx_http_gray_claim_name(claims, 0, &name), NGX_DECLINED);

    for (i = 0; i < 3; i++) {
        assert_int_equal(ngx_http_gray_claim(claims, 3, &names[i]), i);
        assert_int_equal(ngx_http_gray_claim_name(claims, i, &name), NGX_OK);
        assert_string_equal((char *) name.data, texts[i]);
        assert_int_equal(name.len, names[i].len);
        assert_int_equal(claims[i].began, ngx_current_msec);
        assert_int_equal(claims[i].time, ngx_time());
    }

    assert_int_equal(ngx_http_gray_claim(claims, 3, &names[3]), 3);
    assert_int_equal(ngx_http_gray_claim(claims, 3, &names[1]), 1);
    assert_int_equal(claims[3].mark, 0);

    /* the time is that of the claim, whoever comes later */

    ngx_current_msec += 5000;
    assert_int_equal(ngx_http_gray_claim(claims, 3, &names[1]), 1);
    assert_int_equal(claims[1].began, ngx_current_msec - 5000);

    /* one that is too long is cut, and found all the same */

    memset(claims, 0, sizeof(claims));
    memset(longest, 'x', sizeof(longest));
    name.data = longest;
    name.len = sizeof(longest);

    assert_int_equal(ngx_http_gray_claim(claims, 3, &name), 0);
    assert_int_equal(ngx_http_gray_claim(claims, 3, &name), 0);
    assert_int_equal(ngx_http_gray_claim_name(claims, 0, &name), NGX_OK);
    assert_int_equal(name.len, NGX_HTTP_GRAY_NAME);
}


/* the slot of a name that is not kept goes to another one */

static void
test_take(void **state)
{
    ngx_str_t              name, *keep[3];
    ngx_uint_t             i;
    ngx_http_gray_claim_t  claims[3];

    (void) state;

    memset(claims, 0, sizeof(claims));

    for (i = 0; i < 3; i++) {
        keep[i] = &names[i];
        assert_int_equal(ngx_http_gray_claim(claims, 3, &names[i]), i);
    }

    assert_int_equal(ngx_http_gray_claim_take(claims, 3, keep, 3), 3);

    keep[1] = &names[9];

    ngx_current_msec += 5000;
    assert_int_equal(ngx_http_gray_claim_take(claims, 3, keep, 3), 1);

    /* nobody has it: not the old name, nor a new one, nor a reader */

    assert_int_equal(claims[1].mark, NGX_HTTP_GRAY_CLAIM_TAKEN);
    assert_int_equal(ngx_http_gray_claim_name(claims, 1, &name), NGX_DECLINED);
    assert_int_equal(ngx_http_gray_claim(claims, 3, &names[1]), 3);
    assert_int_equal(ngx_http_gray_claim(claims, 3, &names[9]), 3);

    /* who took it died: the next one gets it, before any other */

    keep[0] = &names[8];
    assert_int_equal(ngx_http_gray_claim_take(claims, 3, keep, 3), 1);

    ngx_http_gray_claim_give(claims, 1, &names[9]);

    assert_int_equal(ngx_http_gray_claim_name(claims, 1, &name), NGX_OK);
    assert_string_equal((char *) name.data, texts[9]);
    assert_int_equal(claims[1].began, ngx_current_msec);
    assert_int_equal(ngx_http_gray_claim(claims, 3, &names[9]), 1);
    assert_int_equal(ngx_http_gray_claim(claims, 3, &names[1]), 3);
}


/* the name that has its slot for longest goes first */

static void
test_oldest(void **state)
{
    ngx_str_t              *keep[1];
    ngx_uint_t              i, slot;
    ngx_http_gray_claim_t   claims[4];

    static const ngx_msec_t  began[4] = { 4000, 3000, 1000, 2000 };
    static const ngx_uint_t  order[3] = { 3, 1, 0 };

    (void) state;

    memset(claims, 0, sizeof(claims));

    for (i = 0; i < 4; i++) {
        ngx_current_msec = began[i];
        assert_int_equal(ngx_http_gray_claim(claims, 4, &names[i]), i);
    }

    ngx_current_msec = 5000;
    keep[0] = &names[2];

    for (i = 0; i < 3; i++) {
        slot = ngx_http_gray_claim_take(claims, 4, keep, 1);
        assert_int_equal(slot, order[i]);
        ngx_http_gray_claim_give(claims, slot, &names[10 + i]);
    }
}


/* a claim that was not ended, at each byte of it */

static void
test_killed(void **state)
{
    size_t                 i;
    ngx_str_t              name;
    ngx_http_gray_claim_t  claims[3], whole, half;

    (void) state;

    memset(claims, 0, sizeof(claims));
    assert_int_equal(ngx_http_gray_claim(claims, 3, &names[0]), 0);
    assert_int_equal(ngx_http_gray_claim(claims, 3, &names[1]), 1);

    whole = claims[1];

    for (i = sizeof(uint64_t); i < sizeof(ngx_http_gray_claim_t); i++) {
        memset(&half, 0, sizeof(half));
        memcpy(&half, &whole, i);
        claims[1] = half;

        /* with the length first, as the compiler may have it, or last */

        if (i < offsetof(ngx_http_gray_claim_t, name) + names[1].len) {
            assert_int_equal(ngx_http_gray_claim_name(claims, 1, &name),
                             NGX_DECLINED);
            claims[1].len = 0;
            assert_int_equal(ngx_http_gray_claim_name(claims, 1, &name),
                             NGX_DECLINED);
        }

        /* others have their slots, and the next one mends it */

        assert_int_equal(ngx_http_gray_claim(claims, 3, &names[0]), 0);
        assert_int_equal(ngx_http_gray_claim(claims, 3, &names[1]), 1);
        assert_memory_equal(&claims[1], &whole, sizeof(whole));
    }
}


static void *
claim_all(void *data)
{
    claimer_t *claimer = data;

    shared_t   *shared;
    ngx_uint_t  i, k, n, order[SLOTS];

    shared = claimer->shared;

    for (i = 0; i < SLOTS; i++) {
        k = draw(&claimer->seed) % (i + 1);
        order[i] = order[k];
        order[k] = i;
    }

    (void) __atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);

    while (__atomic_load_n(&shared->ready, __ATOMIC_SEQ_CST) < CLAIMERS) {
        sched_yield();
    }

    for (i = 0; i < SLOTS; i++) {
        n = order[i];
        shared->slot[claimer->number][n] = ngx_http_gray_claim(shared->claims,
                                                          SLOTS, &names[n]);
    }

    return NULL;
}


static void
claim_at_once(ngx_uint_t threads, uint64_t seed)
{
    int         status;
    pid_t       pid[CLAIMERS];
    shared_t   *shared;
    pthread_t   tid[CLAIMERS];
    claimer_t   claimer[CLAIMERS];
    ngx_uint_t  i, k;

    shared = create();

    for (i = 0; i < CLAIMERS; i++) {
        claimer[i].shared = shared;
        claimer[i].number = i;
        claimer[i].seed = draw(&seed);

        if (threads) {
            assert_int_equal(pthread_create(&tid[i], NULL, claim_all,
                                            &claimer[i]), 0);
            continue;
        }

        pid[i] = fork();
        assert_true(pid[i] >= 0);

        if (pid[i] == 0) {
            (void) claim_all(&claimer[i]);
            _exit(0);
        }
    }

    for (i = 0; i < CLAIMERS; i++) {
        if (threads) {
            assert_int_equal(pthread_join(tid[i], NULL), 0);
            continue;
        }

        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_int_equal(status, 0);
    }

    for (i = 0; i < SLOTS; i++) {
        assert_in_range(shared->slot[0][i], 0, SLOTS - 1);

        for (k = 1; k < CLAIMERS; k++) {
            assert_int_equal(shared->slot[k][i], shared->slot[0][i]);
        }
    }

    assert_table(shared->claims, SLOTS);
    destroy(shared);
}


static void
test_at_once(void **state)
{
    ngx_uint_t  i;

    (void) state;

    for (i = 0; i < ROUNDS; i++) {
        claim_at_once(1, i);
    }

    for (i = 0; i < ROUNDS / 10; i++) {
        claim_at_once(0, i);
    }
}


/* claims without the lock, while one who has it gives slots to others */

static void *
claim_on(void *data)
{
    claimer_t *claimer = data;

    shared_t   *shared;
    ngx_str_t   name;
    ngx_uint_t  slot;

    shared = claimer->shared;

    while (!__atomic_load_n(&shared->done, __ATOMIC_SEQ_CST)) {
        slot = ngx_http_gray_claim(shared->claims, SLOTS,
                                   &names[draw(&claimer->seed)
                                          % ITEMS(names)]);

        if (slot < SLOTS) {
            (void) ngx_http_gray_claim_name(shared->claims, slot, &name);
        }
    }

    return NULL;
}


static void
test_changes(void **state)
{
    shared_t   *shared;
    uint64_t    seed;
    pthread_t   tid[CLAIMERS];
    claimer_t   claimer[CLAIMERS];
    ngx_str_t  *keep[SLOTS];
    ngx_uint_t  i, k, first, slot;

    (void) state;

    seed = 1;
    shared = create();

    for (i = 0; i < CLAIMERS; i++) {
        claimer[i].shared = shared;
        claimer[i].seed = i;
        assert_int_equal(pthread_create(&tid[i], NULL, claim_on, &claimer[i]),
                         0);
    }

    for (i = 0; i < CHANGES; i++) {
        first = draw(&seed) % SLOTS;

        for (k = 0; k < SLOTS; k++) {
            keep[k] = &names[first + k];
        }

        for (k = 0; k < SLOTS; k++) {
            slot = ngx_http_gray_claim(shared->claims, SLOTS, keep[k]);

            if (slot == SLOTS) {
                slot = ngx_http_gray_claim_take(shared->claims, SLOTS, keep,
                                                SLOTS);
                assert_in_range(slot, 0, SLOTS - 1);
                ngx_http_gray_claim_give(shared->claims, slot, keep[k]);
            }
        }
    }

    __atomic_store_n(&shared->done, 1, __ATOMIC_SEQ_CST);

    for (i = 0; i < CLAIMERS; i++) {
        assert_int_equal(pthread_join(tid[i], NULL), 0);
    }

    /* whoever claims next mends what was overtaken */

    for (k = 0; k < SLOTS; k++) {
        slot = ngx_http_gray_claim(shared->claims, SLOTS, keep[k]);
        assert_in_range(slot, 0, SLOTS - 1);
    }

    assert_table(shared->claims, SLOTS);
    destroy(shared);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_claim),
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_oldest),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_changes),
    };

    ngx_time_init();
    make_names();

    return cmocka_run_group_tests_name("claim", tests, NULL, NULL);
}
