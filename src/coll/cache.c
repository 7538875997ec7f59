/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/cache.h"

#include <stdlib.h>
#include <string.h>

static unsigned bucket_of(const struct plan_key *key)
{
    const uint64_t *words = (const uint64_t *)key;
    uint64_t h = 0;

    _Static_assert(sizeof *key % sizeof *words == 0, "the key is hashed by words");
    for (size_t i = 0; i < sizeof *key / sizeof *words; i++)
        h = (h ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return (unsigned)(h >> 32) % CACHE_BUCKETS;
}

static void unlink_use(struct cache *cache, struct entry *e)
{
    *(e->newer ? &e->newer->older : &cache->newest) = e->older;
    *(e->older ? &e->older->newer : &cache->oldest) = e->newer;
}

static void put_first(struct cache *cache, struct entry *e)
{
    e->newer = NULL;
    e->older = cache->newest;
    *(e->older ? &e->older->newer : &cache->oldest) = e;
    cache->newest = e;
}

struct entry *cache_find(struct cache *cache, const struct plan_key *key,
                         const size_t *counts, int ncounts)
{
    struct entry *e = cache->newest;

    if (!e || memcmp(&e->key, key, sizeof *key) != 0)
        e = cache->buckets[bucket_of(key)];
    while (e && (memcmp(&e->key, key, sizeof *key) != 0 ||
                 (counts && memcmp(e->counts, counts, (size_t)ncounts * sizeof *counts) != 0)))
        e = e->bucket_next;
    if (e && e != cache->newest) {
        unlink_use(cache, e);
        put_first(cache, e);
    }
    return e;
}

/* Drop the oldest entry that is idle, is not `keep`, and holds at least `bytes`;
 * false if there is none. */
static bool evict(struct cache *cache, const struct entry *keep, size_t bytes)
{
    struct entry *e = cache->oldest, **link;

    while (e && (e->seats_used || e == keep || e->bytes < bytes))
        e = e->newer;
    if (!e)
        return false;
    unlink_use(cache, e);
    for (link = &cache->buckets[bucket_of(&e->key)]; *link != e; link = &(*link)->bucket_next)
        ;
    *link = e->bucket_next;
    cache->entries--;
    cache->evicted++;
    cache->bytes -= e->bytes;
    entry_free(e);
    return true;
}

void cache_add(struct cache *cache, struct entry *entry)
{
    unsigned b = bucket_of(&entry->key);

    if (cache->entries >= CACHE_PLANS)
        evict(cache, NULL, 0);
    entry->bucket_next = cache->buckets[b];
    cache->buckets[b] = entry;
    put_first(cache, entry);
    cache->entries++;
}

void cache_free(struct cache *cache)
{
    for (struct entry *e = cache->newest, *older; e; e = older) {
        older = e->older;
        entry_free(e);
    }
    *cache = (struct cache){ .newest = NULL };
}

int seat_take(struct cache *cache, struct entry *entry, struct seat **seat)
{
    struct seat *s = entry->free_seats;
    size_t bytes = entry->input_bytes + plan_scratch(entry->plan);
    int status;

    if (s) {
        entry->free_seats = s->next;
    } else {
        while (bytes && cache->bytes + bytes > CACHE_BYTES && evict(cache, entry, 1))
            ;
        s = calloc(1, sizeof *s);
        if (!s)
            return status_fail(PEAL_ERR_MEMORY, "no memory for a request");
        s->entry = entry;
        if (entry->input_bytes && posix_memalign((void **)&s->input, 64, entry->input_bytes)) {
            free(s);
            return status_fail(PEAL_ERR_MEMORY, "no memory for a scaled copy of %zu input bytes",
                               entry->input_bytes);
        }
        if ((status = run_create(entry->plan, &s->run))) {
            free(s->input);
            free(s);
            return status;
        }
        entry->bytes += bytes;
        cache->bytes += bytes;
    }
    entry->seats_used++;
    *seat = s;
    return PEAL_OK;
}

void entry_free(struct entry *entry)
{
    if (!entry)
        return;
    for (struct seat *s = entry->free_seats, *next; s; s = next) {
        next = s->next;
        run_free(s->run);
        free(s->input);
        free(s);
    }
    plan_free(entry->plan);
    free(entry->counts);
    free(entry);
}
