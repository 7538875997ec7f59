/* SPDX-License-Identifier: BSD-3-Clause */
/* Central allgather: everybody sends its block to rank 0, which sends all blocks
 * to everybody.  The fewest messages; for ranks that share cores, each of which
 * then waits only once.  A rank's own block comes back with the others, with which
 * it is one message (unless there are slices, which tear blocks apart).
 *
 * 4 ranks, 4 blocks a b c d:
 *   step  rank 0                rank 1  rank 2  rank 3
 *      1  b<1 c<2 d<3           b>0     c>0     d>0
 *      2  abcd>1 abcd>2 abcd>3  abcd<0  abcd<0  abcd<0
 */
#include "algorithms/far.h"
#include "algorithms/runs.h"

static void build(struct schedule *s, const struct call *c)
{
    if (c->rank > 0) {
        schedule_send(s, 0, block(c, SRC, c->rank));
        run_recv(s, c, 0, 0, c->nranks);
        return;
    }
    schedule_copy(s, block(c, DST, 0), block(c, SRC, 0));
    for (int k = 1; k < c->nranks; k++)
        schedule_recv(s, k, block(c, DST, k));
    for (int k = 1; k < c->nranks; k++)
        run_send(s, c, k, 0, c->nranks);
}

/* Nobody has anything to take before rank 0 has all of it, which is one of the two ends of every
 * message. */
static struct price price(int n, const struct groups *groups, double bytes)
{
    struct price p = price_of(n > 1 ? 2 : 0,
        (struct load){ n - 1, bytes * n * (n - 1), 0 },
        (struct load){ 2 * (n - 1), bytes * (n + 1) * (n - 1), 0 });

    p.alone = p.all.sent / 2;
    p.takers = n - 1;
    return far_star(n, groups, 1, p);
}

const struct algorithm allgather_central = {
    .name = "central",
    .collective = ALLGATHER,
    .cost = "2 steps of n-1 messages at once, a block to and n blocks from rank 0",
    .price = price,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
