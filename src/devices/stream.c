/* SPDX-License-Identifier: BSD-3-Clause */
/* Stores past the caches.  A plain store of a line that is in no cache reads it
 * from memory first, and later pushes out what would have been wanted again: up to
 * a tenth of the time of a call whose result is larger than the caches, and more of
 * a smaller one.  But where a result is in a cache it had better stay there, for
 * whoever reads it next: up to a third. */
#include "devices/arithmetic.h"
#include "devices/pace.h"

#include "base/clock.h"
#include "base/last_cache.h"

#include <string.h>

enum { LINE = 64 };

/* Whole lines, to both; `past` is at one. */
typedef void both_ways(char *past, char *plain, const char *src, size_t bytes);

#if defined(__x86_64__)
#include <immintrin.h>

static void stream_lines(char *dst, const char *src, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += LINE) {
        const __m128i *from = (const __m128i *)(const void *)(src + i);
        __m128i *to = (__m128i *)(void *)(dst + i);
        __m128i a = _mm_loadu_si128(from), b = _mm_loadu_si128(from + 1);
        __m128i c = _mm_loadu_si128(from + 2), d = _mm_loadu_si128(from + 3);

        _mm_stream_si128(to, a);
        _mm_stream_si128(to + 1, b);
        _mm_stream_si128(to + 2, c);
        _mm_stream_si128(to + 3, d);
    }
}

/* A line in one store: an entry of the core's queue holds 64 bytes then, not 16. */
__attribute__((target("avx512f")))
static void stream_lines_512(char *dst, const char *src, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += LINE)
        _mm512_stream_si512((void *)(dst + i), _mm512_loadu_si512(src + i));
}

void stream_store(void *dst, const void *src, size_t bytes)
{
    char *to = dst;
    const char *from = src;
    size_t head = -(uintptr_t)to % LINE, whole;

    if (bytes < head + LINE) {
        memcpy(to, from, bytes);
        return;
    }
    whole = (bytes - head) / LINE * LINE;
    memcpy(to, from, head);
    (__builtin_cpu_supports("avx512f") ? stream_lines_512 : stream_lines)(to + head, from + head, whole);
    memcpy(to + head + whole, from + head + whole, bytes - head - whole);
}

static void both_lines(char *past, char *plain, const char *src, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += LINE) {
        stream_lines(past + i, src + i, LINE);
        memcpy(plain + i, src + i, LINE);
    }
}

__attribute__((target("avx512f")))
static void both_lines_512(char *past, char *plain, const char *src, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += LINE) {
        __m512i line = _mm512_loadu_si512(src + i);

        _mm512_stream_si512((void *)(past + i), line);
        _mm512_storeu_si512(plain + i, line);
    }
}

static both_ways *both_best(void)
{
    return __builtin_cpu_supports("avx512f") ? both_lines_512 : both_lines;
}

void stream_fence(void)
{
    _mm_sfence();
}

/* Up to some 2 KiB of stores fit into the core's own queue: they would seem to be done while they
 * wait for their lines.  Until they are. */
static void stores_wait(void)
{
    _mm_mfence();
}

void string_copy(char *to, const char *from, size_t bytes)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}
#else
void stream_store(void *dst, const void *src, size_t bytes)
{
    memcpy(dst, src, bytes);
}

static void both_lines(char *past, char *plain, const char *src, size_t bytes)
{
    memcpy(past, src, bytes);
    memcpy(plain, src, bytes);
}

static both_ways *both_best(void)
{
    return both_lines;
}

void stream_fence(void)
{
}

static void stores_wait(void)
{
}

void string_copy(char *to, const char *from, size_t bytes)
{
    memcpy(to, from, bytes);
}
#endif

static void both_by(both_ways *lines, void *past, void *plain, const void *src, size_t bytes)
{
    size_t head = -(uintptr_t)past % LINE, tail;
    const char *from = src;
    char *to = past, *also = plain;

    head = head < bytes ? head : bytes;
    tail = (bytes - head) % LINE;
    memcpy(to, from, head);
    memcpy(also, from, head);
    lines(to + head, also + head, from + head, bytes - head - tail);
    memcpy(to + bytes - tail, from + bytes - tail, tail);
    memcpy(also + bytes - tail, from + bytes - tail, tail);
}

void stream_both(void *past, void *plain, const void *src, size_t bytes)
{
    both_by(both_best(), past, plain, src, bytes);
}

void memory_stream(void *dst, const void *src, size_t bytes)
{
    stream_store(dst, src, bytes);
    stream_fence();
}

uint64_t pace_begin(struct pace *pace, bool *past)
{
    *past = pace->goes_past;
    return pace_due(pace) ? clock_now() : 0;
}

void pace_end(struct pace *pace, uint64_t began, size_t bytes)
{
    uint64_t now;

    stores_wait();
    now = clock_now();
    pace_took(pace, pace_cost(now - began, bytes), now);
}

/* By vectors: in blocks for which memcpy() does not take string instructions. */
static void copy_blocks(char *to, const char *from, size_t bytes)
{
    enum { BLOCK = 2 << 10 };
    size_t block;

    for (; bytes > 0; to += block, from += block, bytes -= block) {
        block = bytes < BLOCK ? bytes : BLOCK;
        __asm__("" : "+r"(block));     /* a compiler that knew how few they are would use them */
        memcpy(to, from, block);
    }
}

static void copy_by(enum pace_way way, void *to, const void *from, size_t bytes)
{
    if (way == BY_PAST)
        memory_stream(to, from, bytes);
    else
        (way == BY_STRINGS ? string_copy : copy_blocks)(to, from, bytes);
}

/* Of the stores alone: what has to be fetched from far takes as long either way. */
static void pace_try(struct pace *pace, void *to, const void *from, size_t bytes)
{
    uint64_t began;

    for (size_t i = 0; i < bytes; i += LINE)
        (void)((const volatile char *)from)[i];
    began = clock_now();
    copy_by(pace_trial(pace), to, from, bytes);
    stores_wait();
    pace_tried(pace, pace_cost(clock_now() - began, bytes));
}

static void copy_timed(struct pace *pace, void *to, const void *from, size_t bytes)
{
    bool past;
    uint64_t began = pace_begin(pace, &past);

    if (past || (bytes >= PACE_LONG && pace->strings == STRINGS_SLOWER))
        copy_by(past ? BY_PAST : BY_VECTORS, to, from, bytes);
    else
        memcpy(to, from, bytes);
    if (began)
        pace_end(pace, began, bytes);
}

static void pace_turn(struct pace *pace, void *to, const void *from, size_t bytes)
{
    pace_passed(pace, bytes);
    if (pace_by_strings(pace, bytes))
        string_copy(to, from, bytes);
    else if (pace_asks(pace, bytes))
        pace_try(pace, to, from, bytes);
    else
        copy_timed(pace, to, from, bytes);
}

void pace_copy(struct pace *pace, void *to, const void *from, size_t bytes)
{
    size_t at = 0;

    while (bytes - at >= PACE_PIECE) {
        size_t turn = bytes - at < PACE_TURN ? bytes - at : PACE_TURN;

        pace_turn(pace, (char *)to + at, (const char *)from + at, turn);
        at += turn;
    }
    memcpy((char *)to + at, (const char *)from + at, bytes - at);
}

/* From half the last cache, and from 16 MiB in any case.  Measured on one machine:
 * two ranks on 32 MiB lost up to 8 MiB; at 16 MiB all-reduce gained and others
 * neither lost nor gained for certain; at 64 MiB all gained. */
enum { STREAM_MOST = 16 << 20 };

bool landing_streams(size_t bytes)
{
    size_t half = last_cache() / 2;

    return bytes >= (half < STREAM_MOST ? half : STREAM_MOST);
}
