/* SPDX-License-Identifier: BSD-3-Clause */
/* For channels.c and layout_trees.c: rings and trees as no machine has them, and layouts of these.  A program
 * sets `state` to its seed. */
#ifndef WAYS_H
#define WAYS_H

#include "ranks.h"
#include "topology/layout.h"

#include <stdio.h>
#include <stdlib.h>

enum { MOST_RANKS = 64 };

static uint64_t state;

static inline unsigned draw(unsigned below)
{
    return (unsigned)ranks_below(&state, below);
}

static inline struct layout *make_of(const struct layout_keys *keys, int n)
{
    struct layout *layout = NULL;

    if (layout_create(keys, n, &layout)) {
        puts("out of memory");
        exit(1);
    }
    return layout;
}

/* A ring over positions in any order. */
static inline struct layout_ring random_ring(void)
{
    struct layout_ring ring = { .share = (uint16_t)(1 + draw(UINT16_MAX)), .alternates = draw(2) };

    for (int i = 0; i < LAYOUT_MEMBERS; i++) {
        int k = (int)draw((unsigned)i + 1);

        ring.place[i] = ring.place[k];
        ring.place[k] = (uint8_t)i;
    }
    return ring;
}

/* Each position is under one that was drawn before it. */
static inline struct layout_tree random_tree(int members)
{
    struct layout_tree tree = { .share = (uint16_t)(1 + draw(UINT16_MAX)) };
    int drawn[LAYOUT_MEMBERS] = { 0 };

    for (int i = 0; i < members; i++) {
        int at = (int)draw((unsigned)i + 1);

        drawn[i] = drawn[at];
        drawn[at] = i;
    }
    for (int i = 1; i < members; i++)
        tree.parent[drawn[i]] = (uint8_t)(1 + drawn[draw((unsigned)i)]);
    return tree;
}

/* Of ranks dealt to `hosts`, the i-th of each at position i / same + 1; trees may be NULL. */
static inline struct layout *make_ways(const struct layout_rings *rings, const struct layout_trees *trees, int hosts,
                                int each, int same)
{
    uint64_t keys[2 * MOST_RANKS];

    for (int r = 0; r < hosts * each; r++) {
        keys[2 * r] = (unsigned)(r % hosts);
        keys[2 * r + 1] = (unsigned)(r / hosts / same) + 1;
    }
    return make_of(&(struct layout_keys){ .rows = keys, .count = 2, .positions = 2, .rings = rings,
                                          .trees = trees, .ring = 1 }, hosts * each);
}

static inline struct layout *make_channels(const struct layout_rings *rings, int hosts, int each, int same)
{
    return make_ways(rings, NULL, hosts, each, same);
}

#endif
