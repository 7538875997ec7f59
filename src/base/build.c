/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/build.h"

#include <stddef.h>

const struct build_fact build_facts[] = {
    { "compiler", __VERSION__ },
    { "configured with", PEAL_CONFIGURED },
#ifdef HAVE_NETTLE
    { "Nettle", "yes: connections are authenticated" },
#else
    { "Nettle", "no: all ranks of a job must be threads of one process" },
#endif
#ifdef HAVE_PMIX
    { "PMIx", "yes: mpirun of Open MPI and srun --mpi=pmix need no settings" },
#else
    { "PMIx", "no: under mpirun of Open MPI set PEAL_ROOT and PEAL_SECRET yourself" },
#endif
#ifdef HAVE_VERBS
    { "libibverbs", "yes: InfiniBand and RoCE where peal-info --devices shows some" },
#else
    { "libibverbs", "no: InfiniBand and RoCE are used by TCP only" },
#endif
    { NULL, NULL }
};
