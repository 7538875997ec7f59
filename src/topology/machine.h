/* SPDX-License-Identifier: BSD-3-Clause */
/* One machine as hwloc, sysfs and NVML tell it: PCI functions below each other, NUMA nodes, ports
 * and NVLinks, before they are a graph.  machine_build() leaves out what joins nothing: functions
 * that are neither GPU nor adapter, and bridges with only one of those behind them (root ports, the
 * two halves of a switch, a GPU's own bridges), so that a link is what bytes see as one.
 *
 * As with a topology, failing is remembered: machine_build() says so. */
#ifndef MACHINE_H
#define MACHINE_H

#include "topology/topology.h"

enum { MACHINE_DEVICES_MOST = 4096, MACHINE_NUMA_MOST = 256, MACHINE_DEPTH_MOST = 128 };

enum machine_kind { MACHINE_OTHER, MACHINE_BRIDGE, MACHINE_GPU, MACHINE_NIC, MACHINE_NVSWITCH };

struct machine_device {
    enum machine_kind kind;
    uint64_t bus;
    int      parent;                   /* the bridge it is behind, a device before it; -1: none */
    int      root;                     /* number of its host bridge, any that tells them apart */
    int      numa;                     /* number that the system gives the node; -1: not known */
    uint32_t pci_class, vendor, device;
    double   speed;                    /* of its link, gigatransfers/s of a lane; 0: not known */
    int      lanes;
    bool     emulated;                 /* by a hypervisor: what it says of its link is no fact */
    int      number;                   /* GPU: of NVML, or -1 */
    int      capability, direct;       /* GPU: as topology_node */
    uint64_t fabric;                   /* GPU: NVSwitches that reach beyond this machine; 0 */
    char     model[TOPOLOGY_TEXT];
    int      below, node;              /* machine_build()'s own */
};

struct machine_port {
    int      device, number;
    char     name[TOPOLOGY_NAME];
    double   speed;                    /* GB/s; 0: not known */
    uint64_t guid;
    int      direct;
    bool     verbs;                    /* libibverbs knows it by this name */
    bool     slice;                    /* source's own */
};

struct machine_numa {
    int      number, socket, family, revision;
    char     cpus[TOPOLOGY_TEXT * 8], arch[16], vendor[16];
    bool     used;                     /* machine_build()'s own */
    int      node;
};

/* From a GPU to: a device, or one of these. */
enum { MACHINE_TO_SWITCH = -1, MACHINE_TO_CPU = -2 };

struct machine_link {
    int      device, peer;
    enum topology_medium medium;
    int      lanes;
    double   bandwidth;                /* 0: what that many lanes of this GPU carry */
};

struct machine {
    struct machine_device *devices;
    struct machine_port *ports;
    struct machine_numa *numas;
    struct machine_link *links;
    int    ndevices, nports, nnumas, nlinks;
    int    room_devices, room_ports, room_numas, room_links;
    int    failed;
};

void machine_free(struct machine *m);                     /* also one that is all zero */

/* Append, with everything unknown; the result is good until the next; NULL: failed. */
struct machine_device *machine_device(struct machine *m, enum machine_kind kind, uint64_t bus,
                                      int parent);
struct machine_port *machine_port(struct machine *m, int device, const char *name);
struct machine_numa *machine_numa(struct machine *m, int number);
void machine_link(struct machine *m, int device, int peer, enum topology_medium medium, int lanes,
                  double bandwidth);

/* What a PCI function of this class is here. */
enum machine_kind machine_kind_of(uint32_t pci_class, uint32_t vendor);
/* Compute capability times 10, or gfx number, by the chip that the PCI ids name; 0. */
int machine_capability(uint32_t vendor, uint32_t device);

/* Gb/s of a port of this adapter at most; 0: not known. */
double machine_port_most(uint32_t vendor, uint32_t device);
/* `lanes` NVLinks from each of n GPUs to each other one: more than any GPU has (18), so what is
 * listed is what each has to a switch. */
bool machine_switched(int n, int lanes);

/* The graph, with notes, not finished.  PEAL_OK or what has failed. */
int machine_build(struct machine *m, struct topology *t, int host);

#endif
