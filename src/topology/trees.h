/* SPDX-License-Identifier: BSD-3-Clause */
/* The search for spanning trees, each used up and down at the same time. */
#ifndef TREES_H
#define TREES_H

#include "topology/fabric.h"
#include "topology/packing.h"

/* parents[i * n] ...: of each GPU, -1 for the root roots[i]. */
struct trees {
    int     count;
    int    *parents;
    int    *roots;
    double *shares;                    /* GB/s, each way */
    double  total;
    double  bound;                     /* no set of trees carries more */
};

/* The set of trees with the largest total over a connected fabric of at least 2 GPUs.
 * PEAL_ERR_MEMORY. */
int  trees_find(const struct fabric *f, struct effort *effort, struct trees *trees);
void trees_free(struct trees *trees);

/* Levels below `from`, if the tree hung from there; and hanging it there.  parents[]: -1 for the root. */
int  tree_height(const int *parents, int n, int from);
void tree_hang(int *parents, int top);

#endif
