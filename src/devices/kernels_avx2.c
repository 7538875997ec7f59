/* SPDX-License-Identifier: BSD-3-Clause */
/* For x86-64 machines with AVX2 and F16C. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")      /* -O2 leaves loops of unknown length scalar */
#endif

#include "devices/kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,f16c")
#endif

#define KERNELS kernels_avx2
#define KERNELS_F16C
#include "devices/kernel_loops.h"

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
