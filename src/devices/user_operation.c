/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls to the functions of users.  They want both operands aligned, the right
 * one in a place that they may overwrite; where that is not how the bytes lie,
 * blocks on the stack stand in. */
#include "devices/arithmetic.h"

#include "base/status.h"

#include <string.h>

static int user_call(const struct arithmetic *how, const void *in, void *inout,
                     size_t count)
{
    int result = how->user(in, inout, count, how->type, how->context);

    if (result == 0)
        return PEAL_OK;
    return status_fail(PEAL_ERR_USER, "the user function of operation %d returned %d when "
                       "combining %zu elements of %s", (int)how->op, result, count,
                       datatype_name((int)how->type));
}

static bool user_aligned(const struct arithmetic *how, const void *address)
{
    return (uintptr_t)address % how->size == 0;
}

int user_fold(const struct arithmetic *how, void *dst, const void *const *sources, int n,
              size_t count)
{
    _Alignas(64) char blocks[2][BLOCK_BYTES];
    const size_t block = BLOCK_BYTES / how->size;

    for (size_t at = 0; at < count; at += block) {
        size_t part = count - at < block ? count - at : block;
        size_t bytes = part * how->size;
        char *sum = blocks[0], *next = blocks[1];

        memcpy(sum, (const char *)sources[0] + at * how->size, bytes);
        for (int i = 1; i < n; i++) {
            char *left = sum;
            int status;

            memcpy(next, (const char *)sources[i] + at * how->size, bytes);
            status = user_call(how, left, next, part);
            if (status)
                return status;
            sum = next;
            next = left;
        }
        memcpy((char *)dst + at * how->size, sum, bytes);
    }
    return PEAL_OK;
}

int user_pair(const struct arithmetic *how, void *dst, const void *a, const void *b,
              size_t count)
{
    const void *sources[] = { a, b };

    if (count == 0)
        return PEAL_OK;
    if (dst == a || !user_aligned(how, a) || !user_aligned(how, dst))
        return user_fold(how, dst, sources, 2, count);
    if (dst != b)
        memcpy(dst, b, count * how->size);
    return user_call(how, a, dst, count);
}
