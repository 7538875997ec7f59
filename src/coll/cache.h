/* SPDX-License-Identifier: BSD-3-Clause */
/* Plans of calls made before, per communicator, and runs of them that are not
 * in use, so that a repeated call allocates nothing.  The least recently used
 * plan without active runs goes when there are more than CACHE_PLANS, or when
 * the scratch memory of runs would exceed CACHE_BYTES.  (Messages that are recognised
 * without a look-up, coll_request_again(), do not count as use: with that many plans
 * theirs may go between two of them, and is made again.) */
#ifndef CACHE_H
#define CACHE_H

#include "coll/coll.h"

enum { CACHE_PLANS = 256, CACHE_BUCKETS = 64, CACHE_BYTES = 256 << 20 };

/* All that a plan depends on; compared as bytes, so padding must be zero. */
struct plan_key {
    size_t   count, recvcount, size, src_shift, dst_shift;
    uint64_t counts_hash;
    int32_t  collective, root, dest, source;
    uint8_t  commutative, aliased, before, after, past_caches, reserved[3];
};

_Static_assert(sizeof(struct plan_key) == 6 * sizeof(size_t) + 24, "no padding");

/* A run with what it needs besides the plan. */
struct seat {
    struct run    *run;
    unsigned char *input;          /* scaled copy of the input, or NULL */
    struct entry  *entry;
    struct binding binding;
    struct seat   *next;           /* free list of the entry */
};

struct entry {
    struct plan_key    key;
    size_t            *counts;     /* copy of REDUCE_SCATTER's counts, or NULL */
    struct plan       *plan;
    struct coll_choice choice;
    size_t             input_bytes;        /* of the scaled copy; 0: none */
    struct seat       *free_seats;
    unsigned           seats_used;
    size_t             bytes;              /* of the seats' scratch and copies */
    struct entry      *bucket_next;
    struct entry      *newer, *older;      /* by last use */
};

struct cache {
    struct entry *buckets[CACHE_BUCKETS];
    struct entry *newest, *oldest;
    unsigned      entries;
    unsigned      evicted;                 /* so many have been, ever */
    size_t        bytes;                   /* of all entries */
};

/* The entry for a key and counts, moved to the front; NULL if there is none. */
struct entry *cache_find(struct cache *cache, const struct plan_key *key,
                         const size_t *counts, int ncounts);
/* Add an entry, which the cache owns from now on. */
void cache_add(struct cache *cache, struct entry *entry);
void cache_free(struct cache *cache);

int  seat_take(struct cache *cache, struct entry *entry, struct seat **seat);
static inline void seat_give_back(struct seat *seat)
{
    struct entry *entry = seat->entry;

    seat->next = entry->free_seats;
    entry->free_seats = seat;
    entry->seats_used--;
}
void entry_free(struct entry *entry);          /* NULL allowed */

/* Build the plan for a call with the entry's key and choice (compose.c).
 * `strict`: with closing tokens where the data does not make all ranks wait. */
int plan_build(const struct call *call, const struct coll_call *user, bool strict,
               const struct layout *layout, struct entry *entry);

#endif
