/* SPDX-License-Identifier: BSD-3-Clause */
/* What may be done with rings once there are some: spreading them over ports, and judging them. */
#include "topology/plan.h"

#include "base/status.h"
#include "topology/fabric.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(int ngpus)
{
    return status_fail(PEAL_ERR_MEMORY, "topology: no memory for the rings of %d GPUs", ngpus);
}

/* ---- Spreading -------------------------------------------------------------------------------- */

/* GB/s that enter ([0]) and leave ([1]) a host: by the port of each GPU, and by the GPU itself, whose own
 * link to the port may be the narrower one. */
struct doors { double port[2][PLAN_GPUS_MOST], gpu[2][PLAN_GPUS_MOST]; };

static int last_gpu(const struct topology_plan *plan, const struct topology_ring *ring, int first)
{
    return ring->gpus[(first + plan->ngpus - 1) % plan->ngpus];
}

/* As if the ring began at its GPU number `at`. */
static void use_doors(const struct topology_plan *plan, const struct topology_ring *ring, int at,
                      struct doors *doors, double bandwidth)
{
    for (int way = 0; way < 2; way++) {
        int gpu = way ? last_gpu(plan, ring, at) : ring->gpus[at];

        doors->gpu[way][gpu] += bandwidth;
        for (int i = 0; i < plan->ngpus; i++)
            if (plan->port[i] == plan->port[gpu])
                doors->port[way][i] += bandwidth;
    }
}

static double high_power(double x)
{
    x *= x;
    x *= x;
    return x * x;
}

/* What entering by the ring's GPU number `at` adds to the sum of a high power of what doors carry, which
 * is least where the busiest carry little. */
static double burden(const struct topology_plan *plan, const struct topology_ring *ring, int at,
                     const struct doors *doors)
{
    int first = ring->gpus[at], last = last_gpu(plan, ring, at);
    const double loads[] = { doors->port[0][first], doors->gpu[0][first], doors->port[1][last],
                             doors->gpu[1][last] };
    double sum = 0;

    for (int i = 0; i < 4; i++)
        sum += high_power((loads[i] + ring->bandwidth) / plan->ring_total) -
               high_power(loads[i] / plan->ring_total);
    return sum;
}

static bool stays_on_rail(const struct topology_plan *plan, const struct topology_ring *ring, int at)
{
    return plan->port[ring->gpus[at]] == plan->port[last_gpu(plan, ring, at)];
}

static void turn_to(const struct topology_plan *plan, struct topology_ring *ring, int at,
                    struct doors *doors)
{
    int n = plan->ngpus, turned[PLAN_GPUS_MOST];

    for (int i = 0; i < n; i++)
        turned[i] = ring->gpus[(at + i) % n];
    memcpy(ring->gpus, turned, (size_t)n * sizeof *turned);
    use_doors(plan, ring, 0, doors, ring->bandwidth);
}

static const double rounding = 1e-9;

/* Turns the ring to where doors are used least; of such places to one between two GPUs of a port, so that
 * the ring stays on a rail. */
static void turn(const struct topology_plan *plan, struct topology_ring *ring, struct doors *doors)
{
    double least = burden(plan, ring, 0, doors);
    int best = 0;

    for (int i = 1; i < plan->ngpus; i++) {
        double here = burden(plan, ring, i, doors);

        if (here > least * (1 + rounding) || (here > least * (1 - rounding) &&
                                              (stays_on_rail(plan, ring, best) ||
                                               !stays_on_rail(plan, ring, i))))
            continue;
        least = here;
        best = i;
    }
    turn_to(plan, ring, best, doors);
}

static void turn_again(const struct topology_plan *plan, int index, int at, struct doors *doors)
{
    struct topology_ring *ring = &plan->rings[index];

    use_doors(plan, ring, 0, doors, -ring->bandwidth);
    if (at < 0)
        turn(plan, ring, doors);
    else
        turn_to(plan, ring, at, doors);
}

static double all_burden(const struct topology_plan *plan, const struct doors *doors)
{
    double sum = 0;

    for (int way = 0; way < 2; way++)
        for (int i = 0; i < plan->ngpus; i++)
            sum += high_power(doors->port[way][i] / plan->ring_total) +
                   high_power(doors->gpu[way][i] / plan->ring_total);
    return sum;
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
static void kick(const struct topology_plan *plan, struct doors *doors)
{
    double best = all_burden(plan, doors);
    int entry[KICK_RINGS_MOST], kicks = KICK_WORK / (plan->nrings * plan->ngpus);
    uint64_t state = 1;

    for (int k = 0; k < kicks && k < KICKS; k++) {
        double now;

        for (int i = 0; i < plan->nrings; i++)
            entry[i] = plan->rings[i].gpus[0];
        for (int i = 0; i < KICKED; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            turn_again(plan, (int)((state >> 33) % (unsigned)plan->nrings),
                       (int)((state >> 45) % (unsigned)plan->ngpus), doors);
        }
        for (int i = 0; i < 2 * plan->nrings; i++)
            turn_again(plan, i % plan->nrings, -1, doors);
        now = all_burden(plan, doors);
        if (now < best * (1 - rounding)) {
            best = now;
            continue;
        }
        for (int i = 0; i < plan->nrings; i++)
            turn_again(plan, i, place_of(plan, &plan->rings[i], entry[i]), doors);
    }
}

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
        status = no_memory(plan->ngpus);
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
                status = no_memory(plan->ngpus);
            }
        }
    }
    free(parts);
    return status;
}

/* The first of several rings chooses without knowing the others: each is asked again. */
static void turn_all(const struct topology_plan *plan)
{
    struct doors doors = { .port = { { 0 } } };

    for (int i = 0; i < plan->nrings; i++)
        turn(plan, &plan->rings[i], &doors);
    for (int i = 0; i < SPREAD_ROUNDS * plan->nrings; i++)
        turn_again(plan, i % plan->nrings, -1, &doors);
    if (plan->nrings > 1 && plan->nrings <= KICK_RINGS_MOST)
        kick(plan, &doors);
}

int plan_spread(struct topology_plan *plan, int nrings)
{
    int status = plan->nrings && nrings > plan->nrings ? split(plan, nrings) : PEAL_OK;

    if (!status)
        turn_all(plan);
    return status;
}

/* ---- Judging ---------------------------------------------------------------------------------- */

static bool add_hop(const struct fabric *f, int from, int to, double bandwidth, double *loads)
{
    if (from < 0 || to < 0 || from >= f->n || to >= f->n || !f->hop[from * f->n + to])
        return false;
    fabric_load(f, from, to, bandwidth, loads);
    return true;
}

static bool add_ring(const struct fabric *f, const struct topology_ring *ring, double *loads)
{
    bool good = true;

    for (int i = 0; i < f->n; i++)
        good &= add_hop(f, ring->gpus[i], ring->gpus[(i + 1) % f->n], ring->bandwidth, loads);
    return good;
}

static bool add_tree(const struct fabric *f, const struct topology_tree *tree, double *loads)
{
    bool good = true;

    for (int i = 0; i < f->n; i++)
        if (i != tree->root)
            good &= add_hop(f, i, tree->parent[i], tree->bandwidth, loads) &&
                    add_hop(f, tree->parent[i], i, tree->bandwidth, loads);
    return good;
}

int plan_evaluate(const struct topology *t, const int *gpus, int ngpus,
                  const struct topology_ring *rings, int nrings,
                  const struct topology_tree *trees, int ntrees, double *total)
{
    size_t n = (size_t)ngpus;
    struct topology_path *paths = malloc(n * n * sizeof *paths + 1);
    struct fabric f = { .n = 0 };
    double *loads = NULL, most = 0, sum = 0;
    bool good = true;
    int status = paths ? paths_to(t, gpus, ngpus, gpus, ngpus, CLASS_SYS, paths) : no_memory(ngpus);

    if (!status)
        status = fabric_build(&f, t, gpus, ngpus, paths, false);
    if (!status && !(loads = calloc((size_t)f.nrows + 1, sizeof *loads)))
        status = no_memory(ngpus);
    for (int i = 0; i < nrings && !status; i++) {
        good &= add_ring(&f, &rings[i], loads);
        sum += rings[i].bandwidth;
    }
    for (int i = 0; i < ntrees && !status; i++) {
        good &= add_tree(&f, &trees[i], loads);
        sum += trees[i].bandwidth;
    }
    for (int i = 0; i < f.nrows && !status; i++)
        most = fmax(most, loads[i] / f.capacity[i]);
    *total = !status && good && most > 0 ? sum / most : 0;
    fabric_free(&f);
    free(loads);
    free(paths);
    return status;
}
