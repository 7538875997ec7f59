/* SPDX-License-Identifier: BSD-3-Clause */
/* Direct reduce-scatter: everybody sends block i to rank i, which reduces the n
 * blocks at once, in rank order.
 *
 * 3 ranks, 3 blocks a b c:
 *   step  rank 0           rank 1           rank 2
 *      1  b>1 c>2 a<2 a<1  c>2 a>0 b<0 b<2  a>0 b>1 c<1 c<0
 *      2  a+               b+               c+
 */
#include "algorithms/direct.h"
#include "algorithms/far.h"
#include "algorithms/ring.h"
#include "algorithms/target.h"

static void build(struct schedule *s, const struct call *c)
{
    struct span result = target(s, c);

    for (int k = 1; k < c->nranks; k++)
        schedule_send(s, wrap(c, c->rank + k), block(c, SRC, c->rank + k));
    direct_reduce(s, c, result, block(c, SRC, c->rank));
    schedule_copy(s, block(c, DST, c->rank), result);
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return far_all(n, groups, price_even(n, n > 1, (struct load){
        n - 1, bytes * (n - 1), direct_reduced(n, bytes, DIRECT_SHARED) }));
}

const struct algorithm reduce_scatter_direct = {
    .name = "direct",
    .collective = REDUCE_SCATTER,
    .cost = "1 step of n-1 messages at once, n-1 blocks sent by each rank; the same bits as "
            "every direct algorithm",
    .price = price,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
