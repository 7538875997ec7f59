/* SPDX-License-Identifier: BSD-3-Clause */
/* What the links of a host carry while its plan's rings or trees run at their speed, and what goes in and out of
 * the host by ports. */
#ifndef PLAN_LOADS_H
#define PLAN_LOADS_H

#include "topology/plan.h"

/* A slot is a direction of a link that some way uses.  Ways: from each GPU to each other, n * n; from each to
 * its port, n; from its port to each, n. */
struct plan_loads {
    const struct topology_plan *plan;
    int     n, nslots;
    int    *first, *slots;             /* way w: slots[first[w]] ... slots[first[w + 1] - 1] */
    double *loads, *capacity;          /* by slot, GB/s */
    int     nundo, undo[3 * PATH_HOPS];
    double  before[3 * PATH_HOPS];     /* what the slots changed last carried */
};

/* Of no load.  PEAL_ERR_MEMORY. */
int  plan_loads_make(struct plan_loads *s, const struct topology *t, const struct topology_plan *plan);
void plan_loads_free(struct plan_loads *s);

/* Loads a way, as one of at most three since plan_loads_begin().  Returns what a sum changes by that is small
 * where the busiest links carry little. */
double plan_load_way(struct plan_loads *s, int way, double bandwidth);
void   plan_loads_begin(struct plan_loads *s);
void   plan_loads_undo(struct plan_loads *s);  /* since then */

double plan_burden(const struct plan_loads *s);        /* that sum */
double plan_busiest(const struct plan_loads *s);       /* of the busiest link, the part of what it can */

#endif
