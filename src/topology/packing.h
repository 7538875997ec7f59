/* SPDX-License-Identifier: BSD-3-Clause */
/* Packing: shares for columns (rings, trees) so that no row (direction of a link) carries more than it
 * can and the sum of the shares is largest.  A linear programme whose columns are too many to list:
 * an oracle names the cheapest where rows have prices.  Prices at which no column costs less than 1
 * prove that no packing is larger than what the rows then cost. */
#ifndef PACKING_H
#define PACKING_H

#include <stdbool.h>
#include <stdint.h>

/* What a search may still do.  Counted in steps, so that the same input has the same end on every
 * machine; the clock is for those that are slower than thought. */
struct effort {
    double   steps;
    uint64_t deadline;
    bool     late;                     /* the clock has ended it */
};

/* Steps (about 3 ns each) that fit into `seconds`. */
struct effort effort_of(double seconds);
/* A part of what is left, 0 ... 1; what of it was used is to be taken off by effort_return(). */
struct effort effort_part(const struct effort *whole, double part);
void effort_return(struct effort *whole, const struct effort *part, double had);
/* False: no more. */
bool effort_spend(struct effort *effort, double steps);

struct packing_problem {
    int     nrows;
    const double *capacity;            /* by row, above 0 */
    int     nints;                     /* that describe a column */
    double  target;                    /* known bound: reaching it is enough */
    void   *context;
    /* The cheapest column, or if not `exact` a cheap one; its cost.  INFINITY: none.  NAN: out of
     * effort. */
    double (*cheapest)(void *context, const double *prices, bool exact, int *column);
    bool    exact;                     /* it can */
    void  (*load)(const void *context, const int *column, double *loads);      /* adds 1 of it */
};

struct packing {
    int     n;                         /* columns of the packing */
    int    *columns;                   /* nints each */
    double *shares;
    double  total;
    double  bound;                     /* no packing is larger; INFINITY: not known */
};

enum { PACKING_ROWS_MOST = 700 };

/* With `nseeds` columns to begin with.  PEAL_ERR_MEMORY.  More rows than PACKING_ROWS_MOST: nothing is
 * packed. */
int  packing_solve(const struct packing_problem *problem, const int *seeds, int nseeds,
                   struct effort *effort, struct packing *packing);
void packing_free(struct packing *packing);

#endif
