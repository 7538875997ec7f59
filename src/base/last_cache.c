/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/last_cache.h"

#include "base/short_file.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

enum { CACHES_MOST = 16, LAST = 3 };            /* of a core; the level of the last, or more */
static const size_t unknown = 32 << 20;

const char *last_cache_folder = "/sys/devices/system/cpu/cpu0/cache";

size_t last_cache_of(const char *folder)
{
    unsigned long highest = 0;
    size_t bytes = 0;

    for (int i = 0; i < CACHES_MOST; i++) {
        char level[16], size[32], *unit;
        unsigned long at, units;

        if (!short_file_line(level, sizeof level, "%s/index%d/level", folder, i) ||
            !short_file_line(size, sizeof size, "%s/index%d/size", folder, i))
            continue;
        at = strtoul(level, NULL, 10);
        units = strtoul(size, &unit, 10);
        if (at < LAST || at < highest || units == 0 || units > SIZE_MAX >> 20)
            continue;
        highest = at;
        bytes = (size_t)units << (*unit == 'M' ? 20 : *unit == 'K' ? 10 : 0);
    }
    return bytes;
}

/* Not sysconf() first: glibc 2.36 adds up the caches of cores that a virtual machine does not have. */
size_t last_cache(void)
{
    static _Atomic size_t bytes;       /* every thread finds the same */
    size_t found = atomic_load_explicit(&bytes, memory_order_relaxed);

    if (found == 0) {
        found = last_cache_of(last_cache_folder);
        if (found == 0) {
            long told = sysconf(_SC_LEVEL3_CACHE_SIZE);

            found = told > 0 ? (size_t)told : unknown;
        }
        atomic_store_explicit(&bytes, found, memory_order_relaxed);
    }
    return found;
}
