/* SPDX-License-Identifier: BSD-3-Clause */
/* Direct barrier: everybody tells everybody.  One round: the quickest for few ranks.
 *
 * 3 ranks, 0 blocks:
 *   step  rank 0       rank 1       rank 2
 *      1  >1 >2 <2 <1  >2 >0 <0 <2  >0 >1 <1 <0
 */
#include "algorithms/far.h"
#include "algorithms/ring.h"

static void build(struct schedule *s, const struct call *c)
{
    struct span heard = schedule_scratch(s, (size_t)c->nranks);

    for (int k = 1; k < c->nranks; k++)
        schedule_send(s, wrap(c, c->rank + k), part(heard, 0, 1));
    for (int k = 1; k < c->nranks; k++)
        schedule_recv(s, wrap(c, c->rank - k), part(heard, (size_t)k, 1));
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    (void)bytes;
    return far_all(n, groups, price_even(n, n > 1, (struct load){ n - 1, 0, 0 }));
}

const struct algorithm barrier_direct = {
    .name = "direct",
    .collective = BARRIER,
    .cost = "1 step of n-1 messages of a byte at once",
    .price = price,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
