/* SPDX-License-Identifier: BSD-3-Clause */
/* What two cores of this machine do, with two processes: prints lines
 * "machine NAME: VALUE UNIT".  Each figure is the best of a few repetitions:
 * a floor.  Takes about two seconds. */
#include "loopback.h"
#include "processes.h"
#include "side_by_side.h"
#include "stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { REPEATS = 5, STREAM_BYTES = 64 << 20, PIECE = 1 << 20 };

struct shared {
    struct counter turn[2];
    char *address[2];
    pid_t process[2];
};

static struct shared *shared;
static int ends[2], not_permitted;
static float *from, *to;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Each stores to its own line and waits for the other's: one exchange. */
static void lines_exchange(size_t n)
{
    static uint64_t turn;

    for (size_t i = 0; i < n; i++) {
        counter_set(&shared->turn[floor_rank], ++turn);
        counter_wait(&shared->turn[!floor_rank], turn);
    }
}

static void bytes_copy(size_t bytes)
{
    memcpy(to, from, bytes);
    __asm__ volatile("" : : : "memory");
}

static void floats_sum(size_t bytes)
{
    floats_add(to, to, from, bytes / sizeof *to, 0);
    __asm__ volatile("" : : : "memory");
}

static void peer_read(size_t bytes)
{
    struct iovec mine = { to, bytes }, theirs = { shared->address[!floor_rank], bytes };

    if (floor_rank == 0 &&
        process_vm_readv(shared->process[1], &mine, 1, &theirs, 1, 0) != (ssize_t)bytes)
        not_permitted = 1;
}

static void socket_send(const char *bytes, size_t n)
{
    while (n) {
        ssize_t sent = send(ends[floor_rank], bytes, n < PIECE ? n : PIECE,
                            MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent < 0 && errno != EAGAIN)
            library_failed("send");
        n -= sent > 0 ? (size_t)sent : 0;
        bytes += sent > 0 ? sent : 0;
    }
}

static void socket_receive(char *bytes, size_t n)
{
    while (n) {
        ssize_t got = recv(ends[floor_rank], bytes, n < PIECE ? n : PIECE, MSG_DONTWAIT);

        if (got == 0 || (got < 0 && errno != EAGAIN))
            library_failed("recv");
        n -= got > 0 ? (size_t)got : 0;
        bytes += got > 0 ? got : 0;
    }
}

static void socket_round_trip(size_t bytes)
{
    if (floor_rank == 0)
        socket_send((char *)from, bytes);
    socket_receive((char *)to, bytes);
    if (floor_rank == 1)
        socket_send((char *)from, bytes);
}

static void socket_stream(size_t bytes)
{
    if (floor_rank == 0)
        socket_send((char *)from, bytes);
    else
        socket_receive((char *)to, bytes);
}

/* Seconds of one of `calls` calls, at best; both processes take part. */
static double best_of(void (*what)(size_t), size_t argument, int calls)
{
    double best = 1e9;

    for (int r = 0; r <= REPEATS; r++) {             /* the first warms up */
        double start, seconds;

        floor_barrier();
        start = now();
        for (int i = 0; i < calls; i++)
            what(argument);
        seconds = (now() - start) / calls;
        floor_max(&seconds, 1);
        if (r > 0 && seconds < best)
            best = seconds;
    }
    return best;
}

static void say(const char *name, double value, const char *unit)
{
    if (floor_rank == 0)
        printf("machine %s: %.3g %s\n", name, value, unit);
}

/* Of both cores at work at once, each on its own buffers. */
static void bandwidths(void)
{
    static const size_t sizes[] = { 16 << 10, 256 << 10, 8 << 20, STREAM_BYTES };
    static const char *const names[] = { "16 KiB", "256 KiB", "8 MiB", "64 MiB" };
    double rate;

    for (int i = 0; i < 4; i++) {
        int calls = (int)((64u << 20) / sizes[i]);
        char name[64];

        snprintf(name, sizeof name, "memcpy of %s, per core", names[i]);
        say(name, (double)sizes[i] / best_of(bytes_copy, sizes[i], calls) * 1e-9, "GB/s");
        snprintf(name, sizeof name, "float sums of %s, per core", names[i]);
        say(name, (double)sizes[i] / best_of(floats_sum, sizes[i], calls) * 1e-9, "GB/s");
    }
    rate = (double)(1 << 20) / best_of(peer_read, 1 << 20, 64) * 1e-9;
    if (!not_permitted)
        say("process_vm_readv of 1 MiB", rate, "GB/s");
}

static void both_on_one_core(void)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(0, &set);
    floor_barrier();
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        library_failed("sched_setaffinity");
    floor_crowded = 1;
}

int main(void)
{
    shared = floor_map_shared(sizeof *shared);
    loopback_connect(ends, 0);
    floor_fork(2);
    if (posix_memalign((void **)&from, 4096, STREAM_BYTES) != 0 ||
        posix_memalign((void **)&to, 4096, STREAM_BYTES) != 0)
        library_failed("no memory");
    memset(from, 0, STREAM_BYTES);
    memset(to, 0, STREAM_BYTES);
    shared->address[floor_rank] = (char *)from;
    shared->process[floor_rank] = getpid();
    if (!floor_crowded) {
        say("cache lines exchanged both ways", best_of(lines_exchange, 100000, 1) / 1e5 * 1e9,
            "ns");
        bandwidths();
        say("loopback TCP, 8 B, one way", best_of(socket_round_trip, 8, 2000) / 2 * 1e6, "us");
        say("loopback TCP, 32 KiB, one way",
            best_of(socket_round_trip, 32 << 10, 500) / 2 * 1e6, "us");
        say("loopback TCP, one-way stream",
            (double)STREAM_BYTES / best_of(socket_stream, STREAM_BYTES, 1) * 1e-9, "GB/s");
    }
    both_on_one_core();
    say("core handed over by sched_yield", best_of(lines_exchange, 20000, 1) / 2e4 / 2 * 1e6,
        "us");
    floor_join();
    return 0;
}
