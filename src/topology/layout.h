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

/* What makes ranks neighbours: of each rank `count` numbers, at least one, from the coarsest to the
 * finest.  A name says what a rank is in, the first its group; a position where it stands in that. */
struct layout_keys {
    const uint64_t *rows;
    int             count;
    unsigned        positions; /* bit k: key k is a position, not a name; k > 0 */
};

/* Those with as many equal keys as possible become neighbours, in the order of their positions.  Names
 * are in the order of the lowest ranks that have them, so what lies well stays as it is.  *layout is
 * NULL if there is nothing to know: every rank is at the place of its number, and all links are alike,
 * for there is one group, or each rank is one.  PEAL_ERR_MEMORY. */
int  layout_create(const struct layout_keys *keys, int nranks, struct layout **layout);
void layout_free(struct layout *layout);       /* NULL allowed */

/* Are there both fast and slow links: several groups, of which one has several ranks? */
static inline int layout_mixed(const struct layout *l)
{
    return l && l->by_place.count > 1 && l->by_place.count < l->nranks;
}

#endif
