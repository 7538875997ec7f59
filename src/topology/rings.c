/* SPDX-License-Identifier: BSD-3-Clause */
/* The search for rings, the simplest answers first: one ring, some rings with the same share, any set of
 * rings (a linear programme, which says when no set is better). */
#include "topology/rings.h"

#include "base/status.h"
#include "topology/room.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Totals within this of each other are the same. */
static const double close = 1e-6;

void rings_free(struct rings *rings)
{
    free(rings->orders);
    free(rings->shares);
    *rings = (struct rings){ .count = 0 };
}

/* ---- A set of rings, put in order ----------------------------------------------------- */

/* Turned so that GPU 0 comes first. */
static void turn(int *order, int n, int *spare)
{
    int first = 0;

    while (order[first] != 0)
        first++;
    for (int i = 0; i < n; i++)
        spare[i] = order[(first + i) % n];
    memcpy(order, spare, (size_t)n * sizeof *order);
}

static void swap_rings(struct rings *rings, int n, int a, int b)
{
    double share = rings->shares[a];

    rings->shares[a] = rings->shares[b];
    rings->shares[b] = share;
    for (int i = 0; i < n; i++) {
        int gpu = rings->orders[a * n + i];

        rings->orders[a * n + i] = rings->orders[b * n + i];
        rings->orders[b * n + i] = gpu;
    }
}

/* Rings of the same order are one; the widest come first, then by order. */
static void tidy(struct rings *rings, int n, int *spare)
{
    size_t bytes = (size_t)n * sizeof *rings->orders;
    int kept = 0;

    for (int i = 0; i < rings->count; i++) {
        int *order = rings->orders + i * n, same = 0;

        turn(order, n, spare);
        while (same < kept && memcmp(rings->orders + same * n, order, bytes))
            same++;
        if (same < kept) {
            rings->shares[same] += rings->shares[i];
            continue;
        }
        memmove(rings->orders + kept * n, order, bytes);
        rings->shares[kept++] = rings->shares[i];
    }
    rings->count = kept;
    for (int i = 0; i < kept; i++)
        for (int k = i + 1; k < kept; k++) {
            double more = rings->shares[k] - rings->shares[i];
            bool equal = fabs(more) <= close * rings->shares[i];

            if (equal ? memcmp(rings->orders + k * n, rings->orders + i * n, bytes) < 0 : more > 0)
                swap_rings(rings, n, i, k);
        }
    rings->total = 0;
    for (int i = 0; i < kept; i++)
        rings->total += rings->shares[i];
}

/* The set becomes these; with `share` each where there are no `shares`. */
static int set_rings(struct rings *rings, const struct fabric *f, const int *orders,
                     const double *shares, int count, double share)
{
    size_t n = (size_t)f->n, ints = (size_t)count * n;
    int *copy = malloc((ints + n) * sizeof *copy + 1);
    double *each = malloc((size_t)count * sizeof *each + 1);

    if (!copy || !each) {
        free(copy);
        free(each);
        return room_none("rings", f->n);
    }
    memcpy(copy, orders, ints * sizeof *copy);
    for (int i = 0; i < count; i++)
        each[i] = shares ? shares[i] : share;
    free(rings->orders);
    free(rings->shares);
    rings->orders = copy;
    rings->shares = each;
    rings->count = count;
    tidy(rings, f->n, copy + ints);
    return PEAL_OK;
}

/* ---- The search ------------------------------------------------------------------------ */

struct finder {
    const struct fabric *f;
    struct effort *effort;
    struct rings *rings;
    struct pricer pricer;
    int *orders;                       /* room for RINGS_EQUAL_MOST + 1 */
};

static bool reached(double total, double bound)
{
    return total >= bound * (1 - close);
}

/* The GPUs in the order of their numbers; the ring that loads links least.  That much is always done,
 * so that there is a ring if there can be one. */
static int find_one(struct finder *s)
{
    const struct fabric *f = s->f;
    struct effort unlimited = { .steps = INFINITY, .deadline = UINT64_MAX };
    double *prices = malloc((size_t)f->nrows * sizeof *prices + 1), cost, share;
    int *order = s->orders, status = PEAL_OK;

    if (!prices)
        return room_none("rings", f->n);
    for (int i = 0; i < f->n; i++)
        order[i] = i;
    share = ring_alone(f, order);
    if (share > 0)
        status = set_rings(s->rings, f, order, NULL, 1, share);
    for (int i = 0; i < f->nrows; i++)
        prices[i] = 1 / f->capacity[i];
    s->pricer.effort = &unlimited;
    for (int exact = 0; exact < 2 && !status && !reached(s->rings->total, f->bound); exact++) {
        if (exact && f->n > RINGS_EXACT_GPUS)
            break;
        cost = pricer_cheapest(&s->pricer, prices, exact, order);
        share = cost < INFINITY ? ring_alone(f, order) : 0;
        if (share > s->rings->total)
            status = set_rings(s->rings, f, order, NULL, 1, share);
    }
    s->pricer.effort = s->effort;
    free(prices);
    return status;
}

/* Equal rings that add up to `total`, as few as can be. */
static int find_equal(struct finder *s, double total, int most, double part)
{
    int status = PEAL_OK;

    for (int count = 2; count <= most && !status && !reached(s->rings->total, total); count++) {
        double share = total / count, had;
        struct effort effort = effort_part(s->effort, part);
        int found;

        had = effort.steps;
        found = rings_equal(s->f, count, share, &effort, s->orders);
        effort_return(s->effort, &effort, had);
        if (found < 0)
            return room_none("rings", s->f->n);
        if (found * share > s->rings->total * (1 + close))
            status = set_rings(s->rings, s->f, s->orders, NULL, found, share);
    }
    return status;
}

/* Any set; says in `packing.bound` that none is better. */
static int find_any(struct finder *s, struct packing *packing)
{
    struct packing_problem problem = {
        .nrows = s->f->nrows, .capacity = s->f->capacity, .nints = s->f->n, .target = s->f->bound,
        .context = &s->pricer, .cheapest = pricer_cheapest, .exact = s->f->n <= RINGS_EXACT_GPUS,
        .load = pricer_load
    };

    return packing_solve(&problem, s->rings->orders, s->rings->count, s->effort, packing);
}

static int find_all(struct finder *s)
{
    struct rings *rings = s->rings;
    struct packing packing = { .bound = INFINITY };
    double bound = s->f->bound;
    int status = find_one(s);

    if (!status && !rings->count && s->f->n <= RINGS_EXACT_GPUS)
        return PEAL_OK;                /* there is no ring at all */
    if (!status && !reached(rings->total, bound))
        status = find_equal(s, bound, RINGS_EQUAL_MOST, 0.02);
    if (!status && !reached(rings->total, bound))
        status = find_any(s, &packing);
    bound = fmin(bound, packing.bound);
    if (!status && packing.n && packing.total > rings->total * (1 + close)) {
        /* The same total from a few equal rings is easier to use. */
        int most = packing.n * 2 < RINGS_EQUAL_MOST ? packing.n * 2 : RINGS_EQUAL_MOST;

        status = find_equal(s, packing.total, most, 0.1);
        if (!status && !reached(rings->total, packing.total))
            status = set_rings(rings, s->f, packing.columns, packing.shares, packing.n, 0);
    }
    rings->bound = bound;
    packing_free(&packing);
    return status;
}

static void explain(struct finder *s)
{
    const struct fabric *f = s->f;
    struct rings *rings = s->rings;
    const char *way = f->nvlink ? "over NVLink" : "over all links";

    rings->optimal = reached(rings->total, rings->bound);
    if (rings->optimal && reached(rings->total, f->bound))
        snprintf(rings->proof, sizeof rings->proof, "optimal: the rings reach the max-flow %s %s, %.4g "
                 "GB/s", f->cut, way, f->bound);
    else if (rings->optimal)
        snprintf(rings->proof, sizeof rings->proof, "optimal: no set of rings %s carries more (linear "
                 "programme); the max-flow %s is %.4g GB/s", way, f->cut, f->bound);
    else
        snprintf(rings->proof, sizeof rings->proof, "%.2g %% below the bound of %.4g GB/s; the max-flow "
                 "%s %s is %.4g GB/s%s", (1 - rings->total / rings->bound) * 100, rings->bound,
                 f->cut, way, f->bound, s->effort->late ? "; the search was stopped by the clock" :
                                                         "; the search was stopped");
    if (rings->optimal)
        rings->bound = fmax(rings->bound, rings->total);
}

int rings_find(const struct fabric *f, struct effort *effort, struct rings *rings)
{
    struct finder s = { .f = f, .effort = effort, .rings = rings };
    int status = PEAL_OK;

    *rings = (struct rings){ .bound = f->bound };
    s.orders = malloc((size_t)(RINGS_EQUAL_MOST + 1) * (size_t)f->n * sizeof *s.orders);
    if (!pricer_init(&s.pricer, f, effort) || !s.orders)
        status = room_none("rings", f->n);
    if (!status && f->bound > 0)
        status = find_all(&s);
    if (!status && f->bound > 0)
        explain(&s);
    pricer_free(&s.pricer);
    free(s.orders);
    if (status)
        rings_free(rings);
    return status;
}
