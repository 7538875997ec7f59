/* SPDX-License-Identifier: BSD-3-Clause */
/* How far two devices are from each other, and over which links. */
#ifndef TOPOLOGY_PATHS_H
#define TOPOLOGY_PATHS_H

#include "topology/topology.h"

/* From near to far, with the names that nvidia-smi topo -m and NCCL print. */
#define TOPOLOGY_CLASSES(X)        \
    X(SELF,     "X")               \
    X(NVLINK,   "NV")              /* direct NVLinks or XGMI; printed with their number: NV4 */ \
    X(NVSWITCH, "NVS")             /* through NVSwitch; printed NV18 too */ \
    X(PIX,      "PIX")             /* one PCI switch */ \
    X(PXB,      "PXB")             /* several PCI switches, not the CPU */ \
    X(PHB,      "PHB")             /* through the host bridge, also C2C */ \
    X(NODE,     "NODE")            /* between host bridges of a NUMA node */ \
    X(SYS,      "SYS")             /* between NUMA nodes */ \
    X(NET,      "NET")             /* over the network */ \
    X(NONE,     "-")               /* nothing joins them */

enum topology_class {
#define TOPOLOGY_CLASS(id, name) CLASS_##id,
    TOPOLOGY_CLASSES(TOPOLOGY_CLASS)
#undef TOPOLOGY_CLASS
    CLASS_COUNT
};

enum { PATH_HOPS = 24 };

/* A hop is link * 2, + 1 if it goes from the link's b to its a. */
struct topology_path {
    enum topology_class class;
    double bandwidth;                  /* of the narrowest link, GB/s; CLASS_SELF: infinite */
    double latency;                    /* sum, microseconds */
    int    lanes;                      /* of the NVLinks; of the narrowest if several */
    int    nhops;
    int    hops[PATH_HOPS];
};

/* The paths from one node to every other, to[0 .. nnodes): the nearest class; of these the most
 * bandwidth; of these the fewest hops.  GPUs forward nothing (a GPU's NVLinks are not a way for
 * others), NICs only between the host and their ports; over the network at most one rail.  More than
 * PATH_HOPS hops: none.
 * PEAL_ERR_MEMORY. */
int paths_from(const struct topology *t, int from, struct topology_path *to);
/* From each of `nfrom` nodes to each of `n` different ones, paths[i * n + j], none farther than a class
 * (CLASS_NET: all). */
int paths_to(const struct topology *t, const int *from, int nfrom, const int *nodes, int n,
             enum topology_class farthest, struct topology_path *paths);
/* Between two. */
int path_find(const struct topology *t, int from, int to, struct topology_path *path);

const char *class_name(enum topology_class class);

#endif
