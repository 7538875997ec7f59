/* SPDX-License-Identifier: BSD-3-Clause */
/* For x86-64 machines with AVX2 and F16C. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")      /* -O2 leaves loops of unknown length scalar */
#endif

#include "devices/kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,f16c")
#endif

#define KERNELS kernels_avx2
#define KERNELS_LANES 8
#define HALVES_WIDEN(codes) ((floats)_mm256_cvtph_ps((__m128i)(codes)))
#define HALVES_NARROW(values) \
    ((halves)_mm256_cvtps_ph((__m256)(values), _MM_FROUND_TO_NEAREST_INT))
#define FLOATS_SETTLE(values) lanes_settle((__m256)(values))
#define HALVES_FROM_BYTES(from) \
    ((halves)_mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)(from))))
#define HALVES_TO_BYTES(to, codes)                                  \
    _mm_storel_epi64((__m128i *)(void *)(to),                       \
                     _mm_packus_epi16((__m128i)(codes), _mm_setzero_si128()))

static inline __attribute__((always_inline)) __m256 lanes_settle(__m256 x)
{
    return _mm256_blendv_ps(x, _mm256_set1_ps(__builtin_nanf("")),
                            _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

#include "devices/kernel_loops.h"

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
