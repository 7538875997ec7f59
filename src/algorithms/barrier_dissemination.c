/* SPDX-License-Identifier: BSD-3-Clause */
/* Dissemination barrier (Hensgen, Finkel, Manber 1988): in round k every rank
 * tells the one 2^k further that it and all it has heard of have come.
 *
 * 5 ranks, 0 blocks:
 *   step  rank 0  rank 1  rank 2  rank 3  rank 4
 *      1  >1 <4   >2 <0   >3 <1   >4 <2   >0 <3
 *      2  >2 <3   >3 <4   >4 <0   >0 <1   >1 <2
 *      3  >4 <1   >0 <2   >1 <3   >2 <4   >3 <0
 */
#include "algorithms/far.h"
#include "algorithms/ring.h"

static void build(struct schedule *s, const struct call *c)
{
    int last = rounds(c->nranks);
    struct span heard = schedule_scratch(s, 2 * (size_t)last + 1);

    /* What the bytes hold does not matter, only which ones are touched: the
     * message of round k covers the first byte of all that came in before, so
     * it waits for it, and what comes in touches nothing sent until then. */
    for (int k = 0; k < last; k++) {
        size_t bytes = (size_t)k + 1;

        schedule_send(s, wrap(c, c->rank + (1 << k)), part(heard, 0, bytes));
        schedule_recv(s, wrap(c, c->rank - (1 << k)), part(heard, bytes, bytes));
    }
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    (void)bytes;
    return far_steps(n, groups, FAR_EVEN, price_even(n, rounds(n),
        (struct load){ rounds(n), 0, 0 }));
}

const struct algorithm barrier_dissemination = {
    .name = "dissemination",
    .collective = BARRIER,
    .cost = "log2(n) steps of a few bytes",
    .price = price,
    .by_place = true,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
