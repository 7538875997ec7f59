/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks that share a core: a short broadcast of registered memory ends at its root though nobody
 * has begun to take it, and its buffer may then be written.
 *
 *   crowded */
#include "ranks.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum { RANKS = 3, SHORT = 2, LENGTHS = 3, MOST = 300000 };

static const size_t lengths[LENGTHS] = { 16 << 10, 64 << 10, MOST };    /* the last is not short */

struct meeting { _Atomic int ended; };     /* calls of the root's */

static int calls;

static unsigned char value(int call, size_t i)
{
    return (unsigned char)((size_t)call * 31 + i % 251);
}

static void fill(unsigned char *memory, size_t bytes, int call)
{
    for (size_t i = 0; i < bytes; i++)
        memory[i] = value(call, i);
}

static void verify(struct rank *me, const unsigned char *memory, size_t bytes, int call)
{
    for (size_t i = 0; i < bytes; i++)
        if (!rank_check(me, memory[i] == value(call, i), "call %d, %zu bytes: byte %zu is %d", call,
                        bytes, i, memory[i]))
            return;
}

/* `ahead`: the others begin when the root has ended. */
static void broadcast(struct rank *me, peal_comm_t comm, unsigned char *memory, size_t bytes,
                      bool ahead)
{
    struct meeting *meeting = me->shared;
    int call = ++calls;

    rank_doing(me, "broadcast %d of %zu bytes%s", call, bytes, ahead ? ", the root ahead" : "");
    if (me->rank == 0)
        fill(memory, bytes, call);
    while (me->rank > 0 && ahead && atomic_load(&meeting->ended) < call)
        sched_yield();
    rank_status(me, peal_bcast(memory, bytes, PEAL_UINT8, 0, comm), PEAL_OK, "peal_bcast");
    if (me->rank > 0) {
        verify(me, memory, bytes, call);
        return;
    }
    fill(memory, bytes, call + 100);       /* it is the root's again */
    atomic_store(&meeting->ended, call);
}

/* With a receive under way the root does not walk through its call. */
static void broadcast_busy(struct rank *me, peal_comm_t comm, unsigned char *memory, size_t bytes)
{
    peal_request_t request;
    int word = 7, heard = 0;

    if (me->rank == 0)
        rank_status(me, peal_irecv(&heard, 1, PEAL_INT32, 1, comm, &request), PEAL_OK, "peal_irecv");
    broadcast(me, comm, memory, bytes, true);
    if (me->rank == 1)
        rank_status(me, peal_send(&word, 1, PEAL_INT32, 0, comm), PEAL_OK, "peal_send");
    if (me->rank == 0 && rank_status(me, peal_wait(&request), PEAL_OK, "peal_wait"))
        rank_check(me, heard == word, "%d came instead of %d", heard, word);
}

static void body(struct rank *me)
{
    unsigned char *memory;
    peal_comm_t comm;
    cpu_set_t cores;
    int first = 0;

    sched_getaffinity(0, sizeof cores, &cores);
    while (first < CPU_SETSIZE - 1 && !CPU_ISSET(first, &cores))
        first++;
    CPU_ZERO(&cores);
    CPU_SET(first, &cores);
    rank_check(me, sched_setaffinity(0, sizeof cores, &cores) == 0, "no core");
    unsetenv("PEAL_SHM_RING");
    unsetenv("PEAL_SHM_EAGER");
    setenv("PEAL_TRANSPORTS", "shm", 1);
    setenv("PEAL_ALGORITHMS", "bcast:direct", 1);
    setenv("PEAL_TIMEOUT", "5", 1);
    if (!rank_comm(me, &comm))
        return;
    if (rank_status(me, peal_mem_alloc(MOST, (void **)&memory), PEAL_OK, "peal_mem_alloc")) {
        for (int i = 0; i < LENGTHS; i++)
            broadcast(me, comm, memory, lengths[i], false);
        rank_status(me, peal_barrier(comm), PEAL_OK, "peal_barrier");
        for (int i = 0; i < SHORT; i++) {
            broadcast(me, comm, memory, lengths[i], true);
            broadcast_busy(me, comm, memory, lengths[i]);
        }
        peal_mem_free(memory);
    }
    rank_comm_free(me, &comm);
}

int main(void)
{
    struct ranks_plan plan = { .name = "crowded", .nranks = RANKS, .body = body,
                               .shared = sizeof(struct meeting) };
    int failed = ranks_run(&plan);

    printf("crowded: %s, %d ranks failed\n", failed ? "FAIL" : "ok", failed);
    return failed ? 1 : 0;
}
