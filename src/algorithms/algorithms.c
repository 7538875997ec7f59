/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of algorithms, generated from Makefile.am. */
#include "algorithms/algorithm.h"

#include <string.h>

#define ENTRY(name) extern const struct algorithm name;
#include "algorithms.list"
#undef ENTRY

#define ENTRY(name) &name,
const struct algorithm *const algorithms[] = {
#include "algorithms.list"
    NULL
};
#undef ENTRY

static const char *const names[] = {
#define COLLECTIVE_ENTRY(id, name) [id] = name,
    COLLECTIVE_LIST(COLLECTIVE_ENTRY)
#undef COLLECTIVE_ENTRY
};

const char *collective_name(enum collective collective)
{
    return (unsigned)collective < COLLECTIVES ? names[collective] : "unknown";
}

enum collective collective_find(const char *name)
{
    int i = 0;

    while (i < COLLECTIVES && strcmp(names[i], name) != 0)
        i++;
    return (enum collective)i;
}

const struct algorithm *algorithm_find(enum collective collective, const char *name)
{
    for (const struct algorithm *const *a = algorithms; *a; a++)
        if ((*a)->collective == collective && strcmp((*a)->name, name) == 0)
            return *a;
    return NULL;
}

struct call call_among(const struct call *c, const struct layout *layout, bool by_place)
{
    struct call among = *c;
    const struct groups *groups;

    if (!layout)
        return among;
    groups = by_place ? &layout->by_place : &layout->by_rank;
    among.groups = groups->count > 1 ? groups : NULL;
    among.channels = by_place && layout->channels.count ? &layout->channels : NULL;
    among.trees = by_place && layout->trees.count ? &layout->trees : NULL;
    if (!by_place || !layout->order)
        return among;
    among.order = layout->order;
    among.rank = layout->place[c->rank];
    if (c->collective == BCAST || c->collective == REDUCE)
        among.root = layout->place[c->root];
    return among;
}
