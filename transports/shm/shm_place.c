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
    ring_put(from, SLOT_EXPECT, message, &expected->where, sizeof expected->where, NULL, 0);
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

/* Store it, unless the receiver closes its port, who then waits for us: in pieces, so
 * that it need not wait long. */
static bool store(struct endpoint *to, char *there, const char *bytes, size_t length,
                  bool streams)
{
    struct shm_side *mine = &to->area->sides[to->me];
    const _Atomic uint32_t *closed = &to->area->sides[!to->me].closed;

    atomic_exchange(&mine->placing, 1);
    for (size_t at = 0; at < length && !atomic_load(closed); at += SHM_MOVE) {
        size_t piece = length - at < SHM_MOVE ? length - at : SHM_MOVE;

        if (streams)
            memory_stream(there + at, bytes + at, piece);
        else
            pace_copy(&to->placing, there + at, bytes + at, piece);
    }
    atomic_store_explicit(&mine->placing, 0, memory_order_release);
    return !atomic_load(closed);
}

int shm_place(struct endpoint *to, const struct message *message, const void *bytes,
              size_t length, bool streams)
{
    struct expected *expected = place_of(to->there, message->number);
    struct slot_bytes where = { .length = (uint32_t)length };
    uint32_t mark;
    char *there;

    if (!to->area || to->matching.failure || to->broken || to->socket < 0)
        return STATUS_AGAIN;
    short_next(to, &mark);             /* it may have come to expect it just now */
    if (to->broken || !is_for(expected, message, length) || length > UINT32_MAX ||
        !ring_window(to, message->stream, message->number) || !ring_room(to, 0))
        return STATUS_AGAIN;
    expected->open = false;
    there = recv_view(to, &expected->where);
    if (!there || !store(to, there, bytes, length, streams))
        return STATUS_AGAIN;
    ring_put(to, SLOT_PLACED, message, &where, sizeof where, NULL, 0);
    return PEAL_OK;
}
