/* SPDX-License-Identifier: BSD-3-Clause */
/* The price of algorithms that copy to a stage, memory that the peers see. */
#ifndef STAGED_H
#define STAGED_H

#include "algorithms/algorithm.h"

/* Bytes of a rank's stage up to which its peers still find it in the last cache, with
 * those of the others beside it. */
enum { STAGE_CACHED = 2 << 20 };

/* Bytes that are gone through once more if they are fetched from memory. */
static inline double staged_far(double staged)
{
    return staged > STAGE_CACHED ? staged : 0;
}

/* One round brings the offer, one the news that it was taken. */
static inline struct price staged_price(int nranks, struct load busiest, struct load all)
{
    struct load none = { 0, 0, 0 };

    all.messages *= 2;
    return nranks > 1 ? price_of(2, busiest, all) : price_of(0, none, none);
}

#endif
