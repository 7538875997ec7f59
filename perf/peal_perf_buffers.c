/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/peal_perf.h"

#include <stdlib.h>
#include <string.h>

enum { GUARD = 64, LINE = 64, PAGE = 4096, POISON = 0xEE, LEAST = 1 << 20 };

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

static size_t slot_stride(size_t start, size_t bytes)
{
    return round_up(start + bytes + GUARD, LINE);
}

int perf_buffers_make(struct perf_buffers *b, const struct perf_options *options)
{
    size_t stride = slot_stride(GUARD + options->unalign * 8, options->max_bytes);
    size_t bytes = round_up(stride * (size_t)options->aggregate, PAGE);
    void *send = NULL, *recv = NULL;
    int status = PEAL_OK;

    memset(b, 0, sizeof *b);
    b->bytes = bytes < LEAST ? LEAST : bytes;
    b->mapped = options->mapped_memory;
    if (b->mapped) {
        status = peal_mem_alloc(b->bytes, &send);
        if (status == PEAL_OK)
            status = peal_mem_alloc(b->bytes, &recv);
    } else {
        send = aligned_alloc(PAGE, b->bytes);
        recv = aligned_alloc(PAGE, b->bytes);
        if (!send || !recv)
            status = PEAL_ERR_MEMORY;
    }
    b->send = send;
    b->recv = recv;
    if (status != PEAL_OK)
        perf_buffers_free(b);
    return status;
}

void perf_buffers_free(struct perf_buffers *b)
{
    if (b->mapped) {
        if (b->send)
            peal_mem_free(b->send);
        if (b->recv)
            peal_mem_free(b->recv);
    } else {
        free(b->send);
        free(b->recv);
    }
    b->send = b->recv = NULL;
}

void perf_buffers_divide(struct perf_buffers *b, const struct perf_options *options,
                         const struct perf_shape *shape, size_t element)
{
    size_t group = (size_t)options->aggregate, most = (size_t)options->iterations * group;

    b->start = GUARD + options->unalign * element;
    b->stride = slot_stride(b->start, shape->bytes);
    b->slots = b->bytes / b->stride;
    if (b->slots > most)
        b->slots = most;
    b->slots = b->slots / group * group;
}

static unsigned char *slot_send(const struct perf_buffers *b, size_t slot)
{
    return b->send + slot * b->stride + b->start;
}

static unsigned char *slot_recv(const struct perf_buffers *b, size_t slot)
{
    return b->recv + slot * b->stride + b->start;
}

void perf_buffers_aim(const struct perf_buffers *b, size_t slot, bool in_place,
                      struct perf_call *call)
{
    size_t block = (size_t)call->rank * call->count * peal_datatype_size(call->type);
    enum perf_kind kind = call->collective->kind;
    unsigned char *send = slot_send(b, slot), *recv = slot_recv(b, slot);

    if (in_place)
        send = recv;
    if (in_place && kind == PERF_ALL_GATHER)
        send += block;
    if (in_place && kind == PERF_REDUCE_SCATTER)
        recv += block;
    if (!in_place && kind == PERF_BROADCAST && call->rank == call->root)
        recv = send;                  /* one buffer only: the input */
    call->send = send;
    call->recv = recv;
}

/* Bytes between the guards of the receive buffer. */
static size_t recv_bytes(const struct perf_shape *shape, bool in_place, size_t element)
{
    return in_place ? shape->bytes : shape->recv * element;
}

static size_t shift_of(size_t iteration)
{
    return iteration * 389 % PERF_PERIOD;
}

static unsigned char guard_byte(size_t iteration)
{
    return (unsigned char)(0xA5 + iteration);
}

static void guards_fill(unsigned char *data, size_t bytes, size_t iteration)
{
    memset(data - GUARD, guard_byte(iteration), GUARD);
    memset(data + bytes, guard_byte(iteration), GUARD);
}

static size_t bytes_other_than(const unsigned char *data, size_t bytes, unsigned char value)
{
    size_t other = 0;

    for (size_t i = 0; i < bytes; i++)
        other += data[i] != value;
    return other;
}

static size_t guards_wrong(const unsigned char *data, size_t bytes, size_t iteration)
{
    return bytes_other_than(data - GUARD, GUARD, guard_byte(iteration))
         + bytes_other_than(data + bytes, GUARD, guard_byte(iteration));
}

void perf_buffers_fill(const struct perf_buffers *b, size_t slot, bool in_place,
                       const struct perf_shape *shape, struct perf_values *v, size_t iteration,
                       const struct perf_call *call)
{
    unsigned char *send = slot_send(b, slot), *recv = slot_recv(b, slot);
    size_t bytes = recv_bytes(shape, in_place, v->element);

    guards_fill(recv, bytes, iteration);
    memset(recv, POISON, bytes);
    if (in_place) {
        bool block = call->collective->kind == PERF_ALL_GATHER;
        size_t skip = block ? (size_t)call->rank * shape->count * v->element : 0;

        perf_values_copy(v, v->own, shift_of(iteration), shape->send, recv + skip);
    } else {
        guards_fill(send, shape->send * v->element, iteration);
        perf_values_copy(v, v->own, shift_of(iteration), shape->send, send);
    }
}

/* A buffer that the call must leave alone. */
static size_t untouched_wrong(const struct perf_buffers *b, size_t slot, bool in_place,
                              const struct perf_shape *shape, const struct perf_values *v,
                              size_t shift)
{
    unsigned char *recv = slot_recv(b, slot);

    if (in_place)
        return perf_values_wrong(v, v->own, shift, shape->send, recv);
    return (bytes_other_than(recv, shape->recv * v->element, POISON) + v->element - 1)
         / v->element;
}

static size_t result_wrong(const struct perf_buffers *b, size_t slot, bool in_place,
                           const struct perf_shape *shape, struct perf_values *v, size_t shift,
                           const struct perf_call *call)
{
    unsigned char *data = slot_recv(b, slot);
    size_t wrong = 0, block = (size_t)call->rank * shape->count;
    int previous = (call->rank + call->nranks - 1) % call->nranks;

    switch (call->collective->kind) {
    case PERF_ALL_REDUCE:
        return perf_values_wrong(v, v->expected, shift, shape->recv, data);
    case PERF_ALL_GATHER:
        for (int rank = 0; rank < call->nranks; rank++)
            wrong += perf_values_wrong(v, perf_values_of(v, rank), shift, shape->count,
                                       data + (size_t)rank * shape->count * v->element);
        return wrong;
    case PERF_BROADCAST:
        if (call->rank == call->root)
            return untouched_wrong(b, slot, in_place, shape, v, shift);
        return perf_values_wrong(v, perf_values_of(v, call->root), shift, shape->recv, data);
    case PERF_REDUCE:
        if (call->rank != call->root)
            return untouched_wrong(b, slot, in_place, shape, v, shift);
        return perf_values_wrong(v, v->expected, shift, shape->recv, data);
    case PERF_REDUCE_SCATTER:
        return perf_values_wrong(v, v->expected, shift + block, shape->recv,
                                 data + (in_place ? block * v->element : 0));
    case PERF_SENDRECV:
        return perf_values_wrong(v, perf_values_of(v, previous), shift, shape->recv, data);
    case PERF_BARRIER:
        break;
    }
    return 0;
}

size_t perf_buffers_wrong(const struct perf_buffers *b, size_t slot, bool in_place,
                          const struct perf_shape *shape, struct perf_values *v,
                          size_t iteration, const struct perf_call *call)
{
    size_t shift = shift_of(iteration), wrong;

    wrong = guards_wrong(slot_recv(b, slot), recv_bytes(shape, in_place, v->element), iteration);
    if (!in_place) {
        unsigned char *send = slot_send(b, slot);

        wrong += guards_wrong(send, shape->send * v->element, iteration);
        wrong += perf_values_wrong(v, v->own, shift, shape->send, send);
    }
    return wrong + result_wrong(b, slot, in_place, shape, v, shift, call);
}
