/* SPDX-License-Identifier: BSD-3-Clause */
/* The search for rings. */
#ifndef RINGS_H
#define RINGS_H

#include "topology/fabric.h"
#include "topology/packing.h"

/* Rings over a fabric: orders[i * n] ... are indices of GPUs. */
struct rings {
    int     count;
    int    *orders;
    double *shares;                    /* GB/s */
    double  total;
    double  bound;                     /* no set of rings carries more */
    bool    optimal;
    char    proof[320];
};

enum { RINGS_EXACT_GPUS = 16, RINGS_EQUAL_MOST = 32 };

/* The set of rings with the largest total over a fabric of at least 2 GPUs (fabric_bound() done).  None
 * found: count 0.  PEAL_ERR_MEMORY. */
int  rings_find(const struct fabric *f, struct effort *effort, struct rings *rings);
void rings_free(struct rings *rings);

/* ---- rings_price.c: one ring ------------------------------------------------------- */

struct pricer {
    const struct fabric *f;
    struct effort *effort;
    double *cost;                      /* by hop */
    double *rest;                      /* of the exact search; NULL: too many GPUs for it */
};

bool   pricer_init(struct pricer *p, const struct fabric *f, struct effort *effort);
void   pricer_free(struct pricer *p);
/* As packing_problem.cheapest. */
double pricer_cheapest(void *pricer, const double *prices, bool exact, int *order);
/* As packing_problem.load. */
void   pricer_load(const void *pricer, const int *order, double *loads);
/* The bandwidth that a ring has alone; 0: it has none. */
double ring_alone(const struct fabric *f, const int *order);

/* ---- rings_equal.c: many with the same share ---------------------------------------- */

/* `count` rings of `share` each, orders[count * n]; returns how many were found to fit at the same time
 * in the best attempt, whose orders are returned.  -1: no memory. */
int rings_equal(const struct fabric *f, int count, double share, struct effort *effort, int *orders);

#endif
