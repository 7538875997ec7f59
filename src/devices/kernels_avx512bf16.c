/* SPDX-License-Identifier: BSD-3-Clause */
/* For x86-64 machines that also narrow to bfloat16 (AVX512_BF16).  The
 * instruction takes subnormals for zeros and keeps what a NaN carries, which
 * Peal does not: vectors with either in their results go the common way. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")      /* -O2 leaves loops of unknown length scalar */
#endif

#include "devices/kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push(                                                \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,f16c"))), \
    apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,f16c")
#endif

static arithmetic_pair native_sum, native_prod;

#define KERNELS kernels_avx512bf16
#define KERNELS_BFLOAT16_SUM  native_sum
#define KERNELS_BFLOAT16_PROD native_prod
#include "devices/kernel_lanes512.h"
#include "devices/kernel_loops.h"

enum { NATIVE_LANES = 32, SUBNORMAL_OR_NAN = 0xa1 };

/* Narrow the results for the lower and upper halves of all 128-bit parts, as
 * unpacking made them, and store them; false if they are not all regular. */
FLOAT_INLINE bool native_store(uint16_t *to, __m512 low, __m512 high)
{
    const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
    __m512i codes = (__m512i)_mm512_cvtne2ps_pbh(high, low);

    if (_mm512_fpclass_ps_mask(low, SUBNORMAL_OR_NAN)
        | _mm512_fpclass_ps_mask(high, SUBNORMAL_OR_NAN))
        return false;
    _mm512_storeu_si512(to, _mm512_permutexvar_epi64(order, codes));
    return true;
}

#define COMBINE_NATIVE(kernel, common, combine)                                   \
static int kernel(const struct arithmetic *how, void *dst, const void *left,      \
                  const void *right, size_t count)                                \
{                                                                                 \
    const __m512i zero = _mm512_setzero_si512();                                  \
    const char *in = left, *other = right;                                        \
    char *out = dst;                                                              \
                                                                                  \
    for (; count >= NATIVE_LANES; count -= NATIVE_LANES) {                        \
        __m512i a = _mm512_loadu_si512(in), b = _mm512_loadu_si512(other);        \
        __m512 low = combine((__m512)_mm512_unpacklo_epi16(zero, a),              \
                             (__m512)_mm512_unpacklo_epi16(zero, b));             \
        __m512 high = combine((__m512)_mm512_unpackhi_epi16(zero, a),             \
                              (__m512)_mm512_unpackhi_epi16(zero, b));            \
                                                                                  \
        if (!native_store((uint16_t *)(void *)out, low, high))                    \
            common(how, out, in, other, NATIVE_LANES);                            \
        in += sizeof a;                                                           \
        other += sizeof a;                                                        \
        out += sizeof a;                                                          \
    }                                                                             \
    return common(how, out, in, other, count);                                    \
}

COMBINE_NATIVE(native_sum, bfloat16_sum, _mm512_add_ps)
COMBINE_NATIVE(native_prod, bfloat16_prod, _mm512_mul_ps)

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
