/* SPDX-License-Identifier: BSD-3-Clause */
/* Algorithms for powers of two, on any number of ranks: of the first 2 x extra
 * ranks the even ones hand their part to the odd one above them and get the
 * result from it; those that remain, a power of two, are the core.  Core ranks
 * stand for 1 or 2 ranks side by side, in rank order.  Pure functions. */
#ifndef CORE_H
#define CORE_H

#include "algorithms/ring.h"

struct core {
    int  size;               /* a power of two */
    int  extra;              /* ranks that are not in it */
    int  rank;               /* in the core; -1: not in it */
    int  helper;             /* not in it: the rank that stands for this one */
    int  helped;             /* the rank that this one stands for, or -1 */
};

static inline struct core core_of(const struct call *c)
{
    struct core core = { .size = power_below(c->nranks), .helper = -1, .helped = -1 };

    core.extra = c->nranks - core.size;
    core.rank = c->rank < 2 * core.extra ? c->rank / 2 : c->rank - core.extra;
    if (c->rank < 2 * core.extra && c->rank % 2)
        core.helped = c->rank - 1;
    if (c->rank < 2 * core.extra && c->rank % 2 == 0) {
        core.rank = -1;
        core.helper = c->rank + 1;
    }
    return core;
}

/* The communicator's rank of a core rank. */
static inline int core_peer(const struct core *core, int rank)
{
    return rank < core->extra ? 2 * rank + 1 : rank + core->extra;
}

/* The first of the ranks that a core rank stands for; for rank = core->size
 * the number of all. */
static inline int core_first(const struct core *core, int rank)
{
    return rank < core->extra ? 2 * rank : rank + core->extra;
}

#endif
