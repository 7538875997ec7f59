/* SPDX-License-Identifier: BSD-3-Clause */
/* What the straight-line prototypes have in common: processes made by fork
 * that share memory, each kept on a core, waiting for one another by looking
 * at a cache line.  Ranks that share a core hand it over with sched_yield.
 * One thread per process. */
#ifndef FLOORS_PROCESSES_H
#define FLOORS_PROCESSES_H

#include <sched.h>
#include <stddef.h>
#include <stdint.h>

enum { RANKS_MOST = 64, LINE = 128 };

extern int floor_rank, floor_ranks, floor_crowded;

/* 1: tell the processor that a loop waits.  Better where two ranks run on the
 * two threads of one core, worse elsewhere. */
extern int floor_pauses;

/* A counter that one process advances and others wait for. */
struct counter {
    _Alignas(LINE) uint64_t value;
};

static inline void counter_set(struct counter *counter, uint64_t value)
{
    __atomic_store_n(&counter->value, value, __ATOMIC_RELEASE);
}

/* Returns the number that ends the wait. */
static inline uint64_t number_wait(const uint64_t *number, uint64_t value)
{
    uint64_t now;

    while ((now = __atomic_load_n(number, __ATOMIC_ACQUIRE)) < value) {
        if (floor_crowded)
            sched_yield();
#ifdef __x86_64__
        else if (floor_pauses)
            __builtin_ia32_pause();
#endif
    }
    return now;
}

static inline uint64_t counter_wait(const struct counter *counter, uint64_t value)
{
    return number_wait(&counter->value, value);
}

/* Become `ranks` processes; this one is rank 0.  Each stays on core rank modulo
 * the number of cores. */
void floor_fork(int ranks);

/* Wait for the others to end; ends with status 1 if one of them failed. */
void floor_join(void);

/* Zeroed memory that all ranks share; call before floor_fork. */
void *floor_map_shared(size_t bytes);

void floor_barrier(void);
void floor_max(double *values, int count);

#endif
