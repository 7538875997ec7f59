/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine that this process is on: what it is told to take for it, and what is found. */
#include "topology/topology_source.h"

#include "base/settings.h"
#include "base/status.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern const struct setting topology_settings[];
const struct setting topology_settings[] = {
    { "PEAL_TOPO_FILE", NULL, "file of the machine's topology: its NUMA nodes, PCI switches and PCI links are "
      "taken from there, GPUs, NVLinks and ports as found; or a description such as \"socket:2 switch:4 "
      "gpu:8 nvswitch\", in place of all that", "NCCL_TOPO_FILE" },
    { NULL, NULL, NULL, NULL }
};

/* As topology_read() tells them apart. */
static bool is_file(const char *text)
{
    return strpbrk(text, "/.") || access(text, F_OK) == 0;
}

bool topology_may_have_gpus(void)
{
    /* NVIDIA's, AMD's, and those that WSL lends. */
    static const char *const drivers[] = { "/dev/nvidiactl", "/dev/kfd", "/dev/dxg" };
    const char *file = setting_text(&topology_settings[0], NULL);
    bool may = file && *file;

    for (size_t i = 0; i < sizeof drivers / sizeof *drivers && !may; i++)
        may = access(drivers[i], F_OK) == 0;
    return may;
}

int topology_here(struct topology *t, char *source, size_t size)
{
    const char *origin, *file = setting_text(&topology_settings[0], &origin);
    struct topology found;
    int status;

    if (!file || !*file) {
        snprintf(source, size, "this machine");
        return topology_discover(t);
    }
    snprintf(source, size, "%s", file);
    status = topology_read(file, t);
    if (status || !is_file(file))
        return status;
    if (topology_discover(&found)) {
        topology_note(t, true, "taken as it is, as this machine cannot be looked at: %.150s", status_text());
        return PEAL_OK;
    }
    status = topology_merge(t, &found);
    topology_free(&found);
    return status;
}
