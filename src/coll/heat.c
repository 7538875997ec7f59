/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/heat.h"

#include "base/last_cache.h"

bool heat_lost(const struct heat *heat, const void *memory, size_t bytes)
{
    uintptr_t from = (uintptr_t)memory, to = from + bytes;
    uint64_t keeps = last_cache();

    for (unsigned i = 0; i < HEAT_USES; i++) {
        const struct heat_use *use = &heat->uses[(heat->newest - i) % HEAT_USES];

        if (use->from < to && from < use->to && heat->touched - use->then < keeps)
            return false;
    }
    return true;
}

void heat_use(struct heat *heat, const void *memory, size_t bytes)
{
    uintptr_t from = (uintptr_t)memory;
    struct heat_use *use = NULL;

    if (!memory || bytes == 0)
        return;
    heat->touched += bytes;
    for (unsigned i = 0; i < HEAT_USES && !use; i++)
        if (heat->uses[i].from == from && heat->uses[i].to == from + bytes)
            use = &heat->uses[i];
    if (!use)
        use = &heat->uses[++heat->newest % HEAT_USES];
    *use = (struct heat_use){ from, from + bytes, heat->touched };
}
