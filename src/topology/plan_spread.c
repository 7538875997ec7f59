/* SPDX-License-Identifier: BSD-3-Clause */
/* Where rings enter and leave a host.
 *
 * A ring over several hosts is open in each: it comes in by the port of its first GPU and goes out by that
 * of its last, in place of the hop from the last to the first.  What ports carry adds to the PCI links and
 * sockets that rings use too; what that hop would carry is taken off them.  All of it is added up by link,
 * and rings are turned until the busiest links carry little of what they can. */
#include "topology/plan.h"

#include "base/status.h"
#include "topology/room.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Links ------------------------------------------------------------------------------------ */

/* A slot is a direction of a link that some way uses.  Ways: from each GPU to each other, n * n; from each to
 * its port, n; from its port to each, n. */
struct spread {
    const struct topology_plan *plan;
    int     n, nslots;
    int    *first, *slots;             /* way w: slots[first[w]] ... slots[first[w + 1] - 1] */
    double *loads, *capacity;          /* by slot, GB/s */
    int     nundo, undo[3 * PATH_HOPS];
    double  before[3 * PATH_HOPS];     /* what the slots changed last carried */
};

/* `number`: by hop, the slot, or -1. */
static void add_way(struct spread *s, const struct topology *t, const struct topology_path *path, bool back,
                    int way, int *number)
{
    int at = s->first[way];

    for (int i = 0; path && i < path->nhops; i++) {
        int hop = path->hops[i] ^ back;

        if (number[hop] < 0) {
            s->capacity[s->nslots] = t->links[hop / 2].bandwidth;
            number[hop] = s->nslots++;
        }
        s->slots[at++] = number[hop];
    }
    s->first[way + 1] = at;
}

/* `paths`: from each GPU to the GPUs and then to the `nports` ports. */
static void add_ways(struct spread *s, const struct topology *t, const struct topology_path *paths,
                     const int *ports, int nports, int *number)
{
    int n = s->n, each = n + nports;

    for (int hop = 0; hop < 2 * t->nlinks; hop++)
        number[hop] = -1;
    for (int way = 0; way < n * n; way++)
        add_way(s, t, &paths[way / n * each + way % n], false, way, number);
    for (int back = 0; back < 2; back++)
        for (int i = 0; i < n; i++) {
            int p = 0;

            while (p < nports && ports[p] != s->plan->port[i])
                p++;
            add_way(s, t, p < nports ? &paths[i * each + n + p] : NULL, back, (n + back) * n + i, number);
        }
}

static int list_ports(const struct topology_plan *plan, int *ports)
{
    int nports = 0;

    for (int i = 0; i < plan->ngpus; i++) {
        int p = 0;

        while (p < nports && ports[p] != plan->port[i])
            p++;
        if (p == nports && plan->port[i] >= 0)
            ports[nports++] = plan->port[i];
    }
    return nports;
}

static void spread_free(struct spread *s)
{
    free(s->first);
    free(s->slots);
    free(s->loads);
}

static int spread_make(struct spread *s, const struct topology *t, const struct topology_plan *plan)
{
    size_t n = (size_t)plan->ngpus, ways = n * n + 2 * n, hops = 2 * (size_t)t->nlinks;
    int nodes[2 * PLAN_GPUS_MOST], nports, *number = malloc(hops * sizeof *number + 1);
    struct topology_path *paths = malloc(2 * n * n * sizeof *paths);
    int status = PEAL_OK;

    *s = (struct spread){ .plan = plan, .n = plan->ngpus, .first = calloc(ways + 1, sizeof *s->first),
                          .slots = malloc(ways * PATH_HOPS * sizeof *s->slots),
                          .loads = calloc(hops + 1, 2 * sizeof *s->loads) };
    memcpy(nodes, plan->gpus, n * sizeof *nodes);
    nports = list_ports(plan, nodes + n);
    if (!number || !paths || !s->first || !s->slots || !s->loads)
        status = room_none("rings", plan->ngpus);
    else
        status = paths_to(t, nodes, s->n, nodes, s->n + nports, CLASS_SYS, paths);
    if (!status) {
        s->capacity = s->loads + hops;
        add_ways(s, t, paths, nodes + n, nports, number);
    }
    free(number);
    free(paths);
    return status;
}

/* ---- Loads ------------------------------------------------------------------------------------ */

/* The sum of these is small where the busiest links carry little.  With higher powers only the busiest count,
 * and the search has no way to follow. */
static double burden_of(const struct spread *s, int slot)
{
    double x = s->loads[slot] / s->capacity[slot];

    x *= x;
    return x * x;
}

/* What the sum changes by. */
static double load_way(struct spread *s, int way, double bandwidth)
{
    double sum = 0;

    for (int i = s->first[way]; i < s->first[way + 1]; i++) {
        int slot = s->slots[i];

        s->undo[s->nundo] = slot;
        s->before[s->nundo++] = s->loads[slot];
        sum -= burden_of(s, slot);
        s->loads[slot] += bandwidth;
        sum += burden_of(s, slot);
    }
    return sum;
}

/* As if the ring, closed, were opened before its GPU number `at`; `bandwidth` below 0: closed again. */
static double open_ring(struct spread *s, const struct topology_ring *ring, int at, double bandwidth)
{
    int n = s->n, gpu = ring->gpus[at], last = ring->gpus[(at + n - 1) % n];

    s->nundo = 0;
    return load_way(s, last * n + gpu, -bandwidth) + load_way(s, n * n + last, bandwidth) +
           load_way(s, (n + 1) * n + gpu, bandwidth);
}

/* What opening it there would change the sum by. */
static double burden(struct spread *s, const struct topology_ring *ring, int at)
{
    double sum = open_ring(s, ring, at, ring->bandwidth);

    while (s->nundo > 0) {
        s->nundo--;
        s->loads[s->undo[s->nundo]] = s->before[s->nundo];
    }
    return sum;
}

/* ---- Turning ---------------------------------------------------------------------------------- */

static bool stays_on_rail(const struct topology_plan *plan, const struct topology_ring *ring, int at)
{
    int last = ring->gpus[(at + plan->ngpus - 1) % plan->ngpus];

    return plan->port[ring->gpus[at]] == plan->port[last];
}

static void turn_to(struct spread *s, struct topology_ring *ring, int at)
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
static void turn(struct spread *s, struct topology_ring *ring)
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

static void turn_again(struct spread *s, int index, int at)
{
    struct topology_ring *ring = &s->plan->rings[index];

    open_ring(s, ring, 0, -ring->bandwidth);
    if (at < 0)
        turn(s, ring);
    else
        turn_to(s, ring, at);
}

static double all_burden(const struct spread *s)
{
    double sum = 0;

    for (int slot = 0; slot < s->nslots; slot++)
        sum += burden_of(s, slot);
    return sum;
}

static int place_of(const struct topology_plan *plan, const struct topology_ring *ring, int gpu)
{
    int at = 0;

    while (at < plan->ngpus - 1 && ring->gpus[at] != gpu)
        at++;
    return at;
}

static double busiest(const struct spread *s)
{
    double most = 0;

    for (int slot = 0; slot < s->nslots; slot++)
        most = fmax(most, s->loads[slot] / s->capacity[slot]);
    return most;
}

/* KICK_WORK: kicks times rings times GPUs, a tenth of a second. */
enum { KICKED = 4, KICKS = 1000, KICK_WORK = 1 << 20, KICK_RINGS_MOST = 64, SPREAD_ROUNDS = 8 };

/* Where no ring is better off by turning alone, a few are turned at random and all are asked again; what
 * is worse is undone (iterated local search; the same each time). */
static void kick(struct spread *s)
{
    const struct topology_plan *plan = s->plan;
    int entry[KICK_RINGS_MOST], kicks = KICK_WORK / (plan->nrings * plan->ngpus);
    double best = all_burden(s);
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
        now = all_burden(s);
        if (now < best * (1 - rounding)) {
            best = now;
            continue;
        }
        for (int i = 0; i < plan->nrings; i++)
            turn_again(s, i, place_of(plan, &plan->rings[i], entry[i]));
    }
}

/* The first of several rings chooses without knowing the others: each is asked again. */
static void turn_all(struct spread *s)
{
    const struct topology_plan *plan = s->plan;

    for (int i = 0; i < plan->nrings; i++)
        for (int k = 0; k < s->n; k++) {
            const int *gpus = plan->rings[i].gpus;

            s->nundo = 0;
            load_way(s, gpus[k] * s->n + gpus[(k + 1) % s->n], plan->rings[i].bandwidth);
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
    struct spread s;

    if (status || plan->nrings == 0)
        return status;
    if (!(status = spread_make(&s, t, plan))) {
        turn_all(&s);
        plan->busiest = busiest(&s);
    }
    spread_free(&s);
    return status;
}
