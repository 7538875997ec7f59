/* SPDX-License-Identifier: BSD-3-Clause */
/* Any MPI for perf/compare: blocking collectives of MPI-2.2. */
#include "side_by_side.h"

#include <mpi.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void library_failed(const char *what)
{
    fprintf(stderr, "mpi: %s\n", what);
    exit(1);
}

static void check(int status, const char *what)
{
    if (status != MPI_SUCCESS)
        library_failed(what);
}

void library_open(int *argc, char ***argv, int *rank, int *nranks)
{
    check(MPI_Init(argc, argv), "MPI_Init");
    MPI_Comm_rank(MPI_COMM_WORLD, rank);
    MPI_Comm_size(MPI_COMM_WORLD, nranks);
}

void library_close(void)
{
    MPI_Finalize();
}

const char *library_version(void)
{
    static char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int length;

    MPI_Get_library_version(text, &length);
    text[strcspn(text, "\n")] = 0;
    return text;
}

int library_variant(const char *name, enum collective what, size_t bytes)
{
    (void)what, (void)bytes;
    return strcmp(name, "plain") == 0;
}

void *library_alloc(size_t bytes)
{
    void *memory;

    if (posix_memalign(&memory, 4096, bytes) != 0)
        library_failed("no memory");
    return memory;
}

void library_free(void *memory)
{
    free(memory);
}

void library_prepare(struct call *call)
{
    (void)call;
}

void library_release(struct call *call)
{
    (void)call;
}

void library_call(struct call *c)
{
    MPI_Comm world = MPI_COMM_WORLD;
    int n = (int)c->n, status = MPI_SUCCESS;

    switch (c->what) {
    case ALLREDUCE:
        status = MPI_Allreduce(c->in, c->out, n, MPI_FLOAT, MPI_SUM, world);
        break;
    case ALLGATHER:
        status = MPI_Allgather(c->in, n, MPI_FLOAT, c->out, n, MPI_FLOAT, world);
        break;
    case BCAST:
        status = MPI_Bcast(c->out, n, MPI_FLOAT, 0, world);
        break;
    case REDUCE_SCATTER:
        status = MPI_Reduce_scatter_block(c->in, c->out, n, MPI_FLOAT, MPI_SUM, world);
        break;
    case REDUCE:
        status = MPI_Reduce(c->in, c->out, n, MPI_FLOAT, MPI_SUM, 0, world);
        break;
    default:
        status = MPI_Barrier(world);
        break;
    }
    check(status, "call");
}

void library_barrier(void)
{
    check(MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier");
}

void library_max(double *values, int count)
{
    check(MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD),
          "MPI_Allreduce");
}
