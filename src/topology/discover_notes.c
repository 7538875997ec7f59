/* SPDX-License-Identifier: BSD-3-Clause */
/* What an operator could change about a discovered machine, where sysfs shows more than the graph:
 * PCI links below what both of their ends can, ACS, IOMMU, a virtual machine's missing switches. */
#include "topology/discover.h"

#include "base/short_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static double least(double a, double b)
{
    return a < b ? a : b;
}

/* ---- PCI links ------------------------------------------------------------------------- */

struct slow { int n; double now, most; char first[20]; };

/* The link above device i, whose other end is its parent.  Both ends show the same numbers; where they
 * do not, it is no link, but what lies within a switch or a hypervisor's fancy. */
static void judge_link(struct discovery *d, int i, bool gpu, struct slow *slow)
{
    int up = d->m.devices[i].parent;
    const struct discover_pci *below = &d->pci[i], *above = up < 0 ? NULL : &d->pci[up];
    double most;
    char address[20];
    int lanes;

    if (!above || !below->linked || d->m.devices[i].emulated || d->m.devices[up].emulated ||
        !below->lanes || below->lanes != above->lanes || below->speed != above->speed)
        return;
    topology_bus_print(d->m.devices[i].bus, address);
    lanes = (int)least(below->lanes_most, above->lanes_most);
    most = least(below->speed_most, above->speed_most);
    if (below->lanes < lanes)
        topology_note(d->t, true, "the PCI link of %s has %d lanes, both ends can have %d: reseat the "
                      "card, look at riser and cable, and at the slot's bifurcation in the BIOS",
                      address, below->lanes, lanes);
    if (!(below->speed > 0) || below->speed > most * 0.99)
        return;
    if (!gpu) {
        topology_note(d->t, true, "the PCI link of %s runs at %g GT/s, both ends can do %g: look at "
                      "the slot's speed in the BIOS, riser and cable", address, below->speed, most);
        return;
    }
    if (!slow->n++)
        *slow = (struct slow){ .n = 1, .now = below->speed, .most = most };
    if (slow->n == 1)
        strcpy(slow->first, address);
}

static void judge_links(struct discovery *d)
{
    bool *seen = calloc((size_t)d->npci + 1, sizeof *seen);
    struct slow slow = { .n = 0 };

    for (int i = 0; seen && i < d->npci; i++)
        if (d->m.devices[i].node >= 0)
            for (int at = i; at >= 0 && !seen[at]; at = d->m.devices[at].parent) {
                seen[at] = true;
                judge_link(d, at, d->m.devices[i].kind == MACHINE_GPU, &slow);
            }
    if (slow.n)
        topology_note(d->t, true, "%d PCI links of GPUs run at less than both ends can (%s: %g of %g "
                      "GT/s): idle GPUs save power so; if it stays under load, look at slot, riser "
                      "and BIOS; planned with the full speed", slow.n, slow.first, slow.now, slow.most);
    free(seen);
}

/* ---- ACS ------------------------------------------------------------------------------- */

enum { CONFIG = 4096, EXTENDED = 0x100, CAPABILITY_ACS = 0x000d, ACS_CONTROL = 6,
       ACS_REDIRECT = 1 << 2 | 1 << 3 | 1 << 5 };  /* requests, completions, egress control */

/* 1: the bridge sends what its devices send each other up to the processor; 0: not; -1: its
 * extended configuration cannot be read. */
static int redirects(const char *path)
{
    unsigned char config[CONFIG];
    char name[PATH_MAX];
    ssize_t length;
    unsigned at = EXTENDED;
    int fd;

    snprintf(name, sizeof name, "%s/config", path);
    fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    length = read(fd, config, sizeof config);
    close(fd);
    if (length <= EXTENDED)
        return -1;
    for (int hops = 0; hops < CONFIG / 8 && at >= EXTENDED && at + 8 <= (unsigned)length; hops++) {
        unsigned id = config[at] | (unsigned)config[at + 1] << 8;

        if (id == CAPABILITY_ACS)
            return (config[at + ACS_CONTROL] & ACS_REDIRECT) != 0;
        at = (unsigned)config[at + 2] >> 4 | (unsigned)config[at + 3] << 4;
    }
    return 0;
}

/* The bridges directly below a switch's node, above which something of ours is. */
static void judge_acs(struct discovery *d)
{
    int redirecting = 0, unknown = 0;
    char first[20] = "";

    for (int i = 0; i < d->npci; i++) {
        const struct machine_device *bridge = &d->m.devices[i];
        int state;

        if (bridge->kind != MACHINE_BRIDGE || !bridge->below || bridge->parent < 0 ||
            d->m.devices[bridge->parent].node < 0)
            continue;
        state = redirects(d->pci[i].path);
        unknown += state < 0;
        if (state <= 0)
            continue;
        if (!redirecting++)
            topology_bus_print(bridge->bus, first);
    }
    if (redirecting)
        topology_note(d->t, true, "ACS is on at %d PCI bridges between devices of one switch (first "
                      "%s): what they send each other goes up to the processor; switch it off in the "
                      "BIOS, or setpci -s %s ECAP_ACS+6.w=0", redirecting, first, first);
    else if (unknown)
        topology_note(d->t, true, "whether ACS sends what devices of one PCI switch exchange up to "
                      "the processor is not known (%d bridges): only root may read that", unknown);
}

/* ---- IOMMU ----------------------------------------------------------------------------- */

static void judge_iommu(struct discovery *d)
{
    char type[32], first[20] = "";
    int translated = 0;

    for (int i = 0; i < d->npci; i++) {
        if (d->m.devices[i].kind != MACHINE_GPU || d->m.devices[i].node < 0)
            continue;
        if (!short_file_line(type, sizeof type, "%s/iommu_group/type", d->pci[i].path) ||
            strncmp(type, "DMA", 3))
            continue;
        if (!translated++)
            topology_bus_print(d->m.devices[i].bus, first);
    }
    if (translated)
        topology_note(d->t, true, "the IOMMU translates what %d GPUs send (first %s): between GPUs "
                      "and adapters that costs bandwidth or fails; boot with iommu=pt, unless a "
                      "hypervisor needs it", translated, first);
}

/* ---- Virtual machines ------------------------------------------------------------------- */

static void find_product(struct discovery *d)
{
    static const char *const hypervisors[] = { "QEMU", "KVM", "Xen", "VMware", "innotek", "Parallels",
                                               "Amazon EC2", "Google Compute Engine", "Microsoft "
                                               "Corporation Virtual Machine", "OpenStack" };
    char vendor[48], product[48];

    short_file_line(vendor, sizeof vendor, "%s/class/dmi/id/sys_vendor", d->places->sys);
    short_file_line(product, sizeof product, "%s/class/dmi/id/product_name", d->places->sys);
    snprintf(d->product, sizeof d->product, "%s%s%s", vendor, *vendor && *product ? " " : "", product);
    for (size_t i = 0; i < sizeof hypervisors / sizeof *hypervisors; i++)
        d->virtual |= !strncmp(d->product, hypervisors[i], strlen(hypervisors[i])) &&
                      !strstr(d->product, "metal");
}

static void judge_virtual(struct discovery *d)
{
    int gpus = 0, below_switch = 0;

    find_product(d);
    for (int i = 0; i < d->m.ndevices; i++) {
        int node = d->m.devices[i].node;

        if (d->m.devices[i].kind != MACHINE_GPU || node < 0)
            continue;
        gpus++;
        below_switch += d->t->nodes[d->t->nodes[node].parent].kind == TOPOLOGY_SWITCH;
    }
    if (d->virtual)
        topology_note(d->t, false, "a virtual machine%s%s", *d->product ? ": " : "", d->product);
    if (d->virtual && gpus > 1 && !below_switch) {
        topology_note(d->t, true, "the virtual machine shows no PCI switches: which of its %d GPUs "
                      "and adapters are near each other is not known; give the true topology of its "
                      "kind as a file (PEAL_TOPO_FILE; clouds publish theirs)", gpus);
        topology_note_guess(d->t);
    }
}

void discover_notes(struct discovery *d)
{
    judge_links(d);
    judge_acs(d);
    judge_iommu(d);
    judge_virtual(d);
}
