/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages that the sender stores where the receiver wants them.  What the
 * receiver would read from the sender's memory has to cross to its core, and the
 * next message back; what is stored at its place crosses when it is needed. */
#include "transports/shm/shm.h"

#include "devices/device.h"

#include <string.h>

static struct expected *place_of(struct expected *table, uint32_t number)
{
    return &table[number % SHM_EXPECTED];
}

static bool is_for(const struct expected *expected, const struct message *message,
                   size_t length)
{
    return expected->open && expected->message.number == message->number &&
           expected->message.stream == message->stream && expected->length == length &&
           signature_equal(&expected->message.signature, &message->signature);
}

/* ---- The receiver ------------------------------------------------------------- */

/* The message may have come in another way. */
static bool is_open(const struct endpoint *from, const struct expected *expected)
{
    uint32_t low = matching_low(&from->matching, expected->message.stream);

    return expected->open && (int32_t)(expected->message.number - low) >= 0;
}

void shm_expect(struct endpoint *from, const struct message *message, void *memory,
                size_t length)
{
    struct expected *expected = place_of(from->here, message->number);
    struct memory_share share;
    int place;

    if (is_open(from, expected) || !from->area || from->broken || from->matching.failure ||
        from->socket < 0 || !memory_find(memory, length, &share) || !ring_room(from, 0))
        return;
    place = link_share(from, &share);
    if (place < 0)
        return;
    *expected = (struct expected){
        .memory = memory, .message = *message, .length = length, .open = true,
        .where = { .length = length, .share_id = share.id, .share_offset = share.offset,
                   .share = (uint32_t)place },
    };
    ring_put(from, SLOT_EXPECT, message, &expected->where, sizeof expected->where);
}

char *place_find(struct endpoint *from, const struct message *message, size_t length)
{
    struct expected *expected = place_of(from->here, message->number);

    return is_for(expected, message, length) && is_open(from, expected) ? expected->memory
                                                                        : NULL;
}

void place_met(struct endpoint *from, const struct message *message)
{
    struct expected *expected = place_of(from->here, message->number);

    if (expected->message.number == message->number &&
        expected->message.stream == message->stream)
        expected->open = false;
}

/* ---- The sender --------------------------------------------------------------- */

void place_expected(struct endpoint *to, const struct message *message,
                    const struct slot_offer *where)
{
    *place_of(to->there, message->number) = (struct expected){
        .where = *where, .message = *message, .length = where->length, .open = true,
    };
}

/* We write to the receiver's memory, unless it closes its port: it then waits for us. */
static bool placing_begin(struct endpoint *to)
{
    atomic_exchange(&to->area->sides[to->me].placing, 1);
    return !atomic_load(&to->area->sides[!to->me].closed);
}

/* False if it has closed it meanwhile. */
static bool placing_end(struct endpoint *to)
{
    atomic_store_explicit(&to->area->sides[to->me].placing, 0, memory_order_release);
    return !atomic_load(&to->area->sides[!to->me].closed);
}

/* In pieces, so that a receiver that closes its port need not wait long. */
static bool store(struct endpoint *to, char *there, const char *bytes, size_t length,
                  bool streams)
{
    const _Atomic uint32_t *closed = &to->area->sides[!to->me].closed;
    bool open = placing_begin(to);

    for (size_t at = 0; at < length && open; at += SHM_MOVE) {
        size_t piece = length - at < SHM_MOVE ? length - at : SHM_MOVE;

        if (streams)
            memory_stream(there + at, bytes + at, piece);
        else
            pace_copy(&to->placing, there + at, bytes + at, piece);
        open = !atomic_load(closed);
    }
    return placing_end(to);
}

/* Where the message can be stored, if it can be announced then, too; or NULL.  `seen`: what was
 * peeked at stays mapped. */
static char *place_open(struct endpoint *to, const struct message *message, size_t length,
                        bool seen)
{
    struct expected *expected = place_of(to->there, message->number);
    uint32_t mark;
    char *there;

    if (!to->area || to->matching.failure || to->broken || to->socket < 0)
        return NULL;
    short_next(to, &mark);             /* it may have come to expect it just now */
    if (to->broken || !is_for(expected, message, length) || length > UINT32_MAX ||
        !ring_window(to, message->stream, message->number) || !ring_room(to, 0))
        return NULL;
    there = seen ? recv_seen(to, &expected->where) : recv_view(to, &expected->where);
    expected->open = seen && !there;   /* else place() has its turn */
    return there;
}

static void announce(struct endpoint *to, const struct message *message, size_t length)
{
    struct slot_bytes where = { .length = (uint32_t)length };

    ring_distance(to);
    ring_put(to, SLOT_PLACED, message, &where, sizeof where);
}

int shm_place(struct endpoint *to, const struct message *message, const void *bytes,
              size_t length, bool streams)
{
    char *there = place_open(to, message, length, false);

    if (!there || !store(to, there, bytes, length, streams))
        return STATUS_AGAIN;
    announce(to, message, length);
    return PEAL_OK;
}

/* The room for the announcement is still there at the end: take() alone puts something
 * into the ring meanwhile, one notice if no others wait, and for those some is kept. */
int shm_place_begin(struct endpoint *to, const struct message *message, size_t length,
                    bool streams, struct also *at)
{
    *at = (struct also){ .past = streams, .far = !streams && distance_is_far(&to->distance) };
    if (length > SHM_MOVE || to->notice_tail != to->notice_head ||
        (!streams && !store_lets(&to->placing, length, at)))
        return STATUS_AGAIN;
    at->place = place_open(to, message, length, true);
    if (!at->place)
        return STATUS_AGAIN;
    if (placing_begin(to))
        return PEAL_OK;
    placing_end(to);
    return STATUS_AGAIN;
}

int shm_place_end(struct endpoint *to, const struct message *message, size_t length, int status)
{
    bool open = placing_end(to);

    if (status)
        return status;
    if (!open)
        return status_fail(PEAL_ERR_PEER, "shm: %s has closed its port", to->peer);
    announce(to, message, length);
    return PEAL_OK;
}
