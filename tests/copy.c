/* SPDX-License-Identifier: BSD-3-Clause */
/* Copies of a few bytes without a call: all of them arrive, and nothing beside them is written. */
#include "checks.h"

#include "devices/copy.h"

#include <stdlib.h>

enum { MOST = 200, GUARD = 70 };

int main(void)
{
    unsigned char to[MOST + 2 * GUARD];

    for (size_t bytes = 0; bytes <= MOST; bytes++)
        for (size_t at = 0; at < 3; at++) {
            /* In memory of just its length: the sanitizer sees what is read beyond it. */
            unsigned char *from = malloc(bytes + !bytes);
            size_t wrong = 0;

            if (!from)
                return 1;
            for (size_t i = 0; i < bytes; i++)
                from[i] = (unsigned char)(i * 7 + bytes + 1);
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
