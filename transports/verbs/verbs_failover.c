/* SPDX-License-Identifier: BSD-3-Clause */
/* A rail has failed and others are left.
 *
 * Both ends put their queue pair into the error state, take what has come over it,
 * and tell each other over the socket which frames they have.  After that nothing
 * can come over the rail any more, so what the peer has not got can be repeated
 * over another one: frames with their old numbers at their old places, and before
 * each DONE the slices that it tells of.  A DONE that the peer has is not repeated,
 * nor are its slices, whose memory may belong to the user again. */
#include "transports/verbs/verbs_ring.h"

#include "base/log.h"

#include <string.h>

static bool rail_emptied(struct endpoint *e, struct rail *rail)
{
    struct verbs_down down = { .rail = (uint32_t)rail->index };
    unsigned char record[VERBS_RECORD_MOST];

    if (rail->emptied)
        return true;
    if (!verbs_rail_stopped(rail))
        return false;
    rail->emptied = true;              /* what comes now is not looked at */
    down.taken = e->in_next;
    memcpy(down.came, e->came, sizeof down.came);
    verbs_say(e, record, verbs_down_encode(&down, record));
    return true;
}

void verbs_rail_heard(struct endpoint *e, const struct verbs_down *down)
{
    struct rail *rail = &e->rails[down->rail];

    /* Credits over other rails may have been faster than this. */
    if (rail->reported || rail->state == RAIL_DOWN || rail->state == RAIL_MAKING ||
        (int32_t)(down->taken - e->out_next) > 0) {
        verbs_break(e, PEAL_ERR_PROTOCOL, "%s sent impossible news of a rail", e->name);
        return;
    }
    rail->reported = true;
    rail->came = *down;
    if (rail->state != RAIL_CLOSING)
        verbs_rail_fail(rail, PEAL_ERR_PEER, "%s has given up its rail from %s port %u to our %s "
                        "port %d", e->name, rail->remote.device, rail->remote.port,
                        rail->adapter->place.device, rail->adapter->place.port);
}

static bool frame_arrived(const struct endpoint *e, const struct rail *rail, uint32_t number)
{
    uint32_t at = number % VERBS_FRAMES;

    if ((int32_t)(number - rail->came.taken) < 0 || (int32_t)(number - e->out_taken) < 0)
        return true;
    return number - rail->came.taken < VERBS_FRAMES && rail->came.came[at / 64] >> at % 64 & 1;
}

static int rail_left(const struct endpoint *e)
{
    for (int i = 0; i < e->nrails; i++)
        if (e->rails[i].state == RAIL_UP)
            return i;
    return -1;
}

/* One work request of the failed rail: it has arrived, or is repeated.  False: no
 * room for that now. */
static bool work_repeat(struct endpoint *e, struct rail *rail, struct work *work, int over)
{
    if (work->kind == WORK_FRAME && !frame_arrived(e, rail, work->frame)) {
        uint64_t slices = work->order ? work->slices : 0;

        if (verbs_code_rides(e->frame_code[work->frame % VERBS_FRAMES]))
            slices >>= 1;              /* the last goes with the frame */
        if (verbs_rail_room(&e->rails[over]) < (uint32_t)__builtin_popcountll(slices) +
                                               verbs_frame_works(&e->rails[over]))
            return false;
        for (; slices; slices &= slices - 1)
            verbs_slice_post(&e->rails[over], work->order,
                             (unsigned)__builtin_ctzll(slices));
        verbs_frame_repeat(e, work->frame, over, work->order, work->slices);
    }
    if (work->order)
        verbs_order_work_ended(e, work);
    return true;
}

static bool rail_repeat(struct endpoint *e, struct rail *rail)
{
    int over = rail_left(e);

    if (over < 0)
        return false;
    e->frames_over = over;
    verbs_order_repeat(e, rail);
    while (rail->ended != rail->posted) {
        struct work work = rail->work[rail->ended % rail->depth];

        if (!work_repeat(e, rail, &work, over))
            return false;
        rail->ended++;
    }
    rail->flying = 0;
    verbs_rail_destroy(rail);
    return true;
}

int verbs_repair(struct endpoint *e)
{
    int moved = 0;

    e->port->look = true;              /* for the peer's word on the socket */
    for (int i = 0; i < e->nrails && !verbs_lost(e); i++) {
        struct rail *rail = &e->rails[i];

        if (rail->state != RAIL_CLOSING || !rail_emptied(e, rail) || !rail->reported)
            continue;
        moved++;
        if (!rail_repeat(e, rail))
            continue;
        e->repairing--;
        if (rail->up_since)
            log_warn("verbs: what was under way to %s over %s port %d has been repeated over the "
                     "other rails", e->name, rail->adapter->place.device,
                     rail->adapter->place.port);
        verbs_rejoin_later(rail);
    }
    return moved;
}
