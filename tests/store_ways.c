/* SPDX-License-Identifier: BSD-3-Clause */
/* The conformance suite over shared memory, with the choice of stores (devices/pace.h)
 * made by lot, copy by copy: whatever the cores of this machine are like, both ways are
 * gone, and the changes between them.
 *
 *   store_ways [seed] */
#include "tests/transports_rig.h"

#include "base/clock.h"
#include "devices/pace.h"

#include <stdatomic.h>
#include <stdlib.h>

static _Atomic unsigned changes;       /* ports of several threads */
static unsigned first;

/* In place of pace.c. */
void pace_took(struct pace *pace, double cost, uint64_t now)
{
    bool before = pace->goes_past;

    pace->suspects = 1;                /* ask about every copy */
    pace->pieces = (pace->pieces + first) * 1664525u + 1013904223u;
    pace->goes_past = pace->pieces >> 20 & 1 && cost >= 0 && now > 0;
    if (pace->goes_past != before)
        atomic_fetch_add(&changes, 1);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : clock_now() % 100000;
    int status;

    first = (unsigned)seed;
    setenv("PEAL_SHM_RING", "64K", 1);     /* it is gone round soon, and chosen from then on */
    status = transports_conform(seed, "shm", false, true);
    printf("store_ways: %u changes in one of the processes\n", atomic_load(&changes));
    if (status == 0 && atomic_load(&changes) == 0) {
        printf("FAIL: nothing went the other way\n");
        return 1;
    }
    return status;
}
