/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/device.h"

#include "base/numa.h"
#include "base/short_file.h"
#include "base/status.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23       /* Linux 5.14; before, it fails, and pages are small */
#endif

struct allocation {
    struct allocation *next;
    char              *address;
    size_t             length;       /* whole pages */
    uint64_t           id;
    int                fd;
};

enum {
    RESERVE_STEP = 64 << 20,         /* bytes; so that signals cannot starve it */
    RECENT       = 4                 /* allocations that a thread finds without the lock */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct allocation *allocations;
static uint64_t next_id = 1;
/* Written with the lock held, read without: */
static _Atomic unsigned allocations_count;
static _Atomic uint64_t changes;     /* allocations made and freed */

/* What this thread has found, as long as nothing has changed since. */
static _Thread_local struct recent {
    uint64_t          changes;
    unsigned          next;
    struct allocation found[RECENT]; /* copies; of 0 bytes: none */
} recent;

/* A size that can never be had must not fill the machine before it fails: the
 * kernel would kill processes on the way. */
static int memory_check_size(size_t bytes, size_t page)
{
    size_t pages = (size_t)sysconf(_SC_PHYS_PAGES);

    if (bytes / page < pages)
        return PEAL_OK;
    return status_fail(PEAL_ERR_MEMORY, "%zu bytes of shareable memory are more than this "
                       "machine has: %zu pages of %zu bytes", bytes, pages, page);
}

/* Huge pages, if the system offers them.  It gives them to who writes to memory that has been advised
 * so, not to fallocate(); what cannot be had, memory_reserve() says. */
static void memory_take_huge(int fd, void *address, size_t length)
{
    char offered[64];

    madvise(address, length, MADV_HUGEPAGE);
    if (short_file_line(offered, sizeof offered, "/sys/kernel/mm/transparent_hugepage/shmem_enabled") &&
        !strstr(offered, "[never]") && !strstr(offered, "[deny]") &&
        ftruncate(fd, (off_t)length) == 0)
        madvise(address, length, MADV_POPULATE_WRITE);
}

/* Take the pages now: a full machine is an error here and not SIGBUS later. */
static int memory_reserve(int fd, size_t length)
{
    for (size_t at = 0; at < length; ) {
        size_t step = length - at < RESERVE_STEP ? length - at : RESERVE_STEP;
        int error = posix_fallocate(fd, (off_t)at, (off_t)step);

        if (error == 0)
            at += step;
        else if (error != EINTR) {
            errno = error;
            return status_fail(PEAL_ERR_MEMORY, "cannot reserve %zu bytes of shareable "
                               "memory: %m; free some, or raise the container's memory "
                               "limit", length);
        }
    }
    return PEAL_OK;
}

static void allocation_free(struct allocation *allocation)
{
    if (!allocation)
        return;
    if (allocation->address)
        munmap(allocation->address, allocation->length);
    if (allocation->fd >= 0) {
        /* Peers may have it mapped for long: the pages go now. */
        fallocate(allocation->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                  (off_t)allocation->length);
        close(allocation->fd);
    }
    free(allocation);
}

/* A peer that maps it relies on the size, hence the seals. */
static int allocation_make(struct allocation *fresh)
{
    void *address;
    int status;

    fresh->fd = memfd_create("peal-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fresh->fd < 0)
        return status_fail(PEAL_ERR_SYSTEM, "memfd_create of %zu bytes of shareable memory: "
                           "%m; with too many open files, raise 'ulimit -n'",
                           fresh->length);
    address = mmap(NULL, fresh->length, PROT_READ | PROT_WRITE, MAP_SHARED, fresh->fd, 0);
    if (address == MAP_FAILED)
        return status_fail(PEAL_ERR_MEMORY, "cannot map %zu bytes of shareable memory: %m",
                           fresh->length);
    fresh->address = address;
    numa_prefer(address, fresh->length, numa_of_thread());
    memory_take_huge(fresh->fd, address, fresh->length);
    status = memory_reserve(fresh->fd, fresh->length);
    if (status)
        return status;
    if (fcntl(fresh->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        return status_fail(PEAL_ERR_SYSTEM, "cannot seal the size of shareable memory: %m");
    return PEAL_OK;
}

int memory_alloc(size_t bytes, void **memory)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct allocation *fresh;
    int status;

    status = memory_check_size(bytes, page);
    if (status)
        return status;
    fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return status_fail(PEAL_ERR_MEMORY, "no memory to register %zu shareable bytes",
                           bytes);
    fresh->fd = -1;
    fresh->length = bytes ? (bytes + page - 1) / page * page : page;
    status = allocation_make(fresh);
    if (status) {
        allocation_free(fresh);
        return status;
    }
    *memory = fresh->address;
    pthread_mutex_lock(&lock);
    fresh->id = next_id++;
    fresh->next = allocations;
    allocations = fresh;
    allocations_count++;
    changes++;
    pthread_mutex_unlock(&lock);
    return PEAL_OK;
}

int memory_free(void *memory)
{
    struct allocation **link, *found;

    if (!memory)
        return PEAL_OK;
    pthread_mutex_lock(&lock);
    for (link = &allocations; *link && (*link)->address != memory; link = &(*link)->next)
        ;
    found = *link;
    if (found) {
        *link = found->next;
        allocations_count--;
        changes++;
    }
    pthread_mutex_unlock(&lock);
    if (!found)
        return status_fail(PEAL_ERR_ARGUMENT, "%p is not the start of memory from "
                           "peal_mem_alloc that has not been freed", memory);
    allocation_free(found);
    return PEAL_OK;
}

static bool is_in(const struct allocation *a, const void *address, size_t bytes,
                  struct memory_share *share)
{
    uintptr_t offset = (uintptr_t)address - (uintptr_t)a->address;

    if (offset >= a->length || bytes > a->length - offset)
        return false;
    *share = (struct memory_share){ .id = a->id, .fd = a->fd, .offset = offset,
                                    .length = a->length };
    return true;
}

static bool find_among_all(const void *address, size_t bytes, struct memory_share *share)
{
    const struct allocation *at;

    pthread_mutex_lock(&lock);
    if (recent.changes != changes)
        recent = (struct recent){ .changes = changes };
    for (at = allocations; at && !is_in(at, address, bytes, share); at = at->next)
        ;
    if (at)
        recent.found[recent.next++ % RECENT] = *at;
    pthread_mutex_unlock(&lock);
    return at != NULL;
}

bool memory_find(const void *address, size_t bytes, struct memory_share *share)
{
    if (atomic_load_explicit(&allocations_count, memory_order_acquire) == 0)
        return false;
    if (atomic_load_explicit(&changes, memory_order_acquire) == recent.changes)
        for (int i = 0; i < RECENT; i++)
            if (is_in(&recent.found[i], address, bytes, share))
                return true;
    return find_among_all(address, bytes, share);
}
