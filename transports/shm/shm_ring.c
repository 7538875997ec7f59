/* SPDX-License-Identifier: BSD-3-Clause */
/* The rings.  A slot is valid when its mark holds the lap that the reader is
 * in, so neither side reads an index of the other while there is room.  A sleeper
 * sets `armed` and then looks at marks and versions; we write those and then look
 * at `armed`; with fences between, one of the two sees the other. */
#include "transports/shm/shm.h"

#include "base/fence.h"

#include <string.h>

static size_t line_round(size_t bytes)
{
    return (bytes + SHM_LINE - 1) & ~(size_t)(SHM_LINE - 1);
}

size_t ring_area_bytes(size_t ring)
{
    return sizeof(struct shm_area) + 2 * ring;
}

static struct shm_side *side_mine(struct endpoint *endpoint)
{
    return &endpoint->area->sides[endpoint->me];
}

static struct shm_side *side_theirs(struct endpoint *endpoint)
{
    return &endpoint->area->sides[!endpoint->me];
}

static char *byte_ring(struct endpoint *endpoint, int writer)
{
    return endpoint->area->bytes + (size_t)writer * endpoint->ring;
}

/* Between a store that a sleeper waits for and the look at whether it sleeps. */
static void fence(struct endpoint *endpoint)
{
    if (endpoint->light) {
        fence_light();
        return;
    }
    atomic_thread_fence(memory_order_seq_cst);
    endpoint->light = endpoint->port->fences &&
                      atomic_load_explicit(&side_theirs(endpoint)->heavy,
                                           memory_order_relaxed);
}

static uint32_t slot_turn(uint64_t position)
{
    return (uint32_t)(position / SHM_SLOTS + 1) & 0xffff;
}

/* Read what the peer has taken.  It must lie between what it had taken before
 * and what we have written. */
static void ring_refresh(struct endpoint *endpoint)
{
    struct shm_side *theirs = side_theirs(endpoint);
    uint32_t version = atomic_load(&theirs->version);
    uint64_t slots = atomic_load_explicit(&theirs->slots_taken, memory_order_acquire);
    uint64_t bytes = atomic_load_explicit(&theirs->bytes_taken, memory_order_acquire);

    endpoint->starved_at = version;
    if (slots - endpoint->slots_taken > endpoint->slot_head - endpoint->slots_taken ||
        bytes - endpoint->bytes_taken > endpoint->byte_head - endpoint->bytes_taken ||
        bytes % SHM_LINE != 0)
        goto fail;
    endpoint->slots_taken = slots;
    endpoint->bytes_taken = bytes;
    for (uint32_t i = 0; i < TRANSPORT_STREAMS; i++)
        if (!send_window_advance(&endpoint->window, i,
                                 atomic_load_explicit(&theirs->low[i],
                                                      memory_order_acquire)))
            goto fail;
    return;
fail:
    if (!endpoint->broken)
        shm_break(endpoint, status_fail(PEAL_ERR_PROTOCOL, "shm: %s claims to have taken what "
                                        "was not sent", endpoint->peer));
}

static bool has_room(const struct endpoint *endpoint, size_t bytes, uint32_t slots)
{
    return endpoint->slot_head - endpoint->slots_taken < slots &&
           endpoint->byte_head - endpoint->bytes_taken + line_round(bytes) <= endpoint->ring;
}

static bool find_room(struct endpoint *endpoint, size_t bytes, uint32_t slots)
{
    if (has_room(endpoint, bytes, slots))
        return true;
    ring_refresh(endpoint);
    endpoint->starved = endpoint->broken || !has_room(endpoint, bytes, slots);
    return !endpoint->starved;
}

bool ring_room(struct endpoint *endpoint, size_t bytes)
{
    return find_room(endpoint, bytes, SHM_SLOTS - SHM_RESERVED);
}

bool ring_room_notice(struct endpoint *endpoint)
{
    return find_room(endpoint, 0, SHM_SLOTS);
}

bool ring_window(struct endpoint *endpoint, uint32_t stream, uint32_t number)
{
    if (send_window_open(&endpoint->window, stream, number))
        return true;
    ring_refresh(endpoint);
    endpoint->starved = endpoint->broken ||
                        !send_window_open(&endpoint->window, stream, number);
    return !endpoint->starved;
}

bool ring_fed(struct endpoint *endpoint)
{
    return atomic_load(&side_theirs(endpoint)->version) != endpoint->starved_at;
}

/* The first time round, the ring's pages are new, and copying to them says nothing about
 * later. */
static void ring_copy(struct endpoint *endpoint, char *to, const char *from, size_t bytes)
{
    if (endpoint->byte_head < endpoint->ring)
        memcpy(to, from, bytes);
    else
        pace_copy(&endpoint->pace, to, from, bytes);
}

char *ring_place(struct endpoint *endpoint, size_t length, bool *past)
{
    size_t at = endpoint->byte_head % endpoint->ring;

    if (length > endpoint->ring - at || !ring_room(endpoint, length))
        return NULL;
    *past = false;
    if (endpoint->byte_head >= endpoint->ring && !pace_follow(&endpoint->pace, past))
        return NULL;
    return byte_ring(endpoint, endpoint->me) + at;
}

bool ring_keep(struct endpoint *endpoint, const void *bytes, size_t length, void *keep)
{
    size_t at = endpoint->byte_head % endpoint->ring;
    struct also also = { byte_ring(endpoint, endpoint->me) + at, false };
    struct landing landing = { .dst = keep, .bytes = length, .also = &also };
    uint64_t began = 0;

    if (length > endpoint->ring - at || !ring_room(endpoint, length))
        return false;
    if (endpoint->byte_head >= endpoint->ring)
        began = pace_begin(&endpoint->keeping, &also.past);
    landing_put(&landing, 0, bytes, length);
    if (began)
        pace_end(&endpoint->keeping, began, length);
    return true;
}

void ring_put(struct endpoint *endpoint, enum slot_kind kind, const struct message *message,
              const void *payload, size_t payload_bytes, const void *bytes, size_t length)
{
    struct slot *slot = &endpoint->area->slots[endpoint->me][endpoint->slot_head % SHM_SLOTS];
    uint32_t mark = slot_turn(endpoint->slot_head) << 16 | (uint32_t)kind << 12 |
                    message->stream << 8 | (uint32_t)payload_bytes;

    if (length > 0 && bytes) {
        char *ring = byte_ring(endpoint, endpoint->me);
        size_t at = endpoint->byte_head % endpoint->ring, first = endpoint->ring - at;

        first = first < length ? first : length;
        ring_copy(endpoint, ring + at, bytes, first);
        ring_copy(endpoint, ring, (const char *)bytes + first, length - first);
    }
    endpoint->byte_head += line_round(length);
    slot->number = message->number;
    slot->signature = message->signature;
    if (payload_bytes > 0)
        memcpy(slot->payload, payload, payload_bytes);
    endpoint->slot_head++;
    atomic_store_explicit(&slot->mark, mark, memory_order_release);
    fence(endpoint);
    if (atomic_load_explicit(&side_theirs(endpoint)->armed, memory_order_relaxed))
        link_wake(endpoint);
}

struct slot *ring_next(struct endpoint *endpoint, uint32_t *mark)
{
    struct slot *slot = &endpoint->area->slots[!endpoint->me]
                                              [endpoint->slot_tail % SHM_SLOTS];

    *mark = atomic_load(&slot->mark);
    return *mark >> 16 == slot_turn(endpoint->slot_tail) ? slot : NULL;
}

const char *ring_view(const struct endpoint *endpoint, size_t length)
{
    const char *ring = endpoint->area->bytes + (size_t)!endpoint->me * endpoint->ring;
    size_t at = endpoint->byte_tail % endpoint->ring;

    return length <= endpoint->ring - at ? ring + at : NULL;
}

void ring_pass(struct endpoint *endpoint, size_t length)
{
    endpoint->byte_tail += line_round(length);
}

bool ring_land(struct endpoint *endpoint, struct match *match, size_t length)
{
    const char *ring = byte_ring(endpoint, !endpoint->me);
    size_t at = endpoint->byte_tail % endpoint->ring, first = endpoint->ring - at;
    bool whole;

    first = first < length ? first : length;
    whole = relay_put(endpoint, match, ring + at, first);
    if (first < length)            /* `at` and the ring are whole lines, so is `first` */
        whole = relay_put(endpoint, match, ring, length - first);
    ring_pass(endpoint, length);
    return whole;
}

void ring_publish(struct endpoint *endpoint)
{
    struct shm_side *mine = side_mine(endpoint);

    atomic_store_explicit(&mine->slots_taken, endpoint->slot_tail, memory_order_release);
    atomic_store_explicit(&mine->bytes_taken, endpoint->byte_tail, memory_order_release);
    for (uint32_t i = 0; i < TRANSPORT_STREAMS; i++) {
        endpoint->published_low[i] = matching_low(&endpoint->matching, i);
        atomic_store_explicit(&mine->low[i], endpoint->published_low[i],
                              memory_order_release);
    }
    atomic_store_explicit(&mine->version, mine->version + 1, memory_order_release);
    fence(endpoint);
    if (atomic_load_explicit(&side_theirs(endpoint)->armed, memory_order_relaxed) == 2)
        link_wake(endpoint);
}
