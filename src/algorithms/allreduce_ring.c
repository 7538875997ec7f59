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
#include "algorithms/channels.h"
#include "algorithms/far.h"
#include "algorithms/ring.h"

/* Where the sum of a step is made, to be sent on at once.  In a result larger than the
 * caches that would cost reading its lines from memory and writing them back; in scratch
 * it stays in a cache. */
static struct span sum_at(const struct call *c, const struct lap *lap, int step, int i)
{
    struct span dst = block(c, DST, i);

    return c->past_caches ? part(lap->slot[step % 2], 0, dst.bytes) : dst;
}

static void begin(struct schedule *s, const struct call *c, struct lap *lap)
{
    size_t most = 0;

    if (c->nranks == 1) {
        schedule_copy(s, whole(c, DST), whole(c, SRC));
        return;
    }
    for (int i = 0; i < c->nranks; i++)
        most = block_bytes(c, i) > most ? block_bytes(c, i) : most;
    for (int i = 0; i < 2 && c->past_caches; i++)
        lap->slot[i] = schedule_scratch(s, most);
    lap->sum = block(c, SRC, c->rank);
}

static int steps(int n)
{
    return 2 * (n - 1);
}

static void scatter(struct schedule *s, const struct call *c, struct lap *lap, int step)
{
    int from = c->rank - step - 1;

    schedule_send(s, ring_next(c), lap->sum);
    lap->sum = sum_at(c, lap, step, from);
    schedule_recv_combine(s, ring_previous(c), lap->sum, block(c, SRC, from), true);
}

static void gather(struct schedule *s, const struct call *c, struct lap *lap, int step)
{
    schedule_send(s, ring_next(c), step ? block(c, DST, c->rank - step + 1) : lap->sum);
    if (step == 0)
        schedule_copy(s, block(c, DST, c->rank + 1), lap->sum);
    schedule_recv(s, ring_previous(c), block(c, DST, c->rank - step));
}

static void step(struct schedule *s, const struct call *c, struct lap *lap, int i)
{
    if (i < c->nranks - 1)
        scatter(s, c, lap, i);
    else
        gather(s, c, lap, i - (c->nranks - 1));
}

const struct laps allreduce_laps = { begin, steps, step, laps_no_end };

static void build(struct schedule *s, const struct call *c)
{
    laps_build(s, c, &allreduce_laps);
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
    .two_ways = true,
    .build = build,
};
