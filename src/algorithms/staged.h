/* SPDX-License-Identifier: BSD-3-Clause */
/* What algorithms that copy to a stage, memory that the peers see, have in common. */
#ifndef STAGED_H
#define STAGED_H

#include "algorithms/algorithm.h"

/* Bytes of a rank's stage up to which its peers still find it in the last cache, with
 * those of the others beside it; and of a block up to which it is in their own until it is stored again. */
enum { STAGE_CACHED = 2 << 20, STAGE_HELD = 64 << 10 };

/* Bytes that are gone through once more if they are fetched from memory. */
static inline double staged_far(double staged)
{
    return staged > STAGE_CACHED ? staged : 0;
}

/* Bytes that a call with blocks of that size costs more, for a reader's cache still has what was stored
 * there before: 3 and more ranks.  (4 ranks on 2 cores, reduce-scatter: each further byte of a block
 * takes 0.7 ns up to 32 KiB, 0.3 beyond 64.)  `weight` was fitted for each algorithm to where it
 * begins to be the faster one, with 4 and 8 ranks on 2 cores. */
static inline double staged_held(int nranks, double block, double weight)
{
    return nranks > 2 ? weight * (block < STAGE_HELD ? block : STAGE_HELD) : 0;
}

/* result := block c->rank of everybody, combined.  The others' blocks are copied to where they
 * see them, each of which one reads; the own is combined with theirs from there: downwards to
 * rank 0, then upwards. */
static inline void staged_reduce(struct schedule *s, const struct call *c, struct span result)
{
    struct span so_far = block(c, SRC, c->rank);

    for (int k = 1; k < c->nranks; k++) {
        struct span theirs = block(c, SRC, c->rank + k);
        struct span stage = schedule_stage(s, theirs.bytes);

        schedule_copy(s, stage, theirs);
        schedule_send(s, wrap(c, c->rank + k), stage);
    }
    for (int r = c->rank - 1; r >= 0; r--, so_far = result)
        schedule_recv_combine(s, r, result, so_far, true);
    for (int r = c->rank + 1; r < c->nranks; r++, so_far = result)
        schedule_recv_combine(s, r, result, so_far, false);
    if (c->nranks == 1)
        schedule_copy(s, result, so_far);
}

/* One round brings the offer, one the news that it was taken. */
static inline struct price staged_price(int nranks, struct load busiest, struct load all)
{
    struct load none = { 0, 0, 0 };

    all.messages *= 2;
    return nranks > 1 ? price_of(2, busiest, all) : price_of(0, none, none);
}

#endif
