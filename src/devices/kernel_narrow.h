/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of kernel_loops.h, which includes it, about 16- and 8-bit floats.
 *
 * What is done depends on the operation:
 *  - The smaller and the larger of two are found among their codes, as integers.
 *  - bfloat16 is the upper half of a float32: two of them lie in a word of 32 bits,
 *    each a mask or a shift away from its value.
 *  - Where the machine converts float16 (KERNELS_LANES at a time, by HALVES_WIDEN
 *    and HALVES_NARROW), 8-bit floats are combined as float16 codes whose lower
 *    bits are zero.  A sum or product of two of them that is rounded to float16
 *    first and to 8 bits then has the bits of one rounding: float16 has more
 *    than twice as many significant bits and two (tests/device_kernels.c
 *    looks at all pairs).
 *  - Elsewhere, each element is widened, combined and narrowed by float_formats.h. */

/* ---- Smaller and larger ------------------------------------------------- */

/* The codes rise with their values but for the sign: turn those of negative
 * numbers round, so that -0 lies below 0.  Codes above `top` are no numbers. */
#define ORDER_NARROW(name, type, word, most, top, not_a_number)                   \
FLOAT_INLINE word name##_rank(word code)                                          \
{                                                                                 \
    return (word)(code ^ (code < 0 ? most : 0));                                  \
}                                                                                 \
FLOAT_INLINE word name##_ordered(word a, word b, word chosen)                     \
{                                                                                 \
    return (((a & most) > (top)) | ((b & most) > (top))) ? (word)(not_a_number)   \
                                                         : chosen;                \
}                                                                                 \
COMBINE(name##_min, type, name##_ordered(a, b,                                    \
        (word)(name##_rank(a) < name##_rank(b) ? a : b)))                         \
COMBINE(name##_max, type, name##_ordered(a, b,                                    \
        (word)(name##_rank(a) > name##_rank(b) ? a : b)))

ORDER_NARROW(float16, s16, int16_t, INT16_MAX, 0x7c00, 0x7e00)
ORDER_NARROW(bfloat16, s16, int16_t, INT16_MAX, 0x7f80, 0x7fc0)
ORDER_NARROW(e4m3, s8, int8_t, INT8_MAX, 0x7e, 0x7f)
ORDER_NARROW(e5m2, s8, int8_t, INT8_MAX, 0x7c, 0x7e)

/* ---- bfloat16 ------------------------------------------------------------- */

/* The code in the upper half; what is below it is left over from rounding. */
FLOAT_INLINE uint32_t bfloat16_round(float value)
{
    uint32_t bits = float32_bits(f32_settle(value));

    return bits + 0x7fff + ((bits >> 16) & 1);
}

#define COMBINE_BFLOAT16(kernel, operator)                                        \
static int kernel(const struct arithmetic *how, void *dst, const void *left,      \
                  const void *right, size_t count)                                \
{                                                                                 \
    u32 *out = dst;                                                               \
    const u32 *in = left, *other = right;                                         \
                                                                                  \
    (void)how;                                                                    \
    INDEPENDENT                                                                   \
    for (size_t i = 0; i < count / 2; i++) {                                      \
        const uint32_t a = in[i], b = other[i], upper = UINT32_C(0xffff0000);     \
        uint32_t high = bfloat16_round(float32_of(a & upper)                      \
                                       operator float32_of(b & upper));           \
        uint32_t low = bfloat16_round(float32_of(a << 16)                         \
                                      operator float32_of(b << 16));              \
                                                                                  \
        out[i] = (high & upper) | (low >> 16);                                    \
    }                                                                             \
    if (count % 2) {                                                              \
        const u16 *a = (const u16 *)(in + count / 2);                             \
        const u16 *b = (const u16 *)(other + count / 2);                          \
                                                                                  \
        *(u16 *)(out + count / 2) = (uint16_t)(bfloat16_round(                    \
            bfloat16_widen(*a) operator bfloat16_widen(*b)) >> 16);               \
    }                                                                             \
    return 0;                                                                     \
}

COMBINE_BFLOAT16(bfloat16_sum, +)
COMBINE_BFLOAT16(bfloat16_prod, *)

/* ---- One element at a time -------------------------------------------------- */

#define COMBINE_WIDE(name, type)                                                  \
    COMBINE(name##_sum, type, name##_narrow(name##_widen(a) + name##_widen(b)))   \
    COMBINE(name##_prod, type, name##_narrow(name##_widen(a) * name##_widen(b)))

#define WIDEN(name, type)                                                         \
static void name##_widen_all(float *dst, const void *src, size_t count)           \
{                                                                                 \
    const type *in = src;                                                         \
                                                                                  \
    INDEPENDENT                                                                   \
    for (size_t i = 0; i < count; i++)                                            \
        dst[i] = name##_widen(in[i]);                                             \
}

#define NARROW(name, type)                                                        \
static void name##_narrow_all(void *dst, const float *src, size_t count)          \
{                                                                                 \
    type *out = dst;                                                              \
                                                                                  \
    INDEPENDENT                                                                   \
    for (size_t i = 0; i < count; i++)                                            \
        out[i] = name##_narrow(src[i]);                                           \
}

WIDEN(bfloat16, u16)
NARROW(bfloat16, u16)
NARROW(e4m3, u8)
NARROW(e5m2, u8)

#ifndef KERNELS_LANES
COMBINE_WIDE(float16, u16)
COMBINE_WIDE(e4m3, u8)
COMBINE_WIDE(e5m2, u8)
WIDEN(float16, u16)
WIDEN(e4m3, u8)
WIDEN(e5m2, u8)
NARROW(float16, u16)
#else

/* ---- Several elements at a time, where the machine converts float16 ---------- */

typedef float    floats __attribute__((vector_size(4 * KERNELS_LANES)));
typedef uint16_t halves __attribute__((vector_size(2 * KERNELS_LANES)));

FLOAT_INLINE halves halves_load(const void *from)
{
    halves codes;

    __builtin_memcpy(&codes, from, sizeof codes);
    return codes;
}

FLOAT_INLINE void halves_store(void *to, halves codes)
{
    __builtin_memcpy(to, &codes, sizeof codes);
}

/* Where bit 7 is set, the seven bits below it. */
FLOAT_INLINE halves e4m3_all(halves flag)
{
    return flag - (flag >> 7);
}

/* An e4m3 is a float16 of 2^-8 of its value without the lower 7 bits of the
 * fraction.  But there is NaN, which is seen by its code, and what is larger than
 * the largest number becomes that. */
FLOAT_INLINE floats e4m3_open(halves code)
{
    return HALVES_WIDEN((code & 0x7f) << 7 | (code & 0x80) << 8);
}

FLOAT_INLINE halves e4m3_close(floats value, halves a, halves b)
{
    halves code = HALVES_NARROW(value), magnitude = code & 0x7fff;
    halves rounded = (magnitude + 0x3f + ((magnitude >> 7) & 1)) >> 7;
    halves over = (rounded + 1) & 0x80;
    halves nan = (((a & 0x7f) + 1) | ((b & 0x7f) + 1)) & 0x80;

    rounded = ((rounded | e4m3_all(over)) & 0x7f) - (over >> 7);
    return (rounded | ((code >> 8) & 0x80) | e4m3_all(nan)) & ~nan;
}

/* An e5m2 is a float16 without the lower 8 bits of the fraction. */
FLOAT_INLINE floats e5m2_open(halves code)
{
    return HALVES_WIDEN(code << 8);
}

FLOAT_INLINE halves e5m2_close(floats value)
{
    halves code = HALVES_NARROW(FLOATS_SETTLE(value));

    return (code + 0x7f + ((code >> 8) & 1)) >> 8;
}

/* The value is about a and b, vectors of codes, and becomes a vector of codes.
 * What is left at the end is filled up with zeros. */
#define COMBINE_LANES(kernel, type, load, store, value)                           \
FLOAT_INLINE void kernel##_lanes(type *out, const type *in, const type *other)    \
{                                                                                 \
    halves a = load(in), b = load(other), result = value;                         \
                                                                                  \
    store(out, result);                                                           \
}                                                                                 \
static int kernel(const struct arithmetic *how, void *dst, const void *left,      \
                  const void *right, size_t count)                                \
{                                                                                 \
    type *out = dst;                                                              \
    const type *in = left, *other = right;                                        \
    size_t i = 0, rest = count % KERNELS_LANES;                                   \
                                                                                  \
    (void)how;                                                                    \
    for (; i < count - rest; i += KERNELS_LANES)                                  \
        kernel##_lanes(out + i, in + i, other + i);                               \
    if (rest > 0) {                                                               \
        type a[KERNELS_LANES] = { 0 }, b[KERNELS_LANES] = { 0 };                  \
                                                                                  \
        __builtin_memcpy(a, in + i, rest * sizeof *a);                            \
        __builtin_memcpy(b, other + i, rest * sizeof *b);                         \
        kernel##_lanes(a, a, b);                                                  \
        __builtin_memcpy(out + i, a, rest * sizeof *a);                           \
    }                                                                             \
    return 0;                                                                     \
}
#define COMBINE_HALVES(kernel, value)                                             \
    COMBINE_LANES(kernel, u16, halves_load, halves_store, value)
#define COMBINE_BYTES(kernel, value)                                              \
    COMBINE_LANES(kernel, u8, HALVES_FROM_BYTES, HALVES_TO_BYTES, value)

COMBINE_HALVES(float16_sum,
               HALVES_NARROW(FLOATS_SETTLE(HALVES_WIDEN(a) + HALVES_WIDEN(b))))
COMBINE_HALVES(float16_prod,
               HALVES_NARROW(FLOATS_SETTLE(HALVES_WIDEN(a) * HALVES_WIDEN(b))))
COMBINE_BYTES(e4m3_sum, e4m3_close(e4m3_open(a) + e4m3_open(b), a, b))
COMBINE_BYTES(e4m3_prod, e4m3_close(e4m3_open(a) * e4m3_open(b) * 256, a, b))
COMBINE_BYTES(e5m2_sum, e5m2_close(e5m2_open(a) + e5m2_open(b)))
COMBINE_BYTES(e5m2_prod, e5m2_close(e5m2_open(a) * e5m2_open(b)))

#define WIDEN_LANES(name, type, load, open)                                       \
static void name##_widen_all(float *dst, const void *src, size_t count)           \
{                                                                                 \
    const type *in = src;                                                         \
    size_t i = 0;                                                                 \
                                                                                  \
    for (; i + KERNELS_LANES <= count; i += KERNELS_LANES) {                      \
        floats wide = open(load(in + i));                                         \
                                                                                  \
        __builtin_memcpy(dst + i, &wide, sizeof wide);                            \
    }                                                                             \
    for (; i < count; i++)                                                        \
        dst[i] = name##_widen(in[i]);                                             \
}

WIDEN_LANES(float16, u16, halves_load, HALVES_WIDEN)
WIDEN_LANES(e5m2, u8, HALVES_FROM_BYTES, e5m2_open)
WIDEN(e4m3, u8)

static void float16_narrow_all(void *dst, const float *src, size_t count)
{
    u16 *out = dst;
    size_t i = 0;

    for (; i + KERNELS_LANES <= count; i += KERNELS_LANES) {
        floats wide;

        __builtin_memcpy(&wide, src + i, sizeof wide);
        halves_store(out + i, HALVES_NARROW(FLOATS_SETTLE(wide)));
    }
    for (; i < count; i++)
        out[i] = float16_narrow(src[i]);
}
#endif
