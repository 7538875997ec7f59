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

/* Of the ring. */
static inline size_t frame_size(size_t bytes)
{
    return (bytes + VERBS_HEADER - 1) / VERBS_HEADER * VERBS_HEADER;
}

/* Where a frame of `bytes` bytes goes; SIZE_MAX: there is no room. */
static inline size_t place_next(const struct endpoint *e, size_t bytes, size_t reserve)
{
    size_t place = e->head & (e->ring_out - 1);
    size_t skip = place + bytes > e->ring_out ? e->ring_out - place : 0;

    if (e->head - e->tail + skip + bytes + reserve > e->ring_out)
        return SIZE_MAX;
    return skip ? 0 : place;
}

static inline unsigned char *begin(struct endpoint *e, size_t head, size_t payload, bool credit)
{
    uint32_t most = e->frames_out - !credit;
    size_t place;

    e->begun_bytes = frame_size(head + payload);
    if (e->stage != STAGE_UP || e->repairing || verbs_lost(e) ||
        e->out_next - e->out_taken >= most || !verbs_frame_room(&e->rails[e->frames_over]))
        return NULL;
    e->begun_place = place = place_next(e, e->begun_bytes, credit ? 0 : VERBS_HEADER);
    return place == SIZE_MAX ? NULL : e->mirror + place + head;
}

unsigned char *verbs_frame_begin(struct endpoint *e, const struct verbs_frame *frame, bool credit)
{
    return begin(e, verbs_frame_head(frame), verbs_frame_payload(frame), credit);
}

static inline void frame_post(struct endpoint *e, uint32_t number, int over, struct order *order,
                       uint64_t slices)
{
    struct rail *rail = &e->rails[over];
    uint32_t at = number % VERBS_FRAMES;
    struct ibv_sge piece = { .addr = (uintptr_t)(e->mirror + e->frame_place[at]),
                             .length = e->frame_bytes[at], .lkey = rail->mirror->lkey };
    struct ibv_send_wr wr = {
        .sg_list = &piece, .num_sge = e->frame_bytes[at] > 0,
        .wr.rdma = { .remote_addr = e->ring_remote + e->frame_place[at], .rkey = rail->rkey }
    };
    struct work work = { .kind = WORK_FRAME, .frame = number, .bytes = e->frame_bytes[at],
                         .order = order, .slices = slices };

    if (verbs_code_rides(e->frame_code[at])) {
        verbs_slice_fill(rail, order, 63u - (unsigned)__builtin_clzll(slices), &wr, &piece);
        wr.num_sge = 1;
        work.bytes = piece.length;
    }
    if (wr.num_sge > 0 && piece.length <= rail->most_inline)
        wr.send_flags |= IBV_SEND_INLINE;
    verbs_announce(rail, &wr, verbs_immediate(number, e->frame_code[at]), &work);
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

static void header_put(struct endpoint *e, struct verbs_frame *frame, unsigned char *to)
{
    frame->taken = e->in_next;
    for (uint32_t i = 0; i < TRANSPORT_STREAMS; i++)
        frame->low[i] = matching_low(&e->matching, i);
    frame->communicator = (uint32_t)e->port->options.communicator;
    verbs_frame_encode(frame, to);
    told(e);
}

/* What tells the receiver where the frame is that was begun. */
static inline uint32_t code_of(const struct endpoint *e, uint32_t stream, enum verbs_form form)
{
    if (form == VERBS_HEADED)
        return verbs_code_place(e->begun_place);
    return verbs_code_bare(stream, form, e->begun_place != (e->head & (e->ring_out - 1)));
}

static inline void end(struct endpoint *e, uint32_t code, size_t bytes, int rail,
                       struct order *order, uint64_t slices)
{
    size_t before = e->head & (e->ring_out - 1), place = e->begun_place;
    uint32_t at = e->out_next % VERBS_FRAMES;

    e->frame_code[at] = (uint16_t)code;
    e->head += e->begun_bytes + (place != before ? e->ring_out - before : 0);
    e->frame_end[at] = e->head;
    e->frame_place[at] = (uint32_t)place;
    e->frame_bytes[at] = (uint32_t)bytes;
    frame_post(e, e->out_next++, rail, order, slices);
}

void verbs_frame_end(struct endpoint *e, struct verbs_frame *frame, int rail,
                     struct order *order, uint64_t slices)
{
    header_put(e, frame, e->mirror + e->begun_place);
    end(e, code_of(e, frame->stream, VERBS_HEADED), VERBS_HEADER + verbs_frame_payload(frame),
        rail < 0 ? e->frames_over : rail, order, slices);
}

/* Bare, if it can be: it has no room for credits, so these must not be due. */
bool verbs_eager(struct endpoint *e, const struct message *message, const void *bytes,
                 size_t length)
{
    struct verbs_series *sent = &e->sent[message->stream];
    enum verbs_form form = verbs_credit_owed(e, BARE_SHARE) ? VERBS_HEADED
        : verbs_series_form(sent, message->number, &message->signature, length);
    size_t head = form == VERBS_HEADED ? VERBS_HEADER : 0;
    unsigned char *to = begin(e, head, length, false);

    if (!to)
        return false;
    if (length > 0)
        memcpy(to, bytes, length);
    verbs_series_add(sent, message->number, &message->signature, length);
    if (form == VERBS_HEADED) {
        struct verbs_frame frame = { .kind = VERBS_EAGER, .stream = message->stream,
                                     .number = message->number, .signature = message->signature,
                                     .total = length, .length = length };

        header_put(e, &frame, e->mirror + e->begun_place);
    }
    end(e, code_of(e, message->stream, form), head + length, e->frames_over, NULL, 0);
    return true;
}

void verbs_frame_ride(struct rail *rail, struct order *o, uint64_t slices)
{
    struct endpoint *e = rail->endpoint;
    const struct verbs_frame *frame = &o->of->frame;
    uint32_t at = e->out_next % VERBS_FRAMES;

    e->frame_end[at] = e->head;
    e->frame_code[at] = (uint16_t)verbs_code_riding(frame->stream, frame->number);
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
    e->frame_here[at] = (uint16_t)immediate;
    if (!e->arrived) {
        e->arrived = true;
        e->next_arrived = e->port->arrived;
        e->port->arrived = e;
    }
}

static const char *header_read(struct endpoint *e, uint32_t code, size_t *place)
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

static inline const char *bare_read(struct endpoint *e, uint32_t code, size_t *place)
{
    enum verbs_form form;
    uint32_t stream;
    bool start;

    if (!verbs_code_bared(code, &stream, &form, &start))
        return "a frame of unknown form";
    if (!verbs_series_next(&e->taken[stream], stream, form, &e->coming))
        return "a message without a header where none was before";
    *place = start ? 0 : e->in_place;
    return NULL;
}

/* It is looked at once, in a copy: the peer may write it again. */
const struct verbs_frame *verbs_frame_read(struct endpoint *e)
{
    uint32_t code = e->frame_here[e->in_next % VERBS_FRAMES];
    const char *wrong;
    size_t place = 0, bytes;

    if (code < VERBS_CODE_RIDES)
        wrong = header_read(e, code, &place);
    else if (verbs_code_rides(code))
        wrong = verbs_ridden(e, code, &e->coming);
    else
        wrong = bare_read(e, code, &place);
    bytes = verbs_frame_head(&e->coming) + verbs_frame_payload(&e->coming);
    if (!wrong && bytes > e->ring_in - place)
        wrong = "a frame that goes beyond the ring's end";
    if (wrong) {
        verbs_break(e, PEAL_ERR_PROTOCOL, "%s sent %s", e->name, wrong);
        return NULL;
    }
    e->coming_place = place;
    e->coming_bytes = frame_size(bytes);
    e->coming_known = true;
    return &e->coming;
}

void verbs_frame_take(struct endpoint *e)
{
    uint32_t at = e->in_next % VERBS_FRAMES;
    const struct verbs_frame *frame = &e->coming;
    size_t bytes = e->coming_bytes, place = e->coming_place;

    e->coming_known = false;
    e->came[at / 64] &= ~((uint64_t)1 << at % 64);
    e->in_next++;
    if (verbs_code_rides(e->frame_here[at]))
        return;
    if (frame->kind == VERBS_EAGER)
        verbs_series_add(&e->taken[frame->stream], frame->number, &frame->signature,
                         frame->total);
    e->untold += bytes + (place != e->in_place ? e->ring_in - e->in_place : 0);
    e->in_place = (place + bytes) & (e->ring_in - 1);
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
