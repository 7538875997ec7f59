/* SPDX-License-Identifier: BSD-3-Clause */
/* The source of one set of kernels, included once by each kernels_*.c, which
 * defines KERNELS (the table's name) and, where the machine converts float16,
 * KERNELS_LANES and the HALVES_ macros of kernel_narrow.h.  Included nowhere else.
 * See kernels.h.
 *
 * Plain loops that compilers vectorise.  Elements are read and written at any
 * alignment; dst is one of the sources or overlaps none, so that iterations
 * are independent, which INDEPENDENT promises to the compiler.  No expression
 * both multiplies and adds floats: there is nothing to contract into an fma. */
#include "devices/float_formats.h"
#include "devices/kernels.h"

#ifndef KERNELS_BFLOAT16_SUM
#define KERNELS_BFLOAT16_SUM  bfloat16_sum
#define KERNELS_BFLOAT16_PROD bfloat16_prod
#endif

#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define INDEPENDENT _Pragma("GCC ivdep")
#else
#define INDEPENDENT
#endif

#define ELEMENT __attribute__((aligned(1), may_alias))
typedef uint8_t  u8;
typedef uint16_t u16 ELEMENT;
typedef uint32_t u32 ELEMENT;
typedef uint64_t u64 ELEMENT;
typedef int8_t   s8;
typedef int16_t  s16 ELEMENT;
typedef int32_t  s32 ELEMENT;
typedef int64_t  s64 ELEMENT;
typedef float    f32 ELEMENT;
typedef double   f64 ELEMENT;

/* ---- One element ----------------------------------------------------- */

#define FLOAT64_NAN UINT64_C(0x7ff8000000000000)

FLOAT_INLINE uint64_t float64_bits(double value)
{
    uint64_t bits;

    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
}

FLOAT_INLINE double float64_of(uint64_t bits)
{
    double value;

    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

/* Equal operands differ at most in the sign of zero: min takes the union of
 * their bits (-0 if either is), max what both have. */
#define FLOAT_ELEMENT(name, type, word, bits_of, of_bits, not_a_number)           \
FLOAT_INLINE type name##_settle(type x)                                           \
{                                                                                 \
    return x == x ? x : of_bits(not_a_number);                                    \
}                                                                                 \
FLOAT_INLINE type name##_least(type a, type b)                                    \
{                                                                                 \
    word x = bits_of(a), y = bits_of(b), least = a < b ? x : y;                   \
                                                                                  \
    least = a == b ? (x | y) : least;                                             \
    return of_bits(((a != a) | (b != b)) ? not_a_number : least);                 \
}                                                                                 \
FLOAT_INLINE type name##_most(type a, type b)                                     \
{                                                                                 \
    word x = bits_of(a), y = bits_of(b), most = a > b ? x : y;                    \
                                                                                  \
    most = a == b ? (x & y) : most;                                               \
    return of_bits(((a != a) | (b != b)) ? not_a_number : most);                  \
}

FLOAT_ELEMENT(f32, float, uint32_t, float32_bits, float32_of, FLOAT32_NAN)
FLOAT_ELEMENT(f64, double, uint64_t, float64_bits, float64_of, FLOAT64_NAN)

/* ---- Two operands ---------------------------------------------------- */

/* The expression is about a and b, an element of each. */
#define COMBINE(kernel, type, expression)                                         \
static int kernel(const struct arithmetic *how, void *dst, const void *left,      \
                  const void *right, size_t count)                                \
{                                                                                 \
    type *out = dst;                                                              \
    const type *in = left, *other = right;                                        \
                                                                                  \
    (void)how;                                                                    \
    INDEPENDENT                                                                   \
    for (size_t i = 0; i < count; i++) {                                          \
        const type a = in[i], b = other[i];                                       \
                                                                                  \
        out[i] = (type)(expression);                                              \
    }                                                                             \
    return 0;                                                                     \
}

#define COMBINE_ORDER(name, type)                                                 \
    COMBINE(name##_min, type, a < b ? a : b)                                      \
    COMBINE(name##_max, type, a > b ? a : b)

/* Signed elements wrap as the unsigned ones of their size do, and share their
 * loops where the sign makes no difference.  1u: the product of two uint16_t
 * would overflow int. */
#define COMBINE_INTEGER(name, type)                                               \
    COMBINE(name##_sum, type, a + b)                                              \
    COMBINE(name##_prod, type, 1u * a * b)                                        \
    COMBINE_ORDER(name, type)                                                     \
    COMBINE(name##_band, type, a & b)                                             \
    COMBINE(name##_bor, type, a | b)                                              \
    COMBINE(name##_bxor, type, a ^ b)                                             \
    COMBINE(name##_land, type, (a != 0) & (b != 0))                               \
    COMBINE(name##_lor, type, (a | b) != 0)                                       \
    COMBINE(name##_lxor, type, (a != 0) ^ (b != 0))

#define COMBINE_FLOAT(name, type)                                                 \
    COMBINE(name##_sum, type, name##_settle(a + b))                               \
    COMBINE(name##_prod, type, name##_settle(a * b))                              \
    COMBINE(name##_min, type, name##_least(a, b))                                 \
    COMBINE(name##_max, type, name##_most(a, b))

COMBINE_INTEGER(u8, u8)
COMBINE_INTEGER(u16, u16)
COMBINE_INTEGER(u32, u32)
COMBINE_INTEGER(u64, u64)
COMBINE_ORDER(s8, s8)
COMBINE_ORDER(s16, s16)
COMBINE_ORDER(s32, s32)
COMBINE_ORDER(s64, s64)
COMBINE_FLOAT(f32, f32)
COMBINE_FLOAT(f64, f64)

/* ---- One operand ----------------------------------------------------- */

/* The expression is about a, an element, and s, which is `from`. */
#define SCALE(kernel, type, by, from, expression)                                 \
static void kernel(const struct arithmetic *how, void *dst, const void *src,      \
                   size_t count)                                                  \
{                                                                                 \
    type *out = dst;                                                              \
    const type *in = src;                                                         \
    const by s = from;                                                      \
                                                                                  \
    (void)s;                                                                      \
    (void)how;                                                                    \
    INDEPENDENT                                                                   \
    for (size_t i = 0; i < count; i++) {                                          \
        const type a = in[i];                                                     \
                                                                                  \
        out[i] = (type)(expression);                                              \
    }                                                                             \
}

/* Integers are multiplied by a float a little above 1 / divisor.  The exact
 * quotient is below the next integer by a part in a + 1 at least, so that floats
 * with enough more bits than an element cannot reach it. */
#define DIVIDE(name, type, wide, whole, excess)                                   \
    SCALE(name##_divide, type, wide, (1 + (wide)(excess)) / (wide)how->divisor,   \
          (whole)(a * s))

/* For 64 bits there is no such float: the upper half of a product with a factor of
 * 65 bits, whose upper one is implied (Granlund and Montgomery, "Division by
 * invariant integers using multiplication", figure 4.1). */
#ifdef __SIZEOF_INT128__
struct reciprocal {
    uint64_t factor;
    int      first, rest;      /* shifts */
};

FLOAT_INLINE struct reciprocal reciprocal_of(int divisor)
{
    struct reciprocal r;
    int log = 0;

    while ((UINT64_C(1) << log) < (uint64_t)divisor)
        log++;
    r.factor = (uint64_t)(((unsigned __int128)((UINT64_C(1) << log) - (uint64_t)divisor) << 64)
                          / (unsigned)divisor) + 1;
    r.first = log > 0;
    r.rest = log - r.first;
    return r;
}

FLOAT_INLINE uint64_t u64_quotient(uint64_t a, struct reciprocal by)
{
    uint64_t upper = (uint64_t)(((unsigned __int128)a * by.factor) >> 64);

    return (upper + ((a - upper) >> by.first)) >> by.rest;
}
#else
struct reciprocal {
    uint64_t divisor;
};

FLOAT_INLINE struct reciprocal reciprocal_of(int divisor)
{
    return (struct reciprocal){ (uint64_t)divisor };
}

FLOAT_INLINE uint64_t u64_quotient(uint64_t a, struct reciprocal by)
{
    return a / by.divisor;
}
#endif

/* Towards zero, as C divides. */
FLOAT_INLINE int64_t s64_quotient(int64_t a, struct reciprocal by)
{
    uint64_t sign = a < 0 ? ~UINT64_C(0) : 0;
    uint64_t magnitude = ((uint64_t)a ^ sign) - sign;

    return (int64_t)((u64_quotient(magnitude, by) ^ sign) - sign);
}

#define SCALE_WORD(name, type)                                                    \
    SCALE(name##_multiply, type, type, *(const type *)how->scalar, 1u * a * s)    \
    SCALE(name##_truth, type, type, 0, a != 0)

#define SCALE_FLOAT(name, type)                                                   \
    SCALE(name##_multiply, type, type, *(const type *)how->scalar,                \
          name##_settle(a * s))                                                   \
    SCALE(name##_divide, type, type, how->divisor, name##_settle(a / s))

SCALE_WORD(u8, u8)
SCALE_WORD(u16, u16)
SCALE_WORD(u32, u32)
SCALE_WORD(u64, u64)
DIVIDE(u8, u8, float, int32_t, 0x1p-20f)
DIVIDE(s8, s8, float, int32_t, 0x1p-20f)
DIVIDE(u16, u16, float, int32_t, 0x1p-20f)
DIVIDE(s16, s16, float, int32_t, 0x1p-20f)
DIVIDE(u32, u32, double, uint32_t, 0x1p-48)
DIVIDE(s32, s32, double, int32_t, 0x1p-48)
SCALE(u64_divide, u64, struct reciprocal, reciprocal_of(how->divisor), u64_quotient(a, s))
SCALE(s64_divide, s64, struct reciprocal, reciprocal_of(how->divisor), s64_quotient(a, s))
SCALE_FLOAT(f32, f32)
SCALE_FLOAT(f64, f64)

#include "devices/kernel_narrow.h"

/* ---- The table -------------------------------------------------------- */

#define ROW_INTEGER(name, order)                                                  \
    { [PEAL_SUM] = name##_sum, [PEAL_PROD] = name##_prod,                         \
      [PEAL_MIN] = order##_min, [PEAL_MAX] = order##_max,                         \
      [PEAL_BAND] = name##_band, [PEAL_BOR] = name##_bor,                         \
      [PEAL_BXOR] = name##_bxor, [PEAL_LAND] = name##_land,                       \
      [PEAL_LOR] = name##_lor, [PEAL_LXOR] = name##_lxor }
#define ROW_FLOAT(name)                                                           \
    { [PEAL_SUM] = name##_sum, [PEAL_PROD] = name##_prod,                         \
      [PEAL_MIN] = name##_min, [PEAL_MAX] = name##_max }

#define ROW_BFLOAT16                                                              \
    { [PEAL_SUM] = KERNELS_BFLOAT16_SUM, [PEAL_PROD] = KERNELS_BFLOAT16_PROD,     \
      [PEAL_MIN] = bfloat16_min, [PEAL_MAX] = bfloat16_max }

#define TEXT_OF(name) #name
#define TEXT(name)    TEXT_OF(name)

const struct kernels KERNELS = {
    .name = TEXT(KERNELS),
    .combine = {
        [PEAL_INT8] = ROW_INTEGER(u8, s8),    [PEAL_UINT8] = ROW_INTEGER(u8, u8),
        [PEAL_INT16] = ROW_INTEGER(u16, s16), [PEAL_UINT16] = ROW_INTEGER(u16, u16),
        [PEAL_INT32] = ROW_INTEGER(u32, s32), [PEAL_UINT32] = ROW_INTEGER(u32, u32),
        [PEAL_INT64] = ROW_INTEGER(u64, s64), [PEAL_UINT64] = ROW_INTEGER(u64, u64),
        [PEAL_FLOAT32] = ROW_FLOAT(f32),      [PEAL_FLOAT64] = ROW_FLOAT(f64),
        [PEAL_FLOAT16] = ROW_FLOAT(float16),  [PEAL_BFLOAT16] = ROW_BFLOAT16,
        [PEAL_FLOAT8_E4M3] = ROW_FLOAT(e4m3), [PEAL_FLOAT8_E5M2] = ROW_FLOAT(e5m2),
    },
    .multiply = {
        [PEAL_INT8] = u8_multiply,      [PEAL_UINT8] = u8_multiply,
        [PEAL_INT16] = u16_multiply,    [PEAL_UINT16] = u16_multiply,
        [PEAL_INT32] = u32_multiply,    [PEAL_UINT32] = u32_multiply,
        [PEAL_INT64] = u64_multiply,    [PEAL_UINT64] = u64_multiply,
        [PEAL_FLOAT32] = f32_multiply,  [PEAL_FLOAT64] = f64_multiply,
    },
    .divide = {
        [PEAL_INT8] = s8_divide,        [PEAL_UINT8] = u8_divide,
        [PEAL_INT16] = s16_divide,      [PEAL_UINT16] = u16_divide,
        [PEAL_INT32] = s32_divide,      [PEAL_UINT32] = u32_divide,
        [PEAL_INT64] = s64_divide,      [PEAL_UINT64] = u64_divide,
        [PEAL_FLOAT32] = f32_divide,    [PEAL_FLOAT64] = f64_divide,
    },
    .truth = {
        [PEAL_INT8] = u8_truth,         [PEAL_UINT8] = u8_truth,
        [PEAL_INT16] = u16_truth,       [PEAL_UINT16] = u16_truth,
        [PEAL_INT32] = u32_truth,       [PEAL_UINT32] = u32_truth,
        [PEAL_INT64] = u64_truth,       [PEAL_UINT64] = u64_truth,
    },
    .widen = {
        [PEAL_FLOAT16] = float16_widen_all,  [PEAL_BFLOAT16] = bfloat16_widen_all,
        [PEAL_FLOAT8_E4M3] = e4m3_widen_all, [PEAL_FLOAT8_E5M2] = e5m2_widen_all,
    },
    .narrow = {
        [PEAL_FLOAT16] = float16_narrow_all,  [PEAL_BFLOAT16] = bfloat16_narrow_all,
        [PEAL_FLOAT8_E4M3] = e4m3_narrow_all, [PEAL_FLOAT8_E5M2] = e5m2_narrow_all,
    },
};
