/* SPDX-License-Identifier: BSD-3-Clause */
/* Collectives over stages, with the choice of stores (devices/pace.h) made by lot, copy by
 * copy: what is stored past the caches is there before a peer is told.  As tests/store_ways for
 * rings.  And what one peer alone reads is timed apart, for some are near and some are far.
 *
 *   stage_ways [seed] */
#include "pace_lot.h"
#include "ranks.h"

#include <stdio.h>
#include <stdlib.h>

enum { RANKS = 3, MOST = 60000, CALLS = 60, PACES = 16 };

/* In which paces the copies of a collective were timed. */
struct met { const struct pace *paces[PACES]; int n; };

static struct met for_one, for_all, for_both, *meeting;

/* Else only short ones would have a choice. */
void pace_tried(struct pace *pace, double cost)
{
    pace->strings = cost >= 0 ? STRINGS_SLOWER : STRINGS_UNKNOWN;
}

void pace_took(struct pace *pace, double cost, uint64_t now)
{
    int i = 0;

    pace_draw(pace, cost, now);
    while (meeting && i < meeting->n && meeting->paces[i] != pace)
        i++;
    if (meeting && i == meeting->n && i < PACES)
        meeting->paces[meeting->n++] = pace;
}

static int value(int rank, int call, size_t i)
{
    return rank * 1000 + call * 7 + (int)(i % 999);
}

static int sum(int nranks, int call, size_t i)
{
    int all = 0;

    for (int r = 0; r < nranks; r++)
        all += value(r, call, i);
    return all;
}

static void check_all(struct rank *me, const int *out, size_t count, size_t from, int call,
                      int (*wanted)(int, int, size_t), int argument, const char *what)
{
    for (size_t i = 0; i < count; i++)
        if (!rank_check(me, out[i] == wanted(argument, call, from + i), "%s, call %d: element %zu is %d",
                        what, call, i, out[i]))
            return;
}

static void call_all(struct rank *me, peal_comm_t comm, int *in, int *out, int call)
{
    bool small = call % 4 == 3;            /* that may go through rings, which have paces of their own */
    size_t count = small ? 1000 : MOST / RANKS, all = count * RANKS;

    for (size_t i = 0; i < all; i++)
        in[i] = value(me->rank, call, i);
    meeting = small ? NULL : &for_both;
    rank_status(me, peal_allreduce(in, out, all, PEAL_INT32, PEAL_SUM, comm), PEAL_OK, "allreduce");
    check_all(me, out, all, 0, call, sum, RANKS, "allreduce");
    meeting = small ? NULL : &for_one;
    rank_status(me, peal_reduce_scatter_block(in, out, count, PEAL_INT32, PEAL_SUM, comm), PEAL_OK,
                "reduce_scatter");
    check_all(me, out, count, count * (size_t)me->rank, call, sum, RANKS, "reduce_scatter");
    meeting = small ? NULL : &for_all;
    rank_status(me, peal_allgather(in, out, count, PEAL_INT32, comm), PEAL_OK, "allgather");
    for (int r = 0; r < RANKS; r++)
        check_all(me, out + count * (size_t)r, count, 0, call, value, r, "allgather");
    rank_status(me, peal_bcast(in, all, PEAL_INT32, call % RANKS, comm), PEAL_OK, "bcast");
    check_all(me, in, all, 0, call, value, call % RANKS, "bcast");
    meeting = NULL;
}

static void body(struct rank *me)
{
    int *in = malloc(MOST * sizeof *in), *out = malloc(MOST * sizeof *out);
    peal_comm_t comm;

    setenv("PEAL_TRANSPORTS", "shm", 1);
    setenv("PEAL_ALGORITHMS", "allreduce:staged,reduce_scatter:staged,allgather:staged,bcast:staged", 1);
    if (rank_check(me, in && out, "no memory") && rank_comm(me, &comm)) {
        for (int call = 0; call < CALLS; call++)
            call_all(me, comm, in, out, call);
        rank_check(me, atomic_load(&pace_changes) > 10, "%u changes of the way: stages are not stored either way",
                   atomic_load(&pace_changes));
        rank_check(me, for_one.n == RANKS - 1, "what %d peers read, each a part, is timed as of %d", RANKS - 1,
                   for_one.n);
        rank_check(me, for_both.n == RANKS, "what %d peers read, each a part, and then all is timed as of %d",
                   RANKS - 1, for_both.n);
        rank_check(me, for_all.n == 1, "what all peers read is timed as of %d", for_all.n);
        rank_comm_free(me, &comm);
    }
    free(in);
    free(out);
}

int main(int argc, char **argv)
{
    struct ranks_plan plan = { .name = "stages", .nranks = RANKS, .body = body };
    int failed;

    pace_seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 1;
    printf("seed %u\n", pace_seed);
    failed = ranks_run(&plan);
    printf("stage_ways: %s, %d ranks failed\n", failed ? "FAIL" : "ok", failed);
    return failed ? 1 : 0;
}
