/* SPDX-License-Identifier: BSD-3-Clause */
/* Direct allreduce: everybody sends block i to rank i, which reduces the n
 * blocks at once, in rank order, and sends the result to everybody.
 *
 * 3 ranks, 3 blocks a b c:
 *   step  rank 0           rank 1           rank 2
 *      1  b>1 c>2 a<2 a<1  c>2 a>0 b<0 b<2  a>0 b>1 c<1 c<0
 *      2  a+               b+               c+
 *      3  a>1 a>2 c<2 b<1  b>2 b>0 a<0 c<2  c>0 c>1 b<1 a<0
 */
#include "algorithms/direct.h"
#include "algorithms/far.h"
#include "algorithms/ring.h"

static void build(struct schedule *s, const struct call *c)
{
    for (int k = 1; k < c->nranks; k++)
        schedule_send(s, wrap(c, c->rank + k), block(c, SRC, c->rank + k));
    direct_reduce(s, c, block(c, DST, c->rank), block(c, SRC, c->rank));
    for (int k = 1; k < c->nranks; k++)
        schedule_send(s, wrap(c, c->rank + k), block(c, DST, c->rank));
    for (int k = 1; k < c->nranks; k++)
        schedule_recv(s, wrap(c, c->rank - k), block(c, DST, c->rank - k));
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return far_all(n, groups, price_even(n, n > 1 ? 2 : 0, (struct load){
        2 * (n - 1), 2 * bytes * (n - 1) / n, direct_reduced(n, bytes / n, DIRECT_SHARED) }));
}

const struct algorithm allreduce_direct = {
    .name = "direct",
    .collective = ALLREDUCE,
    .cost = "2 steps of n-1 messages at once, 2(n-1)/n of the buffer sent by each rank; "
            "the same bits as every direct algorithm",
    .price = price,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
