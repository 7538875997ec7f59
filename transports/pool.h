/* SPDX-License-Identifier: BSD-3-Clause */
/* Items of one size that a port takes and gives back all the time.  Grows in blocks,
 * and keeps them until it is freed: no memory is allocated once enough is there.  Used
 * by the thread of the port only. */
#ifndef POOL_H
#define POOL_H

#include "base/status.h"

#include <stddef.h>
#include <string.h>

struct pool_block;
struct pool {
    size_t             each;           /* bytes of an item, at least a pointer's */
    void              *free;           /* items; each begins with the next one's address */
    struct pool_block *blocks;
};

static inline void pool_init(struct pool *pool, size_t each)
{
    *pool = (struct pool){ .each = each };
}

/* Make `free` something; 0, or -1: no memory. */
int pool_grow(struct pool *pool);

/* An item, its bytes whatever they are; NULL: no memory. */
static inline void *pool_take(struct pool *pool)
{
    void **item;

    if (!pool->free && pool_grow(pool) != 0)
        return NULL;
    item = pool->free;
    pool->free = *item;
    return item;
}

/* The same, with all bytes 0; `what` was it for, said if there is no memory. */
static inline void *pool_take_zeroed(struct pool *pool, const char *what)
{
    void *item = pool_take(pool);

    if (!item) {
        status_fail(PEAL_ERR_MEMORY, "%s", what);
        return NULL;
    }
    return memset(item, 0, pool->each);
}

static inline void pool_give(struct pool *pool, void *item)
{
    *(void **)item = pool->free;
    pool->free = item;
}

/* All items, taken or not, are gone. */
void pool_free(struct pool *pool);
/* The same, but their memory stays for the life of the process: somebody may still
 * read it. */
void pool_leave(struct pool *pool);

#endif
