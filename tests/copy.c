/* SPDX-License-Identifier: BSD-3-Clause */
/* Copies of a few bytes without a call, by string instructions, and to two places, one of them past
 * the caches: all bytes arrive, and nothing beside them is written. */
#include "checks.h"

#include "devices/copy.h"
#include "devices/stream.c"            /* for what other processors than this one would take */

#include <stdlib.h>

enum { MOST = 200, GUARD = 70, BOTH = 600 };

/* Bytes of `to` that are not `from` at `at`, or not as they were elsewhere. */
static size_t wrong_bytes(const unsigned char *to, size_t at, const unsigned char *from, size_t bytes)
{
    size_t wrong = 0;

    for (size_t i = 0; i < BOTH + 2 * GUARD; i++)
        wrong += to[i] != (i >= at && i < at + bytes ? from[i - at] : 0xee);
    return wrong;
}

/* Memory of just that length: the sanitizer sees what is read beyond it. */
static unsigned char *source(size_t bytes)
{
    unsigned char *from = malloc(bytes + !bytes);

    if (!from)
        exit(1);
    for (size_t i = 0; i < bytes; i++)
        from[i] = (unsigned char)(i * 7 + bytes + 1);
    return from;
}

static void to_both(both_ways *lines, const char *what)
{
    static _Alignas(64) unsigned char past[BOTH + 2 * GUARD], plain[BOTH + 2 * GUARD];

    for (size_t bytes = 0; bytes <= BOTH; bytes++) {
        size_t at = bytes * 5 % GUARD, other = bytes * 3 % GUARD;
        unsigned char *from = source(bytes);

        memset(past, 0xee, sizeof past);
        memset(plain, 0xee, sizeof plain);
        both_by(lines, past + at, plain + other, from, bytes);
        stream_fence();
        check(wrong_bytes(past, at, from, bytes) == 0, "%s: %zu bytes past, to offset %zu", what, bytes, at);
        check(wrong_bytes(plain, other, from, bytes) == 0, "%s: %zu bytes to offset %zu", what, bytes, other);
        free(from);
    }
}

static void by_strings(void)
{
    static _Alignas(64) unsigned char to[BOTH + 2 * GUARD];

    for (size_t bytes = 0; bytes <= BOTH; bytes++) {
        size_t at = bytes * 5 % GUARD;
        unsigned char *from = source(bytes);

        memset(to, 0xee, sizeof to);
        string_copy((char *)to + at, (const char *)from, bytes);
        check(wrong_bytes(to, at, from, bytes) == 0, "by string instructions: %zu bytes to offset %zu",
              bytes, at);
        free(from);
    }
}

static void both(void)
{
#if defined(__x86_64__)
    to_both(both_lines, "to both");
    if (__builtin_cpu_supports("avx512f"))
        to_both(both_lines_512, "to both, by AVX-512");
    else
        printf("skipped: this processor has no AVX-512\n");
#else
    to_both(both_lines, "to both");
#endif
}

int main(void)
{
    unsigned char to[MOST + 2 * GUARD];

    both();
    by_strings();
    for (size_t bytes = 0; bytes <= MOST; bytes++)
        for (size_t at = 0; at < 3; at++) {
            unsigned char *from = source(bytes);
            size_t wrong = 0;

            memset(to, 0xee, sizeof to);
            copy_bytes(to + GUARD + at, from, bytes);
            for (size_t i = 0; i < sizeof to; i++) {
                size_t place = i - GUARD - at;

                wrong += to[i] != (place < bytes ? (unsigned char)(place * 7 + bytes + 1) : 0xee);
            }
            check(wrong == 0, "%zu bytes to offset %zu: %zu bytes are wrong", bytes, at, wrong);
            free(from);
        }
    printf("copy: %s, %d checks, %d failed\n", failures ? "FAIL" : "ok", checks, failures);
    return failures ? 1 : 0;
}
