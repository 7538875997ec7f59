/* SPDX-License-Identifier: BSD-3-Clause */
/* Asymmetric fences between processes of one host.  One side writes a message and
 * then looks whether the other sleeps; the other says that it sleeps and then looks
 * for messages.  Each needs a full fence between its two steps, and the writer
 * does this for every message.  With membarrier(2) the sleeper alone pays: its
 * heavy fence acts on every core where a registered process runs.
 *
 * Any thread. */
#ifndef FENCE_H
#define FENCE_H

#include <stdatomic.h>
#include <stdbool.h>

/* Register this process: from then on heavy fences of others reach it.  False if
 * the kernel cannot; then it must use full fences, and so must those that write
 * to it, since its own heavy fence would be an ordinary one. */
bool fence_register(void);

/* A full fence here, and on all threads of registered processes. */
void fence_heavy(void);

/* The other half: keeps the compiler from reordering. */
static inline void fence_light(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

#endif
