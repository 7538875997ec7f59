/* SPDX-License-Identifier: BSD-3-Clause */
/* Arrays that grow, where building cannot fail half way; and what is said where there is no memory. */
#ifndef TOPOLOGY_ROOM_H
#define TOPOLOGY_ROOM_H

#include <stdbool.h>
#include <stddef.h>

/* Is there room for one more in *array, of `count` elements of `size` bytes, which has room for *room and
 * may hold `most`?  `array` is the address of a pointer to them.  False: *failed is the status, and says
 * why, in terms of `parts`.  Once *failed is set, there is no room any more: a builder need not look at every
 * single step, only at the end. */
bool room_for_one(int *failed, void *array, size_t size, int count, int *room, int most,
                  const char *parts);

/* PEAL_ERR_MEMORY, said of the `parts` of so many GPUs. */
int room_none(const char *parts, int ngpus);

#endif
