/* SPDX-License-Identifier: BSD-3-Clause */
/* Copies and sums of floats; with `around` not 0 the stores go around the
 * caches, where the processor that this is compiled for (-march=native) can. */
#ifndef FLOORS_STREAM_H
#define FLOORS_STREAM_H

#include <stddef.h>
#include <string.h>

#ifdef __AVX512F__
#include <immintrin.h>

static inline int stream_aligned(const void *p)
{
    return ((size_t)p & 63) == 0;
}

static inline void stream_copy(float *to, const float *from, size_t n)
{
    size_t i = 0;

    if (stream_aligned(to))
        for (; i + 16 <= n; i += 16)
            _mm512_stream_ps(to + i, _mm512_loadu_ps(from + i));
    memcpy(to + i, from + i, (n - i) * sizeof *to);
    _mm_sfence();
}

static inline size_t stream_add(float *to, const float *a, const float *b, size_t n)
{
    size_t i = 0;

    if (stream_aligned(to))
        for (; i + 16 <= n; i += 16)
            _mm512_stream_ps(to + i, _mm512_add_ps(_mm512_loadu_ps(a + i),
                                                   _mm512_loadu_ps(b + i)));
    _mm_sfence();
    return i;
}
#else
static inline void stream_copy(float *to, const float *from, size_t n)
{
    memcpy(to, from, n * sizeof *to);
}

static inline size_t stream_add(float *to, const float *a, const float *b, size_t n)
{
    (void)to, (void)a, (void)b, (void)n;
    return 0;
}
#endif

static inline void floats_copy(float *to, const float *from, size_t n, int around)
{
    if (around)
        stream_copy(to, from, n);
    else
        memcpy(to, from, n * sizeof *to);
}

/* to = a + b; `to` may be a, not otherwise overlap. */
static inline void floats_add(float *to, const float *a, const float *b, size_t n, int around)
{
    size_t i = around ? stream_add(to, a, b, n) : 0;

#pragma GCC ivdep
    for (; i < n; i++)
        to[i] = a[i] + b[i];
}

/* The same to two places, in one pass. */
static inline void floats_add_twice(float *to, float *also, const float *a, const float *b,
                                    size_t n, int around)
{
    size_t i = 0;

#ifdef __AVX512F__
    if (around && stream_aligned(to)) {
        for (; i + 16 <= n; i += 16) {
            __m512 sum = _mm512_add_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i));

            _mm512_stream_ps(to + i, sum);
            if (around > 1 && stream_aligned(also))
                _mm512_stream_ps(also + i, sum);
            else
                _mm512_storeu_ps(also + i, sum);
        }
        _mm_sfence();
    }
#else
    (void)around;
#endif
#pragma GCC ivdep
    for (; i < n; i++)
        to[i] = also[i] = a[i] + b[i];
}

#endif
