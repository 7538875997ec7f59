/* SPDX-License-Identifier: BSD-3-Clause */
#include "api/check.h"

int check_comm(const char *function, peal_comm_t comm)
{
    if (!comm)
        return status_fail(PEAL_ERR_ARGUMENT, "%s: the communicator is PEAL_COMM_NULL", function);
    return PEAL_OK;
}

int check_pointer(const char *function, const char *name, const void *pointer)
{
    if (!pointer)
        return status_fail(PEAL_ERR_ARGUMENT, "%s: %s is NULL", function, name);
    return PEAL_OK;
}

static int check_rank(const char *function, const char *name, int rank, int nranks, bool null)
{
    if ((null && rank == PEAL_RANK_NULL) || (rank >= 0 && rank < nranks))
        return PEAL_OK;
    return status_fail(PEAL_ERR_ARGUMENT, "%s: %s is %d; the communicator has ranks 0 to %d",
                       function, name, rank, nranks - 1);
}

/* Elements x blocks x bytes must be a size_t. */
static int check_count(const char *function, const char *name, size_t count, size_t blocks,
                       size_t size)
{
    size_t bytes;

    if (!__builtin_mul_overflow(count, size, &bytes) &&
        !__builtin_mul_overflow(bytes, blocks, &bytes) && bytes <= SIZE_MAX / 4)
        return PEAL_OK;
    return status_fail(PEAL_ERR_ARGUMENT, "%s: %s of %zu elements is more than memory can hold",
                       function, name, count);
}

static int check_buffer(const char *function, const char *name, const void *buffer,
                        size_t count, bool in_place_allowed)
{
    if (buffer == PEAL_IN_PLACE && !in_place_allowed)
        return status_fail(PEAL_ERR_ARGUMENT, "%s: %s may not be PEAL_IN_PLACE here", function,
                           name);
    if (!buffer && count)
        return status_fail(PEAL_ERR_ARGUMENT, "%s: %s is NULL but the count is %zu", function,
                           name, count);
    return PEAL_OK;
}

static int check_blocks(const char *function, const struct coll_call *c, int nranks,
                        size_t size, size_t *elements)
{
    size_t total = 0;

    for (int i = 0; i < nranks; i++)
        if (__builtin_add_overflow(total, c->counts[i], &total))
            return status_fail(PEAL_ERR_ARGUMENT, "%s: the sum of recvcounts overflows", function);
    *elements = total;
    return check_count(function, "the sum of recvcounts", total, 1, size);
}

static int check_messages(const char *function, const struct coll_call *c, int nranks,
                          size_t size)
{
    int status;

    if ((status = check_rank(function, "dest", c->dest, nranks, true)) ||
        (status = check_rank(function, "source", c->source, nranks, true)) ||
        (status = check_count(function, "the message sent", c->count, 1, size)) ||
        (status = check_count(function, "the message received", c->recvcount, 1, size)))
        return status;
    if (c->dest >= 0 && (status = check_buffer(function, "sendbuf", c->sendbuf, c->count, false)))
        return status;
    if (c->source >= 0)
        return check_buffer(function, "recvbuf", c->recvbuf, c->recvcount, false);
    return PEAL_OK;
}

/* Counts and buffers of a collective; type and root have been checked. */
static int check_buffers(const char *function, peal_comm_t comm, const struct coll_call *c,
                         size_t size)
{
    bool wants_out = c->collective != REDUCE || comm->rank == c->root;
    bool wants_in = c->collective != BCAST;
    size_t blocks = 1, elements = c->count;
    int status;

    if (c->collective == ALLGATHER || c->collective == REDUCE_SCATTER)
        blocks = (size_t)comm->nranks;
    if (c->counts)
        status = check_blocks(function, c, comm->nranks, size, &elements);
    else
        status = check_count(function, "the count", c->count, blocks, size);
    if (status)
        return status;
    if (wants_in && (status = check_buffer(function, "sendbuf", c->sendbuf, elements, wants_out)))
        return status;
    if (wants_out)
        return check_buffer(function, c->collective == BCAST ? "buffer" : "recvbuf", c->recvbuf,
                            c->counts ? c->counts[comm->rank] : c->count, false);
    return PEAL_OK;
}

int check_call(const char *function, peal_comm_t comm, const struct coll_call *c)
{
    size_t size = datatype_size((int)c->type);
    int status = check_comm(function, comm);

    if (status || c->collective == BARRIER)
        return status;
    if (size == 0)
        return status_fail(PEAL_ERR_ARGUMENT, "%s: %d is not a datatype", function, (int)c->type);
    if (c->collective == SENDRECV)
        return check_messages(function, c, comm->nranks, size);
    if ((c->collective == BCAST || c->collective == REDUCE) &&
        (status = check_rank(function, "root", c->root, comm->nranks, false)))
        return status;
    return check_buffers(function, comm, c, size);
}
