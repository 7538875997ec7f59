/* SPDX-License-Identifier: BSD-3-Clause */
/* Bruck allgather (Bruck, Ho, Kipnis, Upfal, Weathersby 1997): in round k send
 * the up to 2^k blocks from the own one on to the rank 2^k below.  Blocks travel
 * straight to their places: a run that passes the end is two messages, instead
 * of a rotation of everything in the end.
 *
 * 4 ranks, 4 blocks a b c d:
 *   step  rank 0     rank 1       rank 2     rank 3
 *      1  a>3 b<1    b>0 c<2 d<3  c>1 d<3    d>2 a<0 d>1
 *      2  ab>2 cd<2  bc>3 a<3     cd>0 ab<0  a>1 bc<1
 */
#include "algorithms/far.h"
#include "algorithms/ring.h"
#include "algorithms/runs.h"

static void build(struct schedule *s, const struct call *c)
{
    int n = c->nranks;

    schedule_copy(s, block(c, DST, c->rank), block(c, SRC, c->rank));
    for (int known = 1; known < n; known *= 2) {
        int count = known < n - known ? known : n - known;
        int to = wrap(c, c->rank - known), from = wrap(c, c->rank + known);
        int before_end = c->rank + count > n ? n - c->rank : count;
        int theirs_before_end = from + count > n ? n - from : count;

        if (known == 1) {              /* from where it was copied: the two may be one pass */
            schedule_send(s, to, block(c, SRC, c->rank));
        } else {
            run_send(s, c, to, c->rank, before_end);
            run_send(s, c, to, 0, count - before_end);
        }
        run_recv(s, c, from, from, theirs_before_end);
        run_recv(s, c, from, 0, count - theirs_before_end);
    }
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return far_steps(n, groups, FAR_GROWING, price_even(n, rounds(n),
        (struct load){ rounds(n), bytes * (n - 1), 0 }));
}

const struct algorithm allgather_bruck = {
    .name = "bruck",
    .collective = ALLGATHER,
    .cost = "log2(n) steps rounded up, n-1 blocks sent by each rank",
    .price = price,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
