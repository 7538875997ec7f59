/* SPDX-License-Identifier: BSD-3-Clause */
/* Arithmetic on a ring of ranks 0, 1, ..., n-1, 0, and on powers of two: pure
 * functions. */
#ifndef RING_H
#define RING_H

#include "algorithms/algorithm.h"

static inline int ring_next(const struct call *c)
{
    return wrap(c, c->rank + 1);
}

static inline int ring_previous(const struct call *c)
{
    return wrap(c, c->rank - 1);
}

/* Largest power of two that is at most n, for n >= 1. */
static inline int power_below(int n)
{
    int power = 1;

    while (power <= n / 2)
        power *= 2;
    return power;
}

/* Rounds that doubling needs to reach n: the logarithm rounded up. */
static inline int rounds(int n)
{
    int log = 0;

    while (((size_t)1 << log) < (size_t)n)
        log++;
    return log;
}

#endif
