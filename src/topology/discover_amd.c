/* SPDX-License-Identifier: BSD-3-Clause */
/* AMD's GPUs and their XGMI links, as the kernel's KFD shows them (class/kfd/kfd/topology/nodes): a node
 * is a processor or a GPU; its properties name its PCI place and chip, its io_links what joins it to
 * others.  GPUs are numbered in the order of these nodes, as ROCm does. */
#include "topology/discover.h"

#include "base/short_file.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NODES_MOST = 256, IO_LINK_XGMI = 11 };

/* A file of lines "name value". */
struct properties { char text[4096]; };

static bool read_properties(const char *folder, struct properties *p)
{
    p->text[0] = '\n';
    return short_file_text(p->text + 1, sizeof p->text - 1, "%s/properties", folder) > 0;
}

static long long property(const struct properties *p, const char *name, long long unknown)
{
    char line[48];
    const char *at;

    snprintf(line, sizeof line, "\n%s ", name);
    at = strstr(p->text, line);
    return at ? strtoll(at + strlen(line), NULL, 10) : unknown;
}

/* 90010 is gfx90a (9, 0, 10), kept as 910; 90402 gfx942, as 942 (topology_speeds.h). */
static int gfx(long long version)
{
    int major = (int)(version / 10000), minor = (int)(version / 100 % 100);
    int step = (int)(version % 100);

    return version <= 0 || version > 999999 ? 0 : major * 100 + minor * 10 + step;
}

/* The device of the GPU that node is; -1: it is none that sysfs's PCI tree has. */
static int gpu_of(struct discovery *d, const struct properties *p)
{
    long long place = property(p, "location_id", -1), domain = property(p, "domain", 0);
    uint64_t bus;

    if (property(p, "simd_count", 0) <= 0 || place < 0)
        return -1;
    bus = (uint64_t)domain << 32 | (uint64_t)(place >> 8 & 0xff) << 16 |
          (uint64_t)(place >> 3 & 0x1f) << 8 | (uint64_t)(place & 7);
    for (int i = 0; i < d->m.ndevices; i++)
        if (d->m.devices[i].bus == bus && d->m.devices[i].kind == MACHINE_GPU)
            return i;
    return -1;
}

/* XGMI that goes straight to its peer has a bandwidth; bundles have that of their links together
 * as the most and of one as the least. */
static void read_link(struct discovery *d, const char *folder, int from, const int *gpus)
{
    struct properties p;
    long long to, most, least;

    if (!read_properties(folder, &p) || property(&p, "type", 0) != IO_LINK_XGMI)
        return;
    to = property(&p, "node_to", -1);
    most = property(&p, "max_bandwidth", 0);
    least = property(&p, "min_bandwidth", 0);
    if (to < 0 || to >= NODES_MOST || most <= 0)
        return;
    if (gpus[to] < 0) {                /* a processor: MI250X of Frontier, MI300A */
        machine_link(&d->m, gpus[from], MACHINE_TO_CPU, MEDIUM_XGMI,
                     least > 0 && most >= least ? (int)(most / least) : 1, 0);
        return;
    }
    if (from < to)
        machine_link(&d->m, gpus[from], gpus[to], MEDIUM_XGMI,
                     least > 0 && most >= least && most / least <= 64 ? (int)(most / least) : 1, 0);
}

static void read_links(struct discovery *d, const char *nodes, int node, const int *gpus)
{
    char folder[PATH_MAX], link[PATH_MAX];
    struct dirent *entry;
    DIR *links;

    if (snprintf(folder, sizeof folder, "%s/%d/io_links", nodes, node) >= (int)sizeof folder)
        return;
    links = opendir(folder);
    while (links && (entry = readdir(links)))
        if (entry->d_name[0] != '.' &&
            snprintf(link, sizeof link, "%s/%s", folder, entry->d_name) < (int)sizeof link)
            read_link(d, link, node, gpus);
    if (links)
        closedir(links);
}

void discover_amd(struct discovery *d)
{
    char nodes[PATH_MAX / 2], folder[PATH_MAX];
    int gpus[NODES_MOST], number = 0, amd = 0;
    struct properties p;

    for (int i = 0; i < d->m.ndevices; i++) {
        amd += d->m.devices[i].kind == MACHINE_GPU && d->m.devices[i].vendor == 0x1002;
        if (d->m.devices[i].number >= number)
            number = d->m.devices[i].number + 1;       /* behind NVIDIA's, if there are both */
    }
    if (!amd)
        return;
    snprintf(nodes, sizeof nodes, "%s/class/kfd/kfd/topology/nodes", d->places->sys);
    if (access(nodes, R_OK)) {
        topology_note(d->t, true, "there are AMD GPUs, but %s cannot be read (%s): XGMI is not known; "
                      "is the driver amdgpu loaded?", nodes, strerror(errno));
        return;
    }
    for (int i = 0; i < NODES_MOST; i++) {
        gpus[i] = -1;
        snprintf(folder, sizeof folder, "%s/%d", nodes, i);
        if (!read_properties(folder, &p))
            continue;
        gpus[i] = gpu_of(d, &p);
        if (gpus[i] < 0)
            continue;
        d->m.devices[gpus[i]].number = number++;
        if (gfx(property(&p, "gfx_target_version", 0)))
            d->m.devices[gpus[i]].capability = gfx(property(&p, "gfx_target_version", 0));
    }
    for (int i = 0; i < NODES_MOST; i++)
        if (gpus[i] >= 0)
            read_links(d, nodes, i, gpus);
}
