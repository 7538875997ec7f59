/* SPDX-License-Identifier: BSD-3-Clause */
/* Peal for perf/compare.  Variants: "plain" (blocking calls), "persistent"
 * (peal_*_init once, then peal_start and peal_wait; to 64 KiB, beyond which it
 * makes no difference), "registered" (blocking calls on buffers of
 * peal_mem_alloc). */
#include "side_by_side.h"

#include <peal.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static peal_comm_t world;
static enum { PLAIN, PERSISTENT, REGISTERED } variant;

void library_failed(const char *what)
{
    fprintf(stderr, "peal: %s: %s\n", what, peal_last_error());
    exit(1);
}

static void check(int status, const char *what)
{
    if (status != PEAL_OK)
        library_failed(what);
}

void library_open(int *argc, char ***argv, int *rank, int *nranks)
{
    (void)argc, (void)argv;
    check(peal_init(NULL, &world), "peal_init");
    check(peal_comm_rank(world, rank), "peal_comm_rank");
    check(peal_comm_size(world, nranks), "peal_comm_size");
}

void library_close(void)
{
    check(peal_comm_free(&world), "peal_comm_free");
}

const char *library_version(void)
{
    static char text[32];
    int major, minor, patch;

    peal_version(&major, &minor, &patch);
    snprintf(text, sizeof text, "Peal %d.%d.%d", major, minor, patch);
    return text;
}

int library_variant(const char *name, enum collective what, size_t bytes)
{
    static const char *const variants[] = { "plain", "persistent", "registered" };

    for (int i = 0; i < 3; i++)
        if (strcmp(name, variants[i]) == 0) {
            variant = i;
            return i == REGISTERED ? 2 * (what != BARRIER) :
                i == PLAIN || bytes <= 64 << 10;
        }
    return 0;
}

void *library_alloc(size_t bytes)
{
    void *memory = NULL;

    if (variant == REGISTERED)
        check(peal_mem_alloc(bytes, &memory), "peal_mem_alloc");
    else if (posix_memalign(&memory, 4096, bytes) != 0)
        library_failed("no memory");
    return memory;
}

void library_free(void *memory)
{
    if (variant == REGISTERED && memory)
        check(peal_mem_free(memory), "peal_mem_free");
    else
        free(memory);
}

static int prepare(struct call *c, peal_request_t *request)
{
    switch (c->what) {
    case ALLREDUCE:
        return peal_allreduce_init(c->in, c->out, c->n, PEAL_FLOAT32, PEAL_SUM, world,
                                   request);
    case ALLGATHER:
        return peal_allgather_init(c->in, c->out, c->n, PEAL_FLOAT32, world, request);
    case BCAST:
        return peal_bcast_init(c->out, c->n, PEAL_FLOAT32, 0, world, request);
    case REDUCE_SCATTER:
        return peal_reduce_scatter_block_init(c->in, c->out, c->n, PEAL_FLOAT32, PEAL_SUM,
                                              world, request);
    case REDUCE:
        return peal_reduce_init(c->in, c->out, c->n, PEAL_FLOAT32, PEAL_SUM, 0, world,
                                request);
    default:
        return peal_barrier_init(world, request);
    }
}

void library_prepare(struct call *call)
{
    peal_request_t request = PEAL_REQUEST_NULL;

    if (variant == PERSISTENT)
        check(prepare(call, &request), "peal_*_init");
    call->plan = request;
}

void library_release(struct call *call)
{
    peal_request_t request = call->plan;

    if (request)
        check(peal_request_free(&request), "peal_request_free");
}

static int blocking(struct call *c)
{
    switch (c->what) {
    case ALLREDUCE:
        return peal_allreduce(c->in, c->out, c->n, PEAL_FLOAT32, PEAL_SUM, world);
    case ALLGATHER:
        return peal_allgather(c->in, c->out, c->n, PEAL_FLOAT32, world);
    case BCAST:
        return peal_bcast(c->out, c->n, PEAL_FLOAT32, 0, world);
    case REDUCE_SCATTER:
        return peal_reduce_scatter_block(c->in, c->out, c->n, PEAL_FLOAT32, PEAL_SUM, world);
    case REDUCE:
        return peal_reduce(c->in, c->out, c->n, PEAL_FLOAT32, PEAL_SUM, 0, world);
    default:
        return peal_barrier(world);
    }
}

void library_call(struct call *call)
{
    peal_request_t request = call->plan;

    if (!request) {
        check(blocking(call), "call");
        return;
    }
    check(peal_start(&request), "peal_start");
    check(peal_wait(&request), "peal_wait");
}

void library_barrier(void)
{
    check(peal_barrier(world), "peal_barrier");
}

void library_max(double *values, int count)
{
    check(peal_allreduce(PEAL_IN_PLACE, values, (size_t)count, PEAL_FLOAT64, PEAL_MAX, world),
          "peal_allreduce");
}
