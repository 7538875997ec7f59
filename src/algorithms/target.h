/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a reduce-scatter forms its result: in DST, unless that overlaps the own
 * block of SRC without being it (in place, with blocks of several sizes); then
 * in scratch, to be copied.  A portion of the result may overlap others of the block. */
#ifndef TARGET_H
#define TARGET_H

#include "algorithms/algorithm.h"

static inline struct span target(struct schedule *s, const struct call *c)
{
    struct call all = *c;
    struct span dst, src;
    bool apart;

    all.portion.of = 0;
    dst = block(&all, DST, c->rank);
    src = block(&all, SRC, c->rank);
    apart = dst.space != src.space || dst.offset == src.offset ||
            dst.offset + dst.bytes <= src.offset || src.offset + src.bytes <= dst.offset;
    dst = block(c, DST, c->rank);
    return apart ? dst : schedule_scratch(s, dst.bytes);
}

#endif
