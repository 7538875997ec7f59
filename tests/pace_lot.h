/* SPDX-License-Identifier: BSD-3-Clause */
/* For what is in place of devices/pace.c: the choice of stores made by lot, copy by copy.  Included by
 * one file of a program, which sets `pace_seed` and has pace_took(). */
#ifndef PACE_LOT_H
#define PACE_LOT_H

#include "devices/pace.h"

#include <stdatomic.h>

static unsigned pace_seed;
static _Atomic unsigned pace_changes;  /* of the way, in this process; its ports may be several threads' */

enum pace_way pace_trial(const struct pace *pace)
{
    return pace->trials % PACE_WAYS;
}

static void pace_draw(struct pace *pace, double cost, uint64_t now)
{
    bool before = pace->goes_past;

    pace->suspects = 1;                /* ask about every copy */
    pace->pieces = (pace->pieces + pace_seed) * 1664525u + 1013904223u;
    pace->goes_past = pace->pieces >> 20 & 1 && cost >= 0 && now > 0;
    if (pace->goes_past != before)
        atomic_fetch_add(&pace_changes, 1);
}

#endif
