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
#include "algorithms/channels.h"
#include "algorithms/far.h"
#include "algorithms/ring.h"
#include "algorithms/target.h"

static void begin(struct schedule *s, const struct call *c, struct lap *lap)
{
    int n = c->nranks;
    size_t largest = 0;

    lap->result = target(s, c);
    lap->sum = block(c, SRC, c->rank - 1);
    for (int i = 0; i < n; i++)
        if (block_bytes(c, i) > largest)
            largest = block_bytes(c, i);
    /* Two, so that one can be received while the other is sent. */
    lap->slot[0] = schedule_scratch(s, n > 2 ? largest : 0);
    lap->slot[1] = schedule_scratch(s, n > 3 ? largest : 0);
}

static int steps(int n)
{
    return n - 1;
}

static void step(struct schedule *s, const struct call *c, struct lap *lap, int i)
{
    struct span own = block(c, SRC, c->rank - i - 2);
    struct span to = i == c->nranks - 2 ? lap->result : part(lap->slot[i % 2], 0, own.bytes);

    schedule_send(s, ring_next(c), lap->sum);
    schedule_recv_combine(s, ring_previous(c), to, own, true);
    lap->sum = to;
}

static void end(struct schedule *s, const struct call *c, struct lap *lap)
{
    schedule_copy(s, block(c, DST, c->rank), c->nranks > 1 ? lap->result : block(c, SRC, c->rank));
}

const struct laps reduce_scatter_laps = { begin, steps, step, end };

static void build(struct schedule *s, const struct call *c)
{
    laps_build(s, c, &reduce_scatter_laps);
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
