/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine that this process is on: what it is told to take for it, or what is found. */
#include "topology/topology_source.h"

#include "base/settings.h"

#include <stdio.h>

extern const struct setting topology_settings[];
const struct setting topology_settings[] = {
    { "PEAL_TOPO_FILE", NULL, "file of the machine's topology, or a description such as \"socket:2 "
      "switch:4 gpu:8 nvswitch\", in place of what is found", "NCCL_TOPO_FILE" },
    { NULL, NULL, NULL, NULL }
};

int topology_here(struct topology *t, char *source, size_t size)
{
    const char *origin, *file = setting_text(&topology_settings[0], &origin);

    if (!file || !*file) {
        snprintf(source, size, "this machine");
        return topology_discover(t);
    }
    snprintf(source, size, "%s", file);
    return topology_read(file, t);
}
