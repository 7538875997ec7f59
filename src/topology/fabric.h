/* SPDX-License-Identifier: BSD-3-Clause */
/* What a plan's rings and trees have to share: the hops from GPU to GPU, and which links (each way by
 * itself) every hop loads. */
#ifndef FABRIC_H
#define FABRIC_H

#include "topology/paths.h"

#include <math.h>

enum { FABRIC_GPUS_MOST = 72 };

/* A hop is from * n + to.  A row is a direction of a link, or of several that the same hops use, of
 * which only the narrowest counts. */
struct fabric {
    int     n;                         /* GPUs */
    const int *gpus;                   /* their nodes */
    bool    nvlink;                    /* no hops but over NVLink (XGMI, NVSwitch) */
    int     nrows;
    double *capacity;                  /* by row */
    int    *first, *rows;              /* rows of hop h: rows[first[h]] ... rows[first[h + 1] - 1] */
    bool   *hop;                       /* by hop: there is one */
    double  bound;                     /* the least that can go between two GPUs, other GPUs helping */
    char    cut[96];                   /* where: "out of gpu0, gpu1" */
};

/* `paths`: between the GPUs, n * n.  PEAL_ERR_MEMORY. */
int  fabric_build(struct fabric *f, const struct topology *t, const int *gpus, int n,
                  const struct topology_path *paths, bool nvlink);
void fabric_free(struct fabric *f);
/* Fills bound and cut.  PEAL_ERR_MEMORY. */
int  fabric_bound(struct fabric *f, const struct topology *t, const struct topology_path *paths);

/* Every GPU can get to every other. */
bool fabric_connected(const struct fabric *f);

/* Adds a hop's load. */
static inline void fabric_load(const struct fabric *f, int from, int to, double amount, double *loads)
{
    int hop = from * f->n + to;

    for (int i = f->first[hop]; i < f->first[hop + 1]; i++)
        loads[f->rows[i]] += amount;
}

/* What a hop costs where each row has a price; INFINITY: there is none. */
static inline double fabric_cost(const struct fabric *f, int from, int to, const double *prices)
{
    int hop = from * f->n + to;
    double cost = 0;

    if (!f->hop[hop])
        return INFINITY;
    for (int i = f->first[hop]; i < f->first[hop + 1]; i++)
        cost += prices[f->rows[i]];
    return cost;
}

#endif
