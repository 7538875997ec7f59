/* SPDX-License-Identifier: BSD-3-Clause */
/* Where rings enter and leave a host.
 *
 * A ring over several hosts is open in each: it comes in by the port of its first GPU and goes out by that
 * of its last, in place of the hop from the last to the first.  What ports carry adds to the PCI links and
 * sockets that rings use too; what that hop would carry is taken off them.  All of it is added up by link,
 * and rings are turned until the busiest links carry little of what they can. */
#include "topology/plan_loads.h"

#include "base/status.h"
#include "topology/room.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* As if the ring, closed, were opened before its GPU number `at`; `bandwidth` below 0: closed again. */
static double open_ring(struct plan_loads *s, const struct topology_ring *ring, int at, double bandwidth)
{
    int n = s->n, gpu = ring->gpus[at], last = ring->gpus[(at + n - 1) % n];

    plan_loads_begin(s);
    return plan_load_way(s, last * n + gpu, -bandwidth) + plan_load_way(s, n * n + last, bandwidth) +
           plan_load_way(s, (n + 1) * n + gpu, bandwidth);
}

/* What opening it there would change the sum by. */
static double burden(struct plan_loads *s, const struct topology_ring *ring, int at)
{
    double sum = open_ring(s, ring, at, ring->bandwidth);

    plan_loads_undo(s);
    return sum;
}

/* ---- Turning ---------------------------------------------------------------------------------- */

static bool stays_on_rail(const struct topology_plan *plan, const struct topology_ring *ring, int at)
{
    int last = ring->gpus[(at + plan->ngpus - 1) % plan->ngpus];

    return plan->port[ring->gpus[at]] == plan->port[last];
}

static void turn_to(struct plan_loads *s, struct topology_ring *ring, int at)
{
    int turned[PLAN_GPUS_MOST];

    for (int i = 0; i < s->n; i++)
        turned[i] = ring->gpus[(at + i) % s->n];
    memcpy(ring->gpus, turned, (size_t)s->n * sizeof *turned);
    open_ring(s, ring, 0, ring->bandwidth);
}

static const double rounding = 1e-9;

/* Turns the ring, closed, to where it burdens links least; of such places to one between two GPUs of a port,
 * so that it stays on a rail. */
static void turn(struct plan_loads *s, struct topology_ring *ring)
{
    double least = burden(s, ring, 0);
    int best = 0;

    for (int i = 1; i < s->n; i++) {
        double here = burden(s, ring, i), equal = rounding * (fabs(least) + fabs(here));

        if (here > least + equal || (here > least - equal && (stays_on_rail(s->plan, ring, best) ||
                                                              !stays_on_rail(s->plan, ring, i))))
            continue;
        least = here;
        best = i;
    }
    turn_to(s, ring, best);
}

static void turn_again(struct plan_loads *s, int index, int at)
{
    struct topology_ring *ring = &s->plan->rings[index];

    open_ring(s, ring, 0, -ring->bandwidth);
    if (at < 0)
        turn(s, ring);
    else
        turn_to(s, ring, at);
}

static int place_of(const struct topology_plan *plan, const struct topology_ring *ring, int gpu)
{
    int at = 0;

    while (at < plan->ngpus - 1 && ring->gpus[at] != gpu)
        at++;
    return at;
}

/* KICK_WORK: kicks times rings times GPUs, a tenth of a second. */
enum { KICKED = 4, KICKS = 1000, KICK_WORK = 1 << 20, KICK_RINGS_MOST = 64, SPREAD_ROUNDS = 8 };

/* Where no ring is better off by turning alone, a few are turned at random and all are asked again; what
 * is worse is undone (iterated local search; the same each time). */
static void kick(struct plan_loads *s)
{
    const struct topology_plan *plan = s->plan;
    int entry[KICK_RINGS_MOST], kicks = KICK_WORK / (plan->nrings * plan->ngpus);
    double best = plan_burden(s);
    uint64_t state = 1;

    for (int k = 0; k < kicks && k < KICKS; k++) {
        double now;

        for (int i = 0; i < plan->nrings; i++)
            entry[i] = plan->rings[i].gpus[0];
        for (int i = 0; i < KICKED; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            turn_again(s, (int)((state >> 33) % (unsigned)plan->nrings),
                       (int)((state >> 45) % (unsigned)plan->ngpus));
        }
        for (int i = 0; i < 2 * plan->nrings; i++)
            turn_again(s, i % plan->nrings, -1);
        now = plan_burden(s);
        if (now < best * (1 - rounding)) {
            best = now;
            continue;
        }
        for (int i = 0; i < plan->nrings; i++)
            turn_again(s, i, place_of(plan, &plan->rings[i], entry[i]));
    }
}

/* The first of several rings chooses without knowing the others: each is asked again. */
static void turn_all(struct plan_loads *s)
{
    const struct topology_plan *plan = s->plan;

    for (int i = 0; i < plan->nrings; i++)
        for (int k = 0; k < s->n; k++) {
            const int *gpus = plan->rings[i].gpus;

            plan_loads_begin(s);
            plan_load_way(s, gpus[k] * s->n + gpus[(k + 1) % s->n], plan->rings[i].bandwidth);
        }
    for (int i = 0; i < plan->nrings; i++)
        turn(s, &plan->rings[i]);
    for (int i = 0; i < SPREAD_ROUNDS * plan->nrings; i++)
        turn_again(s, i % plan->nrings, -1);
    if (plan->nrings > 1 && plan->nrings <= KICK_RINGS_MOST)
        kick(s);
}

/* ---- Splitting -------------------------------------------------------------------------------- */

/* Into how many each ring is split: one more of the one whose parts are widest, again and again. */
static void count_parts(const struct topology_plan *plan, int nrings, int *parts)
{
    for (int i = 0; i < plan->nrings; i++)
        parts[i] = 1;
    for (int have = plan->nrings; have < nrings; have++) {
        int widest = 0;

        for (int i = 1; i < plan->nrings; i++)
            if (plan->rings[i].bandwidth / parts[i] >
                plan->rings[widest].bandwidth / parts[widest] * (1 + 1e-9))
                widest = i;
        parts[widest]++;
    }
}

static int split(struct topology_plan *plan, int nrings)
{
    size_t bytes = (size_t)plan->ngpus * sizeof(int);
    int *parts = malloc((size_t)plan->nrings * sizeof *parts), whole = plan->nrings;
    struct topology_ring *rings = realloc(plan->rings, (size_t)nrings * sizeof *rings);
    int status = PEAL_OK;

    if (rings)
        plan->rings = rings;
    if (!rings || !parts)
        status = room_none("rings", plan->ngpus);
    else
        count_parts(plan, nrings, parts);
    for (int i = 0; i < whole && !status; i++) {
        rings[i].bandwidth /= parts[i];
        for (int k = 1; k < parts[i] && !status; k++) {
            int *gpus = malloc(bytes);

            if (gpus) {
                memcpy(gpus, rings[i].gpus, bytes);
                rings[plan->nrings++] = (struct topology_ring){ rings[i].bandwidth, gpus };
            } else {
                status = room_none("rings", plan->ngpus);
            }
        }
    }
    free(parts);
    return status;
}

int plan_spread(const struct topology *t, struct topology_plan *plan, int nrings)
{
    int status = plan->nrings && nrings > plan->nrings ? split(plan, nrings) : PEAL_OK;
    struct plan_loads s;

    if (status || plan->nrings == 0)
        return status;
    if (!(status = plan_loads_make(&s, t, plan))) {
        turn_all(&s);
        plan->busiest = plan_busiest(&s);
    }
    plan_loads_free(&s);
    return status;
}
