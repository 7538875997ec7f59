/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/clock.h"

#include <limits.h>
#include <time.h>

static uint64_t read_clock(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t clock_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_deadline(double seconds)
{
    static const double far = 1;       /* seconds; what the coarse clock lags is less than 1 % */
    uint64_t now;

    if (!(seconds > 0))
        return clock_now();
    now = seconds > far ? read_clock(CLOCK_MONOTONIC_COARSE) : clock_now();
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
