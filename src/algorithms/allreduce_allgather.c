/* SPDX-License-Identifier: BSD-3-Clause */
/* Allreduce by allgather: everybody sends all to everybody, and reduces what
 * comes in rank order.  One round: the quickest where the message costs nothing.
 *
 * 3 ranks, 1 block a:
 *   step  rank 0           rank 1           rank 2
 *      1  a>1 a>2 a<2 a<1  a>2 a>0 a<0 a<2  a>0 a>1 a<1 a<0
 *      2  a+               a+               a+
 */
#include "algorithms/direct.h"
#include "algorithms/far.h"

static void build(struct schedule *s, const struct call *c)
{
    for (int k = 1; k < c->nranks; k++)
        schedule_send(s, wrap(c, c->rank + k), whole(c, SRC));
    direct_reduce(s, c, whole(c, DST), whole(c, SRC));
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return far_all(n, groups, price_even(n, n > 1, (struct load){
        n - 1, bytes * (n - 1), direct_reduced(n, bytes, DIRECT_SHARED) }));
}

const struct algorithm allreduce_allgather = {
    .name = "allgather",
    .collective = ALLREDUCE,
    .cost = "1 step of n-1 messages at once, n-1 buffers sent and reduced by each rank; "
            "the same bits as every direct algorithm",
    .price = price,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
