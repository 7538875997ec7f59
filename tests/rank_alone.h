/* SPDX-License-Identifier: BSD-3-Clause */
/* For programs that are one rank, started by a script. */
#ifndef RANK_ALONE_H
#define RANK_ALONE_H

#include "peal.h"

#include <stdio.h>
#include <time.h>

static inline double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline int say(int rank, int status, const char *what)
{
    fprintf(stderr, "rank %d: %s: %s: %s\n", rank, what, peal_strerror(status),
            peal_last_error());
    return 1;
}

#endif
