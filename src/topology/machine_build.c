/* SPDX-License-Identifier: BSD-3-Clause */
/* From what a source told of a machine to the graph. */
#include "topology/machine.h"

#include "base/status.h"
#include "topology/topology_speeds.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct builder {
    struct machine *m;
    struct topology *t;
    int    host;
    int    nroots, nswitches, nnics, nvswitch;
    struct root { int root, node; double below; } *roots;     /* in the order of their nodes */
    bool   guessed_numa;
    int    untold_speeds;              /* GPUs above which no link has told its speed */
};

/* What a chain of PCI links carries: its slowest. */
struct narrowest { double speed; int lanes; };

static void narrow(struct narrowest *way, const struct machine_device *d)
{
    if (!(d->speed > 0) || d->lanes <= 0 || d->emulated)
        return;
    if (way->lanes && speed_pci(way->speed, way->lanes) <= speed_pci(d->speed, d->lanes))
        return;
    *way = (struct narrowest){ d->speed, d->lanes };
}

static void join(struct builder *b, int above, int below, struct narrowest way)
{
    topology_link(b->t, above, below, MEDIUM_PCI, way.lanes, speed_pci(way.speed, way.lanes));
}

/* ---- NUMA nodes -------------------------------------------------------------------- */

static struct machine_numa *numa_find(struct machine *m, int number)
{
    for (int i = 0; i < m->nnumas; i++)
        if (m->numas[i].number == number)
            return &m->numas[i];
    return NULL;
}

/* The node of a device; where nobody knows, the first, which is said once. */
static struct machine_numa *numa_of(struct builder *b, struct machine_device *d)
{
    struct machine_numa *numa = numa_find(b->m, d->numa);
    char bus[20];

    if (numa)
        return numa;
    if (b->m->nnumas > 1 && !b->guessed_numa) {
        b->guessed_numa = true;
        topology_bus_print(d->bus, bus);
        topology_note(b->t, true, "the NUMA node of PCI device %s (and perhaps more) is not known; "
                      "%d is assumed: the BIOS's PCI affinity (_PXM) may be off", bus,
                      b->m->numas[0].number);
        topology_note_guess(b->t);
    }
    return &b->m->numas[0];
}

static int order_numas(const void *a, const void *b)
{
    const struct machine_numa *x = a, *y = b;

    return (x->number > y->number) - (x->number < y->number);
}

/* Those with cores or devices; memory alone (a GPU's, CXL) is no place to run. */
static void build_numas(struct builder *b)
{
    struct machine *m = b->m;
    int used = 0;

    if (!m->nnumas && !machine_numa(m, 0))
        return;
    qsort(m->numas, (size_t)m->nnumas, sizeof *m->numas, order_numas);
    for (int i = 0; i < m->nnumas; i++)
        m->numas[i].used = m->numas[i].cpus[0];
    for (int i = 0; i < m->ndevices; i++)
        if (m->devices[i].kind == MACHINE_GPU || m->devices[i].kind == MACHINE_NIC)
            numa_of(b, &m->devices[i])->used = true;
    for (int i = 0; i < m->nnumas; i++)
        used += m->numas[i].used;
    if (!used)
        m->numas[0].used = true;
    if (used > MACHINE_NUMA_MOST) {
        m->failed = status_fail(PEAL_ERR_ARGUMENT, "topology: %d NUMA nodes; no machine is like "
                                "that", used);
        return;
    }
    for (int i = 0; i < m->nnumas; i++) {
        struct machine_numa *from = &m->numas[i];
        struct topology_node *node;

        if (!from->used)
            continue;
        from->node = topology_node(b->t, TOPOLOGY_NUMA, b->host, -1, from->number, NULL);
        if (from->node < 0)
            return;
        node = &b->t->nodes[from->node];
        node->socket = from->socket;
        node->family = from->family;
        node->revision = from->revision;
        snprintf(node->cpus, sizeof node->cpus, "%s", from->cpus);
        snprintf(node->arch, sizeof node->arch, "%s", from->arch);
        snprintf(node->vendor, sizeof node->vendor, "%s", from->vendor);
        for (int k = 0; k < i; k++)
            if (m->numas[k].used)
                topology_link(b->t, m->numas[k].node, from->node, MEDIUM_SMP, 0, speed_smp(node));
    }
}

/* ---- PCI ------------------------------------------------------------------------ */

static int root_node(struct builder *b, struct machine_device *top)
{
    char name[TOPOLOGY_NAME];
    int node;

    for (int i = 0; i < b->nroots; i++)
        if (b->roots[i].root == top->root)
            return b->roots[i].node;
    snprintf(name, sizeof name, "root%d", b->nroots);
    node = topology_node(b->t, TOPOLOGY_ROOT, b->host, numa_of(b, top)->node, -1, name);
    if (node >= 0)
        b->roots[b->nroots++] = (struct root){ top->root, node, 0 };
    return node;
}

/* The node that device i hangs from: a bridge with several things behind it, which is made if need
 * be, or its root.  `way`: narrowed by the links that are left out. */
static int node_above(struct builder *b, int i, struct narrowest *way)
{
    struct machine_device *devices = b->m->devices;
    struct narrowest further = { 0, 0 };
    char name[TOPOLOGY_NAME];
    int up = devices[i].parent, above, last = i;

    for (; up >= 0 && devices[up].below < 2; last = up, up = devices[up].parent)
        narrow(way, &devices[up]);
    if (up < 0)
        return root_node(b, &devices[last]);
    if (devices[up].node >= 0)
        return devices[up].node;
    narrow(&further, &devices[up]);
    above = node_above(b, up, &further);      /* no deeper than bridges are: MACHINE_DEPTH_MOST */
    snprintf(name, sizeof name, "switch%d", b->nswitches++);
    devices[up].node = above < 0 ? -1 : topology_node(b->t, TOPOLOGY_SWITCH, b->host, above, -1, name);
    if (devices[up].node < 0)
        return -1;
    b->t->nodes[devices[up].node].bus = devices[up].bus;
    b->t->nodes[devices[up].node].pci_class = devices[up].pci_class;
    b->t->nodes[devices[up].node].pci_vendor = devices[up].vendor;
    b->t->nodes[devices[up].node].pci_device = devices[up].device;
    join(b, above, devices[up].node, further);
    return devices[up].node;
}

/* Count, for each bridge, what it has behind it that is kept. */
static void count_below(struct machine *m, int i)
{
    for (int up = m->devices[i].parent; up >= 0 && !m->devices[up].below++;)
        up = m->devices[up].parent;
}

/* The functions of one adapter share its link: they are the NIC of the first. */
static int adapter_of(const struct machine *m, const int *nics, int nnics, int i)
{
    for (int k = 0; k < nnics; k++) {
        const struct machine_device *d = &m->devices[nics[k]];

        if (d->bus != TOPOLOGY_NO_BUS && d->bus >> 8 == m->devices[i].bus >> 8 &&
            d->parent == m->devices[i].parent)
            return nics[k];
    }
    return i;
}

static void build_device(struct builder *b, int i)
{
    struct machine_device *d = &b->m->devices[i];
    struct narrowest way = { 0, 0 };
    struct topology_node *node;
    int above;

    narrow(&way, d);
    above = node_above(b, i, &way);
    if (above < 0)
        return;
    d->node = d->kind == MACHINE_GPU
        ? topology_node(b->t, TOPOLOGY_GPU, b->host, above, d->number, NULL)
        : topology_node(b->t, TOPOLOGY_NIC, b->host, above, -1, NULL);
    if (d->node < 0)
        return;
    node = &b->t->nodes[d->node];
    if (d->kind == MACHINE_NIC)
        snprintf(node->name, sizeof node->name, "nic%d", b->nnics++);
    node->bus = d->bus;
    node->pci_class = d->pci_class;
    node->pci_vendor = d->vendor;
    node->pci_device = d->device;
    node->capability = d->capability;
    node->direct = d->direct;
    snprintf(node->model, sizeof node->model, "%s", d->model);
    b->untold_speeds += d->kind == MACHINE_GPU && !way.lanes;
    join(b, above, d->node, way);
}

/* The adapters that have a port; `nics`: the first functions of each, the others' ports are theirs. */
static int gather_adapters(struct builder *b, int *nics)
{
    struct machine *m = b->m;
    int n = 0;

    for (int i = 0; i < m->nports; i++) {
        int device = m->ports[i].device, first = adapter_of(m, nics, n, device);

        if (first == device && m->devices[device].below == 0) {
            m->devices[device].below = 1;
            nics[n++] = device;
        }
        m->ports[i].device = first;
    }
    return n;
}

static void build_ports(struct builder *b)
{
    for (int i = 0; i < b->m->nports; i++) {
        const struct machine_port *from = &b->m->ports[i];
        int nic = b->m->devices[from->device].node, port;
        double speed = from->speed;

        if (nic < 0)
            continue;
        port = topology_node(b->t, TOPOLOGY_PORT, b->host, nic, from->number, from->name);
        if (port < 0)
            return;
        if (!(speed > 0)) {
            speed = 1.25;
            topology_note(b->t, true, "the speed of port %s is not known; 10 Gb/s is assumed",
                          from->name);
        }
        b->t->nodes[port].speed = speed;
        b->t->nodes[port].guid = from->guid;
        b->t->nodes[port].direct = from->direct;
        topology_link(b->t, nic, port, MEDIUM_LANE, 0, speed);
    }
}

/* What joins a root to its NUMA node is inside the processor, and carries what its slots do. */
static void build_roots(struct builder *b)
{
    for (int k = 0; k < b->t->nlinks; k++) {
        int low = 0, high = b->nroots;

        while (low < high) {
            int middle = (low + high) / 2;

            if (b->roots[middle].node < b->t->links[k].a)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < b->nroots && b->roots[low].node == b->t->links[k].a)
            b->roots[low].below += b->t->links[k].bandwidth;
    }
    for (int i = 0; i < b->nroots; i++) {
        const struct root *root = &b->roots[i];
        int link = topology_link(b->t, b->t->nodes[root->node].parent, root->node, MEDIUM_PCI, 0,
                                 root->below > 0 ? root->below : speed_pci(0, 0));

        if (link >= 0)
            b->t->links[link].latency = 0;
    }
}

/* ---- NVLinks, XGMI, C2C ---------------------------------------------------------------- */

static int switch_node(struct builder *b, const struct machine_device *gpu)
{
    char name[TOPOLOGY_NAME];
    int node;

    if (!gpu->fabric) {
        if (b->nvswitch < 0)
            b->nvswitch = topology_node(b->t, TOPOLOGY_NVSWITCH, b->host, -1, -1, "nvswitch");
        return b->nvswitch;
    }
    for (int i = 0; i < b->t->nnodes; i++)
        if (b->t->nodes[i].kind == TOPOLOGY_NVSWITCH && b->t->nodes[i].guid == gpu->fabric)
            return i;
    snprintf(name, sizeof name, "nvswitch-%016" PRIx64, gpu->fabric);
    node = topology_node(b->t, TOPOLOGY_NVSWITCH, -1, -1, -1, name);
    if (node >= 0)
        b->t->nodes[node].guid = gpu->fabric;
    return node;
}

static void build_link(struct builder *b, const struct machine_link *link)
{
    struct machine_device *gpu = &b->m->devices[link->device];
    double bandwidth = link->bandwidth;
    int peer;

    if (gpu->node < 0)
        return;
    if (link->peer == MACHINE_TO_SWITCH)
        peer = switch_node(b, gpu);
    else if (link->peer == MACHINE_TO_CPU)
        peer = numa_of(b, gpu)->node;
    else
        peer = b->m->devices[link->peer].node;
    if (peer < 0 || peer == gpu->node)
        return;
    if (!(bandwidth > 0))
        bandwidth = link->lanes * (link->medium == MEDIUM_XGMI ? speed_xgmi(gpu->capability)
                                                               : speed_nvlink(gpu->capability));
    if (link->peer == MACHINE_TO_CPU)
        topology_link(b->t, peer, gpu->node, link->medium, link->lanes, bandwidth);
    else
        topology_link(b->t, gpu->node, peer, link->medium, link->lanes, bandwidth);
}

/* ---- All ------------------------------------------------------------------------ */

static int order_buses(const void *a, const void *b)
{
    const struct machine_device *x = *(struct machine_device *const *)a;
    const struct machine_device *y = *(struct machine_device *const *)b;

    if (x->bus != y->bus)
        return x->bus < y->bus ? -1 : 1;
    return (x > y) - (x < y);
}

/* Each GPU a number of its own: the one it came with, or the next free one in PCI order. */
static void number_gpus(struct machine_device **gpus, int n)
{
    bool taken[MACHINE_DEVICES_MOST] = { false };
    int next = 0;

    qsort(gpus, (size_t)n, sizeof *gpus, order_buses);
    for (int i = 0; i < n; i++) {
        int number = gpus[i]->number;

        if (number < 0 || number >= MACHINE_DEVICES_MOST || taken[number])
            gpus[i]->number = -1;
        else
            taken[number] = true;
    }
    for (int i = 0; i < n; i++) {
        if (gpus[i]->number >= 0)
            continue;
        while (taken[next])
            next++;
        taken[gpus[i]->number = next] = true;
    }
}

/* The GPUs in the order of their numbers, behind them the adapters in the order of the source. */
static int gather(struct builder *b, int *kept)
{
    struct machine_device *gpus[MACHINE_DEVICES_MOST];
    int ngpus = 0, at[MACHINE_DEVICES_MOST], n = 0;

    for (int i = 0; i < b->m->ndevices; i++) {
        struct machine_device *d = &b->m->devices[i];

        d->below = 0;
        d->node = -1;
        if (d->kind != MACHINE_GPU)
            continue;
        if (ngpus == MACHINE_DEVICES_MOST) {
            b->m->failed = status_fail(PEAL_ERR_ARGUMENT, "topology: more than %d GPUs; no machine "
                                       "is like that", MACHINE_DEVICES_MOST);
            return 0;
        }
        gpus[ngpus++] = d;
    }
    number_gpus(gpus, ngpus);
    for (int i = 0; i < MACHINE_DEVICES_MOST; i++)
        at[i] = -1;
    for (int i = 0; i < ngpus; i++)
        at[gpus[i]->number] = (int)(gpus[i] - b->m->devices);
    for (int i = 0; i < MACHINE_DEVICES_MOST; i++)
        if (at[i] >= 0)
            kept[n++] = at[i];
    n += gather_adapters(b, kept + n);
    for (int i = 0; i < n; i++)
        b->m->devices[kept[i]].below = 0;
    return n;
}

int machine_build(struct machine *m, struct topology *t, int host)
{
    struct builder b = { .m = m, .t = t, .host = host, .nvswitch = -1 };
    int *kept = malloc(2 * MACHINE_DEVICES_MOST * sizeof *kept), n = 0;

    b.roots = malloc(2 * MACHINE_DEVICES_MOST * sizeof *b.roots);
    if (!kept || !b.roots)
        m->failed = status_fail(PEAL_ERR_MEMORY, "topology: no memory for a machine");
    if (!m->failed)
        build_numas(&b);
    if (!m->failed)
        n = gather(&b, kept);
    for (int i = 0; i < n; i++)
        count_below(m, kept[i]);
    for (int i = 0; i < n && !t->failed; i++)
        build_device(&b, kept[i]);
    if (b.untold_speeds)
        topology_note(t, true, "nothing tells how fast the PCI links of %d GPUs are: 16 lanes of 8 GT/s are "
                      "assumed", b.untold_speeds);
    if (!m->failed) {
        build_ports(&b);
        build_roots(&b);
        for (int i = 0; i < m->nlinks; i++)
            build_link(&b, &m->links[i]);
    }
    free(kept);
    free(b.roots);
    return m->failed ? m->failed : t->failed;
}
