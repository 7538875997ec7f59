/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/fence.h"

#include <sys/syscall.h>
#include <unistd.h>

#if defined(SYS_membarrier)

/* From the kernel's ABI; older headers lack the names. */
enum { GLOBAL_EXPEDITED = 1 << 1, REGISTER_GLOBAL_EXPEDITED = 1 << 2 };

bool fence_register(void)
{
    return syscall(SYS_membarrier, REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

void fence_heavy(void)
{
    syscall(SYS_membarrier, GLOBAL_EXPEDITED, 0, 0);
    atomic_thread_fence(memory_order_seq_cst);
}

#else

bool fence_register(void)
{
    return false;
}

void fence_heavy(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

#endif
