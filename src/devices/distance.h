/* SPDX-License-Identifier: BSD-3-Clause */
/* How far is the core of a peer?  By the time that a line takes which that core has read: 30 to 40 ns
 * (clock and all) where they share a cache, 120 to 330 where they do not (docs/performance.md).  Single
 * ones are slow by chance, and virtual cores move: the majority of the last ones counts. */
#ifndef DISTANCE_H
#define DISTANCE_H

#include <stdbool.h>
#include <stdint.h>

enum { DISTANCE_ONE_IN = 15, DISTANCE_NEAR_NS = 110, DISTANCE_MOST = 8 };

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

void distance_took(struct distance *distance, uint64_t ns);

static inline bool distance_is_far(const struct distance *distance)
{
    return distance->slow > DISTANCE_MOST / 2;
}

#endif
