/* SPDX-License-Identifier: BSD-3-Clause */
/* Binomial broadcast: who has the buffer sends it to one who has not, until
 * all have; the largest subtree first.
 *
 * 5 ranks, 1 block a:
 *   step  rank 0       rank 1  rank 2  rank 3  rank 4
 *      1  a>4 a>2 a>1  a<0     a<0             a<0
 *      2                       a>3     a<2
 */
#include "algorithms/far.h"
#include "algorithms/tree.h"

static void build(struct schedule *s, const struct call *c)
{
    int n = c->nranks, v = wrap(c, c->rank - c->root);

    if (v > 0)
        schedule_recv(s, wrap(c, c->root + tree_parent(v)), whole(c, DST));
    for (int bit = power_below(n); bit > 0; bit /= 2)
        if (bit < tree_span(v, n))
            schedule_send(s, wrap(c, c->rank + bit), whole(c, DST));
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return far_trees(n, groups, 1, 1, tree_parent_binomial, price_of(rounds(n),
        (struct load){ rounds(n), rounds(n) * bytes, 0 },
        (struct load){ n - 1, bytes * (n - 1), 0 }));
}

const struct algorithm bcast_binomial = {
    .name = "binomial",
    .collective = BCAST,
    .cost = "log2(n) steps, the buffer sent in each",
    .price = price,
    .by_place = true,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
