/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside the executor: what a wait does between two looks.  Inline, for what is awaited is seen
 * no sooner than the next look. */
#ifndef PATIENCE_H
#define PATIENCE_H

#include "base/clock.h"
#include "executor/executor.h"

#include <sched.h>

/* How long nothing has moved. */
struct patience {
    uint64_t idle_since;               /* 0: not known yet */
    unsigned looks;
};

enum { LOOKS_PER_CLOCK = 32, PROMPT_LOOKS = 128 };

/* Between two looks: spin or yield, each stage cheaper and slower.  What is awaited mostly
 * comes soon, so where it spins the first looks follow each other without a pause.  Sets the time,
 * or 0 if it did not ask for it; false, without a pause, if it is time to sleep. */
static inline bool be_patient(const struct engine *engine, struct patience *patience, uint64_t *now)
{
    uint64_t spin = engine->crowded ? 0 : engine->spin_ns, idle;
    bool prompt = ++patience->looks <= PROMPT_LOOKS;

    *now = 0;
    if (patience->looks % LOOKS_PER_CLOCK && spin) {
        if (!prompt)
            clock_relax();
        return true;
    }
    *now = clock_now();
    if (patience->idle_since == 0)
        patience->idle_since = *now;
    idle = *now - patience->idle_since;
    if (idle >= spin + engine->yields_ns)
        return false;
    if (idle >= spin)
        sched_yield();
    else if (!prompt)
        clock_relax();
    return true;
}

/* How long waits shall yield from now on, after a sleep of `slept` ns: they have yielded for
 * `present`, and do so for `least` at least.  A sleep costs both sides system calls, and who sleeps
 * sees late what comes: who would have been served within 16 times the least does not sleep the
 * next times, and who waits for longer does so sooner again. */
static inline uint64_t patience_learn(uint64_t present, uint64_t least, uint64_t slept)
{
    enum { MOST = 16 };

    if (present + slept < MOST * least)
        return 2 * present < MOST * least ? 2 * present : MOST * least;
    return present / 2 > least ? present / 2 : least;
}

#endif
