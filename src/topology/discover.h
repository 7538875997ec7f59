/* SPDX-License-Identifier: BSD-3-Clause */
/* What this machine tells of itself.  All of it is reading: no driver is loaded, nothing is written.
 * What cannot be read is a note and no failure; what nobody tells is assumed, with a note.
 *
 *   sysfs   which PCI functions there are, what joins them, how fast; NUMA nodes and packages; ports
 *   hwloc   where sysfs says nothing: NUMA nodes without /sys (it asks the processor), and the NUMA
 *           node of devices on firmware that keeps it to itself (it knows some by heart, and
 *           HWLOC_PCI_LOCALITY tells it others); and whatever HWLOC_XMLFILE makes it believe
 *   NVML    GPUs' numbers, models, NVLinks, switches, fabrics, C2C; which GPUs are ours to use
 *   KFD     AMD's GPUs and XGMI, in sysfs too */
#ifndef DISCOVER_H
#define DISCOVER_H

#include "topology/machine.h"

struct discover_places {
    const char *sys, *proc;            /* "/sys", "/proc"; tests have their own */
    const char *nvml;                  /* the library's name; NULL: not asked */
    bool        hwloc;                 /* may be asked */
};

/* A machine as it is; finished.  `t` must have been initialised. */
int discover(const struct discover_places *places, struct topology *t);

/* What sysfs tells of a PCI function beyond machine_device; as many as there are devices. */
struct discover_pci {
    char     path[256];
    uint64_t physical;                 /* virtual function: what it is one of; else TOPOLOGY_NO_BUS */
    double   speed, speed_most;        /* GT/s, now and at most; 0: not known */
    int      lanes, lanes_most;
    bool     linked;                   /* to its parent, by cable, slot or board: not within a switch */
};

struct discovery {
    const struct discover_places *places;
    struct machine  m;
    struct topology *t;                /* for notes */
    struct discover_pci *pci;          /* of m.devices */
    int    npci, room_pci;
    bool   nvml;                       /* it has told of GPUs */
    bool   virtual;                    /* machine; `product` is its name, "" */
    char   product[100];
};

/* A file of a number; `unknown`: there is none, or it cannot be read. */
long discover_number(const char *folder, const char *name, int base, long unknown);

void discover_sysfs(struct discovery *d);      /* NUMA nodes, GPUs */
void discover_ports(struct discovery *d);      /* adapters */
void discover_nvml(struct discovery *d);
void discover_amd(struct discovery *d);
void discover_hwloc(struct discovery *d);      /* fills gaps */
void discover_notes(struct discovery *d);      /* once the graph is built */

/* The function at this real path of sysfs, with the bridges above it; -1. */
int discover_pci(struct discovery *d, const char *path);
/* One that is not in sysfs's tree of PCI, below a root of its own; -1. */
int discover_device(struct discovery *d, enum machine_kind kind, uint64_t bus, int numa);

#endif
