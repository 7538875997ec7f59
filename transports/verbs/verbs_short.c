/* SPDX-License-Identifier: BSD-3-Clause */
/* The short way (transport.h): a message straight into the mirror of the peer's
 * ring, and straight out of ours. */
#include "transports/verbs/verbs.h"

#include <string.h>

int verbs_put(struct endpoint *e, const struct message *message, const void *bytes,
              size_t length, struct completion *done)
{
    uint32_t at = message->number % TRANSPORT_WINDOW;
    struct sending **slot = &e->slots[message->stream][at];
    struct verbs_frame frame = { .kind = VERBS_EAGER, .stream = message->stream,
                                 .number = message->number, .signature = message->signature,
                                 .total = length, .length = length };
    unsigned char *to;

    (void)done;
    if (length > e->eager || e->failure || e->stage != STAGE_UP || e->queue || e->streams ||
        !send_window_open(&e->window, message->stream, message->number) ||
        send_window_started(&e->window, message->stream, message->number) ||
        !(to = verbs_frame_begin(e, length, false)))
        return STATUS_AGAIN;
    if (*slot) {                       /* a grant that it does not need */
        verbs_sending_give(e->port, *slot);
        *slot = NULL;
    }
    send_window_start(&e->window, message->stream, message->number);
    if (length > 0)
        memcpy(to, bytes, length);
    verbs_frame_end(e, &frame, -1, NULL, 0);
    return PEAL_OK;
}

int verbs_peek(struct endpoint *e, const struct message *message, size_t length,
               const void **view)
{
    const unsigned char *payload;
    struct verbs_frame frame;
    const char *wrong;

    if (length > e->eager || verbs_lost(e) || e->matching.posted > 0)
        return STATUS_POST;
    if (!matching_open(&e->matching, message->stream, message->number))
        return matching_peek_early(&e->matching, message, length, view);
    if (!verbs_frame_peek(e, &frame, &payload)) {
        verbs_poll(e->port);
        if (!verbs_frame_peek(e, &frame, &payload))
            return verbs_lost(e) ? STATUS_POST : STATUS_AGAIN;
    }
    if (frame.kind == VERBS_CREDIT && !verbs_credit_take(e, &frame)) {
        verbs_frame_take(e, &frame);
        return STATUS_AGAIN;
    }
    if (frame.kind != VERBS_EAGER || frame.stream != message->stream ||
        frame.number != message->number || frame.total != length ||
        !signature_equal(&frame.signature, &message->signature))
        return STATUS_POST;
    wrong = verbs_credit_take(e, &frame);
    if (wrong) {
        verbs_break(e, PEAL_ERR_PROTOCOL, "%s sent %s", e->name, wrong);
        return STATUS_POST;
    }
    *view = payload;
    return PEAL_OK;
}

int verbs_take(struct endpoint *e, const struct message *message, size_t length)
{
    const unsigned char *payload;
    struct verbs_frame frame;

    (void)length;
    if (matching_is_early(&e->matching, message)) {
        matching_take(&e->matching, message);
    } else {
        if (!verbs_frame_peek(e, &frame, &payload))
            return e->broken ? e->broken : PEAL_ERR_PROTOCOL;
        verbs_frame_take(e, &frame);
        if (message->number - e->told_low[message->stream] >= TRANSPORT_WINDOW - 1)
            e->full[message->stream] = true;
        matching_skip(&e->matching, message->stream);
    }
    verbs_credit_tell(e, false);
    verbs_activity(e);
    return PEAL_OK;
}
