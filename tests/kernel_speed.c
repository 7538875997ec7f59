/* SPDX-License-Identifier: BSD-3-Clause */
/* How fast each set of kernels combines each type, and how that compares with
 * the sum of float32 of the same set.  Not a test: built with the tests, run by
 * hand on a quiet machine (docs/performance.md has the table).
 *
 *   kernel_speed [SET|all [OPERATION|all [ROUNDS]]]
 *
 * One pair() of three buffers that together fill a quarter or so of a cache
 * level, or far more than all of them; "scale" is what an average does before or
 * after, of two buffers; "fold4" sums four sources.  The rounds go over all types in
 * turn, so that whatever disturbs the machine disturbs them alike; a figure
 * is the median, in gigabytes (1e9) of one operand per second, with its ratio to
 * the sum of float32 behind it. */
#include "devices/arithmetic.h"
#include "devices/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SIZES = 4, MOST_ROUNDS = 25, SOURCES = 4 };

static const struct {
    const char *name;
    size_t      bytes;         /* of all buffers together */
} sizes[SIZES] = {
    { "16 KiB", 16 << 10 }, { "256 KiB", 256 << 10 }, { "8 MiB", 8 << 20 },
    { "192 MiB", 192 << 20 },
};

static const struct row {
    const char *name;
    peal_op_t   op;
    enum { PAIR, SCALE, FOLD } what;
} rows[] = {
    { "sum", PEAL_SUM, PAIR }, { "prod", PEAL_PROD, PAIR }, { "min", PEAL_MIN, PAIR },
    { "max", PEAL_MAX, PAIR }, { "scale", PEAL_AVG, SCALE }, { "fold4", PEAL_SUM, FOLD },
};
enum { ROWS = sizeof rows / sizeof *rows };

static char *memory;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Codes of small positive numbers in every format: 1 to 2 of the floats. */
static void fill(int type, char *to, size_t bytes)
{
    static const uint64_t ones[PEAL_DATATYPES] = {
        [PEAL_FLOAT16] = 0x3c00, [PEAL_BFLOAT16] = 0x3f80, [PEAL_FLOAT32] = 0x3f800000,
        [PEAL_FLOAT64] = UINT64_C(0x3ff0000000000000), [PEAL_FLOAT8_E4M3] = 0x38,
        [PEAL_FLOAT8_E5M2] = 0x3c,
    };
    size_t size = datatype_size(type);

    for (size_t i = 0; i < bytes / size; i++) {
        uint64_t code = (ones[type] ? ones[type] : 1) + (i & 3);

        memcpy(to + i * size, &code, size);      /* little endian */
    }
}

static void call(const struct arithmetic *how, const struct row *row, char *const *at,
                 size_t count)
{
    arithmetic_scale *scale = how->before ? how->before : how->after;

    if (row->what == PAIR)
        how->pair(how, at[0], at[1], at[2], count);
    else if (row->what == FOLD)
        how->fold(how, at[0], (const void *const *)(at + 1), SOURCES, count);
    else
        scale(how, at[0], at[1], count);
}

/* Seconds of one call, from enough of them to be measured. */
static double measure(const struct arithmetic *how, const struct row *row, size_t bytes)
{
    int buffers = row->what == PAIR ? 3 : row->what == FOLD ? SOURCES + 1 : 2;
    size_t each = bytes / (size_t)buffers / 64 * 64;
    char *at[SOURCES + 1];
    size_t calls = 1 + (1 << 20) / bytes;
    double start;

    for (int i = 0; i < buffers; i++) {
        at[i] = memory + (size_t)i * each;
        fill((int)how->type, at[i], bytes > (1 << 20) ? 0 : each);
    }
    call(how, row, at, each / how->size);
    start = now();
    for (size_t i = 0; i < calls; i++)
        call(how, row, at, each / how->size);
    return (now() - start) / (double)calls / (double)each;
}

static double median(double *times, int n)
{
    qsort(times, (size_t)n, sizeof *times, ascending);
    return times[n / 2];
}

static void compare(const struct kernels *set, const struct row *row, int rounds)
{
    static double times[PEAL_DATATYPES + 1][SIZES][MOST_ROUNDS];
    struct arithmetic how[PEAL_DATATYPES + 1];
    double base[SIZES];

    for (int type = 0; type <= PEAL_DATATYPES; type++) {
        bool last = type == PEAL_DATATYPES;

        if (arithmetic_resolve_with(&how[type], set,
                                    last ? PEAL_FLOAT32 : (peal_datatype_t)type,
                                    last ? PEAL_SUM : row->op, 3))
            exit(1);
    }
    for (int size = 0; size < SIZES; size++)
        for (int round = 0; round < rounds; round++)
            for (int type = 0; type <= PEAL_DATATYPES; type++)
                times[type][size][round] =
                    measure(&how[type], type < PEAL_DATATYPES ? row : rows, sizes[size].bytes);
    for (int size = 0; size < SIZES; size++)
        base[size] = median(times[PEAL_DATATYPES][size], rounds);
    for (int type = 0; type < PEAL_DATATYPES; type++) {
        printf("%-15s %-5s %-12s", set->name, row->name, datatype_name(type));
        for (int size = 0; size < SIZES; size++) {
            double time = median(times[type][size], rounds);

            printf(" %8.1f (%4.2f)", 1e-9 / time, base[size] / time);
        }
        printf("\n");
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const char *which = argc > 1 ? argv[1] : "all", *op = argc > 2 ? argv[2] : "all";
    int rounds = argc > 3 ? atoi(argv[3]) : 7;
    const struct kernels *set;

    if (rounds < 1 || rounds > MOST_ROUNDS) {
        fprintf(stderr, "kernel_speed: 1 to %d rounds\n", MOST_ROUNDS);
        return 2;
    }
    memory = aligned_alloc(4096, sizes[SIZES - 1].bytes);
    if (!memory)
        return 1;
    fill(PEAL_FLOAT16, memory, sizes[SIZES - 1].bytes);    /* touched, and of harmless values */
    printf("%-15s %-5s %-12s", "set", "op", "type");
    for (int size = 0; size < SIZES; size++)
        printf(" %15s", sizes[size].name);
    printf("\n");
    for (int n = 0; (set = kernels_number(n)) != NULL; n++)
        for (int row = 0; row < ROWS; row++)
            if ((strcmp(which, "all") == 0 || strstr(set->name, which))
                && (strcmp(op, "all") == 0 || strcmp(op, rows[row].name) == 0))
                compare(set, &rows[row], rounds);
    free(memory);
    return 0;
}
