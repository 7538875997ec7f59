/* SPDX-License-Identifier: BSD-3-Clause */
/* Staged broadcast: the root copies the buffer once to where everybody can see
 * it, and everybody takes it from there.
 *
 * 4 ranks, 1 block a:
 *   step  rank 0       rank 1  rank 2  rank 3
 *      1  a=
 *      2  a>1 a>2 a>3  a<0     a<0     a<0
 */
#include "algorithms/far.h"
#include "algorithms/staged.h"

static void build(struct schedule *s, const struct call *c)
{
    struct span stage;

    if (c->rank != c->root) {
        schedule_recv(s, c->root, whole(c, DST));
        return;
    }
    stage = schedule_stage(s, c->nranks > 1 ? whole(c, DST).bytes : 0);
    for (int k = 1; k < c->nranks; k++) {
        if (k == 1)
            schedule_copy(s, stage, whole(c, DST));
        schedule_send(s, wrap(c, c->root + k), stage);
    }
}

/* A root that only sends need not wait for the others otherwise, and does here: where they
 * share its core that is worth two rounds (64 KiB to 8 ranks, call after call, on 2 cores:
 * 20 to 23 us, where a tree or a root that sends to each takes 15; from 128 KiB on all are
 * even or worse).  Rounds beyond the messages of the busiest rank, as with 3 ranks and the
 * second with 4, would be priced with bytes, which they have not.
 *
 * Nobody has anything to take before the root has copied all of it: call after call on 2 cores,
 * 4 ranks take as long as three copies one after the other, 8 as five. */
static struct price price(int n, const struct groups *groups, double bytes)
{
    struct price p = staged_price(n, (struct load){ n - 1, bytes, 0 },
                                  (struct load){ n - 1, bytes * n / 2, 0 });

    p.rounds += (n > 3) + (n > 4);
    p.alone = n > 1 ? bytes / 2 : 0;
    p.takers = n - 1;
    return far_star(n, groups, 1, p);
}

const struct algorithm bcast_staged = {
    .name = "staged",
    .collective = BCAST,
    .cost = "2 steps; the buffer copied once by the root, once by each other rank",
    .price = price,
    .lent = true,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
