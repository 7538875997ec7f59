/* SPDX-License-Identifier: BSD-3-Clause */
/* Conversions of all codes of the 16- and 8-bit floats, rounding at every number
 * and middle between two; all pairs of 8-bit floats, and each 16-bit one with
 * several others, under each operation; and every instruction set of this machine
 * against the portable one, bit by bit.  usage: device_kernels [SEED] */
#include "devices/float_formats.h"
#include "devices/arithmetic.h"
#include "tests/device_reference.h"

/* ---- Conversions -------------------------------------------------------- */

static void test_widening(const struct kernels *set)
{
    static float wide[65536];
    static uint16_t codes16[65536];
    static uint8_t codes8[256];
    unsigned long before = checks;

    for (unsigned i = 0; i < 65536; i++) {
        codes16[i] = (uint16_t)i;
        codes8[i % 256] = (uint8_t)i;
    }
    for (int i = 0; i < FORMATS; i++) {
        const struct format *f = &formats[i];
        bool byte = datatype_size((int)f->type) == 1;
        unsigned count = byte ? 256 : 65536;

        set->widen[f->type](wide, byte ? (void *)codes8 : (void *)codes16, count);
        for (unsigned code = 0; code < count; code++) {
            float right = (float)decode(f, code);

            expect(isnan(right) ? isnan(wide[code])
                                : float32_bits(right) == float32_bits(wide[code]),
                   "%s: %s code %#x is %a, not %a", set->name, datatype_name((int)f->type),
                   code, right, wide[code]);
        }
    }
    printf("%-16s widening: %lu codes\n", set->name, checks - before);
}

/* Narrow `values` and compare with the reference. */
static void check_narrow(const struct kernels *set, const struct format *f,
                         const float *values, size_t count)
{
    static uint16_t codes[65536];
    bool byte = datatype_size((int)f->type) == 1;

    set->narrow[f->type](codes, values, count);
    for (size_t i = 0; i < count; i++) {
        unsigned code = byte ? ((uint8_t *)codes)[i] : codes[i];
        unsigned right = encode(f, values[i]);

        expect(code == right, "%s: %a as %s is %#x, not %#x", set->name, values[i],
               datatype_name((int)f->type), right, code);
    }
}

static void test_narrowing(const struct kernels *set)
{
    static float values[65536];
    unsigned long before = checks;

    for (int i = 0; i < FORMATS; i++) {
        const struct format *f = &formats[i];
        unsigned top = largest(f) + 1;

        for (int side = 0; side < 6; side++) {
            /* Each number and each middle between two, and their neighbours. */
            for (unsigned code = 0; code < top; code++) {
                double next = code + 1 < top || f->infinity ? boundary(f, code + 1) : 480;
                double value = side < 3 ? boundary(f, code)
                                        : (boundary(f, code) + next) / 2;
                float x = (float)value;

                x = side % 3 == 1 ? nextafterf(x, INFINITY)
                  : side % 3 == 2 ? nextafterf(x, -INFINITY) : x;
                values[2 * code] = x;
                values[2 * code + 1] = -x;
            }
            check_narrow(set, f, values, 2 * top);
        }
        for (unsigned k = 0; k < 65536; k++) {
            uint32_t bits = (uint32_t)random_bits();

            /* Half of them within the range of the small formats. */
            if (k % 2)
                bits = (bits & 0x80ffffff) | (UINT32_C(0x34000000) + (bits & 0x1f000000) / 2);
            values[k] = float32_of(bits);
        }
        values[0] = INFINITY, values[1] = -INFINITY, values[2] = float32_of(0xffc00001);
        values[3] = float32_of(0x7f800001), values[4] = float32_of(0x7f7fffff);
        values[5] = float32_of(1), values[6] = -0.0f;
        check_narrow(set, f, values, 65536);
    }
    printf("%-16s narrowing: %lu values\n", set->name, checks - before);
}

/* ---- Pairs ------------------------------------------------------------------ */

enum { CODES = 65536, PASSES = 6 };

/* Code i of the left operand and what it is combined with in a pass: for 8 bits
 * all others, for 16 the same, the opposite, near ones and random ones. */
static void pair_of_codes(bool byte, int pass, unsigned i, unsigned *a, unsigned *b)
{
    unsigned random = (unsigned)random_bits();

    *a = byte ? i & 0xff : i;
    *b = byte       ? i >> 8
       : pass == 0 ? i ^ 0x8000
       : pass == 1 ? (i + random % 64 - 32) & 0xffff
       : pass == 2 ? (i ^ 0x8000 ^ random % 512) & 0xffff
       : pass == 3 ? random & 0x83ff
                   : random & 0xffff;
}

static void check_pairs(const struct format *f, peal_op_t op, int pass)
{
    static char a[2 * CODES + 1], b[2 * CODES + 1], right[2 * CODES], got[2 * CODES];
    size_t size = datatype_size((int)f->type);
    const struct kernels *set;

    for (unsigned i = 0; i < CODES; i++) {
        unsigned left, other;
        const char *both[] = { a + 1 + i * size, b + 1 + i * size };

        pair_of_codes(size == 1, pass, i, &left, &other);
        memcpy(a + 1 + i * size, &left, size);
        memcpy(b + 1 + i * size, &other, size);
        reference(f->type, op, both, 2, right + i * size);
    }
    for (int n = 0; (set = kernels_number(n)) != NULL; n++) {
        set->combine[f->type][op](NULL, got, a + 1, b + 1, CODES);
        for (unsigned i = 0; i < CODES; i++)
            expect(memcmp(got + i * size, right + i * size, size) == 0,
                   "%s: %s of %s %#llx and %#llx is %#llx, not %#llx", set->name,
                   operation_name(op), datatype_name((int)f->type),
                   (unsigned long long)load(f->type, a + 1 + i * size),
                   (unsigned long long)load(f->type, b + 1 + i * size),
                   (unsigned long long)load(f->type, got + i * size),
                   (unsigned long long)load(f->type, right + i * size));
    }
}

static void test_pairs(void)
{
    unsigned long before = checks;

    for (int i = 0; i < FORMATS; i++)
        for (peal_op_t op = PEAL_SUM; op <= PEAL_MAX; op++)
            for (int pass = 0; pass < PASSES; pass++)
                if (pass == 0 || datatype_size((int)formats[i].type) == 2)
                    check_pairs(&formats[i], op, pass);
    printf("pairs of 16- and 8-bit floats: %lu\n", checks - before);
}

/* ---- Instruction sets ------------------------------------------------------ */

/* Every set gives the bits of the portable one, also for swapped operands, at
 * every length and alignment, and writes nothing beyond. */
static void check_set(const struct kernels *set, int type, peal_op_t op, size_t count,
                      size_t off)
{
    char *a = place(0, off), *b = place(1, off * 3 % 8), *x = place(2, 0);
    char *y = place(3, off * 5 % 8);
    const void *sources[] = { b, a, b };
    size_t bytes = count * datatype_size(type);
    struct arithmetic how, portable;

    if (!expect(!arithmetic_resolve_with(&how, set, (peal_datatype_t)type, op, 7)
                && !arithmetic_resolve_with(&portable, &kernels_portable,
                                            (peal_datatype_t)type, op, 7),
                "resolving %s of %s", operation_name(op), datatype_name(type)))
        return;
    fill((peal_datatype_t)type, a, count);
    fill((peal_datatype_t)type, b, count);
    y[bytes] = 0x5a;
    portable.pair(&portable, x, a, b, count);
    how.pair(&how, y, b, a, count);
    expect(memcmp(x, y, bytes) == 0 && y[bytes] == 0x5a, "%s: %s of %zu %s differs from "
           "portable", set->name, operation_name(op), count, datatype_name(type));
    portable.fold(&portable, x, sources, 3, count);
    how.fold(&how, y, sources, 3, count);
    expect(memcmp(x, y, bytes) == 0 && y[bytes] == 0x5a, "%s: fold by %s of %zu %s differs "
           "from portable", set->name, operation_name(op), count, datatype_name(type));
}

static void test_sets(const struct kernels *set)
{
    unsigned long before = checks;

    for (int type = 0; type < PEAL_DATATYPES; type++)
        for (peal_op_t op = 0; op < PEAL_OPS; op++) {
            if (!set->combine[type][op])
                continue;
            for (size_t count = 0; count < 140; count++)
                check_set(set, type, op, count, count % 8);
            check_set(set, type, op, MOST, 1);
        }
    printf("%-18s same bits as portable: %lu spans\n", set->name, checks - before);
}

int main(int argc, char **argv)
{
    const struct kernels *set;

    reference_start(argc, argv);
    for (int i = 0; (set = kernels_number(i)) != NULL; i++) {
        test_widening(set);
        test_narrowing(set);
        test_sets(set);
    }
    test_pairs();
    printf("best: %s\n", kernels_best()->name);
    return reference_finish();
}
