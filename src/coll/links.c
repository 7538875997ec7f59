/* SPDX-License-Identifier: BSD-3-Clause */
/* How a communicator's ranks lie and how fast their links are.  All ranks look at the
 * same table, so all find the same. */
#include "coll/start.h"

#include <stdlib.h>

/* What makes ranks neighbours, from the coarsest on.  Where ranks have GPUs, rings go along the widest
 * of the host's plan, channels along all, trees along its trees. */
enum { KEY_HOST, KEY_RING, KEY_NUMA, KEY_CORES, KEYS };

/* This host's plan, if all ranks are on hosts that have the same. */
static const struct layout_plan *plan_of_all(const struct peal_comm *comm)
{
    const struct layout_plan *plan = comm->job ? job_plan(comm->job) : NULL;

    for (int r = 0; r < comm->nranks; r++)
        if (!comm_where(comm, r)->plan || comm_where(comm, r)->plan != comm_where(comm, 0)->plan)
            return NULL;
    return plan;
}

static int find_layout(const struct peal_comm *comm, struct layout **layout)
{
    uint64_t *rows = calloc((size_t)comm->nranks, KEYS * sizeof *rows);
    const struct layout_plan *plan = plan_of_all(comm);
    struct layout_keys keys = { .rows = rows, .count = KEYS, .positions = 1u << KEY_RING,
                                .rings = plan ? &plan->rings : NULL,
                                .trees = plan ? &plan->trees : NULL, .ring = KEY_RING };
    int status;

    if (!rows)
        return status_fail(PEAL_ERR_MEMORY, "no memory for the layout of %d ranks",
                           comm->nranks);
    for (int r = 0; r < comm->nranks; r++) {
        const struct where *where = comm_where(comm, r);
        uint64_t *row = rows + (size_t)r * KEYS;

        row[KEY_HOST] = where->host;
        row[KEY_RING] = where->ring;
        row[KEY_NUMA] = where->numa;
        row[KEY_CORES] = where->cores;
    }
    status = layout_create(&keys, comm->nranks, layout);
    free(rows);
    return status;
}

/* The rank at a place. */
static int rank_at(const struct layout *l, int place)
{
    return l && l->order ? l->order[place] : place;
}

/* Of the ranks at `count` places the one furthest from that at the first of them: on
 * another host, else in another process, else any. */
static int furthest(const struct peal_comm *comm, const struct layout *l, int first, int count)
{
    const struct where *a = comm_where(comm, rank_at(l, first));
    int far = rank_at(l, first + 1);

    for (int i = 1; i < count; i++) {
        const struct where *b = comm_where(comm, rank_at(l, first + i));

        if (b->host != a->host)
            return rank_at(l, first + i);
        if (b->process != a->process && comm_where(comm, far)->process == a->process)
            far = rank_at(l, first + i);
    }
    return far;
}

/* How the two reach each other; as it is if they do not. */
static void measure(const struct peal_comm *comm, int a, int b, struct reach *how, bool *lends)
{
    const struct transport *t;
    char kept[STATUS_TEXT];

    status_keep(kept);
    for (int i = 0; (t = comm_transport(comm, i)); i++)
        if (t->reach(comm_where(comm, a), comm_where(comm, b), how) == PEAL_OK) {
            *lends = t->lends;
            break;
        }
    status_restore(kept);
}

/* The first group that has several ranks. */
static int first_group(const struct groups *groups)
{
    int g = 0;

    while (groups->first[g + 1] - groups->first[g] < 2)
        g++;
    return g;
}

static bool all_have_gpus(const struct peal_comm *comm)
{
    for (int r = 0; r < comm->nranks; r++)
        if (!comm_where(comm, r)->ring)
            return false;
    return true;
}

/* Of ranks of one group, how many different GPUs they have, at most. */
static int most_gpus(const struct peal_comm *comm, const struct layout *l)
{
    int most = 0;

    for (int g = 0; g < l->by_place.count; g++) {
        bool seen[UINT8_MAX + 1] = { false };
        int count = 0;

        for (int i = l->by_place.first[g]; i < l->by_place.first[g + 1]; i++) {
            bool *here = &seen[comm_where(comm, rank_at(l, i))->ring];

            count += !*here;
            *here = true;
        }
        most = count > most ? count : most;
    }
    return most;
}

/* How many times a rank's share of its host's devices is all of them. */
static double count_ways(const struct peal_comm *comm, const struct layout *layout, int devices)
{
    int most, share;

    /* Ranks without a GPU use all, or those of a NUMA node: how many that are is not known. */
    if (devices < 2 || !layout_mixed(layout) || !all_have_gpus(comm))
        return 1;
    most = most_gpus(comm, layout);
    if (most < 2)                      /* one GPU has all that are near it */
        return 1;
    share = (devices + most - 1) / most;
    return (double)devices / share;
}

int links_find(const struct peal_comm *comm, struct coll_speed *speed)
{
    struct reach near = select_near, far = select_near;
    struct layout *layout = NULL;
    bool lends = false, near_lends;
    double ways;
    int status;

    if (comm->nranks > 1) {
        if ((status = find_layout(comm, &layout)))
            return status;
        measure(comm, 0, furthest(comm, NULL, 0, comm->nranks), &far, &lends);
        near = far;
    }
    if (layout_mixed(layout)) {
        const int *first = &layout->by_place.first[first_group(&layout->by_place)];

        measure(comm, rank_at(layout, *first), furthest(comm, layout, *first, first[1] - *first),
                &near, &near_lends);
    }
    ways = count_ways(comm, layout, far.devices);
    far.bandwidth /= ways;
    *speed = select_speed(&near, &far, comm->crowding);
    speed->ways = ways;
    speed->lends = lends;
    speed->layout = layout;
    return PEAL_OK;
}
