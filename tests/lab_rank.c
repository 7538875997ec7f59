/* SPDX-License-Identifier: BSD-3-Clause */
/* One rank for the lab (tests/lab/), told by PEAL_RANK and its kin what it is.
 *   lab_rank every             every collective and send/recv, checked; ends with 0
 *   lab_rank forks             allreduces, checked, while children are forked that write to
 *                              their copies of the memory and end at once; ends with 0
 *   lab_rank through F SECONDS makes file F.RANK, with its pid, when all is well; then
 *                              large allreduces, checked, until rank 0 has seen so many
 *                              seconds pass.  Ends with 0, or with 3 if the network or a
 *                              peer failed: PEAL_ERR_PEER or PEAL_ERR_TIMEOUT; the text
 *                              of that must name a rank. */
#include "peal.h"
#include "rank_alone.h"
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 60000, RANKS = 16, LARGE = 100000 };

struct self {
    int         rank, size, bad;
    peal_comm_t comm;
    uint32_t   *in, *out, *want;       /* RANKS * MOST elements each */
};

/* `count` elements of out must be those of want. */
static void expect(struct self *me, int status, const char *what, size_t count)
{
    if (status) {
        me->bad += say(me->rank, status, what);
    } else if (memcmp(me->out, me->want, count * sizeof *me->out) != 0) {
        fprintf(stderr, "rank %d: %s of %zu elements: wrong values\n", me->rank, what, count);
        me->bad++;
    }
}

static void reduce_scatters(struct self *me, const struct sample *sample, size_t count)
{
    size_t counts[RANKS], before = 0;

    sample_input(sample, me->rank, 0, count * (size_t)me->size, me->in);
    sample_combined(sample, count * (size_t)me->rank, count, me->want);
    expect(me, peal_reduce_scatter_block(me->in, me->out, count, PEAL_UINT32, PEAL_SUM,
                                         me->comm), "reduce_scatter_block", count);
    for (int i = 0; i < me->size; i++)
        counts[i] = i % 2 ? 0 : count;
    for (int i = 0; i < me->rank; i++)
        before += counts[i];
    sample_combined(sample, before, counts[me->rank], me->want);
    expect(me, peal_reduce_scatter(me->in, me->out, counts, PEAL_UINT32, PEAL_SUM, me->comm),
           "reduce_scatter", counts[me->rank]);
}

static void every(struct self *me, size_t count)
{
    struct sample sample = { PEAL_UINT32, PEAL_SUM, me->size, count };
    int next = (me->rank + 1) % me->size, previous = (me->rank + me->size - 1) % me->size;
    size_t bytes = count * sizeof *me->in;

    sample_input(&sample, me->rank, 0, count, me->in);
    sample_combined(&sample, 0, count, me->want);
    expect(me, peal_allreduce(me->in, me->out, count, PEAL_UINT32, PEAL_SUM, me->comm),
           "allreduce", count);
    for (int root = 0; root < me->size && !me->bad; root++) {
        expect(me, peal_reduce(me->in, me->out, count, PEAL_UINT32, PEAL_SUM, root, me->comm),
               "reduce", root == me->rank ? count : 0);
        memcpy(me->out, me->in, bytes);
        sample_input(&sample, root, 0, count, me->want);
        expect(me, peal_bcast(me->out, count, PEAL_UINT32, root, me->comm), "bcast", count);
        sample_combined(&sample, 0, count, me->want);
    }
    for (int i = 0; i < me->size; i++)
        sample_input(&sample, i, 0, count, me->want + (size_t)i * count);
    expect(me, peal_allgather(me->in, me->out, count, PEAL_UINT32, me->comm), "allgather",
           count * (size_t)me->size);
    sample_input(&sample, previous, 0, count, me->want);
    expect(me, peal_sendrecv(me->in, count, next, me->out, count, previous, PEAL_UINT32,
                             me->comm), "sendrecv", count);
    reduce_scatters(me, &sample, count);
    expect(me, peal_barrier(me->comm), "barrier", 0);
}

static int forks(struct self *me)
{
    static const uint32_t counts[] = { 10, 3000, MOST };
    struct sample sample = { PEAL_UINT32, PEAL_SUM, me->size, MOST };

    for (int i = 0; i < 30 && !me->bad; i++) {
        size_t count = counts[i % 3], bytes = count * sizeof *me->in;
        peal_request_t request;
        int ended = 0;
        pid_t child;

        sample_input(&sample, me->rank, 0, count, me->in);
        sample_combined(&sample, 0, count, me->want);
        if (peal_iallreduce(me->in, me->out, count, PEAL_UINT32, PEAL_SUM, me->comm, &request))
            return say(me->rank, PEAL_ERR_SYSTEM, "iallreduce");
        child = fork();
        if (child == 0) {
            memset(me->in, 255, bytes);
            memset(me->out, 255, bytes);
            _exit(0);
        }
        expect(me, peal_wait(&request), "allreduce", count);
        me->bad += child < 0 || waitpid(child, &ended, 0) != child || ended != 0;
    }
    return me->bad != 0;
}

/* Element 0 says whether rank 0 wants to go on; the others are checked. */
static int through(struct self *me, const char *name, double seconds)
{
    char file[256];
    double begun = now(), latest = begun;
    int status = peal_barrier(me->comm), calls = 0;
    FILE *ready;

    snprintf(file, sizeof file, "%s.%d", name, me->rank);
    for (bool on = true; on && !status && !me->bad; calls++) {
        if (calls == 1 && (ready = fopen(file, "w"))) {
            fprintf(ready, "%ld\n", (long)getpid());
            fclose(ready);
        }
        for (uint32_t i = 0; i < LARGE; i++)
            me->in[i] = i + (uint32_t)me->rank;
        me->in[0] = me->rank == 0 && now() - begun < seconds;
        latest = now();
        status = peal_allreduce(me->in, me->out, LARGE, PEAL_UINT32, PEAL_SUM, me->comm);
        if (status)
            break;
        on = me->out[0];
        for (uint32_t i = 1; i < LARGE; i++)
            me->bad += me->out[i] != i * (uint32_t)me->size +
                                         (uint32_t)(me->size * (me->size - 1) / 2);
    }
    if (!status) {
        printf("rank %d: %d allreduces, %d wrong values\n", me->rank, calls, me->bad);
        return me->bad != 0;
    }
    printf("rank %d: after %d allreduces, within %.1f s: %s: %.400s\n", me->rank, calls,
           now() - latest, peal_strerror(status), peal_last_error());
    if (status != PEAL_ERR_PEER && status != PEAL_ERR_TIMEOUT)
        return 1;
    return strstr(peal_last_error(), "rank ") ? 3 : 1;
}

int main(int argc, char **argv)
{
    static const size_t counts[] = { 1, 100, 3000, MOST };
    struct self me = { .rank = -1 };
    int status, result;

    if (argc < 2)
        return 2;
    if ((status = peal_init(NULL, &me.comm)))
        return say(-1, status, "peal_init");
    peal_comm_rank(me.comm, &me.rank);
    peal_comm_size(me.comm, &me.size);
    me.in = calloc((size_t)RANKS * MOST, sizeof *me.in);
    me.out = calloc((size_t)RANKS * MOST, sizeof *me.out);
    me.want = calloc((size_t)RANKS * MOST, sizeof *me.want);
    if (me.size > RANKS || !me.in || !me.out || !me.want)
        return 2;
    if (!strcmp(argv[1], "through") && argc > 3) {
        result = through(&me, argv[2], atof(argv[3]));
    } else if (!strcmp(argv[1], "forks")) {
        result = forks(&me);
    } else {
        for (size_t i = 0; i < sizeof counts / sizeof *counts && !me.bad; i++)
            every(&me, counts[i]);
        result = me.bad != 0;
    }
    status = peal_comm_free(&me.comm);
    free(me.in);
    free(me.out);
    free(me.want);
    return status && !result ? say(me.rank, status, "peal_comm_free") : result;
}
