
/*
 * Copyright (C) the nginx gray module authors
 */


/* Nothing is broken: what is simulated is what is built. */


#include "sim.h"


const sim_broken_t *
sim_broken(void)
{
    static const sim_broken_t  none;

    return &none;
}


ngx_uint_t
sim_break(const char *name)
{
    (void) name;

    return 0;
}
