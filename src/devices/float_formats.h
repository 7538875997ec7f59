/* SPDX-License-Identifier: BSD-3-Clause */
/* Conversions between float32 and the 16- and 8-bit floats, one element at a
 * time and without branches, so that loops around them vectorise.  Widening is
 * exact.  Narrowing rounds to nearest even and makes every NaN the one quiet,
 * positive NaN of its format.  Pure functions; knows nothing of buffers.
 *
 * The subnormals of the small formats are made by adding and subtracting a
 * normal power of two, so that threads that flush float32 subnormals to zero
 * still get them right. */
#ifndef FLOAT_FORMATS_H
#define FLOAT_FORMATS_H

#include <stdint.h>

#ifdef __FAST_MATH__
#error "Peal promises the bits of its results: build it without -ffast-math"
#endif

#define FLOAT_INLINE static inline __attribute__((always_inline))

enum { FLOAT32_FRACTION = 23, FLOAT32_BIAS = 127 };
#define FLOAT32_INFINITY UINT32_C(0x7f800000)
#define FLOAT32_NAN      UINT32_C(0x7fc00000)

/* A format of sign, exponent and fraction.  Codes are without the sign. */
struct float_format {
    int      exponent, fraction;     /* bits of each */
    int      bias;
    uint32_t top;                    /* code of infinity, or of the largest finite */
    uint32_t nan;                    /* code of the NaN that is made */
};

static const struct float_format float16_format = { 5, 10, 15, 0x7c00, 0x7e00 };
static const struct float_format e5m2_format    = { 5, 2, 15, 0x7c, 0x7e };
/* No infinity: what is larger than 448 becomes 448. */
static const struct float_format e4m3_format    = { 4, 3, 7, 0x7e, 0x7f };

FLOAT_INLINE uint32_t float32_bits(float value)
{
    uint32_t bits;

    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
}

FLOAT_INLINE float float32_of(uint32_t bits)
{
    float value;

    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

/* `yes` where the condition holds, else `no`, by masks: both are wanted
 * computed, which a branch would undo. */
FLOAT_INLINE uint32_t float_select(int condition, uint32_t yes, uint32_t no)
{
    uint32_t mask = 0u - (uint32_t)(condition != 0);

    return (yes & mask) | (no & ~mask);
}

FLOAT_INLINE float float_widen(const struct float_format *format, uint32_t code)
{
    const int shift = FLOAT32_FRACTION - format->fraction;
    const int sign_at = format->exponent + format->fraction;
    const uint32_t rebias = (uint32_t)(FLOAT32_BIAS - format->bias) << FLOAT32_FRACTION;
    const uint32_t least_normal = rebias + (UINT32_C(1) << FLOAT32_FRACTION);
    uint32_t magnitude = code & ((UINT32_C(1) << sign_at) - 1);
    uint32_t sign = (code >> sign_at) << 31;
    uint32_t shifted = magnitude << shift;
    float subnormal = float32_of(shifted + least_normal) - float32_of(least_normal);
    uint32_t bits;

    bits = float_select(magnitude < (UINT32_C(1) << format->fraction),
                        float32_bits(subnormal), shifted + rebias);
    if ((format->top & ((1u << format->fraction) - 1)) == 0)     /* has infinity */
        bits = float_select(magnitude == format->top, FLOAT32_INFINITY, bits);
    bits = float_select(magnitude > format->top, FLOAT32_NAN, bits);
    return float32_of(sign | bits);
}

FLOAT_INLINE uint32_t float_narrow(const struct float_format *format, float value)
{
    const int shift = FLOAT32_FRACTION - format->fraction;
    const int sign_at = format->exponent + format->fraction;
    const uint32_t rebias = (uint32_t)(FLOAT32_BIAS - format->bias) << FLOAT32_FRACTION;
    const uint32_t least_normal = rebias + (UINT32_C(1) << FLOAT32_FRACTION);
    /* The power of two whose last place is the format's least subnormal. */
    const uint32_t ruler = rebias + ((uint32_t)(shift + 1) << FLOAT32_FRACTION);
    uint32_t bits = float32_bits(value);
    uint32_t magnitude = bits & UINT32_C(0x7fffffff);
    uint32_t sign = (bits >> 31) << sign_at;
    uint32_t odd = (magnitude >> shift) & 1;
    uint32_t half = (UINT32_C(1) << (shift - 1)) - 1;
    uint32_t normal = (magnitude - rebias + half + odd) >> shift;
    uint32_t subnormal = float32_bits(float32_of(magnitude) + float32_of(ruler)) - ruler;
    uint32_t code = float_select(magnitude < least_normal, subnormal, normal);

    code = float_select(code > format->top, format->top, code);
    return float_select(magnitude > FLOAT32_INFINITY, format->nan, sign | code);
}

FLOAT_INLINE float float16_widen(uint16_t code)
{
    return float_widen(&float16_format, code);
}

FLOAT_INLINE uint16_t float16_narrow(float value)
{
    return (uint16_t)float_narrow(&float16_format, value);
}

/* The upper half of a float32. */
FLOAT_INLINE float bfloat16_widen(uint16_t code)
{
    return float32_of((uint32_t)code << 16);
}

FLOAT_INLINE uint16_t bfloat16_narrow(float value)
{
    uint32_t bits = float32_bits(value);
    uint32_t code = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    uint32_t magnitude = bits & UINT32_C(0x7fffffff);

    return (uint16_t)float_select(magnitude > FLOAT32_INFINITY, FLOAT32_NAN >> 16, code);
}

FLOAT_INLINE float e4m3_widen(uint8_t code)
{
    return float_widen(&e4m3_format, code);
}

FLOAT_INLINE uint8_t e4m3_narrow(float value)
{
    return (uint8_t)float_narrow(&e4m3_format, value);
}

FLOAT_INLINE float e5m2_widen(uint8_t code)
{
    return float_widen(&e5m2_format, code);
}

FLOAT_INLINE uint8_t e5m2_narrow(float value)
{
    return (uint8_t)float_narrow(&e5m2_format, value);
}

#endif
