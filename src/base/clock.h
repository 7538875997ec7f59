/* SPDX-License-Identifier: BSD-3-Clause */
/* Time.  All of Peal asks here, so that a simulator can supply its own. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

/* Nanoseconds on a clock that never goes back. */
uint64_t clock_now(void);

/* A point `seconds` from now, some milliseconds early where that is far off; 0 or
 * less: already passed; never overflows. */
uint64_t clock_deadline(double seconds);

/* Milliseconds left until `deadline` for poll(): 0 if passed, rounded up. */
int clock_left_ms(uint64_t deadline);

/* One turn of a spinning wait: leaves the core's units to its other thread. */
static inline void clock_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

#endif
