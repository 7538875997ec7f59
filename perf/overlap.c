/* SPDX-License-Identifier: BSD-3-Clause */
/* How much of a nonblocking all-reduce is hidden behind computation.
 *
 *   PEAL_PROGRESS=1 peal-run --bind -n 2 overlap [BYTES]
 *
 * Three times per round, medians over rounds: the all-reduce alone; the computation
 * alone, half as long again as the all-reduce; both, the all-reduce started before
 * the computation and waited for after it.  Hidden: the part of the all-reduce that
 * the third does not show.  The computation is done twice: on a device (the host's
 * thread sleeps until it is over, as it does for a GPU), and by the thread itself,
 * which then competes with the progress thread for its core. */
#include <peal.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 21 };

static peal_comm_t world;
static int rank;

static void check(int status)
{
    if (status == PEAL_OK)
        return;
    fprintf(stderr, "rank %d: %s\n", rank, peal_last_error());
    exit(1);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void on_device(double seconds)
{
    struct timespec t = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };

    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
        continue;
}

/* So much work, not so much time: what the progress thread takes shows. */
static void by_itself(double seconds)
{
    static double steps_per_second;
    volatile double x = 1;

    if (steps_per_second == 0) {
        double begun = now();

        for (long i = 0; i < 20000000; i++)
            x = x * 1.0000001;
        steps_per_second = 20000000 / (now() - begun);
    }
    for (long i = 0, n = (long)(seconds * steps_per_second); i < n; i++)
        x = x * 1.0000001;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Of the slowest rank. */
static double slowest(double seconds)
{
    double most;

    check(peal_allreduce(&seconds, &most, 1, PEAL_FLOAT64, PEAL_MAX, world));
    return most;
}

static double median(double *times)
{
    qsort(times, ROUNDS, sizeof *times, ascending);
    return times[ROUNDS / 2];
}

static void measure(const char *name, void (*compute)(double), float *in, float *out, size_t n)
{
    double alone[ROUNDS], computing[ROUNDS], both[ROUNDS], seconds = 0, a, c, b;

    compute(1e-4);
    for (int i = -1; i < ROUNDS; i++) {
        peal_request_t request;
        double begun;

        check(peal_barrier(world));
        begun = now();
        check(peal_iallreduce(in, out, n, PEAL_FLOAT32, PEAL_SUM, world, &request));
        check(peal_wait(&request));
        a = slowest(now() - begun);
        seconds = i < 0 ? 1.5 * a : seconds;
        begun = now();
        compute(seconds);
        c = slowest(now() - begun);
        check(peal_barrier(world));
        begun = now();
        check(peal_iallreduce(in, out, n, PEAL_FLOAT32, PEAL_SUM, world, &request));
        compute(seconds);
        check(peal_wait(&request));
        b = slowest(now() - begun);
        if (i >= 0) {
            alone[i] = a;
            computing[i] = c;
            both[i] = b;
        }
    }
    a = median(alone);
    c = median(computing);
    b = median(both);
    if (rank == 0)
        printf("%-10s all-reduce %8.3f ms, computation %8.3f ms, both %8.3f ms: %5.1f %% hidden\n",
               name, a * 1e3, c * 1e3, b * 1e3, 100 * (1 - (b - c) / a));
}

int main(int argc, char **argv)
{
    size_t bytes = argc > 1 ? strtoull(argv[1], NULL, 0) : 16 << 20;
    float *in = malloc(bytes + 1), *out = malloc(bytes + 1);

    if (!in || !out) {
        fprintf(stderr, "overlap: no memory for %zu bytes\n", bytes);
        return 1;
    }
    check(peal_init(NULL, &world));
    check(peal_comm_rank(world, &rank));
    memset(in, 0, bytes);
    memset(out, 0, bytes);
    measure("device", on_device, in, out, bytes / sizeof *in);
    measure("core", by_itself, in, out, bytes / sizeof *in);
    check(peal_comm_free(&world));
    free(in);
    free(out);
    return 0;
}
