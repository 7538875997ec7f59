/* SPDX-License-Identifier: BSD-3-Clause */
/* Hierarchical allreduce: a reduce-scatter within each group, an allreduce of each piece
 * between those that hold it in their groups, an allgather within each group.  Between
 * groups go the fewest bytes that are possible, through all members at once.
 * Karonis et al., "Exploiting hierarchy in parallel computer networks to optimize
 * collective operation performance", 2000; Jia et al., "Highly scalable deep learning
 * training system with mixed-precision", 2018; Cho et al., "BlueConnect", 2019.
 *
 * A group cuts the buffer into as many pieces as it has members.  Where groups differ in
 * size the cuts of all of them are the ends of segments, each of which one member of
 * every group holds.
 *
 * 2x3 ranks, 6 blocks a b c d e f:
 *   step  rank 0      rank 1      rank 2      rank 3      rank 4      rank 5
 *      1  ef>1 +cd<2  ab>2 +ef<0  cd>0 +ab<1  ef>4 +cd<5  ab>5 +ef<3  cd>3 +ab<4
 *      2  cd>1 +ab<2  ef>2 +cd<0  ab>0 +ef<1  cd>4 +ab<5  ef>5 +cd<3  ab>3 +ef<4
 *      3  b>3 +a<3    d>4 +c<4    f>5 +e<5    a>0 +b<0    c>1 +d<1    e>2 +f<2
 *      4  a>3 b<3     c>4 d<4     e>5 f<5     b>0 a<0     d>1 c<1     f>2 e<2
 *      5  ab>1 ef<2   cd>2 ab<0   ef>0 cd<1   ab>4 ef<5   cd>5 ab<3   ef>3 cd<4
 *      6  ef>1 cd<2   ab>2 ef<0   cd>0 ab<1   ef>4 cd<5   ab>5 ef<3   cd>3 ab<4
 */
#include "algorithms/far.h"
#include "algorithms/ring.h"
#include "algorithms/team.h"

#include <stdlib.h>

extern const struct algorithm reduce_scatter_ring, allgather_ring, allreduce_ring,
                              allreduce_halving;

/* Bytes that a group's way to the others moves while a message crosses it. */
enum { FAR_MESSAGE = 64 << 10 };

/* Between groups, for a whole buffer of so many bytes: halving has fewer rounds, but sends
 * the buffer twice more unless their number is a power of two. */
static const struct algorithm *across(int ngroups, double bytes)
{
    int power = power_below(ngroups);
    double fewer_rounds = 2 * (ngroups - 2 - rounds(power));

    if (power == ngroups || 2 * bytes < fewer_rounds * FAR_MESSAGE)
        return &allreduce_halving;
    return &allreduce_ring;
}

/* Piece i of the n of a group. */
static struct span piece(const struct call *c, int i, int n)
{
    struct call pieces = *c;

    pieces.nranks = n;
    return block(&pieces, DST, i);
}

/* The member of a group that holds the byte at `at`; *end: where its piece ends. */
static int holder(const struct call *c, struct team team, size_t at, size_t *end)
{
    int i = 0;

    for (; i < team.size - 1; i++) {
        struct span held = piece(c, i, team.size);

        *end = held.offset + held.bytes;
        if (at < *end)
            return team.first + i;
    }
    *end = SIZE_MAX;                       /* the last one has all that is left */
    return team.first + i;
}

static int smallest(const struct call *c)
{
    int least = c->nranks;

    for (int g = 0; g < team_count(c); g++)
        least = team_of(c, g).size < least ? team_of(c, g).size : least;
    return least;
}

/* The piece `own`, in DST, over all groups. */
static void between(struct schedule *s, const struct call *c, struct span own)
{
    int ngroups = team_count(c), *members = malloc((size_t)ngroups * sizeof *members);
    const struct algorithm *a = across(ngroups, (double)(c->count * c->size));
    struct call sub = team_call(c, ALLREDUCE, team_own(c), ngroups);
    size_t end = own.offset + own.bytes;

    s->failed |= !members;
    sub.aliased = true;
    sub.past_caches = false;
    for (size_t at = own.offset; at < end && members; at += sub.count * sub.size) {
        size_t stop = end;

        for (int g = 0; g < ngroups; g++) {
            size_t theirs;

            members[g] = holder(c, team_of(c, g), at, &theirs);
            stop = theirs < stop ? theirs : stop;
        }
        sub.src_shift = sub.dst_shift = at;
        sub.count = (stop - at) / c->size;
        team_build(s, a, &sub, members);
    }
    free(members);
}

static void build(struct schedule *s, const struct call *c)
{
    struct team team = team_of(c, team_own(c));
    int me = c->rank - team.first, *members = team_members(s, team);
    size_t *counts = malloc((size_t)team.size * sizeof *counts);
    struct span own = piece(c, me, team.size);
    struct call sub = team_call(c, REDUCE_SCATTER, me, team.size);

    s->failed |= !counts;
    if (s->failed)
        goto done;
    for (int i = 0; i < team.size; i++)
        counts[i] = piece(c, i, team.size).bytes / c->size;
    sub.counts = counts;
    sub.src_shift = whole(c, SRC).offset;
    sub.dst_shift = own.offset;
    team_build(s, &reduce_scatter_ring, &sub, members);
    between(s, c, own);
    sub.collective = ALLGATHER;
    sub.aliased = true;
    sub.src_shift = own.offset;
    sub.dst_shift = whole(c, DST).offset;
    team_build(s, &allgather_ring, &sub, members);
done:
    free(members);
    free(counts);
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    struct call c = { .nranks = n, .groups = groups };
    int ngroups = team_count(&c), least = smallest(&c), most = 1;
    struct price far, in, out, sum = { .rounds = 0 };

    for (int g = 0; g < ngroups; g++) {
        int size = team_of(&c, g).size;

        in = reduce_scatter_ring.price(size, NULL, bytes / size);
        out = allgather_ring.price(size, NULL, bytes / size);
        sum.all = load_sum(sum.all, load_sum(in.all, out.all));
        most = size > most ? size : most;
    }
    in = reduce_scatter_ring.price(most, NULL, bytes / most);
    out = allgather_ring.price(most, NULL, bytes / most);
    far = across(ngroups, bytes)->price(ngroups, NULL, bytes / least);
    sum.rounds = in.rounds + far.rounds + out.rounds;
    sum.busiest = load_sum(far.busiest, load_sum(in.busiest, out.busiest));
    far.all = (struct load){ far.all.messages * least, far.all.sent * least,
                             far.all.reduced * least };
    sum.all = load_sum(sum.all, far.all);
    if (ngroups > 1)
        sum.far = (struct far){ far.rounds, far.busiest.messages, far.busiest.sent,
                                  far.all.messages, far.all.sent, far.busiest.sent * least };
    return sum;
}

const struct algorithm allreduce_hierarchical = {
    .name = "hierarchical",
    .collective = ALLREDUCE,
    .cost = "for k groups of m: 2(m-1) steps within and log2(k) to 2(k-1) between them; each "
            "rank sends 2(m-1)/m of the buffer within, 2(k-1)/k of an m-th between",
    .price = price,
    .grouped = true,
    .by_place = true,
    .build = build,
};
