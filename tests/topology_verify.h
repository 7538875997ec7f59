/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether a plan is what it says.  For files that have included checks.h. */
#ifndef TOPOLOGY_VERIFY_H
#define TOPOLOGY_VERIFY_H

#include "topology/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Adds a hop's share to each directed link on its path. */
static bool verify_hop(const struct topology *t, int from, int to, double share, double *loads)
{
    struct topology_path path;
    int at = from;

    if (path_find(t, from, to, &path) || path.class >= CLASS_NET)
        return false;
    for (int i = 0; i < path.nhops; i++) {
        const struct topology_link *link = &t->links[path.hops[i] / 2];

        if (at != (path.hops[i] & 1 ? link->b : link->a))
            return false;
        at = link->a + link->b - at;
        loads[path.hops[i]] += share;
    }
    return at == to;
}

static void verify_loads(const char *name, const char *what, const struct topology *t,
                         const double *loads)
{
    for (int i = 0; i < t->nlinks * 2; i++)
        check(loads[i] <= t->links[i / 2].bandwidth * (1 + 1e-9), "%s: %s load a link between %s and %s "
              "with %.12g of %.12g GB/s", name, what, t->nodes[t->links[i / 2].a].name,
              t->nodes[t->links[i / 2].b].name, loads[i], t->links[i / 2].bandwidth);
}

static void verify_tree(const char *name, const struct topology_plan *plan, int index)
{
    const struct topology_tree *tree = &plan->trees[index];

    for (int i = 0; i < plan->ngpus; i++) {
        int at = i, steps = 0;

        while (at != tree->root && at >= 0 && at < plan->ngpus && steps++ <= plan->ngpus)
            at = tree->parent[at];
        check(at == tree->root, "%s: tree %d: no way from GPU %d to the root", name, index, i);
    }
    check(tree->parent[tree->root] == -1 && tree->bandwidth > 0, "%s: tree %d: its root or bandwidth",
          name, index);
}

static void verify_rings(const char *name, const struct topology *t, const struct topology_plan *plan,
                         double *loads)
{
    int n = plan->ngpus;
    double total = 0;

    for (int i = 0; i < plan->nrings; i++) {
        const struct topology_ring *ring = &plan->rings[i];
        int seen[PLAN_GPUS_MOST] = { 0 };

        for (int k = 0; k < n; k++) {
            check(ring->gpus[k] >= 0 && ring->gpus[k] < n && !seen[ring->gpus[k]]++,
                  "%s: ring %d: GPU %d twice, or none", name, i, ring->gpus[k]);
            check(verify_hop(t, plan->gpus[ring->gpus[k]], plan->gpus[ring->gpus[(k + 1) % n]],
                             ring->bandwidth, loads), "%s: ring %d: no way on from %d", name, i, k);
        }
        check(ring->bandwidth > 0, "%s: ring %d: bandwidth %g", name, i, ring->bandwidth);
        total += ring->bandwidth;
    }
    check(fabs(total - plan->ring_total) <= 1e-9 * total, "%s: the rings' sum is %.12g, not %.12g", name,
          total, plan->ring_total);
    check(plan->ring_total <= plan->bound * (1 + 1e-9) || !plan->nrings, "%s: above the bound", name);
    check(!plan->optimal || plan->ring_total >= plan->bound * (1 - 2e-6), "%s: called optimal, with "
          "%.12g of %.12g", name, plan->ring_total, plan->bound);
    verify_loads(name, "rings", t, loads);
}

/* All that a plan says of itself. */
static void verify_plan(const char *name, const struct topology *t, const struct topology_plan *plan)
{
    double *loads = calloc((size_t)t->nlinks * 2 + 1, sizeof *loads), total = 0, together = 0;

    verify_rings(name, t, plan, loads);
    memset(loads, 0, (size_t)t->nlinks * 2 * sizeof *loads);
    for (int i = 0; i < plan->ntrees; i++) {
        const struct topology_tree *tree = &plan->trees[i];

        verify_tree(name, plan, i);
        for (int k = 0; k < plan->ngpus; k++) {
            if (k == tree->root)
                continue;
            verify_hop(t, plan->gpus[k], plan->gpus[tree->parent[k]], tree->bandwidth, loads);
            verify_hop(t, plan->gpus[tree->parent[k]], plan->gpus[k], tree->bandwidth, loads);
        }
        total += tree->bandwidth;
    }
    verify_loads(name, "trees", t, loads);
    check(fabs(total - plan->tree_total) <= 1e-9 * total, "%s: the trees' sum is %.12g, not %.12g", name,
          total, plan->tree_total);
    check(plan->tree_total <= plan->tree_bound * (1 + 1e-9), "%s: trees above their bound", name);
    check(plan->proof[0], "%s: no word of proof", name);
    if (plan->nrings)
        check(!plan_evaluate(t, plan->gpus, plan->ngpus, plan->rings, plan->nrings, NULL, 0,
                             &together) && together >= plan->ring_total * (1 - 1e-9),
              "%s: its rings carry %.12g together, not %.12g", name, together, plan->ring_total);
    free(loads);
}

#endif
