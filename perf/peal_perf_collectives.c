/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/peal_perf.h"

#include <ctype.h>
#include <string.h>

static const struct perf_collective collectives[] = {
    {PERF_ALL_REDUCE,     "all_reduce",     "allreduce",      true,  false, true},
    {PERF_ALL_GATHER,     "all_gather",     "allgather",      false, false, true},
    {PERF_BROADCAST,      "broadcast",      "bcast",          false, true,  true},
    {PERF_REDUCE,         "reduce",         "reduce",         true,  true,  true},
    {PERF_REDUCE_SCATTER, "reduce_scatter", "reduce_scatter", true,  false, true},
    {PERF_SENDRECV,       "sendrecv",       "sendrecv",       false, false, false},
    {PERF_BARRIER,        "barrier",        "barrier",        false, false, false},
};
enum { COLLECTIVE_COUNT = sizeof collectives / sizeof *collectives };

/* Lower case letters only, without "_perf" and "_block" at the end. */
static void name_squeeze(const char *name, char out[64])
{
    static const char *const endings[] = {"perf", "block"};
    size_t n = 0;

    for (; *name && n < 63; name++)
        if (isalnum((unsigned char)*name))
            out[n++] = (char)tolower((unsigned char)*name);
    out[n] = 0;
    for (int i = 0; i < 2; i++) {
        size_t length = strlen(endings[i]);

        if (n > length && !strcmp(out + n - length, endings[i]))
            out[n -= length] = 0;
    }
}

const struct perf_collective *perf_collective_find(const char *name)
{
    char wanted[64], known[64];

    name_squeeze(name, wanted);
    for (int i = 0; i < COLLECTIVE_COUNT; i++) {
        name_squeeze(collectives[i].name, known);
        if (!strcmp(wanted, known) || !strcmp(wanted, collectives[i].setting))
            return &collectives[i];
    }
    return NULL;
}

struct perf_shape perf_shape_make(const struct perf_collective *collective, size_t bytes,
                                  size_t element, int nranks)
{
    size_t count = bytes / element, n = (size_t)nranks;
    struct perf_shape shape = {count, count, count, 0};

    if (collective->kind == PERF_BARRIER) {
        shape.count = shape.send = shape.recv = 0;
    } else if (collective->kind == PERF_ALL_GATHER || collective->kind == PERF_REDUCE_SCATTER) {
        count = count / n / (16 / element) * (16 / element);
        shape.count = count;
        shape.send = collective->kind == PERF_ALL_GATHER ? count : count * n;
        shape.recv = collective->kind == PERF_ALL_GATHER ? count * n : count;
    }
    shape.bytes = (shape.send > shape.recv ? shape.send : shape.recv) * element;
    return shape;
}

double perf_bus_factor(const struct perf_collective *collective, int nranks)
{
    double n = nranks;

    switch (collective->kind) {
    case PERF_ALL_REDUCE:
        return 2 * (n - 1) / n;
    case PERF_ALL_GATHER:
    case PERF_REDUCE_SCATTER:
        return (n - 1) / n;
    case PERF_BROADCAST:
    case PERF_REDUCE:
    case PERF_SENDRECV:
    case PERF_BARRIER:
        break;
    }
    return 1;
}

/* sendrecv is a ring: everyone sends to the next rank. */
static int next_rank(const struct perf_call *c)
{
    return (c->rank + 1) % c->nranks;
}

static int previous_rank(const struct perf_call *c)
{
    return (c->rank + c->nranks - 1) % c->nranks;
}

int perf_call_run(const struct perf_call *c)
{
    switch (c->collective->kind) {
    case PERF_ALL_REDUCE:
        return peal_allreduce(c->send, c->recv, c->count, c->type, c->op, c->comm);
    case PERF_ALL_GATHER:
        return peal_allgather(c->send, c->recv, c->count, c->type, c->comm);
    case PERF_BROADCAST:
        return peal_bcast(c->recv, c->count, c->type, c->root, c->comm);
    case PERF_REDUCE:
        return peal_reduce(c->send, c->recv, c->count, c->type, c->op, c->root, c->comm);
    case PERF_REDUCE_SCATTER:
        return peal_reduce_scatter_block(c->send, c->recv, c->count, c->type, c->op, c->comm);
    case PERF_SENDRECV:
        return peal_sendrecv(c->send, c->count, next_rank(c), c->recv, c->count,
                             previous_rank(c), c->type, c->comm);
    case PERF_BARRIER:
        break;
    }
    return peal_barrier(c->comm);
}

int perf_call_start(const struct perf_call *c, peal_request_t *request)
{
    switch (c->collective->kind) {
    case PERF_ALL_REDUCE:
        return peal_iallreduce(c->send, c->recv, c->count, c->type, c->op, c->comm, request);
    case PERF_ALL_GATHER:
        return peal_iallgather(c->send, c->recv, c->count, c->type, c->comm, request);
    case PERF_BROADCAST:
        return peal_ibcast(c->recv, c->count, c->type, c->root, c->comm, request);
    case PERF_REDUCE:
        return peal_ireduce(c->send, c->recv, c->count, c->type, c->op, c->root, c->comm,
                            request);
    case PERF_REDUCE_SCATTER:
        return peal_ireduce_scatter_block(c->send, c->recv, c->count, c->type, c->op, c->comm,
                                          request);
    case PERF_SENDRECV:
        return peal_isendrecv(c->send, c->count, next_rank(c), c->recv, c->count,
                              previous_rank(c), c->type, c->comm, request);
    case PERF_BARRIER:
        break;
    }
    return peal_ibarrier(c->comm, request);
}

int perf_call_prepare(const struct perf_call *c, peal_request_t *request)
{
    switch (c->collective->kind) {
    case PERF_ALL_REDUCE:
        return peal_allreduce_init(c->send, c->recv, c->count, c->type, c->op, c->comm, request);
    case PERF_ALL_GATHER:
        return peal_allgather_init(c->send, c->recv, c->count, c->type, c->comm, request);
    case PERF_BROADCAST:
        return peal_bcast_init(c->recv, c->count, c->type, c->root, c->comm, request);
    case PERF_REDUCE:
        return peal_reduce_init(c->send, c->recv, c->count, c->type, c->op, c->root, c->comm,
                                request);
    case PERF_REDUCE_SCATTER:
        return peal_reduce_scatter_block_init(c->send, c->recv, c->count, c->type, c->op,
                                              c->comm, request);
    case PERF_SENDRECV:
        return peal_sendrecv_init(c->send, c->count, next_rank(c), c->recv, c->count,
                                  previous_rank(c), c->type, c->comm, request);
    case PERF_BARRIER:
        break;
    }
    return peal_barrier_init(c->comm, request);
}
