/* SPDX-License-Identifier: BSD-3-Clause */
/* Leaving out of order: processes that exit without peal_comm_free, and a rank that frees a
 * communicator while others call it.  Nobody hangs or crashes, who waits is told by whom it was left,
 * and other communicators go on. */
#include "ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where nobody frees it; reachable, so that it is no leak. */
static peal_comm_t kept[RANKS_MOST];

/* ---- Exits -------------------------------------------------------------------------- */

enum state { IDLE, RECEIVING, IN_A_BARRIER, IN_ANOTHER_THREAD, FREEING };
static const char *const states[] = { "idle", "with a receive under way", "with a barrier under way",
                                      "with a thread in a call", "with some that free it" };

struct exits { enum state state; const char *progress; };

static void *receive(void *argument)
{
    struct rank *me = argument;
    int word;

    peal_recv(&word, 1, PEAL_INT32, (me->rank + 1) % me->nranks, kept[me->rank]);
    return NULL;
}

/* The process exits when this returns, with status 0 if nothing was wrong. */
static void exits(struct rank *me)
{
    static int words[RANKS_MOST];
    const struct exits *how = me->context;
    peal_comm_t *comm = &kept[me->rank];
    peal_request_t request;
    pthread_t thread;
    double begun;
    int status;

    if (!rank_comm(me, comm))
        return;
    rank_doing(me, "exits %s, PEAL_PROGRESS=%s", states[how->state], how->progress);
    rank_status(me, peal_barrier(*comm), PEAL_OK, "barrier");
    rank_meet(me);                     /* nobody is in that barrier any more */
    if (how->state == RECEIVING)
        rank_status(me, peal_irecv(&words[me->rank], 1, PEAL_INT32, (me->rank + 1) % me->nranks, *comm,
                                   &request), PEAL_OK, "irecv");
    if (how->state == IN_A_BARRIER && me->rank > 0)
        rank_status(me, peal_ibarrier(*comm, &request), PEAL_OK, "ibarrier");
    if (how->state == IN_ANOTHER_THREAD)
        rank_check(me, !pthread_create(&thread, NULL, receive, me) && !pthread_detach(thread),
                   "no thread");
    rank_meet(me);
    if (how->state != FREEING || me->rank == 0)
        return;
    begun = ranks_now();
    status = peal_comm_free(comm);
    if (status) {                      /* 0: it was known to be broken already */
        rank_status(me, status, PEAL_ERR_PEER, "freeing what rank 0 has exited from");
        rank_error_says(me, "rank 0 ");
    }
    rank_check(me, ranks_now() - begun < 2, "it took %.1f s", ranks_now() - begun);
}

static int all_exits(peal_config_t *config)
{
    static const struct exits all[] = {
        { IDLE, "0" }, { IDLE, "1" }, { RECEIVING, "0" }, { RECEIVING, "1" }, { IN_A_BARRIER, "0" },
        { IN_A_BARRIER, "1" }, { IN_ANOTHER_THREAD, "0" }, { IN_ANOTHER_THREAD, "1" }, { FREEING, "0" },
        { FREEING, "1" },
    };
    static const int sizes[] = { 2, 4 };
    int bad = 0;

    for (const struct ranks_road *road = ranks_roads; road->name; road++)
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            for (int s = 0; s < 2; s++) {
                char name[64];
                struct ranks_plan plan = { .name = name, .nranks = sizes[s], .config = config,
                                           .per_process = road->per_process, .body = exits,
                                           .context = &all[i], .seconds = 20 };

                if (all[i].state == FREEING && road->per_process > 1)
                    continue;          /* a rank of many in a process cannot exit alone */
                snprintf(name, sizeof name, "exits over %s", road->name);
                config->transports = road->transports;
                setenv("PEAL_PROGRESS", all[i].progress, 1);       /* before there are threads */
                bad += ranks_run(&plan);
            }
    unsetenv("PEAL_PROGRESS");
    return bad;
}

/* ---- Freeing what others call ----------------------------------------------------------- */

/* The last rank frees a copy while the others call it, or the first one calls it while the others free
 * it; the world is not touched by that. */
static void frees(struct rank *me)
{
    const bool *most_free = me->context;
    bool leaves = *most_free ? me->rank > 0 : me->rank == me->nranks - 1;
    uint32_t in = 1, sum = 0;
    peal_comm_t world, copy;
    double begun;
    int status;

    if (!rank_comm(me, &world) || !rank_status(me, peal_comm_dup(world, &copy), PEAL_OK, "dup"))
        return;
    rank_doing(me, "%s a communicator that others %s", leaves ? "freeing" : "calling",
               leaves ? "call" : "free");
    rank_status(me, peal_barrier(copy), PEAL_OK, "barrier");
    rank_meet(me);                     /* nobody is in that barrier any more */
    begun = ranks_now();
    status = leaves ? peal_comm_free(&copy) : peal_barrier(copy);
    /* Where several leave, one may find that another has broken it. */
    if (!(leaves && *most_free && me->nranks > 2 && status == PEAL_OK)) {
        rank_status(me, status, PEAL_ERR_MISMATCH, leaves ? "peal_comm_free" : "barrier");
        rank_error_says(me, "called barrier");
        rank_error_says(me, "called peal_comm_free");
    }
    rank_check(me, ranks_now() - begun < 4, "it took %.1f s", ranks_now() - begun);
    if (!leaves) {
        rank_status(me, peal_barrier(copy), PEAL_ERR_MISMATCH, "a later call");
        rank_status(me, peal_comm_free(&copy), PEAL_OK, "freeing a broken communicator");
    }
    rank_check(me, copy == PEAL_COMM_NULL, "peal_comm_free left the handle");
    rank_status(me, peal_allreduce(&in, &sum, 1, PEAL_UINT32, PEAL_SUM, world), PEAL_OK,
                "a call of another communicator");
    rank_check(me, sum == (uint32_t)me->nranks, "a sum of %u", sum);
    rank_comm_free(me, &world);
}

int main(void)
{
    static const int sizes[] = { 2, 3, 5, 0 };
    static const bool most_free[] = { false, true };
    double started = ranks_now();
    peal_config_t config = PEAL_CONFIG_INIT;
    int bad;

    setenv("PEAL_LOG", "error", 0);
    config.timeout = config.init_timeout = 10;
    bad = all_exits(&config);
    setenv("PEAL_PROGRESS", "0", 1);
    for (int i = 0; i < 2; i++) {
        struct ranks_plan plan = { .name = most_free[i] ? "most free" : "one frees", .config = &config,
                                   .body = frees, .context = &most_free[i], .seconds = 30 };

        bad += ranks_run_roads(&plan, sizes);
    }
    return ranks_verdict("leaving", bad, started);
}
