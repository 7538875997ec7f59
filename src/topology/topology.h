/* SPDX-License-Identifier: BSD-3-Clause */
/* A machine, or several, as a graph: what holds or moves bytes are nodes, what joins them are
 * links with a bandwidth and a latency.  Plain facts, from wherever they come (topology_source.h);
 * what follows from them is elsewhere: paths.h (how far two devices are from each other), rings.h
 * and plan.h (which ways use all of the machine).
 *
 * The shape: NUMA nodes are joined to each other (SMP), PCI roots and switches hang from them,
 * GPUs and NICs from those.  NVLinks, XGMI and NVSwitches join GPUs beside that tree, C2C joins a
 * GPU to its NUMA node.  A NIC is the adapter; its ports are nodes of their own, joined to rails
 * (the networks that ports of the same number share on all hosts) where those are known.
 *
 * A topology is built by one thread; then it may be read by many.  Like a schedule and a report,
 * building one cannot fail half way: out of memory is remembered, and topology_check() says so. */
#ifndef TOPOLOGY_H
#define TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Kind and its name in texts and files. */
#define TOPOLOGY_KINDS(X)          \
    X(NUMA,     "numa")            /* memory and the cores beside it */ \
    X(ROOT,     "root")            /* PCI host bridge, where the source tells them apart */ \
    X(SWITCH,   "switch")          /* PCI switch, or one level of it */ \
    X(GPU,      "gpu")             \
    X(NVSWITCH, "nvswitch")        /* all switches (planes) that GPUs share, as one */ \
    X(NIC,      "nic")             /* adapter */ \
    X(PORT,     "port")            /* of an adapter, as applications see it: mlx5_0, eth0 */ \
    X(RAIL,     "rail")            /* network that joins ports of several hosts */

enum topology_kind {
#define TOPOLOGY_KIND(id, name) TOPOLOGY_##id,
    TOPOLOGY_KINDS(TOPOLOGY_KIND)
#undef TOPOLOGY_KIND
    TOPOLOGY_KIND_COUNT
};

/* What a link is made of. */
#define TOPOLOGY_MEDIA(X)          \
    X(PCI,     "pci")              \
    X(NVLINK,  "nvlink")           /* GPU to GPU or to NVSwitch */ \
    X(XGMI,    "xgmi")             /* AMD's, GPU to GPU */ \
    X(C2C,     "c2c")              /* GPU to its CPU, Grace's and the like */ \
    X(SMP,     "smp")              /* between NUMA nodes: UPI, Infinity Fabric, ... */ \
    X(LANE,    "lane")             /* adapter to its port: the rate of the port */ \
    X(NETWORK, "network")          /* port to rail: as the port */

enum topology_medium {
#define TOPOLOGY_MEDIUM(id, name) MEDIUM_##id,
    TOPOLOGY_MEDIA(TOPOLOGY_MEDIUM)
#undef TOPOLOGY_MEDIUM
    MEDIUM_COUNT
};

enum { TOPOLOGY_NAME = 32, TOPOLOGY_TEXT = 64 };
enum { TOPOLOGY_HOSTS_MOST = 1024, TOPOLOGY_NODES_MOST = 1 << 18, TOPOLOGY_LINKS_MOST = 1 << 19 };
enum { TOPOLOGY_LANES_MOST = 1024, TOPOLOGY_DEPTH_MOST = 64 };     /* of a link; of parents */

#define TOPOLOGY_NO_BUS UINT64_MAX

/* What is not known is -1, 0 GB/s, TOPOLOGY_NO_BUS or "". */
struct topology_node {
    enum topology_kind kind;
    int      host;                     /* index in topology.hosts; -1: RAIL, NVSWITCH between hosts */
    int      parent;                   /* node it hangs from in the PCI tree, or -1 */
    int      number;                   /* GPU: device number; NUMA: of the system; PORT: of the
                                          adapter (from 1); RAIL: from 0; else -1 */
    char     name[TOPOLOGY_NAME];      /* unique within host and kind: "gpu0", "numa1", "mlx5_0" */
    char     model[TOPOLOGY_TEXT];     /* for people: "NVIDIA H100 80GB HBM3" */
    uint64_t bus;                      /* PCI: domain << 32 | bus << 16 | device << 8 | function */
    uint32_t pci_class;                /* 0x030200; 0: not known */
    uint32_t pci_vendor, pci_device;   /* 0x10de, 0x20b0 */
    double   speed;                    /* PORT: GB/s of the line, each way */
    int      capability;               /* GPU: compute capability times 10 (sm), AMD: gfx number */
    int      direct;                   /* GPU, PORT: GPUDirect: 1 yes, 0 no, -1 not known */
    int      socket;                   /* NUMA: number of its package, or -1 */
    uint64_t guid;                     /* PORT, NVSWITCH between hosts (fabric id, hash); 0: unknown */
    char     cpus[TOPOLOGY_TEXT * 8];  /* NUMA: list of cores "0-31,64-95" */
    char     arch[16], vendor[16];     /* NUMA: "x86_64", "GenuineIntel" */
    int      family, revision;         /* NUMA: of the processor; -1: not known */
};

/* Full duplex: `bandwidth` is what it carries each way at the same time. */
struct topology_link {
    int      a, b;                     /* nodes; `a` is the one nearer to the CPU, or the first */
    enum topology_medium medium;
    int      lanes;                    /* NVLinks, XGMI links, PCI lanes; 0: not known */
    double   bandwidth;                /* GB/s (10^9), as transfers reach it, of all lanes together */
    double   latency;                  /* microseconds, one way */
};

struct topology_host {
    char name[TOPOLOGY_TEXT];          /* opaque: host name, NCCL's host_hash, "" */
};

/* What was found out while reading, for people: where from, what is missing or odd. */
struct topology_note {
    bool missing;                      /* something is lacking or wrong; else where from */
    bool guess;                        /* about what this source alone cannot know: moot where another
                                          one tells it (topology_merge()) */
    char text[240];
};

struct topology {
    struct topology_node *nodes;
    struct topology_link *links;
    struct topology_host *hosts;
    struct topology_note *notes;
    int    nnodes, nlinks, nhosts, nnotes;
    int    room_nodes, room_links, room_hosts, room_notes;
    int    failed;                     /* status remembered; 0 */
    /* Made by topology_finish(): the links of node i are
     * incident[first[i]] ... incident[first[i + 1] - 1]. */
    int   *first, *incident;
    /* And the nodes by kind, host, number and place: those of kind k begin at order[kind_first[k]]. */
    int   *order, kind_first[TOPOLOGY_KIND_COUNT + 1];
};

void topology_init(struct topology *t);
void topology_free(struct topology *t);

/* Append; return the index, -1 when it cannot be (remembered).  The node begins with everything
 * unknown except what is given; `name` may be NULL: kind and `number` then make it. */
int topology_host(struct topology *t, const char *name);
int topology_node(struct topology *t, enum topology_kind kind, int host, int parent, int number,
                  const char *name);
/* A link between two different nodes.  topology_finish() makes one of those of one medium between the
 * same two (their lanes and bandwidths added), so the index is good until then. */
int topology_link(struct topology *t, int a, int b, enum topology_medium medium, int lanes,
                  double bandwidth);
void topology_note(struct topology *t, bool missing, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void topology_note_guess(struct topology *t);          /* the latest note is about a guess */

/* While building: the ports of the same place (in order of building) on two or more hosts are joined by
 * a rail each, with links as fast as the port's lane. */
void topology_rails(struct topology *t);

/* All is there: join and index the links, and check: names unique, parents before their children, on the
 * same host and not nested too deep, links within range with a bandwidth above 0, all but NUMA nodes,
 * rails and NVSwitches hang from something.  Once.  PEAL_OK, PEAL_ERR_MEMORY, or PEAL_ERR_ARGUMENT with
 * a text that names the node. */
int topology_finish(struct topology *t);

/* Questions to a finished one. */
int topology_count(const struct topology *t, enum topology_kind kind, int host /* -1: all */);
/* The i-th of its kind in the order of their numbers (on `host`, or of all: by host); -1. */
int topology_nth(const struct topology *t, enum topology_kind kind, int host, int i);
int topology_find_bus(const struct topology *t, int host, uint64_t bus);         /* -1: none */
int topology_find_name(const struct topology *t, int host, enum topology_kind kind,
                       const char *name);
/* The link of this medium between two nodes, or -1. */
int topology_link_between(const struct topology *t, int a, int b, enum topology_medium medium);
/* The NUMA node that it hangs from, or itself; -1. */
int topology_numa(const struct topology *t, int node);

const char *topology_kind_name(enum topology_kind kind);
const char *topology_medium_name(enum topology_medium medium);
enum topology_kind topology_kind_find(const char *name);      /* TOPOLOGY_KIND_COUNT: none */
enum topology_medium topology_medium_find(const char *name);  /* MEDIUM_COUNT: none */

/* "0000:3b:00.0", "3b:00.0", and NCCL's virtual "fffffff:ff:ff.0".  False: it is none. */
bool topology_bus_parse(const char *text, uint64_t *bus);
void topology_bus_print(uint64_t bus, char text[20]);

/* n hosts like the one of `one` (finished; one host), ports of the same order joined by rails; an NVSwitch is
 * shared by each `domain` hosts (its host is -1 then; 1: each host has its own).  `many` is initialised
 * here, finished, and to be freed by the caller if PEAL_OK came. */
int topology_repeat(struct topology *many, const struct topology *one, int n, int domain);

#endif
