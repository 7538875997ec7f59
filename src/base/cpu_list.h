/* SPDX-License-Identifier: BSD-3-Clause */
/* Sets of cores as people write them ("0-31,64-95") and as NCCL's files do ("ffffffff,00000000"). */
#ifndef CPU_LIST_H
#define CPU_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CPU_LIST_CPUS = 4096,           /* cores 0 ... that can be told, */
       CPU_LIST_WORDS = CPU_LIST_CPUS / 32 };  /* a bit each, core 0 the lowest of the first word */

/* Any number: there are no cores beyond those that can be told. */
static inline bool cpu_list_has(const uint32_t words[CPU_LIST_WORDS], long cpu)
{
    return cpu >= 0 && cpu < CPU_LIST_CPUS && (words[cpu / 32] >> cpu % 32 & 1);
}

/* How many cores there are.  A list that does not fit ends with its last whole part that does; *cut
 * then says so. */
int  cpu_list_print(const uint32_t words[CPU_LIST_WORDS], char *list, size_t room, bool *cut);
/* False: it is no list, or has cores beyond these. */
bool cpu_list_read(const char *list, uint32_t words[CPU_LIST_WORDS]);

/* NCCL's masks.  False: it is no mask, or has cores beyond these. */
bool cpu_list_from_mask(const char *mask, char *list, size_t room, bool *cut);
/* False: it is no list, or does not fit. */
bool cpu_list_to_mask(const char *list, char *mask, size_t room);

#endif
