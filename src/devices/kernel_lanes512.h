/* SPDX-License-Identifier: BSD-3-Clause */
/* How the sets of kernels for AVX-512 convert float16; see kernel_narrow.h.
 * Included once by each of them. */
#define KERNELS_LANES 16
#define HALVES_WIDEN(codes) ((floats)_mm512_cvtph_ps((__m256i)(codes)))
#define HALVES_NARROW(values) \
    ((halves)_mm512_cvtps_ph((__m512)(values), _MM_FROUND_TO_NEAREST_INT))
#define FLOATS_SETTLE(values) lanes_settle((__m512)(values))
#define HALVES_FROM_BYTES(from) \
    ((halves)_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(from))))
#define HALVES_TO_BYTES(to, codes) \
    _mm_storeu_si128((__m128i *)(void *)(to), _mm256_cvtepi16_epi8((__m256i)(codes)))

static inline __attribute__((always_inline)) __m512 lanes_settle(__m512 x)
{
    return _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q),
                              _mm512_set1_ps(__builtin_nanf("")));
}
