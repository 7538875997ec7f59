/* SPDX-License-Identifier: BSD-3-Clause */
/* The short way: a message straight into the ring, and straight out of it, or out
 * of the peer's memory where that is mapped. */
#include "transports/shm/shm.h"

#include <string.h>

int shm_put(struct endpoint *to, const struct message *message, const void *bytes,
            size_t length, struct completion *done)
{
    size_t ringed = length > SHM_INLINE ? length : 0;

    (void)done;
    if (!to->area || to->matching.failure || ringed > shm_eager(to) ||
        !ring_window(to, message->stream, message->number) || !ring_room(to, ringed))
        return STATUS_AGAIN;
    if (ringed)
        ring_put_bytes(to, SLOT_EAGER, message, 0, bytes, length);
    else
        ring_put(to, SLOT_SMALL, message, bytes, length);
    return PEAL_OK;
}

/* In one pass; but where string instructions are the faster way put() alone is better, so that
 * the peer sees it before the second copy begins (4 KiB 0.9, 16 KiB 0.7 of the time). */
int shm_put_keep(struct endpoint *to, const struct message *message, const void *bytes,
                 size_t length, void *keep)
{
    enum { ONE_PASS = 2 << 10 };

    if (!to->area || to->matching.failure || length <= SHM_INLINE || length > shm_eager(to) ||
        pace_asks(&to->pace, length) || (length > ONE_PASS && to->pace.strings == STRINGS_FASTER) ||
        !ring_window(to, message->stream, message->number) || !ring_keep(to, bytes, length, keep))
        return STATUS_AGAIN;
    ring_put_bytes(to, SLOT_EAGER, message, 0, NULL, length);
    return PEAL_OK;
}

/* That the peer has what we offered, or expects something, is not for peek's caller.
 * At most a ring full of it, or a peer could keep us here. */
struct slot *short_next(struct endpoint *from, uint32_t *mark)
{
    struct slot *slot;

    for (int i = 0; i < SHM_SLOTS && !from->broken && (slot = ring_next(from, mark)); i++) {
        enum slot_kind kind = *mark >> 12 & 0xf;

        if (kind != SLOT_TAKEN && kind != SLOT_EXPECT)
            return slot;
        shm_break(from, recv_slot(from, slot, *mark));
        from->slot_tail++;
        ring_publish(from);
    }
    return NULL;
}

/* Where the bytes of the slot's message lie, if it is of that length. */
static const void *slot_view(struct endpoint *from, const struct slot *slot, uint32_t mark,
                             const struct message *message, size_t length)
{
    struct slot_offer offer;
    struct slot_bytes bytes;

    from->peeked = mark >> 12 & 0xf;
    switch (from->peeked) {
    case SLOT_SMALL:
        return (mark & 0xff) == length && length <= SHM_INLINE ? slot->payload : NULL;
    case SLOT_EAGER:
        memcpy(&bytes, slot->payload, sizeof bytes);
        from->peeked_gap = bytes.gap;
        return bytes.length == length && length <= TRANSPORT_EAGER &&
               ring_holds(from, &bytes) ? ring_view(from, length) : NULL;
    case SLOT_OFFER:
        memcpy(&offer, slot->payload, sizeof offer);
        return offer.length == length ? recv_view(from, &offer) : NULL;
    case SLOT_PLACED:
        memcpy(&bytes, slot->payload, sizeof bytes);
        return bytes.length == length ? place_find(from, message, length) : NULL;
    default:
        return NULL;
    }
}

int shm_peek(struct endpoint *from, const struct message *message, size_t length,
             const void **view)
{
    struct slot *slot;
    uint32_t mark;

    if (!from->area || from->broken || from->socket < 0)
        return STATUS_POST;
    if (!matching_open(&from->matching, message->stream, message->number))
        return matching_peek_early(&from->matching, message, length, view);
    slot = short_next(from, &mark);
    if (!slot)
        return from->broken ? STATUS_POST : STATUS_AGAIN;
    if ((mark >> 8 & 0xf) != message->stream || slot->number != message->number ||
        !signature_equal(&slot->signature, &message->signature))
        return STATUS_POST;
    *view = slot_view(from, slot, mark, message, length);
    return *view ? PEAL_OK : STATUS_POST;
}

int shm_take(struct endpoint *from, const struct message *message, size_t length)
{
    if (matching_is_early(&from->matching, message)) {
        matching_take(&from->matching, message);
        ring_publish(from);
        return PEAL_OK;
    }
    from->slot_tail++;
    from->put_off = 0;             /* what lies behind it has not lain long */
    matching_skip(&from->matching, message->stream);
    place_met(from, message);
    if (from->peeked == SLOT_OFFER) {
        if (recv_closed(from))
            return status_fail(PEAL_ERR_PEER, "%s", from->why);
        recv_taken(from, message->stream, message->number);
        recv_notices(from);
    } else if (from->peeked == SLOT_EAGER) {
        ring_pass(from, length, from->peeked_gap);
    }
    ring_publish(from);
    return PEAL_OK;
}
