
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * What unit tests of shared zones have in common: one over anonymous shared
 * memory, and processes that use it and wait for each other.
 */


#ifndef _ZONE_H_INCLUDED_
#define _ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "unit.h"

#include "ngx_http_gray_shm.h"


/* a child says that it is there, then waits until its parent closes "go" */

typedef struct {
    int  ready[2];
    int  go[2];
} gate_t;


static char            line[512];
static ngx_log_t       quiet;
static ngx_shm_zone_t  shm_zone;


static ngx_inline void
keep_line(ngx_log_t *log, ngx_uint_t level, u_char *buf, size_t len)
{
    (void) log;
    (void) level;

    len = ngx_min(len, sizeof(line) - 1);
    memcpy(line, buf, len);
    line[len] = '\0';
}


/* what nginx's main() does of which its slab pools make use */

static ngx_inline void
prepare(void)
{
    static ngx_cycle_t  cycle;

    ngx_pid = getpid();
    ngx_pagesize = getpagesize();

    for (ngx_pagesize_shift = 0;
         (ngx_uint_t) 1 << ngx_pagesize_shift < ngx_pagesize;
         ngx_pagesize_shift++)
    {
        /* void */
    }

    ngx_slab_sizes_init();

    ngx_time_init();
    ngx_use_stderr = 0;

    quiet.log_level = NGX_LOG_EMERG;
    quiet.writer = keep_line;

    cycle.log = &quiet;
    ngx_cycle = &cycle;
}


static ngx_inline void *
map(size_t size)
{
    void  *p;

    p = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_ANON|MAP_SHARED, -1, 0);
    assert_ptr_not_equal(p, MAP_FAILED);

    return p;
}


/* memory with a slab pool in it, as nginx hands it to the init handler */

static ngx_inline void
create(ngx_http_gray_zone_t *zone, size_t size, size_t document)
{
    ngx_slab_pool_t  *sp;

    memset(zone, 0, sizeof(ngx_http_gray_zone_t));

    shm_zone.shm.addr = map(size);
    shm_zone.shm.size = size;
    shm_zone.shm.name = string("gray");
    shm_zone.shm.log = &quiet;

    sp = (ngx_slab_pool_t *) shm_zone.shm.addr;
    sp->end = shm_zone.shm.addr + size;
    sp->min_shift = 3;
    sp->addr = shm_zone.shm.addr;

    assert_int_equal(ngx_shmtx_create(&sp->mutex, &sp->lock, NULL), NGX_OK);
    ngx_slab_init(sp);

    zone->shm_zone = &shm_zone;
    zone->document = document;
}


static ngx_inline void
destroy(void)
{
    assert_int_equal(munmap(shm_zone.shm.addr, shm_zone.shm.size), 0);
}


/* of a release, with so many bytes for counters if it has none yet, or NULL */

static ngx_inline ngx_http_gray_block_t *
block_with(ngx_http_gray_zone_t *zone, const char *name, size_t counters)
{
    ngx_str_t               s;
    ngx_uint_t              fits;
    ngx_http_gray_block_t  *block;

    s = string(name);

    block = ngx_http_gray_shm_find(zone, &s);

    if (block == NULL) {
        fits = ngx_http_gray_shm_fits(zone,
                                      ngx_http_gray_shm_pages(zone, counters));
        block = ngx_http_gray_shm_add(zone, &s, counters);

        assert_int_equal(fits, block != NULL);
    }

    return block;
}


static ngx_inline ngx_http_gray_block_t *
block_of(ngx_http_gray_zone_t *zone, const char *name)
{
    return block_with(zone, name, 0);
}


/* a child that ends in fn()'s status */

static ngx_inline pid_t
spawn(int (*fn)(ngx_http_gray_zone_t *zone, void *data),
    ngx_http_gray_zone_t *zone, void *data)
{
    pid_t  pid;

    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        ngx_pid = getpid();

        /* nobody is to wait for a child that hangs */

        alarm(120);
        _exit(fn(zone, data));
    }

    return pid;
}


static ngx_inline int
status_of(pid_t pid)
{
    int  status;

    assert_int_equal(waitpid(pid, &status, 0), pid);

    return status;
}


static ngx_inline void
open_gate(gate_t *gate)
{
    assert_int_equal(pipe(gate->ready), 0);
    assert_int_equal(pipe(gate->go), 0);
}


/* in a child: its own end of "go" would keep that open */

static ngx_inline void
at_gate(gate_t *gate)
{
    char  c;

    (void) close(gate->go[1]);

    if (write(gate->ready[1], "", 1) != 1 || read(gate->go[0], &c, 1) != 0) {
        _exit(9);
    }
}


/* a child that has ended instead does not come */

static ngx_inline void
await_gate(gate_t *gate, ngx_uint_t n)
{
    char           c;
    struct pollfd  ready;

    ready.fd = gate->ready[0];
    ready.events = POLLIN;

    while (n--) {
        assert_int_equal(poll(&ready, 1, 60000), 1);
        assert_int_equal(read(gate->ready[0], &c, 1), 1);
    }
}


static ngx_inline void
leave_gate(gate_t *gate)
{
    (void) close(gate->go[1]);
}


static ngx_inline void
close_gate(gate_t *gate)
{
    (void) close(gate->ready[0]);
    (void) close(gate->ready[1]);
    (void) close(gate->go[0]);
}


#endif /* _ZONE_H_INCLUDED_ */
