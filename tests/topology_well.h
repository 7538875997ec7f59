/* SPDX-License-Identifier: BSD-3-Clause */
/* What holds of every topology that a reader has let through, looked at anew (not by the code that
 * topology_finish() checks with). */
#ifndef TOPOLOGY_WELL_H
#define TOPOLOGY_WELL_H

#include "topology/topology_source.h"

#include <stdint.h>

/* NULL, or what is wrong. */
const char *topology_ill(const struct topology *t);
/* The i-th of its kind is the same in both; NULL, or what differs.  `exact`: all that there is; else what
 * NCCL's XML carries. */
const char *topology_differs(const struct topology *a, const struct topology *b, bool exact);

/* tests/topology_hostile.c: texts that are nearly right, so many drawn ones.  Returns how many were not
 * borne. */
long topology_hostile(uint64_t seed, long cases);
/* A text is refused with a status and a text that names it, or gives a topology that is well. */
bool topology_survives(const char *text, size_t length);

/* Some note has these words. */
bool noted(const struct topology *t, const char *words);
int  of_kind(const struct topology *t, enum topology_kind kind);
bool about(double is, double wanted);
/* All links of a medium. */
struct sum {
    int links, lanes;
    double bandwidth;
};
struct sum links_of(const struct topology *t, enum topology_medium medium);
bool topology_without_expat(void);

#endif
