
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Numbers from a seed, and of these Poisson's: how many requests come in a
 * second.  Where these are, those of them that are bad are Poisson's, too, and
 * do not depend on the good ones, which is as good as a draw for each.
 */


#ifndef _RANDOM_H_INCLUDED_
#define _RANDOM_H_INCLUDED_


#include <stdint.h>
#include <stdlib.h>
#include <math.h>


#define RANDOM_TABLES  8192
#define RANDOM_GUIDE   64


/* the distribution of one mean; guide[] is where to begin to look */

typedef struct {
    double      mean;
    unsigned    n;
    double     *sum;
    uint16_t    guide[RANDOM_GUIDE];
} random_table_t;


typedef struct {
    uint64_t         seed;
    random_table_t  *table[RANDOM_TABLES];
} random_t;


/* splitmix64: Steele, Lea, Flood, https://doi.org/10.1145/2714064.2660195 */

static inline uint64_t
random_next(random_t *r)
{
    uint64_t  z;

    r->seed += 0x9e3779b97f4a7c15ULL;

    z = r->seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;

    return z ^ (z >> 31);
}


/* from 0 on, less than 1 */

static inline double
random_part(random_t *r)
{
    return (double) (random_next(r) >> 11) / 9007199254740992.0;
}


random_table_t *random_table(random_t *r, double mean);


static inline uint64_t
random_poisson(random_t *r, double mean)
{
    double           u;
    unsigned         k;
    random_table_t  *table;

    if (mean <= 0) {
        return 0;
    }

    table = random_table(r, mean);
    u = random_part(r);

    k = table->guide[(unsigned) (u * RANDOM_GUIDE)];

    while (k < table->n - 1 && u >= table->sum[k]) {
        k++;
    }

    return k;
}


#endif /* _RANDOM_H_INCLUDED_ */
