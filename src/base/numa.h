/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory on the NUMA node of those who read it.  Where there is one node, or the system will not tell or
 * take advice, nothing happens.  Thread-safe. */
#ifndef NUMA_H
#define NUMA_H

#include <stddef.h>

/* Where nodes are described; tests have their own.  Read once. */
extern const char *numa_folder;

/* The number of the node that all cores belong to which the calling thread may run on.  -1: there is one
 * node only, these are of several, or it is not known. */
int  numa_of_thread(void);

/* Pages that lie wholly in the memory and are not there yet shall come from this node while it has some;
 * those of a shared mapping, whoever touches them first.  -1: nothing. */
void numa_prefer(void *memory, size_t bytes, int node);

#endif
