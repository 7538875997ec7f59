/* SPDX-License-Identifier: BSD-3-Clause */
/* Allreduce over the trees of the layout: in each, with its share of the buffer, up and down.  Where trees
 * take different links, as the plan of a machine has them, all of these carry something (Wang et al., "Blink:
 * fast and generic collectives for distributed ML", 2020); between groups a share goes through both of two
 * double trees (Sanders, Speck, Traeff, 2009) of the members that its tree hangs from, in halves.
 *
 * 2x2 ranks, 4 blocks a b c d, 2 trees:
 *   step  rank 0             rank 1             rank 2             rank 3
 *      1  +a<1 +b<1 c>1 d>1  a>0 b>0 +c<0 +d<0  +a<3 +b<3 c>3 d>3  a>2 b>2 +c<2 +d<2
 *      2  +a<2 b>2           +c<3 d>3           a>0 +b<0           c>1 +d<1
 *      3  a>2 a>1 b<2 c<1    a<0 c>3 c>0 d<3    a<0 b>0 b>3 d<3    b<2 c<1 d>1 d>2
 *      4  b>1 d<1            b<0 d>0            a>3 c<3            a<2 c>2
 */
#include "algorithms/plan_trees.h"

extern const struct algorithm allreduce_double_tree;

static void up(struct schedule *s, const struct call *c, const struct plan_node *node)
{
    struct span dst = whole(c, DST), sum = whole(c, SRC);

    for (int i = node->nchildren - 1; i >= 0; i--) {
        schedule_recv_combine(s, node->child[i], dst, sum, true);
        sum = dst;
    }
    if (node->parent >= 0)
        schedule_send(s, node->parent, sum);
}

static void down(struct schedule *s, const struct call *c, const struct plan_node *node)
{
    struct span dst = whole(c, DST);

    if (node->parent >= 0)
        schedule_recv(s, node->parent, dst);
    for (int i = 0; i < node->nchildren; i++)
        schedule_send(s, node->child[i], dst);
}

/* Up all trees, then down: so all are under way even where operations are run in the order of the program. */
static void build(struct schedule *s, const struct call *c)
{
    int count = plan_trees_count(c);
    struct plan_node node;

    if (count == 0)
        allreduce_double_tree.build(s, c);
    for (int k = 0; k < count; k++) {
        struct call sub = plan_tree(c, k, false, &node);

        up(s, &sub, &node);
    }
    for (int k = 0; k < count; k++) {
        struct call sub = plan_tree(c, k, false, &node);

        down(s, &sub, &node);
    }
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return allreduce_double_tree.price(n, groups, bytes);
}

static struct price over(const struct algorithm *self, const struct call *c, double bytes)
{
    (void)self;
    return plan_trees_price(c, bytes, true, true, false);
}

const struct algorithm allreduce_trees = {
    .name = "trees",
    .collective = ALLREDUCE,
    .cost = "up and down each tree of the layout, with its share: in slices about twice the buffer sent "
            "by each rank in all",
    .price = price,
    .uses = plan_trees_exist,
    .over = over,
    .by_place = true,
    .build = build,
};
