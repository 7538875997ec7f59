/* SPDX-License-Identifier: BSD-3-Clause */
/* This machine, by all that it tells. */
#include "topology/discover.h"

#include "topology/topology_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void host_name(char text[TOPOLOGY_TEXT])
{
    if (gethostname(text, TOPOLOGY_TEXT))
        text[0] = 0;
    text[TOPOLOGY_TEXT - 1] = 0;
}

int discover(const struct discover_places *places, struct topology *t)
{
    struct discovery d = { .places = places, .t = t };
    char name[TOPOLOGY_TEXT];
    struct plain_numbers plain;
    int status;

    plain_numbers_begin(&plain);
    discover_sysfs(&d);
    discover_nvml(&d);
    discover_amd(&d);
    discover_ports(&d);
    discover_hwloc(&d);
    host_name(name);
    status = machine_build(&d.m, t, topology_host(t, name));
    if (!status)
        discover_notes(&d);
    if (!status)
        status = topology_finish(t);
    plain_numbers_end(&plain);
    machine_free(&d.m);
    free(d.pci);
    if (status)
        topology_free(t);
    return status;
}

int topology_discover(struct topology *t)
{
    static const struct discover_places here = {
        .sys = "/sys", .proc = "/proc", .nvml = "libnvidia-ml.so.1", .hwloc = true
    };

    topology_init(t);
    return discover(&here, t);
}
