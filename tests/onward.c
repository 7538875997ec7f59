/* SPDX-License-Identifier: BSD-3-Clause */
/* Sums of registered memory that go on as they are made: combined, stored where the peer expects
 * them and kept, in one pass.  All sizes from those that are copied to those that go past the
 * caches, over and over, with ranks that are early and late, with results that lie where peers
 * can see them and where not, and on ranks that do not agree on that.  And that it is indeed one
 * pass, here and where ordinary memory is relayed, or sent and kept.
 *
 *   onward [seed] */
#define landing_put landing_put_counted
#include "devices/landing.c"
#undef landing_put
int landing_put(const struct landing *landing, size_t offset, const void *piece, size_t length);

#include "effort.h"
#include "ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GUARD = 16, ROUNDS = 8, LARGEST = (20 << 20) / sizeof(float) };

struct memory { float *whole[2][2]; };         /* [in, out][of peal_mem_alloc] */

/* In place of the library's: how many pieces were stored in two places, and were not. */
static struct { unsigned twice, once; } landings;

int landing_put(const struct landing *landing, size_t offset, const void *piece, size_t length)
{
    if (landing->also && landing->also->place)
        landings.twice++;
    else
        landings.once++;
    return landing_put_counted(landing, offset, piece, length);
}

static float value(size_t i, int rank, uint64_t round)
{
    return (float)((i * 2654435761u + round * 977 + (uint64_t)rank * 131) % 4093);
}

static bool memory_make(struct rank *me, struct memory *memory)
{
    size_t bytes = (LARGEST + 2 * GUARD) * sizeof(float);
    bool made = true;

    for (int k = 0; k < 2; k++) {
        memory->whole[k][0] = malloc(bytes);
        made = memory->whole[k][0] &&
               rank_status(me, peal_mem_alloc(bytes, (void **)&memory->whole[k][1]), PEAL_OK,
                           "peal_mem_alloc") && made;
    }
    return rank_check(me, made, "no memory");
}

static void verify(struct rank *me, const float *out, size_t count, uint64_t round)
{
    for (size_t i = 0; i < count; i++) {
        float wanted = 0;

        for (int r = 0; r < me->nranks; r++)
            wanted += value(i, r, round);
        if (!rank_check(me, out[i] == wanted, "element %zu of %zu, round %d: %g, not %g", i,
                        count, (int)round, (double)out[i], (double)wanted))
            return;
    }
    for (int i = 0; i < GUARD; i++)
        if (!rank_check(me, out[-1 - i] == -5 && out[count + (size_t)i] == -5,
                        "written outside of %zu elements, round %d", count, (int)round))
            return;
}

/* All draw the same numbers; what ranks do not agree on is in `lot`, a bit for each. */
static void one_sum(struct rank *me, peal_comm_t comm, const struct memory *memory, size_t count,
                    uint64_t round, uint64_t lot)
{
    bool in_place = lot % 5 == 4, visible = lot % 4 || (lot >> (8 + me->rank) & 1);
    bool late = lot >> (16 + me->rank) & 1, nonblocking = lot >> 24 & 1 && lot >> 25 & 1;
    size_t shift = lot >> 26 & 1 ? 3 : 0;
    float *in = memory->whole[0][visible] + GUARD, *out = memory->whole[1][visible] + GUARD + shift;
    peal_request_t request = PEAL_REQUEST_NULL;
    const void *from = in_place ? PEAL_IN_PLACE : in;

    rank_doing(me, "a sum of %zu floats%s%s, round %d", count, in_place ? ", in place" : "",
               visible ? "" : ", of plain memory", (int)round);
    for (size_t i = 0; i < count + 2 * GUARD; i++)
        out[(ptrdiff_t)i - GUARD] = -5;
    for (size_t i = 0; i < count; i++)
        (in_place ? out : in)[i] = value(i, me->rank, round);
    rank_meet(me);
    if (late)
        usleep(300);
    if (nonblocking) {
        if (rank_status(me, peal_iallreduce(from, out, count, PEAL_FLOAT32, PEAL_SUM, comm,
                                            &request), PEAL_OK, "peal_iallreduce"))
            rank_status(me, peal_wait(&request), PEAL_OK, "peal_wait");
    } else {
        rank_status(me, peal_allreduce(from, out, count, PEAL_FLOAT32, PEAL_SUM, comm), PEAL_OK,
                    "peal_allreduce");
    }
    verify(me, out, count, round);
}

/* Of so many calls, at least one piece was; not in every call, for where the peer is late, it is
 * stored once. */
static void one_pass(struct rank *me, peal_comm_t comm, const struct memory *memory)
{
    enum { CALLS = 20, COUNT = 300001, LOT_PLAIN = 0, LOT_REGISTERED = 1 };

    for (uint64_t lot = LOT_PLAIN; lot <= LOT_REGISTERED; lot++) {
        landings.twice = 0;
        for (int i = 0; i < CALLS && rank_failures(me) == 0; i++)
            one_sum(me, comm, memory, COUNT, (uint64_t)i, lot);
        rank_check(me, landings.twice > 0, "no sum of %s memory was stored in two places at once (%u pieces in one)",
                   lot == LOT_PLAIN ? "plain" : "registered", landings.once);
    }
    landings.twice = 0;
    rank_doing(me, "allgathers");
    for (int i = 0; i < CALLS && rank_failures(me) == 0; i++)
        rank_status(me, peal_allgather(memory->whole[0][0], memory->whole[1][0], COUNT, PEAL_FLOAT32, comm),
                    PEAL_OK, "peal_allgather");
    rank_check(me, landings.twice > 0, "no allgather's own block was sent and kept at once");
}

static void body(struct rank *me)
{
    static const size_t counts[] = { 2500, 10007, 16384, 65536, 300001, LARGEST - GUARD };
    uint64_t random = *(const uint64_t *)me->context;
    struct memory memory = { 0 };
    peal_comm_t comm;

    if (!memory_make(me, &memory) || !rank_comm(me, &comm))
        return;
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        int rounds = counts[k] > 100000 ? effort_quick() ? 3 : ROUNDS : 4 * ROUNDS;

        for (int i = 0; i < rounds && rank_failures(me) == 0; i++)
            one_sum(me, comm, &memory, counts[k], (uint64_t)i, ranks_random(&random));
    }
    if (me->nranks == 2 && rank_failures(me) == 0)
        one_pass(me, comm, &memory);
    rank_comm_free(me, &comm);
    for (int k = 0; k < 2; k++) {
        free(memory.whole[k][0]);
        rank_status(me, peal_mem_free(memory.whole[k][1]), PEAL_OK, "peal_mem_free");
    }
}

int main(int argc, char **argv)
{
    static const int sizes[] = { 2, 3 };
    static const char *const algorithms[] = { NULL, "allreduce:ring", "allreduce:halving" };
    uint64_t seed = ranks_seed(argc, argv, 1);
    double started = ranks_now();
    int failed = 0;

    setenv("PEAL_LOG", "error", 0);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (size_t a = 0; a < sizeof algorithms / sizeof *algorithms; a++) {
            peal_config_t config = PEAL_CONFIG_INIT;
            struct ranks_plan plan = {
                .name = "onward", .nranks = sizes[k], .config = &config, .body = body,
                .context = &seed, .seconds = 120,
            };

            config.transports = "shm";
            config.algorithms = algorithms[a];
            config.timeout = 60;
            failed += ranks_run(&plan);
        }
    return ranks_verdict("onward", failed, started);
}
