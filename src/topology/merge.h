/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the parts of topology_merge(): merge.c builds, merge_notes.c says what was found out. */
#ifndef MERGE_H
#define MERGE_H

#include "topology/topology.h"

struct merge_place {
    uint64_t bus;
    int      node;
};

struct merge {
    const struct topology *file, *found;
    struct topology t;                 /* the new one */
    struct merge_place *places;        /* what the file has at which address, in order */
    int    nplaces;
    /* By node of the file: */
    int   *new_of_file;                /* in the new one, or -1 */
    int   *twin;                       /* the first that was found at its address, or -1 */
    bool  *kept;                       /* something of the machine is below it */
    /* By node of those found: */
    int   *in_file;                    /* at its address, or -1 */
    int   *new_of_found;
    int   *home;                       /* see find_homes() */
    int    numa_unknown;               /* new node for those of whom it is not known, or -1 */
    int    next_name;
    int    lanes_file, lanes_found;    /* NVLinks and the like, of GPUs that are here */
    bool   links_of_file;              /* those of the file are used */
};

int  merge_first_place(const struct merge *m, uint64_t bus);   /* at this address or behind it */
/* The node of the file that a device hangs from; -1: the file has none for it. */
int  merge_above(const struct merge *m, int device);

void merge_cores_differ(struct merge *m, const struct topology_node *file,
                        const struct topology_node *found);
void merge_notes(struct merge *m);
/* The file is of another machine. */
void merge_other(struct topology *file);

#endif
