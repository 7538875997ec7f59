/* SPDX-License-Identifier: BSD-3-Clause */
/* HPE Cray PALS (mpiexec, aprun): PALS_RANKID, and the size from PMI_SIZE.  It
 * has no channel that can be used without Cray's own library. */
#include "comm/launch_environment.h"

static const char *const variables[] = { "PALS_RANKID", "PMI_SIZE", "PEAL_ROOT", NULL };

static bool present(void)
{
    return launch_variable("PALS_RANKID") && launch_variable("PMI_SIZE");
}

static bool partial(void)
{
    return launch_variable("PALS_RANKID");
}

static int describe(struct job_options *options, uint64_t deadline)
{
    int status;

    (void)deadline;
    status = launch_place(&launch_pals, "PALS_RANKID", launch_variable("PALS_RANKID"), "PMI_SIZE",
                          launch_variable("PMI_SIZE"), options);
    if (status != PEAL_OK)
        return status;
    return launch_meet(&launch_pals, NULL, 0,
                       "Set PEAL_ROOT=host:port, a free port on rank 0's host, on all ranks.",
                       options);
}

const struct launcher launch_pals = {
    .name = "pals",
    .looks_for = "PALS_RANKID, PMI_SIZE (HPE Cray PALS), PEAL_ROOT",
    .present = present,
    .partial = partial,
    .describe = describe,
    .variables = variables,
};
