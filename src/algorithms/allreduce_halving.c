/* SPDX-License-Identifier: BSD-3-Clause */
/* Allreduce by recursive halving and doubling (Rabenseifner 2004): exchange
 * half of the buffer with a neighbour and reduce the other half, then a quarter
 * with the next but one, ...; then gather in the opposite order.  Neighbours
 * first, so that what is combined is always a run of ranks in order.
 *
 * 4 ranks, 4 blocks a b c d:
 *   step  rank 0      rank 1      rank 2      rank 3
 *      1  cd>1 +ab<1  ab>0 +cd<0  cd>3 +ab<3  ab>2 +cd<2
 *      2  b>2 +a<2    d>3 +c<3    a>0 +b<0    c>1 +d<1
 *      3  a>2 b<2     c>3 d<3     b>0 a<0     d>1 c<1
 *      4  ab>1 cd<1   cd>0 ab<0   ab>3 cd<3   cd>2 ab<2
 */
#include "algorithms/core.h"
#include "algorithms/far.h"

/* The core's part; its pieces are those of a call of as many ranks. */
static void halve(struct schedule *s, const struct call *c, const struct core *core,
                  enum space from)
{
    struct call pieces = *c;
    int first = 0, n = core->size;

    pieces.nranks = core->size;
    for (int bit = 1; bit < core->size; bit *= 2) {
        int peer = core_peer(core, core->rank ^ bit);
        bool upper = core->rank & bit;
        int mine, theirs;

        n /= 2;
        mine = upper ? first + n : first;
        theirs = upper ? first : first + n;
        schedule_send(s, peer, blocks(&pieces, from, theirs, n));
        schedule_recv_combine(s, peer, blocks(&pieces, DST, mine, n),
                              blocks(&pieces, from, mine, n), upper);
        first = mine;
        from = DST;
    }
    for (int bit = core->size / 2; bit > 0; bit /= 2) {
        int peer = core_peer(core, core->rank ^ bit);
        int theirs = core->rank & bit ? first - n : first + n;

        schedule_send(s, peer, blocks(&pieces, DST, first, n));
        schedule_recv(s, peer, blocks(&pieces, DST, theirs, n));
        first = theirs < first ? theirs : first;
        n *= 2;
    }
}

static void build(struct schedule *s, const struct call *c)
{
    struct core core = core_of(c);
    struct span src = whole(c, SRC), dst = whole(c, DST);

    if (c->nranks == 1) {
        schedule_copy(s, dst, src);
    } else if (core.rank < 0) {
        schedule_send(s, core.helper, src);
        schedule_recv(s, core.helper, dst);
    } else if (core.helped >= 0) {
        schedule_recv_combine(s, core.helped, dst, src, true);
        halve(s, c, &core, DST);
        schedule_send(s, core.helped, dst);
    } else {
        halve(s, c, &core, SRC);
    }
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    int power = power_below(n), extra = n > power;
    double steps = 2 * rounds(power) + 2 * extra;

    return far_exchange(n, groups, FAR_SHRINKING, price_even(n, steps, (struct load){
        steps, 2 * bytes * (power - 1) / power + 2 * extra * bytes,
        bytes * (power - 1) / power + extra * bytes }));
}

const struct algorithm allreduce_halving = {
    .name = "halving",
    .collective = ALLREDUCE,
    .cost = "2 log2(n) steps, 2(n-1)/n of the buffer sent by each rank (if n is no power "
            "of two: 2 more, twice the buffer more)",
    .price = price,
    .by_place = true,
    .ordered = true,
    .build = build,
};
