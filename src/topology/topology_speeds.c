/* SPDX-License-Identifier: BSD-3-Clause */
/* The figures that NCCL and RCCL search with (their src/graph/topo.h), so that what Peal finds can be
 * laid beside what they found.  They are what transfers reach, not what the link is sold as.  */
#include "topology/topology_speeds.h"

#include <string.h>

/* NCCL: 60 Mb/s and lane (times 10) for gen 3 and so on, 80 to the GB/s: x16 of gen 3 is 12. */
double speed_pci(double gigatransfers, int lanes)
{
    static const struct { double above, lane; } generations[] = {
        { 50, 6 }, { 25, 3 }, { 12, 1.5 }, { 6.5, 0.75 }, { 3.5, 0.375 }, { 0, 0.1875 },
    };
    double lane = 0.75;                /* gen 3, if nobody says */
    int i = 0;

    if (gigatransfers > 0 && gigatransfers < 1000) {
        while (gigatransfers <= generations[i].above)
            i++;
        lane = generations[i].lane;
    }
    return lane * (lanes > 0 && lanes <= 64 ? lanes : 16);
}

/* Data sheets: V100 gen 3; A100 gen 4, and all of Ampere and Ada; H100 gen 5.  B200 has gen 6, but hosts
 * of gen 5. */
double speed_pci_of(int capability)
{
    if (capability >= 90)
        return 32;
    if (capability >= 80)
        return 16;
    return capability >= 30 ? 8 : 0;
}

double speed_nvlink(int capability)
{
    if (capability >= 100)
        return 40.1;                   /* 18 links: 720 of hgx-b200's and gb300's 16 x 45 */
    if (capability >= 90)
        return 20.6;
    if (capability == 86 || capability == 89)
        return 12;                     /* bridges of GA102; Ada has none */
    if (capability >= 70 || capability <= 0)
        return 20;                     /* perlmutter: 12 rings of 20 */
    return 18;
}

/* Digits of the gfx number as a decimal number: gfx90a is 910 (as in RCCL's older files), gfx942 942. */
double speed_xgmi(int gfx)
{
    if (gfx >= 940)
        return 48;                     /* MI300, MI350 */
    if (gfx == 910)
        return 36;                     /* MI200 */
    return 24;
}

static double speed_intel(const struct topology_node *numa)
{
    if (numa->family != 6)
        return 6;
    if (numa->revision >= 0xcf)
        return 40;                     /* Emerald Rapids and later */
    if (numa->revision >= 0x8f)
        return 22;                     /* Sapphire Rapids */
    if (numa->revision >= 0x55)
        return 10;                     /* Skylake-SP to Ice Lake */
    return 6;
}

double speed_smp(const struct topology_node *numa)
{
    if (!strncmp(numa->arch, "ppc64", 5))
        return 32;                     /* POWER9 */
    if (!strcmp(numa->arch, "arm64") || !strcmp(numa->arch, "aarch64"))
        return 6;
    if (!strcmp(numa->vendor, "GenuineIntel"))
        return speed_intel(numa);
    if (!strcmp(numa->vendor, "AuthenticAMD"))
        return 16;
    if (strstr(numa->vendor, "Shanghai") || !strcmp(numa->vendor, "CentaurHauls"))
        return numa->family == 7 && numa->revision == 0x5b ? 9 : 6;    /* Zhaoxin */
    return 10;                         /* no name: as common servers of 2017 to 2022 */
}

/* One way over one link.  NCCL's base latencies (its src/graph/tuning.cc: a step costs 0.6 over NVLink,
 * 1.0 over PCI, 2.7 over a network), halved because such a step goes over two links: GPU, switch,
 * GPU; port, rail, port (each with its lane). */
double latency_of(enum topology_medium medium)
{
    switch (medium) {
    case MEDIUM_NVLINK:
    case MEDIUM_XGMI:
    case MEDIUM_C2C:
        return 0.3;
    case MEDIUM_PCI:
        return 0.5;
    case MEDIUM_SMP:
        return 0.2;                    /* a cache line from the other socket, about */
    case MEDIUM_LANE:
        return 0.35;
    case MEDIUM_NETWORK:
        return 1;
    case MEDIUM_COUNT:
        break;
    }
    return 0;
}
