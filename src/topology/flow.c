/* SPDX-License-Identifier: BSD-3-Clause */
/* Edmonds and Karp: augment along shortest ways, so the number of rounds does not depend on the
 * capacities, which are not whole numbers. */
#include "topology/flow.h"

#include <math.h>
#include <stdlib.h>

void flow_init(struct flow *flow, int nnodes)
{
    *flow = (struct flow){ .nnodes = nnodes };
    flow->first = malloc((size_t)nnodes * sizeof *flow->first + 1);
    flow->back = malloc((size_t)nnodes * sizeof *flow->back + 1);
    flow->queue = malloc((size_t)nnodes * sizeof *flow->queue + 1);
    flow->failed = !flow->first || !flow->back || !flow->queue;
    for (int i = 0; i < nnodes && !flow->failed; i++)
        flow->first[i] = -1;
}

void flow_free(struct flow *flow)
{
    free(flow->arcs);
    free(flow->next);
    free(flow->first);
    free(flow->back);
    free(flow->queue);
    *flow = (struct flow){ .nnodes = 0 };
}

static void half(struct flow *flow, int from, int to, double capacity)
{
    int i = flow->narcs++;

    flow->arcs[i] = (struct flow_arc){ .to = to, .capacity = capacity };
    flow->next[i] = flow->first[from];
    flow->first[from] = i;
}

void flow_arc(struct flow *flow, int from, int to, double capacity)
{
    if (flow->failed)
        return;
    if (flow->narcs + 2 > flow->room) {
        int room = flow->room ? flow->room * 2 : 64;
        struct flow_arc *arcs = realloc(flow->arcs, (size_t)room * sizeof *arcs);
        int *next;

        if (arcs)
            flow->arcs = arcs;
        next = realloc(flow->next, (size_t)room * sizeof *next);
        if (next)
            flow->next = next;
        if (!arcs || !next) {
            flow->failed = true;
            return;
        }
        flow->room = room;
    }
    half(flow, from, to, capacity);
    half(flow, to, from, 0);
}

/* Shortest way with something left, as arcs in back[]; nodes not reached have -1. */
static bool reach(struct flow *flow, int from, int to, double least)
{
    int head = 0, tail = 0;

    for (int i = 0; i < flow->nnodes; i++)
        flow->back[i] = -1;
    flow->back[from] = -2;
    flow->queue[tail++] = from;
    while (head < tail) {
        int node = flow->queue[head++];

        for (int i = flow->first[node]; i >= 0; i = flow->next[i]) {
            const struct flow_arc *arc = &flow->arcs[i];

            if (arc->left <= least || flow->back[arc->to] != -1)
                continue;
            flow->back[arc->to] = i;
            if (arc->to == to)
                return true;
            flow->queue[tail++] = arc->to;
        }
    }
    return false;
}

double flow_most(struct flow *flow, int from, int to)
{
    double total = 0, largest = 0;

    if (flow->failed || from == to)
        return 0;
    for (int i = 0; i < flow->narcs; i++) {
        flow->arcs[i].left = flow->arcs[i].capacity;
        largest = fmax(largest, flow->arcs[i].capacity);
    }
    /* What rounding leaves is not worth a round. */
    while (reach(flow, from, to, largest * 1e-12)) {
        double amount = INFINITY;

        for (int node = to; node != from; node = flow->arcs[flow->back[node] ^ 1].to)
            amount = fmin(amount, flow->arcs[flow->back[node]].left);
        for (int node = to; node != from; node = flow->arcs[flow->back[node] ^ 1].to) {
            flow->arcs[flow->back[node]].left -= amount;
            flow->arcs[flow->back[node] ^ 1].left += amount;
        }
        total += amount;
    }
    return total;
}

bool flow_side(const struct flow *flow, int node)
{
    return flow->back[node] != -1;
}
