/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/numa.h"

#include "base/cpu_list.h"
#include "base/log.h"
#include "base/short_file.h"

#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NODES_MOST = 1024, LIST_BYTES = 16 << 10 };

struct node { int number; uint32_t cores[CPU_LIST_WORDS]; };

const char *numa_folder = "/sys/devices/system/node";

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct node *nodes;             /* for the life of the process; NULL where there is one */
static int nnodes;

static bool read_list(const char *name, uint32_t words[CPU_LIST_WORDS])
{
    static char text[LIST_BYTES];      /* within `once` */

    return short_file_line(text, sizeof text, "%s/%s", numa_folder, name) && cpu_list_read(text, words);
}

static void look(void)
{
    uint32_t online[CPU_LIST_WORDS];
    int count = 0;

    if (!read_list("online", online))
        return;
    for (int i = 0; i < NODES_MOST; i++)
        count += cpu_list_has(online, i);
    if (count < 2 || !(nodes = calloc((size_t)count, sizeof *nodes)))
        return;
    for (int i = 0; i < NODES_MOST; i++) {
        char name[32];

        snprintf(name, sizeof name, "node%d/cpulist", i);
        if (cpu_list_has(online, i) && read_list(name, nodes[nnodes].cores))
            nodes[nnodes++].number = i;
    }
}

static bool contains(const struct node *node, const cpu_set_t *cores)
{
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET((size_t)i, cores) && !cpu_list_has(node->cores, i))
            return false;
    return true;
}

int numa_of_thread(void)
{
    cpu_set_t cores;

    pthread_once(&once, look);
    if (nnodes == 0 || sched_getaffinity(0, sizeof cores, &cores) != 0)
        return -1;
    for (int i = 0; i < nnodes; i++)
        if (contains(&nodes[i], &cores))
            return nodes[i].number;
    return -1;
}

void numa_prefer(void *memory, size_t bytes, int node)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)memory + page - 1) / page * page;
    uintptr_t to = ((uintptr_t)memory + bytes) / page * page;
    enum { BITS = 8 * sizeof(unsigned long) };
    unsigned long mask[NODES_MOST / BITS] = { 0 };

    if (node < 0 || node >= NODES_MOST || from >= to)
        return;
    mask[node / BITS] |= 1ul << node % BITS;
    if (syscall(SYS_mbind, from, to - from, MPOL_PREFERRED, mask, (unsigned long)NODES_MOST + 1, 0u))
        log_debug("NUMA node %d is not preferred for %zu bytes: %m", node, bytes);
}
