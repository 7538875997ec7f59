/* SPDX-License-Identifier: BSD-3-Clause */
/* The size of the last cache between a core and memory. */
#ifndef LAST_CACHE_H
#define LAST_CACHE_H

#include <stddef.h>

/* In bytes, as such a folder of Linux describes a core's caches: /sys/devices/system/cpu/cpu0/cache.
 * 0: it does not. */
size_t last_cache_of(const char *folder);

/* Of this machine's first core; 32 MiB if it is not known.  Read once.  Thread-safe. */
size_t last_cache(void);

#endif
