/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames: into the peer's landing ring, and out of ours; and the credits that
 * keep both within bounds.
 *
 * One frame and 64 bytes are kept back for a CREDIT after half the frames or bytes
 * of the other direction have been taken since the last word.  One is enough: the
 * frames that these were could only be sent because the peer had heard of the credit
 * before, and so told of the frame that it was. */
#include "transports/verbs/verbs.h"

#include <string.h>

static size_t frame_size(size_t payload)
{
    return (VERBS_HEADER + payload + VERBS_HEADER - 1) / VERBS_HEADER * VERBS_HEADER;
}

/* Where a frame of `bytes` bytes goes; SIZE_MAX: there is no room. */
static size_t place_next(const struct endpoint *e, size_t bytes, size_t reserve)
{
    size_t place = e->head & (e->ring_out - 1);
    size_t skip = place + bytes > e->ring_out ? e->ring_out - place : 0;

    if (e->head - e->tail + skip + bytes + reserve > e->ring_out)
        return SIZE_MAX;
    return skip ? 0 : place;
}

unsigned char *verbs_frame_begin(struct endpoint *e, size_t payload, bool credit)
{
    uint32_t most = e->frames_out - !credit;
    size_t place;

    if (e->stage != STAGE_UP || e->repairing || verbs_lost(e) ||
        e->out_next - e->out_taken >= most || !verbs_frame_room(&e->rails[e->frames_over]))
        return NULL;
    place = place_next(e, frame_size(payload), credit ? 0 : VERBS_HEADER);
    return place == SIZE_MAX ? NULL : e->mirror + place + VERBS_HEADER;
}

static void frame_post(struct endpoint *e, uint32_t number, int over, struct order *order,
                       uint64_t slices)
{
    struct rail *rail = &e->rails[over];
    uint32_t at = number % VERBS_FRAMES;
    struct ibv_sge piece = { .addr = (uintptr_t)(e->mirror + e->frame_place[at]),
                             .length = e->frame_bytes[at], .lkey = rail->mirror->lkey };
    struct ibv_send_wr wr = {
        .sg_list = &piece, .num_sge = 1,
        .wr.rdma = { .remote_addr = e->ring_remote + e->frame_place[at], .rkey = rail->rkey }
    };
    struct work work = { .kind = WORK_FRAME, .frame = number, .bytes = e->frame_bytes[at],
                         .order = order, .slices = slices };

    if (verbs_place_rides(e->frame_place[at])) {
        verbs_slice_fill(rail, order, 63u - (unsigned)__builtin_clzll(slices), &wr, &piece);
        work.bytes = piece.length;
    }
    if (piece.length <= rail->most_inline)
        wr.send_flags |= IBV_SEND_INLINE;
    verbs_announce(rail, &wr, verbs_immediate(number, e->frame_place[at]), &work);
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

/* What was begun, with the same payload. */
void verbs_frame_end(struct endpoint *e, struct verbs_frame *frame, int rail,
                     struct order *order, uint64_t slices)
{
    size_t payload = verbs_frame_payload(frame), bytes = frame_size(payload);
    size_t before = e->head & (e->ring_out - 1), place = place_next(e, bytes, 0);
    uint32_t at = e->out_next % VERBS_FRAMES;

    frame->taken = e->in_next;
    for (uint32_t i = 0; i < TRANSPORT_STREAMS; i++)
        frame->low[i] = matching_low(&e->matching, i);
    frame->communicator = (uint32_t)e->port->options.communicator;
    verbs_frame_encode(frame, e->mirror + place);
    e->head += bytes + (place != before ? e->ring_out - before : 0);
    e->frame_end[at] = e->head;
    e->frame_place[at] = (uint32_t)place;
    e->frame_bytes[at] = (uint32_t)(VERBS_HEADER + payload);
    told(e);
    frame_post(e, e->out_next++, rail < 0 ? e->frames_over : rail, order, slices);
}

void verbs_frame_ride(struct rail *rail, struct order *o, uint64_t slices)
{
    struct endpoint *e = rail->endpoint;
    const struct verbs_frame *frame = &o->of->frame;
    uint32_t at = e->out_next % VERBS_FRAMES;

    e->frame_end[at] = e->head;
    e->frame_place[at] = (uint32_t)verbs_place_riding(frame->stream, frame->number);
    e->frame_bytes[at] = 0;
    frame_post(e, e->out_next++, rail->index, o, slices);
}

int verbs_frame_repeat(struct endpoint *e, uint32_t number, int rail, struct order *order,
                       uint64_t slices)
{
    if (verbs_rail_room(&e->rails[rail]) < verbs_frame_works(&e->rails[rail]))
        return STATUS_AGAIN;
    frame_post(e, number, rail, order, slices);
    return PEAL_OK;
}

/* ---- Incoming ---------------------------------------------------------------- */

/* A frame may come twice when a rail has failed, and before those of another rail
 * that precede it. */
void verbs_frame_came(struct rail *rail, uint32_t immediate)
{
    struct endpoint *e = rail->endpoint;
    uint32_t ahead = (uint16_t)((immediate >> 16) - e->in_next);
    uint32_t number = e->in_next + ahead, at = number % VERBS_FRAMES;

    if (ahead >= 0x8000)
        return;                        /* it has been taken */
    if (ahead >= e->frames_in) {
        verbs_break(e, PEAL_ERR_PROTOCOL, "%s sent frame %u before there was room (%u is next)",
                    e->name, number, e->in_next);
        return;
    }
    e->came[at / 64] |= (uint64_t)1 << at % 64;
    e->frame_here[at] = (immediate & 0xffff) * VERBS_HEADER;
    if (!e->arrived) {
        e->arrived = true;
        e->next_arrived = e->port->arrived;
        e->port->arrived = e;
    }
}

/* The header is looked at once, in a copy: the peer may write it again. */
bool verbs_frame_peek(struct endpoint *e, struct verbs_frame *frame,
                      const unsigned char **payload)
{
    uint32_t at = e->in_next % VERBS_FRAMES;
    unsigned char header[VERBS_HEADER];
    const char *wrong = NULL;
    size_t place = e->frame_here[at];

    if (!(e->came[at / 64] >> at % 64 & 1) || verbs_lost(e))
        return false;
    if (verbs_place_rides(place)) {
        wrong = verbs_ridden(e, place, frame);
        place = 0;                     /* there is no payload */
    } else if (place != e->in_place && place != 0) {
        wrong = "a frame at a place that is not the next";
    } else {
        memcpy(header, e->landing + place, VERBS_HEADER);
        wrong = verbs_frame_decode(header, frame);
    }
    if (!wrong && verbs_frame_payload(frame) > e->ring_in - place - VERBS_HEADER)
        wrong = "a frame that goes beyond the ring's end";
    if (!wrong && frame->communicator != (uint32_t)e->port->options.communicator)
        wrong = "a frame of another communicator";
    if (wrong)
        verbs_break(e, PEAL_ERR_PROTOCOL, "%s sent %s", e->name, wrong);
    *payload = e->landing + place + VERBS_HEADER;
    return !wrong;
}

void verbs_frame_take(struct endpoint *e, const struct verbs_frame *frame)
{
    uint32_t at = e->in_next % VERBS_FRAMES;
    size_t bytes = frame_size(verbs_frame_payload(frame)), place = e->frame_here[at];

    e->came[at / 64] &= ~((uint64_t)1 << at % 64);
    e->in_next++;
    if (verbs_place_rides(place))
        return;
    e->untold += bytes + (place != e->in_place ? e->ring_in - e->in_place : 0);
    e->in_place = (place + bytes) & (e->ring_in - 1);
}

/* ---- Credits ------------------------------------------------------------------- */

bool verbs_credit_owed(const struct endpoint *e)
{
    for (uint32_t i = 0; i < TRANSPORT_STREAMS; i++)
        if (matching_low(&e->matching, i) - e->told_low[i] >= TRANSPORT_WINDOW / 2 ||
            (e->full[i] && e->told_low[i] != matching_low(&e->matching, i)))
            return true;
    return e->in_next - e->told_taken >= e->frames_in / 2 || e->untold >= e->ring_in / 2;
}

/* Every frame tells, so this is for traffic that flows one way only. */
bool verbs_credit_tell(struct endpoint *e, bool idle)
{
    struct verbs_frame frame = { .kind = VERBS_CREDIT };
    bool half = e->in_next - e->told_taken >= e->frames_in / 2 || e->untold >= e->ring_in / 2;
    bool wanted = half;

    for (uint32_t i = 0; i < TRANSPORT_STREAMS; i++) {
        uint32_t news = matching_low(&e->matching, i) - e->told_low[i];

        wanted |= news >= TRANSPORT_WINDOW / 2 || (idle && news > 0 && e->full[i]);
    }
    if (!wanted || !verbs_frame_begin(e, 0, half))
        return false;
    verbs_frame_end(e, &frame, -1, NULL, 0);
    return true;
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
