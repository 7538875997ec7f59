/* SPDX-License-Identifier: BSD-3-Clause */
/* Hierarchical reduce-scatter, a hierarchical allgather backwards: a ring within each group
 * leaves every member with the sums of its group for some blocks; each goes to the rank
 * whose block it is, which combines them.
 *
 * 2x2 ranks, 4 blocks a b c d:
 *   step  rank 0             rank 1             rank 2             rank 3
 *      1  b>1 d>1 +a<1 +c<1  a>0 c>0 +b<0 +d<0  b>3 d>3 +a<3 +c<3  a>2 c>2 +b<2 +d<2
 *      2  c>2 +a<2           d>3 +b<3           a>0 +c<0           b>1 +d<1
 */
#include "algorithms/far.h"
#include "algorithms/target.h"
#include "algorithms/team.h"

/* Member i of this rank's group collects block i, i + size, ... of every group: calls `visit`
 * for each, with the offset of its sum among those of the member. */
struct walk {
    struct schedule   *s;
    const struct call *c;
    int                peer;
    struct span        memory, next;       /* of sums that are sent, or read and made */
    bool               in_src;             /* what is sent is not a sum yet, but SRC */
};

static size_t walk(const struct walk *w, int i,
                   void (*visit)(const struct walk *w, int number, size_t offset))
{
    const struct call *c = w->c;
    int size = team_of(c, team_own(c)).size;
    size_t offset = 0;

    for (int g = 0; g < team_count(c); g++) {
        struct team of = team_of(c, g);

        for (int k = i; k < of.size; k += size) {
            if (visit)
                visit(w, of.first + k, offset);
            offset += block_bytes(c, of.first + k);
        }
    }
    return offset;
}

static struct span sum_of(const struct walk *w, int number, size_t offset)
{
    return w->in_src ? block(w->c, SRC, number)
                     : part(w->memory, offset, block_bytes(w->c, number));
}

static void pass_on(const struct walk *w, int number, size_t offset)
{
    schedule_send(w->s, w->peer, sum_of(w, number, offset));
}

static void add(const struct walk *w, int number, size_t offset)
{
    struct span own = block(w->c, SRC, number);

    schedule_recv_combine(w->s, w->peer, part(w->next, offset, own.bytes), own, true);
}

/* The group's sum of a block, to its rank. */
static void deliver(const struct walk *w, int number, size_t offset)
{
    if (number != w->c->rank)
        schedule_send(w->s, number, sum_of(w, number, offset));
}

/* The own block's sum of the own group. */
static struct span own_sum(const struct walk *w)
{
    const struct call *c = w->c;
    struct team team = team_of(c, team_own(c));
    size_t offset = 0;

    for (int g = 0; g < team_own(c); g++)
        for (int k = c->rank - team.first; k < team_of(c, g).size; k += team.size)
            offset += block_bytes(c, team_of(c, g).first + k);
    return sum_of(w, c->rank, offset);
}

static size_t largest(const struct walk *w, int n)
{
    size_t most = 0;

    for (int i = 0; i < n; i++) {
        size_t bytes = walk(w, i, NULL);

        most = bytes > most ? bytes : most;
    }
    return most;
}

static void build(struct schedule *s, const struct call *c)
{
    int own = team_own(c), ngroups = team_count(c);
    struct team team = team_of(c, own);
    int n = team.size, me = c->rank - team.first;
    struct walk w = { .s = s, .c = c, .in_src = true };
    struct span result = target(s, c), slot[2], so_far;
    size_t most = largest(&w, n);

    slot[0] = schedule_scratch(s, n > 1 ? most : 0);
    slot[1] = schedule_scratch(s, n > 2 ? most : 0);
    for (int step = 0; step < n - 1; step++) {
        w.peer = team.first + (me + 1) % n;
        walk(&w, (me - step - 1 + 2 * n) % n, pass_on);
        w.peer = team.first + (me + n - 1) % n;
        w.next = slot[step % 2];
        walk(&w, (me - step - 2 + 2 * n) % n, add);
        w.memory = w.next;
        w.in_src = false;
    }
    walk(&w, me, deliver);
    so_far = own_sum(&w);
    for (int k = 1; k < ngroups; k++, so_far = result) {
        struct team from = team_of(c, (own + k) % ngroups);

        schedule_recv_combine(s, from.first + me % from.size, result, so_far, true);
    }
    schedule_copy(s, block(c, DST, c->rank), so_far);
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    struct price p = team_price_blocks(n, groups, bytes);
    struct call c = { .nranks = n, .groups = groups };
    double near = p.busiest.messages - p.far.messages;

    p.busiest.reduced = bytes * (near + team_count(&c) - 1);
    p.all.reduced = p.all.sent;
    return p;
}

const struct algorithm reduce_scatter_hierarchical = {
    .name = "hierarchical",
    .collective = REDUCE_SCATTER,
    .cost = "for k groups of m: m-1 steps of k blocks within groups, then k-1 messages of a block "
            "at once between them",
    .price = price,
    .grouped = true,
    .by_place = true,
    .build = build,
};
