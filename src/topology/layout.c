/* SPDX-License-Identifier: BSD-3-Clause */
#include "topology/layout.h"

#include "base/status.h"

#include <stdbool.h>
#include <stdlib.h>

struct item {
    const uint64_t *keys;
    int             nkeys, rank;
};

/* How many of the keys are equal, from the first on. */
static int in_common(const struct item *a, const struct item *b)
{
    int k = 0;

    while (k < a->nkeys && a->keys[k] == b->keys[k])
        k++;
    return k;
}

static int by_keys(const void *first, const void *second)
{
    const struct item *a = first, *b = second;
    int k = in_common(a, b);

    if (k < a->nkeys)
        return a->keys[k] < b->keys[k] ? -1 : 1;
    return a->rank - b->rank;
}

static void sort(struct item *items, const uint64_t *rows, int nkeys, int n)
{
    for (int r = 0; r < n; r++)
        items[r] = (struct item){ rows + (size_t)r * (size_t)nkeys, nkeys, r };
    qsort(items, (size_t)n, sizeof *items, by_keys);
}

/* In the place of each name, the lowest of the ranks that have it and all keys before it. */
static void name_by_lowest(const struct item *items, const struct layout_keys *keys, int n,
                           uint64_t *names)
{
    int nkeys = keys->count;

    for (int k = 0; k < nkeys; k++)
        for (int from = 0, to; from < n; from = to) {
            int lowest = items[from].rank;

            for (to = from; to < n && in_common(&items[from], &items[to]) > k; to++)
                lowest = items[to].rank < lowest ? items[to].rank : lowest;
            for (int i = from; i < to; i++)
                names[(size_t)items[i].rank * (size_t)nkeys + (size_t)k] =
                    keys->positions >> k & 1 ? items[i].keys[k] : (uint64_t)lowest;
        }
}

/* The layout of ranks in the order of `items`, whose first keys name their groups. */
static struct layout *make(const struct item *items, int n, int ngroups, bool moved)
{
    struct layout *l = calloc(1, sizeof *l + (5 * (size_t)n + 1) * sizeof *l->memory);
    int *order, *place, *group, *rank_group, *first, g = -1;
    bool together = true;

    if (!l)
        return NULL;
    order = l->memory;
    place = order + n;
    group = place + n;
    rank_group = group + n;
    first = rank_group + n;
    for (int i = 0; i < n; i++) {
        if (i == 0 || items[i].keys[0] != items[i - 1].keys[0])
            first[++g] = i;
        order[i] = items[i].rank;
        place[items[i].rank] = i;
        group[i] = rank_group[items[i].rank] = g;
    }
    first[ngroups] = n;
    /* Groups are in the order of their lowest ranks. */
    for (int r = 1; r < n; r++)
        together &= rank_group[r - 1] <= rank_group[r];
    l->nranks = n;
    l->order = moved ? order : NULL;
    l->place = moved ? place : NULL;
    l->by_place = (struct groups){ ngroups, group, first };
    l->by_rank = (struct groups){ ngroups, rank_group, together ? first : NULL };
    return l;
}

int layout_create(const struct layout_keys *keys, int nranks, struct layout **layout)
{
    struct item *items = calloc((size_t)nranks, sizeof *items);
    uint64_t *names = calloc((size_t)nranks * (size_t)keys->count, sizeof *names);
    struct layout *l = NULL;
    int status = PEAL_OK, ngroups = 0;
    bool moved = false;

    if (!items || !names)
        goto no_memory;
    sort(items, keys->rows, keys->count, nranks);
    name_by_lowest(items, keys, nranks, names);
    sort(items, names, keys->count, nranks);
    for (int i = 0; i < nranks; i++) {
        moved |= items[i].rank != i;
        ngroups += i == 0 || items[i].keys[0] != items[i - 1].keys[0];
    }
    if (moved || (ngroups > 1 && ngroups < nranks)) {
        l = make(items, nranks, ngroups, moved);
        if (!l)
            goto no_memory;
    }
    *layout = l;
    goto done;

no_memory:
    status = status_fail(PEAL_ERR_MEMORY, "no memory for the layout of %d ranks", nranks);
done:
    free(items);
    free(names);
    return status;
}

void layout_free(struct layout *layout)
{
    free(layout);
}
