/* SPDX-License-Identifier: BSD-3-Clause */
/* Everything that threads may do at once, in one process, made to be run under
 * -fsanitize=thread: ranks as threads, each with several communicators used by
 * threads of their own, made and freed meanwhile, aborted from elsewhere, while
 * others ask questions that need no communicator. */
#include "ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS = 3, ROUNDS = 60 };

struct worker {
    struct rank *me;
    peal_comm_t  comm;
    int          number;
    pthread_t    thread;
};

/* A thread of a rank, with a communicator of its own. */
static void *work(void *argument)
{
    struct worker *w = argument;
    struct rank *me = w->me;
    int next = (me->rank + 1) % me->nranks, previous = (me->rank + me->nranks - 1) % me->nranks;
    uint32_t in[2000], out[2000], got[2000];

    for (uint32_t i = 0; i < ROUNDS && !rank_failures(me); i++) {
        size_t count = i % 7 ? i : 2000;
        peal_comm_t copy;

        for (size_t k = 0; k < count; k++)
            in[k] = i + (uint32_t)k;
        rank_status(me, peal_allreduce(in, out, count, PEAL_UINT32, PEAL_SUM, w->comm), 0,
                    "allreduce");
        for (size_t k = 0; k < count; k++)
            rank_check(me, out[k] == in[k] * (uint32_t)me->nranks, "element %zu is %u", k, out[k]);
        rank_status(me, peal_sendrecv(in, count, next, got, count, previous, PEAL_UINT32, w->comm),
                    PEAL_OK, "sendrecv");
        rank_check(me, !memcmp(in, got, count * sizeof *in), "a message is wrong");
        if (i % 20)
            continue;
        rank_status(me, peal_comm_dup(w->comm, &copy), PEAL_OK, "dup");
        rank_status(me, peal_barrier(copy), PEAL_OK, "barrier");
        rank_status(me, peal_comm_free(&copy), PEAL_OK, "peal_comm_free");
    }
    return NULL;
}

/* Needs no communicator, and may be done by anybody at any time. */
static void *ask(void *argument)
{
    struct worker *w = argument;

    for (int i = 0; i < 20; i++) {
        static const char *const topics[] = { "settings", "algorithms", "transports",
                                              "explain allreduce 65536 8" };
        char *report = NULL;
        void *memory = NULL;
        double scalar = 3;
        peal_op_t op;

        rank_status(w->me, peal_describe(topics[i % 4], i % 2, &report), PEAL_OK, topics[i % 4]);
        free(report);
        rank_status(w->me, peal_op_create_premul_sum(&scalar, PEAL_FLOAT64, &op), 0, "op_create");
        rank_status(w->me, peal_op_free(op), PEAL_OK, "peal_op_free");
        rank_status(w->me, peal_mem_alloc(10000, &memory), PEAL_OK, "peal_mem_alloc");
        rank_check(w->me, memory && ((char *)memory)[9999] == 0, "memory is not zeroed");
        rank_status(w->me, peal_mem_free(memory), PEAL_OK, "peal_mem_free");
        rank_check(w->me, peal_op_free(op) == PEAL_ERR_ARGUMENT, "an operation was freed twice");
        rank_error_says(w->me, "operation");     /* this thread's own text */
    }
    return NULL;
}

static void *abort_it(void *argument)
{
    struct worker *w = argument;

    rank_status(w->me, peal_comm_abort(w->comm, "enough"), PEAL_OK, "abort");
    return NULL;
}

/* All ranks abort at once, from other threads than the ones that wait. */
static void abort_all(struct rank *me, peal_comm_t world)
{
    struct worker w = { .me = me };
    int word;

    rank_doing(me, "abort by all");
    if (!rank_status(me, peal_comm_dup(world, &w.comm), PEAL_OK, "dup"))
        return;
    pthread_create(&w.thread, NULL, abort_it, &w);
    rank_status(me, peal_recv(&word, 1, PEAL_INT32, (me->rank + 1) % me->nranks, w.comm),
                PEAL_ERR_ABORTED, "recv");
    pthread_join(w.thread, NULL);
    peal_comm_free(&w.comm);
}

static void body(struct rank *me)
{
    struct worker w[WORKERS + 1];
    peal_comm_t world;

    if (!rank_comm(me, &world))
        return;
    rank_doing(me, "%d threads", WORKERS + 1);
    for (int i = 0; i <= WORKERS; i++) {
        w[i] = (struct worker){ .me = me, .number = i };
        if (!rank_status(me, peal_comm_dup(world, &w[i].comm), PEAL_OK, "dup"))
            return;
    }
    for (int i = 0; i <= WORKERS; i++)
        pthread_create(&w[i].thread, NULL, i < WORKERS ? work : ask, &w[i]);
    for (int i = 0; i <= WORKERS; i++)
        pthread_join(w[i].thread, NULL);
    abort_all(me, world);
    rank_status(me, peal_barrier(world), PEAL_OK, "barrier");
    for (int i = 0; i <= WORKERS; i++)
        rank_comm_free(me, &w[i].comm);
    rank_comm_free(me, &world);
}

int main(void)
{
    static const struct ranks_road ways[] = {
        { "threads", "self", RANKS_MOST }, { "threads by shm", "shm", RANKS_MOST },
        { "threads by tcp", "tcp", RANKS_MOST }, { "pairs", "self,shm", 2 },
    };
    double started = ranks_now();
    peal_config_t config = PEAL_CONFIG_INIT;
    int bad = 0;

    setenv("PEAL_LOG", "error", 0);
    config.timeout = config.init_timeout = 60;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct ranks_plan plan = { .name = ways[i].name, .nranks = 4, .config = &config,
                                   .per_process = ways[i].per_process, .body = body,
                                   .seconds = 120 };

        config.transports = ways[i].transports;
        bad += ranks_run(&plan);
    }
    return ranks_verdict("threads", bad, started);
}
