/* SPDX-License-Identifier: BSD-3-Clause */
#include "algorithms/plan_trees.h"
#include "algorithms/tree.h"

#include <string.h>

/* Where a call is seen from: groups of so many members, numbered from that of the root, if there is one. */
struct groups_seen {
    const struct group_trees *trees;
    int  members, count, halves;
    bool rooted;
    int  root_group, top;              /* the root's group and place in it; rooted only */
};

static struct groups_seen see(const struct call *c, bool rooted)
{
    int members = c->trees->members, count = c->nranks / members;

    return (struct groups_seen){ c->trees, members, count, count > 1 ? 2 : 1, rooted,
                                 rooted ? c->root / members : 0, rooted ? c->root % members : 0 };
}

static int back(const struct groups_seen *g, int number)
{
    return number < 0 ? -1 : (number + g->root_group) % g->count;
}

/* Groups above and below one in the tree that joins them. */
static struct tree_node group_node(const struct groups_seen *g, int half, int group)
{
    int v = (group - g->root_group + g->count) % g->count, others = g->count - 1;
    struct tree_node node = { -1, { -1, -1 } };

    if (!g->rooted)
        return g->count > 1 ? tree_double(half, group, g->count) : node;
    if (v == 0)
        node.child[0] = others ? 1 + tree_root(half, others) : -1;
    else {
        /* The group of the root feeds both trees of the others. */
        node = tree_double(half, v - 1, others);
        node.parent++;
        for (int k = 0; k < 2; k++)
            node.child[k] += node.child[k] >= 0;
    }
    node.parent = back(g, node.parent);
    node.child[0] = back(g, node.child[0]);
    node.child[1] = back(g, node.child[1]);
    return node;
}

/* How the tree hangs in a group: from its own root, by which it is joined to others; in that of the call's
 * root from there. */
static void hang(const struct groups_seen *g, const struct group_tree *tree, int group, uint8_t *parent)
{
    if (g->rooted && group == g->root_group)
        group_tree_hang(tree, g->members, g->top, parent);
    else
        memcpy(parent, tree->parent, (size_t)g->members);
}

/* ---- Building ------------------------------------------------------------------------- */

bool plan_trees_exist(const struct layout *layout)
{
    return layout && layout->trees.count;
}

int plan_trees_count(const struct call *c)
{
    return c->trees ? c->trees->count * (c->nranks > c->trees->members ? 2 : 1) : 0;
}

/* Other groups' first, then members by the levels below them: where other groups hang, there are more. */
static void add_children(const struct groups_seen *g, const struct group_tree *tree, const uint8_t *parent,
                         const struct tree_node *between, int group, int own, struct plan_node *node)
{
    int heights[LAYOUT_MEMBERS], most = group_tree_heights(parent, g->members, heights);
    bool joined = between->child[0] >= 0 || between->child[1] >= 0;

    for (int k = 0; k < 2 && own == tree->root; k++)
        if (between->child[k] >= 0)
            node->child[node->nchildren++] = between->child[k] * g->members + tree->root;
    for (int v = tree->root; joined; v = parent[v]) {
        heights[v] += g->members;
        most = heights[v] > most ? heights[v] : most;
        joined = parent[v] != v;
    }
    for (int height = most; height >= 0; height--)
        for (int v = 0; v < g->members; v++)
            if (heights[v] == height && parent[v] == own && v != own)
                node->child[node->nchildren++] = group * g->members + v;
}

struct call plan_tree(const struct call *c, int number, bool rooted, struct plan_node *node)
{
    struct groups_seen g = see(c, rooted);
    const struct group_tree *tree = &g.trees->list[number / g.halves];
    int half = number % g.halves, group = c->rank / g.members, own = c->rank % g.members;
    struct tree_node between = group_node(&g, half, group);
    uint8_t parent[LAYOUT_MEMBERS];
    struct call sub = *c;

    *node = (struct plan_node){ .parent = -1 };
    hang(&g, tree, group, parent);
    if (parent[own] != own)
        node->parent = group * g.members + parent[own];
    else if (between.parent >= 0)
        node->parent = between.parent * g.members + own;
    add_children(&g, tree, parent, &between, group, own, node);
    /* Each half of a share by itself. */
    sub.portion.of = g.trees->total * (uint32_t)g.halves;
    sub.portion.from = tree->first * (uint32_t)g.halves + tree->share * (uint32_t)half;
    sub.portion.to = sub.portion.from + tree->share;
    sub.trees = NULL;
    return sub;
}

/* ---- Prices ------------------------------------------------------------------------------ */

/* Edges to parents and to children, and what parts of the buffer they carry. */
struct ends { double up, down, up_share, down_share; };

static void add_ends(struct ends *e, double up, double down, double share)
{
    e->up += up;
    e->down += down;
    e->up_share += up * share;
    e->down_share += down * share;
}

static struct ends sum_ends(struct ends a, struct ends b)
{
    return (struct ends){ a.up + b.up, a.down + b.down, a.up_share + b.up_share,
                          a.down_share + b.down_share };
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Sent, or received: each edge carries it both ways, or one. */
static double one_way(double up, double down, bool both)
{
    return both ? up + down : larger(up, down);
}

static void keep_busiest(struct load *most, struct ends e, double bytes, bool both, bool combines)
{
    most->messages = larger(most->messages, one_way(e.up, e.down, both));
    most->sent = larger(most->sent, bytes * one_way(e.up_share, e.down_share, both));
    if (combines)
        most->reduced = larger(most->reduced, bytes * e.down_share);
}

/* Of the members of a group, what is within it, and how many others of it each has to do with at least; the
 * levels of the highest tree. */
static int ends_within(const struct groups_seen *g, int group, struct ends *ends, double *ways)
{
    uint32_t peers[LAYOUT_MEMBERS] = { 0 };
    int most = 0, least = g->members;

    for (int k = 0; k < g->trees->count; k++) {
        const struct group_tree *tree = &g->trees->list[k];
        double share = (double)tree->share / g->trees->total / g->halves;
        uint8_t parent[LAYOUT_MEMBERS];
        int heights[LAYOUT_MEMBERS], height;

        hang(g, tree, group, parent);
        height = group_tree_heights(parent, g->members, heights);
        most = height > most ? height : most;
        for (int v = 0; v < g->members; v++) {
            if (parent[v] == v)
                continue;
            add_ends(&ends[v], g->halves, 0, share);
            add_ends(&ends[parent[v]], 0, g->halves, share);
            peers[v] |= 1u << parent[v];
            peers[parent[v]] |= 1u << v;
        }
    }
    for (int v = 0; v < g->members; v++) {
        int count = 0;

        for (uint32_t bits = peers[v]; bits; bits &= bits - 1)
            count++;
        least = count < least ? count : least;
    }
    *ways = least;
    return most;
}

/* Of a member by which trees are joined, what goes between groups. */
static struct ends ends_between(const struct groups_seen *g, int group, int member)
{
    struct ends e = { 0, 0, 0, 0 };

    for (int half = 0; half < g->halves; half++) {
        struct tree_node node = group_node(g, half, group);

        for (int k = 0; k < g->trees->count; k++)
            if (g->trees->list[k].root == member)
                add_ends(&e, node.parent >= 0, (node.child[0] >= 0) + (node.child[1] >= 0),
                         (double)g->trees->list[k].share / g->trees->total / g->halves);
    }
    return e;
}

/* Groups are alike but for where they are in the trees that join them: levels of these. */
static int group_depth(const struct groups_seen *g)
{
    int most = 0;

    for (int group = 0; group < g->count; group++)
        for (int half = 0; half < g->halves; half++) {
            int depth = 0;

            for (int at = group; (at = group_node(g, half, at).parent) >= 0;)
                depth++;
            most = depth > most ? depth : most;
        }
    return most;
}

struct price plan_trees_price(const struct call *c, double bytes, bool up, bool down, bool rooted)
{
    struct groups_seen g = see(c, rooted);
    struct ends within[LAYOUT_MEMBERS] = { { 0, 0, 0, 0 } }, at_root[LAYOUT_MEMBERS] = { { 0, 0, 0, 0 } };
    bool both = up && down;
    double ways, turns = up + down, edges = turns * g.halves * g.trees->count;
    int other = g.count > 1 && g.root_group == 0 ? 1 : 0, depth = group_depth(&g);
    int levels = ends_within(&g, other, within, &ways);
    int root_levels = ends_within(&g, g.root_group, at_root, &ways);       /* hung elsewhere, the same edges */
    struct price p = { .rounds = turns * (g.count > 1 ? root_levels * rooted + depth + levels : root_levels),
                       .parts = g.halves * g.trees->count, .ways = ways };
    struct load far = { 0, 0, 0 };

    for (int group = 0; group < g.count; group++) {
        struct ends leaving = { 0, 0, 0, 0 };

        for (int v = 0; v < g.members; v++) {
            struct ends out = ends_between(&g, group, v);

            leaving = sum_ends(leaving, out);
            keep_busiest(&far, out, bytes, both, false);
            keep_busiest(&p.busiest, sum_ends(group == g.root_group ? at_root[v] : within[v], out), bytes,
                         both, up);
        }
        p.far.leaving = larger(p.far.leaving, bytes * one_way(leaving.up_share, leaving.down_share, both));
    }
    p.all = (struct load){ edges * (c->nranks - 1), turns * bytes * (c->nranks - 1),
                           up ? bytes * (c->nranks - 1) : 0 };
    p.far.rounds = turns * depth;
    p.far.messages = far.messages;
    p.far.sent = far.sent;
    p.far.all_messages = edges * (g.count - 1);
    p.far.all_sent = turns * bytes * (g.count - 1);
    return p;
}
