/* SPDX-License-Identifier: BSD-3-Clause */
/* torchrun and whatever else sets PyTorch's variables.  It goes before MPI and
 * Slurm because torchrun is often started once per node under those.
 *
 * MASTER_PORT belongs to PyTorch's TCPStore, and the ports next to it to
 * anybody: rank 0's port comes from a hash of the run's name and MASTER_PORT.
 *
 * TORCHELASTIC_RESTART_COUNT enters the job's number, so that the ranks of one
 * attempt never meet those of another, but only on a single node: each node's
 * agent counts its own failures, so with several nodes the counts differ.
 * There the agents' rendezvous sees to it that old ranks have ended. */
#include "comm/launch_environment.h"

#include <string.h>

static const char *const variables[] = {
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
    "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "PEAL_ROOT", "PEAL_ROOT_PORT", NULL
};

static bool present(void)
{
    return launch_variable("RANK") && launch_variable("WORLD_SIZE") &&
           launch_variable("LOCAL_RANK") && launch_variable("MASTER_ADDR");
}

/* RANK alone proves nothing: many programs use that name. */
static bool partial(void)
{
    int nranks;

    return launch_variable("RANK") &&
           launch_number(launch_variable("WORLD_SIZE"), 2, LAUNCH_RANKS, &nranks);
}

static int describe(struct job_options *options, uint64_t deadline)
{
    const char *local = launch_variable("LOCAL_WORLD_SIZE"), *all = launch_variable("WORLD_SIZE");
    const char *port_text = launch_variable("MASTER_PORT");
    int status, port = 0;
    uint64_t id;

    (void)deadline;
    status = launch_place(&launch_torchrun, "RANK", launch_variable("RANK"), "WORLD_SIZE", all,
                          options);
    if (status != PEAL_OK)
        return status;
    if (port_text && !launch_number(port_text, 0, 65535, &port))
        return launch_unclear(&launch_torchrun, "MASTER_PORT is not a port",
                              "Set it to a number from 1 to 65535.");
    id = launch_mix(launch_mix(launch_mix(0, "torchrun"), port_text),
                    launch_variable("TORCHELASTIC_RUN_ID"));
    if (local && strcmp(local, all) == 0)
        id = launch_mix(id, launch_variable("TORCHELASTIC_RESTART_COUNT"));
    options->id = id;
    return launch_meet(&launch_torchrun, launch_variable("MASTER_ADDR"), launch_port(id, port),
                       "Set MASTER_ADDR.", options);
}

const struct launcher launch_torchrun = {
    .name = "torchrun",
    .looks_for = "RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR (MASTER_PORT, TORCHELASTIC_RUN_ID)",
    .present = present,
    .partial = partial,
    .describe = describe,
    .variables = variables,
};
