/* SPDX-License-Identifier: BSD-3-Clause */
/* The user says it: PEAL_RANK, PEAL_SIZE, PEAL_ROOT.  PEAL_ROOT alone is not
 * enough to be present: it also helps launchers that give ranks but no address. */
#include "comm/launch_environment.h"

#include "base/settings.h"

static const char *const variables[] = { "PEAL_RANK", "PEAL_SIZE", "PEAL_ROOT",
                                         "PEAL_ROOT_PORT", NULL };

static bool present(void)
{
    return setting_text(&launch_settings[LAUNCH_RANK], NULL) ||
           setting_text(&launch_settings[LAUNCH_SIZE], NULL);
}

static int describe(struct job_options *options, uint64_t deadline)
{
    int status;

    (void)deadline;
    status = launch_place(&launch_explicit, "PEAL_RANK",
                          setting_text(&launch_settings[LAUNCH_RANK], NULL), "PEAL_SIZE",
                          setting_text(&launch_settings[LAUNCH_SIZE], NULL), options);
    if (status != PEAL_OK)
        return status;
    return launch_meet(&launch_explicit, NULL, 0,
                       "Set PEAL_ROOT=host:port, a free port on rank 0's host, on all ranks.",
                       options);
}

const struct launcher launch_explicit = {
    .name = "explicit",
    .looks_for = "PEAL_RANK, PEAL_SIZE, PEAL_ROOT=host:port",
    .present = present,
    .describe = describe,
    .variables = variables,
};
