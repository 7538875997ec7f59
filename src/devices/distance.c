/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/distance.h"

void distance_took(struct distance *distance, uint64_t ns, uint64_t clock)
{
    if (ns > clock + DISTANCE_NEAR_NS)
        distance->slow += distance->slow < DISTANCE_MOST;
    else
        distance->slow -= distance->slow > 0;
}
