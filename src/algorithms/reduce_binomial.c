/* SPDX-License-Identifier: BSD-3-Clause */
/* Binomial reduce: a binomial broadcast backwards.  Subtrees are runs of ranks;
 * if operands must keep their order the tree grows from rank 0, which sends the
 * result to the root, else from the root.
 *
 * 5 ranks, 1 block a:
 *   step  rank 0  rank 1  rank 2  rank 3  rank 4
 *      1  +a<1    a>0     +a<3    a>2
 *      2  +a<2            a>0
 *      3  +a<4                            a>0
 */
#include "algorithms/far.h"
#include "algorithms/tree.h"

static void build(struct schedule *s, const struct call *c)
{
    int top = c->commutative ? c->root : 0;
    int n = c->nranks, v = wrap(c, c->rank - top), span = tree_span(v, n);
    bool is_root = c->rank == c->root;
    struct span sum = whole(c, SRC), result = sum;

    /* There is no DST but on the root. */
    if (v == 0 && is_root)
        result = whole(c, DST);
    else if (span > 1)
        result = schedule_scratch(s, sum.bytes);
    for (int bit = 1; bit < span; bit *= 2) {
        schedule_recv_combine(s, wrap(c, c->rank + bit), result, sum, false);
        sum = result;
    }
    if (v > 0)
        schedule_send(s, wrap(c, top + tree_parent(v)), sum);
    else if (!is_root)
        schedule_send(s, c->root, sum);
    if (is_root && v > 0)
        schedule_recv(s, 0, whole(c, DST));
    if (n == 1)
        schedule_copy(s, whole(c, DST), sum);
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    return far_trees(n, groups, 1, 1, tree_parent_binomial, price_of(rounds(n),
        (struct load){ rounds(n), rounds(n) * bytes, rounds(n) * bytes },
        (struct load){ n - 1, bytes * (n - 1), bytes * (n - 1) }));
}

const struct algorithm reduce_binomial = {
    .name = "binomial",
    .collective = REDUCE,
    .cost = "log2(n) steps (1 more to keep the order), the buffer received in each",
    .price = price,
    .by_place = true,
    .ordered = true,
    .build = build,
};
