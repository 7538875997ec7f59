/* SPDX-License-Identifier: BSD-3-Clause */
/* Which part of a price goes from group to group, for the ways in which algorithms
 * use their ranks.  Each returns the price with `far` filled in; it stays zero
 * where there are no groups.  Pure functions; what is near is counted from pair to
 * pair, so any groups will do. */
#ifndef FAR_H
#define FAR_H

#include "algorithms/algorithm.h"

/* Everything goes to the next rank; in a chain not from the last to the first. */
struct price far_ring(int n, const struct groups *groups, struct price price);
struct price far_chain(int n, const struct groups *groups, struct price price);

/* Every rank sends as much to every other one. */
struct price far_all(int n, const struct groups *groups, struct price price);

/* One rank, any, sends to all others or receives from them, or both; `ways` 1 or 2. */
struct price far_star(int n, const struct groups *groups, int ways, struct price price);

/* Exchanges with the core rank ^ 1, 2, 4, ... (core.h). */
enum far_sizes {
    FAR_EVEN,                /* of equal messages */
    FAR_SHRINKING,           /* the message of distance 2d is half that of d */
    FAR_GROWING              /* the other way round */
};
struct price far_exchange(int n, const struct groups *groups, enum far_sizes sizes,
                          struct price price);

/* Messages to the rank 1, 2, 4, ... further. */
struct price far_steps(int n, const struct groups *groups, enum far_sizes sizes,
                       struct price price);

/* Along the edges of trees, `ntrees` of equal load; `ways` 2: up and down, else 1.  parent()
 * tells a rank's in each of them, -1 if it has none. */
struct price far_trees(int n, const struct groups *groups, int ntrees, int ways,
                       int (*parent)(int tree, int v, int n), struct price price);

#endif
