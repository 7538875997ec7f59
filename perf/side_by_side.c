/* SPDX-License-Identifier: BSD-3-Clause */
/* The timing loop of perf/compare, the same text for Peal and for any MPI
 * (compiled with -DUSE_MPI by that MPI's mpicc).
 *
 *   side_by_side COLLECTIVE BYTES...
 *
 * Prints "BYTES MICROSECONDS" per size: the median over batches of the time of
 * one call, the maximum over the ranks of each batch.  Buffers are float32,
 * touched before, out of place, the same in every call; sums are verified. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef USE_MPI
#include <mpi.h>
static MPI_Comm world;
#define CHECK(call) check((call) != MPI_SUCCESS, #call)
#define ALLREDUCE(in, out, n) MPI_Allreduce(in, out, (int)(n), MPI_FLOAT, MPI_SUM, world)
#define ALLREDUCE_MAX(in, out) MPI_Allreduce(in, out, 1, MPI_DOUBLE, MPI_MAX, world)
#define ALLGATHER(in, out, n) \
    MPI_Allgather(in, (int)(n), MPI_FLOAT, out, (int)(n), MPI_FLOAT, world)
#define BCAST(buffer, n) MPI_Bcast(buffer, (int)(n), MPI_FLOAT, 0, world)
#define REDUCE_SCATTER(in, out, n) \
    MPI_Reduce_scatter_block(in, out, (int)(n), MPI_FLOAT, MPI_SUM, world)
#define BARRIER() MPI_Barrier(world)
#else
#include <peal.h>
static peal_comm_t world;
#define CHECK(call) check((call) != PEAL_OK, peal_last_error())
#define ALLREDUCE(in, out, n) peal_allreduce(in, out, n, PEAL_FLOAT32, PEAL_SUM, world)
#define ALLREDUCE_MAX(in, out) peal_allreduce(in, out, 1, PEAL_FLOAT64, PEAL_MAX, world)
#define ALLGATHER(in, out, n) peal_allgather(in, out, n, PEAL_FLOAT32, world)
#define BCAST(buffer, n) peal_bcast(buffer, n, PEAL_FLOAT32, 0, world)
#define REDUCE_SCATTER(in, out, n) \
    peal_reduce_scatter_block(in, out, n, PEAL_FLOAT32, PEAL_SUM, world)
#define BARRIER() peal_barrier(world)
#endif

enum { BATCHES = 21 };

static int rank, nranks;

static void check(int bad, const char *what)
{
    if (!bad)
        return;
    fprintf(stderr, "rank %d: %s\n", rank, what);
    exit(1);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* `n` is the number of floats of one rank's block. */
static void call(const char *collective, float *in, float *out, size_t n)
{
    if (strcmp(collective, "allreduce") == 0)
        CHECK(ALLREDUCE(in, out, n));
    else if (strcmp(collective, "allgather") == 0)
        CHECK(ALLGATHER(in, out, n));
    else if (strcmp(collective, "bcast") == 0)
        CHECK(BCAST(out, n));
    else if (strcmp(collective, "reduce_scatter") == 0)
        CHECK(REDUCE_SCATTER(in, out, n));
    else if (strcmp(collective, "barrier") == 0)
        CHECK(BARRIER());
    else
        check(1, "unknown collective");
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void verify(const char *collective, const float *out, size_t n)
{
    float sum = (float)(nranks * (nranks + 1) / 2);
    int sums = strcmp(collective, "allreduce") == 0 || strcmp(collective, "reduce_scatter") == 0;

    for (size_t i = 0; sums && i < n; i++)
        check(out[i] != sum, "wrong result");
}

static void measure(const char *collective, size_t bytes)
{
    size_t n = bytes / sizeof(float);
    size_t blocks = n * (size_t)nranks + 16;
    float *in = malloc(blocks * sizeof *in), *out = malloc(blocks * sizeof *out);
    int calls = bytes <= 4096 ? 1000 : bytes <= 65536 ? 200 : bytes <= 1 << 20 ? 20 : 2;
    double times[BATCHES];

    check(!in || !out, "no memory");
    for (size_t i = 0; i < blocks; i++) {
        in[i] = (float)(rank + 1);
        out[i] = 0;
    }
    for (int b = -1; b < BATCHES; b++) {           /* the first batch warms up */
        double start, mine, slowest;

        CHECK(BARRIER());
        start = now();
        for (int i = 0; i < calls; i++)
            call(collective, in, out, n);
        mine = (now() - start) / calls;
        CHECK(ALLREDUCE_MAX(&mine, &slowest));
        if (b >= 0)
            times[b] = slowest;
    }
    verify(collective, out, n);
    qsort(times, BATCHES, sizeof *times, ascending);
    if (rank == 0)
        printf("%zu %.3f\n", bytes, times[BATCHES / 2]);
    free(in);
    free(out);
}

int main(int argc, char **argv)
{
#ifdef USE_MPI
    MPI_Init(&argc, &argv);
    world = MPI_COMM_WORLD;
    MPI_Comm_rank(world, &rank);
    MPI_Comm_size(world, &nranks);
#else
    CHECK(peal_init(NULL, &world));
    peal_comm_rank(world, &rank);
    peal_comm_size(world, &nranks);
#endif
    check(argc < 3, "usage: side_by_side COLLECTIVE BYTES...");
    for (int i = 2; i < argc; i++)
        measure(argv[1], (size_t)strtoull(argv[i], NULL, 10));
#ifdef USE_MPI
    MPI_Finalize();
#else
    CHECK(peal_comm_free(&world));
#endif
    return 0;
}
