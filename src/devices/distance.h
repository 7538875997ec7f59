/* SPDX-License-Identifier: BSD-3-Clause */
/* How far is the core of a peer?  By the time that a line takes which that core has read: some 10 ns
 * where they share a cache, 100 to 300 where they do not (docs/performance.md).  Single
 * ones are slow by chance, and virtual cores move: the majority of the last ones counts. */
#ifndef DISTANCE_H
#define DISTANCE_H

#include <stdbool.h>
#include <stdint.h>

enum { DISTANCE_ONE_IN = 15, DISTANCE_NEAR_NS = 85, DISTANCE_MOST = 8 };

/* Begins as zeros: near.  One thread's. */
struct distance {
    unsigned lines;                /* of which one in some is timed */
    int      slow;                 /* 0 to DISTANCE_MOST: more of them slow, one less for each other */
};

/* Is this line to be timed? */
static inline bool distance_due(struct distance *distance)
{
    return ++distance->lines % DISTANCE_ONE_IN == 0;
}

/* So long, of which so much is the clock's. */
void distance_took(struct distance *distance, uint64_t ns, uint64_t clock);

static inline bool distance_is_far(const struct distance *distance)
{
    return distance->slow > DISTANCE_MOST / 2;
}

#endif
