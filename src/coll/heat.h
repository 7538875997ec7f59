/* SPDX-License-Identifier: BSD-3-Clause */
/* Is memory of the user's likely to be in a cache?  A result that is, is best stored there.
 * One that is not is stored past the caches in two thirds of the time, as its lines are not read
 * first; and who reads it next loses nothing by it, for those bytes come from memory once
 * either way (docs/performance.md, "Cold results").
 *
 * What a communicator can tell is which memory its own calls used last: those of NOTED bytes and more.
 * Persistent calls count when they are made, not when they are started, and messages that are
 * recognised (coll_request_again()) do not.
 * Nothing depends on the answer but time, so ranks may differ in it. */
#ifndef HEAT_H
#define HEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HEAT_NOTED = 64 << 10, HEAT_USES = 128 };

struct heat {
    uint64_t now;                  /* counts uses */
    unsigned n;
    struct heat_use { uintptr_t from, to; uint64_t then; } uses[HEAT_USES];
};

/* Has it not been used, or has other memory filled the last cache since? */
bool heat_lost(const struct heat *heat, const void *memory, size_t bytes);

/* A call reads or writes it.  NULL and 0 bytes are allowed. */
void heat_use(struct heat *heat, const void *memory, size_t bytes);

#endif
