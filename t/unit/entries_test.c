
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Entries of processes in the shared zone: all is done by children, as an
 * entry is left when its process ends, however it does.
 */


#include "zone.h"

#include <pthread.h>
#include <signal.h>


int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);


#define ENTRIES  NGX_HTTP_GRAY_ENTRIES

/* in a child, which ends where this is not the case */

#define expect(condition)  expect_(condition, #condition, __LINE__)


/*
 * What one tells who enters, in shared memory.  Those that come later inherit
 * the pipes of those before, so that a byte is what ends a visit.
 */

typedef struct {
    gate_t             gate;
    ngx_int_t          rc;
    ngx_int_t          entry;
} visit_t;


/* of all entries, how many processes have them */

typedef struct {
    ngx_atomic_t       done;
    ngx_atomic_t       holders[ENTRIES];
} taken_t;


typedef struct {
    gate_t             before;
    gate_t             after;
    taken_t           *taken;
} rush_t;


/* what happens while a mutex is held still, or NULL */

static void          (*unlocking)(void);

static ngx_http_gray_zone_t  *met_zone;


int
__wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    void  (*meanwhile)(void);

    meanwhile = unlocking;
    unlocking = NULL;

    if (meanwhile) {
        meanwhile();
    }

    return __real_pthread_mutex_unlock(mutex);
}


static void
expect_(ngx_uint_t holds, const char *condition, int number)
{
    if (!holds) {
        (void) fprintf(stderr, "entries_test.c:%d: not %s\n", number,
                       condition);
        _exit(1);
    }
}


/* enters, says what came of it, and holds the entry until it is told to end */

static int
visitor(ngx_http_gray_zone_t *zone, void *data)
{
    visit_t *visit = data;

    char  c;

    visit->rc = ngx_http_gray_shm_enter(zone);
    visit->entry = zone->entry;

    expect(write(visit->gate.ready[1], "", 1) == 1);
    expect(read(visit->gate.go[0], &c, 1) == 1);

    return 0;
}


/* a visitor that is there, and has that entry, or none: NGX_DECLINED */

static pid_t
visit(ngx_http_gray_zone_t *zone, visit_t *visit, ngx_int_t entry)
{
    pid_t  pid;

    open_gate(&visit->gate);
    pid = spawn(visitor, zone, visit);
    await_gate(&visit->gate, 1);

    assert_int_equal(visit->rc, entry == NGX_DECLINED ? NGX_DECLINED : NGX_OK);
    assert_int_equal(visit->entry, entry);

    return pid;
}


static void
leave(visit_t *visit, pid_t pid)
{
    assert_int_equal(write(visit->gate.go[1], "", 1), 1);
    assert_int_equal(status_of(pid), 0);

    leave_gate(&visit->gate);
    close_gate(&visit->gate);
}


static void
kill_visitor(visit_t *visit, pid_t pid)
{
    int  status;

    assert_int_equal(kill(pid, SIGKILL), 0);
    status = status_of(pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

    leave_gate(&visit->gate);
    close_gate(&visit->gate);
}


/* who has an entry keeps it, by whatever view of the zone it is asked for */

static int
regular(ngx_http_gray_zone_t *zone, void *data)
{
    ngx_http_gray_zone_t  other;

    (void) data;

    expect(zone->entry == NGX_DECLINED);
    expect(ngx_http_gray_shm_enter(zone) == NGX_OK);
    expect(zone->entry == 0);
    expect(ngx_http_gray_shm_enter(zone) == NGX_DONE);
    expect(zone->entry == 0);

    memset(&other, 0, sizeof(ngx_http_gray_zone_t));
    other.shm_zone = zone->shm_zone;
    expect(ngx_http_gray_shm_attach(&other) == NGX_OK);
    expect(other.entry == NGX_DECLINED);
    expect(ngx_http_gray_shm_enter(&other) == NGX_DONE);
    expect(other.entry == 0);

    /* it sees itself, and as often as it looks */

    expect(ngx_http_gray_shm_entered(zone, 0));
    expect(ngx_http_gray_shm_entered(&other, 0));
    expect(!ngx_http_gray_shm_entered(zone, 1));
    expect(ngx_http_gray_shm_enter(zone) == NGX_DONE);

    return 0;
}


static void
test_enter(void **state)
{
    ngx_uint_t            i;
    ngx_http_gray_zone_t  zone;

    (void) state;

    create(&zone, 256 * 1024, 4096);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);

    for (i = 0; i < ENTRIES; i++) {
        assert_false(ngx_http_gray_shm_entered(&zone, i));
    }

    for (i = 0; i < 3; i++) {
        assert_int_equal(status_of(spawn(regular, &zone, NULL)), 0);
        assert_false(ngx_http_gray_shm_entered(&zone, 0));
    }

    destroy();
}


/* zones come and go, as where nginx has no master and is reloaded */

static int
outliving(ngx_http_gray_zone_t *zone, void *data)
{
    ngx_uint_t            i;
    ngx_http_gray_zone_t  other;

    (void) data;

    for (i = 0; i < 3; i++) {
        create(&other, 256 * 1024, 4096);
        expect(ngx_http_gray_shm_attach(&other) == NGX_OK);
        expect(ngx_http_gray_shm_enter(&other) == NGX_OK);
        expect(other.entry == 0);

        ngx_http_gray_shm_leave(&other);

        expect(other.entry == NGX_DECLINED);
        expect(!ngx_http_gray_shm_entered(&other, 0));

        ngx_http_gray_shm_leave(&other);
        destroy();

        expect(ngx_http_gray_shm_enter(zone) == NGX_OK);
        expect(zone->entry == 0);
        ngx_http_gray_shm_leave(zone);
    }

    return 0;
}


static void
test_leave(void **state)
{
    ngx_http_gray_zone_t  zone;

    (void) state;

    create(&zone, 256 * 1024, 4096);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);

    assert_int_equal(status_of(spawn(outliving, &zone, NULL)), 0);
    assert_false(ngx_http_gray_shm_entered(&zone, 0));

    destroy();
}


/* an entry is free when its process has ended, looked at by a reader or not */

static void
test_ended(void **state)
{
    int                    status;
    pid_t                  pid, other;
    visit_t               *v;
    ngx_uint_t             i;
    ngx_http_gray_zone_t   zone;

    (void) state;

    create(&zone, 256 * 1024, 4096);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);

    v = map(2 * sizeof(visit_t));

    for (i = 0; i < 8; i++) {
        pid = visit(&zone, &v[0], 0);
        assert_true(ngx_http_gray_shm_entered(&zone, 0));

        if (i & 4) {
            assert_int_equal(kill(pid, SIGSTOP), 0);
            assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
            assert_true(WIFSTOPPED(status));
        }

        other = visit(&zone, &v[1], 1);
        assert_true(ngx_http_gray_shm_entered(&zone, 0));
        assert_true(ngx_http_gray_shm_entered(&zone, 1));
        assert_false(ngx_http_gray_shm_entered(&zone, 2));
        leave(&v[1], other);

        assert_true(ngx_http_gray_shm_entered(&zone, 0));
        assert_false(ngx_http_gray_shm_entered(&zone, 1));

        if (i & 2) {
            kill_visitor(&v[0], pid);

        } else {
            if (i & 4) {
                assert_int_equal(kill(pid, SIGCONT), 0);
            }

            leave(&v[0], pid);
        }

        if (i & 1) {
            assert_false(ngx_http_gray_shm_entered(&zone, 0));
            assert_false(ngx_http_gray_shm_entered(&zone, 0));
        }
    }

    munmap(v, 2 * sizeof(visit_t));
    destroy();
}


static void
test_all(void **state)
{
    pid_t                  pid[ENTRIES], other;
    visit_t               *v;
    ngx_uint_t             i;
    ngx_http_gray_zone_t   zone;

    static const ngx_uint_t  ended[] = { 37, 63, 0, 12 };

    (void) state;

    create(&zone, 256 * 1024, 4096);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);

    v = map((ENTRIES + 1) * sizeof(visit_t));

    for (i = 0; i < ENTRIES; i++) {
        pid[i] = visit(&zone, &v[i], i);
    }

    for (i = 0; i < ENTRIES; i++) {
        assert_true(ngx_http_gray_shm_entered(&zone, i));
    }

    /* who has none is in nobody's way, and leaves nothing behind */

    for (i = 0; i < 3; i++) {
        other = visit(&zone, &v[ENTRIES], NGX_DECLINED);
        leave(&v[ENTRIES], other);
    }

    for (i = 0; i < ITEMS(ended); i++) {
        kill_visitor(&v[ended[i]], pid[ended[i]]);
        pid[ended[i]] = visit(&zone, &v[ended[i]], ended[i]);

        other = visit(&zone, &v[ENTRIES], NGX_DECLINED);
        leave(&v[ENTRIES], other);
    }

    /* of several that are free, the first */

    leave(&v[12], pid[12]);
    kill_visitor(&v[63], pid[63]);
    assert_false(ngx_http_gray_shm_entered(&zone, 63));

    pid[12] = visit(&zone, &v[12], 12);
    pid[63] = visit(&zone, &v[63], 63);

    for (i = 0; i < ENTRIES; i++) {
        leave(&v[i], pid[i]);
        assert_false(ngx_http_gray_shm_entered(&zone, i));
    }

    munmap(v, (ENTRIES + 1) * sizeof(visit_t));
    destroy();
}


static int
looker(ngx_http_gray_zone_t *zone, void *data)
{
    (void) data;

    expect(!ngx_http_gray_shm_entered(zone, 0));

    return 0;
}


/* who comes to an entry that is looked at takes another one */

static int
late(ngx_http_gray_zone_t *zone, void *data)
{
    (void) data;

    expect(ngx_http_gray_shm_enter(zone) == NGX_OK);
    expect(zone->entry == 1);
    expect(ngx_http_gray_shm_enter(zone) == NGX_DONE);
    expect(zone->entry == 1);
    expect(ngx_http_gray_shm_entered(zone, 1));
    expect(!ngx_http_gray_shm_entered(zone, 0));

    return 0;
}


static void
meet_looker(void)
{
    assert_int_equal(status_of(spawn(looker, met_zone, NULL)), 0);
}


static void
meet_late(void)
{
    assert_int_equal(status_of(spawn(late, met_zone, NULL)), 0);
}


/* two that look at once do not take each other for what they look for */

static void
test_readers(void **state)
{
    pid_t                  pid;
    visit_t               *v;
    ngx_uint_t             i;
    ngx_http_gray_zone_t   zone;

    (void) state;

    create(&zone, 256 * 1024, 4096);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);

    met_zone = &zone;
    v = map(sizeof(visit_t));

    for (i = 0; i < 3; i++) {

        /* never used, left, killed */

        if (i) {
            pid = visit(&zone, v, 0);

            if (i == 1) {
                leave(v, pid);

            } else {
                kill_visitor(v, pid);
            }
        }

        unlocking = meet_looker;
        assert_false(ngx_http_gray_shm_entered(&zone, 0));
        assert_null(unlocking);

        unlocking = meet_late;
        assert_false(ngx_http_gray_shm_entered(&zone, 0));
        assert_null(unlocking);

        assert_int_equal(status_of(spawn(looker, &zone, NULL)), 0);
    }

    munmap(v, sizeof(visit_t));
    destroy();
}


/* an entry that is held, one that was, and one that never was */

#define LOOKS  20000


static int
watcher(ngx_http_gray_zone_t *zone, void *data)
{
    ngx_uint_t  i;

    at_gate(data);

    for (i = 0; i < LOOKS; i++) {
        expect(ngx_http_gray_shm_entered(zone, 0));
        expect(!ngx_http_gray_shm_entered(zone, 1));
        expect(!ngx_http_gray_shm_entered(zone, 2));
    }

    return 0;
}


static void
test_watched(void **state)
{
    pid_t                  pid, other, watchers[3];
    gate_t                 gate;
    visit_t               *v;
    ngx_uint_t             i;
    ngx_http_gray_zone_t   zone;

    (void) state;

    create(&zone, 256 * 1024, 4096);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);

    v = map(2 * sizeof(visit_t));

    pid = visit(&zone, &v[0], 0);
    other = visit(&zone, &v[1], 1);
    kill_visitor(&v[1], other);
    assert_false(ngx_http_gray_shm_entered(&zone, 1));

    open_gate(&gate);

    for (i = 0; i < ITEMS(watchers); i++) {
        watchers[i] = spawn(watcher, &zone, &gate);
    }

    await_gate(&gate, ITEMS(watchers));
    leave_gate(&gate);

    for (i = 0; i < ITEMS(watchers); i++) {
        assert_int_equal(status_of(watchers[i]), 0);
    }

    close_gate(&gate);
    leave(&v[0], pid);

    munmap(v, 2 * sizeof(visit_t));
    destroy();
}


/* enters with all the others, and holds until all have an entry */

static int
comer(ngx_http_gray_zone_t *zone, void *data)
{
    rush_t *rush = data;

    (void) close(rush->after.go[1]);

    at_gate(&rush->before);

    expect(ngx_http_gray_shm_enter(zone) == NGX_OK);
    expect(zone->entry >= 0 && zone->entry < ENTRIES);
    expect(__atomic_add_fetch(&rush->taken->holders[zone->entry], 1,
                              __ATOMIC_SEQ_CST) == 1);

    at_gate(&rush->after);

    expect(ngx_http_gray_shm_entered(zone, zone->entry));
    expect(__atomic_sub_fetch(&rush->taken->holders[zone->entry], 1,
                              __ATOMIC_SEQ_CST) == 0);

    return 0;
}


static int
gazer(ngx_http_gray_zone_t *zone, void *data)
{
    taken_t *taken = data;

    ngx_uint_t  i;

    while (__atomic_load_n(&taken->done, __ATOMIC_ACQUIRE) == 0) {
        for (i = 0; i < ENTRIES; i++) {
            (void) ngx_http_gray_shm_entered(zone, i);
        }
    }

    return 0;
}


/* of many that enter at once, while others look, each has one of its own */

#define COMERS  16
#define RUSHES  20


static void
test_rush(void **state)
{
    pid_t                  pid[COMERS], gazing;
    rush_t                 rush;
    ngx_uint_t             i, k;
    ngx_http_gray_zone_t   zone;

    (void) state;

    create(&zone, 256 * 1024, 4096);
    assert_int_equal(ngx_http_gray_shm_attach(&zone), NGX_OK);

    rush.taken = map(sizeof(taken_t));
    gazing = spawn(gazer, &zone, rush.taken);

    for (i = 0; i < RUSHES; i++) {
        open_gate(&rush.before);
        open_gate(&rush.after);

        for (k = 0; k < COMERS; k++) {
            pid[k] = spawn(comer, &zone, &rush);
        }

        await_gate(&rush.before, COMERS);
        leave_gate(&rush.before);
        await_gate(&rush.after, COMERS);
        leave_gate(&rush.after);

        for (k = 0; k < COMERS; k++) {
            assert_int_equal(status_of(pid[k]), 0);
        }

        close_gate(&rush.before);
        close_gate(&rush.after);
    }

    __atomic_store_n(&rush.taken->done, 1, __ATOMIC_RELEASE);
    assert_int_equal(status_of(gazing), 0);

    for (i = 0; i < ENTRIES; i++) {
        assert_int_equal(rush.taken->holders[i], 0);
        assert_false(ngx_http_gray_shm_entered(&zone, i));
    }

    munmap(rush.taken, sizeof(taken_t));
    destroy();
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_enter),
        cmocka_unit_test(test_leave),
        cmocka_unit_test(test_ended),
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_readers),
        cmocka_unit_test(test_watched),
        cmocka_unit_test(test_rush)
    };

    prepare();

    return cmocka_run_group_tests(tests, NULL, NULL);
}
