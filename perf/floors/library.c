/* SPDX-License-Identifier: BSD-3-Clause */
/* What the floors that run in the timing loop answer alike. */
#include "side_by_side.h"

#include "processes.h"

void library_close(void)
{
    floor_join();
}

const char *library_version(void)
{
    return "prototypes of perf/floors";
}

void library_prepare(struct call *call)
{
    (void)call;
}

void library_release(struct call *call)
{
    (void)call;
}

void library_barrier(void)
{
    floor_barrier();
}

void library_max(double *values, int count)
{
    floor_max(values, count);
}
