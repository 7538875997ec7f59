/* SPDX-License-Identifier: BSD-3-Clause */
/* Virtual machines of clouds, as trees that look like /sys: no PCI switch, no speed of a link. */
#ifndef TOPOLOGY_CLOUDS_H
#define TOPOLOGY_CLOUDS_H

#include "topology_tree.h"

static inline void cloud_begin(int numas, const char *const *cpus, const char *vendor, const char *product)
{
    char text[200];

    tree_begin();
    snprintf(text, sizeof text, "vendor_id\t: %s\ncpu family\t: 6\nmodel\t\t: 143\n"
             "flags\t\t: fpu hypervisor", vendor);
    tree_line(".", "cpuinfo", text);
    tree_line("class/dmi/id", "sys_vendor", product);
    tree_line("module/nvidia_peermem", "initstate", "live");
    for (int i = 0; i < numas; i++)
        tree_numa(i, cpus[i], atoi(cpus[i]), i);
}

/* A function on its own root, or below `above` ("pci0000:44/0000:44:00.0"). */
static inline void cloud_place(char folder[200], const char *above, const char *bus)
{
    if (above)
        snprintf(folder, 200, "%s/%s", above, bus);
    else
        snprintf(folder, 200, "pci%.7s/%s", bus, bus);
}

static inline void cloud_gpu(const char *above, const char *bus, const char *device, int numa)
{
    char folder[200];

    cloud_place(folder, above, bus);
    tree_pci(folder, "0x030200", "0x10de", device, numa, "Unknown", "0");
    tree_driver(folder, "nvidia");
}

static inline void cloud_port(const char *above, const char *bus, const char *name, const char *rate, int numa)
{
    char folder[200];

    cloud_place(folder, above, bus);
    tree_pci(folder, "0x020700", "0x15b3", "0x101c", numa, "Unknown", "0");
    tree_verbs(folder, name, rate, "4: ACTIVE");
}

static inline void cloud_eth(const char *bus, int numa)
{
    char folder[200];

    cloud_place(folder, NULL, bus);
    tree_pci(folder, "0x020000", "0x1d0f", "0xec20", numa, "Unknown", "0");
    tree_net(folder, "eth0", "25000", "up");
}

#endif
