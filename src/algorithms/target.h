/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a reduce-scatter forms its result: in DST, unless that overlaps the own
 * block of SRC without being it (in place, with blocks of several sizes); then
 * in scratch, to be copied. */
#ifndef TARGET_H
#define TARGET_H

#include "algorithms/algorithm.h"

static inline struct span target(struct schedule *s, const struct call *c)
{
    struct span dst = block(c, DST, c->rank), src = block(c, SRC, c->rank);
    bool apart = dst.space != src.space || dst.offset == src.offset ||
                 dst.offset + dst.bytes <= src.offset ||
                 src.offset + src.bytes <= dst.offset;

    return apart ? dst : schedule_scratch(s, dst.bytes);
}

#endif
