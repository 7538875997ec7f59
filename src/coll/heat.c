/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/heat.h"

#include "base/last_cache.h"

bool heat_lost(const struct heat *heat, const void *memory, size_t bytes)
{
    uintptr_t from = (uintptr_t)memory, to = from + bytes;
    uint64_t then = 0;
    size_t others = 0;

    for (unsigned i = 0; i < heat->n; i++) {
        const struct heat_use *use = &heat->uses[i];

        if (use->from < to && from < use->to && use->then > then)
            then = use->then;
    }
    if (then == 0)
        return true;
    for (unsigned i = 0; i < heat->n; i++)
        if (heat->uses[i].then > then)
            others += heat->uses[i].to - heat->uses[i].from;
    return others >= last_cache();
}

/* In place of the same, or of what was used longest ago. */
void heat_use(struct heat *heat, const void *memory, size_t bytes)
{
    struct heat_use use = { (uintptr_t)memory, (uintptr_t)memory + bytes, heat->now + 1 };
    unsigned at = 0;

    if (!memory || bytes < HEAT_NOTED)
        return;
    heat->now++;
    for (unsigned i = 0; i < heat->n; i++) {
        if (heat->uses[i].from == use.from && heat->uses[i].to == use.to) {
            heat->uses[i] = use;
            return;
        }
        if (heat->uses[i].then < heat->uses[at].then)
            at = i;
    }
    if (heat->n < HEAT_USES)
        at = heat->n++;
    heat->uses[at] = use;
}
