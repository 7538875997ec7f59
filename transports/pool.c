/* SPDX-License-Identifier: BSD-3-Clause */
#include "transports/pool.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { ITEMS = 16 };                   /* allocated at once */

struct pool_block {
    struct pool_block   *next;
    _Alignas(max_align_t) char items[];
};

static struct pool_block *_Atomic left;

int pool_grow(struct pool *pool)
{
    const size_t unit = _Alignof(max_align_t);
    size_t each = (pool->each + unit - 1) / unit * unit;
    struct pool_block *block = malloc(sizeof *block + ITEMS * each);

    if (!block)
        return -1;
    block->next = pool->blocks;
    pool->blocks = block;
    for (int i = 0; i < ITEMS; i++)
        pool_give(pool, block->items + (size_t)i * each);
    return 0;
}

void pool_free(struct pool *pool)
{
    while (pool->blocks) {
        struct pool_block *next = pool->blocks->next;

        free(pool->blocks);
        pool->blocks = next;
    }
    pool->free = NULL;
}

void pool_leave(struct pool *pool)
{
    while (pool->blocks) {
        struct pool_block *block = pool->blocks;

        pool->blocks = block->next;
        block->next = atomic_load(&left);
        while (!atomic_compare_exchange_weak(&left, &block->next, block))
            continue;
    }
    pool->free = NULL;
}
