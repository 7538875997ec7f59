/* SPDX-License-Identifier: BSD-3-Clause */
/* What the machine says about a port besides what verbs do: flow control and
 * congestion control, the IOMMU, drivers of GPUs; and what in it is probably wrong.
 * For people only: nothing here decides anything.  Knows no other part of the
 * transport. */
#ifndef VERBS_HINTS_H
#define VERBS_HINTS_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

enum { VERBS_PRIORITIES = 8 };

struct verbs_hints {
    char interface[IF_NAMESIZE];   /* of RoCE; empty: unknown */
    /* Bits of the priorities for which something is on; -1: it cannot be read. */
    int  pfc;                      /* priority flow control */
    int  ecn_notify, ecn_react;    /* congestion control (DCQCN), at receiver and sender */
    int  traffic_class;            /* that the driver forces on all; -1: none */
    bool translated;               /* the device's addresses go through an IOMMU */
    bool gpu;                      /* a driver of GPUs that may share their memory */
    bool peer_memory;              /* nvidia_peermem, or what it was called before */
};

/* From the files below `root` ("" for the machine's own); `pfc` is left unknown. */
void verbs_hints_read(const char *root, const char *device, int port,
                      struct verbs_hints *hints);
/* Ask the kernel about an interface's PFC: its bits, or -1. */
int verbs_hints_pfc(const char *interface);
/* The same from the kernel's answer, a netlink message. */
int verbs_hints_pfc_parse(const void *message, size_t bytes);

/* What is wrong, and what to try; empty: nothing.  `traffic_class` is what the
 * packets have unless the driver forces another. */
void verbs_hints_advise(const struct verbs_hints *hints, bool roce, int traffic_class,
                        char *text, size_t bytes);
/* One more remark behind those that are there. */
void verbs_hints_say(char *text, size_t bytes, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* May the device read and write memory of GPUs, and by what?  Peal does not make use
 * of it yet.  `dmabuf`: the device takes such. */
const char *verbs_hints_gpu(const struct verbs_hints *hints, bool dmabuf);
/* "0,3", "none" or "?". */
void verbs_hints_bits(int bits, char *text, size_t bytes);

#endif
