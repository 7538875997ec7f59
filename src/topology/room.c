/* SPDX-License-Identifier: BSD-3-Clause */
#include "topology/room.h"

#include "base/status.h"

#include <stdlib.h>
#include <string.h>

bool room_for_one(int *failed, void *array, size_t size, int count, int *room, int most,
                  const char *parts)
{
    void *larger;
    int wanted = *room ? *room * 2 : 16;

    if (*failed)
        return false;
    if (count < *room)
        return true;
    if (count >= most) {
        *failed = status_fail(PEAL_ERR_ARGUMENT, "topology: more than %d %s; no machine is like that",
                              most, parts);
        return false;
    }
    memcpy(&larger, array, sizeof larger);
    larger = realloc(larger, (size_t)wanted * size);
    if (!larger) {
        *failed = status_fail(PEAL_ERR_MEMORY, "topology: no memory for %d %s", wanted, parts);
        return false;
    }
    memcpy(array, &larger, sizeof larger);
    *room = wanted;
    return true;
}

int room_none(const char *parts, int ngpus)
{
    return status_fail(PEAL_ERR_MEMORY, "topology: no memory for the %s of %d GPUs", parts, ngpus);
}
