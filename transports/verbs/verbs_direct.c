/* SPDX-License-Identifier: BSD-3-Clause */
/* From how many bytes on it takes a core less time to register memory for one
 * message than to copy the message through the ring.  Measured, as both differ by an
 * order of magnitude between machines: registering depends on the device, the kernel
 * and the IOMMU.  That is done when the first such message comes, and once for the
 * process: it takes some hundred microseconds.  Each end decides for itself. */
#include "transports/verbs/verbs.h"

#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>
#include <sys/mman.h>

enum { FEW = 16 << 10, MANY = 256 << 10, TIMES = 3, LOW = 16 << 10, HIGH = 1 << 20 };

/* Seconds, the best of a few times; 0: it fails. */
static double registering(struct ibv_pd *pd, char *memory, size_t bytes)
{
    double best = 0;

    for (int i = 0; i < TIMES; i++) {
        uint64_t begun = clock_now();
        struct ibv_mr *mr = ibv_reg_mr(pd, memory, bytes, IBV_ACCESS_LOCAL_WRITE);
        double took;

        if (!mr)
            return 0;
        ibv_dereg_mr(mr);
        took = (double)(clock_now() - begun) * 1e-9;
        best = i == 0 || took < best ? took : best;
    }
    return best;
}

static double copying(char *memory)
{
    double best = 0;

    for (int i = 0; i < TIMES; i++) {
        uint64_t begun = clock_now();
        double took;

        memcpy(memory + MANY, memory, MANY);
        __asm__ volatile("" : : "r"(memory) : "memory");
        took = (double)(clock_now() - begun) * 1e-9;
        best = i == 0 || took < best ? took : best;
    }
    return best;
}

/* Registering takes a + b n, copying c n: the two meet at a / (c - b).  As a power of
 * two, so that a little more or less changes nothing. */
size_t verbs_direct_crossover(double few, double many, double copy)
{
    double b = many > few ? (many - few) / (MANY - FEW) : 0, a = few - b * FEW, c = copy / MANY;
    size_t bytes = LOW;

    if (c <= b)
        return HIGH;
    while (bytes < HIGH && (double)bytes * (c - b) < a)
        bytes *= 2;
    return bytes;
}

size_t verbs_direct_measure(struct ibv_pd *pd)
{
    char *memory = mmap(NULL, 2 * MANY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    double few, many, copy;
    size_t bytes;

    if (memory == MAP_FAILED)
        return 0;
    memset(memory, 1, 2 * MANY);
    few = registering(pd, memory, FEW);
    many = registering(pd, memory, MANY);
    copy = copying(memory);
    munmap(memory, 2 * MANY);
    if (few <= 0 || many <= 0)
        return 0;
    bytes = verbs_direct_crossover(few, many, copy);
    log_info("verbs: registering 16 KiB with %s takes %.1f us, 256 KiB %.1f us, copying 256 KiB "
             "%.1f us: memory that is not from peal_mem_alloc is registered from %zu KiB on",
             ibv_get_device_name(pd->context->device), few * 1e6, many * 1e6, copy * 1e6,
             bytes >> 10);
    return bytes;
}

bool verbs_direct(struct port *port, size_t length)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static size_t measured;

    if (port->direct == VERBS_UNMEASURED && length >= LOW) {
        pthread_mutex_lock(&lock);
        if (measured == 0)
            measured = verbs_direct_measure(port->adapters[0].pd);
        port->direct = measured > 0 ? measured : HIGH;
        pthread_mutex_unlock(&lock);
    }
    return length >= port->direct;
}
