/* SPDX-License-Identifier: BSD-3-Clause */
#include "algorithms/team.h"

#include <stdlib.h>

static const struct groups *groups_of(const struct call *c)
{
    return c->groups && c->groups->first ? c->groups : NULL;
}

int team_count(const struct call *c)
{
    return groups_of(c) ? c->groups->count : 1;
}

int team_with(const struct call *c, int number)
{
    return groups_of(c) ? c->groups->of[number] : 0;
}

int team_own(const struct call *c)
{
    return team_with(c, c->rank);
}

struct team team_of(const struct call *c, int group)
{
    const struct groups *groups = groups_of(c);

    if (!groups)
        return (struct team){ 0, c->nranks };
    return (struct team){ groups->first[group], groups->first[group + 1] - groups->first[group] };
}

int team_entry(const struct call *c, int group, int root)
{
    struct team team = team_of(c, group), roots = team_of(c, team_with(c, root));

    return team.first + (root - roots.first) % team.size;
}

void team_build(struct schedule *s, const struct algorithm *a, const struct call *sub,
                const int *members)
{
    const int *outer = s->peers;
    int *peers;

    if (sub->nranks < 1 || s->failed)
        return;
    peers = malloc((size_t)sub->nranks * sizeof *peers);
    if (!peers) {
        s->failed = true;
        return;
    }
    for (int i = 0; i < sub->nranks; i++)
        peers[i] = outer ? outer[members[i]] : members[i];
    schedule_peers(s, peers);
    a->build(s, sub);
    schedule_peers(s, outer);
    free(peers);
}

struct call team_call(const struct call *c, enum collective collective, int rank, int nranks)
{
    struct call sub = *c;

    sub.collective = collective;
    sub.rank = rank;
    sub.nranks = nranks;
    sub.slice = 0;
    sub.nslices = 1;
    sub.portion = (struct portion){ 0, 0, 0 };
    sub.groups = NULL;
    sub.order = NULL;
    sub.channels = NULL;
    sub.trees = NULL;
    return sub;
}

int *team_members(struct schedule *s, struct team team)
{
    int *members = malloc((size_t)team.size * sizeof *members);

    s->failed |= !members;
    for (int i = 0; i < team.size && members; i++)
        members[i] = team.first + i;
    return members;
}

struct price team_price_blocks(int n, const struct groups *groups, double bytes)
{
    struct call c = { .nranks = n, .groups = groups };
    int ngroups = team_count(&c), least = n, most = 1;
    double leaving = 0, far, near;

    for (int g = 0; g < ngroups; g++) {
        int size = team_of(&c, g).size;
        double out = (double)size * (ngroups - 1), in = n - size;

        least = size < least ? size : least;
        most = size > most ? size : most;
        leaving = out > leaving ? out : leaving;
        leaving = in > leaving ? in : leaving;
    }
    far = (double)(n - least) / least;     /* of a member of the smallest group */
    far = far > ngroups - 1 ? far : ngroups - 1;
    near = n - (double)n / most;
    return (struct price){
        .rounds = (ngroups > 1) + most - 1,
        .busiest = { far + near, bytes * (far + near), 0 },
        .all = { (double)n * (n - 1), bytes * n * (n - 1), 0 },
        .far = { ngroups > 1, far, bytes * far, (double)n * (ngroups - 1),
                 bytes * n * (ngroups - 1), bytes * leaving } };
}

struct price team_price_rooted(const struct call *c, const struct algorithm *a, double bytes)
{
    int ngroups = team_count(c), most = 1;
    struct price far = a->price(ngroups, NULL, bytes), near, sum;

    sum = price_of(far.rounds, far.busiest, far.all);
    for (int g = 0; g < ngroups; g++) {
        int size = team_of(c, g).size;

        near = a->price(size, NULL, bytes);
        sum.all = load_sum(sum.all, near.all);
        most = size > most ? size : most;
    }
    near = a->price(most, NULL, bytes);
    sum.rounds += near.rounds;
    sum.busiest = load_sum(sum.busiest, near.busiest);
    if (ngroups > 1)
        sum.far = (struct far){ far.rounds, far.busiest.messages, far.busiest.sent,
                                far.all.messages, far.all.sent, far.busiest.sent };
    return sum;
}
