/* SPDX-License-Identifier: BSD-3-Clause */
/* Lesson 8: what goes wrong, and how Peal says so.
 *
 * Two classic mistakes, made on purpose: ranks that disagree about a call, and a
 * rank that does not come.  Neither hangs and neither gives wrong results: each
 * is an error status with an explanation, on all ranks.
 *
 *     peal-run -n 3 ./08_errors */
#include <peal.h>

#include <stdio.h>

enum { COUNT = 1000 };

static int failed(const char *what, int status)
{
    if (status == PEAL_OK)
        return 0;
    fprintf(stderr, "%s: %s: %s\n", what, peal_strerror(status), peal_last_error());
    return 1;
}

/* Show a failure that must happen; 1 if it did not. */
static int expect(int rank, const char *lesson, int status, int wanted)
{
    printf("rank %d, %s: %s\n    %s\n", rank, lesson, peal_strerror(status),
           status == PEAL_OK ? "" : peal_last_error());
    fflush(stdout);
    return status != wanted;
}

/* Rank 0 wants one element less than the others. */
static int mismatch(peal_comm_t world, int rank)
{
    static float in[COUNT], out[COUNT];
    peal_comm_t comm;
    int status;

    /* A communicator on which a call failed is broken.  A copy keeps the world. */
    if (failed("dup", peal_comm_dup(world, &comm)))
        return 1;
    status = peal_allreduce(in, out, rank == 0 ? COUNT - 1 : COUNT, PEAL_FLOAT32, PEAL_SUM,
                            comm);
    status = expect(rank, "different counts", status, PEAL_ERR_MISMATCH);
    peal_comm_free(&comm);
    return status;
}

/* The last rank leaves the others waiting.  The deadline ends it. */
static int timeout(peal_comm_t world, int rank, int size)
{
    peal_comm_t comm;
    int status = 0;

    if (failed("dup", peal_comm_dup(world, &comm)))
        return 1;
    if (failed("timeout", peal_comm_set_timeout(comm, 0.5)))
        return 1;
    if (rank != size - 1)
        status = expect(rank, "a rank did not come", peal_barrier(comm), PEAL_ERR_TIMEOUT);
    /* The other copies are not touched by it: here all meet again. */
    if (failed("barrier", peal_barrier(world)))
        return 1;
    peal_comm_free(&comm);
    return status;
}

int main(void)
{
    peal_comm_t world;
    int rank, size, bad;

    if (failed("init", peal_init(NULL, &world)))
        return 1;
    peal_comm_rank(world, &rank);
    peal_comm_size(world, &size);
    if (size < 2) {
        printf("this lesson needs two ranks or more: peal-run -n 3 ./08_errors\n");
        peal_comm_free(&world);
        return 77;                         /* make check: skipped */
    }
    bad = mismatch(world, rank);
    bad |= timeout(world, rank, size);

    /* An argument that cannot be right fails at once, and breaks nothing. */
    bad |= expect(rank, "no buffer", peal_bcast(NULL, COUNT, PEAL_FLOAT32, 0, world),
                  PEAL_ERR_ARGUMENT);
    return failed("free", peal_comm_free(&world)) || bad;
}
