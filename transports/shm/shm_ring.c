/* SPDX-License-Identifier: BSD-3-Clause */
/* The rings.  A slot is valid when its mark holds the lap that the reader is
 * in, so neither side reads an index of the other while there is room.  A sleeper
 * sets `armed` and then looks at marks and versions; we write those and then look
 * at `armed`; with fences between, one of the two sees the other. */
#include "transports/shm/shm.h"

#include "base/clock.h"
#include "base/fence.h"

#include <string.h>

enum {
    RING_GAP = 1536,               /* bytes left free behind a message; see gap_behind() ... */
    LONG     = 12 << 10,           /* ... and twice as many if it is so long and an own block that was
                                      kept: who only copies fetches further ahead */
    GAPS     = 16                  /* behind no message of more than this part of the ring */
};

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

bool ring_place(struct endpoint *endpoint, size_t length, struct also *at)
{
    size_t from = endpoint->byte_head % endpoint->ring;

    *at = (struct also){ .far = distance_is_far(&endpoint->distance) };
    if (length > endpoint->ring - from || !ring_room(endpoint, length) ||
        (endpoint->byte_head >= endpoint->ring && !store_lets(&endpoint->pace, length, at)))
        return false;
    at->place = byte_ring(endpoint, endpoint->me) + from;
    return true;
}

bool ring_keep(struct endpoint *endpoint, const void *bytes, size_t length, void *keep)
{
    size_t at = endpoint->byte_head % endpoint->ring;
    struct also also = { .place = byte_ring(endpoint, endpoint->me) + at };
    struct landing landing = { .dst = keep, .bytes = length, .also = &also };
    uint64_t began = 0;

    if (length > endpoint->ring - at || !ring_room(endpoint, length))
        return false;
    pace_passed(&endpoint->pace, length);
    if (endpoint->byte_head >= endpoint->ring && length >= PACE_PIECE)
        began = pace_begin(&endpoint->keeping, &also.past);
    landing_put(&landing, 0, bytes, length);
    if (began)
        pace_end(&endpoint->keeping, began, length);
    return true;
}

void ring_distance(struct endpoint *endpoint)
{
    volatile struct slot *slot = &endpoint->area->slots[endpoint->me][endpoint->slot_head % SHM_SLOTS];
    uint64_t before, began;

    if (!distance_due(&endpoint->distance))
        return;
    atomic_thread_fence(memory_order_seq_cst);     /* the stores before are not to be waited for */
    before = clock_now();
    began = clock_now();
    atomic_fetch_add(&slot->mark, 0);
    distance_took(&endpoint->distance, clock_now() - began, began - before);
}

void ring_put(struct endpoint *endpoint, enum slot_kind kind, const struct message *message,
              const void *payload, size_t payload_bytes)
{
    struct slot *slot = &endpoint->area->slots[endpoint->me][endpoint->slot_head % SHM_SLOTS];
    uint32_t mark = slot_turn(endpoint->slot_head) << 16 | (uint32_t)kind << 12 |
                    message->stream << 8 | (uint32_t)payload_bytes;

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

/* The reader's core fetches ahead beyond the end of a message.  If the next one lies there, that
 * core has those lines before they are written, and gives each back to the writer: 4 KiB took
 * twice as long.  So some room is left free; not where stores go past the caches, as short
 * ones do where cores are far, and leave lines where they are; nor where ranks share cores, and come late.
 *
 * A stream whose reader is behind gains by what is fetched ahead.  There is room only behind
 * its short messages, for as many of them as there are slots, unless something has come from
 * the reader since the last one. */
static size_t gap_behind(struct endpoint *endpoint, size_t round, bool kept)
{
    const struct pace *pace = kept ? &endpoint->keeping : &endpoint->pace;
    size_t stride = endpoint->ring / SHM_SLOTS;
    bool heard = endpoint->slot_tail != endpoint->tail_then;

    endpoint->tail_then = endpoint->slot_tail;
    if (endpoint->port->options.crowded || round > endpoint->ring / GAPS || !pace_near(pace))
        return 0;
    if (heard)
        return kept && round >= LONG ? 2 * RING_GAP : RING_GAP;
    if (round + RING_GAP <= stride)
        return RING_GAP;
    return round < stride ? stride - round : 0;
}

/* And what comes next, if it is as long, shall lie in one piece. */
static uint32_t room_behind(struct endpoint *endpoint, enum slot_kind kind, size_t length,
                            bool kept)
{
    size_t round = line_round(length);
    size_t gap = kind == SLOT_EAGER ? gap_behind(endpoint, round, kept) : 0;
    size_t rest = endpoint->ring - (endpoint->byte_head + round + gap) % endpoint->ring;

    return (uint32_t)(rest < round ? gap + rest : gap);
}

void ring_put_bytes(struct endpoint *endpoint, enum slot_kind kind,
                    const struct message *message, size_t offset, const void *bytes,
                    size_t length)
{
    struct slot_bytes where = { offset, (uint32_t)length,
                                room_behind(endpoint, kind, length, !bytes) };

    if (bytes) {
        char *ring = byte_ring(endpoint, endpoint->me);
        size_t at = endpoint->byte_head % endpoint->ring, first = endpoint->ring - at;

        first = first < length ? first : length;
        ring_copy(endpoint, ring + at, bytes, first);
        ring_copy(endpoint, ring, (const char *)bytes + first, length - first);
    }
    if (kind == SLOT_DATA)
        ring_distance(endpoint);
    endpoint->byte_head += line_round(length) + where.gap;
    ring_put(endpoint, kind, message, &where, sizeof where);
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

bool ring_holds(const struct endpoint *endpoint, const struct slot_bytes *bytes)
{
    return bytes->length <= endpoint->ring && bytes->gap <= endpoint->ring &&
           bytes->gap % SHM_LINE == 0;
}

void ring_pass(struct endpoint *endpoint, size_t length, uint32_t gap)
{
    endpoint->byte_tail += line_round(length) + gap;
}

bool ring_land(struct endpoint *endpoint, struct match *match, const struct slot_bytes *bytes)
{
    const char *ring = byte_ring(endpoint, !endpoint->me);
    size_t at = endpoint->byte_tail % endpoint->ring, first = endpoint->ring - at;
    bool whole;

    first = first < bytes->length ? first : bytes->length;
    whole = relay_put(endpoint, match, ring + at, first);
    if (first < bytes->length)     /* `at` and the ring are whole lines, so is `first` */
        whole = relay_put(endpoint, match, ring, bytes->length - first);
    ring_pass(endpoint, bytes->length, bytes->gap);
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
