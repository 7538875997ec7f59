/* SPDX-License-Identifier: BSD-3-Clause */
/* Judging rings and trees, whoever found them. */
#include "topology/plan.h"

#include "base/status.h"
#include "topology/fabric.h"
#include "topology/room.h"

#include <math.h>
#include <stdlib.h>

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
    int status = paths ? paths_to(t, gpus, ngpus, gpus, ngpus, CLASS_SYS, paths)
                       : room_none("rings", ngpus);

    if (!status)
        status = fabric_build(&f, t, gpus, ngpus, paths, false);
    if (!status && !(loads = calloc((size_t)f.nrows + 1, sizeof *loads)))
        status = room_none("rings", ngpus);
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
