/* SPDX-License-Identifier: BSD-3-Clause */
/* The cheapest ring where each hop has a price: exactly by dynamic programming over sets of GPUs (Held
 * and Karp), else by the nearest neighbour from each GPU and moving pieces. */
#include "topology/rings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool pricer_init(struct pricer *p, const struct fabric *f, struct effort *effort)
{
    size_t n = (size_t)f->n;

    *p = (struct pricer){ .f = f, .effort = effort };
    p->cost = malloc(n * n * sizeof *p->cost + 1);
    if (f->n <= RINGS_EXACT_GPUS)
        p->rest = malloc(((size_t)1 << (n - 1)) * n * sizeof *p->rest);
    return p->cost && (p->rest || f->n > RINGS_EXACT_GPUS);
}

void pricer_free(struct pricer *p)
{
    free(p->cost);
    free(p->rest);
}

static void ring_load(const struct fabric *f, const int *order, double *loads)
{
    for (int i = 0; i < f->n; i++)
        fabric_load(f, order[i], order[(i + 1) % f->n], 1, loads);
}

void pricer_load(const void *pricer, const int *order, double *loads)
{
    const struct pricer *p = pricer;

    ring_load(p->f, order, loads);
}

double ring_alone(const struct fabric *f, const int *order)
{
    double loads[64], share = INFINITY, *all = loads;

    for (int i = 0; i < f->n; i++)
        if (!f->hop[order[i] * f->n + order[(i + 1) % f->n]])
            return 0;
    if (f->nrows > 64 && !(all = malloc((size_t)f->nrows * sizeof *all)))
        return 0;
    for (int i = 0; i < f->nrows; i++)
        all[i] = 0;
    ring_load(f, order, all);
    for (int i = 0; i < f->nrows; i++)
        if (all[i] > 0)
            share = fmin(share, f->capacity[i] / all[i]);
    if (all != loads)
        free(all);
    return share;
}

/* ---- Exactly ------------------------------------------------------------------------- */

static double ring_cost(const struct pricer *p, const int *order)
{
    int n = p->f->n;
    double cost = 0;

    for (int i = 0; i < n; i++)
        cost += p->cost[order[i] * n + order[(i + 1) % n]];
    return cost;
}

/* The GPU of `left` (bit v - 1 for GPU v) to go to from `at`, and what all the rest then costs, back to
 * GPU 0.  Of equal ones the first. */
static int onward(const struct pricer *p, unsigned left, int at, double *least)
{
    size_t n = (size_t)p->f->n;
    const double *cost = p->cost + (size_t)at * n;
    int best = -1;

    *least = INFINITY;
    for (unsigned set = left; set; set &= set - 1) {
        int next = __builtin_ctz(set) + 1;
        double rest = cost[next] + p->rest[(left & ~(1u << (next - 1))) * n + (size_t)next];

        if (rest < *least * (1 - 1e-13)) {
            *least = rest;
            best = next;
        }
    }
    return best;
}

static double held_karp(const struct pricer *p, int *order)
{
    size_t n = (size_t)p->f->n;
    unsigned all = (1u << (n - 1)) - 1, left = all;
    double least;

    for (size_t v = 1; v < n; v++)
        p->rest[v] = p->cost[v * n];
    for (unsigned set = 1; set < all; set++)
        for (unsigned others = all & ~set; others; others &= others - 1) {
            int v = __builtin_ctz(others) + 1;

            onward(p, set, v, &p->rest[set * n + (size_t)v]);
        }
    order[0] = 0;
    for (size_t i = 1; i < n; i++) {
        order[i] = onward(p, left, order[i - 1], &least);
        if (order[i] < 0)
            return INFINITY;
        left &= ~(1u << (order[i] - 1));
    }
    return ring_cost(p, order);
}

/* ---- Nearly --------------------------------------------------------------------------- */

static bool nearest_neighbour(const struct pricer *p, int start, int *order)
{
    int n = p->f->n;
    bool used[FABRIC_GPUS_MOST] = { false };

    order[0] = start;
    for (int i = 1; i < n; i++) {
        const double *cost = p->cost + order[i - 1] * n;
        int best = -1;

        used[order[i - 1]] = true;
        for (int v = 0; v < n; v++)
            if (!used[v] && cost[v] < INFINITY && (best < 0 || cost[v] < cost[best]))
                best = v;
        if (best < 0)
            return false;
        order[i] = best;
    }
    return true;
}

/* Takes the `length` GPUs at the front and puts them where the ring is then cheapest; the ring is
 * turned first, so that every piece is at the front once.  True: cheaper. */
static bool move_piece(const struct pricer *p, int *order, int length)
{
    int n = p->f->n, best = -1, piece[4];
    const double *cost = p->cost;
    int head = order[0], tail = order[length - 1];
    double least = -1e-12, cut;

    cut = cost[order[n - 1] * n + order[length]] - cost[order[n - 1] * n + head] -
          cost[tail * n + order[length]];
    for (int i = length; i < n - 1 && cut < INFINITY; i++) {
        double change = cut + cost[order[i] * n + head] + cost[tail * n + order[i + 1]] -
                        cost[order[i] * n + order[i + 1]];

        if (change < least) {
            least = change;
            best = i;
        }
    }
    if (best < 0)
        return false;
    memcpy(piece, order, (size_t)length * sizeof *piece);
    memmove(order, order + length, (size_t)(best + 1 - length) * sizeof *order);
    memcpy(order + best + 1 - length, piece, (size_t)length * sizeof *piece);
    return true;
}

static void improve(const struct pricer *p, int *order)
{
    int n = p->f->n, idle = 0;

    for (int turns = 0; idle < n && turns < n * n; turns++) {
        bool better = false;
        int first;

        for (int length = 1; length <= 3 && length < n - 1 && !better; length++)
            better = move_piece(p, order, length);
        idle = better ? 0 : idle + 1;
        first = order[0];
        memmove(order, order + 1, (size_t)(n - 1) * sizeof *order);
        order[n - 1] = first;
    }
}

static double nearly(const struct pricer *p, int *order)
{
    int n = p->f->n, trial[FABRIC_GPUS_MOST];
    double least = INFINITY;

    for (int start = 0; start < n; start++) {
        double cost;

        if (!nearest_neighbour(p, start, trial) || !(ring_cost(p, trial) < INFINITY))
            continue;
        improve(p, trial);
        cost = ring_cost(p, trial);
        if (cost < least) {
            least = cost;
            memcpy(order, trial, (size_t)n * sizeof *order);
        }
    }
    return least;
}

double pricer_cheapest(void *pricer, const double *prices, bool exact, int *order)
{
    const struct pricer *p = pricer;
    double n = p->f->n;

    for (int i = 0; i < p->f->n; i++)
        for (int j = 0; j < p->f->n; j++)
            p->cost[i * p->f->n + j] = fabric_cost(p->f, i, j, prices);
    if (!exact) {
        if (!effort_spend(p->effort, n * n * n * 12))
            return NAN;
        return nearly(p, order);
    }
    return effort_spend(p->effort, ldexp(n * n / 4, p->f->n - 1)) ? held_karp(p, order) : NAN;
}
