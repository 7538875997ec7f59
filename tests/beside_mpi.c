/* SPDX-License-Identifier: BSD-3-Clause */
/* An MPI program that uses Peal beside MPI, in turns and at once: both may have the
 * same libucp in the process, and neither may notice.  For installed.sh.
 * Usage: mpirun -n N beside_mpi; prints "beside MPI: ok". */
#include <mpi.h>
#include <peal.h>

#include <stdio.h>
#include <stdlib.h>

enum { LARGEST = 300000, TURNS = 20 };

static int check(const int *got, int count, int rank, int size, const char *whose)
{
    for (int i = 0; i < count; i++)
        if (got[i] != i * size + size * (size - 1) / 2) {
            fprintf(stderr, "rank %d: %s: element %d of %d is %d\n", rank, whose, i, count,
                    got[i]);
            return 1;
        }
    return 0;
}

static int turn(int *in, int *theirs, int *ours, int count, int rank, int size, peal_comm_t comm)
{
    MPI_Request request;

    for (int i = 0; i < count; i++) {
        in[i] = i + rank;
        theirs[i] = ours[i] = -1;
    }
    MPI_Iallreduce(in, theirs, count, MPI_INT, MPI_SUM, MPI_COMM_WORLD, &request);
    if (peal_allreduce(in, ours, (size_t)count, PEAL_INT32, PEAL_SUM, comm) != PEAL_OK) {
        fprintf(stderr, "rank %d: %s\n", rank, peal_last_error());
        return 1;
    }
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    return check(theirs, count, rank, size, "MPI") + check(ours, count, rank, size, "Peal");
}

int main(int argc, char **argv)
{
    int *buffers = calloc(3 * LARGEST, sizeof *buffers);
    int rank, size, bad = 0, all;
    peal_comm_t comm;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    /* Twice, so that Peal's part of UCX goes and comes back while MPI's stays. */
    for (int again = 0; again < 2 && !bad; again++) {
        if (!buffers || peal_init(NULL, &comm) != PEAL_OK) {
            fprintf(stderr, "rank %d: %s\n", rank, peal_last_error());
            MPI_Abort(MPI_COMM_WORLD, 1);
        }
        for (int i = 0; i < TURNS && !bad; i++)
            bad = turn(buffers, buffers + LARGEST, buffers + 2 * LARGEST,
                       i % 3 ? 100 * i : LARGEST - i, rank, size, comm);
        bad += peal_comm_free(&comm) != PEAL_OK;
    }
    MPI_Allreduce(&bad, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    if (rank == 0 && !all)
        printf("beside MPI: ok\n");
    MPI_Finalize();
    free(buffers);
    return all != 0;
}
