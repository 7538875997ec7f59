/* SPDX-License-Identifier: BSD-3-Clause */
/* For algorithms.c: layouts as no job has them. */
#ifndef RANDOM_LAYOUT_H
#define RANDOM_LAYOUT_H

#include "topology/layout.h"

#include <stdio.h>
#include <stdlib.h>

enum { MOST_RANKS = 257 };

static uint64_t      state = 1;
static unsigned long with_channels, with_trees;        /* layouts */

static unsigned draw(unsigned below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((state >> 33) % below);
}

/* Rings over `members` positions, each as likely as another, with any shares. */
static struct layout_rings random_rings(int members)
{
    struct layout_rings rings = { .count = 1 + (int)draw(draw(4) ? 4 : LAYOUT_CHANNELS) };

    for (int r = 0; r < rings.count; r++) {
        struct layout_ring *ring = &rings.list[r];

        ring->share = (uint16_t)(draw(3) ? 1 + draw(3) : 1 + draw(UINT16_MAX));
        ring->alternates = draw(2);
        for (int i = 0; i < members; i++) {
            int k = (int)draw((unsigned)i + 1);

            ring->place[i] = ring->place[k];
            ring->place[k] = (uint8_t)i;
        }
    }
    return rings;
}

/* Trees over `members` positions: each is under one that was drawn before it. */
static struct layout_trees random_trees(int members)
{
    struct layout_trees trees = { .count = 1 + (int)draw(draw(4) ? 4 : LAYOUT_CHANNELS) };

    for (int k = 0; k < trees.count; k++) {
        struct layout_tree *tree = &trees.list[k];
        int drawn[LAYOUT_MEMBERS] = { 0 }, bushy = (int)draw(3);

        tree->share = (uint16_t)(draw(3) ? 1 + draw(3) : 1 + draw(UINT16_MAX));
        for (int i = 0; i < members; i++) {
            int at = (int)draw((unsigned)i + 1);

            drawn[i] = drawn[at];
            drawn[at] = i;
        }
        tree->parent[drawn[0]] = 0;
        for (int i = 1; i < members; i++)
            tree->parent[drawn[i]] = (uint8_t)(1 + drawn[bushy ? (int)draw((unsigned)i) / bushy : i - 1]);
    }
    return trees;
}

/* Hosts for n ranks, in blocks, dealt out or at random; NULL: they change nothing.  Half of those that are
 * alike have rings and trees, over positions in the order of the ranks or in any. */
static struct layout *random_layout(int n)
{
    uint64_t keys[2 * MOST_RANKS];
    int kind = (int)draw(6), members = 2 + (int)draw(LAYOUT_MEMBERS - 1);
    int ngroups = kind < 4 || n % members ? 1 + (int)draw((unsigned)n) : n / members;
    struct layout_keys of = { .rows = keys, .count = 2 };
    struct layout_rings rings = random_rings(LAYOUT_MEMBERS);
    struct layout_trees trees = random_trees(LAYOUT_MEMBERS);
    struct layout *layout;

    for (int r = 0; r < n; r++) {
        keys[2 * r] = kind % 4 == 0 ? (unsigned)(r * ngroups / n) : kind % 4 == 1 ? (unsigned)(r % ngroups)
                                    : draw((unsigned)ngroups);
        keys[2 * r + 1] = draw(kind == 3 ? 3 : 1);
    }
    if (kind >= 4 || draw(2)) {
        unsigned turn = draw(LAYOUT_MEMBERS), doubled = 1 + draw(2);

        of.rings = &rings;
        of.trees = &trees;
        of.ring = 1;
        of.positions = 2;
        for (int r = 0, in[MOST_RANKS] = { 0 }; r < n; r++)
            keys[2 * r + 1] = 1 + ((unsigned)in[keys[2 * r]]++ / doubled + turn) % LAYOUT_MEMBERS;
    }
    if (layout_create(&of, n, &layout)) {
        puts("out of memory");
        exit(1);
    }
    with_channels += layout && layout->channels.count;
    with_trees += layout && layout->trees.count;
    return layout;
}

#endif
