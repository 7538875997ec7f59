/* SPDX-License-Identifier: BSD-3-Clause */
/* For aarch64 machines with Advanced SIMD, which converts float16. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")      /* -O2 leaves loops of unknown length scalar */
#endif

#include "devices/kernels.h"

#if defined(__aarch64__) && defined(__ARM_NEON) && defined(__GNUC__)
#include <arm_neon.h>
#include <string.h>

static inline float32x4_t neon_settle(float32x4_t x)
{
    return vbslq_f32(vceqq_f32(x, x), x, vdupq_n_f32(__builtin_nanf("")));
}

static inline uint16x4_t neon_load_bytes(const void *from)
{
    uint32_t four;

    memcpy(&four, from, sizeof four);
    return vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four))));
}

static inline void neon_store_bytes(void *to, uint16x4_t codes)
{
    uint8x8_t narrow = vmovn_u16(vcombine_u16(codes, codes));
    uint32_t four = vget_lane_u32(vreinterpret_u32_u8(narrow), 0);

    memcpy(to, &four, sizeof four);
}

#define KERNELS kernels_neon
#define KERNELS_LANES 4
#define HALVES_WIDEN(codes)   ((floats)vcvt_f32_f16((float16x4_t)(codes)))
#define HALVES_NARROW(values) ((halves)vcvt_f16_f32((float32x4_t)(values)))
#define FLOATS_SETTLE(values) neon_settle((float32x4_t)(values))
#define HALVES_FROM_BYTES(from)    ((halves)neon_load_bytes(from))
#define HALVES_TO_BYTES(to, codes) neon_store_bytes(to, (uint16x4_t)(codes))
#include "devices/kernel_loops.h"
#endif
