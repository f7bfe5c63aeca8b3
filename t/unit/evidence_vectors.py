#!/usr/bin/python3
#
# t/unit/evidence_vectors.py >t/unit/evidence_vectors.h
#
# Works out e-processes without any code of the module, and by other formulas:
# chances of binomial trials as they are written in docs/statistics.md, all
# capital as a list of what was put in at which tick, in 50 digits of decimals.

from decimal import Decimal as D, MAX_EMAX, MIN_EMIN, getcontext


getcontext().prec = 50
getcontext().Emax = MAX_EMAX
getcontext().Emin = MIN_EMIN

WORSE = [D(g) for g in ("1.25", "1.5", "2", "3", "5", "8", "16", "50")]
SHARES = [1 / D(2), 1 / D("1.5"), 1 / D("1.25"), 1 / D("1.1"),
          D("1.1"), D("1.25"), D("1.5"), D(2)]


class Draw:
    """splitmix64, as in t/unit/unit.h"""

    MASK = (1 << 64) - 1

    def __init__(self, seed):
        self.seed = seed

    def number(self):
        self.seed = (self.seed + 0x9e3779b97f4a7c15) & self.MASK

        z = self.seed
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 & self.MASK
        z = (z ^ z >> 27) * 0x94d049bb133111eb & self.MASK

        return z ^ z >> 31


def share_of(counts):
    n, m, x, y, share = counts

    return D(n) / (n + m) if share is None else share


def binary(n, m, x, y, p, q):
    """ln of how much better q than p tells x of x + y"""

    return x * (q / p).ln() + y * ((1 - q) / (1 - p)).ln()


def relative(counts, r, floor, rho):
    n, m, x, y, share = counts

    if n == 0 or m == 0:
        return D(0)

    w = share_of(counts)
    theta = w * r / (w * r + 1 - w)
    q = w * rho / (w * rho + 1 - w)

    return binary(n, m, x, y, theta, q) - floor * n * (q / theta - 1)


def odds_of(p, g):
    odds = g * p / (1 - p)

    return odds / (1 + odds)


def absolute(counts, p0, g):
    n, m, x, y, share = counts

    return binary(n, m, x, n - x, p0, odds_of(p0, g))


def split(counts, g):
    n, m, x, y, share = counts

    return binary(n, m, n, m, share, odds_of(share, g))


def relative_info(counts, r, floor, detect, p):
    n, m, x, y, share = counts

    if n == 0 or m == 0:
        return D(0)

    w = share_of(counts)
    rho = detect * r
    theta = w * r / (w * r + 1 - w)
    q = w * rho / (w * rho + 1 - w)
    a = q / theta
    b = (1 - q) / (1 - theta)

    return (n * rho * (p + floor / r) * a.ln() + y * b.ln()
            - floor * n * (a - 1))


def absolute_info(counts, p0, detect):
    n, m, x, y, share = counts
    p1 = odds_of(p0, detect)

    return n * (p1 * (p1 / p0).ln() + (1 - p1) * ((1 - p1) / (1 - p0)).ln())


def process(ticks):
    """ln E of a list of (ratios, moved): what was put in, and what it became"""

    put = []
    total = D(0)
    moves = 0
    products = None

    for t, (ratios, moved) in enumerate(ticks):
        pi = D("0.4") * (D(600) / (t + 600) - D(600) / (t + 601))

        if t == 0:
            pi += D("0.3")

        if moved:
            moves += 1
            pi += D("0.3") / (moves * (moves + 1))

        put.append(pi)
        total += pi

    # the sum over alternatives of pi_t / 8 times the product from t on

    after = [D(1)] * 8
    e = 1 - total

    for (ratios, moved), pi in zip(reversed(ticks), reversed(put)):
        after = [a * r.exp() for a, r in zip(after, ratios)]
        e += pi / 8 * sum(after)

    return e.ln()


# canary, baseline, bad ones of these, the share or None; ratio, floor, g

SINGLE = [
    ((50, 950, 3, 10, None), "1", "0", "3"),
    ((5, 95, 1, 1, None), "1.5", "0", "3"),
    ((5, 95, 1, 1, None), "1.25", "0.0005", "3"),
    ((40, 60, 0, 3, None), "1.25", "0.0005", "50"),
    ((60, 40, 12, 1, None), "1.25", "0.0005", "8"),
    ((950, 50, 700, 2, None), "2", "0.001", "1.25"),
    ((1, 1, 1, 0, None), "1", "0", "50"),
    ((1, 99999, 1, 70000, None), "1.1", "0", "16"),
    ((99999, 1, 5000, 1, None), "1.1", "0.01", "5"),
    ((0, 100, 0, 7, None), "1.25", "0.0005", "3"),
    ((100, 0, 7, 0, None), "1.25", "0.0005", "3"),
    ((1000, 1000, 2, 9, D("0.2")), "1.25", "0.0005", "2"),
    ((30, 70, 5, 5, D("0.999")), "3", "0", "1.5"),
]

ABSOLUTE = [
    ((300, 0, 9, 0, None), "0.01", "3"),
    ((300, 0, 0, 0, None), "0.01", "50"),
    ((300, 0, 300, 0, None), "0.01", "50"),
    ((1, 5, 1, 5, None), "0.000001", "1.25"),
    ((1, 5, 0, 0, None), "0.999999", "16"),
    ((12345, 0, 678, 0, None), "0.05", "1.5"),
]

INFO = [
    ((5, 95, 0, 1, None), "1.25", "0.0005", "3", "0.01"),
    ((40, 60, 3, 0, None), "1.25", "0", "3", "0.0005"),
    ((95, 5, 0, 0, None), "2", "0.01", "5", "0"),
    ((50, 50, 0, 2, D("0.4")), "1", "0.0005", "1.5", "0.03"),
    ((0, 50, 0, 2, None), "1.25", "0.0005", "3", "0.03"),
]

# kind, ticks, a move each so many, requests of a tick up to, bad ones of a
# thousand up to, share, ratio or max, floor

RUNS = [
    ("relative", 1, 0, 5, 95, 100, 100, None, "1.25", "0.0005"),
    ("relative", 1, 1, 5, 95, 300, 100, None, "1.25", "0.0005"),
    ("relative", 300, 0, 10, 190, 200, 200, None, "1.25", "0.0005"),
    ("relative", 300, 60, 10, 190, 400, 200, None, "1.25", "0.0005"),
    ("relative", 2000, 300, 80, 120, 60, 60, None, "1.25", "0.0005"),
    ("relative", 2000, 7, 80, 120, 60, 60, None, "2", "0.002"),
    ("relative", 500, 100, 80, 20, 900, 30, None, "1", "0"),
    ("relative", 500, 100, 3, 9, 1000, 500, None, "1", "0"),
    ("relative", 600, 50, 40, 60, 120, 40, D("0.4"), "1.25", "0.0005"),
    ("relative", 300, 0, 80, 20, 3, 900, None, "1.25", "0.0005"),
    ("absolute", 1, 0, 100, 0, 300, 0, None, "0.05", "0"),
    ("absolute", 900, 300, 20, 50, 80, 0, None, "0.05", "0"),
    ("absolute", 900, 90, 200, 0, 110, 0, None, "0.05", "0"),
    ("absolute", 300, 10, 300, 0, 1000, 0, None, "0.001", "0"),
    ("absolute", 1500, 0, 40, 0, 30, 0, None, "0.01", "0"),
    ("share", 1, 0, 100, 100, 0, 0, D("0.5"), "0", "0"),
    ("share", 600, 100, 10, 190, 0, 0, D("0.05"), "0", "0"),
    ("share", 600, 100, 12, 190, 0, 0, D("0.05"), "0", "0"),
    ("share", 900, 0, 70, 190, 0, 0, D("0.3"), "0", "0"),
    ("share", 200, 0, 0, 190, 0, 0, D("0.2"), "0", "0"),
]


def run(seed, row):
    kind, n, each, canary, baseline, bad, worse, share, limit, floor = row
    draw = Draw(seed)
    limit = D(limit)
    floor = D(floor)
    ticks = []
    info = D(0)
    requests = 0
    failed = 0

    for t in range(n):
        c = draw.number() % (canary + 1)
        b = draw.number() % (baseline + 1)
        x = c * (draw.number() % (bad + 1)) // 1000
        y = b * (draw.number() % (worse + 1)) // 1000
        counts = (c, b, x, y, share)
        moved = each != 0 and t % each == each - 1

        requests += b
        failed += y

        if kind == "relative":
            ratios = [relative(counts, limit, floor, limit * g) for g in WORSE]
            info += relative_info(counts, limit, floor, D(3),
                                  D(failed) / requests if requests else D(0))

        elif kind == "absolute":
            ratios = [absolute(counts, limit, g) for g in WORSE]
            info += absolute_info(counts, limit, D(3))

        else:
            ratios = [split(counts, g) for g in SHARES]

        ticks.append((ratios, moved))

    return process(ticks), info


# parts of a very long run: kind, limit, floor, then ticks of the same counts

LONG = [
    ("relative", "1.25", "0.0005", [(1000000, (5, 95, 0, 1, None))]),
    ("relative", "1.25", "0.0005", [(1000000, (5, 95, 1, 1, None))]),
    ("relative", "1.25", "0.0005", [(1000000, (5, 95, 0, 1, None)),
                                    (20, (5, 95, 1, 1, None))]),
    ("relative", "1.25", "0.0005", [(1000, (5, 95, 3, 0, None)),
                                    (999000, (40, 60, 0, 3, None))]),
    ("absolute", "0.05", "0", [(1000000, (20, 0, 0, 0, None))]),
    ("absolute", "0.05", "0", [(1000000, (20, 0, 0, 0, None)),
                               (10, (20, 0, 9, 0, None))]),
]


def long(kind, limit, floor, parts):
    put = D(1)
    t = 0
    capital = [D(0)] * 8
    limit = D(limit)

    for n, counts in parts:
        if kind == "relative":
            grow = [relative(counts, limit, D(floor), limit * g).exp()
                    for g in WORSE]
        else:
            grow = [absolute(counts, limit, g).exp() for g in WORSE]

        for t in range(t, t + n):
            pi = D(240) / ((t + 600) * (t + 601)) + (D("0.3") if t == 0 else 0)
            put -= pi
            pi /= 8
            capital = [(m + pi) * l for m, l in zip(capital, grow)]

        t += 1

    return (put + sum(capital)).ln()


def number(value):
    return "%.17g" % value


def counts_of(counts):
    n, m, x, y, share = counts

    return "{ %d, %d, %d, %d, %s }" % (n, m, x, y,
                                       -1 if share is None else share)


print("""
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Evidence as another implementation has it; made by
 * t/unit/evidence_vectors.py.
 */


#ifndef _EVIDENCE_VECTORS_H_INCLUDED_
#define _EVIDENCE_VECTORS_H_INCLUDED_


#include "ngx_http_gray_evidence.h"


typedef struct {
    ngx_http_gray_evidence_counts_t  counts;
    double                           limit;
    double                           floor;
    double                           times;     /* as bad */
    double                           rate;
    double                           value;
} evidence_tick_t;


/*
 * Number I has, in each tick, four numbers of what draw() gives from seed I on:
 * canary, baseline (modulo these and 1), and of these bad ones, in thousandths
 * that are as large at most.
 */

typedef struct {
    char                             kind;      /* the first letter */
    ngx_uint_t                       ticks;
    ngx_uint_t                       each;
    ngx_uint_t                       most[4];
    double                           share;
    double                           limit;
    double                           floor;
    double                           value;
    double                           info;
} evidence_run_t;


/* the same in so many ticks, and then in others */

typedef struct {
    char                             kind;
    double                           limit;
    double                           floor;
    ngx_uint_t                       ticks[2];
    ngx_http_gray_evidence_counts_t  counts[2];
    double                           value;
} evidence_long_t;


static const evidence_tick_t  evidence_relative[] = {""")

print(",\n".join("    { %s, %s, %s, %s, 0,\n      %s }"
                 % (counts_of(c), r, f, g,
                    number(relative(c, D(r), D(f), D(r) * D(g))))
                 for c, r, f, g in SINGLE))

print("""};


static const evidence_tick_t  evidence_absolute[] = {""")

print(",\n".join("    { %s, %s, 0, %s, 0,\n      %s }"
                 % (counts_of(c), p, g, number(absolute(c, D(p), D(g))))
                 for c, p, g in ABSOLUTE))

print("""};


static const evidence_tick_t  evidence_info[] = {""")

print(",\n".join("    { %s, %s, %s, %s, %s,\n      %s }"
                 % (counts_of(c), r, f, d, p,
                    number(relative_info(c, D(r), D(f), D(d), D(p))))
                 for c, r, f, d, p in INFO))

print("""};


static const evidence_run_t  evidence_runs[] = {""")

rows = []

for i, row in enumerate(RUNS):
    kind, n, each, canary, baseline, bad, worse, share, limit, floor = row
    value, info = run(i, row)
    rows.append("    { '%s', %d, %d, { %d, %d, %d, %d }, %s, %s, %s,\n"
                "      %s, %s }"
                % (kind[0], n, each, canary, baseline, bad, worse,
                   -1 if share is None else share, limit, floor,
                   number(value), number(info)))

print(",\n".join(rows))

print("""};


static const evidence_long_t  evidence_longs[] = {""")

rows = []

for kind, limit, floor, parts in LONG:
    value = long(kind, limit, floor, parts)
    first, second = (parts + [(0, (0, 0, 0, 0, None))])[:2]
    rows.append("    { '%s', %s, %s, { %d, %d },\n      { %s, %s },\n      %s }"
                % (kind[0], limit, floor, first[0], second[0],
                   counts_of(first[1]), counts_of(second[1]), number(value)))

print(",\n".join(rows))

print("""};


#endif /* _EVIDENCE_VECTORS_H_INCLUDED_ */""")
