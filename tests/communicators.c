/* SPDX-License-Identifier: BSD-3-Clause */
/* Communicators: split, duplicated, nested, many, used by several threads at
 * once, aborted from elsewhere, limited in time; and that none of it leaks. */
#include "ranks.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Does a communicator do what it should? --------------------------------- */

static bool sum_is(struct rank *me, peal_comm_t comm, uint64_t value, uint64_t wanted)
{
    uint64_t sum = 0;

    return rank_status(me, peal_allreduce(&value, &sum, 1, PEAL_UINT64, PEAL_SUM, comm), PEAL_OK,
                       "allreduce") &&
           rank_check(me, sum == wanted, "the sum is %llu instead of %llu",
                      (unsigned long long)sum, (unsigned long long)wanted);
}

static bool place_is(struct rank *me, peal_comm_t comm, int rank, int size)
{
    int r = -1, n = -1;

    return rank_status(me, peal_comm_rank(comm, &r), PEAL_OK, "peal_comm_rank") &&
           rank_status(me, peal_comm_size(comm, &n), PEAL_OK, "peal_comm_size") &&
           rank_check(me, r == rank && n == size, "rank %d of %d instead of %d of %d", r, n, rank,
                      size);
}

/* Odd and even ranks apart, in reverse order. */
static void split(struct rank *me, peal_comm_t world)
{
    int n = me->nranks, color = me->rank % 2, members = (n + 1 - color) / 2, gathered[RANKS_MOST];
    peal_comm_t half;

    rank_doing(me, "peal_comm_split");
    if (!rank_status(me, peal_comm_split(world, color, -me->rank, &half), PEAL_OK, "split"))
        return;
    place_is(me, half, members - 1 - me->rank / 2, members);
    rank_status(me, peal_allgather(&me->rank, gathered, 1, PEAL_INT32, half), 0, "allgather");
    for (int i = 0; i < members; i++)
        rank_check(me, gathered[i] == color + 2 * (members - 1 - i), "rank %d is world rank %d", i,
                   gathered[i]);
    rank_comm_free(me, &half);
    rank_check(me, half == PEAL_COMM_NULL, "the handle was not nulled");
    rank_status(me, peal_comm_split(world, -7, 0, &half), PEAL_ERR_ARGUMENT, "color -7");
}

/* Equal keys keep the order; one rank takes no part. */
static void split_undefined(struct rank *me, peal_comm_t world)
{
    int out = me->nranks / 2, rank = me->rank - (me->rank > out);
    peal_comm_t rest = (peal_comm_t)&rest;

    rank_doing(me, "peal_comm_split with PEAL_UNDEFINED");
    if (!rank_status(me, peal_comm_split(world, me->rank == out ? PEAL_UNDEFINED : 3, 9, &rest),
                     PEAL_OK, "split"))
        return;
    if (me->rank == out) {
        rank_check(me, rest == PEAL_COMM_NULL, "PEAL_UNDEFINED gave a communicator");
        return;
    }
    place_is(me, rest, rank, me->nranks - 1);
    sum_is(me, rest, 2, 2 * (uint64_t)(me->nranks - 1));
    rank_comm_free(me, &rest);
}

/* A child lives on when its parents are gone; messages do not mix. */
static void nested(struct rank *me, peal_comm_t world)
{
    peal_comm_t copy, half, again;
    uint64_t n = (uint64_t)me->nranks, members = (n + 1 - (uint64_t)me->rank % 2) / 2;

    rank_doing(me, "nested communicators");
    if (!rank_status(me, peal_comm_dup(world, &copy), PEAL_OK, "dup") ||
        !rank_status(me, peal_comm_split(copy, me->rank % 2, 0, &half), PEAL_OK, "split") ||
        !rank_status(me, peal_comm_dup(half, &again), PEAL_OK, "dup"))
        return;
    sum_is(me, copy, 1, n);
    rank_comm_free(me, &copy);
    sum_is(me, half, 1, members);
    rank_comm_free(me, &half);
    sum_is(me, again, 3, 3 * members);
    sum_is(me, world, 1, n);
    rank_comm_free(me, &again);
}

static void apart(struct rank *me, peal_comm_t world)
{
    int next = (me->rank + 1) % me->nranks, previous = (me->rank + me->nranks - 1) % me->nranks;
    uint64_t a = 1, b = 2, one = 0, two = 0;
    peal_request_t r[4];
    peal_comm_t copy;

    rank_doing(me, "messages of two communicators");
    if (!rank_status(me, peal_comm_dup(world, &copy), PEAL_OK, "dup"))
        return;
    peal_isend(&b, 1, PEAL_UINT64, next, copy, &r[0]);
    peal_isend(&a, 1, PEAL_UINT64, next, world, &r[1]);
    peal_irecv(&one, 1, PEAL_UINT64, previous, world, &r[2]);
    peal_irecv(&two, 1, PEAL_UINT64, previous, copy, &r[3]);
    rank_status(me, peal_waitall(4, r), PEAL_OK, "peal_waitall over two communicators");
    rank_check(me, one == 1 && two == 2, "messages of two communicators were mixed up");
    rank_comm_free(me, &copy);
}

/* ---- What they cost ------------------------------------------------------------ */

struct cost { int files, threads; size_t bytes; };

static struct cost cost_now(struct rank *me)
{
    struct cost cost = { 0, 0, 0 };

    rank_meet(me);                 /* one thread of the process counts, the others stand still */
    if (me->plan->per_process <= 1 || me->rank % me->plan->per_process == 0) {
        cost.files = ranks_entries("/proc/self/fd");
        cost.threads = ranks_entries("/proc/self/task");
        cost.bytes = mallinfo2().uordblks + mallinfo2().hblkhd;
    }
    rank_meet(me);
    return cost;
}

static void many(struct rank *me, peal_comm_t world)
{
    enum { ROUNDS = 200, AT_ONCE = 20 };
    peal_comm_t comms[AT_ONCE];
    struct cost before = { 0, 0, 0 }, after, most;
    uint64_t n = (uint64_t)me->nranks;

    rank_doing(me, "making and freeing %d communicators", ROUNDS);
    for (int i = 0; i < ROUNDS + 20 && !rank_failures(me); i++) {
        if (i == 20)               /* caches and arenas are warm now */
            before = cost_now(me);
        if (rank_status(me, peal_comm_dup(world, &comms[0]), PEAL_OK, "dup")) {
            sum_is(me, comms[0], 1, n);
            rank_comm_free(me, &comms[0]);
        }
    }
    after = cost_now(me);
    rank_check(me, after.files == before.files, "%d files open before, %d after", before.files,
               after.files);
    rank_check(me, after.threads == before.threads, "%d threads before, %d after",
               before.threads, after.threads);
    /* The allocator's own caches come and go; small leaks are LeakSanitizer's. */
    rank_check(me, after.bytes < before.bytes + ROUNDS * 1024, "%zu bytes before, %zu after",
               before.bytes, after.bytes);
    rank_doing(me, "%d communicators at once", AT_ONCE);
    for (int i = 0; i < AT_ONCE; i++)
        if (!rank_status(me, peal_comm_dup(world, &comms[i]), PEAL_OK, "dup"))
            return;
    for (int i = AT_ONCE - 1; i >= 0; i--)
        sum_is(me, comms[i], (uint64_t)i, n * (uint64_t)i);
    most = cost_now(me);
    rank_check(me, most.threads == before.threads, "%d communicators have %d threads", AT_ONCE,
               most.threads - before.threads);
    for (int i = 0; i < AT_ONCE; i++)
        rank_comm_free(me, &comms[i]);
    after = cost_now(me);
    rank_check(me, after.files == before.files, "%d files open before, %d after %d at once",
               before.files, after.files, AT_ONCE);
}

/* ---- Threads -------------------------------------------------------------------- */

struct worker {
    struct rank *me;
    peal_comm_t  comm;
    int          number;
    pthread_t    thread;
};

static void *work(void *argument)
{
    struct worker *w = argument;
    uint64_t n = (uint64_t)w->me->nranks;

    for (uint64_t i = 0; i < 100; i++)
        if (!sum_is(w->me, w->comm, i + (uint64_t)w->number, n * (i + (uint64_t)w->number)))
            break;
    return NULL;
}

static void several_threads(struct rank *me, peal_comm_t world)
{
    enum { WORKERS = 4 };
    struct worker w[WORKERS];

    rank_doing(me, "%d threads with a communicator each", WORKERS);
    for (int i = 0; i < WORKERS; i++) {
        w[i] = (struct worker){ .me = me, .number = i };
        if (!rank_status(me, peal_comm_dup(world, &w[i].comm), PEAL_OK, "dup"))
            return;
    }
    for (int i = 0; i < WORKERS; i++)
        pthread_create(&w[i].thread, NULL, work, &w[i]);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(w[i].thread, NULL);
    for (int i = 0; i < WORKERS; i++)
        rank_comm_free(me, &w[i].comm);
}

static void *abort_it(void *argument)
{
    struct worker *w = argument;

    rank_status(w->me, peal_comm_abort(w->comm, "the kettle boils"), PEAL_OK, "abort");
    return NULL;
}

/* Rank 0 aborts from another thread while all wait for what never comes. */
static void aborted(struct rank *me, peal_comm_t world)
{
    struct worker w = { .me = me };
    double begun = ranks_now();
    int word;

    rank_doing(me, "a communicator that is aborted");
    if (!rank_status(me, peal_comm_dup(world, &w.comm), PEAL_OK, "dup"))
        return;
    if (me->rank == 0)
        pthread_create(&w.thread, NULL, abort_it, &w);
    rank_status(me, peal_recv(&word, 1, PEAL_INT32, (me->rank + 1) % me->nranks, w.comm),
                PEAL_ERR_ABORTED, "recv");
    rank_check(me, ranks_now() - begun < 2, "it took %.1f s", ranks_now() - begun);
    rank_error_says(me, "the kettle boils");
    rank_error_says(me, "rank 0");
    rank_status(me, peal_barrier(w.comm), PEAL_ERR_ABORTED, "a later call");
    if (me->rank == 0)
        pthread_join(w.thread, NULL);
    peal_comm_free(&w.comm);
    sum_is(me, world, 1, (uint64_t)me->nranks);          /* the others are as they were */
}

static void timed_out(struct rank *me, peal_comm_t world)
{
    peal_comm_t comm;
    double begun, took;
    char peer[32];
    int word;

    rank_doing(me, "a communicator with a deadline");
    if (!rank_status(me, peal_comm_dup(world, &comm), PEAL_OK, "dup"))
        return;
    rank_status(me, peal_comm_set_timeout(comm, 0), PEAL_ERR_ARGUMENT, "a timeout of 0");
    rank_status(me, peal_comm_set_timeout(comm, -1), PEAL_ERR_ARGUMENT, "a timeout of -1");
    rank_status(me, peal_comm_set_timeout(comm, 0.3), PEAL_OK, "peal_comm_set_timeout");
    rank_meet(me);
    begun = ranks_now();
    rank_status(me, peal_recv(&word, 1, PEAL_INT32, (me->rank + 1) % me->nranks, comm),
                PEAL_ERR_TIMEOUT, "recv");
    took = ranks_now() - begun;
    /* Another rank's clock may have struck a little earlier and told us. */
    rank_check(me, took > 0.15 && took < 1.5, "a timeout of 0.3 s came after %.3f s", took);
    snprintf(peer, sizeof peer, "rank %d", (me->rank + 1) % me->nranks);
    if (me->nranks == 2)
        rank_error_says(me, "rank ");
    rank_status(me, peal_barrier(comm), PEAL_ERR_TIMEOUT, "a later call");
    peal_comm_free(&comm);
    sum_is(me, world, 1, (uint64_t)me->nranks);
}

static void body(struct rank *me)
{
    static void (*const parts[])(struct rank *, peal_comm_t) = {
        split, split_undefined, nested, apart, many, several_threads, aborted, timed_out, split,
    };
    peal_comm_t world;

    if (!rank_comm(me, &world))
        return;
    place_is(me, world, me->rank, me->nranks);
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !rank_failures(me); i++)
        parts[i](me, world);
    rank_comm_free(me, &world);
}

/* ---- A communicator of one rank ----------------------------------------------------- */

static void alone(struct rank *me)
{
    struct cost before, after;
    peal_unique_id_t id, junk = { { 1, 2, 3 } };
    peal_comm_t comm, copy;

    setenv("PEAL_LAUNCHER", "none", 1);
    rank_status(me, peal_comm_create(&junk, 0, 2, NULL, &comm), PEAL_ERR_ARGUMENT, "a junk id");
    rank_status(me, peal_comm_create(NULL, 0, 2, NULL, &comm), PEAL_ERR_ARGUMENT, "no id");
    before = cost_now(me);
    rank_status(me, peal_init(NULL, &comm), PEAL_OK, "peal_init");
    place_is(me, comm, 0, 1);
    sum_is(me, comm, 5, 5);
    rank_status(me, peal_comm_dup(comm, &copy), PEAL_OK, "dup");
    sum_is(me, copy, 5, 5);
    after = cost_now(me);
    rank_check(me, after.threads == before.threads, "a lone rank has %d threads more",
               after.threads - before.threads);
    rank_check(me, after.files <= before.files + 4, "two lone communicators have %d files open",
               after.files - before.files);
    rank_comm_free(me, &comm);
    rank_comm_free(me, &copy);
    rank_status(me, peal_get_unique_id(&id), PEAL_OK, "peal_get_unique_id");
    rank_status(me, peal_comm_create(&id, 2, 2, NULL, &comm), PEAL_ERR_ARGUMENT, "rank 2 of 2");
    rank_status(me, peal_comm_create(&id, 0, 0, NULL, &comm), PEAL_ERR_ARGUMENT, "0 ranks");
    rank_status(me, peal_comm_create(&id, 0, 1, NULL, &comm), PEAL_OK, "a lone rank with an id");
    sum_is(me, comm, 4, 4);
    rank_comm_free(me, &comm);
    rank_status(me, peal_comm_create(&id, 0, 1, NULL, &comm), PEAL_ERR_ARGUMENT, "an id twice");
    rank_status(me, peal_comm_free(&comm), PEAL_OK, "freeing the null communicator");
    after = cost_now(me);
    rank_check(me, after.files == before.files, "%d files open before, %d after", before.files,
               after.files);
}

int main(void)
{
    static const int sizes[] = { 2, 3, 5, 0 };
    double started = ranks_now();
    peal_config_t config = PEAL_CONFIG_INIT;
    struct ranks_plan plan = { .name = "communicators", .config = &config, .body = body };
    struct ranks_plan lone = { .name = "a lone rank", .nranks = 1, .body = alone };
    struct ranks_plan launched = { .name = "communicators by peal_init", .config = &config,
                                   .nranks = 4, .environment = true, .body = body };
    int bad;

    config.timeout = 20;
    setenv("PEAL_LOG", "error", 0);
    bad = ranks_run(&lone) + ranks_run(&launched) + ranks_run_roads(&plan, sizes);
    return ranks_verdict("communicators", bad, started);
}
