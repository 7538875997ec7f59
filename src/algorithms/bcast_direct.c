/* SPDX-License-Identifier: BSD-3-Clause */
/* Direct broadcast: the root sends to everybody at once.
 *
 * 4 ranks, 1 block a:
 *   step  rank 0       rank 1  rank 2  rank 3
 *      1  a>1 a>2 a>3  a<0     a<0     a<0
 */
#include "algorithms/far.h"
#include "algorithms/ring.h"

static void build(struct schedule *s, const struct call *c)
{
    if (c->rank != c->root)
        schedule_recv(s, c->root, whole(c, DST));
    else
        for (int k = 1; k < c->nranks; k++)
            schedule_send(s, wrap(c, c->root + k), whole(c, DST));
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    struct load root = { n - 1, bytes * (n - 1), 0 };

    return far_star(n, groups, 1, price_of(n > 1, root, root));
}

const struct algorithm bcast_direct = {
    .name = "direct",
    .collective = BCAST,
    .cost = "1 step of n-1 messages at once, all sent by the root",
    .price = price,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
