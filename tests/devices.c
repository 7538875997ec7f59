/* SPDX-License-Identifier: BSD-3-Clause */
/* Types and operations: every pair of them at several lengths, alignments and
 * placements, averages, scalars, and the functions of users, against slow
 * references.  usage: devices [SEED] */
#include "base/status.h"
#include "devices/arithmetic.h"
#include "tests/device_reference.h"

/* ---- Combining ----------------------------------------------------------- */

/* Combine n sources by pair (n = 2) or fold and compare.  `same`: dst is that
 * source; n: a place of its own. */
static void check_combining(const struct arithmetic *how, int n, int same, size_t count,
                            size_t misalignment, bool fold)
{
    const char *sources[SOURCES], *at[SOURCES];
    static char right[ROOM];
    char *dst = place(SOURCES, misalignment / 2);
    int status;

    for (int i = 0; i < n; i++) {
        char *source = place(i, i % 2 ? misalignment : 0);

        fill(how->type, source, count);
        sources[i] = source;
        if (i == same)
            dst = source;
    }
    for (size_t k = 0; k < count; k++) {
        for (int i = 0; i < n; i++)
            at[i] = sources[i] + k * how->size;
        reference(how->type, how->op, at, n, right + k * how->size);
    }
    dst[count * how->size] = 0x5a;
    status = fold ? how->fold(how, dst, (const void *const *)sources, n, count)
                  : how->pair(how, dst, sources[0], sources[1], count);
    expect(status == 0 && dst[count * how->size] == 0x5a
           && memcmp(dst, right, count * how->size) == 0,
           "%s of %zu %s, %s of %d, dst is source %d, %zu bytes off", operation_name(how->op),
           count, datatype_name((int)how->type), fold ? "fold" : "pair", n, same,
           misalignment);
}

static void test_combining(void)
{
    static const size_t counts[] = { 0, 1, 3, 64, 513, MOST };
    unsigned long before = checks;

    for (int type = 0; type < PEAL_DATATYPES; type++)
        for (peal_op_t op = 0; op < PEAL_OPS; op++) {
            struct arithmetic how;
            bool defined = type <= PEAL_UINT64 || op < PEAL_BAND;
            int status = arithmetic_resolve(&how, (peal_datatype_t)type, op, 4);

            if (!expect(defined ? status == 0 : status == PEAL_ERR_ARGUMENT,
                        "resolving %s of %s", operation_name(op), datatype_name(type))
                || !defined)
                continue;
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
                for (size_t off = 0; off < 8; off += 3)
                    for (int same = 0; same < 3; same++) {
                        check_combining(&how, 2, same, counts[c], off, false);
                        check_combining(&how, 2, same, counts[c], off, true);
                    }
            for (int n = 3; n <= SOURCES; n += 2)
                for (int same = 0; same <= n; same++)
                    check_combining(&how, n, same, same % 2 ? 700 : 5, 1, true);
        }
    printf("combining: %lu spans\n", checks - before);
}

/* ---- Scaling -------------------------------------------------------------- */

static void check_average(const struct kernels *set, int type, int nranks)
{
    struct arithmetic how;
    char *src = place(0, 1), *dst = place(1, 3), right[8];
    bool before = format_of((peal_datatype_t)type) != NULL;

    expect(!arithmetic_resolve_with(&how, set, (peal_datatype_t)type, PEAL_AVG, nranks)
           && (how.before != NULL) == before && (how.after != NULL) == !before,
           "avg of %s scales at the wrong end", datatype_name(type));
    fill(how.type, src, MOST);
    (before ? how.before : how.after)(&how, dst, src, MOST);
    for (size_t i = 0; i < MOST; i++) {
        const char *from = src + i * how.size;
        uint64_t integer = load(how.type, from);
        volatile float inverse = 1.0f / (float)nranks, product;

        if (type <= PEAL_UINT64) {
            integer = type % 2 ? integer / (uint64_t)nranks
                               : (uint64_t)((int64_t)integer / nranks);
            memcpy(right, &integer, how.size);
        } else if (before) {
            product = (float)load_float(how.type, from) * inverse;
            store_float(how.type, right, product);
        } else {
            store_float(how.type, right, load_float(how.type, from) / nranks);
        }
        expect(memcmp(right, dst + i * how.size, how.size) == 0,
               "%s: avg of %s over %d ranks, element %zu", set->name, datatype_name(type),
               nranks, i);
    }
}

static void check_premul(int type)
{
    struct arithmetic how;
    char *src = place(0, 1), *dst = place(1, 3), scalar[8], right[8];
    peal_datatype_t other = type ? PEAL_INT8 : PEAL_FLOAT32;
    peal_op_t op;

    fill((peal_datatype_t)type, scalar, 1);
    expect(!operation_create_premul_sum(scalar, (peal_datatype_t)type, &op), "premul");
    expect(arithmetic_resolve(&how, other, op, 2) == PEAL_ERR_ARGUMENT,
           "a scalar of another type");
    expect(!arithmetic_resolve(&how, (peal_datatype_t)type, op, 2) && how.before && !how.after,
           "premul of %s: %s", datatype_name(type), status_text());
    fill(how.type, src, MOST);
    how.before(&how, dst, src, MOST);
    for (size_t i = 0; i < MOST; i++) {
        const char *both[] = { scalar, src + i * how.size };

        reference(how.type, PEAL_PROD, both, 2, right);
        expect(memcmp(right, dst + i * how.size, how.size) == 0,
               "premul of %s, element %zu", datatype_name(type), i);
    }
    check_combining(&how, 2, 0, 100, 1, false);
    expect(!operation_free(op), "freeing a premul-sum");
}

static void test_scaling(void)
{
    unsigned long before = checks;
    static const int nranks[] = { 1, 2, 3, 7, 128, 300, 65537, 2147483647 };
    const struct kernels *set;
    struct arithmetic how;
    int32_t value = -7;

    for (int type = 0; type < PEAL_DATATYPES; type++) {
        for (int n = 0; (set = kernels_number(n)) != NULL; n++)
            for (size_t i = 0; i < sizeof nranks / sizeof *nranks; i++)
                if (type <= PEAL_UINT64 || nranks[i] < 1 << 24)    /* exact as float32 */
                    check_average(set, type, nranks[i]);
        check_premul(type);
    }
    expect(!arithmetic_resolve(&how, PEAL_INT32, PEAL_LOR, 1) && how.after, "lor alone");
    how.after(&how, &value, &value, 1);
    expect(value == 1, "lor over one rank gives 0 or 1");
    printf("scaling: %lu elements\n", checks - before);
}

/* ---- Operations of users --------------------------------------------------- */

/* Not commutative: in * 31 + inout.  Fails at calls[1], counts at calls[0]. */
static int chain(const void *in, void *inout, size_t count, peal_datatype_t type,
                 void *context)
{
    int *calls = context;
    const uint32_t *left = in;
    uint32_t *right = inout;

    expect((uintptr_t)in % 4 == 0 && (uintptr_t)inout % 4 == 0 && type == PEAL_UINT32,
           "a user function gets misaligned operands");
    expect(left + count <= right || right + count <= left, "operands overlap");
    if (++calls[0] == calls[1])
        return 7;
    for (size_t i = 0; i < count; i++)
        right[i] += 31 * left[i];
    return 0;
}

static void check_chain(const struct arithmetic *how, int n, int same, size_t count,
                        size_t off)
{
    const void *sources[SOURCES];
    static uint32_t right[MOST];
    char *dst = place(SOURCES, off);
    int status;

    for (int i = 0; i < n; i++) {
        char *source = place(i, off);

        fill(PEAL_UINT32, source, count);
        sources[i] = source;
        dst = i == same ? source : dst;
        for (size_t k = 0; k < count; k++)
            right[k] = (i ? 31 * right[k] : 0) + (uint32_t)load(PEAL_UINT32, source + 4 * k);
    }
    status = n == 2 ? how->pair(how, dst, sources[0], sources[1], count)
                    : how->fold(how, dst, sources, n, count);
    expect(!status && memcmp(dst, right, 4 * count) == 0,
           "user operation of %d sources, dst is %d, %zu off", n, same, off);
}

static void test_user(void)
{
    unsigned long before = checks;
    int calls[2] = { 0, -1 };
    struct arithmetic how;
    peal_op_t op, second;
    uint32_t x[2] = { 1, 2 };

    expect(!operation_create(chain, false, calls, &op) && op >= PEAL_OPS, "creating");
    expect(!arithmetic_resolve(&how, PEAL_UINT32, op, 4) && !how.commutative, "resolving");
    for (int n = 1; n <= SOURCES; n++)
        for (int same = 0; same <= n; same++)
            for (size_t off = 0; off <= 4; off++) {
                check_chain(&how, n, same, MOST, off);
                check_chain(&how, n, same, 3000 / 4, off);
            }
    calls[1] = calls[0] + 1;
    expect(how.pair(&how, x, x, x + 1, 1) == PEAL_ERR_USER
           && strstr(status_text(), "returned 7"), "a failing function: %s", status_text());
    calls[1] = calls[0] + 1;
    expect(how.pair(&how, x + 1, x, x + 1, 1) == PEAL_ERR_USER, "failing, dst is b");
    expect(strcmp(operation_name(op), "user") == 0, "name of a user operation");
    expect(!operation_free(op) && operation_free(op) == PEAL_ERR_ARGUMENT, "freed twice");
    expect(!operation_create(chain, true, calls, &second) && second == op + 1,
           "a freed number is not given again");
    expect(arithmetic_resolve(&how, PEAL_UINT32, op, 4) == PEAL_ERR_ARGUMENT
           && !operation_name(op), "a freed operation");
    expect(!operation_free(second), "freeing");
    printf("user operations: %lu checks, %d calls\n", checks - before, calls[0]);
}

/* ---- Landings past the caches ------------------------------------------------ */

static void test_streams(void)
{
    static _Alignas(64) char mine[40000], theirs[40000], plain[40000], streamed[40000];
    unsigned long before = checks;
    struct arithmetic how;

    fill(PEAL_FLOAT16, mine, sizeof mine / 2);
    fill(PEAL_FLOAT16, theirs, sizeof theirs / 2);
    expect(!arithmetic_resolve(&how, PEAL_FLOAT16, PEAL_SUM, 2), "resolving");
    for (int round = 0; round < 400; round++) {
        size_t off = random_bits() % 64, at = random_bits() % 2000 * 2;
        size_t length = round % 3 ? random_bits() % 17000 * 2 : random_bits() % 2200 * 2;
        struct landing landing = {
            .dst = plain + off, .bytes = at + length, .operand = mine + off / 2,
            .how = round % 2 ? &how : NULL, .incoming_first = round % 4 == 1,
        };

        memset(plain, 0x5a, sizeof plain);
        memset(streamed, 0x5a, sizeof streamed);
        expect(!landing_put(&landing, at, theirs + off % 7, length), "landing");
        landing.dst = streamed + off;
        landing.streams = true;
        expect(!landing_put(&landing, at, theirs + off % 7, length), "streaming");
        expect(memcmp(plain, streamed, sizeof plain) == 0, "streaming %zu bytes at %zu, %zu "
               "off", length, at, off);
    }
    expect(!landing_streams(0) && landing_streams((size_t)1 << 40), "what streams");
    printf("landings past the caches: %lu checks\n", checks - before);
}

/* ---- Landings in several places ---------------------------------------------- */

static int refuses(const void *in, void *inout, size_t count, peal_datatype_t type, void *context)
{
    (void)in, (void)inout, (void)count, (void)type, (void)context;
    return 1;
}

/* The linker puts this in its place (--wrap). */
void __real_string_copy(char *to, const char *from, size_t bytes);
void __wrap_string_copy(char *to, const char *from, size_t bytes);
static size_t strings;                 /* bytes that were copied by string instructions */

void __wrap_string_copy(char *to, const char *from, size_t bytes)
{
    strings += bytes;
    __real_string_copy(to, from, bytes);
}

/* How many bytes of a long landing go that way: 0, once, or twice if the sum is in none of its places. */
static void spread_ways(const struct arithmetic *how)
{
    enum { BYTES = 20480 };
    static char dst[BYTES], ring[BYTES], operand[BYTES], piece[BYTES];
    static const struct { bool strings, far, streams, sums, passes; int times; } rows[] = {
        { true,  false, false, true,  false, 1 }, { true,  true,  false, true,  false, 1 },
        { true,  false, true,  true,  false, 0 }, { true,  true,  true,  true,  false, 2 },
        { true,  false, false, false, false, 2 }, { true,  true,  true,  false, false, 2 },
        { true,  false, false, true,  true,  0 }, { true,  true,  false, true,  true,  1 },
        { false, true,  true,  true,  false, 0 }, { false, false, false, false, false, 0 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t bytes = 4096; bytes <= BYTES; bytes += 4096) {
            struct also also = { .place = ring, .strings = rows[i].strings, .far = rows[i].far };
            struct landing landing = {
                .dst = dst, .bytes = bytes, .how = rows[i].sums ? how : NULL, .operand = operand,
                .streams = rows[i].streams, .passes = rows[i].passes, .also = &also,
            };

            strings = 0;
            expect(!landing_put(&landing, 0, piece, bytes), "landing");
            expect(strings == (bytes < 8192 ? 0 : (size_t)rows[i].times * bytes), "row %zu: %zu of %zu bytes by "
                   "string instructions", i, strings, bytes);
        }
}

enum { SPREAD = 40000 };

struct spread {                    /* places with room around them */
    _Alignas(64) char dst[SPREAD], keep[SPREAD], also[SPREAD], operand[SPREAD], piece[SPREAD];
};

/* What one of the places holds: the message, or, `stays`, what was there before. */
static void check_spread(const char *at, size_t off, const char *before, const char *right,
                         size_t length, bool stays, const char *what, unsigned bits)
{
    expect(memcmp(at, before, off) == 0 &&
           memcmp(at + off, stays ? before + off : right, length) == 0 &&
           memcmp(at + off + length, before + off + length, SPREAD - off - length) == 0,
           "%s of %zu bytes at %zu, combination %x", what, length, off, bits);
}

/* One of the combinations: 1 passes, 2 kept, 4 streams, 8 another place, 16 past the caches there,
 * 32 incoming first, 64 arithmetic, 128 it fails, 256 longer, 512 dst alone, 1024 by string
 * instructions, 2048 the other place is far; the operand is 0 a place of its own, 1 dst, 2 keep. */
static void spread_once(unsigned bits, int whose, const struct arithmetic *how,
                        const struct arithmetic *bad)
{
    static struct spread s, before;
    static char right[SPREAD];
    size_t size = how->size, off = random_bits() % 70, at = random_bits() % 40 * size;
    size_t most = !(bits & 256) ? 1500 : bits & 1024 ? 36000 : 15000;
    size_t length = random_bits() % most / size * size;
    bool alone = bits & 512, passes = bits & 1 && bits & 8 && !alone;
    struct also also = {
        .place = bits & 8 ? s.also + off + at : NULL, .past = bits & 16, .strings = bits & 1024,
        .far = bits & 2048,
    };
    struct landing landing = {
        .dst = s.dst + off, .bytes = at + length, .how = !(bits & 64) ? NULL : bits & 128 ? bad : how,
        .operand = (whose == 0 ? s.operand : whose == 1 ? s.dst : s.keep) + off,
        .incoming_first = bits & 32, .streams = bits & 4, .passes = bits & 1,
        .lent = bits & 1, .keep = bits & 2 ? s.keep + off : NULL, .also = alone ? NULL : &also,
    };
    bool fails = landing.how == bad;
    const char *piece = s.piece + off % 7, *own = landing.operand + at;

    for (size_t i = bits == 0 ? 0 : sizeof s; i < sizeof s; i++)
        ((char *)&before)[i] = (char)random_bits();
    memcpy(&s, &before, sizeof s);
    memcpy(right, piece, length);
    if (landing.how)
        how->pair(how, right, bits & 32 ? piece : own, bits & 32 ? own : piece, length / size);
    expect(landing_put(&landing, at, piece, length) == (fails && length ? PEAL_ERR_USER : 0),
           "landing_put, combination %x", bits);
    off += at;
    /* Of what fails, only what was combined at its place may be there. */
    if (!fails || (bits & 4 && !landing.keep && also.place && !alone))
        check_spread(s.dst, off, before.dst, right, length, fails || passes, "dst", bits);
    if (!fails || bits & 4)
        check_spread(s.keep, off, before.keep, right, length, fails || alone || !(bits & 2), "keep", bits);
    if (!fails || bits & 16)
        check_spread(s.also, off, before.also, right, length, fails || alone || !(bits & 8), "also", bits);
    expect(memcmp(s.operand, before.operand, SPREAD) == 0 && memcmp(s.piece, before.piece, SPREAD) == 0,
           "what is read was changed, combination %x", bits);
}

static void test_spread(void)
{
    unsigned long before = checks;
    struct arithmetic ways[3], bad;
    int calls[2] = { 0, -1 };
    peal_op_t op, failing;

    expect(!operation_create(chain, false, calls, &op) && !operation_create(refuses, true, NULL, &failing),
           "operations");
    expect(!arithmetic_resolve(&ways[0], PEAL_UINT8, PEAL_SUM, 2) &&
           !arithmetic_resolve(&ways[1], PEAL_INT16, PEAL_MAX, 2) &&
           !arithmetic_resolve(&ways[2], PEAL_UINT32, op, 2) &&
           !arithmetic_resolve(&bad, PEAL_UINT8, failing, 2), "resolving");
    for (unsigned bits = 0; bits < 4096; bits++)
        for (int whose = 0; whose < 3; whose++)
            for (int way = 0; way < 3; way++)
                spread_once(bits, whose, &ways[bits & 128 ? 0 : way], &bad);
    spread_ways(&ways[0]);
    operation_free(op);
    operation_free(failing);
    printf("landings in several places: %lu checks\n", checks - before);
}

static void test_arguments(void)
{
    struct arithmetic how;
    peal_op_t op = 12345;

    expect(operation_create(NULL, true, NULL, &op) == PEAL_ERR_ARGUMENT && op == 12345,
           "no function");
    expect(operation_create_premul_sum(NULL, PEAL_INT8, &op) == PEAL_ERR_ARGUMENT, "no scalar");
    expect(operation_create_premul_sum(&op, PEAL_DATATYPES, &op) == PEAL_ERR_ARGUMENT, "type");
    expect(operation_free(PEAL_SUM) == PEAL_ERR_ARGUMENT, "freeing sum");
    expect(operation_free(-1) == PEAL_ERR_ARGUMENT, "freeing -1");
    expect(!operation_name(-1) && !operation_name(PEAL_OPS), "names of none");
    expect(arithmetic_resolve(&how, PEAL_DATATYPES, PEAL_SUM, 2) == PEAL_ERR_ARGUMENT, "type");
    expect(arithmetic_resolve(&how, PEAL_INT8, -1, 2) == PEAL_ERR_ARGUMENT, "operation");
    expect(arithmetic_resolve(&how, PEAL_INT8, PEAL_SUM, 0) == PEAL_ERR_ARGUMENT, "ranks");
    expect(datatype_size(-1) == 0 && datatype_size(PEAL_DATATYPES) == 0
           && datatype_size(PEAL_FLOAT64) == 8 && !datatype_name(-1)
           && strcmp(datatype_name(PEAL_FLOAT8_E5M2), "float8_e5m2") == 0, "datatypes");
}

int main(int argc, char **argv)
{
    reference_start(argc, argv);
    test_combining();
    test_scaling();
    test_user();
    test_streams();
    test_spread();
    test_arguments();
    return reference_finish();
}
