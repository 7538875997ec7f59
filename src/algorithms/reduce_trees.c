/* SPDX-License-Identifier: BSD-3-Clause */
/* Reduce over the trees of the layout: a broadcast over them (bcast_trees.c) backwards.
 *
 * 2x2 ranks, 4 blocks a b c d, 2 trees:
 *   step  rank 0     rank 1     rank 2             rank 3
 *      1  +a<1 +b<1  a>0 b>0    +a<3 +b<3 c>3 d>3  a>2 b>2 +c<2 +d<2
 *      2  +a<2 +b<2  +c<3 +d<3  a>0 b>0            c>1 d>1
 *      3  +c<1 +d<1  c>0 d>0
 */
#include "algorithms/plan_trees.h"

extern const struct algorithm reduce_double_tree;

static void build(struct schedule *s, const struct call *c)
{
    int count = plan_trees_count(c);

    if (count == 0)
        reduce_double_tree.build(s, c);
    for (int k = 0; k < count; k++) {
        struct plan_node node;
        struct call sub = plan_tree(c, k, true, &node);
        struct span sum = whole(&sub, SRC), result = sum;

        if (node.parent < 0)
            result = whole(&sub, DST);
        else if (node.nchildren > 0)
            result = schedule_scratch(s, sum.bytes);
        for (int i = node.nchildren - 1; i >= 0; i--) {
            schedule_recv_combine(s, node.child[i], result, sum, true);
            sum = result;
        }
        if (node.parent >= 0)
            schedule_send(s, node.parent, sum);
    }
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return reduce_double_tree.price(n, groups, bytes);
}

static struct price over(const struct algorithm *self, const struct call *c, double bytes)
{
    (void)self;
    return plan_trees_price(c, bytes, true, false, true);
}

const struct algorithm reduce_trees = {
    .name = "trees",
    .collective = REDUCE,
    .cost = "up each tree of the layout, with its share: in slices about the buffer received once by each "
            "rank in all",
    .price = price,
    .uses = plan_trees_exist,
    .over = over,
    .by_place = true,
    .build = build,
};
