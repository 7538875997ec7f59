/* SPDX-License-Identifier: BSD-3-Clause */
/* How much a test program is to do: TEST_EFFORT=quick is for slow builds. */
#ifndef EFFORT_H
#define EFFORT_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline bool effort_quick(void)
{
    const char *effort = getenv("TEST_EFFORT");

    return effort && strcmp(effort, "quick") == 0;
}

#endif
