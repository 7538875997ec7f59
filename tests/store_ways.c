/* SPDX-License-Identifier: BSD-3-Clause */
/* The conformance suite over shared memory, with the choice of stores (devices/pace.h)
 * made by lot, copy by copy: whatever the cores of this machine are like, both ways are
 * gone, and the changes between them.  Likewise string instructions for long copies, and cores that
 * are near and far.
 *
 *   store_ways [seed] */
#include "tests/pace_lot.h"
#include "tests/transports_rig.h"

#include "base/clock.h"
#include "devices/distance.h"

#include <stdlib.h>

static _Atomic unsigned moves, by_strings; /* of the other core; pairs of ranks; in this process */

void distance_took(struct distance *distance, uint64_t ns, uint64_t clock)
{
    int before = distance->slow;

    distance->lines = (distance->lines + pace_seed) * 1664525u + 1013904223u;
    distance->slow = distance->lines >> 20 & 1 && ns + clock > 0 ? DISTANCE_MOST : 0;
    moves += distance->slow != before;
}

/* Of a pair of ranks, after some trials. */
void pace_tried(struct pace *pace, double cost)
{
    static _Atomic unsigned pairs;

    if (++pace->trials > 3 && cost >= 0)
        pace->strings = (++pairs + pace_seed) * 2654435761u >> 16 & 1 ? STRINGS_FASTER : STRINGS_SLOWER;
    by_strings += pace->strings == STRINGS_FASTER;
}

void pace_took(struct pace *pace, double cost, uint64_t now)
{
    pace_draw(pace, cost, now);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : clock_now() % 100000;
    int status;

    pace_seed = (unsigned)seed;
    setenv("PEAL_SHM_RING", "64K", 1);     /* it is gone round soon, and chosen from then on */
    status = transports_conform(seed, "shm", false, true);
    printf("store_ways: %u changes in one of the processes\n", atomic_load(&pace_changes));
    if (status == 0 && atomic_load(&pace_changes) == 0) {
        printf("FAIL: nothing went the other way\n");
        return 1;
    }
    printf("store_ways: %u moves of the other core, %u times string instructions\n", atomic_load(&moves),
           atomic_load(&by_strings));
    if (status == 0 && (atomic_load(&moves) == 0 || atomic_load(&by_strings) == 0)) {
        printf("FAIL: always near, or never by string instructions\n");
        return 1;
    }
    return status;
}
