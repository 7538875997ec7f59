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

struct call call_placed(const struct call *c, const struct layout *layout)
{
    struct call placed = *c;

    placed.groups = layout->by_place.count > 1 ? &layout->by_place : NULL;
    placed.order = layout->order;
    if (layout->place)
        placed.rank = layout->place[c->rank];
    if (layout->place && (c->collective == BCAST || c->collective == REDUCE))
        placed.root = layout->place[c->root];
    return placed;
}
