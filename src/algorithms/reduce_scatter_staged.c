/* SPDX-License-Identifier: BSD-3-Clause */
/* Staged reduce-scatter: everybody copies the others' blocks once to where all can see
 * them, and combines its own with theirs from there: downwards to rank 0, then upwards.
 *
 * 3 ranks, 3 blocks a b c:
 *   step  rank 0    rank 1        rank 2
 *      1  b= c=     c= a=         a= b=
 *      2  b>1 +a<1  c>2 a>0 +b<0  +c<1
 *      3  c>2 +a<2  +b<2          a>0 b>1 +c<0
 */
#include "algorithms/far.h"
#include "algorithms/staged.h"
#include "algorithms/target.h"

static void build(struct schedule *s, const struct call *c)
{
    struct span result = target(s, c);

    staged_reduce(s, c, result);
    schedule_copy(s, block(c, DST, c->rank), result);
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    double others = bytes * (n - 1);
    struct load each = { n - 1, others / 2 + staged_held(n, bytes, 1.9), others + staged_far(others) };

    return far_all(n, groups, staged_price(n, each,
        (struct load){ n * each.messages, n * each.sent, n * each.reduced }));
}

const struct algorithm reduce_scatter_staged = {
    .name = "staged",
    .collective = REDUCE_SCATTER,
    .cost = "2 steps; n-1 blocks copied to the stage, as many reduced from the others', by each rank",
    .price = price,
    .lent = true,
    .ordered = true,
    .build = build,
};
