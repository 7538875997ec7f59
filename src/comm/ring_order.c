/* SPDX-License-Identifier: BSD-3-Clause */
#include "comm/ring_order.h"

#include "base/log.h"
#include "base/status.h"
#include "comm/position.h"
#include "topology/plan.h"
#include "topology/topology_source.h"

#include <stdlib.h>

static const double plan_seconds = 1;

/* ---- Of a host --------------------------------------------------------------------- */

static const struct topology_ring *widest(const struct topology_plan *plan)
{
    const struct topology_ring *ring = plan->rings;

    for (int i = 1; i < plan->nrings; i++)
        if (plan->rings[i].bandwidth > ring->bandwidth * (1 + 1e-9))
            ring = &plan->rings[i];
    return ring;
}

/* From 1; 0: there is no ring. */
static uint8_t place_of(const struct topology_plan *plan, int gpu)
{
    for (int i = 0; i < plan->ngpus && plan->nrings > 0; i++)
        if (plan->gpus[widest(plan)->gpus[i]] == gpu)
            return (uint8_t)(i + 1);
    return 0;
}

static bool among(int node, const int *nodes, int n)
{
    for (int i = 0; i < n; i++)
        if (nodes[i] == node)
            return true;
    return false;
}

/* Over the GPUs that the ranks have, if several are named; else those of the others are not known, and it
 * is over all. */
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

int ring_order_find(const struct topology *t, struct record *record)
{
    int gpus[RECORD_TURNS], n, status = position_turns(t, gpus, RECORD_TURNS, &n);
    struct topology_plan plan;
    char kept[STATUS_TEXT];

    record->nturns = 0;
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
    for (int i = 0; i < n; i++)
        record->turns[i] = place_of(&plan, gpus[i]);
    record->nturns = (uint16_t)n;
    topology_plan_free(&plan);
    return PEAL_OK;
}

void ring_order_here(struct record *record)
{
    const struct topology *t;
    char kept[STATUS_TEXT];

    record->nturns = 0;
    if (!topology_may_have_gpus())
        return;
    status_keep(kept);
    if (position_machine(&t) || ring_order_find(t, record))
        log_warn("rings do not follow the links between the GPUs of this host: %s", status_text());
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
