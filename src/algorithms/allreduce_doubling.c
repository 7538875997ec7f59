/* SPDX-License-Identifier: BSD-3-Clause */
/* Recursive doubling allreduce: exchange everything with the core rank ^ 1, 2,
 * 4, ...; ranks beyond a power of two are helped by a neighbour.
 *
 * 5 ranks, 1 block a:
 *   step  rank 0  rank 1    rank 2    rank 3    rank 4
 *      1  a>1     +a<0                a>4 +a<4  a>3 +a<3
 *      2          a>2 +a<2  a>1 +a<1
 *      3          a>3 +a<3  a>4 +a<4  a>1 +a<1  a>2 +a<2
 *      4  a<1     a>0
 */
#include "algorithms/core.h"
#include "algorithms/far.h"

/* What is being sent cannot be written, so results go to DST and scratch in
 * turns, such that the last one is in DST. */
static void exchange(struct schedule *s, const struct call *c, const struct core *core)
{
    int writes = (core->helped >= 0) + rounds(core->size);
    struct span all = whole(c, DST), sum = whole(c, SRC);
    struct span turn[2] = { all, { TMP, 0, 0 } };

    if (writes > 1 || c->aliased)
        turn[1] = schedule_scratch(s, all.bytes);
    if (core->helped >= 0) {
        struct span first = turn[--writes % 2];

        schedule_recv_combine(s, core->helped, first, sum, true);
        sum = first;
    } else if (c->aliased && writes % 2) {
        schedule_copy(s, turn[1], sum);
        sum = turn[1];
    }
    for (int bit = 1; bit < core->size; bit *= 2) {
        int peer = core_peer(core, core->rank ^ bit);
        struct span next = turn[--writes % 2];

        schedule_send(s, peer, sum);
        schedule_recv_combine(s, peer, next, sum, core->rank & bit);
        sum = next;
    }
    if (core->helped >= 0)
        schedule_send(s, core->helped, all);
}

static void build(struct schedule *s, const struct call *c)
{
    struct core core = core_of(c);

    if (c->nranks == 1) {
        schedule_copy(s, whole(c, DST), whole(c, SRC));
    } else if (core.rank >= 0) {
        exchange(s, c, &core);
    } else {
        schedule_send(s, core.helper, whole(c, SRC));
        schedule_recv(s, core.helper, whole(c, DST));
    }
}

/* A sum that is made as it arrives costs less than to move it and to combine it: 2 ranks that share
 * a cache take no longer for each byte here than in a ring, which combines only half of them
 * (59 and 65 ps, from 32 to 64 KiB).  So what is combined counts two thirds. */
static struct price price(int n, const struct groups *groups, double bytes)
{
    static const double arriving = 2 / 3.0;
    int power = power_below(n);
    double steps = rounds(power) + (n > power ? 2 : 0);

    return far_exchange(n, groups, FAR_EVEN, price_even(n, steps,
        (struct load){ steps, steps * bytes, arriving * rounds(n) * bytes }));
}

const struct algorithm allreduce_doubling = {
    .name = "doubling",
    .collective = ALLREDUCE,
    .cost = "log2(n) steps (2 more if n is no power of two), the buffer sent in each",
    .price = price,
    .by_place = true,
    .ordered = true,
    .build = build,
};
