/* SPDX-License-Identifier: BSD-3-Clause */
/* Arithmetic on trees of ranks: pure functions.  Binomial trees are numbered
 * relative to their root, 0: the subtree of v is v, v+1, ..., side by side. */
#ifndef TREE_H
#define TREE_H

#include "algorithms/ring.h"

/* Ranks in the subtree of v, of n: for v > 0 its lowest bit, if there are as
 * many.  The parent of v is v without that bit; its children are v + 1, v + 2,
 * v + 4, ... below v + tree_span(v, n). */
static inline int tree_span(int v, int n)
{
    int bit = v & -v;

    return v == 0 || bit > n - v ? n - v : bit;
}

static inline int tree_parent(int v)
{
    return v & (v - 1);
}

/* A node of one of two binary trees over n nodes.  Who passes things on in one
 * is a leaf in the other (one node may be none), so that two halves of a
 * buffer, one through each, keep every link busy in both directions.
 * Sanders, Speck, Traeff, "Two-tree algorithms for full bandwidth broadcast,
 * reduction and scan", 2009. */
struct tree_node {
    int parent;              /* -1: root */
    int child[2];            /* -1: none */
};
struct tree_node tree_double(int tree, int v, int n);

/* The root of tree 0 or 1. */
int tree_root(int tree, int n);

/* The parents of all numbers, -1 for the root, of the binomial tree and of both double
 * trees; `fed`: the double trees of all but 0, which feeds both. */
int tree_parent_binomial(int tree, int v, int n);
int tree_parent_double(int tree, int v, int n);
int tree_parent_fed(int tree, int v, int n);

/* The half of whole() that goes through tree 0 or 1. */
struct span tree_half(const struct call *c, enum space space, int tree);

#endif
