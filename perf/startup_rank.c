/* SPDX-License-Identifier: BSD-3-Clause */
/* What a rank of perf/startup does, the same text for Peal and for any MPI
 * (compiled with -DUSE_MPI by that MPI's mpicc).
 *
 *   startup job       init, one barrier, leave: how long the init took
 *   startup memory    what a rank holds after init, and after one all-reduce
 *   startup late      all ranks but the last wait a second for it
 *
 * Rank 0 prints lines "NAME VALUE", with times in milliseconds, memory in KiB. */
#include "measured_rank.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#ifdef USE_MPI
#include <mpi.h>
static MPI_Comm world;
#define CHECK(call) check((call) != MPI_SUCCESS, #call)
#define REDUCE_ALL(in, out, n, op) MPI_Allreduce(in, out, n, MPI_DOUBLE, op, world)
#define MAX MPI_MAX
#define SUM MPI_SUM
#define BARRIER() MPI_Barrier(world)
#else
#include <peal.h>
static peal_comm_t world;
#define CHECK(call) check((call) != PEAL_OK, peal_last_error())
#define REDUCE_ALL(in, out, n, op) peal_allreduce(in, out, n, PEAL_FLOAT64, op, world)
#define MAX PEAL_MAX
#define SUM PEAL_SUM
#define BARRIER() peal_barrier(world)
#endif

static void nap(double milliseconds)
{
    struct timespec t = { (time_t)(milliseconds / 1e3),
                          (long)(milliseconds * 1e6) % 1000000000L };

    nanosleep(&t, NULL);
}

static double most(double mine)
{
    double all;

    CHECK(REDUCE_ALL(&mine, &all, 1, MAX));
    return all;
}

static double mean(double mine)
{
    double all;

    CHECK(REDUCE_ALL(&mine, &all, 1, SUM));
    return all / nranks;
}

static void print(const char *name, double value)
{
    if (rank == 0)
        printf("%s %.4f\n", name, value);
}

/* ---- How long the start takes ------------------------------------------ */

static void tell_job(double entered, double returned)
{
    double last_in, last_out;

    CHECK(BARRIER());
    last_in = most(entered);
    last_out = most(returned);
    print("init", most(returned - entered));
    print("init-after-last", last_out - last_in);    /* without waiting for the launcher */
}

/* ---- What a rank holds -------------------------------------------------- */

enum { PSS, DIRTY, RSS, THREADS, DESCRIPTORS, HELD };

static const char *const held_names[HELD] = { "pss", "dirty", "rss", "threads", "descriptors" };

static double line_of(const char *path, const char *name)
{
    FILE *file = fopen(path, "r");
    char line[256];
    double value = 0;

    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            value = atof(line + strlen(name));
    if (file)
        fclose(file);
    return value;
}

static void look(double held[HELD])
{
    DIR *directory = opendir("/proc/self/fd");

    held[PSS] = line_of("/proc/self/smaps_rollup", "Pss:");
    held[DIRTY] = line_of("/proc/self/smaps_rollup", "Private_Dirty:");
    held[RSS] = line_of("/proc/self/status", "VmRSS:");
    held[THREADS] = line_of("/proc/self/status", "Threads:");
    held[DESCRIPTORS] = -3;                      /* ".", "..", and the directory itself */
    while (directory && readdir(directory))
        held[DESCRIPTORS]++;
    if (directory)
        closedir(directory);
}

static void tell_memory(void)
{
    enum { FLOATS = 128 };                       /* of 8 bytes: 1 KiB */
    double fresh[HELD], used[HELD], in[FLOATS] = { 0 }, out[FLOATS];
    char name[64];

    nap(300);                                    /* all are there, none has sent anything */
    look(fresh);
    nap(200);
    CHECK(REDUCE_ALL(in, out, FLOATS, SUM));
    CHECK(BARRIER());
    look(used);
    for (int i = 0; i < HELD; i++) {
        snprintf(name, sizeof name, "%s-fresh", held_names[i]);
        print(name, mean(fresh[i]));
        snprintf(name, sizeof name, "%s-used", held_names[i]);
        print(name, mean(used[i]));
    }
}

/* ---- Waiting for a late rank -------------------------------------------- */

static double busy(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-3;
}

static void tell_late(void)
{
    int late = rank == nranks - 1;
    double in = 1, out, began, spent, came, went;

    CHECK(REDUCE_ALL(&in, &out, 1, SUM));
    CHECK(BARRIER());
    began = busy();
    if (late)
        nap(1000);
    came = now();
    CHECK(REDUCE_ALL(&in, &out, 1, SUM));
    went = now();
    spent = busy() - began;
    came = most(late ? came : 0);
    print("late-percent", mean(late ? 0 : spent) * nranks / (nranks - 1) / 10);
    print("late-percent-most", most(late ? 0 : spent) / 10);
    print("late-wake", most(went - came));
}

int main(int argc, char **argv)
{
    const char *mode = argc == 2 ? argv[1] : "";
    double entered = now(), returned;

#ifdef USE_MPI
    MPI_Init(&argc, &argv);
    returned = now();
    world = MPI_COMM_WORLD;
    MPI_Comm_rank(world, &rank);
    MPI_Comm_size(world, &nranks);
#else
    CHECK(peal_init(NULL, &world));
    returned = now();
    peal_comm_rank(world, &rank);
    peal_comm_size(world, &nranks);
#endif
    if (strcmp(mode, "job") == 0)
        tell_job(entered, returned);
    else if (strcmp(mode, "memory") == 0)
        tell_memory();
    else if (strcmp(mode, "late") == 0)
        tell_late();
    else
        check(1, "usage: startup job|memory|late");
#ifdef USE_MPI
    MPI_Finalize();
#else
    CHECK(peal_comm_free(&world));
#endif
    return 0;
}
