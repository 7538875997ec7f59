/* SPDX-License-Identifier: BSD-3-Clause */
/* The ways that use all of a host's bandwidth: rings and trees over its GPUs, groups that NVLink
 * joins, the NIC of each GPU. */
#ifndef TOPOLOGY_PLAN_H
#define TOPOLOGY_PLAN_H

#include "topology/paths.h"

/* A closed ring over all GPUs of the plan, each sending to the next; its `bandwidth` is its share of
 * every link that it uses, so that all rings can run at that speed at the same time. */
struct topology_ring {
    double bandwidth;                  /* GB/s */
    int   *gpus;                       /* ngpus indices into plan.gpus; where several hosts make a
                                          ring, it enters each at the first and leaves at the last */
};

/* A spanning tree, used up for reducing and down for broadcasting. */
struct topology_tree {
    double bandwidth;
    int    root;                       /* index into plan.gpus */
    int   *parent;                     /* ngpus indices; -1 for the root */
};

struct topology_plan {
    int    ngpus;
    int   *gpus;                       /* nodes, in the order of their numbers */
    int   *group;                      /* of each GPU: island of NVLink (XGMI, NVSwitch), from 0 */
    int    ngroups;
    int   *port;                       /* of each GPU: the port node it should use, or -1 */
    struct topology_ring *rings;
    struct topology_tree *trees;
    int    nrings, ntrees;
    double ring_total, tree_total;     /* GB/s, sums */
    double busiest;                    /* if every ring ran at its speed out of the host too: what the busiest
                                          link of the host would carry, as a part of what it can */
    double bound;                      /* no set of rings carries more: the least max-flow between
                                          GPUs (or a tighter one, see proof) */
    double tree_bound;
    bool   optimal;                    /* ring_total reaches the bound, or the search was exhaustive */
    char   proof[320];                 /* why, or how large the gap is */
    double seconds;                    /* that it took */
};

enum { PLAN_GPUS_MOST = 72 };

/* The plan over `ngpus` GPU nodes of one host or NVLink domain (NULL: all of `host`); takes about
 * `seconds` at most.  The same topology gives the same plan.  PEAL_ERR_MEMORY; PEAL_ERR_ARGUMENT: no
 * GPU, two that nothing joins, or more than PLAN_GPUS_MOST. */
int  plan_find(const struct topology *t, int host, const int *gpus, int ngpus, double seconds,
               struct topology_plan *plan);
void topology_plan_free(struct topology_plan *plan);

/* Splits the widest rings until there are `nrings` (more are left as they are), and turns all so that
 * where they enter and leave hosts by ports, the busiest links carry little for what they can (found by
 * trying, not the least there is), and by one port where two neighbours of the ring share it.
 * plan_find() has turned them already.  Where a ring enters and leaves by different ports, hosts that run
 * it forwards and backwards in turn meet on the same rail.  PEAL_ERR_MEMORY. */
int  plan_spread(const struct topology *t, struct topology_plan *plan, int nrings);

/* Splits the widest trees until there are `ntrees` (more are left as they are), and hangs all from GPUs by whose
 * ports they can be joined to the same trees of other hosts with little on the busiest links (found by trying);
 * of such GPUs from the one from which a tree is lowest.  *busiest: if every tree ran at its speed between hosts
 * too, the part of what it can that the busiest link would carry; as it was if there is no tree.
 * PEAL_ERR_MEMORY. */
int  plan_hang(const struct topology *t, struct topology_plan *plan, int ntrees, double *busiest);

/* What a set of rings (trees) over `ngpus` GPU nodes carries together on this machine, whoever found
 * it, if the shares are to each other as their bandwidths; 0: a hop of them has no path.
 * PEAL_ERR_MEMORY. */
int  plan_evaluate(const struct topology *t, const int *gpus, int ngpus,
                   const struct topology_ring *rings, int nrings,
                   const struct topology_tree *trees, int ntrees, double *total);

/* The port for each of `ngpus` GPUs, or -1: of real ones (those of no PCI device only where there are no
 * others) that are not much slower than the fastest that it reaches the nearest class; of these the
 * most bandwidth; of these such that GPUs share as few ports, then adapters, as can be.
 * PEAL_ERR_MEMORY. */
int  plan_ports(const struct topology *t, const int *gpus, int ngpus, int *port);

#endif
