
/*
 * Copyright (C) the nginx gray module authors
 */


#include <string.h>

#include "random.h"


static random_table_t *random_make(double mean);


/* tables are kept: there are few means, and many draws of each */

random_table_t *
random_table(random_t *r, double mean)
{
    uint64_t  bits;
    unsigned  i;

    memcpy(&bits, &mean, sizeof(bits));

    i = (unsigned) (bits * 0x9e3779b97f4a7c15ULL >> 51) % RANDOM_TABLES;

    while (r->table[i] && r->table[i]->mean != mean) {
        i = (i + 1) % RANDOM_TABLES;
    }

    if (r->table[i] == NULL) {
        r->table[i] = random_make(mean);
    }

    return r->table[i];
}


static random_table_t *
random_make(double mean)
{
    double           sum;
    unsigned         i, k;
    random_table_t  *table;

    table = malloc(sizeof(random_table_t));

    if (table == NULL) {
        abort();
    }

    table->mean = mean;
    table->n = (unsigned) (mean + 12 * sqrt(mean) + 20);
    table->sum = malloc(table->n * sizeof(double));

    if (table->sum == NULL) {
        abort();
    }

    sum = 0;

    for (k = 0; k < table->n; k++) {
        sum += exp(k * log(mean) - mean - lgamma(k + 1.0));
        table->sum[k] = sum;
    }

    for (i = 0, k = 0; i < RANDOM_GUIDE; i++) {

        while (k < table->n - 1
               && table->sum[k] <= (double) i / RANDOM_GUIDE)
        {
            k++;
        }

        table->guide[i] = (uint16_t) k;
    }

    return table;
}
