/* SPDX-License-Identifier: BSD-3-Clause */
/* The short way (transport.h): a message straight into the mirror of the peer's
 * ring, and straight out of ours. */
#include "transports/verbs/verbs_poll.h"

#include "devices/copy.h"

/* Bare, if it can be: it has no room for credits, so these must not be due. */
static inline __attribute__((always_inline))
bool eager(struct endpoint *e, const struct message *message, const void *bytes, size_t length)
{
    struct verbs_series *sent = &e->sent[message->stream];
    enum verbs_form form = verbs_credit_owed(e, BARE_SHARE) ? VERBS_HEADED
        : verbs_series_form(sent, message->number, &message->signature, length);
    size_t head = form == VERBS_HEADED ? VERBS_HEADER : 0;
    unsigned char *to = verbs_ring_begin(e, head, length, false);

    if (!to)
        return false;
    copy_bytes(to, bytes, length);
    verbs_series_add(sent, message->number, &message->signature, length);
    if (form == VERBS_HEADED) {
        struct verbs_frame frame = { .kind = VERBS_EAGER, .stream = message->stream,
                                     .number = message->number, .signature = message->signature,
                                     .total = length, .length = length };

        verbs_header_put(e, &frame, e->mirror + e->begun_place);
    }
    verbs_ring_end(e, verbs_code_of(e, message->stream, form), head + length, e->frames_over, NULL, 0);
    return true;
}

bool verbs_eager(struct endpoint *e, const struct message *message, const void *bytes,
                 size_t length)
{
    return eager(e, message, bytes, length);
}

__attribute__((hot))
int verbs_put(struct endpoint *e, const struct message *message, const void *bytes,
              size_t length, struct completion *done)
{
    uint32_t at = message->number % TRANSPORT_WINDOW;
    struct sending **slot = &e->slots[message->stream][at];

    (void)done;                        /* eager() sends nothing over what is not up */
    if (length > e->eager || e->queue || e->streams ||
        !send_window_open(&e->window, message->stream, message->number) ||
        send_window_started(&e->window, message->stream, message->number) ||
        !eager(e, message, bytes, length))
        return STATUS_AGAIN;
    if (*slot) {                       /* a grant that it does not need */
        verbs_sending_give(e->port, *slot);
        *slot = NULL;
    }
    send_window_start(&e->window, message->stream, message->number);
    return PEAL_OK;
}

__attribute__((hot))
int verbs_peek(struct endpoint *e, const struct message *message, size_t length,
               const void **view)
{
    const struct verbs_frame *frame;
    const char *wrong;

    if (length > e->eager || verbs_lost(e) || e->matching.posted > 0)
        return STATUS_POST;
    if (!matching_open(&e->matching, message->stream, message->number))
        return matching_peek_early(&e->matching, message, length, view);
    if (!verbs_frame_waits(e) && (verbs_poll_inline(e->port) == 0 || !verbs_frame_waits(e)))
        return verbs_lost(e) ? STATUS_POST : STATUS_AGAIN;
    frame = verbs_frame_look(e);
    if (!frame)
        return STATUS_POST;
    if (frame->kind == VERBS_CREDIT && !verbs_credit_take(e, frame)) {
        verbs_frame_take(e);
        return STATUS_AGAIN;
    }
    if (frame->kind != VERBS_EAGER || frame->stream != message->stream ||
        frame->number != message->number || frame->total != length ||
        !signature_equal(&frame->signature, &message->signature))
        return STATUS_POST;
    wrong = frame->form == VERBS_HEADED ? verbs_credit_take(e, frame) : NULL;
    if (wrong) {
        verbs_break(e, PEAL_ERR_PROTOCOL, "%s sent %s", e->name, wrong);
        return STATUS_POST;
    }
    *view = verbs_payload(e);
    return PEAL_OK;
}

__attribute__((hot))
int verbs_take(struct endpoint *e, const struct message *message, size_t length)
{
    (void)length;
    if (matching_is_early(&e->matching, message)) {
        matching_take(&e->matching, message);
    } else {
        if (!e->coming_known || verbs_lost(e))
            return e->broken ? e->broken : PEAL_ERR_PROTOCOL;
        verbs_frame_take(e);
        if (message->number - e->told_low[message->stream] >= TRANSPORT_WINDOW - 1)
            e->full[message->stream] = true;
        matching_skip(&e->matching, message->stream);
    }
    if (verbs_window_owed(e, message->stream, CREDIT_SHARE) || verbs_ring_owed(e, CREDIT_SHARE)) {
        verbs_credit_tell(e, false);
        verbs_activity(e);
    }
    return PEAL_OK;
}
