/* SPDX-License-Identifier: BSD-3-Clause */
/* The building block of the algorithms that reduce in one place and in rank
 * order, so that their results agree to the bit. */
#ifndef DIRECT_H
#define DIRECT_H

#include "algorithms/algorithm.h"

/* dst := what rank 0, 1, ..., n-1 hold, combined in that order: `own` here, and
 * one message of the same size from everybody else.  Takes scratch for n-1. */
void direct_reduce(struct schedule *s, const struct call *c, struct span dst,
                   struct span own);

/* Bytes that this combines, for the price: the own part and the result are gone
 * through once more than if each part were combined as it comes, and parts that do
 * not stay `cached` until they are combined come from further away. */
static inline double direct_reduced(int nranks, double bytes, double cached)
{
    double parts = (nranks - 1) * bytes;

    return nranks > 1 ? nranks * bytes + (parts > cached ? parts : 0) : 0;
}

/* Bytes of scratch that stay in a core's second cache: of one rank, or of several that
 * may share the core. */
enum { DIRECT_ALONE = 1 << 20, DIRECT_SHARED = 512 << 10 };

#endif
