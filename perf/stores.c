/* SPDX-License-Identifier: BSD-3-Clause */
/* What storing to memory costs that another core has read: the ways that src/devices/pace.h chooses among.
 *
 *   cc -O2 perf/stores.c -lpthread -o stores && ./stores
 *
 * Two pinned threads; one fills pieces of a ring, the other copies them out (`one`), or both do both (`both`).
 * GB/s of the whole / of the writer's copies alone, the best of five runs of 16 MiB; before and after, how
 * long a line takes to the other core. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>

enum { LINE = 64, MOST = 2 << 20, MOVED = 16 << 20, RUNS = 5, BOUNCES = 20000 };

typedef void copying(char *to, const char *from, size_t bytes);

struct counter { _Alignas(2 * LINE) _Atomic uint64_t n; };

static struct counter written[2], taken[2], ball[2];
static char *ring[2], *mine[2];
static copying *copy;
static size_t piece, room;
static int both;
static double whole[2], writing[2];
static pthread_barrier_t barrier;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void strings(char *to, const char *from, size_t bytes)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

static void strings_2k(char *to, const char *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 2048)
        strings(to + i, from + i, bytes - i < 2048 ? bytes - i : 2048);
}

static void vectors(char *to, const char *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 16)
        _mm_store_si128((void *)(to + i), _mm_load_si128((const void *)(from + i)));
}

__attribute__((target("avx512f")))
static void lines(char *to, const char *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += LINE)
        _mm512_store_si512(to + i, _mm512_load_si512(from + i));
}

static void lines_ahead(char *to, const char *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += LINE) {
        __builtin_prefetch(to + i + 1024, 1, 3);
        memcpy(to + i, from + i, LINE);
    }
}

static void past(char *to, const char *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 16)
        _mm_stream_si128((void *)(to + i), _mm_load_si128((const void *)(from + i)));
    _mm_sfence();
}

static const struct { const char *name; copying *copy; int wide; } ways[] = {
    { "vectors of 16", vectors, 0 }, { "of 64 bytes", lines, 1 }, { "fetched ahead", lines_ahead, 0 },
    { "past the caches", past, 0 }, { "strings", strings, 0 }, { "strings, by 2 KiB", strings_2k, 0 },
};

static void pin(long core)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((int)core, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

static void wait_for(struct counter *counter, uint64_t n)
{
    while (atomic_load_explicit(&counter->n, memory_order_acquire) < n)
        ;
}

static void *move(void *which)
{
    long me = (long)which;
    uint64_t pieces = MOVED / piece, slots = room / piece;
    double began, copied = 0;

    pin(me);
    pthread_barrier_wait(&barrier);
    began = now();
    for (uint64_t i = 0; i < pieces; i++) {
        if (both || me == 0) {
            double start;

            wait_for(&taken[!me], i < slots ? 0 : i - slots + 1);
            start = now();
            copy(ring[me] + i % slots * piece, mine[me], piece);
            copied += now() - start;
            atomic_store_explicit(&written[me].n, i + 1, memory_order_release);
        }
        if (both || me == 1) {
            wait_for(&written[!me], i + 1);
            memcpy(mine[me] + piece, ring[!me] + i % slots * piece, piece);
            atomic_store_explicit(&taken[me].n, i + 1, memory_order_release);
        }
    }
    pthread_barrier_wait(&barrier);
    whole[me] = now() - began;
    writing[me] = copied;
    return NULL;
}

static void *bounce(void *which)
{
    long me = (long)which;
    double began;

    pin(me);
    pthread_barrier_wait(&barrier);
    began = now();
    for (uint64_t i = 1; i <= BOUNCES; i++) {
        if (me == 0)
            atomic_store_explicit(&ball[0].n, i, memory_order_release);
        wait_for(&ball[!me], i);
        if (me == 1)
            atomic_store_explicit(&ball[1].n, i, memory_order_release);
    }
    whole[me] = now() - began;
    return NULL;
}

static void two(void *(*body)(void *))
{
    pthread_t other;

    memset(written, 0, sizeof written);
    memset(taken, 0, sizeof taken);
    memset(ball, 0, sizeof ball);
    if (pthread_create(&other, NULL, body, (void *)1))
        exit(1);
    body((void *)0);
    pthread_join(other, NULL);
}

static void line_takes(void)
{
    two(bounce);
    printf("a line takes %.0f ns\n", whole[0] / BOUNCES / 2 * 1e9);
}

static void row(size_t way)
{
    double best = 1e9, own = 1e9;

    if (ways[way].wide && !__builtin_cpu_supports("avx512f"))
        return;
    copy = ways[way].copy;
    for (int i = 0; i < RUNS; i++) {
        two(move);
        if (whole[0] < best) {
            best = whole[0];
            own = writing[0];
        }
    }
    printf("  %s %.1f / %.1f", ways[way].name, MOVED / best / 1e9, MOVED / own / 1e9);
}

int main(void)
{
    static const size_t rooms[] = { 256 << 10, MOST }, pieces[] = { 1 << 10, 4 << 10, 16 << 10, 64 << 10 };

    for (int i = 0; i < 2; i++) {
        ring[i] = aligned_alloc(4096, MOST);
        mine[i] = aligned_alloc(4096, 2 * 64 << 10);
        if (!ring[i] || !mine[i])
            return 1;
        memset(ring[i], 1, MOST);
        memset(mine[i], 1, 2 * 64 << 10);
    }
    pthread_barrier_init(&barrier, NULL, 2);
    line_takes();
    for (int r = 0; r < 2; r++)
        for (int p = 0; p < 4; p++)
            for (both = 0; both < 2; both++) {
                room = rooms[r];
                piece = pieces[p];
                printf("ring %4zu KiB, pieces %2zu KiB, %s:", room >> 10, piece >> 10, both ? "both" : "one ");
                for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++)
                    row(way);
                printf("\n");
            }
    line_takes();
    return 0;
}
#else
int main(void)
{
    printf("skipped: not an x86 processor\n");
    return 0;
}
#endif
