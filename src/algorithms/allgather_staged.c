/* SPDX-License-Identifier: BSD-3-Clause */
/* Staged allgather: everybody copies its block once to where all can see it, and
 * takes the others' from there.
 *
 * 3 ranks, 3 blocks a b c:
 *   step  rank 0           rank 1           rank 2
 *      1  a=               b=               c=
 *      2  a>1 a>2 c<2 b<1  b>2 b>0 a<0 c<2  c>0 c>1 b<1 a<0
 */
#include "algorithms/far.h"
#include "algorithms/staged.h"

static void build(struct schedule *s, const struct call *c)
{
    struct span own = block(c, SRC, c->rank);
    struct span stage = schedule_stage(s, c->nranks > 1 ? own.bytes : 0);

    for (int k = 1; k < c->nranks; k++) {
        if (k == 1)
            schedule_copy(s, stage, own);
        schedule_send(s, wrap(c, c->rank + k), stage);
    }
    schedule_copy(s, block(c, DST, c->rank), own);
    for (int k = 1; k < c->nranks; k++)
        schedule_recv(s, wrap(c, c->rank - k), block(c, DST, c->rank - k));
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    struct load each = { n - 1, bytes * n / 2 + staged_held(n, bytes, 0.45), 0 };

    return far_all(n, groups, staged_price(n, each,
        (struct load){ n * each.messages, n * each.sent, 0 }));
}

const struct algorithm allgather_staged = {
    .name = "staged",
    .collective = ALLGATHER,
    .cost = "2 steps; one block copied to the stage, n-1 blocks taken from it, by each rank",
    .price = price,
    .lent = true,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
