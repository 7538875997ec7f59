/* SPDX-License-Identifier: BSD-3-Clause */
/* Staged allreduce: everybody copies the others' blocks once to where all can see them.
 * Rank i combines the blocks i with its own from there, downwards to rank 0, then upwards,
 * and copies the result to where all can see it.
 *
 * 3 ranks, 3 blocks a b c:
 *   step  rank 0           rank 1           rank 2
 *      1  b= c=            c= a=            a= b=
 *      2  b>1 +a<1         c>2 a>0 +b<0     +c<1
 *      3  c>2 +a<2         +b<2             a>0 b>1 +c<0
 *      4  a=               b=               c=
 *      5  a>1 a>2 c<2 b<1  b>2 b>0 a<0 c<2  c>0 c>1 b<1 a<0
 */
#include "algorithms/far.h"
#include "algorithms/staged.h"

static void build(struct schedule *s, const struct call *c)
{
    struct span result = block(c, DST, c->rank), stage;

    staged_reduce(s, c, result);
    if (c->nranks == 1)
        return;
    stage = schedule_stage(s, result.bytes);
    schedule_copy(s, stage, result);
    for (int k = 1; k < c->nranks; k++)
        schedule_send(s, wrap(c, c->rank + k), stage);
    for (int k = 1; k < c->nranks; k++)
        schedule_recv(s, wrap(c, c->rank - k), block(c, DST, c->rank - k));
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    struct load each = { 2 * (n - 1), bytes * (n - 1) / n + bytes / 2 + staged_held(n, bytes / n, 0.45),
                         bytes * (n - 1) / n };

    /* Notices come in bunches, with the messages of the other half. */
    return far_all(n, groups,
        price_even(n, n > 1 ? 4 : 0, n > 1 ? each : (struct load){ 0, 0, 0 }));
}

const struct algorithm allreduce_staged = {
    .name = "staged",
    .collective = ALLREDUCE,
    .cost = "4 steps; the buffer copied to the stage, (n-1)/n of it reduced and taken from it, "
            "by each rank",
    .price = price,
    .lent = true,
    .ordered = true,
    .build = build,
};
