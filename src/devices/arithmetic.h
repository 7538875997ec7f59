/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files behind struct arithmetic share.  Knows operations and
 * elements; does not know ranks beyond their number.  Thread-safe. */
#ifndef ARITHMETIC_H
#define ARITHMETIC_H

#include "devices/device.h"

/* Spans are worked through in blocks that stay in the first-level cache and
 * fit on any thread's stack. */
enum { BLOCK_BYTES = 4096 };

/* The functions of operations that users make. */
arithmetic_pair user_pair;
arithmetic_fold user_fold;

#endif
