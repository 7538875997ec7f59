/* SPDX-License-Identifier: BSD-3-Clause */
/* What a rank of perf/cost does.
 *
 *   cost_rank bcasts N       N broadcasts of 8 bytes by rank 0, in calls_measured()
 *   cost_rank persistents N  the same, each a peal_start and a peal_wait of one request
 *   cost_rank allreduces N   N sums of 8 bytes, the same
 *   cost_rank start          how long the init and the barriers after it take
 *   cost_rank rest N         eight broadcasts of 1 MiB, 4 ms apart, after half a second without
 *                            traffic, N times: from the agreed moment of each until the last
 *                            rank has returned
 *
 * Rank 0 prints lines "NAME VALUE", with times in milliseconds.  The last one is compiled
 * with -DUSE_MPI by any MPI's mpicc, too, which knows no other. */
#include "measured_rank.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void print(const char *name, double value)
{
    if (rank == 0)
        printf("%s %.4f\n", name, value);
}

#ifdef USE_MPI
#include <mpi.h>
static MPI_Comm world;

static void begin(int *argc, char ***argv)
{
    MPI_Init(argc, argv);
    world = MPI_COMM_WORLD;
    MPI_Comm_rank(world, &rank);
    MPI_Comm_size(world, &nranks);
}

static void end(void)
{
    MPI_Finalize();
}

static double most(double mine)
{
    double all;

    check(MPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, MPI_MAX, world) != MPI_SUCCESS, "MPI_Allreduce");
    return all;
}

static void bcast(void *bytes, size_t n)
{
    check(MPI_Bcast(bytes, (int)n, MPI_BYTE, 0, world) != MPI_SUCCESS, "MPI_Bcast");
}

#else
#include <peal.h>
static peal_comm_t world;
static double init_took;

static void begin(int *argc, char ***argv)
{
    double entered = now();

    (void)argc;
    (void)argv;
    check(peal_init(NULL, &world) != PEAL_OK, peal_last_error());
    init_took = now() - entered;
    peal_comm_rank(world, &rank);
    peal_comm_size(world, &nranks);
}

static void end(void)
{
    check(peal_comm_free(&world) != PEAL_OK, peal_last_error());
}

static double most(double mine)
{
    double all;

    check(peal_allreduce(&mine, &all, 1, PEAL_FLOAT64, PEAL_MAX, world) != PEAL_OK, peal_last_error());
    return all;
}

static void bcast(void *bytes, size_t n)
{
    check(peal_bcast(bytes, n, PEAL_INT8, 0, world) != PEAL_OK, peal_last_error());
}

static void barrier(void)
{
    check(peal_barrier(world) != PEAL_OK, peal_last_error());
}

/* ---- What a repeated call costs ------------------------------------------ */

enum calls { BCASTS, PERSISTENTS, ALLREDUCES };

/* A function of its own, so that callgrind can be told to count what happens in it. */
static __attribute__((noinline)) void calls_measured(enum calls calls, long n, double *in, peal_request_t *request)
{
    double out;
    int status = PEAL_OK;

    for (long i = 0; i < n && status == PEAL_OK; i++)
        if (calls == ALLREDUCES)
            status = peal_allreduce(in, &out, 1, PEAL_FLOAT64, PEAL_SUM, world);
        else if (calls == BCASTS)
            status = peal_bcast(in, 1, PEAL_FLOAT64, 0, world);
        else if ((status = peal_start(request)) == PEAL_OK)
            status = peal_wait(request);
    check(status != PEAL_OK, peal_last_error());
}

static void repeat(enum calls calls, long n)
{
    peal_request_t request = PEAL_REQUEST_NULL;
    double in = 1;

    if (calls == PERSISTENTS)
        check(peal_bcast_init(&in, 1, PEAL_FLOAT64, 0, world, &request) != PEAL_OK, peal_last_error());
    calls_measured(calls, 100, &in, &request);
    barrier();
    calls_measured(calls, n, &in, &request);
    barrier();
    if (calls == PERSISTENTS)
        check(peal_request_free(&request) != PEAL_OK, peal_last_error());
}

/* ---- How long the start takes ---------------------------------------------- */

/* Each from entry to return, the slowest rank: the first barrier waits for those whose init
 * returns last. */
static void start(void)
{
    enum { BARRIERS = 4 };
    double took[BARRIERS], later = 0;

    for (int i = 0; i < BARRIERS; i++) {
        double entered = now();

        barrier();
        took[i] = now() - entered;
    }
    print("init", most(init_took));
    print("first-barrier", most(took[0]));
    for (int i = 1; i < BARRIERS; i++)
        later += most(took[i]) / (BARRIERS - 1);
    print("later-barriers", later);
}
#endif

/* ---- After a rest -------------------------------------------------------------- */

static void sleep_until(double when)
{
    enum { EARLY = 2 };                  /* milliseconds that are spun: a sleep ends late */
    double left = when - EARLY - now();
    struct timespec t;

    if (left > 0) {
        t = (struct timespec){ (time_t)(left / 1e3), (long)(left * 1e6) % 1000000000L };
        nanosleep(&t, NULL);
    }
    while (now() < when)
        ;
}

static double bcast_at(double when, void *bytes, size_t n)
{
    sleep_until(when);
    bcast(bytes, n);
    return now() - when;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_size);
    return values[n / 2];
}

static void rest(int times)
{
    enum { BYTES = 1 << 20, WARM = 50, REST = 500, GAP = 4, CALLS = 8 };
    double *took = calloc((size_t)times * CALLS, sizeof *took), middle;
    char *bytes = malloc(BYTES), name[32];

    check(!took || !bytes, "no memory");
    memset(bytes, 1, BYTES);             /* pages of its own, not the one of zeros */
    for (int i = 0; i < WARM; i++)
        bcast(bytes, BYTES);
    for (int i = 0; i < times; i++) {
        double when = most(now()) + REST;

        for (int k = 0; k < CALLS; k++)
            took[k * times + i] = bcast_at(when + k * GAP, bytes, BYTES);
        for (int k = 0; k < CALLS; k++)
            took[k * times + i] = most(took[k * times + i]);
    }
    for (int k = 0; k < CALLS; k++) {
        middle = median(took + k * times, times);
        snprintf(name, sizeof name, "after-rest-%d", k + 1);
        print(name, middle);
    }
    free(took);
    free(bytes);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    long n = argc > 2 ? atol(argv[2]) : 0;

    begin(&argc, &argv);
    if (strcmp(mode, "rest") == 0 && n > 0)
        rest((int)n);
#ifndef USE_MPI
    else if (strcmp(mode, "bcasts") == 0)
        repeat(BCASTS, n);
    else if (strcmp(mode, "persistents") == 0)
        repeat(PERSISTENTS, n);
    else if (strcmp(mode, "allreduces") == 0)
        repeat(ALLREDUCES, n);
    else if (strcmp(mode, "start") == 0)
        start();
#endif
    else
        check(1, "usage: cost_rank bcasts N | persistents N | allreduces N | start | rest N");
    end();
    return 0;
}
