/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory: what is registered for how long, bounce memory, and free lists.
 *
 * Memory from peal_mem_alloc is registered whole and kept so, because its end is
 * known: freed allocations are looked for whenever another is registered, so at
 * most VERBS_REGIONS of them stay pinned.  All other memory may be unmapped by its
 * owner the moment a call returns; it is registered for one operation, exactly as
 * long as that is, if it is large enough to be worth that. */
#include "transports/verbs/verbs.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CHUNKS = 16 };


static struct ibv_mr *memory_register(struct adapter *a, const void *bytes, size_t length,
                                      bool remote)
{
    unsigned access = remote ? IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE : 0;

    if (a->port->relaxed)
        access |= IBV_ACCESS_RELAXED_ORDERING;
    return ibv_reg_mr(a->pd, (void *)(uintptr_t)bytes, length, access);
}

/* NULL: not every device takes memory of every kind on demand. */
static struct ibv_mr *memory_page(struct adapter *a, const void *bytes, size_t length,
                                  bool remote)
{
    unsigned access = remote ? IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE : 0;

    return ibv_reg_mr(a->pd, (void *)(uintptr_t)bytes, length, access | IBV_ACCESS_ON_DEMAND);
}

void verbs_region_free(struct region *region)
{
    for (int i = 0; i < VERBS_RAILS; i++)
        if (region->mr[i])
            ibv_dereg_mr(region->mr[i]);
    free(region);
}

/* Is its allocation still there? */
static bool region_lives(const struct region *region)
{
    struct memory_share share;

    return memory_find(region->base, region->length, &share) && share.id == region->id;
}

/* Those whose memory was freed go, and the one that was not used for longest. */
static void regions_sweep(struct port *port)
{
    struct region **link = &port->regions, **oldest = NULL, *region;

    while ((region = *link)) {
        if (region->users == 0 && !region_lives(region)) {
            *link = region->next;
            port->nregions--;
            verbs_region_free(region);
            oldest = NULL;             /* it may have pointed there: look again */
            link = &port->regions;
            continue;
        }
        if (region->users == 0 && (!oldest || region->used < (*oldest)->used))
            oldest = link;
        link = &region->next;
    }
    if (port->nregions < VERBS_REGIONS || !oldest)
        return;
    region = *oldest;
    *oldest = region->next;
    port->nregions--;
    verbs_region_free(region);
}

static struct region *region_make(struct port *port, const void *base, size_t length,
                                  bool remote, bool keep)
{
    struct region *region = calloc(1, sizeof *region);

    if (!region)
        return NULL;
    region->base = base;
    region->length = length;
    for (int i = 0; i < port->nadapters; i++) {
        if (port->adapters[i].lost)
            continue;
        if (!keep && port->adapters[i].paged)
            region->mr[i] = memory_page(&port->adapters[i], base, length, remote);
        if (!region->mr[i])
            region->mr[i] = memory_register(&port->adapters[i], base, length, remote);
        if (region->mr[i])
            continue;
        if (!port->no_direct)
            log_warn("verbs: cannot register %zu bytes with %s: %s; long messages are copied "
                     "instead, which is slower: raise the limit of locked memory (ulimit -l)",
                     length, port->adapters[i].place.device, strerror(errno));
        port->no_direct = true;        /* said once, and still tried */
        verbs_region_free(region);
        return NULL;
    }
    return region;
}

static struct region *region_kept(struct port *port, const void *bytes,
                                  const struct memory_share *share)
{
    struct region *region = port->regions;

    while (region && region->id != share->id)
        region = region->next;
    if (!region) {
        regions_sweep(port);
        region = region_make(port, (const char *)bytes - share->offset, share->length, true,
                             true);
        if (!region)
            return NULL;
        region->id = share->id;
        region->next = port->regions;
        port->regions = region;
        port->nregions++;
    }
    region->used = ++port->clock;
    return region;
}

/* NULL: it is not worth it, or cannot be: let it go through the ring. */
struct region *verbs_region_take(struct endpoint *e, const void *bytes, size_t length,
                                 bool remote)
{
    struct memory_share share;
    struct region *region = NULL;

    if (memory_find(bytes, length, &share))
        region = region_kept(e->port, bytes, &share);
    else if (!remote && e->port->everything)
        region = e->port->everything;
    else if (verbs_direct(e->port, length))
        region = region_make(e->port, bytes, length, remote, false);
    if (region)
        region->users++;
    return region;
}

void verbs_region_give(struct port *port, struct region *region)
{
    (void)port;
    if (region && --region->users == 0 && region->id == 0)
        verbs_region_free(region);
}

void verbs_regions_free(struct port *port)
{
    while (port->regions) {
        struct region *next = port->regions->next;

        verbs_region_free(port->regions);
        port->regions = next;
    }
    port->nregions = 0;
    if (port->everything)
        verbs_region_free(port->everything);
    port->everything = NULL;
}

/* ---- Bounce memory ---------------------------------------------------------- */

static bool chunk_register(struct port *port, struct chunk *chunk)
{
    for (int i = 0; i < port->nadapters; i++) {
        if (port->adapters[i].lost)
            continue;
        chunk->mr[i] = memory_register(&port->adapters[i], chunk->bytes, port->chunk, true);
        if (!chunk->mr[i])
            return false;
    }
    return true;
}

/* As many as the limit of locked memory lets be, made when first needed. */
bool verbs_chunks_make(struct port *port)
{
    if (port->bounce)
        return port->nchunks > 0;
    port->chunks = calloc(CHUNKS, sizeof port->chunks[0]);
    port->bounce = mmap(NULL, CHUNKS * port->chunk, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!port->chunks || port->bounce == MAP_FAILED) {
        free(port->chunks);
        port->chunks = NULL;
        port->bounce = NULL;
        return false;
    }
    for (int i = 0; i < CHUNKS; i++) {
        struct chunk *chunk = &port->chunks[i];

        chunk->bytes = port->bounce + (size_t)i * port->chunk;
        if (!chunk_register(port, chunk))
            break;
        chunk->next = port->free_chunks;
        port->free_chunks = chunk;
        port->nchunks++;
    }
    return port->nchunks > 0;
}

void verbs_chunks_free(struct port *port)
{
    for (int i = 0; port->chunks && i < CHUNKS; i++)
        for (int k = 0; k < VERBS_RAILS; k++)
            if (port->chunks[i].mr[k])
                ibv_dereg_mr(port->chunks[i].mr[k]);
    if (port->bounce)
        munmap(port->bounce, CHUNKS * port->chunk);
    free(port->chunks);
    port->chunks = port->free_chunks = NULL;
    port->bounce = NULL;
    port->nchunks = 0;
}

/* ---- Free lists --------------------------------------------------------------- */

/* An item of zeros. */
static void *take(struct pool *pool)
{
    return pool_take_zeroed(pool, "verbs: no memory for what is under way");
}

struct sending *verbs_sending_take(struct port *port)
{
    return take(&port->sendings);
}

struct order *verbs_order_take(struct port *port)
{
    return take(&port->orders);
}

struct incoming *verbs_incoming_take(struct port *port)
{
    return take(&port->incomings);
}

void verbs_sending_give(struct port *port, struct sending *s)
{
    pool_give(&port->sendings, s);
}

void verbs_order_give(struct port *port, struct order *o)
{
    pool_give(&port->orders, o);
}

void verbs_incoming_give(struct port *port, struct incoming *in)
{
    pool_give(&port->incomings, in);
}
