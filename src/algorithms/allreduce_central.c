/* SPDX-License-Identifier: BSD-3-Clause */
/* Central allreduce: everybody sends to rank 0, which reduces in rank order and
 * sends the result to everybody.  The fewest messages; for ranks that share cores,
 * each of which then waits only once.
 *
 * 4 ranks, 1 block a:
 *   step  rank 0       rank 1  rank 2  rank 3
 *      1  a<3 a<2 a<1  a>0     a>0     a>0
 *      2  a+
 *      3  a>1 a>2 a>3  a<0     a<0     a<0
 */
#include "algorithms/direct.h"
#include "algorithms/far.h"

static void build(struct schedule *s, const struct call *c)
{
    if (c->rank > 0) {
        schedule_send(s, 0, whole(c, SRC));
        schedule_recv(s, 0, whole(c, DST));
        return;
    }
    direct_reduce(s, c, whole(c, DST), whole(c, SRC));
    for (int k = 1; k < c->nranks; k++)
        schedule_send(s, k, whole(c, DST));
}

/* Rank 0 is one of the two ends of every message, and nobody has anything to take before it has combined
 * all of it.  But a third of what it moves it moves while others still send: fitted on 2 cores, where
 * 4 ranks are faster by doubling from 4 KiB on, and 8 by this up to 32 KiB. */
static struct price price(int n, const struct groups *groups, double bytes)
{
    struct price p = price_of(n > 1 ? 2 : 0,
        (struct load){ n - 1, bytes * (n - 1), direct_reduced(n, bytes, DIRECT_ALONE) },
        (struct load){ 2 * (n - 1), 2 * bytes * (n - 1), direct_reduced(n, bytes, DIRECT_ALONE) });

    p.alone = bytes * (n - 1) * 2 / 3;
    p.takers = n - 1;
    return far_star(n, groups, 2, p);
}

const struct algorithm allreduce_central = {
    .name = "central",
    .collective = ALLREDUCE,
    .cost = "2 steps of n-1 messages at once, from and to rank 0, which reduces all; "
            "the same bits as every direct algorithm",
    .price = price,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
