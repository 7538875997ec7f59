/* SPDX-License-Identifier: BSD-3-Clause */
/* Direct reduce: everybody sends to the root, which reduces all at once, in
 * rank order.
 *
 * 4 ranks, 1 block a:
 *   step  rank 0       rank 1  rank 2  rank 3
 *      1  a<3 a<2 a<1  a>0     a>0     a>0
 *      2  a+
 */
#include "algorithms/direct.h"
#include "algorithms/far.h"
#include "algorithms/ring.h"

static void build(struct schedule *s, const struct call *c)
{
    if (c->rank == c->root)
        direct_reduce(s, c, whole(c, DST), whole(c, SRC));
    else
        schedule_send(s, c->root, whole(c, SRC));
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    struct load root = { n - 1, bytes * (n - 1), direct_reduced(n, bytes, DIRECT_ALONE) };
    struct price price = price_of(n > 1, root, root);

    price.received = root.messages;
    return far_star(n, groups, 1, price);
}

const struct algorithm reduce_direct = {
    .name = "direct",
    .collective = REDUCE,
    .cost = "1 step of n-1 messages at once, n-1 buffers received and reduced by the root; "
            "the same bits as every direct algorithm",
    .price = price,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
