/* SPDX-License-Identifier: BSD-3-Clause */
/* What hierarchical algorithms are made of: the group of a call's rank, and other
 * algorithms run by some of its ranks.  Without groups, or where their numbers do not
 * lie side by side, all ranks are one. */
#ifndef TEAM_H
#define TEAM_H

#include "algorithms/algorithm.h"

struct team {
    int first, size;         /* numbers first ... first + size - 1 */
};

int team_count(const struct call *c);              /* groups */
int team_own(const struct call *c);                /* the group of c->rank */
struct team team_of(const struct call *c, int group);
/* The group of any number. */
int team_with(const struct call *c, int number);

/* The rank of a group through which it is joined to the root of a bcast or reduce: the root,
 * or the one at its place in another group. */
int team_entry(const struct call *c, int group, int root);

/* Append what `a` does for `sub`, a call among sub.nranks numbers of the present one:
 * its rank i is members[i]. */
void team_build(struct schedule *s, const struct algorithm *a, const struct call *sub,
                const int *members);

/* The call `c` turned into one of another kind among `nranks` numbers, of which this
 * rank is `rank`: in one slice, without groups, its buffers as the caller sets them. */
struct call team_call(const struct call *c, enum collective collective, int rank, int nranks);

/* Numbers first, first + 1, ...: the members of a group; malloc'ed.  NULL (with s->failed
 * set): no memory. */
int *team_members(struct schedule *s, struct team team);

/* The price of an all-gather that brings each block into each group once, and goes round in the
 * group; n ranks, blocks of so many bytes. */
struct price team_price_blocks(int n, const struct groups *groups, double bytes);

/* The price of `a` among the entries of all groups and then within each, or the other way
 * round; `c`: what team_count() needs. */
struct price team_price_rooted(const struct call *c, const struct algorithm *a, double bytes);

/* For prices. */
static inline struct load load_sum(struct load a, struct load b)
{
    return (struct load){ a.messages + b.messages, a.sent + b.sent, a.reduced + b.reduced };
}

#endif
