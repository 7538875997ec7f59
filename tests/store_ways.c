/* SPDX-License-Identifier: BSD-3-Clause */
/* The conformance suite over shared memory, with the choice of stores (devices/pace.h)
 * made by lot, copy by copy: whatever the cores of this machine are like, both ways are
 * gone, and the changes between them.
 *
 *   store_ways [seed] */
#include "tests/pace_lot.h"
#include "tests/transports_rig.h"

#include "base/clock.h"

#include <stdlib.h>

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
    return status;
}
