/* SPDX-License-Identifier: BSD-3-Clause */
/* Ring allgather: pass on to the next rank what came from the previous one.
 *
 * 4 ranks, 4 blocks a b c d:
 *   step  rank 0   rank 1   rank 2   rank 3
 *      1  a>1 d<3  b>2 a<0  c>3 b<1  d>0 c<2
 *      2  d>1 c<3  a>2 d<0  b>3 a<1  c>0 b<2
 *      3  c>1 b<3  d>2 c<0  a>3 d<1  b>0 a<2
 */
#include "algorithms/far.h"
#include "algorithms/ring.h"

static void build(struct schedule *s, const struct call *c)
{
    int next = ring_next(c), previous = ring_previous(c);

    schedule_copy(s, block(c, DST, c->rank), block(c, SRC, c->rank));
    for (int step = 0; step < c->nranks - 1; step++) {
        schedule_send(s, next, block(c, step ? DST : SRC, c->rank - step));
        schedule_recv(s, previous, block(c, DST, c->rank - step - 1));
    }
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
