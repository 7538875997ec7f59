/* SPDX-License-Identifier: BSD-3-Clause */
/* Double-tree broadcast: the root feeds two binary trees of all others, each
 * with half of the buffer; who passes on in one is a leaf in the other.
 *
 * 5 ranks, 2 blocks a b:
 *   step  rank 0   rank 1  rank 2       rank 3       rank 4
 *      1  a>1 b>4  a<0                               b<0
 *      2           a>3     b<4          a<1          b>2
 *      3           b<2     a<3 b>3 b>1  a>2 a>4 b<2  a<3
 */
#include "algorithms/far.h"
#include "algorithms/tree.h"

static void build(struct schedule *s, const struct call *c)
{
    int others = c->nranks - 1, v = wrap(c, c->rank - c->root) - 1;

    for (int tree = 0; tree < 2 && others > 0; tree++) {
        struct span half = tree_half(c, DST, tree);
        struct tree_node node;

        if (v < 0) {
            schedule_send(s, wrap(c, c->root + 1 + tree_root(tree, others)), half);
            continue;
        }
        /* The parent of a tree's root, -1, is the root of all. */
        node = tree_double(tree, v, others);
        schedule_recv(s, wrap(c, c->root + 1 + node.parent), half);
        for (int k = 0; k < 2; k++)
            if (node.child[k] >= 0)
                schedule_send(s, wrap(c, c->root + 1 + node.child[k]), half);
    }
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return far_trees(n, groups, 2, 1, tree_parent_fed, price_of(n > 1 ? 1 + rounds(n - 1) : 0,
        (struct load){ n > 1 ? 2 : 0, n > 1 ? bytes : 0, 0 },
        (struct load){ 2 * (n - 1), bytes * (n - 1), 0 }));
}

const struct algorithm bcast_double_tree = {
    .name = "double_tree",
    .collective = BCAST,
    .cost = "1 + log2(n) steps; in slices about the buffer sent once by each rank",
    .price = price,
    .by_place = true,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
