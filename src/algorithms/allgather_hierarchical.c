/* SPDX-License-Identifier: BSD-3-Clause */
/* Hierarchical allgather: every rank sends its block to one member of each other group, so
 * that every group gets each block once, through all its members; then these pass on
 * what they have round a ring within the group.  (Traeff and Hunold, "Decomposing MPI
 * collectives for exploiting multi-lane communication", 2020.)
 *
 * 2x2 ranks, 4 blocks a b c d:
 *   step  rank 0           rank 1           rank 2           rank 3
 *      1  a>2 c<2 a>1 b<1  b>3 d<3 b>0 a<0  c>0 a<0 c>3 d<3  d>1 b<1 d>2 c<2
 *      2  c>1 d<1          d>0 c<0          a>3 b<3          b>2 a<2
 */
#include "algorithms/far.h"
#include "algorithms/team.h"

/* Send or receive what member `i` of this rank's group holds: block i, i + size, ... of every
 * group. */
static void pass(struct schedule *s, const struct call *c, int i, int peer, bool send)
{
    int size = team_of(c, team_own(c)).size;

    for (int g = 0; g < team_count(c); g++) {
        struct team from = team_of(c, g);

        for (int k = i; k < from.size; k += size)
            if (send)
                schedule_send(s, peer, block(c, DST, from.first + k));
            else
                schedule_recv(s, peer, block(c, DST, from.first + k));
    }
}

static void build(struct schedule *s, const struct call *c)
{
    int own = team_own(c), ngroups = team_count(c);
    struct team team = team_of(c, own);
    int me = c->rank - team.first, n = team.size;

    schedule_copy(s, block(c, DST, c->rank), block(c, SRC, c->rank));
    for (int k = 1; k < ngroups; k++) {
        struct team to = team_of(c, (own + k) % ngroups);
        struct team from = team_of(c, (own + ngroups - k) % ngroups);

        schedule_send(s, to.first + me % to.size, block(c, SRC, c->rank));
        for (int i = me; i < from.size; i += n)
            schedule_recv(s, from.first + i, block(c, DST, from.first + i));
    }
    for (int step = 0; step < n - 1; step++) {
        pass(s, c, (me - step + n) % n, team.first + (me + 1) % n, true);
        pass(s, c, (me - step - 1 + n) % n, team.first + (me + n - 1) % n, false);
    }
}

const struct algorithm allgather_hierarchical = {
    .name = "hierarchical",
    .collective = ALLGATHER,
    .cost = "for k groups of m: k-1 messages of a block at once between groups, then m-1 steps of "
            "k blocks within",
    .price = team_price_blocks,
    .grouped = true,
    .by_place = true,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
