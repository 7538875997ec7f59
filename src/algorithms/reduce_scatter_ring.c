/* SPDX-License-Identifier: BSD-3-Clause */
/* Ring reduce-scatter: block i starts at rank i+1 and collects every rank's
 * part on its way round to rank i.
 *
 * 4 ranks, 4 blocks a b c d:
 *   step  rank 0    rank 1    rank 2    rank 3
 *      1  d>1 +c<3  a>2 +d<0  b>3 +a<1  c>0 +b<2
 *      2  c>1 +b<3  d>2 +c<0  a>3 +d<1  b>0 +a<2
 *      3  b>1 +a<3  c>2 +b<0  d>3 +c<1  a>0 +d<2
 */
#include "algorithms/far.h"
#include "algorithms/ring.h"
#include "algorithms/target.h"

static void build(struct schedule *s, const struct call *c)
{
    int next = ring_next(c), previous = ring_previous(c);
    int n = c->nranks, r = c->rank;
    struct span result = target(s, c), slot[2], sum = block(c, SRC, r - 1);
    size_t largest = 0;

    for (int i = 0; i < n; i++)
        if (block_bytes(c, i) > largest)
            largest = block_bytes(c, i);
    /* Two, so that one can be received while the other is sent. */
    slot[0] = schedule_scratch(s, n > 2 ? largest : 0);
    slot[1] = schedule_scratch(s, n > 3 ? largest : 0);
    for (int step = 0; step < n - 1; step++) {
        struct span own = block(c, SRC, r - step - 2);
        struct span to = step == n - 2 ? result : part(slot[step % 2], 0, own.bytes);

        schedule_send(s, next, sum);
        schedule_recv_combine(s, previous, to, own, true);
        sum = to;
    }
    schedule_copy(s, block(c, DST, r), n > 1 ? result : block(c, SRC, r));
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return far_ring(n, groups, price_even(n, n - 1,
        (struct load){ n - 1, bytes * (n - 1), bytes * (n - 1) }));
}

const struct algorithm reduce_scatter_ring = {
    .name = "ring",
    .collective = REDUCE_SCATTER,
    .cost = "n-1 steps, one block sent in each, to the neighbour only",
    .price = price,
    .by_place = true,
    .build = build,
};
