/* SPDX-License-Identifier: BSD-3-Clause */
/* NUMA nodes and PCI functions, as Linux shows them in /sys.
 *
 * The real path of a PCI function holds its host bridge and all bridges above it:
 * /sys/devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0.  Of the many functions that a server has only
 * the class is read, then all of those that matter. */
#include "topology/discover.h"

#include "base/short_file.h"
#include "base/status.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

long discover_number(const char *folder, const char *name, int base, long unknown)
{
    char text[64], *end;
    long value;

    if (!short_file_line(text, sizeof text, "%s/%s", folder, name))
        return unknown;
    value = strtol(text, &end, base);
    return end == text ? unknown : value;
}

/* ---- NUMA nodes ---------------------------------------------------------------------- */

/* "vendor_id : GenuineIntel" of the first core; reading no more than a page of what may be long. */
static void read_processor(struct discovery *d, struct machine_numa *like)
{
    char text[4096], *line, *rest;
    struct utsname name;

    if (!uname(&name))
        snprintf(like->arch, sizeof like->arch, "%.15s", name.machine);
    short_file_text(text, sizeof text, "%s/cpuinfo", d->places->proc);
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        const char *value = strchr(line, ':');

        value = value ? value + 1 + (value[1] == ' ') : "";
        if (!strncmp(line, "vendor_id", 9))
            snprintf(like->vendor, sizeof like->vendor, "%.15s", value);
        else if (!strncmp(line, "cpu family", 10))
            like->family = atoi(value);
        else if (!strncmp(line, "model\t", 6))
            like->revision = atoi(value);
        else if (!strncmp(line, "flags", 5) && strstr(value, " hypervisor"))
            d->virtual = true;
    }
}

/* A list that is too long ends with its last whole part. */
static void read_cpus(const char *folder, const char *name, struct machine_numa *numa)
{
    char text[4096];
    size_t length;

    short_file_line(text, sizeof text, "%s/%s", folder, name);
    length = strlen(text);
    if (length >= sizeof numa->cpus)
        for (length = sizeof numa->cpus - 1; length && text[length] != ','; length--)
            ;
    memcpy(numa->cpus, text, length);
    numa->cpus[length] = 0;
}

static void read_package(struct discovery *d, struct machine_numa *numa)
{
    char folder[PATH_MAX];

    if (!numa->cpus[0])
        return;
    snprintf(folder, sizeof folder, "%s/devices/system/cpu/cpu%d/topology", d->places->sys,
             atoi(numa->cpus));
    numa->socket = (int)discover_number(folder, "physical_package_id", 10, -1);
}

static void read_numas(struct discovery *d)
{
    char folder[PATH_MAX];
    struct machine_numa like = { .family = -1, .revision = -1 };
    struct dirent *entry;
    DIR *nodes;

    read_processor(d, &like);
    snprintf(folder, sizeof folder, "%s/devices/system/node", d->places->sys);
    nodes = opendir(folder);
    while (nodes && (entry = readdir(nodes))) {
        struct machine_numa *numa;
        char *end;
        long number;

        if (strncmp(entry->d_name, "node", 4) || entry->d_name[4] < '0' || entry->d_name[4] > '9')
            continue;
        number = strtol(entry->d_name + 4, &end, 10);
        numa = *end || number > 1 << 16 ? NULL : machine_numa(&d->m, (int)number);
        if (!numa)
            continue;
        snprintf(folder, sizeof folder, "%s/devices/system/node/node%ld", d->places->sys, number);
        read_cpus(folder, "cpulist", numa);
        read_package(d, numa);
    }
    if (nodes)
        closedir(nodes);
    else
        topology_note(d->t, true, "%s/devices/system/node cannot be read (%s): one NUMA node is "
                      "assumed, unless hwloc knows more", d->places->sys, strerror(errno));
    if (d->places->hwloc && !d->m.nnumas)
        discover_hwloc(d);
    if (!d->m.nnumas && machine_numa(&d->m, 0)) {
        snprintf(folder, sizeof folder, "%s/devices/system/cpu", d->places->sys);
        read_cpus(folder, "online", &d->m.numas[0]);
    }
    for (int i = 0; i < d->m.nnumas; i++) {
        memcpy(d->m.numas[i].arch, like.arch, sizeof like.arch);
        memcpy(d->m.numas[i].vendor, like.vendor, sizeof like.vendor);
        d->m.numas[i].family = like.family;
        d->m.numas[i].revision = like.revision;
    }
}

/* ---- PCI functions -------------------------------------------------------------------- */

/* "16.0 GT/s PCIe"; "Unknown". */
static double link_speed(const char *folder, const char *name)
{
    char text[64];
    double speed = short_file_line(text, sizeof text, "%s/%s", folder, name) ? strtod(text, NULL) : 0;

    return speed > 0 && speed <= 256 ? speed : 0;
}

/* 0 and 63 or 255 are written where there is no link or nobody home. */
static int link_lanes(const char *folder, const char *name)
{
    long lanes = discover_number(folder, name, 10, 0);

    return lanes > 0 && lanes <= 32 ? (int)lanes : 0;
}

/* Room for one more beside m.devices. */
static struct discover_pci *add_pci(struct discovery *d)
{
    if (d->npci == d->room_pci) {
        int wanted = d->room_pci ? d->room_pci * 2 : 64;
        struct discover_pci *larger = realloc(d->pci, (size_t)wanted * sizeof *larger);

        if (!larger) {
            d->m.failed = status_fail(PEAL_ERR_MEMORY, "topology: no memory for %d devices", wanted);
            return NULL;
        }
        d->pci = larger;
        d->room_pci = wanted;
    }
    memset(&d->pci[d->npci], 0, sizeof *d->pci);
    d->pci[d->npci].physical = TOPOLOGY_NO_BUS;
    return &d->pci[d->npci++];
}

int discover_device(struct discovery *d, enum machine_kind kind, uint64_t bus, int numa)
{
    struct machine_device *device = machine_device(&d->m, kind, bus, -1);

    if (!device || !add_pci(d))
        return -1;
    device->root = 1 << 30 | d->m.ndevices;    /* what no PCI bus is */
    device->numa = numa;
    return d->m.ndevices - 1;
}

/* A bridge that a hypervisor makes up (QEMU's) has a speed of no meaning. */
static bool emulated(uint32_t vendor, uint32_t device)
{
    return vendor == 0x1b36 || (vendor == 0x8086 && device == 0x3420) ||
           (vendor == 0x104c && (device == 0x8232 || device == 0x8233));
}

static void read_physical(struct discover_pci *pci)
{
    char link[PATH_MAX], path[PATH_MAX];
    const char *name;
    ssize_t length;

    snprintf(path, sizeof path, "%s/physfn", pci->path);
    length = readlink(path, link, sizeof link - 1);
    if (length <= 0)
        return;
    link[length] = 0;
    name = strrchr(link, '/');
    topology_bus_parse(name ? name + 1 : link, &pci->physical);
}

/* `deep`: how many bridges are above. */
static int add_function(struct discovery *d, const char *path, uint64_t bus, int parent, int root,
                        int deep)
{
    uint32_t pci_class = (uint32_t)discover_number(path, "class", 16, 0);
    uint32_t vendor = (uint32_t)discover_number(path, "vendor", 16, 0);
    struct machine_device *device;
    struct discover_pci *pci;

    if (strlen(path) >= sizeof pci->path || deep >= MACHINE_DEPTH_MOST)
        return -1;
    device = machine_device(&d->m, machine_kind_of(pci_class, vendor), bus, parent);
    pci = device ? add_pci(d) : NULL;
    if (!pci)
        return -1;
    strcpy(pci->path, path);
    pci->speed = link_speed(path, "current_link_speed");
    pci->speed_most = link_speed(path, "max_link_speed");
    pci->lanes = link_lanes(path, "current_link_width");
    pci->lanes_most = link_lanes(path, "max_link_width");
    pci->linked = parent >= 0 && deep % 2;     /* root port, upstream, downstream, upstream ... */
    if (device->kind != MACHINE_BRIDGE)
        read_physical(pci);
    device->root = root;
    device->numa = (int)discover_number(path, "numa_node", 10, -1);
    device->pci_class = pci_class;
    device->vendor = vendor;
    device->device = (uint32_t)discover_number(path, "device", 16, 0);
    device->emulated = device->kind == MACHINE_BRIDGE && emulated(vendor, device->device);
    /* An idle GPU's link is slow to save power; it is as wide as ever, though. */
    device->speed = pci->speed_most;
    device->lanes = pci->lanes;
    if (device->kind == MACHINE_GPU)
        device->capability = machine_capability(vendor, device->device);
    return d->m.ndevices - 1;
}

static bool is_address(const char *name, uint64_t *bus)
{
    size_t length = strlen(name);

    return length >= 12 && name[length - 2] == '.' && name[length - 5] == ':' &&
           topology_bus_parse(name, bus);
}

/* "pci0000:3a" as a number. */
static int root_of(const char *name)
{
    unsigned domain, bus;

    return sscanf(name, "pci%8x:%2x", &domain, &bus) == 2 ? (int)((domain << 8 | bus) & 0x3fffffff) : -1;
}

int discover_pci(struct discovery *d, const char *path)
{
    char copy[PATH_MAX], *at = copy;
    int parent = -1, root = -1, deep = 0;

    if (strlen(path) >= sizeof copy)
        return -1;
    strcpy(copy, path);
    while (at && *at) {
        char *slash = strchr(at + 1, '/'), *name = at + (*at == '/');
        uint64_t bus;
        int known;

        if (slash)
            *slash = 0;
        if (root_of(name) >= 0) {
            root = root_of(name);
            parent = -1;               /* another bus's functions: VMD, a hypervisor's */
            deep = 0;
        } else if (is_address(name, &bus)) {
            known = d->m.ndevices - 1;
            while (known >= 0 && d->m.devices[known].bus != bus)
                known--;
            parent = known >= 0 ? known : add_function(d, copy, bus, parent, root, deep);
            if (parent < 0)
                return -1;
            deep++;
        }
        if (slash)
            *slash = '/';
        at = slash;
    }
    return parent;
}

/* ---- GPUs ----------------------------------------------------------------------------- */

static int order_addresses(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

enum { FUNCTIONS_MOST = 1 << 16 };

/* The addresses of all GPUs, in order; *all: of how many functions. */
static uint64_t *list_gpus(struct discovery *d, int *n, int *all)
{
    char folder[PATH_MAX], path[PATH_MAX + 300];
    uint64_t *list = NULL, bus;
    struct dirent *entry;
    int room = 0;
    DIR *devices;

    *n = *all = 0;
    snprintf(folder, sizeof folder, "%s/bus/pci/devices", d->places->sys);
    devices = opendir(folder);
    while (devices && (entry = readdir(devices)) && *all < FUNCTIONS_MOST) {
        long pci_class;

        if (!is_address(entry->d_name, &bus))
            continue;
        ++*all;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        pci_class = discover_number(path, "class", 16, 0);
        if (pci_class >> 16 != 0x03 && pci_class >> 16 != 0x12)
            continue;
        if (*n == room) {
            uint64_t *larger = realloc(list, (size_t)(room + 64) * sizeof *list);

            if (!larger)
                break;
            list = larger;
            room += 64;
        }
        list[(*n)++] = bus;
    }
    if (devices)
        closedir(devices);
    if (list)
        qsort(list, (size_t)*n, sizeof *list, order_addresses);
    return list;
}

static void judge_driver(struct discovery *d, int gpu)
{
    char path[PATH_MAX], link[PATH_MAX], address[20];
    const char *driver;
    ssize_t length;

    if (d->pci[gpu].physical != TOPOLOGY_NO_BUS) {       /* a slice of another that is here */
        d->m.devices[gpu].kind = MACHINE_OTHER;
        return;
    }
    snprintf(path, sizeof path, "%s/driver", d->pci[gpu].path);
    length = readlink(path, link, sizeof link - 1);
    link[length > 0 ? length : 0] = 0;
    driver = strrchr(link, '/') ? strrchr(link, '/') + 1 : link;
    topology_bus_print(d->m.devices[gpu].bus, address);
    if (!strcmp(driver, "vfio-pci")) {
        d->m.devices[gpu].kind = MACHINE_OTHER;
        topology_note(d->t, true, "GPU %s belongs to a virtual machine (its driver is vfio-pci): left "
                      "out", address);
    } else if (!*driver) {
        topology_note(d->t, true, "GPU %s has no driver: load it, or look for why it failed (dmesg)",
                      address);
    }
}

void discover_sysfs(struct discovery *d)
{
    char path[PATH_MAX], real[PATH_MAX], address[20];
    int n, all;
    uint64_t *gpus;

    read_numas(d);
    gpus = list_gpus(d, &n, &all);
    for (int i = 0; i < n; i++) {
        int gpu;

        topology_bus_print(gpus[i], address);
        snprintf(path, sizeof path, "%s/bus/pci/devices/%s", d->places->sys, address);
        if (!realpath(path, real))
            continue;
        gpu = discover_pci(d, real);
        if (gpu >= 0 && d->m.devices[gpu].kind == MACHINE_GPU)
            judge_driver(d, gpu);
    }
    free(gpus);
    if (all)
        topology_note(d->t, false, "%d PCI functions in %s", all, d->places->sys);
    else
        topology_note(d->t, true, "no PCI functions in %s: not mounted, hidden by a container, or "
                      "a machine without PCI", d->places->sys);
}
