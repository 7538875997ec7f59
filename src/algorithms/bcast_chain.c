/* SPDX-License-Identifier: BSD-3-Clause */
/* Chain broadcast: from the root to the next rank, and so on.  For large
 * buffers in many slices, which follow each other through the chain.
 *
 * 4 ranks, 1 block a:
 *   step  rank 0  rank 1  rank 2  rank 3
 *      1  a>1     a<0
 *      2          a>2     a<1
 *      3                  a>3     a<2
 */
#include "algorithms/far.h"
#include "algorithms/ring.h"

static void build(struct schedule *s, const struct call *c)
{
    int v = wrap(c, c->rank - c->root);

    if (v > 0)
        schedule_recv(s, ring_previous(c), whole(c, DST));
    if (v < c->nranks - 1)
        schedule_send(s, ring_next(c), whole(c, DST));
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return far_chain(n, groups, price_of(n - 1,
        (struct load){ n > 1, n > 1 ? bytes : 0, 0 },
        (struct load){ n - 1, bytes * (n - 1), 0 }));
}

const struct algorithm bcast_chain = {
    .name = "chain",
    .collective = BCAST,
    .cost = "n-1 steps, the buffer sent once by each rank; in slices these overlap",
    .price = price,
    .by_place = true,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
