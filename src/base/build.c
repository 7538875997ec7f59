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
    { NULL, NULL }
};
