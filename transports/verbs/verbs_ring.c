/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames: into the peer's landing ring, and out of ours; and the credits that
 * keep both within bounds.
 *
 * One frame and 64 bytes are kept back for a CREDIT after half the frames or bytes
 * of the other direction have been taken since the last word.  One is enough: for both
 * ends to be stuck each must have sent its own before it took the other's, and the later
 * of the two would then have told nothing new, and so was not owed. */
#include "transports/verbs/verbs_ring.h"

#include <string.h>

unsigned char *verbs_frame_begin(struct endpoint *e, const struct verbs_frame *frame, bool credit)
{
    return verbs_ring_begin(e, verbs_frame_head(frame), verbs_frame_payload(frame), credit);
}

static void told(struct endpoint *e)
{
    e->told_taken = e->in_next;
    e->untold = 0;
    for (uint32_t i = 0; i < TRANSPORT_STREAMS; i++)
        if (e->told_low[i] != matching_low(&e->matching, i)) {
            e->told_low[i] = matching_low(&e->matching, i);
            e->full[i] = false;
        }
}

void verbs_header_put(struct endpoint *e, struct verbs_frame *frame, unsigned char *to)
{
    frame->taken = e->in_next;
    for (uint32_t i = 0; i < TRANSPORT_STREAMS; i++)
        frame->low[i] = matching_low(&e->matching, i);
    frame->communicator = (uint32_t)e->port->options.communicator;
    verbs_frame_encode(frame, to);
    told(e);
}

void verbs_frame_end(struct endpoint *e, struct verbs_frame *frame, int rail,
                     struct order *order, uint64_t slices)
{
    verbs_header_put(e, frame, e->mirror + e->begun_place);
    verbs_ring_end(e, verbs_code_of(e, frame->stream, VERBS_HEADED), VERBS_HEADER + verbs_frame_payload(frame),
        rail < 0 ? e->frames_over : rail, order, slices);
}

void verbs_frame_ride(struct rail *rail, struct order *o, uint64_t slices)
{
    struct endpoint *e = rail->endpoint;
    const struct verbs_frame *frame = &o->of->frame;
    uint32_t at = e->out_next % VERBS_FRAMES;

    e->frame_end[at] = e->head;
    e->frame_code[at] = (uint16_t)verbs_code_riding(frame->stream, frame->number);
    e->frame_bytes[at] = 0;
    verbs_ring_post(e, e->out_next++, rail->index, o, slices);
}

int verbs_frame_repeat(struct endpoint *e, uint32_t number, int rail, struct order *order,
                       uint64_t slices)
{
    if (verbs_rail_room(&e->rails[rail]) < verbs_frame_works(&e->rails[rail]))
        return STATUS_AGAIN;
    verbs_ring_post(e, number, rail, order, slices);
    return PEAL_OK;
}

/* ---- Incoming ---------------------------------------------------------------- */

void verbs_frame_hasty(struct endpoint *e, uint32_t number)
{
    verbs_break(e, PEAL_ERR_PROTOCOL, "%s sent frame %u before there was room (%u is next)",
                e->name, number, e->in_next);
}

const char *verbs_header_read(struct endpoint *e, uint32_t code, size_t *place)
{
    unsigned char header[VERBS_HEADER];
    const char *wrong;

    *place = (size_t)code * VERBS_HEADER;
    if (*place != e->in_place && *place != 0)
        return "a frame at a place that is not the next";
    memcpy(header, e->landing + *place, VERBS_HEADER);
    wrong = verbs_frame_decode(header, &e->coming);
    if (!wrong && e->coming.communicator != (uint32_t)e->port->options.communicator)
        wrong = "a frame of another communicator";
    return wrong;
}

/* ---- Credits ------------------------------------------------------------------- */

/* Every header tells, so this is for traffic that flows one way only. */
bool verbs_credit_tell(struct endpoint *e, bool idle)
{
    struct verbs_frame frame = { .kind = VERBS_CREDIT };
    bool half = verbs_ring_owed(e, CREDIT_SHARE), wanted = half;

    for (uint32_t i = 0; i < TRANSPORT_STREAMS; i++) {
        uint32_t news = matching_low(&e->matching, i) - e->told_low[i];

        wanted |= news >= TRANSPORT_WINDOW / CREDIT_SHARE || (idle && news > 0 && e->full[i]);
    }
    if (!wanted || !verbs_frame_begin(e, &frame, half))
        return false;
    verbs_frame_end(e, &frame, -1, NULL, 0);
    return true;
}

/* A frame that says nothing of credits. */
void verbs_no_credit(const struct endpoint *e, struct verbs_frame *frame)
{
    frame->taken = e->out_taken;
    memcpy(frame->low, e->window.low, sizeof frame->low);
    frame->communicator = (uint32_t)e->port->options.communicator;
}

/* NULL, or what is wrong. */
const char *verbs_credit_take(struct endpoint *e, const struct verbs_frame *frame)
{
    if (frame->taken - e->out_taken > e->out_next - e->out_taken)
        return "a credit for frames that were not sent";
    if (frame->taken != e->out_taken)
        e->tail = e->frame_end[(frame->taken - 1) % VERBS_FRAMES];
    e->out_taken = frame->taken;
    for (uint32_t i = 0; i < TRANSPORT_STREAMS; i++) {
        const char *wrong = send_window_credit(&e->window, i, frame->low[i]);

        if (wrong)
            return wrong;
    }
    return NULL;
}
