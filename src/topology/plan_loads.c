/* SPDX-License-Identifier: BSD-3-Clause */
#include "topology/plan_loads.h"

#include "base/status.h"
#include "topology/room.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Links ------------------------------------------------------------------------------------ */

/* `number`: by hop, the slot, or -1. */
static void add_way(struct plan_loads *s, const struct topology *t, const struct topology_path *path, bool back,
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
static void add_ways(struct plan_loads *s, const struct topology *t, const struct topology_path *paths,
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

void plan_loads_free(struct plan_loads *s)
{
    free(s->first);
    free(s->slots);
    free(s->loads);
}

int plan_loads_make(struct plan_loads *s, const struct topology *t, const struct topology_plan *plan)
{
    size_t n = (size_t)plan->ngpus, ways = n * n + 2 * n, hops = 2 * (size_t)t->nlinks;
    int nodes[2 * PLAN_GPUS_MOST], nports, *number = malloc(hops * sizeof *number + 1);
    struct topology_path *paths = malloc(2 * n * n * sizeof *paths);
    int status = PEAL_OK;

    *s = (struct plan_loads){ .plan = plan, .n = plan->ngpus, .first = calloc(ways + 1, sizeof *s->first),
                          .slots = malloc(ways * PATH_HOPS * sizeof *s->slots),
                          .loads = calloc(hops + 1, 2 * sizeof *s->loads) };
    memcpy(nodes, plan->gpus, n * sizeof *nodes);
    nports = list_ports(plan, nodes + n);
    if (!number || !paths || !s->first || !s->slots || !s->loads)
        status = room_none("plan", plan->ngpus);
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
static double burden_of(const struct plan_loads *s, int slot)
{
    double x = s->loads[slot] / s->capacity[slot];

    x *= x;
    return x * x;
}

double plan_load_way(struct plan_loads *s, int way, double bandwidth)
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

void plan_loads_begin(struct plan_loads *s)
{
    s->nundo = 0;
}

void plan_loads_undo(struct plan_loads *s)
{
    while (s->nundo > 0) {
        s->nundo--;
        s->loads[s->undo[s->nundo]] = s->before[s->nundo];
    }
}

double plan_burden(const struct plan_loads *s)
{
    double sum = 0;

    for (int slot = 0; slot < s->nslots; slot++)
        sum += burden_of(s, slot);
    return sum;
}

double plan_busiest(const struct plan_loads *s)
{
    double most = 0;

    for (int slot = 0; slot < s->nslots; slot++)
        most = fmax(most, s->loads[slot] / s->capacity[slot]);
    return most;
}
