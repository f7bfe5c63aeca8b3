
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The rows of the table.  A canary that is good may be rolled back in so many
 * of all runs only; one that is bad must be, soon.
 *
 * A row: name, text; rate, phases, hang, users, times; steps, hold, ratio,
 * floor, guards; runs, those of --quick, seconds, most, since, median, p95,
 * served, info.
 */


#include "sim.h"


#define RAMP   { 5, 10, 20, 40, 60, 80, 95 }
#define ALL    { 1, 5, 10, 25, 50, 100 }

/* nothing is to be said of time; nor are there nats to be waited for */
#define NONE   0, 0, 0, 0, 0


const sim_row_t  sim_rows[] = {

    { "healthy", "healthy, 1% errors, all guards",
      100, { { 0, 0.01, 0.01 } }, 0, 0, { 50, 0.5, 0, 0, 0 },
      RAMP, 300, 1.25, 0.0005, 3,
      10000, 300, 2200, 0.01, NONE },

    { "healthy-5", "the same at 5 requests a second",
      5, { { 0, 0.01, 0.01 } }, 0, 0, { 0, 0, 0, 0, 0 },
      RAMP, 300, 1.25, 0.0005, 2,
      10000, 500, 2200, 0.01, NONE },

    { "healthy-0.5", "the same at 0.5 requests a second",
      0.5, { { 0, 0.01, 0.01 } }, 0, 0, { 0, 0, 0, 0, 0 },
      RAMP, 300, 1.25, 0.0005, 2,
      10000, 500, 2200, 0.01, NONE },

    { "healthy-0.1", "the same at 0.1 requests a second",
      0.1, { { 0, 0.01, 0.01 } }, 0, 0, { 0, 0, 0, 0, 0 },
      RAMP, 300, 1.25, 0.0005, 2,
      10000, 0, 2200, 0.01, NONE },

    { "healthy-0.5%-5", "healthy, 0.5% errors, 5 requests a second",
      5, { { 0, 0.005, 0.005 } }, 0, 0, { 0, 0, 0, 0, 0 },
      RAMP, 300, 1.25, 0.0005, 2,
      10000, 0, 2200, 0.01, NONE },

    { "limit-1.25", "exactly at the limit of 1.25",
      100, { { 0, 0.01, 0.0125 } }, 0, 0, { 0, 0, 0, 0, 0 },
      RAMP, 300, 1.25, 0, 2,
      10000, 2000, 2200, 0.005, NONE },

    { "limit-1.5", "exactly at the limit of 1.5",
      100, { { 0, 0.01, 0.015 } }, 0, 0, { 0, 0, 0, 0, 0 },
      RAMP, 300, 1.5, 0, 2,
      10000, 0, 2200, 0.005, NONE },

    { "limit-2", "exactly at the limit of 2",
      100, { { 0, 0.01, 0.02 } }, 0, 0, { 0, 0, 0, 0, 0 },
      RAMP, 300, 2, 0, 2,
      10000, 0, 2200, 0.005, NONE },

    { "floor", "0.08% to 0.01% for 30 minutes, then 3% of both",
      100, { { 0, 0.0001, 0.0008 }, { 1800, 0.03, 0.03 } },
      0, 0, { 0, 0, 0, 0, 0 },
      { 5 }, 0, 1.25, 0.0005, 2,
      5000, 300, 3000, 0.01, NONE },

    { "hanging", "0.5% of both hang for 60 s, weight 40 to 5",
      100, { { 0, 0.005, 0.005 } }, 60, 0, { 0, 0, 0, 0, 0 },
      { 40, 5, 40, 5 }, 300, 1.25, 0.0005, 2,
      5000, 500, 1300, 0.01, NONE },

    { "latency-1ms-5", "1 ms, 5% slower, limit 1.10",
      100, { { 0, 0.001, 0.001 } }, 0, 0, { 1, 0.5, 1.05, 0, 0 },
      RAMP, 300, 1.25, 0.0005, 3,
      1000, 100, 2200, 0.01, NONE },

    { "latency-1ms-9", "1 ms, 9% slower",
      100, { { 0, 0.001, 0.001 } }, 0, 0, { 1, 0.5, 1.09, 0, 0 },
      RAMP, 300, 1.25, 0.0005, 3,
      1000, 0, 2200, 0.01, NONE },

    { "latency-100ms-9", "100 ms, 9% slower",
      100, { { 0, 0.001, 0.001 } }, 0, 0, { 100, 0.5, 1.09, 0, 0 },
      RAMP, 300, 1.25, 0.0005, 3,
      1000, 0, 2200, 0.01, NONE },

    { "incident", "3% of both for seven minutes",
      100, { { 0, 0.001, 0.001 }, { 1000, 0.03, 0.03 },
             { 1420, 0.001, 0.001 } }, 0, 0, { 0, 0, 0, 0, 0 },
      RAMP, 300, 1.25, 0.0005, 2,
      10000, 500, 2200, 0.01, NONE },

    { "sticky", "sticky, 1 to 100 requests a user, by keys",
      100, { { 0, 0.01, 0.01 } }, 0, SIM_STICKY, { 0, 0, 0, 0, 0 },
      RAMP, 300, 1.25, 0.0005, 2,
      5000, 300, 2200, 0.01, NONE },

    { "3-times", "1% to 3% at a weight of 5",
      100, { { 0, 0.01, 0.03 } }, 0, 0, { 0, 0, 0, 0, 0 },
      { 5 }, 0, 1.25, 0.0005, 2,
      5000, 500, 7200, -1, 0, 230, 500, 0, 0 },

    { "half", "0.1% to 50% at a weight of 5",
      100, { { 0, 0.001, 0.5 } }, 0, 0, { 0, 0, 0, 0, 0 },
      { 5 }, 0, 1.25, 0.0005, 2,
      5000, 500, 600, -1, 0, 3, 0, 6, 0 },

    { "8-times", "0.1% to 0.8% over the ramp",
      100, { { 0, 0.001, 0.008 } }, 0, 0, { 0, 0, 0, 0, 0 },
      RAMP, 300, 1.25, 0.0005, 2,
      5000, 500, 2200, -1, 0, 290, 0, 0, 0 },

    { "late", "1% to 3% after 50 clean minutes, limit 1",
      100, { { 0, 0.01, 0.01 }, { 3000, 0.01, 0.03 } },
      0, 0, { 0, 0, 0, 0, 0 },
      { 5 }, 0, 1, 0.0005, 2,
      5000, 300, 7200, -1, 3000, 260, 0, 0, 0 },

    { "rare", "1% to 3.75%, 1 request a second, with info_nats",
      1, { { 0, 0.01, 0.0375 } }, 0, 0, { 0, 0, 0, 0, 0 },
      RAMP, 300, 1.25, 0.0005, 2,
      1000, 100, 43200, 0.05, 0, 0, 0, 0, 16 },

    { "slower", "latency times 1.5 at a weight of 5",
      100, { { 0, 0.001, 0.001 } }, 0, 0, { 50, 0.5, 1.5, 0, 0 },
      { 5 }, 0, 1.25, 0.0005, 3,
      3000, 300, 3600, -1, 0, 80, 0, 0, 0 },

    { "tail", "3% of requests 500 ms slower",
      100, { { 0, 0.001, 0.001 } }, 0, 0, { 50, 0.5, 0, 0.03, 500 },
      { 5 }, 0, 1.25, 0.0005, 3,
      3000, 300, 3600, -1, 0, 110, 0, 0, 0 },

    { "split", "a crowd, split as the weights say, 1 to 100%",
      100, { { 0, 0, 0 } }, 0, SIM_CROWD, { 0, 0, 0, 0, 0 },
      ALL, 300, 1.25, 0.0005, 2,
      10000, 200, 2200, 0.01, NONE },

    { "split-hanging", "half of its requests hang for 60 s, weight 40 to 5",
      100, { { 0, 0, 0 } }, 60, SIM_CROWD, { 0, 0, 0, 0, 0 },
      { 40, 5, 40, 5 }, 300, 1.25, 0.0005, 2,
      5000, 100, 1300, 0.01, NONE },

    { "split-of-three", "a third variant's weight is set from 20 to 10%",
      100, { { 0, 0, 0 } }, 0, SIM_CROWD_OF_THREE, { 0, 0, 0, 0, 0 },
      { 1, 5, 10, 25, 50 }, 300, 1.25, 0.0005, 2,
      5000, 100, 2200, 0.01, NONE },

    { "split-many", "a crowd with 1500 new users a second",
      6000, { { 0, 0, 0 } }, 0, SIM_CROWD, { 0, 0, 0, 0, 0 },
      ALL, 300, 1.25, 0.0005, 2,
      500, 2, 2200, 0.01, NONE },

    { "split-third-10", "a third of the canary's users are lost, at 10%",
      400, { { 0, 0, 0.3333 } }, 0, SIM_CROWD, { 0, 0, 0, 0, 0 },
      { 10 }, 0, 1.25, 0.0005, 2,
      1000, 20, 7200, -1, 0, 120, 400, 0, 0 },

    { "split-third-50", "the same at 50%",
      400, { { 0, 0, 0.3333 } }, 0, SIM_CROWD, { 0, 0, 0, 0, 0 },
      { 50 }, 0, 1.25, 0.0005, 2,
      1000, 20, 7200, -1, 0, 30, 70, 0, 0 },

    { "split-tenth-10", "a tenth is, at 10%",
      400, { { 0, 0, 0.1 } }, 0, SIM_CROWD, { 0, 0, 0, 0, 0 },
      { 10 }, 0, 1.25, 0.0005, 2,
      200, 0, 36000, -1, 0, 2900, 6000, 0, 0 },

    { "split-tenth-50", "the same at 50%",
      400, { { 0, 0, 0.1 } }, 0, SIM_CROWD, { 0, 0, 0, 0, 0 },
      { 50 }, 0, 1.25, 0.0005, 2,
      500, 5, 36000, -1, 0, 1000, 2100, 0, 0 }
};


const ngx_uint_t  sim_rows_n = sizeof(sim_rows) / sizeof(sim_rows[0]);
