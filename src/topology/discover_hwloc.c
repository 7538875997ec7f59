/* SPDX-License-Identifier: BSD-3-Clause */
/* Where sysfs has gaps, hwloc is asked. */
#include "topology/discover.h"

#include "base/status.h"
#include "topology/hwloc_library.h"
#include "topology/read_hwloc.h"

#include <stdlib.h>

static void fill_numas(struct discovery *d, const struct machine *from)
{
    for (int i = 0; i < from->nnumas; i++) {
        struct machine_numa *numa = machine_numa(&d->m, from->numas[i].number);

        if (numa)
            *numa = from->numas[i];
    }
    topology_note(d->t, false, "hwloc: %d NUMA nodes", from->nnumas);
}

static void fill_places(struct discovery *d, const struct machine *from)
{
    int filled = 0;

    for (int i = 0; i < d->m.ndevices; i++)
        for (int k = 0; k < from->ndevices && d->m.devices[i].numa < 0; k++)
            if (from->devices[k].bus == d->m.devices[i].bus && from->devices[k].numa >= 0) {
                d->m.devices[i].numa = from->devices[k].numa;
                filled++;
            }
    if (filled)
        topology_note(d->t, false, "hwloc: the NUMA nodes of %d PCI functions", filled);
}

static bool has_gaps(const struct machine *m)
{
    for (int i = 0; i < m->ndevices; i++)
        if (m->devices[i].numa < 0 && m->devices[i].bus != TOPOLOGY_NO_BUS &&
            (m->devices[i].kind == MACHINE_GPU || m->devices[i].kind == MACHINE_NIC))
            return m->nnumas > 1;
    return !m->nnumas;
}

/* What hwloc cannot either stays unknown, and is noted where that matters (machine_build()). */
void discover_hwloc(struct discovery *d)
{
    struct machine from = { .ndevices = 0 };
    char host[TOPOLOGY_TEXT], kept[STATUS_TEXT], *xml = NULL;
    size_t length = 0;

    if (!d->places->hwloc || !has_gaps(&d->m))
        return;
    status_keep(kept);
    if (!hwloc_library_machine(&xml, &length) &&
        !read_hwloc_machine(xml, length, "hwloc", &from, host)) {
        if (!d->m.nnumas)
            fill_numas(d, &from);
        fill_places(d, &from);
    } else {
        topology_note(d->t, true, "sysfs leaves NUMA nodes open, and hwloc is of no help: %s",
                      status_text());
    }
    status_restore(kept);
    machine_free(&from);
    free(xml);
}
