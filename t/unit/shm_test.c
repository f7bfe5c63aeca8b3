
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The shared zone, over anonymous shared memory: blocks, the size that is
 * told to be needed, and processes that read, write, stop and die.
 */


#include "zone.h"

#include <pthread.h>
#include <signal.h>

#include "ngx_http_gray_counters.h"

/*
 * The wrappers to be linked: __wrap_malloc, __wrap_calloc, __wrap_realloc,
 * __wrap_posix_memalign, __wrap_pcre2_compile_8,
 * __wrap_pcre2_match_data_create_8, __wrap_pcre2_match_context_create_8
 */

#include "memory.h"


int __real_pthread_mutexattr_init(pthread_mutexattr_t *attr);
int __wrap_pthread_mutexattr_init(pthread_mutexattr_t *attr);
int __real_pthread_mutexattr_setpshared(pthread_mutexattr_t *attr, int shared);
int __wrap_pthread_mutexattr_setpshared(pthread_mutexattr_t *attr, int shared);
int __real_pthread_mutexattr_setrobust(pthread_mutexattr_t *attr, int robust);
int __wrap_pthread_mutexattr_setrobust(pthread_mutexattr_t *attr, int robust);
int __real_pthread_mutex_init(pthread_mutex_t *mutex,
    const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex,
    const pthread_mutexattr_t *attr);


/* what processes tell each other, and of the test */

typedef struct {
    ngx_atomic_t  published;
    ngx_atomic_t  done;
} told_t;


/* the first bytes of a text that can be checked; the rest follows from it */

typedef struct {
    uint64_t      revision;
    uint64_t      len;
} head_t;


static uint64_t                seed;

/* calls that make a mutex, and the one that fails (0: none) */

static ngx_uint_t              mutex_calls;
static ngx_uint_t              mutex_failing;

/* a block that is written while it is read, and how often it will be */

static ngx_uint_t              overtakes;
static ngx_http_gray_zone_t   *overtaken_zone;
static ngx_http_gray_block_t  *overtaken;


int
__wrap_pthread_mutexattr_init(pthread_mutexattr_t *attr)
{
    return ++mutex_calls == mutex_failing
           ? ENOMEM : __real_pthread_mutexattr_init(attr);
}


int
__wrap_pthread_mutexattr_setpshared(pthread_mutexattr_t *attr, int shared)
{
    return ++mutex_calls == mutex_failing
           ? ENOTSUP : __real_pthread_mutexattr_setpshared(attr, shared);
}


int
__wrap_pthread_mutexattr_setrobust(pthread_mutexattr_t *attr, int robust)
{
    return ++mutex_calls == mutex_failing
           ? ENOTSUP : __real_pthread_mutexattr_setrobust(attr, robust);
}


int
__wrap_pthread_mutex_init(pthread_mutex_t *mutex,
    const pthread_mutexattr_t *attr)
{
    return ++mutex_calls == mutex_failing
           ? ENOTSUP : __real_pthread_mutex_init(mutex, attr);
}


static ngx_int_t
publish(ngx_http_gray_zone_t *zone, ngx_http_gray_block_t *block,
    const char *data, size_t len, ngx_http_gray_origin_e origin)
{
    ngx_int_t  rc;
    ngx_str_t  text;

    text.data = (u_char *) data;
    text.len = len;

    assert_int_equal(ngx_http_gray_shm_lock(zone), NGX_OK);
    rc = ngx_http_gray_shm_publish_locked(zone, block, &text, origin);
    ngx_http_gray_shm_unlock(zone);

    return rc;
}


static void
test_blocks(void **state)
{
    size_t                  from[2], to[2], last;
    u_char                 *at;
    ngx_uint_t              i, n;
    ngx_http_gray_zone_t    zone, other;
    ngx_http_gray_block_t  *block[4], *b;

    static const size_t  counters[] = { 0, 1, 8192, 100001 };

    static const char *names[] = {
        "checkout", "check", "checkout_2",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    };

    (void) state;

    create(&zone, 1024 * 1024, 10001);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);
    assert_null(ngx_http_gray_shm_next(&zone, NULL));

    last = ngx_http_gray_shm_free(&zone);

    for (i = 0; i < 4; i++) {
        block[i] = block_with(&zone, names[i], counters[i]);
        assert_non_null(block[i]);
        assert_int_equal(block[i]->size, 10001);
        assert_int_equal(block[i]->counters_size, counters[i]);
        assert_int_equal(ngx_http_gray_shm_word(block[i]), 0);
        assert_int_equal(block[i]->degraded, 0);
        assert_string_equal((char *) block[i]->name, names[i]);
        assert_int_equal((uintptr_t) block[i] % NGX_ALIGNMENT, 0);

        /* two arenas that keep clear of each other and of the zone's end */

        for (n = 0; n < 2; n++) {
            from[n] = block[i]->arena[n];
            to[n] = from[n] + 16 + 10001;
            assert_true(to[n] <= shm_zone.shm.size);
            assert_int_equal(from[n] % NGX_ALIGNMENT, 0);
        }

        assert_true(to[0] <= from[1]);
        assert_true(shm_zone.shm.addr + from[0] >= (u_char *) (block[i] + 1));

        /* and so do counters, which share no line of the cache with them */

        at = ngx_http_gray_shm_counters(&zone, block[i]);
        assert_int_equal(at != NULL, counters[i] != 0);

        if (at) {
            assert_int_equal((uintptr_t) at % 64, 0);
            assert_true(at >= shm_zone.shm.addr + to[1]);
            assert_true(at + counters[i]
                        <= zone.shpool->end - ngx_http_gray_shm_free(&zone));
        }

        assert_true(ngx_http_gray_shm_free(&zone) < last);
        last = ngx_http_gray_shm_free(&zone);
    }

    /* all that are written to their last byte leave the rest alone */

    for (i = 1; i < 4; i++) {
        memset(ngx_http_gray_shm_counters(&zone, block[i]), 'x', counters[i]);
    }

    for (i = 0; i < 4; i++) {
        assert_string_equal((char *) block[i]->name, names[i]);
        assert_int_equal(block[i]->counters_size, counters[i]);
    }

    assert_int_equal(ngx_http_gray_shm_free(&zone), last);

    /* the same by name, in the same order, in this process or another */

    zone.document = 20000;

    memset(&other, 0, sizeof(ngx_http_gray_zone_t));
    other.shm_zone = &shm_zone;
    other.document = 30000;
    assert_int_equal(ngx_http_gray_shm_attach(&other), NGX_OK);

    for (i = 4; i-- > 0; /* void */) {
        assert_ptr_equal(block_with(&zone, names[i], 5000), block[i]);
        assert_ptr_equal(block_of(&other, names[i]), block[i]);
        assert_int_equal(block[i]->size, 10001);
        assert_int_equal(block[i]->counters_size, counters[i]);
        assert_ptr_equal(ngx_http_gray_shm_counters(&other, block[i]),
                         ngx_http_gray_shm_counters(&zone, block[i]));
    }

    assert_int_equal(ngx_http_gray_shm_free(&zone), last);

    b = NULL;

    for (i = 0; i < 4; i++) {
        b = ngx_http_gray_shm_next(&other, b);
        assert_ptr_equal(b, block[i]);
    }

    assert_null(ngx_http_gray_shm_next(&other, b));

    /* a new one is of the size that is declared now */

    b = block_of(&other, "later");
    assert_int_equal(b->size, 30000);
    assert_ptr_equal(ngx_http_gray_shm_next(&zone, block[3]), b);

    destroy();
}


static void
test_layout(void **state)
{
    ngx_http_gray_zone_t  zone;

    (void) state;

    create(&zone, 256 * 1024, 4096);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);

    *(uint64_t *) zone.shpool->data ^= 1;
    line[0] = '\0';

    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_ERROR);
    assert_non_null(strstr(line, "gray_zone \"gray\" holds data of another "
                                 "layout, restart nginx"));

    destroy();
}


/* for the zone's lock and that of each entry, all that is wrapped above */

#define MUTEX_CALLS  (4 * (1 + NGX_HTTP_GRAY_ENTRIES))


/* without its mutexes there is no zone, and nobody finds one */


static void
test_mutex(void **state)
{
    ngx_uint_t            n;
    ngx_http_gray_zone_t  zone;

    (void) state;

    for (n = 1; n <= MUTEX_CALLS + 1; n++) {
        create(&zone, 256 * 1024, 4096);

        line[0] = '\0';
        mutex_calls = 0;
        mutex_failing = n;

        if (ngx_http_gray_shm_attach(&zone) == NGX_OK) {
            mutex_failing = 0;
            assert_int_equal(mutex_calls, n - 1);
            assert_string_equal(line, "");
            assert_int_equal(ngx_http_gray_shm_lock(&zone), NGX_OK);
            ngx_http_gray_shm_unlock(&zone);
            destroy();
            break;
        }

        mutex_failing = 0;
        assert_non_null(strstr(line, "gray_zone \"gray\": this system has no "
                                     "robust mutexes"));
        assert_null(zone.shared);
        assert_null(zone.shpool->data);

        destroy();
    }

    assert_int_equal(n, MUTEX_CALLS + 1);
}


/* does a zone of so many pages take n blocks? */

static ngx_uint_t
takes(size_t pages, size_t document, size_t counters, ngx_uint_t n)
{
    char                  name[32];
    ngx_uint_t            i;
    ngx_http_gray_zone_t  zone;

    create(&zone, pages * ngx_pagesize, document);

    i = 0;

    if (ngx_http_gray_shm_attach(&zone) == NGX_OK) {
        for ( /* void */ ; i < n; i++) {
            sprintf(name, "r%lu", (unsigned long) i);

            if (block_with(&zone, name, counters) == NULL) {
                break;
            }
        }
    }

    destroy();

    return i == n;
}


/* what is told to be needed is needed, and does */

static void
check_need(size_t document, size_t counters, ngx_uint_t n)
{
    size_t                need, low, high, middle;
    ngx_http_gray_zone_t  zone;

    memset(&zone, 0, sizeof(ngx_http_gray_zone_t));
    zone.document = document;

    need = ngx_http_gray_shm_need(&zone,
                                  n * ngx_http_gray_shm_pages(&zone,
                                                              counters));
    assert_int_equal(need % ngx_pagesize, 0);

    if (!takes(need / ngx_pagesize, document, counters, n)) {
        fail_msg("%lu releases of %lu bytes and %lu of counters need more "
                 "than %lu",
                 (unsigned long) n, (unsigned long) document,
                 (unsigned long) counters, (unsigned long) need);
    }

    /* what less would do */

    low = 2;
    high = need / ngx_pagesize;

    while (low < high) {
        middle = (low + high) / 2;

        if (takes(middle, document, counters, n)) {
            high = middle;

        } else {
            low = middle + 1;
        }
    }

    if (need != high * ngx_pagesize) {
        fail_msg("%lu releases of %lu bytes and %lu of counters need %lu, "
                 "not %lu",
                 (unsigned long) n, (unsigned long) document,
                 (unsigned long) counters,
                 (unsigned long) (high * ngx_pagesize), (unsigned long) need);
    }
}


static void
test_need(void **state)
{
    size_t      counters[5];
    ngx_uint_t  i, k, m;

    static const size_t  documents[] = {
        1024, 1025, 4096, 5000, 16384, 65536, 65537, 100000, 1048576
    };
    static const ngx_uint_t  counts[] = { 1, 2, 3, 10, 50, 200 };

    (void) state;

    counters[0] = 0;
    counters[1] = 1;
    counters[2] = 4096;
    counters[3] = ngx_http_gray_counters_size(3, 4);
    counters[4] = ngx_http_gray_counters_size(NGX_HTTP_GRAY_COUNTED_VARIANTS,
                                              NGX_HTTP_GRAY_COUNTED_WORKERS);

    for (i = 0; i < ITEMS(documents); i++) {
        for (k = 0; k < ITEMS(counts); k++) {
            for (m = 0; m < ITEMS(counters); m++) {

                if ((documents[i] + counters[m] / 2) * counts[k]
                    <= 8 * 1024 * 1024)
                {
                    check_need(documents[i], counters[m], counts[k]);
                }
            }
        }
    }
}


/* a zone that is full says what would take all there is, and the rest */

static void
test_full(void **state)
{
    char                   name[32];
    size_t                 need, free, pages;
    ngx_uint_t             i, k, n;
    ngx_http_gray_zone_t   zone, larger;
    ngx_http_gray_block_t *b;

    (void) state;

    create(&zone, 200 * ngx_pagesize, 65536);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);

    /* of two sizes, and two of counters */

    for (n = 0; /* void */ ; n++) {
        zone.document = (n % 2) ? 65536 : 10000;
        sprintf(name, "r%lu", (unsigned long) n);

        if (block_with(&zone, name, (n % 3) ? 9000 : 0) == NULL) {
            break;
        }
    }

    assert_in_range(n, 5, 20);

    /* what did not fit left nothing behind */

    free = ngx_http_gray_shm_free(&zone);
    assert_null(block_with(&zone, "another_one", (n % 3) ? 9000 : 0));
    assert_int_equal(ngx_http_gray_shm_free(&zone), free);

    i = 0;

    for (b = ngx_http_gray_shm_next(&zone, NULL);
         b;
         b = ngx_http_gray_shm_next(&zone, b))
    {
        i++;
    }

    assert_int_equal(i, n);

    zone.document = 65536;
    pages = 3 * ngx_http_gray_shm_pages(&zone, 30000);
    need = ngx_http_gray_shm_need(&zone, pages);
    destroy();

    for (k = 0; k < 2; k++) {
        create(&larger, need - k * ngx_pagesize, 65536);
        assert_int_equal(ngx_http_gray_shm_attach(&larger), NGX_OK);

        for (i = 0; i < n; i++) {
            larger.document = (i % 2) ? 65536 : 10000;
            sprintf(name, "r%lu", (unsigned long) i);
            assert_non_null(block_with(&larger, name, (i % 3) ? 9000 : 0));
        }

        /* a page less does not take the three, but two of them */

        larger.document = 65536;
        assert_int_equal(ngx_http_gray_shm_fits(&larger, pages), k == 0);

        for (i = n; i < n + 3; i++) {
            sprintf(name, "r%lu", (unsigned long) i);
            b = block_with(&larger, name, 30000);
            assert_int_equal(b != NULL, k == 0 || i < n + 2);
        }

        destroy();
    }

    /* no room for a header even */

    create(&zone, ngx_pagesize, 65536);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_ERROR);
    assert_true(ngx_http_gray_shm_need(&zone,
                                       ngx_http_gray_shm_pages(&zone, 0))
                > 2 * 65536);
    destroy();
}


/* memory of the owner's: of one size, zeroed, and counted once */

static void
test_area(void **state)
{
    u_char                *area;
    size_t                 i, need, pages, without;
    ngx_http_gray_zone_t   zone, other;

    (void) state;

    memset(&zone, 0, sizeof(ngx_http_gray_zone_t));
    zone.document = 4096;
    pages = ngx_http_gray_shm_pages(&zone, 0);
    without = ngx_http_gray_shm_need(&zone, 3 * pages);
    zone.area = 5 * ngx_pagesize - 1;
    need = ngx_http_gray_shm_need(&zone, 3 * pages);
    assert_in_range(need, without + 5 * ngx_pagesize,
                    without + 6 * ngx_pagesize);

    /* a page less does not take both */

    create(&zone, need - ngx_pagesize, 4096);
    zone.area = 5 * ngx_pagesize - 1;
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);
    assert_int_equal(ngx_http_gray_shm_fits(&zone, 3 * pages), 0);
    destroy();

    create(&zone, need, 4096);
    zone.area = 5 * ngx_pagesize - 1;
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);
    assert_int_equal(ngx_http_gray_shm_fits(&zone, 3 * pages), 1);

    area = ngx_http_gray_shm_area(&zone);
    assert_non_null(area);

    for (i = 0; i < zone.area; i++) {
        assert_int_equal(area[i], 0);
    }

    memset(area, 'x', zone.area);

    /* it is there: blocks need no more than themselves */

    assert_int_equal(ngx_http_gray_shm_fits(&zone, 3 * pages), 1);
    assert_int_equal(ngx_http_gray_shm_fits(&zone, 4 * pages), 0);
    assert_int_equal(ngx_http_gray_shm_need(&zone, 3 * pages), need);

    assert_non_null(block_of(&zone, "a"));
    assert_non_null(block_of(&zone, "b"));
    assert_non_null(block_of(&zone, "c"));
    assert_null(block_of(&zone, "d"));

    assert_int_equal(ngx_http_gray_shm_need(&zone, 0), need);

    /* found again, as it was left, by who wants that size alone */

    memset(&other, 0, sizeof(ngx_http_gray_zone_t));
    other.shm_zone = &shm_zone;
    other.document = 4096;
    other.area = zone.area;
    assert_int_equal(ngx_http_gray_shm_attach(&other), NGX_OK);
    assert_ptr_equal(ngx_http_gray_shm_area(&other), area);
    assert_int_equal(area[0], 'x');

    other.area++;
    assert_null(ngx_http_gray_shm_area(&other));
    assert_int_equal(ngx_http_gray_shm_need(&other, 0), need);

    other.area = 0;
    assert_null(ngx_http_gray_shm_area(&other));
    assert_int_equal(ngx_http_gray_shm_need(&other, 0), need);

    destroy();

    /* what does not fit leaves nothing behind */

    create(&zone, 64 * 1024, 4096);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);

    i = ngx_http_gray_shm_free(&zone);
    zone.area = i + 1;
    assert_null(ngx_http_gray_shm_area(&zone));
    assert_int_equal(ngx_http_gray_shm_free(&zone), i);

    zone.area = i;
    assert_non_null(ngx_http_gray_shm_area(&zone));
    assert_int_equal(ngx_http_gray_shm_free(&zone), 0);

    destroy();
}


static void
test_rename(void **state)
{
    ngx_str_t               none, name;
    ngx_http_gray_zone_t    zone;
    ngx_http_gray_block_t  *block;

    (void) state;

    create(&zone, 256 * 1024, 4096);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);
    block = block_of(&zone, "a_long_name");

    /* nothing of the name before is left, and a block may have none */

    name = string("short");
    ngx_http_gray_shm_rename(block, &name);
    assert_ptr_equal(ngx_http_gray_shm_find(&zone, &name), block);
    assert_string_equal((char *) block->name, "short");

    ngx_str_null(&none);
    ngx_http_gray_shm_rename(block, &none);
    assert_null(ngx_http_gray_shm_find(&zone, &name));
    assert_int_equal(block->len, 0);
    assert_string_equal((char *) block->name, "");

    destroy();
}


/* a configuration outdates those before it, in all processes */

static void
test_outdated(void **state)
{
    ngx_http_gray_zone_t  zone, next;

    (void) state;

    create(&zone, 256 * 1024, 4096);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);
    ngx_http_gray_shm_begin(&zone);
    assert_int_equal(ngx_http_gray_shm_outdated(&zone), 0);

    next = zone;
    ngx_http_gray_shm_begin(&next);

    assert_int_equal(ngx_http_gray_shm_outdated(&zone), 1);
    assert_int_equal(ngx_http_gray_shm_outdated(&next), 0);

    destroy();
}


/* one turn an interval, whoever asks */

static void
test_turn(void **state)
{
    ngx_uint_t            i, turn;
    ngx_http_gray_zone_t  zone, other;

    static const struct {
        ngx_msec_t  now;
        ngx_uint_t  turn;
    } tests[] = {
        { 5000, 1 }, { 5000, 0 }, { 5999, 0 }, { 6000, 1 }, { 6001, 0 },
        { 9000, 1 }, { 9999, 0 }
    };

    (void) state;

    create(&zone, 256 * 1024, 4096);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);
    other = zone;

    for (i = 0; i < ITEMS(tests); i++) {
        ngx_current_msec = tests[i].now;

        /* of what is to be done, the one is not in the way of the other */

        for (turn = 0; turn < NGX_HTTP_GRAY_TURNS; turn++) {
            assert_int_equal(ngx_http_gray_shm_turn(&zone, turn, 1000),
                             tests[i].turn);
            assert_int_equal(ngx_http_gray_shm_turn(&other, turn, 1000), 0);
        }
    }

    /* nor does it put it off */

    ngx_current_msec = 20000;
    assert_int_equal(ngx_http_gray_shm_turn(&zone, NGX_HTTP_GRAY_TURN_TICK,
                                            1000), 1);
    ngx_current_msec = 20999;
    assert_int_equal(ngx_http_gray_shm_turn(&zone, NGX_HTTP_GRAY_TURN_TICK,
                                            1000), 0);
    assert_int_equal(ngx_http_gray_shm_turn(&zone, NGX_HTTP_GRAY_TURN_FOLLOW,
                                            1000), 1);
    ngx_current_msec = 21000;
    assert_int_equal(ngx_http_gray_shm_turn(&zone, NGX_HTTP_GRAY_TURN_TICK,
                                            1000), 1);

    destroy();
}


static void
test_publish(void **state)
{
    char                      text[1002];
    uint64_t                  word, revision;
    ngx_uint_t                i;
    ngx_http_gray_zone_t      zone;
    ngx_http_gray_block_t    *one, *two;
    ngx_http_gray_snapshot_t  s;

    static const size_t  sizes[] = { 0, 1, 7, 8, 999, 1000, 0, 1001, 5 };

    (void) state;

    create(&zone, 256 * 1024, 1000);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);

    one = block_of(&zone, "one");
    two = block_of(&zone, "two");

    assert_int_equal(ngx_http_gray_shm_read(&zone, one, &s), NGX_DECLINED);

    word = 0;

    for (i = 0; i < ITEMS(sizes); i++) {
        memset(text, 'a' + i, sizeof(text));
        text[sizes[i] ? sizes[i] - 1 : 0] = '$';

        assert_int_equal(publish(&zone, one, text, sizes[i],
                                 i % 2 ? NGX_HTTP_GRAY_API
                                       : NGX_HTTP_GRAY_DECLARED),
                         NGX_OK);

        assert_int_not_equal(ngx_http_gray_shm_word(one), word);
        word = ngx_http_gray_shm_word(one);

        memset(&s, 0x5a, sizeof(ngx_http_gray_snapshot_t));
        assert_int_equal(ngx_http_gray_shm_read(&zone, one, &s), NGX_OK);

        assert_int_equal(s.word, word);
        assert_int_equal(s.revision, i + 1);
        assert_int_equal(s.origin, i % 2 ? NGX_HTTP_GRAY_API
                                         : NGX_HTTP_GRAY_DECLARED);
        assert_int_equal(s.text.len, sizes[i]);
        assert_memory_equal(s.text.data, text, sizes[i]);
        assert_int_equal(s.text.data[s.text.len], '\0');

        free(s.text.data);
    }

    /* of the other release, nothing */

    assert_int_equal(ngx_http_gray_shm_read(&zone, two, &s), NGX_DECLINED);

    /* too long: nothing is changed */

    assert_int_equal(publish(&zone, one, text, 1002, NGX_HTTP_GRAY_API),
                     NGX_DECLINED);
    assert_int_equal(ngx_http_gray_shm_word(one), word);
    assert_int_equal(ngx_http_gray_shm_read(&zone, one, &s), NGX_OK);
    assert_int_equal(s.text.len, sizes[ITEMS(sizes) - 1]);
    revision = s.revision;
    free(s.text.data);

    /* memory is short */

    allocations = 0;
    failing = 1;
    assert_int_equal(ngx_http_gray_shm_read(&zone, one, &s), NGX_ERROR);
    failing = 0;

    /* what a writer leaves behind that died before the end */

    memset((u_char *) zone.shpool + one->arena[!(one->word & 1)], 0xff,
           16 + 1001);
    assert_int_equal(ngx_http_gray_shm_read(&zone, one, &s), NGX_OK);
    assert_int_equal(s.revision, revision);
    assert_memory_equal(s.text.data, text, s.text.len);
    free(s.text.data);

    assert_int_equal(publish(&zone, one, "again", 5, NGX_HTTP_GRAY_API),
                     NGX_OK);
    assert_int_equal(ngx_http_gray_shm_read(&zone, one, &s), NGX_OK);
    assert_int_equal(s.revision, revision + 1);
    assert_string_equal((char *) s.text.data, "again");
    free(s.text.data);

    /* a length that is none is no reason to read far */

    memset((u_char *) zone.shpool + one->arena[one->word & 1] + 12, 0xff, 4);
    assert_int_equal(ngx_http_gray_shm_read(&zone, one, &s), NGX_OK);
    assert_int_equal(s.text.len, 1001);
    free(s.text.data);

    destroy();
}


/* what comes from another zone keeps its number, if that is not behind */

static void
test_adopt(void **state)
{
    uint64_t                  word;
    ngx_uint_t                i;
    ngx_http_gray_zone_t      zone;
    ngx_http_gray_block_t    *block;
    ngx_http_gray_snapshot_t  other, s;

    static const struct {
        uint64_t                  revision;
        const char               *text;
        ngx_http_gray_origin_e    origin;
        ngx_int_t                 rc;
        uint64_t                  adopted;
    } tests[] = {
        { 7, "seven", NGX_HTTP_GRAY_API, NGX_OK, 7 },
        { 8, "eight", NGX_HTTP_GRAY_DECLARED, NGX_OK, 8 },
        { 3, "three", NGX_HTTP_GRAY_API, NGX_OK, 9 },
        { 9, "nine", NGX_HTTP_GRAY_API, NGX_OK, 10 },
        { 10, "twelve letters", NGX_HTTP_GRAY_API, NGX_DECLINED, 10 },
        { 1000000000000, "far", NGX_HTTP_GRAY_DECLARED, NGX_OK,
          1000000000000 }
    };

    (void) state;

    create(&zone, 256 * 1024, 10);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);
    block = block_of(&zone, "checkout");

    for (i = 0; i < ITEMS(tests); i++) {
        memset(&other, 0, sizeof(ngx_http_gray_snapshot_t));
        other.revision = tests[i].revision;
        other.word = tests[i].revision << 1;
        other.origin = tests[i].origin;
        other.text = string(tests[i].text);

        word = ngx_http_gray_shm_word(block);

        assert_int_equal(ngx_http_gray_shm_lock(&zone), NGX_OK);
        assert_int_equal(ngx_http_gray_shm_adopt_locked(&zone, block, &other),
                         tests[i].rc);
        ngx_http_gray_shm_unlock(&zone);

        assert_int_equal(ngx_http_gray_shm_read(&zone, block, &s), NGX_OK);
        assert_int_equal(s.revision, tests[i].adopted);

        if (tests[i].rc == NGX_OK) {
            assert_int_equal(s.origin, tests[i].origin);
            assert_string_equal((char *) s.text.data, tests[i].text);

        } else {
            assert_int_equal(s.word, word);
        }

        free(s.text.data);
    }

    assert_int_equal(publish(&zone, block, "next", 4, NGX_HTTP_GRAY_API),
                     NGX_OK);
    assert_int_equal(ngx_http_gray_shm_read(&zone, block, &s), NGX_OK);
    assert_int_equal(s.revision, 1000000000001);
    free(s.text.data);

    destroy();
}


/* a revision comes between the first look and the copy */

static void
overtake(void)
{
    char  text[32];

    if (overtakes) {
        overtakes--;
        sprintf(text, "%lu left", (unsigned long) overtakes);

        assert_int_equal(publish(overtaken_zone, overtaken, text,
                                 strlen(text), NGX_HTTP_GRAY_API), NGX_OK);
    }
}


static void
test_overtaken(void **state)
{
    ngx_uint_t                i;
    ngx_http_gray_zone_t      zone;
    ngx_http_gray_block_t    *block;
    ngx_http_gray_snapshot_t  s;

    static const struct {
        ngx_uint_t   overtakes;
        ngx_int_t    rc;
        uint64_t     revision;
    } tests[] = {
        { 0, NGX_OK, 1 }, { 1, NGX_OK, 2 }, { 2, NGX_OK, 3 },
        { 99, NGX_OK, 100 }, { 100, NGX_AGAIN, 0 }
    };

    (void) state;

    for (i = 0; i < ITEMS(tests); i++) {
        create(&zone, 256 * 1024, 4096);
        assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);
        block = block_of(&zone, "checkout");
        assert_int_equal(publish(&zone, block, "0 left", 6,
                                 NGX_HTTP_GRAY_DECLARED), NGX_OK);

        overtaken_zone = &zone;
        overtaken = block;
        overtakes = tests[i].overtakes;
        allocating = overtake;

        assert_int_equal(ngx_http_gray_shm_read(&zone, block, &s),
                         tests[i].rc);

        allocating = NULL;
        assert_int_equal(overtakes, 0);

        if (tests[i].rc == NGX_OK) {
            assert_int_equal(s.revision, tests[i].revision);
            assert_int_equal(s.origin, i ? NGX_HTTP_GRAY_API
                                         : NGX_HTTP_GRAY_DECLARED);
            assert_string_equal((char *) s.text.data, "0 left");
            free(s.text.data);
        }

        destroy();
    }
}


/* a text of which each byte says whose it is */

static void
compose(uint64_t *buf, uint64_t revision, size_t len)
{
    size_t   i;
    head_t  *head;

    head = (head_t *) buf;
    head->revision = revision;
    head->len = len;

    for (i = 2; i < (len + 7) / 8; i++) {
        buf[i] = (revision + i) * 0x9e3779b97f4a7c15ULL;
    }
}


static ngx_uint_t
intact(ngx_http_gray_snapshot_t *s)
{
    size_t     i;
    u_char     byte;
    head_t     head;
    uint64_t   word;

    if (s->text.len < sizeof(head_t)) {
        return 0;
    }

    memcpy(&head, s->text.data, sizeof(head_t));

    if (head.revision != s->revision || head.len != s->text.len
        || s->revision != s->word >> 1
        || s->origin != (s->revision & 1 ? NGX_HTTP_GRAY_API
                                         : NGX_HTTP_GRAY_DECLARED))
    {
        return 0;
    }

    for (i = sizeof(head_t); i < s->text.len; i++) {
        word = (head.revision + i / 8) * 0x9e3779b97f4a7c15ULL;
        memcpy(&byte, (u_char *) &word + i % 8, 1);

        if (s->text.data[i] != byte) {
            return 0;
        }
    }

    return 1;
}


/* the next revision, of any length; 0 where another process writes */

static ngx_uint_t
write_next(ngx_http_gray_zone_t *zone, told_t *told)
{
    uint64_t                revision;
    ngx_str_t               text;
    ngx_http_gray_block_t  *block;

    static uint64_t  buf[65536 / 8];

    if (ngx_http_gray_shm_lock(zone) != NGX_OK) {
        return 0;
    }

    block = ngx_http_gray_shm_next(zone, NULL);
    revision = (ngx_http_gray_shm_word(block) >> 1) + 1;

    text.len = sizeof(head_t) + draw(&seed) % (65536 - sizeof(head_t) + 1);
    text.data = (u_char *) buf;
    compose(buf, revision, text.len);

    if (ngx_http_gray_shm_publish_locked(zone, block, &text,
                                         revision & 1
                                         ? NGX_HTTP_GRAY_API
                                         : NGX_HTTP_GRAY_DECLARED)
        != NGX_OK)
    {
        _exit(2);
    }

    ngx_http_gray_shm_unlock(zone);

    __atomic_add_fetch(&told->published, 1, __ATOMIC_RELAXED);

    return 1;
}


static int
writer(ngx_http_gray_zone_t *zone, void *data)
{
    told_t      *told;
    ngx_uint_t   i, n;

    told = data;
    seed = getpid();

    while (__atomic_load_n(&told->done, __ATOMIC_ACQUIRE) == 0) {

        (void) write_next(zone, told);

        /* sometimes at once, sometimes with a break that readers can use */

        n = draw(&seed) % 3 ? 0 : draw(&seed) % 20000;

        for (i = 0; i < n; i++) {
            __asm__ volatile ("" ::: "memory");
        }

        if (n > 15000) {
            sched_yield();
        }
    }

    return 0;
}


#define READS      2000
#define REVISIONS  300


static int
reader(ngx_http_gray_zone_t *zone, void *data)
{
    uint64_t                   last;
    ngx_uint_t                 n, different;
    ngx_http_gray_block_t     *block;
    ngx_http_gray_snapshot_t   s;

    (void) data;

    block = ngx_http_gray_shm_next(zone, NULL);
    last = 0;
    n = 0;
    different = 0;

    while (n < READS || different < REVISIONS) {

        switch (ngx_http_gray_shm_read(zone, block, &s)) {

        case NGX_OK:
            break;

        case NGX_AGAIN:
            continue;

        default:
            return 3;
        }

        if (!intact(&s)) {
            return 4;
        }

        if (s.revision < last) {
            return 5;
        }

        different += (s.revision != last);
        last = s.revision;
        n++;

        free(s.text.data);
    }

    return 0;
}


static void
test_torn(void **state)
{
    pid_t                  readers[3], writers[2];
    told_t                *told;
    ngx_uint_t             i;
    ngx_http_gray_zone_t   zone;

    (void) state;

    create(&zone, 256 * 1024, 65536);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);
    assert_non_null(block_of(&zone, "checkout"));

    told = map(sizeof(told_t));

    assert_true(write_next(&zone, told));

    for (i = 0; i < ITEMS(writers); i++) {
        writers[i] = spawn(writer, &zone, told);
    }

    for (i = 0; i < ITEMS(readers); i++) {
        readers[i] = spawn(reader, &zone, told);
    }

    for (i = 0; i < ITEMS(readers); i++) {
        assert_int_equal(status_of(readers[i]), 0);
    }

    __atomic_store_n(&told->done, 1, __ATOMIC_RELEASE);

    for (i = 0; i < ITEMS(writers); i++) {
        assert_int_equal(status_of(writers[i]), 0);
    }

    /* each revision was written once, by the one or the other */

    assert_int_equal(ngx_http_gray_shm_word(ngx_http_gray_shm_next(&zone,
                                                                   NULL))
                     >> 1,
                     told->published);

    munmap(told, sizeof(told_t));
    destroy();
}


/* a writer is killed wherever it is */

static void
test_killed(void **state)
{
    int                        status;
    pid_t                      pid;
    told_t                    *told;
    uint64_t                   last, revision;
    ngx_int_t                  rc;
    ngx_uint_t                 i, k, n;
    ngx_atomic_uint_t          before;
    ngx_http_gray_zone_t       zone;
    ngx_http_gray_block_t     *block;
    ngx_http_gray_snapshot_t   s;

    (void) state;

    create(&zone, 256 * 1024, 65536);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);
    block = block_of(&zone, "checkout");

    told = map(sizeof(told_t));
    assert_true(write_next(&zone, told));

    last = 1;
    seed = 8;

    for (i = 0; i < 60; i++) {

        before = told->published;
        pid = spawn(writer, &zone, told);

        n = 1 + draw(&seed) % 50;

        while (__atomic_load_n(&told->published, __ATOMIC_RELAXED)
               < before + n)
        {
            rc = ngx_http_gray_shm_read(&zone, block, &s);

            if (rc == NGX_OK) {
                assert_true(intact(&s));
                free(s.text.data);

            } else {
                assert_int_equal(rc, NGX_AGAIN);
            }
        }

        n = draw(&seed) % 20000;

        for (k = 0; k < n; k++) {
            __asm__ volatile ("" ::: "memory");
        }

        assert_int_equal(kill(pid, SIGKILL), 0);
        status = status_of(pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

        /* nobody writes: nothing is in the way */

        assert_int_equal(ngx_http_gray_shm_read(&zone, block, &s), NGX_OK);
        assert_true(intact(&s));
        assert_true(s.revision >= last + 1);
        revision = s.revision;
        free(s.text.data);

        assert_true(write_next(&zone, told));

        assert_int_equal(ngx_http_gray_shm_read(&zone, block, &s), NGX_OK);
        assert_true(intact(&s));
        assert_int_equal(s.revision, revision + 1);
        last = s.revision;
        free(s.text.data);
    }

    munmap(told, sizeof(told_t));
    destroy();
}


/* takes the lock and keeps it until it is told to give it back */

static int
holder(ngx_http_gray_zone_t *zone, void *data)
{
    if (ngx_http_gray_shm_lock(zone) != NGX_OK) {
        return 2;
    }

    at_gate(data);

    ngx_http_gray_shm_unlock(zone);

    return 0;
}


static int
asker(ngx_http_gray_zone_t *zone, void *data)
{
    (void) data;

    return ngx_http_gray_shm_lock(zone) == NGX_AGAIN ? 0 : 3;
}


/* one who may not even signal the holder */

static int
stranger(ngx_http_gray_zone_t *zone, void *data)
{
    return setuid(65534) == 0 ? asker(zone, data) : 2;
}


static void
test_lock(void **state)
{
    int                    status;
    pid_t                  pid;
    gate_t                 gate;
    ngx_uint_t             i;
    ngx_http_gray_zone_t   zone;

    (void) state;

    create(&zone, 256 * 1024, 4096);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);

    /* it is not handed out twice, not even to its owner */

    assert_int_equal(ngx_http_gray_shm_lock(&zone), NGX_OK);
    assert_int_equal(ngx_http_gray_shm_lock(&zone), NGX_AGAIN);
    assert_int_equal(status_of(spawn(asker, &zone, NULL)), 0);

    if (getuid() == 0) {
        assert_int_equal(status_of(spawn(stranger, &zone, NULL)), 0);
    }

    ngx_http_gray_shm_unlock(&zone);

    /* another process has it */

    open_gate(&gate);
    pid = spawn(holder, &zone, &gate);
    await_gate(&gate, 1);

    for (i = 0; i < 1000; i++) {
        assert_int_equal(ngx_http_gray_shm_lock(&zone), NGX_AGAIN);
    }

    /* that it was stopped is no reason to wait, nor to take it over */

    assert_int_equal(kill(pid, SIGSTOP), 0);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));

    for (i = 0; i < 1000; i++) {
        assert_int_equal(ngx_http_gray_shm_lock(&zone), NGX_AGAIN);
    }

    assert_int_equal(kill(pid, SIGCONT), 0);
    leave_gate(&gate);
    assert_int_equal(status_of(pid), 0);
    close_gate(&gate);

    assert_int_equal(ngx_http_gray_shm_lock(&zone), NGX_OK);
    ngx_http_gray_shm_unlock(&zone);

    /* a holder that is killed, stopped or not, loses it */

    for (i = 0; i < 2; i++) {
        open_gate(&gate);
        pid = spawn(holder, &zone, &gate);
        await_gate(&gate, 1);

        if (i) {
            assert_int_equal(kill(pid, SIGSTOP), 0);
            assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        }

        assert_int_equal(ngx_http_gray_shm_lock(&zone), NGX_AGAIN);

        assert_int_equal(kill(pid, SIGKILL), 0);
        status = status_of(pid);
        assert_true(WIFSIGNALED(status));

        leave_gate(&gate);
        close_gate(&gate);

        assert_int_equal(ngx_http_gray_shm_lock(&zone), NGX_OK);
        assert_int_equal(status_of(spawn(asker, &zone, NULL)), 0);
        ngx_http_gray_shm_unlock(&zone);
    }

    destroy();
}


/* of many that see a dead holder, one takes the lock over */

#define HEIRS  4

typedef struct {
    gate_t        before;
    gate_t        after;
    told_t       *told;
} heirs_t;


static int
heir(ngx_http_gray_zone_t *zone, void *data)
{
    heirs_t  *heirs;

    heirs = data;

    (void) close(heirs->after.go[1]);

    at_gate(&heirs->before);

    if (ngx_http_gray_shm_lock(zone) == NGX_OK) {
        __atomic_add_fetch(&heirs->told->published, 1, __ATOMIC_ACQ_REL);
    }

    /* all live until all have tried */

    at_gate(&heirs->after);

    return 0;
}


static int
dying(ngx_http_gray_zone_t *zone, void *data)
{
    (void) data;

    return ngx_http_gray_shm_lock(zone) == NGX_OK ? 0 : 2;
}


static void
test_heirs(void **state)
{
    pid_t                  pid[HEIRS];
    heirs_t                heirs;
    ngx_uint_t             i, k;
    ngx_http_gray_zone_t   zone;

    (void) state;

    create(&zone, 256 * 1024, 4096);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);

    heirs.told = map(sizeof(told_t));

    for (i = 0; i < 20; i++) {
        heirs.told->published = 0;

        assert_int_equal(status_of(spawn(dying, &zone, NULL)), 0);

        open_gate(&heirs.before);
        open_gate(&heirs.after);

        for (k = 0; k < HEIRS; k++) {
            pid[k] = spawn(heir, &zone, &heirs);
        }

        await_gate(&heirs.before, HEIRS);
        leave_gate(&heirs.before);
        await_gate(&heirs.after, HEIRS);

        assert_int_equal(heirs.told->published, 1);

        leave_gate(&heirs.after);

        for (k = 0; k < HEIRS; k++) {
            assert_int_equal(status_of(pid[k]), 0);
        }

        close_gate(&heirs.before);
        close_gate(&heirs.after);

        ngx_http_gray_shm_unlock(&zone);
    }

    munmap(heirs.told, sizeof(told_t));
    destroy();
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_mutex),
        cmocka_unit_test(test_need),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_area),
        cmocka_unit_test(test_rename),
        cmocka_unit_test(test_outdated),
        cmocka_unit_test(test_turn),
        cmocka_unit_test(test_publish),
        cmocka_unit_test(test_adopt),
        cmocka_unit_test(test_overtaken),
        cmocka_unit_test(test_torn),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_heirs)
    };

    prepare();

    return cmocka_run_group_tests(tests, NULL, NULL);
}
