/* SPDX-License-Identifier: BSD-3-Clause */
/* Central barrier: everybody tells rank 0, which tells everybody when all have
 * come.  The fewest messages; for ranks that share cores, each of which then waits
 * only once.
 *
 * 4 ranks, 0 blocks:
 *   step  rank 0    rank 1  rank 2  rank 3
 *      1  <1 <2 <3  >0      >0      >0
 *      2  >1 >2 >3  <0      <0      <0
 */
#include "algorithms/far.h"
#include "algorithms/ring.h"

static void build(struct schedule *s, const struct call *c)
{
    struct span heard = schedule_scratch(s, (size_t)c->nranks);

    if (c->rank > 0) {
        schedule_send(s, 0, part(heard, 0, 1));
        schedule_recv(s, 0, heard);
        return;
    }
    /* The message to all covers what came in, so it waits for it. */
    for (int k = 1; k < c->nranks; k++)
        schedule_recv(s, k, part(heard, (size_t)k, 1));
    for (int k = 1; k < c->nranks; k++)
        schedule_send(s, k, heard);
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    (void)bytes;
    return far_star(n, groups, 2, price_of(n > 1 ? 2 : 0,
        (struct load){ n - 1, 0, 0 },
        (struct load){ 2 * (n - 1), 0, 0 }));
}

const struct algorithm barrier_central = {
    .name = "central",
    .collective = BARRIER,
    .cost = "2 steps of n-1 messages of a few bytes at once, from and to rank 0",
    .price = price,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
