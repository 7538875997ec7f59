/* SPDX-License-Identifier: BSD-3-Clause */
/* hwloc's matrices NVLinkBandwidth and XGMIBandwidth as links.
 *
 * They hold MB/s of what the links are sold as: 20000 for an NVLink of a P100, 25000 from V100 to
 * H100, 50000 from B200 on; XGMI 100000 a link.  Between GPUs that is the bandwidth of direct links
 * (on the diagonal, whatever memory does); between a GPU and an NVSwitch the links to that plane.
 * All planes are one switch here, so only the sum counts. */
#include "topology/read_hwloc.h"

#include "base/cpu_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The highest word comes first; one in front of it that says "and all above", 0xf...f, is cut off with
 * what no machine has. */
int hwloc_set_list(const char *set, char *list, size_t room)
{
    uint32_t words[CPU_LIST_WORDS] = { 0 };
    size_t end = strlen(set);
    int most = 0;
    bool cut;

    while (end && most < CPU_LIST_WORDS) {
        size_t begin = end;

        while (begin && set[begin - 1] != ',')
            begin--;
        if (strncmp(set + begin, "0xf...f", 7))
            words[most++] = (uint32_t)strtoul(set + begin, NULL, 16);
        end = begin ? begin - 1 : 0;
    }
    return cpu_list_print(words, list, room, &cut);
}

static double raw_link(enum topology_medium medium, int capability)
{
    if (medium == MEDIUM_XGMI)
        return 100000;
    return capability >= 100 ? 50000 : capability > 0 && capability < 70 ? 20000 : 25000;
}

static int lanes_of(const struct hwloc_matrix *d, const struct machine_device *gpu, double value)
{
    double lanes = value / raw_link(d->medium, gpu->capability);

    return lanes < 1 ? 1 : lanes > 64 ? 64 : (int)(lanes + 0.5);
}

/* The larger of the two directions: they are one cable. */
static double between(const struct hwloc_matrix *d, int i, int k)
{
    double there = d->values[(size_t)i * (size_t)d->n + (size_t)k];
    double back = d->values[(size_t)k * (size_t)d->n + (size_t)i];

    return there > back ? there : back;
}

static bool is_gpu(const struct hwloc_matrix *d, const struct machine *m, int i)
{
    return d->devices[i] >= 0 && m->devices[d->devices[i]].kind == MACHINE_GPU;
}

/* All GPUs with the same to each other, and more of it than they have links? */
static bool switched(const struct hwloc_matrix *d, const struct machine *m)
{
    int ngpus = 0, lanes = 0;

    if (d->medium != MEDIUM_NVLINK)
        return false;
    for (int i = 0; i < d->n; i++) {
        if (!is_gpu(d, m, i))
            continue;
        ngpus++;
        for (int k = 0; k < d->n; k++) {
            int here;

            if (k == i || !is_gpu(d, m, k))
                continue;
            here = between(d, i, k) > 0 ? lanes_of(d, &m->devices[d->devices[i]], between(d, i, k)) : 0;
            if (!here || (lanes && here != lanes))
                return false;
            lanes = here;
        }
    }
    return machine_switched(ngpus, lanes);
}

void hwloc_matrix_link(const struct hwloc_matrix *d, struct machine *m)
{
    bool by_switch = switched(d, m);

    for (int i = 0; i < d->n && !m->failed; i++) {
        double to_switch = 0, to_cpu = 0;
        struct machine_device *gpu;

        if (!is_gpu(d, m, i))
            continue;
        gpu = &m->devices[d->devices[i]];
        for (int k = 0; k < d->n; k++) {
            double value = k == i || d->devices[k] < 0 ? 0 : between(d, i, k);

            if (!(value > 0))
                continue;
            if (is_gpu(d, m, k)) {
                if (by_switch)
                    to_switch = value;
                else if (i < k)
                    machine_link(m, d->devices[i], d->devices[k], d->medium,
                                 lanes_of(d, gpu, value), 0);
            } else if (m->devices[d->devices[k]].kind == MACHINE_NVSWITCH) {
                to_switch += value;
            } else {
                to_cpu += value;           /* POWER's bridges */
            }
        }
        if (to_switch > 0)
            machine_link(m, d->devices[i], MACHINE_TO_SWITCH, d->medium,
                         lanes_of(d, gpu, to_switch), 0);
        if (to_cpu > 0)
            machine_link(m, d->devices[i], MACHINE_TO_CPU, d->medium, lanes_of(d, gpu, to_cpu), 0);
    }
}
