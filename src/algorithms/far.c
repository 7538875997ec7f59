/* SPDX-License-Identifier: BSD-3-Clause */
#include "algorithms/far.h"
#include "algorithms/core.h"

#include <stdlib.h>

static bool apart(const struct groups *groups, int a, int b)
{
    return groups->of[a] != groups->of[b];
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static struct price no_memory(struct price price)
{
    price.failed = true;
    return price;
}

/* From each of the first `nsenders` ranks to the next one. */
static struct price to_next(int n, const struct groups *groups, int nsenders, struct price price)
{
    int *out, crossings = 0, most = 0;

    if (!groups || n < 2)
        return price;
    out = calloc((size_t)groups->count, sizeof *out);
    if (!out)
        return no_memory(price);
    for (int r = 0; r < nsenders; r++)
        if (apart(groups, r, (r + 1) % n)) {
            int g = groups->of[r];

            crossings++;
            most = ++out[g] > most ? out[g] : most;
        }
    free(out);
    price.far = (struct far){
        price.rounds * crossings / nsenders, price.busiest.messages, price.busiest.sent,
        price.all.messages * crossings / nsenders, price.all.sent * crossings / nsenders,
        price.busiest.sent * most };
    return price;
}

struct price far_ring(int n, const struct groups *groups, struct price price)
{
    return to_next(n, groups, n, price);
}

struct price far_chain(int n, const struct groups *groups, struct price price)
{
    return to_next(n, groups, n - 1, price);
}

/* Ranks in each group; NULL: no memory. */
static int *sizes_of(int n, const struct groups *groups)
{
    int *sizes = calloc((size_t)groups->count, sizeof *sizes);

    for (int r = 0; r < n && sizes; r++)
        sizes[groups->of[r]]++;
    return sizes;
}

struct price far_all(int n, const struct groups *groups, struct price price)
{
    double pairs = (double)n * (n - 1), far_pairs = 0, most = 0, share = 0;
    int *sizes;

    if (!groups || n < 2)
        return price;
    sizes = sizes_of(n, groups);
    if (!sizes)
        return no_memory(price);
    for (int g = 0; g < groups->count; g++) {
        double leaving = (double)sizes[g] * (n - sizes[g]);

        far_pairs += leaving;
        most = larger(most, leaving);
        share = larger(share, (n - sizes[g]) / (n - 1.0));
    }
    free(sizes);
    price.far = (struct far){
        price.rounds, price.busiest.messages * share, price.busiest.sent * share,
        price.all.messages * far_pairs / pairs, price.all.sent * far_pairs / pairs,
        price.all.sent * most / pairs };
    return price;
}

struct price far_star(int n, const struct groups *groups, int ways, struct price price)
{
    int *sizes, least = n;
    double share;

    if (!groups || n < 2)
        return price;
    sizes = sizes_of(n, groups);
    if (!sizes)
        return no_memory(price);
    for (int g = 0; g < groups->count; g++)
        least = sizes[g] < least ? sizes[g] : least;
    free(sizes);
    share = (n - least) / (n - 1.0);
    price.far = (struct far){
        price.rounds, price.busiest.messages * share, price.busiest.sent * share,
        price.all.messages * share, price.all.sent * share, price.all.sent * share / ways };
    return price;
}

/* ---- Rounds at distances 1, 2, 4, ... ------------------------------------------ */

/* What the rounds so far come to. */
struct tally {
    int    *out;                 /* ranks of each group that send out of it, in this round */
    double  total;               /* of the weights of all rounds */
    double  rounds, share;       /* far ones; their part of the weights */
    double  pairs, all_share;    /* the same of all ranks */
    double  leaving;
};

static void tally_round(struct tally *t, const struct groups *groups, double weight,
                        int senders, int messages)
{
    int most = 0;

    t->total += weight;
    for (int g = 0; g < groups->count; g++) {
        most = t->out[g] > most ? t->out[g] : most;
        t->out[g] = 0;
    }
    t->rounds += messages > 0;
    t->share += messages > 0 ? weight : 0;
    t->pairs += (double)messages / senders;
    t->all_share += weight * messages / senders;
    t->leaving += weight * most;
}

static struct price tally_price(const struct tally *t, struct price price, int nrounds)
{
    double share = t->total > 0 ? t->share / t->total : 0;
    double all = t->total > 0 ? t->all_share / t->total : 0;
    double rounds_share = nrounds > 0 ? t->rounds / nrounds : 0;
    double pairs = nrounds > 0 ? t->pairs / nrounds : 0;

    price.far = (struct far){
        price.rounds * rounds_share, price.busiest.messages * rounds_share,
        price.busiest.sent * share, price.all.messages * pairs, price.all.sent * all,
        t->total > 0 ? price.busiest.sent * t->leaving / t->total : 0 };
    return price;
}

static double weight_of(enum far_sizes sizes, int distance)
{
    return sizes == FAR_EVEN ? 1 : sizes == FAR_GROWING ? distance : 1.0 / distance;
}

struct price far_exchange(int n, const struct groups *groups, enum far_sizes sizes,
                          struct price price)
{
    struct call c = { .nranks = n };
    struct core core = core_of(&c);
    struct tally t = { .total = 0 };
    int nrounds = 0;

    if (!groups || n < 2)
        return price;
    t.out = calloc((size_t)groups->count, sizeof *t.out);
    if (!t.out)
        return no_memory(price);
    for (int bit = 1; bit < core.size; bit *= 2, nrounds++) {
        int messages = 0;

        for (int r = 0; r < core.size; r++) {
            int a = core_peer(&core, r), b = core_peer(&core, r ^ bit);

            messages += apart(groups, a, b);
            t.out[groups->of[a]] += apart(groups, a, b);
        }
        tally_round(&t, groups, weight_of(sizes, bit), core.size, messages);
    }
    /* Two rounds in which ranks out of the core give and take: all, or where blocks are
     * gathered or scattered, one block one way. */
    for (int turn = 0; turn < 2 && core.extra > 0; turn++, nrounds++) {
        double weight = sizes == FAR_GROWING && turn ? n - 1 : 1;
        int messages = 0;

        for (int r = 0; r < 2 * core.extra; r += 2) {
            messages += apart(groups, r, r + 1);
            t.out[groups->of[r]] += apart(groups, r, r + 1);
        }
        tally_round(&t, groups, weight, n, messages);
    }
    free(t.out);
    return tally_price(&t, price, nrounds);
}

struct price far_steps(int n, const struct groups *groups, enum far_sizes sizes,
                       struct price price)
{
    struct tally t = { .total = 0 };
    int nrounds = 0;

    if (!groups || n < 2)
        return price;
    t.out = calloc((size_t)groups->count, sizeof *t.out);
    if (!t.out)
        return no_memory(price);
    for (int step = 1; step < n; step *= 2, nrounds++) {
        int messages = 0, count = step < n - step ? step : n - step;

        for (int r = 0; r < n; r++) {
            messages += apart(groups, r, (r + step) % n);
            t.out[groups->of[r]] += apart(groups, r, (r + step) % n);
        }
        tally_round(&t, groups, weight_of(sizes, sizes == FAR_GROWING ? count : step), n,
                    messages);
    }
    free(t.out);
    return tally_price(&t, price, nrounds);
}

/* ---- Trees ------------------------------------------------------------------------ */

/* Far edges on the way from v to the root. */
static int far_depth(int n, const struct groups *groups, int tree,
                     int (*parent)(int tree, int v, int n), int v)
{
    int depth = 0;

    for (int up; (up = parent(tree, v, n)) >= 0; v = up)
        depth += apart(groups, v, up);
    return depth;
}

struct price far_trees(int n, const struct groups *groups, int ntrees, int ways,
                       int (*parent)(int tree, int v, int n), struct price price)
{
    int *up_ends, *down_ends, *rank_ends, depth = 0, crossings = 0, rank_most = 0, most = 0;
    int edges = ntrees * (n - 1);

    if (!groups || n < 2)
        return price;
    up_ends = calloc(2 * (size_t)groups->count + (size_t)n, sizeof *up_ends);
    if (!up_ends)
        return no_memory(price);
    down_ends = up_ends + groups->count;
    rank_ends = down_ends + groups->count;
    for (int tree = 0; tree < ntrees; tree++)
        for (int v = 0; v < n; v++) {
            int up = parent(tree, v, n), d = far_depth(n, groups, tree, parent, v);

            depth = d > depth ? d : depth;
            if (up < 0 || !apart(groups, v, up))
                continue;
            crossings++;
            up_ends[groups->of[up]]++;
            down_ends[groups->of[v]]++;
            rank_most = ++rank_ends[v] > rank_most ? rank_ends[v] : rank_most;
            rank_most = ++rank_ends[up] > rank_most ? rank_ends[up] : rank_most;
        }
    /* One way, the ends above send (receive) and those below do the opposite. */
    for (int g = 0; g < groups->count; g++) {
        int both = up_ends[g] + down_ends[g];
        int one = up_ends[g] > down_ends[g] ? up_ends[g] : down_ends[g];

        one = ways == 2 ? both : one;
        most = one > most ? one : most;
    }
    free(up_ends);
    price.far = (struct far){
        ways * depth, price.all.messages / edges * rank_most, price.all.sent / edges * rank_most,
        price.all.messages / edges * crossings, price.all.sent / edges * crossings,
        price.all.sent / edges / ways * most };
    if (price.far.messages > price.busiest.messages)
        price.far.messages = price.busiest.messages;
    if (price.far.sent > price.busiest.sent)
        price.far.sent = price.busiest.sent;
    if (price.far.rounds > price.rounds)
        price.far.rounds = price.rounds;
    return price;
}
