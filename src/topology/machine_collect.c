/* SPDX-License-Identifier: BSD-3-Clause */
/* Collecting what a source tells of a machine; what its PCI functions are. */
#include "topology/machine.h"

#include "topology/room.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NVIDIA = 0x10de, AMD = 0x1002, INTEL = 0x8086 };

void machine_free(struct machine *m)
{
    free(m->devices);
    free(m->ports);
    free(m->numas);
    free(m->links);
    *m = (struct machine){ .ndevices = 0 };
}

static bool grow(struct machine *m, void *array, size_t size, int count, int *room, int most)
{
    return room_for_one(&m->failed, array, size, count, room, most, "devices, NUMA nodes or links");
}

/* Bridges and functions that are not kept may be many. */
struct machine_device *machine_device(struct machine *m, enum machine_kind kind, uint64_t bus,
                                      int parent)
{
    struct machine_device *device;

    if (!grow(m, &m->devices, sizeof *m->devices, m->ndevices, &m->room_devices,
              TOPOLOGY_NODES_MOST))
        return NULL;
    device = &m->devices[m->ndevices++];
    *device = (struct machine_device){
        .kind = kind, .bus = bus, .parent = parent, .root = -1, .numa = -1, .number = -1,
        .direct = -1, .node = -1
    };
    return device;
}

struct machine_port *machine_port(struct machine *m, int device, const char *name)
{
    struct machine_port *port;

    if (!grow(m, &m->ports, sizeof *m->ports, m->nports, &m->room_ports, MACHINE_DEVICES_MOST))
        return NULL;
    port = &m->ports[m->nports++];
    *port = (struct machine_port){ .device = device, .number = 1, .direct = -1 };
    snprintf(port->name, sizeof port->name, "%s", name);
    return port;
}

struct machine_numa *machine_numa(struct machine *m, int number)
{
    struct machine_numa *numa;

    if (!grow(m, &m->numas, sizeof *m->numas, m->nnumas, &m->room_numas, 4 * MACHINE_NUMA_MOST))
        return NULL;
    numa = &m->numas[m->nnumas++];
    *numa = (struct machine_numa){
        .number = number, .socket = -1, .family = -1, .revision = -1, .node = -1
    };
    return numa;
}

void machine_link(struct machine *m, int device, int peer, enum topology_medium medium, int lanes,
                  double bandwidth)
{
    if (!grow(m, &m->links, sizeof *m->links, m->nlinks, &m->room_links, TOPOLOGY_LINKS_MOST))
        return;
    m->links[m->nlinks++] = (struct machine_link){
        .device = device, .peer = peer, .medium = medium, .lanes = lanes, .bandwidth = bandwidth
    };
}

/* A display controller counts as a GPU where its maker makes ones that compute: the graphics of a
 * board's management controller (ASPEED, Matrox) and of a desktop processor (Intel's, 0300) do not. */
enum machine_kind machine_kind_of(uint32_t pci_class, uint32_t vendor)
{
    switch (pci_class >> 8) {
    case 0x0302:                       /* 3D controller */
        return MACHINE_GPU;
    case 0x0300:                       /* VGA */
        return vendor == NVIDIA || vendor == AMD ? MACHINE_GPU : MACHINE_OTHER;
    case 0x0380:                       /* other display controller */
        return vendor == NVIDIA || vendor == AMD || vendor == INTEL ? MACHINE_GPU : MACHINE_OTHER;
    case 0x1200:                       /* processing accelerator: MI300 */
        return vendor == AMD ? MACHINE_GPU : MACHINE_OTHER;
    case 0x0604:
        return MACHINE_BRIDGE;
    case 0x0680:                       /* other bridge */
        return vendor == NVIDIA ? MACHINE_NVSWITCH : MACHINE_OTHER;
    case 0x0200:                       /* Ethernet */
    case 0x0207:                       /* InfiniBand */
    case 0x0208:                       /* fabric: Omni-Path, Slingshot */
    case 0x0280:
        return MACHINE_NIC;
    }
    return MACHINE_OTHER;
}

/* Chips by the first of their PCI device ids (the PCI ID repository); NVIDIA numbers a chip's cards
 * from a multiple of 0x20 or 0x40 on. */
static const struct chip { uint32_t first, last; int capability; } nvidia[] = {
    { 0x06c0, 0x06df, 20 }, { 0x1091, 0x1096, 20 },                      /* Fermi */
    { 0x1020, 0x103f, 35 }, { 0x102d, 0x102d, 37 },                      /* Kepler GK110, K80 */
    { 0x13c0, 0x13ff, 52 }, { 0x17c0, 0x17ff, 52 },                      /* Maxwell */
    { 0x15f0, 0x15ff, 60 }, { 0x1b00, 0x1bbf, 61 },                      /* Pascal */
    { 0x1d80, 0x1dff, 70 },                                              /* Volta */
    { 0x1e00, 0x1fff, 75 },                                              /* Turing */
    { 0x2080, 0x20ff, 80 }, { 0x2200, 0x25ff, 86 },                      /* Ampere; but Hopper: */
    { 0x2300, 0x237f, 90 }, { 0x2600, 0x28ff, 89 },                      /* Hopper, Ada */
    { 0x2900, 0x29ff, 100 }, { 0x2b80, 0x2dff, 120 },                    /* Blackwell */
    { 0x2e00, 0x2e7f, 121 }, { 0x3180, 0x31ff, 103 },                    /* GB10, GB300 */
};
static const struct chip amd[] = {
    { 0x66a0, 0x66af, 906 }, { 0x738c, 0x7390, 908 }, { 0x7408, 0x7410, 910 },
    { 0x74a0, 0x74bf, 942 }, { 0x75a0, 0x75bf, 950 },
};

int machine_capability(uint32_t vendor, uint32_t device)
{
    const struct chip *chips = vendor == NVIDIA ? nvidia : amd;
    size_t n = vendor == NVIDIA ? sizeof nvidia / sizeof *nvidia : sizeof amd / sizeof *amd;
    int capability = 0;

    if (vendor != NVIDIA && vendor != AMD)
        return 0;
    for (size_t i = 0; i < n; i++)     /* the last one: narrower ranges follow wider ones */
        if (device >= chips[i].first && device <= chips[i].last)
            capability = chips[i].capability;
    return capability;
}

/* For sources that name the adapter and not its rate (hwloc). */
double machine_port_most(uint32_t vendor, uint32_t device)
{
    static const struct { uint32_t vendor, device; double rate; } adapters[] = {
        { 0x15b3, 0x1003, 56 },  { 0x15b3, 0x1007, 56 },                     /* ConnectX-3, Pro */
        { 0x15b3, 0x1011, 56 },  { 0x15b3, 0x1013, 100 }, { 0x15b3, 0x1015, 25 },
        { 0x15b3, 0x1017, 100 }, { 0x15b3, 0x1019, 100 }, { 0x15b3, 0x101b, 200 },
        { 0x15b3, 0x101d, 100 }, { 0x15b3, 0x101f, 25 },  { 0x15b3, 0x1021, 400 },
        { 0x15b3, 0x1023, 800 },                                             /* ConnectX-8 */
        { 0x15b3, 0xa2d6, 200 }, { 0x15b3, 0xa2dc, 400 },                    /* BlueField-2, 3 */
        { 0x17db, 0x0501, 200 },                                             /* Slingshot */
        { 0x8086, 0x24f0, 100 },                                             /* Omni-Path */
        { 0x8086, 0x1521, 1 },   { 0x8086, 0x1533, 1 },   { 0x8086, 0x10fb, 10 },
        { 0x8086, 0x1572, 10 },  { 0x8086, 0x1592, 100 }, { 0x14e4, 0x165f, 1 },
    };

    for (size_t i = 0; i < sizeof adapters / sizeof *adapters; i++)
        if (adapters[i].vendor == vendor && adapters[i].device == device)
            return adapters[i].rate;
    return 0;
}

bool machine_switched(int n, int lanes)
{
    enum { LINKS_MOST = 18 };          /* Hopper and Blackwell; Ampere 12, Volta 6 */

    return n > 2 && lanes > 0 && lanes * (n - 1) > LINKS_MOST;
}
