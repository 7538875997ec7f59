/* SPDX-License-Identifier: BSD-3-Clause */
/* Hierarchical barrier: the ranks of a group tell its first one, the first ones tell each
 * other by dissemination, then each tells its group.  Only log2 of the number of groups
 * rounds go between them (Karonis et al. 2000).
 *
 * 2x2 ranks, 0 blocks:
 *   step  rank 0  rank 1  rank 2  rank 3
 *      1  <1      >0      <3      >2
 *      2  >2 <2           >0 <0
 *      3  >1      <0      >3      <2
 */
#include "algorithms/far.h"
#include "algorithms/ring.h"
#include "algorithms/team.h"

/* The first rank of a group, by the number of the group, any integer. */
static int leader(const struct call *c, int group)
{
    int n = team_count(c);

    return team_of(c, (group % n + n) % n).first;
}

static int largest(const struct call *c)
{
    int most = 1;

    for (int g = 0; g < team_count(c); g++)
        most = team_of(c, g).size > most ? team_of(c, g).size : most;
    return most;
}

static void build(struct schedule *s, const struct call *c)
{
    int own = team_own(c), last = rounds(team_count(c));
    struct team team = team_of(c, own);
    size_t first = (size_t)largest(c);     /* bytes for the news of a group */
    struct span heard = schedule_scratch(s, 2 * (first + (size_t)last));

    /* As in the dissemination barrier, a message covers a byte of all that it has to
     * wait for. */
    if (c->rank != team.first) {
        schedule_send(s, team.first, part(heard, 0, 1));
        schedule_recv(s, team.first, heard);
        return;
    }
    for (int k = 1; k < team.size; k++)
        schedule_recv(s, team.first + k, part(heard, (size_t)k, 1));
    for (int k = 0; k < last; k++) {
        size_t bytes = first + (size_t)k;

        schedule_send(s, leader(c, own + (1 << k)), part(heard, 0, bytes));
        schedule_recv(s, leader(c, own - (1 << k)), part(heard, bytes, bytes));
    }
    for (int k = 1; k < team.size; k++)
        schedule_send(s, team.first + k, heard);
}

static struct price price(int n, const struct groups *groups, double bytes)
{
    struct call c = { .nranks = n, .groups = groups };
    int ngroups = team_count(&c), most = largest(&c), far = rounds(ngroups);

    (void)bytes;
    return (struct price){
        .rounds = 2 * (most > 1) + far, .busiest = { 2 * (most - 1) + far, 0, 0 },
        .all = { 2.0 * (n - ngroups) + (double)far * ngroups, 0, 0 },
        .far = { far, far, 0, (double)far * ngroups, 0, 0 } };
}

const struct algorithm barrier_hierarchical = {
    .name = "hierarchical",
    .collective = BARRIER,
    .cost = "for k groups of m: 2 steps of m-1 messages of a few bytes at once within, log2(k) "
            "steps between",
    .price = price,
    .grouped = true,
    .by_place = true,
    .ordered = true,
    .left_fold = true,
    .build = build,
};
