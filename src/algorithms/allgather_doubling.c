/* SPDX-License-Identifier: BSD-3-Clause */
/* Recursive doubling allgather: exchange all that is known with the core rank
 * ^ 1, 2, 4, ...; ranks beyond a power of two are helped by a neighbour.
 *
 * 4 ranks, 4 blocks a b c d:
 *   step  rank 0     rank 1     rank 2     rank 3
 *      1  a>1 b<1    b>0 a<0    c>3 d<3    d>2 c<2
 *      2  ab>2 cd<2  ab>3 cd<3  cd>0 ab<0  cd>1 ab<1
 */
#include "algorithms/core.h"
#include "algorithms/far.h"
#include "algorithms/runs.h"

static void exchange(struct schedule *s, const struct call *c, const struct core *core)
{
    for (int bit = 1; bit < core->size; bit *= 2) {
        int group = core->rank & -bit, other = group ^ bit;
        int mine = core_first(core, group), theirs = core_first(core, other);
        int peer = core_peer(core, core->rank ^ bit);

        if (bit == 1 && core->helped < 0)      /* from where it was copied: the two may be one pass */
            schedule_send(s, peer, block(c, SRC, c->rank));
        else
            run_send(s, c, peer, mine, core_first(core, group + bit) - mine);
        run_recv(s, c, peer, theirs, core_first(core, other + bit) - theirs);
    }
}

static void build(struct schedule *s, const struct call *c)
{
    struct core core = core_of(c);

    schedule_copy(s, block(c, DST, c->rank), block(c, SRC, c->rank));
    if (core.rank < 0) {
        schedule_send(s, core.helper, block(c, SRC, c->rank));
        run_recv(s, c, core.helper, 0, c->rank);
        run_recv(s, c, core.helper, c->rank + 1, c->nranks - c->rank - 1);
        return;
    }
    if (core.helped >= 0)
        schedule_recv(s, core.helped, block(c, DST, core.helped));
    exchange(s, c, &core);
    if (core.helped >= 0) {
        run_send(s, c, core.helped, 0, core.helped);
        run_send(s, c, core.helped, core.helped + 1, c->nranks - core.helped - 1);
    }
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    int power = power_below(n), extra = n > power;
    double steps = rounds(power) + 2 * extra;

    return far_exchange(n, groups, FAR_GROWING, price_even(n, steps,
        (struct load){ steps, bytes * (n - 1) * (1 + extra), 0 }));
}

const struct algorithm allgather_doubling = {
    .name = "doubling",
    .collective = ALLGATHER,
    .cost = "log2(n) steps, n-1 blocks sent by each rank (if n is no power of two: 2 more, "
            "twice as many)",
    .price = price,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
