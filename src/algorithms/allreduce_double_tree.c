/* SPDX-License-Identifier: BSD-3-Clause */
/* Double-tree allreduce: each half of the buffer is reduced up a binary tree
 * and sent down again; the trees complement each other.
 *
 * 5 ranks, 2 blocks a b:
 *   step  rank 0    rank 1  rank 2       rank 3       rank 4
 *      1            a>2     +a<1 b>3     +b<2
 *      2                    +a<3         a>2 +b<4     b>3
 *      3  +b<3              a>4          b>0          +a<2
 *      4  +a<4 b>1  +b<0                              a>0
 *      5  a>4 b<1   b>0                               a<0
 *      6  b>3               a<4          b<0          a>2
 *      7            a<2     a>1 a>3 b<3  a<2 b>2 b>4  b<3
 */
#include "algorithms/far.h"
#include "algorithms/tree.h"

static void through_tree(struct schedule *s, const struct call *c, int tree)
{
    struct tree_node node = tree_double(tree, c->rank, c->nranks);
    struct span dst = tree_half(c, DST, tree), sum = tree_half(c, SRC, tree);

    for (int k = 0; k < 2; k++)
        if (node.child[k] >= 0) {
            schedule_recv_combine(s, node.child[k], dst, sum, true);
            sum = dst;
        }
    if (node.parent >= 0) {
        schedule_send(s, node.parent, sum);
        schedule_recv(s, node.parent, dst);
    }
    for (int k = 0; k < 2; k++)
        if (node.child[k] >= 0)
            schedule_send(s, node.child[k], dst);
}

static void build(struct schedule *s, const struct call *c)
{
    if (c->nranks == 1)
        schedule_copy(s, whole(c, DST), whole(c, SRC));
    through_tree(s, c, 0);
    through_tree(s, c, 1);
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return far_trees(n, groups, 2, 2, tree_parent_double, price_of(2 * rounds(n),
        (struct load){ n > 1 ? 4 : 0, n > 1 ? 2 * bytes : 0, n > 1 ? bytes : 0 },
        (struct load){ 4 * (n - 1), 2 * bytes * (n - 1), bytes * (n - 1) }));
}

const struct algorithm allreduce_double_tree = {
    .name = "double_tree",
    .collective = ALLREDUCE,
    .cost = "2 log2(n) steps; in slices about twice the buffer sent by each rank",
    .price = price,
    .by_place = true,
    .build = build,
};
