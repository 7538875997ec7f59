/* SPDX-License-Identifier: BSD-3-Clause */
/* Spanning trees over all places, each with a share of the buffer.
 *
 * A layout may have trees of the places of a group: those of a machine's plan, which together use links
 * that one tree leaves idle.  Between groups a tree's roots, which are at one place of all groups and so on
 * one rail, are the nodes of two double trees (tree.h), each with half of the share.  The result is a tree
 * whose nodes have any number of children.  What goes over one is a call of its own, on that portion of each
 * slice. */
#ifndef PLAN_TREES_H
#define PLAN_TREES_H

#include "algorithms/algorithm.h"

struct plan_node {
    int parent;                        /* -1: the root */
    int nchildren;
    int child[LAYOUT_MEMBERS + 2];     /* who has the most levels below him first */
};

/* Does a call among these ranks have trees?  Else the algorithms here are those of double trees. */
bool plan_trees_exist(const struct layout *layout);

int  plan_trees_count(const struct call *c);

/* The part of `c` that goes over tree 0, 1, ..., and this rank's node in that.  If it is rooted, its root is
 * the call's. */
struct call plan_tree(const struct call *c, int tree, bool rooted, struct plan_node *node);

/* For `over`: the price of a buffer of so many bytes going up all trees, down, or both. */
struct price plan_trees_price(const struct call *c, double bytes, bool up, bool down, bool rooted);

#endif
