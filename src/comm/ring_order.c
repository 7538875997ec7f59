/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/ring_order.h"

#include "base/log.h"
#include "base/status.h"
#include "comm/position.h"
#include "topology/plan.h"
#include "topology/topology_source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double plan_seconds = 1;

/* ---- Rings of a host --------------------------------------------------------------------- */

static const struct topology_ring *widest(const struct topology_plan *plan)
{
    const struct topology_ring *ring = plan->rings;

    for (int i = 1; i < plan->nrings; i++)
        if (plan->rings[i].bandwidth > ring->bandwidth * (1 + 1e-9))
            ring = &plan->rings[i];
    return ring;
}

/* Where a GPU, by its index in the plan, stands in a ring. */
static int place_in(const struct topology_ring *ring, int gpu)
{
    int i = 0;

    while (ring->gpus[i] != gpu)
        i++;
    return i;
}

/* In the widest ring; where there is none, in the order of their numbers. */
static int position_of(const struct topology_plan *plan, int gpu)
{
    return 1 + (plan->nrings > 0 ? place_in(widest(plan), gpu) : gpu);
}

static void take_turns(const struct topology_plan *plan, const int *gpus, int n, struct record *record)
{
    for (int i = 0; i < n; i++) {
        int gpu = 0;

        while (plan->gpus[gpu] != gpus[i])
            gpu++;
        record->turns[i] = (uint8_t)position_of(plan, gpu);
    }
    record->nturns = (uint16_t)n;
}

static bool among(int node, const int *nodes, int n)
{
    for (int i = 0; i < n; i++)
        if (nodes[i] == node)
            return true;
    return false;
}

/* Over the GPUs that the ranks have, if several are named; else those of the others are not known, and
 * it is over all. */
static int find_plan(const struct topology *t, const int *turns, int nturns,
                     struct topology_plan *plan)
{
    int gpus[RECORD_TURNS], n = 0;

    for (int i = 0; i < nturns; i++)
        if (!among(turns[i], gpus, n))
            gpus[n++] = turns[i];
    return n > 1 ? plan_find(t, 0, gpus, n, plan_seconds, plan) :
                   plan_find(t, 0, NULL, 0, plan_seconds, plan);
}

/* FNV-1a, of numbers and not of what lies between them. */
static uint64_t hash(uint64_t h, unsigned number)
{
    for (int i = 0; i < 2; i++, number >>= 8)
        h = (h ^ (number & 0xff)) * UINT64_C(0x100000001b3);
    return h;
}

static uint64_t hash_plan(const struct layout_plan *plan, int ngpus)
{
    const struct layout_rings *rings = &plan->rings;
    const struct layout_trees *trees = &plan->trees;
    uint64_t h = hash(hash(UINT64_C(0xcbf29ce484222325), (unsigned)ngpus), (unsigned)rings->count);

    for (int r = 0; r < rings->count; r++) {
        h = hash(h, rings->list[r].share);
        h = hash(h, rings->list[r].alternates);
        for (int i = 0; i < ngpus; i++)
            h = hash(h, rings->list[r].place[i]);
    }
    for (int k = 0; k < trees->count; k++) {
        h = hash(h, trees->list[k].share);
        for (int i = 0; i < ngpus; i++)
            h = hash(h, trees->list[k].parent[i]);
    }
    return h ? h : 1;
}

/* Shares are multiples of this part of the largest, so that small ratios are exact. */
static const double whole_share = 2 * 2 * 2 * 2 * 3 * 3 * 5 * 7 * 11;

static uint16_t share_of(double bandwidth, double most)
{
    return (uint16_t)fmax(1, floor(bandwidth / most * whole_share + 0.5));
}

/* `index`: of each place, the GPU's in the plan. */
static void write_rings(const struct topology_plan *plan, const int *index, struct layout_rings *rings)
{
    double most = widest(plan)->bandwidth;
    int n = plan->ngpus;

    rings->count = plan->nrings;
    for (int r = 0; r < rings->count; r++) {
        const struct topology_ring *ring = &plan->rings[r];
        struct layout_ring *to = &rings->list[r];

        to->share = share_of(ring->bandwidth, most);
        to->alternates = plan->port[ring->gpus[0]] != plan->port[ring->gpus[n - 1]];
        for (int i = 0; i < n; i++)
            to->place[i] = (uint8_t)place_in(ring, index[i]);
    }
}

static int count_ports(const struct topology_plan *plan)
{
    int ports = 0;

    for (int i = 0; i < plan->ngpus; i++)
        ports += plan->port[i] >= 0 && !among(plan->port[i], plan->port, i);
    return ports;
}

static void free_rings(struct topology_plan *plan)
{
    for (int i = 0; i < plan->nrings; i++)
        free(plan->rings[i].gpus);
    free(plan->rings);
}

/* The same plan with rings of its own, split until there are so many. */
static int split_rings(const struct topology *t, const struct topology_plan *plan, int nrings,
                       struct topology_plan *split)
{
    size_t bytes = (size_t)plan->ngpus * sizeof(int);

    *split = *plan;
    split->nrings = 0;
    split->rings = malloc((size_t)plan->nrings * sizeof *split->rings);
    for (int i = 0; i < plan->nrings && split->rings; i++) {
        int *gpus = malloc(bytes);

        if (!gpus)
            break;
        memcpy(gpus, plan->rings[i].gpus, bytes);
        split->rings[split->nrings++] = (struct topology_ring){ plan->rings[i].bandwidth, gpus };
    }
    if (split->nrings < plan->nrings)
        return status_fail(PEAL_ERR_MEMORY, "no memory for the rings of %d GPUs", plan->ngpus);
    return plan_spread(t, split, nrings);
}

static const double clearly = 0.98;

/* The plan's rings over the places of the widest, split so that they use the ways out of the host
 * evenly: into as many as there are ports, or so many for each GPU that the busiest link clearly has
 * less to do. */
static int take_rings(const struct topology *t, const struct topology_plan *plan,
                      struct layout_rings *rings)
{
    enum { EACH_MOST = 3 };
    double least = INFINITY;
    int status = PEAL_OK, ports = count_ports(plan), n = plan->ngpus;

    if (plan->nrings == 0 || n > RECORD_TURNS)
        return PEAL_OK;
    for (int each = 0; each <= EACH_MOST && each * n <= LAYOUT_CHANNELS && !status; each++) {
        struct topology_plan split;

        status = split_rings(t, plan, each ? each * n : ports, &split);
        if (!status && split.nrings <= LAYOUT_CHANNELS && split.busiest < least * clearly) {
            least = split.busiest;
            write_rings(&split, widest(plan)->gpus, rings);
        }
        free_rings(&split);
    }
    return status;
}

/* ---- Its trees ----------------------------------------------------------------------- */

/* Over the places of the widest ring. */
static void write_trees(const struct topology_plan *plan, struct layout_trees *trees)
{
    double most = 0;

    trees->count = plan->ntrees;
    for (int k = 0; k < trees->count; k++)
        most = fmax(most, plan->trees[k].bandwidth);
    for (int k = 0; k < trees->count; k++) {
        const struct topology_tree *tree = &plan->trees[k];

        trees->list[k].share = share_of(tree->bandwidth, most);
        for (int i = 0; i < plan->ngpus; i++)
            trees->list[k].parent[position_of(plan, i) - 1] =
                (uint8_t)(tree->parent[i] < 0 ? 0 : position_of(plan, tree->parent[i]));
    }
}

/* As many as there are ports at least, so that all of these may be used, or so many more that the busiest link
 * clearly has less to do. */
static int take_trees(const struct topology *t, struct topology_plan *plan, struct layout_trees *trees)
{
    const int tried[] = { count_ports(plan), LAYOUT_CHANNELS / 2, LAYOUT_CHANNELS };
    double least = INFINITY, busiest = 0;
    int status = PEAL_OK;

    if (plan->ntrees == 0 || plan->ngpus > LAYOUT_MEMBERS)
        return PEAL_OK;
    for (int i = 0; i < 3 && !status; i++) {
        if (i > 0 && tried[i] <= plan->ntrees)
            continue;                  /* there are so many already */
        status = plan_hang(t, plan, tried[i], &busiest);
        if (!status && plan->ntrees <= LAYOUT_CHANNELS && busiest < least * clearly) {
            least = busiest;
            write_trees(plan, trees);
        }
    }
    return status;
}

/* ---- All of a host -------------------------------------------------------------------- */

int ring_order_find(const struct topology *t, struct record *record, struct layout_plan *ways)
{
    int gpus[RECORD_TURNS], n, status = position_turns(t, gpus, RECORD_TURNS, &n);
    struct topology_plan plan;
    char kept[STATUS_TEXT];

    record->nturns = 0;
    record->where.plan = 0;
    *ways = (struct layout_plan){ .rings.count = 0 };
    if (status || n == 0)
        return status;
    status_keep(kept);
    status = find_plan(t, gpus, n, &plan);
    if (status == PEAL_ERR_ARGUMENT) {         /* nothing joins them */
        status_restore(kept);
        return PEAL_OK;
    }
    if (status)
        return status;
    take_turns(&plan, gpus, n, record);
    status = take_rings(t, &plan, &ways->rings);
    if (!status)
        status = take_trees(t, &plan, &ways->trees);
    if (status)
        *ways = (struct layout_plan){ .rings.count = 0 };
    if (ways->rings.count > 1 || ways->trees.count)
        record->where.plan = hash_plan(ways, plan.ngpus);
    topology_plan_free(&plan);
    return status;
}

void ring_order_here(struct record *record, struct layout_plan *ways)
{
    const struct topology *t;
    char kept[STATUS_TEXT];

    record->nturns = 0;
    record->where.plan = 0;
    *ways = (struct layout_plan){ .rings.count = 0 };
    if (!topology_may_have_gpus())
        return;
    status_keep(kept);
    if (position_machine(&t) || ring_order_find(t, record, ways))
        log_warn("%s the links between the GPUs of this host: %s",
                 record->nturns ? "one ring, but neither channels nor trees, follows" : "rings do not follow",
                 status_text());
    status_restore(kept);
}

/* ---- Of all ------------------------------------------------------------------------- */

/* Those of a host in the order of their numbers: they lie in an array. */
static int by_host(const void *a, const void *b)
{
    const struct record *const *first = a, *const *second = b;
    uint64_t x = (*first)->where.host, y = (*second)->where.host;

    return x != y ? (x > y) - (x < y) : (*first > *second) - (*first < *second);
}

int ring_order_take(struct record *records, int nranks)
{
    struct record **order;
    int first = 0;
    bool any = false;

    for (int r = 0; r < nranks; r++)
        any |= records[r].nturns > 0;
    if (!any)
        return PEAL_OK;
    order = malloc((size_t)nranks * sizeof *order);
    if (!order)
        return status_fail(PEAL_ERR_MEMORY, "no memory for the order of %d ranks", nranks);
    for (int r = 0; r < nranks; r++)
        order[r] = &records[r];
    qsort(order, (size_t)nranks, sizeof *order, by_host);
    for (int i = 0; i < nranks; i++) {
        struct record *r = order[i];

        if (r->where.host != order[first]->where.host)
            first = i;
        if (r->nturns > 0)
            r->where.ring = r->turns[(i - first) % r->nturns];
    }
    free(order);
    return PEAL_OK;
}
