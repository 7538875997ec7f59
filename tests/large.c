/* SPDX-License-Identifier: BSD-3-Clause */
/* More than 2^31 elements, more than 4 GiB: collectives between threads, and
 * one message over every transport.  Looks at the places where a number of 31
 * or 32 bits would go wrong, and at some others. */
#include "effort.h"
#include "ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST ((size_t)1 << 32)         /* and a little: ROOM bytes per rank */
enum { ROOM = 1 << 12, PLACES = 2000, NRANKS = 2 };

/* Place k of a buffer of `bytes`: the edges, then anywhere. */
static size_t place(int k, size_t bytes)
{
    static const size_t edges[] = { 0, (size_t)1 << 30, (size_t)1 << 31, (size_t)3 << 30,
                                    (size_t)1 << 32 };
    uint64_t random = (uint64_t)k;

    if (k < 8)
        return bytes - 1 - (size_t)k;
    if (k < 48) {
        size_t at = edges[k % 5] + (size_t)(k / 5) - 4;

        return at < bytes ? at : bytes - 1;
    }
    return ranks_below(&random, bytes);
}

static uint8_t value(size_t at, int rank)
{
    uint64_t x = at + 1;

    return (uint8_t)((ranks_random(&x) >> 7) * (uint64_t)(rank + 1));
}

/* Rank `rank`'s input of `bytes`, into memory that stands for [first, first +
 * length) of it; what lies between the places is 0. */
static void fill(uint8_t *memory, size_t bytes, size_t first, size_t length, int rank)
{
    memset(memory, 0, length);
    for (int k = 0; k < PLACES; k++) {
        size_t at = place(k, bytes);

        if (at >= first && at < first + length)
            memory[at - first] = value(at, rank);
    }
}

/* The sum of ranks [low, high] at all places of [first, first + length). */
static void verify(struct rank *me, const uint8_t *memory, size_t bytes, size_t first,
                   size_t length, int low, int high)
{
    for (int k = 0; k < PLACES; k++) {
        size_t at = place(k, bytes);
        uint8_t wanted = 0;

        if (at < first || at >= first + length)
            continue;
        for (int r = low; r <= high; r++)
            wanted = (uint8_t)(wanted + value(at, r));
        if (!rank_check(me, memory[at - first] == wanted, "byte %zu of %zu is %u, not %u", at,
                        bytes, memory[at - first], wanted))
            return;
    }
}

static void collectives(struct rank *me, uint8_t *memory, peal_comm_t comm)
{
    size_t whole = MOST + 5, half = MOST / 2 + 9, own = (size_t)me->rank * half;

    rank_doing(me, "bcast of %zu bytes", whole);
    fill(memory, whole, 0, whole, me->rank);
    rank_status(me, peal_bcast(memory, whole, PEAL_INT8, 1, comm), PEAL_OK, "bcast");
    verify(me, memory, whole, 0, whole, 1, 1);
    rank_doing(me, "allreduce of %zu bytes", whole);
    fill(memory, whole, 0, whole, me->rank);
    rank_status(me, peal_allreduce(PEAL_IN_PLACE, memory, whole, PEAL_INT8, PEAL_SUM, comm), 0,
                "allreduce");
    verify(me, memory, whole, 0, whole, 0, NRANKS - 1);
    rank_doing(me, "reduce_scatter_block of %zu bytes each", half);
    fill(memory, 2 * half, 0, 2 * half, me->rank);
    rank_status(me, peal_reduce_scatter_block(memory, memory + own, half, PEAL_UINT8, PEAL_SUM,
                                              comm), PEAL_OK, "reduce_scatter_block");
    verify(me, memory + own, 2 * half, own, half, 0, NRANKS - 1);
    rank_doing(me, "allgather of %zu bytes each", half);
    fill(memory, 2 * half, 0, 2 * half, 7);
    memset(memory + (own ? 0 : half), 1, half);
    rank_status(me, peal_allgather(PEAL_IN_PLACE, memory, half, PEAL_UINT8, comm), PEAL_OK,
                "allgather");
    verify(me, memory, 2 * half, 0, 2 * half, 7, 7);
}

static void message(struct rank *me, uint8_t *memory, peal_comm_t comm)
{
    size_t bytes = MOST + 5;
    int status;

    rank_doing(me, "a message of %zu bytes", bytes);
    if (me->rank == 0)
        fill(memory, bytes, 0, bytes, 3);
    status = me->rank == 0 ? peal_send(memory, bytes, PEAL_UINT8, 1, comm)
                           : peal_recv(memory, bytes, PEAL_UINT8, 0, comm);
    rank_status(me, status, PEAL_OK, "a message");
    if (me->rank == 1)
        verify(me, memory, bytes, 0, bytes, 3, 3);
}

static void body(struct rank *me)
{
    uint8_t *memory = malloc(MOST + ROOM);
    peal_comm_t comm;

    if (!rank_check(me, memory != NULL, "no memory for the test") || !rank_comm(me, &comm))
        return;
    message(me, memory, comm);
    if (me->plan->per_process > 1 && rank_failures(me) == 0)
        collectives(me, memory, comm);
    rank_comm_free(me, &comm);
    free(memory);
}

/* GiB that could be had without anybody being hurt. */
static double memory_available(void)
{
    FILE *f = fopen("/proc/meminfo", "r");
    char line[128];
    double kib = 0;

    while (f && fgets(line, sizeof line, f) && sscanf(line, "MemAvailable: %lf", &kib) != 1)
        ;
    if (f)
        fclose(f);
    return kib / (1 << 20);
}

int main(void)
{
    static const int two[] = { NRANKS, 0 };
    double started = ranks_now(), available = memory_available();
    peal_config_t config = PEAL_CONFIG_INIT;
    struct ranks_plan plan = { .name = "large", .config = &config, .body = body, .seconds = 300 };

    config.timeout = 250;
    if (effort_quick()) {
        printf("SKIP: TEST_EFFORT=quick; the plain build moves 4 GiB buffers\n");
        return 77;
    }
    if (available < 14) {
        printf("SKIP: two buffers of 4 GiB and scratch want 14 GiB; %.1f GiB are available\n",
               available);
        return 77;
    }
    return ranks_verdict("large", ranks_run_roads(&plan, two), started);
}
