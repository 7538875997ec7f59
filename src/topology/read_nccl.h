/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the files of the reader of NCCL's XML: what has been read so far. */
#ifndef READ_NCCL_H
#define READ_NCCL_H

#include "topology/topology.h"
#include "topology/xml_tree.h"

enum nccl_what { NCCL_OTHER, NCCL_SYSTEM, NCCL_CPU, NCCL_PCI, NCCL_GPU, NCCL_NIC, NCCL_NET, NCCL_NVLINK,
                 NCCL_XGMI, NCCL_C2C, NCCL_WHATS };

struct nccl_element {
    enum nccl_what what;
    int node;                          /* that it is, or that what is in it hangs from; -1 */
    int inside[NCCL_WHATS];            /* how many of each kind are directly in it */
    double speed;                      /* NIC: of its ports together, GB/s */
    int ports;                         /* NIC: made so far */
};

struct nccl_reader {
    struct topology *t;
    struct xml_tree tree;
    struct nccl_element *elements;
    const char *where;
    int status;                        /* the first error; all stop then */
    int assumed_gpus, assumed_nics, guessed, slow_ports, unknown, self_links, lost_links, numaless;
    int odd_switches, uneven_links, narrow, loose_ports, assumed_speeds, untold_speeds;
    int untold_wide;                   /* links without a speed that have a width */
    char first_unknown[32], first_narrow[24], first_lost[24], first_assumed[24];
};

/* "where:line: ..." */
int nccl_wrong(struct nccl_reader *r, int element, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The value of an attribute: decimal, or hexadecimal after 0x; `unknown` where it is missing or
 * empty.  Remembers an error if it is anything else, or beyond the limits. */
long nccl_number(struct nccl_reader *r, int element, const char *attribute, long low, long high,
                 long unknown);
double nccl_real(struct nccl_reader *r, int element, const char *attribute, double unknown);
/* Hexadecimal, with or without 0x; 0: missing or none (opaque things such as redacted guids). */
uint64_t nccl_hexadecimal(const struct nccl_reader *r, int element, const char *attribute);

/* The GPUs, NICs and switches are there: their ports (read_nccl_ports.c), and the links beside
 * PCI (read_nccl_links.c). */
void nccl_ports(struct nccl_reader *r);
void nccl_links(struct nccl_reader *r);
/* A NIC that hangs from `parent`, with what its <pci> says (element, or -1). */
int nccl_pci_node(struct nccl_reader *r, int element, enum topology_kind kind, int parent);

/* Notes of what was missing or odd, once all is read. */
void nccl_tell(struct nccl_reader *r);

#endif
