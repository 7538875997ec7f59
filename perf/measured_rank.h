/* SPDX-License-Identifier: BSD-3-Clause */
/* For the programs whose ranks perf/cost and perf/startup time, of Peal or of an MPI: which rank this is, its
 * end on a failure, and the time.  Included by one file of a program. */
#ifndef MEASURED_RANK_H
#define MEASURED_RANK_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int rank, nranks;

static void check(int bad, const char *what)
{
    if (!bad)
        return;
    fprintf(stderr, "rank %d: %s\n", rank, what);
    exit(1);
}

/* Milliseconds, by one clock for all processes of a host. */
static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

#endif
