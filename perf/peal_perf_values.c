/* SPDX-License-Identifier: BSD-3-Clause */
/* Inputs whose combination is exact, whatever the order and grouping, in every
 * type: then any difference is an error and no tolerance is needed.
 *
 * Sums: small integers, and at each entry of the table so few ranks contribute
 * that the sum of the magnitudes stays within what the type counts exactly (8
 * for float8_e5m2).  Products: a few factors of 1/2, 1, 2.  Averages of floats:
 * if the number of ranks is a power of two, like sums; else one rank contributes
 * a power of two, so that there is one rounding only. */
#include "perf/peal_perf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const struct perf_type perf_types[] = {
    {"int8",     PEAL_INT8,        false, true,  120,     0, 0},
    {"uint8",    PEAL_UINT8,       false, false, 120,     0, 0},
    {"int16",    PEAL_INT16,       false, true,  4096,    0, 0},
    {"uint16",   PEAL_UINT16,      false, false, 4096,    0, 0},
    {"int32",    PEAL_INT32,       false, true,  1 << 24, 0, 0},
    {"uint32",   PEAL_UINT32,      false, false, 1 << 24, 0, 0},
    {"int64",    PEAL_INT64,       false, true,  1 << 24, 0, 0},
    {"uint64",   PEAL_UINT64,      false, false, 1 << 24, 0, 0},
    {"half",     PEAL_FLOAT16,     true,  true,  2048,    5, 10},
    {"bfloat16", PEAL_BFLOAT16,    true,  true,  256,     8, 7},
    {"float",    PEAL_FLOAT32,     true,  true,  1 << 24, 8, 23},
    {"double",   PEAL_FLOAT64,     true,  true,  1 << 24, 11, 52},
    {"f8e4m3",   PEAL_FLOAT8_E4M3, true,  true,  16,      4, 3},
    {"f8e5m2",   PEAL_FLOAT8_E5M2, true,  true,  8,       5, 2},
};

const struct perf_op perf_ops[] = {
    {"sum",    PEAL_SUM,  false}, {"prod", PEAL_PROD, false}, {"min",  PEAL_MIN,  false},
    {"max",    PEAL_MAX,  false}, {"avg",  PEAL_AVG,  false}, {"band", PEAL_BAND, true},
    {"bor",    PEAL_BOR,  true},  {"bxor", PEAL_BXOR, true},  {"land", PEAL_LAND, true},
    {"lor",    PEAL_LOR,  true},  {"lxor", PEAL_LXOR, true},
    {"mulsum", PERF_MULSUM, false},
};

int perf_type_find(const char *name)
{
    for (int i = 0; i < PEAL_DATATYPES; i++)
        if (!strcasecmp(name, perf_types[i].name)
            || !strcasecmp(name, peal_datatype_name(perf_types[i].type)))
            return i;
    return -1;
}

int perf_op_find(const char *name)
{
    for (int i = 0; i < PERF_OPS; i++)
        if (!strcasecmp(name, perf_ops[i].name))
            return i;
    return -1;
}

static uint64_t bits_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t entry_bits(int rank, int entry)
{
    return bits_mix((uint64_t)rank * PERF_PERIOD + (uint64_t)entry + 1);
}

int perf_values_scalar(int rank)
{
    return 1 + rank % 2;
}

/* Round to nearest even into sign, exponent and mantissa bits.  No overflow is
 * asked for: the values are small. */
static uint64_t float_round(double value, int exponent_bits, int mantissa_bits)
{
    int bias = (1 << (exponent_bits - 1)) - 1, exponent;
    double magnitude = fabs(value), unit, whole;
    uint64_t sign = signbit(value) ? 1 : 0, bits;

    if (magnitude == 0)
        return 0;
    frexp(magnitude, &exponent);
    exponent -= 1;                                /* magnitude = 1.x * 2^exponent */
    if (exponent < 1 - bias)
        exponent = 1 - bias;                      /* subnormal */
    unit = ldexp(1, exponent - mantissa_bits);
    whole = nearbyint(magnitude / unit);
    bits = (uint64_t)whole + ((uint64_t)(exponent + bias - 1) << mantissa_bits);
    if (bits == 0)
        return 0;                                 /* -0 + 0 of another rank is +0 */
    return bits | sign << (exponent_bits + mantissa_bits);
}

void perf_values_encode(const struct perf_type *type, double value, uint64_t bits,
                        unsigned char *to)
{
    float single = (float)value;

    if (type->type == PEAL_FLOAT64) {
        memcpy(to, &value, sizeof value);
    } else if (type->type == PEAL_FLOAT32) {
        memcpy(to, &single, sizeof single);
    } else {
        size_t size = peal_datatype_size(type->type);

        if (type->floating)
            bits = float_round(value, type->exponent_bits, type->mantissa_bits);
        for (size_t i = 0; i < size; i++)         /* little endian, as the host */
            to[i] = (unsigned char)(bits >> (8 * i));
    }
}

static bool power_of_two(int n)
{
    return (n & (n - 1)) == 0;
}

/* How many ranks contribute to an entry, and how much at most. */
static void values_bound(struct perf_values *v)
{
    int exact = v->type->exact, most;
    int op = v->op;

    v->contributors = v->nranks;
    v->magnitude = exact < 100 ? exact : 100;
    if (op == PEAL_PROD || op >= PEAL_BAND)
        v->contributors = v->nranks < 4 ? v->nranks : 4;
    if (op == PEAL_SUM || op == PEAL_AVG || op == PERF_MULSUM) {
        if (op == PERF_MULSUM)
            exact /= 2;
        most = exact / 2 < 60 ? exact / 2 : 60;
        v->contributors = v->nranks < most ? v->nranks : most;
        v->magnitude = exact / v->contributors < 50 ? exact / v->contributors : 50;
    }
    if (op == PEAL_AVG && v->type->floating && (!power_of_two(v->nranks) || v->nranks > 64))
        v->contributors = 1;
}

/* A floating-point input. */
static double input_float(const struct perf_values *v, int rank, int entry)
{
    static const double factors[] = {0.5, 1, 2, -1, -2, -0.5};
    uint64_t bits = entry_bits(rank, entry);
    bool neutral = (rank + entry) % v->nranks >= v->contributors;

    if (v->op == PEAL_PROD)
        return neutral ? 1 : factors[bits % 6];
    if (neutral)
        return 0;
    if (v->op == PEAL_AVG && v->contributors == 1 && v->nranks > 1)
        return ldexp(bits & 1 ? 1 : -1, (int)(bits >> 1 & 3));
    return (double)(int)(bits % (uint64_t)(2 * v->magnitude + 1)) - v->magnitude;
}

/* An integer input, in two's complement. */
static uint64_t input_integer(const struct perf_values *v, int rank, int entry)
{
    uint64_t bits = entry_bits(rank, entry), span = (uint64_t)v->magnitude + 1;
    bool neutral = (rank + entry) % v->nranks >= v->contributors;
    bool negative = v->type->is_signed && (bits & 1);
    uint64_t value = v->op == PEAL_PROD ? 1 + (bits >> 1) % 3 : (bits >> 1) % span;

    switch (v->op) {
    case PEAL_BAND:
        return neutral ? ~UINT64_C(0) : bits;
    case PEAL_LAND:
        return neutral ? 1 : bits & (v->nranks > 1 ? 3 : 1);
    case PEAL_BOR: case PEAL_BXOR:
        return neutral ? 0 : bits;
    case PEAL_LOR: case PEAL_LXOR:
        return neutral ? 0 : bits & 1;
    case PEAL_PROD:
        value = neutral ? 1 : value;
        break;
    default:
        if (neutral)
            value = 0;
    }
    return negative ? -value : value;
}

static double combine_float(const struct perf_values *v, int entry)
{
    double result = v->op == PEAL_PROD ? 1 : 0;

    for (int rank = 0; rank < v->nranks; rank++) {
        double x = input_float(v, rank, entry);

        if (v->op == PEAL_PROD)
            result *= x;
        else if (v->op == PEAL_MIN || v->op == PEAL_MAX)
            result = rank == 0 || (v->op == PEAL_MIN ? x < result : x > result) ? x : result;
        else
            result += v->op == PERF_MULSUM ? x * perf_values_scalar(rank) : x;
    }
    if (v->op == PEAL_AVG)
        result = v->type->type == PEAL_FLOAT64 ? result / v->nranks
                                               : (double)((float)result / (float)v->nranks);
    return result;
}

static uint64_t combine_two(const struct perf_values *v, uint64_t a, uint64_t b)
{
    bool less = v->type->is_signed ? (int64_t)a < (int64_t)b : a < b;

    switch (v->op) {
    case PEAL_PROD: return a * b;
    case PEAL_MIN:  return less ? a : b;
    case PEAL_MAX:  return less ? b : a;
    case PEAL_BAND: return a & b;
    case PEAL_BOR:  return a | b;
    case PEAL_BXOR: return a ^ b;
    case PEAL_LAND: return a && b;
    case PEAL_LOR:  return a || b;
    case PEAL_LXOR: return !a != !b;
    }
    return a + b;
}

static uint64_t combine_integer(const struct perf_values *v, int entry)
{
    bool logical = v->op == PEAL_LAND || v->op == PEAL_LOR || v->op == PEAL_LXOR;
    uint64_t result = 0;

    for (int rank = 0; rank < v->nranks; rank++) {
        uint64_t x = input_integer(v, rank, entry);

        if (v->op == PERF_MULSUM)
            x *= (uint64_t)perf_values_scalar(rank);
        result = rank ? combine_two(v, result, x) : x;
    }
    if (logical && v->nranks > 1)
        result = result != 0;
    if (v->op == PEAL_AVG)
        result = v->type->is_signed ? (uint64_t)((int64_t)result / v->nranks)
                                    : result / (uint64_t)v->nranks;
    return result;
}

static void table_fill(const struct perf_values *v, int rank, unsigned char *table)
{
    for (int i = 0; i < PERF_PERIOD; i++) {
        unsigned char *to = table + (size_t)i * v->element;

        if (v->op < 0) {
            uint64_t bits = entry_bits(rank, i);

            memcpy(to, &bits, v->element);
        } else {
            bool floating = v->type->floating;

            perf_values_encode(v->type, floating ? input_float(v, rank, i) : 0,
                               floating ? 0 : input_integer(v, rank, i), to);
        }
    }
    memcpy(table + PERF_PERIOD * v->element, table, PERF_PERIOD * v->element);
}

int perf_values_make(struct perf_values *v, const struct perf_type *type, int op, int rank,
                     int nranks)
{
    size_t bytes = 2 * PERF_PERIOD * peal_datatype_size(type->type);

    *v = (struct perf_values){.type = type, .op = op, .rank = rank, .nranks = nranks,
                              .element = peal_datatype_size(type->type), .other_rank = -1};
    v->own = malloc(bytes);
    v->expected = malloc(bytes);
    v->other = malloc(bytes);
    if (!v->own || !v->expected || !v->other) {
        perf_values_free(v);
        return PEAL_ERR_MEMORY;
    }
    values_bound(v);
    table_fill(v, rank, v->own);
    for (int i = 0; op >= 0 && i < PERF_PERIOD; i++)
        perf_values_encode(type, type->floating ? combine_float(v, i) : 0,
                           type->floating ? 0 : combine_integer(v, i),
                           v->expected + (size_t)i * v->element);
    memcpy(v->expected + bytes / 2, v->expected, bytes / 2);
    return PEAL_OK;
}

void perf_values_free(struct perf_values *v)
{
    free(v->own);
    free(v->expected);
    free(v->other);
    v->own = v->expected = v->other = NULL;
}

const unsigned char *perf_values_of(struct perf_values *v, int rank)
{
    if (rank == v->rank)
        return v->own;
    if (rank != v->other_rank)
        table_fill(v, rank, v->other);
    v->other_rank = rank;
    return v->other;
}

void perf_values_copy(const struct perf_values *v, const unsigned char *table,
                      size_t position, size_t count, unsigned char *to)
{
    const unsigned char *from = table + position % PERF_PERIOD * v->element;

    while (count) {
        size_t part = count < PERF_PERIOD ? count : PERF_PERIOD;

        memcpy(to, from, part * v->element);
        to += part * v->element;
        count -= part;
    }
}

size_t perf_values_wrong(const struct perf_values *v, const unsigned char *table,
                         size_t position, size_t count, const unsigned char *data)
{
    const unsigned char *from = table + position % PERF_PERIOD * v->element;
    size_t wrong = 0;

    while (count) {
        size_t part = count < PERF_PERIOD ? count : PERF_PERIOD;

        if (memcmp(data, from, part * v->element))
            for (size_t i = 0; i < part; i++)
                wrong += memcmp(data + i * v->element, from + i * v->element, v->element) != 0;
        data += part * v->element;
        count -= part;
    }
    return wrong;
}
