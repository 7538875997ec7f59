/* SPDX-License-Identifier: BSD-3-Clause */
/* Broadcast over the trees of the layout: down each, with its share of the buffer, hung from the root of the
 * call.  In the root's group what goes to others passes whom the tree was planned to hang from, so that every
 * share stays on its rail (see allreduce_trees.c).
 *
 * 2x2 ranks, 4 blocks a b c d, 2 trees:
 *   step  rank 0                   rank 1           rank 2   rank 3
 *      1  a>2 a>1 b>2 b>1 c>1 d>1  a<0 b<0 c<0 d<0  a<0 b<0
 *      2                           c>3 d>3          a>3 b>3  a<2 b<2 c<1 d<1
 *      3                                            c<3 d<3  c>2 d>2
 */
#include "algorithms/plan_trees.h"

extern const struct algorithm bcast_double_tree;

static void build(struct schedule *s, const struct call *c)
{
    int count = plan_trees_count(c);

    if (count == 0)
        bcast_double_tree.build(s, c);
    for (int k = 0; k < count; k++) {
        struct plan_node node;
        struct call sub = plan_tree(c, k, true, &node);
        struct span dst = whole(&sub, DST);

        if (node.parent >= 0)
            schedule_recv(s, node.parent, dst);
        for (int i = 0; i < node.nchildren; i++)
            schedule_send(s, node.child[i], dst);
    }
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return bcast_double_tree.price(n, groups, bytes);
}

static struct price over(const struct algorithm *self, const struct call *c, double bytes)
{
    (void)self;
    return plan_trees_price(c, bytes, false, true, true);
}

const struct algorithm bcast_trees = {
    .name = "trees",
    .collective = BCAST,
    .cost = "down each tree of the layout, with its share: in slices about the buffer sent once by each "
            "rank in all",
    .price = price,
    .uses = plan_trees_exist,
    .over = over,
    .by_place = true,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
