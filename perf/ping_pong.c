/* SPDX-License-Identifier: BSD-3-Clause */
/* Half round trips and streams of two ranks, for perf/verbs/compare and
 * perf/ucx/compare: by Peal, or with -DUSE_MPI by MPI.
 *
 *   ping_pong BYTES...
 *
 * Rank 0 prints "latency BYTES MICROSECONDS" (median of the half round trips, of more
 * where they are short) and "stream BYTES MB/S" (WINDOW messages one way and an answer,
 * median of the rounds). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SHORT = 4096, WINDOW = 16 };
enum { ROUNDS = 1001, LONG_ROUNDS = 101, STREAMS = 101, LONG_STREAMS = 11 };

static int rank;

#ifdef USE_MPI
#include <mpi.h>

static void start(int *argc, char ***argv)
{
    MPI_Init(argc, argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
}

static void *buffer(size_t bytes)
{
    return malloc(bytes);
}

static void send_one(const void *bytes, size_t length)
{
    MPI_Send(bytes, (int)length, MPI_BYTE, !rank, 0, MPI_COMM_WORLD);
}

static void receive_one(void *bytes, size_t length)
{
    MPI_Recv(bytes, (int)length, MPI_BYTE, !rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static MPI_Request requests[WINDOW];

static void begin(int i, void *bytes, size_t length)
{
    if (rank == 0)
        MPI_Isend(bytes, (int)length, MPI_BYTE, 1, 0, MPI_COMM_WORLD, &requests[i]);
    else
        MPI_Irecv(bytes, (int)length, MPI_BYTE, 0, 0, MPI_COMM_WORLD, &requests[i]);
}

static void end_all(void)
{
    MPI_Waitall(WINDOW, requests, MPI_STATUSES_IGNORE);
}

static void stop(void)
{
    MPI_Finalize();
}
#else
#include <peal.h>

static peal_comm_t world;

static void check(int status)
{
    if (status == PEAL_OK)
        return;
    fprintf(stderr, "ping_pong: %s\n", peal_last_error());
    exit(1);
}

static void start(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    check(peal_init(NULL, &world));
    check(peal_comm_rank(world, &rank));
}

static void *buffer(size_t bytes)
{
    void *memory;

    check(peal_mem_alloc(bytes, &memory));
    return memory;
}

static void send_one(const void *bytes, size_t length)
{
    check(peal_send(bytes, length, PEAL_UINT8, !rank, world));
}

static void receive_one(void *bytes, size_t length)
{
    check(peal_recv(bytes, length, PEAL_UINT8, !rank, world));
}

static peal_request_t requests[WINDOW];

static void begin(int i, void *bytes, size_t length)
{
    if (rank == 0)
        check(peal_isend(bytes, length, PEAL_UINT8, 1, world, &requests[i]));
    else
        check(peal_irecv(bytes, length, PEAL_UINT8, 0, world, &requests[i]));
}

static void end_all(void)
{
    check(peal_waitall(WINDOW, requests));
}

static void stop(void)
{
    check(peal_comm_free(&world));
}
#endif

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *of, int n)
{
    qsort(of, (size_t)n, sizeof *of, ascending);
    return of[n / 2];
}

static double round_trip(char *bytes, size_t length)
{
    double begun = now();

    if (rank == 0) {
        send_one(bytes, length);
        receive_one(bytes, length);
    } else {
        receive_one(bytes, length);
        send_one(bytes, length);
    }
    return now() - begun;
}

static double stream(char *bytes, size_t length)
{
    double begun = now();

    for (int i = 0; i < WINDOW; i++)
        begin(i, bytes + (size_t)i * length, length);
    end_all();
    if (rank == 0)
        receive_one(bytes, 1);
    else
        send_one(bytes, 1);
    return now() - begun;
}

int main(int argc, char **argv)
{
    double times[ROUNDS];

    start(&argc, &argv);
    for (int a = 1; a < argc; a++) {
        size_t length = strtoull(argv[a], NULL, 0);
        int rounds = length > SHORT ? LONG_ROUNDS : ROUNDS;
        int streams = length > SHORT ? LONG_STREAMS : STREAMS;
        char *bytes = buffer(length * WINDOW);

        memset(bytes, rank, length * WINDOW);
        for (int i = -5; i < rounds; i++)
            times[i < 0 ? 0 : i] = round_trip(bytes, length);
        if (rank == 0)
            printf("latency %zu %.2f\n", length, median(times, rounds) / 2 * 1e6);
        for (int i = -1; i < streams; i++)
            times[i < 0 ? 0 : i] = stream(bytes, length);
        if (rank == 0)
            printf("stream %zu %.2f\n", length,
                   (double)(length * WINDOW) / median(times, streams) * 1e-6);
    }
    stop();
    return 0;
}
