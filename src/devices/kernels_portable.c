/* SPDX-License-Identifier: BSD-3-Clause */
/* For what every machine of this architecture can run. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")      /* -O2 leaves loops of unknown length scalar */
#endif

#define KERNELS kernels_portable
#include "devices/kernel_loops.h"
