/* SPDX-License-Identifier: BSD-3-Clause */
/* Double-tree reduce: a double-tree broadcast backwards.
 *
 * 5 ranks, 2 blocks a b:
 *   step  rank 0     rank 1  rank 2    rank 3    rank 4
 *      1                     a>3 +b<3  +a<2 b>2
 *      2             b>2     +b<1      +a<4      a>3
 *      3             +a<3    b>4       a>1       +b<2
 *      4  +a<1 +b<4  a>0                         b>0
 */
#include "algorithms/far.h"
#include "algorithms/tree.h"

/* A rank other than the root: node v of `others`. */
static void through_tree(struct schedule *s, const struct call *c, int tree, int v, int others)
{
    struct tree_node node = tree_double(tree, v, others);
    struct span sum = tree_half(c, SRC, tree), result = sum;

    if (node.child[0] >= 0 || node.child[1] >= 0)
        result = schedule_scratch(s, sum.bytes);
    for (int k = 0; k < 2; k++)
        if (node.child[k] >= 0) {
            schedule_recv_combine(s, wrap(c, c->root + 1 + node.child[k]), result, sum, true);
            sum = result;
        }
    /* The parent of a tree's root, -1, is the root of all. */
    schedule_send(s, wrap(c, c->root + 1 + node.parent), sum);
}

static void build(struct schedule *s, const struct call *c)
{
    int others = c->nranks - 1, v = wrap(c, c->rank - c->root) - 1;

    if (others == 0)
        schedule_copy(s, whole(c, DST), whole(c, SRC));
    for (int tree = 0; tree < 2 && others > 0; tree++)
        if (v >= 0)
            through_tree(s, c, tree, v, others);
        else
            schedule_recv_combine(s, wrap(c, c->root + 1 + tree_root(tree, others)),
                                  tree_half(c, DST, tree), tree_half(c, SRC, tree), true);
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return far_trees(n, groups, 2, 1, tree_parent_fed, price_of(n > 1 ? 1 + rounds(n - 1) : 0,
        (struct load){ n > 1 ? 2 : 0, n > 1 ? bytes : 0, n > 1 ? bytes : 0 },
        (struct load){ 2 * (n - 1), bytes * (n - 1), bytes * (n - 1) }));
}

const struct algorithm reduce_double_tree = {
    .name = "double_tree",
    .collective = REDUCE,
    .cost = "1 + log2(n) steps; in slices about the buffer received once by each rank",
    .price = price,
    .by_place = true,
    .build = build,
};
