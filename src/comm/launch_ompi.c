/* SPDX-License-Identifier: BSD-3-Clause */
/* Open MPI's variables, for where its PMIx cannot be used: it tells the rank
 * but neither an address nor a secret, so the user must. */
#include "comm/launch_environment.h"

static const char *const variables[] = { "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                                         "PMIX_RANK", "PMIX_NAMESPACE", "PEAL_ROOT", NULL };

static bool present(void)
{
    return launch_variable("OMPI_COMM_WORLD_RANK") && launch_variable("OMPI_COMM_WORLD_SIZE");
}

static bool partial(void)
{
    return launch_variable("OMPI_COMM_WORLD_RANK") || launch_variable("OMPI_COMM_WORLD_SIZE");
}

static int describe(struct job_options *options, uint64_t deadline)
{
    int status;

    (void)deadline;
    status = launch_place(&launch_ompi, "OMPI_COMM_WORLD_RANK",
                          launch_variable("OMPI_COMM_WORLD_RANK"), "OMPI_COMM_WORLD_SIZE",
                          launch_variable("OMPI_COMM_WORLD_SIZE"), options);
    if (status != PEAL_OK)
        return status;
    return launch_meet(&launch_ompi, NULL, 0,
                       "Install libpmix.so.2 (Debian: libpmix2) on all hosts, with which nothing "
                       "needs to be set, or give PEAL_ROOT=host:port, a free port on rank 0's "
                       "host: mpirun -x PEAL_ROOT -x PEAL_SECRET ...", options);
}

const struct launcher launch_ompi = {
    .name = "ompi",
    .looks_for = "OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE (mpirun without PMIx), PEAL_ROOT",
    .present = present,
    .partial = partial,
    .describe = describe,
    .variables = variables,
};
