/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>

/* Not every compiler's __builtin_cpu_supports knows it.  It uses the registers
 * of AVX, so AVX2 says whether the system allows it. */
static bool has_f16c(void)
{
    unsigned a, b, c, d;

    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

/* Likewise; the registers of AVX-512. */
static bool has_avx512_bf16(void)
{
    unsigned a, b, c, d;

    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1u << 5));
}

/* Chosen here and not by the dynamic linker (ifunc): works in static programs,
 * under sanitizers, and lets tests compare the sets. */
static int kernels_level(void)
{
    if (!__builtin_cpu_supports("avx2") || !has_f16c())
        return 0;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw")
        || !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return 1;
    return has_avx512_bf16() ? 3 : 2;
}

#elif defined(__aarch64__) && defined(__ARM_NEON) && defined(__linux__)
#include <sys/auxv.h>

static int kernels_level(void)
{
    const unsigned long asimd = 1 << 1;      /* HWCAP_ASIMD of <asm/hwcap.h> */

    return (getauxval(AT_HWCAP) & asimd) != 0;
}

#else
static int kernels_level(void)
{
    return 0;
}
#endif

const struct kernels *kernels_number(int n)
{
    static const struct kernels *const sets[] = {
        &kernels_portable,
#if defined(__x86_64__) && defined(__GNUC__)
        &kernels_avx2, &kernels_avx512, &kernels_avx512bf16,
#elif defined(__aarch64__) && defined(__ARM_NEON) && defined(__linux__)
        &kernels_neon,
#endif
    };

    return n >= 0 && n <= kernels_level() ? sets[n] : NULL;
}

const struct kernels *kernels_best(void)
{
    static const struct kernels *best;     /* every thread finds the same one */
    const struct kernels *found = __atomic_load_n(&best, __ATOMIC_RELAXED);

    if (!found) {
        found = kernels_number(kernels_level());
        __atomic_store_n(&best, found, __ATOMIC_RELAXED);
    }
    return found;
}
