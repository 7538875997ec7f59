/* SPDX-License-Identifier: BSD-3-Clause */
/* Lesson 1: ranks meet.
 *
 * A job is n copies of one program, its ranks, numbered from 0.  They find each
 * other in peal_init, whatever started them: peal-run, mpirun, srun or torchrun.
 * Started alone, the program is a job of one rank.
 *
 *     peal-run -n 4 ./01_hello */
#include <peal.h>

#include <stdio.h>

/* Every call returns a status.  peal_last_error() says what happened, to whom,
 * why, and what to try. */
static int failed(const char *what, int status)
{
    if (status == PEAL_OK)
        return 0;
    fprintf(stderr, "%s: %s: %s\n", what, peal_strerror(status), peal_last_error());
    return 1;
}

int main(void)
{
    peal_comm_t world;                     /* a communicator: a group of ranks */
    int rank, size;

    if (failed("init", peal_init(NULL, &world)))
        return 1;
    if (failed("rank", peal_comm_rank(world, &rank)))
        return 1;
    if (failed("size", peal_comm_size(world, &size)))
        return 1;
    printf("hello from rank %d of %d\n", rank, size);
    fflush(stdout);

    /* No rank gets past a barrier before all have come to it. */
    if (failed("barrier", peal_barrier(world)))
        return 1;
    if (rank == 0)
        printf("all %d ranks have said hello\n", size);
    return failed("free", peal_comm_free(&world));
}
