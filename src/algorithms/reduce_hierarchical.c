/* SPDX-License-Identifier: BSD-3-Clause */
/* Hierarchical reduce, a hierarchical broadcast backwards: within each group by a double
 * tree, then from one rank of every group to the root by another.  Every group sends the
 * buffer once (Karonis et al. 2000).
 *
 * 2x3 ranks, 2 blocks a b:
 *   step  rank 0     rank 1    rank 2    rank 3     rank 4    rank 5
 *      1             +a<2 b>2  a>1 +b<1             +a<5 b>5  a>4 +b<4
 *      2  +a<1 +b<2  a>0       b>0       +a<4 +b<5  a>3       b>3
 *      3  +a<3 +b<3                      a>0 b>0
 */
#include "algorithms/far.h"
#include "algorithms/team.h"

#include <stdlib.h>

extern const struct algorithm reduce_double_tree;

/* As a call among `nranks` of which this is `rank`, over this slice alone. */
static struct call among(const struct call *c, int rank, int nranks, int root)
{
    struct span src = whole(c, SRC);
    struct call sub = team_call(c, REDUCE, rank, nranks);

    sub.root = root;
    sub.count = src.bytes / c->size;
    sub.src_shift = src.offset;
    sub.dst_shift = whole(c, DST).offset;
    return sub;
}

/* Sums of the group, at its entry: in DST at the root, elsewhere in scratch. */
static void within(struct schedule *s, const struct call *c, int entry, struct span sums)
{
    struct team team = team_of(c, team_own(c));
    struct call sub = among(c, c->rank - team.first, team.size, entry - team.first);
    int *members = team_members(s, team);

    if (c->rank == entry && sums.space == TMP) {
        sub.dst_scratch = true;
        sub.dst_shift = sums.offset;
    }
    if (members)
        team_build(s, &reduce_double_tree, &sub, members);
    free(members);
}

static void between(struct schedule *s, const struct call *c, struct span sums)
{
    int own = team_own(c), ngroups = team_count(c);
    int *entries = team_members(s, (struct team){ 0, ngroups });
    struct call sub = among(c, own, ngroups, team_with(c, c->root));

    for (int g = 0; g < ngroups && entries; g++)
        entries[g] = team_entry(c, g, c->root);
    if (sums.space == TMP)
        sub.src_scratch = true;
    else if (sums.space == DST)
        sub.aliased = true;
    sub.src_shift = sums.offset;
    if (entries)
        team_build(s, &reduce_double_tree, &sub, entries);
    free(entries);
}

static void build(struct schedule *s, const struct call *c)
{
    struct team team = team_of(c, team_own(c));
    int entry = team_entry(c, team_own(c), c->root);
    struct span sums = whole(c, SRC);

    if (team.size > 1 || c->nranks == 1) {
        if (c->rank == c->root)
            sums = whole(c, DST);
        else if (c->rank == entry)
            sums = schedule_scratch(s, sums.bytes);
        within(s, c, entry, sums);
    }
    if (team_count(c) > 1 && c->rank == entry)
        between(s, c, sums);
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    struct call c = { .nranks = n, .groups = groups };

    return team_price_rooted(&c, &reduce_double_tree, bytes);
}

const struct algorithm reduce_hierarchical = {
    .name = "hierarchical",
    .collective = REDUCE,
    .cost = "for k groups of m: 2 + log2(k) + log2(m) steps; in slices a rank of each group "
            "receives the buffer once from other groups, and once within",
    .price = price,
    .grouped = true,
    .by_place = true,
    .build = build,
};
