/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the ranks of a communicator are, as algorithms and their prices see it: groups of ranks
 * that fast links join (a host), and an order in which neighbours are near each other.
 *
 * A rank's place is its number in that order; the places of a group lie side by side.  An
 * algorithm that is told places for ranks thus sends to a near rank wherever it sends to a
 * neighbour, and needs nothing but where groups begin to treat them apart.
 *
 * A pure function of keys that all ranks know, so all find the same layout.  Immutable. */
#ifndef LAYOUT_H
#define LAYOUT_H

#include <stdint.h>

/* A partition of numbers 0, 1, ...: ranks or places. */
struct groups {
    int        count;
    const int *of;         /* the group of each number */
    const int *first;      /* group g is numbers first[g] ... first[g + 1] - 1;
                            * NULL: some group does not lie side by side */
};

struct layout {
    int           nranks;
    const int    *order;   /* the rank at each place; NULL: the one of that number */
    const int    *place;   /* the place of each rank; NULL likewise */
    struct groups by_place, by_rank;
    int           memory[];
};

/* `keys`: nranks rows of nkeys numbers, nkeys >= 1, from the coarsest to the finest: ranks with
 * equal first keys are a group; those with as many equal keys as possible become neighbours.
 * Groups and all within them are in the order of their lowest ranks, so what lies well stays as
 * it is.  *layout is NULL if there is nothing to know: every rank is at the place of its number,
 * and all links are alike, for there is one group, or each rank is one.  PEAL_ERR_MEMORY. */
int  layout_create(const uint64_t *keys, int nkeys, int nranks, struct layout **layout);
void layout_free(struct layout *layout);       /* NULL allowed */

/* Are there both fast and slow links: several groups, of which one has several ranks? */
static inline int layout_mixed(const struct layout *l)
{
    return l && l->by_place.count > 1 && l->by_place.count < l->nranks;
}

#endif
