/* SPDX-License-Identifier: BSD-3-Clause */
/* Machines made by hand for tests, of plain calls; no reader is between. */
#ifndef TOPOLOGY_MACHINES_H
#define TOPOLOGY_MACHINES_H

#include "topology/topology.h"

/* GPUs on sockets, `per_switch` of them on each PCI switch (0: on the socket itself). */
struct machine {
    int    sockets, gpus, per_switch;
    bool   roots;                      /* each switch on a host bridge of its own */
    double pci, smp, lane;             /* GB/s; of one NVLink */
    int    nics;                       /* per switch (socket), of 25 GB/s on the PCI of the GPUs */
};

/* Also before topology_finish(). */
static inline int machine_gpu(const struct topology *t, int number)
{
    for (int i = 0; i < t->nnodes; i++)
        if (t->nodes[i].kind == TOPOLOGY_GPU && t->nodes[i].number == number)
            return i;
    return -1;
}

/* All but NVLinks; topology_finish() is the caller's. */
static inline void machine_build(struct topology *t, const struct machine *m)
{
    int per_socket = (m->gpus + m->sockets - 1) / m->sockets;
    int numas[16], up = -1, on_switch = 0, here = -1, nics = 0;

    topology_init(t);
    topology_host(t, "host");
    for (int i = 0; i < m->sockets; i++) {
        numas[i] = topology_node(t, TOPOLOGY_NUMA, 0, -1, i, NULL);
        for (int k = 0; k < i; k++)
            topology_link(t, numas[k], numas[i], MEDIUM_SMP, 0, m->smp);
    }
    for (int i = 0; i < m->gpus; i++) {
        int numa = numas[i / per_socket], gpu;

        if (numa != here || on_switch == m->per_switch) {
            here = up = numa;
            on_switch = 0;
            if (m->roots) {
                up = topology_node(t, TOPOLOGY_ROOT, 0, up, -1, NULL);
                topology_link(t, numa, up, MEDIUM_PCI, 16, m->pci * 4);
            }
            if (m->per_switch) {
                int node = topology_node(t, TOPOLOGY_SWITCH, 0, up, -1, NULL);

                topology_link(t, up, node, MEDIUM_PCI, 16, m->pci);
                up = node;
            }
            for (int k = 0; k < m->nics; k++, nics++) {
                int nic = topology_node(t, TOPOLOGY_NIC, 0, up, nics, NULL);
                int port = topology_node(t, TOPOLOGY_PORT, 0, nic, nics, NULL);

                topology_link(t, up, nic, MEDIUM_PCI, 16, m->pci);
                topology_link(t, nic, port, MEDIUM_LANE, 0, 25);
            }
        }
        gpu = topology_node(t, TOPOLOGY_GPU, 0, up, i, NULL);
        topology_link(t, up, gpu, MEDIUM_PCI, 16, m->pci);
        if (m->per_switch)
            on_switch++;
    }
}

/* NVLinks by a matrix, n * n, of which the upper half is looked at. */
static inline void machine_nvlink(struct topology *t, const struct machine *m, const int *lanes)
{
    int gpus[64];

    for (int i = 0; i < m->gpus; i++)
        gpus[i] = machine_gpu(t, i);
    for (int i = 0; i < m->gpus; i++)
        for (int k = i + 1; k < m->gpus; k++)
            if (lanes[i * m->gpus + k])
                topology_link(t, gpus[i], gpus[k], MEDIUM_NVLINK, lanes[i * m->gpus + k],
                              m->lane * lanes[i * m->gpus + k]);
}

static inline void machine_nvswitch(struct topology *t, const struct machine *m, int lanes)
{
    int node = topology_node(t, TOPOLOGY_NVSWITCH, 0, -1, 0, NULL);

    for (int i = 0; i < m->gpus; i++)
        topology_link(t, machine_gpu(t, i), node, MEDIUM_NVLINK, lanes, m->lane * lanes);
}

/* DGX-1V, the NVLinks as in tests/topologies/dgx1-v100. */
static const int machine_cube_mesh[64] = {
    0, 1, 1, 2, 2, 0, 0, 0,
    1, 0, 2, 1, 0, 2, 0, 0,
    1, 2, 0, 2, 0, 0, 1, 0,
    2, 1, 2, 0, 0, 0, 0, 1,
    2, 0, 0, 0, 0, 1, 1, 2,
    0, 2, 0, 0, 1, 0, 2, 1,
    0, 0, 1, 0, 1, 2, 0, 2,
    0, 0, 0, 1, 2, 1, 2, 0
};

static const struct machine machine_dgx1 = {
    .sockets = 2, .gpus = 8, .per_switch = 2, .pci = 12, .smp = 10, .lane = 20, .nics = 1
};

#endif
