/* SPDX-License-Identifier: BSD-3-Clause */
/* srun without PMI.  Rank 0 is on the first host of the step's list; the port
 * follows from job and step, so that nothing but a secret needs to be set.
 *
 * Only a step's variables count: a batch script has SLURM_PROCID=0 and the
 * job's SLURM_NTASKS, too, although it is one process. */
#include "comm/launch_environment.h"

#include <ctype.h>
#include <string.h>

static const char *const variables[] = {
    "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_STEP_NODELIST", "SLURM_NODEID",
    "SLURM_JOB_ID", "SLURM_STEP_ID", "PEAL_ROOT", "PEAL_ROOT_PORT", NULL
};

/* Slurm before 20 calls the variable of the step otherwise. */
static const char *tasks(void)
{
    const char *count = launch_variable("SLURM_STEP_NUM_TASKS");

    if (!count && launch_variable("SLURM_STEP_ID"))
        count = launch_variable("SLURM_NTASKS");
    return count;
}

static bool present(void)
{
    int nranks;

    return launch_variable("SLURM_PROCID") && launch_number(tasks(), 2, LAUNCH_RANKS, &nranks);
}

/* Copy what a host name may hold; false if there is no room or nothing. */
static bool copy_part(const char **from, const char *stop, char *host, size_t bytes, size_t *used)
{
    while (**from && !strchr(stop, **from)) {
        if (!isalnum((unsigned char)**from) && !strchr("._-", **from))
            return false;
        if (*used + 1 >= bytes)
            return false;
        host[(*used)++] = *(*from)++;
    }
    return true;
}

bool launch_first_host(const char *list, char *host, size_t bytes)
{
    size_t used = 0;

    while (*list && *list != ',') {
        if (*list != '[') {
            if (!copy_part(&list, ",[", host, bytes, &used))
                return false;
            continue;
        }
        size_t before = used;

        list++;
        if (!copy_part(&list, ",-]", host, bytes, &used) || used == before)
            return false;
        while (*list && *list != ']')
            list++;
        if (*list++ != ']')
            return false;
    }
    if (!used || used >= bytes)
        return false;
    host[used] = 0;
    return true;
}

static int describe(struct job_options *options, uint64_t deadline)
{
    const char *list = launch_variable("SLURM_STEP_NODELIST"), *node;
    char host[256];
    int status;
    uint64_t id;

    (void)deadline;
    status = launch_place(&launch_slurm, "SLURM_PROCID", launch_variable("SLURM_PROCID"),
                          "SLURM_STEP_NUM_TASKS", tasks(), options);
    if (status != PEAL_OK)
        return status;
    if (!list)
        list = launch_variable("SLURM_JOB_NODELIST");
    if (list && !launch_first_host(list, host, sizeof host))
        list = NULL;
    node = launch_variable("SLURM_NODEID");
    if (options->rank == 0 && node && strcmp(node, "0") != 0)
        list = NULL;      /* --distribution=arbitrary: the others would look elsewhere */
    id = launch_mix(launch_mix(launch_mix(0, "slurm"), launch_variable("SLURM_JOB_ID")),
                    launch_variable("SLURM_STEP_ID"));
    options->id = launch_mix(id, launch_variable("SLURM_RESTART_COUNT"));
    return launch_meet(&launch_slurm, list ? host : NULL, launch_port(id, 0),
                       "Rank 0 must run on the first host of SLURM_STEP_NODELIST; else set "
                       "PEAL_ROOT=host:port on all ranks, or use srun --mpi=pmix.", options);
}

const struct launcher launch_slurm = {
    .name = "slurm",
    .looks_for = "SLURM_PROCID, SLURM_STEP_NUM_TASKS > 1, SLURM_STEP_NODELIST (srun)",
    .present = present,
    .describe = describe,
    .variables = variables,
};
