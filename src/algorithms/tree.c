/* SPDX-License-Identifier: BSD-3-Clause */
#include "algorithms/tree.h"

/* In the first tree node 0 is the root, with one child; the others are
 * numbered in order, so a node's lowest bit is its height above the odd leaves. */
static struct tree_node first_tree(int v, int n)
{
    struct tree_node node = { -1, { -1, -1 } };
    int bit = v & -v;

    if (v == 0) {
        node.child[0] = n > 1 ? 1 << (rounds(n) - 1) : -1;
        return node;
    }
    node.parent = (v ^ bit) | (bit << 1);
    if (node.parent >= n)
        node.parent = v ^ bit;
    if (bit > 1)
        node.child[0] = v - bit / 2;
    for (bit /= 2; bit > 0 && v + bit >= n; bit /= 2)
        ;
    if (bit > 0)
        node.child[1] = v + bit;
    return node;
}

/* A node's number in the second tree, and back: turned round if n is even,
 * shifted by one if it is odd. */
static int second(int v, int n)
{
    return n % 2 ? (v + n - 1) % n : n - 1 - v;
}

static int second_back(int v, int n)
{
    return v < 0 ? -1 : n % 2 ? (v + 1) % n : n - 1 - v;
}

struct tree_node tree_double(int tree, int v, int n)
{
    struct tree_node node;

    if (tree == 0)
        return first_tree(v, n);
    node = first_tree(second(v, n), n);
    node.parent = second_back(node.parent, n);
    node.child[0] = second_back(node.child[0], n);
    node.child[1] = second_back(node.child[1], n);
    return node;
}

int tree_root(int tree, int n)
{
    return tree == 0 ? 0 : second_back(0, n);
}

int tree_parent_binomial(int tree, int v, int n)
{
    (void)tree;
    (void)n;
    return v == 0 ? -1 : tree_parent(v);
}

int tree_parent_double(int tree, int v, int n)
{
    return tree_double(tree, v, n).parent;
}

/* The parent of a tree's root, -1, becomes 0. */
int tree_parent_fed(int tree, int v, int n)
{
    return v == 0 ? -1 : tree_double(tree, v - 1, n - 1).parent + 1;
}

struct span tree_half(const struct call *c, enum space space, int tree)
{
    struct span all = whole(c, space);
    size_t cut = all.bytes / 2;

    /* Large halves are cut where vectors of 64 elements begin. */
    cut -= cut % (cut / c->size >= 4096 ? 64 * c->size : c->size);
    return tree == 0 ? part(all, 0, cut) : part(all, cut, all.bytes - cut);
}
