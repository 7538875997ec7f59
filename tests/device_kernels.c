/* SPDX-License-Identifier: BSD-3-Clause */
/* Conversions of all codes of the 16- and 8-bit floats, rounding at every number
 * and middle between two; and every instruction set of this machine against
 * the portable one, bit by bit.  usage: device_kernels [SEED] */
#include "devices/float_formats.h"
#include "devices/kernels.h"
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

/* ---- Instruction sets ------------------------------------------------------ */

/* Every set gives the bits of the portable one, also for swapped operands. */
static void test_sets(const struct kernels *set)
{
    unsigned long before = checks;

    for (int type = 0; type < PEAL_DATATYPES; type++)
        for (int op = 0; op < PEAL_OPS; op++) {
            char *a = place(0, 1), *b = place(1, 3), *x = place(2, 0), *y = place(3, 0);
            size_t bytes = MOST * datatype_size(type);

            if (!set->combine[type][op])
                continue;
            fill((peal_datatype_t)type, a, MOST);
            fill((peal_datatype_t)type, b, MOST);
            kernels_portable.combine[type][op](NULL, x, a, b, MOST);
            set->combine[type][op](NULL, y, b, a, MOST);
            expect(memcmp(x, y, bytes) == 0, "%s: %s of %s differs from portable", set->name,
                   operation_name(op), datatype_name(type));
        }
    printf("%-16s same bits as portable: %lu kernels\n", set->name, checks - before);
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
    printf("best: %s\n", kernels_best()->name);
    return reference_finish();
}
