/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames in the landing rings, and the credits for them (verbs_ring.c).  What every short
 * message goes through is inline. */
#ifndef VERBS_RING_H
#define VERBS_RING_H

#include "transports/verbs/verbs_post.h"

/* Room for the frame: where its payload goes, and what comes then; or NULL. */
unsigned char *verbs_frame_begin(struct endpoint *e, const struct verbs_frame *frame, bool credit);
void verbs_frame_end(struct endpoint *e, struct verbs_frame *frame, int rail,
                     struct order *order, uint64_t slices);
bool verbs_eager(struct endpoint *e, const struct message *message, const void *bytes,
                 size_t length);
/* DONE of all of an order, with its last slice: after verbs_frame_begin() for nothing. */
void verbs_frame_ride(struct rail *rail, struct order *o, uint64_t slices);
int  verbs_frame_repeat(struct endpoint *e, uint32_t number, int rail, struct order *order,
                        uint64_t slices);

/* The header of the frame that was begun, with what may be told of credits. */
void verbs_header_put(struct endpoint *e, struct verbs_frame *frame, unsigned char *to);

/* Of the ring. */
static inline size_t verbs_frame_size(size_t bytes)
{
    return (bytes + VERBS_HEADER - 1) / VERBS_HEADER * VERBS_HEADER;
}

/* Where a frame of `bytes` bytes goes; SIZE_MAX: there is no room. */
static inline size_t verbs_place_next(const struct endpoint *e, size_t bytes, size_t reserve)
{
    size_t place = e->head & (e->ring_out - 1);
    size_t skip = place + bytes > e->ring_out ? e->ring_out - place : 0;

    if (e->head - e->tail + skip + bytes + reserve > e->ring_out)
        return SIZE_MAX;
    return skip ? 0 : place;
}

static inline unsigned char *verbs_ring_begin(struct endpoint *e, size_t head, size_t payload,
                                              bool credit)
{
    uint32_t most = e->frames_out - !credit;
    size_t place;

    e->begun_bytes = verbs_frame_size(head + payload);
    if (e->stage != STAGE_UP || e->repairing || verbs_lost(e) ||
        e->out_next - e->out_taken >= most || !verbs_frame_room(&e->rails[e->frames_over]))
        return NULL;
    e->begun_place = place = verbs_place_next(e, e->begun_bytes, credit ? 0 : VERBS_HEADER);
    return place == SIZE_MAX ? NULL : e->mirror + place + head;
}

/* The write of a frame, in a way that the peer hears of. */
static inline __attribute__((always_inline))
void verbs_announce(struct rail *rail, struct ibv_send_wr *wr, uint32_t number,
                    const struct work *work)
{
    if (!rail->adapter->place.immediate) {
        struct work kept = *work;          /* so that most often none is put together in memory */

        verbs_announce_by_word(rail, wr, number, &kept);
        return;
    }
    wr->opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
    wr->imm_data = htonl(number);
    verbs_post_inline(rail, wr, work);
}

static inline __attribute__((always_inline))
void verbs_ring_post(struct endpoint *e, uint32_t number, int over, struct order *order,
                     uint64_t slices)
{
    struct rail *rail = &e->rails[over];
    uint32_t at = number % VERBS_FRAMES;
    struct ibv_sge piece = { .addr = (uintptr_t)(e->mirror + e->frame_place[at]),
                             .length = e->frame_bytes[at], .lkey = rail->mirror->lkey };
    struct ibv_send_wr wr;             /* most of it is of no use to a write */
    struct work work = { .kind = WORK_FRAME, .frame = number, .bytes = e->frame_bytes[at],
                         .order = order, .slices = slices };

    wr.next = NULL;
    wr.sg_list = &piece;
    wr.num_sge = e->frame_bytes[at] > 0;
    wr.send_flags = 0;
    wr.wr.rdma.remote_addr = e->ring_remote + e->frame_place[at];
    wr.wr.rdma.rkey = rail->rkey;
    if (order && verbs_code_rides(e->frame_code[at])) {
        verbs_slice_fill(rail, order, 63u - (unsigned)__builtin_clzll(slices), &wr, &piece);
        wr.num_sge = 1;
        work.bytes = piece.length;
    }
    if (wr.num_sge > 0 && piece.length <= rail->most_inline)
        wr.send_flags |= IBV_SEND_INLINE;
    verbs_announce(rail, &wr, verbs_immediate(number, e->frame_code[at]), &work);
}

/* What tells the receiver where the frame is that was begun. */
static inline uint32_t verbs_code_of(const struct endpoint *e, uint32_t stream, enum verbs_form form)
{
    if (form == VERBS_HEADED)
        return verbs_code_place(e->begun_place);
    return verbs_code_bare(stream, form, e->begun_place != (e->head & (e->ring_out - 1)));
}

static inline __attribute__((always_inline))
void verbs_ring_end(struct endpoint *e, uint32_t code, size_t bytes, int rail,
                    struct order *order, uint64_t slices)
{
    size_t before = e->head & (e->ring_out - 1), place = e->begun_place;
    uint32_t at = e->out_next % VERBS_FRAMES;

    e->frame_code[at] = (uint16_t)code;
    e->head += e->begun_bytes + (place != before ? e->ring_out - before : 0);
    e->frame_end[at] = e->head;
    e->frame_place[at] = (uint32_t)place;
    e->frame_bytes[at] = (uint32_t)bytes;
    verbs_ring_post(e, e->out_next++, rail, order, slices);
}

/* ---- Incoming ------------------------------------------------------------------ */

/* It has come before there was room for it. */
void verbs_frame_hasty(struct endpoint *e, uint32_t number);
const char *verbs_header_read(struct endpoint *e, uint32_t code, size_t *place);

/* A frame may come twice when a rail has failed, and before those of another rail
 * that precede it. */
static inline void verbs_frame_came(struct rail *rail, uint32_t immediate)
{
    struct endpoint *e = rail->endpoint;
    uint32_t ahead = (uint16_t)((immediate >> 16) - e->in_next);
    uint32_t number = e->in_next + ahead, at = number % VERBS_FRAMES;

    if (ahead >= 0x8000)
        return;                        /* it has been taken */
    if (ahead >= e->frames_in) {
        verbs_frame_hasty(e, number);
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

/* NULL and what has come is noted, or what is wrong. */
static inline const char *verbs_announced(struct rail *rail, const struct ibv_wc *wc)
{
    if (!rail->adapter->place.immediate)
        return verbs_announced_by_word(rail, wc);
    if (wc->opcode != IBV_WC_RECV_RDMA_WITH_IMM || !(wc->wc_flags & IBV_WC_WITH_IMM))
        return "something over verbs that is no write with immediate data";
    verbs_frame_came(rail, ntohl(wc->imm_data));
    return NULL;
}

static inline bool verbs_frame_waits(const struct endpoint *e)
{
    uint32_t at = e->in_next % VERBS_FRAMES;

    return e->came[at / 64] >> at % 64 & 1;
}

static inline const char *verbs_bare_read(struct endpoint *e, uint32_t code, size_t *place)
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
static inline const struct verbs_frame *verbs_frame_read(struct endpoint *e)
{
    uint32_t code = e->frame_here[e->in_next % VERBS_FRAMES];
    const char *wrong;
    size_t place = 0, bytes;

    if (code < VERBS_CODE_RIDES)
        wrong = verbs_header_read(e, code, &place);
    else if (verbs_code_rides(code))
        wrong = verbs_ridden(e, code, &e->coming);
    else
        wrong = verbs_bare_read(e, code, &place);
    bytes = verbs_frame_head(&e->coming) + verbs_frame_payload(&e->coming);
    if (!wrong && bytes > e->ring_in - place)
        wrong = "a frame that goes beyond the ring's end";
    if (wrong) {
        verbs_break(e, PEAL_ERR_PROTOCOL, "%s sent %s", e->name, wrong);
        return NULL;
    }
    e->coming_place = place;
    e->coming_bytes = verbs_frame_size(bytes);
    e->coming_known = true;
    return &e->coming;
}

/* The next, which waits, and stays until it is taken; NULL: broken. */
static inline const struct verbs_frame *verbs_frame_look(struct endpoint *e)
{
    if (e->failure || e->broken)
        return NULL;
    return e->coming_known ? &e->coming : verbs_frame_read(e);
}

/* The same; NULL also if none waits. */
static inline const struct verbs_frame *verbs_frame_next(struct endpoint *e)
{
    return verbs_frame_waits(e) ? verbs_frame_look(e) : NULL;
}

static inline const unsigned char *verbs_payload(const struct endpoint *e)
{
    return e->landing + e->coming_place + verbs_frame_head(&e->coming);
}

static inline void verbs_frame_take(struct endpoint *e)
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

/* ---- Credits -------------------------------------------------------------------- */

/* They are told by a frame of their own when half of what the peer may use is taken, and
 * by headers before, so that a frame of their own is not needed where both send. */
enum { CREDIT_SHARE = 2, BARE_SHARE = 4 };
bool verbs_credit_tell(struct endpoint *e, bool idle);

/* Has this share of the ring been taken since the peer was told? */
static inline bool verbs_ring_owed(const struct endpoint *e, uint32_t share)
{
    return e->in_next - e->told_taken >= e->frames_in / share || e->untold >= e->ring_in / share;
}

/* Or of a stream's window? */
static inline bool verbs_window_owed(const struct endpoint *e, uint32_t stream, uint32_t share)
{
    uint32_t news = matching_low(&e->matching, stream) - e->told_low[stream];

    return news >= TRANSPORT_WINDOW / share || (e->full[stream] && news > 0);
}

static inline bool verbs_credit_owed(const struct endpoint *e, uint32_t share)
{
    for (uint32_t i = 0; i < TRANSPORT_STREAMS; i++)
        if (verbs_window_owed(e, i, share))
            return true;
    return verbs_ring_owed(e, share);
}

const char *verbs_credit_take(struct endpoint *e, const struct verbs_frame *frame);
void verbs_no_credit(const struct endpoint *e, struct verbs_frame *frame);

#endif
