/* SPDX-License-Identifier: BSD-3-Clause */
/* Direct allgather: everybody sends its block to everybody.  All sends come before
 * the first receive: a rank that has to wait for its core, or for another rank, holds
 * back nothing.
 *
 * 3 ranks, 3 blocks a b c:
 *   step  rank 0           rank 1           rank 2
 *      1  a>1 a>2 c<2 b<1  b>2 b>0 a<0 c<2  c>0 c>1 b<1 a<0
 */
#include "algorithms/far.h"
#include "algorithms/ring.h"

static void build(struct schedule *s, const struct call *c)
{
    schedule_copy(s, block(c, DST, c->rank), block(c, SRC, c->rank));
    for (int k = 1; k < c->nranks; k++)
        schedule_send(s, wrap(c, c->rank + k), block(c, SRC, c->rank));
    for (int k = 1; k < c->nranks; k++)
        schedule_recv(s, wrap(c, c->rank - k), block(c, DST, c->rank - k));
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return far_all(n, groups, price_even(n, n > 1, (struct load){ n - 1, bytes * (n - 1), 0 }));
}

const struct algorithm allgather_direct = {
    .name = "direct",
    .collective = ALLGATHER,
    .cost = "1 step of n-1 messages at once, n-1 blocks sent by each rank",
    .price = price,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
