/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the trees of a host are joined to those of others.
 *
 * Hung from any GPU a tree uses the same links.  What hangs from it is a node of two double trees over the hosts
 * (algorithms/plan_trees.h), which together send and receive four halves of its share.  That adds, by the port of
 * the GPU, to the links that trees use in the host; it is added up by link, as for rings (plan_spread.c). */
#include "topology/plan_loads.h"

#include "base/status.h"
#include "topology/room.h"
#include "topology/trees.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double rounding = 1e-9;

/* The widest becomes two, again and again. */
static int split(struct topology_plan *plan, int ntrees)
{
    size_t bytes = (size_t)plan->ngpus * sizeof(int);
    struct topology_tree *trees = realloc(plan->trees, (size_t)ntrees * sizeof *trees);

    if (!trees)
        return room_none("trees", plan->ngpus);
    plan->trees = trees;
    while (plan->ntrees < ntrees) {
        struct topology_tree *widest = trees;
        int *parent = malloc(bytes);

        if (!parent)
            return room_none("trees", plan->ngpus);
        for (int k = 1; k < plan->ntrees; k++)
            if (trees[k].bandwidth > widest->bandwidth * (1 + rounding))
                widest = &trees[k];
        memcpy(parent, widest->parent, bytes);
        widest->bandwidth /= 2;
        trees[plan->ntrees++] = (struct topology_tree){ widest->bandwidth, widest->root, parent };
    }
    return PEAL_OK;
}

/* What the sum changes by if a tree hangs from a GPU. */
static double join(struct plan_loads *s, double bandwidth, int gpu)
{
    plan_loads_begin(s);
    return plan_load_way(s, s->n * s->n + gpu, 2 * bandwidth) +
           plan_load_way(s, (s->n + 1) * s->n + gpu, 2 * bandwidth);
}

/* From where links are burdened least; of such GPUs the one from which it is lowest. */
static void hang(struct plan_loads *s, struct topology_tree *tree)
{
    double least = INFINITY;
    int best = tree->root, lowest = s->n;
    bool any = false;

    for (int gpu = 0; gpu < s->n; gpu++)
        any |= s->plan->port[gpu] >= 0;
    for (int gpu = 0; gpu < s->n; gpu++) {
        double here = join(s, tree->bandwidth, gpu), equal = rounding * (fabs(here) + plan_burden(s));
        int height = tree_height(tree->parent, s->n, gpu);

        plan_loads_undo(s);
        if ((any && s->plan->port[gpu] < 0) || here > least + equal || (here > least - equal && height >= lowest))
            continue;
        least = here;
        lowest = height;
        best = gpu;
    }
    tree->root = best;
    tree_hang(tree->parent, best);
    join(s, tree->bandwidth, best);
}

enum { HANG_ROUNDS = 8 };

int plan_hang(const struct topology *t, struct topology_plan *plan, int ntrees, double *busiest)
{
    int status = plan->ntrees && ntrees > plan->ntrees ? split(plan, ntrees) : PEAL_OK;
    struct plan_loads s;

    if (status || plan->ntrees == 0)
        return status;
    status = plan_loads_make(&s, t, plan);
    for (int k = 0; k < plan->ntrees && !status; k++)
        for (int v = 0; v < s.n; v++) {
            int up = plan->trees[k].parent[v];

            plan_loads_begin(&s);
            if (up < 0)
                continue;
            plan_load_way(&s, v * s.n + up, plan->trees[k].bandwidth);
            plan_load_way(&s, up * s.n + v, plan->trees[k].bandwidth);
        }
    for (int k = 0; k < plan->ntrees && !status; k++)
        hang(&s, &plan->trees[k]);
    /* The first did not know the others: each is asked again. */
    for (int i = 0; i < HANG_ROUNDS * plan->ntrees && !status; i++) {
        struct topology_tree *tree = &plan->trees[i % plan->ntrees];

        join(&s, -tree->bandwidth, tree->root);
        hang(&s, tree);
    }
    if (!status)
        *busiest = plan_busiest(&s);
    plan_loads_free(&s);
    return status;
}
