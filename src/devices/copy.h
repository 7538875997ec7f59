/* SPDX-License-Identifier: BSD-3-Clause */
/* Copies of a few bytes without a call, for what every short message goes through. */
#ifndef COPY_H
#define COPY_H

#include <stddef.h>
#include <string.h>

/* memcpy().  Two pieces that overlap cover every length between theirs and twice that. */
static inline void copy_bytes(void *dst, const void *src, size_t bytes)
{
    enum { WORD = 8, LINE = 32 };
    const char *from = src;
    char *to = dst, first[LINE], last[LINE];

    if (bytes - WORD <= WORD) {
        memcpy(first, from, WORD);
        memcpy(last, from + bytes - WORD, WORD);
        memcpy(to, first, WORD);
        memcpy(to + bytes - WORD, last, WORD);
    } else if (bytes - LINE <= LINE) {
        memcpy(first, from, LINE);
        memcpy(last, from + bytes - LINE, LINE);
        memcpy(to, first, LINE);
        memcpy(to + bytes - LINE, last, LINE);
    } else if (bytes > 0) {
        memcpy(to, from, bytes);
    }
}

#endif
