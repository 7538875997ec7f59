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
#include "algorithms/far.h"
#include "algorithms/ring.h"

/* Where the sum of a step is made, to be sent on at once.  In a result larger than the
 * caches that would cost reading its lines from memory and writing them back; in scratch
 * it stays in a cache. */
struct sums { struct span scratch[2]; };

static struct sums sums_reserve(struct schedule *s, const struct call *c)
{
    struct sums sums = { 0 };
    size_t most = 0;

    for (int i = 0; i < c->nranks; i++)
        most = block_bytes(c, i) > most ? block_bytes(c, i) : most;
    for (int i = 0; i < 2 && c->past_caches; i++)
        sums.scratch[i] = schedule_scratch(s, most);
    return sums;
}

static struct span sum_at(const struct call *c, const struct sums *sums, int step, int i)
{
    struct span dst = block(c, DST, i);

    return c->past_caches ? part(sums->scratch[step % 2], 0, dst.bytes) : dst;
}

static void build(struct schedule *s, const struct call *c)
{
    int next = ring_next(c), previous = ring_previous(c);
    int n = c->nranks, r = c->rank;
    struct sums sums;
    struct span sum;

    if (n == 1) {
        schedule_copy(s, whole(c, DST), whole(c, SRC));
        return;
    }
    sums = sums_reserve(s, c);
    sum = block(c, SRC, r);
    for (int step = 0; step < n - 1; step++) {
        schedule_send(s, next, sum);
        sum = sum_at(c, &sums, step, r - step - 1);
        schedule_recv_combine(s, previous, sum, block(c, SRC, r - step - 1), true);
    }
    schedule_send(s, next, sum);
    schedule_copy(s, block(c, DST, r + 1), sum);
    for (int step = 0; step < n - 1; step++) {
        if (step > 0)
            schedule_send(s, next, block(c, DST, r - step + 1));
        schedule_recv(s, previous, block(c, DST, r - step));
    }
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return far_ring(n, groups, price_even(n, 2 * (n - 1), (struct load){
        2 * (n - 1), 2 * bytes * (n - 1) / n, bytes * (n - 1) / n }));
}

const struct algorithm allreduce_ring = {
    .name = "ring",
    .collective = ALLREDUCE,
    .cost = "2(n-1) steps; every rank sends 2(n-1)/n of the buffer: the least possible",
    .price = price,
    .by_place = true,
    .build = build,
};
