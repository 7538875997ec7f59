/* SPDX-License-Identifier: BSD-3-Clause */
/* The plan: GPUs, islands, rings, trees, NICs.
 *
 * Rings use NVLink alone where it joins all GPUs in a ring (trees: where it joins all), for beside it
 * PCI adds little and belongs to the NICs.  Where it does not, all nearest paths are used. */
#include "topology/plan.h"

#include "base/clock.h"
#include "base/status.h"
#include "topology/rings.h"
#include "topology/room.h"
#include "topology/trees.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)PLAN_GPUS_MOST == (int)FABRIC_GPUS_MOST, "a plan's GPUs are a fabric's");

/* ---- GPUs and islands -------------------------------------------------------------------- */

static bool later(const struct topology *t, int a, int b)
{
    const struct topology_node *x = &t->nodes[a], *y = &t->nodes[b];

    if (x->host != y->host)
        return x->host > y->host;
    return x->number != y->number ? x->number > y->number : a > b;
}

static int take_gpus(const struct topology *t, int host, const int *gpus, int ngpus,
                     struct topology_plan *plan)
{
    if (!gpus)
        ngpus = topology_count(t, TOPOLOGY_GPU, host);
    if (ngpus < 1 || ngpus > PLAN_GPUS_MOST)
        return status_fail(PEAL_ERR_ARGUMENT, "topology: a plan for %d GPUs; it can be for 1 to %d",
                           ngpus, PLAN_GPUS_MOST);
    plan->gpus = malloc((size_t)ngpus * sizeof *plan->gpus);
    plan->group = malloc((size_t)ngpus * sizeof *plan->group);
    plan->port = malloc((size_t)ngpus * sizeof *plan->port);
    if (!plan->gpus || !plan->group || !plan->port)
        return room_none("plan", ngpus);
    for (int i = 0, node = 0; i < ngpus; i++, node++) {
        int gpu = gpus ? gpus[i] : node, at = i;

        while (!gpus && (t->nodes[gpu].kind != TOPOLOGY_GPU ||
                         (host >= 0 && t->nodes[gpu].host != host)))
            gpu = ++node;
        if (gpu < 0 || gpu >= t->nnodes || t->nodes[gpu].kind != TOPOLOGY_GPU)
            return status_fail(PEAL_ERR_ARGUMENT, "topology: a plan with something that is no GPU");
        for (; at > 0 && later(t, plan->gpus[at - 1], gpu); at--)
            plan->gpus[at] = plan->gpus[at - 1];
        if (at > 0 && plan->gpus[at - 1] == gpu)
            return status_fail(PEAL_ERR_ARGUMENT, "topology: a plan with %s twice",
                               t->nodes[gpu].name);
        plan->gpus[at] = gpu;
        plan->ngpus = i + 1;
    }
    return PEAL_OK;
}

/* Islands of NVLink, in the order of their first GPUs. */
static void find_groups(struct topology_plan *plan, const struct topology_path *paths)
{
    int n = plan->ngpus, queue[PLAN_GPUS_MOST];

    for (int i = 0; i < n; i++)
        plan->group[i] = -1;
    plan->ngroups = 0;
    for (int i = 0; i < n; i++) {
        int tail = 0;

        if (plan->group[i] >= 0)
            continue;
        plan->group[i] = plan->ngroups;
        queue[tail++] = i;
        for (int head = 0; head < tail; head++)
            for (int k = 0; k < n; k++) {
                enum topology_class class = paths[queue[head] * n + k].class;

                if (plan->group[k] >= 0 || (class != CLASS_NVLINK && class != CLASS_NVSWITCH))
                    continue;
                plan->group[k] = plan->ngroups;
                queue[tail++] = k;
            }
        plan->ngroups++;
    }
}

/* ---- From what was found to the plan ------------------------------------------------------- */

static int take_rings(struct topology_plan *plan, const struct rings *rings)
{
    size_t n = (size_t)plan->ngpus;

    plan->rings = calloc((size_t)rings->count + 1, sizeof *plan->rings);
    if (!plan->rings)
        return room_none("plan", plan->ngpus);
    for (int i = 0; i < rings->count; i++) {
        plan->rings[i].bandwidth = rings->shares[i];
        plan->rings[i].gpus = malloc(n * sizeof *plan->rings[i].gpus);
        if (!plan->rings[i].gpus)
            return room_none("plan", plan->ngpus);
        memcpy(plan->rings[i].gpus, rings->orders + (size_t)i * n, n * sizeof *rings->orders);
        plan->nrings = i + 1;
    }
    plan->ring_total = rings->total;
    plan->bound = rings->bound;
    plan->optimal = rings->optimal;
    snprintf(plan->proof, sizeof plan->proof, "%s", rings->proof);
    return PEAL_OK;
}

static int take_trees(struct topology_plan *plan, const struct trees *trees)
{
    size_t n = (size_t)plan->ngpus;

    plan->trees = calloc((size_t)trees->count + 1, sizeof *plan->trees);
    if (!plan->trees)
        return room_none("plan", plan->ngpus);
    for (int i = 0; i < trees->count; i++) {
        struct topology_tree *tree = &plan->trees[i];

        tree->bandwidth = trees->shares[i];
        tree->root = trees->roots[i];
        tree->parent = malloc(n * sizeof *tree->parent);
        if (!tree->parent)
            return room_none("plan", plan->ngpus);
        memcpy(tree->parent, trees->parents + (size_t)i * n, n * sizeof *tree->parent);
        plan->ntrees = i + 1;
    }
    plan->tree_total = trees->total;
    plan->tree_bound = trees->bound;
    return PEAL_OK;
}

/* ---- The search ------------------------------------------------------------------------------ */

struct planner {
    const struct topology *t;
    struct topology_plan *plan;
    struct topology_path *paths;
    struct fabric nvlink, all;
    struct effort effort;
};

static int add_rings(struct planner *p)
{
    struct rings rings = { .count = 0 };
    int status = PEAL_OK;

    if (fabric_connected(&p->nvlink)) {
        status = fabric_bound(&p->nvlink, p->t, p->paths);
        if (!status)
            status = rings_find(&p->nvlink, &p->effort, &rings);
    }
    if (!status && !rings.count) {
        rings_free(&rings);
        status = fabric_bound(&p->all, p->t, p->paths);
        if (!status)
            status = rings_find(&p->all, &p->effort, &rings);
    }
    if (!status && !rings.count) {
        rings.bound = 0;
        snprintf(rings.proof, sizeof rings.proof, "there is no ring: some GPUs reach each other only "
                 "by way of others");
    }
    if (!status)
        status = take_rings(p->plan, &rings);
    rings_free(&rings);
    return status;
}

static int add_trees(struct planner *p)
{
    struct effort effort = effort_part(&p->effort, 0.5);
    double had = effort.steps;
    struct trees trees;
    int status = trees_find(fabric_connected(&p->nvlink) ? &p->nvlink : &p->all, &effort, &trees);

    effort_return(&p->effort, &effort, had);
    if (!status)
        status = take_trees(p->plan, &trees);
    trees_free(&trees);
    return status;
}

/* Two GPUs that nothing joins, for the error. */
static int not_joined(const struct planner *p)
{
    const struct topology_plan *plan = p->plan;

    for (int i = 1; i < plan->ngpus; i++)
        if (p->paths[i].class >= CLASS_NET)
            return status_fail(PEAL_ERR_ARGUMENT, "topology: nothing joins %s and %s but perhaps the "
                               "network; no plan has both", p->t->nodes[plan->gpus[0]].name,
                               p->t->nodes[plan->gpus[i]].name);
    return status_fail(PEAL_ERR_ARGUMENT, "topology: nothing joins all GPUs");
}

static int search(struct planner *p, double seconds)
{
    struct topology_plan *plan = p->plan;
    size_t n = (size_t)plan->ngpus;
    int status;

    p->paths = malloc(n * n * sizeof *p->paths);
    if (!p->paths)
        return room_none("plan", plan->ngpus);
    status = paths_to(p->t, plan->gpus, plan->ngpus, plan->gpus, plan->ngpus, CLASS_SYS, p->paths);
    if (!status)
        status = plan_ports(p->t, plan->gpus, plan->ngpus, plan->port);
    if (status)
        return status;
    find_groups(plan, p->paths);
    if (n == 1) {
        plan->optimal = true;
        snprintf(plan->proof, sizeof plan->proof, "one GPU: nothing to plan");
        return PEAL_OK;
    }
    status = fabric_build(&p->nvlink, p->t, plan->gpus, plan->ngpus, p->paths, true);
    if (!status)
        status = fabric_build(&p->all, p->t, plan->gpus, plan->ngpus, p->paths, false);
    if (!status && !fabric_connected(&p->all))
        status = not_joined(p);
    /* Trees first: their search is short, and not to be what the clock cuts off. */
    p->effort = effort_of(seconds);
    if (!status)
        status = add_trees(p);
    if (!status)
        status = add_rings(p);
    return status ? status : plan_spread(p->t, plan, plan->nrings);
}

int plan_find(const struct topology *t, int host, const int *gpus, int ngpus, double seconds,
              struct topology_plan *plan)
{
    struct planner p = { .t = t, .plan = plan };
    uint64_t start = clock_now();
    int status;

    *plan = (struct topology_plan){ .ngpus = 0 };
    status = take_gpus(t, host, gpus, ngpus, plan);
    if (!status)
        status = search(&p, seconds);
    fabric_free(&p.nvlink);
    fabric_free(&p.all);
    free(p.paths);
    plan->seconds = (double)(clock_now() - start) * 1e-9;
    if (status)
        topology_plan_free(plan);
    return status;
}

void topology_plan_free(struct topology_plan *plan)
{
    for (int i = 0; i < plan->nrings; i++)
        free(plan->rings[i].gpus);
    for (int i = 0; i < plan->ntrees; i++)
        free(plan->trees[i].parent);
    free(plan->gpus);
    free(plan->group);
    free(plan->port);
    free(plan->rings);
    free(plan->trees);
    *plan = (struct topology_plan){ .ngpus = 0 };
}
