/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames in the landing rings, and the credits for them (verbs_ring.c).  What every short
 * message goes through is inline. */
#ifndef VERBS_RING_H
#define VERBS_RING_H

#include "transports/verbs/verbs.h"

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

/* ---- Incoming ------------------------------------------------------------------ */

void verbs_frame_came(struct rail *rail, uint32_t immediate);

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

const struct verbs_frame *verbs_frame_read(struct endpoint *e);
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

void verbs_frame_take(struct endpoint *e);

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

/* Or of a window? */
static inline bool verbs_credit_owed(const struct endpoint *e, uint32_t share)
{
    for (uint32_t i = 0; i < TRANSPORT_STREAMS; i++) {
        uint32_t news = matching_low(&e->matching, i) - e->told_low[i];

        if (news >= TRANSPORT_WINDOW / share || (e->full[i] && news > 0))
            return true;
    }
    return verbs_ring_owed(e, share);
}

const char *verbs_credit_take(struct endpoint *e, const struct verbs_frame *frame);
void verbs_no_credit(const struct endpoint *e, struct verbs_frame *frame);

#endif
