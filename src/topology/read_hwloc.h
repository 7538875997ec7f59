/* SPDX-License-Identifier: BSD-3-Clause */
/* The parts of hwloc's reader (read_hwloc.c, read_hwloc_links.c), and what discovery wants of it. */
#ifndef READ_HWLOC_H
#define READ_HWLOC_H

#include "topology/machine.h"
#include "topology/topology_source.h"

/* hwloc's XML into a machine; `host` gets its name or "". */
int read_hwloc_machine(const char *text, size_t length, const char *where, struct machine *m,
                       char host[TOPOLOGY_TEXT]);

/* A matrix of bandwidths between objects, as it is collected. */
struct hwloc_matrix {
    enum topology_medium medium;
    bool    wanted;                    /* NVLinks or XGMI */
    int     n;                         /* objects */
    int     nindexes;
    size_t  nvalues;
    int    *devices;                   /* n, in the machine; -1: nothing that bytes go to */
    double *values;                    /* n * n, MB/s */
};

enum { HWLOC_MATRIX_MOST = 1024, HWLOC_MATRICES_MOST = 16 };

/* A set in hwloc's words, "0x0000000f,0xc0000fc0", as a list "0-3,38-43", cut at a comma if there is
 * no room; how many are in it. */
int hwloc_set_list(const char *set, char *list, size_t room);

/* The links that a complete one means. */
void hwloc_matrix_link(const struct hwloc_matrix *d, struct machine *m);

#endif
