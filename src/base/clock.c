/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/clock.h"

#include <limits.h>
#include <time.h>

uint64_t clock_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t clock_deadline(double seconds)
{
    uint64_t now = clock_now();

    if (!(seconds > 0))
        return now;
    if (seconds > 1e9)         /* 31 years; "for ever" */
        seconds = 1e9;
    return now + (uint64_t)(seconds * 1e9);
}

int clock_left_ms(uint64_t deadline)
{
    uint64_t now = clock_now();
    uint64_t left = deadline > now ? (deadline - now + 999999) / 1000000 : 0;

    return left > INT_MAX ? INT_MAX : (int)left;
}
