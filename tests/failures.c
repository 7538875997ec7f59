/* SPDX-License-Identifier: BSD-3-Clause */
/* What survivors see when a rank is killed, leaves, never comes, stops calling
 * or runs out of something: the right status, soon, with the right name; and
 * that nothing stays behind. */
#include "ranks.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { LARGE = 4 << 20 };              /* elements of a large allreduce */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MEMORY_CAN_RUN_OUT = false };
#else
enum { MEMORY_CAN_RUN_OUT = true };
#endif

enum moment { WHILE_IDLE, IN_SMALL_CALLS, IN_LARGE_CALLS, WHILE_SENDING };
static const char *const moments[] = { "idle", "small allreduces", "large allreduces",
                                       "messages" };

struct death {
    enum moment moment;
    int         victim;
    double      delay;                 /* seconds after all are ready */
};

struct shared { double killed_at; };

/* ---- Killed ------------------------------------------------------------------- */

/* The kernel kills this process at a time that all ranks can read. */
static void kill_me_at(double when)
{
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
    struct itimerspec spec = { .it_value = { (time_t)when,
                                             (long)(1e9 * (when - (double)(time_t)when)) } };
    timer_t timer;

    if (timer_create(CLOCK_MONOTONIC, &event, &timer) ||
        timer_settime(timer, TIMER_ABSTIME, &spec, NULL))
        perror("a timer to die by");
}

static int keep_calling(struct rank *me, enum moment moment, peal_comm_t comm)
{
    char *in = calloc(LARGE, 4), *out = calloc(LARGE, 4);
    int next = (me->rank + 1) % me->nranks, previous = (me->rank + me->nranks - 1) % me->nranks;
    int status = PEAL_OK;

    for (int i = 0; i < 1000000 && !status; i++) {
        if (moment == WHILE_SENDING)
            status = peal_sendrecv(in, 1 << 20, next, out, 1 << 20, previous, PEAL_INT8, comm);
        else if (moment == IN_LARGE_CALLS)
            status = peal_allreduce(in, out, LARGE, PEAL_FLOAT32, PEAL_SUM, comm);
        else
            status = peal_allreduce(in, out, 10, PEAL_FLOAT32, PEAL_SUM, comm);
    }
    free(in);
    free(out);
    return status;
}

static void one_dies(struct rank *me)
{
    const struct death *death = me->context;
    struct shared *shared = me->shared;
    char victim[32];
    peal_comm_t comm;
    double took;

    if (!rank_comm(me, &comm))
        return;
    rank_doing(me, "the death of rank %d amid %s", death->victim, moments[death->moment]);
    rank_status(me, peal_barrier(comm), PEAL_OK, "barrier");
    rank_meet(me);
    if (me->rank == death->victim) {
        shared->killed_at = ranks_now() + 1e-3 + death->delay;
        rank_meet(me);
        kill_me_at(shared->killed_at);
        while (death->moment == WHILE_IDLE)
            pause();
    } else {
        rank_meet(me);
    }
    rank_status(me, keep_calling(me, death->moment, comm), PEAL_ERR_PEER, "a call");
    took = ranks_now() - shared->killed_at;
    rank_check(me, took < 1.0, "it took %.3f s to notice", took);
    snprintf(victim, sizeof victim, "rank %d ", death->victim);
    rank_error_says(me, victim);
    rank_status(me, peal_barrier(comm), PEAL_ERR_PEER, "a later call");
    peal_comm_free(&comm);
    if (me->rank == (death->victim + 1) % me->nranks)
        printf("  rank %d of %d dies over %s amid %s: the next one knew after %.1f ms\n",
               death->victim, me->nranks, me->plan->config->transports, moments[death->moment],
               1e3 * took);
}

static int deaths(uint64_t *random)
{
    static const int sizes[] = { 2, 4, 8 };
    int bad = 0;

    for (int road = 1; road <= 2; road++)        /* processes only */
        for (int s = 0; s < 3; s++)
            for (int moment = WHILE_IDLE; moment <= WHILE_SENDING; moment++) {
                int n = sizes[s], victims[] = { 0, n - 1, (int)ranks_below(random, (uint64_t)n) };
                struct death death = {
                    .moment = (enum moment)moment, .victim = victims[moment % 3],
                    .delay = 1e-3 * (double)ranks_below(random, moment == WHILE_IDLE ? 5 : 60),
                };
                peal_config_t config = PEAL_CONFIG_INIT;
                char name[128];
                struct ranks_plan plan = {
                    .name = name, .nranks = n, .config = &config, .body = one_dies,
                    .context = &death, .shared = sizeof(struct shared), .seconds = 30,
                    .doomed = UINT64_C(1) << death.victim,
                };

                config.timeout = config.init_timeout = 20;
                config.transports = ranks_roads[road].transports;
                snprintf(name, sizeof name, "death after %.0f ms over %s", 1e3 * death.delay,
                         ranks_roads[road].name);
                bad += ranks_run(&plan);
            }
    return bad;
}

/* ---- Not coming, not calling, leaving -------------------------------------------- */

static void last_never_comes(struct rank *me)
{
    peal_config_t config = PEAL_CONFIG_INIT;
    double begun = ranks_now(), took;
    peal_comm_t comm = PEAL_COMM_NULL;
    char name[32];

    if (me->rank == me->nranks - 1)
        return;
    rank_doing(me, "waiting for a rank that does not come");
    config.init_timeout = 1;
    rank_status(me, rank_join(me, &config, &comm), PEAL_ERR_TIMEOUT, "making the communicator");
    took = ranks_now() - begun;
    rank_check(me, took > 0.5 && took < 3, "a timeout of 1 s came after %.2f s", took);
    rank_check(me, comm == PEAL_COMM_NULL, "an output was set by a failure");
    snprintf(name, sizeof name, "%d", me->nranks - 1);
    rank_error_says(me, name);
}

/* One sleeps after its last call, which the others' text must tell. */
static void last_stops_calling(struct rank *me)
{
    peal_config_t config = *me->plan->config;
    uint32_t in[10] = { 0 }, out[10 * RANKS_MOST];
    double begun, took;
    peal_comm_t comm;
    char name[32];

    config.timeout = 1.5;
    if (!rank_status(me, rank_join(me, &config, &comm), PEAL_OK, "making the communicator"))
        return;
    rank_doing(me, "waiting for a rank that does not call");
    rank_status(me, peal_allgather(in, out, 10, PEAL_UINT32, comm), PEAL_OK, "allgather");
    rank_meet(me);
    if (me->rank == me->nranks - 1) {
        rank_meet(me);
        rank_check(me, peal_barrier(comm) != PEAL_OK, "a call when the others gave up went well");
    } else {
        begun = ranks_now();
        rank_status(me, peal_allreduce(in, out, 10, PEAL_UINT32, PEAL_SUM, comm),
                    PEAL_ERR_TIMEOUT, "allreduce");
        took = ranks_now() - begun;
        rank_check(me, took > 1 && took < 3, "a timeout of 1.5 s came after %.2f s", took);
        snprintf(name, sizeof name, "rank %d ", me->nranks - 1);
        rank_error_says(me, name);
        rank_error_says(me, "allreduce");
        rank_error_says(me, "allgather");
        rank_meet(me);
    }
    peal_comm_free(&comm);
}

/* The first sends nothing, so the second has nothing to pass on: it waits for the first alone, and
 * not for the third, who is more patient, so that it is the second that gives up. */
static void first_sends_nothing(struct rank *me)
{
    peal_config_t config = *me->plan->config;
    static char memory[300000];
    peal_comm_t comm;

    config.timeout = me->rank == 1 ? 1 : 20;
    config.algorithms = "bcast:chain";
    if (!rank_status(me, rank_join(me, &config, &comm), PEAL_OK, "making the communicator"))
        return;
    rank_doing(me, "waiting for a rank that does not send");
    rank_status(me, peal_bcast(memory, sizeof memory, PEAL_INT8, 0, comm), PEAL_OK, "bcast");
    rank_meet(me);
    if (me->rank > 0)
        rank_check(me, peal_bcast(memory, sizeof memory, PEAL_INT8, 0, comm) != PEAL_OK, "bcast of nobody");
    if (me->rank == 1 && rank_error_says(me, "waiting for rank 0 (")) {
        const char *named = strstr(peal_last_error(), "waiting for");

        named = strstr(named, "rank 2 (");     /* after the semicolon come those that are behind */
        rank_check(me, !named || memchr(peal_last_error(), ';', (size_t)(named - peal_last_error())),
                   "the wrong rank is blamed: %s", peal_last_error());
    }
    rank_meet(me);
    peal_comm_free(&comm);
}

/* exit() without a word, while the others go on. */
static void last_exits(struct rank *me)
{
    char name[32];
    peal_comm_t comm;

    if (!rank_comm(me, &comm))
        return;
    rank_doing(me, "a rank that exits");
    rank_status(me, peal_barrier(comm), PEAL_OK, "barrier");
    rank_meet(me);
    if (me->rank == me->nranks - 1)
        exit(0);
    rank_status(me, keep_calling(me, IN_SMALL_CALLS, comm), PEAL_ERR_PEER, "a call");
    snprintf(name, sizeof name, "rank %d ", me->nranks - 1);
    rank_error_says(me, name);
    peal_comm_free(&comm);
}

/* ---- Running out of something --------------------------------------------------------- */

/* With ever fewer files, the first rank fails cleanly, or not at all. */
static void few_files(struct rank *me)
{
    const int *files = me->context;
    struct rlimit before, limit;
    peal_config_t config = *me->plan->config;
    double begun = ranks_now();
    peal_comm_t comm;
    int status;

    rank_doing(me, "joining with %d files", *files);
    config.init_timeout = 2;
    config.timeout = 2;
    getrlimit(RLIMIT_NOFILE, &before);
    limit = before;
    limit.rlim_cur = (rlim_t)*files;
    if (me->rank == 0)
        setrlimit(RLIMIT_NOFILE, &limit);
    status = rank_join(me, &config, &comm);
    if (status == PEAL_OK) {
        status = peal_barrier(comm);
        if (status == PEAL_OK)
            status = peal_comm_free(&comm);
        else
            peal_comm_free(&comm);
    }
    setrlimit(RLIMIT_NOFILE, &before);
    rank_check(me, status == PEAL_OK || strlen(peal_last_error()) > 10, "no text for status %d",
               status);
    rank_check(me, ranks_now() - begun < 8, "it took %.1f s", ranks_now() - begun);
}

static size_t address_space(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    size_t pages = 0;

    if (!f || fscanf(f, "%zu", &pages) != 1)
        perror("/proc/self/statm");
    if (f)
        fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* One has no memory for the scaled copy of its input: all are told, at once. */
static void no_memory(struct rank *me)
{
    float scalar = 2, *in = calloc(LARGE, sizeof *in), *out = calloc(LARGE, sizeof *out);
    struct rlimit limit;
    double begun;
    peal_op_t op;
    peal_comm_t comm;

    if (!rank_comm(me, &comm))
        return;
    rank_status(me, peal_op_create_premul_sum(&scalar, PEAL_FLOAT32, &op), PEAL_OK, "op_create");
    rank_status(me, peal_allreduce(in, out, 10, PEAL_FLOAT32, op, comm), PEAL_OK, "allreduce");
    rank_doing(me, "a rank without memory");
    rank_meet(me);
    begun = ranks_now();
    if (me->rank == 1) {
        limit.rlim_cur = limit.rlim_max = address_space() + (4 << 20);
        setrlimit(RLIMIT_AS, &limit);
    }
    rank_status(me, peal_allreduce(in, out, LARGE, PEAL_FLOAT32, op, comm), PEAL_ERR_MEMORY,
                "allreduce");
    rank_check(me, ranks_now() - begun < 2, "it took %.1f s", ranks_now() - begun);
    rank_status(me, peal_barrier(comm), PEAL_ERR_MEMORY, "a later call");
    peal_comm_free(&comm);
    peal_op_free(op);
    free(in);
    free(out);
}

/* ---- Waiting costs little ------------------------------------------------------------- */

static double processor_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void waiting(struct rank *me)
{
    const struct timespec second = { .tv_sec = 1 };
    peal_comm_t comm;
    double used;
    int word = 0;

    if (!rank_comm(me, &comm))
        return;
    rank_doing(me, "a second's wait");
    rank_status(me, peal_barrier(comm), PEAL_OK, "barrier");
    used = processor_seconds();
    if (me->rank == 0) {
        nanosleep(&second, NULL);          /* this is what the others wait for */
        for (int r = 1; r < me->nranks; r++)
            rank_status(me, peal_send(&word, 1, PEAL_INT32, r, comm), PEAL_OK, "send");
    } else {
        rank_status(me, peal_recv(&word, 1, PEAL_INT32, 0, comm), PEAL_OK, "recv");
        used = processor_seconds() - used;
        rank_check(me, used < 0.02, "a wait of 1 s used %.1f ms of a core", 1e3 * used);
    }
    rank_comm_free(me, &comm);
}

/* ---- All ------------------------------------------------------------------------------- */

static int others(void)
{
    static const int some[] = { 2, 4, 0 }, processes[] = { 2, 5, 0 }, four[] = { 4, 0 };
    peal_config_t config = PEAL_CONFIG_INIT;
    struct ranks_plan plan = { .name = "never comes", .config = &config, .seconds = 40 };
    int bad = 0, files;

    config.timeout = config.init_timeout = 20;
    plan.body = last_never_comes;
    bad += ranks_run_roads(&plan, some);
    plan.name = "stops calling";
    plan.body = last_stops_calling;
    bad += ranks_run_roads(&plan, some);
    plan.name = "waits";
    plan.body = waiting;
    bad += ranks_run_roads(&plan, four);
    plan.per_process = 1;
    for (int road = 1; road <= 2; road++) {
        config.transports = ranks_roads[road].transports;
        for (const int *n = processes; *n; n++) {
            plan.nranks = *n;
            plan.name = "exits";
            plan.body = last_exits;
            bad += ranks_run(&plan);
        }
        plan.nranks = 3;
        plan.name = "sends nothing";
        plan.body = first_sends_nothing;
        bad += ranks_run(&plan);
        plan.name = "no memory";
        plan.body = no_memory;
        if (MEMORY_CAN_RUN_OUT)
            bad += ranks_run(&plan);
        else
            printf("SKIP: a sanitizer's allocator does not return NULL\n");
        plan.name = "few files";
        plan.body = few_files;
        plan.context = &files;
        for (files = 3; files < 24; files += 3)
            bad += ranks_run(&plan);
    }
    return bad;
}

int main(int argc, char **argv)
{
    double started = ranks_now();
    uint64_t random = ranks_seed(argc, argv, (uint64_t)getpid());
    int before = ranks_entries("/dev/shm"), after, bad;

    setenv("PEAL_LOG", "error", 0);
    bad = deaths(&random);
    printf("deaths: %d ranks failed, %.1f s\n", bad, ranks_now() - started);
    bad += others();
    after = ranks_entries("/dev/shm");
    if (after != before) {
        fprintf(stderr, "FAIL: /dev/shm had %d entries, and has %d\n", before, after);
        bad++;
    }
    return ranks_verdict("failures", bad, started);
}
