/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks that make different calls: all of them get PEAL_ERR_MISMATCH soon, with
 * a text that names both calls, and never success with wrong data. */
#include "ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 64, MOST = 32 };        /* MOST: ranks */

struct places { uint32_t in[COUNT * MOST], out[COUNT * MOST]; };

/* A disagreement: what the odd one calls, what the others call, and two words
 * that the text must have. */
struct quarrel {
    const char *name;
    int       (*call)(struct rank *me, bool odd, struct places *p, peal_comm_t comm);
    const char *words[2];
    const char *odd_algorithms;        /* of the odd rank's configuration */
};

/* PEAL_STRICT=0: a rank may learn of it one call later. */
static bool lenient;

static int differs_in_count(struct rank *me, bool odd, struct places *p, peal_comm_t comm)
{
    (void)me;
    return peal_allreduce(p->in, p->out, odd ? 63 : 64, PEAL_UINT32, PEAL_SUM, comm);
}

/* The messages are of equal length. */
static int differs_in_type(struct rank *me, bool odd, struct places *p, peal_comm_t comm)
{
    (void)me;
    return peal_allreduce(p->in, p->out, COUNT, odd ? PEAL_FLOAT32 : PEAL_UINT32, PEAL_SUM, comm);
}

static int differs_in_op(struct rank *me, bool odd, struct places *p, peal_comm_t comm)
{
    (void)me;
    return peal_allreduce(p->in, p->out, COUNT, PEAL_UINT32, odd ? PEAL_MAX : PEAL_SUM, comm);
}

static int differs_in_root(struct rank *me, bool odd, struct places *p, peal_comm_t comm)
{
    (void)me;
    return peal_bcast(p->out, COUNT, PEAL_UINT32, odd ? 1 : 0, comm);
}

static int differs_in_reduce_root(struct rank *me, bool odd, struct places *p, peal_comm_t comm)
{
    (void)me;
    return peal_reduce(p->in, p->out, COUNT, PEAL_UINT32, PEAL_SUM, odd ? 1 : 0, comm);
}

static int differs_in_bcast_count(struct rank *me, bool odd, struct places *p, peal_comm_t comm)
{
    (void)me;
    return peal_bcast(p->out, odd ? 10 : 20, PEAL_UINT32, 0, comm);
}

static int differs_in_collective(struct rank *me, bool odd, struct places *p, peal_comm_t comm)
{
    (void)me;
    return odd ? peal_allgather(p->in, p->out, COUNT, PEAL_UINT32, comm)
               : peal_allreduce(p->in, p->out, COUNT, PEAL_UINT32, PEAL_SUM, comm);
}

static int one_at_a_barrier(struct rank *me, bool odd, struct places *p, peal_comm_t comm)
{
    (void)me;
    return odd ? peal_barrier(comm)
               : peal_allreduce(p->in, p->out, COUNT, PEAL_UINT32, PEAL_SUM, comm);
}

/* The sums are equal, and so are most blocks. */
static int differs_in_counts(struct rank *me, bool odd, struct places *p, peal_comm_t comm)
{
    size_t counts[MOST];

    for (int i = 0; i < me->nranks; i++)
        counts[i] = 8;
    if (odd) {
        counts[0]++;
        counts[1]--;
    }
    return peal_reduce_scatter(p->in, p->out, counts, PEAL_UINT32, PEAL_SUM, comm);
}

static int differs_in_algorithm(struct rank *me, bool odd, struct places *p, peal_comm_t comm)
{
    (void)me;
    (void)odd;
    return peal_allreduce(p->in, p->out, COUNT, PEAL_UINT32, PEAL_SUM, comm);
}

/* One skips a call, and makes the next one. */
static int one_skips(struct rank *me, bool odd, struct places *p, peal_comm_t comm)
{
    int status = odd ? PEAL_OK : peal_bcast(p->out, COUNT, PEAL_UINT32, 0, comm);

    (void)me;
    return status ? status : peal_allreduce(p->in, p->out, COUNT, PEAL_UINT32, PEAL_SUM, comm);
}

static int empty_and_not(struct rank *me, bool odd, struct places *p, peal_comm_t comm)
{
    (void)me;
    return peal_allreduce(p->in, p->out, odd ? 0 : COUNT, PEAL_UINT32, PEAL_SUM, comm);
}

/* All send to the odd one, which expects something else; then all meet. */
static int message_differs(struct rank *me, bool odd, size_t count, peal_datatype_t type,
                           struct places *p, peal_comm_t comm)
{
    int last = me->nranks - 1, status = PEAL_OK;

    for (int r = 0; odd && r < last && !status; r++)
        status = peal_recv(p->out, count, type, r, comm);
    if (!odd)
        status = peal_send(p->in, COUNT, PEAL_UINT32, last, comm);
    return status ? status : peal_barrier(comm);
}

static int message_count(struct rank *me, bool odd, struct places *p, peal_comm_t comm)
{
    return message_differs(me, odd, COUNT - 1, PEAL_UINT32, p, comm);
}

static int message_type(struct rank *me, bool odd, struct places *p, peal_comm_t comm)
{
    return message_differs(me, odd, COUNT, PEAL_FLOAT32, p, comm);
}

static const struct quarrel quarrels[] = {
    { "count", differs_in_count, { "of 63", "of 64" }, NULL },
    { "type", differs_in_type, { "float32", "uint32" }, NULL },
    { "operation", differs_in_op, { "max", "sum" }, NULL },
    { "root of bcast", differs_in_root, { "root 0", "root 1" }, NULL },
    { "root of reduce", differs_in_reduce_root, { "root 0", "root 1" }, NULL },
    { "count of bcast", differs_in_bcast_count, { "of 10 ", "of 20 " }, NULL },
    { "collective", differs_in_collective, { "allgather", "allreduce" }, NULL },
    { "barrier", one_at_a_barrier, { "barrier", "allreduce" }, NULL },
    { "block counts", differs_in_counts, { "reduce_scatter", "hash" }, NULL },
    { "algorithm", differs_in_algorithm, { "ring", "doubling" }, "allreduce:ring" },
    { "a skipped call", one_skips, { "bcast", "allreduce" }, NULL },
    { "empty and not", empty_and_not, { "of 0 ", "of 64 " }, NULL },
    { "message count", message_count, { "252", "256" }, NULL },
    { "message type", message_type, { "float32", "uint32" }, NULL },
};

static void body(struct rank *me)
{
    const struct quarrel *q = me->context;
    struct places *p = calloc(1, sizeof *p);
    peal_config_t config = *me->plan->config;
    bool odd = me->rank == me->nranks - 1, late;
    peal_comm_t comm;
    double begun;
    int status;

    config.algorithms = "allreduce:doubling";
    if (odd && q->odd_algorithms)
        config.algorithms = q->odd_algorithms;
    if (!rank_status(me, rank_join(me, &config, &comm), PEAL_OK, "making the communicator"))
        return;
    rank_doing(me, "ranks that differ in %s", q->name);
    rank_status(me, peal_barrier(comm), PEAL_OK, "barrier");
    rank_meet(me);                 /* nobody is still in the barrier when the quarrel begins */
    begun = ranks_now();
    status = q->call(me, odd, p, comm);
    late = lenient && status == PEAL_OK;
    if (late)
        status = peal_barrier(comm);
    rank_status(me, status, PEAL_ERR_MISMATCH, q->name);
    if (late) {                    /* one of the two may have met the barrier instead */
        rank_check(me, strstr(peal_last_error(), q->words[0]) ||
                           strstr(peal_last_error(), q->words[1]) ||
                           strstr(peal_last_error(), "left out a call"),
                   "neither \"%s\" nor \"%s\": %s", q->words[0], q->words[1],
                   peal_last_error());
    } else if (status == PEAL_ERR_MISMATCH && !lenient) {
        rank_error_says(me, q->words[0]);
        rank_error_says(me, q->words[1]);
    }
    rank_check(me, ranks_now() - begun < 4, "it took %.1f s", ranks_now() - begun);
    rank_status(me, peal_barrier(comm), PEAL_ERR_MISMATCH, "a later call");
    peal_comm_free(&comm);
    free(p);
}

int main(int argc, char **argv)
{
    static const int sizes[] = { 2, 3, 4, 8, 0 };
    double started = ranks_now();
    peal_config_t config = PEAL_CONFIG_INIT;
    int bad = 0;

    setenv("PEAL_LOG", "error", 0);
    config.timeout = 10;
    config.init_timeout = 20;
    for (int strict = 1; strict >= 0; strict--)
        for (size_t i = 0; i < sizeof quarrels / sizeof *quarrels; i++) {
            struct ranks_plan plan = { .name = quarrels[i].name, .config = &config,
                                       .body = body, .context = &quarrels[i], .seconds = 40 };

            lenient = !strict;
            setenv("PEAL_STRICT", strict ? "1" : "0", 1);
            if (argc < 2 || strstr(quarrels[i].name, argv[1]))
                bad += ranks_run_roads(&plan, sizes);
        }
    return ranks_verdict("mismatch", bad, started);
}
