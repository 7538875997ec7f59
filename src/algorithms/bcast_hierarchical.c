/* SPDX-License-Identifier: BSD-3-Clause */
/* Hierarchical broadcast: from the root to one rank of every other group, by a double
 * tree; then within each group, by another.  Every group gets the buffer once (Karonis
 * et al. 2000).  The ranks between groups are at the root's place in their groups.
 *
 * 2x3 ranks, 2 blocks a b:
 *   step  rank 0           rank 1   rank 2   rank 3   rank 4   rank 5
 *      1  a>3 b>3 a>1 b>2  a<0      b<0      a<0 b<0
 *      2                   a>2 b<2  a<1 b>1  a>4 b>5  a<3      b<3
 *      3                                              a>5 b<5  a<4 b>4
 */
#include "algorithms/far.h"
#include "algorithms/team.h"

#include <stdlib.h>

extern const struct algorithm bcast_double_tree;

/* As a call among `nranks` of which this is `rank`, with all slices as they are. */
static struct call among(const struct call *c, int rank, int nranks, int root)
{
    struct call sub = team_call(c, BCAST, rank, nranks);

    sub.root = root;
    sub.slice = c->slice;
    sub.nslices = c->nslices;
    return sub;
}

static void build(struct schedule *s, const struct call *c)
{
    int own = team_own(c), ngroups = team_count(c);
    struct team team = team_of(c, own), groups = { 0, ngroups };
    int *entries = team_members(s, groups), *members = team_members(s, team);
    struct call sub;

    if (!entries || !members)
        goto done;
    for (int g = 0; g < ngroups; g++)
        entries[g] = team_entry(c, g, c->root);
    sub = among(c, own, ngroups, team_with(c, c->root));
    if (c->rank == entries[own])
        team_build(s, &bcast_double_tree, &sub, entries);
    sub = among(c, c->rank - team.first, team.size, entries[own] - team.first);
    team_build(s, &bcast_double_tree, &sub, members);
done:
    free(entries);
    free(members);
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    struct call c = { .nranks = n, .groups = groups };

    return team_price_rooted(&c, &bcast_double_tree, bytes);
}

const struct algorithm bcast_hierarchical = {
    .name = "hierarchical",
    .collective = BCAST,
    .cost = "for k groups of m: 2 + log2(k) + log2(m) steps; in slices a rank of each group "
            "sends the buffer once to other groups, and once within",
    .price = price,
    .grouped = true,
    .by_place = true,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
