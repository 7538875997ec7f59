/* SPDX-License-Identifier: BSD-3-Clause */
/* Ring allreduce: a reduce-scatter around the ring, then an allgather.
 *
 * 3 ranks, 3 blocks a b c:
 *   step  rank 0    rank 1    rank 2
 *      1  a>1 +c<2  b>2 +a<0  c>0 +b<1
 *      2  c>1 +b<2  a>2 +c<0  b>0 +a<1
 *      3  b>1 a<2   c>2 b<0   a>0 c<1
 *      4  a>1 c<2   b>2 a<0   c>0 b<1
 */
#include "algorithms/ring.h"

static void build(struct schedule *s, const struct call *c)
{
    int next = ring_next(c), previous = ring_previous(c);
    int n = c->nranks, r = c->rank;

    if (n == 1) {
        schedule_copy(s, whole(c, DST), whole(c, SRC));
        return;
    }
    for (int step = 0; step < n - 1; step++) {
        schedule_send(s, next, block(c, step ? DST : SRC, r - step));
        schedule_recv_combine(s, previous, block(c, DST, r - step - 1),
                              block(c, SRC, r - step - 1), true);
    }
    for (int step = 0; step < n - 1; step++) {
        schedule_send(s, next, block(c, DST, r - step + 1));
        schedule_recv(s, previous, block(c, DST, r - step));
    }
}

static struct price price(int n, double bytes)
{
    return price_even(n, 2 * (n - 1), (struct load){
        2 * (n - 1), 2 * bytes * (n - 1) / n, bytes * (n - 1) / n });
}

const struct algorithm allreduce_ring = {
    .name = "ring",
    .collective = ALLREDUCE,
    .cost = "2(n-1) steps; every rank sends 2(n-1)/n of the buffer: the least possible",
    .price = price,
    .build = build,
};
