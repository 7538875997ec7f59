/* SPDX-License-Identifier: BSD-3-Clause */
/* The conformance suite on what this machine has.  Usage:
 * transports [seed [name [brief]]]; brief: not also with processes, and with one of the
 * sets of settings, which the seed chooses. */
#include "tests/transports_rig.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : clock_now() % 100000;

    bool brief = argc > 3 && strcmp(argv[3], "brief") == 0;

    return transports_conform(seed, argc > 2 ? argv[2] : NULL, brief, brief);
}
