/* SPDX-License-Identifier: BSD-3-Clause */
/* peal_last_error() is about the latest call that failed: never about an earlier one, nor about what
 * went wrong on the way to a success; and it is empty before the first failure. */
#include "ranks.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

/* An earlier failure, which no later one may be told as. */
static const char stale[] = "peal_comm_set_timeout";

static void fail_before(struct rank *me, peal_comm_t comm)
{
    rank_status(me, peal_comm_set_timeout(comm, -1), PEAL_ERR_ARGUMENT, stale);
    rank_error_says(me, stale);
}

static void expect_failure(struct rank *me, int status, int wanted, const char *what, const char *word)
{
    rank_status(me, status, wanted, what);
    rank_error_says(me, word);
    rank_check(me, !strstr(peal_last_error(), stale), "%s: an earlier failure's text: %s", what,
               peal_last_error());
}

/* ---- Successes -------------------------------------------------------------------------- */

/* All that tries several ways, of which some may fail. */
static void successes(struct rank *me)
{
    static const char *const topics[] = { "transports", "devices", "launch", "topology", "rings gpu:8",
                                          "explain allreduce 1M 4x8", "draw allreduce ring 4" };
    char *report;
    float in = 1, out;
    peal_comm_t comm, copy;
    void *memory;

    if (!rank_comm(me, &comm))
        return;
    rank_doing(me, "successes");
    rank_check(me, !*peal_last_error(), "a text before the first failure: %s", peal_last_error());
    for (int turn = 0; turn < 2; turn++) {
        const char *wanted = turn ? stale : "";

        if (turn)
            fail_before(me, comm);
        rank_status(me, peal_mem_alloc(1 << 20, &memory), PEAL_OK, "mem_alloc");
        rank_status(me, peal_mem_free(memory), PEAL_OK, "mem_free");
        rank_status(me, peal_allreduce(&in, &out, 1, PEAL_FLOAT32, PEAL_SUM, comm), PEAL_OK, "allreduce");
        rank_status(me, peal_comm_dup(comm, &copy), PEAL_OK, "dup");
        rank_status(me, peal_barrier(copy), PEAL_OK, "barrier");
        rank_status(me, peal_comm_free(&copy), PEAL_OK, "peal_comm_free");
        rank_check(me, strstr(peal_last_error(), wanted) == peal_last_error() &&
                   (turn || !*peal_last_error()), "calls that went well left: %s", peal_last_error());
        for (size_t i = 0; i < sizeof topics / sizeof *topics && me->rank == 0; i++) {
            if (rank_status(me, peal_describe(topics[i], 0, &report), PEAL_OK, topics[i]))
                free(report);
            rank_check(me, strstr(peal_last_error(), wanted) == peal_last_error() &&
                       (turn || !*peal_last_error()), "\"%s\" left: %s", topics[i], peal_last_error());
        }
    }
    rank_comm_free(me, &comm);
}

/* ---- Failures one after the other ------------------------------------------------------- */

/* Of arguments and states, on a communicator that stays whole. */
static void arguments(struct rank *me)
{
    peal_comm_t world, comm, none = PEAL_COMM_NULL;
    peal_request_t request = PEAL_REQUEST_NULL, receive;
    peal_unique_id_t id;
    peal_op_t op;
    int word, size, done;
    void *memory;
    char *report;

    if (!rank_comm(me, &world) || !rank_status(me, peal_comm_dup(world, &comm), PEAL_OK, "dup"))
        return;
    rank_doing(me, "wrong arguments");
#define FAILS(call, status, word) (fail_before(me, world), expect_failure(me, call, status, #call, word))
    FAILS(peal_comm_size(none, &size), PEAL_ERR_ARGUMENT, "peal_comm_size");
    FAILS(peal_comm_rank(comm, NULL), PEAL_ERR_ARGUMENT, "peal_comm_rank");
    FAILS(peal_comm_abort(none, NULL), PEAL_ERR_ARGUMENT, "peal_comm_abort");
    FAILS(peal_comm_dup(comm, NULL), PEAL_ERR_ARGUMENT, "newcomm");
    FAILS(peal_comm_split(comm, -7, 0, &none), PEAL_ERR_ARGUMENT, "color");
    FAILS(peal_comm_free(NULL), PEAL_ERR_ARGUMENT, "peal_comm_free");
    FAILS(peal_comm_create(&id, 2, 2, NULL, &none), PEAL_ERR_ARGUMENT, "peal_comm_create");
    FAILS(peal_get_unique_id(NULL), PEAL_ERR_ARGUMENT, "peal_get_unique_id");
    FAILS(peal_init(NULL, NULL), PEAL_ERR_ARGUMENT, "peal_init");
    FAILS(peal_op_create(NULL, 1, NULL, &op), PEAL_ERR_ARGUMENT, "peal_op_create");
    FAILS(peal_op_create_premul_sum(&size, (peal_datatype_t)99, &op), PEAL_ERR_ARGUMENT, "99");
    FAILS(peal_op_free(12345), PEAL_ERR_ARGUMENT, "12345");
    FAILS(peal_mem_alloc(SIZE_MAX / 2, &memory), PEAL_ERR_MEMORY, "bytes");
    FAILS(peal_mem_free(&size), PEAL_ERR_ARGUMENT, "");
    FAILS(peal_describe("weather", 0, &report), PEAL_ERR_ARGUMENT, "weather");
    FAILS(peal_start(NULL), PEAL_ERR_ARGUMENT, "peal_start");
    FAILS(peal_start(&request), PEAL_ERR_ARGUMENT, "peal_start");
    FAILS(peal_test(&request, NULL), PEAL_ERR_ARGUMENT, "peal_test");
    FAILS(peal_wait(NULL), PEAL_ERR_ARGUMENT, "peal_wait");
    FAILS(peal_waitall(-1, NULL), PEAL_ERR_ARGUMENT, "peal_waitall");
    FAILS(peal_waitany(1, &request, NULL), PEAL_ERR_ARGUMENT, "peal_waitany");
    FAILS(peal_request_free(&request), PEAL_ERR_ARGUMENT, "peal_request_free");
    FAILS(peal_send(&word, 1, PEAL_INT32, 99, comm), PEAL_ERR_ARGUMENT, "99");
    FAILS(peal_bcast(&word, 1, PEAL_INT32, -3, comm), PEAL_ERR_ARGUMENT, "-3");
    FAILS(peal_iallreduce(&word, &size, 1, PEAL_FLOAT32, PEAL_BAND, comm, &request), PEAL_ERR_ARGUMENT,
          "band");
    peal_recv_init(&word, 1, PEAL_INT32, (me->rank + 1) % me->nranks, comm, &receive);
    FAILS(peal_request_free(NULL), PEAL_ERR_ARGUMENT, "peal_request_free");
    rank_status(me, peal_start(&receive), PEAL_OK, "peal_start");
    FAILS(peal_start(&receive), PEAL_ERR_STATE, "active");
    FAILS(peal_request_free(&receive), PEAL_ERR_STATE, "active");
    peal_irecv(&size, 1, PEAL_INT32, (me->rank + 1) % me->nranks, comm, &request);
    FAILS(peal_start(&request), PEAL_ERR_STATE, "_init");
    rank_comm_free(me, &comm);         /* cancels both */
    FAILS(peal_test(&request, &done), PEAL_ERR_STATE, "freed");
    FAILS(peal_wait(&receive), PEAL_ERR_STATE, "freed");
    FAILS(peal_start(&receive), PEAL_ERR_STATE, "freed");
    rank_status(me, peal_request_free(&receive), PEAL_OK, "peal_request_free");
    rank_comm_free(me, &world);
}

/* ---- Failures that are seen before they are told ------------------------------------------ */

/* What a rank's operation returns, and how often it was called. */
struct calls { int result; _Atomic int made; };

static int answer(const void *in, void *inout, size_t count, peal_datatype_t type, void *context)
{
    struct calls *calls = context;

    (void)in;
    (void)inout;
    (void)count;
    (void)type;
    calls->made++;
    return calls->result;
}

struct manner { const char *name; bool threads, all; };

/* The operation fails on rank 0, or on all, while the call is started, as the others' data are there, or
 * in the thread of PEAL_PROGRESS; then another call fails; and then the request is waited for. */
static void later(struct rank *me)
{
    const struct manner *manner = me->context;
    struct calls calls = { .result = manner->all || me->rank == 0 };
    peal_comm_t world, comm;
    peal_request_t request;
    int in[4] = { 0 }, out[4], status;
    peal_op_t op;

    setenv("PEAL_PROGRESS", manner->threads ? "1" : "0", 1);
    if (!rank_comm(me, &world) || !rank_status(me, peal_comm_dup(world, &comm), PEAL_OK, "dup"))
        return;
    rank_doing(me, "a failure that is waited for later");
    rank_status(me, peal_op_create(answer, 0, &calls, &op), PEAL_OK, "op_create");
    rank_status(me, peal_allreduce(in, out, 4, PEAL_INT32, PEAL_SUM, comm), PEAL_OK, "allreduce");
    rank_status(me, peal_allreduce_init(in, out, 4, PEAL_INT32, op, comm, &request), PEAL_OK, "init");
    rank_meet(me);
    if (me->rank == 0)                 /* last, so that what it combines is there */
        rank_meet(me);
    rank_status(me, peal_start(&request), PEAL_OK, "peal_start");
    if (me->rank != 0)
        rank_meet(me);
    if (manner->threads && me->rank == 0)      /* it may fail unseen, by another's failure */
        for (double end = ranks_now() + 0.02; !calls.made && ranks_now() < end; )
            sched_yield();
    fail_before(me, world);
    status = peal_wait(&request);
    if (me->rank == 0 || status)       /* others may have all they need */
        expect_failure(me, status, PEAL_ERR_USER, "a user function that fails", "user function");
    fail_before(me, world);
    expect_failure(me, peal_barrier(comm), PEAL_ERR_USER, "a later call", "user function");
    rank_status(me, peal_request_free(&request), PEAL_OK, "peal_request_free");
    rank_status(me, peal_comm_free(&comm), PEAL_OK, "freeing a broken communicator");
    rank_status(me, peal_op_free(op), PEAL_OK, "op_free");
    rank_comm_free(me, &world);
}

/* Several fail in one call: the text is about the status that it returns. */
static void together(struct rank *me)
{
    static const char reason[] = "the kettle boils";
    struct calls calls = { .result = 7 };
    peal_comm_t world, comms[2];
    peal_request_t requests[2];
    int in[4] = { 0 }, out[2][4], status;
    peal_op_t op;

    if (!rank_comm(me, &world))
        return;
    rank_doing(me, "two failures at once");
    rank_status(me, peal_op_create(answer, 0, &calls, &op), PEAL_OK, "op_create");
    for (int i = 0; i < 2; i++)
        if (!rank_status(me, peal_comm_dup(world, &comms[i]), PEAL_OK, "dup"))
            return;
    rank_status(me, peal_irecv(out[0], 4, PEAL_INT32, (me->rank + 1) % me->nranks, comms[0], &requests[0]),
                PEAL_OK, "irecv");
    rank_status(me, peal_iallreduce(in, out[1], 4, PEAL_INT32, op, comms[1], &requests[1]), PEAL_OK,
                "iallreduce");
    rank_meet(me);
    if (me->rank == 0)
        rank_status(me, peal_comm_abort(comms[0], reason), PEAL_OK, "abort");
    fail_before(me, world);
    status = peal_waitall(2, requests);
    rank_check(me, status == PEAL_ERR_ABORTED || status == PEAL_ERR_USER, "peal_waitall gave %d", status);
    rank_error_says(me, status == PEAL_ERR_USER ? "user function" : reason);
    for (int i = 0; i < 2; i++)
        rank_status(me, peal_comm_free(&comms[i]), PEAL_OK, "freeing a broken communicator");
    rank_status(me, peal_op_free(op), PEAL_OK, "op_free");
    rank_comm_free(me, &world);
}

/* A connection that breaks though nobody dies: the end of it is seen by the thread of PEAL_PROGRESS,
 * or by the call that waits. */
struct ending { const char *name, *transports, *word; bool threads; };

enum { DESCRIPTORS = 256 };

/* By inode: the number of a socket that is closed is given to the next. */
static void mark_sockets(ino_t sockets[DESCRIPTORS])
{
    struct stat s;

    for (int fd = 0; fd < DESCRIPTORS; fd++)
        sockets[fd] = fstat(fd, &s) == 0 && S_ISSOCK(s.st_mode) ? s.st_ino : 0;
}

/* Those that have come since, which are the communicator's own. */
static void break_sockets(struct rank *me, const ino_t before[DESCRIPTORS])
{
    ino_t now[DESCRIPTORS];
    int broken = 0;

    mark_sockets(now);
    for (int fd = 0; fd < DESCRIPTORS; fd++)
        if (now[fd] && now[fd] != before[fd])
            broken += shutdown(fd, SHUT_RDWR) == 0;
    rank_check(me, broken > 0, "no connection to break");
}

struct waiter { struct rank *me; peal_comm_t world, comm; };

/* A thread that has failed once when it starts the receive: as often as the other thread will have when it
 * has found the end, so that no number of failures tells which text is whose. */
static void *receive_the_end(void *argument)
{
    const struct waiter *w = argument;
    const struct ending *ending = w->me->context;
    const struct timespec nap = { .tv_nsec = 100000000 };
    peal_request_t request;
    int word;

    fail_before(w->me, w->world);
    rank_status(w->me, peal_irecv(&word, 1, PEAL_INT32, 1, w->comm, &request), PEAL_OK, "irecv");
    rank_meet(w->me);
    rank_meet(w->me);                  /* it is broken */
    if (ending->threads)
        nanosleep(&nap, NULL);
    expect_failure(w->me, peal_wait(&request), PEAL_ERR_PEER, "a receive", ending->word);
    fail_before(w->me, w->world);
    expect_failure(w->me, peal_barrier(w->comm), PEAL_ERR_PEER, "a later call", ending->word);
    return NULL;
}

static void lost(struct rank *me)
{
    const struct ending *ending = me->context;
    struct waiter w = { .me = me };
    ino_t before[DESCRIPTORS];
    pthread_t thread;

    setenv("PEAL_PROGRESS", ending->threads ? "1" : "0", 1);
    if (!rank_comm(me, &w.world) || !rank_status(me, peal_comm_dup(w.world, &w.comm), PEAL_OK, "dup"))
        return;
    rank_doing(me, "a connection that breaks");
    rank_status(me, peal_barrier(w.world), PEAL_OK, "barrier");
    mark_sockets(before);
    rank_meet(me);                     /* else who is ahead dials before the other has looked */
    rank_status(me, peal_barrier(w.comm), PEAL_OK, "barrier");
    if (me->rank == 0 && !pthread_create(&thread, NULL, receive_the_end, &w)) {
        pthread_join(thread, NULL);
    } else {
        rank_meet(me);
        break_sockets(me, before);
        rank_meet(me);
    }
    rank_meet(me);
    rank_status(me, peal_barrier(w.comm), PEAL_ERR_PEER, "a call after it");
    rank_status(me, peal_comm_free(&w.comm), PEAL_OK, "freeing a broken communicator");
    rank_comm_free(me, &w.world);
}

int main(void)
{
    static const struct ending endings[] = {
        { "lost over tcp, PEAL_PROGRESS=1", "self,tcp", "TCP connection", true },
        { "lost over shm, PEAL_PROGRESS=1", "self,shm", "shm: the connection", true },
        { "lost over tcp", "self,tcp", "TCP connection", false },
        { "lost over shm", "self,shm", "shm: the connection", false },
    };
    static const int sizes[] = { 2, 3, 0 };
    static const struct manner manners[] = {
        { "later, on rank 0", false, false }, { "later, on all", false, true },
        { "later, on rank 0, PEAL_PROGRESS=1", true, false },
        { "later, on all, PEAL_PROGRESS=1", true, true },
    };
    double started = ranks_now();
    peal_config_t config = PEAL_CONFIG_INIT;
    struct ranks_plan plan = { .name = "successes", .config = &config, .body = successes, .seconds = 30 };
    int bad;

    setenv("PEAL_LOG", "error", 0);
    config.timeout = config.init_timeout = 10;
    bad = ranks_run_roads(&plan, sizes);
    plan.environment = true;
    bad += ranks_run_roads(&plan, (const int[]){ 1, 0 });
    plan.nranks = 2;
    plan.name = "successes after peal_init";
    bad += ranks_run(&plan);           /* all transports */
    plan.environment = false;
    plan.name = "arguments";
    plan.body = arguments;
    bad += ranks_run_roads(&plan, sizes);
    plan.name = "together";
    plan.body = together;
    bad += ranks_run_roads(&plan, sizes);
    plan.body = later;
    for (size_t i = 0; i < sizeof manners / sizeof *manners; i++) {
        plan.name = manners[i].name;
        plan.context = &manners[i];
        bad += ranks_run_roads(&plan, sizes);
    }
    plan.nranks = 2;
    plan.body = lost;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        plan.name = endings[i].name;
        plan.context = &endings[i];
        config.transports = endings[i].transports;
        bad += ranks_run(&plan);
    }
    return ranks_verdict("last_error", bad, started);
}
