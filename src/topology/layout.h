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

#include <stdbool.h>
#include <stdint.h>

enum {
    LAYOUT_MEMBERS  = 16,  /* of a group that has channels or trees, at most */
    LAYOUT_CHANNELS = 32   /* two for each member; trees as many */
};

/* A partition of numbers 0, 1, ...: ranks or places. */
struct groups {
    int        count;
    const int *of;         /* the group of each number */
    const int *first;      /* group g is numbers first[g] ... first[g + 1] - 1;
                            * NULL: some group does not lie side by side */
};

/* One more order of all places: group after group, those of each as `at` says.  What goes round it as
 * round a ring takes links that the other channels leave free. */
struct channel {
    uint32_t first, share; /* of channels.total: what part of a buffer should go this way, and what
                            * those before it take */
    bool     alternates;   /* a ring goes through every second group backwards, so that it leaves each by
                            * the way by which it enters the next */
    uint8_t  at[LAYOUT_MEMBERS];   /* the i-th of a group is its place number at[i] */
};

struct channels {
    int            count;  /* 0: none, else at least 2 */
    int            members;        /* of every group */
    uint32_t       total;
    struct channel list[LAYOUT_CHANNELS];
};

/* A spanning tree of the places of a group, used up for reducing and down for broadcasting. */
struct group_tree {
    uint32_t first, share; /* as of a channel */
    uint8_t  root;         /* through which it is joined to the same tree of other groups */
    uint8_t  parent[LAYOUT_MEMBERS];   /* of each place of the group, among them; of the root itself */
};

struct group_trees {
    int               count;           /* 0: none */
    int               members;         /* of every group, at least 2 */
    uint32_t          total;
    struct group_tree list[LAYOUT_CHANNELS];
};

struct layout {
    int           nranks;
    const int    *order;   /* the rank at each place; NULL: the one of that number */
    const int    *place;   /* the place of each rank; NULL likewise */
    struct groups by_place, by_rank;
    struct channels channels;
    struct group_trees trees;
    int           memory[];
};

/* Rings over the positions of a group, from 1, that some key gives. */
struct layout_ring {
    uint16_t share;        /* of what all carry together; not 0 */
    bool     alternates;   /* see struct channel */
    uint8_t  place[LAYOUT_MEMBERS];    /* of position p: place[p - 1] */
};

struct layout_rings {
    int                count;
    struct layout_ring list[LAYOUT_CHANNELS];
};

/* Spanning trees over them. */
struct layout_tree {
    uint16_t share;
    uint8_t  parent[LAYOUT_MEMBERS];   /* position above p: parent[p - 1]; 0: p is the root */
};

struct layout_trees {
    int                count;
    struct layout_tree list[LAYOUT_CHANNELS];
};

/* All ways over the same positions. */
struct layout_plan {
    struct layout_rings rings;
    struct layout_trees trees;
};

/* What makes ranks neighbours: of each rank `count` numbers, at least one, from the coarsest to the
 * finest.  A name says what a rank is in, the first its group; a position where it stands in that. */
struct layout_keys {
    const uint64_t *rows;
    int             count;
    unsigned        positions; /* bit k: key k is a position, not a name; k > 0 */
    const struct layout_rings *rings;  /* over the positions that key `ring` is; NULL: none */
    const struct layout_trees *trees;  /* likewise */
    int             ring;
};

/* Those with as many equal keys as possible become neighbours, in the order of their positions.  Names
 * are in the order of the lowest ranks that have them, so what lies well stays as it is.  Rings become
 * channels if the same positions are taken in every group, and they are different orders; trees, if they
 * are, become those of its ranks: who has no parent there is under the next above, and who shares a position
 * under the first that has it.  *layout is NULL if there is nothing to know: every rank is at the place of its
 * number, all links are alike, for there is one group, or each rank is one, and there are neither channels nor
 * trees.  PEAL_ERR_MEMORY. */
int  layout_create(const struct layout_keys *keys, int nranks, struct layout **layout);
void layout_free(struct layout *layout);       /* NULL allowed */

/* The place at which a channel has its number i: `ring`: gone round as a ring. */
static inline int channel_place(const struct channels *channels, int channel, int i, bool ring)
{
    const struct channel *c = &channels->list[channel];
    int group = i / channels->members, k = i % channels->members;

    if (ring && c->alternates && group % 2)
        k = channels->members - 1 - k;
    return group * channels->members + c->at[k];
}

/* A tree hung from its place `top` instead: the edges are the same.  parent[] as in struct group_tree. */
void group_tree_hang(const struct group_tree *tree, int members, int top, uint8_t *parent);

/* Of each place how many levels of the tree lie below it; returns the root's. */
int  group_tree_heights(const uint8_t *parent, int members, int *heights);

/* Are there both fast and slow links: several groups, of which one has several ranks? */
static inline int layout_mixed(const struct layout *l)
{
    return l && l->by_place.count > 1 && l->by_place.count < l->nranks;
}

#endif
