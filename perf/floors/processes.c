/* SPDX-License-Identifier: BSD-3-Clause */
#include "processes.h"

#include "side_by_side.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { VALUES_MOST = 256 };

struct meeting {
    struct counter arrived[RANKS_MOST];
    double values[RANKS_MOST][VALUES_MOST];
};

int floor_rank, floor_ranks, floor_crowded, floor_pauses;

static struct meeting *meeting;
static uint64_t barriers;
static pid_t children[RANKS_MOST];

void library_failed(const char *what)
{
    fprintf(stderr, "floor, rank %d: %s: %m\n", floor_rank, what);
    exit(1);
}

void *floor_map_shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        library_failed("mmap of shared memory");
    return memory;
}

static void keep_on_core(int core)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        library_failed("sched_setaffinity");
}

void floor_fork(int ranks)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (ranks < 1 || ranks > RANKS_MOST)
        library_failed("a number of ranks from 1 to 64 comes first");
    meeting = floor_map_shared(sizeof *meeting);
    floor_ranks = ranks;
    floor_crowded = ranks > cores;
    for (int i = 1; i < ranks; i++) {
        children[i] = fork();
        if (children[i] < 0)
            library_failed("fork");
        if (children[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            floor_rank = i;
            break;
        }
    }
    keep_on_core(floor_rank % (int)cores);
    floor_barrier();
}

void floor_join(void)
{
    int failed = 0;

    for (int i = 1; i < floor_ranks && floor_rank == 0; i++) {
        int status;

        waitpid(children[i], &status, 0);
        failed |= status;
    }
    if (failed)
        exit(1);
}

void floor_barrier(void)
{
    counter_set(&meeting->arrived[floor_rank], ++barriers);
    for (int r = 0; r < floor_ranks; r++)
        counter_wait(&meeting->arrived[r], barriers);
}

void floor_max(double *values, int count)
{
    if (count > VALUES_MOST)
        library_failed("too many values");
    memcpy(meeting->values[floor_rank], values, (size_t)count * sizeof *values);
    floor_barrier();
    for (int r = 0; r < floor_ranks; r++)
        for (int i = 0; i < count; i++)
            if (meeting->values[r][i] > values[i])
                values[i] = meeting->values[r][i];
    floor_barrier();
}
