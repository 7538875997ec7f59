/* SPDX-License-Identifier: BSD-3-Clause */
/* Peal's own text of a topology, which keeps everything.
 *
 *   peal-topology 1
 *   # a comment
 *   host "name"
 *   node 0 numa "numa0" host=0 number=0 cpus="0-31" arch="x86_64"
 *   node 1 gpu "gpu0" host=0 parent=0 number=0 bus=0000:03:00.0 capability=80
 *   link 0 1 pci lanes=16 bandwidth=24 latency=0.5
 *   note missing "what is"                (or: note found "...")
 *
 * Hosts and nodes are numbered from 0 as they come; a node comes after its parent.  Fields that are left
 * out are not known.  In texts stand \" \\ and \x0a for bytes that would not be seen. */
#ifndef OWN_FORMAT_H
#define OWN_FORMAT_H

#include "topology/topology.h"

#define OWN_FORMAT "peal-topology"
#define OWN_VERSION 1

enum own_type { OWN_INT, OWN_HEX32, OWN_HEX64, OWN_BUS, OWN_REAL, OWN_TEXT };

struct own_field {
    const char *name;
    enum own_type type;
    size_t offset, size;
};

/* Of struct topology_node beside kind and name, of struct topology_link beside ends and medium; they
 * end with a name of NULL. */
extern const struct own_field own_node_fields[], own_link_fields[];

#endif
