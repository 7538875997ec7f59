/* SPDX-License-Identifier: BSD-3-Clause */
/* Network adapters and their ports, as Linux shows them in /sys/class/infiniband and
 * /sys/class/net.  A port that has verbs (InfiniBand, RoCE, EFA, Slingshot) is listed by that name, as
 * libibverbs would; its net device is the same port.  Ports that are down carry nothing and are only
 * told of. */
#include "topology/discover.h"

#include "base/short_file.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Names of what was left out, for one note. */
struct names { char text[150]; int n; };

static void name(struct names *names, const char *one)
{
    size_t used = strlen(names->text);

    names->n++;
    if (used + strlen(one) + 8 < sizeof names->text)
        snprintf(names->text + used, sizeof names->text - used, "%s%s", used ? ", " : "", one);
    else if (names->text[used - 1] != '.')
        strcpy(names->text + used, " ...");
}

/* The entries of a folder, sorted as the kernel numbers them; each malloc'ed, the list too. */
static int list(const char *folder, struct dirent ***entries)
{
    int n = scandir(folder, entries, NULL, versionsort);

    return n < 0 ? 0 : n;
}

static void free_list(struct dirent **entries, int n)
{
    for (int i = 0; i < n; i++)
        free(entries[i]);
    if (n)
        free(entries);
}

/* The function that a class device is of, by its link "device"; -1.  One that hangs from no PCI (a
 * hypervisor's bus) is an adapter of its own. */
static int adapter(struct discovery *d, const char *folder)
{
    char path[PATH_MAX], real[PATH_MAX];
    int found;

    if (snprintf(path, sizeof path, "%s/device", folder) >= (int)sizeof path || !realpath(path, real))
        return -1;
    found = discover_pci(d, real);
    if (found >= 0)
        return d->m.devices[found].kind == MACHINE_NIC ? found : -1;      /* USB and the like */
    return discover_device(d, MACHINE_NIC, TOPOLOGY_NO_BUS,
                           (int)discover_number(real, "numa_node", 10, -1));
}

/* ---- Verbs ------------------------------------------------------------------------------ */

/* "200 Gb/sec (4X HDR)" in GB/s. */
static double rate_of(const char *port)
{
    char text[64];
    double rate = short_file_line(text, sizeof text, "%s/rate", port) ? strtod(text, NULL) / 8 : 0;

    return rate > 0 && rate < 1e4 ? rate : 0;
}

static uint64_t guid_of(const char *folder)
{
    char text[64];
    uint64_t guid = 0;

    if (short_file_line(text, sizeof text, "%s/node_guid", folder))
        for (const char *at = text; *at; at++)
            if (*at != ':')
                guid = guid << 4 | (uint64_t)(*at <= '9' ? *at - '0' : (*at | 32) - 'a' + 10) % 16;
    return guid;
}

static void add_verbs(struct discovery *d, const char *folder, const char *device, int nic, int number,
                      struct names *down)
{
    char port[PATH_MAX], text[64], full[TOPOLOGY_NAME + 8];
    struct machine_port *added;

    if (snprintf(port, sizeof port, "%s/ports/%d", folder, number) >= (int)sizeof port)
        return;
    snprintf(full, sizeof full, number > 1 ? "%.31s:%d" : "%.31s", device, number);
    if (short_file_line(text, sizeof text, "%s/state", port) && strtol(text, NULL, 10) != 4) {
        name(down, full);
        return;
    }
    added = machine_port(&d->m, nic, full);
    if (!added)
        return;
    added->number = number;
    added->speed = rate_of(port);
    added->guid = guid_of(folder);
    added->verbs = true;
}

static void read_verbs(struct discovery *d, bool *has_verbs, struct names *down)
{
    char folder[PATH_MAX], ports[PATH_MAX + 8];
    struct dirent **devices, **numbers;
    int n, nports;

    snprintf(folder, sizeof folder, "%s/class/infiniband", d->places->sys);
    n = list(folder, &devices);
    for (int i = 0; i < n; i++) {
        int nic;

        if (devices[i]->d_name[0] == '.')
            continue;
        snprintf(folder, sizeof folder, "%s/class/infiniband/%s", d->places->sys,
                 devices[i]->d_name);
        nic = adapter(d, folder);      /* rxe and siw have none */
        if (nic < 0)
            continue;
        if (nic < MACHINE_DEVICES_MOST)
            has_verbs[nic] = true;
        snprintf(ports, sizeof ports, "%s/ports", folder);
        nports = list(ports, &numbers);
        for (int k = 0; k < nports; k++)
            if (atoi(numbers[k]->d_name) > 0)
                add_verbs(d, folder, devices[i]->d_name, nic, atoi(numbers[k]->d_name), down);
        free_list(numbers, nports);
    }
    free_list(devices, n);
}

/* ---- Net devices ------------------------------------------------------------------------ */

static void read_net(struct discovery *d, const bool *has_verbs, struct names *down)
{
    char folder[PATH_MAX], state[32];
    struct dirent **devices;
    int n;

    snprintf(folder, sizeof folder, "%s/class/net", d->places->sys);
    n = list(folder, &devices);
    for (int i = 0; i < n; i++) {
        struct machine_port *port;
        long speed;
        int nic;

        if (devices[i]->d_name[0] == '.')
            continue;
        snprintf(folder, sizeof folder, "%s/class/net/%s", d->places->sys, devices[i]->d_name);
        nic = adapter(d, folder);      /* lo, bridges, bonds: none; their members have */
        if (nic < 0 || (nic < MACHINE_DEVICES_MOST && has_verbs[nic]))
            continue;
        if (short_file_line(state, sizeof state, "%s/operstate", folder) && !strcmp(state, "down")) {
            name(down, devices[i]->d_name);
            continue;
        }
        port = machine_port(&d->m, nic, devices[i]->d_name);
        if (!port)
            break;
        speed = discover_number(folder, "speed", 10, -1);       /* Mb/s */
        port->speed = speed > 0 && speed < 1 << 30 ? (double)speed / 8000 : 0;
        port->direct = 0;              /* sockets: host memory */
    }
    free_list(devices, n);
}

/* ---- GPUDirect -------------------------------------------------------------------------- */

static bool is_there(struct discovery *d, const char *name_in_sys)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", d->places->sys, name_in_sys);
    return !access(path, F_OK);
}

/* A module with which adapters reach GPU memory.  Without one dma-buf may serve as well, which only
 * trying shows. */
static void judge_direct(struct discovery *d)
{
    bool nvidia = is_there(d, "module/nvidia_peermem") || is_there(d, "module/nv_peer_mem") ||
                  is_there(d, "kernel/mm/memory_peers/nv_mem");
    bool amd = is_there(d, "kernel/mm/memory_peers/amdkfd");
    int with_verbs = 0, gpus = 0;

    for (int i = 0; i < d->m.nports; i++) {
        if (d->m.ports[i].verbs && (nvidia || amd))
            d->m.ports[i].direct = 1;
        with_verbs += d->m.ports[i].verbs;
    }
    for (int i = 0; i < d->m.ndevices; i++) {
        struct machine_device *gpu = &d->m.devices[i];

        if (gpu->kind != MACHINE_GPU)
            continue;
        if ((gpu->vendor == 0x10de && nvidia) || (gpu->vendor == 0x1002 && amd))
            gpu->direct = 1;
        gpus += gpu->vendor == 0x10de;
    }
    if (with_verbs && gpus && !nvidia)
        topology_note(d->t, true, "the module nvidia_peermem is not loaded: adapters reach GPU memory "
                      "only if dma-buf works (Linux 5.12 or later, NVIDIA's open driver)");
}

/* ---- All -------------------------------------------------------------------------------- */

/* Virtual functions are slices of an adapter; where that is here too, it is the one to use. */
static void drop_slices(struct discovery *d)
{
    int kept = 0;

    for (int i = 0; i < d->m.nports; i++) {
        int device = d->m.ports[i].device;
        uint64_t physical = device < d->npci ? d->pci[device].physical : TOPOLOGY_NO_BUS;
        bool slice = false;

        for (int k = 0; k < d->m.nports && physical != TOPOLOGY_NO_BUS && !slice; k++)
            slice = d->m.devices[d->m.ports[k].device].bus == physical;
        d->m.ports[i].slice = slice;
    }
    for (int i = 0; i < d->m.nports; i++)
        if (!d->m.ports[i].slice)
            d->m.ports[kept++] = d->m.ports[i];
    d->m.nports = kept;
}

void discover_ports(struct discovery *d)
{
    bool *has_verbs = calloc(MACHINE_DEVICES_MOST, sizeof *has_verbs);
    struct names down = { "", 0 };

    if (!has_verbs)
        return;
    read_verbs(d, has_verbs, &down);
    read_net(d, has_verbs, &down);
    free(has_verbs);
    drop_slices(d);
    judge_direct(d);
    if (down.n)
        topology_note(d->t, true, "%d ports are down, and left out: %s; if one should be up, look at "
                      "its cable and switch, and the subnet manager for InfiniBand", down.n, down.text);
    if (!d->m.nports)
        topology_note(d->t, true, "no network adapter is to be seen in %s/class/net and infiniband: "
                      "none there is up, or a container keeps it from view", d->places->sys);
}
