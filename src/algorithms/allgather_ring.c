/* SPDX-License-Identifier: BSD-3-Clause */
/* Ring allgather: pass on to the next rank what came from the previous one.
 *
 * 4 ranks, 4 blocks a b c d:
 *   step  rank 0   rank 1   rank 2   rank 3
 *      1  a>1 d<3  b>2 a<0  c>3 b<1  d>0 c<2
 *      2  d>1 c<3  a>2 d<0  b>3 a<1  c>0 b<2
 *      3  c>1 b<3  d>2 c<0  a>3 d<1  b>0 a<2
 */
#include "algorithms/channels.h"
#include "algorithms/far.h"
#include "algorithms/ring.h"

static void begin(struct schedule *s, const struct call *c, struct lap *lap)
{
    (void)lap;
    schedule_copy(s, block(c, DST, c->rank), block(c, SRC, c->rank));
}

static int steps(int n)
{
    return n - 1;
}

static void step(struct schedule *s, const struct call *c, struct lap *lap, int i)
{
    (void)lap;
    schedule_send(s, ring_next(c), block(c, i ? DST : SRC, c->rank - i));
    schedule_recv(s, ring_previous(c), block(c, DST, c->rank - i - 1));
}

const struct laps allgather_laps = { begin, steps, step, laps_no_end };

static void build(struct schedule *s, const struct call *c)
{
    laps_build(s, c, &allgather_laps);
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return far_ring(n, groups, price_even(n, n - 1,
        (struct load){ n - 1, bytes * (n - 1), 0 }));
}

const struct algorithm allgather_ring = {
    .name = "ring",
    .collective = ALLGATHER,
    .cost = "n-1 steps, one block sent in each, to the neighbour only",
    .price = price,
    .by_place = true,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
