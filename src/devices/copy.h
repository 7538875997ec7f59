/* SPDX-License-Identifier: BSD-3-Clause */
/* Copies of a few bytes without a call, for what every short message goes through. */
#ifndef COPY_H
#define COPY_H

#include <stddef.h>
#include <string.h>

/* `piece` to twice that: two pieces that overlap. */
static inline void copy_pair(void *dst, const void *src, size_t bytes, size_t piece)
{
    char first[32], last[32];

    memcpy(first, src, piece);
    memcpy(last, (const char *)src + bytes - piece, piece);
    memcpy(dst, first, piece);
    memcpy((char *)dst + bytes - piece, last, piece);
}

/* memcpy().  Below its least, a length wraps around to a huge number, so that one comparison
 * tells that it is within a piece and twice that. */
static inline void copy_bytes(void *dst, const void *src, size_t bytes)
{
    if (bytes - 8 <= 8)
        copy_pair(dst, src, bytes, 8);
    else if (bytes - 32 <= 32)
        copy_pair(dst, src, bytes, 32);
    else if (bytes - 4 <= 4)
        copy_pair(dst, src, bytes, 4);
    else if (bytes - 16 <= 16)
        copy_pair(dst, src, bytes, 16);
    else if (bytes > 0)
        memcpy(dst, src, bytes);
}

#endif
