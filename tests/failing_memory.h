/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of one process: allocations that fail.  With CAN_FAIL 0 (a sanitizer has them, or
 * another libc) they do not.  Included by one file of a program. */
#ifndef FAILING_MEMORY_H
#define FAILING_MEMORY_H

#include <stdbool.h>
#include <stdlib.h>

static long allocations_left = -1;       /* -1: no limit */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)
#define CAN_FAIL 1
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *p, size_t bytes);

static bool allowed(void)
{
    return allocations_left < 0 || allocations_left-- > 0;
}

void *malloc(size_t bytes)
{
    return allowed() ? __libc_malloc(bytes) : NULL;
}

void *calloc(size_t n, size_t bytes)
{
    return allowed() ? __libc_calloc(n, bytes) : NULL;
}

void *realloc(void *p, size_t bytes)
{
    return allowed() ? __libc_realloc(p, bytes) : NULL;
}
#else
#define CAN_FAIL 0
#endif

#endif
