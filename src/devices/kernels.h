/* SPDX-License-Identifier: BSD-3-Clause */
/* Loops over elements, compiled once per instruction set from one source
 * (kernel_loops.h) and chosen when the process first asks.  Knows elements
 * only: no operations of users, no averages.  All sets give the same bits.
 * Constant tables: safe from any thread.
 *
 * Whatever is not a number becomes the one quiet, positive NaN, so that
 * neither the order of the operands nor the instruction set shows in the
 * result.  No element needs to be aligned. */
#ifndef KERNELS_H
#define KERNELS_H

#include "devices/device.h"

/* 16- and 8-bit floats to float32 (exact; which NaN is not defined) and back. */
typedef void kernel_widen(float *dst, const void *src, size_t count);
typedef void kernel_narrow(void *dst, const float *src, size_t count);

struct kernels {
    const char       *name;
    /* NULL: not defined.  16- and 8-bit floats are combined in float32 and
     * rounded, or in another way that gives the same bits. */
    arithmetic_pair  *combine[PEAL_DATATYPES][PEAL_OPS];
    arithmetic_scale *multiply[PEAL_DATATYPES];     /* by how->scalar */
    arithmetic_scale *divide[PEAL_DATATYPES];       /* by how->divisor */
    arithmetic_scale *truth[PEAL_DATATYPES];        /* 0 stays, all else becomes 1 */
    kernel_widen     *widen[PEAL_DATATYPES];        /* 16- and 8-bit floats only */
    kernel_narrow    *narrow[PEAL_DATATYPES];
};

extern const struct kernels kernels_portable;
extern const struct kernels kernels_avx2;           /* on x86-64 only */
extern const struct kernels kernels_avx512;         /* on x86-64 only */
extern const struct kernels kernels_avx512bf16;     /* on x86-64 only */
extern const struct kernels kernels_neon;           /* on aarch64 only */

/* The sets that this machine can run, the best one last; NULL past the end. */
const struct kernels *kernels_number(int n);

/* The best one. */
const struct kernels *kernels_best(void);

#endif
