/* SPDX-License-Identifier: BSD-3-Clause */
/* Nonblocking and persistent operations and messages: many at once, completed
 * in any order, started again and again, misused, cancelled. */
#include "ranks.h"
#include "samples.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 1000 };

static const struct sample *words(void)
{
    static const struct sample sample = { PEAL_UINT32, -1, 0, 77 };

    return &sample;
}

/* Message `tag` of `count` words from a rank, and whether it is what came. */
static void message_make(int from, size_t tag, size_t count, uint32_t *out)
{
    sample_input(words(), from, tag * 100003, count, out);
}

static bool message_is(struct rank *me, int from, size_t tag, size_t count, const uint32_t *got)
{
    uint32_t *wanted = malloc(count * sizeof *wanted + 1);
    bool good;

    message_make(from, tag, count, wanted);
    good = memcmp(wanted, got, count * sizeof *wanted) == 0;
    free(wanted);
    return rank_check(me, good, "message %zu of %zu words from rank %d is wrong", tag, count, from);
}

static int next(const struct rank *me)
{
    return (me->rank + 1) % me->nranks;
}

static int previous(const struct rank *me)
{
    return (me->rank + me->nranks - 1) % me->nranks;
}

/* ---- Several at once ---------------------------------------------------------- */

static void began(struct rank *me, int status)
{
    rank_status(me, status, PEAL_OK, "starting");
}

static void overlap(struct rank *me, peal_comm_t comm)
{
    enum { N = 6, COUNT = 5000 };
    static _Thread_local uint32_t in[N][COUNT], out[N][COUNT * 8], got[COUNT], sent[COUNT];
    peal_request_t r[N + 2];
    uint32_t wanted[COUNT];
    struct sample sum = { PEAL_UINT32, PEAL_SUM, me->nranks, 0 };

    rank_doing(me, "overlapping collectives and messages");
    message_make(me->rank, 1, COUNT, sent);
    for (int i = 0; i < N; i++) {
        sum.seed = (uint64_t)i;
        sample_input(&sum, me->rank, 0, COUNT, in[i]);
    }
    began(me, peal_iallreduce(in[0], out[0], COUNT, PEAL_UINT32, PEAL_SUM, comm, &r[0]));
    began(me, peal_irecv(got, COUNT, PEAL_UINT32, previous(me), comm, &r[6]));
    began(me, peal_iallgather(in[1], out[1], COUNT, PEAL_UINT32, comm, &r[1]));
    began(me, peal_ibarrier(comm, &r[2]));
    began(me, peal_ireduce(in[3], out[3], COUNT, PEAL_UINT32, PEAL_SUM, 0, comm, &r[3]));
    began(me, peal_isend(sent, COUNT, PEAL_UINT32, next(me), comm, &r[7]));
    began(me, peal_ibcast(in[4], COUNT, PEAL_UINT32, me->nranks - 1, comm, &r[4]));
    began(me, peal_iallreduce(in[5], out[5], COUNT, PEAL_UINT32, PEAL_SUM, comm, &r[5]));
    for (int i = N + 1; i >= 0; i--)       /* last started, first awaited */
        rank_status(me, peal_wait(&r[i]), PEAL_OK, "peal_wait");
    for (int i = 0; i < N; i += 5) {
        sum.seed = (uint64_t)i;
        sample_combined(&sum, 0, COUNT, wanted);
        rank_check(me, !memcmp(wanted, out[i], sizeof wanted), "allreduce %d is wrong", i);
    }
    sum.seed = 3;
    sample_combined(&sum, 0, COUNT, wanted);
    rank_check(me, me->rank || !memcmp(wanted, out[3], sizeof wanted), "reduce is wrong");
    sum.seed = 4;
    sample_input(&sum, me->nranks - 1, 0, COUNT, wanted);
    rank_check(me, !memcmp(wanted, in[4], sizeof wanted), "bcast is wrong");
    message_is(me, previous(me), 1, COUNT, got);
}

static size_t size_of_message(int i)
{
    return i % 100 == 99 ? 50000 : (size_t)(i * 7 % 300);
}

/* Sends first, so that most messages come before anybody asks for them. */
static void many(struct rank *me, peal_comm_t comm)
{
    peal_request_t *r = calloc(2 * MANY, sizeof *r);
    uint32_t **in = calloc(MANY, sizeof *in), **out = calloc(MANY, sizeof *out);
    uint64_t random = (uint64_t)me->rank;
    int index, left = 0;

    rank_doing(me, "%d messages in flight each way", MANY);
    for (int i = 0; i < MANY; i++) {
        size_t count = size_of_message(i);

        out[i] = malloc(count * sizeof(uint32_t) + 1);
        in[i] = calloc(count + 1, sizeof(uint32_t));
        message_make(me->rank, (size_t)i, count, out[i]);
        rank_status(me, peal_isend(out[i], count, PEAL_UINT32, next(me), comm, &r[i]), 0, "isend");
    }
    for (int i = 0; i < MANY; i++)
        rank_status(me, peal_irecv(in[i], size_of_message(i), PEAL_UINT32, previous(me), comm,
                                   &r[MANY + i]), PEAL_OK, "irecv");
    for (int i = 0; i < MANY / 2; i++) {   /* some in random order */
        int which = (int)ranks_below(&random, 2 * MANY);

        rank_status(me, peal_wait(&r[which]), PEAL_OK, "peal_wait");
    }
    for (int i = 0; i < 50; i++)           /* some as they come */
        if (rank_status(me, peal_waitany(2 * MANY, r, &index), PEAL_OK, "peal_waitany"))
            rank_check(me, index >= 0 && index < 2 * MANY && r[index] == PEAL_REQUEST_NULL,
                       "peal_waitany gave index %d", index);
    rank_status(me, peal_waitall(2 * MANY, r), PEAL_OK, "peal_waitall");
    for (int i = 0; i < 2 * MANY; i++)
        left += r[i] != PEAL_REQUEST_NULL;
    rank_check(me, left == 0, "%d handles were not nulled", left);
    for (int i = 0; i < MANY; i++) {
        message_is(me, previous(me), (size_t)i, size_of_message(i), in[i]);
        free(in[i]);
        free(out[i]);
    }
    free(in);
    free(out);
    free(r);
}

/* A message that was sent later, by another rank, ends first. */
static void out_of_order(struct rank *me, peal_comm_t comm)
{
    uint32_t late[40], early[40];
    peal_request_t r[2] = { PEAL_REQUEST_NULL, PEAL_REQUEST_NULL };
    int index = 7, done = 7;

    rank_doing(me, "completion out of order");
    if (me->nranks < 3)
        return;
    if (me->rank == 0) {
        peal_irecv(late, 40, PEAL_UINT32, 1, comm, &r[0]);
        peal_irecv(early, 40, PEAL_UINT32, 2, comm, &r[1]);
        rank_status(me, peal_waitany(2, r, &index), PEAL_OK, "peal_waitany");
        rank_check(me, index == 1, "index is %d instead of 1", index);
        message_is(me, 2, 2, 40, early);
        rank_status(me, peal_test(&r[0], &done), PEAL_OK, "peal_test");
        rank_check(me, done == 0 && r[0], "a message that was not sent is done");
    }
    if (me->rank == 2) {
        message_make(2, 2, 40, early);
        rank_status(me, peal_send(early, 40, PEAL_UINT32, 0, comm), PEAL_OK, "peal_send");
    }
    rank_meet(me);
    if (me->rank == 1) {
        message_make(1, 1, 40, late);
        rank_status(me, peal_send(late, 40, PEAL_UINT32, 0, comm), PEAL_OK, "peal_send");
    }
    if (me->rank == 0) {
        for (done = 0; !done;)
            if (!rank_status(me, peal_test(&r[0], &done), PEAL_OK, "peal_test"))
                break;
        message_is(me, 1, 1, 40, late);
    }
}

/* Messages and collectives in another order on each rank. */
static void interleaved(struct rank *me, peal_comm_t comm)
{
    uint32_t out[1000], in[1000], one = 1, sum;
    peal_request_t r[2];

    rank_doing(me, "messages between collectives");
    message_make(me->rank, 9, 1000, out);
    for (int i = 0; i < 50; i++) {
        bool first = (i + me->rank) % 2;

        if (first) {
            peal_irecv(in, 1000, PEAL_UINT32, previous(me), comm, &r[0]);
            peal_isend(out, 1000, PEAL_UINT32, next(me), comm, &r[1]);
        }
        sum = 0;
        rank_status(me, peal_allreduce(&one, &sum, 1, PEAL_UINT32, PEAL_SUM, comm), 0, "allreduce");
        rank_check(me, sum == (uint32_t)me->nranks, "the sum is %u", sum);
        if (!first) {
            peal_isend(out, 1000, PEAL_UINT32, next(me), comm, &r[1]);
            peal_irecv(in, 1000, PEAL_UINT32, previous(me), comm, &r[0]);
        }
        rank_status(me, peal_waitall(2, r), PEAL_OK, "peal_waitall");
        message_is(me, previous(me), 9, 1000, in);
        memset(in, 0, sizeof in);
    }
}

/* ---- Small cases ------------------------------------------------------------------ */

static void nothing_to_do(struct rank *me, peal_comm_t comm)
{
    peal_request_t none[3] = { PEAL_REQUEST_NULL, PEAL_REQUEST_NULL, PEAL_REQUEST_NULL };
    uint32_t word = 5;
    int done = 0, index = 3;

    rank_doing(me, "operations that do nothing");
    rank_status(me, peal_test(none, &done), PEAL_OK, "peal_test of none");
    rank_check(me, done == 1, "a null request is not done");
    rank_status(me, peal_wait(none), PEAL_OK, "peal_wait for none");
    rank_status(me, peal_waitall(3, none), PEAL_OK, "peal_waitall for none");
    rank_status(me, peal_waitall(0, NULL), PEAL_OK, "peal_waitall of 0");
    rank_status(me, peal_waitany(3, none, &index), PEAL_OK, "peal_waitany for none");
    rank_check(me, index == PEAL_UNDEFINED, "the index of none is %d", index);
    rank_status(me, peal_send(&word, 1, PEAL_UINT32, PEAL_RANK_NULL, comm), 0, "send to none");
    rank_status(me, peal_recv(&word, 1, PEAL_UINT32, PEAL_RANK_NULL, comm), 0, "recv from none");
    rank_status(me, peal_sendrecv(&word, 1, PEAL_RANK_NULL, &word + 0, 1, PEAL_RANK_NULL,
                                  PEAL_UINT32, comm), PEAL_OK, "sendrecv with none");
    rank_check(me, word == 5, "a message from nobody changed the buffer");
    rank_status(me, peal_sendrecv(NULL, 0, next(me), NULL, 0, previous(me), PEAL_UINT32, comm),
                PEAL_OK, "an empty message");
    rank_status(me, peal_allreduce(NULL, NULL, 0, PEAL_UINT32, PEAL_SUM, comm), 0,
                "an empty allreduce");
}

static void with_myself(struct rank *me, peal_comm_t comm)
{
    enum { COUNT = 40000 };
    static _Thread_local uint32_t out[COUNT], in[COUNT], in2[COUNT];
    peal_request_t r[3];

    rank_doing(me, "messages to itself");
    message_make(me->rank, 4, COUNT, out);
    rank_status(me, peal_sendrecv(out, COUNT, me->rank, in, COUNT, me->rank, PEAL_UINT32, comm),
                PEAL_OK, "sendrecv with itself");
    message_is(me, me->rank, 4, COUNT, in);
    memset(in, 0, sizeof in);
    rank_status(me, peal_irecv(in, COUNT, PEAL_UINT32, me->rank, comm, &r[0]), 0, "irecv");
    rank_status(me, peal_isend(out, COUNT, PEAL_UINT32, me->rank, comm, &r[1]), 0, "isend");
    rank_status(me, peal_isend(out, 10, PEAL_UINT32, me->rank, comm, &r[2]), 0, "isend");
    rank_status(me, peal_recv(in2, 10, PEAL_UINT32, me->rank, comm), 0, "recv");
    rank_status(me, peal_waitall(3, r), PEAL_OK, "peal_waitall");
    message_is(me, me->rank, 4, COUNT, in);
    message_is(me, me->rank, 4, 10, in2);
}

static void shift(struct rank *me, peal_comm_t comm)
{
    static _Thread_local uint32_t out[70000], in[70000];

    rank_doing(me, "sendrecv in a ring");
    for (size_t count = 1; count < 70000; count = count * 5 + 1) {
        message_make(me->rank, count, count, out);
        rank_status(me, peal_sendrecv(out, count, next(me), in, count, previous(me), PEAL_UINT32,
                                      comm), PEAL_OK, "sendrecv");
        message_is(me, previous(me), count, count, in);
    }
}

/* ---- Persistent ones ------------------------------------------------------------------ */

static void persistent(struct rank *me, peal_comm_t comm)
{
    enum { STARTS = 300 };
    peal_request_t r[3];
    uint64_t in = 0, sum = 0, out = 0, got = 0;
    uint64_t n = (uint64_t)me->nranks, rank = (uint64_t)me->rank;

    rank_doing(me, "persistent requests");
    rank_status(me, peal_allreduce_init(&in, &sum, 1, PEAL_UINT64, PEAL_SUM, comm, &r[0]), 0, "1");
    rank_status(me, peal_sendrecv_init(&out, 1, next(me), &got, 1, previous(me), PEAL_UINT64, comm,
                                       &r[1]), 0, "2");
    rank_status(me, peal_barrier_init(comm, &r[2]), 0, "3");
    for (uint64_t i = 0; i < STARTS; i++) {
        in = i + rank;
        out = 1000 * i + rank;
        for (int k = 0; k < 3; k++)
            rank_status(me, peal_start(&r[k]), PEAL_OK, "peal_start");
        rank_status(me, peal_waitall(3, r), PEAL_OK, "peal_waitall");
        rank_check(me, sum == n * i + n * (n - 1) / 2, "start %llu: the sum is %llu",
                   (unsigned long long)i, (unsigned long long)sum);
        rank_check(me, got == 1000 * i + (uint64_t)previous(me), "start %llu: %llu came",
                   (unsigned long long)i, (unsigned long long)got);
    }
    for (int k = 0; k < 3; k++) {
        rank_check(me, r[k] != PEAL_REQUEST_NULL, "a persistent request went away");
        rank_status(me, peal_request_free(&r[k]), PEAL_OK, "peal_request_free");
        rank_check(me, r[k] == PEAL_REQUEST_NULL, "a freed handle was not nulled");
    }
}

static void misused(struct rank *me, peal_comm_t comm)
{
    peal_request_t r = PEAL_REQUEST_NULL, once;
    uint32_t in[4] = { 0 }, out[4];
    int done = 5;

    rank_doing(me, "misused requests");
    message_make(me->rank, 8, 4, out);
    rank_status(me, peal_start(&r), PEAL_ERR_ARGUMENT, "peal_start of none");
    rank_status(me, peal_start(NULL), PEAL_ERR_ARGUMENT, "peal_start of NULL");
    rank_status(me, peal_request_free(&r), PEAL_ERR_ARGUMENT, "peal_request_free of none");
    rank_status(me, peal_recv_init(in, 4, PEAL_UINT32, previous(me), comm, &r), 0, "recv_init");
    rank_status(me, peal_irecv(in, 4, PEAL_UINT32, previous(me), comm, &once), 0, "irecv");
    rank_status(me, peal_start(&once), PEAL_ERR_STATE, "peal_start of a nonblocking request");
    rank_status(me, peal_request_free(&once), PEAL_ERR_STATE, "freeing an active request");
    rank_status(me, peal_test(&r, &done), PEAL_OK, "peal_test of an inactive request");
    rank_check(me, done == 1, "an inactive request counts as not done");
    rank_status(me, peal_start(&r), PEAL_OK, "peal_start");
    rank_status(me, peal_start(&r), PEAL_ERR_STATE, "peal_start of an active request");
    rank_status(me, peal_request_free(&r), PEAL_ERR_STATE, "freeing an active request");
    rank_meet(me);
    for (int i = 0; i < 2; i++)
        rank_status(me, peal_send(out, 4, PEAL_UINT32, next(me), comm), PEAL_OK, "peal_send");
    rank_status(me, peal_wait(&r), PEAL_OK, "peal_wait");
    rank_status(me, peal_wait(&once), PEAL_OK, "peal_wait");
    message_is(me, previous(me), 8, 4, in);
    rank_status(me, peal_request_free(&r), PEAL_OK, "peal_request_free");
}

/* Wrong arguments are found before anything starts, and break nothing. */
static void wrong_arguments(struct rank *me, peal_comm_t comm)
{
    uint32_t a[8] = { 0 }, b[8];
    float f[2] = { 0 }, g[2];
    int n = me->nranks, wrong = PEAL_ERR_ARGUMENT;
    size_t huge = SIZE_MAX / 2, counts[64];

    rank_doing(me, "wrong arguments");
    for (int i = 0; i < 64; i++)
        counts[i] = SIZE_MAX / 3;
    rank_status(me, peal_allreduce(a, b, 1, PEAL_UINT32, PEAL_SUM, PEAL_COMM_NULL), wrong, "comm");
    rank_status(me, peal_allreduce(a, b, 1, (peal_datatype_t)99, PEAL_SUM, comm), wrong, "type");
    rank_status(me, peal_allreduce(a, b, 1, PEAL_UINT32, 4711, comm), wrong, "op");
    rank_status(me, peal_allreduce(a, b, 1, PEAL_UINT32, -1, comm), wrong, "negative op");
    rank_status(me, peal_allreduce(f, g, 2, PEAL_FLOAT32, PEAL_BAND, comm), wrong, "float band");
    rank_status(me, peal_allreduce(NULL, b, 1, PEAL_UINT32, PEAL_SUM, comm), wrong, "sendbuf");
    rank_status(me, peal_allreduce(a, NULL, 1, PEAL_UINT32, PEAL_SUM, comm), wrong, "recvbuf");
    rank_status(me, peal_allreduce(a, PEAL_IN_PLACE, 1, PEAL_UINT32, PEAL_SUM, comm), wrong,
                "recvbuf in place");
    rank_status(me, peal_allreduce(a, b, huge, PEAL_UINT32, PEAL_SUM, comm), wrong, "count");
    rank_status(me, peal_reduce_scatter(a, b, counts, PEAL_UINT32, PEAL_SUM, comm), wrong,
                "counts");
    rank_status(me, peal_reduce_scatter(a, b, NULL, PEAL_UINT32, PEAL_SUM, comm), wrong,
                "no counts");
    rank_status(me, peal_bcast(a, 1, PEAL_UINT32, n, comm), wrong, "root n");
    rank_status(me, peal_bcast(a, 1, PEAL_UINT32, -1, comm), wrong, "root -1");
    rank_status(me, peal_reduce(a, b, 1, PEAL_UINT32, PEAL_SUM, -2, comm), wrong, "root -2");
    rank_status(me, peal_send(a, 1, PEAL_UINT32, n, comm), wrong, "dest");
    rank_status(me, peal_recv(a, 1, PEAL_UINT32, -2, comm), wrong, "source");
    rank_status(me, peal_iallreduce(a, b, 1, PEAL_UINT32, PEAL_SUM, comm, NULL), wrong, "request");
    rank_status(me, peal_allreduce(a, b, 8, PEAL_UINT32, PEAL_SUM, comm), PEAL_OK,
                "an allreduce after wrong arguments");
}

static int refuse(const void *in, void *inout, size_t count, peal_datatype_t type, void *context)
{
    (void)in;
    (void)inout;
    (void)count;
    (void)type;
    (void)context;
    return 17;
}

static void user_function_fails(struct rank *me, peal_comm_t world)
{
    uint32_t a[100] = { 0 }, b[100];
    peal_comm_t comm;
    peal_op_t op;
    int status;

    rank_doing(me, "a user function that fails");
    rank_status(me, peal_op_create(refuse, 1, NULL, &op), PEAL_OK, "peal_op_create");
    if (!rank_status(me, peal_comm_dup(world, &comm), PEAL_OK, "peal_comm_dup"))
        return;
    status = peal_allreduce(a, b, 100, PEAL_UINT32, op, comm);
    if (me->nranks > 1) {
        rank_status(me, status, PEAL_ERR_USER, "allreduce");
        rank_error_says(me, "17");
        rank_status(me, peal_barrier(comm), PEAL_ERR_USER, "a later call");
    }
    peal_comm_free(&comm);
    peal_op_free(op);
}

/* ---- The progress thread ---------------------------------------------------- */

static bool by_thread;             /* PEAL_PROGRESS=1 */

static int keep_left(const void *in, void *inout, size_t count, peal_datatype_t type,
                     void *context)
{
    (void)in, (void)inout, (void)count, (void)type;
    atomic_store((_Atomic bool *)context, true);
    return 0;
}

/* The root starts first and then makes no call: its operation is called all the
 * same, by the thread. */
static void moves_by_itself(struct rank *me, peal_comm_t comm)
{
    static const uint32_t in[100];
    uint32_t out[100];
    _Atomic bool called = false;
    double begun = ranks_now();
    peal_request_t r;
    peal_op_t op;

    if (!by_thread || me->nranks == 1)
        return;
    rank_doing(me, "a reduce whose root makes no call");
    rank_status(me, peal_op_create(keep_left, 1, &called, &op), PEAL_OK, "peal_op_create");
    if (me->rank != 0)
        rank_meet(me);
    rank_status(me, peal_ireduce(in, out, 100, PEAL_UINT32, op, 0, comm, &r), PEAL_OK, "ireduce");
    if (me->rank == 0) {
        rank_meet(me);
        while (!atomic_load(&called) && ranks_now() - begun < 10)
            sched_yield();
        rank_check(me, atomic_load(&called), "nothing moved in 10 s");
    }
    rank_status(me, peal_wait(&r), PEAL_OK, "wait");
    peal_op_free(op);
}

static void cancelled(struct rank *me, peal_comm_t world)
{
    uint32_t in[4];
    peal_request_t r;
    peal_comm_t comm;

    rank_doing(me, "freeing a communicator with an active request");
    if (!rank_status(me, peal_comm_dup(world, &comm), PEAL_OK, "peal_comm_dup"))
        return;
    rank_status(me, peal_irecv(in, 4, PEAL_UINT32, previous(me), comm, &r), PEAL_OK, "irecv");
    rank_meet(me);
    peal_comm_free(&comm);
    rank_check(me, comm == PEAL_COMM_NULL, "the handle was not nulled");
    rank_check(me, peal_wait(&r) != PEAL_OK, "a cancelled request ended well");
    rank_check(me, r == PEAL_REQUEST_NULL, "the request's handle was not nulled");
}

/* ---- The same blocking calls again ------------------------------------------------ */

enum { CALLS = 10, WORDS = 9 };

/* One of CALLS, which differ in buffers, count, operation or root; true: its result is right. */
static bool call_once(struct rank *me, peal_comm_t comm, unsigned which, uint32_t step)
{
    static _Thread_local uint32_t in[2][WORDS], out[2][WORDS];
    unsigned side = which & 1, n = (unsigned)me->nranks;
    bool bcast = which >= 8, good = true;
    uint32_t *from = in[side], *to = out[bcast ? 0 : side];
    size_t count = WORDS - (which >> 1 & 1);
    int root = side ? me->nranks - 1 : 0;

    for (uint32_t i = 0; i < WORDS; i++) {
        from[i] = step + (unsigned)me->rank + i;
        to[i] = bcast && me->rank == root ? step + i : UINT32_MAX;
    }
    if (bcast)
        began(me, peal_bcast(to, count, PEAL_UINT32, root, comm));
    else
        began(me, peal_allreduce(from, to, count, PEAL_UINT32, which & 4 ? PEAL_MAX : PEAL_SUM, comm));
    for (uint32_t i = 0; i < WORDS; i++) {
        uint32_t wanted = step + i;

        if (!bcast)
            wanted = which & 4 ? wanted + n - 1 : n * wanted + n * (n - 1) / 2;
        good &= to[i] == (i < count || (bcast && me->rank == root) ? wanted : UINT32_MAX);
    }
    return good;
}

/* Few in turn, which are recognised, then more, or others. */
static void repeated(struct rank *me, peal_comm_t comm)
{
    enum { STEPS = 800, PHASE = 40 };
    uint64_t random = 1;

    rank_doing(me, "blocking calls that repeat those before");
    for (uint32_t step = 0; step < STEPS; step++) {
        unsigned phase = step / PHASE, which;

        random = random * 6364136223846793005u + 1442695040888963407u;
        which = (phase * 3 + (unsigned)(random >> 33) % (1 + phase % 6)) % CALLS;
        if (!rank_check(me, call_once(me, comm, which, step), "call %u, step %u", which, step))
            return;
    }
}

/* A message to the next rank, and the one from the previous. */
static bool alike_once(struct rank *me, peal_comm_t comm, peal_datatype_t type, size_t tag,
                       size_t count, uint32_t *out, uint32_t *in)
{
    peal_request_t r[2];

    message_make(me->rank, tag, count, out);
    memset(in, 0, count * sizeof *in);
    rank_status(me, peal_irecv(in, count, type, previous(me), comm, &r[0]), PEAL_OK, "peal_irecv");
    rank_status(me, peal_isend(out, count, type, next(me), comm, &r[1]), PEAL_OK, "peal_isend");
    return rank_status(me, peal_waitall(2, r), PEAL_OK, "peal_waitall") &&
           message_is(me, previous(me), tag, count, in);
}

/* Messages that differ in their memory, in their type, or in nothing; and in between what is
 * wrong, and so many other calls that the plans of these are forgotten (there are more than
 * 256: those of `many` were in use at once). */
static void alike(struct rank *me, peal_comm_t comm)
{
    enum { STEPS = 60, COUNT = 4, OTHERS = 700, WRONG = PEAL_ERR_ARGUMENT };
    uint32_t out[3 * OTHERS], in[3 * OTHERS];
    peal_request_t r = PEAL_REQUEST_NULL;

    rank_doing(me, "messages that are alike");
    for (unsigned step = 0; step < STEPS; step++) {
        peal_datatype_t type = step % 3 ? PEAL_UINT32 : PEAL_FLOAT32;     /* of one size */
        size_t at = step * 7 % OTHERS, count = COUNT + step / 20;

        if (!alike_once(me, comm, type, step, count, out + at, in + OTHERS - at))
            return;
        rank_status(me, peal_isend(NULL, count, type, next(me), comm, &r), WRONG, "no sendbuf");
        rank_status(me, peal_irecv(NULL, count, type, previous(me), comm, &r), WRONG, "no recvbuf");
        rank_status(me, peal_isend(PEAL_IN_PLACE, count, type, next(me), comm, &r), WRONG, "in place");
        rank_status(me, peal_isend(out, count, type, next(me), comm, NULL), WRONG, "no request");
        for (size_t other = 1; step % 20 == 10 && other <= OTHERS; other++)
            if (!rank_status(me, peal_sendrecv(out, COUNT + other, next(me), in, COUNT + other,
                                               previous(me), PEAL_UINT32, comm), PEAL_OK, "peal_sendrecv"))
                return;
    }
}

static void body(struct rank *me)
{
    static void (*const parts[])(struct rank *, peal_comm_t) = {
        overlap, many, out_of_order, interleaved, nothing_to_do, with_myself, shift, persistent,
        misused, wrong_arguments, user_function_fails, moves_by_itself, cancelled,
        repeated, alike, interleaved,
    };
    peal_comm_t comm;

    if (!rank_comm(me, &comm))
        return;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !rank_failures(me); i++)
        parts[i](me, comm);
    rank_comm_free(me, &comm);
}

int main(void)
{
    static const int sizes[] = { 1, 2, 3, 5, 0 };
    double started = ranks_now();
    peal_config_t config = PEAL_CONFIG_INIT;
    struct ranks_plan plan = { .name = "requests", .config = &config, .body = body };

    int bad = 0;

    config.timeout = 20;
    for (int progress = 0; progress <= 1; progress++) {
        by_thread = progress;
        setenv("PEAL_PROGRESS", progress ? "1" : "0", 1);
        bad += ranks_run_roads(&plan, sizes);
    }
    return ranks_verdict("requests", bad, started);
}
