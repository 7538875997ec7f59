/* SPDX-License-Identifier: BSD-3-Clause */
/* What links carry, as transfers reach it: GB/s each way and microseconds, by kind and generation.
 * The only place with such figures; each names its source. */
#ifndef TOPOLOGY_SPEEDS_H
#define TOPOLOGY_SPEEDS_H

#include "topology/topology.h"

/* `gigatransfers`: 2.5, 5, 8, 16, 32, 64; 0 or lanes 0: not known, what a reader may assume (gen 3
 * x16). */
double speed_pci(double gigatransfers, int lanes);
/* Gigatransfers of the PCI link of NVIDIA's data centre GPUs of this compute capability times 10; 0: not
 * known. */
double speed_pci_of(int capability);
/* One NVLink (XGMI link) of a GPU of this compute capability times 10 (gfx number: gfx942 is 942, the
 * hexadecimal digit of gfx90a counts as 10: 910); 0: not known. */
double speed_nvlink(int capability);
double speed_xgmi(int gfx);
/* Between two NUMA nodes; by processor. */
double speed_smp(const struct topology_node *numa);
double latency_of(enum topology_medium medium);

#endif
