/* SPDX-License-Identifier: BSD-3-Clause */
/* Peal: collective communication for multi-GPU training.
 *
 * Every function returns PEAL_OK (0) or a negative status, unless its comment
 * says otherwise.  After a failure peal_last_error() says, for the calling
 * thread, what failed, on which rank and host, why, and what to try.  Outputs
 * are set only on success.
 *
 * Ranks are processes or threads.  One communicator is used by one thread at a
 * time; different communicators may be used by different threads at once.
 * Collectives on a communicator must be started in the same order on all its
 * ranks, as in MPI.  Ranks that disagree about a call get PEAL_ERR_MISMATCH,
 * never a success with wrong data.  A rank whose part of the call needs nothing
 * from the others (the root of a bcast; all but the root of a reduce) gets it
 * from a later call, unless PEAL_STRICT=1.  Every call has a deadline.  A call moves
 * the operations of the communicators that it is given, not those of others:
 * wait for requests of several communicators with one peal_waitall.  With
 * PEAL_PROGRESS=1 a thread moves nonblocking operations between calls.
 *
 * A communicator on which a call failed for another reason than its arguments
 * is broken: later calls on it return the same status.  Free it. */
#ifndef PEAL_H
#define PEAL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PEAL_VERSION_MAJOR 0
#define PEAL_VERSION_MINOR 1
#define PEAL_VERSION_PATCH 0

/* ---- Status ---------------------------------------------------------- */

/*          name            value  text */
#define PEAL_STATUS_LIST(X)                                                      \
    X(PEAL_OK,                  0, "success")                                    \
    X(PEAL_ERR_ARGUMENT,       -1, "an argument is not valid")                   \
    X(PEAL_ERR_MEMORY,         -2, "out of memory")                              \
    X(PEAL_ERR_SYSTEM,         -3, "a system call failed")                       \
    X(PEAL_ERR_TIMEOUT,        -4, "the deadline passed")                        \
    X(PEAL_ERR_PEER,           -5, "a peer died or its connection was lost")     \
    X(PEAL_ERR_MISMATCH,       -6, "ranks made different calls")                 \
    X(PEAL_ERR_ABORTED,        -7, "a rank aborted the communicator")            \
    X(PEAL_ERR_UNSUPPORTED,    -8, "not supported by this build or machine")     \
    X(PEAL_ERR_LAUNCH,         -9, "cannot tell which rank this process is")     \
    X(PEAL_ERR_AUTH,          -10, "a peer could not prove the job's secret")    \
    X(PEAL_ERR_PROTOCOL,      -11, "a peer broke the wire protocol")             \
    X(PEAL_ERR_STATE,         -12, "the object is not in a state for this call") \
    X(PEAL_ERR_USER,          -13, "a user-defined function failed")

enum peal_status {
#define PEAL_STATUS_ENTRY(name, value, text) name = value,
    PEAL_STATUS_LIST(PEAL_STATUS_ENTRY)
#undef PEAL_STATUS_ENTRY
    PEAL_STATUS_LAST = PEAL_ERR_USER
};

/* A short constant text for a status; never NULL, also for unknown values. */
const char *peal_strerror(int status);

/* What the calling thread's latest failed call found: what, who, where, why
 * and what to try, in one or a few lines.  Empty before the first failure.
 * Owned by Peal, valid until the thread's next failing call. */
const char *peal_last_error(void);

/* The library's version; each pointer may be NULL. */
int peal_version(int *major, int *minor, int *patch);

/* ---- Types and operations -------------------------------------------- */

/*                name               bytes  text */
#define PEAL_DATATYPE_LIST(X)                        \
    X(PEAL_INT8,             0, 1, "int8")           \
    X(PEAL_UINT8,            1, 1, "uint8")          \
    X(PEAL_INT16,            2, 2, "int16")          \
    X(PEAL_UINT16,           3, 2, "uint16")         \
    X(PEAL_INT32,            4, 4, "int32")          \
    X(PEAL_UINT32,           5, 4, "uint32")         \
    X(PEAL_INT64,            6, 8, "int64")          \
    X(PEAL_UINT64,           7, 8, "uint64")         \
    X(PEAL_FLOAT16,          8, 2, "float16")        \
    X(PEAL_BFLOAT16,         9, 2, "bfloat16")       \
    X(PEAL_FLOAT32,         10, 4, "float32")        \
    X(PEAL_FLOAT64,         11, 8, "float64")        \
    X(PEAL_FLOAT8_E4M3,     12, 1, "float8_e4m3")    \
    X(PEAL_FLOAT8_E5M2,     13, 1, "float8_e5m2")

typedef enum peal_datatype {
#define PEAL_DATATYPE_ENTRY(name, value, bytes, text) name = value,
    PEAL_DATATYPE_LIST(PEAL_DATATYPE_ENTRY)
#undef PEAL_DATATYPE_ENTRY
    PEAL_DATATYPES = 14
} peal_datatype_t;

/* float8_e4m3 is the OCP "E4M3" without infinities (largest finite 448, a sum
 * beyond it saturates); float8_e5m2 follows IEEE rules.  16-bit and 8-bit
 * floats are combined in float32 and rounded to nearest even once per
 * reduction step.  min and max propagate NaN and order -0 before +0.
 * PEAL_AVG divides the sum by the number of ranks: integers round towards
 * zero; 16-bit and 8-bit floats are divided before they are summed, so that
 * the sum cannot overflow. */
typedef int peal_op_t;
enum {
    PEAL_SUM, PEAL_PROD, PEAL_MIN, PEAL_MAX, PEAL_AVG,
    PEAL_BAND, PEAL_BOR, PEAL_BXOR,      /* bitwise; integers only */
    PEAL_LAND, PEAL_LOR, PEAL_LXOR,      /* logical: result 0 or 1; integers only */
    PEAL_OPS                             /* larger values: peal_op_create... */
};

/* Bytes of one element, or 0 for an unknown type. */
size_t peal_datatype_size(peal_datatype_t type);

/* "float32" and so on; NULL for an unknown type. */
const char *peal_datatype_name(peal_datatype_t type);

/* "sum" and so on; "user" for a created one; NULL for an unknown operation. */
const char *peal_op_name(peal_op_t op);

/* Combines `count` elements: inout[i] = in[i] (op) inout[i], where `in` comes
 * from lower ranks than `inout`.  The two do not overlap.  Returns 0, or
 * anything else to fail the collective with PEAL_ERR_USER. */
typedef int (*peal_user_function_t)(const void *in, void *inout, size_t count,
                                    peal_datatype_t type, void *context);

/* Make a reduction operation from a function.  `commutative` not 0 promises
 * that operands may be exchanged; associativity is assumed.  Ranks that reduce
 * with it must mean the same operation.  `context` is handed to the
 * function and stays the caller's. */
int peal_op_create(peal_user_function_t function, int commutative, void *context,
                   peal_op_t *op);

/* Make the operation "sum of scalar x input": each rank's input is multiplied
 * by its own *scalar (one element of `type`, read now) before it is summed.
 * For float16, float32 and so on; integers are allowed and wrap. */
int peal_op_create_premul_sum(const void *scalar, peal_datatype_t type, peal_op_t *op);

/* Destroy an operation from peal_op_create...; not while a request uses it. */
int peal_op_free(peal_op_t op);

/* ---- Communicators --------------------------------------------------- */

typedef struct peal_comm    *peal_comm_t;
typedef struct peal_request *peal_request_t;

#define PEAL_COMM_NULL    ((peal_comm_t)0)
#define PEAL_REQUEST_NULL ((peal_request_t)0)
#define PEAL_IN_PLACE     ((void *)(intptr_t)-1)
#define PEAL_RANK_NULL    (-1)     /* as a peer: no communication */
#define PEAL_UNDEFINED    (-1)     /* as a color: no communicator */

/* What a job's ranks need to find each other: the root's address and the
 * job's secret.  Treat it as a password.  Copy it to all ranks as bytes. */
typedef struct peal_unique_id { uint8_t bytes[256]; } peal_unique_id_t;

/* Options.  Start from PEAL_CONFIG_INIT; a zero or NULL field means "the
 * setting, else the default".  Strings are copied. */
typedef struct peal_config {
    size_t      size;            /* sizeof(peal_config_t); set by PEAL_CONFIG_INIT */
    double      timeout;         /* seconds until a call fails; PEAL_TIMEOUT, 1800 */
    double      init_timeout;    /* seconds for the ranks to meet; PEAL_INIT_TIMEOUT, 300 */
    const char *transports;      /* allowed, best first: "self,shm,tcp"; PEAL_TRANSPORTS */
    const char *algorithms;      /* "allreduce:ring,bcast:chain"; PEAL_ALGORITHMS */
    int         reproducible;    /* 1: same bits whatever the algorithm, transport
                                  * and placement; PEAL_REPRODUCIBLE */
} peal_config_t;
#define PEAL_CONFIG_INIT { sizeof(peal_config_t), 0, 0, NULL, NULL, 0 }

/* Join the job that a launcher describes in the environment (README, "How
 * ranks find each other") and make the communicator of all its ranks.
 * Without a launcher: a communicator of one rank.  Collective over the job.
 * `config` may be NULL.  Errors: PEAL_ERR_LAUNCH with a list of what was
 * looked for; PEAL_ERR_TIMEOUT naming the ranks that did not come;
 * PEAL_ERR_AUTH. */
int peal_init(const peal_config_t *config, peal_comm_t *world);

/* Make an id for a new job, listening for its ranks from now on.  Call it in
 * the process that will be rank 0 and hand the id to the others. */
int peal_get_unique_id(peal_unique_id_t *id);

/* Make a communicator from explicit facts; collective over the `nranks` ranks
 * that hold `id`.  An id makes one communicator. */
int peal_comm_create(const peal_unique_id_t *id, int rank, int nranks,
                     const peal_config_t *config, peal_comm_t *comm);

/* Divide a communicator: ranks of equal `color` (>= 0) form one, ordered by
 * (`key`, old rank).  PEAL_UNDEFINED gives PEAL_COMM_NULL.  Collective. */
int peal_comm_split(peal_comm_t comm, int color, int key, peal_comm_t *newcomm);

/* A communicator of the same ranks with traffic of its own.  Collective. */
int peal_comm_dup(peal_comm_t comm, peal_comm_t *newcomm);

/* Release a communicator and set *comm to PEAL_COMM_NULL.  Collective: it waits
 * (bounded by the deadline) for the other ranks of a healthy communicator, so
 * that nobody's last messages are lost.  On a broken one it returns within a second.
 * Collectives that are still active are first completed; messages that are still
 * active are cancelled.  Requests stay valid until they are waited for or freed:
 * peal_wait gives PEAL_ERR_STATE for a cancelled one, whose buffers are not
 * touched any more, and peal_start for all. */
int peal_comm_free(peal_comm_t *comm);

/* End all communication on all ranks of `comm`: their calls return
 * PEAL_ERR_ABORTED with `reason` (may be NULL) and this rank's name.  Local;
 * may be called by any thread.  Free the communicator afterwards. */
int peal_comm_abort(peal_comm_t comm, const char *reason);

int peal_comm_rank(peal_comm_t comm, int *rank);
int peal_comm_size(peal_comm_t comm, int *size);

/* Seconds until calls started from now on fail with PEAL_ERR_TIMEOUT. */
int peal_comm_set_timeout(peal_comm_t comm, double seconds);

/* ---- Collectives ----------------------------------------------------- *
 *
 * Counts are elements, sizes of 0 are allowed.  Send and receive buffers must
 * not overlap, except as said under "in place".  Each has three forms:
 *
 *   peal_x(..., comm)                 returns when this rank's part is done
 *   peal_ix(..., comm, &request)      returns at once; peal_wait or peal_test
 *                                     completes and frees the request
 *   peal_x_init(..., comm, &request)  prepares; peal_start runs it as often as
 *                                     wanted, peal_request_free frees it
 *
 * Buffers of a request belong to Peal until it completes. */

/* recvbuf[i] on every rank = sendbuf[i] of all ranks combined by op.  Both hold
 * `count` elements.  In place: sendbuf PEAL_IN_PLACE, or equal to recvbuf. */
int peal_allreduce(const void *sendbuf, void *recvbuf, size_t count,
                   peal_datatype_t type, peal_op_t op, peal_comm_t comm);
int peal_iallreduce(const void *sendbuf, void *recvbuf, size_t count,
                    peal_datatype_t type, peal_op_t op, peal_comm_t comm,
                    peal_request_t *request);
int peal_allreduce_init(const void *sendbuf, void *recvbuf, size_t count,
                        peal_datatype_t type, peal_op_t op, peal_comm_t comm,
                        peal_request_t *request);

/* recvbuf, n x count elements, = the `count` elements of sendbuf of rank 0, 1,
 * ..., n-1 one after the other.  In place: sendbuf PEAL_IN_PLACE or equal to
 * recvbuf + rank x count: the input lies at its place in recvbuf. */
int peal_allgather(const void *sendbuf, void *recvbuf, size_t count,
                   peal_datatype_t type, peal_comm_t comm);
int peal_iallgather(const void *sendbuf, void *recvbuf, size_t count,
                    peal_datatype_t type, peal_comm_t comm, peal_request_t *request);
int peal_allgather_init(const void *sendbuf, void *recvbuf, size_t count,
                        peal_datatype_t type, peal_comm_t comm, peal_request_t *request);

/* buffer on every rank = the `count` elements of buffer on `root`. */
int peal_bcast(void *buffer, size_t count, peal_datatype_t type, int root,
               peal_comm_t comm);
int peal_ibcast(void *buffer, size_t count, peal_datatype_t type, int root,
                peal_comm_t comm, peal_request_t *request);
int peal_bcast_init(void *buffer, size_t count, peal_datatype_t type, int root,
                    peal_comm_t comm, peal_request_t *request);

/* recvbuf on `root` = sendbuf of all ranks combined; elsewhere recvbuf is not
 * used and may be NULL.  In place, on root: sendbuf PEAL_IN_PLACE or equal to
 * recvbuf. */
int peal_reduce(const void *sendbuf, void *recvbuf, size_t count,
                peal_datatype_t type, peal_op_t op, int root, peal_comm_t comm);
int peal_ireduce(const void *sendbuf, void *recvbuf, size_t count,
                 peal_datatype_t type, peal_op_t op, int root, peal_comm_t comm,
                 peal_request_t *request);
int peal_reduce_init(const void *sendbuf, void *recvbuf, size_t count,
                     peal_datatype_t type, peal_op_t op, int root, peal_comm_t comm,
                     peal_request_t *request);

/* sendbuf holds n blocks of recvcount elements; recvbuf, recvcount elements, =
 * block `rank` of all ranks combined.  In place: sendbuf PEAL_IN_PLACE, then
 * recvbuf holds the n blocks and receives the result at its start; or recvbuf
 * equal to sendbuf + rank x recvcount. */
int peal_reduce_scatter_block(const void *sendbuf, void *recvbuf, size_t recvcount,
                              peal_datatype_t type, peal_op_t op, peal_comm_t comm);
int peal_ireduce_scatter_block(const void *sendbuf, void *recvbuf, size_t recvcount,
                               peal_datatype_t type, peal_op_t op, peal_comm_t comm,
                               peal_request_t *request);
int peal_reduce_scatter_block_init(const void *sendbuf, void *recvbuf, size_t recvcount,
                                   peal_datatype_t type, peal_op_t op, peal_comm_t comm,
                                   peal_request_t *request);

/* The same with blocks of recvcounts[0], ..., recvcounts[n-1] elements, equal
 * on all ranks.  recvcounts is read during the call only. */
int peal_reduce_scatter(const void *sendbuf, void *recvbuf, const size_t recvcounts[],
                        peal_datatype_t type, peal_op_t op, peal_comm_t comm);
int peal_ireduce_scatter(const void *sendbuf, void *recvbuf, const size_t recvcounts[],
                         peal_datatype_t type, peal_op_t op, peal_comm_t comm,
                         peal_request_t *request);
int peal_reduce_scatter_init(const void *sendbuf, void *recvbuf, const size_t recvcounts[],
                             peal_datatype_t type, peal_op_t op, peal_comm_t comm,
                             peal_request_t *request);

/* Returns after every rank has called it. */
int peal_barrier(peal_comm_t comm);
int peal_ibarrier(peal_comm_t comm, peal_request_t *request);
int peal_barrier_init(peal_comm_t comm, peal_request_t *request);

/* ---- Point to point -------------------------------------------------- *
 *
 * The n-th send of a rank to a peer meets the peer's n-th receive from it,
 * whatever collectives run beside; count and type must agree.  The receiver
 * finds out if they do not: a short send that has returned by then cannot fail
 * any more, the sender's next call does.  A peer of
 * PEAL_RANK_NULL does nothing; the own rank is allowed. */
int peal_send(const void *buffer, size_t count, peal_datatype_t type, int dest,
              peal_comm_t comm);
int peal_isend(const void *buffer, size_t count, peal_datatype_t type, int dest,
               peal_comm_t comm, peal_request_t *request);
int peal_send_init(const void *buffer, size_t count, peal_datatype_t type, int dest,
                   peal_comm_t comm, peal_request_t *request);
int peal_recv(void *buffer, size_t count, peal_datatype_t type, int source,
              peal_comm_t comm);
int peal_irecv(void *buffer, size_t count, peal_datatype_t type, int source,
               peal_comm_t comm, peal_request_t *request);
int peal_recv_init(void *buffer, size_t count, peal_datatype_t type, int source,
                   peal_comm_t comm, peal_request_t *request);

/* Send and receive at once; the two buffers must not overlap. */
int peal_sendrecv(const void *sendbuf, size_t sendcount, int dest,
                  void *recvbuf, size_t recvcount, int source,
                  peal_datatype_t type, peal_comm_t comm);
int peal_isendrecv(const void *sendbuf, size_t sendcount, int dest,
                   void *recvbuf, size_t recvcount, int source,
                   peal_datatype_t type, peal_comm_t comm, peal_request_t *request);
int peal_sendrecv_init(const void *sendbuf, size_t sendcount, int dest,
                       void *recvbuf, size_t recvcount, int source,
                       peal_datatype_t type, peal_comm_t comm, peal_request_t *request);

/* ---- Requests -------------------------------------------------------- *
 *
 * Completing a nonblocking request frees it and sets the handle to
 * PEAL_REQUEST_NULL; a persistent one becomes inactive and stays.  A null or
 * inactive request counts as complete.  The status is that of the operation. */
int peal_start(peal_request_t *request);
int peal_test(peal_request_t *request, int *done);
int peal_wait(peal_request_t *request);
/* All of them; the first failure's status, after every request has ended. */
int peal_waitall(int count, peal_request_t requests[]);
/* One of them; *index is PEAL_UNDEFINED if none is active. */
int peal_waitany(int count, peal_request_t requests[], int *index);
/* Frees an inactive persistent request; PEAL_ERR_STATE if it is active. */
int peal_request_free(peal_request_t *request);

/* ---- Memory ---------------------------------------------------------- */

/* Host memory that ranks on the same host can map, so that large transfers
 * need no copy through a third place.  Zeroed, page-aligned.  Ordinary memory
 * works everywhere too.  Free it after the last request that uses it. */
int peal_mem_alloc(size_t bytes, void **memory);
int peal_mem_free(void *memory);

/* ---- Asking Peal about itself ---------------------------------------- */

/* A report as text, or as JSON if `json` is not 0.  Topics:
 *   "version" "build" "transports" "devices" "launch" "settings" "algorithms"
 *   "draw COLLECTIVE ALGORITHM RANKS [COUNT]"   a schedule, all ranks
 *   "explain COLLECTIVE BYTES RANKS"            what would be chosen, and why
 * RANKS may be HOSTSxRANKS: "4x8" are 4 hosts of 8 ranks each.
 *   "topology [SOURCE]"       a machine: distances, tree, what is odd about it
 *   "rings [SOURCE]"          the rings and trees that use all of its bandwidth
 *   "topology-svg [SOURCE]"   its picture with the rings; an SVG document
 *   "topology-nccl [SOURCE]"  it as XML for NCCL_TOPO_FILE
 *   "topology-own [SOURCE]"   it in Peal's own format, which keeps everything
 * SOURCE, all that follows, is a file (NCCL's or hwloc's XML, nvidia-smi topo -m, Peal's
 * own) or a description such as "socket:2 gpu:8 nvswitch"; without it: this machine.
 * *report is malloc'ed; the caller frees it. */
int peal_describe(const char *topic, int json, char **report);

#ifdef __cplusplus
}
#endif
#endif
