/* SPDX-License-Identifier: BSD-3-Clause */
/* Broadcast as a binomial scatter, then a ring allgather (van de Geijn 1994).
 * The scatter leaves a rank with the blocks of its subtree; the ring does not
 * bring it those again.  Blocks are numbered from the root on.
 *
 * 4 ranks, 4 blocks a b c d:
 *   step  rank 0                rank 1           rank 2           rank 3
 *      1  cd>2 b>1 a>1 d>1 c>1  b<0 a<0 d<0 c<0  cd<0
 *      2                        b>2 a>2          d>3 c>3 b<1 a<1  d<2 c<2
 *      3                                         b>3 a>3          b<2 a<2
 */
#include "algorithms/far.h"
#include "algorithms/tree.h"

static bool holds(int v, int n, int block)
{
    return block >= v && block < v + tree_span(v, n);
}

static void scatter(struct schedule *s, const struct call *c, int v)
{
    int n = c->nranks;

    if (v > 0)
        schedule_recv(s, wrap(c, c->root + tree_parent(v)),
                      blocks(c, DST, v, tree_span(v, n)));
    for (int bit = power_below(n); bit > 0; bit /= 2)
        if (bit < tree_span(v, n))
            schedule_send(s, wrap(c, c->rank + bit),
                          blocks(c, DST, v + bit, tree_span(v + bit, n)));
}

static void build(struct schedule *s, const struct call *c)
{
    int n = c->nranks, v = wrap(c, c->rank - c->root);

    scatter(s, c, v);
    for (int step = 0; step < n - 1; step++) {
        int mine = wrap(c, v - step), theirs = wrap(c, v - step - 1);

        if (!holds(wrap(c, v + 1), n, mine))
            schedule_send(s, ring_next(c), block(c, DST, mine));
        if (!holds(v, n, theirs))
            schedule_recv(s, ring_previous(c), block(c, DST, theirs));
    }
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    double steps = n > 1 ? rounds(n) + n - 1 : 0;

    return far_chain(n, groups, price_of(steps,
        (struct load){ steps, 2 * bytes * (n - 1) / n, 0 },
        (struct load){ (n + 1.0) * (n - 1) - n / 2.0 * rounds(n), bytes * (n - 1), 0 }));
}

const struct algorithm bcast_scatter_allgather = {
    .name = "scatter_allgather",
    .collective = BCAST,
    .cost = "log2(n) + n-1 steps, at most 2(n-1)/n of the buffer sent by each rank",
    .price = price,
    .by_place = true,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
