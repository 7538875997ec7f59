/* SPDX-License-Identifier: BSD-3-Clause */
/* The size of the cache that cores share, of level 3 or more. */
#ifndef LAST_CACHE_H
#define LAST_CACHE_H

#include <stddef.h>

/* Where the caches of this machine's first core are described; tests have their own. */
extern const char *last_cache_folder;

/* In bytes, as such a folder describes a core's caches.  0: it does not. */
size_t last_cache_of(const char *folder);

/* Of this machine; 32 MiB if it is not known, or hidden by a hypervisor.  Read once.  Thread-safe. */
size_t last_cache(void);

#endif
