/* SPDX-License-Identifier: BSD-3-Clause */
#include "samples.h"

#include <math.h>
#include <string.h>

static const int marker;               /* the context of user functions */

static uint64_t hash(uint64_t seed, int rank, size_t index)
{
    uint64_t x = seed + (uint64_t)(rank + 1) * UINT64_C(0x9e3779b97f4a7c15) +
                 (uint64_t)index * UINT64_C(0xd1342543de82ef95);

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* ---- Types --------------------------------------------------------------- */

static bool is_float(peal_datatype_t type)
{
    return type >= PEAL_FLOAT16;
}

static bool is_signed(peal_datatype_t type)
{
    return type == PEAL_INT8 || type == PEAL_INT16 || type == PEAL_INT32 || type == PEAL_INT64;
}

/* A whole number that the type can hold, from any 64 bits. */
static int64_t canonical(peal_datatype_t type, uint64_t bits)
{
    int spare = 64 - 8 * (int)peal_datatype_size(type);

    if (is_float(type) || spare == 0)
        return (int64_t)bits;
    return is_signed(type) ? (int64_t)(bits << spare) >> spare : (int64_t)(bits << spare >> spare);
}

/* A sign, `exponent` bits and `fraction` bits; the value must fit. */
static uint16_t encode_small(int64_t value, int exponent, int fraction)
{
    int bias = (1 << (exponent - 1)) - 1, power;
    double m = frexp(fabs((double)value), &power);      /* 0.5 <= m < 1 */
    uint16_t code;

    if (value == 0)
        return 0;
    code = (uint16_t)(((power - 1 + bias) << fraction) |
                      (int)ldexp(2 * m - 1, fraction));
    return value < 0 ? (uint16_t)(code | 1 << (exponent + fraction)) : code;
}

static void store(peal_datatype_t type, int64_t value, void *out)
{
    float f = (float)value;
    double d = (double)value;
    uint16_t h = 0;

    switch (type) {
    case PEAL_FLOAT32:     memcpy(out, &f, sizeof f); return;
    case PEAL_FLOAT64:     memcpy(out, &d, sizeof d); return;
    case PEAL_FLOAT16:     h = encode_small(value, 5, 10); break;
    case PEAL_BFLOAT16:    h = encode_small(value, 8, 7); break;
    case PEAL_FLOAT8_E4M3: h = encode_small(value, 4, 3); break;
    case PEAL_FLOAT8_E5M2: h = encode_small(value, 5, 2); break;
    default:               memcpy(out, &value, peal_datatype_size(type)); return;
    }
    memcpy(out, &h, peal_datatype_size(type));
}

/* Whole numbers up to this, times 16, are exact in the type. */
static int small_range(peal_datatype_t type)
{
    switch (type) {
    case PEAL_FLOAT8_E5M2: return 1;
    case PEAL_FLOAT8_E4M3: return 2;
    case PEAL_BFLOAT16:    return 16;
    case PEAL_FLOAT16:     return 60;
    default:               return 1000;
    }
}

/* ---- Inputs ---------------------------------------------------------------- */

static int64_t between(uint64_t bits, int64_t low, int64_t high)
{
    return low + (int64_t)(bits % (uint64_t)(high - low + 1));
}

static int64_t float_input(const struct sample *s, uint64_t bits)
{
    static const int64_t factors[] = { 1, -1, 2, -2 };
    int range = small_range(s->type);

    switch (s->op) {
    case PEAL_PROD: return factors[bits % 4];
    case PEAL_MIN:
    case PEAL_MAX:  return between(bits, -4 * range, 4 * range);
    case PEAL_AVG:  return s->nranks * between(bits, range < 16 ? -1 : -16, range < 16 ? 1 : 16);
    default:        return between(bits, -range, range);
    }
}

static int64_t input(const struct sample *s, int rank, size_t index)
{
    uint64_t bits = hash(s->seed, rank, index);

    if (s->op < 0 || s->op == SAMPLE_COMMUTING || s->op == SAMPLE_ORDERED)
        return (int64_t)bits;
    if (is_float(s->type))
        return float_input(s, bits);
    switch (s->op) {
    case PEAL_AVG:  return is_signed(s->type) ? between(bits, -15, 15) : between(bits, 0, 31);
    case PEAL_LAND:
    case PEAL_LOR:
    case PEAL_LXOR: return bits & 1 ? canonical(s->type, bits >> 1) : 0;
    default:        return canonical(s->type, bits);
    }
}

void sample_input(const struct sample *s, int rank, size_t first, size_t count, void *out)
{
    size_t size = peal_datatype_size(s->type);
    bool as_bytes = s->op < 0 || s->op == SAMPLE_COMMUTING || s->op == SAMPLE_ORDERED;

    for (size_t i = 0; i < count; i++) {
        int64_t value = input(s, rank, first + i);

        if (as_bytes)
            memcpy((char *)out + i * size, &value, size);
        else
            store(s->type, value, (char *)out + i * size);
    }
}

/* ---- Combining --------------------------------------------------------------- */

static uint8_t compose(uint8_t f, uint8_t g)
{
    /* x -> ax + b modulo 16, `a` in the low half: first f, then g. */
    uint8_t a = (uint8_t)((f & 15) * (g & 15) & 15);
    uint8_t b = (uint8_t)(((f >> 4) * (g & 15) + (g >> 4)) & 15);

    return (uint8_t)(a | b << 4);
}

static uint64_t combine_bytes(int op, uint64_t a, uint64_t b)
{
    uint64_t result = 0;

    for (int shift = 0; shift < 64; shift += 8) {
        uint8_t x = (uint8_t)(a >> shift), y = (uint8_t)(b >> shift);
        uint8_t z = op == SAMPLE_ORDERED ? compose(x, y) : (uint8_t)(x + y);

        result |= (uint64_t)z << shift;
    }
    return result;
}

static bool less(peal_datatype_t type, int64_t a, int64_t b)
{
    return type == PEAL_UINT64 ? (uint64_t)a < (uint64_t)b : a < b;
}

static int64_t combine(const struct sample *s, int64_t a, int64_t b)
{
    switch (s->op) {
    case PEAL_PROD: return (int64_t)((uint64_t)a * (uint64_t)b);
    case PEAL_MIN:  return less(s->type, a, b) ? a : b;
    case PEAL_MAX:  return less(s->type, a, b) ? b : a;
    case PEAL_BAND: return a & b;
    case PEAL_BOR:  return a | b;
    case PEAL_BXOR: return a ^ b;
    case PEAL_LAND: return a && b;
    case PEAL_LOR:  return a || b;
    case PEAL_LXOR: return !a != !b;
    case SAMPLE_COMMUTING:
    case SAMPLE_ORDERED: return (int64_t)combine_bytes(s->op, (uint64_t)a, (uint64_t)b);
    default:        return (int64_t)((uint64_t)a + (uint64_t)b);
    }
}

static int64_t scalar_of(peal_datatype_t type, int rank)
{
    if (is_float(type))
        return rank % 2 ? -1 : 1;
    return canonical(type, (uint64_t)(3 * rank + 1));
}

static int64_t prepared(const struct sample *s, int rank, size_t index)
{
    int64_t value = input(s, rank, index);

    if (s->op == SAMPLE_PREMUL)
        return (int64_t)((uint64_t)value * (uint64_t)scalar_of(s->type, rank));
    if (s->op == PEAL_LAND || s->op == PEAL_LOR || s->op == PEAL_LXOR)
        return value != 0;
    return value;
}

void sample_combined(const struct sample *s, size_t first, size_t count, void *out)
{
    size_t size = peal_datatype_size(s->type);

    for (size_t i = 0; i < count; i++) {
        int64_t value = prepared(s, 0, first + i);

        for (int r = 1; r < s->nranks; r++)
            value = combine(s, value, prepared(s, r, first + i));
        if (s->op == PEAL_AVG)
            value /= s->nranks;
        if (s->op == SAMPLE_COMMUTING || s->op == SAMPLE_ORDERED)
            memcpy((char *)out + i * size, &value, size);
        else
            store(s->type, value, (char *)out + i * size);
    }
}

/* ---- Operations ----------------------------------------------------------------- */

bool sample_allowed(peal_datatype_t type, int op)
{
    return !is_float(type) || op <= PEAL_AVG || op >= PEAL_OPS;
}

const char *sample_op_name(int op)
{
    static const char *const created[] = { "premul-sum", "user commuting", "user ordered" };

    return op < 0 ? "-" : op < PEAL_OPS ? peal_op_name(op) : created[op - PEAL_OPS];
}

static int add_bytes(const void *in, void *inout, size_t count, peal_datatype_t type,
                     void *context)
{
    const uint8_t *a = in;
    uint8_t *b = inout;

    for (size_t i = 0; i < count * peal_datatype_size(type); i++)
        b[i] = (uint8_t)(a[i] + b[i]);
    return context != &marker;
}

static int compose_bytes(const void *in, void *inout, size_t count, peal_datatype_t type,
                         void *context)
{
    const uint8_t *a = in;
    uint8_t *b = inout;

    for (size_t i = 0; i < count * peal_datatype_size(type); i++)
        b[i] = compose(a[i], b[i]);
    return context != &marker;
}

int sample_ops_create(peal_datatype_t type, int rank, peal_op_t op[3])
{
    unsigned char scalar[8];
    int status;

    store(type, scalar_of(type, rank), scalar);
    status = peal_op_create_premul_sum(scalar, type, &op[0]);
    if (!status)
        status = peal_op_create(add_bytes, 1, (void *)&marker, &op[1]);
    if (!status)
        status = peal_op_create(compose_bytes, 0, (void *)&marker, &op[2]);
    return status;
}

void sample_ops_free(const peal_op_t op[3])
{
    for (int i = 0; i < 3; i++)
        peal_op_free(op[i]);
}
