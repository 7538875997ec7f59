/* SPDX-License-Identifier: BSD-3-Clause */
/* For x86-64 machines with AVX-512 (F, BW, DQ, VL) and F16C. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")      /* -O2 leaves loops of unknown length scalar */
#endif

#include "devices/kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push(                                                \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,f16c"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,f16c")
#endif

#define KERNELS kernels_avx512
#include "devices/kernel_lanes512.h"
#include "devices/kernel_loops.h"

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
