/* SPDX-License-Identifier: BSD-3-Clause */
/* In the place of launch_pmix.c where configure found no PMIx. */
#include "comm/launch_environment.h"

#include <stddef.h>

static bool present(void)
{
    return false;
}

static int describe(struct job_options *options, uint64_t deadline)
{
    (void)options;
    (void)deadline;
    return status_fail(PEAL_ERR_UNSUPPORTED, "this build of Peal has no PMIx");
}

static const char *const variables[] = { "PMIX_RANK", "PMIX_NAMESPACE", "PMIX_VERSION", NULL };

const struct launcher launch_pmix_absent = {
    .name = "pmix",
    .looks_for = "PMIX_RANK, PMIX_NAMESPACE, PMIX_SERVER_URI* and libpmix.so.2 (mpirun of Open "
                 "MPI, srun --mpi=pmix); this build of Peal has no PMIx: configure found no "
                 "pmix.h",
    .present = present,
    .describe = describe,
    .variables = variables,
};
