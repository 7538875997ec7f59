/* SPDX-License-Identifier: BSD-3-Clause */
/* The short way: a message straight into the ring, and straight out of it. */
#include "transports/shm/shm.h"

int shm_put(struct endpoint *to, const struct message *message, const void *bytes,
            size_t length)
{
    struct slot_bytes where = { .length = (uint32_t)length };
    size_t ringed = length > SHM_INLINE ? length : 0;

    if (!to->area || to->matching.failure || ringed > to->port->eager ||
        ringed > to->ring / 4 || !ring_window(to, message->stream, message->number) ||
        !ring_room(to, ringed))
        return STATUS_AGAIN;
    if (ringed)
        ring_put(to, SLOT_EAGER, message, &where, sizeof where, bytes, length);
    else
        ring_put(to, SLOT_SMALL, message, bytes, length, NULL, 0);
    return PEAL_OK;
}

int shm_peek(struct endpoint *from, const struct message *message, size_t length,
             const void **view)
{
    enum slot_kind kind = length > SHM_INLINE ? SLOT_EAGER : SLOT_SMALL;
    size_t payload = kind == SLOT_SMALL ? length : sizeof(struct slot_bytes);
    uint32_t mark, expected = (uint32_t)kind << 12 | message->stream << 8 | (uint32_t)payload;
    struct slot *slot;

    if (!from->area || from->broken || from->socket < 0)
        return STATUS_POST;
    slot = ring_next(from, &mark);
    if (!slot)
        return matching_open(&from->matching, message->stream, message->number)
                   ? STATUS_AGAIN : STATUS_POST;
    if (!matching_open(&from->matching, message->stream, message->number) ||
        (mark & 0xffff) != expected || slot->number != message->number ||
        slot->signature.what != message->signature.what ||
        slot->signature.count != message->signature.count)
        return STATUS_POST;
    *view = slot->payload;
    if (kind == SLOT_EAGER) {
        struct slot_bytes bytes = *(const struct slot_bytes *)(const void *)slot->payload;

        if (bytes.length != length || !(*view = ring_view(from, length)))
            return STATUS_POST;
    }
    return PEAL_OK;
}

void shm_take(struct endpoint *from, const struct message *message, size_t length)
{
    if (length > SHM_INLINE)
        ring_pass(from, length);
    from->slot_tail++;
    matching_skip(&from->matching, message->stream);
    ring_publish(from);
}
