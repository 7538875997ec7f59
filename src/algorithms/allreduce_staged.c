/* SPDX-License-Identifier: BSD-3-Clause */
/* Staged allreduce: everybody copies its buffer once to where all can see it.  Rank
 * i reduces the blocks i, in rank order, from there, and puts the result where all
 * can see it.
 *
 * 3 ranks, 3 blocks a b c:
 *   step  rank 0              rank 1              rank 2
 *      1  abc=                abc=                abc=
 *      2  b>1 c>2 a=          b<0                 c<0
 *      3  +a<1                c>2 a>0 b+          +c<1
 *      4  +a<2                +b<2                a>0 b>1 c+
 *      5  a>1 a>2 a= c<2 b<1  b>2 b>0 b= a<0 c<2  c>0 c>1 c= b<1 a<0
 */
#include "algorithms/far.h"
#include "algorithms/staged.h"

/* dst := block c->rank of everybody, combined in rank order; the own one is `own`.
 * One after the other as they come, so narrow types are rounded each time. */
static void fold(struct schedule *s, const struct call *c, struct span dst, struct span own)
{
    struct span both[] = { dst, own };

    for (int r = 0; r < c->nranks; r++)
        if (r == c->rank && r == 0)
            schedule_copy(s, dst, own);
        else if (r == c->rank)
            schedule_reduce(s, dst, both, 2);
        else if (r == 0)
            schedule_recv(s, r, dst);
        else
            schedule_recv_combine(s, r, dst, dst, false);
}

static void build(struct schedule *s, const struct call *c)
{
    struct span all = whole(c, SRC), result = block(c, DST, c->rank), in, out;

    if (c->nranks == 1) {
        schedule_copy(s, result, all);
        return;
    }
    in = schedule_stage(s, all.bytes);
    out = schedule_stage(s, result.bytes);
    schedule_copy(s, in, all);
    for (int k = 1; k < c->nranks; k++) {
        struct span theirs = block(c, SRC, c->rank + k);

        schedule_send(s, wrap(c, c->rank + k),
                      part(in, theirs.offset - all.offset, theirs.bytes));
    }
    fold(s, c, out, part(in, block(c, SRC, c->rank).offset - all.offset, result.bytes));
    for (int k = 1; k < c->nranks; k++)
        schedule_send(s, wrap(c, c->rank + k), out);
    schedule_copy(s, result, out);
    for (int k = 1; k < c->nranks; k++)
        schedule_recv(s, wrap(c, c->rank - k), block(c, DST, c->rank - k));
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    struct load each = { 2 * (n - 1), bytes * (n - 1) / n + bytes / 2,
                         bytes * (n - 1) / n + staged_far(bytes) };

    /* Notices come in bunches, with the messages of the other half. */
    return far_all(n, groups,
        price_even(n, n > 1 ? 4 : 0, n > 1 ? each : (struct load){ 0, 0, 0 }));
}

const struct algorithm allreduce_staged = {
    .name = "staged",
    .collective = ALLREDUCE,
    .cost = "4 steps; the buffer copied to the stage, (n-1)/n of it reduced and taken from it, "
            "by each rank",
    .price = price,
    .lent = true,
    .ordered = true,
    .build = build,
};
