/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files behind struct arithmetic share.  Knows operations and
 * elements; does not know ranks beyond their number.  Thread-safe. */
#ifndef ARITHMETIC_H
#define ARITHMETIC_H

#include "devices/device.h"
#include "devices/kernels.h"

/* Spans are worked through in blocks that stay in the first-level cache and
 * fit on any thread's stack. */
enum { BLOCK_BYTES = 4096 };

/* arithmetic_resolve() with a set of kernels other than the best. */
int arithmetic_resolve_with(struct arithmetic *how, const struct kernels *kernels,
                            peal_datatype_t type, peal_op_t op, int nranks);

/* memory_stream() in two parts: the stores, in any number, and what orders them
 * before whoever is told next that the bytes are there. */
void stream_store(void *dst, const void *src, size_t bytes);
void stream_fence(void);

/* To `past` past the caches, as stream_store(), and to `plain` plainly, line by line: so that stores
 * that wait for lines from far away leave room in the core's queue.  No two of the three overlap. */
void stream_both(void *past, void *plain, const void *src, size_t bytes);

/* memcpy() by string instructions; see pace.h. */
void string_copy(char *to, const char *from, size_t bytes);

/* The functions of operations that users make. */
arithmetic_pair user_pair;
arithmetic_fold user_fold;

#endif
