/* SPDX-License-Identifier: BSD-3-Clause */
/* The collectives and messages of peal.h: each describes its call and hands it
 * down; the three forms of each differ only in what is done with it. */
#include "api/check.h"

static int run_checked(const char *function, peal_comm_t comm, const struct coll_call *call)
{
    int status = check_call(function, comm, call);

    return status ? status : coll_run(comm, call);
}

static inline int run(const char *function, peal_comm_t comm, const struct coll_call *call)
{
    int status;

    if (comm && coll_again(comm, call, &status))
        return status;
    return run_checked(function, comm, call);
}

static int make_checked(const char *function, peal_comm_t comm, const struct coll_call *call,
                        bool persistent, peal_request_t *request)
{
    int status = check_call(function, comm, call);

    if (!status)
        status = check_pointer(function, "request", request);
    return status ? status : coll_request(comm, call, persistent, request);
}

static inline int make(const char *function, peal_comm_t comm, const struct coll_call *call,
                       bool persistent, peal_request_t *request)
{
    int status;

    if (call->collective == SENDRECV && !persistent && comm && request &&
        coll_request_again(comm, call, request, &status))
        return status;
    return make_checked(function, comm, call, persistent, request);
}

static struct coll_call allreduce_call(const void *sendbuf, void *recvbuf, size_t count,
                                       peal_datatype_t type, peal_op_t op)
{
    return (struct coll_call){
        .collective = ALLREDUCE, .sendbuf = sendbuf, .recvbuf = recvbuf, .count = count,
        .type = type, .op = op,
    };
}

__attribute__((hot))
int peal_allreduce(const void *sendbuf, void *recvbuf, size_t count, peal_datatype_t type,
                   peal_op_t op, peal_comm_t comm)
{
    struct coll_call call = allreduce_call(sendbuf, recvbuf, count, type, op);

    return run(__func__, comm, &call);
}

int peal_iallreduce(const void *sendbuf, void *recvbuf, size_t count, peal_datatype_t type,
                    peal_op_t op, peal_comm_t comm, peal_request_t *request)
{
    struct coll_call call = allreduce_call(sendbuf, recvbuf, count, type, op);

    return make(__func__, comm, &call, false, request);
}

int peal_allreduce_init(const void *sendbuf, void *recvbuf, size_t count,
                        peal_datatype_t type, peal_op_t op, peal_comm_t comm,
                        peal_request_t *request)
{
    struct coll_call call = allreduce_call(sendbuf, recvbuf, count, type, op);

    return make(__func__, comm, &call, true, request);
}

static struct coll_call allgather_call(const void *sendbuf, void *recvbuf, size_t count,
                                       peal_datatype_t type)
{
    return (struct coll_call){
        .collective = ALLGATHER, .sendbuf = sendbuf, .recvbuf = recvbuf, .count = count,
        .type = type,
    };
}

__attribute__((hot))
int peal_allgather(const void *sendbuf, void *recvbuf, size_t count, peal_datatype_t type,
                   peal_comm_t comm)
{
    struct coll_call call = allgather_call(sendbuf, recvbuf, count, type);

    return run(__func__, comm, &call);
}

int peal_iallgather(const void *sendbuf, void *recvbuf, size_t count, peal_datatype_t type,
                    peal_comm_t comm, peal_request_t *request)
{
    struct coll_call call = allgather_call(sendbuf, recvbuf, count, type);

    return make(__func__, comm, &call, false, request);
}

int peal_allgather_init(const void *sendbuf, void *recvbuf, size_t count,
                        peal_datatype_t type, peal_comm_t comm, peal_request_t *request)
{
    struct coll_call call = allgather_call(sendbuf, recvbuf, count, type);

    return make(__func__, comm, &call, true, request);
}

static struct coll_call bcast_call(void *buffer, size_t count, peal_datatype_t type,
                                   int root)
{
    return (struct coll_call){
        .collective = BCAST, .recvbuf = buffer, .count = count, .type = type, .root = root,
    };
}

__attribute__((hot))
int peal_bcast(void *buffer, size_t count, peal_datatype_t type, int root, peal_comm_t comm)
{
    struct coll_call call = bcast_call(buffer, count, type, root);

    return run(__func__, comm, &call);
}

int peal_ibcast(void *buffer, size_t count, peal_datatype_t type, int root,
                peal_comm_t comm, peal_request_t *request)
{
    struct coll_call call = bcast_call(buffer, count, type, root);

    return make(__func__, comm, &call, false, request);
}

int peal_bcast_init(void *buffer, size_t count, peal_datatype_t type, int root,
                    peal_comm_t comm, peal_request_t *request)
{
    struct coll_call call = bcast_call(buffer, count, type, root);

    return make(__func__, comm, &call, true, request);
}

static struct coll_call reduce_call(const void *sendbuf, void *recvbuf, size_t count,
                                    peal_datatype_t type, peal_op_t op, int root)
{
    return (struct coll_call){
        .collective = REDUCE, .sendbuf = sendbuf, .recvbuf = recvbuf, .count = count,
        .type = type, .op = op, .root = root,
    };
}

__attribute__((hot))
int peal_reduce(const void *sendbuf, void *recvbuf, size_t count, peal_datatype_t type,
                peal_op_t op, int root, peal_comm_t comm)
{
    struct coll_call call = reduce_call(sendbuf, recvbuf, count, type, op, root);

    return run(__func__, comm, &call);
}

int peal_ireduce(const void *sendbuf, void *recvbuf, size_t count, peal_datatype_t type,
                 peal_op_t op, int root, peal_comm_t comm, peal_request_t *request)
{
    struct coll_call call = reduce_call(sendbuf, recvbuf, count, type, op, root);

    return make(__func__, comm, &call, false, request);
}

int peal_reduce_init(const void *sendbuf, void *recvbuf, size_t count, peal_datatype_t type,
                     peal_op_t op, int root, peal_comm_t comm, peal_request_t *request)
{
    struct coll_call call = reduce_call(sendbuf, recvbuf, count, type, op, root);

    return make(__func__, comm, &call, true, request);
}

static struct coll_call reduce_scatter_block_call(const void *sendbuf, void *recvbuf,
                                                  size_t recvcount, peal_datatype_t type,
                                                  peal_op_t op)
{
    return (struct coll_call){
        .collective = REDUCE_SCATTER, .sendbuf = sendbuf, .recvbuf = recvbuf,
        .count = recvcount, .type = type, .op = op,
    };
}

int peal_reduce_scatter_block(const void *sendbuf, void *recvbuf, size_t recvcount,
                              peal_datatype_t type, peal_op_t op, peal_comm_t comm)
{
    struct coll_call call = reduce_scatter_block_call(sendbuf, recvbuf, recvcount, type,
                                                      op);

    return run(__func__, comm, &call);
}

int peal_ireduce_scatter_block(const void *sendbuf, void *recvbuf, size_t recvcount,
                               peal_datatype_t type, peal_op_t op, peal_comm_t comm,
                               peal_request_t *request)
{
    struct coll_call call = reduce_scatter_block_call(sendbuf, recvbuf, recvcount, type,
                                                      op);

    return make(__func__, comm, &call, false, request);
}

int peal_reduce_scatter_block_init(const void *sendbuf, void *recvbuf, size_t recvcount,
                                   peal_datatype_t type, peal_op_t op, peal_comm_t comm,
                                   peal_request_t *request)
{
    struct coll_call call = reduce_scatter_block_call(sendbuf, recvbuf, recvcount, type,
                                                      op);

    return make(__func__, comm, &call, true, request);
}

static struct coll_call reduce_scatter_call(const void *sendbuf, void *recvbuf,
                                            const size_t recvcounts[], peal_datatype_t type,
                                            peal_op_t op)
{
    return (struct coll_call){
        .collective = REDUCE_SCATTER, .sendbuf = sendbuf, .recvbuf = recvbuf,
        .counts = recvcounts, .type = type, .op = op,
    };
}

int peal_reduce_scatter(const void *sendbuf, void *recvbuf, const size_t recvcounts[],
                        peal_datatype_t type, peal_op_t op, peal_comm_t comm)
{
    struct coll_call call = reduce_scatter_call(sendbuf, recvbuf, recvcounts, type, op);
    int status = check_pointer(__func__, "recvcounts", recvcounts);

    return status ? status : run(__func__, comm, &call);
}

int peal_ireduce_scatter(const void *sendbuf, void *recvbuf, const size_t recvcounts[],
                         peal_datatype_t type, peal_op_t op, peal_comm_t comm,
                         peal_request_t *request)
{
    struct coll_call call = reduce_scatter_call(sendbuf, recvbuf, recvcounts, type, op);
    int status = check_pointer(__func__, "recvcounts", recvcounts);

    return status ? status : make(__func__, comm, &call, false, request);
}

int peal_reduce_scatter_init(const void *sendbuf, void *recvbuf, const size_t recvcounts[],
                             peal_datatype_t type, peal_op_t op, peal_comm_t comm,
                             peal_request_t *request)
{
    struct coll_call call = reduce_scatter_call(sendbuf, recvbuf, recvcounts, type, op);
    int status = check_pointer(__func__, "recvcounts", recvcounts);

    return status ? status : make(__func__, comm, &call, true, request);
}

static struct coll_call barrier_call(void)
{
    return (struct coll_call){
        .collective = BARRIER,
    };
}

__attribute__((hot))
int peal_barrier(peal_comm_t comm)
{
    struct coll_call call = barrier_call();

    return run(__func__, comm, &call);
}

int peal_ibarrier(peal_comm_t comm, peal_request_t *request)
{
    struct coll_call call = barrier_call();

    return make(__func__, comm, &call, false, request);
}

int peal_barrier_init(peal_comm_t comm, peal_request_t *request)
{
    struct coll_call call = barrier_call();

    return make(__func__, comm, &call, true, request);
}

static struct coll_call send_call(const void *buffer, size_t count, peal_datatype_t type,
                                  int dest)
{
    return (struct coll_call){
        .collective = SENDRECV, .sendbuf = buffer, .count = count, .type = type,
        .dest = dest, .source = PEAL_RANK_NULL,
    };
}

__attribute__((hot))
int peal_send(const void *buffer, size_t count, peal_datatype_t type, int dest,
              peal_comm_t comm)
{
    struct coll_call call = send_call(buffer, count, type, dest);

    return run(__func__, comm, &call);
}

__attribute__((hot))
int peal_isend(const void *buffer, size_t count, peal_datatype_t type, int dest,
               peal_comm_t comm, peal_request_t *request)
{
    struct coll_call call = send_call(buffer, count, type, dest);

    return make(__func__, comm, &call, false, request);
}

int peal_send_init(const void *buffer, size_t count, peal_datatype_t type, int dest,
                   peal_comm_t comm, peal_request_t *request)
{
    struct coll_call call = send_call(buffer, count, type, dest);

    return make(__func__, comm, &call, true, request);
}

static struct coll_call recv_call(void *buffer, size_t count, peal_datatype_t type,
                                  int source)
{
    return (struct coll_call){
        .collective = SENDRECV, .recvbuf = buffer, .recvcount = count, .type = type,
        .dest = PEAL_RANK_NULL, .source = source,
    };
}

__attribute__((hot))
int peal_recv(void *buffer, size_t count, peal_datatype_t type, int source,
              peal_comm_t comm)
{
    struct coll_call call = recv_call(buffer, count, type, source);

    return run(__func__, comm, &call);
}

__attribute__((hot))
int peal_irecv(void *buffer, size_t count, peal_datatype_t type, int source,
               peal_comm_t comm, peal_request_t *request)
{
    struct coll_call call = recv_call(buffer, count, type, source);

    return make(__func__, comm, &call, false, request);
}

int peal_recv_init(void *buffer, size_t count, peal_datatype_t type, int source,
                   peal_comm_t comm, peal_request_t *request)
{
    struct coll_call call = recv_call(buffer, count, type, source);

    return make(__func__, comm, &call, true, request);
}

static struct coll_call sendrecv_call(const void *sendbuf, size_t sendcount, int dest,
                                      void *recvbuf, size_t recvcount, int source,
                                      peal_datatype_t type)
{
    return (struct coll_call){
        .collective = SENDRECV, .sendbuf = sendbuf, .recvbuf = recvbuf, .count = sendcount,
        .recvcount = recvcount, .type = type, .dest = dest, .source = source,
    };
}

__attribute__((hot))
int peal_sendrecv(const void *sendbuf, size_t sendcount, int dest, void *recvbuf,
                  size_t recvcount, int source, peal_datatype_t type, peal_comm_t comm)
{
    struct coll_call call = sendrecv_call(sendbuf, sendcount, dest, recvbuf, recvcount,
                                          source, type);

    return run(__func__, comm, &call);
}

int peal_isendrecv(const void *sendbuf, size_t sendcount, int dest, void *recvbuf,
                   size_t recvcount, int source, peal_datatype_t type, peal_comm_t comm,
                   peal_request_t *request)
{
    struct coll_call call = sendrecv_call(sendbuf, sendcount, dest, recvbuf, recvcount,
                                          source, type);

    return make(__func__, comm, &call, false, request);
}

int peal_sendrecv_init(const void *sendbuf, size_t sendcount, int dest, void *recvbuf,
                       size_t recvcount, int source, peal_datatype_t type, peal_comm_t comm,
                       peal_request_t *request)
{
    struct coll_call call = sendrecv_call(sendbuf, sendcount, dest, recvbuf, recvcount,
                                          source, type);

    return make(__func__, comm, &call, true, request);
}
