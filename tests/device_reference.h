/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of src/devices share: checks that count, random elements, and
 * slow references for every type and operation that share no code with the
 * library.  Each test program includes it once; one thread. */
#ifndef DEVICE_REFERENCE_H
#define DEVICE_REFERENCE_H

#include "devices/device.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1000, SOURCES = 8, ROOM = (MOST + 8) * 8 };

static unsigned long checks, failures;
static uint64_t seed;

__attribute__((format(printf, 2, 3)))
static inline bool expect(bool right, const char *format, ...)
{
    va_list args;

    checks++;
    if (right)
        return true;
    if (failures++ < 20) {
        va_start(args, format);
        printf("FAIL: ");
        vprintf(format, args);
        printf("\n");
        va_end(args);
    }
    return false;
}

static inline uint64_t random_bits(void)          /* splitmix64 */
{
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline void reference_start(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    printf("seed %llu\n", (unsigned long long)seed);
}

static inline int reference_finish(void)
{
    printf("%lu checks, %lu failures\n", checks, failures);
    return failures != 0;
}

/* ---- The reference for 16- and 8-bit floats ---------------------------- */

static const struct format {
    peal_datatype_t type;
    int             exponent, fraction, bias;
    bool            infinity;
} formats[] = {
    { PEAL_FLOAT16, 5, 10, 15, true },
    { PEAL_BFLOAT16, 8, 7, 127, true },
    { PEAL_FLOAT8_E4M3, 4, 3, 7, false },
    { PEAL_FLOAT8_E5M2, 5, 2, 15, true },
};
enum { FORMATS = 4 };

static const struct format *format_of(peal_datatype_t type)
{
    for (int i = 0; i < FORMATS; i++)
        if (formats[i].type == type)
            return &formats[i];
    return NULL;
}

/* The code, without sign, of the largest number and of what NaN becomes. */
static unsigned largest(const struct format *f)
{
    unsigned all = (1u << (f->exponent + f->fraction)) - 1;

    return f->infinity ? all - (1u << f->fraction) : all - 1;
}

static unsigned quiet_nan(const struct format *f)
{
    unsigned all = (1u << (f->exponent + f->fraction)) - 1;

    return f->infinity ? all & ~((1u << (f->fraction - 1)) - 1) : all;
}

static inline double decode(const struct format *f, unsigned code)
{
    int bits = f->exponent + f->fraction;
    unsigned magnitude = code & ((1u << bits) - 1);
    int exponent = (int)(magnitude >> f->fraction);
    double part = magnitude & ((1u << f->fraction) - 1), value;

    if (magnitude > largest(f))
        value = f->infinity && magnitude == largest(f) + 1 ? INFINITY : NAN;
    else if (exponent == 0)
        value = ldexp(part, 1 - f->bias - f->fraction);
    else
        value = ldexp(ldexp(1, f->fraction) + part, exponent - f->bias - f->fraction);
    return code >> bits & 1 ? -value : value;
}

/* As a number, also where the format has infinity: the next power of two. */
static inline double boundary(const struct format *f, unsigned code)
{
    return code > largest(f) ? 2 * decode(f, code - (1u << f->fraction)) : decode(f, code);
}

/* The nearest code, the even one of two; by bisection over all codes. */
static unsigned encode(const struct format *f, double value)
{
    unsigned low = 0, high = largest(f) + (f->infinity ? 1 : 0);
    unsigned sign = signbit(value) ? 1u << (f->exponent + f->fraction) : 0;
    double down, up;

    if (isnan(value))
        return quiet_nan(f);
    value = fabs(value);
    if (value >= boundary(f, high))
        return sign | high;
    while (high - low > 1) {
        unsigned middle = (low + high) / 2;

        if (boundary(f, middle) <= value)
            low = middle;
        else
            high = middle;
    }
    down = value - boundary(f, low);
    up = boundary(f, high) - value;
    return sign | (down < up || (down == up && low % 2 == 0) ? low : high);
}

/* ---- The reference for arithmetic ---------------------------------------- */

static inline uint64_t load(peal_datatype_t type, const void *from)
{
    bool is_signed = type <= PEAL_INT64 && type % 2 == 0;
    size_t size = datatype_size((int)type);
    uint64_t value = 0;

    memcpy(&value, from, size);            /* little endian, as the wire */
    if (is_signed && size < 8 && value >> (8 * size - 1))
        value |= ~UINT64_C(0) << (8 * size);
    return value;
}

static inline uint64_t integer_reference(peal_datatype_t type, peal_op_t op, uint64_t a,
                                         uint64_t b)
{
    bool less = type % 2 == 0 ? (int64_t)a < (int64_t)b : a < b;

    switch (op) {
    case PEAL_PROD: return a * b;
    case PEAL_MIN:  return less ? a : b;
    case PEAL_MAX:  return less ? b : a;
    case PEAL_BAND: return a & b;
    case PEAL_BOR:  return a | b;
    case PEAL_BXOR: return a ^ b;
    case PEAL_LAND: return a && b;
    case PEAL_LOR:  return a || b;
    case PEAL_LXOR: return !a != !b;
    default:        return a + b;
    }
}

static inline double float_reference(bool is_double, peal_op_t op, double a, double b)
{
    volatile float a32 = (float)a, b32 = (float)b, r32;
    volatile double r64;

    if (isnan(a) || isnan(b))
        return NAN;
    if (op == PEAL_MIN)
        return a == b ? (signbit(a) ? a : b) : a < b ? a : b;
    if (op == PEAL_MAX)
        return a == b ? (signbit(a) ? b : a) : a > b ? a : b;
    r32 = op == PEAL_PROD ? a32 * b32 : a32 + b32;
    r64 = op == PEAL_PROD ? a * b : a + b;
    return is_double ? r64 : (double)r32;
}

static inline double load_float(peal_datatype_t type, const void *from)
{
    float f32;
    double f64;

    if (format_of(type))
        return decode(format_of(type), (unsigned)load(type, from));
    memcpy(&f32, from, 4);
    if (type == PEAL_FLOAT32)
        return f32;
    memcpy(&f64, from, 8);
    return f64;
}

static inline void store_float(peal_datatype_t type, void *to, double value)
{
    uint64_t bits;
    uint32_t bits32;
    float f32 = (float)value;

    memcpy(&bits, &value, 8);
    memcpy(&bits32, &f32, 4);
    if (format_of(type))
        bits = encode(format_of(type), value);
    else if (type == PEAL_FLOAT32)
        bits = isnan(value) ? UINT32_C(0x7fc00000) : bits32;
    else if (isnan(value))
        bits = UINT64_C(0x7ff8000000000000);
    memcpy(to, &bits, datatype_size((int)type));
}

/* One element of each of n >= 2 sources, combined from left to right. */
static inline void reference(peal_datatype_t type, peal_op_t op,
                             const char *const *sources, int n, void *to)
{
    if (type <= PEAL_UINT64) {
        uint64_t sum = load(type, sources[0]);

        for (int i = 1; i < n; i++) {
            sum = integer_reference(type, op, sum, load(type, sources[i]));
            memcpy(to, &sum, datatype_size((int)type));
            sum = load(type, to);          /* wrapped, for min and max */
        }
    } else {
        double sum = load_float(type, sources[0]);

        for (int i = 1; i < n; i++)
            sum = float_reference(type == PEAL_FLOAT64, op, sum,
                                  load_float(type, sources[i]));
        store_float(type, to, sum);
    }
}

/* Random elements with many zeros, ones, NaN, infinities and subnormals. */
static inline void fill(peal_datatype_t type, void *to, size_t count)
{
    static const double special[] = {
        0.0, -0.0, 1, -1, INFINITY, -INFINITY, NAN, 1e-40, -1e-7, 448, 65504, 3e38, -2e-3,
    };
    size_t size = datatype_size((int)type);

    for (size_t i = 0; i < count; i++) {
        uint64_t bits = random_bits(), kind = random_bits() % 8;

        if (kind == 0)
            bits &= 1;
        memcpy((char *)to + i * size, &bits, size);
        if (kind > 4 && type > PEAL_UINT64)
            store_float(type, (char *)to + i * size, special[random_bits() % 13]
                        * (kind == 5 ? 1.0 : (double)(random_bits() % 64) / 8));
    }
}

/* Memory of its own at an address of the wanted misalignment. */
static inline char *place(int which, size_t misalignment)
{
    static _Alignas(64) char rooms[SOURCES + 2][ROOM];

    return rooms[which] + misalignment;
}

#endif
