/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the parts of topology_merge(): merge_match.c looks for what is the same, merge.c builds the new
 * graph, merge_notes.c says what the two do not agree on. */
#ifndef MERGE_H
#define MERGE_H

#include "topology/topology.h"

enum { MERGE_NONE = -1, MERGE_APART = -2 };    /* no node; nodes with nothing above them all */

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
    int   *home;                       /* of a switch: what holds all that is below it in the file */
    int    numa_unknown;               /* new node for those of whom it is not known, or -1 */
    int    next_name;
    int    links_assumed;              /* PCI links that nobody tells the lanes of; not NICs' */
    int    lanes_file, lanes_found;    /* NVLinks and the like, of GPUs that are here */
    bool   links_of_file;              /* those of the file are used */
};

bool merge_is_device(const struct topology_node *node);        /* GPU or NIC */
bool merge_is_structure(const struct topology_node *node);     /* what those hang from */
int  merge_up(const struct topology *t, int node);     /* the nearest such above it, or -1 */

void merge_match(struct merge *m);                     /* fills places, twin, in_file */
bool merge_same_machine(const struct merge *m);
void merge_homes(struct merge *m);
/* What node `i` of those found is in the file, for what hangs from it: a switch; or -1. */
int  merge_known_place(const struct merge *m, int i);
/* The node of the file that a device hangs from; -1: the file has none for it. */
int  merge_above(const struct merge *m, int device);
int  merge_first_place(const struct merge *m, uint64_t bus);   /* at this address or behind it */

void merge_cores_differ(struct merge *m, const struct topology_node *file,
                        const struct topology_node *found);
void merge_notes(struct merge *m);
/* The file is of another machine. */
void merge_other(struct topology *file);

#endif
